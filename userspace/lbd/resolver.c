// SPDX-License-Identifier: GPL-2.0-or-later
/* Names by c-ares: when each is looked up, and what counts of the answers. The asking itself is resolver_ask.c's. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "log.h"
#include "resolver.h"
#include "resolver_ask.h"

#define ASKED_MAX 64 /* names at a time; the others wait for their turn */
#define RETRY_NS LB_NSEC_PER_SEC
#define RETRY_MAX_NS (30 * LB_NSEC_PER_SEC)

/* One family of one name. */
struct family {
	bool wanted;
	bool asked; /* and not answered yet */
	enum lb_lookup last;
	uint64_t ttl_ns;
	uint8_t (*addrs)[16]; /* the last good answer, in order */
	size_t nr;
	uint8_t (*fresh)[16]; /* what has just been answered */
	size_t nr_fresh;
};

struct lb_name {
	struct lb_resolver *owner;
	char name[LB_NAME_STRLEN];
	struct family families[2]; /* IPv4, IPv6 */
	struct event *timer;
	struct lb_ask *asks[2];
	bool answered;	       /* well, ever */
	bool waiting;	       /* its time has come, and too many others are asked */
	unsigned int failures; /* in a row */
	uint8_t (*addrs)[16];  /* of both families, in order */
	size_t nr;
	struct lb_name_stats stats;
};

struct lb_resolver {
	struct event_base *base;
	struct lb_events *events;
	void (*changed)(void *ctx);
	void *ctx;
	struct lb_asker *asker;
	struct lb_resolver_conf conf; /* .servers its own */
	struct lb_name **names;	      /* in order of name */
	size_t nr;
	size_t asked;
};

const char *lb_lookup_name(enum lb_lookup l)
{
	static const char *const names[] = {
#define X(id, name, help) name,
		LB_LOOKUPS(X)
#undef X
	};

	return names[l];
}

/* ---- one name ---- */

static void name_stop(struct lb_name *n)
{
	for (int i = 0; i < 2; i++) {
		if (n->asks[i])
			lb_ask_cancel(n->asks[i]);
		n->owner->asked -= n->asks[i] != NULL;
		n->asks[i] = NULL;
		n->families[i].asked = false;
	}
	n->waiting = false;
	evtimer_del(n->timer);
}

static void name_free(struct lb_name *n)
{
	if (!n)
		return;
	if (n->timer) {
		name_stop(n);
		event_free(n->timer);
	}
	for (int i = 0; i < 2; i++) {
		free(n->families[i].addrs);
		free(n->families[i].fresh);
	}
	free(n->addrs);
	free(n);
}

static void name_schedule(struct lb_name *n, uint64_t delay_ns)
{
	struct timeval tv = lb_timeval(delay_ns);

	n->stats.next_ns = lb_now_ns() + delay_ns;
	evtimer_add(n->timer, &tv);
}

static int by_addr(const void *a, const void *b)
{
	return memcmp(a, b, 16);
}

/* The addresses of both families, IPv6 being before mapped IPv4 or behind it, as memory order has it. Returns whether
 * they are others than they were; -ENOMEM. */
static int gather(struct lb_name *n)
{
	size_t nr = n->families[0].nr + n->families[1].nr, used = 0;
	uint8_t(*all)[16] = calloc(nr ? nr : 1, sizeof(*all));
	bool same;

	if (!all)
		return -ENOMEM;
	for (int i = 0; i < 2; i++)
		for (size_t j = 0; j < n->families[i].nr; j++)
			memcpy(all[used++], n->families[i].addrs[j], sizeof(*all));
	qsort(all, nr, sizeof(*all), by_addr);
	same = n->answered && n->nr == nr && (!nr || !memcmp(all, n->addrs, nr * sizeof(*all)));
	free(n->addrs);
	n->addrs = all;
	n->nr = n->stats.addresses = nr;
	n->answered = true;
	return !same;
}

/* A family without addresses takes away those that it had only where the other one has some. */
static bool take_families(struct lb_name *n)
{
	size_t good = 0;

	for (int i = 0; i < 2; i++)
		good += n->families[i].wanted && n->families[i].last == LB_LOOKUP_OK;
	for (int i = 0; i < 2; i++) {
		struct family *f = &n->families[i];

		if (!f->wanted || (good && (f->last == LB_LOOKUP_OK || f->last == LB_LOOKUP_EMPTY))) {
			free(f->addrs);
			f->addrs = f->fresh;
			f->nr = f->nr_fresh;
		} else {
			free(f->fresh);
		}
		f->fresh = NULL;
		f->nr_fresh = 0;
	}
	return good;
}

