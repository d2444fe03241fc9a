// SPDX-License-Identifier: GPL-2.0-or-later
/* lbctl's table of commands, its help, and main(). */
#include <errno.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "nearest.h"
#include "lbctl.h"

static const struct lb_command commands[] = {
	{NULL, "attach", "IFACE", LB_OPT_ATTACH, lb_ctl_attach, "steer the packets that arrive on IFACE"},
	{NULL, "detach", "IFACE", 0, lb_ctl_detach, "leave IFACE alone again"},
	{NULL, "status", "", LB_OPT_VERIFY, lb_ctl_status, "the daemon, the interfaces, totals"},
	{"service", "add", "NAME VIP", LB_OPT_SERVICE, lb_ctl_service_add,
	 "a new service on VIP, ADDR[/LEN]:PORT[/tcp|/udp|/sctp]"},
	{"service", "set", "NAME", LB_OPT_SERVICE, lb_ctl_service_set, "change what the options say, keep the rest"},
	{"service", "del", "NAME", 0, lb_ctl_service_del, "remove it with its backends"},
	{"service", "list", "", 0, lb_ctl_service_list, "all services, a line each"},
	{"service", "show", "NAME", 0, lb_ctl_service_show, "one service, its backends and its table"},
	{"backend", "add", "SERVICE ADDR[:PORT]", LB_OPT_BACKEND, lb_ctl_backend_add, "one more backend"},
	{"backend", "set", "SERVICE ADDR[:PORT]", LB_OPT_BACKEND, lb_ctl_backend_set,
	 "change what the options say, keep the rest"},
	{"backend", "del", "SERVICE ADDR[:PORT]", 0, lb_ctl_backend_del, "remove it; its connections break"},
	{"backend", "drain", "SERVICE ADDR[:PORT]", 0, lb_ctl_backend_state, "no new connections; open ones live on"},
	{"backend", "enable", "SERVICE ADDR[:PORT]", 0, lb_ctl_backend_state, "undo drain or disable"},
	{"backend", "disable", "SERVICE ADDR[:PORT]", 0, lb_ctl_backend_state, "take it out; its connections break"},
	{"backend", "list", "[SERVICE]", 0, lb_ctl_backend_list, "the backends of all services or of one"},
	{NULL, "apply", "", LB_OPT_FILE | LB_OPT_DRY_RUN | LB_OPT_GENERATION, lb_ctl_apply,
	 "replace the configuration with a file"},
	{NULL, "diff", "", LB_OPT_FILE, lb_ctl_diff, "what apply would change; exit status 1 when anything"},
	{NULL, "export", "", 0, lb_ctl_export, "print the configuration, as apply takes it"},
	{"flows", "flush", "[SERVICE]", 0, lb_ctl_flows_flush, "forget them, of all services or of one"},
	{NULL, "flows", "[SERVICE]", LB_OPT_COUNT | LB_OPT_CLIENT, lb_ctl_flows,
	 "how many flows are remembered and translated, by backend, or those of a client or backend"},
	{NULL, "trace", "", LB_OPT_TRACE, lb_ctl_trace, "what the dataplane would do with packets, and why"},
	{NULL, "monitor", "", LB_OPT_SINCE | LB_OPT_NUMBER | LB_OPT_TYPE, lb_ctl_monitor,
	 "events as they happen, a line each"},
	{NULL, "top", "[SERVICE]", LB_OPT_INTERVAL | LB_OPT_NUMBER, lb_ctl_top, "live rates per service and backend"},
	{NULL, "version", "", 0, lb_ctl_version, "of lbctl, and of lbd where it runs"},
	{NULL, "help", "[COMMAND] [SUBCOMMAND]", 0, lb_ctl_help, "how a command is used"},
};
#define NR_COMMANDS (sizeof(commands) / sizeof(*commands))

static unsigned int set_size(unsigned int set)
{
	unsigned int n = 0;

	for (const struct lb_option *o = lb_options; o->name; o++)
		n += (o->set & set) != 0;
	return n;
}

static void print_option(const struct lb_option *o)
{
	if (o->letter)
		printf("-%c", o->letter);
	else
		printf("--%s", o->name);
	if (o->value)
		printf(" %s", o->value);
}

