/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Long work beside the event loop: changes of the configuration, and what is to be read as a whole. It is done by a
 * thread of its own, one piece of work after the other, in slices of a few milliseconds: the thread runs only while the
 * event loop waits for it, and the loop goes on when the slice is over. So there is one that runs at a time, nothing
 * needs locks, and work may be written as if it were done at one go; what it must not do is to hold on to what others
 * may change, over an lb_pause(). Between lb_block_begin() and lb_block_end() both run.
 * Called by main.c, http.c's handlers and control*.c.
 */
#ifndef LB_WORK_H
#define LB_WORK_H

#include <stdbool.h>

#include <event2/event.h>

/* One piece of work; the caller's, until .done has been called. */
struct lb_job {
	void (*run)(void *ctx);	 /* in slices */
	void (*done)(void *ctx); /* in the event loop, after it; NULL: nothing */
	void *ctx;
	struct lb_job *next;
};

struct lb_work;

/* One in a process. The thread is made with the first job, with what privileges there are then. NULL: no memory. */
struct lb_work *lb_work_new(struct event_base *base);
/* Runs what is still to be done at one go, and ends. Accepts NULL. */
void lb_work_free(struct lb_work *w);

/* lb_work_add - do @job after those that were added before. */
void lb_work_add(struct lb_work *w, struct lb_job *job);

/* lb_work_finish - all jobs, now, at one go. Not from a job. Accepts NULL. */
void lb_work_finish(struct lb_work *w);

/* Is a job under way that is not the caller's own? Then what it works on is not to be touched. Accepts NULL. */
bool lb_work_busy(const struct lb_work *w);

/* Is the caller a job's own thread? */
bool lb_work_inside(const struct lb_work *w);

/* lb_work_hold - begin no other job until lb_work_release: for who needs things to stay as they are for some time. */
void lb_work_hold(struct lb_work *w);
void lb_work_release(struct lb_work *w);

#endif
