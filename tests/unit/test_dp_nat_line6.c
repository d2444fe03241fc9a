// SPDX-License-Identifier: GPL-2.0-or-later
/* include/lb/dp/nat_line.h, IPv6: a line says of a packet what the entry says that it was copied from, or nothing, also
 * where lines of IPv4 have had a half of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lb/dp/nat_line.h"
#include "random.h"

#define ROUNDS 50000
#define NOW 5000

static const struct lb_hash_secret secret = {.add = {1, 2, 3, 4},
					     .mul = {5, 7, 0x123456789abcdef1, 0xfedcba9876543211}};

static void some_addr(__u64 addr[2], bool v6)
{
	addr[0] = v6 ? random64() | 1 : 0;
	addr[1] = v6 ? random64() : lb_addr_of4((__be32)random64());
}

/* A connection's direction: the key of its packets, and its entry. */
struct way {
	struct lb_conn_key key;
	struct lb_conn c;
	__u32 what; /* of IPv6 */
};

static struct way some_way(bool v6)
{
	struct way w;

	memset(&w, 0, sizeof(w));
	some_addr(w.key.saddr, v6);
	some_addr(w.key.daddr, v6);
	w.key.ports = (__u32)random64();
	w.key.proto = below(2) ? IPPROTO_TCP : IPPROTO_UDP;
	some_addr(w.c.xlate.saddr, v6);
	some_addr(w.c.xlate.daddr, v6);
	w.c.xlate.ports = (__u32)random64();
	lb_xlate_deltas(&w.c.xlate, w.key.saddr, w.key.daddr, w.key.ports);
	w.c.hop = (struct lb_conn_hop){.mac0 = random64(), .mac1 = (__u32)random64(), .ifindex = below(100)};
	w.c.word = LB_CONN_SEEN | LB_CONN_ACK | LB_CONN_OPEN | NOW;
	w.c.backend = (__u16)random64();
	w.c.service = (__u16)random64();
	w.c.gen = (__u8)random64();
	w.c.flags = below(2) ? LB_CONN_F_REPLY : 0;
	w.what = LB_NAT_LINE_WHAT(w.key.proto, !!(w.c.flags & LB_CONN_F_REPLY)) | LB_NAT_LINE_V6;
	return w;
}

static void keep6(struct lb_nat_set *set, const struct way *w, __u32 now)
{
	lb_nat_line6_keep(set, &w->key, &w->c, 1, now);
}

static bool has6(const struct lb_nat_set *set, const struct way *w, __u32 now)
{
	return lb_nat_line6_is(&set->six, &w->key, w->key.ports, w->what, 1, now);
}

/* As a packet of IPv4 looks for its line. */
static bool has4(const struct lb_nat_set *set, const struct way *w, __u32 now)
{
	const __u64 addrs = lb_nat_line_addrs(w->key.saddr, w->key.daddr);

	return lb_nat_line_is(lb_nat_line_at(set, addrs, w->key.ports), addrs, w->key.ports, w->what & ~LB_NAT_LINE_V6,
			      1, now);
}

/* What a line makes of a packet is what its entry makes of it; all that it copies is there. */
static void test_writes_as_the_entry(void **state)
{
	for (int i = 0; i < ROUNDS; i++) {
		struct way w = some_way(true);
		const size_t len = sizeof(struct ipv6hdr) + (w.key.proto == IPPROTO_TCP ? 20 : 8);
		uint8_t *one = malloc(len), *two = malloc(len);
		struct lb_nat_set set = {0};

		keep6(&set, &w, NOW);
		for (size_t k = 0; k < len; k++)
			one[k] = (uint8_t)random64();
		one[7] = (uint8_t)(2 + below(254));
		if (w.key.proto == IPPROTO_UDP && !below(4))
			lb_put16(one + 46, 0);
		memcpy(two, one, len);
		assert_int_equal(
			lb_xlate_packet6(one, one + len, sizeof(struct ipv6hdr), (__u8)w.key.proto, &w.c.xlate),
			LB_XLATE_OK);
		lb_nat_line6_write(two, (__u8)w.key.proto, &set.six);
		assert_memory_equal(one, two, len);
		assert_true(set.six.mac0 == w.c.hop.mac0 && set.six.mac1 == w.c.hop.mac1);
		assert_true(set.six.ifindex == w.c.hop.ifindex && set.six.backend == w.c.backend);
		assert_true(set.six.service == w.c.service && (set.six.its & LB_NAT_LINE_GEN(0xff)) == LB_NAT_LINE_GEN(w.c.gen));
		free(one);
		free(two);
	}
}

/* A line is found by its packets alone, in its time, of its epoch. */
static void test_is_of_its_packets(void **state)
{
	for (int i = 0; i < ROUNDS; i++) {
		struct way w = some_way(true), other;
		struct lb_nat_set set = {0};

		keep6(&set, &w, NOW);
		assert_true(has6(&set, &w, NOW));
		assert_true(has6(&set, &w, NOW + LB_CONN_GRAIN_S - 1));
		assert_true(has6(&set, &w, NOW - 1)); /* another CPU's clock may be ahead */
		assert_false(has6(&set, &w, NOW + LB_CONN_GRAIN_S));
		assert_false(lb_nat_line6_is(&set.six, &w.key, w.key.ports, w.what, 2, NOW));
		assert_false(lb_nat_line6_is(&set.six, &w.key, w.key.ports, w.what ^ 1U << below(10), 1, NOW));
		other = w;
		((uint8_t *)&other.key)[below(36)] ^= (uint8_t)(1 << below(8)); /* addresses and ports */
		assert_false(has6(&set, &other, NOW));
		assert_false(has4(&set, &w, NOW));
	}
}

