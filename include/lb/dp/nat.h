/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The two entries of a translated connection: how they are found, and what is in them. Called by bpf/, by the collector
 * of what has expired, and by tests.
 */
#ifndef LB_DP_NAT_H
#define LB_DP_NAT_H

#include "lb/abi.h"
#include "lb/dp/base.h"
#include "lb/dp/icmp_nat.h"
#include "lb/dp/parse.h"
#include "lb/dp/translate.h"

/* A packet to translate, apart from all else that is known of it: it is handed from one frame to another. */
struct lb_nat_job {
	struct lb_conn_key key;
	__u32 len; /* as its IP header says */
	__u32 l4_off;
	__u32 service_idx; /* 0: it is to no service */
	__u32 backend_idx; /* of a connection that it opens, if it may; 0: not chosen yet. In the end, who gets it */
	__u64 tags;	   /* that it came with */
	__u32 now;	   /* in seconds */
	__u8 tcp_flags;
	bool v6;
	bool fragment; /* the first one of a datagram */
	__u8 fate; /* LB_V_FORWARDED: it has an entry. Else a verdict, or what bpf/nat.h has beside them */
	__u32 set_idx; /* where its line is: lb/dp/nat_line.h */
	__u32 epoch;	 /* its key's, from before its entry was read */
};

/* What a CPU has no room for on a program's stack. */
struct lb_nat_work {
	struct lb_conn_key key; /* of the packet at hand, from the client */
	struct lb_conn_key back;
	struct lb_conn forward;
	struct lb_conn reply;
	__u64 sum; /* of a datagram; of a later fragment lb_fragment_hash */
	struct lb_nat_job job; /* the packet that was put aside */
	__u32 none; /* of an ICMP error or a later fragment: its verdict if it is nobody's, or its flaw */
	__u32 icmp_off; /* of an ICMP error: lb_packet's, the job being that of its flow; 0: a later fragment */
	struct lb_icmp_cross error;
};

static __always_inline __u32 lb_ports_turn(__u32 ports)
{
	return ports << 16 | ports >> 16;
}

/* As they lie in a packet. */
static __always_inline __u32 lb_ports_of(__be16 sport, __be16 dport)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return sport | (__u32)dport << 16;
#else
	return (__u32)sport << 16 | dport;
#endif
}

static __always_inline __be16 lb_ports_source(__u32 ports)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return (__be16)ports;
#else
	return (__be16)(ports >> 16);
#endif
}

static __always_inline __be16 lb_ports_dest(__u32 ports)
{
	return lb_ports_source(lb_ports_turn(ports));
}

static __always_inline bool lb_addr_is_mapped4(const __u64 addr[2])
{
	return !addr[0] && addr[1] == lb_addr_of4(lb_addr_to4(addr[1]));
}

/* lb_nat_key - what the packet is looked up by. */
static __always_inline void lb_nat_key(const struct lb_packet *p, struct lb_conn_key *key)
{
	key->saddr[0] = lb_packet_source(p, 0);
	key->saddr[1] = lb_packet_source(p, 1);
	key->daddr[0] = lb_packet_dest(p, 0);
	key->daddr[1] = lb_packet_dest(p, 1);
	key->ports = p->ports;
	key->proto = p->proto;
}

/* lb_nat_other - the key of the other direction's packets, from what this one's are turned into. */
static __always_inline void lb_nat_other(const struct lb_xlate *x, __u32 proto, struct lb_conn_key *key)
{
	key->saddr[0] = x->daddr[0];
	key->saddr[1] = x->daddr[1];
	key->daddr[0] = x->saddr[0];
	key->daddr[1] = x->saddr[1];
	key->ports = lb_ports_turn(x->ports);
	key->proto = proto;
}

/* lb_nat_between - what turns packets with @key into ones that are answered with @back. */
static __always_inline void lb_nat_between(const struct lb_conn_key *key, const struct lb_conn_key *back,
					   struct lb_xlate *x)
{
	x->saddr[0] = back->daddr[0];
	x->saddr[1] = back->daddr[1];
	x->daddr[0] = back->saddr[0];
	x->daddr[1] = back->saddr[1];
	x->ports = lb_ports_turn(back->ports);
	lb_xlate_deltas(x, key->saddr, key->daddr, key->ports);
}

/* lb_nat_hop - the link's header of the frame at @data, of which 14 bytes are there, and which came with @tags. */
static __always_inline void lb_nat_hop(const void *data, __u32 ifindex, __u64 tags, struct lb_conn_hop *hop)
{
	hop->mac0 = lb_get64(data);
	hop->mac1 = lb_get32(data + 8);
	hop->ifindex = ifindex;
	hop->tags = tags;
}

