// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The tcp check: does the backend complete a handshake within the timeout? The connection is then closed in the normal
 * way: a reset would show up as an error in the logs of many servers.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "probe.h"

struct tcp_probe {
	struct lb_probe probe;
	struct lb_probe_request req;
	struct event *event;
	int fd;
};

enum lb_reason lb_probe_errno(int error)
{
	switch (error) {
	case 0:
		return LB_REASON_OK;
	case ECONNREFUSED:
		return LB_REASON_REFUSED;
	case ECONNRESET:
	case ECONNABORTED:
	case EPIPE:
		return LB_REASON_RESET;
	case ETIMEDOUT:
		return LB_REASON_TIMEOUT;
	case EHOSTUNREACH:
	case ENETUNREACH:
	case EHOSTDOWN:
	case ENETDOWN:
	case EADDRNOTAVAIL: /* no address to connect from */
	case EACCES:	    /* a prohibit route or a local firewall */
	case EPERM:
	case EINVAL: /* a blackhole route; a link-local address without its link */
		return LB_REASON_UNREACHABLE;
	default:
		return LB_REASON_INTERNAL;
	}
}

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

static int tcp_connect(const struct lb_endpoint *to)
{
	struct sockaddr_in6 sin6 = {.sin6_family = AF_INET6, .sin6_port = to->port};
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = to->port};
	bool v4 = lb_addr_is_v4(to->addr);
	struct sockaddr *sa = v4 ? (struct sockaddr *)&sin : (struct sockaddr *)&sin6;
	int fd, ret;

	memcpy(&sin.sin_addr, to->addr + 12, 4);
	memcpy(&sin6.sin6_addr, to->addr, 16);
	fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return errno == EMFILE || errno == ENFILE ? -EMFILE : -errno;
	if (connect(fd, sa, v4 ? sizeof(sin) : sizeof(sin6)) && errno != EINPROGRESS) {
		ret = -errno;
		close(fd);
		return ret;
	}
	return fd;
}

struct lb_probe *lb_probe_tcp_start(struct event_base *base, const struct lb_probe_request *req, enum lb_reason *reason)
{
	struct timeval timeout = lb_timeval(req->check->timeout_ns);
	struct tcp_probe *p = calloc(1, sizeof(*p));

	*reason = LB_REASON_INTERNAL;
	if (!p)
		return NULL;
	p->probe.cancel = tcp_cancel;
	p->req = *req;
	p->fd = tcp_connect(&req->to);
	if (p->fd < 0) {
		*reason = lb_probe_errno(-p->fd);
		goto fail;
	}
	p->event = event_new(base, p->fd, EV_WRITE, tcp_event, p);
	if (!p->event || event_add(p->event, &timeout))
		goto fail;
	return &p->probe;
fail:
	tcp_free(p);
	return NULL;
}
