// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Nanoseconds per packet of the loaded program, by BPF_PROG_TEST_RUN under the driver of bpf/bench.bpf.c. Rounds of all
 * cases are interleaved, so that a machine that slows down slows all of them; the median of the rounds counts. What is
 * reported is net of the driver and, where the packet is encapsulated, of one head adjustment.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "env.h"
#include "lb/dp/conn.h"

#define ROUNDS 41
#define WARM_ROUNDS 1
#define PACKETS 50000 /* a case and round: less than the scheduler's patience */

enum target { TARGET_LB, TARGET_RICH, TARGET_NAT, TARGET_MANY, TARGET_NOTHING, TARGET_ADJUST, TARGET_FLOOR };

struct bench_case {
	const char *name;
	enum target target;
	unsigned int flows; /* a power of two */
	struct bench_setup setup;
};

#define PLAIN .proto = IPPROTO_TCP, .oif = LOOPBACK
#define IPIP PLAIN, .forward = LB_FORWARD_IPIP
#define MOVING IPIP, .phase = LB_PHASE_MOVING

/* The first rows are what the others are measured against. */
enum { CASE_DRIVER, CASE_ADJUST, CASE_FLOOR, CASE_FIRST };

static const struct bench_case cases[] = {
	[CASE_DRIVER] = {"driver", TARGET_NOTHING, 1, {PLAIN}},
	[CASE_ADJUST] = {"adjust", TARGET_ADJUST, 1, {PLAIN}},
	[CASE_FLOOR] = {"floor", TARGET_FLOOR, 1, {PLAIN}},
	{"ipip4-tcp-established", TARGET_LB, 1, {IPIP}},
	{"ipip4-flows-4096", TARGET_LB, 1 << 12, {IPIP}},
	{"ipip4-flows-65536", TARGET_LB, 1 << 16, {IPIP}},
	{"ipip4-flows-1048576", TARGET_LB, 1 << 20, {IPIP}},
	{"ipip4-flows-8388608", TARGET_LB, 1 << 23, {IPIP}},
	{"ipip6-tcp-established", TARGET_LB, 1, {IPIP, .v6 = true}},
	{"ipip6-flows-1048576", TARGET_LB, 1 << 20, {IPIP, .v6 = true}},
	{"l2-tcp-established", TARGET_LB, 1, {PLAIN, .forward = LB_FORWARD_L2}},
	{"gue4-tcp-established", TARGET_RICH, 1, {PLAIN, .forward = LB_FORWARD_GUE}},
	{"gue6-tcp-established", TARGET_RICH, 1, {PLAIN, .forward = LB_FORWARD_GUE, .v6 = true}},
	{"nat4-tcp-established", TARGET_NAT, 1, {PLAIN, .forward = LB_FORWARD_NAT}},
	{"nat4-flows-4096", TARGET_NAT, 1 << 12, {PLAIN, .forward = LB_FORWARD_NAT}},
	{"nat4-flows-65536", TARGET_NAT, 1 << 16, {PLAIN, .forward = LB_FORWARD_NAT}},
	{"nat4-flows-1048576", TARGET_MANY, 1 << 20, {PLAIN, .forward = LB_FORWARD_NAT}},
	{"fullnat4-tcp-established", TARGET_NAT, 1, {PLAIN, .forward = LB_FORWARD_FULLNAT}},
	{"nat6-tcp-established", TARGET_NAT, 1, {PLAIN, .forward = LB_FORWARD_NAT, .v6 = true}},
	{"fullnat6-tcp-established", TARGET_NAT, 1, {PLAIN, .forward = LB_FORWARD_FULLNAT, .v6 = true}},
	{"nat46-tcp-established", TARGET_NAT, 1, {PLAIN, .forward = LB_FORWARD_FULLNAT, .crosses = true}},
	{"ipip4-tcp-nat", TARGET_NAT, 1, {IPIP}},
	{"ipip4-tcp-rich", TARGET_RICH, 1, {IPIP}},
	{"ipip4-udp-established", TARGET_LB, 1, {.proto = IPPROTO_UDP, .oif = LOOPBACK, .forward = LB_FORWARD_IPIP}},
	{"new-flow", TARGET_LB, 1 << 20, {IPIP, .syn = true}},
	{"new-flow-entry", TARGET_LB, 1 << 23, {MOVING, .syn = true}},
	{"ipip4-moving-4096", TARGET_LB, 1 << 12, {MOVING}},
	{"ipip4-moving-65536", TARGET_LB, 1 << 16, {MOVING}},
	{"ipip4-moving-1048576", TARGET_LB, 1 << 20, {MOVING}},
	{"flood-syn", TARGET_LB, 1 << 30, {IPIP, .syn = true}},
	{"flood-ack", TARGET_LB, 1 << 30, {IPIP}},
	{"icmp-error", TARGET_LB, 1, {IPIP, .error = true}},
	{"pass", TARGET_LB, 1, {PLAIN, .pass = true}},
	{"services-1", TARGET_LB, 1 << 16, {IPIP, .services = 1, .busy = 1}},
	{"services-100", TARGET_LB, 1 << 16, {IPIP, .services = 100, .busy = 1}},
	{"services-10000", TARGET_LB, 1 << 16, {IPIP, .services = 10000, .busy = 1}},
	{"services-100-busy", TARGET_LB, 1 << 16, {IPIP, .services = 100}},
	{"services-10000-busy", TARGET_LB, 1 << 16, {IPIP, .services = 10000}},
	{"backends-1000", TARGET_LB, 1 << 16, {IPIP, .backends = 1000}},
	{"backends-10000", TARGET_LB, 1 << 16, {IPIP, .backends = 10000}},
};
#define NR_CASES (sizeof(cases) / sizeof(cases[0]))

