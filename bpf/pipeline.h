/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The stages that a packet goes through: parse, classify, select, forward, account. They are put together from the pure
 * code of include/lb/dp and from what the world around them knows and does: world.h.
 */
#ifndef BPF_PIPELINE_H
#define BPF_PIPELINE_H

#include "classify.h"
#include "forward.h"
#include "mss.h"
#include "nat.h"
#include "select.h"
#include "vlan.h"
#include "world.h"

/* Count it for the backend that got it. LB_V_FORWARDED, or LB_CLAMP_ASKED. */
static __always_inline enum lb_verdict lb_account(struct lb_world *w, const struct lb_job *j)
{
	struct lb_backend_cpu *row = lb_world_backend_cpu(w, j->backend_idx);
	const struct lb_packet *p = &j->pkt;

	if (lb_unlikely(!row))
		return LB_V_FORWARDED;
	row->pkts++;
	row->bytes += p->len;
	if (lb_unlikely(p->tcp_flags & (LB_TCP_FIN | LB_TCP_SYN | LB_TCP_RST | LB_TCP_FRAGMENT))) {
		if (lb_packet_opens(p))
			row->conns++;
		else if (p->tcp_flags & (LB_TCP_FIN | LB_TCP_RST))
			row->closes++;
		if (lb_world_has(w, LB_HAS_FRAGMENTS) && p->tcp_flags & LB_TCP_FRAGMENT)
			lb_world_fragment_teach(w, j->backend_idx);
		if (lb_clamps(w, p))
			return lb_answer(LB_CLAMP_ASKED);
	}
	return LB_V_FORWARDED;
}

/* Count it for the service, as no backend does. */
static __always_inline enum lb_verdict lb_account_dropped(struct lb_world *w, const struct lb_job *j, enum lb_verdict v)
{
	struct lb_service_cpu *row = lb_world_service_cpu(w, LB_VIP_WORD_SERVICE(lb_rarely(j->vip_word)));

	if (row) {
		row->total.pkts++;
		row->total.bytes += j->pkt.len;
	}
	return v;
}

/* The same of one whose length may be wrong. */
static __always_inline enum lb_verdict lb_account_flawed(struct lb_world *w, struct lb_job *j, enum lb_verdict v)
{
	if (j->pkt.len > j->pkt.room)
		j->pkt.len = j->pkt.room;
	return lb_account_dropped(w, j, v);
}

/* A packet that is not as it should be: dropped when it is for a service, else it is the host's. */
static __always_inline enum lb_verdict lb_refuse(struct lb_world *w, struct lb_job *j, enum lb_verdict flaw)
{
	enum lb_verdict v = lb_classify(w, j);

	return v == LB_V_FORWARDED ? lb_account_flawed(w, j, flaw) : v;
}

/* Send it, and count it. @sent: the program's return value; of LB_V_DROP_TOO_BIG for which backend, see
 * LB_FATE_TOO_BIG_FOR. */
static __always_inline enum lb_verdict lb_forward_counted(struct lb_world *w, const struct lb_job *j, __u32 *sent)
{
	enum lb_verdict v = lb_forward(w, j, sent);

	if (lb_likely(v == LB_V_FORWARDED))
		return lb_account(w, j);
	*sent = v == LB_V_DROP_TOO_BIG ? j->backend_idx : 0;
	return lb_account_dropped(w, j, v);
}

/* A packet to the service @service_idx, whose connections are translated, or to none, 0, as those from backends are. It
 * is put aside for lb_serve_nat, which is there once and not in each copy of the stages; a common one is left to it as
 * it is. */
static __always_inline enum lb_verdict lb_nat_ask(struct lb_world *w, const struct lb_job *j, __u32 service_idx,
						  __u32 *sent)
{
	const struct lb_packet *p = &j->pkt;
	struct lb_nat_work *work;

	if (j->common) {
		*sent = service_idx;
		return LB_NAT_COMMON_ASKED;
	}
	work = lb_world_nat_work(w);
	if (!work)
		return LB_V_PASS_NO_SERVICE;
	lb_nat_key(p, &work->job.key);
	work->job.len = p->len;
	work->job.l4_off = p->l4_off;
	work->job.service_idx = service_idx;
	work->job.backend_idx = 0;
	work->job.tcp_flags = (__u8)p->tcp_flags;
	work->job.fragment = p->tcp_flags & LB_TCP_FRAGMENT;
	work->job.v6 = p->v6;
	return LB_NAT_ASKED;
}

