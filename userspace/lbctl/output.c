// SPDX-License-Identifier: GPL-2.0-or-later
/* What lbd answered, for people: blocks and lines made from the API's documents; output_tables.c has what is made of
 * columns. --json prints the documents as they are. */
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stdarg.h>

#include "lb/verdict.h"
#include "doc.h"
#include "lbctl.h"

#define USER_STRLEN 64
#define WHO_STRLEN 160

static const char *duration(json_int_t s, char buf[LB_DOC_TEXT])
{
	if (s >= 86400)
		snprintf(buf, LB_DOC_TEXT, "%" PRId64 "d %" PRId64 "h", (int64_t)s / 86400, (int64_t)s / 3600 % 24);
	else if (s >= 3600)
		snprintf(buf, LB_DOC_TEXT, "%" PRId64 "h %" PRId64 "m", (int64_t)s / 3600, (int64_t)s / 60 % 60);
	else if (s >= 60)
		snprintf(buf, LB_DOC_TEXT, "%" PRId64 "m %" PRId64 "s", (int64_t)s / 60, (int64_t)s % 60);
	else
		snprintf(buf, LB_DOC_TEXT, "%" PRId64 "s", (int64_t)s);
	return buf;
}

void lb_show_json(const json_t *doc)
{
	json_dumpf(doc, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
	putchar('\n');
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
	const char *method = lb_doc_str(check, "method");
	bool http = !strcmp(type, "http") || !strcmp(type, "https");

	if (http && *method && strcmp(method, "GET"))
		printf(" %s", method);
	if (http)
		printf(" %s", lb_doc_str(check, "path"));
	if (!strcmp(type, "grpc") && *lb_doc_str(check, "service"))
		printf(" %s", lb_doc_str(check, "service"));
	if (!strcmp(type, "grpc") && json_is_true(lb_doc_at(check, "tls")))
		printf(" over TLS");
	if (!strcmp(type, "dns"))
		printf(" %s %s", lb_doc_str(check, "name"), lb_doc_str(check, "record"));
	if (!strcmp(type, "exec"))
		printf(" %s", lb_doc_str(check, "program"));
}

static void show_check(const json_t *check)
{
	const char *type = lb_doc_str(check, "type");
	bool http = !strcmp(type, "http") || !strcmp(type, "https");
	char buf[LB_DOC_TEXT];

	if (!*type || !strcmp(type, "none")) {
		field("check", "none");
		return;
	}
	printf("%-12s %s", "check", type);
	show_checked(check, type);
	if (lb_doc_num(check, "port"))
		printf(" on port %" JSON_INTEGER_FORMAT, lb_doc_num(check, "port"));
	printf(" every %s", lb_doc_str(check, "interval"));
	if (*lb_doc_str(check, "fast_interval") && strcmp(lb_doc_str(check, "fast_interval"), "none"))
		printf(" (%s while health is changing)", lb_doc_str(check, "fast_interval"));
	printf(", timeout %s", lb_doc_str(check, "timeout"));
	printf(", rise %" JSON_INTEGER_FORMAT ", fall %" JSON_INTEGER_FORMAT "\n", lb_doc_num(check, "rise"),
	       lb_doc_num(check, "fall"));
	if (lb_doc_num(check, "flaps"))
		field("", "held down for %s to %s after %" JSON_INTEGER_FORMAT " times down in %s",
		      lb_doc_str(check, "flap_hold"), lb_doc_str(check, "flap_hold_max"), lb_doc_num(check, "flaps"),
		      lb_doc_str(check, "flap_window"));
	if (!http)
		return;
	if (*lb_doc_str(check, "weight_header"))
		field("", "reads the %s of weights in %s", lb_doc_str(check, "weight_means"),
		      lb_doc_str(check, "weight_header"));
	else if (json_is_true(lb_doc_at(check, "weight_body")))
		field("", "reads the %s of weights in the body", lb_doc_str(check, "weight_means"));
	printf("%-12s expects %s", "", lb_doc_text(lb_doc_at(check, "expect_status"), buf));
	if (*lb_doc_str(check, "expect_body"))
		printf(" and \"%s\"", lb_doc_str(check, "expect_body"));
	if (*lb_doc_str(check, "host"))
		printf(", host %s", lb_doc_str(check, "host"));
	putchar('\n');
}

static void show_affinity(const json_t *affinity)
{
	const char *timeout = lb_doc_str(affinity, "timeout");

	if (strcmp(lb_doc_str(affinity, "by"), "source"))
		return;
	field("affinity", "source, IPv4 /%" JSON_INTEGER_FORMAT ", IPv6 /%" JSON_INTEGER_FORMAT "%s%s",
	      lb_doc_num(affinity, "ipv4_prefix"), lb_doc_num(affinity, "ipv6_prefix"),
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
		      lb_doc_num(c, "id"), lb_doc_num(c, "server_id_length"), lb_doc_num(c, "nonce_length"),
		      json_is_true(lb_doc_at(c, "self_length")) ? ", says its length" : "");
}

/* What a service has beyond what every one has. */
static void show_options(const json_t *service)
{
	char buf[LB_DOC_TEXT];

	if (!strcmp(lb_doc_str(service, "forward"), "gue"))
		field("", "to UDP port %" JSON_INTEGER_FORMAT, lb_doc_num(service, "gue_port"));
	show_list("snat", lb_doc_at(service, "snat"));
	show_affinity(lb_doc_at(service, "affinity"));
	if (!strcmp(lb_doc_str(service, "on_down"), "keep"))
		field("on down", "keep connections");
	if (!strcmp(lb_doc_str(service, "on_disable"), "keep"))
		field("on disable", "keep connections");
	show_list("allow", lb_doc_at(service, "allow"));
	show_list("deny", lb_doc_at(service, "deny"));
	if (lb_doc_num(service, "source_rate_limit"))
		field("source rate", "at most %s new connections a second",
		      lb_doc_text(lb_doc_at(service, "source_rate_limit"), buf));
	if (json_is_true(lb_doc_at(service, "ping")))
		field("ping", "answered");
	if (lb_doc_num(service, "mss_clamp"))
		field("mss", "at most %s bytes", lb_doc_text(lb_doc_at(service, "mss_clamp"), buf));
	show_quic(lb_doc_at(service, "quic.configs"));
}

/* What checks have to say that no column has room for. */
static void show_details(const json_t *backends)
{
	const json_t *b;
	size_t i;

	json_array_foreach (backends, i, b)
		if (*lb_doc_str(b, "status.detail"))
			printf("%s %s: %s\n", lb_doc_str(b, "address"), lb_doc_str(b, "status.reason"),
			       lb_doc_str(b, "status.detail"));
}

static void show_names(const json_t *names)
{
	const json_t *n;
	size_t i;

	json_array_foreach (names, i, n) {
		const char *lookup = lb_doc_str(n, "status.lookup"), *answered = lb_doc_str(n, "status.answered");
		bool good = !strcmp(lookup, "ok");

		field(i ? "" : "names",
		      "%s: %" JSON_INTEGER_FORMAT " addresses, %s%s%s, again in %" JSON_INTEGER_FORMAT " s",
		      lb_doc_str(n, "address"), lb_doc_num(n, "status.addresses"), lookup,
		      good ? "" : ", last answered ",
		      good	  ? ""
		      : *answered ? answered
				  : "never",
		      lb_doc_num(n, "status.next_seconds"));
	}
}

static void show_routes(const json_t *service)
{
	const json_t *r;
	size_t i;

	json_array_foreach (lb_doc_at(service, "status.routes"), i, r) {
		bool there = json_is_true(lb_doc_at(r, "announced"));

		field(i ? "" : "announced", "%s%s%s", lb_doc_str(r, "route"), there ? "" : ": no, ",
		      there ? "" : lb_doc_str(r, "reason"));
	}
	if (i)
		field("", "%" JSON_INTEGER_FORMAT " healthy, quorum %" JSON_INTEGER_FORMAT,
		      lb_doc_num(service, "status.healthy"), lb_doc_num(service, "quorum"));
}

void lb_show_service(const json_t *service)
{
	const json_t *st = lb_doc_at(service, "status"), *vip;
	char buf[3][LB_DOC_TEXT];
	size_t i;

	field("name", "%s", lb_doc_str(service, "name"));
	json_array_foreach (lb_doc_at(service, "vip"), i, vip)
		field(i ? "" : "vip", "%s", json_string_value(vip));
	field("forward", "%s, policy %s, state %s", lb_doc_str(service, "forward"),
	      lb_doc_text(lb_doc_at(service, "policy"), buf[0]), lb_doc_text(lb_doc_at(service, "state"), buf[1]));
	show_options(service);
	show_check(lb_doc_at(service, "check"));
	if (lb_doc_num(service, "panic_threshold"))
		field("panic", "below %" JSON_INTEGER_FORMAT " %% of the backends up",
		      lb_doc_num(service, "panic_threshold"));
	if (lb_doc_num(service, "tier_min") > 1)
		field("tiers", "serve with %" JSON_INTEGER_FORMAT " backends and more",
		      lb_doc_num(service, "tier_min"));
	if (*lb_doc_str(service, "slow_start") && strcmp(lb_doc_str(service, "slow_start"), "none"))
		field("slow start", "%s", lb_doc_str(service, "slow_start"));
	if (*lb_doc_str(service, "drain_timeout") && strcmp(lb_doc_str(service, "drain_timeout"), "none"))
		field("drain", "ends after %s", lb_doc_str(service, "drain_timeout"));
	snprintf(buf[1], LB_DOC_TEXT, ", tier %" JSON_INTEGER_FORMAT " serves", lb_doc_num(st, "tier"));
	field("status", "%s, %s backends up%s%s%s", lb_doc_str(st, "state"), lb_doc_up_of(service, buf[0]),
	      strcmp(lb_doc_str(st, "state"), "down") ? buf[1] : "", *lb_doc_str(st, "reason") ? ": " : "",
	      lb_doc_str(st, "reason"));
	if (*lb_doc_str(st, "note"))
		field("note", "%s", lb_doc_str(st, "note"));
	show_routes(service);
	show_names(lb_doc_at(service, "status.names"));
	field("table",
	      "%" JSON_INTEGER_FORMAT " slots: %" JSON_INTEGER_FORMAT " stable, %" JSON_INTEGER_FORMAT
	      " moving, %" JSON_INTEGER_FORMAT " settling; digest %s",
	      lb_doc_num(st, "table_slots"), lb_doc_num(st, "slots.stable"), lb_doc_num(st, "slots.moving"),
	      lb_doc_num(st, "slots.settling"), lb_doc_str(st, "table_digest"));
	field("traffic", "%s connections, %s packets, %s bytes", lb_doc_count(lb_doc_num(st, "connections"), buf[0]),
	      lb_doc_count(lb_doc_num(st, "packets"), buf[1]), lb_doc_count(lb_doc_num(st, "bytes"), buf[2]));
	if (json_array_size(lb_doc_at(service, "backends"))) {
		putchar('\n');
		lb_show_own_backends(lb_doc_at(service, "backends"));
		show_details(lb_doc_at(service, "backends"));
	}
}

static void show_interfaces(const json_t *interfaces)
{
	const json_t *i;
	size_t n;

	if (!json_array_size(interfaces))
		field("interfaces", "none; 'lbctl attach IFACE' adds one");
	json_array_foreach (interfaces, n, i) {
		bool attached = json_is_true(lb_doc_at(i, "attached"));

		field(n ? "" : "interfaces", "%s: %s%s%s%s", lb_doc_str(i, "name"),
		      attached ? lb_doc_str(i, "mode") : "not attached",
		      attached && json_is_true(lb_doc_at(i, "shared")) ? ", beside other programs" : "",
		      *lb_doc_str(i, "note") ? "; " : "", lb_doc_str(i, "note"));
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
	      lb_doc_num(v, "services"), lb_doc_num(v, "backends"), lb_doc_num(v, "vips"), lb_doc_num(v, "slots"),
	      lb_doc_num(v, "repaired") ? "repaired" : "as they should be");
	json_array_foreach (lb_doc_at(v, "what"), i, what)
		field("", "%s", json_string_value(what));
	if ((json_int_t)i < lb_doc_num(v, "repaired"))
		field("", "and %" JSON_INTEGER_FORMAT " more", lb_doc_num(v, "repaired") - (json_int_t)i);
}

static const char *user(json_int_t uid, char buf[USER_STRLEN])
{
	const struct passwd *pw = getpwuid((uid_t)uid);

	if (pw)
		snprintf(buf, USER_STRLEN, "%s", pw->pw_name);
	else
		snprintf(buf, USER_STRLEN, "uid %" JSON_INTEGER_FORMAT, uid);
	return buf;
}

/* Who made a change, as " (alice as root)"; "" where that is not known. */
static const char *caller(const json_t *by, char buf[WHO_STRLEN])
{
	const json_t *login = lb_doc_at(by, "login_uid");
	char name[USER_STRLEN], as[USER_STRLEN];
	json_int_t uid = lb_doc_num(by, "uid");

	buf[0] = '\0';
	if (!json_is_object(by))
		return buf;
	if (login && json_integer_value(login) != uid)
		snprintf(buf, WHO_STRLEN, " (%s as %s)", user(json_integer_value(login), name), user(uid, as));
	else
		snprintf(buf, WHO_STRLEN, " (%s)", user(uid, name));
	return buf;
}

void lb_show_status(const json_t *status)
{
	const json_t *verdicts = lb_doc_at(status, "verdicts"), *n;
	bool applied = json_is_true(lb_doc_at(status, "last_apply.success"));
	const char *verdict, *label = "dropped";
	char buf[3][LB_DOC_TEXT], who[WHO_STRLEN];

	field("lbd", "%s, pid %" JSON_INTEGER_FORMAT ", up %s, %sready%s", lb_doc_str(status, "version"),
	      lb_doc_num(status, "pid"), duration(lb_doc_num(status, "uptime_seconds"), buf[0]),
	      json_is_true(lb_doc_at(status, "ready")) ? "" : "not ",
	      json_is_true(lb_doc_at(status, "adopted")) ? ", took over a running dataplane" : "");
	field("program", "%s, abi %" JSON_INTEGER_FORMAT, lb_doc_str(status, "program_tag"), lb_doc_num(status, "abi"));
	field("generation", "%" JSON_INTEGER_FORMAT ", last change %s%s%s%s%s%s%s", lb_doc_num(status, "generation"),
	      applied ? "made" : "refused", *lb_doc_str(status, "last_apply.time") ? " " : "",
	      lb_doc_str(status, "last_apply.time"), *lb_doc_str(status, "last_apply.origin") ? " by " : "",
	      lb_doc_str(status, "last_apply.origin"), caller(lb_doc_at(status, "last_apply.by"), who),
	      applied ? "" : ":");
	if (!applied)
		field("", "%s", lb_doc_str(status, "last_apply.error"));
	show_interfaces(lb_doc_at(status, "interfaces"));
	field("services", "%" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT " up", lb_doc_num(status, "services.up"),
	      lb_doc_num(status, "services.total"));
	field("backends", "%" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT " serving",
	      lb_doc_num(status, "backends.serving"), lb_doc_num(status, "backends.total"));
	if (lb_doc_num(status, "announce.wanted") || lb_doc_num(status, "announce.routes"))
		field("announced",
		      "%" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT " routes in table %" JSON_INTEGER_FORMAT
		      ", protocol %" JSON_INTEGER_FORMAT,
		      lb_doc_num(status, "announce.routes"), lb_doc_num(status, "announce.wanted"),
		      lb_doc_num(status, "announce.table"), lb_doc_num(status, "announce.protocol"));
	field("flows", "%s of %s entries", lb_doc_count(lb_doc_num(status, "flows.entries"), buf[0]),
	      lb_doc_count(lb_doc_num(status, "flows.capacity"), buf[1]));
	if (lb_doc_num(status, "translated.capacity"))
		field("translated", "%s of %s connections, %s half-open",
		      lb_doc_count(lb_doc_num(status, "translated.connections"), buf[0]),
		      lb_doc_count(lb_doc_num(status, "translated.capacity"), buf[1]),
		      lb_doc_count(lb_doc_num(status, "translated.half_open"), buf[2]));
	field("forwarded", "%s packets", lb_doc_count(lb_doc_num(verdicts, "forwarded"), buf[0]));
	json_object_foreach ((json_t *)verdicts, verdict, n) {
		if (strncmp(verdict, "drop_", 5) || !json_integer_value(n))
			continue;
		field(label, "%s %s (%s)", lb_doc_count(json_integer_value(n), buf[0]), verdict, verdict_help(verdict));
		label = "";
	}
	if (*label)
		field(label, "0");
	show_verification(lb_doc_at(status, "verify"));
}

void lb_show_changes(const json_t *changes)
{
	const json_t *c;
	char buf[2][LB_DOC_TEXT];
	size_t i;

	json_array_foreach (changes, i, c) {
		const json_t *from = lb_doc_at(c, "from"), *to = lb_doc_at(c, "to");
		bool add = !strcmp(lb_doc_str(c, "op"), "add"), change = !strcmp(lb_doc_str(c, "op"), "change");

		printf("%c %s", add ? '+' : change ? '~' : '-', lb_doc_str(c, "path"));
		if (change)
			printf(": %s -> %s", lb_doc_text(from, buf[0]), lb_doc_text(to, buf[1]));
		else if (!json_is_null(add ? to : from))
			printf(": %s", lb_doc_text(add ? to : from, buf[0]));
		putchar('\n');
	}
}

/* What an event is about: "web 10.0.0.11:80", "10.0.0.11", "eth0"; "": lbd as a whole. */
static const char *subject(const json_t *event, char buf[LB_DOC_TEXT])
{
	const char *service = lb_doc_str(event, "service"), *backend = lb_doc_str(event, "backend");

	if (*service)
		snprintf(buf, LB_DOC_TEXT, "%s%s%s", service, *backend ? " " : "", backend);
	else
		snprintf(buf, LB_DOC_TEXT, "%s%s%s", lb_doc_str(event, "address"), lb_doc_str(event, "interface"),
			 lb_doc_str(event, "verdict"));
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
	const char *from = lb_doc_str(event, "from"), *to = lb_doc_str(event, "to"),
		   *reason = lb_doc_str(event, "reason");
	const char *type = lb_doc_str(event, "type");
	const char *what = !strcmp(type, "lost")	  ? "event"
			   : !strcmp(type, "connections") ? "new connection"
			   : !strcmp(type, "verdict")	  ? "packet"
							  : "change";
	bool first = true;
	json_int_t nr = lb_doc_num(event, "count");
	char buf[LB_DOC_TEXT], who[WHO_STRLEN];

	printf("%s  %-15s ", lb_doc_str(event, "time"), lb_doc_str(event, "type"));
	if (*subject(event, buf))
		printf(" %s:", buf);
	if (*to)
		printf("%s%s%s%s", comma(&first), from, *from ? " -> " : "", to);
	if (*lb_doc_str(event, "origin"))
		printf("%sby %s%s", comma(&first), lb_doc_str(event, "origin"), caller(lb_doc_at(event, "by"), who));
	if (nr)
		printf("%s%" JSON_INTEGER_FORMAT " %s%s", comma(&first), nr, what, nr == 1 ? "" : "s");
	if (lb_doc_num(event, "generation"))
		printf("%sgeneration %" JSON_INTEGER_FORMAT, comma(&first), lb_doc_num(event, "generation"));
	printf("%s%s%s\n", *reason ? " (" : "", reason, *reason ? ")" : "");
}

void lb_show_trace(const json_t *result)
{
	const char *out = lb_doc_str(result, "out_iface"), *service = lb_doc_str(result, "service"),
		   *why = lb_doc_str(result, "why");
	const char *backend = lb_doc_str(result, "backend"), *via = lb_doc_str(result, "via");

	printf("%-3" JSON_INTEGER_FORMAT " %s: %s", lb_doc_num(result, "n"), lb_doc_str(result, "action"),
	       lb_doc_str(result, "verdict"));
	if (*service)
		printf(", service %s", service);
	if (*backend)
		printf(", backend %s", backend);
	if (*via)
		printf(" by %s", via);
	if (*out)
		printf(", out of %s with %" JSON_INTEGER_FORMAT " bytes", out, lb_doc_num(result, "out_len"));
	printf("\n    %s\n", why);
}
