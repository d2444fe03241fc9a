// SPDX-License-Identifier: GPL-2.0-or-later
/* Clients: prefixes bit by bit, and that flows of a client have its slot and remain apart. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lb/dp/flow.h"
#include "lb/dp/source.h"
#include "random.h"

static void keep_bits(uint8_t *addr, unsigned int plen, unsigned int size)
{
	for (unsigned int bit = plen; bit < size; bit++)
		addr[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
}

static void test_prefixes4(void **state)
{
	for (unsigned int plen = 1; plen <= 32; plen++) {
		uint8_t addr[16], want[4];
		uint32_t word, got;

		random_bytes(addr, 16);
		memcpy(&word, addr, 4);
		memcpy(want, addr, 4);
		keep_bits(want, plen, 32);
		got = (uint32_t)lb_source4(word, plen);
		assert_memory_equal(&got, want, 4);
		assert_true(lb_source4(word, plen) >> 32 == 0);
	}
}

static void test_prefixes6(void **state)
{
	for (unsigned int plen = 1; plen <= 128; plen++) {
		uint8_t addr[16], want[16];
		__u64 word[2], got[2];

		random_bytes(addr, 16);
		memcpy(word, addr, 16);
		memcpy(want, addr, 16);
		keep_bits(want, plen, 128);
		for (unsigned int i = 0; i < 2; i++)
			got[i] = lb_source6(word[i], i, plen);
		assert_memory_equal(got, want, 16);
	}
}

/* A flow's entry says of which slot it is, in a table of any size. */
static void test_slots(void **state)
{
	for (int n = 0; n < 10000; n++) {
		uint64_t client = random64(), hash = lb_source_flow(client, random64());

		for (unsigned int shift = LB_TABLE_SHIFT_MIN; shift <= LB_TABLE_SHIFT_MAX; shift++) {
			assert_int_equal(LB_TABLE_SLOT(LB_TABLE(0, shift), hash),
					 LB_TABLE_SLOT(LB_TABLE(0, shift), client));
			assert_int_equal(lb_flow_slot(lb_flow_tag(hash), shift),
					 LB_TABLE_SLOT(LB_TABLE(0, shift), client));
		}
	}
}

static int by_value(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Of the 60,000 flows of a client few share set and tag: 2^28 places make seven pairs. */
static void test_apart(void **state)
{
	static uint64_t place[60000];
	uint64_t client = random64();
	int same = 0;

	for (int i = 0; i < 60000; i++) {
		uint64_t hash = lb_source_flow(client, random64());

		place[i] = (uint64_t)lb_flow_set_idx(hash) << 32 | lb_flow_tag(hash);
	}
	qsort(place, 60000, sizeof(*place), by_value);
	for (int i = 1; i < 60000; i++)
		same += place[i] == place[i - 1];
	assert_in_range(same, 0, 25);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_prefixes4),
		cmocka_unit_test(test_prefixes6),
		cmocka_unit_test(test_slots),
		cmocka_unit_test(test_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