/* The job of which that is left, to be classified again. */
static __always_inline void lb_nat_job(const struct lb_nat_work *work, struct lb_job *j)
{
	const struct lb_nat_job *n = &work->job;
	struct lb_packet *p = &j->pkt;

	p->v6 = n->v6;
	p->saddr[0] = n->key.saddr[0];
	p->saddr[1] = n->key.saddr[1];
	p->saddr4 = lb_addr_to4(n->key.saddr[1]);
	p->daddr[0] = n->key.daddr[0];
	p->daddr[1] = n->key.daddr[1];
	p->daddr4 = lb_addr_to4(n->key.daddr[1]);
	p->ports = n->key.ports;
	p->proto = (__u8)n->key.proto;
	p->tcp_flags = n->tcp_flags;
	p->len = n->len;
	p->l4_off = n->l4_off;
}

/* Who gets the connection that it opens? */
static __always_inline __u32 lb_nat_choose(struct lb_world *w)
{
	struct lb_nat_work *work = lb_world_nat_work(w);
	struct lb_job j = {.translated = true};
	enum lb_verdict v;

	/* here as well: old kernels verify it also where nobody calls it */
	if (!lb_world_has(w, LB_HAS_NAT) || !work)
		return LB_V_DROP_NO_BACKEND;
	lb_nat_job(work, &j);
	if (lb_classify(w, &j) != LB_V_FORWARDED || lb_job_service(&j) != work->job.service_idx)
		return LB_V_DROP_NO_BACKEND;				/* it was another one's a moment ago */
	j.vip_word &= ~LB_VIP_WORD(0, LB_VIP_F_ACCESS | LB_VIP_F_RATE); /* was asked */
	v = lb_select(w, &j);
	if (v == LB_V_FORWARDED)
		work->job.backend_idx = j.backend_idx;
	return v;
}

/* A client that is remembered is not silent while one of its connections speaks. What opens one says nothing: it may be
 * anybody's. */
static __always_inline void lb_nat_client_speaks(struct lb_world *w, const struct lb_nat_job *n)
{
	const struct lb_service *s = lb_world_service(w, n->service_idx);
	struct lb_flow_query q = {.service_idx = n->service_idx};
	struct lb_packet p = {.v6 = n->v6};

	if (n->fate == LB_NAT_NEW || !s || !s->sticky_ticks)
		return;
	p.saddr[0] = n->key.saddr[0];
	p.saddr[1] = n->key.saddr[1];
	p.saddr4 = lb_addr_to4(n->key.saddr[1]);
	q.source = lb_world_source(w, &p, n->service_idx);
	lb_world_choose_again(w, q);
}

/* Count it, as its @fate says. The fate as lb_look_closer wants it. */
static __always_inline __u32 lb_nat_account(struct lb_world *w, __u32 fate)
{
	const enum lb_verdict v = LB_FATE_VERDICT(fate);
	struct lb_nat_work *work = lb_world_nat_work(w);
	struct lb_job j = {0};

	if (!lb_world_has(w, LB_HAS_NAT) || !work)
		return fate;
	if (lb_world_has(w, LB_HAS_FRAGMENTS) && work->job.fragment && (v == LB_V_FORWARDED || v == LB_V_REPLIED))
		lb_world_fragment_teach_ports(w, work->job.key.ports, work->job.key.proto);
	if (v == LB_V_REPLIED)
		return fate;
	if (lb_world_has(w, LB_HAS_AFFINITY) && v == LB_V_FORWARDED)
		lb_nat_client_speaks(w, &work->job);
	j.pkt.tcp_flags = work->job.tcp_flags;
	j.pkt.len = work->job.len;
	j.vip_word = LB_VIP_WORD(work->job.service_idx, 0);
	j.backend_idx = work->job.backend_idx;
	j.pkt.proto = (__u8)work->job.key.proto;
	if (v == LB_V_FORWARDED)
		return LB_FATE(lb_account(w, &j), LB_FATE_SENT(fate));
	lb_account_dropped(w, &j, v);
	return v == LB_V_DROP_TOO_BIG ? fate : (__u32)v;
}

