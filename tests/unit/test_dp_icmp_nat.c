// SPDX-License-Identifier: GPL-2.0-or-later
/* include/lb/dp/icmp_nat.h: what errors say in the other family, by RFC 7915's tables; and errors of random packets of
 * random connections, translated and held against what is put together anew, with checksums computed in full. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lb/dp/icmp_nat.h"
#include "lb/dp/nat.h"
#include "bytes.h"
#include "random.h"

#define NR(a) (sizeof(a) / sizeof((a)[0]))
#define ROUNDS 4000

/* ---- the tables ---- */

static const struct lb_icmp_mtus wide = {.here = 65535, .there = 65535};

/* RFC 7915 4.2, code by code; 0: dropped. */
static const uint32_t unreachable_to6[] = {
	0x100, 0x100, 0x401, 0x104, 0x200, 0x100, 0x100, 0x100, 0x100, 0x101, 0x101, 0x100, 0x100, 0x101, 0, 0x101,
};
static const int16_t pointer_to6[] = {0, 1, 4, 4, -1, -1, -1, -1, 7, 6, -1, -1, 8, 8, 8, 8, 24, 24, 24, 24};
static const int16_t pointer_to4[] = {
	0,  1,	-1, -1, 2,  2,	9,  8,	12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12,
	12, 12, 12, 12, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16,
};

static void test_to6(void **state)
{
	struct lb_icmp_msg m;

	for (uint32_t type = 0; type < 256; type++)
		for (uint32_t code = 0; code < 256; code++) {
			uint32_t want = 0;

			m = lb_icmp_to6(type, code, 1400, 1500, wide);
			if (type == 3 && code < NR(unreachable_to6))
				want = unreachable_to6[code];
			else if (type == 11)
				want = 0x300 | code;
			else if (type == 12 && (code == 0 || code == 2))
				want = 0x400; /* the pointer of 1400 is 0 */
			assert_int_equal(m.kind, want);
			if (want == 0x200)
				assert_int_equal(m.info, 1420);
			else if (want)
				assert_int_equal(m.info, want == 0x401 ? 6 : 0);
		}
	for (uint32_t p = 0; p < 256; p++) {
		m = lb_icmp_to6(12, 0, p << 24 | 0x123456, 1500, wide);
		if (p < NR(pointer_to6) && pointer_to6[p] >= 0) {
			assert_int_equal(m.kind, 0x400);
			assert_int_equal(m.info, pointer_to6[p]);
		} else {
			assert_int_equal(m.kind, 0);
		}
	}
}

static void test_to4(void **state)
{
	static const uint32_t unreachable[] = {0x301, 0x30a, 0x301, 0x301, 0x303};
	struct lb_icmp_msg m;

	for (uint32_t type = 0; type < 256; type++)
		for (uint32_t code = 0; code < 256; code++) {
			uint32_t want = 0;

			m = lb_icmp_to4(type, code, 1, wide);
			if (type == 1 && code < NR(unreachable))
				want = unreachable[code];
			else if (type == 2)
				want = 0x304;
			else if (type == 3)
				want = 0xb00 | code;
			else if (type == 4)
				want = code == 0 ? 0xc00 : code == 1 ? 0x302 : 0;
			assert_int_equal(m.kind, want);
			if (want && type != 2)
				assert_int_equal(m.info, type == 4 && !code ? 1U << 24 : 0);
		}
	for (uint32_t p = 0; p < 300; p++) {
		m = lb_icmp_to4(4, 0, p, wide);
		if (p < NR(pointer_to4) && pointer_to4[p] >= 0) {
			assert_int_equal(m.kind, 0xc00);
			assert_int_equal(m.info, (uint32_t)pointer_to4[p] << 24);
		} else {
			assert_int_equal(m.kind, 0);
		}
	}
	assert_int_equal(lb_icmp_to4(4, 0, 0xffffffff, wide).kind, 0);
}

