// SPDX-License-Identifier: GPL-2.0-or-later
/* The sets of VIPs: full, changing, and looked into at every step of a change. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lb/dp/vip.h"
#include "vipset.h"

static struct lb_vip_set *sets;

static int make_sets(void **state)
{
	sets = calloc(LB_VIP_SETS, sizeof(*sets));
	return sets ? 0 : -1;
}

static int free_sets(void **state)
{
	free(sets);
	return 0;
}

/* VIP number @i of a family of neighbours: addresses and ports that differ in few bits, as people choose them. */
static struct lb_vip vip_nr(uint32_t i)
{
	struct lb_vip vip = {.addr = {[10] = 0xff, 0xff, 10}, .proto = i & 1 ? 17 : 6};

	if (i & 2)
		memcpy(vip.addr, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0", 12);
	vip.addr[14] = (uint8_t)(i >> 10);
	vip.addr[15] = (uint8_t)(i >> 2);
	vip.port = (__be16)(80 + (i >> 18));
	return vip;
}

static int set(const struct lb_vip *vip, uint16_t service)
{
	static const struct lb_service nothing;
	const struct lb_vip_line line = lb_vipset_line(vip, service, &nothing);

	return lb_vipset_set(sets, &line);
}

/* 0: nobody's */
static unsigned int get(const struct lb_vip *vip)
{
	const struct lb_vip_line *line = lb_vipset_get(sets, vip);

	return line ? line->service : 0;
}

static uint64_t hash_of(const struct lb_vip *vip)
{
	const __u64 addr[2] = {lb_get64(vip->addr), lb_get64(vip->addr + 8)};
	const struct lb_vip_key key = vip->addr[10] == 0xff
					      ? lb_vip_key4(lb_get32(vip->addr + 12), vip->port, vip->proto)
					      : lb_vip_key6(addr, vip->port, vip->proto);

	return lb_vip_hash(lb_vip_fold(&key));
}

static void test_key_in_fold(void **state)
{
	for (uint32_t i = 0; i < 1000000; i += 7) {
		const struct lb_vip vip = vip_nr(i & ~2U);
		const struct lb_vip_key key = lb_vip_key4(lb_get32(vip.addr + 12), vip.port, vip.proto);
		const struct lb_vip_key again = lb_vip_key_in4(lb_vip_fold(&key));

		assert_true(again.v4);
		assert_int_equal(again.addr[0], key.addr[0]);
		assert_int_equal(again.addr[1], 0);
		assert_int_equal(again.what, key.what);
	}
}

static unsigned int places_of(const struct lb_vip *vip)
{
	unsigned int nr = 0;

	for (uint32_t i = 0; i < LB_VIP_SETS * LB_VIP_WAYS; i++) {
		const struct lb_vip_line *line = &sets[i / LB_VIP_WAYS].way[i % LB_VIP_WAYS];
		const struct lb_vip here = lb_vipset_vip(line);

		nr += line->service && !memcmp(&here, vip, sizeof(*vip));
	}
	return nr;
}

static void test_full(void **state)
{
	struct lb_vip vip;

	for (uint32_t i = 0; i < LB_MAX_VIPS; i++) {
		vip = vip_nr(i);
		assert_int_equal(set(&vip, (uint16_t)(1 + i % 16383)), 0);
	}
	for (uint32_t i = 0; i < LB_MAX_VIPS; i++) {
		vip = vip_nr(i);
		assert_int_equal(get(&vip), 1 + i % 16383);
		vip = vip_nr(i + LB_MAX_VIPS);
		assert_int_equal(get(&vip), 0);
	}
	for (uint32_t i = 0; i < LB_MAX_VIPS; i += 2) {
		vip = vip_nr(i);
		lb_vipset_del(sets, &vip);
	}
	for (uint32_t i = 0; i < LB_MAX_VIPS; i++) {
		vip = vip_nr(i);
		assert_int_equal(get(&vip), i % 2 ? 1 + i % 16383 : 0);
	}
	for (uint32_t i = 1; i < LB_MAX_VIPS; i += 2) {
		vip = vip_nr(i);
		lb_vipset_del(sets, &vip);
	}
	/* Nothing is left, nor any word that sends a packet on to a second set. */
	for (uint32_t i = 0; i < LB_VIP_SETS; i++) {
		assert_int_equal(sets[i].way[0].service, 0);
		assert_int_equal(sets[i].way[1].service, 0);
		assert_int_equal(sets[i].way[0].beyond, 0);
	}
}

static void test_change_of_service(void **state)
{
	struct lb_vip vip = vip_nr(5);

	assert_int_equal(set(&vip, 7), 0);
	assert_int_equal(set(&vip, 8), 0);
	assert_int_equal(get(&vip), 8);
	assert_int_equal(places_of(&vip), 1);
	lb_vipset_del(sets, &vip);
	lb_vipset_del(sets, &vip);
	assert_int_equal(get(&vip), 0);
}

/* What a line says of its service: the flags that concern its protocol, and the table. */
static void test_line(void **state)
{
	static const struct {
		uint32_t service;
		uint8_t tcp, udp;
	} rows[] = {
		{0, 0, 0},
		{LB_SERVICE_F_TRACK_TCP, LB_VIP_F_TRACK, 0},
		{LB_SERVICE_F_TRACK_UDP, 0, LB_VIP_F_TRACK},
		{LB_SERVICE_F_NO_STATE, LB_VIP_F_NO_STATE, LB_VIP_F_NO_STATE},
		{LB_SERVICE_F_ACCESS, LB_VIP_F_ACCESS, LB_VIP_F_ACCESS},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct lb_service service = {.flags = rows[i].service, .table = LB_TABLE(64, 9)};

		for (uint32_t nr = 0; nr < 4; nr++) {
			const struct lb_vip vip = vip_nr(nr);
			const struct lb_vip_line line = lb_vipset_line(&vip, 77, &service);
			const struct lb_vip_line *there;

			assert_int_equal(lb_vipset_set(sets, &line), 0);
			there = lb_vipset_get(sets, &vip);
			assert_int_equal(there->flags, vip.proto == 6 ? rows[i].tcp : rows[i].udp);
			assert_int_equal(there->family, nr & 2 ? 0 : LB_VIP_V4);
			assert_int_equal(there->table, service.table);
			assert_int_equal(there->service, 77);
		}
	}
}

/* More VIPs beyond a place than its count can hold: none is lost, and the count stays where it cannot be told. */
static void test_beyond_count(void **state)
{
	const struct lb_vip vip = vip_nr(9);
	struct lb_vip_set *first = &sets[lb_vip_first(hash_of(&vip))];

	first->way[0].beyond = 0xff;
	assert_int_equal(set(&vip, 3), 0);
	lb_vipset_del(sets, &vip);
	assert_int_equal(first->way[0].beyond, 0xff);
}

/* A writer that was killed in a move has left the VIP in both of its sets. */
static void test_left_twice(void **state)
{
	struct lb_vip vip = vip_nr(9);
	const __u64 hash = hash_of(&vip);

	assert_int_equal(set(&vip, 3), 0);
	sets[lb_vip_second(hash)].way[1] = *lb_vipset_get(sets, &vip);
	sets[lb_vip_first(hash)].way[0].beyond = 1;
	assert_int_equal(set(&vip, 4), 0);
	assert_int_equal(sets[lb_vip_second(hash)].way[1].service, 4);
	lb_vipset_del(sets, &vip);
	assert_int_equal(places_of(&vip), 0);
	assert_int_equal(sets[lb_vip_first(hash)].way[0].beyond, 0);
}

/* Sets are filled by hand until the newcomer has to push others on, which stay to be found. */
static void test_moves(void **state)
{
	enum { CROWD = 6 };
	struct lb_vip crowd[CROWD], vip;
	uint32_t target = UINT32_MAX, nr = 0;

	for (uint32_t i = 0; nr < CROWD; i++) {
		const struct lb_vip candidate = vip_nr(i);
		uint32_t first = lb_vip_first(hash_of(&candidate));

		assert_true(i < 10000000);
		if (target == UINT32_MAX)
			target = first;
		if (first == target)
			crowd[nr++] = candidate;
	}
	for (uint32_t i = 0; i < CROWD; i++)
		assert_int_equal(set(&crowd[i], (uint16_t)(i + 1)), 0);
	assert_int_equal(sets[target].way[0].beyond, CROWD - 1);
	for (uint32_t i = 0; i < CROWD; i++) {
		assert_int_equal(get(&crowd[i]), i + 1);
		assert_int_equal(places_of(&crowd[i]), 1);
	}
	vip = crowd[0];
	lb_vipset_del(sets, &vip);
	for (uint32_t i = 1; i < CROWD; i++)
		assert_int_equal(get(&crowd[i]), i + 1);
}

/* What does not belong where it is goes, what packets would not look at is looked at again, and nobody is lost. */
static void test_mend(void **state)
{
	enum { MANY = 60000 };
	size_t hidden = 0;

	for (uint32_t i = 0; i < MANY; i++) {
		const struct lb_vip vip = vip_nr(i);

		assert_int_equal(set(&vip, (uint16_t)(1 + i % 1000)), 0);
	}
	assert_int_equal(lb_vipset_mend(sets), 0);
	for (uint32_t i = 0; i < LB_VIP_SETS && hidden < 100; i++) {
		hidden += sets[i].way[0].beyond > 0;
		sets[i].way[0].beyond = 0;
	}
	assert_int_equal(hidden, 100);
	assert_int_equal(lb_vipset_mend(sets), 100);
	/* Too high is not wrong, and does not stay. */
	sets[7].way[0].beyond = 0xff;
	assert_int_equal(lb_vipset_mend(sets), 0);
	assert_true(sets[7].way[0].beyond < 10);
	/* A line that is another's, a family that is wrong, one that lies where nobody looks. */
	for (uint32_t i = 0, wrong = 0; wrong < 3; i += 11) {
		struct lb_vip_line *line = &sets[i].way[1];
		const struct lb_vip_line was = *line;
		const struct lb_vip vip = was.service ? lb_vipset_vip(&was) : (struct lb_vip){0};

		if (!was.service)
			continue;
		if (wrong == 0)
			line->addr[3] ^= 0x40;
		else if (wrong == 1)
			line->family ^= LB_VIP_V4;
		else
			line->port ^= 0x100;
		assert_int_equal(lb_vipset_mend(sets), 1);
		assert_int_equal(line->service, 0);
		assert_null(lb_vipset_get(sets, &vip));
		assert_int_equal(set(&vip, was.service), 0);
		assert_int_equal(lb_vipset_mend(sets), 0);
		wrong++;
	}
	for (uint32_t i = 0; i < MANY; i++) {
		const struct lb_vip vip = vip_nr(i);

		assert_int_equal(get(&vip), 1 + i % 1000);
		lb_vipset_del(sets, &vip);
	}
	for (uint32_t i = 0; i < LB_VIP_SETS; i++)
		assert_true(!sets[i].way[0].service && !sets[i].way[1].service && !sets[i].way[0].beyond);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_key_in_fold),
		cmocka_unit_test_setup_teardown(test_full, make_sets, free_sets),
		cmocka_unit_test_setup_teardown(test_change_of_service, make_sets, free_sets),
		cmocka_unit_test_setup_teardown(test_line, make_sets, free_sets),
		cmocka_unit_test_setup_teardown(test_beyond_count, make_sets, free_sets),
		cmocka_unit_test_setup_teardown(test_left_twice, make_sets, free_sets),
		cmocka_unit_test_setup_teardown(test_moves, make_sets, free_sets),
		cmocka_unit_test_setup_teardown(test_mend, make_sets, free_sets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