/* lb_nat_hop_back - what leads back to where the frames with @from come from. */
static __always_inline void lb_nat_hop_back(const struct lb_conn_hop *from, struct lb_conn_hop *to)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	to->mac0 = from->mac0 >> 48 | (__u64)from->mac1 << 16 | from->mac0 << 48;
	to->mac1 = (__u32)(from->mac0 >> 16);
#else
	to->mac0 = from->mac0 << 48 | (__u64)from->mac1 << 16 | from->mac0 >> 48;
	to->mac1 = (__u32)(from->mac0 >> 16);
#endif
	to->ifindex = from->ifindex;
	to->tags = from->tags;
}

static __always_inline bool lb_nat_hop_same(const struct lb_conn_hop *a, const struct lb_conn_hop *b)
{
	return ((a->mac0 ^ b->mac0) | (a->mac1 ^ b->mac1) | (a->ifindex ^ b->ifindex) | (a->tags ^ b->tags)) == 0;
}

/* lb_nat_make - both entries of the connection whose packets come with n->key, and whose replies come with n->back;
 * n->forward.hop is there already. What they say of its backend and its state is the caller's. */
static __always_inline void lb_nat_make(struct lb_nat_work *n)
{
	__u8 cross = lb_addr_is_mapped4(n->key.daddr) != lb_addr_is_mapped4(n->back.saddr) ? LB_CONN_F_CROSS : 0;

	lb_nat_between(&n->key, &n->back, &n->forward.xlate);
	lb_nat_between(&n->back, &n->key, &n->reply.xlate);
	n->forward.flags = cross;
	n->reply.flags = cross | LB_CONN_F_REPLY;
	lb_nat_hop_back(&n->forward.hop, &n->reply.hop);
}

/* lb_nat_leads_to - does @x turn packets round to the one that comes with @key? */
static __always_inline bool lb_nat_leads_to(const struct lb_xlate *x, const struct lb_conn_key *key)
{
	return ((x->saddr[0] ^ key->daddr[0]) | (x->saddr[1] ^ key->daddr[1]) | (x->daddr[0] ^ key->saddr[0]) |
		(x->daddr[1] ^ key->saddr[1]) | (x->ports ^ lb_ports_turn(key->ports))) == 0;
}

/* lb_nat_port - one of fullnat's source ports, by a random number. */
static __always_inline __be16 lb_nat_port(const struct lb_conf *conf, __u32 random)
{
	return lb_htons((__u16)(conf->snat_first + (((random & 0xffff) * conf->snat_ports) >> 16)));
}

/* Bytes by which what was IPv4 is longer as IPv6, which has a header more for fragments. */
static __always_inline __u32 lb_nat_growth(bool fragment)
{
	return LB_ICMP_GROWTH + 8 * (__u32)fragment;
}

/* lb_nat_len - bytes of the packet when it is translated; @cross: into the other family, where IPv6 has its extension
 * headers no more; @fragment: it is one, of which n->fragment says less. */
static __always_inline __u32 lb_nat_len(const struct lb_nat_job *n, bool cross, bool fragment)
{
	if (!cross)
		return n->len;
	return n->v6 ? n->len + sizeof(struct iphdr) - n->l4_off : n->len + lb_nat_growth(fragment);
}

/* lb_nat_mtu - bytes that the sender's packets may have for @mtu_bytes to hold them when they are translated; @v6: the
 * packets that it sends. Of IPv6 it holds for what is no @fragment, too. */
static __always_inline __u32 lb_nat_mtu(__u32 mtu_bytes, bool v6, bool cross, bool fragment)
{
	if (!cross)
		return mtu_bytes;
	if (v6)
		return lb_icmp_min(mtu_bytes + LB_ICMP_GROWTH, 0xffff);
	return mtu_bytes > lb_nat_growth(fragment) ? mtu_bytes - lb_nat_growth(fragment) : 0;
}

/* lb_nat_has_room - may a service make another connection? Half of all there may be can be half-open; of that half, a
 * service may have as much as it leaves to others. */
static __always_inline bool lb_nat_has_room(const struct lb_nat_load *all, const struct lb_nat_load *mine,
					    __u32 max_conns)
{
	__s64 share = max_conns / 2;

	return lb_load(&all->conns) < max_conns && lb_load(&mine->half_open) < share - lb_load(&all->half_open);
}

#endif
