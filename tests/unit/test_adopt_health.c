// SPDX-License-Identifier: GPL-2.0-or-later
/* What the checks found is in the maps, whatever else is alive there, and is what a daemon that adopts them starts
 * from. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "model_conf.h"
#include "plan.h"

#define WEB "web"

enum { UP = 1, DOWN, UNKNOWN, DISABLED, NR = DISABLED };

struct world {
	struct lb_config *conf;
	struct lb_model *model;
};

static enum lb_health health_of(const struct lb_model *m, uint32_t n)
{
	const struct lb_model_service *s = lb_model_service(m, WEB);
	struct lb_endpoint ep = conf_ep(n);

	for (size_t i = 0; i < s->conf.nr_backends; i++)
		if (!memcmp(&s->conf.backends[i].address, &ep, sizeof(ep)))
			return s->backends[i].health;
	fail_msg("no backend %u", n);
	return LB_HEALTH_UNCHECKED;
}

static void set_health(struct lb_model *m, uint32_t n, enum lb_health h)
{
	struct lb_endpoint ep = conf_ep(n);

	assert_true(lb_model_set_health(m, WEB, &ep, h, 1) >= 0);
}

/* One that is up, one down, one that was never checked and one that was up and is disabled: nobody knows what that one
 * will be when it is enabled. */
static struct world begin(enum lb_fate fate, uint32_t panic_threshold)
{
	struct world w = {.conf = conf_new(), .model = lb_model_new()};
	struct lb_service_conf *s = conf_service(w.conf, WEB, LB_CHECK_TCP);
	struct lb_err err;

	s->on_down = s->on_disable = fate;
	s->panic_threshold = panic_threshold;
	for (uint32_t n = 1; n <= NR; n++)
		conf_backend(w.conf, WEB, n);
	assert_int_equal(lb_model_apply(w.model, w.conf, 0, &err), 0);
	conf_reach(w.model, 0);
	for (uint32_t n = 1; n <= NR; n++)
		if (n != UNKNOWN)
			set_health(w.model, n, LB_HEALTH_UP);
	lb_image_free(lb_model_image(w.model));
	set_health(w.model, DOWN, LB_HEALTH_DOWN);
	conf_find(w.conf, WEB, DISABLED)->admin = LB_ADMIN_DISABLED;
	assert_int_equal(lb_model_apply(w.model, w.conf, 1, &err), 0);
	return w;
}

/* Another daemon with the same maps. */
static void adopt(struct world *w)
{
	struct lb_image *image = lb_model_image(w->model);
	struct lb_model *next = lb_model_new();
	struct lb_err err;

	assert_non_null(image);
	assert_int_equal(lb_model_adopt(next, image), 0);
	assert_int_equal(lb_model_apply(next, w->conf, 2, &err), 0);
	lb_image_free(image);
	lb_model_free(w->model);
	w->model = next;
}

static void end(struct world *w)
{
	lb_model_free(w->model);
	lb_config_free(w->conf);
}

static void check_kept(enum lb_fate fate, uint32_t panic_threshold)
{
	struct world w = begin(fate, panic_threshold);

	for (int i = 0; i < 2; i++) {
		adopt(&w);
		assert_int_equal(health_of(w.model, UP), LB_HEALTH_UP);
		assert_int_equal(health_of(w.model, DOWN), LB_HEALTH_DOWN);
		assert_int_equal(health_of(w.model, UNKNOWN), LB_HEALTH_UNKNOWN);
		assert_int_equal(health_of(w.model, DISABLED), LB_HEALTH_UNKNOWN);
	}
	end(&w);
}

static void test_kept(void **state)
{
	check_kept(LB_FATE_TERMINATE, 0);
}

/* The dead ones are alive in the maps here. */
static void test_kept_where_connections_are(void **state)
{
	check_kept(LB_FATE_KEEP, 0);
}

static void test_kept_in_panic(void **state)
{
	check_kept(LB_FATE_TERMINATE, 100);
}

/* A change of health that moves nobody is in the maps all the same. */
static void test_change_alone(void **state)
{
	struct world w = begin(LB_FATE_TERMINATE, 100);
	struct lb_image *before = lb_model_image(w.model), *after;
	struct lb_plan plan = {0};

	set_health(w.model, UP, LB_HEALTH_DOWN);
	after = lb_model_image(w.model);
	assert_int_equal(lb_plan_make(before, after, &plan), 0);
	assert_int_equal(plan.nr, 1);
	assert_int_equal(plan.ops[0].kind, LB_OP_BACKEND_SET);
	assert_int_equal(plan.ops[0].backend->flags & LB_BACKEND_F_HEALTH, LB_BACKEND_F_DOWN);
	lb_plan_fini(&plan);
	lb_image_free(before);
	lb_image_free(after);
	adopt(&w);
	assert_int_equal(health_of(w.model, UP), LB_HEALTH_DOWN);
	end(&w);
}

/* Maps of a daemon that did not say it: who is alive is up. */
static void test_unsaid(void **state)
{
	struct world w = begin(LB_FATE_TERMINATE, 0);
	struct lb_image *image = lb_model_image(w.model);
	struct lb_model *next = lb_model_new();
	struct lb_err err;

	for (uint32_t i = 0; i < LB_MAX_SERVICES; i++)
		for (size_t j = 0; image->services[i] && j < image->services[i]->nr_backends; j++)
			image->services[i]->backends[j].line.flags &=
				(uint8_t) ~(LB_BACKEND_F_DOWN | LB_BACKEND_F_UNKNOWN);
	assert_int_equal(lb_model_adopt(next, image), 0);
	assert_int_equal(lb_model_apply(next, w.conf, 2, &err), 0);
	assert_int_equal(health_of(next, UP), LB_HEALTH_UP);
	assert_int_equal(health_of(next, DOWN), LB_HEALTH_UNKNOWN);
	lb_image_free(image);
	lb_model_free(next);
	end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kept),	      cmocka_unit_test(test_kept_where_connections_are),
		cmocka_unit_test(test_kept_in_panic), cmocka_unit_test(test_change_alone),
		cmocka_unit_test(test_unsaid),
	};

	return cmocka_run_group_tests_name("adopted health", tests, NULL, NULL);
}
