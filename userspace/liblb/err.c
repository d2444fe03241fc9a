/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Refusals: one line of printable UTF-8, whatever the user's text contained. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "err.h"

size_t lb_utf8_len(const char *text, size_t left)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t len;

	if (!left || s[0] < 0x80)
		return left ? 1 : 0;
	len = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
	if (s[0] < 0xc2 || s[0] > 0xf4 || len > left)
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	/* Overlong forms, surrogates, beyond U+10FFFF. */
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
	    (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return len;
}

bool lb_text_is_utf8(const char *text)
{
	for (size_t left = strlen(text), len; left; text += len, left -= len) {
		len = lb_utf8_len(text, left);
		if (!len)
			return false;
	}
	return true;
}

/* What a message quotes comes from files and sockets: control characters would break the log's or the terminal's line,
 * and half a character the JSON that carries it. */
static void make_printable(char *text)
{
	for (size_t left = strlen(text), len; left; text += len, left -= len) {
		unsigned char first = (unsigned char)text[0];

		len = lb_utf8_len(text, left);
		if (!len || first < 0x20 || first == 0x7f || (first == 0xc2 && (unsigned char)text[1] < 0xa0)) {
			*text = '?';
			len = 1;
		}
	}
}

const char *lb_err_text(const char *text)
{
	return *text ? text : "\"\"";
}

int lb_err_set(struct lb_err *err, int code, const char *path, const char *fmt, ...)
{
	struct lb_err e = {.code = code};
	va_list ap;

	if (!err)
		return code;
	/* By way of a copy: the arguments may lie in @err. */
	va_start(ap, fmt);
	vsnprintf(e.message, sizeof(e.message), fmt, ap);
	va_end(ap);
	snprintf(e.path, sizeof(e.path), "%s", path ? path : "");
	make_printable(e.path);
	make_printable(e.message);
	*err = e;
	return code;
}

const char *lb_err_str(const struct lb_err *err)
{
	static char text[sizeof(err->path) + sizeof(err->message) + 2];

	snprintf(text, sizeof(text), "%s%s%s", err->path, *err->path ? ": " : "", err->message);
	return text;
}
