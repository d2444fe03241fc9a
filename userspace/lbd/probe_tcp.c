// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The tcp check: does the backend complete a handshake within the timeout? The connection is then closed in the normal
 * way: a reset would show up as an error in the logs of many servers.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "probe_kinds.h"

struct tcp_probe {
	struct lb_probe probe;
	struct lb_probe_request req;
	struct event *event;
	int fd;
};

static void tcp_free(struct tcp_probe *p)
{
	if (p->event)
		event_free(p->event);
	if (p->fd >= 0)
		close(p->fd);
	free(p);
}

static void tcp_cancel(struct lb_probe *probe)
{
	tcp_free((struct tcp_probe *)probe);
}

static void tcp_event(evutil_socket_t fd, short what, void *ctx)
{
	struct tcp_probe *p = ctx;
	struct lb_probe_request req = p->req;
	enum lb_reason reason = LB_REASON_TIMEOUT;

	if (what & EV_WRITE) {
		int error = 0;
		socklen_t len = sizeof(error);

		if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len))
			error = errno;
		reason = lb_probe_errno(error);
	}
	tcp_free(p);
	req.done(req.ctx, reason);
}

struct lb_probe *lb_probe_tcp_start(struct lb_probes *probes, const struct lb_probe_request *req,
				    enum lb_reason *reason)
{
	struct timeval timeout = lb_timeval(req->check->timeout_ns);
	struct tcp_probe *p = calloc(1, sizeof(*p));

	*reason = LB_REASON_INTERNAL;
	if (!p)
		return NULL;
	p->probe.cancel = tcp_cancel;
	p->req = *req;
	p->fd = lb_probe_connect(&req->to, SOCK_STREAM, 0, req->mark);
	if (p->fd < 0) {
		*reason = lb_probe_errno(-p->fd);
		goto fail;
	}
	p->event = event_new(probes->base, p->fd, EV_WRITE, tcp_event, p);
	if (!p->event || event_add(p->event, &timeout))
		goto fail;
	return &p->probe;
fail:
	tcp_free(p);
	return NULL;
}
