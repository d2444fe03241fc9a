// SPDX-License-Identifier: GPL-2.0-or-later
/* Routes a request to its handler, and makes answers and problem documents. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "http_path.h"
#include "log.h"
#include "nearest.h"
#include "pause.h"

#define PARTS_FEW 100 /* changes that are written in no time */

static const struct {
	const char *method;
	const char *pattern; /* "*" takes any one segment */
	lb_api_fn handler;
	const char *query[5]; /* the parameters it takes; NULL at the end */
	enum lb_api_tag tag;  /* what its conditions are about */
} routes[] = {
	{"GET", "/v1/status", lb_api_status_get, {"verify"}, LB_API_TAG_NONE},
	{"GET", "/v1/config", lb_api_config_get, {NULL}, LB_API_TAG_CONFIG},
	{"PUT", "/v1/config", lb_api_config_put, {"dry_run", "name"}, LB_API_TAG_CONFIG},
	{"POST", "/v1/config/check", lb_api_config_check, {"name"}, LB_API_TAG_NONE},
	{"GET", "/v1/services", lb_api_services_get, {NULL}, LB_API_TAG_CONFIG},
	{"POST", "/v1/services", lb_api_services_post, {NULL}, LB_API_TAG_CONFIG},
	{"GET", "/v1/services/*", lb_api_service_get, {NULL}, LB_API_TAG_SERVICE},
	{"PATCH", "/v1/services/*", lb_api_service_patch, {NULL}, LB_API_TAG_SERVICE},
	{"DELETE", "/v1/services/*", lb_api_service_delete, {NULL}, LB_API_TAG_SERVICE},
	{"POST", "/v1/services/*/backends", lb_api_backends_post, {NULL}, LB_API_TAG_SERVICE},
	{"PATCH", "/v1/services/*/backends/*", lb_api_backend_patch, {NULL}, LB_API_TAG_SERVICE},
	{"DELETE", "/v1/services/*/backends/*", lb_api_backend_delete, {NULL}, LB_API_TAG_SERVICE},
	{"POST", "/v1/interfaces", lb_api_iface_post, {NULL}, LB_API_TAG_CONFIG},
	{"DELETE", "/v1/interfaces/*", lb_api_iface_delete, {NULL}, LB_API_TAG_CONFIG},
	{"GET", "/v1/events", lb_api_events_get, {"since", "traffic", "type"}, LB_API_TAG_NONE},
	{"GET", "/v1/flows", lb_api_flows_get, {"service", "client", "backend", "limit"}, LB_API_TAG_NONE},
	{"DELETE", "/v1/flows", lb_api_flows_delete, {"service"}, LB_API_TAG_NONE},
	{"POST", "/v1/trace", lb_api_trace_post, {NULL}, LB_API_TAG_NONE},
};
#define NR_ROUTES (sizeof(routes) / sizeof(routes[0]))

static void answer(struct lb_api_call *call, unsigned int status, const char *content_type, json_t *j)
{
	size_t len, parts = json_array_size(json_object_get(j, "changes"));
	char *text, *line;

	if (parts > PARTS_FEW)
		lb_block_begin();
	text = j ? json_dumps(j, JSON_INDENT(2) | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15)) : NULL;
	len = text ? strlen(text) : 0;
	line = text ? realloc(text, len + 2) : NULL;
	json_decref(j);
	if (parts > PARTS_FEW)
		lb_block_end();
	call->resp->status = line ? status : 500;
	if (!line) {
		free(text);
		return;
	}
	memcpy(line + len, "\n", 2);
	call->resp->content_type = content_type;
	call->resp->body = line;
	call->resp->body_len = len + 1;
}

void lb_api_json(struct lb_api_call *call, unsigned int status, json_t *j)
{
	if (j)
		answer(call, status, "application/json", j);
	else
		lb_api_no_memory(call);
}

void lb_api_text(struct lb_api_call *call, unsigned int status, struct lb_text *t)
{
	call->resp->body = lb_text_take(t, &call->resp->body_len);
	call->resp->status = status;
	call->resp->content_type = "application/json";
	if (!call->resp->body)
		lb_api_no_memory(call);
}

