// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Model, plan and packets together: random configurations, health and restarts go through plans, operation by
 * operation, into simulated maps, and connections speak between any two operations. None to a live backend moves,
 * whatever half of an update is done; an lbd that is killed in the middle of a plan leaves what the next one can go on
 * from; and one that starts on maps that are as it wants them changes nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lb/dp/flow.h"
#include "lb/dp/hash.h"
#include "lb/dp/steer.h"
#include "model_conf.h"
#include "plan_sim.h"

#define WEB "web"
#define ADDRESSES 10
#define CONNS 200
#define SECOND 1000000000ULL

struct conn {
	__u64 hash;
	bool open;
	uint16_t backend;
	uint64_t spoke_ns;
};

struct world {
	uint64_t rng;
	struct lb_config *conf;
	struct lb_model *model;
	struct lb_image *applied; /* what the maps hold as far as lbd knows */
	struct sim *sim;
	struct lb_flow_set *flows;
	struct conn conns[CONNS];
	uint64_t now_ns;
	bool never_killed; /* amid a plan */
	bool amid;	   /* a plan is being carried out */
	struct lb_next_hop next_hops[ADDRESSES + 1];
	uint64_t sent[LB_MAX_BACKENDS]; /* to each backend */
	uint64_t *counters;		/* what lbd reads: .sent, or an older copy */
	size_t packets, half_packets, kills, misses, spared, lost;
};

static uint32_t rnd(struct world *w, uint32_t n)
{
	w->rng ^= w->rng << 13;
	w->rng ^= w->rng >> 7;
	w->rng ^= w->rng << 17;
	return (uint32_t)(w->rng >> 20) % n;
}

static struct sim_service *web(struct world *w)
{
	for (uint32_t i = 1; i < LB_MAX_SERVICES; i++) {
		if (w->sim->services[i].line.name_id == lb_name_id(WEB))
			return &w->sim->services[i];
	}
	return NULL;
}

static bool tracked(const struct sim_service *s)
{
	return s->line.flags & LB_SERVICE_F_TRACK_TCP;
}

static uint16_t choose(struct world *w, struct conn *c, bool opens)
{
	const struct sim_service *s = web(w);
	__u32 tag = lb_flow_tag(c->hash), word;
	struct lb_flow_set *set = &w->flows[lb_flow_set_idx(c->hash)];
	int way = -1;
	bool learn;
	uint16_t b;

	if (!s)
		return 0;
	w->packets++;
	word = s->slots[lb_flow_slot(tag, s->shift)];
	if (lb_steer_wants_flow(word, tracked(s) ? LB_VIP_F_TRACK : 0))
		way = lb_flow_find(set, tag);
	if (way >= 0) {
		__u64 e = set->entry[way];

		b = LB_FLOW_BACKEND(e);
		if (LB_FLOW_GEN(e) == w->sim->backends[b].gen &&
		    lb_steer_hit_counts(w->sim->backends[b].flags, opens, e & LB_FLOW_CLOSED)) {
			set->entry[way] = LB_FLOW(tag, lb_flow_age(w->now_ns), LB_FLOW_GEN(e), true, b);
			return b;
		}
	}
	b = (uint16_t)lb_steer_miss(word, opens, tracked(s) || way >= 0, &learn);
	if (!b || !learn)
		return b;
	if (way < 0)
		way = lb_flow_victim(set, false, lb_flow_age(w->now_ns));
	/* Sets are many and connections few: none is ever full. */
	assert_true(way >= 0);
	set->entry[way] = LB_FLOW(tag, lb_flow_age(w->now_ns), w->sim->backends[b].gen, false, b);
	return b;
}

static uint16_t steer(struct world *w, struct conn *c, bool opens)
{
	uint16_t b = choose(w, c, opens);

	w->sent[b]++;
	return b;
}

static uint64_t packets_of(void *ctx, uint16_t idx)
{
	struct world *w = ctx;

	w->spared += !w->counters[idx];
	return w->counters[idx];
}

/* What is bound to a backend dies with it: as soon as packets can see that; with one that is removed, as soon as it
 * begins to be. */
static void bury(struct world *w, const struct lb_plan *plan, size_t done)
{
	for (size_t i = 0; i < plan->nr; i++) {
		const struct lb_op *op = &plan->ops[i];

		if (op->kind != LB_OP_BACKEND_DEL &&
		    (op->kind != LB_OP_BACKEND_SET || i > done || (op->backend->flags & LB_BACKEND_F_ALIVE)))
			continue;
		for (int c = 0; c < CONNS; c++)
			w->conns[c].open &= w->conns[c].backend != op->idx;
	}
}

