// SPDX-License-Identifier: GPL-2.0-or-later
/* Frames from words; see packet.h. */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "addr.h"
#include "packet.h"

#define CLIENT_PORT 50000 /* where none is given */
#define ICMP_ECHO 8
#define ICMP6_ECHO 128
#define ICMP_BYTES 8
#define SCTP_BYTES 12
#define SCTP_DATA 0
#define SCTP_DATA_BYTES 17 /* with one byte of a message */
#define SCTP_INIT 1
#define SCTP_INIT_BYTES 20

enum { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16, URG = 32 };

struct packet {
	struct lb_endpoint from, to;
	unsigned int nr_endpoints;
	int proto; /* 0: not said */
	int flags; /* -1: not said */
	uint64_t len, ttl;
};

/* ---- words ---- */

static int protocol_of(const char *word)
{
	static const struct {
		const char *name;
		int proto;
	} names[] = {{"tcp", IPPROTO_TCP},   {"udp", IPPROTO_UDP},    {"sctp", IPPROTO_SCTP},
		     {"icmp", IPPROTO_ICMP}, {"icmp6", IPPROTO_ICMP}, {NULL, 0}};
	size_t i = 0;

	while (names[i].name && strcasecmp(names[i].name, word))
		i++;
	return names[i].proto;
}

static int set_protocol(struct packet *p, const char *word, struct lb_err *err)
{
	int proto = protocol_of(word);

	if (!proto)
		return lb_err_set(err, -EINVAL, NULL, "%s is not a protocol (tcp, udp, sctp, icmp)", lb_err_text(word));
	if (p->proto && p->proto != proto)
		return lb_err_set(err, -EINVAL, NULL, "%s is a second protocol; give one", word);
	p->proto = proto;
	return 0;
}

/* "syn", "syn+ack", "none"; false: that is something else. */
static bool set_flags(struct packet *p, const char *word)
{
	static const struct {
		const char *name;
		int flag;
	} names[] = {{"fin", FIN}, {"syn", SYN}, {"rst", RST},		{"psh", PSH},
		     {"ack", ACK}, {"urg", URG}, {"synack", SYN | ACK}, {"none", 0}};
	int flags = 0;

	for (; *word; word += strspn(word, "+|")) {
		size_t len = strcspn(word, "+|"), i = 0;

		while (i < sizeof(names) / sizeof(names[0]) &&
		       (strlen(names[i].name) != len || strncasecmp(word, names[i].name, len)))
			i++;
		if (i == sizeof(names) / sizeof(names[0]))
			return false;
		flags |= names[i].flag;
		word += len;
	}
	p->flags = flags | (p->flags < 0 ? 0 : p->flags);
	return true;
}

static int set_endpoint(struct packet *p, struct lb_endpoint *at, char *word, struct lb_err *err)
{
	char *slash = strrchr(word, '/');
	int ret = 0;

	if (slash) {
		*slash = '\0';
		ret = set_protocol(p, slash + 1, err);
	}
	return ret ? ret : lb_endpoint_parse(word, at, err);
}

static int set_port(struct lb_endpoint *at, const char *text, struct lb_err *err)
{
	uint64_t port;
	int ret = lb_number_parse(text, "port", 1, 65535, &port, err);

	if (!ret)
		at->port = htons((uint16_t)port);
	return ret;
}

static int set_value(struct packet *p, const char *key, char *value, struct lb_err *err)
{
	if (!strcmp(key, "len"))
		return lb_number_parse(value, "length", 1, LB_PACKET_MAX - ETH_HLEN, &p->len, err);
	if (!strcmp(key, "ttl"))
		return lb_number_parse(value, "TTL", 0, 255, &p->ttl, err);
	if (!strcmp(key, "proto"))
		return set_protocol(p, value, err);
	if (!strcmp(key, "src") || !strcmp(key, "dst")) {
		p->nr_endpoints |= *key == 's' ? 1 : 2;
		return set_endpoint(p, *key == 's' ? &p->from : &p->to, value, err);
	}
	if (!strcmp(key, "sport") || !strcmp(key, "dport"))
		return set_port(*key == 's' ? &p->from : &p->to, value, err);
	if (!strcmp(key, "flags"))
		return set_flags(p, value) ? 0
					   : lb_err_set(err, -EINVAL, NULL, "%s are no TCP flags, such as syn+ack",
							lb_err_text(value));
	return lb_err_set(err, -EINVAL, NULL, "%s is not known (src, dst, sport, dport, proto, flags, len, ttl)",
			  lb_err_text(key));
}

