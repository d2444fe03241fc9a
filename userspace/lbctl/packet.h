/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Frames from words: what `lbctl trace --packet` is given. Pure; called by trace.c and by tests. */
#ifndef LBCTL_PACKET_H
#define LBCTL_PACKET_H

#include <stddef.h>
#include <stdint.h>

#include "err.h"

#define LB_PACKET_MAX 3500 /* bytes of a frame that lbd can run */
#define LB_PACKET_SPEC                                                                                                 \
	"[tcp|udp|sctp|icmp] SRC[:PORT] > DST[:PORT][/PROTO] [syn|ack|fin|rst...] [len=N] [ttl=N], or hex:FRAME"

/* lb_packet_make - the Ethernet frame that @spec describes, its destination zeros: that of the interface where it will
 * arrive. TCP and the flag SYN are what is not said; of SCTP a SYN is an INIT and an ACK a DATA chunk. -EINVAL with
 * @err. */
int lb_packet_make(const char *spec, uint8_t frame[LB_PACKET_MAX], size_t *bytes, struct lb_err *err);

#endif
