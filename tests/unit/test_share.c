/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A backend's own word on its weight: how it is read, when it counts, and what tables are made of it. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>

#include "model_conf.h"
#include "share.h"

/* ---- reading ---- */

static void test_header(void **state)
{
	static const struct {
		const char *text;
		int percent; /* -1: none */
	} cases[] = {
		{"75", 75},
		{"75%", 75},
		{" \t75 % of it", 75},
		{"0", 0},
		{"62.5%", 63},
		{"62.4", 62},
		{"0.4%", 0},
		{"100", 100},
		{"250%", 100},
		{"99.9", 100},
		{"75;q=1", 75},
		{"75, 30", 75},
		{"007", 7},
		{"4294967297", 100},
		{"99999999999999999999", 100},
		{"75 up", 75},
		{"", -1},
		{" ", -1},
		{"busy", -1},
		{"-5", -1},
		{"%", -1},
		{"75ms", -1},
		{"5.", -1},
		{"0x10", -1},
		{".5", -1},
		{"75.5.5", -1},
		{"up 75%", -1},
	};
	uint32_t percent;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		int ret;

		percent = 12345;
		ret = lb_share_parse(cases[i].text, &percent);
		if (ret != (cases[i].percent < 0 ? -EINVAL : 0) ||
		    percent != (cases[i].percent < 0 ? 12345 : (uint32_t)cases[i].percent))
			fail_msg("\"%s\" is %d, %u", cases[i].text, ret, percent);
	}
}

static void test_body(void **state)
{
	static const struct {
		const char *text;
		int percent;
	} cases[] = {
		{"75%\n", 75},	    {"75%", 75},   {"up 75%\r\n", 75}, {"ready,up,30%,maxconn:10\n", 30},
		{"  0%", 0},	    {"300%", 100}, {"12.5%", 13},      {"up\n75%\n", -1},
		{"75", -1},	    {"75 %", -1},  {"75%%", -1},       {"x75%", -1},
		{"", -1},	    {"\n75%", -1}, {"%", -1},	       {"10 20% 30%", 20},
		{"status=75%", -1},
	};
	uint32_t percent;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		size_t len = strlen(cases[i].text);
		uint8_t *exact = malloc(len ? len : 1); /* a read past its end is seen */
		int ret;

		assert_non_null(exact);
		memcpy(exact, cases[i].text, len);
		ret = lb_share_find(exact, len, &percent);
		if (ret != (cases[i].percent < 0 ? -EINVAL : 0) || (!ret && percent != (uint32_t)cases[i].percent))
			fail_msg("\"%s\" is %d, %u", cases[i].text, ret, percent);
		free(exact);
	}
}

/* ---- counting ---- */

static void test_hysteresis(void **state)
{
	struct lb_check_conf check = {.weight_floor = 10, .weight_step = 5, .fall = 3};
	struct lb_share_state s = {0};

	assert_int_equal(lb_share_read(&s, &check, 96), 100);
	assert_int_equal(lb_share_read(&s, &check, 95), 95);
	assert_int_equal(lb_share_read(&s, &check, 99), 95);
	assert_int_equal(lb_share_read(&s, &check, 91), 95);
	/* The ends count, however near. */
	assert_int_equal(lb_share_read(&s, &check, 100), 100);
	assert_int_equal(lb_share_read(&s, &check, 12), 12);
	assert_int_equal(lb_share_read(&s, &check, 3), 10);
	assert_int_equal(lb_share_read(&s, &check, 0), 10);
	assert_int_equal(lb_share_read(&s, &check, 14), 10);
	/* From step to step it gets anywhere: nothing adds up unseen. */
	for (uint32_t percent = 10; percent <= 60; percent++)
		assert_in_range(percent - lb_share_read(&s, &check, percent), 0, 4);
	check.weight_step = 1;
	assert_int_equal(lb_share_read(&s, &check, 41), 41);
	assert_int_equal(lb_share_read(&s, &check, 42), 42);
	/* A load is what is missing. */
	check.weight_means = LB_WEIGHT_LOAD;
	assert_int_equal(lb_share_read(&s, &check, 30), 70);
	assert_int_equal(lb_share_read(&s, &check, 0), 100);
	assert_int_equal(lb_share_read(&s, &check, 100), 10);
}

