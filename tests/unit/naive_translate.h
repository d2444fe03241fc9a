/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a translated packet has to be, worked out slowly: a reference that knows what a packet says without its form,
 * puts one together byte by byte and adds all of it up for each checksum. Included by test_dp_translate.c, which holds
 * lb/dp/translate.h against it.
 */
#ifndef NAIVE_TRANSLATE_H
#define NAIVE_TRANSLATE_H

#include <linux/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define PACKET_MAX 512

/* What a packet says, without its form. */
struct meaning {
	bool v6;
	uint8_t src[16], dst[16]; /* IPv4: the first four bytes */
	uint16_t sport, dport;
	uint8_t proto, tos, ttl;
	bool df;
	bool fragment, more; /* part of one */
	uint16_t id4;
	uint32_t id6;
	uint16_t frag_off;    /* in units of 8 bytes */
	unsigned int options; /* bytes of IPv4 options, of IPv6 destination options in front of all else */
	unsigned int data;    /* bytes behind the transport header; of a later fragment, all */
	bool no_sum;	      /* UDP without checksum */
	int fixed_sum;	      /* a checksum that cannot be worked out from this: a first fragment's; -1: work it out */
	uint8_t payload[96];
};

struct bytes {
	uint8_t b[PACKET_MAX];
	unsigned int len, l4_off, frag_at; /* frag_at: of the IPv6 fragment header, 0: none */
};

