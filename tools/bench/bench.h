/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The parts of `make bench`. Every part adds its rows to one JSON document, which main.c prints and writes. */
#ifndef TOOLS_BENCH_H
#define TOOLS_BENCH_H

#include <jansson.h>
#include <stdbool.h>

/* Is the case or part called @name asked for? */
bool bench_wanted(const char *name);
/* May cases whose names begin with @prefix be asked for? */
bool bench_part_wanted(const char *prefix);

/* Per packet, by BPF_PROG_TEST_RUN: adds "floor_ns", "driver_ns", "adjust_ns" and rows to @out's "cases", and the
 * "load" and "memory" rows. Returns how many cases were not valid, -1 with a line on stderr when nothing could run. */
int bench_packets(json_t *out);

/* Through a veth pair: adds rows with "mpps", "ratio" (to a bare reflector) and the loss at 50 % and 90 % of the rate.
 * Leaves the process in a network namespace of its own. 0, or -1 with a line on stderr. */
int bench_veth(json_t *out);

/* Against what people use, in a laboratory of network namespaces: rows "peer-NAME". 0, or -1 with a line on stderr. */
int bench_peers(json_t *out);

/* The control plane and its memory: rows "table-build-N" and those of a real lbd in a laboratory. 0, or -1 with a line
 * on stderr. */
int bench_control(json_t *out);

/* What those two run inside the laboratory, `bench --in-lab peers|control ...`: prints the rows as a JSON array. */
int bench_lab_peers(int argc, char **argv);
int bench_lab_control(int argc, char **argv);

/* Run `lab.sh @part`, which builds the laboratory and calls `bench --in-lab @part` in it, and add its rows to @out's
 * "cases". 0, or -1 with a line on stderr. */
int bench_in_lab(const char *part, json_t *out);

/* The median of @values, which it sorts. */
double bench_median(double *values, size_t nr);

/* bench_add_spread - @row gets @key, the median of @values (which it sorts), and the quartiles as @key_q1 and @key_q3:
 * what bench_compare tells noise from a regression by. */
void bench_add_spread(json_t *row, const char *key, double *values, size_t nr);

#endif
