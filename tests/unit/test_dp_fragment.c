// SPDX-License-Identifier: GPL-2.0-or-later
/* include/lb/dp/fragment.h: what a fragment is and what is wrong with it, and the memory of where first ones went, held
 * against one that forgets nothing. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lb/dp/fragment.h"
#include "lb/dp/translate.h"
#include "ip_bytes.h"
#include "random.h"

/* A fragment: @bytes of the datagram from byte @at on. IPv6: @ahead and @behind are bytes of destination options on
 * either side of the fragment header; IPv4: @ahead of options. */
struct frag {
	bool v6;
	unsigned int at;
	bool more;
	unsigned int bytes;
	unsigned int proto; /* 0: TCP */
	size_t ahead, behind;
	size_t pad;
	bool none; /* IPv6: no fragment header at all */
	unsigned int doff; /* of a first one's TCP header, 0: 5 */
};

#define PROTO(f) ((f)->proto ? (f)->proto : IPPROTO_TCP)

/* Where the transport header is, were it a first one; the frame has as much of what is announced as there is room. */
static size_t build(const struct frag *f, struct pkt *p)
{
	unsigned int inner = f->behind ? 60 : PROTO(f);
	size_t l4;

	p->len = 0;
	if (f->v6) {
		put_ip6(p, CLIENT6, VIP6,
			f->ahead  ? 60
			: f->none ? inner
				  : 44,
			f->ahead + (f->none ? 0 : 8) + f->bytes);
		if (f->ahead)
			put_ext6(p, f->none ? inner : 44, f->ahead);
		if (!f->none) {
			put8(p, inner);
			put8(p, 0);
			put16(p, f->at | f->more);
			put16(p, 0xdead);
			put16(p, 0xbeef);
		}
		l4 = p->len + f->behind;
		if (f->behind && !f->at)
			put_ext6(p, PROTO(f), f->behind);
	} else {
		put_ip4(p, CLIENT4, VIP4, PROTO(f), f->ahead, f->bytes);
		set16(p->b + 6, f->at / 8 | (f->more ? 0x2000 : 0));
		l4 = p->len;
	}
	for (size_t i = 0; p->len < sizeof(p->b) - 64 && p->len < l4 - f->behind + f->bytes; i++)
		put8(p, (unsigned int)(0x30 + i));
	if (!f->at && PROTO(f) == IPPROTO_TCP && p->len > l4 + 12)
		p->b[l4 + 12] = (uint8_t)((f->doff ? f->doff : 5) << 4);
	for (size_t i = 0; i < f->pad; i++)
		put8(p, 0xff);
	return l4;
}

struct result {
	enum lb_verdict v;
	struct lb_fragment f;
	struct lb_packet p;
};

/* Its first @len bytes. */
static struct result parse(const struct pkt *p, bool v6, size_t len)
{
	struct copy c = copy_of(p, len);
	struct result r;

	memset(&r, 0xee, sizeof(r));
	r.v = v6 ? lb_fragment_parse6(c.b, c.end, &r.f, &r.p) : lb_fragment_parse4(c.b, c.end, &r.f, &r.p);
	free(c.mem);
	return r;
}

#define UDP IPPROTO_UDP

