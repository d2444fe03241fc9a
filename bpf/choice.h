/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What else than the table says who gets a new connection: the client's affinity, and policies that choose anew for
 * each connection. Included by select.h.
 */
#ifndef BPF_CHOICE_H
#define BPF_CHOICE_H

#include "lb/dp/flow.h"
#include "lb/dp/source.h"
#include "lb/dp/steer.h"
#include "world.h"

/* The hash of the client: the service's name is in it, which is the same on every load balancer, and none of its VIPs,
 * so that they share their clients. @saddr0: of IPv4 the address. */
static __always_inline __u64 lb_source_hash(struct lb_world *w, __u64 saddr0, __u64 saddr1, bool v6, __u32 service_idx)
{
	const struct lb_service *s = lb_world_service(w, service_idx);
	const struct lb_conf *conf = lb_world_conf(w);
	__u64 masked[2];

	if (!s || !conf)
		return 0;
	if (!v6)
		return lb_hash_flow4(&conf->hash, s->name_id, lb_source4(saddr0, s->source_plen4), 0);
	masked[0] = lb_source6(saddr0, 0, s->source_plen6);
	masked[1] = lb_source6(saddr1, 1, s->source_plen6);
	return lb_hash_flow6(&conf->hash, s->name_id, masked, 0);
}

/* The word of the slot that @hash falls into. 0, nobody's, where there is none. */
static __always_inline __u32 lb_slot_word(struct lb_world *w, __u64 table, __u64 hash)
{
	__u32 slot = LB_TABLE_SLOT(table, hash);
	const struct lb_slot_line *line = lb_world_slots(w, slot / 16);

	return line ? lb_load(&line->slot[slot % 16]) : 0;
}

static __always_inline void lb_live_add(struct lb_world *w, __u32 backend, __s64 nr)
{
	__s64 *live = lb_world_live(w, backend);

	if (live)
		__sync_fetch_and_add(live, nr);
}

/* Connections that @b has; userspace counts anew while packets add and take away: a sum may be below 0 for a while. */
static __always_inline __u64 lb_live_of(struct lb_world *w, __u32 b)
{
	__s64 *live = lb_world_live(w, b), nr = live ? lb_load(live) : 0;

	return nr < 0 ? 0 : (__u64)nr;
}

/* Is @e an entry of @tag whose backend is the service's, and the one that it was when the entry was made? *@flags: what
 * that takes. Another CPU may have used the place since it was found. */
static __always_inline bool lb_flow_leads(struct lb_world *w, __u64 e, __u32 tag, __u32 service_idx, __u8 *flags)
{
	const struct lb_backend *b = lb_world_backend(w, LB_FLOW_BACKEND(e));
	const struct lb_life life = b ? lb_life_of(b) : (struct lb_life){0};

	*flags = life.flags;
	return LB_FLOW_TAG(e) == tag && b && LB_FLOW_GEN(e) == life.gen && b->service == service_idx;
}

/* The one of two owners that has less to do for its weight; with the connection that is about to come. */
static __always_inline __u32 lb_less_loaded(struct lb_world *w, __u32 a, __u32 b)
{
	const struct lb_backend *x = lb_world_backend(w, a), *y = lb_world_backend(w, b);

	if (!x || !y)
		return a;
	return (lb_live_of(w, b) + 1) * x->weight < (lb_live_of(w, a) + 1) * y->weight ? b : a;
}

/* Who gets a new connection of a client that is not known. Slots are in proportion to weights, and their owners take
 * new connections. */
static __always_inline __u32 lb_choose_owner(struct lb_world *w, const struct lb_service *s, struct lb_flow_query q)
{
	__u64 table = lb_load(&s->table);
	__u32 owner, other;

	if (s->policy == LB_CHOOSE_IN_TURN) {
		__u64 turn = lb_world_turn(w, q.service_idx);

		owner = LB_SLOT_CUR(lb_slot_word(w, table, turn << ((64 - s->turn_shift) & 63)));
	} else if (s->policy == LB_CHOOSE_AT_RANDOM || s->policy == LB_CHOOSE_LEAST_CONN) {
		owner = LB_SLOT_CUR(lb_slot_word(w, table, (__u64)lb_world_random(w) << 32));
	} else {
		return LB_SLOT_CUR(q.word);
	}
	if (s->policy == LB_CHOOSE_LEAST_CONN) {
		other = LB_SLOT_CUR(lb_slot_word(w, table, (__u64)lb_world_random(w) << 32));
		owner = lb_less_loaded(w, owner, other);
	}
	return owner ? owner : LB_SLOT_CUR(q.word);
}

