/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Text <-> addresses, ports, VIPs, prefixes and durations. Pure; called by every module that reads or prints them. */
#ifndef LB_ADDR_H
#define LB_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "lb/abi.h"

struct sockaddr;

#define LB_ADDR_STRLEN 64 /* enough for every formatter below, NUL included */

/* An address of 16 bytes, network order, IPv4 mapped, and a port in network order (0: none given). */
struct lb_endpoint {
	uint8_t addr[16];
	__be16 port;
};

/* @plen counts bits of the 16-byte form: an IPv4 /24 has plen 120. plen 0 with a zero address: unset. */
struct lb_prefix {
	uint8_t addr[16];
	uint8_t plen;
};

/* A VIP as it is configured. @vip.port 0: every port. @plen counts bits of the 16-byte form, 128: one address; the bits
 * of @vip.addr beyond them are 0. Free of holes, so that memory order is an order. */
struct lb_vip_conf {
	struct lb_vip vip;
	uint8_t plen;
	uint8_t pad; /* 0 */
};
_Static_assert(sizeof(struct lb_vip_conf) == 22, "no hole");

bool lb_addr_is_v4(const uint8_t addr[16]);

/* lb_addr_of_sockaddr - @addr becomes the address in @sa, without its port or scope. False: that is NULL or of another
 * family than IPv4 and IPv6, and @addr as it was. */
bool lb_addr_of_sockaddr(const struct sockaddr *sa, uint8_t addr[16]);

/* lb_addr_unusable - why neither a VIP, a backend nor a tunnel's source can have @addr: "a multicast address"; NULL: it
 * can. IPv6 link-local addresses mean nothing without an interface, which no configured address has. */
const char *lb_addr_unusable(const uint8_t addr[16]);

/* Parsers: 0, or -EINVAL with @err's message naming @text and the mend. NUL-terminated input, no white space
 * accepted, output untouched on error. */
int lb_addr_parse(const char *text, uint8_t addr[16], struct lb_err *err);
/* "10.0.0.1", "10.0.0.1:80", "2001:db8::1", "[2001:db8::1]:80" */
int lb_endpoint_parse(const char *text, struct lb_endpoint *ep, struct lb_err *err);
/* "192.0.2.10:80/tcp", "192.0.2.10:80", "[2001:db8::10]:443/udp", "192.0.2.10:*", "192.0.2.0/28:80",
 * "[2001:db8::/64]:80" or "[2001:db8::]/64:80"; the address must be usable (lb_addr_unusable), of a prefix the first
 * and the last. */
int lb_vip_parse(const char *text, struct lb_vip_conf *vip, struct lb_err *err);
/* "10.200.0.0/16", "fd00::/64", or an address alone; host bits must be zero */
int lb_prefix_parse(const char *text, struct lb_prefix *prefix, struct lb_err *err);
/* "250ms", "2s", "5m", "2h4m"; whole numbers, always with their unit, the larger unit first */
int lb_duration_parse(const char *text, uint64_t *ns, struct lb_err *err);
/* decimal, @min..@max inclusive, @what names it in the message ("port", "weight") */
int lb_number_parse(const char *text, const char *what, uint64_t min, uint64_t max, uint64_t *out, struct lb_err *err);

/* Formatters write the canonical text (RFC 5952 for IPv6) into @buf and return it. */
char *lb_addr_format(const uint8_t addr[16], char buf[LB_ADDR_STRLEN]);
char *lb_endpoint_format(const struct lb_endpoint *ep, char buf[LB_ADDR_STRLEN]);
char *lb_vip_format(const struct lb_vip_conf *vip, char buf[LB_ADDR_STRLEN]);
char *lb_prefix_format(const struct lb_prefix *prefix, char buf[LB_ADDR_STRLEN]);
char *lb_duration_format(uint64_t ns, char buf[LB_ADDR_STRLEN]); /* the largest unit that is exact */

#endif
