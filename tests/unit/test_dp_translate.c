// SPDX-License-Identifier: GPL-2.0-or-later
/* include/lb/dp/translate.h, against the reference of naive_translate.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lb/dp/translate.h"
#include "naive_translate.h"
#include "random.h"

#define LAST_OFFSET ((0xffff - 20 - 96) / 8) /* with the longest payload that ends where an IPv4 datagram may */

/* ---- the code under test, on buffers where a byte too far is seen ---- */

static void addr_of(const struct meaning *m, const uint8_t *addr, __u64 out[2])
{
	uint8_t mapped[16] = {[10] = 0xff, [11] = 0xff};

	memcpy(mapped + 12, addr, 4);
	memcpy(out, m->v6 ? addr : mapped, 16);
}

static void ports_of(const struct meaning *m, __u32 *ports)
{
	uint8_t b[4];

	put16(b, m->sport);
	put16(b + 2, m->dport);
	memcpy(ports, b, 4);
}

static struct lb_xlate xlate_of(const struct meaning *from, const struct meaning *to)
{
	struct lb_xlate x = {.l3_delta = 0};
	__u64 saddr[2], daddr[2];
	__u32 ports;

	addr_of(from, from->src, saddr);
	addr_of(from, from->dst, daddr);
	ports_of(from, &ports);
	addr_of(to, to->src, x.saddr);
	addr_of(to, to->dst, x.daddr);
	ports_of(to, &x.ports);
	lb_xlate_deltas(&x, saddr, daddr, ports);
	return x;
}

/* Where the IP header lies in memory behind an Ethernet header at offset 2: a place for 32-bit words, not for longer
 * ones. */
#define AT 4

/* @len bytes of @in, ending where the allocation ends. */
static uint8_t *exact(const uint8_t *in, unsigned int len)
{
	uint8_t *p = malloc(AT + len);

	assert_non_null(p);
	memcpy(p + AT, in, len);
	return p + AT;
}

static enum lb_xlate_result run_same(const struct bytes *in, unsigned int len, const struct meaning *m,
				     const struct lb_xlate *x, struct bytes *out)
{
	uint8_t *p = exact(in->b, len), *end = p + len;
	enum lb_xlate_result r;

	if (m->frag_off)
		r = m->v6 ? lb_xlate_fragment6(p, end, x) : lb_xlate_fragment4(p, end, x);
	else
		r = m->v6 ? lb_xlate_packet6(p, end, in->l4_off, m->proto, x)
			  : lb_xlate_packet4(p, end, in->l4_off, m->proto, x);
	if (r != LB_XLATE_OK)
		assert_memory_equal(p, in->b, len);
	memcpy(out->b, p, len);
	out->len = len;
	free(p - AT);
	return r;
}

static enum lb_xlate_result run_cross(const struct bytes *in, unsigned int len, const struct meaning *m,
				      const struct lb_xlate *x, uint16_t id, struct bytes *out)
{
	uint8_t *p = exact(in->b, len);
	struct lb_cross c;
	enum lb_xlate_result r;

	r = m->v6 ? lb_cross_take6(p, p + len, in->l4_off, in->frag_at, m->proto, &c) : lb_cross_take4(p, p + len, &c);
	free(p - AT);
	if (r != LB_XLATE_OK)
		return r;
	/* what bpf_xdp_adjust_head does; new bytes are not zero */
	out->len = (unsigned int)((int)len - c.shift);
	memset(out->b, 0xa5, out->len);
	if (c.shift >= 0)
		memcpy(out->b, in->b + c.shift, out->len);
	else
		memcpy(out->b - c.shift, in->b, len);
	p = exact(out->b, out->len);
	r = m->v6 ? lb_cross_write4(p, p + out->len, &c, x, id) : lb_cross_write6(p, p + out->len, &c, x);
	assert_int_equal(r, LB_XLATE_OK);
	memcpy(out->b, p, out->len);
	free(p - AT);
	if (len == in->len)
		assert_int_equal(c.len, out->len);
	return r;
}

