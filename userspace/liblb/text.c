// SPDX-License-Identifier: GPL-2.0-or-later
/* A text that grows; see text.h. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "text.h"

void lb_text_put(struct lb_text *t, const char *bytes, size_t nr)
{
	size_t room = t->room ? t->room : 4096;
	char *at;

	while (room < t->len + nr + 1)
		room *= 2;
	if (room != t->room) {
		at = t->failed ? NULL : realloc(t->at, room);
		if (!at) {
			t->failed = true;
			return;
		}
		t->at = at;
		t->room = room;
	}
	memcpy(t->at + t->len, bytes, nr);
	t->len += nr;
	t->at[t->len] = '\0';
}

void lb_text_puts(struct lb_text *t, const char *string)
{
	lb_text_put(t, string, strlen(string));
}

void lb_text_printf(struct lb_text *t, const char *fmt, ...)
{
	char buf[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	if (n > 0)
		lb_text_put(t, buf, (size_t)n < sizeof(buf) ? (size_t)n : sizeof(buf) - 1);
}

/* RFC 8259, 7: quotes, backslashes and what is below a space. */
static void put_escaped(struct lb_text *t, unsigned char c)
{
	static const char letters[] = "\"\"\\\\\bb\ff\nn\rr\tt";

	for (size_t i = 0; letters[i]; i += 2) {
		if (letters[i] == (char)c) {
			lb_text_put(t, "\\", 1);
			lb_text_put(t, &letters[i + 1], 1);
			return;
		}
	}
	lb_text_printf(t, "\\u%04x", c);
}

/* The code of a character that is not ASCII and that a reader of YAML takes for a line's end, or not for text at all:
 * C1's controls, the separators of lines and paragraphs, the byte order mark. 0: of any other. */
static unsigned int odd_character(const unsigned char *c, size_t len)
{
	if (len == 2 && c[0] == 0xc2 && c[1] < 0xa0)
		return c[1];
	if (len == 3 && c[0] == 0xe2 && c[1] == 0x80 && (c[2] == 0xa8 || c[2] == 0xa9))
		return 0x2000 + (c[2] & 0x3f);
	if (len == 3 && c[0] == 0xef && c[1] == 0xbb && c[2] == 0xbf)
		return 0xfeff;
	return 0;
}

void lb_text_json_string(struct lb_text *t, const char *string)
{
	lb_text_put(t, "\"", 1);
	while (*string) {
		size_t len = 0, character;
		unsigned int odd;

		while (string[len] >= ' ' && string[len] <= '~' && string[len] != '"' && string[len] != '\\')
			len++;
		lb_text_put(t, string, len);
		string += len;
		if (!*string)
			break;
		character = lb_utf8_len(string, strlen(string));
		odd = odd_character((const unsigned char *)string, character);
		if (odd)
			lb_text_printf(t, "\\u%04x", odd);
		else if (character > 1)
			lb_text_put(t, string, character);
		else if (character)
			put_escaped(t, (unsigned char)*string);
		else
			lb_text_put(t, "?", 1);
		string += character ? character : 1;
	}
	lb_text_put(t, "\"", 1);
}

char *lb_text_take(struct lb_text *t, size_t *len)
{
	char *at;

	lb_text_put(t, "", 0);
	if (t->failed) {
		lb_text_fini(t);
		return NULL;
	}
	at = t->at;
	if (len)
		*len = t->len;
	*t = (struct lb_text){0};
	return at;
}

void lb_text_fini(struct lb_text *t)
{
	free(t->at);
	*t = (struct lb_text){0};
}
