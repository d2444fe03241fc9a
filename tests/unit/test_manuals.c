// SPDX-License-Identifier: GPL-2.0-or-later
/* The manuals against what they describe: keys, verdicts and options that they lack, and groff's warnings. Run from the
 * top of the tree after `make`. lbctl's own commands and options are in test_cli.c. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fields.h"
#include "lb/node.h"
#include "lb/verdict.h"

/* All that @f has, malloc'ed. */
static char *read_all(FILE *f)
{
	char *text = NULL;
	size_t len = 0, n;

	do {
		text = realloc(text, len + 4097);
		assert_non_null(text);
		n = fread(text + len, 1, 4096, f);
		len += n;
	} while (n);
	text[len] = '\0';
	return text;
}

static char *read_whole(const char *path)
{
	FILE *f = fopen(path, "r");
	char *text;

	if (!f)
		fail_msg("cannot read %s: %s; run this from the top of the tree", path, strerror(errno));
	text = read_all(f);
	fclose(f);
	return text;
}

static char *output_of(const char *command)
{
	FILE *f = popen(command, "r");
	char *text;

	assert_non_null(f);
	text = read_all(f);
	pclose(f);
	return text;
}

/* Is @word in one of the lines of @text that begin with @macro? */
static bool has_item(const char *text, const char *macro, const char *word)
{
	char line[512], *token, *rest;

	for (; *text; text += strcspn(text, "\n") + 1) {
		snprintf(line, sizeof(line), "%.*s", (int)strcspn(text, "\n"), text);
		if (strncmp(line, macro, strlen(macro)))
			continue;
		for (token = strtok_r(line + strlen(macro), " ,", &rest); token; token = strtok_r(NULL, " ,", &rest))
			if (!strcmp(token, word))
				return true;
	}
	return false;
}

static int check_keys(const char *manual, const struct lb_object *object)
{
	int n = 0;

	for (const struct lb_field *f = object->fields; f->name; f++) {
		if (f->kind == LB_FIELD_LATER)
			continue;
		if (!has_item(manual, ".It Cm", f->name))
			fail_msg("the key %s is not in docs/lbd.yaml.5", f->name);
		n++;
		if (f->object)
			n += check_keys(manual, f->object);
	}
	return n;
}

static void test_keys(void **state)
{
	char *manual = read_whole("docs/lbd.yaml.5");

	assert_true(check_keys(manual, &lb_object_config) > 20);
	free(manual);
}

static void test_verdicts(void **state)
{
	char *lbd = read_whole("docs/lbd.8"), *lbnode = read_whole("docs/lbnode.8");

#define X(id, name, action, help)                                                                                      \
	if (!has_item(lbd, ".It Li", name))                                                                            \
		fail_msg("the verdict %s is not in docs/lbd.8", name);
	LB_VERDICTS(X)
#undef X
#define X(id, name, help)                                                                                              \
	if (!has_item(lbnode, ".It Li", name))                                                                         \
		fail_msg("%s is not in docs/lbnode.8", name);
	LB_NODE_RESULTS(X)
#undef X
	free(lbd);
	free(lbnode);
}

/* Each --option that the output of @command names. */
static void check_options(const char *command, const char *path)
{
	char *manual = read_whole(path), *help = output_of(command), word[64];
	int n = 0;

	for (const char *p = help; (p = strstr(p, "--")); p += 2) {
		snprintf(word, sizeof(word), "-%.*s", (int)strspn(p + 2, "abcdefghijklmnopqrstuvwxyz-"), p + 2);
		if (!word[1])
			continue;
		n++;
		if (!has_item(manual, ".It Fl", word) && !has_item(manual, ".Op Fl", word) &&
		    !has_item(manual, ".It", word))
			fail_msg("-%s is not in %s", word, path);
	}
	assert_true(n > 3);
	free(manual);
	free(help);
}

static void test_options(void **state)
{
	check_options("build/lbd --help", "docs/lbd.8");
	check_options("build/lbnode help", "docs/lbnode.8");
}

static void test_markup(void **state)
{
	const char *pages[] = {"docs/lbctl.8", "docs/lbd.8", "docs/lbd.yaml.5", "docs/lbnode.8"};
	char command[128], *warnings;

	for (size_t i = 0; i < sizeof(pages) / sizeof(*pages); i++) {
		snprintf(command, sizeof(command), "groff -mandoc -ww -Tutf8 %s 2>&1 >/dev/null", pages[i]);
		warnings = output_of(command);
		assert_string_equal(warnings, "");
		free(warnings);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_verdicts),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_markup),
	};

	return cmocka_run_group_tests_name("manuals", tests, NULL, NULL);
}
