/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From a frame to what the load balancer needs to know of it. Nothing is dropped here: what cannot be followed gets a
 * PASS verdict, and what is wrong with a packet that can is noted, to be held against it once it is known to be for a
 * service. Called by bpf/ and by tests.
 */
#ifndef LB_DP_PARSE_H
#define LB_DP_PARSE_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>

#include "lb/abi.h"
#include "lb/verdict.h"
#include "lb/dp/base.h"
#include "lb/dp/hash.h"
#include "lb/dp/vip.h"

#define LB_IP6_EXT_MAX 8      /* extension headers followed; sane packets have at most one of each of five kinds */
#define LB_L4_OFF_BITS 0x7fff /* so many are not further than that */

#define LB_TCP_FIN 0x01
#define LB_TCP_SYN 0x02
#define LB_TCP_RST 0x04
#define LB_TCP_ACK 0x10
#define LB_TCP_FRAGMENT                                                                                                \
	0x100 /* no flag of TCP: the first fragment of a datagram, whose later ones are to follow it                   \
	       */

#define LB_TCP_HLEN_MIN 20
#define LB_UDP_HLEN 8
#define LB_SCTP_HLEN 12
#define LB_SCTP_CHUNK_HLEN 4

#define LB_SCTP_INIT_BYTES 20

/* Chunk types, RFC 9260 section 3.2. */
#define LB_SCTP_INIT 1
#define LB_SCTP_ABORT 6
#define LB_SCTP_SHUTDOWN_ACK 8
#define LB_SCTP_SHUTDOWN_COMPLETE 14

struct lb_packet {
	const void *ip; /* the IP header, until the frame is changed */
	__u64 saddr[2]; /* an IPv6 packet's, as they lie in memory; the source is there after lb_parse_source */
	__u64 daddr[2];
	__u64 saddr4; /* an IPv4 packet's, likewise */
	__u64 daddr4;
	union {
		__u32 ports; /* as they lie in the packet */
		struct {
			__be16 sport; /* after lb_parse_source */
			__be16 dport;
		};
	};
	__u32 len;     /* bytes of the IP packet, as its header says */
	__u32 room;    /* bytes that the frame has for it */
	__u32 l4_off;  /* bytes from the IP header to the transport header */
	__u32 l4_len;  /* bytes of the TCP header, the UDP datagram, or SCTP's header and first chunk */
	__u8 proto;    /* IPPROTO_TCP, IPPROTO_UDP or IPPROTO_SCTP */
	bool fragment; /* the first of several */
	bool v6;       /* the packet is IPv6 */
	__u8 pad0;
	__u16 tcp_flags; /* LB_TCP_*; of UDP none of TCP's, of SCTP lb_sctp_flags; after lb_parse_source */
	__u16 icmp_off;	 /* of a flow that an ICMP error is about: bytes to that error's ICMP header */
};

/* The second word of an IPv4 address, and the address in it. */
static __always_inline __u64 lb_addr_of4(__be32 addr)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return (__u64)addr << 32 | 0xffff0000U;
#else
	return 0xffff00000000ULL | addr;
#endif
}

static __always_inline __be32 lb_addr_to4(__u64 word)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return (__be32)(word >> 32);
#else
	return (__be32)word;
#endif
}

/* lb_packet_source, lb_packet_dest - word 0 or 1 of its addresses as 16 bytes, IPv4 as ::ffff:a.b.c.d. */
static __always_inline __u64 lb_packet_source(const struct lb_packet *p, const int word)
{
	return p->v6 ? p->saddr[word] : word ? lb_addr_of4((__be32)p->saddr4) : 0;
}

static __always_inline __u64 lb_packet_dest(const struct lb_packet *p, const int word)
{
	return p->v6 ? p->daddr[word] : word ? lb_addr_of4((__be32)p->daddr4) : 0;
}

/* lb_proto_is_followed - can packets of @proto be for a service? */
static __always_inline bool lb_proto_is_followed(__u8 proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_SCTP;
}

/* lb_l4_min - the least .l4_len of @proto. */
static __always_inline __u32 lb_l4_min(__u8 proto)
{
	if (proto == IPPROTO_TCP)
		return LB_TCP_HLEN_MIN;
	return proto == IPPROTO_UDP ? LB_UDP_HLEN : LB_SCTP_HLEN + LB_SCTP_CHUNK_HLEN;
}

/* lb_sctp_len - bytes of the SCTP header at @l4 and the first chunk behind it, whose padding is not counted; 0: of a
 * length that no such chunk has. */
