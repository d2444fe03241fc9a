// SPDX-License-Identifier: GPL-2.0-or-later
/* include/lb/dp/mss.h: options of all shapes, with checksums held against full computations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lb/dp/mss.h"
#include "bytes.h"
#include "random.h"

struct tcp {
	uint8_t b[80];
	size_t len;
};

/* A header with @opts, whose length is rounded up with ends of options, and some data; checksum right (of a
 * pseudo-header that adds up to 0). */
static void build(struct tcp *t, uint8_t flags, const uint8_t *opts, size_t nr_opts, size_t data)
{
	unsigned int sum;

	memset(t, 0, sizeof(*t));
	for (int i = 0; i < 16; i++)
		t->b[i] = (uint8_t)random64();
	memcpy(t->b + 20, opts, nr_opts);
	t->len = 20 + (nr_opts + 3) / 4 * 4;
	t->b[12] = (uint8_t)(t->len / 4 << 4);
	t->b[13] = flags;
	for (size_t i = 0; i < data; i++)
		t->b[t->len++] = (uint8_t)random64();
	sum = ~sum16(t->b, t->len, 0) & 0xffff;
	t->b[16] = (uint8_t)(sum >> 8);
	t->b[17] = (uint8_t)sum;
}

/* In an allocation that ends with the frame, after @len bytes; what it became is in @t. */
__attribute__((noinline)) static bool clamp(struct tcp *t, size_t len, uint16_t mss)
{
	uint8_t *mem = malloc(2 + len);
	bool changed;

	assert_non_null(mem);
	memcpy(mem + 2, t->b, len);
	changed = lb_mss_clamp(mem + 2, mem + 2 + len, mss);
	memcpy(t->b, mem + 2, len);
	free(mem);
	return changed;
}

#define OPTS(...) (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})
#define NOP4 1, 1, 1, 1

/* The option's value is at @at in the header; 0: nothing is to change. */
static const struct {
	const char *what;
	uint8_t flags;
	const uint8_t *opts;
	size_t nr_opts;
	int at;
} rows[] = {
	{"first", 2, OPTS(2, 4, 0x05, 0xb4, 1, 3, 3, 7), 22},
	{"of a SYN-ACK", 0x12, OPTS(2, 4, 0x05, 0xb4), 22},
	{"with ECN", 0xc2, OPTS(2, 4, 0x05, 0xb4), 22},
	{"at an odd place", 2, OPTS(1, 2, 4, 0x05, 0xb4), 23},
	{"after others", 2, OPTS(4, 2, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 3, 3, 7, 2, 4, 0x05, 0xb4), 37},
	{"at the very end", 2, OPTS(NOP4, NOP4, NOP4, NOP4, NOP4, NOP4, NOP4, NOP4, NOP4, 2, 4, 0x05, 0xb4), 58},
	{"the second one stays", 2, OPTS(2, 4, 0x05, 0xb4, 2, 4, 0x05, 0xb4), 22},
	{"of no SYN", 0x10, OPTS(2, 4, 0x05, 0xb4), 0},
	{"none", 2, OPTS(1, 3, 3, 7, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8), 0},
	{"no options", 2, (const uint8_t *)"", 0, 0},
	{"small enough", 2, OPTS(2, 4, 0x05, 0x14), 0},
	{"exactly that", 2, OPTS(2, 4, 0x05, 0x50), 0},
	{"behind the end", 2, OPTS(0, 2, 4, 0x05, 0xb4), 0},
	{"of a wrong length", 2, OPTS(2, 3, 0x05, 0xb4), 0},
	{"of no length", 2, OPTS(5, 0, 2, 4, 0x05, 0xb4), 0},
	{"of length 1", 2, OPTS(5, 1, 2, 4, 0x05, 0xb4), 0},
	{"skipped", 2, OPTS(5, 6, 2, 4, 0x05, 0xb4), 0},
	{"cut", 2, OPTS(1, 1, 2, 4), 0},
	{"a length beyond the header", 2, OPTS(5, 255, 2, 4, 0x05, 0xb4), 0},
};
#define NR(a) (sizeof(a) / sizeof((a)[0]))

