// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The promise: whatever the sequence of additions, removals, weights, drains, deaths and table sizes, no connection to
 * a live backend moves, provided that it speaks once per learning window and its entry was not evicted. Random worlds
 * are played against a reference that remembers every connection. Each rule that the promise rests on is also taken
 * away in turn, and then connections must move: otherwise the test would prove nothing.
 *
 * Few tuples are used again and again, so that connections meet what earlier ones left in the cache, and they share few
 * sets of it, so that evictions happen.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lb/dp/flow.h"
#include "lb/dp/steer.h"
#include "maglev.h"
#include "slots.h"

#define BACKENDS 8
#define TUPLES 64
#define SETS 16
#define STEPS 4000
#define SECOND 1000000000ULL

enum without {
	NOTHING,
	LEARNING,    /* data packets make no entries */
	WINDOW,	     /* the window that is kept is a quarter of the one that is promised */
	SETTLING,    /* slots are stable as soon as the window is over */
	OVERWRITING, /* an entry that does not count for a new connection stays */
	ERASING,     /* expired entries stay in the cache */
	GENERATIONS, /* entries of a backend that was dead count */
	FOREVER,     /* who has not been sent a packet since the last tick counts as unused */
	PUBLISHING,  /* who was unused before the slot moved counts as unused */
};

enum state { SERVING, DRAINING, DEAD };
enum traffic { TCP, TCP_TRACKED, UDP, TRAFFICS };

struct conn {
	uint64_t hash;
	bool open, confirmed;
	bool excused; /* its entry was evicted, or there was no place for it */
	uint16_t backend;
	uint64_t spoke_ns;
};

struct world {
	uint64_t rng;
	enum without without;
	enum traffic traffic;
	uint64_t now_ns;
	uint32_t window_s;
	struct lb_slots *slots;
	unsigned int shift;
	enum state state[BACKENDS + 1];
	uint32_t weight[BACKENDS + 1];
	uint8_t gen[BACKENDS + 1];
	uint64_t packets[BACKENDS + 1], packets_then[BACKENDS + 1]; /* then: when FOREVER and PUBLISHING looked */
	struct conn conns[TUPLES];
	struct lb_flow_set sets[SETS];
};

struct totals {
	size_t packets, looked_up, opened, excused, misses, changes, entries, spared;
};

static struct totals totals;

static uint32_t rnd(struct world *w)
{
	w->rng ^= w->rng << 13;
	w->rng ^= w->rng >> 7;
	w->rng ^= w->rng << 17;
	return (uint32_t)(w->rng >> 20);
}

static bool one_in(struct world *w, uint32_t n)
{
	return !(rnd(w) % n);
}

static bool alive(void *ctx, uint16_t b)
{
	return ((struct world *)ctx)->state[b] != DEAD;
}

static uint8_t flags_of(const struct world *w, uint16_t b)
{
	return (w->state[b] != DEAD ? LB_BACKEND_F_ALIVE : 0) | (w->state[b] == SERVING ? LB_BACKEND_F_TAKES_NEW : 0);
}

/* ---- the packets' side, as the dataplane does it ---- */

static void excuse_owner_of(struct world *w, uint64_t entry)
{
	for (int i = 0; i < TUPLES; i++) {
		if (w->conns[i].open && lb_flow_tag(w->conns[i].hash) == LB_FLOW_TAG(entry))
			w->conns[i].excused = true;
	}
}

static void make_entry(struct world *w, struct conn *c, int way, uint16_t b)
{
	struct lb_flow_set *set = &w->sets[lb_flow_set_idx(c->hash)];
	__u8 age = lb_flow_age(w->now_ns);

	if (way < 0) {
		way = lb_flow_victim(set, false, age);
		if (way < 0) {
			c->excused = true;
			return;
		}
		if (set->entry[way])
			excuse_owner_of(w, set->entry[way]);
	}
	set->entry[way] = LB_FLOW(lb_flow_tag(c->hash), age, w->gen[b], false, b);
	totals.entries++;
}

/* A hash with the upper half @upper whose set is @set. */
static uint64_t hash_into_set(uint32_t upper, uint32_t set)
{
	uint64_t hash = (uint64_t)upper << 32;

	return hash | (lb_flow_set_idx(hash) ^ set);
}

