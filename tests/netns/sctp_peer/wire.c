// SPDX-License-Identifier: GPL-2.0-or-later
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/ip.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "addr.h"
#include "wire.h"

#define TICK_MS 10		   /* of the library's timers */
#define STEP_MOST_MS 100	   /* see run_timers */
#define BUFFER_BYTES (4 * 1000000) /* more than all associations of a test have on the way */
#define BATCH 64

/* What the library takes for the address of both ends: it knows one "address" a connection, and ports. */
struct path {
	uint8_t local[16], remote[16];
	struct path *next;
};

static struct path *paths;
static struct wire_watch *queue, **queue_end = &queue;
static int raw4 = -1, raw6 = -1;
static uint16_t ports_first, ports_last;
static int64_t timers_ms;

static void __attribute__((noreturn)) die(const char *what)
{
	fprintf(stderr, "sctp_peer: %s: %s\n", what, strerror(errno));
	exit(1);
}

int64_t wire_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static struct path *path_of(const uint8_t local[16], const uint8_t remote[16])
{
	struct path *path = paths;

	while (path && (memcmp(path->local, local, 16) || memcmp(path->remote, remote, 16)))
		path = path->next;
	if (path)
		return path;
	path = calloc(1, sizeof(*path));
	if (!path)
		die("memory");
	memcpy(path->local, local, 16);
	memcpy(path->remote, remote, 16);
	path->next = paths;
	paths = path;
	usrsctp_register_address(path);
	return path;
}

/* ---- packets ---- */
static int raw_open(int family)
{
	const int on = 1, bytes = BUFFER_BYTES;
	int fd = socket(family, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_SCTP);

	if (fd < 0)
		die("raw socket");
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) ||
	    (family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on))))
		die("raw socket's options");
	return fd;
}

union control {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo))];
};

/* The library's way out. The sources are those that the path says, which may lie on another interface. */
static int send_packet(void *addr, void *packet, size_t len, uint8_t tos, uint8_t set_df)
{
	const struct path *path = addr;
	const bool v4 = lb_addr_is_v4(path->local);
	struct sockaddr_in6 to6 = {.sin6_family = AF_INET6};
	struct sockaddr_in to4 = {.sin_family = AF_INET};
	struct iovec data = {.iov_base = packet, .iov_len = len};
	union control control = {0};
	struct msghdr msg = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = &control};
	struct cmsghdr *c = &control.header;

	(void)tos;
	(void)set_df;
	if (v4) {
		struct in_pktinfo info = {0};

		memcpy(&to4.sin_addr, path->remote + 12, 4);
		memcpy(&info.ipi_spec_dst, path->local + 12, 4);
		*c = (struct cmsghdr){CMSG_LEN(sizeof(info)), IPPROTO_IP, IP_PKTINFO};
		memcpy(CMSG_DATA(c), &info, sizeof(info));
		msg.msg_controllen = CMSG_SPACE(sizeof(info));
		msg.msg_name = &to4;
		msg.msg_namelen = sizeof(to4);
	} else {
		struct in6_pktinfo info = {0};

		memcpy(&to6.sin6_addr, path->remote, 16);
		memcpy(&info.ipi6_addr, path->local, 16);
		*c = (struct cmsghdr){CMSG_LEN(sizeof(info)), IPPROTO_IPV6, IPV6_PKTINFO};
		memcpy(CMSG_DATA(c), &info, sizeof(info));
		msg.msg_controllen = CMSG_SPACE(sizeof(info));
		msg.msg_name = &to6;
		msg.msg_namelen = sizeof(to6);
	}
	return sendmsg(v4 ? raw4 : raw6, &msg, 0) < 0 ? errno : 0;
}

static void take_packet(const uint8_t local[16], const uint8_t remote[16], const uint8_t *packet, size_t len)
{
	uint16_t port;

	if (len < sizeof(struct sctp_common_header))
		return;
	memcpy(&port, packet + offsetof(struct sctp_common_header, destination_port), sizeof(port));
	if (ntohs(port) >= ports_first && ntohs(port) <= ports_last)
		usrsctp_conninput(path_of(local, remote), packet, len, 0);
}

static void map_v4(uint8_t addr[16], const void *v4)
{
	memset(addr, 0, 10);
	memset(addr + 10, 0xff, 2);
	memcpy(addr + 12, v4, 4);
}

/* With its IP header; false: there is none. */
static bool receive4(void)
{
	uint8_t packet[2048], local[16], remote[16];
	const ssize_t len = recv(raw4, packet, sizeof(packet), 0);
	struct iphdr ip;
	size_t header;

	if (len < (ssize_t)sizeof(ip))
		return len >= 0;
	memcpy(&ip, packet, sizeof(ip));
	header = ip.ihl * 4u;
	if (header > (size_t)len)
		return true;
	map_v4(local, &ip.daddr);
	map_v4(remote, &ip.saddr);
	take_packet(local, remote, packet + header, (size_t)len - header);
	return true;
}

