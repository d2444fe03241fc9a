/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a check's configuration owns, and what its texts mean. */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "fields_priv.h"

#define AT(member) offsetof(struct lb_check_conf, member)
static const size_t strings[] = {AT(server_name), AT(ca_file), AT(service), AT(name),
				 AT(program),	  AT(send),    AT(expect),  AT(weight_header)};
#define NR_STRINGS (sizeof(strings) / sizeof(strings[0]))

static char **string(struct lb_check_conf *c, size_t i)
{
	return (char **)((char *)c + strings[i]);
}

static void *list_copy(const void *list, size_t nr)
{
	void *copy = nr ? malloc(nr * LB_CHECK_TEXT_MAX) : NULL;

	if (copy)
		memcpy(copy, list, nr * LB_CHECK_TEXT_MAX);
	return copy;
}

int lb_check_conf_copy(struct lb_check_conf *dst, const struct lb_check_conf *src)
{
	bool failed = false;

	*dst = *src;
	dst->headers = list_copy(src->headers, src->nr_headers);
	dst->args = list_copy(src->args, src->nr_args);
	failed |= (src->nr_headers && !dst->headers) || (src->nr_args && !dst->args);
	for (size_t i = 0; i < NR_STRINGS; i++) {
		char **s = string(dst, i);

		if (*s) {
			*s = strdup(*s);
			failed |= !*s;
		}
	}
	if (!failed)
		return 0;
	lb_check_conf_fini(dst);
	return -ENOMEM;
}

void lb_check_conf_fini(struct lb_check_conf *c)
{
	for (size_t i = 0; i < NR_STRINGS; i++)
		free(*string(c, i));
	free(c->headers);
	free(c->args);
	memset(c, 0, sizeof(*c));
}

bool lb_check_conf_same(const struct lb_check_conf *a, const struct lb_check_conf *b)
{
	return lb_object_equal(&lb_object_check, a, b);
}

const struct lb_vip_conf *lb_service_conf_check_vip(const struct lb_service_conf *s)
{
	bool udp = s->check.type == LB_CHECK_UDP || s->check.type == LB_CHECK_DNS;
	const struct lb_vip_conf *any = NULL;

	if (s->check.type == LB_CHECK_NONE || s->check.via != LB_CHECK_VIA_VIP)
		return NULL;
	for (size_t i = 0; i < s->nr_vips; i++) {
		if (s->vips[i].plen < 128)
			continue;
		if (s->vips[i].vip.proto == (udp ? IPPROTO_UDP : IPPROTO_TCP))
			return &s->vips[i];
		if (!any)
			any = &s->vips[i];
	}
	return any;
}

bool lb_check_conf_reads_weight(const struct lb_check_conf *c)
{
	return (c->type == LB_CHECK_HTTP || c->type == LB_CHECK_HTTPS) && (c->weight_header || c->weight_body);
}

bool lb_status_expected(const struct lb_status_set *s, unsigned int status)
{
	for (uint16_t i = 0; i < s->nr; i++)
		if (status >= s->range[i].min && status <= s->range[i].max)
			return true;
	return false;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int lb_text_unescape(const char *text, uint8_t *out)
{
	static const char escapes[] = "nrt\\", means[] = "\n\r\t\\";
	const char *e;
	int n = 0;

	for (; *text; text++) {
		if (*text != '\\') {
			out[n++] = (uint8_t)*text;
			continue;
		}
		text++;
		e = *text ? strchr(escapes, *text) : NULL;
		if (e) {
			out[n++] = (uint8_t)means[e - escapes];
		} else if (*text == 'x' && hex_digit(text[1]) >= 0 && hex_digit(text[2]) >= 0) {
			out[n++] = (uint8_t)(hex_digit(text[1]) << 4 | hex_digit(text[2]));
			text += 2;
		} else {
			return -EINVAL;
		}
	}
	return n;
}
