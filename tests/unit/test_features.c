/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the configuration can say before the dataplane can do it (later.h): each feature is refused by name while it is
 * to come, and decoded, checked, compared and written when it is there. This program says itself which are. Run from
 * the repository's root.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "change_log.h"
#include "golden.h"
#include "later.h"

#define GOLDEN "tests/golden/features"
#define TEXT(s) (s), strlen(s)

static uint32_t to_come; /* bit f: feature f */
_Static_assert(LB_FEATURE_COUNT <= 32, "bits");

/* In the place of liblb's. */
bool lb_is_later(enum lb_feature f)
{
	return to_come >> f & 1;
}

static int all_there(void **state)
{
	to_come = 0;
	return 0;
}

static void test_golden(void **state)
{
	assert_true(check_goldens(GOLDEN) >= 60);
}

/* ---- the door ---- */

struct door {
	enum lb_feature feature;
	const char *service; /* keys of the service, VIP included; NULL: @top */
	const char *top;
	const char *refusal;
};

static int read_door(const struct door *d, struct lb_config **c, struct lb_err *err)
{
	char text[512];

	if (d->service)
		snprintf(text, sizeof(text), "services: [{name: web, %s}]\n", d->service);
	else
		snprintf(text, sizeof(text), "%s\n", d->top);
	return read_text(text, strlen(text), NULL, c, err);
}

#define VIP "vip: 192.0.2.1:80"

static void test_door(void **state)
{
	static const struct door doors[] = {
		{LB_FEATURE_GUE, VIP ", forward: gue", NULL,
		 "services[0].forward: gue is not available in this version (l2, ipip, nat, fullnat)"},
		{LB_FEATURE_GUE, VIP ", gue_port: 6080", NULL,
		 "services[0].gue_port: is not available in this version; leave it out"},
		{LB_FEATURE_NAT, VIP ", forward: nat", NULL,
		 "services[0].forward: nat is not available in this version (l2, ipip, gue, fullnat)"},
		{LB_FEATURE_NAT, NULL, "timeouts: {udp: 1m}",
		 "timeouts: is not available in this version; leave it out"},
		{LB_FEATURE_NAT, NULL, "max_connections: 5000",
		 "max_connections: is not available in this version; leave it out"},
		{LB_FEATURE_FULLNAT, VIP ", forward: fullnat, snat: 10.0.0.1", NULL,
		 "services[0].forward: fullnat is not available in this version (l2, ipip, gue, nat)"},
		{LB_FEATURE_FULLNAT, VIP ", snat: 10.0.0.1, forward: fullnat", NULL,
		 "services[0].snat: is not available in this version; leave it out"},
		{LB_FEATURE_ROUND_ROBIN, VIP ", policy: round_robin", NULL,
		 "services[0].policy: round_robin is not available in this version (maglev, least_conn, random)"},
		{LB_FEATURE_LEAST_CONN, VIP ", policy: least_conn", NULL,
		 "services[0].policy: least_conn is not available in this version (maglev, round_robin, random)"},
		{LB_FEATURE_RANDOM, VIP ", policy: random", NULL,
		 "services[0].policy: random is not available in this version (maglev, round_robin, least_conn)"},
		{LB_FEATURE_AFFINITY, VIP ", affinity: source:10m", NULL,
		 "services[0].affinity: source is not available in this version (none)"},
		{LB_FEATURE_AFFINITY, VIP ", affinity: {by: source}", NULL,
		 "services[0].affinity.by: source is not available in this version (none)"},
		{LB_FEATURE_AFFINITY_TIMEOUT, VIP ", affinity: source:10m", NULL,
		 "services[0].affinity: an affinity timeout is not available in this version; write source"},
		{LB_FEATURE_AFFINITY_TIMEOUT, VIP ", affinity: {by: source, timeout: 10m}", NULL,
		 "services[0].affinity.timeout: is not available in this version; leave it out"},
		{LB_FEATURE_KEEP, VIP ", on_down: keep", NULL,
		 "services[0].on_down: keep is not available in this version (terminate)"},
		{LB_FEATURE_KEEP, VIP ", on_disable: keep", NULL,
		 "services[0].on_disable: keep is not available in this version (terminate)"},
		{LB_FEATURE_ACCESS, VIP ", allow: 10.0.0.0/8", NULL,
		 "services[0].allow: is not available in this version; leave it out"},
		{LB_FEATURE_ACCESS, VIP ", deny: [10.0.0.0/8]", NULL,
		 "services[0].deny: is not available in this version; leave it out"},
		{LB_FEATURE_SOURCE_RATE, VIP ", source_rate_limit: 10", NULL,
		 "services[0].source_rate_limit: is not available in this version; leave it out"},
		{LB_FEATURE_PING, VIP ", ping: true", NULL,
		 "services[0].ping: is not available in this version; leave it out"},
		{LB_FEATURE_MSS_CLAMP, VIP ", mss_clamp: 1400", NULL,
		 "services[0].mss_clamp: is not available in this version; leave it out"},
		{LB_FEATURE_QUIC, "vip: 192.0.2.1:443/udp, quic: {configs: []}", NULL,
		 "services[0].quic: is not available in this version; leave it out"},
		{LB_FEATURE_QUIC, VIP ", backends: [{address: 10.0.0.1, server_id: 0a}]", NULL,
		 "services[0].backends[0].server_id: is not available in this version; leave it out"},
		{LB_FEATURE_ANY_PORT, "vip: '192.0.2.1:*'", NULL,
		 "services[0].vip: 192.0.2.1:*: port * is not available in this version; write one port (1-65535)"},
		{LB_FEATURE_VIP_PREFIX, "vip: 192.0.2.0/24:80", NULL,
		 "services[0].vip: 192.0.2.0/24:80: prefixes are not available in this version; write single "
		 "addresses"},
		{LB_FEATURE_SCTP, "vip: 192.0.2.1:80/sctp", NULL,
		 "services[0].vip: 192.0.2.1:80/sctp: sctp is not available in this version; write tcp or udp"},
		{LB_FEATURE_SCTP_NAT, "vip: 192.0.2.1:80/sctp, forward: nat", NULL,
		 "services[0].forward: nat cannot translate 192.0.2.1:80/sctp; use ipip"},
	};
	uint32_t seen = 1U << LB_FEATURE_BASE;

	for (size_t i = 0; i < sizeof(doors) / sizeof(doors[0]); i++) {
		struct lb_config *c = NULL;
		struct lb_err err = {0};

		to_come = 1U << doors[i].feature;
		assert_int_equal(read_door(&doors[i], &c, &err), -EINVAL);
		assert_string_equal(lb_err_str(&err), doors[i].refusal);
		to_come = 0;
		if (read_door(&doors[i], &c, &err))
			fail_msg("%s", lb_err_str(&err));
		check_fixed_point(c);
		lb_config_free(c);
		seen |= 1U << doors[i].feature;
	}
	/* Of each feature there is something that only it lets through. */
	assert_int_equal(seen, (1ULL << LB_FEATURE_COUNT) - 1);
}