static const struct {
	const char *what;
	struct frag f;
	enum lb_fragment_kind kind;
	enum lb_fragment_flaw flaw;
} rows[] = {
	{"whole", {.bytes = 100, .none = true}, LB_FRAGMENT_WHOLE, LB_FRAGMENT_SOUND},
	{"whole, with options", {.bytes = 100, .none = true, .ahead = 8}, LB_FRAGMENT_WHOLE, LB_FRAGMENT_SOUND},
	{"atomic", {.bytes = 101}, LB_FRAGMENT_WHOLE, LB_FRAGMENT_SOUND},
	{"first", {.more = true, .bytes = 1400}, LB_FRAGMENT_FIRST, LB_FRAGMENT_SOUND},
	{"first, padded", {.more = true, .bytes = 24, .pad = 9}, LB_FRAGMENT_FIRST, LB_FRAGMENT_SOUND},
	{"first, of UDP", {.more = true, .bytes = 8, .proto = UDP}, LB_FRAGMENT_FIRST, LB_FRAGMENT_SOUND},
	{"first, with options", {.more = true, .bytes = 24, .ahead = 16}, LB_FRAGMENT_FIRST, LB_FRAGMENT_SOUND},
	{"tiny", {.more = true, .bytes = 16}, LB_FRAGMENT_FIRST, LB_FRAGMENT_TINY},
	{"tiniest", {.more = true, .bytes = 8}, LB_FRAGMENT_FIRST, LB_FRAGMENT_TINY},
	{"tiniest, padded", {.more = true, .bytes = 8, .pad = 30}, LB_FRAGMENT_FIRST, LB_FRAGMENT_TINY},
	{"first, all TCP options", {.more = true, .bytes = 64, .doff = 15}, LB_FRAGMENT_FIRST, LB_FRAGMENT_SOUND},
	{"within TCP options", {.more = true, .bytes = 24, .doff = 7}, LB_FRAGMENT_FIRST, LB_FRAGMENT_TINY},
	{"within TCP options, padded", {.more = true, .bytes = 24, .doff = 7, .pad = 9}, LB_FRAGMENT_FIRST,
	 LB_FRAGMENT_TINY},
	{"a TCP header too short", {.more = true, .bytes = 24, .doff = 4}, LB_FRAGMENT_FIRST, LB_FRAGMENT_MALFORMED},
	{"later", {.at = 1400, .more = true, .bytes = 1400}, LB_FRAGMENT_LATER, LB_FRAGMENT_SOUND},
	{"last", {.at = 2800, .bytes = 3}, LB_FRAGMENT_LATER, LB_FRAGMENT_SOUND},
	{"last, of UDP", {.at = 8, .bytes = 1, .proto = UDP}, LB_FRAGMENT_LATER, LB_FRAGMENT_SOUND},
	{"last, behind the header", {.at = 24, .bytes = 1}, LB_FRAGMENT_LATER, LB_FRAGMENT_SOUND},
	{"over the flags", {.at = 8, .more = true, .bytes = 16}, LB_FRAGMENT_LATER, LB_FRAGMENT_OVERLAP},
	{"over the checksum", {.at = 16, .bytes = 16}, LB_FRAGMENT_LATER, LB_FRAGMENT_OVERLAP},
	{"first, not of 8", {.more = true, .bytes = 1401}, LB_FRAGMENT_FIRST, LB_FRAGMENT_MALFORMED},
	{"later, not of 8", {.at = 80, .more = true, .bytes = 41}, LB_FRAGMENT_LATER, LB_FRAGMENT_MALFORMED},
	{"last, empty", {.at = 80}, LB_FRAGMENT_LATER, LB_FRAGMENT_MALFORMED},
	{"later, empty", {.at = 80, .more = true}, LB_FRAGMENT_LATER, LB_FRAGMENT_MALFORMED},
	{"longer than the frame", {.at = 80, .bytes = 4000}, LB_FRAGMENT_LATER, LB_FRAGMENT_MALFORMED},
	{"too far", {.at = 65528, .bytes = 100}, LB_FRAGMENT_LATER, LB_FRAGMENT_OVERLONG},
};
#define NR(a) (sizeof(a) / sizeof((a)[0]))

