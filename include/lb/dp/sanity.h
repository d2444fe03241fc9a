/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What no honest sender sends: flags that contradict each other, sources that nobody has. Asked of packets to a service
 * alone. Called by bpf/ and by tests.
 */
#ifndef LB_DP_SANITY_H
#define LB_DP_SANITY_H

#include "lb/verdict.h"
#include "lb/dp/base.h"
#include "lb/dp/parse.h"

#define LB_TCP_PSH 0x08
#define LB_TCP_URG 0x20
#define LB_TCP_FLAGS 0x3f /* those of RFC 793; what came later may be set beside any of them */

/* The first octet of the source. */
static __always_inline __u8 lb_packet_source_octet(const struct lb_packet *p)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return p->v6 ? (__u8)p->saddr[0] : (__u8)p->saddr4;
#else
	return p->v6 ? (__u8)(p->saddr[0] >> 56) : (__u8)(p->saddr4 >> 24);
#endif
}

/* lb_packet_martian - is its source an address that no packet on a wire has (RFC 6890)? IPv4: 0/8, 127/8, and 224/3,
 * which is groups, the reserved addresses and everybody. IPv6: ::, ::1, ::ffff:0:0/96 and ff00::/8. */
static __always_inline bool lb_packet_martian(const struct lb_packet *p)
{
	const __u8 first = lb_packet_source_octet(p);

	if (!p->v6)
		return (__u8)(first - 1) >= 223 || first == 127;
	if (lb_likely(p->saddr[0]))
		return first == 0xff;
	return lb_htonll(p->saddr[1]) <= 1 || p->saddr[1] == lb_addr_of4(lb_addr_to4(p->saddr[1]));
}

/* lb_tcp_flags_odd - a beginning that is an end, none of the flags, or the three that scanners light up. */
static __always_inline bool lb_tcp_flags_odd(__u8 flags)
{
	if (flags & LB_TCP_SYN)
		return flags & (LB_TCP_FIN | LB_TCP_RST);
	if (!(flags & LB_TCP_FLAGS))
		return true;
	return (flags & (LB_TCP_FIN | LB_TCP_URG | LB_TCP_PSH | LB_TCP_ACK)) == (LB_TCP_FIN | LB_TCP_URG | LB_TCP_PSH);
}

/* lb_tcp_goes_on - do these flags say that a segment is one of the middle of its connection? */
static __always_inline bool lb_tcp_goes_on(__u16 flags)
{
	return (flags & (LB_TCP_SYN | LB_TCP_FIN | LB_TCP_RST | LB_TCP_ACK)) == LB_TCP_ACK;
}

/* lb_packet_goes_on - is it one of the middle of a connection, as most of TCP are? Those pay for this test alone: their
 * flags are right, and nobody answers what comes from nowhere. */
static __always_inline bool lb_packet_goes_on(const struct lb_packet *p)
{
	return lb_tcp_goes_on(p->tcp_flags);
}

/* lb_packet_sane - may one that does not go on be let in? LB_V_FORWARDED: yes. */
static __always_inline enum lb_verdict lb_packet_sane(const struct lb_packet *p)
{
	if (p->proto == IPPROTO_TCP && lb_tcp_flags_odd(p->tcp_flags))
		return lb_answer(LB_V_DROP_TCP_FLAGS);
	if (lb_packet_source(p, 0) == lb_packet_dest(p, 0) && lb_packet_source(p, 1) == lb_packet_dest(p, 1) &&
	    p->sport == p->dport)
		return lb_answer(LB_V_DROP_LAND);
	if (lb_packet_martian(p))
		return lb_answer(LB_V_DROP_MARTIAN);
	return LB_V_FORWARDED;
}

#endif
