// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Both ends of a connection that migrates, for the namespace tests: what a load balancer can see of QUIC (RFC 8999) and
 * no more, so neither TLS nor a state machine.
 *
 *   quic_peer server --bind ADDR:PORT --server-id HEX --config N --name NAME
 *	answers each datagram with its name; a long header also with a connection ID that names it (QUIC-LB, the
 *	algorithm without a key). --config 7: one that says that its server has no configuration.
 *   quic_peer client --to ADDR:PORT [--connections N] [--datagrams N] [--from ADDR] [--migrate-to ADDR]
 *	opens connections with an ID of its own choice, and goes on with the server's; after half of the datagrams from
 *	another port and, where it is told one, another address. Exit status 1 when an answer fails to come or another
 *	server gives it. One line of key=value for each connection, and one for all.
 *
 * A client's packet is a header, eight bytes that its answer repeats, and padding. An answer is a header, these eight,
 * one that says whether the packet's ID was the server's (enum owner), and the server's name. --nonce-length says how
 * long a server's IDs are (default 6).
 */
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "addr.h"
#include "lb/dp/quic.h"

#define RETRY_MS 100
#define TOKEN_BYTES 8
#define NAME_MAX_BYTES 63
#define INITIAL_BYTES 1200 /* RFC 9000, 14.1 */
#define PACKET_MAX 1500
#define NO_CONFIG 7

enum owner { OWNER_NONE, OWNER_ME }; /* of the connection ID that an answered packet had */

static struct {
	struct lb_endpoint at;
	uint8_t from[16], migrate_to[16];
	bool has_from, has_migrate_to;
	struct lb_quic_id id;
	unsigned int config, server_id_bytes, nonce_bytes;
	unsigned int connections, datagrams, timeout_ms;
	const char *name;
} opt = {.nonce_bytes = 6, .connections = 1, .datagrams = 8, .timeout_ms = 3000};

static void __attribute__((noreturn)) die(const char *what)
{
	fprintf(stderr, "quic_peer: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void __attribute__((noreturn)) usage(const char *what)
{
	fprintf(stderr,
		"quic_peer: %s\n"
		"usage: quic_peer server --bind ADDR:PORT --server-id HEX --config N --name NAME [--nonce-length N]\n"
		"       quic_peer client --to ADDR:PORT [--connections N] [--datagrams N] [--from ADDR]\n"
		"                        [--migrate-to ADDR] [--timeout MS]\n",
		what);
	exit(2);
}

static void random_bytes(void *p, size_t nr)
{
	if (getrandom(p, nr, 0) != (ssize_t)nr)
		die("getrandom");
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static socklen_t sockaddr_of(const uint8_t addr[16], __be16 port, struct sockaddr_storage *ss)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ss;
	struct sockaddr_in *in = (struct sockaddr_in *)ss;

	memset(ss, 0, sizeof(*ss));
	if (lb_addr_is_v4(addr)) {
		in->sin_family = AF_INET;
		in->sin_port = port;
		memcpy(&in->sin_addr, addr + 12, 4);
		return sizeof(*in);
	}
	in6->sin6_family = AF_INET6;
	in6->sin6_port = port;
	memcpy(&in6->sin6_addr, addr, 16);
	return sizeof(*in6);
}

/* ---- server ---- */

static size_t new_cid(uint8_t cid[LB_QUIC_CID_MAX])
{
	/* written as configuration 0's, whose bits are zeros; with its length, as 7 demands */
	const uint64_t configs = LB_QUIC_CONFIG(0, opt.server_id_bytes, opt.nonce_bytes, true);
	uint8_t nonce[LB_QUIC_BODY_MAX];
	size_t nr;

	random_bytes(nonce, sizeof(nonce));
	nr = lb_quic_cid(configs, &opt.id, nonce, 0, cid);
	cid[0] |= (uint8_t)(opt.config << 5);
	return nr;
}

static enum owner cid_owner(const uint8_t *cid, size_t nr)
{
	uint8_t mine[LB_QUIC_CID_MAX];

	if (nr < new_cid(mine) || cid[0] != mine[0] || memcmp(cid + 1, mine + 1, opt.server_id_bytes) != 0)
		return OWNER_NONE;
	return OWNER_ME;
}

/* answer_to - the answer to @packet, whose length it returns; 0: it is none of a client. */
static size_t answer_to(const uint8_t *packet, size_t nr, uint8_t answer[PACKET_MAX])
{
	const size_t cid_bytes = 1 + opt.server_id_bytes + opt.nonce_bytes;
	const uint8_t *dcid, *scid;
	uint8_t *out = answer;
	size_t at;

	if (nr < 7)
		return 0;
	if (packet[0] & LB_QUIC_LONG) {
		dcid = packet + 6;
		if (7u + packet[5] > nr)
			return 0;
		scid = dcid + packet[5];
		at = 7 + packet[5] + *scid;
		if (at + TOKEN_BYTES > nr)
			return 0;
		memcpy(out, packet, 5);
		memcpy(out + 5, scid, 1 + *scid);
		out += 6 + *scid;
		*out = (uint8_t)new_cid(out + 1);
		out += 1 + *out;
		*(out + TOKEN_BYTES) = cid_owner(dcid, packet[5]);
	} else {
		at = 1 + cid_bytes;
		if (at + TOKEN_BYTES > nr)
			return 0;
		*out++ = packet[0]; /* the client's own ID is empty */
		*(out + TOKEN_BYTES) = cid_owner(packet + 1, cid_bytes);
	}
	memcpy(out, packet + at, TOKEN_BYTES);
	out += TOKEN_BYTES + 1;
	memcpy(out, opt.name, strlen(opt.name));
	return (size_t)(out - answer) + strlen(opt.name);
}

/* Answers go out from the address that was asked: the VIP, which is not the one that the host would choose. */
static void keep_source(struct msghdr *msg)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo *info = (struct in_pktinfo *)CMSG_DATA(c);

			info->ipi_spec_dst = info->ipi_addr;
			info->ipi_ifindex = 0;
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			((struct in6_pktinfo *)CMSG_DATA(c))->ipi6_ifindex = 0;
		}
	}
}

