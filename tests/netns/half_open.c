// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Opens many connections to a Unix socket, sends half a request on each, says "ready", and waits until the other side
 * has closed them all: half_open SOCKET CONNECTIONS SECONDS [nothing|drip]. With "nothing" it sends nothing at all; with
 * "drip" a byte more on each connection every 100 ms, so that none is ever idle. Exit status 1 when some are open after
 * SECONDS.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static const char half[] = "PUT /v1/config HTTP/1.1\r\nHost: lbd\r\nContent-Length: 99\r\n\r\nservices:";

static long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int open_half(const char *path, size_t bytes)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&sun, sizeof(sun)))
		return -1;
	/* Some have been cut off by now to make room, which is as it should be. */
	send(fd, half, bytes, MSG_NOSIGNAL);
	return fd;
}

/* Closes those that the other side has closed; returns how many are left. */
static int reap(struct pollfd *fds, int nr)
{
	char buf[512];
	int left = 0;

	for (int i = 0; i < nr; i++) {
		if (fds[i].revents && read(fds[i].fd, buf, sizeof(buf)) <= 0) {
			close(fds[i].fd);
			continue;
		}
		fds[left++] = fds[i];
	}
	return left;
}

/* One byte more, of a header that never ends. */
static void drip(const struct pollfd *fds, int nr)
{
	for (int i = 0; i < nr; i++)
		send(fds[i].fd, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

int main(int argc, char **argv)
{
	const char *mode = argc == 5 ? argv[4] : "";
	int nr = argc == 4 || !strcmp(mode, "nothing") || !strcmp(mode, "drip") ? atoi(argv[2]) : 0, left;
	size_t bytes = !strcmp(mode, "nothing") ? 0 : *mode ? strcspn(half, "\r") + 2 : sizeof(half) - 1;
	struct pollfd *fds = calloc((size_t)nr + 1, sizeof(*fds));
	struct rlimit limit;
	long end;

	if (nr <= 0 || !fds) {
		fprintf(stderr, "usage: half_open SOCKET CONNECTIONS SECONDS [nothing|drip]\n");
		return 2;
	}
	if (!getrlimit(RLIMIT_NOFILE, &limit)) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	for (int i = 0; i < nr; i++) {
		fds[i] = (struct pollfd){.fd = open_half(argv[1], bytes), .events = POLLIN};
		if (fds[i].fd < 0) {
			perror("half_open");
			return 1;
		}
	}
	puts("ready");
	fflush(stdout);
	end = now_ms() + 1000L * atoi(argv[3]);
	for (left = nr; left && now_ms() < end; left = reap(fds, left)) {
		poll(fds, (nfds_t)left, *mode == 'd' ? 100 : (int)(end - now_ms()));
		if (*mode == 'd')
			drip(fds, left);
	}
	printf("open %d\n", left);
	return left != 0;
}