/* What becomes of it, which came with @tags, and for which @asked was: its fate. */
static __always_inline __u32 lb_serve_nat(struct lb_world *w, __u32 asked, __u64 tags)
{
	struct lb_nat_work *work = lb_world_nat_work(w);
	struct lb_conn *c;
	__u32 fate;

	if (!work)
		return LB_V_PASS_NO_SERVICE;
	work->job.tags = tags;
	c = lb_world_nat_find(w, &work->job, asked);
	if (lb_unlikely(!c)) {
		fate = work->job.fate;
		if (fate == LB_NAT_NOT_OURS)
			return LB_V_PASS_NO_SERVICE;
		if (fate == LB_NAT_NEW) {
			fate = lb_world_nat_choose(w);
			if (fate == LB_V_FORWARDED)
				fate = lb_nat_see_to(w, &work->job);
		}
		if (fate != LB_V_FORWARDED)
			return lb_world_nat_account(w, fate & 0xff);
		c = lb_world_conn(w, &work->job.key);
		if (!c)
			return lb_world_nat_account(w, LB_V_DROP_NAT_NO_ENTRY);
	}
	return lb_world_nat_account(w, lb_world_nat(w, &work->job, c));
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
	if (!common) {
		lb_packet_forget(&j->pkt, lb_world_ingress(w));
		if (v == LB_V_DROP_FRAGMENT && lb_world_has(w, LB_HAS_FRAGMENTS)) {
			v = (enum lb_verdict)lb_world_fragment_first(w, j->pkt.v6);
			j->pkt.tcp_flags |= LB_TCP_FRAGMENT;
		}
		v = (enum lb_verdict)lb_forget(v, lb_world_ingress(w));
		lb_packet_forget(&j->pkt, lb_world_ingress(w));
	}
	if (lb_unlikely(v != LB_V_FORWARDED))
		return lb_refuse(w, j, v);
	v = lb_classify(w, j);
	if (lb_unlikely(v != LB_V_FORWARDED)) {
		if (!lb_world_has(w, LB_HAS_NAT))
			return v;
		if (common)
			lb_parse_source(&j->pkt);
		if (lb_nat_line_reply(w, j, sent)) /* what backends answer is to no service */
			return LB_V_REPLIED;
		return lb_nat_ask(w, j, 0, sent);
	}
	if (common)
		lb_parse_source(&j->pkt);
	if (lb_unlikely(!lb_packet_goes_on(&j->pkt))) {
		const struct lb_packet again = common ? lb_parse_again(&j->pkt) : j->pkt;

		v = lb_packet_sane(&again);
		if (lb_unlikely(v != LB_V_FORWARDED))
			return lb_account_dropped(w, j, v);
		if (lb_clamps(w, &j->pkt))
			lb_clamp_note(w, j);
	}
	if (lb_unlikely(lb_world_has(w, LB_HAS_NAT)) && lb_job_flags(j) & LB_VIP_F_NAT) {
		if (common)
			j->pkt = lb_parse_again(&j->pkt);
		v = lb_asks_source(w, j) ? lb_admit_source(w, j) : LB_V_FORWARDED;
		if (v != LB_V_FORWARDED)
			return lb_account_dropped(w, j, v);
		if (lb_nat_line_forward(w, j, sent))
			return LB_V_FORWARDED;
		return lb_nat_ask(w, j, lb_job_service(j), sent);
	}
	v = lb_select(w, j);
	if (lb_unlikely(v != LB_V_FORWARDED))
		return lb_account_dropped(w, j, v);
	return lb_forward_counted(w, j, sent);
}

/* Each protocol has a copy of the stages of its own, in which the other's branches and words are not. What is neither
 * has none here. */
static __always_inline bool lb_serve_protocol(struct lb_world *w, struct lb_job *j, const void *end, enum lb_verdict *v,
					      __u32 *sent)
{
	if (lb_likely(j->pkt.proto == IPPROTO_TCP)) {
		j->pkt.proto = IPPROTO_TCP;
		*v = lb_serve(w, j, end, true, sent);
		return true;
	}
	if (lb_unlikely(j->pkt.proto != IPPROTO_UDP))
		return false;
	j->pkt.proto = IPPROTO_UDP;
	*v = lb_serve(w, j, end, true, sent);
	return true;
}