static uint16_t choose(struct world *w, struct conn *c, bool opens)
{
	bool tracked = w->traffic != TCP, is_new = opens || w->traffic == UDP, learn;
	uint32_t word = w->slots->word[lb_flow_slot(lb_flow_tag(c->hash), w->slots->shift)];
	struct lb_flow_set *set = &w->sets[lb_flow_set_idx(c->hash)];
	int way = -1;
	uint16_t b;

	totals.packets++;
	if (lb_steer_wants_flow(word, tracked ? LB_VIP_F_TRACK : 0)) {
		totals.looked_up++;
		way = lb_flow_find(set, lb_flow_tag(c->hash));
	}
	if (way >= 0) {
		uint64_t e = set->entry[way];
		bool proven = LB_FLOW_PROVEN(e) || !opens;

		b = LB_FLOW_BACKEND(e);
		if ((LB_FLOW_GEN(e) == w->gen[b] || w->without == GENERATIONS) &&
		    lb_steer_hit_counts(flags_of(w, b), opens && w->traffic != UDP, e & LB_FLOW_CLOSED)) {
			set->entry[way] = LB_FLOW(LB_FLOW_TAG(e), lb_flow_age(w->now_ns), LB_FLOW_GEN(e), proven, b);
			return b;
		}
	}
	b = (uint16_t)lb_steer_miss(word, is_new, tracked || (way >= 0 && w->without != OVERWRITING), &learn);
	if (w->without == LEARNING && !opens)
		learn = false;
	if (b && learn)
		make_entry(w, c, way, b);
	return b;
}

/* Where the packet goes, 0: nowhere. @opens: a SYN. */
static uint16_t steer(struct world *w, struct conn *c, bool opens)
{
	uint16_t b = choose(w, c, opens);

	w->packets[b]++;
	return b;
}

/* ---- lbd's side ---- */

static void rebuild(struct world *w)
{
	static const uint64_t key[2] = {3, 4};
	struct lb_maglev_member members[BACKENDS];
	struct lb_maglev *build;
	uint16_t *table;
	size_t nr = 0;

	for (uint16_t b = 1; b <= BACKENDS; b++) {
		if (w->state[b] == SERVING)
			members[nr++] = (struct lb_maglev_member){.id = {b}, .weight = w->weight[b], .value = b};
	}
	build = lb_maglev_new(members, nr, key, w->shift);
	assert_true(lb_maglev_fill(build, UINT32_MAX));
	table = lb_maglev_take(build);
	lb_maglev_free(build);
	assert_int_equal(lb_slots_change(w->slots, table, w->shift, alive, w, w->now_ns / SECOND), 0);
	free(table);
	totals.changes++;
}

static void set_state(struct world *w, uint16_t b, enum state s)
{
	if (s == DEAD && w->state[b] != DEAD) {
		w->gen[b]++;
		for (int i = 0; i < TUPLES; i++)
			w->conns[i].open &= w->conns[i].backend != b;
		/* Half of those that go are replaced by others under the same index. */
		if (one_in(w, 2))
			w->packets[b] = w->packets_then[b] = 0;
	}
	w->state[b] = s;
}

static void change_something(struct world *w)
{
	uint16_t b = 1 + rnd(w) % BACKENDS;

	if (w->without == PUBLISHING && one_in(w, 3))
		memcpy(w->packets_then, w->packets, sizeof(w->packets));
	switch (rnd(w) % 8) {
	case 0:
		set_state(w, b, DRAINING);
		break;
	case 1:
		set_state(w, b, DEAD);
		break;
	case 2:
		/* Flaps: dead and back before anything else happens. */
		set_state(w, b, DEAD);
		rebuild(w);
		set_state(w, b, SERVING);
		break;
	case 3:
		w->weight[b] = 1 + rnd(w) % 10;
		break;
	case 4:
		w->shift = 4 + rnd(w) % 5;
		break;
	case 5:
		/* Nobody takes anything new; sometimes nobody is left. */
		for (uint16_t i = 1; one_in(w, 4) && i <= BACKENDS; i++)
			set_state(w, i, one_in(w, 3) ? DEAD : DRAINING);
		break;
	default:
		set_state(w, b, SERVING);
	}
	rebuild(w);
}

