/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The API's shapes (docs/api.md) as JSON: small ones as trees (new references; NULL when out of memory), services and
 * backends, of which there may be thousands, as text, piece by piece. Called by api*.c.
 */
#ifndef LB_RENDER_H
#define LB_RENDER_H

#include <jansson.h>

#include "control.h"
#include "text.h"

json_t *lb_render_status(struct lb_control *c);
json_t *lb_render_verification(const struct lb_verification *v);
json_t *lb_render_iface(const struct lb_iface *i);

/* What is kept from one piece to the next; all zero at first. */
struct lb_render {
	struct lb_text text;
	uint32_t ifindex; /* the interface that was last asked for: most next hops are behind the same one, */
	char ifname[16];  /* and each question is a system call */
};

/* A service: begin, each of its backends in order, end. */
void lb_render_service_begin(struct lb_render *r, const struct lb_model_service *s);
void lb_render_service_backend(struct lb_render *r, struct lb_control *c, const struct lb_model_service *s, size_t i);
void lb_render_service_end(struct lb_render *r, const struct lb_control *c, const struct lb_model_service *s,
			   uint64_t digest);
/* One backend alone. */
void lb_render_backend(struct lb_render *r, struct lb_control *c, const struct lb_model_service *s, size_t i);

/* A backend that is a name, as it is configured. */
void lb_render_name(struct lb_render *r, const struct lb_control *c, const struct lb_backend_conf *b);

#endif
