// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Weighted Maglev tables. Members take turns in rounds; in its turn a member takes the first free slot of its
 * permutation. Slots are never given back: where a member looked in vain it need not look again, so the first free slot
 * may be searched for before the turn has come. That is done for a block of turns at a time, all of whose searches run
 * side by side, since none waits for what another one takes; in the turn itself the slot is mostly still free.
 * Half of all steps would be spent on the last few hundred slots; for those the question is turned round: of the slots
 * that are free, which comes first in the member's permutation?
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lb/dp/hash.h"
#include "maglev_priv.h"
#include "pause.h"

#define SLOTS_PER_BACKEND 100
#define WIDE_SHIFT_MAX 16 /* how far weights that are far apart may enlarge a table */

#define PAUSE_STEPS (1U << 17) /* a fraction of a millisecond's work */
#define STEPS_MIN 32	       /* of a turn: thousands of members and a million slots are in no cache */
#define FOLLOW_AT_ONCE 1024
#define BLOCK 128    /* turns that are searched for at once */
#define VISITS_MAX 6 /* members to look at for a turn: beyond that sorting all turns is faster */

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

uint32_t lb_maglev_inverse(uint32_t odd)
{
	uint32_t x = odd; /* right in 3 bits; each step doubles them */

	for (int i = 0; i < 4; i++)
		x *= 2 - odd * x;
	return x;
}

static void list_last(struct lb_maglev *b)
{
	static const uint8_t all[8] = {1, 1, 1, 1, 1, 1, 1, 1}; /* mostly they are */
	uint32_t nr = 0;

	for (uint32_t from = 0; from <= b->mask; from += sizeof(all)) {
		if (!memcmp(b->taken + from, all, sizeof(all)))
			continue;
		for (uint32_t slot = from; slot < from + sizeof(all); slot++)
			if (!b->taken[slot])
				b->last[nr++] = slot;
	}
}

static inline void took(struct lb_maglev_cursor *c, uint32_t slot)
{
	if (c->slots)
		c->slots[c->nr] = slot;
	c->nr++;
}

LB_MAGLEV_WIDE uint32_t lb_maglev_first(const uint32_t *slots, uint32_t nr, uint32_t start, uint32_t inverse,
					uint32_t mask)
{
	uint32_t best = UINT32_MAX;

	for (uint32_t i = 0; i < nr; i++) {
		uint32_t place = (slots[i] - start) * inverse & mask;
		uint32_t key = place * LB_MAGLEV_LAST_MAX + i; /* 20 bits and 10: both in one word, for one minimum */

		best = key < best ? key : best;
	}
	return best % LB_MAGLEV_LAST_MAX;
}

/* The free slot that comes first: the one whose place in the permutation, seen from .next, is least. */
static void take_last(struct lb_maglev *b, struct lb_maglev_cursor *c)
{
	uint32_t at = lb_maglev_first(b->last, b->left, c->next, lb_maglev_inverse(c->skip), b->mask);
	uint32_t slot = b->last[at];

	b->last[at] = b->last[--b->left];
	b->table[slot] = c->value;
	c->next = slot + c->skip;
	took(c, slot);
}

/* A bit for each of four steps. */
static inline uint32_t are_taken(const uint8_t *taken, uint32_t mask, uint32_t slot, uint32_t skip)
{
	return taken[slot & mask] | taken[(slot + skip) & mask] << 1 | taken[(slot + 2 * skip) & mask] << 2 |
	       taken[(slot + 3 * skip) & mask] << 3;
}

/* Moves each of @slot to the first free one of its permutation. Whether a slot is taken cannot be foretold: several
 * steps at once, and a list of those who need more, are cheaper than to guess wrong for most. */
static void search(const uint8_t *taken, uint32_t mask, uint32_t *slot, const uint32_t *skip, uint32_t nr)
{
	uint16_t more[BLOCK];
	uint32_t nr_more = 0, steps;

	for (uint32_t i = 0; i < nr; i++) {
		steps = (uint32_t)__builtin_ctz(~are_taken(taken, mask, slot[i], skip[i]));
		slot[i] += steps * skip[i];
		more[nr_more] = (uint16_t)i;
		nr_more += steps == 4;
	}
	for (uint32_t left = nr_more; left; left = nr_more) {
		nr_more = 0;
		for (uint32_t k = 0; k < left; k++) {
			uint32_t i = more[k], now = are_taken(taken, mask, slot[i], skip[i]);

			now |= are_taken(taken, mask, slot[i] + 4 * skip[i], skip[i]) << 4;
			steps = (uint32_t)__builtin_ctz(~now);
			slot[i] += steps * skip[i];
			more[nr_more] = (uint16_t)i;
			nr_more += steps == 8;
		}
	}
}

