/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The stage that chooses the backend, by its slot and, where that changed lately, by the flow cache. Included by
 * pipeline.h. */
#ifndef BPF_SELECT_H
#define BPF_SELECT_H

#include "lb/dp/flow.h"
#include "lb/dp/sanity.h"
#include "lb/dp/steer.h"
#include "access.h"
#include "choice.h"
#include "quic.h"
#include "world.h"

/* A flow of a protocol that does not say what is new: it begins when it is learned. */
static __always_inline void lb_count_conn(struct lb_world *w, __u32 backend)
{
	struct lb_backend_cpu *row = lb_world_backend_cpu(w, backend);

	if (row)
		row->conns++;
}

/* Remember @chosen for the packet's flow, in the @way that already has its tag or, -1, in one that can be spared. The
 * flood guard is asked for new entries only: to correct one pushes nobody out. */
static __always_inline __u32 lb_learn(struct lb_world *w, struct lb_flow_query q, struct lb_flow_set *set,
				      struct lb_service_cpu *row, int way, __u32 chosen, __u64 now_ns)
{
	const struct lb_backend *b = lb_world_backend(w, chosen);
	const struct lb_conf *conf = lb_world_conf(w);
	bool proven = (q.flags & (LB_QUERY_TCP | LB_QUERY_OPENS)) == LB_QUERY_TCP;
	struct lb_life life;

	if (!b || !conf)
		return chosen;
	life = lb_life_of(b);
	if (!(life.flags & LB_BACKEND_F_ALIVE))
		return chosen;
	if (way < 0) {
		if (!lb_flow_admit(&row->learn_start_ns, &row->learn_count, conf->learn_rate, proven, now_ns))
			row->learn_refused++;
		else
			way = lb_flow_victim(set, proven, lb_flow_age(now_ns));
	}
	if (way < 0) {
		if (lb_world_has(w, LB_HAS_CHOICE | LB_HAS_AFFINITY) && q.flags & LB_QUERY_CHOICE && !proven)
			chosen = LB_SLOT_CUR(q.word);
		b = proven ? NULL : lb_world_backend(w, LB_SLOT_PREV(q.word));
		return b ? lb_steer_unlearned(q.word, chosen, b->flags) : chosen;
	}
	lb_store(&set->entry[way & (LB_FLOW_WAYS - 1)],
		 LB_FLOW(lb_flow_tag(q.hash), lb_flow_age(now_ns), life.gen, proven, chosen) |
			 (q.flags & LB_QUERY_CLOSES ? LB_FLOW_CLOSED : 0));
	if (lb_world_has(w, LB_HAS_CHOICE) && q.flags & LB_QUERY_CHOICE && !proven)
		lb_live_add(w, chosen, 1);
	if (!(q.flags & LB_QUERY_TCP))
		lb_count_conn(w, chosen);
	return chosen;
}

/* The backend of a packet whose slot changed lately, or whose service tracks its flows. */
static __always_inline __u32 lb_flow_steer(struct lb_world *w, struct lb_flow_query q)
{
	struct lb_flow_set *set = lb_world_flows(w, lb_flow_set_idx(q.hash));
	struct lb_service_cpu *row = lb_world_service_cpu(w, q.service_idx);
	__u32 tag = lb_flow_tag(q.hash), chosen;
	__u64 now_ns = lb_world_now_ns(w);
	__u8 age = lb_flow_age(now_ns);
	bool tcp = q.flags & LB_QUERY_TCP, opens = q.flags & LB_QUERY_OPENS, learn;
	int way;

	if (!set || !row)
		return LB_SLOT_CUR(q.word);
	way = lb_flow_find(set, tag);
	if (way >= 0) {
		__u64 *entry = &set->entry[way & (LB_FLOW_WAYS - 1)];
		__u64 e = lb_load(entry);
		__u8 flags;

		if (lb_flow_leads(w, e, tag, q.service_idx, &flags) &&
		    (tcp || lb_flow_idle(e, age) <= LB_FLOW_IDLE_UDP) &&
		    lb_steer_hit_counts(flags, opens, e & LB_FLOW_CLOSED)) {
			__u64 touched = lb_flow_touch(e, age, !opens, q.flags & LB_QUERY_CLOSES);

			if (touched != e)
				lb_store(entry, touched);
			if (lb_world_has(w, LB_HAS_CHOICE | LB_HAS_AFFINITY) && q.flags & LB_QUERY_CHOICE &&
			    touched != e) {
				if (touched & ~e & LB_FLOW_CLOSED)
					lb_live_add(w, LB_FLOW_BACKEND(e), -1);
				lb_world_choose_again(w, q);
			}
			*lb_world_hits(w) += 1;
			return LB_FLOW_BACKEND(e);
		}
	}
	row->flow_misses++;
	chosen = lb_steer_miss(q.word, opens || !tcp, (q.flags & LB_QUERY_TRACKED) || way >= 0, &learn);
	if (lb_world_has(w, LB_HAS_CHOICE | LB_HAS_AFFINITY) && q.flags & LB_QUERY_CHOICE && (opens || !tcp))
		chosen = lb_world_choose(w, q);
	return learn ? lb_learn(w, q, set, row, way, chosen, now_ns) : chosen;
}

