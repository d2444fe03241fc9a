// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The exec check: a program in a process group of its own, whose end is awaited with a pidfd. Whatever the outcome, no
 * process of the group outlives the check. The first line that it writes is kept, for people; the rest is read and
 * dropped, so that no program waits for somebody to read.
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
#define LINE_MAX_BYTES 200
#define DRAINS_MAX 16 /* reads of what a program has left behind */

struct child {
	struct lb_probe probe;
	struct lb_probe_request req;
	struct lb_probe_exec *owner;
	struct child *next, **link;
	struct event *exited, *timer, *written;
	int pidfd;
	int output;		       /* the end of the pipe that is read */
	char line[LINE_MAX_BYTES + 1]; /* the first that is not empty, as far as it has been read */
	size_t line_len;
	bool line_ended;
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
	if (c->written)
		event_free(c->written);
	if (c->output >= 0)
		close(c->output);
	if (c->pidfd >= 0)
		close(c->pidfd);
	free(c);
}

/* ---- what it writes ---- */

static void take_line(struct child *c, const char *bytes, size_t nr)
{
	for (size_t i = 0; i < nr && !c->line_ended; i++) {
		char b = bytes[i];

		if ((unsigned char)b < ' ' || b == 0x7f)
			c->line_ended = b == '\n' && c->line_len;
		if (!c->line_len && (b == ' ' || b == '\t' || b == '\r' || b == '\n'))
			continue;
		if (c->line_len == LINE_MAX_BYTES)
			c->line_ended = true;
		if (!c->line_ended)
			c->line[c->line_len++] = (unsigned char)b < ' ' || b == 0x7f ? ' ' : b;
	}
}

/* False: there is nothing more, now or ever. */
static bool read_some(struct child *c)
{
	static char bytes[4096];
	ssize_t n = read(c->output, bytes, sizeof(bytes));

	if (n > 0)
		take_line(c, bytes, (size_t)n);
	if (!n && c->written)
		event_del(c->written);
	return n > 0;
}

static void on_written(evutil_socket_t fd, short what, void *ctx)
{
	read_some(ctx);
}

/* @how: "status 1"; "": nothing is to be said of it. */
static void note_detail(struct child *c, const char *how)
{
	char text[LINE_MAX_BYTES + 64];

	for (int i = 0; i < DRAINS_MAX && read_some(c); i++)
		;
	while (c->line_len && c->line[c->line_len - 1] == ' ')
		c->line_len--;
	c->line[c->line_len] = '\0';
	/* What was cut may end within a character. */
	for (size_t i = 0; i < 3 && c->line_len == LINE_MAX_BYTES - i && !lb_text_is_utf8(c->line); i++)
		c->line[LINE_MAX_BYTES - 1 - i] = '\0';
	if (!lb_text_is_utf8(c->line))
		for (char *p = c->line; *p; p++)
			*p = (unsigned char)*p < 0x80 ? *p : '?';
	snprintf(text, sizeof(text), "%s%s%s", how, *how && *c->line ? ": " : "", c->line);
	c->req.notes->detail = *text ? strdup(text) : NULL;
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
	note_detail(c, "");
	c->req.done(c->req.ctx, LB_REASON_TIMEOUT);
}

static void on_exit_of(evutil_socket_t fd, short what, void *ctx)
{
	struct child *c = ctx;
	struct lb_probe_request req = c->req;
	bool given_up = c->given_up, ok;
	char how[32] = "";
	int status = 0;

	kill_group(c); /* what it left behind */
	if (waitpid(c->pid, &status, WNOHANG) != c->pid)
		status = -1;
	ok = status != -1 && WIFEXITED(status) && !WEXITSTATUS(status);
	if (!ok)
		snprintf(how, sizeof(how), "%s %d", WIFSIGNALED(status) ? "signal" : "status",
			 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	if (!given_up)
		note_detail(c, how);
	if (!given_up && !ok)
		lb_log(LB_LOG_DEBUG, "msg=\"check program failed\" service=%s program=%s detail=%s", req.service,
		       lb_quoted(req.check->program), lb_quoted(req.notes->detail ? req.notes->detail : how));
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

static int spawn(const struct lb_check_conf *check, char *const env[], int output, pid_t *pid)
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
	      posix_spawn_file_actions_adddup2(&files, output, 1) ||
	      posix_spawn_file_actions_adddup2(&files, output, 2) ||
	      posix_spawn_file_actions_addclosefrom_np(&files, 3) ||
	      posix_spawn_file_actions_addchdir_np(&files, "/") ||
	      posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF) ||
	      posix_spawnattr_setsigmask(&attr, &none) || posix_spawnattr_setsigdefault(&attr, &all);
	ret = ret ? ENOMEM : posix_spawn(pid, check->program, &files, &attr, argv, env);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	return -ret;
}

/* The program's end of a pipe, above those that it has as input and output; ours does not block. Or -errno. */
static int make_pipe(struct child *c)
{
	int ends[2], high;

	if (pipe2(ends, O_CLOEXEC))
		return -errno;
	c->output = ends[0];
	if (fcntl(c->output, F_SETFL, O_NONBLOCK)) {
		close(ends[1]);
		return -EMFILE;
	}
	high = fcntl(ends[1], F_DUPFD_CLOEXEC, 3);
	close(ends[1]);
	return high < 0 ? -EMFILE : lb_probe_descriptor(high);
}

static int start(struct child *c)
{
	static uint64_t last_ns;
	char room[VARIABLES][128], *env[VARIABLES + 1];
	int output = c->owner->nr < PROGRAMS_MAX ? make_pipe(c) : -EAGAIN, ret = output;

	make_environment(&c->req, room, env);
	if (output >= 0) {
		ret = spawn(c->req.check, env, output, &c->pid);
		close(output);
	}
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
	c->pidfd = c->output = -1;
	if (start(c))
		goto fail;
	c->written = event_new(p->base, c->output, EV_READ | EV_PERSIST, on_written, c);
	c->exited = event_new(p->base, c->pidfd, EV_READ, on_exit_of, c);
	c->timer = evtimer_new(p->base, on_timeout, c);
	if (c->exited && c->timer && c->written && !event_add(c->exited, NULL) && !evtimer_add(c->timer, &timeout) &&
	    !event_add(c->written, NULL))
		return &c->probe;
	kill_group(c);
	waitpid(c->pid, NULL, 0);
fail:
	child_free(c);
	return NULL;
}
