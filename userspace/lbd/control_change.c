// SPDX-License-Identifier: GPL-2.0-or-later
/* Changes of the configuration: from what was asked for to what the model, the disk and the dataplane have, or back. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "control.h"
#include "control_priv.h"
#include "log.h"
#include "pause.h"
#include "source.h"
#include "tell.h"

#define CHANGES_LOGGED 16

void lb_control_set_last_apply(struct lb_control *c, bool success, const char *error, const struct lb_origin *origin)
{
	c->last_apply.success = success;
	c->last_apply.time_ns = lb_clock_ns(CLOCK_REALTIME);
	snprintf(c->last_apply.error, sizeof(c->last_apply.error), "%s", error);
	c->last_apply.origin = *origin;
}

/* What the checks know is not lost when the model had let go of a backend and takes it back. */
static void tell_health(struct lb_control *c)
{
	const struct lb_model_service *const *list;
	size_t nr = lb_model_services(c->model, &list);

	for (size_t i = 0; i < nr; i++) {
		for (size_t j = 0; j < list[i]->conf.nr_backends; j++) {
			const struct lb_model_backend *b = &list[i]->backends[j];
			const struct lb_target_stats *t;

			if (b->health != LB_HEALTH_UNKNOWN)
				continue;
			t = lb_prober_stats(c->prober, list[i]->conf.name, &b->conf.address);
			if (t && t->health.health != LB_HEALTH_UNCHECKED)
				lb_model_set_health(c->model, list[i]->conf.name, &b->conf.address, t->health.health,
						    lb_now_s());
		}
	}
}

/* Once, and not before somebody wants to have ports. */
static void tell_snat_ports(struct lb_control *c, const struct lb_config *conf)
{
	bool wanted = false;

	for (size_t i = 0; i < conf->nr_services; i++)
		wanted |= conf->services[i].forward == LB_FORWARD_FULLNAT;
	if (!c->snat_untold || !wanted)
		return;
	c->snat_untold = false;
	lb_log(LB_LOG_WARN,
	       "msg=\"net.ipv4.ip_local_port_range leaves few ports to fullnat, or cannot be read; it takes %u to %u\"",
	       LB_SNAT_FIRST, LB_SNAT_FIRST + LB_SNAT_PORTS - 1);
}

/* The model, the next hops and the dataplane to @conf; the dataplane once @conf is saved, which may have been begun. On
 * error what was done is undone by calling it with the old one. */
int lb_control_realize(struct lb_control *c, const struct lb_config *conf, struct lb_err *err)
{
	uint64_t start_ns = lb_now_ns();
	int ret;

	c->epoch++;
	lb_announce_suspend(c->announce);
	ret = lb_model_apply(c->model, conf, lb_now_s(), err);
	c->epoch++;
	if (ret)
		return ret;
	tell_snat_ports(c, conf);
	tell_health(c);
	lb_control_tell_drained(c);
	lb_pause();
	c->build_ns += lb_now_ns() - start_ns;
	ret = lb_announce_configure(c->announce, c->model, err);
	if (ret)
		return ret;
	ret = lb_nexthops_sync(c->nexthops, c->model);
	if (ret)
		return lb_err_set(err, ret, NULL, "cannot follow next hops: %s", strerror(-ret));
	ret = lb_store_end(c->store, err);
	return ret ? ret : lb_control_commit(c, lb_model_image, true, err);
}

static struct lb_state state_of(struct lb_config *conf, const struct lb_config *expanded, uint64_t generation,
				const char *fingerprint, const struct lb_drains *drains)
{
	struct lb_state state = {.config = conf, .generation = generation, .drains = *drains, .expanded = expanded};

	memcpy(state.fingerprint, fingerprint, sizeof(state.fingerprint));
	return state;
}