/* Of both families: the one that failed, or else that there is something. */
static enum lb_lookup sum_up(const struct lb_name *n)
{
	enum lb_lookup last = LB_LOOKUP_NONE;

	for (int i = 0; i < 2; i++) {
		const struct family *f = &n->families[i];

		if (!f->wanted)
			continue;
		if (last == LB_LOOKUP_NONE || last == LB_LOOKUP_EMPTY ||
		    (last == LB_LOOKUP_OK && f->last != LB_LOOKUP_EMPTY))
			last = f->last;
	}
	return last;
}

static void tell(struct lb_name *n, enum lb_lookup from, bool changed)
{
	struct lb_event e = {LB_EVENT_NAME, .from = lb_lookup_name(from), .to = lb_lookup_name(n->stats.last)};
	bool good = n->stats.last == LB_LOOKUP_OK;

	if (from == n->stats.last && !changed)
		return;
	e.name = n->name;
	e.count = n->nr;
	lb_events_add(n->owner->events, &e);
	lb_log(good ? LB_LOG_INFO : LB_LOG_WARN, "msg=\"%s\" name=%s from=%s to=%s addresses=%zu ttl_s=%llu",
	       good ? "name" : "a name cannot be looked up; what was last known of it stays", n->name, e.from, e.to,
	       n->nr, (unsigned long long)(n->stats.ttl_ns / LB_NSEC_PER_SEC));
}

/* Twice as long each time, so that a server that is down is not asked by everybody all the time. */
static uint64_t retry_ns(const struct lb_name *n)
{
	const struct lb_resolver_conf *conf = &n->owner->conf;
	uint64_t delay_ns = RETRY_NS, most_ns = conf->max_ttl_ns < RETRY_MAX_NS ? conf->max_ttl_ns : RETRY_MAX_NS;

	for (unsigned int i = 1; i < n->failures && delay_ns < most_ns; i++)
		delay_ns *= 2;
	return delay_ns < most_ns ? delay_ns : most_ns;
}

static uint64_t clamped_ttl_ns(const struct lb_name *n)
{
	const struct lb_resolver_conf *conf = &n->owner->conf;
	uint64_t ttl_ns = UINT64_MAX;

	for (int i = 0; i < 2; i++)
		if (n->families[i].wanted && n->families[i].last == LB_LOOKUP_OK && n->families[i].ttl_ns < ttl_ns)
			ttl_ns = n->families[i].ttl_ns;
	if (ttl_ns > conf->max_ttl_ns)
		ttl_ns = conf->max_ttl_ns;
	return ttl_ns < conf->min_ttl_ns ? conf->min_ttl_ns : ttl_ns;
}

static void name_start(struct lb_name *n);

/* Those that waited, as many as there is room for. */
static void start_waiting(struct lb_resolver *r)
{
	for (size_t i = 0; i < r->nr && r->asked < ASKED_MAX; i++)
		if (r->names[i]->waiting)
			name_start(r->names[i]);
}

/* Both families are answered. */
static void name_done(struct lb_name *n)
{
	enum lb_lookup from = n->stats.last;
	bool good = take_families(n);
	int changed = 0;

	n->stats.last = sum_up(n);
	n->stats.results[n->stats.last]++;
	n->failures = n->stats.last == LB_LOOKUP_OK ? 0 : n->failures + (n->failures < 64);
	if (good) {
		n->stats.good_ns = lb_clock_ns(CLOCK_REALTIME);
		n->stats.ttl_ns = clamped_ttl_ns(n);
		changed = gather(n);
		if (changed < 0)
			n->stats.last = LB_LOOKUP_INTERNAL;
	}
	name_schedule(n, n->stats.last == LB_LOOKUP_OK
				 ? n->stats.ttl_ns + (uint64_t)(arc4random() % 64) * (n->stats.ttl_ns / 1024)
				 : retry_ns(n));
	tell(n, from, changed > 0);
	if (changed > 0)
		n->owner->changed(n->owner->ctx);
	start_waiting(n->owner);
}

