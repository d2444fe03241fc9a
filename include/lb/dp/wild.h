/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VIPs that are more than one address and port: every port of an address, or the addresses of a prefix. They lie in a
 * trie by port and address. Called by bpf/ and by userspace/liblb, which writes the trie.
 */
#ifndef LB_DP_WILD_H
#define LB_DP_WILD_H

#include "lb/abi.h"
#include "lb/dp/base.h"
#include "lb/dp/vip.h"

/* lb_wild_key - the key of @plen bits of the address in the words @hi and @lo, as they lie in memory. @what: as
 * lb_vip_what has it; port 0: every port. */
static __always_inline struct lb_wild_key lb_wild_key(__u64 hi, __u64 lo, __u32 what, __u32 plen)
{
	struct lb_wild_key key = {.plen = LB_WILD_KEY_BITS + plen, .what = what};

	lb_put64(key.addr, hi);
	lb_put64(key.addr + 8, lo);
	return key;
}

/* @what without its port. */
static __always_inline __u32 lb_wild_every_port(__u32 what)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return what & 0xffff0000U;
#else
	return what & 0xffffU;
#endif
}

/* A wild VIP's line in one word, so that a BPF function can return it: table, flags, service. A table's first slot is a
 * multiple of 16 below 2^23, and what the table's upper half says is below 64. 0: nobody's. */
#define LB_WILD(service, flags, table)                                                                                 \
	((__u64)(service) | (__u64)(__u8)(flags) << 16 | (__u64)((__u32)(table) >> 4) << 24 |                          \
	 (__u64)(table) >> 32 << 48)
#define LB_WILD_SERVICE(word) ((__u16)(word))
#define LB_WILD_FLAGS(word) ((__u8)((__u64)(word) >> 16))
#define LB_WILD_TABLE(word) (((__u64)(word) >> 48 << 32) | ((__u32)((__u64)(word) >> 24 & 0xffffff) << 4))
_Static_assert(LB_SLOTS >> 4 <= 1U << 24, "a table's first slot has room in a word");

#endif
