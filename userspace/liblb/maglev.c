// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Weighted Maglev tables. Members take turns in rounds; in its turn a member takes the first free slot of its
 * permutation. A bitmap of what is taken stays in the first-level cache while the permutations jump about. Half of all
 * steps would be spent on the last few hundred slots; for those the question is turned round: of the slots that are
 * free, which comes first in the member's permutation?
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lb/abi.h"
#include "lb/dp/hash.h"
#include "maglev.h"

#define SLOTS_PER_BACKEND 100
#define WIDE_SHIFT_MAX 16 /* how far weights that are far apart may enlarge a table */

#define LAST_MAX (1U << (LB_TABLE_SHIFT_MAX / 2 + 1))

/* A member's permutation: next, next + skip, next + 2 skip, ... modulo the table's size. */
struct cursor {
	uint32_t next, skip;
	uint32_t inverse; /* inverse * skip == 1 modulo 2^32 */
};

struct build {
	const struct lb_maglev_member *members;
	size_t nr;
	uint32_t max_weight;
	uint32_t mask;
	uint16_t *table;
	uint64_t *taken; /* a bit a slot */
	uint32_t left;	 /* slots that are free */
	uint32_t nr_last;
	uint32_t last[LAST_MAX]; /* the free ones, once there are only nr_last or fewer */
	struct cursor *cursors;
	uint64_t *
		acc; /* by member: weight gathered towards its next turn; counts in units of 1 / max_weight of a turn */
};

static unsigned int shift_of(uint64_t slots)
{
	unsigned int shift = 0;

	while (shift < 63 && (1ULL << shift) < slots)
		shift++;
	return shift;
}

unsigned int lb_maglev_shift(const uint32_t *weights, size_t nr)
{
	unsigned int shift = shift_of((uint64_t)nr * SLOTS_PER_BACKEND), wide;
	uint32_t min = UINT32_MAX;
	uint64_t sum = 0;

	for (size_t i = 0; i < nr; i++) {
		if (weights[i] && weights[i] < min)
			min = weights[i];
	}
	for (size_t i = 0; i < nr; i++)
		sum += weights[i] ? weights[i] : min;
	if (nr && min != UINT32_MAX) {
		wide = shift_of((sum * SLOTS_PER_BACKEND + min - 1) / min);
		if (wide > WIDE_SHIFT_MAX)
			wide = WIDE_SHIFT_MAX;
		if (wide > shift)
			shift = wide;
	}
	if (shift < LB_TABLE_SHIFT_MIN)
		shift = LB_TABLE_SHIFT_MIN;
	if (shift > LB_TABLE_SHIFT_MAX)
		shift = LB_TABLE_SHIFT_MAX;
	return shift;
}

static uint32_t inverse_of(uint32_t odd)
{
	uint32_t x = odd; /* right in 3 bits; each step doubles them */

	for (int i = 0; i < 4; i++)
		x *= 2 - odd * x;
	return x;
}

static void list_last(struct build *b)
{
	uint32_t nr = 0;

	for (uint32_t slot = 0; slot <= b->mask; slot++) {
		if (!(b->taken[slot >> 6] & (1ULL << (slot & 63))))
			b->last[nr++] = slot;
	}
}

/* The free slot that comes first: the one whose place in the permutation, seen from .next, is least. */
static uint32_t take_last(struct build *b, const struct cursor *c)
{
	uint32_t best = UINT32_MAX, slot;

	for (uint32_t i = 0; i < b->left; i++) {
		uint32_t place = (b->last[i] - c->next) * c->inverse & b->mask;
		uint32_t key = place * LAST_MAX + i; /* 20 bits and 11: both in one word, for one minimum */

		best = key < best ? key : best;
	}
	slot = b->last[best % LAST_MAX];
	b->last[best % LAST_MAX] = b->last[b->left - 1];
	return slot;
}

static uint32_t take_next(struct build *b, const struct cursor *c)
{
	uint32_t slot = c->next;

	while ((b->taken[slot >> 6] >> (slot & 63)) & 1)
		slot = (slot + c->skip) & b->mask;
	b->taken[slot >> 6] |= 1ULL << (slot & 63);
	return slot;
}

