/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the texts of a check may be: statuses, names, headers, payloads. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fields_priv.h"

/* ---- statuses ---- */

/* "200" or "200-399" */
static int parse_range(char *text, uint16_t *first, uint16_t *last)
{
	char *dash = strchr(text, '-');
	uint64_t min, max;

	if (dash)
		*dash++ = '\0';
	if (strlen(text) != 3 || lb_number_parse(text, "", 100, 599, &min, NULL) ||
	    lb_number_parse(dash ? dash : text, "", min, 599, &max, NULL))
		return -EINVAL;
	*first = (uint16_t)min;
	*last = (uint16_t)max;
	return 0;
}

int lb_status_parse(const char *text, struct lb_status_set *out, struct lb_err *err)
{
	char copy[LB_MAX_STATUS_RANGES * 8 + 1] = "", *rest = copy, *one;
	uint16_t first[LB_MAX_STATUS_RANGES], last[LB_MAX_STATUS_RANGES];
	bool in[600] = {false};
	struct lb_status_set s = {0};
	int nr = 0;

	if (strlen(text) >= sizeof(copy))
		goto many;
	strcpy(copy, text);
	while ((one = strsep(&rest, ","))) {
		if (nr == LB_MAX_STATUS_RANGES)
			goto many;
		if (parse_range(one, &first[nr], &last[nr]))
			goto bad;
		for (int i = first[nr]; i <= last[nr]; i++)
			in[i] = true;
		nr++;
	}
	/* As few ranges as there can be, in order: equal sets are equal bytes. */
	for (uint16_t i = 100; i < 600; i++) {
		if (!in[i])
			continue;
		if (!in[i - 1])
			s.range[s.nr++].min = i;
		s.range[s.nr - 1].max = i;
	}
	*out = s;
	return 0;
many:
	return lb_err_set(err, -EINVAL, NULL, "no room for so many statuses; at most %d ranges", LB_MAX_STATUS_RANGES);
bad:
	return lb_err_set(err, -EINVAL, NULL,
			  "%.64s is not an HTTP status or a range of them (such as 200-399, or 200-299,301)",
			  lb_err_text(text));
}

char *lb_status_format(const struct lb_status_set *s, char *buf, size_t size)
{
	size_t n = 0;

	*buf = '\0';
	for (uint16_t i = 0; i < s->nr && n < size; i++) {
		n += (size_t)snprintf(buf + n, size - n, "%s%u", i ? "," : "", s->range[i].min);
		if (s->range[i].max != s->range[i].min && n < size)
			n += (size_t)snprintf(buf + n, size - n, "-%u", s->range[i].max);
	}
	return buf;
}

/* ---- texts ---- */

int lb_verify_method(const char *text, struct lb_err *err)
{
	size_t len = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");

	if (*text && !text[len] && strcmp(text, "CONNECT"))
		return 0;
	return lb_err_set(err, -EINVAL, NULL, "%.64s is not a method to check with (such as GET, HEAD or OPTIONS)",
			  lb_err_text(text));
}

/* RFC 1035, 2.3.4: labels of 1 to 63 bytes, 253 in all, a dot at the end or none. Underscores are in use. */
static bool is_domain(const char *text)
{
	size_t len = strlen(text), label;

	if (!strcmp(text, "."))
		return true;
	if (len && text[len - 1] == '.')
		len--;
	if (!len || len > 253 || !lb_text_only(text, "-_."))
		return false;
	for (size_t i = 0; i <= len; i += label + 1) {
		label = strcspn(text + i, ".");
		if (!label || label > 63)
			return false;
	}
	return true;
}

int lb_verify_name(const char *text, struct lb_err *err)
{
	if (is_domain(text))
		return 0;
	return lb_err_set(err, -EINVAL, NULL, "%.64s is not a domain name (such as www.example.org)",
			  lb_err_text(text));
}

int lb_verify_server_name(const char *text, struct lb_err *err)
{
	uint8_t addr[16];

	if ((is_domain(text) && strcmp(text, ".")) || !lb_addr_parse(text, addr, NULL))
		return 0;
	return lb_err_set(err, -EINVAL, NULL, "%.64s is neither a domain name (such as www.example.org) nor an address",
			  lb_err_text(text));
}