/* What came out, by case. */
static struct {
	double ns[ROUNDS];
	bool valid;
	bool opened; /* its connections are there */
} results[NR_CASES];
static struct {
	uint64_t conns, bytes; /* that were opened in all, and what lb_conns has grown by */
} translated;

/* A run of @packets; nanoseconds each, or a negative errno. */
static double run_packets(struct bench_env *e, const uint8_t *frame, unsigned int packets, __u32 *retval)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = LB_BENCH_FRAME_BYTES,
		    .repeat = (int)packets);
	struct lb_bench *b = &e->driver->bss->bench;
	int err;

	b->packets = b->left = packets;
	err = bpf_prog_test_run_opts(bpf_program__fd(e->driver->progs.bench_driver), &opts);
	*retval = opts.retval;
	return err ? err : (double)(b->end_ns - b->start_ns) / (packets - 1);
}

/* A packet of each of the flows, one after the other: those who are translated have to be open, and none forgotten. */
static void run_each(struct bench_env *e, const struct bench_case *c, const struct bench_setup *s)
{
	struct lb_bench *b = &e->driver->bss->bench;
	uint8_t frame[LB_BENCH_FRAME_BYTES];
	__u32 retval;

	bench_env_template(s, frame);
	memcpy(b->template, frame, sizeof(b->template));
	b->in_order = 1;
	run_packets(e, frame, c->flows, &retval);
	b->in_order = 0;
}

#define BATCH 4096

/* Notes in the entries of the backends' way what their SYN+ACKs would: without them connections are half-open. */
static void answer_each(const struct bpf_map *conns)
{
	static struct lb_conn_key keys[BATCH];
	static struct lb_conn values[BATCH];
	const __u32 now = lb_conn_now((uint64_t)(bench_now_s() * 1e9));
	__u32 at = 0, nr;
	bool begun = false;
	int ret = 0;

	while (!ret) {
		nr = BATCH;
		ret = bpf_map_lookup_batch(bpf_map__fd(conns), begun ? &at : NULL, &at, keys, values, &nr, NULL);
		if (ret && errno != ENOENT)
			return;
		begun = true;
		for (__u32 i = 0; i < nr; i++) {
			if (!(values[i].flags & LB_CONN_F_REPLY) || values[i].word)
				continue;
			values[i].word = lb_conn_step(0, LB_CONN_REPLY, LB_TCP_SYN | LB_TCP_ACK, now);
			bpf_map_update_elem(bpf_map__fd(conns), &keys[i], &values[i], BPF_EXIST);
		}
	}
}