static void take_turn(struct build *b, size_t i)
{
	struct cursor *c = &b->cursors[i];
	uint32_t slot = b->left > b->nr_last ? take_next(b, c) : take_last(b, c);

	b->table[slot] = b->members[i].value;
	c->next = (slot + c->skip) & b->mask;
	if (--b->left == b->nr_last)
		list_last(b);
}

/* Every member is visited in every round: right where most have a turn in most rounds. */
static void fill_by_rounds(struct build *b)
{
	for (;;) {
		for (size_t i = 0; i < b->nr; i++) {
			b->acc[i] += b->members[i].weight;
			if (b->acc[i] < b->max_weight)
				continue;
			b->acc[i] -= b->max_weight;
			take_turn(b, i);
			if (!b->left)
				return;
		}
	}
}

/* Rounds that pass until member @i has its next turn; leaves in .acc what it has gathered beyond it. */
static uint64_t rounds_to_turn(struct build *b, size_t i)
{
	uint32_t w = b->members[i].weight;
	uint64_t rounds = (b->max_weight - b->acc[i] + w - 1) / w;

	b->acc[i] += rounds * w - b->max_weight;
	return rounds;
}

static void sift_down(uint64_t *heap, size_t nr, size_t i)
{
	uint64_t key = heap[i];

	for (size_t child; (child = 2 * i + 1) < nr; i = child) {
		if (child + 1 < nr && heap[child + 1] < heap[child])
			child++;
		if (key <= heap[child])
			break;
		heap[i] = heap[child];
	}
	heap[i] = key;
}

/* The same turns in the same order, from a heap of (round, member): right where few have a turn in a round. */
static int fill_by_heap(struct build *b)
{
	uint64_t *heap = malloc(b->nr * sizeof(*heap));

	if (!heap)
		return -ENOMEM;
	for (size_t i = 0; i < b->nr; i++)
		heap[i] = rounds_to_turn(b, i) << 16 | i;
	for (size_t i = b->nr / 2; i-- > 0;)
		sift_down(heap, b->nr, i);
	while (b->left) {
		size_t i = heap[0] & 0xffff;

		take_turn(b, i);
		heap[0] += rounds_to_turn(b, i) << 16;
		sift_down(heap, b->nr, 0);
	}
	free(heap);
	return 0;
}

int lb_maglev_build(const struct lb_maglev_member *members, size_t nr, const uint64_t key[2], unsigned int shift,
		    uint16_t *table)
{
	const __u64 sip_key[2] = {key[0], key[1]};
	struct build b = {.members = members, .nr = nr, .mask = (1U << shift) - 1, .table = table};
	uint64_t sum = 0;
	int ret = -ENOMEM;

	if (!nr) {
		memset(table, 0, sizeof(*table) << shift);
		return 0;
	}
	b.left = 1U << shift;
	b.nr_last = 1U << (shift / 2 + 1);
	b.taken = calloc((b.mask >> 6) + 1, sizeof(*b.taken));
	b.cursors = malloc(nr * sizeof(*b.cursors));
	b.acc = calloc(nr, sizeof(*b.acc));
	if (!b.taken || !b.cursors || !b.acc)
		goto out;
	for (size_t i = 0; i < nr; i++) {
		const __u64 words[3] = {members[i].id[0], members[i].id[1], members[i].id[2]};
		uint64_t h = lb_sip_words(sip_key, words, 3);

		b.cursors[i].next = (uint32_t)(h >> (64 - shift));
		b.cursors[i].skip = ((uint32_t)h & b.mask) | 1;
		b.cursors[i].inverse = inverse_of(b.cursors[i].skip);
		sum += members[i].weight;
		if (members[i].weight > b.max_weight)
			b.max_weight = members[i].weight;
	}
	ret = 0;
	if (sum >= (uint64_t)nr * b.max_weight / 8)
		fill_by_rounds(&b);
	else
		ret = fill_by_heap(&b);
out:
	free(b.taken);
	free(b.cursors);
	free(b.acc);
	return ret;
}
