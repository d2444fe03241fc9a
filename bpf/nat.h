/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Connections whose addresses are translated: the packets of each direction find an entry of their own, made by the
 * packet that opened the connection. Included by pipeline.h.
 */
#ifndef BPF_NAT_H
#define BPF_NAT_H

#include "lb/dp/conn.h"
#include "lb/dp/encap.h"
#include "lb/dp/fragment.h"
#include "lb/dp/nat.h"
#include "lb/dp/translate.h"
#include "choice.h"
#include "classify.h"
#include "nat_line.h"
#include "select.h"
#include "vlan.h"
#include "world.h"

#define LB_NAT_TRIES 16 /* of source ports */

/* No verdicts: a connection to open, if somebody may have it; a packet that nothing is translated of. */
#define LB_NAT_NEW 0xff
#define LB_NAT_NOT_OURS 0xfe

/* As the kernel numbers them; its header is not for the programs alone. */
#define LB_NOEXIST 1
#define LB_EEXIST (-17)

static __always_inline enum lb_verdict lb_nat_verdict(enum lb_xlate_result r)
{
	if (lb_likely(r == LB_XLATE_OK))
		return LB_V_FORWARDED;
	if (r == LB_XLATE_TTL)
		return lb_answer(LB_V_DROP_TTL_EXCEEDED);
	return r == LB_XLATE_MALFORMED ? lb_answer(LB_V_DROP_MALFORMED) : lb_answer(LB_V_DROP_NAT_IMPOSSIBLE);
}

/* ---- making and ending, in a frame of their own ---- */

static __always_inline void lb_nat_load_add(struct lb_world *w, __u32 service, __s64 conns, __s64 half_open)
{
	struct lb_nat_load *all = lb_world_nat_load(w, 0), *mine = lb_world_nat_load(w, service);

	if (!all || !mine)
		return;
	if (conns) {
		__sync_fetch_and_add(&all->conns, conns);
		__sync_fetch_and_add(&mine->conns, conns);
	}
	if (half_open) {
		__sync_fetch_and_add(&all->half_open, half_open);
		__sync_fetch_and_add(&mine->half_open, half_open);
	}
}

/* The word of the other direction of @c; 0: there is none. Leaves its key in n->back. */
static __always_inline struct lb_conn *lb_nat_reply_of(struct lb_world *w, struct lb_nat_work *n,
						       const struct lb_conn *c)
{
	lb_nat_other(&c->xlate, n->key.proto, &n->back);
	return lb_world_conn(w, &n->back);
}

/* Is the backend of @c, @b, one that has the connection? */
static __always_inline bool lb_nat_backend_has(const struct lb_backend *b, struct lb_life life, const struct lb_conn *c)
{
	return life.gen == c->gen && life.flags & LB_BACKEND_F_ALIVE && b->service == c->service;
}

/* Does the packet of n->key belong to the connection of @c, or open another one? */
static __always_inline bool lb_nat_goes_on(struct lb_world *w, struct lb_nat_work *n, const struct lb_conn *c,
					   __u32 service_idx, bool opens, __u32 now)
{
	const struct lb_backend *b = lb_world_backend(w, c->backend);
	const struct lb_conf *conf = lb_world_conf(w);
	const struct lb_conn *reply;
	struct lb_life life;

	if (!b || !conf || c->service != service_idx)
		return false;
	life = lb_life_of(b);
	if (!lb_nat_backend_has(b, life, c))
		return false;
	if (!opens)
		return true;
	reply = lb_nat_reply_of(w, n, c);
	return life.flags & LB_BACKEND_F_TAKES_NEW &&
	       !lb_conn_reusable(lb_load(&c->word), reply ? lb_load(&reply->word) : 0, &conf->timers, now);
}

