/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The stage that has a SYN announce no greater segments than its service says. Included by pipeline.h. */
#ifndef BPF_MSS_H
#define BPF_MSS_H

#include "lb/dp/mss.h"
#include "world.h"

/* @l4_off: bytes from the IP header to the TCP header. */
static __always_inline void lb_clamp(struct lb_world *w, __u32 service_idx, __u32 l4_off)
{
	const struct lb_service *service = lb_world_service(w, service_idx);
	void *data = lb_world_data(w);
	__u16 mss;

	if (!lb_world_has(w, LB_HAS_MSS) || !service || l4_off > LB_OFF_MAX)
		return;
	mss = lb_load(&service->mss);
	if (mss)
		lb_mss_clamp(data + sizeof(struct ethhdr) + lb_offset(l4_off, lb_world_ingress(w)),
			     lb_world_data_end(w), mss);
}

#endif
