/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Announces VIPs: while a service has enough healthy backends, each of its VIPs is a route in a table of lbd's own,
 * from where routing daemons export it. Knows which routes there are, which there should be, and why. Called by
 * control.c; read by api and metrics.
 */
#ifndef LB_ANNOUNCE_H
#define LB_ANNOUNCE_H

#include <event2/event.h>

#include "model.h"
#include "work.h"

struct lb_announce;

/* lb_announce_new - open the table that @conf names. Routes with its protocol that are found there stay as they are
 * until lb_announce_withdraw. @jobs: where what takes long is done. 0 or -errno with @err. */
int lb_announce_new(struct event_base *base, struct lb_work *jobs, const struct lb_announce_conf *conf,
		    struct lb_announce **out, struct lb_err *err);
/* Leaves the routes. No job may be under way. */
void lb_announce_free(struct lb_announce *a);

/* lb_announce_configure - take over what the configuration of @m (borrowed) says: which VIPs, and which table. To be
 * called whenever @m has another configuration. A new table gets its routes before the old one loses them. 0 or -errno
 * with @err; then nothing is announced or withdrawn until it succeeds. */
int lb_announce_configure(struct lb_announce *a, const struct lb_model *m, struct lb_err *err);

/* lb_announce_suspend - the model is about to change: leave routes as they are until lb_announce_configure. */
void lb_announce_suspend(struct lb_announce *a);

/* lb_announce_hold - leave routes as they are, whatever is told, until it is called with @hold false, and then
 * lb_announce_update. */
void lb_announce_hold(struct lb_announce *a, bool hold);

/* For both @forwarding says whether packets would be balanced at all. What does not fit some milliseconds is done in
 * later rounds of the event loop.
 * lb_announce_withdraw - before the dataplane changes: remove routes that are no longer wanted. @whole: all of them
 * now. lb_announce_update - after it has changed: the same, and put there what is wanted. */
void lb_announce_withdraw(struct lb_announce *a, bool forwarding, bool whole);
void lb_announce_update(struct lb_announce *a, bool forwarding);

/* lb_announce_end - remove all routes, now, and put none back. Returns how many there were. */
size_t lb_announce_end(struct lb_announce *a);

struct lb_announced {
	bool there;
	char why[160]; /* why it is not; "" */
};

/* lb_announce_prefix - the destination of the route that announces @vip. */
struct lb_prefix lb_announce_prefix(const struct lb_vip_conf *vip);
/* lb_announce_state - is the route to @dst, a VIP's of a service that is to be announced, in the table? */
void lb_announce_state(const struct lb_announce *a, const struct lb_prefix *dst, struct lb_announced *out);
/* lb_announce_count - how many routes there are; @wanted: how many VIPs are to be routes, healthy or not. */
size_t lb_announce_count(const struct lb_announce *a, size_t *wanted);

/* lb_announce_healthy - how many backends serve that are healthy and can be reached: what a quorum is about. */
size_t lb_announce_healthy(const struct lb_model_service *s);

#endif
