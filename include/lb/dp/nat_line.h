/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A cache line, of IPv6 two, with all that an established connection's packets need, one way: a copy of its entry in
 * lb_conns, whose look-up takes longer than the rest of such a packet. Called by bpf/, by the collector of what has
 * expired, and by tests.
 *
 * Each CPU has lines of its own, so that none is read while it is being written. Who removes an entry or changes what
 * lines copy of it adds to the epoch of its key: a line is worth something as long as the epoch is what it was before
 * the entry was read. It is kept of connections alone of which nothing is to be noted before LB_CONN_GRAIN_S are over,
 * and no longer than that: then a packet asks the entry again.
 */
#ifndef LB_DP_NAT_LINE_H
#define LB_DP_NAT_LINE_H

#include <linux/ip.h>
#include <linux/ipv6.h>

#include "lb/abi.h"
#include "lb/dp/base.h"
#include "lb/dp/conn.h"
#include "lb/dp/hash.h"
#include "lb/dp/nat.h"
#include "lb/dp/steer.h"
#include "lb/dp/translate.h"

struct lb_nat_line {
	__u64 addrs;	/* the packets': source and destination, as they lie there */
	__u32 ports;	/* likewise */
	__u32 what;	/* LB_NAT_LINE_WHAT; 0: nobody's */
	__u32 epoch;	/* its key's, from before the entry was read */
	__u32 stamp;	/* the entry's */
	__u64 to_addrs; /* what they become */
	__u32 to_ports;
	__u16 l3_delta, l4_delta;
	__u64 mac0; /* struct lb_conn_hop; there are no tags */
	__u32 mac1;
	__u32 ifindex;
	__u16 backend;
	__u16 service;
	__u8 gen;
	__u8 refused; /* of the first line of a set: packets that found no room in it, lb_nat_line_keep */
	__u8 pad[2];
};
_Static_assert(sizeof(struct lb_nat_line) == 64, "one cache line");

/* So many packets without a line are sent before one takes another connection's, so that lines are theirs that send
 * most, and few are written. */
#define LB_NAT_LINE_PATIENCE 16

/* The same of IPv6: two cache lines, a set. What says whose each half is lies where it does in a line of IPv4, so that
 * either of them sees the other there, and half of one is none. */
struct lb_nat_line6 {
	__u64 saddr0;
	__u32 ports;
	__u32 what; /* with LB_NAT_LINE_V6 */
	__u32 epoch;
	__u32 stamp;
	__u64 saddr1;
	__u64 daddr[2];
	__u64 mac0;
	__u16 backend;
	__u16 service;
	__u8 pad0;
	__u8 refused;
	__u16 l4_delta;

	__u64 to_saddr0;
	__u32 to_ports;
	__u32 what2; /* as .what */
	__u32 mac1;
	__u32 stamp2; /* as .stamp */
	__u64 to_saddr1;
	__u64 to_daddr[2];
	__u32 ifindex;
	__u8 pad[4];
	__u64 its; /* what the backend's word is to be: LB_NAT_LINE_ITS */
};
_Static_assert(sizeof(struct lb_nat_line6) == 128, "two cache lines");

/* What it compares of that: its service, generation, and that it is alive; of packets to it, that it is not reached
 * with tags. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define LB_NAT_LINE_GEN(gen) ((__u64)(gen) << 40)
#else
#define LB_NAT_LINE_GEN(gen) ((__u64)(gen) << 16)
#endif
#define LB_NAT_LINE_ITS (LB_BACKEND_WORD(0xffff, 0, 0, LB_BACKEND_F_ALIVE) | LB_NAT_LINE_GEN(0xff))
#define LB_NAT_LINE_ITS_FORWARD (LB_NAT_LINE_ITS | LB_BACKEND_WORD(0, 0, 0, LB_BACKEND_F_TAGGED))

/* Where lines may lie: two of IPv4, or one of IPv6. */
struct lb_nat_set {
	union {
		struct lb_nat_line way[2];
		struct lb_nat_line6 six;
	};
};
_Static_assert(__builtin_offsetof(struct lb_nat_set, way[0].what) == __builtin_offsetof(struct lb_nat_set, six.what) &&
		       __builtin_offsetof(struct lb_nat_set, way[0].stamp) ==
			       __builtin_offsetof(struct lb_nat_set, six.stamp) &&
		       __builtin_offsetof(struct lb_nat_set, way[0].refused) ==
			       __builtin_offsetof(struct lb_nat_set, six.refused) &&
		       __builtin_offsetof(struct lb_nat_set, way[1].what) ==
			       __builtin_offsetof(struct lb_nat_set, six.what2) &&
		       __builtin_offsetof(struct lb_nat_set, way[1].stamp) ==
			       __builtin_offsetof(struct lb_nat_set, six.stamp2),
	       "one sees the other");

