// SPDX-License-Identifier: GPL-2.0-or-later
/* The model: what configuration and health make of ids, lines, tables and phases. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "model_web.h"

static void test_first_image(void **state)
{
	struct lb_config *c = web(3, LB_CHECK_NONE);
	struct lb_model *m = lb_model_new();
	const struct lb_model_service *s, *const *list;
	struct lb_image *image, *again;
	struct lb_backend l;

	conf_service(c, "dns", LB_CHECK_NONE)->state = LB_STATE_NONE;
	lb_config_service(c, WEB)->state = LB_STATE_ALL;
	c->learn_rate = 12345;
	apply(m, c, 0);
	s = lb_model_service(m, WEB);
	assert_non_null(s);
	assert_null(lb_model_service(m, "nil"));
	assert_int_equal(lb_model_services(m, &list), 2);
	assert_string_equal(list[0]->conf.name, "dns");
	assert_ptr_equal(list[1], s);
	assert_int_equal(s->choice.chosen, 3);
	assert_int_equal(s->policy_shift, 9);
	assert_int_equal(in_phase(m, LB_PHASE_STABLE), 512);
	assert_int_equal(s->backends[0].nr_slots + s->backends[1].nr_slots + s->backends[2].nr_slots, 512);
	assert_int_equal(list[0]->choice.chosen, 0);
	assert_true(lb_model_settled(m));
	l = line(m, 2);
	assert_int_equal(l.flags, LB_BACKEND_F_ALIVE | LB_BACKEND_F_TAKES_NEW | LB_BACKEND_F_V4);
	assert_int_equal(l.service, s->idx);
	assert_int_equal(l.port, htons(80));
	assert_int_equal(l.forward, LB_FORWARD_IPIP);
	assert_int_equal(l.oif, 3);
	image = lb_model_image(m);
	assert_int_equal(image->conf.hash_key[1], 22);
	assert_int_equal(image->conf.learn_rate, c->learn_rate);
	assert_int_equal(image->services[s->idx]->line.flags, LB_SERVICE_F_TRACK_TCP | LB_SERVICE_F_TRACK_UDP);
	assert_int_equal(image->services[list[0]->idx]->line.flags, LB_SERVICE_F_NO_STATE);
	assert_true(image->services[s->idx]->line.name_id == lb_name_id(WEB));
	/* The same wish again: the very same service images. */
	apply(m, c, 5);
	again = lb_model_image(m);
	assert_ptr_equal(image->services[s->idx], again->services[s->idx]);
	assert_int_equal(plan_size(image, again), 0);
	lb_image_free(image);
	lb_image_free(again);
	lb_config_free(c);
	lb_model_free(m);
	lb_model_free(NULL);
}

/* The mode and its port are in every line, and reach them without a slot's owner changing. */
static void test_forward(void **state)
{
	struct lb_config *c = web(3, LB_CHECK_NONE);
	struct lb_model *m = lb_model_new();
	struct lb_image *before, *after;

	lb_config_service(c, WEB)->forward = LB_FORWARD_GUE;
	lb_config_service(c, WEB)->gue_port = 6080;
	apply(m, c, 0);
	assert_int_equal(line(m, 1).forward, LB_FORWARD_GUE);
	assert_int_equal(line(m, 1).gue_port, htons(6080));
	before = lb_model_image(m);
	lb_config_service(c, WEB)->gue_port = 7000;
	apply(m, c, 1);
	after = lb_model_image(m);
	assert_int_equal(plan_size(before, after), 3);
	for (uint32_t n = 1; n <= 3; n++)
		assert_int_equal(line(m, n).gue_port, htons(7000));
	assert_true(lb_model_settled(m));
	lb_image_free(before);
	lb_image_free(after);
	lb_config_free(c);
	lb_model_free(m);
}

