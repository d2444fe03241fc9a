/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fragments of datagrams to services: the first one has the ports, and leaves word of where it went for the later ones
 * to follow. Like the parser's, results that are not LB_V_FORWARDED pass a packet; what is wrong with a fragment is
 * noted, to be held against it once it is known to be for a service. Called by bpf/ and by tests.
 */
#ifndef LB_DP_FRAGMENT_H
#define LB_DP_FRAGMENT_H

#include "lb/dp/flow.h"
#include "lb/dp/hash.h"
#include "lb/dp/ext6.h"
#include "lb/dp/parse.h"

enum lb_fragment_kind {
	LB_FRAGMENT_WHOLE, /* no fragment, or one that is all of its datagram (RFC 6946) */
	LB_FRAGMENT_FIRST,
	LB_FRAGMENT_LATER,
};

enum lb_fragment_flaw {
	LB_FRAGMENT_SOUND,
	LB_FRAGMENT_TINY,      /* a first one without all of the transport header (RFC 1858 3, RFC 7112) */
	LB_FRAGMENT_OVERLAP,   /* a later one that begins within the transport header (RFC 1858 4, RFC 3128) */
	LB_FRAGMENT_MALFORMED, /* empty, longer than the frame, or not the last and not of a multiple of 8 bytes */
	LB_FRAGMENT_OVERLONG,  /* ends where no datagram does (RFC 791: 65535 bytes; RFC 8200 4.5) */
};

/* A fragment, and of which datagram. */
struct lb_fragment {
	__u32 id;    /* as it lies in the packet */
	__u32 at;    /* bytes of the datagram before this fragment's */
	__u32 bytes; /* of the datagram in this fragment */
	__u8 proto;  /* of the datagram; of a later IPv6 one, what its sender says that the first one begins with */
	bool more;   /* it is not the last */
	enum lb_fragment_kind kind;
	enum lb_fragment_flaw flaw;
};

/* 1 where @a is @b, else 0; without a branch. */
static __always_inline __u32 lb_fragment_is(__u8 a, __u8 b)
{
	return ((__u32)(a ^ b) + 0xff) >> 8 ^ 1;
}

/* What of a datagram to a service has to be in its first fragment. */
static __always_inline __u32 lb_fragment_l4_min(__u8 proto)
{
	return lb_fragment_is(proto, IPPROTO_TCP) * LB_TCP_HLEN_MIN + lb_fragment_is(proto, IPPROTO_UDP) * LB_UDP_HLEN +
	       lb_fragment_is(proto, IPPROTO_SCTP) * (LB_SCTP_HLEN + LB_SCTP_CHUNK_HLEN);
}

/* @ahead_bytes: headers before the datagram that its greatest length includes; @cut: the frame ends before it does. */
static __always_inline void lb_fragment_judge(struct lb_fragment *f, __u32 ahead_bytes, bool cut)
{
	f->kind = f->at ? LB_FRAGMENT_LATER : f->more ? LB_FRAGMENT_FIRST : LB_FRAGMENT_WHOLE;
	if (cut || !f->bytes || (f->more && f->bytes & 7))
		f->flaw = LB_FRAGMENT_MALFORMED;
	else if (ahead_bytes + f->at + f->bytes > 0xffff)
		f->flaw = LB_FRAGMENT_OVERLONG;
	else if (f->at && f->at < lb_fragment_l4_min(f->proto))
		f->flaw = LB_FRAGMENT_OVERLAP;
	else
		f->flaw = LB_FRAGMENT_SOUND;
}

/* The flow of a first fragment; its ports suffice. */
static __always_inline enum lb_verdict lb_fragment_flow(const void *ip, const void *data_end, struct lb_fragment *f,
							struct lb_packet *p)
{
	const void *l4 = ip + p->l4_off;
	const __u32 least = lb_fragment_l4_min(p->proto);
	__u32 header = least; /* bytes of it: TCP's says so */

