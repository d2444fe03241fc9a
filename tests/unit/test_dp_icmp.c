// SPDX-License-Identifier: GPL-2.0-or-later
/* include/lb/dp/icmp.h: errors, echoes and refusals, with checksums held against full computations.
 * Packets end where their allocation does and begin where an Ethernet header at offset 2 leaves them, for the
 * sanitizers. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lb/dp/icmp.h"
#include "bytes.h"
#include "random.h"

#define CLIENT4 "198.51.100.7"
#define VIP4 "192.0.2.10"
#define ROUTER4 "203.0.113.1"
#define BACKEND4 "10.0.0.11"
#define SNAT4 "10.0.0.1"
#define CLIENT6 "2001:db8:99::7"
#define VIP6 "2001:db8::10"
#define ROUTER6 "2001:db8:1::1"
#define BACKEND6 "fd00::11"
#define SNAT6 "fd00::1"

/* ---- packets, byte by byte ---- */

static void put_addr(struct pkt *p, const char *text)
{
	bool v6 = strchr(text, ':');

	assert_int_equal(inet_pton(v6 ? AF_INET6 : AF_INET, text, p->b + p->len), 1);
	p->len += v6 ? 16 : 4;
}

/* @opts: bytes of options, a multiple of 4. */
static void put_ip4(struct pkt *p, const char *src, const char *dst, unsigned int proto, size_t opts, size_t payload)
{
	size_t start = p->len;

	put8(p, 0x45 + (unsigned int)opts / 4);
	put8(p, 0);
	put16(p, (unsigned int)(20 + opts + payload));
	put16(p, 0x1234);
	put16(p, 0x4000);
	put8(p, 57);
	put8(p, proto);
	put16(p, 0);
	put_addr(p, src);
	put_addr(p, dst);
	for (size_t i = 0; i < opts; i++)
		put8(p, 1);
	set16(p->b + start + 10, ~sum16(p->b + start, p->len - start, 0) & 0xffff);
}

static void put_ip6(struct pkt *p, const char *src, const char *dst, unsigned int next, size_t payload)
{
	put16(p, 0x6000);
	put16(p, 0xabcd);
	put16(p, (unsigned int)payload);
	put8(p, next);
	put8(p, 57);
	put_addr(p, src);
	put_addr(p, dst);
}

static void put_tcp(struct pkt *p, unsigned int sport, unsigned int dport, size_t bytes)
{
	size_t start = p->len;

	put16(p, sport);
	put16(p, dport);
	while (p->len < start + bytes)
		put8(p, (unsigned int)(p->len * 37));
	p->len = start + bytes;
}

/* What a checksum over [@b, @b + len) and the addresses of the IP header @ip should be; 0 when it is right. */
static unsigned int check_l4(const uint8_t *ip, unsigned int proto, const uint8_t *b, size_t len)
{
	unsigned int sum = proto + (unsigned int)len;

	sum = ip[0] >> 4 == 6 ? sum16(ip + 8, 32, sum) : sum16(ip + 12, 8, sum);
	return ~sum16(b, len, sum) & 0xffff;
}

/* An error that quotes a packet from @from to @to; what distinguishes the cases of a kind. */
struct error {
	bool v6;
	unsigned int type, code;
	const char *router, *from, *to; /* NULL: ROUTER, VIP, CLIENT */
	unsigned int proto;		/* 0: TCP */
	size_t quoted_l4;		/* bytes of the transport header and data; 0: 8 */
	size_t outer_opts, inner_opts;	/* IPv4: bytes of options; IPv6: of destination options, multiples of 8 */
	unsigned int frag;		/* of the quoted packet: flags and offset as IPv4 has them */
	size_t pad;			/* behind the packet */
};

#define OR(a, b) ((a) ? (a) : (b))

