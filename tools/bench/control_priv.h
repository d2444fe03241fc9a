/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What control_lab.c and control_checks.c share, and nobody else uses. */
#ifndef TOOLS_BENCH_CONTROL_PRIV_H
#define TOOLS_BENCH_CONTROL_PRIV_H

#include <jansson.h>
#include <stdint.h>

#define LAB_CHECK_INTERVAL_S 2
#define LAB_CHECK "{\"type\":\"tcp\",\"port\":8000,\"interval\":\"2s\",\"timeout\":\"1s\",\"rise\":1,\"fall\":1}"

/* lab_put_config - @services services with @backends backends each, 10.1.0.0 and so on; the first @checked are checked.
 * How long the answer took, in ms, or -1. */
double lab_put_config(unsigned int services, unsigned int backends, unsigned int checked);

/* lab_map_pinned - a map of lbd's, to read. NULL: it is not there. */
const void *lab_map_pinned(const char *name, size_t bytes);
/* lab_socket_on - a socket on host @name, bound to @addr:@port where that is given, and listening. -1: none. */
int lab_socket_on(const char *name, int type, const char *addr, uint16_t port);

/* lab_add_row - a row of milliseconds; @more, which it takes, is in it, too. */
void lab_add_row(json_t *rows, const char *name, double *ms, size_t nr, json_t *more);

/* lab_measure_checks - what checks cost, and how long a verdict takes among 10,000 backends. 0 or -1. */
int lab_measure_checks(json_t *rows);

/* lab_measure_loop - the longest turn of lbd's event loop with 10,000 services. 0 or -1. */
int lab_measure_loop(json_t *rows);

#endif