static void census(struct world *w, bool *foreign)
{
	unsigned int unproven = w->window_s * SECOND >> LB_FLOW_AGE_SHIFT;

	unproven = unproven + 1 > LB_FLOW_IDLE_UNPROVEN ? unproven + 1 : LB_FLOW_IDLE_UNPROVEN;
	for (int i = 0; i < SETS * LB_FLOW_WAYS; i++) {
		__u64 *e = &w->sets[i / LB_FLOW_WAYS].entry[i % LB_FLOW_WAYS];
		uint16_t b = LB_FLOW_BACKEND(*e);
		uint32_t slot = lb_flow_slot(LB_FLOW_TAG(*e), w->slots->shift);
		bool bound, expired;

		if (!*e)
			continue;
		bound = w->state[b] != DEAD && LB_FLOW_GEN(*e) == w->gen[b];
		expired = lb_flow_idle(*e, lb_flow_age(w->now_ns)) > (LB_FLOW_PROVEN(*e) ? LB_FLOW_IDLE_TCP : unproven);
		/* An entry that is erased for its age counts once more. */
		if (bound && !(expired && w->without == ERASING) && LB_SLOT_CUR(w->slots->word[slot]) != b)
			foreign[slot] = true;
		if ((!bound || expired) && w->without != ERASING)
			*e = 0;
	}
}

static void find_unused(struct world *w, bool *unused)
{
	for (int b = 1; b <= BACKENDS; b++) {
		if (w->without == FOREVER)
			unused[b] = w->packets[b] == w->packets_then[b];
		else if (w->without == PUBLISHING)
			unused[b] = !w->packets_then[b];
		else
			unused[b] = !w->packets[b];
	}
	if (w->without == FOREVER)
		memcpy(w->packets_then, w->packets, sizeof(w->packets));
	for (uint32_t i = 0; i < 1U << w->slots->shift; i++) {
		uint32_t word = w->slots->word[i];

		totals.spared += LB_SLOT_PHASE(word) == LB_PHASE_MOVING && unused[LB_SLOT_PREV(word)];
	}
}

static void tick(struct world *w)
{
	bool foreign[256] = {false}, unused[BACKENDS + 1] = {false};

	census(w, foreign);
	find_unused(w, unused);
	if (w->without == SETTLING)
		memset(foreign, 0, sizeof(foreign));
	lb_slots_tick(w->slots, w->shift, one_in(w, 5) ? NULL : foreign, one_in(w, 5) ? NULL : unused, alive, w,
		      w->now_ns / SECOND, w->without == WINDOW ? w->window_s / 4 : w->window_s);
}

/* ---- the clients ---- */

static void open_conn(struct world *w, struct conn *c)
{
	*c = (struct conn){.hash = c->hash, .open = true, .spoke_ns = w->now_ns};
	c->backend = steer(w, c, true);
	c->open = c->backend;
	totals.opened += c->open;
}

/* Nobody has answered yet, so wherever the SYN goes now is where the connection will be. */
static void retransmit(struct world *w, struct conn *c)
{
	uint16_t b = steer(w, c, true);

	c->spoke_ns = w->now_ns;
	if (b)
		c->backend = b;
}

static void speak(struct world *w, struct conn *c)
{
	uint16_t b = steer(w, c, false);

	c->confirmed = true;
	c->spoke_ns = w->now_ns;
	if (b == c->backend)
		return;
	if (c->excused)
		totals.excused++;
	else
		totals.misses++;
	c->open = false;
}

/* Time passes; who would be silent for longer than the window speaks first. */
static void pass_time(struct world *w, uint64_t ns)
{
	for (int i = 0; i < TUPLES; i++) {
		struct conn *c = &w->conns[i];

		if (c->open && w->now_ns + ns - c->spoke_ns > w->window_s * SECOND)
			speak(w, c);
	}
	w->now_ns += ns;
}

/* All hang up, and what they left in the cache grows old; up to and beyond what its age can tell. */
static void silence(struct world *w)
{
	for (int i = 0; i < TUPLES; i++)
		w->conns[i].open = false;
	for (uint32_t n = rnd(w) % 60; n; n--) {
		w->now_ns += (60 + rnd(w) % 600) * SECOND;
		tick(w);
	}
}

