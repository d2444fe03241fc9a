/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Text <-> addresses, ports, VIPs, prefixes and durations: strict on the way in, one canonical text on the way out. */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "addr.h"

static const uint8_t v4_mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
static const uint8_t zero[16];

/* User texts are quoted up to this length: a message stays one readable line. */
#define SHOWN "%.64s"

bool lb_addr_is_v4(const uint8_t addr[16])
{
	return !memcmp(addr, v4_mapped, sizeof(v4_mapped));
}

const char *lb_addr_unusable(const uint8_t addr[16])
{
	static const uint8_t loopback6[16] = {[15] = 1};
	static const uint8_t broadcast[4] = {255, 255, 255, 255};
	const uint8_t *v4 = addr + 12;

	if (!memcmp(addr, zero, 16))
		return "the unspecified address";
	if (!lb_addr_is_v4(addr)) {
		if (!memcmp(addr, loopback6, 16))
			return "a loopback address";
		if (addr[0] == 0xff)
			return "a multicast address";
		if (addr[0] == 0xfe && (addr[1] & 0xc0) == 0x80)
			return "a link-local address, which means nothing without its interface";
		return NULL;
	}
	if (!v4[0])
		return memcmp(v4, zero, 4) ? "in 0.0.0.0/8, which is no host's" : "the unspecified address";
	if (v4[0] == 127)
		return "a loopback address";
	if ((v4[0] & 0xf0) == 224)
		return "a multicast address";
	if (!memcmp(v4, broadcast, 4))
		return "the broadcast address";
	return NULL;
}

static bool addr_from_text(const char *text, uint8_t addr[16])
{
	struct in6_addr v6;
	struct in_addr v4;

	if (inet_pton(AF_INET, text, &v4) == 1) {
		memcpy(addr, v4_mapped, 12);
		memcpy(addr + 12, &v4, 4);
		return true;
	}
	if (inet_pton(AF_INET6, text, &v6) == 1) {
		memcpy(addr, &v6, 16);
		return true;
	}
	return false;
}

int lb_addr_parse(const char *text, uint8_t addr[16], struct lb_err *err)
{
	if (addr_from_text(text, addr))
		return 0;
	if (strchr(text, '%'))
		return lb_err_set(err, -EINVAL, NULL, SHOWN " names an interface; leave out the %% and what follows",
				  text);
	if (strchr(text, '/'))
		return lb_err_set(err, -EINVAL, NULL, SHOWN " is a prefix; write one address", text);
	return lb_err_set(err, -EINVAL, NULL, SHOWN " is not an IPv4 or IPv6 address", lb_err_text(text));
}

int lb_number_parse(const char *text, const char *what, uint64_t min, uint64_t max, uint64_t *out, struct lb_err *err)
{
	bool ok = *text && (text[0] != '0' || !text[1]);
	uint64_t n = 0;

	for (const char *p = text; ok && *p; p++)
		ok = *p >= '0' && *p <= '9' && !__builtin_mul_overflow(n, 10, &n) &&
		     !__builtin_add_overflow(n, (uint64_t)(*p - '0'), &n);
	if (!ok || n < min || n > max)
		return lb_err_set(err, -EINVAL, NULL, SHOWN " is not %s %s (%" PRIu64 "-%" PRIu64 ")",
				  lb_err_text(text), strchr("aeiou", *what) ? "an" : "a", what, min, max);
	*out = n;
	return 0;
}

static int port_parse(const char *text, __be16 *port, struct lb_err *err)
{
	uint64_t n;
	int ret;

	ret = lb_number_parse(text, "port", 1, 65535, &n, err);
	if (!ret)
		*port = htons((uint16_t)n);
	return ret;
}

/* Splits "10.0.0.1:80", "[2001:db8::1]:80" or an address alone into @host and @port (NULL: none). */
static int split_port(const char *text, char host[LB_ADDR_STRLEN], const char **port, struct lb_err *err)
{
	const char *colon = strrchr(text, ':'), *end = text + strlen(text), *begin = text;
	uint8_t addr[16];

	*port = NULL;
	if (*text == '[') {
		begin = text + 1;
		end = strchr(text, ']');
		if (!end || (end[1] && end[1] != ':'))
			return lb_err_set(err, -EINVAL, NULL, SHOWN " is not of the form [ADDR]:PORT", text);
		if (end[1])
			*port = end + 2;
		if (!memchr(begin, ':', (size_t)(end - begin)))
			return lb_err_set(err, -EINVAL, NULL, SHOWN " has brackets, which are for IPv6 addresses",
					  text);
	} else if (colon && colon == strchr(text, ':')) {
		end = colon;
		*port = colon + 1;
	} else if (colon && !strchr(text, '%') && !addr_from_text(text, addr)) {
		return lb_err_set(err, -EINVAL, NULL,
				  SHOWN " is not an address; an IPv6 address with a port is written [ADDR]:PORT", text);
	}
	if (end - begin >= LB_ADDR_STRLEN)
		return lb_err_set(err, -EINVAL, NULL, SHOWN "... is not an address", text);
	memcpy(host, begin, (size_t)(end - begin));
	host[end - begin] = '\0';
	return 0;
}

