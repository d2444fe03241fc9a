/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where long work may be interrupted: what goes through thousands of services or backends offers it between two of
 * them, and lbd does what else there is to do. Called by whatever may take milliseconds; see userspace/lbd/work.h for
 * what is done then. Without hooks, and outside of lbd's work, nothing is.
 */
#ifndef LB_PAUSE_H
#define LB_PAUSE_H

#include <stddef.h>

struct lb_pause_hooks {
	void (*pause)(void);
	void (*block_begin)(void);
	void (*block_end)(void);
};

extern const struct lb_pause_hooks *lb_pause_hooks;

/* lb_pause - what the caller works on is as others may see it, and it does not hold on to anything that they change. */
static inline void lb_pause(void)
{
	if (lb_pause_hooks)
		lb_pause_hooks->pause();
}

/* lb_pause_at - the same for the @i-th of many things that take little each: before one of @every. */
static inline void lb_pause_at(size_t i, size_t every)
{
	if (!(i % every))
		lb_pause();
}

/* lb_block_begin, lb_block_end - between them the caller waits for the kernel or a disk, or computes something of its
 * own, and touches nothing that anybody else does. It does not log there. */
static inline void lb_block_begin(void)
{
	if (lb_pause_hooks)
		lb_pause_hooks->block_begin();
}

static inline void lb_block_end(void)
{
	if (lb_pause_hooks)
		lb_pause_hooks->block_end();
}

#endif
