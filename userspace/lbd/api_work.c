// SPDX-License-Identifier: GPL-2.0-or-later
/* Requests that may take long are handled beside the event loop, one after the other: see work.h. */
#include <stdlib.h>
#include <string.h>

#include "api.h"

/* A request on its way. Its connection is suspended meanwhile, so that all of it stays. */
struct request {
	struct lb_job job;
	struct lb_control *control;
	struct lb_http_request req;
	struct lb_http_response resp;
	bool done, gone;
};

static void run(void *ctx)
{
	struct request *r = ctx;

	if (!r->gone)
		lb_api_answer(r->control, &r->req, &r->resp);
}

static void forget(struct request *r)
{
	if (r->resp.job.step)
		r->resp.job.free(r->resp.job.ctx);
	free(r->resp.body);
	free(r);
}

static void on_done(void *ctx)
{
	struct request *r = ctx;

	r->done = true;
	if (r->gone)
		forget(r);
	else
		lb_http_go_on(r->req.http);
}

static void on_free(void *ctx)
{
	struct request *r = ctx;

	r->gone = true;
	if (r->done)
		forget(r);
}

/* The answer that was made, which may be one that is made bit by bit. */
static bool step(void *ctx, struct lb_http_response *resp)
{
	struct lb_http_job own = resp->job;
	struct request *r = ctx;

	if (!r->done) {
		resp->job.rests = true;
		return false;
	}
	*resp = r->resp;
	r->resp = (struct lb_http_response){0};
	if (resp->job.step) {
		forget(r);
		return false;
	}
	resp->job = own;
	return true;
}

void lb_api_work(struct lb_control *c, const struct lb_http_request *req, struct lb_http_response *resp)
{
	struct request *r = calloc(1, sizeof(*r));

	if (!r) {
		lb_api_answer(c, req, resp);
		return;
	}
	*r = (struct request){.job = {run, on_done, r, NULL}, .control = c, .req = *req, .resp = {.status = 500}};
	resp->job = (struct lb_http_job){.step = step, .free = on_free, .ctx = r, .rests = true};
	lb_work_add(c->work, &r->job);
}