static const char *title_of(unsigned int status)
{
	static const struct {
		unsigned int status;
		const char *title;
	} titles[] = {
		{400, "Bad Request"},
		{404, "Not Found"},
		{405, "Method Not Allowed"},
		{409, "Conflict"},
		{412, "Precondition Failed"},
		{413, "Content Too Large"},
		{415, "Unsupported Media Type"},
		{431, "Request Header Fields Too Large"},
		{501, "Not Implemented"},
		{503, "Service Unavailable"},
		{507, "Insufficient Storage"},
	};

	for (size_t i = 0; i < sizeof(titles) / sizeof(titles[0]); i++)
		if (titles[i].status == status)
			return titles[i].title;
	return "Internal Server Error";
}

void lb_api_problem(struct lb_api_call *call, unsigned int status, const char *detail)
{
	json_t *j = json_pack("{s:s, s:s, s:i, s:s}", "type", "about:blank", "title", title_of(status), "status",
			      (int)status, "detail", detail);

	/* A detail that quotes bytes which are no UTF-8. */
	if (!j)
		j = json_pack("{s:s, s:s, s:i, s:s}", "type", "about:blank", "title", title_of(status), "status",
			      (int)status, "detail", "the request is not UTF-8");
	answer(call, status, "application/problem+json", j);
}

void lb_api_no_memory(struct lb_api_call *call)
{
	lb_api_problem(call, 500, "out of memory");
}

static unsigned int status_of(int code)
{
	switch (code) {
	case -ENOENT:
		return 404;
	case -EEXIST:
		return 409;
	case -ENOSPC:
		return 507;
	case -EFBIG:
		return 413;
	case -EINVAL:
	case -ERANGE:
	case -EBUSY:
	case -ENODEV:
	case -EOPNOTSUPP:
	case -E2BIG:
		return 400;
	default:
		return 500;
	}
}

void lb_api_error(struct lb_api_call *call, const struct lb_err *err)
{
	lb_api_problem(call, status_of(err->code), lb_err_str(err));
}

bool lb_api_apply(struct lb_api_call *call, struct lb_config *conf, bool whole)
{
	struct lb_err err = {0};

	if (!lb_control_apply(call->control, conf, &(struct lb_origin){"api", lb_http_caller(call->req)}, whole, NULL,
			      &err))
		return true;
	lb_api_error(call, &err);
	return false;
}

/* Does @path, cut in place at its slashes, match? Fills @arg. */
static bool match(const char *pattern, char *path, char *arg[LB_API_ARGS_MAX])
{
	size_t nr = 0;

	while (*pattern) {
		if (*pattern == '*') {
			size_t len = strcspn(path, "/");

			if (!len || nr == LB_API_ARGS_MAX)
				return false;
			arg[nr++] = path;
			path += len;
			pattern++;
		} else if (*pattern++ != *path++) {
			return false;
		}
	}
	if (*path)
		return false;
	/* Only now is it known that the path is ours to cut. */
	for (size_t i = 0; i < nr; i++) {
		arg[i][strcspn(arg[i], "/")] = '\0';
		lb_http_unescape(arg[i], "");
	}
	return true;
}

static const char *allowed(const char *path)
{
	static char list[64];
	char *arg[LB_API_ARGS_MAX], *copy;

	list[0] = '\0';
	for (size_t i = 0; i < NR_ROUTES; i++) {
		copy = strdup(path);
		if (copy && match(routes[i].pattern, copy, arg)) {
			size_t len = strlen(list);

			snprintf(list + len, sizeof(list) - len, "%s%s", len ? ", " : "",
				 strcmp(routes[i].method, "GET") ? routes[i].method : "GET, HEAD");
		}
		free(copy);
	}
	return list[0] ? list : NULL;
}

static void refuse(struct lb_api_call *call)
{
	const char *allow = allowed(call->req->path);
	char detail[256];

	if (allow) {
		snprintf(detail, sizeof(detail), "%.16s is not for this; allowed: %s", call->req->method, allow);
		lb_api_problem(call, 405, detail);
		call->resp->allow = allow;
	} else {
		snprintf(detail, sizeof(detail), "there is no %.180s; see the list in docs/api.md", call->req->path);
		lb_api_problem(call, 404, detail);
	}
}

