// SPDX-License-Identifier: GPL-2.0-or-later
/* HTTP requests at a rate, or as many as there can be; see load.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "cpu.h"
#include "env.h"
#include "load.h"

#define MAX_CONNS 1024
#define ANSWER_BYTES 1024
#define DRAIN_S 2.0 /* for answers that are still on their way at the end; longer than a lost SYN takes */

enum conn_state { CONN_FREE, CONN_CONNECTING, CONN_WAITING };

struct conn {
	int fd; /* -1: none */
	enum conn_state state;
	double due_s;
	size_t got;
	char answer[ANSWER_BYTES];
};

static struct {
	const struct load_target *target;
	const struct load_plan *plan;
	struct load_result *result;
	struct conn conns[MAX_CONNS];
	unsigned int free[MAX_CONNS], nr_free;
	int epoll_fd, timer_fd;
	double start_s, end_s;
	uint64_t sent, done, outstanding;
	size_t next_addr;
	double *latency_us;
	size_t nr_latency, max_latency;
	bool over;
} run;

static const char request_kept[] = "GET / HTTP/1.1\r\nHost: bench\r\n\r\n";
static const char request_last[] = "GET / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n";

static void conn_close(struct conn *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

static int conn_send(struct conn *c)
{
	const char *text = run.plan->connect ? request_last : request_kept;
	size_t len = strlen(text);

	c->state = CONN_WAITING;
	c->got = 0;
	return send(c->fd, text, len, MSG_NOSIGNAL) == (ssize_t)len ? 0 : -EIO;
}

static int conn_open(struct conn *c)
{
	const struct sockaddr_in *to = &run.target->to[run.next_addr++ % run.target->nr_to];
	struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLET | EPOLLRDHUP, .data.ptr = c};
	int one = 1;

	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		return -errno;
	c->state = CONN_CONNECTING;
	if (run.target->from.sin_family) {
		setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
		if (bind(c->fd, (const struct sockaddr *)&run.target->from, sizeof(run.target->from)))
			return -errno;
	}
	if (connect(c->fd, (const struct sockaddr *)to, sizeof(*to)) && errno != EINPROGRESS)
		return -errno;
	return epoll_ctl(run.epoll_fd, EPOLL_CTL_ADD, c->fd, &ev) ? -errno : 0;
}

static void conn_end(struct conn *c, bool good);

/* Is the next request due, and may it still be sent? */
static bool next_due(double now_s, double *due_s)
{
	*due_s = run.plan->rate ? run.start_s + (double)run.sent / run.plan->rate : now_s;
	return *due_s <= now_s && *due_s < run.end_s;
}

/* Its request failed. Of a run's failures the first is told: it makes the row invalid, and somebody will ask why. */
static void conn_fail(struct conn *c, const char *what, int err)
{
	socklen_t len = sizeof(err);

	if (!err && c->fd >= 0)
		getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &len);
	if (!run.result->failed)
		fprintf(stderr, "bench: %s: a request failed: %s%s%s\n", run.target->name, what, err ? ": " : "",
			err ? strerror(err) : "");
	conn_end(c, false);
}

static void begin_due(double now_s)
{
	double due_s;

	while (run.nr_free && next_due(now_s, &due_s)) {
		struct conn *c = &run.conns[run.free[--run.nr_free]];
		int err;

		c->due_s = due_s;
		run.sent++;
		run.outstanding++;
		err = c->fd < 0 ? conn_open(c) : conn_send(c);
		if (err) {
			conn_fail(c, "it cannot be sent", -err);
			return; /* not again and again in one go */
		}
	}
}

static void conn_end(struct conn *c, bool good)
{
	double now_s = bench_now_s();

	run.outstanding--;
	if (!good) {
		run.result->failed++;
	} else if (run.plan->rate || now_s < run.end_s) {
		run.done++;
		if (run.nr_latency < run.max_latency)
			run.latency_us[run.nr_latency++] = (now_s - c->due_s) * 1e6;
	}
	if (!good || run.plan->connect)
		conn_close(c);
	c->state = CONN_FREE;
	run.free[run.nr_free++] = (unsigned int)(c - run.conns);
}

/* The answer's length once its header is there, else 0; -1: not an answer. Notes which server it is from. */
static ssize_t answer_length(struct conn *c)
{
	const char *end, *length;
	char *body_end;
	unsigned long n;

	c->answer[c->got] = '\0';
	end = strstr(c->answer, "\r\n\r\n");
	if (!end)
		return c->got < ANSWER_BYTES - 1 ? 0 : -1;
	length = strcasestr(c->answer, "\r\ncontent-length:");
	if (strncmp(c->answer, "HTTP/1.1 200", 12) || !length || length > end)
		return -1;
	n = strtoul(length + strlen("\r\ncontent-length:"), &body_end, 10);
	if (end[4] == 'b' && end[5] >= '1' && end[5] <= '9')
		run.result->servers |= 1U << (end[5] - '0');
	return end + 4 - c->answer + (ssize_t)n;
}

