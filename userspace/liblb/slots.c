// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The phases of slots. Nobody, backend 0, is an owner like others, but one that has no connections and is never alive:
 *
 *   stable(o) -> 0       while o is alive (draining, the last of its service): moving(o -> 0): new connections find
 *                        nobody, those that there are stay with o; else stable(0)
 *   moving(s -> 0)       has no end while s is alive: nobody else could own what has no entry. Its window starts when
 *                        there is a new owner
 *   settling(0) -> n     settling(n), and stable(0) -> n stable(n): nobody had no connections
 *   settling(0)          when s died: entries made for others meanwhile still lead to them
 *
 *   settling(c)          becomes stable SETTLE_S after it was moving at the earliest: packets that saw it
 *                        moving and are still on their way make entries, which the census must not have missed
 *
 *   moving(s -> c)       need not learn when s has never been sent a packet, at a time when all packets see the slot
 *                        moving: whoever had a connection with s would have sent one, and from now on new ones go to c.
 *                        A counter that was read earlier proves nothing: until the slot moved, new connections went to
 * s
 *
 * After lb_slots_change each slot's owner is the policy's, and what it was before is alive or forgotten: so no word
 * names a backend that is gone, and its index may be given to another.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pause.h"
#include "slots.h"

#define PAUSE_EVERY (1U << 16)		   /* slots */
#define AT_ONCE (1U << LB_TABLE_SHIFT_MIN) /* compared without a branch for each */
#define LOOK_AT (1U << LB_TABLE_SHIFT_MIN)
#define SETTLE_S 2 /* whole seconds of a clock that counts only those: more than one has passed */

struct lb_slots *lb_slots_new(unsigned int shift)
{
	struct lb_slots *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->shift = shift;
	s->word = calloc(1UL << shift, sizeof(*s->word));
	s->since_s = calloc(1UL << shift, sizeof(*s->since_s));
	if (!s->word || !s->since_s) {
		lb_slots_free(s);
		return NULL;
	}
	return s;
}

struct lb_slots *lb_slots_copy(const struct lb_slots *s)
{
	struct lb_slots *copy = calloc(1, sizeof(*copy));

	if (!copy)
		return NULL;
	copy->shift = s->shift;
	copy->word = malloc(sizeof(*s->word) << s->shift);
	copy->since_s = malloc(sizeof(*s->since_s) << s->shift);
	if (!copy->word || !copy->since_s) {
		lb_slots_free(copy);
		return NULL;
	}
	memcpy(copy->word, s->word, sizeof(*s->word) << s->shift);
	lb_pause();
	memcpy(copy->since_s, s->since_s, sizeof(*s->since_s) << s->shift);
	return copy;
}

void lb_slots_free(struct lb_slots *s)
{
	if (!s)
		return;
	free(s->word);
	free(s->since_s);
	free(s);
}

/* Each slot becomes 1 << (shift - s->shift) slots like it. */
static int split(struct lb_slots *s, unsigned int shift)
{
	struct lb_slots *wide = lb_slots_new(shift);
	unsigned int by = shift - s->shift;
	struct lb_slots old = *s;

	if (!wide)
		return -ENOMEM;
	for (uint32_t i = 0; i < 1U << shift; i++) {
		wide->word[i] = s->word[i >> by];
		wide->since_s[i] = s->since_s[i >> by];
	}
	*s = *wide;
	*wide = old;
	lb_slots_free(wide);
	return 0;
}

/* What the owners of neighbouring slots are is mostly asked again and again: the last answer spares the call. */
struct alive {
	lb_slots_alive_fn fn;
	void *ctx;
	uint16_t backend;
	bool answer;
};

static bool is_alive(struct alive *a, uint16_t backend)
{
	if (!backend)
		return false;
	if (a->backend != backend) {
		a->backend = backend;
		a->answer = a->fn(a->ctx, backend);
	}
	return a->answer;
}

static uint32_t change_slot(uint32_t word, uint16_t owner, struct alive *alive, uint32_t now_s, uint32_t *since_s)
{
	uint16_t prev = LB_SLOT_PREV(word), cur = LB_SLOT_CUR(word);

	switch (LB_SLOT_PHASE(word)) {
	case LB_PHASE_MOVING:
		if (!is_alive(alive, prev)) {
			*since_s = now_s;
			return LB_SLOT(LB_PHASE_SETTLING, 0, owner);
		}
		if (!cur && owner)
			*since_s = now_s;
		return LB_SLOT(LB_PHASE_MOVING, prev, owner);
	case LB_PHASE_SETTLING:
		if (cur == owner)
			return word;
		if (!is_alive(alive, cur))
			return LB_SLOT(LB_PHASE_SETTLING, 0, owner);
		break;
	default:
		if (cur == owner)
			return word;
		if (!is_alive(alive, cur))
			return LB_SLOT(LB_PHASE_STABLE, 0, owner);
		break;
	}
	*since_s = now_s;
	return LB_SLOT(LB_PHASE_MOVING, cur, owner);
}