static void put16(uint8_t *p, unsigned int v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static unsigned int get16(const uint8_t *p)
{
	return (unsigned int)p[0] << 8 | p[1];
}

/* RFC 1071, 4.1, as slow as it is there */
static uint32_t naive_add(uint32_t sum, const uint8_t *p, unsigned int len)
{
	for (unsigned int i = 0; i < len; i++)
		sum += (uint32_t)p[i] << (i % 2 ? 0 : 8);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static unsigned int naive_sum(uint32_t sum)
{
	return ~sum & 0xffff;
}

static unsigned int l4_len(const struct meaning *m)
{
	if (m->frag_off)
		return 0;
	return m->proto == IPPROTO_TCP ? 20 : 8;
}

static unsigned int sum_at(uint8_t proto)
{
	return proto == IPPROTO_TCP ? 16 : 6;
}

static unsigned int naive_l4_sum(const struct meaning *m, const uint8_t *l4, unsigned int len)
{
	uint8_t pseudo[4] = {0, m->proto, (uint8_t)(len >> 8), (uint8_t)len};
	unsigned int addr = m->v6 ? 16 : 4, sum;
	uint32_t total = naive_add(0, m->src, addr);

	total = naive_add(total, m->dst, addr);
	total = naive_add(total, pseudo, 4);
	sum = naive_sum(naive_add(total, l4, len));
	return m->proto == IPPROTO_UDP && !sum ? 0xffff : sum;
}

static void write_l4(const struct meaning *m, struct bytes *out)
{
	uint8_t *l4 = out->b + out->l4_off;
	unsigned int len = l4_len(m);

	memset(l4, 0, len);
	if (len) {
		put16(l4, m->sport);
		put16(l4 + 2, m->dport);
	}
	if (len == 20) {
		memset(l4 + 4, 0x5a, 8); /* sequence numbers */
		l4[12] = 0x50;
		l4[13] = 0x18;
		put16(l4 + 14, 0x1234);
	} else if (len) {
		put16(l4 + 4, 8 + m->data);
	}
	memcpy(l4 + len, m->payload, m->data);
	out->len = out->l4_off + len + m->data;
	if (!len || m->no_sum)
		return;
	put16(l4 + sum_at(m->proto),
	      m->fixed_sum >= 0 ? (unsigned int)m->fixed_sum : naive_l4_sum(m, l4, len + m->data));
}

static void write4(const struct meaning *m, struct bytes *out)
{
	uint8_t *ip = out->b;

	memset(out, 0, sizeof(*out));
	out->l4_off = 20 + m->options;
	write_l4(m, out);
	ip[0] = (uint8_t)(0x40 | out->l4_off / 4);
	ip[1] = m->tos;
	put16(ip + 2, out->len);
	put16(ip + 4, m->id4);
	put16(ip + 6, (m->df ? 0x4000U : 0) | (m->more ? 0x2000U : 0) | m->frag_off);
	ip[8] = m->ttl;
	ip[9] = m->proto;
	memcpy(ip + 12, m->src, 4);
	memcpy(ip + 16, m->dst, 4);
	memset(ip + 20, 1, m->options); /* no operation */
	put16(ip + 10, naive_sum(naive_add(0, ip, out->l4_off)));
}

static void write6(const struct meaning *m, struct bytes *out)
{
	uint8_t *ip = out->b, *next = ip + 6;

	memset(out, 0, sizeof(*out));
	out->l4_off = 40;
	if (m->options) {
		*next = IPPROTO_DSTOPTS;
		next = ip + out->l4_off;
		next[1] = (uint8_t)(m->options / 8 - 1);
		next[2] = 1; /* PadN */
		next[3] = (uint8_t)(m->options - 4);
		out->l4_off += m->options;
	}
	if (m->fragment) {
		*next = IPPROTO_FRAGMENT;
		next = ip + out->l4_off;
		out->frag_at = out->l4_off;
		put16(next + 2, (unsigned int)m->frag_off << 3 | m->more);
		put16(next + 4, m->id6 >> 16);
		put16(next + 6, m->id6 & 0xffff);
		out->l4_off += 8;
	}
	*next = m->proto;
	write_l4(m, out);
	ip[0] = (uint8_t)(0x60 | m->tos >> 4);
	ip[1] = (uint8_t)(m->tos << 4);
	put16(ip + 4, out->len - 40);
	ip[7] = m->ttl;
	memcpy(ip + 8, m->src, 16);
	memcpy(ip + 24, m->dst, 16);
}

static void write_packet(const struct meaning *m, struct bytes *out)
{
	if (m->v6)
		write6(m, out);
	else
		write4(m, out);
}

/* What translation has to make of @m; @to has the new family, addresses and ports. Within the family the form stays;
 * into the other one as RFC 7915, 4.1 and 5.1. @id: for what needs one. */
static void translated(struct meaning *m, const struct meaning *to, uint16_t id)
{
	bool cross = m->v6 != to->v6;
	unsigned int len;

	m->v6 = to->v6;
	memcpy(m->src, to->src, 16);
	memcpy(m->dst, to->dst, 16);
	m->sport = to->sport;
	m->dport = to->dport;
	m->ttl--;
	if (!cross)
		return;
	m->options = 0;
	if (m->v6) {
		m->fragment = m->more || m->frag_off;
		m->id6 = m->id4;
		return;
	}
	len = 20 + l4_len(m) + m->data;
	m->df = !m->fragment && len > 1260;
	m->id4 = m->fragment ? (uint16_t)m->id6 : m->df ? 0 : id;
}

/* A first fragment's checksum is for data that is not here: what came, less what the pseudo header and ports were, plus
 * what they are. */
static int moved_sum(const struct meaning *from, const struct meaning *to, unsigned int sum)
{
	uint8_t old[36] = {0}, new[36] = {0};
	uint32_t total;

	memcpy(old, from->src, from->v6 ? 16 : 4);
	memcpy(old + 16, from->dst, from->v6 ? 16 : 4);
	put16(old + 32, from->sport);
	put16(old + 34, from->dport);
	memcpy(new, to->src, to->v6 ? 16 : 4);
	memcpy(new + 16, to->dst, to->v6 ? 16 : 4);
	put16(new + 32, to->sport);
	put16(new + 34, to->dport);
	total = (~sum & 0xffff) + (~naive_add(0, old, 36) & 0xffff) + naive_add(0, new, 36);
	sum = naive_sum(naive_add(total, NULL, 0));
	return from->proto == IPPROTO_UDP && !sum ? 0xffff : (int)sum;
}

#endif
