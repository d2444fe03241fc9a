// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The udp, dns and ping checks: a datagram goes out, and what comes back within the timeout decides. What belongs to
 * something else is passed over.
 */
#include <errno.h>
#include <linux/icmp.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check_dns.h"
#include "check_ping.h"
#include "clock.h"
#include "probe_kinds.h"

#define DATAGRAM_MAX 65536
#define READS_MAX 16 /* at a time: a backend that talks without end does not keep the loop */

struct datagram {
	struct lb_probe probe;
	struct lb_probe_request req;
	struct event *readable, *timer;
	int fd;
	bool v4;
	bool raw; /* ping: IPv4 packets come with their IP header */
	uint64_t cookie;
	uint8_t sent[LB_DNS_QUERY_MAX];
	int sent_len;
};

_Static_assert(LB_DNS_QUERY_MAX >= LB_CHECK_TEXT_MAX && LB_DNS_QUERY_MAX >= LB_ECHO_LEN, "room for each");

static void datagram_free(struct datagram *d)
{
	if (d->readable)
		event_free(d->readable);
	if (d->timer)
		event_free(d->timer);
	if (d->fd >= 0)
		close(d->fd);
	free(d);
}

static void datagram_cancel(struct lb_probe *probe)
{
	datagram_free((struct datagram *)probe);
}

static void finish(struct datagram *d, enum lb_reason reason)
{
	struct lb_probe_request req = d->req;

	datagram_free(d);
	req.done(req.ctx, reason);
}

static enum lb_reason judge_udp(const char *expect, const uint8_t *answer, size_t len)
{
	uint8_t want[LB_CHECK_TEXT_MAX];
	int want_len = expect ? lb_text_unescape(expect, want) : 0;

	return want_len <= 0 || memmem(answer, len, want, (size_t)want_len) ? LB_REASON_OK : LB_REASON_BODY;
}

/* Returns false when the answer is another question's. */
static bool judge(const struct datagram *d, const uint8_t *answer, size_t len, enum lb_reason *reason)
{
	int code;

	*reason = LB_REASON_OK;
	switch (d->req.check->type) {
	case LB_CHECK_PING:
		return lb_echo_is_reply(d->v4, d->raw && d->v4, d->cookie, answer, len);
	case LB_CHECK_DNS:
		code = lb_dns_answer(d->sent, (size_t)d->sent_len, answer, len);
		if (code)
			*reason = code < 0 ? LB_REASON_PROTOCOL : LB_REASON_STATUS;
		return code != -EAGAIN;
	default:
		*reason = judge_udp(d->req.check->expect, answer, len);
		return true;
	}
}

static void on_readable(evutil_socket_t fd, short what, void *ctx)
{
	static uint8_t answer[DATAGRAM_MAX];
	struct datagram *d = ctx;
	enum lb_reason reason;
	ssize_t len;

	for (int i = 0; i < READS_MAX; i++) {
		len = recv(fd, answer, sizeof(answer), 0);
		if (len < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (len < 0) {
			finish(d, lb_probe_errno(errno));
			return;
		}
		if (judge(d, answer, (size_t)len, &reason)) {
			finish(d, reason);
			return;
		}
	}
}

/* Many a UDP server says nothing to what it does not know: where no answer is expected, silence is a good sign. */
static void on_timeout(evutil_socket_t fd, short what, void *ctx)
{
	struct datagram *d = ctx;
	bool silence = d->req.check->type == LB_CHECK_UDP && !d->req.check->expect;

	finish(d, silence ? LB_REASON_OK : LB_REASON_TIMEOUT);
}

/* Echo replies alone: a raw socket is given everything else, too. */
static void filter_replies(const struct datagram *d)
{
	struct icmp6_filter filter6;
	struct icmp_filter filter = {.data = ~(1U << ICMP_ECHOREPLY)};

	if (d->v4) {
		setsockopt(d->fd, SOL_RAW, ICMP_FILTER, &filter, sizeof(filter));
		return;
	}
	ICMP6_FILTER_SETBLOCKALL(&filter6);
	ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &filter6);
	setsockopt(d->fd, IPPROTO_ICMPV6, ICMP6_FILTER, &filter6, sizeof(filter6));
}

/* A datagram socket, where net.ipv4.ping_group_range has this process's group; else a raw one. */
static int ping_socket(struct datagram *d, const struct lb_endpoint *to)
{
	static uint64_t last_ns;
	struct lb_endpoint at = *to;
	int protocol = d->v4 ? IPPROTO_ICMP : (int)IPPROTO_ICMPV6, fd;

	at.port = 0;
	fd = lb_probe_connect(&at, SOCK_DGRAM, protocol, d->req.mark);
	if (fd != -EACCES && fd != -EPERM && fd != -EPROTONOSUPPORT)
		return fd;
	d->raw = true;
	fd = lb_probe_connect(&at, SOCK_RAW, protocol, d->req.mark);
	if (fd != -EACCES && fd != -EPERM)
		return fd;
	lb_probe_trouble(&last_ns, "ping needs CAP_NET_RAW, or lbd's group in net.ipv4.ping_group_range", "check=ping",
			 -fd);
	return -EMFILE; /* says nothing about the backend */
}

static int make_request(struct datagram *d)
{
	const struct lb_check_conf *check = d->req.check;

	arc4random_buf(&d->cookie, sizeof(d->cookie));
	switch (check->type) {
	case LB_CHECK_PING:
		lb_echo_request(d->v4, (uint16_t)d->cookie, d->cookie, d->sent);
		return LB_ECHO_LEN;
	case LB_CHECK_DNS:
		return lb_dns_query((uint16_t)d->cookie, check->name, check->record, d->sent);
	default:
		return check->send ? lb_text_unescape(check->send, d->sent) : 0;
	}
}

static int open_socket(struct datagram *d)
{
	const int on = 1;

	d->fd = d->req.check->type == LB_CHECK_PING ? ping_socket(d, &d->req.to)
						    : lb_probe_connect(&d->req.to, SOCK_DGRAM, 0, d->req.mark);
	if (d->fd < 0)
		return d->fd;
	if (d->raw)
		filter_replies(d);
	/* ICMP errors are told, also those that may pass. */
	if (d->v4)
		setsockopt(d->fd, IPPROTO_IP, IP_RECVERR, &on, sizeof(on));
	else
		setsockopt(d->fd, IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof(on));
	return send(d->fd, d->sent, (size_t)d->sent_len, 0) < 0 ? -errno : 0;
}

struct lb_probe *lb_probe_datagram_start(struct lb_probes *probes, const struct lb_probe_request *req,
					 enum lb_reason *reason)
{
	struct timeval timeout = lb_timeval(req->check->timeout_ns);
	struct datagram *d = calloc(1, sizeof(*d));
	int ret;

	if (!d)
		return NULL;
	d->probe.cancel = datagram_cancel;
	d->req = *req;
	d->fd = -1;
	d->v4 = lb_addr_is_v4(req->to.addr);
	d->sent_len = make_request(d);
	if (d->sent_len < 0)
		goto fail;
	ret = open_socket(d);
	if (ret) {
		*reason = lb_probe_errno(-ret);
		goto fail;
	}
	d->readable = event_new(probes->base, d->fd, EV_READ | EV_PERSIST, on_readable, d);
	d->timer = evtimer_new(probes->base, on_timeout, d);
	if (!d->readable || !d->timer || event_add(d->readable, NULL) || evtimer_add(d->timer, &timeout))
		goto fail;
	return &d->probe;
fail:
	datagram_free(d);
	return NULL;
}