int lb_endpoint_parse(const char *text, struct lb_endpoint *ep, struct lb_err *err)
{
	struct lb_endpoint e = {0};
	char host[LB_ADDR_STRLEN];
	const char *port;
	int ret;

	ret = split_port(text, host, &port, err);
	if (!ret)
		ret = lb_addr_parse(host, e.addr, err);
	if (!ret && port)
		ret = port_parse(port, &e.port, err);
	if (!ret)
		*ep = e;
	return ret;
}

/* Cuts "/tcp" or "/udp" off @text. What else follows a slash in a VIP is a prefix's length. */
static int vip_cut_proto(char *text, const char *whole, uint8_t *proto, struct lb_err *err)
{
	char *slash = strrchr(text, '/');

	*proto = IPPROTO_TCP;
	if (!slash)
		return 0;
	if (slash[1] < '0' || slash[1] > '9') {
		if (!strcmp(slash + 1, "udp"))
			*proto = IPPROTO_UDP;
		else if (strcmp(slash + 1, "tcp"))
			return lb_err_set(err, -EINVAL, NULL, SHOWN " is not a protocol (tcp, udp)",
					  lb_err_text(slash + 1));
		*slash = '\0';
	}
	if (strchr(text, '/'))
		return lb_err_set(err, -EINVAL, NULL,
				  SHOWN ": prefixes are not available in this version; write single addresses", whole);
	return 0;
}

int lb_vip_parse(const char *text, struct lb_vip *vip, struct lb_err *err)
{
	char host[LB_ADDR_STRLEN], buf[2 * LB_ADDR_STRLEN];
	struct lb_vip v = {0};
	const char *port, *why;
	int ret;

	if (strlen(text) >= sizeof(buf))
		return lb_err_set(err, -EINVAL, NULL, SHOWN "... is not a VIP (such as 192.0.2.10:80/tcp)", text);
	strcpy(buf, text);
	ret = vip_cut_proto(buf, text, &v.proto, err);
	if (!ret)
		ret = split_port(buf, host, &port, err);
	if (!ret)
		ret = lb_addr_parse(host, v.addr, err);
	if (ret)
		return ret;
	if (!port) {
		v.port = htons(80);
		return lb_err_set(err, -EINVAL, NULL, SHOWN " has no port; write it as in %s", text,
				  lb_vip_format(&v, buf));
	}
	if (!strcmp(port, "*"))
		return lb_err_set(err, -EINVAL, NULL,
				  SHOWN ": port * is not available in this version; write one port (1-65535)", text);
	ret = port_parse(port, &v.port, err);
	if (ret)
		return ret;
	why = lb_addr_unusable(v.addr);
	if (why)
		return lb_err_set(err, -EINVAL, NULL, "%s is %s; a VIP is a unicast address",
				  lb_addr_format(v.addr, buf), why);
	*vip = v;
	return 0;
}

static void clear_host_bits(struct lb_prefix *p)
{
	for (unsigned int bit = p->plen; bit < 128; bit++)
		p->addr[bit / 8] &= (uint8_t) ~(0x80 >> (bit % 8));
}

int lb_prefix_parse(const char *text, struct lb_prefix *prefix, struct lb_err *err)
{
	const char *slash = strchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : strlen(text);
	char host[LB_ADDR_STRLEN], buf[LB_ADDR_STRLEN];
	struct lb_prefix p = {.plen = 128}, mended;
	uint64_t plen;
	bool v4;
	int ret;

	if (len >= sizeof(host))
		return lb_err_set(err, -EINVAL, NULL, SHOWN "... is not a prefix", text);
	memcpy(host, text, len);
	host[len] = '\0';
	ret = lb_addr_parse(host, p.addr, err);
	if (ret)
		return ret;
	if (slash) {
		v4 = !strchr(host, ':');
		ret = lb_number_parse(slash + 1, v4 ? "length of an IPv4 prefix" : "length of an IPv6 prefix", 0,
				      v4 ? 32 : 128, &plen, err);
		if (ret)
			return ret;
		p.plen = (uint8_t)(plen + (v4 ? 96 : 0));
	}
	mended = p;
	clear_host_bits(&mended);
	if (memcmp(mended.addr, p.addr, 16))
		return lb_err_set(err, -EINVAL, NULL, SHOWN " has bits set beyond its length; write %s", text,
				  lb_prefix_format(&mended, buf));
	*prefix = p;
	return 0;
}

