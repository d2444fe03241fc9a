// SPDX-License-Identifier: GPL-2.0-or-later
/* A fingerprint of a part of the configuration, by the table of fields: of thousands of backends in a fraction of a
 * millisecond, which writing them as text is not. */
#include <string.h>

#include "fields.h"

/* FNV-1a: tells versions apart, needs no strength. */
static uint64_t hash_bytes(uint64_t h, const void *bytes, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		h = (h ^ ((const unsigned char *)bytes)[i]) * 0x100000001b3ULL;
	return h;
}

/* With its end, so that "ab", "c" is not "a", "bc". */
static uint64_t hash_text(uint64_t h, const char *text)
{
	return text ? hash_bytes(h, text, strlen(text) + 1) : hash_bytes(h, "\xff", 1);
}

static uint64_t hash_object(uint64_t h, const struct lb_object *o, const void *obj);

static uint64_t hash_list(uint64_t h, const struct lb_field *f, const void *obj)
{
	size_t nr = *(const size_t *)((const char *)obj + f->nr_offset);
	const char *items;

	memcpy(&items, (const char *)obj + f->offset, sizeof(items));
	h = hash_bytes(h, &nr, sizeof(nr));
	for (size_t i = 0; i < nr; i++)
		h = hash_object(h, f->object, items + i * f->object->size);
	return h;
}

static uint64_t hash_items(uint64_t h, const struct lb_field *f, const void *obj)
{
	char buf[LB_FIELD_STRLEN], *text;
	size_t i = 0;

	while ((text = lb_field_item(f, obj, i++, buf)))
		h = hash_text(h, text);
	return hash_text(h, NULL);
}

/* What has more than one form in memory is hashed as it is written. */
static uint64_t hash_field(uint64_t h, const struct lb_field *f, const void *obj)
{
	const char *at = (const char *)obj + f->offset;
	char buf[LB_FIELD_STRLEN];

	switch (f->kind) {
	case LB_FIELD_TEXT:
		return hash_text(h, at);
	case LB_FIELD_NUMBER:
	case LB_FIELD_DURATION:
	case LB_FIELD_WORD:
	case LB_FIELD_BOOL:
	case LB_FIELD_ADDRESS:
		return hash_bytes(h, at, f->size);
	case LB_FIELD_ITEMS:
	case LB_FIELD_SOURCES:
		return hash_items(h, f, obj);
	case LB_FIELD_OBJECT:
		return hash_object(h, f->object, at);
	case LB_FIELD_LIST:
		return hash_list(h, f, obj);
	case LB_FIELD_LATER:
		return h;
	default:
		return hash_text(h, lb_field_format(f, obj, buf));
	}
}

static uint64_t hash_object(uint64_t h, const struct lb_object *o, const void *obj)
{
	for (const struct lb_field *f = o->fields; f->name; f++)
		h = hash_field(h, f, obj);
	return h;
}

uint64_t lb_service_conf_hash(const struct lb_service_conf *s)
{
	return hash_object(0xcbf29ce484222325ULL, &lb_object_service, s);
}
