// SPDX-License-Identifier: GPL-2.0-or-later
/* What a request's headers say of it; see http_head.h. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <microhttpd.h>

#include "http.h"
#include "http_head.h"

struct look {
	struct lb_http_head *head;
	size_t bytes;
	const char *length; /* of the body, as the first header has it */
	bool encoded;
	bool plain;	     /* the first Transfer-Encoding is "chunked", as libmicrohttpd has to see it */
	bool chunked;	     /* the last of the codings is */
	bool chunked_before; /* one before it is */
	unsigned int codings;
};

/* Several headers are one list (RFC 9110, 5.3). */
static void look_at_codings(struct look *l, const char *list)
{
	l->plain |= !l->encoded && !strcasecmp(list, "chunked");
	l->encoded = true;
	for (size_t len; *list; list += len) {
		list += strspn(list, " \t,");
		len = strcspn(list, " \t,");
		if (!len)
			break;
		l->chunked_before |= l->chunked;
		l->chunked = len == strlen("chunked") && !strncasecmp(list, "chunked", len);
		l->codings++;
	}
}

static enum MHD_Result look_at(void *cls, enum MHD_ValueKind kind, const char *key, const char *value)
{
	struct look *l = cls;

	l->bytes += strlen(key) + (value ? strlen(value) : 0);
	if (!value)
		return MHD_YES;
	if (!strcasecmp(key, MHD_HTTP_HEADER_TRANSFER_ENCODING)) {
		look_at_codings(l, value);
	} else if (!strcasecmp(key, MHD_HTTP_HEADER_EXPECT)) {
		l->head->waits |= !strcasecmp(value, "100-continue");
	} else if (!strcasecmp(key, MHD_HTTP_HEADER_CONTENT_LENGTH)) {
		l->head->ambiguous |= l->length && strcmp(l->length, value);
		l->length = value;
	}
	return MHD_YES;
}

void lb_http_head(struct MHD_Connection *conn, struct lb_http_head *head)
{
	struct look l = {.head = head};

	*head = (struct lb_http_head){0};
	MHD_get_connection_values(conn, MHD_HEADER_KIND, look_at, &l);
	head->too_large = l.bytes > LB_HTTP_HEADERS_MAX;
	head->ambiguous |= l.length && l.encoded;
	if (l.encoded && (!l.chunked || l.chunked_before))
		head->coding = 400;
	else if (l.encoded && !l.plain)
		head->coding = l.codings > 1 ? 501 : 400;
	head->body_too_large = l.length && strtoull(l.length, NULL, 10) > LB_HTTP_BODY_MAX;
}
