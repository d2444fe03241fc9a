/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The control loop's inside, shared by control.c and control_*.c alone. */
#ifndef LB_CONTROL_PRIV_H
#define LB_CONTROL_PRIV_H

#include "control.h"

/* control.c */
void lb_control_commit_soon(struct lb_control *c);
int lb_control_save(struct lb_control *c, struct lb_config *conf, uint64_t generation, const char *fingerprint,
		    const struct lb_drains *drains, struct lb_err *err);

/* control_time.c */
void lb_control_on_time(evutil_socket_t fd, short what, void *ctx);
void lb_control_on_drain(evutil_socket_t fd, short what, void *ctx);
/* The model learns whose drain ended by its time, maybe before this lbd began. */
void lb_control_tell_drained(struct lb_control *c);
/* @drains, taken over, in the place of those that there were. */
void lb_control_take_drains(struct lb_control *c, const struct lb_drains *drains);

#endif
