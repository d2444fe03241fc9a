// SPDX-License-Identifier: GPL-2.0-or-later
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "traffic.h"

static const char *const outcome_name[] = {"ok",     "refused",	    "reset",   "closed",
					   "silent", "unreachable", "garbled", "moved"};

static void report(const char *what)
{
	unsigned int alive = 0;

	for (unsigned int i = 0; i < opt.count; i++)
		alive += conns[i].fd >= 0;
	printf("%s alive=%u answers=%llu", what, alive, (unsigned long long)tally.answers);
	for (unsigned int o = opt.one_shot ? ALIVE : REFUSED; o < NR_OUTCOMES; o++)
		printf(" %s=%llu", outcome_name[o], (unsigned long long)tally.outcomes[o]);
	for (unsigned int i = 0; i < tally.nr_names; i++)
		printf(" %s=%llu", tally.names[i], (unsigned long long)tally.answers_by[i]);
	printf(" slowest_ms=%llu", (unsigned long long)(tally.slowest_ns / MS));
	if (tally.mark_ns) {
		printf(" since_mark_ok=%llu since_mark_failed=%llu since_mark_last_failure_ms=%lld",
		       (unsigned long long)tally.answers_since_mark, (unsigned long long)tally.failures_since_mark,
		       tally.failures_since_mark ? (long long)((tally.last_failure_ns - tally.mark_ns) / MS) : -1);
		for (unsigned int i = 0; i < tally.nr_names; i++)
			printf(" %s_last_ms=%lld", tally.names[i],
			       ((long long)tally.last_answer_ns[i] - (long long)tally.mark_ns) / (long long)MS);
	}
	putchar('\n');
	fflush(stdout);
}

/* A line from stdin within @wait_ms; false: none. The end of stdin is the line "quit". */
static bool command(char *line, size_t size, int wait_ms)
{
	static char buf[256];
	static size_t len;
	struct pollfd p = {.fd = 0, .events = POLLIN};
	char *nl = memchr(buf, '\n', len);

	if (!nl && poll(&p, 1, wait_ms) > 0) {
		ssize_t n = read(0, buf + len, sizeof(buf) - len);

		if (n <= 0) {
			snprintf(line, size, "quit");
			return true;
		}
		len += (size_t)n;
		nl = memchr(buf, '\n', len);
	}
	if (!nl)
		return false;
	snprintf(line, size, "%.*s", (int)(nl - buf), buf);
	len -= (size_t)(nl + 1 - buf);
	memmove(buf, nl + 1, len);
	return true;
}

/* spread: @count connections, @parallel at a time, each asks once. */
int spread(void)
{
	unsigned int started = 0;

	opt.one_shot = true;
	while (started < opt.count || tally.in_flight) {
		while (started < opt.count && tally.in_flight < opt.parallel) {
			conn_start(&conns[started], started);
			started++;
		}
		conns_turn(10);
	}
	report("spread");
	return 0;
}

/* All connections ask once, @parallel at a time; what was silent for too long is closed and counted. */
static void ask_all(void)
{
	for (unsigned int i = 0; i < opt.count; i++) {
		struct conn *c = &conns[i];

		while (tally.in_flight >= opt.parallel)
			conns_turn(10);
		if (c->fd < 0 || c->state != IDLE)
			continue;
		c->state = ASKED;
		c->asked_ns = now_ns();
		tally.in_flight++;
		conn_ask(c);
	}
	while (tally.in_flight)
		conns_turn(10);
}

/* Milliseconds of the clock on the wall, so that scripts can compare. */
static unsigned long long wall_ms(uint64_t ns)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ((uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec - (now_ns() - ns)) / MS;
}

/* PORT SERVER OUTCOME BEGUN ENDED, where what there is not is "-" or 0; then a dot. */
static void print_conns(void)
{
	for (unsigned int i = 0; i < opt.count; i++) {
		const struct conn *c = &conns[i];

		printf("%u %s %s %llu %llu\n", opt.first_port + i, c->server >= 0 ? tally.names[c->server] : "-",
		       c->fd >= 0 ? "ok" : outcome_name[c->outcome], wall_ms(c->begun_ns),
		       c->fd >= 0 ? 0 : wall_ms(c->ended_ns));
	}
	puts(".");
	fflush(stdout);
}

static void print_failures(void)
{
	for (unsigned int i = tally.nr_failures > MAX_FAILURES ? tally.nr_failures - MAX_FAILURES : 0;
	     i < tally.nr_failures; i++)
		printf("0 - %s %llu %llu\n", outcome_name[tally.failures[i % MAX_FAILURES].outcome],
		       wall_ms(tally.failures[i % MAX_FAILURES].begun_ns),
		       wall_ms(tally.failures[i % MAX_FAILURES].ended_ns));
	puts(".");
	fflush(stdout);
}

/* hold: open @count connections and keep them. Commands: "ping" lets all of them ask again, "report" only tells the
 * counts, "list" who holds each, "clear" sets the counts to zero, "quit". With @every they ask all by themselves. */
int hold(void)
{
	unsigned int started = 0;
	char line[256];

	while (started < opt.count || tally.in_flight) {
		while (started < opt.count && tally.in_flight < opt.parallel) {
			conn_start(&conns[started], started);
			started++;
		}
		conns_turn(10);
	}
	report("opened");
	for (;;) {
		uint64_t start_ns = now_ns();

		if (opt.every_ms)
			ask_all();
		else
			conns_turn(0);
		do {
			if (!command(line, sizeof(line), 5))
				continue;
			if (!strcmp(line, "quit")) {
				report(line);
				return 0;
			}
			if (!strcmp(line, "ping"))
				ask_all();
			if (!strcmp(line, "list")) {
				print_conns();
			} else if (!strcmp(line, "clear")) {
				memset(tally.answers_by, 0, sizeof(tally.answers_by));
				tally.answers = tally.slowest_ns = 0;
				puts(line);
				fflush(stdout);
			} else {
				report(line);
			}
		} while (now_ns() - start_ns < opt.every_ms * MS);
	}
}

/* load: new connections all the time, @rate a second, at most @parallel open at once, each asks once. Commands: "mark"
 * starts the since_mark counts, "report", "list" those that failed, "quit". */
int load(void)
{
	uint64_t start_ns = now_ns(), started = 0;
	char line[256];

	opt.one_shot = true;
	opt.count = opt.parallel;
	for (;;) {
		uint64_t due = opt.rate ? (now_ns() - start_ns) * opt.rate / 1000000000ULL : UINT64_MAX;

		for (unsigned int i = 0; i < opt.parallel && started < due; i++) {
			if (conns[i].fd >= 0)
				continue;
			conn_start(&conns[i], 0);
			started++;
		}
		conns_turn(1);
		if (!command(line, sizeof(line), 0))
			continue;
		if (!strcmp(line, "mark")) {
			tally.mark_ns = now_ns();
			tally.answers_since_mark = tally.failures_since_mark = 0;
		}
		if (!strcmp(line, "quit"))
			break;
		if (!strcmp(line, "list"))
			print_failures();
		else
			report(line);
	}
	while (tally.in_flight)
		conns_turn(10);
	report("quit");
	return 0;
}
