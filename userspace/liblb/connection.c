// SPDX-License-Identifier: GPL-2.0-or-later
/* Entries of translated connections, taken apart. */
#include <string.h>

#include "connection.h"
#include "lb/dp/conn.h"
#include "lb/dp/nat.h"

static struct lb_endpoint endpoint(const __u64 addr[2], __be16 port)
{
	struct lb_endpoint ep = {.port = port};

	memcpy(ep.addr, addr, sizeof(ep.addr));
	return ep;
}

static const char *state_name(enum lb_conn_state state)
{
	switch (state) {
	case LB_CONN_TCP_HALF_OPEN:
		return "half-open";
	case LB_CONN_TCP_ESTABLISHED:
		return "established";
	case LB_CONN_TCP_CLOSING:
		return "closing";
	case LB_CONN_UDP_UNREPLIED:
		return "unreplied";
	case LB_CONN_UDP_REPLIED:
		return "replied";
	}
	return "?";
}

struct lb_connection lb_connection_of(const struct lb_conn_key *key, const struct lb_conn *c, uint64_t reply,
				      uint32_t now)
{
	uint8_t proto = (uint8_t)key->proto;
	struct lb_connection out = {
		.vip = {.port = lb_ports_dest(key->ports), .proto = proto},
		.client = endpoint(key->saddr, lb_ports_source(key->ports)),
		.seen = endpoint(c->xlate.saddr, lb_ports_source(c->xlate.ports)),
		.service = c->service,
		.backend = c->backend,
		.state = state_name(lb_conn_state(proto, c->word, reply)),
		.proven = !lb_conn_half_open(proto, c->word, reply),
		.closed = c->word & (LB_CONN_FIN | LB_CONN_RST),
		.idle_s = lb_conn_idle(c->word, reply, now),
	};

	memcpy(out.vip.addr, key->daddr, sizeof(out.vip.addr));
	out.translated =
		out.seen.port != out.client.port || memcmp(out.seen.addr, out.client.addr, sizeof(out.seen.addr)) != 0;
	return out;
}
