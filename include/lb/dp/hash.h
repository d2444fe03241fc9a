/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The flow's hash: SipHash-1-3 (Aumasson, Bernstein: "SipHash: a fast short-input PRF", 2012), keyed so that nobody
 * outside can aim at one backend. Everything that needs entropy takes it from this one value: the slot (top bits), the
 * flow cache's tag (upper half) and set (low bits), the outer source. Called by bpf/ and by userspace's tables and
 * tests.
 */
#ifndef LB_DP_HASH_H
#define LB_DP_HASH_H

#include "lb/dp/base.h"

struct lb_sip {
	__u64 v0, v1, v2, v3;
};

static __always_inline __u64 lb_rotl64(__u64 x, unsigned int n)
{
	return (x << n) | (x >> (64 - n));
}

static __always_inline void lb_sip_round(struct lb_sip *s)
{
	s->v0 += s->v1;
	s->v1 = lb_rotl64(s->v1, 13) ^ s->v0;
	s->v0 = lb_rotl64(s->v0, 32);
	s->v2 += s->v3;
	s->v3 = lb_rotl64(s->v3, 16) ^ s->v2;
	s->v0 += s->v3;
	s->v3 = lb_rotl64(s->v3, 21) ^ s->v0;
	s->v2 += s->v1;
	s->v1 = lb_rotl64(s->v1, 17) ^ s->v2;
	s->v2 = lb_rotl64(s->v2, 32);
}

static __always_inline void lb_sip_init(struct lb_sip *s, const __u64 key[2])
{
	s->v0 = key[0] ^ 0x736f6d6570736575ULL;
	s->v1 = key[1] ^ 0x646f72616e646f6dULL;
	s->v2 = key[0] ^ 0x6c7967656e657261ULL;
	s->v3 = key[1] ^ 0x7465646279746573ULL;
}

static __always_inline void lb_sip_word(struct lb_sip *s, __u64 m)
{
	s->v3 ^= m;
	lb_sip_round(s);
	s->v0 ^= m;
}

/* @nr_bytes: length of the message, whose last, partial word was @tail (0 when it was whole). */
static __always_inline __u64 lb_sip_final(struct lb_sip *s, __u64 tail, unsigned int nr_bytes)
{
	lb_sip_word(s, ((__u64)(nr_bytes & 0xff) << 56) | tail);
	s->v2 ^= 0xff;
	lb_sip_round(s);
	lb_sip_round(s);
	lb_sip_round(s);
	return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

/* lb_sip_words - SipHash-1-3 of @nr 8-byte words in host order. */
static __always_inline __u64 lb_sip_words(const __u64 key[2], const __u64 *words, unsigned int nr)
{
	struct lb_sip s;

	lb_sip_init(&s, key);
	for (unsigned int i = 0; i < nr; i++)
		lb_sip_word(&s, words[i]);
	return lb_sip_final(&s, 0, nr * 8);
}

/* lb_hash_flow4 - hash of an IPv4 flow: @saddr, @daddr in network order, @ports = source | destination << 16 as they
 * lie in the packet (network order, read as one little word), @proto the transport protocol. */
static __always_inline __u64 lb_hash_flow4(const __u64 key[2], __be32 saddr, __be32 daddr, __u32 ports, __u8 proto)
{
	struct lb_sip s;

	lb_sip_init(&s, key);
	lb_sip_word(&s, ((__u64)daddr << 32) | saddr);
	return lb_sip_final(&s, ((__u64)proto << 32) | ports, 13);
}

/* lb_hash_flow6 - the same for IPv6; the addresses as two words each, as they lie in memory. */
static __always_inline __u64 lb_hash_flow6(const __u64 key[2], const __u64 saddr[2], const __u64 daddr[2], __u32 ports,
					   __u8 proto)
{
	struct lb_sip s;

	lb_sip_init(&s, key);
	lb_sip_word(&s, saddr[0]);
	lb_sip_word(&s, saddr[1]);
	lb_sip_word(&s, daddr[0]);
	lb_sip_word(&s, daddr[1]);
	return lb_sip_final(&s, ((__u64)proto << 32) | ports, 37);
}

#endif
