/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The way of health checks that go to the VIP: which VIPs are checked so, by which interfaces the kernel sends to them,
 * and the program there that brings the packets to the backend. Called by control.c.
 */
#ifndef LB_CHECK_PATH_H
#define LB_CHECK_PATH_H

#include <event2/event.h>

#include "egress.h"
#include "model.h"

struct lb_check_path;

/* @dp outlives it. Takes away what an lbd before us left on interfaces. NULL: no memory. */
struct lb_check_path *lb_check_path_new(struct event_base *base, struct lb_dataplane *dp);
/* Also from the interfaces. */
void lb_check_path_free(struct lb_check_path *p);

/* lb_check_path_sync - follow the VIPs that the model's services are checked by. 0 or -ENOMEM. */
int lb_check_path_sync(struct lb_check_path *p, const struct lb_model *m);
/* Every few seconds: what could not be done is tried again, what was taken away comes back. */
void lb_check_path_refresh(struct lb_check_path *p);

/* lb_check_path_ready - would a packet to @vip meet the program? @ctx: a struct lb_check_path. An lb_prober_path_fn. */
bool lb_check_path_ready(void *ctx, const uint8_t vip[16]);

#endif
