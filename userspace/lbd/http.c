// SPDX-License-Identifier: GPL-2.0-or-later
/* libmicrohttpd in external epoll mode, driven by libevent. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include <microhttpd.h>

#include "http.h"
#include "http_head.h"
#include "http_path.h"
#include "log.h"

#define REQUEST_S 10 /* for the whole of a connection's first request */
#define IDLE_S 60    /* until the whole of the next one, and between two bytes of an answer */
#define CONNECTIONS_MAX 1024
#define WAITING_MAX (CONNECTIONS_MAX / 2) /* beyond, the one that has waited longest makes room */
#define BEAT_S 5			  /* how soon a stream whose reader went is noticed */
#define REST_US 2000			  /* until jobs that rest are asked again */
#define STREAM_BLOCK_BYTES 16384

/* A connection. While its request is incomplete it waits in the list, the longest first. */
struct peer {
	TAILQ_ENTRY(peer) link;
	int fd;
	bool waiting;
	unsigned int seconds_left;
};

/* What is known of a request while its body arrives and its answer is made. */
struct exchange {
	TAILQ_ENTRY(exchange) link; /* while its job is under way */
	struct lb_http *http;
	struct MHD_Connection *conn;
	char *path, *body;
	size_t len, cap, held;
	bool begun; /* its headers are there */
	bool too_large, headers_too_large, ambiguous, busy;
	unsigned int coding;
	bool failed;		      /* out of memory */
	bool working;		      /* it is in the list, and its connection suspended */
	struct event *ready;	      /* of a job that waits: it is not in the list */
	struct lb_http_response resp; /* .job is set: of the one that is being made, or is ready */
};

/* An answer without an end; while its connection is suspended it waits to be woken. */
struct stream {
	LIST_ENTRY(stream) link;
	struct lb_http *http;
	struct MHD_Connection *conn;
	struct lb_http_stream of;
	bool suspended, beat;
};

struct lb_http {
	struct event_base *base;
	struct MHD_Daemon *daemon;
	union {
		struct event *events[6];
		struct {
			struct event *readable, *timer, *tick, *work, *wake, *beat;
		};
	};
	TAILQ_HEAD(, peer) waiting;
	size_t nr_waiting;
	TAILQ_HEAD(, exchange) working, aside; /* their jobs have the next step to make, or wait */
	LIST_HEAD(, stream) streams;
	unsigned int nr_streams;
	size_t held; /* bytes of bodies */
	bool stopping;
	lb_http_handler_fn handler;
	void *ctx;
};

/* ---- who waits ---- */

static void start_waiting(struct lb_http *h, struct peer *p, unsigned int seconds)
{
	const struct timeval second = {.tv_sec = 1};

	p->seconds_left = seconds;
	p->waiting = true;
	TAILQ_INSERT_TAIL(&h->waiting, p, link);
	h->nr_waiting++;
	if (h->tick && !evtimer_pending(h->tick, NULL))
		evtimer_add(h->tick, &second);
}

static void stop_waiting(struct lb_http *h, struct peer *p)
{
	if (!p->waiting)
		return;
	p->waiting = false;
	TAILQ_REMOVE(&h->waiting, p, link);
	h->nr_waiting--;
}

/* libmicrohttpd sees the end of the stream, and closes. */
static void cut_off(struct lb_http *h, struct peer *p)
{
	stop_waiting(h, p);
	shutdown(p->fd, SHUT_RDWR);
}

/* Seconds are counted here rather than read from a clock: in those that lbd itself was busy nobody could be served. */
static void on_tick(evutil_socket_t fd, short what, void *ctx)
{
	const struct timeval second = {.tv_sec = 1};
	struct lb_http *h = ctx;
	struct peer *p, *next;

	for (p = TAILQ_FIRST(&h->waiting); p; p = next) {
		next = TAILQ_NEXT(p, link);
		if (!--p->seconds_left)
			cut_off(h, p);
	}
	if (h->nr_waiting)
		evtimer_add(h->tick, &second);
}

static void on_connection(void *cls, struct MHD_Connection *conn, void **socket_context,
			  enum MHD_ConnectionNotificationCode what)
{
	struct peer *p = *socket_context;
	struct lb_http *h = cls;

