/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ICMP and ICMPv6 errors about translated connections (RFC 5508): what an error quotes was translated on its way out,
 * so it is translated back, as are the error's own addresses; within a family or into the other one (RFC 7915). The one
 * entry that turns the packets of the quoted packet's receiver into others has all there is to know: the quote is such
 * a packet turned round, and a checksum does not see which of two addresses comes first. Called by bpf/ and by tests.
 *
 * Within a family: lb_icmp_nat4/6. Across families: lb_icmp_cross_take4/6; then the caller moves the frame's start by
 * .shift, looks where the packet is now, and calls lb_icmp_cross_write6/4. Whatever is refused is refused before the
 * first byte is written. Checksums follow by increment, so what was wrong stays wrong.
 */
#ifndef LB_DP_ICMP_NAT_H
#define LB_DP_ICMP_NAT_H

#include "lb/dp/icmp.h"
#include "lb/dp/translate.h"

/* An error that lb_icmp_parse4/6 followed. Offsets are from its IP header. */
struct lb_icmp_quote {
	__u32 icmp_off; /* of its ICMP header; the quoted IP header comes behind that */
	__u32 l4_off;	/* of the quoted transport header, of which 4 bytes are there */
	__u32 len;	/* bytes of the packet */
	__u8 proto;	/* of what is quoted */
	bool keeps;	/* its own source stays, as those of the clients' packets do */
	__u16 pad0;
};

/* The sums of what changes, as lb_icmp_mend takes them. */
static __always_inline __u64 lb_icmp_swap32(void *at, __u32 word)
{
	__u64 sum = (__u64)(__u32)~lb_get32(at) + word;

	lb_put32(at, word);
	return sum;
}

static __always_inline __u64 lb_icmp_swap64(void *at, __u64 word)
{
	__u64 old = ~lb_get64(at);

	lb_put64(at, word);
	return (old >> 32) + (old & 0xffffffff) + (word >> 32) + (word & 0xffffffff);
}

/* The quoted transport header at @l4: its ports and, when it is among the @bytes that are quoted, its checksum. Returns
 * what changed here. @x is the other direction's. */
static __always_inline __u64 lb_icmp_nat_l4(void *l4, const void *data_end, __u32 bytes, __u8 proto,
					    const struct lb_xlate *x)
{
	const __u32 at = proto == IPPROTO_TCP ? 16 : 6;
	__u64 changed = lb_icmp_swap32(l4, x->ports << 16 | x->ports >> 16);
	__u16 old, check;

	l4 += at;
	if (bytes < at + 2 || l4 + 2 > data_end)
		return changed;
	old = lb_get16(l4);
	check = proto == IPPROTO_TCP ? lb_csum_apply(old, x->l4_delta) : lb_csum_apply_udp(old, x->l4_delta);
	lb_put16(l4, check);
	return changed + (__u16)~old + check;
}

/* lb_icmp_nat4, lb_icmp_nat6 - translate the error at @l3 as @x translates packets of the flow that lb_icmp_parse4/6
 * made of it. Its own TTL goes down, the quoted one stays. Refused: LB_XLATE_TTL, LB_XLATE_MALFORMED. */
static __always_inline enum lb_xlate_result lb_icmp_nat4(void *l3, const void *data_end, const struct lb_icmp_quote *q,
							 const struct lb_xlate *x)
{
	void *icmp = l3 + lb_xlate_off(q->icmp_off), *l4 = l3 + lb_xlate_off(q->l4_off);
	void *quoted = icmp + LB_ICMP_HLEN;
	struct iphdr *ip = l3;
	__u64 sum;

	if (l3 + sizeof(*ip) > data_end || quoted + sizeof(*ip) > data_end || l4 + 4 > data_end)
		return LB_XLATE_MALFORMED;
	if (ip->ttl <= 1)
		return LB_XLATE_TTL;
	ip->ttl--;
	sum = (__u16)~lb_htons(0x0100);
	if (!q->keeps)
		sum += lb_icmp_swap32(l3 + 12, lb_xlate_addr4(x->saddr));
	sum += lb_icmp_swap32(l3 + 16, lb_xlate_addr4(x->daddr));
	lb_icmp_mend(l3 + 10, sum);
	sum = lb_icmp_swap32(quoted + 12, lb_xlate_addr4(x->daddr));
	sum += lb_icmp_swap32(quoted + 16, lb_xlate_addr4(x->saddr));
	lb_icmp_mend(quoted + 10, sum); /* all of that header adds up to what it did before */
	lb_icmp_mend(icmp + 2, lb_icmp_nat_l4(l4, data_end, q->len - q->l4_off, q->proto, x));
	return LB_XLATE_OK;
}

