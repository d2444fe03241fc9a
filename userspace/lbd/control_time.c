// SPDX-License-Identifier: GPL-2.0-or-later
/* What the passing of time alone brings: the next step of a slow start, the end of a drain. */
#include "clock.h"
#include "control.h"
#include "control_priv.h"
#include "log.h"
#include "pause.h"
#include "stats.h"

#define TIME_NS (LB_NSEC_PER_SEC / 4) /* how often it is looked at, while there is a slow start */
#define DRAIN_NS LB_NSEC_PER_SEC      /* and while somebody drains */

/* What the passing of time alone changes. */
void lb_control_on_time(evutil_socket_t fd, short what, void *ctx)
{
	struct lb_control *c = ctx;
	struct timeval tv = lb_timeval(TIME_NS);
	uint64_t start_ns = lb_now_ns();
	bool more;

	if (lb_control_postpone(c, c->time_event))
		return;
	if (lb_model_time(c->model, lb_now_s(), &more) > 0)
		lb_control_commit_soon(c);
	c->build_ns += lb_now_ns() - start_ns;
	if (more)
		evtimer_add(c->time_event, &tv);
}

/* Whose time was over before this lbd knew it. */
void lb_control_tell_drained(struct lb_control *c)
{
	for (size_t i = 0; i < c->drains.nr; i++) {
		const struct lb_drain *d = &c->drains.list[i];

		if (d->end == LB_DRAIN_TIMEOUT)
			lb_model_set_drained(c->model, d->service, &d->address, lb_now_s());
	}
}

/* @drains take the place of those that there were. */
void lb_control_take_drains(struct lb_control *c, const struct lb_drains *drains)
{
	struct timeval soon = {0};

	for (size_t i = 0; i < drains->nr; i++)
		if (!lb_drains_find(&c->drains, drains->list[i].service, &drains->list[i].address))
			c->drain_begun_ns = lb_now_ns();
	lb_drains_fini(&c->drains);
	c->drains = *drains;
	c->open_ns = 0;
	if (c->drains.nr)
		evtimer_add(c->drain_event, &soon);
}

/* Is a drain over? Then that is saved first: a restart must not begin it anew. A piece of work of its own, for all that
 * is remembered is counted. */
static void look_at_drains(void *ctx)
{
	struct lb_control *c = ctx;
	uint64_t now_ns = lb_clock_ns(CLOCK_REALTIME);
	struct timeval tv = lb_timeval(DRAIN_NS);
	bool goes_on = false, changed = false;
	struct lb_err err = {0};
	char text[LB_ADDR_STRLEN];

	if (c->drains.nr)
		lb_stats_count_open(c);
	for (size_t i = 0; i < c->drains.nr; i++, lb_pause()) {
		struct lb_drain *d = &c->drains.list[i];
		const struct lb_service_conf *s = lb_config_service(c->config, d->service);
		uint64_t left;

		if (!lb_stats_left(c, d, &left) && !left)
			left = 1; /* for all that is known */

		/* What the model has not told packets yet they have not left any traces of. */
		if (!c->uncommitted && s && lb_drain_judge(d, s->drain_timeout_ns, now_ns, left)) {
			changed = true;
			lb_log(LB_LOG_INFO, "msg=\"drained\" service=%s backend=%s reason=%s connections=%llu",
			       d->service, lb_endpoint_format(&d->address, text), lb_drain_end_name(d->end),
			       (unsigned long long)left);
		}
		goes_on |= d->end == LB_DRAIN_GOES_ON;
	}
	if (changed) {
		if (lb_control_save(c, c->config, lb_model_config(c->model), c->generation, c->fingerprint, &c->drains,
				    &err))
			lb_log(LB_LOG_ERROR, "msg=\"cannot save\" error=%s", lb_quoted(lb_err_str(&err)));
		lb_control_tell_drained(c);
		lb_control_names_soon(c);
		if (lb_model_stale(c->model))
			lb_control_commit_soon(c);
	}
	if (goes_on)
		evtimer_add(c->drain_event, &tv);
}

static void on_looked(void *ctx)
{
	struct lb_control *c = ctx;

	c->looking_at_drains = false;
}

/* While it is being done, or is to be, nothing has changed that it would not find. */
void lb_control_on_drain(evutil_socket_t fd, short what, void *ctx)
{
	struct lb_control *c = ctx;

	if (c->looking_at_drains)
		return;
	c->looking_at_drains = true;
	c->drain_job = (struct lb_job){look_at_drains, on_looked, c, NULL};
	lb_work_add(c->work, &c->drain_job);
}