/* With nothing there, what is as if it were not written may be said, and what is written can be read back. */
static void test_nothing_there(void **state)
{
	static const char text[] =
		"services: [{name: web, vip: 192.0.2.1:80, policy: maglev, affinity: {by: none, "
		"timeout: none}, on_down: terminate, on_disable: terminate, allow: none, deny: none, "
		"snat: none, mss_clamp: none, quic: null, backends: [{address: 10.0.0.1, server_id: "
		"null}]}]";
	struct lb_config *c, *plain = lb_config_new();
	struct lb_service_conf s;
	struct lb_err err = {0};
	json_t *json;
	char *full;

	assert_non_null(plain);
	to_come = (uint32_t)((1ULL << LB_FEATURE_COUNT) - 1) & ~(1U << LB_FEATURE_BASE);
	if (read_text(text, sizeof(text) - 1, NULL, &c, &err))
		fail_msg("%s", lb_err_str(&err));
	check_fixed_point(c);
	json = lb_document_service(&c->services[0]);
	full = json_dumps(json, JSON_COMPACT);
	assert_null(strstr(full, "gue_port"));
	assert_null(strstr(full, "server_id"));
	if (lb_document_read_service(TEXT(full), &plain->defaults, &s, &err))
		fail_msg("%s\n%s", lb_err_str(&err), full);
	assert_true(lb_service_conf_same(&s, &c->services[0]));
	lb_service_conf_fini(&s);
	json_decref(json);
	free(full);
	lb_config_free(plain);
	lb_config_free(c);
}

/* ---- what is read ---- */

