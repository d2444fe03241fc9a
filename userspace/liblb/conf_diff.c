/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What differs between two configurations, by the table of fields. */
#include <stdio.h>
#include <string.h>

#include "conf.h"
#include "fields.h"
#include "pause.h"

struct diff {
	lb_config_diff_fn cb;
	void *ctx;
	int nr;
	char path[256];
};

static void report(struct diff *d, const char *op, const char *from, const char *to)
{
	d->nr++;
	if (d->cb)
		d->cb(d->ctx, op, d->path, from, to);
}

/* Appends and returns the length to go back to. */
static size_t push(struct diff *d, const char *fmt, const char *text)
{
	size_t before = strlen(d->path);

	snprintf(d->path + before, sizeof(d->path) - before, fmt, text);
	return before;
}

static void pop(struct diff *d, size_t before)
{
	d->path[before] = '\0';
}

static void diff_texts(struct diff *d, const struct lb_field *f, const void *a, const void *b)
{
	size_t i = 0, j = 0, before;
	char text[LB_FIELD_STRLEN];
	int order;

	while (lb_field_item_order(f, a, i, b, j, &order)) {
		lb_field_item(f, order <= 0 ? a : b, order <= 0 ? i : j, text);
		before = push(d, "[%s]", text);
		if (order < 0)
			report(d, "remove", text, NULL);
		else if (order > 0)
			report(d, "add", NULL, text);
		pop(d, before);
		i += order <= 0;
		j += order >= 0;
	}
}

/* Each place by itself: what was put in moves the others. */
static void diff_ordered(struct diff *d, const struct lb_field *f, const void *a, const void *b)
{
	char text_a[LB_FIELD_STRLEN], text_b[LB_FIELD_STRLEN], place[24];
	const char *x, *y;
	size_t before;

	for (size_t i = 0;; i++) {
		x = lb_field_item(f, a, i, text_a);
		y = lb_field_item(f, b, i, text_b);
		if (!x && !y)
			return;
		if (x && y && !strcmp(x, y))
			continue;
		snprintf(place, sizeof(place), "%zu", i);
		before = push(d, "[%s]", place);
		report(d, !x ? "add" : !y ? "remove" : "change", x, y);
		pop(d, before);
	}
}

bool lb_service_conf_same(const struct lb_service_conf *a, const struct lb_service_conf *b)
{
	return lb_object_equal(&lb_object_service, a, b);
}

static void diff_object(struct diff *d, const struct lb_object *o, const void *a, const void *b);

/* One element of both lists: which is not there is NULL. */
static void diff_item(struct diff *d, const struct lb_object *o, const void *a, const void *b)
{
	char name[LB_FIELD_STRLEN];
	size_t before;

	lb_pause();
	if (a && b && lb_object_equal(o, a, b))
		return;
	before = push(d, "[%s]", lb_field_format(&o->fields[0], a ? a : b, name));
	if (!b)
		report(d, "remove", NULL, NULL);
	else if (!a)
		report(d, "add", NULL, NULL);
	else
		diff_object(d, o, a, b);
	pop(d, before);
}

/* The first field of a list's element is its name. */
static int compare_items(const struct lb_object *o, const void *a, const void *b)
{
	const struct lb_field *f = o->fields;
	const char *x = (const char *)a + f->offset, *y = (const char *)b + f->offset;

	if (f->kind == LB_FIELD_NUMBER)
		return (lb_field_number(f, a) > lb_field_number(f, b)) -
		       (lb_field_number(f, a) < lb_field_number(f, b));
	return f->kind == LB_FIELD_TEXT ? strcmp(x, y) : memcmp(x, y, f->size);
}

static void diff_list(struct diff *d, const struct lb_field *f, const void *a, const void *b)
{
	size_t nr_a = *(const size_t *)((const char *)a + f->nr_offset);
	size_t nr_b = *(const size_t *)((const char *)b + f->nr_offset);
	const struct lb_object *o = f->object;
	const char *x, *y;

	memcpy(&x, (const char *)a + f->offset, sizeof(x));
	memcpy(&y, (const char *)b + f->offset, sizeof(y));
	while (nr_a || nr_b) {
		int order = !nr_a ? 1 : !nr_b ? -1 : compare_items(o, x, y);

		diff_item(d, o, order <= 0 ? x : NULL, order >= 0 ? y : NULL);
		if (order <= 0) {
			x += o->size;
			nr_a--;
		}
		if (order >= 0) {
			y += o->size;
			nr_b--;
		}
	}
}

static void diff_field(struct diff *d, const struct lb_field *f, const void *a, const void *b)
{
	char text_a[LB_FIELD_STRLEN], text_b[LB_FIELD_STRLEN];

	switch (f->kind) {
	case LB_FIELD_LIST:
		diff_list(d, f, a, b);
		break;
	case LB_FIELD_OBJECT:
		diff_object(d, f->object, (const char *)a + f->offset, (const char *)b + f->offset);
		break;
	case LB_FIELD_ITEMS:
	case LB_FIELD_SOURCES:
		if (f->flags & LB_FIELD_ORDERED)
			diff_ordered(d, f, a, b);
		else
			diff_texts(d, f, a, b);
		break;
	default:
		if (lb_field_equal(f, a, b))
			break;
		/* Who knows the hash key can aim at one backend: it changes, and is not shown. */
		if (f->kind == LB_FIELD_HASH_KEY)
			report(d, "change", NULL, NULL);
		else
			report(d, "change", lb_field_format(f, a, text_a), lb_field_format(f, b, text_b));
	}
}

static void diff_object(struct diff *d, const struct lb_object *o, const void *a, const void *b)
{
	for (const struct lb_field *f = o->fields; f->name; f++) {
		size_t before = push(d, *d->path ? ".%s" : "%s", f->name);

		diff_field(d, f, a, b);
		pop(d, before);
	}
}

int lb_config_diff(const struct lb_config *old, const struct lb_config *new, lb_config_diff_fn cb, void *ctx)
{
	struct diff d = {.cb = cb, .ctx = ctx};

	diff_object(&d, &lb_object_config, old, new);
	return d.nr;
}
