// SPDX-License-Identifier: GPL-2.0-or-later
/* include/lb/dp/quic.h against the vectors of the draft, a real Initial, and a reader that goes byte by byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lb/dp/quic.h"
#include "random.h"

#define DATAGRAM_MAX 128

static size_t unhex(const char *hex, uint8_t *out)
{
	size_t n = strlen(hex) / 2;

	assert_int_equal(strlen(hex) % 2, 0);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(sscanf(hex + 2 * i, "%2hhx", out + i), 1);
	return n;
}

static uint64_t number(const uint8_t *bytes, size_t n)
{
	uint64_t v = 0;

	while (n--)
		v = v << 8 | *bytes++;
	return v;
}

/* lb_quic_route of the @payload behind a UDP header, in memory that ends where the frame ends and begins where headers
 * do: two bytes off. @padding: bytes of the frame behind the datagram. */
static enum lb_quic_result route(const uint8_t *payload, size_t nr, size_t padding, uint64_t configs,
				 struct lb_quic_id *id)
{
	size_t frame = 8 + nr + padding;
	uint8_t *buf = malloc(2 + frame), *udp = buf + 2;
	enum lb_quic_result result;

	assert_non_null(buf);
	memset(buf, 0, 2 + frame);
	udp[4] = (uint8_t)((8 + nr) >> 8);
	udp[5] = (uint8_t)(8 + nr);
	memcpy(udp + 8, payload, nr);
	memset(udp + 8 + nr, 0xff, padding);
	result = lb_quic_route(udp, udp + frame, (__u32)frame, configs, id);
	free(buf);
	return result;
}

/* Packets as RFC 8999 has them, of @version and with @rest bytes behind the IDs; their length. */
static size_t long_packet(uint8_t *p, uint8_t first, uint32_t version, const uint8_t *cid, size_t cid_bytes,
			  size_t rest)
{
	p[0] = first | 0x80;
	for (int i = 0; i < 4; i++)
		p[1 + i] = (uint8_t)(version >> (24 - 8 * i));
	p[5] = (uint8_t)cid_bytes;
	memcpy(p + 6, cid, cid_bytes);
	p[6 + cid_bytes] = 0;
	memset(p + 7 + cid_bytes, 0xa5, rest);
	return 7 + cid_bytes + rest;
}

static size_t short_packet(uint8_t *p, uint8_t first, const uint8_t *cid, size_t cid_bytes, size_t rest)
{
	p[0] = first & 0x7f;
	memcpy(p + 1, cid, cid_bytes);
	memset(p + 1 + cid_bytes, 0xa5, rest);
	return 1 + cid_bytes + rest;
}

static void assert_names(const uint8_t *packet, size_t nr, uint64_t configs, uint32_t config, uint64_t server_id)
{
	struct lb_quic_id id = {};

	assert_int_equal(route(packet, nr, 0, configs, &id), LB_QUIC_ROUTABLE);
	assert_int_equal(id.config, config);
	assert_int_equal(id.server_id, server_id);
}

/* ---- draft-ietf-quic-load-balancers-21, appendix B.1 ---- */

static void check_vector(uint32_t config, const char *sid_hex, const char *nonce_hex, const char *cid_hex)
{
	uint8_t sid[16], nonce[32], want[32], cid[LB_QUIC_CID_MAX], packet[DATAGRAM_MAX];
	size_t sid_bytes = unhex(sid_hex, sid), nonce_bytes = unhex(nonce_hex, nonce), cid_bytes = unhex(cid_hex, want);
	uint64_t configs = LB_QUIC_CONFIG(config, sid_bytes, nonce_bytes, true);
	struct lb_quic_id id = {.config = config, .server_id = number(sid, sid_bytes)};

	assert_int_equal(lb_quic_cid(configs, &id, nonce, 0, cid), cid_bytes);
	assert_memory_equal(cid, want, cid_bytes);
	assert_names(packet, long_packet(packet, 0x40, 1, want, cid_bytes, 20), configs, config, id.server_id);
	assert_names(packet, short_packet(packet, 0x40, want, cid_bytes, 20), configs, config, id.server_id);
	/* and for a balancer that does not know that lengths are written */
	configs = LB_QUIC_CONFIG(config, sid_bytes, nonce_bytes, false);
	assert_names(packet, short_packet(packet, 0x40, want, cid_bytes, 20), configs, config, id.server_id);
}

