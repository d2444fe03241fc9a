// SPDX-License-Identifier: GPL-2.0-or-later
/* What was seen last, by the ids that the model gives; see watch.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "pause.h"
#include "stats.h"
#include "watch.h"

/* Of the backend that has the id now. Its generation is no name: it changes when its connections are ended, too. */
struct seen_backend {
	uint64_t name; /* a hash of its address and its service; 0: not known */
	bool chosen;
	uint8_t admin;
};

struct seen_service {
	uint64_t name; /* a hash of it; 0: not known */
	uint8_t state;
	bool served; /* ever */
	uint32_t tier;
};

struct lb_watch {
	struct lb_events *events;
	bool model_primed, ifaces_primed;
	struct seen_backend backends[LB_MAX_BACKENDS];
	struct seen_service services[LB_MAX_SERVICES];
	struct lb_iface *ifaces; /* as last seen, in order of name */
	size_t nr_ifaces;
};

struct lb_watch *lb_watch_new(struct lb_events *events)
{
	struct lb_watch *w = calloc(1, sizeof(*w));

	if (w)
		w->events = events;
	return w;
}

void lb_watch_free(struct lb_watch *w)
{
	if (w)
		free(w->ifaces);
	free(w);
}

static uint64_t hash_of(const void *name, size_t len)
{
	uint64_t h = 0xcbf29ce484222325ULL; /* FNV-1a */

	for (size_t i = 0; i < len; i++)
		h = (h ^ ((const unsigned char *)name)[i]) * 0x100000001b3ULL;
	return h ? h : 1;
}

/* ---- backends ---- */

static const char *admin_name(unsigned int admin)
{
	static const char *const names[] = {"enabled", "draining", "disabled"};

	return names[admin];
}

/* Why it takes new connections, or none: the first that applies of what the policy looks at. */
static const char *why(const struct lb_model_service *s, const struct lb_model_backend *b)
{
	bool healthy = b->health == LB_HEALTH_UP || b->health == LB_HEALTH_UNCHECKED;

	if (b->chosen)
		return healthy ? NULL : "panic";
	if (b->conf.admin != LB_ADMIN_ENABLED)
		return admin_name(b->conf.admin);
	if (!b->conf.weight)
		return "weight";
	if (!healthy)
		return lb_health_name(b->health);
	if (!b->next_hop.ifindex)
		return "no_next_hop";
	return "standby";
}

/* @service: its hash. */
static void watch_backend(struct lb_watch *w, const struct lb_model_service *s, const struct lb_model_backend *b,
			  uint64_t service)
{
	uint64_t name =
		hash_of(&b->conf.address, sizeof(b->conf.address.addr) + sizeof(b->conf.address.port)) ^ service;
	struct seen_backend *seen = &w->backends[b->idx];
	struct lb_event e = {.service = s->conf.name, .backend = &b->conf.address};

	if (seen->name != name)
		*seen = (struct seen_backend){.name = name, .admin = b->conf.admin};
	if (seen->admin != b->conf.admin && w->model_primed) {
		e.type = LB_EVENT_BACKEND_STATE;
		e.from = admin_name(seen->admin);
		e.to = admin_name(b->conf.admin);
		lb_events_add(w->events, &e);
	}
	if (seen->chosen != b->chosen && w->model_primed) {
		e.type = LB_EVENT_BACKEND_SERVING;
		e.from = seen->chosen ? "serving" : "idle";
		e.to = b->chosen ? "serving" : "idle";
		e.reason = why(s, b);
		lb_events_add(w->events, &e);
	}
	seen->admin = b->conf.admin;
	seen->chosen = b->chosen;
}

/* ---- services ---- */

/* A new service is not logged until it has served: that it is down at first is no news. */
static void log_service(const struct lb_model_service *s, const struct seen_service *seen, enum lb_service_state state,
			const char *reason)
{
	bool better = state == LB_SERVICE_UP || state < seen->state;

	/* Of one that is down no tier serves. */
	if (!seen->served || (seen->state == state && (!s->choice.chosen || seen->tier == s->choice.tier)))
		return;
	lb_log(better ? LB_LOG_INFO : LB_LOG_WARN, "msg=\"service\" service=%s from=%s to=%s tier=%u reason=%s",
	       s->conf.name, lb_service_state_name(seen->state), lb_service_state_name(state), s->choice.tier,
	       lb_quoted(reason));
}

