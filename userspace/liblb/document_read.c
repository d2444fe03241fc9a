/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From nodes to the configuration, by the table of fields. Every refusal says where. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "document.h"
#include "document_tree.h"
#include "fields.h"
#include "names.h"

struct reader {
	const char *name; /* of the file; NULL: errors have no file and line */
	struct lb_err *err;
	struct lb_tree tree;
	size_t nr_nodes;      /* decoded, those behind aliases each time */
	bool in_defaults;     /* fields that are each service's own are unknown */
	const void *identity; /* the object being patched, whose IDENTITY fields must stay */
	char path[192];
	size_t path_len;
};

/* ---- where we are ---- */

/* Appends to the path; returns the length to go back to. */
__attribute__((format(printf, 2, 3))) static size_t push(struct reader *r, const char *fmt, ...)
{
	size_t before = r->path_len;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(r->path + before, sizeof(r->path) - before, fmt, ap);
	va_end(ap);
	if (n > 0)
		r->path_len += (size_t)n;
	if (r->path_len >= sizeof(r->path))
		r->path_len = sizeof(r->path) - 1;
	return before;
}

static size_t push_key(struct reader *r, const char *key)
{
	return push(r, "%s%.64s", r->path_len ? "." : "", lb_err_text(key));
}

static void pop(struct reader *r, size_t before)
{
	r->path_len = before;
	r->path[before] = '\0';
}

/* Puts file, line and path in front of the message that @err has. */
static int locate(struct reader *r, unsigned int line, int code)
{
	char path[sizeof(r->err->path)], at[16] = "";

	if (!r->err)
		return code;
	if (line)
		snprintf(at, sizeof(at), ":%u", line);
	if (r->name)
		snprintf(path, sizeof(path), "%.*s%s%s%s", (int)(sizeof(path) - sizeof(r->path) - sizeof(at) - 4),
			 r->name, at, r->path_len ? ": " : "", r->path);
	else
		snprintf(path, sizeof(path), "%s", r->path);
	return lb_err_set(r->err, code, path, "%s", r->err->message);
}

#define refuse(r, line, ...) locate(r, line, lb_err_set((r)->err, -EINVAL, NULL, __VA_ARGS__))

static int no_memory(struct reader *r)
{
	return lb_err_set(r->err, -ENOMEM, NULL, "out of memory");
}

/* ---- values ---- */

static int read_object(struct reader *r, const struct lb_object *o, const struct lb_node *n, void *obj);

/* What to write instead of a list or a mapping. */
static const char *form_of(enum lb_field_kind kind)
{
	switch (kind) {
	case LB_FIELD_NUMBER:
		return "a number";
	case LB_FIELD_DURATION:
		return "a duration (such as 2s)";
	case LB_FIELD_WORD:
		return "one word";
	case LB_FIELD_BOOL:
		return "true or false";
	case LB_FIELD_ADDRESS:
		return "an address (such as 10.0.0.1)";
	case LB_FIELD_STATUS:
		return "HTTP statuses (such as 200-399, or 200-299,301)";
	default:
		return "a text";
	}
}

static int read_scalar(struct reader *r, const struct lb_field *f, const struct lb_node *n, void *obj)
{
	int ret;

	if (n->kind == LB_NODE_NULL && f->kind == LB_FIELD_STRING)
		return lb_field_parse(f, "", obj, r->err);
	if (n->kind == LB_NODE_NULL && (f->flags & LB_FIELD_NULLABLE)) {
		memset((char *)obj + f->offset, 0, f->size);
		return 0;
	}
	if (n->kind == LB_NODE_NULL)
		return refuse(r, n->line, "has no value; write one, or leave the key out");
	if (n->kind != LB_NODE_TEXT)
		return refuse(r, n->line, "must be %s", form_of(f->kind));
	ret = lb_field_parse(f, n->text, obj, r->err);
	return ret ? locate(r, n->line, ret) : 0;
}

static int count(struct reader *r, const struct lb_node *n)
{
	if (++r->nr_nodes > LB_TREE_NODES_MAX)
		return refuse(r, n->line, "too many values behind aliases; make it smaller");
	return 0;
}

static int no_room(struct reader *r, const struct lb_field *f, const struct lb_node *n)
{
	return locate(r, n->line,
		      lb_err_set(r->err, -ENOSPC, NULL, "no room for %zu; at most %zu", n->nr, (size_t)f->max));
}

