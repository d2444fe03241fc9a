// SPDX-License-Identifier: GPL-2.0-or-later
/* The phases of slots, one transition at a time. That they keep connections in place: test_steer_property.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "slots.h"

#define STABLE(c) LB_SLOT(LB_PHASE_STABLE, 0, c)
#define MOVING(s, c) LB_SLOT(LB_PHASE_MOVING, s, c)
#define SETTLING(c) LB_SLOT(LB_PHASE_SETTLING, 0, c)
#define WINDOW 10

static bool alive_of[16];

static bool alive(void *ctx, uint16_t b)
{
	assert_int_not_equal(b, 0);
	assert_true(b < 16);
	return alive_of[b];
}

static void all_alive(void)
{
	for (int i = 1; i < 16; i++)
		alive_of[i] = true;
}

static void set(struct lb_slots *s, uint32_t word)
{
	for (uint32_t i = 0; i < 1U << s->shift; i++)
		s->word[i] = word;
}

static void expect(const struct lb_slots *s, uint32_t word)
{
	for (uint32_t i = 0; i < 1U << s->shift; i++)
		assert_int_equal(s->word[i], word);
}

static void owner_is(struct lb_slots *s, uint16_t owner, uint32_t now_s)
{
	uint16_t owners[16];

	for (int i = 0; i < 16; i++)
		owners[i] = owner;
	assert_int_equal(lb_slots_change(s, owners, 4, alive, NULL, now_s), 0);
}

static size_t tick(struct lb_slots *s, int foreign, uint32_t now_s)
{
	bool f[64];

	memset(f, foreign == 1, sizeof(f));
	return lb_slots_tick(s, 4, foreign < 0 ? NULL : f, NULL, alive, NULL, now_s, WINDOW);
}

static void test_new(void **state)
{
	struct lb_slots *s = lb_slots_new(4);
	size_t count[3];

	expect(s, STABLE(0));
	lb_slots_count(s, count);
	assert_int_equal(count[LB_PHASE_STABLE], 16);
	assert_int_equal(count[LB_PHASE_MOVING] + count[LB_PHASE_SETTLING], 0);
	/* The first owner has nobody to take over from. */
	owner_is(s, 1, 0);
	expect(s, STABLE(1));
	lb_slots_free(s);
	lb_slots_free(NULL);
}

/* What a change of owner makes of each phase: from, who is dead, new owner, what becomes of it, does its time
 * restart? */
static void test_changes(void **state)
{
	static const struct {
		uint32_t from;
		uint16_t dead, owner;
		uint32_t to;
		bool restarts;
	} cases[] = {
		{STABLE(1), 0, 1, STABLE(1), false},	   {STABLE(1), 0, 2, MOVING(1, 2), true},
		{STABLE(1), 1, 2, STABLE(2), false},	   {STABLE(1), 0, 0, MOVING(1, 0), true},
		{STABLE(1), 1, 0, STABLE(0), false},	   {STABLE(0), 0, 2, STABLE(2), false},
		{MOVING(1, 2), 0, 2, MOVING(1, 2), false}, {MOVING(1, 2), 0, 3, MOVING(1, 3), false},
		{MOVING(1, 2), 0, 1, MOVING(1, 1), false}, {MOVING(1, 2), 2, 3, MOVING(1, 3), false},
		{MOVING(1, 2), 1, 2, SETTLING(2), true},   {MOVING(1, 2), 1, 3, SETTLING(3), true},
		{MOVING(1, 2), 0, 0, MOVING(1, 0), false}, {MOVING(1, 0), 0, 0, MOVING(1, 0), false},
		{MOVING(1, 0), 0, 3, MOVING(1, 3), true},  {MOVING(1, 0), 1, 0, SETTLING(0), true},
		{MOVING(1, 0), 1, 3, SETTLING(3), true},   {SETTLING(1), 0, 1, SETTLING(1), false},
		{SETTLING(1), 0, 2, MOVING(1, 2), true},   {SETTLING(1), 1, 2, SETTLING(2), false},
		{SETTLING(1), 0, 0, MOVING(1, 0), true},   {SETTLING(0), 0, 2, SETTLING(2), false},
	};
	struct lb_slots *s = lb_slots_new(4);

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		all_alive();
		if (cases[i].dead)
			alive_of[cases[i].dead] = false;
		set(s, cases[i].from);
		for (int slot = 0; slot < 16; slot++)
			s->since_s[slot] = 100;
		owner_is(s, cases[i].owner, 105);
		expect(s, cases[i].to);
		assert_int_equal(s->since_s[7], cases[i].restarts ? 105 : 100);
	}
	lb_slots_free(s);
}