static void test_values(void **state)
{
	static const struct lb_timeouts_conf timeouts = {7470000000000, 60000000000, 10000000000, 90000000000,
							 20000000000};
	const struct lb_service_conf *s;
	struct lb_config *c = NULL;
	char buf[LB_ADDR_STRLEN];
	size_t len;
	char *text = slurp(GOLDEN "/all.yaml", &len);

	assert_non_null(text);
	assert_int_equal(read_text(text, len, NULL, &c, NULL), 0);
	free(text);
	assert_int_equal(c->learn_rate, 5000);
	assert_int_equal(c->max_connections, 65536);
	assert_memory_equal(&c->timeouts, &timeouts, sizeof(timeouts));
	s = lb_config_service(c, "like-defaults");
	assert_int_equal(s->forward, LB_FORWARD_GUE);
	assert_int_equal(s->gue_port, 6081);
	assert_int_equal(s->policy, LB_POLICY_RANDOM);
	assert_int_equal(s->affinity.by, LB_AFFINITY_SOURCE);
	assert_true(s->affinity.timeout_ns == 3600000000000);
	assert_int_equal(s->affinity.ipv4_prefix, 24);
	assert_int_equal(s->affinity.ipv6_prefix, 64);
	assert_int_equal(s->on_down, LB_FATE_KEEP);
	assert_int_equal(s->on_disable, LB_FATE_KEEP);
	assert_int_equal(s->source_rate_limit, 100);
	assert_true(s->ping);
	assert_int_equal(s->mss_clamp, 1440);
	s = lb_config_service(c, "unlike");
	assert_int_equal(s->nr_vips, 4);
	assert_int_equal(s->vips[0].plen, 128);
	assert_int_equal(s->vips[0].vip.port, 0);
	assert_int_equal(s->vips[1].plen, 124);
	assert_int_equal(s->vips[2].plen, 64);
	assert_int_equal(s->vips[2].vip.proto, IPPROTO_SCTP);
	assert_int_equal(s->vips[3].plen, 128);
	assert_int_equal(s->nr_allow, 4);
	assert_string_equal(lb_prefix_format(&s->allow[0], buf), "10.0.0.0/8");
	assert_string_equal(lb_prefix_format(&s->allow[3], buf), "2001:db8:a::/48");
	assert_int_equal(s->nr_deny, 1);
	assert_false(s->ping);
	assert_int_equal(s->mss_clamp, 0);
	assert_int_equal(s->quic.nr_configs, 2);
	assert_int_equal(s->quic.configs[0].id, 0);
	assert_int_equal(s->quic.configs[0].nonce_length, 8);
	assert_false(s->quic.configs[0].self_length);
	assert_int_equal(s->quic.configs[1].server_id_length, 2);
	assert_true(s->quic.configs[1].self_length);
	assert_int_equal(s->backends[0].server_id.len, 2);
	assert_int_equal(s->backends[0].server_id.bytes[1], 0xff);
	assert_int_equal(s->backends[1].server_id.bytes[0], 0x0a);
	assert_int_equal(s->backends[2].server_id.len, 0);
	s = lb_config_service(c, "translated");
	assert_int_equal(s->nr_snat, 3);
	assert_string_equal(lb_addr_format(s->snat[0], buf), "10.0.0.253");
	assert_string_equal(lb_addr_format(s->snat[2], buf), "2001:db8::254");
	assert_true(s->affinity.timeout_ns == 600000000000);
	assert_int_equal(s->affinity.ipv4_prefix, 24);
	assert_int_equal(s->nr_backends, 4);
	lb_config_free(c);
}

static void test_state(void **state)
{
	struct lb_service_conf s = {0};

	assert_int_equal(lb_service_conf_state(&s), LB_STATE_AUTO);
	s.affinity.timeout_ns = 1;
	assert_int_equal(lb_service_conf_state(&s), LB_STATE_AUTO);
	s.affinity.by = LB_AFFINITY_SOURCE;
	assert_int_equal(lb_service_conf_state(&s), LB_STATE_ALL);
	s.affinity.timeout_ns = 0;
	s.state = LB_STATE_NONE;
	assert_int_equal(lb_service_conf_state(&s), LB_STATE_NONE);
	for (int policy = LB_POLICY_ROUND_ROBIN; policy <= LB_POLICY_RANDOM; policy++) {
		s = (struct lb_service_conf){.policy = (enum lb_policy)policy};
		assert_int_equal(lb_service_conf_state(&s), LB_STATE_ALL);
	}
}

