// SPDX-License-Identifier: GPL-2.0-or-later
/* lbctl's command line; see args.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "args.h"
#include "nearest.h"

static const char *const check_rests[][2] = {
	{"grpc", "check.service"}, {"dns", "check.name"}, {"exec", "check.program"}, {NULL, NULL}};

const struct lb_option lb_options[] = {
	{LB_OPT_GLOBAL, "socket", .value = "PATH",
	 .help = "lbd's socket (default $LBD_SOCKET, else /run/lbd/lbd.sock)"},
	{LB_OPT_GLOBAL, "json", .help = "print one JSON document"},
	{LB_OPT_GLOBAL, "help", 'h', .help = "the same as the command help"},
	{LB_OPT_GLOBAL, "version", 'V', .help = "the same as the command version"},

	{LB_OPT_SERVICE, "vip", .value = "VIP", .json = "vip", .list = true,
	 .help = "one more VIP, repeatable; with set, all VIPs"},
	{LB_OPT_SERVICE, "forward", .value = "l2|ipip|gue|nat|fullnat", .json = "forward",
	 .help = "how packets get to backends"},
	{LB_OPT_SERVICE, "gue-port", .value = "N", .json = "gue_port", .help = "UDP port of gue's tunnels"},
	{LB_OPT_SERVICE, "snat", .value = "ADDR,...", .json = "snat", .list = true, .commas = true,
	 .help = "what fullnat shows backends as the client"},
	{LB_OPT_SERVICE, "policy", .value = "maglev|round_robin|least_conn|random", .json = "policy",
	 .help = "how backends are chosen"},
	{LB_OPT_SERVICE, "affinity", .value = "none|source[:T]", .json = "affinity.by", .json_rest = "affinity.timeout",
	 .no_rest = "none", .help = "what keeps a client on its backend"},
	{LB_OPT_SERVICE, "affinity-ipv4-prefix", .value = "N", .json = "affinity.ipv4_prefix",
	 .help = "bits that make two clients one"},
	{LB_OPT_SERVICE, "affinity-ipv6-prefix", .value = "N", .json = "affinity.ipv6_prefix",
	 .help = "bits that make two clients one"},
	{LB_OPT_SERVICE, "state", .value = "auto|all|none", .json = "state", .help = "which flows are remembered"},
	{LB_OPT_SERVICE, "on-down", .value = "terminate|keep", .json = "on_down",
	 .help = "connections of a backend whose check fails"},
	{LB_OPT_SERVICE, "on-disable", .value = "terminate|keep", .json = "on_disable",
	 .help = "connections of a backend that is disabled"},
	{LB_OPT_SERVICE, "allow", .value = "CIDR,...", .json = "allow", .list = true, .commas = true,
	 .help = "the sources that may connect; none: all"},
	{LB_OPT_SERVICE, "deny", .value = "CIDR,...", .json = "deny", .list = true, .commas = true,
	 .help = "sources that may not"},
	{LB_OPT_SERVICE, "source-rate-limit", .value = "N", .json = "source_rate_limit",
	 .help = "new connections a second from one source; 0: any"},
	{LB_OPT_SERVICE, "ping", .value = "true|false", .json = "ping", .help = "answer echo requests to the VIPs"},
	{LB_OPT_SERVICE, "mss-clamp", .value = "N|none", .json = "mss_clamp",
	 .help = "the most that a TCP SYN may offer, in bytes"},
	{LB_OPT_SERVICE, "quic", .value = "ID:LEN:LEN,...", .json = "quic.configs", .list = true, .commas = true,
	 .help = "route by connection IDs: id, lengths of server ID, nonce"},
	{LB_OPT_SERVICE, "check", .value = "none|tcp|http:PATH|...", .json = "check.type", .json_rest = "check.path",
	 .json_rests = check_rests, .help = "https:PATH, grpc[:SERVICE], ping, udp, dns:NAME, exec:PROGRAM"},
	{LB_OPT_SERVICE, "check-port", .value = "N", .json = "check.port",
	 .help = "port to check, where not the backend's"},
	{LB_OPT_SERVICE, "check-interval", .value = "T", .json = "check.interval",
	 .help = "time between checks, as 2s"},
	{LB_OPT_SERVICE, "check-timeout", .value = "T", .json = "check.timeout",
	 .help = "time a check may take, as 500ms"},
	{LB_OPT_SERVICE, "check-host", .value = "HOST", .json = "check.host", .help = "HTTP Host header"},
	{LB_OPT_SERVICE, "expect-status", .value = "N[-N],...", .json = "check.expect_status",
	 .help = "HTTP statuses of a good answer"},
	{LB_OPT_SERVICE, "expect-body", .value = "TEXT", .json = "check.expect_body", .help = "text in a good answer"},
	{LB_OPT_SERVICE, "check-fast-interval", .value = "T|none", .json = "check.fast_interval",
	 .help = "time between checks while health is changing"},
	{LB_OPT_SERVICE, "check-method", .value = "METHOD", .json = "check.method", .help = "HTTP method"},
	{LB_OPT_SERVICE, "check-header", .value = "'NAME: VALUE'|none", .json = "check.headers", .list = true,
	 .none = true, .help = "one more HTTP header, repeatable; with set, all of them"},
	{LB_OPT_SERVICE, "check-verify", .value = "true|false", .json = "check.verify",
	 .help = "must the server's certificate be right"},
	{LB_OPT_SERVICE, "check-tls", .value = "true|false", .json = "check.tls", .help = "gRPC over TLS"},
	{LB_OPT_SERVICE, "check-server-name", .value = "NAME", .json = "check.server_name",
	 .help = "TLS server name (SNI), where not the host's"},
	{LB_OPT_SERVICE, "check-ca-file", .value = "FILE", .json = "check.ca_file",
	 .help = "certificates that are trusted, where not the system's"},
	{LB_OPT_SERVICE, "check-record", .value = "A|AAAA", .json = "check.record",
	 .help = "what the DNS check asks for"},
	{LB_OPT_SERVICE, "check-send", .value = "TEXT", .json = "check.send",
	 .help = "what the UDP check sends; \\xHH: a byte"},
	{LB_OPT_SERVICE, "check-expect", .value = "TEXT", .json = "check.expect",
	 .help = "what a good UDP answer has in it"},
	{LB_OPT_SERVICE, "check-arg", .value = "TEXT|none", .json = "check.args", .list = true, .none = true,
	 .help = "one more argument of the program, repeatable; with set, all"},
	{LB_OPT_SERVICE, "check-via", .value = "direct|vip", .json = "check.via",
	 .help = "check the backend's address, or the VIP on it"},
	{LB_OPT_SERVICE, "rise", .value = "N", .json = "check.rise",
	 .help = "successes in a row that make a backend up"},
	{LB_OPT_SERVICE, "fall", .value = "N", .json = "check.fall", .help = "failures in a row that make it down"},
	{LB_OPT_SERVICE, "flaps", .value = "N|none", .json = "check.flaps",
	 .help = "down so often in a window, it is held down"},
	{LB_OPT_SERVICE, "flap-window", .value = "T", .json = "check.flap_window", .help = "the window, as 1m"},
	{LB_OPT_SERVICE, "flap-hold", .value = "T", .json = "check.flap_hold",
	 .help = "for how long at first, then twice as long"},
	{LB_OPT_SERVICE, "flap-hold-max", .value = "T", .json = "check.flap_hold_max", .help = "for how long at most"},
	{LB_OPT_SERVICE, "panic-threshold", .value = "PERCENT", .json = "panic_threshold",
	 .help = "with fewer backends up, use all of them; 0: never"},
	{LB_OPT_SERVICE, "tier-min", .value = "N", .json = "tier_min",
	 .help = "a tier with fewer up leaves service to the next"},
	{LB_OPT_SERVICE, "slow-start", .value = "T|none", .json = "slow_start",
	 .help = "time in which one that comes up gets its weight"},
	{LB_OPT_SERVICE, "drain-timeout", .value = "T|none", .json = "drain_timeout",
	 .help = "end what a draining backend still has by then"},
	{LB_OPT_SERVICE, "announce", .value = "true|false", .json = "announce",
	 .help = "have routes of the VIPs for routing daemons"},
	{LB_OPT_SERVICE, "quorum", .value = "N", .json = "quorum",
	 .help = "healthy backends that announcing takes; 0: none"},
	{LB_OPT_SERVICE, "check-weight-header", .value = "NAME", .json = "check.weight_header",
	 .help = "HTTP header that says how much of its weight a backend can bear"},
	{LB_OPT_SERVICE, "check-weight-body", .value = "true|false", .json = "check.weight_body",
	 .help = "the body's first line says it, as 75%"},
	{LB_OPT_SERVICE, "check-weight-means", .value = "share|load", .json = "check.weight_means",
	 .help = "what the percentage is: of the weight, or how busy it is"},
	{LB_OPT_SERVICE, "check-weight-floor", .value = "PERCENT", .json = "check.weight_floor",
	 .help = "no less of the weight counts"},
	{LB_OPT_SERVICE, "check-weight-step", .value = "N", .json = "check.weight_step",
	 .help = "smaller changes, in percentage points, do not count"},

	{LB_OPT_BACKEND, "weight", .value = "N", .json = "weight", .help = "share of new connections; 0: none"},
	{LB_OPT_BACKEND, "tier", .value = "N", .json = "tier", .help = "the lowest tier with a usable backend serves"},
	{LB_OPT_BACKEND, "server-id", .value = "HEX", .json = "server_id", .help = "its name in QUIC connection IDs"},

	{LB_OPT_ATTACH, "mode", .value = "auto|native|generic", .json = "mode", .help = "XDP mode"},

	{LB_OPT_FILE, "file", 'f', .value = "FILE", .required = true, .help = "the configuration; -: standard input"},
	{LB_OPT_DRY_RUN, "dry-run", .help = "say what would change, and change nothing"},
	{LB_OPT_VERIFY, "verify", .help = "compare the maps with what they should hold, and repair them"},
	{LB_OPT_GENERATION, "if-generation", .value = "N", .help = "only if no change was made since generation N"},

	{LB_OPT_SINCE, "since", .value = "SEQ", .help = "begin after event SEQ; 0: with the oldest that is kept"},
	{LB_OPT_TYPE, "type", .value = "TYPE,...", .help = "events of these types alone, as health,verdict"},
	{LB_OPT_INTERVAL, "interval", .value = "T", .help = "time between two looks, as 2s (default 1s)"},
	{LB_OPT_NUMBER, "number", 'n', .value = "N", .help = "end after so many"},
	{LB_OPT_COUNT, "count", .help = "the number alone"},
	{LB_OPT_CLIENT, "client", .value = "ADDR", .help = "those of one client, one by one"},
	{LB_OPT_CLIENT, "backend", .value = "ADDR[:PORT]",
	 .help = "those to one backend that are translated, one by one"},
	{LB_OPT_CLIENT, "limit", .value = "N", .help = "list so many at most"},

	{LB_OPT_TRACE, "packet", .value = "SPEC",
	 .help = "[tcp|udp|sctp|icmp] SRC[:PORT] > DST[:PORT][/PROTO] [FLAGS] [len=N]; repeatable"},
	{LB_OPT_TRACE, "pcap-in", .value = "FILE", .help = "the packets of a capture; -: standard input"},
	{LB_OPT_TRACE, "pcap-out", .value = "FILE", .help = "write what goes on, as it would leave"},
	{LB_OPT_TRACE, "iface", .value = "IFACE", .help = "where they arrive (default the first that is attached)"},
	{.name = NULL},
};

static int unknown_option(const char *name, size_t len, struct lb_err *err)
{
	const char *candidates[sizeof(lb_options) / sizeof(*lb_options)] = {NULL}, *nearest;
	char word[64];

	snprintf(word, sizeof(word), "%.*s", (int)(len < 60 ? len : 60), name);
	for (size_t i = 0; lb_options[i].name; i++)
		candidates[i] = lb_options[i].name;
	nearest = strncmp(word, "--", 2) ? NULL : lb_nearest(word + 2, candidates);
	if (nearest)
		return lb_err_set(err, -EINVAL, NULL, "unknown option %s; did you mean --%s?", word, nearest);
	return lb_err_set(err, -EINVAL, NULL, "unknown option %s", word);
}

/* The option that @arg names; *@value is what @arg itself says of its value, NULL where it says nothing. */
static const struct lb_option *find_option(const char *arg, const char **value)
{
	size_t len = strcspn(arg, "=");

	*value = NULL;
	for (const struct lb_option *o = lb_options; o->name; o++) {
		if (arg[1] == '-' && strlen(o->name) == len - 2 && !strncmp(arg + 2, o->name, len - 2)) {
			*value = arg[len] ? arg + len + 1 : NULL;
			return o;
		}
		if (arg[1] != '-' && arg[1] == o->letter) {
			*value = arg[2] ? arg + 2 : NULL;
			return o;
		}
	}
	return NULL;
}

