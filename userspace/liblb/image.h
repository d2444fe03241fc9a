/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the maps should hold, or were found to hold. Immutable once made and shared by reference: a service that did not
 * change is the same pointer in the old and the new image. model.c and dataplane.c make images, plan.c compares them.
 */
#ifndef LB_IMAGE_H
#define LB_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "lb/abi.h"

struct lb_backend_image {
	uint16_t idx;
	struct lb_backend line;
};

struct lb_service_image {
	unsigned int refs;
	uint16_t idx;
	struct lb_service line; /* .table is not compared: the dataplane decides where a table lies */
	unsigned int shift;
	uint32_t *slots; /* 1 << shift words; NULL: no table */
	struct lb_vip *vips;
	size_t nr_vips;
	struct lb_backend_image *backends; /* sorted by idx */
	size_t nr_backends;
};

/* @services[idx], NULL where unused. @gen: each backend index's generation, kept also while it is free. */
struct lb_image {
	uint32_t features; /* LB_HAS_*: what the program does */
	struct lb_conf conf;
	struct lb_service_image *services[LB_MAX_SERVICES];
	uint8_t gen[LB_MAX_BACKENDS];
};

struct lb_service_image *lb_service_image_new(void); /* refs 1 */
struct lb_service_image *lb_service_image_get(struct lb_service_image *s);
void lb_service_image_put(struct lb_service_image *s); /* accepts NULL */
struct lb_image *lb_image_new(void);
struct lb_image *lb_image_copy(const struct lb_image *i); /* shares the services */
void lb_image_free(struct lb_image *i);

/* lb_name_id - struct lb_service's name_id: FNV-1a, 64 bits. */
uint64_t lb_name_id(const char *name);

#endif
