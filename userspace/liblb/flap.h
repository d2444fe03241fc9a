/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A backend that goes down again and again is held down, each time for longer. Pure. Called by lbd's prober. */
#ifndef LB_FLAP_H
#define LB_FLAP_H

#include "conf.h"

struct lb_flap_state {
	uint64_t down_ns[LB_FLAPS_MAX]; /* the last times it went down, a ring; CLOCK_MONOTONIC, as all here */
	uint32_t nr;			/* ever */
	uint32_t level;			/* how often it was held since it was last steady */
	uint64_t held_until_ns;
};

/* lb_flap_down - it went down from up at @now_ns. The check's .flaps times within .flap_window make it be held: for
 * .flap_hold, and twice as long each time that it goes down again before it was up for a window, up to .flap_hold_max.
 * Returns how long it is held from now on, 0: not at all. */
uint64_t lb_flap_down(struct lb_flap_state *f, const struct lb_check_conf *check, uint64_t now_ns);

/* lb_flap_held - how long it is still held down at @now_ns; 0: it is not. */
uint64_t lb_flap_held(const struct lb_flap_state *f, const struct lb_check_conf *check, uint64_t now_ns);

#endif
