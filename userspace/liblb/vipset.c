// SPDX-License-Identifier: GPL-2.0-or-later
/* Two choices of a set of two places, written in an order that a reader may look into at any point. */
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "lb/dp/vip.h"
#include "vipset.h"

#define MOVES_MAX 5	/* how long a chain of VIPs may move on to make room for one */
#define BEYOND_MAX 0xff /* a count that got there is not known any more, and stays */

/* A place for a VIP. */
struct place {
	__u32 set;
	int way; /* -1: none */
};

static bool is_v4(const struct lb_vip *vip)
{
	static const __u8 mapped[12] = {[10] = 0xff, [11] = 0xff};

	return !memcmp(vip->addr, mapped, sizeof(mapped));
}

static struct lb_vip_key key_of(const struct lb_vip *vip)
{
	const __u64 addr[2] = {lb_get64(vip->addr), lb_get64(vip->addr + 8)};

	return is_v4(vip) ? lb_vip_key4(lb_get32(vip->addr + 12), vip->port, vip->proto)
			  : lb_vip_key6(addr, vip->port, vip->proto);
}

struct lb_vip lb_vipset_vip(const struct lb_vip_line *line)
{
	struct lb_vip vip = {.port = line->port, .proto = line->proto};

	memcpy(vip.addr, line->addr, sizeof(vip.addr));
	return vip;
}

static __u64 hash_of(const struct lb_vip_line *line)
{
	const struct lb_vip vip = lb_vipset_vip(line);
	const struct lb_vip_key key = key_of(&vip);

	return lb_vip_hash(lb_vip_fold(&key));
}

struct lb_vip_line lb_vipset_line(const struct lb_vip *vip, __u16 idx, const struct lb_service *service)
{
	const __u32 track = vip->proto == IPPROTO_UDP ? LB_SERVICE_F_TRACK_UDP : LB_SERVICE_F_TRACK_TCP;
	struct lb_vip_line line = {.port = vip->port,
				   .proto = vip->proto,
				   .family = is_v4(vip) ? LB_VIP_V4 : 0,
				   .service = idx,
				   .table = service->table};

	memcpy(line.addr, vip->addr, sizeof(line.addr));
	line.flags = (__u8)((service->flags & track ? LB_VIP_F_TRACK : 0) |
			    (service->flags & LB_SERVICE_F_NO_STATE ? LB_VIP_F_NO_STATE : 0) |
			    (service->flags & LB_SERVICE_F_ACCESS ? LB_VIP_F_ACCESS : 0) |
			    (service->source_interval_ns && vip->proto != IPPROTO_UDP ? LB_VIP_F_RATE : 0) |
			    (service->flags & LB_SERVICE_F_AFFINITY ? LB_VIP_F_AFFINITY : 0) |
			    (service->flags & LB_SERVICE_F_CHOICE ? LB_VIP_F_CHOICE : 0) |
			    (service->flags & LB_SERVICE_F_NAT ? LB_VIP_F_NAT : 0) |
			    (service->flags & LB_SERVICE_F_QUIC && vip->proto == IPPROTO_UDP ? LB_VIP_F_QUIC : 0));
	return line;
}

static struct lb_vip_line *at(struct lb_vip_set *sets, struct place p)
{
	return &sets[p.set].way[p.way];
}

static void put(struct lb_vip_line *to, const struct lb_vip_line *line)
{
	const struct lb_vip_line whole = {.port = line->port,
					  .proto = line->proto,
					  .family = line->family,
					  .service = line->service,
					  .flags = line->flags,
					  .beyond = to->beyond};
	__u64 word;

	memcpy(to->addr, line->addr, sizeof(to->addr));
	__atomic_store_n(&to->table, line->table, __ATOMIC_RELAXED);
	memcpy(&word, &whole.port, sizeof(word));
	__atomic_store_n((__u64 __attribute__((__may_alias__)) *)&to->port, word, __ATOMIC_RELEASE);
}

static void take(struct lb_vip_line *from)
{
	const struct lb_vip_line none = {.beyond = from->beyond};
	__u64 word;

	memcpy(&word, &none.port, sizeof(word));
	__atomic_store_n((__u64 __attribute__((__may_alias__)) *)&from->port, word, __ATOMIC_RELEASE);
}

/* How many VIPs of the set @first lie elsewhere than in its first place. Raised before one goes there, lowered after it
 * is gone. */
static void count_beyond(struct lb_vip_set *sets, __u32 first, int by)
{
	__u8 *beyond = &sets[first].way[0].beyond;

	if (*beyond != BEYOND_MAX && *beyond + by >= 0)
		__atomic_store_n(beyond, (__u8)(*beyond + by), __ATOMIC_RELEASE);
}

static bool is_beyond(struct place p, __u32 first)
{
	return p.set != first || p.way;
}

static int find_in(const struct lb_vip_set *set, const struct lb_vip_key *key)
{
	for (int i = 0; i < LB_VIP_WAYS; i++)
		if (lb_vip_is(&set->way[i], lb_vip_word(&set->way[i]), key))
			return i;
	return -1;
}

static struct place free_in(const struct lb_vip_set *sets, __u32 set)
{
	for (int i = 0; i < LB_VIP_WAYS; i++)
		if (!sets[set].way[i].service)
			return (struct place){set, i};
	return (struct place){set, -1};
}