#define LB_NAT_LINE_WHAT(proto, reply) ((__u32)(proto) | (__u32)(reply) << 8)
#define LB_NAT_LINE_V6 (1U << 9)

/* lb_nat_line_hash - where a direction of a connection has its line and its epoch, by its packets' words. */
static __always_inline __u64 lb_nat_line_hash(const struct lb_hash_secret *s, __u64 addrs, __u32 ports, __u8 proto)
{
	__u64 x = lb_hash_round(s, 0, addrs) ^ ports ^ (__u64)proto << 32;

	return lb_hash_last(s, 2, lb_hash_round(s, 1, x));
}

/* lb_nat_set_idx - of as many sets as there may be. */
static __always_inline __u32 lb_nat_set_idx(__u64 hash)
{
	return (__u32)(hash >> 32);
}

static __always_inline __u32 lb_nat_epoch_idx(__u64 hash)
{
	return (__u32)(hash >> 48) & (LB_NAT_EPOCHS - 1);
}

/* lb_nat_epoch_word, lb_nat_epoch_one - the word that has the epoch @idx, and what it is to be added to atomically for
 * that to be another one: there is no addition to half of a word. What the lower half carries over ends the other one's
 * lines, which then ask once more. */
static __always_inline __u32 *lb_nat_epoch_word(struct lb_nat_epochs *e, __u32 idx)
{
	return (__u32 *)e + (idx % LB_NAT_EPOCHS) / 2;
}

static __always_inline __u32 lb_nat_epoch_one(__u32 idx)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return idx & 1 ? 1U << 16 : 1;
#else
	return idx & 1 ? 1 : 1U << 16;
#endif
}

/* Two IPv4 addresses of a key as they lie beside each other in a packet. */
static __always_inline __u64 lb_nat_line_addrs(const __u64 saddr[2], const __u64 daddr[2])
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return lb_xlate_addr4(saddr) | (__u64)lb_xlate_addr4(daddr) << 32;
#else
	return (__u64)lb_xlate_addr4(saddr) << 32 | lb_xlate_addr4(daddr);
#endif
}

/* lb_nat_line6_hash - lb_nat_line_hash of IPv6; @addrs: source and destination as they lie beside each other, in a
 * packet and in a key. */
static __always_inline __u64 lb_nat_line6_hash(const struct lb_hash_secret *s, const void *addrs, __u32 ports,
					       __u8 proto)
{
	__u64 x = lb_hash_round(s, 0, lb_get64(addrs)) ^ lb_get64(addrs + 8);

	x = lb_hash_round(s, 1, x) ^ lb_get64(addrs + 16);
	x = lb_hash_round(s, 2, x) ^ lb_get64(addrs + 24);
	x = lb_hash_round(s, 3, x) ^ ports ^ (__u64)proto << 32;
	return lb_hash_last(s, 2, lb_hash_round(s, 1, x));
}

/* lb_nat_line_key_hash - that of what has @key. */
static __always_inline __u64 lb_nat_line_key_hash(const struct lb_hash_secret *s, const struct lb_conn_key *key)
{
	if (!lb_addr_is_mapped4(key->daddr))
		return lb_nat_line6_hash(s, key->saddr, key->ports, (__u8)key->proto);
	return lb_nat_line_hash(s, lb_nat_line_addrs(key->saddr, key->daddr), key->ports, (__u8)key->proto);
}

/* lb_nat_line_is - is it the one of packets with these words, and worth something? */
static __always_inline bool lb_nat_line_is(const struct lb_nat_line *l, __u64 addrs, __u32 ports, __u32 what,
					   __u32 epoch, __u32 now)
{
	if (lb_unlikely((l->addrs ^ addrs) | (l->ports ^ ports) | (l->what ^ what) | (l->epoch ^ epoch)))
		return false;
	return (__s32)(now - l->stamp) < LB_CONN_GRAIN_S;
}

/* lb_nat_line_at - the only line of @set that can be the one of packets with these words. The other way is no other
 * path: a verifier would follow both to the end. */
static __always_inline const struct lb_nat_line *lb_nat_line_at(const struct lb_nat_set *set, __u64 addrs, __u32 ports)
{
	__u64 differ = (set->way[0].addrs ^ addrs) | (set->way[0].ports ^ ports), way = (differ | -differ) >> 63;

#ifdef __bpf__
	__asm__ volatile("" : "+r"(way));
#endif
	return &set->way[way & 1];
}