/* Returns where the quoted transport header is. */
static size_t build_error(const struct error *e, struct pkt *p)
{
	unsigned int proto = OR(e->proto, IPPROTO_TCP);
	size_t l4 = OR(e->quoted_l4, 8), quote, icmp, quoted, at;
	const char *from = OR(e->from, e->v6 ? VIP6 : VIP4), *to = OR(e->to, e->v6 ? CLIENT6 : CLIENT4);
	struct pkt whole = {.len = 0};

	p->len = 0;
	put_tcp(&whole, 443, 51000, 100); /* the packet that was sent, of which not all is quoted */
	if (proto == IPPROTO_UDP)
		set16(whole.b + 4, 100);
	if (e->v6) {
		size_t frag = e->frag ? 8 : 0;

		quote = 40 + e->inner_opts + frag + l4;
		put_ip6(p, OR(e->router, ROUTER6), from, e->outer_opts ? 60 : IPPROTO_ICMPV6,
			e->outer_opts + 8 + quote);
		if (e->outer_opts)
			put_ext6(p, IPPROTO_ICMPV6, e->outer_opts);
	} else {
		quote = 20 + e->inner_opts + l4;
		put_ip4(p, OR(e->router, ROUTER4), from, IPPROTO_ICMP, e->outer_opts, 8 + quote);
	}
	icmp = p->len;
	put8(p, e->type);
	put8(p, e->code);
	put16(p, 0);
	put16(p, 0);
	put16(p, 1400);
	quoted = p->len;
	if (e->v6) {
		put_ip6(p, from, to, e->inner_opts ? 60 : e->frag ? 44 : proto, 100 + e->inner_opts);
		if (e->inner_opts)
			put_ext6(p, e->frag ? 44 : proto, e->inner_opts);
		if (e->frag) {
			put8(p, proto);
			put8(p, 0);
			put16(p, (e->frag & 0x1fff) << 3 | e->frag >> 13);
			put16(p, 0);
			put16(p, 1);
		}
	} else {
		put_ip4(p, from, to, proto, e->inner_opts, 100);
		set16(p->b + quoted + 6, e->frag);
		set16(p->b + quoted + 10, 0);
		set16(p->b + quoted + 10, ~sum16(p->b + quoted, 20 + e->inner_opts, 0) & 0xffff);
	}
	at = proto == IPPROTO_UDP ? 6 : 16;
	set16(whole.b + at, 0);
	set16(whole.b + at, check_l4(p->b + quoted, proto, whole.b, 100));
	at = p->len;
	memcpy(p->b + p->len, whole.b, l4);
	p->len += l4;
	if (e->v6)
		set16(p->b + icmp + 2, check_l4(p->b, IPPROTO_ICMPV6, p->b + icmp, p->len - icmp));
	else
		set16(p->b + icmp + 2, ~sum16(p->b + icmp, p->len - icmp, 0) & 0xffff);
	memset(p->b + p->len, 0x5a, e->pad);
	p->len += e->pad;
	return at;
}

static enum lb_verdict parse(const struct copy *c, bool v6, struct lb_packet *p)
{
	memset(p, 0xee, sizeof(*p));
	return v6 ? lb_icmp_parse6(c->b, c->end, p) : lb_icmp_parse4(c->b, c->end, p);
}

static void words_of(const char *text, __u64 words[2])
{
	uint8_t b[16] = {[10] = 0xff, [11] = 0xff};

	if (strchr(text, ':'))
		assert_int_equal(inet_pton(AF_INET6, text, b), 1);
	else
		assert_int_equal(inet_pton(AF_INET, text, b + 12), 1);
	memcpy(words, b, 16);
}

static void check_addr(const __u64 words[2], const char *text)
{
	__u64 want[2];

	words_of(text, want);
	assert_memory_equal(words, want, 16);
}

static __u32 ports_of(unsigned int src, unsigned int dst)
{
	uint8_t b[4] = {(uint8_t)(src >> 8), (uint8_t)src, (uint8_t)(dst >> 8), (uint8_t)dst};
	__u32 ports;

	memcpy(&ports, b, 4);
	return ports;
}

