/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The model: the configuration joined with what is known at run time (ids, health, next hops, phases of slots).
 * It makes images; whoever drives it plans and applies them. Pure: time, health and next hops are told to it.
 * Driven by lbd's control loop.
 */
#ifndef LB_MODEL_H
#define LB_MODEL_H

#include "conf.h"
#include "image.h"
#include "policy.h"
#include "slots.h"

/* How to reach an address. All zero: not reachable now. */
struct lb_next_hop {
	uint8_t dmac[6], smac[6];
	uint16_t mtu; /* bytes */
	uint32_t ifindex;
	struct lb_vlan vlan; /* what the VLAN device @ifindex does; .oif 0: it is none */
	bool redirect;	     /* packets leave by redirection only, see LB_BACKEND_F_REDIRECT */
	uint8_t source4[16]; /* addresses of the outgoing interface, for outer headers; zero: it has none */
	uint8_t source6[16];
};

enum lb_health { LB_HEALTH_UNCHECKED, LB_HEALTH_UNKNOWN, LB_HEALTH_UP, LB_HEALTH_DOWN };

/* A backend that comes up to others that serve gets its weight in steps. */
struct lb_warming {
	bool ready;	  /* it was up and not disabled when that was last looked at */
	uint8_t warmth;	  /* as in struct lb_candidate; 0: it is not starting slowly */
	uint32_t since_s; /* when that began */
};

struct lb_model_backend {
	struct lb_backend_conf conf;
	uint16_t idx;
	uint8_t gen;
	enum lb_health health; /* UNKNOWN counts as down; a backend found in the maps starts with what they say */
	bool chosen;
	struct lb_next_hop next_hop; /* while there is none it takes no new connections, and keeps those that it has */
	size_t nr_slots;	     /* of the policy table */
	struct lb_warming warming;
	bool drained; /* draining, and its time is over: what it had is void */
	uint8_t share; /* percent of its weight that counts, for it says that it can bear no more; 0: all */
	uint8_t share_said; /* the same, which is yet to be worked out */
};

struct lb_model_service {
	struct lb_service_conf conf; /* .backends is sorted; .conf.backends[i] and .backends[i] are the same backend */
	uint16_t idx;
	struct lb_model_backend *backends;
	struct lb_choice choice;
	uint64_t name_id; /* while its name is not known: found in the maps */
	unsigned int policy_shift;
	uint16_t *policy_table;
	struct lb_slots *slots;
};

struct lb_model;

struct lb_model *lb_model_new(void);
void lb_model_free(struct lb_model *m);

/* lb_model_adopt - start from maps that are in use: ids, generations, health and slots of what lb_model_apply brings
 * next are taken from @found. Once, before the first apply. */
int lb_model_adopt(struct lb_model *m, const struct lb_image *found);

/* The ports that fullnat speaks to backends from are @nr, from @first on (host order): those that this host does not
 * use itself for connections of its own. */
void lb_model_set_snat_ports(struct lb_model *m, uint16_t first, uint16_t nr);
#define LB_SNAT_FIRST 1024 /* what it begins with */
#define LB_SNAT_PORTS 31744

/* lb_model_apply - take @c (copied) as the wish. What stays the same keeps its ids, health and slots. -ENOSPC with @err
 * when ids run out, -ENOMEM; nothing changed on error. */
int lb_model_apply(struct lb_model *m, const struct lb_config *c, uint32_t now_s, struct lb_err *err);

/* Facts. Each returns 1 when an image made now may differ, 0 when not, -ENOMEM, -ENOENT. What follows from health is
 * worked out by lb_model_image, once for all that has come in: until then .choice, .chosen and tables are as before.
 * So is what follows from a next hop that was lost or found. Who is not checked, or disabled, has no health to set. */
int lb_model_set_health(struct lb_model *m, const char *service, const struct lb_endpoint *backend, enum lb_health h,
			uint32_t now_s);
int lb_model_set_next_hop(struct lb_model *m, const uint8_t addr[16], const struct lb_next_hop *nh, uint32_t now_s);
/* @percent of the configured weight count, 1..100. A service whose check reads no weight has none to be told. */
int lb_model_set_share(struct lb_model *m, const char *service, const struct lb_endpoint *backend, uint32_t percent,
		       uint32_t now_s);
