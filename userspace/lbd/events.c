// SPDX-License-Identifier: GPL-2.0-or-later
/* The ring of events. An event is made into its JSON text once, however many read it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "events.h"
#include "text.h"

struct slot {
	char *json; /* NULL: there was no memory for it */
	enum lb_event_type type;
};

struct lb_events {
	struct slot ring[LB_EVENTS_RING]; /* event n at n % LB_EVENTS_RING */
	uint64_t start;			  /* the first ever */
	uint64_t first, next;		  /* those that there are: first <= n < next */
	bool unnumbered;
	void (*wake)(void *ctx);
	void *ctx;
};

struct lb_events_reader {
	struct source {
		struct lb_events *events;
		uint64_t next;
	} main, beside; /* .beside.events NULL: none */
	enum lb_events_format format;
	uint32_t types;
	struct lb_text pending; /* of what has been begun */
	size_t at;		/* how much of it was read */
};

const char *lb_event_type_name(enum lb_event_type type)
{
	static const char *const names[] = {
#define X(id, name, help) name,
		LB_EVENT_TYPES(X)
#undef X
	};

	return names[type];
}

struct lb_events *lb_events_new(void)
{
	struct lb_events *e = calloc(1, sizeof(*e));

	/* Microseconds: an lbd that starts after this one starts higher, as long as nobody sets the clock back, and
	 * numbers stay below the 2^53 that every reader of JSON can count to. */
	if (e)
		e->start = e->first = e->next = lb_clock_ns(CLOCK_REALTIME) / 1000;
	return e;
}

struct lb_events *lb_events_new_unnumbered(void)
{
	struct lb_events *e = lb_events_new();

	if (e)
		e->unnumbered = true;
	return e;
}

void lb_events_on_add(struct lb_events *e, void (*wake)(void *ctx), void *ctx)
{
	e->wake = wake;
	e->ctx = ctx;
}

void lb_events_free(struct lb_events *e)
{
	if (!e)
		return;
	for (size_t i = 0; i < LB_EVENTS_RING; i++)
		free(e->ring[i].json);
	free(e);
}

uint64_t lb_events_last(const struct lb_events *e)
{
	return e->next - 1;
}

static void put_member(struct lb_text *t, const char *key, const char *value)
{
	if (!value)
		return;
	lb_text_printf(t, ",\"%s\":", key);
	lb_text_json_string(t, value);
}

static void put_number(struct lb_text *t, const char *key, uint64_t value)
{
	if (value)
		lb_text_printf(t, ",\"%s\":%llu", key, (unsigned long long)value);
}

