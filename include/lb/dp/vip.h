/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whose VIP is it? A VIP lies in one of two sets of one cache line, the first of which nearly always decides.
 * Called by bpf/ and by userspace/liblb/vipset.c, which writes the sets.
 */
#ifndef LB_DP_VIP_H
#define LB_DP_VIP_H

#include "lb/abi.h"
#include "lb/dp/base.h"

/* A VIP as the words it is compared by. */
struct lb_vip_key {
	__u64 addr[2]; /* as they lie in memory */
	__u32 port_proto;
};

static __always_inline struct lb_vip_key lb_vip_key(const __u64 addr[2], __be16 port, __u8 proto)
{
	struct lb_vip_key key = {.addr = {addr[0], addr[1]}};

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	key.port_proto = port | (__u32)proto << 16;
#else
	key.port_proto = (__u32)port << 16 | (__u32)proto << 8;
#endif
	return key;
}

/* lb_vip_hash - where it lies. Not keyed: the VIPs are the operator's, and who sends to others finds nothing. The
 * multipliers are odd, of no further meaning: an address differs from its neighbours in few bits, all of the result
 * must depend on each. */
static __always_inline __u64 lb_vip_hash(const struct lb_vip_key *key)
{
	__u64 h = key->addr[1] * 0x9e3779b97f4a7c15ULL + (key->addr[0] ^ key->port_proto) * 0xd6e8feb86659fd93ULL;

	h ^= h >> 32;
	return h * 0xff51afd7ed558ccdULL;
}

static __always_inline __u32 lb_vip_first(__u64 hash)
{
	return (__u32)(hash >> 48) & (LB_VIP_SETS - 1);
}

/* Never the first one. */
static __always_inline __u32 lb_vip_second(__u64 hash)
{
	__u32 second = (__u32)(hash >> 32) & (LB_VIP_SETS - 1);

	return second ^ (second == lb_vip_first(hash));
}

static __always_inline bool lb_vip_is(const struct lb_vip_entry *e, const struct lb_vip_key *key)
{
	return ((lb_get64(e->vip.addr + 8) ^ key->addr[1]) | (lb_get64(e->vip.addr) ^ key->addr[0]) |
		(lb_get32(&e->vip.port) ^ key->port_proto)) == 0;
}

/* lb_vip_service - the service of @key in @set, 0: none. */
static __always_inline __u32 lb_vip_service(const struct lb_vip_set *set, const struct lb_vip_key *key)
{
	if (lb_likely(lb_vip_is(&set->way[0], key)) && set->way[0].service)
		return lb_load(&set->way[0].service);
	return lb_vip_is(&set->way[1], key) ? lb_load(&set->way[1].service) : 0;
}

#endif
