/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A packet gets other addresses and ports, in its family or in the other one (RFC 7915). Checksums follow by increment
 * (RFC 1624): what a connection changes in them is the same for each of its packets, so it is worked out once, when the
 * connection is entered. Called by bpf/ and by tests.
 *
 * Within a family: lb_xlate_packet4/6, or lb_xlate_fragment4/6 for what carries no ports. Across families, where the
 * header's length changes: lb_cross_take4/6; then the caller moves the frame's start by .shift, looks where the packet
 * is now, and calls lb_cross_write6/4. Whatever is refused is refused before the first byte is written.
 */
#ifndef LB_DP_TRANSLATE_H
#define LB_DP_TRANSLATE_H

#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>

#include "lb/abi.h"
#include "lb/dp/base.h"
#include "lb/dp/checksum.h"

enum lb_xlate_result {
	LB_XLATE_OK,
	LB_XLATE_TTL,	    /* its TTL or hop limit is used up */
	LB_XLATE_MALFORMED, /* the frame ends before the headers do, or lengths do not agree */
	LB_XLATE_OPTIONS,   /* IPv4 options have no place in IPv6 */
	LB_XLATE_UNSUMMED,  /* IPv4 UDP without a checksum, which IPv6 does not know */
	LB_XLATE_OVERLONG,  /* a fragment that ends where no IPv4 datagram does */
};

/* ---- checksums ----
 * A *sum* is a __u64 to which words were added as they lie in memory, 64-bit ones by halves: what lb_csum_fold takes.
 * Its words must have begun at even offsets of what the checksum covers. A *delta* is the difference of two sums. */

/* lb_csum_addr - the sum of an address. ::ffff:a.b.c.d and a.b.c.d have the same: 0xffff is 0. */
static __always_inline __u64 lb_csum_addr(const __u64 addr[2])
{
	return (addr[0] & 0xffffffff) + (addr[0] >> 32) + (addr[1] & 0xffffffff) + (addr[1] >> 32);
}

/* lb_csum_delta - what there is to add when words with the sum @from become words with the sum @to. Not 0 unless both
 * are 0 throughout: no change is 0xffff. */
static __always_inline __u16 lb_csum_delta(__u64 from, __u64 to)
{
	return (__u16)~lb_csum_fold(to + lb_csum_fold(from));
}

/* lb_csum_apply - the checksum @check after a change by @delta (RFC 1624, eqn. 3). */
static __always_inline __u16 lb_csum_apply(__u16 check, __u16 delta)
{
	__u32 sum = (__u32)(__u16)~check + delta;

	return (__u16) ~((sum & 0xffff) + (sum >> 16));
}

/* lb_csum_apply_udp - the same for UDP, where 0 says that there is no checksum (RFC 768). */
static __always_inline __u16 lb_csum_apply_udp(__u16 check, __u16 delta)
{
	if (!check)
		return 0;
	check = lb_csum_apply(check, delta);
	return check ? check : 0xffff;
}

/* lb_xlate_deltas - fill @x's deltas for packets that come with these addresses and ports; the other fields are there.
 * Any pairing of families. */
static __always_inline void lb_xlate_deltas(struct lb_xlate *x, const __u64 saddr[2], const __u64 daddr[2], __u32 ports)
{
	__u64 from = lb_csum_addr(saddr) + lb_csum_addr(daddr);
	__u64 to = lb_csum_addr(x->saddr) + lb_csum_addr(x->daddr);

	x->l3_delta = lb_csum_delta(from + lb_htons(0x0100), to);
	x->l4_delta = lb_csum_delta(from + ports, to + x->ports);
}

/* ---- within a family ---- */

/* An offset below 32 KiB in steps of four, as all headers have. The mask tells the verifier what it forgot when the
 * value lay on the stack; a compiler that knows it to change nothing must not know. */
static __always_inline __u32 lb_xlate_off(__u64 off)
{
#ifdef __bpf__
	asm volatile("" : "+r"(off));
#endif
	return off & 0x7ffc;
}

