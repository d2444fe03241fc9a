/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What has not the headers of a translated connection's packets, off the fast path: ICMP errors about them, which go
 * from the clients' side to the connection's backend and from that side to the client, and later fragments, which
 * follow the first one. They change nothing of what is known of the connection. Included by icmp.h and fragment.h.
 */
#ifndef BPF_NAT_PARTS_H
#define BPF_NAT_PARTS_H

#include "lb/dp/fragment.h"
#include "lb/dp/icmp_nat.h"
#include "forward.h"
#include "nat.h"
#include "vlan.h"
#include "world.h"

/* An error about the flow of @j, which is to a service that translates or, as those about what went to backends, to
 * none: it is put aside for lb_nat_part. @v: what lb_classify says. */
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

/* A later fragment whose first one was translated: put aside likewise, with @flaw if that is no LB_V_FORWARDED; its
 * part of the datagram has @bytes. @where: what the first one left behind, half of the ports; the other half is found
 * in time. */
static __always_inline __u32 lb_nat_ask_fragment(struct lb_world *w, const struct lb_packet *p, __u32 bytes, __u64 hash,
						 __u32 where, enum lb_verdict flaw)
{
	struct lb_nat_work *work = lb_world_nat_work(w);

	if (!work)
		return LB_V_PASS_FRAGMENT;
	work->job.key.saddr[0] = p->saddr[0];
	work->job.key.saddr[1] = p->saddr[1];
	work->job.key.daddr[0] = p->daddr[0];
	work->job.key.daddr[1] = p->daddr[1];
	work->job.key.ports = lb_fragment_half(where) << 16;
	work->job.key.proto = lb_fragment_proto(where);
	work->job.len = p->len;
	work->job.l4_off = p->len - bytes;
	work->job.v6 = p->v6;
	work->job.tcp_flags = 0;
	work->job.fragment = false; /* there is nothing to be learned from it */
	work->job.fate = LB_V_FORWARDED;
	work->sum = hash;
	work->icmp_off = 0;
	work->none = flaw;
	return LB_NAT_ASKED;
}

