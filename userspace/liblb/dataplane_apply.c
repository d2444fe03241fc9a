// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Plans carried out. A packet may read any line at any moment: lines are written word by word in single stores, what
 * makes a line usable (a service's table, a backend's outgoing interface) last.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/membarrier.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "dataplane_priv.h"
#include "pause.h"
#include "vipset.h"

#define LINE_WORDS 8
#define CONF_WORDS (sizeof(struct lb_conf) / 8)

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

static void write_words(void *dst, const void *src, unsigned int first, unsigned int end)
{
	uint64_t word, *d = dst;

	for (unsigned int i = first; i < end; i++) {
		memcpy(&word, (const uint8_t *)src + i * sizeof(word), sizeof(word));
		__atomic_store_n(&d[i], word, __ATOMIC_RELAXED);
	}
}

/* ---- tables ---- */

static int write_vip(struct lb_dataplane *dp, const struct lb_vip *vip, uint16_t idx)
{
	const struct lb_vip_line line = lb_vipset_line(vip, idx, &dp->services[idx]);

	return lb_vipset_set(dp->vips, &line);
}

static int write_wild(void *ctx, const struct lb_vip_conf *vip, uint16_t idx)
{
	struct lb_dataplane *dp = ctx;

	return idx && idx < LB_MAX_SERVICES ? lb_tries_set_vip(dp, vip, idx) : 0;
}

/* A VIP's line repeats its service's table and flags. An lbd that was killed between the two has left it with what the
 * service had before, which is about to be used for something else. */
static int adopt_vips(struct lb_dataplane *dp)
{
	for (uint32_t i = 0; i < LB_VIP_SETS * LB_VIP_WAYS; i++) {
		const struct lb_vip_line *line = &dp->vips[i / LB_VIP_WAYS].way[i % LB_VIP_WAYS];
		const struct lb_vip vip = lb_vipset_vip(line);

		if (line->service && line->service < LB_MAX_SERVICES)
			write_vip(dp, &vip, line->service);
	}
	return lb_tries_each_vip(dp, write_wild, dp);
}

int lb_tables_adopt(struct lb_dataplane *dp, struct lb_err *err)
{
	int ret;

	for (uint32_t i = 1; i < LB_MAX_SERVICES; i++) {
		uint64_t table = dp->services[i].table;

		if (!table)
			continue;
		/* Not a region, or another service's: packets would read owners that are not theirs. */
		if (lb_regions_reserve(dp->regions, LB_TABLE_BASE(table), LB_TABLE_SHIFT(table)))
			__atomic_store_n(&dp->services[i].table, 0, __ATOMIC_RELEASE);
		else
			dp->tables[i] = table;
	}
	ret = adopt_vips(dp);
	return ret ? lb_err_set(err, ret, NULL, "cannot read the VIPs that are prefixes: %s", strerror(-ret)) : 0;
}

/* Returns when every packet that was on its way at the call is done: XDP programs run in RCU readers. */
static int grace_period(void)
{
	int ret;

	lb_block_begin();
	ret = syscall(__NR_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) ? -errno : 0;
	lb_block_end();
	return ret;
}

static int alloc_table(struct lb_dataplane *dp, unsigned int shift, uint32_t *base, struct lb_err *err)
{
	int ret = lb_regions_alloc(dp->regions, shift, now_ns(), base);

	if (ret == -ENOSPC && lb_regions_retired_slots(dp->regions) && !grace_period()) {
		lb_regions_flush(dp->regions);
		ret = lb_regions_alloc(dp->regions, shift, now_ns(), base);
	}
	if (!ret)
		return 0;
	if (lb_regions_retired_slots(dp->regions))
		return lb_err_set(err, -ENOSPC, NULL,
				  "no room for a table of %u slots until the tables replaced in the last second are "
				  "free; try again",
				  1U << shift);
	return lb_err_set(
		err, -ENOSPC, NULL,
		"no room for a table of %u slots (%u of %u are free); use fewer services, or weights closer to each "
		"other",
		1U << shift, lb_regions_free_slots(dp->regions), LB_SLOTS);
}