/* The same of a packet that is not the flow's own: anybody can send it, so nothing is learned, confirmed or counted. */
static __always_inline __u32 lb_flow_look(struct lb_world *w, struct lb_flow_query q)
{
	const struct lb_flow_set *set = lb_world_flows(w, lb_flow_set_idx(q.hash));
	bool tcp = q.flags & LB_QUERY_TCP, learn;
	__u32 tag = lb_flow_tag(q.hash);
	__u8 flags;
	__u64 e;
	int way;

	if (!set)
		return LB_SLOT_CUR(q.word);
	way = lb_flow_find(set, tag);
	if (way >= 0) {
		e = lb_load(&set->entry[way & (LB_FLOW_WAYS - 1)]);
		if (lb_flow_leads(w, e, tag, q.service_idx, &flags) &&
		    (tcp || lb_flow_idle(e, lb_flow_age(lb_world_now_ns(w))) <= LB_FLOW_IDLE_UDP) &&
		    lb_steer_hit_counts(flags, false, e & LB_FLOW_CLOSED))
			return LB_FLOW_BACKEND(e);
	}
	return lb_steer_miss(q.word, !tcp, false, &learn);
}

/* Whose a packet is that the table alone does not decide: its slot's @word, or another one. */
static __always_inline __u32 lb_select_slowly(struct lb_world *w, struct lb_job *j, __u64 table, __u32 word)
{
	bool tcp = j->pkt.proto != IPPROTO_UDP; /* SCTP says as much of what is new */
	struct lb_flow_query q = {.hash = j->hash, .service_idx = lb_job_service(j), .word = word};

	if (lb_world_has(w, LB_HAS_QUIC) && lb_job_flags(j) & LB_VIP_F_QUIC && !j->look_only) {
		__u32 server = lb_world_quic(w, sizeof(struct ethhdr) + j->pkt.l4_off, j->pkt.len - j->pkt.l4_off,
					     lb_job_service(j));

		if (server)
			return server;
	}
	if (lb_world_has(w, LB_HAS_AFFINITY) && lb_job_flags(j) & LB_VIP_F_AFFINITY) {
		q.source = lb_world_source(w, &j->pkt, lb_job_service(j));
		q.hash = lb_source_flow(q.source, j->hash);
		q.word = lb_slot_word(w, table, q.hash);
	}
	if (j->translated) { /* its connections are remembered elsewhere */
		if (lb_world_has(w, LB_HAS_CHOICE | LB_HAS_AFFINITY) && lb_job_flags(j) & LB_VIP_F_CHOICE)
			return lb_world_choose(w, q);
		return q.word;
	}
	if (!lb_steer_wants_flow(q.word, lb_job_flags(j)))
		return q.word;
	if (j->look_only) {
		q.flags = tcp ? LB_QUERY_TCP : 0;
		return lb_world_flow_look(w, q);
	}
	q.flags = (j->pkt.tcp_flags & (LB_TCP_FIN | LB_TCP_RST) ? LB_QUERY_CLOSES : 0) | (tcp ? LB_QUERY_TCP : 0) |
		  (lb_packet_opens(&j->pkt) ? LB_QUERY_OPENS : 0) |
		  (lb_job_flags(j) & LB_VIP_F_TRACK ? LB_QUERY_TRACKED : 0) |
		  (lb_job_flags(j) & LB_VIP_F_CHOICE ? LB_QUERY_CHOICE : 0);
	return lb_world_flow_steer(w, q);
}

