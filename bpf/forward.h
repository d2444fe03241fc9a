/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The stage that makes the packet the backend's and sends it there. Included by pipeline.h. */
#ifndef BPF_FORWARD_H
#define BPF_FORWARD_H

#include "lb/dp/encap.h"
#include "lb/dp/gue.h"
#include "vlan.h"
#include "world.h"

/* A packet does not fit. Before the next hop is resolved its MTU is 0. */
static __always_inline enum lb_verdict lb_too_big_for(const struct lb_backend *b)
{
	return lb_load(&b->oif) ? lb_answer(LB_V_DROP_TOO_BIG) : lb_answer(LB_V_DROP_NO_NEXT_HOP);
}

/* Put the packet into a packet of its own, addressed to the backend; @v4: of IPv4, @gue: over UDP, @src_plen: bits of
 * the source that are fixed. @hop, which may be unresolved, is where to send it: read when the packet has been made
 * longer, since nothing in a register but few words survives that. */
static __always_inline enum lb_verdict lb_encap(struct lb_world *w, const struct lb_job *j, struct lb_hop *hop,
						const bool v4, const bool gue, const __u8 src_plen)
{
	const int ip_len = v4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr);
	const int outer_len = ip_len + (gue ? LB_GUE_BYTES(LB_GUE_WORDS) : 0);
	const int inner_len = j->pkt.v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr);
	struct lb_inner in = {.len = j->pkt.len, .hash = j->hash};
	struct ethhdr *eth;
	void *l3, *inner;

	if (lb_unlikely(j->pkt.len + outer_len > lb_load(&j->backend->mtu)))
		return lb_too_big_for(j->backend);
	if (lb_unlikely(!lb_world_grow(w, outer_len)))
		return lb_answer(LB_V_DROP_NO_HEADROOM);
	eth = lb_world_data(w);
	l3 = eth + 1;
	inner = l3 + outer_len;
	if (lb_unlikely(inner + inner_len > lb_world_data_end(w)))
		return lb_answer(LB_V_DROP_MALFORMED);
	if (lb_unlikely(!(j->pkt.v6 ? lb_inner_take6(inner, &in) : lb_inner_take4(inner, &in))))
		return lb_answer(LB_V_DROP_TTL_EXCEEDED);
	lb_hop_read(j->backend, hop);
	if (gue)
		lb_gue_write(l3 + ip_len, &in, lb_gue_port(hop), LB_GUE_WORDS);
	lb_eth_write_tunnel(eth, hop, v4 ? lb_htons(ETH_P_IP) : lb_htons(ETH_P_IPV6));
	if (v4)
		lb_outer_write4(l3, &in, j->backend, src_plen);
	else
		lb_outer_write6(l3, &in, j->backend, src_plen);
	if (gue && !v4)
		lb_world_gue_checksum(w);
	return LB_V_FORWARDED;
}

/* The ways that are not plain. */
static __always_inline enum lb_verdict lb_encap_other(struct lb_world *w, const struct lb_job *j, struct lb_hop *hop)
{
	const __u8 plen = j->life.src_plen;
	void *data;

	if (j->life.forward == LB_FORWARD_IPIP)
		return j->life.flags & LB_BACKEND_F_V4 ? lb_encap(w, j, hop, true, false, plen)
						       : lb_encap(w, j, hop, false, false, plen);
	if (lb_world_has(w, LB_HAS_GUE) && j->life.forward == LB_FORWARD_GUE)
		return j->life.flags & LB_BACKEND_F_V4 ? lb_encap(w, j, hop, true, true, plen)
						       : lb_encap(w, j, hop, false, true, plen);
	if (lb_world_has(w, LB_HAS_NAT) && j->life.forward != LB_FORWARD_L2)
		return lb_answer(LB_V_DROP_NO_BACKEND); /* while its service begins to translate, or ends */
	data = lb_world_data(w);
	lb_hop_read(j->backend, hop);
	if (lb_unlikely(j->pkt.len > lb_hop_mtu(hop)))
		return lb_too_big_for(j->backend);
	if (lb_unlikely(data + sizeof(struct ethhdr) > lb_world_data_end(w)))
		return lb_answer(LB_V_DROP_MALFORMED);
	lb_eth_write(data, hop);
	return LB_V_FORWARDED;
}

/* Bytes that forwarding adds to a packet. What is translated is none of it. */
static __always_inline __u32 lb_overhead(struct lb_life life)
{
	if (life.forward == LB_FORWARD_L2)
		return 0;
	return (life.flags & LB_BACKEND_F_V4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr)) +
	       (life.forward == LB_FORWARD_GUE ? LB_GUE_BYTES(LB_GUE_WORDS) : 0);
}

/* Send it there. */
static __always_inline enum lb_verdict lb_forward(struct lb_world *w, const struct lb_job *j, __u32 *sent)
{
	enum lb_verdict v;
	struct lb_hop hop;

	if (lb_likely(j->plain)) {
		v = lb_encap(w, j, &hop, !j->pkt.v6, false, 128);
		if (lb_unlikely(v != LB_V_FORWARDED))
			return v;
		*sent = lb_world_send(w, hop.oif, false);
	} else {
		v = lb_encap_other(w, j, &hop);
		if (lb_unlikely(v != LB_V_FORWARDED))
			return v;
		if (lb_world_has(w, LB_HAS_VLAN) && j->life.flags & LB_BACKEND_F_TAGGED)
			v = lb_vlan_send(w, hop.oif, sent);
		else
			*sent = lb_world_send(w, hop.oif, j->life.flags & LB_BACKEND_F_REDIRECT);
		if (lb_unlikely(v != LB_V_FORWARDED))
			return v;
	}
	if (lb_unlikely(*sent == LB_UNSENT))
		return lb_answer(LB_V_DROP_NO_NEXT_HOP);
	return LB_V_FORWARDED;
}

#endif
