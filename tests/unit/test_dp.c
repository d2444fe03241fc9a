// SPDX-License-Identifier: GPL-2.0-or-later
/* include/lb/dp: the hash, the flow cache, steering, checksums and the outer source, against naive ways to the same. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lb/dp/encap.h"
#include "lb/dp/flow.h"
#include "lb/dp/hash.h"
#include "lb/dp/steer.h"
#include "bytes.h"
#include "random.h"

/* ---- hash ---- */

/* SipHash-c-d of bytes, as the paper writes it: v0..v3 in an array, the message byte by byte. */
static void naive_rounds(uint64_t v[4], int n)
{
	static const int by[4] = {13, 16, 17, 21};

	while (n--) {
		for (int half = 0; half < 2; half++) {
			int a = half ? 2 : 0, b = 1, c = half ? 0 : 2, d = 3;
			int rb = half ? by[2] : by[0], rd = half ? by[3] : by[1];

			v[a] += v[b];
			v[c] += v[d];
			v[b] = (v[b] << rb | v[b] >> (64 - rb)) ^ v[a];
			v[d] = (v[d] << rd | v[d] >> (64 - rd)) ^ v[c];
			v[a] = v[a] << 32 | v[a] >> 32;
		}
	}
}

static uint64_t naive_siphash(int c, int d, const uint8_t key[16], const uint8_t *msg, size_t len)
{
	static const char init[] = "somepseudorandomlygeneratedbytes";
	uint64_t v[4], m = 0;

	for (int i = 0; i < 4; i++) {
		v[i] = 0;
		for (int k = 0; k < 8; k++)
			v[i] |= (uint64_t)((uint8_t)init[8 * i + k]) << (56 - 8 * k);
		for (int k = 0; k < 8; k++)
			v[i] ^= (uint64_t)key[8 * (i % 2) + k] << 8 * k;
	}
	for (size_t i = 0; i <= len; i++) {
		bool last = i == len;

		if (last)
			m |= (uint64_t)(len & 0xff) << 56;
		else
			m |= (uint64_t)msg[i] << 8 * (i % 8);
		if (last || i % 8 == 7) {
			v[3] ^= m;
			naive_rounds(v, c);
			v[0] ^= m;
			m = 0;
		}
	}
	v[2] ^= 0xff;
	naive_rounds(v, d);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static void test_hash_vectors(void **state)
{
	uint8_t key[16], msg[15];
	__u64 key64[2];

	for (unsigned int i = 0; i < 16; i++)
		key[i] = (uint8_t)i;
	for (unsigned int i = 0; i < 15; i++)
		msg[i] = (uint8_t)i;
	memcpy(key64, key, 16);
	/* the naive way is right: SipHash-2-4, the paper's appendix A */
	assert_int_equal(naive_siphash(2, 4, key, msg, 15), 0xa129ca6149be45e5ULL);
	/* and so is ours: SipHash-1-3 of nothing */
	assert_int_equal(naive_siphash(1, 3, key, msg, 0), 0xabac0158050fc4dcULL);
	assert_int_equal(lb_sip_words(key64, NULL, 0), 0xabac0158050fc4dcULL);
}

static uint64_t naive_round(const struct lb_hash_secret *s, int i, uint64_t x)
{
	uint64_t product = (x ^ s->add[i]) * s->mul[i], turned = 0;

	for (int byte = 0; byte < 8; byte++)
		turned |= (product >> (8 * byte) & 0xff) << (56 - 8 * byte);
	return turned;
}

static void test_hash_flows(void **state)
{
	for (int i = 0; i < 10000; i++) {
		__u64 key[2] = {random64(), random64()}, a[2] = {random64(), random64()}, x;
		uint64_t vip = random64();
		__u16 port = (__u16)random64();
		struct lb_hash_secret s = lb_hash_secret(key);
		uint8_t key_bytes[16];

		memcpy(key_bytes, key, 16);
		for (uint64_t nr = 0; nr < 2 * LB_HASH_ROUNDS; nr++)
			assert_int_equal(nr < LB_HASH_ROUNDS ? s.add[nr] : s.mul[nr - LB_HASH_ROUNDS],
					 naive_siphash(1, 3, key_bytes, (const uint8_t *)&nr, 8) |
						 (nr >= LB_HASH_ROUNDS));
		assert_int_equal(lb_sip_words(key, a, 2), naive_siphash(1, 3, key_bytes, (const uint8_t *)a, 16));

		x = vip ^ (a[0] & 0xffffffff) << 16 ^ port;
		for (int r = 0; r < 3; r++)
			x = naive_round(&s, r, x);
		assert_int_equal(lb_hash_flow4(&s, vip, (__u32)a[0], port), (x ^ s.add[3]) * s.mul[3]);

		x = naive_round(&s, 0, vip ^ port) ^ a[0];
		x = naive_round(&s, 1, x) ^ a[1];
		x = naive_round(&s, 3, naive_round(&s, 2, x));
		x = naive_round(&s, 0, x);
		assert_int_equal(lb_hash_flow6(&s, vip, a, port), (x ^ s.add[1]) * s.mul[1]);
	}
}

/* What of a hash places a flow: its slot in the largest table, and its set in the cache. */
#define PLACE_BITS 37
static uint64_t place_of(uint64_t hash)
{
	return hash >> 44 << 17 | lb_flow_set_idx(hash);
}

static uint64_t hash_of(bool v6, const struct lb_hash_secret *s, const uint64_t in[3])
{
	return v6 ? lb_hash_flow6(s, 0, (const __u64 *)in, (__u16)in[2])
		  : lb_hash_flow4(s, 0, (__u32)in[0], (__u16)in[2]);
}

/* Under a key that is not known, a difference between two flows says nothing about the difference between their places:
 * each bit of those is as likely to differ as not, whichever bit of the address or port was another. */
static void test_hash_avalanche(void **state)
{
	enum { ROUNDS = 4000 };

	for (int bit = 0; bit < 48 + 144; bit++) {
		bool v6 = bit >= 48;
		int nr = v6 ? bit - 48 : bit < 32 ? bit : 128 + bit - 32;
		int flips[PLACE_BITS] = {0};

		for (int i = 0; i < ROUNDS; i++) {
			const __u64 key[2] = {random64(), random64()};
			struct lb_hash_secret s = lb_hash_secret(key);
			uint64_t in[3] = {random64(), random64(), random64()}, differs;

			differs = place_of(hash_of(v6, &s, in));
			in[nr / 64] ^= 1ULL << nr % 64;
			differs ^= place_of(hash_of(v6, &s, in));
			for (int j = 0; j < PLACE_BITS; j++)
				flips[j] += differs >> j & 1;
		}
		/* Five standard deviations of 7104 counts. */
		for (int j = 0; j < PLACE_BITS; j++)
			assert_in_range(flips[j], ROUNDS / 2 - 160, ROUNDS / 2 + 160);
	}
}

/* Flows as they come, one port after the other and one address after the other, fill the slots of a table and the sets
 * of the cache as evenly as chance would: chi square of 1024 cells. */
static void test_hash_spread(void **state)
{
	enum { CELLS = 1024, FLOWS = 1 << 16 };

	for (int round = 0; round < 40; round++) {
		const __u64 key[2] = {random64(), random64()};
		struct lb_hash_secret s = lb_hash_secret(key);
		unsigned int slots[CELLS] = {0}, sets[CELLS] = {0};
		double chi_slots = 0, chi_sets = 0;

		for (uint32_t i = 0; i < FLOWS; i++) {
			uint64_t in[3] = {0x0a000001, 0xb80d0120, htons(32768)}, hash;

			if (round & 1)
				in[2] = (__u16)i; /* one client's ports */
			else
				in[round & 2 ? 1 : 0] += (uint64_t)htonl(i) << (round & 2 ? 32 : 0);
			hash = hash_of(round & 2, &s, in);
			slots[hash >> 54]++;
			sets[lb_flow_set_idx(hash) % CELLS]++;
		}
		for (int i = 0; i < CELLS; i++) {
			double a = (double)slots[i] - FLOWS / CELLS, b = (double)sets[i] - FLOWS / CELLS;

			chi_slots += a * a / (FLOWS / CELLS);
			chi_sets += b * b / (FLOWS / CELLS);
		}
		/* Six standard deviations above the mean of 1023. More even than chance is no fault. */
		assert_true(chi_slots < 1023 + 6 * 45.2);
		assert_true(chi_sets < 1023 + 6 * 45.2);
	}
}

/* ---- flow ---- */

static void test_flow_words(void **state)
{
	__u64 e = LB_FLOW(0xdeadbeee, 0x12, 0x34, true, 0x7abc), touched;

	assert_int_equal(e, 0xdeadbeee1234fabcULL);
	assert_int_equal(LB_FLOW(0xdeadbeef, 0x12, 0x34, true, 0x7abc), e); /* the last bit is not the tag's */
	assert_int_equal(LB_FLOW_TAG(e), 0xdeadbeee);
	assert_int_equal(LB_FLOW_TAG(e | LB_FLOW_CLOSED), 0xdeadbeee);
	assert_int_equal(LB_FLOW_AGE(e), 0x12);
	assert_int_equal(LB_FLOW_GEN(e), 0x34);
	assert_int_equal(LB_FLOW_PROVEN(e), 1);
	assert_int_equal(LB_FLOW_BACKEND(e), 0x7abc);

	touched = lb_flow_touch(e, 0x13, false, false);
	assert_int_equal(touched, 0xdeadbeee1334fabcULL); /* what is proven stays so */
	assert_int_equal(lb_flow_touch(0xdeadbeee12347abcULL, 0x12, false, false), 0xdeadbeee12347abcULL);
	assert_int_equal(lb_flow_touch(0xdeadbeee12347abcULL, 0x12, true, false), 0xdeadbeee1234fabcULL);
	assert_int_equal(lb_flow_touch(0xdeadbeee12347abcULL, 0x12, false, true), 0xdeadbeef12347abcULL);
	assert_int_equal(lb_flow_touch(0xdeadbeef12347abcULL, 0x12, false, false), 0xdeadbeef12347abcULL);

	assert_int_equal(lb_flow_age(5ULL << 36), 5);
	assert_int_equal(lb_flow_age(261ULL << 36), 5);
	assert_int_equal(lb_flow_idle(LB_FLOW(1, 250, 0, 0, 1), 3), 9); /* over the wrap */
}

static void test_flow_places(void **state)
{
	const __u64 hash = 0xfedcba9876543210ULL;
	__u32 tag = lb_flow_tag(hash);

	assert_int_equal(tag, 0xfedcba98);
	assert_int_equal(lb_flow_set_idx(hash), (0x76543210 ^ 0xfedcba98) & (LB_FLOW_SETS - 1));
	for (unsigned int shift = LB_TABLE_SHIFT_MIN; shift <= LB_TABLE_SHIFT_MAX; shift++) {
		assert_int_equal(lb_flow_slot(tag, shift), hash >> (64 - shift));
		/* a doubled table splits each slot in two */
		assert_int_equal(lb_flow_slot(tag, shift + 1) / 2, lb_flow_slot(tag, shift));
	}
	assert_int_equal(lb_flow_slot(tag, 0), 0);
}

static void test_flow_find(void **state)
{
	struct lb_flow_set set = {0};

	assert_int_equal(lb_flow_find(&set, 6), -1);
	assert_int_equal(lb_flow_find(&set, 0), -1); /* an empty way is no entry of tag 0 */
	for (int i = 0; i < LB_FLOW_WAYS; i++)
		set.entry[i] = LB_FLOW(100 + 2 * i, 0, 0, false, 1) | (i % 3 ? 0 : LB_FLOW_CLOSED);
	for (int i = 0; i < LB_FLOW_WAYS; i++)
		assert_int_equal(lb_flow_find(&set, 100 + 2 * (__u32)i), i);
	assert_int_equal(lb_flow_find(&set, 98), -1);
	assert_int_equal(lb_flow_find(&set, 116), -1);
	set.entry[3] = LB_FLOW(0, 0, 0, false, 1);
	assert_int_equal(lb_flow_find(&set, 0), 3);
}

/* How good a victim is, as flow.h's comment has it: 4 empty, 3 expired, 2 unproven, 1 proven. */
static int victim_class(__u64 e, __u8 now)
{
	__u8 idle = (__u8)(now - LB_FLOW_AGE(e));

	if (!e)
		return 4;
	if (LB_FLOW_PROVEN(e))
		return idle > 109 ? 3 : 1;
	return idle > 2 ? 3 : 2;
}

static void test_flow_victim(void **state)
{
	int seen[5] = {0};

	for (int round = 0; round < 200000; round++) {
		bool proven = random64() & 1;
		__u8 now = (__u8)random64();
		struct lb_flow_set set;
		int best = 0, way;

		for (int i = 0; i < LB_FLOW_WAYS; i++) {
			static const __u8 idles[] = {0, 1, 2, 3, 50, 109, 110, 255};
			int nr_idles = round % 3 ? 8 : 3, c;

			set.entry[i] = LB_FLOW(random64(), now - idles[random64() % nr_idles], random64(),
					       round % 5 == 0 || random64() & 1, 1 + random64() % 32767);
			if (random64() % 64 == 0)
				set.entry[i] = 0;
			c = victim_class(set.entry[i], now);
			best = c > best ? c : best;
		}
		way = lb_flow_victim(&set, proven, now);
		if (best == 1 && !proven) {
			assert_int_equal(way, -1);
			seen[0]++;
			continue;
		}
		assert_in_range(way, 0, LB_FLOW_WAYS - 1);
		assert_int_equal(victim_class(set.entry[way], now), best);
		seen[best]++;
		if (best > 2)
			continue;
		for (int i = 0; i < LB_FLOW_WAYS; i++) /* none of its kind is older */
			if (victim_class(set.entry[i], now) == best)
				assert_true(lb_flow_idle(set.entry[i], now) <= lb_flow_idle(set.entry[way], now));
	}
	for (int i = 0; i < 5; i++)
		assert_true(seen[i] > 100);
}

static void test_flow_admit(void **state)
{
	__u64 start = 0;
	__u32 count = 0;

	for (int i = 0; i < 1000; i++)
		assert_true(lb_flow_admit(&start, &count, 0, false, 5)); /* no limit, nothing is counted */
	assert_int_equal(count, 0);

	for (int i = 0; i < 5; i++)
		assert_true(lb_flow_admit(&start, &count, 10, false, 2000000000));
	assert_false(lb_flow_admit(&start, &count, 10, false, 2000000000)); /* half of it is for the proven */
	for (int i = 0; i < 5; i++)
		assert_true(lb_flow_admit(&start, &count, 10, true, 2000000000));
	assert_false(lb_flow_admit(&start, &count, 10, true, 2000000000));
	assert_false(lb_flow_admit(&start, &count, 10, true, 1999999999)); /* the coarse clock of another CPU */
	assert_false(lb_flow_admit(&start, &count, 10, true, 2999999999));
	assert_true(lb_flow_admit(&start, &count, 10, false, 3000000000)); /* the next second */
	assert_int_equal(start, 3000000000);
	assert_int_equal(count, 1);
}

/* ---- steering: the table of slots and packets, row by row ---- */

static void test_steer_wants_flow(void **state)
{
	assert_false(lb_steer_wants_flow(LB_SLOT(LB_PHASE_STABLE, 0, 9), 0));
	assert_true(lb_steer_wants_flow(LB_SLOT(LB_PHASE_STABLE, 0, 9), LB_VIP_F_TRACK));
	assert_false(lb_steer_wants_flow(LB_SLOT(LB_PHASE_MOVING, 8, 9), LB_VIP_F_NO_STATE));
	for (__u32 flags = 0; flags <= LB_VIP_F_TRACK; flags += LB_VIP_F_TRACK) {
		assert_true(lb_steer_wants_flow(LB_SLOT(LB_PHASE_MOVING, 8, 9), flags));
		assert_true(lb_steer_wants_flow(LB_SLOT(LB_PHASE_SETTLING, 0, 9), flags));
	}
}

static void test_steer_miss(void **state)
{
	static const struct {
		__u32 word;
		bool is_new, tracked;
		__u32 backend;
		bool learn;
	} rows[] = {
		{LB_SLOT(LB_PHASE_STABLE, 0, 9), true, false, 9, false},
		{LB_SLOT(LB_PHASE_STABLE, 0, 9), false, false, 9, false},
		{LB_SLOT(LB_PHASE_STABLE, 0, 9), true, true, 9, true},
		{LB_SLOT(LB_PHASE_STABLE, 0, 9), false, true, 9, true},
		{LB_SLOT(LB_PHASE_MOVING, 8, 9), true, false, 9, true},
		{LB_SLOT(LB_PHASE_MOVING, 8, 9), false, false, 8, true},
		{LB_SLOT(LB_PHASE_MOVING, 8, 9), true, true, 9, true},
		{LB_SLOT(LB_PHASE_MOVING, 8, 9), false, true, 8, true},
		{LB_SLOT(LB_PHASE_SETTLING, 0, 9), true, false, 9, false},
		{LB_SLOT(LB_PHASE_SETTLING, 0, 9), false, false, 9, false},
		{LB_SLOT(LB_PHASE_SETTLING, 0, 9), true, true, 9, true},
		{LB_SLOT(LB_PHASE_SETTLING, 0, 9), false, true, 9, true},
		{LB_SLOT(LB_PHASE_MOVING, 0x7fff, 0x7ffe), false, false, 0x7fff, true},
		{LB_SLOT(LB_PHASE_MOVING, 0x7fff, 0x7ffe), true, false, 0x7ffe, true},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool learn = !rows[i].learn;

		assert_int_equal(lb_steer_miss(rows[i].word, rows[i].is_new, rows[i].tracked, &learn), rows[i].backend);
		assert_int_equal(learn, rows[i].learn);
	}
}

static void test_steer_hit(void **state)
{
	const __u8 draining = LB_BACKEND_F_ALIVE, serving = LB_BACKEND_F_ALIVE | LB_BACKEND_F_TAKES_NEW;

	for (int v4 = 0; v4 < 2; v4++) {
		__u8 more = v4 ? LB_BACKEND_F_V4 : 0;

		assert_true(lb_steer_hit_counts(serving | more, false, false));
		assert_true(lb_steer_hit_counts(serving | more, true, false));
		assert_true(lb_steer_hit_counts(serving | more, false, true));
		assert_false(lb_steer_hit_counts(serving | more, true, true));
		assert_true(lb_steer_hit_counts(draining | more, false, false));
		assert_false(lb_steer_hit_counts(draining | more, true, false));
		assert_false(lb_steer_hit_counts(more, false, false));
		assert_false(lb_steer_hit_counts(more, true, false));
		assert_false(lb_steer_hit_counts(LB_BACKEND_F_TAKES_NEW | more, true, false));
	}
}

static void test_steer_unlearned(void **state)
{
	const __u8 draining = LB_BACKEND_F_ALIVE, serving = LB_BACKEND_F_ALIVE | LB_BACKEND_F_TAKES_NEW;

	assert_int_equal(lb_steer_unlearned(LB_SLOT(LB_PHASE_MOVING, 8, 9), 9, serving), 8);
	assert_int_equal(lb_steer_unlearned(LB_SLOT(LB_PHASE_MOVING, 8, 9), 9, draining), 9);
	assert_int_equal(lb_steer_unlearned(LB_SLOT(LB_PHASE_MOVING, 8, 9), 9, 0), 9);
	assert_int_equal(lb_steer_unlearned(LB_SLOT(LB_PHASE_SETTLING, 0, 9), 9, serving), 9);
	assert_int_equal(lb_steer_unlearned(LB_SLOT(LB_PHASE_STABLE, 0, 9), 9, serving), 9);
}

/* ---- checksums and headers ---- */

/* Where the carry out of the lower half comes late, and anywhere else. */
static void check_fold_few(void)
{
	for (__u64 high = 0; high < 1 << 20; high++) {
		const __u16 near = (__u16) - (high + (high >> 16)), other = (__u16)random64();

		for (__u16 i = 0; i < 6; i++)
			assert_int_equal(lb_csum_fold_few(high << 16 | (__u16)(near - 3 + i)),
					 lb_csum_fold(high << 16 | (__u16)(near - 3 + i)));
		assert_int_equal(lb_csum_fold_few(high << 16 | other), lb_csum_fold(high << 16 | other));
	}
}

static void test_checksum_fold(void **state)
{
	assert_int_equal(lb_csum_fold(0), 0xffff);
	assert_int_equal(lb_csum_fold(0xffff), 0);
	assert_int_equal(lb_csum_fold(0xffffffffULL * 0xffff), 0);
	for (int i = 0; i < 100000; i++) {
		uint8_t header[20];
		uint32_t word[5];
		uint64_t sum = 0;

		random_bytes(header, sizeof(header));
		memcpy(word, header, sizeof(word));
		for (int k = 0; k < 5; k++)
			sum += word[k];
		assert_int_equal(ntohs(lb_csum_fold(sum)), naive_checksum(header, sizeof(header)));
	}
	check_fold_few();
}

/* For each value that a header's checksum can have, and each TTL. */
static void test_checksum_ttl(void **state)
{
	uint8_t header[20] = {0x45, 0, 0, 40, 0, 0, 0x40, 0, 0, 6, 0, 0, 198, 51, 100, 7, 192, 0, 2, 10};

	for (unsigned int id = 0; id < 0x10000; id++) {
		unsigned int check;

		header[4] = (uint8_t)(id >> 8);
		header[5] = (uint8_t)id;
		header[8] = (uint8_t)(2 + id % 254);
		check = naive_checksum(header, sizeof(header));
		header[8]--;
		assert_int_equal(ntohs(lb_csum_ttl_less(htons((uint16_t)check))),
				 naive_checksum(header, sizeof(header)));
	}
}

static void test_inner_ttl(void **state)
{
	struct lb_inner in;
	struct ipv6hdr ip6;
	struct iphdr ip;

	for (unsigned int ttl = 0; ttl < 256; ttl++) {
		memset(&ip, 0, sizeof(ip));
		ip.ttl = (__u8)ttl;
		memset(&ip6, 0, sizeof(ip6));
		ip6.hop_limit = (__u8)ttl;
		assert_int_equal(lb_inner_take4(&ip, &in), ttl > 1);
		assert_int_equal(lb_inner_take6(&ip6, &in), ttl > 1);
		assert_int_equal(ip.ttl, ttl > 1 ? ttl - 1 : ttl);
		assert_int_equal(ip6.hop_limit, ttl > 1 ? ttl - 1 : ttl);
	}
}

static void test_outer_checksum(void **state)
{
	for (int i = 0; i < 100000; i++) {
		struct lb_inner in = {.proto = IPPROTO_IPIP,
				      .tos = (__u8)random64(),
				      .frag = htonl((__u32)random64()),
				      .len = (__u32)(random64() % 65516),
				      .hash = random64()};
		struct lb_backend b = {.src_plen = (__u8)(random64() % 129)};
		uint8_t header[20];

		random_bytes(b.src, 16);
		random_bytes(b.addr, 16);
		lb_outer_write4(header, &in, &b, b.src_plen);
		assert_int_equal(naive_checksum(header, sizeof(header)), 0);
		assert_int_equal(header[2] << 8 | header[3], in.len + 20);
		assert_int_equal(header[6] << 8 | header[7], ntohl(in.frag) & 0x4000);
	}
}

/* Bit by bit. @nr: how many bits of the address may come from the hash. */
static void naive_source(const struct lb_backend *b, uint64_t hash, int nr, uint8_t out[16])
{
	memcpy(out, b->src, 16);
	for (int bit = 0; bit < nr && bit < 128 - b->src_plen; bit++) {
		uint8_t mask = (uint8_t)(1 << bit % 8), *byte = &out[15 - bit / 8];

		*byte = hash >> bit & 1 ? *byte | mask : *byte & (uint8_t)~mask;
	}
}

static void test_outer_source(void **state)
{
	for (int plen = 0; plen <= 128; plen++) {
		for (int i = 0; i < 200; i++) {
			struct lb_backend b = {.src_plen = (__u8)plen};
			uint64_t hash = random64(), low;
			uint8_t want[16];
			__be32 src4;

			random_bytes(b.src, 16);
			naive_source(&b, hash, 32, want);
			src4 = lb_outer_source4(&b, b.src_plen, hash);
			assert_memory_equal(&src4, want + 12, 4);
			naive_source(&b, hash, 64, want);
			low = lb_outer_source6(&b, b.src_plen, hash);
			assert_memory_equal(&low, want + 8, 8);
		}
	}
}

/* The next hop's words, and the Ethernet addresses made of them; the type stays. */
static void test_hop(void **state)
{
	static const uint8_t want[14] = {1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16, 0x86, 0xdd};
	struct lb_backend b = {.dmac = {1, 2, 3, 4, 5, 6}, .mtu = 9000, .smac = {11, 12, 13, 14, 15, 16}, .oif = 42};
	uint8_t frame[14] = {[12] = 0x86, [13] = 0xdd};
	struct lb_hop h;

	lb_hop_read(&b, &h);
	assert_int_equal(h.oif, 42);
	assert_int_equal(lb_hop_mtu(&h), 9000);
	lb_eth_write(frame, &h);
	assert_memory_equal(frame, want, sizeof(want));
	memset(frame, 0xff, sizeof(frame));
	b.gue_port = 0x1234; /* lies beside an address, and must not come into the frame */
	lb_hop_read(&b, &h);
	lb_eth_write_tunnel(frame, &h, lb_htons(ETH_P_IPV6));
	assert_memory_equal(frame, want, sizeof(want));
}

/* What leaves an entry as it is, against the function that changes it. */
static void test_flow_settled(void **state)
{
	unsigned int settled = 0;

	for (int i = 0; i < 1000000; i++) {
		const __u8 age = (__u8)(random64() % 3), gen = (__u8)(random64() % 3);
		const __u64 e = LB_FLOW(random64() >> 32, random64() % 3, random64() % 3, random64() & 1, random64()) |
				(random64() & 1 ? LB_FLOW_CLOSED : 0);
		const bool want = LB_FLOW_GEN(e) == gen && lb_flow_touch(e, age, true, false) == e;

		assert_int_equal(lb_flow_settled(e, lb_flow_fresh(age), gen), want);
		settled += want;
	}
	assert_true(settled > 10000);
}

/* lb_flow_entry finds what lb_flow_find does, but for a tag of 0, of which it may say that it is not there. */
static void test_flow_entry(void **state)
{
	for (int i = 0; i < 100000; i++) {
		struct lb_flow_set set = {{0}};
		__u32 tag = (__u32)(random64() % 8) * 2;
		__u64 e;
		int way;

		for (int k = 0; k < LB_FLOW_WAYS; k++)
			if (random64() & 1)
				set.entry[k] = LB_FLOW((__u32)(random64() % 8) * 2, 1, 2, true, 3) |
					       (random64() & 1 ? LB_FLOW_CLOSED : 0);
		e = lb_flow_entry(&set, (__u64)tag << 32 | (random64() & 0x1ffffffff));
		way = lb_flow_find(&set, tag);
		if (tag || e)
			assert_int_equal(e, way < 0 ? 0 : set.entry[way]);
	}
}

/* One comparison against the questions that it stands for. */
static void test_backend_plain(void **state)
{
	unsigned int plain = 0;

	for (int i = 0; i < 1000000; i++) {
		struct lb_backend b = {.service = (__u16)(1 + random64() % 2),
				       .port = (__be16)random64(),
				       .forward = (__u8)(1 + random64() % 3),
				       .gen = (__u8)random64(),
				       .src_plen = random64() & 1 ? 128 : (__u8)(random64() % 128),
				       .flags = (__u8)(random64() & 15)};
		struct lb_vip_line line = {.port = (__be16)random64(),
					   .proto = (__u8)random64(),
					   .service = (__u16)(1 + random64() % 2),
					   .flags = (__u8)random64(),
					   .beyond = (__u8)random64()};
		const __u64 word = lb_backend_word(&b), vip = lb_vip_word(&line);
		const bool v6 = random64() & 1;
		const bool want = b.service == line.service && b.forward == LB_FORWARD_IPIP && b.src_plen == 128 &&
				  (b.flags & (LB_BACKEND_F_ALIVE | LB_BACKEND_F_V4 | LB_BACKEND_F_REDIRECT)) ==
					  (LB_BACKEND_F_ALIVE | (v6 ? 0 : LB_BACKEND_F_V4));

		assert_int_equal(lb_backend_plain(word, vip, v6), want);
		assert_int_equal(LB_BACKEND_WORD_SERVICE(word), b.service);
		assert_int_equal(LB_VIP_WORD_SERVICE(vip), line.service);
		assert_int_equal(LB_VIP_WORD_FLAGS(vip), line.flags);
		assert_int_equal(LB_VIP_WORD_BEYOND(vip), line.beyond);
		plain += want;
	}
	assert_true(plain > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_hash_vectors, seed),
		cmocka_unit_test_setup(test_hash_flows, seed),
		cmocka_unit_test_setup(test_hash_avalanche, seed),
		cmocka_unit_test_setup(test_hash_spread, seed),
		cmocka_unit_test_setup(test_flow_words, seed),
		cmocka_unit_test_setup(test_flow_places, seed),
		cmocka_unit_test_setup(test_flow_find, seed),
		cmocka_unit_test_setup(test_flow_victim, seed),
		cmocka_unit_test_setup(test_flow_admit, seed),
		cmocka_unit_test_setup(test_steer_wants_flow, seed),
		cmocka_unit_test_setup(test_steer_miss, seed),
		cmocka_unit_test_setup(test_steer_hit, seed),
		cmocka_unit_test_setup(test_steer_unlearned, seed),
		cmocka_unit_test_setup(test_checksum_fold, seed),
		cmocka_unit_test_setup(test_checksum_ttl, seed),
		cmocka_unit_test_setup(test_inner_ttl, seed),
		cmocka_unit_test_setup(test_outer_checksum, seed),
		cmocka_unit_test_setup(test_outer_source, seed),
		cmocka_unit_test_setup(test_hop, seed),
		cmocka_unit_test_setup(test_flow_settled, seed),
		cmocka_unit_test_setup(test_flow_entry, seed),
		cmocka_unit_test_setup(test_backend_plain, seed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
