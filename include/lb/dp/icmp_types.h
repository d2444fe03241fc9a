/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The types and codes of ICMP (RFC 792, RFC 1122, RFC 1812), with the kernel's names. Its <linux/icmp.h> has more than
 * names: it includes <sys/socket.h>, which for the BPF target asks for a C library of 32 bits. For the dp/icmp*.h.
 */
#ifndef LB_DP_ICMP_TYPES_H
#define LB_DP_ICMP_TYPES_H

/* Types. */
#define ICMP_ECHOREPLY 0
#define ICMP_DEST_UNREACH 3
#define ICMP_ECHO 8
#define ICMP_TIME_EXCEEDED 11
#define ICMP_PARAMETERPROB 12

/* Codes of ICMP_DEST_UNREACH. */
#define ICMP_NET_UNREACH 0
#define ICMP_HOST_UNREACH 1
#define ICMP_PROT_UNREACH 2
#define ICMP_PORT_UNREACH 3
#define ICMP_FRAG_NEEDED 4
#define ICMP_SR_FAILED 5
#define ICMP_NET_UNKNOWN 6
#define ICMP_HOST_UNKNOWN 7
#define ICMP_HOST_ISOLATED 8
#define ICMP_NET_ANO 9
#define ICMP_HOST_ANO 10
#define ICMP_NET_UNR_TOS 11
#define ICMP_HOST_UNR_TOS 12
#define ICMP_PKT_FILTERED 13
#define ICMP_PREC_CUTOFF 15

#endif
