/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How rows are written. What a row does not say is usual: an ACK of 40 bytes to a service of one stable owner, over IPIP
 * to IPv4. For rows_*.c.
 */
#ifndef ROWS_H
#define ROWS_H

#include "packet.h"
#include "lb/dp/quic.h"

#define TCP IPPROTO_TCP
#define UDP IPPROTO_UDP
#define SCTP IPPROTO_SCTP
#define INIT 1 /* chunks, RFC 9260 section 3.2 */
#define ABORT 6
#define SHUTDOWN 7
#define SHUTDOWN_ACK 8
#define COOKIE_ECHO 10
#define SHUTDOWN_COMPLETE 14
#define FIN 0x01
#define SYN 0x02
#define RST 0x04
#define ACK 0x10
#define PSH 0x08
#define URG 0x20
#define ECE 0x40
#define CWR 0x80
#define L2 LB_FORWARD_L2
#define GUE LB_FORWARD_GUE
#define MOVING LB_SLOT(LB_PHASE_MOVING, OLD, NEW)
#define SETTLING LB_SLOT(LB_PHASE_SETTLING, 0, NEW)
#define TRACK_TCP LB_SERVICE_F_TRACK_TCP
#define TRACK_UDP LB_SERVICE_F_TRACK_UDP
#define NO_STATE LB_SERVICE_F_NO_STATE
#define ACCESS LB_SERVICE_F_ACCESS
#define ALLOW LB_ACCESS_ALLOW
#define DENY LB_ACCESS_DENY
#define ALL4(verdict)                                                                                                  \
	{                                                                                                              \
		"::ffff:0.0.0.0", 96, verdict                                                                          \
	}

#define UNREACHABLE 0x0301
#define FRAG_NEEDED 0x0304
#define TIME_EXCEEDED 0x0b00
#define UNREACHABLE6 0x0100
#define TOO_BIG6 0x0200
#define ECHO 0x0800
#define ECHO6 0x8000

#define HOP(n)                                                                                                         \
	{                                                                                                              \
		.type = IPPROTO_HOPOPTS, .len = n, .word = 0x0104                                                      \
	}
#define DST(n)                                                                                                         \
	{                                                                                                              \
		.type = IPPROTO_DSTOPTS, .len = n, .word = 0x0104                                                      \
	}
#define ROUTE(left)                                                                                                    \
	{                                                                                                              \
		.type = IPPROTO_ROUTING, .len = 2, .word = 0x0400 | (left)                                             \
	}
#define AUTH(n)                                                                                                        \
	{                                                                                                              \
		.type = IPPROTO_AH, .len = n                                                                           \
	}
#define FRAG(offset, more)                                                                                             \
	{                                                                                                              \
		.type = IPPROTO_FRAGMENT, .word = (offset) << 3 | (more)                                               \
	}
#define AFFINITY LB_SERVICE_F_AFFINITY
#define CHOICE (TRACK_TCP | TRACK_UDP | LB_SERVICE_F_CHOICE)
#define STICKY (AFFINITY | CHOICE)
#define QUIC TRACK_UDP | LB_SERVICE_F_QUIC
#define CONFIGS LB_QUIC_CONFIG(1, 2, 6, false)
#define SHORT(cid) "\x40" cid "abcdefghij"
#define LONG(cid) "\xc0\0\0\0\1\x09" cid "abcde"

#endif
