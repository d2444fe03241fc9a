/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Packets put together byte by byte, and checksums computed in full, for unit tests of packet code. */
#ifndef TEST_BYTES_H
#define TEST_BYTES_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Without Ethernet. */
struct pkt {
	uint8_t b[2048];
	size_t len;
};

static inline void put8(struct pkt *p, unsigned int v)
{
	p->b[p->len++] = (uint8_t)v;
}

static inline void put16(struct pkt *p, unsigned int v)
{
	put8(p, v >> 8);
	put8(p, v & 0xff);
}

/* Destination options of IPv6, @bytes of them, a multiple of 8. */
static inline void put_ext6(struct pkt *p, unsigned int next, size_t bytes)
{
	size_t start = p->len;

	put8(p, next);
	put8(p, (unsigned int)bytes / 8 - 1);
	put8(p, 1); /* PadN */
	put8(p, (unsigned int)bytes - 4);
	while (p->len < start + bytes)
		put8(p, 0);
}

static inline unsigned int get16(const uint8_t *b)
{
	return (unsigned int)b[0] << 8 | b[1];
}

static inline void set16(uint8_t *b, unsigned int v)
{
	b[0] = (uint8_t)(v >> 8);
	b[1] = (uint8_t)v;
}

/* The one's complement sum of bytes and @sum, as RFC 1071 writes it. */
static inline unsigned int sum16(const uint8_t *b, size_t len, unsigned int sum)
{
	for (size_t i = 0; i < len; i++)
		sum += i % 2 ? b[i] : (unsigned int)b[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* 0 where a checksum is right; what it is to be where it is 0. */
static inline unsigned int naive_checksum(const uint8_t *b, size_t len)
{
	return ~sum16(b, len, 0) & 0xffff;
}

/* The first @len bytes of @p, where the sanitizers see each byte: they end with their allocation, and begin where an
 * Ethernet header at offset 2 ends. Free @mem. */
struct copy {
	uint8_t *mem, *b, *end;
};

__attribute__((noinline, unused)) static struct copy copy_of(const struct pkt *p, size_t len)
{
	struct copy c = {.mem = malloc(2 + 14 + len)};

	if (!c.mem)
		abort();
	c.b = c.mem + 2 + 14;
	c.end = c.b + len;
	memcpy(c.b, p->b, len);
	return c;
}

#endif
