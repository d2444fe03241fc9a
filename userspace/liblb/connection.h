/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the entries of a translated connection say, for those who show it to people. Pure. Called by the dataplane,
 * which reads the entries, by lbd's flows, and by tests.
 */
#ifndef LB_CONNECTION_H
#define LB_CONNECTION_H

#include <stdbool.h>
#include <stdint.h>

#include "addr.h"
#include "lb/abi.h"

struct lb_connection {
	struct lb_vip vip; /* an address and a port, also where the service's VIP has more */
	struct lb_endpoint client;
	struct lb_endpoint seen; /* whom the backend takes for the client */
	uint16_t service, backend;
	const char *state; /* "half-open", "established", "closing"; of UDP "unreplied", "replied" */
	bool proven;	   /* the client has answered the backend; of UDP, the backend has answered */
	bool closed;	   /* its client has sent a FIN or RST */
	bool translated;   /* .seen is not .client */
	uint32_t idle_s;   /* since anything went either way; the truth may be up to LB_CONN_GRAIN_S less */
};

/* lb_connection_of - what the client's entry @key, @c says, with the word of the entry of its other direction, @reply
 * (0: there is none), at @now (lb_conn_now of lb/dp/conn.h). */
struct lb_connection lb_connection_of(const struct lb_conn_key *key, const struct lb_conn *c, uint64_t reply,
				      uint32_t now);

#endif
