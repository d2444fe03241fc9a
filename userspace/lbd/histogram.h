/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Durations counted in buckets, as Prometheus wants them. Called by prober.c, control.c and metrics.c. */
#ifndef LB_HISTOGRAM_H
#define LB_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

#define LB_HISTOGRAM_BUCKETS 12

/* Upper bounds: nanoseconds, and seconds as the exposition writes them. */
static const struct {
	uint64_t ns;
	const char *le;
} lb_histogram_bounds[LB_HISTOGRAM_BUCKETS] = {
	{500000, "0.0005"},  {1000000, "0.001"},  {2500000, "0.0025"}, {5000000, "0.005"},
	{10000000, "0.01"},  {25000000, "0.025"}, {50000000, "0.05"},  {100000000, "0.1"},
	{250000000, "0.25"}, {500000000, "0.5"},  {1000000000, "1"},   {2500000000, "2.5"},
};

struct lb_histogram {
	uint64_t bucket[LB_HISTOGRAM_BUCKETS + 1]; /* not cumulative; the last one has no bound */
	uint64_t count;
	uint64_t sum_ns;
};

static inline void lb_histogram_add(struct lb_histogram *h, uint64_t ns)
{
	size_t i = 0;

	while (i < LB_HISTOGRAM_BUCKETS && ns > lb_histogram_bounds[i].ns)
		i++;
	h->bucket[i]++;
	h->count++;
	h->sum_ns += ns;
}

#endif
