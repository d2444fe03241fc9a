// SPDX-License-Identifier: GPL-2.0-or-later
/* Two choices of a set of two places, written in an order that a reader may look into at any point. */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

#include "lb/dp/vip.h"
#include "vipset.h"

#define MOVES_MAX 5 /* how long a chain of VIPs may move on to make room for one */

static struct lb_vip_key key_of(const struct lb_vip *vip)
{
	const __u64 addr[2] = {lb_get64(vip->addr), lb_get64(vip->addr + 8)};

	return lb_vip_key(addr, vip->port, vip->proto);
}

static __u64 hash_of(const struct lb_vip *vip)
{
	const struct lb_vip_key key = key_of(vip);

	return lb_vip_hash(&key);
}

static void put(struct lb_vip_entry *e, const struct lb_vip *vip, __u32 service)
{
	e->vip = *vip;
	__atomic_store_n(&e->service, service, __ATOMIC_RELEASE);
}

static void take(struct lb_vip_entry *e)
{
	__atomic_store_n(&e->service, 0, __ATOMIC_RELEASE);
}

/* How many VIPs of the set @first lie in their second one. Raised before one goes there, lowered after it is gone. */
static void spill(struct lb_vip_set *sets, __u32 first, int by)
{
	__u32 *spilled = &sets[first].way[0].spilled;

	__atomic_store_n(spilled, *spilled + by, __ATOMIC_RELEASE);
}

static struct lb_vip_entry *find_in(struct lb_vip_set *set, const struct lb_vip_key *key)
{
	for (int i = 0; i < LB_VIP_WAYS; i++)
		if (set->way[i].service && lb_vip_is(&set->way[i], key))
			return &set->way[i];
	return NULL;
}

static struct lb_vip_entry *free_in(struct lb_vip_set *set)
{
	for (int i = 0; i < LB_VIP_WAYS; i++)
		if (!set->way[i].service)
			return &set->way[i];
	return NULL;
}

/* Put @vip into the set @to, which is one of its two, where @place is free. */
static void settle(struct lb_vip_set *sets, __u32 to, struct lb_vip_entry *place, const struct lb_vip *vip,
		   __u32 service)
{
	__u32 first = lb_vip_first(hash_of(vip));

	if (to != first)
		spill(sets, first, 1);
	put(place, vip, service);
}

static void leave(struct lb_vip_set *sets, __u32 from, struct lb_vip_entry *place)
{
	__u32 first = lb_vip_first(hash_of(&place->vip));

	take(place);
	if (from != first && sets[first].way[0].spilled)
		spill(sets, first, -1);
}

/* A free place in the set @idx, whose VIPs move to their other sets for it; NULL: none within @moves moves. */
static struct lb_vip_entry *make_room(struct lb_vip_set *sets, __u32 idx, unsigned int moves)
{
	struct lb_vip_entry *place = free_in(&sets[idx]);

	for (int i = 0; i < LB_VIP_WAYS && !place && moves; i++) {
		struct lb_vip_entry *e = &sets[idx].way[i], *there;
		__u64 hash = hash_of(&e->vip);
		__u32 other = lb_vip_first(hash) == idx ? lb_vip_second(hash) : lb_vip_first(hash);

		there = make_room(sets, other, moves - 1);
		/* A long chain may have come by here and made the room already. */
		place = free_in(&sets[idx]);
		if (!there || place)
			continue;
		settle(sets, other, there, &e->vip, e->service);
		leave(sets, idx, e);
		place = e;
	}
	return place;
}

int lb_vipset_set(struct lb_vip_set *sets, const struct lb_vip *vip, __u32 service)
{
	const struct lb_vip_key key = key_of(vip);
	const __u64 hash = lb_vip_hash(&key);
	const __u32 idx[] = {lb_vip_first(hash), lb_vip_second(hash)};
	struct lb_vip_entry *e;
	bool found = false;

	/* In both, when its writer was killed between the two steps of a move. */
	for (int i = 0; i < 2; i++) {
		e = find_in(&sets[idx[i]], &key);
		if (e)
			__atomic_store_n(&e->service, service, __ATOMIC_RELEASE);
		found |= !!e;
	}
	for (unsigned int moves = 0; moves <= MOVES_MAX && !found; moves++) {
		for (int i = 0; i < 2 && !found; i++) {
			e = make_room(sets, idx[i], moves);
			if (e)
				settle(sets, idx[i], e, vip, service);
			found = !!e;
		}
	}
	return found ? 0 : -ENOSPC;
}

void lb_vipset_del(struct lb_vip_set *sets, const struct lb_vip *vip)
{
	const struct lb_vip_key key = key_of(vip);
	const __u64 hash = lb_vip_hash(&key);
	const __u32 idx[] = {lb_vip_first(hash), lb_vip_second(hash)};

	for (int i = 0; i < 2; i++) {
		struct lb_vip_entry *e = find_in(&sets[idx[i]], &key);

		if (e)
			leave(sets, idx[i], e);
	}
}

__u32 lb_vipset_get(const struct lb_vip_set *sets, const struct lb_vip *vip)
{
	const struct lb_vip_key key = key_of(vip);
	const __u64 hash = lb_vip_hash(&key);
	const struct lb_vip_set *first = &sets[lb_vip_first(hash)];
	__u32 service = lb_vip_service(first, &key);

	return service || !first->way[0].spilled ? service : lb_vip_service(&sets[lb_vip_second(hash)], &key);
}
