/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What lb_config_diff tells of two configurations, a line each, for unit tests. */
#ifndef TEST_CHANGE_LOG_H
#define TEST_CHANGE_LOG_H

#include <stdio.h>
#include <string.h>

struct change_log {
	char text[4096];
};

static inline void change_log_add(void *ctx, const char *op, const char *path, const char *from, const char *to)
{
	struct change_log *l = ctx;
	size_t n = strlen(l->text);

	snprintf(l->text + n, sizeof(l->text) - n, "%s %s %s -> %s\n", op, path, from ? from : "-", to ? to : "-");
}

#endif