static void patch(struct lb_service_conf *s, const char *text)
{
	struct lb_err err = {0};

	if (lb_document_patch_service(TEXT(text), s, &err))
		fail_msg("%s: %s", text, lb_err_str(&err));
}

/* A patch changes the keys that it has; a list is replaced. What lbctl sends is what is tested here. */
static void test_patch(void **state)
{
	struct lb_config *c = lb_config_new();
	struct lb_service_conf s, before;
	struct lb_backend_conf b = {0};
	struct lb_err err = {0};
	json_t *json;
	char *text;

	assert_non_null(c);
	assert_int_equal(lb_document_read_service(TEXT("{\"name\":\"w\",\"vip\":[\"192.0.2.1:443/udp\"]}"),
						  &c->defaults, &s, &err),
			 0);
	patch(&s, "{\"affinity\":{\"by\":\"source\",\"timeout\":\"10m\"},\"allow\":[\"10.0.0.0/8\",\"fd00::/8\"]}");
	assert_int_equal(s.nr_allow, 2);
	patch(&s, "{\"affinity\":{\"ipv4_prefix\":\"24\"},\"ping\":\"true\",\"mss_clamp\":\"1400\"}");
	assert_int_equal(s.affinity.by, LB_AFFINITY_SOURCE);
	assert_true(s.affinity.timeout_ns == 600000000000);
	assert_int_equal(s.affinity.ipv4_prefix, 24);
	assert_true(s.ping);
	patch(&s, "{\"affinity\":{\"by\":\"source\",\"timeout\":\"none\"},\"ping\":false,\"mss_clamp\":null}");
	assert_true(s.affinity.timeout_ns == 0);
	assert_int_equal(s.mss_clamp, 0);
	assert_false(s.ping);
	patch(&s, "{\"allow\":[\"10.1.0.0/16\"],\"quic\":{\"configs\":[\"1:4:8\",\"0:4:8\"]}}");
	assert_int_equal(s.nr_allow, 1);
	assert_int_equal(s.quic.configs[0].id, 0);
	assert_int_equal(lb_service_conf_copy(&before, &s), 0);
	/* A refusal changes nothing. */
	assert_int_equal(
		lb_document_patch_service(TEXT("{\"allow\":[],\"quic\":{\"configs\":[]},\"mss_clamp\":1}"), &s, &err),
		-EINVAL);
	assert_string_equal(lb_err_str(&err), "mss_clamp: 1 is not a maximum segment size (536-65495)");
	assert_true(lb_service_conf_same(&s, &before));
	patch(&s, "{\"allow\":[],\"quic\":{\"configs\":[]}}");
	assert_int_equal(s.nr_allow + s.quic.nr_configs, 0);
	assert_null(s.allow);
	assert_false(lb_service_conf_same(&s, &before));

	assert_int_equal(lb_document_read_backend(TEXT("{\"address\":\"10.0.0.1\",\"server_id\":\"0A\"}"), &b, &err),
			 0);
	json = lb_document_backend(&b);
	text = json_dumps(json, 0);
	assert_string_equal(text, "{\"address\": \"10.0.0.1\", \"weight\": 100, \"tier\": 0, \"state\": \"enabled\", "
				  "\"server_id\": \"0a\"}");
	free(text);
	json_decref(json);
	assert_int_equal(lb_document_patch_backend(TEXT("{\"server_id\":null}"), &b, &err), 0);
	assert_int_equal(b.server_id.len, 0);

	json = lb_document_service(&s);
	assert_true(json_is_false(json_object_get(json, "ping")));
	assert_string_equal(json_string_value(json_object_get(json, "mss_clamp")), "none");
	assert_int_equal(json_array_size(json_object_get(json, "allow")), 0);
	assert_true(json_is_array(json_object_get(json, "allow")));
	json_decref(json);
	lb_service_conf_fini(&before);
	lb_service_conf_fini(&s);
	lb_config_free(c);
}

/* ---- differences ---- */

static struct lb_config *read_config(const char *text)
{
	struct lb_config *c = NULL;
	struct lb_err err = {0};

	if (read_text(text, strlen(text), NULL, &c, &err))
		fail_msg("%s", lb_err_str(&err));
	return c;
}