static __always_inline void lb_nat_forget(struct lb_world *w, struct lb_nat_work *n, const struct lb_conn *c)
{
	const struct lb_conn *reply = lb_nat_reply_of(w, n, c);
	bool half_open = lb_conn_half_open((__u8)n->key.proto, lb_load(&c->word), reply ? lb_load(&reply->word) : 0);
	bool live = c->flags & LB_CONN_F_LIVE;
	__u32 service = c->service, backend = c->backend;

	lb_world_conn_del(w, &n->back);
	lb_nat_touch(w, &n->back);
	if (lb_world_conn_del(w, &n->key))
		return; /* lbd was faster */
	lb_nat_touch(w, &n->key);
	lb_nat_load_add(w, service, -1, half_open ? -1 : 0);
	if (live)
		lb_live_add(w, backend, -1);
}

/* What is more to do for a connection than to note that a packet went by: it opens, it ends, it comes another way. */
static __always_inline void lb_nat_note(struct lb_world *w, struct lb_nat_work *n, struct lb_conn *c, __u8 tcp_flags,
					__u32 now)
{
	__u64 old = lb_load(&c->word), new = lb_conn_step(old, LB_CONN_FORWARD, tcp_flags, now);
	struct lb_conn *reply = lb_nat_reply_of(w, n, c);

	if (n->key.proto == IPPROTO_TCP && reply && lb_conn_asks(new))
		new = lb_conn_open(new, lb_load(&reply->word));
	if (new != old)
		lb_store(&c->word, new);
	if (n->key.proto == IPPROTO_TCP && lb_conn_leaves_tcp(old, new))
		lb_nat_load_add(w, c->service, 0, -1);
	if (c->flags & LB_CONN_F_LIVE && new &LB_CONN_FIN) {
		c->flags &= (__u8)~LB_CONN_F_LIVE;
		lb_live_add(w, c->backend, -1);
	}
	if (reply && !lb_nat_hop_same(&c->hop, &n->forward.hop)) {
		c->hop = n->forward.hop;
		lb_nat_hop_back(&n->forward.hop, &reply->hop);
		lb_nat_touch(w, &n->key);
		lb_nat_touch(w, &n->back);
	}
}

/* Is it a VIP? Of IPv4 @lo has the address. */
static __always_inline bool lb_nat_is_vip(struct lb_world *w, __u64 hi, __u64 lo, __be16 port, __u8 proto)
{
	const __u64 addr[2] = {hi, lo};
	const bool v4 = lb_addr_is_mapped4(addr);
	const struct lb_vip_key key = v4 ? lb_vip_key4(lb_addr_to4(lo), port, proto) : lb_vip_key6(addr, port, proto);
	const __u64 hash = lb_vip_hash(lb_vip_fold(&key));
	const struct lb_vip_set *set = lb_world_vips(w, lb_vip_first(hash));

	if (!lb_world_has(w, LB_HAS_NAT) || !set)
		return false;
	if (lb_vip_is(&set->way[0], lb_vip_word(&set->way[0]), &key) ||
	    lb_find_beyond(w, set, lb_vip_second(hash), &key))
		return true;
	return lb_world_has(w, LB_HAS_WILDCARDS) && lb_world_wild_find(w, hi, lo, key.what);
}

/* May the connection of n->key have the entry n->back? Nobody has it but, @again, itself: what an earlier connection on
 * these ports left, or what another CPU is just making. */
static __always_inline bool lb_nat_is_free(struct lb_world *w, const struct lb_nat_work *n, bool full, bool again)
{
	const struct lb_conn *other = lb_world_conn(w, &n->back);

	/* what backends answer to a VIP would be taken for a client's */
	if (!other)
		return !full || !lb_world_nat_is_vip(w, &n->back);
	return again && other->flags & LB_CONN_F_REPLY && lb_nat_leads_to(&other->xlate, &n->key);
}

/* Fills n->back with what leads from the backend to a source address and port that nobody else speaks to it from.
 * False: none was found. */