/* Remember @chosen for the client, in the @way that already has its tag or, -1, in one that can be spared. */
static __always_inline void lb_source_learn(struct lb_world *w, struct lb_flow_query q, struct lb_flow_set *set,
					    int way, __u32 chosen, __u64 now_ns)
{
	struct lb_service_cpu *row = lb_world_service_cpu(w, q.service_idx);
	const struct lb_backend *b = lb_world_backend(w, chosen);
	const struct lb_conf *conf = lb_world_conf(w);

	if (!row || !b || !conf)
		return;
	if (way < 0) {
		if (!lb_flow_admit(&row->learn_start_ns, &row->learn_count, conf->learn_rate, false, now_ns)) {
			row->learn_refused++;
			return;
		}
		way = lb_flow_victim(set, false, lb_flow_age(now_ns));
	}
	if (way >= 0)
		lb_store(&set->entry[way & (LB_FLOW_WAYS - 1)],
			 LB_FLOW(lb_flow_tag(q.source), lb_flow_age(now_ns), lb_life_of(b).gen, false, chosen) |
				 LB_FLOW_CLOSED);
}

/* Who gets the new connection? The client's backend, while it takes any; else another one, which becomes the client's.
 */
static __always_inline __u32 lb_choose(struct lb_world *w, struct lb_flow_query q)
{
	const struct lb_service *s = lb_world_service(w, q.service_idx);
	struct lb_flow_set *set = lb_world_flows(w, lb_flow_set_idx(q.source));
	__u32 tag = lb_flow_tag(q.source), chosen;
	__u64 now_ns = lb_world_now_ns(w);
	__u8 age = lb_flow_age(now_ns);
	int way;

	if (!s || !set)
		return LB_SLOT_CUR(q.word);
	if (!s->sticky_ticks)
		return lb_choose_owner(w, s, q);
	way = lb_flow_find(set, tag);
	if (way >= 0) {
		__u64 *entry = &set->entry[way & (LB_FLOW_WAYS - 1)];
		__u64 e = lb_load(entry);
		__u8 flags;

		if (lb_flow_leads(w, e, tag, q.service_idx, &flags) && lb_flow_idle(e, age) <= s->sticky_ticks &&
		    lb_steer_hit_counts(flags, true, false)) {
			lb_store(entry, lb_flow_touch(e, age, false, true));
			return LB_FLOW_BACKEND(e);
		}
	}
	chosen = lb_choose_owner(w, s, q);
	if (chosen)
		lb_source_learn(w, q, set, way, chosen, now_ns);
	return chosen;
}

/* A client that is remembered has sent a packet that says more of one of its connections than was known: it is not
 * silent. */
static __always_inline void lb_choose_again(struct lb_world *w, struct lb_flow_query q)
{
	const struct lb_service *s = lb_world_service(w, q.service_idx);
	struct lb_flow_set *set = lb_world_flows(w, lb_flow_set_idx(q.source));
	__u8 age = lb_flow_age(lb_world_now_ns(w));
	int way;

	if (!s || !set || !s->sticky_ticks)
		return;
	way = lb_flow_find(set, lb_flow_tag(q.source));
	if (way >= 0) {
		__u64 *entry = &set->entry[way & (LB_FLOW_WAYS - 1)];
		__u64 e = lb_load(entry), touched = lb_flow_touch(e, age, true, true);

		if (LB_FLOW_TAG(e) == lb_flow_tag(q.source) && touched != e && lb_flow_idle(e, age) <= s->sticky_ticks)
			lb_store(entry, touched);
	}
}

#endif