static void test_rows(void **state)
{
	for (size_t i = 0; i < NR(rows); i++) {
		for (size_t data = 0; data < 8; data++) {
			struct tcp t, was;

			build(&t, rows[i].flags, rows[i].opts, rows[i].nr_opts, data);
			was = t;
			if (clamp(&t, t.len, 0x0550) != !!rows[i].at)
				fail_msg("%s", rows[i].what);
			assert_int_equal(sum16(t.b, t.len, 0), 0xffff);
			if (rows[i].at) {
				was.b[rows[i].at] = 0x05;
				was.b[rows[i].at + 1] = 0x50;
				was.b[16] = t.b[16];
				was.b[17] = t.b[17];
				assert_false(clamp(&t, t.len, 0x0550));
			}
			assert_memory_equal(t.b, was.b, t.len);
		}
	}
}

static void test_truncated(void **state)
{
	for (size_t i = 0; i < NR(rows); i++) {
		struct tcp t;

		build(&t, rows[i].flags, rows[i].opts, rows[i].nr_opts, 0);
		for (size_t len = 0; len < t.len; len++) {
			struct tcp cut = t;

			assert_int_equal(clamp(&cut, len, 0x0550), rows[i].at && len >= (size_t)rows[i].at + 2);
			if (!rows[i].at || len < (size_t)rows[i].at + 2)
				assert_memory_equal(cut.b, t.b, t.len);
		}
	}
}

/* All values and places: never raised, and the checksum is right. */
static void test_values(void **state)
{
	for (int i = 0; i < 100000; i++) {
		uint8_t opts[40];
		size_t before = random64() % 37;
		unsigned int old = (uint16_t)random64(), mss = (uint16_t)random64(), want = old < mss ? old : mss;
		struct tcp t;

		memset(opts, 1, sizeof(opts));
		opts[before] = 2;
		opts[before + 1] = 4;
		opts[before + 2] = (uint8_t)(old >> 8);
		opts[before + 3] = (uint8_t)old;
		build(&t, 2, opts, before + 4, random64() % 20);
		assert_int_equal(clamp(&t, t.len, (uint16_t)mss), old > mss);
		assert_int_equal(t.b[22 + before] << 8 | t.b[23 + before], want);
		assert_int_equal(sum16(t.b, t.len, 0), 0xffff);
	}
}

/* Options of chance: found where the naive walk finds it, nothing else is touched. */
static void test_random(void **state)
{
	size_t nr_changed = 0;

	for (int i = 0; i < 200000; i++) {
		uint8_t opts[40];
		size_t nr = random64() % 41, at = 0;
		struct tcp t, was;

		for (size_t k = 0; k < nr; k++)
			opts[k] = (uint8_t)(random64() % 4 ? random64() % 6 : random64());
		build(&t, 2, opts, nr, 0);
		was = t;
		for (size_t off = 20; off + 1 < t.len;) {
			if (t.b[off] == 1) {
				off++;
				continue;
			}
			if (t.b[off] == 2 && t.b[off + 1] == 4 && off + 4 <= t.len)
				at = off + 2;
			if (t.b[off] == 2 || t.b[off] == 0 || t.b[off + 1] < 2)
				break;
			off += t.b[off + 1];
		}
		if (at && (was.b[at] << 8 | was.b[at + 1]) <= 2)
			at = 0;
		assert_int_equal(clamp(&t, t.len, 2), at != 0);
		assert_int_equal(sum16(t.b, t.len, 0), 0xffff);
		if (at) {
			nr_changed++;
			was.b[at] = 0;
			was.b[at + 1] = 2;
			memcpy(was.b + 16, t.b + 16, 2);
		}
		assert_memory_equal(t.b, was.b, t.len);
	}
	assert_true(nr_changed > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_rows, seed),
		cmocka_unit_test_setup(test_truncated, seed),
		cmocka_unit_test_setup(test_values, seed),
		cmocka_unit_test_setup(test_random, seed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
