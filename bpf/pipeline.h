/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The stages that a packet goes through: parse, classify, select, forward, account. They are put together from the pure
 * code of include/lb/dp and from what the world around them knows and does: world.h.
 */
#ifndef BPF_PIPELINE_H
#define BPF_PIPELINE_H

#include "classify.h"
#include "forward.h"
#include "select.h"
#include "world.h"
#include "lb/dp/sanity.h"

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
	struct lb_service_cpu *row = lb_world_service_cpu(w, lb_job_service(j));

	if (row) {
		row->total.pkts++;
		row->total.bytes += j->pkt.len;
	}
	return v;
}

/* A packet that is not as it should be: dropped when it is for a service, else it is the host's. Its length may be one
 * of its flaws. */
static __always_inline enum lb_verdict lb_refuse(struct lb_world *w, struct lb_job *j, enum lb_verdict flaw)
{
	enum lb_verdict v = lb_classify(w, j);

	if (v != LB_V_FORWARDED)
		return v;
	if (j->pkt.len > j->pkt.room)
		j->pkt.len = j->pkt.room;
	return lb_account_dropped(w, j, flaw);
}

/* What becomes of a packet whose IP header was parsed. @common: the transport header lies where it nearly always does.
 * Where it may lie anywhere it is read at once, or the verifier would follow each place to the end. */
static __always_inline enum lb_verdict lb_serve(struct lb_world *w, struct lb_job *j, const void *end,
						const bool common, __u32 *sent)
{
	enum lb_verdict v = lb_parse_l4(end, &j->pkt);

	if (lb_unlikely(v != LB_V_FORWARDED))
		return v;
	j->common = common;
	if (!common)
		lb_parse_source(&j->pkt);
	v = lb_packet_flaw(&j->pkt);
	if (lb_unlikely(v != LB_V_FORWARDED))
		return lb_refuse(w, j, v);
	v = lb_classify(w, j);
	if (lb_unlikely(v != LB_V_FORWARDED))
		return v;
	if (common)
		lb_parse_source(&j->pkt);
	if (lb_unlikely(!lb_packet_goes_on(&j->pkt))) {
		v = lb_packet_sane(&j->pkt);
		if (lb_unlikely(v != LB_V_FORWARDED))
			return lb_account_dropped(w, j, v);
	}
	v = lb_select(w, j);
	if (lb_unlikely(v != LB_V_FORWARDED))
		return lb_account_dropped(w, j, v);
	v = lb_forward(w, j, sent);
	if (lb_unlikely(v != LB_V_FORWARDED))
		return lb_account_dropped(w, j, v);
	lb_account(w, j);
	return LB_V_FORWARDED;
}

/* Each protocol has a copy of the stages of its own, in which the other's branches and words are not. */
static __always_inline enum lb_verdict lb_serve_protocol(struct lb_world *w, struct lb_job *j, const void *end,
							 __u32 *sent)
{
	if (lb_likely(j->pkt.proto == IPPROTO_TCP)) {
		j->pkt.proto = IPPROTO_TCP;
		return lb_serve(w, j, end, true, sent);
	}
	j->pkt.proto = IPPROTO_UDP;
	return lb_serve(w, j, end, true, sent);
}

/* Is the frame for this host? @data has an Ethernet header. */
static __always_inline bool lb_is_ours(struct lb_world *w, const void *data)
{
	__u32 ifindex = lb_world_ingress(w);

	return lb_eth_is_to(data, lb_world_link(w, ifindex % LB_LINKS), ifindex);
}

/* So has each family, and what has something between the IP header and the transport header, or is a fragment. */
static __always_inline enum lb_verdict lb_judge_ip4(struct lb_world *w, const void *ip, const void *end, __u32 *sent)
{
	struct lb_job j = {0};
	enum lb_verdict v;

	if (lb_unlikely(ip + sizeof(struct iphdr) > end))
		return lb_answer(LB_V_PASS_TRUNCATED);
	if (lb_likely(lb_ip4_common(ip))) {
		v = lb_parse_ip4(ip, &j.pkt, true);
		return v == LB_V_FORWARDED ? lb_serve_protocol(w, &j, end, sent) : v;
	}
	v = lb_parse_ip4(ip, &j.pkt, false);
	return v == LB_V_FORWARDED ? lb_serve(w, &j, end, false, sent) : v;
}

static __always_inline enum lb_verdict lb_judge_ip6(struct lb_world *w, const void *ip, const void *end, __u32 *sent)
{
	struct lb_job j = {0};
	enum lb_verdict v = lb_parse_ip6(ip, end, &j.pkt);

	if (v != LB_V_FORWARDED)
		return v;
	if (lb_unlikely(j.pkt.l4_off != sizeof(struct ipv6hdr)))
		return lb_serve(w, &j, end, false, sent);
	j.pkt.l4_off = sizeof(struct ipv6hdr);
	return lb_serve_protocol(w, &j, end, sent);
}

static __always_inline enum lb_verdict lb_judge(struct lb_world *w, __u32 *sent)
{
	void *data = lb_world_data(w), *end = lb_world_data_end(w), *ip = data + sizeof(struct ethhdr);
	enum lb_verdict v;
	__be16 type;

	v = lb_parse_eth(data, end, &type);
	if (lb_likely(type == lb_htons(ETH_P_IP))) {
		if (lb_unlikely(!lb_is_ours(w, data)))
			return lb_answer(LB_V_PASS_OTHER_HOST);
		return lb_judge_ip4(w, ip, end, sent);
	}
	if (lb_unlikely(type != lb_htons(ETH_P_IPV6)))
		return lb_answer(v);
	if (lb_unlikely(!lb_is_ours(w, data)))
		return lb_answer(LB_V_PASS_OTHER_HOST);
	return lb_judge_ip6(w, ip, end, sent);
}

/* Every packet is counted once by its verdict, where no backend counts it. @sent: the program's return value where that
 * is LB_V_FORWARDED. */
static __always_inline enum lb_verdict lb_pipeline(struct lb_world *w, __u32 *sent)
{
	enum lb_verdict v = lb_judge(w, sent);

	if (lb_unlikely(v != LB_V_FORWARDED)) {
		struct lb_verdict_cpu *row = lb_world_verdict_cpu(w);

		if (row)
			row->pkts[v & (LB_VERDICTS_MAX - 1)]++;
	}
	return v;
}

#endif
