/* SPDX-License-Identifier: GPL-2.0-or-later */
/* IP headers of a packet that is put together byte by byte, and the addresses of a small network, for unit tests of
 * packet code. Included after cmocka.h; a program includes <arpa/inet.h> before what is of the kernel. */
#ifndef TEST_IP_BYTES_H
#define TEST_IP_BYTES_H

#include <arpa/inet.h>
#include <linux/types.h>
#include <stdbool.h>

#include "bytes.h"

#define CLIENT4 "198.51.100.7"
#define VIP4 "192.0.2.10"
#define ROUTER4 "203.0.113.1"
#define BACKEND4 "10.0.0.11"
#define SNAT4 "10.0.0.1"
#define CLIENT6 "2001:db8:99::7"
#define VIP6 "2001:db8::10"
#define ROUTER6 "2001:db8:1::1"
#define BACKEND6 "fd00::11"
#define SNAT6 "fd00::1"

static inline void put_addr(struct pkt *p, const char *text)
{
	bool v6 = strchr(text, ':');

	assert_int_equal(inet_pton(v6 ? AF_INET6 : AF_INET, text, p->b + p->len), 1);
	p->len += v6 ? 16 : 4;
}

/* @opts: bytes of options, a multiple of 4. */
static inline void put_ip4(struct pkt *p, const char *src, const char *dst, unsigned int proto, size_t opts,
			   size_t payload)
{
	size_t start = p->len;

	put8(p, 0x45 + (unsigned int)opts / 4);
	put8(p, 0);
	put16(p, (unsigned int)(20 + opts + payload));
	put16(p, 0x1234);
	put16(p, 0x4000);
	put8(p, 57);
	put8(p, proto);
	put16(p, 0);
	put_addr(p, src);
	put_addr(p, dst);
	for (size_t i = 0; i < opts; i++)
		put8(p, 1);
	set16(p->b + start + 10, ~sum16(p->b + start, p->len - start, 0) & 0xffff);
}

static inline void put_ip6(struct pkt *p, const char *src, const char *dst, unsigned int next, size_t payload)
{
	put16(p, 0x6000);
	put16(p, 0xabcd);
	put16(p, (unsigned int)payload);
	put8(p, next);
	put8(p, 57);
	put_addr(p, src);
	put_addr(p, dst);
}

/* What a checksum over [@b, @b + len) and the addresses of the IP header @ip should be; 0 when it is right. */
static inline unsigned int check_l4(const uint8_t *ip, unsigned int proto, const uint8_t *b, size_t len)
{
	unsigned int sum = proto + (unsigned int)len;

	sum = ip[0] >> 4 == 6 ? sum16(ip + 8, 32, sum) : sum16(ip + 12, 8, sum);
	return ~sum16(b, len, sum) & 0xffff;
}

/* The 16 bytes of an address, IPv4 mapped, as the dataplane has them. */
static inline void words_of(const char *text, __u64 words[2])
{
	uint8_t b[16] = {[10] = 0xff, [11] = 0xff};

	if (strchr(text, ':'))
		assert_int_equal(inet_pton(AF_INET6, text, b), 1);
	else
		assert_int_equal(inet_pton(AF_INET, text, b + 12), 1);
	memcpy(words, b, 16);
}

#endif