static void test_diff(void **state)
{
	struct lb_config *old = read_config("timeouts: {udp: 1m}\n"
					    "services:\n"
					    "- name: web\n"
					    "  vip: [\"192.0.2.1:*\", 192.0.2.2:443/udp]\n"
					    "  allow: [10.0.0.0/8, 10.1.0.0/16]\n"
					    "  quic: {configs: [\"0:2:8\", \"1:2:8\"]}\n"
					    "  mss_clamp: 1400\n"
					    "  backends: [{address: 10.0.0.1, server_id: 0a0b}]\n");
	struct lb_config *new = read_config("learn_rate: 7\n"
					    "max_connections: 2048\n"
					    "services:\n"
					    "- name: web\n"
					    "  vip: [192.0.2.0/28:443/udp, 192.0.2.2:443/udp]\n"
					    "  forward: fullnat\n"
					    "  gue_port: 7000\n"
					    "  policy: least_conn\n"
					    "  affinity: {by: source, timeout: 10m, ipv4_prefix: 24, ipv6_prefix: 64}\n"
					    "  on_down: keep\n"
					    "  on_disable: keep\n"
					    "  allow: [10.1.0.0/16, \"2001:db8::/32\"]\n"
					    "  deny: 10.1.2.3\n"
					    "  snat: 10.0.0.254\n"
					    "  source_rate_limit: 10\n"
					    "  ping: true\n"
					    "  quic: {configs: [{id: 1, server_id_length: 2, nonce_length: 9, "
					    "self_length: true}, \"2:2:8\"]}\n"
					    "  backends: [10.0.0.1]\n");
	struct change_log l = {0};

	assert_int_equal(lb_config_diff(old, old, change_log_add, &l), 0);
	assert_int_equal(lb_config_diff(old, new, change_log_add, &l), 26);
	assert_string_equal(l.text, "change learn_rate 100000 -> 7\n"
				    "change max_connections 1048576 -> 2048\n"
				    "change timeouts.udp 1m -> 5m\n"
				    "add services[web].vip[192.0.2.0/28:443/udp] - -> 192.0.2.0/28:443/udp\n"
				    "remove services[web].vip[192.0.2.1:*/tcp] 192.0.2.1:*/tcp -> -\n"
				    "change services[web].forward ipip -> fullnat\n"
				    "change services[web].gue_port 6080 -> 7000\n"
				    "change services[web].policy maglev -> least_conn\n"
				    "change services[web].affinity.by none -> source\n"
				    "change services[web].affinity.timeout none -> 10m\n"
				    "change services[web].affinity.ipv4_prefix 32 -> 24\n"
				    "change services[web].affinity.ipv6_prefix 128 -> 64\n"
				    "change services[web].on_down terminate -> keep\n"
				    "change services[web].on_disable terminate -> keep\n"
				    "remove services[web].allow[10.0.0.0/8] 10.0.0.0/8 -> -\n"
				    "add services[web].allow[2001:db8::/32] - -> 2001:db8::/32\n"
				    "add services[web].deny[10.1.2.3] - -> 10.1.2.3\n"
				    "add services[web].snat[10.0.0.254] - -> 10.0.0.254\n"
				    "change services[web].source_rate_limit 0 -> 10\n"
				    "change services[web].ping false -> true\n"
				    "change services[web].mss_clamp 1400 -> none\n"
				    "remove services[web].quic.configs[0] - -> -\n"
				    "change services[web].quic.configs[1].nonce_length 8 -> 9\n"
				    "change services[web].quic.configs[1].self_length false -> true\n"
				    "add services[web].quic.configs[2] - -> -\n"
				    "change services[web].backends[10.0.0.1].server_id 0a0b -> -\n");
	assert_int_equal(lb_config_diff(new, old, NULL, NULL), 26);
	lb_config_free(old);
	lb_config_free(new);
}

/* ---- properties ---- */

static unsigned int seed;

static unsigned int upto(unsigned int n)
{
	return (unsigned int)rand_r(&seed) % n;
}

static struct lb_prefix random_prefix(void)
{
	struct lb_prefix p;
	char text[LB_ADDR_STRLEN];

	if (upto(2))
		snprintf(text, sizeof(text), "10.%u.%u.0/%u", upto(4), upto(4), 24 + upto(9));
	else
		snprintf(text, sizeof(text), "2001:db8:%x::/%u", upto(9), 48 + upto(81));
	assert_int_equal(lb_prefix_parse(text, &p, NULL), 0);
	return p;
}

