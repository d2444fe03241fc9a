/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VLANs: tags are taken off before the other stages see a frame, put back into one that goes to the host or back to its
 * sender, and written as the next hop's VLAN device has them. Included by forward.h and pipeline.h.
 */
#ifndef BPF_VLAN_H
#define BPF_VLAN_H

#include "lb/dp/vlan.h"
#include "world.h"

static __always_inline bool lb_vlan_pop_bytes(struct lb_world *w, const int bytes)
{
	void *data = lb_world_data(w);

	if (data + sizeof(struct ethhdr) + bytes > lb_world_data_end(w))
		return false;
	lb_vlan_move_macs(data + bytes, data);
	return lb_world_grow(w, -bytes);
}

static __always_inline bool lb_vlan_push_bytes(struct lb_world *w, __u64 tags, const int bytes)
{
	void *data;

	if (!lb_world_grow(w, bytes))
		return false;
	data = lb_world_data(w);
	if (data + sizeof(struct ethhdr) + bytes > lb_world_data_end(w))
		return false;
	lb_vlan_write(data, tags, bytes);
	return true;
}

/* Takes the tags off the frame, and says which they were; 0: it has none, or none that are to be looked behind. */
static __always_inline __u64 lb_vlan_pop(struct lb_world *w)
{
	__u64 tags = lb_vlan_tags(lb_world_data(w), lb_world_data_end(w));

	/* here as well: old kernels verify it also where nobody calls it */
	if (!lb_world_has(w, LB_HAS_VLAN) || !tags)
		return 0;
	if (LB_TAGS_INNER(tags) ? !lb_vlan_pop_bytes(w, 2 * LB_VLAN_HLEN) : !lb_vlan_pop_bytes(w, LB_VLAN_HLEN))
		return 0;
	return tags;
}

/* Puts @tags, which are not 0, into the frame. False: there is no room for them. */
static __always_inline bool lb_vlan_push(struct lb_world *w, __u64 tags)
{
	if (!lb_world_has(w, LB_HAS_VLAN))
		return false;
	return LB_TAGS_INNER(tags) ? lb_vlan_push_bytes(w, tags, 2 * LB_VLAN_HLEN)
				   : lb_vlan_push_bytes(w, tags, LB_VLAN_HLEN);
}

/* Sends the frame by the VLAN device @oif: with its tags, by the interface that is below it. */
static __always_inline enum lb_verdict lb_vlan_send(struct lb_world *w, __u32 oif, __u32 *sent)
{
	const struct lb_vlan *vlan = lb_world_vlan(w, oif);
	__u32 lower, flags;

	if (!vlan)
		return LB_V_DROP_NO_NEXT_HOP;
	lower = vlan->oif;
	flags = vlan->flags;
	if (!lb_world_vlan_push(w, LB_TAGS(vlan->tag[0], vlan->tag[1])))
		return LB_V_DROP_NO_HEADROOM;
	*sent = lb_world_send(w, lower, flags & LB_VLAN_F_REDIRECT);
	return LB_V_FORWARDED;
}

/* A frame that came with @tags goes on with them, when it goes to the host or back to where it came from. */
static __always_inline __u32 lb_vlan_restore(struct lb_world *w, __u32 fate, __u64 tags)
{
	const enum lb_verdict v = LB_FATE_VERDICT(fate);

	if (!lb_verdict_passes(v) && v != LB_V_ANSWERED_TOO_BIG && v != LB_V_ANSWERED_ECHO)
		return fate;
	return lb_world_vlan_push(w, tags) ? fate : LB_V_DROP_NO_HEADROOM;
}

#endif
