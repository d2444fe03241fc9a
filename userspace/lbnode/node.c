// SPDX-License-Identifier: GPL-2.0-or-later
/* The backend host's program: loaded, attached, told its rules, and found again through the interface it runs on. */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lbnode.h"
#include "node.skel.h"
#include "xdp.h"

#define PROGRAM_NAME "lb_node"
/* Behind lbd's program where a host is balancer and backend: what comes out of a tunnel must not be steered again. */
#define RUN_PRIORITY 60

enum { MAP_CONF, MAP_LOCAL, MAP_FROM, MAP_VIPS, MAP_COUNTERS, NR_MAPS };
static const char *const map_names[NR_MAPS] = {"nd_conf", "nd_local", "nd_from", "nd_vips", "nd_counters"};

static struct lb_xdp_prog identity(void)
{
	return (struct lb_xdp_prog){.name = PROGRAM_NAME, .run_priority = RUN_PRIORITY};
}

void lb_node_init(void)
{
	/* Kernels before 5.11 charge maps to this limit; later ones ignore it. */
	const struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};

	setrlimit(RLIMIT_MEMLOCK, &unlimited);
	lb_log_capture();
}

/* ---- maps ---- */

static void close_maps(int fds[NR_MAPS])
{
	for (int i = 0; i < NR_MAPS; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
		fds[i] = -1;
	}
}

/* The maps of the program @id by name; -ESTALE where they are not all there, or another version's. */
static int open_maps(uint32_t id, int fds[NR_MAPS])
{
	struct bpf_prog_info info = {0};
	struct lb_node_conf conf;
	__u32 len = sizeof(info), zero = 0, ids[16];
	int prog_fd = bpf_prog_get_fd_by_id(id), ret = 0, found = 0;

	for (int i = 0; i < NR_MAPS; i++)
		fds[i] = -1;
	if (prog_fd < 0)
		return -errno;
	info.nr_map_ids = sizeof(ids) / sizeof(ids[0]);
	info.map_ids = (uintptr_t)ids;
	if (bpf_obj_get_info_by_fd(prog_fd, &info, &len))
		ret = -errno;
	close(prog_fd);
	for (__u32 i = 0; !ret && i < info.nr_map_ids && i < sizeof(ids) / sizeof(ids[0]); i++) {
		struct bpf_map_info map = {0};
		__u32 map_len = sizeof(map);
		int fd = bpf_map_get_fd_by_id(ids[i]), at = 0;

		if (fd < 0)
			continue;
		if (!bpf_obj_get_info_by_fd(fd, &map, &map_len))
			while (at < NR_MAPS && strcmp(map.name, map_names[at]))
				at++;
		else
			at = NR_MAPS;
		if (at == NR_MAPS || fds[at] >= 0) {
			close(fd);
			continue;
		}
		fds[at] = fd;
		found++;
	}
	if (!ret &&
	    (found < NR_MAPS || bpf_map_lookup_elem(fds[MAP_CONF], &zero, &conf) || conf.abi != LB_NODE_ABI_VERSION))
		ret = -ESTALE;
	if (ret)
		close_maps(fds);
	return ret;
}

/* A list's item as the key of the map @which. */
static void make_key(int which, const struct lb_prefix *item, struct lb_node_prefix *key)
{
	memset(key, 0, sizeof(*key));
	if (which == MAP_FROM) {
		key->plen = item->plen;
		memcpy(key->addr, item->addr, sizeof(key->addr));
	} else {
		memcpy(key, item->addr, sizeof(item->addr));
	}
}

static void read_key(int which, const struct lb_node_prefix *key, struct lb_prefix *item)
{
	item->plen = which == MAP_FROM ? (uint8_t)key->plen : 128;
	memcpy(item->addr, which == MAP_FROM ? (const void *)key->addr : (const void *)key, sizeof(item->addr));
}

static int read_list(int fd, int which, struct lb_node_list *out)
{
	struct lb_node_prefix key;
	struct lb_prefix item;
	void *prev = NULL;
	int ret;

	while (!(ret = bpf_map_get_next_key(fd, prev, &key))) {
		read_key(which, &key, &item);
		ret = lb_node_list_add(out, &item);
		if (ret)
			return ret;
		prev = &key;
	}
	return ret == -ENOENT ? 0 : ret;
}