struct query_check {
	const struct lb_http_request *req;
	const char *const *known;
	char why[160]; /* "": nothing is wrong so far */
};

/* A parameter that is not understood must not be passed over: who misspells dry_run means not to change anything. */
static void check_parameter(void *ctx, const char *key, const char *value)
{
	struct query_check *c = ctx;
	const char *near;
	size_t i = 0;

	if (c->why[0])
		return;
	while (c->known[i] && strcmp(c->known[i], key))
		i++;
	near = c->known[i] ? NULL : lb_nearest(key, c->known);
	if (near)
		snprintf(c->why, sizeof(c->why), "unknown parameter %.64s; did you mean %s?", lb_err_text(key), near);
	else if (!c->known[i])
		snprintf(c->why, sizeof(c->why), "unknown parameter %.64s; %s%s%s%s", lb_err_text(key),
			 c->known[0] ? "known here: " : "none is known here", c->known[0] ? c->known[0] : "",
			 c->known[0] && c->known[1] ? ", " : "", c->known[0] && c->known[1] ? c->known[1] : "");
	else if (!value)
		snprintf(c->why, sizeof(c->why), "parameter %s has no value; write %s=VALUE", key, key);
	else if (lb_http_query(c->req, key) != value)
		snprintf(c->why, sizeof(c->why), "parameter %s is given twice; give it once", key);
}

static bool query_is_known(struct lb_api_call *call, const char *const *known)
{
	struct query_check c = {.req = call->req, .known = known};

	lb_http_query_each(call->req, check_parameter, &c);
	if (c.why[0])
		lb_api_problem(call, 400, c.why);
	return !c.why[0];
}

/* What was changed has another tag now. */
static void handle(struct lb_api_call *call, size_t i, const char *method)
{
	struct lb_http_response *resp = call->resp;

	routes[i].handler(call);
	if (routes[i].tag == LB_API_TAG_NONE || !strcmp(method, "GET") || resp->status > 299 || resp->status == 204 ||
	    resp->job.step || resp->etag[0])
		return;
	lb_api_etag(call->control, routes[i].tag == LB_API_TAG_SERVICE ? call->arg[0] : NULL, resp->etag);
}

/* Whatever may change something, and what adds up all there is, or compares it with what should be. */
static bool takes_long(const struct lb_http_request *req)
{
	if (!strcmp(req->path, "/v1/trace"))
		return false; /* it has a process of its own */
	if (strcmp(req->method, "GET") && strcmp(req->method, "HEAD"))
		return true;
	return !strcmp(req->path, "/v1/status");
}

void lb_api_handle(void *ctx, const struct lb_http_request *req, struct lb_http_response *resp)
{
	if (takes_long(req))
		lb_api_work(ctx, req, resp);
	else
		lb_api_answer(ctx, req, resp);
}

void lb_api_answer(struct lb_control *c, const struct lb_http_request *req, struct lb_http_response *resp)
{
	struct lb_api_call call = {.control = c, .req = req, .resp = resp};
	const char *method = strcmp(req->method, "HEAD") ? req->method : "GET";
	char *path = strdup(req->path);
	size_t i;

	if (!path) {
		lb_api_no_memory(&call);
		return;
	}
	for (i = 0; i < NR_ROUTES; i++)
		if (!strcmp(routes[i].method, method) && match(routes[i].pattern, path, call.arg))
			break;
	if (i == NR_ROUTES)
		refuse(&call);
	else if (lb_api_acceptable(&call) && query_is_known(&call, routes[i].query) &&
		 lb_api_conditions(&call, routes[i].tag, !strcmp(method, "GET")))
		handle(&call, i, method);
	lb_log(LB_LOG_DEBUG, "msg=\"api\" method=%s path=%s status=%u", req->method, lb_quoted(req->path),
	       resp->status);
	free(path);
}
