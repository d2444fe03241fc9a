/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How long the event loop is held: while it does one thing, nobody is checked, answered or failed over. Measured
 * between two looks at what there is to do. Called by main.c, work.c, metrics.c and render.c.
 */
#ifndef LB_LOOP_H
#define LB_LOOP_H

#include <event2/event.h>

#include "histogram.h"

struct lb_loop_times {
	struct lb_histogram hold; /* by the clock: with what else the machine did, and waiting for disks */
	struct lb_histogram busy; /* CPU time of it */
	uint64_t longest_ns;	  /* of the latter, ever */
};

/* lb_loop_new - an event loop that looks at what else there is after some milliseconds, however much there is to do:
 * after a time without a CPU hundreds of checks are due at once. NULL: no memory. */
struct event_base *lb_loop_new(void);
/* lb_loop_watch - from now on, in this thread. */
void lb_loop_watch(void);
const struct lb_loop_times *lb_loop_times(void);
/* lb_loop_long - how many took more CPU time than is meant to be the most, 10 ms. */
uint64_t lb_loop_long(void);
/* lb_loop_add_busy - CPU time of another thread that the loop waits for. */
void lb_loop_add_busy(uint64_t ns);

#endif