static __always_inline enum lb_xlate_result lb_icmp_nat6(void *l3, const void *data_end, const struct lb_icmp_quote *q,
							 const struct lb_xlate *x)
{
	void *icmp = l3 + lb_xlate_off(q->icmp_off), *l4 = l3 + lb_xlate_off(q->l4_off);
	void *quoted = icmp + LB_ICMP_HLEN;
	struct ipv6hdr *ip6 = l3;
	__u64 sum = 0;

	if (l3 + sizeof(*ip6) > data_end || quoted + sizeof(*ip6) > data_end || l4 + 4 > data_end)
		return LB_XLATE_MALFORMED;
	if (ip6->hop_limit <= 1)
		return LB_XLATE_TTL;
	ip6->hop_limit--;
	if (!q->keeps) {
		sum += lb_icmp_swap64(l3 + 8, x->saddr[0]);
		sum += lb_icmp_swap64(l3 + 16, x->saddr[1]);
	}
	sum += lb_icmp_swap64(l3 + 24, x->daddr[0]);
	sum += lb_icmp_swap64(l3 + 32, x->daddr[1]);
	sum += lb_icmp_swap64(quoted + 8, x->daddr[0]);
	sum += lb_icmp_swap64(quoted + 16, x->daddr[1]);
	sum += lb_icmp_swap64(quoted + 24, x->saddr[0]);
	sum += lb_icmp_swap64(quoted + 32, x->saddr[1]);
	lb_icmp_mend(icmp + 2, sum + lb_icmp_nat_l4(l4, data_end, q->len - q->l4_off, q->proto, x));
	return LB_XLATE_OK;
}

/* ---- what an error says in the other family ---- */

struct lb_icmp_msg {
	__u32 kind; /* type << 8 | code; 0: the other family has none like it */
	__u32 info; /* the word behind the checksum, host order: the MTU, the pointer; else 0 */
};

/* Bytes of IP packet on either side: where the error comes from, and where it goes. */
struct lb_icmp_mtus {
	__u32 here;
	__u32 there;
};

#define LB_ICMP_KIND(type, code) ((type) << 8 | (code))
#define LB_ICMP_NO_POINTER 0xff
#define LB_ICMP_GROWTH 20 /* bytes by which an IPv6 header is longer than an IPv4 one */

static __always_inline __u32 lb_icmp_min(__u32 a, __u32 b)
{
	return a < b ? a : b;
}

/* RFC 7915, figure 3. */
static __always_inline __u32 lb_icmp_pointer_to6(__u32 pointer)
{
	if (pointer <= 1)
		return pointer;
	if (pointer <= 3)
		return 4; /* payload length */
	if (pointer == 8)
		return 7; /* hop limit */
	if (pointer == 9)
		return 6; /* next header */
	if (pointer >= 12 && pointer <= 15)
		return 8; /* source */
	return pointer >= 16 && pointer <= 19 ? 24 : LB_ICMP_NO_POINTER;
}

/* RFC 7915, figure 6. */
static __always_inline __u32 lb_icmp_pointer_to4(__u32 pointer)
{
	if (pointer <= 1)
		return pointer;
	if (pointer == 4 || pointer == 5)
		return 2; /* total length */
	if (pointer == 6)
		return 9; /* protocol */
	if (pointer == 7)
		return 8; /* TTL */
	if (pointer >= 8 && pointer <= 23)
		return 12; /* source */
	return pointer >= 24 && pointer <= 39 ? 16 : LB_ICMP_NO_POINTER;
}

