// SPDX-License-Identifier: GPL-2.0-or-later
/* Who is chosen; and that the table knows nothing but addresses, weights, health and key. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "policy.h"

#define MAX 40

static const uint64_t key[2] = {1, 2};

struct fixture {
	struct lb_backend_conf conf[MAX];
	struct lb_candidate c[MAX];
	size_t nr;
	uint32_t tier_min;
};

static struct lb_backend_conf *add(struct fixture *f, uint32_t weight, uint32_t tier, bool up)
{
	struct lb_backend_conf *b = &f->conf[f->nr];

	*b = (struct lb_backend_conf){.weight = weight, .tier = tier};
	b->address.addr[10] = b->address.addr[11] = 0xff;
	b->address.addr[12] = 10;
	b->address.addr[15] = (uint8_t)(f->nr + 1);
	b->address.port = htons(80);
	f->c[f->nr] = (struct lb_candidate){.conf = b, .idx = (uint16_t)(f->nr + 100), .up = up, .reachable = true};
	f->nr++;
	return b;
}

static void expect(struct fixture *f, uint32_t threshold, const char *chosen, uint32_t tier, bool panic)
{
	struct lb_choice choice = lb_policy_choose(f->c, f->nr, threshold, f->tier_min);
	size_t nr = 0;

	assert_int_equal(strlen(chosen), f->nr);
	for (size_t i = 0; i < f->nr; i++) {
		assert_int_equal(f->c[i].chosen, chosen[i] == '+');
		nr += chosen[i] == '+';
	}
	assert_int_equal(choice.chosen, nr);
	assert_int_equal(choice.tier, tier);
	assert_int_equal(choice.panic, panic);
}

static void test_choose(void **state)
{
	struct fixture f = {0};

	expect(&f, 0, "", 0, false);
	expect(&f, 50, "", 0, false);
	add(&f, 1, 0, true);
	add(&f, 1, 0, false);
	add(&f, 0, 0, true);
	add(&f, 1, 0, true)->admin = LB_ADMIN_DRAINING;
	add(&f, 1, 0, true)->admin = LB_ADMIN_DISABLED;
	add(&f, 1, 1, true);
	expect(&f, 0, "+-----", 0, false);
	/* The standby serves when its betters do not. */
	f.c[0].up = false;
	expect(&f, 0, "-----+", 1, false);
	f.c[5].up = false;
	expect(&f, 0, "------", 0, false);
	/* Nobody is up, and there is a threshold: better all of the lowest tier than none. */
	expect(&f, 1, "++----", 0, true);
}

static void test_tiers(void **state)
{
	struct fixture f = {0};

	add(&f, 1, 7, true);
	add(&f, 1, 3, true);
	add(&f, 0, 2, true);
	add(&f, 1, 3, true);
	expect(&f, 0, "-+-+", 3, false);
	f.c[1].up = f.c[3].up = false;
	expect(&f, 0, "+---", 7, false);
}

/* The lowest tier with enough; where none has enough, the one that has most. */
static void test_tier_min(void **state)
{
	struct fixture f = {.tier_min = 2};

	add(&f, 1, 0, true);
	add(&f, 1, 0, true);
	add(&f, 1, 0, true);
	add(&f, 1, 3, true);
	add(&f, 1, 3, true);
	add(&f, 1, 9, true);
	add(&f, 1, 9, true);
	add(&f, 1, 9, true);
	expect(&f, 0, "+++-----", 0, false);
	f.c[0].up = false;
	expect(&f, 0, "-++-----", 0, false);
	f.c[1].up = false;
	expect(&f, 0, "---++---", 3, false);
	/* Damped by nothing but the checks: it gives back at once. */
	f.c[1].up = true;
	expect(&f, 0, "-++-----", 0, false);
	f.c[1].up = f.c[3].up = false;
	expect(&f, 0, "-----+++", 9, false);
	f.c[5].up = f.c[6].up = false;
	expect(&f, 0, "--+-----", 0, false);
	f.c[2].up = false;
	expect(&f, 0, "----+---", 3, false);
	f.tier_min = 100;
	expect(&f, 0, "----+---", 3, false);
	f.c[6].up = true;
	expect(&f, 0, "------++", 9, false);
	/* In a panic all count. */
	expect(&f, 50, "+++-----", 0, true);
}

