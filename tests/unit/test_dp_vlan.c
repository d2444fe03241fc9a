// SPDX-License-Identifier: GPL-2.0-or-later
/* include/lb/dp/vlan.h: tags found, and written, in frames of exactly their size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lb/dp/vlan.h"

static const uint8_t macs[12] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2};

/* The tags of a frame of both MACs and @words, cut to @len bytes; the words as they lie there, given in host order. */
static uint64_t tags_of(const uint16_t *words, size_t nr, size_t len)
{
	uint8_t *frame = malloc(len ? len : 1), whole[64];
	uint64_t tags;

	memcpy(whole, macs, sizeof(macs));
	for (size_t i = 0; i < nr; i++) {
		whole[12 + 2 * i] = (uint8_t)(words[i] >> 8);
		whole[13 + 2 * i] = (uint8_t)words[i];
	}
	memcpy(frame, whole, len);
	tags = lb_vlan_tags(frame, frame + len);
	free(frame);
	return tags;
}

static uint32_t tag(uint16_t tpid, uint16_t tci)
{
	const uint8_t b[4] = {(uint8_t)(tpid >> 8), (uint8_t)tpid, (uint8_t)(tci >> 8), (uint8_t)tci};
	uint32_t word;

	memcpy(&word, b, sizeof(word));
	return word;
}

static void test_found(void **state)
{
	static const struct {
		uint16_t words[8];
		size_t nr;
		int tags;
	} rows[] = {
		{{0x0800}, 1, 0},
		{{0x86dd}, 1, 0},
		{{0x8100, 100, 0x0800}, 3, 1},
		{{0x8100, 0xe064, 0x86dd}, 3, 1},
		{{0x88a8, 100, 0x0800}, 3, 1},
		{{0x8100, 0, 0x0800}, 3, 1},
		{{0x8100, 100, 0x0806}, 3, 0},
		{{0x8100, 100, 0x0040}, 3, 0},
		{{0x9100, 100, 0x0800}, 3, 0},
		{{0x88a8, 200, 0x8100, 100, 0x0800}, 5, 2},
		{{0x8100, 200, 0x8100, 100, 0x86dd}, 5, 2},
		{{0x8100, 200, 0x88a8, 100, 0x86dd}, 5, 2},
		{{0x88a8, 200, 0x8100, 100, 0x0806}, 5, 0},
		{{0x88a8, 200, 0x8100, 100, 0x8100, 1, 0x0800}, 7, 0},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const uint16_t *w = rows[i].words;
		size_t whole = 12 + 2 * rows[i].nr;
		uint64_t want = 0;

		if (rows[i].tags)
			want = LB_TAGS(tag(w[0], w[1]), rows[i].tags > 1 ? tag(w[2], w[3]) : 0);
		assert_true(tags_of(w, rows[i].nr, whole) == want);
		/* cut anywhere, there are none */
		for (size_t len = 0; len < whole; len++)
			assert_true(tags_of(w, rows[i].nr, len) == 0);
	}
}

/* Tags that are written are found again, and the frame behind them is as it was. */
static void test_written(void **state)
{
	for (int nr = 1; nr <= LB_VLAN_TAGS; nr++) {
		const int bytes = nr * LB_VLAN_HLEN;
		uint64_t tags = LB_TAGS(tag(0x88a8, 0x2fff), nr > 1 ? tag(0x8100, 5) : 0);
		uint8_t *frame = calloc(1, (size_t)bytes + 20);

		memcpy(frame + bytes, macs, sizeof(macs));
		memcpy(frame + bytes + 12,
		       "\x86\xdd"
		       "abcdef",
		       8);
		lb_vlan_write(frame, tags, bytes);
		assert_memory_equal(frame, macs, sizeof(macs));
		assert_memory_equal(frame + 12, nr > 1 ? "\x88\xa8\x2f\xff\x81\x00\x00\x05" : "\x88\xa8\x2f\xff",
				    (size_t)bytes);
		assert_memory_equal(frame + 12 + bytes,
				    "\x86\xdd"
				    "abcdef",
				    8);
		assert_true(lb_vlan_tags(frame, frame + bytes + 20) == tags);
		lb_vlan_move_macs(frame + bytes, frame);
		assert_memory_equal(frame + bytes, macs, sizeof(macs));
		free(frame);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found),
		cmocka_unit_test(test_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
