/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writing the VIPs' sets while packets read them: lb/dp/vip.h is the reader. A VIP that is there is found at every
 * moment, also while another one makes room by moving to its other set (cuckoo hashing; Pagh, Rodler 2004). Pure: the
 * sets may be a map or an array. Called by the dataplane and by tests.
 */
#ifndef LB_VIPSET_H
#define LB_VIPSET_H

#include <stddef.h>

#include "lb/abi.h"

/* lb_vipset_line - what @vip's line says while it belongs to the service @idx, as @service stands, under the hash key
 * @key. */
struct lb_vip_line lb_vipset_line(const struct lb_vip *vip, __u16 idx, const struct lb_service *service);

/* lb_vipset_set - the VIP of @line is from now on what @line says (.beyond means nothing here). 0, or -ENOSPC: no
 * place, which up to LB_MAX_VIPS does not happen but by the worst of luck. */
int lb_vipset_set(struct lb_vip_set *sets, const struct lb_vip_line *line);

/* lb_vipset_del - @vip is nobody's; nothing happens where it is not there. */
void lb_vipset_del(struct lb_vip_set *sets, const struct lb_vip *vip);

/* lb_vipset_get - its line, as a packet finds it; NULL: it is nobody's. */
const struct lb_vip_line *lb_vipset_get(const struct lb_vip_set *sets, const struct lb_vip *vip);

/* lb_vipset_mend - wipe the lines that no packet would find where they lie, and bring the counts of what lies beyond
 * to what there is. Returns how many lines and counts would have kept packets from their VIPs, or been another's. */
size_t lb_vipset_mend(struct lb_vip_set *sets);

/* The VIP of a line that is somebody's. */
struct lb_vip lb_vipset_vip(const struct lb_vip_line *line);

#endif