/* Against counting by hand, for random candidates. */
static void test_random_choice(void **state)
{
	srandom(3);
	for (int run = 0; run < 20000; run++) {
		struct fixture f = {.tier_min = 1 + (uint32_t)random() % 4};
		uint32_t threshold = random() % 2 ? 0 : (uint32_t)random() % 101;
		size_t count[LB_TIERS] = {0}, most = 0;
		struct lb_choice choice;

		for (long i = random() % 12; i > 0; i--) {
			struct lb_backend_conf *b = add(&f, random() % 6 != 0, (uint32_t)random() % 4, random() % 2);

			b->admin = random() % 5 ? LB_ADMIN_ENABLED : 1 + random() % 2;
			f.c[f.nr - 1].reachable = f.c[f.nr - 1].up || random() % 2;
		}
		choice = lb_policy_choose(f.c, f.nr, threshold, f.tier_min);
		for (size_t i = 0; i < f.nr; i++)
			count[f.conf[i].tier] += f.conf[i].weight && f.conf[i].admin == LB_ADMIN_ENABLED &&
						 (choice.panic ? f.c[i].reachable : f.c[i].up);
		for (uint32_t tier = 0; tier < LB_TIERS; tier++)
			most = count[tier] > most ? count[tier] : most;
		assert_int_equal(choice.chosen, most ? count[choice.tier] : 0);
		if (!most)
			continue;
		for (uint32_t tier = 0; tier < choice.tier; tier++)
			assert_true(count[tier] < f.tier_min &&
				    (count[tier] < most || count[choice.tier] >= f.tier_min));
		assert_true(count[choice.tier] >= f.tier_min || count[choice.tier] == most);
		for (size_t i = 0; i < f.nr; i++)
			assert_int_equal(f.c[i].chosen, f.conf[i].tier == choice.tier && f.conf[i].weight &&
								f.conf[i].admin == LB_ADMIN_ENABLED &&
								(choice.panic ? f.c[i].reachable : f.c[i].up));
	}
}

static void test_panic(void **state)
{
	struct fixture f = {0};

	for (int i = 0; i < 10; i++)
		add(&f, 1, i < 8 ? 0 : 1, i < 3 || i == 9);
	/* 4 of 10 are up: 40 % is not below 40. */
	expect(&f, 40, "+++-------", 0, false);
	expect(&f, 41, "++++++++--", 0, true);
	/* Who is not enabled, or has no weight, does not count. */
	f.conf[0].admin = LB_ADMIN_DRAINING;
	f.conf[1].weight = 0;
	expect(&f, 25, "--+-------", 0, false);
	expect(&f, 26, "--++++++--", 0, true);
	for (int i = 0; i < 10; i++)
		f.c[i].up = true;
	expect(&f, 100, "--++++++--", 0, false);
}

/* Who cannot be reached counts as one that is not up, and is not used in a panic either. */
static void test_unreachable(void **state)
{
	struct fixture f = {0};

	for (int i = 0; i < 4; i++)
		add(&f, 1, i < 2 ? 0 : 1, i == 3);
	f.c[0].reachable = false;
	expect(&f, 50, "-+--", 0, true);
	f.c[1].reachable = false;
	expect(&f, 50, "--++", 1, true);
	expect(&f, 0, "---+", 1, false);
	f.c[2].reachable = f.c[3].reachable = f.c[3].up = false;
	expect(&f, 50, "----", 0, true);
	expect(&f, 0, "----", 0, false);
}

static void build(struct fixture *f, unsigned int *shift, uint16_t **table)
{
	lb_policy_choose(f->c, f->nr, 0, 1);
	assert_int_equal(lb_policy_table(f->c, f->nr, key, shift, table), 0);
}

/* A slow start only ever goes on, begins with a part and ends with all. */
static void test_warmth(void **state)
{
	static const uint64_t times_s[] = {1, 2, 3, 7, 30, 300, 86400};

	for (size_t i = 0; i < sizeof(times_s) / sizeof(*times_s); i++) {
		uint64_t slow_start_ns = times_s[i] * 1000000000U;
		uint8_t before = 1;

		assert_int_equal(lb_policy_warmth(0, slow_start_ns), 1);
		for (uint32_t s = 0; s < times_s[i]; s++) {
			uint8_t now = lb_policy_warmth(s, slow_start_ns);

			assert_in_range(now, before, LB_WARM - 1);
			before = now;
		}
		assert_int_equal(lb_policy_warmth((uint32_t)times_s[i], slow_start_ns), LB_WARM);
		assert_int_equal(lb_policy_warmth(UINT32_MAX, slow_start_ns), LB_WARM);
	}
	assert_int_equal(lb_policy_warmth(0, 0), LB_WARM);
}

static size_t slots_of(const uint16_t *table, unsigned int shift, uint16_t idx)
{
	size_t nr = 0;

	for (size_t i = 0; i < 1U << shift; i++)
		nr += table[i] == idx;
	return nr;
}