/* Opens the connections of case @i, once; each has sent something then, lately. */
static void open_each(struct bench_env *e, size_t i, const struct bench_setup *s)
{
	const struct lb_bpf *skel = cases[i].target == TARGET_MANY ? e->many : e->nat;
	const struct bpf_map *conns = skel->maps.lb_conns;
	uint64_t before = bench_map_bytes(conns);
	struct bench_setup opening = *s;

	opening.syn = true;
	if (!results[i].opened) {
		run_each(e, &cases[i], &opening);
		translated.conns += cases[i].flows;
		translated.bytes += bench_map_bytes(conns) - before;
		answer_each(conns);
	}
	results[i].opened = true;
	run_each(e, &cases[i], s);
}

static bool is_lb(enum target target)
{
	return target == TARGET_LB || target == TARGET_RICH || target == TARGET_NAT || target == TARGET_MANY;
}

static int set_target(struct bench_env *e, enum target target)
{
	const struct bpf_program *progs[] = {[TARGET_LB] = e->lb->progs.lb_main,
					     [TARGET_RICH] = e->rich->progs.lb_main,
					     [TARGET_NAT] = e->nat->progs.lb_main,
					     [TARGET_MANY] = e->many->progs.lb_main,
					     [TARGET_NOTHING] = e->driver->progs.bench_nothing,
					     [TARGET_ADJUST] = e->driver->progs.bench_adjust,
					     [TARGET_FLOOR] = e->driver->progs.bench_floor};
	__u32 key = 0;
	__u32 fd = (__u32)bpf_program__fd(progs[target]);

	return bpf_map__update_elem(e->driver->maps.bench_target, &key, sizeof(key), &fd, sizeof(fd), BPF_ANY) ? -errno
													       : 0;
}

static int run_case(struct bench_env *e, size_t i, int round)
{
	const struct bench_case *c = &cases[i];
	enum lb_verdict want = c->setup.pass	? LB_V_PASS_NO_SERVICE
			       : c->setup.error ? LB_V_FORWARDED_ICMP
						: LB_V_FORWARDED;
	struct lb_bench *b = &e->driver->bss->bench;
	struct bench_setup s = c->setup;
	uint8_t frame[LB_BENCH_FRAME_BYTES];
	uint64_t before;
	__u32 retval;
	double ns;

	if (bench_translates(&s))
		s.net = (uint16_t)i;
	if (set_target(e, c->target) || (is_lb(c->target) && bench_env_set(e, &s)))
		return -EINVAL;
	b->v6 = c->setup.v6;
	b->flow_mask = c->flows - 1;
	b->services = c->setup.busy ?: c->setup.services ?: 1;
	b->first_service = c->setup.busy ? c->setup.services / 2 : 0;
	b->state = 1;
	if (bench_translates(&s))
		open_each(e, i, &s);
	bench_env_template(&s, frame);
	memcpy(b->template, frame, sizeof(b->template));
	b->state = 1;
	/* Established flows of moving slots have their entries already; new ones find the cache cold. */
	run_packets(e, frame, c->setup.phase && !c->setup.syn ? 20000 + 4 * c->flows : 20000, &retval);
	before = bench_env_verdict(e, want);
	ns = run_packets(e, frame, PACKETS, &retval);
	if (ns < 0)
		return (int)ns;
	results[i].valid = retval == (c->setup.pass ? XDP_PASS : XDP_TX) &&
			   (!is_lb(c->target) || bench_env_verdict(e, want) - before == PACKETS);
	if (round >= 0)
		results[i].ns[round] = ns;
	return 0;
}

static uint64_t map_bytes(const struct bpf_object *obj)
{
	uint64_t sum = 0;
	struct bpf_map *map;

	bpf_object__for_each_map (map, obj)
		sum += bench_map_bytes(map);
	return sum;
}

static void add_load_row(json_t *rows, const char *name, const struct lb_bpf *skel, double seconds)
{
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);

	bpf_obj_get_info_by_fd(bpf_program__fd(skel->progs.lb_main), &info, &len);
	json_array_append_new(rows, json_pack("{s:s s:f s:I s:I s:I}", "name", name, "seconds", seconds, "xlated_bytes",
					      (json_int_t)info.xlated_prog_len, "jited_bytes",
					      (json_int_t)info.jited_prog_len, "verified_insns",
					      (json_int_t)info.verified_insns));
}