/* Can @text be sent? JSON is UTF-8. */
static int check_text(const char *text, struct lb_err *err)
{
	json_t *string = json_string(text);

	json_decref(string);
	return string ? 0 : lb_err_set(err, -EINVAL, NULL, "an argument is not UTF-8 text");
}

int lb_args_parse(int argc, char **argv, struct lb_args *out, struct lb_err *err)
{
	const struct lb_option *o;
	const char *value;
	bool only_words = false;

	*out = (struct lb_args){
		.words = calloc((size_t)argc + 1, sizeof(*out->words)),
		.given = calloc((size_t)argc + 1, sizeof(*out->given)),
	};
	if (!out->words || !out->given)
		return lb_err_set(err, -ENOMEM, NULL, "out of memory");
	for (int i = 0; i < argc; i++) {
		if (check_text(argv[i], err))
			return -EINVAL;
		if (only_words || argv[i][0] != '-' || !argv[i][1]) {
			out->words[out->nr_words++] = argv[i];
			continue;
		}
		if (!strcmp(argv[i], "--")) {
			only_words = true;
			continue;
		}
		o = find_option(argv[i], &value);
		if (!o)
			return unknown_option(argv[i], strcspn(argv[i], "="), err);
		if (!o->value && value)
			return lb_err_set(err, -EINVAL, NULL, "option --%s takes no value", o->name);
		/* The next option is no value; who means one that begins so writes --option=value. */
		if (o->value && !value && i + 1 < argc && strncmp(argv[i + 1], "--", 2))
			value = argv[++i];
		if (o->value && !value)
			return lb_err_set(err, -EINVAL, NULL, "option --%s needs a value: --%s %s", o->name, o->name,
					  o->value);
		/* A script's variable that was not set must not mean the default. */
		if (o->value && !*value && (!strcmp(o->value, "PATH") || !strcmp(o->value, "FILE")))
			return lb_err_set(err, -EINVAL, NULL, "option --%s is empty: --%s %s", o->name, o->name,
					  o->value);
		out->given[out->nr_given++] = (struct lb_arg){o, value};
	}
	return 0;
}

