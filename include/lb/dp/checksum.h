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

/* lb_csum_ttl_less - an IPv4 header's checksum after its TTL went down by one, from the one it had (RFC 1624). */
static __always_inline __u16 lb_csum_ttl_less(__u16 check)
{
	__u32 sum = (__u32)check + lb_htons(0x0100);

	return (__u16)(sum + (sum >= 0xffff));
}

#endif