/* An IPv4 address of struct lb_xlate, which is its last word's half. */
static __always_inline __be32 lb_xlate_addr4(const __u64 addr[2])
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return (__be32)(addr[1] >> 32);
#else
	return (__be32)addr[1];
#endif
}

/* lb_xlate_put_l4 - @ports, and the checksum with @delta, into the TCP or UDP header at @l4, which is there. */
static __always_inline void lb_xlate_put_l4(void *l4, __u8 proto, __u16 delta, __u32 ports)
{
	if (proto == IPPROTO_TCP)
		lb_put16(l4 + 16, lb_csum_apply(lb_get16(l4 + 16), delta));
	else
		lb_put16(l4 + 6, lb_csum_apply_udp(lb_get16(l4 + 6), delta));
	lb_put32(l4, ports);
}

/* lb_xlate_l4 - ports and checksum of the TCP or UDP header at @l4. LB_XLATE_OK or LB_XLATE_MALFORMED. */
static __always_inline enum lb_xlate_result lb_xlate_l4(void *l4, const void *data_end, __u8 proto,
							const struct lb_xlate *x)
{
	if (proto == IPPROTO_TCP) {
		if (l4 + 20 > data_end)
			return LB_XLATE_MALFORMED;
		lb_xlate_put_l4(l4, IPPROTO_TCP, x->l4_delta, x->ports);
	} else {
		if (l4 + 8 > data_end)
			return LB_XLATE_MALFORMED;
		lb_xlate_put_l4(l4, IPPROTO_UDP, x->l4_delta, x->ports);
	}
	return LB_XLATE_OK;
}

/* The IPv4 header at @ip, which is there: TTL, addresses, checksum. */
static __always_inline void lb_xlate_head4(struct iphdr *ip, const struct lb_xlate *x)
{
	ip->ttl--;
	ip->check = lb_csum_apply(ip->check, x->l3_delta);
	ip->saddr = lb_xlate_addr4(x->saddr);
	ip->daddr = lb_xlate_addr4(x->daddr);
}

static __always_inline void lb_xlate_head6(struct ipv6hdr *ip6, const struct lb_xlate *x)
{
	void *at = ip6;

	ip6->hop_limit--;
	lb_put64(at + 8, x->saddr[0]);
	lb_put64(at + 16, x->saddr[1]);
	lb_put64(at + 24, x->daddr[0]);
	lb_put64(at + 32, x->daddr[1]);
}

/* lb_xlate_packet4, lb_xlate_packet6 - the packet at @l3, or its first fragment, as a router passes it. @l4_off: bytes
 * from the IP header to the transport header, below 32 KiB; options and extension headers stay. @proto: IPPROTO_TCP or
 * IPPROTO_UDP. Refused: LB_XLATE_TTL, LB_XLATE_MALFORMED. */
static __always_inline enum lb_xlate_result lb_xlate_packet4(void *l3, const void *data_end, __u32 l4_off, __u8 proto,
							     const struct lb_xlate *x)
{
	struct iphdr *ip = l3;
	enum lb_xlate_result r;

	if (l3 + sizeof(*ip) > data_end)
		return LB_XLATE_MALFORMED;
	if (ip->ttl <= 1)
		return LB_XLATE_TTL;
	r = lb_xlate_l4(l3 + lb_xlate_off(l4_off), data_end, proto, x);
	if (r == LB_XLATE_OK)
		lb_xlate_head4(ip, x);
	return r;
}

static __always_inline enum lb_xlate_result lb_xlate_packet6(void *l3, const void *data_end, __u32 l4_off, __u8 proto,
							     const struct lb_xlate *x)
{
	struct ipv6hdr *ip6 = l3;
	enum lb_xlate_result r;

	if (l3 + sizeof(*ip6) > data_end)
		return LB_XLATE_MALFORMED;
	if (ip6->hop_limit <= 1)
		return LB_XLATE_TTL;
	r = lb_xlate_l4(l3 + lb_xlate_off(l4_off), data_end, proto, x);
	if (r == LB_XLATE_OK)
		lb_xlate_head6(ip6, x);
	return r;
}

