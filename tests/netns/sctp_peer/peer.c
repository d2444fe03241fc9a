// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Both ends of SCTP associations, for the namespace tests, in userspace: not every kernel has the protocol. Each
 * process sees every SCTP packet of its host. So a host has one server, for all of its addresses and ports, and it
 * answers what is none of its associations' with ABORT, as a kernel does; clients, of which there may be several, have
 * ports of their own and leave the packets of other ports alone. An association has one address at each end.
 *
 *   sctp_peer server --port PORT... --name NAME
 *	answers each message with its name.
 *   sctp_peer client --from ADDR:PORT --to ADDR:PORT --count N
 *	opens N associations, from PORT and the ports behind it, and sends a message in each; then, for each line that
 *	it reads, another one ("ping"), or it ends them, in order ("close") or at once ("abort"). After each round a
 *	line: alive=N moved=N NAME=N..., those that answered, those that another server than the first time answered,
 *	and how many each server has. One that has no answer in time is given up: it is not alive in later rounds.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "addr.h"
#include "wire.h"

#define NAME_BYTES 16
#define SERVERS_MAX 16
#define PORTS_MAX 16
#define BACKLOG 1000
/* Associations that wait for an answer: more of them would fill the queues of virtual interfaces. */
#define AT_ONCE 32
#define ROUND_MS 12000
#define CLOSE_MS 5000

