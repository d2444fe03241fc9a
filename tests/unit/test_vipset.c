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

static unsigned int places_of(const struct lb_vip *vip)
{
	unsigned int nr = 0;

	for (uint32_t i = 0; i < LB_VIP_SETS * LB_VIP_WAYS; i++) {
		const struct lb_vip_entry *e = &sets[i / LB_VIP_WAYS].way[i % LB_VIP_WAYS];

		nr += e->service && !memcmp(&e->vip, vip, sizeof(*vip));
	}
	return nr;
}

static void test_full(void **state)
{
	struct lb_vip vip;

	for (uint32_t i = 0; i < LB_MAX_VIPS; i++) {
		vip = vip_nr(i);
		assert_int_equal(lb_vipset_set(sets, &vip, 1 + i % 16383), 0);
	}
	for (uint32_t i = 0; i < LB_MAX_VIPS; i++) {
		vip = vip_nr(i);
		assert_int_equal(lb_vipset_get(sets, &vip), 1 + i % 16383);
		vip = vip_nr(i + LB_MAX_VIPS);
		assert_int_equal(lb_vipset_get(sets, &vip), 0);
	}
	for (uint32_t i = 0; i < LB_MAX_VIPS; i += 2) {
		vip = vip_nr(i);
		lb_vipset_del(sets, &vip);
	}
	for (uint32_t i = 0; i < LB_MAX_VIPS; i++) {
		vip = vip_nr(i);
		assert_int_equal(lb_vipset_get(sets, &vip), i % 2 ? 1 + i % 16383 : 0);
	}
	for (uint32_t i = 1; i < LB_MAX_VIPS; i += 2) {
		vip = vip_nr(i);
		lb_vipset_del(sets, &vip);
	}
	/* Nothing is left, nor any word that sends a packet on to a second set. */
	for (uint32_t i = 0; i < LB_VIP_SETS; i++) {
		assert_int_equal(sets[i].way[0].service, 0);
		assert_int_equal(sets[i].way[1].service, 0);
		assert_int_equal(sets[i].way[0].spilled, 0);
	}
}

static void test_change_of_service(void **state)
{
	struct lb_vip vip = vip_nr(5);

	assert_int_equal(lb_vipset_set(sets, &vip, 7), 0);
	assert_int_equal(lb_vipset_set(sets, &vip, 8), 0);
	assert_int_equal(lb_vipset_get(sets, &vip), 8);
	assert_int_equal(places_of(&vip), 1);
	lb_vipset_del(sets, &vip);
	lb_vipset_del(sets, &vip);
	assert_int_equal(lb_vipset_get(sets, &vip), 0);
}

/* A writer that was killed in a move has left the VIP in both of its sets. */
static void test_left_twice(void **state)
{
	struct lb_vip vip = vip_nr(9);
	const __u64 addr[2] = {lb_get64(vip.addr), lb_get64(vip.addr + 8)};
	const struct lb_vip_key key = lb_vip_key(addr, vip.port, vip.proto);
	const __u64 hash = lb_vip_hash(&key);

	assert_int_equal(lb_vipset_set(sets, &vip, 3), 0);
	sets[lb_vip_second(hash)].way[1] = (struct lb_vip_entry){.vip = vip, .service = 3};
	sets[lb_vip_first(hash)].way[0].spilled = 1;
	assert_int_equal(lb_vipset_set(sets, &vip, 4), 0);
	assert_int_equal(sets[lb_vip_second(hash)].way[1].service, 4);
	lb_vipset_del(sets, &vip);
	assert_int_equal(places_of(&vip), 0);
	assert_int_equal(sets[lb_vip_first(hash)].way[0].spilled, 0);
}

/* Sets are filled by hand until the newcomer has to push others on, which stay to be found. */
static void test_moves(void **state)
{
	enum { CROWD = 6 };
	struct lb_vip crowd[CROWD], vip;
	uint32_t target = UINT32_MAX, nr = 0;

	for (uint32_t i = 0; nr < CROWD; i++) {
		const struct lb_vip candidate = vip_nr(i);
		const __u64 addr[2] = {lb_get64(candidate.addr), lb_get64(candidate.addr + 8)};
		const struct lb_vip_key key = lb_vip_key(addr, candidate.port, candidate.proto);
		uint32_t first = lb_vip_first(lb_vip_hash(&key));

		assert_true(i < 10000000);
		if (target == UINT32_MAX)
			target = first;
		if (first == target)
			crowd[nr++] = candidate;
	}
	for (uint32_t i = 0; i < CROWD; i++)
		assert_int_equal(lb_vipset_set(sets, &crowd[i], i + 1), 0);
	assert_int_equal(sets[target].way[0].spilled, CROWD - LB_VIP_WAYS);
	for (uint32_t i = 0; i < CROWD; i++) {
		assert_int_equal(lb_vipset_get(sets, &crowd[i]), i + 1);
		assert_int_equal(places_of(&crowd[i]), 1);
	}
	vip = crowd[0];
	lb_vipset_del(sets, &vip);
	for (uint32_t i = 1; i < CROWD; i++)
		assert_int_equal(lb_vipset_get(sets, &crowd[i]), i + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_full, make_sets, free_sets),
		cmocka_unit_test_setup_teardown(test_change_of_service, make_sets, free_sets),
		cmocka_unit_test_setup_teardown(test_left_twice, make_sets, free_sets),
		cmocka_unit_test_setup_teardown(test_moves, make_sets, free_sets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
