/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ICMP and ICMPv6 for services: errors about their flows are led to these, echo requests are answered, and packets that
 * do not fit are refused with the MTU that would. Like the parser's, results that are not LB_V_FORWARDED pass a packet:
 * what cannot be followed is the host's. Called by bpf/ and by tests.
 */
#ifndef LB_DP_ICMP_H
#define LB_DP_ICMP_H

#include <linux/icmpv6.h>

#include "lb/dp/checksum.h"
#include "lb/dp/ext6.h"
#include "lb/dp/icmp_types.h"
#include "lb/dp/parse.h"

#define LB_ICMP_HLEN 8
#define LB_ICMP_TTL 64

/* Quotes of what did not fit. They are summed up word by word, so their lengths are constants, and yet as RFC 1812
 * 4.3.2.3 (as much as fits 576 bytes) and RFC 4443 2.4 (c) (1280 bytes) want them: an IPv6 packet of up to 1280 bytes
 * is never refused, as no answer would make the sender send smaller ones. An IPv4 packet of less than the first may be,
 * on an odd link; then the longest IP header and 8 bytes are quoted. Each link carries what is even smaller (RFC 791).
 */
#define LB_ICMP4_QUOTE 548
#define LB_ICMP4_QUOTE_MIN 68
#define LB_ICMP6_QUOTE 1232
#define LB_ICMP4_ROOM (20 + LB_ICMP_HLEN) /* the headers that come before the quote */
#define LB_ICMP6_ROOM (40 + LB_ICMP_HLEN)
#define LB_IP6_MTU_MIN 1280

/* ---- errors about a flow ---- */

/* Source quenches are obsolete (RFC 6633) and redirects are between a router and its neighbour. */
static __always_inline bool lb_icmp_is_error4(__u8 type)
{
	return type == ICMP_DEST_UNREACH || type == ICMP_TIME_EXCEEDED || type == ICMP_PARAMETERPROB;
}

/* Words of options of the IPv4 header that @first, its first byte, begins: more than LB_ICMP_OPTIONS_MAX, and then
 * lb_icmp_not_ip4 says why, where it can begin none. */
#define LB_ICMP_OPTIONS_MAX 10
static __always_inline __u32 lb_icmp_options(__u32 first)
{
	return lb_rarely(first) - 0x45;
}

static __always_inline bool lb_icmp_is_error6(__u8 type)
{
	return type >= ICMPV6_DEST_UNREACH && type <= ICMPV6_PARAMPROB;
}

/* The quoted packet was on its way from the VIP to the client; @p gets the flow as the client's packets show it. It
 * opens and closes nothing. p->l4_off, at most LB_OFF_MAX, is where the quoted transport header is, of which the ports
 * suffice. */
static __always_inline enum lb_verdict lb_icmp_flow(const void *ip, const void *data_end, struct lb_packet *p)
{
	const void *l4 = ip + p->l4_off;

	if (lb_unlikely(l4 + 4 > data_end || p->l4_off + 4 > p->len))
		return lb_answer(LB_V_PASS_TRUNCATED);
	p->sport = lb_get16(l4 + 2);
	p->dport = lb_get16(l4);
	p->room = data_end - ip;
	p->l4_len = 4;
	p->tcp_flags = 0;
	p->fragment = false;
	return LB_V_FORWARDED;
}

static __always_inline enum lb_verdict lb_icmp_not_ip4(__u32 options)
{
	return (options + 0x45) >> 4 != 4 ? lb_answer(LB_V_PASS_NOT_IP) : lb_answer(LB_V_PASS_TRUNCATED);
}

/* lb_icmp_parse4, lb_icmp_parse6 - follow the packet whose IP header is at @data into what it quotes, when it is an
 * error: @p is the flow that it is about as a packet of the quoted packet's receiver would show it. From the client's
 * side that is (client, VIP). An error goes to the source of what it quotes; one that does not is not followed. */