/* Is the frame for this host? @data has an Ethernet header. */
static __always_inline bool lb_is_ours(struct lb_world *w, const void *data)
{
	__u32 ifindex = lb_world_ingress(w);

	return lb_eth_is_to(data, lb_world_link(w, ifindex % LB_LINKS), ifindex);
}

/* So has each family. What is rare is left to lb_serve_odd: SCTP, what has something between the IP header and the
 * transport header, and fragments. */
static __always_inline enum lb_verdict lb_judge_ip4(struct lb_world *w, const void *ip, const void *end, __u64 tags,
						    __u32 *sent)
{
	struct lb_job j = {.tags = tags};
	enum lb_verdict v;

	if (lb_unlikely(!lb_ip4_common(ip))) {
		/* lb_icmp asks of those what lb_serve_odd would */
		if (lb_world_has(w, LB_HAS_ICMP) && ((const struct iphdr *)ip)->protocol == IPPROTO_ICMP)
			return lb_answer(LB_V_PASS_PROTOCOL);
		return lb_answer(LB_ODD_ASKED);
	}
	ip = lb_rarely(ip); /* what is read of it from here on is not what was compared */
	lb_parse_ip4(ip, &j.pkt, true);
	if (lb_serve_protocol(w, &j, end, &v, sent))
		return v;
	return lb_proto_is_followed(j.pkt.proto) ? lb_answer(LB_ODD_ASKED) : lb_answer(LB_V_PASS_PROTOCOL);
}

static __always_inline enum lb_verdict lb_judge_ip6(struct lb_world *w, const void *ip, const void *end, __u32 *sent)
{
	struct lb_job j = {0};
	enum lb_verdict v;

	if (lb_unlikely(ip + sizeof(struct ipv6hdr) > end))
		return lb_answer(LB_V_PASS_TRUNCATED);
	if (lb_unlikely(!lb_ip6_common(ip)))
		return lb_answer(LB_ODD_ASKED);
	v = lb_parse_ip6(ip, end, &j.pkt, true);
	if (lb_unlikely(v != LB_V_FORWARDED) || lb_serve_protocol(w, &j, end, &v, sent))
		return v;
	return lb_answer(LB_ODD_ASKED);
}

/* The fate of a rare one. In one place, behind the fast path: a verifier gets there once. Each family has a copy here,
 * too. */
static __always_inline __u32 lb_serve_odd(struct lb_world *w)
{
	void *data = lb_world_data(w), *end = lb_world_data_end(w), *ip = data + sizeof(struct ethhdr);
	struct lb_job j = {0};
	enum lb_verdict v;
	__u32 sent = 0;
	__be16 type;

	lb_parse_eth(data, end, &type);
	if (!type || ip + sizeof(struct iphdr) > end)
		return LB_V_PASS_TRUNCATED;
	if (type == lb_htons(ETH_P_IP)) {
		v = lb_parse_ip4(ip, &j.pkt, false);
		if (v != LB_V_FORWARDED)
			return v;
		v = lb_serve(w, &j, end, false, &sent);
	} else {
		v = lb_parse_ip6(ip, end, &j.pkt, false);
		if (v != LB_V_FORWARDED)
			return v;
		v = lb_serve(w, &j, end, false, &sent);
	}
	return LB_FATE(v, sent);
}

/* @tags: that were taken off the frame. */
static __always_inline enum lb_verdict lb_judge(struct lb_world *w, __u64 tags, __u32 *sent)
{
	void *data = lb_world_data(w), *end = lb_world_data_end(w), *ip = data + sizeof(struct ethhdr);
	enum lb_verdict v;
	__be16 type;

	/* one question for both headers: what is too short for them is no packet of a flow */
	if (lb_unlikely(ip + sizeof(struct iphdr) > end)) {
		v = lb_parse_eth(data, end, &type);
		if (type != lb_htons(ETH_P_IP) && type != lb_htons(ETH_P_IPV6))
			return v;
		return lb_is_ours(w, data) ? LB_V_PASS_TRUNCATED : LB_V_PASS_OTHER_HOST;
	}
	type = lb_get16(data + 12);
	if (lb_likely(type == lb_htons(ETH_P_IP))) {
		if (lb_unlikely(!lb_is_ours(w, data)))
			return lb_answer(LB_V_PASS_OTHER_HOST);
		return lb_judge_ip4(w, lb_rarely(ip), end, tags, sent);
	}
	if (lb_unlikely(type != lb_htons(ETH_P_IPV6)))
		return lb_answer(LB_V_PASS_NOT_IP);
	if (lb_unlikely(!lb_is_ours(w, data)))
		return lb_answer(LB_V_PASS_OTHER_HOST);
	return lb_judge_ip6(w, ip, end, sent);
}