static void step(struct world *w)
{
	struct conn *c = &w->conns[rnd(w) % TUPLES];
	uint32_t what = rnd(w) % 1000;

	pass_time(w, rnd(w) % (w->window_s * SECOND / 40));
	if (what < 40)
		change_something(w);
	else if (what < 140)
		tick(w);
	else if (what < 180)
		c->open = false;
	else if (what < 182)
		silence(w);
	else if (!c->open)
		open_conn(w, c);
	else if (!c->confirmed && w->traffic != UDP && one_in(w, 3))
		retransmit(w, c);
	else
		speak(w, c);
}

static void play(uint64_t seed, enum without without, enum traffic traffic)
{
	struct world *w = calloc(1, sizeof(*w));

	w->rng = seed * 0x9e3779b97f4a7c15ULL + 1;
	for (int i = 0; i < 10; i++)
		rnd(w);
	w->without = without;
	w->traffic = traffic;
	w->now_ns = (1000 + rnd(w)) * SECOND;
	/* The default window is longer than unproven entries are kept under pressure; a short one is not. */
	w->window_s = one_in(w, 2) ? 900 : 20 + rnd(w) % 60;
	w->shift = 4 + rnd(w) % 3;
	w->slots = lb_slots_new(w->shift);
	for (int i = 0; i < TUPLES; i++)
		w->conns[i].hash = hash_into_set(rnd(w), rnd(w) % SETS);
	for (int b = 1; b <= BACKENDS; b++) {
		w->weight[b] = 1;
		w->state[b] = one_in(w, 2) ? SERVING : DEAD;
		w->gen[b] = (uint8_t)rnd(w);
	}
	rebuild(w);
	for (int i = 0; i < STEPS; i++)
		step(w);
	lb_slots_free(w->slots);
	free(w);
}

static void report(const char *what)
{
	print_message("%s: %zu packets, %zu %% looked up, %zu connections, %zu changes, %zu entries, %zu slots "
		      "spared the window, %zu excused, %zu moved\n",
		      what, totals.packets, 100 * totals.looked_up / totals.packets, totals.opened, totals.changes,
		      totals.entries, totals.spared, totals.excused, totals.misses);
}

static void test_nothing_moves(void **state)
{
	static const char *const names[] = {"TCP", "TCP, tracked", "UDP"};

	for (int traffic = 0; traffic < TRAFFICS; traffic++) {
		totals = (struct totals){0};
		for (uint64_t seed = 1; seed <= (traffic == TCP ? 500 : 150); seed++)
			play(seed, NOTHING, traffic);
		report(names[traffic]);
		assert_int_equal(totals.misses, 0);
		/* Excuses must stay exceptions, and worlds must be worth the name. */
		assert_true(totals.excused * 20 < totals.opened);
		assert_true(totals.packets > 300000 && totals.changes > 10000 && totals.spared > 5000);
	}
}

static void expect_moves(enum without without, const char *what)
{
	totals = (struct totals){0};
	for (uint64_t seed = 1; seed <= 60; seed++)
		play(seed, without, TCP);
	report(what);
	assert_true(totals.misses > 0);
}

static void test_without_learning(void **state)
{
	expect_moves(LEARNING, "without learning");
}

static void test_without_window(void **state)
{
	expect_moves(WINDOW, "with a shorter window");
}

static void test_without_settling(void **state)
{
	expect_moves(SETTLING, "without settling");
}

static void test_without_overwriting(void **state)
{
	expect_moves(OVERWRITING, "without overwriting");
}

static void test_without_erasing(void **state)
{
	expect_moves(ERASING, "without erasing");
}

static void test_without_generations(void **state)
{
	expect_moves(GENERATIONS, "without generations");
}

static void test_without_forever(void **state)
{
	expect_moves(FOREVER, "when unused means lately");
}

static void test_without_publishing(void **state)
{
	expect_moves(PUBLISHING, "when unused means before it moved");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_moves),	    cmocka_unit_test(test_without_learning),
		cmocka_unit_test(test_without_window),	    cmocka_unit_test(test_without_settling),
		cmocka_unit_test(test_without_overwriting), cmocka_unit_test(test_without_erasing),
		cmocka_unit_test(test_without_generations), cmocka_unit_test(test_without_forever),
		cmocka_unit_test(test_without_publishing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
