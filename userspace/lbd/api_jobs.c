// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Answers that may be long: services with their backends, and the configuration. They are made in steps of a few
 * milliseconds, between which lbd does what else there is to do. What they are of must not change meanwhile, so that
 * an answer is never half of one configuration and half of the next: where it has changed, it is begun anew.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "clock.h"
#include "document.h"
#include "render.h"

#define STEP_NS 2000000ULL
#define BACKENDS_AT_ONCE 16
#define CLOCK_EVERY 16 /* pieces, between two looks at the clock */
#define REWINDS_MAX 8  /* then changes have to wait: somebody makes them all the time */

struct job {
	struct lb_control *control;
	uint64_t epoch;
	unsigned int rewinds;
	unsigned int pieces;
	uint64_t until_ns;
	unsigned int status;	/* of the answer */
	char name[LB_NAME_MAX]; /* the one service; "": all */
	bool yaml;
	bool begun; /* the text is; of the service @at, too, where @inside */
	bool inside;
	bool digested; /* its table is, as .digest */
	uint64_t digest;
	bool ended; /* of the one service: it is in the text, as a whole */
	size_t at, backend;
	struct lb_render out;
};

static void job_free(void *ctx)
{
	struct job *j = ctx;

	if (j->rewinds >= REWINDS_MAX)
		lb_work_release(j->control->work);
	lb_text_fini(&j->out.text);
	free(j);
}

/* Is this step's time over? */
static bool is_late(const struct job *j)
{
	return lb_now_ns() > j->until_ns;
}

/* The same, asked once for some pieces. */
static bool is_over(struct job *j)
{
	return !(++j->pieces % CLOCK_EVERY) && is_late(j);
}

/* False: a change is under way, and has to be waited for. */
static bool start_step(struct job *j, struct lb_http_response *resp)
{
	if (lb_work_busy(j->control->work)) {
		resp->job.rests = true;
		return false;
	}
	j->until_ns = lb_now_ns() + STEP_NS;
	if (j->epoch == j->control->epoch)
		return true;
	j->epoch = j->control->epoch;
	if (++j->rewinds == REWINDS_MAX)
		lb_work_hold(j->control->work);
	j->begun = j->inside = j->digested = j->ended = false;
	j->at = j->backend = 0;
	j->out.text.len = 0;
	return true;
}

/* The text as the answer. */
static bool finish(struct job *j, struct lb_http_response *resp, const char *content_type)
{
	struct lb_api_call call = {.control = j->control, .resp = resp};

	resp->body = lb_text_take(&j->out.text, &resp->body_len);
	if (!resp->body) {
		lb_api_no_memory(&call);
		return true;
	}
	resp->status = j->status;
	resp->content_type = content_type;
	return true;
}

/* Makes @job the answer, unless it is done at once. Takes it over; NULL: out of memory. */
static void run(struct lb_api_call *call, struct job *job, bool (*step)(void *ctx, struct lb_http_response *resp))
{
	if (!job) {
		lb_api_no_memory(call);
		return;
	}
	job->control = call->control;
	job->epoch = call->control->epoch;
	if (step(job, call->resp)) {
		job_free(job);
	} else if (call->req->full) {
		job_free(job);
		lb_api_busy(call);
	} else {
		call->resp->job = (struct lb_http_job){.step = step, .free = job_free, .ctx = job};
	}
}

/* ---- services ---- */

/* As much of the service as there is time for; true: all of it. */
static bool put_service(struct job *j, const struct lb_model_service *s)
{
	bool large = s->conf.nr_backends > BACKENDS_AT_ONCE * CLOCK_EVERY;

	if (!j->inside)
		lb_render_service_begin(&j->out, s);
	j->inside = true;
	while (j->backend < s->conf.nr_backends) {
		if (is_over(j))
			return false;
		lb_render_service_backend(&j->out, j->control, s, j->backend++);
	}
	/* The table's digest takes as long again as so many backends, and adding up likewise. */
	if (large && is_late(j))
		return false;
	if (!j->digested)
		j->digest = lb_model_digest(s);
	j->digested = true;
	if (large && is_late(j))
		return false;
	lb_render_service_end(&j->out, j->control, s, j->digest);
	j->inside = j->digested = false;
	j->backend = 0;
	return true;
}