static void test_rows(void **state)
{
	for (size_t i = 0; i < 2 * NR(rows); i++) {
		struct frag f = rows[i / 2].f;
		struct result r;
		struct pkt p;
		size_t l4;

		f.v6 = i % 2;
		l4 = build(&f, &p);
		r = parse(&p, f.v6, p.len);
		if (r.v != LB_V_FORWARDED || r.f.kind != rows[i / 2].kind || r.f.flaw != rows[i / 2].flaw)
			fail_msg("%s, IPv%d: %d, kind %d, flaw %d", rows[i / 2].what, f.v6 ? 6 : 4, r.v, r.f.kind,
				 r.f.flaw);
		assert_int_equal(r.f.at, f.at);
		assert_int_equal(r.f.bytes, f.bytes);
		assert_int_equal(r.f.more, f.more);
		assert_int_equal(r.f.proto, PROTO(&f));
		assert_int_equal(r.p.v6, f.v6);
		if (r.f.kind != LB_FRAGMENT_FIRST)
			continue;
		assert_memory_equal(&r.p.ports, p.b + l4, 4);
		assert_int_equal(r.p.proto, PROTO(&f));
		assert_int_equal(r.p.v6, f.v6);
		assert_int_equal(r.p.len, p.len - f.pad);
		assert_int_equal(r.p.room, p.len);
		assert_memory_equal((const uint8_t *)r.p.saddr + (f.v6 ? 0 : 12), p.b + (f.v6 ? 8 : 12), f.v6 ? 16 : 4);
		assert_memory_equal((const uint8_t *)r.p.daddr + (f.v6 ? 0 : 12), p.b + (f.v6 ? 24 : 16),
				    f.v6 ? 16 : 4);
		if (!f.proto && f.bytes >= 20)
			assert_int_equal(r.p.tcp_flags, p.b[l4 + 13]);
	}
}

/* The greatest datagram, and one byte more (RFC 791, RFC 8200 4.5). */
static void test_greatest(void **state)
{
	for (int ahead = 0; ahead <= 24; ahead += 8) {
		struct frag f = {.at = 65000, .ahead = (size_t)ahead};
		struct pkt p;

		f.bytes = 65535 - 20 - (unsigned int)ahead - f.at;
		build(&f, &p);
		assert_int_equal(parse(&p, false, p.len).f.flaw, LB_FRAGMENT_SOUND);
		f.bytes++;
		build(&f, &p);
		assert_int_equal(parse(&p, false, p.len).f.flaw, LB_FRAGMENT_OVERLONG);
		f.v6 = true;
		f.bytes = 65535 - (unsigned int)ahead - f.at;
		build(&f, &p);
		assert_int_equal(parse(&p, true, p.len).f.flaw, LB_FRAGMENT_SOUND);
		f.bytes++;
		build(&f, &p);
		assert_int_equal(parse(&p, true, p.len).f.flaw, LB_FRAGMENT_OVERLONG);
	}
}

/* IPv6 headers that belong to the datagram: a first fragment without all of them is tiny or says nothing (RFC 7112). */
static void test_headers_behind(void **state)
{
	for (unsigned int bytes = 8; bytes <= 64; bytes += 8) {
		struct frag f = {.v6 = true, .more = true, .bytes = bytes, .behind = 16, .pad = 40};
		struct result r;
		struct pkt p;
		size_t l4 = build(&f, &p);

		r = parse(&p, true, p.len); /* all that is too much is padding */
		if (bytes < 24)
			assert_int_equal(r.v, LB_V_PASS_TRUNCATED);
		p.len = 40 + 8 + bytes;
		r = parse(&p, true, p.len);
		if (bytes < 24) {
			assert_int_equal(r.v, LB_V_PASS_TRUNCATED);
			continue;
		}
		assert_int_equal(r.v, LB_V_FORWARDED);
		assert_memory_equal(&r.p.ports, p.b + l4, 4);
		assert_int_equal(r.p.proto, IPPROTO_TCP);
		assert_int_equal(r.f.proto, 60);
		assert_int_equal(r.f.flaw, bytes < 16 + 20 ? LB_FRAGMENT_TINY : LB_FRAGMENT_SOUND);
	}
}

