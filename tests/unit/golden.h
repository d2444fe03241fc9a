/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Texts of configurations that are held against files (tests/golden/X: NAME.yaml with NAME.out, its canonical form, or
 * NAME.err, its refusal), or broken at random. Run from the repository's root; included after cmocka.h.
 */
#ifndef GOLDEN_H
#define GOLDEN_H

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "document.h"

static inline char *slurp(const char *path, size_t *len)
{
	FILE *f = fopen(path, "re");
	char *text;
	long size;

	if (!f)
		return NULL;
	assert_int_equal(fseek(f, 0, SEEK_END), 0);
	size = ftell(f);
	assert_true(size >= 0);
	rewind(f);
	text = malloc((size_t)size + 1);
	assert_non_null(text);
	*len = fread(text, 1, (size_t)size, f);
	assert_int_equal(*len, size);
	text[*len] = '\0';
	fclose(f);
	return text;
}

/* Reads an exact-size copy, so that ASan sees a read past the end. */
static inline int read_text(const char *text, size_t len, const char *name, struct lb_config **c, struct lb_err *err)
{
	char *copy = malloc(len ? len : 1);
	int ret;

	assert_non_null(copy);
	memcpy(copy, text, len);
	ret = lb_document_read(copy, len, name, c, err);
	free(copy);
	return ret;
}

static inline char *export(const struct lb_config *c)
{
	char *yaml = lb_document_yaml(c);

	assert_non_null(yaml);
	return yaml;
}

/* The whole, a backend at a time. */
static inline char *write_in_steps(const struct lb_config *c, bool yaml)
{
	struct lb_text t = {0};
	size_t backend = 0;
	char *text;

	lb_document_config_begin(&t, c, yaml);
	for (size_t i = 0; i < c->nr_services; i += !backend)
		backend = lb_document_config_service(&t, c, i, backend, 1, yaml);
	lb_document_config_end(&t, c, yaml);
	text = lb_text_take(&t, NULL);
	assert_non_null(text);
	return text;
}

/* What is written without a tree is what a tree would be: @text (taken over) and @json (taken over). */
static inline void check_same_json(char *text, json_t *json)
{
	json_error_t error;
	json_t *read = json_loads(text, 0, &error);

	if (!read || !json_equal(read, json))
		fail_msg("%s\n%s", read ? "not the same" : error.text, text);
	json_decref(read);
	json_decref(json);
	free(text);
}

static inline void check_texts(const struct lb_config *c)
{
	char *yaml = lb_document_yaml(c), *steps = write_in_steps(c, true);

	assert_string_equal(steps, yaml);
	free(steps);
	free(yaml);
	check_same_json(write_in_steps(c, false), lb_document_config(c));
	for (size_t i = 0; i < c->nr_services; i++) {
		const struct lb_service_conf *s = &c->services[i];
		struct lb_text t = {0};
		json_t *json = lb_document_service(s);

		lb_document_put_service(&t, s);
		lb_text_puts(&t, "}");
		json_object_del(json, "backends");
		check_same_json(lb_text_take(&t, NULL), json);
		for (size_t k = 0; k < s->nr_backends; k++) {
			lb_document_put_backend(&t, &s->backends[k]);
			lb_text_puts(&t, "}");
			check_same_json(lb_text_take(&t, NULL), lb_document_backend(&s->backends[k]));
		}
	}
}

/* export -> read -> export is the same, byte by byte, and changes nothing; so is the way through JSON. */
static inline void check_round_trip(const struct lb_config *c)
{
	char *first = export(c), *second, *text;
	json_t *json = lb_document_config(c);
	struct lb_config *again;
	struct lb_err err = {0};

	if (lb_document_read(first, strlen(first), "export.yaml", &again, &err))
		fail_msg("%s\n%s", lb_err_str(&err), first);
	second = export(again);
	assert_string_equal(first, second);
	assert_int_equal(lb_config_diff(c, again, NULL, NULL), 0);
	lb_config_free(again);
	free(second);
	assert_non_null(json);
	text = json_dumps(json, JSON_COMPACT);
	if (lb_document_read(text, strlen(text), NULL, &again, &err))
		fail_msg("%s\n%s", lb_err_str(&err), text);
	assert_int_equal(lb_config_diff(c, again, NULL, NULL), 0);
	lb_config_free(again);
	json_decref(json);
	free(text);
	free(first);
}