static int set_table(struct lb_dataplane *dp, const struct lb_op *op, struct lb_err *err)
{
	uint32_t base;
	int ret;

	if (op->idx >= LB_MAX_SERVICES || op->shift < LB_TABLE_SHIFT_MIN || op->shift > LB_TABLE_SHIFT_MAX)
		return lb_err_set(err, -EINVAL, NULL, "plan: no table of 2^%u slots for service %u", op->shift,
				  op->idx);
	ret = alloc_table(dp, op->shift, &base, err);
	if (ret)
		return ret;
	write_words(&dp->slots[base], op->slots, 0, (1U << op->shift) / 2);
	if (dp->pending[op->idx])
		lb_regions_release(dp->regions, LB_TABLE_BASE(dp->pending[op->idx]),
				   LB_TABLE_SHIFT(dp->pending[op->idx]));
	dp->pending[op->idx] = LB_TABLE(base, op->shift);
	return 0;
}

static void publish_table(struct lb_dataplane *dp, uint16_t idx, uint64_t table)
{
	uint64_t old = dp->tables[idx];

	__atomic_store_n(&dp->services[idx].table, table, __ATOMIC_RELEASE);
	dp->tables[idx] = table;
	if (old)
		lb_regions_retire(dp->regions, LB_TABLE_BASE(old), LB_TABLE_SHIFT(old), now_ns());
}

/* ---- counters ---- */

/* Its misses go to userspace's own row of service 0, which is never used: their sum over all services never goes
 * back. */
static void zero_service_counters(struct lb_dataplane *dp, uint16_t idx)
{
	struct lb_service_cpu sum, *kept = &dp->service_cpu[(size_t)dp->ncpus * LB_MAX_SERVICES];

	if (!idx)
		return;
	lb_dataplane_service(dp, idx, &sum);
	kept->flow_misses += sum.flow_misses;
	for (unsigned int row = 0; row <= dp->ncpus; row++)
		memset(&dp->service_cpu[(size_t)row * LB_MAX_SERVICES + idx], 0, sizeof(struct lb_service_cpu));
}

/* A deleted backend's counters go to userspace's own row of its service, so that the service's totals never go back. */
static void retire_backend_counters(struct lb_dataplane *dp, uint16_t idx, uint16_t owner)
{
	struct lb_backend_cpu sum, *to;

	lb_dataplane_backend(dp, idx, &sum);
	dp->verdict_cpu[dp->ncpus].pkts[LB_V_FORWARDED] += sum.pkts;
	for (unsigned int row = 0; row <= dp->ncpus; row++)
		memset(&dp->backend_cpu[(size_t)row * LB_MAX_BACKENDS + idx], 0, sizeof(struct lb_backend_cpu));
	if (!owner || owner >= LB_MAX_SERVICES || !dp->services[owner].name_id)
		return;
	to = &dp->service_cpu[(size_t)dp->ncpus * LB_MAX_SERVICES + owner].total;
	to->pkts += sum.pkts;
	to->bytes += sum.bytes;
	to->conns += sum.conns;
	to->closes += sum.closes;
}

/* ---- ports ---- */

static bool port_in_use(const struct lb_dataplane *dp, uint32_t ifindex)
{
	struct lb_vlan vlan;
	uint32_t seen = 0;

	for (uint32_t i = 1; i < LB_MAX_BACKENDS; i++) {
		uint32_t oif = dp->backends[i].oif;

		if (oif == ifindex)
			return true;
		if (!(dp->backends[i].flags & LB_BACKEND_F_TAGGED) || oif == seen)
			continue;
		if (!bpf_map_lookup_elem(dp->vlans_fd, &oif, &vlan) && vlan.oif == ifindex)
			return true;
		seen = oif;
	}
	for (size_t i = 0; i < dp->nr_ifaces; i++) {
		if (dp->ifaces[i] == ifindex)
			return true;
	}
	return false;
}