/* ---- errors ---- */

static const struct error followed[] = {
	{.type = 3, .code = 0},
	{.type = 3, .code = 4},
	{.type = 3, .code = 4, .proto = IPPROTO_UDP},
	{.type = 11, .code = 0, .quoted_l4 = 40},
	{.type = 11, .code = 1, .quoted_l4 = 4},
	{.type = 12, .code = 0, .inner_opts = 40},
	{.type = 3, .code = 3, .outer_opts = 40, .inner_opts = 8, .proto = IPPROTO_UDP, .quoted_l4 = 60},
	{.type = 3, .code = 1, .frag = 0x2000},
	{.type = 3, .code = 1, .pad = 30},
	{.v6 = true, .type = 1, .code = 0},
	{.v6 = true, .type = 2, .code = 0},
	{.v6 = true, .type = 2, .code = 0, .proto = IPPROTO_UDP, .quoted_l4 = 100},
	{.v6 = true, .type = 3, .code = 1, .quoted_l4 = 4},
	{.v6 = true, .type = 4, .code = 2, .inner_opts = 24},
	{.v6 = true, .type = 1, .code = 4, .outer_opts = 16, .inner_opts = 8, .proto = IPPROTO_UDP},
	{.v6 = true, .type = 1, .code = 4, .frag = 0x2000},
	{.v6 = true, .type = 1, .code = 4, .frag = 0x2000, .inner_opts = 8, .outer_opts = 8, .pad = 9},
};
#define NR(a) (sizeof(a) / sizeof((a)[0]))

static void test_followed(void **state)
{
	for (size_t i = 0; i < NR(followed); i++) {
		const struct error *e = &followed[i];
		struct lb_packet p;
		struct pkt pkt;
		size_t l4 = build_error(e, &pkt);
		struct copy c = copy_of(&pkt, pkt.len);
		__u64 src[2], dst[2];

		assert_int_equal(parse(&c, e->v6, &p), LB_V_FORWARDED);
		for (int word = 0; word < 2; word++) {
			src[word] = lb_packet_source(&p, word);
			dst[word] = lb_packet_dest(&p, word);
		}
		check_addr(src, e->v6 ? CLIENT6 : CLIENT4);
		check_addr(dst, e->v6 ? VIP6 : VIP4);
		assert_int_equal(p.ports, ports_of(51000, 443));
		assert_int_equal(p.proto, OR(e->proto, IPPROTO_TCP));
		assert_int_equal(p.v6, e->v6);
		assert_int_equal(p.tcp_flags, 0);
		assert_false(p.fragment);
		assert_int_equal(p.len, pkt.len - e->pad);
		assert_int_equal(p.room, pkt.len);
		assert_int_equal(p.l4_off, l4);
		assert_int_equal(p.icmp_off, (e->v6 ? 40 : 20) + e->outer_opts);
		free(c.mem);
	}
}

/* A packet of the flow, and an error about what answers it, have one hash and one VIP. */
static void test_same_flow(void **state)
{
	const struct lb_hash_secret secret = lb_hash_secret((const __u64[]){1, 2});

	for (int v6 = 0; v6 < 2; v6++) {
		struct error e = {.v6 = v6, .type = v6 ? 1 : 3};
		struct lb_packet p, direct;
		struct lb_vip_key vip, vip_direct;
		struct pkt pkt;
		struct copy c;

		build_error(&e, &pkt);
		c = copy_of(&pkt, pkt.len);
		assert_int_equal(parse(&c, v6, &p), LB_V_FORWARDED);
		free(c.mem);
		pkt.len = 0;
		if (v6)
			put_ip6(&pkt, CLIENT6, VIP6, IPPROTO_TCP, 20);
		else
			put_ip4(&pkt, CLIENT4, VIP4, IPPROTO_TCP, 0, 20);
		put_tcp(&pkt, 51000, 443, 20);
		c = copy_of(&pkt, pkt.len);
		assert_int_equal(v6 ? lb_parse_ip6(c.b, c.end, &direct, false) : lb_parse_ip4(c.b, &direct, false),
				 LB_V_FORWARDED);
		assert_int_equal(lb_parse_l4(c.end, &direct), LB_V_FORWARDED);
		lb_parse_source(&direct);
		vip = lb_packet_vip(&p);
		vip_direct = lb_packet_vip(&direct);
		assert_true(lb_vip_fold(&vip) == lb_vip_fold(&vip_direct));
		assert_int_equal(vip.what, vip_direct.what);
		assert_true(lb_packet_hash(&p, 5, &secret) == lb_packet_hash(&direct, 5, &secret));
		free(c.mem);
	}
}