/* A router from before RFC 1191 names no MTU: the greatest plateau of its section 7 below the packet's length, of those
 * that make a difference to IPv6. */
static __always_inline __u32 lb_icmp_plateau(__u32 len_bytes)
{
	if (len_bytes > 32000)
		return 32000;
	if (len_bytes > 17914)
		return 17914;
	if (len_bytes > 8166)
		return 8166;
	if (len_bytes > 4352)
		return 4352;
	if (len_bytes > 2002)
		return 2002;
	return len_bytes > 1492 ? 1492 : 1006;
}

/* RFC 7915, 4.2: code by code of "destination unreachable" but for the packet that was too big. */
static __always_inline struct lb_icmp_msg lb_icmp_unreachable_to6(__u32 code)
{
	const __u32 no_route = 1 << ICMP_NET_UNREACH | 1 << ICMP_HOST_UNREACH | 1 << ICMP_SR_FAILED |
			       1 << ICMP_NET_UNKNOWN | 1 << ICMP_HOST_UNKNOWN | 1 << ICMP_HOST_ISOLATED |
			       1 << ICMP_NET_UNR_TOS | 1 << ICMP_HOST_UNR_TOS;
	const __u32 prohibited =
		1 << ICMP_NET_ANO | 1 << ICMP_HOST_ANO | 1 << ICMP_PKT_FILTERED | 1 << ICMP_PREC_CUTOFF;
	const __u32 bit = code < 32 ? 1U << code : 0;

	if (bit & no_route)
		return (struct lb_icmp_msg){.kind = LB_ICMP_KIND(ICMPV6_DEST_UNREACH, ICMPV6_NOROUTE)};
	if (bit & prohibited)
		return (struct lb_icmp_msg){.kind = LB_ICMP_KIND(ICMPV6_DEST_UNREACH, ICMPV6_ADM_PROHIBITED)};
	if (code == ICMP_PORT_UNREACH)
		return (struct lb_icmp_msg){.kind = LB_ICMP_KIND(ICMPV6_DEST_UNREACH, ICMPV6_PORT_UNREACH)};
	if (code == ICMP_PROT_UNREACH)
		return (struct lb_icmp_msg){.kind = LB_ICMP_KIND(ICMPV6_PARAMPROB, ICMPV6_UNK_NEXTHDR), .info = 6};
	return (struct lb_icmp_msg){0};
}

/* lb_icmp_to6 - the ICMPv6 error that says what the ICMPv4 error with @type, @code and the word @rest (host order)
 * does; RFC 7915 4.2. @quoted_bytes: the total length of the IPv4 packet that it quotes. */
static __always_inline struct lb_icmp_msg lb_icmp_to6(__u32 type, __u32 code, __u32 rest, __u32 quoted_bytes,
						      struct lb_icmp_mtus mtus)
{
	__u32 mtu, pointer;

	if (type == ICMP_TIME_EXCEEDED)
		return (struct lb_icmp_msg){.kind = LB_ICMP_KIND(ICMPV6_TIME_EXCEED, code)};
	if (type == ICMP_PARAMETERPROB) {
		pointer = lb_icmp_pointer_to6(rest >> 24);
		if ((code != 0 && code != 2) || pointer == LB_ICMP_NO_POINTER)
			return (struct lb_icmp_msg){0};
		return (struct lb_icmp_msg){.kind = LB_ICMP_KIND(ICMPV6_PARAMPROB, ICMPV6_HDR_FIELD), .info = pointer};
	}
	if (type != ICMP_DEST_UNREACH)
		return (struct lb_icmp_msg){0};
	if (code != ICMP_FRAG_NEEDED)
		return lb_icmp_unreachable_to6(code);
	mtu = rest & 0xffff ? rest & 0xffff : lb_icmp_plateau(quoted_bytes);
	mtu = lb_icmp_min(lb_icmp_min(mtu, mtus.here) + LB_ICMP_GROWTH, mtus.there);
	return (struct lb_icmp_msg){.kind = LB_ICMP_KIND(ICMPV6_PKT_TOOBIG, 0),
				    .info = mtu < LB_IP6_MTU_MIN ? LB_IP6_MTU_MIN : mtu};
}

