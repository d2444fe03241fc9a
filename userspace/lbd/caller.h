/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who is at the other end of a connection to the API's socket, as the kernel has it: for the log, events and status, so
 * that each change has somebody who made it. Filled by http.c; what it says is told by control_change.c, events.c and
 * render.c.
 */
#ifndef LB_CALLER_H
#define LB_CALLER_H

#include <stdbool.h>
#include <stdint.h>

#define LB_CALLER_NO_LOGIN UINT32_MAX
#define LB_CALLER_STRLEN 64

struct lb_caller {
	bool known;
	uint32_t uid;	/* when it connected */
	uint32_t login; /* whose session it is of, which sudo and su do not change; or LB_CALLER_NO_LOGIN */
	int32_t pid;	/* 0: it is not of a PID namespace that can be seen from here */
};

/* lb_caller_of - whose connection @fd is; not .known of what is no Unix socket. Reads a file of /proc, which a peer
 * that has ended meanwhile no longer has: then there is no login. */
struct lb_caller lb_caller_of(int fd);

/* lb_caller_log - " uid=0 login_uid=1000 pid=4242", as it stands in a line of the log behind something else; "" where
 * it is not known. Returns @buf. */
const char *lb_caller_log(const struct lb_caller *caller, char buf[LB_CALLER_STRLEN]);

#endif