static void test_passed(void **state)
{
	struct frag f4 = {.more = true, .bytes = 48},
		    f6 = {.v6 = true, .more = true, .bytes = 48, .ahead = 8, .behind = 8};
	struct pkt p;

	build(&f4, &p);
	p.b[9] = 1;
	assert_int_equal(parse(&p, false, p.len).v, LB_V_PASS_PROTOCOL);
	p.b[9] = 6;
	p.b[0] = 0x65;
	assert_int_equal(parse(&p, false, p.len).v, LB_V_PASS_NOT_IP);
	p.b[0] = 0x44;
	assert_int_equal(parse(&p, false, p.len).v, LB_V_PASS_TRUNCATED);
	p.b[0] = 0x45;
	p.b[2] = 0;
	p.b[3] = 19;
	assert_int_equal(parse(&p, false, p.len).v, LB_V_PASS_TRUNCATED);

	build(&f6, &p);
	assert_int_equal(parse(&p, true, p.len).v, LB_V_FORWARDED);
	p.b[56] = 58; /* what follows the options behind the fragment header */
	assert_int_equal(parse(&p, true, p.len).v, LB_V_PASS_PROTOCOL);
	p.b[56] = 44; /* a fragment of a fragment */
	assert_int_equal(parse(&p, true, p.len).v, LB_V_PASS_FRAGMENT);
	memset(p.b + 64, 0, 4);
	p.b[67] = 1; /* the first one of a fragment */
	assert_int_equal(parse(&p, true, p.len).v, LB_V_PASS_FRAGMENT);
	build(&f6, &p);
	p.b[41] = 255; /* options longer than the frame */
	assert_true(parse(&p, true, p.len).v == LB_V_PASS_TRUNCATED);
	build(&f6, &p);
	memset(p.b + 24, 0, 10);
	p.b[34] = p.b[35] = 0xff;
	assert_int_equal(parse(&p, true, p.len).v, LB_V_PASS_NO_SERVICE);
}

static void test_truncated(void **state)
{
	for (size_t i = 0; i < 2 * NR(rows); i++) {
		struct frag f = rows[i / 2].f;
		struct pkt p;
		size_t l4;

		f.v6 = i % 2;
		f.pad = 0;
		l4 = build(&f, &p);
		for (size_t len = 0; len < p.len; len++) {
			struct result r = parse(&p, f.v6, len);
			size_t needed = f.v6 ? l4 - f.behind : 20;

			if (rows[i / 2].kind == LB_FRAGMENT_FIRST)
				needed = l4 + 4;
			assert_int_equal(r.v, len < needed ? LB_V_PASS_TRUNCATED : LB_V_FORWARDED);
			if (r.v == LB_V_FORWARDED)
				assert_int_equal(r.f.flaw, LB_FRAGMENT_MALFORMED);
		}
	}
}

static void test_random_bytes(void **state)
{
	size_t kinds[3] = {}, flaws[5] = {};

	for (int i = 0; i < 200000; i++) {
		struct frag f = rows[random64() % NR(rows)].f;
		struct result r;
		struct pkt p;

		f.v6 = i & 1;
		if (f.bytes > 100)
			f.bytes = 96;
		build(&f, &p);
		for (unsigned int k = random64() % 5; k; k--)
			p.b[random64() % p.len] = (uint8_t)random64();
		r = parse(&p, f.v6, random64() % 2 ? p.len : random64() % p.len);
		if (r.v == LB_V_FORWARDED) {
			kinds[r.f.kind]++;
			flaws[r.f.flaw]++;
		}
	}
	for (int i = 0; i < 3; i++)
		assert_true(kinds[i] > 100);
	for (int i = 0; i < 5; i++)
		assert_true(flaws[i] > 100);
}

/* ---- the memory ---- */

