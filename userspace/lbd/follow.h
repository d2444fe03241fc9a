/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Addresses whose routes are followed, in a sorted list that is changed as a whole. Called by nexthops.c (of backends)
 * and check_path.c (of VIPs). */
#ifndef LB_FOLLOW_H
#define LB_FOLLOW_H

#include "route.h"

struct lb_followed {
	uint8_t addr[16];
	struct lb_next_hop nh; /* zero: packets to it cannot be sent. Whoever hears of changes keeps it */
	bool lost;	       /* that it has none has been logged */
	bool missing;	       /* it had none at the last refresh */
};

struct lb_follow {
	struct lb_route *route;	  /* owned by the caller; NULL: nothing is followed now */
	struct lb_followed *list; /* sorted by address, each once */
	size_t nr;
	unsigned int starts;
};

/* lb_follow_find - the address in the list; NULL: it is not there. */
struct lb_followed *lb_follow_find(const struct lb_follow *f, const uint8_t addr[16]);
/* lb_follow_start - follow all of the list by @route, which is new. 0, or -errno where some cannot be, which is logged.
 */
int lb_follow_start(struct lb_follow *f, struct lb_route *route);
/* lb_follow_change - follow @list (taken over; in any order, addresses may be there more than once, all but .addr zero)
 * and nothing else. What is known of those that stay is kept. Pauses. */
void lb_follow_change(struct lb_follow *f, struct lb_followed *list, size_t nr);

#endif
