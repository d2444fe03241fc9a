// SPDX-License-Identifier: GPL-2.0-or-later
/* One owner for all state, one function that changes it, one that brings the dataplane up to date. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "clock.h"
#include "control.h"
#include "control_priv.h"
#include "lb/dp/flow.h"
#include "log.h"
#include "pause.h"
#include "source.h"
#include "stats.h"
#include "tell.h"
#include "traffic.h"

#define TICK_NS (5 * LB_NSEC_PER_SEC)
#define TICK_SOON_NS (2 * LB_NSEC_PER_SEC + LB_NSEC_PER_SEC / 10) /* after slots changed: they may go on by then */
#define GRACE_NS LB_NSEC_PER_SEC /* by then every packet that saw the dataplane before a commit is done and counted */
#define FLIGHT_NS (LB_NSEC_PER_SEC / 10) /* by then they have made their entries in the flow cache */
#define TICKS_SETTLED 12		 /* while nothing moves, only every so many ticks do anything */
#define UPKEEP_NS (2 * LB_NSEC_PER_SEC)
#define LINKS_NS (LB_NSEC_PER_SEC / 50) /* changes of interfaces come in bursts */
#define UPKEEPS_CONFIRMED 5		/* by then a next hop that was adopted has been confirmed, or is gone */
#define COMMIT_RETRY_NS LB_NSEC_PER_SEC
#define PREPARE_SLOTS (1U << 17) /* a few milliseconds' work: the loop has other things to do, too */

/* Facts that arrive in one round of the event loop make one plan; where a plan takes long, those that arrive within the
 * time that the last one took: building tables for first checks that come in one by one must not keep the loop from
 * checking. */
void lb_control_commit_soon(struct lb_control *c)
{
	uint64_t now_ns = lb_now_ns();
	struct timeval rest;

	c->uncommitted = true;
	if (now_ns >= c->rest_until_ns) {
		event_active(c->commit_event, EV_TIMEOUT, 0);
		return;
	}
	rest = lb_timeval(c->rest_until_ns - now_ns);
	evtimer_add(c->commit_event, &rest);
}

/* A tick that is due earlier stays. */
static int tick_within(struct lb_control *c, uint64_t delay_ns)
{
	uint64_t now_ns = lb_now_ns(), at_ns = now_ns + delay_ns;
	struct timeval tv = lb_timeval(delay_ns);

	if (c->next_tick_ns > now_ns && c->next_tick_ns <= at_ns)
		return 0;
	c->next_tick_ns = at_ns;
	return event_add(c->tick_event, &tv);
}

/* After a plan that failed halfway, what the maps hold is what the maps say. */
static void resync(struct lb_control *c)
{
	struct lb_image *found = NULL, *was;
	struct lb_err err = {0};

	if (lb_dataplane_read(c->dp, &found, &err)) {
		lb_log(LB_LOG_ERROR, "msg=\"cannot read the dataplane\" error=%s", lb_quoted(lb_err_str(&err)));
		return;
	}
	was = c->image;
	c->image = found;
	lb_image_free(was);
}

bool lb_control_is_forwarding(const struct lb_control *c)
{
	for (size_t i = 0; i < c->ifaces.nr; i++)
		if (c->ifaces.list[i].attached)
			return true;
	return !c->ifaces_known;
}

static bool builds_table(const struct lb_plan *plan)
{
	for (size_t i = 0; i < plan->nr; i++)
		if (plan->ops[i].kind == LB_OP_TABLE_SET)
			return true;
	return false;
}

int lb_control_commit(struct lb_control *c, struct lb_image *(*make_image)(struct lb_model *m), bool change,
		      struct lb_err *err)
{
	uint64_t start_ns = lb_now_ns();
	struct lb_plan plan = {0};
	struct lb_image *want, *was;
	bool table;
	int ret;

