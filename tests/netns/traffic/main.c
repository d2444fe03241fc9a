// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Both ends of test traffic, for the namespace tests and the demo: a server that answers with its name over TCP and
 * UDP, and clients that open many connections and say who answered and what broke. Reports are lines of key=value.
 *
 * The line protocol: "?\n" is answered with "NAME\n", "!\n" with the same and the end of the connection. With --http
 * PATH the clients send GET requests instead and take the body's first line for the name.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "traffic.h"

struct options opt = {.count = 1, .parallel = 64, .timeout_ms = 3000};

static int usage(void)
{
	fprintf(stderr,
		"usage: traffic serve --name NAME --port PORT...\n"
		"       traffic spread|hold --to ADDR:PORT [--count N] [--parallel N] [--from ADDR]\n"
		"               [--first-port N] [--udp] [--http PATH] [--timeout MS] [--every MS] [--big] [--tos N]\n"
		"       traffic load --to ADDR:PORT [--rate N] [--parallel N] [--from ADDR] [--http PATH] [--timeout "
		"MS]\n");
	return 2;
}

/* A number's place is in @number; the others are told apart by their letter. */
static const struct {
	const char *name;
	unsigned int *number;
	char letter;
} options[] = {
	{"count", &opt.count, 0},
	{"parallel", &opt.parallel, 0},
	{"first-port", &opt.first_port, 0},
	{"rate", &opt.rate, 0},
	{"timeout", &opt.timeout_ms, 0},
	{"every", &opt.every_ms, 0},
	{"tos", &opt.tos, 0},
	{"port", NULL, 'p'},
	{"to", NULL, 't'},
	{"from", NULL, 'f'},
	{"name", NULL, 'n'},
	{"http", NULL, 'h'},
	{"udp", NULL, 'u'},
	{"big", NULL, 'b'},
};
#define NR_OPTIONS (sizeof(options) / sizeof(options[0]))

static void take_option(size_t i, char *value)
{
	switch (options[i].letter) {
	case 0:
		*options[i].number = (unsigned int)strtoul(value, NULL, 0);
		break;
	case 'p':
		opt.ports[opt.nr_ports++ % MAX_PORTS] = (unsigned int)strtoul(value, NULL, 0);
		break;
	case 't':
		parse_addr(value, &opt.to);
		break;
	case 'f':
		parse_addr(value, &opt.from);
		break;
	case 'n':
		opt.name = value;
		break;
	case 'h':
		opt.http = value;
		break;
	case 'u':
		opt.udp = true;
		break;
	case 'b':
		opt.big = true;
		break;
	}
}

static int parse_options(int argc, char **argv)
{
	struct option list[NR_OPTIONS + 1] = {0};
	int i, c;

	for (size_t k = 0; k < NR_OPTIONS; k++)
		list[k] =
			(struct option){options[k].name, options[k].letter != 'u' && options[k].letter != 'b', NULL, 0};
	while ((c = getopt_long(argc, argv, "", list, &i)) != -1) {
		if (c)
			return -EINVAL;
		take_option((size_t)i, optarg);
	}
	return 0;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(void);
	} modes[] = {{"serve", serve}, {"spread", spread}, {"hold", hold}, {"load", load}};
	struct rlimit files = {1 << 17, 1 << 17};

	if (argc < 2 || parse_options(argc - 1, argv + 1))
		return usage();
	signal(SIGPIPE, SIG_IGN);
	setrlimit(RLIMIT_NOFILE, &files);
	conns_new(opt.count > opt.parallel ? opt.count : opt.parallel);
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (strcmp(argv[1], modes[i].name))
			continue;
		if (modes[i].run == serve ? !opt.name || !opt.nr_ports : !opt.to.ss_family)
			return usage();
		return modes[i].run();
	}
	return usage();
}
