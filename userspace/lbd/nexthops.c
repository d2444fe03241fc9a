// SPDX-License-Identifier: GPL-2.0-or-later
/* Follows the addresses of all backends: each address once, however many backends share it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "nexthops.h"
#include "pause.h"

#define LOGGED_MAX 16 /* lines between two refreshes */

struct watched {
	uint8_t addr[16];
	struct lb_next_hop nh;
	bool lost;    /* that it has none has been logged */
	bool missing; /* it had none at the last refresh */
};

struct lb_nexthops {
	struct event_base *base;
	struct lb_route *route;
	struct event *readable;
	lb_route_fn changed;
	void (*links)(void *ctx);
	void *ctx;
	struct watched *list; /* sorted by address */
	size_t nr;
	uint64_t link_changes;
	unsigned int logged; /* since the last refresh */
};

static int watched_cmp(const void *a, const void *b)
{
	return memcmp(a, b, 16);
}

static struct watched *watched_find(const struct lb_nexthops *n, const uint8_t addr[16])
{
	return n->nr ? bsearch(addr, n->list, n->nr, sizeof(*n->list), watched_cmp) : NULL;
}

/* The first few for everybody: a switch that fails takes thousands of them along. */
static enum lb_log_level level_of(struct lb_nexthops *n, enum lb_log_level level)
{
	return n->logged++ < LOGGED_MAX ? level : LB_LOG_DEBUG;
}

static void log_lost(struct lb_nexthops *n, struct watched *w)
{
	char text[LB_ADDR_STRLEN];

	if (w->lost || !n->route)
		return;
	w->lost = true;
	lb_log(level_of(n, LB_LOG_WARN), "msg=\"backend out of reach\" address=%s reason=%s",
	       lb_addr_format(w->addr, text), lb_way_name(lb_route_way(n->route, w->addr)));
}

static void log_found(struct lb_nexthops *n, struct watched *w)
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
	struct watched *w = watched_find(n, addr);

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
	int ret = lb_route_process(n->route);

	if (lb_route_link_changes(n->route) != n->link_changes) {
		n->link_changes = lb_route_link_changes(n->route);
		n->links(n->ctx);
	}
	if (!ret)
		return;
	lb_log(LB_LOG_ERROR, "msg=\"lost the netlink socket\" error=%s", lb_quoted(strerror(-ret)));
	event_free(n->readable);
	lb_route_free(n->route);
	n->readable = NULL;
	n->route = NULL;
	/* What the dataplane has stays as it is; lb_nexthops_refresh tries again. */
	if (route_start(n, &err))
		lb_log(LB_LOG_ERROR, "msg=\"next hops are not followed\" error=%s", lb_quoted(lb_err_str(&err)));
}

static void watch(struct lb_nexthops *n, const uint8_t addr[16])
{
	char text[LB_ADDR_STRLEN];
	int ret = lb_route_watch(n->route, addr);

	if (ret)
		lb_log(LB_LOG_ERROR, "msg=\"cannot follow a next hop\" address=%s error=%s", lb_addr_format(addr, text),
		       lb_quoted(strerror(-ret)));
}

static int route_start(struct lb_nexthops *n, struct lb_err *err)
{
	int ret = lb_route_new(on_changed, n, &n->route, err);

	if (ret)
		return ret;
	n->link_changes = lb_route_link_changes(n->route);
	n->readable = event_new(n->base, lb_route_fd(n->route), EV_READ | EV_PERSIST, on_readable, n);
	if (!n->readable || event_add(n->readable, NULL)) {
		if (n->readable)
			event_free(n->readable);
		lb_route_free(n->route);
		n->readable = NULL;
		n->route = NULL;
		return lb_err_set(err, -ENOMEM, NULL, "out of memory");
	}
	for (size_t i = 0; i < n->nr; i++)
		watch(n, n->list[i].addr);
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
	lb_route_free(n->route);
	free(n->list);
	free(n);
}

/* The addresses of all backends, sorted, each once. */
static int collect(const struct lb_model *m, struct watched **list, size_t *nr)
{
	const struct lb_model_service *const *services;
	size_t nr_services = lb_model_services(m, &services), total = 0, used = 0, unique = 0;
	struct watched *w;

	for (size_t i = 0; i < nr_services; i++)
		total += services[i]->conf.nr_backends;
	w = calloc(total ? total : 1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	for (size_t i = 0; i < nr_services; i++)
		for (size_t j = 0; j < services[i]->conf.nr_backends; j++)
			memcpy(w[used++].addr, services[i]->conf.backends[j].address.addr, 16);
	lb_pause();
	qsort(w, used, sizeof(*w), watched_cmp);
	lb_pause();
	for (size_t i = 0; i < used; i++)
		if (!unique || watched_cmp(&w[i], &w[unique - 1]))
			w[unique++] = w[i];
	*list = w;
	*nr = unique;
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
			const struct watched *w = watched_find(n, b->conf.address.addr);

			if (w && !w->nh.ifindex == !known && !b->next_hop.ifindex == known)
				n->changed(n->ctx, w->addr, &w->nh);
		}
	}
}

int lb_nexthops_sync(struct lb_nexthops *n, const struct lb_model *m)
{
	struct watched *old = n->list, *list;
	size_t nr_old = n->nr, nr, i, j;
	int ret = collect(m, &list, &nr);

	if (ret)
		return ret;
	for (i = 0, j = 0; i < nr; i++) {
		while (j < nr_old && watched_cmp(&old[j], &list[i]) < 0)
			j++;
		if (j < nr_old && !watched_cmp(&old[j], &list[i]))
			list[i] = old[j];
	}
	n->list = list;
	n->nr = nr;
	for (i = 0, j = 0; n->route && (i < nr || j < nr_old);) {
		int d = i == nr ? 1 : j == nr_old ? -1 : watched_cmp(&list[i], &old[j]);

		if (d < 0)
			watch(n, list[i].addr);
		else if (d > 0)
			lb_route_unwatch(n->route, old[j].addr);
		lb_pause();
		i += d <= 0;
		j += d >= 0;
	}
	free(old);
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
	return n->route ? lb_route_way(n->route, addr) : LB_WAY_NO_ROUTE;
}

bool lb_nexthops_has_vlans(const struct lb_nexthops *n, uint32_t ifindex)
{
	return n->route && lb_route_has_vlans(n->route, ifindex);
}

void lb_nexthops_refresh(struct lb_nexthops *n)
{
	n->logged = 0;
	if (!n->route && route_start(n, NULL))
		return;
	/* Who never had one is found here: there was no change to report. A new one may be being asked for. */
	for (size_t i = 0; i < n->nr; i++) {
		struct watched *w = &n->list[i];

		if (!w->nh.ifindex && w->missing)
			log_lost(n, w);
		w->missing = !w->nh.ifindex;
	}
	lb_route_refresh(n->route);
}