static enum lb_xlate_result run(const struct bytes *in, unsigned int len, const struct meaning *m,
				const struct meaning *to, uint16_t id, struct bytes *out)
{
	struct lb_xlate x = xlate_of(m, to);

	return m->v6 == to->v6 ? run_same(in, len, m, &x, out) : run_cross(in, len, m, &x, id, out);
}

static void check(const struct meaning *m, const struct meaning *to)
{
	uint16_t id = (uint16_t)random64();
	struct bytes in, want, got;
	struct meaning after = *m;

	write_packet(m, &in);
	translated(&after, to, id);
	if (m->fixed_sum >= 0)
		after.fixed_sum = moved_sum(m, to, (unsigned int)m->fixed_sum);
	write_packet(&after, &want);
	assert_int_equal(run(&in, in.len, m, to, id, &got), LB_XLATE_OK);
	assert_int_equal(got.len, want.len);
	assert_memory_equal(got.b, want.b, want.len);
}

static void fill(void *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		((uint8_t *)p)[i] = (uint8_t)random64();
}

static void random_ends(struct meaning *m, bool v6)
{
	m->v6 = v6;
	fill(m->src, 16);
	fill(m->dst, 16);
	if (v6 && !below(4))
		memset(m->dst + 2, 0, 12); /* few bits set */
	m->sport = (uint16_t)random64();
	m->dport = (uint16_t)random64();
}

/* A packet that is translated; into the other family when @cross. */
static struct meaning random_packet(bool cross)
{
	struct meaning m = {.fixed_sum = -1};

	random_ends(&m, below(2));
	fill(m.payload, sizeof(m.payload));
	m.proto = below(2) ? IPPROTO_TCP : IPPROTO_UDP;
	m.tos = (uint8_t)random64();
	m.ttl = (uint8_t)(2 + below(254));
	m.data = below(sizeof(m.payload) + 1);
	m.id4 = (uint16_t)random64();
	m.id6 = (uint32_t)random64();
	if (!below(3))
		m.options = m.v6 ? 8 * (1 + below(4)) : cross ? 0 : 4 * (1 + below(10));
	m.df = !m.v6 && below(2);
	m.fragment = !below(3);
	if (m.fragment) {
		m.df = false;
		m.more = below(2);
		m.frag_off = below(2) ? (uint16_t)(1 + below(LAST_OFFSET)) : 0;
		if (!m.v6 && !m.more && !m.frag_off)
			m.more = true;
		if (m.more && !m.frag_off)
			m.fixed_sum = (int)(1 + below(0xfffe));
	}
	m.no_sum = m.proto == IPPROTO_UDP && !(cross && !m.v6) && !below(4);
	return m;
}

/* ---- tests ---- */

static void test_reference(void **state)
{
	static const uint8_t rfc1071[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};

	assert_int_equal(naive_add(0, rfc1071, 8), 0xddf2); /* RFC 1071, 3 */
	assert_int_equal(naive_sum(0xddf2), 0x220d);
	assert_int_equal(naive_add(0, rfc1071, 7), 0xddf2 - 0xf7);
}

/* RFC 1624, 4: the case that RFC 1141 gets wrong */
static void test_rfc1624(void **state)
{
	__u16 delta = lb_csum_delta(lb_htons(0x5555), lb_htons(0x3285));

	assert_int_equal(lb_csum_apply(lb_htons(0xdd2f), delta), 0);
	assert_int_equal(lb_csum_apply_udp(lb_htons(0xdd2f), delta), 0xffff);
	assert_int_equal(lb_csum_apply_udp(0, delta), 0);
}