/* Not there, as one may say also of what is still to come. */
static bool says_nothing(const struct lb_field *f, const struct lb_node *n)
{
	return n->kind == LB_NODE_NULL ||
	       (f->flags & LB_FIELD_NONE && n->kind == LB_NODE_TEXT && !strcmp(n->text, "none"));
}

/* One text, or a list of them. */
static int read_texts(struct reader *r, const struct lb_field *f, const struct lb_node *n, void *obj)
{
	size_t i = 0, before;
	int ret = 0;

	/* Likewise, and nor must it open what is closed. */
	if (n->kind == LB_NODE_NULL && f->flags & LB_FIELD_NONE)
		return refuse(r, n->line, "has no value; write none, or leave the key out");
	lb_field_clear(f, obj);
	if (f->flags & LB_FIELD_NONE && says_nothing(f, n))
		return 0;
	if (n->kind != LB_NODE_LIST)
		return n->kind == LB_NODE_MAP ? refuse(r, n->line, "must be a text or a list of texts")
					      : read_scalar(r, f, n, obj);
	if (!n->nr && (f->flags & LB_FIELD_REQUIRED))
		return refuse(r, n->line, "must not be empty");
	if (f->max && n->nr > f->max)
		return no_room(r, f, n);
	for (const struct lb_node *item = n->first; !ret && item; item = item->next) {
		before = push(r, "[%zu]", i++);
		ret = count(r, item);
		if (!ret)
			ret = read_scalar(r, f, item, obj);
		pop(r, before);
	}
	return ret;
}

static void free_items(const struct lb_object *o, void *items, size_t nr)
{
	for (size_t i = 0; o == &lb_object_service && i < nr; i++)
		lb_service_conf_fini((struct lb_service_conf *)items + i);
	for (size_t i = 0; o == &lb_object_backend && i < nr; i++)
		free(((struct lb_backend_conf *)items)[i].name);
	free(items);
}

static int read_list(struct reader *r, const struct lb_field *f, const struct lb_node *n, void *obj)
{
	size_t *nr = (size_t *)((char *)obj + f->nr_offset);
	const struct lb_object *o = f->object;
	char *items = NULL, *old;
	size_t i = 0, before;
	int ret = 0;

	/* A template that found nothing to put there must not take away what there is. */
	if (n->kind == LB_NODE_NULL)
		return refuse(r, n->line, "has no value; write [] for none, or leave the key out");
	if (n->kind != LB_NODE_LIST)
		return refuse(r, n->line, "must be a list");
	if (n->nr > f->max)
		return no_room(r, f, n);
	if (n->nr) {
		items = calloc(n->nr, o->size);
		if (!items)
			return no_memory(r);
	}
	for (const struct lb_node *item = n->first; !ret && item; item = item->next) {
		before = push(r, "[%zu]", i);
		ret = o->init && o->init(items + i * o->size, obj) ? no_memory(r)
								   : read_object(r, o, item, items + i * o->size);
		pop(r, before);
		i++;
	}
	if (ret) {
		free_items(o, items, i);
		return ret;
	}
	memcpy(&old, (char *)obj + f->offset, sizeof(old));
	free_items(o, old, *nr);
	memcpy((char *)obj + f->offset, &items, sizeof(items));
	*nr = i;
	return 0;
}

/* `defaults` is a service without what is its own. */
static bool is_defaults(const struct lb_field *f)
{
	return f->kind == LB_FIELD_OBJECT && f->object->fields == lb_object_service.fields;
}

static int read_value(struct reader *r, const struct lb_field *f, const struct lb_node *n, void *obj)
{
	bool in_defaults = r->in_defaults;
	int ret;

	if (lb_is_later(f->feature) && !says_nothing(f, n))
		return refuse(r, n->line, "is not available in this version; leave it out");
	switch (f->kind) {
	case LB_FIELD_LATER:
		return refuse(r, n->line, "%s", f->what ? f->what : "is not available in this version; leave it out");
	case LB_FIELD_LIST:
		return read_list(r, f, n, obj);
	case LB_FIELD_ITEMS:
	case LB_FIELD_SOURCES:
		return read_texts(r, f, n, obj);
	case LB_FIELD_OBJECT:
		if (n->kind == LB_NODE_NULL)
			return 0;
		if (is_defaults(f))
			r->in_defaults = true;
		ret = read_object(r, f->object, n, (char *)obj + f->offset);
		r->in_defaults = in_defaults;
		return ret;
	default:
		return read_scalar(r, f, n, obj);
	}
}

