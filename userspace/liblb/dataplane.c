// SPDX-License-Identifier: GPL-2.0-or-later
/* The dataplane opened, adopted or made new, and closed; its counters. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "attach.h"
#include "pause.h"
#include "program.h"
#include "lb.skel.h"

#define PAUSE_EVERY 1024 /* backends */

/* Opens the program's object, gives it the pinned maps or pins the new ones, and loads it. */
static int load(struct lb_dataplane *dp, bool *adopted, struct lb_err *err)
{
	int ret;

	lb_log_reset();
	dp->skel = lb_bpf__open();
	if (!dp->skel)
		return lb_log_load_error(err, errno ? -errno : -ENOMEM);
	ret = lb_program_prepare(dp->skel, lb_name_id(dp->pin_dir), LB_HAS_BASIC);
	if (ret < 0)
		return lb_err_set(err, ret, NULL, "cannot read the number of CPUs from /sys: %s", strerror(-ret));
	dp->ncpus = (unsigned int)ret;
	ret = lb_pins_adopt(dp, adopted, err);
	if (ret)
		return ret;
	ret = lb_bpf__load(dp->skel);
	if (ret)
		return lb_log_load_error(err, ret);
	return *adopted ? 0 : lb_pins_create(dp, err);
}

static int map_one(const struct bpf_map *map, void **out, struct lb_err *err)
{
	void *p = mmap(NULL, lb_program_map_bytes(map), PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);
	int ret;

	if (p == MAP_FAILED) {
		ret = -errno;
		return lb_err_set(err, ret, NULL, "cannot map %s into memory: %s", bpf_map__name(map), strerror(-ret));
	}
	*out = p;
	return 0;
}

/* Of the maps that are no memory of ours: each program loaded has others of the same maps. */
static void take_fds(struct lb_dataplane *dp)
{
	dp->ports_fd = bpf_map__fd(dp->skel->maps.lb_ports);
	dp->vlans_fd = bpf_map__fd(dp->skel->maps.lb_vlans);
	dp->access_fd = bpf_map__fd(dp->skel->maps.lb_access);
	dp->wild_fd = bpf_map__fd(dp->skel->maps.lb_wild);
	dp->cids_fd = bpf_map__fd(dp->skel->maps.lb_cids);
	dp->conns_fd = bpf_map__fd(dp->skel->maps.lb_conns);
	dp->snats_fd = bpf_map__fd(dp->skel->maps.lb_snats);
}

#define AREAS 14

struct area {
	struct bpf_map *map;
	void **at;
};

/* The maps that are memory of ours. The last has no map. */
static void list_areas(struct lb_dataplane *dp, struct area all[AREAS + 1])
{
	const struct lb_bpf *skel = dp->skel;

	*all++ = (struct area){skel->maps.data_lb_conf, (void **)&dp->conf};
	*all++ = (struct area){skel->maps.data_lb_links, (void **)&dp->links};
	*all++ = (struct area){skel->maps.data_lb_hits, (void **)&dp->hits};
	*all++ = (struct area){skel->maps.lb_vips, (void **)&dp->vips};
	*all++ = (struct area){skel->maps.lb_services, (void **)&dp->services};
	*all++ = (struct area){skel->maps.lb_slots, (void **)&dp->slots};
	*all++ = (struct area){skel->maps.lb_backends, (void **)&dp->backends};
	*all++ = (struct area){skel->maps.lb_flows, (void **)&dp->flows};
	*all++ = (struct area){skel->maps.lb_verdict_cpu, (void **)&dp->verdict_cpu};
	*all++ = (struct area){skel->maps.lb_service_cpu, (void **)&dp->service_cpu};
	*all++ = (struct area){skel->maps.lb_backend_cpu, (void **)&dp->backend_cpu};
	*all++ = (struct area){skel->maps.lb_live, (void **)&dp->live};
	*all++ = (struct area){skel->maps.lb_nat_loads, (void **)&dp->nat_loads};
	*all++ = (struct area){skel->maps.data_lb_nat_epochs, (void **)&dp->nat_epochs};
	*all = (struct area){0};
}