static void test_unread(void **state)
{
	struct lb_check_conf check = {.weight_floor = 1, .weight_step = 5, .fall = 3};
	struct lb_share_state s = {0};

	assert_int_equal(lb_share_unread(&s, &check), 100);
	assert_int_equal(lb_share_read(&s, &check, 40), 40);
	assert_int_equal(lb_share_unread(&s, &check), 40);
	assert_int_equal(lb_share_unread(&s, &check), 40);
	assert_int_equal(lb_share_read(&s, &check, 30), 30);
	assert_int_equal(lb_share_unread(&s, &check), 30);
	assert_int_equal(lb_share_unread(&s, &check), 30);
	assert_int_equal(lb_share_unread(&s, &check), 100);
	assert_int_equal(lb_share_unread(&s, &check), 100);
	assert_int_equal(s.unread_total, 7);
	assert_int_equal(lb_share_read(&s, &check, 30), 30);
}

/* ---- tables ---- */

#define WEB "web"

static const struct lb_next_hop next_hop = {.ifindex = 3, .mtu = 1500, .dmac = {2}, .smac = {2, 1}};

static void apply(struct lb_model *m, const struct lb_config *c, uint32_t now_s)
{
	struct lb_err err;

	assert_int_equal(lb_model_apply(m, c, now_s, &err), 0);
}

static struct lb_config *web(uint32_t backends)
{
	struct lb_config *c = conf_new();

	conf_service(c, WEB, LB_CHECK_HTTP)->check.weight_body = true;
	for (uint32_t n = 1; n <= backends; n++)
		conf_backend(c, WEB, n);
	return c;
}

static void all_up(struct lb_model *m, uint32_t backends)
{
	for (uint32_t n = 1; n <= backends; n++) {
		struct lb_endpoint ep = conf_ep(n);

		lb_model_set_next_hop(m, ep.addr, &next_hop, 100);
		lb_model_set_health(m, WEB, &ep, LB_HEALTH_UP, 100);
	}
	lb_image_free(lb_model_image(m));
}

/* Returns whether the image differs. */
static int share(struct lb_model *m, uint32_t n, uint32_t percent)
{
	struct lb_endpoint ep = conf_ep(n);
	int ret = lb_model_set_share(m, WEB, &ep, percent, 200);

	lb_image_free(lb_model_image(m));
	return ret;
}

static const struct lb_model_backend *backend(const struct lb_model *m, uint32_t n)
{
	const struct lb_model_service *s = lb_model_service(m, WEB);
	struct lb_endpoint ep = conf_ep(n);

	return &s->backends[lb_service_conf_backend(&s->conf, &ep) - s->conf.backends];
}

static double part(const struct lb_model *m, uint32_t n)
{
	return (double)backend(m, n)->nr_slots / (double)(1UL << lb_model_service(m, WEB)->policy_shift);
}

static void assert_part(const struct lb_model *m, uint32_t n, double wanted)
{
	double got = part(m, n);

	if (got < wanted - 0.01 || got > wanted + 0.01)
		fail_msg("backend %u has %.3f of the slots, wanted %.3f", n, got, wanted);
}

static void test_tables(void **state)
{
	struct lb_config *c = web(4);
	struct lb_model *m = lb_model_new();
	struct lb_endpoint stranger = conf_ep(9);
	unsigned int shift;
	uint64_t digest;

	apply(m, c, 100);
	all_up(m, 4);
	shift = lb_model_service(m, WEB)->policy_shift;
	digest = lb_model_digest(lb_model_service(m, WEB));
	assert_part(m, 1, 0.25);
	assert_int_equal(share(m, 1, 100), 0);
	assert_int_equal(share(m, 1, 50), 1);
	assert_int_equal(share(m, 1, 50), 0);
	assert_part(m, 1, 50 / 350.0);
	assert_part(m, 2, 100 / 350.0);
	assert_true(lb_model_weight(backend(m, 1)) == 50);
	assert_int_equal(share(m, 1, 1), 1);
	assert_true(backend(m, 1)->nr_slots >= 1 && part(m, 1) < 0.01);
	assert_true(lb_model_weight(backend(m, 1)) == 1);
	/* All alike is as if nobody had said anything, and the size stays throughout. */
	for (uint32_t n = 1; n <= 4; n++)
		share(m, n, 30);
	assert_true(lb_model_digest(lb_model_service(m, WEB)) == digest);
	assert_true(lb_model_weight(backend(m, 4)) == 30);
	for (uint32_t n = 1; n <= 4; n++)
		share(m, n, 100);
	assert_true(lb_model_digest(lb_model_service(m, WEB)) == digest);
	assert_int_equal(lb_model_service(m, WEB)->policy_shift, shift);
	assert_int_equal(lb_model_set_share(m, WEB, &stranger, 50, 1), -ENOENT);
	assert_int_equal(lb_model_set_share(m, "nil", &stranger, 50, 1), -ENOENT);
	lb_model_free(m);
	lb_config_free(c);
}

