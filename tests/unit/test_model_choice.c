// SPDX-License-Identifier: GPL-2.0-or-later
/* The model: services that choose anew, or by what a packet says, and what is counted of their connections. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "model_web.h"

static struct lb_service choosing(struct lb_model *m, struct lb_config *c, enum lb_policy policy, enum lb_affinity by,
				  uint64_t timeout_s)
{
	struct lb_service_conf *conf = lb_config_service(c, WEB);
	struct lb_image *image;
	struct lb_service found;

	conf->policy = policy;
	conf->affinity.by = by;
	conf->affinity.timeout_ns = timeout_s * 1000000000;
	apply(m, c, 0);
	image = lb_model_image(m);
	found = image->services[lb_model_service(m, WEB)->idx]->line;
	lb_image_free(image);
	return found;
}

/* What packets are told of policies and clients. */
static void test_choosing(void **state)
{
	const uint32_t all = LB_SERVICE_F_TRACK_TCP | LB_SERVICE_F_TRACK_UDP | LB_SERVICE_F_CHOICE;
	struct lb_config *c = web(3, LB_CHECK_NONE);
	struct lb_model *m = lb_model_new();
	struct lb_service s;

	lb_config_service(c, WEB)->affinity = (struct lb_affinity_conf){.ipv4_prefix = 24, .ipv6_prefix = 64};
	s = choosing(m, c, LB_POLICY_MAGLEV, LB_AFFINITY_SOURCE, 0);
	assert_int_equal(s.flags, LB_SERVICE_F_TRACK_UDP | LB_SERVICE_F_AFFINITY);
	assert_int_equal(s.sticky_ticks, 0);
	assert_int_equal(s.source_plen4, 24);
	assert_int_equal(s.source_plen6, 64);
	s = choosing(m, c, LB_POLICY_MAGLEV, LB_AFFINITY_SOURCE, 1);
	assert_int_equal(s.flags, all | LB_SERVICE_F_AFFINITY);
	assert_int_equal(s.policy, LB_CHOOSE_BY_TABLE);
	assert_int_equal(s.sticky_ticks, 1);
	assert_int_equal(choosing(m, c, LB_POLICY_MAGLEV, LB_AFFINITY_SOURCE, 69).sticky_ticks, 2);
	assert_int_equal(choosing(m, c, LB_POLICY_MAGLEV, LB_AFFINITY_SOURCE, 4 * 3600).sticky_ticks, 210);
	s = choosing(m, c, LB_POLICY_ROUND_ROBIN, LB_AFFINITY_SOURCE, 0);
	assert_int_equal(s.sticky_ticks, LB_STICKY_FOR_EVER);
	assert_int_equal(s.policy, LB_CHOOSE_IN_TURN);
	assert_int_equal(s.turn_shift, lb_model_service(m, WEB)->policy_shift);
	s = choosing(m, c, LB_POLICY_RANDOM, LB_AFFINITY_NONE, 0);
	assert_int_equal(s.flags, all);
	assert_int_equal(s.policy, LB_CHOOSE_AT_RANDOM);
	assert_int_equal(s.sticky_ticks, 0);
	assert_int_equal(choosing(m, c, LB_POLICY_LEAST_CONN, LB_AFFINITY_NONE, 0).policy, LB_CHOOSE_LEAST_CONN);
	assert_int_equal(choosing(m, c, LB_POLICY_MAGLEV, LB_AFFINITY_NONE, 0).flags, LB_SERVICE_F_TRACK_UDP);
	lb_config_free(c);
	lb_model_free(m);
}

