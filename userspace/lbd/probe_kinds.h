/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The kinds of probes, and what they have in common. For probe.c and probe_*.c alone. */
#ifndef LB_PROBE_KINDS_H
#define LB_PROBE_KINDS_H

#include "probe.h"

struct lb_probe_curl;
struct lb_probe_exec;

struct lb_probes {
	struct event_base *base;
	struct lb_probe_curl *curl;
	struct lb_probe_exec *exec;
};

struct lb_probe *lb_probe_tcp_start(struct lb_probes *p, const struct lb_probe_request *req, enum lb_reason *reason);
/* udp, dns, ping */
struct lb_probe *lb_probe_datagram_start(struct lb_probes *p, const struct lb_probe_request *req,
					 enum lb_reason *reason);
/* http, https */
struct lb_probe *lb_probe_http_start(struct lb_probes *p, const struct lb_probe_request *req, enum lb_reason *reason);
struct lb_probe *lb_probe_grpc_start(struct lb_probes *p, const struct lb_probe_request *req, enum lb_reason *reason);

struct lb_probe_curl *lb_probe_curl_new(struct event_base *base);
void lb_probe_curl_free(struct lb_probe_curl *c);

struct lb_probe_exec *lb_probe_exec_new(struct event_base *base);
void lb_probe_exec_free(struct lb_probe_exec *e); /* kills what still runs */
struct lb_probe *lb_probe_exec_start(struct lb_probes *p, const struct lb_probe_request *req, enum lb_reason *reason);

/* lb_probe_socket - every probe's socket is made here, also libcurl's: close-on-exec, and it does not block. A
 * descriptor, or -errno; -EMFILE also when so many are in use that lbd would have none for its own work. @mark: the
 * request's. */
int lb_probe_socket(int family, int type, int protocol, uint32_t mark);
/* lb_probe_descriptor - the same limit for a descriptor of another kind: @fd, or -EMFILE with it closed. */
int lb_probe_descriptor(int fd);
/* lb_probe_connect - a socket of @to's family, connected or about to be. A descriptor, or -errno. */
int lb_probe_connect(const struct lb_endpoint *to, int type, int protocol, uint32_t mark);

/* lb_probe_trouble - log why checks cannot be run: @what and strerror(@error), each kind at most every ten seconds;
 * *@last_ns is the caller's, 0 at first. */
void lb_probe_trouble(uint64_t *last_ns, const char *what, const char *subject, int error);

#endif