	if (what == MHD_CONNECTION_NOTIFY_STARTED) {
		p = calloc(1, sizeof(*p));
		*socket_context = p;
		if (!p)
			return; /* on_request refuses */
		p->fd = MHD_get_connection_info(conn, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
		start_waiting(h, p, REQUEST_S);
		if (h->nr_waiting > WAITING_MAX)
			cut_off(h, TAILQ_FIRST(&h->waiting));
	} else if (p) {
		stop_waiting(h, p);
		free(p);
		*socket_context = NULL;
	}
}

static struct peer *peer_of(struct MHD_Connection *conn)
{
	return MHD_get_connection_info(conn, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

/* ---- streams ---- */

static ssize_t on_read(void *cls, uint64_t pos, char *buf, size_t max)
{
	struct stream *s = cls;
	size_t n = s->of.read(s->of.ctx, buf, max);

	if (!n && s->http->stopping)
		return MHD_CONTENT_READER_END_OF_STREAM;
	if (!n && s->beat && strlen(s->of.beat) <= max) {
		n = strlen(s->of.beat);
		memcpy(buf, s->of.beat, n);
	}
	s->beat = false;
	if (!n) {
		MHD_suspend_connection(s->conn);
		s->suspended = true;
	}
	return (ssize_t)n;
}

static void on_stream_end(void *cls)
{
	struct stream *s = cls;

	LIST_REMOVE(s, link);
	s->http->nr_streams--;
	s->of.free(s->of.ctx);
	free(s);
}

static struct MHD_Response *stream_response(struct lb_http *h, struct MHD_Connection *conn,
					    const struct lb_http_stream *of)
{
	const struct timeval beat = {.tv_sec = BEAT_S};
	struct stream *s = calloc(1, sizeof(*s));
	struct MHD_Response *r;

	r = s ? MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK_BYTES, on_read, s, on_stream_end)
	      : NULL;
	if (!r) {
		of->free(of->ctx);
		free(s);
		return NULL;
	}
	*s = (struct stream){.http = h, .conn = conn, .of = *of};
	LIST_INSERT_HEAD(&h->streams, s, link);
	if (!h->nr_streams++)
		event_add(h->beat, &beat);
	return r;
}

static void run_soon(struct lb_http *h)
{
	const struct timeval now = {0};

	evtimer_add(h->timer, &now);
}

static void resume_streams(struct lb_http *h, bool beat)
{
	struct stream *s;

	LIST_FOREACH(s, &h->streams, link)
	{
		s->beat |= beat;
		if (s->suspended) {
			s->suspended = false;
			MHD_resume_connection(s->conn);
		}
	}
	run_soon(h);
}

static void on_wake(evutil_socket_t fd, short what, void *ctx)
{
	resume_streams(ctx, false);
}

static void on_beat(evutil_socket_t fd, short what, void *ctx)
{
	struct lb_http *h = ctx;

	if (h->nr_streams)
		resume_streams(h, true);
	else
		event_del(h->beat);
}

void lb_http_wake(struct lb_http *h)
{
	const struct timeval now = {0};

	if (h && h->nr_streams && !evtimer_pending(h->wake, NULL))
		evtimer_add(h->wake, &now);
}

/* ---- answers that are made bit by bit ---- */

/* The next that does not rest. */
static struct exchange *next_job(struct lb_http *h)
{
	struct exchange *x;

