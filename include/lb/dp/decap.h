/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Takes tunnels apart on the backend host: IPv4 or IPv6 in IPv4 or IPv6 (RFC 2003, 2473, 4213) and in UDP with a GUE
 * header (variant 0 of draft-ietf-intarea-gue), with ECN as RFC 6040 says. Pure: lb_decap_outer and lb_decap_inner only
 * look, lb_decap_apply writes. Called by bpf/node.bpf.c and by tests.
 */
#ifndef LB_DP_DECAP_H
#define LB_DP_DECAP_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>

#include "lb/dp/base.h"
#include "lb/node.h"

#define LB_DECAP_FRAGMENT 44 /* IPv6 next headers */
#define LB_DECAP_DEST_OPTIONS 60
#define LB_DECAP_OPT_ENCAP_LIMIT 4 /* RFC 2473, 4.1.1 */
#define LB_DECAP_UDP_BYTES 8
#define LB_DECAP_GUE_BYTES 4 /* and as many words more as it says, 31 at most */

struct lb_decap {
	struct lb_node_addr src, dst; /* of the outer header */
	struct lb_node_addr inner_dst;
	__u32 outer_bytes; /* from the Ethernet header's end to the inner header: 20 to 40 + 8 + 4 + 124 */
	__u32 inner_bytes; /* that the outer header says to carry */
	__u8 outer_ecn;
	__u8 inner_proto; /* IPPROTO_IPIP or IPPROTO_IPV6: what the inner header has to be */
};

static __always_inline void lb_decap_addr4(struct lb_node_addr *out, __be32 addr)
{
	*out = (struct lb_node_addr){.addr = {[10] = 0xff, [11] = 0xff}};
	__builtin_memcpy(out->addr + 12, &addr, sizeof(addr));
}

/* How far the Ethernet header moves. The mask changes nothing, but tells the verifier what it forgot when the value lay
 * on the stack: that it is small. */
static __always_inline __u32 lb_decap_shift(const struct lb_decap *d)
{
	return d->outer_bytes & 0xfc;
}

static __always_inline bool lb_decap_is_tunnel(__u8 proto)
{
	return proto == IPPROTO_IPIP || proto == IPPROTO_IPV6;
}

/* lb_decap_sum_ok - is the checksum of an IPv4 header without options right (RFC 1071)? */
static __always_inline bool lb_decap_sum_ok(const struct iphdr *ip)
{
	const __u16 *word = (const void *)ip;
	__u32 sum = 0;

	LB_UNROLL
	for (unsigned int i = 0; i < sizeof(*ip) / 2; i++)
		sum += word[i];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum == 0xffff;
}

/* Does UDP at @udp go to one of the ports that GUE arrives at? Elsewhere it is no business of ours. */
static __always_inline bool lb_decap_is_gue(const void *udp, const void *data_end, const struct lb_node_conf *conf)
{
	__be16 port;

	if (udp + LB_DECAP_UDP_BYTES > data_end)
		return false;
	port = lb_get16(udp + 2);
	LB_UNROLL
	for (int i = 0; i < LB_NODE_MAX_GUE; i++) {
		if (port && port == conf->gue_port[i])
			return true;
	}
	return false;
}

/*
 * lb_decap_gue - the UDP and GUE headers at @udp, what @d says to be inside. Words that GUE's header has room for and
 * no flag speaks of are private data, which concerns nobody here: they go with the rest. What flags say may be a
 * condition or change what is inside, and control messages and other variants are another matter: they are the stack's
 * to judge. The UDP checksum is not looked at, for it is a sum over the whole packet: the inner ones are, by the stack,
 * and the outer destination is one of ours (RFC 6936, 4).
 */
