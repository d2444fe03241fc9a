// SPDX-License-Identifier: GPL-2.0-or-later
/* include/lb/dp/nat_line.h: a line says of a packet what the entry says that it was copied from, or nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lb/dp/nat_line.h"
#include "lb/dp/sanity.h"
#include "random.h"

#define ROUNDS 100000

static const struct lb_hash_secret secret = {.add = {1, 2, 3, 4},
					     .mul = {5, 7, 0x123456789abcdef1, 0xfedcba9876543211}};

static void some_addr(__u64 addr[2])
{
	addr[0] = 0;
	addr[1] = lb_addr_of4((__be32)random64());
}

static void some_key(struct lb_conn_key *key)
{
	memset(key, 0, sizeof(*key));
	some_addr(key->saddr);
	some_addr(key->daddr);
	key->ports = (__u32)random64();
	key->proto = below(2) ? IPPROTO_TCP : IPPROTO_UDP;
}

/* An entry for packets with @key. */
static void some_conn(const struct lb_conn_key *key, struct lb_conn *c)
{
	memset(c, 0, sizeof(*c));
	some_addr(c->xlate.saddr);
	some_addr(c->xlate.daddr);
	c->xlate.ports = (__u32)random64();
	lb_xlate_deltas(&c->xlate, key->saddr, key->daddr, key->ports);
	c->hop = (struct lb_conn_hop){.mac0 = random64(), .mac1 = (__u32)random64(), .ifindex = below(100)};
	c->word = random64() & (LB_CONN_SEEN | LB_CONN_SYN | LB_CONN_ACK | LB_CONN_FIN | LB_CONN_RST | LB_CONN_OPEN);
	c->word |= 1000 + below(1000);
	c->backend = (__u16)random64();
	c->service = (__u16)random64();
	c->gen = (__u8)random64();
	c->flags = below(2) ? LB_CONN_F_REPLY : 0;
}

/* The header of a packet with @key, in memory of exactly its size. */
static uint8_t *some_packet(const struct lb_conn_key *key)
{
	const size_t len = sizeof(struct iphdr) + (key->proto == IPPROTO_TCP ? 20 : 8);
	uint8_t *ip = malloc(len);

	for (size_t i = 0; i < len; i++)
		ip[i] = (uint8_t)random64();
	ip[0] = 0x45;
	ip[8] = (uint8_t)(2 + below(254));
	ip[9] = (uint8_t)key->proto;
	lb_put64(ip + 12, lb_nat_line_addrs(key->saddr, key->daddr));
	lb_put32(ip + 20, key->ports);
	if (key->proto == IPPROTO_UDP && !below(4))
		lb_put16(ip + 26, 0);
	return ip;
}

/* What a line makes of a packet is what its entry makes of it. */
static void test_writes_as_the_entry(void **state)
{
	for (int i = 0; i < ROUNDS; i++) {
		struct lb_nat_line line = {0};
		struct lb_conn_key key;
		struct lb_conn c;
		uint8_t *one, *two;
		size_t len;

		some_key(&key);
		some_conn(&key, &c);
		lb_nat_line_fill(&line, &key, &c, 1);
		one = some_packet(&key);
		len = sizeof(struct iphdr) + (key.proto == IPPROTO_TCP ? 20 : 8);
		two = malloc(len);
		memcpy(two, one, len);
		assert_int_equal(lb_xlate_packet4(one, one + len, sizeof(struct iphdr), (__u8)key.proto, &c.xlate),
				 LB_XLATE_OK);
		lb_nat_line_write(two, (__u8)key.proto, &line);
		assert_memory_equal(one, two, len);
		free(one);
		free(two);
	}
}

