/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A text that grows, and JSON written into it without a tree. Called by document_write.c and by lbd's renderers. */
#ifndef LB_TEXT_H
#define LB_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* All zero: empty. What is put after memory ran out is dropped. */
struct lb_text {
	char *at; /* NUL-terminated; NULL while empty */
	size_t len, room;
	bool failed;
};

void lb_text_put(struct lb_text *t, const char *bytes, size_t nr);
void lb_text_puts(struct lb_text *t, const char *string);
/* As printf(); at most 511 bytes. */
void lb_text_printf(struct lb_text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* lb_text_json_string - @string in its quotes, escaped, so that it is a double-quoted text of YAML as well; what is not
 * UTF-8 becomes '?'. */
void lb_text_json_string(struct lb_text *t, const char *string);

/* lb_text_take - the text, malloc'ed, and @t is empty again; NULL: memory ran out. */
char *lb_text_take(struct lb_text *t, size_t *len);
void lb_text_fini(struct lb_text *t);

#endif
