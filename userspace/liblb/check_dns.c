/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The DNS messages of the dns check. */
#include <errno.h>
#include <string.h>

#include "check_dns.h"

#define HEADER_LEN 12
#define FLAG_QR 0x80 /* of byte 2: a response */
#define OPCODE 0x78
#define RCODE 0x0f /* of byte 3 */
#define TYPE_A 1
#define TYPE_AAAA 28
#define CLASS_IN 1

int lb_dns_query(uint16_t id, const char *name, enum lb_dns_record record, uint8_t out[LB_DNS_QUERY_MAX])
{
	uint8_t *p = out + HEADER_LEN;
	size_t label;

	memset(out, 0, HEADER_LEN);
	out[0] = (uint8_t)(id >> 8);
	out[1] = (uint8_t)id;
	out[2] = 0x01; /* recursion desired */
	out[5] = 1;    /* one question */
	if (strlen(name) > 254)
		return -EINVAL;
	if (!strcmp(name, "."))
		name++;
	for (; *name; name += label + (name[label] == '.')) {
		label = strcspn(name, ".");
		if (!label || label > 63 || p + label + 2 > out + HEADER_LEN + 255)
			return -EINVAL;
		*p++ = (uint8_t)label;
		memcpy(p, name, label);
		p += label;
	}
	*p++ = 0;
	*p++ = 0;
	*p++ = record == LB_DNS_AAAA ? TYPE_AAAA : TYPE_A;
	*p++ = 0;
	*p++ = CLASS_IN;
	return (int)(p - out);
}

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

int lb_dns_answer(const uint8_t *query, size_t query_len, const uint8_t *answer, size_t len)
{
	if (len < 2 || memcmp(answer, query, 2))
		return -EAGAIN;
	if (len < HEADER_LEN)
		return -EPROTO;
	if (!(answer[2] & FLAG_QR))
		return -EAGAIN;
	if (answer[2] & OPCODE)
		return -EPROTO;
	/* A server that could not read the question need not repeat it. */
	if (!answer[4] && !answer[5] && (answer[3] & RCODE))
		return answer[3] & RCODE;
	if (answer[4] || answer[5] != 1 || len < query_len)
		return -EPROTO;
	/* Lengths of labels are below 'A'. */
	for (size_t i = HEADER_LEN; i < query_len; i++)
		if (lower(answer[i]) != lower(query[i]))
			return -EPROTO;
	return answer[3] & RCODE;
}
