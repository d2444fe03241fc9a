// SPDX-License-Identifier: GPL-2.0-or-later
/* Schedules probes and turns their results into health. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "lb/check.h"
#include "log.h"
#include "pause.h"
#include "probe.h"
#include "prober.h"

#define PAUSE_EVERY 256			  /* targets */
#define NOT_RUN_NS (10 * LB_NSEC_PER_SEC) /* how often it is said that checks could not be run */

/* The targets of one service, sorted as its backends. */
struct lb_group {
	struct lb_prober *prober;
	char service[LB_NAME_MAX];
	struct lb_check_conf check;
	struct lb_vip_conf vip; /* the first; all zero: there is none */
	struct lb_vip_conf via; /* by way of which it is checked; all zero: there is none */
	struct lb_target **targets;
	size_t nr;
};

struct lb_target {
	struct lb_group *group;
	struct lb_endpoint address;
	struct event *timer;
	struct lb_probe *probe; /* under way */
	struct lb_probe_notes notes;
	uint64_t started_ns;
	bool active;
	struct lb_target_stats stats;
};

struct lb_prober {
	struct event_base *base;
	lb_prober_fn changed;
	lb_prober_share_fn shared;
	void *ctx;
	struct lb_probes *probes;
	struct lb_group **groups; /* sorted by service */
	size_t nr;
	uint64_t not_run_ns; /* when it was said last that checks could not be run */
	uint64_t nr_not_run; /* since then */
	const struct lb_model *model;
	lb_prober_path_fn path_ready;
	void *path_ctx;
};

static void target_stop(struct lb_target *t)
{
	if (t->probe)
		t->probe->cancel(t->probe);
	t->probe = NULL;
	evtimer_del(t->timer);
	t->active = false;
}

static void target_free(struct lb_target *t)
{
	if (!t)
		return;
	if (t->timer) {
		target_stop(t);
		event_free(t->timer);
	}
	free(t->stats.detail);
	free(t);
}

static void group_free(struct lb_group *g)
{
	if (!g)
		return;
	for (size_t i = 0; i < g->nr; i++)
		target_free(g->targets[i]);
	lb_check_conf_fini(&g->check);
	free(g->targets);
	free(g);
}

static void target_schedule(struct lb_target *t, uint64_t delay_ns)
{
	struct timeval tv = lb_timeval(delay_ns);

	evtimer_add(t->timer, &tv);
}

/* It went down; too often? */
static void note_flap(struct lb_target *t)
{
	uint64_t now_ns = lb_now_ns(), held_ns = lb_flap_down(&t->stats.flap, &t->group->check, now_ns);
	char text[LB_ADDR_STRLEN];

	t->stats.held_until_ns = held_ns ? now_ns + held_ns : 0;
	if (held_ns)
		lb_log(LB_LOG_WARN, "msg=\"held down\" service=%s backend=%s reason=flapping seconds=%.1f",
		       t->group->service, lb_endpoint_format(&t->address, text), held_ns / (double)LB_NSEC_PER_SEC);
}

/* Good results count for nothing while it is held down; then `rise` of them in a row do. */
static bool is_held(struct lb_target *t, enum lb_reason reason)
{
	struct lb_health_state *h = &t->stats.health;

	if (h->health != LB_HEALTH_DOWN || !lb_flap_held(&t->stats.flap, &t->group->check, lb_now_ns()))
		t->stats.held_until_ns = 0;
	if (!t->stats.held_until_ns || reason != LB_REASON_OK)
		return false;
	h->ok = h->failed = 0;
	h->reason = LB_REASON_FLAPPING;
	return true;
}

/* Our own trouble (no descriptors, no memory) says nothing about the backend. */
static void not_run(struct lb_target *t)
{
	struct lb_prober *p = t->group->prober;
	uint64_t now_ns = lb_now_ns();
	char address[LB_ADDR_STRLEN];

	t->stats.health.reason = LB_REASON_INTERNAL;
	p->nr_not_run++;
	if (p->not_run_ns && now_ns - p->not_run_ns < NOT_RUN_NS)
		return;
	lb_log(LB_LOG_WARN,
	       "msg=\"checks could not be run; their backends' health stays\" checks=%llu service=%s backend=%s",
	       (unsigned long long)p->nr_not_run, t->group->service, lb_endpoint_format(&t->address, address));
	p->not_run_ns = now_ns;
	p->nr_not_run = 0;
}