static __always_inline __u32 lb_sctp_len(const void *l4)
{
	const __u8 *chunk = l4 + LB_SCTP_HLEN;
	const __u32 bytes = lb_ntohs(lb_get16(chunk + 2));

	return bytes < (*chunk == LB_SCTP_INIT ? LB_SCTP_INIT_BYTES : LB_SCTP_CHUNK_HLEN) ? 0 : LB_SCTP_HLEN + bytes;
}

/* lb_sctp_flags - what the packet with the SCTP header at @l4 says of its association, in TCP's words. The first chunk
 * tells: INIT is alone in its packet, which has no tag yet (RFC 9260 section 8.5.1), and so is the one of the two that
 * a client ends an association with in order, SHUTDOWN COMPLETE its own, SHUTDOWN ACK the server's (9.2). SHUTDOWN may
 * come many times before. */
static __always_inline __u8 lb_sctp_flags(const void *l4)
{
	const __u8 chunk = *(const __u8 *)(l4 + LB_SCTP_HLEN);

	if (chunk == LB_SCTP_INIT && !lb_get32(l4 + 4))
		return LB_TCP_SYN;
	if (chunk == LB_SCTP_ABORT)
		return LB_TCP_RST | LB_TCP_ACK;
	if (chunk == LB_SCTP_SHUTDOWN_ACK || chunk == LB_SCTP_SHUTDOWN_COMPLETE)
		return LB_TCP_FIN | LB_TCP_ACK;
	return LB_TCP_ACK;
}

/* lb_packet_flaw - do the lengths contradict each other or the frame's room? A frame longer than its packet is right,
 * it was padded; so is a UDP datagram shorter than the packet's payload (RFC 9868 has options behind it). A fragment's
 * lengths are another matter. */
static __always_inline enum lb_verdict lb_packet_flaw(const struct lb_packet *p)
{
	if (lb_unlikely(p->fragment))
		return lb_answer(LB_V_DROP_FRAGMENT);
	if (lb_unlikely(p->len > p->room || p->l4_len < lb_l4_min(p->proto) || p->l4_off + p->l4_len > p->len))
		return lb_answer(LB_V_DROP_MALFORMED);
	return LB_V_FORWARDED;
}

/* Parsers return LB_V_FORWARDED when the packet could be followed to its end, else the verdict to pass it with.
 * lb_parse_l4 comes after the one of the packet's family. */
static __always_inline enum lb_verdict lb_parse_l4(const void *data_end, struct lb_packet *p)
{
	const void *l4 = p->ip + p->l4_off;

	p->room = data_end - p->ip;
	if (lb_likely(p->proto == IPPROTO_TCP)) {
		if (lb_unlikely(l4 + LB_TCP_HLEN_MIN > data_end))
			return p->fragment ? lb_answer(LB_V_PASS_FRAGMENT) : lb_answer(LB_V_PASS_TRUNCATED);
		p->l4_len = (*(const __u8 *)(l4 + 12) & 0xf0) >> 2;
	} else if (p->proto == IPPROTO_UDP) {
		if (lb_unlikely(l4 + LB_UDP_HLEN > data_end))
			return p->fragment ? lb_answer(LB_V_PASS_FRAGMENT) : lb_answer(LB_V_PASS_TRUNCATED);
		p->l4_len = lb_ntohs(lb_get16(l4 + 4));
	} else {
		if (l4 + LB_SCTP_HLEN + LB_SCTP_CHUNK_HLEN > data_end)
			return p->fragment ? lb_answer(LB_V_PASS_FRAGMENT) : lb_answer(LB_V_PASS_TRUNCATED);
		p->l4_len = lb_sctp_len(l4);
	}
	p->dport = lb_get16(l4 + 2);
	if (!p->v6)
		p->daddr4 = lb_get32(p->ip + 16);
	return LB_V_FORWARDED;
}

/* Is the header at @data, of at least 20 bytes, one without options and of no fragment? Its first two words tell. */
static __always_inline bool lb_ip4_common(const void *data)
{
	const __be64 mask = lb_htonll(0xff00000000003fffULL);

	return (lb_get64(data) & mask) == lb_htonll(0x4500000000000000ULL);
}

