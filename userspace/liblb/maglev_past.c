// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A table from an older one. Mostly one member of many has come, gone or changed its weight; then most turns of the
 * others end where they did, and it is enough to look at each, instead of searching.
 *
 * Turns come in the same order among members that stay as they are. Such a turn took a slot, its hint, since all that
 * come before it in the member's permutation were taken. Of these, free can now only be holes: slots that were taken
 * by then and are not. So it takes the first hole that comes before the hint, else the hint, else, when somebody else
 * has that, what comes next. Slots of members that are gone are holes from the beginning: before they were taken no
 * hint lay beyond them. A hint that is not taken is a hole from then on; that comes only of taking another hole, so
 * there are never more of them. Members that are new, or have changed, search.
 *
 * The result is the one that building from nothing has; tests/unit/test_maglev.c compares the two.
 */
#include <stdlib.h>
#include <string.h>

#include "maglev_priv.h"
#include "pause.h"

#define HOLES_MAX 512	 /* beyond, to build from nothing is as fast */
#define SEARCHES_PART 32 /* of all turns */
#define LASTS 512	 /* the last turns, which go aside the most, are searched for as ever */
#define NOWHERE UINT32_MAX
#define PAUSE_EVERY 128 /* members, or holes told to all of them */

struct was {
	uint64_t id[3];
	uint32_t weight;
	uint16_t value;
	uint32_t first, nr; /* its slots */
	uint32_t room;	    /* and how many there may be */
};

struct lb_maglev_past {
	unsigned int refs;
	size_t nr;
	uint32_t mask, max_weight;
	uint64_t key[2];
	struct was *members;
	uint32_t *slots; /* by member, and turn by turn */
	uint16_t *table;
};

/* By member. Arrays, since for each new hole all of them are gone through. */
struct lb_maglev_follow {
	uint32_t *start, *inverse; /* of its permutation */
	uint32_t *hole;		   /* no hole comes before this place of its permutation */
	uint32_t *hints;	   /* how many it has: they are in its cursor's .slots, what it takes replaces them */
	uint32_t holes[HOLES_MAX]; /* and some that were taken meanwhile */
	uint32_t nr_holes;
	uint64_t taken[]; /* a bit a slot */
};

/* ---- what is kept ---- */

void lb_maglev_past_put(struct lb_maglev_past *p)
{
	if (!p || --p->refs)
		return;
	free(p->members);
	free(p->slots);
	free(p->table);
	free(p);
}

struct lb_maglev_past *lb_maglev_past_get(struct lb_maglev_past *p)
{
	if (p)
		p->refs++;
	return p;
}

struct lb_maglev_past *lb_maglev_past(struct lb_maglev *b)
{
	return b->left ? NULL : lb_maglev_past_get(b->past);
}

static uint64_t sum_of(const struct lb_maglev_member *members, size_t nr)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < nr; i++)
		sum += members[i].weight;
	return sum;
}

void lb_maglev_keep(struct lb_maglev *b, const struct lb_maglev_member *members, const uint64_t key[2])
{
	struct lb_maglev_past *p = calloc(1, sizeof(*p));
	uint64_t sum = sum_of(members, b->nr);
	/* By then members have had at least left + nr whole turns, less a part of one for each. */
	uint64_t rounds = (((uint64_t)b->left + b->nr) * b->max_weight + sum - 1) / sum, first = 0;

	if (!p)
		return;
	*p = (struct lb_maglev_past){.refs = 1, .nr = b->nr, .mask = b->mask, .max_weight = b->max_weight};
	memcpy(p->key, key, sizeof(p->key));
	p->members = malloc(b->nr * sizeof(*p->members));
	for (size_t i = 0; p->members && i < b->nr; i++) {
		struct was *w = &p->members[i];

		*w = (struct was){.weight = members[i].weight, .value = members[i].value, .first = (uint32_t)first};
		memcpy(w->id, members[i].id, sizeof(w->id));
		w->room = (uint32_t)(rounds * w->weight / b->max_weight);
		first += w->room;
	}
	p->slots = p->members ? malloc((first + 1) * sizeof(*p->slots)) : NULL; /* one may be looked at behind them */
	p->table = malloc(sizeof(*p->table) * (b->mask + 1UL));
	if (!p->slots || !p->table) {
		lb_maglev_past_put(p);
		return;
	}
	for (size_t i = 0; i < b->nr; i++)
		b->cursors[i].slots = p->slots + p->members[i].first;
	b->past = p;
}

