/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Are there ports left at fullnat's addresses? Pure. Called by the check of configurations. */
#ifndef LB_SNAT_H
#define LB_SNAT_H

#include "conf.h"

/* An address of snat that a VIP has all ports of. */
struct lb_snat_clash {
	size_t service; /* whose address it is, */
	size_t snat;	/* and which of them */
	size_t owner;	/* whose VIP it is */
	struct lb_vip_conf vip;
};

/* lb_snat_find_clash - the first one in @c, whose services are sorted: what backends answer to such an address is taken
 * for the VIP's, so that fullnat finds no port there. 1: there is one, 0: there is none, or -ENOMEM. */
int lb_snat_find_clash(const struct lb_config *c, struct lb_snat_clash *clash);

#endif