static void prune_ports(struct lb_dataplane *dp)
{
	uint32_t keys[LB_MAX_PORTS], key;
	size_t nr = 0;

	for (void *prev = NULL; nr < LB_MAX_PORTS && !bpf_map_get_next_key(dp->ports_fd, prev, &key);
	     prev = &keys[nr - 1])
		keys[nr++] = key;
	for (size_t i = 0; i < nr; i++) {
		if (!port_in_use(dp, keys[i]))
			bpf_map_delete_elem(dp->ports_fd, &keys[i]);
	}
}

/* Packets may leave by redirection only through interfaces in lb_ports. One that has gone (ENODEV, or EINVAL: no such
 * index in this network namespace) is no error: the next hop over it will be gone in a moment, too. */
int lb_port_ensure(struct lb_dataplane *dp, uint32_t ifindex, struct lb_err *err)
{
	uint32_t value;
	int ret;

	if (!bpf_map_lookup_elem(dp->ports_fd, &ifindex, &value))
		return 0;
	ret = bpf_map_update_elem(dp->ports_fd, &ifindex, &ifindex, BPF_ANY) ? -errno : 0;
	if (ret == -E2BIG || ret == -ENOSPC) {
		prune_ports(dp);
		ret = bpf_map_update_elem(dp->ports_fd, &ifindex, &ifindex, BPF_ANY) ? -errno : 0;
	}
	if (!ret || ret == -ENODEV || ret == -EINVAL)
		return 0;
	return lb_err_set(err, ret == -E2BIG ? -ENOSPC : ret, NULL,
			  "cannot let packets leave by interface %u: %s; backends may be behind %u interfaces at most",
			  ifindex, strerror(-ret), LB_MAX_PORTS);
}

/* Those that no backend is behind. */
static void prune_vlans(struct lb_dataplane *dp)
{
	uint32_t key, next, i;
	int more = bpf_map_get_next_key(dp->vlans_fd, NULL, &next);

	while (!more) {
		key = next;
		more = bpf_map_get_next_key(dp->vlans_fd, &key, &next);
		for (i = 1; i < LB_MAX_BACKENDS && dp->backends[i].oif != key; i++)
			;
		if (i == LB_MAX_BACKENDS)
			bpf_map_delete_elem(dp->vlans_fd, &key);
	}
}

/* What packets that leave by the VLAN device @ifindex need. */
static int vlan_ensure(struct lb_dataplane *dp, uint32_t ifindex, const struct lb_vlan *vlan, struct lb_err *err)
{
	struct lb_vlan now;
	int ret = lb_port_ensure(dp, vlan->oif, err);

	if (ret || (!bpf_map_lookup_elem(dp->vlans_fd, &ifindex, &now) && !memcmp(&now, vlan, sizeof(now))))
		return ret;
	ret = bpf_map_update_elem(dp->vlans_fd, &ifindex, vlan, BPF_ANY) ? -errno : 0;
	if (ret == -E2BIG) {
		prune_vlans(dp);
		ret = bpf_map_update_elem(dp->vlans_fd, &ifindex, vlan, BPF_ANY) ? -errno : 0;
	}
	if (!ret)
		return 0;
	return lb_err_set(err, ret == -E2BIG ? -ENOSPC : ret, NULL,
			  "cannot let packets leave by the VLAN device %u: %s; backends may be behind %u at most",
			  ifindex, strerror(-ret), LB_MAX_VLANS);
}

/* ---- operations ---- */

static int set_backend(struct lb_dataplane *dp, const struct lb_op *op, struct lb_err *err)
{
	struct lb_backend *line = &dp->backends[op->idx];
	int ret = 0;

	if (!op->idx || op->idx >= LB_MAX_BACKENDS)
		return lb_err_set(err, -EINVAL, NULL, "plan: no backend index %u", op->idx);
	if (op->vlan && op->vlan->oif)
		ret = vlan_ensure(dp, op->backend->oif, op->vlan, err);
	else if (op->backend->oif)
		ret = lb_port_ensure(dp, op->backend->oif, err);
	if (ret)
		return ret;
	/* Another backend than the line had: what was counted is not its own. A new generation alone (it was down) is
	 * still the same backend. */
	if (line->service != op->backend->service || line->port != op->backend->port ||
	    memcmp(line->addr, op->backend->addr, sizeof(line->addr)))
		retire_backend_counters(dp, op->idx, line->service);
	if (!line->service)
		__atomic_store_n(&dp->live[op->idx], 0, __ATOMIC_RELAXED);
	write_words(line, op->backend, 0, LINE_WORDS - 1);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	write_words(line, op->backend, LINE_WORDS - 1, LINE_WORDS);
	return 0;
}