/* Behind the VIPs stands what answers echo requests, of each address and each prefix once. */
static void test_ping(void **state)
{
	const char *const vips[] = {"192.0.2.16:80", "192.0.2.16/28:80", "192.0.2.16:80/udp", "192.0.2.16/28:443",
				    "192.0.2.17:80", "192.0.2.16:*",	 "[2001:db8::1]:80"};
	const char *const answered[] = {"192.0.2.16", "192.0.2.16/28", "192.0.2.17", "2001:db8::1"};
	const size_t nr = sizeof(vips) / sizeof(*vips), nr_answered = sizeof(answered) / sizeof(*answered);
	struct lb_config *c = web(1, LB_CHECK_NONE);
	struct lb_model *m = lb_model_new();
	struct lb_service_conf *s = lb_config_service(c, WEB);
	struct lb_vip_conf *list = realloc(s->vips, nr * sizeof(*list));
	const struct lb_service_image *service;
	struct lb_image *image;

	assert_non_null(list);
	s->vips = list;
	s->nr_vips = nr;
	for (size_t i = 0; i < nr; i++)
		assert_int_equal(lb_vip_parse(vips[i], &list[i], NULL), 0);
	lb_service_conf_sort(s);
	s->ping = true;
	apply(m, c, 0);
	image = lb_model_image(m);
	service = image->services[lb_model_service(m, WEB)->idx];
	assert_int_equal(service->nr_vips, nr + nr_answered);
	for (size_t i = 0; i < nr_answered; i++) {
		size_t found = 0;

		for (size_t k = nr; k < service->nr_vips; k++) {
			const struct lb_vip_conf *vip = &service->vips[k];
			struct lb_prefix prefix = {.plen = vip->plen};
			char text[LB_ADDR_STRLEN];

			assert_int_equal(vip->vip.port, 0);
			assert_int_equal(vip->vip.proto, lb_addr_is_v4(vip->vip.addr) ? IPPROTO_ICMP : IPPROTO_ICMPV6);
			memcpy(prefix.addr, vip->vip.addr, sizeof(prefix.addr));
			found += !strcmp(lb_prefix_format(&prefix, text), answered[i]);
		}
		assert_int_equal(found, 1);
	}
	lb_image_free(image);
	lb_config_free(c);
	lb_model_free(m);
}

/* Two load balancers that came by different ways to the same configuration have the same table. */
static void test_history_does_not_matter(void **state)
{
	struct lb_model *a = lb_model_new(), *b = lb_model_new();
	struct lb_config *c = web(10, LB_CHECK_NONE), *d = web(3, LB_CHECK_NONE);

	apply(a, c, 0);
	for (uint32_t n = 20; n > 3; n--) {
		conf_backend(d, WEB, n);
		apply(b, d, n);
	}
	assert_true(lb_model_digest(lb_model_service(a, WEB)) != lb_model_digest(lb_model_service(b, WEB)));
	for (uint32_t n = 11; n <= 20; n++)
		conf_del(d, WEB, n);
	apply(b, d, 100);
	assert_true(lb_model_digest(lb_model_service(a, WEB)) == lb_model_digest(lb_model_service(b, WEB)));
	lb_config_free(c);
	lb_config_free(d);
	lb_model_free(a);
	lb_model_free(b);
}