/* lb_nat_line_settled - would an ordinary packet, which is neither of a TCP connection's beginning nor of its end,
 * leave the @word of its direction as it is while its stamp is fresh? */
static __always_inline bool lb_nat_line_settled(__u64 word, __u8 proto)
{
	if (proto != IPPROTO_TCP)
		return word & LB_CONN_SEEN;
	return (word & (LB_CONN_ACK | LB_CONN_RST)) == LB_CONN_ACK;
}

/* lb_nat_line_of - is @l a line of packets that come with @key, of IPv4? */
static __always_inline bool lb_nat_line_of(const struct lb_nat_line *l, const struct lb_conn_key *key)
{
	return ((l->addrs ^ lb_nat_line_addrs(key->saddr, key->daddr)) | (l->ports ^ key->ports) |
		((__u8)l->what ^ key->proto)) == 0;
}

/* lb_nat_line_may_have - can packets of @c, whose key's protocol is @proto, do with a line? Not the client's before they
 * have opened the connection, which their entry is to note. */
static __always_inline bool lb_nat_line_may_have(const struct lb_conn *c, __u8 proto)
{
	const __u64 word = lb_load(&c->word);

	if (c->flags & LB_CONN_F_CROSS || c->hop.tags || !lb_nat_line_settled(word, proto))
		return false;
	return c->flags & LB_CONN_F_REPLY || !lb_conn_asks(word);
}

/* lb_nat_line_spare - is @l nobody's, or not renewed in time, so that nobody needs it? */
static __always_inline bool lb_nat_line_spare(const struct lb_nat_line *l, __u32 now)
{
	return !l->what || (__s32)(now - l->stamp) >= LB_CONN_GRAIN_S;
}

/* lb_nat_line_fill - @l becomes the line of @c, of IPv4, which has @key. @epoch: from before @c was looked up. */
static __always_inline void lb_nat_line_fill(struct lb_nat_line *l, const struct lb_conn_key *key,
					     const struct lb_conn *c, __u32 epoch)
{
	l->addrs = lb_nat_line_addrs(key->saddr, key->daddr);
	l->ports = key->ports;
	l->what = LB_NAT_LINE_WHAT(key->proto, !!(c->flags & LB_CONN_F_REPLY));
	l->epoch = epoch;
	l->stamp = LB_CONN_STAMP(lb_load(&c->word));
	l->to_addrs = lb_nat_line_addrs(c->xlate.saddr, c->xlate.daddr);
	l->to_ports = c->xlate.ports;
	l->l3_delta = c->xlate.l3_delta;
	l->l4_delta = c->xlate.l4_delta;
	l->mac0 = c->hop.mac0;
	l->mac1 = c->hop.mac1;
	l->ifindex = c->hop.ifindex;
	l->backend = c->backend;
	l->service = c->service;
	l->gen = c->gen;
}

/* lb_nat_line_write - the packet at @ip, without options, as @l says; its TTL allows it. The frame has its headers. */
static __always_inline void lb_nat_line_write(void *ip, __u8 proto, const struct lb_nat_line *l)
{
	lb_xlate_put_l4(ip + sizeof(struct iphdr), proto, l->l4_delta, l->to_ports);
	((struct iphdr *)ip)->ttl--;
	lb_put16(ip + 10, lb_csum_apply(lb_get16(ip + 10), l->l3_delta));
	lb_put64(ip + 12, l->to_addrs);
}

/* ---- IPv6 ---- */

/* How much @l differs from the line of packets that have these words and are @what; @addrs: see lb_nat_line6_hash. */
static __always_inline __u64 lb_nat_line6_differs(const struct lb_nat_line6 *l, const void *addrs, __u32 ports,
						  __u32 what)
{
	return (l->saddr0 ^ lb_get64(addrs)) | (l->saddr1 ^ lb_get64(addrs + 8)) |
	       (l->daddr[0] ^ lb_get64(addrs + 16)) | (l->daddr[1] ^ lb_get64(addrs + 24)) | (l->ports ^ ports) |
	       (l->what ^ what) | (l->what2 ^ what);
}

/* lb_nat_line6_is - is it theirs, and worth something? */
static __always_inline bool lb_nat_line6_is(const struct lb_nat_line6 *l, const void *addrs, __u32 ports, __u32 what,
					    __u32 epoch, __u32 now)
{
	if (lb_unlikely(lb_nat_line6_differs(l, addrs, ports, what) | (l->epoch ^ epoch)))
		return false;
	return (__s32)(now - l->stamp) < LB_CONN_GRAIN_S;
}

