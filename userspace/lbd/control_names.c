// SPDX-License-Identifier: GPL-2.0-or-later
/* Backends that are names: what their addresses are now becomes what the model has. */
#include <errno.h>
#include <stdlib.h>

#include "clock.h"
#include "control.h"
#include "control_priv.h"
#include "log.h"

#define SOON_NS (LB_NSEC_PER_SEC / 20) /* answers come in bursts, of both families at least */
#define AGAIN_NS (5 * LB_NSEC_PER_SEC)

struct lb_config *lb_control_expand(const struct lb_control *c, const struct lb_config *conf)
{
	struct lb_config *expanded = lb_config_copy(conf);
	struct lb_answers answers;
	size_t left_out = 0;
	int ret;

	if (!expanded || lb_resolver_answers(c->resolver, &answers)) {
		lb_config_free(expanded);
		return NULL;
	}
	ret = lb_names_expand(expanded, conf, lb_model_config(c->model), &answers, &c->drains, &left_out);
	free(answers.list);
	if (left_out)
		lb_log(LB_LOG_DEBUG, "msg=\"addresses of names that no service can use\" addresses=%zu", left_out);
	if (!ret)
		return expanded;
	lb_config_free(expanded);
	return NULL;
}

void lb_control_names_soon(void *ctx)
{
	struct lb_control *c = ctx;
	struct timeval tv = lb_timeval(SOON_NS);

	if (!evtimer_pending(c->names_event, NULL))
		evtimer_add(c->names_event, &tv);
}

/* What could not be done is undone, so that it will be tried as a whole. */
static int realize(struct lb_control *c, const struct lb_config *expanded, struct lb_err *err)
{
	struct lb_config *before = lb_config_copy(lb_model_config(c->model));
	struct lb_err own = {0};
	int ret;

	if (!before)
		return lb_err_set(err, -ENOMEM, NULL, "out of memory");
	ret = lb_control_realize(c, expanded, err);
	if (ret && lb_control_realize(c, before, &own)) {
		lb_log(LB_LOG_ERROR, "msg=\"cannot go back; trying again\" error=%s", lb_quoted(lb_err_str(&own)));
		lb_control_commit_soon(c);
	}
	lb_config_free(before);
	return ret;
}

/* Saved first, as every change: a restart goes on with what was last known. */
static int take(struct lb_control *c, const struct lb_config *expanded, struct lb_err *err)
{
	struct lb_drains drains;
	int ret;

	if (lb_drains_make(&c->drains, expanded, lb_clock_ns(CLOCK_REALTIME), &drains))
		return lb_err_set(err, -ENOMEM, NULL, "out of memory");
	ret = lb_control_save(c, c->config, expanded, c->generation, c->fingerprint, &drains, err);
	if (!ret)
		ret = realize(c, expanded, err);
	if (ret) {
		lb_drains_fini(&drains);
		return ret;
	}
	lb_control_take_drains(c, &drains);
	if (lb_control_sync_checks(c))
		lb_log(LB_LOG_ERROR, "msg=\"out of memory: some backends are not checked\"");
	return 0;
}

/* A piece of work of its own, as every change. */
static void take_names(void *ctx)
{
	struct lb_control *c = ctx;
	struct lb_change_log log = {.origin.what = "names"};
	struct lb_config *expanded;
	struct lb_err err = {0};
	int ret = 0;

	c->names_failing = false;
	if (!lb_config_has_names(c->config))
		return;
	expanded = lb_control_expand(c, c->config);
	if (!expanded)
		ret = lb_err_set(&err, -ENOMEM, NULL, "out of memory");
	else if (lb_config_diff(lb_model_config(c->model), expanded, lb_control_log_change, &log))
		ret = take(c, expanded, &err);
	lb_config_free(expanded);
	lb_control_log_kept(&log, !ret);
	/* What runs keeps running; another try may find room, memory or a disk. */
	if (ret)
		lb_log(LB_LOG_ERROR, "msg=\"cannot take the addresses of names; trying again\" error=%s",
		       lb_quoted(lb_err_str(&err)));
	c->names_failing = ret;
}

static void on_taken(void *ctx)
{
	struct timeval again = lb_timeval(AGAIN_NS);
	struct lb_control *c = ctx;

	c->names_taken = true;
	if (c->names_failing)
		evtimer_add(c->names_event, &again);
}

void lb_control_on_names(evutil_socket_t fd, short what, void *ctx)
{
	struct timeval soon = lb_timeval(SOON_NS);
	struct lb_control *c = ctx;

	if (!lb_config_has_names(c->config))
		return;
	if (!c->names_taken) { /* it may have begun with what was known before */
		evtimer_add(c->names_event, &soon);
		return;
	}
	c->names_taken = false;
	c->names_job = (struct lb_job){.run = take_names, .done = on_taken, .ctx = c};
	lb_work_add(c->work, &c->names_job);
}
