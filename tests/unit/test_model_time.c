// SPDX-License-Identifier: GPL-2.0-or-later
/* The model as time goes by: the census of the flow cache, slots made ready, slow starts, drains. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "model_web.h"

/* ---- the census ---- */

struct census {
	struct lb_model *m;
	struct lb_flow_set *flows;
	uint32_t tag; /* of a flow whose slot went from .was to .is */
	uint16_t was, is;
	uint8_t gen;
};

/* Backend 1 of two drains; its slots are settling, with nothing in the cache yet. */
static struct census settling(struct lb_config **c)
{
	struct census t = {.m = lb_model_new(), .flows = calloc(LB_FLOW_SETS, sizeof(*t.flows))};
	const struct lb_model_service *s;

	*c = web(2, LB_CHECK_NONE);
	apply(t.m, *c, 0);
	conf_find(*c, WEB, 1)->admin = LB_ADMIN_DRAINING;
	apply(t.m, *c, 1);
	s = lb_model_service(t.m, WEB);
	t.was = backend(t.m, WEB, 1)->idx;
	t.gen = backend(t.m, WEB, 1)->gen;
	t.is = backend(t.m, WEB, 2)->idx;
	while (LB_SLOT_PHASE(s->slots->word[t.tag >> (32 - s->slots->shift)]) != LB_PHASE_MOVING)
		t.tag += 1U << (32 - s->slots->shift);
	t.tag += 12345;
	assert_int_equal(lb_model_tick(t.m, t.flows, NULL, NULL, 100, 0), 1);
	assert_int_equal(in_phase(t.m, LB_PHASE_MOVING), 0);
	return t;
}

static void census_free(struct census *t, struct lb_config *c)
{
	lb_config_free(c);
	lb_model_free(t->m);
	free(t->flows);
}

static void test_census_waits(void **state)
{
	struct lb_config *c;
	struct census t = settling(&c);
	__u64 *e = &t.flows[LB_FLOW_SETS - 1].entry[7];

	/* A connection of the old owner holds its one slot back, for as long as it may be silent. */
	*e = LB_FLOW(t.tag, 250, t.gen, true, t.was);
	assert_int_equal(lb_model_tick(t.m, t.flows, NULL, NULL, 101, 250), 0); /* settles for a moment only */
	assert_int_equal(lb_model_tick(t.m, t.flows, NULL, NULL, 102, 250), 1);
	assert_int_equal(in_phase(t.m, LB_PHASE_SETTLING), 1);
	assert_int_equal(lb_model_tick(t.m, t.flows, NULL, NULL, 103, (uint8_t)(250 + LB_FLOW_IDLE_TCP)), 0);
	assert_true(*e != 0);
	/* Erased, and counted once more. */
	assert_int_equal(lb_model_tick(t.m, t.flows, NULL, NULL, 104, (uint8_t)(250 + LB_FLOW_IDLE_TCP + 1)), 0);
	assert_true(*e == 0);
	/* The packet that had found it puts it back. */
	*e = LB_FLOW(t.tag, (uint8_t)(250 + LB_FLOW_IDLE_TCP + 1), t.gen, true, t.was);
	assert_int_equal(lb_model_tick(t.m, t.flows, NULL, NULL, 109, (uint8_t)(250 + LB_FLOW_IDLE_TCP + 2)), 0);
	assert_int_equal(in_phase(t.m, LB_PHASE_SETTLING), 1);
	*e = 0;
	assert_int_equal(lb_model_tick(t.m, t.flows, NULL, NULL, 114, (uint8_t)(250 + LB_FLOW_IDLE_TCP + 2)), 1);
	assert_true(lb_model_settled(t.m));
	census_free(&t, c);
}

