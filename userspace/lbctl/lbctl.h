/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lbctl: a client of lbd's API, and nothing else. lbctl.c has the table of commands, commands.c carries them out,
 * output.c shows what lbd answered. It holds no state.
 */
#ifndef LBCTL_LBCTL_H
#define LBCTL_LBCTL_H

#include "args.h"

/* Exit status; part of the interface. */
enum {
	LB_EXIT_DONE = 0,
	LB_EXIT_REFUSED = 1, /* refused or failed; diff: it differs */
	LB_EXIT_USAGE = 2,
	LB_EXIT_UNREACHABLE = 3,
};

struct lb_ctl;

struct lb_command {
	const char *group; /* "service"; NULL: the command is one word */
	const char *name;
	const char *params;	      /* the words it takes; those in [] may be left out */
	unsigned int options;	      /* sets, LB_OPT_GLOBAL apart */
	int (*run)(struct lb_ctl *c); /* an exit status; has printed what there is to say */
	const char *help;
};

/* One run of one command. */
struct lb_ctl {
	const struct lb_command *command;
	const struct lb_args *args;
	const char **words; /* the command's own, NULL at the end */
	bool json;
};

/* commands.c */
int lb_ctl_attach(struct lb_ctl *c);
int lb_ctl_detach(struct lb_ctl *c);
int lb_ctl_status(struct lb_ctl *c);
int lb_ctl_service_add(struct lb_ctl *c);
int lb_ctl_service_set(struct lb_ctl *c);
int lb_ctl_service_del(struct lb_ctl *c);
int lb_ctl_service_list(struct lb_ctl *c);
int lb_ctl_service_show(struct lb_ctl *c);
int lb_ctl_backend_add(struct lb_ctl *c);
int lb_ctl_backend_set(struct lb_ctl *c);
int lb_ctl_backend_state(struct lb_ctl *c); /* drain, enable, disable */
int lb_ctl_backend_del(struct lb_ctl *c);
int lb_ctl_backend_list(struct lb_ctl *c);
int lb_ctl_apply(struct lb_ctl *c);
int lb_ctl_diff(struct lb_ctl *c);
int lb_ctl_export(struct lb_ctl *c);
int lb_ctl_version(struct lb_ctl *c);

/* commands.c, for live.c: a request, and an answer that comes line by line until @line returns false, which is asked
 * with NULL, too, about once a second. What went wrong has been said. */
int lb_ctl_call(const struct lb_ctl *c, const char *method, char *path, json_t *body, json_t **doc);
int lb_ctl_stream(const struct lb_ctl *c, char *path, bool (*line)(void *ctx, const char *text), void *ctx);

/* live.c */
int lb_ctl_monitor(struct lb_ctl *c);
int lb_ctl_top(struct lb_ctl *c);
int lb_ctl_flows(struct lb_ctl *c);
int lb_ctl_flows_flush(struct lb_ctl *c);

/* trace.c */
int lb_ctl_trace(struct lb_ctl *c);

/* lbctl.c: one line on stderr, which ends with where the usage is told; returns LB_EXIT_USAGE. */
int lb_ctl_misused(const struct lb_ctl *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int lb_ctl_help(struct lb_ctl *c);
/* One line on stderr; returns @status. */
int lb_ctl_fail(int status, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* output.c: on stdout, from the API's documents */
void lb_show_json(const json_t *doc);
void lb_show_status(const json_t *status);
void lb_show_services(const json_t *services); /* an array */
void lb_show_service(const json_t *service);
void lb_show_backends(const json_t *backends); /* an array, each with its "service" */
void lb_show_own_backends(const json_t *backends); /* likewise, all of one service, which is not named */
void lb_show_changes(const json_t *changes);   /* an array */
void lb_show_event(const json_t *event);
void lb_show_flows(const json_t *flows);	    /* an array */
void lb_show_client_flows(const json_t *doc);
void lb_show_trace(const json_t *result);
void lb_show_rates(const json_t *rows, size_t max); /* an array; at most so many of it */

#endif