/* Without its header; the destination is beside it. */
static bool receive6(void)
{
	uint8_t packet[2048];
	struct sockaddr_in6 from = {0};
	struct iovec data = {.iov_base = packet, .iov_len = sizeof(packet)};
	union control control;
	struct msghdr msg = {.msg_name = &from,
			     .msg_namelen = sizeof(from),
			     .msg_iov = &data,
			     .msg_iovlen = 1,
			     .msg_control = &control,
			     .msg_controllen = sizeof(control)};
	const ssize_t len = recvmsg(raw6, &msg, 0);
	const struct cmsghdr *c;
	struct in6_pktinfo info;

	if (len < 0)
		return false;
	c = CMSG_FIRSTHDR(&msg);
	if (!c || c->cmsg_level != IPPROTO_IPV6 || c->cmsg_type != IPV6_PKTINFO)
		return true;
	memcpy(&info, CMSG_DATA(c), sizeof(info));
	take_packet(info.ipi6_addr.s6_addr, from.sin6_addr.s6_addr, packet, (size_t)len);
	return true;
}

/* ---- sockets ---- */
static void note_ready(struct socket *socket, void *ctx, int flags)
{
	struct wire_watch *watch = ctx;

	(void)socket;
	(void)flags;
	if (watch->is_queued)
		return;
	watch->is_queued = true;
	watch->next = NULL;
	*queue_end = watch;
	queue_end = &watch->next;
}

static void run_ready(void)
{
	struct wire_watch *watch;

	while ((watch = queue)) {
		queue = watch->next;
		if (!queue)
			queue_end = &queue;
		watch->is_queued = false;
		watch->ready(watch);
	}
}

static struct sockaddr_conn address_of(const uint8_t *local, const uint8_t *remote, uint16_t port)
{
	return (struct sockaddr_conn){
		.sconn_family = AF_CONN, .sconn_port = port, .sconn_addr = local ? path_of(local, remote) : NULL};
}

void wire_take(struct wire_watch *watch, struct socket *socket)
{
	watch->socket = socket;
	if (usrsctp_set_non_blocking(socket, 1) || usrsctp_set_upcall(socket, note_ready, watch))
		die("socket");
	/* something may have come with what opened it */
	note_ready(socket, watch, 0);
}

void wire_socket(struct wire_watch *watch, const uint8_t *local, const uint8_t *remote, uint16_t port)
{
	struct sockaddr_conn at = address_of(local, remote, port);
	struct socket *s = usrsctp_socket(AF_CONN, SOCK_STREAM, IPPROTO_SCTP, NULL, NULL, 0, NULL);

	if (!s)
		die("socket");
	wire_take(watch, s);
	if (usrsctp_bind(s, (struct sockaddr *)&at, sizeof(at)))
		die("bind");
}

int wire_connect(struct wire_watch *watch, const uint8_t *local, const uint8_t *remote, uint16_t port)
{
	struct sockaddr_conn to = address_of(local, remote, port);

	return usrsctp_connect(watch->socket, (struct sockaddr *)&to, sizeof(to)) && errno != EINPROGRESS ? -1 : 0;
}

void wire_close(struct wire_watch *watch)
{
	struct wire_watch **at = &queue;

	usrsctp_set_upcall(watch->socket, NULL, NULL);
	usrsctp_close(watch->socket);
	watch->socket = NULL;
	while (*at && *at != watch)
		at = &(*at)->next;
	if (!*at)
		return;
	*at = watch->next;
	if (queue_end == &watch->next)
		queue_end = at;
	watch->is_queued = false;
}

/* ---- time ---- */
/* A process that got no CPU has not waited for its peer all the while: what has come since is looked at first, and then
 * no more than a little time has gone by. */
static void run_timers(void)
{
	const int64_t now = wire_now_ms();
	int64_t elapsed = now - timers_ms;

	if (elapsed < TICK_MS)
		return;
	timers_ms = now;
	usrsctp_handle_timers((uint32_t)(elapsed > STEP_MOST_MS ? STEP_MOST_MS : elapsed));
}

bool wire_step(int fd)
{
	struct pollfd fds[] = {
		{.fd = raw4, .events = POLLIN}, {.fd = raw6, .events = POLLIN}, {.fd = fd, .events = POLLIN}};

	run_ready();
	if (poll(fds, 3, TICK_MS) < 0 && errno != EINTR)
		die("poll");
	for (int i = 0; i < BATCH && receive4(); i++)
		run_ready();
	for (int i = 0; i < BATCH && receive6(); i++)
		run_ready();
	run_timers();
	run_ready();
	return fds[2].revents != 0;
}

void wire_open(uint16_t first_port, uint16_t last_port)
{
	ports_first = first_port;
	ports_last = last_port;
	raw4 = raw_open(AF_INET);
	raw6 = raw_open(AF_INET6);
	usrsctp_init_nothreads(0, send_packet, NULL);
	timers_ms = wire_now_ms();
}

void wire_finish(int limit_ms)
{
	const int64_t end = wire_now_ms() + limit_ms;

	while (usrsctp_finish() && wire_now_ms() < end)
		wire_step(-1);
}