static void test_draft_vectors(void **state)
{
	check_vector(0, "c4605e", "4504cc4f", "07c4605e4504cc4f");
	/* The second is printed as nonce 3487d970b, cid 20a350d28b4203487d970b: half a byte short. Its first octet is
	 * 0x20 for configuration 1 and 0xa for ten bytes; its nonce's missing zero can be in any of five places. */
	check_vector(1, "350d28b420", "03487d970b", "2a350d28b42003487d970b");
	check_vector(1, "350d28b420", "34087d970b", "2a350d28b42034087d970b");
	check_vector(1, "350d28b420", "34870d970b", "2a350d28b42034870d970b");
	check_vector(1, "350d28b420", "3487d9070b", "2a350d28b4203487d9070b");
	check_vector(1, "350d28b420", "3487d9700b", "2a350d28b4203487d9700b");
}

/* ---- RFC 9001, appendix A: what a client sends ---- */

static void test_rfc9001_packets(void **state)
{
	const uint64_t six = LB_QUIC_CONFIG(4, 2, 5, false), seven = LB_QUIC_CONFIG(4, 2, 6, false);
	uint8_t packet[DATAGRAM_MAX];
	struct lb_quic_id id = {};
	size_t nr;

	/* A.2, the client's Initial, as far as its first protected bytes; its ID is eight random bytes, and says 4 */
	nr = unhex("c000000001088394c8f03e5157080000449e7b9aec34d1b1c98dd7689fb8ec11d242b123dc9b", packet);
	assert_names(packet, nr, six, 4, 0x94c8);
	assert_int_equal(route(packet, nr, 0, seven, &id), LB_QUIC_TOO_SHORT);
	assert_int_equal(route(packet, nr, 0, LB_QUIC_CONFIG(4, 2, 5, true), &id), LB_QUIC_WRONG_LENGTH);
	assert_int_equal(route(packet, nr, 0, LB_QUIC_CONFIG(3, 2, 5, false), &id), LB_QUIC_UNKNOWN_CONFIG);
	/* A.5, a short header whose ID is empty: what follows is protected, and says 7 */
	nr = unhex("4cfe4189655e5cd55c41f69080575d7999c25a5bfb", packet);
	assert_int_equal(route(packet, nr, 0, six, &id), LB_QUIC_UNKNOWN_CONFIG);
}

/* ---- the rules, one by one ---- */

static uint32_t make(uint64_t configs, uint32_t config, uint64_t server_id, uint8_t *cid)
{
	uint8_t nonce[LB_QUIC_BODY_MAX];
	struct lb_quic_id id = {.config = config, .server_id = server_id};

	for (size_t i = 0; i < sizeof(nonce); i++)
		nonce[i] = (uint8_t)random64();
	return lb_quic_cid(configs, &id, nonce, (uint8_t)random64(), cid);
}

/* All lengths and configurations at once: each word has seven of them, and each is read by its own. */
static void test_all_configurations(void **state)
{
	uint8_t cid[LB_QUIC_CID_MAX], packet[DATAGRAM_MAX];
	unsigned int seen = 0;

	for (unsigned int turn = 0; turn < 8 * 15; turn++) {
		uint64_t configs = 0;
		unsigned int sid[LB_QUIC_CONFIGS], nonce[LB_QUIC_CONFIGS];

		for (unsigned int i = 0; i < LB_QUIC_CONFIGS; i++) {
			sid[i] = 1 + (turn + i) % LB_QUIC_SERVER_ID_MAX;
			nonce[i] = LB_QUIC_NONCE_MIN +
				   (turn / 8 + i) % (LB_QUIC_BODY_MAX - LB_QUIC_NONCE_MIN - sid[i] + 1);
			configs |= LB_QUIC_CONFIG(i, sid[i], nonce[i], turn >> (i % 4) & 1);
		}
		for (unsigned int i = 0; i < LB_QUIC_CONFIGS; i++) {
			uint64_t id = random64() >> (64 - 8 * sid[i]);
			uint32_t nr = make(configs, i, id, cid);

			assert_int_equal(lb_quic_server_id_bytes(configs, i), sid[i]);
			assert_int_equal(lb_quic_body_bytes(configs, i), sid[i] + nonce[i]);
			assert_int_equal(nr, 1 + sid[i] + nonce[i]);
			assert_names(packet, long_packet(packet, 0, 0xff00001d, cid, nr, 3), configs, i, id);
			assert_names(packet, short_packet(packet, 0, cid, nr, 3), configs, i, id);
			seen++;
		}
	}
	assert_int_equal(seen, 840);
}