	want = make_image(c->model);
	c->build_ns += lb_now_ns() - start_ns;
	if (!want)
		return lb_err_set(err, -ENOMEM, NULL, "out of memory");
	ret = lb_plan_make(c->image, want, &plan);
	if (ret) {
		lb_image_free(want);
		return lb_err_set(err, ret, NULL, "cannot plan: %s", strerror(-ret));
	}
	table = builds_table(&plan);
	if (table)
		lb_histogram_add(&c->table_build, c->build_ns);
	lb_announce_withdraw(c->announce, lb_control_is_forwarding(c), change);
	start_ns = lb_now_ns();
	ret = plan.nr ? lb_dataplane_apply(c->dp, &plan, err) : 0;
	if (plan.nr)
		lb_log(ret ? LB_LOG_ERROR : LB_LOG_DEBUG,
		       "msg=\"dataplane updated\" operations=%zu build_us=%llu apply_us=%llu error=%s", plan.nr,
		       (unsigned long long)c->build_ns / 1000, (unsigned long long)(lb_now_ns() - start_ns) / 1000,
		       lb_quoted(ret ? lb_err_str(err) : ""));
	if (plan.nr) {
		c->committed_ns = lb_now_ns();
		c->rest_until_ns = 2 * c->committed_ns - start_ns + c->build_ns;
	}
	c->build_ns = 0;
	lb_plan_fini(&plan);
	lb_tell_dataplane(c, ret ? err : NULL);
	if (ret) {
		lb_image_free(want);
		resync(c);
		c->uncommitted = true;
		return ret;
	}
	was = c->image;
	c->image = want;
	lb_image_free(was); /* with pauses: nothing may point to it */
	if (c->ifaces_known)
		lb_announce_update(c->announce, lb_control_is_forwarding(c));
	c->uncommitted = lb_model_stale(c->model);
	if (c->uncommitted)
		lb_control_commit_soon(c);
	if (!evtimer_pending(c->time_event, NULL))
		event_active(c->time_event, EV_TIMEOUT, 0);
	if (table && !lb_model_settled(c->model))
		tick_within(c, TICK_SOON_NS);
	lb_watch_model(c->watch, c->model);
	return 0;
}

static void run_commit(void *ctx)
{
	struct lb_control *c = ctx;
	uint64_t start_ns = lb_now_ns();
	struct timeval again = {0};
	struct lb_err err = {0};
	int ret = lb_model_prepare(c->model, PREPARE_SLOTS);

	c->build_ns += lb_now_ns() - start_ns;
	if (!ret)
		ret = lb_control_commit(c, lb_model_image_prepared, false, &err);
	if (ret < 0)
		again = lb_timeval(COMMIT_RETRY_NS);
	if (ret)
		evtimer_add(c->commit_event, &again);
}

static void on_committed(void *ctx)
{
	struct lb_control *c = ctx;

	c->committing = false;
}

static void on_commit(evutil_socket_t fd, short what, void *ctx)
{
	const struct timeval again = lb_timeval(LB_NSEC_PER_SEC / 500);
	struct lb_control *c = ctx;

	if (c->committing) {
		evtimer_add(c->commit_event, &again);
		return;
	}
	c->committing = true;
	c->commit_job = (struct lb_job){run_commit, on_committed, c, NULL};
	lb_work_add(c->work, &c->commit_job);
}

void lb_control_on_next_hop(void *ctx, const uint8_t addr[16], const struct lb_next_hop *nh)
{
	struct lb_control *c = ctx;
	char text[LB_ADDR_STRLEN];
	uint64_t start_ns = lb_now_ns();

	if (lb_facts_defer_next_hop(c, addr, nh))
		return;
	lb_log(LB_LOG_DEBUG, "msg=\"next hop\" address=%s ifindex=%u mtu=%u mac=%02x:%02x:%02x:%02x:%02x:%02x",
	       lb_addr_format(addr, text), nh->ifindex, nh->mtu, nh->dmac[0], nh->dmac[1], nh->dmac[2], nh->dmac[3],
	       nh->dmac[4], nh->dmac[5]);
	if (lb_model_set_next_hop(c->model, addr, nh, lb_now_s()) > 0) {
		lb_control_commit_soon(c);
		lb_tell_next_hop(c, addr, nh);
	}
	c->build_ns += lb_now_ns() - start_ns;
}

