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
/* Sends the frame out of interface @oif, by redirection when it is another than it came in by or when @redirect is set;
 * false where packets may not leave by it. */
static __always_inline bool lb_world_send(struct lb_world *w, __u32 oif, bool redirect);

/* The interface that the frame came in by. */
static __always_inline __u32 lb_world_ingress(struct lb_world *w);

/* What is configured. NULL where there is none. */
static __always_inline const struct lb_link *lb_world_link(struct lb_world *w, __u32 link);
static __always_inline const struct lb_conf *lb_world_conf(struct lb_world *w);
static __always_inline const struct lb_vip_set *lb_world_vips(struct lb_world *w, __u32 set);
static __always_inline const struct lb_service *lb_world_service(struct lb_world *w, __u32 service);
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
#define LB_LEARNED 0x8000U  /* in the answer, beside the backend's index: an entry was made */

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

/* lb_verdict_action - what its entry in verdict.h says. */
static __always_inline enum lb_action lb_verdict_action(enum lb_verdict v)
{
	if (v == LB_V_FORWARDED)
		return LB_ACTION_TX;
	return LB_VERDICTS_PASSING >> v & 1 ? LB_ACTION_PASS : LB_ACTION_DROP;
}
#undef X

/* A packet on its way. */
struct lb_job {
	struct lb_packet pkt;
	const struct lb_service *service;
	const struct lb_backend *backend;
	__u32 service_idx;
	__u32 backend_idx;
	__u64 hash;
	bool learned; /* a flow entry was made for it */
};

static __always_inline __u32 lb_find_service(struct lb_world *w, const struct lb_packet *p)
{
	const struct lb_vip_key key = lb_packet_vip(p);
	const __u64 hash = lb_vip_hash(&key);
	const struct lb_vip_set *set = lb_world_vips(w, lb_vip_first(hash));
	__u32 service_idx;

	if (!set)
		return 0;
	service_idx = lb_vip_service(set, &key);
	if (lb_likely(service_idx || !set->way[0].spilled))
		return service_idx;
	set = lb_world_vips(w, lb_vip_second(hash));
	return set ? lb_vip_service(set, &key) : 0;
}

/* Whose is it? From here on a packet is a service's and may be dropped. */
static __always_inline enum lb_verdict lb_classify(struct lb_world *w, struct lb_job *j)
{
	__u32 service_idx = lb_find_service(w, &j->pkt);

	if (!service_idx)
		return LB_V_PASS_NO_SERVICE;
	j->service = lb_world_service(w, service_idx);
	if (!j->service)
		return LB_V_PASS_NO_SERVICE;
	j->service_idx = service_idx;
	return j->pkt.flaw;
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
	return chosen | LB_LEARNED;
}

/* The backend of a packet whose slot changed lately, or whose service tracks its flows; LB_LEARNED is added when an
 * entry was made. */
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
	__u32 flags = j->service->flags, slot, word, chosen;
	__u64 table = lb_load(&j->service->table);
	const struct lb_conf *conf = lb_world_conf(w);
	const struct lb_slot_line *line;
	const struct lb_backend *b;
	bool tcp = j->pkt.proto == IPPROTO_TCP, tracked;

	if (!table || !conf)
		return LB_V_DROP_NO_BACKEND;
	j->hash = lb_packet_hash(&j->pkt, conf->hash_key);
	slot = LB_TABLE_BASE(table) + lb_flow_slot(lb_flow_tag(j->hash), LB_TABLE_SHIFT(table));
	line = lb_world_slots(w, slot / 16);
	if (!line)
		return LB_V_DROP_NO_BACKEND;
	word = lb_load(&line->slot[slot % 16]);
	chosen = LB_SLOT_CUR(word);
	j->learned = false;
	tracked = flags & (tcp ? LB_SERVICE_F_TRACK_TCP : LB_SERVICE_F_TRACK_UDP);
	if (lb_unlikely(lb_steer_wants_flow(word, tracked)) && !(flags & LB_SERVICE_F_NO_STATE)) {
		struct lb_flow_query q = {.hash = j->hash, .service_idx = j->service_idx, .word = word};

		q.flags = (j->pkt.tcp_flags & (LB_TCP_FIN | LB_TCP_RST) ? LB_QUERY_CLOSES : 0) |
			  (tcp ? LB_QUERY_TCP : 0) | (lb_packet_opens(&j->pkt) ? LB_QUERY_OPENS : 0) |
			  (tracked ? LB_QUERY_TRACKED : 0);
		chosen = lb_world_flow_steer(w, q);
		j->learned = chosen & LB_LEARNED;
		chosen &= LB_MAX_BACKENDS - 1;
	}

	b = lb_world_backend(w, chosen);
	if (!chosen || !b || b->service != j->service_idx || !(b->flags & LB_BACKEND_F_ALIVE))
		return LB_V_DROP_NO_BACKEND;
	j->backend = b;
	j->backend_idx = chosen;
	return LB_V_FORWARDED;
}

