/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Texts and addresses: what is accepted, its canonical form, and each refusal word for word. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "addr.h"

struct row {
	const char *text;
	const char *want; /* canonical text, or the message */
};

/* One parser and its formatter, so that all of them go through the same tables. */
typedef int (*convert_fn)(const char *text, char buf[LB_ADDR_STRLEN], struct lb_err *err);

static int convert_addr(const char *text, char buf[LB_ADDR_STRLEN], struct lb_err *err)
{
	uint8_t addr[16];
	int ret = lb_addr_parse(text, addr, err);

	if (!ret)
		lb_addr_format(addr, buf);
	return ret;
}

static int convert_endpoint(const char *text, char buf[LB_ADDR_STRLEN], struct lb_err *err)
{
	struct lb_endpoint ep;
	int ret = lb_endpoint_parse(text, &ep, err);

	if (!ret)
		lb_endpoint_format(&ep, buf);
	return ret;
}

static int convert_vip(const char *text, char buf[LB_ADDR_STRLEN], struct lb_err *err)
{
	struct lb_vip_conf vip;
	int ret = lb_vip_parse(text, &vip, err);

	if (!ret)
		lb_vip_format(&vip, buf);
	return ret;
}

static int convert_prefix(const char *text, char buf[LB_ADDR_STRLEN], struct lb_err *err)
{
	struct lb_prefix p;
	int ret = lb_prefix_parse(text, &p, err);

	if (!ret)
		lb_prefix_format(&p, buf);
	return ret;
}

static int convert_duration(const char *text, char buf[LB_ADDR_STRLEN], struct lb_err *err)
{
	uint64_t ns;
	int ret = lb_duration_parse(text, &ns, err);

	if (!ret)
		lb_duration_format(ns, buf);
	return ret;
}

/* The text is copied to an exact allocation, so that ASan sees a read past its end. */
static int convert(convert_fn fn, const char *text, char buf[LB_ADDR_STRLEN], struct lb_err *err)
{
	char *copy = strdup(text);
	int ret;

	assert_non_null(copy);
	ret = fn(copy, buf, err);
	free(copy);
	return ret;
}

static void check_good(convert_fn fn, const struct row *rows)
{
	for (; rows->text; rows++) {
		char buf[LB_ADDR_STRLEN], again[LB_ADDR_STRLEN];
		struct lb_err err = {0};

		if (convert(fn, rows->text, buf, &err))
			fail_msg("%s: %s", rows->text, err.message);
		assert_string_equal(buf, rows->want);
		assert_int_equal(convert(fn, buf, again, &err), 0);
		assert_string_equal(buf, again);
	}
}

static void check_bad(convert_fn fn, const struct row *rows)
{
	for (; rows->text; rows++) {
		char buf[LB_ADDR_STRLEN] = "untouched";
		struct lb_err err = {0};

		if (convert(fn, rows->text, buf, &err) != -EINVAL)
			fail_msg("%s was accepted as %s", rows->text, buf);
		assert_int_equal(err.code, -EINVAL);
		assert_string_equal(err.path, "");
		assert_string_equal(err.message, rows->want);
		assert_int_equal(convert(fn, rows->text, buf, NULL), -EINVAL);
	}
}