static void test_census_sees_through(void **state)
{
	struct lb_config *c;
	struct census t = settling(&c);
	__u64 *e = t.flows[77].entry;

	e[0] = LB_FLOW(t.tag, 9, t.gen, true, t.is);	  /* the owner's own */
	e[1] = LB_FLOW(t.tag, 9, t.gen + 1, true, t.was); /* another life of the backend */
	e[2] = LB_FLOW(t.tag, 9, t.gen, true, 4000);	  /* nobody's */
	e[3] = LB_FLOW(t.tag, 6, t.gen, false, t.was);	  /* never confirmed, and too old */
	e[4] = LB_FLOW(t.tag, 9, 0, true, 0);
	assert_int_equal(lb_model_tick(t.m, t.flows, NULL, NULL, 102, 9), 1);
	assert_int_equal(in_phase(t.m, LB_PHASE_SETTLING), 1); /* by e[3], for this once */
	assert_int_equal(lb_model_tick(t.m, t.flows, NULL, NULL, 103, 9), 1);
	assert_true(lb_model_settled(t.m));
	assert_true(e[0] != 0);
	for (int i = 1; i < 5; i++)
		assert_true(e[i] == 0);
	census_free(&t, c);
}

/* With a long window, entries that nobody has confirmed yet live as long as it. */
static void test_census_long_window(void **state)
{
	struct lb_config *c;
	struct census t = settling(&c);
	__u64 *e = t.flows[1].entry;

	c->learning_window_ns = 900ULL * 1000000000;
	apply(t.m, c, 100);
	e[0] = LB_FLOW(t.tag, 0, t.gen, false, t.was);
	assert_int_equal(lb_model_tick(t.m, t.flows, NULL, NULL, 102, 14), 1);
	assert_int_equal(in_phase(t.m, LB_PHASE_SETTLING), 1);
	assert_int_equal(lb_model_tick(t.m, t.flows, NULL, NULL, 103, 15), 0);
	assert_true(e[0] == 0);
	assert_int_equal(lb_model_tick(t.m, t.flows, NULL, NULL, 104, 15), 1);
	assert_true(lb_model_settled(t.m));
	census_free(&t, c);
}

/* The death of the old owner ends the wait. */
static void test_census_death(void **state)
{
	struct lb_config *c;
	struct census t = settling(&c);

	t.flows[1].entry[0] = LB_FLOW(t.tag, 0, t.gen, true, t.was);
	lb_model_tick(t.m, t.flows, NULL, NULL, 102, 0);
	assert_int_equal(in_phase(t.m, LB_PHASE_SETTLING), 1);
	conf_del(c, WEB, 1);
	apply(t.m, c, 103);
	lb_model_tick(t.m, t.flows, NULL, NULL, 104, 0);
	assert_true(lb_model_settled(t.m));
	assert_true(t.flows[1].entry[0] == 0);
	census_free(&t, c);
}