static void add_fixed_rows(const struct bench_env *e, json_t *rows)
{
	add_load_row(rows, "load", e->lb, e->load_s);
	add_load_row(rows, "load-rich", e->rich, e->rich_load_s);
	add_load_row(rows, "load-nat", e->nat, e->nat_load_s);
	json_array_append_new(rows,
			      json_pack("{s:s s:I s:I s:I s:I}", "name", "memory", "start_bytes",
					(json_int_t)map_bytes(e->lb->obj), "per_flow_bytes",
					(json_int_t)(sizeof(struct lb_flow_set) / LB_FLOW_WAYS), "nat_lines_bytes",
					(json_int_t)bench_map_bytes(e->nat->maps.lb_nat_lines), "nat_lines_max_bytes",
					(json_int_t)bench_map_bytes(e->many->maps.lb_nat_lines)));
	if (translated.bytes)
		json_array_append_new(rows, json_pack("{s:s s:I s:I}", "name", "memory-nat", "nat_per_connection_bytes",
						      (json_int_t)(translated.bytes / translated.conns),
						      "nat_per_million_connections_bytes",
						      (json_int_t)(translated.bytes * 1000000 / translated.conns)));
}

/* What case @i took beyond case @less, round by round. */
static void net_of(size_t i, size_t less, double net[ROUNDS])
{
	for (int round = 0; round < ROUNDS; round++)
		net[round] = results[i].ns[round] - results[less].ns[round];
}

static json_t *case_row(size_t i, double floor_ns)
{
	const struct bench_case *c = &cases[i];
	json_t *row =
		json_pack("{s:s s:I s:b}", "name", c->name, "flows", (json_int_t)c->flows, "valid", results[i].valid);
	double net[ROUNDS], floors[ROUNDS];

	net_of(i,
	       c->setup.forward == LB_FORWARD_L2 || (bench_translates(&c->setup) && !c->setup.crosses) ||
			       !c->setup.forward
		       ? CASE_DRIVER
		       : CASE_ADJUST,
	       net);
	for (int round = 0; round < ROUNDS; round++)
		floors[round] = net[round] / floor_ns;
	bench_add_spread(row, "net_ns", net, ROUNDS);
	bench_add_spread(row, "floors", floors, ROUNDS);
	return row;
}

static int report(struct bench_env *e, json_t *out)
{
	json_t *rows = json_object_get(out, "cases");
	double net[ROUNDS], floor_ns;
	int bad = 0;

	net_of(CASE_FLOOR, CASE_ADJUST, net);
	floor_ns = bench_median(net, ROUNDS);
	json_object_set_new(out, "floor_ns", json_real(floor_ns));
	net_of(CASE_ADJUST, CASE_DRIVER, net);
	json_object_set_new(out, "adjust_ns", json_real(bench_median(net, ROUNDS)));
	for (size_t i = 0; i < NR_CASES; i++) {
		if (i >= CASE_FIRST && !bench_wanted(cases[i].name))
			continue;
		bad += !results[i].valid;
		if (i >= CASE_FIRST)
			json_array_append_new(rows, case_row(i, floor_ns));
	}
	json_object_set_new(out, "driver_ns", json_real(bench_median(results[CASE_DRIVER].ns, ROUNDS)));
	add_fixed_rows(e, rows);
	return bad;
}

int bench_packets(json_t *out)
{
	struct bench_env e = {};
	int ret = -1;

	if (bench_env_open(&e)) {
		fprintf(stderr, "bench: the programs do not load\n");
		goto out;
	}
	for (int round = -WARM_ROUNDS; round < ROUNDS; round++) {
		for (size_t i = 0; i < NR_CASES; i++) {
			if (i >= CASE_FIRST && !bench_wanted(cases[i].name))
				continue;
			if (run_case(&e, i, round)) {
				fprintf(stderr, "bench: %s does not run\n", cases[i].name);
				goto out;
			}
		}
	}
	ret = report(&e, out);
out:
	bench_env_close(&e);
	return ret;
}
