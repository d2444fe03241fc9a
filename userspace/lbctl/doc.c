// SPDX-License-Identifier: GPL-2.0-or-later
/* Values of the API's documents by their path, and as people read them. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "doc.h"

const json_t *lb_doc_at(const json_t *doc, const char *path)
{
	char key[32];
	size_t len;

	while (doc && *path) {
		len = strcspn(path, ".");
		snprintf(key, sizeof(key), "%.*s", (int)len, path);
		doc = json_object_get(doc, key);
		path += len + (path[len] == '.');
	}
	return doc;
}

const char *lb_doc_str(const json_t *doc, const char *path)
{
	const char *s = json_string_value(lb_doc_at(doc, path));

	return s ? s : "";
}

json_int_t lb_doc_num(const json_t *doc, const char *path)
{
	const json_t *n = lb_doc_at(doc, path);

	return json_is_real(n) ? (json_int_t)json_real_value(n) : json_integer_value(n);
}

const char *lb_doc_text(const json_t *value, char buf[LB_DOC_TEXT])
{
	size_t more = json_array_size(value);

	if (more)
		value = json_array_get(value, 0);
	if (json_is_string(value) && *json_string_value(value))
		snprintf(buf, LB_DOC_TEXT, "%s", json_string_value(value));
	else if (json_is_integer(value))
		snprintf(buf, LB_DOC_TEXT, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	else if (json_is_boolean(value))
		snprintf(buf, LB_DOC_TEXT, "%s", json_is_true(value) ? "yes" : "no");
	else
		snprintf(buf, LB_DOC_TEXT, "-");
	if (more > 1)
		snprintf(buf + strlen(buf), LB_DOC_TEXT - strlen(buf), " +%zu", more - 1);
	return buf;
}

const char *lb_doc_count(json_int_t n, char buf[LB_DOC_TEXT])
{
	static const char units[] = "kMGTPE";
	double v = (double)n;
	size_t unit = 0;

	if (n < 10000000) {
		snprintf(buf, LB_DOC_TEXT, "%" JSON_INTEGER_FORMAT, n);
		return buf;
	}
	for (v /= 1000; v >= 99999.5 && units[unit + 1]; v /= 1000)
		unit++;
	snprintf(buf, LB_DOC_TEXT, "%.0f%c", v, units[unit]);
	return buf;
}

static bool backend_up(const json_t *backend)
{
	const char *health = lb_doc_str(backend, "status.health");

	return !strcmp(health, "up") || !strcmp(health, "unchecked");
}

const char *lb_doc_up_of(const json_t *service, char buf[LB_DOC_TEXT])
{
	const json_t *backends = lb_doc_at(service, "backends"), *b;
	size_t i, up = 0;

	json_array_foreach (backends, i, b)
		up += backend_up(b);
	snprintf(buf, LB_DOC_TEXT, "%zu/%zu", up, json_array_size(backends));
	return buf;
}
