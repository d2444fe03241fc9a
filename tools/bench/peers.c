// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Against what people use: the same client and servers behind Sluice, nftables, HAProxy and nginx, one after the other
 * and again in each round, each on a host of its own, and without any of them ("direct"). A row is medians of rounds;
 * what is added to direct is the median of the differences within a round.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "cpu.h"
#include "load.h"

#define ROUNDS 5
#define MAX_TARGETS 8
#define CONNECTIONS 64
/* How long a flood lasts; paced phases last twice as long. On a machine that does not get to as many answers in the
 * first of them, all last longer. */
#define FLOOD_SECONDS 0.5
#define FLOOD_SECONDS_MAX 2.0
#define FLOOD_ANSWERS 100
#define PACED_CONNECTIONS 1024
/* The rate at which latency and CPU time are taken, the same for all: this share of what the slowest can do. */
#define PACED_SHARE 0.4
#define ALL_SERVERS 0xe /* b1, b2, b3 */

enum phase { REQUESTS, CONNECTS, PACED_REQUESTS, PACED_CONNECTS, NR_PHASES };

static struct load_target targets[MAX_TARGETS];
static size_t nr_targets;
static double flood_s = FLOOD_SECONDS;
static struct load_result results[MAX_TARGETS][NR_PHASES][ROUNDS];

/* "NAME=ADDR[,ADDR...][@SOURCE]"; returns 1 where no address is given: not installed. */
static int parse_target(char *arg, struct load_target *t)
{
	char *list = strchr(arg, '='), *from, *save = NULL;

	if (!list)
		return -EINVAL;
	*list++ = '\0';
	t->name = arg;
	from = strchr(list, '@');
	if (from) {
		*from++ = '\0';
		t->from.sin_family = AF_INET;
		if (inet_pton(AF_INET, from, &t->from.sin_addr) != 1)
			return -EINVAL;
	}
	for (char *p = strtok_r(list, ",", &save); p && t->nr_to < LOAD_MAX_ADDRS; p = strtok_r(NULL, ",", &save)) {
		t->to[t->nr_to].sin_family = AF_INET;
		t->to[t->nr_to].sin_port = htons(80);
		if (inet_pton(AF_INET, p, &t->to[t->nr_to++].sin_addr) != 1)
			return -EINVAL;
	}
	return t->nr_to ? 0 : 1;
}

static double slowest(enum phase phase)
{
	double least = results[0][phase][0].per_second;

	for (size_t t = 1; t < nr_targets; t++)
		if (results[t][phase][0].per_second < least)
			least = results[t][phase][0].per_second;
	return least;
}

static int run_round(int round, double request_rate, double connect_rate, enum phase first, enum phase last)
{
	const struct load_plan plans[] = {
		[REQUESTS] = {.seconds = flood_s, .connections = CONNECTIONS},
		[CONNECTS] = {.connect = true, .seconds = flood_s, .connections = CONNECTIONS},
		[PACED_REQUESTS] = {.rate = request_rate, .seconds = 2 * flood_s, .connections = CONNECTIONS},
		[PACED_CONNECTS] = {.connect = true,
				    .rate = connect_rate,
				    .seconds = 2 * flood_s,
				    .connections = PACED_CONNECTIONS},
	};

	cpu_calibrate();
	for (enum phase p = first; p <= last; p++) {
		for (size_t t = 0; t < nr_targets; t++) {
			int err = load_run(&targets[t], &plans[p], &results[t][p][round]);

			if (err) {
				fprintf(stderr, "bench: %s: %s\n", targets[t].name, strerror(-err));
				return -1;
			}
		}
	}
	return 0;
}

typedef double (*figure_fn)(const struct load_result *r);

/* One figure of a round of a phase. */
static double figure_rate(const struct load_result *r)
{
	return r->per_second;
}
static double figure_p50(const struct load_result *r)
{
	return r->p50_us;
}
static double figure_p99(const struct load_result *r)
{
	return r->p99_us;
}
static double figure_p999(const struct load_result *r)
{
	return r->p999_us;
}
static double figure_cpu(const struct load_result *r)
{
	return r->cpu_us;
}

enum relation { PLAIN, MINUS_DIRECT, OF_DIRECT };

static void add(json_t *row, const char *key, size_t target, enum phase phase, figure_fn figure, enum relation relation)
{
	double values[ROUNDS];

	for (int i = 0; i < ROUNDS; i++) {
		double direct = figure(&results[0][phase][i]);

		values[i] = figure(&results[target][phase][i]);
		if (relation == MINUS_DIRECT)
			values[i] -= direct;
		else if (relation == OF_DIRECT)
			values[i] = direct > 0 ? values[i] / direct : 0;
	}
	bench_add_spread(row, key, values, ROUNDS);
}

