// SPDX-License-Identifier: GPL-2.0-or-later
/* Which kind of probe a check needs. */
#include <stdlib.h>

#include "probe_kinds.h"

struct lb_probes *lb_probes_new(struct event_base *base)
{
	struct lb_probes *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->base = base;
	p->curl = lb_probe_curl_new(base);
	p->exec = lb_probe_exec_new(base);
	if (p->curl && p->exec)
		return p;
	lb_probes_free(p);
	return NULL;
}

void lb_probes_free(struct lb_probes *p)
{
	if (!p)
		return;
	lb_probe_curl_free(p->curl);
	lb_probe_exec_free(p->exec);
	free(p);
}

struct lb_probe *lb_probe_start(struct lb_probes *p, const struct lb_probe_request *req, enum lb_reason *reason)
{
	*reason = LB_REASON_INTERNAL;
	switch (req->check->type) {
	case LB_CHECK_TCP:
		return lb_probe_tcp_start(p, req, reason);
	case LB_CHECK_HTTP:
	case LB_CHECK_HTTPS:
		return lb_probe_http_start(p, req, reason);
	case LB_CHECK_GRPC:
		return lb_probe_grpc_start(p, req, reason);
	case LB_CHECK_PING:
	case LB_CHECK_UDP:
	case LB_CHECK_DNS:
		return lb_probe_datagram_start(p, req, reason);
	case LB_CHECK_EXEC:
		return lb_probe_exec_start(p, req, reason);
	case LB_CHECK_NONE:
		break;
	}
	return NULL;
}
