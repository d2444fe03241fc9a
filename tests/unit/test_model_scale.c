// SPDX-License-Identifier: GPL-2.0-or-later
/* The model at its limits: no room, and one change among very many services. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <cmocka.h>

#include "model_web.h"

/* @nr services of @each backends with addresses from @from on, by hand: adding them one by one checks too much. */
static struct lb_config *large(size_t nr, size_t each, uint32_t from)
{
	struct lb_config *c = conf_new();

	c->services = calloc(nr, sizeof(*c->services));
	c->nr_services = nr;
	for (size_t i = 0; i < nr; i++) {
		struct lb_service_conf *s = &c->services[i];

		snprintf(s->name, sizeof(s->name), "s%05zu", i);
		s->forward = LB_FORWARD_L2;
		s->check.type = LB_CHECK_TCP;
		s->vips = calloc(1, sizeof(*s->vips));
		s->nr_vips = 1;
		s->vips[0] = (struct lb_vip_conf){.vip.port = htons((uint16_t)(i + 1)), .plen = 128};
		s->backends = calloc(each, sizeof(*s->backends));
		s->nr_backends = each;
		for (size_t j = 0; j < each; j++) {
			s->backends[j].address = conf_ep(from + (uint32_t)j);
			s->backends[j].weight = 1;
		}
	}
	return c;
}

static void test_no_room(void **state)
{
	struct lb_config *c = large(1, 20000, 0), *other = large(1, 20000, 30000), *many = large(260, 3, 0);
	struct lb_model *m = lb_model_new();
	struct lb_image *before, *after;

	/* Weights that are far apart take large tables: 2^15 slots each. */
	for (size_t i = 0; i < many->nr_services; i++)
		many->services[i].backends[1].weight = many->services[i].backends[2].weight = 100;
	assert_int_equal(lb_model_apply(m, many, 1, &err), -ENOSPC);
	assert_non_null(strstr(err.message, "slots"));
	apply(m, c, 0);
	before = lb_model_image(m);
	err = (struct lb_err){0};
	assert_int_equal(lb_model_apply(m, other, 1, &err), -ENOSPC);
	assert_int_equal(err.code, -ENOSPC);
	assert_non_null(strstr(err.message, "backends"));
	/* Nothing changed, and what was refused can be had another way. */
	after = lb_model_image(m);
	assert_int_equal(plan_size(before, after), 0);
	assert_ptr_equal(before->services[1], after->services[1]);
	lb_image_free(before);
	lb_image_free(after);
	for (int i = 0; i < 3; i++) {
		lb_config_free(c);
		c = conf_new();
		apply(m, c, 2);
		apply(m, other, 3);
	}
	lb_config_free(c);
	lb_config_free(other);
	lb_config_free(many);
	lb_model_free(m);
}

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

/* One backend's health among 10,000 services. The bound is wide: this runs sanitized, on machines that are busy. */
static void test_one_of_many(void **state)
{
	struct lb_config *c = large(10000, 1, 1);
	struct lb_model *m = lb_model_new();
	struct lb_endpoint ep = conf_ep(1);
	struct lb_image *old;
	double best = 1e9, start = now_ms();

	apply(m, c, 0);
	print_message("apply of 10,000 services: %.1f ms\n", now_ms() - start);
	old = lb_model_image(m);
	for (int i = 0; i < 20; i++) {
		struct lb_image *new;
		struct lb_plan plan;
		double took;

		start = now_ms();
		assert_int_equal(lb_model_set_health(m, "s05000", &ep, i % 2 ? LB_HEALTH_DOWN : LB_HEALTH_UP, i), 1);
		new = lb_model_image(m);
		assert_int_equal(lb_plan_make(old, new, &plan), 0);
		took = now_ms() - start;
		best = took < best ? took : best;
		assert_int_equal(plan.nr, 4); /* a backend, its table and service, its VIP */
		lb_plan_fini(&plan);
		lb_image_free(old);
		old = new;
	}
	print_message("one change of health, image and plan: %.2f ms\n", best);
	assert_true(best < 20);
	lb_image_free(old);
	lb_config_free(c);
	lb_model_free(m);
}

/* First checks of very many backends of one service: each is only noted, and one table is built for all. */
static void test_burst(void **state)
{
	const uint32_t nr = 6000;
	struct lb_config *c = large(1, nr, 1);
	struct lb_model *m = lb_model_new();
	struct lb_image *image;
	double start, worst = 0, sum;

	apply(m, c, 0);
	lb_image_free(lb_model_image(m));
	sum = now_ms();
	for (uint32_t n = 1; n <= nr; n++) {
		struct lb_endpoint ep = conf_ep(n);
		double took;

		start = now_ms();
		assert_int_equal(lb_model_set_health(m, "s00000", &ep, LB_HEALTH_UP, 1), 1);
		took = now_ms() - start;
		worst = took > worst ? took : worst;
	}
	sum = now_ms() - sum;
	start = now_ms();
	image = lb_model_image(m);
	print_message("%u first checks: %.1f ms in all, %.3f ms at worst; then one image: %.0f ms\n", nr, sum, worst,
		      now_ms() - start);
	assert_int_equal(lb_model_service(m, "s00000")->choice.chosen, nr);
	assert_true(sum < 1000); /* a table for each would be 100 s */
	lb_image_free(image);
	lb_config_free(c);
	lb_model_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_room),
		cmocka_unit_test(test_one_of_many),
		cmocka_unit_test(test_burst),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
