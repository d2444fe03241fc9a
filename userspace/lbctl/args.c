// SPDX-License-Identifier: GPL-2.0-or-later
/* lbctl's command line; see args.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "args.h"
#include "nearest.h"

const struct lb_option lb_options[] = {
	{LB_OPT_GLOBAL, "socket", .value = "PATH",
	 .help = "lbd's socket (default $LBD_SOCKET, else /run/lbd/lbd.sock)"},
	{LB_OPT_GLOBAL, "json", .help = "print one JSON document"},
	{LB_OPT_GLOBAL, "help", 'h', .help = "the same as the command help"},
	{LB_OPT_GLOBAL, "version", 'V', .help = "the same as the command version"},

	{LB_OPT_SERVICE, "vip", .value = "VIP", .json = "vip", .list = true,
	 .help = "one more VIP, repeatable; with set, all VIPs"},
	{LB_OPT_SERVICE, "forward", .value = "l2|ipip", .json = "forward", .help = "how packets get to backends"},
	{LB_OPT_SERVICE, "policy", .value = "maglev", .json = "policy", .help = "how backends are chosen"},
	{LB_OPT_SERVICE, "affinity", .value = "none", .json = "affinity", .help = "what keeps a client on its backend"},
	{LB_OPT_SERVICE, "state", .value = "auto|all|none", .json = "state", .help = "which flows are remembered"},
	{LB_OPT_SERVICE, "check", .value = "none|tcp|http:PATH", .json = "check.type", .json_rest = "check.path",
	 .help = "how backends are checked"},
	{LB_OPT_SERVICE, "check-port", .value = "N", .json = "check.port",
	 .help = "port to check, where not the backend's"},
	{LB_OPT_SERVICE, "check-interval", .value = "T", .json = "check.interval",
	 .help = "time between checks, as 2s"},
	{LB_OPT_SERVICE, "check-timeout", .value = "T", .json = "check.timeout",
	 .help = "time a check may take, as 500ms"},
	{LB_OPT_SERVICE, "check-host", .value = "HOST", .json = "check.host", .help = "HTTP Host header"},
	{LB_OPT_SERVICE, "expect-status", .value = "N[-N]", .json = "check.expect_status",
	 .help = "HTTP status of a good answer"},
	{LB_OPT_SERVICE, "expect-body", .value = "TEXT", .json = "check.expect_body", .help = "text in a good answer"},
	{LB_OPT_SERVICE, "rise", .value = "N", .json = "check.rise",
	 .help = "successes in a row that make a backend up"},
	{LB_OPT_SERVICE, "fall", .value = "N", .json = "check.fall", .help = "failures in a row that make it down"},
	{LB_OPT_SERVICE, "panic-threshold", .value = "PERCENT", .json = "panic_threshold",
	 .help = "with fewer backends up, use all of them; 0: never"},

	{LB_OPT_BACKEND, "weight", .value = "N", .json = "weight", .help = "share of new connections; 0: none"},
	{LB_OPT_BACKEND, "tier", .value = "N", .json = "tier", .help = "the lowest tier with a usable backend serves"},

	{LB_OPT_ATTACH, "mode", .value = "auto|native|generic", .json = "mode", .help = "XDP mode"},

	{LB_OPT_FILE, "file", 'f', .value = "FILE", .required = true, .help = "the configuration; -: standard input"},
	{LB_OPT_DRY_RUN, "dry-run", .help = "say what would change, and change nothing"},
	{.name = NULL},
};

bool lb_args_later(const char *word)
{
	static const char *const words[] = {"flows",	    "trace",	       "monitor", "top",    "--check-via",
					    "--slow-start", "--drain-timeout", "--allow", "--deny", "--snat"};

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (!strcmp(word, words[i]))
			return true;
	return false;
}

static int unknown_option(const char *name, size_t len, struct lb_err *err)
{
	const char *candidates[sizeof(lb_options) / sizeof(*lb_options)] = {NULL}, *nearest;
	char word[64];

	snprintf(word, sizeof(word), "%.*s", (int)(len < 60 ? len : 60), name);
	if (lb_args_later(word))
		return lb_err_set(err, -EINVAL, NULL, "option %s is not available in this version", word);
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

/* Put @value (taken over) at @path, "key" or "object.key"; @list: append it to what is there. */
static int put(json_t *object, const char *path, json_t *value, bool list)
{
	const char *key = strchr(path, '.');
	char parent[32];
	json_t *at;

	if (key) {
		snprintf(parent, sizeof(parent), "%.*s", (int)(key - path), path);
		at = json_object_get(object, parent);
		if (!at && json_object_set_new(object, parent, at = json_object())) {
			json_decref(value);
			return -ENOMEM;
		}
		return put(at, key + 1, value, list);
	}
	if (!list)
		return json_object_set_new(object, path, value) ? -ENOMEM : 0;
	at = json_object_get(object, path);
	if (!at && json_object_set_new(object, path, at = json_array())) {
		json_decref(value);
		return -ENOMEM;
	}
	return json_array_append_new(at, value) ? -ENOMEM : 0;
}

json_t *lb_args_body(const struct lb_args *a)
{
	json_t *body = json_object();
	const char *value, *rest;
	size_t len;

	for (const struct lb_arg *arg = a->given; body && arg < a->given + a->nr_given; arg++) {
		value = arg->value;
		if (!arg->option->json || (!arg->option->list && arg != last(a, arg->option->name)))
			continue;
		rest = arg->option->json_rest ? strchr(value, ':') : NULL;
		len = rest ? (size_t)(rest - value) : strlen(value);
		if (put(body, arg->option->json, json_stringn(value, len), arg->option->list) ||
		    (rest && put(body, arg->option->json_rest, json_string(rest + 1), false))) {
			json_decref(body);
			return NULL;
		}
	}
	return body;
}
