// SPDX-License-Identifier: GPL-2.0-or-later
/* Follows the addresses of all backends: each address once, however many backends share it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "follow.h"
#include "log.h"
#include "nexthops.h"
#include "pause.h"

#define LOGGED_MAX 16 /* lines between two refreshes */

struct lb_nexthops {
	struct event_base *base;
	struct lb_follow follow;
	struct event *readable;
	lb_route_fn changed;
	void (*links)(void *ctx);
	void *ctx;
	uint64_t link_changes;
	unsigned int logged; /* since the last refresh */
};

/* The first few for everybody: a switch that fails takes thousands of them along. */
static enum lb_log_level level_of(struct lb_nexthops *n, enum lb_log_level level)
{
	return n->logged++ < LOGGED_MAX ? level : LB_LOG_DEBUG;
}

static void log_lost(struct lb_nexthops *n, struct lb_followed *w)
{
	char text[LB_ADDR_STRLEN];

	if (w->lost || !n->follow.route)
		return;
	w->lost = true;
	lb_log(level_of(n, LB_LOG_WARN), "msg=\"backend out of reach\" address=%s reason=%s",
	       lb_addr_format(w->addr, text), lb_way_name(lb_route_way(n->follow.route, w->addr)));
}

static void log_found(struct lb_nexthops *n, struct lb_followed *w)
{
	char text[LB_ADDR_STRLEN];

	if (!w->lost)
		return;
	w->lost = false;
	lb_log(level_of(n, LB_LOG_INFO), "msg=\"backend in reach again\" address=%s ifindex=%u",
	       lb_addr_format(w->addr, text), w->nh.ifindex);
}

static void on_changed(void *ctx, const uint8_t addr[16], const struct lb_next_hop *nh)
{
	struct lb_nexthops *n = ctx;
	struct lb_followed *w = lb_follow_find(&n->follow, addr);

	if (!w)
		return;
	w->nh = *nh;
	if (nh->ifindex)
		log_found(n, w);
	else
		log_lost(n, w);
	n->changed(n->ctx, addr, nh);
}

static int route_start(struct lb_nexthops *n, struct lb_err *err);

static void on_readable(evutil_socket_t fd, short what, void *ctx)
{
	struct lb_nexthops *n = ctx;
	struct lb_err err = {0};
	int ret = lb_route_process(n->follow.route);

	if (lb_route_link_changes(n->follow.route) != n->link_changes) {
		n->link_changes = lb_route_link_changes(n->follow.route);
		n->links(n->ctx);
	}
	if (!ret)
		return;
	lb_log(LB_LOG_ERROR, "msg=\"lost the netlink socket\" error=%s", lb_quoted(strerror(-ret)));
	event_free(n->readable);
	lb_route_free(n->follow.route);
	n->readable = NULL;
	n->follow.route = NULL;
	/* What the dataplane has stays as it is; lb_nexthops_refresh tries again. */
	if (route_start(n, &err))
		lb_log(LB_LOG_ERROR, "msg=\"next hops are not followed\" error=%s", lb_quoted(lb_err_str(&err)));
}

static int route_start(struct lb_nexthops *n, struct lb_err *err)
{
	struct lb_route *route;
	int ret = lb_route_new(on_changed, n, &route, err);

	if (ret)
		return ret;
	n->link_changes = lb_route_link_changes(route);
	n->readable = event_new(n->base, lb_route_fd(route), EV_READ | EV_PERSIST, on_readable, n);
	if (!n->readable || event_add(n->readable, NULL)) {
		if (n->readable)
			event_free(n->readable);
		lb_route_free(route);
		n->readable = NULL;
		return lb_err_set(err, -ENOMEM, NULL, "out of memory");
	}
	/* What cannot be followed has been logged. */
	lb_follow_start(&n->follow, route);
	return 0;
}

int lb_nexthops_new(struct event_base *base, lb_route_fn changed, void (*links)(void *ctx), void *ctx,
		    struct lb_nexthops **out, struct lb_err *err)
{
	struct lb_nexthops *n = calloc(1, sizeof(*n));
	int ret;

	if (!n)
		return lb_err_set(err, -ENOMEM, NULL, "out of memory");
	n->base = base;
	n->changed = changed;
	n->links = links;
	n->ctx = ctx;
	ret = route_start(n, err);
	if (ret) {
		free(n);
		return ret;
	}
	*out = n;
	return 0;
}

void lb_nexthops_free(struct lb_nexthops *n)
{
	if (!n)
		return;
	if (n->readable)
		event_free(n->readable);
	lb_route_free(n->follow.route);
	free(n->follow.list);
	free(n);
}

/* The addresses of all backends. */
static int collect(const struct lb_model *m, struct lb_followed **list, size_t *nr)
{
	const struct lb_model_service *const *services;
	size_t nr_services = lb_model_services(m, &services), total = 0, used = 0;
	struct lb_followed *w;

	for (size_t i = 0; i < nr_services; i++)
		total += services[i]->conf.nr_backends;
	w = calloc(total ? total : 1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	for (size_t i = 0; i < nr_services; i++)
		for (size_t j = 0; j < services[i]->conf.nr_backends; j++)
			memcpy(w[used++].addr, services[i]->conf.backends[j].address.addr, 16);
	*list = w;
	*nr = used;
	return 0;
}

/* Tells of the backends' addresses of which the model and the routes think otherwise: those that are @known here and
 * lack a next hop there, or the reverse. */
static void tell(struct lb_nexthops *n, const struct lb_model *m, bool known)
{
	const struct lb_model_service *const *services;
	size_t nr = lb_model_services(m, &services);

	for (size_t i = 0; i < nr; i++) {
		lb_pause();
		for (size_t j = 0; j < services[i]->conf.nr_backends; j++) {
			const struct lb_model_backend *b = &services[i]->backends[j];
			const struct lb_followed *w;

			if (!b->next_hop.ifindex != known)
				continue;
			w = lb_follow_find(&n->follow, b->conf.address.addr);
			if (w && !w->nh.ifindex == !known)
				n->changed(n->ctx, w->addr, &w->nh);
		}
	}
}

int lb_nexthops_sync(struct lb_nexthops *n, const struct lb_model *m)
{
	struct lb_followed *list;
	size_t nr;
	int ret = collect(m, &list, &nr);

	if (ret)
		return ret;
	lb_follow_change(&n->follow, list, nr);
	/* A backend that is new to the model may have an address that is known for long. */
	tell(n, m, true);
	return 0;
}

void lb_nexthops_give_up(struct lb_nexthops *n, const struct lb_model *m)
{
	tell(n, m, false);
}

enum lb_way lb_nexthops_way(const struct lb_nexthops *n, const uint8_t addr[16])
{
	return n->follow.route ? lb_route_way(n->follow.route, addr) : LB_WAY_NO_ROUTE;
}

bool lb_nexthops_has_vlans(const struct lb_nexthops *n, uint32_t ifindex)
{
	return n->follow.route && lb_route_has_vlans(n->follow.route, ifindex);
}

void lb_nexthops_refresh(struct lb_nexthops *n)
{
	n->logged = 0;
	if (!n->follow.route && route_start(n, NULL))
		return;
	/* Who never had one is found here: there was no change to report. A new one may be being asked for. */
	for (size_t i = 0; i < n->follow.nr; i++) {
		struct lb_followed *w = &n->follow.list[i];

		if (!w->nh.ifindex && w->missing)
			log_lost(n, w);
		w->missing = !w->nh.ifindex;
	}
	lb_route_refresh(n->follow.route);
}