static __always_inline bool lb_nat_find_way(struct lb_world *w, struct lb_nat_work *n, const struct lb_backend *b,
					    struct lb_life life, __u32 service_idx)
{
	const __be16 dport = b->port ? b->port : lb_ports_dest(n->key.ports);
	const bool full = life.forward == LB_FORWARD_FULLNAT, v4 = life.flags & LB_BACKEND_F_V4;
	const struct lb_service *s = lb_world_service(w, service_idx);
	const struct lb_conf *conf = lb_world_conf(w);

	if (!s || !conf)
		return false;
	n->back.saddr[0] = lb_get64(b->addr);
	n->back.saddr[1] = lb_get64(b->addr + 8);
	n->back.daddr[0] = n->key.saddr[0];
	n->back.daddr[1] = n->key.saddr[1];
	n->back.proto = n->key.proto;
#ifdef __clang__
#pragma clang loop unroll(disable)
#endif
	for (int i = 0; i < LB_NAT_TRIES; i++) {
		__u32 random = lb_world_random(w);
		__be16 sport = i || full ? lb_nat_port(conf, random) : lb_ports_source(n->key.ports);

		if (full) {
			const struct lb_snat at = {.service = (__u16)service_idx,
						   .v4 = v4,
						   .nr = (__u8)((random >> 16) * (v4 ? s->snat4 : s->snat6) >> 16)};
			const __u64 *addr = lb_world_snat(w, &at);

			if (!addr)
				return false;
			n->back.daddr[0] = addr[0];
			n->back.daddr[1] = addr[1];
		}
		n->back.ports = lb_ports_of(dport, sport);
		if (lb_nat_is_free(w, n, full, !i && !full))
			return true;
	}
	return false;
}

static __always_inline enum lb_verdict lb_nat_open(struct lb_world *w, struct lb_nat_work *n, __u32 backend_idx,
						   __u32 service_idx, __u8 tcp_flags, __u32 now)
{
	const struct lb_nat_load *all = lb_world_nat_load(w, 0), *mine = lb_world_nat_load(w, service_idx);
	const struct lb_backend *b = lb_world_backend(w, backend_idx);
	const struct lb_service *s = lb_world_service(w, service_idx);
	const struct lb_conf *conf = lb_world_conf(w);
	struct lb_life life;
	int ret;

	if (!all || !mine || !b || !s || !conf || !lb_nat_has_room(all, mine, conf->max_conns))
		return LB_V_DROP_NAT_FULL;
	life = lb_life_of(b);
	n->forward.word = lb_conn_step(0, LB_CONN_FORWARD, tcp_flags, now);
	n->reply.word = 0;
	n->forward.backend = n->reply.backend = (__u16)backend_idx;
	n->forward.service = n->reply.service = (__u16)service_idx;
	n->forward.gen = n->reply.gen = life.gen;
	if (!lb_nat_find_way(w, n, b, life, service_idx))
		return LB_V_DROP_SNAT_FULL;
	lb_nat_make(n);
	if (s->flags & LB_SERVICE_F_CHOICE)
		n->forward.flags |= LB_CONN_F_LIVE;
	/* a CPU that makes an entry of the same key meanwhile makes the same one, or the client sends once more */
	ret = lb_world_conn_add(w, &n->back, &n->reply, LB_NOEXIST);
	if (ret == LB_EEXIST && life.forward == LB_FORWARD_NAT) {
		ret = lb_world_conn_add(w, &n->back, &n->reply, 0);
		lb_nat_touch(w, &n->back);
	}
	if (ret)
		return LB_V_DROP_NAT_FULL;
	ret = lb_world_conn_add(w, &n->key, &n->forward, LB_NOEXIST);
	if (ret == LB_EEXIST && life.forward == LB_FORWARD_NAT)
		return LB_V_FORWARDED;
	if (ret) {
		lb_world_conn_del(w, &n->back);
		return LB_V_DROP_NAT_FULL;
	}
	lb_nat_load_add(w, service_idx, 1, 1);
	if (s->flags & LB_SERVICE_F_CHOICE)
		lb_live_add(w, backend_idx, 1);
	if (n->key.proto != IPPROTO_TCP)
		lb_count_conn(w, backend_idx);
	return LB_V_FORWARDED;
}

