/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Backends of fullnat answer to the addresses of snat. Nobody gets those answers where the host does not have the
 * address, unless it is routed here without being the host's: which of both it is only the network knows. So this tells
 * what an operator may want to look at, and refuses nothing. Called by control.c.
 */
#ifndef LB_SNATS_H
#define LB_SNATS_H

#include "model.h"

#define LB_SNATS_MAX 256 /* addresses that are looked at; of more, the first ones of the configuration */

struct lb_snats_addr {
	uint8_t addr[16];
	bool missed; /* at the last look: one that is just being added is not yet the host's */
	bool told;   /* that it is not the host's */
};

struct lb_snats {
	struct lb_snats_addr *list; /* lb_snats_free frees it */
	size_t nr;
};

/* lb_snats_look - tell of addresses that two looks in turn have not found to be the host's, each once, and of those
 * that are the host's again. */
void lb_snats_look(struct lb_snats *n, const struct lb_model *m);
void lb_snats_free(struct lb_snats *n);

#endif