/* The usual answer where the table alone does not decide, without a call: the flow is known, and there is nothing to be
 * written. NULL: ask. @its: the backend's word. */
static __always_inline const struct lb_backend *lb_select_known(struct lb_world *w, struct lb_job *j, __u64 *its)
{
	const struct lb_flow_set *set = lb_world_flows(w, lb_flow_set_idx(j->hash));
	const struct lb_backend *b;
	__u64 e;

	if (lb_unlikely(!set))
		return NULL;
	e = lb_flow_entry(set, j->hash);
	b = lb_world_backend(w, LB_FLOW_BACKEND(e));
	if (lb_unlikely(!b))
		return NULL;
	*its = lb_backend_word(b);
	if (lb_unlikely(!lb_backend_serves(*its, j->vip_word) ||
			!lb_flow_settled(e, lb_world_fresh(w), lb_life_in(*its).gen)))
		return NULL;
	*lb_world_hits(w) += 1;
	j->backend_idx = LB_FLOW_BACKEND(e);
	return b;
}

/* May it be known by its flow alone? */
static __always_inline bool lb_selects_known(const struct lb_job *j)
{
	return j->common && !(lb_job_flags(j) & ~LB_VIP_F_TRACK) &&
	       (j->pkt.proto != IPPROTO_TCP || lb_packet_goes_on(&j->pkt));
}

/* Which backend gets it? None of those that its service does not let in. */
static __always_inline enum lb_verdict lb_select(struct lb_world *w, struct lb_job *j)
{
	/* Datagrams are tracked nearly always: then the slot is not even looked at where the flow is known. */
	const bool flow_first = j->pkt.proto == IPPROTO_UDP && j->common;
	__u64 table = j->table, its;
	const struct lb_conf *conf = lb_world_conf(w);
	const struct lb_backend *b = NULL;

	if (lb_unlikely(!conf))
		return lb_answer(LB_V_DROP_NO_BACKEND);
	j->hash = lb_packet_hash(&j->pkt, j->vip_fold, &conf->hash);
	if (flow_first && lb_likely(lb_job_flags(j) == LB_VIP_F_TRACK))
		b = lb_select_known(w, j, &its);
	if (!b) {
		__u32 slot = LB_TABLE_SLOT(table, j->hash), word;
		const struct lb_slot_line *line = lb_world_slots(w, slot / 16);

		if (lb_unlikely(!line))
			return lb_answer(LB_V_DROP_NO_BACKEND);
		word = lb_load(&line->slot[slot % 16]);
		if (lb_unlikely(lb_job_flags(j) | LB_SLOT_PHASE(word))) {
			b = !flow_first && lb_selects_known(j) ? lb_select_known(w, j, &its) : NULL;
			if (!b && j->common) {
				const struct lb_packet again = lb_parse_again(&j->pkt);

				j->pkt.saddr4 = again.saddr4;
				j->pkt.saddr[0] = again.saddr[0];
				j->pkt.saddr[1] = again.saddr[1];
			}
			if (!b && !j->look_only && lb_asks_source(w, j)) {
				enum lb_verdict v = lb_admit_source(w, j);

				if (v != LB_V_FORWARDED)
					return lb_answer(v);
			}
			if (!b)
				word = LB_SLOT_CUR(lb_select_slowly(w, j, lb_rarely(table), word));
		}
		if (lb_likely(!b)) {
			j->backend_idx = LB_SLOT_CUR(word);
			b = lb_world_backend(w, j->backend_idx);
			if (lb_unlikely(!b))
				return lb_answer(LB_V_DROP_NO_BACKEND);
			its = lb_backend_word(b);
		}
	}
	j->backend = b;
	j->life = lb_life_in(its);
	j->plain = lb_backend_plain(its, j->vip_word, j->pkt.v6);
	if (lb_unlikely(!j->plain && !lb_backend_serves(lb_rarely(its), lb_rarely(j->vip_word))))
		return lb_answer(LB_V_DROP_NO_BACKEND);
	return LB_V_FORWARDED;
}

#endif
