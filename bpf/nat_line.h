/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Packets of established connections that are translated: those whose line has all they need are sent from where they
 * were parsed, without their entries; see lb/dp/nat_line.h. Included by pipeline.h and nat.h. */
#ifndef BPF_NAT_LINE_H
#define BPF_NAT_LINE_H

#include "lb/dp/encap.h"
#include "lb/dp/nat_line.h"
#include "lb/dp/sanity.h"
#include "lb/dp/steer.h"
#include "world.h"

/* What lines copy of the entry with @key is not true any more. */
static __always_inline void lb_nat_touch(struct lb_world *w, const struct lb_conn_key *key)
{
	const struct lb_conf *conf = lb_world_conf(w);
	__u32 idx;

	if (!conf)
		return;
	idx = lb_nat_epoch_idx(lb_nat_line_key_hash(&conf->hash, key));
	__sync_fetch_and_add(lb_nat_epoch_word(lb_world_nat_epochs(w), idx), lb_nat_epoch_one(idx));
}

/* The epoch of what has @hash. */
static __always_inline __u32 lb_nat_epoch(struct lb_world *w, __u64 hash)
{
	return lb_load(&lb_world_nat_epochs(w)->epoch[lb_nat_epoch_idx(hash)]);
}

/* Before the entry of n->key is looked up: what its line will have to have. */
static __always_inline void lb_nat_line_ask(struct lb_world *w, struct lb_nat_job *n)
{
	const struct lb_conf *conf = lb_world_conf(w);
	__u64 hash;

	if (!conf)
		return;
	hash = lb_nat_line_key_hash(&conf->hash, &n->key);
	n->set_idx = lb_nat_set_idx(hash);
	n->epoch = lb_nat_epoch(w, hash);
}

/* Sees to the line of @c, which n->key has. */
static __always_inline void lb_nat_keep_line(struct lb_world *w, const struct lb_nat_job *n, const struct lb_conn *c)
{
	struct lb_nat_set *set = lb_world_nat_set(w, n->set_idx);

	if (!set)
		return;
	if (n->v6)
		lb_nat_line6_keep(set, &n->key, c, n->epoch, n->now);
	else
		lb_nat_line_keep(set, &n->key, c, n->epoch, n->now);
}

/* The line of the packet at @ip, without options; NULL: there is none, or it is worth nothing. */
static __always_inline const struct lb_nat_line *lb_nat_line_find(struct lb_world *w, const void *ip, __u8 proto,
								  bool reply)
{
	const __u64 addrs = lb_get64(ip + 12);
	const __u32 ports = lb_get32(ip + sizeof(struct iphdr));
	const struct lb_conf *conf = lb_world_conf(w);
	const struct lb_nat_line *l;
	const struct lb_nat_set *set;
	__u64 hash;

	if (!conf)
		return NULL;
	hash = lb_nat_line_hash(&conf->hash, addrs, ports, proto);
	set = lb_world_nat_set(w, lb_nat_set_idx(hash));
	if (lb_unlikely(!set))
		return NULL;
	l = lb_nat_line_at(set, addrs, ports);
	return lb_nat_line_is(l, addrs, ports, LB_NAT_LINE_WHAT(proto, reply), lb_nat_epoch(w, hash),
			      lb_world_now_s(w))
		       ? l
		       : NULL;
}

/* Is it in the middle of its connection, so that a line may do? */
static __always_inline bool lb_nat_line_may(const struct lb_job *j)
{
	return j->common && !j->pkt.v6 && (j->pkt.proto != IPPROTO_TCP || lb_packet_goes_on(&j->pkt));
}

/* ---- IPv6: behind the parser, as one piece of code for all ---- */

