/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Generic UDP encapsulation, variant 0 of draft-ietf-intarea-gue as Linux's fou module has it: a UDP header, a word,
 * and as many words more as that one says, of which none are sent yet. The UDP source port is the flow's, so that what
 * is on the way spreads flows by it (as RFC 7510, 3). Called by bpf/ and by tests.
 */
#ifndef LB_DP_GUE_H
#define LB_DP_GUE_H

#include "lb/dp/encap.h"
#include "lb/dp/parse.h"

#define LB_GUE_WORDS 0 /* behind GUE's first word: optional fields and private data */
#define LB_GUE_HLEN(words) (4 + 4 * (words))
#define LB_GUE_BYTES(words) (LB_UDP_HLEN + LB_GUE_HLEN(words)) /* between the outer IP header and the inner one */

#define LB_GUE_PORT_FIRST 0xc000 /* source ports: 49152 to 65535 */
#define LB_GUE_PORT_MASK 0x3fff

/* The backend's port, which lies beside the MAC address. */
static __always_inline __be16 lb_gue_port(const struct lb_hop *h)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return (__be16)(h->smac >> 48);
#else
	return (__be16)h->smac;
#endif
}

/* Of bits that choose neither the slot nor, as far as it goes, the outer source address. */
static __always_inline __be16 lb_gue_source_port(__u64 hash)
{
	return lb_htons(LB_GUE_PORT_FIRST | ((__u32)(hash >> 32) & LB_GUE_PORT_MASK));
}

/* lb_gue_write - the headers at @udp, with @words to come between them and the inner packet, and without a checksum.
 * From now on @in is a UDP datagram to what encapsulates it. */
static __always_inline void lb_gue_write(void *udp, struct lb_inner *in, __be16 port, const int words)
{
	const __be16 sport = lb_gue_source_port(in->hash);

	lb_put32(udp + LB_UDP_HLEN, lb_htonl((__u32)words << 24 | (__u32)in->proto << 16));
	in->len += LB_GUE_BYTES(words);
	in->proto = IPPROTO_UDP;
	lb_put16(udp, sport);
	lb_put16(udp + 2, port);
	lb_put32(udp + 4, lb_htonl(in->len << 16));
}

/*
 * lb_gue_inner_sum - what the words of the packet at @inner add up to, without adding them up: an IPv4 header's are 0
 * together, and a transport header and its data are the complement of their pseudo header's, for that is what their
 * checksum is there for. Where it is wrong the outer one will be, too, and the backend drops the packet as it would
 * have anyway. 0: cannot be told, as the datagram has no checksum, or there is more than it covers: bytes behind a UDP
 * datagram, extension headers, the rest of a fragmented packet elsewhere.
 */
static __always_inline __u64 lb_gue_inner_sum(const void *inner, const void *data_end, bool v6)
{
	const struct ipv6hdr *ip6 = inner;
	const struct iphdr *ip = inner;
	__u32 l4_off, l4_bytes, pseudo;
	const void *udp;
	__u8 proto;

	if (inner + (v6 ? sizeof(*ip6) : sizeof(*ip)) > data_end)
		return 0;
	if (v6) {
		l4_off = sizeof(*ip6);
		l4_bytes = lb_ntohs(ip6->payload_len);
		proto = ip6->nexthdr;
	} else {
		l4_off = ip->ihl * 4U;
		l4_bytes = lb_ntohs(ip->tot_len) - l4_off;
		proto = ip->protocol;
		if (ip->frag_off & lb_htons(0x3fff)) /* MF or an offset */
			return 0;
	}
	if (proto == IPPROTO_UDP) {
		udp = inner + l4_off;
		if (udp + LB_UDP_HLEN > data_end || lb_ntohs(lb_get16(udp + 4)) != l4_bytes || !lb_get16(udp + 6))
			return 0;
	} else if (proto != IPPROTO_TCP) {
		return 0;
	}
	pseudo = lb_htonl((__u32)proto << 16 | l4_bytes);
	/* Addresses are in an IPv6 header and in its pseudo header. */
	if (v6)
		return (__u64)lb_get32(inner) + lb_get32(inner + 4) + (__u32)~pseudo;
	return (__u64)(__u32)~lb_get32(inner + 12) + (__u32)~lb_get32(inner + 16) + (__u32)~pseudo;
}

/* lb_gue_checksum6 - the UDP checksum of the packet at @ip6, made by lb_outer_write6 and lb_gue_write. It stays 0 where
 * the inner packet's sum cannot be told: RFC 6935 allows that to tunnels. */
static __always_inline void lb_gue_checksum6(void *ip6, const void *data_end, const int words)
{
	void *udp = ip6 + sizeof(struct ipv6hdr), *inner = udp + LB_GUE_BYTES(words);
	__u64 sum;
	__u16 check;

	if (inner > data_end)
		return;
	sum = lb_gue_inner_sum(inner, data_end, *(__u8 *)(udp + LB_UDP_HLEN + 1) == IPPROTO_IPV6);
	if (!sum)
		return;
	sum += lb_htonl(IPPROTO_UDP) + lb_get16(udp + 4); /* the length is the pseudo header's, too */
	LB_UNROLL
	for (int i = 0; i < 8; i++)
		sum += lb_get32(ip6 + 8 + 4 * i);
	LB_UNROLL
	for (int i = 0; i < LB_GUE_BYTES(words) / 4; i++)
		sum += lb_get32(udp + 4 * i);
	check = lb_csum_fold(sum);
	lb_put16(udp + 6, check ? check : 0xffff);
}

#endif