static int add_list(int fd, int which, const struct lb_node_list *list, struct lb_err *err)
{
	const __u32 value = 1;

	for (size_t i = 0; i < list->nr; i++) {
		struct lb_node_prefix key;
		int ret;

		make_key(which, &list->items[i], &key);
		ret = bpf_map_update_elem(fd, &key, &value, BPF_ANY);
		if (ret == -E2BIG || ret == -ENOSPC)
			return lb_err_set(err, ret, NULL, "%zu entries are too many for %s; give fewer", list->nr,
					  map_names[which]);
		if (ret)
			return lb_err_set(err, ret, NULL, "cannot write the map %s: %s", map_names[which],
					  strerror(-ret));
	}
	return 0;
}

static int drop_others(int fd, int which, const struct lb_node_list *keep, struct lb_err *err)
{
	struct lb_node_list found = {0};
	int ret = read_list(fd, which, &found);

	for (size_t i = 0; !ret && i < found.nr; i++) {
		struct lb_node_prefix key;

		if (lb_node_list_has(keep, &found.items[i]))
			continue;
		make_key(which, &found.items[i], &key);
		ret = bpf_map_delete_elem(fd, &key);
	}
	lb_node_list_fini(&found);
	return ret ? lb_err_set(err, ret, NULL, "cannot change the map %s: %s", map_names[which], strerror(-ret)) : 0;
}

/* First what is allowed more, then the switches, then what is allowed no longer. */
static int write_rules(int fds[NR_MAPS], const struct lb_node_rules *rules, struct lb_err *err)
{
	const struct lb_node_list *lists[NR_MAPS] = {
		[MAP_LOCAL] = &rules->local, [MAP_FROM] = &rules->from, [MAP_VIPS] = &rules->vips};
	struct lb_node_conf conf = {
		.abi = LB_NODE_ABI_VERSION,
		.flags = (rules->from.nr ? LB_NODE_F_FROM : 0) | (rules->vips.nr ? LB_NODE_F_VIPS : 0),
	};
	__u32 zero = 0;
	int ret = 0;

	for (int i = 0; i < LB_NODE_MAX_GUE; i++)
		conf.gue_port[i] = htons(rules->gue_port[i]);
	for (int i = MAP_LOCAL; !ret && i <= MAP_VIPS; i++)
		ret = add_list(fds[i], i, lists[i], err);
	if (ret)
		return ret;
	ret = bpf_map_update_elem(fds[MAP_CONF], &zero, &conf, BPF_ANY);
	if (ret)
		return lb_err_set(err, ret, NULL, "cannot write the map nd_conf: %s", strerror(-ret));
	for (int i = MAP_LOCAL; !ret && i <= MAP_VIPS; i++)
		ret = drop_others(fds[i], i, lists[i], err);
	return ret;
}

static int read_counters(int fd, uint64_t pkts[LB_NODE_RESULT_COUNT])
{
	int ncpus = libbpf_num_possible_cpus(), ret = 0;
	uint64_t *rows;

	if (ncpus < 0)
		return ncpus;
	rows = calloc((size_t)ncpus, sizeof(*rows));
	if (!rows)
		return -ENOMEM;
	for (__u32 i = 0; !ret && i < LB_NODE_RESULT_COUNT; i++) {
		ret = bpf_map_lookup_elem(fd, &i, rows);
		pkts[i] = 0;
		for (int cpu = 0; cpu < ncpus; cpu++)
			pkts[i] += rows[cpu];
	}
	free(rows);
	return ret;
}

/* ---- the program ---- */

/* Loads the program on the maps @fds, or on new ones where they are -1, which @fds has then (the skeleton's). */
static int load(struct node_bpf **out, int fds[NR_MAPS], struct lb_err *err)
{
	struct node_bpf *skel;
	int ret = 0;

	lb_log_reset();
	skel = node_bpf__open();
	if (!skel)
		return lb_log_load_error(err, errno ? -errno : -ENOMEM);
	for (int i = 0; !ret && fds[i] >= 0 && i < NR_MAPS; i++)
		ret = bpf_map__reuse_fd(bpf_object__find_map_by_name(skel->obj, map_names[i]), fds[i]);
	if (!ret)
		ret = node_bpf__load(skel);
	if (ret) {
		node_bpf__destroy(skel);
		return lb_log_load_error(err, ret);
	}
	*out = skel;
	return 0;
}

