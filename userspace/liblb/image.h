/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the maps should hold, or were found to hold. Immutable once made and shared by reference: a service that did not
 * change is the same pointer in the old and the new image. model.c and dataplane.c make images, plan.c compares them.
 */
#ifndef LB_IMAGE_H
#define LB_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "lb/abi.h"

struct lb_backend_image {
	uint16_t idx;
	struct lb_backend line;
	struct lb_vlan vlan; /* of line.oif; zero: it is no VLAN device */
};

/* A line of lb_access. Free of holes, and shorter prefixes are smaller in memory's order. */
struct lb_access_image {
	uint8_t plen;	/* of 128 */
	uint8_t family; /* LB_VIP_V4 or 0 */
	uint8_t addr[16];
	uint8_t verdict; /* LB_ACCESS_* */
};
_Static_assert(sizeof(struct lb_access_image) == 19, "no hole");
#define LB_ACCESS_IMAGE_KEY 18 /* bytes without the verdict */

/* Whose QUIC connections are: no hole, so that whole ones compare. */
struct lb_cid_image {
	struct lb_cid cid;
	uint64_t backend;
};

/* An address that fullnat speaks to backends from. */
struct lb_snat_image {
	struct lb_snat at;
	uint8_t addr[16];
};
_Static_assert(sizeof(struct lb_snat_image) == 20, "no hole");

struct lb_service_image {
	unsigned int refs;
	uint16_t idx;
	struct lb_service line; /* .table is not compared: the dataplane decides where a table lies */
	unsigned int shift;
	uint32_t *slots; /* 1 << shift words; NULL: no table */
	struct lb_vip_conf *vips;
	size_t nr_vips;
	struct lb_access_image *access; /* sorted */
	size_t nr_access;
	struct lb_backend_image *backends; /* sorted by idx */
	size_t nr_backends;
	struct lb_cid_image *cids; /* sorted by cid */
	size_t nr_cids;
	struct lb_snat_image *snats; /* sorted by at */
	size_t nr_snats;
	bool tagged; /* a backend's next hop is by a VLAN device */
};

/* @services[idx], NULL where unused. @gen: each backend index's generation, kept also while it is free. */
struct lb_image {
	uint32_t features; /* LB_HAS_*: what the program does */
	struct lb_conf conf; /* max_conns: also how many lb_conns has room for */
	struct lb_service_image *services[LB_MAX_SERVICES];
	uint8_t gen[LB_MAX_BACKENDS];
};

struct lb_service_image *lb_service_image_new(void); /* refs 1 */
struct lb_service_image *lb_service_image_get(struct lb_service_image *s);
void lb_service_image_put(struct lb_service_image *s); /* accepts NULL */
struct lb_image *lb_image_new(void);
struct lb_image *lb_image_copy(const struct lb_image *i); /* shares the services */
void lb_image_free(struct lb_image *i);

int lb_cid_compare(const void *a, const void *b); /* of two images, by cid */
int lb_snat_compare(const void *a, const void *b); /* likewise, by at */

/* lb_name_id - struct lb_service's name_id: FNV-1a, 64 bits. */
uint64_t lb_name_id(const char *name);

#endif