static __always_inline enum lb_verdict lb_icmp_parse4(const void *data, const void *data_end, struct lb_packet *p)
{
	const struct iphdr *ip = data, *quoted;
	const __u8 *icmp;
	__u32 its, quotes; /* words of options */

	if (lb_unlikely(data + sizeof(*ip) > data_end))
		return lb_answer(LB_V_PASS_TRUNCATED);
	its = lb_icmp_options(*(const __u8 *)data);
	if (lb_unlikely(its > LB_ICMP_OPTIONS_MAX))
		return lb_icmp_not_ip4(its);
	if (lb_unlikely(ip->protocol != IPPROTO_ICMP))
		return lb_answer(LB_V_PASS_PROTOCOL);
	if (lb_unlikely(ip->frag_off & lb_htons(0x3fff)))
		return lb_answer(LB_V_PASS_FRAGMENT);
	icmp = data + its * 4 + sizeof(*ip);
	quoted = (const void *)(icmp + LB_ICMP_HLEN);
	if (lb_unlikely((const void *)(quoted + 1) > data_end)) {
		if ((const void *)quoted > data_end || lb_icmp_is_error4(*icmp))
			return lb_answer(LB_V_PASS_TRUNCATED);
		return lb_answer(LB_V_PASS_PROTOCOL);
	}
	if (lb_unlikely(!lb_icmp_is_error4(*icmp)))
		return lb_answer(LB_V_PASS_PROTOCOL);
	quotes = lb_icmp_options(*(const __u8 *)quoted);
	if (lb_unlikely(quotes > LB_ICMP_OPTIONS_MAX))
		return lb_answer(LB_V_PASS_TRUNCATED);
	if (lb_unlikely(!lb_proto_is_followed(quoted->protocol)))
		return lb_answer(LB_V_PASS_PROTOCOL);
	if (lb_unlikely(quoted->frag_off & lb_htons(0x1fff)))
		return lb_answer(LB_V_PASS_FRAGMENT);
	if (lb_unlikely(quoted->saddr != ip->daddr))
		return lb_answer(LB_V_PASS_NO_SERVICE);
	p->v6 = false;
	p->saddr4 = quoted->daddr;
	p->daddr4 = quoted->saddr;
	p->proto = lb_load(&quoted->protocol); /* again: a verifier is not to go on once for each */
	p->len = lb_ntohs(ip->tot_len);
	p->icmp_off = (__u16)(its * 4 + sizeof(*ip));
	p->l4_off = (its + quotes) * 4 + 2 * sizeof(*ip) + LB_ICMP_HLEN;
	return lb_icmp_flow(data, data_end, p);
}

static __always_inline enum lb_verdict lb_icmp_parse6(const void *data, const void *data_end, struct lb_packet *p)
{
	const void *icmp, *quoted;
	enum lb_verdict v;
	__u32 off;
	__u8 next;

	v = lb_ext6_enter(data, data_end, p, &off, &next, false);
	if (v != LB_V_FORWARDED)
		return v;
	if (next != IPPROTO_ICMPV6)
		return LB_V_PASS_PROTOCOL;
	off = lb_offset(off, lb_get32(data));
	icmp = data + off;
	if (icmp + LB_ICMP_HLEN > data_end)
		return LB_V_PASS_TRUNCATED;
	if (!lb_icmp_is_error6(*(const __u8 *)icmp))
		return LB_V_PASS_PROTOCOL;

	quoted = icmp + LB_ICMP_HLEN;
	if (quoted + sizeof(struct ipv6hdr) > data_end || *(const __u8 *)quoted >> 4 != 6)
		return LB_V_PASS_TRUNCATED;
	p->v6 = true;
	p->daddr[0] = lb_get64(quoted + 8);
	p->daddr[1] = lb_get64(quoted + 16);
	p->saddr[0] = lb_get64(quoted + 24);
	p->saddr[1] = lb_get64(quoted + 32);
	if (p->daddr[0] != lb_get64(data + 24) || p->daddr[1] != lb_get64(data + 32))
		return LB_V_PASS_NO_SERVICE;
	if (!p->daddr[0] && p->daddr[1] == lb_addr_of4(lb_addr_to4(p->daddr[1])))
		return LB_V_PASS_NO_SERVICE; /* as in lb_parse_ip6 */
	next = ((const __u8 *)quoted)[6];
	p->icmp_off = (__u16)off;
	off += LB_ICMP_HLEN + sizeof(struct ipv6hdr);
	v = lb_ext6_walk(data, data_end, &off, &next, false, true);
	if (v != LB_V_FORWARDED)
		return v;
	if (!lb_proto_is_followed(next))
		return LB_V_PASS_PROTOCOL;
	if (off > LB_OFF_MAX - 4)
		return LB_V_PASS_EXTENSION;
	p->l4_off = lb_offset(off, lb_get32(data));
	p->proto = (__u8)lb_forget(next, lb_get32(data));
	return lb_icmp_flow(data, data_end, p);
}

