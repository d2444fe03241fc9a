// SPDX-License-Identifier: GPL-2.0-or-later
/* The list of verdicts as strings. */
#include <stddef.h>

#include "verdicts.h"

static const struct {
	const char *name, *help;
} verdicts[] = {
#define X(id, name, action, help) [LB_V_##id] = {name, help},
	LB_VERDICTS(X)
#undef X
};

const char *lb_verdict_name(enum lb_verdict v)
{
	return v < LB_V_COUNT ? verdicts[v].name : NULL;
}

const char *lb_verdict_help(enum lb_verdict v)
{
	return v < LB_V_COUNT ? verdicts[v].help : NULL;
}