static void test_health(void **state)
{
	struct lb_config *c = web(3, LB_CHECK_TCP);
	struct lb_model *m = lb_model_new();
	struct lb_endpoint stranger = conf_ep(9);
	uint8_t gen;

	apply(m, c, 0);
	assert_int_equal(backend(m, WEB, 1)->health, LB_HEALTH_UNKNOWN);
	assert_int_equal(lb_model_service(m, WEB)->choice.chosen, 0);
	assert_int_equal(line(m, 1).flags, LB_BACKEND_F_ALIVE | LB_BACKEND_F_V4);
	for (uint32_t n = 1; n <= 3; n++)
		assert_int_equal(health(m, n, LB_HEALTH_UP, 1), 1);
	assert_int_equal(health(m, 1, LB_HEALTH_UP, 1), 0);
	assert_int_equal(lb_model_set_health(m, WEB, &stranger, LB_HEALTH_UP, 1), -ENOENT);
	assert_int_equal(lb_model_set_health(m, "nil", &stranger, LB_HEALTH_UP, 1), -ENOENT);
	assert_int_equal(lb_model_service(m, WEB)->choice.chosen, 3);
	/* It has nothing to keep when it dies, so that nobody has to move. Its first owners took over from it at once.
	 */
	gen = line(m, 1).gen;
	assert_int_equal(health(m, 1, LB_HEALTH_DOWN, 2), 1);
	assert_int_equal(line(m, 1).flags, LB_BACKEND_F_V4);
	assert_int_equal(line(m, 1).gen, (uint8_t)(gen + 1));
	assert_int_equal(backend(m, WEB, 1)->gen, (uint8_t)(gen + 1));
	assert_int_equal(backend(m, WEB, 1)->nr_slots, 0);
	assert_int_equal(health(m, 1, LB_HEALTH_UP, 3), 1);
	assert_int_equal(line(m, 1).gen, (uint8_t)(gen + 1));
	assert_int_equal(line(m, 1).flags, LB_BACKEND_F_ALIVE | LB_BACKEND_F_TAKES_NEW | LB_BACKEND_F_V4);
	lb_config_free(c);
	lb_model_free(m);
}

/* Where connections are kept, one that is down or disabled only takes none anew; its slots move as if it drained. */
static void test_keep(void **state)
{
	struct lb_config *c = web(3, LB_CHECK_TCP);
	struct lb_model *m = lb_model_new();
	uint8_t gen[4];

	lb_config_service(c, WEB)->on_down = LB_FATE_KEEP;
	lb_config_service(c, WEB)->on_disable = LB_FATE_KEEP;
	apply(m, c, 0);
	for (uint32_t n = 1; n <= 3; n++) {
		assert_int_equal(health(m, n, LB_HEALTH_UP, 1), 1);
		gen[n] = line(m, n).gen;
	}
	assert_int_equal(health(m, 1, LB_HEALTH_DOWN, 2), 1);
	assert_int_equal(line(m, 1).flags, LB_BACKEND_F_ALIVE | LB_BACKEND_F_V4);
	assert_int_equal(line(m, 1).gen, gen[1]);
	assert_int_equal(backend(m, WEB, 1)->nr_slots, 0);
	assert_true(in_phase(m, LB_PHASE_MOVING) > 0);
	conf_find(c, WEB, 2)->admin = LB_ADMIN_DISABLED;
	apply(m, c, 3);
	assert_int_equal(line(m, 2).flags, LB_BACKEND_F_ALIVE | LB_BACKEND_F_V4);
	assert_int_equal(line(m, 2).gen, gen[2]);
	assert_int_equal(backend(m, WEB, 2)->nr_slots, 0);
	assert_int_equal(line(m, 3).flags, LB_BACKEND_F_ALIVE | LB_BACKEND_F_TAKES_NEW | LB_BACKEND_F_V4);
	/* Each is ended by its own word. */
	lb_config_service(c, WEB)->on_disable = LB_FATE_TERMINATE;
	apply(m, c, 4);
	assert_int_equal(line(m, 1).gen, gen[1]);
	assert_int_equal(line(m, 2).flags, LB_BACKEND_F_V4);
	assert_int_equal(line(m, 2).gen, (uint8_t)(gen[2] + 1));
	lb_config_service(c, WEB)->on_down = LB_FATE_TERMINATE;
	apply(m, c, 5);
	assert_int_equal(line(m, 1).flags, LB_BACKEND_F_V4);
	assert_int_equal(line(m, 1).gen, (uint8_t)(gen[1] + 1));
	lb_config_free(c);
	lb_model_free(m);
}

