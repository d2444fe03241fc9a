// SPDX-License-Identifier: GPL-2.0-or-later
/* The log on stderr: each line is one write, so that lines never mix. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "log.h"

static const char *const names[] = {"debug", "info", "warn", "error"};
static enum lb_log_level threshold = LB_LOG_INFO;

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

void lb_log(enum lb_log_level level, const char *fmt, ...)
{
	struct timespec ts;
	struct tm tm;
	char line[2048];
	size_t len;
	va_list ap;
	int n;

	if (!lb_log_wanted(level))
		return;
	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	len = strftime(line, sizeof(line), "time=%Y-%m-%dT%H:%M:%S", &tm);
	len += snprintf(line + len, sizeof(line) - len, ".%03ldZ level=%s ", ts.tv_nsec / 1000000, names[level]);
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