/* See that the packet of this CPU's n->key, which came as n->forward.hop says, has an entry that is right.
 * @backend_idx: whose it is if it opens a connection; 0: it does not. */
static __always_inline enum lb_verdict lb_nat_attend(struct lb_world *w, __u32 backend_idx, __u32 service_idx,
						     __u32 tcp_flags)
{
	bool opens = (tcp_flags & (LB_TCP_SYN | LB_TCP_ACK)) == LB_TCP_SYN;
	struct lb_nat_work *n = lb_world_nat_work(w);
	struct lb_conn *c;
	__u32 now;

	if (!lb_world_has(w, LB_HAS_NAT) || !n)
		return LB_V_DROP_NAT_FULL;
	now = lb_conn_now(lb_world_now_ns(w));
	c = lb_world_conn(w, &n->key);
	if (c && c->flags & LB_CONN_F_REPLY)
		return LB_V_DROP_NAT_NO_ENTRY;
	if (c && lb_nat_goes_on(w, n, c, service_idx, opens, now)) {
		lb_nat_note(w, n, c, (__u8)tcp_flags, now);
		return LB_V_FORWARDED;
	}
	if (!backend_idx || (n->key.proto == IPPROTO_TCP && !opens))
		return LB_V_DROP_NAT_NO_ENTRY;
	if (c)
		lb_nat_forget(w, n, c);
	return lb_nat_open(w, n, backend_idx, service_idx, (__u8)tcp_flags, now);
}

/* ---- packets ---- */

/* The frame, of which lb_cross_take6 or lb_cross_take4 has left @x, as one of the other family, which @c says. */
static __always_inline enum lb_verdict lb_nat_cross_write(struct lb_world *w, const struct lb_conn *c,
							  const struct lb_cross *x, bool v6)
{
	void *data, *end, *l3;

	if (!lb_world_grow(w, -x->shift))
		return LB_V_DROP_NO_HEADROOM;
	data = lb_world_data(w);
	end = lb_world_data_end(w);
	if (data + sizeof(struct ethhdr) > end)
		return LB_V_DROP_MALFORMED;
	lb_put16(data + 12, v6 ? lb_htons(ETH_P_IP) : lb_htons(ETH_P_IPV6));
	l3 = data + sizeof(struct ethhdr);
	if (v6)
		return lb_nat_verdict(lb_cross_write4(l3, end, x, &c->xlate, (__u16)lb_world_random(w)));
	return lb_nat_verdict(lb_cross_write6(l3, end, x, &c->xlate));
}

/* The frame as one of the other family; its link's header is to be written. */
static __always_inline enum lb_verdict lb_nat_cross(struct lb_world *w, const struct lb_conn *c, __u32 l4_off,
						    __u8 proto, bool v6)
{
	void *l3 = lb_world_data(w) + sizeof(struct ethhdr), *end = lb_world_data_end(w);
	struct lb_nat_work *work = lb_world_nat_work(w);
	struct lb_cross x;
	enum lb_xlate_result r;

	if (!work)
		return LB_V_DROP_NAT_IMPOSSIBLE;

	if (v6) {
		r = lb_cross_take6(l3, end, l4_off, 0, proto, &x);
	} else {
		if (proto == IPPROTO_UDP && lb_udp_unsummed4(l3, end) && !lb_udp_sum4(l3, end, &work->sum))
			return LB_V_DROP_NAT_IMPOSSIBLE;
		r = lb_cross_take4(l3, end, &x);
	}
	if (r != LB_XLATE_OK)
		return lb_nat_verdict(r);
	return lb_nat_cross_write(w, c, &x, v6);
}

/* Likewise the fragment that was put aside, with an ID as lb_nat_salt has. Of IPv6 only what has no other extension
 * headers: those in front would be gone, and those behind would take their bytes out of the datagram. */