static void random_prefixes(struct lb_prefix **list, size_t *nr)
{
	*nr = upto(5);
	*list = *nr ? calloc(*nr, sizeof(**list)) : NULL;
	for (size_t i = 0; i < *nr; i++)
		(*list)[i] = random_prefix();
}

static void random_options(struct lb_service_conf *s)
{
	if (upto(2)) {
		s->gue_port = (uint16_t)(1 + upto(65535));
		s->policy = (enum lb_policy)upto(4);
		s->affinity.by = (enum lb_affinity)upto(2);
		s->affinity.timeout_ns = upto(2) ? 0 : 1000000000ULL * (1 + upto(14400));
		s->affinity.ipv4_prefix = 1 + upto(32);
		s->affinity.ipv6_prefix = 1 + upto(128);
	}
	if (upto(2)) {
		s->on_down = (enum lb_fate)upto(2);
		s->on_disable = (enum lb_fate)upto(2);
		s->source_rate_limit = upto(1000001);
		s->ping = upto(2);
		s->mss_clamp = upto(2) ? 0 : (uint16_t)(536 + upto(64960));
	}
	if (upto(2)) {
		s->announce = upto(2);
		s->quorum = upto(4);
	}
}

static void random_backends(struct lb_service_conf *s)
{
	for (unsigned int i = upto(5); i > 0; i--) {
		struct lb_backend_conf b = {.weight = 100};
		char text[LB_ADDR_STRLEN];

		snprintf(text, sizeof(text), upto(2) ? "[2001:db8:1::%x]:%u" : "10.0.0.%u:%u", 1 + upto(20),
			 1 + upto(3));
		assert_int_equal(lb_endpoint_parse(text, &b.address, NULL), 0);
		if (upto(2))
			b.address.port = 0;
		if (upto(2)) {
			b.server_id.len = (uint8_t)(1 + upto(LB_QUIC_SERVER_ID_MAX));
			for (size_t n = 0; n < b.server_id.len; n++)
				b.server_id.bytes[n] = (uint8_t)upto(256);
		}
		lb_service_conf_add_backend(s, &b, NULL);
	}
}

static void random_service(const struct lb_config *c, unsigned int n, struct lb_service_conf *s)
{
	static const char *const protos[] = {"tcp", "udp", "sctp"};

	assert_int_equal(lb_service_conf_copy(s, &c->defaults), 0);
	snprintf(s->name, sizeof(s->name), "svc-%u", n);
	s->forward = (enum lb_forward)(1 + upto(5));
	random_options(s);
	s->nr_vips = 1 + upto(3);
	s->vips = calloc(s->nr_vips, sizeof(*s->vips));
	assert_non_null(s->vips);
	for (size_t i = 0; i < s->nr_vips; i++) {
		char text[LB_ADDR_STRLEN];

		if (upto(2))
			snprintf(text, sizeof(text), "[2001:db8:%x::/%u]:%u/%s", n, 48 + upto(81), 1 + upto(3),
				 protos[upto(3)]);
		else
			snprintf(text, sizeof(text), "192.0.%u.0/%u:%u/%s", n, 24 + upto(9), 1 + upto(3),
				 protos[upto(3)]);
		assert_int_equal(lb_vip_parse(text, &s->vips[i], NULL), 0);
		if (!upto(3))
			s->vips[i].vip.port = 0;
	}
	random_prefixes(&s->allow, &s->nr_allow);
	random_prefixes(&s->deny, &s->nr_deny);
	if (s->forward == LB_FORWARD_FULLNAT) {
		s->nr_snat = 2;
		s->snat = calloc(2, sizeof(*s->snat));
		assert_int_equal(lb_addr_parse("10.0.0.254", s->snat[0], NULL), 0);
		assert_int_equal(lb_addr_parse("2001:db8::254", s->snat[1], NULL), 0);
	}
	s->quic.nr_configs = upto(3);
	s->quic.configs = s->quic.nr_configs ? calloc(s->quic.nr_configs, sizeof(*s->quic.configs)) : NULL;
	for (size_t i = 0; i < s->quic.nr_configs; i++)
		s->quic.configs[i] = (struct lb_quic_config){upto(7), 1 + upto(8), 4 + upto(8), upto(2)};
	random_backends(s);
	lb_service_conf_sort(s);
}

