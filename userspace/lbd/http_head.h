/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a request's headers say of it before its body is there. Called by http.c. */
#ifndef LB_HTTP_HEAD_H
#define LB_HTTP_HEAD_H

#include <stdbool.h>

struct MHD_Connection;

struct lb_http_head {
	bool too_large;	     /* the headers pass LB_HTTP_HEADERS_MAX */
	bool body_too_large; /* the body will pass LB_HTTP_BODY_MAX */
	bool waits;	     /* the client sends the body once it is told to (RFC 9110, 10.1.1) */
	bool ambiguous;	     /* where the body ends can be read in two ways (RFC 9112, 6.3) */
	/* The status that refuses a Transfer-Encoding which is not just "chunked": 501, what comes in chunks is encoded
	 * besides; 400, it does not come in chunks at last, so that nobody knows where it ends (RFC 9112, 6.1 and 6.3).
	 * 0: there is nothing to refuse. */
	unsigned int coding;
};

/* lb_http_head - look at the headers of @conn's request, which are all there. */
void lb_http_head(struct MHD_Connection *conn, struct lb_http_head *head);

#endif
