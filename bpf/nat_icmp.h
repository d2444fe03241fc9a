/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ICMP errors about translated connections, off the fast path: from the clients' side they go to the connection's
 * backend, from that side to the client. They change nothing of what is known of the connection. Included by icmp.h.
 */
#ifndef BPF_NAT_ICMP_H
#define BPF_NAT_ICMP_H

#include "lb/dp/icmp_nat.h"
#include "forward.h"
#include "nat.h"
#include "vlan.h"
#include "world.h"

/* An error about the flow of @j, which is to a service that translates or, as those about what went to backends, to
 * none: it is put aside for lb_nat_error. @v: what lb_classify says. */
static __always_inline __u32 lb_nat_ask_error(struct lb_world *w, struct lb_job *j, enum lb_verdict v)
{
	struct lb_nat_work *work = lb_world_nat_work(w);
	const struct lb_packet *p = &j->pkt;

	if (!work)
		return LB_V_PASS_NO_SERVICE;
	if (p->len > p->room)
		return v == LB_V_FORWARDED ? lb_account_flawed(w, j, LB_V_DROP_MALFORMED) : v;
	lb_nat_key(p, &work->job.key);
	work->job.len = p->len;
	work->job.l4_off = p->l4_off;
	work->job.service_idx = v == LB_V_FORWARDED ? lb_job_service(j) : 0;
	work->job.v6 = p->v6;
	work->icmp_off = p->icmp_off;
	work->none = v;
	return LB_NAT_ASKED;
}

/* The error that was put aside as one of the other family. */
static __always_inline enum lb_verdict lb_nat_error_cross(struct lb_world *w, const struct lb_conn *conn,
							  struct lb_icmp_mtus mtus)
{
	void *l3 = lb_world_data(w) + sizeof(struct ethhdr), *end = lb_world_data_end(w);
	struct lb_nat_work *work = lb_world_nat_work(w);
	struct lb_icmp_quote q = {0};
	struct lb_icmp_cross *c;
	enum lb_xlate_result r;
	__u8 proto;
	void *data;
	bool v6;

	if (!work)
		return LB_V_DROP_NAT_IMPOSSIBLE;
	q.icmp_off = work->icmp_off;
	q.l4_off = work->job.l4_off;
	q.len = work->job.len;
	proto = (__u8)work->job.key.proto;
	c = &work->error;
	v6 = work->job.v6;
	r = v6 ? lb_icmp_cross_take6(l3, end, &q, mtus, c) : lb_icmp_cross_take4(l3, end, &q, mtus, c);
	if (r != LB_XLATE_OK)
		return lb_nat_verdict(r);
	if (c->outer.len > mtus.there)
		return LB_V_DROP_TOO_BIG;
	if (!lb_world_grow(w, -c->outer.shift))
		return LB_V_DROP_NO_HEADROOM;
	data = lb_world_data(w);
	end = lb_world_data_end(w);
	if (data + sizeof(struct ethhdr) > end)
		return LB_V_DROP_MALFORMED;
	l3 = data + sizeof(struct ethhdr);
	lb_put16(data + 12, v6 ? lb_htons(ETH_P_IP) : lb_htons(ETH_P_IPV6));
	if (v6)
		return lb_nat_verdict(lb_icmp_cross_write4(l3, end, c, proto, &conn->xlate, (__u16)lb_world_random(w)));
	return lb_nat_verdict(lb_icmp_cross_write6(l3, end, c, proto, &conn->xlate));
}

/* The same in its own family, where @mtu bytes fit; @keeps: see struct lb_icmp_quote. */
static __always_inline enum lb_verdict lb_nat_error_same(struct lb_world *w, const struct lb_conn *c, bool keeps,
							 __u32 mtu)
{
	void *l3 = lb_world_data(w) + sizeof(struct ethhdr), *end = lb_world_data_end(w);
	const struct lb_nat_work *work = lb_world_nat_work(w);
	struct lb_icmp_quote q = {.keeps = keeps};

	if (!work)
		return LB_V_DROP_NAT_IMPOSSIBLE;
	q.icmp_off = work->icmp_off;
	q.l4_off = work->job.l4_off;
	q.len = work->job.len;
	q.proto = (__u8)work->job.key.proto;
	if (q.len > mtu)
		return LB_V_DROP_TOO_BIG;
	return lb_nat_verdict(work->job.v6 ? lb_icmp_nat6(l3, end, &q, &c->xlate)
					   : lb_icmp_nat4(l3, end, &q, &c->xlate));
}

