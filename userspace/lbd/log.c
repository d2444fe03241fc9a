// SPDX-License-Identifier: GPL-2.0-or-later
/* The log on stderr: each line is one write, so that lines never mix. Who reads them may be slow, or have stopped: lbd
 * has other things to do than to wait for it. */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"

#define PATIENCE_MS 5
#define REST_NS (LB_NSEC_PER_SEC / 10)

static const char *const names[] = {"debug", "info", "warn", "error"};
static enum lb_log_level threshold = LB_LOG_INFO;
static unsigned long long lost; /* lines, since the first */
static unsigned long long told; /* of those */
static uint64_t patient_ns;	/* from then on somebody may be waited for */

int lb_log_level_parse(const char *text, enum lb_log_level *level)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strcmp(text, names[i])) {
			*level = i;
			return 0;
		}
	}
	return -EINVAL;
}

void lb_log_set_level(enum lb_log_level level)
{
	threshold = level;
}

bool lb_log_wanted(enum lb_log_level level)
{
	return level >= threshold;
}

unsigned long long lb_log_lost(void)
{
	return lost;
}

/* Room for a line, in a pipe or a socket? Who reads is waited for a moment, and not again soon. */
static bool has_room(void)
{
	struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};
	bool room = poll(&p, 1, 0);

	if (!room && lb_now_ns() >= patient_ns) {
		room = poll(&p, 1, PATIENCE_MS);
		patient_ns = lb_now_ns() + REST_NS;
	}
	lost += !room;
	return room;
}

static size_t begin_line(char *line, size_t size, enum lb_log_level level)
{
	struct timespec ts;
	struct tm tm;
	size_t len;

	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	len = strftime(line, size, "time=%Y-%m-%dT%H:%M:%S", &tm);
	return len + (size_t)snprintf(line + len, size - len, ".%03ldZ level=%s ", ts.tv_nsec / 1000000, names[level]);
}

/* How many are missing, where they are missing. */
static void tell_lost(void)
{
	char line[256];
	size_t len;

	if (lost == told)
		return;
	len = begin_line(line, sizeof(line), LB_LOG_WARN);
	len += (size_t)snprintf(line + len, sizeof(line) - len,
				"msg=\"lines of the log were lost: who reads it is too slow\" lines=%llu\n",
				lost - told);
	told = lost;
	if (write(STDERR_FILENO, line, len) < 0)
		return;
}

void lb_log(enum lb_log_level level, const char *fmt, ...)
{
	char line[2048];
	size_t len;
	va_list ap;
	int n;

	if (!lb_log_wanted(level) || !has_room())
		return;
	tell_lost();
	len = begin_line(line, sizeof(line), level);
	va_start(ap, fmt);
	n = vsnprintf(line + len, sizeof(line) - len, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	len += n;
	if (len > sizeof(line) - 2)
		len = sizeof(line) - 2;
	line[len++] = '\n';
	if (write(STDERR_FILENO, line, len) < 0)
		return; /* there is nowhere left to say so */
}

const char *lb_quoted(const char *text)
{
	static char bufs[4][1024];
	static unsigned int next;
	char *buf = bufs[next++ % 4], *p = buf, *end = buf + sizeof(bufs[0]) - 4;

	*p++ = '"';
	for (; *text && p < end; text++) {
		if (*text == '"' || *text == '\\')
			*p++ = '\\';
		*p++ = (unsigned char)*text < ' ' ? ' ' : *text;
	}
	*p++ = '"';
	*p = '\0';
	return buf;
}
