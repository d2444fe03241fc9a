/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Verdicts as they are written: in metrics, events and answers. Called by lbd; the list itself is lb/verdict.h. */
#ifndef LB_VERDICTS_H
#define LB_VERDICTS_H

#include "lb/verdict.h"

/* lb_verdict_name, lb_verdict_help - static strings; NULL: there is no such verdict. */
const char *lb_verdict_name(enum lb_verdict v);
const char *lb_verdict_help(enum lb_verdict v);

#endif
