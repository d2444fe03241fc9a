/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Health checks: who is probed when, and what came of it. Knows the configuration's backends, checked or not; tells
 * the control loop of changes and nothing else. Called by control.c; read by api and metrics.
 */
#ifndef LB_PROBER_H
#define LB_PROBER_H

#include <event2/event.h>

#include "flap.h"
#include "health.h"
#include "histogram.h"
#include "share.h"

struct lb_prober;

/* Health changed from @from; h->health is the new one. Must not call lb_prober_sync. */
typedef void (*lb_prober_fn)(void *ctx, const char *service, const struct lb_endpoint *backend, enum lb_health from,
			     const struct lb_health_state *h);

/* Can packets to @vip be sent to a backend now, as clients' packets are? */
typedef bool (*lb_prober_path_fn)(void *ctx, const uint8_t vip[16]);

/* Of its weight @to percent count from now on, where @from did. @said: it said so; else it says nothing that can be
 * read. Must not call lb_prober_sync. */
typedef void (*lb_prober_share_fn)(void *ctx, const char *service, const struct lb_endpoint *backend, uint32_t from,
				   uint32_t to, bool said);

struct lb_target_stats {
	struct lb_health_state health;
	uint64_t results[LB_REASON_COUNT];
	struct lb_histogram duration;
	struct lb_flap_state flap;
	uint64_t held_until_ns; /* CLOCK_MONOTONIC, while it is held down; 0: it is not */
	struct lb_share_state share;
	char *detail; /* what the last check had to say beside its reason; NULL: nothing */
};

struct lb_prober *lb_prober_new(struct event_base *base, lb_prober_fn changed, void *ctx);
/* To be told of weights, too; @shared has lb_prober_new's ctx. */
void lb_prober_on_share(struct lb_prober *p, lb_prober_share_fn shared);
void lb_prober_free(struct lb_prober *p);
/* lb_prober_use_path - whom to ask before a check by way of the VIP; none is done while the answer is no, or nobody is
 * there to ask. */
void lb_prober_use_path(struct lb_prober *p, lb_prober_path_fn ready, void *ctx);

/* lb_prober_sync - check what the model's configuration says. A backend that stays keeps its health; its checks start
 * anew only where the service's check changed. A new one starts with the health that the model has. @m is looked at
 * until the next call. 0 or -ENOMEM. */
int lb_prober_sync(struct lb_prober *p, const struct lb_model *m);

/* NULL: not known. */
const struct lb_target_stats *lb_prober_stats(const struct lb_prober *p, const char *service,
					      const struct lb_endpoint *backend);

#endif
