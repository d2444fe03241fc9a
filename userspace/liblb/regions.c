// SPDX-License-Identifier: GPL-2.0-or-later
/* The buddy allocator of table regions and its quarantine: see regions.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "regions.h"

#define UNIT_SHIFT LB_TABLE_SHIFT_MIN
#define NR_UNITS (LB_SLOTS >> UNIT_SHIFT)
#define TOP_ORDER (__builtin_ctz(NR_UNITS))

_Static_assert((LB_SLOTS & (LB_SLOTS - 1)) == 0, "a buddy tree needs a power of two");

struct retired {
	uint64_t ready_ns;
	uint32_t base;
	uint32_t shift;
};

/*
 * @best: a binary tree, node 1 the whole, the children of n at 2n and 2n + 1. A node's value is 1 + the order of the
 * largest free block below it, 0 where there is none. A block taken as a whole is 0; its children stay as they were.
 * @queue: a ring in order of time; as every retired region has a unit at least, it cannot overflow.
 */
struct lb_regions {
	uint8_t best[2 * NR_UNITS];
	struct retired queue[NR_UNITS];
	uint32_t head, nr;
	uint32_t free_slots, retired_slots;
};

struct lb_regions *lb_regions_new(void)
{
	struct lb_regions *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	for (int order = TOP_ORDER; order >= 0; order--) {
		uint32_t first = NR_UNITS >> order;

		memset(&r->best[first], order + 1, first);
	}
	r->free_slots = LB_SLOTS;
	return r;
}

void lb_regions_free(struct lb_regions *r)
{
	free(r);
}

/* The node of a region whose shape is right. */
static uint32_t node_of(uint32_t base, unsigned int shift)
{
	return ((base >> UNIT_SHIFT) + NR_UNITS) >> (shift - UNIT_SHIFT);
}

static void set_node(struct lb_regions *r, uint32_t node, unsigned int order, uint8_t value)
{
	r->best[node] = value;
	while (node > 1) {
		uint8_t a = r->best[node], b = r->best[node ^ 1];

		node >>= 1;
		order++;
		if (a == order && b == order)
			r->best[node] = (uint8_t)(order + 1);
		else
			r->best[node] = a > b ? a : b;
	}
}

static void give_back(struct lb_regions *r, uint32_t base, unsigned int shift)
{
	unsigned int order = shift - UNIT_SHIFT;

	set_node(r, node_of(base, shift), order, (uint8_t)(order + 1));
	r->free_slots += 1U << shift;
}

int lb_regions_reserve(struct lb_regions *r, uint32_t base, unsigned int shift)
{
	unsigned int order;
	uint32_t node;

	if (shift < LB_TABLE_SHIFT_MIN || shift > LB_TABLE_SHIFT_MAX || base & ((1U << shift) - 1) ||
	    base >= LB_SLOTS || LB_SLOTS - base < 1U << shift)
		return -EINVAL;
	order = shift - UNIT_SHIFT;
	node = node_of(base, shift);
	if (r->best[node] != order + 1)
		return -EEXIST;
	/* Below a block that was taken as a whole the nodes look free; then some ancestor has nothing to give. */
	for (uint32_t n = node >> 1; n; n >>= 1) {
		if (!r->best[n])
			return -EEXIST;
	}
	set_node(r, node, order, 0);
	r->free_slots -= 1U << shift;
	return 0;
}

static void expire(struct lb_regions *r, uint64_t now_ns)
{
	while (r->nr && r->queue[r->head].ready_ns <= now_ns) {
		const struct retired *q = &r->queue[r->head];

		r->head = (r->head + 1) % NR_UNITS;
		r->nr--;
		r->retired_slots -= 1U << q->shift;
		give_back(r, q->base, q->shift);
	}
}

int lb_regions_alloc(struct lb_regions *r, unsigned int shift, uint64_t now_ns, uint32_t *base)
{
	unsigned int order = shift - UNIT_SHIFT, at = TOP_ORDER;
	uint32_t node = 1;

	expire(r, now_ns);
	if (r->best[1] < order + 1)
		return -ENOSPC;
	for (; at > order; at--) {
		uint8_t left = r->best[2 * node], right = r->best[2 * node + 1];

		/* The tighter fit of the two keeps large blocks whole. */
		node = 2 * node + (left < order + 1 || (right >= order + 1 && right < left));
	}
	set_node(r, node, order, 0);
	r->free_slots -= 1U << shift;
	*base = ((node << order) - NR_UNITS) << UNIT_SHIFT;
	return 0;
}

void lb_regions_release(struct lb_regions *r, uint32_t base, unsigned int shift)
{
	give_back(r, base, shift);
}

void lb_regions_retire(struct lb_regions *r, uint32_t base, unsigned int shift, uint64_t now_ns)
{
	struct retired *q = &r->queue[(r->head + r->nr) % NR_UNITS];

	*q = (struct retired){.ready_ns = now_ns + LB_REGIONS_QUARANTINE_NS, .base = base, .shift = shift};
	r->nr++;
	r->retired_slots += 1U << shift;
}

size_t lb_regions_flush(struct lb_regions *r)
{
	size_t nr = r->nr;

	expire(r, UINT64_MAX);
	return nr;
}

uint32_t lb_regions_free_slots(const struct lb_regions *r)
{
	return r->free_slots;
}

uint32_t lb_regions_retired_slots(const struct lb_regions *r)
{
	return r->retired_slots;
}