static int del_backend(struct lb_dataplane *dp, const struct lb_op *op, struct lb_err *err)
{
	const struct lb_backend none = {.gen = op->gen};

	if (op->idx >= LB_MAX_BACKENDS)
		return lb_err_set(err, -EINVAL, NULL, "plan: no backend index %u", op->idx);
	/* Counters first: cut short here, the line is still there to be deleted again. */
	retire_backend_counters(dp, op->idx, op->owner);
	write_words(&dp->backends[op->idx], &none, LINE_WORDS - 1, LINE_WORDS);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	write_words(&dp->backends[op->idx], &none, 0, LINE_WORDS - 1);
	return 0;
}

static int set_service(struct lb_dataplane *dp, const struct lb_op *op, struct lb_err *err)
{
	struct lb_service *line = &dp->services[op->idx];

	if (!op->idx || op->idx >= LB_MAX_SERVICES)
		return lb_err_set(err, -EINVAL, NULL, "plan: no service index %u", op->idx);
	if (line->name_id != op->service->name_id)
		zero_service_counters(dp, op->idx);
	write_words(line, op->service, 1, LINE_WORDS);
	if (dp->pending[op->idx])
		publish_table(dp, op->idx, dp->pending[op->idx]);
	dp->pending[op->idx] = 0;
	return 0;
}

static int del_service(struct lb_dataplane *dp, const struct lb_op *op, struct lb_err *err)
{
	const struct lb_service none = {0};

	if (op->idx >= LB_MAX_SERVICES)
		return lb_err_set(err, -EINVAL, NULL, "plan: no service index %u", op->idx);
	publish_table(dp, op->idx, 0);
	zero_service_counters(dp, op->idx);
	write_words(&dp->services[op->idx], &none, 1, LINE_WORDS);
	return 0;
}

static int set_vip(struct lb_dataplane *dp, const struct lb_op *op, struct lb_err *err)
{
	bool wild = lb_tries_has_vip(&op->vip);
	int ret = wild ? lb_tries_set_vip(dp, &op->vip, op->idx) : write_vip(dp, &op->vip.vip, op->idx);
	char text[LB_ADDR_STRLEN];

	if (!ret)
		return 0;
	return lb_err_set(err, ret, NULL, "cannot add the VIP %s: %s", lb_vip_format(&op->vip, text),
			  wild ? strerror(-ret) : "no place for it beside the others");
}

static int del_vip(struct lb_dataplane *dp, const struct lb_op *op, struct lb_err *err)
{
	char text[LB_ADDR_STRLEN];
	int ret = 0;

	if (lb_tries_has_vip(&op->vip))
		ret = lb_tries_del_vip(dp, &op->vip);
	/* Port 0 is in neither's way: were it in the sets, by whatever accident, it has to go from there, too. */
	if (op->vip.plen == 128)
		lb_vipset_del(dp->vips, &op->vip.vip);
	return ret ? lb_err_set(err, ret, NULL, "cannot remove the VIP %s: %s", lb_vip_format(&op->vip, text),
				strerror(-ret))
		   : 0;
}

static int set_access(struct lb_dataplane *dp, const struct lb_op *op, struct lb_err *err)
{
	int ret = op->kind == LB_OP_ACCESS_SET ? lb_tries_set_access(dp, &op->access, op->idx)
					       : lb_tries_del_access(dp, &op->access, op->idx);

	return ret ? lb_err_set(err, ret, NULL, "cannot change who may come in: %s", strerror(-ret)) : 0;
}