/* What is worked out bit by bit is of one moment; what comes in meanwhile makes the next image, whoever asks for it. */
static void test_prepare(void **state)
{
	struct lb_config *c = web(20, LB_CHECK_TCP);
	struct lb_endpoint first = conf_ep(1), second = conf_ep(2);

	for (int way = 0; way < 3; way++) {
		struct lb_model *m = lb_model_new(), *whole = lb_model_new();
		uint64_t digest[3];
		struct lb_image *a, *b;
		int calls = 0;

		apply(m, c, 1);
		apply(whole, c, 1);
		for (uint32_t i = 1; i <= 20; i++) {
			health(m, i, LB_HEALTH_UP, 1);
			health(whole, i, LB_HEALTH_UP, 1);
		}
		digest[0] = lb_model_digest(lb_model_service(whole, WEB));
		health(whole, 1, LB_HEALTH_DOWN, 2);
		digest[1] = lb_model_digest(lb_model_service(whole, WEB));
		health(whole, 2, LB_HEALTH_DOWN, 3);
		digest[2] = lb_model_digest(lb_model_service(whole, WEB));

		assert_int_equal(lb_model_set_health(m, WEB, &first, LB_HEALTH_DOWN, 2), 1);
		assert_int_equal(lb_model_prepare(m, 100), 1);
		assert_true(lb_model_stale(m));
		assert_true(backend(m, WEB, 1)->chosen); /* as it was, until all of it is there */
		assert_int_equal(lb_model_digest(lb_model_service(m, WEB)), digest[0]);
		assert_int_equal(lb_model_set_health(m, WEB, &second, LB_HEALTH_DOWN, 3), 1);
		if (way == 1) { /* a configuration, which waits for nothing */
			apply(m, c, 3);
		} else if (way == 2) {
			conf_find(c, WEB, 3)->weight = 7;
			apply(m, c, 3);
			apply(whole, c, 3);
			conf_find(c, WEB, 3)->weight = 100;
			digest[2] = lb_model_digest(lb_model_service(whole, WEB));
		} else {
			while (lb_model_prepare(m, 100))
				assert_true(++calls < 100);
			assert_true(calls > 10);
			assert_int_equal(lb_model_digest(lb_model_service(m, WEB)), digest[1]);
			assert_false(backend(m, WEB, 1)->chosen);
			assert_true(backend(m, WEB, 2)->chosen);
			assert_true(lb_model_stale(m));
			lb_image_free(lb_model_image_prepared(m));
			assert_int_equal(lb_model_digest(lb_model_service(m, WEB)), digest[1]);
			while (lb_model_prepare(m, 100))
				assert_true(++calls < 200);
		}
		assert_false(lb_model_stale(m));
		assert_int_equal(lb_model_prepare(m, 100), 0);
		assert_int_equal(lb_model_digest(lb_model_service(m, WEB)), digest[2]);
		assert_false(backend(m, WEB, 2)->chosen);
		a = lb_model_image_prepared(m);
		b = lb_model_image(whole);
		assert_memory_equal(a->gen, b->gen, sizeof(a->gen));
		lb_image_free(a);
		lb_image_free(b);
		lb_model_free(m);
		lb_model_free(whole);
	}
	lb_config_free(c);
}

/* Facts that never end to come in do not put off what came before them; nor does a model that goes forget to free. */
static void test_prepare_ends(void **state)
{
	struct lb_config *c = web(20, LB_CHECK_TCP);
	struct lb_model *m = lb_model_new();
	struct lb_endpoint ep;
	uint32_t now = 2;

	apply(m, c, 1);
	for (uint32_t i = 1; i <= 20; i++)
		health(m, i, LB_HEALTH_UP, 1);
	for (int round = 0; round < 50; round++) {
		int calls = 0, ret;

		do {
			ep = conf_ep(1 + now++ % 20);
			lb_model_set_health(m, WEB, &ep, now / 20 % 2 ? LB_HEALTH_DOWN : LB_HEALTH_UP, now);
			ret = lb_model_prepare(m, 256);
			assert_true(ret >= 0 && ++calls < 20);
		} while (ret);
		lb_image_free(lb_model_image_prepared(m));
	}
	ep = conf_ep(1);
	lb_model_set_health(m, WEB, &ep, LB_HEALTH_DOWN, now);
	lb_model_prepare(m, 16);
	lb_model_free(m);
	lb_config_free(c);
}

/* Time passes until @now_s as lbd has it pass. Returns whether an image may differ. */
static bool time_is(struct lb_model *m, uint32_t now_s, bool more)
{
	bool again;
	int ret = lb_model_time(m, now_s, &again);

	assert_int_equal(again, more);
	lb_image_free(lb_model_image(m));
	return ret > 0;
}

static size_t slots_of(const struct lb_model *m, uint32_t n)
{
	return backend(m, WEB, n)->nr_slots;
}

