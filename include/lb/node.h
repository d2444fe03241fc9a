/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the backend host's program and lbnode share, as lb/abi.h is for the load balancer. Included by bpf/node.bpf.c,
 * include/lb/dp/decap.h and userspace/lbnode. Addresses are 16 bytes in network order, IPv4 as ::ffff:a.b.c.d.
 */
#ifndef LB_NODE_H
#define LB_NODE_H

#include <linux/types.h>

/* Raised whenever a layout or a meaning below changes; maps of another one are not adopted. */
#define LB_NODE_ABI_VERSION 2

#define LB_NODE_MAX_LOCAL 1024 /* addresses of this host that tunnels may end at */
#define LB_NODE_MAX_FROM 4096  /* prefixes that tunnels may come from */
#define LB_NODE_MAX_VIPS 65536
#define LB_NODE_MAX_GUE 4 /* UDP ports that GUE arrives at */

/* What became of a packet: X(ID, name, help). Append only: the position is the counter's key. "pass" leaves the packet
 * to the host's stack, untouched. */
#define LB_NODE_RESULTS(X)                                                                                             \
	X(DECAPSULATED, "decapsulated", "the outer header was taken off")                                              \
	X(PASS_NOT_TUNNEL, "pass_not_tunnel", "neither IP in IP nor GUE")                                              \
	X(PASS_MALFORMED, "pass_malformed",                                                                            \
	  "a tunnelled packet whose outer headers are wrong: lengths, checksum, address")                              \
	X(PASS_OPTIONS, "pass_options",                                                                                \
	  "a tunnelled packet with IP options, odd extension headers or GUE flags outside")                            \
	X(PASS_FRAGMENT, "pass_fragment", "a fragment of a tunnelled packet")                                          \
	X(PASS_NOT_LOCAL, "pass_not_local", "tunnelled to an address that is not this host's")                         \
	X(PASS_SOURCE, "pass_source", "tunnelled from a source outside every --from")                                  \
	X(PASS_NOT_VIP, "pass_not_vip", "the inner destination is no --vip")                                           \
	X(DROP_MALFORMED, "drop_malformed", "the inner header's version or lengths do not agree with what carries it") \
	X(DROP_ECN, "drop_ecn", "marked as congested on the way, with a sender that would not know (RFC 6040)")        \
	X(DROP_FAILED, "drop_failed", "the kernel refused to move the packet's start")

enum lb_node_result {
#define X(id, name, help) LB_NODE_##id,
	LB_NODE_RESULTS(X)
#undef X
		LB_NODE_RESULT_COUNT
};

/* ---- nd_conf: ARRAY of one ---- */
#define LB_NODE_F_FROM (1U << 0) /* only sources that nd_from covers */
#define LB_NODE_F_VIPS (1U << 1) /* only inner destinations in nd_vips */

struct lb_node_conf {
	__u32 flags;			  /* LB_NODE_F_* */
	__u32 abi;			  /* LB_NODE_ABI_VERSION */
	__be16 gue_port[LB_NODE_MAX_GUE]; /* 0: none */
};
_Static_assert(sizeof(struct lb_node_conf) == 16, "no hole");

/* ---- nd_from: LPM_TRIE, struct lb_node_prefix -> __u32 (unused) ---- */
struct lb_node_prefix {
	__u32 plen; /* bits of the 16-byte form, host order */
	__u8 addr[16];
};
_Static_assert(sizeof(struct lb_node_prefix) == 20, "no hole in a map key");

/* ---- nd_local, nd_vips: HASH, struct lb_node_addr -> __u32 (unused) ---- */
struct lb_node_addr {
	__u8 addr[16];
};

/* ---- nd_counters: PERCPU_ARRAY [enum lb_node_result] -> __u64 packets ---- */

#endif
