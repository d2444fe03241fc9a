/* SPDX-License-Identifier: GPL-2.0-or-later */
/* This process as the kernel sees it, for the process_* metrics. Called by metrics.c. */
#ifndef LB_PROCESS_H
#define LB_PROCESS_H

#include <stdint.h>

struct lb_process {
	double cpu_seconds;
	uint64_t resident_bytes;
	uint64_t virtual_bytes;
	uint64_t open_fds;
	uint64_t max_fds;
	double start_time_seconds; /* since the epoch */
};

/* 0 or -errno. */
int lb_process_read(struct lb_process *out);

#endif