/* What a good answer says of the backend's weight counts at once, also where it is not yet up. */
static void take_share(struct lb_target *t)
{
	const struct lb_check_conf *check = &t->group->check;
	struct lb_share_state *s = &t->stats.share;
	uint32_t from = s->percent ? s->percent : LB_SHARE_ALL, to;
	char address[LB_ADDR_STRLEN];

	if (!lb_check_conf_reads_weight(check))
		return;
	to = t->notes.has_share ? lb_share_read(s, check, t->notes.share) : lb_share_unread(s, check);
	if (s->unread == 1)
		lb_log(LB_LOG_WARN, "msg=\"no weight can be read in an answer\" service=%s backend=%s percent=%u",
		       t->group->service, lb_endpoint_format(&t->address, address), to);
	if (to != from && t->group->prober->shared)
		t->group->prober->shared(t->group->prober->ctx, t->group->service, &t->address, from, to,
					 t->notes.has_share);
}

static void target_result(struct lb_target *t, enum lb_reason reason)
{
	const struct lb_check_conf *check = &t->group->check;
	uint64_t took_ns = lb_now_ns() - t->started_ns, interval_ns, delay_ns;
	struct lb_health_state *h = &t->stats.health;
	enum lb_health from = h->health;
	bool changed = false;

	t->probe = NULL;
	free(t->stats.detail);
	t->stats.detail = t->notes.detail;
	t->notes.detail = NULL;
	t->stats.results[reason]++;
	lb_histogram_add(&t->stats.duration, took_ns);
	if (reason == LB_REASON_OK)
		take_share(t);
	if (reason == LB_REASON_INTERNAL)
		not_run(t);
	else if (!is_held(t, reason))
		changed = lb_health_result(h, reason, check->rise, check->fall, lb_clock_ns(CLOCK_REALTIME));
	interval_ns = check->fast_interval_ns && lb_health_changing(h) ? check->fast_interval_ns : check->interval_ns;
	delay_ns = lb_health_delay(interval_ns, arc4random());
	target_schedule(t, delay_ns > took_ns ? delay_ns - took_ns : 0);
	if (changed && from == LB_HEALTH_UP)
		note_flap(t);
	if (changed)
		t->group->prober->changed(t->group->prober->ctx, t->group->service, &t->address, from, h);
}

static void on_probe_done(void *ctx, enum lb_reason reason)
{
	target_result(ctx, reason);
}

static int endpoint_cmp(const struct lb_endpoint *a, const struct lb_endpoint *b)
{
	int d = memcmp(a->addr, b->addr, sizeof(a->addr));

	return d ? d : ntohs(a->port) - ntohs(b->port);
}

static int backend_cmp(const void *address, const void *backend)
{
	return endpoint_cmp(address, &((const struct lb_model_backend *)backend)->conf.address);
}

/* The mark that brings a packet to the target; 0: the model does not know it. */
static uint32_t target_mark(const struct lb_target *t)
{
	const struct lb_group *g = t->group;
	const struct lb_model_service *s = lb_model_service(g->prober->model, g->service);
	const struct lb_model_backend *b =
		s ? bsearch(&t->address, s->backends, s->conf.nr_backends, sizeof(*s->backends), backend_cmp) : NULL;

	return b ? LB_CHECK_MARK_OF(s->idx, b->idx) : 0;
}

/* Where the probe is to go. False: it cannot. */
static bool aim(const struct lb_target *t, struct lb_probe_request *req)
{
	const struct lb_group *g = t->group;
	struct lb_prober *p = g->prober;

	if (g->check.via == LB_CHECK_VIA_VIP) {
		if (!g->via.plen || !p->path_ready || !p->path_ready(p->path_ctx, g->via.vip.addr))
			return false;
		memcpy(req->to.addr, g->via.vip.addr, sizeof(req->to.addr));
		req->to.port = g->via.vip.port;
		req->mark = target_mark(t);
	}
	if (g->check.port)
		req->to.port = htons(g->check.port);
	else if (!req->to.port)
		req->to.port = g->vip.vip.port;
	return g->check.via == LB_CHECK_DIRECT || req->mark;
}

static void on_due(evutil_socket_t fd, short what, void *ctx)
{
	struct lb_target *t = ctx;
	struct lb_group *g = t->group;
	struct lb_probe_request req = {
		.to = t->address,
		.check = &g->check,
		.service = g->service,
		.vip = g->vip.plen ? &g->vip : NULL,
		.notes = &t->notes,
		.done = on_probe_done,
		.ctx = t,
	};
	enum lb_reason reason = LB_REASON_INTERNAL;

	t->started_ns = lb_now_ns();
	t->notes = (struct lb_probe_notes){0};
	if (aim(t, &req))
		t->probe = lb_probe_start(g->prober->probes, &req, &reason);
	if (!t->probe)
		target_result(t, reason);
}

