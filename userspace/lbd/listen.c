// SPDX-License-Identifier: GPL-2.0-or-later
/* Listening sockets: the API's on a Unix path, the metrics' on TCP. */
#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <libgen.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "http.h"
#include "log.h"

#define BACKLOG 1024 /* who connects while lbd is busy; of a Unix socket, more are refused at once */
#define SOCKET_GROUP "lbd"
#define SEND_BYTES (256 << 10) /* what one send() may take: the kernel's megabytes are milliseconds of copying */

/* Removes what a dead lbd left at @sun's path. */
static int clear_path(const struct sockaddr_un *sun, struct lb_err *err)
{
	const char *path = sun->sun_path;
	struct stat st;
	int fd, ret;

	if (lstat(path, &st))
		return errno == ENOENT ? 0 : lb_err_set(err, -errno, path, "%s", strerror(errno));
	if (!S_ISSOCK(st.st_mode))
		return lb_err_set(err, -EEXIST, path, "is there and is not a socket; remove it or give --socket");
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return lb_err_set(err, -errno, path, "%s", strerror(errno));
	ret = connect(fd, (const struct sockaddr *)sun, sizeof(*sun)) ? -errno : 0;
	close(fd);
	if (ret == -ECONNREFUSED || ret == -ENOENT) {
		if (unlink(path) && errno != ENOENT)
			return lb_err_set(err, -errno, path, "cannot remove a stale socket: %s", strerror(errno));
		return 0;
	}
	if (!ret || ret == -EAGAIN)
		return lb_err_set(err, -EADDRINUSE, path, "another lbd listens here; stop it or give --socket");
	return lb_err_set(err, ret, path, "%s", strerror(-ret));
}

static int make_parent(const char *path, struct lb_err *err)
{
	char copy[sizeof(((struct sockaddr_un *)0)->sun_path)], *dir;

	snprintf(copy, sizeof(copy), "%s", path);
	dir = dirname(copy);
	if (mkdir(dir, 0755) && errno != EEXIST)
		return lb_err_set(err, -errno, path, "cannot make the socket's folder: %s", strerror(errno));
	return 0;
}

int lb_listen_unix(const char *path, struct lb_err *err)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	struct group *group = getgrnam(SOCKET_GROUP);
	mode_t mask;
	int fd, ret;

	if (strlen(path) >= sizeof(sun.sun_path))
		return lb_err_set(err, -ENAMETOOLONG, path, "longer than the %zu characters a socket's path may have",
				  sizeof(sun.sun_path) - 1);
	strcpy(sun.sun_path, path);
	ret = make_parent(path, err);
	if (!ret)
		ret = clear_path(&sun, err);
	if (ret)
		return ret;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return lb_err_set(err, -errno, path, "%s", strerror(errno));
	mask = umask(0117); /* 0660 from its first moment on */
	ret = bind(fd, (struct sockaddr *)&sun, sizeof(sun)) ? -errno : 0;
	umask(mask);
	if (!ret && listen(fd, BACKLOG))
		ret = -errno;
	if (ret) {
		close(fd);
		return lb_err_set(err, ret, path, "cannot listen: %s", strerror(-ret));
	}
	if (group && chown(path, -1, group->gr_gid))
		lb_log(LB_LOG_WARN, "msg=\"cannot give the socket to its group\" socket=%s group=%s error=%s", path,
		       SOCKET_GROUP, lb_quoted(strerror(errno)));
	return fd;
}

int lb_listen_tcp(const struct lb_endpoint *at, struct lb_err *err)
{
	struct sockaddr_in6 sin6 = {.sin6_family = AF_INET6, .sin6_port = at->port};
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = at->port};
	bool v4 = lb_addr_is_v4(at->addr);
	struct sockaddr *sa = v4 ? (struct sockaddr *)&sin : (struct sockaddr *)&sin6;
	char text[LB_ADDR_STRLEN];
	int fd, ret, one = 1, room = SEND_BYTES;

	memcpy(&sin.sin_addr, at->addr + 12, 4);
	memcpy(&sin6.sin6_addr, at->addr, 16);
	lb_endpoint_format(at, text);
	fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return lb_err_set(err, -errno, text, "%s", strerror(errno));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	/* An address that is not there yet (a namespace whose lo is down) is no reason not to balance. */
	setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &one, sizeof(one));
	if (!v4)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (bind(fd, sa, v4 ? sizeof(sin) : sizeof(sin6)) || listen(fd, BACKLOG)) {
		ret = -errno;
		close(fd);
		return lb_err_set(err, ret, text, "cannot listen for metrics: %s; give --metrics ADDR:PORT",
				  strerror(-ret));
	}
	return fd;
}
