// SPDX-License-Identifier: GPL-2.0-or-later
/* The backend host's decapsulation, natively and under sanitizers: the cases of decap_cases.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "decap_cases.h"

static void check(const struct decap_case *c, const char *detail)
{
	struct frame in, out, want;
	enum lb_node_result result;

	build_in(c, &in);
	build_out(c, &want);
	result = run_natively(&in, c->setup, &out);
	if (result != c->result || out.len != want.len || memcmp(out.bytes, want.bytes, want.len) != 0)
		fail_msg("%s%s: result %d, want %d; %zu bytes, want %zu", c->what, detail, result, c->result, out.len,
			 want.len);
}

static void test_table(void **state)
{
	for (size_t i = 0; i < sizeof(decap_cases) / sizeof(decap_cases[0]); i++)
		check(&decap_cases[i], "");
}

static void test_ecn(void **state)
{
	char detail[64];

	for (int n = 0; n < 128; n++) {
		struct decap_case c = ecn_case(n & 3, n >> 2 & 3, n >> 4 & 1 ? V6 : V4, n >> 5 & 1 ? V6 : V4);

		c.gue = n >> 6;
		snprintf(detail, sizeof(detail), " row %d column %d outer v%d inner v%d%s", n & 3, n >> 2 & 3,
			 n >> 4 & 1 ? 6 : 4, n >> 5 & 1 ? 6 : 4, c.gue ? " GUE" : "");
		check(&c, detail);
	}
}

static void test_truncated(void **state)
{
	for (int i = 0; i < 8; i++) {
		struct decap_case c = plain_case(i);
		struct frame in, out;
		size_t whole;

		build_in(&c, &in);
		whole = in.len;
		for (in.len = 0; in.len < whole; in.len++) {
			enum lb_node_result result = run_natively(&in, ANY, &out);

			if (result != cut_result(&c, in.len))
				fail_msg("%s%s cut to %zu bytes: result %d", c.gue ? "GUE, " : "", c.what, in.len,
					 result);
			assert_int_equal(out.len, in.len);
			assert_memory_equal(out.bytes, in.bytes, in.len);
		}
	}
}

/* No byte is read or written outside whatever the frame says (the sanitizers' part), and what is not decapsulated is as
 * it came. */
static void test_random(void **state)
{
	size_t seen[LB_NODE_RESULT_COUNT] = {};
	unsigned int seed = 20;

	for (int i = 0; i < 200000; i++) {
		struct frame in, out;
		enum lb_node_result result;
		enum setup setup;

		build_random(&seed, &in, &setup);
		result = run_natively(&in, setup, &out);
		seen[result]++;
		if (result != LB_NODE_DECAPSULATED)
			assert_memory_equal(out.bytes, in.bytes, in.len);
	}
	for (int r = 0; r < LB_NODE_DROP_FAILED; r++)
		assert_true(seen[r] > 0);
}

/* A mended checksum is the one that a fresh computation gives. */
static void test_checksum(void **state)
{
	for (int tos = 0; tos < 256; tos++) {
		for (uint8_t ecn = 0; ecn < 4; ecn++) {
			struct frame f = {};
			struct iphdr ip;

			put_ip(&f, V4, IPPROTO_UDP, (uint8_t)tos, CLIENT4, VIP4, (size_t)tos * 5);
			memcpy(&ip, f.bytes, sizeof(ip));
			lb_decap_set_ecn4(&ip, ecn);
			assert_int_equal(ip.tos, (tos & 0xfc) | ecn);
			assert_int_equal(sum16((uint8_t *)&ip, sizeof(ip), 0), 0);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),  cmocka_unit_test(test_ecn),	cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_random), cmocka_unit_test(test_checksum),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
