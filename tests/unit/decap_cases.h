/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The cases of the backend host's decapsulation: one table of {what, frame in, result, frame out}, and frames built
 * from it. Run natively by test_decap.c (with sanitizers) and through the kernel by
 * tests/netns/node_kernel_test.c and node_test.c.
 */
#ifndef DECAP_CASES_H
#define DECAP_CASES_H

#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lb/dp/decap.h"

#define FRAME_MAX 2048

struct frame {
	uint8_t bytes[FRAME_MAX];
	size_t len;
};

enum family { V4, V6 };

/* What the host under test has been told; addresses below. */
enum setup { ANY, ONLY_FROM, ONLY_VIPS };

/* Bytes to overwrite in the frame; end with at == 0. @at counts from the outer IP header, -1000 + n from the inner one.
 */
#define INNER(n) (-1000 + (n))
struct patch {
	int at;
	uint8_t value;
};

struct decap_case {
	const char *what;
	enum family outer, inner;
	enum lb_node_result result;
	enum setup setup;
	const char *src, *dst, *vip; /* NULL: the usual ones */
	uint8_t outer_tos, inner_tos, out_tos;
	bool limit;	  /* an IPv6 outer header with a tunnel encapsulation limit */
	uint16_t vlan;	  /* a tag, when not 0 */
	size_t data, pad; /* bytes of UDP data; of padding after the packet */
	bool keep_sum;	  /* leave the outer IPv4 checksum wrong after patches */
	bool gue;	  /* UDP and GUE between outer and inner header, at 20 or 40 */
	uint8_t words;	  /* of private data behind GUE's first */
	struct patch patch[4];
};

#define OUTER_SRC4 "10.1.0.1"
#define OUTER_DST4 "10.1.0.2"
#define OUTER_SRC6 "2001:db8:1::1"
#define OUTER_DST6 "2001:db8:1::2"
#define CLIENT4 "198.51.100.7"
#define CLIENT6 "2001:db8:99::7"
#define VIP4 "192.0.2.10"
#define VIP6 "2001:db8::10"
#define FROM4 "10.1.0.0/24"
#define FROM6 "2001:db8:1::/64"
#define GUE_PORT 6081 /* the second of two that the host was told */
#define GUE_PORTS                                                                                                      \
	{                                                                                                              \
		htons(6080), htons(GUE_PORT)                                                                           \
	}

