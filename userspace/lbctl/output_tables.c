// SPDX-License-Identifier: GPL-2.0-or-later
/* What lbd answered, as tables for people: services, backends, flows, rates. */
#include <stdio.h>
#include <string.h>

#include <libsmartcols/libsmartcols.h>

#include "doc.h"
#include "lbctl.h"

static const char *next_hop(const json_t *backend, char buf[LB_DOC_TEXT])
{
	const json_t *nh = lb_doc_at(backend, "status.next_hop");

	if (json_is_object(nh))
		snprintf(buf, LB_DOC_TEXT, "%s %s", lb_doc_str(nh, "interface"), lb_doc_str(nh, "mac"));
	else
		snprintf(buf, LB_DOC_TEXT, "unresolved");
	return buf;
}

static const char *share(const json_t *backend, char buf[LB_DOC_TEXT])
{
	snprintf(buf, LB_DOC_TEXT, "%.1f%%", 100 * json_number_value(lb_doc_at(backend, "status.share")));
	return buf;
}

/* "100", or "100 (12.5)" while only so much of it counts. */
static const char *weight(const json_t *backend, char buf[LB_DOC_TEXT])
{
	const json_t *effective = lb_doc_at(backend, "status.effective_weight");

	lb_doc_text(lb_doc_at(backend, "weight"), buf);
	if (effective && json_number_value(effective) != (double)lb_doc_num(backend, "weight"))
		snprintf(buf + strlen(buf), LB_DOC_TEXT - strlen(buf), " (%g)", json_number_value(effective));
	return buf;
}

/* What is wanted of it, and that it is done. */
static const char *state(const json_t *backend, char buf[LB_DOC_TEXT])
{
	bool drained = !strcmp(lb_doc_str(backend, "status.state"), "drained");

	return lb_doc_text(lb_doc_at(backend, drained ? "status.state" : "state"), buf);
}

enum cell {
	CELL_TEXT,
	CELL_COUNT,
	CELL_UP_OF,
	CELL_SHARE,
	CELL_NEXT_HOP,
	CELL_WEIGHT,
	CELL_STATE,
};

struct column {
	const char *title;
	enum cell kind;
	const char *path;
	bool right;
};

static const char *cell(const struct column *col, const json_t *row, char buf[LB_DOC_TEXT])
{
	switch (col->kind) {
	case CELL_COUNT:
		return lb_doc_count(lb_doc_num(row, col->path), buf);
	case CELL_UP_OF:
		return lb_doc_up_of(row, buf);
	case CELL_SHARE:
		return share(row, buf);
	case CELL_NEXT_HOP:
		return next_hop(row, buf);
	case CELL_WEIGHT:
		return weight(row, buf);
	case CELL_STATE:
		return state(row, buf);
	case CELL_TEXT:
		break;
	}
	return lb_doc_text(lb_doc_at(row, col->path), buf);
}

/* Rows are never cut to the terminal's width: an address that is cut is wrong. */
static void show_table(const struct column *columns, size_t nr_columns, const json_t *rows)
{
	struct libscols_table *tb = scols_new_table();
	struct libscols_line *line;
	const json_t *row;
	char buf[LB_DOC_TEXT];
	size_t i, j;
	int failed = !tb;

	if (tb)
		scols_table_set_termforce(tb, SCOLS_TERMFORCE_NEVER);
	for (j = 0; !failed && j < nr_columns; j++)
		failed = !scols_table_new_column(tb, columns[j].title, 0, columns[j].right ? SCOLS_FL_RIGHT : 0);
	json_array_foreach (rows, i, row) {
		line = failed ? NULL : scols_table_new_line(tb, NULL);
		failed |= !line;
		for (j = 0; !failed && j < nr_columns; j++)
			failed = scols_line_set_data(line, j, cell(&columns[j], row, buf));
	}
	/* Of an empty table libsmartcols prints nothing, which looks like a failure. */
	for (j = 0; !failed && !json_array_size(rows) && j < nr_columns; j++)
		printf("%s%c", columns[j].title, j + 1 < nr_columns ? ' ' : '\n');
	if (!failed)
		scols_print_table(tb);
	else
		fputs("lbctl: out of memory\n", stderr);
	scols_unref_table(tb);
}