static bool services_step(void *ctx, struct lb_http_response *resp)
{
	const struct lb_model_service *const *list;
	struct job *j = ctx;
	size_t nr;

	if (!start_step(j, resp))
		return false;
	nr = lb_model_services(j->control->model, &list);
	if (!j->begun)
		lb_text_puts(&j->out.text, "{\"services\":[");
	j->begun = true;
	while (j->at < nr) {
		if (!j->inside)
			lb_text_puts(&j->out.text, j->at ? ",\n" : "\n");
		if (!put_service(j, list[j->at]))
			return false;
		j->at++;
		if (is_over(j))
			return false;
	}
	lb_text_puts(&j->out.text, nr ? "\n]}\n" : "]}\n");
	lb_api_etag(j->control, NULL, resp->etag);
	return finish(j, resp, "application/json");
}

void lb_api_answer_services(struct lb_api_call *call)
{
	struct job *j = calloc(1, sizeof(*j));

	if (j)
		j->status = 200;
	run(call, j, services_step);
}

static bool service_step(void *ctx, struct lb_http_response *resp)
{
	struct job *j = ctx;
	struct lb_api_call call = {.control = j->control, .resp = resp};
	const struct lb_model_service *s;

	if (!start_step(j, resp))
		return false;
	s = lb_model_service(j->control->model, j->name);
	if (!s) {
		lb_api_problem(&call, 404, "the service was removed while the answer was made");
		return true;
	}
	if (!j->ended && !put_service(j, s))
		return false;
	j->ended = true;
	if (is_late(j))
		return false;
	lb_text_puts(&j->out.text, "\n");
	lb_api_etag(j->control, j->name, resp->etag);
	return finish(j, resp, "application/json");
}

void lb_api_answer_service(struct lb_api_call *call, unsigned int status, const char *name)
{
	struct job *j = calloc(1, sizeof(*j));

	if (j) {
		j->status = status;
		snprintf(j->name, sizeof(j->name), "%s", name);
	}
	run(call, j, service_step);
}

void lb_api_answer_backend(struct lb_api_call *call, unsigned int status, const struct lb_model_service *s, size_t i)
{
	struct lb_render r = {0};

	lb_render_backend(&r, call->control, s, i);
	lb_text_puts(&r.text, "\n");
	lb_api_text(call, status, &r.text);
}

void lb_api_answer_name(struct lb_api_call *call, unsigned int status, const struct lb_backend_conf *b)
{
	struct lb_render r = {0};

	lb_render_name(&r, call->control, b);
	lb_text_puts(&r.text, "\n");
	lb_api_text(call, status, &r.text);
}

/* ---- the configuration ---- */

static bool config_step(void *ctx, struct lb_http_response *resp)
{
	struct job *j = ctx;
	const struct lb_config *c;

	if (!start_step(j, resp))
		return false;
	c = j->control->config;
	if (!j->begun)
		lb_document_config_begin(&j->out.text, c, j->yaml);
	j->begun = true;
	while (j->at < c->nr_services) {
		j->backend = lb_document_config_service(&j->out.text, c, j->at, j->backend, BACKENDS_AT_ONCE, j->yaml);
		j->at += !j->backend;
		if (is_over(j))
			return false;
	}
	lb_document_config_end(&j->out.text, c, j->yaml);
	lb_api_etag(j->control, NULL, resp->etag);
	return finish(j, resp, j->yaml ? "application/yaml" : "application/json");
}

void lb_api_answer_config(struct lb_api_call *call, bool yaml)
{
	struct job *j = calloc(1, sizeof(*j));

	if (j) {
		j->status = 200;
		j->yaml = yaml;
	}
	run(call, j, config_step);
}
