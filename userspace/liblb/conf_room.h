/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How much of the dataplane's room for VIPs a configuration takes. Pure. Called by conf_check.c and by tests.
 */
#ifndef LB_CONF_ROOM_H
#define LB_CONF_ROOM_H

#include "conf.h"

struct lb_vip_room {
	size_t exact; /* of one address and one port, which lie in the sets, and what answers echo requests to one
			 address */
	size_t wild; /* with every port, and prefixes, which lie in the trie, and what answers echo requests to prefixes
		      */
	size_t answers; /* echo requests: how many of both do that */
};

/* lb_conf_vip_room - what the VIPs of @c, in order, take: each of them a place, and of services with ping each address,
 * and prefix, one more, however many services have it. 0 or -ENOMEM. */
int lb_conf_vip_room(const struct lb_config *c, struct lb_vip_room *out);

#endif
