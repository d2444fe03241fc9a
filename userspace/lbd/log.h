/* SPDX-License-Identifier: GPL-2.0-or-later */
/* lbd's log: one line of key=value on stderr for each event. Called by lbd's own modules, never by liblb. */
#ifndef LB_LOG_H
#define LB_LOG_H

#include <stdbool.h>

enum lb_log_level { LB_LOG_DEBUG, LB_LOG_INFO, LB_LOG_WARN, LB_LOG_ERROR };

/* "debug", "info", "warn" or "error": 0, else -EINVAL. */
int lb_log_level_parse(const char *text, enum lb_log_level *level);
void lb_log_set_level(enum lb_log_level level);
bool lb_log_wanted(enum lb_log_level level); /* are lines of it logged? */

/* lb_log - @fmt gives the fields, msg first: `msg="attached" interface=%s`. A line that whoever reads the log leaves no
 * room for is lost. */
void lb_log(enum lb_log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* lb_log_lost - how many were. */
unsigned long long lb_log_lost(void);

/* lb_quoted - @text as a quoted value; one of four static buffers, for use as an argument of lb_log. */
const char *lb_quoted(const char *text);

#endif
