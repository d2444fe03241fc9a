// SPDX-License-Identifier: GPL-2.0-or-later
/* lbnode: the backend host's side. Its command line. */
#include <errno.h>
#include <getopt.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lbnode.h"

enum { EXIT_DONE = 0, EXIT_REFUSED = 1, EXIT_USAGE = 2 };

static const char help_text[] =
	"lbnode " LB_VERSION " - takes tunnel headers off on a backend host, in front of the kernel's stack\n"
	"\n"
	"  lbnode attach IFACE [--mode auto|native|generic] [--local ADDR]... [--from PREFIX]... [--vip ADDR]...\n"
	"                      [--gue-port N|none]...\n"
	"  lbnode detach IFACE\n"
	"  lbnode status [IFACE] [--json]\n"
	"  lbnode version | help\n"
	"\n"
	"For services that lbd forwards with ipip or gue: packets that arrive on IFACE as IPv4 or IPv6 in IPv4 or "
	"IPv6, "
	"or in\n"
	"UDP with a GUE header, reach the stack as the client sent them. It takes the place of the kernel's ipip, sit, "
	"ip6tnl\n"
	"and fou devices, which serve as well where the kernel has them. Everything else passes untouched. There is no "
	"daemon:\n"
	"the program stays until detach or until IFACE goes away. Attaching again replaces the rules and keeps the "
	"counters.\n"
	"\n"
	"  --mode     native runs in the driver, generic on any interface but slower; auto: native, else generic\n"
	"  --local    an address of this host that tunnels end at. Those that IFACE has when the command runs count "
	"always:\n"
	"             attach again when they change\n"
	"  --from     take off headers only from these outer sources: the addresses (or tunnel source prefixes) of the "
	"load\n"
	"             balancers. Default: any. Whoever can send to IFACE can otherwise put packets with any inner "
	"address\n"
	"             behind your packet filter, so give it, or filter protocols 4, 41 and GUE's port on the way\n"
	"  --vip      take off headers only for these inner destinations. Default: any\n"
	"  --gue-port a UDP port that GUE arrives at, up to four; none: GUE stays the stack's. Default: 6080\n"
	"\n"
	"The host answers clients directly, so it needs each VIP, but must not answer for it on the network:\n"
	"  ip addr add 192.0.2.10/32 dev lo        ip addr add 2001:db8::10/128 dev lo\n"
	"and, where a load balancer is on the same segment (forwarding l2, too):\n"
	"  sysctl -w net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2\n"
	"Clients' packets arrive on IFACE: where replies leave by another interface, strict reverse path filtering "
	"drops\n"
	"them: sysctl -w net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.IFACE.rp_filter=2\n"
	"The tunnel makes packets 20 (IPv4) or 40 bytes longer, gue 12 more: raise the MTU between load balancer and\n"
	"backends, or lower the MSS of the VIP's routes here: ip route change default via GATEWAY advmss 1420\n"
	"\n"
	"Exit status: 0 done, 1 refused or failed, 2 wrong usage.\n";

struct command_line {
	const char *ifname;
	enum lb_attach_mode mode;
	struct lb_node_rules rules;
	bool json, gue_given;
};

static int usage(const char *fmt, const char *what)
{
	fputs("lbnode: ", stderr);
	fprintf(stderr, fmt, what);
	fputs("; `lbnode help` shows how\n", stderr);
	return EXIT_USAGE;
}

static int refused(const struct lb_err *err)
{
	fprintf(stderr, "lbnode: %s\n", lb_err_str(err));
	return EXIT_REFUSED;
}

static int read_mode(const char *text, enum lb_attach_mode *mode, struct lb_err *err)
{
	static const char *const names[] = {
		[LB_ATTACH_AUTO] = "auto", [LB_ATTACH_NATIVE] = "native", [LB_ATTACH_GENERIC] = "generic"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strcmp(text, names[i])) {
			*mode = (enum lb_attach_mode)i;
			return 0;
		}
	}
	return lb_err_set(err, -EINVAL, NULL, "--mode: '%s' is no mode: auto, native or generic", text);
}

static int read_address(const char *option, const char *text, struct lb_node_list *list, struct lb_err *err)
{
	struct lb_prefix item = {.plen = 128};
	const char *why;
	int ret = lb_addr_parse(text, item.addr, err);

	if (ret)
		return lb_err_set(err, ret, option, "%s", strdupa(err->message));
	why = lb_addr_unusable(item.addr);
	if (why)
		return lb_err_set(err, -EINVAL, option, "%s is %s; give a host's address", text, why);
	return lb_node_list_add(list, &item) ? lb_err_set(err, -ENOMEM, NULL, "out of memory") : 0;
}

static int read_prefix(const char *text, struct lb_node_list *list, struct lb_err *err)
{
	struct lb_prefix item;
	int ret = lb_prefix_parse(text, &item, err);

	if (ret)
		return lb_err_set(err, ret, "--from", "%s", strdupa(err->message));
	return lb_node_list_add(list, &item) ? lb_err_set(err, -ENOMEM, NULL, "out of memory") : 0;
}

static int read_gue_port(const char *text, struct command_line *line, struct lb_err *err)
{
	uint16_t *ports = line->rules.gue_port;
	uint64_t port;
	int i = 0, ret;

	line->gue_given = true;
	if (!strcmp(text, "none"))
		return 0;
	ret = lb_number_parse(text, "port", 1, 65535, &port, err);
	if (ret)
		return lb_err_set(err, ret, "--gue-port", "%s", strdupa(err->message));
	while (i < LB_NODE_MAX_GUE && ports[i] && ports[i] != port)
		i++;
	if (i == LB_NODE_MAX_GUE)
		return lb_err_set(err, -E2BIG, "--gue-port", "%llu is one too many; there is room for %d",
				  (unsigned long long)port, LB_NODE_MAX_GUE);
	ports[i] = (uint16_t)port;
	return 0;
}