/* What a host is told is never more than either link takes, nor less than its family's least. */
static void test_mtus(void **state)
{
	static const struct {
		uint32_t mtu, quoted, here, there, want;
	} to6[] = {
		{1400, 1500, 1500, 1500, 1420}, {1500, 1500, 1500, 1500, 1500},	 {1480, 1500, 1500, 1500, 1500},
		{1400, 1500, 1300, 1500, 1320}, {1000, 1500, 1500, 1500, 1280},	 {68, 1500, 1500, 1500, 1280},
		{0, 1500, 1500, 1500, 1500},	{0, 1492, 1500, 1500, 1280},	 {0, 1006, 1500, 1500, 1280},
		{0, 2003, 9000, 9000, 2022},	{0, 65535, 65535, 65535, 32020}, {0, 9000, 9000, 9000, 8186},
		{0, 4353, 9000, 9000, 4372},	{0, 4352, 9000, 9000, 2022},	 {0, 18000, 65535, 65535, 17934},
		{9000, 9000, 9000, 1500, 1500}, {1260, 1500, 1500, 1500, 1280},	 {1261, 1500, 1500, 1500, 1281},
	};
	static const struct {
		uint32_t mtu, here, there, want;
	} to4[] = {
		{1400, 1500, 1500, 1380}, {1280, 1500, 1500, 1260},
		{9000, 1500, 9000, 1480}, {9000, 9000, 1500, 1500},
		{1500, 1500, 1400, 1400}, {1280, 1500, 1000, 1000},
		{0, 1500, 1500, 68},	  {88, 1500, 1500, 68},
		{89, 1500, 1500, 69},	  {0xffffffff, 0xffff, 0xffff, 65515},
	};

	for (size_t i = 0; i < NR(to6); i++) {
		struct lb_icmp_mtus mtus = {.here = to6[i].here, .there = to6[i].there};

		/* the upper half of the word means nothing */
		assert_int_equal(lb_icmp_to6(3, 4, to6[i].mtu | 0xabcd0000, to6[i].quoted, mtus).info, to6[i].want);
	}
	for (size_t i = 0; i < NR(to4); i++) {
		struct lb_icmp_mtus mtus = {.here = to4[i].here, .there = to4[i].there};

		assert_int_equal(lb_icmp_to4(2, 0, to4[i].mtu, mtus).info, to4[i].want);
	}
}

/* ---- packets ---- */

/* An end of a connection in one family. */
struct end {
	uint8_t addr[16]; /* IPv4: the first four bytes */
	uint16_t port;
};

/* A quoted packet, and the error about it. */
struct error {
	bool v6;
	struct end from, to; /* of the quoted packet */
	uint8_t router[16];  /* the error's source */
	uint8_t proto, tos, ttl, quoted_tos, quoted_ttl;
	uint16_t id, frag, quoted_id, quoted_frag; /* IPv4 */
	uint32_t kind, rest;
	unsigned int quoted_l4; /* bytes of transport header and data in it */
	bool no_sum;		/* UDP */
	unsigned int outer_ext; /* bytes of options or of destination options in front of it */
	uint8_t data[200];	/* the quoted packet's, behind the transport header */
	unsigned int bytes;	/* of that */
};

static unsigned int l4_head(const struct error *e)
{
	return e->proto == IPPROTO_TCP ? 20 : 8;
}

static void put_addr(struct pkt *p, const uint8_t addr[16], bool v6)
{
	memcpy(p->b + p->len, addr, v6 ? 16 : 4);
	p->len += v6 ? 16 : 4;
}

static unsigned int pseudo(const struct pkt *p, size_t ip, bool v6, unsigned int proto, unsigned int len)
{
	unsigned int sum = proto + len;

	return v6 ? sum16(p->b + ip + 8, 32, sum) : sum16(p->b + ip + 12, 8, sum);
}

static void put_head(struct pkt *p, const struct error *e, bool quoted, const uint8_t src[16], const uint8_t dst[16],
		     unsigned int proto, unsigned int bytes)
{
	unsigned int tos = quoted ? e->quoted_tos : e->tos, ext = quoted ? 0 : e->outer_ext;
	size_t at = p->len;

	if (e->v6) {
		put16(p, 0x6000 | tos << 4);
		put16(p, 0);
		put16(p, bytes + ext);
		put8(p, ext ? 60 : proto);
		put8(p, quoted ? e->quoted_ttl : e->ttl);
		put_addr(p, src, true);
		put_addr(p, dst, true);
		if (ext)
			put_ext6(p, proto, ext);
		return;
	}
	put8(p, 0x45 + ext / 4);
	put8(p, tos);
	put16(p, 20 + ext + bytes);
	put16(p, quoted ? e->quoted_id : e->id);
	put16(p, quoted ? e->quoted_frag : e->frag);
	put8(p, quoted ? e->quoted_ttl : e->ttl);
	put8(p, proto);
	put16(p, 0);
	put_addr(p, src, false);
	put_addr(p, dst, false);
	for (unsigned int i = 0; i < ext; i++)
		put8(p, 1);
	set16(p->b + at + 10, naive_checksum(p->b + at, 20 + ext));
}