/* Server IDs are in the image by configuration, where their length is the configuration's; a change of one is seen. */
static void test_quic(void **state)
{
	struct lb_config *c = web(3, LB_CHECK_NONE);
	struct lb_model *m = lb_model_new();
	struct lb_service_conf *conf = lb_config_service(c, WEB);
	const struct lb_service_image *s;
	struct lb_image *image;

	conf->quic.configs = calloc(2, sizeof(*conf->quic.configs));
	conf->quic.nr_configs = 2;
	conf->quic.configs[0] = (struct lb_quic_config){.id = 2, .server_id_length = 3, .nonce_length = 6};
	conf->quic.configs[1] =
		(struct lb_quic_config){.id = 5, .server_id_length = 2, .nonce_length = 4, .self_length = true};
	conf->backends[0].server_id = (struct lb_server_id){.len = 2, .bytes = {0xff, 0x01}};
	conf->backends[1].server_id = (struct lb_server_id){.len = 3, .bytes = {1, 2, 3}};
	apply(m, c, 0);
	image = lb_model_image(m);
	s = image->services[lb_model_service(m, WEB)->idx];
	assert_true(s->line.flags & LB_SERVICE_F_QUIC);
	assert_true(s->line.quic == (LB_QUIC_CONFIG(2, 3, 6, false) | LB_QUIC_CONFIG(5, 2, 4, true)));
	assert_int_equal(s->nr_cids, 2);
	for (size_t i = 0; i < 2; i++) {
		bool first = s->cids[i].cid.config == 5;

		assert_int_equal(s->cids[i].cid.service, s->idx);
		assert_true(s->cids[i].cid.server_id == (first ? 0xff01 : 0x010203));
		assert_int_equal(s->cids[i].backend, backend(m, WEB, first ? 1 : 2)->idx);
	}
	lb_image_free(image);
	conf->backends[0].server_id.bytes[1] = 2;
	conf->quic.nr_configs = 1;
	apply(m, c, 1);
	image = lb_model_image(m);
	s = image->services[lb_model_service(m, WEB)->idx];
	assert_true(s->line.quic == LB_QUIC_CONFIG(2, 3, 6, false));
	assert_int_equal(s->nr_cids, 1);
	lb_image_free(image);
	lb_config_free(c);
	lb_model_free(m);
}

/* Open connections are counted, clients are not among them; what is over is erased, a client when its time is. */
static void test_live(void **state)
{
	struct lb_config *c = web(2, LB_CHECK_NONE);
	struct lb_model *m = lb_model_new();
	struct lb_flow_set *flows = calloc(LB_FLOW_SETS, sizeof(*flows));
	int64_t *live = calloc(LB_MAX_BACKENDS, sizeof(*live));
	__u64 *e = flows[5].entry;
	uint16_t a, b;

	apply(m, c, 0);
	assert_false(lb_model_live(m, flows, live, 0)); /* nobody asks */
	choosing(m, c, LB_POLICY_LEAST_CONN, LB_AFFINITY_SOURCE, 3 * 3600);
	lb_model_tick(m, flows, NULL, NULL, 1, 0);
	assert_true(lb_model_settled(m));
	a = backend(m, WEB, 1)->idx;
	b = backend(m, WEB, 2)->idx;
	live[a] = 99;
	e[0] = LB_FLOW(2, 0, backend(m, WEB, 1)->gen, true, a);
	e[1] = LB_FLOW(4, 0, backend(m, WEB, 1)->gen, true, a);
	e[2] = LB_FLOW(6, 0, backend(m, WEB, 1)->gen, true, a) | LB_FLOW_CLOSED;
	e[3] = LB_FLOW(8, 0, backend(m, WEB, 2)->gen, true, b);
	e[4] = LB_FLOW(10, 0, backend(m, WEB, 2)->gen + 1, true, b);
	assert_true(lb_model_live(m, flows, live, 1));
	assert_int_equal(live[a], 2);
	assert_int_equal(live[b], 1);
	assert_true(e[2] && !e[4]);
	assert_true(lb_model_live(m, flows, live, LB_FLOW_IDLE_TCP + 1));
	assert_int_equal(live[a], 0);
	assert_true(!e[0] && !e[1] && !e[3]);
	assert_true(lb_model_live(m, flows, live, 158));
	assert_true(e[2] != 0); /* three hours are 158 ticks */
	assert_true(lb_model_live(m, flows, live, 159));
	assert_true(e[2] == 0);
	free(live);
	free(flows);
	lb_config_free(c);
	lb_model_free(m);
}

/* Tables are built once for all that has come in. What was up again before packets could see it down stays as it was.
 */