static void speak(struct world *w, struct conn *c)
{
	if (!c->open) {
		c->backend = steer(w, c, true);
		/* Who cannot be reached takes nothing new. */
		if (c->backend && !w->amid)
			assert_int_not_equal(w->sim->backends[c->backend].oif, 0);
		c->open = c->backend && (w->sim->backends[c->backend].flags & LB_BACKEND_F_ALIVE);
	} else {
		w->lost += !w->sim->backends[c->backend].oif;
		c->open = steer(w, c, false) == c->backend;
		w->misses += !c->open;
	}
	c->spoke_ns = w->now_ns;
}

static void speak_some(struct world *w, uint32_t nr)
{
	while (nr--)
		speak(w, &w->conns[rnd(w, CONNS)]);
}

/* Carry out what brings the maps to @image; with @stop, lbd is killed before that operation. */
static bool carry_out(struct world *w, struct lb_image *image, size_t stop)
{
	struct lb_plan plan;
	bool whole = true;

	assert_int_equal(lb_plan_make(w->applied, image, &plan), 0);
	for (size_t i = 0; i < plan.nr; i++) {
		whole = i != stop;
		if (!whole)
			break;
		bury(w, &plan, i);
		/* As the dataplane does: a backend's counter begins when it does. */
		if (plan.ops[i].kind == LB_OP_BACKEND_DEL)
			w->sent[plan.ops[i].idx] = 0;
		sim_do(w->sim, &plan.ops[i]);
		sim_check(w->sim);
		w->half_packets -= w->packets;
		w->amid = true;
		speak_some(w, 5);
		w->amid = false;
		w->half_packets += w->packets;
		bury(w, &plan, i);
	}
	lb_plan_fini(&plan);
	return whole;
}

static void new_hashes(struct world *w)
{
	for (int i = 0; i < CONNS; i++) {
		uint64_t n = (uint64_t)i;

		w->conns[i].hash = lb_sip_words((const __u64[]){w->conf->hash_key[0], w->conf->hash_key[1]},
						(const __u64[]){n}, 1);
	}
}

static void set_all_health(struct world *w, enum lb_health h)
{
	for (size_t i = 0; i < w->conf->nr_services; i++) {
		const struct lb_service_conf *s = &w->conf->services[i];

		for (size_t j = 0; j < s->nr_backends; j++)
			lb_model_set_health(w->model, s->name, &s->backends[j].address, h, w->now_ns / SECOND);
	}
}

/* As it is at lbd's side: next hops are told as soon as there is somebody to tell them to. */
static void tell_next_hops(struct world *w)
{
	for (uint32_t n = 1; n <= ADDRESSES; n++)
		lb_model_set_next_hop(w->model, conf_ep(n).addr, &w->next_hops[n], w->now_ns / SECOND);
}

/* A new lbd, which knows nothing but the maps and the configuration. */
static void restart(struct world *w)
{
	struct lb_err err;

	lb_image_free(w->applied);
	lb_model_free(w->model);
	sim_forget(w->sim);
	w->applied = sim_read(w->sim);
	w->model = lb_model_new();
	assert_int_equal(lb_model_adopt(w->model, w->applied), 0);
	assert_int_equal(lb_model_apply(w->model, w->conf, w->now_ns / SECOND, &err), 0);
	w->kills++;
}

/* At once, or as an event loop does it. */
static struct lb_image *make_image(struct world *w)
{
	uint32_t slots = 50 + rnd(w, 500);

	if (rnd(w, 2))
		return lb_model_image(w->model);
	while (lb_model_prepare(w->model, slots) > 0)
		;
	assert_false(lb_model_stale(w->model));
	return lb_model_image_prepared(w->model);
}

static void sync(struct world *w)
{
	for (;;) {
		struct lb_image *image = make_image(w);

		if (carry_out(w, image, w->never_killed || rnd(w, 4) ? SIZE_MAX : rnd(w, 8))) {
			sim_expect(w->sim, image);
			lb_image_free(w->applied);
			w->applied = image;
			return;
		}
		lb_image_free(image);
		restart(w);
		tell_next_hops(w);
	}
}