/* ---- answers ---- */

/* lb_icmp_mend - the checksum at @at, after the words that it covers changed by @sum (RFC 1624, eqn. 3). */
static __always_inline void lb_icmp_mend(void *at, __u64 sum)
{
	lb_put16(at, lb_csum_fold((__u64)(__u16)~lb_get16(at) + sum));
}

/* lb_icmp_eth_turn - an Ethernet header at @to that leads back to where the one at @from came from; both may be the
 * same place. 14 bytes of each are known to be there. */
static __always_inline void lb_icmp_eth_turn(void *to, const void *from)
{
	__u32 dst = lb_get32(from), src = lb_get32(from + 6);
	__u16 dst_end = lb_get16(from + 4), src_end = lb_get16(from + 10), type = lb_get16(from + 12);

	lb_put32(to, src);
	lb_put16(to + 4, src_end);
	lb_put32(to + 6, dst);
	lb_put16(to + 10, dst_end);
	lb_put16(to + 12, type);
}

/* lb_icmp_is_host4, lb_icmp_is_host6 - may an answer be sent to @addr (network order; IPv6 as two words)? Not to
 * groups, nobody and this host (RFC 1122 3.2.2, RFC 4443 2.4 (e)). */
static __always_inline bool lb_icmp_is_host4(__be32 addr)
{
	__u32 net = lb_ntohl(addr) >> 24;

	return net != 0 && net != 127 && net < 224;
}

static __always_inline bool lb_icmp_is_host6(const __u64 addr[2])
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	const __u8 first = (__u8)addr[0];
#else
	const __u8 first = (__u8)(addr[0] >> 56);
#endif

	return first != 0xff && (addr[0] || (addr[1] & ~lb_htonll(1)));
}

/* lb_icmp_echo4, lb_icmp_echo6 - turn an echo request at @data, the IP header, into its reply. False: it is none, or
 * one that the host has to see to (a fragment, options, lengths that contradict each other); nothing is written then.
 * The reply keeps DSCP, ID and flow label: what tells the requests apart does so for the replies. */
static __always_inline bool lb_icmp_echo4(void *data, const void *data_end)
{
	struct iphdr *ip = data;
	void *icmp = data + sizeof(*ip);
	__u32 total_bytes;
	__be32 client;
	__u64 sum;

	if (icmp + LB_ICMP_HLEN > data_end)
		return false;
	total_bytes = lb_ntohs(ip->tot_len);
	if (ip->version != 4 || ip->ihl != 5 || ip->protocol != IPPROTO_ICMP || ip->frag_off & lb_htons(0x3fff) ||
	    total_bytes < sizeof(*ip) + LB_ICMP_HLEN || total_bytes > data_end - data ||
	    lb_get16(icmp) != lb_htons(ICMP_ECHO << 8) || !lb_icmp_is_host4(ip->saddr) || !lb_icmp_is_host4(ip->daddr))
		return false;
	lb_put16(icmp, lb_htons(ICMP_ECHOREPLY << 8));
	lb_icmp_mend(icmp + 2, (__u16)~lb_htons(ICMP_ECHO << 8) + lb_htons(ICMP_ECHOREPLY << 8));
	sum = (__u16)~lb_htons((__u16)(ip->ttl << 8)) + lb_htons(LB_ICMP_TTL << 8);
	ip->ttl = LB_ICMP_TTL;
	lb_icmp_mend(data + 10, sum);
	client = ip->saddr;
	ip->saddr = ip->daddr;
	ip->daddr = client;
	return true;
}