	TAILQ_FOREACH(x, &h->working, link)
	if (!x->resp.job.rests)
		break;
	return x;
}

static void work_soon(struct lb_http *h)
{
	/* After what else there is to do in this round. */
	const struct timeval when = {.tv_usec = next_job(h) ? 0 : REST_US};

	if (!TAILQ_EMPTY(&h->working) && (!when.tv_usec || !evtimer_pending(h->work, NULL)))
		evtimer_add(h->work, &when);
}

void lb_http_go_on(struct lb_http *h)
{
	struct exchange *x;

	TAILQ_FOREACH(x, &h->working, link)
	x->resp.job.rests = false;
	work_soon(h);
}

static void on_ready(evutil_socket_t fd, short what, void *ctx);

/* Returns false where memory ran out. */
static bool start_job(struct exchange *x)
{
	if (x->resp.job.waits) {
		x->ready = event_new(x->http->base, x->resp.job.fd, EV_READ | EV_PERSIST, on_ready, x);
		if (!x->ready || event_add(x->ready, NULL))
			return false;
		TAILQ_INSERT_TAIL(&x->http->aside, x, link);
	} else {
		TAILQ_INSERT_TAIL(&x->http->working, x, link);
	}
	MHD_suspend_connection(x->conn);
	x->working = true;
	work_soon(x->http);
	return true;
}

static void end_job(struct exchange *x)
{
	struct lb_http_job job = x->resp.job;

	if (x->working && x->ready)
		TAILQ_REMOVE(&x->http->aside, x, link);
	else if (x->working)
		TAILQ_REMOVE(&x->http->working, x, link);
	if (x->ready)
		event_free(x->ready); /* before its descriptor is closed */
	x->ready = NULL;
	if (job.step)
		job.free(job.ctx);
	x->resp.job = (struct lb_http_job){.step = NULL};
	if (x->working)
		MHD_resume_connection(x->conn);
	x->working = false;
}

static void on_ready(evutil_socket_t fd, short what, void *ctx)
{
	struct exchange *x = ctx;
	struct lb_http *h = x->http;

	if (!x->resp.job.step(x->resp.job.ctx, &x->resp))
		return;
	end_job(x);
	run_soon(h);
}

/* One step of one answer, then it is the next one's turn. */
static void on_work(evutil_socket_t fd, short what, void *ctx)
{
	struct lb_http *h = ctx;
	struct exchange *x = next_job(h);
	struct lb_http_job job;

	if (!x) {
		lb_http_go_on(h);
		return;
	}
	job = x->resp.job;
	if (job.step(job.ctx, &x->resp)) {
		end_job(x);
		run_soon(h);
	} else {
		TAILQ_REMOVE(&h->working, x, link);
		TAILQ_INSERT_TAIL(&h->working, x, link);
	}
	work_soon(h);
}

/* ---- requests ---- */

static void hold(struct exchange *x, size_t bytes)
{
	x->held += bytes;
	x->http->held += bytes;
}

static void let_go(struct exchange *x)
{
	x->http->held -= x->held;
	x->held = 0;
}

static int exchange_append(struct exchange *x, const char *data, size_t len)
{
	if (x->too_large || x->busy || x->failed)
		return 0;
	/* The rest is read and dropped, so that the client gets to read the answer. */
	x->too_large = x->len + len > LB_HTTP_BODY_MAX;
	x->busy = x->http->held > LB_HTTP_HELD_MAX;
	if (x->too_large || x->busy) {
		free(x->body);
		x->body = NULL;
		x->len = x->cap = 0;
		let_go(x);
		return 0;
	}
	if (x->len + len + 1 > x->cap) {
		size_t cap = x->cap ? x->cap : 4096;
		char *bigger;

		while (cap < x->len + len + 1)
			cap *= 2;
		bigger = realloc(x->body, cap);
		if (!bigger)
			return -ENOMEM;
		hold(x, cap - x->cap);
		x->body = bigger;
		x->cap = cap;
	}
	memcpy(x->body + x->len, data, len);
	x->len += len;
	x->body[x->len] = '\0';
	return 0;
}

static struct MHD_Response *make_response(struct exchange *x, const struct lb_http_response *resp)
{
	struct MHD_Response *r;

	if (resp->stream.read)
		return stream_response(x->http, x->conn, &resp->stream);
	r = MHD_create_response_from_buffer(resp->body_len, resp->body ? resp->body : (char *)"",
					    resp->body ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT);
	if (r)
		hold(x, resp->body_len);
	else
		free(resp->body);
	return r;
}

static enum MHD_Result respond(struct exchange *x, const struct lb_http_response *resp)
{
	struct MHD_Response *r = make_response(x, resp);
	enum MHD_Result ok;
	char seconds[16];

	if (!r)
		return MHD_NO;
	if (resp->content_type)
		MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, resp->content_type);
	if (resp->allow)
		MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, resp->allow);
	if (resp->etag[0])
		MHD_add_response_header(r, MHD_HTTP_HEADER_ETAG, resp->etag);
	if (resp->stream.read)
		MHD_add_response_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	if (resp->retry_after_s) {
		snprintf(seconds, sizeof(seconds), "%u", resp->retry_after_s);
		MHD_add_response_header(r, MHD_HTTP_HEADER_RETRY_AFTER, seconds);
	}
	ok = MHD_queue_response(x->conn, resp->status, r);
	MHD_destroy_response(r);
	return ok;
}

