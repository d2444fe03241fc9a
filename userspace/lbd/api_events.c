// SPDX-License-Identifier: GPL-2.0-or-later
/* The API's stream of events: JSON a line, or server-sent events where Accept asks for them. */
#include <stdlib.h>
#include <string.h>

#include "api.h"

static size_t read_events(void *ctx, char *buf, size_t max)
{
	return lb_events_reader_read(ctx, buf, max);
}

static void free_reader(void *ctx)
{
	lb_events_reader_free(ctx);
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
		*after = strtoull(since, &end, 10);
		if (!*end)
			return true;
	}
	lb_api_problem(call, 400,
		       *name == 's' ? "since: must be the seq of an event; 0: all that are kept"
				    : "Last-Event-ID: must be the id of an event");
	return false;
}

void lb_api_events_get(struct lb_api_call *call)
{
	const char *accept = lb_http_header(call->req, "Accept");
	bool sse = accept && strstr(accept, "text/event-stream");
	struct lb_events_reader *reader;
	uint64_t after;

	if (!read_since(call, sse, &after))
		return;
	if (call->req->streams_full) {
		lb_api_problem(call, 503, "as many clients follow the events as may; close one");
		call->resp->retry_after_s = 5; /* by then those that are gone are noticed */
		return;
	}
	reader = lb_events_reader_new(call->control->events, after, sse ? LB_EVENTS_SSE : LB_EVENTS_LINES);
	if (!reader) {
		lb_api_no_memory(call);
		return;
	}
	call->resp->status = 200;
	call->resp->content_type = sse ? "text/event-stream" : "application/x-ndjson";
	call->resp->stream = (struct lb_http_stream){read_events, free_reader, sse ? ":\n\n" : "\n", reader};
}
