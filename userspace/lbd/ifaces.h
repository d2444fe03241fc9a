/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The interfaces of the configuration and what is attached to them. Called by control.c; read by api and metrics. */
#ifndef LB_IFACES_H
#define LB_IFACES_H

#include <net/if.h>

#include "dataplane.h"
#include "nexthops.h"

struct lb_iface {
	struct lb_iface_conf conf;
	bool attached;
	struct lb_attachment at;  /* while attached */
	char note[384];		  /* why it is not attached; "" */
	char called[IF_NAMESIZE]; /* while attached: its name, where that is another by now; "" */
	bool vlans;		  /* there are VLAN devices on it */
	bool hides_tags;	  /* and yet its driver takes the tags off */
};

struct lb_ifaces {
	struct lb_iface *list; /* in order of name */
	size_t nr;
	bool left_over; /* something could not be detached: lb_ifaces_retry tries again */
};

void lb_ifaces_fini(struct lb_ifaces *f);

/* lb_ifaces_settled - each that exists is attached, and nothing is left over: whatever was attached before is not now.
 */
bool lb_ifaces_settled(const struct lb_ifaces *f);
/* lb_ifaces_would - would lb_ifaces_change find the interfaces that are new in @c? 0 or -ENODEV. */
int lb_ifaces_would(const struct lb_ifaces *f, const struct lb_config *c, struct lb_err *err);
/* lb_ifaces_change - have what @c wants: attach what is new, and anew what changed its mode; what @c no longer has
 * stays until lb_ifaces_drop. @must: an interface that cannot be attached is an error, and nothing is changed then;
 * else it is logged and tried again by lb_ifaces_retry. */
int lb_ifaces_change(struct lb_ifaces *f, struct lb_dataplane *dp, const struct lb_config *c, bool must,
		     struct lb_err *err);
/* lb_ifaces_wait - know the interfaces of @c, and attach to none of them before lb_ifaces_retry is called; @why is told
 * meanwhile. 0 or -ENOMEM. */
int lb_ifaces_wait(struct lb_ifaces *f, const struct lb_config *c, const char *why);
/* Detach what @from has and @to, which @f follows, does not. */
void lb_ifaces_drop(struct lb_ifaces *f, struct lb_dataplane *dp, const struct lb_config *from,
		    const struct lb_config *to);
/* Detach from every interface of the host that @f does not have: for the start, when nobody knows what was before. */
void lb_ifaces_drop_unknown(struct lb_ifaces *f, struct lb_dataplane *dp);
/* Look after all of them: what came, went, or lost its program. One that was renamed stays attached as long as no other
 * has its name: packets are forwarded on, and who renamed it decides. Returns true when something changed. */
bool lb_ifaces_retry(struct lb_ifaces *f, struct lb_dataplane *dp);

/* lb_ifaces_want_vlans - has one of @c's interfaces, or what it was renamed to, VLAN devices on it, as @n says? */
bool lb_ifaces_want_vlans(const struct lb_ifaces *f, const struct lb_config *c, const struct lb_nexthops *n);
/* lb_ifaces_look_at_vlans - note which of the attached ones have, and warn of drivers that keep the tags to themselves.
 */
void lb_ifaces_look_at_vlans(struct lb_ifaces *f, const struct lb_nexthops *n);

/* lb_ifaces_is_attached - is the interface @ifindex one of them, and attached? */
bool lb_ifaces_is_attached(const struct lb_ifaces *f, uint32_t ifindex);
const struct lb_iface *lb_ifaces_find(const struct lb_ifaces *f, const char *name);

#endif
