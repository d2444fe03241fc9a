/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VLAN tags (IEEE 802.1Q): taken off a frame before the stages see it, and put into one that leaves. Two at most, the
 * outer one of 802.1ad or 802.1Q. Called by bpf/ and by tests.
 */
#ifndef LB_DP_VLAN_H
#define LB_DP_VLAN_H

#include <linux/if_ether.h>

#include "lb/abi.h"
#include "lb/dp/base.h"

#define LB_VLAN_HLEN 4
#define LB_VLAN_TAGS 2

/* A frame's tags in one word, the outer one in its low half; each as struct lb_vlan has it. 0: none. */
#define LB_TAGS(outer, inner) ((__u64)(inner) << 32 | (outer))
#define LB_TAGS_OUTER(tags) ((__u32)(tags))
#define LB_TAGS_INNER(tags) ((__u32)((tags) >> 32))

static __always_inline bool lb_vlan_is_type(__be16 type)
{
	return type == lb_htons(ETH_P_8021Q) || type == lb_htons(ETH_P_8021AD);
}

static __always_inline bool lb_vlan_is_ip(__be16 type)
{
	return type == lb_htons(ETH_P_IP) || type == lb_htons(ETH_P_IPV6);
}

/* lb_vlan_is_tagged - does the frame [@data, @data_end) begin with a tag? */
static __always_inline bool lb_vlan_is_tagged(const void *data, const void *data_end)
{
	return data + sizeof(struct ethhdr) + LB_VLAN_HLEN <= data_end && lb_vlan_is_type(lb_get16(data + 12));
}

/* lb_vlan_tags - the tags of the frame [@data, @data_end) when there are one or two and IP is behind them; else 0. */
static __always_inline __u64 lb_vlan_tags(const void *data, const void *data_end)
{
	__u32 outer, inner;

	if (!lb_vlan_is_tagged(data, data_end))
		return 0;
	outer = lb_get32(data + 12);
	if (lb_vlan_is_ip(lb_get16(data + 16)))
		return LB_TAGS(outer, 0);
	if (data + sizeof(struct ethhdr) + 2 * LB_VLAN_HLEN > data_end || !lb_vlan_is_type(lb_get16(data + 16)) ||
	    !lb_vlan_is_ip(lb_get16(data + 20)))
		return 0;
	inner = lb_get32(data + 16);
	return LB_TAGS(outer, inner);
}

/* Both MAC addresses; the places may overlap. 12 bytes of each are known to be there. */
static __always_inline void lb_vlan_move_macs(void *to, const void *from)
{
	__u32 a = lb_get32(from), b = lb_get32(from + 4), c = lb_get32(from + 8);

	lb_put32(to, a);
	lb_put32(to + 4, b);
	lb_put32(to + 8, c);
}

/* lb_vlan_write - the tags of a frame whose header @bytes of room were made in front of: @data is the room's start, the
 * header is known to be there behind it. @bytes: LB_VLAN_HLEN for each of @tags. */
static __always_inline void lb_vlan_write(void *data, __u64 tags, const int bytes)
{
	lb_vlan_move_macs(data, data + bytes);
	lb_put32(data + 12, LB_TAGS_OUTER(tags));
	if (bytes > LB_VLAN_HLEN)
		lb_put32(data + 16, LB_TAGS_INNER(tags));
}

#endif