static __always_inline enum lb_node_result lb_decap_gue(const void *udp, const void *data_end, struct lb_decap *d)
{
	const void *gue = udp + LB_DECAP_UDP_BYTES;
	__u32 udp_bytes, gue_bytes, head;

	if (gue + LB_DECAP_GUE_BYTES > data_end)
		return LB_NODE_PASS_MALFORMED;
	udp_bytes = lb_ntohs(lb_get16(udp + 4));
	head = lb_ntohl(lb_get32(gue)); /* variant:2 | control:1 | words:5 | protocol:8 | flags:16 */
	gue_bytes = LB_DECAP_GUE_BYTES + (head >> 24 & 0x1f) * 4;
	if (udp_bytes > d->inner_bytes || udp_bytes < LB_DECAP_UDP_BYTES + gue_bytes)
		return LB_NODE_PASS_MALFORMED;
	d->inner_proto = (__u8)(head >> 16);
	if (head >> 29 || head & 0xffff)
		return LB_NODE_PASS_OPTIONS;
	if (!lb_decap_is_tunnel(d->inner_proto))
		return LB_NODE_PASS_NOT_TUNNEL;
	d->outer_bytes += LB_DECAP_UDP_BYTES + gue_bytes;
	d->inner_bytes = udp_bytes - LB_DECAP_UDP_BYTES - gue_bytes;
	return LB_NODE_DECAPSULATED;
}

static __always_inline enum lb_node_result lb_decap_outer4(const void *data, const void *data_end,
							   const struct lb_node_conf *conf, struct lb_decap *d)
{
	const struct iphdr *ip = data + ETH_HLEN;
	__u32 total_bytes;

	if ((const void *)(ip + 1) > data_end)
		return LB_NODE_PASS_NOT_TUNNEL;
	/* UDP's ports are where they are looked for in a first fragment, without options. */
	if (ip->protocol == IPPROTO_UDP) {
		if (ip->version != 4 || ip->ihl != 5 || ip->frag_off & lb_htons(0x1fff) ||
		    !lb_decap_is_gue(ip + 1, data_end, conf))
			return LB_NODE_PASS_NOT_TUNNEL;
	} else if (!lb_decap_is_tunnel(ip->protocol)) {
		return LB_NODE_PASS_NOT_TUNNEL;
	}
	if (ip->version == 4 && ip->ihl > 5)
		return LB_NODE_PASS_OPTIONS;
	total_bytes = lb_ntohs(ip->tot_len);
	/* As a number, not a pointer: older verifiers know no bounds of what was turned to host order. */
	if (ip->version != 4 || ip->ihl != 5 || total_bytes < sizeof(*ip) ||
	    total_bytes > data_end - (const void *)ip || !lb_decap_sum_ok(ip))
		return LB_NODE_PASS_MALFORMED;
	if (ip->frag_off & lb_htons(0x3fff)) /* MF or an offset */
		return LB_NODE_PASS_FRAGMENT;
	lb_decap_addr4(&d->src, ip->saddr);
	lb_decap_addr4(&d->dst, ip->daddr);
	d->outer_bytes = sizeof(*ip);
	d->inner_bytes = total_bytes - sizeof(*ip);
	d->outer_ecn = ip->tos & 3;
	d->inner_proto = ip->protocol;
	return d->inner_proto == IPPROTO_UDP ? lb_decap_gue(ip + 1, data_end, d) : LB_NODE_DECAPSULATED;
}

/* An IPv4-mapped address has no place in an IPv6 header, and would pass for the IPv4 one in the maps. */
static __always_inline bool lb_decap_is_mapped(const struct in6_addr *addr)
{
	return !addr->s6_addr32[0] && !addr->s6_addr32[1] && addr->s6_addr32[2] == lb_htonl(0xffff);
}

/* Of extension headers, the one that Linux's ip6tnl sends is known: destination options with a tunnel encapsulation
 * limit, which concerns those who encapsulate again. All others are the stack's to judge. */