static void test_addr(void **state)
{
	static const struct row good[] = {
		{"10.0.0.1", "10.0.0.1"},
		{"255.255.255.255", "255.255.255.255"},
		{"0.0.0.0", "0.0.0.0"},
		{"2001:DB8:0:0:0:0:0:1", "2001:db8::1"},
		{"::", "::"},
		{"::1", "::1"},
		{"::ffff:10.0.0.1", "10.0.0.1"},
		{"::ffff:a00:1", "10.0.0.1"},
		{"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
		{"2001:db8::1:0:0:1", "2001:db8::1:0:0:1"},
		{0},
	};
	static const struct row bad[] = {
		{"", "\"\" is not an IPv4 or IPv6 address"},
		{"10.0.0", "10.0.0 is not an IPv4 or IPv6 address"},
		{"10.0.0.256", "10.0.0.256 is not an IPv4 or IPv6 address"},
		{"10.0.0.01", "10.0.0.01 is not an IPv4 or IPv6 address"},
		{" 10.0.0.1", " 10.0.0.1 is not an IPv4 or IPv6 address"},
		{"10.0.0.1\n", "10.0.0.1? is not an IPv4 or IPv6 address"},
		{"0x0a.0.0.1", "0x0a.0.0.1 is not an IPv4 or IPv6 address"},
		{"2001:db8::1::2", "2001:db8::1::2 is not an IPv4 or IPv6 address"},
		{"10.0.0.0/8", "10.0.0.0/8 is a prefix; write one address"},
		{"fe80::1%eth0", "fe80::1%eth0 names an interface; leave out the % and what follows"},
		{"localhost", "localhost is not an IPv4 or IPv6 address"},
		{0},
	};

	check_good(convert_addr, good);
	check_bad(convert_addr, bad);
}

static void test_endpoint(void **state)
{
	static const struct row good[] = {
		{"10.0.0.1", "10.0.0.1"},
		{"10.0.0.1:80", "10.0.0.1:80"},
		{"10.0.0.1:65535", "10.0.0.1:65535"},
		{"2001:db8::1", "2001:db8::1"},
		{"[2001:db8::1]", "2001:db8::1"},
		{"[2001:DB8::1]:1", "[2001:db8::1]:1"},
		{"[::ffff:10.0.0.1]:80", "10.0.0.1:80"},
		{"127.0.0.1:9707", "127.0.0.1:9707"},
		{0},
	};
	static const struct row bad[] = {
		{"", "\"\" is not an IPv4 or IPv6 address"},
		{"10.0.0.1:", "\"\" is not a port (1-65535)"},
		{"10.0.0.1:0", "0 is not a port (1-65535)"},
		{"10.0.0.1:70000", "70000 is not a port (1-65535)"},
		{"10.0.0.1:080", "080 is not a port (1-65535)"},
		{"10.0.0.1:-1", "-1 is not a port (1-65535)"},
		{"10.0.0.1:http", "http is not a port (1-65535)"},
		{"10.0.0.1:99999999999999999999", "99999999999999999999 is not a port (1-65535)"},
		{"2001:db8::1:80:90:1:2:3:4:5",
		 "2001:db8::1:80:90:1:2:3:4:5 is not an address; an IPv6 address with a port is written [ADDR]:PORT"},
		{"[2001:db8::1", "[2001:db8::1 is not of the form [ADDR]:PORT"},
		{"[2001:db8::1]80", "[2001:db8::1]80 is not of the form [ADDR]:PORT"},
		{"[2001:db8::1]:", "\"\" is not a port (1-65535)"},
		{"[10.0.0.1]:80", "[10.0.0.1]:80 has brackets, which are for IPv6 addresses"},
		{"[fe80::1%eth0]:80", "fe80::1%eth0 names an interface; leave out the % and what follows"},
		{":80", "\"\" is not an IPv4 or IPv6 address"},
		{"[", "[ is not of the form [ADDR]:PORT"},
		{"[]", "[] has brackets, which are for IPv6 addresses"},
		{0},
	};

	check_good(convert_endpoint, good);
	check_bad(convert_endpoint, bad);
}

static void test_vip(void **state)
{
	static const struct row good[] = {
		{"192.0.2.10:80", "192.0.2.10:80/tcp"},
		{"192.0.2.10:80/tcp", "192.0.2.10:80/tcp"},
		{"192.0.2.10:53/udp", "192.0.2.10:53/udp"},
		{"[2001:db8::10]:443/udp", "[2001:db8::10]:443/udp"},
		{"[2fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535/udp",
		 "[2fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535/udp"},
		{"192.0.2.10:*", "192.0.2.10:*/tcp"},
		{"[2001:db8::10]:*/udp", "[2001:db8::10]:*/udp"},
		{"192.0.2.10:3868/sctp", "192.0.2.10:3868/sctp"},
		{"192.0.2.0/28:80", "192.0.2.0/28:80/tcp"},
		{"192.0.2.10/32:80/tcp", "192.0.2.10:80/tcp"},
		{"192.0.2.0/24:*/udp", "192.0.2.0/24:*/udp"},
		{"[2001:db8::/64]:80", "[2001:db8::/64]:80/tcp"},
		{"[2001:db8::]/64:80/udp", "[2001:db8::/64]:80/udp"},
		{"[2001:db8::1/128]:80", "[2001:db8::1]:80/tcp"},
		{"[2001:db8:ffff:ffff:ffff:ffff:ffff:fffe/127]:65535/sctp",
		 "[2001:db8:ffff:ffff:ffff:ffff:ffff:fffe/127]:65535/sctp"},
		{0},
	};
	static const struct row bad[] = {
		{"", "\"\" is not an IPv4 or IPv6 address"},
		{"192.0.2.10", "192.0.2.10 has no port; write it as in 192.0.2.10:80/tcp"},
		{"192.0.2.10/udp", "192.0.2.10/udp has no port; write it as in 192.0.2.10:80/udp"},
		{"2001:db8::10", "2001:db8::10 has no port; write it as in [2001:db8::10]:80/tcp"},
		{"192.0.2.10:80/dccp", "dccp is not a protocol (tcp, udp, sctp)"},
		{"192.0.2.10:80/", "\"\" is not a protocol (tcp, udp, sctp)"},
		{"192.0.2.10:80/TCP", "TCP is not a protocol (tcp, udp, sctp); did you mean tcp?"},
		{"192.0.2.10:80,192.0.2.11:80/tcp", "192.0.2.10:80,192.0.2.11:80/tcp is more than one VIP; write a "
						    "list, or --vip VIP for each further one"},
		{"192.0.2.10:80/6", "80/6 is not a port (1-65535)"},
		{"192.0.2.10:70000/tcp", "70000 is not a port (1-65535)"},
		{"192.0.2.10:0/tcp", "0 is not a port (1-65535)"},
		{"192.0.2.10:**/tcp", "** is not a port (1-65535)"},
		{"192.0.2.0/28", "192.0.2.0/28 has no port; write it as in 192.0.2.0/28:80/tcp"},
		{"192.0.2.0:80/28", "80/28 is not a port (1-65535)"},
		{"192.0.2.1/28:80", "192.0.2.1/28 has bits set beyond its length; write 192.0.2.0/28"},
		{"192.0.2.0/33:80", "33 is not a length of an IPv4 prefix (0-32)"},
		{"192.0.2.0/9999999:80", "192.0.2.0/9999999 is a prefix; write one address"},
		{"10.0.0.0/8/8:80", "10.0.0.0/8 is a prefix; write one address"},
		{"2001:db8::/64",
		 "2001:db8::/64 is not an address; an IPv6 address with a port is written [ADDR]:PORT"},
		{"[2001:db8::/129]:80", "129 is not a length of an IPv6 prefix (0-128)"},
		{"[2001:db8::1/64]:80/udp", "2001:db8::1/64 has bits set beyond its length; write 2001:db8::/64"},
		{"[2001:db8::]:80/64", "80/64 is not a port (1-65535)"},
		{"[2001:db8::/64]/64:80", "[2001:db8::]/64:80 is not of the form [ADDR]:PORT"},
		{"0.0.0.0/0:80", "0.0.0.0 is the unspecified address; a VIP is a unicast address"},
		{"[::/0]:80", ":: is the unspecified address; a VIP is a unicast address"},
		{"64.0.0.0/2:80",
		 "127.255.255.255, where that prefix ends, is a loopback address; write a longer prefix"},
		{"128.0.0.0/1:80",
		 "255.255.255.255, where that prefix ends, is the broadcast address; write a longer prefix"},
		{"[::fffe:0:0/95]:80",
		 "255.255.255.255, where that prefix ends, is the broadcast address; write a longer prefix"},
		{"0.0.0.0:80", "0.0.0.0 is the unspecified address; a VIP is a unicast address"},
		{"[::]:80", ":: is the unspecified address; a VIP is a unicast address"},
		{"0.1.2.3:80", "0.1.2.3 is in 0.0.0.0/8, which is no host's; a VIP is a unicast address"},
		{"127.0.0.1:80", "127.0.0.1 is a loopback address; a VIP is a unicast address"},
		{"[::1]:80", "::1 is a loopback address; a VIP is a unicast address"},
		{"[::ffff:127.0.0.1]:80", "127.0.0.1 is a loopback address; a VIP is a unicast address"},
		{"224.0.0.1:80", "224.0.0.1 is a multicast address; a VIP is a unicast address"},
		{"239.255.255.255:80", "239.255.255.255 is a multicast address; a VIP is a unicast address"},
		{"[ff02::1]:80", "ff02::1 is a multicast address; a VIP is a unicast address"},
		{"255.255.255.255:80", "255.255.255.255 is the broadcast address; a VIP is a unicast address"},
		{"[fe80::1]:80", "fe80::1 is a link-local address, which means nothing without its interface; a VIP is "
				 "a unicast address"},
		{0},
	};

	check_good(convert_vip, good);
	check_bad(convert_vip, bad);
}

static void test_prefix(void **state)
{
	static const struct row good[] = {
		{"10.200.0.0/16", "10.200.0.0/16"},
		{"10.0.0.1", "10.0.0.1"},
		{"10.0.0.1/32", "10.0.0.1"},
		{"0.0.0.0/0", "0.0.0.0/0"},
		{"fd00::/64", "fd00::/64"},
		{"fd00::1/128", "fd00::1"},
		{"::/0", "::/0"},
		{"::ffff:10.0.0.0/104", "10.0.0.0/8"},
		{0},
	};
	static const struct row bad[] = {
		{"10.200.0.1/16", "10.200.0.1/16 has bits set beyond its length; write 10.200.0.0/16"},
		{"192.0.2.129/25", "192.0.2.129/25 has bits set beyond its length; write 192.0.2.128/25"},
		{"fd00::1/64", "fd00::1/64 has bits set beyond its length; write fd00::/64"},
		{"10.0.0.0/33", "33 is not a length of an IPv4 prefix (0-32)"},
		{"10.0.0.0/", "\"\" is not a length of an IPv4 prefix (0-32)"},
		{"fd00::/129", "129 is not a length of an IPv6 prefix (0-128)"},
		{"fd00::/x", "x is not a length of an IPv6 prefix (0-128)"},
		{"10.0.0/8", "10.0.0 is not an IPv4 or IPv6 address"},
		{"/8", "\"\" is not an IPv4 or IPv6 address"},
		{"10.0.0.0/8/8", "8/8 is not a length of an IPv4 prefix (0-32)"},
		{0},
	};
	struct lb_prefix p;

	check_good(convert_prefix, good);
	check_bad(convert_prefix, bad);
	assert_int_equal(lb_prefix_parse("10.200.0.0/16", &p, NULL), 0);
	assert_int_equal(p.plen, 112);
	assert_true(lb_addr_is_v4(p.addr));
}

static void test_duration(void **state)
{
	static const struct row good[] = {
		{"250ms", "250ms"}, {"2s", "2s"},   {"5m", "5m"},	  {"1h", "1h"},
		{"60s", "1m"},	    {"90s", "90s"}, {"3600s", "1h"},	  {"1000ms", "1s"},
		{"0s", "0s"},	    {"24h", "24h"}, {"1500ms", "1500ms"}, {"2h4m", "124m"},
		{"1h1m1s1ms", "3661001ms"}, {"1m30s", "90s"}, {"1h500ms", "3600500ms"}, {0},
	};
	static const struct row bad[] = {
		{"", "\"\" is not a duration (such as 250ms, 2s, 5m, 1h)"},
		{"2", "2 has no unit; write 2s or 2ms"},
		{"2d", "2d is not a duration (such as 250ms, 2s, 5m, 1h)"},
		{"s", "s is not a duration (such as 250ms, 2s, 5m, 1h)"},
		{"-2s", "-2s is not a duration (such as 250ms, 2s, 5m, 1h)"},
		{"1.5s", "1.5s is not a duration (such as 250ms, 2s, 5m, 1h)"},
		{"2 s", "2 s is not a duration (such as 250ms, 2s, 5m, 1h)"},
		{"2S", "2S is not a duration (such as 250ms, 2s, 5m, 1h)"},
		{"99999999999999999999s", "99999999999999999999s is too long a time"},
		{"6000000h", "6000000h is too long a time"},
		{"5124095h2000m", "5124095h2000m is too long a time"},
		{"4m2h", "4m2h is not a duration (such as 250ms, 2s, 5m, 1h)"},
		{"1m1m", "1m1m is not a duration (such as 250ms, 2s, 5m, 1h)"},
		{"1mm", "1mm is not a duration (such as 250ms, 2s, 5m, 1h)"},
		{"1ms5", "1ms5 is not a duration (such as 250ms, 2s, 5m, 1h)"},
		{"1ms1s", "1ms1s is not a duration (such as 250ms, 2s, 5m, 1h)"},
		{"1hh1", "1hh1 is not a duration (such as 250ms, 2s, 5m, 1h)"},
		{0},
	};
	char buf[LB_ADDR_STRLEN];
	uint64_t ns;

	check_good(convert_duration, good);
	check_bad(convert_duration, bad);
	assert_int_equal(lb_duration_parse("250ms", &ns, NULL), 0);
	assert_int_equal(ns, 250000000);
	assert_int_equal(lb_duration_parse("1h", &ns, NULL), 0);
	assert_int_equal(ns, 3600000000000);
	assert_string_equal(lb_duration_format(1500, buf), "1500ns");
	assert_string_equal(lb_duration_format(UINT64_MAX, buf), "18446744073709551615ns");
}

static void test_number(void **state)
{
	struct lb_err err;
	uint64_t n = 7;

	assert_int_equal(lb_number_parse("0", "weight", 0, 65535, &n, &err), 0);
	assert_int_equal(n, 0);
	assert_int_equal(lb_number_parse("65535", "weight", 0, 65535, &n, &err), 0);
	assert_int_equal(n, 65535);
	assert_int_equal(lb_number_parse("18446744073709551615", "n", 0, UINT64_MAX, &n, &err), 0);
	assert_true(n == UINT64_MAX);
	assert_int_equal(lb_number_parse("18446744073709551616", "interval", 0, UINT64_MAX, &n, &err), -EINVAL);
	assert_string_equal(err.message, "18446744073709551616 is not an interval (0-18446744073709551615)");
	assert_int_equal(lb_number_parse("65536", "weight", 0, 65535, &n, &err), -EINVAL);
	assert_string_equal(lb_err_str(&err), "65536 is not a weight (0-65535)");
	assert_true(n == UINT64_MAX);
	static const char *const bad[] = {"", "00", "01", "+1", "-1", "1 ", " 1", "1.0", "1e2", "0x10", "\xff"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(lb_number_parse(bad[i], "weight", 0, 65535, &n, NULL), -EINVAL);
}

/* Whatever 16 bytes are an address, its text reads back as them; likewise with ports and protocols. */
static void test_round_trip(void **state)
{
	unsigned int seed = 1;

	for (int i = 0; i < 20000; i++) {
		struct lb_endpoint ep = {0}, ep2;
		struct lb_prefix p = {0}, p2;
		struct lb_vip_conf v = {0}, v2;
		char buf[LB_ADDR_STRLEN];
		uint8_t addr[16];

		for (size_t b = 0; b < 16; b++) {
			/* Runs of zeros are what the text form is about. */
			int r = rand_r(&seed);

			addr[b] = (r >> 8) & 3 ? 0 : (uint8_t)r;
		}
		if (i % 4 == 0) {
			memset(addr, 0, 10);
			memset(addr + 10, 0xff, 2);
		}
		memcpy(ep.addr, addr, 16);
		if (i & 1)
			ep.port = htons((uint16_t)(1 + rand_r(&seed) % 65535));
		assert_int_equal(lb_endpoint_parse(lb_endpoint_format(&ep, buf), &ep2, NULL), 0);
		assert_memory_equal(&ep, &ep2, sizeof(ep));
		memcpy(p.addr, addr, 16);
		p.plen = 128;
		assert_int_equal(lb_prefix_parse(lb_prefix_format(&p, buf), &p2, NULL), 0);
		assert_memory_equal(&p, &p2, sizeof(p));
		/* 2000::/3 and 10/8: addresses that VIPs can have, cut to a prefix. */
		if (lb_addr_is_v4(addr))
			addr[12] = 10;
		else
			addr[0] = 0x20;
		v.plen = (uint8_t)((lb_addr_is_v4(addr) ? 104 : 3) + rand_r(&seed) % (lb_addr_is_v4(addr) ? 25 : 126));
		for (unsigned int bit = v.plen; bit < 128; bit++)
			addr[bit / 8] &= (uint8_t) ~(0x80 >> (bit % 8));
		memcpy(v.vip.addr, addr, sizeof(addr));
		v.vip.port = ep.port;
		v.vip.proto = i % 3 == 0 ? IPPROTO_TCP : i % 3 == 1 ? IPPROTO_UDP : IPPROTO_SCTP;
		assert_int_equal(lb_vip_parse(lb_vip_format(&v, buf), &v2, NULL), 0);
		assert_memory_equal(&v, &v2, sizeof(v));
	}
}

/* Parsers read untrusted bytes: no input may make them read beyond it or write a second line into a message. */
static void test_random_texts(void **state)
{
	static const convert_fn fns[] = {convert_addr, convert_endpoint, convert_vip, convert_prefix, convert_duration};
	static const char alphabet[] = "0123456789abf:./[]%*-hmstcpud \n\xff";
	unsigned int seed = 2;

	for (int i = 0; i < 50000; i++) {
		char text[100], buf[LB_ADDR_STRLEN];
		size_t len = (size_t)rand_r(&seed) % (i % 10 ? 24 : sizeof(text));

		for (size_t b = 0; b < len; b++)
			text[b] = alphabet[(size_t)rand_r(&seed) % (sizeof(alphabet) - 1)];
		text[len] = '\0';
		for (size_t f = 0; f < sizeof(fns) / sizeof(fns[0]); f++) {
			struct lb_err err = {0};

			if (!convert(fns[f], text, buf, &err))
				continue;
			assert_true(*err.message);
			assert_null(strchr(err.message, '\n'));
			assert_true(lb_text_is_utf8(err.message));
		}
	}
}

static void test_err(void **state)
{
	struct lb_err err = {0};
	char text[1000];

	assert_int_equal(lb_err_set(NULL, -ENOENT, "a", "b"), -ENOENT);
	assert_int_equal(lb_err_set(&err, -EINVAL, NULL, "%d is wrong", 1), -EINVAL);
	assert_string_equal(lb_err_str(&err), "1 is wrong");
	lb_err_set(&err, -EINVAL, "lbd.yaml:14: services[2].port", "%s", err.message);
	assert_string_equal(lb_err_str(&err), "lbd.yaml:14: services[2].port: 1 is wrong");
	lb_err_set(&err, -EINVAL, err.path, "a\tb\r\n\x1b[31m\x7f\xc2\x9b gr\xc3\xbcn \xed\xa0\x80 \xc3");
	assert_string_equal(err.message, "a?b???[31m??? gr\xc3\xbcn ??? ?");
	assert_string_equal(err.path, "lbd.yaml:14: services[2].port");
	/* A message cut in the middle of a character stays UTF-8. */
	for (size_t i = 0; i + 2 < sizeof(text); i += 2)
		memcpy(text + i, "\xc3\xbc", 3);
	lb_err_set(&err, -EINVAL, text, "x%s", text);
	assert_true(lb_text_is_utf8(err.message));
	assert_true(lb_text_is_utf8(err.path));
	assert_int_equal(strlen(err.message), sizeof(err.message) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addr),	   cmocka_unit_test(test_endpoint),	cmocka_unit_test(test_vip),
		cmocka_unit_test(test_prefix),	   cmocka_unit_test(test_duration),	cmocka_unit_test(test_number),
		cmocka_unit_test(test_round_trip), cmocka_unit_test(test_random_texts), cmocka_unit_test(test_err),
	};

	return cmocka_run_group_tests_name("addr", tests, NULL, NULL);
}
