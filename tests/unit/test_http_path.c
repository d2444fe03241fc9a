// SPDX-License-Identifier: GPL-2.0-or-later
/* What is left of a request's target, whatever is in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include "../../userspace/lbd/http_path.c"

static void test_path(void **state)
{
	static const char *const cases[][2] = {
		{"/v1/status", "/v1/status"},
		{"/v1/status?verify=1", "/v1/status"},
		{"http://lbd/v1/status?x", "/v1/status"},
		{"HTTP://lbd", ""},
		{"", ""},
		{"/v1/services/%77eb", "/v1/services/web"},
		{"/a%2Fb%25c", "/a%2Fb%25c"}, /* a name's own: they are made what they are once the path is cut */
		{"/%", "/%"},
		{"/%4", "/%4"},
		{"/%zz%4g%g4", "/%zz%4g%g4"},
		{"/%00", "/%00"},
		{"/%ff", "/\xff"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *path = lb_http_path(cases[i][0]);

		assert_string_equal(path, cases[i][1]);
		free(path);
	}
}

static void test_unescape(void **state)
{
	char text[] = "10.0.0.1%3a80%2F%25%";

	assert_int_equal(lb_http_unescape(text, ""), strlen("10.0.0.1:80/%%"));
	assert_string_equal(text, "10.0.0.1:80/%%");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_path),
		cmocka_unit_test(test_unescape),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
