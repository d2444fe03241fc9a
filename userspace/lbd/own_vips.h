/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VIPs that are addresses by which the host itself is spoken to: what comes for them goes to backends, and whoever
 * meant another address has no ssh any more. It may be meant, so this is told and not refused. Called by render.c.
 */
#ifndef LB_OWN_VIPS_H
#define LB_OWN_VIPS_H

#include "conf.h"

#define LB_OWN_VIPS_NOTE 320

/* lb_own_vips_note - what is to be told of the VIPs of @s; "" where there is nothing. A VIP that the host has as a
 * single address, without a network (on its loop-back, or as VRRP puts it there), is as it should be, but with every
 * port. The host's addresses are asked for once a second at most. Returns @note. */
const char *lb_own_vips_note(const struct lb_service_conf *s, char note[LB_OWN_VIPS_NOTE]);

#endif
