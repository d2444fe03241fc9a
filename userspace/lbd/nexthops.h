/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which backend addresses are watched, and what is known of each: between route.c and the model. Called by control.c.
 */
#ifndef LB_NEXTHOPS_H
#define LB_NEXTHOPS_H

#include <event2/event.h>

#include "route.h"

struct lb_nexthops;

/* @changed: as lb_route_fn, for addresses that the model has; also called from lb_nexthops_sync. @links: interfaces
 * have come, gone, or changed between up and down, their MAC address or their MTU. */
int lb_nexthops_new(struct event_base *base, lb_route_fn changed, void (*links)(void *ctx), void *ctx,
		    struct lb_nexthops **out, struct lb_err *err);
void lb_nexthops_free(struct lb_nexthops *n);

/* lb_nexthops_sync - watch exactly the model's backends, and tell of what is known already. 0 or -ENOMEM. */
int lb_nexthops_sync(struct lb_nexthops *n, const struct lb_model *m);
/* lb_nexthops_give_up - what the model took from the maps of an lbd before us and no route has confirmed by now is
 * gone. */
void lb_nexthops_give_up(struct lb_nexthops *n, const struct lb_model *m);
/* lb_nexthops_way - why backend @addr, which has no next hop, has none. */
enum lb_way lb_nexthops_way(const struct lb_nexthops *n, const uint8_t addr[16]);
/* lb_nexthops_has_vlans - see lb_route_has_vlans. False where nothing is known. */
bool lb_nexthops_has_vlans(const struct lb_nexthops *n, uint32_t ifindex);
/* Every few seconds. */
void lb_nexthops_refresh(struct lb_nexthops *n);

#endif
