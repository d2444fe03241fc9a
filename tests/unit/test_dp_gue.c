// SPDX-License-Identifier: GPL-2.0-or-later
/* include/lb/dp/gue.h: the outer UDP checksum against one over every byte, and the source ports. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lb/dp/gue.h"
#include "ip_bytes.h"
#include "random.h"

struct inner {
	bool v6;
	uint8_t proto;
	size_t l4, len; /* where the transport header is, and all of it */
	uint8_t data[1600];
};

static void put_inner_sum(struct inner *in)
{
	uint8_t *sum = in->data + in->l4 + (in->proto == IPPROTO_TCP ? 16 : 6);
	unsigned int v;

	set16(sum, 0);
	v = check_l4(in->data, in->proto, in->data + in->l4, in->len - in->l4);
	set16(sum, v ? v : 0xffff);
}

/* A packet with right checksums, else of random bytes. */
static void make_inner(struct inner *in)
{
	size_t words = random64() % 11;

	in->v6 = random64() & 1;
	in->proto = random64() & 1 ? IPPROTO_TCP : IPPROTO_UDP;
	in->l4 = in->v6 ? 40 : 20 + 4 * words;
	in->len = in->l4 + 20 + random64() % 1400;
	random_bytes(in->data, in->len);
	if (in->v6) {
		in->data[0] = (uint8_t)(0x60 | (in->data[0] & 0xf));
		set16(in->data + 4, (unsigned int)(in->len - 40));
		in->data[6] = in->proto;
	} else {
		in->data[0] = (uint8_t)(0x45 + words);
		set16(in->data + 2, (unsigned int)in->len);
		set16(in->data + 6, in->data[6] & 1 ? 0x4000 : 0);
		in->data[9] = in->proto;
		set16(in->data + 10, 0);
		set16(in->data + 10, naive_checksum(in->data, in->l4));
	}
	if (in->proto == IPPROTO_UDP)
		set16(in->data + in->l4 + 4, (unsigned int)(in->len - in->l4));
	put_inner_sum(in);
}

/* Encapsulates as the program does; the packet in @out, IPv6 header first. */
static void encapsulate(const struct inner *from, int words, uint8_t out[2048])
{
	struct lb_inner in = {.proto = from->v6 ? IPPROTO_IPV6 : IPPROTO_IPIP, .len = (__u32)from->len};
	struct lb_backend b = {.src_plen = (__u8)(random64() % 129)};
	uint8_t *inner = out + 40 + LB_GUE_BYTES(words);

	in.hash = random64();
	in.tos = (__u8)random64();
	random_bytes(b.src, 16);
	random_bytes(b.addr, 16);
	random_bytes(out, 40 + (size_t)LB_GUE_BYTES(words));
	memcpy(inner, from->data, from->len);
	lb_gue_write(out + 40, &in, (__be16)random64(), words);
	lb_outer_write6(out, &in, &b, b.src_plen);
	lb_gue_checksum6(out, inner + from->len, words);
	assert_int_equal(out[44] << 8 | out[45], from->len + LB_GUE_BYTES(words));
	assert_int_equal(out[4] << 8 | out[5], from->len + LB_GUE_BYTES(words));
	assert_int_equal(out[6], IPPROTO_UDP);
	assert_int_equal(out[48], words);
	assert_int_equal(out[49], from->v6 ? 41 : 4);
	assert_int_equal(out[50] << 8 | out[51], 0);
}

static unsigned int outer_sum(const uint8_t *out)
{
	return check_l4(out, IPPROTO_UDP, out + 40, (size_t)(out[44] << 8 | out[45]));
}

static bool has_sum(const uint8_t *out)
{
	return out[46] || out[47];
}

static void test_gue_checksum(void **state)
{
	static struct inner in;
	uint8_t out[2048];

	for (int i = 0; i < 50000; i++) {
		make_inner(&in);
		encapsulate(&in, i % 4, out);
		assert_true(has_sum(out));
		assert_int_equal(outer_sum(out), 0);
		/* One bit wrong inside is wrong outside. */
		in.data[in.l4 + random64() % 4] ^= (uint8_t)(1 << random64() % 8);
		encapsulate(&in, i % 4, out);
		assert_true(has_sum(out));
		assert_int_not_equal(outer_sum(out), 0);
	}
}

/* Nothing is said where it would be wrong. */
static void test_gue_no_checksum(void **state)
{
	static struct inner in;
	uint8_t out[2048];

	for (int i = 0; i < 20000; i++) {
		int what = i % 5;

		do
			make_inner(&in);
		while ((what < 2 && in.proto != IPPROTO_UDP) || (what == 2 && !in.v6) || (what > 2 && in.v6));
		if (what == 0)
			set16(in.data + in.l4 + 6, 0);
		else if (what == 1) /* bytes behind the datagram */
			set16(in.data + in.l4 + 4, (unsigned int)(in.len - in.l4 - 1));
		else if (what == 2) /* an extension header */
			in.data[6] = IPPROTO_DSTOPTS;
		else if (what == 3) /* a first fragment, a later one */
			set16(in.data + 6, 0x2000);
		else
			set16(in.data + 6, 1 + random64() % 0x1fff);
		encapsulate(&in, 0, out);
		assert_false(has_sum(out));
	}
}

/* The source port is of the dynamic range, the same for a flow, and as good as random among them. */
static void test_gue_ports(void **state)
{
	static const uint8_t want[12] = {7, 8, 9, 10, 11, 12, 1, 2, 3, 4, 5, 6};
	struct lb_backend b = {
		.dmac = {7, 8, 9, 10, 11, 12}, .smac = {1, 2, 3, 4, 5, 6}, .gue_port = htons(6080), .mtu = 9000};
	static unsigned int seen[1 << 14];
	unsigned int least = ~0U, most = 0;
	uint8_t frame[12];
	struct lb_hop h;

	for (int i = 0; i < 64 << 14; i++) {
		uint64_t hash = random64();
		unsigned int port = ntohs(lb_gue_source_port(hash));

		assert_int_equal(port, ntohs(lb_gue_source_port(hash)));
		assert_in_range(port, 49152, 65535);
		seen[port - 49152]++;
	}
	for (int i = 0; i < 1 << 14; i++) {
		least = seen[i] < least ? seen[i] : least;
		most = seen[i] > most ? seen[i] : most;
	}
	assert_in_range(least, 16, 64); /* six standard deviations of 8 either way */
	assert_in_range(most, 64, 112);
	lb_hop_read(&b, &h);
	assert_int_equal(lb_gue_port(&h), htons(6080));
	lb_eth_write(frame, &h); /* has no port in it */
	assert_memory_equal(frame, want, sizeof(want));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_gue_checksum, seed),
		cmocka_unit_test_setup(test_gue_no_checksum, seed),
		cmocka_unit_test_setup(test_gue_ports, seed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
