/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ICMP, off the fast path: errors about flows, echo requests, and refusals of what does not fit. Each stage reads the
 * frame anew, as it may run in a frame of its own. Included by pipeline.h.
 */
#ifndef BPF_ICMP_H
#define BPF_ICMP_H

#include "lb/dp/flow.h"
#include "lb/dp/icmp.h"
#include "classify.h"
#include "forward.h"
#include "nat_parts.h"
#include "select.h"
#include "world.h"

#define LB_ANSWER_RATE 1000 /* refusals that a CPU makes in a second at most */

/* An error goes where the packets of its flow go, and leaves no trace in the flow cache. */
static __always_inline __u32 lb_serve_error(struct lb_world *w, struct lb_job *j)
{
	enum lb_verdict v = lb_classify(w, j);
	__u32 sent;

	/* what a connection's addresses are behind its VIP, its entry alone knows */
	if (lb_unlikely(v != LB_V_FORWARDED))
		return lb_world_has(w, LB_HAS_NAT) ? lb_nat_ask_error(w, j, v) : v;
	if (lb_world_has(w, LB_HAS_NAT) && lb_job_flags(j) & LB_VIP_F_NAT)
		return lb_nat_ask_error(w, j, LB_V_FORWARDED);
	if (j->pkt.len > j->pkt.room)
		return lb_account_flawed(w, j, LB_V_DROP_MALFORMED);
	v = lb_select(w, j);
	if (v != LB_V_FORWARDED)
		return lb_account_dropped(w, j, v);
	v = lb_forward(w, j, &sent);
	if (v != LB_V_FORWARDED)
		return lb_account_dropped(w, j, v);
	lb_account_dropped(w, j, LB_V_FORWARDED_ICMP);
	return LB_FATE(LB_V_FORWARDED_ICMP, sent);
}

/* An echo request to a VIP that answers them; @ip has an IP header. */
static __always_inline __u32 lb_echo(struct lb_world *w, bool v6)
{
	void *data = lb_world_data(w), *end = lb_world_data_end(w), *ip = data + sizeof(struct ethhdr);
	struct lb_job j = {.pkt = {.v6 = v6, .proto = v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP}};

	if (ip + (v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr)) > end)
		return LB_V_PASS_TRUNCATED;
	if (v6) {
		j.pkt.daddr[0] = lb_get64(ip + 24);
		j.pkt.daddr[1] = lb_get64(ip + 32);
	} else {
		j.pkt.daddr4 = lb_get32(ip + 16);
	}
	if (lb_classify(w, &j) != LB_V_FORWARDED || !(v6 ? lb_icmp_echo6(ip, end) : lb_icmp_echo4(ip, end)))
		return LB_V_PASS_PROTOCOL;
	lb_icmp_eth_turn(data, data);
	return lb_answer_with(w, LB_V_ANSWERED_ECHO);
}

/* A packet of no protocol that a service has. */
static __always_inline __u32 lb_icmp(struct lb_world *w)
{
	void *data = lb_world_data(w), *end = lb_world_data_end(w);
	struct lb_job j = {.look_only = true};
	enum lb_verdict v = LB_V_PASS_PROTOCOL;
	__be16 type;

	if (data + sizeof(struct ethhdr) + sizeof(struct iphdr) > end)
		return LB_V_PASS_TRUNCATED;
	type = lb_get16(data + 12);
	if (lb_world_has(w, LB_HAS_ICMP) && type == lb_htons(ETH_P_IP)) {
		v = lb_icmp_parse4(data + sizeof(struct ethhdr), end, &j.pkt);
		if (v == LB_V_FORWARDED)
			return lb_serve_error(w, &j);
	} else if (lb_world_has(w, LB_HAS_ICMP)) {
		v = lb_icmp_parse6(data + sizeof(struct ethhdr), end, &j.pkt);
		if (v == LB_V_FORWARDED)
			return lb_serve_error(w, &j);
	}
	if (v != LB_V_PASS_PROTOCOL || !lb_world_has(w, LB_HAS_PING))
		return v;
	return type == lb_htons(ETH_P_IP) ? lb_echo(w, false) : lb_echo(w, true);
}

/* The frame as what says that @mtu bytes would have been right: its first @quote bytes behind new headers. */
static __always_inline __u32 lb_refuse_big(struct lb_world *w, bool v6, __u32 quote, __u32 mtu)
{
	const int room = v6 ? LB_ICMP6_ROOM : LB_ICMP4_ROOM;
	void *data, *end;

	if (!lb_world_cut(w, sizeof(struct ethhdr) + quote))
		return LB_V_DROP_TOO_BIG;
	if (!lb_world_grow(w, room))
		return LB_V_DROP_NO_HEADROOM;
	data = lb_world_data(w);
	end = lb_world_data_end(w);
	if (data + room + sizeof(struct ethhdr) > end)
		return LB_V_DROP_TOO_BIG;
	lb_icmp_eth_turn(data, data + room);
	data += sizeof(struct ethhdr);
	if (!(v6 ? lb_icmp_too_big6(data, end, mtu) : lb_icmp_too_big4(data, end, mtu)))
		return LB_V_DROP_TOO_BIG;
	return lb_answer_with(w, LB_V_ANSWERED_TOO_BIG);
}

/* The MTU that the sender of a packet of @len bytes, too big for @what, is to know of; 0: it is not to be told. */
static __always_inline __u32 lb_too_big_mtu(struct lb_world *w, __u32 what, __u32 len, bool v6)
{
	__u32 mtu = what & 0xffff, overhead = 0;
	const struct lb_backend *b;
	struct lb_hop hop;

	if (!lb_world_has(w, LB_HAS_NAT) || !(what & LB_TOO_BIG_MTU)) {
		b = lb_world_backend(w, what);
		if (!b || !b->service)
			return 0;
		lb_hop_read(b, &hop);
		mtu = lb_hop_mtu(&hop);
		overhead = lb_overhead(lb_life_of(b));
	}
	return lb_icmp_mtu(mtu, lb_forget(overhead, lb_world_ingress(w)), len, v6);
}

/* A packet that was too big for @what; it is as it came. */
static __always_inline __u32 lb_too_big(struct lb_world *w, __u32 what)
{
	void *data = lb_world_data(w), *end = lb_world_data_end(w), *ip = data + sizeof(struct ethhdr);
	struct lb_verdict_cpu *row = lb_world_verdict_cpu(w);
	__u32 len, mtu, quote;
	__be16 type;
	bool v6;

	if (!lb_world_has(w, LB_HAS_ICMP))
		return LB_V_DROP_TOO_BIG;
	lb_parse_eth(data, end, &type);
	v6 = type == lb_htons(ETH_P_IPV6);
	if (!row || !type || ip + sizeof(struct iphdr) > end)
		return LB_V_DROP_TOO_BIG;
	len = v6 ? sizeof(struct ipv6hdr) + lb_ntohs(lb_get16(ip + 4)) : lb_ntohs(lb_get16(ip + 2));
	mtu = lb_too_big_mtu(w, what, len, v6);
	quote = v6 ? lb_icmp_quote6(ip, end, len) : lb_icmp_quote4(ip, end, len);
	mtu = lb_forget(mtu, lb_world_ingress(w));
	if (!mtu || !quote ||
	    !lb_flow_admit(&row->answer_start_ns, &row->answer_count, LB_ANSWER_RATE, true, lb_world_now_ns(w)))
		return LB_V_DROP_TOO_BIG;
	return v6 ? lb_refuse_big(w, true, quote, mtu) : lb_refuse_big(w, false, quote, mtu);
}

#endif
