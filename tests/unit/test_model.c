// SPDX-License-Identifier: GPL-2.0-or-later
/* The model: what configuration, health and next hops make of ids, lines, tables and phases. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lb/dp/flow.h"
#include "model_conf.h"
#include "plan.h"

#define WEB "web"

static struct lb_err err;

/* A service "web" of @nr backends, 10.0.0.1 and on. */
static struct lb_config *web(size_t nr, enum lb_check_type check)
{
	struct lb_config *c = conf_new();

	conf_service(c, WEB, check);
	for (uint32_t i = 1; i <= nr; i++)
		conf_backend(c, WEB, i);
	return c;
}

/* With a network that reaches all. */
static void apply(struct lb_model *m, const struct lb_config *c, uint32_t now_s)
{
	assert_int_equal(lb_model_apply(m, c, now_s, &err), 0);
	conf_reach(m, now_s);
	lb_image_free(lb_model_image(m)); /* what follows is worked out here */
}

static const struct lb_model_backend *backend(const struct lb_model *m, const char *service, uint32_t n)
{
	const struct lb_model_service *s = lb_model_service(m, service);
	struct lb_endpoint ep = conf_ep(n);

	return &s->backends[lb_service_conf_backend(&s->conf, &ep) - s->conf.backends];
}

static int health(struct lb_model *m, uint32_t n, enum lb_health h, uint32_t now_s)
{
	struct lb_endpoint ep = conf_ep(n);
	int ret = lb_model_set_health(m, WEB, &ep, h, now_s);

	lb_image_free(lb_model_image(m)); /* what follows is worked out here */
	return ret;
}

/* The line of backend @n of "web" in an image of now. */
static struct lb_backend line(struct lb_model *m, uint32_t n)
{
	const struct lb_model_service *s = lb_model_service(m, WEB);
	uint16_t idx = backend(m, WEB, n)->idx;
	struct lb_image *image = lb_model_image(m);
	struct lb_backend found = {0};

	for (size_t i = 0; i < image->services[s->idx]->nr_backends; i++) {
		if (image->services[s->idx]->backends[i].idx == idx)
			found = image->services[s->idx]->backends[i].line;
	}
	assert_int_equal(found.gen, image->gen[idx]);
	lb_image_free(image);
	/* What the checks found changes nothing for packets; test_adopt_health.c looks at it. */
	found.flags &= (uint8_t)~LB_BACKEND_F_HEALTH;
	return found;
}

static size_t in_phase(const struct lb_model *m, enum lb_phase phase)
{
	size_t count[3];

	lb_slots_count(lb_model_service(m, WEB)->slots, count);
	return count[phase];
}

static size_t plan_size(const struct lb_image *a, const struct lb_image *b)
{
	struct lb_plan plan;
	size_t nr;

	assert_int_equal(lb_plan_make(a, b, &plan), 0);
	nr = plan.nr;
	lb_plan_fini(&plan);
	return nr;
}

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
	/* A disabled backend's health is kept and changes nothing. */
	conf_find(c, WEB, 3)->admin = LB_ADMIN_DISABLED;
	apply(m, c, 4);
	assert_int_equal(lb_model_set_health(m, WEB, &ep[3], LB_HEALTH_DOWN, 4), 0);
	assert_int_equal(backend(m, WEB, 3)->health, LB_HEALTH_DOWN);
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
		cmocka_unit_test(test_first_image),
		cmocka_unit_test(test_forward),
		cmocka_unit_test(test_history_does_not_matter),
		cmocka_unit_test(test_health),
		cmocka_unit_test(test_keep),
		cmocka_unit_test(test_implied_state),
		cmocka_unit_test(test_choosing),
		cmocka_unit_test(test_live),
		cmocka_unit_test(test_quic),
		cmocka_unit_test(test_lazy),
		cmocka_unit_test(test_prepare),
		cmocka_unit_test(test_prepare_ends),
		cmocka_unit_test(test_unused),
		cmocka_unit_test(test_panic),
		cmocka_unit_test(test_admin),
		cmocka_unit_test(test_check_changes),
		cmocka_unit_test(test_next_hop),
		cmocka_unit_test(test_next_hop_vlan),
		cmocka_unit_test(test_unreachable),
		cmocka_unit_test(test_unreachable_from_the_start),
		cmocka_unit_test(test_unreachable_in_panic),
		cmocka_unit_test(test_unreachable_restart),
		cmocka_unit_test(test_ids),
		cmocka_unit_test(test_hash_key),
		cmocka_unit_test(test_state_none),
		cmocka_unit_test(test_shrinking),
		cmocka_unit_test(test_census_waits),
		cmocka_unit_test(test_census_sees_through),
		cmocka_unit_test(test_census_long_window),
		cmocka_unit_test(test_census_death),
		cmocka_unit_test(test_slow_start),
		cmocka_unit_test(test_slow_start_of_all),
		cmocka_unit_test(test_drained),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
