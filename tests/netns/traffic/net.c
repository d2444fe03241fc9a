// SPDX-License-Identifier: GPL-2.0-or-later
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#include "traffic.h"

uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

void __attribute__((noreturn)) die(const char *what)
{
	fprintf(stderr, "traffic: %s: %s\n", what, strerror(errno));
	exit(1);
}

int net_epoll(void)
{
	static int fd = -1;

	if (fd < 0)
		fd = epoll_create1(EPOLL_CLOEXEC);
	if (fd < 0)
		die("epoll");
	return fd;
}

void watch(int fd, void *ptr, uint32_t events, int op)
{
	struct epoll_event ev = {.events = events, .data.ptr = ptr};

	if (epoll_ctl(net_epoll(), op, fd, &ev))
		die("epoll_ctl");
}

int open_socket(int family, int type)
{
	int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;

	if (fd < 0)
		die("socket");
	/* two of UDP could be given the same port, and one of them the other's answers */
	if (type == SOCK_STREAM)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	return fd;
}

void set_port(struct sockaddr_storage *sa, unsigned int port)
{
	((struct sockaddr_in *)sa)->sin_port = htons((uint16_t)port); /* the same place in sockaddr_in6 */
}

socklen_t sa_len(const struct sockaddr_storage *sa)
{
	return sa->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

void parse_addr(const char *text, struct sockaddr_storage *sa)
{
	char host[64];
	const char *port = strrchr(text, ':');
	size_t len = strlen(text);

	if (text[0] == '[') {
		const char *end = strchr(text, ']');

		len = end ? (size_t)(end - text) - 1 : 0;
		port = end && end[1] == ':' ? end + 1 : NULL;
		text++;
	} else if (port && strchr(text, ':') == port) {
		len = (size_t)(port - text);
	} else {
		port = NULL;
	}
	snprintf(host, sizeof(host), "%.*s", (int)len, text);
	memset(sa, 0, sizeof(*sa));
	if (inet_pton(AF_INET, host, &((struct sockaddr_in *)sa)->sin_addr) == 1) {
		sa->ss_family = AF_INET;
	} else if (inet_pton(AF_INET6, host, &((struct sockaddr_in6 *)sa)->sin6_addr) == 1) {
		sa->ss_family = AF_INET6;
	} else {
		fprintf(stderr, "traffic: '%s' is not an address\n", text);
		exit(2);
	}
	if (port)
		set_port(sa, (unsigned int)atoi(port + 1));
}
