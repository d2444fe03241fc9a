// SPDX-License-Identifier: GPL-2.0-or-later
/* What checks send and what they take for an answer: DNS, gRPC, echo; statuses and escapes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check_dns.h"
#include "check_grpc.h"
#include "check_ping.h"
#include "fields_priv.h"

/* ---- DNS ---- */

static const uint8_t query_wanted[] = {0x12, 0x34, 0x01, 0,   0,   1,	0,   0, 0,   0,	  0,   0, 3, 'w', 'w', 'w', 7,
				       'e',  'x',  'a',	 'm', 'p', 'l', 'e', 3, 'o', 'r', 'g', 0, 0, 28,  0,   1};

static void test_dns_query(void **state)
{
	uint8_t out[LB_DNS_QUERY_MAX];
	char name[300];
	int len;

	assert_int_equal(lb_dns_query(0x1234, "www.example.org", LB_DNS_AAAA, out), sizeof(query_wanted));
	assert_memory_equal(out, query_wanted, sizeof(query_wanted));
	/* The dot at the end changes nothing; the root is a name. */
	assert_int_equal(lb_dns_query(0x1234, "www.example.org.", LB_DNS_AAAA, out), sizeof(query_wanted));
	assert_memory_equal(out, query_wanted, sizeof(query_wanted));
	assert_int_equal(lb_dns_query(1, ".", LB_DNS_A, out), 17);
	assert_memory_equal(out + 12, "\0\0\1\0\1", 5);
	assert_int_equal(lb_dns_query(1, "a..b", LB_DNS_A, out), -EINVAL);
	assert_int_equal(lb_dns_query(1, ".a", LB_DNS_A, out), -EINVAL);
	/* The longest name there can be, and one byte more. */
	for (int i = 0; i < 4; i++)
		snprintf(name + 64 * i, 65, "%.63s.",
			 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
	name[253] = '\0';
	len = lb_dns_query(1, name, LB_DNS_A, out);
	assert_int_equal(len, 12 + 255 + 4);
	memcpy(name + 253, "a", 2);
	assert_int_equal(lb_dns_query(1, name, LB_DNS_A, out), -EINVAL);
	memset(name, 'a', 64);
	name[64] = '\0';
	assert_int_equal(lb_dns_query(1, name, LB_DNS_A, out), -EINVAL);
}

/* An exact-size copy, so that ASan sees a read past the end. */
static int dns_answer(const uint8_t *answer, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);
	int ret;

	assert_non_null(copy);
	memcpy(copy, answer, len);
	ret = lb_dns_answer(query_wanted, sizeof(query_wanted), copy, len);
	free(copy);
	return ret;
}

static void test_dns_answer(void **state)
{
	static const uint8_t record[] = {0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 0, 0, 1};
	uint8_t a[sizeof(query_wanted) + sizeof(record)];
	const size_t question = sizeof(query_wanted);

	memcpy(a, query_wanted, question);
	memcpy(a + question, record, sizeof(record));
	a[2] |= 0x80;
	a[7] = 1;
	assert_int_equal(dns_answer(a, sizeof(a)), 0);
	assert_int_equal(dns_answer(a, question), 0);
	/* Names are the same in either case, also of an answer cut short. */
	a[13] = 'W';
	a[2] |= 0x02;
	assert_int_equal(dns_answer(a, question), 0);
	for (uint8_t code = 1; code < 16; code++) {
		a[3] = (uint8_t)(0x80 | code);
		assert_int_equal(dns_answer(a, sizeof(a)), code);
	}
	/* A server that could make nothing of it. */
	a[5] = 0;
	a[3] = 1;
	assert_int_equal(dns_answer(a, 12), 1);
	a[3] = 0;
	assert_int_equal(dns_answer(a, 12), -EPROTO);
	a[5] = 2;
	assert_int_equal(dns_answer(a, sizeof(a)), -EPROTO);
	a[5] = 1;
	/* Another question: its type, its name, its length. */
	a[question - 3] = 1;
	assert_int_equal(dns_answer(a, sizeof(a)), -EPROTO);
	a[question - 3] = 28;
	a[20] = 'x';
	assert_int_equal(dns_answer(a, sizeof(a)), -EPROTO);
	a[20] = query_wanted[20];
	for (size_t len = 12; len < question; len++)
		assert_int_equal(dns_answer(a, len), -EPROTO);
	for (size_t len = 2; len < 12; len++)
		assert_int_equal(dns_answer(a, len), -EPROTO);
	assert_int_equal(dns_answer(a, 0), -EAGAIN);
	assert_int_equal(dns_answer(a, 1), -EAGAIN);
	/* Neither the question sent back nor another's answer is one. */
	assert_int_equal(dns_answer(query_wanted, question), -EAGAIN);
	a[0] ^= 1;
	assert_int_equal(dns_answer(a, sizeof(a)), -EAGAIN);
	a[0] ^= 1;
	a[2] |= 0x28;
	assert_int_equal(dns_answer(a, sizeof(a)), -EPROTO);
}