	if (!lb_proto_is_followed(p->proto))
		return LB_V_PASS_PROTOCOL;
	if (l4 + 4 > data_end || p->l4_off + 4 > p->len)
		return LB_V_PASS_TRUNCATED;
	p->ports = lb_get32(l4);
	if (p->proto == IPPROTO_TCP && l4 + LB_TCP_HLEN_MIN <= data_end) {
		p->tcp_flags = ((const __u8 *)l4)[13];
		header = (((const __u8 *)l4)[12] & 0xf0) >> 2;
	}
	header = lb_forget(header, lb_get32(ip));
	if (f->flaw == LB_FRAGMENT_SOUND) {
		if (p->l4_off + least > p->len || p->l4_off + header > p->len)
			f->flaw = LB_FRAGMENT_TINY;
		else if (header < least)
			f->flaw = LB_FRAGMENT_MALFORMED;
	}
	f->flaw = (enum lb_fragment_flaw)lb_forget(f->flaw, lb_get32(ip));
	return LB_V_FORWARDED;
}

/* lb_fragment_parse4, lb_fragment_parse6 - what fragment is the packet whose IP header is at @data? A later one has no
 * ports and no flags. */
static __always_inline enum lb_verdict lb_fragment_parse4(const void *data, const void *data_end, struct lb_fragment *f,
							  struct lb_packet *p)
{
	const struct iphdr *ip = data;
	__u16 frag;

	if (data + sizeof(*ip) > data_end)
		return LB_V_PASS_TRUNCATED;
	if (ip->version != 4)
		return LB_V_PASS_NOT_IP;
	p->l4_off = ip->ihl * 4;
	p->len = lb_ntohs(ip->tot_len);
	if (p->l4_off < sizeof(*ip) || p->len < p->l4_off)
		return LB_V_PASS_TRUNCATED;
	frag = lb_ntohs(ip->frag_off);
	p->saddr4 = ip->saddr;
	p->daddr4 = ip->daddr;
	p->saddr[0] = 0;
	p->saddr[1] = lb_addr_of4(ip->saddr);
	p->daddr[0] = 0;
	p->daddr[1] = lb_addr_of4(ip->daddr);
	f->id = ip->id;
	f->at = (frag & 0x1fff) * 8;
	f->bytes = p->len - p->l4_off;
	f->proto = ip->protocol;
	p->proto = ip->protocol;
	p->v6 = false;
	p->room = data_end - data;
	p->tcp_flags = 0;
	p->fragment = true;
	f->more = frag & 0x2000;
	lb_fragment_judge(f, p->l4_off, p->len > data_end - data);
	return f->kind == LB_FRAGMENT_FIRST ? lb_fragment_flow(data, data_end, f, p) : LB_V_FORWARDED;
}

static __always_inline enum lb_verdict lb_fragment_parse6(const void *data, const void *data_end, struct lb_fragment *f,
							  struct lb_packet *p)
{
	enum lb_verdict v;
	const void *at;
	__u16 frag = 0;
	__u32 off;
	__u8 next;

	v = lb_ext6_enter(data, data_end, p, &off, &next, true);
	if (v != LB_V_FORWARDED)
		return v;
	off = lb_offset(off, lb_get32(data));
	f->id = 0;
	if (next == IPPROTO_FRAGMENT) {
		at = data + off;
		if (at + 8 > data_end)
			return LB_V_PASS_TRUNCATED;
		next = *(const __u8 *)at;
		frag = lb_ntohs(lb_get16(at + 2));
		f->id = lb_get32(at + 4);
		off += 8;
	}
	if (p->len < off)
		return LB_V_PASS_TRUNCATED;
	p->saddr[0] = lb_get64(data + 8);
	p->saddr[1] = lb_get64(data + 16);
	p->daddr[0] = lb_get64(data + 24);
	p->daddr[1] = lb_get64(data + 32);
	if (!p->daddr[0] && p->daddr[1] == lb_addr_of4(lb_addr_to4(p->daddr[1])))
		return LB_V_PASS_NO_SERVICE; /* as in lb_parse_ip6 */
	f->at = frag & 0xfff8;
	f->bytes = p->len - off;
	f->proto = next;
	p->proto = next;
	p->v6 = true;
	p->room = data_end - data;
	p->tcp_flags = 0;
	p->fragment = true;
	f->more = frag & 1;
	lb_fragment_judge(f, off - 8 - sizeof(struct ipv6hdr), p->len > data_end - data);
	if (f->kind != LB_FRAGMENT_FIRST)
		return LB_V_FORWARDED;
	v = lb_ext6_walk(data, data_end, &off, &next, false, false);
	p->l4_off = lb_offset(off, lb_get32(data));
	p->proto = next;
	return v == LB_V_FORWARDED ? lb_fragment_flow(data, data_end, f, p) : v;
}

