/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A refusal that a person can act on. Everything in liblb that can be a user's mistake fills one. */
#ifndef LB_ERR_H
#define LB_ERR_H

#include <stdbool.h>
#include <stddef.h>

/* @code: -errno. @path: where, as file:line and document path, "" when the message says it.
 * @message: what is wrong and the mend, one line, no full stop. */
struct lb_err {
	int code;
	char path[256];
	char message[384];
};

/* lb_err_set - fill @err (which may be NULL) and return @code, so that callers can `return lb_err_set(...)`.
 * @path may be NULL. An error that is already set is replaced. What is not printable UTF-8 becomes '?'. */
int lb_err_set(struct lb_err *err, int code, const char *path, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* lb_err_str - "path: message", or the message alone; in a static buffer, for one print at a time. */
const char *lb_err_str(const struct lb_err *err);

/* lb_err_text - a user's text as a message shows it: an empty one as "". */
const char *lb_err_text(const char *text);

/* lb_utf8_len - bytes of the character at @text, of which @left may be read; 0: not UTF-8 (RFC 3629), or none left. */
size_t lb_utf8_len(const char *text, size_t left);
bool lb_text_is_utf8(const char *text);

#endif