static struct lb_config *random_config(void)
{
	struct lb_config *c = lb_config_new();
	struct lb_err err;

	assert_non_null(c);
	if (upto(2)) {
		c->learn_rate = upto(1000);
		c->max_connections = 1024 + upto(10000);
		c->timeouts.udp_ns = 1000000000ULL * (1 + upto(3600));
		c->timeouts.tcp_established_ns = 1000000000ULL * (10 + upto(100000));
	}
	if (upto(2)) {
		c->announce.table = 250 + upto(10); /* three of them are the kernel's */
		c->announce.protocol = 5 + upto(251);
		c->announce.on_exit = (enum lb_announce_exit)upto(2);
		c->announce.shared = (enum lb_announce_shared)upto(2);
		c->announce.delay_ns = 1000000000ULL * upto(3601);
		c->announce.drain_ns = 1000000ULL * upto(600001);
	}
	if (upto(2))
		random_options(&c->defaults);
	for (unsigned int n = upto(4); n > 0; n--) {
		struct lb_service_conf s;

		random_service(c, n, &s);
		if (lb_config_add_service(c, &s, &err))
			fail_msg("%s", lb_err_str(&err));
		lb_service_conf_fini(&s);
	}
	return c;
}

/* Whatever the structs hold: what the checks let through is written and read back as the same, and what they refuse is
 * refused as a text as well. */
static void test_fixed_point(void **state)
{
	int valid = 0, refused = 0;

	for (seed = 1; valid < 300 || refused < 300;) {
		struct lb_config *c = random_config(), *again = NULL;
		struct lb_err err = {0}, other = {0};

		if (!lb_config_check(c, &err)) {
			check_fixed_point(c);
			valid++;
		} else {
			char *yaml = export(c);

			assert_int_not_equal(lb_document_read(TEXT(yaml), NULL, &again, &other), 0);
			assert_null(again);
			assert_string_equal(err.message, other.message);
			free(yaml);
			refused++;
		}
		lb_config_free(c);
	}
}

static void test_broken(void **state)
{
	seed = 5;
	check_truncated(GOLDEN "/all.yaml");
	check_flipped(GOLDEN "/all.yaml", &seed);
	check_flipped(GOLDEN "/prefix-overlap.yaml", &seed);
}

/* Thousands of prefixes, in any order, and one more than there is room for. */
static void test_many_prefixes(void **state)
{
	struct lb_config *c = NULL;
	struct lb_err err = {0};
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	fprintf(f, "services:\n- name: web\n  vip: 192.0.2.1:80\n  deny:\n");
	for (int i = 20000; i > 0; i--)
		fprintf(f, "  - 10.%d.%d.0/24\n", i / 256, i % 256);
	fflush(f);
	assert_int_equal(lb_document_read(text, len, NULL, &c, &err), 0);
	assert_int_equal(c->services[0].nr_deny, 20000);
	assert_int_equal(c->services[0].deny[0].addr[14], 1);
	check_fixed_point(c);
	lb_config_free(c);
	c = NULL;
	for (int i = 20001; i <= LB_MAX_ACCESS / 2; i++)
		fprintf(f, "  - 10.%d.%d.%d\n", i >> 16, i >> 8 & 255, i & 255);
	fprintf(f, "- name: more\n  vip: 192.0.2.2:80\n  deny:\n");
	for (int i = 0; i <= LB_MAX_ACCESS / 2; i++)
		fprintf(f, "  - 11.%d.%d.%d\n", i >> 16, i >> 8 & 255, i & 255);
	fclose(f);
	assert_int_equal(lb_document_read(text, len, NULL, &c, &err), -ENOSPC);
	assert_string_equal(lb_err_str(&err), "no room for 262145 allowed and denied prefixes; at most 262144");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_golden, all_there),
		cmocka_unit_test(test_door),
		cmocka_unit_test(test_nothing_there),
		cmocka_unit_test_setup(test_values, all_there),
		cmocka_unit_test(test_state),
		cmocka_unit_test_setup(test_patch, all_there),
		cmocka_unit_test_setup(test_diff, all_there),
		cmocka_unit_test_setup(test_fixed_point, all_there),
		cmocka_unit_test_setup(test_broken, all_there),
		cmocka_unit_test_setup(test_many_prefixes, all_there),
	};

	return cmocka_run_group_tests_name("features", tests, NULL, NULL);
}
