/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What bpf/bench.bpf.c and tools/bench/ share. */
#ifndef LB_BENCH_H
#define LB_BENCH_H

#include <linux/types.h>

#define LB_BENCH_FRAME_BYTES 128   /* every packet's length on the wire */
#define LB_BENCH_TEMPLATE_BYTES 80 /* of it, written anew each time: Ethernet, IPv6, TCP */

/* Where a flow differs from the template: two bytes of the source address and the source port. */
#define LB_BENCH_SADDR_OFFSET(v6) ((v6) ? 14 + 8 + 14 : 14 + 12 + 2)
#define LB_BENCH_DADDR_OFFSET(v6) ((v6) ? 14 + 24 + 14 : 14 + 16 + 2)
#define LB_BENCH_SPORT_OFFSET(v6) ((v6) ? 14 + 40 : 14 + 20)

struct lb_bench {
	__u64 template[LB_BENCH_TEMPLATE_BYTES / 8];
	__u64 state;	 /* of the generator; start it at the same value for the same order */
	__u32 flow_mask; /* flows - 1 */
	__u32 services;	 /* the destination's low two bytes are first_service .. + services - 1 (at most 65536) */
	__u32 first_service;
	__u32 v6;
	__u32 packets; /* of this run, and how many are left of them */
	__u32 left;
	__u32 oif;	/* where bench_emit sends */
	__u32 in_order; /* the run's first packet is flow 0's, the next one flow 1's */
	__u32 pad0;
	__u64 start_ns; /* CLOCK_MONOTONIC at the first packet of the run and at the last */
	__u64 end_ns;
};

#endif