/* One option of getopt's, into @line. */
static int read_option(int option, const char *value, struct command_line *line, struct lb_err *err)
{
	switch (option) {
	case 'm':
		return read_mode(value, &line->mode, err);
	case 'l':
		return read_address("--local", value, &line->rules.local, err);
	case 'f':
		return read_prefix(value, &line->rules.from, err);
	case 'v':
		return read_address("--vip", value, &line->rules.vips, err);
	case 'g':
		return read_gue_port(value, line, err);
	default:
		line->json = true;
		return 0;
	}
}

/* EXIT_DONE: go on. */
static int parse(int argc, char **argv, const struct option *options, struct command_line *line)
{
	struct lb_err err = {0};
	int option;

	opterr = 0;
	/* The leading colon tells a missing value from an unknown option. */
	while ((option = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		if (option == ':')
			return usage("%s needs a value", argv[optind - 1]);
		if (option == '?')
			return usage("%s is no option of this command", argv[optind - 1]);
		if (read_option(option, optarg, line, &err))
			return refused(&err);
	}
	if (optind < argc)
		line->ifname = argv[optind++];
	if (optind < argc)
		return usage("%s is one word too many", argv[optind]);
	return EXIT_DONE;
}

/* The stack drops packets to an address that it does not have. */
static void warn_of_missing_vips(const struct lb_node_list *vips)
{
	struct lb_node_list all = {0};
	char text[LB_ADDR_STRLEN];

	for (size_t i = 0; !lb_node_addresses(NULL, &all, NULL) && i < vips->nr; i++) {
		if (!lb_node_list_has(&all, &vips->items[i]))
			fprintf(stderr, "lbnode: note: this host does not have %s yet: ip addr add %s/%d dev lo\n",
				lb_addr_format(vips->items[i].addr, text), text,
				lb_addr_is_v4(vips->items[i].addr) ? 32 : 128);
	}
	lb_node_list_fini(&all);
}

static int command_attach(struct command_line *line)
{
	struct lb_node_rules *rules = &line->rules;
	struct lb_attachment at;
	struct lb_err err = {0};
	int ret;

	if (!if_nametoindex(line->ifname)) {
		lb_err_set(&err, -ENODEV, NULL, "there is no interface %s; `ip link` lists those there are",
			   line->ifname);
		return refused(&err);
	}
	if (!line->gue_given)
		rules->gue_port[0] = LB_GUE_PORT_DEFAULT;
	ret = lb_node_addresses(line->ifname, &rules->local, &err);
	if (!ret && !rules->local.nr)
		ret = lb_err_set(&err, -EADDRNOTAVAIL, NULL,
				 "%s has no address that a tunnel could end at; add one, or name another of the host's "
				 "with --local ADDR",
				 line->ifname);
	if (!ret)
		ret = lb_node_attach(line->ifname, line->mode, rules, &at, &err);
	if (ret)
		return refused(&err);
	if (*at.note)
		fprintf(stderr, "lbnode: note: %s: %s\n", at.ifname, at.note);
	warn_of_missing_vips(&rules->vips);
	return EXIT_DONE;
}

static int command_detach(struct command_line *line)
{
	struct lb_err err = {0};

	return lb_node_detach(line->ifname, &err) ? refused(&err) : EXIT_DONE;
}

static int command_status(struct command_line *line)
{
	struct lb_err err = {0};

	return lb_node_status(line->ifname, line->json, &err) ? refused(&err) : EXIT_DONE;
}

static const struct option attach_options[] = {
	{"mode", required_argument, NULL, 'm'},	    {"local", required_argument, NULL, 'l'},
	{"from", required_argument, NULL, 'f'},	    {"vip", required_argument, NULL, 'v'},
	{"gue-port", required_argument, NULL, 'g'}, {0}};
static const struct option no_options[] = {{0}};
static const struct option status_options[] = {{"json", no_argument, NULL, 'j'}, {0}};

static const struct {
	const char *name;
	int (*run)(struct command_line *line);
	const struct option *options;
	bool needs_iface;
} commands[] = {
	{"attach", command_attach, attach_options, true},
	{"detach", command_detach, no_options, true},
	{"status", command_status, status_options, false},
};

int main(int argc, char **argv)
{
	struct command_line line = {0};
	int ret;

	/* As with lbctl, what the whole output is to be may come first. */
	if (argc > 1 && !strcmp(argv[1], "--json")) {
		line.json = true;
		argv++;
		argc--;
	}
	if (argc < 2)
		return usage("a command is missing%s", "");
	if (!strcmp(argv[1], "help") || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
		fputs(help_text, stdout);
		return EXIT_DONE;
	}
	if (!strcmp(argv[1], "version") || !strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
		puts("lbnode " LB_VERSION);
		return EXIT_DONE;
	}
	lb_node_init();
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(argv[1], commands[i].name))
			continue;
		if (line.json && commands[i].run != command_status)
			return usage("--json is not for %s", argv[1]);
		ret = parse(argc - 1, argv + 1, commands[i].options, &line);
		if (!ret && commands[i].needs_iface && !line.ifname)
			ret = usage("%s needs the name of an interface", argv[1]);
		if (!ret)
			ret = commands[i].run(&line);
		lb_node_rules_fini(&line.rules);
		if (fflush(stdout) || ferror(stdout)) {
			fprintf(stderr, "lbnode: cannot write: %s\n", strerror(errno));
			return EXIT_REFUSED;
		}
		return ret;
	}
	return usage("'%s' is no command: attach, detach, status, version, help", argv[1]);
}
