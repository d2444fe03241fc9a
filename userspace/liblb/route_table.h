/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Routes of lbd's own: destinations in a table and with a protocol number that nobody else uses, for routing daemons to
 * export. They are blackholes: a route without a device and a next hop, which BIRD and FRR learn, which no link takes
 * with it, and which misleads nobody, since no rule looks the table up. Called by lbd. A part of the module of route.c,
 * which alone includes netlink/.
 */
#ifndef LB_ROUTE_TABLE_H
#define LB_ROUTE_TABLE_H

#include "addr.h"

struct lb_route_table;

/* @there: a route to @dst with our protocol came to the table, else it went. Called for what others do, not for what
 * lb_route_table_add and _del do; and for each route that there is from lb_route_table_list. */
typedef void (*lb_route_table_fn)(void *ctx, const struct lb_prefix *dst, bool there);

/* @table: 1 and above, @protocol: 1..255. 0 or -errno with @err. */
int lb_route_table_new(uint32_t table, uint8_t protocol, lb_route_table_fn changed, void *ctx,
		       struct lb_route_table **out, struct lb_err *err);
void lb_route_table_free(struct lb_route_table *t);

/* To be read when readable, a few milliseconds at a time. 0; -ENOBUFS: some changes were missed, list them all; -errno:
 * the socket is lost. */
int lb_route_table_fd(const struct lb_route_table *t);
int lb_route_table_process(struct lb_route_table *t);

/* Each waits for the kernel's answer, some microseconds. 0 or -errno. _add: also where it is there already; what
 * somebody else put there for the same destination is replaced. _del: -ENOENT where there is none. */
int lb_route_table_add(struct lb_route_table *t, const struct lb_prefix *dst);
int lb_route_table_del(struct lb_route_table *t, const struct lb_prefix *dst);
int lb_route_table_list(struct lb_route_table *t);

#endif
