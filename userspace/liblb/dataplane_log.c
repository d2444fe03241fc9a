// SPDX-License-Identifier: GPL-2.0-or-later
/* Messages of libbpf and libxdp: kept for the error that is about to be made of them, never printed. */
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <xdp/libxdp.h>

#include "xdp.h"

/* Both libraries' hooks are global, so this is too. */
static char log_line[200];
static int log_rank;

/* How much a line tells: 0 nothing, 1 that something failed, 2 what failed, 3 the kernel's own words. */
static int rank_of(const char *line)
{
	static const char *const empty[] = {"-- BEGIN",	   "-- END", "processed ", "verification time",
					    "stack depth", "func#",  "arg#"};
	static const char *const vague[] = {"failed to load", "Failed to load", "BPF program load failed",
					    "Falling back"};

	for (size_t i = 0; i < sizeof(empty) / sizeof(empty[0]); i++) {
		if (strstr(line, empty[i]))
			return 0;
	}
	for (size_t i = 0; i < sizeof(vague) / sizeof(vague[0]); i++) {
		if (strstr(line, vague[i]))
			return 1;
	}
	return 2;
}

static void take_line(char *line)
{
	static const char kernel[] = "Kernel error message: ";
	static const char *const prefixes[] = {"libbpf: ", "libxdp: "};
	int rank;

	line += strspn(line, " \t");
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		if (!strncmp(line, prefixes[i], strlen(prefixes[i])))
			line += strlen(prefixes[i]);
	}
	rank = rank_of(line);
	if (!strncmp(line, kernel, strlen(kernel))) {
		line += strlen(kernel);
		rank = 3;
	}
	if (!*line || rank < log_rank || !rank)
		return;
	log_rank = rank;
	snprintf(log_line, sizeof(log_line), "%s", line);
}

/* A message may be a whole verifier log: its last line is the one that says why. */
static void take(const char *fmt, va_list args)
{
	char text[65536], *save = NULL;

	if (vsnprintf(text, sizeof(text), fmt, args) < 0)
		return;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		take_line(line);
}

static int print_bpf(enum libbpf_print_level level, const char *fmt, va_list args)
{
	if (level == LIBBPF_WARN)
		take(fmt, args);
	return 0;
}

static int print_xdp(enum libxdp_print_level level, const char *fmt, va_list args)
{
	if (level != LIBXDP_DEBUG)
		take(fmt, args);
	return 0;
}

void lb_log_capture(void)
{
	libbpf_set_print(print_bpf);
	libxdp_set_print(print_xdp);
}

void lb_log_reset(void)
{
	log_line[0] = '\0';
	log_rank = 0;
}

const char *lb_log_line(void)
{
	return log_line;
}

int lb_log_load_error(struct lb_err *err, int code)
{
	const char *why = log_line;

	if (code == -EPERM || code == -EACCES)
		return lb_err_set(err, code, NULL,
				  "the kernel refuses BPF to this process (%s%s%s); run it as root or with CAP_BPF, "
				  "CAP_NET_ADMIN and CAP_SYS_ADMIN",
				  strerror(-code), *why ? ": " : "", why);
	if (code == -ENOSYS)
		return lb_err_set(err, code, NULL,
				  "this kernel has no BPF; Linux 5.10 or newer with CONFIG_BPF_SYSCALL is needed");
	return lb_err_set(err, code, NULL, "cannot load the XDP program: %s%s%s; Linux 5.10 or newer is needed",
			  *why ? why : strerror(-code), *why ? ": " : "", *why ? strerror(-code) : "");
}