static int map_all(struct lb_dataplane *dp, struct lb_err *err)
{
	struct area all[AREAS + 1];
	int ret = 0;

	list_areas(dp, all);
	for (const struct area *a = all; !ret && a->map; a++)
		ret = map_one(a->map, a->at, err);
	if (!ret)
		take_fds(dp);
	return ret;
}

static void unmap_all(struct lb_dataplane *dp)
{
	struct area all[AREAS + 1];

	list_areas(dp, all);
	for (const struct area *a = all; a->map; a++) {
		if (*a->at)
			munmap(*a->at, lb_program_map_bytes(a->map));
	}
}

static int identify(struct lb_dataplane *dp, struct lb_err *err)
{
	struct bpf_prog_info info = {0};
	__u32 len = sizeof(info);

	if (bpf_obj_get_info_by_fd(bpf_program__fd(dp->skel->progs.lb_main), &info, &len))
		return lb_err_set(err, -errno, NULL, "cannot read the loaded program's tag: %s", strerror(errno));
	for (size_t i = 0; i < sizeof(info.tag); i++)
		snprintf(dp->tag + 2 * i, 3, "%02x", info.tag[i]);
	dp->prog_id = info.id;
	lb_pins_add_kin(dp, bpf_map__fd(dp->skel->maps.lb_vips));
	return 0;
}

/* What lb_conns has room for: two entries a connection, and none where there are none. */
static uint32_t conn_entries(uint32_t features, uint32_t max_conns)
{
	return features & LB_HAS_NAT ? 2 * max_conns : 1;
}

/* Sets of lines that each CPU is to have for the connections that there are, but for half-open ones, which nobody is
 * known to want; @had: as many as there are. They are not fewer before an eighth would do. */
static uint32_t line_sets(const struct lb_dataplane *dp, uint32_t features, uint32_t had)
{
	struct lb_nat_load all;
	uint32_t wanted;

	if (!(features & LB_HAS_NAT))
		return 0;
	lb_dataplane_nat_load(dp, 0, &all);
	wanted = lb_program_nat_sets(dp->ncpus, all.conns > all.half_open ? (uint64_t)(all.conns - all.half_open) : 0);
	return wanted > had || wanted <= had / 8 ? wanted : had;
}

/* What another program is to have. */
struct shape {
	uint32_t features;
	uint32_t entries; /* of lb_conns */
	uint32_t sets;	  /* of lb_nat_lines, each CPU's */
};

/* The program once more, on the maps of @maps but for what another size of lb_conns and lb_nat_lines needs. @from: the
 * lb_conns that its connections come from; -1: they are where they were. */
static int load_variant(const struct lb_dataplane *dp, const struct lb_bpf *maps, const struct shape *shape, int from,
			struct lb_bpf **out, struct lb_err *err)
{
	struct bpf_map *to, *one = NULL;
	struct lb_bpf *skel;
	int ret;

	lb_log_reset();
	skel = lb_bpf__open();
	if (!skel)
		return lb_log_load_error(err, errno ? -errno : -ENOMEM);
	ret = lb_program_prepare(skel, lb_name_id(dp->pin_dir), shape->features);
	if (ret >= 0)
		ret = lb_program_size_lines(skel, dp->ncpus, shape->sets);
	skel->rodata->lb_conns_move = from >= 0;
	bpf_object__for_each_map (to, skel->obj) {
		one = bpf_object__next_map(maps->obj, one);
		if (ret < 0 || !lb_program_shares(to))
			continue;
		ret = bpf_map__set_pin_path(to, NULL);
		if (to == skel->maps.lb_conns && shape->entries != bpf_map__max_entries(one))
			ret = ret ?: bpf_map__set_max_entries(to, shape->entries);
		else if (to != skel->maps.lb_nat_lines || bpf_map__max_entries(to) == bpf_map__max_entries(one))
			ret = ret ?: bpf_map__reuse_fd(to, bpf_map__fd(one));
	}
	if (ret >= 0 && from >= 0)
		ret = bpf_map__set_autocreate(skel->maps.lb_conns_from, true);
	if (ret >= 0 && from >= 0)
		ret = bpf_map__reuse_fd(skel->maps.lb_conns_from, from); /* which takes its name, too */
	lb_block_begin();
	if (ret >= 0)
		ret = lb_bpf__load(skel);
	lb_block_end();
	if (ret < 0) {
		lb_log_load_error(err, ret);
		lb_bpf__destroy(skel);
		return ret;
	}
	*out = skel;
	return 0;
}