static __always_inline enum lb_node_result lb_decap_outer6(const void *data, const void *data_end,
							   const struct lb_node_conf *conf, struct lb_decap *d)
{
	const struct ipv6hdr *ip = data + ETH_HLEN;
	const __u8 *ext = (const void *)(ip + 1);
	__u32 payload_bytes, ext_bytes = 0;
	__u8 proto;

	if ((const void *)(ip + 1) > data_end)
		return LB_NODE_PASS_NOT_TUNNEL;
	proto = ip->nexthdr;
	if (proto == LB_DECAP_FRAGMENT || proto == LB_DECAP_DEST_OPTIONS) {
		if ((const void *)(ext + 8) > data_end || !lb_decap_is_tunnel(ext[0]))
			return LB_NODE_PASS_NOT_TUNNEL;
		if (proto == LB_DECAP_FRAGMENT)
			return LB_NODE_PASS_FRAGMENT;
		if (ext[1] != 0 || ext[2] != LB_DECAP_OPT_ENCAP_LIMIT || ext[3] != 1)
			return LB_NODE_PASS_OPTIONS;
		ext_bytes = 8;
		proto = ext[0];
	}
	/* lbd puts no extension headers in front of UDP. */
	if (!lb_decap_is_tunnel(proto) && (proto != IPPROTO_UDP || !lb_decap_is_gue(ext, data_end, conf)))
		return LB_NODE_PASS_NOT_TUNNEL;
	payload_bytes = lb_ntohs(ip->payload_len);
	if (ip->version != 6 || payload_bytes < ext_bytes || payload_bytes > data_end - (const void *)(ip + 1) ||
	    lb_decap_is_mapped(&ip->saddr) || lb_decap_is_mapped(&ip->daddr))
		return LB_NODE_PASS_MALFORMED;
	__builtin_memcpy(&d->src, &ip->saddr, sizeof(d->src));
	__builtin_memcpy(&d->dst, &ip->daddr, sizeof(d->dst));
	d->outer_bytes = sizeof(*ip) + ext_bytes;
	d->inner_bytes = payload_bytes - ext_bytes;
	d->outer_ecn = (ip->flow_lbl[0] >> 4) & 3;
	d->inner_proto = proto;
	return proto == IPPROTO_UDP ? lb_decap_gue(ext, data_end, d) : LB_NODE_DECAPSULATED;
}

/* lb_decap_outer - is this frame a tunnel's, whole, in one piece and without options? Fills @d but for .inner_dst.
 * LB_NODE_DECAPSULATED: yes, go on; else why it has to be passed. */
static __always_inline enum lb_node_result lb_decap_outer(const void *data, const void *data_end,
							  const struct lb_node_conf *conf, struct lb_decap *d)
{
	const struct ethhdr *eth = data;

	if ((const void *)(eth + 1) > data_end)
		return LB_NODE_PASS_NOT_TUNNEL;
	if (eth->h_proto == lb_htons(ETH_P_IP))
		return lb_decap_outer4(data, data_end, conf, d);
	if (eth->h_proto == lb_htons(ETH_P_IPV6))
		return lb_decap_outer6(data, data_end, conf, d);
	return LB_NODE_PASS_NOT_TUNNEL;
}

/* lb_decap_inner - check what lb_decap_outer's @d says is inside, and fill .inner_dst.
 * LB_NODE_DECAPSULATED or LB_NODE_DROP_MALFORMED. The inner checksum is left to the stack. */
