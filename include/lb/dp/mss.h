/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Clamps the maximum segment size that a TCP SYN or SYN-ACK announces, for paths where the ICMP errors that would tell
 * the sender get lost. Called by bpf/ and by tests.
 */
#ifndef LB_DP_MSS_H
#define LB_DP_MSS_H

#include "lb/dp/checksum.h"
#include "lb/dp/ext6.h"
#include "lb/dp/parse.h"

#define LB_TCP_HLEN_MAX 60
#define LB_TCP_OPT_NOP 1
#define LB_TCP_OPT_MSS 2
#define LB_TCP_OPT_MSS_LEN 4

/* The option's value at @at, by @mss at most; @odd: it does not begin at one of the checksum's words, which then has
 * its bytes in the other order (RFC 1071 2 (B)). Six bytes from @tcp + 12 and @at's two are known to be there. */
static __always_inline bool lb_mss_lower(void *tcp, void *at, __u16 mss, bool odd)
{
	__u16 old = lb_get16(at), new = lb_htons(mss);
	__u32 sum;

	if (lb_ntohs(old) <= mss)
		return false;
	lb_put16(at, new);
	sum = (__u32)(__u16)~old + new;
	if (odd)
		sum = (sum & 0xff00ff00) >> 8 | (sum & 0x00ff00ff) << 8;
	lb_put16(tcp + 16, lb_csum_fold((__u64)(__u16)~lb_get16(tcp + 16) + sum));
	return true;
}

/* lb_mss_clamp - make the SYN whose TCP header is at @tcp announce @mss bytes at most. True: it announced more, and was
 * changed, with its checksum. Never raises, and adds no option. Options are followed to the first that is malformed. */
static __always_inline bool lb_mss_clamp(void *tcp, const void *data_end, __u16 mss)
{
	__u32 off = LB_TCP_HLEN_MIN, hlen;

	if (tcp + LB_TCP_HLEN_MIN > data_end || !(((const __u8 *)tcp)[13] & LB_TCP_SYN))
		return false;
	hlen = (__u32)(((const __u8 *)tcp)[12] >> 4) * 4;

#ifdef __clang__
#pragma clang loop unroll(disable)
#endif
	for (int i = 0; i < LB_TCP_HLEN_MAX - LB_TCP_HLEN_MIN; i++) {
		__u8 *opt;

		/* here, where the ways round the loop meet, or a verifier would follow each of them on */
		off = lb_offset(off, lb_get32(tcp + 4));
		if (off + 2 > hlen)
			return false;
		opt = tcp + off;
		if ((void *)opt + 2 > data_end)
			return false;
		if (opt[0] == LB_TCP_OPT_NOP) {
			off++;
			continue;
		}
		if (opt[0] == LB_TCP_OPT_MSS) {
			if (opt[1] != LB_TCP_OPT_MSS_LEN || off + LB_TCP_OPT_MSS_LEN > hlen ||
			    (void *)opt + LB_TCP_OPT_MSS_LEN > data_end)
				return false;
			return lb_mss_lower(tcp, opt + 2, mss, off & 1);
		}
		if (opt[0] == 0 || opt[1] < 2)
			return false; /* the end of options, or one without a length */
		off += opt[1];
	}
	return false;
}

#endif
