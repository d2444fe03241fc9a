// SPDX-License-Identifier: GPL-2.0-or-later
/* What the entries of a translated connection say: connection.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "connection.h"
#include "lb/dp/conn.h"
#include "lb/dp/nat.h"

#define NOW 1000u
#define OPEN (LB_CONN_SEEN | LB_CONN_SYN | LB_CONN_ACK | LB_CONN_OPEN)
#define SYN_ACK (LB_CONN_SEEN | LB_CONN_SYN)

static void addr_of(const char *text, __u64 addr[2])
{
	uint8_t bytes[16];

	assert_int_equal(lb_addr_parse(text, bytes, NULL), 0);
	memcpy(addr, bytes, sizeof(bytes));
}

/* A connection from @client to @vip that leaves as one from @from to @to. Ports: 1234 > 80, and @port > 8080. */
static void connection(struct lb_conn_key *key, struct lb_conn *c, const char *client, const char *vip,
		       const char *from, uint16_t port, const char *to)
{
	*key = (struct lb_conn_key){.ports = lb_ports_of(lb_htons(1234), lb_htons(80)), .proto = IPPROTO_TCP};
	*c = (struct lb_conn){.service = 7, .backend = 9};
	addr_of(client, key->saddr);
	addr_of(vip, key->daddr);
	addr_of(from, c->xlate.saddr);
	addr_of(to, c->xlate.daddr);
	c->xlate.ports = lb_ports_of(lb_htons(port), lb_htons(8080));
}

static void test_addresses(void **state)
{
	const struct {
		const char *client, *vip, *from, *to;
		uint16_t port;
		const char *shown_client, *shown_vip, *shown_seen; /* NULL: as the client */
	} rows[] = {
		{"198.51.100.7", "192.0.2.10", "198.51.100.7", "10.0.0.1", 1234, "198.51.100.7:1234",
		 "192.0.2.10:80/tcp", NULL},
		{"198.51.100.7", "192.0.2.10", "198.51.100.7", "10.0.0.1", 1235, "198.51.100.7:1234",
		 "192.0.2.10:80/tcp", "198.51.100.7:1235"},
		{"198.51.100.7", "192.0.2.10", "10.0.0.2", "10.0.0.1", 1234, "198.51.100.7:1234", "192.0.2.10:80/tcp",
		 "10.0.0.2:1234"},
		{"2001:db8::7", "2001:db8::10", "10.0.0.2", "10.0.0.1", 40000, "[2001:db8::7]:1234",
		 "[2001:db8::10]:80/tcp", "10.0.0.2:40000"},
		{"198.51.100.7", "192.0.2.10", "fd00::2", "fd00::1", 40001, "198.51.100.7:1234", "192.0.2.10:80/tcp",
		 "[fd00::2]:40001"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct lb_vip_conf vip = {.plen = 128};
		struct lb_conn_key key;
		struct lb_conn c;
		struct lb_connection got;
		char text[LB_ADDR_STRLEN];

		connection(&key, &c, rows[i].client, rows[i].vip, rows[i].from, rows[i].port, rows[i].to);
		got = lb_connection_of(&key, &c, 0, NOW);
		vip.vip = got.vip;
		assert_string_equal(lb_endpoint_format(&got.client, text), rows[i].shown_client);
		assert_string_equal(lb_vip_format(&vip, text), rows[i].shown_vip);
		assert_int_equal(got.translated, rows[i].shown_seen != NULL);
		assert_string_equal(lb_endpoint_format(&got.seen, text),
				    rows[i].shown_seen ? rows[i].shown_seen : rows[i].shown_client);
		assert_int_equal(got.service, 7);
		assert_int_equal(got.backend, 9);
	}
}

static void test_states(void **state)
{
	const struct {
		uint8_t proto;
		uint64_t word, reply;
		const char *state;
		bool proven, closed;
		uint32_t idle_s;
	} rows[] = {
		{IPPROTO_TCP, LB_CONN_SEEN | LB_CONN_SYN | (NOW - 3), 0, "half-open", false, false, 3},
		{IPPROTO_TCP, LB_CONN_SEEN | LB_CONN_SYN | (NOW - 3), SYN_ACK | (NOW - 2), "half-open", false, false,
		 2},
		{IPPROTO_TCP, OPEN | (NOW - 60), SYN_ACK | LB_CONN_ACK | (NOW - 70), "established", true, false, 60},
		{IPPROTO_TCP, OPEN | NOW, 0, "established", true, false, 0},
		{IPPROTO_TCP, OPEN | LB_CONN_FIN | (NOW - 9), SYN_ACK | (NOW - 9), "established", true, true, 9},
		{IPPROTO_TCP, OPEN | (NOW - 9), SYN_ACK | LB_CONN_FIN | (NOW - 1), "established", true, false, 1},
		{IPPROTO_TCP, OPEN | LB_CONN_FIN | (NOW - 9), SYN_ACK | LB_CONN_FIN | (NOW - 8), "closing", true, true,
		 8},
		{IPPROTO_TCP, OPEN | LB_CONN_RST | (NOW - 9), SYN_ACK | (NOW - 9), "closing", true, true, 9},
		{IPPROTO_TCP, OPEN | (NOW - 9), SYN_ACK | LB_CONN_RST | (NOW - 9), "closing", true, false, 9},
		{IPPROTO_UDP, LB_CONN_SEEN | (NOW - 4), 0, "unreplied", false, false, 4},
		{IPPROTO_UDP, LB_CONN_SEEN | (NOW - 4), LB_CONN_SEEN | (NOW - 5), "replied", true, false, 4},
		/* another CPU's clock may be ahead */
		{IPPROTO_UDP, LB_CONN_SEEN | (NOW + 1), 0, "unreplied", false, false, 0},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct lb_conn_key key;
		struct lb_conn c;
		struct lb_connection got;

		connection(&key, &c, "198.51.100.7", "192.0.2.10", "10.0.0.2", 2000, "10.0.0.1");
		key.proto = rows[i].proto;
		c.word = rows[i].word;
		got = lb_connection_of(&key, &c, rows[i].reply, NOW);
		assert_string_equal(got.state, rows[i].state);
		assert_int_equal(got.proven, rows[i].proven);
		assert_int_equal(got.closed, rows[i].closed);
		assert_int_equal(got.idle_s, rows[i].idle_s);
		assert_int_equal(got.vip.proto, rows[i].proto);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_states),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