/* Makes @skel the present program, and puts it in the place of the one that is attached. */
static int put(struct lb_dataplane *dp, struct lb_bpf *skel, struct lb_err *err)
{
	int ret;

	dp->skel = skel;
	ret = identify(dp, err);
	return ret ? ret : lb_attach_again(dp, err);
}

static int refuse_move(int ret, uint32_t max_conns, struct lb_err *err)
{
	if (ret == -E2BIG)
		return lb_err_set(err, -ENOSPC, "max_connections",
				  "%u are fewer than there are now; wait until some are over, or take more", max_conns);
	return lb_err_set(err, ret, "max_connections", "cannot move the connections that there are: %s",
			  strerror(-ret));
}

/* Connections move to the map of @after while a program is attached that knows both: see lb_conn_move. It is left
 * attached. */
static int move_conns(struct lb_dataplane *dp, struct lb_bpf *after, const struct shape *shape, struct lb_err *err)
{
	const int from = bpf_map__fd(dp->skel->maps.lb_conns), to = bpf_map__fd(after->maps.lb_conns);
	struct lb_bpf *before = dp->skel, *between;
	const uint32_t max_conns = shape->entries / 2;
	uint32_t nr;
	int ret = lb_conns_count(from, &nr);

	if (ret || nr > shape->entries)
		return refuse_move(ret ? ret : -E2BIG, max_conns, err);
	ret = load_variant(dp, after, shape, from, &between, err);
	if (ret)
		return ret;
	ret = put(dp, between, err);
	if (!ret) {
		ret = lb_conns_copy(from, to);
		/* what does not fit was opened a moment ago, and there is no room for it */
		ret = ret && ret != -E2BIG ? refuse_move(ret, max_conns, err) : 0;
	}
	dp->skel = before;
	lb_bpf__destroy(between);
	return ret;
}

static struct shape shape_of(const struct lb_dataplane *dp)
{
	return (struct shape){dp->skel->rodata->lb_features, bpf_map__max_entries(dp->skel->maps.lb_conns),
			      bpf_map__max_entries(dp->skel->maps.lb_nat_lines) / dp->ncpus};
}

/* A program of another @shape takes the place of the present one. */
static int change_shape(struct lb_dataplane *dp, const struct shape *shape, struct lb_err *err)
{
	struct lb_bpf *before = dp->skel, *after;
	const uint32_t entries = shape->entries, had = bpf_map__max_entries(before->maps.lb_conns);
	bool keeps = entries != had && entries > 1 && had > 1, same = shape->features == before->rodata->lb_features;
	struct lb_err second = {0};
	int ret;

	ret = load_variant(dp, before, shape, -1, &after, err);
	if (ret)
		return ret;
	if (keeps)
		ret = move_conns(dp, after, shape, err);
	if (!ret)
		ret = put(dp, after, err);
	if (!ret && bpf_map__max_entries(before->maps.lb_nat_lines) != bpf_map__max_entries(after->maps.lb_nat_lines))
		ret = lb_pins_replace(dp, LB_MAP_NAT_LINES, bpf_map__fd(after->maps.lb_nat_lines), err);
	if (!ret && entries != had)
		ret = lb_pins_replace(dp, LB_MAP_CONNS, bpf_map__fd(after->maps.lb_conns), err);
	if (ret) {
		dp->skel = before;
		identify(dp, NULL);
		/* one that translates was attached; the one that lbd begins with may never have been */
		if ((keeps || same) && before->rodata->lb_features & LB_HAS_NAT)
			lb_attach_again(dp, &second);
		lb_bpf__destroy(after);
		return ret;
	}
	if (entries != had && !keeps)
		memset(dp->nat_loads, 0, LB_MAX_SERVICES * sizeof(*dp->nat_loads));
	lb_bpf__destroy(before);
	take_fds(dp);
	if (keeps)
		lb_conns_restart_round(dp);
	else if (entries != had)
		lb_conns_forget_round(dp);
	return 0;
}

