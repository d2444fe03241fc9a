// SPDX-License-Identifier: GPL-2.0-or-later
/* Where frames' flows lie: steering.h against hashes worked out here, and frames that are cut anywhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lb/dp/flow.h"
#include "lb/dp/source.h"
#include "steering.h"

/* 198.51.100.7:1234 > 192.0.2.10:80, a SYN */
static const uint8_t tcp4[] = {
	2,  0,	 0, 0,	 0, 1, 2,  0, 0,   0, 0,  2, 8, 0, 0x45, 0, 0, 40, 0, 1,    0x40, 0, 64, 6, 0, 0, 198,
	51, 100, 7, 192, 0, 2, 10, 4, 210, 0, 80, 0, 0, 0, 1,	 0, 0, 0,  0, 0x50, 2,	  0, 0,	 0, 0, 0, 0,
};
/* [2001:db8::7]:1234 > [2001:db8::10]:53, UDP */
static const uint8_t udp6[] = {
	2,  0,	  0, 0,	  0,	1, 2, 0, 0, 0, 0, 2,	0x86, 0xdd, 0x60, 0,  0, 0,    0, 8,   17,
	64, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0,	0,    0,    0,	  0,  7, 0x20, 1, 0xd, 0xb8,
	0,  0,	  0, 0,	  0,	0, 0, 0, 0, 0, 0, 0x10, 4,    210,  0,	  53, 0, 8,    0, 0,
};
/* 203.0.113.1 > 192.0.2.10: fragmentation needed, about 192.0.2.10:80 > 198.51.100.7:1234 */
static const uint8_t error4[] = {
	2,    0, 0,   0, 0,   1, 2,   0, 0, 0,	0,   2,	 8,   0, 0x45, 0,  0, 56,  0,	 1, 0, 0,   64, 1,
	0,    0, 203, 0, 113, 1, 192, 0, 2, 10, 3,   4,	 0,   0, 0,    0,  5, 120, 0x45, 0, 5, 220, 0,	1,
	0x40, 0, 60,  6, 0,   0, 192, 0, 2, 10, 198, 51, 100, 7, 0,    80, 4, 210, 0,	 0, 0, 1,
};

/* A copy of exactly @len bytes whose IP header is aligned. */
static enum lb_steering_kind parse(const uint8_t *frame, size_t len, struct lb_packet *p)
{
	uint8_t *mem = malloc(len + 2);
	enum lb_steering_kind kind;

	assert_non_null(mem);
	memcpy(mem + 2, frame, len);
	kind = lb_steering_parse(mem + 2, len, p);
	free(mem);
	return kind;
}

static void setup(struct lb_conf *conf, struct lb_service *s)
{
	const __u64 key[2] = {1, 2};

	*conf = (struct lb_conf){.hash = lb_hash_secret(key)};
	*s = (struct lb_service){.table = LB_TABLE(4096, 9), .name_id = 77, .source_plen4 = 24, .source_plen6 = 64};
}

static void test_flow(void **state)
{
	struct lb_steering at;
	struct lb_packet p, q;
	struct lb_service s;
	struct lb_conf conf;
	uint32_t daddr, saddr;
	uint64_t hash;

	setup(&conf, &s);
	assert_int_equal(parse(tcp4, sizeof(tcp4), &p), LB_STEERING_FLOW);
	at = lb_steering_of(&conf, &s, &p);
	memcpy(&saddr, tcp4 + 26, 4);
	memcpy(&daddr, tcp4 + 30, 4);
	hash = lb_hash_flow4(&conf.hash, (uint64_t)lb_vip_what(lb_htons(80), 6, true) << 32 ^ daddr, saddr,
			     lb_htons(1234));
	assert_true(at.hash == hash);
	assert_int_equal(at.slots, 512);
	assert_int_equal(at.slot, hash >> 55);
	assert_true(at.source == 0);

	/* an error is about the same flow */
	assert_int_equal(parse(error4, sizeof(error4), &q), LB_STEERING_ERROR);
	assert_true(lb_steering_of(&conf, &s, &q).hash == hash);

	/* a service without a table has no slot */
	s.table = 0;
	assert_int_equal(lb_steering_of(&conf, &s, &p).slots, 0);
}

