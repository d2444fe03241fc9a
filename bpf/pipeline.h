/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The stages that a packet goes through: parse, classify, select, forward, account. They are put together from the pure
 * code of include/lb/dp and from what the world around them knows and does: lb.bpf.c is one such world, of maps and
 * helpers, and the packet tests are another, of arrays. The one who includes this defines struct lb_world and the
 * functions declared first.
 */
#ifndef BPF_PIPELINE_H
#define BPF_PIPELINE_H

#include "lb/abi.h"
#include "lb/verdict.h"
#include "lb/dp/base.h"
#include "lb/dp/encap.h"
#include "lb/dp/flow.h"
#include "lb/dp/parse.h"
#include "lb/dp/steer.h"
#include "lb/dp/vip.h"

struct lb_world;

/* The frame. lb_world_grow makes @nr_bytes of room in front of it: data and data_end have to be asked for again. */
static __always_inline void *lb_world_data(struct lb_world *w);
static __always_inline void *lb_world_data_end(struct lb_world *w);
static __always_inline bool lb_world_grow(struct lb_world *w, int nr_bytes);
/* Sends the frame out of interface @oif, by redirection when it is another than it came in by or when @redirect is set.
 * The program's return value, or LB_UNSENT where packets may not leave by it. */
static __always_inline __u32 lb_world_send(struct lb_world *w, __u32 oif, bool redirect);
#define LB_UNSENT 1U /* XDP_DROP */

/* The interface that the frame came in by. */
static __always_inline __u32 lb_world_ingress(struct lb_world *w);

/* What is configured. NULL where there is none. */
static __always_inline const struct lb_link *lb_world_link(struct lb_world *w, __u32 link);
static __always_inline const struct lb_conf *lb_world_conf(struct lb_world *w);
static __always_inline const struct lb_vip_set *lb_world_vips(struct lb_world *w, __u32 set);
static __always_inline const struct lb_slot_line *lb_world_slots(struct lb_world *w, __u32 line);
static __always_inline const struct lb_backend *lb_world_backend(struct lb_world *w, __u32 backend);

/* What the flow cache is asked. */
struct lb_flow_query {
	__u64 hash;
	__u32 service_idx;
	__u32 word;  /* the slot */
	__u32 flags; /* LB_QUERY_* */
};
#define LB_QUERY_TCP 1U
#define LB_QUERY_OPENS 2U   /* the packet opens a TCP connection */
#define LB_QUERY_TRACKED 4U /* its service remembers all such flows */
#define LB_QUERY_CLOSES 8U  /* the packet ends a TCP connection, or a direction of it */

/* Answers with lb_flow_steer; the world may have it do so in a frame of its own. */
static __always_inline __u32 lb_world_flow_steer(struct lb_world *w, struct lb_flow_query q);

/* What the packets write: the flow cache, and this CPU's rows of counters. */
static __always_inline __u64 lb_world_now_ns(struct lb_world *w);
static __always_inline struct lb_flow_set *lb_world_flows(struct lb_world *w, __u32 set);
static __always_inline struct lb_verdict_cpu *lb_world_verdict_cpu(struct lb_world *w);
static __always_inline struct lb_service_cpu *lb_world_service_cpu(struct lb_world *w, __u32 service);
static __always_inline struct lb_backend_cpu *lb_world_backend_cpu(struct lb_world *w, __u32 backend);

#define X(id, name, action, help) | (__u64)(LB_ACTION_##action == LB_ACTION_PASS) << LB_V_##id
#define LB_VERDICTS_PASSING (0 LB_VERDICTS(X))

/* lb_verdict_passes - does the packet go to the host's stack with this verdict? */
static __always_inline bool lb_verdict_passes(enum lb_verdict v)
{
	return LB_VERDICTS_PASSING >> v & 1;
}
#undef X

/* A packet on its way. */
struct lb_job {
	struct lb_packet pkt;
	const struct lb_vip_line *vip;
	const struct lb_backend *backend;
	struct lb_life life; /* the backend's */
	__u32 service_idx;
	__u32 vip_flags; /* LB_VIP_F_* */
	__u64 vip_fold;
	__u32 backend_idx;
	__u64 hash;
};

