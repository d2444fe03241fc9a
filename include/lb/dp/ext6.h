/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * IPv6 extension headers once more, for what follows several chains of them in a packet, or has to stop at a fragment
 * header. The parser's walk would take a verifier through the product of their states. Included by include/lb/dp/
 * alone.
 */
#ifndef LB_DP_EXT6_H
#define LB_DP_EXT6_H

#include "lb/dp/parse.h"

#define LB_OFF_MAX 0xfff /* headers that begin further on in a packet are not followed; all bits set */

/* lb_offset - @off, which is at most LB_OFF_MAX; @any as lb_forget has it. A verifier is told its bounds, as older ones
 * lose those of what was on the stack meanwhile; the compiler, which knows them, would leave a mere mask out. */
static __always_inline __u32 lb_offset(__u32 off, __u32 any)
{
	return lb_forget(off, any) & LB_OFF_MAX;
}

#define LB_EXT6_MAX 4 /* headers followed in each chain; what a verifier has to see of two grows with its square */
#define LB_EXT6_BITS                                                                                                   \
	(1ULL << IPPROTO_HOPOPTS | 1ULL << IPPROTO_ROUTING | 1ULL << IPPROTO_DSTOPTS | 1ULL << IPPROTO_AH |            \
	 1ULL << IPPROTO_FRAGMENT)

static __always_inline bool lb_ext6_is(__u8 type)
{
	return type < 64 && LB_EXT6_BITS >> type & 1;
}

/* lb_ext6_walk - from a header of type *@next, *@off bytes behind the IP header @ip, to one that is no extension header
 * or, with @stop, to a fragment header. LB_V_FORWARDED: it is there; *@off is at most LB_OFF_MAX. Fragment headers
 * passed are of whole packets or, with @firsts, also of first fragments. Otherwise as lb_parse_ext. */
static __always_inline enum lb_verdict lb_ext6_walk(const void *ip, const void *data_end, __u32 *off, __u8 *next,
						    bool stop, bool firsts)
{
#ifdef __clang__
#pragma clang loop unroll(disable)
#endif
	for (int i = 0; i < LB_EXT6_MAX; i++) {
		const __u8 *ext = ip + *off;
		__u32 bytes;

		if (!lb_ext6_is(*next) || (stop && *next == IPPROTO_FRAGMENT))
			return LB_V_FORWARDED;
		if ((const void *)ext + 8 > data_end)
			return LB_V_PASS_TRUNCATED;
		bytes = ((__u32)ext[1] + 1) * 8;
		if (*next == IPPROTO_FRAGMENT) {
			if (lb_get16(ext + 2) & lb_htons(firsts ? 0xfff8 : 0xfff9))
				return LB_V_PASS_FRAGMENT;
			bytes = 8;
		} else if (*next == IPPROTO_AH) {
			bytes = ((__u32)ext[1] + 2) * 4;
		} else if ((*next == IPPROTO_ROUTING && ext[3]) || (*next == IPPROTO_HOPOPTS && i)) {
			return LB_V_PASS_EXTENSION;
		}
		if (*off + bytes > LB_OFF_MAX)
			return LB_V_PASS_EXTENSION;
		*off = lb_offset(*off + bytes, lb_get32(ext));
		*next = ext[0];
	}
	return lb_ext6_is(*next) ? LB_V_PASS_EXTENSION : LB_V_FORWARDED;
}

/* lb_ext6_enter - p->len of the IPv6 packet at @data, and the walk from its header on: to a header of type *@next,
 * *@off bytes behind @data. Otherwise as lb_ext6_walk. */
static __always_inline enum lb_verdict lb_ext6_enter(const void *data, const void *data_end, struct lb_packet *p,
						     __u32 *off, __u8 *next, bool stop)
{
	const struct ipv6hdr *ip6 = data;

	if (data + sizeof(*ip6) > data_end)
		return LB_V_PASS_TRUNCATED;
	if (ip6->version != 6)
		return LB_V_PASS_NOT_IP;
	p->len = sizeof(*ip6) + lb_ntohs(ip6->payload_len);
	*off = sizeof(*ip6);
	*next = ip6->nexthdr;
	return lb_ext6_walk(data, data_end, off, next, stop, false);
}

#endif
