/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What lbd may do: enough at the start, and no more than it needs once it runs. Called by main.c. */
#ifndef LB_PRIVILEGES_H
#define LB_PRIVILEGES_H

#include "err.h"

/* lb_privileges_check - -EPERM with @err when this process cannot get anywhere. */
int lb_privileges_check(struct lb_err *err);

/* lb_privileges_drop - keep the capabilities for BPF, interfaces and files, for good. Where that is refused it is
 * logged, and lbd goes on with what it has. */
void lb_privileges_drop(void);

#endif
