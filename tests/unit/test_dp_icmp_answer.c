// SPDX-License-Identifier: GPL-2.0-or-later
/* include/lb/dp/icmp.h: what is answered: echoes, and packets that are too big, with checksums held against full
 * computations. Errors that are followed are in test_dp_icmp.c. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lb/dp/icmp.h"
#include "ip_bytes.h"
#include "random.h"

#define NR(a) (sizeof(a) / sizeof((a)[0]))

/* ---- echo ---- */

static void build_echo(struct pkt *p, bool v6, size_t data)
{
	size_t icmp;

	p->len = 0;
	if (v6)
		put_ip6(p, CLIENT6, VIP6, 58, 8 + data);
	else
		put_ip4(p, CLIENT4, VIP4, 1, 0, 8 + data);
	icmp = p->len;
	put8(p, v6 ? 128 : 8);
	put8(p, 0);
	put16(p, 0);
	put16(p, 0x77);
	put16(p, 0x01);
	for (size_t i = 0; i < data; i++)
		put8(p, (unsigned int)random64());
	set16(p->b + icmp + 2,
	      v6 ? check_l4(p->b, 58, p->b + icmp, 8 + data) : ~sum16(p->b + icmp, 8 + data, 0) & 0xffff);
}

static bool echo(struct copy *c, bool v6)
{
	return v6 ? lb_icmp_echo6(c->b, c->end) : lb_icmp_echo4(c->b, c->end);
}

static void test_echo(void **state)
{
	for (int i = 0; i < 4000; i++) {
		bool v6 = i & 1;
		size_t data = random64() % 1400, icmp = v6 ? 40 : 20, pad = random64() % 20;
		struct pkt p, want;
		struct copy c;

		build_echo(&p, v6, data);
		want = p;
		if (v6) {
			memcpy(want.b + 8, p.b + 24, 16);
			memcpy(want.b + 24, p.b + 8, 16);
			want.b[7] = 64;
			want.b[icmp] = 129;
			set16(want.b + icmp + 2, 0);
			set16(want.b + icmp + 2, check_l4(want.b, 58, want.b + icmp, 8 + data));
		} else {
			memcpy(want.b + 12, p.b + 16, 4);
			memcpy(want.b + 16, p.b + 12, 4);
			want.b[8] = 64;
			want.b[icmp] = 0;
			set16(want.b + icmp + 2, 0);
			set16(want.b + icmp + 2, ~sum16(want.b + icmp, 8 + data, 0) & 0xffff);
			set16(want.b + 10, 0);
			set16(want.b + 10, ~sum16(want.b, 20, 0) & 0xffff);
		}
		memset(p.b + p.len, 0x5a, pad);
		c = copy_of(&p, p.len + pad);
		assert_true(echo(&c, v6));
		assert_memory_equal(c.b, want.b, want.len);
		assert_false(echo(&c, v6)); /* a reply is not answered */
		free(c.mem);
	}
}

static void test_no_echo(void **state)
{
	static const struct {
		bool v6;
		int at;
		uint8_t byte;
	} rows[] = {
		{false, 0, 0x46}, {false, 0, 0x65}, {false, 6, 0x20}, {false, 7, 1},	{false, 9, 6},
		{false, 20, 3},	  {false, 20, 13},  {false, 21, 1},   {false, 12, 224}, {false, 12, 255},
		{false, 12, 0},	  {false, 12, 127}, {false, 16, 224}, {false, 16, 255}, {false, 3, 27},
		{false, 2, 1},	  {true, 0, 0x45},  {true, 6, 44},    {true, 40, 1},	{true, 40, 135},
		{true, 41, 1},	  {true, 8, 0xff},  {true, 24, 0xff}, {true, 5, 7},	{true, 4, 1},
	};

	for (size_t i = 0; i < NR(rows); i++) {
		struct pkt p;
		struct copy c;

		build_echo(&p, rows[i].v6, 32);
		p.b[rows[i].at] = rows[i].byte;
		c = copy_of(&p, p.len);
		if (echo(&c, rows[i].v6))
			fail_msg("row %zu was answered", i);
		assert_memory_equal(c.b, p.b, p.len);
		free(c.mem);
	}
	for (int v6 = 0; v6 < 2; v6++) {
		struct pkt p;

		build_echo(&p, v6, 10);
		for (size_t len = 0; len < p.len; len++) {
			struct copy c = copy_of(&p, len);

			assert_false(echo(&c, v6));
			assert_memory_equal(c.b, p.b, len);
			free(c.mem);
		}
	}
}

