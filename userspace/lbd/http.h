/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An HTTP server in lbd's event loop: whole requests in, whole answers out. The only module that includes
 * microhttpd.h. Called by main.c; handlers are in api.c and metrics.c. Who does not finish a request is cut off, so
 * that half-open connections keep nobody from being answered.
 */
#ifndef LB_HTTP_H
#define LB_HTTP_H

#include <event2/event.h>

#include "addr.h"

#define LB_HTTP_BODY_MAX (16U << 20)

struct lb_http_request {
	const char *method;
	const char *path; /* percent-decoded, without the query */
	const char *body; /* NUL-terminated */
	size_t body_len;
	bool too_large; /* the body passed LB_HTTP_BODY_MAX and was thrown away */
	void *connection;
};

struct lb_http_response {
	unsigned int status;
	const char *content_type;
	const char *allow; /* for 405; else NULL */
	char *body;	   /* malloc'ed, taken over; NULL: empty */
	size_t body_len;
};

typedef void (*lb_http_handler_fn)(void *ctx, const struct lb_http_request *req, struct lb_http_response *resp);

struct lb_http;

/* @listen_fd: a non-blocking listening socket; taken over. NULL with @err. */
struct lb_http *lb_http_new(struct event_base *base, int listen_fd, lb_http_handler_fn handler, void *ctx,
			    struct lb_err *err);
void lb_http_free(struct lb_http *h);

/* The value of the first ?@key=, of a header; NULL: it is not there. */
const char *lb_http_query(const struct lb_http_request *req, const char *key);
/* lb_http_query_each - call @cb for each ?key=value in their order; @value is NULL where there is no '='. */
typedef void (*lb_http_query_fn)(void *ctx, const char *key, const char *value);
void lb_http_query_each(const struct lb_http_request *req, lb_http_query_fn cb, void *ctx);
const char *lb_http_header(const struct lb_http_request *req, const char *key);

/* lb_listen_unix - a socket at @path, 0660, of the group lbd where there is one. What a dead lbd left is replaced;
 * -EADDRINUSE with @err when one is alive. Returns the descriptor. */
int lb_listen_unix(const char *path, struct lb_err *err);
int lb_listen_tcp(const struct lb_endpoint *at, struct lb_err *err);

#endif