static void change_conf(struct world *w)
{
	uint32_t n = 1 + rnd(w, ADDRESSES);
	struct lb_backend_conf *b = conf_find(w->conf, WEB, n);
	struct lb_err err;

	switch (rnd(w, 9)) {
	case 0:
		if (b)
			conf_del(w->conf, WEB, n);
		break;
	case 1:
		if (b)
			b->admin = rnd(w, 3);
		break;
	case 2:
		if (b)
			b->weight = rnd(w, 5) ? 1 + rnd(w, 4) : 0;
		break;
	case 3:
		if (b)
			b->tier = rnd(w, 2);
		break;
	case 4:
		lb_config_service(w->conf, WEB)->panic_threshold = rnd(w, 60);
		lb_config_service(w->conf, WEB)->tier_min = 1 + rnd(w, 3);
		break;
	case 5:
		if (lb_config_service(w->conf, "other"))
			assert_int_equal(lb_config_del_service(w->conf, "other", &err), 0);
		else
			conf_service(w->conf, "other", LB_CHECK_NONE);
		break;
	case 6:
		lb_config_service(w->conf, WEB)->slow_start_ns = rnd(w, 30) * SECOND;
		break;
	default:
		if (!b)
			conf_backend(w->conf, WEB, n);
	}
	assert_int_equal(lb_model_apply(w->model, w->conf, w->now_ns / SECOND, &err), 0);
	if (rnd(w, 3))
		tell_next_hops(w);
}

static struct lb_next_hop some_next_hop(struct world *w)
{
	struct lb_next_hop nh = {.mtu = 1500, .ifindex = 1 + rnd(w, 9), .dmac = {2}, .smac = {4}};

	memcpy(nh.source4, conf_ep(1000).addr, sizeof(nh.source4));
	return nh;
}

static void change_health(struct world *w)
{
	uint32_t n = 1 + rnd(w, ADDRESSES);
	struct lb_endpoint ep = conf_ep(n);

	w->next_hops[n] = rnd(w, 4) ? some_next_hop(w) : (struct lb_next_hop){0};
	tell_next_hops(w);
	lb_model_set_health(w->model, WEB, &ep, rnd(w, 3) ? LB_HEALTH_UP : LB_HEALTH_DOWN, w->now_ns / SECOND);
}

/* Who would be silent for longer than the window speaks first. */
static void pass_time(struct world *w, uint64_t ns)
{
	for (int i = 0; i < CONNS; i++) {
		struct conn *c = &w->conns[i];

		if (c->open && w->now_ns + ns - c->spoke_ns > w->conf->learning_window_ns)
			speak(w, c);
	}
	w->now_ns += ns;
}

static void world_init(struct world *w, uint64_t seed)
{
	struct lb_err err;

	memset(w, 0, sizeof(*w));
	w->rng = seed * 0x9e3779b97f4a7c15ULL + 1;
	w->now_ns = 100 * SECOND;
	w->conf = conf_new();
	conf_service(w->conf, WEB, LB_CHECK_TCP)->state = seed % 4 ? LB_STATE_AUTO : LB_STATE_ALL;
	for (uint32_t n = 1; n < 5; n++)
		conf_backend(w->conf, WEB, n);
	w->model = lb_model_new();
	w->sim = calloc(1, sizeof(*w->sim));
	w->flows = calloc(LB_FLOW_SETS, sizeof(*w->flows));
	assert_int_equal(lb_model_apply(w->model, w->conf, 100, &err), 0);
	set_all_health(w, LB_HEALTH_UP);
	for (uint32_t n = 1; n <= ADDRESSES; n++)
		w->next_hops[n] = some_next_hop(w);
	tell_next_hops(w);
	new_hashes(w);
	sync(w);
}

static void world_free(struct world *w)
{
	lb_image_free(w->applied);
	lb_model_free(w->model);
	lb_config_free(w->conf);
	sim_free(w->sim);
	free(w->flows);
}

/* Random worlds. @early: counters are read before the last changes are carried out, when new connections still went
 * where the slots came from; that must show. Returns how many connections moved. */