static void test_deltas(void **state)
{
	for (int i = 0; i < 100000; i++) {
		uint8_t old[32], new[32];
		__u64 a[4], b[4];
		unsigned int n = below(8);
		__u16 sum, want;

		fill(old, 32);
		fill(new, 32);
		if (!below(8))
			memset(new, below(2) ? 0xff : 0, 32);
		for (unsigned int k = 0; k < n; k++)
			new[k] = old[k];
		old[31] |= 1; /* data that is 0 throughout has another checksum, and no packet is */
		memcpy(a, old, 32);
		memcpy(b, new, 32);
		sum = lb_htons(naive_sum(naive_add(0, old, 32)));
		want = lb_htons(naive_sum(naive_add(0, new, 32)));
		sum = lb_csum_apply(sum, lb_csum_delta(lb_csum_addr(a) + lb_csum_addr(a + 2),
						       lb_csum_addr(b) + lb_csum_addr(b + 2)));
		assert_true(sum == want || (sum == 0 && want == 0xffff)); /* of 0 throughout again */
	}
	assert_int_equal(lb_csum_delta(0x1234, 0x1234), 0xffff);
}

static void test_random_same(void **state)
{
	for (int i = 0; i < 100000; i++) {
		struct meaning m = random_packet(false), to;

		random_ends(&to, m.v6);
		check(&m, &to);
	}
}

static void test_random_cross(void **state)
{
	for (int i = 0; i < 100000; i++) {
		struct meaning m = random_packet(true), to;

		random_ends(&to, !m.v6);
		check(&m, &to);
	}
}

/* One end kept, as in nat; nothing changed at all. */
static void test_kept(void **state)
{
	for (int i = 0; i < 20000; i++) {
		struct meaning m = random_packet(false), to = m;

		check(&m, &to);
		fill(to.dst, 16);
		to.dport = (uint16_t)random64();
		check(&m, &to);
	}
}

/* Data chosen so that the new checksum is 0: UDP says 0xffff then, TCP 0. And the same before. */
static void test_zero_sums(void **state)
{
	for (int i = 0; i < 20000; i++) {
		bool cross = below(2), before = below(2);
		struct meaning m = random_packet(cross), to, after;
		struct bytes p;

		m.fragment = m.more = false;
		m.frag_off = 0;
		m.no_sum = false;
		m.fixed_sum = -1;
		if (m.data < 2)
			m.data = 2;
		m.payload[0] = m.payload[1] = 0;
		random_ends(&to, cross ? !m.v6 : m.v6);
		after = m;
		if (!before)
			translated(&after, &to, 0);
		write_packet(&after, &p);
		put16(m.payload, get16(p.b + p.l4_off + sum_at(m.proto)));
		memcpy(after.payload, m.payload, 2);
		write_packet(&after, &p);
		assert_int_equal(get16(p.b + p.l4_off + sum_at(m.proto)), m.proto == IPPROTO_UDP ? 0xffff : 0);
		check(&m, &to);
	}
}

/* What was wrong remains wrong, for the receiver to see. */
static void test_broken_stays_broken(void **state)
{
	for (int i = 0; i < 5000; i++) {
		bool cross = below(2);
		struct meaning m = random_packet(cross), to, after;
		struct bytes in, got;

		if (m.fragment || m.no_sum || !m.data)
			continue;
		random_ends(&to, cross ? !m.v6 : m.v6);
		after = m;
		translated(&after, &to, 0);
		write_packet(&m, &in);
		in.b[in.len - 1] ^= (uint8_t)(1 + below(254));
		assert_int_equal(run(&in, in.len, &m, &to, 0, &got), LB_XLATE_OK);
		/* adds up to other than 0xffff with its checksum in it */
		write_packet(&after, &in);
		assert_int_not_equal(naive_l4_sum(&after, got.b + in.l4_off, got.len - in.l4_off) % 0xffff, 0);
	}
}

/* Cut at each byte: either translated, being long enough, or refused and left as it was. */
static void test_truncated(void **state)
{
	for (int i = 0; i < 400; i++) {
		bool cross = i % 2;
		struct meaning m = random_packet(cross), to;
		struct bytes in, got;

		random_ends(&to, cross ? !m.v6 : m.v6);
		write_packet(&m, &in);
		for (unsigned int len = 0; len <= in.len; len++) {
			unsigned int need = m.frag_off ? (cross ? in.l4_off : m.v6 ? 40 : 20) : in.l4_off + l4_len(&m);
			enum lb_xlate_result r = run(&in, len, &m, &to, 0, &got);

			assert_int_equal(r, len >= need ? LB_XLATE_OK : LB_XLATE_MALFORMED);
		}
	}
}

