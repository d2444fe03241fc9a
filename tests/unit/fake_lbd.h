/* SPDX-License-Identifier: GPL-2.0-or-later */
/* For the tests of lbctl: runs the program itself against an lbd that is a few lines of this file, which notes the
 * request and gives a canned answer. From the top of the tree after `make`; $LBCTL names another binary. */
#ifndef TESTS_FAKE_LBD_H
#define TESTS_FAKE_LBD_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#define DEADLINE_MS 20000

static char dir[] = "/tmp/lbctl-test-XXXXXX";
static char socket_path[64];
static uid_t child_uid;					/* 0: the test's own */
static const char *stdout_path __attribute__((unused)); /* NULL: it is read */

struct text {
	char *data;
	size_t len;
};

/* What lbctl was seen to do. */
struct seen {
	int exit;
	struct text out, err;
	struct text request; /* head and body as they came; empty: none came */
};

static inline void text_add(struct text *t, const char *data, size_t len)
{
	t->data = realloc(t->data, t->len + len + 1);
	assert_non_null(t->data);
	memcpy(t->data + t->len, data, len);
	t->len += len;
	t->data[t->len] = '\0';
}

static inline void seen_fini(struct seen *s)
{
	free(s->out.data);
	free(s->err.data);
	free(s->request.data);
}

static inline int listen_on(const char *path)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(sun.sun_path, path);
	unlink(path);
	assert_return_code(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), errno);
	assert_return_code(listen(fd, 4), errno);
	return fd;
}

static inline int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static inline pid_t start(const char *const *args, const char *input, int *out, int *err)
{
	const char *program = getenv("LBCTL") ? getenv("LBCTL") : "build/lbctl", *argv[32] = {"lbctl"};
	int in_pipe[2], out_pipe[2], err_pipe[2];
	int exe = open(program, O_PATH | O_CLOEXEC);
	pid_t pid;

	if (exe < 0)
		fail_msg("cannot run %s: %s; run `make` first", program, strerror(errno));
	for (size_t i = 0; args[i]; i++)
		argv[i + 1] = args[i];
	assert_return_code(pipe2(in_pipe, O_CLOEXEC), errno);
	assert_return_code(pipe2(out_pipe, O_CLOEXEC), errno);
	assert_return_code(pipe2(err_pipe, O_CLOEXEC), errno);
	pid = fork();
	assert_return_code(pid, errno);
	if (!pid) {
		dup2(in_pipe[0], 0);
		dup2(stdout_path ? open(stdout_path, O_WRONLY) : out_pipe[1], 1);
		dup2(err_pipe[1], 2);
		setenv("LBD_SOCKET", socket_path, 1);
		setenv("LC_ALL", "C.UTF-8", 1);
		if (child_uid && setuid(child_uid))
			_exit(126);
		fexecve(exe, (char *const *)argv, environ);
		_exit(127);
	}
	close(exe);
	close(in_pipe[0]);
	close(out_pipe[1]);
	close(err_pipe[1]);
	if (input)
		assert_int_equal(write(in_pipe[1], input, strlen(input)), strlen(input));
	close(in_pipe[1]);
	*out = out_pipe[0];
	*err = err_pipe[0];
	return pid;
}

/* Is the request in @t all there? */
static inline int request_complete(const struct text *t)
{
	const char *end = t->len ? strstr(t->data, "\r\n\r\n") : NULL, *length;

	if (!end)
		return 0;
	length = strcasestr(t->data, "\r\nContent-Length:");
	return t->len >= (size_t)(end + 4 - t->data) + (length && length < end ? strtoul(length + 17, NULL, 10) : 0);
}

/* Take what @fd has; returns 0 at its end, which closes it. */
static inline int take(int *fd, struct text *t)
{
	char buf[4096];
	ssize_t n = read(*fd, buf, sizeof(buf));

	if (n > 0) {
		text_add(t, buf, (size_t)n);
		return 1;
	}
	close(*fd);
	*fd = -1;
	return 0;
}

/* run - run lbctl with @args (NULL at the end). @answer: the HTTP answer to its request, byte for byte; "": close the
 * connection instead; NULL: nobody listens. */
static inline void run(const char *const *args, const char *input, const char *answer, struct seen *s)
{
	int64_t deadline = now_ms() + DEADLINE_MS;
	struct pollfd fds[4];
	int out, err, status, conn = -1, lfd = answer ? listen_on(socket_path) : -1;
	pid_t pid = start(args, input, &out, &err);

	*s = (struct seen){0};
	text_add(&s->out, "", 0);
	text_add(&s->err, "", 0);
	text_add(&s->request, "", 0);
	while (out >= 0 || err >= 0) {
		int64_t left = deadline - now_ms();

		if (left <= 0) {
			kill(pid, SIGKILL);
			fail_msg("lbctl %s ... did not end", args[0]);
		}
		fds[0] = (struct pollfd){.fd = out, .events = POLLIN};
		fds[1] = (struct pollfd){.fd = err, .events = POLLIN};
		fds[2] = (struct pollfd){.fd = lfd, .events = POLLIN};
		fds[3] = (struct pollfd){.fd = conn, .events = POLLIN};
		poll(fds, 4, (int)left);
		if (fds[0].revents)
			take(&out, &s->out);
		if (fds[1].revents)
			take(&err, &s->err);
		if (fds[2].revents && conn < 0)
			conn = accept(lfd, NULL, NULL);
		if (!fds[3].revents || !take(&conn, &s->request) || !request_complete(&s->request))
			continue;
		assert_int_equal(write(conn, answer, strlen(answer)), strlen(answer));
		close(conn);
		conn = -1;
	}
	if (lfd >= 0)
		close(lfd);
	unlink(socket_path);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	s->exit = WEXITSTATUS(status);
}

static char *http(int status, const char *body)
{
	char *text;

	assert_true(asprintf(&text,
			     "HTTP/1.1 %d Some Reason\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
			     "Connection: close\r\n\r\n%s",
			     status, strlen(body), body) > 0);
	return text;
}

/* JSON is written with ' for " here. */
static char *unquote(const char *text)
{
	char *copy = strdup(text);

	assert_non_null(copy);
	for (char *p = copy; *p; p++)
		*p = *p == '\'' ? '"' : *p;
	return copy;
}

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

static inline void show_args(const char *const *args)
{
	fputs("in: lbctl", stderr);
	for (; *args; args++)
		fprintf(stderr, " %s", *args);
	fputc('\n', stderr);
}

static inline void same(const char *const *args, const char *what, const char *got, const char *want)
{
	if (!strcmp(got, want))
		return;
	show_args(args);
	fail_msg("%s is\n%s\nand should be\n%s", what, got, want);
}

/* The request line without " HTTP/1.1". */
static inline void check_request(const char *const *args, const struct seen *s, const char *want)
{
	char line[512];

	snprintf(line, sizeof(line), "%.*s", (int)strcspn(s->request.data, "\r"), s->request.data);
	if (strstr(line, " HTTP/"))
		*strstr(line, " HTTP/") = '\0';
	same(args, "the request", line, want);
}

static inline const char *body_of(const struct seen *s)
{
	const char *end = strstr(s->request.data, "\r\n\r\n");

	return end ? end + 4 : "";
}

/* Group fixtures. */
static inline int setup(void **state)
{
	if (!mkdtemp(dir))
		return -1;
	snprintf(socket_path, sizeof(socket_path), "%s/lbd.sock", dir);
	return 0;
}

static inline int teardown(void **state)
{
	return rmdir(dir);
}

#endif
