// SPDX-License-Identifier: GPL-2.0-or-later
/* A slash that is written %2F belongs to a name, and does not end it. */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "http_path.h"

static int hex(char c)
{
	return isdigit((unsigned char)c)    ? c - '0'
	       : isxdigit((unsigned char)c) ? tolower((unsigned char)c) - 'a' + 10
					    : -1;
}

size_t lb_http_unescape(char *s, const char *keep)
{
	char *to = s, *from = s;

	while (*from) {
		int high = from[0] == '%' ? hex(from[1]) : -1;
		int low = high >= 0 ? hex(from[2]) : -1;
		char c = low >= 0 ? (char)(high << 4 | low) : '\0';

		if (c && !strchr(keep, c)) {
			*to++ = c;
			from += 3;
		} else {
			*to++ = *from++;
		}
	}
	*to = '\0';
	return (size_t)(to - s);
}

char *lb_http_path(const char *target)
{
	char *path;

	if (!strncasecmp(target, "http://", 7)) {
		target += 7;
		target += strcspn(target, "/?");
	}
	path = strndup(target, strcspn(target, "?"));
	if (path)
		lb_http_unescape(path, "/%");
	return path;
}
