/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One attempt to find out whether a backend answers. Called by prober.c; each kind of probe is one probe_*.c. */
#ifndef LB_PROBE_H
#define LB_PROBE_H

#include <event2/event.h>

#include "health.h"

/* Called once, from the event loop; the probe is gone by then. */
typedef void (*lb_probe_done_fn)(void *ctx, enum lb_reason reason);

/* What came of a probe beside its reason, written before it is done. */
struct lb_probe_notes {
	uint32_t share; /* percent, as lb_share_parse and lb_share_find read them */
	bool has_share;
	char *detail; /* exec: how the program ended and what it wrote, malloc'ed; NULL: nothing is to be said */
};

/* A probe under way. @cancel ends and frees it; @done will not be called. */
struct lb_probe {
	void (*cancel)(struct lb_probe *p);
};

struct lb_probe_request {
	struct lb_endpoint to;		   /* with its port */
	const struct lb_check_conf *check; /* outlives the probe, as do the service's name and VIP */
	const char *service;
	const struct lb_vip_conf *vip; /* the service's first; NULL: it has none */
	struct lb_probe_notes *notes;  /* cleared; outlives the probe; what it points to is then the caller's */
	lb_probe_done_fn done;
	void *ctx;
	uint32_t mark; /* of its sockets, by way of the VIP: LB_CHECK_MARK_OF; 0: none */
};

/* What probes share: connections of libcurl's, trusted certificates, child processes. NULL: no memory. */
struct lb_probes;
struct lb_probes *lb_probes_new(struct event_base *base);
void lb_probes_free(struct lb_probes *p); /* after its probes */

/* lb_probe_start - start one of the check's type. NULL: it has ended already, for *@reason; @done will not be called.
 */
struct lb_probe *lb_probe_start(struct lb_probes *p, const struct lb_probe_request *req, enum lb_reason *reason);

/* lb_probe_errno - what a failed connection's errno says about the backend. */
enum lb_reason lb_probe_errno(int error);

#endif
