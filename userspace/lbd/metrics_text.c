// SPDX-License-Identifier: GPL-2.0-or-later
/* Prometheus' text format: see metrics_priv.h. */
#include <inttypes.h>

#include "clock.h"
#include "metrics_priv.h"

void lb_metric_family(FILE *f, const char *name, const char *type, const char *help)
{
	fprintf(f, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void lb_metric_value(FILE *f, const char *text)
{
	for (; *text; text++) {
		if (*text == '\n')
			fputs("\\n", f);
		else if (*text == '"' || *text == '\\')
			fprintf(f, "\\%c", *text);
		else
			fputc(*text, f);
	}
}

void lb_metric_single(FILE *f, const char *name, const char *type, const char *help, double v)
{
	lb_metric_family(f, name, type, help);
	fprintf(f, "%s %.15g\n", name, v);
}

void lb_metric_u64(FILE *f, const char *name, const char *type, const char *help, uint64_t v)
{
	lb_metric_family(f, name, type, help);
	fprintf(f, "%s %" PRIu64 "\n", name, v);
}

void lb_metric_histogram(FILE *f, const char *name, const char *labels, const struct lb_histogram *h)
{
	const char *comma = labels[0] ? "," : "", *open = labels[0] ? "{" : "", *close = labels[0] ? "}" : "";
	uint64_t sum = 0;

	for (int i = 0; i < LB_HISTOGRAM_BUCKETS; i++) {
		sum += h->bucket[i];
		fprintf(f, "%s_bucket{%s%sle=\"%s\"} %" PRIu64 "\n", name, labels, comma, lb_histogram_bounds[i].le,
			sum);
	}
	fprintf(f, "%s_bucket{%s%sle=\"+Inf\"} %" PRIu64 "\n", name, labels, comma, h->count);
	fprintf(f, "%s_sum%s%s%s %.15g\n", name, open, labels, close, h->sum_ns / (double)LB_NSEC_PER_SEC);
	fprintf(f, "%s_count%s%s%s %" PRIu64 "\n", name, open, labels, close, h->count);
}