/* Beyond the first line of its first set: the other line, and its second set's. */
static __always_inline const struct lb_vip_line *lb_find_beyond(struct lb_world *w, const struct lb_vip_set *set,
								__u32 second, const struct lb_vip_key *key)
{
	if (lb_vip_is(&set->way[1], lb_vip_word(&set->way[1]), key))
		return &set->way[1];
	set = lb_world_vips(w, second);
	if (!set)
		return NULL;
	if (lb_vip_is(&set->way[0], lb_vip_word(&set->way[0]), key))
		return &set->way[0];
	return lb_vip_is(&set->way[1], lb_vip_word(&set->way[1]), key) ? &set->way[1] : NULL;
}

/* Whose is it? */
static __always_inline enum lb_verdict lb_classify(struct lb_world *w, struct lb_job *j)
{
	const struct lb_vip_key key = lb_packet_vip(&j->pkt);
	const __u64 fold = lb_vip_fold(&key), hash = lb_vip_hash(fold);
	const struct lb_vip_set *set = lb_world_vips(w, lb_vip_first(hash));
	struct lb_vip_word word;

	if (lb_unlikely(!set))
		return lb_answer(LB_V_PASS_NO_SERVICE);
	j->vip = &set->way[0];
	word = lb_vip_word(j->vip);
	if (lb_unlikely(!lb_vip_is(j->vip, word, &key))) {
		if (!word.beyond)
			return lb_answer(LB_V_PASS_NO_SERVICE);
		j->vip = lb_find_beyond(w, set, lb_vip_second(hash), &key);
		if (!j->vip)
			return lb_answer(LB_V_PASS_NO_SERVICE);
		word = lb_vip_word(j->vip);
	}
	j->vip_fold = fold;
	j->service_idx = word.service;
	j->vip_flags = word.flags;
	return LB_V_FORWARDED;
}

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
		b = proven ? NULL : lb_world_backend(w, LB_SLOT_PREV(q.word));
		return b ? lb_steer_unlearned(q.word, chosen, b->flags) : chosen;
	}
	lb_store(&set->entry[way & (LB_FLOW_WAYS - 1)],
		 LB_FLOW(lb_flow_tag(q.hash), lb_flow_age(now_ns), life.gen, proven, chosen) |
			 (q.flags & LB_QUERY_CLOSES ? LB_FLOW_CLOSED : 0));
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
		const struct lb_backend *b = lb_world_backend(w, LB_FLOW_BACKEND(e));

		const struct lb_life life = b ? lb_life_of(b) : (struct lb_life){0};

		/* another CPU may have used the place since it was found */
		if (LB_FLOW_TAG(e) == tag && b && LB_FLOW_GEN(e) == life.gen && b->service == q.service_idx &&
		    (tcp || lb_flow_idle(e, age) <= LB_FLOW_IDLE_UDP) &&
		    lb_steer_hit_counts(life.flags, opens, e & LB_FLOW_CLOSED)) {
			__u64 touched = lb_flow_touch(e, age, !opens, q.flags & LB_QUERY_CLOSES);

			if (touched != e)
				lb_store(entry, touched);
			row->flow_hits++;
			return LB_FLOW_BACKEND(e);
		}
	}
	row->flow_misses++;
	chosen = lb_steer_miss(q.word, opens || !tcp, (q.flags & LB_QUERY_TRACKED) || way >= 0, &learn);
	return learn ? lb_learn(w, q, set, row, way, chosen, now_ns) : chosen;
}