/* Put @line where @to is free, in one of its two sets. */
static void settle(struct lb_vip_set *sets, struct place to, const struct lb_vip_line *line)
{
	__u32 first = lb_vip_first(hash_of(line));

	if (is_beyond(to, first))
		count_beyond(sets, first, 1);
	put(at(sets, to), line);
}

static void leave(struct lb_vip_set *sets, struct place from)
{
	__u32 first = lb_vip_first(hash_of(at(sets, from)));

	take(at(sets, from));
	if (is_beyond(from, first))
		count_beyond(sets, first, -1);
}

/* A free place in @set, whose VIPs move to their other sets for it; none within @moves moves: way -1. */
static struct place make_room(struct lb_vip_set *sets, __u32 set, unsigned int moves)
{
	struct place room = free_in(sets, set);

	for (int i = 0; i < LB_VIP_WAYS && room.way < 0 && moves; i++) {
		struct place from = {set, i}, there;
		__u64 hash = hash_of(at(sets, from));
		__u32 other = lb_vip_first(hash) == set ? lb_vip_second(hash) : lb_vip_first(hash);

		there = make_room(sets, other, moves - 1);
		/* A long chain may have come by here and made the room already. */
		room = free_in(sets, set);
		if (there.way < 0 || room.way >= 0)
			continue;
		settle(sets, there, at(sets, from));
		leave(sets, from);
		room = from;
	}
	return room;
}

int lb_vipset_set(struct lb_vip_set *sets, const struct lb_vip_line *line)
{
	const struct lb_vip vip = lb_vipset_vip(line);
	const struct lb_vip_key key = key_of(&vip);
	const __u64 hash = lb_vip_hash(lb_vip_fold(&key));
	const __u32 set[] = {lb_vip_first(hash), lb_vip_second(hash)};
	bool done = false;

	/* In both, when its writer was killed between the two steps of a move. */
	for (int i = 0; i < 2; i++) {
		int way = find_in(&sets[set[i]], &key);

		if (way >= 0)
			put(&sets[set[i]].way[way], line);
		done |= way >= 0;
	}
	for (unsigned int moves = 0; moves <= MOVES_MAX && !done; moves++) {
		for (int i = 0; i < 2 && !done; i++) {
			struct place p = make_room(sets, set[i], moves);

			done = p.way >= 0;
			if (done)
				settle(sets, p, line);
		}
	}
	return done ? 0 : -ENOSPC;
}

void lb_vipset_del(struct lb_vip_set *sets, const struct lb_vip *vip)
{
	const struct lb_vip_key key = key_of(vip);
	const __u64 hash = lb_vip_hash(lb_vip_fold(&key));
	const __u32 set[] = {lb_vip_first(hash), lb_vip_second(hash)};

	for (int i = 0; i < 2; i++) {
		struct place p = {set[i], find_in(&sets[set[i]], &key)};

		if (p.way >= 0)
			leave(sets, p);
	}
}

const struct lb_vip_line *lb_vipset_get(const struct lb_vip_set *sets, const struct lb_vip *vip)
{
	const struct lb_vip_key key = key_of(vip);
	const __u64 hash = lb_vip_hash(lb_vip_fold(&key));
	const struct lb_vip_set *set = &sets[lb_vip_first(hash)];
	int way;

	if (lb_vip_is(&set->way[0], lb_vip_word(&set->way[0]), &key))
		return &set->way[0];
	if (!set->way[0].beyond)
		return NULL;
	way = find_in(set, &key);
	if (way < 0) {
		set = &sets[lb_vip_second(hash)];
		way = find_in(set, &key);
	}
	return way < 0 ? NULL : &set->way[way];
}

/* Would a packet for its VIP, were the counts right, find the line that lies there? */
static bool is_at_home(const struct lb_vip_line *line, __u32 set)
{
	const struct lb_vip vip = lb_vipset_vip(line);
	const struct lb_vip_key key = key_of(&vip);
	const __u64 hash = lb_vip_hash(lb_vip_fold(&key));

	return lb_vip_is(line, lb_vip_word(line), &key) && (lb_vip_first(hash) == set || lb_vip_second(hash) == set);
}

/* @lines: how many of the VIPs whose first set is @set lie elsewhere than in its first place. */
static size_t mend_count(struct lb_vip_set *sets, __u32 set, __u8 lines)
{
	__u8 *beyond = &sets[set].way[0].beyond;
	size_t wrong = *beyond < lines;

	/* One that is too high costs a look more, and is what a writer leaves that was killed. */
	if (*beyond != lines)
		__atomic_store_n(beyond, lines, __ATOMIC_RELEASE);
	return wrong;
}

size_t lb_vipset_mend(struct lb_vip_set *sets)
{
	__u8 *lines = calloc(LB_VIP_SETS, sizeof(*lines));
	size_t wrong = 0;

	for (__u32 i = 0; i < LB_VIP_SETS * LB_VIP_WAYS; i++) {
		struct place p = {i / LB_VIP_WAYS, i % LB_VIP_WAYS};
		struct lb_vip_line *line = at(sets, p);
		__u32 first;

		if (!line->service)
			continue;
		if (!is_at_home(line, p.set)) {
			take(line);
			wrong++;
			continue;
		}
		first = lb_vip_first(hash_of(line));
		if (lines && is_beyond(p, first) && lines[first] != BEYOND_MAX)
			lines[first]++;
	}
	for (__u32 set = 0; lines && set < LB_VIP_SETS; set++)
		wrong += mend_count(sets, set, lines[set]);
	free(lines);
	return wrong;
}
