// SPDX-License-Identifier: GPL-2.0-or-later
/* Warnings of interfaces that answers come in by and are not seen. */
#include <net/if.h>
#include <stdio.h>

#include "returns.h"
#include "log.h"

static bool has(const struct lb_returns *a, uint32_t ifindex)
{
	for (size_t i = 0; i < a->nr; i++)
		if (a->lost[i] == ifindex)
			return true;
	return false;
}

static void warn(const char *service, const struct lb_endpoint *backend, uint32_t ifindex)
{
	char name[IF_NAMESIZE], addr[LB_ADDR_STRLEN];

	if (!if_indextoname(ifindex, name))
		snprintf(name, sizeof(name), "if%u", ifindex);
	lb_log(LB_LOG_WARN,
	       "msg=\"backends of a service that translates answer by an interface that is not attached, and "
	       "clients do not get that\" interface=%s service=%s backend=%s mend=\"lbctl attach %s\"",
	       name, service, lb_endpoint_format(backend, addr), name);
}

void lb_returns_look(struct lb_returns *a, const struct lb_ifaces *f, const struct lb_model *m)
{
	const struct lb_model_service *const *list;
	size_t nr = lb_model_services(m, &list);
	struct lb_returns now = {.nr = 0};

	for (size_t i = 0; i < nr; i++) {
		const struct lb_model_service *s = list[i];

		for (size_t k = 0; lb_service_conf_translates(&s->conf) && k < s->conf.nr_backends; k++) {
			const struct lb_next_hop *nh = &s->backends[k].next_hop;
			uint32_t device = nh->vlan.oif ? nh->vlan.oif : nh->ifindex;

			if (!device || now.nr == LB_RETURNS_MAX || has(&now, device) ||
			    lb_ifaces_is_attached(f, device))
				continue;
			now.lost[now.nr++] = device;
			if (!has(a, device))
				warn(s->conf.name, &s->conf.backends[k].address, device);
		}
	}
	*a = now;
}
