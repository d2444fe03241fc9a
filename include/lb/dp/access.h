/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who may come in: the key of a source in the trie of allow and deny lists, and how fast a source may open connections.
 * Called by bpf/, by userspace/liblb, which writes the trie, and by tests.
 */
#ifndef LB_DP_ACCESS_H
#define LB_DP_ACCESS_H

#include "lb/abi.h"
#include "lb/dp/base.h"
#include "lb/dp/hash.h"

/* lb_access_key - of @plen bits of the address in the words @hi and @lo, as they lie in memory. */
static __always_inline struct lb_access_key lb_access_key(__u64 hi, __u64 lo, __u32 service, bool v4, __u32 plen)
{
	struct lb_access_key key = {
		.plen = LB_ACCESS_KEY_BITS + plen, .service = (__u16)service, .family = v4 ? LB_VIP_V4 : 0};

	lb_put64(key.addr, hi);
	lb_put64(key.addr + 8, lo);
	return key;
}

/*
 * A source's entry says when its connections would have been due if they had come evenly, at the rate that its service
 * allows (the virtual scheduling of GCRA): it may be ahead of that by a second's worth. Time is in units of 256 ns,
 * modulo 2^40; what is further ahead than a second can be is of a time long past.
 */
#define LB_RATE_UNIT_SHIFT 8
#define LB_RATE_SECOND (1000000000U >> LB_RATE_UNIT_SHIFT)
#define LB_RATE_TIME ((1ULL << 40) - 1)

/* lb_rate_hash - of a source of @service. An IPv6 network of 64 bits is one source: whoever has one address there has
 * them all. */
static __always_inline __u64 lb_rate_hash(const struct lb_hash_secret *s, __u64 hi, __u64 lo, __u32 service, bool v4)
{
	const __u64 addr[2] = {hi, v4 ? lo : 0};

	return lb_hash_flow6(s, service, addr, 0);
}

static __always_inline __u32 lb_rate_set_idx(__u64 hash)
{
	return (__u32)(hash >> 26) & (LB_RATE_SETS - 1);
}

static __always_inline __u64 lb_rate_ahead(__u64 entry, __u64 now)
{
	const __u64 ahead = (entry - now) & LB_RATE_TIME;

	return ahead & ~lb_below(LB_RATE_SECOND, ahead);
}

/* All bits where @entry is another source's than @tag's, else none. */
static __always_inline __u64 lb_rate_others(__u64 entry, __u64 tag)
{
	return lb_below(0, (entry ^ tag) >> 40);
}

/* lb_rate_admit - may the source of @hash open one more connection now? One that is not there yet takes the place of
 * whoever is the least ahead, and may. Entries are single words: CPUs that race lose a count, never an entry's sense.
 */
static __always_inline bool lb_rate_admit(struct lb_rate_set *set, __u64 hash, __u32 interval_ns, __u64 now_ns)
{
	const __u64 now = now_ns >> LB_RATE_UNIT_SHIFT & LB_RATE_TIME, tag = hash >> 40 << 40;
	const __u64 interval = interval_ns >> LB_RATE_UNIT_SHIFT ? interval_ns >> LB_RATE_UNIT_SHIFT : 1;
	__u64 best = ~0ULL >> 1, ahead, e;
	__u32 way;

	LB_UNROLL
	for (__u32 i = 0; i < LB_RATE_WAYS; i++) {
		__u64 rank;

		e = lb_load(&set->entry[i]);
		rank = ((lb_rate_ahead(e, now) + 1) & lb_rate_others(e, tag)) * LB_RATE_WAYS + i;
		best ^= (best ^ rank) & lb_below(rank, best);
	}
	way = best & (LB_RATE_WAYS - 1);
	e = lb_load(&set->entry[way]);
	ahead = lb_rate_ahead(e, now) & ~lb_rate_others(e, tag);
	if (ahead + interval > LB_RATE_SECOND)
		return false;
	lb_store(&set->entry[way], tag | ((now + ahead + interval) & LB_RATE_TIME));
	return true;
}

#endif
