/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The model's inside, shared by model.c and model_*.c alone. */
#ifndef LB_MODEL_PRIV_H
#define LB_MODEL_PRIV_H

#include "model.h"

/* Free indices, the one given back the longest ago first: what still lies about of an index has the most time to go. */
struct lb_pool {
	uint32_t head, nr;
	uint16_t ring[LB_MAX_BACKENDS];
};

/* What is known of each index. Plain data, so that a change that fails is undone by one copy. */
struct lb_ids {
	struct lb_pool services, backends;
	uint8_t gen[LB_MAX_BACKENDS];
	bool alive[LB_MAX_BACKENDS];
	uint16_t service_of[LB_MAX_BACKENDS]; /* 0: none */
	uint32_t born_s[LB_MAX_BACKENDS];     /* 0: found in the maps */
};

struct lb_service_entry {
	struct lb_model_service pub;	/* .conf points into the model's configuration and owns nothing */
	struct lb_service_image *image; /* as it is now; NULL: to be made */
	struct lb_outcome *coming;	/* what lb_entry_advance is working out; NULL: nothing */
	struct lb_maglev_past *past;	/* of the table; NULL: none is kept */
	bool settled;
	bool stale;	  /* health or who is reachable has changed since it was last looked at */
	uint32_t stale_s; /* when it last did */
	bool adopted;	  /* it served before we knew it */
	uint32_t serving_s; /* since when anybody takes new connections, while somebody does */
	bool health_changed; /* since its lines were made */
};

struct lb_addr_ref {
	uint8_t addr[16];
	uint32_t backend;
	struct lb_service_entry *service;
};

struct lb_model {
	struct lb_config *conf;
	struct lb_service_entry **services;   /* in order of name, as in .conf */
	const struct lb_model_service **list; /* the same, for callers */
	size_t nr;
	struct lb_service_entry *by_idx[LB_MAX_SERVICES];
	struct lb_addr_ref *addrs; /* in order of address */
	size_t nr_addrs;
	uint64_t hash_key[2];		 /* of the tables that there are */
	struct lb_service_entry **found; /* adopted and not yet wished for; in order of name_id, which is in .name_id */
	size_t nr_found;
	struct lb_ids ids;
	uint32_t counts[LB_MAX_BACKENDS]; /* room to count in; all 0 between uses */
	bool vlans;			  /* packets come in by VLANs */
	size_t prepared;		  /* services that lb_model_prepare has been through in this round */
	uint16_t snat_first, snat_ports;
};

void lb_pool_put(struct lb_pool *p, uint16_t idx);
uint16_t lb_pool_get(struct lb_pool *p); /* 0: none left */

struct lb_service_entry *lb_service_entry_new(size_t nr_backends);
void lb_service_entry_free(struct lb_service_entry *s);

/* lb_entry_backend - the backend of @s with exactly this address and port, or NULL. @near: its index, if it is where one
 * would think. */
struct lb_model_backend *lb_entry_backend(const struct lb_service_entry *s, const struct lb_endpoint *ep, size_t near);
/* lb_ids_kill - backend @idx no longer serves: what the flow cache has of it is void. */
void lb_ids_kill(struct lb_ids *ids, uint16_t idx);
bool lb_ids_alive(void *ids, uint16_t idx);

/* lb_entry_compute - choose, and bring table, phases and flags in line with configuration and health. @whole: the table
 * anew also where the same backends are chosen; @forget: slots without a past. 1 when the image differs now, 0, or
 * -ENOMEM with nothing changed. */
int lb_entry_compute(struct lb_model *m, struct lb_service_entry *s, bool whole, bool forget, uint32_t now_s);
/* lb_entry_advance - what lb_entry_compute does for a service whose facts have changed, bit by bit: as they were when
 * it began, whatever comes in meanwhile. @slots: how many may be worked on still; less those that were. 1: there is
 * more to do, 0: done, -ENOMEM with nothing changed. */
int lb_entry_advance(struct lb_model *m, struct lb_service_entry *s, uint32_t *slots);
void lb_entry_dirty(struct lb_service_entry *s);
void lb_entry_settled(struct lb_service_entry *s);

/* lb_entry_warm - has a slow start come to its next step by @now_s? @more is set when there is one at all. */
bool lb_entry_warm(struct lb_service_entry *s, uint32_t now_s, bool *more);

/* lb_sticky_ticks - struct lb_service's sticky_ticks. */
uint8_t lb_sticky_ticks(const struct lb_service_conf *conf);
/* lb_entry_line - the line of lb_backends. */
void lb_entry_line(const struct lb_config *c, const struct lb_service_entry *s, const struct lb_model_backend *b,
		   const struct lb_ids *ids, struct lb_backend *line);
struct lb_service_image *lb_entry_image(const struct lb_config *c, const struct lb_service_entry *s,
					const struct lb_ids *ids);

#endif