/* A line is found by its packets alone, in its time, of its epoch. */
static void test_is_of_its_packets(void **state)
{
	for (int i = 0; i < ROUNDS; i++) {
		struct lb_conn_key key, other;
		struct lb_nat_line line = {0};
		const __u32 epoch = (__u32)random64(), now = 5000;
		struct lb_conn c;
		__u64 addrs;
		__u32 what;

		some_key(&key);
		some_conn(&key, &c);
		c.word = LB_CONN_SEEN | (now - below(LB_CONN_GRAIN_S));
		lb_nat_line_fill(&line, &key, &c, epoch);
		addrs = lb_nat_line_addrs(key.saddr, key.daddr);
		what = LB_NAT_LINE_WHAT(key.proto, !!(c.flags & LB_CONN_F_REPLY));
		assert_true(lb_nat_line_is(&line, addrs, key.ports, what, epoch, now));
		assert_true(lb_nat_line_of(&line, &key));
		assert_false(lb_nat_line_is(&line, addrs ^ 1ULL << below(64), key.ports, what, epoch, now));
		assert_false(lb_nat_line_is(&line, addrs, key.ports ^ 1U << below(32), what, epoch, now));
		assert_false(lb_nat_line_is(&line, addrs, key.ports, what ^ 1U << below(9), epoch, now));
		assert_false(lb_nat_line_is(&line, addrs, key.ports, what, epoch + 1, now));
		assert_false(lb_nat_line_is(&line, addrs, key.ports, what, epoch, now + LB_CONN_GRAIN_S));
		assert_false(lb_nat_line_spare(&line, now));
		assert_true(lb_nat_line_spare(&line, now + LB_CONN_GRAIN_S));
		other = key;
		other.ports ^= 1U << below(32);
		assert_false(lb_nat_line_of(&line, &other));
		/* another CPU's clock may be ahead */
		assert_true(lb_nat_line_is(&line, addrs, key.ports, what, epoch, LB_CONN_STAMP(c.word) - 1));
	}
}

static const struct lb_nat_line *find(const struct lb_nat_set *set, const struct lb_conn_key *key)
{
	const struct lb_nat_line *l = lb_nat_line_at(set, lb_nat_line_addrs(key->saddr, key->daddr), key->ports);

	return lb_nat_line_of(l, key) ? l : NULL;
}

/* Two connections have room, one as well as the other; a third one has it when one of them is silent, and who ends
 * gives up their own. */
static void test_keep(void **state)
{
	for (int i = 0; i < ROUNDS; i++) {
		struct lb_nat_set set = {0};
		struct lb_conn_key key[3];
		struct lb_conn c[3];
		const __u32 now = 5000;

		for (int k = 0; k < 3; k++) {
			some_key(&key[k]);
			some_conn(&key[k], &c[k]);
			c[k].word = LB_CONN_SEEN | LB_CONN_ACK | LB_CONN_OPEN | now;
			lb_nat_line_keep(&set, &key[k], &c[k], 1, now);
			assert_true(!find(&set, &key[k]) == (k == 2));
		}
		c[0].word++;
		lb_nat_line_keep(&set, &key[0], &c[0], 2, now + 1);
		assert_non_null(find(&set, &key[0]));
		assert_int_equal(find(&set, &key[0])->stamp, now + 1);
		assert_int_equal(find(&set, &key[0])->epoch, 2);
		assert_ptr_not_equal(find(&set, &key[0]), find(&set, &key[1]));
		c[2].word += LB_CONN_GRAIN_S;
		lb_nat_line_keep(&set, &key[2], &c[2], 1, now + LB_CONN_GRAIN_S);
		assert_non_null(find(&set, &key[0]));
		assert_null(find(&set, &key[1]));
		assert_non_null(find(&set, &key[2]));
		c[0].flags |= LB_CONN_F_CROSS;
		lb_nat_line_keep(&set, &key[0], &c[0], 1, now + 1);
		assert_null(find(&set, &key[0]));
		assert_non_null(find(&set, &key[2]));
	}
}

/* Who sends much and has no line comes to one, whichever of two others has it. */
static void test_turns(void **state)
{
	struct lb_nat_set set = {0};
	struct lb_conn_key key[3];
	struct lb_conn c[3];
	unsigned int took[2] = {0};
	const __u32 now = 5000;

	for (int k = 0; k < 3; k++) {
		some_key(&key[k]);
		some_conn(&key[k], &c[k]);
		c[k].word = LB_CONN_SEEN | LB_CONN_ACK | LB_CONN_OPEN | now;
		if (k < 2)
			lb_nat_line_keep(&set, &key[k], &c[k], 1, now);
	}
	for (int i = 0; i < 100; i++) {
		int tries = 0;

		for (; !find(&set, &key[2]); tries++)
			lb_nat_line_keep(&set, &key[2], &c[2], 1, now);
		assert_in_range(tries, 1, LB_NAT_LINE_PATIENCE);
		for (int k = 0; k < 2; k++) {
			if (find(&set, &key[k]))
				continue;
			took[k]++;
			lb_nat_line_fill(find(&set, &key[2]) == &set.way[0] ? &set.way[0] : &set.way[1], &key[k], &c[k],
					 1);
		}
		assert_null(find(&set, &key[2]));
		assert_non_null(find(&set, &key[0]));
		assert_non_null(find(&set, &key[1]));
	}
	assert_int_equal(took[0], 50);
	assert_int_equal(took[1], 50);
}

