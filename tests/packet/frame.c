// SPDX-License-Identifier: GPL-2.0-or-later
/* Packets byte by byte, in and out, with nothing of the code under test but the hash, which tests/unit/test_dp.c
 * checks. */
#include <arpa/inet.h>
#include <assert.h>
#include <string.h>

#include "packet.h"
#include "lb/dp/fragment.h"
#include "lb/dp/hash.h"
#include "lb/dp/vip.h"

const uint8_t mac_hop[6] = {0x02, 0x11, 0x22, 0x33, 0x44, 0x55};
const uint8_t mac_own[6] = {0x02, 0xaa, 0xbb, 0xcc, 0xdd, 0xee};
const uint8_t mac_client[6] = {0x02, 0x99, 0x88, 0x77, 0x66, 0x55};
static const uint8_t mac_group[6] = {0x01, 0x00, 0x5e, 0x00, 0x02, 0x0a},
		     mac_all[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
const uint64_t hash_key[2] = {0x0706050403020100ULL, 0x0f0e0d0c0b0a0908ULL};

static void put(struct frame *f, const void *p, size_t len)
{
	assert(f->len + len <= sizeof(f->data));
	memcpy(f->data + f->len, p, len);
	f->len += len;
}

static void put8(struct frame *f, unsigned int v)
{
	uint8_t b = (uint8_t)v;

	put(f, &b, 1);
}

static void put16(struct frame *f, unsigned int v)
{
	put8(f, v >> 8);
	put8(f, v);
}

static void set16(struct frame *f, size_t at, unsigned int v)
{
	f->data[at] = (uint8_t)(v >> 8);
	f->data[at + 1] = (uint8_t)v;
}

/* RFC 1071, as it stands there. */
static unsigned int naive_checksum(const uint8_t *p, size_t len)
{
	unsigned long sum = 0;

	for (size_t i = 0; i + 1 < len; i += 2)
		sum += (unsigned long)p[i] << 8 | p[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~sum & 0xffff;
}

/* The checksum of the transport header at @l4 and what is behind it up to @len bytes, of family @family. */
static unsigned int l4_checksum(const struct frame *f, int family, size_t ip, size_t l4, size_t len, int proto)
{
	size_t addrs = family == 4 ? 8 : 32, pseudo = addrs + 4;
	uint8_t all[FRAME_MAX + 64] = {0};

	assert(pseudo + len + 1 < sizeof(all));
	memcpy(all, f->data + ip + (family == 4 ? 12 : 8), addrs);
	all[addrs] = (uint8_t)(len >> 8);
	all[addrs + 1] = (uint8_t)len;
	all[addrs + 3] = (uint8_t)proto;
	memcpy(all + pseudo, f->data + l4, len);
	return naive_checksum(all, pseudo + len + len % 2);
}

static void put_eth(struct frame *f, const uint8_t dst[6], const uint8_t src[6], unsigned int type)
{
	put(f, dst, 6);
	put(f, src, 6);
	put16(f, type);
}

static int family_of(const struct spec *s)
{
	return s->family ? s->family : 4;
}

static int proto_of(const struct spec *s)
{
	return s->proto ? s->proto : IPPROTO_TCP;
}

static void addr_of(const struct spec *s, bool dst, uint8_t out[16])
{
	const char *usual =
		family_of(s) == 4 ? (dst ? "192.0.2.10" : "198.51.100.7") : (dst ? "2001:db8::10" : "2001:db8:1::7");
	const char *text = dst ? s->dst : s->src;
	int ok;

	memset(out, 0, 16);
	if (family_of(s) == 4) {
		memset(out + 10, 0xff, 2);
		ok = inet_pton(AF_INET, text ? text : usual, out + 12);
	} else {
		ok = inet_pton(AF_INET6, text ? text : usual, out);
	}
	assert(ok == 1);
}

static size_t l4_len(const struct spec *s)
{
	if (proto_of(s) == IPPROTO_SCTP)
		return 16; /* with its first chunk's header */
	return proto_of(s) == IPPROTO_TCP ? (s->mss ? 24 : 20) : 8;
}

static size_t ext_len(const struct ext *e)
{
	return e->type == IPPROTO_FRAGMENT ? 8 : e->type == IPPROTO_AH ? (e->len + 2u) * 4 : (e->len + 1u) * 8;
}

/* A hop-by-hop header is of type 0; it is never all zero here, for its padding option is not. */
static int icmp_proto(const struct spec *s)
{
	return family_of(s) == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
}

/* What carries an ICMP packet: for an error, @s is the packet of the flow that it is about. */
static struct spec icmp_outer(const struct spec *s)
{
	struct spec outer = *s;

	outer.error = outer.echo = 0;
	outer.proto = icmp_proto(s);
	if (!s->error)
		return outer;
	outer.src = family_of(s) == 4 ? "203.0.113.1" : "2001:db8:ffff::1";
	outer.payload = (family_of(s) == 4 ? 20 : 40) + or_default(s->quoted, 8);
	return outer;
}

static int nr_ext(const struct spec *s)
{
	int n = 0;

	while (n < NR_EXT && (s->ext[n].type || s->ext[n].len || s->ext[n].word))
		n++;
	return n;
}

static size_t l3_len(const struct spec *s)
{
	size_t len = 40;

	if (family_of(s) == 4)
		return 20 + (size_t)s->options;
	for (int i = 0; i < nr_ext(s); i++)
		len += ext_len(&s->ext[i]);
	return len;
}

size_t frame_hdr_len(const struct spec *s)
{
	return 14 + l3_len(s) + l4_len(s);
}

size_t frame_ip_len(const struct spec *s)
{
	if (s->error || s->echo) {
		const struct spec outer = icmp_outer(s);

		return frame_ip_len(&outer);
	}
	return l3_len(s) + l4_len(s) + (size_t)s->payload;
}

static void put_ip4(struct frame *f, const struct spec *s)
{
	size_t at = f->len;
	uint8_t addr[16];

	put8(f, (unsigned int)(or_default(s->version, 4) << 4 | or_default(s->ihl, 5 + s->options / 4)));
	put8(f, (unsigned int)s->tos);
	put16(f, (unsigned int)or_default(s->ip_len, (int)frame_ip_len(s)));
	put16(f, (unsigned int)or_default(s->id, 0x1234));
	put16(f, (unsigned int)s->frag);
	put8(f, (unsigned int)or_default(s->ttl, 64));
	put8(f, (unsigned int)proto_of(s));
	put16(f, 0);
	addr_of(s, false, addr);
	put(f, addr + 12, 4);
	addr_of(s, true, addr);
	put(f, addr + 12, 4);
	for (int i = 0; i < s->options; i++)
		put8(f, 1); /* no operation */
	set16(f, at + 10, naive_checksum(f->data + at, f->len - at));
}

static void put_ip6(struct frame *f, const struct spec *s)
{
	int version = or_default(s->version, 6), n = nr_ext(s);
	uint8_t addr[16];

	put8(f, (unsigned int)(version << 4 | s->tos >> 4));
	put8(f, (unsigned int)(s->tos << 4 & 0xf0));
	put16(f, 0);
	put16(f, (unsigned int)or_default(s->ip_len, (int)frame_ip_len(s) - 40));
	put8(f, n ? s->ext[0].type : (unsigned int)proto_of(s));
	put8(f, (unsigned int)or_default(s->ttl, 64));
	addr_of(s, false, addr);
	put(f, addr, 16);
	addr_of(s, true, addr);
	put(f, addr, 16);
	for (int i = 0; i < n; i++) {
		size_t len = ext_len(&s->ext[i]);

		put8(f, i + 1 < n ? s->ext[i + 1].type : (unsigned int)proto_of(s));
		put8(f, s->ext[i].len);
		put16(f, s->ext[i].word);
		for (size_t k = 4; k < len; k++)
			put8(f, 0);
	}
}

/* The checksum of the ICMP message at @at, in the packet whose IP header is behind the Ethernet header. */
static void set_icmp_checksum(struct frame *f, size_t at, int family, size_t len)
{
	uint8_t sum[FRAME_MAX + 40] = {0};
	size_t pseudo = family == 4 ? 0 : 40;

	if (family == 6) {
		memcpy(sum, f->data + 22, 32);
		sum[34] = (uint8_t)(len >> 8);
		sum[35] = (uint8_t)len;
		sum[39] = IPPROTO_ICMPV6;
	}
	set16(f, at + 2, 0);
	memcpy(sum + pseudo, f->data + at, len);
	set16(f, at + 2, naive_checksum(sum, pseudo + len + len % 2));
}

static void put_ip(struct frame *f, const struct spec *s)
{
	if (family_of(s) == 4)
		put_ip4(f, s);
	else
		put_ip6(f, s);
}

static void make_icmp(const struct spec *s, struct frame *f)
{
	const struct spec outer = icmp_outer(s);
	const struct spec quoted = {.family = s->family, .proto = s->proto, .payload = 1000};
	size_t at, addrs;
	uint8_t addr[16];

	put_ip(f, &outer);
	at = f->len;
	put16(f, (unsigned int)(s->error ? s->error : s->echo));
	put16(f, 0);
	put16(f, s->error ? 0 : 0xabcd);
	put16(f, s->error ? 1400 : 7);
	if (s->error) {
		size_t end = f->len + (size_t)outer.payload;

		addrs = f->len + (family_of(s) == 4 ? 12 : 8);
		put_ip(f, &quoted); /* the other way round */
		for (int dst = 0; dst < 2; dst++) {
			addr_of(s, !dst, addr);
			if (family_of(s) == 4)
				memcpy(f->data + addrs + 4 * dst, addr + 12, 4);
			else
				memcpy(f->data + addrs + 16 * dst, addr, 16);
		}
		put16(f, (unsigned int)or_default(s->dport, 80));
		put16(f, (unsigned int)or_default(s->sport, 12345));
		while (f->len < end)
			put8(f, (unsigned int)f->len);
	} else {
		for (int i = 0; i < s->payload; i++)
			put8(f, (unsigned int)i);
	}
	set_icmp_checksum(f, at, family_of(s), f->len - at);
	for (int i = 0; i < s->pad; i++)
		put8(f, 'p');
	f->len -= (size_t)s->cut;
}

static void make_untagged(const struct spec *s, struct frame *f)
{
	static const uint8_t *const macs[] = {
		[MAC_OWN] = mac_own, [MAC_OTHER] = mac_hop, [MAC_GROUP] = mac_group, [MAC_BROADCAST] = mac_all};
	int type = family_of(s) == 4 ? 0x0800 : 0x86dd;
	size_t l4 = 14 + l3_len(s), sum_at = l4 + (proto_of(s) == IPPROTO_TCP ? 16 : 6);

	f->len = 0;
	put_eth(f, macs[s->mac], mac_client, (unsigned int)or_default(s->ethertype, type));
	if (s->error || s->echo) {
		make_icmp(s, f);
		return;
	}
	put_ip(f, s);
	put16(f, (unsigned int)or_default(s->sport, 12345));
	put16(f, (unsigned int)or_default(s->dport, 80));
	if (proto_of(s) == IPPROTO_TCP) {
		put(f, "\0\0\1\2\0\0\3\4", 8);
		put8(f, (unsigned int)or_default(s->doff, s->mss ? 6 : 5) << 4);
		put8(f, (unsigned int)or_default(s->flags, 0x10));
		put(f, "\x20\0\0\0\0\0", 6);
		if (s->mss) {
			put16(f, 0x0204);
			put16(f, (unsigned int)s->mss);
		}
	} else if (proto_of(s) == IPPROTO_SCTP) {
		put16(f, 0);
		put16(f, (unsigned int)or_default(s->vtag, s->flags == 1 ? 0 : 0x1234));
		put(f, "\1\2\3\4", 4); /* a CRC32c that nobody here looks at */
		put8(f, (unsigned int)s->flags);
		put8(f, 3);
		put16(f, (unsigned int)or_default(s->chunk_len, 4 + s->payload));
	} else {
		put16(f, (unsigned int)or_default(s->udp_len, 8 + s->payload));
		put16(f, 0);
	}
	for (int i = 0; i < s->payload + s->pad; i++)
		put8(f, s->quic && i < 18 ? (uint8_t)s->quic[i] : 'a' + (unsigned int)i % 26);
	if (!s->no_sum && proto_of(s) != IPPROTO_SCTP)
		set16(f, sum_at, l4_checksum(f, family_of(s), 14, l4, l4_len(s) + (size_t)s->payload, proto_of(s)));
	f->len -= (size_t)s->cut;
}

void frame_tag(struct frame *f, const uint32_t *tag, size_t nr)
{
	for (size_t i = nr; i; i--) {
		if (!tag[i - 1])
			continue;
		assert(f->len + 4 <= sizeof(f->data));
		memmove(f->data + 16, f->data + 12, f->len - 12);
		f->len += 4;
		set16(f, 12, tag[i - 1] >> 16);
		set16(f, 14, tag[i - 1]);
	}
}

void frame_make(const struct spec *s, struct frame *f)
{
	make_untagged(s, f);
	frame_tag(f, s->tag, 3);
}

uint64_t flow_hash(const struct spec *s)
{
	const struct lb_hash_secret secret = lb_hash_secret((const __u64 *)hash_key);
	const __be16 sport = htons((uint16_t)or_default(s->sport, 12345));
	struct lb_vip_key vip = {.v4 = family_of(s) == 4};
	uint8_t src[16], dst[16];
	__u64 src64[2] = {0};

	addr_of(s, false, src);
	addr_of(s, true, dst);
	memcpy(src64, vip.v4 ? src + 12 : src, vip.v4 ? 4 : 16);
	memcpy(vip.addr, vip.v4 ? dst + 12 : dst, vip.v4 ? 4 : 16);
	vip.what = lb_vip_what(htons((uint16_t)or_default(s->dport, 80)), (__u8)proto_of(s), vip.v4);
	return vip.v4 ? lb_hash_flow4(&secret, lb_vip_fold(&vip), src64[0], sport)
		      : lb_hash_flow6(&secret, lb_vip_fold(&vip), src64, sport);
}

/* The address' bits that make the client, one by one. */
uint64_t client_hash(const struct setup *setup, const struct spec *s)
{
	const struct lb_hash_secret secret = lb_hash_secret((const __u64 *)hash_key);
	bool v4 = family_of(s) == 4;
	int plen = v4 ? or_default(setup->plen4, 32) + 96 : or_default(setup->plen6, 128);
	uint8_t src[16];
	__u64 src64[2] = {0};

	addr_of(s, false, src);
	for (int bit = plen; bit < 128; bit++)
		src[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
	memcpy(src64, v4 ? src + 12 : src, v4 ? 4 : 16);
	return v4 ? lb_hash_flow4(&secret, NAME_ID, src64[0], 0) : lb_hash_flow6(&secret, NAME_ID, src64, 0);
}

uint64_t steer_hash(const struct setup *setup, const struct spec *s)
{
	uint64_t flow = flow_hash(s);

	if (!(setup->flags & LB_SERVICE_F_AFFINITY))
		return flow;
	return (client_hash(setup, s) & 0xfffff00000000000ULL) | (flow & 0x00000fffffffffffULL);
}

void backend_addr(int family, int backend, uint8_t out[16])
{
	memset(out, 0, 16);
	inet_pton(family == 4 ? AF_INET : AF_INET6,
		  family == 4 ? "10.0.0.0" : "2001:db8:b::", out + (family == 4 ? 12 : 0));
	if (family == 4)
		memset(out + 10, 0xff, 2);
	out[15] = (uint8_t)backend;
}

void outer_src(int family, uint8_t out[16])
{
	memset(out, 0, 16);
	if (family == 4) {
		memset(out + 10, 0xff, 2);
		inet_pton(AF_INET, "10.9.8.7", out + 12);
	} else {
		inet_pton(AF_INET6, "2001:db8:5:6:7:8:9:a", out);
	}
}

/* Bit by bit: those of the source that @plen does not fix are the hash's, its lowest the address's last. */
static void expect_src(int family, int plen, uint64_t hash, uint8_t out[16])
{
	int first = family == 4 ? 96 : 64;

	outer_src(family, out);
	for (int bit = plen > first ? plen : first; bit < 128; bit++) {
		uint8_t mask = (uint8_t)(0x80 >> bit % 8);

		if (hash >> (127 - bit) & 1)
			out[bit / 8] |= mask;
		else
			out[bit / 8] &= (uint8_t)~mask;
	}
}

/* The hash that an outer header is made of: later fragments have none of their flow's. */
static uint64_t outer_hash(const struct spec *s)
{
	struct lb_packet p = {.v6 = family_of(s) == 6};
	struct lb_fragment f = {.id = htons((uint16_t)or_default(s->id, 0x1234)), .proto = (__u8)proto_of(s)};
	unsigned int at = (unsigned int)s->frag & 0x1fff;
	bool fragment = s->frag & 0x3fff;
	uint8_t addr[16];

	for (int i = 0; i < nr_ext(s) && p.v6; i++) {
		if (s->ext[i].type != IPPROTO_FRAGMENT || !s->ext[i].word || fragment)
			continue;
		fragment = true;
		at = s->ext[i].word >> 3;
		f.id = 0;
	}
	if (!fragment || !at || s->error)
		return flow_hash(s);
	addr_of(s, false, addr);
	memcpy(p.saddr, addr, 16);
	addr_of(s, true, addr);
	memcpy(p.daddr, addr, 16);
	return lb_fragment_hash((const __u64 *)hash_key, &f, &p) ^ (uint64_t)at << 16;
}

/* Bytes of UDP and GUE between the outer IP header and the inner one. */
static unsigned int gue_len(const struct setup *setup)
{
	return or_default(setup->forward, LB_FORWARD_IPIP) == LB_FORWARD_GUE ? 12 : 0;
}

static unsigned int outer_proto(const struct setup *setup, const struct spec *s)
{
	return gue_len(setup) ? 17 : family_of(s) == 4 ? 4 : 41;
}

static void expect_outer4(struct frame *f, const struct setup *setup, const struct spec *s, int backend)
{
	bool df = family_of(s) == 6 || s->frag & 0x4000;
	uint64_t hash = outer_hash(s);
	size_t at = f->len;
	uint8_t addr[16];

	put8(f, 0x45);
	put8(f, (unsigned int)s->tos);
	put16(f, 20 + gue_len(setup) + (unsigned int)frame_ip_len(s));
	put16(f, df ? 0 : (unsigned int)or_default(s->id, 0x1234) ^ (unsigned int)(hash >> 16 & 0xffff));
	put16(f, df ? 0x4000 : 0);
	put8(f, 64);
	put8(f, outer_proto(setup, s));
	put16(f, 0);
	expect_src(4, or_default(setup->plen, 128), hash, addr);
	put(f, addr + 12, 4);
	backend_addr(4, backend, addr);
	put(f, addr + 12, 4);
	set16(f, at + 10, naive_checksum(f->data + at, 20));
}

static void expect_outer6(struct frame *f, const struct setup *setup, const struct spec *s, int backend)
{
	uint64_t hash = outer_hash(s);
	uint8_t addr[16];

	put8(f, 0x60 | (unsigned int)s->tos >> 4);
	put8(f, (unsigned int)(s->tos << 4 & 0xf0) | (unsigned int)(hash >> 16 & 0xf));
	put16(f, (unsigned int)(hash & 0xffff));
	put16(f, gue_len(setup) + (unsigned int)frame_ip_len(s));
	put8(f, outer_proto(setup, s));
	put8(f, 64);
	expect_src(6, or_default(setup->plen, 128), hash, addr);
	put(f, addr, 16);
	backend_addr(6, backend, addr);
	put(f, addr, 16);
}

static void expect_gue(struct frame *f, const struct spec *s)
{
	put16(f, 0xc000 | (unsigned int)(outer_hash(s) >> 32 & 0x3fff));
	put16(f, GUE_PORT);
	put16(f, 12 + (unsigned int)frame_ip_len(s));
	put16(f, 0);
	put8(f, 0); /* variant 0, data, no words more */
	put8(f, family_of(s) == 4 ? 4 : 41);
	put16(f, 0);
}

/* The outer UDP header's, byte by byte: over IPv6 alone, and where the inner packet's sum follows from its headers. */
static void expect_gue_sum(struct frame *f, const struct setup *setup, const struct spec *s)
{
	unsigned int sum;

	if (or_default(setup->outer, 4) == 4 || s->no_sum || nr_ext(s) || s->udp_len || proto_of(s) == IPPROTO_SCTP)
		return;
	sum = l4_checksum(f, 6, 14, 54, 12 + frame_ip_len(s), 17);
	set16(f, 60, sum ? sum : 0xffff);
}

void frame_expect(const struct setup *setup, const struct spec *s, int backend, struct frame *out)
{
	bool outer4 = or_default(setup->outer, 4) == 4;
	struct spec inner = *s;
	struct frame in;

	out->len = 0;
	if (or_default(setup->forward, LB_FORWARD_IPIP) == LB_FORWARD_L2) {
		put_eth(out, mac_hop, mac_own, family_of(s) == 4 ? 0x0800 : 0x86dd);
	} else {
		put_eth(out, mac_hop, mac_own, outer4 ? 0x0800 : 0x86dd);
		if (outer4)
			expect_outer4(out, setup, s, backend);
		else
			expect_outer6(out, setup, s, backend);
		if (gue_len(setup))
			expect_gue(out, s);
		inner.ttl = or_default(s->ttl, 64) - 1;
	}
	if (setup->mss && inner.mss > setup->mss)
		inner.mss = setup->mss;
	make_untagged(&inner, &in);
	put(out, in.data + 14, in.len - 14);
	if (gue_len(setup))
		expect_gue_sum(out, setup, s);
}

static const char *text_or(const char *text, const char *usual)
{
	return text ? text : usual;
}

/* What answers @s, from the VIP to the client. */
static struct spec answer_of(const struct spec *s)
{
	bool v4 = family_of(s) == 4;
	struct spec a = {.family = family_of(s), .proto = icmp_proto(s)};

	a.src = text_or(s->dst, v4 ? "192.0.2.10" : "2001:db8::10");
	a.dst = text_or(s->src, v4 ? "198.51.100.7" : "2001:db8:1::7");
	return a;
}

void frame_expect_echo(const struct spec *s, struct frame *out)
{
	struct spec reply = *s, a = answer_of(s);

	reply.src = a.src;
	reply.dst = a.dst;
	reply.echo = family_of(s) == 4 ? 0 : 129 << 8;
	reply.ttl = 64;
	reply.proto = a.proto;
	out->len = 0;
	put_eth(out, mac_client, mac_own, family_of(s) == 4 ? 0x0800 : 0x86dd);
	make_icmp(&reply, out);
}

void frame_make_error(const struct spec *outer, unsigned int kind, uint32_t rest, const struct spec *quoted,
		      size_t quoted_bytes, struct frame *out)
{
	struct spec head = *outer;
	struct frame in;
	size_t at;

	make_untagged(quoted, &in);
	assert(quoted_bytes <= in.len - 14);
	head.proto = icmp_proto(outer);
	head.payload = (int)quoted_bytes;
	out->len = 0;
	put_eth(out, mac_own, mac_client, family_of(outer) == 4 ? 0x0800 : 0x86dd);
	put_ip(out, &head);
	at = out->len;
	put16(out, kind);
	put16(out, 0);
	put16(out, rest >> 16);
	put16(out, rest);
	put(out, in.data + 14, quoted_bytes);
	set_icmp_checksum(out, at, family_of(outer), out->len - at);
	for (int i = 0; i < outer->pad; i++)
		put8(out, 'p');
}

void frame_expect_too_big(const struct spec *s, int mtu, struct frame *out)
{
	bool v4 = family_of(s) == 4;
	struct spec a = answer_of(s);
	struct frame in;
	size_t at, len;

	make_untagged(s, &in);
	len = in.len - 14 - (size_t)s->pad;
	len = v4 ? (len < 548 ? 68 : 548) : 1232;
	a.payload = (int)len;
	a.frag = 0x4000;
	a.id = ZERO;
	a.tos = 0xc0;
	out->len = 0;
	put_eth(out, mac_client, mac_own, v4 ? 0x0800 : 0x86dd);
	put_ip(out, &a);
	at = out->len;
	put16(out, v4 ? 0x0304 : 0x0200);
	put16(out, 0);
	put16(out, 0);
	put16(out, (unsigned int)mtu);
	put(out, in.data + 14, len);
	set_icmp_checksum(out, at, family_of(s), out->len - at);
}
