/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which backends are draining, since when, and when that is over. Pure: time and counts are told to it. Kept by lbd's
 * control loop and saved with the state, so that a restart does not begin a drain anew.
 */
#ifndef LB_DRAINS_H
#define LB_DRAINS_H

#include "conf.h"

enum lb_drain_end {
	LB_DRAIN_GOES_ON,
	LB_DRAIN_EMPTY,	  /* no connection was left */
	LB_DRAIN_TIMEOUT, /* the time was over: what was left was ended */
};

struct lb_drain {
	char service[LB_NAME_MAX];
	struct lb_endpoint address;
	uint64_t since_ns; /* CLOCK_REALTIME: it counts over a reboot, too */
	enum lb_drain_end end;
};

/* Sorted by service, then address. */
struct lb_drains {
	struct lb_drain *list;
	size_t nr;
};

/* lb_drains_make - the draining backends of @c; those that @was knows go on as they are, the others begin at @now_ns.
 * @out, uninitialised, is the caller's. 0 or -ENOMEM. */
int lb_drains_make(const struct lb_drains *was, const struct lb_config *c, uint64_t now_ns, struct lb_drains *out);
void lb_drains_fini(struct lb_drains *d);
/* NULL: it is not draining. */
struct lb_drain *lb_drains_find(const struct lb_drains *d, const char *service, const struct lb_endpoint *address);
/* lb_drain_ends_ns - CLOCK_REALTIME; UINT64_MAX: with @timeout_ns 0, never for its time. */
uint64_t lb_drain_ends_ns(const struct lb_drain *d, uint64_t timeout_ns);
/* lb_drain_judge - is it over at @now_ns, with @left open connections? Once over, it stays so. Returns true when it
 * came to its end just now. */
bool lb_drain_judge(struct lb_drain *d, uint64_t timeout_ns, uint64_t now_ns, uint64_t left);

/* "", "empty", "timeout" */
const char *lb_drain_end_name(enum lb_drain_end end);

#endif
