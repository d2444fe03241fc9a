/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Echo requests and replies. */
#include <string.h>

#include "check_ping.h"

enum { ECHO4_REQUEST = 8, ECHO4_REPLY = 0, ECHO6_REQUEST = 128, ECHO6_REPLY = 129 };
#define HEADER_LEN 8

/* RFC 1071 over an even number of bytes. */
static uint16_t checksum(const uint8_t *p, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i += 2)
		sum += (uint32_t)(p[i] << 8 | p[i + 1]);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

void lb_echo_request(bool v4, uint16_t id, uint64_t cookie, uint8_t out[LB_ECHO_LEN])
{
	uint16_t sum;

	memset(out, 0, LB_ECHO_LEN);
	out[0] = v4 ? ECHO4_REQUEST : ECHO6_REQUEST;
	out[4] = (uint8_t)(id >> 8);
	out[5] = (uint8_t)id;
	out[7] = 1;
	memcpy(out + HEADER_LEN, &cookie, sizeof(cookie));
	if (!v4)
		return;
	sum = checksum(out, LB_ECHO_LEN);
	out[2] = (uint8_t)(sum >> 8);
	out[3] = (uint8_t)sum;
}

bool lb_echo_is_reply(bool v4, bool ip_header, uint64_t cookie, const uint8_t *packet, size_t len)
{
	size_t skip = 0;

	if (ip_header) {
		if (len < 20)
			return false;
		skip = (size_t)(packet[0] & 0xf) * 4;
	}
	if (len < skip + HEADER_LEN + sizeof(cookie))
		return false;
	packet += skip;
	return packet[0] == (v4 ? ECHO4_REPLY : ECHO6_REPLY) && !packet[1] &&
	       !memcmp(packet + HEADER_LEN, &cookie, sizeof(cookie));
}
