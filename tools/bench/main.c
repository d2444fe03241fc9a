// SPDX-License-Identifier: GPL-2.0-or-later
/* `make bench`: how fast is it? A table on stdout, the same as JSON in the file named by the first argument. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

bool bench_wanted(const char *name)
{
	const char *only = getenv("BENCH");

	return !only || !*only || !strncmp(name, only, strlen(only));
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double bench_median(double *values, size_t nr)
{
	qsort(values, nr, sizeof(values[0]), compare_doubles);
	return values[nr / 2];
}

static void print_veth(const json_t *cases)
{
	const json_t *row;
	size_t i;

	printf("%-28s %9s %8s %10s %9s %9s\n", "through veth", "Mpps", "ratio", "flows", "loss 50%", "loss 90%");
	json_array_foreach (cases, i, row) {
		const json_t *mpps = json_object_get(row, "mpps");

		if (!mpps)
			continue;
		printf("%-28s %9.2f %8.2f %10lld %9.5f %9.5f\n", json_string_value(json_object_get(row, "name")),
		       json_real_value(mpps), json_real_value(json_object_get(row, "ratio")),
		       (long long)json_integer_value(json_object_get(row, "flows")),
		       json_real_value(json_object_get(row, "loss_50")),
		       json_real_value(json_object_get(row, "loss_90")));
	}
}

static void print_cases(const json_t *cases)
{
	const json_t *row;
	size_t i;

	printf("%-28s %9s %8s %10s %6s\n", "case", "net ns", "floors", "flows", "valid");
	json_array_foreach (cases, i, row) {
		const json_t *net = json_object_get(row, "net_ns");

		if (!net)
			continue;
		printf("%-28s %9.1f %8.2f %10lld %6s\n", json_string_value(json_object_get(row, "name")),
		       json_real_value(net), json_real_value(json_object_get(row, "floors")),
		       (long long)json_integer_value(json_object_get(row, "flows")),
		       json_is_true(json_object_get(row, "valid")) ? "yes" : "NO");
	}
}

int main(int argc, char **argv)
{
	json_t *out = json_object();
	int bad;

	if (argc != 2) {
		fprintf(stderr, "usage: bench OUTPUT.json\n");
		return 2;
	}
	json_object_set_new(out, "cases", json_array());
	bad = bench_packets(out);
	if (bad >= 0 && !bench_veth(out)) {
		printf("driver %.1f ns, head adjustment %.1f ns, floor %.1f ns net\n",
		       json_real_value(json_object_get(out, "driver_ns")),
		       json_real_value(json_object_get(out, "adjust_ns")),
		       json_real_value(json_object_get(out, "floor_ns")));
		print_cases(json_object_get(out, "cases"));
		print_veth(json_object_get(out, "cases"));
		if (json_dump_file(out, argv[1], JSON_INDENT(1) | JSON_REAL_PRECISION(6))) {
			fprintf(stderr, "bench: cannot write %s\n", argv[1]);
			bad = -1;
		}
	}
	json_decref(out);
	return bad ? 1 : 0;
}