static int set_cid(struct lb_dataplane *dp, const struct lb_op *op, struct lb_err *err)
{
	uint32_t backend = (uint32_t)op->cid->backend;
	int ret = bpf_map_update_elem(dp->cids_fd, &op->cid->cid, &backend, BPF_ANY) ? -errno : 0;

	if (!ret)
		return 0;
	return lb_err_set(err, ret == -E2BIG ? -ENOSPC : ret, NULL, "cannot add a server ID: %s", strerror(-ret));
}

static int del_cid(struct lb_dataplane *dp, const struct lb_op *op, struct lb_err *err)
{
	if (!bpf_map_delete_elem(dp->cids_fd, &op->cid->cid) || errno == ENOENT)
		return 0;
	return lb_err_set(err, -errno, NULL, "cannot remove a server ID: %s", strerror(errno));
}

static int set_snat(struct lb_dataplane *dp, const struct lb_op *op, struct lb_err *err)
{
	int ret = bpf_map_update_elem(dp->snats_fd, &op->snat->at, op->snat->addr, BPF_ANY) ? -errno : 0;

	if (!ret)
		return 0;
	return lb_err_set(err, ret == -E2BIG ? -ENOSPC : ret, NULL, "cannot add an address of snat: %s",
			  strerror(-ret));
}

static int del_snat(struct lb_dataplane *dp, const struct lb_op *op, struct lb_err *err)
{
	if (!bpf_map_delete_elem(dp->snats_fd, &op->snat->at) || errno == ENOENT)
		return 0;
	return lb_err_set(err, -errno, NULL, "cannot remove an address of snat: %s", strerror(errno));
}

static int apply_op(struct lb_dataplane *dp, const struct lb_op *op, struct lb_err *err)
{
	switch (op->kind) {
	case LB_OP_FEATURES_ADD:
	case LB_OP_FEATURES_SET:
		return lb_dataplane_change_program(dp, op->features, op->max_conns, err);
	case LB_OP_SNAT_SET:
		return set_snat(dp, op, err);
	case LB_OP_SNAT_DEL:
		return del_snat(dp, op, err);
	case LB_OP_CID_SET:
		return set_cid(dp, op, err);
	case LB_OP_CID_DEL:
		return del_cid(dp, op, err);
	case LB_OP_CONF:
		write_words(dp->conf, op->conf, 0, CONF_WORDS);
		return 0;
	case LB_OP_BACKEND_SET:
		return set_backend(dp, op, err);
	case LB_OP_TABLE_SET:
		return set_table(dp, op, err);
	case LB_OP_SERVICE_SET:
		return set_service(dp, op, err);
	case LB_OP_VIP_SET:
		return set_vip(dp, op, err);
	case LB_OP_VIP_DEL:
		return del_vip(dp, op, err);
	case LB_OP_ACCESS_SET:
	case LB_OP_ACCESS_DEL:
		return set_access(dp, op, err);
	case LB_OP_SERVICE_DEL:
		return del_service(dp, op, err);
	case LB_OP_BACKEND_DEL:
		return del_backend(dp, op, err);
	}
	return lb_err_set(err, -EINVAL, NULL, "plan: no operation %d", op->kind);
}

int lb_dataplane_apply(struct lb_dataplane *dp, const struct lb_plan *plan, struct lb_err *err)
{
	int ret = 0;

	for (size_t i = 0; i < plan->nr && !ret; i++) {
		ret = apply_op(dp, &plan->ops[i], err);
		lb_pause();
	}
	/* After an error: tables that no service got, and so no packet saw. */
	for (size_t i = 0; i < plan->nr; i++) {
		uint64_t *pending = &dp->pending[plan->ops[i].idx % LB_MAX_SERVICES];

		if (plan->ops[i].kind != LB_OP_TABLE_SET || !*pending)
			continue;
		lb_regions_release(dp->regions, LB_TABLE_BASE(*pending), LB_TABLE_SHIFT(*pending));
		*pending = 0;
	}
	return ret;
}
