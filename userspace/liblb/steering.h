/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where a flow lies in its service's table and in the flow cache: what the dataplane works out for each packet, for
 * those who explain what it does. Pure. Called by the dataplane's trace, by lbd's flows, and by tests.
 */
#ifndef LB_STEERING_H
#define LB_STEERING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lb/abi.h"
#include "lb/dp/parse.h"

/* What a frame has to do with flows. */
enum lb_steering_kind {
	LB_STEERING_NONE,  /* nothing, or it is a later fragment, which does not say */
	LB_STEERING_FLOW,  /* it is a packet of one */
	LB_STEERING_ERROR, /* it is an ICMP error about one */
};

struct lb_steering {
	uint64_t source; /* the hash of the client, of services with affinity; else 0 */
	uint64_t hash;	 /* that steers: it has the slot, and the entry's tag and set */
	uint32_t slot;	 /* of the service's table, 0 and up */
	uint32_t slots;	 /* that the table has; 0: there is none */
};

/* lb_steering_parse - @p becomes the flow of the frame [@frame, @frame + @len), as the client's packets show it. The
 * frame's third byte should be aligned to four. VLAN tags are looked behind. @p->ip points into the frame. */
enum lb_steering_kind lb_steering_parse(const void *frame, size_t len, struct lb_packet *p);

/* lb_steering_of - where the flow of @p lies, of the service whose line is @s. */
struct lb_steering lb_steering_of(const struct lb_conf *conf, const struct lb_service *s, const struct lb_packet *p);

/* lb_steering_entry - the entry under @hash, which counts: its backend lives, has the generation that the entry is of,
 * and is of @service; of UDP (@tcp is false; SCTP is as TCP) it is not idle beyond its limit. 0: there is none. @backends: by index. */
uint64_t lb_steering_entry(const struct lb_flow_set *sets, const struct lb_backend *backends, uint64_t hash,
			   uint32_t service, bool tcp, uint8_t now_age);

#endif