/* The bit that version 1 fixes, the packet's type and its version are not looked at. */
static void test_first_byte(void **state)
{
	const uint64_t configs = LB_QUIC_CONFIG(2, 3, 5, false);
	static const uint32_t versions[] = {0, 1, 0x6b3343cf, 0x1a2a3a4a, 0xffffffff};
	uint8_t cid[LB_QUIC_CID_MAX], packet[DATAGRAM_MAX];
	uint32_t nr = make(configs, 2, 0x0a1b2c, cid);

	for (unsigned int first = 0; first < 0x80; first++) {
		assert_names(packet, short_packet(packet, (uint8_t)first, cid, nr, 8), configs, 2, 0x0a1b2c);
		for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++)
			assert_names(packet, long_packet(packet, (uint8_t)first, versions[i], cid, nr, 8), configs, 2,
				     0x0a1b2c);
	}
}

static void test_rotation(void **state)
{
	const uint64_t all = 0x7fULL << 56 | LB_QUIC_CONFIG(0, 2, 4, true);
	uint8_t cid[LB_QUIC_CID_MAX] = {}, packet[DATAGRAM_MAX];
	struct lb_quic_id id = {};

	/* 7 is never one, also where the word has bits in its place */
	for (unsigned int rotation = 0; rotation < 8; rotation++) {
		cid[0] = (uint8_t)(rotation << 5 | 6);
		assert_int_equal(route(packet, short_packet(packet, 0x40, cid, 7, 20), 0, all, &id),
				 rotation ? LB_QUIC_UNKNOWN_CONFIG : LB_QUIC_ROUTABLE);
		assert_int_equal(route(packet, long_packet(packet, 0x40, 1, cid, 7, 20), 0, all, &id),
				 rotation ? LB_QUIC_UNKNOWN_CONFIG : LB_QUIC_ROUTABLE);
		assert_int_equal(route(packet, short_packet(packet, 0x40, cid, 7, 20), 0, 0, &id),
				 LB_QUIC_UNKNOWN_CONFIG);
	}
	id.config = 7;
	assert_int_equal(lb_quic_cid(all, &id, packet, 0, cid), 0);
	id.config = 1;
	assert_int_equal(lb_quic_cid(all, &id, packet, 0, cid), 0);
}

/* A server may append to its IDs, all of them alike; the described length is then the whole one. */
static void test_described_length(void **state)
{
	const uint64_t configs = LB_QUIC_CONFIG(0, 2, 6, true);
	uint8_t cid[DATAGRAM_MAX] = {}, packet[DATAGRAM_MAX];
	struct lb_quic_id id = {};

	for (unsigned int described = 0; described < 32; described++) {
		cid[0] = (uint8_t)described;
		for (unsigned int bytes = 9; bytes <= 40; bytes++)
			assert_int_equal(route(packet, long_packet(packet, 0x40, 1, cid, bytes, 20), 0, configs, &id),
					 bytes == described + 1 ? LB_QUIC_ROUTABLE : LB_QUIC_WRONG_LENGTH);
		assert_int_equal(route(packet, short_packet(packet, 0x40, cid, 32, 0), 0, configs, &id),
				 described >= 8 ? LB_QUIC_ROUTABLE : LB_QUIC_WRONG_LENGTH);
		/* an ID that goes on behind the datagram */
		assert_int_equal(route(packet, short_packet(packet, 0x40, cid, 20, 0), 0, configs, &id),
				 described >= 8 && described < 20 ? LB_QUIC_ROUTABLE : LB_QUIC_WRONG_LENGTH);
	}
}

