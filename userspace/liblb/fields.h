/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table of the configuration's fields: the one place that says what they are called, what they may be and where
 * they lie. document_read.c decodes by it, document_write.c encodes by it, conf_diff.c compares by it.
 */
#ifndef LB_FIELDS_H
#define LB_FIELDS_H

#include "conf.h"
#include "later.h"

#define LB_FIELD_STRLEN 512 /* enough for every field's text, NUL included */
#define LB_FIELDS_MAX 48    /* of one object */

enum lb_field_kind {
	LB_FIELD_TEXT,	   /* char[size], as @verify accepts it */
	LB_FIELD_NUMBER,   /* uint16_t or uint32_t */
	LB_FIELD_DURATION, /* uint64_t ns */
	LB_FIELD_WORD,	   /* an enum */
	LB_FIELD_BOOL,
	LB_FIELD_ADDRESS,  /* struct lb_endpoint of a struct lb_backend_conf, and its name */
	LB_FIELD_STATUS,   /* struct lb_status_set */
	LB_FIELD_HASH_KEY, /* struct lb_config's */
	LB_FIELD_HEX,	   /* struct lb_server_id */
	LB_FIELD_ITEMS,	   /* a list of texts: an array of @item, owned by pointer, in memory order */
	LB_FIELD_SOURCES,  /* a list of texts: struct lb_config's tunnel_source4 and 6 */
	LB_FIELD_OBJECT,   /* a struct inside */
	LB_FIELD_LIST,	   /* an array of structs, owned by pointer */
	LB_FIELD_LATER,	   /* known, but not to be written; @what says what to do, NULL: wait for another version */
	LB_FIELD_STRING,   /* char *, owned, as @verify accepts it; NULL for the empty text */
};

enum {
	LB_FIELD_REQUIRED = 1 << 0,
	LB_FIELD_ALWAYS = 1 << 1,   /* written also where it is the default */
	LB_FIELD_UNSAID = 1 << 2,   /* never written */
	LB_FIELD_NULLABLE = 1 << 3, /* null for 0, "" */
	LB_FIELD_IDENTITY = 1 << 4, /* says which one it is: a patch cannot change it */
	LB_FIELD_OWN = 1 << 5,	    /* each service's own: not in `defaults` */
	LB_FIELD_DECIDES = 1 << 6,  /* WORD: what the other keys are about; left out, it must not be 0, "none" */
	LB_FIELD_NONE = 1 << 7,	    /* NUMBER, DURATION: `none` for 0; ITEMS: `none` for an empty list */
	LB_FIELD_ORDERED = 1 << 8,  /* ITEMS: the order in which they came means something */
};

/* A word of the interface; @value -1: nothing here knows what it means yet. Ends with NULL. */
struct lb_word {
	const char *name;
	int value;
	enum lb_feature feature;
};

/* What a list of texts is made of. */
struct lb_item {
	size_t size;
	int (*parse)(const char *text, void *out, struct lb_err *err);
	void (*format)(const void *in, char buf[LB_FIELD_STRLEN]);
};

struct lb_object;

struct lb_field {
	const char *name;
	enum lb_field_kind kind;
	unsigned int flags;
	size_t offset, size;
	size_t nr_offset;  /* LIST, ITEMS: of the size_t that counts */
	uint64_t min, max; /* NUMBER, DURATION; LIST, ITEMS: the most elements */
	const char *what;  /* NUMBER, DURATION, WORD: as in "70000 is not a port" */
	const struct lb_word *words;
	int (*verify)(const char *text, struct lb_err *err);
	const struct lb_object *object;
	const struct lb_item *item;
	enum lb_feature feature; /* while it is to come, only what is as if it were not written is accepted */
};

struct lb_object {
	const struct lb_field *fields; /* ends with a NULL name */
	size_t size;
	const char *form; /* what to write: "a mapping with name and vip" */
	/* A new element of @parent's list: 0, or -ENOMEM with zeroes; NULL: zeroes. */
	int (*init)(void *item, const void *parent);
	/* What follows from keys that were given; @given[i] is not 0: field i was. NULL: nothing does. */
	void (*complete)(void *item, const unsigned int *given);
	/* The short form, "10.0.0.1" for a backend; NULL: there is none. */
	int (*from_text)(void *item, const char *text, struct lb_err *err);
};

extern const struct lb_object lb_object_config, lb_object_service, lb_object_backend, lb_object_iface;

/* lb_field_parse - set a field from its text; -EINVAL with @err's message, the field untouched. Not for OBJECT, LIST.
 */
int lb_field_parse(const struct lb_field *f, const char *text, void *obj, struct lb_err *err);

/* lb_field_format - the text that lb_field_parse reads back; NULL: unset. Not for ITEMS, SOURCES, OBJECT, LIST. */
char *lb_field_format(const struct lb_field *f, const void *obj, char buf[LB_FIELD_STRLEN]);
uint64_t lb_field_number(const struct lb_field *f, const void *obj);

/* ITEMS and SOURCES: lb_field_parse adds one. lb_field_item: text number @i, or NULL past the last. */
void lb_field_clear(const struct lb_field *f, void *obj);
char *lb_field_item(const struct lb_field *f, const void *obj, size_t i, char buf[LB_FIELD_STRLEN]);

/* lb_field_item_order - item @i of @a against item @j of @b as they are sorted: *@order as of memcmp(), what is there
 * before what is not. false: neither is there. */
bool lb_field_item_order(const struct lb_field *f, const void *a, size_t i, const void *b, size_t j, int *order);

/* Do both mean the same? Found out without a word of it being written, mostly. */
bool lb_field_equal(const struct lb_field *f, const void *a, const void *b);
bool lb_object_equal(const struct lb_object *o, const void *a, const void *b);

#endif
