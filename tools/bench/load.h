/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The client of the comparison with other load balancers: HTTP requests over TCP from one thread, either as many as
 * the machine can do or at a fixed rate, and what they cost the whole machine. Called by peers.c.
 */
#ifndef TOOLS_BENCH_LOAD_H
#define TOOLS_BENCH_LOAD_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOAD_MAX_ADDRS 8

struct load_target {
	const char *name;
	struct sockaddr_in to[LOAD_MAX_ADDRS]; /* taken in turns */
	size_t nr_to;
	struct sockaddr_in from; /* sin_family 0: whatever the route says */
};

struct load_plan {
	bool connect; /* a connection for each request, which the server closes; else connections are kept */
	double rate;  /* requests a second, whether or not earlier ones are answered; 0: as many as there can be */
	double seconds;
	unsigned int connections; /* at once, at most */
};

struct load_result {
	double per_second;
	double p50_us, p99_us, p999_us; /* from when the request was due to its whole answer; only at a rate */
	double cpu_us;			/* CPU time of the whole laboratory a request (cpu.h); only at a rate */
	uint64_t failed;
	uint32_t servers; /* bit N: server bN answered */
};

/* 0 or -errno. */
int load_run(const struct load_target *target, const struct load_plan *plan, struct load_result *result);

#endif
