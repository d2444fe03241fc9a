/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The mark of a health check's packets that are to go to one backend as clients' packets do: which backend, and of
 * which service. Written by lbd on the check's socket, read by bpf/check.bpf.c.
 */
#ifndef LB_CHECK_H
#define LB_CHECK_H

#include <linux/types.h>

#define LB_CHECK_MARK 0x5b000000U
#define LB_CHECK_MARK_MASK 0xff000000U

/* What fits of the service's index tells whether the backend's line has become another's. */
#define LB_CHECK_SERVICE_MASK 0x1ffU
#define LB_CHECK_MARK_OF(service, backend)                                                                             \
	(LB_CHECK_MARK | ((__u32)(service)&LB_CHECK_SERVICE_MASK) << 15 | ((__u32)(backend)&0x7fffU))
#define LB_CHECK_MARK_SERVICE(mark) ((__u32)(mark) >> 15 & LB_CHECK_SERVICE_MASK)
#define LB_CHECK_MARK_BACKEND(mark) ((__u32)(mark)&0x7fffU)

#endif
