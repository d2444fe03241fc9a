/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The stages that a packet goes through: parse, classify, select, forward, account. They are put together from the pure
 * code of include/lb/dp and from what the world around them knows and does: world.h.
 */
#ifndef BPF_PIPELINE_H
#define BPF_PIPELINE_H

#include "access.h"
#include "classify.h"
#include "forward.h"
#include "nat.h"
#include "select.h"
#include "world.h"

/* Count it for the backend that got it. */
static __always_inline void lb_account(struct lb_world *w, const struct lb_job *j)
{
	struct lb_backend_cpu *row = lb_world_backend_cpu(w, j->backend_idx);
	const struct lb_packet *p = &j->pkt;

	if (!row)
		return;
	row->pkts++;
	row->bytes += p->len;
	if (p->tcp_flags & (LB_TCP_FIN | LB_TCP_SYN | LB_TCP_RST | LB_TCP_FRAGMENT)) {
		row->conns += lb_packet_opens(p);
		row->closes += !!(p->tcp_flags & (LB_TCP_FIN | LB_TCP_RST));
		if (lb_world_has(w, LB_HAS_FRAGMENTS) && p->tcp_flags & LB_TCP_FRAGMENT)
			lb_world_fragment_teach(w, j->backend_idx);
	}
}

/* Count it for the service, as no backend does. */
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

/* Counted for its backend or, where it was not sent, for its service. */
static __always_inline __u32 lb_finish(struct lb_world *w, const struct lb_job *j, __u32 fate)
{
	if (lb_likely(LB_FATE_VERDICT(fate) == LB_V_FORWARDED)) {
		lb_account(w, j);
		return fate;
	}
	lb_account_dropped(w, j, LB_FATE_VERDICT(fate));
	return LB_FATE_VERDICT(fate) == LB_V_DROP_TOO_BIG ? LB_FATE_TOO_BIG(j->backend_idx) : fate;
}

/* Send it, and count it. */
static __always_inline __u32 lb_forward_counted(struct lb_world *w, const struct lb_job *j)
{
	return lb_finish(w, j, lb_forward(w, j));
}

/* A packet to a service whose connections are translated, or to none, as those from backends are: its fate, or @none
 * where it is none of theirs. */
static __always_inline __u32 lb_serve_nat(struct lb_world *w, struct lb_job *j, enum lb_verdict none)
{
	struct lb_nat_job n = {.len = j->pkt.len, .l4_off = j->pkt.l4_off, .v6 = j->pkt.v6};
	enum lb_verdict v;
	__u32 fate;

	if (lb_unlikely(j->pkt.tcp_flags & LB_TCP_FRAGMENT)) /* later ones have no ports to find the connection by */
		return none == LB_V_FORWARDED ? lb_account_dropped(w, j, LB_V_DROP_FRAGMENT) : none;
	n.tcp_flags = (__u8)j->pkt.tcp_flags;
	lb_nat_key(&j->pkt, &n.key);
	n.service_idx = none == LB_V_FORWARDED ? j->service_idx : 0;
	fate = lb_world_nat(w, &n);
	if (fate == LB_NAT_NOT_OURS)
		return none;
	if (fate == LB_NAT_NEW) {
		v = lb_select(w, j);
		if (lb_unlikely(v != LB_V_FORWARDED))
			return lb_account_dropped(w, j, v);
		n.backend_idx = j->backend_idx;
		fate = lb_world_nat(w, &n);
	}
	j->service_idx = n.service_idx;
	j->backend_idx = n.backend_idx;
	return LB_FATE_VERDICT(fate) == LB_V_REPLIED ? fate : lb_finish(w, j, fate);
}

/* What becomes of a packet that was parsed. */
static __always_inline __u32 lb_serve(struct lb_world *w, struct lb_job *j)
{
	enum lb_verdict v = lb_packet_flaw(&j->pkt);

	if (lb_unlikely(v != LB_V_FORWARDED)) {
		if (v == LB_V_DROP_FRAGMENT && lb_world_has(w, LB_HAS_FRAGMENTS)) {
			v = (enum lb_verdict)lb_world_fragment_first(w, j->pkt.v6);
			j->pkt.tcp_flags |= LB_TCP_FRAGMENT;
		}
		if (v != LB_V_FORWARDED)
			return lb_refuse(w, j, v);
	}
	v = lb_classify(w, j);
	if (lb_unlikely(v != LB_V_FORWARDED))
		return lb_world_has(w, LB_HAS_NAT) ? lb_serve_nat(w, j, v) : v;
	if (lb_unlikely(!lb_packet_goes_on(&j->pkt))) {
		v = lb_packet_sane(&j->pkt);
		if (lb_unlikely(v != LB_V_FORWARDED))
			return lb_account_dropped(w, j, v);
		if (lb_world_has(w, LB_HAS_MSS) && j->pkt.tcp_flags & LB_TCP_SYN)
			lb_world_clamp(w, j->service_idx, j->pkt.l4_off);
	}
	if (lb_unlikely(lb_asks_source(w, j))) {
		v = lb_admit_source(w, j);
		if (lb_unlikely(v != LB_V_FORWARDED))
			return lb_account_dropped(w, j, v);
	}
	if (lb_world_has(w, LB_HAS_NAT) && j->vip_flags & LB_VIP_F_NAT)
		return lb_serve_nat(w, j, LB_V_FORWARDED);
	v = lb_select(w, j);
	if (lb_unlikely(v != LB_V_FORWARDED))
		return lb_account_dropped(w, j, v);
	return lb_forward_counted(w, j);
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

/* Off the fast path: a packet without the headers of a flow may still be about one, or a part of one's; and the sender
 * of one that does not fit can do something about it. */
static __always_inline __u32 lb_look_closer(struct lb_world *w, __u32 fate)
{
	const enum lb_verdict v = LB_FATE_VERDICT(fate);

	if (v == LB_V_PASS_PROTOCOL && lb_world_has(w, LB_HAS_ICMP | LB_HAS_PING))
		return lb_world_icmp(w);
	if (v == LB_V_PASS_FRAGMENT && lb_world_has(w, LB_HAS_FRAGMENTS))
		fate = lb_world_fragment(w);
	if (LB_FATE_VERDICT(fate) != LB_V_DROP_TOO_BIG)
		return fate;
	return lb_world_has(w, LB_HAS_ICMP) ? lb_world_too_big(w, LB_FATE_BACKEND(fate)) : LB_V_DROP_TOO_BIG;
}

/* Every packet is counted once by its verdict, where no backend counts it. */
static __always_inline __u32 lb_pipeline(struct lb_world *w)
{
	__u32 fate = lb_judge(w);

	if (lb_unlikely(LB_FATE_VERDICT(fate) != LB_V_FORWARDED)) {
		struct lb_verdict_cpu *row;

		fate = lb_look_closer(w, lb_forget(fate, lb_world_ingress(w)));
		row = lb_world_verdict_cpu(w);
		if (row && LB_FATE_VERDICT(fate) != LB_V_FORWARDED)
			row->pkts[fate & (LB_VERDICTS_MAX - 1)]++;
	}
	return fate;
}

#include "fragment.h"
#include "icmp.h"
#include "mss.h"

#endif