static void test_passed(void **state)
{
	static const struct {
		struct error e;
		enum lb_verdict v;
		size_t at; /* with @byte, unless 0 */
		uint8_t byte;
	} rows[] = {
		{{.type = 4}, LB_V_PASS_PROTOCOL, 0, 0},  /* source quench */
		{{.type = 5}, LB_V_PASS_PROTOCOL, 0, 0},  /* redirect */
		{{.type = 8}, LB_V_PASS_PROTOCOL, 0, 0},  /* echo request */
		{{.type = 0}, LB_V_PASS_PROTOCOL, 0, 0},  /* echo reply */
		{{.type = 13}, LB_V_PASS_PROTOCOL, 0, 0}, /* timestamp */
		{{.type = 3}, LB_V_PASS_PROTOCOL, 9, 6},  /* not ICMP */
		{{.type = 3}, LB_V_PASS_FRAGMENT, 6, 0x20},
		{{.type = 3}, LB_V_PASS_FRAGMENT, 7, 1},
		{{.type = 3}, LB_V_PASS_NOT_IP, 0 + 1000, 0x65},
		{{.type = 3}, LB_V_PASS_TRUNCATED, 0 + 1000, 0x44},
		{{.type = 3}, LB_V_PASS_TRUNCATED, 28, 0x65}, /* quotes no IPv4 */
		{{.type = 3}, LB_V_PASS_TRUNCATED, 28, 0x44},
		{{.type = 3}, LB_V_PASS_PROTOCOL, 37, 1}, /* quotes ICMP */
		{{.type = 3, .frag = 0x2001}, LB_V_PASS_FRAGMENT, 0, 0},
		{{.type = 3}, LB_V_PASS_NO_SERVICE, 16, 1}, /* goes elsewhere than to the quoted source */
		{{.type = 3}, LB_V_PASS_TRUNCATED, 3, 51},  /* the packet ends before the ports do */
		{{.v6 = true, .type = 0}, LB_V_PASS_PROTOCOL, 0, 0},
		{{.v6 = true, .type = 5}, LB_V_PASS_PROTOCOL, 0, 0},
		{{.v6 = true, .type = 128}, LB_V_PASS_PROTOCOL, 0, 0},
		{{.v6 = true, .type = 135}, LB_V_PASS_PROTOCOL, 0, 0},
		{{.v6 = true, .type = 1}, LB_V_PASS_PROTOCOL, 6, 17},
		{{.v6 = true, .type = 1}, LB_V_PASS_NOT_IP, 1000, 0x45},
		{{.v6 = true, .type = 1}, LB_V_PASS_TRUNCATED, 48, 0x45},
		{{.v6 = true, .type = 1}, LB_V_PASS_PROTOCOL, 54, 58},
		{{.v6 = true, .type = 1, .frag = 0x2001}, LB_V_PASS_FRAGMENT, 0, 0},
		{{.v6 = true, .type = 1, .outer_opts = 8}, LB_V_PASS_EXTENSION, 41, 255 /* 2048 bytes */},
		{{.v6 = true, .type = 1}, LB_V_PASS_NO_SERVICE, 39, 0x11},
		{{.v6 = true, .type = 1, .from = "::ffff:192.0.2.10"}, LB_V_PASS_NO_SERVICE, 0, 0},
		{{.v6 = true, .type = 1}, LB_V_PASS_TRUNCATED, 5, 51},
	};

	for (size_t i = 0; i < NR(rows); i++) {
		enum lb_verdict v;
		struct lb_packet p;
		struct pkt pkt;
		struct copy c;

		build_error(&rows[i].e, &pkt);
		if (rows[i].at)
			pkt.b[rows[i].at % 1000] = rows[i].byte;
		c = copy_of(&pkt, pkt.len);
		v = parse(&c, rows[i].e.v6, &p);
		if (v != rows[i].v && !(rows[i].byte == 255 && v == LB_V_PASS_TRUNCATED))
			fail_msg("row %zu: verdict %d, want %d", i, v, rows[i].v);
		free(c.mem);
	}
}

