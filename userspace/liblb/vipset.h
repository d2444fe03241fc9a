/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writing the VIPs' sets while packets read them: lb/dp/vip.h is the reader. A VIP that is there is found at every
 * moment, also while another one makes room by moving to its other set (cuckoo hashing; Pagh, Rodler 2004). Pure: the
 * sets may be a map or an array. Called by the dataplane and by tests.
 */
#ifndef LB_VIPSET_H
#define LB_VIPSET_H

#include "lb/abi.h"

/* lb_vipset_set - @vip is @service's (not 0) from now on. 0, or -ENOSPC: no place, which up to LB_MAX_VIPS does not
 * happen but by the worst of luck. */
int lb_vipset_set(struct lb_vip_set *sets, const struct lb_vip *vip, __u32 service);

/* lb_vipset_del - @vip is nobody's; nothing happens where it is not there. */
void lb_vipset_del(struct lb_vip_set *sets, const struct lb_vip *vip);

/* lb_vipset_get - whose it is, as a packet finds out; 0: nobody's. */
__u32 lb_vipset_get(const struct lb_vip_set *sets, const struct lb_vip *vip);

#endif
