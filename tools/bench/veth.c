// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Packets per second through a NIC driver: live frames go into one end of a veth pair, the program on the other end
 * sends them back with XDP_TX, and the first end counts them. The load balancer is held against a bare reflector on the
 * same pair, in turns, in a network namespace of its own.
 */
#include <linux/if_link.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench.h"
#include "env.h"

#define GENERATOR_IF "bench0"
#define BALANCER_IF "bench1"
#define ROUNDS 7
#define PACKETS 1000000
#define BATCH 64 /* frames that one call makes at least */

struct veth_row {
	const char *name;
	unsigned int flows;
	double mpps[ROUNDS];  /* of the load balancer */
	double ratio[ROUNDS]; /* to the reflector, a moment before */
};

static uint64_t frames_back(const struct bench_env *e)
{
	uint64_t per_cpu[e->nr_cpus], sum = 0;
	__u32 zero = 0;

	if (bpf_map__lookup_elem(e->driver->maps.bench_back, &zero, sizeof(zero), per_cpu, sizeof(per_cpu), 0))
		return 0;
	for (int i = 0; i < e->nr_cpus; i++)
		sum += per_cpu[i];
	return sum;
}

static int attach(const char *ifname, const struct bpf_program *prog)
{
	return bpf_xdp_attach((int)if_nametoindex(ifname), bpf_program__fd(prog), XDP_FLAGS_DRV_MODE, NULL);
}

static int emit(struct bench_env *e, const struct bench_setup *s, unsigned int packets)
{
	uint8_t frame[LB_BENCH_FRAME_BYTES];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = sizeof(frame), .repeat = (int)packets,
		    .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = BATCH);

	bench_env_template(s, frame);
	memcpy(e->driver->bss->bench.template, frame, sizeof(e->driver->bss->bench.template));
	return bpf_prog_test_run_opts(bpf_program__fd(e->driver->progs.bench_emit), &opts);
}

/* Frames that came back of those that were sent since @before, once no more come: XDP_TX queues are drained within
 * one poll, so two equal readings in a row with a pause between them are the end. */
static uint64_t settle(const struct bench_env *e, uint64_t before, uint64_t sent)
{
	const struct timespec pause = {.tv_nsec = 2000000};
	uint64_t last, back = frames_back(e);

	do {
		last = back;
		nanosleep(&pause, NULL);
		back = frames_back(e);
	} while (back != last && back - before < sent);
	return back - before;
}

/* Millions of frames a second that come back, or a negative errno. */
static double rate(struct bench_env *e, const struct bench_setup *s, const struct bpf_program *on_peer)
{
	uint64_t before;
	double start, elapsed;
	int err = attach(BALANCER_IF, on_peer);

	if (err)
		return err;
	before = frames_back(e);
	start = bench_now_s();
	err = emit(e, s, PACKETS);
	elapsed = bench_now_s() - start;
	if (err)
		return err;
	return (double)settle(e, before, PACKETS) / elapsed / 1e6;
}

/* The share of frames lost when they are sent at @mpps, in bursts of a millisecond. */
static double loss_at(struct bench_env *e, const struct bench_setup *s, double mpps)
{
	unsigned int burst = (unsigned int)(mpps * 1000) / BATCH * BATCH, sent = 0;
	uint64_t before = frames_back(e);
	struct timespec due;

	if (!burst)
		burst = BATCH;
	clock_gettime(CLOCK_MONOTONIC, &due);
	while (sent < PACKETS && !emit(e, s, burst)) {
		sent += burst;
		due.tv_nsec += (long)(burst / mpps * 1000);
		due.tv_sec += due.tv_nsec / 1000000000;
		due.tv_nsec %= 1000000000;
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
	}
	return sent ? 1 - (double)settle(e, before, sent) / sent : 1;
}

static int measure(struct bench_env *e, struct bench_setup *s, struct veth_row *row)
{
	struct lb_bench *b = &e->driver->bss->bench;

	b->flow_mask = row->flows - 1;
	b->services = 1;
	b->state = 1;
	for (int i = 0; i < ROUNDS; i++) {
		double bare = rate(e, s, e->driver->progs.bench_reflect);

		row->mpps[i] = rate(e, s, e->lb->progs.lb_main);
		if (bare <= 0 || row->mpps[i] <= 0)
			return -1;
		row->ratio[i] = row->mpps[i] / bare;
	}
	return 0;
}

int bench_veth(json_t *out)
{
	struct veth_row rows[] = {{.name = "veth-1flow", .flows = 1}, {.name = "veth-1mflows", .flows = 1 << 20}};
	struct bench_setup s = {.proto = IPPROTO_TCP, .forward = LB_FORWARD_IPIP};
	struct bench_env e = {};
	int ret = -1;

	if (!bench_part_wanted("veth"))
		return 0;
	if (unshare(CLONE_NEWNET) ||
	    system("ip link add " GENERATOR_IF " type veth peer name " BALANCER_IF " && ip link set " GENERATOR_IF
		   " up && ip link set " BALANCER_IF " up") ||
	    bench_env_open(&e) || attach(GENERATOR_IF, e.driver->progs.bench_count)) {
		fprintf(stderr, "bench: no veth pair to measure with\n");
		goto out;
	}
	e.driver->bss->bench.oif = if_nametoindex(GENERATOR_IF);
	s.oif = if_nametoindex(BALANCER_IF);
	if (bench_env_set(&e, &s))
		goto out;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		double mpps;
		json_t *row;

		if (measure(&e, &s, &rows[i])) {
			fprintf(stderr, "bench: %s does not run\n", rows[i].name);
			goto out;
		}
		row = json_pack("{s:s s:I}", "name", rows[i].name, "flows", (json_int_t)rows[i].flows);
		bench_add_spread(row, "mpps", rows[i].mpps, ROUNDS);
		bench_add_spread(row, "ratio", rows[i].ratio, ROUNDS);
		mpps = json_real_value(json_object_get(row, "mpps"));
		json_object_set_new(row, "loss_50", json_real(loss_at(&e, &s, mpps * 0.5)));
		json_object_set_new(row, "loss_90", json_real(loss_at(&e, &s, mpps * 0.9)));
		json_array_append_new(json_object_get(out, "cases"), row);
	}
	ret = 0;
out:
	bench_env_close(&e);
	return ret;
}