static void take_block(struct lb_maglev *b, const uint16_t *who, uint32_t nr)
{
	uint32_t slot[BLOCK], skip[BLOCK];
	const uint32_t mask = b->mask;
	uint8_t *taken = b->taken;
	uint16_t *table = b->table;

	for (uint32_t i = 0; i < nr; i++) {
		slot[i] = b->cursors[who[i]].next;
		skip[i] = b->cursors[who[i]].skip;
	}
	search(taken, mask, slot, skip, nr);
	for (uint32_t i = 0; i < nr; i++)
		__builtin_prefetch(&table[slot[i] & mask], 1);
	for (uint32_t i = 0; i < nr; i++) {
		uint32_t at = slot[i] & mask;

		while (taken[at]) /* by an earlier turn of this block */
			at = (at + skip[i]) & mask;
		taken[at] = 1;
		slot[i] = at;
	}
	for (uint32_t i = 0; i < nr; i++) {
		struct lb_maglev_cursor *c = &b->cursors[who[i]];

		table[slot[i]] = c->value;
		c->next = slot[i] + skip[i];
		took(c, slot[i]);
	}
	b->left -= nr;
}

/* ---- whose turn it is ---- */

/* Every member is visited: right where most have a turn in most rounds. */
static void gather_round(struct lb_maglev *b)
{
	size_t nr = 0;

	for (size_t i = 0; i < b->nr; i++) {
		uint32_t gathered = b->gathered[i] + b->weights[i];
		bool turn = gathered >= b->max_weight;

		b->turns[nr] = (uint16_t)i;
		nr += turn;
		b->gathered[i] = gathered - (turn ? b->max_weight : 0);
	}
	b->nr_turns = nr;
}

static int every_round_the_same(struct lb_maglev *b)
{
	b->turns = malloc(b->nr * sizeof(*b->turns));
	if (!b->turns)
		return -ENOMEM;
	for (size_t i = 0; i < b->nr; i++)
		b->turns[i] = (uint16_t)i;
	b->nr_turns = b->nr;
	b->again = true;
	return 0;
}

static int round_by_round(struct lb_maglev *b, const struct lb_maglev_member *members)
{
	b->turns = malloc(b->nr * sizeof(*b->turns));
	b->weights = malloc(b->nr * sizeof(*b->weights));
	b->gathered = calloc(b->nr, sizeof(*b->gathered));
	if (!b->turns || !b->weights || !b->gathered)
		return -ENOMEM;
	for (size_t i = 0; i < b->nr; i++)
		b->weights[i] = members[i].weight;
	return 0;
}

/* Member @i's turns are in the rounds k * max_weight / weight, rounded up, for k = 1, 2, ... Calls for each up to
 * @rounds: counts it in @at or, given @turns, puts it where @at says. */
static void place_turns(const struct lb_maglev *b, uint16_t i, uint32_t weight, uint64_t rounds, uint32_t *at,
			uint16_t *turns)
{
	uint32_t whole = b->max_weight / weight, part = b->max_weight % weight, over = 0;

	for (uint64_t round = 0;;) {
		round += whole + (part > over);
		over += (part > over ? weight : 0) - part;
		if (round > rounds)
			break;
		if (turns)
			turns[at[round]] = i;
		at[round]++;
	}
}

/* The turns of all rounds, sorted by round and member: right where few have a turn in a round. */
static int all_at_once(struct lb_maglev *b, const struct lb_maglev_member *members, uint64_t sum)
{
	/* In so many rounds members have at least left + nr whole turns, less a part of one for each. */
	uint64_t rounds = (((uint64_t)b->left + b->nr) * b->max_weight + sum - 1) / sum;
	uint32_t *at = calloc(rounds + 1, sizeof(*at)), nr = 0;

	if (!at)
		return -ENOMEM;
	for (size_t i = 0; i < b->nr; i++)
		place_turns(b, (uint16_t)i, members[i].weight, rounds, at, NULL);
	for (uint64_t round = 1; round <= rounds; round++) {
		uint32_t here = at[round];

		at[round] = nr;
		nr += here;
	}
	b->turns = malloc(nr * sizeof(*b->turns));
	for (size_t i = 0; b->turns && i < b->nr; i++)
		place_turns(b, (uint16_t)i, members[i].weight, rounds, at, b->turns);
	free(at);
	b->nr_turns = nr;
	return b->turns ? 0 : -ENOMEM;
}

static int plan_turns(struct lb_maglev *b, const struct lb_maglev_member *members)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < b->nr; i++) {
		sum += members[i].weight;
		if (members[i].weight > b->max_weight)
			b->max_weight = members[i].weight;
	}
	if (sum == (uint64_t)b->nr * b->max_weight)
		return every_round_the_same(b);
	if (sum >= (uint64_t)b->nr * b->max_weight / VISITS_MAX)
		return round_by_round(b, members);
	return all_at_once(b, members, sum);
}

/* ---- building ---- */

