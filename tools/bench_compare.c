// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Two results of `make bench` side by side: bench_compare OLD.json NEW.json. Ends with status 1 when something became
 * worse by more than noise, 2 when they cannot be compared.
 *
 * Worse is a median that moved the wrong way by more than the figure's tolerance and, where both results carry
 * quartiles, left the other's: the two middle halves of the rounds do not meet. Only figures that are ratios within
 * their run, or that no machine's speed is in, are judged closely; milliseconds are allowed more.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct figure {
	const char *key;
	bool more_is_better;
	double tolerance; /* of the old value; what is below it is noise whatever the quartiles say */
	double no_spread; /* the same where there are no quartiles */
	double smallest;  /* a change below this in the figure's own unit is noise, too */
};

static const struct figure figures[] = {
	{"floors", false, 0.05, 0.10, 0.1},
	{"ratio", true, 0.05, 0.10, 0},
	{"loss_50", false, 0, 0, 0.01},
	{"ms", false, 0.25, 0.25, 0.05},
	{"failure_to_packet_ms", false, 0.25, 0.25, 0.05},
	{"seconds", false, 0.25, 0.25, 0.01},
	{"verified_insns", false, 0.10, 0.10, 0},
	{"jited_bytes", false, 0.10, 0.10, 0},
	{"start_bytes", false, 0.02, 0.02, 0},
	{"maps_bytes", false, 0.02, 0.02, 0},
	{"per_flow_bytes", false, 0.02, 0.02, 0},
	{"lbd_start_bytes", false, 0.10, 0.10, 0},
	{"lbd_per_backend_bytes", false, 0.10, 0.10, 0},
	{"lbd_per_service_bytes", false, 0.10, 0.10, 0},
	{"per_million_flows_bytes", false, 0.02, 0.02, 0},
	{"rps_ratio", true, 0.05, 0.10, 0},
	{"cps_ratio", true, 0.05, 0.10, 0},
	{"cpu_request_ratio", false, 0.05, 0.10, 0},
	{"cpu_connection_ratio", false, 0.05, 0.10, 0},
	{"cpu_percent", false, 0.25, 0.25, 0.5},
	{"lbd_10000_services_bytes", false, 0.10, 0.10, 0},
	{"lbd_10000_backends_bytes", false, 0.10, 0.10, 0},
};
#define NR_FIGURES (sizeof(figures) / sizeof(figures[0]))

static const json_t *find_case(const json_t *doc, const char *name)
{
	const json_t *row;
	size_t i;

	json_array_foreach (json_object_get(doc, "cases"), i, row) {
		const char *other = json_string_value(json_object_get(row, "name"));

		if (other && !strcmp(other, name))
			return row;
	}
	return NULL;
}

static bool quartile(const json_t *row, const char *key, const char *which, double *v)
{
	char name[64];
	const json_t *value;

	snprintf(name, sizeof(name), "%s_%s", key, which);
	value = json_object_get(row, name);
	*v = json_number_value(value);
	return json_is_number(value);
}

/* Below 0: worse, above 0: better, 0: noise. */
static int judge(const struct figure *f, const json_t *old_row, const json_t *new_row, double old, double new)
{
	double sign = f->more_is_better ? 1 : -1, gain = (new - old) * sign, old_edge, new_edge;
	const char *worse_side = f->more_is_better ? "q1" : "q3", *better_side = f->more_is_better ? "q3" : "q1";
	double size = gain < 0 ? -gain : gain;
	bool spread = quartile(old_row, f->key, gain < 0 ? worse_side : better_side, &old_edge) &&
		      quartile(new_row, f->key, gain < 0 ? better_side : worse_side, &new_edge);

	if (size <= f->smallest || size <= (spread ? f->tolerance : f->no_spread) * (old < 0 ? -old : old))
		return 0;
	if (spread && (gain < 0 ? (new_edge - old_edge) * sign >= 0 : (new_edge - old_edge) * sign <= 0))
		return 0;
	return gain < 0 ? -1 : 1;
}

/* A row that was valid and is not any more is a regression, whatever its figures. */
static int compare_validity(const char *name, const json_t *old_row, const json_t *new_row)
{
	const json_t *valid = json_object_get(new_row, "valid");

	if (!json_is_false(valid) || json_is_false(json_object_get(old_row, "valid")))
		return 0;
	printf("%-28s %-24s %12s %12s %9s  WORSE\n", name, "valid", "yes", "no", "");
	return 1;
}

static int compare_case(const char *name, const json_t *old_row, const json_t *new_row)
{
	static const char *const words[] = {"WORSE", "", "better"};
	/* Other load balancers are what we are held against; their changes are not ours. */
	bool ours = strncmp(name, "peer-", 5) || !strncmp(name, "peer-sluice", 11);
	int worse = compare_validity(name, old_row, new_row);

	for (size_t i = 0; i < NR_FIGURES; i++) {
		const struct figure *f = &figures[i];
		const json_t *a = json_object_get(old_row, f->key), *b = json_object_get(new_row, f->key);
		double old = json_number_value(a), new = json_number_value(b);
		int verdict;

		if (!json_is_number(a) || !json_is_number(b))
			continue;
		verdict = ours ? judge(f, old_row, new_row, old, new) : 0;
		worse += verdict < 0;
		printf("%-28s %-24s %12.6g %12.6g %+8.1f%%  %s\n", name, f->key, old, new,
		       old ? (new / old - 1) * 100 : 0, words[verdict + 1]);
	}
	return worse;
}

static void print_missing(const json_t *doc, const json_t *other, const char *where)
{
	const json_t *row;
	size_t i;

	json_array_foreach (json_object_get(doc, "cases"), i, row) {
		const char *name = json_string_value(json_object_get(row, "name"));

		if (name && !find_case(other, name))
			printf("%-28s only in %s\n", name, where);
	}
}

static json_t *load(const char *path)
{
	json_error_t error;
	json_t *doc = json_load_file(path, 0, &error);

	if (!doc || !json_is_array(json_object_get(doc, "cases"))) {
		fprintf(stderr, "bench_compare: %s: %s\n", path, doc ? "not a result of make bench" : error.text);
		json_decref(doc);
		return NULL;
	}
	return doc;
}

int main(int argc, char **argv)
{
	json_t *old = NULL, *new = NULL;
	const json_t *row;
	int worse = 0, ret = 2;
	size_t i;

	if (argc != 3) {
		fprintf(stderr, "usage: bench_compare OLD.json NEW.json\n");
		return ret;
	}
	old = load(argv[1]);
	new = load(argv[2]);
	if (!old || !new)
		goto out;
	printf("%-28s %-24s %12s %12s %9s\n", "case", "figure", "old", "new", "change");
	json_array_foreach (json_object_get(new, "cases"), i, row) {
		const char *name = json_string_value(json_object_get(row, "name"));
		const json_t *before = name ? find_case(old, name) : NULL;

		if (before)
			worse += compare_case(name, before, row);
	}
	print_missing(old, new, "the old result");
	print_missing(new, old, "the new result");
	printf("%d figures are worse\n", worse);
	ret = worse ? 1 : 0;
out:
	json_decref(old);
	json_decref(new);
	return ret;
}