/* ---- mappings ---- */

static bool is_known(const struct reader *r, const struct lb_field *f)
{
	return !r->in_defaults || !(f->flags & LB_FIELD_OWN);
}

static int refuse_key(struct reader *r, const struct lb_object *o, const struct lb_node *key)
{
	const char *names[LB_FIELDS_MAX + 1] = {NULL}, *near;
	size_t nr = 0;

	for (const struct lb_field *f = o->fields; f->name; f++) {
		if (!is_known(r, f) && !strcmp(f->name, key->text))
			return refuse(r, key->line, "is each service's own; it has no default");
		if (is_known(r, f) && f->kind != LB_FIELD_LATER)
			names[nr++] = f->name;
	}
	near = lb_nearest(key->text, names);
	if (near)
		return refuse(r, key->line, "unknown key; did you mean %s?", near);
	return refuse(r, key->line, "unknown key; write %s", o->form);
}

static const struct lb_field *find_field(const struct reader *r, const struct lb_object *o, const char *name)
{
	for (const struct lb_field *f = o->fields; f->name; f++)
		if (is_known(r, f) && !strcmp(f->name, name))
			return f;
	return NULL;
}

/* A patch may name its object, but not rename it. */
static int check_identity(struct reader *r, const struct lb_field *f, const struct lb_node *n, const void *obj)
{
	char was[LB_FIELD_STRLEN];

	if (!r->identity || !(f->flags & LB_FIELD_IDENTITY) || lb_field_equal(f, obj, r->identity))
		return 0;
	return refuse(r, n->line, "cannot be changed from %s; remove it and add another",
		      lb_field_format(f, r->identity, was));
}

static int read_key(struct reader *r, const struct lb_object *o, const struct lb_node *key, unsigned int *seen,
		    void *obj)
{
	const struct lb_node *value = key->next;
	const struct lb_field *f = find_field(r, o, key->text);
	size_t before = push_key(r, key->text);
	const void *identity = r->identity;
	unsigned int *line;
	int ret;

	if (!f) {
		ret = refuse_key(r, o, key);
		goto out;
	}
	line = &seen[f - o->fields];
	if (*line) {
		ret = refuse(r, key->line, "given twice, first in line %u; keep one", *line);
		goto out;
	}
	*line = key->line;
	ret = count(r, value);
	if (ret)
		goto out;
	/* Read already, before everything that starts from it. */
	if (is_defaults(f))
		goto out;
	/* What stands inside a patched object is replaced whole. */
	if (f->kind == LB_FIELD_LIST)
		r->identity = NULL;
	ret = read_value(r, f, value, obj);
	r->identity = identity;
	if (!ret)
		ret = check_identity(r, f, value, obj);
out:
	pop(r, before);
	return ret;
}

/* `defaults` apply to services wherever it stands. */
static int read_defaults(struct reader *r, const struct lb_node *n, struct lb_config *c)
{
	int ret = 0;

	for (const struct lb_node *key = n->first; !ret && key; key = key->next->next) {
		const struct lb_field *f = find_field(r, &lb_object_config, key->text);

		if (f && is_defaults(f)) {
			size_t before = push_key(r, key->text);

			ret = read_value(r, f, key->next, c);
			pop(r, before);
			break;
		}
	}
	return ret;
}

/* A patch needs nothing; nor do defaults. A check of {path: /health} that checks nothing is no one's wish. */
static bool is_missed(const struct reader *r, const struct lb_field *f, const struct lb_node *n, const void *obj)
{
	if (r->identity || r->in_defaults)
		return false;
	if (f->flags & LB_FIELD_DECIDES)
		return n->nr && !*(const int *)((const char *)obj + f->offset);
	return f->flags & LB_FIELD_REQUIRED;
}

