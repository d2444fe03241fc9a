/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The flow cache: sets of eight one-word entries in one cache line. An entry is read and written in one piece, so that
 * a race between CPUs loses at worst an entry, which is then made again. Called by bpf/, by the model's census and by
 * tests.
 */
#ifndef LB_DP_FLOW_H
#define LB_DP_FLOW_H

#include "lb/abi.h"
#include "lb/dp/base.h"

/* Idle limits in ticks of age (68.7 s): RFC 5382 REQ-5 asks for 2 h 4 min for TCP, RFC 4787 REQ-5 for 2 min, better 5,
 * for UDP. What no second packet has confirmed yet is given up after two ticks when the place is wanted. */
#define LB_FLOW_IDLE_TCP 109
#define LB_FLOW_IDLE_UDP 5
#define LB_FLOW_IDLE_UNPROVEN 2

static __always_inline __u8 lb_flow_age(__u64 now_ns)
{
	return (__u8)(now_ns >> LB_FLOW_AGE_SHIFT);
}

static __always_inline __u32 lb_flow_tag(__u64 hash)
{
	return (__u32)(hash >> 32) & ~1U;
}

static __always_inline __u32 lb_flow_set_idx(__u64 hash)
{
	return (__u32)(hash ^ hash >> 32) & (LB_FLOW_SETS - 1);
}

static __always_inline __u32 lb_flow_slot(__u32 tag, unsigned int shift)
{
	return (__u32)((__u64)tag >> (32 - shift));
}

/* Ticks since @entry was last refreshed; right as long as that is under 4.9 h. */
static __always_inline __u8 lb_flow_idle(__u64 entry, __u8 now_age)
{
	return (__u8)(now_age - LB_FLOW_AGE(entry));
}

/* lb_flow_find - the way that holds @tag, or -1. */
static __always_inline int lb_flow_find(const struct lb_flow_set *set, __u32 tag)
{
	LB_UNROLL
	for (int i = 0; i < LB_FLOW_WAYS; i++) {
		__u64 e = set->entry[i];

		if (e && LB_FLOW_TAG(e) == tag)
			return i;
	}
	return -1;
}

/* lb_flow_entry - the entry with @hash's tag, or 0. Cheaper than lb_flow_find: nothing is to be written. */
static __always_inline __u64 lb_flow_entry(const struct lb_flow_set *set, __u64 hash)
{
	LB_UNROLL
	for (int i = 0; i < LB_FLOW_WAYS; i++) {
		__u64 e = lb_load(&set->entry[i]);

		if (!((e ^ hash) >> 33))
			return e;
	}
	return 0;
}

/* lb_flow_fresh - what an entry that was confirmed and refreshed in this tick has in its lower half beside the backend
 * and its generation. */
static __always_inline __u32 lb_flow_fresh(__u8 now_age)
{
	return (__u32)LB_FLOW(0, now_age, 0, true, 0);
}

/* lb_flow_settled - would a packet in the middle of a connection leave @entry as it is? It would where it is of its
 * backend's present life (@gen), and @fresh: lb_flow_fresh. */
static __always_inline bool lb_flow_settled(__u64 entry, __u32 fresh, __u8 gen)
{
	return !(((__u32)entry ^ fresh ^ (__u32)gen << 16) >> 15);
}

/* How readily @entry is given up: 1024 and more for an empty one (no backend), 512 and more for one idle beyond its
 * limit, 256 and more for an unproven one, else a proven one's ticks; the older, the higher. Without branches: a
 * verifier would follow each of them for each of the ways. */
static __always_inline __u32 lb_flow_rank(__u64 entry, __u8 now_age)
{
	__u32 idle = lb_flow_idle(entry, now_age), unproven = LB_FLOW_PROVEN(entry) ^ 1;
	__u32 limit = LB_FLOW_IDLE_TCP - unproven * (LB_FLOW_IDLE_TCP - LB_FLOW_IDLE_UNPROVEN);
	__u32 expired = (idle + 255 - limit) >> 8;		     /* idle > limit */
	__u32 empty = ((LB_FLOW_BACKEND(entry) + 0x7fff) >> 15) ^ 1; /* backend == 0 */

	return empty << 10 | expired << 9 | unproven << 8 | idle;
}

/* lb_flow_victim - the way a new entry may take, or -1: then it is not made. In this order: an empty one, one that is
 * idle beyond its limit, the oldest unproven one, and for a proven newcomer (@proven) the oldest proven one. */
static __always_inline int lb_flow_victim(const struct lb_flow_set *set, bool proven, __u8 now_age)
{
	__u32 best = 0;

	/* nearly always there is one, and nothing has to be reckoned */
	LB_UNROLL
	for (int i = 0; i < LB_FLOW_WAYS; i++)
		if (!lb_load(&set->entry[i]))
			return i;
	LB_UNROLL
	for (int i = 0; i < LB_FLOW_WAYS; i++) {
		__u32 rank = lb_flow_rank(set->entry[i], now_age) << 3 | (LB_FLOW_WAYS - 1 - i);

		if (rank > best)
			best = rank;
	}
	if (best >> 3 < 256 && !proven)
		return -1;
	return LB_FLOW_WAYS - 1 - (best & (LB_FLOW_WAYS - 1));
}

/* lb_flow_touch - @entry as a packet leaves it: refreshed, proven when it was or now is, closed likewise. */
static __always_inline __u64 lb_flow_touch(__u64 entry, __u8 now_age, bool proven, bool closed)
{
	return LB_FLOW(LB_FLOW_TAG(entry), now_age, LB_FLOW_GEN(entry), proven || LB_FLOW_PROVEN(entry),
		       LB_FLOW_BACKEND(entry)) |
	       (closed ? LB_FLOW_CLOSED : entry & LB_FLOW_CLOSED);
}

/* lb_flow_admit - the flood guard: may one more entry be made? @start_ns and @count are the CPU's own for the service.
 * Newcomers that are not proven may use up half of @rate, so that a flood of SYNs leaves room for the connections that
 * are there. */
static __always_inline bool lb_flow_admit(__u64 *start_ns, __u32 *count, __u32 rate, bool proven, __u64 now_ns)
{
	if (!rate)
		return true;
	if ((__s64)(now_ns - *start_ns) >= 1000000000LL) {
		*start_ns = now_ns;
		*count = 0;
	}
	if (*count >= (proven ? rate : rate / 2))
		return false;
	(*count)++;
	return true;
}

#endif
