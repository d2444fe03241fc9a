/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lbctl's command line: words and options in any order. One row of the table in args.c is one option; where it goes in
 * the request is part of the row, and what its value may be is lbd's to say, so that there is one decoder. Pure.
 */
#ifndef LBCTL_ARGS_H
#define LBCTL_ARGS_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "err.h"

/* Sets of options; a command takes some of them. */
enum {
	LB_OPT_GLOBAL = 1 << 0,
	LB_OPT_SERVICE = 1 << 1,
	LB_OPT_BACKEND = 1 << 2,
	LB_OPT_ATTACH = 1 << 3,
	LB_OPT_FILE = 1 << 4,
	LB_OPT_DRY_RUN = 1 << 5,
	LB_OPT_GENERATION = 1 << 6,
	LB_OPT_SINCE = 1 << 7,
	LB_OPT_INTERVAL = 1 << 8,
	LB_OPT_NUMBER = 1 << 9,
	LB_OPT_COUNT = 1 << 10,
	LB_OPT_VERIFY = 1 << 11,
	LB_OPT_CLIENT = 1 << 12,
	LB_OPT_TRACE = 1 << 13,
	LB_OPT_TYPE = 1 << 14,
};

struct lb_option {
	unsigned int set;
	const char *name;      /* without the dashes */
	char letter;	       /* -f; 0: none */
	const char *value;     /* what the help calls its value; NULL: it takes none */
	const char *json;      /* the path in the request's body, "check.interval"; NULL: not sent */
	const char *json_rest; /* the path of what follows the value's first colon, where it has one */
	const char *no_rest;   /* what is sent there where it has none; NULL: nothing */
	bool list;	       /* may be repeated */
	bool commas;	       /* a list: several in one value, or "none" */
	bool required;
	const char *help;
	/* Other paths than json_rest, by what is before the colon; ends with NULL. */
	const char *const (*json_rests)[2];
	/* A list without commas: "none" adds nothing. */
	bool none;
};

struct lb_args {
	const char **words; /* what is no option, in order */
	size_t nr_words;
	struct lb_arg {
		const struct lb_option *option;
		const char *value; /* NULL where the option takes none */
	} * given;
	size_t nr_given;
};

/* The table, ending with a row without a name. */
extern const struct lb_option lb_options[];

/* lb_args_parse - split @argv (without the program's name). -EINVAL with @err for an unknown option, a missing or a
 * needless value; -ENOMEM. @out points into @argv and is the caller's to lb_args_fini, also after an error. */
int lb_args_parse(int argc, char **argv, struct lb_args *out, struct lb_err *err);
void lb_args_fini(struct lb_args *a);

bool lb_args_has(const struct lb_args *a, const char *option);
/* The value given last; NULL: not given. */
const char *lb_args_value(const struct lb_args *a, const char *option);

/* lb_args_body - the JSON object that the options make, values as text; empty when none is to be sent. A new reference,
 * NULL: out of memory. */
json_t *lb_args_body(const struct lb_args *a);


#endif
