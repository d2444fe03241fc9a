/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The CPU time that everything in this PID namespace takes, interrupts included. Called by load.c and peers.c. */
#ifndef TOOLS_BENCH_CPU_H
#define TOOLS_BENCH_CPU_H

/* The environment variable with the number of a file descriptor: the /proc of the machine. */
#define CPU_PROC_FD "BENCH_PROC_FD"

/* Start the threads that fill idle CPUs. 0 or -errno. */
int cpu_start(void);
/* How fast they count when nothing interrupts them: takes 300 ms. Once before the first cpu_begin, better often. */
void cpu_calibrate(void);

/* Between the two: seconds of CPU time. */
void cpu_begin(void);
double cpu_end(void);

#endif