/* A choice that cannot be made again is remembered, whatever `state` says; so is a change of that. */
static void test_implied_state(void **state)
{
	struct lb_config *c = web(3, LB_CHECK_NONE);
	struct lb_model *m = lb_model_new();
	const struct lb_model_service *s;
	struct lb_image *image;

	apply(m, c, 0);
	lb_config_service(c, WEB)->policy = LB_POLICY_ROUND_ROBIN;
	apply(m, c, 1);
	s = lb_model_service(m, WEB);
	image = lb_model_image(m);
	assert_int_equal(image->services[s->idx]->line.flags,
			 LB_SERVICE_F_TRACK_TCP | LB_SERVICE_F_TRACK_UDP | LB_SERVICE_F_CHOICE);
	lb_image_free(image);
	lb_config_free(c);
	lb_model_free(m);
}

/* Where all are dead and there is a threshold, all serve; then nothing changes as one more dies. */
static void test_panic(void **state)
{
	struct lb_config *c = web(4, LB_CHECK_TCP);
	struct lb_model *m = lb_model_new();
	struct lb_image *before, *after;

	lb_config_service(c, WEB)->panic_threshold = 50;
	apply(m, c, 0);
	assert_true(lb_model_service(m, WEB)->choice.panic);
	assert_int_equal(line(m, 1).flags, LB_BACKEND_F_ALIVE | LB_BACKEND_F_TAKES_NEW | LB_BACKEND_F_V4);
	before = lb_model_image(m);
	assert_int_equal(health(m, 1, LB_HEALTH_DOWN, 1), 1);
	assert_int_equal(health(m, 2, LB_HEALTH_UP, 1), 1);
	after = lb_model_image(m);
	assert_int_equal(plan_size(before, after), 2); /* two lines, which say what the checks found */
	lb_image_free(before);
	lb_image_free(after);
	assert_int_equal(health(m, 3, LB_HEALTH_UP, 2), 1);
	assert_false(lb_model_service(m, WEB)->choice.panic);
	assert_int_equal(line(m, 1).flags, LB_BACKEND_F_V4);
	lb_config_free(c);
	lb_model_free(m);
}

static void test_admin(void **state)
{
	struct lb_config *c = web(3, LB_CHECK_NONE);
	struct lb_model *m = lb_model_new();
	uint8_t gen;
	size_t had;

	apply(m, c, 0);
	gen = line(m, 1).gen;
	had = backend(m, WEB, 1)->nr_slots;
	conf_find(c, WEB, 1)->admin = LB_ADMIN_DRAINING;
	apply(m, c, 10);
	assert_int_equal(line(m, 1).flags, LB_BACKEND_F_ALIVE | LB_BACKEND_F_V4);
	assert_int_equal(line(m, 1).gen, gen);
	assert_true(in_phase(m, LB_PHASE_MOVING) >= had);
	assert_false(lb_model_settled(m));
	/* The window is the configuration's, in whole seconds and never less. */
	assert_int_equal(lb_model_tick(m, NULL, NULL, NULL, 40, 0), 0);
	assert_int_equal(lb_model_tick(m, NULL, NULL, NULL, 41, 0), 1);
	assert_int_equal(in_phase(m, LB_PHASE_MOVING), 0);
	assert_true(in_phase(m, LB_PHASE_SETTLING) >= had);
	assert_int_equal(lb_model_tick(m, NULL, NULL, NULL, 42, 0), 0);
	conf_find(c, WEB, 1)->admin = LB_ADMIN_DISABLED;
	apply(m, c, 50);
	assert_int_equal(line(m, 1).flags, LB_BACKEND_F_V4);
	assert_int_equal(line(m, 1).gen, (uint8_t)(gen + 1));
	/* The last ones drain: nobody takes anything new, what there is stays. */
	conf_find(c, WEB, 2)->admin = LB_ADMIN_DRAINING;
	conf_find(c, WEB, 3)->weight = 0;
	apply(m, c, 60);
	assert_int_equal(lb_model_service(m, WEB)->choice.chosen, 0);
	assert_int_equal(in_phase(m, LB_PHASE_MOVING), 512);
	for (int i = 0; i < 512; i++) {
		assert_int_equal(LB_SLOT_CUR(lb_model_service(m, WEB)->slots->word[i]), 0);
		assert_int_not_equal(LB_SLOT_PREV(lb_model_service(m, WEB)->slots->word[i]), 0);
	}
	lb_config_free(c);
	lb_model_free(m);
}