static const struct {
	const char *name;
	uint64_t ns;
} units[] = {
	{"h", 3600000000000ULL},
	{"m", 60000000000ULL},
	{"s", 1000000000ULL},
	{"ms", 1000000ULL},
};

int lb_duration_parse(const char *text, uint64_t *ns, struct lb_err *err)
{
	size_t digits = strspn(text, "0123456789");
	uint64_t n = 0;

	if (digits && !text[digits])
		return lb_err_set(err, -EINVAL, NULL, SHOWN " has no unit; write %.32ss or %.32sms", text, text, text);
	for (size_t i = 0; digits && i < sizeof(units) / sizeof(units[0]); i++) {
		bool ok = true;

		if (strcmp(text + digits, units[i].name))
			continue;
		for (size_t d = 0; ok && d < digits; d++)
			ok = !__builtin_mul_overflow(n, 10, &n) &&
			     !__builtin_add_overflow(n, (uint64_t)(text[d] - '0'), &n);
		if (!ok || __builtin_mul_overflow(n, units[i].ns, &n))
			return lb_err_set(err, -EINVAL, NULL, SHOWN " is too long a time", text);
		*ns = n;
		return 0;
	}
	return lb_err_set(err, -EINVAL, NULL, SHOWN " is not a duration (such as 250ms, 2s, 5m, 1h)",
			  lb_err_text(text));
}

char *lb_addr_format(const uint8_t addr[16], char buf[LB_ADDR_STRLEN])
{
	if (lb_addr_is_v4(addr))
		inet_ntop(AF_INET, addr + 12, buf, LB_ADDR_STRLEN);
	else
		inet_ntop(AF_INET6, addr, buf, LB_ADDR_STRLEN);
	return buf;
}

char *lb_endpoint_format(const struct lb_endpoint *ep, char buf[LB_ADDR_STRLEN])
{
	char addr[INET6_ADDRSTRLEN];

	if (!ep->port)
		return lb_addr_format(ep->addr, buf);
	if (lb_addr_is_v4(ep->addr))
		snprintf(buf, LB_ADDR_STRLEN, "%s:%u", inet_ntop(AF_INET, ep->addr + 12, addr, sizeof(addr)),
			 ntohs(ep->port));
	else
		snprintf(buf, LB_ADDR_STRLEN, "[%s]:%u", inet_ntop(AF_INET6, ep->addr, addr, sizeof(addr)),
			 ntohs(ep->port));
	return buf;
}

char *lb_vip_format(const struct lb_vip *vip, char buf[LB_ADDR_STRLEN])
{
	struct lb_endpoint ep = {.port = vip->port};
	size_t len;

	memcpy(ep.addr, vip->addr, sizeof(ep.addr));
	lb_endpoint_format(&ep, buf);
	len = strlen(buf);
	snprintf(buf + len, LB_ADDR_STRLEN - len, "/%s", vip->proto == IPPROTO_UDP ? "udp" : "tcp");
	return buf;
}

char *lb_prefix_format(const struct lb_prefix *prefix, char buf[LB_ADDR_STRLEN])
{
	size_t len;

	lb_addr_format(prefix->addr, buf);
	len = strlen(buf);
	if (prefix->plen < 128)
		snprintf(buf + len, LB_ADDR_STRLEN - len, "/%u",
			 prefix->plen - (lb_addr_is_v4(prefix->addr) ? 96U : 0U));
	return buf;
}

char *lb_duration_format(uint64_t ns, char buf[LB_ADDR_STRLEN])
{
	for (size_t i = 0; ns && i < sizeof(units) / sizeof(units[0]); i++) {
		if (ns % units[i].ns)
			continue;
		snprintf(buf, LB_ADDR_STRLEN, "%" PRIu64 "%s", ns / units[i].ns, units[i].name);
		return buf;
	}
	/* Not a whole number of milliseconds: nothing that lb_duration_parse made. */
	snprintf(buf, LB_ADDR_STRLEN, "%" PRIu64 "%s", ns, ns ? "ns" : "s");
	return buf;
}
