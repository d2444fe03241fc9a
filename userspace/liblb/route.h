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
/* Why an address has no next hop. A closed list: X(ID, name, help). */
#define LB_WAYS(X)                                                                                                     \
	X(KNOWN, "", "it has one")                                                                                     \
	X(NO_ROUTE, "no_route", "the kernel has no route to it, or one that leads nowhere or to this host")            \
	X(LINK_DOWN, "link_down", "the route's interface is down, or has no carrier")                                  \
	X(NO_ETHERNET, "no_ethernet", "the route's interface has no Ethernet header, a tunnel for example")            \
	X(NO_NEIGHBOUR, "no_neighbour", "nobody answers for its MAC address, or for the router's")

enum lb_way {
#define X(id, name, help) LB_WAY_##id,
	LB_WAYS(X)
#undef X
		LB_WAY_COUNT
};
const char *lb_way_name(enum lb_way way);
/* lb_route_way - what keeps packets from watched @addr now. */
enum lb_way lb_route_way(const struct lb_route *r, const uint8_t addr[16]);

/* lb_route_link_changes - how often interfaces have come, gone, or changed between up and down, their MAC address or
 * their MTU, ever. */
uint64_t lb_route_link_changes(const struct lb_route *r);

/* lb_route_refresh - call every few seconds: asks again for neighbours that are missing or stale. */
void lb_route_refresh(struct lb_route *r);

/* lb_route_has_vlans - is there a VLAN device that is up on the interface @ifindex, or on one on it? */
bool lb_route_has_vlans(const struct lb_route *r, uint32_t ifindex);

#endif
