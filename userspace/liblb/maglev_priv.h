/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A table that is being built, as maglev.c and maglev_past.c share it. */
#ifndef LB_MAGLEV_PRIV_H
#define LB_MAGLEV_PRIV_H

#include "lb/abi.h"
#include "maglev.h"

#define LB_MAGLEV_LAST_MAX (1U << (LB_TABLE_SHIFT_MAX / 2))

/* A member's permutation: next, next + skip, next + 2 skip, ... modulo the table's size. */
struct lb_maglev_cursor {
	uint32_t next, skip;
	uint16_t value;
	uint32_t nr;	 /* turns that it has had */
	uint32_t *slots; /* what it took in each, for the next table; NULL: nobody keeps it */
};

struct lb_maglev {
	size_t nr;
	uint32_t max_weight;
	uint32_t mask;
	uint16_t *table;
	uint8_t *taken;	      /* a byte a slot: a bit would have to be shifted out, and shifts are dear */
	uint32_t left;	      /* slots that are free */
	uint32_t steps_aside; /* what turns that had no hint took; see steps_of_turn */
	uint32_t nr_last;
	uint32_t last[LB_MAGLEV_LAST_MAX]; /* the free ones, once there are only nr_last or fewer */
	struct lb_maglev_cursor *cursors;
	uint32_t *weights,
		*gathered; /* by member, towards its next turn, which takes max_weight; NULL: not by rounds */
	uint16_t *turns;   /* whose the next ones are; those from .turn on are to come */
	size_t nr_turns, turn;
	bool last_listed;
	bool in_turn;
	bool again;			 /* after the last turn the first one comes again */
	struct lb_maglev_past *past;	 /* what is kept of it; NULL: nothing */
	struct lb_maglev_follow *follow; /* how it follows an older one; NULL: it does not */
};

/* For loops over all, which are most of the work: gcc makes them for wide registers, too, clang 14 has no such words.
 */
#ifdef __clang__
#define LB_MAGLEV_WIDE
#elif defined(__x86_64__)
#define LB_MAGLEV_WIDE __attribute__((target_clones("avx2", "default"), optimize("O3")))
#else
#define LB_MAGLEV_WIDE __attribute__((optimize("O3")))
#endif

/* lb_maglev_first - which of @nr slots, 1..LB_MAGLEV_LAST_MAX, comes first in the permutation that begins at @start. */
uint32_t lb_maglev_first(const uint32_t *slots, uint32_t nr, uint32_t start, uint32_t inverse, uint32_t mask);

/* lb_maglev_inverse - lb_maglev_inverse(odd) * odd == 1 modulo 2^32. */
uint32_t lb_maglev_inverse(uint32_t odd);

/* lb_maglev_keep - have @b, which is new, keep its turns as .past; where there is no memory for that it does not. */
void lb_maglev_keep(struct lb_maglev *b, const struct lb_maglev_member *members, const uint64_t key[2]);
/* lb_maglev_kept - @b is whole: so is its .past. */
void lb_maglev_kept(struct lb_maglev *b);
/* lb_maglev_follow_turns - take the next @nr turns of .turns, or less: of the last ones it lets go, and .follow is NULL
 * then. */
void lb_maglev_follow_turns(struct lb_maglev *b, size_t nr);
void lb_maglev_follow_free(struct lb_maglev_follow *f);

#endif
