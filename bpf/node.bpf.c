// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The backend host's program: takes the tunnel header off in front of the stack, for hosts whose kernel has no tunnel
 * module. What it does not take apart it passes untouched. A new packet for the stack may be taken off only where the
 * tunnel ends at an address of this host; lbnode fills the maps.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "lb/dp/decap.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct lb_node_conf);
} nd_conf SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, LB_NODE_MAX_LOCAL);
	__type(key, struct lb_node_addr);
	__type(value, __u32);
} nd_local SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, LB_NODE_MAX_FROM);
	__type(key, struct lb_node_prefix);
	__type(value, __u32);
} nd_from SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, LB_NODE_MAX_VIPS);
	__type(key, struct lb_node_addr);
	__type(value, __u32);
} nd_vips SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, LB_NODE_RESULT_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} nd_counters SEC(".maps");

static __always_inline bool source_allowed(const struct lb_node_conf *conf, const struct lb_node_addr *src)
{
	struct lb_node_prefix key = {.plen = 128};

	if (!(conf->flags & LB_NODE_F_FROM))
		return true;
	__builtin_memcpy(key.addr, src->addr, sizeof(key.addr));
	return bpf_map_lookup_elem(&nd_from, &key);
}

static __always_inline enum lb_node_result decapsulate(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *data_end = (void *)(long)ctx->data_end;
	const struct lb_node_conf *conf;
	enum lb_node_result result;
	struct lb_decap d = {};
	__u32 zero = 0;

	conf = bpf_map_lookup_elem(&nd_conf, &zero);
	if (!conf)
		return LB_NODE_PASS_NOT_TUNNEL;
	result = lb_decap_outer(data, data_end, conf, &d);
	if (result != LB_NODE_DECAPSULATED)
		return result;
	if (!bpf_map_lookup_elem(&nd_local, &d.dst))
		return LB_NODE_PASS_NOT_LOCAL;
	if (!source_allowed(conf, &d.src))
		return LB_NODE_PASS_SOURCE;
	result = lb_decap_inner(data, data_end, &d);
	if (result != LB_NODE_DECAPSULATED)
		return result;
	if ((conf->flags & LB_NODE_F_VIPS) && !bpf_map_lookup_elem(&nd_vips, &d.inner_dst))
		return LB_NODE_PASS_NOT_VIP;
	result = lb_decap_apply(data, data_end, &d);
	if (result == LB_NODE_DECAPSULATED && bpf_xdp_adjust_head(ctx, (int)d.outer_bytes))
		return LB_NODE_DROP_FAILED;
	return result;
}

SEC("xdp")
int lb_node(struct xdp_md *ctx)
{
	__u32 result = decapsulate(ctx);
	__u64 *pkts = bpf_map_lookup_elem(&nd_counters, &result);

	if (pkts)
		(*pkts)++;
	return result >= LB_NODE_DROP_MALFORMED ? XDP_DROP : XDP_PASS;
}

char _license[] SEC("license") = "GPL";
