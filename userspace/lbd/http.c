// SPDX-License-Identifier: GPL-2.0-or-later
/* libmicrohttpd in external epoll mode, driven by libevent. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include <microhttpd.h>

#include "http.h"
#include "log.h"

#define REQUEST_S 10 /* for the whole of a connection's first request */
#define IDLE_S 60    /* until the whole of the next one, and between two bytes of an answer */
#define CONNECTIONS_MAX 1024
#define WAITING_MAX (CONNECTIONS_MAX / 2) /* beyond, the one that has waited longest makes room */

/* A connection. While its request is incomplete it waits in the list, the longest first. */
struct peer {
	TAILQ_ENTRY(peer) link;
	int fd;
	bool waiting;
	unsigned int seconds_left;
};

struct lb_http {
	struct MHD_Daemon *daemon;
	struct event *readable;
	struct event *timer;
	struct event *tick;
	TAILQ_HEAD(, peer) waiting;
	size_t nr_waiting;
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

/* ---- requests ---- */

/* What is known of a request while its body arrives. */
struct exchange {
	char *body;
	size_t len, cap;
	bool too_large;
	bool failed; /* out of memory */
};

static int exchange_append(struct exchange *x, const char *data, size_t len)
{
	if (x->too_large || x->failed)
		return 0;
	if (x->len + len > LB_HTTP_BODY_MAX) {
		x->too_large = true; /* the rest is read and dropped, so that the client gets to read the answer */
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
		x->body = bigger;
		x->cap = cap;
	}
	memcpy(x->body + x->len, data, len);
	x->len += len;
	x->body[x->len] = '\0';
	return 0;
}

static enum MHD_Result respond(struct MHD_Connection *conn, struct lb_http_response *resp)
{
	struct MHD_Response *r;
	enum MHD_Result ok;

	r = MHD_create_response_from_buffer(resp->body_len, resp->body ? resp->body : (char *)"",
					    resp->body ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT);
	if (!r) {
		free(resp->body);
		return MHD_NO;
	}
	if (resp->content_type)
		MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, resp->content_type);
	if (resp->allow)
		MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, resp->allow);
	ok = MHD_queue_response(conn, resp->status, r);
	MHD_destroy_response(r);
	return ok;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *conn, const char *url, const char *method,
				  const char *version, const char *data, size_t *data_len, void **con_cls)
{
	struct exchange *x = *con_cls;
	struct lb_http_response resp = {.status = 500};
	struct lb_http *h = cls;

	if (!x) {
		*con_cls = peer_of(conn) ? calloc(1, sizeof(*x)) : NULL;
		return *con_cls ? MHD_YES : MHD_NO;
	}
	if (*data_len) {
		if (exchange_append(x, data, *data_len))
			x->failed = true;
		*data_len = 0;
		return MHD_YES;
	}
	if (x->failed)
		return MHD_NO;
	stop_waiting(h, peer_of(conn));
	struct lb_http_request req = {
		.method = method,
		.path = url,
		.body = x->body ? x->body : "",
		.body_len = x->len,
		.too_large = x->too_large,
		.connection = conn,
	};
	h->handler(h->ctx, &req, &resp);
	return respond(conn, &resp);
}

static void on_completed(void *cls, struct MHD_Connection *conn, void **con_cls, enum MHD_RequestTerminationCode how)
{
	struct exchange *x = *con_cls;
	struct peer *p = peer_of(conn);

	if (x)
		free(x->body);
	free(x);
	*con_cls = NULL;
	if (p && !p->waiting && how == MHD_REQUEST_TERMINATED_COMPLETED_OK)
		start_waiting(cls, p, IDLE_S);
}

static int hex(char c)
{
	return isdigit((unsigned char)c)    ? c - '0'
	       : isxdigit((unsigned char)c) ? tolower((unsigned char)c) - 'a' + 10
					    : -1;
}

/* Decodes in place. %00 stays as it is: as a byte it would hide the rest of a name. */
static size_t unescape(void *cls, struct MHD_Connection *conn, char *s)
{
	char *to = s, *from = s;

	while (*from) {
		int high = from[0] == '%' ? hex(from[1]) : -1;
		int low = high >= 0 ? hex(from[2]) : -1;

		if (low >= 0 && (high || low)) {
			*to++ = high << 4 | low;
			from += 3;
		} else {
			*to++ = *from++;
		}
	}
	*to = '\0';
	return to - s;
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
	h->handler = handler;
	h->ctx = ctx;
	h->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_request, h,
				     MHD_OPTION_EXTERNAL_LOGGER, on_mhd_log, NULL, MHD_OPTION_LISTEN_SOCKET, listen_fd,
				     MHD_OPTION_NOTIFY_COMPLETED, on_completed, h, MHD_OPTION_NOTIFY_CONNECTION,
				     on_connection, h, MHD_OPTION_UNESCAPE_CALLBACK, unescape, NULL,
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
	if (!h->readable || !h->timer || !h->tick || event_add(h->readable, NULL))
		goto fail;
	return h;
fail:
	lb_http_free(h);
	lb_err_set(err, -ENOMEM, NULL, "cannot start the HTTP server");
	return NULL;
}

void lb_http_free(struct lb_http *h)
{
	if (!h)
		return;
	if (h->readable)
		event_free(h->readable);
	if (h->timer)
		event_free(h->timer);
	if (h->daemon)
		MHD_stop_daemon(h->daemon); /* closes the listening socket, and every connection */
	if (h->tick)
		event_free(h->tick);
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