/* The greatest weights and every part of them that there is: ratios stay. */
static void test_large_weights(void **state)
{
	struct lb_config *c = web(3);
	struct lb_model *m = lb_model_new();

	for (uint32_t n = 1; n <= 3; n++)
		conf_find(c, WEB, n)->weight = 65535;
	lb_config_service(c, WEB)->slow_start_ns = 8ULL * 1000000000;
	apply(m, c, 100);
	all_up(m, 2);
	assert_int_equal(share(m, 1, 40), 1);
	assert_part(m, 1, 40 / 140.0);
	assert_true(lb_model_weight(backend(m, 1)) == 26214);
	all_up(m, 3); /* at second 100: all begin together */
	assert_part(m, 1, 40 / 240.0);
	lb_model_free(m);
	lb_config_free(c);
}

/* Who takes no new connections may say what it likes. */
static void test_standby(void **state)
{
	struct lb_config *c = web(3);
	struct lb_model *m = lb_model_new();
	const struct lb_slots *slots;
	uint64_t digest;

	conf_find(c, WEB, 3)->tier = 1;
	apply(m, c, 100);
	all_up(m, 3);
	digest = lb_model_digest(lb_model_service(m, WEB));
	slots = lb_model_service(m, WEB)->slots;
	share(m, 3, 20);
	assert_true(lb_model_digest(lb_model_service(m, WEB)) == digest && lb_model_service(m, WEB)->slots == slots);
	/* It counts when it serves. */
	conf_find(c, WEB, 1)->tier = 1;
	conf_find(c, WEB, 2)->admin = LB_ADMIN_DISABLED;
	apply(m, c, 300);
	assert_part(m, 3, 20 / 120.0);
	lb_model_free(m);
	lb_config_free(c);
}

/* Another daemon finds it in the maps; a check that reads no weight lets go of it. */
static void test_restart(void **state)
{
	struct lb_config *c = web(2);
	struct lb_model *m = lb_model_new(), *next = lb_model_new();
	struct lb_image *image;
	uint64_t digest;

	apply(m, c, 100);
	all_up(m, 2);
	share(m, 2, 35);
	digest = lb_model_digest(lb_model_service(m, WEB));
	image = lb_model_image(m);
	assert_int_equal(lb_model_adopt(next, image), 0);
	apply(next, c, 200);
	assert_true(lb_model_digest(lb_model_service(next, WEB)) == digest);
	assert_true(lb_model_weight(backend(next, 2)) == 35);
	/* A change of something else keeps it. */
	lb_config_service(c, WEB)->panic_threshold = 50;
	apply(next, c, 210);
	assert_true(lb_model_weight(backend(next, 2)) == 35);
	lb_config_service(c, WEB)->check.weight_body = false;
	apply(next, c, 220);
	assert_true(lb_model_weight(backend(next, 2)) == 100);
	assert_part(next, 2, 0.5);
	assert_int_equal(share(next, 2, 10), 0);
	lb_image_free(image);
	lb_model_free(next);
	lb_model_free(m);
	lb_config_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_header),	cmocka_unit_test(test_body),	cmocka_unit_test(test_hysteresis),
		cmocka_unit_test(test_unread),	cmocka_unit_test(test_tables),	cmocka_unit_test(test_large_weights),
		cmocka_unit_test(test_standby), cmocka_unit_test(test_restart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