void lb_maglev_kept(struct lb_maglev *b)
{
	struct lb_maglev_past *p = b->past;

	for (size_t i = 0; p && i < b->nr; i++)
		p->members[i].nr = b->cursors[i].nr;
	if (p)
		memcpy(p->table, b->table, sizeof(*p->table) * (b->mask + 1UL));
}

/* ---- how to follow ---- */

static int compare(const struct was *a, const struct was *b)
{
	for (int i = 0; i < 3; i++)
		if (a->id[i] != b->id[i])
			return a->id[i] < b->id[i] ? -1 : 1;
	return 0;
}

static bool add_holes(struct lb_maglev_follow *f, const struct lb_maglev_past *p, const struct was *w)
{
	if (f->nr_holes + w->nr > HOLES_MAX)
		return false;
	memcpy(f->holes + f->nr_holes, p->slots + w->first, w->nr * sizeof(*f->holes));
	f->nr_holes += w->nr;
	return true;
}

/* Who stays gets its hints. False: too much is different. */
static bool give_hints(struct lb_maglev *b, struct lb_maglev_follow *f, const struct lb_maglev_past *before)
{
	const struct was *old = before->members, *end = old + before->nr;
	uint64_t sum = 0, searches = 0;

	for (size_t i = 0; i < b->nr; i++) {
		const struct was *w = &b->past->members[i];
		const struct lb_maglev_cursor *c = &b->cursors[i];

		f->start[i] = c->next;
		f->inverse[i] = lb_maglev_inverse(c->skip);
		f->hole[i] = NOWHERE;
		lb_pause_at(i, PAUSE_EVERY);
		for (; old < end && compare(old, w) < 0; old++)
			if (!add_holes(f, before, old))
				return false;
		sum += w->weight;
		if (old < end && !compare(old, w) && old->weight == w->weight && old->value == w->value) {
			f->hints[i] = old->nr < w->room ? old->nr : w->room; /* as many turns as it may have now */
			memcpy(c->slots, before->slots + old->first, f->hints[i] * sizeof(*c->slots));
			old++;
		} else {
			searches += w->weight;
		}
	}
	for (; old < end; old++)
		if (!add_holes(f, before, old))
			return false;
	return searches <= sum / SEARCHES_PART;
}

static bool is_taken(const struct lb_maglev_follow *f, uint32_t slot)
{
	return f->taken[slot / 64] >> slot % 64 & 1;
}

static struct lb_maglev_follow *follow_new(size_t nr, uint32_t mask)
{
	struct lb_maglev_follow *f = calloc(1, sizeof(*f) + (mask / 64 + 1) * sizeof(f->taken[0]));

	if (!f)
		return NULL;
	f->start = calloc(4 * nr, sizeof(*f->start));
	if (!f->start) {
		free(f);
		return NULL;
	}
	f->inverse = f->start + nr;
	f->hole = f->inverse + nr;
	f->hints = f->hole + nr;
	return f;
}

void lb_maglev_follow_free(struct lb_maglev_follow *f)
{
	if (f)
		free(f->start);
	free(f);
}

/* Everybody is to know: mostly what this takes is what all of it takes. */
LB_MAGLEV_WIDE static void tell_hole(struct lb_maglev_follow *f, uint32_t slot, size_t nr, uint32_t mask)
{
	const uint32_t *start = f->start, *inverse = f->inverse;
	uint32_t *hole = f->hole;

	for (size_t i = 0; i < nr; i++) {
		uint32_t place = (slot - start[i]) * inverse[i] & mask;

		hole[i] = place < hole[i] ? place : hole[i];
	}
}

bool lb_maglev_follow(struct lb_maglev *b, const struct lb_maglev_past *before)
{
	struct lb_maglev_follow *f;

	if (!before || !b->past || b->follow || b->left != b->mask + 1 || before->mask != b->mask ||
	    before->max_weight != b->max_weight || memcmp(before->key, b->past->key, sizeof(before->key)))
		return false;
	f = follow_new(b->nr, b->mask);
	if (!f || !give_hints(b, f, before)) {
		lb_maglev_follow_free(f);
		return false;
	}
	memcpy(b->table, before->table, sizeof(*b->table) * (b->mask + 1UL));
	b->follow = f;
	b->nr_last = LASTS;
	for (uint32_t i = 0; i < f->nr_holes; i++) {
		lb_pause_at(i, PAUSE_EVERY);
		tell_hole(f, f->holes[i], b->nr, b->mask);
	}
	return true;
}

