/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fragments, off the fast path: the first of a datagram goes where its flow goes, and the later ones follow it.
 * Included by pipeline.h.
 */
#ifndef BPF_FRAGMENT_H
#define BPF_FRAGMENT_H

#include "lb/dp/fragment.h"
#include "forward.h"
#include "nat_parts.h"
#include "world.h"

static __always_inline enum lb_verdict lb_fragment_verdict(enum lb_fragment_flaw flaw)
{
	if (flaw == LB_FRAGMENT_SOUND)
		return LB_V_FORWARDED;
	if (flaw == LB_FRAGMENT_TINY)
		return LB_V_DROP_FRAGMENT_TINY;
	return flaw == LB_FRAGMENT_OVERLAP ? LB_V_DROP_FRAGMENT_OVERLAP : LB_V_DROP_MALFORMED;
}

/* A later one: follows. Who knows whose it is when its first one was not seen, or went to one who is gone? */
static __always_inline enum lb_verdict lb_fragment_follow(struct lb_world *w, struct lb_job *j,
							  const struct lb_fragment *f, __u32 where)
{
	__u64 its;

	if (!where)
		return LB_V_PASS_FRAGMENT;
	j->backend_idx = LB_FLOW_BACKEND(where);
	j->backend = lb_world_backend(w, j->backend_idx);
	if (!j->backend)
		return LB_V_PASS_FRAGMENT;
	its = lb_backend_word(j->backend);
	j->life = lb_life_in(its);
	j->vip_word = LB_VIP_WORD(LB_BACKEND_WORD_SERVICE(its), 0);
	j->plain = lb_backend_plain(its, j->vip_word, j->pkt.v6);
	if (j->life.gen != LB_FLOW_GEN(where) || !(j->life.flags & LB_BACKEND_F_ALIVE))
		return LB_V_PASS_FRAGMENT;
	return lb_fragment_verdict(f->flaw);
}

static __always_inline enum lb_verdict lb_fragment_read(struct lb_world *w, __be16 type, struct lb_fragment *f,
							struct lb_packet *p)
{
	void *ip = lb_world_data(w) + sizeof(struct ethhdr), *end = lb_world_data_end(w);

	return type == lb_htons(ETH_P_IP) ? lb_fragment_parse4(ip, end, f, p) : lb_fragment_parse6(ip, end, f, p);
}

/* What was parsed is the first fragment of a datagram: is it right, and which datagram is it? It goes the way of all
 * packets, and lb_fragment_teach knows it again at the end. */
static __always_inline __u32 lb_fragment_first(struct lb_world *w, bool v6)
{
	struct lb_verdict_cpu *row = lb_world_verdict_cpu(w);
	const struct lb_conf *conf = lb_world_conf(w);
	struct lb_packet p = {0};
	struct lb_fragment f;

	if (!lb_world_has(w, LB_HAS_FRAGMENTS) || !conf || !row ||
	    lb_fragment_read(w, v6 ? lb_htons(ETH_P_IPV6) : lb_htons(ETH_P_IP), &f, &p) != LB_V_FORWARDED)
		return LB_V_DROP_FRAGMENT;
	row->fragment = lb_fragment_hash(conf->hash_key, &f, &p);
	return lb_fragment_verdict(f.flaw);
}

static __always_inline void lb_fragment_enter(struct lb_world *w, __u64 hash, __u32 where)
{
	struct lb_flow_set *set = lb_world_frags(w, lb_fragment_set_idx(hash));
	__u8 age = lb_fragment_age(lb_world_now_ns(w));

	if (set)
		lb_store(&set->entry[lb_fragment_way(set, hash, age) & (LB_FLOW_WAYS - 1)],
			 lb_fragment_entry(hash, where, age));
}

/* It went to @backend_idx, and the later ones are to. */
static __always_inline void lb_fragment_teach(struct lb_world *w, __u32 backend_idx)
{
	const struct lb_verdict_cpu *row = lb_world_verdict_cpu(w);
	const struct lb_backend *b = lb_world_backend(w, backend_idx);

	if (lb_world_has(w, LB_HAS_FRAGMENTS) && row && b)
		lb_fragment_enter(w, row->fragment, (__u32)LB_FLOW(0, 0, lb_life_of(b).gen, true, backend_idx));
}

/* It was translated, and the later ones are to find its connection. */
static __always_inline void lb_fragment_teach_ports(struct lb_world *w, __u32 ports, __u32 proto)
{
	const struct lb_verdict_cpu *row = lb_world_verdict_cpu(w);

	if (!lb_world_has(w, LB_HAS_FRAGMENTS) || !lb_world_has(w, LB_HAS_NAT) || !row)
		return;
	lb_fragment_enter(w, row->fragment, lb_fragment_ports(ports >> 16, proto));
	lb_fragment_enter(w, lb_fragment_other(row->fragment), lb_fragment_ports(ports & 0xffff, proto));
}

/* What was not parsed to the end, as it has no transport header, or not all of one. */
static __always_inline __u32 lb_fragment(struct lb_world *w)
{
	void *data = lb_world_data(w), *end = lb_world_data_end(w);
	const struct lb_conf *conf = lb_world_conf(w);
	struct lb_job j = {0};
	struct lb_fragment f;
	struct lb_flow_set *set;
	enum lb_verdict v;
	__u32 sent = 0, where;
	__be16 type;
	__u64 hash;

	lb_parse_eth(data, end, &type);
	if (!lb_world_has(w, LB_HAS_FRAGMENTS) || !type || !conf)
		return LB_V_PASS_FRAGMENT;
	v = lb_fragment_read(w, type, &f, &j.pkt);
	if (v != LB_V_FORWARDED)
		return v;
	if (f.kind != LB_FRAGMENT_LATER)
		return lb_refuse(w, &j,
				 f.flaw == LB_FRAGMENT_SOUND ? LB_V_DROP_MALFORMED : lb_fragment_verdict(f.flaw));
	hash = lb_fragment_hash(conf->hash_key, &f, &j.pkt);
	set = lb_world_frags(w, lb_fragment_set_idx(hash));
	if (!set)
		return LB_V_PASS_FRAGMENT;
	where = lb_fragment_find(set, hash, j.pkt.v6, lb_fragment_age(lb_world_now_ns(w)));
	if (lb_world_has(w, LB_HAS_NAT) && lb_fragment_is_ports(where))
		return lb_nat_ask_fragment(w, &j.pkt, f.bytes, hash, where, lb_fragment_verdict(f.flaw));
	v = lb_fragment_follow(w, &j, &f, where);
	if (v != LB_V_FORWARDED || !j.backend)
		return lb_verdict_passes(v) ? v : lb_account_flawed(w, &j, v);
	/* One datagram's fragments are packets of their own in a tunnel; IPv4 tells them apart by IDs made of this. */
	j.hash = hash ^ (__u64)(f.at >> 3) << 16;
	v = lb_forward_counted(w, &j, &sent);
	return LB_FATE(v, sent);
}

#endif