int lb_control_save(struct lb_control *c, struct lb_config *conf, const struct lb_config *expanded, uint64_t generation,
		    const char *fingerprint, const struct lb_drains *drains, struct lb_err *err)
{
	struct lb_state state = state_of(conf, expanded, generation, fingerprint, drains);

	return lb_store_save(c->store, &state, err);
}

static void roll_back(struct lb_control *c, const struct lb_config *refused)
{
	struct lb_config *expanded = lb_control_expand(c, c->config);
	struct lb_err err = {0};

	lb_store_end(c->store, NULL);
	if (!expanded || lb_control_realize(c, expanded, &err)) {
		lb_log(LB_LOG_ERROR, "msg=\"cannot go back; trying again\" error=%s", lb_quoted(lb_err_str(&err)));
		lb_control_commit_soon(c);
	}
	if (lb_control_save(c, c->config, expanded ? expanded : lb_model_config(c->model), c->generation,
			    c->fingerprint, &c->drains, &err))
		lb_log(LB_LOG_ERROR, "msg=\"cannot save\" error=%s", lb_quoted(lb_err_str(&err)));
	lb_config_free(expanded);
	lb_ifaces_change(&c->ifaces, c->dp, c->config, false, NULL);
	lb_announce_update(c->announce, lb_control_is_forwarding(c));
	lb_ifaces_drop(&c->ifaces, c->dp, refused, c->config);
}

int lb_control_sync_checks(struct lb_control *c)
{
	return lb_check_path_sync(c->check_path, c->model) ?: lb_prober_sync(c->prober, c->model);
}

static int change(struct lb_control *c, struct lb_config *conf, const char *fingerprint, struct lb_err *err)
{
	struct lb_config *expanded = lb_control_expand(c, conf), *was;
	struct lb_drains drains = {0};
	struct lb_state state;
	int ret;

	if (!expanded || lb_drains_make(&c->drains, expanded, lb_clock_ns(CLOCK_REALTIME), &drains)) {
		lb_config_free(expanded);
		return lb_err_set(err, -ENOMEM, NULL, "out of memory");
	}
	ret = lb_ifaces_change(&c->ifaces, c->dp, conf, true, err);
	if (ret)
		goto out;
	state = state_of(conf, expanded, c->generation + 1, fingerprint, &drains);
	ret = lb_store_begin(c->store, &state, err);
	lb_ifaces_look_at_vlans(&c->ifaces, c->nexthops);
	lb_model_set_vlans(c->model, lb_ifaces_want_vlans(&c->ifaces, conf, c->nexthops));
	if (!ret)
		ret = lb_control_realize(c, expanded, err);
	if (ret) {
		roll_back(c, conf);
		goto out;
	}
	lb_control_take_drains(c, &drains);
	drains = (struct lb_drains){0};
	lb_ifaces_drop(&c->ifaces, c->dp, c->config, conf);
	was = c->config;
	c->config = conf;
	c->epoch++;
	c->generation++;
	lb_config_free(was);
	if (lb_control_sync_checks(c) || lb_resolver_sync(c->resolver, conf))
		lb_log(LB_LOG_ERROR, "msg=\"out of memory: some backends are not checked, or not looked up\"");
out:
	lb_drains_fini(&drains);
	lb_config_free(expanded);
	return ret;
}

void lb_control_log_kept(struct lb_change_log *log, bool done)
{
	const char *at = log->kept.at, *end = at + log->kept.len;

	for (; done && !log->kept.failed && at < end; at += strlen(at) + 1)
		lb_log((enum lb_log_level)(*at - '0'), "%s", at + 1);
	lb_text_fini(&log->kept);
}