/* ---- which way did the first one go? ----
 * Sets and entries as those of the flow cache (abi.h), in an array of their own and with a finer age: where a
 * datagram's first fragment went, the later ones find. Only the lower 24 bits are the caller's; not 0. LB_FLOW() with a
 * backend and its generation fits, and so does another index of up to 23 bits beside LB_FLOW_PROVEN's bit, which means
 * nothing else here. Entries are not refreshed: reassembly has a time limit from the first fragment on, which Linux
 * sets to 30 s for IPv4 (RFC 791 asks for 15 s at least), where IDs are used again soon, and RFC 8200 4.5 to 60 s for
 * IPv6. */
#define LB_FRAGMENT_AGE_SHIFT 32   /* ticks of 4.29 s, wraps in 18 min */
#define LB_FRAGMENT_IDLE4 7	   /* ticks: 30 s at least */
#define LB_FRAGMENT_IDLE6 14	   /* 60 s */
#define LB_FRAGMENT_WHERE 0xffffff /* the caller's bits of an entry */

/* A translated connection is found by its ports beside what each fragment has, and they do not fit: each half has an
 * entry, the second one under lb_fragment_other(hash). No LB_FLOW_PROVEN: that tells them from LB_FLOW()s. */
#define LB_FRAGMENT_PROVEN (1U << 15)
#define LB_FRAGMENT_PORTS (1U << 17)
#define LB_FRAGMENT_TCP (1U << 18)

static __always_inline __u64 lb_fragment_other(__u64 hash)
{
	return hash << 32 | hash >> 32;
}

/* lb_fragment_ports - what is entered for half of the ports, @half, of a datagram of @proto, IPPROTO_TCP or
 * IPPROTO_UDP. */
static __always_inline __u32 lb_fragment_ports(__u32 half, __u32 proto)
{
	return (half & 0x7fff) | (half & 0x8000) << 1 | LB_FRAGMENT_PORTS |
	       (proto == IPPROTO_TCP ? LB_FRAGMENT_TCP : 0);
}

static __always_inline bool lb_fragment_is_ports(__u32 where)
{
	return (where & (LB_FRAGMENT_PROVEN | LB_FRAGMENT_PORTS)) == LB_FRAGMENT_PORTS;
}

static __always_inline __u32 lb_fragment_half(__u32 where)
{
	return (where & 0x7fff) | (where >> 1 & 0x8000);
}

static __always_inline __u32 lb_fragment_proto(__u32 where)
{
	return where & LB_FRAGMENT_TCP ? IPPROTO_TCP : IPPROTO_UDP;
}

static __always_inline __u8 lb_fragment_age(__u64 now_ns)
{
	return (__u8)(now_ns >> LB_FRAGMENT_AGE_SHIFT);
}

/* lb_fragment_hash - of the datagram; its lengths are none that a flow's hash has. IPv6 reassembles whatever the later
 * fragments say their protocol is (RFC 8200 4.5). */