/* Checks that begin and end, with backends that serve. */
static void test_check_changes(void **state)
{
	struct lb_config *c = web(2, LB_CHECK_NONE);
	struct lb_model *m = lb_model_new();
	struct lb_image *before, *after;

	apply(m, c, 0);
	assert_int_equal(backend(m, WEB, 1)->health, LB_HEALTH_UNCHECKED);
	assert_int_equal(health(m, 1, LB_HEALTH_DOWN, 1), 0);
	before = lb_model_image(m);
	lb_config_service(c, WEB)->check.type = LB_CHECK_TCP;
	apply(m, c, 1);
	after = lb_model_image(m);
	assert_int_equal(backend(m, WEB, 1)->health, LB_HEALTH_UP);
	assert_int_equal(plan_size(before, after), 2); /* two lines, which say what is known of health */
	assert_int_equal(health(m, 1, LB_HEALTH_DOWN, 2), 1);
	lb_config_service(c, WEB)->check.type = LB_CHECK_HTTP;
	apply(m, c, 3);
	assert_int_equal(backend(m, WEB, 1)->health, LB_HEALTH_DOWN);
	assert_int_equal(lb_model_service(m, WEB)->conf.check.type, LB_CHECK_HTTP);
	lb_config_service(c, WEB)->check.type = LB_CHECK_NONE;
	apply(m, c, 4);
	assert_int_equal(backend(m, WEB, 1)->health, LB_HEALTH_UNCHECKED);
	assert_true(backend(m, WEB, 1)->chosen);
	lb_image_free(before);
	lb_image_free(after);
	lb_config_free(c);
	lb_model_free(m);
}

/* An index that is given back is used again after all others, and never within the change that frees it. */
static void test_ids(void **state)
{
	const uint32_t batch = 200;
	struct lb_config *with, *without = web(2, LB_CHECK_NONE);
	struct lb_model *m = lb_model_new();
	uint32_t given = 0;
	uint16_t first;
	uint8_t gen;

	apply(m, without, 0);
	first = backend(m, WEB, 1)->idx;
	gen = backend(m, WEB, 1)->gen;
	conf_del(without, WEB, 1);
	conf_backend(without, WEB, 3);
	apply(m, without, 1);
	assert_int_not_equal(backend(m, WEB, 3)->idx, first);
	assert_int_equal(backend(m, WEB, 2)->idx, first + 1);
	conf_service(without, "many", LB_CHECK_NONE);
	with = lb_config_copy(without);
	for (uint32_t n = 1; n <= batch; n++)
		conf_backend(with, "many", n);
	for (bool again = false; !again; given += batch) {
		assert_true(given < 2 * LB_MAX_BACKENDS);
		apply(m, with, 2);
		for (uint32_t n = 1; n <= batch; n++) {
			if (backend(m, "many", n)->idx != first)
				continue;
			again = true;
			assert_int_equal(backend(m, "many", n)->gen, (uint8_t)(gen + 1));
		}
		apply(m, without, 2);
	}
	assert_true(given > LB_MAX_BACKENDS - 10 - batch);
	lb_config_free(with);
	lb_config_free(without);
	lb_model_free(m);
}

