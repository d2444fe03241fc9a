// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The ruler of `make bench`. Per packet: a driver that runs in BPF_PROG_TEST_RUN, where the kernel gives every
 * repetition the packet that the last one left. It moves the head back, writes the template and the next flow's source,
 * and tail-calls the program under test. Beside it: the programs that the net cost is measured against. Through a NIC
 * driver: a generator, a counter and a bare reflector for the two ends of a veth pair. tools/bench/ loads them.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <bpf/bpf_helpers.h>

#include "lb/dp/base.h"
#include "lb/bench.h"

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} bench_target SEC(".maps");

struct lb_bench bench;

/* One counter a CPU: frames that came back. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} bench_back SEC(".maps");

/* Write the template, of the next flow. False: the frame is too short. */
static __always_inline bool write_frame(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data;
	__u64 *to = (__u64 *)data;
	__u64 flow;

	if (data + LB_BENCH_TEMPLATE_BYTES > (__u8 *)(long)ctx->data_end)
		return false;
	LB_UNROLL
	for (int i = 0; i < LB_BENCH_TEMPLATE_BYTES / 8; i++)
		to[i] = bench.template[i];

	/* A linear congruential generator's high bits: every flow equally often, in no order that a prefetcher sees. */
	bench.state = bench.state * 6364136223846793005ULL + 1442695040888963407ULL;
	flow = (bench.in_order ? bench.packets - bench.left - 1 : bench.state >> 32) & bench.flow_mask;
	*(__u16 *)(data + LB_BENCH_SADDR_OFFSET(bench.v6)) = (__u16)(flow >> 16);
	*(__u16 *)(data + LB_BENCH_SPORT_OFFSET(bench.v6)) = (__u16)flow;
	*(__u16 *)(data + LB_BENCH_DADDR_OFFSET(bench.v6)) =
		(__u16)(bench.first_service + ((((bench.state >> 16) & 0xffff) * bench.services) >> 16));
	return true;
}

SEC("xdp")
int bench_driver(struct xdp_md *ctx)
{
	int moved = (int)(ctx->data_end - ctx->data) - LB_BENCH_FRAME_BYTES;

	/* The kernel's own figure is a whole number of nanoseconds, and the system call waits for RCU. */
	if (bench.left == bench.packets)
		bench.start_ns = bpf_ktime_get_ns();
	if (--bench.left == 0)
		bench.end_ns = bpf_ktime_get_ns();

	if (bpf_xdp_adjust_head(ctx, moved) || !write_frame(ctx))
		return XDP_ABORTED;
	bpf_tail_call(ctx, &bench_target, 0);
	return XDP_ABORTED;
}

/* The generator of live frames, into one end of a veth pair; the other end's program sends them back. */
SEC("xdp")
int bench_emit(struct xdp_md *ctx)
{
	return write_frame(ctx) ? bpf_redirect(bench.oif, 0) : XDP_ABORTED;
}

/* What sits on the generator's end. */
SEC("xdp")
int bench_count(struct xdp_md *ctx)
{
	__u32 zero = 0;
	__u64 *back = bpf_map_lookup_elem(&bench_back, &zero);

	if (back)
		(*back)++;
	return XDP_DROP;
}

/* The least that a program can do to send a frame back: the bare reflector. */
SEC("xdp")
int bench_reflect(struct xdp_md *ctx)
{
	struct ethhdr *eth = (void *)(long)ctx->data;
	__u8 mac[ETH_ALEN];

	if ((void *)(eth + 1) > (void *)(long)ctx->data_end)
		return XDP_DROP;
	__builtin_memcpy(mac, eth->h_dest, ETH_ALEN);
	__builtin_memcpy(eth->h_dest, eth->h_source, ETH_ALEN);
	__builtin_memcpy(eth->h_source, mac, ETH_ALEN);
	return XDP_TX;
}

/* What the driver costs by itself. */
SEC("xdp")
int bench_nothing(struct xdp_md *ctx)
{
	return XDP_TX;
}

/* One head adjustment, as every encapsulation needs it. */
SEC("xdp")
int bench_adjust(struct xdp_md *ctx)
{
	return bpf_xdp_adjust_head(ctx, -(int)sizeof(struct iphdr)) ? XDP_ABORTED : XDP_TX;
}

/*
 * The floor: what a stateless IPIP encapsulation cannot do without. The packet is recognised as IPv4, its TTL is
 * decremented, the outer header is written field by field and summed; there is no map and no choice.
 */
SEC("xdp")
int bench_floor(struct xdp_md *ctx)
{
	struct ethhdr *eth = (void *)(long)ctx->data;
	struct iphdr *inner = (void *)(eth + 1), *outer;
	__u16 *half;
	__u32 sum = 0;

	if ((void *)(inner + 1) > (void *)(long)ctx->data_end || eth->h_proto != lb_htons(ETH_P_IP) ||
	    inner->version != 4 || inner->ihl != 5 || inner->ttl <= 1)
		return XDP_PASS;
	if (bpf_xdp_adjust_head(ctx, -(int)sizeof(*outer)))
		return XDP_ABORTED;
	eth = (void *)(long)ctx->data;
	outer = (void *)(eth + 1);
	inner = outer + 1;
	if ((void *)(inner + 1) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	__builtin_memcpy(eth->h_dest, "\x02\0\0\0\0\2", 6);
	__builtin_memcpy(eth->h_source, "\x02\0\0\0\0\1", 6);
	eth->h_proto = lb_htons(ETH_P_IP);
	sum = inner->check + lb_htons(0x100);
	inner->check = (__u16)(sum + (sum >= 0xffff));
	inner->ttl--;
	outer->version = 4;
	outer->ihl = 5;
	outer->tos = inner->tos;
	outer->tot_len = lb_htons(lb_ntohs(inner->tot_len) + sizeof(*outer));
	outer->id = 0;
	outer->frag_off = lb_htons(0x4000);
	outer->ttl = 64;
	outer->protocol = 4;
	outer->check = 0;
	outer->saddr = lb_htonl(0x0a000001);
	outer->daddr = lb_htonl(0x0a000002);
	half = (__u16 *)outer;
	sum = 0;
	LB_UNROLL
	for (unsigned int i = 0; i < sizeof(*outer) / 2; i++)
		sum += half[i];
	sum = (sum & 0xffff) + (sum >> 16);
	outer->check = (__u16) ~((sum & 0xffff) + (sum >> 16));
	return XDP_TX;
}

char _license[] SEC("license") = "GPL";