static void on_answer(void *ctx, bool v6, enum lb_lookup result, uint8_t (*addrs)[16], size_t nr, uint32_t ttl_s)
{
	struct lb_name *n = ctx;
	struct family *f = &n->families[v6];

	n->asks[v6] = NULL;
	n->owner->asked--;
	f->asked = false;
	f->last = result;
	f->ttl_ns = (uint64_t)ttl_s * LB_NSEC_PER_SEC;
	f->fresh = addrs;
	f->nr_fresh = nr;
	if (!n->families[!v6].asked)
		name_done(n);
}

static void name_start(struct lb_name *n)
{
	n->waiting = n->owner->asked >= ASKED_MAX;
	if (n->waiting)
		return;
	for (int i = 0; i < 2; i++)
		n->families[i].asked = n->families[i].wanted;
	for (int i = 0; i < 2; i++) {
		if (!n->families[i].asked)
			continue;
		n->owner->asked++;
		n->asks[i] = lb_ask(n->owner->asker, n->name, i, on_answer, n);
		if (!n->asks[i])
			on_answer(n, i, LB_LOOKUP_INTERNAL, NULL, 0, 0);
	}
}

static void on_due(evutil_socket_t fd, short what, void *ctx)
{
	name_start(ctx);
}

static struct lb_name *name_new(struct lb_resolver *r, const char *name)
{
	struct lb_name *n = calloc(1, sizeof(*n));

	if (!n)
		return NULL;
	n->timer = evtimer_new(r->base, on_due, n);
	if (!n->timer) {
		free(n);
		return NULL;
	}
	n->owner = r;
	strcpy(n->name, name);
	n->stats.name = n->name;
	n->stats.last = LB_LOOKUP_NONE;
	return n;
}

/* ---- all of them ---- */

struct lb_resolver *lb_resolver_new(struct event_base *base, struct lb_events *events, void (*changed)(void *ctx),
				    void *ctx)
{
	struct lb_resolver *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->base = base;
	r->events = events;
	r->changed = changed;
	r->ctx = ctx;
	r->asker = lb_asker_new(base);
	if (r->asker)
		return r;
	free(r);
	return NULL;
}

void lb_resolver_free(struct lb_resolver *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->nr; i++)
		name_free(r->names[i]);
	free(r->names);
	free(r->conf.servers);
	lb_asker_free(r->asker);
	free(r);
}

static int compare_name(const void *name, const void *n)
{
	return strcmp(name, (*(struct lb_name *const *)n)->name);
}

static struct lb_name *find(const struct lb_resolver *r, const char *name)
{
	struct lb_name **n = r->nr ? bsearch(name, r->names, r->nr, sizeof(*r->names), compare_name) : NULL;

	return n ? *n : NULL;
}

/* A name that a service wants, and which of its families that can use. */
struct want {
	const char *name;
	bool v4, v6;
};

static int by_want(const void *a, const void *b)
{
	return strcmp(((const struct want *)a)->name, ((const struct want *)b)->name);
}

static void add_families(struct want *w, const struct lb_service_conf *s)
{
	struct lb_backend_conf v4 = {.address = {.addr = {[10] = 0xff, 0xff, 192, 0, 2, 255}}};
	struct lb_backend_conf v6 = {.address = {.addr = {0x20, 0x01, 0x0d, 0xb8, [15] = 0xff}}};

	w->v4 |= lb_backend_conf_fits(s, &v4);
	w->v6 |= lb_backend_conf_fits(s, &v6);
}

/* In order of name, each once. *@nr of them; NULL: out of memory. */
static struct want *list_wants(const struct lb_config *c, size_t *nr)
{
	size_t names = 0, used = 0, kept = 0;
	struct want *list;

	for (size_t i = 0; i < c->nr_services; i++)
		for (size_t j = 0; j < c->services[i].nr_backends; j++)
			names += lb_backend_is_name(&c->services[i].backends[j]);
	list = calloc(names + 1, sizeof(*list));
	if (!list)
		return NULL;
	for (size_t i = 0; i < c->nr_services; i++) {
		const struct lb_service_conf *s = &c->services[i];

		for (size_t j = 0; j < s->nr_backends; j++) {
			if (!lb_backend_is_name(&s->backends[j]))
				continue;
			list[used].name = s->backends[j].name;
			add_families(&list[used++], s);
		}
	}
	qsort(list, used, sizeof(*list), by_want);
	for (size_t i = 0; i < used; i++) {
		if (kept && !strcmp(list[kept - 1].name, list[i].name)) {
			list[kept - 1].v4 |= list[i].v4;
			list[kept - 1].v6 |= list[i].v6;
		} else {
			list[kept++] = list[i];
		}
	}
	*nr = kept;
	return list;
}