/* lb_xlate_fragment4, lb_xlate_fragment6 - the same for a later fragment: it has addresses alone. */
static __always_inline enum lb_xlate_result lb_xlate_fragment4(void *l3, const void *data_end, const struct lb_xlate *x)
{
	struct iphdr *ip = l3;

	if (l3 + sizeof(*ip) > data_end)
		return LB_XLATE_MALFORMED;
	if (ip->ttl <= 1)
		return LB_XLATE_TTL;
	lb_xlate_head4(ip, x);
	return LB_XLATE_OK;
}

static __always_inline enum lb_xlate_result lb_xlate_fragment6(void *l3, const void *data_end, const struct lb_xlate *x)
{
	struct ipv6hdr *ip6 = l3;

	if (l3 + sizeof(*ip6) > data_end)
		return LB_XLATE_MALFORMED;
	if (ip6->hop_limit <= 1)
		return LB_XLATE_TTL;
	lb_xlate_head6(ip6, x);
	return LB_XLATE_OK;
}

/* ---- fragments of many senders that become one's ----
 * A datagram's fragments are known by its ID, which its sender chose for it, so that what comes from one address when
 * it is translated could have one twice (RFC 6864 5.3.1). @salt is of the sender and of whom it sends to: with it
 * added, those of one sender differ as they did, and those of two differ as if they had begun anywhere. */

/* lb_xlate_id4 - another ID for the fragment at @l3. */
static __always_inline void lb_xlate_id4(void *l3, const void *data_end, __u32 salt)
{
	struct iphdr *ip = l3;
	__u16 old, new;

	if (l3 + sizeof(*ip) > data_end)
		return;
	old = ip->id;
	new = (__u16)(old + salt);
	ip->id = new;
	ip->check = lb_csum_apply(ip->check, lb_csum_delta(old, new));
}

/* lb_xlate_id6 - the same of IPv6; what has other extension headers before the fragment header keeps its ID. */
static __always_inline void lb_xlate_id6(void *l3, const void *data_end, __u32 salt)
{
	const __u8 *next = l3 + 6;
	void *id = l3 + sizeof(struct ipv6hdr) + 4;

	if (id + 4 > data_end || *next != IPPROTO_FRAGMENT)
		return;
	lb_put32(id, lb_get32(id) + salt);
}

/* ---- across families ---- */

#define LB_CROSS_DF_MIN 1260 /* RFC 7915, 5.1: longer IPv4 packets made from IPv6 are not to be fragmented */

#define LB_UDP_SUM_MAX 2048 /* bytes of a datagram that is summed as a whole */

/* Of the last 63 bytes of the datagram at @udp, those that bit @bytes of its length @len stands for. */
#define LB_UDP_SUM_PART(bytes)                                                                                         \
	if (len & (bytes)) {                                                                                           \
		at = udp + lb_xlate_off(len & (0xfff & ~(2 * (bytes)-1)));                                             \
		if (at + (bytes) > data_end)                                                                           \
			return false;                                                                                  \
		for (int i = 0; i < (bytes); i += 4)                                                                   \
			part += lb_get32(at + i);                                                                      \
		lb_store(sum, lb_load(sum) + part);                                                                    \
		part = 0;                                                                                              \
	}

/* lb_udp_unsummed4 - is the packet at @l3, which has no options, UDP without a checksum? The caller knows that it is
 * UDP. */
static __always_inline bool lb_udp_unsummed4(const void *l3, const void *data_end)
{
	const void *udp = l3 + sizeof(struct iphdr);

	return udp + 8 <= data_end && *(const __u8 *)l3 == 0x45 && !lb_get16(udp + 6);
}

/* lb_udp_sum4 - give the IPv4 packet at @l3, of UDP without a checksum and without options, the one that it could have
 * had. @sum: where to add up; not on the stack, or a verifier tells apart all sums that there may be. False, and
 * nothing is written: it is none, or longer than LB_UDP_SUM_MAX. */