/* Returns where the quoted transport header is. */
static struct lb_icmp_quote build(const struct error *e, struct pkt *p)
{
	unsigned int l4 = l4_head(e) + e->bytes, head = e->v6 ? 40 : 20, sum_at = e->proto == IPPROTO_TCP ? 16 : 6;
	struct lb_icmp_quote q = {.proto = e->proto};
	struct pkt whole = {.len = 0};
	size_t at;

	put_head(&whole, e, true, e->from.addr, e->to.addr, e->proto, l4);
	at = whole.len;
	put16(&whole, e->from.port);
	put16(&whole, e->to.port);
	for (unsigned int i = 4; i < l4_head(e); i++)
		put8(&whole, i * 37);
	if (e->proto == IPPROTO_UDP)
		set16(whole.b + at + 4, l4);
	memcpy(whole.b + whole.len, e->data, e->bytes);
	whole.len += e->bytes;
	set16(whole.b + at + sum_at, 0);
	if (!e->no_sum) {
		unsigned int sum = ~sum16(whole.b + at, l4, pseudo(&whole, 0, e->v6, e->proto, l4)) & 0xffff;

		set16(whole.b + at + sum_at, sum || e->proto == IPPROTO_TCP ? sum : 0xffff);
	}
	p->len = 0;
	put_head(p, e, false, e->router, e->from.addr, e->v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP, 8 + head + e->quoted_l4);
	q.icmp_off = (__u32)p->len;
	q.l4_off = q.icmp_off + 8 + head;
	put16(p, e->kind);
	put16(p, 0);
	put16(p, e->rest >> 16);
	put16(p, e->rest & 0xffff);
	memcpy(p->b + p->len, whole.b, head + e->quoted_l4);
	p->len += head + e->quoted_l4;
	q.len = (__u32)p->len;
	set16(p->b + q.icmp_off + 2, ~sum16(p->b + q.icmp_off, q.len - q.icmp_off,
					    e->v6 ? pseudo(p, 0, true, IPPROTO_ICMPV6, q.len - q.icmp_off) : 0) &
					     0xffff);
	return q;
}

static void fill(void *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		((uint8_t *)p)[i] = (uint8_t)random64();
}

static struct end random_end(void)
{
	struct end e;

	fill(&e, sizeof(e));
	e.addr[0] |= 0x20; /* or it might be ::ffff:a.b.c.d */
	return e;
}

/* Now and then all is 0 or all ones, where checksums turn over. */
static struct error random_error(bool v6)
{
	struct error e;

	fill(&e, sizeof(e));
	e.v6 = v6;
	e.from = random_end();
	e.to = random_end();
	e.proto = below(2) ? IPPROTO_TCP : IPPROTO_UDP;
	e.ttl = (uint8_t)(2 + below(254));
	e.frag = below(2) ? 0x4000 : 0;
	e.quoted_frag = e.frag;
	e.bytes = below(sizeof(e.data) + 1);
	e.quoted_l4 = 4 + 2 * below((l4_head(&e) + e.bytes) / 2 - 1);
	e.no_sum = e.proto == IPPROTO_UDP && !v6 && !below(4);
	e.outer_ext = below(3) ? 0 : 8 * (1 + below(4));
	e.kind = v6 ? 0x100 : 0x301;
	e.rest = 0;
	if (!below(8))
		memset(e.data, below(2) ? 0 : 0xff, sizeof(e.data));
	return e;
}

static void words_of(const struct end *e, bool v6, __u64 words[2])
{
	uint8_t b[16] = {[10] = 0xff, [11] = 0xff};

	memcpy(v6 ? b : b + 12, e->addr, v6 ? 16 : 4);
	memcpy(words, b, 16);
}