static size_t play(bool early)
{
	size_t packets = 0, half_packets = 0, kills = 0, misses = 0, spared = 0, lost = 0;
	uint64_t *then = calloc(LB_MAX_BACKENDS, sizeof(*then));
	struct world *w = malloc(sizeof(*w));
	bool more;

	/* One that moves is enough to show that it can. */
	for (uint64_t seed = 1; seed <= (early ? 240 : 18) && !(early && misses); seed++) {
		world_init(w, seed);
		w->counters = early ? then : w->sent;
		/* What an lbd finds when it starts is not known to be unused. */
		w->never_killed = seed > 9;
		for (int step = 0; step < 150; step++) {
			pass_time(w, rnd(w, 5) * SECOND + rnd(w, SECOND));
			if (step % 8 == 0)
				memcpy(then, w->sent, sizeof(w->sent));
			speak_some(w, 60);
			if (rnd(w, 2))
				w->conns[rnd(w, CONNS)].open = false;
			lb_model_time(w->model, w->now_ns / SECOND, &more);
			if (rnd(w, 3))
				change_health(w);
			else
				change_conf(w);
			if (w->never_killed || rnd(w, 5))
				sync(w);
			else
				restart(w);
			tell_next_hops(w);
			/* Only what has been applied may be built upon. */
			sync(w);
			if (!rnd(w, 3))
				lb_model_tick(w->model, w->flows, rnd(w, 5) ? packets_of : NULL, w, w->now_ns / SECOND,
					      lb_flow_age(w->now_ns));
			sync(w);
		}
		packets += w->packets;
		half_packets += w->half_packets;
		kills += w->kills;
		misses += w->misses;
		spared += w->spared;
		lost += w->lost;
		world_free(w);
	}
	print_message("%zu packets, %zu of them amid plans, %zu without a next hop, %zu kills, %zu unused, %zu moved\n",
		      packets, half_packets, lost, kills, spared, misses);
	assert_true(early || (packets > 50000 && half_packets > 5000 && lost > 1000 && kills > 250 && spared > 50));
	free(then);
	free(w);
	return misses;
}

static void test_nothing_moves(void **state)
{
	assert_int_equal(play(false), 0);
}

static void test_counters_read_early(void **state)
{
	assert_true(play(true) > 0);
}

/* A restart with all as it was: no operation, whatever the phases of the slots. */
static void test_restart_changes_nothing(void **state)
{
	static struct world w;
	bool more;

	for (uint64_t seed = 1; seed <= 10; seed++) {
		world_init(&w, seed);
		w.never_killed = true;
		for (int i = 0; i < 30; i++) {
			struct lb_image *image;
			struct lb_plan plan;

			w.now_ns += SECOND;
			change_conf(&w);
			change_health(&w);
			sync(&w);
			/* How far a slow start has come is not in the maps: it ends with a restart. */
			w.now_ns += 60 * SECOND;
			lb_model_time(w.model, w.now_ns / SECOND, &more);
			sync(&w);
			restart(&w);
			image = lb_model_image(w.model);
			assert_int_equal(lb_plan_make(w.applied, image, &plan), 0);
			assert_int_equal(plan.nr, 0);
			lb_plan_fini(&plan);
			lb_image_free(image);
		}
		world_free(&w);
	}
}

/* What no service of the new configuration wants is removed, also what belonged to none. */
static void test_orphans(void **state)
{
	static struct world w;
	struct lb_image *found, *image;
	struct lb_plan plan;
	struct lb_err err;
	size_t deleted = 0;

	world_init(&w, 1);
	found = sim_read(w.sim);
	found->services[9] = lb_service_image_new();
	found->services[9]->idx = 9;
	found->services[9]->backends = calloc(1, sizeof(struct lb_backend_image));
	found->services[9]->nr_backends = 1;
	found->services[9]->backends[0].idx = 77;
	found->services[9]->backends[0].line =
		(struct lb_backend){.service = 9, .flags = LB_BACKEND_F_ALIVE, .gen = 255};
	found->gen[77] = 255;
	lb_model_free(w.model);
	w.model = lb_model_new();
	assert_int_equal(lb_model_adopt(w.model, found), 0);
	lb_config_del_service(w.conf, WEB, &err);
	assert_int_equal(lb_model_apply(w.model, w.conf, 0, &err), 0);
	image = lb_model_image(w.model);
	assert_int_equal(lb_plan_make(found, image, &plan), 0);
	for (size_t i = 0; i < plan.nr; i++) {
		deleted += plan.ops[i].kind == LB_OP_BACKEND_DEL;
		if (plan.ops[i].kind == LB_OP_BACKEND_DEL && plan.ops[i].idx == 77)
			assert_int_equal(plan.ops[i].gen, 0);
	}
	assert_int_equal(deleted, 5);
	assert_int_equal(lb_model_services(w.model, &(const struct lb_model_service *const *){NULL}), 0);
	lb_plan_fini(&plan);
	lb_image_free(found);
	lb_image_free(image);
	world_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_moves),
		cmocka_unit_test(test_counters_read_early),
		cmocka_unit_test(test_restart_changes_nothing),
		cmocka_unit_test(test_orphans),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