static int read_object(struct reader *r, const struct lb_object *o, const struct lb_node *n, void *obj)
{
	unsigned int seen[LB_FIELDS_MAX] = {0};
	int ret;

	ret = count(r, n);
	if (ret)
		return ret;
	/* In a patch the short form of a backend would be a rename. */
	if (n->kind == LB_NODE_TEXT && o->from_text && !(r->identity && o == &lb_object_backend)) {
		ret = o->from_text(obj, n->text, r->err);
		return ret ? locate(r, n->line, ret) : 0;
	}
	if (n->kind != LB_NODE_MAP)
		return refuse(r, n->line, "must be %s", o->form);
	if (o == &lb_object_config)
		ret = read_defaults(r, n, obj);
	for (const struct lb_node *key = n->first; !ret && key; key = key->next->next)
		ret = read_key(r, o, key, seen, obj);
	for (const struct lb_field *f = o->fields; !ret && f->name; f++)
		if (!seen[f - o->fields] && is_missed(r, f, n, obj))
			ret = refuse(r, n->line, "has no %s; write %s", f->name, o->form);
	if (!ret && o->complete)
		o->complete(obj, seen);
	return ret;
}

/* Parses @text and reads it as one @o into @obj, which has what it starts from. */
static int read_text(struct reader *r, const char *text, size_t len, const struct lb_object *o, void *obj)
{
	unsigned int line;
	int ret;

	ret = lb_tree_read(text, len, &r->tree, &line, r->err);
	if (ret)
		return ret == -ENOMEM ? ret : locate(r, line, ret);
	/* Mostly a file that was cut short, or a pipe whose other end failed; it must not remove everything. */
	if (!r->tree.root || r->tree.root->kind == LB_NODE_NULL)
		return o == &lb_object_config
			       ? refuse(r, 0, "the document is empty; write {} for a configuration without anything")
			       : refuse(r, 0, "must be %s, and is empty", o->form);
	return read_object(r, o, r->tree.root, obj);
}

/* ---- the whole ---- */

static const struct lb_node *child(const struct lb_node *n, const char *key)
{
	if (n && n->kind == LB_NODE_MAP)
		for (const struct lb_node *k = n->first; k; k = k->next->next)
			if (!strcmp(k->text, key))
				return k->next;
	return NULL;
}

static const struct lb_node *item_text(const struct lb_node *item, const char *key)
{
	const struct lb_node *n = item->kind == LB_NODE_TEXT ? item : child(item, key);

	return n && n->kind == LB_NODE_TEXT ? n : NULL;
}

/* Is @text what lb_backend_format makes of @written? */
static bool is_backend(const char *written, const char *text)
{
	struct lb_backend_conf b = {0};
	char buf[LB_BACKEND_STRLEN];
	struct lb_err err;
	bool is = !lb_backend_parse(written, &b.address, &b.name, &err) && !strcmp(lb_backend_format(&b, buf), text);

	free(b.name);
	return is;
}

/* The last element of @list whose @key is @text, as text or, for backends, as an address; of two alike, the second. */
static const struct lb_node *find_item(struct reader *r, const struct lb_node *list, const char *list_name,
				       const char *key, const char *text)
{
	const struct lb_node *found = NULL;
	size_t i = 0, at = 0;

	for (const struct lb_node *item = list ? list->first : NULL; item; item = item->next, i++) {
		const struct lb_node *n = item_text(item, key);

		if (!n || (strcmp(n->text, text) && (strcmp(key, "address") || !is_backend(n->text, text))))
			continue;
		found = item;
		at = i;
	}
	if (found) {
		push_key(r, list_name);
		push(r, "[%zu]", at);
	}
	return found;
}

/* From positions in the sorted configuration back to the file's own. */
static int refuse_whole(struct reader *r, const struct lb_config *c, const struct lb_conf_where *w, int code)
{
	const struct lb_node *n = r->tree.root, *in;
	char field[64], buf[LB_BACKEND_STRLEN], *next;

	if (w->iface >= 0)
		n = find_item(r, child(n, "interfaces"), "interfaces", "name", c->ifaces[w->iface].name);
	if (w->service >= 0)
		n = find_item(r, child(n, "services"), "services", "name", c->services[w->service].name);
	if (w->backend >= 0 && n)
		n = find_item(r, child(n, "backends"), "backends", "address",
			      lb_backend_format(&c->services[w->service].backends[w->backend], buf));
	snprintf(field, sizeof(field), "%s", w->field ? w->field : "");
	for (char *key = strtok_r(field, ".", &next); key; key = strtok_r(NULL, ".", &next)) {
		/* A backend that is a text alone has no keys to name. */
		if (n && n->kind == LB_NODE_TEXT)
			break;
		push_key(r, key);
		in = child(n, key);
		n = in ? in : n;
	}
	return locate(r, n ? n->line : 0, code);
}

