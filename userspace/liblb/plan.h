/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From one image to the next: ordered operations of which none lets a packet see half an update. Pure; never sees a
 * file descriptor. Equal images give an empty plan. Called by lbd's control loop; dataplane.c carries plans out.
 *
 * Order: a program that does what is new beside what is old; conf; new and changed backends; their server IDs; sources that services let
 * in or do not, new and changed, longer prefixes first; service by service its table (written where no packet looks
 * yet), the service and the VIPs that it has (one store each makes the new table theirs); VIPs that appear; VIPs that
 * go; sources of whom nothing is said any more, shorter prefixes first; services that go; server IDs that go; backends that go; a program
 * that does no more than it has to.
 * A source is judged by the longest prefix that it is in: in this order each goes from what it was to what it will be
 * in one step, whatever other prefixes it is in.
 * Each table is directly followed by its service, so that the room of the table it replaces can be had again within
 * the same plan: one that replaces every table needs little more room than the tables. A service without a table
 * counts as one with the smallest, of nobody. The new image must not give an index that the old one uses to another
 * service or backend: while the plan is carried out both are there.
 */
#ifndef LB_PLAN_H
#define LB_PLAN_H

#include "image.h"

enum lb_op_kind {
	LB_OP_FEATURES_ADD, /* features, max_conns: a program that does all of these, and has room for so many translated
			       connections, replaces the one that there is */
	LB_OP_CONF,	   /* conf */
	LB_OP_BACKEND_SET, /* idx, backend, vlan */
	LB_OP_CID_SET,	   /* cid */
	LB_OP_ACCESS_SET,  /* idx (service), access */
	LB_OP_TABLE_SET,   /* idx (service), shift, slots */
	LB_OP_SERVICE_SET, /* idx, service; takes the table of the TABLE_SET before it, else keeps the one it has */
	LB_OP_VIP_SET,	   /* vip, idx */
	LB_OP_VIP_DEL,	   /* vip */
	LB_OP_ACCESS_DEL,  /* idx (service), access */
	LB_OP_SERVICE_DEL, /* idx; its table is given back */
	LB_OP_CID_DEL,	   /* cid */
	LB_OP_BACKEND_DEL, /* idx, gen, owner (a service: the counters go to that one; 0: nowhere) */
	LB_OP_FEATURES_SET, /* features: no more than these; max_conns */
	LB_OP_SNAT_SET,	    /* snat */
	LB_OP_SNAT_DEL,	    /* snat */
};

/* Pointers lead into the new image, or the old one, which must both outlive the plan. */
struct lb_op {
	enum lb_op_kind kind;
	uint16_t idx;
	uint16_t owner;
	uint8_t gen;
	unsigned int shift;
	uint32_t features;
	uint32_t max_conns;
	const uint32_t *slots;
	const struct lb_conf *conf;
	const struct lb_backend *backend;
	const struct lb_vlan *vlan; /* of backend->oif; .oif 0: it is no VLAN device */
	const struct lb_service *service;
	struct lb_vip_conf vip;
	struct lb_access_image access;
	const struct lb_cid_image *cid; /* LB_OP_CID_DEL: into the old image */
	const struct lb_snat_image *snat; /* likewise */
};

struct lb_plan {
	struct lb_op *ops;
	size_t nr;
};

/* 0 or -ENOMEM. @old may be NULL: nothing there yet. */
int lb_plan_make(const struct lb_image *old, const struct lb_image *new, struct lb_plan *plan);
void lb_plan_fini(struct lb_plan *plan);

#endif
