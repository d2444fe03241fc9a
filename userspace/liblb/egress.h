/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The program that sends marked packets of health checks to their backends as the dataplane sends clients' packets
 * (bpf/check.bpf.c), at the egress of interfaces. Called by lbd's check_path.c.
 */
#ifndef LB_EGRESS_H
#define LB_EGRESS_H

#include "dataplane.h"

struct lb_egress;

/* lb_egress_new - load it on the maps of @dp. 0, or -errno with @err. */
int lb_egress_new(struct lb_dataplane *dp, struct lb_egress **out, struct lb_err *err);
/* Unloads it where it is attached nowhere; interfaces keep theirs. */
void lb_egress_free(struct lb_egress *e);

/* lb_egress_attach - have it on interface @ifindex, as a tc filter beside others; one of an lbd before us is replaced,
 * nothing is done where it is there already. 0; -EBUSY: the place is another program's; -errno, with @err. */
int lb_egress_attach(struct lb_egress *e, uint32_t ifindex, struct lb_err *err);
/* lb_egress_detach - take it off, whichever lbd put it there. Others' filters, and the clsact qdisc, stay. */
void lb_egress_detach(uint32_t ifindex);
/* lb_egress_detach_all - off every interface of this network namespace. */
void lb_egress_detach_all(void);

#endif
