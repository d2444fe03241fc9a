// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Facts that come in while a change is being made: the model is told when it is done, a moment later and in the order
 * in which they came.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "control.h"
#include "control_priv.h"
#include "log.h"

#define AGAIN_NS (LB_NSEC_PER_SEC / 500)
#define SLICE_NS (3 * LB_NSEC_PER_SEC / 1000)

struct lb_fact {
	enum { HEALTH, SHARE, NEXT_HOP } of;
	char service[LB_NAME_MAX];
	struct lb_endpoint backend;
	enum lb_health from;
	struct lb_health_state state;
	uint32_t share_from, share_to;
	bool said;
	uint8_t addr[16];
	struct lb_next_hop nh;
};

struct lb_facts {
	struct event *event;
	struct lb_fact *list;
	size_t at, nr, room; /* those before .at were told */
	bool telling;
};

static void again(struct event *ev)
{
	const struct timeval tv = lb_timeval(AGAIN_NS);

	evtimer_add(ev, &tv);
}

bool lb_control_postpone(struct lb_control *c, struct event *ev)
{
	if (!lb_work_busy(c->work))
		return false;
	again(ev);
	return true;
}

static void tell(struct lb_control *c, const struct lb_fact *fact)
{
	if (fact->of == HEALTH)
		lb_control_on_health(c, fact->service, &fact->backend, fact->from, &fact->state);
	else if (fact->of == SHARE)
		lb_control_on_share(c, fact->service, &fact->backend, fact->share_from, fact->share_to, fact->said);
	else
		lb_control_on_next_hop(c, fact->addr, &fact->nh);
}

/* As many as there is time for, and one: there may be thousands. */
static void on_facts(evutil_socket_t fd, short what, void *ctx)
{
	uint64_t end_ns = lb_now_ns() + SLICE_NS;
	const struct timeval now = {0};
	struct lb_control *c = ctx;
	struct lb_facts *f = c->facts;

	if (lb_control_postpone(c, f->event))
		return;
	f->telling = true;
	do {
		tell(c, &f->list[f->at++]);
	} while (f->at < f->nr && lb_now_ns() < end_ns);
	f->telling = false;
	if (f->at < f->nr) {
		evtimer_add(f->event, &now);
		return;
	}
	free(f->list);
	f->list = NULL;
	f->at = f->nr = f->room = 0;
}

struct lb_facts *lb_facts_new(struct lb_control *c)
{
	struct lb_facts *f = calloc(1, sizeof(*f));

	if (f)
		f->event = evtimer_new(c->base, on_facts, c);
	if (f && f->event)
		return f;
	free(f);
	return NULL;
}

void lb_facts_free(struct lb_facts *f)
{
	if (!f)
		return;
	event_free(f->event);
	free(f->list);
	free(f);
}

/* Does @fact wait? Behind those that do. Where there is no memory for it, it is lost. */
static bool defer(struct lb_control *c, const struct lb_fact *fact)
{
	struct lb_facts *f = c->facts;

	if (!f || f->telling || !(lb_work_busy(c->work) || (f->nr && !lb_work_inside(c->work))))
		return false;
	if (f->nr == f->room) {
		size_t room = f->room ? 2 * f->room : 64;
		struct lb_fact *list = realloc(f->list, room * sizeof(*list));

		if (!list) {
			lb_log(LB_LOG_ERROR, "msg=\"out of memory: what was found out is lost\"");
			return true;
		}
		f->list = list;
		f->room = room;
	}
	if (!f->nr)
		again(f->event);
	f->list[f->nr++] = *fact;
	return true;
}

bool lb_facts_defer_health(struct lb_control *c, const char *service, const struct lb_endpoint *backend,
			   enum lb_health from, const struct lb_health_state *h)
{
	struct lb_fact fact = {.of = HEALTH, .backend = *backend, .from = from, .state = *h};

	strncpy(fact.service, service, sizeof(fact.service) - 1);
	return defer(c, &fact);
}

bool lb_facts_defer_share(struct lb_control *c, const char *service, const struct lb_endpoint *backend, uint32_t from,
			  uint32_t to, bool said)
{
	struct lb_fact fact = {.of = SHARE, .backend = *backend, .share_from = from, .share_to = to, .said = said};

	strncpy(fact.service, service, sizeof(fact.service) - 1);
	return defer(c, &fact);
}

bool lb_facts_defer_next_hop(struct lb_control *c, const uint8_t addr[16], const struct lb_next_hop *nh)
{
	struct lb_fact fact = {.of = NEXT_HOP, .nh = *nh};

	memcpy(fact.addr, addr, sizeof(fact.addr));
	return defer(c, &fact);
}