static __always_inline enum lb_verdict lb_nat_cross_fragment(struct lb_world *w, const struct lb_conn *c, bool v6)
{
	void *l3 = lb_world_data(w) + sizeof(struct ethhdr), *end = lb_world_data_end(w);
	const struct lb_nat_work *work = lb_world_nat_work(w);
	const struct lb_conf *conf = lb_world_conf(w);
	enum lb_xlate_result r;
	struct lb_cross x;

	if (!lb_world_has(w, LB_HAS_FRAGMENTS) || !work || !conf)
		return LB_V_DROP_NAT_IMPOSSIBLE;
	if (v6) {
		if (work->job.l4_off != LB_CROSS_FRAGMENT6 || !lb_cross_fragment6(l3, end))
			return LB_V_DROP_NAT_IMPOSSIBLE;
		r = lb_cross_take6(l3, end, LB_CROSS_FRAGMENT6, LB_CROSS_FRAGMENT6 - 8, (__u8)work->job.key.proto, &x);
	} else {
		r = lb_cross_take4(l3, end, &x);
	}
	if (r != LB_XLATE_OK)
		return lb_nat_verdict(r);
	x.id += lb_fragment_salt(&conf->hash, work->job.key.saddr, work->job.key.daddr);
	return lb_nat_cross_write(w, c, &x, v6);
}

/* The fragment of @n gets an ID that it shares with no other sender's, but by chance. */
static __always_inline void lb_nat_salt(struct lb_world *w, const struct lb_nat_job *n)
{
	void *l3 = lb_world_data(w) + sizeof(struct ethhdr), *end = lb_world_data_end(w);
	const struct lb_conf *conf = lb_world_conf(w);
	__u32 salt;

	if (!lb_world_has(w, LB_HAS_FRAGMENTS) || !conf)
		return;
	salt = lb_fragment_salt(&conf->hash, n->key.saddr, n->key.daddr);
	if (n->v6)
		lb_xlate_id6(l3, end, salt);
	else
		lb_xlate_id4(l3, end, salt);
}

static __always_inline enum lb_verdict lb_nat_translate(struct lb_world *w, const struct lb_nat_job *n,
							const struct lb_conn *c)
{
	void *data = lb_world_data(w) + sizeof(struct ethhdr), *end = lb_world_data_end(w);

	if (lb_unlikely(c->flags & LB_CONN_F_CROSS)) {
		if (lb_unlikely(n->fragment))
			return lb_world_nat_cross_fragment(w, c, n->v6);
		return lb_world_nat_cross(w, c, n->l4_off & LB_L4_OFF_BITS, n->key.proto, n->v6);
	}
	if (lb_unlikely(n->fragment))
		lb_world_nat_salt(w, n);
	if (n->v6)
		return lb_nat_verdict(
			lb_xlate_packet6(data, end, n->l4_off & LB_L4_OFF_BITS, (__u8)n->key.proto, &c->xlate));
	return lb_nat_verdict(lb_xlate_packet4(data, end, n->l4_off & LB_L4_OFF_BITS, (__u8)n->key.proto, &c->xlate));
}

/* The fate of a packet of @c that is longer than @mtu when it is translated; 0: it is not. */
static __always_inline __u32 lb_nat_too_big(const struct lb_nat_job *n, const struct lb_conn *c, bool fragment,
					    __u32 mtu)
{
	const bool cross = c->flags & LB_CONN_F_CROSS;

	if (lb_likely(lb_nat_len(n, cross, fragment) <= mtu))
		return 0;
	return LB_FATE_TOO_BIG_FOR(lb_nat_mtu(mtu, n->v6, cross, fragment));
}

/* To the backend by @hop, translated but for the frame's header. The packet's fate, which is @v where it is sent. */
static __always_inline __u32 lb_nat_leave(struct lb_world *w, const struct lb_hop *hop, struct lb_life life,
					  enum lb_verdict v)
{
	void *data = lb_world_data(w);
	enum lb_verdict tagged;
	__u32 sent;