static const struct decap_case decap_cases[] = {
	{"v4 in v4", V4, V4, LB_NODE_DECAPSULATED, .data = 30},
	{"v6 in v4", V4, V6, LB_NODE_DECAPSULATED, .data = 30},
	{"v4 in v6", V6, V4, LB_NODE_DECAPSULATED, .data = 30},
	{"v6 in v6", V6, V6, LB_NODE_DECAPSULATED, .data = 30},
	{"no data at all", V4, V4, LB_NODE_DECAPSULATED, .pad = 4},
	{"a full frame", V6, V6, LB_NODE_DECAPSULATED, .data = 1400},
	{"padding behind the packet", V4, V4, LB_NODE_DECAPSULATED, .data = 1, .pad = 20},
	{"padding behind the packet, IPv6", V6, V6, LB_NODE_DECAPSULATED, .data = 1, .pad = 20},
	{"a tunnel encapsulation limit", V6, V6, LB_NODE_DECAPSULATED, .limit = true, .data = 9},
	{"a tunnel encapsulation limit, v4 inside", V6, V4, LB_NODE_DECAPSULATED, .limit = true, .data = 9},
	{"DSCP outside is not taken over", V4, V4, LB_NODE_DECAPSULATED, .outer_tos = 0xb8, .data = 4},
	{"DSCP inside stays when CE comes", V4, V4, LB_NODE_DECAPSULATED, .outer_tos = 0x03, .inner_tos = 0xba,
	 .out_tos = 0xbb, .data = 4},
	{"DSCP inside stays when CE comes, IPv6", V6, V6, LB_NODE_DECAPSULATED, .outer_tos = 0x03, .inner_tos = 0xba,
	 .out_tos = 0xbb, .data = 4},
	{"inner TTL 1 is for this host", V4, V4, LB_NODE_DECAPSULATED, .patch = {{INNER(8), 64}}},
	{"inner packet with IPv4 options", V4, V4, LB_NODE_DECAPSULATED, .data = 8, .patch = {{INNER(0), 0x46}}},
	{"inner packet shorter than the outer header says", V4, V4, LB_NODE_DECAPSULATED, .data = 30,
	 .patch = {{INNER(3), 40}}},
	{"DF outside", V4, V4, LB_NODE_DECAPSULATED, .patch = {{6, 0x40}}},

	{"another ethertype", V4, V4, LB_NODE_PASS_NOT_TUNNEL, .patch = {{-1, 0x06}}},
	{"a VLAN tag", V4, V4, LB_NODE_PASS_NOT_TUNNEL, .vlan = 5, .data = 30},
	{"UDP, not IPIP", V4, V4, LB_NODE_PASS_NOT_TUNNEL, .patch = {{9, 17}}},
	{"UDP, not IP6IP6", V6, V6, LB_NODE_PASS_NOT_TUNNEL, .patch = {{6, 17}}},
	{"GRE", V4, V4, LB_NODE_PASS_NOT_TUNNEL, .patch = {{9, 47}}},
	{"destination options before UDP", V6, V6, LB_NODE_PASS_NOT_TUNNEL, .limit = true, .patch = {{40, 17}}},
	{"a fragment of UDP over IPv6", V6, V6, LB_NODE_PASS_NOT_TUNNEL, .limit = true, .patch = {{6, 44}, {40, 17}}},
	{"hop-by-hop options", V6, V6, LB_NODE_PASS_NOT_TUNNEL, .limit = true, .patch = {{6, 0}}},
	{"IPv4 options outside", V4, V4, LB_NODE_PASS_OPTIONS, .data = 30, .patch = {{0, 0x46}}},
	{"another destination option", V6, V6, LB_NODE_PASS_OPTIONS, .limit = true, .patch = {{42, 0xc9}}},
	{"longer destination options", V6, V6, LB_NODE_PASS_OPTIONS, .limit = true, .data = 30, .patch = {{41, 1}}},
	{"a limit of odd length", V6, V6, LB_NODE_PASS_OPTIONS, .limit = true, .patch = {{43, 2}}},
	{"outer version 6 in an IPv4 frame", V4, V4, LB_NODE_PASS_MALFORMED, .patch = {{0, 0x65}}},
	{"outer version 4 in an IPv6 frame", V6, V6, LB_NODE_PASS_MALFORMED, .patch = {{0, 0x40}}},
	{"outer header length 4", V4, V4, LB_NODE_PASS_MALFORMED, .patch = {{0, 0x44}}},
	{"outer length beyond the frame", V4, V4, LB_NODE_PASS_MALFORMED, .data = 30, .patch = {{3, 79}}},
	{"outer length beyond the frame, IPv6", V6, V6, LB_NODE_PASS_MALFORMED, .data = 30, .patch = {{5, 79}}},
	{"outer length below its header", V4, V4, LB_NODE_PASS_MALFORMED, .patch = {{3, 19}}},
	{"payload below its options", V6, V6, LB_NODE_PASS_MALFORMED, .limit = true, .patch = {{5, 7}}},
	{"outer checksum wrong", V4, V4, LB_NODE_PASS_MALFORMED, .keep_sum = true, .patch = {{8, 63}}},
	{"first fragment", V4, V4, LB_NODE_PASS_FRAGMENT, .patch = {{6, 0x20}}},
	{"later fragment", V4, V4, LB_NODE_PASS_FRAGMENT, .patch = {{7, 0x20}}},
	{"last possible fragment", V4, V6, LB_NODE_PASS_FRAGMENT, .patch = {{6, 0x1f}}},
	{"fragment header", V6, V6, LB_NODE_PASS_FRAGMENT, .limit = true, .patch = {{6, 44}}},

	{"to an address that is not ours", V4, V4, LB_NODE_PASS_NOT_LOCAL, .dst = "10.1.0.3"},
	{"to an address that is not ours, IPv6", V6, V6, LB_NODE_PASS_NOT_LOCAL, .dst = "2001:db8:1::3"},
	{"to multicast", V4, V4, LB_NODE_PASS_NOT_LOCAL, .dst = "224.0.0.1"},
	{"our IPv4 address as a mapped IPv6 one", V6, V4, LB_NODE_PASS_MALFORMED, .dst = "::ffff:10.1.0.2"},
	{"from a mapped address", V6, V4, LB_NODE_PASS_MALFORMED, .src = "::ffff:10.1.0.1"},
	{"from an allowed source", V4, V4, LB_NODE_DECAPSULATED, .setup = ONLY_FROM},
	{"from an allowed source, IPv6", V6, V4, LB_NODE_DECAPSULATED, .setup = ONLY_FROM},
	{"from another source", V4, V4, LB_NODE_PASS_SOURCE, .setup = ONLY_FROM, .src = "10.1.1.1"},
	{"from another source, IPv6", V6, V6, LB_NODE_PASS_SOURCE, .setup = ONLY_FROM, .src = "2001:db8:1:1::1"},
	{"to a VIP", V4, V4, LB_NODE_DECAPSULATED, .setup = ONLY_VIPS},
	{"to a VIP, IPv6", V4, V6, LB_NODE_DECAPSULATED, .setup = ONLY_VIPS},
	{"to what is no VIP", V4, V4, LB_NODE_PASS_NOT_VIP, .setup = ONLY_VIPS, .vip = "192.0.2.11"},
	{"to what is no VIP, IPv6", V6, V6, LB_NODE_PASS_NOT_VIP, .setup = ONLY_VIPS, .vip = "2001:db8::11"},
	{"no VIP and CE: passed as it came", V4, V4, LB_NODE_PASS_NOT_VIP, .setup = ONLY_VIPS, .vip = "192.0.2.11",
	 .outer_tos = 3, .inner_tos = 2},

	{"inner version 6 said to be 4", V4, V4, LB_NODE_DROP_MALFORMED, .data = 30, .patch = {{INNER(0), 0x65}}},
	{"inner version 4 said to be 6", V4, V6, LB_NODE_DROP_MALFORMED, .patch = {{INNER(0), 0x45}}},
	{"inner version 0", V6, V6, LB_NODE_DROP_MALFORMED, .patch = {{INNER(0), 0x00}}},
	{"inner header length 4", V4, V4, LB_NODE_DROP_MALFORMED, .patch = {{INNER(0), 0x44}}},
	{"inner header longer than the packet", V4, V4, LB_NODE_DROP_MALFORMED, .patch = {{INNER(0), 0x4f}}},
	{"inner length beyond the outer one", V4, V4, LB_NODE_DROP_MALFORMED, .pad = 40, .patch = {{INNER(3), 29}}},
	{"inner length beyond the outer one, IPv6", V6, V6, LB_NODE_DROP_MALFORMED, .pad = 40,
	 .patch = {{INNER(5), 9}}},
	{"inner length beyond what the options leave", V6, V4, LB_NODE_DROP_MALFORMED, .limit = true, .pad = 40,
	 .patch = {{INNER(3), 29}}},
	{"inner length below its header", V6, V4, LB_NODE_DROP_MALFORMED, .patch = {{INNER(3), 19}}},
	{"nothing inside", V4, V4, LB_NODE_DROP_MALFORMED, .patch = {{3, 20}}},
	{"nothing inside, IPv6", V6, V6, LB_NODE_DROP_MALFORMED, .patch = {{5, 0}}},
	{"half an inner header", V4, V6, LB_NODE_DROP_MALFORMED, .patch = {{3, 59}}},
	{"CE outside, Not-ECT inside", V4, V4, LB_NODE_DROP_ECN, .outer_tos = 3},
	{"CE outside, Not-ECT inside, IPv6", V6, V6, LB_NODE_DROP_ECN, .outer_tos = 0xbb, .inner_tos = 0xb8},

	{"GUE, v4 in v4", V4, V4, LB_NODE_DECAPSULATED, .gue = true, .data = 30},
	{"GUE, v6 in v4", V4, V6, LB_NODE_DECAPSULATED, .gue = true, .data = 30},
	{"GUE, v4 in v6", V6, V4, LB_NODE_DECAPSULATED, .gue = true, .data = 30},
	{"GUE, v6 in v6", V6, V6, LB_NODE_DECAPSULATED, .gue = true, .data = 30},
	{"GUE, a full frame", V6, V6, LB_NODE_DECAPSULATED, .gue = true, .data = 1400},
	{"GUE, padding behind the packet", V4, V4, LB_NODE_DECAPSULATED, .gue = true, .pad = 6},
	{"GUE, a word of private data", V4, V4, LB_NODE_DECAPSULATED, .gue = true, .words = 1, .data = 30},
	{"GUE, two words of private data, v4 in v6", V6, V4, LB_NODE_DECAPSULATED, .gue = true, .words = 2},
	{"GUE, as many words as there can be", V4, V4, LB_NODE_DECAPSULATED, .gue = true, .words = 31, .data = 3},
	{"GUE, as many words as there can be, v6 in v6", V6, V6, LB_NODE_DECAPSULATED, .gue = true, .words = 31},
	{"GUE, a UDP checksum is not looked at", V4, V4, LB_NODE_DECAPSULATED, .gue = true, .patch = {{26, 1}}},
	{"GUE, an IP packet longer than its datagram", V4, V4, LB_NODE_DECAPSULATED, .gue = true, .data = 30,
	 .patch = {{25, 12 + 20 + 8 + 20}, {INNER(3), 28 + 20}}},
	{"GUE, CE outside, ECT(0) inside", V6, V4, LB_NODE_DECAPSULATED, .gue = true, .outer_tos = 3, .inner_tos = 2,
	 .out_tos = 3},
	{"GUE, to the host's other port", V4, V4, LB_NODE_DECAPSULATED, .gue = true, .patch = {{23, 6080 & 0xff}}},
	{"GUE, to another port", V4, V4, LB_NODE_PASS_NOT_TUNNEL, .gue = true, .patch = {{23, 6082 & 0xff}}},
	{"GUE, to another port, IPv6", V6, V6, LB_NODE_PASS_NOT_TUNNEL, .gue = true, .patch = {{43, 6082 & 0xff}}},
	{"GUE, to port 0", V4, V4, LB_NODE_PASS_NOT_TUNNEL, .gue = true, .patch = {{22, 0}, {23, 0}}},
	{"GUE behind destination options", V6, V6, LB_NODE_PASS_NOT_TUNNEL, .gue = true, .limit = true,
	 .patch = {{40, 17}}},
	{"GUE, something else inside", V4, V4, LB_NODE_PASS_NOT_TUNNEL, .gue = true, .patch = {{29, 47}}},
	{"GUE, options outside", V4, V4, LB_NODE_PASS_NOT_TUNNEL, .gue = true, .data = 30, .patch = {{0, 0x46}}},
	{"GUE, later fragment", V4, V4, LB_NODE_PASS_NOT_TUNNEL, .gue = true, .patch = {{7, 0x20}}},
	{"GUE, first fragment", V4, V4, LB_NODE_PASS_FRAGMENT, .gue = true, .patch = {{6, 0x20}}},
	{"GUE, another variant", V4, V4, LB_NODE_PASS_OPTIONS, .gue = true, .data = 60, .patch = {{28, 0x45}}},
	{"GUE, a control message", V6, V6, LB_NODE_PASS_OPTIONS, .gue = true, .patch = {{48, 0x20}}},
	{"GUE, a flag", V4, V4, LB_NODE_PASS_OPTIONS, .gue = true, .words = 1, .patch = {{31, 1}}},
	{"GUE, the first flag", V6, V4, LB_NODE_PASS_OPTIONS, .gue = true, .words = 1, .patch = {{50, 0x80}}},
	{"GUE, a UDP length beyond the packet", V4, V4, LB_NODE_PASS_MALFORMED, .gue = true, .pad = 20,
	 .patch = {{25, 12 + 28 + 1}}},
	{"GUE, a UDP length below its headers", V6, V6, LB_NODE_PASS_MALFORMED, .gue = true, .patch = {{45, 11}}},
	{"GUE, more words than the datagram has", V4, V4, LB_NODE_PASS_MALFORMED, .gue = true, .patch = {{28, 8}}},
	{"GUE, outer checksum wrong", V4, V4, LB_NODE_PASS_MALFORMED, .gue = true, .keep_sum = true,
	 .patch = {{8, 63}}},
	{"GUE, outer length beyond the frame", V6, V6, LB_NODE_PASS_MALFORMED, .gue = true, .patch = {{5, 61}}},
	{"GUE, to an address that is not ours", V4, V4, LB_NODE_PASS_NOT_LOCAL, .gue = true, .dst = "10.1.0.3"},
	{"GUE, from another source", V4, V4, LB_NODE_PASS_SOURCE, .gue = true, .setup = ONLY_FROM, .src = "10.1.1.1"},
	{"GUE, to what is no VIP", V6, V6, LB_NODE_PASS_NOT_VIP, .gue = true, .setup = ONLY_VIPS,
	 .vip = "2001:db8::11"},
	{"GUE, inner version 6 said to be 4", V4, V4, LB_NODE_DROP_MALFORMED, .gue = true, .data = 30,
	 .patch = {{INNER(0), 0x65}}},
	{"GUE, inner length beyond the datagram", V4, V4, LB_NODE_DROP_MALFORMED, .gue = true, .pad = 8,
	 .patch = {{INNER(3), 29}}},
	{"GUE, nothing inside", V4, V4, LB_NODE_DROP_MALFORMED, .gue = true, .patch = {{25, 12}}},
	{"GUE, words where the inner packet was", V4, V4, LB_NODE_DROP_MALFORMED, .gue = true, .data = 30,
	 .patch = {{28, 7}}},
	{"GUE, CE outside, Not-ECT inside", V6, V4, LB_NODE_DROP_ECN, .gue = true, .outer_tos = 3},
};

