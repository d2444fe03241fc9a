/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Traffic as events: once a second, who got how many new connections, and how many packets got which verdict. Counters
 * are only looked at while somebody reads. Called by control.c and api_events.c.
 */
#ifndef LB_TRAFFIC_H
#define LB_TRAFFIC_H

#include "control.h"

struct lb_traffic;

/* NULL: out of memory. @control has to have its dataplane and model before somebody reads. */
struct lb_traffic *lb_traffic_new(struct lb_control *control);
/* Every reader must be gone. */
void lb_traffic_free(struct lb_traffic *t);

/* lb_traffic_watch - one reader more; the events, unnumbered, are told until as many lb_traffic_unwatch. */
struct lb_events *lb_traffic_watch(struct lb_traffic *t);
void lb_traffic_unwatch(struct lb_traffic *t);
/* As lb_events_on_add. */
void lb_traffic_on_add(struct lb_traffic *t, void (*wake)(void *ctx), void *ctx);

#endif