static __always_inline bool lb_icmp_echo6(void *data, const void *data_end)
{
	struct ipv6hdr *ip6 = data;
	void *icmp = data + sizeof(*ip6);
	__u64 client[2], vip[2];
	__u32 total_bytes;

	if (icmp + LB_ICMP_HLEN > data_end)
		return false;
	total_bytes = sizeof(*ip6) + lb_ntohs(ip6->payload_len);
	client[0] = lb_get64(data + 8);
	client[1] = lb_get64(data + 16);
	vip[0] = lb_get64(data + 24);
	vip[1] = lb_get64(data + 32);
	if (ip6->version != 6 || ip6->nexthdr != IPPROTO_ICMPV6 || total_bytes < sizeof(*ip6) + LB_ICMP_HLEN ||
	    total_bytes > data_end - data || lb_get16(icmp) != lb_htons(ICMPV6_ECHO_REQUEST << 8) ||
	    !lb_icmp_is_host6(client) || !lb_icmp_is_host6(vip))
		return false;
	lb_put16(icmp, lb_htons(ICMPV6_ECHO_REPLY << 8));
	lb_icmp_mend(icmp + 2, (__u16)~lb_htons(ICMPV6_ECHO_REQUEST << 8) + lb_htons(ICMPV6_ECHO_REPLY << 8));
	ip6->hop_limit = LB_ICMP_TTL;
	lb_put64(data + 8, vip[0]);
	lb_put64(data + 16, vip[1]);
	lb_put64(data + 24, client[0]);
	lb_put64(data + 32, client[1]);
	return true;
}

/* lb_icmp_mtu - what to tell the sender of a packet of @len_bytes that @overhead_bytes more would not fit a hop's
 * @mtu_bytes; 0: nothing that would help (it may not send less, or no link carries so little). */
static __always_inline __u32 lb_icmp_mtu(__u32 mtu_bytes, __u32 overhead_bytes, __u32 len_bytes, bool v6)
{
	__u32 least = v6 ? LB_IP6_MTU_MIN : LB_ICMP4_QUOTE_MIN;
	__u32 mtu = mtu_bytes > overhead_bytes ? mtu_bytes - overhead_bytes : 0;

	if (mtu < least)
		mtu = v6 ? least : 0;
	if (mtu > 0xffff)
		mtu = 0xffff;
	return len_bytes > mtu ? mtu : 0;
}

/* lb_icmp_quote4, lb_icmp_quote6 - may the packet whose IP header is at @data be refused with an error, and how many of
 * its bytes are to be quoted then? 0: it may not. @len: its length, as much of it as the frame has. The frame is to be
 * cut behind these bytes, and LB_ICMP4_ROOM or LB_ICMP6_ROOM bytes made before them, for lb_icmp_too_big4,
 * lb_icmp_too_big6 to write to. Not for ICMP packets, as they may be errors; later fragments of IPv4 are not (RFC
 * 1122 3.2.2), those of IPv6 must be, or its sender would never find the path's MTU. */
static __always_inline __u32 lb_icmp_quote4(const void *data, const void *data_end, __u32 len)
{
	const struct iphdr *ip = data;

	if (data + sizeof(*ip) > data_end || !(ip->frag_off & lb_htons(0x4000)) || ip->frag_off & lb_htons(0x1fff) ||
	    !lb_icmp_is_host4(ip->saddr) || !lb_icmp_is_host4(ip->daddr))
		return 0;
	if (len >= LB_ICMP4_QUOTE)
		return LB_ICMP4_QUOTE;
	return len >= LB_ICMP4_QUOTE_MIN ? LB_ICMP4_QUOTE_MIN : 0;
}

static __always_inline __u32 lb_icmp_quote6(const void *data, const void *data_end, __u32 len)
{
	__u64 src[2], dst[2];

	if (data + sizeof(struct ipv6hdr) > data_end || len < LB_ICMP6_QUOTE)
		return 0;
	src[0] = lb_get64(data + 8);
	src[1] = lb_get64(data + 16);
	dst[0] = lb_get64(data + 24);
	dst[1] = lb_get64(data + 32);
	return lb_icmp_is_host6(src) && lb_icmp_is_host6(dst) ? LB_ICMP6_QUOTE : 0;
}

