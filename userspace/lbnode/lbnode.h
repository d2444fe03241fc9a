/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lbnode's parts: its command line (main.c), the program and its maps (node.c), and what status prints (status.c).
 * Nothing is kept anywhere but in the kernel: an attached program holds its maps, and is where they are found again.
 */
#ifndef LBNODE_H
#define LBNODE_H

#include "lb/node.h"
#include "addr.h"
#include "dataplane.h"

/* A growing list of addresses or prefixes; an address has plen 128. */
struct lb_node_list {
	struct lb_prefix *items;
	size_t nr;
};

int lb_node_list_add(struct lb_node_list *list, const struct lb_prefix *item); /* 0 or -ENOMEM; a double is left out */
bool lb_node_list_has(const struct lb_node_list *list, const struct lb_prefix *item);
void lb_node_list_fini(struct lb_node_list *list);

/* What the program is told. Empty .from or .vips: any. */
struct lb_node_rules {
	struct lb_node_list local, from, vips;
	uint16_t gue_port[LB_NODE_MAX_GUE]; /* host order; 0: none */
};

void lb_node_rules_fini(struct lb_node_rules *rules);

struct lb_node_state {
	struct lb_attachment at;
	struct lb_node_rules rules;
	uint64_t pkts[LB_NODE_RESULT_COUNT]; /* sums over CPUs */
};

void lb_node_init(void);

/* lb_node_addresses - add to @out the addresses of @ifname that a tunnel can end at, or, where @ifname is NULL, all
 * that the host has. */
int lb_node_addresses(const char *ifname, struct lb_node_list *out, struct lb_err *err);

/* lb_node_attach - attach, or give what is attached these rules and keep its counters; no packet that both the old and
 * the new rules take is missed meanwhile. Nothing is changed on error, but for memory or room running out halfway. */
int lb_node_attach(const char *ifname, enum lb_attach_mode mode, const struct lb_node_rules *rules,
		   struct lb_attachment *out, struct lb_err *err);
int lb_node_detach(const char *ifname, struct lb_err *err);
/* lb_node_read - what is attached to @ifname; -ENOENT, -ENODEV. @out is the caller's to lb_node_state_fini. */
int lb_node_read(const char *ifname, struct lb_node_state *out, struct lb_err *err);
void lb_node_state_fini(struct lb_node_state *s);

/* status.c: @ifname NULL: all interfaces. */
int lb_node_status(const char *ifname, bool json, struct lb_err *err);

#endif