static void test_window(void **state)
{
	struct lb_slots *s = lb_slots_new(4);

	all_alive();
	set(s, STABLE(1));
	/* Seconds may wrap. */
	owner_is(s, 2, UINT32_MAX - 3);
	assert_int_equal(tick(s, -1, UINT32_MAX - 3 + WINDOW), 0);
	expect(s, MOVING(1, 2));
	assert_int_equal(tick(s, 0, UINT32_MAX - 3 + WINDOW + 1), 16);
	/* One step at a time, though nobody is foreign. */
	expect(s, SETTLING(2));
	assert_int_equal(tick(s, -1, 20), 0);
	assert_int_equal(tick(s, 1, 20), 0);
	expect(s, SETTLING(2));
	assert_int_equal(tick(s, 0, 20), 16);
	expect(s, STABLE(2));
	assert_int_equal(tick(s, 0, 21), 0);
	lb_slots_free(s);
}

/* A census proves something only of packets that have seen the slot settle: it is believed 2 s after that and later,
 * whatever made it settle. */
static void test_settling_takes_time(void **state)
{
	struct lb_slots *s = lb_slots_new(4);
	bool unused[16] = {[1] = true}, foreign[16] = {false};
	uint32_t at = UINT32_MAX; /* it wraps */

	for (int how = 0; how < 4; how++) {
		all_alive();
		set(s, STABLE(1));
		owner_is(s, 2, at - 2 - (how ? 0 : WINDOW));
		if (how == 0) /* the window is over */
			tick(s, 0, at);
		else if (how == 1) /* there is nothing to learn */
			lb_slots_tick(s, 4, foreign, unused, alive, NULL, at, WINDOW);
		alive_of[1] = how < 2;
		if (how == 2) /* death, in a change and in a tick */
			owner_is(s, 2, at);
		else if (how == 3)
			tick(s, 0, at);
		expect(s, SETTLING(2));
		assert_int_equal(tick(s, 0, at), 0);
		assert_int_equal(tick(s, 0, at + 1), 0);
		expect(s, SETTLING(2));
		assert_int_equal(tick(s, 1, at + 2), 0);
		assert_int_equal(tick(s, 0, at + 2), 16);
		expect(s, STABLE(2));
	}
	lb_slots_free(s);
}

static void test_tick_and_death(void **state)
{
	struct lb_slots *s = lb_slots_new(4);

	all_alive();
	alive_of[1] = false;
	set(s, MOVING(1, 2));
	assert_int_equal(tick(s, -1, 1), 16);
	expect(s, SETTLING(2));
	/* The last backend drains: it keeps what it has for as long as it takes. */
	set(s, MOVING(2, 0));
	assert_int_equal(tick(s, 0, 1000000), 0);
	expect(s, MOVING(2, 0));
	alive_of[2] = false;
	assert_int_equal(tick(s, 0, 1000000), 16);
	expect(s, SETTLING(0));
	assert_int_equal(tick(s, 0, 1000002), 16);
	expect(s, STABLE(0));
	lb_slots_free(s);
}

static void test_growth(void **state)
{
	struct lb_slots *s = lb_slots_new(4);
	uint16_t owners[64];

	all_alive();
	for (uint16_t i = 0; i < 16; i++) {
		s->word[i] = i % 2 ? STABLE(i) : MOVING(i / 2 + 1, 9);
		s->since_s[i] = i;
	}
	for (int i = 0; i < 64; i++)
		owners[i] = i / 4 % 2 ? i / 4 : 9;
	assert_int_equal(lb_slots_change(s, owners, 6, alive, NULL, 100), 0);
	assert_int_equal(s->shift, 6);
	for (uint16_t i = 0; i < 64; i++) {
		assert_int_equal(s->word[i], i / 4 % 2 ? STABLE(i / 4) : MOVING(i / 8 + 1, 9));
		assert_int_equal(s->since_s[i], i / 4);
	}
	lb_slots_free(s);
}