static __u32 ports_of(uint16_t src, uint16_t dst)
{
	const uint8_t b[4] = {(uint8_t)(src >> 8), (uint8_t)src, (uint8_t)(dst >> 8), (uint8_t)dst};
	__u32 ports;

	memcpy(&ports, b, 4);
	return ports;
}

/* The entry of packets from @e->to to @e->from, which become packets from @want->to to @want->from. */
static struct lb_xlate entry_of(const struct error *e, const struct error *want)
{
	struct lb_conn_key key = {.ports = ports_of(e->to.port, e->from.port)};
	struct lb_conn_key back = {.ports = ports_of(want->from.port, want->to.port)};
	struct lb_xlate x;

	words_of(&e->to, e->v6, key.saddr);
	words_of(&e->from, e->v6, key.daddr);
	words_of(&want->from, want->v6, back.saddr);
	words_of(&want->to, want->v6, back.daddr);
	lb_nat_between(&key, &back, &x);
	return x;
}

static enum lb_xlate_result translate(struct copy *c, const struct lb_icmp_quote *q, bool v6, const struct lb_xlate *x)
{
	return v6 ? lb_icmp_nat6(c->b, c->end, q, x) : lb_icmp_nat4(c->b, c->end, q, x);
}

/* @wanted: what it becomes; its other fields are those of @e. */
static struct error wanted_of(const struct error *e, bool v6)
{
	struct error want = *e;

	want.v6 = v6;
	want.from = random_end();
	want.to = random_end();
	want.ttl--;
	memcpy(want.router, want.to.addr, 16);
	return want;
}

static void test_same(void **state)
{
	for (int round = 0; round < ROUNDS; round++) {
		const struct error e = random_error(round & 1);
		struct error want = wanted_of(&e, e.v6);
		struct lb_icmp_quote q;
		struct lb_xlate x;
		struct pkt in, out;
		struct copy c;

		q = build(&e, &in);
		q.keeps = !below(3);
		if (q.keeps)
			memcpy(want.router, e.router, 16);
		build(&want, &out);
		x = entry_of(&e, &want);
		c = copy_of(&in, in.len);
		assert_int_equal(translate(&c, &q, e.v6, &x), LB_XLATE_OK);
		assert_memory_equal(c.b, out.b, out.len);
		free(c.mem);
	}
}

static void test_cross(void **state)
{
	for (int round = 0; round < ROUNDS; round++) {
		struct error e = random_error(round & 1), want;
		const struct lb_icmp_mtus mtus = {.here = 1500, .there = 1500};
		struct lb_icmp_cross cross;
		struct lb_icmp_quote q;
		struct pkt in, out;
		struct lb_xlate x;
		struct copy c, d;
		uint16_t id = (uint16_t)random64();

		q = build(&e, &in);
		want = wanted_of(&e, !e.v6);
		want.kind = e.v6 ? 0x301 : 0x100;
		want.outer_ext = 0;
		want.quoted_id = 0;
		want.id = id;
		build(&want, &out);
		want.frag = out.len > 1260 ? 0x4000 : 0;
		want.quoted_frag = 20 + l4_head(&e) + e.bytes > 1260 ? 0x4000 : 0;
		build(&want, &out);
		x = entry_of(&e, &want);
		c = copy_of(&in, in.len);
		memset(&cross, 0xee, sizeof(cross));
		assert_int_equal(e.v6 ? lb_icmp_cross_take6(c.b, c.end, &q, mtus, &cross)
				      : lb_icmp_cross_take4(c.b, c.end, &q, mtus, &cross),
				 LB_XLATE_OK);
		assert_memory_equal(c.b, in.b, in.len);
		assert_int_equal((int)in.len - cross.outer.shift, out.len);
		assert_int_equal(cross.outer.len, out.len);
		/* what a driver does: the start moves, the end stays */
		memset(in.b, 0xee, q.l4_off);
		if (cross.outer.shift < 0)
			memmove(in.b - cross.outer.shift, in.b, in.len);
		else
			memmove(in.b, in.b + cross.outer.shift, in.len - (size_t)cross.outer.shift);
		in.len = out.len;
		d = copy_of(&in, in.len);
		assert_int_equal(e.v6 ? lb_icmp_cross_write4(d.b, d.end, &cross, e.proto, &x, id)
				      : lb_icmp_cross_write6(d.b, d.end, &cross, e.proto, &x),
				 LB_XLATE_OK);
		assert_memory_equal(d.b, out.b, out.len);
		free(c.mem);
		free(d.mem);
	}
}

