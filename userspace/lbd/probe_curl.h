/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Checks that are HTTP requests: libcurl's multi interface, its sockets and its timer in lbd's event loop. For the
 * probe_*.c that make such requests. */
#ifndef LB_PROBE_CURL_H
#define LB_PROBE_CURL_H

#include <curl/curl.h>
#include <openssl/x509.h>

#include "probe_kinds.h"

/* One request and what has come of it. */
struct lb_transfer {
	struct lb_probe probe;
	struct lb_probe_request req;
	struct lb_probe_curl *owner;
	CURL *easy;
	struct curl_slist *headers, *connect_to;
	uint8_t *body;
	size_t body_bytes, header_bytes;
	bool enough;		       /* we stopped reading, nothing is wrong */
	bool whole;		       /* the headers have come to their end */
	struct lb_transfer_lane *lane; /* that libcurl has it in; NULL: it has not */
	int socket_error;
	int grpc_status; /* what the header or trailer grpc-status says; -1: there is none */
	bool has_share;	 /* what the check's .weight_header says, of the last answer that came */
	uint32_t share;
	enum lb_reason (*judge)(const struct lb_transfer *t); /* of a whole answer */
	/* Until the trusted certificates are there: */
	X509_STORE *trusted;
	struct event *patience;
	struct lb_transfer *next, **link;
};

/* lb_transfer_new - a request for /, with what is common to all; NULL: no memory. @tls: by HTTPS, with the server's
 * certificate verified if the check says so. */
struct lb_transfer *lb_transfer_new(struct lb_probe_curl *c, const struct lb_probe_request *req, bool tls);
/* lb_transfer_header - "Name: value"; false: no memory */
bool lb_transfer_header(struct lb_transfer *t, const char *line);
/* lb_transfer_start - @t is taken over. As lb_probe_start. */
struct lb_probe *lb_transfer_start(struct lb_transfer *t, enum lb_reason *reason);
void lb_transfer_free(struct lb_transfer *t);

#endif
