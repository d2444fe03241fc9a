/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the metrics have in common: the text format, and families. Called by metrics*.c alone. */
#ifndef LB_METRICS_PRIV_H
#define LB_METRICS_PRIV_H

#include <stdint.h>
#include <stdio.h>

#include "control.h"

/* metrics_text.c: the lines in front of a family; a label's value, escaped; a family of one line; the lines of a
 * histogram in seconds, of which @labels are "", or as they stand between the braces. */
void lb_metric_family(FILE *f, const char *name, const char *type, const char *help);
void lb_metric_value(FILE *f, const char *text);
void lb_metric_single(FILE *f, const char *name, const char *type, const char *help, double v);
void lb_metric_u64(FILE *f, const char *name, const char *type, const char *help, uint64_t v);
void lb_metric_histogram(FILE *f, const char *name, const char *labels, const struct lb_histogram *h);

/* metrics_daemon.c; @flows: entries in the flow cache. */
void lb_metrics_daemon(FILE *f, struct lb_control *c);
void lb_metrics_process(FILE *f);
void lb_metrics_dataplane(FILE *f, struct lb_control *c);
void lb_metrics_lookups(FILE *f, struct lb_control *c);
void lb_metrics_flows(FILE *f, struct lb_control *c, uint64_t flows);

/* metrics_names.c */
void lb_metrics_names(FILE *f, const struct lb_resolver *r);

#endif
