/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a root test written in C needs: TAP lines, commands, and a parent that cleans up however the test ends. */
#ifndef TESTS_TAP_H
#define TESTS_TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

static int tap_nr, tap_failed;

static inline bool __attribute__((format(printf, 2, 3))) tap_result(bool good, const char *fmt, ...)
{
	va_list args;

	printf("%sok %d - ", good ? "" : "not ", ++tap_nr);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
	tap_failed += !good;
	return good;
}

/* The condition comes first, so that the message can say what it found out. */
#define tap_ok(condition, ...)                                                                                         \
	({                                                                                                             \
		bool tap_good = (condition);                                                                           \
		tap_result(tap_good, __VA_ARGS__);                                                                     \
	})

static inline void __attribute__((format(printf, 1, 2))) tap_note(const char *fmt, ...)
{
	va_list args;

	printf("# ");
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
}

/* For what the test itself needs: without it there is nothing to test. */
static inline void __attribute__((format(printf, 2, 3))) tap_need(bool good, const char *fmt, ...)
{
	va_list args;

	if (good)
		return;
	printf("Bail out! ");
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
	_exit(1);
}

static inline int tap_done(void)
{
	printf("1..%d\n", tap_nr);
	fflush(stdout);
	return tap_failed ? 1 : 0;
}

static inline int __attribute__((format(printf, 1, 2))) try_command(const char *fmt, ...)
{
	char command[1024];
	va_list args;

	va_start(args, fmt);
	vsnprintf(command, sizeof(command), fmt, args);
	va_end(args);
	return system(command);
}

#define command(...) tap_need(!try_command(__VA_ARGS__), "%s:%d: a command failed", __FILE__, __LINE__)

static inline double now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static pid_t tap_child;

static inline void tap_forward(int sig)
{
	if (tap_child > 0)
		kill(tap_child, SIGKILL);
	(void)sig;
}

/* Runs @test in a child and, however that ends, @clean in the parent. */
static inline int tap_run(int (*test)(void), void (*clean)(void))
{
	int status;

	setvbuf(stdout, NULL, _IOLBF, 0);
	fflush(stdout);
	tap_child = fork();
	tap_need(tap_child >= 0, "fork");
	if (!tap_child)
		_exit(test());
	signal(SIGINT, tap_forward);
	signal(SIGTERM, tap_forward);
	signal(SIGHUP, tap_forward);
	while (waitpid(tap_child, &status, 0) < 0)
		;
	clean();
	if (!WIFEXITED(status)) {
		printf("Bail out! the test was killed by signal %d\n", WTERMSIG(status));
		return 1;
	}
	return WEXITSTATUS(status);
}

#endif