/* RFC 3339 in UTC, with milliseconds. */
static void put_time(struct lb_text *t, uint64_t ns)
{
	time_t s = (time_t)(ns / LB_NSEC_PER_SEC);
	char text[32];
	struct tm tm;

	gmtime_r(&s, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	lb_text_printf(t, "\"time\":\"%s.%03uZ\"", text, (unsigned int)(ns / 1000000 % 1000));
}

static void put_caller(struct lb_text *t, const struct lb_caller *by)
{
	if (!by || !by->known)
		return;
	lb_text_printf(t, ",\"by\":{\"uid\":%u", by->uid);
	if (by->login != LB_CALLER_NO_LOGIN)
		lb_text_printf(t, ",\"login_uid\":%u", by->login);
	if (by->pid)
		lb_text_printf(t, ",\"pid\":%d", by->pid);
	lb_text_puts(t, "}");
}

static char *encode(const struct lb_events *e, uint64_t seq, const struct lb_event *event)
{
	char buf[LB_ADDR_STRLEN];
	struct lb_text t = {0};

	lb_text_puts(&t, "{");
	if (!e->unnumbered)
		lb_text_printf(&t, "\"seq\":%llu,", (unsigned long long)seq);
	put_time(&t, lb_clock_ns(CLOCK_REALTIME));
	put_member(&t, "type", lb_event_type_name(event->type));
	put_member(&t, "service", event->service);
	put_member(&t, "backend", event->backend ? lb_endpoint_format(event->backend, buf) : NULL);
	put_member(&t, "address", event->address ? lb_addr_format(event->address, buf) : NULL);
	put_member(&t, "interface", event->interface);
	put_member(&t, "from", event->from);
	put_member(&t, "to", event->to);
	put_member(&t, "reason", event->reason);
	put_member(&t, "origin", event->origin);
	put_member(&t, "verdict", event->verdict);
	put_number(&t, "generation", event->generation);
	put_number(&t, "count", event->count);
	put_member(&t, "detail", event->detail);
	put_member(&t, "name", event->name);
	put_caller(&t, event->by);
	lb_text_puts(&t, "}");
	return lb_text_take(&t, NULL);
}

void lb_events_add(struct lb_events *e, const struct lb_event *event)
{
	struct slot *slot;
	char *text, *fit;

	if (!e)
		return;
	if (e->next - e->first == LB_EVENTS_RING)
		e->first++;
	slot = &e->ring[e->next % LB_EVENTS_RING];
	free(slot->json);
	text = encode(e, e->next, event);
	fit = text ? realloc(text, strlen(text) + 1) : NULL; /* the ring is to hold what it needs */
	*slot = (struct slot){fit ? fit : text, event->type};
	e->next++;
	if (e->wake)
		e->wake(e->ctx);
}

/* ---- readers ---- */

struct lb_events_reader *lb_events_reader_new(struct lb_events *e, uint64_t after, enum lb_events_format format)
{
	struct lb_events_reader *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->main.events = e;
	r->format = format;
	r->types = ~0U;
	r->main.next = after >= e->start - 1 && after < e->next ? after + 1 : e->start;
	return r;
}

void lb_events_reader_only(struct lb_events_reader *r, uint32_t types)
{
	r->types = types;
}

void lb_events_reader_beside(struct lb_events_reader *r, struct lb_events *e)
{
	r->beside = (struct source){e, e->next};
}

void lb_events_reader_free(struct lb_events_reader *r)
{
	if (r)
		lb_text_fini(&r->pending);
	free(r);
}

static void put_framed(struct lb_events_reader *r, const struct lb_events *e, enum lb_event_type type, uint64_t seq,
		       const char *json)
{
	if (r->format == LB_EVENTS_SSE && !e->unnumbered)
		lb_text_printf(&r->pending, "id: %llu\n", (unsigned long long)seq);
	if (r->format == LB_EVENTS_SSE)
		lb_text_printf(&r->pending, "event: %s\ndata: ", lb_event_type_name(type));
	lb_text_puts(&r->pending, json);
	lb_text_puts(&r->pending, r->format == LB_EVENTS_SSE ? "\n\n" : "\n");
}

/* Where what comes next begins; what is gone until there is told. */
static void skip_lost(struct lb_events_reader *r, struct source *s)
{
	const struct lb_events *e = s->events;
	uint64_t from = s->next;
	char *json;

	if (s->next < e->first)
		s->next = e->first;
	while (s->next < e->next && !e->ring[s->next % LB_EVENTS_RING].json)
		s->next++;
	if (s->next == from)
		return;
	json = encode(e, s->next - 1, &(struct lb_event){LB_EVENT_LOST, .count = s->next - from});
	if (json)
		put_framed(r, e, LB_EVENT_LOST, s->next - 1, json);
	free(json);
}

/* The next event of @s that @r wants, where there is one. */
static void take(struct lb_events_reader *r, struct source *s)
{
	const struct lb_events *e = s->events;
	const struct slot *slot;

	while (!r->pending.len) {
		skip_lost(r, s);
		if (r->pending.len || s->next == e->next)
			return;
		slot = &e->ring[s->next % LB_EVENTS_RING];
		if (r->types & 1U << slot->type)
			put_framed(r, e, slot->type, s->next, slot->json);
		s->next++;
	}
}

size_t lb_events_reader_read(struct lb_events_reader *r, char *buf, size_t max)
{
	size_t done = 0, n;

	while (done < max) {
		if (r->at == r->pending.len) {
			r->pending.len = r->at = 0;
			take(r, &r->main);
			if (!r->pending.len && r->beside.events)
				take(r, &r->beside);
			if (!r->pending.len)
				break;
		}
		n = r->pending.len - r->at < max - done ? r->pending.len - r->at : max - done;
		memcpy(buf + done, r->pending.at + r->at, n);
		r->at += n;
		done += n;
	}
	return done;
}