void lb_control_on_health(void *ctx, const char *service, const struct lb_endpoint *backend, enum lb_health from,
			  const struct lb_health_state *h)
{
	struct lb_control *c = ctx;
	char text[LB_ADDR_STRLEN];
	uint64_t start_ns = lb_now_ns();
	const struct lb_target_stats *stats;
	const char *detail;
	int ret;

	if (lb_facts_defer_health(c, service, backend, from, h))
		return;
	stats = lb_prober_stats(c->prober, service, backend);
	detail = stats ? stats->detail : NULL;
	ret = lb_model_set_health(c->model, service, backend, h->health, lb_now_s());
	c->build_ns += lb_now_ns() - start_ns;
	if (ret == -ENOENT)
		return; /* it was removed while this waited */
	lb_log(h->health == LB_HEALTH_DOWN ? LB_LOG_WARN : LB_LOG_INFO,
	       "msg=\"health\" service=%s backend=%s from=%s to=%s reason=%s%s%s", service,
	       lb_endpoint_format(backend, text), lb_health_name(from), lb_health_name(h->health),
	       lb_reason_name(h->reason), detail ? " detail=" : "", detail ? lb_quoted(detail) : "");
	lb_tell_health(c, service, backend, from, h, detail);
	if (ret < 0)
		lb_log(LB_LOG_ERROR, "msg=\"cannot take the health\" service=%s error=%s", service,
		       lb_quoted(strerror(-ret)));
	if (ret > 0)
		lb_control_commit_soon(c);
}

void lb_control_on_share(void *ctx, const char *service, const struct lb_endpoint *backend, uint32_t from, uint32_t to,
			 bool said)
{
	struct lb_control *c = ctx;
	uint64_t start_ns = lb_now_ns();
	char text[LB_ADDR_STRLEN];
	int ret;

	if (lb_facts_defer_share(c, service, backend, from, to, said))
		return;
	ret = lb_model_set_share(c->model, service, backend, to, lb_now_s());
	c->build_ns += lb_now_ns() - start_ns;
	if (ret == -ENOENT)
		return; /* likewise */
	lb_log(LB_LOG_INFO, "msg=\"weight\" service=%s backend=%s from=%u%% to=%u%% reason=%s", service,
	       lb_endpoint_format(backend, text), from, to, said ? "said" : "unread");
	lb_tell_share(c, service, backend, from, to, said);
	if (ret > 0)
		lb_control_commit_soon(c);
}

static uint64_t packets_of(void *ctx, uint16_t idx)
{
	const struct lb_control *c = ctx;
	struct lb_backend_cpu sum;

	lb_dataplane_backend(c->dp, idx, &sum);
	return sum.pkts;
}

static void count_live(struct lb_control *c, uint8_t now_age)
{
	static int64_t live[LB_MAX_BACKENDS];
	int64_t *at = lb_dataplane_live(c->dp);

	if (!lb_model_live(c->model, lb_dataplane_flows(c->dp), live, now_age))
		return;
	for (size_t i = 0; i < LB_MAX_BACKENDS; i++) {
		/* Of those that translate, the packets and the collector know for certain. */
		if (!lb_model_remembers(c->model, (uint16_t)i))
			continue;
		if (__atomic_load_n(&at[i], __ATOMIC_RELAXED) != live[i])
			__atomic_store_n(&at[i], live[i], __ATOMIC_RELAXED);
	}
}

static void fit_lines(struct lb_control *c)
{
	struct lb_err err = {0};
	size_t bytes;
	int ret = lb_dataplane_fit_lines(c->dp, &bytes, &err);

	if (ret > 0)
		lb_log(LB_LOG_INFO, "msg=\"lines of translated connections\" bytes=%zu", bytes);
	if (ret < 0)
		lb_log(LB_LOG_WARN, "msg=\"lines of translated connections stay as few as they are\" error=%s",
		       lb_quoted(err.message));
}

