// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Health checks by way of the VIP: on the interface by which the kernel would send them to the VIP, packets with a
 * check's mark become the backend's as forward.h has it, and go there. All others pass, also to what other filters are
 * there.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

#include "lb/check.h"
#include "lb/dp/encap.h"
#include "lb/dp/gue.h"
#include "lb/dp/steer.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, LB_MAX_BACKENDS);
	__type(key, __u32);
	__type(value, struct lb_backend);
} lb_backends SEC(".maps");

/* As lb_encap; @v6: the packet, @v4: the outer header. The kernel is told of it, so that it finishes checksums and cuts
 * large packets into segments behind this program. Over GUE and IPv6 there is no outer checksum (RFC 6935): the inner
 * one, of which it would be made, need not be there yet. */
static __always_inline bool encap(struct __sk_buff *skb, const struct lb_backend *b, const struct lb_hop *hop,
				  __u8 src_plen, const bool v6, const bool v4, const bool gue)
{
	const int ip_len = v4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr);
	const int outer_len = ip_len + (gue ? LB_GUE_BYTES(LB_GUE_WORDS) : 0);
	const __u64 flags = (v4 ? BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 : BPF_F_ADJ_ROOM_ENCAP_L3_IPV6) |
			    (gue ? BPF_F_ADJ_ROOM_ENCAP_L4_UDP : 0);
	struct lb_inner in = {.len = skb->len - ETH_HLEN};
	void *l3, *inner;

	in.hash = (__u64)bpf_get_hash_recalc(skb) * 0x9e3779b97f4a7c15ULL;
	if (!skb->gso_size && in.len + outer_len > lb_hop_mtu(hop))
		return false;
	if (bpf_skb_adjust_room(skb, outer_len, BPF_ADJ_ROOM_MAC, flags))
		return false;
	if (bpf_skb_pull_data(skb, ETH_HLEN + outer_len + (v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr))))
		return false;
	l3 = (void *)(long)skb->data + ETH_HLEN;
	inner = l3 + outer_len;
	if (inner + (v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr)) > (void *)(long)skb->data_end)
		return false;
	if (!(v6 ? lb_inner_take6(inner, &in) : lb_inner_take4(inner, &in)))
		return false;
	if (gue)
		lb_gue_write(l3 + ip_len, &in, lb_gue_port(hop), LB_GUE_WORDS);
	lb_eth_write_tunnel(l3 - ETH_HLEN, hop, v4 ? lb_htons(ETH_P_IP) : lb_htons(ETH_P_IPV6));
	if (v4)
		lb_outer_write4(l3, &in, b, src_plen);
	else
		lb_outer_write6(l3, &in, b, src_plen);
	return true;
}

static __always_inline bool rewrite(struct __sk_buff *skb, const struct lb_hop *hop)
{
	void *data;

	if (bpf_skb_pull_data(skb, ETH_HLEN))
		return false;
	data = (void *)(long)skb->data;
	if (data + ETH_HLEN > (void *)(long)skb->data_end)
		return false;
	lb_eth_write(data, hop);
	return true;
}

static __always_inline bool make(struct __sk_buff *skb, const struct lb_backend *b, const struct lb_hop *hop,
				 struct lb_life life, const bool v6)
{
	const bool v4 = life.flags & LB_BACKEND_F_V4;

	if (life.forward == LB_FORWARD_L2)
		return rewrite(skb, hop);
	if (life.forward == LB_FORWARD_IPIP)
		return v4 ? encap(skb, b, hop, life.src_plen, v6, true, false)
			  : encap(skb, b, hop, life.src_plen, v6, false, false);
	if (life.forward == LB_FORWARD_GUE)
		return v4 ? encap(skb, b, hop, life.src_plen, v6, true, true)
			  : encap(skb, b, hop, life.src_plen, v6, false, true);
	return false;
}

SEC("tc")
int lb_check(struct __sk_buff *skb)
{
	__u32 mark = skb->mark, idx = LB_CHECK_MARK_BACKEND(mark);
	const struct lb_backend *b;
	struct lb_life life;
	struct lb_hop hop;
	__u64 word;
	bool made;

	if ((mark & LB_CHECK_MARK_MASK) != LB_CHECK_MARK)
		return TC_ACT_UNSPEC;
	/* What is not to go to that backend is to go nowhere: answers of another one would be taken for its own. */
	b = bpf_map_lookup_elem(&lb_backends, &idx);
	if (!b)
		return TC_ACT_SHOT;
	word = lb_backend_word(b);
	life = lb_life_in(word);
	if (!LB_BACKEND_WORD_SERVICE(word) ||
	    (LB_BACKEND_WORD_SERVICE(word) & LB_CHECK_SERVICE_MASK) != LB_CHECK_MARK_SERVICE(mark))
		return TC_ACT_SHOT;
	lb_hop_read(b, &hop);
	if (!hop.oif)
		return TC_ACT_SHOT;
	if (skb->protocol == lb_htons(ETH_P_IP))
		made = make(skb, b, &hop, life, false);
	else if (skb->protocol == lb_htons(ETH_P_IPV6))
		made = make(skb, b, &hop, life, true);
	else
		return TC_ACT_UNSPEC;
	if (!made)
		return TC_ACT_SHOT;
	/* It may leave by an interface where this program is. */
	skb->mark = 0;
	return bpf_redirect(hop.oif, 0);
}

char _license[] SEC("license") = "GPL";