/* One of the client's, of @len bytes: how it is sent, LB_UNSENT where the line does not say. */
static __always_inline __u32 lb_nat_line6_forward(struct lb_world *w, const struct lb_nat_line6 *l, void *eth,
						  __u32 len)
{
	const struct lb_backend *b = lb_world_backend(w, l->backend);
	struct lb_backend_cpu *row = lb_world_backend_cpu(w, l->backend);
	struct lb_hop hop;
	__u32 sent;
	__u64 its;

	if (lb_unlikely(!b || !row))
		return LB_UNSENT;
	its = lb_backend_word(b);
	lb_hop_read(b, &hop);
	if (lb_unlikely((its ^ l->its) & LB_NAT_LINE_ITS_FORWARD || !hop.oif || len > lb_hop_mtu(&hop)))
		return LB_UNSENT;
	if (lb_unlikely((lb_get64(eth) ^ l->mac0) | (lb_get32(eth + 8) ^ l->mac1) | (lb_world_ingress(w) ^ l->ifindex)))
		return LB_UNSENT;
	sent = lb_world_send(w, hop.oif, lb_life_in(its).flags & LB_BACKEND_F_REDIRECT);
	if (lb_unlikely(sent == LB_UNSENT))
		return sent;
	lb_eth_write_tunnel(eth, &hop, lb_htons(ETH_P_IPV6));
	row->pkts++;
	row->bytes += len;
	return sent;
}

/* One of the backend's, likewise. */
static __always_inline __u32 lb_nat_line6_reply(struct lb_world *w, const struct lb_nat_line6 *l, void *eth, __u32 len)
{
	const struct lb_link *link = lb_world_link(w, l->ifindex % LB_LINKS);
	const struct lb_backend *b = lb_world_backend(w, l->backend);
	__u32 sent;

	if (lb_unlikely(!b || !link))
		return LB_UNSENT;
	if (lb_unlikely((lb_backend_word(b) ^ l->its) & LB_NAT_LINE_ITS || lb_load(&link->ifindex) != l->ifindex ||
			len > lb_load(&link->mtu)))
		return LB_UNSENT;
	sent = lb_world_send(w, l->ifindex, lb_load(&link->flags) & LB_LINK_F_REDIRECT);
	if (lb_unlikely(sent == LB_UNSENT))
		return sent;
	lb_put64(eth, l->mac0);
	lb_put32(eth + 8, l->mac1);
	return sent;
}

/* The fate of the frame's packet, of @proto, to @service_idx or, 0, to none, by its line; LB_NAT_COMMON_ASKED: that
 * does not say. */
static __always_inline __u32 lb_nat_line6_sends(struct lb_world *w, __u32 service_idx, const __u8 proto)
{
	void *eth = lb_world_data(w), *end = lb_world_data_end(w), *ip6 = eth + sizeof(struct ethhdr);
	const void *l4 = ip6 + sizeof(struct ipv6hdr);
	const __u32 what = LB_NAT_LINE_WHAT(proto, !service_idx) | LB_NAT_LINE_V6;
	const struct lb_conf *conf = lb_world_conf(w);
	const struct lb_nat_line6 *l;
	const struct lb_nat_set *set;
	__u32 epoch, sent, len;
	__u64 hash;

	if (!conf || l4 + (proto == IPPROTO_TCP ? 20 : 8) > end)
		return lb_answer(LB_NAT_COMMON_ASKED);
	if (proto == IPPROTO_TCP && lb_unlikely(!lb_tcp_goes_on(*(const __u8 *)(l4 + 13))))
		return lb_answer(LB_NAT_COMMON_ASKED);
	hash = lb_nat_line6_hash(&conf->hash, ip6 + 8, lb_get32(l4), proto);
	epoch = lb_nat_epoch(w, hash);
	set = lb_world_nat_set(w, lb_nat_set_idx(hash));
	if (lb_unlikely(!set || ((const struct ipv6hdr *)ip6)->hop_limit <= 1))
		return lb_answer(LB_NAT_COMMON_ASKED);
	l = &set->six;
	eth = lb_rarely(eth); /* so that no place in the packet is kept for what follows */
	ip6 = eth + sizeof(struct ethhdr);
	if (!lb_nat_line6_is(l, ip6 + 8, lb_get32(ip6 + sizeof(struct ipv6hdr)), what, epoch, lb_world_now_s(w)))
		return lb_answer(LB_NAT_COMMON_ASKED);
	if (service_idx && lb_unlikely(service_idx != l->service))
		return lb_answer(LB_NAT_COMMON_ASKED);
	len = sizeof(struct ipv6hdr) + lb_ntohs(((const struct ipv6hdr *)ip6)->payload_len);
	sent = service_idx ? lb_nat_line6_forward(w, l, eth, len) : lb_nat_line6_reply(w, l, eth, len);
	if (lb_unlikely(sent == LB_UNSENT))
		return lb_answer(LB_NAT_COMMON_ASKED);
	lb_nat_line6_write(ip6, proto, l);
	return LB_FATE(service_idx ? LB_V_FORWARDED : LB_V_REPLIED, sent);
}