/* The target of a request is there, and nothing else. */
static void *on_target(void *cls, const char *target, struct MHD_Connection *conn)
{
	struct exchange *x = peer_of(conn) ? calloc(1, sizeof(*x)) : NULL;

	if (!x)
		return NULL;
	x->http = cls;
	x->conn = conn;
	x->path = lb_http_path(target);
	return x;
}

static enum MHD_Result answer(struct lb_http *h, struct exchange *x, const char *method)
{
	struct lb_http_request req = {
		.method = method,
		.path = x->path,
		.body = x->body ? x->body : "",
		.body_len = x->len,
		.too_large = x->too_large,
		.headers_too_large = x->headers_too_large,
		.ambiguous = x->ambiguous,
		.coding = x->coding,
		.busy = x->busy,
		.full = h->held > LB_HTTP_HELD_MAX,
		.streams_full = h->nr_streams >= LB_HTTP_STREAMS_MAX,
		.http = h,
		.connection = x->conn,
	};

	stop_waiting(h, peer_of(x->conn));
	x->resp.status = 500;
	h->handler(h->ctx, &req, &x->resp);
	if (!x->resp.job.step)
		return respond(x, &x->resp);
	return start_job(x) ? MHD_YES : MHD_NO;
}

/* The headers are there. An answer that is given now, before the body, ends the connection: libmicrohttpd does not read
 * on. Who sends a large body without waiting may not get to read one, so it is read and dropped. */
static enum MHD_Result begin(struct lb_http *h, struct exchange *x, const char *method)
{
	struct lb_http_head head;

	if (!x->path)
		return MHD_NO;
	lb_http_head(x->conn, &head);
	x->headers_too_large = head.too_large;
	x->too_large = head.body_too_large;
	x->ambiguous = head.ambiguous;
	x->coding = head.coding;
	x->begun = true;
	if (head.ambiguous || head.coding || (head.body_too_large && head.waits))
		return answer(h, x, method);
	return MHD_YES;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *conn, const char *url, const char *method,
				  const char *version, const char *data, size_t *data_len, void **con_cls)
{
	struct exchange *x = *con_cls;

	if (!x)
		return MHD_NO;
	if (!x->begun)
		return begin(cls, x, method);
	if (*data_len) {
		if (exchange_append(x, data, *data_len))
			x->failed = true;
		*data_len = 0;
		return MHD_YES;
	}
	if (x->failed)
		return MHD_NO;
	/* Called again after a job: its answer is there. */
	if (x->resp.status)
		return x->working ? MHD_YES : respond(x, &x->resp);
	return answer(cls, x, method);
}

static void on_completed(void *cls, struct MHD_Connection *conn, void **con_cls, enum MHD_RequestTerminationCode how)
{
	struct exchange *x = *con_cls;
	struct peer *p = peer_of(conn);

	if (x) {
		end_job(x);
		let_go(x);
		free(x->body);
		free(x->path);
	}
	free(x);
	*con_cls = NULL;
	if (p && !p->waiting && how == MHD_REQUEST_TERMINATED_COMPLETED_OK)
		start_waiting(cls, p, IDLE_S);
}

static size_t unescape(void *cls, struct MHD_Connection *conn, char *s)
{
	return lb_http_unescape(s, "");
}

static void on_mhd_log(void *cls, const char *fmt, va_list ap)
{
	char text[256];

	vsnprintf(text, sizeof(text), fmt, ap);
	text[strcspn(text, "\n")] = '\0';
	lb_log(LB_LOG_DEBUG, "msg=\"http\" detail=%s", lb_quoted(text));
}

static void run(evutil_socket_t fd, short what, void *ctx)
{
	struct lb_http *h = ctx;
	MHD_UNSIGNED_LONG_LONG ms;

	MHD_run(h->daemon);
	if (MHD_get_timeout(h->daemon, &ms) == MHD_YES) {
		struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

		evtimer_add(h->timer, &tv);
	} else {
		evtimer_del(h->timer);
	}
}

