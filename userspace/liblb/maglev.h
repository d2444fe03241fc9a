/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Weighted Maglev (Eisenbud et al., NSDI 2016, section 3.4) on tables of 2^shift slots, skips odd so that they are
 * coprime with the size. Pure. Called by policy.c.
 */
#ifndef LB_MAGLEV_H
#define LB_MAGLEV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LB_MAGLEV_WEIGHT_MAX ((1U << 20) - 1)

struct lb_maglev_member {
	uint64_t id[3];	 /* what the permutation comes from: equal on every load balancer */
	uint32_t weight; /* 1..LB_MAGLEV_WEIGHT_MAX; only ratios count */
	uint16_t value;	 /* what the member's slots hold */
};

/* lb_maglev_shift - log2 of the table size for these weights (zero weights count as the smallest): at least 100
 * slots a backend of equal weight, more where weights are far apart, LB_TABLE_SHIFT_MIN..MAX. */
unsigned int lb_maglev_shift(const uint32_t *weights, size_t nr);

/* A table that is being built, of 1 << @shift slots. @members, fewer than LB_MAX_BACKENDS, sorted by id, are not needed
 * any more after the call: the result is a pure function of the set, the weights, @shift and @key; without members all
 * slots hold 0. NULL: out of memory. */
struct lb_maglev;
struct lb_maglev *lb_maglev_new(const struct lb_maglev_member *members, size_t nr, const uint64_t key[2],
				unsigned int shift);
/* lb_maglev_in_turn - another table for them: whose turn it is, slot after slot. */
struct lb_maglev *lb_maglev_in_turn(const struct lb_maglev_member *members, size_t nr, unsigned int shift);
/* lb_maglev_fill - fill some more @slots of it, UINT32_MAX: all; a million take some 20 ms. True: the table is whole.
 */
bool lb_maglev_fill(struct lb_maglev *b, uint32_t slots);
/* lb_maglev_count - add to @by_value what each value has of the slots of @b, which is whole. */
void lb_maglev_count(const struct lb_maglev *b, uint32_t *by_value);
/* lb_maglev_take - the whole table, malloc'ed; @b has it no longer. */
uint16_t *lb_maglev_take(struct lb_maglev *b);
void lb_maglev_free(struct lb_maglev *b);

/* What a table that is whole leaves for the next one. Plain memory with a count of those who have it, NULL included. */
#define LB_MAGLEV_PAST_SHIFT 15 /* smaller tables leave nothing: they take less than a millisecond from nothing */
struct lb_maglev_past;
/* lb_maglev_past - that of @b, which is whole, to be given back. NULL: it leaves nothing. */
struct lb_maglev_past *lb_maglev_past(struct lb_maglev *b);
struct lb_maglev_past *lb_maglev_past_get(struct lb_maglev_past *p);
void lb_maglev_past_put(struct lb_maglev_past *p);
/* lb_maglev_follow - have @b, of which nothing is filled yet, made from @before, not needed any more after the call:
 * the result is the same, in a fraction of the time. False: too much is different, it will be made from nothing. */
bool lb_maglev_follow(struct lb_maglev *b, const struct lb_maglev_past *before);

#endif
