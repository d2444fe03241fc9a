// SPDX-License-Identifier: GPL-2.0-or-later
/* The next hop that a watched address has, by what is known of its neighbour and of the links: VLAN devices lead to the
 * interface below them. Asks nobody and changes nothing. */
#include <string.h>

#include "route_priv.h"
#include "lb/dp/vlan.h"

static const uint8_t nowhere[16];

struct lb_route_link *lb_route_link(const struct lb_route *r, uint32_t ifindex)
{
	struct lb_route_link *l;

	LIST_FOREACH(l, &r->links[ifindex % LB_ROUTE_LINK_BUCKETS], hash)
	{
		if (l->ifindex == ifindex)
			return l;
	}
	return NULL;
}

/* ---- VLAN devices ---- */

/* The interface below @l and any VLAN devices that it stands on, with what these do. NULL: not known, down, no
 * Ethernet, or more tags than are written. */
static const struct lb_route_link *lowest(const struct lb_route *r, const struct lb_route_link *l, struct lb_vlan *vlan)
{
	memset(vlan, 0, sizeof(*vlan));
	while (l && l->vlan_lower) {
		if (vlan->tag[LB_VLAN_TAGS - 1])
			return NULL;
		vlan->tag[1] = vlan->tag[0];
		vlan->tag[0] = l->vlan_tag;
		l = lb_route_link(r, l->vlan_lower);
	}
	if (!l || !l->up || !l->ethernet)
		return NULL;
	if (vlan->tag[0]) {
		vlan->oif = l->ifindex;
		vlan->flags = l->veth ? LB_VLAN_F_REDIRECT : 0;
	}
	return l;
}

bool lb_route_stands_on(const struct lb_route *r, uint32_t ifindex, uint32_t lower)
{
	const struct lb_route_link *l;

	for (int i = 0; i <= LB_VLAN_TAGS && ifindex != lower; i++) {
		l = lb_route_link(r, ifindex);
		if (!l || !l->vlan_lower)
			return false;
		ifindex = l->vlan_lower;
	}
	return ifindex == lower;
}

bool lb_route_has_vlans(const struct lb_route *r, uint32_t ifindex)
{
	const struct lb_route_link *l;

	for (size_t i = 0; i < LB_ROUTE_LINK_BUCKETS; i++) {
		LIST_FOREACH(l, &r->links[i], hash)
		{
			if (l->vlan_lower && l->up && lb_route_stands_on(r, l->vlan_lower, ifindex))
				return true;
		}
	}
	return false;
}

/* The kernel redirects frames of the interface's MTU with one tag, and no longer ones. */
static uint16_t tagged_mtu(uint16_t mtu, const struct lb_route_link *low, const struct lb_vlan *vlan)
{
	const uint16_t more = vlan->tag[1] ? LB_VLAN_HLEN : 0;

	return low->mtu > more && mtu > low->mtu - more ? (uint16_t)(low->mtu - more) : mtu;
}

/* ---- next hops ---- */

void lb_route_next_hop(const struct lb_route *r, const struct lb_route_watch *w, struct lb_next_hop *nh)
{
	const struct lb_route_link *l = w->neigh ? lb_route_link(r, w->neigh->ifindex) : NULL, *low;
	struct lb_vlan vlan;
	uint8_t *own = lb_route_is_v4(w->addr) ? nh->source4 : nh->source6;

	memset(nh, 0, sizeof(*nh));
	if (!l || !l->up || !l->ethernet || !w->neigh->has_mac)
		return;
	low = lowest(r, l, &vlan);
	if (!low)
		return;
	memcpy(nh->dmac, w->neigh->mac, 6);
	memcpy(nh->smac, l->mac, 6);
	nh->mtu = w->route_mtu && w->route_mtu < l->mtu ? (uint16_t)w->route_mtu : l->mtu;
	nh->ifindex = l->ifindex;
	if (vlan.oif)
		nh->mtu = tagged_mtu(nh->mtu, low, &vlan);
	nh->vlan = vlan;
	nh->redirect = low->veth;
	memcpy(nh->source4, l->addr4, 16);
	memcpy(nh->source6, l->addr6, 16);
	if (memcmp(w->source, nowhere, 16))
		memcpy(own, w->source, 16);
}