static void test_hash_key(void **state)
{
	struct lb_config *c = web(5, LB_CHECK_NONE);
	struct lb_model *m = lb_model_new();
	uint64_t digest;

	apply(m, c, 0);
	digest = lb_model_digest(lb_model_service(m, WEB));
	conf_find(c, WEB, 1)->admin = LB_ADMIN_DRAINING;
	apply(m, c, 0);
	assert_false(lb_model_settled(m));
	c->hash_key[0]++;
	apply(m, c, 1);
	assert_true(lb_model_digest(lb_model_service(m, WEB)) != digest);
	assert_true(lb_model_settled(m));
	lb_config_free(c);
	lb_model_free(m);
}

static void test_state_none(void **state)
{
	struct lb_config *c = web(5, LB_CHECK_NONE);
	struct lb_model *m = lb_model_new();

	lb_config_service(c, WEB)->state = LB_STATE_NONE;
	apply(m, c, 0);
	for (uint32_t n = 1; n < 5; n++) {
		conf_find(c, WEB, n)->admin = LB_ADMIN_DRAINING;
		apply(m, c, n);
		assert_true(lb_model_settled(m));
	}
	lb_config_service(c, WEB)->state = LB_STATE_AUTO;
	apply(m, c, 10);
	assert_true(lb_model_settled(m));
	conf_find(c, WEB, 1)->admin = LB_ADMIN_ENABLED;
	apply(m, c, 11);
	assert_false(lb_model_settled(m));
	lb_config_service(c, WEB)->state = LB_STATE_NONE;
	apply(m, c, 12);
	assert_true(lb_model_settled(m));
	lb_config_free(c);
	lb_model_free(m);
}

/* What translates learns nothing from packets: its slots have nothing to wait for. */
static void test_translated(void **state)
{
	struct lb_config *c = web(5, LB_CHECK_NONE);
	struct lb_model *m = lb_model_new();

	lb_config_service(c, WEB)->forward = LB_FORWARD_NAT;
	apply(m, c, 0);
	for (uint32_t n = 1; n < 5; n++) {
		conf_find(c, WEB, n)->admin = LB_ADMIN_DRAINING;
		apply(m, c, n);
		assert_true(lb_model_settled(m));
	}
	conf_find(c, WEB, 2)->admin = LB_ADMIN_ENABLED;
	apply(m, c, 5);
	assert_true(lb_model_settled(m));
	lb_config_free(c);
	lb_model_free(m);
}

/* A table that the policy wants smaller stays until all is stable, then it is merged. */
static void test_shrinking(void **state)
{
	struct lb_flow_set *flows = calloc(LB_FLOW_SETS, sizeof(*flows));
	struct lb_config *c = web(10, LB_CHECK_NONE);
	struct lb_model *m = lb_model_new();

	apply(m, c, 0);
	for (uint32_t n = 4; n <= 10; n++)
		conf_del(c, WEB, n);
	apply(m, c, 1);
	assert_int_equal(lb_model_service(m, WEB)->policy_shift, 9);
	assert_int_equal(lb_model_service(m, WEB)->slots->shift, 10);
	for (uint32_t now = 2; !lb_model_settled(m); now++) {
		assert_true(now < 40);
		lb_model_tick(m, flows, NULL, NULL, now, 0);
	}
	assert_int_equal(lb_model_service(m, WEB)->slots->shift, 9);
	assert_int_equal(lb_model_tick(m, flows, NULL, NULL, 100, 0), 0);
	free(flows);
	lb_config_free(c);
	lb_model_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_image),   cmocka_unit_test(test_forward),
		cmocka_unit_test(test_ping),	      cmocka_unit_test(test_history_does_not_matter),
		cmocka_unit_test(test_health),	      cmocka_unit_test(test_keep),
		cmocka_unit_test(test_implied_state), cmocka_unit_test(test_panic),
		cmocka_unit_test(test_admin),	      cmocka_unit_test(test_check_changes),
		cmocka_unit_test(test_ids),	      cmocka_unit_test(test_hash_key),
		cmocka_unit_test(test_state_none),    cmocka_unit_test(test_translated),
		cmocka_unit_test(test_shrinking),
	};

	return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