static int run_server(void)
{
	static uint8_t packet[65536], answer[PACKET_MAX];
	const int on = 1;
	struct sockaddr_storage ss;
	socklen_t len = sockaddr_of(opt.at.addr, opt.at.port, &ss);
	int fd = socket(ss.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&ss, len) ||
	    (ss.ss_family == AF_INET ? setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on))
				     : setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on))))
		die("bind");
	puts("ready");
	fflush(stdout);
	for (;;) {
		union {
			char bytes[256];
			struct cmsghdr align;
		} control;
		struct iovec in = {.iov_base = packet, .iov_len = sizeof(packet)}, out = {.iov_base = answer};
		struct msghdr msg = {.msg_name = &ss,
				     .msg_namelen = sizeof(ss),
				     .msg_iov = &in,
				     .msg_iovlen = 1,
				     .msg_control = &control,
				     .msg_controllen = sizeof(control)};
		ssize_t nr = recvmsg(fd, &msg, 0);

		if (nr < 0 && errno != EINTR && errno != ECONNREFUSED && errno != EHOSTUNREACH)
			die("recvmsg");
		out.iov_len = nr > 0 ? answer_to(packet, (size_t)nr, answer) : 0;
		if (!out.iov_len)
			continue;
		msg.msg_iov = &out;
		keep_source(&msg);
		if (sendmsg(fd, &msg, 0) < 0)
			fprintf(stderr, "quic_peer: sendmsg: %s\n", strerror(errno)); /* the client asks again */
	}
}

/* ---- client ---- */

struct answer {
	uint8_t cid[255]; /* a long header's source ID */
	size_t cid_bytes;
	enum owner owner;
	char name[NAME_MAX_BYTES + 1];
};

struct connection {
	int fd;
	uint8_t cid[255]; /* the server's */
	size_t cid_bytes;
	char name[NAME_MAX_BYTES + 1];	/* who answered first */
	char other[NAME_MAX_BYTES + 1]; /* who answered since and is another */
	unsigned int answers[2],
		strangers; /* before and after the migration; from others, or not for an ID of theirs */
};

