/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The parts of `make bench`. Every part adds its rows to one JSON document, which main.c prints and writes. */
#ifndef TOOLS_BENCH_H
#define TOOLS_BENCH_H

#include <jansson.h>
#include <stdbool.h>

/* Is the case or part called @name asked for? */
bool bench_wanted(const char *name);

/* Per packet, by BPF_PROG_TEST_RUN: adds "floor_ns", "driver_ns", "adjust_ns" and rows to @out's "cases", and the
 * "load" and "memory" rows. Returns how many cases were not valid, -1 with a line on stderr when nothing could run. */
int bench_packets(json_t *out);

/* Through a veth pair: adds rows with "mpps", "ratio" (to a bare reflector) and the loss at 50 % and 90 % of the rate.
 * Leaves the process in a network namespace of its own. 0, or -1 with a line on stderr. */
int bench_veth(json_t *out);

/* The median of @values, which it sorts. */
double bench_median(double *values, size_t nr);

#endif
