// SPDX-License-Identifier: GPL-2.0-or-later
/* From what the control loop knows to events. */
#include <net/if.h>
#include <stdio.h>

#include "clock.h"
#include "stats.h"
#include "tell.h"

#define NAME_MAX_AGE_NS (LB_NSEC_PER_SEC / 100)

void lb_tell_started(struct lb_control *c)
{
	struct lb_event e = {LB_EVENT_STARTED, .to = LB_VERSION, .generation = c->generation};

	lb_events_add(c->events, &e);
}

void lb_tell_health(struct lb_control *c, const char *service, const struct lb_endpoint *backend, enum lb_health from,
		    const struct lb_health_state *h, const char *detail)
{
	struct lb_event e = {LB_EVENT_HEALTH, .service = service, .backend = backend};

	e.from = lb_health_name(from);
	e.to = lb_health_name(h->health);
	/* Unknown is what is not checked any more. */
	e.reason = h->health == LB_HEALTH_UNKNOWN ? NULL : lb_reason_name(h->reason);
	e.detail = detail;
	lb_events_add(c->events, &e);
}

void lb_tell_share(struct lb_control *c, const char *service, const struct lb_endpoint *backend, uint32_t from,
		   uint32_t to, bool said)
{
	char before[8], after[8];
	struct lb_event e = {LB_EVENT_WEIGHT, .service = service, .backend = backend, .from = before, .to = after};

	snprintf(before, sizeof(before), "%u%%", from);
	snprintf(after, sizeof(after), "%u%%", to);
	e.reason = said ? "said" : "unread";
	lb_events_add(c->events, &e);
}

/* An interface's name, asked for once for a burst: thousands of backends are behind the same one. */
static const char *iface_name(uint32_t ifindex)
{
	static char name[IF_NAMESIZE];
	static uint32_t of;
	static uint64_t at_ns;
	uint64_t now_ns = lb_now_ns();

	if (of == ifindex && now_ns - at_ns < NAME_MAX_AGE_NS)
		return name;
	if (!if_indextoname(ifindex, name))
		snprintf(name, sizeof(name), "if%u", ifindex);
	of = ifindex;
	at_ns = now_ns;
	return name;
}

void lb_tell_next_hop(struct lb_control *c, const uint8_t addr[16], const struct lb_next_hop *nh)
{
	char to[IF_NAMESIZE + 24] = "lost";
	struct lb_event e = {LB_EVENT_NEXT_HOP, .address = addr, .to = to};

	if (nh->ifindex)
		snprintf(to, sizeof(to), "%s %02x:%02x:%02x:%02x:%02x:%02x", iface_name(nh->ifindex), nh->dmac[0],
			 nh->dmac[1], nh->dmac[2], nh->dmac[3], nh->dmac[4], nh->dmac[5]);
	lb_events_add(c->events, &e);
}

void lb_tell_apply(struct lb_control *c, const struct lb_origin *origin, size_t changes, const struct lb_err *err)
{
	struct lb_event e = {LB_EVENT_CONFIG_APPLIED, .origin = origin->what, .by = &origin->by,
			     .generation = c->generation, .count = changes};

	if (err) {
		e.type = LB_EVENT_CONFIG_REFUSED;
		e.reason = lb_err_str(err);
	}
	lb_watch_ifaces(c->watch, &c->ifaces);
	lb_events_add(c->events, &e);
}

void lb_tell_dataplane(struct lb_control *c, const struct lb_err *err)
{
	bool failing = err;
	struct lb_event e = {LB_EVENT_DATAPLANE, .from = c->failing ? "failing" : "ok",
			     .to = failing ? "failing" : "ok"};

	if (failing)
		e.reason = lb_err_str(err);
	if (failing != c->failing)
		lb_events_add(c->events, &e);
	c->failing = failing;
}