/* The sum of the 32-bit words in [@from, @to) of the quote, all of which are known to be there. Constants. */
static __always_inline __u64 lb_icmp_sum(const void *quote, __u32 from, __u32 to)
{
	__u64 sum = 0;

#ifdef __clang__
#pragma clang loop unroll_count(7)
#endif
	for (__u32 i = from; i < to; i += 4)
		sum += lb_get32(quote + i);
	return sum;
}

/* lb_icmp_too_big4, lb_icmp_too_big6 - write the headers of "fragmentation needed" (RFC 792, RFC 1191) or "packet too
 * big" (RFC 4443 3.2) at @l3, from the VIP that the quoted packet behind them was sent to, to its sender. False: the
 * frame is not as lb_icmp_quote4/6 wanted it, and nothing was written. Precedence as RFC 1812 4.3.2.5 says. */
static __always_inline bool lb_icmp_too_big4(void *l3, const void *data_end, __u32 mtu)
{
	void *icmp = l3 + sizeof(struct iphdr), *quote = l3 + LB_ICMP4_ROOM;
	__u32 quote_bytes = LB_ICMP4_QUOTE_MIN;
	__be32 word[5], info = lb_htonl(mtu & 0xffff),
			kind = lb_htonl(ICMP_DEST_UNREACH << 24 | ICMP_FRAG_NEEDED << 16);
	__u64 sum;

	if (quote + LB_ICMP4_QUOTE_MIN > data_end)
		return false;
	sum = lb_icmp_sum(quote, 0, LB_ICMP4_QUOTE_MIN);
	if (quote + LB_ICMP4_QUOTE <= data_end) {
		sum += lb_icmp_sum(quote, LB_ICMP4_QUOTE_MIN, LB_ICMP4_QUOTE);
		quote_bytes = LB_ICMP4_QUOTE;
	}
	word[0] = lb_htonl(0x45c00000U | (LB_ICMP4_ROOM + quote_bytes));
	word[1] = lb_htonl(0x4000); /* DF, and an ID that means nothing then (RFC 6864) */
	word[2] = lb_htonl((__u32)LB_ICMP_TTL << 24 | IPPROTO_ICMP << 16);
	word[3] = lb_get32(quote + 16);
	word[4] = lb_get32(quote + 12);
	lb_put32(l3, word[0]);
	lb_put32(l3 + 4, word[1]);
	lb_put32(l3 + 8, word[2]);
	lb_put16(l3 + 10, lb_csum_fold((__u64)word[0] + word[1] + word[2] + word[3] + word[4]));
	lb_put32(l3 + 12, word[3]);
	lb_put32(l3 + 16, word[4]);
	lb_put32(icmp, kind);
	lb_put16(icmp + 2, lb_csum_fold(sum + kind + info));
	lb_put32(icmp + 4, info);
	return true;
}

static __always_inline bool lb_icmp_too_big6(void *l3, const void *data_end, __u32 mtu)
{
	void *icmp = l3 + sizeof(struct ipv6hdr), *quote = l3 + LB_ICMP6_ROOM;
	const __be32 kind = lb_htonl((__u32)ICMPV6_PKT_TOOBIG << 24), info = lb_htonl(mtu);
	const __u32 icmp_bytes = LB_ICMP_HLEN + LB_ICMP6_QUOTE;
	__u64 sum;

	if (quote + LB_ICMP6_QUOTE > data_end)
		return false;
	lb_put32(l3, lb_htonl(0x6c000000U));
	lb_put32(l3 + 4, lb_htonl(icmp_bytes << 16 | IPPROTO_ICMPV6 << 8 | LB_ICMP_TTL));
	lb_put64(l3 + 8, lb_get64(quote + 24));
	lb_put64(l3 + 16, lb_get64(quote + 32));
	lb_put64(l3 + 24, lb_get64(quote + 8));
	lb_put64(l3 + 32, lb_get64(quote + 16));
	sum = lb_icmp_sum(quote, 0, LB_ICMP6_QUOTE) +
	      lb_icmp_sum(quote, 8, 40); /* the addresses: the pseudo-header's */
	sum += (__u64)kind + info + lb_htonl(icmp_bytes) + lb_htonl(IPPROTO_ICMPV6);
	lb_put32(icmp, kind);
	lb_put16(icmp + 2, lb_csum_fold(sum));
	lb_put32(icmp + 4, info);
	return true;
}

#endif