/* Of a backend that is draining: its time is over. Any other state than draining forgets it. */
int lb_model_set_drained(struct lb_model *m, const char *service, const struct lb_endpoint *backend, uint32_t now_s);
/* lb_model_time - let slow starts go on; as the facts above. @more: it is to be called again, soon. */
int lb_model_time(struct lb_model *m, uint32_t now_s, bool *more);
/* lb_model_set_vlans - may packets come in by VLANs? Those to a next hop by a VLAN device are found without. True: that
 * is news, so make a new image. */
bool lb_model_set_vlans(struct lb_model *m, bool vlans);
/* @entries: the flow cache, LB_FLOW_SETS sets, or NULL. @now_age: the age byte of now. Moves phases on. Entries that
 * are dead or idle beyond their limit are erased: a stable slot is not looked up in the cache, so that a connection
 * that takes the ports of an older one would find that one's entry when the slot moves again. Call it only when the
 * last image has been applied: what it decides rests on packets having seen the phases that it knows.
 * @packets: how many backend @idx has ever been sent; slots that leave one which is younger than the learning window
 * and has had none need not wait for the window's end. NULL: not known, or a packet that is still on its way may have
 * seen what was before the last image. (Another load balancer may have sent to older ones, and its connections come
 * here when it fails.) */
typedef uint64_t (*lb_model_packets_fn)(void *ctx, uint16_t idx);
int lb_model_tick(struct lb_model *m, struct lb_flow_set *entries, lb_model_packets_fn packets, void *ctx,
		  uint32_t now_s, uint8_t now_age);
/* lb_model_live - what packets cannot know for certain of connections and clients: @live[backend], LB_MAX_BACKENDS of
 * them, become the open connections in @entries, and entries that are over are erased, before their ages wrap. False:
 * there is no service that needs it, nothing was done. */
bool lb_model_live(const struct lb_model *m, struct lb_flow_set *entries, int64_t *live, uint8_t now_age);
/* Are the connections of backend @idx among those entries? Not those of nobody's, nor those that are translated. */
bool lb_model_remembers(const struct lb_model *m, uint16_t idx);
/* lb_model_open - @open[backend], LB_MAX_BACKENDS of them, becomes the number of open connections in @entries. Of a
 * service that remembers all it has that is all there are; else, of what has left a slot, once a learning window is
 * over since then. */
void lb_model_open(const struct lb_model *m, const struct lb_flow_set *entries, uint32_t *open, uint8_t now_age);
/* lb_model_alive - does backend @idx serve what it has? */
bool lb_model_alive(const struct lb_model *m, uint16_t idx);
/* True when every slot is stable and no table waits to be merged: then ticks have nothing to do. */
bool lb_model_settled(const struct lb_model *m);

/* lb_model_image - what the maps should hold now; what did not change since the last call is shared. NULL: no memory.
 */
struct lb_image *lb_model_image(struct lb_model *m);

/* For an event loop that has other things to do: the same, but what follows from facts is worked out bit by bit.
 * lb_model_prepare - about @slots of tables' slots at a time. Each service's facts count as they were when it was
 * begun; those that come in thereafter are left for another round, so that there is an end. 1: call it again; 0: make
 * the image; -ENOMEM.
 * lb_model_image_prepared - the image without what has not been worked out.
 * lb_model_stale - are there facts that it leaves out? */
int lb_model_prepare(struct lb_model *m, uint32_t slots);
struct lb_image *lb_model_image_prepared(struct lb_model *m);
bool lb_model_stale(const struct lb_model *m);

/* lb_model_digest - a fingerprint of who owns which slot, see lb_policy_digest; 0: there is no table, or no memory. Goes
 * through the table each time: it is for whoever looks at it. */
uint64_t lb_model_digest(const struct lb_model_service *s);
/* lb_model_weight - what counts of @b's weight now. */
double lb_model_weight(const struct lb_model_backend *b);
const struct lb_config *lb_model_config(const struct lb_model *m);
const struct lb_model_service *lb_model_service(const struct lb_model *m, const char *name);
/* In order of name. */
size_t lb_model_services(const struct lb_model *m, const struct lb_model_service *const **list);

#endif