int lb_dataplane_change_program(struct lb_dataplane *dp, uint32_t features, uint32_t max_conns, struct lb_err *err)
{
	const struct shape is = shape_of(dp);
	struct shape shape = {features, conn_entries(features, max_conns), line_sets(dp, features, is.sets)};

	return features == is.features && shape.entries == is.entries ? 0 : change_shape(dp, &shape, err);
}

int lb_dataplane_fit_lines(struct lb_dataplane *dp, size_t *bytes, struct lb_err *err)
{
	const struct shape is = shape_of(dp);
	struct shape shape = is;
	int ret;

	shape.sets = line_sets(dp, is.features, is.sets);
	if (!(is.features & LB_HAS_NAT) || shape.sets == is.sets || shape.sets == dp->sets_refused)
		return 0;
	ret = change_shape(dp, &shape, err);
	dp->sets_refused = ret ? shape.sets : 0;
	*bytes = lb_program_map_bytes(dp->skel->maps.lb_nat_lines);
	return ret ? ret : 1;
}

static int open_into(struct lb_dataplane *dp, const char *pin_dir, bool *adopted, struct lb_err *err)
{
	/* Kernels before 5.11 charge maps to this limit; later ones ignore it. Where it cannot be raised loading says
	 * so. */
	const struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
	int ret;

	if (!*pin_dir || snprintf(dp->pin_dir, sizeof(dp->pin_dir), "%s", pin_dir) >= (int)sizeof(dp->pin_dir))
		return lb_err_set(err, -EINVAL, NULL, "the pin directory's name is empty or too long");
	snprintf(dp->version_dir, sizeof(dp->version_dir), "%s/v%d", dp->pin_dir, LB_ABI_VERSION);
	setrlimit(RLIMIT_MEMLOCK, &unlimited);
	ret = lb_pins_open(dp, err);
	if (!ret)
		ret = load(dp, adopted, err);
	if (!ret)
		ret = map_all(dp, err);
	if (!ret)
		ret = identify(dp, err);
	return ret ? ret : lb_tables_adopt(dp, err);
}

int lb_dataplane_open(const char *pin_dir, struct lb_dataplane **out, bool *adopted, struct lb_err *err)
{
	struct lb_dataplane *dp = calloc(1, sizeof(*dp));
	int ret = -ENOMEM;

	*adopted = false;
	lb_log_capture();
	if (dp) {
		dp->lock_fd = -1;
		dp->regions = lb_regions_new();
	}
	if (!dp || !dp->regions)
		lb_err_set(err, ret, NULL, "out of memory");
	else
		ret = open_into(dp, pin_dir, adopted, err);
	if (ret) {
		lb_dataplane_free(dp);
		return ret;
	}
	*out = dp;
	return 0;
}

void lb_dataplane_free(struct lb_dataplane *dp)
{
	if (!dp)
		return;
	if (dp->skel)
		unmap_all(dp);
	lb_bpf__destroy(dp->skel);
	if (dp->lock_fd >= 0)
		close(dp->lock_fd);
	lb_regions_free(dp->regions);
	lb_conns_forget_round(dp);
	free(dp);
}

int lb_dataplane_destroy(struct lb_dataplane *dp, struct lb_err *err)
{
	int ret = lb_attach_detach_all(dp, err);

	return ret ? ret : lb_pins_remove(dp, err);
}

