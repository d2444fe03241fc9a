/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Answers made aside: by a copy of this process, which has all that this one has as it stands and hands back one
 * answer. What takes long and changes nothing is done so, and lbd does what else there is to do meanwhile. Called by
 * api_*.c.
 */
#ifndef LB_ASIDE_H
#define LB_ASIDE_H

#include "api.h"

#define LB_ASIDE_MAX 4	    /* at a time; others get 503 */
#define LB_ASIDE_SECONDS 60 /* then it is ended */
#define LB_ASIDE_ANSWER_MAX (64U << 20)

/* lb_aside - have @handler answer @call in another process. What it changes in memory is lost with it. */
void lb_aside(struct lb_api_call *call, lb_api_fn handler);

#endif
