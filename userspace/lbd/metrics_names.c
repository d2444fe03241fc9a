// SPDX-License-Identifier: GPL-2.0-or-later
/* The families of backends' names. */
#include <inttypes.h>

#include "clock.h"
#include "metrics_priv.h"

/* Names have no character to escape: see lb_verify_name(). */
void lb_metrics_names(FILE *f, const struct lb_resolver *r)
{
	uint64_t now_ns = lb_clock_ns(CLOCK_REALTIME);
	size_t nr = lb_resolver_count(r);

	lb_metric_family(f, "lb_name_addresses", "gauge", "Addresses in the last good answer for a backend's name.");
	for (size_t i = 0; i < nr; i++)
		fprintf(f, "lb_name_addresses{name=\"%s\"} %zu\n", lb_resolver_stats(r, i)->name,
			lb_resolver_stats(r, i)->addresses);
	lb_metric_family(f, "lb_name_age_seconds", "gauge",
			 "How old the last good answer is; of a name that was answered once.");
	for (size_t i = 0; i < nr; i++) {
		const struct lb_name_stats *n = lb_resolver_stats(r, i);

		if (n->good_ns)
			fprintf(f, "lb_name_age_seconds{name=\"%s\"} %.3f\n", n->name,
				now_ns > n->good_ns ? (double)(now_ns - n->good_ns) / LB_NSEC_PER_SEC : 0.0);
	}
	lb_metric_family(f, "lb_name_lookups_total", "counter", "Look-ups of backends' names, by result.");
	for (size_t i = 0; i < nr; i++) {
		const struct lb_name_stats *n = lb_resolver_stats(r, i);

		for (int l = 0; l < LB_LOOKUP_COUNT; l++)
			if (l != LB_LOOKUP_NONE && (n->results[l] || l == LB_LOOKUP_OK))
				fprintf(f, "lb_name_lookups_total{name=\"%s\",result=\"%s\"} %" PRIu64 "\n", n->name,
					lb_lookup_name(l), n->results[l]);
	}
}
