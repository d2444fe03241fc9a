// SPDX-License-Identifier: GPL-2.0-or-later
/* Sockets of probes: where they are made, how many there may be, and what their errors say. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "probe_kinds.h"

#define RESERVE 256 /* descriptors for the API, the state and libraries; of few, a quarter */
#define SEGMENT_BYTES 1160 /* 1280 without IPv6 and TCP headers, and as much for tunnels */
#define TROUBLE_NS (10 * LB_NSEC_PER_SEC)

enum lb_reason lb_probe_errno(int error)
{
	switch (error) {
	case 0:
		return LB_REASON_OK;
	case ECONNREFUSED:
		return LB_REASON_REFUSED;
	case ECONNRESET:
	case ECONNABORTED:
	case EPIPE:
		return LB_REASON_RESET;
	case ETIMEDOUT:
		return LB_REASON_TIMEOUT;
	case EHOSTUNREACH:
	case ENETUNREACH:
	case EHOSTDOWN:
	case ENETDOWN:
	case ENOPROTOOPT:   /* an ICMP error: the protocol is not there */
	case EADDRNOTAVAIL: /* no address to connect from */
	case EACCES:	    /* a prohibit route or a local firewall */
	case EPERM:
	case EINVAL: /* a blackhole route; a link-local address without its link */
		return LB_REASON_UNREACHABLE;
	default:
		return LB_REASON_INTERNAL;
	}
}

void lb_probe_trouble(uint64_t *last_ns, const char *what, const char *subject, int error)
{
	uint64_t now_ns = lb_now_ns();

	if (*last_ns && now_ns - *last_ns < TROUBLE_NS)
		return;
	*last_ns = now_ns;
	lb_log(LB_LOG_ERROR, "msg=\"%s\" %s error=%s", what, subject, lb_quoted(strerror(error)));
}

static int most_descriptors(void)
{
	static rlim_t most;
	struct rlimit limit;

	if (!most && !getrlimit(RLIMIT_NOFILE, &limit))
		most = limit.rlim_cur - (limit.rlim_cur / 4 < RESERVE ? limit.rlim_cur / 4 : RESERVE);
	return most && most < INT32_MAX ? (int)most : INT32_MAX;
}

static void out_of_descriptors(int error)
{
	static uint64_t last_ns;
	char subject[32];

	snprintf(subject, sizeof(subject), "limit=%d", most_descriptors());
	lb_probe_trouble(&last_ns, "no descriptors are left for health checks: raise LimitNOFILE, or check less often",
			 subject, error);
}

int lb_probe_descriptor(int fd)
{
	/* The lowest that is free is given out: its number tells how many there are. */
	if (fd < most_descriptors())
		return fd;
	close(fd);
	out_of_descriptors(EMFILE);
	return -EMFILE;
}

/* Its packets become larger on their way: segments are to fit where the smallest MTU is that IPv6 allows. */
static int set_mark(int fd, int type, uint32_t mark)
{
	static uint64_t last_ns;
	int error, segment = SEGMENT_BYTES;

	if (setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark))) {
		error = errno;
		lb_probe_trouble(&last_ns, "checks by way of a VIP need CAP_NET_ADMIN", "check=vip", error);
		return -EMFILE; /* says nothing about the backend */
	}
	if (type == SOCK_STREAM && setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof(segment)))
		return -EMFILE;
	return 0;
}

static int new_socket(int family, int type, int protocol)
{
	int fd = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
	int error = errno;

	if (fd >= 0)
		return lb_probe_descriptor(fd);
	if (error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM)
		out_of_descriptors(error);
	return -error;
}

int lb_probe_socket(int family, int type, int protocol, uint32_t mark)
{
	int fd = new_socket(family, type, protocol);
	int ret = fd >= 0 && mark ? set_mark(fd, type, mark) : 0;

	if (!ret)
		return fd;
	close(fd);
	return ret;
}

int lb_probe_connect(const struct lb_endpoint *to, int type, int protocol, uint32_t mark)
{
	struct sockaddr_in6 sin6 = {.sin6_family = AF_INET6, .sin6_port = to->port};
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = to->port};
	bool v4 = lb_addr_is_v4(to->addr);
	struct sockaddr *sa = v4 ? (struct sockaddr *)&sin : (struct sockaddr *)&sin6;
	int fd, ret;

	memcpy(&sin.sin_addr, to->addr + 12, 4);
	memcpy(&sin6.sin6_addr, to->addr, 16);
	fd = lb_probe_socket(sa->sa_family, type, protocol, mark);
	if (fd < 0)
		return fd;
	if (connect(fd, sa, v4 ? sizeof(sin) : sizeof(sin6)) && errno != EINPROGRESS) {
		ret = -errno;
		close(fd);
		return ret;
	}
	return fd;
}
