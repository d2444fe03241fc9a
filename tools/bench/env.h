/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The loaded program with maps of its own, unpinned, and what the parts of the bench put into them. */
#ifndef TOOLS_BENCH_ENV_H
#define TOOLS_BENCH_ENV_H

#include <stdbool.h>
#include <stdint.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "lb/abi.h"
#include "lb/bench.h"
#include "lb/verdict.h"

#include "bench.skel.h"
#include "lb.skel.h"

struct bench_env {
	struct lb_bpf *lb;   /* the program that does no more than forward by table */
	struct lb_bpf *rich; /* the one that does everything, on the same maps */
	struct lb_bpf *nat;  /* the one that translates, and no more; for BENCH_CONNS connections */
	struct lb_bpf *many; /* the same for BENCH_MANY_CONNS; both have as many lines as lbd gives so many connections */
	struct bench_bpf *driver;
	struct lb_link *links;
	struct lb_vip_set *vips;
	struct lb_service *services;
	struct lb_backend *backends;
	struct lb_slot_line *slots;
	struct lb_flow_set *flows;
	struct lb_verdict_cpu *verdicts;
	struct lb_backend_cpu *backend_counts;
	struct lb_conf *conf;
	struct lb_nat_load *nat_loads;
	int nr_cpus;
	double load_s, rich_load_s, nat_load_s, many_load_s;
};

#define BENCH_CONNS (1U << 16 | 1U << 12) /* of all cases but the one with most */
#define BENCH_MANY_CONNS (1U << 20)
#define LOOPBACK 1 /* what a test run has for its ingress interface */

/* What steers a case's packets. */
struct bench_setup {
	bool v6, syn, pass;
	bool crosses; /* the backends are of the other family */
	bool error;   /* ICMP errors about the flow, of IPv4, instead of its packets */
	uint8_t proto;
	uint8_t forward;
	enum lb_phase phase;
	unsigned int services; /* 0: one */
	unsigned int busy;     /* as many of them get packets, from the middle on; 0: all */
	unsigned int backends; /* of each service, as far as there is room; 0: sixteen */
	uint32_t oif;
	uint16_t net; /* of the clients' networks; translated connections of one are there until the bench ends */
};

/* 0 or -errno. */
int bench_env_open(struct bench_env *e);
void bench_env_close(struct bench_env *e);

/* Fill the maps, whatever they held before. 0 or -errno. */
int bench_env_set(struct bench_env *e, const struct bench_setup *s);
void bench_env_template(const struct bench_setup *s, uint8_t frame[LB_BENCH_FRAME_BYTES]);
uint64_t bench_env_verdict(const struct bench_env *e, enum lb_verdict v);

/* nat or fullnat? Its packets need connections to be open. */
bool bench_translates(const struct bench_setup *s);

/* Bytes of the kernel's for @map, 0: it does not say. Of a hash map without preallocation, what its entries take. */
uint64_t bench_map_bytes(const struct bpf_map *map);

/* CLOCK_MONOTONIC in seconds. */
double bench_now_s(void);

#endif
