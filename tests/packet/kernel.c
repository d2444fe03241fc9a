// SPDX-License-Identifier: GPL-2.0-or-later
/* The kernel's world: the program as it is shipped, with maps of its own that are pinned nowhere, run by
 * BPF_PROG_TEST_RUN on the one CPU that this process is bound to. */
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "packet.h"
#include "program.h"
#include "lb.skel.h"

#define NR_CONNS 64
#define META 252 /* bytes of metadata in front of a packet: what is left of the headroom is too small for a header */

static struct lb_bpf *skel;

static void *map_memory(struct bpf_map *map)
{
	void *p = mmap(NULL, lb_program_map_bytes(map), PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);

	if (p == MAP_FAILED) {
		fprintf(stderr, "kernel: cannot map %s: %s\n", bpf_map__name(map), strerror(errno));
		return NULL;
	}
	return p;
}

/* Nothing is really sent: any interface will do for the port's value. */
static int kernel_port_add(struct world *w, uint32_t ifindex)
{
	uint32_t loopback = 1;

	return bpf_map_update_elem(bpf_map__fd(skel->maps.lb_ports), &ifindex, &loopback, BPF_ANY) ? -errno : 0;
}

static int kernel_vlan_add(struct world *w, uint32_t ifindex, const struct lb_vlan *vlan)
{
	return bpf_map_update_elem(bpf_map__fd(skel->maps.lb_vlans), &ifindex, vlan, BPF_ANY) ? -errno : 0;
}

static int kernel_trie_add(struct world *w, struct trie *t, const void *key, const void *value)
{
	return bpf_map_update_elem(t->fd, key, value, BPF_ANY) ? -errno : 0;
}

static int kernel_trie_clear(struct world *w, struct trie *t)
{
	uint8_t key[TRIE_LINE];

	while (!bpf_map_get_next_key(t->fd, NULL, key))
		if (bpf_map_delete_elem(t->fd, key))
			return -errno;
	return 0;
}

/* As lb_turns has it: a lock and the next turn. */
static int kernel_turn_reset(struct world *w, uint32_t service)
{
	const uint32_t turn[2] = {0};

	return bpf_map_update_elem(bpf_map__fd(skel->maps.lb_turns), &service, turn, BPF_ANY) ? -errno : 0;
}

static int kernel_cid_add(struct world *w, const struct lb_cid *cid, uint32_t backend)
{
	return bpf_map_update_elem(bpf_map__fd(skel->maps.lb_cids), cid, &backend, BPF_ANY) ? -errno : 0;
}

static int kernel_conn_clear(struct world *w)
{
	const int fds[] = {bpf_map__fd(skel->maps.lb_conns), bpf_map__fd(skel->maps.lb_snats)};
	struct lb_conn_key key; /* the larger one */

	for (int i = 0; i < 2; i++)
		while (!bpf_map_get_next_key(fds[i], NULL, &key))
			if (bpf_map_delete_elem(fds[i], &key))
				return -errno;
	return 0;
}

static int kernel_snat_add(struct world *w, const struct lb_snat *at, const uint8_t addr[16])
{
	return bpf_map_update_elem(bpf_map__fd(skel->maps.lb_snats), at, addr, BPF_ANY) ? -errno : 0;
}

static int kernel_run(struct world *w, const struct frame *in, bool no_headroom, struct frame *out, int *action)
{
	struct xdp_md ctx_in = {.data = META, .data_end = META + (uint32_t)in->len}, ctx_out;
	uint8_t data_in[META + FRAME_MAX] = {0}, data_out[META + FRAME_MAX];
	size_t meta = no_headroom ? META : 0;
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = data_in, .data_size_in = (uint32_t)(meta + in->len),
		    .data_out = data_out, .data_size_out = sizeof(data_out), .repeat = 1);

	if (in->len < 14)
		return -ENOTSUP;
	if (no_headroom) {
		opts.ctx_in = &ctx_in;
		opts.ctx_size_in = sizeof(ctx_in);
		opts.ctx_out = &ctx_out;
		opts.ctx_size_out = sizeof(ctx_out);
	}
	memcpy(data_in + meta, in->data, in->len);
	if (bpf_prog_test_run_opts(bpf_program__fd(skel->progs.lb_main), &opts))
		return no_headroom ? -ENOTSUP : -errno; /* metadata: since 5.14, and that much of it since 6.4 */
	*action = (int)opts.retval;
	out->len = opts.data_size_out - meta;
	memcpy(out->data, data_out + meta, out->len);
	return 0;
}