/* Bits 0 and 1 of nr_endpoints: the source is there, the destination is. */
static int read_word(struct packet *p, char *word, struct lb_err *err)
{
	char *value = strchr(word, '=');

	if (!strcmp(word, ">") || !strcmp(word, "->") || !strcmp(word, "to") || !strcmp(word, "from"))
		return 0;
	if (value) {
		*value = '\0';
		return set_value(p, word, value + 1, err);
	}
	if (protocol_of(word))
		return set_protocol(p, word, err);
	if (set_flags(p, word))
		return 0;
	if (p->nr_endpoints == 3)
		return lb_err_set(err, -EINVAL, NULL, "%s is not understood; a packet is " LB_PACKET_SPEC,
				  lb_err_text(word));
	p->nr_endpoints |= p->nr_endpoints & 1 ? 2 : 1;
	return set_endpoint(p, p->nr_endpoints & 2 ? &p->to : &p->from, word, err);
}

static int read_words(const char *spec, struct packet *p, struct lb_err *err)
{
	char *copy = strdup(spec), *word, *rest = NULL;
	int ret = copy ? 0 : lb_err_set(err, -ENOMEM, NULL, "out of memory");

	*p = (struct packet){.flags = -1, .ttl = 64};
	for (word = ret ? NULL : strtok_r(copy, " \t\n,", &rest); word && !ret; word = strtok_r(NULL, " \t\n,", &rest))
		ret = read_word(p, word, err);
	free(copy);
	if (ret)
		return ret;
	if (p->nr_endpoints != 3)
		return lb_err_set(err, -EINVAL, NULL, "the packet has no %s; it is " LB_PACKET_SPEC,
				  p->nr_endpoints & 1 ? "destination" : "source");
	if (lb_addr_is_v4(p->from.addr) != lb_addr_is_v4(p->to.addr))
		return lb_err_set(err, -EINVAL, NULL, "its addresses are of two families; give two of one");
	if (!p->proto)
		p->proto = IPPROTO_TCP;
	if (p->flags >= 0 && p->proto == IPPROTO_SCTP && p->flags != SYN && p->flags != ACK)
		return lb_err_set(err, -EINVAL, NULL, "of SCTP there are syn, an INIT, and ack, a DATA chunk");
	if (p->flags >= 0 && p->proto != IPPROTO_TCP && p->proto != IPPROTO_SCTP)
		return lb_err_set(err, -EINVAL, NULL, "only TCP has flags");
	if (!p->to.port && p->proto != IPPROTO_ICMP)
		return lb_err_set(err, -EINVAL, NULL, "its destination has no port; write DST:PORT");
	if (p->flags < 0)
		p->flags = SYN;
	if (!p->from.port)
		p->from.port = htons(CLIENT_PORT);
	return 0;
}

/* ---- bytes ---- */

static uint32_t add_up(uint32_t sum, const void *data, size_t bytes)
{
	const uint8_t *b = data;

	for (size_t i = 0; i < bytes; i++)
		sum += i % 2 ? b[i] : (uint32_t)b[i] << 8;
	return sum;
}