struct lb_prober *lb_prober_new(struct event_base *base, lb_prober_fn changed, void *ctx)
{
	struct lb_prober *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->base = base;
	p->changed = changed;
	p->ctx = ctx;
	p->probes = lb_probes_new(base);
	if (!p->probes) {
		free(p);
		return NULL;
	}
	return p;
}

void lb_prober_use_path(struct lb_prober *p, lb_prober_path_fn ready, void *ctx)
{
	p->path_ready = ready;
	p->path_ctx = ctx;
}

void lb_prober_on_share(struct lb_prober *p, lb_prober_share_fn shared)
{
	p->shared = shared;
}

void lb_prober_free(struct lb_prober *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->nr; i++)
		group_free(p->groups[i]);
	free(p->groups);
	lb_probes_free(p->probes);
	free(p);
}

static int group_cmp(const void *name, const void *group)
{
	return strcmp(name, (*(struct lb_group *const *)group)->service);
}

static struct lb_group **group_find(const struct lb_prober *p, const char *service)
{
	return p->nr ? bsearch(service, p->groups, p->nr, sizeof(*p->groups), group_cmp) : NULL;
}

static int target_cmp(const void *address, const void *target)
{
	return endpoint_cmp(address, &(*(struct lb_target *const *)target)->address);
}

static struct lb_target **target_find(const struct lb_group *g, const struct lb_endpoint *address)
{
	return g && g->nr ? bsearch(address, g->targets, g->nr, sizeof(*g->targets), target_cmp) : NULL;
}

static struct lb_target *target_new(struct lb_group *g, const struct lb_endpoint *address, enum lb_health health)
{
	struct lb_target *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->timer = evtimer_new(g->prober->base, on_due, t);
	if (!t->timer) {
		free(t);
		return NULL;
	}
	t->group = g;
	t->address = *address;
	t->stats.health.health = health;
	t->stats.health.since_ns = lb_clock_ns(CLOCK_REALTIME);
	return t;
}

static void target_set_health(struct lb_target *t, enum lb_health health)
{
	if (t->stats.health.health != health)
		t->stats.health = (struct lb_health_state){.health = health, .since_ns = lb_clock_ns(CLOCK_REALTIME)};
}

/* A disabled backend is not checked: what was true before need not be when it comes back. */
static void target_forget(struct lb_target *t)
{
	enum lb_health from = t->stats.health.health;

	target_set_health(t, LB_HEALTH_UNKNOWN);
	if (from != LB_HEALTH_UNKNOWN)
		t->group->prober->changed(t->group->prober->ctx, t->group->service, &t->address, from,
					  &t->stats.health);
}

/* Starts, restarts or stops what the model says of one target. Returns true when its first check is wanted. */
static bool target_update(struct lb_target *t, const struct lb_model_backend *b, bool restart)
{
	bool checked = t->group->check.type != LB_CHECK_NONE;

	if (!checked || b->conf.admin == LB_ADMIN_DISABLED) {
		target_stop(t);
		if (checked)
			target_forget(t);
		else
			target_set_health(t, LB_HEALTH_UNCHECKED);
		return false;
	}
	if (t->active && !restart)
		return false;
	target_stop(t);
	t->active = true;
	t->stats.share.percent = b->share_said;
	target_set_health(t, b->health);
	t->stats.health.ok = t->stats.health.failed = 0;
	return true;
}

static struct lb_group *group_new(struct lb_prober *p, const struct lb_model_service *s)
{
	struct lb_group *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	g->prober = p;
	memcpy(g->service, s->conf.name, sizeof(g->service));
	if (!lb_check_conf_copy(&g->check, &s->conf.check))
		return g;
	free(g);
	return NULL;
}

static bool has_targets(const struct lb_group *g, const struct lb_model_service *s)
{
	if (g->nr != s->conf.nr_backends)
		return false;
	for (size_t i = 0; i < g->nr; i++)
		if (endpoint_cmp(&g->targets[i]->address, &s->conf.backends[i].address))
			return false;
	return true;
}

/* Gives @g the backends of @s: those that stay keep their targets. 0 or -ENOMEM with nothing changed. */
static int group_set_targets(struct lb_group *g, const struct lb_model_service *s)
{
	size_t nr = s->conf.nr_backends, taken = 0;
	struct lb_group was = *g;
	struct lb_target **list;

	if (has_targets(g, s))
		return 0;
	list = calloc(nr ? nr : 1, sizeof(struct lb_target *));
	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < nr; i++) {
		const struct lb_endpoint *address = &s->conf.backends[i].address;
		struct lb_target **found = target_find(&was, address);

		lb_pause_at(i + 1, PAUSE_EVERY);
		list[i] = found ? *found : target_new(g, address, s->backends[i].health);
		if (!list[i])
			goto fail;
	}
	g->targets = list;
	g->nr = nr;
	for (size_t i = 0; i < was.nr; i++) {
		lb_pause_at(i + 1, PAUSE_EVERY);
		if (!target_find(g, &was.targets[i]->address))
			target_free(was.targets[i]);
	}
	free(was.targets);
	return 0;