/* Who has one keeps it while it speaks; another one gets it by patience, or when it is silent; who ends gives it up. */
static void test_keep(void **state)
{
	for (int i = 0; i < ROUNDS / 10; i++) {
		struct way a = some_way(true), b = some_way(true);
		struct lb_nat_set set = {0};
		int tries = 0;

		keep6(&set, &a, NOW);
		for (; !has6(&set, &b, NOW); tries++)
			keep6(&set, &b, NOW);
		assert_int_equal(tries, LB_NAT_LINE_PATIENCE);
		assert_false(has6(&set, &a, NOW));
		keep6(&set, &a, NOW);
		assert_true(has6(&set, &b, NOW));
		a.c.word += LB_CONN_GRAIN_S;
		keep6(&set, &a, NOW + LB_CONN_GRAIN_S);
		assert_true(has6(&set, &a, NOW + LB_CONN_GRAIN_S));
		a.c.flags |= LB_CONN_F_CROSS;
		keep6(&set, &a, NOW + LB_CONN_GRAIN_S);
		assert_false(has6(&set, &a, NOW + LB_CONN_GRAIN_S));
		b.c.hop.tags = 1;
		keep6(&set, &b, NOW + LB_CONN_GRAIN_S);
		assert_false(has6(&set, &b, NOW));
	}
}

/* Both families in one set: whoever finds a line finds all of its own. */
static void test_families_meet(void **state)
{
	unsigned int found4 = 0, found6 = 0;

	for (int i = 0; i < ROUNDS / 50; i++) {
		struct lb_nat_set set = {0};
		struct way four[3], six[2];
		struct lb_nat_line want4;
		struct lb_nat_line6 want6;
		__u32 now = NOW;

		for (int k = 0; k < 3; k++)
			four[k] = some_way(false);
		for (int k = 0; k < 2; k++)
			six[k] = some_way(true);
		for (int step = 0; step < 200; step++) {
			struct way *w = below(2) ? &four[below(3)] : &six[below(2)];

			now += !below(8);
			w->c.word = LB_CONN_SEEN | LB_CONN_ACK | LB_CONN_OPEN | now;
			if (w->key.saddr[0])
				keep6(&set, w, now);
			else
				lb_nat_line_keep(&set, &w->key, &w->c, 1, now);
			for (int k = 0; k < 3; k++) {
				const struct lb_nat_line *l =
					lb_nat_line_at(&set, lb_nat_line_addrs(four[k].key.saddr, four[k].key.daddr),
						       four[k].key.ports);

				if (!has4(&set, &four[k], now))
					continue;
				found4++;
				want4 = *l;
				lb_nat_line_fill(&want4, &four[k].key, &four[k].c, 1);
				want4.stamp = l->stamp;
				assert_memory_equal(&want4, l, sizeof(want4));
			}
			for (int k = 0; k < 2; k++) {
				if (!has6(&set, &six[k], now))
					continue;
				found6++;
				want6 = set.six;
				lb_nat_line6_fill(&want6, &six[k].key, six[k].what, &six[k].c, 1);
				want6.stamp = set.six.stamp;
				want6.stamp2 = set.six.stamp2;
				assert_memory_equal(&want6, &set.six, sizeof(want6));
			}
		}
	}
	assert_true(found4 > 10000 && found6 > 10000);
}

/* The collector and packets mean the same epoch, which all of a key makes. */
static void test_hash(void **state)
{
	for (int i = 0; i < ROUNDS; i++) {
		struct way w = some_way(true), other = w;
		const __u64 hash = lb_nat_line6_hash(&secret, &w.key, w.key.ports, (__u8)w.key.proto);

		assert_true(hash == lb_nat_line_key_hash(&secret, &w.key));
		((uint8_t *)&other.key)[below(36)] ^= (uint8_t)(1 << below(8));
		assert_true(hash != lb_nat_line6_hash(&secret, &other.key, other.key.ports, (__u8)other.key.proto));
	}
}

/* Clients of one network, by their ports and their addresses, fill sets as evenly as chance. */
static void test_spreads(void **state)
{
	const struct lb_hash_secret s = lb_hash_secret((const __u64[2]){1, 2});

	for (int by_addr = 0; by_addr < 2; by_addr++) {
		static uint8_t sets[1 << 12], epochs[LB_NAT_EPOCHS];
		unsigned int used_sets = 0, used_epochs = 0;

		memset(sets, 0, sizeof(sets));
		memset(epochs, 0, sizeof(epochs));
		for (__u32 n = 0; n < 1 << 12; n++) {
			const struct lb_conn_key key = {.saddr = {0xb80d0120, by_addr ? lb_htonll(n) : 1},
							.daddr = {0xb80d0120, 10},
							.ports = by_addr ? 0x50003039 : n << 8 | 0x50000050,
							.proto = IPPROTO_TCP};
			const __u64 hash = lb_nat_line_key_hash(&s, &key);
			uint8_t *set = &sets[lb_nat_set_idx(hash) % sizeof(sets)];
			uint8_t *epoch = &epochs[lb_nat_epoch_idx(hash)];

			used_sets += !*set;
			used_epochs += !*epoch;
			*set = *epoch = 1;
		}
		assert_in_range(used_sets, 2458, 2720);
		assert_in_range(used_epochs, 3770, 3930);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_writes_as_the_entry, seed),
		cmocka_unit_test_setup(test_is_of_its_packets, seed),
		cmocka_unit_test_setup(test_keep, seed),
		cmocka_unit_test_setup(test_families_meet, seed),
		cmocka_unit_test_setup(test_hash, seed),
		cmocka_unit_test(test_spreads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
