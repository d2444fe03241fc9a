// SPDX-License-Identifier: GPL-2.0-or-later
/* The API's stream of events: JSON a line, or server-sent events where Accept asks for them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "nearest.h"
#include "traffic.h"

struct reading {
	struct lb_events_reader *reader;
	struct lb_traffic *traffic; /* NULL: not of that */
};

static size_t read_events(void *ctx, char *buf, size_t max)
{
	const struct reading *r = ctx;

	return lb_events_reader_read(r->reader, buf, max);
}

static void free_reading(void *ctx)
{
	struct reading *r = ctx;

	if (r->traffic)
		lb_traffic_unwatch(r->traffic);
	lb_events_reader_free(r->reader);
	free(r);
}

/* ?traffic=1 */
static bool read_traffic(struct lb_api_call *call, bool *traffic)
{
	const char *text = lb_http_query(call->req, "traffic");

	*traffic = text && !strcmp(text, "1");
	if (!text || *traffic || !strcmp(text, "0"))
		return true;
	lb_api_problem(call, 400, "traffic: must be 0 or 1");
	return false;
}

/* The number after which to begin: ?since=, else what a reader of server-sent events had last, else the newest. */
static bool read_since(struct lb_api_call *call, bool sse, uint64_t *after)
{
	const char *since = lb_http_query(call->req, "since"), *name = "since";
	char *end;

	if (!since && sse) {
		since = lb_http_header(call->req, "Last-Event-ID");
		name = "Last-Event-ID";
	}
	*after = lb_events_last(call->control->events);
	if (!since)
		return true;
	if (*since >= '0' && *since <= '9') {
		uint64_t last = *after;

		*after = strtoull(since, &end, 10);
		/* A reader that lost its connection may have it from an lbd whose clock was ahead: all there is, then.
		 */
		if (*name == 's' && *after > last)
			*after = last;
		if (!*end)
			return true;
	}
	lb_api_problem(call, 400,
		       *name == 's' ? "since: must be the seq of an event; 0: all that are kept"
				    : "Last-Event-ID: must be the id of an event");
	return false;
}

/* ?type=health,verdict */
static bool read_types(struct lb_api_call *call, uint32_t *types)
{
	const char *text = lb_http_query(call->req, "type"), *names[LB_EVENT_COUNT + 1] = {NULL}, *near;
	char why[192], one[64];
	unsigned int t;

	for (t = 0; t < LB_EVENT_COUNT; t++)
		names[t] = lb_event_type_name((enum lb_event_type)t);
	*types = text ? 0 : ~0U;
	for (; text; text = *text ? text + 1 : NULL) {
		snprintf(one, sizeof(one), "%.*s", (int)strcspn(text, ","), text);
		text += strcspn(text, ",");
		for (t = 0; t < LB_EVENT_COUNT && strcmp(names[t], one);)
			t++;
		if (t < LB_EVENT_COUNT) {
			*types |= 1U << t;
			continue;
		}
		near = lb_nearest(one, names);
		snprintf(why, sizeof(why), "type: %s is not a type of events%s%s%s", lb_err_text(one),
			 near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
		lb_api_problem(call, 400, why);
		return false;
	}
	return true;
}

void lb_api_events_get(struct lb_api_call *call)
{
	const char *accept = lb_http_header(call->req, "Accept");
	bool sse = accept && strstr(accept, "text/event-stream");
	struct reading *r;
	uint32_t types;
	uint64_t after;
	bool traffic;

	if (!read_since(call, sse, &after) || !read_traffic(call, &traffic) || !read_types(call, &types))
		return;
	if (call->req->streams_full) {
		lb_api_problem(call, 503, "as many clients follow the events as may; close one");
		call->resp->retry_after_s = 5; /* by then those that are gone are noticed */
		return;
	}
	r = calloc(1, sizeof(*r));
	if (r)
		r->reader = lb_events_reader_new(call->control->events, after, sse ? LB_EVENTS_SSE : LB_EVENTS_LINES);
	if (!r || !r->reader) {
		free(r);
		lb_api_no_memory(call);
		return;
	}
	lb_events_reader_only(r->reader, types);
	if (traffic && types & (1U << LB_EVENT_CONNECTIONS | 1U << LB_EVENT_VERDICT)) {
		r->traffic = call->control->traffic;
		lb_events_reader_beside(r->reader, lb_traffic_watch(r->traffic));
	}
	call->resp->status = 200;
	call->resp->content_type = sse ? "text/event-stream" : "application/x-ndjson";
	call->resp->stream = (struct lb_http_stream){read_events, free_reading, sse ? ":\n\n" : "\n", r};
}