/* lb_icmp_to4 - the ICMPv4 error that says what the ICMPv6 error does; RFC 7915 5.2. */
static __always_inline struct lb_icmp_msg lb_icmp_to4(__u32 type, __u32 code, __u32 rest, struct lb_icmp_mtus mtus)
{
	__u32 mtu, pointer;

	if (type == ICMPV6_TIME_EXCEED)
		return (struct lb_icmp_msg){.kind = LB_ICMP_KIND(ICMP_TIME_EXCEEDED, code)};
	if (type == ICMPV6_PKT_TOOBIG) {
		mtu = lb_icmp_min(rest, mtus.here);
		mtu = lb_icmp_min(mtu > LB_ICMP_GROWTH ? mtu - LB_ICMP_GROWTH : 0, mtus.there);
		return (struct lb_icmp_msg){.kind = LB_ICMP_KIND(ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED),
					    .info = mtu < LB_ICMP4_QUOTE_MIN ? LB_ICMP4_QUOTE_MIN : mtu & 0xffff};
	}
	if (type == ICMPV6_PARAMPROB) {
		if (code == ICMPV6_UNK_NEXTHDR)
			return (struct lb_icmp_msg){.kind = LB_ICMP_KIND(ICMP_DEST_UNREACH, ICMP_PROT_UNREACH)};
		pointer = lb_icmp_pointer_to4(rest);
		if (code != ICMPV6_HDR_FIELD || pointer == LB_ICMP_NO_POINTER)
			return (struct lb_icmp_msg){0};
		return (struct lb_icmp_msg){.kind = LB_ICMP_KIND(ICMP_PARAMETERPROB, 0), .info = pointer << 24};
	}
	if (type != ICMPV6_DEST_UNREACH || code > ICMPV6_PORT_UNREACH)
		return (struct lb_icmp_msg){0};
	if (code == ICMPV6_PORT_UNREACH)
		return (struct lb_icmp_msg){.kind = LB_ICMP_KIND(ICMP_DEST_UNREACH, ICMP_PORT_UNREACH)};
	return (struct lb_icmp_msg){.kind = LB_ICMP_KIND(ICMP_DEST_UNREACH, code == ICMPV6_ADM_PROHIBITED
										    ? ICMP_HOST_ANO
										    : ICMP_HOST_UNREACH)};
}

/* ---- across families ---- */

/* The headers of an error in front of the quoted transport header, where none has options or extension headers. */
#define LB_ICMP4_AHEAD (20 + LB_ICMP_HLEN + 20)
#define LB_ICMP6_AHEAD (40 + LB_ICMP_HLEN + 40)

/* What the new headers take from the old ones. */
struct lb_icmp_cross {
	struct lb_cross outer; /* .shift: of the whole frame's start */
	struct lb_cross quoted;
	struct lb_icmp_msg msg;
	__u64 sum; /* of the checksum and of all that is not there any more, the other way round */
	__u32 l4_bytes;
	__u32 pad0;
};

/* The words of [@at, @at + @bytes) as lb_csum_fold takes them; all are there. A constant. */
static __always_inline __u64 lb_icmp_words(const void *at, const int bytes)
{
	__u64 sum = 0;

	LB_UNROLL
	for (int i = 0; i < bytes; i += 4)
		sum += lb_get32(at + i);
	return sum;
}

/* The same to be taken away. */
static __always_inline __u64 lb_icmp_words_less(const void *at, const int bytes)
{
	return (__u64)(bytes / 4) * 0xffffffff - lb_icmp_words(at, bytes);
}

/* A verifier is to follow one error behind this, not each kind. */
static __always_inline void lb_icmp_msg_forget(struct lb_icmp_msg *msg, __u32 any)
{
	msg->kind = lb_forget(msg->kind, any);
	msg->info = lb_forget(msg->info, any);
}

/* lb_icmp_cross_take4 - note what an ICMPv6 error needs of the ICMPv4 error at @l3. What it quotes was made here, so it
 * has no options; nor do fragments have a place here: LB_XLATE_OPTIONS, also where IPv6 has no such error. Else
 * LB_XLATE_TTL, LB_XLATE_MALFORMED. RFC 4884's extensions become a part of what is quoted. */
