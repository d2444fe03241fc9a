// SPDX-License-Identifier: GPL-2.0-or-later
/* Which drains there are, whatever the configuration does meanwhile, and when each is over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "drains.h"
#include "model_conf.h"
#include "random.h"

#define SECOND 1000000000ULL

static void test_judge(void **state)
{
	struct lb_drain d = {.since_ns = 100 * SECOND};

	assert_true(lb_drain_ends_ns(&d, 0) == UINT64_MAX);
	assert_true(lb_drain_ends_ns(&d, 5 * SECOND) == 105 * SECOND);
	/* Without a timeout only an empty one is done. */
	assert_false(lb_drain_judge(&d, 0, UINT64_MAX - 1, 1));
	assert_false(lb_drain_judge(&d, 5 * SECOND, 105 * SECOND - 1, 7));
	assert_int_equal(d.end, LB_DRAIN_GOES_ON);
	assert_true(lb_drain_judge(&d, 5 * SECOND, 105 * SECOND, 7));
	assert_int_equal(d.end, LB_DRAIN_TIMEOUT);
	/* It is told once, and stays. */
	assert_false(lb_drain_judge(&d, 5 * SECOND, 106 * SECOND, 0));
	assert_int_equal(d.end, LB_DRAIN_TIMEOUT);
	d = (struct lb_drain){.since_ns = 100 * SECOND};
	assert_true(lb_drain_judge(&d, 5 * SECOND, 99 * SECOND, 0));
	assert_int_equal(d.end, LB_DRAIN_EMPTY);
	assert_false(lb_drain_judge(&d, 5 * SECOND, 200 * SECOND, 9));
	assert_int_equal(d.end, LB_DRAIN_EMPTY);
	assert_string_equal(lb_drain_end_name(LB_DRAIN_GOES_ON), "");
	assert_string_equal(lb_drain_end_name(LB_DRAIN_EMPTY), "empty");
	assert_string_equal(lb_drain_end_name(LB_DRAIN_TIMEOUT), "timeout");
}

#define SERVICES 3
#define BACKENDS 6

/* Random configurations one after another, against a table that knows what each backend should have. */
static void test_random(void **state)
{
	static const char *const names[SERVICES] = {"a", "b", "c"};
	struct lb_drain want[SERVICES][BACKENDS + 1] = {0};
	struct lb_drains drains = {0}, next;
	size_t kept = 0, begun = 0, ended = 0;

	for (uint64_t now_ns = SECOND; now_ns < 2000 * SECOND; now_ns += SECOND) {
		struct lb_config *c = conf_new();
		size_t nr = 0;

		for (int i = 0; i < SERVICES; i++) {
			bool there = below(8);

			if (there)
				conf_service(c, names[i], LB_CHECK_NONE);
			for (uint32_t n = 1; n <= BACKENDS; n++) {
				struct lb_drain *w = &want[i][n];
				bool draining = w->since_ns ? below(6) : !below(3);

				if (there && (draining || below(2)))
					conf_backend(c, names[i], n)->admin =
						draining ? LB_ADMIN_DRAINING : below(2) * 2;
				if (!there || !draining)
					*w = (struct lb_drain){0};
				else if (w->since_ns)
					kept++;
				else
					w->since_ns = now_ns, begun++;
				nr += w->since_ns != 0;
			}
		}
		assert_int_equal(lb_drains_make(&drains, c, now_ns, &next), 0);
		lb_drains_fini(&drains);
		drains = next;
		assert_int_equal(drains.nr, nr);
		for (int i = 0; i < SERVICES; i++) {
			for (uint32_t n = 1; n <= BACKENDS; n++) {
				struct lb_endpoint ep = conf_ep(n);
				struct lb_drain *got = lb_drains_find(&drains, names[i], &ep);

				assert_int_equal(got != NULL, want[i][n].since_ns != 0);
				if (!got)
					continue;
				assert_string_equal(got->service, names[i]);
				assert_memory_equal(&got->address, &ep, sizeof(ep));
				assert_true(got->since_ns == want[i][n].since_ns);
				assert_int_equal(got->end, want[i][n].end);
				if (!below(4))
					ended += lb_drain_judge(got, 3 * SECOND, now_ns, below(3));
				want[i][n].end = got->end;
			}
		}
		lb_config_free(c);
	}
	assert_true(kept > 1000 && begun > 1000 && ended > 500);
	lb_drains_fini(&drains);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_judge),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
