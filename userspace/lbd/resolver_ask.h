/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One question to the DNS, by c-ares in lbd's event loop. Called by resolver.c alone. */
#ifndef LB_RESOLVER_ASK_H
#define LB_RESOLVER_ASK_H

#include "resolver.h"

/* The answer: @nr addresses at @addrs, which is the callee's to free, in order, each once, with their least time to
 * live. From the event loop, once, unless it was cancelled. */
typedef void (*lb_ask_fn)(void *ctx, bool v6, enum lb_lookup result, uint8_t (*addrs)[16], size_t nr, uint32_t ttl_s);

struct lb_asker;
struct lb_ask;

struct lb_asker *lb_asker_new(struct event_base *base); /* NULL: out of memory */
void lb_asker_free(struct lb_asker *a);
/* lb_asker_set - other servers; nothing must be asked. */
void lb_asker_set(struct lb_asker *a, const struct lb_resolver_conf *conf);

/* lb_ask - for the addresses of one family of @name. NULL: it could not be asked; @done will not be called. */
struct lb_ask *lb_ask(struct lb_asker *a, const char *name, bool v6, lb_ask_fn done, void *ctx);
/* @done will not be called. */
void lb_ask_cancel(struct lb_ask *ask);

#endif