/* ---- cut short, at each byte ---- */

static void check_cut(const uint8_t *packet, size_t nr, uint64_t configs, size_t enough)
{
	struct lb_quic_id id = {};

	for (size_t cut = 0; cut <= nr; cut++) {
		enum lb_quic_result want = cut < enough ? LB_QUIC_TOO_SHORT : LB_QUIC_ROUTABLE;

		assert_int_equal(route(packet, cut, 0, configs, &id), want);
		/* padding is not the datagram's */
		assert_int_equal(route(packet, cut, 46, configs, &id), want);
	}
}

static void test_truncated(void **state)
{
	uint8_t cid[LB_QUIC_CID_MAX], packet[DATAGRAM_MAX];

	for (unsigned int sid = 1; sid <= LB_QUIC_SERVER_ID_MAX; sid++) {
		for (unsigned int body = sid + LB_QUIC_NONCE_MIN; body <= LB_QUIC_BODY_MAX; body++) {
			const uint64_t configs = LB_QUIC_CONFIG(5, sid, body - sid, false);
			uint32_t nr = make(configs, 5, 0x0102030405060708, cid);
			size_t wanted = body > 8 ? 1 + body : 9; /* eight bytes are wanted in any case */

			check_cut(packet, short_packet(packet, 0x40, cid, nr, 20), configs, 1 + wanted);
			check_cut(packet, long_packet(packet, 0x40, 1, cid, nr, 20), configs, 6 + wanted);
		}
	}
}

/* A header that has no connection ID, or one that is not long enough, among bytes enough. */
static void test_long_header_lengths(void **state)
{
	const uint64_t configs = LB_QUIC_CONFIG(0, 4, 6, false);
	uint8_t cid[255] = {}, packet[300];
	struct lb_quic_id id = {};

	for (unsigned int bytes = 0; bytes <= 255; bytes++) {
		size_t nr = long_packet(packet, 0x40, 1, cid, bytes, 20);

		assert_int_equal(route(packet, nr, 0, configs, &id), bytes < 11 ? LB_QUIC_TOO_SHORT : LB_QUIC_ROUTABLE);
		if (bytes >= 11)
			assert_int_equal(route(packet, 6 + bytes - 1, 10, configs, &id), LB_QUIC_TOO_SHORT);
	}
}

/* The datagram's own length, which the parser has held against the frame, is not trusted here. */
static void check_udp_length(unsigned int frame, uint64_t configs, unsigned int enough)
{
	uint8_t *buf = malloc(2 + frame), *udp = buf + 2;
	struct lb_quic_id id = {};

	assert_non_null(buf);
	memset(buf, 0, 2 + frame);
	for (unsigned int len = 0; len <= 0xffff; len += len < 64 ? 1 : 9973) {
		unsigned int room = len < frame ? len : frame;

		if (frame >= 6) {
			udp[4] = (uint8_t)(len >> 8);
			udp[5] = (uint8_t)len;
		}
		assert_int_equal(lb_quic_route(udp, udp + frame, frame, configs, &id),
				 room < enough ? LB_QUIC_TOO_SHORT : LB_QUIC_ROUTABLE);
	}
	free(buf);
}

static void test_udp_length(void **state)
{
	for (unsigned int frame = 0; frame <= 40; frame++) {
		check_udp_length(frame, LB_QUIC_CONFIG(0, 1, 4, false), 8 + 1 + 9);
		check_udp_length(frame, LB_QUIC_CONFIG(0, 1, 18, false), 8 + 1 + 20);
	}
}

/* ---- against a reader that goes byte by byte ---- */

struct slow_config {
	bool used, self_length;
	unsigned int sid, nonce;
};

static enum lb_quic_result slow_route(const uint8_t *p, size_t nr, const struct slow_config configs[8],
				      struct lb_quic_id *id)
{
	const struct slow_config *c;
	size_t at, cid_bytes;
	bool long_form;