static void test_lazy(void **state)
{
	struct lb_config *c = web(3, LB_CHECK_TCP);
	struct lb_model *m = lb_model_new();
	struct lb_endpoint ep[4] = {conf_ep(0), conf_ep(1), conf_ep(2), conf_ep(3)};
	const struct lb_model_service *s;
	const uint16_t *table;
	struct lb_image *before, *after;

	apply(m, c, 0);
	s = lb_model_service(m, WEB);
	table = s->policy_table;
	before = lb_model_image(m);
	for (uint32_t n = 1; n <= 3; n++)
		assert_int_equal(lb_model_set_health(m, WEB, &ep[n], LB_HEALTH_UP, 1), 1);
	assert_ptr_equal(s->policy_table, table);
	assert_int_equal(s->choice.chosen, 0);
	after = lb_model_image(m);
	assert_int_equal(s->choice.chosen, 3);
	assert_true(s->policy_table[0]);
	assert_int_equal(plan_size(before, after), 3 + 2 + 1); /* backends, the table and its service, its VIP */
	lb_image_free(before);
	assert_int_equal(lb_model_set_health(m, WEB, &ep[1], LB_HEALTH_DOWN, 2), 1);
	assert_int_equal(lb_model_set_health(m, WEB, &ep[1], LB_HEALTH_UP, 2), 1);
	before = after;
	after = lb_model_image(m);
	assert_int_equal(plan_size(before, after), 0);
	assert_true(lb_model_settled(m));
	lb_image_free(before);
	/* A configuration that is applied meanwhile works with what came in. */
	assert_int_equal(lb_model_set_health(m, WEB, &ep[1], LB_HEALTH_DOWN, 3), 1);
	conf_find(c, WEB, 2)->weight = 7;
	apply(m, c, 3);
	s = lb_model_service(m, WEB);
	assert_int_equal(s->choice.chosen, 2);
	assert_int_equal(line(m, 1).flags, LB_BACKEND_F_V4);
	/* A disabled backend has no health that could be set. */
	conf_find(c, WEB, 3)->admin = LB_ADMIN_DISABLED;
	apply(m, c, 4);
	assert_int_equal(lb_model_set_health(m, WEB, &ep[3], LB_HEALTH_DOWN, 4), 0);
	assert_int_equal(backend(m, WEB, 3)->health, LB_HEALTH_UNKNOWN);
	lb_image_free(after);
	lb_config_free(c);
	lb_model_free(m);
}

static uint64_t packets[4]; /* by the backend's number */

static uint64_t packets_of(void *ctx, uint16_t idx)
{
	for (uint32_t n = 1; n <= 3; n++) {
		if (backend(ctx, WEB, n)->idx == idx)
			return packets[n];
	}
	fail();
	return 0;
}

/* Three backends, added one by one; what was the only one's is given away twice. */
static struct lb_model *one_by_one(struct lb_config **c)
{
	struct lb_model *m = lb_model_new();

	*c = web(1, LB_CHECK_NONE);
	for (uint32_t n = 1; n <= 3; n++) {
		if (n > 1)
			conf_backend(*c, WEB, n);
		apply(m, *c, 100 + n);
	}
	assert_true(in_phase(m, LB_PHASE_MOVING) > 200);
	return m;
}

/* Where nobody has been sent a packet there is nothing to learn. */
static void test_unused(void **state)
{
	struct lb_flow_set *flows = calloc(LB_FLOW_SETS, sizeof(*flows));
	struct lb_config *c;
	struct lb_model *m = one_by_one(&c);

	/* Unknown is not none. */
	assert_int_equal(lb_model_tick(m, flows, NULL, NULL, 104, 0), 0);
	assert_int_equal(lb_model_tick(m, flows, packets_of, m, 104, 0), 1);
	assert_int_equal(in_phase(m, LB_PHASE_MOVING), 0);
	/* Packets that are on their way must be through before the cache is counted. */
	assert_int_equal(lb_model_tick(m, flows, packets_of, m, 105, 0), 0);
	assert_int_equal(lb_model_tick(m, flows, packets_of, m, 106, 0), 1);
	assert_true(lb_model_settled(m));
	lb_model_free(m);
	lb_config_free(c);

	m = one_by_one(&c);
	packets[1] = 1;
	lb_model_tick(m, flows, packets_of, m, 104, 0);
	lb_model_tick(m, flows, packets_of, m, 106, 0);
	assert_true(in_phase(m, LB_PHASE_MOVING) > 200);
	packets[1] = 0;
	/* It is older than the window now: another load balancer may have sent packets to it. */
	assert_int_equal(lb_model_tick(m, flows, packets_of, m, 132, 0), 0);
	lb_model_free(m);
	lb_config_free(c);
	free(flows);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_choosing), cmocka_unit_test(test_live),	cmocka_unit_test(test_quic),
		cmocka_unit_test(test_lazy),	 cmocka_unit_test(test_unused),
	};

	return cmocka_run_group_tests_name("model_choice", tests, NULL, NULL);
}
