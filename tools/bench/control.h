/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The names of what is measured with a real lbd. Used by control.c, which asks for it, and control_*.c, which do
 * it. */
#ifndef TOOLS_BENCH_CONTROL_H
#define TOOLS_BENCH_CONTROL_H

#define BENCH_START "start"
#define BENCH_CHANGE "change-1-of-1000"
#define BENCH_ADOPT_1000 "adopt-1000-backends"
#define BENCH_VERDICT "verdict-to-packet"
#define BENCH_APPLY "apply-10000-services"
#define BENCH_RELOAD "apply-10000-unchanged"
#define BENCH_ADOPT_10000 "adopt-10000-services"
#define BENCH_CHECKS "checks-1000-per-second"
#define BENCH_FLAP "flap-1-of-10000"
#define BENCH_LOOP "loop-longest"
#define BENCH_MEMORY "memory-lbd"

#endif
