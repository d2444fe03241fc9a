/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Looks up the names of backends, each again when its answer's time to live is over. The last good answer stays for as
 * long as there is no other: an answer that cannot be had, or has nothing in it, takes nothing away. Owned by the
 * control loop; read by api and metrics.
 */
#ifndef LB_RESOLVER_H
#define LB_RESOLVER_H

#include <event2/event.h>

#include "events.h"
#include "names.h"

/* A closed list: X(ID, name, help). The name is the `result` label of lb_name_lookups_total and is in events. */
#define LB_LOOKUPS(X)                                                                                                  \
	X(OK, "ok", "the name has addresses")                                                                          \
	X(NONE, "none", "not looked up yet")                                                                           \
	X(NXDOMAIN, "nxdomain", "the name does not exist")                                                             \
	X(EMPTY, "empty", "the name has no address of a family that is asked for")                                     \
	X(SERVFAIL, "servfail", "the server failed, or knows nothing of the name")                                     \
	X(REFUSED, "refused", "the server refused the question, or nobody is there")                                   \
	X(TIMEOUT, "timeout", "no server has answered in time")                                                        \
	X(PROTOCOL, "protocol", "an answer that could not be read")                                                    \
	X(INTERNAL, "internal", "the question could not be asked")

enum lb_lookup {
#define X(id, name, help) LB_LOOKUP_##id,
	LB_LOOKUPS(X)
#undef X
		LB_LOOKUP_COUNT
};
const char *lb_lookup_name(enum lb_lookup l);

struct lb_resolver;

/* What there is to say of a name. */
struct lb_name_stats {
	const char *name;
	enum lb_lookup last;
	size_t addresses; /* of the last good answer */
	uint64_t good_ns; /* CLOCK_REALTIME: when that came; 0: there was none since lbd started */
	uint64_t next_ns; /* CLOCK_MONOTONIC: when it is looked up again */
	uint64_t ttl_ns;  /* of the last good answer, as it counts */
	uint64_t results[LB_LOOKUP_COUNT];
};

/* @changed: a name has another answer; it must only take note. NULL: out of memory. */
struct lb_resolver *lb_resolver_new(struct event_base *base, struct lb_events *events, void (*changed)(void *ctx),
				    void *ctx);
void lb_resolver_free(struct lb_resolver *r);

/* lb_resolver_sync - look up what @c names, with its settings: names that stay keep their answers. 0 or -ENOMEM with
 * those names left out that there was no memory for. */
int lb_resolver_sync(struct lb_resolver *r, const struct lb_config *c);

/* lb_resolver_answers - the names that have been answered. @out's list is the caller's to free; what it points to is
 * not, and lasts until the event loop goes on. 0 or -ENOMEM. */
int lb_resolver_answers(const struct lb_resolver *r, struct lb_answers *out);

size_t lb_resolver_count(const struct lb_resolver *r);
/* In order of name. */
const struct lb_name_stats *lb_resolver_stats(const struct lb_resolver *r, size_t i);
const struct lb_name_stats *lb_resolver_find(const struct lb_resolver *r, const char *name); /* NULL: unknown */

#endif