/* ---- gRPC ---- */

static void test_grpc_request(void **state)
{
	uint8_t out[LB_GRPC_REQUEST_MAX];
	char name[257];

	assert_int_equal(lb_grpc_request("", out), 5);
	assert_memory_equal(out, "\0\0\0\0\0", 5);
	assert_int_equal(lb_grpc_request("a.B", out), 10);
	assert_memory_equal(out, "\0\0\0\0\5\x0a\3a.B", 10);
	memset(name, 'x', sizeof(name));
	name[127] = '\0';
	assert_int_equal(lb_grpc_request(name, out), 5 + 2 + 127);
	name[127] = 'x';
	name[128] = '\0';
	assert_int_equal(lb_grpc_request(name, out), 5 + 3 + 128);
	assert_memory_equal(out, "\0\0\0\0\x83\x0a\x80\1x", 9);
	name[128] = 'x';
	name[255] = '\0';
	assert_int_equal(lb_grpc_request(name, out), LB_GRPC_REQUEST_MAX);
	assert_memory_equal(out, "\0\0\0\1\2\x0a\xff\1x", 9);
	name[255] = 'x';
	name[256] = '\0';
	assert_int_equal(lb_grpc_request(name, out), -EINVAL);
}

static int grpc_response(const char *bytes, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);
	int ret;

	assert_non_null(copy);
	memcpy(copy, bytes, len);
	ret = lb_grpc_response(copy, len);
	free(copy);
	return ret;
}

#define RESPONSE(bytes) grpc_response(bytes, sizeof(bytes) - 1)

static void test_grpc_response(void **state)
{
	assert_int_equal(RESPONSE("\0\0\0\0\0"), LB_GRPC_UNKNOWN);
	assert_int_equal(RESPONSE("\0\0\0\0\2\x08\1"), LB_GRPC_SERVING);
	assert_int_equal(RESPONSE("\0\0\0\0\2\x08\2"), LB_GRPC_NOT_SERVING);
	assert_int_equal(RESPONSE("\0\0\0\0\3\x08\x81\0"), LB_GRPC_SERVING); /* longer than it need be */
	assert_int_equal(RESPONSE("\0\0\0\0\4\x08\2\x08\1"), LB_GRPC_SERVING);
	assert_int_equal(RESPONSE("\0\0\0\0\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\1"), INT_MAX);
	/* Fields that there may be one day, of each kind. */
	assert_int_equal(RESPONSE("\0\0\0\0\x18\x10\x96\1\x1a\3abc\x25"
				  "1234\x29"
				  "12345678\x08\1"),
			 LB_GRPC_SERVING);
	/* Compressed, too short, too long, two messages. */
	assert_int_equal(RESPONSE("\1\0\0\0\2\x08\1"), -EPROTO);
	assert_int_equal(RESPONSE("\0\0\0\0\3\x08\1"), -EPROTO);
	assert_int_equal(RESPONSE("\0\0\0\0\1\x08\1"), -EPROTO);
	assert_int_equal(RESPONSE("\0\0\0\0\2\x08\1\0\0\0\0\2\x08\1"), -EPROTO);
	assert_int_equal(RESPONSE("\0\xff\xff\xff\xff\x08\1"), -EPROTO);
	assert_int_equal(RESPONSE(""), -EPROTO);
	assert_int_equal(RESPONSE("\0\0\0\0"), -EPROTO);
	/* Fields that end too early, of no number, or of kinds that are not used. */
	assert_int_equal(RESPONSE("\0\0\0\0\1\x08"), -EPROTO);
	assert_int_equal(RESPONSE("\0\0\0\0\2\x08\x80"), -EPROTO);
	assert_int_equal(RESPONSE("\0\0\0\0\3\x1a\2a"), -EPROTO);
	assert_int_equal(RESPONSE("\0\0\0\0\x0b\x1a\xff\xff\xff\xff\xff\xff\xff\xff\xff\1"), -EPROTO);
	assert_int_equal(RESPONSE("\0\0\0\0\2\x25\1"), -EPROTO);
	assert_int_equal(RESPONSE("\0\0\0\0\2\x29\1"), -EPROTO);
	assert_int_equal(RESPONSE("\0\0\0\0\2\0\1"), -EPROTO);
	assert_int_equal(RESPONSE("\0\0\0\0\2\x13\1"), -EPROTO);
	assert_int_equal(RESPONSE("\0\0\0\0\x0c\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\1"), -EPROTO);
}

