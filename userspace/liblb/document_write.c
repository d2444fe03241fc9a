/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From the configuration to JSON by the table of fields, and from JSON to block-style YAML. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "document.h"
#include "fields.h"

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

/* ---- JSON as text, without a tree: a state with thousands of backends is saved at each change ---- */

struct text {
	char *at;
	size_t len, room;
	bool failed;
};

static void put(struct text *t, const char *bytes, size_t nr)
{
	size_t room = t->room ? t->room : 4096;
	char *at;

	while (room < t->len + nr + 1)
		room *= 2;
	if (room != t->room) {
		at = realloc(t->at, room);
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

/* Takes @json over. */
static void put_json(struct text *t, json_t *json)
{
	char *text = json ? json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;

	if (text)
		put(t, text, strlen(text));
	else
		t->failed = true;
	json_decref(json);
	free(text);
}

static void put_string(struct text *t, const char *string)
{
	size_t len = 0;

	while (string[len] >= ' ' && string[len] <= '~' && string[len] != '"' && string[len] != '\\')
		len++;
	if (string[len]) {
		put_json(t, json_string(string));
		return;
	}
	put(t, "\"", 1);
	put(t, string, len);
	put(t, "\"", 1);
}

static void put_object(struct text *t, const struct lb_object *o, const void *obj, const void *base, enum how how);

static void put_list(struct text *t, const struct lb_field *f, const void *obj, enum how how)
{
	struct lb_backend_conf room;
	const void *base = base_of_items(f, obj, &room);
	size_t nr;
	const char *items = items_of(f, obj, &nr);

	put(t, "[", 1);
	for (size_t i = 0; i < nr; i++) {
		if (i)
			put(t, ",", 1);
		put_object(t, f->object, items + i * f->object->size, base, how);
	}
	put(t, "]", 1);
}

static void put_field(struct text *t, const struct lb_field *f, const void *obj, const void *base, enum how how)
{
	char buf[LB_FIELD_STRLEN], *text;

	switch (f->kind) {
	case LB_FIELD_LIST:
		put_list(t, f, obj, how);
		break;
	case LB_FIELD_NUMBER:
	case LB_FIELD_WORD:
	case LB_FIELD_ADDRESS:
		text = lb_field_format(f, obj, buf);
		if (!text)
			put(t, "null", 4);
		else if (f->kind == LB_FIELD_NUMBER && *text >= '0' && *text <= '9')
			put(t, text, strlen(text));
		else
			put_string(t, text);
		break;
	default: /* what there are few of */
		put_json(t, encode_field(f, obj, base, how));
	}
}

static void put_object(struct text *t, const struct lb_object *o, const void *obj, const void *base, enum how how)
{
	const char *before = "{";

	for (const struct lb_field *f = o->fields; f->name; f++) {
		if (is_left_out(f, obj, base, how))
			continue;
		put(t, before, 1);
		put_string(t, f->name);
		put(t, ":", 1);
		put_field(t, f, obj, base, how);
		before = ",";
	}
	put(t, *before == '{' ? "{}" : "}", *before == '{' ? 2 : 1);
}

char *lb_document_service_text(const struct lb_config *c, const struct lb_service_conf *s)
{
	struct text t = {0};

	put_object(&t, &lb_object_service, s, &c->defaults, TERSE);
	if (!t.failed)
		return t.at;
	free(t.at);
	return NULL;
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

static void write_scalar(FILE *f, const json_t *value)
{
	char *text;

	if (json_is_string(value) && is_plain(json_string_value(value))) {
		fputs(json_string_value(value), f);
		return;
	}
	/* A JSON text is a double-quoted YAML text. */
	text = json_dumps(value, JSON_ENCODE_ANY);
	if (text)
		fputs(text, f);
	free(text);
}

static void write_value(FILE *f, const json_t *value, int indent);

static void write_list(FILE *f, const json_t *list, int indent)
{
	const json_t *item;
	size_t i;

	json_array_foreach (list, i, item) {
		fprintf(f, "%*s- ", indent, "");
		if (json_is_object(item) && json_object_size(item)) {
			write_value(f, item, -(indent + 2));
		} else {
			write_value(f, item, indent + 2);
			fputc('\n', f);
		}
	}
}

/* @indent < 0: the first key follows what the line has already. */
static void write_object(FILE *f, const json_t *object, int indent)
{
	const json_t *value;
	const char *key;

	json_object_foreach ((json_t *)object, key, value) {
		fprintf(f, "%*s%s:", indent < 0 ? 0 : indent, "", key);
		indent = abs(indent);
		if (json_is_object(value) && json_object_size(value)) {
			fputc('\n', f);
			write_object(f, value, indent + 2);
		} else if (json_is_array(value) && json_array_size(value)) {
			fputc('\n', f);
			write_list(f, value, indent + 2);
		} else {
			fputc(' ', f);
			write_value(f, value, indent);
			fputc('\n', f);
		}
	}
}

static void write_value(FILE *f, const json_t *value, int indent)
{
	if (json_is_object(value) && json_object_size(value))
		write_object(f, value, indent);
	else if (json_is_object(value) || json_is_array(value))
		fputs(json_is_object(value) ? "{}" : "[]", f);
	else
		write_scalar(f, value);
}

char *lb_document_yaml(const struct lb_config *c)
{
	json_t *json = lb_document_config(c);
	char *text = NULL;
	size_t len;
	FILE *f;
	bool failed;

	f = json ? open_memstream(&text, &len) : NULL;
	if (!f)
		goto fail;
	write_object(f, json, 0);
	failed = ferror(f);
	if (fclose(f) || failed)
		goto fail;
	json_decref(json);
	return text;
fail:
	json_decref(json);
	free(text);
	return NULL;
}
