/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Clients: source addresses, or prefixes of them, whose connections stay together. A client's hash says whose its slot
 * is; the hash of one of its flows has the client's upper bits, so that all have the client's slot in a table of any
 * size, and entries of the flow cache still say which slot they are of. A client that is remembered for a time has an
 * entry of its own, under its own hash. Pure; called by bpf/ and by tests.
 */
#ifndef LB_DP_SOURCE_H
#define LB_DP_SOURCE_H

#include "lb/abi.h"
#include "lb/dp/base.h"
#include "lb/dp/hash.h"

#define LB_SOURCE_FLOW_BITS (64 - LB_TABLE_SHIFT_MAX)

/* lb_source4 - the client that the address @saddr belongs to, as it lies in the packet. @plen: 1..32. */
static __always_inline __u64 lb_source4(__u64 saddr, __u32 plen)
{
	return saddr & lb_htonl(~0U << ((32 - plen) & 31));
}

/* lb_source6 - the same for word @i of an IPv6 address. @plen: 1..128. */
static __always_inline __u64 lb_source6(__u64 word, __u32 i, __u32 plen)
{
	if (plen <= 64)
		return i ? 0 : word & lb_htonll(~0ULL << ((64 - plen) & 63));
	return i ? word & lb_htonll(~0ULL << ((128 - plen) & 63)) : word;
}

/* lb_source_flow - the hash that steers a flow: @source its client's, @flow the flow's own. */
static __always_inline __u64 lb_source_flow(__u64 source, __u64 flow)
{
	const __u64 own = (1ULL << LB_SOURCE_FLOW_BITS) - 1;

	return (source & ~own) | (flow & own);
}

#endif
