/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The stage that lets sources in to a service, or does not. Included by pipeline.h. */
#ifndef BPF_ACCESS_H
#define BPF_ACCESS_H

#include "lb/dp/access.h"
#include "lb/dp/sanity.h"
#include "world.h"

/* What lb_judge_source is told beside the source: LB_VIP_F_ACCESS, LB_VIP_F_RATE, and these. */
#define LB_SOURCE_V4 1U
#define LB_SOURCE_OPENS 2U

/* The longest prefix decides. A service with lists has a line for everybody: none at all is no permission. */
static __always_inline bool lb_source_denied(struct lb_world *w, __u64 hi, __u64 lo, __u32 service, __u32 flags)
{
	const struct lb_access_key key = lb_access_key(hi, lo, service, flags & LB_SOURCE_V4, 128);
	const struct lb_access *found = lb_world_access(w, &key);

	return !found || found->verdict != LB_ACCESS_ALLOW;
}

static __always_inline bool lb_source_hurries(struct lb_world *w, __u64 hi, __u64 lo, __u32 service, __u32 flags)
{
	const struct lb_service *line = lb_world_service(w, service);
	const struct lb_conf *conf = lb_world_conf(w);
	struct lb_rate_set *set;
	__u64 hash;

	if (!line || !conf || !line->source_interval_ns)
		return false;
	hash = lb_rate_hash(&conf->hash, hi, lo, service, flags & LB_SOURCE_V4);
	set = lb_world_rates(w, lb_rate_set_idx(hash));
	return set && !lb_rate_admit(set, hash, line->source_interval_ns, lb_world_now_ns(w));
}

static __always_inline __u32 lb_judge_source(struct lb_world *w, __u64 hi, __u64 lo, __u32 service, __u32 flags)
{
	if (lb_world_has(w, LB_HAS_ACCESS) && flags & LB_VIP_F_ACCESS && lb_source_denied(w, hi, lo, service, flags))
		return LB_V_DROP_DENIED;
	if (lb_world_has(w, LB_HAS_SOURCE_RATE) && flags & LB_VIP_F_RATE && flags & LB_SOURCE_OPENS &&
	    lb_source_hurries(w, hi, lo, service, flags))
		return LB_V_DROP_RATE;
	return LB_V_FORWARDED;
}

/* Is there anything to ask about the sources of this packet's service? */
static __always_inline bool lb_asks_source(struct lb_world *w, const struct lb_job *j)
{
	return lb_job_flags(j) & (LB_VIP_F_ACCESS | LB_VIP_F_RATE) &&
	       lb_world_has(w, LB_HAS_ACCESS | LB_HAS_SOURCE_RATE);
}

static __always_inline enum lb_verdict lb_admit_source(struct lb_world *w, const struct lb_job *j)
{
	const struct lb_packet *p = &j->pkt;
	__u32 flags = lb_job_flags(j) & (LB_VIP_F_ACCESS | LB_VIP_F_RATE);

	flags |= (p->v6 ? 0 : LB_SOURCE_V4) | (lb_packet_opens(p) ? LB_SOURCE_OPENS : 0);
	return (enum lb_verdict)lb_world_judge_source(w, lb_packet_source(p, 0), lb_packet_source(p, 1),
						      lb_job_service(j), flags);
}

#endif
