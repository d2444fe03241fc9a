/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The Internet checksum (RFC 1071, RFC 1624), for headers of known shape. Called by include/lb/dp/ and by tests. */
#ifndef LB_DP_CHECKSUM_H
#define LB_DP_CHECKSUM_H

#include "lb/dp/base.h"

/* lb_csum_fold - the checksum whose words, as they lie in memory, add up to @sum. 32-bit words may be added as they
 * are: 2^16 is 1 in ones' complement arithmetic. Sums of less than 2^16 such words fit. */
static __always_inline __u16 lb_csum_fold(__u64 sum)
{
	sum = (sum & 0xffff) + (sum >> 16); /* less than 2^33 */
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum += sum >> 16;
	return (__u16)~sum;
}

/* lb_csum_fold_few - the same for less than 16 words of 32 bits. What lies above the lower half is added to the sum
 * itself, whose upper half nobody looks at: each time the carry out of the lower half comes out right for one more. */
static __always_inline __u16 lb_csum_fold_few(__u64 sum)
{
	__u64 more = sum + (sum >> 16);

	more = sum + (more >> 16);
	return (__u16) ~(sum + (more >> 16));
}

/* lb_csum_ttl_less - an IPv4 header's checksum after its TTL went down by one, from the one it had (RFC 1624). */
static __always_inline __u16 lb_csum_ttl_less(__u16 check)
{
	__u32 sum = (__u32)check + lb_htons(0x0100);

	return (__u16)(sum + (sum >= 0xffff));
}

/* lb_csum_hop - the word of TTL, protocol and checksum of an IPv4 header, as it lies there, after its TTL, which was
 * not 0, went down by one: both in one addition. */
static __always_inline __u32 lb_csum_hop(__u32 word)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	if (lb_unlikely(word >= 0xfffe0000U))
		word = lb_rarely(word + 0x10000);
	return word + 0xffff;
#else
	return (((word >> 16) - 0x100) << 16) | lb_csum_ttl_less((__u16)word);
#endif
}

/* The TTL in such a word. */
static __always_inline __u8 lb_csum_hop_ttl(__u32 word)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return (__u8)word;
#else
	return word >> 24;
#endif
}

#endif
