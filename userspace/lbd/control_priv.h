/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The control loop's inside, shared by control.c and control_*.c alone. */
#ifndef LB_CONTROL_PRIV_H
#define LB_CONTROL_PRIV_H

#include "control.h"

/* control.c */
void lb_control_commit_soon(struct lb_control *c);
/* @expanded: @conf with the addresses of names. */
int lb_control_save(struct lb_control *c, struct lb_config *conf, const struct lb_config *expanded, uint64_t generation,
		    const char *fingerprint, const struct lb_drains *drains, struct lb_err *err);
/* The model, next hops, the dataplane and checks to @expanded. */
int lb_control_realize(struct lb_control *c, const struct lb_config *expanded, struct lb_err *err);

/* control_time.c */
void lb_control_on_time(evutil_socket_t fd, short what, void *ctx);
void lb_control_on_drain(evutil_socket_t fd, short what, void *ctx);
/* The model learns whose drain ended by its time, maybe before this lbd began. */
void lb_control_tell_drained(struct lb_control *c);
/* @drains, taken over, in the place of those that there were. */
void lb_control_take_drains(struct lb_control *c, const struct lb_drains *drains);

/* control_names.c */
void lb_control_on_names(evutil_socket_t fd, short what, void *ctx);
/* What a name is has changed, or how much of it is to be drained: lb_control_on_names is to be called. */
void lb_control_names_soon(void *ctx);
/* @conf with the addresses of names; NULL: out of memory. */
struct lb_config *lb_control_expand(const struct lb_control *c, const struct lb_config *conf);

#endif