/* Each step gives it its part, in a table of the same size, and hardly moves a slot between the others. */
static void test_slow_start(void **state)
{
	struct fixture f = {0};
	unsigned int shift, whole_shift;
	uint16_t *table, *whole, *before = NULL;
	size_t was = 0;

	for (int i = 0; i < 10; i++)
		add(&f, i < 5 ? 1 : 3, 0, true);
	build(&f, &whole_shift, &whole);
	for (uint8_t warmth = 1; warmth <= LB_WARM; warmth++) {
		double part = warmth / (double)LB_WARM, wanted;
		size_t got, others = 0;

		f.c[2].warmth = warmth;
		build(&f, &shift, &table);
		assert_int_equal(shift, whole_shift);
		got = slots_of(table, shift, f.c[2].idx);
		wanted = (1U << shift) * part / (19 + part);
		assert_true(got > wanted * 0.9 - 2 && got < wanted * 1.1 + 2);
		assert_true(got > was);
		was = got;
		for (size_t i = 0; before && i < 1U << shift; i++)
			others += table[i] != before[i] && table[i] != f.c[2].idx;
		assert_true(others < (1U << shift) / 50);
		free(before);
		before = table;
	}
	assert_memory_equal(before, whole, sizeof(*whole) << shift);
	free(before);
	/* All of them at the same step, or standbys that are: as if there were none. */
	for (size_t i = 0; i < f.nr; i++)
		f.c[i].warmth = 3;
	build(&f, &shift, &table);
	assert_memory_equal(table, whole, sizeof(*whole) << shift);
	free(table);
	free(whole);
}

static void test_order_and_idx_do_not_matter(void **state)
{
	struct fixture f = {0}, g;
	unsigned int shift, other_shift;
	uint16_t *table, *other;
	uint64_t digest;

	for (int i = 0; i < MAX; i++)
		add(&f, 1 + i % 5, 0, i % 7);
	build(&f, &shift, &table);
	digest = lb_policy_digest(f.c, f.nr, table, shift);
	srandom(1);
	for (int run = 0; run < 50; run++) {
		uint16_t was[LB_MAX_BACKENDS] = {0};

		g = f;
		for (size_t i = 0; i < g.nr; i++) {
			size_t j = i + (size_t)random() % (g.nr - i);
			struct lb_candidate c = g.c[i];

			g.c[i] = g.c[j];
			g.c[j] = c;
		}
		for (size_t i = 0; i < g.nr; i++) {
			uint16_t idx = (uint16_t)(1 + (i * 7 + (size_t)run) % 1000);

			was[idx] = g.c[i].idx;
			g.c[i].idx = idx;
		}
		build(&g, &other_shift, &other);
		assert_int_equal(other_shift, shift);
		for (uint32_t i = 0; i < 1U << shift; i++)
			assert_int_equal(was[other[i]], table[i]);
		assert_true(lb_policy_digest(g.c, g.nr, other, other_shift) == digest);
		free(other);
	}
	/* One slot of another owner, or another address for one owner, and the digest is another. */
	table[5] = table[5] == f.c[1].idx ? f.c[2].idx : f.c[1].idx;
	assert_true(lb_policy_digest(f.c, f.nr, table, shift) != digest);
	free(table);
	f.conf[1].address.port = htons(81);
	build(&f, &shift, &table);
	assert_true(lb_policy_digest(f.c, f.nr, table, shift) != digest);
	free(table);
}

static void test_size_is_not_health(void **state)
{
	struct fixture f = {0};
	unsigned int shift, first;
	uint16_t *table;

	for (int i = 0; i < 20; i++)
		add(&f, i ? 10 : 1, 0, true);
	build(&f, &first, &table);
	free(table);
	assert_int_equal(first, 15);
	for (int i = 0; i < 20; i++) {
		f.c[i].up = false;
		f.conf[i].admin = i % 3;
		build(&f, &shift, &table);
		assert_int_equal(shift, first);
		for (uint32_t s = 0; s < 1U << shift; s++) {
			if (i == 19)
				assert_int_equal(table[s], 0);
			else
				assert_true(table[s] > 100 + i);
		}
		free(table);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_choose),
		cmocka_unit_test(test_tiers),
		cmocka_unit_test(test_tier_min),
		cmocka_unit_test(test_random_choice),
		cmocka_unit_test(test_panic),
		cmocka_unit_test(test_unreachable),
		cmocka_unit_test(test_warmth),
		cmocka_unit_test(test_slow_start),
		cmocka_unit_test(test_order_and_idx_do_not_matter),
		cmocka_unit_test(test_size_is_not_health),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