static uint16_t checksum(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

static size_t header_bytes(const struct packet *p)
{
	switch (p->proto) {
	case IPPROTO_TCP:
		return sizeof(struct tcphdr);
	case IPPROTO_UDP:
		return sizeof(struct udphdr);
	case IPPROTO_SCTP:
		return SCTP_BYTES + (p->flags == SYN ? SCTP_INIT_BYTES : SCTP_DATA_BYTES);
	default:
		return ICMP_BYTES;
	}
}

/* CRC-32C of SCTP (RFC 9260, appendix A), as it lies in the packet. */
static void put_crc(uint8_t *at, size_t bytes)
{
	uint32_t crc = ~0U;

	for (size_t i = 0; i < bytes; i++) {
		crc ^= at[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78U : 0);
	}
	crc = ~crc;
	for (int i = 0; i < 4; i++)
		at[8 + i] = (uint8_t)(crc >> 8 * i);
}

/* What comes behind the ports: an INIT, whose verification tag is 0, or a DATA chunk to the packet's end. */
static void put_sctp(const struct packet *p, uint8_t *at, size_t bytes)
{
	size_t chunk = bytes - SCTP_BYTES;
	bool init = p->flags == SYN;

	at[7] = init ? 0 : 1;
	at[12] = init ? SCTP_INIT : SCTP_DATA;
	at[13] = init ? 0 : 3; /* all of a message */
	at[14] = (uint8_t)((init ? SCTP_INIT_BYTES : chunk) >> 8);
	at[15] = (uint8_t)(init ? SCTP_INIT_BYTES : chunk);
	at[19] = 1;
	if (init)
		at[22] = at[25] = at[27] = 1; /* a window, and a stream each way */
	put_crc(at, bytes);
}

static void put_ip4(const struct packet *p, uint8_t *at, size_t total)
{
	struct iphdr ip = {.version = 4, .ihl = 5, .tot_len = htons((uint16_t)total), .frag_off = htons(0x4000)};

	ip.ttl = (uint8_t)p->ttl;
	ip.protocol = (uint8_t)p->proto;
	memcpy(&ip.saddr, p->from.addr + 12, 4);
	memcpy(&ip.daddr, p->to.addr + 12, 4);
	ip.check = checksum(add_up(0, &ip, sizeof(ip)));
	memcpy(at, &ip, sizeof(ip));
}

static void put_ip6(const struct packet *p, uint8_t *at, size_t total)
{
	struct ipv6hdr ip = {.version = 6, .payload_len = htons((uint16_t)(total - sizeof(ip)))};

	ip.hop_limit = (uint8_t)p->ttl;
	ip.nexthdr = (uint8_t)(p->proto == IPPROTO_ICMP ? IPPROTO_ICMPV6 : p->proto);
	memcpy(&ip.saddr, p->from.addr, 16);
	memcpy(&ip.daddr, p->to.addr, 16);
	memcpy(at, &ip, sizeof(ip));
}

/* The transport header at @at, of @bytes with what follows; @sum: of the pseudo header. */
static void put_transport(const struct packet *p, uint8_t *at, size_t bytes, uint32_t sum, bool v6)
{
	size_t check = 2;

	if (p->proto == IPPROTO_ICMP) {
		at[0] = v6 ? ICMP6_ECHO : ICMP_ECHO;
	} else {
		memcpy(at, &p->from.port, 2);
		memcpy(at + 2, &p->to.port, 2);
	}
	if (p->proto == IPPROTO_SCTP) {
		put_sctp(p, at, bytes);
		return;
	}
	if (p->proto == IPPROTO_TCP) {
		at[7] = at[11] = 1;
		at[12] = sizeof(struct tcphdr) / 4 << 4;
		at[13] = (uint8_t)p->flags;
		at[14] = at[15] = 0xff;
		check = 16;
	} else if (p->proto == IPPROTO_UDP) {
		at[4] = (uint8_t)(bytes >> 8);
		at[5] = (uint8_t)bytes;
		check = 6;
	}
	sum = p->proto == IPPROTO_ICMP && !v6 ? 0 : sum;
	memcpy(at + check, &(uint16_t){checksum(add_up(sum, at, bytes))}, 2);
}

static int put_packet(const struct packet *p, uint8_t frame[LB_PACKET_MAX], size_t *bytes, struct lb_err *err)
{
	bool v6 = !lb_addr_is_v4(p->to.addr);
	size_t ip_bytes = v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr), least = ip_bytes + header_bytes(p);
	size_t total = p->len ? p->len : least;
	int proto = v6 && p->proto == IPPROTO_ICMP ? IPPROTO_ICMPV6 : p->proto;
	uint32_t sum = (uint32_t)proto + (uint32_t)(total - ip_bytes);
	uint8_t *ip = frame + ETH_HLEN;

	if (total < least)
		return lb_err_set(err, -EINVAL, NULL, "a length of %zu is less than its headers have (%zu)", total,
				  least);
	memset(frame, 0, ETH_HLEN + total);
	frame[6] = 2; /* from some address of local use */
	frame[12] = v6 ? ETH_P_IPV6 >> 8 : ETH_P_IP >> 8;
	frame[13] = v6 ? ETH_P_IPV6 & 0xff : ETH_P_IP & 0xff;
	if (v6)
		put_ip6(p, ip, total);
	else
		put_ip4(p, ip, total);
	sum = add_up(add_up(sum, p->from.addr + (v6 ? 0 : 12), v6 ? 16 : 4), p->to.addr + (v6 ? 0 : 12), v6 ? 16 : 4);
	put_transport(p, ip + ip_bytes, total - ip_bytes, sum, v6);
	*bytes = ETH_HLEN + total;
	return 0;
}

static int read_hex(const char *text, uint8_t frame[LB_PACKET_MAX], size_t *bytes, struct lb_err *err)
{
	char pair[3] = "";
	size_t n = 0;

	for (; *text; text++) {
		if (isspace((unsigned char)*text) || *text == ':')
			continue;
		if (!isxdigit((unsigned char)text[0]) || !isxdigit((unsigned char)text[1]))
			return lb_err_set(err, -EINVAL, NULL, "hex: takes two hexadecimal digits a byte");
		if (n == LB_PACKET_MAX)
			return lb_err_set(err, -EINVAL, NULL, "hex: takes %d bytes at most", LB_PACKET_MAX);
		pair[0] = *text++;
		pair[1] = *text;
		frame[n++] = (uint8_t)strtoul(pair, NULL, 16);
	}
	*bytes = n;
	return n >= ETH_HLEN ? 0
			     : lb_err_set(err, -EINVAL, NULL, "hex: takes a whole Ethernet frame, %d bytes at least",
					  ETH_HLEN);
}

int lb_packet_make(const char *spec, uint8_t frame[LB_PACKET_MAX], size_t *bytes, struct lb_err *err)
{
	struct packet p;
	int ret;

	if (!strncmp(spec, "hex:", 4))
		return read_hex(spec + 4, frame, bytes, err);
	ret = read_words(spec, &p, err);
	return ret ? ret : put_packet(&p, frame, bytes, err);
}
