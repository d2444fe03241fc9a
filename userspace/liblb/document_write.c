/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From the configuration to JSON by the table of fields, and from JSON to block-style YAML. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "document.h"
#include "fields.h"
#include "pause.h"

#define PAUSE_EVERY 64 /* backends */

/* ---- JSON ---- */

enum how {
	FULL,	  /* every field */
	TERSE,	  /* without those that are their default, unless they are always worth saying */
	DEFAULTS, /* without any that is its default, nor what is each service's own */
};

static json_t *encode_object(const struct lb_object *o, const void *obj, const void *base, enum how how);

static json_t *encode_texts(const struct lb_field *f, const void *obj)
{
	json_t *list = json_array();
	char buf[LB_FIELD_STRLEN];

	for (size_t i = 0; list && lb_field_item(f, obj, i, buf); i++) {
		if (json_array_append_new(list, json_string(buf))) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

/* What a reader of @f's list, which is in @obj, starts each element from; NULL: from nothing. @room: a backend's. */
static const void *base_of_items(const struct lb_field *f, const void *obj, struct lb_backend_conf *room)
{
	if (f->object == &lb_object_service)
		return &((const struct lb_config *)obj)->defaults;
	if (f->object != &lb_object_backend)
		return NULL;
	memset(room, 0, sizeof(*room));
	lb_object_backend.init(room, NULL);
	return room;
}

/* The elements of a list, and how many there are. */
static const char *items_of(const struct lb_field *f, const void *obj, size_t *nr)
{
	const char *items;

	memcpy(&items, (const char *)obj + f->offset, sizeof(items));
	*nr = *(const size_t *)((const char *)obj + f->nr_offset);
	return items;
}

static json_t *encode_list(const struct lb_field *f, const void *obj, enum how how)
{
	struct lb_backend_conf room;
	const void *base = base_of_items(f, obj, &room);
	json_t *list = json_array();
	size_t nr;
	const char *items = items_of(f, obj, &nr);

	for (size_t i = 0; list && i < nr; i++) {
		if (json_array_append_new(list, encode_object(f->object, items + i * f->object->size, base, how))) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *encode_field(const struct lb_field *f, const void *obj, const void *base, enum how how)
{
	char buf[LB_FIELD_STRLEN], *text;

	switch (f->kind) {
	case LB_FIELD_ITEMS:
	case LB_FIELD_SOURCES:
		return encode_texts(f, obj);
	case LB_FIELD_OBJECT:
		if (f->object->fields == lb_object_service.fields)
			how = DEFAULTS;
		return encode_object(f->object, (const char *)obj + f->offset,
				     base ? (const char *)base + f->offset : NULL, how);
	case LB_FIELD_LIST:
		return encode_list(f, obj, how);
	default:
		text = lb_field_format(f, obj, buf);
		if (!text)
			return json_null();
		if (f->kind == LB_FIELD_BOOL)
			return json_boolean(*text == 't');
		return f->kind == LB_FIELD_NUMBER && strcmp(text, "none")
			       ? json_integer((json_int_t)lb_field_number(f, obj))
			       : json_string(text);
	}
}

static bool is_left_out(const struct lb_field *f, const void *obj, const void *base, enum how how)
{
	if (f->flags & LB_FIELD_UNSAID || lb_is_later(f->feature) || (how == DEFAULTS && (f->flags & LB_FIELD_OWN)))
		return true;
	if (how == FULL || !base || f->kind == LB_FIELD_LIST || (how == TERSE && (f->flags & LB_FIELD_ALWAYS)))
		return false;
	return lb_field_equal(f, obj, base);
}

/* @base: what a reader starts from, NULL where that is nothing; so what equals it may be left out. */
static json_t *encode_object(const struct lb_object *o, const void *obj, const void *base, enum how how)
{
	json_t *json = json_object();

	for (const struct lb_field *f = o->fields; json && f->name; f++) {
		if (is_left_out(f, obj, base, how))
			continue;
		if (json_object_set_new(json, f->name, encode_field(f, obj, base, how))) {
			json_decref(json);
			return NULL;
		}
	}
	return json;
}

json_t *lb_document_config(const struct lb_config *c)
{
	struct lb_config *base = lb_config_new();
	json_t *json;

	if (!base)
		return NULL;
	json = encode_object(&lb_object_config, c, base, TERSE);
	lb_config_free(base);
	return json;
}

json_t *lb_document_service(const struct lb_service_conf *s)
{
	return encode_object(&lb_object_service, s, NULL, FULL);
}

/* ---- JSON as text, without a tree: there may be thousands of services and backends ---- */

static void put_object(struct lb_text *t, const struct lb_object *o, const void *obj, const void *base, enum how how);

static void put_list(struct lb_text *t, const struct lb_field *f, const void *obj, enum how how)
{
	struct lb_backend_conf room;
	const void *base = base_of_items(f, obj, &room);
	size_t nr;
	const char *items = items_of(f, obj, &nr);

	lb_text_puts(t, "[");
	for (size_t i = 0; i < nr; i++) {
		if (i)
			lb_text_puts(t, ",");
		put_object(t, f->object, items + i * f->object->size, base, how);
	}
	lb_text_puts(t, "]");
}

static void put_texts(struct lb_text *t, const struct lb_field *f, const void *obj)
{
	char buf[LB_FIELD_STRLEN];

	lb_text_puts(t, "[");
	for (size_t i = 0; lb_field_item(f, obj, i, buf); i++) {
		if (i)
			lb_text_puts(t, ",");
		lb_text_json_string(t, buf);
	}
	lb_text_puts(t, "]");
}

static void put_field(struct lb_text *t, const struct lb_field *f, const void *obj, const void *base, enum how how)
{
	char buf[LB_FIELD_STRLEN], *text;

	switch (f->kind) {
	case LB_FIELD_ITEMS:
	case LB_FIELD_SOURCES:
		put_texts(t, f, obj);
		break;
	case LB_FIELD_OBJECT:
		put_object(t, f->object, (const char *)obj + f->offset, base ? (const char *)base + f->offset : NULL,
			   f->object->fields == lb_object_service.fields ? DEFAULTS : how);
		break;
	case LB_FIELD_LIST:
		put_list(t, f, obj, how);
		break;
	default:
		text = lb_field_format(f, obj, buf);
		if (!text)
			lb_text_puts(t, "null");
		else if (f->kind == LB_FIELD_BOOL || (f->kind == LB_FIELD_NUMBER && *text >= '0' && *text <= '9'))
			lb_text_puts(t, text);
		else
			lb_text_json_string(t, text);
	}
}

/* The fields from @f up to @end, each with a comma before it unless it is the first of all. @end NULL: to the last. */
static void put_fields(struct lb_text *t, const struct lb_field *f, const struct lb_field *end, const void *obj,
		       const void *base, enum how how)
{
	for (; f->name && f != end; f++) {
		if (is_left_out(f, obj, base, how))
			continue;
		if (t->at[t->len - 1] != '{')
			lb_text_puts(t, ",");
		lb_text_json_string(t, f->name);
		lb_text_puts(t, ":");
		put_field(t, f, obj, base, how);
	}
}

static void put_object(struct lb_text *t, const struct lb_object *o, const void *obj, const void *base, enum how how)
{
	lb_text_puts(t, "{");
	if (!t->failed)
		put_fields(t, o->fields, NULL, obj, base, how);
	lb_text_puts(t, "}");
}

/* The one field of @o that is a list of @of. */
static const struct lb_field *list_of(const struct lb_object *o, const struct lb_object *of)
{
	const struct lb_field *f = o->fields;

	while (f->kind != LB_FIELD_LIST || f->object != of)
		f++;
	return f;
}

/* The backends of both are in order of address: the one of @was at or behind *@at that is the same as @b, or NULL. */
static const struct lb_backend_conf *same_backend(const struct lb_service_conf *was, size_t *at,
						  const struct lb_backend_conf *b)
{
	int order = -1;

	while (was && *at < was->nr_backends &&
	       (order = memcmp(&was->backends[*at].address, &b->address, sizeof(b->address))) < 0)
		++*at;
	return !order && !memcmp(&was->backends[*at], b, sizeof(*b)) ? &was->backends[*at] : NULL;
}

static void put_backends(struct lb_text *t, const struct lb_field *list, const struct lb_service_conf *s,
			 const struct lb_service_conf *was, const struct lb_service_text *from, size_t *begin)
{
	struct lb_backend_conf room;
	const void *base = base_of_items(list, s, &room);
	size_t at = 0;

	for (size_t i = 0; i < s->nr_backends; i++) {
		begin[i] = t->len;
		lb_pause_at(i + 1, PAUSE_EVERY);
		if (same_backend(was, &at, &s->backends[i]))
			lb_text_put(t, from->at + from->backend[at], from->backend[at + 1] - from->backend[at] - 1);
		else
			put_object(t, &lb_object_backend, &s->backends[i], base, TERSE);
		lb_text_puts(t, ",");
	}
	begin[s->nr_backends] = t->len;
	if (s->nr_backends && !t->failed)
		t->len--; /* the last comma */
}

int lb_document_service_text(const struct lb_config *c, const struct lb_service_conf *s,
			     const struct lb_service_conf *was, const struct lb_service_text *from,
			     struct lb_service_text *out)
{
	const struct lb_field *list = list_of(&lb_object_service, &lb_object_backend);
	struct lb_text t = {0};

	*out = (struct lb_service_text){.backend = calloc(s->nr_backends + 1, sizeof(*out->backend))};
	lb_text_puts(&t, "{");
	if (!t.failed && out->backend) {
		put_fields(&t, lb_object_service.fields, list, s, &c->defaults, TERSE);
		lb_text_puts(&t, ",\"backends\":[");
		put_backends(&t, list, s, was, from, out->backend);
		lb_text_puts(&t, "]");
		put_fields(&t, list + 1, NULL, s, &c->defaults, TERSE);
		lb_text_puts(&t, "}");
		out->at = lb_text_take(&t, &out->len);
	}
	lb_text_fini(&t);
	if (out->at)
		return 0;
	lb_service_text_fini(out);
	return -ENOMEM;
}

void lb_service_text_fini(struct lb_service_text *t)
{
	free(t->at);
	free(t->backend);
	*t = (struct lb_service_text){0};
}

void lb_document_put_service(struct lb_text *t, const struct lb_service_conf *s)
{
	const struct lb_field *list = list_of(&lb_object_service, &lb_object_backend);

	lb_text_puts(t, "{");
	if (t->failed)
		return;
	put_fields(t, lb_object_service.fields, list, s, NULL, FULL);
	put_fields(t, list + 1, NULL, s, NULL, FULL);
}

void lb_document_put_backend(struct lb_text *t, const struct lb_backend_conf *b)
{
	lb_text_puts(t, "{");
	if (!t->failed)
		put_fields(t, lb_object_backend.fields, NULL, b, NULL, FULL);
}

json_t *lb_document_backend(const struct lb_backend_conf *b)
{
	return encode_object(&lb_object_backend, b, NULL, FULL);
}

json_t *lb_document_iface(const struct lb_iface_conf *i)
{
	return encode_object(&lb_object_iface, i, NULL, FULL);
}

/* ---- YAML ---- */

static bool is_word_of_yaml(const char *text)
{
	/* YAML 1.1 knows more of them than 1.2, and is what many readers still follow. */
	static const char *const words[] = {"null", "true", "false", "yes", "no", "on", "off", "y", "n", NULL};

	for (size_t i = 0; words[i]; i++)
		if (!strcasecmp(words[i], text))
			return true;
	return false;
}

/* Needs no quotes for any reader: neither syntax, nor a number, date or word of YAML's own. */
static bool is_plain(const char *text)
{
	size_t len = strlen(text), dots = 0;
	bool letter = false;

	for (const char *p = text; *p; p++) {
		bool digit = *p >= '0' && *p <= '9';

		if (!digit && !((*p | 0x20) >= 'a' && (*p | 0x20) <= 'z') && !strchr("._/:-", *p))
			return false;
		dots += *p == '.';
	}
	if (!len || text[len - 1] == ':' || is_word_of_yaml(text))
		return false;
	letter = (*text | 0x20) >= 'a' && (*text | 0x20) <= 'z';
	if (letter || *text == '/')
		return true;
	/* An IPv4 address or a duration: no number has three dots, or ends so. */
	return *text >= '0' && *text <= '9' && (dots >= 3 || strchr("smh", text[len - 1]));
}

static void yaml_scalar(struct lb_text *t, const json_t *value)
{
	char *text;

	if (json_is_string(value) && is_plain(json_string_value(value))) {
		lb_text_puts(t, json_string_value(value));
		return;
	}
	if (json_is_string(value)) {
		lb_text_json_string(t, json_string_value(value));
		return;
	}
	text = json_dumps(value, JSON_ENCODE_ANY);
	if (text)
		lb_text_puts(t, text);
	else
		t->failed = true;
	free(text);
}

static void yaml_value(struct lb_text *t, const json_t *value, int indent);

/* @indent < 0: the first key follows what the line has already. */
static void yaml_indent(struct lb_text *t, int indent)
{
	lb_text_printf(t, "%*s", indent < 0 ? 0 : indent, "");
}

static void yaml_list(struct lb_text *t, const json_t *list, int indent)
{
	const json_t *item;
	size_t i;

	json_array_foreach (list, i, item) {
		yaml_indent(t, indent);
		lb_text_puts(t, "- ");
		if (json_is_object(item) && json_object_size(item)) {
			yaml_value(t, item, -(indent + 2));
		} else {
			yaml_value(t, item, indent + 2);
			lb_text_puts(t, "\n");
		}
	}
}

static void yaml_member(struct lb_text *t, const char *key, const json_t *value, int indent)
{
	yaml_indent(t, indent);
	lb_text_puts(t, key);
	indent = abs(indent);
	if (json_is_object(value) && json_object_size(value)) {
		lb_text_puts(t, ":\n");
		yaml_value(t, value, indent + 2);
	} else if (json_is_array(value) && json_array_size(value)) {
		lb_text_puts(t, ":\n");
		yaml_list(t, value, indent + 2);
	} else {
		lb_text_puts(t, ": ");
		yaml_value(t, value, indent);
		lb_text_puts(t, "\n");
	}
}

static void yaml_value(struct lb_text *t, const json_t *value, int indent)
{
	const json_t *member;
	const char *key;

	if (!json_is_object(value) && !json_is_array(value)) {
		yaml_scalar(t, value);
		return;
	}
	if (json_is_array(value) || !json_object_size(value)) {
		lb_text_puts(t, json_is_array(value) ? "[]" : "{}");
		return;
	}
	json_object_foreach ((json_t *)value, key, member) {
		yaml_member(t, key, member, indent);
		indent = abs(indent);
	}
}

static void yaml_fields(struct lb_text *t, const struct lb_field *f, const struct lb_field *end, const void *obj,
			const void *base, enum how how, int indent);

/* An element of a list, with its dash. */
static void yaml_item(struct lb_text *t, const struct lb_object *o, const void *item, const void *base, enum how how,
		      int indent)
{
	yaml_indent(t, indent);
	lb_text_puts(t, "- ");
	yaml_fields(t, o->fields, NULL, item, base, how, -(indent + 2));
}

/* Lists of structs are walked, since they may be long; a tree is made of all else. */
static void yaml_fields(struct lb_text *t, const struct lb_field *f, const struct lb_field *end, const void *obj,
			const void *base, enum how how, int indent)
{
	for (; f->name && f != end; f++) {
		struct lb_backend_conf room;
		const char *items = NULL;
		json_t *value;
		size_t nr = 0;

		if (is_left_out(f, obj, base, how))
			continue;
		if (f->kind == LB_FIELD_LIST)
			items = items_of(f, obj, &nr);
		if (nr) {
			const void *item_base = base_of_items(f, obj, &room);

			yaml_indent(t, indent);
			lb_text_printf(t, "%s:\n", f->name);
			for (size_t i = 0; i < nr; i++)
				yaml_item(t, f->object, items + i * f->object->size, item_base, how, abs(indent) + 2);
		} else {
			value = encode_field(f, obj, base, how);
			t->failed |= !value;
			if (value)
				yaml_member(t, f->name, value, indent);
			json_decref(value);
		}
		indent = abs(indent);
	}
}

/* ---- the whole, service by service ---- */

/* The configuration's fields before, or after, its services. */
static void put_rest(struct lb_text *t, const struct lb_config *c, bool before, bool yaml)
{
	const struct lb_field *services = list_of(&lb_object_config, &lb_object_service);
	const struct lb_field *from = before ? lb_object_config.fields : services + 1;
	const struct lb_field *end = before ? services : NULL;
	struct lb_config *base = lb_config_new();

	if (!base || t->failed)
		t->failed = true;
	else if (yaml)
		yaml_fields(t, from, end, c, base, TERSE, 0);
	else
		put_fields(t, from, end, c, base, TERSE);
	lb_config_free(base);
}

void lb_document_config_begin(struct lb_text *t, const struct lb_config *c, bool yaml)
{
	if (!yaml)
		lb_text_puts(t, "{");
	put_rest(t, c, true, yaml);
	if (yaml)
		lb_text_puts(t, c->nr_services ? "services:\n" : "services: []\n");
	else
		lb_text_puts(t, ",\"services\":[");
}

/* A service's fields before its backends, up to where the first of them begins; or those after them, and the end. */
static void put_service_rest(struct lb_text *t, const struct lb_config *c, size_t i, bool before, bool yaml)
{
	const struct lb_field *backends = list_of(&lb_object_service, &lb_object_backend);
	const struct lb_field *from = before ? lb_object_service.fields : backends + 1;
	const struct lb_field *end = before ? backends : NULL;
	const struct lb_service_conf *s = &c->services[i];

	if (yaml) {
		if (before)
			lb_text_puts(t, "  - ");
		yaml_fields(t, from, end, s, &c->defaults, TERSE, before ? -4 : 4);
		if (before)
			lb_text_printf(t, "    %s:%s\n", backends->name, s->nr_backends ? "" : " []");
		return;
	}
	lb_text_puts(t, !before ? "]" : i ? ",\n{" : "\n{");
	if (t->failed)
		return;
	put_fields(t, from, end, s, &c->defaults, TERSE);
	if (before)
		lb_text_printf(t, ",\"%s\":[", backends->name);
	else
		lb_text_puts(t, "}");
}

size_t lb_document_config_service(struct lb_text *t, const struct lb_config *c, size_t i, size_t from, size_t max,
				  bool yaml)
{
	const struct lb_service_conf *s = &c->services[i];
	struct lb_backend_conf base = {0};

	lb_object_backend.init(&base, NULL);
	if (!from)
		put_service_rest(t, c, i, true, yaml);
	for (; from < s->nr_backends && max; from++, max--) {
		if (yaml) {
			yaml_item(t, &lb_object_backend, &s->backends[from], &base, TERSE, 6);
			continue;
		}
		if (from)
			lb_text_puts(t, ",");
		put_object(t, &lb_object_backend, &s->backends[from], &base, TERSE);
	}
	if (from < s->nr_backends)
		return from;
	put_service_rest(t, c, i, false, yaml);
	return 0;
}

void lb_document_config_end(struct lb_text *t, const struct lb_config *c, bool yaml)
{
	if (!yaml)
		lb_text_puts(t, "]");
	put_rest(t, c, false, yaml);
	if (!yaml)
		lb_text_puts(t, "}\n");
}

char *lb_document_yaml(const struct lb_config *c)
{
	struct lb_text t = {0};

	lb_document_config_begin(&t, c, true);
	for (size_t i = 0; i < c->nr_services; i++)
		lb_document_config_service(&t, c, i, 0, SIZE_MAX, true);
	lb_document_config_end(&t, c, true);
	return lb_text_take(&t, NULL);
}
