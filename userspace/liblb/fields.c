/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What each kind of field does with texts. The table itself is in fields_table.c. */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fields_priv.h"
#include "names.h"
#include "nearest.h"

static const char *article(const char *what)
{
	return strchr("aeiou", *what) ? "an" : "a";
}

static int parse_text(const struct lb_field *f, const char *text, char *out, struct lb_err *err)
{
	int ret;

	if (strlen(text) >= f->size)
		return lb_err_set(err, -EINVAL, NULL, "%.40s... is longer than %zu bytes", text, f->size - 1);
	ret = f->verify(text, err);
	if (ret)
		return ret;
	/* Nothing of a longer text stays behind it: equal configurations are equal bytes. */
	memset(out, 0, f->size);
	strcpy(out, text);
	return 0;
}

static int parse_string(const struct lb_field *f, const char *text, char **out, struct lb_err *err)
{
	char *copy = NULL;
	int ret = 0;

	if (strlen(text) > f->max)
		return lb_err_set(err, -EINVAL, NULL, "%.40s... is longer than %zu bytes", text, (size_t)f->max);
	if (*text)
		ret = f->verify(text, err);
	if (ret)
		return ret;
	if (*text) {
		copy = strdup(text);
		if (!copy)
			return lb_err_set(err, -ENOMEM, NULL, "out of memory");
	}
	free(*out);
	*out = copy;
	return 0;
}

static int parse_number(const struct lb_field *f, const char *text, void *out, struct lb_err *err)
{
	uint64_t n;
	int ret;

	ret = lb_number_parse(text, f->what, f->min, f->max, &n, err);
	if (ret)
		return ret;
	if (f->size == sizeof(uint16_t))
		*(uint16_t *)out = (uint16_t)n;
	else
		*(uint32_t *)out = (uint32_t)n;
	return 0;
}

static int parse_duration(const struct lb_field *f, const char *text, uint64_t *out, struct lb_err *err)
{
	char min[LB_ADDR_STRLEN], max[LB_ADDR_STRLEN];
	uint64_t ns;
	int ret;

	ret = lb_duration_parse(text, &ns, err);
	if (ret)
		return ret;
	if (ns < f->min || ns > f->max)
		return lb_err_set(err, -EINVAL, NULL, "%.64s is not %s %s (%s-%s)", text, article(f->what), f->what,
				  lb_duration_format(f->min, min), lb_duration_format(f->max, max));
	*out = ns;
	return 0;
}

static bool is_available(const struct lb_word *w)
{
	return w->value >= 0 && !lb_is_later(w->feature);
}

/* "l2, ipip": the words that are available. */
static void list_words(const struct lb_word *words, char *buf, size_t size)
{
	size_t n = 0;

	*buf = '\0';
	for (; words->name; words++)
		if (is_available(words) && n < size)
			n += (size_t)snprintf(buf + n, size - n, "%s%s", n ? ", " : "", words->name);
}