static void test_hash(void **state)
{
	const __u64 key[2] = {3, 4};
	const struct lb_fragment f = {.id = 7, .proto = 17};
	struct lb_packet a = {.saddr = {1, 2}, .daddr = {3, 4}, .v6 = true}, b;
	__u64 h = lb_fragment_hash(key, &f, &a);
	struct lb_fragment g = f;

	g.proto = 6; /* what a later IPv6 fragment says of it does not count */
	g.at = 1000;
	g.bytes = 5;
	assert_true(lb_fragment_hash(key, &g, &a) == h);
	g.id ^= 1;
	assert_true(lb_fragment_hash(key, &g, &a) != h);
	for (int i = 0; i < 4; i++) {
		b = a;
		*(i < 2 ? &b.saddr[i] : &b.daddr[i - 2]) ^= 1ULL << 40;
		assert_true(lb_fragment_hash(key, &f, &b) != h);
	}
	a.v6 = false;
	h = lb_fragment_hash(key, &f, &a);
	for (int i = 0; i < 4; i++) {
		b = a;
		g = f;
		b.saddr[1] ^= i == 0 ? 0xffULL << 32 : 0;
		b.daddr[1] ^= i == 1 ? 0xffULL << 32 : 0;
		g.id ^= i == 2;
		g.proto ^= i == 3;
		assert_true(lb_fragment_hash(key, &g, &b) != h);
	}
}

/* A first and a later fragment of one datagram meet. */
static void test_meet(void **state)
{
	const __u64 key[2] = {5, 6};

	for (int v6 = 0; v6 < 2; v6++) {
		struct frag first = {.v6 = v6, .more = true, .bytes = 96, .proto = UDP, .behind = v6 ? 8 : 0};
		struct frag later = {.v6 = v6, .at = 96, .bytes = 50, .proto = UDP};
		struct lb_flow_set set = {};
		struct pkt p;
		struct result r;
		__u64 h1, h2;

		build(&first, &p);
		r = parse(&p, v6, p.len);
		h1 = lb_fragment_hash(key, &r.f, &r.p);
		build(&later, &p);
		r = parse(&p, v6, p.len);
		h2 = lb_fragment_hash(key, &r.f, &r.p);
		assert_true(h1 == h2);
		assert_int_equal(lb_fragment_find(&set, h2, v6, 200), 0);
		set.entry[lb_fragment_way(&set, h1, 200)] = lb_fragment_entry(h1, 0x123456, 200);
		assert_int_equal(lb_fragment_find(&set, h2, v6, 200), 0x123456);
	}
}

static void test_ages(void **state)
{
	const __u64 hash = 0x123456789abcdef0ULL, s = 1000000000ULL;
	struct lb_flow_set set = {};

	for (__u64 t = 0; t < 2000 * s; t += 777 * s / 10) { /* also where the age wraps */
		set.entry[3] = lb_fragment_entry(hash, 9, lb_fragment_age(t));
		assert_int_equal(lb_fragment_find(&set, hash, false, lb_fragment_age(t + 30 * s)), 9);
		assert_int_equal(lb_fragment_find(&set, hash, false, lb_fragment_age(t + 35 * s)), 0);
		assert_int_equal(lb_fragment_find(&set, hash, true, lb_fragment_age(t + 60 * s)), 9);
		assert_int_equal(lb_fragment_find(&set, hash, true, lb_fragment_age(t + 65 * s)), 0);
	}
}

/* The caller's bits are those of the flow cache's entries. */
static void test_where(void **state)
{
	const __u64 flow = LB_FLOW(0x5a5a5a5a, 77, 200, true, 0x7abc);
	const __u64 e = lb_fragment_entry(0xffffffff00000000ULL, (__u32)flow & LB_FRAGMENT_WHERE, 13);

	assert_int_equal(LB_FLOW_GEN(e), 200);
	assert_int_equal(LB_FLOW_BACKEND(e), 0x7abc);
	assert_int_equal(LB_FLOW_PROVEN(e), 1);
	assert_int_equal(LB_FLOW_AGE(e), 13);
	assert_int_equal(lb_fragment_set_idx(0x1234567887654321ULL), 0x321);
}

/* Which way is taken, told naively: that of the same datagram, or an empty one, or the one that is idle for longest. */
static void check_way(const struct lb_flow_set *set, __u64 hash, __u8 age, unsigned int way)
{
	bool empty = false, same = false;
	unsigned int idle = 0;

	assert_true(way < LB_FLOW_WAYS);
	for (int i = 0; i < LB_FLOW_WAYS; i++) {
		if (!set->entry[i])
			empty = true;
		else if (set->entry[i] >> 33 == hash >> 33)
			same = true;
		if ((__u8)(age - LB_FLOW_AGE(set->entry[i])) > idle)
			idle = (__u8)(age - LB_FLOW_AGE(set->entry[i]));
	}
	if (same)
		assert_true(set->entry[way] >> 33 == hash >> 33);
	else if (empty)
		assert_true(!set->entry[way]);
	else
		assert_int_equal((__u8)(age - LB_FLOW_AGE(set->entry[way])), idle);
}