/* ---- turns ---- */

/* The place of the first hole for member @i; NOWHERE: there is none. What was taken is forgotten. */
static uint32_t first_hole(struct lb_maglev *b, size_t i, uint32_t *at)
{
	struct lb_maglev_follow *f = b->follow;

	while (f->nr_holes) {
		uint32_t slot;

		*at = lb_maglev_first(f->holes, f->nr_holes, f->start[i], f->inverse[i], b->mask);
		slot = f->holes[*at];
		if (!is_taken(f, slot))
			return (slot - f->start[i]) * f->inverse[i] & b->mask;
		f->holes[*at] = f->holes[--f->nr_holes];
	}
	return NOWHERE;
}

/* A turn that has no hint, or perhaps may not take it. */
static uint32_t turn_aside(struct lb_maglev *b, size_t i)
{
	struct lb_maglev_follow *f = b->follow;
	struct lb_maglev_cursor *c = &b->cursors[i];
	const bool hinted = c->nr < f->hints[i];
	const uint32_t hint = hinted ? c->slots[c->nr] : 0;
	uint32_t place = hinted ? (hint - f->start[i]) * f->inverse[i] & b->mask : NOWHERE;
	uint32_t at = 0, slot;

	f->hole[i] = f->hints[i] ? first_hole(b, i, &at) : NOWHERE;
	if (f->hole[i] < place) {
		slot = f->holes[at];
		if (hinted && !is_taken(f, hint)) {
			f->holes[at] = hint;
			tell_hole(f, hint, b->nr, b->mask);
		} else {
			f->holes[at] = f->holes[--f->nr_holes];
		}
		return slot;
	}
	slot = (hinted ? hint : c->next) & b->mask;
	while (is_taken(f, slot))
		slot = (slot + c->skip) & b->mask;
	c->next = slot + c->skip;
	return slot;
}

/* The last ones are looked for as ever, from the start of each permutation. */
static void end(struct lb_maglev *b)
{
	struct lb_maglev_follow *f = b->follow;
	uint32_t nr = 0;

	for (size_t i = 0; i < b->nr; i++)
		b->cursors[i].next = f->start[i];
	for (uint32_t word = 0; word <= b->mask / 64; word++)
		for (uint64_t left = ~f->taken[word]; left; left &= left - 1)
			b->last[nr++] = word * 64 + (uint32_t)__builtin_ctzll(left);
	b->last_listed = true;
	lb_maglev_follow_free(f);
	b->follow = NULL;
}

void lb_maglev_follow_turns(struct lb_maglev *b, size_t nr)
{
	struct lb_maglev_follow *f = b->follow;
	const uint32_t *start = f->start, *inverse = f->inverse, *hole = f->hole, *hints = f->hints, mask = b->mask;
	const uint16_t *who = b->turns + b->turn;
	uint64_t *taken = f->taken;

	if (nr > b->left - b->nr_last)
		nr = b->left - b->nr_last;
	for (size_t k = 0; k < nr; k++) {
		const size_t i = who[k];
		struct lb_maglev_cursor *c = &b->cursors[i];
		uint32_t slot = c->slots[c->nr] & mask;
		uint64_t word = taken[slot / 64], bit = 1ULL << slot % 64;

		if (c->nr >= hints[i] || word & bit || ((slot - start[i]) * inverse[i] & mask) >= hole[i]) {
			slot = turn_aside(b, i);
			b->steps_aside += f->nr_holes + (uint32_t)b->nr;
			c->slots[c->nr] = slot;
			b->table[slot] = c->value;
			word = taken[slot / 64];
			bit = 1ULL << slot % 64;
		}
		taken[slot / 64] = word | bit;
		c->nr++;
	}
	b->turn += nr;
	b->left -= (uint32_t)nr;
	if (b->left <= b->nr_last)
		end(b);
}