static void add(struct lb_backend_cpu *sum, const struct lb_backend_cpu *row)
{
	sum->pkts += __atomic_load_n(&row->pkts, __ATOMIC_RELAXED);
	sum->bytes += __atomic_load_n(&row->bytes, __ATOMIC_RELAXED);
	sum->conns += __atomic_load_n(&row->conns, __ATOMIC_RELAXED);
	sum->closes += __atomic_load_n(&row->closes, __ATOMIC_RELAXED);
}

void lb_dataplane_backend(const struct lb_dataplane *dp, uint16_t idx, struct lb_backend_cpu *out)
{
	*out = (struct lb_backend_cpu){0};
	for (unsigned int row = 0; row <= dp->ncpus; row++)
		add(out, &dp->backend_cpu[(size_t)row * LB_MAX_BACKENDS + idx]);
}

void lb_dataplane_service(const struct lb_dataplane *dp, uint16_t idx, struct lb_service_cpu *out)
{
	*out = (struct lb_service_cpu){0};
	for (unsigned int row = 0; row <= dp->ncpus; row++) {
		const struct lb_service_cpu *s = &dp->service_cpu[(size_t)row * LB_MAX_SERVICES + idx];

		add(&out->total, &s->total);
		out->flow_misses += __atomic_load_n(&s->flow_misses, __ATOMIC_RELAXED);
		out->learn_refused += __atomic_load_n(&s->learn_refused, __ATOMIC_RELAXED);
	}
}

uint64_t lb_dataplane_hits(const struct lb_dataplane *dp)
{
	uint64_t sum = 0;

	for (size_t row = 0; row < LB_HITS; row++)
		sum += __atomic_load_n(&dp->hits->at[row].nr, __ATOMIC_RELAXED);
	return sum;
}

uint64_t lb_dataplane_verdict(const struct lb_dataplane *dp, enum lb_verdict v)
{
	uint64_t sum = 0;

	for (unsigned int row = 0; row <= dp->ncpus; row++)
		sum += __atomic_load_n(&dp->verdict_cpu[row].pkts[v], __ATOMIC_RELAXED);
	for (uint16_t idx = 1; v == LB_V_FORWARDED && idx < LB_MAX_BACKENDS; idx++) {
		struct lb_backend_cpu b;

		if (!(idx % PAUSE_EVERY))
			lb_pause();
		if (!dp->backends[idx].service)
			continue;
		lb_dataplane_backend(dp, idx, &b);
		sum += b.pkts;
	}
	return sum;
}

const struct lb_backend *lb_dataplane_backends(const struct lb_dataplane *dp)
{
	return dp->backends;
}

struct lb_flow_set *lb_dataplane_flows(const struct lb_dataplane *dp)
{
	return dp->flows;
}

int64_t *lb_dataplane_live(const struct lb_dataplane *dp)
{
	return dp->live;
}

const char *lb_dataplane_tag(const struct lb_dataplane *dp)
{
	return dp->tag;
}

/* The sysctl, or false: another process may still have asked for statistics by BPF_ENABLE_STATS. */
static bool stats_enabled(void)
{
	char c = '0';
	int fd = open("/proc/sys/kernel/bpf_stats_enabled", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return false;
	if (read(fd, &c, 1) != 1)
		c = '0';
	close(fd);
	return c == '1';
}

int lb_dataplane_run_stats(const struct lb_dataplane *dp, uint64_t *ns, uint64_t *runs)
{
	uint32_t ids[LB_DATAPLANE_IFACES];
	size_t nr;

	*ns = *runs = 0;
	if (!stats_enabled())
		return -ENODATA;
	nr = lb_attach_entries(dp, ids);
	for (size_t i = 0; i < nr; i++) {
		struct bpf_prog_info info = {0};
		__u32 len = sizeof(info);
		int fd = bpf_prog_get_fd_by_id(ids[i]);

		if (fd < 0)
			continue;
		if (!bpf_obj_get_info_by_fd(fd, &info, &len)) {
			*ns += info.run_time_ns;
			*runs += info.run_cnt;
		}
		close(fd);
	}
	return 0;
}
