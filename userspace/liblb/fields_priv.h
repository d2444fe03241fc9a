/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the tables of fields are written with: for fields_table.c, and for fields_parts.c, which has its parts. */
#ifndef LB_FIELDS_PRIV_H
#define LB_FIELDS_PRIV_H

#include "fields.h"

#define MS 1000000ULL
#define S (1000 * MS)
#define M (60 * S)
#define H (60 * M)

/* .offset and .size of @member of struct @type */
#define PLACE(type, member) .offset = offsetof(struct type, member), .size = sizeof(((struct type *)0)->member)
#define LATER(key)                                                                                                     \
	{                                                                                                              \
		.name = key, .kind = LB_FIELD_LATER, .flags = LB_FIELD_UNSAID                                          \
	}
#define ELSEWHERE(key, mend)                                                                                           \
	{                                                                                                              \
		.name = key, .kind = LB_FIELD_LATER, .flags = LB_FIELD_UNSAID | LB_FIELD_OWN, .what = mend             \
	}

#define WORD(text, number)                                                                                             \
	{                                                                                                              \
		.name = text, .value = (int)(number)                                                                   \
	}
#define NEW_WORD(text, number, of)                                                                                     \
	{                                                                                                              \
		.name = text, .value = (int)(number), .feature = of                                                    \
	}

/* Behind a table: its decoder has room for so many. */
#define FIELDS_FIT(table)                                                                                              \
	_Static_assert(sizeof(table) / sizeof(*(table)) <= LB_FIELDS_MAX + 1, "more fields than LB_FIELDS_MAX")

/* .nr_offset and the place of the array @member of struct @type, counted by nr_@member */
#define ARRAY(type, member) .nr_offset = offsetof(struct type, nr_##member), PLACE(type, member)

extern const struct lb_object lb_object_check, lb_object_affinity, lb_object_quic, lb_object_announce,
	lb_object_resolver;
extern const struct lb_item lb_item_vip, lb_item_prefix, lb_item_snat, lb_item_header, lb_item_arg;

/* Letters, digits and @others alone? */
bool lb_text_only(const char *text, const char *others);
/* Printable ASCII without spaces? */
bool lb_text_is_visible(const char *text);

/* fields_check.c: 0, or -EINVAL with @err's message. */
int lb_verify_method(const char *text, struct lb_err *err);
int lb_verify_name(const char *text, struct lb_err *err);	 /* a domain name */
int lb_verify_server_name(const char *text, struct lb_err *err); /* a domain name or an address */
int lb_verify_grpc_service(const char *text, struct lb_err *err);
int lb_verify_file(const char *text, struct lb_err *err); /* an absolute path */
int lb_verify_payload(const char *text, struct lb_err *err);
int lb_verify_header_name(const char *text, struct lb_err *err);
int lb_status_parse(const char *text, struct lb_status_set *out, struct lb_err *err);
char *lb_status_format(const struct lb_status_set *s, char *buf, size_t size);

#endif
