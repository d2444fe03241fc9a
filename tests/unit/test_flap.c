// SPDX-License-Identifier: GPL-2.0-or-later
/* When a backend that comes and goes is held down, for how long, and when that is forgotten. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "flap.h"

#define S 1000000000ULL

static const struct lb_check_conf check = {
	.flaps = 3, .flap_window_ns = 60 * S, .flap_hold_ns = 10 * S, .flap_hold_max_ns = 35 * S};

static void test_often_enough(void **state)
{
	struct lb_flap_state f = {0};

	assert_int_equal(lb_flap_down(&f, &check, 100 * S), 0);
	assert_int_equal(lb_flap_down(&f, &check, 130 * S), 0);
	/* The first one is a window ago. */
	assert_int_equal(lb_flap_down(&f, &check, 160 * S), 0);
	assert_int_equal(lb_flap_held(&f, &check, 160 * S), 0);
	assert_int_equal(lb_flap_down(&f, &check, 170 * S), 10 * S);
	assert_int_equal(lb_flap_held(&f, &check, 171 * S), 9 * S);
	assert_int_equal(lb_flap_held(&f, &check, 180 * S), 0);
}

/* Longer each time, up to the most, until it was up for a window. */
static void test_growth(void **state)
{
	struct lb_flap_state f = {0};

	for (uint64_t i = 0; i < 3; i++)
		assert_int_equal(lb_flap_down(&f, &check, (100 + i) * S), i < 2 ? 0 : 10 * S);
	assert_int_equal(lb_flap_down(&f, &check, 150 * S), 20 * S);
	/* 59 s after the hold is over. */
	assert_int_equal(lb_flap_down(&f, &check, (150 + 20 + 59) * S), 35 * S);
	assert_int_equal(lb_flap_down(&f, &check, 270 * S), 35 * S);
	/* Steady for a window: as if nothing had been. */
	assert_int_equal(lb_flap_down(&f, &check, (270 + 35 + 60) * S), 0);
	assert_int_equal(lb_flap_down(&f, &check, 366 * S), 0);
	assert_int_equal(lb_flap_down(&f, &check, 367 * S), 10 * S);
}

static void test_off(void **state)
{
	const struct lb_check_conf off = {.flap_window_ns = 60 * S, .flap_hold_ns = 10 * S, .flap_hold_max_ns = 60 * S};
	struct lb_flap_state f = {0};

	for (uint64_t i = 0; i < 100; i++)
		assert_int_equal(lb_flap_down(&f, &off, (100 + i) * S), 0);
	for (uint64_t i = 0; i < 3; i++)
		lb_flap_down(&f, &check, (300 + i) * S);
	assert_true(lb_flap_held(&f, &check, 303 * S) > 0);
	/* Switched off while it is held: it is not any more. */
	assert_int_equal(lb_flap_held(&f, &off, 303 * S), 0);
}

/* Random flapping: a hold is never longer than the most, never shorter than the first, never before there were enough
 * in a window, and grows while there is no rest. */
static void test_random(void **state)
{
	size_t held = 0;

	srandom(5);
	for (int run = 0; run < 300; run++) {
		const struct lb_check_conf k = {.flaps = 2 + (uint32_t)random() % (LB_FLAPS_MAX - 1),
						.flap_window_ns = (1 + (uint64_t)random() % 100) * S,
						.flap_hold_ns = (1 + (uint64_t)random() % 10) * S,
						.flap_hold_max_ns = (10 + (uint64_t)random() % 100) * S};
		uint64_t now_ns = 1000 * S, downs[200], free_ns = 0, before_ns = 0;
		struct lb_flap_state f = {.nr = run % 2 ? 0 : UINT32_MAX - 99};

		for (size_t i = 0; i < 200; i++) {
			bool rested =
				i && now_ns - (free_ns > downs[i - 1] ? free_ns : downs[i - 1]) >= k.flap_window_ns;
			uint64_t got_ns;
			size_t recent = 0;

			downs[i] = now_ns;
			for (size_t j = 0; j <= i; j++)
				recent += now_ns - downs[j] < k.flap_window_ns;
			got_ns = lb_flap_down(&f, &k, now_ns);
			assert_int_equal(got_ns > 0, recent >= k.flaps || (before_ns && !rested));
			if (got_ns) {
				assert_in_range(got_ns, k.flap_hold_ns, k.flap_hold_max_ns);
				assert_true(rested || got_ns >= before_ns);
				free_ns = now_ns + got_ns;
				held++;
			}
			before_ns = got_ns;
			now_ns = (got_ns ? free_ns : now_ns) + 1 + (uint64_t)random() % (k.flap_window_ns * 3 / 2);
		}
	}
	assert_true(held > 5000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_often_enough),
		cmocka_unit_test(test_growth),
		cmocka_unit_test(test_off),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