static __always_inline __u64 lb_fragment_hash(const __u64 key[2], const struct lb_fragment *f,
					      const struct lb_packet *p)
{
	struct lb_sip s;

	lb_sip_init(&s, key);
	if (p->v6) {
		lb_sip_word(&s, p->saddr[0]);
		lb_sip_word(&s, p->saddr[1]);
		lb_sip_word(&s, p->daddr[0]);
		lb_sip_word(&s, p->daddr[1]);
		return lb_sip_final(&s, f->id, 36);
	}
	lb_sip_word(&s, (__u64)lb_addr_to4(p->daddr[1]) << 32 | lb_addr_to4(p->saddr[1]));
	return lb_sip_final(&s, (__u64)f->proto << 32 | f->id, 11);
}

/* lb_fragment_salt - what is added to the IDs of datagrams from @saddr to @daddr when they are translated: see
 * lb_xlate_id4. */
static __always_inline __u32 lb_fragment_salt(const struct lb_hash_secret *s, const __u64 saddr[2],
					      const __u64 daddr[2])
{
	__u64 x = lb_hash_round(s, 0, saddr[0]) ^ saddr[1];

	x = lb_hash_round(s, 1, x) ^ daddr[0];
	x = lb_hash_round(s, 2, x) ^ daddr[1];
	x = lb_hash_round(s, 3, x);
	x = lb_hash_round(s, 0, x);
	return (__u32)(lb_hash_last(s, 1, x) >> 32);
}

static __always_inline __u32 lb_fragment_set_idx(__u64 hash)
{
	return (__u32)hash & (LB_FRAGMENT_SETS - 1);
}

static __always_inline bool lb_fragment_expired(__u64 entry, bool v6, __u8 now_age)
{
	return lb_flow_idle(entry, now_age) > (v6 ? LB_FRAGMENT_IDLE6 : LB_FRAGMENT_IDLE4);
}

/* lb_fragment_entry - where the datagram with @hash goes: @where, of LB_FRAGMENT_WHERE's bits, not 0. */
static __always_inline __u64 lb_fragment_entry(__u64 hash, __u32 where, __u8 now_age)
{
	return (__u64)lb_flow_tag(hash) << 32 | (__u32)now_age << 24 | (where & LB_FRAGMENT_WHERE);
}

/* lb_fragment_find - where the datagram with @hash goes, 0: not known. */
static __always_inline __u32 lb_fragment_find(const struct lb_flow_set *set, __u64 hash, bool v6, __u8 now_age)
{
	__u64 found = 0;

	LB_UNROLL
	for (int i = 0; i < LB_FLOW_WAYS; i++) {
		__u64 e = lb_load(&set->entry[i]);

		if (LB_FLOW_TAG(e) == lb_flow_tag(hash) && e & LB_FRAGMENT_WHERE)
			found = e;
	}
	return lb_fragment_expired(found, v6, now_age) ? 0 : (__u32)found & LB_FRAGMENT_WHERE;
}

/* lb_fragment_way - the way of @set that a new entry takes: that of the last datagram with this ID, or an empty one, or
 * the oldest one. */
static __always_inline __u32 lb_fragment_way(const struct lb_flow_set *set, __u64 hash, __u8 now_age)
{
	__u32 best = 0;

	LB_UNROLL
	for (int i = 0; i < LB_FLOW_WAYS; i++) {
		__u64 e = lb_load(&set->entry[i]);
		__u32 empty = (((__u32)e & LB_FRAGMENT_WHERE) + 0xffffff) >> 24 ^ 1;
		__u32 same = (__u32)(((__u64)(LB_FLOW_TAG(e) ^ lb_flow_tag(hash)) + 0xffffffff) >> 32) ^ 1;
		__u32 rank = (same << 9 | empty << 8 | lb_flow_idle(e, now_age)) << 3 | (LB_FLOW_WAYS - 1 - i);

		if (rank > best)
			best = rank;
	}
	return LB_FLOW_WAYS - 1 - (best & (LB_FLOW_WAYS - 1));
}

#endif
