// SPDX-License-Identifier: GPL-2.0-or-later
/* What is going on: events as they happen, rates from counters read again and again, and the flows that are remembered.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "addr.h"
#include "client.h"
#include "lbctl.h"

#define CLEAR "\033[H\033[2J"

/* -n N; 0: without an end. Returns false when it is no number. */
static bool read_number(const struct lb_ctl *c, uint64_t *number)
{
	const char *text = lb_args_value(c->args, "number");
	char *end;

	*number = 0;
	if (!text)
		return true;
	errno = 0;
	*number = strtoull(text, &end, 10);
	return *text >= '0' && *text <= '9' && !*end && !errno && *number;
}

/* ---- monitor ---- */

struct monitor {
	bool json;
	uint64_t left; /* events; 0: any number */
};

/* Is there still who reads what is written? Of a pipe nobody knows before the next write, unless it is asked. */
static bool is_read(void)
{
	struct pollfd out = {.fd = STDOUT_FILENO};

	return poll(&out, 1, 0) < 1 || !(out.revents & POLLERR);
}

static bool on_line(void *ctx, const char *line)
{
	struct monitor *m = ctx;
	json_t *event;

	if (!line || !*line)
		return is_read(); /* nothing has happened */
	if (m->json) {
		puts(line);
	} else {
		event = json_loads(line, 0, NULL);
		lb_show_event(event);
		json_decref(event);
	}
	/* Whoever reads it from a pipe is to see it now. */
	if (fflush(stdout))
		return false;
	return !m->left || --m->left;
}

int lb_ctl_monitor(struct lb_ctl *c)
{
	const char *since = lb_args_value(c->args, "since"), *type = lb_args_value(c->args, "type");
	struct monitor m = {.json = c->json};
	char *path = lb_client_path((const char *const[]){"events", NULL});

	if (!read_number(c, &m.left)) {
		free(path);
		return lb_ctl_misused(c, "-n takes a number from 1, not %s", lb_args_value(c->args, "number"));
	}
	path = lb_client_query(path, "traffic", "1");
	if (since)
		path = lb_client_query(path, "since", since);
	if (type)
		path = lb_client_query(path, "type", type);
	return lb_ctl_stream(c, path, on_line, &m);
}

/* ---- top ---- */

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static double count_of(const json_t *item, const char *key)
{
	return json_number_value(json_object_get(json_object_get(item, "status"), key));
}

/* What @key of the item grew by in a second; what is new, or began anew, has not grown. */
static json_t *rate(const json_t *before, const json_t *item, const char *key, double scale, double seconds)
{
	double grown = before ? count_of(item, key) - count_of(before, key) : 0;

	return json_real(grown > 0 ? grown * scale / seconds : 0);
}

static json_t *row_of(const char *service, const json_t *before, const json_t *item, double seconds)
{
	json_t *status = json_object_get(item, "status"), *backend = json_object_get(item, "address");
	json_t *state = json_object_get(status, backend ? "health" : "state");
	json_t *active = json_object_get(status, "active_connections");

	return json_pack("{s:s, s:O?, s:O?, s:o, s:o, s:o, s:O*}", "service", service, "backend", backend, "state",
			 state, "connections_per_second", rate(before, item, "connections", 1, seconds),
			 "packets_per_second", rate(before, item, "packets", 1, seconds), "bits_per_second",
			 rate(before, item, "bytes", 8, seconds), "active_connections", active);
}

/* Services by name, as objects of "service" and its backends by address, so that two looks can be compared. */
static json_t *index_of(const json_t *services)
{
	json_t *all = json_object(), *one, *service, *backend;
	size_t i, k;

	json_array_foreach (services, i, service) {
		one = json_pack("{s:O, s:{}}", "service", service, "backends");
		json_array_foreach (json_object_get(service, "backends"), k, backend)
			json_object_set(json_object_get(one, "backends"),
					json_string_value(json_object_get(backend, "address")), backend);
		json_object_set_new(all, json_string_value(json_object_get(service, "name")), one);
	}
	return all;
}

static int busier(const void *a, const void *b)
{
	double x = json_number_value(json_object_get(*(json_t *const *)a, "packets_per_second"));
	double y = json_number_value(json_object_get(*(json_t *const *)b, "packets_per_second"));

	return (x < y) - (x > y);
}

/* The busiest first. */
static void sort(json_t *rows)
{
	size_t nr = json_array_size(rows);
	json_t **list = calloc(nr ? nr : 1, sizeof(*list));

	if (!list)
		return;
	for (size_t i = 0; i < nr; i++)
		list[i] = json_incref(json_array_get(rows, i));
	qsort(list, nr, sizeof(*list), busier);
	for (size_t i = 0; i < nr; i++)
		json_array_set_new(rows, i, list[i]);
	free(list);
}