/* Sends the error of the entry @c to the backend with @hop, or to the client. */
static __always_inline __u32 lb_nat_error_send(struct lb_world *w, const struct lb_conn *c, const struct lb_hop *hop,
					       const struct lb_link *link, struct lb_life life)
{
	const bool reply = c->flags & LB_CONN_F_REPLY;
	void *data = lb_world_data(w);
	__u32 sent;

	if (data + sizeof(struct ethhdr) > lb_world_data_end(w))
		return LB_V_DROP_MALFORMED;
	if (!reply) {
		lb_eth_write(data, hop);
		if (!lb_world_has(w, LB_HAS_VLAN) || !(life.flags & LB_BACKEND_F_TAGGED))
			sent = lb_world_send(w, hop->oif, life.flags & LB_BACKEND_F_REDIRECT);
		else if (lb_vlan_send(w, hop->oif, &sent) != LB_V_FORWARDED)
			return LB_V_DROP_NO_NEXT_HOP;
		return sent == LB_UNSENT ? LB_V_DROP_NO_NEXT_HOP : LB_FATE(LB_V_FORWARDED_ICMP, sent);
	}
	lb_put64(data, c->hop.mac0);
	lb_put32(data + 8, c->hop.mac1);
	if (c->hop.tags) {
		if (!lb_world_has(w, LB_HAS_VLAN))
			return LB_V_DROP_NO_NEXT_HOP;
		if (!lb_world_vlan_push(w, c->hop.tags))
			return LB_V_DROP_NO_HEADROOM;
	}
	sent = lb_world_send(w, c->hop.ifindex, lb_load(&link->flags) & LB_LINK_F_REDIRECT);
	return sent == LB_UNSENT ? LB_V_DROP_NO_NEXT_HOP : LB_FATE(LB_V_REPLIED_ICMP, sent);
}

/* The fate of the error that was put aside, whose entry is @c. */
static __always_inline __u32 lb_nat_error_of(struct lb_world *w, const struct lb_conn *c)
{
	const struct lb_link *link = lb_world_link(w, c->hop.ifindex % LB_LINKS);
	const struct lb_backend *b = lb_world_backend(w, c->backend);
	const bool reply = c->flags & LB_CONN_F_REPLY;
	struct lb_icmp_mtus mtus;
	struct lb_life life;
	struct lb_hop hop;
	enum lb_verdict v;
	__u32 mtu;

	if (!b || !link)
		return LB_V_DROP_NO_BACKEND;
	life = lb_life_of(b);
	if (!lb_nat_backend_has(b, life, c))
		return LB_V_DROP_NO_BACKEND;
	lb_hop_read(b, &hop);
	mtu = lb_load(&link->mtu);
	if (lb_load(&link->ifindex) != c->hop.ifindex) {
		if (reply)
			return LB_V_DROP_NO_NEXT_HOP; /* the program is not there any more */
		mtu = 0xffff;
	}
	if (!reply && !hop.oif)
		return LB_V_DROP_NO_NEXT_HOP;
	mtus.here = reply ? lb_hop_mtu(&hop) : mtu;
	mtus.there = reply ? mtu : lb_hop_mtu(&hop);
	v = c->flags & LB_CONN_F_CROSS
		    ? lb_world_nat_error_cross(w, c, mtus)
		    : lb_world_nat_error_same(w, c, !reply && life.forward == LB_FORWARD_NAT, mtus.there);
	return v == LB_V_FORWARDED ? lb_nat_error_send(w, c, &hop, link, life) : v;
}

/* What becomes of the error that was put aside. It is counted for its service unless it goes to the client, as answers
 * do. */
static __always_inline __u32 lb_nat_error(struct lb_world *w)
{
	const struct lb_nat_work *work = lb_world_nat_work(w);
	struct lb_service_cpu *row;
	const struct lb_conn *c;
	__u32 fate, service_idx;

	/* here as well: old kernels verify it also where nobody calls it */
	if (!lb_world_has(w, LB_HAS_NAT) || !work)
		return LB_V_PASS_NO_SERVICE;
	c = lb_world_conn(w, &work->job.key);
	service_idx = work->job.service_idx;
	if (!service_idx && (!c || !(c->flags & LB_CONN_F_REPLY)))
		return work->none & 0xff;
	fate = LB_V_DROP_NAT_NO_ENTRY;
	if (c) {
		service_idx = c->service;
		fate = lb_nat_error_of(w, c);
	}
	row = lb_world_service_cpu(w, service_idx);
	if (row && LB_FATE_VERDICT(fate) != LB_V_REPLIED_ICMP) {
		row->total.pkts++;
		row->total.bytes += work->job.len;
	}
	return fate;
}

#endif
