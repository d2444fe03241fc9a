// SPDX-License-Identifier: GPL-2.0-or-later
/* What a line of the log may hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../../userspace/lbd/log.c"

/* Nobody's text begins a line of its own, or ends the value that it is in. */
static void test_quoted(void **state)
{
	char text[2000];
	const char *quoted;

	assert_string_equal(lb_quoted(""), "\"\"");
	assert_string_equal(lb_quoted("a=b c"), "\"a=b c\"");
	assert_string_equal(lb_quoted("say \"no\" \\"), "\"say \\\"no\\\" \\\\\"");
	assert_string_equal(lb_quoted("a\nlevel=error\t\x1b[31m\r"), "\"a level=error  [31m \"");
	assert_string_equal(lb_quoted("caf\xc3\xa9"), "\"caf\xc3\xa9\"");
	memset(text, '"', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	quoted = lb_quoted(text);
	assert_true(strlen(quoted) < 1024);
	assert_string_equal(quoted + strlen(quoted) - 3, "\\\"\"");
}

/* A call may have several of them. */
static void test_quoted_apart(void **state)
{
	const char *a = lb_quoted("a"), *b = lb_quoted("b"), *c = lb_quoted("c"), *d = lb_quoted("d");

	assert_string_equal(a, "\"a\"");
	assert_string_equal(b, "\"b\"");
	assert_string_equal(c, "\"c\"");
	assert_string_equal(d, "\"d\"");
}

static void test_levels(void **state)
{
	enum lb_log_level level = LB_LOG_ERROR;

	assert_int_equal(lb_log_level_parse("debug", &level), 0);
	assert_int_equal(level, LB_LOG_DEBUG);
	assert_int_equal(lb_log_level_parse("verbose", &level), -EINVAL);
	assert_false(lb_log_wanted(LB_LOG_DEBUG));
	assert_true(lb_log_wanted(LB_LOG_INFO));
	lb_log_set_level(LB_LOG_ERROR);
	assert_false(lb_log_wanted(LB_LOG_WARN));
	assert_true(lb_log_wanted(LB_LOG_ERROR));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_quoted),
		cmocka_unit_test(test_quoted_apart),
		cmocka_unit_test(test_levels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
