/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An HTTP server in lbd's event loop: whole requests in, whole answers out. The only module that includes
 * microhttpd.h. Called by main.c; handlers are in api.c and metrics.c. Who does not finish a request is cut off, so
 * that half-open connections keep nobody from being answered. Large answers are made bit by bit between other work;
 * endless ones are read as they come.
 */
#ifndef LB_HTTP_H
#define LB_HTTP_H

#include <event2/event.h>

#include "addr.h"
#include "caller.h"

#define LB_HTTP_BODY_MAX (16U << 20)
#define LB_HTTP_HEADERS_MAX (16U << 10) /* names and values of one request's headers together */
#define LB_HTTP_HELD_MAX (256U << 20)	/* bodies of requests and answers in memory, of all connections */
#define LB_HTTP_STREAMS_MAX 64
#define LB_HTTP_ETAG_STRLEN 32

struct lb_http;

struct lb_http_request {
	const char *method;
	const char *path; /* as lb_http_path has it */
	const char *body; /* NUL-terminated */
	size_t body_len;
	bool too_large;		/* the body passed LB_HTTP_BODY_MAX and was thrown away */
	bool headers_too_large; /* they pass LB_HTTP_HEADERS_MAX */
	bool ambiguous;		/* where the body ends can be read in two ways: nothing of it was read */
	unsigned int coding;	/* as lb_http_head has it; other than 0, nothing of the body was read */
	bool busy;		/* the body was thrown away because LB_HTTP_HELD_MAX was reached */
	bool full;		/* it is reached now: no time for a long answer */
	bool streams_full;	/* LB_HTTP_STREAMS_MAX are open */
	struct lb_http *http;
	void *connection;
};

struct lb_http_response;

/* An answer that takes too long to be made at once: @step is called once in a round of the event loop until it returns
 * true, and has filled the response then. @free is called once, after that or when the client is gone. @waits: @step is
 * only called when there is something to read from @fd, which stays the job's. */
struct lb_http_job {
	bool (*step)(void *ctx, struct lb_http_response *resp);
	void (*free)(void *ctx);
	void *ctx;
	bool waits;
	int fd;
	bool rests; /* set by @step: it waits for something, and is called again in a moment, or by lb_http_go_on */
};

/* An answer without an end. @read puts at most @max bytes into @buf and returns how many, or 0: nothing for now; it is
 * called again after lb_http_wake. @beat is sent where nothing else was for some seconds, so that a client that went
 * is noticed. */
struct lb_http_stream {
	size_t (*read)(void *ctx, char *buf, size_t max);
	void (*free)(void *ctx);
	const char *beat;
	void *ctx;
};

struct lb_http_response {
	unsigned int status;
	const char *content_type;
	const char *allow; /* for 405; else NULL */
	char *body;	   /* malloc'ed, taken over; NULL: empty */
	size_t body_len;
	char etag[LB_HTTP_ETAG_STRLEN]; /* with its quotes; "": none */
	unsigned int retry_after_s;	/* 0: not said */
	struct lb_http_job job;		/* .step is set: it makes the answer, all else is ignored */
	struct lb_http_stream stream;	/* .read is set: it is the body */
};

typedef void (*lb_http_handler_fn)(void *ctx, const struct lb_http_request *req, struct lb_http_response *resp);

/* @listen_fd: a non-blocking listening socket; taken over. NULL with @err. */
struct lb_http *lb_http_new(struct event_base *base, int listen_fd, lb_http_handler_fn handler, void *ctx,
			    struct lb_err *err);
void lb_http_free(struct lb_http *h);

/* lb_http_wake - the streams have something to read. Cheap, and may be called from a handler. Accepts NULL. */
void lb_http_wake(struct lb_http *h);

/* lb_http_go_on - what a job that rests waited for may be there. */
void lb_http_go_on(struct lb_http *h);

/* The value of the first ?@key=, of a header; NULL: it is not there. */
const char *lb_http_query(const struct lb_http_request *req, const char *key);
/* lb_http_query_each - call @cb for each ?key=value in their order; @value is NULL where there is no '='. */
typedef void (*lb_http_query_fn)(void *ctx, const char *key, const char *value);
void lb_http_query_each(const struct lb_http_request *req, lb_http_query_fn cb, void *ctx);
const char *lb_http_header(const struct lb_http_request *req, const char *key);
/* Whose connection it came by. */
struct lb_caller lb_http_caller(const struct lb_http_request *req);

/* lb_listen_unix - a socket at @path, 0660, of the group lbd where there is one. What a dead lbd left is replaced;
 * -EADDRINUSE with @err when one is alive. Returns the descriptor. */
int lb_listen_unix(const char *path, struct lb_err *err);
int lb_listen_tcp(const struct lb_endpoint *at, struct lb_err *err);

#endif
