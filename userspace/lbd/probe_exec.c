// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The exec check: a program in a process group of its own, whose end is awaited with a pidfd. Whatever the outcome, no
 * process of the group outlives the check.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "probe_kinds.h"

#define PROGRAMS_MAX 256 /* at a time */

struct child {
	struct lb_probe probe;
	struct lb_probe_request req;
	struct lb_probe_exec *owner;
	struct child *next, **link;
	struct event *exited, *timer;
	int pidfd;
	pid_t pid;
	bool given_up; /* killed; nobody waits for what comes of it */
};

struct lb_probe_exec {
	struct event_base *base;
	struct child *children;
	size_t nr;
};

static void child_free(struct child *c)
{
	if (c->link) {
		*c->link = c->next;
		if (c->next)
			c->next->link = c->link;
		c->owner->nr--;
	}
	if (c->exited)
		event_free(c->exited);
	if (c->timer)
		event_free(c->timer);
	if (c->pidfd >= 0)
		close(c->pidfd);
	free(c);
}

/* As long as the leader has not been waited for, nobody else can have the group's number. */
static void kill_group(const struct child *c)
{
	kill(-c->pid, SIGKILL);
}

static void give_up(struct child *c)
{
	kill_group(c);
	evtimer_del(c->timer);
	c->given_up = true;
}

static void child_cancel(struct lb_probe *probe)
{
	give_up((struct child *)probe);
}

static void on_timeout(evutil_socket_t fd, short what, void *ctx)
{
	struct child *c = ctx;

	give_up(c);
	c->req.done(c->req.ctx, LB_REASON_TIMEOUT);
}

static void on_exit_of(evutil_socket_t fd, short what, void *ctx)
{
	struct child *c = ctx;
	struct lb_probe_request req = c->req;
	bool given_up = c->given_up, ok;
	int status = 0;

	kill_group(c); /* what it left behind */
	if (waitpid(c->pid, &status, WNOHANG) != c->pid)
		status = -1;
	ok = status != -1 && WIFEXITED(status) && !WEXITSTATUS(status);
	if (!given_up && !ok)
		lb_log(LB_LOG_DEBUG, "msg=\"check program failed\" service=%s program=%s %s=%d", req.service,
		       lb_quoted(req.check->program), WIFSIGNALED(status) ? "signal" : "status",
		       WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	child_free(c);
	if (!given_up)
		req.done(req.ctx, ok ? LB_REASON_OK : LB_REASON_EXIT);
}

struct lb_probe_exec *lb_probe_exec_new(struct event_base *base)
{
	struct lb_probe_exec *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->base = base;
	signal(SIGCHLD, SIG_DFL); /* ignored, it would take away what is waited for */
	return e;
}

void lb_probe_exec_free(struct lb_probe_exec *e)
{
	if (!e)
		return;
	while (e->children) {
		kill_group(e->children);
		waitpid(e->children->pid, NULL, WNOHANG);
		child_free(e->children);
	}
	free(e);
}

#define VARIABLES 7

/* What the program is told; documented in lbd.yaml(5). Pointers into @room. */
static void make_environment(const struct lb_probe_request *req, char room[VARIABLES][128], char *env[VARIABLES + 1])
{
	char text[LB_ADDR_STRLEN];
	size_t n = 0;

	snprintf(room[n++], 128, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
	snprintf(room[n++], 128, "LBD_SERVICE=%s", req->service);
	snprintf(room[n++], 128, "LBD_VIP=%s", req->vip ? lb_vip_format(req->vip, text) : "");
	snprintf(room[n++], 128, "LBD_BACKEND_ADDRESS=%s", lb_addr_format(req->to.addr, text));
	if (req->to.port)
		snprintf(room[n++], 128, "LBD_BACKEND_PORT=%u", ntohs(req->to.port));
	snprintf(room[n++], 128, "LBD_CHECK_TIMEOUT_MS=%llu", (unsigned long long)req->check->timeout_ns / 1000000);
	for (size_t i = 0; i < n; i++)
		env[i] = room[i];
	env[n] = NULL;
}

static int spawn(const struct lb_check_conf *check, char *const env[], pid_t *pid)
{
	char *argv[LB_MAX_CHECK_ARGS + 2] = {check->program};
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int ret;

	for (size_t i = 0; i < check->nr_args; i++)
		argv[i + 1] = check->args[i];
	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&files);
	posix_spawnattr_init(&attr);
	ret = posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDWR, 0) ||
	      posix_spawn_file_actions_adddup2(&files, 0, 1) || posix_spawn_file_actions_adddup2(&files, 0, 2) ||
	      posix_spawn_file_actions_addclosefrom_np(&files, 3) ||
	      posix_spawn_file_actions_addchdir_np(&files, "/") ||
	      posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF) ||
	      posix_spawnattr_setsigmask(&attr, &none) || posix_spawnattr_setsigdefault(&attr, &all);
	ret = ret ? ENOMEM : posix_spawn(pid, check->program, &files, &attr, argv, env);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	return -ret;
}

static int start(struct child *c)
{
	static uint64_t last_ns;
	char room[VARIABLES][128], *env[VARIABLES + 1];
	int ret;

	make_environment(&c->req, room, env);
	ret = c->owner->nr < PROGRAMS_MAX ? spawn(c->req.check, env, &c->pid) : -EAGAIN;
	if (ret) {
		char subject[LB_CHECK_TEXT_MAX + 16];

		snprintf(subject, sizeof(subject), "program=%s", lb_quoted(c->req.check->program));
		lb_probe_trouble(&last_ns,
				 ret == -EAGAIN ? "too many check programs run at a time"
						: "cannot run a check program",
				 subject, -ret);
		return ret;
	}
	c->pidfd = pidfd_open(c->pid, 0);
	ret = c->pidfd < 0 ? -errno : lb_probe_descriptor(c->pidfd);
	if (ret < 0) {
		c->pidfd = -1;
		kill_group(c);
		waitpid(c->pid, NULL, 0);
		return ret;
	}
	c->next = c->owner->children;
	if (c->next)
		c->next->link = &c->next;
	c->link = &c->owner->children;
	c->owner->children = c;
	c->owner->nr++;
	return 0;
}

struct lb_probe *lb_probe_exec_start(struct lb_probes *p, const struct lb_probe_request *req, enum lb_reason *reason)
{
	struct timeval timeout = lb_timeval(req->check->timeout_ns);
	struct child *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->probe.cancel = child_cancel;
	c->req = *req;
	c->owner = p->exec;
	c->pidfd = -1;
	if (start(c))
		goto fail;
	c->exited = event_new(p->base, c->pidfd, EV_READ, on_exit_of, c);
	c->timer = evtimer_new(p->base, on_timeout, c);
	if (c->exited && c->timer && !event_add(c->exited, NULL) && !evtimer_add(c->timer, &timeout))
		return &c->probe;
	kill_group(c);
	waitpid(c->pid, NULL, 0);
fail:
	child_free(c);
	return NULL;
}
