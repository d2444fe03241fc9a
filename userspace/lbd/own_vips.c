// SPDX-License-Identifier: GPL-2.0-or-later
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "own_vips.h"

#define OWN_MAX 256 /* addresses that are looked at */

struct own {
	uint8_t addr[16];
	char iface[IF_NAMESIZE];
	bool in_network; /* others are behind the interface that have the same prefix */
};

static struct own own[OWN_MAX];
static size_t nr_own;
static uint64_t asked_ns; /* 0: never */

static bool take(const struct ifaddrs *i, struct own *o)
{
	uint8_t mask[16];

	if (i->ifa_flags & IFF_LOOPBACK || !lb_addr_of_sockaddr(i->ifa_addr, o->addr) ||
	    !lb_addr_of_sockaddr(i->ifa_netmask, mask))
		return false;
	o->in_network = false;
	for (size_t n = lb_addr_is_v4(o->addr) ? 12 : 0; n < sizeof(mask); n++)
		o->in_network |= mask[n] != 0xff;
	snprintf(o->iface, sizeof(o->iface), "%s", i->ifa_name);
	return true;
}

static void ask(void)
{
	uint64_t now_ns = lb_now_ns();
	struct ifaddrs *all;

	if (asked_ns && now_ns - asked_ns < LB_NSEC_PER_SEC)
		return;
	asked_ns = now_ns;
	nr_own = 0;
	if (getifaddrs(&all))
		return; /* it is not known */
	for (const struct ifaddrs *i = all; i && nr_own < OWN_MAX; i = i->ifa_next)
		nr_own += take(i, &own[nr_own]);
	freeifaddrs(all);
}

static bool has(const struct lb_vip_conf *v, const uint8_t addr[16])
{
	size_t bytes = v->plen / 8;

	return !memcmp(v->vip.addr, addr, bytes) &&
	       (v->plen % 8 == 0 || !((v->vip.addr[bytes] ^ addr[bytes]) >> (8 - v->plen % 8)));
}

const char *lb_own_vips_note(const struct lb_service_conf *s, char note[LB_OWN_VIPS_NOTE])
{
	char vip[LB_ADDR_STRLEN], addr[LB_ADDR_STRLEN];

	note[0] = '\0';
	ask();
	for (size_t i = 0; i < s->nr_vips; i++) {
		const struct lb_vip_conf *v = &s->vips[i];

		for (size_t k = 0; k < nr_own; k++) {
			if (!has(v, own[k].addr) || (v->vip.port && !own[k].in_network))
				continue;
			snprintf(note, LB_OWN_VIPS_NOTE, "%s is this host's own address, on %s: what comes for %s %s",
				 lb_addr_format(own[k].addr, addr), own[k].iface, lb_vip_format(v, vip),
				 v->vip.port ? "does not reach this host any more"
					     : "does not reach this host any more, nor do answers to its own "
					       "connections and checks");
			return note;
		}
	}
	return note;
}
