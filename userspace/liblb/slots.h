/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The phases of a table's slots: how connections stay where they are while owners change, without being remembered.
 * Pure state machine; the other half, which the packets play, is include/lb/dp/steer.h. Called by model.c.
 *
 *   stable(o) --owner n--> moving(o -> n) while o is alive, else stable(n)
 *   moving(s -> c) --owner n--> moving(s -> n), also n == s;  s dead or unused, or the window is over --> settling(c)
 *   settling(c) --owner n--> moving(c -> n), restarting the window; c dead --> settling(n)
 *   settling(c) --no live entry of the slot names another backend--> stable(c), once it has settled for a moment
 */
#ifndef LB_SLOTS_H
#define LB_SLOTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lb/abi.h"

struct lb_slots {
	unsigned int shift; /* 1 << shift slots; at least the policy table's: see lb_slots_change */
	uint32_t *word;	    /* LB_SLOT() */
	uint32_t *since_s;  /* when the slot became moving, or settling thereafter; CLOCK_MONOTONIC seconds */
};

typedef bool (*lb_slots_alive_fn)(void *ctx, uint16_t backend);

struct lb_slots *lb_slots_new(unsigned int shift); /* all stable(0); NULL: out of memory */
struct lb_slots *lb_slots_copy(const struct lb_slots *s);
void lb_slots_free(struct lb_slots *s);

/* lb_slots_change - new owners. @owner[1 << shift] by the policy. A larger policy table splits each slot in two that
 * inherit owner and phase; with a smaller one the slots stay as many as they are and every run of them gets the one
 * owner, until lb_slots_tick can merge them. 0 or -ENOMEM with nothing changed. */
int lb_slots_change(struct lb_slots *s, const uint16_t *owner, unsigned int shift, lb_slots_alive_fn alive, void *ctx,
		    uint32_t now_s);

/* lb_slots_tick - let time pass. @foreign[slot]: a live flow entry of the slot names a backend that is not its owner
 * (NULL: the cache was not walked, nothing becomes stable), as was found out just now. @unused[backend]: it has never
 * been sent a packet, as was found out after the last packet that may have seen the slots before their last change
 * (NULL: not known); there is no connection that would have to be learned. @policy_shift: merge down to it where each
 * pair of slots is the same and stable. Returns the number of slots that changed. */
size_t lb_slots_tick(struct lb_slots *s, unsigned int policy_shift, const bool *foreign, const bool *unused,
		     lb_slots_alive_fn alive, void *ctx, uint32_t now_s, uint32_t window_s);

/* Is every slot stable? */
bool lb_slots_stable(const struct lb_slots *s);
/* How many slots are in each phase, by enum lb_phase. */
void lb_slots_count(const struct lb_slots *s, size_t count[3]);

#endif
