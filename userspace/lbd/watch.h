/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sees what changed from one commit to the next, whatever the cause, and makes events of it: which backends serve,
 * what the operator wants of them, how services are, what interfaces are attached. Called by control.c.
 */
#ifndef LB_WATCH_H
#define LB_WATCH_H

#include "events.h"
#include "ifaces.h"
#include "model.h"

struct lb_watch;

/* What the first call of each of the two finds is how things are, and no event. NULL: out of memory. */
struct lb_watch *lb_watch_new(struct lb_events *events);
void lb_watch_free(struct lb_watch *w);

/* After each commit, @m is what the dataplane has. Some tens of nanoseconds a backend. */
void lb_watch_model(struct lb_watch *w, const struct lb_model *m);
/* Whenever interfaces may have changed. */
void lb_watch_ifaces(struct lb_watch *w, const struct lb_ifaces *f);

#endif