	if (nr < 6)
		return LB_QUIC_TOO_SHORT;
	long_form = p[0] >= 128;
	at = long_form ? 6 : 1;
	if (nr < at + 9 || (long_form && p[5] == 0))
		return LB_QUIC_TOO_SHORT;
	c = &configs[p[at] / 32];
	if (!c->used)
		return LB_QUIC_UNKNOWN_CONFIG;
	cid_bytes = long_form ? p[5] : 1 + c->sid + c->nonce;
	if (cid_bytes < 1 + c->sid + c->nonce || at + cid_bytes > nr)
		return LB_QUIC_TOO_SHORT;
	if (c->self_length) {
		size_t whole = p[at] % 32 + 1u;

		if (long_form ? whole != cid_bytes : (whole < cid_bytes || at + whole > nr))
			return LB_QUIC_WRONG_LENGTH;
	}
	id->config = p[at] / 32;
	id->server_id = number(p + at + 1, c->sid);
	return LB_QUIC_ROUTABLE;
}

static void test_random(void **state)
{
	size_t seen[4] = {};

	for (int round = 0; round < 300000; round++) {
		struct slow_config slow[8] = {};
		struct lb_quic_id id = {}, want = {};
		uint8_t p[64];
		uint64_t configs = 0, r = random64();
		size_t nr = r % sizeof(p);

		for (unsigned int i = 0; i < LB_QUIC_CONFIGS; i++) {
			struct slow_config *c = &slow[i];

			if (random64() % 4 == 0)
				continue;
			c->used = true;
			c->self_length = random64() % 2;
			c->sid = 1 + random64() % LB_QUIC_SERVER_ID_MAX;
			c->nonce = LB_QUIC_NONCE_MIN + random64() % (LB_QUIC_BODY_MAX - LB_QUIC_NONCE_MIN - c->sid + 1);
			configs |= LB_QUIC_CONFIG(i, c->sid, c->nonce, c->self_length);
		}
		for (size_t i = 0; i < sizeof(p); i++)
			p[i] = (uint8_t)random64();
		p[5] = r >> 8 & 1 ? p[5] % 32 : p[5];
		if (r >> 9 & 1) /* lengths that agree, or nearly */
			p[6] = (uint8_t)((p[6] & 0xe0) | ((p[5] - 1 + (r >> 10 & 3) / 3) & 31));
		assert_int_equal(slow_route(p, nr, slow, &want), route(p, nr, r >> 12 & 15, configs, &id));
		assert_int_equal(id.config, want.config);
		assert_int_equal(id.server_id, want.server_id);
		seen[slow_route(p, nr, slow, &want)]++;
	}
	for (int i = 0; i < 4; i++)
		if (seen[i] < 10000)
			fail_msg("result %d came up only %zu times", i, seen[i]);
}

/* A word that no configuration makes reads nothing it must not, and shifts by nothing undefined. */
static void test_any_word(void **state)
{
	size_t seen[4] = {};

	for (int round = 0; round < 100000; round++) {
		struct lb_quic_id id = {};
		uint64_t configs = random64();
		uint8_t p[64];

		for (size_t i = 0; i < sizeof(p); i++)
			p[i] = (uint8_t)random64();
		seen[route(p, random64() % sizeof(p), 0, configs, &id)]++;
		assert_in_range(id.config, 0, 6);
	}
	assert_true(seen[LB_QUIC_ROUTABLE] > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_draft_vectors, seed),
		cmocka_unit_test_setup(test_rfc9001_packets, seed),
		cmocka_unit_test_setup(test_all_configurations, seed),
		cmocka_unit_test_setup(test_first_byte, seed),
		cmocka_unit_test_setup(test_rotation, seed),
		cmocka_unit_test_setup(test_described_length, seed),
		cmocka_unit_test_setup(test_truncated, seed),
		cmocka_unit_test_setup(test_long_header_lengths, seed),
		cmocka_unit_test_setup(test_udp_length, seed),
		cmocka_unit_test_setup(test_random, seed),
		cmocka_unit_test_setup(test_any_word, seed),
	};

	return cmocka_run_group_tests_name("dp_quic", tests, NULL, NULL);
}