static void test_ttl(void **state)
{
	for (int i = 0; i < 2000; i++) {
		bool cross = i % 2;
		struct meaning m = random_packet(cross), to;
		struct bytes in, got;

		random_ends(&to, cross ? !m.v6 : m.v6);
		m.ttl = (uint8_t)(i / 2 % 3);
		write_packet(&m, &in);
		assert_int_equal(run(&in, in.len, &m, &to, 0, &got), m.ttl == 2 ? LB_XLATE_OK : LB_XLATE_TTL);
		if (m.ttl == 2)
			check(&m, &to);
	}
}

static void test_cross_refused(void **state)
{
	struct meaning m = {.proto = IPPROTO_UDP, .ttl = 64, .data = 5, .fixed_sum = -1}, to;
	struct bytes in, got;

	random_ends(&m, false);
	random_ends(&to, true);
	m.no_sum = true;
	write_packet(&m, &in);
	assert_int_equal(run(&in, in.len, &m, &to, 0, &got), LB_XLATE_UNSUMMED);
	m.no_sum = false;

	m.options = 4;
	write_packet(&m, &in);
	assert_int_equal(run(&in, in.len, &m, &to, 0, &got), LB_XLATE_OPTIONS);
	m.options = 0;
	write_packet(&m, &in);
	in.b[0] = 0x44;
	assert_int_equal(run(&in, in.len, &m, &to, 0, &got), LB_XLATE_MALFORMED);
	in.b[0] = 0x45;
	put16(in.b + 2, 19);
	assert_int_equal(run(&in, in.len, &m, &to, 0, &got), LB_XLATE_MALFORMED);

	/* a payload that ends before the transport header begins, and one too long for IPv4 */
	random_ends(&m, true);
	random_ends(&to, false);
	m.options = 16;
	write_packet(&m, &in);
	put16(in.b + 4, 15);
	assert_int_equal(run(&in, in.len, &m, &to, 0, &got), LB_XLATE_MALFORMED);
	m.options = 0;
	write_packet(&m, &in);
	in.l4_off = 36;
	assert_int_equal(run(&in, in.len, &m, &to, 0, &got), LB_XLATE_MALFORMED);
	in.l4_off = 40;
	put16(in.b + 4, 0xffff - 19);
	assert_int_equal(run(&in, in.len, &m, &to, 0, &got), LB_XLATE_MALFORMED);
}

/* DF and ID of IPv4 made from IPv6: to 1260 bytes it may be fragmented, and needs an ID (RFC 7915, 5.1). */
static void test_cross_df(void **state)
{
	for (unsigned int payload = 1220; payload <= 1260; payload++) {
		struct lb_xlate x = {.l3_delta = 0};
		uint8_t in[40 + 20] = {0x60, 0, 0, 0, (uint8_t)(payload >> 8), (uint8_t)payload, IPPROTO_TCP, 64};
		uint8_t *p = exact(in, sizeof(in)), *ip = exact(in, 40);
		struct lb_cross c;

		assert_int_equal(lb_cross_take6(p, p + sizeof(in), 40, 0, IPPROTO_TCP, &c), LB_XLATE_OK);
		assert_int_equal(c.len, payload + 20);
		free(p - AT);
		assert_int_equal(lb_cross_write4(ip, ip + 40, &c, &x, 0xbeef), LB_XLATE_OK);
		assert_int_equal(get16(ip + 2), payload + 20);
		assert_int_equal(get16(ip + 4), payload + 20 > 1260 ? 0 : 0xbeef);
		assert_int_equal(get16(ip + 6), payload + 20 > 1260 ? 0x4000 : 0);
		assert_int_equal(naive_sum(naive_add(0, ip, 20)), 0);
		free(ip - AT);
	}
}