static json_t *target_row(size_t t, double request_rate, double connect_rate)
{
	static const struct {
		const char *key;
		enum phase phase;
		figure_fn figure;
		enum relation relation;
	} columns[] = {
		{"rps", REQUESTS, figure_rate, PLAIN},
		{"cps", CONNECTS, figure_rate, PLAIN},
		{"rps_ratio", REQUESTS, figure_rate, OF_DIRECT},
		{"cps_ratio", CONNECTS, figure_rate, OF_DIRECT},
		{"total_cpu_us_per_request", PACED_REQUESTS, figure_cpu, PLAIN},
		{"total_cpu_us_per_connection", PACED_CONNECTS, figure_cpu, PLAIN},
		{"cpu_us_per_request", PACED_REQUESTS, figure_cpu, MINUS_DIRECT},
		{"cpu_us_per_connection", PACED_CONNECTS, figure_cpu, MINUS_DIRECT},
		{"cpu_request_ratio", PACED_REQUESTS, figure_cpu, OF_DIRECT},
		{"cpu_connection_ratio", PACED_CONNECTS, figure_cpu, OF_DIRECT},
		{"p50_us", PACED_REQUESTS, figure_p50, PLAIN},
		{"p99_us", PACED_REQUESTS, figure_p99, PLAIN},
		{"p999_us", PACED_REQUESTS, figure_p999, PLAIN},
		{"added_p50_us", PACED_REQUESTS, figure_p50, MINUS_DIRECT},
		{"added_p99_us", PACED_REQUESTS, figure_p99, MINUS_DIRECT},
		{"added_p999_us", PACED_REQUESTS, figure_p999, MINUS_DIRECT},
		{"connect_p50_us", PACED_CONNECTS, figure_p50, PLAIN},
		{"connect_p99_us", PACED_CONNECTS, figure_p99, PLAIN},
	};
	uint32_t servers = ALL_SERVERS;
	uint64_t failed = 0;
	char name[64];
	json_t *row;

	for (int i = 0; i < ROUNDS; i++) {
		uint32_t answered = 0; /* at a low rate one connection may do for a phase */

		for (int p = 0; p < NR_PHASES; p++) {
			failed += results[t][p][i].failed;
			answered |= results[t][p][i].servers;
		}
		servers &= answered;
	}
	snprintf(name, sizeof(name), "peer-%s", targets[t].name);
	row = json_pack("{s:s s:I s:b s:f s:f}", "name", name, "failed", (json_int_t)failed, "valid",
			!failed && servers == ALL_SERVERS, "request_rate", request_rate, "connection_rate",
			connect_rate);
	for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++)
		add(row, columns[i].key, t, columns[i].phase, columns[i].figure, columns[i].relation);
	return row;
}

int bench_lab_peers(int argc, char **argv)
{
	json_t *rows = json_array();
	double request_rate, connect_rate;
	int ret = -1;

	for (int i = 0; i < argc && nr_targets < MAX_TARGETS; i++) {
		struct load_target *t = &targets[nr_targets];
		char name[64];
		int err;

		*t = (struct load_target){0};
		err = parse_target(argv[i], t);
		snprintf(name, sizeof(name), "peer-%s", t->name ?: "?");
		if (err < 0) {
			fprintf(stderr, "bench: '%s' is not NAME=ADDR,...[@SOURCE]\n", argv[i]);
			goto out;
		}
		if (i && !bench_wanted(name))
			continue;
		if (err)
			json_array_append_new(rows, json_pack("{s:s s:s}", "name", name, "note", "not installed"));
		else
			nr_targets++;
	}
	if (cpu_start())
		goto out;
	/* The first round finds caches cold and tells the rates; what it measured is measured again. */
	for (;;) {
		if (run_round(0, 0, 0, REQUESTS, CONNECTS))
			goto out;
		if (slowest(CONNECTS) * flood_s >= FLOOD_ANSWERS || flood_s >= FLOOD_SECONDS_MAX)
			break;
		flood_s *= 2;
	}
	request_rate = slowest(REQUESTS) * PACED_SHARE;
	connect_rate = slowest(CONNECTS) * PACED_SHARE;
	if (request_rate < 1 || connect_rate < 1) {
		fprintf(stderr, "bench: the laboratory of the peers answers nothing\n");
		goto out;
	}
	for (int round = 0; round < ROUNDS; round++)
		if (run_round(round, request_rate, connect_rate, REQUESTS, PACED_CONNECTS))
			goto out;
	for (size_t t = 0; t < nr_targets; t++)
		json_array_insert_new(rows, t, target_row(t, request_rate, connect_rate));
	ret = json_dumpf(rows, stdout, JSON_COMPACT) ? -1 : 0;
out:
	json_decref(rows);
	return ret;
}

int bench_peers(json_t *out)
{
	return bench_part_wanted("peer-") ? bench_in_lab("peers", out) : 0;
}