/* A row a service, each with its backends' rows. */
static json_t *rates_of(const json_t *before, const json_t *services, double seconds)
{
	json_t *out = json_array(), *service, *backend, *row, *rows, *was;
	size_t i, k;

	json_array_foreach (services, i, service) {
		const char *name = json_string_value(json_object_get(service, "name"));

		was = json_object_get(before, name);
		row = row_of(name, json_object_get(was, "service"), service, seconds);
		rows = json_array();
		json_array_foreach (json_object_get(service, "backends"), k, backend)
			json_array_append_new(
				rows, row_of(name,
					     json_object_get(json_object_get(was, "backends"),
							     json_string_value(json_object_get(backend, "address"))),
					     backend, seconds));
		sort(rows);
		json_object_del(row, "backend");
		json_object_set_new(row, "backends", rows);
		json_array_append_new(out, row);
	}
	sort(out);
	return out;
}

static void show(const struct lb_ctl *c, const json_t *rates, double seconds)
{
	json_t *rows, *row, *backend;
	struct winsize size = {0};
	size_t i, k, max = SIZE_MAX;

	if (c->json) {
		row = json_pack("{s:f, s:O}", "interval_seconds", seconds, "services", rates);
		json_dumpf(row, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6));
		putchar('\n');
		json_decref(row);
		return;
	}
	if (isatty(STDOUT_FILENO)) {
		fputs(CLEAR, stdout);
		if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_row > 4)
			max = size.ws_row - 3;
	}
	rows = json_array();
	json_array_foreach (rates, i, row) {
		json_array_append(rows, row);
		json_array_foreach (json_object_get(row, "backends"), k, backend)
			json_array_append(rows, backend);
	}
	lb_show_rates(rows, max);
	json_decref(rows);
}

/* The services as they are now, all or the one that was asked for. */
static int look(const struct lb_ctl *c, json_t **services, uint64_t *at_ns)
{
	const char *one = c->words[0];
	json_t *doc = NULL;
	int ret;

	ret = lb_ctl_call(c, "GET", lb_client_path((const char *const[]){"services", one, NULL}), NULL, &doc);
	*at_ns = now_ns();
	if (ret)
		return ret;
	*services = one ? json_pack("[O]", doc) : json_incref(json_object_get(doc, "services"));
	json_decref(doc);
	return LB_EXIT_DONE;
}

static void sleep_ns(uint64_t ns)
{
	struct timespec ts = {.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)};

	while (nanosleep(&ts, &ts) && errno == EINTR)
		;
}

int lb_ctl_top(struct lb_ctl *c)
{
	const char *interval = lb_args_value(c->args, "interval");
	json_t *services = NULL, *before, *rates;
	uint64_t left, interval_ns = 1000000000, then_ns, at_ns;
	double seconds;
	int ret;

	if (!read_number(c, &left))
		return lb_ctl_misused(c, "-n takes a number from 1, not %s", lb_args_value(c->args, "number"));
	if (interval && (lb_duration_parse(interval, &interval_ns, NULL) || interval_ns < 100000000))
		return lb_ctl_misused(c, "--interval takes a time of at least 100ms, such as 2s, not %s", interval);
	ret = look(c, &services, &then_ns);
	while (!ret) {
		before = index_of(services);
		json_decref(services);
		services = NULL;
		sleep_ns(interval_ns);
		ret = look(c, &services, &at_ns);
		if (!ret) {
			seconds = (double)(at_ns - then_ns) / 1e9;
			then_ns = at_ns;
			rates = rates_of(before, services, seconds);
			show(c, rates, seconds);
			json_decref(rates);
		}
		json_decref(before);
		if (fflush(stdout) || (left && !--left))
			break;
		if (!c->json && !isatty(STDOUT_FILENO))
			putchar('\n');
	}
	json_decref(services);
	return ret;
}

/* ---- flows ---- */

static char *flows_path(const struct lb_ctl *c)
{
	char *path = lb_client_path((const char *const[]){"flows", NULL});

	return c->words[0] ? lb_client_query(path, "service", c->words[0]) : path;
}

int lb_ctl_flows(struct lb_ctl *c)
{
	const char *client = lb_args_value(c->args, "client"), *backend = lb_args_value(c->args, "backend");
	const char *limit = lb_args_value(c->args, "limit");
	char *path = flows_path(c);
	json_t *doc = NULL;
	int ret;

	if (client)
		path = lb_client_query(path, "client", client);
	if (backend)
		path = lb_client_query(path, "backend", backend);
	if (limit)
		path = lb_client_query(path, "limit", limit);
	ret = lb_ctl_call(c, "GET", path, NULL, &doc);

	if (ret)
		return ret;
	if (c->json)
		lb_show_json(doc);
	else if (lb_args_has(c->args, "count"))
		printf("%" JSON_INTEGER_FORMAT "\n", json_integer_value(json_object_get(doc, "entries")));
	else if (client || backend)
		lb_show_client_flows(doc);
	else
		lb_show_flows(json_object_get(doc, "flows"));
	json_decref(doc);
	return LB_EXIT_DONE;
}

int lb_ctl_flows_flush(struct lb_ctl *c)
{
	json_t *doc = NULL;
	int ret = lb_ctl_call(c, "DELETE", flows_path(c), NULL, &doc);

	if (!ret && c->json)
		lb_show_json(doc);
	json_decref(doc);
	return ret;
}