/* The same of any packet, a common one, which came with @tags: frames with tags have no line. */
static __always_inline __u32 lb_nat_line6(struct lb_world *w, __u32 service_idx, __u64 tags)
{
	const void *eth = lb_world_data(w), *ip6 = eth + sizeof(struct ethhdr);

	if (lb_unlikely(tags) || ip6 + sizeof(struct ipv6hdr) > lb_world_data_end(w) ||
	    lb_get16(eth + 12) != lb_htons(ETH_P_IPV6))
		return lb_answer(LB_NAT_COMMON_ASKED);
	return ((const struct ipv6hdr *)ip6)->nexthdr == IPPROTO_TCP ? lb_nat_line6_sends(w, service_idx, IPPROTO_TCP)
								     : lb_nat_line6_sends(w, service_idx, IPPROTO_UDP);
}

/* ---- IPv4: where they are parsed ---- */

/* A packet of the client's. True: it is sent, and counted. */
static __always_inline bool lb_nat_line_forward(struct lb_world *w, const struct lb_job *j, __u32 *sent)
{
	void *ip = (void *)j->pkt.ip, *eth = ip - sizeof(struct ethhdr);
	const struct lb_nat_line *l;
	struct lb_backend_cpu *row;
	const struct lb_backend *b;
	struct lb_life life;
	struct lb_hop hop;
	__u64 its;

	if (!lb_nat_line_may(j) || lb_unlikely(j->tags))
		return false;
	l = lb_nat_line_find(w, ip, j->pkt.proto, false);
	if (lb_unlikely(!l))
		return false;
	b = lb_world_backend(w, l->backend);
	row = lb_world_backend_cpu(w, l->backend);
	if (lb_unlikely(!b || !row))
		return false;
	its = lb_backend_word(b);
	life = lb_life_in(its);
	lb_hop_read(b, &hop);
	/* what is not as always is for those to judge who have words for it */
	if (lb_unlikely(!lb_backend_serves(its, j->vip_word) || life.gen != l->gen || !hop.oif ||
			j->pkt.len > lb_hop_mtu(&hop) || ((const struct iphdr *)ip)->ttl <= 1 ||
			life.flags & LB_BACKEND_F_TAGGED))
		return false;
	if (lb_unlikely((lb_get64(eth) ^ l->mac0) | (lb_get32(eth + 8) ^ l->mac1) | (lb_world_ingress(w) ^ l->ifindex)))
		return false;
	*sent = lb_world_send(w, hop.oif, life.flags & LB_BACKEND_F_REDIRECT);
	if (lb_unlikely(*sent == LB_UNSENT))
		return false;
	lb_nat_line_write(ip, j->pkt.proto, l);
	lb_eth_write(eth, &hop);
	row->pkts++;
	row->bytes += j->pkt.len;
	return true;
}

/* A packet of the backend's. True: it is sent. */
static __always_inline bool lb_nat_line_reply(struct lb_world *w, const struct lb_job *j, __u32 *sent)
{
	void *ip = (void *)j->pkt.ip, *eth = ip - sizeof(struct ethhdr);
	const struct lb_nat_line *l;
	const struct lb_backend *b;
	const struct lb_link *link;
	__u64 its;

	if (!lb_nat_line_may(j))
		return false;
	l = lb_nat_line_find(w, ip, j->pkt.proto, true);
	if (lb_unlikely(!l))
		return false;
	b = lb_world_backend(w, l->backend);
	link = lb_world_link(w, l->ifindex % LB_LINKS);
	if (lb_unlikely(!b || !link))
		return false;
	its = lb_backend_word(b);
	if (lb_unlikely(!lb_backend_serves(its, LB_VIP_WORD(l->service, 0)) || lb_life_in(its).gen != l->gen ||
			lb_load(&link->ifindex) != l->ifindex || j->pkt.len > lb_load(&link->mtu) ||
			((const struct iphdr *)ip)->ttl <= 1))
		return false;
	*sent = lb_world_send(w, l->ifindex, lb_load(&link->flags) & LB_LINK_F_REDIRECT);
	if (lb_unlikely(*sent == LB_UNSENT))
		return false;
	lb_nat_line_write(ip, j->pkt.proto, l);
	lb_put64(eth, l->mac0);
	lb_put32(eth + 8, l->mac1);
	return true;
}

#endif