/* Whether AT_ONCE slots are stable and stay whose they are: a word that is, is its owner's number. */
static inline bool all_stay(const uint32_t *word, const uint16_t *owner)
{
	uint32_t other = 0;

	for (uint32_t i = 0; i < AT_ONCE; i++)
		other |= word[i] ^ owner[i];
	return !other;
}

int lb_slots_change(struct lb_slots *s, const uint16_t *owner, unsigned int shift, lb_slots_alive_fn alive, void *ctx,
		    uint32_t now_s)
{
	struct alive a = {.fn = alive, .ctx = ctx};
	unsigned int by;
	int ret = shift > s->shift ? split(s, shift) : 0;

	if (ret)
		return ret;
	by = s->shift - shift;
	for (uint32_t from = 0; from < 1U << s->shift; from += AT_ONCE) {
		if (!(from % PAUSE_EVERY))
			lb_pause();
		if (!by && all_stay(&s->word[from], &owner[from])) /* most do */
			continue;
		for (uint32_t i = from; i < from + AT_ONCE; i++)
			if (s->word[i] != LB_SLOT(LB_PHASE_STABLE, 0, owner[i >> by]))
				s->word[i] = change_slot(s->word[i], owner[i >> by], &a, now_s, &s->since_s[i]);
	}
	return 0;
}

static bool mergeable(const struct lb_slots *s)
{
	for (uint32_t i = 0; i < 1U << s->shift; i += 2) {
		if (LB_SLOT_PHASE(s->word[i]) != LB_PHASE_STABLE || s->word[i] != s->word[i + 1])
			return false;
	}
	return true;
}

/* The arrays stay as large as they were: what is merged is mostly split again one day. */
static size_t merge(struct lb_slots *s, unsigned int policy_shift)
{
	size_t before = 1UL << s->shift;

	while (s->shift > policy_shift && mergeable(s)) {
		s->shift--;
		for (uint32_t i = 0; i < 1U << s->shift; i++) {
			s->word[i] = s->word[2 * i];
			s->since_s[i] = s->since_s[2 * i];
		}
	}
	return before - (1UL << s->shift);
}

/* One step at a time: what begins to settle now has not been looked at by the census that is at hand. */
static uint32_t tick_slot(uint32_t word, uint32_t age_s, const bool *foreign, const bool *unused, struct alive *alive,
			  uint32_t window_s)
{
	uint16_t prev = LB_SLOT_PREV(word), cur = LB_SLOT_CUR(word);

	switch (LB_SLOT_PHASE(word)) {
	case LB_PHASE_MOVING:
		if (is_alive(alive, prev) && (!cur || (age_s <= window_s && !(unused && unused[prev]))))
			return word;
		return LB_SLOT(LB_PHASE_SETTLING, 0, cur);
	case LB_PHASE_SETTLING:
		return foreign && !*foreign && age_s >= SETTLE_S ? LB_SLOT(LB_PHASE_STABLE, 0, cur) : word;
	default:
		return word;
	}
}

size_t lb_slots_tick(struct lb_slots *s, unsigned int policy_shift, const bool *foreign, const bool *unused,
		     lb_slots_alive_fn alive, void *ctx, uint32_t now_s, uint32_t window_s)
{
	struct alive a = {.fn = alive, .ctx = ctx};
	size_t changed = 0;

	for (uint32_t i = 0; i < 1U << s->shift; i++) {
		uint32_t word = tick_slot(s->word[i], now_s - s->since_s[i], foreign ? &foreign[i] : NULL, unused, &a,
					  window_s);

		if (!((i + 1) % PAUSE_EVERY))
			lb_pause();
		if (word == s->word[i])
			continue;
		changed++;
		s->word[i] = word;
		s->since_s[i] = now_s;
	}
	return changed + merge(s, policy_shift);
}

bool lb_slots_stable(const struct lb_slots *s)
{
	for (uint32_t from = 0; from < 1U << s->shift; from += LOOK_AT) {
		uint32_t all = 0;

		if (!((from + LOOK_AT) % PAUSE_EVERY))
			lb_pause();
		for (uint32_t i = 0; i < LOOK_AT; i++)
			all |= s->word[from + i];
		if (LB_SLOT_PHASE(all) != LB_PHASE_STABLE)
			return false;
	}
	return true;
}

void lb_slots_count(const struct lb_slots *s, size_t count[3])
{
	size_t moving = 0, settling = 0;

	for (uint32_t i = 0; i < 1U << s->shift; i++) {
		if (!((i + 1) % PAUSE_EVERY))
			lb_pause();
		moving += LB_SLOT_PHASE(s->word[i]) == LB_PHASE_MOVING;
		settling += LB_SLOT_PHASE(s->word[i]) == LB_PHASE_SETTLING;
	}
	count[LB_PHASE_STABLE] = (1UL << s->shift) - moving - settling;
	count[LB_PHASE_MOVING] = moving;
	count[LB_PHASE_SETTLING] = settling;
}