static int program_id(int fd, uint32_t *id)
{
	struct bpf_prog_info info = {0};
	__u32 len = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		return -errno;
	*id = info.id;
	return 0;
}

int lb_node_attach(const char *ifname, enum lb_attach_mode mode, const struct lb_node_rules *rules,
		   struct lb_attachment *out, struct lb_err *err)
{
	struct lb_xdp_prog prog = identity();
	struct node_bpf *skel = NULL;
	uint32_t before = lb_xdp_program(&prog, if_nametoindex(ifname));
	int old[NR_MAPS], fds[NR_MAPS], ret;
	bool adopted;

	for (int i = 0; i < NR_MAPS; i++)
		old[i] = -1;
	adopted = before && !open_maps(before, old);
	ret = load(&skel, old, err);
	if (ret)
		goto out;
	for (int i = 0; i < NR_MAPS; i++)
		fds[i] = bpf_object__find_map_fd_by_name(skel->obj, map_names[i]);
	/* Maps that nobody reads yet are filled first; those in use only when nothing can be refused any more. */
	if (!adopted)
		ret = write_rules(fds, rules, err);
	if (ret)
		goto out;
	prog.obj = skel->obj;
	prog.elf = node_bpf__elf_bytes(&prog.elf_bytes);
	prog.fd = bpf_program__fd(skel->progs.lb_node);
	ret = program_id(prog.fd, &prog.id);
	if (ret)
		lb_err_set(err, ret, NULL, "cannot read the loaded program's id: %s", strerror(-ret));
	else
		ret = lb_xdp_attach(&prog, ifname, mode, out, err);
	if (!ret && adopted)
		ret = write_rules(fds, rules, err);
out:
	node_bpf__destroy(skel);
	close_maps(old);
	return ret;
}

int lb_node_detach(const char *ifname, struct lb_err *err)
{
	struct lb_xdp_prog prog = identity();

	return lb_xdp_detach(&prog, ifname, err);
}

int lb_node_read(const char *ifname, struct lb_node_state *out, struct lb_err *err)
{
	struct lb_xdp_prog prog = identity();
	unsigned int ifindex = if_nametoindex(ifname);
	struct lb_node_list *lists[NR_MAPS] = {
		[MAP_LOCAL] = &out->rules.local, [MAP_FROM] = &out->rules.from, [MAP_VIPS] = &out->rules.vips};
	struct lb_node_conf conf = {0};
	int fds[NR_MAPS], ret;
	__u32 zero = 0;

	memset(out, 0, sizeof(*out));
	if (!ifindex)
		return lb_err_set(err, -ENODEV, NULL, "there is no interface %s; `ip link` lists those there are",
				  ifname);
	ret = lb_xdp_attached(&prog, ifname, &out->at);
	if (ret == -ENOENT)
		return lb_err_set(err, ret, NULL, "lbnode's program is not attached to %s", ifname);
	if (!ret)
		ret = open_maps(lb_xdp_program(&prog, ifindex), fds);
	if (ret == -ESTALE)
		return lb_err_set(err, ret, NULL,
				  "%s has another version of lbnode's program; replace it: lbnode attach %s", ifname,
				  ifname);
	if (ret)
		return lb_err_set(err, ret, NULL, "cannot see lbnode's program on %s: %s", ifname, strerror(-ret));
	ret = bpf_map_lookup_elem(fds[MAP_CONF], &zero, &conf);
	for (int i = 0; !ret && i < LB_NODE_MAX_GUE; i++)
		out->rules.gue_port[i] = ntohs(conf.gue_port[i]);
	for (int i = MAP_LOCAL; !ret && i <= MAP_VIPS; i++)
		ret = read_list(fds[i], i, lists[i]);
	if (!ret)
		ret = read_counters(fds[MAP_COUNTERS], out->pkts);
	close_maps(fds);
	if (!ret)
		return 0;
	lb_node_state_fini(out);
	return lb_err_set(err, ret, NULL, "cannot read the maps of lbnode's program on %s: %s", ifname, strerror(-ret));
}

void lb_node_state_fini(struct lb_node_state *s)
{
	lb_node_rules_fini(&s->rules);
}