static __always_inline bool lb_udp_sum4(void *l3, const void *data_end, __u64 *sum)
{
	void *udp = l3 + sizeof(struct iphdr);
	const void *at = udp;
	__u64 part = 0;
	__u32 len, left;
	__u16 check;

	if (udp + 8 > data_end)
		return false;
	len = lb_ntohs(lb_get16(udp + 4));
	if (len < 8 || len > LB_UDP_SUM_MAX)
		return false;
	lb_store(sum, (__u64)lb_get32(l3 + 12) + lb_get32(l3 + 16) + lb_htons(IPPROTO_UDP) + lb_get16(udp + 4));
	/* the last bytes first: that leaves a verifier fewer ways through */
	LB_UDP_SUM_PART(32)
	LB_UDP_SUM_PART(16)
	LB_UDP_SUM_PART(8)
	LB_UDP_SUM_PART(4)
	at = udp + lb_xlate_off(len & 0xffc);
	if (len & 2) {
		if (at + 2 > data_end)
			return false;
		lb_store(sum, lb_load(sum) + lb_get16(at));
		at += 2;
	}
	if (len & 1) {
		if (at + 1 > data_end)
			return false;
		lb_store(sum, lb_load(sum) + lb_htons((__u16)(*(const __u8 *)at << 8)));
	}
	at = udp;
	left = len / 64;
#ifdef __clang__
#pragma clang loop unroll(disable)
#endif
	for (__u32 turn = 0; turn < LB_UDP_SUM_MAX / 64; turn++) {
#ifdef __bpf__
		/* or both ends become one number of turns, which a verifier does not know */
		asm volatile("" : "+r"(at), "+r"(left));
#endif
		if (turn >= left)
			break;
		if (at + 64 > data_end)
			return false;
		LB_UNROLL
		for (int i = 0; i < 64; i += 4)
			part += lb_get32(at + i);
		lb_store(sum, lb_load(sum) + part);
		part = 0;
		at += 64;
	}
	check = lb_csum_fold(lb_load(sum));
	lb_put16(udp + 6, check ? check : 0xffff);
	return true;
}
#undef LB_UDP_SUM_PART

/* What the new header takes from the old one. */
struct lb_cross {
	__s32 shift;	/* how far the frame's start moves, as bpf_xdp_adjust_head takes it; below 0 it grows */
	__u32 len;	/* bytes of the new packet, from its IP header on */
	__u32 id;	/* of a fragment, host order; IPv4 has its low half */
	__u16 frag_off; /* of a fragment, in units of 8 bytes */
	__u8 tos;	/* DSCP and ECN */
	__u8 ttl;	/* as it is to be sent */
	__u8 proto;	/* IPPROTO_*, as the new header is to say it */
	bool fragment;	/* the new header has to say so */
	bool more;	/* not the last of them */
	__u8 pad;
};

/* Is a transport header at @l4 that can be translated? Later fragments have none; other protocols are not ours. */
static __always_inline enum lb_xlate_result lb_cross_check(const void *l4, const void *data_end,
							   const struct lb_cross *c, bool need_sum)
{
	if (c->frag_off)
		return LB_XLATE_OK;
	if (c->proto == IPPROTO_TCP)
		return l4 + 20 > data_end ? LB_XLATE_MALFORMED : LB_XLATE_OK;
	if (c->proto == IPPROTO_UDP) {
		if (l4 + 8 > data_end)
			return LB_XLATE_MALFORMED;
		if (need_sum && !lb_get16(l4 + 6))
			return LB_XLATE_UNSUMMED;
	}
	return LB_XLATE_OK;
}

/* lb_cross_take4 - note what an IPv6 header needs of the IPv4 packet at @l3 (RFC 7915, 4.1). Only fragments get a
 * fragment header: a packet that may be fragmented but is whole stays whole, and is the caller's to refuse where it
 * does not fit. RFC 7915 would skip options, all but unexpired source routes; as few would ever see a packet with any,
 * LB_XLATE_OPTIONS says no to all. A UDP checksum of 0 would have to be computed over the data (4.5 allows to drop):
 * LB_XLATE_UNSUMMED. Also LB_XLATE_TTL, LB_XLATE_MALFORMED. */
