// SPDX-License-Identifier: GPL-2.0-or-later
/* Rows of maps, and helpers that an older kernel may lack: see program.h. */
#include <bpf/libbpf.h>
#include <string.h>
#include <unistd.h>

#include "lb/abi.h"
#include "lb.skel.h"
#include "program.h"

#define VALUE_SECTION ".data." /* LB_VALUE of bpf/maps.h */
#define FROM "lb_conns_from"

bool lb_program_shares(const struct bpf_map *map)
{
	if (!strcmp(bpf_map__name(map), FROM))
		return false;
	return !bpf_map__is_internal(map) || !strncmp(bpf_map__name(map), VALUE_SECTION, strlen(VALUE_SECTION));
}

const char *lb_program_map_name(const struct bpf_map *map)
{
	const char *name = bpf_map__name(map);

	return strncmp(name, VALUE_SECTION, strlen(VALUE_SECTION)) ? name : name + strlen(VALUE_SECTION);
}

size_t lb_program_map_bytes(const struct bpf_map *map)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	/* Elements of an array lie at multiples of eight bytes. */
	size_t bytes = (size_t)((bpf_map__value_size(map) + 7) & ~7U) * bpf_map__max_entries(map);

	return (bytes + page - 1) / page * page;
}

uint32_t lb_program_nat_sets(uint32_t cpus, uint64_t conns)
{
	const uint64_t wanted = 2 * conns > LB_NAT_SETS_MIN ? 2 * conns : LB_NAT_SETS_MIN;
	uint64_t nr = LB_NAT_SETS_CPU_MIN;

	while (nr * cpus < wanted && 2 * nr * cpus <= LB_NAT_SETS_MAX)
		nr *= 2;
	return (uint32_t)nr;
}

int lb_program_size_lines(struct lb_bpf *skel, uint32_t cpus, uint32_t sets)
{
	skel->rodata->lb_nat_set_mask = sets ? sets - 1 : 0;
	return bpf_map__set_max_entries(skel->maps.lb_nat_lines, sets ? cpus * sets : 1);
}

int lb_program_prepare(struct lb_bpf *skel, uint64_t instance, uint32_t features)
{
	int cpus = libbpf_num_possible_cpus(), ret;
	uint32_t rows = (uint32_t)cpus + 1; /* the last is userspace's own */

	if (cpus < 0)
		return cpus;
	ret = bpf_map__set_max_entries(skel->maps.lb_verdict_cpu, rows);
	if (!ret)
		ret = bpf_map__set_max_entries(skel->maps.lb_service_cpu, rows * LB_MAX_SERVICES);
	if (!ret)
		ret = bpf_map__set_max_entries(skel->maps.lb_backend_cpu, rows * LB_MAX_BACKENDS);
	if (!ret)
		ret = lb_program_size_lines(skel, (uint32_t)cpus,
					    features & LB_HAS_NAT ? lb_program_nat_sets((uint32_t)cpus, 0) : 0);
	/* only dead code has it; one that each program made anew would make it another program than before */
	if (!ret)
		ret = bpf_map__set_autocreate(skel->maps.lb_conns_from, false);
	skel->rodata->lb_identity.instance = instance;
	skel->rodata->lb_features = features;
	skel->rodata->lb_coarse_clock =
		libbpf_probe_bpf_helper(BPF_PROG_TYPE_XDP, BPF_FUNC_ktime_get_coarse_ns, NULL) == 1;
	return ret ? ret : cpus;
}