/* Which backend gets it? */
static __always_inline enum lb_verdict lb_select(struct lb_world *w, struct lb_job *j)
{
	__u64 table = lb_load(&j->vip->table);
	const struct lb_conf *conf = lb_world_conf(w);
	const struct lb_slot_line *line;
	__u32 slot, word;

	if (lb_unlikely(!conf))
		return lb_answer(LB_V_DROP_NO_BACKEND);
	j->hash = lb_packet_hash(&j->pkt, j->vip_fold, &conf->hash);
	slot = LB_TABLE_SLOT(table, j->hash);
	line = lb_world_slots(w, slot / 16);
	if (lb_unlikely(!line))
		return lb_answer(LB_V_DROP_NO_BACKEND);
	word = lb_load(&line->slot[slot % 16]);
	if (lb_unlikely(j->vip_flags | LB_SLOT_PHASE(word)) && lb_steer_wants_flow(word, j->vip_flags)) {
		bool tcp = j->pkt.proto == IPPROTO_TCP;
		struct lb_flow_query q = {.hash = j->hash, .service_idx = j->service_idx, .word = word};

		q.flags = (j->pkt.tcp_flags & (LB_TCP_FIN | LB_TCP_RST) ? LB_QUERY_CLOSES : 0) |
			  (tcp ? LB_QUERY_TCP : 0) | (lb_packet_opens(&j->pkt) ? LB_QUERY_OPENS : 0) |
			  (j->vip_flags & LB_VIP_F_TRACK ? LB_QUERY_TRACKED : 0);
		word = lb_world_flow_steer(w, q);
	}
	j->backend_idx = LB_SLOT_CUR(word);
	j->backend = lb_world_backend(w, j->backend_idx);
	if (lb_unlikely(!j->backend))
		return lb_answer(LB_V_DROP_NO_BACKEND);
	j->life = lb_life_of(j->backend);
	if (lb_unlikely(j->backend->service != j->service_idx || !(j->life.flags & LB_BACKEND_F_ALIVE)))
		return lb_answer(LB_V_DROP_NO_BACKEND);
	return LB_V_FORWARDED;
}

/* Put the packet into a packet of its own, addressed to the backend; @v4: of IPv4. */
static __always_inline enum lb_verdict lb_encap(struct lb_world *w, const struct lb_job *j, const struct lb_hop *hop,
						const bool v4)
{
	const int outer_len = v4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr);
	const int inner_len = j->pkt.v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr);
	struct lb_inner in = {.len = j->pkt.len, .hash = j->hash};
	struct ethhdr *eth;
	void *l3, *inner;

	if (lb_unlikely(j->pkt.len + outer_len > lb_hop_mtu(hop)))
		return lb_answer(LB_V_DROP_TOO_BIG);
	if (lb_unlikely(!lb_world_grow(w, outer_len)))
		return lb_answer(LB_V_DROP_NO_HEADROOM);
	eth = lb_world_data(w);
	l3 = eth + 1;
	inner = l3 + outer_len;
	if (lb_unlikely(inner + inner_len > lb_world_data_end(w)))
		return lb_answer(LB_V_DROP_MALFORMED);
	if (lb_unlikely(!(j->pkt.v6 ? lb_inner_take6(inner, &in) : lb_inner_take4(inner, &in))))
		return lb_answer(LB_V_DROP_TTL_EXCEEDED);
	lb_eth_write(eth, hop);
	lb_put16(&eth->h_proto, v4 ? lb_htons(ETH_P_IP) : lb_htons(ETH_P_IPV6));
	if (v4)
		lb_outer_write4(l3, &in, j->backend, j->life.src_plen);
	else
		lb_outer_write6(l3, &in, j->backend, j->life.src_plen);
	return LB_V_FORWARDED;
}

/* What became of a packet: its verdict and, beside LB_V_FORWARDED alone, how it was sent. */
#define LB_FATE(verdict, sent) ((sent) << 8 | (verdict))
#define LB_FATE_VERDICT(fate) ((enum lb_verdict)((fate)&0xff))
#define LB_FATE_SENT(fate) ((fate) >> 8)

/* Send it there. */
static __always_inline __u32 lb_forward(struct lb_world *w, const struct lb_job *j)
{
	enum lb_verdict v;
	__u32 sent;
	struct lb_hop hop;

	lb_hop_read(j->backend, &hop);
	if (lb_unlikely(!hop.oif))
		return lb_answer(LB_V_DROP_NO_NEXT_HOP);
	if (j->life.forward == LB_FORWARD_IPIP) {
		v = j->life.flags & LB_BACKEND_F_V4 ? lb_encap(w, j, &hop, true) : lb_encap(w, j, &hop, false);
		if (lb_unlikely(v != LB_V_FORWARDED))
			return v;
	} else {
		void *data = lb_world_data(w);

		if (lb_unlikely(j->pkt.len > lb_hop_mtu(&hop)))
			return lb_answer(LB_V_DROP_TOO_BIG);
		if (lb_unlikely(data + sizeof(struct ethhdr) > lb_world_data_end(w)))
			return lb_answer(LB_V_DROP_MALFORMED);
		lb_eth_write(data, &hop);
	}
	sent = lb_world_send(w, hop.oif, j->life.flags & LB_BACKEND_F_REDIRECT);
	if (lb_unlikely(sent == LB_UNSENT))
		return lb_answer(LB_V_DROP_NO_NEXT_HOP);
	return LB_FATE(LB_V_FORWARDED, sent);
}

