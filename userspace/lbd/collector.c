// SPDX-License-Identifier: GPL-2.0-or-later
/* When translated connections are looked at: in slices, with rests in proportion to the work. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "collector.h"
#include "log.h"

#define SLICE_NS (3 * LB_NSEC_PER_SEC / 1000) /* the loop has other things to do, too */
#define BREATH_NS (10 * LB_NSEC_PER_SEC / 1000)
#define REST_MIN_NS LB_NSEC_PER_SEC
#define REST_SHARE 9 /* of ten, while a round takes long */
#define SNAT_PORTS_MIN 1024

struct lb_collector {
	struct lb_dataplane *dp;
	struct event *event;
	uint64_t spent_ns; /* on this round */
};

static void on_slice(evutil_socket_t fd, short what, void *ctx)
{
	struct lb_collector *c = ctx;
	uint64_t start_ns = lb_now_ns(), rest_ns = BREATH_NS;
	int ret = lb_dataplane_collect(c->dp, SLICE_NS);
	struct timeval next;

	c->spent_ns += lb_now_ns() - start_ns;
	if (ret < 0)
		lb_log(LB_LOG_ERROR, "msg=\"cannot look through the translated connections\" error=%s",
		       lb_quoted(strerror(-ret)));
	if (ret) {
		rest_ns = REST_SHARE * c->spent_ns > REST_MIN_NS ? REST_SHARE * c->spent_ns : REST_MIN_NS;
		c->spent_ns = 0;
	}
	next = lb_timeval(rest_ns);
	evtimer_add(c->event, &next);
}

struct lb_collector *lb_collector_new(struct event_base *base, struct lb_dataplane *dp)
{
	struct lb_collector *c = calloc(1, sizeof(*c));
	struct timeval first = lb_timeval(REST_MIN_NS);

	if (!c)
		return NULL;
	c->dp = dp;
	c->event = evtimer_new(base, on_slice, c);
	if (!c->event || evtimer_add(c->event, &first)) {
		lb_collector_free(c);
		return NULL;
	}
	return c;
}

void lb_collector_free(struct lb_collector *c)
{
	if (!c)
		return;
	if (c->event)
		event_free(c->event);
	free(c);
}

bool lb_collector_snat_ports(uint16_t *first, uint16_t *nr)
{
	FILE *f = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
	unsigned int low = 0, high = 0;
	bool known = f && fscanf(f, "%u %u", &low, &high) == 2 && low <= high && high <= UINT16_MAX;

	if (f)
		fclose(f);
	if (!known)
		return false;
	*first = 1024;
	*nr = low > 1024 ? (uint16_t)(low - 1024) : 0;
	if (high < UINT16_MAX && UINT16_MAX - high > *nr) {
		*first = (uint16_t)(high < 1023 ? 1024 : high + 1);
		*nr = (uint16_t)(UINT16_MAX - *first + 1);
	}
	return *nr >= SNAT_PORTS_MIN;
}