/* An error with more in front of it than is followed. */
static void test_chains(void **state)
{
	for (int n = 0; n <= 6; n++) {
		for (int inner = 0; inner < 2; inner++) {
			struct pkt p = {.len = 0};
			struct lb_packet flow;
			enum lb_verdict v;
			struct copy c;

			put_ip6(&p, ROUTER6, VIP6, n && !inner ? 60 : 58, (size_t)(48 + 8 + 8 * n));
			for (int i = 0; !inner && i < n; i++)
				put_ext6(&p, i + 1 < n ? 60 : 58, 8);
			put16(&p, 0x0100);
			put16(&p, 0);
			put16(&p, 0);
			put16(&p, 0);
			put_ip6(&p, VIP6, CLIENT6, n && inner ? 60 : 6, 1000);
			for (int i = 0; inner && i < n; i++)
				put_ext6(&p, i + 1 < n ? 60 : 6, 8);
			put_tcp(&p, 443, 51000, 8);
			c = copy_of(&p, p.len);
			v = parse(&c, true, &flow);
			assert_int_equal(v, n <= LB_EXT6_MAX ? LB_V_FORWARDED : LB_V_PASS_EXTENSION);
			if (v == LB_V_FORWARDED)
				assert_int_equal(flow.ports, ports_of(51000, 443));
			free(c.mem);
		}
	}
}

static void test_truncated(void **state)
{
	for (size_t i = 0; i < NR(followed); i++) {
		const struct error *e = &followed[i];
		struct pkt pkt;
		size_t l4 = build_error(e, &pkt);

		for (size_t len = 0; len < pkt.len - e->pad; len++) {
			struct copy c = copy_of(&pkt, len);
			struct lb_packet p;
			enum lb_verdict v = parse(&c, e->v6, &p);

			if (len >= l4 + 4) {
				assert_int_equal(v, LB_V_FORWARDED);
				assert_true(p.len > p.room);
			} else {
				assert_int_equal(v, LB_V_PASS_TRUNCATED);
			}
			free(c.mem);
		}
	}
}

/* No byte outside is read or written, whatever the packet says. */
static void test_random_bytes(void **state)
{
	size_t nr_followed = 0;

	for (int i = 0; i < 100000; i++) {
		struct error e = followed[random64() % NR(followed)];
		struct lb_packet p;
		struct pkt pkt;
		struct copy c;

		build_error(&e, &pkt);
		for (unsigned int k = random64() % 4; k; k--)
			pkt.b[random64() % pkt.len] = (uint8_t)random64();
		c = copy_of(&pkt, random64() % 2 ? pkt.len : random64() % pkt.len);
		if (parse(&c, e.v6, &p) == LB_V_FORWARDED) {
			nr_followed++;
			assert_true(p.l4_off + 4 <= (size_t)(c.end - c.b));
		}
		free(c.mem);
	}
	assert_true(nr_followed > 10000);
}

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
		cmocka_unit_test(test_followed),
		cmocka_unit_test(test_same_flow),
		cmocka_unit_test(test_passed),
		cmocka_unit_test(test_chains),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test_setup(test_random_bytes, seed),
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
