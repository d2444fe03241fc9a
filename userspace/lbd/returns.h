/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Answers of backends whose service translates have to come in by an interface with the program: by another one they
 * are the host's, and no client ever gets them. Says where that is so. Called by control.c.
 */
#ifndef LB_RETURNS_H
#define LB_RETURNS_H

#include "ifaces.h"
#include "model.h"

#define LB_RETURNS_MAX 16

struct lb_returns {
	uint32_t lost[LB_RETURNS_MAX]; /* interfaces that were warned of */
	size_t nr;
};

/* lb_returns_look - warn of interfaces that backends are behind now and that are not attached, each once. */
void lb_returns_look(struct lb_returns *a, const struct lb_ifaces *f, const struct lb_model *m);

#endif
