/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The headers that a packet leaves with: Ethernet for the next hop, and the outer IP header of a tunnel in any pairing
 * of families (RFC 2003, RFC 2473, RFC 4213; DSCP and ECN by RFC 6040, the outer IPv4 ID by RFC 6864, the outer flow
 * label by RFC 6438). Called by bpf/ and by tests.
 */
#ifndef LB_DP_ENCAP_H
#define LB_DP_ENCAP_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>

#include "lb/abi.h"
#include "lb/dp/base.h"
#include "lb/dp/checksum.h"

#define LB_OUTER_TTL 64
#define LB_IP4_DF 0x4000

/* A backend's next hop as its three words were found. */
struct lb_hop {
	__u64 dmac_mtu;
	__u64 smac;
	__u32 oif; /* 0: not resolved */
};

/* The writer stores oif last, so it is read first: then the MACs are at least as new. */
static __always_inline void lb_hop_read(const struct lb_backend *b, struct lb_hop *h)
{
	h->oif = lb_load(&b->oif);
	h->dmac_mtu = lb_load64(b->dmac);
	h->smac = lb_load64(b->smac);
}

static __always_inline __u32 lb_hop_mtu(const struct lb_hop *h)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return h->dmac_mtu >> 48;
#else
	return h->dmac_mtu & 0xffff;
#endif
}

/* lb_eth_write - both addresses at @data; the type stays. */
static __always_inline void lb_eth_write(void *data, const struct lb_hop *h)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	lb_put64(data, (h->dmac_mtu & 0xffffffffffffULL) | h->smac << 48);
#else
	lb_put64(data, (h->dmac_mtu & ~0xffffULL) | h->smac >> 48);
#endif
	lb_put32(data + 8, (__u32)(h->smac >> 16));
}

/* lb_eth_write_tunnel - the same with the type of a new packet. Each word is written whole; what it has beside the
 * address is written over. */
static __always_inline void lb_eth_write_tunnel(void *data, const struct lb_hop *h, __be16 type)
{
	lb_put64(data, h->dmac_mtu);
	lb_put64(data + ETH_ALEN, h->smac);
	lb_put16(data + 2 * ETH_ALEN, type);
}

/* What the outer header takes from the inner packet. */
struct lb_inner {
	__u8 proto;  /* IPPROTO_IPIP or IPPROTO_IPV6 */
	__u8 tos;    /* DSCP and ECN */
	__be32 frag; /* the IPv4 header's second word: its ID, and whether it may be fragmented on the way */
	__u32 len;   /* bytes of the inner packet */
	__u64 hash;  /* the flow's */
};

/* lb_inner_take4, lb_inner_take6 - note what the outer header wants to know and let the packet pass one router, as a
 * tunnel's entry is one. False: its TTL does not allow that. */
static __always_inline bool lb_inner_take4(struct iphdr *ip, struct lb_inner *in)
{
	if (lb_unlikely(ip->ttl <= 1))
		return false;
	lb_put32(&ip->ttl, lb_csum_hop(lb_get32(&ip->ttl)));
	in->proto = IPPROTO_IPIP;
	in->tos = ip->tos;
	in->frag = lb_get32(&ip->id);
	return true;
}

static __always_inline bool lb_inner_take6(struct ipv6hdr *ip6, struct lb_inner *in)
{
	if (ip6->hop_limit <= 1)
		return false;
	ip6->hop_limit--;
	in->proto = IPPROTO_IPV6;
	in->tos = (__u8)(lb_ntohl(lb_get32(ip6)) >> 20);
	in->frag = lb_htonl(LB_IP4_DF);
	return true;
}

/* lb_outer_source4, lb_outer_source6 - an outer source address of @b, in its low 32 or 64 bits: what lies beyond the
 * prefix comes from the flow's hash, the address's last bit from the hash's. Network order. */
static __always_inline __be32 lb_outer_source4(const struct lb_backend *b, __u8 plen, __u64 hash)
{
	__be32 src = lb_get32(b->src + 12);
	__u32 mask;

	if (lb_likely(plen >= 128))
		return src;
	mask = plen > 96 ? 0xffffffffU >> (plen - 96) : 0xffffffffU;
	return (src & ~lb_htonl(mask)) | (lb_htonl((__u32)hash) & lb_htonl(mask));
}

static __always_inline __u64 lb_outer_source6(const struct lb_backend *b, __u8 plen, __u64 hash)
{
	__u64 src = lb_get64(b->src + 8);
	__u64 mask;

	if (lb_likely(plen >= 128))
		return src;
	mask = plen > 64 ? ~0ULL >> (plen - 64) : ~0ULL;
	return (src & ~lb_htonll(mask)) | (lb_htonll(hash) & lb_htonll(mask));
}

/* lb_outer_write4 - an IPv4 header of 20 bytes at @l3. Its ID need be unique only where it may be fragmented. */
static __always_inline void lb_outer_write4(void *l3, const struct lb_inner *in, const struct lb_backend *b, __u8 plen)
{
	const __be32 df = lb_htonl(LB_IP4_DF), ttl = lb_htonl((__u32)LB_OUTER_TTL << 24 | (__u32)in->proto << 16);
	const __be32 first = lb_htonl(0x45U << 24 | (__u32)in->tos << 16 | (sizeof(struct iphdr) + in->len));
	const __be32 src = lb_outer_source4(b, plen, in->hash), dst = lb_get32(b->addr + 12);
	__u64 sum = (__u64)first + src + dst + ((__u64)df + ttl);

	lb_put32(l3, first);
	lb_put32(l3 + 4, df);
	lb_put32(l3 + 8, ttl);
	if (lb_unlikely(!(in->frag & lb_htonl(LB_IP4_DF)))) {
		const __u16 inner_id = (__u16)(lb_ntohl(in->frag) >> 16);
		const __be32 id = lb_htonl((__u32)(__u16)(inner_id ^ (__u16)(in->hash >> 16)) << 16);

		lb_put32(l3 + 4, id);
		sum += (__u64)id - df; /* which is in it */
	}
	lb_put16(l3 + 10, lb_csum_fold_few(sum));
	lb_put32(l3 + 12, src);
	lb_put32(l3 + 16, dst);
}

/* lb_outer_write6 - an IPv6 header of 40 bytes at @l3. */
static __always_inline void lb_outer_write6(void *l3, const struct lb_inner *in, const struct lb_backend *b, __u8 plen)
{
	lb_put32(l3, lb_htonl(6U << 28 | (__u32)in->tos << 20 | ((__u32)in->hash & 0xfffff)));
	lb_put32(l3 + 4, lb_htonl(in->len << 16 | (__u32)in->proto << 8 | LB_OUTER_TTL));
	lb_put64(l3 + 8, lb_get64(b->src));
	lb_put64(l3 + 16, lb_outer_source6(b, plen, in->hash));
	lb_put64(l3 + 24, lb_get64(b->addr));
	lb_put64(l3 + 32, lb_get64(b->addr + 8));
}

#endif
