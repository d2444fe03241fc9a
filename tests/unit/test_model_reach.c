// SPDX-License-Identifier: GPL-2.0-or-later
/* The model: next hops, and backends that are out of reach. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "model_web.h"

static void test_next_hop(void **state)
{
	struct lb_next_hop nh = {.dmac = {2, 0, 0, 0, 0, 1}, .smac = {2, 0, 0, 0, 0, 2}, .mtu = 1500, .ifindex = 7};
	struct lb_config *c = web(2, LB_CHECK_NONE);
	struct lb_model *m = lb_model_new();
	struct lb_endpoint ep = conf_ep(1);
	struct lb_backend l;

	nh.source4[15] = 4;
	nh.source6[15] = 6;
	conf_service(c, "two", LB_CHECK_NONE);
	conf_backend(c, "two", 1)->weight = 7;
	assert_int_equal(lb_model_apply(m, c, 0, &err), 0);
	assert_int_equal(lb_model_set_next_hop(m, conf_ep(3).addr, &nh, 0), -ENOENT);
	assert_int_equal(lb_model_set_next_hop(m, ep.addr, &nh, 0), 1);
	assert_int_equal(lb_model_set_next_hop(m, ep.addr, &nh, 0), 0);
	assert_int_equal(backend(m, "two", 1)->next_hop.ifindex, 7);
	l = line(m, 1);
	assert_memory_equal(l.dmac, nh.dmac, 6);
	assert_memory_equal(l.smac, nh.smac, 6);
	assert_int_equal(l.mtu, 1500);
	assert_int_equal(l.oif, 7);
	assert_memory_equal(l.src, nh.source4, 16);
	assert_int_equal(l.src_plen, 128);
	assert_int_equal(line(m, 2).oif, 0);
	/* What stays keeps its next hop. */
	conf_find(c, WEB, 2)->weight = 50;
	apply(m, c, 0);
	assert_int_equal(line(m, 1).oif, 7);
	/* A backend that comes with a known address has its next hop at once. */
	conf_del(c, WEB, 1);
	apply(m, c, 1);
	conf_backend(c, WEB, 1);
	apply(m, c, 2);
	assert_int_equal(line(m, 1).oif, 7);
	/* A prefix for outer sources, of the backend's family only. */
	c->tunnel_source6.plen = 64;
	c->tunnel_source6.addr[0] = 0xfd;
	apply(m, c, 3);
	assert_int_equal(line(m, 1).src_plen, 128);
	c->tunnel_source4.plen = 112;
	c->tunnel_source4.addr[12] = 99;
	apply(m, c, 4);
	l = line(m, 1);
	assert_int_equal(l.src_plen, 112);
	assert_memory_equal(l.src, c->tunnel_source4.addr, 16);
	memset(&nh, 0, sizeof(nh));
	assert_int_equal(lb_model_set_next_hop(m, ep.addr, &nh, 5), 1);
	assert_int_equal(line(m, 1).oif, 0);
	lb_config_free(c);
	lb_model_free(m);
}

/* A next hop by a VLAN device: the line says so, the image has what it does and asks for a program that can; another
 * lbd finds it so. */
