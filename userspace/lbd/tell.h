/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The control loop's news as events, a call for each kind. Called by control.c. */
#ifndef LB_TELL_H
#define LB_TELL_H

#include "control.h"

void lb_tell_started(struct lb_control *c);
void lb_tell_health(struct lb_control *c, const char *service, const struct lb_endpoint *backend, enum lb_health from,
		    const struct lb_health_state *h, const char *detail);
void lb_tell_share(struct lb_control *c, const char *service, const struct lb_endpoint *backend, uint32_t from,
		   uint32_t to, bool said);
void lb_tell_next_hop(struct lb_control *c, const uint8_t addr[16], const struct lb_next_hop *nh);
/* A configuration was applied with so many @changes, or, with @err, refused. */
void lb_tell_apply(struct lb_control *c, const struct lb_origin *origin, size_t changes, const struct lb_err *err);
/* The dataplane was updated or, with @err, could not be; the same again is no news. */
void lb_tell_dataplane(struct lb_control *c, const struct lb_err *err);

#endif
