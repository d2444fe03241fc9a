// SPDX-License-Identifier: GPL-2.0-or-later
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "traffic.h"

struct peer {
	int fd;
	enum { LISTENER, STREAM, DATAGRAM } kind;
};

static struct peer *new_peer(int fd, int kind)
{
	struct peer *p = malloc(sizeof(*p));

	if (!p)
		die("malloc");
	p->fd = fd;
	p->kind = kind;
	watch(fd, p, EPOLLIN, EPOLL_CTL_ADD);
	return p;
}

static void serve_stream(struct peer *p)
{
	char in[16384], out[64];
	ssize_t n = read(p->fd, in, sizeof(in));
	bool end = n <= 0;

	if (n < 0 && errno == EAGAIN)
		return;
	for (ssize_t i = 0; i < n; i++) {
		int len;

		if (in[i] != '\n')
			continue;
		len = snprintf(out, sizeof(out), "%s\n", opt.name);
		if (write(p->fd, out, (size_t)len) != len)
			end = true;
		if (i && in[i - 1] == '!')
			end = true;
	}
	if (end) {
		close(p->fd);
		free(p);
	}
}

/* Answers from the address that was asked, which is the VIP and not what routing would choose. A question of more than
 * one packet gets as long an answer. */
static void serve_datagram(struct peer *p)
{
	char data[65536], control[256];
	ssize_t asked, len;
	struct sockaddr_storage from;
	struct iovec iov = {.iov_base = data, .iov_len = sizeof(data)};
	struct msghdr msg = {.msg_name = &from,
			     .msg_namelen = sizeof(from),
			     .msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};

	asked = recvmsg(p->fd, &msg, 0);
	if (asked < 0)
		return;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c))
		if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO)
			((struct in6_pktinfo *)CMSG_DATA(c))->ipi6_ifindex = 0;
	len = snprintf(data, 64, "%s\n", opt.name);
	iov.iov_len = (size_t)(asked > 1500 ? asked : len);
	sendmsg(p->fd, &msg, 0);
}

static void serve_listen(unsigned int port)
{
	struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
	int tcp = open_socket(AF_INET6, SOCK_STREAM), udp = open_socket(AF_INET6, SOCK_DGRAM), one = 1;

	setsockopt(udp, IPPROTO_IPV6, IPV6_RECVPKTINFO, &one, sizeof(one));
	if (bind(tcp, (struct sockaddr *)&any, sizeof(any)) || listen(tcp, 4096) ||
	    bind(udp, (struct sockaddr *)&any, sizeof(any)))
		die("bind");
	new_peer(tcp, LISTENER);
	new_peer(udp, DATAGRAM);
}

int serve(void)
{
	struct epoll_event ev[64];
	int n, fd;

	for (unsigned int i = 0; i < opt.nr_ports; i++)
		serve_listen(opt.ports[i]);
	puts("ready");
	fflush(stdout);
	while ((n = epoll_wait(net_epoll(), ev, 64, -1)) >= 0 || errno == EINTR) {
		for (int i = 0; i < n; i++) {
			struct peer *p = ev[i].data.ptr;

			if (p->kind == STREAM)
				serve_stream(p);
			else if (p->kind == DATAGRAM)
				serve_datagram(p);
			else
				while ((fd = accept4(p->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
					new_peer(fd, STREAM);
		}
	}
	die("epoll_wait");
}