static void test_hosts(void **state)
{
	static const char *const others[] = {"::",	  "::1",       "ff02::1",	 "0.0.0.0",
					     "127.0.0.1", "224.0.0.1", "255.255.255.255"};
	static const char *const hosts[] = {"2001:db8::1",  "fe80::1", "::2",
					    "::8000:0:0:0", "1.0.0.1", "223.255.255.255"};

	for (int good = 0; good < 2; good++) {
		for (size_t i = 0; i < (good ? NR(hosts) : NR(others)); i++) {
			const char *text = good ? hosts[i] : others[i];
			__u64 words[2];

			words_of(text, words);
			assert_int_equal(strchr(text, ':') ? lb_icmp_is_host6(words)
							   : lb_icmp_is_host4(lb_addr_to4(words[1])),
					 good);
		}
	}
}

static void test_eth_turn(void **state)
{
	static const uint8_t in[14] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 8, 0};
	static const uint8_t out[14] = {7, 8, 9, 10, 11, 12, 1, 2, 3, 4, 5, 6, 8, 0};
	uint8_t buf[28];

	memcpy(buf, in, 14);
	lb_icmp_eth_turn(buf, buf);
	assert_memory_equal(buf, out, 14);
	memcpy(buf + 14, in, 14);
	lb_icmp_eth_turn(buf, buf + 14);
	assert_memory_equal(buf, out, 14);
	assert_memory_equal(buf + 14, in, 14);
}

/* ---- too big ---- */

static void test_mtu(void **state)
{
	assert_int_equal(lb_icmp_mtu(1500, 20, 1481, false), 1480);
	assert_int_equal(lb_icmp_mtu(1500, 20, 1480, false), 0); /* fits */
	assert_int_equal(lb_icmp_mtu(1500, 40, 1500, true), 1460);
	assert_int_equal(lb_icmp_mtu(1300, 40, 1281, true), 1280);
	assert_int_equal(lb_icmp_mtu(1300, 40, 1280, true), 0); /* need not be made smaller */
	assert_int_equal(lb_icmp_mtu(88, 20, 100, false), 68);
	assert_int_equal(lb_icmp_mtu(87, 20, 100, false), 0);
	assert_int_equal(lb_icmp_mtu(10, 20, 100, false), 0);
	assert_int_equal(lb_icmp_mtu(70000, 0, 80000, true), 0xffff);
}

