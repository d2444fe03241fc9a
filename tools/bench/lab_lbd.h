/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A real lbd in the laboratory: one at a time, as a child of ours, asked through its socket. Called by control_lab.c.
 */
#ifndef TOOLS_BENCH_LAB_LBD_H
#define TOOLS_BENCH_LAB_LBD_H

#include <jansson.h>
#include <stdbool.h>

#define LAB_PIN_DIR "/sys/fs/bpf/bench"
#define LAB_METRICS_PORT 9707 /* on the loop-back address */

/* lab_lbd_open - prepare for @program with its files in @dir, attached to lb0 and with no services. 0 or -1. */
int lab_lbd_open(const char *program, const char *dir);
void lab_lbd_close(void);

/* lab_lbd_start - start it and wait until it says READY=1; how long that took, in ms, or -1. */
double lab_lbd_start(void);
/* lab_lbd_end - end it, if it runs: SIGTERM takes its dataplane away, SIGKILL leaves it. */
void lab_lbd_end(int sig);

/* lab_ask - send a request; how long its answer took, in ms, or -1 with a line on stderr. @answer (may be NULL) is the
 * caller's. */
double lab_ask(const char *method, const char *path, const char *body, json_t **answer);
json_int_t lab_services(void); /* how many services it says that it has; -1: it does not say */
bool lab_adopted(void);

/* A line of its /proc/PID/status, in bytes. */
json_int_t lab_lbd_bytes(const char *key);

/* Its CPU time until now, of all its threads, in seconds; -1: it is gone. */
double lab_lbd_cpu_s(void);

/* What it has logged lately. lab_read_log takes what came since, without waiting, and says whether there was anything;
 * lab_wait_log waits a while for it. */
const char *lab_log(void);
bool lab_read_log(void);
void lab_wait_log(int ms);
void lab_forget_log(void);

/* A line on stderr with what lbd logged lately; returns -1. */
int lab_fail(const char *what);

#endif