/* A piece of work of its own: it goes through the flow cache, and through the slots of all that moves. */
static void run_tick(void *ctx)
{
	struct lb_control *c = ctx;
	uint64_t now_ns = lb_now_ns();
	int ret;

	/* The model may count on packets having seen the phases that it knows. */
	if (c->uncommitted)
		return;
	fit_lines(c);
	count_live(c, lb_flow_age(now_ns));
	if (lb_model_settled(c->model) && ++c->ticks % TICKS_SETTLED)
		return;
	ret = lb_model_tick(c->model, now_ns - c->committed_ns >= FLIGHT_NS ? lb_dataplane_flows(c->dp) : NULL,
			    now_ns - c->committed_ns >= GRACE_NS ? packets_of : NULL, c, now_ns / LB_NSEC_PER_SEC,
			    lb_flow_age(now_ns));
	c->build_ns += lb_now_ns() - now_ns;
	if (ret < 0)
		lb_log(LB_LOG_ERROR, "msg=\"tick\" error=%s", lb_quoted(strerror(-ret)));
	if (ret > 0)
		lb_control_commit_soon(c);
}

static void on_ticked(void *ctx)
{
	struct lb_control *c = ctx;

	c->ticking = false;
}

static void on_tick(evutil_socket_t fd, short what, void *ctx)
{
	struct lb_control *c = ctx;

	c->next_tick_ns = 0;
	tick_within(c, TICK_NS);
	if (c->ticking)
		return;
	c->ticking = true;
	c->tick_job = (struct lb_job){run_tick, on_ticked, c, NULL};
	lb_work_add(c->work, &c->tick_job);
}

/* An interface that is back is attached at once, and the program knows at once what another's address or MTU is now:
 * not when the next upkeep comes by. */
static void on_links(void *ctx)
{
	struct lb_control *c = ctx;
	struct timeval tv = lb_timeval(LINKS_NS);

	if (!evtimer_pending(c->links_event, NULL))
		evtimer_add(c->links_event, &tv);
}

static void look_after_ifaces(struct lb_control *c)
{
	if (!lb_takeover_go_on(c))
		return;
	if (lb_ifaces_retry(&c->ifaces, c->dp))
		lb_announce_update(c->announce, lb_control_is_forwarding(c));
	lb_watch_ifaces(c->watch, &c->ifaces);
}

static void on_links_settled(evutil_socket_t fd, short what, void *ctx)
{
	struct lb_control *c = ctx;

	if (!lb_control_postpone(c, c->links_event))
		look_after_ifaces(c);
}

static void on_upkeep(evutil_socket_t fd, short what, void *ctx)
{
	struct lb_control *c = ctx;

	if (lb_work_busy(c->work))
		return;
	if (++c->upkeeps == UPKEEPS_CONFIRMED)
		lb_nexthops_give_up(c->nexthops, c->model);
	look_after_ifaces(c);
	lb_ifaces_look_at_vlans(&c->ifaces, c->nexthops);
	if (lb_model_set_vlans(c->model, lb_ifaces_want_vlans(&c->ifaces, c->config, c->nexthops)))
		lb_control_commit_soon(c);
	lb_returns_look(&c->returns, &c->ifaces, c->model);
	lb_snats_look(&c->snats, c->model);
	lb_nexthops_refresh(c->nexthops);
	lb_check_path_refresh(c->check_path);
}

void lb_control_inherit(const struct lb_control *c, struct lb_config *conf)
{
	if (conf->has_hash_key || !c->config)
		return;
	memcpy(conf->hash_key, c->config->hash_key, sizeof(conf->hash_key));
	conf->has_hash_key = c->config->has_hash_key;
}