/* One that comes up to others that serve gets its part in steps; one that is added or enabled, too. */
static void test_slow_start(void **state)
{
	struct lb_config *c = web(4, LB_CHECK_TCP);
	struct lb_model *m = lb_model_new();
	size_t before = 0;

	lb_config_service(c, WEB)->slow_start_ns = 80ULL * 1000000000;
	apply(m, c, 100);
	for (uint32_t n = 1; n <= 3; n++)
		health(m, n, LB_HEALTH_UP, 100 + n);
	/* All began within the time that a slow start takes: nobody is better warmed up. */
	for (uint32_t n = 1; n <= 3; n++)
		assert_true(slots_of(m, n) > 160);
	assert_false(time_is(m, 150, false));
	health(m, 4, LB_HEALTH_UP, 200);
	assert_true(lb_model_weight(backend(m, WEB, 4)) == 12.5);
	assert_int_equal(line(m, 4).weight, 12);
	assert_in_range(slots_of(m, 4), 10, 30);
	assert_false(time_is(m, 205, true));
	for (uint32_t now_s = 201; now_s < 280; now_s++) {
		bool changed = time_is(m, now_s, true);

		assert_true(changed == (slots_of(m, 4) != before) || !before);
		assert_true(slots_of(m, 4) >= before);
		before = slots_of(m, 4);
		assert_int_equal(lb_model_service(m, WEB)->policy_shift, 9);
	}
	assert_true(before < 120);
	assert_true(time_is(m, 280, true));
	assert_false(time_is(m, 281, false));
	assert_in_range(slots_of(m, 4), 120, 140);
	assert_int_equal(line(m, 4).weight, 100);
	/* Down in the middle of it, it begins anew. */
	health(m, 4, LB_HEALTH_DOWN, 300);
	health(m, 4, LB_HEALTH_UP, 310);
	assert_true(time_is(m, 350, true));
	assert_true(lb_model_weight(backend(m, WEB, 4)) == 50);
	health(m, 4, LB_HEALTH_DOWN, 351);
	assert_false(time_is(m, 352, false));
	health(m, 4, LB_HEALTH_UP, 353);
	assert_true(lb_model_weight(backend(m, WEB, 4)) == 12.5);
	/* Draining and back, or out of reach for a while, is no coming up; disabled and back is. */
	conf_find(c, WEB, 1)->admin = LB_ADMIN_DRAINING;
	apply(m, c, 500);
	conf_find(c, WEB, 1)->admin = LB_ADMIN_ENABLED;
	conf_find(c, WEB, 2)->admin = LB_ADMIN_DISABLED;
	apply(m, c, 501);
	lb_model_set_next_hop(m, conf_ep(3).addr, &(const struct lb_next_hop){0}, 502);
	lb_image_free(lb_model_image(m));
	conf_find(c, WEB, 2)->admin = LB_ADMIN_ENABLED;
	conf_backend(c, WEB, 5);
	apply(m, c, 503);
	health(m, 2, LB_HEALTH_UP, 504);
	health(m, 5, LB_HEALTH_UP, 504);
	assert_true(lb_model_weight(backend(m, WEB, 1)) == 100);
	assert_true(lb_model_weight(backend(m, WEB, 2)) == 12.5);
	assert_true(lb_model_weight(backend(m, WEB, 3)) == 100);
	assert_true(lb_model_weight(backend(m, WEB, 5)) == 12.5);
	/* Without a time for it, all at once. */
	lb_config_service(c, WEB)->slow_start_ns = 0;
	apply(m, c, 510);
	assert_true(lb_model_weight(backend(m, WEB, 5)) == 100);
	assert_false(time_is(m, 511, false));
	lb_config_free(c);
	lb_model_free(m);
}

/* Nobody is left, and all come back; and what is adopted has served before. */
static void test_slow_start_of_all(void **state)
{
	struct lb_config *c = web(3, LB_CHECK_TCP);
	struct lb_model *m = lb_model_new(), *next = lb_model_new();
	struct lb_image *image;

	lb_config_service(c, WEB)->slow_start_ns = 10ULL * 1000000000;
	apply(m, c, 100);
	for (uint32_t n = 1; n <= 3; n++)
		health(m, n, LB_HEALTH_UP, 100);
	for (uint32_t n = 1; n <= 3; n++)
		health(m, n, LB_HEALTH_DOWN, 200);
	for (uint32_t n = 1; n <= 3; n++)
		health(m, n, LB_HEALTH_UP, 201 + n);
	for (uint32_t n = 1; n <= 3; n++)
		assert_true(lb_model_weight(backend(m, WEB, n)) == 100);
	health(m, 3, LB_HEALTH_DOWN, 300);
	image = lb_model_image(m);
	assert_int_equal(lb_model_adopt(next, image), 0);
	apply(next, c, 301);
	assert_false(time_is(next, 302, false));
	health(next, 3, LB_HEALTH_UP, 303);
	assert_true(lb_model_weight(backend(next, WEB, 1)) == 100);
	assert_true(lb_model_weight(backend(next, WEB, 3)) == 12.5);
	lb_image_free(image);
	lb_config_free(c);
	lb_model_free(m);
	lb_model_free(next);
}

