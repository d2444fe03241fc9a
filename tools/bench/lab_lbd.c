// SPDX-License-Identifier: GPL-2.0-or-later
/* A real lbd, as a child of ours; see lab_lbd.h. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "client.h"
#include "env.h"
#include "lab_lbd.h"

#define READY_S 60

static struct {
	const char *program, *dir;
	char socket[256];
	pid_t pid;
	int notify_fd, log_fd; /* what it tells its service manager; its stderr */
	char log[8192];
	size_t log_len;
	struct lb_client *client;
} lbd = {.log_fd = -1};

int lab_fail(const char *what)
{
	fprintf(stderr, "bench: %s%s%s\n", what, lbd.log_len ? "; lbd said: " : "", lbd.log_len ? lbd.log : "");
	return -1;
}

/* ---- starting and ending lbd ---- */

static int notify_open(void)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/notify", lbd.dir);
	lbd.notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	setenv("NOTIFY_SOCKET", sun.sun_path, 1);
	return bind(lbd.notify_fd, (struct sockaddr *)&sun, sizeof(sun));
}

bool lab_read_log(void)
{
	ssize_t n;

	if (lbd.log_len > sizeof(lbd.log) / 2)
		lbd.log_len = 0;
	n = read(lbd.log_fd, lbd.log + lbd.log_len, sizeof(lbd.log) - 1 - lbd.log_len);
	if (n <= 0)
		return false;
	lbd.log_len += (size_t)n;
	lbd.log[lbd.log_len] = '\0';
	return true;
}

static void __attribute__((noreturn)) lbd_exec(int log)
{
	char config[256], state[256], metrics[32];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(config, sizeof(config), "%s/control.yaml", lbd.dir);
	snprintf(state, sizeof(state), "%s/state", lbd.dir);
	snprintf(metrics, sizeof(metrics), "127.0.0.1:%d", LAB_METRICS_PORT);
	dup2(log, STDERR_FILENO);
	dup2(log, STDOUT_FILENO);
	execl(lbd.program, "lbd", "--config", config, "--state-dir", state, "--socket", lbd.socket, "--pin-dir",
	      LAB_PIN_DIR, "--metrics", metrics, "--detach-on-exit", NULL);
	_exit(127);
}

double lab_lbd_start(void)
{
	struct pollfd p[2];
	double start = bench_now_s();
	char text[256];
	int log[2];

	if (pipe2(log, O_CLOEXEC))
		return -1;
	lbd.log_len = 0;
	lbd.log[0] = '\0';
	lbd.pid = fork();
	if (!lbd.pid)
		lbd_exec(log[1]);
	close(log[1]);
	if (lbd.log_fd >= 0)
		close(lbd.log_fd);
	lbd.log_fd = log[0];
	fcntl(log[0], F_SETFL, O_NONBLOCK);
	p[0] = (struct pollfd){.fd = lbd.notify_fd, .events = POLLIN};
	p[1] = (struct pollfd){.fd = log[0], .events = POLLIN};
	while (bench_now_s() < start + READY_S && poll(p, 2, 1000) >= 0) {
		ssize_t n = p[0].revents ? recv(lbd.notify_fd, text, sizeof(text) - 1, MSG_DONTWAIT) : 0;
		double now = bench_now_s();

		if (n > 0) {
			text[n] = '\0';
			if (strstr(text, "READY=1"))
				return (now - start) * 1e3;
		}
		if (p[1].revents)
			lab_read_log();
		if (p[1].revents & POLLHUP)
			break;
	}
	return lab_fail("lbd does not get ready");
}

void lab_lbd_end(int sig)
{
	char text[256];

	if (lbd.pid <= 0)
		return;
	kill(lbd.pid, sig);
	waitpid(lbd.pid, NULL, 0);
	lbd.pid = 0;
	while (recv(lbd.notify_fd, text, sizeof(text), MSG_DONTWAIT) > 0)
		;
}

/* ---- asking lbd ---- */

double lab_ask(const char *method, const char *path, const char *body, json_t **answer)
{
	struct lb_request rq = {.method = method, .path = path, .body = body, .body_bytes = body ? strlen(body) : 0};
	struct lb_response rs;
	struct lb_err err = {0};
	double start = bench_now_s(), ms;

	if (lb_client_do(lbd.client, &rq, &rs, &err))
		return lab_fail(lb_err_str(&err));
	ms = (bench_now_s() - start) * 1e3;
	if (rs.status / 100 != 2) {
		fprintf(stderr, "bench: %s %s: %s\n", method, path, rs.body);
		ms = -1;
	} else if (answer) {
		*answer = json_loads(rs.body, 0, NULL);
	}
	lb_response_fini(&rs);
	return ms;
}

json_int_t lab_services(void)
{
	json_t *status = NULL;
	json_int_t n = -1;

	if (lab_ask("GET", "/v1/status", NULL, &status) >= 0)
		n = json_integer_value(json_object_get(json_object_get(status, "services"), "total"));
	json_decref(status);
	return n;
}

bool lab_adopted(void)
{
	json_t *status = NULL;
	bool yes = lab_ask("GET", "/v1/status", NULL, &status) >= 0 && json_is_true(json_object_get(status, "adopted"));

	json_decref(status);
	return yes;
}

json_int_t lab_lbd_bytes(const char *key)
{
	char path[64], line[128];
	json_int_t bytes = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)lbd.pid);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key)) && line[strlen(key)] == ':')
			bytes = strtoll(line + strlen(key) + 1, NULL, 10) * 1024;
	if (f)
		fclose(f);
	return bytes;
}

double lab_lbd_cpu_s(void)
{
	struct timespec ts;
	clockid_t clock;

	if (clock_getcpuclockid(lbd.pid, &clock) || clock_gettime(clock, &ts))
		return -1;
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

const char *lab_log(void)
{
	return lbd.log;
}

void lab_wait_log(int ms)
{
	if (!lab_read_log() && poll(&(struct pollfd){.fd = lbd.log_fd, .events = POLLIN}, 1, ms) > 0)
		lab_read_log();
}

void lab_forget_log(void)
{
	while (lab_read_log())
		;
	lbd.log_len = 0;
	lbd.log[0] = '\0';
}

int lab_lbd_open(const char *program, const char *dir)
{
	struct lb_err err = {0};
	char path[256];
	FILE *f;

	lbd.program = program;
	lbd.dir = dir;
	snprintf(lbd.socket, sizeof(lbd.socket), "%s/lbd.sock", dir);
	snprintf(path, sizeof(path), "%s/control.yaml", dir);
	f = fopen(path, "w");
	if (!f || fputs("interfaces: [{name: lb0}]\n", f) < 0 || fclose(f) || notify_open() ||
	    lb_client_new(lbd.socket, &lbd.client, &err))
		return lab_fail("the laboratory cannot be used");
	return 0;
}

void lab_lbd_close(void)
{
	lab_lbd_end(SIGTERM);
	lb_client_free(lbd.client);
}