/* The key that keeps connections where they are: the state's or, when that was lost, the dataplane's. */
static int choose_hash_key(struct lb_control *c, struct lb_config *conf, struct lb_err *err)
{
	if (conf->has_hash_key)
		return 0;
	if (c->image && (c->image->conf.hash_key[0] || c->image->conf.hash_key[1]))
		memcpy(conf->hash_key, c->image->conf.hash_key, sizeof(conf->hash_key));
	else if (getrandom(conf->hash_key, sizeof(conf->hash_key), 0) != sizeof(conf->hash_key))
		return lb_err_set(err, -EIO, "hash_key", "no randomness to make one; give it in the configuration");
	conf->has_hash_key = true;
	return 0;
}

static int open_dataplane(struct lb_control *c, struct lb_err *err)
{
	uint16_t first, nr;
	int ret;

	ret = lb_dataplane_open(c->options.pin_dir, &c->dp, &c->adopted, err);
	if (ret)
		return ret;
	c->model = lb_model_new();
	if (!c->model)
		return lb_err_set(err, -ENOMEM, NULL, "out of memory");
	if (lb_collector_snat_ports(&first, &nr))
		lb_model_set_snat_ports(c->model, first, nr);
	else
		c->snat_untold = true;
	if (!c->adopted)
		return 0;
	ret = lb_dataplane_read(c->dp, &c->image, err);
	if (ret)
		return ret;
	ret = lb_model_adopt(c->model, c->image);
	if (ret)
		return lb_err_set(err, ret, NULL, "cannot adopt the dataplane: %s", strerror(-ret));
	return 0;
}

static int make_parts(struct lb_control *c, struct lb_err *err)
{
	c->commit_event = evtimer_new(c->base, on_commit, c);
	c->tick_event = evtimer_new(c->base, on_tick, c);
	c->time_event = evtimer_new(c->base, lb_control_on_time, c);
	c->drain_event = evtimer_new(c->base, lb_control_on_drain, c);
	c->open = calloc(LB_MAX_BACKENDS, sizeof(*c->open));
	c->upkeep_event = event_new(c->base, -1, EV_PERSIST, on_upkeep, c);
	c->links_event = evtimer_new(c->base, on_links_settled, c);
	c->facts = lb_facts_new(c);
	c->prober = lb_prober_new(c->base, lb_control_on_health, c);
	c->check_path = lb_check_path_new(c->base, c->dp);
	c->collector = lb_collector_new(c->base, c->dp);
	c->names_event = evtimer_new(c->base, lb_control_on_names, c);
	c->names_taken = true;
	c->resolver = lb_resolver_new(c->base, c->events, lb_control_names_soon, c);
	if (!c->commit_event || !c->tick_event || !c->upkeep_event || !c->links_event || !c->time_event ||
	    !c->drain_event || !c->open || !c->prober || !c->facts || !c->names_event || !c->resolver ||
	    !c->collector || !c->check_path)
		return lb_err_set(err, -ENOMEM, NULL, "out of memory");
	lb_prober_on_share(c->prober, lb_control_on_share);
	lb_prober_use_path(c->prober, lb_check_path_ready, c->check_path);
	return lb_nexthops_new(c->base, lb_control_on_next_hop, on_links, c, &c->nexthops, err);
}

/* What another one has left, beyond what an image shows. */
static int verify_adopted(struct lb_control *c, struct lb_err *err)
{
	struct lb_verification *v = malloc(sizeof(*v));
	int ret = v ? lb_control_verify(c, v, err) : lb_err_set(err, -ENOMEM, NULL, "out of memory");

	free(v);
	return ret;
}

/* Where the disk has this configuration and takes no other, lbd starts all the same: the host is to balance after a
 * boot, too, and changes are refused until they can be saved. */
static int save_first(struct lb_control *c, const struct lb_config *expanded, const struct lb_state *saved,
		      struct lb_err *err)
{
	struct lb_err why = {0};
	int ret = lb_control_save(c, c->config, expanded, c->generation, c->fingerprint, &c->drains, &why);

	if (!ret)
		return 0;
	if (saved->generation != c->generation) {
		*err = why;
		return ret;
	}
	lb_log(LB_LOG_ERROR, "msg=\"cannot save; changes will be refused\" error=%s", lb_quoted(lb_err_str(&why)));
	return 0;
}