/* Is the checksum of the error at @b right? */
static bool is_right(const uint8_t *b, size_t len, bool v6, size_t icmp)
{
	struct pkt p = {.len = len};

	memcpy(p.b, b, len);
	return (sum16(b + icmp, len - icmp, v6 ? pseudo(&p, 0, true, IPPROTO_ICMPV6, (unsigned int)(len - icmp)) : 0) &
		0xffff) == 0xffff;
}

/* The one who gets it is to see that a bit was flipped on the way. */
static void test_broken(void **state)
{
	for (int round = 0; round < ROUNDS; round++) {
		const struct error e = random_error(round & 1);
		struct error want = wanted_of(&e, e.v6);
		struct lb_icmp_quote q;
		struct lb_xlate x;
		struct pkt in;
		struct copy c;

		q = build(&e, &in);
		x = entry_of(&e, &want);
		assert_true(is_right(in.b, in.len, e.v6, q.icmp_off));
		in.b[q.l4_off + 4 * below(e.quoted_l4 / 4)] ^= (uint8_t)(1U << below(8));
		assert_false(is_right(in.b, in.len, e.v6, q.icmp_off));
		c = copy_of(&in, in.len);
		assert_int_equal(translate(&c, &q, e.v6, &x), LB_XLATE_OK);
		/* of a flipped port nothing is left, as the entry says what it is */
		if (memcmp(in.b + q.l4_off,
			   (const uint8_t[]){(uint8_t)(e.from.port >> 8), (uint8_t)e.from.port,
					     (uint8_t)(e.to.port >> 8), (uint8_t)e.to.port},
			   4) == 0)
			assert_false(is_right(c.b, in.len, e.v6, q.icmp_off));
		free(c.mem);
	}
}

/* Frames that end early, TTLs that are used up, and what the other family does not have: nothing is written. */
static void test_refused(void **state)
{
	for (int round = 0; round < 400; round++) {
		struct error e = random_error(round & 1);
		struct error want = wanted_of(&e, e.v6);
		const struct lb_xlate x = entry_of(&e, &want);
		struct lb_icmp_cross cross;
		struct lb_icmp_quote q;
		struct pkt in;
		struct copy c;

		if (round % 5 == 0)
			e.ttl = (uint8_t)below(2);
		else if (round % 5 == 1)
			e.kind = e.v6 ? 0x105 : 0x30e;
		q = build(&e, &in);
		for (size_t len = 0; len < in.len; len++) {
			bool there = len >= q.l4_off + 4, odd = !there || e.ttl <= 1;
			enum lb_xlate_result r;

			c = copy_of(&in, len);
			r = e.v6 ? lb_icmp_cross_take6(c.b, c.end, &q, wide, &cross)
				 : lb_icmp_cross_take4(c.b, c.end, &q, wide, &cross);
			assert_int_equal(r, !there	     ? LB_XLATE_MALFORMED
					    : e.ttl <= 1     ? LB_XLATE_TTL
					    : round % 5 == 1 ? LB_XLATE_OPTIONS
							     : LB_XLATE_OK);
			if (odd) {
				r = translate(&c, &q, e.v6, &x);
				assert_int_equal(r, there ? LB_XLATE_TTL : LB_XLATE_MALFORMED);
				assert_memory_equal(c.b, in.b, len);
			}
			free(c.mem);
		}
	}
}

/* A fragment, or a quote with more headers than were made here, has no counterpart. */
static void test_not_crossed(void **state)
{
	struct error e = random_error(false);
	struct lb_icmp_cross cross;
	struct lb_icmp_quote q;
	struct pkt in;
	struct copy c;

	e.quoted_frag = 0x2000;
	q = build(&e, &in);
	c = copy_of(&in, in.len);
	assert_int_equal(lb_icmp_cross_take4(c.b, c.end, &q, wide, &cross), LB_XLATE_OPTIONS);
	free(c.mem);
	for (int v6 = 0; v6 < 2; v6++) {
		e = random_error(v6);
		e.quoted_l4 = 16;
		q = build(&e, &in);
		q.l4_off += 8;
		c = copy_of(&in, in.len);
		assert_int_equal(v6 ? lb_icmp_cross_take6(c.b, c.end, &q, wide, &cross)
				    : lb_icmp_cross_take4(c.b, c.end, &q, wide, &cross),
				 LB_XLATE_OPTIONS);
		free(c.mem);
	}
}

