/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Removes translated connections that are over, a few milliseconds at a time. Called by control.c. */
#ifndef LB_COLLECTOR_H
#define LB_COLLECTOR_H

#include <event2/event.h>
#include <stdint.h>

#include "dataplane.h"

struct lb_collector;

/* It begins to work with the loop. NULL: out of memory. */
struct lb_collector *lb_collector_new(struct event_base *base, struct lb_dataplane *dp);
void lb_collector_free(struct lb_collector *c);

/* lb_collector_snat_ports - the ports that fullnat may speak to backends from without being mistaken for the host
 * itself: the greater part of those from 1024 on that net.ipv4.ip_local_port_range leaves. False: it leaves too few, or
 * cannot be read. */
bool lb_collector_snat_ports(uint16_t *first, uint16_t *nr);

#endif
