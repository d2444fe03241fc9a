// SPDX-License-Identifier: GPL-2.0-or-later
/* Answers made aside; see aside.h. The answer comes through a pipe: a head, then the body. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "aside.h"
#include "log.h"

struct head {
	unsigned int status;
	bool problem;
	size_t body_bytes;
};

struct job {
	struct lb_control *control;
	int fd;
	pid_t pid; /* 0: it was waited for */
	struct head head;
	size_t got; /* bytes, with the head's */
	char *body;
};

static unsigned int under_way;

/* ---- in the other process ---- */

static bool write_all(int fd, const void *data, size_t bytes)
{
	const char *at = data;

	while (bytes) {
		ssize_t n = write(fd, at, bytes);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		at += n;
		bytes -= (size_t)n;
	}
	return true;
}

/* Nothing of what lbd shares with it may be touched: its event loop and its connections above all. */
static _Noreturn void work(struct lb_api_call *call, lb_api_fn handler, int fd, pid_t lbd)
{
	const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGALRM};
	struct lb_http_response *resp = call->resp;
	struct head head;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != lbd)
		_exit(1); /* it has ended already */
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		signal(signals[i], SIG_DFL);
	alarm(LB_ASIDE_SECONDS);
	handler(call);
	head = (struct head){
		.status = resp->status,
		.problem = resp->content_type && strstr(resp->content_type, "problem"),
		.body_bytes = resp->body ? resp->body_len : 0,
	};
	_exit(write_all(fd, &head, sizeof(head)) && write_all(fd, resp->body, head.body_bytes) ? 0 : 1);
}

/* ---- in lbd ---- */

static void job_free(void *ctx)
{
	struct job *j = ctx;

	if (j->pid) {
		kill(j->pid, SIGKILL);
		while (waitpid(j->pid, NULL, 0) < 0 && errno == EINTR)
			;
		under_way--;
	}
	if (j->fd >= 0)
		close(j->fd);
	free(j->body);
	free(j);
}

static bool give_up(struct job *j, struct lb_http_response *resp, const char *why)
{
	struct lb_api_call call = {.control = j->control, .resp = resp};

	lb_log(LB_LOG_WARN, "msg=\"an answer could not be made\" error=%s", lb_quoted(why));
	lb_api_problem(&call, 500, why);
	return true;
}

/* The head, then room for the body; returns where what comes next is to be put, and how much. */
static char *next_room(struct job *j, size_t *bytes)
{
	if (j->got < sizeof(j->head)) {
		*bytes = sizeof(j->head) - j->got;
		return (char *)&j->head + j->got;
	}
	*bytes = j->head.body_bytes - (j->got - sizeof(j->head));
	if (!j->body && j->head.body_bytes <= LB_ASIDE_ANSWER_MAX)
		j->body = malloc(j->head.body_bytes + 1);
	return j->body ? j->body + (j->got - sizeof(j->head)) : NULL;
}

static bool step(void *ctx, struct lb_http_response *resp)
{
	struct job *j = ctx;
	size_t room;
	char *at = next_room(j, &room);
	ssize_t n;

	if (!at)
		return give_up(j, resp, "the answer is larger than there is memory for; ask for less");
	n = room ? read(j->fd, at, room) : 0;
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? false : give_up(j, resp, strerror(errno));
	j->got += (size_t)n;
	if (n && (j->got < sizeof(j->head) || j->got < sizeof(j->head) + j->head.body_bytes))
		return false;
	if (j->got < sizeof(j->head) || j->got < sizeof(j->head) + j->head.body_bytes)
		return give_up(j, resp, "the process that was to make the answer ended early");
	resp->status = j->head.status;
	resp->content_type = j->head.problem ? "application/problem+json" : "application/json";
	resp->body = j->body;
	resp->body_len = j->head.body_bytes;
	j->body = NULL;
	return true;
}

void lb_aside(struct lb_api_call *call, lb_api_fn handler)
{
	struct job *j = under_way < LB_ASIDE_MAX && !call->req->full ? calloc(1, sizeof(*j)) : NULL;
	pid_t lbd = getpid();
	int fds[2];

	if (!j || pipe2(fds, O_CLOEXEC)) {
		free(j);
		lb_api_busy(call);
		return;
	}
	j->control = call->control;
	j->fd = fds[0];
	fcntl(j->fd, F_SETFL, O_NONBLOCK);
	j->pid = fork();
	if (!j->pid) {
		close(fds[0]);
		work(call, handler, fds[1], lbd);
	}
	close(fds[1]);
	if (j->pid < 0) {
		j->pid = 0;
		job_free(j);
		lb_api_busy(call);
		return;
	}
	under_way++;
	call->resp->job = (struct lb_http_job){.step = step, .free = job_free, .ctx = j, .waits = true, .fd = j->fd};
}
