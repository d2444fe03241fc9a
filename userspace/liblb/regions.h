/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which slots of lb_slots belong to which table: a buddy allocator over units of 16 slots, and a quarantine for tables
 * that a packet may still be reading. Pure bookkeeping: time is told to it, no map is touched. Called by dataplane.c.
 */
#ifndef LB_REGIONS_H
#define LB_REGIONS_H

#include <stddef.h>
#include <stdint.h>

#include "lb/abi.h"

#define LB_REGIONS_QUARANTINE_NS 1000000000ULL

struct lb_regions;

struct lb_regions *lb_regions_new(void); /* all LB_SLOTS free; NULL: out of memory */
void lb_regions_free(struct lb_regions *r);

/* A region is 1 << @shift slots from slot @base, aligned to its size. */

/* lb_regions_reserve - take a region that is in use already. -EINVAL: not a region (alignment, size, beyond the end);
 * -EEXIST: some of it is taken. */
int lb_regions_reserve(struct lb_regions *r, uint32_t base, unsigned int shift);
/* lb_regions_alloc - 0, or -ENOSPC; what has been in quarantine long enough at @now_ns is free again. */
int lb_regions_alloc(struct lb_regions *r, unsigned int shift, uint64_t now_ns, uint32_t *base);
/* lb_regions_release - free at once a region that no packet has ever been told of. */
void lb_regions_release(struct lb_regions *r, uint32_t base, unsigned int shift);
/* lb_regions_retire - free a region a second after @now_ns. */
void lb_regions_retire(struct lb_regions *r, uint32_t base, unsigned int shift, uint64_t now_ns);
/* lb_regions_flush - end the quarantine of all regions: the caller knows that no packet reads them. How many they were.
 */
size_t lb_regions_flush(struct lb_regions *r);

uint32_t lb_regions_free_slots(const struct lb_regions *r);    /* without those in quarantine */
uint32_t lb_regions_retired_slots(const struct lb_regions *r); /* in quarantine */

#endif