static void test_affinity(void **state)
{
	uint8_t other[sizeof(tcp4)];
	struct lb_steering a, b;
	struct lb_packet p, q;
	struct lb_service s;
	struct lb_conf conf;

	setup(&conf, &s);
	s.flags = LB_SERVICE_F_AFFINITY;
	memcpy(other, tcp4, sizeof(other));
	other[29] = 200; /* of the same /24 */
	other[35] = 9;
	assert_int_equal(parse(tcp4, sizeof(tcp4), &p), LB_STEERING_FLOW);
	assert_int_equal(parse(other, sizeof(other), &q), LB_STEERING_FLOW);
	a = lb_steering_of(&conf, &s, &p);
	b = lb_steering_of(&conf, &s, &q);
	assert_true(a.source && a.source == b.source);
	assert_int_equal(a.slot, b.slot);
	assert_true(a.hash != b.hash);
	other[28] = 101;
	assert_int_equal(parse(other, sizeof(other), &q), LB_STEERING_FLOW);
	assert_true(lb_steering_of(&conf, &s, &q).source != a.source);
}

static void test_tags(void **state)
{
	static const uint8_t tags[8] = {0x88, 0xa8, 0, 5, 0x81, 0, 0, 7};
	uint8_t frame[sizeof(tcp4) + 8];
	struct lb_packet p, q;

	assert_int_equal(parse(tcp4, sizeof(tcp4), &p), LB_STEERING_FLOW);
	for (size_t n = 4; n <= 8; n += 4) {
		memcpy(frame, tcp4, 12);
		memcpy(frame + 12, tags + 8 - n, n);
		memcpy(frame + 12 + n, tcp4 + 12, sizeof(tcp4) - 12);
		assert_int_equal(parse(frame, sizeof(tcp4) + n, &q), LB_STEERING_FLOW);
		assert_true(p.saddr4 == q.saddr4 && p.daddr4 == q.daddr4 && p.ports == q.ports);
		for (size_t len = 0; len < sizeof(tcp4) + n; len++)
			assert_int_equal(parse(frame, len, &q), LB_STEERING_NONE);
	}
}

/* However little of it there is, nothing behind it is read (ASan sees to that), and it is no flow. */
static void test_cut(void **state)
{
	static const struct {
		const uint8_t *frame;
		size_t len;
		enum lb_steering_kind kind;
	} all[] = {
		{tcp4, sizeof(tcp4), LB_STEERING_FLOW},
		{udp6, sizeof(udp6), LB_STEERING_FLOW},
		{error4, sizeof(error4), LB_STEERING_ERROR},
	};
	struct lb_packet p;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		assert_int_equal(parse(all[i].frame, all[i].len, &p), all[i].kind);
		for (size_t len = 0; len < all[i].len; len++)
			if (i != 2 || len < 66) /* the ports of what an error quotes suffice */
				assert_int_equal(parse(all[i].frame, len, &p), LB_STEERING_NONE);
	}
}

static void test_entry(void **state)
{
	struct lb_flow_set *sets = calloc(LB_FLOW_SETS, sizeof(*sets));
	struct lb_backend *backends = aligned_alloc(64, LB_MAX_BACKENDS * sizeof(*backends));
	const uint64_t hash = 0x123456789abcdef0ULL;
	uint64_t *e;

	assert_true(sets && backends);
	memset(backends, 0, LB_MAX_BACKENDS * sizeof(*backends));
	e = (uint64_t *)&sets[lb_flow_set_idx(hash)].entry[3];
	backends[5].service = 2;
	backends[5].gen = 9;
	backends[5].flags = LB_BACKEND_F_ALIVE;
	assert_true(lb_steering_entry(sets, backends, hash, 2, true, 0) == 0);
	*e = LB_FLOW(lb_flow_tag(hash), 0, 9, true, 5);
	assert_true(lb_steering_entry(sets, backends, hash, 2, true, 200) == *e);
	assert_true(lb_steering_entry(sets, backends, hash, 2, false, LB_FLOW_IDLE_UDP) == *e);
	assert_true(lb_steering_entry(sets, backends, hash, 2, false, LB_FLOW_IDLE_UDP + 1) == 0);
	assert_true(lb_steering_entry(sets, backends, hash, 3, true, 0) == 0);
	backends[5].gen = 10;
	assert_true(lb_steering_entry(sets, backends, hash, 2, true, 0) == 0);
	backends[5].gen = 9;
	backends[5].flags = 0;
	assert_true(lb_steering_entry(sets, backends, hash, 2, true, 0) == 0);
	free(sets);
	free(backends);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flow), cmocka_unit_test(test_affinity), cmocka_unit_test(test_tags),
		cmocka_unit_test(test_cut),  cmocka_unit_test(test_entry),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