static bool same_conf(const struct lb_resolver_conf *a, const struct lb_resolver_conf *b)
{
	return a->timeout_ns == b->timeout_ns && a->min_ttl_ns == b->min_ttl_ns && a->max_ttl_ns == b->max_ttl_ns &&
	       a->nr_servers == b->nr_servers &&
	       (!a->nr_servers || !memcmp(a->servers, b->servers, a->nr_servers * sizeof(*a->servers)));
}

/* 1: there are others than there were. */
static int set_conf(struct lb_resolver *r, const struct lb_resolver_conf *conf)
{
	struct lb_endpoint *servers = NULL;

	if (r->conf.timeout_ns && same_conf(&r->conf, conf))
		return 0;
	if (conf->nr_servers) {
		servers = malloc(conf->nr_servers * sizeof(*servers));
		if (!servers)
			return -ENOMEM;
		memcpy(servers, conf->servers, conf->nr_servers * sizeof(*servers));
	}
	for (size_t i = 0; i < r->nr; i++)
		name_stop(r->names[i]);
	free(r->conf.servers);
	r->conf = *conf;
	r->conf.servers = servers;
	lb_asker_set(r->asker, &r->conf);
	return 1;
}

int lb_resolver_sync(struct lb_resolver *r, const struct lb_config *c)
{
	size_t nr = 0, made = 0, was = 0;
	struct want *wants = list_wants(c, &nr);
	struct lb_name **names = calloc(nr + 1, sizeof(*names));
	int anew = wants && names ? set_conf(r, &c->resolver) : -ENOMEM, ret = 0;

	if (anew < 0) {
		free(wants);
		free(names);
		return anew;
	}
	for (size_t i = 0; i < nr; i++) {
		struct lb_name *n = NULL;
		bool start;

		while (was < r->nr && strcmp(r->names[was]->name, wants[i].name) < 0)
			name_free(r->names[was++]);
		if (was < r->nr && !strcmp(r->names[was]->name, wants[i].name))
			n = r->names[was++];
		start = anew || !n;
		if (!n)
			n = name_new(r, wants[i].name);
		if (!n) {
			ret = -ENOMEM;
			continue;
		}
		if (n->families[0].wanted != wants[i].v4 || n->families[1].wanted != wants[i].v6) {
			name_stop(n);
			start = true;
		}
		n->families[0].wanted = wants[i].v4;
		n->families[1].wanted = wants[i].v6;
		names[made++] = n;
		/* From the event loop: nobody is told anything while this goes on. */
		if (start && (wants[i].v4 || wants[i].v6))
			name_schedule(n, 0);
	}
	while (was < r->nr)
		name_free(r->names[was++]);
	free(r->names);
	free(wants);
	r->names = names;
	r->nr = made;
	start_waiting(r); /* what is gone has made room */
	return ret;
}

int lb_resolver_answers(const struct lb_resolver *r, struct lb_answers *out)
{
	*out = (struct lb_answers){.list = calloc(r->nr + 1, sizeof(*out->list))};
	if (!out->list)
		return -ENOMEM;
	for (size_t i = 0; i < r->nr; i++) {
		const struct lb_name *n = r->names[i];
		struct lb_answer *a = &out->list[out->nr];

		if (!n->answered)
			continue;
		out->nr++;
		strcpy(a->name, n->name);
		a->addrs = n->addrs;
		a->nr = n->nr;
	}
	return 0;
}

size_t lb_resolver_count(const struct lb_resolver *r)
{
	return r->nr;
}

const struct lb_name_stats *lb_resolver_stats(const struct lb_resolver *r, size_t i)
{
	return &r->names[i]->stats;
}

const struct lb_name_stats *lb_resolver_find(const struct lb_resolver *r, const char *name)
{
	const struct lb_name *n = find(r, name);

	return n ? &n->stats : NULL;
}
