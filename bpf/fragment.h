/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fragments, off the fast path: the first of a datagram goes where its flow goes, and the later ones follow it.
 * Included by pipeline.h.
 */
#ifndef BPF_FRAGMENT_H
#define BPF_FRAGMENT_H

#include "lb/dp/fragment.h"
#include "access.h"
#include "classify.h"
#include "forward.h"
#include "select.h"
#include "world.h"

static __always_inline enum lb_verdict lb_fragment_verdict(enum lb_fragment_flaw flaw)
{
	if (flaw == LB_FRAGMENT_SOUND)
		return LB_V_FORWARDED;
	if (flaw == LB_FRAGMENT_TINY)
		return LB_V_DROP_FRAGMENT_TINY;
	return flaw == LB_FRAGMENT_OVERLAP ? LB_V_DROP_FRAGMENT_OVERLAP : LB_V_DROP_MALFORMED;
}

/* The first one: chooses, and leaves word of it. */
static __always_inline enum lb_verdict lb_fragment_lead(struct lb_world *w, struct lb_job *j,
							const struct lb_fragment *f, struct lb_flow_set *set,
							__u64 hash, __u8 age)
{
	enum lb_verdict v = lb_classify(w, j);

	if (v == LB_V_FORWARDED)
		v = lb_fragment_verdict(f->flaw);
	if (v == LB_V_FORWARDED)
		v = lb_admit(w, j);
	if (v == LB_V_FORWARDED)
		v = lb_select(w, j);
	if (v == LB_V_FORWARDED)
		lb_store(&set->entry[lb_fragment_way(set, hash, age) & (LB_FLOW_WAYS - 1)],
			 lb_fragment_entry(hash, (__u32)LB_FLOW(0, 0, j->life.gen, true, j->backend_idx), age));
	return v;
}

/* A later one: follows. Who knows whose it is when its first one was not seen, or went to one who is gone? */
static __always_inline enum lb_verdict lb_fragment_follow(struct lb_world *w, struct lb_job *j,
							  const struct lb_fragment *f, const struct lb_flow_set *set,
							  __u64 hash, __u8 age)
{
	__u32 where = lb_fragment_find(set, hash, j->pkt.v6, age);

	if (!where)
		return LB_V_PASS_FRAGMENT;
	j->backend_idx = LB_FLOW_BACKEND(where);
	j->backend = lb_world_backend(w, j->backend_idx);
	if (!j->backend)
		return LB_V_PASS_FRAGMENT;
	j->life = lb_life_of(j->backend);
	j->service_idx = j->backend->service;
	if (j->life.gen != LB_FLOW_GEN(where) || !(j->life.flags & LB_BACKEND_F_ALIVE))
		return LB_V_PASS_FRAGMENT;
	return lb_fragment_verdict(f->flaw);
}

static __always_inline __u32 lb_fragment(struct lb_world *w)
{
	void *data = lb_world_data(w), *end = lb_world_data_end(w);
	const struct lb_conf *conf = lb_world_conf(w);
	struct lb_job j = {0};
	struct lb_fragment f;
	struct lb_flow_set *set;
	enum lb_verdict v;
	__be16 type;
	__u64 hash;
	__u8 age;

	lb_parse_eth(data, end, &type);
	if (!lb_world_has(w, LB_HAS_FRAGMENTS) || !type || !conf)
		return LB_V_PASS_FRAGMENT;
	v = type == lb_htons(ETH_P_IP) ? lb_fragment_parse4(data + sizeof(struct ethhdr), end, &f, &j.pkt)
				       : lb_fragment_parse6(data + sizeof(struct ethhdr), end, &f, &j.pkt);
	if (v != LB_V_FORWARDED)
		return v;
	hash = lb_fragment_hash(conf->hash_key, &f, &j.pkt);
	set = lb_world_frags(w, lb_fragment_set_idx(hash));
	if (!set || f.kind == LB_FRAGMENT_WHOLE)
		return LB_V_PASS_FRAGMENT;
	age = lb_fragment_age(lb_world_now_ns(w));
	/* Asked once: an old verifier forgets the answer, and would see packets without a backend. */
	v = f.kind == LB_FRAGMENT_FIRST ? lb_fragment_lead(w, &j, &f, set, hash, age)
					: lb_fragment_follow(w, &j, &f, set, hash, age);
	if (v != LB_V_FORWARDED || !j.backend)
		return lb_verdict_passes(v) ? v : lb_account_dropped(w, &j, v);
	/* One datagram's fragments are packets of their own in a tunnel; IPv4 tells them apart by IDs made of this. */
	j.hash = hash ^ (__u64)(f.at >> 3) << 16;
	return lb_forward_or_refuse(w, &j);
}

#endif
