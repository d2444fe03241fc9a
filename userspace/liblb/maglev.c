// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Weighted Maglev tables. Members take turns in rounds; in its turn a member takes the first free slot of its
 * permutation. A bitmap of what is taken stays in the first-level cache while the permutations jump about. Half of all
 * steps would be spent on the last few hundred slots; for those the question is turned round: of the slots that are
 * free, which comes first in the member's permutation?
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lb/abi.h"
#include "lb/dp/hash.h"
#include "maglev.h"

#define SLOTS_PER_BACKEND 100
#define WIDE_SHIFT_MAX 16 /* how far weights that are far apart may enlarge a table */

#define PREFETCH 8    /* turns ahead */
#define VISITS_MAX 24 /* for a turn: beyond that a heap is faster */

#define LAST_MAX (1U << (LB_TABLE_SHIFT_MAX / 2))

/* A member's permutation: next, next + skip, next + 2 skip, ... modulo the table's size. What each turn needs and
 * nothing else: all of them are read in every round. */
struct cursor {
	uint32_t next, skip;
	uint16_t value;
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
	uint64_t *acc; /* by member: weight gathered towards its next turn, which takes max_weight */
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

/* inverse_of(odd) * odd == 1 modulo 2^32 */
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
	uint32_t inverse = inverse_of(c->skip), best = UINT32_MAX, slot;

	for (uint32_t i = 0; i < b->left; i++) {
		uint32_t place = (b->last[i] - c->next) * inverse & b->mask;
		uint32_t key = place * LAST_MAX + i; /* 20 bits and 10: both in one word, for one minimum */

		best = key < best ? key : best;
	}
	slot = b->last[best % LAST_MAX];
	b->last[best % LAST_MAX] = b->last[b->left - 1];
	return slot;
}

static inline uint32_t is_taken(const struct build *b, uint32_t slot)
{
	slot &= b->mask;
	return (uint32_t)(b->taken[slot >> 6] >> (slot & 63)) & 1;
}

static inline uint32_t are_taken(const struct build *b, uint32_t slot, uint32_t skip)
{
	return is_taken(b, slot) | is_taken(b, slot + skip) << 1 | is_taken(b, slot + 2 * skip) << 2 |
	       is_taken(b, slot + 3 * skip) << 3;
}

/* Whether a slot is taken cannot be foretold: looking at several at once is cheaper than guessing wrong at most turns.
 */
static uint32_t take_next(struct build *b, const struct cursor *c)
{
	bool wide = b->left <= b->mask / 2;
	uint32_t slot = c->next, all = wide ? 0xff : 0xf, taken;

	for (;;) {
		taken = are_taken(b, slot, c->skip);
		if (wide)
			taken |= are_taken(b, slot + 4 * c->skip, c->skip) << 4;
		if (taken != all)
			break;
		slot += (wide ? 8 : 4) * c->skip;
	}
	slot = (slot + (uint32_t)__builtin_ctz(~taken) * c->skip) & b->mask;
	b->taken[slot >> 6] |= 1ULL << (slot & 63);
	return slot;
}

static void take_turn(struct build *b, struct cursor *c)
{
	uint32_t slot = b->left > b->nr_last ? take_next(b, c) : take_last(b, c);

	b->table[slot] = c->value;
	c->next = (slot + c->skip) & b->mask;
	if (--b->left == b->nr_last)
		list_last(b);
}

/* Every member has a turn in every round. */
static void fill_equal(struct build *b)
{
	size_t left;

	while (b->left) {
		left = b->left < b->nr ? b->left : b->nr;
		for (size_t i = 0; i < left; i++) {
			__builtin_prefetch(&b->table[b->cursors[i + PREFETCH].next], 1);
			take_turn(b, &b->cursors[i]);
		}
	}
}

/* Every member is visited in every round: right where most have a turn in most rounds. Whose turn it is is gathered
 * first, without a branch. */
static int fill_by_rounds(struct build *b)
{
	uint32_t *turns = malloc(b->nr * sizeof(*turns));
	size_t nr;

	if (!turns)
		return -ENOMEM;
	while (b->left) {
		nr = 0;
		for (size_t i = 0; i < b->nr; i++) {
			uint64_t acc = b->acc[i] + b->members[i].weight;
			bool turn = acc >= b->max_weight;

			turns[nr] = (uint32_t)i;
			nr += turn;
			b->acc[i] = acc - (turn ? b->max_weight : 0);
		}
		for (size_t i = 0; i < nr && b->left; i++)
			take_turn(b, &b->cursors[turns[i]]);
	}
	free(turns);
	return 0;
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

		take_turn(b, &b->cursors[i]);
		heap[0] += rounds_to_turn(b, i) << 16;
		sift_down(heap, b->nr, 0);
	}
	free(heap);
	return 0;
}

static void start_permutations(struct build *b, const uint64_t key[2], unsigned int shift)
{
	const __u64 sip_key[2] = {key[0], key[1]};

	for (size_t i = 0; i < b->nr; i++) {
		const uint64_t *id = b->members[i].id;
		uint64_t h = lb_sip_words(sip_key, (const __u64[]){id[0], id[1], id[2]}, 3);

		b->cursors[i].next = (uint32_t)(h >> (64 - shift));
		b->cursors[i].skip = ((uint32_t)h & b->mask) | 1;
		b->cursors[i].value = b->members[i].value;
	}
}

int lb_maglev_build(const struct lb_maglev_member *members, size_t nr, const uint64_t key[2], unsigned int shift,
		    uint16_t *table)
{
	struct build b = {.members = members, .nr = nr, .mask = (1U << shift) - 1, .table = table};
	uint64_t sum = 0;
	int ret = -ENOMEM;

	if (!nr) {
		memset(table, 0, sizeof(*table) << shift);
		return 0;
	}
	b.left = 1U << shift;
	b.nr_last = 1U << (shift / 2);
	b.taken = calloc((b.mask >> 6) + 1, sizeof(*b.taken));
	b.cursors = calloc(nr + PREFETCH, sizeof(*b.cursors));
	b.acc = calloc(nr, sizeof(*b.acc));
	if (!b.taken || !b.cursors || !b.acc)
		goto out;
	start_permutations(&b, key, shift);
	for (size_t i = 0; i < nr; i++) {
		sum += members[i].weight;
		if (members[i].weight > b.max_weight)
			b.max_weight = members[i].weight;
	}
	ret = 0;
	if (sum == (uint64_t)nr * b.max_weight)
		fill_equal(&b);
	else if (sum >= (uint64_t)nr * b.max_weight / VISITS_MAX)
		ret = fill_by_rounds(&b);
	else
		ret = fill_by_heap(&b);
out:
	free(b.taken);
	free(b.cursors);
	free(b.acc);
	return ret;
}