/* A socket of a port of its own. */
static int open_from(const uint8_t *from)
{
	struct sockaddr_storage ss;
	socklen_t len;
	int fd = socket(lb_addr_is_v4(opt.at.addr) ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket");
	if (from) {
		len = sockaddr_of(from, 0, &ss);
		if (bind(fd, (struct sockaddr *)&ss, len))
			die("bind");
	}
	len = sockaddr_of(opt.at.addr, opt.at.port, &ss);
	if (connect(fd, (struct sockaddr *)&ss, len))
		die("connect");
	return fd;
}

static bool parse_answer(const uint8_t *p, size_t nr, bool long_form, const uint8_t token[TOKEN_BYTES],
			 struct answer *a)
{
	size_t at = 1, name_bytes;

	if (nr < 1 || !(p[0] & LB_QUIC_LONG) != !long_form)
		return false;
	if (long_form) {
		if (nr < 7 || p[5] != 0 || 7u + p[6] > nr)
			return false;
		a->cid_bytes = p[6];
		memcpy(a->cid, p + 7, a->cid_bytes);
		at = 7 + a->cid_bytes;
	}
	if (at + TOKEN_BYTES + 1 >= nr || memcmp(p + at, token, TOKEN_BYTES) != 0)
		return false;
	at += TOKEN_BYTES;
	a->owner = p[at++];
	name_bytes = nr - at < NAME_MAX_BYTES ? nr - at : NAME_MAX_BYTES;
	memcpy(a->name, p + at, name_bytes);
	a->name[name_bytes] = 0;
	return true;
}

/* Sends @packet, again and again, until its answer is there or the time is over. */
static bool ask(int fd, const uint8_t *packet, size_t nr, const uint8_t token[TOKEN_BYTES], struct answer *a)
{
	const int64_t end = now_ms() + opt.timeout_ms;
	uint8_t buf[PACKET_MAX];

	for (int64_t now = now_ms(); now < end; now = now_ms()) {
		const int64_t again = now + RETRY_MS < end ? now + RETRY_MS : end;
		struct pollfd p = {.fd = fd, .events = POLLIN};

		/* "refused" is said of what was sent before, and as good as lost */
		if (send(fd, packet, nr, 0) < 0 && errno != ECONNREFUSED && errno != EHOSTUNREACH)
			die("send");
		for (; now < again; now = now_ms()) {
			ssize_t got;

			if (poll(&p, 1, (int)(again - now)) <= 0)
				continue;
			got = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
			if (got > 0 && parse_answer(buf, (size_t)got, packet[0] & LB_QUIC_LONG, token, a))
				return true;
		}
	}
	return false;
}

static bool open_connection(struct connection *c)
{
	uint8_t packet[INITIAL_BYTES] = {0xc0, 0, 0, 0, 1, 8}; /* version 1, an ID of 8 bytes */
	struct answer a = {};

	random_bytes(packet + 6, 8);
	random_bytes(packet + 15, TOKEN_BYTES);
	if (!ask(c->fd, packet, sizeof(packet), packet + 15, &a))
		return false;
	memcpy(c->cid, a.cid, a.cid_bytes);
	c->cid_bytes = a.cid_bytes;
	memcpy(c->name, a.name, sizeof(c->name));
	return true;
}

static void send_datagrams(struct connection *c, unsigned int phase, unsigned int nr)
{
	uint8_t packet[1 + 255 + TOKEN_BYTES + 16] = {0x40}; /* as much behind the ID as protection would need */
	struct answer a = {};

	memcpy(packet + 1, c->cid, c->cid_bytes);
	while (nr--) {
		uint8_t *token = packet + 1 + c->cid_bytes;

		random_bytes(token, TOKEN_BYTES);
		if (!ask(c->fd, packet, 1 + c->cid_bytes + TOKEN_BYTES + 16, token, &a))
			return;
		c->answers[phase]++;
		if (a.owner != OWNER_ME || strcmp(a.name, c->name) != 0) {
			c->strangers++;
			memcpy(c->other, a.name, sizeof(c->other));
		}
	}
}

static void print_local(const char *key, int fd)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct lb_endpoint ep = {.addr = {[10] = 0xff, [11] = 0xff}};
	char buf[LB_ADDR_STRLEN];

	if (getsockname(fd, (struct sockaddr *)&ss, &len))
		die("getsockname");
	if (ss.ss_family == AF_INET) {
		ep.port = ((struct sockaddr_in *)&ss)->sin_port;
		memcpy(ep.addr + 12, &((struct sockaddr_in *)&ss)->sin_addr, 4);
	} else {
		ep.port = ((struct sockaddr_in6 *)&ss)->sin6_port;
		memcpy(ep.addr, &((struct sockaddr_in6 *)&ss)->sin6_addr, 16);
	}
	printf("%s=%s ", key, lb_endpoint_format(&ep, buf));
}

/* One connection from its first packet to its last; were all answered, and by whom they had to be? */
static bool run_connection(unsigned int *moved, unsigned int *silent)
{
	struct connection c = {.fd = open_from(opt.has_from ? opt.from : NULL)};
	const unsigned int half = opt.datagrams / 2;
	bool complete;
	int before = c.fd;

	print_local("from", c.fd);
	if (open_connection(&c)) {
		send_datagrams(&c, 0, half);
		/* opened before the other is closed, so that its port is another */
		c.fd = open_from(opt.has_migrate_to ? opt.migrate_to : opt.has_from ? opt.from : NULL);
		close(before);
		print_local("to", c.fd);
		if (c.answers[0] == half)
			send_datagrams(&c, 1, opt.datagrams - half);
	}
	close(c.fd);
	complete = c.name[0] && c.answers[0] == half && c.answers[1] == opt.datagrams - half;
	printf("server=%s before=%u/%u after=%u/%u other=%s\n", c.name[0] ? c.name : "-", c.answers[0], half,
	       c.answers[1], opt.datagrams - half, c.strangers ? c.other : "-");
	*silent += !complete;
	*moved += c.strangers > 0;
	return complete && !c.strangers;
}