/* ---- what fits ---- */

/* Bytes of the packet of @n when lb_cross_take4/6 has seen it; of IPv6 a fragment has its header before all else. */
static unsigned int crossed_len(const struct lb_nat_job *n, bool fragment)
{
	uint8_t b[1024] = {0};
	struct lb_cross c;

	if (n->v6) {
		b[0] = 0x60;
		set16(b + 4, n->len - 40);
		b[7] = 64;
		assert_int_equal(lb_cross_take6(b, b + sizeof(b), n->l4_off, fragment ? 40 : 0, IPPROTO_TCP, &c),
				 LB_XLATE_OK);
	} else {
		b[0] = 0x45;
		set16(b + 2, n->len);
		b[6] = fragment ? 0x20 : 0;
		b[8] = 64;
		b[9] = IPPROTO_TCP;
		assert_int_equal(lb_cross_take4(b, b + sizeof(b), &c), LB_XLATE_OK);
	}
	return c.len;
}

static void test_lengths(void **state)
{
	for (int i = 0; i < ROUNDS; i++) {
		const bool v6 = random64() % 2, fragment = random64() % 2;
		const uint32_t l4_off = !v6 ? 20 : fragment ? 48 : 40 + 8 * (uint32_t)(random64() % 5);
		const struct lb_nat_job n = {
			.v6 = v6, .l4_off = l4_off, .len = l4_off + 20 + (uint32_t)(random64() % 65000)};

		assert_int_equal(lb_nat_len(&n, false, fragment), n.len);
		assert_int_equal(lb_nat_len(&n, true, fragment), crossed_len(&n, fragment));
	}
}

/* A packet of so many bytes fits, and none that is longer. */
static void test_fits(void **state)
{
	for (uint32_t mtu = 88; mtu <= 65535; mtu++)
		for (int way = 0; way < 4; way++) {
			struct lb_nat_job n = {.v6 = way & 1, .l4_off = way & 1 ? 40 : 20};
			const bool cross = way & 2;

			n.len = lb_nat_mtu(mtu, n.v6, cross, false);
			assert_true(lb_nat_len(&n, cross, false) <= mtu);
			n.len++;
			assert_true(lb_nat_len(&n, cross, false) > mtu || n.len > 65535);
		}
	assert_int_equal(lb_nat_mtu(0, false, true, false), 0);
	assert_int_equal(lb_nat_mtu(20, false, true, false), 0);
}

/* The same of fragments; those of IPv6 that are too long are longer than the MTU that their sender gets to know. */
static void test_fragments_fit(void **state)
{
	for (uint32_t mtu = 88; mtu <= 65535; mtu++)
		for (int way = 0; way < 4; way++) {
			struct lb_nat_job n = {.v6 = way & 1, .l4_off = way & 1 ? 48 : 20};
			const bool cross = way & 2;

			n.len = lb_nat_mtu(mtu, n.v6, cross, true);
			assert_true(lb_nat_len(&n, cross, true) <= mtu);
			n.len += n.v6 && cross ? 9 : 1;
			assert_true(lb_nat_len(&n, cross, true) > mtu || n.len > 65535);
		}
	assert_int_equal(lb_nat_mtu(28, false, true, true), 0);
	assert_int_equal(lb_nat_mtu(29, false, true, true), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_to6),
		cmocka_unit_test(test_to4),
		cmocka_unit_test(test_mtus),
		cmocka_unit_test_setup(test_same, seed),
		cmocka_unit_test_setup(test_cross, seed),
		cmocka_unit_test_setup(test_broken, seed),
		cmocka_unit_test_setup(test_refused, seed),
		cmocka_unit_test_setup(test_not_crossed, seed),
		cmocka_unit_test_setup(test_lengths, seed),
		cmocka_unit_test(test_fits),
		cmocka_unit_test(test_fragments_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
