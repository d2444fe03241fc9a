// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Both ends of test traffic, for the namespace tests and the demo: a server that answers with its name over TCP and
 * UDP, and clients that open many connections and say who answered and what broke. Reports are lines of key=value.
 *
 * The line protocol: "?\n" is answered with "NAME\n", "!\n" with the same and the end of the connection. With --http
 * PATH the clients send GET requests instead and take the body's first line for the name.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MS 1000000ULL
#define MAX_PORTS 16
#define MAX_NAMES 256
#define MAX_FAILURES 4096

enum outcome { ALIVE, REFUSED, RESET, CLOSED, SILENT, UNREACHABLE, GARBLED, MOVED, NR_OUTCOMES };
static const char *const outcome_name[] = {"ok",     "refused",	    "reset",   "closed",
					   "silent", "unreachable", "garbled", "moved"};

static struct {
	struct sockaddr_storage to, from;
	const char *name, *http;
	unsigned int count, parallel, first_port, rate, timeout_ms, every_ms, tos, ports[MAX_PORTS], nr_ports;
	bool udp, big;
} opt = {.count = 1, .parallel = 64, .timeout_ms = 3000};

static int epoll_fd;
static uint64_t mark_ns; /* load: when the operator did something; 0: not yet */

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

static void __attribute__((noreturn)) die(const char *what)
{
	fprintf(stderr, "traffic: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void watch(int fd, void *ptr, uint32_t events, int op)
{
	struct epoll_event ev = {.events = events, .data.ptr = ptr};

	if (epoll_ctl(epoll_fd, op, fd, &ev))
		die("epoll_ctl");
}

static int open_socket(int family, int type)
{
	int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;

	if (fd < 0)
		die("socket");
	/* two of UDP could be given the same port, and one of them the other's answers */
	if (type == SOCK_STREAM)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	return fd;
}

static void set_port(struct sockaddr_storage *sa, unsigned int port)
{
	((struct sockaddr_in *)sa)->sin_port = htons((uint16_t)port); /* the same place in sockaddr_in6 */
}

static socklen_t sa_len(const struct sockaddr_storage *sa)
{
	return sa->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

/* "10.0.0.1", "10.0.0.1:80", "fd00::1", "[fd00::1]:80" */
static void parse_addr(const char *text, struct sockaddr_storage *sa)
{
	char host[64];
	const char *port = strrchr(text, ':');
	size_t len = strlen(text);

	if (text[0] == '[') {
		const char *end = strchr(text, ']');

		len = end ? (size_t)(end - text) - 1 : 0;
		port = end && end[1] == ':' ? end + 1 : NULL;
		text++;
	} else if (port && strchr(text, ':') == port) {
		len = (size_t)(port - text);
	} else {
		port = NULL;
	}
	snprintf(host, sizeof(host), "%.*s", (int)len, text);
	memset(sa, 0, sizeof(*sa));
	if (inet_pton(AF_INET, host, &((struct sockaddr_in *)sa)->sin_addr) == 1) {
		sa->ss_family = AF_INET;
	} else if (inet_pton(AF_INET6, host, &((struct sockaddr_in6 *)sa)->sin6_addr) == 1) {
		sa->ss_family = AF_INET6;
	} else {
		fprintf(stderr, "traffic: '%s' is not an address\n", text);
		exit(2);
	}
	if (port)
		set_port(sa, (unsigned int)atoi(port + 1));
}

/* ---- the server ---- */

struct peer {
	int fd;
	enum { LISTENER, STREAM, DATAGRAM } kind;
};

static struct peer *new_peer(int fd, int kind)
{
	struct peer *p = malloc(sizeof(*p));

	if (!p)
		die("malloc");
	p->fd = fd;
	p->kind = kind;
	watch(fd, p, EPOLLIN, EPOLL_CTL_ADD);
	return p;
}

static void serve_stream(struct peer *p)
{
	char in[16384], out[64];
	ssize_t n = read(p->fd, in, sizeof(in));
	bool end = n <= 0;

	if (n < 0 && errno == EAGAIN)
		return;
	for (ssize_t i = 0; i < n; i++) {
		int len;

		if (in[i] != '\n')
			continue;
		len = snprintf(out, sizeof(out), "%s\n", opt.name);
		if (write(p->fd, out, (size_t)len) != len)
			end = true;
		if (i && in[i - 1] == '!')
			end = true;
	}
	if (end) {
		close(p->fd);
		free(p);
	}
}

/* Answers from the address that was asked, which is the VIP and not what routing would choose. A question of more than
 * one packet gets as long an answer. */
static void serve_datagram(struct peer *p)
{
	char data[65536], control[256];
	ssize_t asked, len;
	struct sockaddr_storage from;
	struct iovec iov = {.iov_base = data, .iov_len = sizeof(data)};
	struct msghdr msg = {.msg_name = &from,
			     .msg_namelen = sizeof(from),
			     .msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};

	asked = recvmsg(p->fd, &msg, 0);
	if (asked < 0)
		return;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c))
		if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO)
			((struct in6_pktinfo *)CMSG_DATA(c))->ipi6_ifindex = 0;
	len = snprintf(data, 64, "%s\n", opt.name);
	iov.iov_len = (size_t)(asked > 1500 ? asked : len);
	sendmsg(p->fd, &msg, 0);
}

