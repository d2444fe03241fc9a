/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The flow's hash, keyed so that nobody outside can aim at one backend, and SipHash-1-3 (Aumasson, Bernstein: "SipHash:
 * a fast short-input PRF", 2012), which makes its secrets. Everything that needs entropy takes it from the one value:
 * the slot (top bits), the flow cache's tag (upper half) and set, the outer source. Called by bpf/ and by userspace's
 * tables and tests.
 */
#ifndef LB_DP_HASH_H
#define LB_DP_HASH_H

#include "lb/abi.h"
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

/*
 * The hash of a flow: a permutation of 64-bit blocks of which every constant is secret. A round adds a secret word,
 * multiplies by a secret odd one, which spreads each bit upwards, and turns the bytes round, so that the next one
 * spreads the rest. SipHash, from which all the secrets are made, would take a third of an established packet's time
 * here: BPF has no rotation, of which it is made, but it does multiply. What it has to withstand: nobody who does not
 * know the key can tell which flows share a slot, neither from addresses nor from what became of other flows. It is no
 * MAC.
 */
static __always_inline __u64 lb_hash_round(const struct lb_hash_secret *s, int i, __u64 x)
{
	return __builtin_bswap64((x ^ s->add[i]) * s->mul[i]);
}

/* The last round: its upper bits depend on everything; its lower ones are as good as the round before left them. */
static __always_inline __u64 lb_hash_last(const struct lb_hash_secret *s, int i, __u64 x)
{
	return (x ^ s->add[i]) * s->mul[i];
}

/* lb_hash_flow4 - hash of an IPv4 flow: @vip as lb_vip_fold has it, @saddr and @sport as they lie in the packet. */
static __always_inline __u64 lb_hash_flow4(const struct lb_hash_secret *s, __u64 vip, __u64 saddr, __be16 sport)
{
	__u64 x = vip ^ saddr << 16 ^ sport;

	x = lb_hash_round(s, 0, x);
	x = lb_hash_round(s, 1, x);
	x = lb_hash_round(s, 2, x);
	return lb_hash_last(s, 3, x);
}

/* lb_hash_flow6 - the same for IPv6; the address as two words, as they lie in memory. */
static __always_inline __u64 lb_hash_flow6(const struct lb_hash_secret *s, __u64 vip, const __u64 saddr[2],
					   __be16 sport)
{
	__u64 x = vip ^ sport;

	x = lb_hash_round(s, 0, x) ^ saddr[0];
	x = lb_hash_round(s, 1, x) ^ saddr[1];
	x = lb_hash_round(s, 2, x);
	x = lb_hash_round(s, 3, x);
	x = lb_hash_round(s, 0, x);
	return lb_hash_last(s, 1, x);
}

/* lb_hash_secret - all that is secret, from the @key of the fleet: SipHash-1-3 of the numbers 0 to 7. */
static __always_inline struct lb_hash_secret lb_hash_secret(const __u64 key[2])
{
	struct lb_hash_secret s;

	for (__u64 i = 0; i < LB_HASH_ROUNDS; i++) {
		const __u64 nr[2] = {i, LB_HASH_ROUNDS + i};

		s.add[i] = lb_sip_words(key, &nr[0], 1);
		s.mul[i] = lb_sip_words(key, &nr[1], 1) | 1;
	}
	return s;
}

#endif
