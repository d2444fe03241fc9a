// SPDX-License-Identifier: GPL-2.0-or-later
/* Hints about addresses of snat that are not the host's own. */
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"
#include "snats.h"

/* The kernel lets a socket have an address that it would take packets to, of an interface or by a local route; with the
 * sysctl ip_nonlocal_bind it lets it have any. */
static bool may_be_bound(const uint8_t addr[16])
{
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
	const bool is_v4 = lb_addr_is_v4(addr);
	bool own = true;
	int fd = socket(is_v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return true; /* it is not known */
	memcpy(&v4.sin_addr, addr + 12, sizeof(v4.sin_addr));
	memcpy(&v6.sin6_addr, addr, sizeof(v6.sin6_addr));
	if (is_v4 ? bind(fd, (struct sockaddr *)&v4, sizeof(v4)) : bind(fd, (struct sockaddr *)&v6, sizeof(v6)))
		own = errno != EADDRNOTAVAIL;
	close(fd);
	return own;
}

static bool is_of(const struct ifaddrs *i, const uint8_t addr[16])
{
	uint8_t its[16];

	return i->ifa_flags & IFF_UP && lb_addr_of_sockaddr(i->ifa_addr, its) && !memcmp(its, addr, sizeof(its));
}

/* Has an interface that is up the address? In a VRF no socket of ours can be bound to it, but packets to it are taken.
 * @all: of all interfaces, NULL before it is asked for, once. */
static bool is_own(const uint8_t addr[16], struct ifaddrs **all)
{
	bool own = may_be_bound(addr);

	if (own || (!*all && getifaddrs(all)))
		return own;
	for (const struct ifaddrs *i = *all; i && !own; i = i->ifa_next)
		own = is_of(i, addr);
	return own;
}

static const struct lb_snats_addr *find(const struct lb_snats *n, const uint8_t addr[16])
{
	for (size_t i = 0; i < n->nr; i++)
		if (!memcmp(n->list[i].addr, addr, sizeof(n->list[i].addr)))
			return &n->list[i];
	return NULL;
}

static void look_at(struct lb_snats_addr *a, const char *service, struct ifaddrs **all)
{
	char text[LB_ADDR_STRLEN];

	lb_addr_format(a->addr, text);
	if (is_own(a->addr, all)) {
		if (a->told)
			lb_log(LB_LOG_INFO, "msg=\"an address of snat is this host's\" address=%s service=%s", text,
			       service);
		a->missed = a->told = false;
		return;
	}
	if (a->missed && !a->told) {
		lb_log(LB_LOG_WARN,
		       "msg=\"an address of snat is not this host's own; backends' answers come here only if it is "
		       "routed to this host\" address=%s service=%s",
		       text, service);
		a->told = true;
	}
	a->missed = true;
}

void lb_snats_look(struct lb_snats *n, const struct lb_model *m)
{
	const struct lb_model_service *const *list;
	size_t nr = lb_model_services(m, &list);
	struct lb_snats now = {.list = calloc(LB_SNATS_MAX, sizeof(*now.list))};
	struct ifaddrs *all = NULL;

	if (!now.list)
		return;
	for (size_t i = 0; i < nr; i++) {
		const struct lb_service_conf *s = &list[i]->conf;

		for (size_t k = 0; k < s->nr_snat && now.nr < LB_SNATS_MAX; k++) {
			const struct lb_snats_addr *before = find(n, s->snat[k]);
			struct lb_snats_addr *a = &now.list[now.nr];

			if (find(&now, s->snat[k]))
				continue;
			if (before)
				*a = *before;
			else
				memcpy(a->addr, s->snat[k], sizeof(a->addr));
			look_at(a, s->name, &all);
			now.nr++;
		}
	}
	if (all)
		freeifaddrs(all);
	free(n->list);
	*n = now;
}

void lb_snats_free(struct lb_snats *n)
{
	free(n->list);
	*n = (struct lb_snats){0};
}