	if (lb_unlikely(data + sizeof(struct ethhdr) > lb_world_data_end(w)))
		return lb_answer(LB_V_DROP_MALFORMED);
	lb_eth_write(data, hop);
	if (lb_world_has(w, LB_HAS_VLAN) && life.flags & LB_BACKEND_F_TAGGED) {
		tagged = lb_vlan_send(w, hop->oif, &sent);
		if (lb_unlikely(tagged != LB_V_FORWARDED))
			return tagged;
	} else {
		sent = lb_world_send(w, hop->oif, life.flags & LB_BACKEND_F_REDIRECT);
	}
	if (lb_unlikely(sent == LB_UNSENT))
		return lb_answer(LB_V_DROP_NO_NEXT_HOP);
	return LB_FATE(v, sent);
}

/* Likewise to the client of @c, over @link. */
static __always_inline __u32 lb_nat_leave_back(struct lb_world *w, const struct lb_conn *c, const struct lb_link *link,
					       enum lb_verdict v)
{
	void *data = lb_world_data(w);
	__u32 sent;

	if (lb_unlikely(data + sizeof(struct ethhdr) > lb_world_data_end(w)))
		return lb_answer(LB_V_DROP_MALFORMED);
	lb_put64(data, c->hop.mac0);
	lb_put32(data + 8, c->hop.mac1);
	if (lb_unlikely(c->hop.tags)) {
		if (!lb_world_has(w, LB_HAS_VLAN))
			return lb_answer(LB_V_DROP_NO_NEXT_HOP);
		if (!lb_world_vlan_push(w, c->hop.tags))
			return lb_answer(LB_V_DROP_NO_HEADROOM);
	}
	sent = lb_world_send(w, c->hop.ifindex, lb_load(&link->flags) & LB_LINK_F_REDIRECT);
	return sent == LB_UNSENT ? lb_answer(LB_V_DROP_NO_NEXT_HOP) : LB_FATE(v, sent);
}

/* To the backend @b of @c. */
static __always_inline __u32 lb_nat_send(struct lb_world *w, const struct lb_nat_job *n, const struct lb_conn *c,
					 const struct lb_backend *b, struct lb_life life)
{
	enum lb_verdict v;
	struct lb_hop hop;
	__u32 too_big;

	lb_nat_keep_line(w, n, c);
	lb_hop_read(b, &hop);
	if (lb_unlikely(!hop.oif))
		return lb_answer(LB_V_DROP_NO_NEXT_HOP);
	too_big = lb_nat_too_big(n, c, n->fragment, lb_hop_mtu(&hop));
	if (lb_unlikely(too_big))
		return too_big;
	v = lb_nat_translate(w, n, c);
	if (lb_unlikely(v != LB_V_FORWARDED))
		return v;
	return lb_nat_leave(w, &hop, life, LB_V_FORWARDED);
}

/* Bytes of packet that @link takes behind the tags of @c: the kernel redirects frames of its MTU with one tag, and no
 * longer ones. */
static __always_inline __u32 lb_nat_link_mtu(struct lb_world *w, const struct lb_conn *c, const struct lb_link *link)
{
	__u32 mtu = lb_load(&link->mtu);

	if (!lb_world_has(w, LB_HAS_VLAN))
		return mtu;
	if (lb_unlikely(LB_TAGS_INNER(c->hop.tags)))
		mtu -= LB_VLAN_HLEN;
	return lb_forget(mtu, lb_world_ingress(w));
}