static __always_inline enum lb_node_result lb_decap_inner(const void *data, const void *data_end, struct lb_decap *d)
{
	const void *inner = data + ETH_HLEN + lb_decap_shift(d);

	if (d->inner_proto == IPPROTO_IPIP) {
		const struct iphdr *ip = inner;
		__u32 total_bytes;

		if ((const void *)(ip + 1) > data_end)
			return LB_NODE_DROP_MALFORMED;
		total_bytes = lb_ntohs(ip->tot_len);
		if (ip->version != 4 || ip->ihl < 5 || total_bytes < ip->ihl * 4U || total_bytes > d->inner_bytes)
			return LB_NODE_DROP_MALFORMED;
		lb_decap_addr4(&d->inner_dst, ip->daddr);
	} else {
		const struct ipv6hdr *ip = inner;

		if ((const void *)(ip + 1) > data_end || ip->version != 6 ||
		    sizeof(*ip) + lb_ntohs(ip->payload_len) > d->inner_bytes)
			return LB_NODE_DROP_MALFORMED;
		__builtin_memcpy(&d->inner_dst, &ip->daddr, sizeof(d->inner_dst));
	}
	return LB_NODE_DECAPSULATED;
}

/* lb_decap_ecn - the ECN field after decapsulation (RFC 6040, figure 4), or -1: the packet has to be dropped.
 * Fields are 0 Not-ECT, 1 ECT(1), 2 ECT(0), 3 CE. */
static __always_inline int lb_decap_ecn(__u8 outer, __u8 inner)
{
	if (inner == 0)
		return outer == 3 ? -1 : 0;
	if (outer == 3)
		return 3;
	return inner == 2 && outer == 1 ? 1 : inner;
}

/* An IPv4 header's ECN field, with its checksum mended (RFC 1624, eqn. 3). */
static __always_inline void lb_decap_set_ecn4(struct iphdr *ip, __u8 ecn)
{
	__u16 old = lb_htons((__u16)(((__u32)ip->version << 12) | ((__u32)ip->ihl << 8) | ip->tos));
	__u16 new;
	__u32 sum;

	ip->tos = (__u8)((ip->tos & ~3U) | ecn);
	new = lb_htons((__u16)(((__u32)ip->version << 12) | ((__u32)ip->ihl << 8) | ip->tos));
	sum = (__u32)(__u16)~ip->check + (__u16)~old + new;
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	ip->check = (__u16)~sum;
}

/* lb_decap_apply - write: ECN into the inner header, and the Ethernet header to where it has to be once @d->outer_bytes
 * are cut off the frame's start, with the inner packet's type. Nothing is written unless it returns
 * LB_NODE_DECAPSULATED; the other answer is LB_NODE_DROP_ECN. */
static __always_inline enum lb_node_result lb_decap_apply(void *data, const void *data_end, const struct lb_decap *d)
{
	struct ethhdr *to = data + lb_decap_shift(d);
	const struct ethhdr *from = data;
	void *inner = to + 1;
	int ecn;

	if (d->inner_proto == IPPROTO_IPIP) {
		struct iphdr *ip = inner;

		if ((void *)(ip + 1) > data_end)
			return LB_NODE_DROP_MALFORMED;
		ecn = lb_decap_ecn(d->outer_ecn, ip->tos & 3);
		if (ecn < 0)
			return LB_NODE_DROP_ECN;
		if (ecn != (ip->tos & 3))
			lb_decap_set_ecn4(ip, (__u8)ecn);
	} else {
		struct ipv6hdr *ip = inner;

		if ((void *)(ip + 1) > data_end)
			return LB_NODE_DROP_MALFORMED;
		ecn = lb_decap_ecn(d->outer_ecn, (ip->flow_lbl[0] >> 4) & 3);
		if (ecn < 0)
			return LB_NODE_DROP_ECN;
		ip->flow_lbl[0] = (__u8)((ip->flow_lbl[0] & ~0x30U) | ((__u32)ecn << 4));
	}
	/* At least 20 bytes apart: the two do not overlap. */
	__builtin_memcpy(to->h_dest, from->h_dest, ETH_ALEN);
	__builtin_memcpy(to->h_source, from->h_source, ETH_ALEN);
	to->h_proto = d->inner_proto == IPPROTO_IPIP ? lb_htons(ETH_P_IP) : lb_htons(ETH_P_IPV6);
	return LB_NODE_DECAPSULATED;
}

#endif