static void test_next_hop_vlan(void **state)
{
	struct lb_next_hop nh = {.mtu = 1500, .ifindex = 8, .vlan = {.oif = 7, .tag = {0x64000081, 0}}};
	struct lb_config *c = web(2, LB_CHECK_NONE);
	struct lb_model *m = lb_model_new(), *again = lb_model_new();
	struct lb_endpoint ep = conf_ep(1);
	struct lb_image *plain, *tagged, *other, *adopted;

	apply(m, c, 0);
	plain = lb_model_image(m);
	assert_false(plain->features & LB_HAS_VLAN);
	assert_int_equal(lb_model_set_next_hop(m, ep.addr, &nh, 0), 1);
	assert_int_equal(lb_model_set_next_hop(m, ep.addr, &nh, 0), 0);
	tagged = lb_model_image(m);
	assert_true(tagged->features & LB_HAS_VLAN);
	assert_int_equal(line(m, 1).oif, 8);
	assert_int_equal(line(m, 1).flags & (LB_BACKEND_F_TAGGED | LB_BACKEND_F_REDIRECT),
			 LB_BACKEND_F_TAGGED | LB_BACKEND_F_REDIRECT);
	assert_true(plan_size(plain, tagged) > 0);
	/* The device does something else now, and the line is the same. */
	nh.vlan.tag[0] = 0x65000081;
	assert_int_equal(lb_model_set_next_hop(m, ep.addr, &nh, 0), 1);
	other = lb_model_image(m);
	assert_int_equal(plan_size(tagged, other), 1);

	assert_int_equal(lb_model_adopt(again, other), 0);
	assert_int_equal(lb_model_apply(again, c, 10, &err), 0);
	adopted = lb_model_image(again);
	assert_int_equal(plan_size(other, adopted), 0);
	assert_memory_equal(&backend(again, WEB, 1)->next_hop.vlan, &nh.vlan, sizeof(nh.vlan));
	assert_false(backend(again, WEB, 1)->next_hop.redirect);

	/* Packets that come in by VLANs need the program, too. */
	memset(&nh, 0, sizeof(nh));
	lb_model_set_next_hop(m, ep.addr, &nh, 0);
	lb_image_free(plain);
	plain = lb_model_image(m);
	assert_false(plain->features & LB_HAS_VLAN);
	assert_true(lb_model_set_vlans(m, true));
	assert_false(lb_model_set_vlans(m, true));
	lb_image_free(tagged);
	tagged = lb_model_image(m);
	assert_true(tagged->features & LB_HAS_VLAN);

	lb_image_free(plain);
	lb_image_free(tagged);
	lb_image_free(other);
	lb_image_free(adopted);
	lb_config_free(c);
	lb_model_free(m);
	lb_model_free(again);
}

/* The next hop of backend @n: lost, or there. */
static int reach(struct lb_model *m, uint32_t n, bool there, uint32_t now_s)
{
	const struct lb_next_hop nh = {.ifindex = there ? 3 : 0, .mtu = there ? 1500 : 0};
	int ret = lb_model_set_next_hop(m, conf_ep(n).addr, &nh, now_s);

	lb_image_free(lb_model_image(m));
	return ret;
}