void lb_args_fini(struct lb_args *a)
{
	free(a->words);
	free(a->given);
	*a = (struct lb_args){0};
}

static const struct lb_arg *last(const struct lb_args *a, const char *option)
{
	for (size_t i = a->nr_given; i > 0; i--)
		if (!strcmp(a->given[i - 1].option->name, option))
			return &a->given[i - 1];
	return NULL;
}

bool lb_args_has(const struct lb_args *a, const char *option)
{
	return last(a, option);
}

const char *lb_args_value(const struct lb_args *a, const char *option)
{
	const struct lb_arg *arg = last(a, option);

	return arg ? arg->value : NULL;
}

/* The object that "object.key" is in, made where there is none, and *@key; NULL: out of memory. */
static json_t *parent_of(json_t *object, const char *path, const char **key)
{
	const char *dot = strchr(path, '.');
	char parent[32];
	json_t *at;

	*key = path;
	if (!dot)
		return object;
	*key = dot + 1;
	snprintf(parent, sizeof(parent), "%.*s", (int)(dot - path), path);
	at = json_object_get(object, parent);
	if (!at && json_object_set_new(object, parent, at = json_object()))
		return NULL;
	return at;
}

static int put(json_t *object, const char *path, const char *value, size_t len)
{
	const char *key;
	json_t *at = parent_of(object, path, &key);

	return !at || json_object_set_new(at, key, json_stringn(value, len)) ? -ENOMEM : 0;
}

