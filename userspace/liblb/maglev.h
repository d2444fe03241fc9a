/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Weighted Maglev (Eisenbud et al., NSDI 2016, section 3.4) on tables of 2^shift slots, skips odd so that they are
 * coprime with the size. Pure. Called by policy.c.
 */
#ifndef LB_MAGLEV_H
#define LB_MAGLEV_H

#include <stddef.h>
#include <stdint.h>

struct lb_maglev_member {
	uint64_t id[3];  /* what the permutation comes from: equal on every load balancer */
	uint32_t weight; /* > 0 */
	uint16_t value;  /* what the member's slots hold */
};

/* lb_maglev_shift - log2 of the table size for these weights (zero weights count as the smallest): at least 100
 * slots a backend of equal weight, more where weights are far apart, LB_TABLE_SHIFT_MIN..MAX. */
unsigned int lb_maglev_shift(const uint32_t *weights, size_t nr);

/* lb_maglev_build - fill @table[1 << shift]. @members sorted by id: the result is a pure function of the set, the
 * weights, @shift and @key. nr 0 fills zeros. 0 or -ENOMEM. */
int lb_maglev_build(const struct lb_maglev_member *members, size_t nr, const uint64_t key[2], unsigned int shift,
		    uint16_t *table);

#endif