/* As the caller does: cut, make room, write. */
static void check_too_big(bool v6, size_t payload, size_t opts, size_t quote)
{
	size_t room = v6 ? LB_ICMP6_ROOM : LB_ICMP4_ROOM, icmp = room - 8;
	struct pkt p = {.len = 0}, frame = {.len = 0};
	struct copy c;

	if (v6)
		put_ip6(&p, CLIENT6, VIP6, 17, payload);
	else
		put_ip4(&p, CLIENT4, VIP4, 17, opts, payload);
	for (size_t i = 0; i < payload; i++)
		put8(&p, (unsigned int)random64());
	c = copy_of(&p, p.len);
	assert_int_equal(v6 ? lb_icmp_quote6(c.b, c.end, (__u32)p.len) : lb_icmp_quote4(c.b, c.end, (__u32)p.len),
			 quote);
	free(c.mem);
	if (!quote)
		return;
	memset(frame.b, 0xa5, room);
	memcpy(frame.b + room, p.b, quote);
	frame.len = room + quote;
	for (size_t len = 0; len < room + (v6 ? LB_ICMP6_QUOTE : LB_ICMP4_QUOTE_MIN); len++) {
		c = copy_of(&frame, len);
		assert_false(v6 ? lb_icmp_too_big6(c.b, c.end, 1400) : lb_icmp_too_big4(c.b, c.end, 1400));
		assert_memory_equal(c.b, frame.b, len);
		free(c.mem);
	}
	c = copy_of(&frame, frame.len);
	assert_true(v6 ? lb_icmp_too_big6(c.b, c.end, 1400) : lb_icmp_too_big4(c.b, c.end, 1400));
	assert_memory_equal(c.b + room, p.b, quote);
	if (v6) {
		assert_int_equal(c.b[0], 0x6c);
		assert_int_equal(get16(c.b + 4), 8 + quote);
		assert_int_equal(c.b[6], 58);
		assert_int_equal(c.b[7], 64);
		assert_memory_equal(c.b + 8, p.b + 24, 16);
		assert_memory_equal(c.b + 24, p.b + 8, 16);
		assert_int_equal(get16(c.b + icmp), 0x0200);
		assert_int_equal(check_l4(c.b, 58, c.b + icmp, 8 + quote), 0);
		assert_int_equal(frame.len, 1280); /* RFC 4443 2.4 (c) */
	} else {
		assert_int_equal(get16(c.b), 0x45c0);
		assert_int_equal(get16(c.b + 2), room + quote);
		assert_int_equal(get16(c.b + 6), 0x4000);
		assert_int_equal(c.b[8], 64);
		assert_int_equal(c.b[9], 1);
		assert_int_equal(sum16(c.b, 20, 0), 0xffff);
		assert_memory_equal(c.b + 12, p.b + 16, 4);
		assert_memory_equal(c.b + 16, p.b + 12, 4);
		assert_int_equal(get16(c.b + icmp), 0x0304);
		assert_int_equal(sum16(c.b + icmp, 8 + quote, 0), 0xffff);
		assert_true(frame.len <= 576); /* RFC 1812 4.3.2.3 */
	}
	assert_int_equal(get16(c.b + icmp + 4), 0);
	assert_int_equal(get16(c.b + icmp + 6), 1400);
	free(c.mem);
}

static void test_too_big(void **state)
{
	for (int i = 0; i < 20; i++) {
		check_too_big(false, 1480, 0, 548);
		check_too_big(false, 1480, 40, 548);
		check_too_big(false, 528, 0, 548);
		check_too_big(false, 527, 0, 68);
		check_too_big(false, 48, 0, 68);
		check_too_big(false, 47, 0, 0);
		check_too_big(true, 1460, 0, 1232);
		check_too_big(true, 1192, 0, 1232);
		check_too_big(true, 1191, 0, 0);
	}
}

static void test_not_refused(void **state)
{
	static const struct {
		int at;
		uint8_t byte;
	} rows4[] = {{6, 0}, {7, 1}, {12, 224}, {12, 0}, {16, 239}}, rows6[] = {{8, 0xff}, {24, 0xff}};
	struct pkt p = {.len = 0};
	__u32 len;

	put_ip4(&p, CLIENT4, VIP4, 6, 0, 1480);
	p.len = 1500;
	for (size_t i = 0; i < NR(rows4); i++) {
		struct copy c = copy_of(&p, p.len);

		len = (__u32)p.len;
		assert_int_equal(lb_icmp_quote4(c.b, c.end, len), LB_ICMP4_QUOTE);
		c.b[rows4[i].at] = rows4[i].byte;
		assert_int_equal(lb_icmp_quote4(c.b, c.end, len), 0);
		free(c.mem);
	}
	p.len = 0;
	put_ip6(&p, CLIENT6, VIP6, 6, 1460);
	p.len = 1500;
	for (size_t i = 0; i < NR(rows6); i++) {
		struct copy c = copy_of(&p, p.len);

		assert_int_equal(lb_icmp_quote6(c.b, c.end, 1500), LB_ICMP6_QUOTE);
		c.b[rows6[i].at] = rows6[i].byte;
		assert_int_equal(lb_icmp_quote6(c.b, c.end, 1500), 0);
		free(c.mem);
	}
	for (size_t n = 0; n < 40; n++) {
		struct copy c = copy_of(&p, n);

		assert_int_equal(lb_icmp_quote6(c.b, c.end, 1500), 0);
		if (n < 20)
			assert_int_equal(lb_icmp_quote4(c.b, c.end, 1500), 0);
		free(c.mem);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_echo, seed),
		cmocka_unit_test(test_no_echo),
		cmocka_unit_test(test_hosts),
		cmocka_unit_test(test_eth_turn),
		cmocka_unit_test(test_mtu),
		cmocka_unit_test_setup(test_too_big, seed),
		cmocka_unit_test_setup(test_not_refused, seed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
