/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Percent-encoding in the targets of requests. Called by http.c, and by api.c, which cuts paths at their slashes. */
#ifndef LB_HTTP_PATH_H
#define LB_HTTP_PATH_H

#include <stddef.h>

/* lb_http_unescape - decode @s in place, but for the characters of @keep, and %00: as a byte it would hide the rest of
 * a name. Returns what is left of its length. */
size_t lb_http_unescape(char *s, const char *keep);

/* lb_http_path - the path of @target, in origin or absolute form (RFC 9112, 3.2). It is decoded but for slashes and
 * percent signs, so that one that is cut at its slashes has the segments that were meant; lb_http_unescape does the
 * rest. The caller frees it; NULL: out of memory. */
char *lb_http_path(const char *target);

#endif