/* A packet from the backend of @c, whose entry that is. */
static __always_inline __u32 lb_nat_reply(struct lb_world *w, struct lb_nat_job *n, struct lb_conn *c)
{
	const struct lb_link *link = lb_world_link(w, c->hop.ifindex % LB_LINKS);
	__u64 old = lb_load(&c->word), new = lb_conn_step(old, LB_CONN_REPLY, n->tcp_flags, n->now);
	enum lb_verdict v;
	__u32 too_big;

	if (!link || lb_load(&link->ifindex) != c->hop.ifindex)
		return lb_answer(LB_V_DROP_NO_NEXT_HOP); /* the program is not there any more */
	too_big = lb_nat_too_big(n, c, n->fragment, lb_nat_link_mtu(w, c, link));
	if (lb_unlikely(too_big))
		return too_big;
	if (new != old) {
		lb_store(&c->word, new);
		if (n->key.proto != IPPROTO_TCP && lb_conn_leaves_udp(old, new))
			lb_nat_load_add(w, c->service, 0, -1);
	}
	lb_nat_keep_line(w, n, c);
	v = lb_nat_translate(w, n, c);
	if (lb_unlikely(v != LB_V_FORWARDED))
		return v;
	return lb_nat_leave_back(w, c, link, LB_V_REPLIED);
}

/* Has the packet more to say of the client's connection @c than that it went by? What it says otherwise is noted. */
static __always_inline bool lb_nat_says_more(struct lb_world *w, const struct lb_nat_job *n, struct lb_conn *c)
{
	__u64 old = lb_load(&c->word), new = lb_conn_step(old, LB_CONN_FORWARD, n->tcp_flags, n->now);
	void *data = lb_world_data(w);
	struct lb_conn_hop hop;

	if (data + sizeof(struct ethhdr) > lb_world_data_end(w))
		return true;
	lb_nat_hop(data, lb_world_ingress(w), n->tags, &hop);
	if (lb_unlikely(!lb_nat_hop_same(&c->hop, &hop)))
		return true;
	if (n->key.proto == IPPROTO_TCP && lb_conn_asks(new))
		return true; /* also where it says what was said before: the backend may have answered since */
	if (lb_likely(new == old))
		return false;
	if (c->flags & LB_CONN_F_LIVE && new &LB_CONN_FIN)
		return true;
	lb_store(&c->word, new);
	return false;
}

/* Sees to the entry of a packet whose own words do not do. */
static __always_inline __u32 lb_nat_see_to(struct lb_world *w, const struct lb_nat_job *n)
{
	struct lb_nat_work *work = lb_world_nat_work(w);
	void *data = lb_world_data(w);

	if (!work || data + sizeof(struct ethhdr) > lb_world_data_end(w))
		return LB_V_DROP_NAT_FULL;
	work->key = n->key;
	lb_nat_hop(data, lb_world_ingress(w), n->tags, &work->forward.hop);
	return lb_world_nat_attend(w, n->backend_idx, n->service_idx, n->tcp_flags);
}

/* Is the backend of @c there for it? */
static __always_inline bool lb_nat_lives(struct lb_world *w, const struct lb_conn *c)
{
	const struct lb_backend *b = lb_world_backend(w, c->backend);

	return b && lb_nat_backend_has(b, lb_life_of(b), c);
}

