/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The parts of the program traffic (main.c says what it does): the server, the connections of clients, and what the
 * clients do with them. */
#ifndef TRAFFIC_H
#define TRAFFIC_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define MS 1000000ULL
#define MAX_PORTS 16
#define MAX_NAMES 256
#define MAX_FAILURES 4096

/* ---- main.c ---- */
extern struct options {
	struct sockaddr_storage to, from;
	const char *name, *http;
	unsigned int count, parallel, first_port, rate, timeout_ms, every_ms, tos, ports[MAX_PORTS], nr_ports;
	bool udp, big;
	bool one_shot; /* connections end after one answer; a mode says so */
} opt;

/* ---- net.c ---- */
uint64_t now_ns(void);
void __attribute__((noreturn)) die(const char *what);
/* Events of @fd come with @ptr from the one epoll there is, net_epoll(). */
int net_epoll(void);
void watch(int fd, void *ptr, uint32_t events, int op);
int open_socket(int family, int type);
void set_port(struct sockaddr_storage *sa, unsigned int port);
socklen_t sa_len(const struct sockaddr_storage *sa);
/* "10.0.0.1", "10.0.0.1:80", "fd00::1", "[fd00::1]:80"; ends the program when it is none of them. */
void parse_addr(const char *text, struct sockaddr_storage *sa);

/* ---- serve.c ---- */
int serve(void);

/* ---- conns.c ---- */
enum outcome { ALIVE, REFUSED, RESET, CLOSED, SILENT, UNREACHABLE, GARBLED, MOVED, NR_OUTCOMES };

struct conn {
	int fd; /* -1: none */
	enum { CONNECTING, ASKED, ANSWERED, IDLE, DONE } state;
	enum outcome outcome;
	int server; /* who answered first, an index of tally.names; -1: nobody yet */
	uint64_t begun_ns, asked_ns, ended_ns;
	size_t len;
	char buf[768];
};

/* As many as conns_new was told, of which @opt.count are used. */
extern struct conn *conns;

/* What has come of all connections. */
extern struct tally {
	char names[MAX_NAMES][32];
	unsigned int nr_names, in_flight;
	uint64_t answers_by[MAX_NAMES], answers, outcomes[NR_OUTCOMES], slowest_ns;
	uint64_t mark_ns; /* when the operator did something; 0: not yet */
	uint64_t last_failure_ns, last_answer_ns[MAX_NAMES], failures_since_mark, answers_since_mark;
	/* the last failures, at their number's remainder */
	struct {
		enum outcome outcome;
		uint64_t begun_ns, ended_ns;
	} failures[MAX_FAILURES];
	unsigned int nr_failures;
} tally;

void conns_new(unsigned int nr);
/* Connection @c begins, and asks as soon as it is open; of source port @opt.first_port + @i. */
void conn_start(struct conn *c, unsigned int i);
/* An open one asks. */
void conn_ask(struct conn *c);
/* What has happened within @wait_ms; then what has been silent for too long. */
void conns_turn(int wait_ms);

/* ---- modes.c: what clients do; each is a program of its own ---- */
int spread(void);
int hold(void);
int load(void);

#endif
