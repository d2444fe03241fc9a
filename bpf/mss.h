/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The stage that has a SYN announce no greater segments than its service says. Included by pipeline.h. */
#ifndef BPF_MSS_H
#define BPF_MSS_H

#include "lb/dp/mss.h"
#include "world.h"

/* Is it one to be clamped? */
static __always_inline bool lb_clamps(struct lb_world *w, const struct lb_packet *p)
{
	return lb_world_has(w, LB_HAS_MSS) && p->proto == IPPROTO_TCP && p->tcp_flags & LB_TCP_SYN;
}

/* Note where the segment is, for lb_clamp: whatever headers come to be in front of it, the frame's end stays. */
static __always_inline void lb_clamp_note(struct lb_world *w, const struct lb_job *j)
{
	struct lb_verdict_cpu *row = lb_world_verdict_cpu(w);

	if (!row)
		return;
	row->syn_service = lb_job_service(j);
	row->syn_bytes = lb_world_data_end(w) - (j->pkt.ip + j->pkt.l4_off);
}

/* Of a SYN that is as it is to be sent. So late, as all copies of the stages then share one piece of code. What the UDP
 * checksum of a tunnel adds up stays the same, since the segment's own checksum changes with it. */
static __always_inline void lb_clamp(struct lb_world *w)
{
	const struct lb_verdict_cpu *row = lb_world_verdict_cpu(w);
	void *data = lb_world_data(w), *end = lb_world_data_end(w);
	const struct lb_service *service;
	__u32 off;
	__u16 mss;

	if (!lb_world_has(w, LB_HAS_MSS) || !row)
		return;
	service = lb_world_service(w, row->syn_service);
	off = (__u32)(end - data) - row->syn_bytes;
	if (!service || off > LB_OFF_MAX)
		return;
	mss = lb_load(&service->mss);
	if (mss)
		lb_mss_clamp(data + lb_offset(off, lb_world_ingress(w)), end, mss);
}

#endif