/* The rest of it, where that was asked. @common: the answer; then its protocol is still to be asked for. */
static __always_inline enum lb_verdict lb_parse_ip4(const void *data, struct lb_packet *p, const bool common)
{
	const struct iphdr *ip = data;
	__u8 version_ihl;

	p->ip = data;
	p->v6 = false;
	p->l4_off = sizeof(*ip);
	p->fragment = false;
	if (!common) {
		version_ihl = *(const __u8 *)data;
		if (version_ihl >> 4 != 4)
			return lb_answer(LB_V_PASS_NOT_IP);
		if (version_ihl < 0x45)
			return lb_answer(LB_V_PASS_TRUNCATED);
		p->l4_off = (version_ihl & 0xf) * 4;
	}
	p->proto = ip->protocol;
	if (!common) {
		if (!lb_proto_is_followed(p->proto))
			return lb_answer(LB_V_PASS_PROTOCOL);
		if (ip->frag_off & lb_htons(0x1fff))
			return lb_answer(LB_V_PASS_FRAGMENT);
		p->fragment = ip->frag_off & lb_htons(0x2000);
	}
	p->len = lb_ntohs(ip->tot_len);
	return LB_V_FORWARDED;
}

/* lb_parse_ext - follow IPv6 extension headers, the first being of type *@next, to a header that is none.
 * RFC 8200 section 4; a routing header whose segments are not all used up has another destination to reach first. */
static __always_inline enum lb_verdict lb_parse_ext(const void *ip, const void *data_end, struct lb_packet *p,
						    __u8 *next)
{
#ifdef __clang__
#pragma clang loop unroll(disable)
#endif
	for (int i = 0; i < LB_IP6_EXT_MAX; i++) {
		const void *at = ip + p->l4_off;
		const __u8 *ext = at;

		if (lb_proto_is_followed(*next))
			return LB_V_FORWARDED;
		if (*next != IPPROTO_HOPOPTS && *next != IPPROTO_ROUTING && *next != IPPROTO_DSTOPTS &&
		    *next != IPPROTO_AH && *next != IPPROTO_FRAGMENT)
			return LB_V_PASS_PROTOCOL;
		if (at + 8 > data_end)
			return LB_V_PASS_TRUNCATED;
		if (*next == IPPROTO_FRAGMENT) {
			__be16 frag = lb_get16(at + 2);

			if (frag & lb_htons(0xfff8))
				return LB_V_PASS_FRAGMENT;
			p->fragment |= !!(frag & lb_htons(1));
			p->l4_off += 8;
		} else if (*next == IPPROTO_AH) {
			p->l4_off += ((__u32)ext[1] + 2) * 4;
		} else {
			if ((*next == IPPROTO_ROUTING && ext[3]) || (*next == IPPROTO_HOPOPTS && i))
				return LB_V_PASS_EXTENSION;
			p->l4_off += ((__u32)ext[1] + 1) * 8;
		}
		p->l4_off = lb_forget(p->l4_off, lb_get32(at)) & LB_L4_OFF_BITS;
		*next = ext[0];
	}
	return lb_proto_is_followed(*next) ? LB_V_FORWARDED : LB_V_PASS_EXTENSION;
}

/* Is the header at @data, of at least 40 bytes, one with TCP, UDP or ICMP right behind it? */
static __always_inline bool lb_ip6_common(const void *data)
{
	const __u8 next = ((const struct ipv6hdr *)data)->nexthdr;

	return next == IPPROTO_TCP || next == IPPROTO_UDP || next == IPPROTO_ICMPV6;
}

/* The rest of it, where that was asked. @common: the answer. */
static __always_inline enum lb_verdict lb_parse_ip6(const void *data, const void *data_end, struct lb_packet *p,
						    const bool common)
{
	const struct ipv6hdr *ip6 = data;
	enum lb_verdict v;
	__u8 next;

	if (!common && data + sizeof(*ip6) > data_end)
		return LB_V_PASS_TRUNCATED;
	if (lb_unlikely(ip6->version != 6))
		return lb_answer(LB_V_PASS_NOT_IP);
	p->ip = data;
	p->v6 = true;
	p->daddr[0] = lb_get64(data + 24);
	p->daddr[1] = lb_get64(data + 32);
	if (!p->daddr[0] && p->daddr[1] == lb_addr_of4(lb_addr_to4(p->daddr[1])))
		return lb_answer(LB_V_PASS_NO_SERVICE); /* ::ffff:a.b.c.d is nobody's address on a wire; here it would
							   be an IPv4 VIP */
	p->l4_off = sizeof(*ip6);
	p->len = sizeof(*ip6) + lb_ntohs(ip6->payload_len);
	p->fragment = false;
	next = ip6->nexthdr;
	if (common) {
		p->proto = next;
		return lb_likely(next != IPPROTO_ICMPV6) ? LB_V_FORWARDED : lb_answer(LB_V_PASS_PROTOCOL);
	}
	v = lb_parse_ext(data, data_end, p, &next);
	if (v != LB_V_FORWARDED)
		return v;
	p->proto = next;
	return LB_V_FORWARDED;
}