static void print_usage(const struct lb_command *cmd)
{
	printf("lbctl%s%s %s%s%s", cmd->group ? " " : "", cmd->group ? cmd->group : "", cmd->name,
	       *cmd->params ? " " : "", cmd->params);
	if (set_size(cmd->options) > 3) {
		printf(" [OPTIONS]\n");
		return;
	}
	for (const struct lb_option *o = lb_options; o->name; o++) {
		if (!(o->set & cmd->options))
			continue;
		fputs(o->required ? " " : " [", stdout);
		print_option(o);
		fputs(o->required ? "" : "]", stdout);
	}
	putchar('\n');
}

static bool is_group(const char *word)
{
	for (size_t i = 0; i < NR_COMMANDS; i++)
		if (commands[i].group && !strcmp(commands[i].group, word))
			return true;
	return false;
}

int lb_ctl_fail(int status, const char *fmt, ...)
{
	va_list ap;

	fputs("lbctl: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return status;
}

int lb_ctl_misused(const struct lb_ctl *c, const char *fmt, ...)
{
	const struct lb_command *cmd = c->command;
	const char *group = cmd ? cmd->group : c->args->nr_words ? c->args->words[0] : NULL;
	char text[512];
	va_list ap;
	size_t len;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (group && !is_group(group))
		group = NULL;
	fputs("lbctl: ", stderr);
	if (cmd)
		fprintf(stderr, "%s%s%s: ", group ? group : "", group ? " " : "", cmd->name);
	len = strlen(text);
	fprintf(stderr, "%s%s see `lbctl help%s%s%s%s`\n", text, len && text[len - 1] == '?' ? "" : ";",
		group ? " " : "", group ? group : "", cmd ? " " : "", cmd ? cmd->name : "");
	return LB_EXIT_USAGE;
}

/* The row that @words name. */
static const struct lb_command *find_command(const char **words, size_t nr)
{
	for (size_t i = 0; i < NR_COMMANDS; i++) {
		const struct lb_command *cmd = &commands[i];

		if (!cmd->group && nr >= 1 && !strcmp(words[0], cmd->name))
			return cmd;
		if (cmd->group && nr >= 2 && !strcmp(words[0], cmd->group) && !strcmp(words[1], cmd->name))
			return cmd;
	}
	return NULL;
}

/* Say what is wrong with words that name no command. */
static int no_such_command(const struct lb_ctl *c, const char **words, size_t nr)
{
	const char *candidates[NR_COMMANDS + 1] = {NULL}, *nearest, *wrong;
	bool in_group = nr && is_group(words[0]);
	size_t n = 0;

	if (!nr)
		return lb_ctl_misused(c, "a command is missing");
	if (in_group && nr == 1)
		return lb_ctl_misused(c, "%s: what to do is missing", words[0]);
	wrong = words[in_group ? 1 : 0];
	for (size_t i = 0; i < NR_COMMANDS; i++) {
		if (!in_group)
			candidates[n++] = commands[i].group ? commands[i].group : commands[i].name;
		else if (commands[i].group && !strcmp(commands[i].group, words[0]))
			candidates[n++] = commands[i].name;
	}
	nearest = lb_nearest(wrong, candidates);
	return lb_ctl_misused(c, "unknown command '%s%s%s'%s%s%s", in_group ? words[0] : "", in_group ? " " : "", wrong,
			      nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
}

/* Do the words fit the command's parameters? Names the first that is missing. */
static int check_words(const struct lb_ctl *c)
{
	const char *param = c->command->params;
	size_t have = 0, at = 0;

	for (; *param; param += strspn(param, " "), at++) {
		size_t len = strcspn(param, " ");

		if (c->words[have]) {
			if (!*c->words[have])
				return lb_ctl_misused(c, "%.*s is empty", (int)len, param);
			have++;
		} else if (*param != '[') {
			return lb_ctl_misused(c, "%.*s is missing", (int)len, param);
		}
		param += len;
	}
	if (c->words[have])
		return lb_ctl_misused(c, "'%s' is one argument too many", c->words[have]);
	return 0;
}

static int check_options(const struct lb_ctl *c)
{
	for (size_t i = 0; i < c->args->nr_given; i++) {
		const struct lb_option *o = c->args->given[i].option;

		if (!(o->set & (c->command->options | LB_OPT_GLOBAL)))
			return lb_ctl_misused(c, "option --%s is not for this command", o->name);
	}
	for (const struct lb_option *o = lb_options; o->name; o++)
		if (o->required && (o->set & c->command->options) && !lb_args_has(c->args, o->name))
			return lb_ctl_misused(c, "-%c %s is missing", o->letter, o->value);
	return 0;
}

static void print_options(unsigned int set)
{
	char left[64];

	for (const struct lb_option *o = lb_options; o->name; o++) {
		if (!(o->set & set))
			continue;
		snprintf(left, sizeof(left), "--%s%s%s", o->name, o->value ? " " : "", o->value ? o->value : "");
		if (o->letter)
			printf("  -%c, %-28s %s\n", o->letter, left, o->help);
		else if (strlen(left) > 32)
			printf("  %s\n%35s%s\n", left, "", o->help);
		else
			printf("  %-32s %s\n", left, o->help);
	}
}

static void print_commands(const char *group)
{
	char left[64];
	int len;

	for (size_t i = 0; i < NR_COMMANDS; i++) {
		const struct lb_command *cmd = &commands[i];

		if (group && (!cmd->group || strcmp(group, cmd->group)))
			continue;
		len = snprintf(left, sizeof(left), "%s%s%s%s%s", cmd->group ? cmd->group : "", cmd->group ? " " : "",
			       cmd->name, *cmd->params ? " " : "", cmd->params);
		for (const struct lb_option *o = lb_options; o->name; o++)
			if (o->required && (o->set & cmd->options))
				len += snprintf(left + len, sizeof(left) - (size_t)len, " -%c %s", o->letter, o->value);
		printf("  %-36s %s\n", left, cmd->help);
	}
}

/* Also for `COMMAND --help`: then the words are the command's. */
int lb_ctl_help(struct lb_ctl *c)
{
	const char **words = c->args->words + (c->command && c->command->run == lb_ctl_help);
	size_t nr = c->args->nr_words - (size_t)(words - c->args->words);
	const struct lb_command *cmd = find_command(words, nr);

	if (cmd) {
		printf("%s.\n\nusage: ", cmd->help);
		print_usage(cmd);
		if (cmd->options) {
			puts("\noptions:");
			print_options(cmd->options);
		}
		return LB_EXIT_DONE;
	}
	if (nr && (nr > 1 || !is_group(words[0])))
		return no_such_command(&(struct lb_ctl){.args = c->args}, words, nr);
	puts("usage: lbctl [--socket PATH] [--json] COMMAND ...\n\ncommands:");
	print_commands(nr ? words[0] : NULL);
	puts("\noptions, before or after the command:");
	print_options(LB_OPT_GLOBAL);
	puts("\n'lbctl help COMMAND' lists the options of one; lbctl(8) has it all.");
	return LB_EXIT_DONE;
}

static int run(struct lb_ctl *c)
{
	const struct lb_args *a = c->args;
	int ret;

	if (lb_args_has(a, "help"))
		return lb_ctl_help(c);
	if (lb_args_has(a, "version"))
		return lb_ctl_version(c);
	c->command = find_command(a->words, a->nr_words);
	if (!c->command)
		return no_such_command(c, a->words, a->nr_words);
	c->words = a->words + (c->command->group ? 2 : 1);
	ret = check_words(c);
	if (!ret)
		ret = check_options(c);
	return ret ? ret : c->command->run(c);
}

int main(int argc, char **argv)
{
	struct lb_args args;
	struct lb_ctl ctl = {.args = &args};
	struct lb_err err = {0};
	int ret;

	setlocale(LC_CTYPE, "");
	if (lb_args_parse(argc - 1, argv + 1, &args, &err)) {
		ctl.command = find_command(args.words, args.nr_words);
		ret = lb_ctl_misused(&ctl, "%s", lb_err_str(&err));
	} else {
		ctl.words = args.words;
		ctl.json = lb_args_has(&args, "json");
		ret = run(&ctl);
	}
	lb_args_fini(&args);
	/* Of diff, 1 alone says that something would change. */
	if ((fflush(stdout) || ferror(stdout)) && ret <= LB_EXIT_REFUSED) {
		fprintf(stderr, "lbctl: cannot write what was asked for: %s\n", strerror(errno));
		ret = LB_EXIT_REFUSED;
	}
	return ret;
}