/* Off the fast path: a packet without the headers of a flow may still be about one, or a part of one's; and the sender
 * of one that does not fit can do something about it. */
static __always_inline __u32 lb_look_closer(struct lb_world *w, __u32 fate, __u64 tags)
{
	__u32 v;

	if (fate == LB_ODD_ASKED)
		fate = lb_forget(lb_serve_odd(w), lb_world_ingress(w));
	v = fate; /* what is asked of it here was not sent */
	if (v == LB_V_PASS_PROTOCOL && lb_world_has(w, LB_HAS_ICMP | LB_HAS_PING))
		fate = lb_world_icmp(w);
	if (LB_FATE_VERDICT(fate) == LB_V_FORWARDED_ICMP)
		return fate;
	if (LB_FATE_VERDICT(v) >= LB_NAT_ASKED && lb_world_has(w, LB_HAS_NAT)) {
		if (LB_FATE_VERDICT(v) == LB_NAT_COMMON_ASKED) {
			fate = lb_world_nat_line6(w, LB_FATE_SENT(v), tags);
			if (fate != LB_NAT_COMMON_ASKED)
				return fate; /* it is sent, and that is all */
		}
		fate = lb_serve_nat(w, v, tags);
	}
	if (v == LB_V_PASS_FRAGMENT && lb_world_has(w, LB_HAS_FRAGMENTS))
		fate = lb_world_fragment(w);
	if (fate == LB_NAT_ASKED && lb_world_has(w, LB_HAS_NAT))
		fate = lb_world_nat_part(w);
	fate = lb_forget(fate, lb_world_ingress(w)); /* a verifier would go on once for each of those */
	if (LB_FATE_VERDICT(fate) == LB_CLAMP_ASKED && lb_world_has(w, LB_HAS_MSS)) {
		lb_world_clamp(w);
		return LB_FATE(LB_V_FORWARDED, LB_FATE_SENT(fate));
	}
	if (LB_FATE_VERDICT(fate) != LB_V_DROP_TOO_BIG)
		return fate;
	return lb_world_has(w, LB_HAS_ICMP) ? lb_world_too_big(w, LB_FATE_SENT(fate)) : LB_V_DROP_TOO_BIG;
}

/* Takes the tags off; 0: there are none. They are one word to a verifier: else it would see the stages once for each
 * number of tags. */
static __always_inline __u64 lb_untag(struct lb_world *w)
{
	__u64 tags = 0;

	if (lb_unlikely(lb_vlan_is_tagged(lb_world_data(w), lb_world_data_end(w))))
		tags = lb_world_vlan_pop(w);
	return lb_forget64(tags, lb_world_ingress(w));
}

/* Every packet is counted once by its verdict, where no backend counts it. @sent: 0; the program's return value, 0
 * where that is the verdict's. */
static __always_inline enum lb_verdict lb_pipeline(struct lb_world *w, __u32 *sent)
{
	const __u64 tags = lb_world_has(w, LB_HAS_VLAN) ? lb_untag(w) : 0;
	enum lb_verdict v = lb_judge(w, tags, sent);

	if (lb_unlikely(v != LB_V_FORWARDED)) {
		__u32 fate = lb_look_closer(w, lb_forget(LB_FATE(v, *sent), lb_world_ingress(w)), tags);
		struct lb_verdict_cpu *row;

		if (tags)
			fate = lb_vlan_restore(w, fate, tags);
		v = LB_FATE_VERDICT(fate);
		*sent = LB_FATE_SENT(fate);
		if (lb_likely(v != LB_V_FORWARDED)) {
			row = lb_world_verdict_cpu(w);
			if (row)
				row->pkts[v & (LB_VERDICTS_MAX - 1)]++;
		}
	}
	return v;
}

#include "fragment.h"
#include "icmp.h"

#endif