#define TABLE(columns, rows) show_table(columns, sizeof(columns) / sizeof(*(columns)), rows)

void lb_show_services(const json_t *services)
{
	static const struct column columns[] = {
		{"NAME", CELL_TEXT, "name", false},	      {"VIP", CELL_TEXT, "vip", false},
		{"FORWARD", CELL_TEXT, "forward", false},     {"STATE", CELL_TEXT, "status.state", false},
		{"BACKENDS", CELL_UP_OF, "", true},	      {"CONNS", CELL_COUNT, "status.connections", true},
		{"PKTS", CELL_COUNT, "status.packets", true}, {"BYTES", CELL_COUNT, "status.bytes", true},
	};

	TABLE(columns, services);
}

/* SERVICE comes first so that a service's own backends leave it out. */
static const struct column backend_columns[] = {
	{"SERVICE", CELL_TEXT, "service", false},
	{"ADDRESS", CELL_TEXT, "address", false},
	{"STATE", CELL_STATE, "", false},
	{"HEALTH", CELL_TEXT, "status.health", false},
	{"REASON", CELL_TEXT, "status.reason", false},
	{"WEIGHT", CELL_WEIGHT, "", true},
	{"TIER", CELL_TEXT, "tier", true},
	{"SHARE", CELL_SHARE, "status.share", true},
	{"ACTIVE", CELL_COUNT, "status.active_connections", true},
	{"CONNS", CELL_COUNT, "status.connections", true},
	{"NEXT-HOP", CELL_NEXT_HOP, "", false},
};

void lb_show_backends(const json_t *backends)
{
	TABLE(backend_columns, backends);
}

void lb_show_own_backends(const json_t *backends)
{
	show_table(backend_columns + 1, sizeof(backend_columns) / sizeof(*backend_columns) - 1, backends);
}

void lb_show_flows(const json_t *flows)
{
	static const struct column columns[] = {
		{"SERVICE", CELL_TEXT, "service", false},
		{"BACKEND", CELL_TEXT, "backend", false},
		{"FLOWS", CELL_COUNT, "entries", true},
		{"PROVEN", CELL_COUNT, "proven", true},
		{"TRANSLATED", CELL_COUNT, "translated", true},
	};

	TABLE(columns, flows);
}

void lb_show_client_flows(const json_t *doc)
{
	static const struct column columns[] = {
		{"SERVICE", CELL_TEXT, "service", false},     {"VIP", CELL_TEXT, "vip", false},
		{"CLIENT", CELL_TEXT, "client", false},	      {"BACKEND", CELL_TEXT, "backend", false},
		{"PROVEN", CELL_TEXT, "proven", false},	      {"CLOSED", CELL_TEXT, "closed", false},
		{"IDLE-S", CELL_COUNT, "idle_seconds", true}, {"STATE", CELL_TEXT, "state", false},
		{"SNAT", CELL_TEXT, "snat", false},
	};
	const json_t *vip;
	size_t i;

	TABLE(columns, json_object_get(doc, "flows"));
	json_array_foreach (json_object_get(doc, "unsearched"), i, vip)
		printf("not looked for, as there are too many addresses or ports: %s\n", json_string_value(vip));
}

void lb_show_rates(const json_t *rows, size_t max)
{
	static const struct column columns[] = {
		{"SERVICE", CELL_TEXT, "service", false},
		{"BACKEND", CELL_TEXT, "backend", false},
		{"STATE", CELL_TEXT, "state", false},
		{"CONN/S", CELL_COUNT, "connections_per_second", true},
		{"PKT/S", CELL_COUNT, "packets_per_second", true},
		{"BIT/S", CELL_COUNT, "bits_per_second", true},
		{"ACTIVE", CELL_COUNT, "active_connections", true},
	};
	json_t *shown = json_array();

	for (size_t i = 0; shown && i < json_array_size(rows) && i < max; i++)
		json_array_append(shown, json_array_get(rows, i));
	TABLE(columns, shown);
	if (json_array_size(rows) > max)
		printf("and %zu more\n", json_array_size(rows) - max);
	json_decref(shown);
}