static __always_inline enum lb_xlate_result lb_icmp_cross_take4(const void *l3, const void *data_end,
								const struct lb_icmp_quote *q, struct lb_icmp_mtus mtus,
								struct lb_icmp_cross *c)
{
	const void *icmp = l3 + lb_xlate_off(q->icmp_off);
	const struct iphdr *ip = l3, *quoted = icmp + LB_ICMP_HLEN;

	if (l3 + sizeof(*ip) > data_end || (const void *)(quoted + 1) + 4 > data_end)
		return LB_XLATE_MALFORMED;
	if (ip->ttl <= 1)
		return LB_XLATE_TTL;
	if (q->l4_off != q->icmp_off + LB_ICMP_HLEN + sizeof(*quoted) || quoted->frag_off & lb_htons(0x3fff))
		return LB_XLATE_OPTIONS;
	c->msg = lb_icmp_to6(*(const __u8 *)icmp, *(const __u8 *)(icmp + 1), lb_ntohl(lb_get32(icmp + 4)),
			     lb_ntohs(quoted->tot_len), mtus);
	lb_icmp_msg_forget(&c->msg, lb_get32(icmp));
	if (!c->msg.kind)
		return LB_XLATE_OPTIONS;
	c->outer.shift = (__s32)(q->l4_off - LB_ICMP6_AHEAD);
	c->outer.len = q->len - c->outer.shift;
	c->outer.tos = ip->tos;
	c->outer.ttl = ip->ttl - 1;
	c->quoted.len = lb_ntohs(quoted->tot_len) + LB_ICMP_GROWTH;
	c->quoted.tos = quoted->tos;
	c->quoted.ttl = quoted->ttl;
	c->l4_bytes = q->len - q->l4_off;
	c->sum = lb_icmp_words_less(icmp, LB_ICMP_HLEN + sizeof(*quoted));
	return LB_XLATE_OK;
}

/* lb_icmp_cross_take6 - note what an ICMPv4 error needs of the ICMPv6 error at @l3; likewise. */
static __always_inline enum lb_xlate_result lb_icmp_cross_take6(const void *l3, const void *data_end,
								const struct lb_icmp_quote *q, struct lb_icmp_mtus mtus,
								struct lb_icmp_cross *c)
{
	const void *icmp = l3 + lb_xlate_off(q->icmp_off), *quoted = icmp + LB_ICMP_HLEN;
	const struct ipv6hdr *ip6 = l3;

	if (l3 + sizeof(*ip6) > data_end || quoted + sizeof(*ip6) + 4 > data_end)
		return LB_XLATE_MALFORMED;
	if (ip6->hop_limit <= 1)
		return LB_XLATE_TTL;
	if (q->l4_off != q->icmp_off + LB_ICMP_HLEN + sizeof(*ip6))
		return LB_XLATE_OPTIONS;
	c->msg = lb_icmp_to4(*(const __u8 *)icmp, *(const __u8 *)(icmp + 1), lb_ntohl(lb_get32(icmp + 4)), mtus);
	lb_icmp_msg_forget(&c->msg, lb_get32(icmp));
	if (!c->msg.kind)
		return LB_XLATE_OPTIONS;
	c->outer.shift = (__s32)(q->l4_off - LB_ICMP4_AHEAD);
	c->outer.len = q->len - c->outer.shift;
	c->outer.tos = (__u8)(lb_ntohl(lb_get32(l3)) >> 20);
	c->outer.ttl = ip6->hop_limit - 1;
	c->quoted.len = sizeof(*ip6) + lb_ntohs(lb_get16(quoted + 4)) - LB_ICMP_GROWTH;
	c->quoted.tos = (__u8)(lb_ntohl(lb_get32(quoted)) >> 20);
	c->quoted.ttl = *(const __u8 *)(quoted + 7);
	c->l4_bytes = q->len - q->l4_off;
	/* with the pseudo-header: addresses, length, protocol */
	c->sum = lb_icmp_words_less(icmp, LB_ICMP_HLEN + sizeof(*ip6)) + lb_icmp_words_less(l3 + 8, 32) +
		 (__u32)~lb_htonl(q->len - q->icmp_off) + (__u32)~lb_htonl(IPPROTO_ICMPV6);
	return LB_XLATE_OK;
}

