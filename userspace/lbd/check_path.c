// SPDX-License-Identifier: GPL-2.0-or-later
/* Follows the routes to the VIPs that backends are checked by, and has the program on the interfaces they lead to. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "check_path.h"
#include "log.h"
#include "route.h"

struct way {
	uint8_t vip[16];
	uint32_t ifindex; /* 0: packets to it cannot be sent */
	bool lost;	  /* that it has none has been logged */
	bool missing;	  /* it had none at the last refresh */
};

struct hook {
	uint32_t ifindex;
	bool attached;
	bool wanted;
	bool failed; /* has been logged */
};

struct lb_check_path {
	struct event_base *base;
	struct lb_dataplane *dp;
	struct lb_egress *egress; /* these three: while there are ways */
	struct lb_route *route;
	struct event *readable;
	struct event *changed; /* hooks are brought to what ways need, once for many changes */
	struct way *ways;      /* in order of VIP */
	size_t nr_ways;
	struct hook hooks[LB_MAX_PORTS];
	size_t nr_hooks;
	bool failing; /* that it cannot be begun has been logged */
};

static int way_cmp(const void *a, const void *b)
{
	return memcmp(a, b, 16);
}

static struct way *way_find(const struct lb_check_path *p, const uint8_t vip[16])
{
	return p->nr_ways ? bsearch(vip, p->ways, p->nr_ways, sizeof(*p->ways), way_cmp) : NULL;
}

static struct hook *hook_find(struct lb_check_path *p, uint32_t ifindex)
{
	for (size_t i = 0; i < p->nr_hooks; i++)
		if (p->hooks[i].ifindex == ifindex)
			return &p->hooks[i];
	return NULL;
}

static void log_way(struct lb_check_path *p, struct way *w)
{
	char text[LB_ADDR_STRLEN];
	bool lost = !w->ifindex;

	if (lost == w->lost)
		return;
	w->lost = lost;
	if (lost)
		lb_log(LB_LOG_WARN,
		       "msg=\"no checks by way of a VIP: it needs a route to another host that answers\" vip=%s "
		       "reason=%s",
		       lb_addr_format(w->vip, text), lb_way_name(lb_route_way(p->route, w->vip)));
	else
		lb_log(LB_LOG_INFO, "msg=\"checks by way of a VIP\" vip=%s ifindex=%u", lb_addr_format(w->vip, text),
		       w->ifindex);
}

static void on_route(void *ctx, const uint8_t addr[16], const struct lb_next_hop *nh)
{
	struct lb_check_path *p = ctx;
	struct way *w = way_find(p, addr);

	if (!w || w->ifindex == nh->ifindex)
		return;
	w->ifindex = nh->ifindex;
	event_active(p->changed, EV_TIMEOUT, 0);
}

static void hook_attach(struct lb_check_path *p, struct hook *h)
{
	struct lb_err err = {0};

	h->attached = !lb_egress_attach(p->egress, h->ifindex, &err);
	if (!h->attached && !h->failed)
		lb_log(LB_LOG_ERROR, "msg=\"no checks by way of a VIP; trying again\" ifindex=%u error=%s", h->ifindex,
		       lb_quoted(lb_err_str(&err)));
	h->failed = !h->attached;
}

/* Those that nobody needs go, and what is there is seen to be there. */
static void update_hooks(struct lb_check_path *p)
{
	size_t kept = 0;

	for (size_t i = 0; i < p->nr_hooks; i++)
		p->hooks[i].wanted = false;
	for (size_t i = 0; i < p->nr_ways; i++) {
		struct hook *h = hook_find(p, p->ways[i].ifindex);

		if (!h && p->ways[i].ifindex && p->nr_hooks < LB_MAX_PORTS) {
			h = &p->hooks[p->nr_hooks++];
			*h = (struct hook){.ifindex = p->ways[i].ifindex};
		}
		if (h)
			h->wanted = true;
		if (p->ways[i].ifindex)
			log_way(p, &p->ways[i]);
	}
	for (size_t i = 0; i < p->nr_hooks; i++) {
		if (!p->hooks[i].wanted) {
			lb_egress_detach(p->hooks[i].ifindex);
			continue;
		}
		p->hooks[kept] = p->hooks[i];
		hook_attach(p, &p->hooks[kept++]);
	}
	p->nr_hooks = kept;
}

static void on_changed(evutil_socket_t fd, short what, void *ctx)
{
	struct lb_check_path *p = ctx;

	if (p->egress)
		update_hooks(p);
}

/* ---- what it takes, while there is something to do ---- */

static void end(struct lb_check_path *p)
{
	for (size_t i = 0; i < p->nr_hooks; i++)
		lb_egress_detach(p->hooks[i].ifindex);
	p->nr_hooks = 0;
	if (p->readable)
		event_free(p->readable);
	lb_route_free(p->route);
	lb_egress_free(p->egress);
	p->readable = NULL;
	p->route = NULL;
	p->egress = NULL;
	for (size_t i = 0; i < p->nr_ways; i++)
		p->ways[i].ifindex = 0;
}

static void begin(struct lb_check_path *p);

