/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The API's shapes (docs/api.md) as JSON. New references; NULL when out of memory. Called by api*.c. */
#ifndef LB_RENDER_H
#define LB_RENDER_H

#include <jansson.h>

#include "control.h"

json_t *lb_render_status(struct lb_control *c);
json_t *lb_render_service(struct lb_control *c, const struct lb_model_service *s);
json_t *lb_render_backend(struct lb_control *c, const struct lb_model_service *s, size_t i);
json_t *lb_render_verification(const struct lb_verification *v);
json_t *lb_render_iface(const struct lb_iface *i);

#endif
