/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the API and the metrics both say about services, backends and flows. Reads the control's state, changes nothing.
 */
#ifndef LB_STATS_H
#define LB_STATS_H

#include "control.h"

enum lb_service_state { LB_SERVICE_UP, LB_SERVICE_DEGRADED, LB_SERVICE_PANIC, LB_SERVICE_DOWN };

/* @reason: why it is not up; "" when it is. */
enum lb_service_state lb_stats_state(const struct lb_model_service *s, char *reason, size_t size);
const char *lb_service_state_name(enum lb_service_state state);

/* The service's own rows and its backends'. */
void lb_stats_service(const struct lb_control *c, const struct lb_model_service *s, struct lb_backend_cpu *out);
/* Connections begun and not ended, an estimate: ends are only seen as far as clients send them. */
uint64_t lb_stats_active(const struct lb_backend_cpu *row);

/* lb_stats_count_open - count what lb_stats_left tells of. Goes through the flow cache: beside the loop. */
void lb_stats_count_open(struct lb_control *c);
/* lb_stats_left - what a draining backend still has: its open connections in the flow cache. Those of a service that
 * remembers only what moves are all there when a learning window is over since then; until that, no fewer than were
 * begun and not seen to end. Those that are translated are counted in their own entries, now and then. False: they were
 * not since the drain began; *@left is an estimate. */
bool lb_stats_left(struct lb_control *c, const struct lb_drain *d, uint64_t *left);
/* lb_stats_connections - lb_stats_left of a backend that drains; of any other those that are translated, as they were
 * last counted, or lb_stats_active. @row: its counters. */
uint64_t lb_stats_connections(struct lb_control *c, const struct lb_model_service *s, const struct lb_model_backend *b,
			      const struct lb_backend_cpu *row);
/* lb_stats_backend_state - "disabled", "draining", "drained", or else its health. */
const char *lb_stats_backend_state(const struct lb_control *c, const struct lb_model_service *s,
				   const struct lb_model_backend *b);

/* lb_stats_held_seconds - for how long it is held down for flapping still, to a tenth; @t NULL: not at all. */
double lb_stats_held_seconds(const struct lb_target_stats *t);

/* lb_stats_flows - live entries of the flow cache; counted anew when the last count is a second old. */
uint64_t lb_stats_flows(struct lb_control *c);
/* A part of them as they are now, below LB_FLOW_PARTS: all take milliseconds. */
#define LB_FLOW_PARTS 128
uint64_t lb_stats_flows_part(const struct lb_control *c, size_t part);
/* Look-ups in the flow cache that hit and that missed, of all services. */
void lb_stats_lookups(const struct lb_control *c, uint64_t *hits, uint64_t *misses);

/* "up", "down", "unknown", "unchecked"; "auto", "native", "generic". */
const char *lb_health_name(enum lb_health h);
const char *lb_attach_mode_name(enum lb_attach_mode mode);

#define LB_TIME_STRLEN 32
/* CLOCK_REALTIME @ns as RFC 3339 in UTC. */
char *lb_time_format(uint64_t ns, char buf[LB_TIME_STRLEN]);

#endif
