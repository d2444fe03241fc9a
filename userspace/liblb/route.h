/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Next hops, from the kernel's routes, neighbours, links and addresses. The only module that includes netlink/.
 * Called by lbd. Never blocks after lb_route_new: put lb_route_fd into the loop.
 */
#ifndef LB_ROUTE_H
#define LB_ROUTE_H

#include "model.h"

struct lb_route;

/* @changed: called from lb_route_watch and lb_route_process when an address' next hop becomes known, changes or is
 * lost. */
typedef void (*lb_route_fn)(void *ctx, const uint8_t addr[16], const struct lb_next_hop *nh);

/* Fills its caches (blocking, once). 0 or -errno with @err. */
int lb_route_new(lb_route_fn changed, void *ctx, struct lb_route **out, struct lb_err *err);
void lb_route_free(struct lb_route *r);
int lb_route_fd(const struct lb_route *r);
/* Read what the kernel has to say. 0, or -errno when the socket is lost (ENOBUFS is handled by filling again). */
int lb_route_process(struct lb_route *r);

/* lb_route_watch - follow @addr; asks the kernel to resolve a neighbour that is not known. Counted: unwatch as often.
 */
int lb_route_watch(struct lb_route *r, const uint8_t addr[16]);
void lb_route_unwatch(struct lb_route *r, const uint8_t addr[16]);
/* lb_route_refresh - call every few seconds: asks again for neighbours that are missing or stale. */
void lb_route_refresh(struct lb_route *r);

#endif