static void watch_service(struct lb_watch *w, const struct lb_model_service *s, uint64_t name)
{
	struct seen_service *seen = &w->services[s->idx];
	struct lb_event e = {.service = s->conf.name};
	char reason[128], from[12], to[12];
	enum lb_service_state state = lb_stats_state(s, reason, sizeof(reason));

	if (seen->name != name)
		*seen = (struct seen_service){.name = name, .state = LB_SERVICE_DOWN};
	else
		log_service(s, seen, state, reason);
	seen->served |= state != LB_SERVICE_DOWN;
	if (seen->state != state && w->model_primed) {
		e.type = LB_EVENT_SERVICE_STATE;
		e.from = lb_service_state_name(seen->state);
		e.to = lb_service_state_name(state);
		e.reason = *reason ? reason : NULL;
		lb_events_add(w->events, &e);
	}
	seen->state = state;
	if (!s->choice.chosen)
		return; /* no tier serves: the last one counts on */
	if (seen->tier != s->choice.tier && w->model_primed) {
		snprintf(from, sizeof(from), "%u", seen->tier);
		snprintf(to, sizeof(to), "%u", s->choice.tier);
		lb_events_add(w->events, &(struct lb_event){LB_EVENT_SERVICE_TIER, .service = s->conf.name,
							    .from = from, .to = to});
	}
	seen->tier = s->choice.tier;
}

void lb_watch_model(struct lb_watch *w, const struct lb_model *m)
{
	const struct lb_model_service *const *list;
	size_t nr = lb_model_services(m, &list);

	for (size_t i = 0; i < nr; i++) {
		uint64_t name = hash_of(list[i]->conf.name, strlen(list[i]->conf.name));

		for (size_t j = 0; j < list[i]->conf.nr_backends; j++) {
			watch_backend(w, list[i], &list[i]->backends[j], name);
			lb_pause();
		}
		watch_service(w, list[i], name);
		lb_pause();
	}
	w->model_primed = true;
}

/* ---- interfaces ---- */

static const char *mode_of(const struct lb_iface *i)
{
	return i && i->attached ? lb_attach_mode_name(i->at.mode) : "detached";
}

static void watch_iface(struct lb_watch *w, const struct lb_iface *was, const struct lb_iface *is)
{
	const char *note = !is ? "" : is->attached ? is->at.note : is->note;
	bool renamed = was && is && strcmp(was->called, is->called);
	char text[64];

	if (!strcmp(mode_of(was), mode_of(is)) && (!was || !is || was->at.ifindex == is->at.ifindex) && !renamed)
		return;
	if (renamed && is->attached) {
		snprintf(text, sizeof(text), "it is called %s now", *is->called ? is->called : is->conf.name);
		note = text;
	}
	lb_events_add(w->events,
		      &(struct lb_event){LB_EVENT_INTERFACE, .interface = (is ? is : was)->conf.name,
					 .from = mode_of(was), .to = mode_of(is), .reason = *note ? note : NULL});
}

void lb_watch_ifaces(struct lb_watch *w, const struct lb_ifaces *f)
{
	struct lb_iface *copy = calloc(f->nr ? f->nr : 1, sizeof(*copy));
	size_t i = 0, j = 0;

	if (!copy)
		return; /* next time */
	if (f->nr)
		memcpy(copy, f->list, f->nr * sizeof(*copy));
	while (w->ifaces_primed && (i < w->nr_ifaces || j < f->nr)) {
		int d = i == w->nr_ifaces ? 1 : j == f->nr ? -1 : strcmp(w->ifaces[i].conf.name, copy[j].conf.name);

		watch_iface(w, d <= 0 ? &w->ifaces[i] : NULL, d >= 0 ? &copy[j] : NULL);
		i += d <= 0;
		j += d >= 0;
	}
	free(w->ifaces);
	w->ifaces = copy;
	w->nr_ifaces = f->nr;
	w->ifaces_primed = true;
}