/* Count it for the backend that got it. */
static __always_inline void lb_account(struct lb_world *w, const struct lb_job *j)
{
	struct lb_backend_cpu *row = lb_world_backend_cpu(w, j->backend_idx);
	const struct lb_packet *p = &j->pkt;

	if (!row)
		return;
	row->pkts++;
	row->bytes += p->len;
	if (p->tcp_flags & (LB_TCP_FIN | LB_TCP_SYN | LB_TCP_RST)) {
		row->conns += lb_packet_opens(p);
		row->closes += !!(p->tcp_flags & (LB_TCP_FIN | LB_TCP_RST));
	}
}

/* Count it for the service that had no backend for it. */
static __always_inline enum lb_verdict lb_account_dropped(struct lb_world *w, const struct lb_job *j, enum lb_verdict v)
{
	struct lb_service_cpu *row = lb_world_service_cpu(w, j->service_idx);

	if (row) {
		row->total.pkts++;
		row->total.bytes += j->pkt.len < j->pkt.room ? j->pkt.len : j->pkt.room;
	}
	return v;
}

/* A packet that is not as it should be: dropped when it is for a service, else it is the host's. */
static __always_inline enum lb_verdict lb_refuse(struct lb_world *w, struct lb_job *j, enum lb_verdict flaw)
{
	enum lb_verdict v = lb_classify(w, j);

	return v == LB_V_FORWARDED ? lb_account_dropped(w, j, flaw) : v;
}

/* What becomes of a packet that was parsed. */
static __always_inline __u32 lb_serve(struct lb_world *w, struct lb_job *j)
{
	enum lb_verdict v = lb_packet_flaw(&j->pkt);
	__u32 fate;

	if (lb_unlikely(v != LB_V_FORWARDED))
		return lb_refuse(w, j, v);
	v = lb_classify(w, j);
	if (lb_unlikely(v != LB_V_FORWARDED))
		return v;
	v = lb_select(w, j);
	if (lb_unlikely(v != LB_V_FORWARDED))
		return lb_account_dropped(w, j, v);
	fate = lb_forward(w, j);
	if (lb_unlikely(LB_FATE_VERDICT(fate) != LB_V_FORWARDED))
		return lb_account_dropped(w, j, LB_FATE_VERDICT(fate));
	lb_account(w, j);
	return fate;
}

/* Is the frame for this host? @data has an Ethernet header. */
static __always_inline bool lb_is_ours(struct lb_world *w, const void *data)
{
	__u32 ifindex = lb_world_ingress(w);

	return lb_eth_is_to(data, lb_world_link(w, ifindex % LB_LINKS), ifindex);
}

/* Each family has a copy of the stages of its own, in which the other's branches and words are not. */
static __always_inline __u32 lb_judge(struct lb_world *w)
{
	void *data = lb_world_data(w), *end = lb_world_data_end(w);
	enum lb_verdict v;
	struct lb_job j = {0};
	__be16 type;

	v = lb_parse_eth(data, end, &type);
	if (type != lb_htons(ETH_P_IP) && type != lb_htons(ETH_P_IPV6))
		return v;
	if (lb_unlikely(!lb_is_ours(w, data)))
		return lb_answer(LB_V_PASS_OTHER_HOST);
	if (lb_likely(type == lb_htons(ETH_P_IP))) {
		v = lb_parse_ip4(data + sizeof(struct ethhdr), end, &j.pkt);
		return v == LB_V_FORWARDED ? lb_serve(w, &j) : v;
	}
	v = lb_parse_ip6(data + sizeof(struct ethhdr), end, &j.pkt);
	return v == LB_V_FORWARDED ? lb_serve(w, &j) : v;
}

/* Every packet is counted once by its verdict, where no backend counts it. */
static __always_inline __u32 lb_pipeline(struct lb_world *w)
{
	__u32 fate = lb_judge(w);

	if (lb_unlikely(LB_FATE_VERDICT(fate) != LB_V_FORWARDED)) {
		struct lb_verdict_cpu *row = lb_world_verdict_cpu(w);

		if (row)
			row->pkts[fate & (LB_VERDICTS_MAX - 1)]++;
	}
	return fate;
}

#endif
