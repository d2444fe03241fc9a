/* SPDX-License-Identifier: GPL-2.0-or-later */
/* QUIC's way past the flow: the server that a connection ID names. Included by select.h. */
#ifndef BPF_QUIC_H
#define BPF_QUIC_H

#include <linux/if_ether.h>

#include "lb/dp/quic.h"
#include "lb/dp/steer.h"
#include "world.h"

#define LB_QUIC_UDP_OFF_MAX 1024 /* no sane packet has more headers */

/* The backend of the datagram whose UDP header lies @udp_off bytes into the frame, when its connection ID names one
 * that serves what it has; else 0. @room: bytes that the packet has from there on. */
static __always_inline __u32 lb_quic_server(struct lb_world *w, __u32 udp_off, __u32 room, __u32 service_idx)
{
	const struct lb_service *s = lb_world_service(w, service_idx);
	const struct lb_backend *b;
	struct lb_quic_id id = {0};
	struct lb_cid cid = {0};
	__u32 backend;

	if (!s || udp_off > LB_QUIC_UDP_OFF_MAX)
		return 0;
	if (lb_quic_route(lb_world_data(w) + udp_off, lb_world_data_end(w), room, lb_load(&s->quic), &id) !=
	    LB_QUIC_ROUTABLE)
		return 0;
	cid.server_id = id.server_id;
	cid.service = service_idx;
	cid.config = (__u8)id.config;
	backend = lb_world_cid(w, &cid);
	b = lb_world_backend(w, backend);
	if (!b || b->service != service_idx || !(lb_life_of(b).flags & LB_BACKEND_F_ALIVE))
		return 0;
	return backend;
}

#endif
