// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "traffic.h"

struct conn *conns;
struct tally tally;

static int name_idx(const char *name, size_t len)
{
	for (unsigned int i = 0; i < tally.nr_names; i++)
		if (strlen(tally.names[i]) == len && !memcmp(tally.names[i], name, len))
			return (int)i;
	if (tally.nr_names == MAX_NAMES || len >= sizeof(tally.names[0]))
		return -1;
	memcpy(tally.names[tally.nr_names], name, len);
	return (int)tally.nr_names++;
}

static void finish(struct conn *c, enum outcome o)
{
	if (c->state != IDLE)
		tally.in_flight--;
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	c->state = DONE;
	c->outcome = o;
	c->ended_ns = now_ns();
	tally.outcomes[o]++;
	if (o != ALIVE) {
		tally.failures[tally.nr_failures % MAX_FAILURES].outcome = o;
		tally.failures[tally.nr_failures % MAX_FAILURES].begun_ns = c->begun_ns;
		tally.failures[tally.nr_failures++ % MAX_FAILURES].ended_ns = c->ended_ns;
		tally.last_failure_ns = c->asked_ns;
		if (tally.mark_ns && c->asked_ns >= tally.mark_ns)
			tally.failures_since_mark++;
	}
}

static enum outcome outcome_of(int err)
{
	switch (err) {
	case 0:
		return CLOSED;
	case ECONNREFUSED:
		return REFUSED;
	case ECONNRESET:
	case EPIPE:
		return RESET;
	case ETIMEDOUT:
		return SILENT;
	default:
		return UNREACHABLE;
	}
}

/* The name in what @c has received so far, or NULL: not all there. *len 0: not an answer. */
static const char *answer(struct conn *c, size_t *len)
{
	const char *body = c->buf, *end;

	c->buf[c->len] = 0;
	if (opt.http) {
		*len = 0;
		if (c->len >= 12 && (memcmp(c->buf, "HTTP/1.", 7) || memcmp(c->buf + 9, "200", 3)))
			return c->buf;
		body = strstr(c->buf, "\r\n\r\n");
		if (!body)
			return NULL;
		body += 4;
	}
	end = strchr(body, '\n');
	if (!end)
		return NULL;
	*len = (size_t)(end - body);
	return body;
}

void conn_ask(struct conn *c)
{
	char req[1400];
	int n;

	if (opt.http)
		n = snprintf(req, sizeof(req), "GET %s HTTP/1.1\r\nHost: demo\r\n%s\r\n", opt.http,
			     opt.one_shot ? "Connection: close\r\n" : "");
	else
		n = snprintf(req, sizeof(req), "%*s\n", opt.big ? 1390 : 1, opt.one_shot && !opt.udp ? "!" : "?");
	c->len = 0;
	if (write(c->fd, req, (size_t)n) != n)
		finish(c, outcome_of(errno));
}

void conn_start(struct conn *c, unsigned int i)
{
	struct sockaddr_storage from = opt.from;

	c->fd = open_socket(opt.to.ss_family, opt.udp ? SOCK_DGRAM : SOCK_STREAM);
	c->state = CONNECTING;
	c->server = -1;
	c->outcome = ALIVE;
	c->len = 0;
	c->begun_ns = c->asked_ns = now_ns();
	tally.in_flight++;
	setsockopt(c->fd, IPPROTO_IP, IP_TOS, &opt.tos, sizeof(opt.tos));
	if (opt.to.ss_family == AF_INET6)
		setsockopt(c->fd, IPPROTO_IPV6, IPV6_TCLASS, &opt.tos, sizeof(opt.tos));
	if (opt.first_port)
		set_port(&from, opt.first_port + i);
	if (opt.first_port || from.ss_family) {
		from.ss_family = opt.to.ss_family;
		if (bind(c->fd, (struct sockaddr *)&from, sa_len(&from)))
			die("bind");
	}
	if (connect(c->fd, (struct sockaddr *)&opt.to, sa_len(&opt.to)) && errno != EINPROGRESS) {
		finish(c, outcome_of(errno));
		return;
	}
	watch(c->fd, c, EPOLLOUT, EPOLL_CTL_ADD);
}

static void take_answer(struct conn *c, const char *name, size_t len)
{
	int idx = len ? name_idx(name, len) : -1;
	uint64_t now = now_ns();

	if (idx < 0) {
		finish(c, GARBLED);
		return;
	}
	if (c->server >= 0 && c->server != idx)
		tally.outcomes[MOVED]++;
	c->server = idx;
	tally.answers++;
	tally.answers_by[idx]++;
	tally.last_answer_ns[idx] = c->asked_ns;
	if (tally.mark_ns && c->asked_ns >= tally.mark_ns)
		tally.answers_since_mark++;
	if (now - c->asked_ns > tally.slowest_ns)
		tally.slowest_ns = now - c->asked_ns;
	if (opt.one_shot && opt.first_port && !opt.udp && !opt.http) {
		c->state = ANSWERED; /* who closes last may use the port again at once */
	} else if (opt.one_shot) {
		finish(c, ALIVE);
	} else {
		c->state = IDLE;
		tally.in_flight--;
	}
}

static void receive(struct conn *c)
{
	ssize_t n = read(c->fd, c->buf + c->len, sizeof(c->buf) - 1 - c->len);
	const char *name;
	size_t len;

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		finish(c, c->state == ANSWERED ? ALIVE : outcome_of(n ? errno : 0));
		return;
	}
	c->len += (size_t)n;
	if (c->state != ASKED) {
		finish(c, GARBLED);
		return;
	}
	name = answer(c, &len);
	if (name)
		take_answer(c, name, len);
}

static void handle(struct conn *c)
{
	if (c->state == CONNECTING) {
		int err = 0;
		socklen_t len = sizeof(err);

		getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &len);
		if (err) {
			finish(c, outcome_of(err));
			return;
		}
		c->state = ASKED;
		watch(c->fd, c, EPOLLIN, EPOLL_CTL_MOD);
		conn_ask(c);
	} else if (c->state != DONE) {
		receive(c);
	}
}

/* Silent is who has not answered by the time at which it was last looked what there is: a client that got no CPU has
 * not listened either. */
void conns_turn(int wait_ms)
{
	struct epoll_event ev[256];
	static uint64_t swept_ns;
	const uint64_t now = now_ns();
	const int n = epoll_wait(net_epoll(), ev, 256, wait_ms);

	for (int i = 0; i < n; i++)
		handle(ev[i].data.ptr);
	if (n == 256 || now < swept_ns + 50 * MS)
		return;
	swept_ns = now;
	for (unsigned int i = 0; i < opt.count; i++)
		if (conns[i].state < IDLE && conns[i].fd >= 0 && now > conns[i].asked_ns + opt.timeout_ms * MS)
			finish(&conns[i], SILENT);
}

void conns_new(unsigned int nr)
{
	conns = calloc(nr, sizeof(*conns));
	if (!conns)
		die("memory");
	for (unsigned int i = 0; i < nr; i++) {
		conns[i].fd = -1;
		conns[i].state = DONE;
	}
}