/* Each line that is kept begins with its level and ends with a 0. */
void lb_control_log_change(void *ctx, const char *op, const char *path, const char *from, const char *to)
{
	struct lb_change_log *log = ctx;
	enum lb_log_level level = log->nr++ < CHANGES_LOGGED ? LB_LOG_INFO : LB_LOG_DEBUG;
	const char before = (char)('0' + level);
	char line[2048], by[LB_CALLER_STRLEN];

	if (!lb_log_wanted(level))
		return;
	snprintf(line, sizeof(line), "msg=\"change\" origin=%s%s op=%s path=%s from=%s to=%s", log->origin.what,
		 lb_caller_log(&log->origin.by, by), op, path, lb_quoted(from ? from : ""), lb_quoted(to ? to : ""));
	lb_text_put(&log->kept, &before, 1);
	lb_text_put(&log->kept, line, strlen(line) + 1);
}

/* @fingerprint: of the file that @conf came from; where there is none, the one that is known already. */
static int apply(struct lb_control *c, struct lb_config *conf, const struct lb_origin *origin, bool whole,
		 const char *fingerprint, size_t *changes, struct lb_err *err)
{
	struct lb_change_log log = {.origin = *origin};
	char by[LB_CALLER_STRLEN];
	int nr = 0, ret;

	lb_control_inherit(c, conf);
	ret = lb_config_check(conf, err);
	if (!ret) {
		nr = lb_config_diff(c->config, conf, lb_control_log_change, &log);
		if (nr)
			ret = change(c, conf, fingerprint, err);
		else if (strcmp(fingerprint, c->fingerprint))
			ret = lb_control_save(c, c->config, lb_model_config(c->model), c->generation, fingerprint,
					      &c->drains, err);
	}
	lb_control_log_kept(&log, !ret);
	if (ret || !nr)
		lb_config_free(conf);
	if (ret) {
		if (fingerprint != c->fingerprint)
			lb_source_locate(c->options.config_path, err);
		lb_log(LB_LOG_WARN, "msg=\"refused; what runs keeps running\" origin=%s%s error=%s", origin->what,
		       lb_caller_log(&origin->by, by), lb_quoted(lb_err_str(err)));
		if (whole)
			lb_control_set_last_apply(c, false, lb_err_str(err), origin);
		lb_tell_apply(c, origin, 0, err);
		return ret;
	}
	if (fingerprint != c->fingerprint)
		memcpy(c->fingerprint, fingerprint, sizeof(c->fingerprint));
	if (changes)
		*changes = nr;
	lb_log(LB_LOG_INFO, "msg=\"applied\" origin=%s%s changes=%d generation=%llu", origin->what,
	       lb_caller_log(&origin->by, by), nr, (unsigned long long)c->generation);
	lb_control_set_last_apply(c, true, "", origin);
	if (nr)
		lb_tell_apply(c, origin, nr, NULL);
	return 0;
}

int lb_control_apply(struct lb_control *c, struct lb_config *conf, const struct lb_origin *origin, bool whole,
		     size_t *changes, struct lb_err *err)
{
	return apply(c, conf, origin, whole, c->fingerprint, changes, err);
}

void lb_control_reload(struct lb_control *c)
{
	const struct lb_origin origin = {.what = "reload"};
	char fingerprint[LB_FINGERPRINT_LEN];
	struct lb_config *conf = NULL;
	struct lb_err err = {0};
	int ret;

	lb_block_begin();
	ret = lb_source_file(c->options.config_path, &conf, fingerprint, &err);
	lb_block_end();
	if (!ret) {
		apply(c, conf, &origin, true, fingerprint, NULL, &err);
		return;
	}
	/* A host that is run by commands alone. */
	if (ret == -ENOENT && !c->options.config_explicit && !c->fingerprint[0]) {
		lb_log(LB_LOG_INFO, "msg=\"there is no configuration file to read\" file=%s", c->options.config_path);
		return;
	}
	lb_log(LB_LOG_ERROR, "msg=\"refused; what runs keeps running\" origin=reload error=%s",
	       lb_quoted(lb_err_str(&err)));
	lb_control_set_last_apply(c, false, lb_err_str(&err), &origin);
	lb_tell_apply(c, &origin, 0, &err);
}
