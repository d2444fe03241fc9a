// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Both ends of SCTP associations, for the namespace tests, in userspace: not every kernel has the protocol. Each
 *process sees every SCTP packet of its host. So a host has one server, for all of its addresses and ports, and it
 *answers what is none of its associations' with ABORT, as a kernel does; clients, of which there may be several, keep
 *quiet about each other's packets and have ports of their own.
 *
 *   sctp_peer server --bind ADDR:PORT... --name NAME
 *	answers each message with its name.
 *   sctp_peer client --from ADDR:PORT --to ADDR:PORT --count N
 *	opens N associations, from PORT and the ports behind it, and sends a message in each; then, for each line that
 *it reads, another one ("ping"), or it ends them, in order ("close") or at once ("abort"). After each round a line:
 *	alive=N moved=N NAME=N..., those that answered, those that another server than the first time answered, and how
 *	many each server has.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <usrsctp.h>

#include "addr.h"

#define NAME_BYTES 16
#define SERVERS_MAX 16
#define TIMEOUT_S 5
#define BINDS_MAX 16
#define CLOSE_MS 5000

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

struct association {
	struct socket *socket; /* NULL: it failed */
	char server[NAME_BYTES];
};

static void __attribute__((noreturn)) die(const char *what)
{
	fprintf(stderr, "sctp_peer: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void __attribute__((noreturn)) usage(void)
{
	fprintf(stderr, "usage: sctp_peer server --bind ADDR:PORT... --name NAME |\n"
			"       sctp_peer client --from ADDR:PORT --to ADDR:PORT --count N\n");
	exit(2);
}

static union address address_of(const struct lb_endpoint *at, int more_ports)
{
	union address a = {0};
	const __be16 port = htons((uint16_t)(ntohs(at->port) + more_ports));

	if (lb_addr_is_v4(at->addr)) {
		a.v4.sin_family = AF_INET;
		a.v4.sin_port = port;
		memcpy(&a.v4.sin_addr, at->addr + 12, sizeof(a.v4.sin_addr));
	} else {
		a.v6.sin6_family = AF_INET6;
		a.v6.sin6_port = port;
		memcpy(&a.v6.sin6_addr, at->addr, sizeof(a.v6.sin6_addr));
	}
	return a;
}

static socklen_t address_len(const union address *a)
{
	return a->any.sa_family == AF_INET ? sizeof(a->v4) : sizeof(a->v6);
}

/* One that has the address @a, and no other: an association would be of all addresses of the host. */
static struct socket *new_socket(union address *a)
{
	struct socket *s = usrsctp_socket(a->any.sa_family, SOCK_STREAM, IPPROTO_SCTP, NULL, NULL, 0, NULL);
	const int on = 1;

	if (!s)
		die("socket");
	if (a->any.sa_family == AF_INET6)
		usrsctp_setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (usrsctp_bind(s, &a->any, address_len(a)))
		die("bind");
	return s;
}

static bool tell(struct socket *s, const char *text)
{
	struct sctp_sndinfo info = {0};

	return usrsctp_sendv(s, text, strlen(text), NULL, 0, &info, sizeof(info), SCTP_SENDV_SNDINFO, 0) > 0;
}

static bool hear(struct socket *s, char text[NAME_BYTES])
{
	socklen_t from_len, info_len;
	struct sctp_rcvinfo info;
	union address from;
	unsigned int type;
	int flags = 0;
	ssize_t nr;

	from_len = sizeof(from);
	info_len = sizeof(info);
	nr = usrsctp_recvv(s, text, NAME_BYTES - 1, &from.any, &from_len, &info, &info_len, &type, &flags);
	text[nr > 0 ? nr : 0] = '\0';
	return nr > 0;
}

/* ---- server ---- */
static const char *name = "server";

static void *answer(void *ctx)
{
	char text[NAME_BYTES];

	while (hear(ctx, text) && tell(ctx, name))
		;
	usrsctp_close(ctx);
	return NULL;
}

static void *accept_all(void *ctx)
{
	for (;;) {
		struct socket *peer = usrsctp_accept(ctx, NULL, NULL);
		pthread_t thread;

		if (!peer)
			die("accept");
		if (pthread_create(&thread, NULL, answer, peer))
			die("thread");
		pthread_detach(thread);
	}
	return NULL;
}

static void serve(const struct lb_endpoint *at, int nr)
{
	pthread_t thread;

	for (int i = 0; i < nr; i++) {
		union address a = address_of(&at[i], 0);
		struct socket *s = new_socket(&a);

		if (usrsctp_listen(s, 64))
			die("listen");
		if (pthread_create(&thread, NULL, accept_all, s))
			die("thread");
	}
	printf("ready\n");
	fflush(stdout);
	pthread_join(thread, NULL);
}

/* ---- client ---- */
static struct socket *associate(union address *from, union address *to)
{
	struct timeval timeout = {.tv_sec = TIMEOUT_S};
	struct socket *s = new_socket(from);

	usrsctp_setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	if (!usrsctp_connect(s, &to->any, address_len(to)))
		return s;
	usrsctp_close(s);
	return NULL;
}

static void count_server(char servers[SERVERS_MAX][NAME_BYTES], int counts[SERVERS_MAX], const char *server)
{
	int i = 0;

	while (i < SERVERS_MAX - 1 && servers[i][0] && strcmp(servers[i], server))
		i++;
	snprintf(servers[i], NAME_BYTES, "%s", server);
	counts[i]++;
}

/* A message in each association. */
static void talk(struct association *all, int nr)
{
	char servers[SERVERS_MAX][NAME_BYTES] = {{0}}, text[NAME_BYTES];
	int alive = 0, moved = 0, counts[SERVERS_MAX] = {0};

	for (int i = 0; i < nr; i++) {
		struct association *a = &all[i];

		if (!a->socket || !tell(a->socket, "hello") || !hear(a->socket, text))
			continue;
		alive++;
		moved += a->server[0] && strcmp(a->server, text);
		snprintf(a->server, sizeof(a->server), "%s", text);
		count_server(servers, counts, text);
	}
	printf("alive=%d moved=%d", alive, moved);
	for (int i = 0; i < SERVERS_MAX && servers[i][0]; i++)
		printf(" %s=%d", servers[i], counts[i]);
	printf("\n");
	fflush(stdout);
}

/* In order by SHUTDOWN and its answers, or with ABORT. */
static void close_all(struct association *all, int nr, bool at_once)
{
	const struct linger linger = {.l_onoff = at_once};

	for (int i = 0; i < nr; i++) {
		if (!all[i].socket)
			continue;
		if (usrsctp_setsockopt(all[i].socket, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)))
			die("SO_LINGER");
		usrsctp_close(all[i].socket);
		all[i].socket = NULL;
	}
}

static void ask(const struct lb_endpoint *from, const struct lb_endpoint *at, int nr)
{
	struct association *all = calloc((size_t)nr, sizeof(*all));
	union address to = address_of(at, 0);
	char line[32];

	if (!all)
		die("memory");
	for (int i = 0; i < nr; i++) {
		union address a = address_of(from, i);

		all[i].socket = associate(&a, &to);
	}
	talk(all, nr);
	while (fgets(line, sizeof(line), stdin)) {
		if (strcmp(line, "ping\n"))
			close_all(all, nr, !strcmp(line, "abort\n"));
		talk(all, nr);
	}
	close_all(all, nr, false);
	for (int ms = 0; usrsctp_finish() && ms < CLOSE_MS; ms += 10)
		usleep(10000);
	free(all);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"bind", 1, NULL, 'b'}, {"from", 1, NULL, 'f'},	 {"to", 1, NULL, 't'},
						{"name", 1, NULL, 'n'}, {"count", 1, NULL, 'c'}, {0}};
	struct lb_endpoint binds[BINDS_MAX] = {0}, from = {0}, to = {0};
	int c, nr = 1, nr_binds = 0;
	struct lb_err err = {0};

	while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		if (c == 'n')
			name = optarg;
		else if (c == 'c')
			nr = atoi(optarg);
		else if (c != 'f' && c != 't' && (c != 'b' || nr_binds == BINDS_MAX))
			usage();
		else if (lb_endpoint_parse(optarg, c == 'f' ? &from : c == 't' ? &to : &binds[nr_binds++], &err)) {
			fprintf(stderr, "sctp_peer: %s\n", lb_err_str(&err));
			return 2;
		}
	}
	if (optind + 1 != argc || nr < 1)
		usage();
	usrsctp_init(0, NULL, NULL);
	if (!strcmp(argv[optind], "server") && nr_binds) {
		serve(binds, nr_binds);
	} else if (!strcmp(argv[optind], "client") && from.port && to.port) {
		usrsctp_sysctl_set_sctp_blackhole(2);
		ask(&from, &to, nr);
	} else {
		usage();
	}
	return 0;
}
