// SPDX-License-Identifier: GPL-2.0-or-later
/* Follows the routes to the VIPs that backends are checked by, and has the program on the interfaces they lead to. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "check_path.h"
#include "follow.h"
#include "log.h"

struct hook {
	uint32_t ifindex;
	bool attached;
	bool wanted;
	bool failed; /* has been logged */
};

struct lb_check_path {
	struct event_base *base;
	struct lb_dataplane *dp;
	struct lb_egress *egress; /* these two, and a route: while there are VIPs */
	struct event *readable;
	struct event *changed; /* hooks are brought to what ways need, once for many changes */
	struct lb_follow vips;
	struct hook hooks[LB_MAX_PORTS];
	size_t nr_hooks;
	bool failing; /* that it cannot be begun has been logged */
};

static struct hook *hook_find(struct lb_check_path *p, uint32_t ifindex)
{
	for (size_t i = 0; i < p->nr_hooks; i++)
		if (p->hooks[i].ifindex == ifindex)
			return &p->hooks[i];
	return NULL;
}

static void log_way(struct lb_check_path *p, struct lb_followed *w)
{
	char text[LB_ADDR_STRLEN];
	bool lost = !w->nh.ifindex;

	if (lost == w->lost)
		return;
	w->lost = lost;
	if (lost)
		lb_log(LB_LOG_WARN,
		       "msg=\"no checks by way of a VIP: it needs a route to another host that answers\" vip=%s "
		       "reason=%s",
		       lb_addr_format(w->addr, text), lb_way_name(lb_route_way(p->vips.route, w->addr)));
	else
		lb_log(LB_LOG_INFO, "msg=\"checks by way of a VIP\" vip=%s ifindex=%u", lb_addr_format(w->addr, text),
		       w->nh.ifindex);
}

static void on_route(void *ctx, const uint8_t addr[16], const struct lb_next_hop *nh)
{
	struct lb_check_path *p = ctx;
	struct lb_followed *w = lb_follow_find(&p->vips, addr);
	bool moved = w && w->nh.ifindex != nh->ifindex;

	if (w)
		w->nh = *nh;
	if (moved)
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
	for (size_t i = 0; i < p->vips.nr; i++) {
		struct hook *h = hook_find(p, p->vips.list[i].nh.ifindex);

		if (!h && p->vips.list[i].nh.ifindex && p->nr_hooks < LB_MAX_PORTS) {
			h = &p->hooks[p->nr_hooks++];
			*h = (struct hook){.ifindex = p->vips.list[i].nh.ifindex};
		}
		if (h)
			h->wanted = true;
		if (p->vips.list[i].nh.ifindex)
			log_way(p, &p->vips.list[i]);
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
	lb_route_free(p->vips.route);
	lb_egress_free(p->egress);
	p->readable = NULL;
	p->vips.route = NULL;
	p->egress = NULL;
	for (size_t i = 0; i < p->vips.nr; i++)
		p->vips.list[i].nh = (struct lb_next_hop){0};
}

static void begin(struct lb_check_path *p);

static void on_readable(evutil_socket_t fd, short what, void *ctx)
{
	struct lb_check_path *p = ctx;
	int ret = lb_route_process(p->vips.route);

	if (!ret)
		return;
	lb_log(LB_LOG_ERROR, "msg=\"lost the netlink socket of the VIPs' routes\" error=%s", lb_quoted(strerror(-ret)));
	end(p);
	begin(p);
}

static int try_begin(struct lb_check_path *p, struct lb_err *err)
{
	int ret = lb_egress_new(p->dp, &p->egress, err) ?: lb_route_new(on_route, p, &p->vips.route, err);

	if (ret)
		return ret;
	p->readable = event_new(p->base, lb_route_fd(p->vips.route), EV_READ | EV_PERSIST, on_readable, p);
	if (!p->readable || event_add(p->readable, NULL))
		return lb_err_set(err, -ENOMEM, NULL, "out of memory");
	ret = lb_follow_start(&p->vips, p->vips.route);
	if (ret)
		return lb_err_set(err, ret, NULL, "cannot follow a route: %s", strerror(-ret));
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
	free(p->vips.list);
	free(p);
}

/* The VIPs that backends are checked by. */
static int collect(const struct lb_model *m, struct lb_followed **list, size_t *nr)
{
	const struct lb_model_service *const *services;
	size_t nr_services = lb_model_services(m, &services), used = 0;
	struct lb_followed *w = calloc(nr_services ? nr_services : 1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	for (size_t i = 0; i < nr_services; i++) {
		const struct lb_vip_conf *vip = lb_service_conf_check_vip(&services[i]->conf);

		if (vip)
			memcpy(w[used++].addr, vip->vip.addr, 16);
	}
	*list = w;
	*nr = used;
	return 0;
}

int lb_check_path_sync(struct lb_check_path *p, const struct lb_model *m)
{
	struct lb_followed *list;
	size_t nr;
	int ret = collect(m, &list, &nr);

	if (ret)
		return ret;
	lb_follow_change(&p->vips, list, nr);
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
	if (p->vips.nr && !p->egress)
		begin(p);
	if (!p->egress)
		return;
	/* A router may be being asked for. */
	for (size_t i = 0; i < p->vips.nr; i++) {
		struct lb_followed *w = &p->vips.list[i];

		if (!w->nh.ifindex && w->missing)
			log_way(p, w);
		w->missing = !w->nh.ifindex;
	}
	lb_route_refresh(p->vips.route);
	update_hooks(p);
}

bool lb_check_path_ready(void *ctx, const uint8_t vip[16])
{
	struct lb_check_path *p = ctx;
	const struct lb_followed *w = lb_follow_find(&p->vips, vip);
	const struct hook *h = w && w->nh.ifindex ? hook_find(p, w->nh.ifindex) : NULL;

	return h && h->attached;
}
