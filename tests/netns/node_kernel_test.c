// SPDX-License-Identifier: GPL-2.0-or-later
/* The backend host's program in a kernel, as TAP: every case of tests/unit/decap_cases.h through BPF_PROG_TEST_RUN. On
 * an interface it is node_test.c's. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/resource.h>

#include "../unit/decap_cases.h"
#include "node.skel.h"
#include "tap.h"

static void __attribute__((noreturn)) bail(const char *what)
{
	tap_need(false, "%s: %s", what, strerror(errno));
	exit(1);
}

static void put_addr(struct bpf_map *map, const char *text)
{
	struct lb_node_addr key = {.addr = {[10] = 0xff, [11] = 0xff}};
	__u32 value = 1;

	if (!inet_pton(AF_INET, text, key.addr + 12) && !inet_pton(AF_INET6, text, key.addr))
		bail(text);
	if (bpf_map_update_elem(bpf_map__fd(map), &key, &value, BPF_ANY))
		bail("a map does not take an address");
}

static void put_prefix(struct bpf_map *map, const char *text, __u32 plen)
{
	struct lb_node_prefix key = {.plen = plen, .addr = {[10] = 0xff, [11] = 0xff}};
	__u32 value = 1;

	if (!inet_pton(AF_INET, text, key.addr + 12) && !inet_pton(AF_INET6, text, key.addr))
		bail(text);
	if (bpf_map_update_elem(bpf_map__fd(map), &key, &value, BPF_ANY))
		bail("a map does not take a prefix");
}

static void set_up(struct node_bpf *skel, enum setup setup)
{
	struct lb_node_conf conf = {.abi = LB_NODE_ABI_VERSION,
				    .gue_port = GUE_PORTS,
				    .flags = setup == ONLY_FROM	  ? LB_NODE_F_FROM
					     : setup == ONLY_VIPS ? LB_NODE_F_VIPS
								  : 0};
	__u32 zero = 0;

	if (bpf_map_update_elem(bpf_map__fd(skel->maps.nd_conf), &zero, &conf, BPF_ANY))
		bail("nd_conf cannot be written");
}

static void read_results(struct node_bpf *skel, __u64 sums[LB_NODE_RESULT_COUNT])
{
	int ncpus = libbpf_num_possible_cpus();
	__u64 *rows = calloc((size_t)ncpus, sizeof(*rows));

	for (__u32 i = 0; i < LB_NODE_RESULT_COUNT; i++) {
		if (!rows || bpf_map_lookup_elem(bpf_map__fd(skel->maps.nd_counters), &i, rows))
			bail("nd_counters cannot be read");
		sums[i] = 0;
		for (int cpu = 0; cpu < ncpus; cpu++)
			sums[i] += rows[cpu];
	}
	free(rows);
}

/* The counter that a run moved, or -1 when not exactly one moved by one; the action must fit it. */
static int run(struct node_bpf *skel, const struct frame *in, enum setup setup, struct frame *out)
{
	__u64 before[LB_NODE_RESULT_COUNT], after[LB_NODE_RESULT_COUNT];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = in->bytes, .data_size_in = (__u32)in->len,
		    .data_out = out->bytes, .data_size_out = sizeof(out->bytes), .repeat = 1);
	int result = -1;

	set_up(skel, setup);
	read_results(skel, before);
	if (bpf_prog_test_run_opts(bpf_program__fd(skel->progs.lb_node), &opts))
		bail("BPF_PROG_TEST_RUN");
	read_results(skel, after);
	out->len = opts.data_size_out;
	for (int i = 0; i < LB_NODE_RESULT_COUNT; i++) {
		if (after[i] == before[i])
			continue;
		if (result >= 0 || after[i] != before[i] + 1)
			return -1;
		result = i;
	}
	return opts.retval == (result >= LB_NODE_DROP_MALFORMED ? XDP_DROP : XDP_PASS) ? result : -1;
}

static bool check_case(struct node_bpf *skel, const struct decap_case *c)
{
	struct frame in, out, want;
	int result;

	build_in(c, &in);
	build_out(c, &want);
	result = run(skel, &in, c->setup, &out);
	if (result == (int)c->result && out.len == want.len && !memcmp(out.bytes, want.bytes, want.len))
		return true;
	printf("# %s: result %d, want %d; %zu bytes, want %zu\n", c->what, result, c->result, out.len, want.len);
	return false;
}

static bool check_cut(struct node_bpf *skel, const struct decap_case *c)
{
	struct frame in, out;
	size_t whole;

	build_in(c, &in);
	whole = in.len;
	/* A test run takes no frame without an Ethernet header. */
	for (in.len = ETH_HLEN; in.len < whole; in.len++) {
		int result = run(skel, &in, ANY, &out);

		if (result != (int)cut_result(c, in.len) || out.len != in.len || memcmp(out.bytes, in.bytes, in.len)) {
			printf("# cut to %zu bytes: result %d\n", in.len, result);
			return false;
		}
	}
	return true;
}

/* Frames that nobody thought of: this kernel and the native code have to agree. */
static bool check_random(struct node_bpf *skel)
{
	struct frame in, out, want;
	unsigned int seed = 7;
	enum setup setup;

	for (int i = 0; i < 3000; i++) {
		int wanted, result;

		build_random(&seed, &in, &setup);
		wanted = (int)run_natively(&in, setup, &want);
		result = run(skel, &in, setup, &out);
		if (result != wanted || out.len != want.len || memcmp(out.bytes, want.bytes, want.len)) {
			printf("# frame %d: result %d, natively %d\n", i, result, wanted);
			return false;
		}
	}
	return true;
}

int main(void)
{
	const struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
	struct node_bpf *skel;
	bool ok = true;

	setrlimit(RLIMIT_MEMLOCK, &unlimited);
	skel = node_bpf__open_and_load();
	if (!skel)
		bail("the program does not load");
	put_addr(skel->maps.nd_local, OUTER_DST4);
	put_addr(skel->maps.nd_local, OUTER_DST6);
	put_addr(skel->maps.nd_vips, VIP4);
	put_addr(skel->maps.nd_vips, VIP6);
	put_prefix(skel->maps.nd_from, "10.1.0.0", 120);
	put_prefix(skel->maps.nd_from, "2001:db8:1::", 64);
	for (size_t i = 0; i < sizeof(decap_cases) / sizeof(decap_cases[0]); i++)
		tap_ok(check_case(skel, &decap_cases[i]), "test run: %s", decap_cases[i].what);
	for (int n = 0; n < 128; n++) {
		struct decap_case c = ecn_case(n & 3, n >> 2 & 3, n >> 4 & 1 ? V6 : V4, n >> 5 & 1 ? V6 : V4);

		c.gue = n >> 6;
		ok &= check_case(skel, &c);
	}
	tap_ok(ok, "test run: ECN as in RFC 6040, figure 4, for all four pairs of families");
	for (int i = 0; i < 8; i++) {
		struct decap_case c = plain_case(i);

		tap_ok(check_cut(skel, &c), "test run: %s%s, truncated at every length", c.gue ? "GUE, " : "", c.what);
	}
	tap_ok(check_random(skel), "test run: 3000 random frames as natively");
	node_bpf__destroy(skel);
	return tap_done();
}