static __always_inline enum lb_xlate_result lb_cross_take4(const void *l3, const void *data_end, struct lb_cross *c)
{
	const struct iphdr *ip = l3;
	__u32 len, frag;

	if (l3 + sizeof(*ip) > data_end)
		return LB_XLATE_MALFORMED;
	if (ip->ihl != 5)
		return ip->ihl > 5 ? LB_XLATE_OPTIONS : LB_XLATE_MALFORMED;
	if (ip->ttl <= 1)
		return LB_XLATE_TTL;
	len = lb_ntohs(ip->tot_len);
	if (len < sizeof(*ip))
		return LB_XLATE_MALFORMED;
	frag = lb_ntohs(ip->frag_off);
	c->frag_off = frag & 0x1fff;
	c->more = frag & 0x2000;
	c->fragment = frag & 0x3fff;
	c->id = lb_ntohs(ip->id);
	c->shift = c->fragment ? -28 : -20;
	c->len = len - c->shift;
	c->tos = ip->tos;
	c->ttl = ip->ttl - 1;
	c->proto = ip->protocol;
	return lb_cross_check(l3 + sizeof(*ip), data_end, c, true);
}

/* lb_cross_take6 - note what an IPv4 header needs of the IPv6 packet at @l3 (RFC 7915, 5.1). @l4_off: bytes to what
 * follows the last extension header, or the fragment header of a later fragment; @proto: what that is. What lies
 * between is left out, as the RFC says; a routing header that is not used up must not come here. @frag_off: bytes to
 * the fragment header, 0: none. A UDP checksum of 0 (RFC 6935) stays 0. LB_XLATE_TTL, LB_XLATE_MALFORMED,
 * LB_XLATE_OVERLONG. */
static __always_inline enum lb_xlate_result lb_cross_take6(const void *l3, const void *data_end, __u32 l4_off,
							   __u32 frag_off, __u8 proto, struct lb_cross *c)
{
	const struct ipv6hdr *ip6 = l3;
	__u32 len;

	if (l3 + sizeof(*ip6) > data_end)
		return LB_XLATE_MALFORMED;
	if (ip6->hop_limit <= 1)
		return LB_XLATE_TTL;
	l4_off = lb_xlate_off(l4_off);
	len = sizeof(*ip6) + lb_ntohs(ip6->payload_len);
	if (l4_off < sizeof(*ip6) || len < l4_off || len - l4_off > 0xffff - sizeof(struct iphdr))
		return LB_XLATE_MALFORMED;
	c->frag_off = 0;
	c->more = false;
	c->fragment = false;
	c->id = 0;
	if (frag_off) {
		const void *frag = l3 + lb_xlate_off(frag_off);
		__u32 word;

		if (frag + 8 > data_end)
			return LB_XLATE_MALFORMED;
		word = lb_ntohs(lb_get16(frag + 2));
		c->frag_off = (__u16)(word >> 3);
		c->more = word & 1;
		c->fragment = true;
		c->id = lb_ntohl(lb_get32(frag + 4));
		/* IPv4's greatest length includes its header, that of IPv6 does not */
		if ((word & 0xfff8) + len - l4_off > 0xffff - sizeof(struct iphdr))
			return LB_XLATE_OVERLONG;
	}
	c->shift = (__s32)(l4_off - sizeof(struct iphdr));
	c->len = len - c->shift;
	c->tos = (__u8)(lb_ntohl(lb_get32(l3)) >> 20);
	c->ttl = ip6->hop_limit - 1;
	c->proto = proto;
	return lb_cross_check(l3 + l4_off, data_end, c, false);
}

#define LB_CROSS_FRAGMENT6 (sizeof(struct ipv6hdr) + 8) /* bytes before what a fragment carries */

/* lb_cross_fragment6 - has the fragment at @l3 no extension header before its fragment header? Then lb_cross_take6 is
 * to be told of LB_CROSS_FRAGMENT6, and the fragment header in front of that. */
static __always_inline bool lb_cross_fragment6(const void *l3, const void *data_end)
{
	return l3 + LB_CROSS_FRAGMENT6 <= data_end && *(const __u8 *)(l3 + 6) == IPPROTO_FRAGMENT;
}

