/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The clocks, read the same way everywhere in lbd, and intervals for libevent's timers. */
#ifndef LB_CLOCK_H
#define LB_CLOCK_H

#include <stdint.h>
#include <sys/time.h>
#include <time.h>

#define LB_NSEC_PER_SEC 1000000000ULL

static inline uint64_t lb_clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * LB_NSEC_PER_SEC + ts.tv_nsec;
}

static inline uint64_t lb_now_ns(void)
{
	return lb_clock_ns(CLOCK_MONOTONIC);
}

static inline uint32_t lb_now_s(void)
{
	return lb_now_ns() / LB_NSEC_PER_SEC;
}

static inline struct timeval lb_timeval(uint64_t ns)
{
	return (struct timeval){.tv_sec = ns / LB_NSEC_PER_SEC, .tv_usec = ns % LB_NSEC_PER_SEC / 1000};
}

#endif
