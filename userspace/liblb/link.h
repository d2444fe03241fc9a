/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What kind of interface one is, asked once of the kernel. Called by attach.c; netlink/ is route*.c's. */
#ifndef LB_LINK_H
#define LB_LINK_H

#include <stdbool.h>
#include <stdint.h>

struct lb_link_kind {
	bool ethernet;	 /* its packets come with an Ethernet header; so do those of loop-back */
	char kind[16];	 /* as `ip -d link` says: vlan, bond, bridge, veth ...; "": a device of its own */
	char lower[16];	 /* of a VLAN device or a macvlan: the interface that it is on; "": not in this namespace */
	char master[16]; /* the bond or bridge that it is a member of; "": none */
	char master_kind[16];
};

/* lb_link_kind - what @ifindex is. 0 or -errno. */
int lb_link_kind(uint32_t ifindex, struct lb_link_kind *out);

#endif