static void start_permutations(struct lb_maglev *b, const struct lb_maglev_member *members, const uint64_t key[2],
			       unsigned int shift)
{
	const __u64 sip_key[2] = {key[0], key[1]};

	for (size_t i = 0; i < b->nr; i++) {
		const uint64_t *id = members[i].id;
		uint64_t h = lb_sip_words(sip_key, (const __u64[]){id[0], id[1], id[2]}, 3);

		b->cursors[i].next = (uint32_t)(h >> (64 - shift));
		b->cursors[i].skip = ((uint32_t)h & b->mask) | 1;
		b->cursors[i].value = members[i].value;
		b->cursors[i].nr = 0;
		b->cursors[i].slots = NULL;
	}
}

struct lb_maglev *lb_maglev_new(const struct lb_maglev_member *members, size_t nr, const uint64_t key[2],
				unsigned int shift)
{
	struct lb_maglev *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->nr = nr;
	b->mask = (1U << shift) - 1;
	b->table = nr ? malloc(sizeof(*b->table) << shift) : calloc(1UL << shift, sizeof(*b->table));
	if (!b->table)
		goto fail;
	if (!nr)
		return b;
	b->left = 1U << shift;
	b->nr_last = 1U << (shift / 2);
	b->taken = calloc(1UL << shift, sizeof(*b->taken));
	b->cursors = malloc(nr * sizeof(*b->cursors));
	if (!b->taken || !b->cursors || plan_turns(b, members))
		goto fail;
	start_permutations(b, members, key, shift);
	if (shift >= LB_MAGLEV_PAST_SHIFT)
		lb_maglev_keep(b, members, key);
	return b;
fail:
	lb_maglev_free(b);
	return NULL;
}

struct lb_maglev *lb_maglev_in_turn(const struct lb_maglev_member *members, size_t nr, unsigned int shift)
{
	static const uint64_t any_key[2];
	struct lb_maglev *b = lb_maglev_new(members, nr, any_key, shift);

	if (!b)
		return NULL;
	b->in_turn = true;
	for (size_t i = 0; i < nr; i++)
		b->cursors[i].slots = NULL;
	lb_maglev_past_put(b->past);
	b->past = NULL;
	return b;
}

/* The next turns, @most of them at most. */
static void take_turns(struct lb_maglev *b, uint32_t most)
{
	size_t nr = b->nr_turns - b->turn;

	if (nr > most)
		nr = most;
	if (b->follow) {
		lb_maglev_follow_turns(b, nr < FOLLOW_AT_ONCE ? nr : FOLLOW_AT_ONCE);
		return;
	}
	if (b->in_turn) {
		struct lb_maglev_cursor *c = &b->cursors[b->turns[b->turn++]];

		b->table[b->mask + 1 - b->left--] = c->value;
		c->nr++;
		return;
	}
	if (b->left <= b->nr_last) {
		if (!b->last_listed)
			list_last(b);
		b->last_listed = true;
		take_last(b, &b->cursors[b->turns[b->turn++]]);
		return;
	}
	if (nr > BLOCK)
		nr = BLOCK;
	if (nr > b->left - b->nr_last)
		nr = b->left - b->nr_last;
	take_block(b, &b->turns[b->turn], (uint32_t)nr);
	b->turn += nr;
}

/* What a turn takes is counted in steps of a search: the fewer slots are left, the more there are. Else it waits for
 * memory. */
static uint32_t steps_of_turn(const struct lb_maglev *b)
{
	if (b->follow || b->in_turn)
		return STEPS_MIN;
	return STEPS_MIN + (b->left <= b->nr_last ? b->left : (b->mask + 1) / b->left);
}

bool lb_maglev_fill(struct lb_maglev *b, uint32_t slots)
{
	uint32_t until = b->left > slots ? b->left - slots : 0, steps = 0;

	while (b->left > until) {
		uint32_t left = b->left, each = steps_of_turn(b);

		if (b->turn == b->nr_turns) {
			b->turn = 0;
			if (!b->again)
				gather_round(b);
			steps += b->again ? 0 : (uint32_t)b->nr;
		}
		take_turns(b, b->left - until);
		steps += (left - b->left) * each + b->steps_aside;
		b->steps_aside = 0;
		if (steps < PAUSE_STEPS)
			continue;
		lb_pause();
		steps = 0;
	}
	if (!b->left)
		lb_maglev_kept(b);
	return !b->left;
}

void lb_maglev_count(const struct lb_maglev *b, uint32_t *by_value)
{
	for (size_t i = 0; i < b->nr; i++)
		by_value[b->cursors[i].value] += b->cursors[i].nr;
}

uint16_t *lb_maglev_take(struct lb_maglev *b)
{
	uint16_t *table = b->table;

	b->table = NULL;
	return table;
}

void lb_maglev_free(struct lb_maglev *b)
{
	if (!b)
		return;
	free(b->table);
	free(b->taken);
	free(b->cursors);
	free(b->weights);
	free(b->gathered);
	free(b->turns);
	lb_maglev_past_put(b->past);
	lb_maglev_follow_free(b->follow);
	free(b);
}
