/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How much of its weight a backend says that it can bear: what it says is read, and small changes are passed over,
 * since each one that counts makes a new table. Pure. Called by lbd's prober and its http probe.
 */
#ifndef LB_SHARE_H
#define LB_SHARE_H

#include "conf.h"

#define LB_SHARE_ALL 100 /* percent */

struct lb_share_state {
	uint32_t percent;      /* of the weight that counts, 1..100; 0: nothing was ever said, all of it counts */
	uint32_t unread;       /* good answers in a row without a value */
	uint64_t unread_total; /* ever */
};

/* lb_share_parse - the percentage that begins the header's value @text: "75", "75%", "62.5 %"; what is behind it is not
 * looked at. More than 100 are 100. 0, or -EINVAL: there is none. */
int lb_share_parse(const char *text, uint32_t *percent);

/* lb_share_find - the first word of the first line of @body that is a number and a percent sign, as HAProxy's agents
 * write it: "75%", "up 75%". Words end with blanks and commas. 0, or -EINVAL. */
int lb_share_find(const uint8_t *body, size_t len, uint32_t *percent);

/* lb_share_read - a good answer says @percent, as lb_share_parse found it; where .weight_means is a load, it
 * is how busy the backend is. Counts when it is .weight_step or more from what counts now, or one of the ends. Returns
 * what counts now (1..100). */
uint32_t lb_share_read(struct lb_share_state *s, const struct lb_check_conf *check, uint32_t percent);

/* lb_share_unread - a good answer says nothing that can be read: what was last said goes on to count until there were
 * .fall of them in a row; then all of the weight does. Returns what counts now. */
uint32_t lb_share_unread(struct lb_share_state *s, const struct lb_check_conf *check);

#endif