/* Maps first, then interfaces: no packet meets a program without its services. Routes last: packets come by them. */
static int first_apply(struct lb_control *c, const struct lb_config *previous, const struct lb_state *state,
		       struct lb_err *err)
{
	struct lb_change_log log = {.origin.what = "file"};
	struct lb_answers none = {0};
	struct lb_config *before, *expanded;
	struct lb_drains drains;
	bool relieves;
	int nr = 0, ret;

	ret = choose_hash_key(c, c->config, err);
	if (ret)
		return ret;
	before = lb_names_restore(c->config, state->resolved, state->nr_resolved);
	expanded = lb_config_copy(c->config);
	ret = before && expanded ? lb_names_expand(expanded, c->config, before, &none, &c->drains, NULL) : -ENOMEM;
	lb_config_free(before);
	if (ret) {
		lb_config_free(expanded);
		return lb_err_set(err, -ENOMEM, NULL, "out of memory");
	}
	if (previous)
		nr = lb_config_diff(previous, c->config, lb_control_log_change, &log);
	if (nr || !c->generation)
		c->generation++;
	lb_tell_started(c); /* the first event: what is found from now on comes after it */
	if (lb_drains_make(&c->drains, expanded, lb_clock_ns(CLOCK_REALTIME), &drains)) {
		lb_control_log_kept(&log, false);
		lb_config_free(expanded);
		return lb_err_set(err, -ENOMEM, NULL, "out of memory");
	}
	lb_control_take_drains(c, &drains);
	ret = save_first(c, expanded, state, err);
	lb_model_set_vlans(c->model, lb_ifaces_want_vlans(&c->ifaces, c->config, c->nexthops));
	relieves = lb_takeover_begin(c);
	if (!ret)
		ret = lb_control_realize(c, expanded, err);
	if (!ret)
		ret = lb_takeover_attach(c, relieves, err);
	lb_config_free(expanded);
	lb_control_log_kept(&log, !ret);
	if (ret)
		return ret;
	if (previous)
		lb_log(LB_LOG_INFO, "msg=\"the file changed and replaces the state\" file=%s changes=%d",
		       c->options.config_path, nr);
	lb_ifaces_drop_unknown(&c->ifaces, c->dp);
	lb_control_forget_versions(c);
	lb_ifaces_look_at_vlans(&c->ifaces, c->nexthops);
	ret = c->adopted ? verify_adopted(c, err) : 0;
	if (ret)
		return ret;
	lb_announce_update(c->announce, lb_control_is_forwarding(c));
	if (lb_control_sync_checks(c) || lb_resolver_sync(c->resolver, c->config))
		return lb_err_set(err, -ENOMEM, NULL, "out of memory");
	return 0;
}

static int start_timers(struct lb_control *c, struct lb_err *err)
{
	struct timeval upkeep = lb_timeval(UPKEEP_NS);

	if (tick_within(c, TICK_NS) || event_add(c->upkeep_event, &upkeep))
		return lb_err_set(err, -ENOMEM, NULL, "out of memory");
	return 0;
}

int lb_control_new(struct event_base *base, const struct lb_control_options *options, struct lb_control **out,
		   struct lb_err *err)
{
	struct lb_control *c = calloc(1, sizeof(*c));

	*out = c;
	if (!c)
		return lb_err_set(err, -ENOMEM, NULL, "out of memory");
	c->base = base;
	c->options = *options;
	c->start_ns = lb_now_ns();
	c->work = lb_work_new(base);
	c->store = lb_store_new(c->options.state_dir);
	c->events = lb_events_new();
	c->watch = lb_watch_new(c->events);
	c->traffic = lb_traffic_new(c);
	if (!c->work || !c->store || !c->events || !c->watch || !c->traffic)
		return lb_err_set(err, -ENOMEM, NULL, "out of memory");
	return 0;
}

