// SPDX-License-Identifier: GPL-2.0-or-later
/* include/lb/dp/icmp.h: errors and the connections that they quote; what is answered is in test_dp_icmp_answer.c.
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
#include "ip_bytes.h"
#include "random.h"

/* ---- packets, byte by byte ---- */

static void put_tcp(struct pkt *p, unsigned int sport, unsigned int dport, size_t bytes)
{
	size_t start = p->len;

	put16(p, sport);
	put16(p, dport);
	while (p->len < start + bytes)
		put8(p, (unsigned int)(p->len * 37));
	p->len = start + bytes;
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_followed),  cmocka_unit_test(test_same_flow),
		cmocka_unit_test(test_passed),	  cmocka_unit_test(test_chains),
		cmocka_unit_test(test_truncated), cmocka_unit_test_setup(test_random_bytes, seed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