/* The verifier's summary; a buffer that it does not fit would be an error. */
static char verifier_log[1 << 16];

static int kernel_load(void)
{
	int rc;
	struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
	struct bpf_map *map;

	setrlimit(RLIMIT_MEMLOCK, &unlimited); /* kernels before 5.11 count maps against it */
	skel = lb_bpf__open();
	if (!skel)
		return -errno;
	bpf_object__for_each_map (map, skel->obj)
		bpf_map__set_pin_path(map, NULL);
	rc = lb_program_prepare(skel, 0, LB_HAS_ALL);
	if (rc >= 0)
		rc = bpf_map__set_max_entries(skel->maps.lb_conns, NR_CONNS);
	bpf_program__set_log_buf(skel->progs.lb_main, verifier_log, sizeof(verifier_log));
	bpf_program__set_log_level(skel->progs.lb_main, 4);
	if (rc >= 0)
		rc = lb_bpf__load(skel);
	if (rc)
		fprintf(stderr, "%s\nkernel: the program does not load: %s\n", verifier_log, strerror(-rc));
	return rc;
}

unsigned int world_kernel_verified(void)
{
	const char *said = strstr(verifier_log, "processed ");
	unsigned int insns = 0;

	return said && sscanf(said, "processed %u insns", &insns) == 1 ? insns : UINT_MAX;
}

int world_kernel_open(struct world *w)
{
	int cpu = sched_getcpu(), rc;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		return -errno;
	rc = kernel_load();
	if (rc)
		return rc;
	*w = (struct world){
		.name = "kernel",
		.slow = true,
		.cpu = (unsigned int)cpu,
		.conf = map_memory(skel->maps.data_lb_conf),
		.links = map_memory(skel->maps.data_lb_links),
		.hits = map_memory(skel->maps.data_lb_hits),
		.vips = map_memory(skel->maps.lb_vips),
		.services = map_memory(skel->maps.lb_services),
		.slots = map_memory(skel->maps.lb_slots),
		.backends = map_memory(skel->maps.lb_backends),
		.flows = map_memory(skel->maps.lb_flows),
		.frags = map_memory(skel->maps.lb_frags),
		.verdict_cpu = map_memory(skel->maps.lb_verdict_cpu),
		.service_cpu = map_memory(skel->maps.lb_service_cpu),
		.backend_cpu = map_memory(skel->maps.lb_backend_cpu),
		.wild = {.fd = bpf_map__fd(skel->maps.lb_wild)},
		.access = {.fd = bpf_map__fd(skel->maps.lb_access)},
		.rates = map_memory(skel->maps.lb_rates),
		.trie_add = kernel_trie_add,
		.trie_clear = kernel_trie_clear,
		.live = map_memory(skel->maps.lb_live),
		.nat_loads = map_memory(skel->maps.lb_nat_loads),
		.nat_epochs = map_memory(skel->maps.data_lb_nat_epochs),
		.conn_clear = kernel_conn_clear,
		.snat_add = kernel_snat_add,
		.turn_reset = kernel_turn_reset,
		.cid_add = kernel_cid_add,
		.port_add = kernel_port_add,
		.vlan_add = kernel_vlan_add,
		.run = kernel_run,
	};
	if (!world_is_whole(w))
		return -ENOMEM;
	return 0;
}

void world_kernel_close(void)
{
	lb_bpf__destroy(skel);
}