/* Who cannot be reached takes nothing new; what it has stays its own, so that a blip cuts nothing. */
static void test_unreachable(void **state)
{
	enum { SLOTS = 256 };
	struct lb_config *c = web(2, LB_CHECK_NONE);
	struct lb_model *m = lb_model_new();
	const struct lb_model_service *s;
	uint16_t idx[3], owner[SLOTS];
	uint64_t digest;
	uint8_t gen;

	apply(m, c, 0);
	s = lb_model_service(m, WEB);
	assert_int_equal(1 << s->policy_shift, SLOTS);
	digest = lb_model_digest(s);
	gen = line(m, 1).gen;
	for (uint32_t n = 1; n <= 2; n++)
		idx[n] = backend(m, WEB, n)->idx;
	memcpy(owner, s->policy_table, sizeof(owner));
	assert_int_equal(reach(m, 1, false, 5), 1);
	assert_int_equal(reach(m, 1, false, 6), 0);
	assert_int_equal(s->choice.chosen, 1);
	assert_int_equal(backend(m, WEB, 1)->nr_slots, 0);
	assert_int_equal(backend(m, WEB, 1)->health, LB_HEALTH_UNCHECKED);
	assert_int_equal(line(m, 1).flags, LB_BACKEND_F_ALIVE | LB_BACKEND_F_V4);
	assert_int_equal(line(m, 1).gen, gen);
	for (int i = 0; i < SLOTS; i++) {
		assert_int_equal(s->slots->word[i], owner[i] == idx[1] ? LB_SLOT(LB_PHASE_MOVING, idx[1], idx[2])
								       : LB_SLOT(LB_PHASE_STABLE, 0, idx[2]));
		assert_true(owner[i] != idx[1] || s->slots->since_s[i] == 5);
	}
	/* Nobody is left. */
	assert_int_equal(reach(m, 2, false, 7), 1);
	assert_int_equal(s->choice.chosen, 0);
	assert_int_equal(in_phase(m, LB_PHASE_MOVING), SLOTS);
	for (int i = 0; i < SLOTS; i++)
		assert_int_equal(s->slots->word[i], LB_SLOT(LB_PHASE_MOVING, owner[i], 0));
	/* Back, both: all is as it was, but that it has to be learned who came in between. */
	assert_int_equal(reach(m, 2, true, 8), 1);
	assert_int_equal(s->choice.chosen, 1);
	assert_int_equal(reach(m, 1, true, 9), 1);
	assert_int_equal(s->choice.chosen, 2);
	assert_true(lb_model_digest(s) == digest);
	assert_int_equal(line(m, 1).gen, gen);
	assert_int_equal(line(m, 1).flags, LB_BACKEND_F_ALIVE | LB_BACKEND_F_TAKES_NEW | LB_BACKEND_F_V4);
	for (int i = 0; i < SLOTS; i++)
		assert_int_equal(s->slots->word[i], LB_SLOT(LB_PHASE_MOVING, owner[i], owner[i]));
	/* Another next hop is no reason to move anybody, nor is that of one who takes nothing new anyway. */
	conf_find(c, WEB, 1)->admin = LB_ADMIN_DRAINING;
	apply(m, c, 10);
	s = lb_model_service(m, WEB);
	memcpy(owner, s->policy_table, sizeof(owner));
	assert_int_equal(reach(m, 1, false, 11), 1);
	assert_int_equal(lb_model_set_next_hop(m, conf_ep(2).addr, &(struct lb_next_hop){.ifindex = 9}, 11), 1);
	assert_int_equal(line(m, 2).oif, 9);
	assert_memory_equal(s->policy_table, owner, sizeof(owner));
	assert_int_equal(line(m, 1).flags, LB_BACKEND_F_ALIVE | LB_BACKEND_F_V4);
	lb_config_free(c);
	lb_model_free(m);
}

/* A backend that comes without a next hop changes nothing until it has one. */
static void test_unreachable_from_the_start(void **state)
{
	struct lb_config *c = web(4, LB_CHECK_NONE);
	struct lb_model *m = lb_model_new();
	uint64_t digest;

	assert_int_equal(lb_model_apply(m, c, 0, &err), 0);
	assert_int_equal(lb_model_service(m, WEB)->choice.chosen, 0);
	assert_int_equal(line(m, 1).flags, LB_BACKEND_F_ALIVE | LB_BACKEND_F_V4);
	apply(m, c, 0);
	assert_int_equal(lb_model_service(m, WEB)->choice.chosen, 4);
	assert_true(lb_model_settled(m));
	digest = lb_model_digest(lb_model_service(m, WEB));
	conf_backend(c, WEB, 5);
	assert_int_equal(lb_model_apply(m, c, 1, &err), 0);
	assert_false(backend(m, WEB, 5)->chosen);
	assert_true(lb_model_digest(lb_model_service(m, WEB)) == digest);
	assert_true(lb_model_settled(m));
	assert_int_equal(reach(m, 5, true, 2), 1);
	assert_true(backend(m, WEB, 5)->chosen);
	assert_true(in_phase(m, LB_PHASE_MOVING) >= backend(m, WEB, 5)->nr_slots);
	/* A standby serves where its betters cannot be reached. */
	conf_find(c, WEB, 5)->tier = 1;
	apply(m, c, 3);
	assert_false(backend(m, WEB, 5)->chosen);
	for (uint32_t n = 1; n <= 4; n++)
		reach(m, n, false, 4);
	assert_true(backend(m, WEB, 5)->chosen);
	assert_int_equal(lb_model_service(m, WEB)->choice.tier, 1);
	lb_config_free(c);
	lb_model_free(m);
}