/* RFC 6040, figure 4, as printed there: rows by inner field, columns by outer field Not-ECT, ECT(0), ECT(1), CE. */
#define DROPPED 0xff
static const uint8_t decap_ecn_order[4] = {0, 2, 1, 3};
static const uint8_t decap_ecn_table[4][4] = {
	{0, 0, 0, DROPPED}, /* Not-ECT */
	{2, 2, 1, 3},	    /* ECT(0) */
	{1, 1, 1, 3},	    /* ECT(1) */
	{3, 3, 3, 3},	    /* CE */
};

static uint16_t sum16(const uint8_t *bytes, size_t len, uint32_t sum)
{
	for (size_t i = 0; i < len; i++)
		sum += i & 1 ? bytes[i] : (uint32_t)bytes[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void put16(uint8_t *at, uint16_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static void set_sum4(uint8_t *ip)
{
	put16(ip + 10, 0);
	put16(ip + 10, sum16(ip, 20, 0));
}

/* UDP and GUE in front of @payload bytes of @proto. The checksum is 0, also over IPv6. */
static size_t gue_bytes(const struct decap_case *c)
{
	return c->gue ? 12 + c->words * 4U : 0;
}

static void put_gue(struct frame *f, const struct decap_case *c, uint8_t proto, size_t payload)
{
	uint8_t *udp = f->bytes + f->len;

	put16(udp, 50000);
	put16(udp + 2, GUE_PORT);
	put16(udp + 4, (uint16_t)(gue_bytes(c) + payload));
	put16(udp + 6, 0);
	memcpy(udp + 8, (uint8_t[]){c->words, proto, 0, 0}, 4);
	memset(udp + 12, 0xa5, c->words * 4U);
	f->len += gue_bytes(c);
}

/* Append an IP header for @payload bytes. Returns where it is. */
static size_t put_ip(struct frame *f, enum family family, uint8_t proto, uint8_t tos, const char *src, const char *dst,
		     size_t payload)
{
	size_t at = f->len;
	uint8_t *ip = f->bytes + at;

	if (family == V4) {
		memset(ip, 0, 20);
		ip[0] = 0x45;
		ip[1] = tos;
		put16(ip + 2, (uint16_t)(20 + payload));
		put16(ip + 4, 0x1234);
		ip[8] = 64;
		ip[9] = proto;
		inet_pton(AF_INET, src, ip + 12);
		inet_pton(AF_INET, dst, ip + 16);
		set_sum4(ip);
		f->len += 20;
	} else {
		memset(ip, 0, 40);
		ip[0] = (uint8_t)(0x60 | tos >> 4);
		ip[1] = (uint8_t)(tos << 4 | 0x5);
		ip[2] = 0x43;
		put16(ip + 4, (uint16_t)payload);
		ip[6] = proto;
		ip[7] = 64;
		inet_pton(AF_INET6, src, ip + 8);
		inet_pton(AF_INET6, dst, ip + 24);
		f->len += 40;
	}
	return at;
}

static void put_eth(struct frame *f, enum family family, uint16_t vlan)
{
	static const uint8_t macs[12] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1};

	memcpy(f->bytes, macs, 12);
	f->len = 12;
	if (vlan) {
		put16(f->bytes + 12, 0x8100);
		put16(f->bytes + 14, vlan);
		f->len = 16;
	}
	put16(f->bytes + f->len, family == V4 ? ETH_P_IP : ETH_P_IPV6);
	f->len += 2;
}

/* The client's packet, a UDP datagram of @c->data bytes. Returns where its IP header is. */
static size_t put_inner(struct frame *f, const struct decap_case *c, uint8_t tos)
{
	const char *vip = c->vip ? c->vip : c->inner == V4 ? VIP4 : VIP6;
	size_t at = put_ip(f, c->inner, IPPROTO_UDP, tos, c->inner == V4 ? CLIENT4 : CLIENT6, vip, 8 + c->data);

	put16(f->bytes + f->len, 4711);
	put16(f->bytes + f->len + 2, 53);
	put16(f->bytes + f->len + 4, (uint16_t)(8 + c->data));
	put16(f->bytes + f->len + 6, 0);
	f->len += 8;
	for (size_t i = 0; i < c->data; i++)
		f->bytes[f->len++] = (uint8_t)(i * 7);
	return at;
}

static void put_pad(struct frame *f, size_t pad)
{
	memset(f->bytes + f->len, 0xee, pad);
	f->len += pad;
}

static void patch_frame(struct frame *f, const struct patch *patch, size_t outer_at, size_t inner_at)
{
	for (int i = 0; i < 4 && (patch[i].at || patch[i].value); i++) {
		bool inside = patch[i].at < -100;
		size_t base = inside ? inner_at : outer_at;
		int at = inside ? patch[i].at - INNER(0) : patch[i].at;

		f->bytes[(size_t)((int)base + at)] = patch[i].value;
	}
}

/* The frame that arrives. */
static void build_in(const struct decap_case *c, struct frame *f)
{
	size_t inner_bytes = (c->inner == V4 ? 20 : 40) + 8 + c->data, outer_at, inner_at;
	uint8_t proto = c->inner == V4 ? IPPROTO_IPIP : IPPROTO_IPV6;
	const char *src = c->src ? c->src : c->outer == V4 ? OUTER_SRC4 : OUTER_SRC6;
	const char *dst = c->dst ? c->dst : c->outer == V4 ? OUTER_DST4 : OUTER_DST6;

	put_eth(f, c->outer, c->vlan);
	outer_at = put_ip(f, c->outer,
			  c->limit ? 60
			  : c->gue ? IPPROTO_UDP
				   : proto,
			  c->outer_tos, src, dst, gue_bytes(c) + inner_bytes + (c->limit ? 8 : 0));
	if (c->limit) {
		memcpy(f->bytes + f->len, (uint8_t[]){proto, 0, 4, 1, 4, 1, 1, 0}, 8);
		f->len += 8;
	}
	if (c->gue)
		put_gue(f, c, proto, inner_bytes);
	inner_at = put_inner(f, c, c->inner_tos);
	put_pad(f, c->pad);
	patch_frame(f, c->patch, outer_at, inner_at);
	if (c->outer == V4 && !c->keep_sum)
		set_sum4(f->bytes + outer_at);
}

/* The frame that the stack has to see: the client's packet alone where it was decapsulated, else what arrived. */
static inline void build_out(const struct decap_case *c, struct frame *f)
{
	uint8_t tos = c->out_tos ? c->out_tos : c->inner_tos;
	size_t inner_at;

	if (c->result != LB_NODE_DECAPSULATED) {
		build_in(c, f);
		return;
	}
	put_eth(f, c->inner, 0);
	inner_at = put_inner(f, c, tos);
	put_pad(f, c->pad);
	for (int i = 0; i < 4; i++) {
		if (c->patch[i].at < -100)
			f->bytes[inner_at + (size_t)(c->patch[i].at - INNER(0))] = c->patch[i].value;
	}
}

/* The case of @inner and @outer ECN (rows and columns of the table) for two families. */
static inline struct decap_case ecn_case(int row, int column, enum family outer, enum family inner)
{
	uint8_t out = decap_ecn_table[row][column];
	struct decap_case c = {.what = "ECN",
			       .outer = outer,
			       .inner = inner,
			       .result = out == DROPPED ? LB_NODE_DROP_ECN : LB_NODE_DECAPSULATED,
			       .outer_tos = decap_ecn_order[column],
			       .inner_tos = (uint8_t)(0x28 | decap_ecn_order[row]),
			       .data = 5};

	c.out_tos = (uint8_t)(0x28 | (out & 3));
	return c;
}

/* One that is whole, for each pair of families without and with GUE. */
static struct decap_case plain_case(int n)
{
	struct decap_case c = decap_cases[n & 3];

	c.gue = n >> 2 & 1;
	return c;
}

/* What a frame cut to @len bytes has to give: nothing that is not whole is taken apart. */
static inline enum lb_node_result cut_result(const struct decap_case *c, size_t len)
{
	size_t told = (c->outer == V4 ? 20U : 40U) + (c->gue ? 8U : 0U);

	return len < ETH_HLEN + told ? LB_NODE_PASS_NOT_TUNNEL : LB_NODE_PASS_MALFORMED;
}

/* A frame near enough to a tunnelled one to get far: a case with some bytes overwritten at random. */
static inline void build_random(unsigned int *seed, struct frame *f, enum setup *setup)
{
	size_t nr = sizeof(decap_cases) / sizeof(decap_cases[0]);
	const struct decap_case *c = &decap_cases[(size_t)rand_r(seed) % nr];
	int changes = rand_r(seed) % 4;

	build_in(c, f);
	*setup = c->setup;
	while (changes-- > 0)
		f->bytes[12 + (size_t)rand_r(seed) % 90] = (uint8_t)rand_r(seed);
	if (rand_r(seed) % 2 && f->bytes[12] == 8 && f->bytes[13] == 0)
		set_sum4(f->bytes + ETH_HLEN);
	if (rand_r(seed) % 4 == 0)
		f->len = ETH_HLEN + (size_t)rand_r(seed) % (f->len - ETH_HLEN + 1);
}

static bool in_prefix(const uint8_t addr[16], const char *prefix4, const char *prefix6)
{
	struct lb_node_addr want = {};
	size_t bytes = 8; /* /64 */
	char text[64];

	snprintf(text, sizeof(text), "%s", prefix6);
	if (addr[10] == 0xff && addr[11] == 0xff) {
		snprintf(text, sizeof(text), "::ffff:%s", prefix4);
		bytes = 15; /* a mapped /24 */
	}
	*strchr(text, '/') = '\0';
	inet_pton(AF_INET6, text, want.addr);
	return memcmp(addr, want.addr, bytes) == 0;
}

static bool is_one_of(const uint8_t addr[16], const char *a4, const char *a6)
{
	uint8_t want4[16] = {[10] = 0xff, [11] = 0xff}, want6[16];

	inet_pton(AF_INET, a4, want4 + 12);
	inet_pton(AF_INET6, a6, want6);
	return memcmp(addr, want4, 16) == 0 || memcmp(addr, want6, 16) == 0;
}

/* The order of bpf/node.bpf.c's decapsulate(), with the maps' answers from @setup. */
static enum lb_node_result decapsulate(void *data, void *data_end, enum setup setup, size_t *cut)
{
	const struct lb_node_conf conf = {.gue_port = GUE_PORTS};
	struct lb_decap d = {};
	enum lb_node_result result = lb_decap_outer(data, data_end, &conf, &d);

	*cut = 0;
	if (result != LB_NODE_DECAPSULATED)
		return result;
	if (!is_one_of(d.dst.addr, OUTER_DST4, OUTER_DST6))
		return LB_NODE_PASS_NOT_LOCAL;
	if (setup == ONLY_FROM && !in_prefix(d.src.addr, FROM4, FROM6))
		return LB_NODE_PASS_SOURCE;
	result = lb_decap_inner(data, data_end, &d);
	if (result != LB_NODE_DECAPSULATED)
		return result;
	if (setup == ONLY_VIPS && !is_one_of(d.inner_dst.addr, VIP4, VIP6))
		return LB_NODE_PASS_NOT_VIP;
	result = lb_decap_apply(data, data_end, &d);
	if (result == LB_NODE_DECAPSULATED)
		*cut = d.outer_bytes;
	return result;
}

/* Run on a copy of exactly the frame's size, aligned as a driver would (IP header on 4 bytes). */
static inline enum lb_node_result run_natively(const struct frame *in, enum setup setup, struct frame *out)
{
	uint8_t *block = malloc(2 + in->len), *data = block + 2;
	enum lb_node_result result;
	size_t cut;

	if (!block)
		abort();
	memcpy(data, in->bytes, in->len);
	result = decapsulate(data, data + in->len, setup, &cut);
	out->len = in->len - cut;
	memcpy(out->bytes, data + cut, out->len);
	free(block);
	return result;
}

#endif