/* lb_cross_head4, lb_cross_head6 - the new IP header of 20 or 40 bytes at @l3, which has the room. @id: for a packet
 * that may be fragmented on its way, a number that its like are unlikely to have now (RFC 6864). */
static __always_inline void lb_cross_head4(void *l3, const struct lb_cross *c, const struct lb_xlate *x, __u16 id)
{
	__u32 frag = c->fragment		? (c->id & 0xffff) << 16 | (c->more ? 0x2000 : 0) | c->frag_off
		     : c->len > LB_CROSS_DF_MIN ? 0x4000
						: (__u32)id << 16;
	__be32 word[5] = {
		lb_htonl(0x45U << 24 | (__u32)c->tos << 16 | (c->len & 0xffff)),
		lb_htonl(frag),
		lb_htonl((__u32)c->ttl << 24 | (__u32)c->proto << 16),
		lb_xlate_addr4(x->saddr),
		lb_xlate_addr4(x->daddr),
	};

	lb_put32(l3, word[0]);
	lb_put32(l3 + 4, word[1]);
	lb_put32(l3 + 8, word[2]);
	lb_put16(l3 + 10, lb_csum_fold((__u64)word[0] + word[1] + word[2] + word[3] + word[4]));
	lb_put32(l3 + 12, word[3]);
	lb_put32(l3 + 16, word[4]);
}

static __always_inline void lb_cross_head6(void *l3, const struct lb_cross *c, const struct lb_xlate *x)
{
	__u8 next = c->fragment ? IPPROTO_FRAGMENT : c->proto;

	lb_put32(l3, lb_htonl(6U << 28 | (__u32)c->tos << 20));
	lb_put32(l3 + 4, lb_htonl((c->len - sizeof(struct ipv6hdr)) << 16 | (__u32)next << 8 | c->ttl));
	lb_put64(l3 + 8, x->saddr[0]);
	lb_put64(l3 + 16, x->saddr[1]);
	lb_put64(l3 + 24, x->daddr[0]);
	lb_put64(l3 + 32, x->daddr[1]);
}

/* What lies behind a new IP header: ports and checksum, where there are any. */
static __always_inline enum lb_xlate_result lb_cross_l4(void *l4, const void *data_end, const struct lb_cross *c,
							const struct lb_xlate *x)
{
	if (c->frag_off || (c->proto != IPPROTO_TCP && c->proto != IPPROTO_UDP))
		return LB_XLATE_OK;
	return lb_xlate_l4(l4, data_end, c->proto, x);
}

/* lb_cross_write4, lb_cross_write6 - the header of the other family at @l3, after the frame's start moved by
 * @c->shift, and behind it ports and checksum of TCP and UDP, but for later fragments. LB_XLATE_MALFORMED is for the
 * verifier: what lb_cross_take6/4 allowed has its room. */
static __always_inline enum lb_xlate_result lb_cross_write4(void *l3, const void *data_end, const struct lb_cross *c,
							    const struct lb_xlate *x, __u16 id)
{
	if (l3 + sizeof(struct iphdr) > data_end)
		return LB_XLATE_MALFORMED;
	lb_cross_head4(l3, c, x, id);
	return lb_cross_l4(l3 + sizeof(struct iphdr), data_end, c, x);
}

static __always_inline enum lb_xlate_result lb_cross_write6(void *l3, const void *data_end, const struct lb_cross *c,
							    const struct lb_xlate *x)
{
	if (l3 + sizeof(struct ipv6hdr) > data_end)
		return LB_XLATE_MALFORMED;
	lb_cross_head6(l3, c, x);
	if (!c->fragment)
		return lb_cross_l4(l3 + sizeof(struct ipv6hdr), data_end, c, x);
	if (l3 + sizeof(struct ipv6hdr) + 8 > data_end)
		return LB_XLATE_MALFORMED;
	lb_put32(l3 + 40, lb_htonl((__u32)c->proto << 24 | (__u32)c->frag_off << 3 | c->more));
	lb_put32(l3 + 44, lb_htonl(c->id));
	return lb_cross_l4(l3 + 48, data_end, c, x);
}

#endif
