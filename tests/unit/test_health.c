// SPDX-License-Identifier: GPL-2.0-or-later
/* Rise, fall, reasons and jitter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "health.h"

static void test_first_result_decides(void **state)
{
	struct lb_health_state h = {.health = LB_HEALTH_UNKNOWN};

	assert_true(lb_health_result(&h, LB_REASON_OK, 5, 5, 100));
	assert_int_equal(h.health, LB_HEALTH_UP);
	assert_int_equal(h.since_ns, 100);
	h = (struct lb_health_state){.health = LB_HEALTH_UNKNOWN};
	assert_true(lb_health_result(&h, LB_REASON_REFUSED, 5, 5, 200));
	assert_int_equal(h.health, LB_HEALTH_DOWN);
	assert_int_equal(h.reason, LB_REASON_REFUSED);
	assert_int_equal(h.since_ns, 200);
}

static void test_fall_and_rise(void **state)
{
	struct lb_health_state h = {.health = LB_HEALTH_UP, .since_ns = 1};

	assert_false(lb_health_result(&h, LB_REASON_TIMEOUT, 2, 3, 10));
	assert_false(lb_health_result(&h, LB_REASON_TIMEOUT, 2, 3, 11));
	assert_int_equal(h.health, LB_HEALTH_UP);
	assert_int_equal(h.since_ns, 1);
	/* One success starts the count again. */
	assert_false(lb_health_result(&h, LB_REASON_OK, 2, 3, 12));
	assert_int_equal(h.failed, 0);
	assert_false(lb_health_result(&h, LB_REASON_STATUS, 2, 3, 13));
	assert_false(lb_health_result(&h, LB_REASON_BODY, 2, 3, 14));
	assert_true(lb_health_result(&h, LB_REASON_RESET, 2, 3, 15));
	assert_int_equal(h.health, LB_HEALTH_DOWN);
	assert_int_equal(h.reason, LB_REASON_RESET);
	assert_int_equal(h.since_ns, 15);
	assert_false(lb_health_result(&h, LB_REASON_OK, 2, 3, 16));
	assert_false(lb_health_result(&h, LB_REASON_TIMEOUT, 2, 3, 17));
	assert_int_equal(h.ok, 0);
	assert_false(lb_health_result(&h, LB_REASON_OK, 2, 3, 18));
	assert_true(lb_health_result(&h, LB_REASON_OK, 2, 3, 19));
	assert_int_equal(h.health, LB_HEALTH_UP);
	assert_int_equal(h.since_ns, 19);
}

static void test_counts_do_not_wrap(void **state)
{
	struct lb_health_state h = {.health = LB_HEALTH_UP, .ok = UINT32_MAX};

	assert_false(lb_health_result(&h, LB_REASON_OK, 2, 3, 1));
	assert_int_equal(h.ok, UINT32_MAX);
	h = (struct lb_health_state){.health = LB_HEALTH_DOWN, .failed = UINT32_MAX};
	assert_false(lb_health_result(&h, LB_REASON_TIMEOUT, 2, 3, 1));
	assert_int_equal(h.failed, UINT32_MAX);
}

static void test_reason_names(void **state)
{
	assert_string_equal(lb_reason_name(LB_REASON_OK), "ok");
	assert_string_equal(lb_reason_name(LB_REASON_INTERNAL), "internal");
	assert_string_equal(lb_reason_name(LB_REASON_COUNT), "unknown");
}

static void test_delay(void **state)
{
	const uint64_t hour = 3600ULL * 1000000000;

	assert_int_equal(lb_health_delay(1000, 0), 900);
	assert_int_equal(lb_health_delay(1000, 1U << 31), 1000);
	assert_int_equal(lb_health_delay(1000, UINT32_MAX), 1099);
	for (uint64_t r = 0; r <= UINT32_MAX; r += UINT32_MAX / 1000) {
		uint64_t d = lb_health_delay(hour, (uint32_t)r);

		assert_true(d >= hour / 10 * 9 && d <= hour / 10 * 11);
	}
}

/* The first checks of many: in their order, over a second at most, and within an interval where that is shorter. */
static void test_first_delay(void **state)
{
	const uint64_t ms = 1000000, second = 1000 * ms;

	assert_int_equal(lb_health_first_delay(0, 0, second, 0), 0);
	assert_int_equal(lb_health_first_delay(0, 1, second, 0), 0);
	assert_true(lb_health_first_delay(0, 1, second, UINT32_MAX) < 100 * ms);
	assert_int_equal(lb_health_first_delay(5000, 10000, 60 * second, 0), second / 2);
	assert_true(lb_health_first_delay(9999, 10000, 60 * second, UINT32_MAX) < second);
	assert_int_equal(lb_health_first_delay(5000, 10000, 10 * ms, 0), 5 * ms);
	assert_true(lb_health_first_delay(9999, 10000, 10 * ms, UINT32_MAX) < 10 * ms);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_result_decides),
		cmocka_unit_test(test_fall_and_rise),
		cmocka_unit_test(test_counts_do_not_wrap),
		cmocka_unit_test(test_reason_names),
		cmocka_unit_test(test_delay),
		cmocka_unit_test(test_first_delay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
