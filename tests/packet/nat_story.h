/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What stories about translated connections are told with: nat.c has them, and nat_icmp.c,
 * nat_fragment.c, nat_mtu.c and nat_random.c tell some of their own. */
#ifndef TESTS_NAT_STORY_H
#define TESTS_NAT_STORY_H

#include <arpa/inet.h>

#include "packet.h"

#define SYN 0x02
#define SYNACK 0x12
#define ACK 0x10
#define FIN 0x11
#define RST 0x14
#define BACKEND_PORT 7002
#define SNAT_FIRST 20000
#define SNAT_PORTS 1000

/* Which kind of connection, in which world. */
struct story {
	struct world *w;
	struct setup setup;
	int client, backend; /* families */
	int proto;
	int client_port;		 /* 12345 */
	int snat_port;			 /* what the backend sees: of the last packet to it */
	const uint8_t *mac_from;	 /* of the client's frames */
	uint32_t tag[2], backend_tag[2]; /* of the client's frames, and of the backend's */
	struct {
		bool known;
		uint32_t by; /* of IPv4 modulo 2^16 */
	} moved[2];	     /* IDs of fragments: of the client's, of the backend's */
	bool failed;
};

/* Addresses of a family. */
const char *snat_addr(int family);
const char *addr_text(int family, int backend, char buf[INET6_ADDRSTRLEN]);
const char *client_addr(int family);
const char *vip_addr(int family);

/* Packets of the connection as each side sends them. */
struct spec from_client(const struct story *t, int flags);
struct spec from_backend(const struct story *t, int backend, int flags, char buf[INET6_ADDRSTRLEN]);
void set_macs(struct frame *f, const uint8_t dst[6], const uint8_t src[6]);

/* The story fails when @bad, and says that it was when @what. */
void check(struct story *t, const char *what, bool bad);
/* Takes the tags off what is sent, when they are @tag. */
void untag(struct story *t, const char *what, const uint32_t tag[2], struct frame *f);
/* The packet @s, which may be a fragment, as one of @family. Is it one? */
bool piece_as(struct spec *s, int family);
/* Of a fragment @in that became @out: its ID has moved as those of its sender before did, and @want gets it. */
void expect_moved(struct story *t, bool reply, const struct frame *in, const struct frame *out, struct frame *want);
/* Plays a packet and holds what becomes of it against @verdict and, where it is sent, against what it means. */
void client_sends(struct story *t, const char *what, struct spec in, enum lb_verdict verdict, int backend);
void backend_sends(struct story *t, const char *what, struct spec in, enum lb_verdict verdict);
/* Plays a packet whose sender is told that @mtu bytes would have fitted; 0: it is not told. */
void told(struct story *t, const char *what, struct spec in, bool reply, int mtu);
/* New connections are @backend's. */
void all_slots(struct story *t, int backend);
void counted(struct story *t, const char *what, int conns, int half_open);

void tell(struct world *w, const char *what, void (*story)(struct story *), int forward, int client, int backend,
	  int proto, bool wild);

void test_nat_icmp(struct world *w, int forward, int client, int backend);
void test_nat_fragment(struct world *w, int forward, int client, int backend);
void test_nat_mtu(struct world *w, int forward, int client, int backend);
void test_nat_random(struct world *w, int forward, int client, int backend);

#endif