/* The other half of its ports, to the first one. False: it is not there. */
static __always_inline bool lb_nat_find_ports(struct lb_world *w, struct lb_nat_work *work)
{
	const __u64 other = lb_fragment_other(work->sum);
	const struct lb_flow_set *set = lb_world_frags(w, lb_fragment_set_idx(other));
	__u32 where;

	if (!set)
		return false;
	where = lb_fragment_find(set, other, work->job.v6, lb_fragment_age(lb_world_now_ns(w)));
	work->job.key.ports |= lb_fragment_half(where);
	return lb_fragment_is_ports(where);
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

/* The same in its own family, where @mtu bytes fit, or the fragment; @keeps: see struct lb_icmp_quote. */
static __always_inline enum lb_verdict lb_nat_part_same(struct lb_world *w, const struct lb_conn *c, bool keeps,
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
	if (!q.icmp_off) {
		lb_world_nat_salt(w, &work->job);
		return lb_nat_verdict(work->job.v6 ? lb_xlate_fragment6(l3, end, &c->xlate)
						   : lb_xlate_fragment4(l3, end, &c->xlate));
	}
	return lb_nat_verdict(work->job.v6 ? lb_icmp_nat6(l3, end, &q, &c->xlate)
					   : lb_icmp_nat4(l3, end, &q, &c->xlate));
}

/* The fate of the fragment that was put aside, as one of the other family, where @mtu bytes fit; LB_V_FORWARDED: it is
 * to be sent. */
static __always_inline __u32 lb_nat_part_cross(struct lb_world *w, const struct lb_conn *c, __u32 mtu)
{
	const struct lb_nat_work *work = lb_world_nat_work(w);
	__u32 too_big;

	if (!work)
		return LB_V_DROP_NAT_IMPOSSIBLE;
	too_big = lb_nat_too_big(&work->job, c, true, mtu);
	return too_big ? too_big : lb_world_nat_cross_fragment(w, c, work->job.v6);
}

/* Sends what is the entry @c's to the backend with @hop, or to the client; @error: it is one. */
static __always_inline __u32 lb_nat_part_send(struct lb_world *w, const struct lb_conn *c, const struct lb_hop *hop,
					      const struct lb_link *link, struct lb_life life, bool error)
{
	if (c->flags & LB_CONN_F_REPLY)
		return lb_nat_leave_back(w, c, link, error ? LB_V_REPLIED_ICMP : LB_V_REPLIED);
	return lb_nat_leave(w, hop, life, error ? LB_V_FORWARDED_ICMP : LB_V_FORWARDED);
}

/* The fate of what was put aside, whose entry is @c; @error: it is one. */
static __always_inline __u32 lb_nat_part_of(struct lb_world *w, const struct lb_conn *c, bool error)
{
	const struct lb_link *link = lb_world_link(w, c->hop.ifindex % LB_LINKS);
	const struct lb_backend *b = lb_world_backend(w, c->backend);
	const bool reply = c->flags & LB_CONN_F_REPLY;
	struct lb_icmp_mtus mtus;
	struct lb_life life;
	struct lb_hop hop;
	__u32 mtu, v;

	if (!b || !link)
		return LB_V_DROP_NO_BACKEND;
	life = lb_life_of(b);
	if (!lb_nat_backend_has(b, life, c))
		return LB_V_DROP_NO_BACKEND;
	lb_hop_read(b, &hop);
	mtu = lb_nat_link_mtu(w, c, link);
	if (lb_load(&link->ifindex) != c->hop.ifindex) {
		if (reply)
			return LB_V_DROP_NO_NEXT_HOP; /* the program is not there any more */
		mtu = 0xffff;
	}
	if (!reply && !hop.oif)
		return LB_V_DROP_NO_NEXT_HOP;
	mtus.here = reply ? lb_hop_mtu(&hop) : mtu;
	mtus.there = reply ? mtu : lb_hop_mtu(&hop);
	if (!mtus.here)
		mtus.here = 0xffff; /* there is no way there now, which says nothing of its links */
	if (!(c->flags & LB_CONN_F_CROSS))
		v = lb_world_nat_part_same(w, c, !reply && life.forward == LB_FORWARD_NAT, mtus.there);
	else
		v = error ? lb_world_nat_error_cross(w, c, mtus) : lb_nat_part_cross(w, c, mtus.there);
	if (v == LB_V_DROP_TOO_BIG && !error)
		return LB_FATE_TOO_BIG_FOR(mtus.there);
	return v == LB_V_FORWARDED ? lb_nat_part_send(w, c, &hop, link, life, error) : v;
}

/* What becomes of the error that was put aside, whose entry is @c, or NULL. It is counted for its service unless it
 * goes to the client, as answers do. */
static __always_inline __u32 lb_nat_error(struct lb_world *w, const struct lb_nat_work *work, const struct lb_conn *c)
{
	__u32 fate = LB_V_DROP_NAT_NO_ENTRY, service_idx = work->job.service_idx;
	struct lb_service_cpu *row;

	if (!service_idx && (!c || !(c->flags & LB_CONN_F_REPLY)))
		return work->none & 0xff;
	if (c) {
		service_idx = c->service;
		fate = lb_nat_part_of(w, c, true);
	}
	row = lb_world_service_cpu(w, service_idx);
	if (row && LB_FATE_VERDICT(fate) != LB_V_REPLIED_ICMP) {
		row->total.pkts++;
		row->total.bytes += work->job.len;
	}
	return fate;
}

/* What becomes of the later fragment. It is counted as packets are. */
static __always_inline __u32 lb_nat_fragment(struct lb_world *w, struct lb_nat_work *work, const struct lb_conn *c)
{
	if (!c)
		return LB_V_PASS_FRAGMENT;
	work->job.service_idx = c->service;
	work->job.backend_idx = c->flags & LB_CONN_F_REPLY ? 0 : c->backend;
	return lb_world_nat_account(w, work->none == LB_V_FORWARDED ? lb_nat_part_of(w, c, false) : work->none & 0xff);
}

static __always_inline __u32 lb_nat_part(struct lb_world *w)
{
	struct lb_nat_work *work = lb_world_nat_work(w);
	const struct lb_conn *c;

	/* here as well: old kernels verify it also where nobody calls it */
	if (!lb_world_has(w, LB_HAS_NAT) || !work)
		return LB_V_PASS_NO_SERVICE;
	if (!work->icmp_off && !(lb_world_has(w, LB_HAS_FRAGMENTS) && lb_nat_find_ports(w, work)))
		return LB_V_PASS_FRAGMENT;
	c = lb_world_conn(w, &work->job.key);
	return work->icmp_off ? lb_nat_error(w, work, c) : lb_nat_fragment(w, work, c);
}

#endif