static int run_client(void)
{
	unsigned int kept = 0, moved = 0, silent = 0;

	for (unsigned int i = 0; i < opt.connections; i++)
		kept += run_connection(&moved, &silent);
	printf("connections=%u kept=%u moved=%u silent=%u\n", opt.connections, kept, moved, silent);
	return kept != opt.connections;
}

/* ---- options ---- */

static unsigned int number(const char *text, const char *what, unsigned int min, unsigned int max)
{
	struct lb_err err;
	uint64_t n;

	if (lb_number_parse(text, what, min, max, &n, &err))
		usage(err.message);
	return (unsigned int)n;
}

static void take_server_id(const char *hex)
{
	size_t nr = strlen(hex);

	if (!nr || nr % 2 || nr / 2 > LB_QUIC_SERVER_ID_MAX || strspn(hex, "0123456789abcdefABCDEF") != nr)
		usage("--server-id wants 1 to 8 bytes in hexadecimal");
	opt.server_id_bytes = (unsigned int)nr / 2;
	opt.id.server_id = strtoull(hex, NULL, 16);
}

static void take_option(int which, const char *arg)
{
	struct lb_err err;

	switch (which) {
	case 'b':
	case 't':
		if (lb_endpoint_parse(arg, &opt.at, &err))
			usage(err.message);
		break;
	case 'f':
		if (lb_addr_parse(arg, opt.from, &err))
			usage(err.message);
		opt.has_from = true;
		break;
	case 'm':
		if (lb_addr_parse(arg, opt.migrate_to, &err))
			usage(err.message);
		opt.has_migrate_to = true;
		break;
	case 's':
		take_server_id(arg);
		break;
	case 'c':
		opt.config = number(arg, "--config", 0, NO_CONFIG);
		break;
	case 'l':
		opt.nonce_bytes = number(arg, "--nonce-length", LB_QUIC_NONCE_MIN, LB_QUIC_BODY_MAX - 1);
		break;
	case 'n':
		opt.name = arg;
		break;
	case 'k':
		opt.connections = number(arg, "--connections", 1, 1000000);
		break;
	case 'd':
		opt.datagrams = number(arg, "--datagrams", 2, 1000000);
		break;
	case 'w':
		opt.timeout_ms = number(arg, "--timeout", 1, 600000);
		break;
	default:
		usage("an option that it does not know");
	}
}

int main(int argc, char **argv)
{
	static const struct option server_options[] = {
		{"bind", required_argument, NULL, 'b'},	  {"server-id", required_argument, NULL, 's'},
		{"config", required_argument, NULL, 'c'}, {"nonce-length", required_argument, NULL, 'l'},
		{"name", required_argument, NULL, 'n'},	  {}};
	static const struct option client_options[] = {{"to", required_argument, NULL, 't'},
						       {"from", required_argument, NULL, 'f'},
						       {"migrate-to", required_argument, NULL, 'm'},
						       {"datagrams", required_argument, NULL, 'd'},
						       {"connections", required_argument, NULL, 'k'},
						       {"timeout", required_argument, NULL, 'w'},
						       {}};
	const bool server = argc > 1 && !strcmp(argv[1], "server");
	int which;

	if (!server && (argc < 2 || strcmp(argv[1], "client") != 0))
		usage("server or client?");
	while ((which = getopt_long(argc - 1, argv + 1, "", server ? server_options : client_options, NULL)) != -1)
		take_option(which, optarg);
	if (optind != argc - 1 || !opt.at.port)
		usage(server ? "--bind ADDR:PORT is missing" : "--to ADDR:PORT is missing");
	if (!server)
		return run_client();
	if (!opt.server_id_bytes || !opt.name || !*opt.name || strlen(opt.name) > NAME_MAX_BYTES)
		usage("--server-id and --name (63 bytes at most) are missing");
	if (opt.server_id_bytes + opt.nonce_bytes > LB_QUIC_BODY_MAX)
		usage("server ID and nonce have more than 19 bytes together");
	return run_server();
}
