/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Backends that are DNS names. In a configuration as it is written a name is one backend, whose .address is a key made
 * of the name, so that it is found, sorted and compared as any; before the model sees it, it becomes the addresses that
 * the name has. Pure: answers are told to it. Called by the fields' table and by lbd's control loop.
 */
#ifndef LB_NAMES_H
#define LB_NAMES_H

#include "conf.h"
#include "drains.h"

#define LB_NAME_STRLEN 254 /* a domain name without its last dot, NUL included */
#define LB_BACKEND_STRLEN (LB_NAME_STRLEN + 6)

/* lb_backend_parse - "10.0.0.1:80" as lb_endpoint_parse, or "db.example.org:80": *@name is malloc'ed, in lower case,
 * and
 * @ep its key; NULL for an address. 0, -EINVAL or -ENOMEM with @err. */
int lb_backend_parse(const char *text, struct lb_endpoint *ep, char **name, struct lb_err *err);
/* lb_backend_key - the same without the name: how a backend is called in a command. */
int lb_backend_key(const char *text, struct lb_endpoint *ep, struct lb_err *err);
/* lb_backend_format - as it was written: the address, or the name. */
char *lb_backend_format(const struct lb_backend_conf *b, char buf[LB_BACKEND_STRLEN]);
/* lb_backend_is_name - does @b stand for a name's addresses? (One that came from a name does not.) */
bool lb_backend_is_name(const struct lb_backend_conf *b);

/* What a name was found to be. */
struct lb_answer {
	char name[LB_NAME_STRLEN];
	uint8_t (*addrs)[16]; /* in order, each once */
	size_t nr;
};

/* In order of name; those that have not been answered are not in it. */
struct lb_answers {
	struct lb_answer *list;
	size_t nr;
};

/* An address that a name had, as it is kept over a restart. */
struct lb_resolved {
	char service[LB_NAME_MAX];
	char name[LB_NAME_STRLEN];
	struct lb_endpoint address;
	bool leaving;
};

/* lb_names_expand - make @to, which is a copy of @c, one with addresses in the place of names. Those of @answers that the service can use (of a family
 * that its packets can get to, no other backend of it, at most @c's resolver.max_addresses of a name, the lowest) take
 * the name's weight, tier and state. A name that is not in @answers keeps what it has in @before, the last result, or
 * NULL. Addresses that a name had in @before and has no longer are draining (.leaving) until @drains says that it is
 * over.
 * @left_out: how many addresses were not taken, for any of these reasons; may be NULL. 0 or -ENOMEM, with @to good for
 * nothing but lb_config_free. */
int lb_names_expand(struct lb_config *to, const struct lb_config *c, const struct lb_config *before,
		    const struct lb_answers *answers, const struct lb_drains *drains, size_t *left_out);

/* lb_names_restore - what lb_names_expand takes as @before, from what was kept: services of @c with these backends
 * alone. NULL: out of memory. */
struct lb_config *lb_names_restore(const struct lb_config *c, const struct lb_resolved *list, size_t nr);

/* lb_config_has_names - is there any, in a configuration as it is written? */
bool lb_config_has_names(const struct lb_config *c);

#endif
