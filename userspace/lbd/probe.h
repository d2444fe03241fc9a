/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One attempt to find out whether a backend answers. Called by prober.c; each type of check is one probe_*.c. */
#ifndef LB_PROBE_H
#define LB_PROBE_H

#include <event2/event.h>

#include "health.h"

/* Called once, from the event loop; the probe is gone by then. */
typedef void (*lb_probe_done_fn)(void *ctx, enum lb_reason reason);

/* A probe under way. @cancel ends and frees it; @done will not be called. */
struct lb_probe {
	void (*cancel)(struct lb_probe *p);
};

struct lb_probe_request {
	struct lb_endpoint to;		   /* with its port */
	const struct lb_check_conf *check; /* outlives the probe */
	lb_probe_done_fn done;
	void *ctx;
};

/* What HTTP probes share: connections and timers of libcurl's. */
struct lb_probe_http;
struct lb_probe_http *lb_probe_http_new(struct event_base *base);
void lb_probe_http_free(struct lb_probe_http *h); /* after its probes */

/* Start one. NULL: it has ended already, for *@reason; @done will not be called. */
struct lb_probe *lb_probe_tcp_start(struct event_base *base, const struct lb_probe_request *req,
				    enum lb_reason *reason);
struct lb_probe *lb_probe_http_start(struct lb_probe_http *h, const struct lb_probe_request *req,
				     enum lb_reason *reason);

/* lb_probe_errno - what a failed connection's errno says about the backend. */
enum lb_reason lb_probe_errno(int error);

#endif