/* Puts the frame's packet, which is a common one, aside; it is to @service_idx or, 0, to none. False: it is no more. */
static __always_inline bool lb_nat_put_aside(struct lb_world *w, struct lb_nat_job *n, __u32 service_idx)
{
	const void *ip = lb_world_data(w) + sizeof(struct ethhdr), *end = lb_world_data_end(w), *l4;

	if (ip + sizeof(struct iphdr) + LB_UDP_HLEN > end)
		return false;
	n->v6 = lb_get16(ip - 2) == lb_htons(ETH_P_IPV6);
	if (n->v6) {
		l4 = ip + sizeof(struct ipv6hdr);
		if (l4 + LB_UDP_HLEN > end)
			return false;
		n->key.saddr[0] = lb_get64(ip + 8);
		n->key.saddr[1] = lb_get64(ip + 16);
		n->key.daddr[0] = lb_get64(ip + 24);
		n->key.daddr[1] = lb_get64(ip + 32);
		n->key.proto = ((const struct ipv6hdr *)ip)->nexthdr;
		n->len = sizeof(struct ipv6hdr) + lb_ntohs(((const struct ipv6hdr *)ip)->payload_len);
		n->l4_off = sizeof(struct ipv6hdr);
	} else {
		l4 = ip + sizeof(struct iphdr);
		n->key.saddr[0] = n->key.daddr[0] = 0;
		n->key.saddr[1] = lb_addr_of4(lb_get32(ip + 12));
		n->key.daddr[1] = lb_addr_of4(lb_get32(ip + 16));
		n->key.proto = ((const struct iphdr *)ip)->protocol;
		n->len = lb_ntohs(((const struct iphdr *)ip)->tot_len);
		n->l4_off = sizeof(struct iphdr);
	}
	n->key.ports = lb_get32(l4);
	n->service_idx = service_idx;
	n->backend_idx = 0;
	n->tcp_flags = 0;
	n->fragment = false;
	if (n->key.proto != IPPROTO_TCP)
		return true;
	if (l4 + LB_TCP_HLEN_MIN > end)
		return false;
	n->tcp_flags = *(const __u8 *)(l4 + 13);
	return true;
}

/* The entry of the packet, as it is to be after it; NULL: n->fate says what becomes of it, or LB_NAT_NEW or
 * LB_NAT_NOT_OURS. @asked: what was asked for it, LB_NAT_ASKED or LB_NAT_COMMON_ASKED. */
static __always_inline struct lb_conn *lb_nat_find(struct lb_world *w, struct lb_nat_job *n, __u32 asked)
{
	struct lb_conn *c;
	bool opens;
	__u32 v;

	n->fate = LB_NAT_NOT_OURS;
	if (LB_FATE_VERDICT(asked) == LB_NAT_COMMON_ASKED && !lb_nat_put_aside(w, n, LB_FATE_SENT(asked)))
		return NULL;
	opens = (n->tcp_flags & (LB_TCP_SYN | LB_TCP_ACK)) == LB_TCP_SYN;
	lb_nat_line_ask(w, n);
	c = lb_world_conn(w, &n->key);
	if (!n->service_idx && (!c || !(c->flags & LB_CONN_F_REPLY)))
		return NULL;
	n->now = lb_world_now_s(w);
	if (c && c->flags & LB_CONN_F_REPLY) {
		n->fate = opens ? LB_V_DROP_NAT_NO_ENTRY : LB_V_FORWARDED;
		return opens ? NULL : c;
	}
	n->fate = opens || n->key.proto != IPPROTO_TCP ? LB_NAT_NEW : LB_V_DROP_NAT_NO_ENTRY;
	if (opens || !c || lb_unlikely(!lb_nat_lives(w, c)))
		return NULL;
	v = lb_unlikely(lb_nat_says_more(w, n, c)) ? lb_nat_see_to(w, n) : LB_V_FORWARDED;
	if (v == LB_V_DROP_NAT_NO_ENTRY)
		return NULL;
	n->fate = (__u8)v;
	return v == LB_V_FORWARDED ? c : NULL;
}

/* What becomes of the packet, whose entry is @c. Leaves in the job whose it is. */
static __always_inline __u32 lb_nat(struct lb_world *w, struct lb_nat_job *n, struct lb_conn *c)
{
	const struct lb_backend *b = lb_world_backend(w, c->backend);
	struct lb_life life;

	if (!b)
		return LB_V_DROP_NO_BACKEND;
	life = lb_life_of(b);
	if (lb_unlikely(!lb_nat_backend_has(b, life, c)))
		return LB_V_DROP_NO_BACKEND;
	if (c->flags & LB_CONN_F_REPLY) {
		n->service_idx = c->service;
		n->backend_idx = 0; /* it is none's to get */
		return lb_nat_reply(w, n, c);
	}
	n->backend_idx = c->backend;
	return lb_nat_send(w, n, c, b, life);
}

#endif