/* The headers say no more of either packet than that it is whole. */
static __always_inline void lb_icmp_cross_plain(struct lb_cross *c, __u8 proto)
{
	c->proto = proto;
	c->fragment = c->more = false;
	c->frag_off = 0;
	c->id = 0;
}

/* The ICMP header at @icmp, with @sum as its checksum; @info: its second word, host order. */
static __always_inline void lb_icmp_write(void *icmp, struct lb_icmp_cross *c, __u64 sum)
{
	__be32 kind = lb_htonl(c->msg.kind << 16), info = lb_htonl(c->msg.info);

	lb_put32(icmp, kind);
	lb_put32(icmp + 4, info);
	lb_put16(icmp + 2, lb_csum_fold(sum + kind + info));
}

/* lb_icmp_cross_write6, lb_icmp_cross_write4 - the error's headers in the other family at @l3, after the frame's start
 * moved, and behind them the ports and the checksum that it quotes. @proto: of what it quotes; @x: as for lb_icmp_nat4,
 * the error's source becomes x->saddr; @id: as for lb_cross_head4. LB_XLATE_MALFORMED is for the verifier. */
static __always_inline enum lb_xlate_result
lb_icmp_cross_write6(void *l3, const void *data_end, struct lb_icmp_cross *c, __u8 proto, const struct lb_xlate *x)
{
	void *icmp = l3 + sizeof(struct ipv6hdr), *quoted = icmp + LB_ICMP_HLEN, *l4 = l3 + LB_ICMP6_AHEAD;
	struct lb_xlate back;
	__u64 sum;

	if (l4 + 4 > data_end)
		return LB_XLATE_MALFORMED;
	back.saddr[0] = x->daddr[0];
	back.saddr[1] = x->daddr[1];
	back.daddr[0] = x->saddr[0];
	back.daddr[1] = x->saddr[1];
	lb_icmp_cross_plain(&c->outer, IPPROTO_ICMPV6);
	lb_icmp_cross_plain(&c->quoted, proto);
	lb_cross_head6(l3, &c->outer, x);
	lb_cross_head6(quoted, &c->quoted, &back);
	sum = c->sum + lb_icmp_nat_l4(l4, data_end, c->l4_bytes, proto, x) + lb_icmp_words(quoted, 40) +
	      lb_icmp_words(l3 + 8, 32) + lb_htonl(c->outer.len - sizeof(struct ipv6hdr)) + lb_htonl(IPPROTO_ICMPV6);
	lb_icmp_write(icmp, c, sum);
	return LB_XLATE_OK;
}

static __always_inline enum lb_xlate_result lb_icmp_cross_write4(void *l3, const void *data_end,
								 struct lb_icmp_cross *c, __u8 proto,
								 const struct lb_xlate *x, __u16 id)
{
	void *icmp = l3 + sizeof(struct iphdr), *quoted = icmp + LB_ICMP_HLEN, *l4 = l3 + LB_ICMP4_AHEAD;
	struct lb_xlate back;
	__u64 sum;

	if (l4 + 4 > data_end)
		return LB_XLATE_MALFORMED;
	back.saddr[1] = x->daddr[1];
	back.daddr[1] = x->saddr[1];
	lb_icmp_cross_plain(&c->outer, IPPROTO_ICMP);
	lb_icmp_cross_plain(&c->quoted, proto);
	lb_cross_head4(l3, &c->outer, x, id);
	lb_cross_head4(quoted, &c->quoted, &back, 0); /* which ID it had is not known any more */
	sum = c->sum + lb_icmp_nat_l4(l4, data_end, c->l4_bytes, proto, x) + lb_icmp_words(quoted, 20);
	lb_icmp_write(icmp, c, sum);
	return LB_XLATE_OK;
}

#endif
