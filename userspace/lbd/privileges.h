/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Giving up what lbd does not need once it runs. Called by main.c. */
#ifndef LB_PRIVILEGES_H
#define LB_PRIVILEGES_H

/* lb_privileges_drop - keep the capabilities for BPF, interfaces and files, for good. Where that is refused it is
 * logged, and lbd goes on with what it has. */
void lb_privileges_drop(void);

#endif
