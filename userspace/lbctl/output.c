// SPDX-License-Identifier: GPL-2.0-or-later
/* What lbd answered, for people: tables and blocks made from the API's documents. --json prints those as they are. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stdarg.h>

#include <libsmartcols/libsmartcols.h>

#include "lb/verdict.h"
#include "lbctl.h"

#define CELL 256

/* The value at "status.slots.stable"; NULL: there is none. */
static const json_t *at(const json_t *doc, const char *path)
{
	char key[32];
	size_t len;

	while (doc && *path) {
		len = strcspn(path, ".");
		snprintf(key, sizeof(key), "%.*s", (int)len, path);
		doc = json_object_get(doc, key);
		path += len + (path[len] == '.');
	}
	return doc;
}

static const char *str(const json_t *doc, const char *path)
{
	const char *s = json_string_value(at(doc, path));

	return s ? s : "";
}

static json_int_t num(const json_t *doc, const char *path)
{
	const json_t *n = at(doc, path);

	return json_is_real(n) ? (json_int_t)json_real_value(n) : json_integer_value(n);
}

/* Any scalar as text; of a list the first and how many more; "-" for nothing. */
static const char *text(const json_t *value, char buf[CELL])
{
	size_t more = json_array_size(value);

	if (more)
		value = json_array_get(value, 0);
	if (json_is_string(value) && *json_string_value(value))
		snprintf(buf, CELL, "%s", json_string_value(value));
	else if (json_is_integer(value))
		snprintf(buf, CELL, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	else if (json_is_boolean(value))
		snprintf(buf, CELL, "%s", json_is_true(value) ? "yes" : "no");
	else
		snprintf(buf, CELL, "-");
	if (more > 1)
		snprintf(buf + strlen(buf), CELL - strlen(buf), " +%zu", more - 1);
	return buf;
}

/* A count in at most seven characters; --json has all digits. */
static const char *count(json_int_t n, char buf[CELL])
{
	static const char units[] = "kMGTPE";
	double v = (double)n;
	size_t unit = 0;

	if (n < 10000000) {
		snprintf(buf, CELL, "%" JSON_INTEGER_FORMAT, n);
		return buf;
	}
	for (v /= 1000; v >= 99999.5 && units[unit + 1]; v /= 1000)
		unit++;
	snprintf(buf, CELL, "%.0f%c", v, units[unit]);
	return buf;
}

static const char *duration(json_int_t s, char buf[CELL])
{
	if (s >= 86400)
		snprintf(buf, CELL, "%" PRId64 "d %" PRId64 "h", (int64_t)s / 86400, (int64_t)s / 3600 % 24);
	else if (s >= 3600)
		snprintf(buf, CELL, "%" PRId64 "h %" PRId64 "m", (int64_t)s / 3600, (int64_t)s / 60 % 60);
	else if (s >= 60)
		snprintf(buf, CELL, "%" PRId64 "m %" PRId64 "s", (int64_t)s / 60, (int64_t)s % 60);
	else
		snprintf(buf, CELL, "%" PRId64 "s", (int64_t)s);
	return buf;
}

static const char *next_hop(const json_t *backend, char buf[CELL])
{
	const json_t *nh = at(backend, "status.next_hop");

	if (json_is_object(nh))
		snprintf(buf, CELL, "%s %s", str(nh, "interface"), str(nh, "mac"));
	else
		snprintf(buf, CELL, "unresolved");
	return buf;
}

static bool backend_up(const json_t *backend)
{
	const char *health = str(backend, "status.health");

	return !strcmp(health, "up") || !strcmp(health, "unchecked");
}

/* "2/3": how many backends are up, of how many. */
static const char *up_of(const json_t *service, char buf[CELL])
{
	const json_t *backends = at(service, "backends"), *b;
	size_t i, up = 0;

	json_array_foreach (backends, i, b)
		up += backend_up(b);
	snprintf(buf, CELL, "%zu/%zu", up, json_array_size(backends));
	return buf;
}

static const char *share(const json_t *backend, char buf[CELL])
{
	snprintf(buf, CELL, "%.1f%%", 100 * json_number_value(at(backend, "status.share")));
	return buf;
}

/* "100", or "100 (12.5)" while only so much of it counts. */
static const char *weight(const json_t *backend, char buf[CELL])
{
	const json_t *effective = at(backend, "status.effective_weight");

	text(at(backend, "weight"), buf);
	if (effective && json_number_value(effective) != (double)num(backend, "weight"))
		snprintf(buf + strlen(buf), CELL - strlen(buf), " (%g)", json_number_value(effective));
	return buf;
}

/* What is wanted of it, and that it is done. */
static const char *state(const json_t *backend, char buf[CELL])
{
	bool drained = !strcmp(str(backend, "status.state"), "drained");

	return text(at(backend, drained ? "status.state" : "state"), buf);
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

static const char *cell(const struct column *col, const json_t *row, char buf[CELL])
{
	switch (col->kind) {
	case CELL_COUNT:
		return count(num(row, col->path), buf);
	case CELL_UP_OF:
		return up_of(row, buf);
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
	return text(at(row, col->path), buf);
}

/* Rows are never cut to the terminal's width: an address that is cut is wrong. */
static void show_table(const struct column *columns, size_t nr_columns, const json_t *rows)
{
	struct libscols_table *tb = scols_new_table();
	struct libscols_line *line;
	const json_t *row;
	char buf[CELL];
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

void lb_show_json(const json_t *doc)
{
	json_dumpf(doc, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
	putchar('\n');
}

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

/* One line of a block: "  label      text". */
static void field(const char *label, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void field(const char *label, const char *fmt, ...)
{
	va_list ap;

	printf("%-12s ", label);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

/* What of a backend is asked for. */
static void show_checked(const json_t *check, const char *type)
{
	const char *method = str(check, "method");
	bool http = !strcmp(type, "http") || !strcmp(type, "https");

	if (http && *method && strcmp(method, "GET"))
		printf(" %s", method);
	if (http)
		printf(" %s", str(check, "path"));
	if (!strcmp(type, "grpc") && *str(check, "service"))
		printf(" %s", str(check, "service"));
	if (!strcmp(type, "grpc") && json_is_true(at(check, "tls")))
		printf(" over TLS");
	if (!strcmp(type, "dns"))
		printf(" %s %s", str(check, "name"), str(check, "record"));
	if (!strcmp(type, "exec"))
		printf(" %s", str(check, "program"));
}

static void show_check(const json_t *check)
{
	const char *type = str(check, "type");
	bool http = !strcmp(type, "http") || !strcmp(type, "https");
	char buf[CELL];

	if (!*type || !strcmp(type, "none")) {
		field("check", "none");
		return;
	}
	printf("%-12s %s", "check", type);
	show_checked(check, type);
	if (num(check, "port"))
		printf(" on port %" JSON_INTEGER_FORMAT, num(check, "port"));
	printf(" every %s", str(check, "interval"));
	if (*str(check, "fast_interval") && strcmp(str(check, "fast_interval"), "none"))
		printf(" (%s while health is changing)", str(check, "fast_interval"));
	printf(", timeout %s", str(check, "timeout"));
	printf(", rise %" JSON_INTEGER_FORMAT ", fall %" JSON_INTEGER_FORMAT "\n", num(check, "rise"),
	       num(check, "fall"));
	if (num(check, "flaps"))
		field("", "held down for %s to %s after %" JSON_INTEGER_FORMAT " times down in %s",
		      str(check, "flap_hold"), str(check, "flap_hold_max"), num(check, "flaps"),
		      str(check, "flap_window"));
	if (!http)
		return;
	if (*str(check, "weight_header"))
		field("", "reads the %s of weights in %s", str(check, "weight_means"), str(check, "weight_header"));
	else if (json_is_true(at(check, "weight_body")))
		field("", "reads the %s of weights in the body", str(check, "weight_means"));
	printf("%-12s expects %s", "", text(at(check, "expect_status"), buf));
	if (*str(check, "expect_body"))
		printf(" and \"%s\"", str(check, "expect_body"));
	if (*str(check, "host"))
		printf(", host %s", str(check, "host"));
	putchar('\n');
}

static void show_affinity(const json_t *affinity)
{
	const char *timeout = str(affinity, "timeout");

	if (strcmp(str(affinity, "by"), "source"))
		return;
	field("affinity", "source, IPv4 /%" JSON_INTEGER_FORMAT ", IPv6 /%" JSON_INTEGER_FORMAT "%s%s",
	      num(affinity, "ipv4_prefix"), num(affinity, "ipv6_prefix"),
	      *timeout && strcmp(timeout, "none") ? ", until silent for " : "", strcmp(timeout, "none") ? timeout : "");
}

/* "10.0.0.0/8 10.1.0.0/16 and 312 more"; nothing where the list is empty. */
static void show_list(const char *label, const json_t *list)
{
	size_t nr = json_array_size(list), shown = nr > 6 ? 5 : nr;

	if (!nr)
		return;
	printf("%-12s", label);
	for (size_t i = 0; i < shown; i++)
		printf(" %s", json_string_value(json_array_get(list, i)));
	if (nr > shown)
		printf(" and %zu more", nr - shown);
	putchar('\n');
}

static void show_quic(const json_t *configs)
{
	const json_t *c;
	size_t i;

	json_array_foreach (configs, i, c)
		field(i ? "" : "quic",
		      "configuration %" JSON_INTEGER_FORMAT ": server ID of %" JSON_INTEGER_FORMAT
		      " bytes, nonce of %" JSON_INTEGER_FORMAT "%s",
		      num(c, "id"), num(c, "server_id_length"), num(c, "nonce_length"),
		      json_is_true(at(c, "self_length")) ? ", says its length" : "");
}

/* What a service has beyond what every one has. */
static void show_options(const json_t *service)
{
	char buf[CELL];

	if (!strcmp(str(service, "forward"), "gue"))
		field("", "to UDP port %" JSON_INTEGER_FORMAT, num(service, "gue_port"));
	show_list("snat", at(service, "snat"));
	show_affinity(at(service, "affinity"));
	if (!strcmp(str(service, "on_down"), "keep"))
		field("on down", "keep connections");
	if (!strcmp(str(service, "on_disable"), "keep"))
		field("on disable", "keep connections");
	show_list("allow", at(service, "allow"));
	show_list("deny", at(service, "deny"));
	if (num(service, "source_rate_limit"))
		field("source rate", "at most %s new connections a second",
		      text(at(service, "source_rate_limit"), buf));
	if (json_is_true(at(service, "ping")))
		field("ping", "answered");
	if (num(service, "mss_clamp"))
		field("mss", "at most %s bytes", text(at(service, "mss_clamp"), buf));
	show_quic(at(service, "quic.configs"));
}

/* What checks have to say that no column has room for. */
static void show_details(const json_t *backends)
{
	const json_t *b;
	size_t i;

	json_array_foreach (backends, i, b)
		if (*str(b, "status.detail"))
			printf("%s %s: %s\n", str(b, "address"), str(b, "status.reason"), str(b, "status.detail"));
}

static void show_names(const json_t *names)
{
	const json_t *n;
	size_t i;

	json_array_foreach (names, i, n) {
		const char *lookup = str(n, "status.lookup"), *answered = str(n, "status.answered");
		bool good = !strcmp(lookup, "ok");

		field(i ? "" : "names", "%s: %" JSON_INTEGER_FORMAT " addresses, %s%s%s, again in %" JSON_INTEGER_FORMAT " s",
		      str(n, "address"), num(n, "status.addresses"), lookup, good ? "" : ", last answered ",
		      good ? "" : *answered ? answered : "never", num(n, "status.next_seconds"));
	}
}

static void show_routes(const json_t *service)
{
	const json_t *r;
	size_t i;

	json_array_foreach (at(service, "status.routes"), i, r) {
		bool there = json_is_true(at(r, "announced"));

		field(i ? "" : "announced", "%s%s%s", str(r, "route"), there ? "" : ": no, ",
		      there ? "" : str(r, "reason"));
	}
	if (i)
		field("", "%" JSON_INTEGER_FORMAT " healthy, quorum %" JSON_INTEGER_FORMAT,
		      num(service, "status.healthy"), num(service, "quorum"));
}

void lb_show_service(const json_t *service)
{
	const json_t *st = at(service, "status"), *vip;
	char buf[3][CELL];
	size_t i;

	field("name", "%s", str(service, "name"));
	json_array_foreach (at(service, "vip"), i, vip)
		field(i ? "" : "vip", "%s", json_string_value(vip));
	field("forward", "%s, policy %s, state %s", str(service, "forward"), text(at(service, "policy"), buf[0]),
	      text(at(service, "state"), buf[1]));
	show_options(service);
	show_check(at(service, "check"));
	if (num(service, "panic_threshold"))
		field("panic", "below %" JSON_INTEGER_FORMAT " %% of the backends up", num(service, "panic_threshold"));
	if (num(service, "tier_min") > 1)
		field("tiers", "serve with %" JSON_INTEGER_FORMAT " backends and more", num(service, "tier_min"));
	if (*str(service, "slow_start") && strcmp(str(service, "slow_start"), "none"))
		field("slow start", "%s", str(service, "slow_start"));
	if (*str(service, "drain_timeout") && strcmp(str(service, "drain_timeout"), "none"))
		field("drain", "ends after %s", str(service, "drain_timeout"));
	snprintf(buf[1], CELL, ", tier %" JSON_INTEGER_FORMAT " serves", num(st, "tier"));
	field("status", "%s, %s backends up%s%s%s", str(st, "state"), up_of(service, buf[0]),
	      strcmp(str(st, "state"), "down") ? buf[1] : "", *str(st, "reason") ? ": " : "", str(st, "reason"));
	show_routes(service);
	show_names(at(service, "status.names"));
	field("table",
	      "%" JSON_INTEGER_FORMAT " slots: %" JSON_INTEGER_FORMAT " stable, %" JSON_INTEGER_FORMAT
	      " moving, %" JSON_INTEGER_FORMAT " settling; digest %s",
	      num(st, "table_slots"), num(st, "slots.stable"), num(st, "slots.moving"), num(st, "slots.settling"),
	      str(st, "table_digest"));
	field("traffic", "%s connections, %s packets, %s bytes", count(num(st, "connections"), buf[0]),
	      count(num(st, "packets"), buf[1]), count(num(st, "bytes"), buf[2]));
	if (json_array_size(at(service, "backends"))) {
		putchar('\n');
		show_table(backend_columns + 1, sizeof(backend_columns) / sizeof(*backend_columns) - 1,
			   at(service, "backends"));
		show_details(at(service, "backends"));
	}
}

static void show_interfaces(const json_t *interfaces)
{
	const json_t *i;
	size_t n;

	if (!json_array_size(interfaces))
		field("interfaces", "none; 'lbctl attach IFACE' adds one");
	json_array_foreach (interfaces, n, i) {
		bool attached = json_is_true(at(i, "attached"));

		field(n ? "" : "interfaces", "%s: %s%s%s%s", str(i, "name"), attached ? str(i, "mode") : "not attached",
		      attached && json_is_true(at(i, "shared")) ? ", beside other programs" : "",
		      *str(i, "note") ? "; " : "", str(i, "note"));
	}
}

static const char *verdict_help(const char *name)
{
#define X(id, text, action, help)                                                                                      \
	if (!strcmp(name, text))                                                                                       \
		return help;
	LB_VERDICTS(X)
#undef X
	return "unknown to this lbctl";
}

static void show_verification(const json_t *v)
{
	const json_t *what;
	size_t i;

	if (!v)
		return;
	field("verify",
	      "%" JSON_INTEGER_FORMAT " services, %" JSON_INTEGER_FORMAT " backends, %" JSON_INTEGER_FORMAT
	      " VIPs, %" JSON_INTEGER_FORMAT " slots: %s",
	      num(v, "services"), num(v, "backends"), num(v, "vips"), num(v, "slots"),
	      num(v, "repaired") ? "repaired" : "as they should be");
	json_array_foreach (at(v, "what"), i, what)
		field("", "%s", json_string_value(what));
	if ((json_int_t)i < num(v, "repaired"))
		field("", "and %" JSON_INTEGER_FORMAT " more", num(v, "repaired") - (json_int_t)i);
}

void lb_show_status(const json_t *status)
{
	const json_t *verdicts = at(status, "verdicts"), *n;
	bool applied = json_is_true(at(status, "last_apply.success"));
	const char *verdict, *label = "dropped";
	char buf[3][CELL];

	field("lbd", "%s, pid %" JSON_INTEGER_FORMAT ", up %s, %sready%s", str(status, "version"), num(status, "pid"),
	      duration(num(status, "uptime_seconds"), buf[0]), json_is_true(at(status, "ready")) ? "" : "not ",
	      json_is_true(at(status, "adopted")) ? ", took over a running dataplane" : "");
	field("program", "%s, abi %" JSON_INTEGER_FORMAT, str(status, "program_tag"), num(status, "abi"));
	field("generation", "%" JSON_INTEGER_FORMAT ", last change %s%s%s%s", num(status, "generation"),
	      applied ? "made" : "refused", *str(status, "last_apply.time") ? " " : "", str(status, "last_apply.time"),
	      applied ? "" : ":");
	if (!applied)
		field("", "%s", str(status, "last_apply.error"));
	show_interfaces(at(status, "interfaces"));
	field("services", "%" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT " up", num(status, "services.up"),
	      num(status, "services.total"));
	field("backends", "%" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT " serving",
	      num(status, "backends.serving"), num(status, "backends.total"));
	if (num(status, "announce.wanted") || num(status, "announce.routes"))
		field("announced",
		      "%" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT " routes in table %" JSON_INTEGER_FORMAT
		      ", protocol %" JSON_INTEGER_FORMAT,
		      num(status, "announce.routes"), num(status, "announce.wanted"), num(status, "announce.table"),
		      num(status, "announce.protocol"));
	field("flows", "%s of %s entries", count(num(status, "flows.entries"), buf[0]),
	      count(num(status, "flows.capacity"), buf[1]));
	if (num(status, "translated.capacity"))
		field("translated", "%s of %s connections, %s half-open",
		      count(num(status, "translated.connections"), buf[0]),
		      count(num(status, "translated.capacity"), buf[1]),
		      count(num(status, "translated.half_open"), buf[2]));
	field("forwarded", "%s packets", count(num(verdicts, "forwarded"), buf[0]));
	json_object_foreach ((json_t *)verdicts, verdict, n) {
		if (strncmp(verdict, "drop_", 5) || !json_integer_value(n))
			continue;
		field(label, "%s %s (%s)", count(json_integer_value(n), buf[0]), verdict, verdict_help(verdict));
		label = "";
	}
	if (*label)
		field(label, "0");
	show_verification(at(status, "verify"));
}

void lb_show_changes(const json_t *changes)
{
	const json_t *c;
	char buf[2][CELL];
	size_t i;

	json_array_foreach (changes, i, c) {
		const json_t *from = at(c, "from"), *to = at(c, "to");
		bool add = !strcmp(str(c, "op"), "add"), change = !strcmp(str(c, "op"), "change");

		printf("%c %s", add ? '+' : change ? '~' : '-', str(c, "path"));
		if (change)
			printf(": %s -> %s", text(from, buf[0]), text(to, buf[1]));
		else if (!json_is_null(add ? to : from))
			printf(": %s", text(add ? to : from, buf[0]));
		putchar('\n');
	}
}

/* What an event is about: "web 10.0.0.11:80", "10.0.0.11", "eth0"; "": lbd as a whole. */
static const char *subject(const json_t *event, char buf[CELL])
{
	const char *service = str(event, "service"), *backend = str(event, "backend");

	if (*service)
		snprintf(buf, CELL, "%s%s%s", service, *backend ? " " : "", backend);
	else
		snprintf(buf, CELL, "%s%s%s", str(event, "address"), str(event, "interface"), str(event, "verdict"));
	return buf;
}

/* What parts of a line are there, with a comma between them. */
static const char *comma(bool *first)
{
	const char *text = *first ? " " : ", ";

	*first = false;
	return text;
}

void lb_show_event(const json_t *event)
{
	const char *from = str(event, "from"), *to = str(event, "to"), *reason = str(event, "reason");
	const char *type = str(event, "type");
	const char *what = !strcmp(type, "lost")	  ? "event"
			   : !strcmp(type, "connections") ? "new connection"
			   : !strcmp(type, "verdict")	  ? "packet"
							  : "change";
	bool first = true;
	json_int_t nr = num(event, "count");
	char buf[CELL];

	printf("%s  %-15s ", str(event, "time"), str(event, "type"));
	if (*subject(event, buf))
		printf(" %s:", buf);
	if (*to)
		printf("%s%s%s%s", comma(&first), from, *from ? " -> " : "", to);
	if (*str(event, "origin"))
		printf("%sby %s", comma(&first), str(event, "origin"));
	if (nr)
		printf("%s%" JSON_INTEGER_FORMAT " %s%s", comma(&first), nr, what,
		       nr == 1 ? "" : "s");
	if (num(event, "generation"))
		printf("%sgeneration %" JSON_INTEGER_FORMAT, comma(&first), num(event, "generation"));
	printf("%s%s%s\n", *reason ? " (" : "", reason, *reason ? ")" : "");
}

void lb_show_flows(const json_t *flows)
{
	static const struct column columns[] = {
		{"SERVICE", CELL_TEXT, "service", false},
		{"BACKEND", CELL_TEXT, "backend", false},
		{"FLOWS", CELL_COUNT, "entries", true},
		{"PROVEN", CELL_COUNT, "proven", true},
	};

	TABLE(columns, flows);
}

void lb_show_client_flows(const json_t *doc)
{
	static const struct column columns[] = {
		{"SERVICE", CELL_TEXT, "service", false}, {"VIP", CELL_TEXT, "vip", false},
		{"CLIENT", CELL_TEXT, "client", false},	  {"BACKEND", CELL_TEXT, "backend", false},
		{"PROVEN", CELL_TEXT, "proven", false},	  {"CLOSED", CELL_TEXT, "closed", false},
		{"IDLE-S", CELL_COUNT, "idle_seconds", true},
	};
	const json_t *vip;
	size_t i;

	TABLE(columns, json_object_get(doc, "flows"));
	json_array_foreach (json_object_get(doc, "unsearched"), i, vip)
		printf("not looked for, as there are too many addresses or ports: %s\n", json_string_value(vip));
}

void lb_show_trace(const json_t *result)
{
	const char *out = str(result, "out_iface"), *service = str(result, "service"), *why = str(result, "why");
	const char *backend = str(result, "backend"), *via = str(result, "via");

	printf("%-3" JSON_INTEGER_FORMAT " %s: %s", num(result, "n"), str(result, "action"), str(result, "verdict"));
	if (*service)
		printf(", service %s", service);
	if (*backend)
		printf(", backend %s", backend);
	if (*via)
		printf(" by %s", via);
	if (*out)
		printf(", out of %s with %" JSON_INTEGER_FORMAT " bytes", out, num(result, "out_len"));
	printf("\n    %s\n", why);
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
