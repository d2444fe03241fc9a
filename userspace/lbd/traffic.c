// SPDX-License-Identifier: GPL-2.0-or-later
/* Counters as they grow; see traffic.h. A pass over all backends is made in steps, between which lbd does what else
 * there is to do. */
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "traffic.h"
#include "verdicts.h"

#define BACKENDS_AT_ONCE 1024

/* Of a backend's index, as they were. Whose it was then may be gone: an index that is used again counts from 0. */
struct seen {
	uint64_t pkts, conns;
};

struct lb_traffic {
	struct lb_control *control;
	struct lb_events *events;
	struct event *timer;
	unsigned int readers;
	bool primed; /* there is something to compare with */
	/* of the pass that is under way */
	uint64_t begun_ns, epoch;
	size_t service, backend;
	uint64_t forwarded;
	struct seen seen[LB_MAX_BACKENDS];
	uint64_t verdicts[LB_V_COUNT];
};

static uint64_t grown(uint64_t now, uint64_t before)
{
	return now < before ? now : now - before;
}

static void look_at(struct lb_traffic *t, const struct lb_model_service *s, size_t i)
{
	struct seen *seen = &t->seen[s->backends[i].idx];
	struct lb_backend_cpu row;
	uint64_t conns;

	lb_dataplane_backend(t->control->dp, s->backends[i].idx, &row);
	conns = grown(row.conns, seen->conns);
	t->forwarded += grown(row.pkts, seen->pkts);
	*seen = (struct seen){row.pkts, row.conns};
	if (t->primed && conns)
		lb_events_add(t->events, &(struct lb_event){.type = LB_EVENT_CONNECTIONS,
							    .service = s->conf.name,
							    .backend = &s->conf.backends[i].address,
							    .count = conns});
}

static void tell_verdict(struct lb_traffic *t, enum lb_verdict v, uint64_t count)
{
	if (t->primed && count)
		lb_events_add(
			t->events,
			&(struct lb_event){.type = LB_EVENT_VERDICT, .verdict = lb_verdict_name(v), .count = count});
}

static void look_at_verdicts(struct lb_traffic *t)
{
	tell_verdict(t, LB_V_FORWARDED, t->forwarded); /* which the backends alone count */
	for (unsigned int v = LB_V_FORWARDED + 1; v < LB_V_COUNT; v++) {
		uint64_t now = lb_dataplane_verdict(t->control->dp, (enum lb_verdict)v);

		tell_verdict(t, (enum lb_verdict)v, grown(now, t->verdicts[v]));
		t->verdicts[v] = now;
	}
}

/* As many backends as may be looked at now; true: those were the last. */
static bool look(struct lb_traffic *t)
{
	const struct lb_model_service *const *list;
	size_t nr = lb_model_services(t->control->model, &list), left = BACKENDS_AT_ONCE;

	/* Those that were looked at have nothing new to tell when it is begun anew. */
	if (t->epoch != t->control->epoch)
		t->service = t->backend = 0;
	t->epoch = t->control->epoch;
	for (; t->service < nr; t->service++, t->backend = 0) {
		while (t->backend < list[t->service]->conf.nr_backends) {
			if (!left--)
				return false;
			look_at(t, list[t->service], t->backend++);
		}
	}
	return true;
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
	struct lb_traffic *t = ctx;
	struct timeval next = {0};
	uint64_t passed;

	if (!t->readers)
		return;
	if (!t->begun_ns)
		t->begun_ns = lb_now_ns();
	if (look(t)) {
		look_at_verdicts(t);
		passed = lb_now_ns() - t->begun_ns;
		if (passed < LB_NSEC_PER_SEC)
			next = lb_timeval(LB_NSEC_PER_SEC - passed);
		t->begun_ns = 0;
		t->service = t->backend = 0;
		t->forwarded = 0;
		t->primed = true;
	}
	evtimer_add(t->timer, &next);
}

struct lb_traffic *lb_traffic_new(struct lb_control *control)
{
	struct lb_traffic *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->control = control;
	t->events = lb_events_new_unnumbered();
	t->timer = evtimer_new(control->base, on_timer, t);
	if (t->events && t->timer)
		return t;
	lb_traffic_free(t);
	return NULL;
}

void lb_traffic_free(struct lb_traffic *t)
{
	if (!t)
		return;
	if (t->timer)
		event_free(t->timer);
	lb_events_free(t->events);
	free(t);
}

struct lb_events *lb_traffic_watch(struct lb_traffic *t)
{
	if (!t->readers++) {
		t->primed = false;
		t->begun_ns = 0;
		t->service = t->backend = 0;
		on_timer(-1, 0, t);
	}
	return t->events;
}

void lb_traffic_unwatch(struct lb_traffic *t)
{
	if (!--t->readers)
		evtimer_del(t->timer);
}

void lb_traffic_on_add(struct lb_traffic *t, void (*wake)(void *ctx), void *ctx)
{
	lb_events_on_add(t->events, wake, ctx);
}