/* lb_nat_line6_fill - @l becomes the line of @c, whose packets come with @key and are @what. @epoch: from before @c was
 * looked up. */
static __always_inline void lb_nat_line6_fill(struct lb_nat_line6 *l, const struct lb_conn_key *key, __u32 what,
					      const struct lb_conn *c, __u32 epoch)
{
	l->saddr0 = key->saddr[0];
	l->saddr1 = key->saddr[1];
	l->daddr[0] = key->daddr[0];
	l->daddr[1] = key->daddr[1];
	l->ports = key->ports;
	l->what = l->what2 = what;
	l->epoch = epoch;
	l->stamp = l->stamp2 = LB_CONN_STAMP(lb_load(&c->word));
	l->to_saddr0 = c->xlate.saddr[0];
	l->to_saddr1 = c->xlate.saddr[1];
	l->to_daddr[0] = c->xlate.daddr[0];
	l->to_daddr[1] = c->xlate.daddr[1];
	l->to_ports = c->xlate.ports;
	l->l4_delta = c->xlate.l4_delta;
	l->mac0 = c->hop.mac0;
	l->mac1 = c->hop.mac1;
	l->ifindex = c->hop.ifindex;
	l->backend = c->backend;
	l->service = c->service;
	l->its = LB_BACKEND_WORD(c->service, 0, 0, LB_BACKEND_F_ALIVE) | LB_NAT_LINE_GEN(c->gen);
}

/* lb_nat_line6_keep - lb_nat_line_keep of IPv6. */
static __always_inline void lb_nat_line6_keep(struct lb_nat_set *set, const struct lb_conn_key *key,
					      const struct lb_conn *c, __u32 epoch, __u32 now)
{
	const __u32 what = LB_NAT_LINE_WHAT(key->proto, !!(c->flags & LB_CONN_F_REPLY)) | LB_NAT_LINE_V6;
	const bool its = !lb_nat_line6_differs(&set->six, key->saddr, key->ports, what);

	if (!lb_nat_line_may_have(c, (__u8)key->proto)) {
		if (its)
			set->six.what = set->six.what2 = 0;
		return;
	}
	if (!its && !(lb_nat_line_spare(&set->way[0], now) && lb_nat_line_spare(&set->way[1], now)) &&
	    ++set->six.refused % LB_NAT_LINE_PATIENCE)
		return;
	lb_nat_line6_fill(&set->six, key, what, c, epoch);
}

/* lb_nat_line6_write - the packet at @ip6, without extension headers, as @l says; its hop limit allows it. The frame
 * has its headers. */
static __always_inline void lb_nat_line6_write(void *ip6, __u8 proto, const struct lb_nat_line6 *l)
{
	lb_xlate_put_l4(ip6 + sizeof(struct ipv6hdr), proto, l->l4_delta, l->to_ports);
	((struct ipv6hdr *)ip6)->hop_limit--;
	lb_put64(ip6 + 8, l->to_saddr0);
	lb_put64(ip6 + 16, l->to_saddr1);
	lb_put64(ip6 + 24, l->to_daddr[0]);
	lb_put64(ip6 + 32, l->to_daddr[1]);
}

/* ---- IPv4 ---- */

/* lb_nat_line_keep - renews the line in @set of @c, which has @key, or makes one where there is room or its turn has
 * come, or takes it back, as @c is now. IPv4. @epoch: from before @c was looked up. @now: in seconds. */
static __always_inline void lb_nat_line_keep(struct lb_nat_set *set, const struct lb_conn_key *key,
					     const struct lb_conn *c, __u32 epoch, __u32 now)
{
	struct lb_nat_line *l = NULL;

	if (lb_nat_line_of(&set->way[0], key))
		l = &set->way[0];
	else if (lb_nat_line_of(&set->way[1], key))
		l = &set->way[1];
	if (!lb_nat_line_may_have(c, (__u8)key->proto)) {
		if (l)
			l->what = 0;
		return;
	}
	if (!l && lb_nat_line_spare(&set->way[0], now))
		l = &set->way[0];
	else if (!l && lb_nat_line_spare(&set->way[1], now))
		l = &set->way[1];
	else if (!l && !(++set->way[0].refused % LB_NAT_LINE_PATIENCE))
		l = &set->way[set->way[0].refused / LB_NAT_LINE_PATIENCE & 1];
	if (l)
		lb_nat_line_fill(l, key, c, epoch);
}

#endif
