/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What happened, for those who want to know as it happens: the last LB_EVENTS_RING events, numbered, and readers that
 * follow them at their own pace. Nobody is waited for: a reader that is too slow is told how many it has missed.
 * lb_events_add is for control.c, watch.c and whoever else in lbd sees something happen; readers are api_events.c's.
 */
#ifndef LB_EVENTS_H
#define LB_EVENTS_H

#include "caller.h"
#include "conf.h"

#define LB_EVENTS_RING 16384

/* A closed list: X(ID, name, help). The name is the event's "type". */
#define LB_EVENT_TYPES(X)                                                                                              \
	X(STARTED, "started", "lbd has started; `to` is its version")                                                  \
	X(CONFIG_APPLIED, "config_applied", "the configuration was changed, by whom `origin` says")                    \
	X(CONFIG_REFUSED, "config_refused", "a change was refused, and nothing has changed")                           \
	X(HEALTH, "health", "a backend's checks found something else than before")                                     \
	X(BACKEND_STATE, "backend_state", "what the operator wants of a backend changed")                              \
	X(BACKEND_SERVING, "backend_serving", "a backend takes new connections from now on, or no longer")             \
	X(SERVICE_STATE, "service_state", "a service is up, degraded, in panic or down")                               \
	X(SERVICE_TIER, "service_tier", "another tier of a service's backends serves")                                 \
	X(NEXT_HOP, "next_hop", "the way to a backend's address was lost, found, or leads elsewhere")                  \
	X(INTERFACE, "interface", "an interface was attached, detached, or attached in another mode")                  \
	X(DATAPLANE, "dataplane", "the dataplane could not be updated, or could be again")                             \
	X(LOST, "lost", "the reader was too slow: `count` events are not to be had any more")                          \
	X(CONNECTIONS, "connections", "a backend got `count` new connections since the last such event")               \
	X(VERDICT, "verdict", "`count` packets got this verdict since the last such event")                            \
	X(WEIGHT, "weight", "another part of a backend's weight counts, for it said so or says nothing any more")      \
	X(NAME, "name", "a backend's name has other addresses, or cannot be looked up, or can be again")

enum lb_event_type {
#define X(id, name, help) LB_EVENT_##id,
	LB_EVENT_TYPES(X)
#undef X
		LB_EVENT_COUNT
};
const char *lb_event_type_name(enum lb_event_type type);

/* What is NULL, or 0 of the numbers, is not said. Nothing is kept of what is pointed to. */
struct lb_event {
	enum lb_event_type type;
	const char *service;
	const struct lb_endpoint *backend;
	const uint8_t *address; /* 16 bytes */
	const char *interface;
	const char *from, *to, *reason;
	const char *origin; /* of a change: "api", "reload" */
	uint64_t generation;
	uint64_t count;
	const char *verdict;
	const char *detail; /* what stands behind the reason, for people */
	const char *name;   /* of the DNS */
	const struct lb_caller *by; /* whose request a change of the API was */
};

struct lb_events;

struct lb_events *lb_events_new(void); /* NULL: out of memory */
/* The same of events that are of the moment: they have no numbers, and are for readers that were given them beside. */
struct lb_events *lb_events_new_unnumbered(void);
/* @wake: called, with @ctx, when there is something new; it must only take note. */
void lb_events_on_add(struct lb_events *e, void (*wake)(void *ctx), void *ctx);
/* Every reader must have been freed. */
void lb_events_free(struct lb_events *e);

/* lb_events_add - the event happened now. Never fails and never waits; accepts NULL for @e. What there is no memory for
 * is lost to all readers, who are told. */
void lb_events_add(struct lb_events *e, const struct lb_event *event);

/* The number of the newest event. Numbers rise by one; an lbd that starts goes on above those of the one before. */
uint64_t lb_events_last(const struct lb_events *e);

enum lb_events_format {
	LB_EVENTS_LINES, /* a JSON object a line */
	LB_EVENTS_SSE,	 /* text/event-stream */
};

/* A reader of what comes after event @after; NULL: out of memory. A number that this lbd has not given yet, or that is
 * from before its start, means all that it has to tell. */
struct lb_events_reader;
struct lb_events_reader *lb_events_reader_new(struct lb_events *e, uint64_t after, enum lb_events_format format);
void lb_events_reader_free(struct lb_events_reader *r);
/* Only events of the types whose bits @types has are for it, and what it lost. */
void lb_events_reader_only(struct lb_events_reader *r, uint32_t types);
/* What comes in @e, which is unnumbered, from now on is for @r, too. */
void lb_events_reader_beside(struct lb_events_reader *r, struct lb_events *e);
/* At most @max bytes of what is next; 0: there is nothing now. */
size_t lb_events_reader_read(struct lb_events_reader *r, char *buf, size_t max);

#endif