static void test_shrinking(void **state)
{
	struct lb_slots *s = lb_slots_new(6);
	uint16_t owners[32];
	bool foreign[64] = {false};

	all_alive();
	for (uint16_t i = 0; i < 64; i++)
		s->word[i] = STABLE(1 + i % 2);
	for (uint16_t i = 0; i < 16; i++)
		owners[i] = 1 + i % 3;
	assert_int_equal(lb_slots_change(s, owners, 4, alive, NULL, 0), 0);
	assert_int_equal(s->shift, 6);
	for (uint16_t i = 0; i < 64; i++) {
		uint16_t was = 1 + i % 2, is = 1 + i / 4 % 3;

		assert_int_equal(s->word[i], was == is ? STABLE(is) : MOVING(was, is));
	}
	assert_true(lb_slots_tick(s, 4, foreign, NULL, alive, NULL, WINDOW + 1, WINDOW) > 0);
	assert_int_equal(s->shift, 6);
	/* One slot holds the whole table back. */
	foreign[1] = true;
	assert_true(lb_slots_tick(s, 4, foreign, NULL, alive, NULL, WINDOW + 3, WINDOW) > 0);
	assert_int_equal(s->shift, 6);
	foreign[1] = false;
	assert_int_equal(lb_slots_tick(s, 4, foreign, NULL, alive, NULL, WINDOW + 4, WINDOW), 1 + 48);
	assert_int_equal(s->shift, 4);
	for (uint16_t i = 0; i < 16; i++)
		assert_int_equal(s->word[i], STABLE(owners[i]));
	/* A policy table that grows again in between finds slots that can be split. */
	for (uint16_t i = 0; i < 32; i++)
		owners[i] = LB_SLOT_CUR(s->word[i / 2]);
	assert_int_equal(lb_slots_change(s, owners, 5, alive, NULL, 20), 0);
	assert_int_equal(s->shift, 5);
	for (uint16_t i = 0; i < 32; i++)
		assert_int_equal(s->word[i], STABLE(owners[i]));
	lb_slots_free(s);
}

/* Merging goes no further down than pairs are the same. */
static void test_partial_merge(void **state)
{
	struct lb_slots *s = lb_slots_new(6);

	all_alive();
	for (uint16_t i = 0; i < 64; i++)
		s->word[i] = STABLE(1 + i / 2 % 2);
	assert_int_equal(lb_slots_tick(s, 4, NULL, NULL, alive, NULL, 0, WINDOW), 32);
	assert_int_equal(s->shift, 5);
	for (uint16_t i = 0; i < 32; i++)
		assert_int_equal(s->word[i], STABLE(1 + i % 2));
	lb_slots_free(s);
}

/* After any change each slot has its owner, and no word names a backend that is gone. */
static void test_random_changes(void **state)
{
	struct lb_slots *s = lb_slots_new(4);

	srandom(7);
	all_alive();
	for (uint32_t step = 0; step < 20000; step++) {
		unsigned int shift = 4 + (unsigned int)random() % 3;
		uint16_t owners[64], up[16], nr = 0;
		bool foreign[64];

		for (uint16_t b = 1; b < 16; b++) {
			if (!(random() % 5))
				alive_of[b] = !alive_of[b];
			if (alive_of[b])
				up[nr++] = b;
		}
		for (int i = 0; i < 64; i++) {
			owners[i] = nr && random() % 20 ? up[random() % nr] : 0;
			foreign[i] = random() % 2;
		}
		assert_int_equal(lb_slots_change(s, owners, shift, alive, NULL, step), 0);
		assert_true(s->shift >= shift);
		for (uint32_t i = 0; i < 1U << s->shift; i++) {
			uint16_t prev = LB_SLOT_PREV(s->word[i]);

			assert_int_equal(LB_SLOT_CUR(s->word[i]), owners[i >> (s->shift - shift)]);
			assert_int_equal(LB_SLOT_PHASE(s->word[i]) == LB_PHASE_MOVING, prev != 0);
			assert_true(!prev || alive_of[prev]);
		}
		if (random() % 2)
			lb_slots_tick(s, shift, random() % 4 ? foreign : NULL, NULL, alive, NULL, step, WINDOW);
	}
	lb_slots_free(s);
}

/* A copy is the same and apart; lb_slots_stable says what counting says. */
static void test_copy(void **state)
{
	struct lb_slots *s = lb_slots_new(5), *copy;
	size_t count[3];

	srandom(8);
	for (int run = 0; run < 200; run++) {
		for (int i = 0; i < 32; i++) {
			bool odd = run && i == run % 32 && run % 3;

			s->word[i] = LB_SLOT(odd ? run % 3 : LB_PHASE_STABLE, run % 3 == LB_PHASE_MOVING ? 5 : 0,
					     random() % 0x8000);
			s->since_s[i] = (uint32_t)random();
		}
		lb_slots_count(s, count);
		assert_int_equal(lb_slots_stable(s), count[LB_PHASE_STABLE] == 32);
		copy = lb_slots_copy(s);
		assert_int_equal(copy->shift, 5);
		assert_memory_equal(copy->word, s->word, 32 * sizeof(*s->word));
		assert_memory_equal(copy->since_s, s->since_s, 32 * sizeof(*s->since_s));
		copy->word[3]++;
		assert_int_not_equal(copy->word[3], s->word[3]);
		lb_slots_free(copy);
	}
	lb_slots_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_new),
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_window),
		cmocka_unit_test(test_settling_takes_time),
		cmocka_unit_test(test_tick_and_death),
		cmocka_unit_test(test_growth),
		cmocka_unit_test(test_shrinking),
		cmocka_unit_test(test_partial_merge),
		cmocka_unit_test(test_random_changes),
		cmocka_unit_test(test_copy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