static void __attribute__((noreturn)) die(const char *what)
{
	fprintf(stderr, "sctp_peer: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void __attribute__((noreturn)) usage(void)
{
	fprintf(stderr, "usage: sctp_peer server --port PORT... --name NAME |\n"
			"       sctp_peer client --from ADDR:PORT --to ADDR:PORT --count N\n");
	exit(2);
}

static bool tell(struct socket *s, const char *text)
{
	struct sctp_sndinfo info = {0};

	return usrsctp_sendv(s, text, strlen(text), NULL, 0, &info, sizeof(info), SCTP_SENDV_SNDINFO, 0) > 0;
}

/* 1: a message, 0: none yet, -1: there will be none. */
static int hear(struct socket *s, char text[NAME_BYTES])
{
	struct sockaddr_conn from;
	struct sctp_rcvinfo info;
	socklen_t from_len = sizeof(from), info_len = sizeof(info);
	unsigned int type;
	int flags = 0;
	ssize_t nr = usrsctp_recvv(s, text, NAME_BYTES - 1, (struct sockaddr *)&from, &from_len, &info, &info_len,
				   &type, &flags);

	if (nr < 0 && errno == EWOULDBLOCK)
		return 0;
	text[nr > 0 ? nr : 0] = '\0';
	return nr > 0 ? 1 : -1;
}

/* ---- server ---- */
static const char *name = "server";

static void answer(struct wire_watch *watch)
{
	char text[NAME_BYTES];
	int heard;

	while ((heard = hear(watch->socket, text)) > 0 && tell(watch->socket, name))
		;
	if (!heard)
		return;
	wire_close(watch);
	free(watch);
}

static void accept_all(struct wire_watch *listener)
{
	struct socket *socket;

	while ((socket = usrsctp_accept(listener->socket, NULL, NULL))) {
		struct wire_watch *watch = calloc(1, sizeof(*watch));

		if (!watch)
			die("memory");
		watch->ready = answer;
		wire_take(watch, socket);
	}
}

static void __attribute__((noreturn)) serve(const uint16_t *ports, int nr)
{
	struct wire_watch listeners[PORTS_MAX] = {0};

	wire_open(0, UINT16_MAX);
	for (int i = 0; i < nr; i++) {
		listeners[i].ready = accept_all;
		wire_socket(&listeners[i], NULL, NULL, htons(ports[i]));
		if (usrsctp_listen(listeners[i].socket, BACKLOG))
			die("listen");
	}
	printf("ready\n");
	fflush(stdout);
	for (;;)
		wire_step(-1);
}

/* ---- client ---- */
struct association {
	struct wire_watch watch; /* first; its socket NULL: the association has failed or ended */
	bool is_open, is_asked, is_answered;
	char server[NAME_BYTES]; /* that answered the first time */
	char heard[NAME_BYTES];
};

static struct {
	struct lb_endpoint from, to;
	struct association *all;
	int nr;
} client;

static void give_up(struct association *a)
{
	const struct linger at_once = {.l_onoff = 1};

	usrsctp_setsockopt(a->watch.socket, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	wire_close(&a->watch);
}

static void ask(struct association *a)
{
	if (!tell(a->watch.socket, "hello"))
		give_up(a);
}

/* It is open, has an answer, or has failed. */
static void progress(struct wire_watch *watch)
{
	struct association *a = (struct association *)watch;
	const int events = usrsctp_get_events(watch->socket);

	if (events & SCTP_EVENT_ERROR) {
		give_up(a);
		return;
	}
	if (!a->is_open) {
		if (!(events & SCTP_EVENT_WRITE))
			return;
		a->is_open = true;
		ask(a);
		return;
	}
	switch (hear(watch->socket, a->heard)) {
	case 1:
		a->is_answered = true;
		break;
	case -1:
		give_up(a);
		break;
	}
}

static void start(struct association *a, int number)
{
	const uint16_t port = htons((uint16_t)(ntohs(client.from.port) + number));

	a->watch.ready = progress;
	wire_socket(&a->watch, client.from.addr, client.to.addr, port);
	if (wire_connect(&a->watch, client.from.addr, client.to.addr, client.to.port))
		give_up(a);
}

static bool is_waiting(const struct association *a)
{
	return a->watch.socket && a->is_asked && !a->is_answered;
}

/* A message in each association, a few at a time. */
static void exchange(bool is_first)
{
	const int64_t end = wire_now_ms() + ROUND_MS;
	int next = 0, waiting;

	for (int i = 0; i < client.nr; i++)
		client.all[i].is_asked = client.all[i].is_answered = false;
	do {
		waiting = 0;
		for (int i = 0; i < next; i++)
			waiting += is_waiting(&client.all[i]);
		for (; next < client.nr && waiting < AT_ONCE; next++) {
			struct association *a = &client.all[next];

			a->is_asked = true;
			if (is_first)
				start(a, next);
			else if (a->watch.socket)
				ask(a);
			waiting += is_waiting(a);
		}
		if (waiting)
			wire_step(-1);
	} while ((waiting || next < client.nr) && wire_now_ms() < end);
	for (int i = 0; i < client.nr; i++) {
		if (client.all[i].watch.socket && !client.all[i].is_answered)
			give_up(&client.all[i]);
	}
}

static void count_server(char servers[SERVERS_MAX][NAME_BYTES], int counts[SERVERS_MAX], const char *server)
{
	int i = 0;

	while (i < SERVERS_MAX - 1 && servers[i][0] && strcmp(servers[i], server))
		i++;
	snprintf(servers[i], NAME_BYTES, "%s", server);
	counts[i]++;
}

static void report(void)
{
	char servers[SERVERS_MAX][NAME_BYTES] = {{0}};
	int alive = 0, moved = 0, counts[SERVERS_MAX] = {0};

	for (int i = 0; i < client.nr; i++) {
		struct association *a = &client.all[i];

		if (!a->is_answered)
			continue;
		alive++;
		moved += a->server[0] && strcmp(a->server, a->heard);
		memcpy(a->server, a->heard, sizeof(a->server));
		count_server(servers, counts, a->heard);
	}
	printf("alive=%d moved=%d", alive, moved);
	for (int i = 0; i < SERVERS_MAX && servers[i][0]; i++)
		printf(" %s=%d", servers[i], counts[i]);
	printf("\n");
	fflush(stdout);
}

/* In order by SHUTDOWN and its answers, or with ABORT. */
static void close_all(bool at_once)
{
	for (int i = 0; i < client.nr; i++) {
		struct association *a = &client.all[i];

		a->is_answered = false;
		if (!a->watch.socket)
			continue;
		if (at_once)
			give_up(a);
		else
			wire_close(&a->watch);
	}
}

static void talk(void)
{
	char line[32];

	/* what poll says of the input is then all there is to be read */
	setvbuf(stdin, NULL, _IONBF, 0);
	client.all = calloc((size_t)client.nr, sizeof(*client.all));
	if (!client.all)
		die("memory");
	wire_open(ntohs(client.from.port), (uint16_t)(ntohs(client.from.port) + client.nr - 1));
	exchange(true);
	for (;;) {
		report();
		while (!wire_step(0))
			;
		if (!fgets(line, sizeof(line), stdin))
			break;
		if (!strcmp(line, "ping\n"))
			exchange(false);
		else
			close_all(!strcmp(line, "abort\n"));
	}
	close_all(false);
	wire_finish(CLOSE_MS);
	free(client.all);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"port", 1, NULL, 'p'}, {"from", 1, NULL, 'f'},	 {"to", 1, NULL, 't'},
						{"name", 1, NULL, 'n'}, {"count", 1, NULL, 'c'}, {0}};
	uint16_t ports[PORTS_MAX];
	struct lb_err err = {0};
	int c, nr_ports = 0;

	client.nr = 1;
	while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		if (c == 'n')
			name = optarg;
		else if (c == 'c')
			client.nr = atoi(optarg);
		else if (c == 'p' && nr_ports < PORTS_MAX)
			ports[nr_ports++] = (uint16_t)atoi(optarg);
		else if (c != 'f' && c != 't')
			usage();
		else if (lb_endpoint_parse(optarg, c == 'f' ? &client.from : &client.to, &err)) {
			fprintf(stderr, "sctp_peer: %s\n", lb_err_str(&err));
			return 2;
		}
	}
	if (optind + 1 != argc)
		usage();
	if (!strcmp(argv[optind], "server") && nr_ports)
		serve(ports, nr_ports);
	if (strcmp(argv[optind], "client") || !client.from.port || !client.to.port || client.nr < 1 ||
	    ntohs(client.from.port) + client.nr > UINT16_MAX + 1)
		usage();
	talk();
	return 0;
}