/* Put the packet into a packet of its own, addressed to the backend. */
static __always_inline enum lb_verdict lb_encap(struct lb_world *w, const struct lb_job *j, const struct lb_hop *hop)
{
	const bool outer4 = j->backend->flags & LB_BACKEND_F_V4;
	const int outer_len = outer4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr);
	void *l3 = lb_world_data(w) + sizeof(struct ethhdr), *end = lb_world_data_end(w);
	struct lb_inner in = {.len = j->pkt.len, .hash = j->hash};
	struct ethhdr *eth;

	if (j->pkt.len + outer_len > lb_hop_mtu(hop))
		return LB_V_DROP_TOO_BIG;
	if (j->pkt.v6) {
		if (l3 + sizeof(struct ipv6hdr) > end)
			return LB_V_DROP_MALFORMED;
		if (!lb_inner_take6(l3, &in))
			return LB_V_DROP_TTL_EXCEEDED;
	} else {
		if (l3 + sizeof(struct iphdr) > end)
			return LB_V_DROP_MALFORMED;
		if (!lb_inner_take4(l3, &in))
			return LB_V_DROP_TTL_EXCEEDED;
	}
	if (!lb_world_grow(w, outer_len))
		return LB_V_DROP_NO_HEADROOM;

	eth = lb_world_data(w);
	l3 = eth + 1;
	end = lb_world_data_end(w);
	if (l3 + sizeof(struct ipv6hdr) > end) /* with the inner header behind, also true of the shorter outer one */
		return LB_V_DROP_MALFORMED;
	lb_eth_write(eth, hop);
	if (outer4) {
		eth->h_proto = lb_htons(ETH_P_IP);
		lb_outer_write4(l3, &in, j->backend);
	} else {
		eth->h_proto = lb_htons(ETH_P_IPV6);
		lb_outer_write6(l3, &in, j->backend);
	}
	return LB_V_FORWARDED;
}

/* Send it there. */
static __always_inline enum lb_verdict lb_forward(struct lb_world *w, const struct lb_job *j)
{
	enum lb_verdict v;
	struct lb_hop hop;

	lb_hop_read(j->backend, &hop);
	if (!hop.oif)
		return LB_V_DROP_NO_NEXT_HOP;
	if (j->backend->forward == LB_FORWARD_IPIP) {
		v = lb_encap(w, j, &hop);
		if (v != LB_V_FORWARDED)
			return v;
	} else {
		void *data = lb_world_data(w);

		if (j->pkt.len > lb_hop_mtu(&hop))
			return LB_V_DROP_TOO_BIG;
		if (data + sizeof(struct ethhdr) > lb_world_data_end(w))
			return LB_V_DROP_MALFORMED;
		lb_eth_write(data, &hop);
	}
	return lb_world_send(w, hop.oif, j->backend->flags & LB_BACKEND_F_REDIRECT) ? LB_V_FORWARDED
										    : LB_V_DROP_NO_NEXT_HOP;
}

/* Count it for the backend that got it, or else for the service that found none. */
static __always_inline void lb_account(struct lb_world *w, const struct lb_job *j, enum lb_verdict v)
{
	const struct lb_packet *p = &j->pkt;

	if (v == LB_V_FORWARDED) {
		struct lb_backend_cpu *row = lb_world_backend_cpu(w, j->backend_idx);

		if (!row)
			return;
		row->pkts++;
		row->bytes += p->len;
		if (p->tcp_flags & (LB_TCP_FIN | LB_TCP_SYN | LB_TCP_RST)) {
			row->conns += lb_packet_opens(p);
			row->closes += !!(p->tcp_flags & (LB_TCP_FIN | LB_TCP_RST));
		}
		if (p->proto == IPPROTO_UDP && j->learned)
			row->conns++;
	} else {
		struct lb_service_cpu *row = lb_world_service_cpu(w, j->service_idx);

		if (!row)
			return;
		row->total.pkts++;
		row->total.bytes += p->len;
	}
}

/* Every packet is counted once by its verdict. */
static __always_inline enum lb_verdict lb_count(struct lb_world *w, enum lb_verdict v)
{
	struct lb_verdict_cpu *row = lb_world_verdict_cpu(w);

	if (row)
		row->pkts[v & (LB_VERDICTS_MAX - 1)]++;
	return v;
}

/* What becomes of a packet that was parsed. */
static __always_inline enum lb_verdict lb_serve(struct lb_world *w, struct lb_job *j)
{
	enum lb_verdict v = lb_classify(w, j);

	if (v == LB_V_PASS_NO_SERVICE)
		return v;
	if (v == LB_V_FORWARDED)
		v = lb_select(w, j);
	if (v == LB_V_FORWARDED)
		v = lb_forward(w, j);
	lb_account(w, j, v);
	return v;
}

/* Is the frame for this host? @data has an Ethernet header. */
static __always_inline bool lb_is_ours(struct lb_world *w, const void *data)
{
	__u32 ifindex = lb_world_ingress(w);

	return lb_eth_is_to(data, lb_world_link(w, ifindex % LB_LINKS), ifindex);
}

/* Each family has a copy of the stages of its own, in which the other's branches and words are not. */
static __always_inline enum lb_verdict lb_pipeline(struct lb_world *w)
{
	void *data = lb_world_data(w), *end = lb_world_data_end(w);
	enum lb_verdict v;
	struct lb_job j;
	__be16 type;

	v = lb_parse_eth(data, end, &type);
	if (type != lb_htons(ETH_P_IP) && type != lb_htons(ETH_P_IPV6))
		return lb_count(w, v);
	if (!lb_is_ours(w, data))
		return lb_count(w, LB_V_PASS_OTHER_HOST);
	if (type == lb_htons(ETH_P_IP)) {
		v = lb_parse_ip4(data + sizeof(struct ethhdr), end, &j.pkt);
		if (v == LB_V_FORWARDED)
			v = lb_serve(w, &j);
	} else {
		v = lb_parse_ip6(data + sizeof(struct ethhdr), end, &j.pkt);
		if (v == LB_V_FORWARDED)
			v = lb_serve(w, &j);
	}
	return lb_count(w, v);
}

#endif
