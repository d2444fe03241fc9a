/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Text <-> addresses, ports, VIPs, prefixes and durations: strict on the way in, one canonical text on the way out. */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "addr.h"
#include "nearest.h"

static const uint8_t v4_mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
static const uint8_t zero[16];

/* User texts are quoted up to this length: a message stays one readable line. */
#define SHOWN "%.64s"

bool lb_addr_is_v4(const uint8_t addr[16])
{
	return !memcmp(addr, v4_mapped, sizeof(v4_mapped));
}

bool lb_addr_of_sockaddr(const struct sockaddr *sa, uint8_t addr[16])
{
	if (sa && sa->sa_family == AF_INET) {
		memcpy(addr, v4_mapped, sizeof(v4_mapped));
		memcpy(addr + 12, &((const struct sockaddr_in *)(const void *)sa)->sin_addr, 4);
		return true;
	}
	if (sa && sa->sa_family == AF_INET6) {
		memcpy(addr, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, 16);
		return true;
	}
	return false;
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

static bool ends_with_percent(const char *text)
{
	size_t len = strlen(text);

	return len > 1 && text[len - 1] == '%';
}

int lb_number_parse(const char *text, const char *what, uint64_t min, uint64_t max, uint64_t *out, struct lb_err *err)
{
	bool ok = *text && (text[0] != '0' || !text[1]);
	uint64_t n = 0;

	for (const char *p = text; ok && *p; p++)
		ok = *p >= '0' && *p <= '9' && !__builtin_mul_overflow(n, 10, &n) &&
		     !__builtin_add_overflow(n, (uint64_t)(*p - '0'), &n);
	if (!ok || n < min || n > max)
		return lb_err_set(err, -EINVAL, NULL, SHOWN " is not %s %s (%" PRIu64 "-%" PRIu64 ")%s",
				  lb_err_text(text), strchr("aeiou", *what) ? "an" : "a", what, min, max,
				  ends_with_percent(text) ? "; leave out the %" : "");
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

static const struct {
	const char *name;
	uint8_t proto;
} protocols[] = {{"tcp", IPPROTO_TCP}, {"udp", IPPROTO_UDP}, {"sctp", IPPROTO_SCTP}};
#define NR_PROTOCOLS (sizeof(protocols) / sizeof(protocols[0]))

/* Cuts "/tcp" and the like off @text. A number behind a slash is a prefix's length. */
static int vip_cut_proto(char *text, uint8_t *proto, struct lb_err *err)
{
	const char *known[NR_PROTOCOLS + 1] = {NULL}, *near;
	char *slash = strrchr(text, '/');

	*proto = IPPROTO_TCP;
	if (!slash || (slash[1] >= '0' && slash[1] <= '9'))
		return 0;
	for (size_t i = 0; i < NR_PROTOCOLS; i++) {
		known[i] = protocols[i].name;
		if (strcmp(slash + 1, protocols[i].name))
			continue;
		*proto = protocols[i].proto;
		*slash = '\0';
		return 0;
	}
	near = lb_nearest(slash + 1, known);
	return lb_err_set(err, -EINVAL, NULL, SHOWN " is not a protocol (tcp, udp, sctp)%s%s%s", lb_err_text(slash + 1),
			  near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

/* Takes "/28" out of "192.0.2.0/28:80", "[2001:db8::/64]:80" or "[2001:db8::]/64:80" and puts it into @plen, with its
 * slash; "" where there is none. */
static void vip_cut_plen(char *text, char plen[8])
{
	char *slash = strchr(text, '/'), *bracket = strchr(text, ']'), *colon = strchr(text, ':');
	size_t len = slash ? 1 + strspn(slash + 1, "0123456789") : 0;

	*plen = '\0';
	if (len < 2 || len >= 8)
		return;
	/* Behind the address, not behind the port. */
	if (*text == '[' ? bracket && bracket + 1 < slash : colon && colon < slash)
		return;
	memcpy(plen, slash, len);
	plen[len] = '\0';
	memmove(slash, slash + len, strlen(slash + len) + 1);
}

/* A prefix may begin or end where no VIP can be. */
static int vip_check_addr(const struct lb_vip_conf *v, struct lb_err *err)
{
	const char *why = lb_addr_unusable(v->vip.addr);
	char buf[LB_ADDR_STRLEN];
	uint8_t last[16];

	memcpy(last, v->vip.addr, sizeof(last));
	for (unsigned int bit = v->plen; bit < 128; bit++)
		last[bit / 8] |= (uint8_t)(0x80 >> (bit % 8));
	if (why)
		return lb_err_set(err, -EINVAL, NULL, "%s is %s; a VIP is a unicast address",
				  lb_addr_format(v->vip.addr, buf), why);
	why = lb_addr_unusable(last);
	if (why)
		return lb_err_set(err, -EINVAL, NULL, "%s, where that prefix ends, is %s; write a longer prefix",
				  lb_addr_format(last, buf), why);
	return 0;
}

int lb_vip_parse(const char *text, struct lb_vip_conf *vip, struct lb_err *err)
{
	char host[LB_ADDR_STRLEN], prefix[LB_ADDR_STRLEN + 8], plen[8], buf[2 * LB_ADDR_STRLEN];
	struct lb_vip_conf v = {0};
	struct lb_prefix p;
	const char *port;
	int ret;

	if (strlen(text) >= sizeof(buf))
		return lb_err_set(err, -EINVAL, NULL, SHOWN "... is not a VIP (such as 192.0.2.10:80/tcp)", text);
	if (strchr(text, ','))
		return lb_err_set(err, -EINVAL, NULL,
				  SHOWN " is more than one VIP; write a list, or --vip VIP for each further one",
				  lb_err_text(text));
	strcpy(buf, text);
	ret = vip_cut_proto(buf, &v.vip.proto, err);
	if (ret)
		return ret;
	vip_cut_plen(buf, plen);
	ret = split_port(buf, host, &port, err);
	if (!ret)
		ret = lb_addr_parse(host, v.vip.addr, err);
	if (ret)
		return ret;
	snprintf(prefix, sizeof(prefix), "%s%s", host, plen);
	ret = lb_prefix_parse(prefix, &p, err);
	if (ret)
		return ret;
	memcpy(v.vip.addr, p.addr, sizeof(p.addr));
	v.plen = p.plen;
	if (!port) {
		v.vip.port = htons(80);
		return lb_err_set(err, -EINVAL, NULL, SHOWN " has no port; write it as in %s", text,
				  lb_vip_format(&v, buf));
	}
	if (strcmp(port, "*"))
		ret = port_parse(port, &v.vip.port, err);
	if (!ret)
		ret = vip_check_addr(&v, err);
	if (!ret)
		*vip = v;
	return ret;
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
#define NR_UNITS (sizeof(units) / sizeof(units[0]))

/* Adds @digits of units[@unit]. */
static bool add_duration(const char *digits, size_t len, size_t unit, uint64_t *ns)
{
	uint64_t n = 0;

	for (size_t i = 0; i < len; i++)
		if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, (uint64_t)(digits[i] - '0'), &n))
			return false;
	return !__builtin_mul_overflow(n, units[unit].ns, &n) && !__builtin_add_overflow(*ns, n, ns);
}

int lb_duration_parse(const char *text, uint64_t *ns, struct lb_err *err)
{
	size_t unit = 0, digits, letters;
	uint64_t sum = 0;
	const char *p;

	digits = strspn(text, "0123456789");
	if (digits && !text[digits])
		return lb_err_set(err, -EINVAL, NULL, SHOWN " has no unit; write %.32ss or %.32sms", text, text, text);
	for (p = text; *p; p += digits + letters, unit++) {
		digits = strspn(p, "0123456789");
		letters = strspn(p + digits, "hms");
		while (unit < NR_UNITS &&
		       (strlen(units[unit].name) != letters || strncmp(p + digits, units[unit].name, letters)))
			unit++;
		if (!digits || unit == NR_UNITS)
			break;
		if (!add_duration(p, digits, unit, &sum))
			return lb_err_set(err, -EINVAL, NULL, SHOWN " is too long a time", text);
	}
	if (p == text || *p)
		return lb_err_set(err, -EINVAL, NULL, SHOWN " is not a duration (such as 250ms, 2s, 5m, 1h)",
				  lb_err_text(text));
	*ns = sum;
	return 0;
}

/* Decimal, without a NUL; returns where it ends. */
static char *put_number(char *at, unsigned int n)
{
	char digits[10];
	size_t nr = 0;

	do
		digits[nr++] = (char)('0' + n % 10);
	while (n /= 10);
	while (nr)
		*at++ = digits[--nr];
	return at;
}

/* Answers and metrics are full of them: inet_ntop() takes ten times as long. */
static char *put_v4(char *at, const uint8_t addr[4])
{
	for (int i = 0; i < 4; i++) {
		at = put_number(at, addr[i]);
		*at++ = '.';
	}
	return at - 1;
}

char *lb_addr_format(const uint8_t addr[16], char buf[LB_ADDR_STRLEN])
{
	if (lb_addr_is_v4(addr))
		*put_v4(buf, addr + 12) = '\0';
	else
		inet_ntop(AF_INET6, addr, buf, LB_ADDR_STRLEN);
	return buf;
}

char *lb_endpoint_format(const struct lb_endpoint *ep, char buf[LB_ADDR_STRLEN])
{
	char *at = buf;

	if (!ep->port)
		return lb_addr_format(ep->addr, buf);
	if (lb_addr_is_v4(ep->addr)) {
		at = put_v4(at, ep->addr + 12);
	} else {
		*at++ = '[';
		inet_ntop(AF_INET6, ep->addr, at, INET6_ADDRSTRLEN);
		at += strlen(at);
		*at++ = ']';
	}
	*at++ = ':';
	*put_number(at, ntohs(ep->port)) = '\0';
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

char *lb_vip_format(const struct lb_vip_conf *vip, char buf[LB_ADDR_STRLEN])
{
	struct lb_prefix prefix = {.plen = vip->plen};
	bool v4 = lb_addr_is_v4(vip->vip.addr);
	char addr[LB_ADDR_STRLEN], port[8] = "*";
	const char *proto = "?";

	memcpy(prefix.addr, vip->vip.addr, sizeof(prefix.addr));
	if (vip->vip.port)
		snprintf(port, sizeof(port), "%u", ntohs(vip->vip.port));
	for (size_t i = 0; i < NR_PROTOCOLS; i++)
		if (protocols[i].proto == vip->vip.proto)
			proto = protocols[i].name;
	lb_prefix_format(&prefix, addr);
	snprintf(buf, LB_ADDR_STRLEN, "%s%.43s%s:%s/%s", v4 ? "" : "[", addr, v4 ? "" : "]", port, proto);
	return buf;
}

char *lb_duration_format(uint64_t ns, char buf[LB_ADDR_STRLEN])
{
	for (size_t i = 0; ns && i < NR_UNITS; i++) {
		if (ns % units[i].ns)
			continue;
		snprintf(buf, LB_ADDR_STRLEN, "%" PRIu64 "%s", ns / units[i].ns, units[i].name);
		return buf;
	}
	/* Not a whole number of milliseconds: nothing that lb_duration_parse made. */
	snprintf(buf, LB_ADDR_STRLEN, "%" PRIu64 "%s", ns, ns ? "ns" : "s");
	return buf;
}