static void test_unreachable_in_panic(void **state)
{
	struct lb_config *c = web(3, LB_CHECK_TCP);
	struct lb_model *m = lb_model_new();
	uint8_t gen;

	lb_config_service(c, WEB)->panic_threshold = 50;
	apply(m, c, 0);
	for (uint32_t n = 1; n <= 3; n++)
		health(m, n, n == 1 ? LB_HEALTH_UP : LB_HEALTH_DOWN, 1);
	assert_true(lb_model_service(m, WEB)->choice.panic);
	assert_int_equal(lb_model_service(m, WEB)->choice.chosen, 3);
	/* Whom panic keeps alive lives on without a next hop. */
	gen = line(m, 2).gen;
	assert_int_equal(reach(m, 2, false, 2), 1);
	assert_true(lb_model_service(m, WEB)->choice.panic);
	assert_int_equal(lb_model_service(m, WEB)->choice.chosen, 2);
	assert_int_equal(line(m, 2).flags, LB_BACKEND_F_ALIVE | LB_BACKEND_F_V4);
	assert_int_equal(reach(m, 2, true, 3), 1);
	assert_int_equal(line(m, 2).flags, LB_BACKEND_F_ALIVE | LB_BACKEND_F_TAKES_NEW | LB_BACKEND_F_V4);
	assert_int_equal(line(m, 2).gen, gen);
	/* Nobody can be reached: panic or not, nobody is chosen. */
	for (uint32_t n = 1; n <= 3; n++)
		assert_int_equal(reach(m, n, false, 4), 1);
	assert_int_equal(lb_model_service(m, WEB)->choice.chosen, 0);
	assert_int_equal(line(m, 2).gen, gen);
	assert_int_equal(line(m, 2).flags, LB_BACKEND_F_ALIVE | LB_BACKEND_F_V4);
	/* The panic ends, and with it those that are down. */
	for (uint32_t n = 1; n <= 3; n++)
		reach(m, n, true, 5);
	assert_int_equal(health(m, 3, LB_HEALTH_UP, 6), 1);
	assert_false(lb_model_service(m, WEB)->choice.panic);
	assert_int_equal(line(m, 2).flags, LB_BACKEND_F_V4);
	assert_int_equal(line(m, 2).gen, (uint8_t)(gen + 1));
	lb_config_free(c);
	lb_model_free(m);
}

/* What is started on maps with a backend that could not be reached leaves them as they are, until it can be. */
static void test_unreachable_restart(void **state)
{
	struct lb_config *c = web(3, LB_CHECK_TCP);
	struct lb_model *m = lb_model_new(), *again;

	apply(m, c, 0);
	for (uint32_t n = 1; n <= 3; n++)
		health(m, n, LB_HEALTH_UP, 1);
	for (uint32_t lost = 1; lost <= 3; lost++) {
		struct lb_image *found, *image;

		reach(m, lost, false, 2);
		found = lb_model_image(m);
		again = lb_model_new();
		assert_int_equal(lb_model_adopt(again, found), 0);
		assert_int_equal(lb_model_apply(again, c, 10, &err), 0);
		image = lb_model_image(again);
		assert_int_equal(plan_size(found, image), 0);
		assert_int_equal(lb_model_service(again, WEB)->choice.chosen, 3 - lost);
		assert_int_equal(reach(again, lost, true, 11), 1);
		assert_true(backend(again, WEB, lost)->chosen);
		lb_image_free(image);
		lb_image_free(found);
		lb_model_free(again);
	}
	lb_config_free(c);
	lb_model_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_next_hop),
		cmocka_unit_test(test_next_hop_vlan),
		cmocka_unit_test(test_unreachable),
		cmocka_unit_test(test_unreachable_from_the_start),
		cmocka_unit_test(test_unreachable_in_panic),
		cmocka_unit_test(test_unreachable_restart),
	};

	return cmocka_run_group_tests_name("model_reach", tests, NULL, NULL);
}