/* A fragment with @bytes of its datagram, of which @at are before it. */
static enum lb_xlate_result take_fragment(unsigned int at, unsigned int bytes, struct lb_cross *c)
{
	uint8_t in[48] = {0x60, [6] = IPPROTO_FRAGMENT, 64, [40] = IPPROTO_UDP};
	enum lb_xlate_result r;
	uint8_t *p;

	put16(in + 4, 8 + bytes);
	put16(in + 42, at);
	p = exact(in, sizeof(in));
	assert_true(lb_cross_fragment6(p, p + sizeof(in)));
	r = lb_cross_take6(p, p + sizeof(in), LB_CROSS_FRAGMENT6, LB_CROSS_FRAGMENT6 - 8, IPPROTO_UDP, c);
	free(p - AT);
	return r;
}

/* An IPv6 datagram may be longer than an IPv4 one, which has its header in its length. */
static void test_cross_overlong(void **state)
{
	struct lb_cross c;

	for (unsigned int at = 8; at <= 65528; at += 8) {
		unsigned int room = at < 65515 ? 65515 - at : 0;

		if (room) {
			assert_int_equal(take_fragment(at, room, &c), LB_XLATE_OK);
			assert_int_equal(c.len, 20 + room);
			assert_int_equal(c.frag_off * 8, at);
		}
		assert_int_equal(take_fragment(at, room + 1, &c), LB_XLATE_OVERLONG);
	}
}

/* Where its fragment header is, of what begins with one. */
static void test_cross_fragment6(void **state)
{
	for (int next = 0; next < 256; next++)
		for (unsigned int len = 40; len <= 48; len++) {
			uint8_t in[48] = {0x60, [6] = (uint8_t)next};
			uint8_t *p = exact(in, len);

			assert_int_equal(lb_cross_fragment6(p, p + len), next == IPPROTO_FRAGMENT && len == 48);
			free(p - AT);
		}
}

/* There and back: TTL apart, the packet is what it was. */
static void test_round_trip(void **state)
{
	for (int i = 0; i < 20000; i++) {
		struct meaning m = random_packet(true), to, there;
		struct bytes in, got, back;

		if (m.fragment || m.no_sum || m.options || m.ttl < 3)
			continue;
		random_ends(&to, below(2));
		write_packet(&m, &in);
		assert_int_equal(run(&in, in.len, &m, &to, m.id4, &got), LB_XLATE_OK);
		there = m;
		translated(&there, &to, m.id4);
		got.l4_off = there.v6 ? 40 : 20;
		got.frag_at = 0;
		assert_int_equal(run(&got, got.len, &there, &m, m.id4, &back), LB_XLATE_OK);
		m.ttl -= 2;
		if (to.v6 != m.v6 && !m.v6)
			m.df = false; /* short */
		write_packet(&m, &in);
		assert_int_equal(back.len, in.len);
		assert_memory_equal(back.b, in.b, in.len);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_reference, seed),
		cmocka_unit_test_setup(test_rfc1624, seed),
		cmocka_unit_test_setup(test_deltas, seed),
		cmocka_unit_test_setup(test_random_same, seed),
		cmocka_unit_test_setup(test_random_cross, seed),
		cmocka_unit_test_setup(test_kept, seed),
		cmocka_unit_test_setup(test_zero_sums, seed),
		cmocka_unit_test_setup(test_broken_stays_broken, seed),
		cmocka_unit_test_setup(test_truncated, seed),
		cmocka_unit_test_setup(test_ttl, seed),
		cmocka_unit_test_setup(test_cross_refused, seed),
		cmocka_unit_test_setup(test_cross_df, seed),
		cmocka_unit_test(test_cross_overlong),
		cmocka_unit_test(test_cross_fragment6),
		cmocka_unit_test_setup(test_round_trip, seed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
