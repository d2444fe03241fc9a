// SPDX-License-Identifier: GPL-2.0-or-later
/* Prometheus' text format, byte by byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "../../userspace/lbd/metrics_text.c"

static char *text;
static size_t len;

static FILE *begin(void)
{
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	return f;
}

static void wrote(FILE *f, const char *wanted)
{
	fclose(f);
	assert_string_equal(text, wanted);
	free(text);
}

static void test_values(void **state)
{
	FILE *f = begin();

	lb_metric_value(f, "a\"b\\c\nd caf\xc3\xa9");
	wrote(f, "a\\\"b\\\\c\\nd caf\xc3\xa9");
	f = begin();
	lb_metric_u64(f, "lb_flows", "gauge", "Entries.", UINT64_MAX);
	lb_metric_single(f, "process_start_time_seconds", "gauge", "When.", 1767225600.25);
	wrote(f, "# HELP lb_flows Entries.\n# TYPE lb_flows gauge\nlb_flows 18446744073709551615\n"
		 "# HELP process_start_time_seconds When.\n# TYPE process_start_time_seconds gauge\n"
		 "process_start_time_seconds 1767225600.25\n");
}

/* A value counts in the bucket whose bound it does not pass, and in all above; what passes the last bound in +Inf. */
static void test_histogram(void **state)
{
	const uint64_t ms = 1000000;
	struct lb_histogram h = {0};
	FILE *f;

	lb_histogram_add(&h, 0);
	lb_histogram_add(&h, 5 * ms);
	lb_histogram_add(&h, 5 * ms + 1);
	lb_histogram_add(&h, 2500 * ms);
	lb_histogram_add(&h, 2500 * ms + 1);
	f = begin();
	lb_metric_histogram(f, "d", "a=\"b\"", &h);
	wrote(f, "d_bucket{a=\"b\",le=\"0.0005\"} 1\n"
		 "d_bucket{a=\"b\",le=\"0.001\"} 1\n"
		 "d_bucket{a=\"b\",le=\"0.0025\"} 1\n"
		 "d_bucket{a=\"b\",le=\"0.005\"} 2\n"
		 "d_bucket{a=\"b\",le=\"0.01\"} 3\n"
		 "d_bucket{a=\"b\",le=\"0.025\"} 3\n"
		 "d_bucket{a=\"b\",le=\"0.05\"} 3\n"
		 "d_bucket{a=\"b\",le=\"0.1\"} 3\n"
		 "d_bucket{a=\"b\",le=\"0.25\"} 3\n"
		 "d_bucket{a=\"b\",le=\"0.5\"} 3\n"
		 "d_bucket{a=\"b\",le=\"1\"} 3\n"
		 "d_bucket{a=\"b\",le=\"2.5\"} 4\n"
		 "d_bucket{a=\"b\",le=\"+Inf\"} 5\n"
		 "d_sum{a=\"b\"} 5.010000002\n"
		 "d_count{a=\"b\"} 5\n");
	f = begin();
	lb_metric_histogram(f, "d", "", &(struct lb_histogram){0});
	fclose(f);
	assert_non_null(strstr(text, "d_bucket{le=\"+Inf\"} 0\nd_sum 0\nd_count 0\n"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_histogram),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