int lb_verify_grpc_service(const char *text, struct lb_err *err)
{
	if (lb_text_is_visible(text))
		return 0;
	return lb_err_set(err, -EINVAL, NULL, "%.64s is not a gRPC service (such as example.v1.Users)",
			  lb_err_text(text));
}

int lb_verify_file(const char *text, struct lb_err *err)
{
	bool control = false;

	for (const char *p = text; *p; p++)
		control |= (unsigned char)*p < ' ' || *p == 0x7f;
	if (*text == '/' && !control && lb_text_is_utf8(text) && text[strlen(text) - 1] != '/')
		return 0;
	return lb_err_set(err, -EINVAL, NULL, "%.64s is not a file's absolute path: it begins with /",
			  lb_err_text(text));
}

int lb_verify_payload(const char *text, struct lb_err *err)
{
	uint8_t bytes[LB_CHECK_TEXT_MAX];

	for (const char *p = text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return lb_err_set(err, -EINVAL, NULL, "a control character is written as \\xHH");
	if (!lb_text_is_utf8(text))
		return lb_err_set(err, -EINVAL, NULL, "is not UTF-8; write other bytes as \\xHH");
	if (lb_text_unescape(text, bytes) >= 0)
		return 0;
	return lb_err_set(err, -EINVAL, NULL,
			  "%.64s has a backslash that is none of \\xHH (such as \\x00), \\n, \\r, \\t and \\\\",
			  lb_err_text(text));
}

/* ---- lists ---- */

/* RFC 9110, 5.6.2 */
static bool is_token(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("!#$%&'*+-.^_`|~", c));
}

int lb_verify_header_name(const char *text, struct lb_err *err)
{
	size_t len = 0;

	while (is_token(text[len]))
		len++;
	if (len && !text[len])
		return 0;
	return lb_err_set(err, -EINVAL, NULL, "%.64s is not a header's name (such as X-Weight)", lb_err_text(text));
}

static int copy_text(const char *text, char *out, struct lb_err *err)
{
	if (strlen(text) >= LB_CHECK_TEXT_MAX)
		return lb_err_set(err, -EINVAL, NULL, "%.40s... is longer than %d bytes", text, LB_CHECK_TEXT_MAX - 1);
	for (const char *p = text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return lb_err_set(err, -EINVAL, NULL, "has a control character; leave it out");
	if (!lb_text_is_utf8(text))
		return lb_err_set(err, -EINVAL, NULL, "is not UTF-8");
	strcpy(out, text);
	return 0;
}

/* What lbd writes itself, from other keys or because there is no body. */
static const char *const own_headers[] = {"Host", "Content-Length", "Transfer-Encoding", "Connection", NULL};

static int parse_header(const char *text, void *out, struct lb_err *err)
{
	size_t len = 0, value;

	while (is_token(text[len]))
		len++;
	value = len;
	if (text[value] == ':')
		value += 1 + strspn(text + value + 1, " ");
	if (!len || text[len] != ':' || !text[value])
		return lb_err_set(err, -EINVAL, NULL,
				  "%.64s is not of the form NAME: VALUE (such as Accept: text/plain)",
				  lb_err_text(text));
	for (size_t i = 0; own_headers[i]; i++)
		if (strlen(own_headers[i]) == len && !strncasecmp(own_headers[i], text, len))
			return lb_err_set(err, -EINVAL, NULL, "%s is not to be given here%s", own_headers[i],
					  i ? "; leave it out" : "; write it as host");
	return copy_text(text, out, err);
}

static int parse_arg(const char *text, void *out, struct lb_err *err)
{
	return copy_text(text, out, err);
}

static void format_text(const void *in, char buf[LB_FIELD_STRLEN])
{
	snprintf(buf, LB_FIELD_STRLEN, "%s", (const char *)in);
}

const struct lb_item lb_item_header = {LB_CHECK_TEXT_MAX, parse_header, format_text};
const struct lb_item lb_item_arg = {LB_CHECK_TEXT_MAX, parse_arg, format_text};