struct lb_http *lb_http_new(struct event_base *base, int listen_fd, lb_http_handler_fn handler, void *ctx,
			    struct lb_err *err)
{
	struct lb_http *h = calloc(1, sizeof(*h));
	const union MHD_DaemonInfo *info;

	if (!h) {
		close(listen_fd);
		goto fail;
	}
	TAILQ_INIT(&h->waiting);
	TAILQ_INIT(&h->working);
	TAILQ_INIT(&h->aside);
	h->base = base;
	h->handler = handler;
	h->ctx = ctx;
	h->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_ERROR_LOG | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL,
				     on_request, h, MHD_OPTION_EXTERNAL_LOGGER, on_mhd_log, NULL,
				     MHD_OPTION_LISTEN_SOCKET, listen_fd, MHD_OPTION_NOTIFY_COMPLETED, on_completed, h,
				     MHD_OPTION_NOTIFY_CONNECTION, on_connection, h, MHD_OPTION_UNESCAPE_CALLBACK,
				     unescape, NULL, MHD_OPTION_URI_LOG_CALLBACK, on_target, h,
				     MHD_OPTION_CONNECTION_TIMEOUT, (unsigned int)IDLE_S, MHD_OPTION_CONNECTION_LIMIT,
				     (unsigned int)CONNECTIONS_MAX, MHD_OPTION_END);
	if (!h->daemon) {
		close(listen_fd);
		goto fail;
	}
	info = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	if (!info)
		goto fail;
	h->readable = event_new(base, info->epoll_fd, EV_READ | EV_PERSIST, run, h);
	h->timer = evtimer_new(base, run, h);
	h->tick = evtimer_new(base, on_tick, h);
	h->work = evtimer_new(base, on_work, h);
	h->wake = evtimer_new(base, on_wake, h);
	h->beat = event_new(base, -1, EV_PERSIST, on_beat, h);
	if (!h->readable || !h->timer || !h->tick || !h->work || !h->wake || !h->beat || event_add(h->readable, NULL))
		goto fail;
	return h;
fail:
	lb_http_free(h);
	lb_err_set(err, -ENOMEM, NULL, "cannot start the HTTP server");
	return NULL;
}

void lb_http_free(struct lb_http *h)
{
	struct exchange *x;
	struct stream *s;

	if (!h)
		return;
	h->stopping = true;
	/* libmicrohttpd does not stop with connections suspended. */
	LIST_FOREACH(s, &h->streams, link)
	if (s->suspended)
		MHD_resume_connection(s->conn);
	while ((x = TAILQ_FIRST(&h->working)) || (x = TAILQ_FIRST(&h->aside)))
		end_job(x);
	if (h->readable)
		event_free(h->readable); /* before the daemon closes what it watches */
	h->readable = NULL;
	if (h->daemon)
		MHD_stop_daemon(h->daemon); /* closes the listening socket, and every connection */
	for (size_t i = 0; i < sizeof(h->events) / sizeof(h->events[0]); i++)
		if (h->events[i])
			event_free(h->events[i]);
	free(h);
}

const char *lb_http_query(const struct lb_http_request *req, const char *key)
{
	return MHD_lookup_connection_value(req->connection, MHD_GET_ARGUMENT_KIND, key);
}

struct each {
	lb_http_query_fn cb;
	void *ctx;
};

static enum MHD_Result on_parameter(void *cls, enum MHD_ValueKind kind, const char *key, const char *value)
{
	const struct each *e = cls;

	e->cb(e->ctx, key, value);
	return MHD_YES;
}

void lb_http_query_each(const struct lb_http_request *req, lb_http_query_fn cb, void *ctx)
{
	struct each e = {cb, ctx};

	MHD_get_connection_values(req->connection, MHD_GET_ARGUMENT_KIND, on_parameter, &e);
}

const char *lb_http_header(const struct lb_http_request *req, const char *key)
{
	return MHD_lookup_connection_value(req->connection, MHD_HEADER_KIND, key);
}

struct lb_caller lb_http_caller(const struct lb_http_request *req)
{
	return lb_caller_of(peer_of(req->connection)->fd);
}
