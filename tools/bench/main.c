// SPDX-License-Identifier: GPL-2.0-or-later
/* `make bench`: how fast is it? A table on stdout, the same as JSON in the file named by the first argument. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "cpu.h"

bool bench_wanted(const char *name)
{
	const char *only = getenv("BENCH");

	return !only || !*only || !strncmp(name, only, strlen(only));
}

bool bench_part_wanted(const char *prefix)
{
	const char *only = getenv("BENCH");
	size_t a = strlen(prefix), b = only ? strlen(only) : 0;

	return !strncmp(prefix, only ?: "", a < b ? a : b);
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

void bench_add_spread(json_t *row, const char *key, double *values, size_t nr)
{
	char name[64];

	json_object_set_new(row, key, json_real(bench_median(values, nr)));
	snprintf(name, sizeof(name), "%s_q1", key);
	json_object_set_new(row, name, json_real(values[nr / 4]));
	snprintf(name, sizeof(name), "%s_q3", key);
	json_object_set_new(row, name, json_real(values[nr - 1 - nr / 4]));
}

int bench_in_lab(const char *part, json_t *out)
{
	char self[4096], dir[4096], command[3 * 4096];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	json_t *rows = NULL;
	int ret = -1, proc;
	FILE *f;

	if (len < 0)
		return -1;
	self[len] = '\0';
	proc = open("/proc", O_RDONLY | O_DIRECTORY); /* for those in the laboratory, which sees less of it */
	snprintf(command, sizeof(command), "%d", proc);
	setenv(CPU_PROC_FD, command, 1);
	memcpy(dir, self, (size_t)len + 1);
	/* build/tools/bench is three levels below the top */
	for (int i = 0; i < 3 && strrchr(dir, '/'); i++)
		*strrchr(dir, '/') = '\0';
	snprintf(command, sizeof(command), "'%s/tools/bench/lab.sh' %s '%s'", dir, part, self);
	f = popen(command, "r");
	if (f)
		rows = json_loadf(f, 0, NULL);
	if (f && !pclose(f) && json_is_array(rows))
		ret = json_array_extend(json_object_get(out, "cases"), rows);
	if (ret)
		fprintf(stderr, "bench: the part '%s' did not come to an end\n", part);
	json_decref(rows);
	close(proc);
	return ret;
}

static bool any_has(const json_t *cases, const char *key)
{
	const json_t *row;
	size_t i;

	json_array_foreach (cases, i, row) {
		if (json_object_get(row, key))
			return true;
	}
	return false;
}

static void print_veth(const json_t *cases)
{
	const json_t *row;
	size_t i;

	if (!any_has(cases, "mpps"))
		return;
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

	if (!any_has(cases, "net_ns"))
		return;
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

static double number(const json_t *row, const char *key)
{
	return json_number_value(json_object_get(row, key));
}

static void print_peers(const json_t *cases)
{
	const json_t *row;
	size_t i;

	if (!any_has(cases, "rps"))
		return;
	printf("%-20s %8s %6s %8s %6s %11s %11s %9s %9s %9s %6s\n", "peer (+: over direct)", "req/s", "ratio", "conn/s",
	       "ratio", "+cpu us/req", "+us/conn", "+p50 us", "+p99 us", "+p99.9 us", "valid");
	json_array_foreach (cases, i, row) {
		const char *name = json_string_value(json_object_get(row, "name")),
			   *note = json_string_value(json_object_get(row, "note"));

		if (strncmp(name, "peer-", 5))
			continue;
		if (note)
			printf("%-20s %s\n", name, note);
		else
			printf("%-20s %8.0f %6.2f %8.0f %6.2f %11.1f %11.1f %9.0f %9.0f %9.0f %6s\n", name,
			       number(row, "rps"), number(row, "rps_ratio"), number(row, "cps"),
			       number(row, "cps_ratio"), number(row, "cpu_us_per_request"),
			       number(row, "cpu_us_per_connection"), number(row, "added_p50_us"),
			       number(row, "added_p99_us"), number(row, "added_p999_us"),
			       json_is_true(json_object_get(row, "valid")) ? "yes" : "NO");
	}
}

static void print_control(const json_t *cases)
{
	const json_t *row, *value;
	const char *key;
	size_t i;

	if (any_has(cases, "ms"))
		printf("%-28s %9s %9s %9s\n", "control plane", "ms", "q1", "q3");
	json_array_foreach (cases, i, row) {
		if (json_object_get(row, "ms"))
			printf("%-28s %9.3f %9.3f %9.3f\n", json_string_value(json_object_get(row, "name")),
			       number(row, "ms"), number(row, "ms_q1"), number(row, "ms_q3"));
	}
	if (any_has(cases, "cpu_percent"))
		printf("%-28s %9s %9s %6s\n", "lbd's CPU", "%", "checks/s", "valid");
	json_array_foreach (cases, i, row) {
		if (json_object_get(row, "cpu_percent"))
			printf("%-28s %9.2f %9.0f %6s\n", json_string_value(json_object_get(row, "name")),
			       number(row, "cpu_percent"), number(row, "checks_per_s"),
			       json_is_true(json_object_get(row, "valid")) ? "yes" : "NO");
	}
	printf("%-28s %9s\n", "memory", "bytes");
	json_array_foreach (cases, i, row) {
		if (strncmp(json_string_value(json_object_get(row, "name")), "memory", strlen("memory")))
			continue;
		json_object_foreach ((json_t *)row, key, value) {
			if (json_is_integer(value))
				printf("%-28s %9lld\n", key, (long long)json_integer_value(value));
		}
	}
}

/* `bench --in-lab PART ARG...` is how lab.sh calls back. */
static int in_lab(int argc, char **argv)
{
	if (!strcmp(argv[0], "peers"))
		return bench_lab_peers(argc - 1, argv + 1);
	if (!strcmp(argv[0], "control"))
		return bench_lab_control(argc - 1, argv + 1);
	fprintf(stderr, "bench: nothing called '%s' is measured in a laboratory\n", argv[0]);
	return -1;
}

int main(int argc, char **argv)
{
	json_t *out;
	int bad;

	if (argc > 2 && !strcmp(argv[1], "--in-lab"))
		return in_lab(argc - 2, argv + 2) ? 1 : 0;
	if (argc != 2) {
		fprintf(stderr, "usage: bench OUTPUT.json\n");
		return 2;
	}
	out = json_pack("{s:[]}", "cases");
	bad = bench_packets(out);
	if (bad >= 0 && !bench_veth(out)) {
		/* These two go on without each other: a missing peer or laboratory is no reason to lose the rest. */
		bad += (bench_peers(out) != 0) + (bench_control(out) != 0);
		printf("driver %.1f ns, head adjustment %.1f ns, floor %.1f ns net\n",
		       json_real_value(json_object_get(out, "driver_ns")),
		       json_real_value(json_object_get(out, "adjust_ns")),
		       json_real_value(json_object_get(out, "floor_ns")));
		print_cases(json_object_get(out, "cases"));
		print_veth(json_object_get(out, "cases"));
		print_peers(json_object_get(out, "cases"));
		print_control(json_object_get(out, "cases"));
		if (json_dump_file(out, argv[1], JSON_INDENT(1) | JSON_REAL_PRECISION(6))) {
			fprintf(stderr, "bench: cannot write %s\n", argv[1]);
			bad = -1;
		}
	}
	json_decref(out);
	return bad ? 1 : 0;
}
