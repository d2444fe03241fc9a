// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Attaches an XDP program that passes every packet: xdp_pass IFACE. A veth interface whose peer answers with XDP_TX
 * needs one: with GRO alone its queue is filled by such packets but never emptied (the driver wakes the receiver only
 * if it has a program), and the pair stalls after 256 of them.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <net/if.h>

int main(int argc, char **argv)
{
	const struct bpf_insn insns[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_PASS},
		{.code = BPF_JMP | BPF_EXIT},
	};
	unsigned int ifindex = argc == 2 ? if_nametoindex(argv[1]) : 0;
	int fd, ret;

	if (!ifindex) {
		fprintf(stderr, "usage: xdp_pass IFACE\n");
		return 2;
	}
	fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "pass", "GPL", insns, 2, NULL);
	ret = fd < 0 ? fd : bpf_xdp_attach((int)ifindex, fd, XDP_FLAGS_DRV_MODE, NULL);
	if (ret) {
		fprintf(stderr, "xdp_pass: %s: %s\n", argv[1], strerror(-ret));
		return 1;
	}
	return 0;
}
