/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Interfaces: what runs on one, and putting the dataplane's program there through libxdp. Called by dataplane.c. */
#ifndef LB_ATTACH_H
#define LB_ATTACH_H

#include "dataplane_priv.h"

/* lb_attach_entries - the ids of the programs that packets enter by on the interfaces of @dp, each once. */
size_t lb_attach_entries(const struct lb_dataplane *dp, uint32_t ids[LB_DATAPLANE_IFACES]);
/* lb_attach_again - the program as it is now in the place of an older one of ours, on each interface of @dp. */
int lb_attach_again(struct lb_dataplane *dp, struct lb_err *err);
/* lb_attach_detach_all - take ours off every interface of this network namespace. */
int lb_attach_detach_all(struct lb_dataplane *dp, struct lb_err *err);

#endif