/* ---- echo ---- */

static uint32_t add_up(const uint8_t *p, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i += 2)
		sum += (uint32_t)(p[i] << 8 | p[i + 1]);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static bool is_reply(bool v4, bool ip_header, const uint8_t *packet, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);
	bool ret;

	assert_non_null(copy);
	memcpy(copy, packet, len);
	ret = lb_echo_is_reply(v4, ip_header, 0x1122334455667788, copy, len);
	free(copy);
	return ret;
}

static void test_echo(void **state)
{
	uint8_t packet[60 + LB_ECHO_LEN] = {0x4f}, *echo = packet + 60;

	lb_echo_request(true, 0xabcd, 0x1122334455667788, echo);
	assert_int_equal(echo[0], 8);
	assert_int_equal(add_up(echo, LB_ECHO_LEN), 0xffff);
	assert_false(is_reply(true, false, echo, LB_ECHO_LEN));
	echo[0] = 0;
	echo[4] ^= 1;
	assert_true(is_reply(true, false, echo, LB_ECHO_LEN));
	assert_true(is_reply(true, false, echo, 16));
	assert_true(is_reply(true, true, packet, sizeof(packet)));
	for (size_t len = 0; len < 16; len++) {
		assert_false(is_reply(true, false, echo, len));
		assert_false(is_reply(true, true, packet, 60 + len));
	}
	for (size_t len = 0; len < 60; len++)
		assert_false(is_reply(true, true, packet, len));
	echo[1] = 1;
	assert_false(is_reply(true, false, echo, LB_ECHO_LEN));
	echo[1] = 0;
	echo[8] ^= 1;
	assert_false(is_reply(true, false, echo, LB_ECHO_LEN));
	lb_echo_request(false, 1, 0x1122334455667788, echo);
	assert_int_equal(echo[0], 128);
	assert_false(is_reply(false, false, echo, LB_ECHO_LEN));
	echo[0] = 129;
	assert_true(is_reply(false, false, echo, LB_ECHO_LEN));
	assert_false(is_reply(true, false, echo, LB_ECHO_LEN));
}

/* ---- texts ---- */

static void test_status(void **state)
{
	struct lb_status_set s;
	char text[LB_FIELD_STRLEN];

	assert_int_equal(lb_status_parse("301,204-206,200-203,599,100", &s, NULL), 0);
	assert_string_equal(lb_status_format(&s, text, sizeof(text)), "100,200-206,301,599");
	assert_false(lb_status_expected(&s, 0));
	assert_true(lb_status_expected(&s, 100));
	assert_false(lb_status_expected(&s, 199));
	assert_true(lb_status_expected(&s, 203));
	assert_true(lb_status_expected(&s, 206));
	assert_false(lb_status_expected(&s, 207));
	assert_true(lb_status_expected(&s, 599));
	assert_false(lb_status_expected(&s, 600));
	assert_int_equal(lb_status_parse("200,201-", &s, NULL), -EINVAL);
	assert_int_equal(lb_status_parse("200-201-202", &s, NULL), -EINVAL);
	assert_int_equal(lb_status_parse("200 ", &s, NULL), -EINVAL);
	assert_int_equal(lb_status_parse("0200", &s, NULL), -EINVAL);
	assert_int_equal(lb_status_parse("200-0204", &s, NULL), -EINVAL);
	assert_int_equal(lb_status_parse("", &s, NULL), -EINVAL);
	/* What was refused changed nothing. */
	assert_string_equal(lb_status_format(&s, text, sizeof(text)), "100,200-206,301,599");
}

static void test_escapes(void **state)
{
	uint8_t out[LB_CHECK_TEXT_MAX];

	assert_int_equal(lb_text_unescape("", out), 0);
	assert_int_equal(lb_text_unescape("a\\x00\\xfF\\n\\r\\t\\\\b", out), 8);
	assert_memory_equal(out, "a\0\xff\n\r\t\\b", 8);
	assert_int_equal(lb_text_unescape("\\", out), -EINVAL);
	assert_int_equal(lb_text_unescape("\\x", out), -EINVAL);
	assert_int_equal(lb_text_unescape("\\x1", out), -EINVAL);
	assert_int_equal(lb_text_unescape("\\x1g", out), -EINVAL);
	assert_int_equal(lb_text_unescape("\\a", out), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dns_query),    cmocka_unit_test(test_dns_answer),
		cmocka_unit_test(test_grpc_request), cmocka_unit_test(test_grpc_response),
		cmocka_unit_test(test_echo),	     cmocka_unit_test(test_status),
		cmocka_unit_test(test_escapes),
	};

	return cmocka_run_group_tests_name("checks", tests, NULL, NULL);
}