/* And each service and backend by itself, and the whole in steps, are what is in it. */
static inline void check_fixed_point(const struct lb_config *c)
{
	check_texts(c);
	check_round_trip(c);
}

/* Says what differs and goes on, so that one run shows all. */
static inline bool check_golden(const char *folder, const char *name)
{
	char path[600], base[256];
	size_t len, want_len;
	char *text, *want, *got;
	struct lb_config *c = NULL;
	struct lb_err err = {0};
	bool same;
	int ret;

	snprintf(base, sizeof(base), "%.*s", (int)(strlen(name) - strlen(".yaml")), name);
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	text = slurp(path, &len);
	assert_non_null(text);
	ret = read_text(text, len, name, &c, &err);
	snprintf(path, sizeof(path), "%s/%s.%s", folder, base, ret ? "err" : "out");
	want = slurp(path, &want_len);
	if (ret) {
		assert_null(c);
		assert_int_equal(ret, err.code);
		assert_true(asprintf(&got, "%s\n", lb_err_str(&err)) > 0);
	} else {
		got = export(c);
		check_fixed_point(c);
		lb_config_free(c);
	}
	same = want && !strcmp(got, want);
	if (!same)
		print_error("%s\n--- got\n%s--- want\n%s", path, got, want ? want : "(no such file)\n");
	free(got);
	free(want);
	free(text);
	return same;
}

/* All of @folder; returns how many there are. */
static inline int check_goldens(const char *folder)
{
	DIR *dir = opendir(folder);
	struct dirent *e;
	int nr = 0, wrong = 0;

	if (!dir)
		fail_msg("run from the repository's root: %s: %s", folder, strerror(errno));
	while ((e = readdir(dir))) {
		size_t len = strlen(e->d_name);

		if (len < 6 || strcmp(e->d_name + len - 5, ".yaml"))
			continue;
		wrong += !check_golden(folder, e->d_name);
		nr++;
	}
	closedir(dir);
	assert_int_equal(wrong, 0);
	return nr;
}

/* Whatever becomes of a text, reading it ends in a configuration that holds, or in one printable line. */
static inline void check_any(const char *text, size_t len)
{
	struct lb_config *c = NULL;
	struct lb_err err = {0};

	if (read_text(text, len, "any.yaml", &c, &err)) {
		assert_null(c);
		assert_true(*err.message);
		assert_true(!strncmp(err.path, "any.yaml", 8));
		assert_null(strchr(lb_err_str(&err), '\n'));
		return;
	}
	assert_int_equal(lb_config_check(c, NULL), 0);
	check_fixed_point(c);
	lb_config_free(c);
}

static inline void check_truncated(const char *path)
{
	size_t len;
	char *text = slurp(path, &len);

	assert_non_null(text);
	for (size_t n = 0; n < len; n++)
		check_any(text, n);
	free(text);
}

static inline void check_flipped(const char *path, unsigned int *random)
{
	static const char syntax[] = "{}[]:,-?&*!|>'\"%@`# \n\t\\~0";
	size_t len;
	char *text = slurp(path, &len);

	assert_non_null(text);
	for (int n = 0; n < 3000; n++) {
		char *copy = malloc(len);

		assert_non_null(copy);
		memcpy(copy, text, len);
		for (int flips = 1 + rand_r(random) % 4; flips > 0; flips--) {
			size_t at = (size_t)rand_r(random) % len;

			if (rand_r(random) % 2)
				copy[at] = syntax[(size_t)rand_r(random) % (sizeof(syntax) - 1)];
			else
				copy[at] = (char)(copy[at] ^ (1 << rand_r(random) % 8));
		}
		check_any(copy, len);
		free(copy);
	}
	free(text);
}

#endif