/* A set against a list of all that was put into it and not overwritten. */
static void test_set_random(void **state)
{
	struct {
		__u64 hash;
		__u32 where;
		unsigned int tick;
	} in[LB_FLOW_WAYS];

	for (int round = 0; round < 500; round++) {
		unsigned int tick = (unsigned int)(random64() % 256), spread = 1 + (unsigned int)(random64() % 30);
		struct lb_flow_set set = {};

		memset(in, 0, sizeof(in));
		for (int n = 0; n < 100; n++) {
			__u64 hash = (random64() % spread + 1) << 33 | 0x111;
			unsigned int way;

			tick += random64() % 3 == 0;
			way = lb_fragment_way(&set, hash, (__u8)tick);
			check_way(&set, hash, (__u8)tick, way);
			in[way].hash = hash;
			in[way].where = 1 + (__u32)(random64() % 0xffffff);
			in[way].tick = tick;
			set.entry[way] = lb_fragment_entry(hash, in[way].where, (__u8)tick);
			for (__u64 h = 1; h <= spread + 1; h++) {
				__u32 where4 = 0, where6 = 0;

				for (int i = 0; i < LB_FLOW_WAYS; i++) {
					if (in[i].hash >> 33 != h)
						continue;
					where4 = tick - in[i].tick <= LB_FRAGMENT_IDLE4 ? in[i].where : 0;
					where6 = tick - in[i].tick <= LB_FRAGMENT_IDLE6 ? in[i].where : 0;
				}
				assert_int_equal(lb_fragment_find(&set, h << 33, false, (__u8)tick), where4);
				assert_int_equal(lb_fragment_find(&set, h << 33, true, (__u8)tick), where6);
			}
		}
	}
}

/* Halves of ports come back as they went in, and are no backends. */
static void test_ports(void **state)
{
	const __u64 hash = 0x0123456789abcdefULL;

	for (__u32 half = 0; half <= 0xffff; half++)
		for (__u32 tcp = 0; tcp < 2; tcp++) {
			__u32 proto = tcp ? IPPROTO_TCP : IPPROTO_UDP, where = lb_fragment_ports(half, proto);

			assert_true(lb_fragment_is_ports(where));
			assert_int_equal(lb_fragment_half(where), half);
			assert_int_equal(lb_fragment_proto(where), proto);
			assert_int_equal(where & ~LB_FRAGMENT_WHERE, 0);
		}
	for (__u32 gen = 0; gen < 256; gen++)
		for (__u32 backend = 1; backend < LB_MAX_BACKENDS; backend = 2 * backend + 1)
			assert_false(lb_fragment_is_ports((__u32)LB_FLOW(0, 0, gen, true, backend)));
	assert_false(lb_fragment_is_ports(0));
	assert_int_equal(lb_fragment_other(lb_fragment_other(hash)), hash);
	assert_int_not_equal(lb_flow_tag(lb_fragment_other(hash)), lb_flow_tag(hash));
}

/* ---- IDs of translated ones ---- */

/* @p with @salt added to its ID, of as much of it as @len. */
static struct pkt salted(const struct pkt *p, bool v6, size_t len, uint32_t salt)
{
	struct copy c = copy_of(p, len);
	struct pkt q = {.len = len};

	if (v6)
		lb_xlate_id6(c.b, c.end, salt);
	else
		lb_xlate_id4(c.b, c.end, salt);
	memcpy(q.b, c.b, len);
	free(c.mem);
	return q;
}

