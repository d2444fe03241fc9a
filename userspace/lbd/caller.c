// SPDX-License-Identifier: GPL-2.0-or-later
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "caller.h"

/* What pam_loginuid(8) wrote when the session began; -1 of what belongs to nobody's, such as a service. */
static uint32_t login_of(pid_t pid)
{
	char path[48], text[16];
	ssize_t len;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/loginuid", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return LB_CALLER_NO_LOGIN;
	len = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (len <= 0)
		return LB_CALLER_NO_LOGIN;
	text[len] = '\0';
	return (uint32_t)strtoul(text, NULL, 10);
}

struct lb_caller lb_caller_of(int fd)
{
	struct lb_caller caller = {.login = LB_CALLER_NO_LOGIN};
	struct ucred cred;
	socklen_t len = sizeof(cred);

	/* Of another socket than a Unix one there is neither. */
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) || cred.uid == (uid_t)-1)
		return caller;
	caller.known = true;
	caller.uid = cred.uid;
	caller.pid = cred.pid;
	if (cred.pid > 0)
		caller.login = login_of(cred.pid);
	return caller;
}

const char *lb_caller_log(const struct lb_caller *caller, char buf[LB_CALLER_STRLEN])
{
	int len = 0;

	buf[0] = '\0';
	if (!caller->known)
		return buf;
	len = snprintf(buf, LB_CALLER_STRLEN, " uid=%u", caller->uid);
	if (caller->login != LB_CALLER_NO_LOGIN)
		len += snprintf(buf + len, LB_CALLER_STRLEN - len, " login_uid=%u", caller->login);
	if (caller->pid)
		snprintf(buf + len, LB_CALLER_STRLEN - len, " pid=%d", caller->pid);
	return buf;
}
