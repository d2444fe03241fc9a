/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whose VIP is it? A VIP lies in one of two sets of two lines, the first of which nearly always decides.
 * Called by bpf/ and by userspace/liblb/vipset.c, which writes the sets.
 */
#ifndef LB_DP_VIP_H
#define LB_DP_VIP_H

#include "lb/abi.h"
#include "lb/dp/base.h"

/* A VIP as the words it is compared by. */
struct lb_vip_key {
	bool v4;
	__u64 addr[2]; /* as they lie in memory; of an IPv4 address the one word of it, and 0 */
	__u32 what;    /* port, protocol and family, as they lie in a line */
};

static __always_inline __u32 lb_vip_what(__be16 port, __u8 proto, bool v4)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return port | (__u32)proto << 16 | (v4 ? LB_VIP_V4 : 0U) << 24;
#else
	return (__u32)port << 16 | (__u32)proto << 8 | (v4 ? LB_VIP_V4 : 0U);
#endif
}

static __always_inline struct lb_vip_key lb_vip_key4(__u64 addr, __be16 port, __u8 proto)
{
	return (struct lb_vip_key){.v4 = true, .addr = {addr}, .what = lb_vip_what(port, proto, true)};
}

static __always_inline struct lb_vip_key lb_vip_key6(const __u64 addr[2], __be16 port, __u8 proto)
{
	return (struct lb_vip_key){.addr = {addr[0], addr[1]}, .what = lb_vip_what(port, proto, false)};
}

/* lb_vip_fold - @key in one word, different for all IPv4 ones. The multipliers are odd, of no further meaning. */
static __always_inline __u64 lb_vip_fold(const struct lb_vip_key *key)
{
	__u64 x = key->addr[0] * 0x9e3779b97f4a7c15ULL ^ key->addr[1] * 0xd6e8feb86659fd93ULL;

	return (__u64)key->what << 32 ^ (key->v4 ? key->addr[0] : x ^ x >> 32);
}

/* lb_vip_key_in4 - the IPv4 key of which lb_vip_fold made @fold. */
static __always_inline struct lb_vip_key lb_vip_key_in4(__u64 fold)
{
	return (struct lb_vip_key){.v4 = true, .addr = {(__u32)fold}, .what = (__u32)(fold >> 32)};
}

/* lb_vip_hash - where it lies, from what lb_vip_fold made of it. Not keyed: the VIPs are the operator's, and who sends
 * to others finds nothing. An address differs from its neighbours in few bits: the upper half of the result depends on
 * each. */
static __always_inline __u64 lb_vip_hash(__u64 fold)
{
	return fold * 0xff51afd7ed558ccdULL;
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

/* lb_vip_word - the word at a line's port: what it is looked up by, and the service, flags and beyond. */
static __always_inline __u64 lb_vip_word(const struct lb_vip_line *line)
{
	return lb_load64(&line->port);
}

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define LB_VIP_WORD(service, flags) ((__u64)(service) << 32 | (__u64)(flags) << 48)
#define LB_VIP_WORD_WHAT(word) ((__u32)(word))
#define LB_VIP_WORD_SERVICE(word) ((__u16)((__u64)(word) >> 32))
#define LB_VIP_WORD_FLAGS(word) ((__u8)((__u64)(word) >> 48))
#define LB_VIP_WORD_BEYOND(word) ((__u8)((__u64)(word) >> 56))
#else
#define LB_VIP_WORD(service, flags) ((__u64)(service) << 16 | (__u64)(flags) << 8)
#define LB_VIP_WORD_WHAT(word) ((__u32)((__u64)(word) >> 32))
#define LB_VIP_WORD_SERVICE(word) ((__u16)((__u64)(word) >> 16))
#define LB_VIP_WORD_FLAGS(word) ((__u8)((__u64)(word) >> 8))
#define LB_VIP_WORD_BEYOND(word) ((__u8)(word))
#endif

/* lb_vip_is - is it @key's line? @word: the line's. A line of nobody's is not. What an IPv4 address is looked up by
 * lies beside it, so that both are one word. */
static __always_inline bool lb_vip_is(const struct lb_vip_line *line, __u64 word, const struct lb_vip_key *key)
{
	if (key->v4)
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
		return lb_get64(line->addr + 12) == ((__u64)key->what << 32 ^ key->addr[0]);
#else
		return lb_get64(line->addr + 12) == (key->addr[0] << 32 | key->what);
#endif
	return LB_VIP_WORD_WHAT(word) == key->what &&
	       ((lb_get64(line->addr + 8) ^ key->addr[1]) | (lb_get64(line->addr) ^ key->addr[0])) == 0;
}

#endif