static int parse_word(const struct lb_field *f, const char *text, int *out, struct lb_err *err)
{
	const char *known[16] = {NULL}, *near;
	size_t len = strcspn(text, ":"), nr = 0;
	char list[128];

	list_words(f->words, list, sizeof(list));
	for (const struct lb_word *w = f->words; w->name; w++) {
		bool available = is_available(w);

		if (available && !strcmp(w->name, text)) {
			*out = w->value;
			return 0;
		}
		/* Also with a parameter behind it: "dns:example.org". */
		if (!available && strlen(w->name) == len && !strncmp(w->name, text, len))
			return lb_err_set(err, -EINVAL, NULL, "%s is not available in this version (%s)", w->name,
					  list);
		if (available && nr < 15)
			known[nr++] = w->name;
	}
	near = lb_nearest(text, known);
	return lb_err_set(err, -EINVAL, NULL, "%.64s is not %s %s (%s)%s%s%s", lb_err_text(text), article(f->what),
			  f->what, list, near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

static int parse_address(const char *text, struct lb_backend_conf *b, struct lb_err *err)
{
	char buf[LB_ADDR_STRLEN], *name;
	struct lb_endpoint ep;
	const char *why;
	int ret;

	ret = lb_backend_parse(text, &ep, &name, err);
	if (ret)
		return ret;
	why = name ? NULL : lb_addr_unusable(ep.addr);
	if (why)
		return lb_err_set(err, -EINVAL, NULL, "%s is %s; a backend has a unicast address",
				  lb_addr_format(ep.addr, buf), why);
	free(b->name);
	b->name = name;
	b->address = ep;
	return 0;
}

static int parse_bool(const char *text, bool *out, struct lb_err *err)
{
	if (strcmp(text, "true") && strcmp(text, "false"))
		return lb_err_set(err, -EINVAL, NULL, "%.64s is neither true nor false", lb_err_text(text));
	*out = *text == 't';
	return 0;
}

static unsigned int hex_digit(char c)
{
	return (unsigned int)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
}

static int parse_hex(const struct lb_field *f, const char *text, struct lb_server_id *out, struct lb_err *err)
{
	size_t len = strlen(text);
	struct lb_server_id id = {.len = (uint8_t)(len / 2)};

	if (!len || len % 2 || len / 2 > sizeof(id.bytes) || strspn(text, "0123456789abcdefABCDEF") != len)
		return lb_err_set(err, -EINVAL, NULL,
				  "%.64s is not %s %s: 2 hexadecimal digits a byte, %zu bytes at most",
				  lb_err_text(text), article(f->what), f->what, sizeof(id.bytes));
	for (size_t i = 0; i < len; i++)
		id.bytes[i / 2] = (uint8_t)(id.bytes[i / 2] << 4 | hex_digit(text[i]));
	*out = id;
	return 0;
}

/* The message does not repeat the text: who knows the key can aim at one backend. */
static int parse_hash_key(const char *text, struct lb_config *c, struct lb_err *err)
{
	size_t len = strlen(text);
	uint64_t word[2] = {0, 0};

	if ((len != 16 && len != 32) || strspn(text, "0123456789abcdefABCDEF") != len)
		return lb_err_set(err, -EINVAL, NULL, "a hash key is 16 or 32 hexadecimal digits");
	for (size_t i = 0; i < len; i++)
		word[i / 16] = word[i / 16] << 4 | hex_digit(text[i]);
	if (len == 16)
		lb_config_hash_key(word[0], word);
	memcpy(c->hash_key, word, sizeof(word));
	c->has_hash_key = true;
	return 0;
}

static size_t *items_nr(const struct lb_field *f, const void *obj)
{
	return (size_t *)((char *)obj + f->nr_offset);
}

static char *items_of(const struct lb_field *f, const void *obj)
{
	char *items;

	memcpy(&items, (const char *)obj + f->offset, sizeof(items));
	return items;
}

static int add_item(const struct lb_field *f, const char *text, void *obj, struct lb_err *err)
{
	size_t *nr = items_nr(f, obj), size = f->item->size;
	char *items = items_of(f, obj);
	uint64_t parsed[LB_CHECK_TEXT_MAX / sizeof(uint64_t)] = {0};
	int ret;

	ret = f->item->parse(text, parsed, err);
	if (ret)
		return ret;
	/* Room for a power of two. */
	if (!(*nr & (*nr - 1))) {
		items = realloc(items, (*nr ? 2 * *nr : 1) * size);
		if (!items)
			return lb_err_set(err, -ENOMEM, NULL, "out of memory");
		memcpy((char *)obj + f->offset, &items, sizeof(items));
	}
	memcpy(items + (*nr)++ * size, parsed, size);
	return 0;
}

static bool is_set(const struct lb_prefix *p)
{
	static const struct lb_prefix unset;

	return memcmp(p, &unset, sizeof(unset));
}

static int add_source(struct lb_config *c, const char *text, struct lb_err *err)
{
	struct lb_prefix p, *place;
	char buf[LB_ADDR_STRLEN];
	const char *why;
	int ret;

	ret = lb_prefix_parse(text, &p, err);
	if (ret)
		return ret;
	why = lb_addr_unusable(p.addr);
	if (why)
		return lb_err_set(err, -EINVAL, NULL, "%s is %s; a tunnel's source is a unicast address",
				  lb_prefix_format(&p, buf), why);
	place = lb_addr_is_v4(p.addr) ? &c->tunnel_source4 : &c->tunnel_source6;
	if (is_set(place))
		return lb_err_set(err, -EINVAL, NULL, "%s is a second source of one family; write one of each",
				  lb_prefix_format(&p, buf));
	*place = p;
	return 0;
}

int lb_field_parse(const struct lb_field *f, const char *text, void *obj, struct lb_err *err)
{
	void *out = (char *)obj + f->offset;

	if (f->flags & LB_FIELD_NONE && f->kind != LB_FIELD_ITEMS && !strcmp(text, "none")) {
		memset(out, 0, f->size);
		return 0;
	}
	switch (f->kind) {
	case LB_FIELD_TEXT:
		return parse_text(f, text, out, err);
	case LB_FIELD_NUMBER:
		return parse_number(f, text, out, err);
	case LB_FIELD_DURATION:
		return parse_duration(f, text, out, err);
	case LB_FIELD_WORD:
		return parse_word(f, text, out, err);
	case LB_FIELD_ADDRESS:
		return parse_address(text, obj, err);
	case LB_FIELD_STATUS:
		return lb_status_parse(text, out, err);
	case LB_FIELD_HASH_KEY:
		return parse_hash_key(text, obj, err);
	case LB_FIELD_BOOL:
		return parse_bool(text, out, err);
	case LB_FIELD_HEX:
		return parse_hex(f, text, out, err);
	case LB_FIELD_STRING:
		return parse_string(f, text, out, err);
	case LB_FIELD_ITEMS:
		return add_item(f, text, obj, err);
	case LB_FIELD_SOURCES:
		return add_source(obj, text, err);
	case LB_FIELD_OBJECT:
	case LB_FIELD_LIST:
	case LB_FIELD_LATER:
		break;
	}
	return lb_err_set(err, -EINVAL, NULL, "is not available in this version");
}

uint64_t lb_field_number(const struct lb_field *f, const void *obj)
{
	const void *in = (const char *)obj + f->offset;

	return f->size == sizeof(uint16_t) ? *(const uint16_t *)in : *(const uint32_t *)in;
}

static const char *word_name(const struct lb_field *f, const int *value)
{
	const struct lb_word *w = f->words;

	while (w->name && w->value != *value)
		w++;
	return w->name ? w->name : "?";
}

static char *format_hash_key(const struct lb_config *c, char buf[LB_FIELD_STRLEN])
{
	uint64_t derived[2];

	if (!c->has_hash_key)
		return NULL;
	lb_config_hash_key(c->hash_key[0], derived);
	snprintf(buf, LB_FIELD_STRLEN, "%016" PRIx64, c->hash_key[0]);
	if (derived[1] != c->hash_key[1])
		snprintf(buf + 16, LB_FIELD_STRLEN - 16, "%016" PRIx64, c->hash_key[1]);
	return buf;
}

static char *format_hex(const struct lb_server_id *id, char buf[LB_FIELD_STRLEN])
{
	for (size_t i = 0; i < id->len; i++)
		snprintf(buf + 2 * i, 3, "%02x", id->bytes[i]);
	return id->len ? buf : NULL;
}

static bool is_zero(const struct lb_field *f, const void *obj)
{
	static const char zero[sizeof(uint64_t)];

	return !memcmp((const char *)obj + f->offset, zero, f->size);
}

char *lb_field_format(const struct lb_field *f, const void *obj, char buf[LB_FIELD_STRLEN])
{
	const void *in = (const char *)obj + f->offset;

	if (f->flags & LB_FIELD_NONE && f->kind != LB_FIELD_ITEMS && is_zero(f, obj)) {
		strcpy(buf, "none");
		return buf;
	}

	switch (f->kind) {
	case LB_FIELD_TEXT:
		snprintf(buf, LB_FIELD_STRLEN, "%s", (const char *)in);
		return buf;
	case LB_FIELD_NUMBER:
		if ((f->flags & LB_FIELD_NULLABLE) && !lb_field_number(f, obj))
			return NULL;
		snprintf(buf, LB_FIELD_STRLEN, "%" PRIu64, lb_field_number(f, obj));
		return buf;
	case LB_FIELD_DURATION:
		return lb_duration_format(*(const uint64_t *)in, buf);
	case LB_FIELD_WORD:
		snprintf(buf, LB_FIELD_STRLEN, "%s", word_name(f, in));
		return buf;
	case LB_FIELD_BOOL:
		strcpy(buf, *(const bool *)in ? "true" : "false");
		return buf;
	case LB_FIELD_HEX:
		return format_hex(in, buf);
	case LB_FIELD_ADDRESS:
		return lb_backend_format(obj, buf);
	case LB_FIELD_STATUS:
		return lb_status_format(in, buf, LB_FIELD_STRLEN);
	case LB_FIELD_STRING:
		snprintf(buf, LB_FIELD_STRLEN, "%s", *(char *const *)in ? *(char *const *)in : "");
		return buf;
	case LB_FIELD_HASH_KEY:
		return format_hash_key(obj, buf);
	default:
		return NULL;
	}
}

void lb_field_clear(const struct lb_field *f, void *obj)
{
	struct lb_config *c = obj;

	if (f->kind == LB_FIELD_ITEMS) {
		free(items_of(f, obj));
		memset((char *)obj + f->offset, 0, f->size);
		*items_nr(f, obj) = 0;
	} else {
		c->tunnel_source4 = c->tunnel_source6 = (struct lb_prefix){0};
	}
}

/* Source number @i: the IPv4 one, then the IPv6 one, of those that are set. */
static const struct lb_prefix *source(const struct lb_config *c, size_t i)
{
	if (is_set(&c->tunnel_source4) && i-- == 0)
		return &c->tunnel_source4;
	return is_set(&c->tunnel_source6) && i == 0 ? &c->tunnel_source6 : NULL;
}

static const char *item(const struct lb_field *f, const void *obj, size_t i)
{
	return i < *items_nr(f, obj) ? items_of(f, obj) + i * f->item->size : NULL;
}

char *lb_field_item(const struct lb_field *f, const void *obj, size_t i, char buf[LB_FIELD_STRLEN])
{
	const struct lb_prefix *p;
	const void *in;

	if (f->kind == LB_FIELD_ITEMS) {
		in = item(f, obj, i);
		if (in)
			f->item->format(in, buf);
		return in ? buf : NULL;
	}
	p = source(obj, i);
	return p ? lb_prefix_format(p, buf) : NULL;
}

bool lb_field_item_order(const struct lb_field *f, const void *a, size_t i, const void *b, size_t j, int *order)
{
	const struct lb_prefix *p, *q;
	const void *x, *y;

	if (f->kind == LB_FIELD_ITEMS) {
		x = item(f, a, i);
		y = item(f, b, j);
		*order = x && y ? memcmp(x, y, f->item->size) : !x - !y;
	} else {
		x = p = source(a, i);
		y = q = source(b, j);
		*order = !x - !y;
		if (x && y)
			*order = lb_addr_is_v4(q->addr) - lb_addr_is_v4(p->addr);
		if (x && y && !*order)
			*order = memcmp(p, q, sizeof(*p));
	}
	return x || y;
}

/* The same bytes are the same value: mostly that is all there is to find out. */
static bool same_bytes(const struct lb_field *f, const void *a, const void *b)
{
	const char *x = (const char *)a + f->offset, *y = (const char *)b + f->offset;

	switch (f->kind) {
	case LB_FIELD_TEXT:
		return !strcmp(x, y);
	case LB_FIELD_NUMBER:
	case LB_FIELD_DURATION:
	case LB_FIELD_WORD:
	case LB_FIELD_BOOL:
	case LB_FIELD_ADDRESS:
	case LB_FIELD_HEX:
		return !memcmp(x, y, f->size);
	case LB_FIELD_STATUS:
		return !memcmp(x, y, f->size);
	case LB_FIELD_STRING:
		return !*(char *const *)x && !*(char *const *)y;
	default:
		return false;
	}
}

static bool same_list(const struct lb_field *f, const void *a, const void *b)
{
	size_t nr = *items_nr(f, a), size = f->object->size;

	if (nr != *items_nr(f, b))
		return false;
	for (size_t i = 0; i < nr; i++)
		if (!lb_object_equal(f->object, items_of(f, a) + i * size, items_of(f, b) + i * size))
			return false;
	return true;
}

bool lb_field_equal(const struct lb_field *f, const void *a, const void *b)
{
	char text_a[LB_FIELD_STRLEN], text_b[LB_FIELD_STRLEN];
	const char *x, *y;

	if (f->kind == LB_FIELD_OBJECT)
		return lb_object_equal(f->object, (const char *)a + f->offset, (const char *)b + f->offset);
	if (f->kind == LB_FIELD_LIST)
		return same_list(f, a, b);
	if (f->kind == LB_FIELD_ITEMS || f->kind == LB_FIELD_SOURCES) {
		int order = 0;

		for (size_t i = 0; !order && lb_field_item_order(f, a, i, b, i, &order);)
			i++;
		return !order;
	}
	if (same_bytes(f, a, b))
		return true;
	x = lb_field_format(f, a, text_a);
	y = lb_field_format(f, b, text_b);
	return x && y ? !strcmp(x, y) : x == y;
}

bool lb_object_equal(const struct lb_object *o, const void *a, const void *b)
{
	for (const struct lb_field *f = o->fields; f->name; f++)
		if (!lb_field_equal(f, a, b))
			return false;
	return true;
}