/* Append @value to the list at @o's path; with commas what is between them. "none" is nothing. */
static int put_items(json_t *object, const struct lb_option *o, const char *value)
{
	const char *path = o->json;
	bool commas = o->commas;
	const char *key;
	json_t *at = parent_of(object, path, &key), *list = json_object_get(at, key);
	size_t len;

	if (at && !list && json_object_set_new(at, key, list = json_array()))
		list = NULL;
	if (!list)
		return -ENOMEM;
	if ((commas || o->none) && !strcmp(value, "none"))
		return 0;
	for (;; value += len + 1) {
		len = commas ? strcspn(value, ",") : strlen(value);
		if (json_array_append_new(list, json_stringn(value, len)))
			return -ENOMEM;
		if (!value[len])
			return 0;
	}
}

static const char *path_of_rest(const struct lb_option *o, const char *value)
{
	size_t len = strcspn(value, ":");

	for (size_t i = 0; o->json_rests && o->json_rests[i][0]; i++)
		if (strlen(o->json_rests[i][0]) == len && !strncmp(o->json_rests[i][0], value, len))
			return o->json_rests[i][1];
	return o->json_rest;
}

static int put_option(json_t *body, const struct lb_option *o, const char *value)
{
	const char *rest = o->json_rest ? strchr(value, ':') : NULL;
	int ret;

	if (o->list)
		return put_items(body, o, value);
	ret = put(body, o->json, value, rest ? (size_t)(rest - value) : strlen(value));
	rest = rest ? rest + 1 : o->no_rest;
	if (!ret && rest)
		ret = put(body, path_of_rest(o, value), rest, strlen(rest));
	return ret;
}

json_t *lb_args_body(const struct lb_args *a)
{
	json_t *body = json_object();

	for (const struct lb_arg *arg = a->given; body && arg < a->given + a->nr_given; arg++) {
		if (!arg->option->json || (!arg->option->list && arg != last(a, arg->option->name)))
			continue;
		if (put_option(body, arg->option, arg->value)) {
			json_decref(body);
			return NULL;
		}
	}
	return body;
}