fail:
	for (; taken < nr && list[taken]; taken++)
		if (!target_find(&was, &list[taken]->address))
			target_free(list[taken]);
	free(list);
	return -ENOMEM;
}

/* Probes under way look at the group's check: they are ended before it changes. 1 when it did, 0, or -ENOMEM. */
static int group_set_check(struct lb_group *g, const struct lb_check_conf *check)
{
	struct lb_check_conf copy;

	if (lb_check_conf_same(&g->check, check))
		return 0;
	if (lb_check_conf_copy(&copy, check))
		return -ENOMEM;
	for (size_t i = 0; i < g->nr; i++)
		target_stop(g->targets[i]);
	lb_check_conf_fini(&g->check);
	g->check = copy;
	return 1;
}

/* Brings @g to @s; adds to @fresh whose first check is wanted. */
static int group_sync(struct lb_group *g, const struct lb_model_service *s, struct lb_target **fresh, size_t *nr_fresh)
{
	const struct lb_vip_conf *via = lb_service_conf_check_vip(&s->conf);
	int restart;

	if (group_set_targets(g, s))
		return -ENOMEM;
	restart = group_set_check(g, &s->conf.check);
	if (restart < 0)
		return restart;
	g->vip = s->conf.nr_vips ? s->conf.vips[0] : (struct lb_vip_conf){0};
	g->via = via ? *via : (struct lb_vip_conf){0};
	for (size_t i = 0; i < g->nr; i++)
		if (target_update(g->targets[i], &s->backends[i], restart))
			fresh[(*nr_fresh)++] = g->targets[i];
	return 0;
}

/* First checks start soon, but not all in one moment. */
static void spread(struct lb_target **fresh, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		lb_pause_at(i + 1, PAUSE_EVERY);
		target_schedule(fresh[i],
				lb_health_first_delay(i, nr, fresh[i]->group->check.interval_ns, arc4random()));
	}
}

/* Frees the groups of services that are gone: those that are not in @groups. */
static void drop_groups(struct lb_prober *p, struct lb_group **groups, size_t nr)
{
	for (size_t i = 0, j = 0; i < p->nr; i++) {
		while (j < nr && strcmp(groups[j]->service, p->groups[i]->service) < 0)
			j++;
		if (j == nr || groups[j] != p->groups[i])
			group_free(p->groups[i]);
		lb_pause();
	}
	free(p->groups);
}

int lb_prober_sync(struct lb_prober *p, const struct lb_model *m)
{
	const struct lb_model_service *const *list;
	size_t nr = lb_model_services(m, &list), backends = 0, nr_fresh = 0, made = 0, was = 0;
	struct lb_target **fresh;
	struct lb_group **groups;
	int ret = 0;

	p->model = m;
	for (size_t i = 0; i < nr; i++)
		backends += list[i]->conf.nr_backends;
	groups = calloc(nr ? nr : 1, sizeof(struct lb_group *));
	fresh = calloc(backends ? backends : 1, sizeof(struct lb_target *));
	if (!groups || !fresh) {
		free(groups);
		free(fresh);
		return -ENOMEM;
	}
	for (size_t i = 0; i < nr; i++) {
		struct lb_group *g;
		int order = 1;

		/* Both are in order of name. */
		while (was < p->nr && (order = strcmp(p->groups[was]->service, list[i]->conf.name)) < 0)
			was++;
		g = was < p->nr && !order ? p->groups[was] : group_new(p, list[i]);
		if (!g || group_sync(g, list[i], fresh, &nr_fresh))
			ret = -ENOMEM; /* the others are checked all the same */
		if (g)
			groups[made++] = g;
		lb_pause();
	}
	drop_groups(p, groups, made);
	p->groups = groups;
	p->nr = made;
	spread(fresh, nr_fresh);
	free(fresh);
	return ret;
}

const struct lb_target_stats *lb_prober_stats(const struct lb_prober *p, const char *service,
					      const struct lb_endpoint *backend)
{
	struct lb_group **g = group_find(p, service);
	struct lb_target **t = g ? target_find(*g, backend) : NULL;

	return t ? &(*t)->stats : NULL;
}