/* Whoever has a line has nothing to note: its entry's word stays as it is for as long as the line is worth anything. */
static void test_nothing_is_lost(void **state)
{
	unsigned int settled = 0;

	for (int i = 0; i < ROUNDS; i++) {
		const __u8 flags = LB_TCP_ACK | (below(2) ? LB_TCP_PSH : 0);
		struct lb_conn_key key;
		struct lb_conn c;
		__u32 now;

		some_key(&key);
		some_conn(&key, &c);
		now = LB_CONN_STAMP(c.word) + below(LB_CONN_GRAIN_S);
		if (!lb_nat_line_may_have(&c, (__u8)key.proto))
			continue;
		settled++;
		c.word |= LB_CONN_SEEN; /* each word that was ever written has it */
		if (key.proto == IPPROTO_UDP)
			c.word &= LB_CONN_SEEN | 0xffffffff;
		assert_true(lb_conn_step(c.word, c.flags & LB_CONN_F_REPLY ? LB_CONN_REPLY : LB_CONN_FORWARD,
					 key.proto == IPPROTO_TCP ? flags : 0, now) == c.word);
		assert_false(!(c.flags & LB_CONN_F_REPLY) && lb_conn_asks(c.word));
		c.hop.tags = 1;
		assert_false(lb_nat_line_may_have(&c, (__u8)key.proto));
		c.hop.tags = 0;
		c.flags |= LB_CONN_F_CROSS;
		assert_false(lb_nat_line_may_have(&c, (__u8)key.proto));
	}
	assert_in_range(settled, ROUNDS / 4, ROUNDS / 2);
}

/* The collector, which has keys, and packets, which have words, mean the same epoch. */
static void test_same_epoch(void **state)
{
	for (int i = 0; i < ROUNDS; i++) {
		struct lb_conn_key key;
		uint8_t *ip;
		__u64 hash;

		some_key(&key);
		ip = some_packet(&key);
		hash = lb_nat_line_hash(&secret, lb_get64(ip + 12), lb_get32(ip + 20), ip[9]);
		assert_true(hash == lb_nat_line_key_hash(&secret, &key));
		assert_in_range(lb_nat_epoch_idx(hash), 0, LB_NAT_EPOCHS - 1);
		free(ip);
	}
}

/* Flows that differ by ports alone, as those of one client do, fill lines as evenly as chance. */
static void test_spreads(void **state)
{
	static uint8_t lines[1 << 12], epochs[LB_NAT_EPOCHS];
	unsigned int used_lines = 0, used_epochs = 0;
	const struct lb_hash_secret s = lb_hash_secret((const __u64[2]){1, 2});

	for (__u32 port = 0; port < 1 << 12; port++) {
		__u64 hash = lb_nat_line_hash(&s, 0x0a00000ac6336407, port << 8 | 0x50000050, IPPROTO_TCP);
		uint8_t *line = &lines[lb_nat_set_idx(hash) % sizeof(lines)], *epoch = &epochs[lb_nat_epoch_idx(hash)];

		used_lines += !*line;
		used_epochs += !*epoch;
		*line = *epoch = 1;
	}
	/* of as many lines as flows 63.2 % would be used by chance, of eight times as many epochs 94 % of as many as
	 * there are flows */
	assert_in_range(used_lines, 2458, 2720);
	assert_in_range(used_epochs, 3770, 3930);
}

/* An epoch is another one after each addition, whatever its neighbour in the same word is, and those beside them are
 * not: from just before they begin anew. */
static void test_epochs(void **state)
{
	static struct lb_nat_epochs e;

	memset(&e, 0xff, sizeof(e));
	for (int i = 0; i < 200000; i++) {
		const __u32 idx = 2 + below(i & 1 ? 4 : LB_NAT_EPOCHS - 4);
		const __u16 was = e.epoch[idx], left = e.epoch[(idx & ~1U) - 1], right = e.epoch[(idx | 1) + 1];

		__sync_fetch_and_add(lb_nat_epoch_word(&e, idx), lb_nat_epoch_one(idx));
		assert_int_equal(e.epoch[idx], (__u16)(was + 1));
		assert_true(e.epoch[(idx & ~1U) - 1] == left && e.epoch[(idx | 1) + 1] == right);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_writes_as_the_entry, seed),
		cmocka_unit_test_setup(test_is_of_its_packets, seed),
		cmocka_unit_test_setup(test_keep, seed),
		cmocka_unit_test_setup(test_turns, seed),
		cmocka_unit_test_setup(test_nothing_is_lost, seed),
		cmocka_unit_test_setup(test_epochs, seed),
		cmocka_unit_test_setup(test_same_epoch, seed),
		cmocka_unit_test_setup(test_spreads, seed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