int lb_document_read(const char *text, size_t len, const char *name, struct lb_config **out, struct lb_err *err)
{
	struct lb_config *c = lb_config_new();
	struct lb_err own = {0};
	struct reader r = {.name = name, .err = err ? err : &own};
	struct lb_conf_where where;
	int ret;

	if (!c)
		return no_memory(&r);
	ret = read_text(&r, text, len, &lb_object_config, c);
	if (ret)
		goto out;
	lb_config_sort(c);
	ret = lb_config_check_at(c, &where, r.err);
	if (ret) {
		ret = ret == -ENOMEM ? ret : refuse_whole(&r, c, &where, ret);
		goto out;
	}
	*out = c;
	c = NULL;
out:
	lb_tree_fini(&r.tree);
	lb_config_free(c);
	return ret;
}

void lb_document_locate(const char *text, size_t len, const char *name, struct lb_err *err)
{
	struct reader r = {.name = name, .err = err};
	struct lb_err own = {0};
	const struct lb_node *n = NULL;
	unsigned int line;
	char iface[16];

	if (sscanf(err->path, "interfaces[%15[^]]]", iface) != 1)
		return;
	if (!lb_tree_read(text, len, &r.tree, &line, &own))
		n = find_item(&r, child(r.tree.root, "interfaces"), "interfaces", "name", iface);
	if (n)
		locate(&r, n->line, err->code);
	lb_tree_fini(&r.tree);
}

/* ---- parts ---- */

/* @identity: the object that @obj is a copy of; NULL: a new one. */
static int read_part(const char *text, size_t len, const struct lb_object *o, const void *identity, void *obj,
		     struct lb_err *err)
{
	struct lb_err own = {0};
	struct reader r = {.err = err ? err : &own, .identity = identity};
	int ret;

	ret = read_text(&r, text, len, o, obj);
	lb_tree_fini(&r.tree);
	return ret;
}

static int service_part(const char *text, size_t len, const struct lb_service_conf *from, const void *identity,
			struct lb_service_conf *out, struct lb_err *err)
{
	struct lb_service_conf s;
	int ret;

	if (lb_service_conf_copy(&s, from))
		return lb_err_set(err, -ENOMEM, NULL, "out of memory");
	ret = read_part(text, len, &lb_object_service, identity, &s, err);
	if (ret) {
		lb_service_conf_fini(&s);
		return ret;
	}
	lb_service_conf_sort(&s);
	if (identity)
		lb_service_conf_fini(out);
	*out = s;
	return 0;
}

int lb_document_read_service(const char *text, size_t len, const struct lb_service_conf *defaults,
			     struct lb_service_conf *out, struct lb_err *err)
{
	return service_part(text, len, defaults, NULL, out, err);
}

int lb_document_patch_service(const char *text, size_t len, struct lb_service_conf *s, struct lb_err *err)
{
	return service_part(text, len, s, s, s, err);
}

int lb_document_read_backend(const char *text, size_t len, struct lb_backend_conf *out, struct lb_err *err)
{
	struct lb_backend_conf b = {0};
	int ret;

	lb_object_backend.init(&b, NULL);
	ret = read_part(text, len, &lb_object_backend, NULL, &b, err);
	if (ret)
		free(b.name);
	else
		*out = b;
	return ret;
}

int lb_document_patch_backend(const char *text, size_t len, struct lb_backend_conf *b, struct lb_err *err)
{
	struct lb_backend_conf patched = *b;
	int ret = 0;

	if (b->name) {
		patched.name = strdup(b->name);
		ret = patched.name ? 0 : lb_err_set(err, -ENOMEM, NULL, "out of memory");
	}
	if (!ret)
		ret = read_part(text, len, &lb_object_backend, b, &patched, err);
	free(ret ? patched.name : b->name);
	if (!ret)
		*b = patched;
	return ret;
}

int lb_document_read_iface(const char *text, size_t len, struct lb_iface_conf *out, struct lb_err *err)
{
	struct lb_iface_conf i = {0};
	int ret;

	ret = read_part(text, len, &lb_object_iface, NULL, &i, err);
	if (!ret)
		*out = i;
	return ret;
}