static void conn_read(struct conn *c)
{
	for (;;) {
		ssize_t n = recv(c->fd, c->answer + c->got, ANSWER_BYTES - 1 - c->got, 0), length;

		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			int err = n ? errno : 0;

			/* Only what the server closes as it was asked to is a good end, and only after its answer. */
			length = n ? -1 : answer_length(c);
			if (run.plan->connect && length > 0 && (size_t)length == c->got)
				conn_end(c, true);
			else
				conn_fail(c, "its connection ended before the answer did", err);
			return;
		}
		c->got += (size_t)n;
		length = answer_length(c);
		if (length < 0 || (length && (size_t)length < c->got)) {
			conn_fail(c, "this is not the answer", 0);
			return;
		}
		if (length && (size_t)length == c->got && !run.plan->connect) {
			conn_end(c, true);
			return;
		}
	}
}

static void conn_event(struct conn *c, uint32_t events)
{
	if (c->fd < 0)
		return;
	if (c->state == CONN_FREE) { /* a kept connection ended between two requests */
		if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
			conn_close(c);
		return;
	}
	if (events & EPOLLERR) {
		conn_fail(c, c->state == CONN_CONNECTING ? "no connection" : "its connection broke", 0);
		return;
	}
	if (c->state == CONN_CONNECTING && (events & EPOLLOUT) && conn_send(c)) {
		conn_fail(c, "it cannot be sent", errno);
		return;
	}
	if (c->state == CONN_WAITING && (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP)))
		conn_read(c);
}

static void loop(void)
{
	struct epoll_event events[256];
	double now_s = bench_now_s();
	uint64_t ticks;

	while (now_s < run.end_s || (run.outstanding && run.plan->rate && now_s < run.end_s + DRAIN_S)) {
		int nr;

		begin_due(now_s);
		nr = epoll_wait(run.epoll_fd, events, 256, 10);
		for (int i = 0; i < nr; i++) {
			if (events[i].data.ptr)
				conn_event(events[i].data.ptr, events[i].events);
			else if (read(run.timer_fd, &ticks, sizeof(ticks)) < 0 && errno != EAGAIN)
				return;
		}
		now_s = bench_now_s();
	}
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double percentile(double share)
{
	size_t i = (size_t)((double)run.nr_latency * share);

	return run.nr_latency ? run.latency_us[i < run.nr_latency ? i : run.nr_latency - 1] : 0;
}

static int run_open(void)
{
	struct epoll_event ev = {.events = EPOLLIN};
	struct itimerspec every = {0};

	run.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	run.timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (run.epoll_fd < 0 || run.timer_fd < 0 || epoll_ctl(run.epoll_fd, EPOLL_CTL_ADD, run.timer_fd, &ev))
		return -errno;
	if (!run.plan->rate)
		return 0;
	run.max_latency = (size_t)(run.plan->rate * run.plan->seconds) + 1;
	run.latency_us = calloc(run.max_latency, sizeof(run.latency_us[0]));
	every.it_value.tv_nsec = every.it_interval.tv_nsec = (long)(1e9 / run.plan->rate);
	if (!run.latency_us || timerfd_settime(run.timer_fd, 0, &every, NULL))
		return -errno;
	return 0;
}

int load_run(const struct load_target *target, const struct load_plan *plan, struct load_result *result)
{
	double took_s, wall_s;
	int ret;

	memset(&run, 0, sizeof(run));
	*result = (struct load_result){0};
	run.target = target;
	run.plan = plan;
	run.result = result;
	for (unsigned int i = 0; i < plan->connections && i < MAX_CONNS; i++) {
		run.conns[i].fd = -1;
		run.free[run.nr_free++] = i;
	}
	ret = run_open();
	if (ret)
		goto out;
	if (plan->rate)
		cpu_begin();
	run.start_s = bench_now_s();
	run.end_s = run.start_s + plan->seconds;
	loop();
	wall_s = bench_now_s() - run.start_s;
	if (plan->rate) {
		double used_s = cpu_end();

		result->cpu_us = run.done ? used_s / (double)run.done * 1e6 : 0;
		if (run.outstanding)
			fprintf(stderr, "bench: %s: %llu requests are not answered after %.0f s\n", target->name,
				(unsigned long long)run.outstanding, DRAIN_S);
		result->failed += run.outstanding;
	}
	took_s = plan->rate ? wall_s : plan->seconds;
	result->per_second = (double)run.done / took_s;
	qsort(run.latency_us, run.nr_latency, sizeof(double), compare_doubles);
	result->p50_us = percentile(0.5);
	result->p99_us = percentile(0.99);
	result->p999_us = percentile(0.999);
out:
	for (unsigned int i = 0; i < plan->connections && i < MAX_CONNS; i++)
		conn_close(&run.conns[i]);
	close(run.epoll_fd);
	close(run.timer_fd);
	free(run.latency_us);
	return ret;
}