int lb_control_start(struct lb_control *c, struct lb_err *err)
{
	struct lb_config *previous = NULL;
	struct lb_state state = {0};
	int ret;

	/* Nobody knows yet what is made in the first two. */
	lb_block_begin();
	ret = lb_source_start(&c->options, &state, &previous, err);
	lb_block_end();
	if (ret)
		return ret;
	c->config = state.config;
	c->generation = state.generation;
	c->drains = state.drains;
	memcpy(c->fingerprint, state.fingerprint, sizeof(c->fingerprint));
	lb_block_begin();
	ret = open_dataplane(c, err);
	lb_block_end();
	if (!ret)
		ret = make_parts(c, err);
	if (!ret)
		ret = lb_announce_new(c->base, c->work, previous ? &previous->announce : &c->config->announce,
				      &c->announce, err);
	if (!ret)
		ret = first_apply(c, previous, &state, err);
	if (!ret)
		ret = start_timers(c, err);
	lb_config_free(previous);
	free(state.resolved);
	if (ret)
		return ret;
	c->started = true;
	lb_control_set_last_apply(c, true, "", &(struct lb_origin){.what = "start"});
	lb_watch_ifaces(c->watch, &c->ifaces);
	lb_log(LB_LOG_INFO, "msg=\"dataplane\" adopted=%s program=%s services=%zu interfaces=%zu generation=%llu",
	       c->adopted ? "true" : "false", lb_dataplane_tag(c->dp), c->config->nr_services, c->config->nr_ifaces,
	       (unsigned long long)c->generation);
	return 0;
}

void lb_control_leave(struct lb_control *c, bool detach)
{
	const struct lb_announce_conf *conf = &c->config->announce;
	struct timeval drain = lb_timeval(conf->drain_ns);
	size_t nr;

	if (!detach && conf->on_exit == LB_ANNOUNCE_LEAVE)
		return;
	nr = lb_announce_end(c->announce);
	lb_log(LB_LOG_INFO, "msg=\"routes withdrawn\" routes=%zu drain_ms=%llu", nr,
	       (unsigned long long)(detach && nr ? conf->drain_ns / 1000000 : 0));
	if (!detach || !nr || !conf->drain_ns)
		return;
	/* A second signal ends it early. */
	event_base_loopexit(c->base, &drain);
	event_base_dispatch(c->base);
}

void lb_control_free(struct lb_control *c)
{
	struct event *events[] = {c ? c->commit_event : NULL, c ? c->tick_event : NULL, c ? c->upkeep_event : NULL,
				  c ? c->links_event : NULL,  c ? c->time_event : NULL, c ? c->drain_event : NULL,
				  c ? c->names_event : NULL};

	if (!c)
		return;
	lb_work_finish(c->work); /* it needs all that goes now */
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		if (events[i])
			event_free(events[i]);
	lb_snats_free(&c->snats);
	lb_collector_free(c->collector);
	lb_prober_free(c->prober);
	lb_check_path_free(c->check_path);
	lb_facts_free(c->facts);
	lb_resolver_free(c->resolver);
	lb_nexthops_free(c->nexthops);
	lb_announce_free(c->announce);
	lb_ifaces_fini(&c->ifaces);
	lb_image_free(c->image);
	lb_model_free(c->model);
	lb_dataplane_free(c->dp);
	lb_config_free(c->config);
	lb_store_free(c->store);
	lb_drains_fini(&c->drains);
	free(c->open);
	lb_watch_free(c->watch);
	lb_traffic_free(c->traffic);
	lb_events_free(c->events);
	lb_work_free(c->work);
	free(c);
}

bool lb_control_ready(const struct lb_control *c, char *why, size_t size)
{
	if (!c->ifaces.nr) {
		snprintf(why, size, "no interface is attached: lbctl attach IFACE");
		return false;
	}
	for (size_t i = 0; i < c->ifaces.nr; i++) {
		if (!c->ifaces.list[i].attached) {
			snprintf(why, size, "interface %s is not attached: %s", c->ifaces.list[i].conf.name,
				 c->ifaces.list[i].note);
			return false;
		}
	}
	return true;
}
