/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the pure packet code needs of a compiler, for BPF and for the host alike. Included by include/lb/dp/ alone. */
#ifndef LB_DP_BASE_H
#define LB_DP_BASE_H

#include <linux/types.h>
#include <stdbool.h>

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

#ifdef __clang__
#define LB_UNROLL _Pragma("unroll")
#else
#define LB_UNROLL _Pragma("GCC unroll 16")
#endif

/* What a failed check answers. Without a block of its own, in which the answer is given, a compiler for BPF has every
 * passed check load the answer it did not need. */
#ifdef __bpf__
#define lb_answer(v)                                                                                                   \
	({                                                                                                             \
		__typeof__(v) __v = (v);                                                                               \
		__asm__ volatile("" : "+r"(__v));                                                                      \
		if (!__v)                                                                                              \
			__builtin_unreachable();                                                                       \
		__v;                                                                                                   \
	})
#else
#define lb_answer(v) (v)
#endif

/* A value that few packets need, made where it is asked for: a compiler would make it beforehand for all of them, to
 * save a branch. */
#ifdef __bpf__
#define lb_rarely(v)                                                                                                   \
	({                                                                                                             \
		__auto_type __v = (v);                                                                                 \
		__asm__ volatile("" : "+r"(__v));                                                                      \
		__v;                                                                                                   \
	})
#else
#define lb_rarely(v) (v)
#endif

/* lb_forget - @word, of which a verifier is to forget how it came about: it would go on once for each way that led
 * here.
 * @any: a word that it knows nothing of. */
static __always_inline __u32 lb_forget(__u32 word, __u32 any)
{
#ifdef __bpf__
	__asm__ volatile("%0 += %1\n\t%0 -= %1" : "+w"(word) : "w"(any));
#endif
	return word;
}

/* The same of 64 bits: @any is made as wide, or old verifiers would still know that the word is near what it was, and
 * go on for each. */
static __always_inline __u64 lb_forget64(__u64 word, __u32 any)
{
#ifdef __bpf__
	__u64 any64 = (__u64)any << 32 | any;

	__asm__ volatile("%0 += %1\n\t%0 -= %1" : "+r"(word) : "r"(any64));
#endif
	return word;
}

/* lb_below - all bits where @a < @b, of numbers below 2^63, else none. Without a branch, both ways of which a verifier
 * would follow to the end. */
static __always_inline __u64 lb_below(__u64 a, __u64 b)
{
	__u64 mask = (__u64)((__s64)(a - b) >> 63);

#ifdef __bpf__
	__asm__ volatile("" : "+r"(mask));
#endif
	return mask;
}

#define lb_likely(x) __builtin_expect(!!(x), 1)
#define lb_unlikely(x) __builtin_expect(!!(x), 0)

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define lb_htons(x) ((__be16)__builtin_bswap16((__u16)(x)))
#define lb_htonl(x) ((__be32)__builtin_bswap32((__u32)(x)))
#define lb_htonll(x) ((__be64)__builtin_bswap64((__u64)(x)))
#else
#define lb_htons(x) ((__be16)(x))
#define lb_htonl(x) ((__be32)(x))
#define lb_htonll(x) ((__be64)(x))
#endif
#define lb_ntohs(x) ((__u16)lb_htons(x))
#define lb_ntohl(x) ((__u32)lb_htonl(x))

/* A word that another CPU or userspace may be writing is read and written in one piece. */
#define lb_load(p) (*(const volatile __typeof__(*(p)) *)(p))
#define lb_store(p, v) (*(volatile __typeof__(*(p)) *)(p) = (v))

/* lb_load64 - several fields that are one word together, at @p aligned. */
static __always_inline __u64 lb_load64(const void *p)
{
	return *(const volatile __u64 __attribute__((__may_alias__)) *)p;
}

/* Words of a packet lie where the link's header puts them. The BPF target would fetch what it does not know to be
 * aligned byte by byte, and its machines need not; the host must not be told an alignment that is not there. */
#ifdef __bpf__
#define LB_UNALIGNED(bits)                                                                                             \
	static __always_inline __u##bits lb_get##bits(const void *p)                                                   \
	{                                                                                                              \
		return *(const __u##bits *)p;                                                                          \
	}                                                                                                              \
	static __always_inline void lb_put##bits(void *p, __u##bits v)                                                 \
	{                                                                                                              \
		*(__u##bits *)p = v;                                                                                   \
	}
#else
#define LB_UNALIGNED(bits)                                                                                             \
	static __always_inline __u##bits lb_get##bits(const void *p)                                                   \
	{                                                                                                              \
		__u##bits v;                                                                                           \
                                                                                                                       \
		__builtin_memcpy(&v, p, sizeof(v));                                                                    \
		return v;                                                                                              \
	}                                                                                                              \
	static __always_inline void lb_put##bits(void *p, __u##bits v)                                                 \
	{                                                                                                              \
		__builtin_memcpy(p, &v, sizeof(v));                                                                    \
	}
#endif
LB_UNALIGNED(16)
LB_UNALIGNED(32)
LB_UNALIGNED(64)
#undef LB_UNALIGNED

#endif