static void serve_listen(unsigned int port)
{
	struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
	int tcp = open_socket(AF_INET6, SOCK_STREAM), udp = open_socket(AF_INET6, SOCK_DGRAM), one = 1;

	setsockopt(udp, IPPROTO_IPV6, IPV6_RECVPKTINFO, &one, sizeof(one));
	if (bind(tcp, (struct sockaddr *)&any, sizeof(any)) || listen(tcp, 4096) ||
	    bind(udp, (struct sockaddr *)&any, sizeof(any)))
		die("bind");
	new_peer(tcp, LISTENER);
	new_peer(udp, DATAGRAM);
}

static int serve(void)
{
	struct epoll_event ev[64];
	int n, fd;

	for (unsigned int i = 0; i < opt.nr_ports; i++)
		serve_listen(opt.ports[i]);
	puts("ready");
	fflush(stdout);
	while ((n = epoll_wait(epoll_fd, ev, 64, -1)) >= 0 || errno == EINTR) {
		for (int i = 0; i < n; i++) {
			struct peer *p = ev[i].data.ptr;

			if (p->kind == STREAM)
				serve_stream(p);
			else if (p->kind == DATAGRAM)
				serve_datagram(p);
			else
				while ((fd = accept4(p->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
					new_peer(fd, STREAM);
		}
	}
	die("epoll_wait");
}

/* ---- the clients ---- */

struct conn {
	int fd; /* -1: none */
	enum { CONNECTING, ASKED, ANSWERED, IDLE, DONE } state;
	enum outcome outcome;
	int server; /* who answered first; -1: nobody yet */
	uint64_t begun_ns, asked_ns, ended_ns;
	size_t len;
	char buf[768];
};

static struct conn *conns;
static char names[MAX_NAMES][32];
static unsigned int nr_names, in_flight;
static uint64_t answers_by[MAX_NAMES], answers, outcomes[NR_OUTCOMES];
static uint64_t last_failure_ns, last_answer_ns[MAX_NAMES], failures_since_mark, answers_since_mark, max_gap_ns;
static bool one_shot; /* connections end after one answer */

/* load: its failures, as they are listed */
static struct {
	enum outcome outcome;
	uint64_t begun_ns, ended_ns;
} failures[MAX_FAILURES];
static unsigned int nr_failures;

static int name_idx(const char *name, size_t len)
{
	for (unsigned int i = 0; i < nr_names; i++)
		if (strlen(names[i]) == len && !memcmp(names[i], name, len))
			return (int)i;
	if (nr_names == MAX_NAMES || len >= sizeof(names[0]))
		return -1;
	memcpy(names[nr_names], name, len);
	return (int)nr_names++;
}

static void finish(struct conn *c, enum outcome o)
{
	if (c->state != IDLE)
		in_flight--;
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	c->state = DONE;
	c->outcome = o;
	c->ended_ns = now_ns();
	outcomes[o]++;
	if (o != ALIVE) {
		failures[nr_failures % MAX_FAILURES].outcome = o;
		failures[nr_failures % MAX_FAILURES].begun_ns = c->begun_ns;
		failures[nr_failures++ % MAX_FAILURES].ended_ns = c->ended_ns;
		last_failure_ns = c->asked_ns;
		if (mark_ns && c->asked_ns >= mark_ns)
			failures_since_mark++;
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

static void ask(struct conn *c)
{
	char req[1400];
	int n;

	if (opt.http)
		n = snprintf(req, sizeof(req), "GET %s HTTP/1.1\r\nHost: demo\r\n%s\r\n", opt.http,
			     one_shot ? "Connection: close\r\n" : "");
	else
		n = snprintf(req, sizeof(req), "%*s\n", opt.big ? 1390 : 1, one_shot && !opt.udp ? "!" : "?");
	c->len = 0;
	if (write(c->fd, req, (size_t)n) != n)
		finish(c, outcome_of(errno));
}

static void start(struct conn *c, unsigned int i)
{
	struct sockaddr_storage from = opt.from;

	c->fd = open_socket(opt.to.ss_family, opt.udp ? SOCK_DGRAM : SOCK_STREAM);
	c->state = CONNECTING;
	c->server = -1;
	c->outcome = ALIVE;
	c->len = 0;
	c->begun_ns = c->asked_ns = now_ns();
	in_flight++;
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
		outcomes[MOVED]++;
	c->server = idx;
	answers++;
	answers_by[idx]++;
	last_answer_ns[idx] = c->asked_ns;
	if (mark_ns && c->asked_ns >= mark_ns)
		answers_since_mark++;
	if (now - c->asked_ns > max_gap_ns)
		max_gap_ns = now - c->asked_ns;
	if (one_shot && opt.first_port && !opt.udp && !opt.http) {
		c->state = ANSWERED; /* who closes last may use the port again at once */
	} else if (one_shot) {
		finish(c, ALIVE);
	} else {
		c->state = IDLE;
		in_flight--;
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
		ask(c);
	} else if (c->state != DONE) {
		receive(c);
	}
}

/* What has happened within @wait_ms; then what has been silent for too long. */
static void turn(int wait_ms)
{
	struct epoll_event ev[256];
	static uint64_t swept_ns;
	int n = epoll_wait(epoll_fd, ev, 256, wait_ms);
	uint64_t now = now_ns();

	for (int i = 0; i < n; i++)
		handle(ev[i].data.ptr);
	if (now - swept_ns < 50 * MS)
		return;
	swept_ns = now;
	for (unsigned int i = 0; i < opt.count; i++)
		if (conns[i].state < IDLE && conns[i].fd >= 0 && now - conns[i].asked_ns > opt.timeout_ms * MS)
			finish(&conns[i], SILENT);
}

static void report(const char *what)
{
	unsigned int alive = 0;

	for (unsigned int i = 0; i < opt.count; i++)
		alive += conns[i].fd >= 0;
	printf("%s alive=%u answers=%llu", what, alive, (unsigned long long)answers);
	for (unsigned int o = one_shot ? ALIVE : REFUSED; o < NR_OUTCOMES; o++)
		printf(" %s=%llu", outcome_name[o], (unsigned long long)outcomes[o]);
	for (unsigned int i = 0; i < nr_names; i++)
		printf(" %s=%llu", names[i], (unsigned long long)answers_by[i]);
	printf(" slowest_ms=%llu", (unsigned long long)(max_gap_ns / MS));
	if (mark_ns) {
		printf(" since_mark_ok=%llu since_mark_failed=%llu since_mark_last_failure_ms=%lld",
		       (unsigned long long)answers_since_mark, (unsigned long long)failures_since_mark,
		       failures_since_mark ? (long long)((last_failure_ns - mark_ns) / MS) : -1);
		for (unsigned int i = 0; i < nr_names; i++)
			printf(" %s_last_ms=%lld", names[i],
			       ((long long)last_answer_ns[i] - (long long)mark_ns) / (long long)MS);
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
static int spread(void)
{
	unsigned int started = 0;

	one_shot = true;
	while (started < opt.count || in_flight) {
		while (started < opt.count && in_flight < opt.parallel) {
			start(&conns[started], started);
			started++;
		}
		turn(10);
	}
	report("spread");
	return 0;
}

/* All connections ask once, @parallel at a time; what was silent for too long is closed and counted. */
static void ask_all(void)
{
	for (unsigned int i = 0; i < opt.count; i++) {
		struct conn *c = &conns[i];

		while (in_flight >= opt.parallel)
			turn(10);
		if (c->fd < 0 || c->state != IDLE)
			continue;
		c->state = ASKED;
		c->asked_ns = now_ns();
		in_flight++;
		ask(c);
	}
	while (in_flight)
		turn(10);
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

		printf("%u %s %s %llu %llu\n", opt.first_port + i, c->server >= 0 ? names[c->server] : "-",
		       c->fd >= 0 ? "ok" : outcome_name[c->outcome], wall_ms(c->begun_ns),
		       c->fd >= 0 ? 0 : wall_ms(c->ended_ns));
	}
	puts(".");
	fflush(stdout);
}

static void print_failures(void)
{
	for (unsigned int i = nr_failures > MAX_FAILURES ? nr_failures - MAX_FAILURES : 0; i < nr_failures; i++)
		printf("0 - %s %llu %llu\n", outcome_name[failures[i % MAX_FAILURES].outcome],
		       wall_ms(failures[i % MAX_FAILURES].begun_ns), wall_ms(failures[i % MAX_FAILURES].ended_ns));
	puts(".");
	fflush(stdout);
}

/* hold: open @count connections and keep them. Commands: "ping" lets all of them ask again, "report" only tells the
 * counts, "list" who holds each, "clear" sets the counts to zero, "quit". With @every they ask all by themselves. */
static int hold(void)
{
	unsigned int started = 0;
	char line[256];

	while (started < opt.count || in_flight) {
		while (started < opt.count && in_flight < opt.parallel) {
			start(&conns[started], started);
			started++;
		}
		turn(10);
	}
	report("opened");
	for (;;) {
		uint64_t start_ns = now_ns();

		if (opt.every_ms)
			ask_all();
		else
			turn(0);
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
				memset(answers_by, 0, sizeof(answers_by));
				answers = max_gap_ns = 0;
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
static int load(void)
{
	uint64_t start_ns = now_ns(), started = 0;
	char line[256];

	one_shot = true;
	opt.count = opt.parallel;
	for (;;) {
		uint64_t due = opt.rate ? (now_ns() - start_ns) * opt.rate / 1000000000ULL : UINT64_MAX;

		for (unsigned int i = 0; i < opt.parallel && started < due; i++) {
			if (conns[i].fd >= 0)
				continue;
			start(&conns[i], 0);
			started++;
		}
		turn(1);
		if (!command(line, sizeof(line), 0))
			continue;
		if (!strcmp(line, "mark")) {
			mark_ns = now_ns();
			answers_since_mark = failures_since_mark = 0;
		}
		if (!strcmp(line, "quit"))
			break;
		if (!strcmp(line, "list"))
			print_failures();
		else
			report(line);
	}
	while (in_flight)
		turn(10);
	report("quit");
	return 0;
}

static int usage(void)
{
	fprintf(stderr,
		"usage: traffic serve --name NAME --port PORT...\n"
		"       traffic spread|hold --to ADDR:PORT [--count N] [--parallel N] [--from ADDR]\n"
		"               [--first-port N] [--udp] [--http PATH] [--timeout MS] [--every MS] [--big] [--tos N]\n"
		"       traffic load --to ADDR:PORT [--rate N] [--parallel N] [--from ADDR] [--http PATH] [--timeout "
		"MS]\n");
	return 2;
}

/* A number's place is in @number; the others are told apart by their letter. */
static const struct {
	const char *name;
	unsigned int *number;
	char letter;
} options[] = {
	{"count", &opt.count, 0},
	{"parallel", &opt.parallel, 0},
	{"first-port", &opt.first_port, 0},
	{"rate", &opt.rate, 0},
	{"timeout", &opt.timeout_ms, 0},
	{"every", &opt.every_ms, 0},
	{"tos", &opt.tos, 0},
	{"port", NULL, 'p'},
	{"to", NULL, 't'},
	{"from", NULL, 'f'},
	{"name", NULL, 'n'},
	{"http", NULL, 'h'},
	{"udp", NULL, 'u'},
	{"big", NULL, 'b'},
};
#define NR_OPTIONS (sizeof(options) / sizeof(options[0]))

static void take_option(size_t i, char *value)
{
	switch (options[i].letter) {
	case 0:
		*options[i].number = (unsigned int)strtoul(value, NULL, 0);
		break;
	case 'p':
		opt.ports[opt.nr_ports++ % MAX_PORTS] = (unsigned int)strtoul(value, NULL, 0);
		break;
	case 't':
		parse_addr(value, &opt.to);
		break;
	case 'f':
		parse_addr(value, &opt.from);
		break;
	case 'n':
		opt.name = value;
		break;
	case 'h':
		opt.http = value;
		break;
	case 'u':
		opt.udp = true;
		break;
	case 'b':
		opt.big = true;
		break;
	}
}

static int parse_options(int argc, char **argv)
{
	struct option list[NR_OPTIONS + 1] = {0};
	int i, c;

	for (size_t k = 0; k < NR_OPTIONS; k++)
		list[k] =
			(struct option){options[k].name, options[k].letter != 'u' && options[k].letter != 'b', NULL, 0};
	while ((c = getopt_long(argc, argv, "", list, &i)) != -1) {
		if (c)
			return -EINVAL;
		take_option((size_t)i, optarg);
	}
	return 0;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(void);
	} modes[] = {{"serve", serve}, {"spread", spread}, {"hold", hold}, {"load", load}};
	struct rlimit files = {1 << 17, 1 << 17};

	if (argc < 2 || parse_options(argc - 1, argv + 1))
		return usage();
	signal(SIGPIPE, SIG_IGN);
	setrlimit(RLIMIT_NOFILE, &files);
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	conns = calloc(opt.count > opt.parallel ? opt.count : opt.parallel, sizeof(*conns));
	if (!conns || epoll_fd < 0)
		die("start");
	for (unsigned int i = 0; i < opt.count || i < opt.parallel; i++) {
		conns[i].fd = -1;
		conns[i].state = DONE;
	}
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (strcmp(argv[1], modes[i].name))
			continue;
		if (modes[i].run == serve ? !opt.name || !opt.nr_ports : !opt.to.ss_family)
			return usage();
		return modes[i].run();
	}
	return usage();
}