/* lb_parse_source - read where it comes from and what it wants there, which nobody has to know of packets that are for
 * no service. */
static __always_inline void lb_parse_source(struct lb_packet *p)
{
	const void *l4 = p->ip + p->l4_off;

	if (p->v6) {
		p->saddr[0] = lb_get64(p->ip + 8);
		p->saddr[1] = lb_get64(p->ip + 16);
	} else {
		p->saddr4 = lb_get32(p->ip + 12);
	}
	p->sport = lb_get16(l4);
	if (p->proto == IPPROTO_SCTP)
		p->tcp_flags = lb_sctp_flags(l4);
	else
		p->tcp_flags = p->proto == IPPROTO_TCP ? *(const __u8 *)(l4 + 13) : 0;
}

/* lb_parse_again - @p with addresses, ports and what the packet wants read once more, for the few that are asked. What
 * all would have to keep for these costs more than it does to read it. Where the transport header lies is known. */
static __always_inline struct lb_packet lb_parse_again(const struct lb_packet *p)
{
	struct lb_packet q = *p;

	q.ip = lb_rarely(p->ip);
	if (q.v6) {
		q.daddr[0] = lb_get64(q.ip + 24);
		q.daddr[1] = lb_get64(q.ip + 32);
	} else {
		q.daddr4 = lb_get32(q.ip + 16);
	}
	q.dport = lb_get16(q.ip + q.l4_off + 2);
	lb_parse_source(&q);
	return q;
}

/* lb_packet_forget - let a verifier, once @p was read, go on with all protocols and their flags as one. @any: as
 * lb_forget has it. */
static __always_inline void lb_packet_forget(struct lb_packet *p, __u32 any)
{
	p->proto = (__u8)lb_forget(p->proto, any);
	p->tcp_flags = (__u16)lb_forget(p->tcp_flags, any);
}

/* lb_parse_eth - the type of the frame [@data, @data_end), 0 where it is too short to have one; the verdict is for
 * those that are not IP. */
static __always_inline enum lb_verdict lb_parse_eth(const void *data, const void *data_end, __be16 *type)
{
	*type = 0;
	if (lb_unlikely(data + sizeof(struct ethhdr) > data_end))
		return lb_answer(LB_V_PASS_TRUNCATED);
	*type = lb_get16(data + 12);
	return LB_V_PASS_NOT_IP;
}

/* lb_eth_is_to - is the frame at @data to the interface @ifindex, whose MAC address @link may have? Never when it is to
 * a group: no host takes a unicast packet from there. */
static __always_inline bool lb_eth_is_to(const void *data, const struct lb_link *link, __u32 ifindex)
{
	__u64 to = lb_get64(data);

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	to <<= 16;
#else
	to >>= 16;
#endif
	/* asked first, as it is nearly always so; where the address is another interface's, it is no group's either */
	if (lb_likely(link && to == lb_load64(link)))
		return true;
	return (!link || lb_load(&link->ifindex) != ifindex) && !(lb_load((const __u8 *)data) & 1);
}

/* lb_packet_opens - does it open a TCP connection or an SCTP association? */
static __always_inline bool lb_packet_opens(const struct lb_packet *p)
{
	return (p->tcp_flags & (LB_TCP_SYN | LB_TCP_ACK)) == LB_TCP_SYN;
}

/* lb_packet_hash - its flow's. @vip: lb_vip_fold of what it is looked up by. */
static __always_inline __u64 lb_packet_hash(const struct lb_packet *p, __u64 vip, const struct lb_hash_secret *s)
{
	return p->v6 ? lb_hash_flow6(s, vip, p->saddr, p->sport) : lb_hash_flow4(s, vip, p->saddr4, p->sport);
}

/* lb_vip_key_addr - word 0 or 1 of its address as 16 bytes. */
static __always_inline __u64 lb_vip_key_addr(const struct lb_vip_key *key, const int word)
{
	return key->v4 ? word ? lb_addr_of4((__be32)key->addr[0]) : 0 : key->addr[word];
}

/* lb_packet_vip - what the packet is looked up by. */
static __always_inline struct lb_vip_key lb_packet_vip(const struct lb_packet *p)
{
	return p->v6 ? lb_vip_key6(p->daddr, p->dport, p->proto) : lb_vip_key4(p->daddr4, p->dport, p->proto);
}

#endif