/* The ID is another, each of another, and nothing else: IPv4's checksum is as right as it was. */
static void test_ids(void **state)
{
	static uint8_t seen[65536];
	const uint32_t salt = (uint32_t)random64();
	struct frag f = {.at = 80, .more = true, .bytes = 80, .proto = UDP};
	struct pkt p, q;

	for (uint32_t id = 0; id < 65536; id++) {
		uint16_t now;

		build(&f, &p);
		memcpy(p.b + 4, &(uint16_t){(uint16_t)id}, 2);
		set16(p.b + 10, 0);
		set16(p.b + 10, 0xffff & ~sum16(p.b, 20, 0));
		q = salted(&p, false, p.len, salt);
		memcpy(&now, q.b + 4, 2);
		assert_int_equal(now, (uint16_t)(id + salt));
		assert_false(seen[now]++);
		assert_int_equal(sum16(q.b, 20, 0), 0xffff);
		memcpy(p.b + 4, q.b + 4, 2);
		memcpy(p.b + 10, q.b + 10, 2);
		assert_memory_equal(p.b, q.b, p.len);
	}
	f.v6 = true;
	build(&f, &p);
	q = salted(&p, true, p.len, salt);
	assert_int_equal(parse(&q, true, q.len).f.id, parse(&p, true, p.len).f.id + salt);
	memcpy(p.b + 44, q.b + 44, 4);
	assert_memory_equal(p.b, q.b, p.len);
}

/* What has none where it is looked for, or not all of it, stays as it is. */
static void test_no_ids(void **state)
{
	const struct frag without[] = {{.v6 = true, .bytes = 100, .none = true}, {.v6 = true, .ahead = 8, .bytes = 80}};
	const struct frag with[] = {{.at = 80, .bytes = 80}, {.v6 = true, .at = 80, .bytes = 80}};
	struct pkt p, q;

	for (int i = 0; i < 2; i++) {
		build(&without[i], &p);
		q = salted(&p, true, p.len, 0x01020304);
		assert_memory_equal(p.b, q.b, p.len);
		build(&with[i], &p);
		for (size_t len = 0; len < (i ? 48 : 20); len++) {
			q = salted(&p, i, len, 0x01020304);
			assert_memory_equal(p.b, q.b, len);
		}
	}
}

/* Whoever sends, and whomever to, makes another one, no more often the same than chance has it. */
static void test_salts(void **state)
{
	static uint32_t count[65536];
	const __u64 key[2] = {7, 8};
	const struct lb_hash_secret s = lb_hash_secret(key);
	unsigned int same = 0;

	for (uint32_t i = 0; i < 4096; i++) {
		const __u64 client[2] = {0, lb_addr_of4(lb_htonl(0x0a000000 + i))};
		const __u64 other[2] = {0, lb_addr_of4(lb_htonl(0xc0000200 + i))};
		const __u64 one[2] = {0, lb_addr_of4(lb_htonl(0xc000020a))};
		const __u64 six[2] = {lb_htonll(0x20010db800000000ULL), lb_htonll(i)};

		same += count[(uint16_t)lb_fragment_salt(&s, client, one)]++;
		same += count[(uint16_t)lb_fragment_salt(&s, one, other)]++;
		same += count[(uint16_t)lb_fragment_salt(&s, six, one)]++;
		same += count[(uint16_t)lb_fragment_salt(&s, one, six)]++;
	}
	/* pairs of 16384, of which one in 65536 are the same: 2048, give or take 45 */
	assert_in_range(same, 2048 - 6 * 46, 2048 + 6 * 46);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_greatest),
		cmocka_unit_test(test_headers_behind),
		cmocka_unit_test(test_passed),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test_setup(test_random_bytes, seed),
		cmocka_unit_test(test_hash),
		cmocka_unit_test(test_meet),
		cmocka_unit_test(test_ages),
		cmocka_unit_test(test_where),
		cmocka_unit_test_setup(test_set_random, seed),
		cmocka_unit_test(test_ports),
		cmocka_unit_test_setup(test_ids, seed),
		cmocka_unit_test(test_no_ids),
		cmocka_unit_test(test_salts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