/* A draining backend whose time is over has nothing any more; enabled, it begins anew. */
static void test_drained(void **state)
{
	struct lb_flow_set *flows = calloc(LB_FLOW_SETS, sizeof(*flows));
	struct lb_config *c = web(3, LB_CHECK_NONE);
	struct lb_model *m = lb_model_new();
	uint32_t *open = calloc(LB_MAX_BACKENDS, sizeof(*open));
	struct lb_endpoint ep = conf_ep(2);
	uint8_t gen;
	uint16_t idx;

	lb_config_service(c, WEB)->on_disable = LB_FATE_KEEP;
	apply(m, c, 100);
	idx = backend(m, WEB, 2)->idx;
	gen = line(m, 2).gen;
	assert_int_equal(lb_model_set_drained(m, WEB, &ep, 100), 0);
	conf_find(c, WEB, 2)->admin = LB_ADMIN_DRAINING;
	apply(m, c, 101);
	assert_int_equal(line(m, 2).flags, LB_BACKEND_F_ALIVE | LB_BACKEND_F_V4);
	assert_true(in_phase(m, LB_PHASE_MOVING) > 100);
	assert_true(lb_model_alive(m, idx));
	for (uint32_t i = 0; i < 7; i++)
		flows[i].entry[i % LB_FLOW_WAYS] = LB_FLOW(i << 1, 0, gen, true, idx);
	flows[3].entry[3] |= LB_FLOW_CLOSED;
	flows[9].entry[0] = LB_FLOW(18, 0, gen + 1, true, idx);
	lb_model_open(m, flows, open, 1);
	assert_int_equal(open[idx], 6);
	assert_int_equal(lb_model_set_drained(m, WEB, &ep, 110), 1);
	assert_int_equal(lb_model_set_drained(m, WEB, &ep, 110), 0);
	assert_int_equal(line(m, 2).flags, LB_BACKEND_F_V4);
	assert_int_equal(line(m, 2).gen, (uint8_t)(gen + 1));
	assert_false(lb_model_alive(m, idx));
	assert_true(in_phase(m, LB_PHASE_MOVING) < 20); /* those that went from one of the others to the other */
	lb_model_open(m, flows, open, 1);
	assert_int_equal(open[idx], 0);
	/* Something else of the service changes: it stays so. */
	conf_backend(c, WEB, 7);
	apply(m, c, 111);
	assert_int_equal(line(m, 2).flags, LB_BACKEND_F_V4);
	conf_find(c, WEB, 2)->admin = LB_ADMIN_ENABLED;
	apply(m, c, 112);
	assert_true(line(m, 2).flags & LB_BACKEND_F_TAKES_NEW);
	conf_find(c, WEB, 2)->admin = LB_ADMIN_DRAINING;
	apply(m, c, 113);
	assert_true(line(m, 2).flags & LB_BACKEND_F_ALIVE);
	ep = conf_ep(99);
	assert_int_equal(lb_model_set_drained(m, WEB, &ep, 113), -ENOENT);
	assert_int_equal(lb_model_set_drained(m, "nil", &ep, 113), -ENOENT);
	free(open);
	free(flows);
	lb_config_free(c);
	lb_model_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_prepare),
		cmocka_unit_test(test_prepare_ends),
		cmocka_unit_test(test_census_waits),
		cmocka_unit_test(test_census_sees_through),
		cmocka_unit_test(test_census_long_window),
		cmocka_unit_test(test_census_death),
		cmocka_unit_test(test_slow_start),
		cmocka_unit_test(test_slow_start_of_all),
		cmocka_unit_test(test_drained),
	};

	return cmocka_run_group_tests_name("model_time", tests, NULL, NULL);
}
