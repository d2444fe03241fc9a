/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which backends take new connections, and which slot is whose. Pure. Called by model.c. */
#ifndef LB_POLICY_H
#define LB_POLICY_H

#include <stdbool.h>

#include "conf.h"
#include "maglev.h"

#define LB_WARM 8 /* steps in which a backend gets its weight */

struct lb_candidate {
	const struct lb_backend_conf *conf;
	uint16_t idx;	/* in lb_backends */
	bool up;	/* healthy or not checked, and reachable */
	bool reachable; /* its next hop is known */
	bool chosen;	/* out: takes new connections */
	uint8_t warmth; /* it has so many parts of LB_WARM of its weight; 0: all */
	uint8_t share;	/* and so many percent of that; 0: all */
};

struct lb_choice {
	uint32_t tier; /* the one that serves */
	bool panic;    /* too few are up: all that are enabled and reachable are used */
	size_t chosen; /* how many; 0: the service is down */
};

/* lb_policy_choose - set .chosen: enabled, weight > 0 and up, in the lowest tier that has @tier_min of them; where none
 * has, in the one that has most, the lowest of equals. When the share of the enabled that is up, over all tiers, is
 * below @panic_threshold percent (or nobody is up and the threshold is not 0), all enabled ones count as if they were
 * up and .panic is set. Who is not reachable is not chosen even then. */
struct lb_choice lb_policy_choose(struct lb_candidate *candidates, size_t nr, uint32_t panic_threshold,
				  uint32_t tier_min);

/* lb_policy_warmth - a backend's warmth @elapsed_s after it came up: 1 at first, all after @slow_start_ns, and never
 * less than before. */
uint8_t lb_policy_warmth(uint32_t elapsed_s, uint64_t slow_start_ns);

/* lb_policy_begin - the table that lb_policy_table makes, to be filled bit by bit; or, of LB_POLICY_ROUND_ROBIN, the
 * sequence of turns. NULL: out of memory. */
struct lb_maglev *lb_policy_begin(const struct lb_candidate *candidates, size_t nr, const uint64_t key[2],
				  enum lb_policy policy, unsigned int *shift);

/* lb_policy_table - owners by slot for @candidates (sorted as in lb_service_conf) after lb_policy_choose. The size is a
 * function of the configured weights alone, so neither health nor a slow start changes it. @table is malloc'ed. 0 or
 * -ENOMEM. */
int lb_policy_table(const struct lb_candidate *candidates, size_t nr, const uint64_t key[2], unsigned int *shift,
		    uint16_t **table);

/* lb_policy_digest - a fingerprint of who owns which slot, by address and not by idx: equal on every load balancer
 * with the same configuration and health. */
uint64_t lb_policy_digest(const struct lb_candidate *candidates, size_t nr, const uint16_t *table, unsigned int shift);

#endif