static void on_readable(evutil_socket_t fd, short what, void *ctx)
{
	struct lb_check_path *p = ctx;
	int ret = lb_route_process(p->route);

	if (!ret)
		return;
	lb_log(LB_LOG_ERROR, "msg=\"lost the netlink socket of the VIPs' routes\" error=%s", lb_quoted(strerror(-ret)));
	end(p);
	begin(p);
}

static int try_begin(struct lb_check_path *p, struct lb_err *err)
{
	int ret = lb_egress_new(p->dp, &p->egress, err);

	if (!ret)
		ret = lb_route_new(on_route, p, &p->route, err);
	if (ret)
		return ret;
	p->readable = event_new(p->base, lb_route_fd(p->route), EV_READ | EV_PERSIST, on_readable, p);
	if (!p->readable || event_add(p->readable, NULL))
		return lb_err_set(err, -ENOMEM, NULL, "out of memory");
	for (size_t i = 0; i < p->nr_ways; i++) {
		ret = lb_route_watch(p->route, p->ways[i].vip);
		if (ret)
			return lb_err_set(err, ret, NULL, "cannot follow a route: %s", strerror(-ret));
	}
	return 0;
}

/* Where it cannot be begun the next refresh tries again. */
static void begin(struct lb_check_path *p)
{
	struct lb_err err = {0};
	int ret = try_begin(p, &err);

	if (ret) {
		end(p);
		if (!p->failing)
			lb_log(LB_LOG_ERROR, "msg=\"no checks by way of VIPs; trying again\" error=%s",
			       lb_quoted(lb_err_str(&err)));
	}
	p->failing = ret;
	update_hooks(p);
}

struct lb_check_path *lb_check_path_new(struct event_base *base, struct lb_dataplane *dp)
{
	struct lb_check_path *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->base = base;
	p->dp = dp;
	p->changed = evtimer_new(base, on_changed, p);
	if (!p->changed) {
		free(p);
		return NULL;
	}
	lb_egress_detach_all();
	return p;
}

void lb_check_path_free(struct lb_check_path *p)
{
	if (!p)
		return;
	end(p);
	event_free(p->changed);
	free(p->ways);
	free(p);
}

/* The VIPs that backends are checked by, in order, each once. */
static int collect(const struct lb_model *m, struct way **list, size_t *nr)
{
	const struct lb_model_service *const *services;
	size_t nr_services = lb_model_services(m, &services), used = 0, unique = 0;
	struct way *w = calloc(nr_services ? nr_services : 1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	for (size_t i = 0; i < nr_services; i++) {
		const struct lb_vip_conf *vip = lb_service_conf_check_vip(&services[i]->conf);

		if (vip)
			memcpy(w[used++].vip, vip->vip.addr, 16);
	}
	qsort(w, used, sizeof(*w), way_cmp);
	for (size_t i = 0; i < used; i++)
		if (!unique || way_cmp(&w[i], &w[unique - 1]))
			w[unique++] = w[i];
	*list = w;
	*nr = unique;
	return 0;
}

static void follow(struct lb_check_path *p, const uint8_t vip[16])
{
	char text[LB_ADDR_STRLEN];
	int ret = lb_route_watch(p->route, vip);

	if (ret)
		lb_log(LB_LOG_ERROR, "msg=\"cannot follow a route\" vip=%s error=%s", lb_addr_format(vip, text),
		       lb_quoted(strerror(-ret)));
}

int lb_check_path_sync(struct lb_check_path *p, const struct lb_model *m)
{
	struct way *old = p->ways, *list;
	size_t nr_old = p->nr_ways, nr, i, j;
	int ret = collect(m, &list, &nr);

	if (ret)
		return ret;
	for (i = 0, j = 0; i < nr; i++) {
		while (j < nr_old && way_cmp(&old[j], &list[i]) < 0)
			j++;
		if (j < nr_old && !way_cmp(&old[j], &list[i]))
			list[i] = old[j];
	}
	p->ways = list;
	p->nr_ways = nr;
	for (i = 0, j = 0; p->route && (i < nr || j < nr_old);) {
		int d = i == nr ? 1 : j == nr_old ? -1 : way_cmp(&list[i], &old[j]);

		if (d < 0)
			follow(p, list[i].vip);
		else if (d > 0)
			lb_route_unwatch(p->route, old[j].vip);
		i += d <= 0;
		j += d >= 0;
	}
	free(old);
	if (!nr)
		end(p);
	else if (!p->egress)
		begin(p);
	else
		update_hooks(p);
	return 0;
}

void lb_check_path_refresh(struct lb_check_path *p)
{
	if (p->nr_ways && !p->egress)
		begin(p);
	if (!p->egress)
		return;
	/* A router may be being asked for. */
	for (size_t i = 0; i < p->nr_ways; i++) {
		struct way *w = &p->ways[i];

		if (!w->ifindex && w->missing)
			log_way(p, w);
		w->missing = !w->ifindex;
	}
	lb_route_refresh(p->route);
	update_hooks(p);
}

bool lb_check_path_ready(void *ctx, const uint8_t vip[16])
{
	struct lb_check_path *p = ctx;
	const struct way *w = way_find(p, vip);
	const struct hook *h = w && w->ifindex ? hook_find(p, w->ifindex) : NULL;

	return h && h->attached;
}
