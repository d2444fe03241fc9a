/* SPDX-License-Identifier: GPL-2.0-or-later */
/* HTTP requests to lbd over its Unix socket, one at a time, blocking. Called by lbctl only: lbd must never block. */
#ifndef LB_CLIENT_H
#define LB_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#include "err.h"

#define LB_CLIENT_SOCKET "/run/lbd/lbd.sock"

struct lb_client;

struct lb_request {
	const char *method;
	const char *path;	  /* from lb_client_path, with a query where there is one */
	const char *accept;	  /* NULL: application/json */
	const char *content_type; /* NULL: application/json */
	const char *body;	  /* NULL: none */
	size_t body_bytes;
	const char *if_match; /* an entity tag with its quotes; NULL: whatever there is */
};

struct lb_response {
	int status;
	char *body; /* NUL-terminated, never NULL after success */
	size_t body_bytes;
};

/* lb_client_new - a client of the lbd that listens on @socket_path (copied). -ENAMETOOLONG or -ENOMEM with @err. */
int lb_client_new(const char *socket_path, struct lb_client **out, struct lb_err *err);
void lb_client_free(struct lb_client *c);

/* lb_client_do - send @rq and wait for the answer, whatever its status. @out is the caller's to lb_response_fini.
 * -ENOENT, -ECONNREFUSED, -EACCES: no lbd to talk to; -ETIMEDOUT, -ECONNRESET: it did not answer; -EPROTO: what
 * answered is not lbd; -ENOMEM. All with @err. */
int lb_client_do(struct lb_client *c, const struct lb_request *rq, struct lb_response *out, struct lb_err *err);
void lb_response_fini(struct lb_response *r);

/* lb_client_stream - send @rq and call @cb with each line of the answer, as it comes and without its end, and with NULL
 * about once a second, until the answer is over or @cb returns false: then 0. An answer that is no success is in @out,
 * and @cb not called. Errors as lb_client_do's; there is no limit in time. */
typedef bool (*lb_client_line_fn)(void *ctx, const char *line);
int lb_client_stream(struct lb_client *c, const struct lb_request *rq, lb_client_line_fn cb, void *ctx,
		     struct lb_response *out, struct lb_err *err);

/* lb_client_path - "/v1/SEGMENT/SEGMENT...", percent-encoded, malloc'ed; NULL: out of memory. @segments ends with
 * NULL. */
char *lb_client_path(const char *const *segments);
/* lb_client_query - append "?key=value" to the malloc'ed @path, or "&key=value" after an earlier one. Takes @path
 * over, also on failure; accepts NULL. */
char *lb_client_query(char *path, const char *key, const char *value);

#endif
