// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What no image shows, put right where it is not as it should be: where tables lie, which places VIPs are in, and what
 * their lines repeat of their services. Whoever compares images calls the one half before, the other one after.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "dataplane_priv.h"
#include "pause.h"
#include "vipset.h"

#define PAUSE_EVERY 1024 /* lines of maps */

__attribute__((format(printf, 3, 4))) static void tell(lb_mend_fn told, void *ctx, const char *fmt, ...)
{
	char what[128];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	told(ctx, what);
}

void lb_dataplane_mend_places(struct lb_dataplane *dp, lb_mend_fn told, void *ctx)
{
	size_t nr;

	for (uint32_t i = 0; i < LB_MAX_SERVICES; i++) {
		lb_pause_at(i, PAUSE_EVERY);
		if (dp->services[i].table == dp->tables[i])
			continue;
		__atomic_store_n(&dp->services[i].table, dp->tables[i], __ATOMIC_RELEASE);
		tell(told, ctx, "where the table of service %u lies", i);
	}
	lb_pause();
	nr = lb_vipset_mend(dp->vips);
	lb_pause();
	if (nr)
		tell(told, ctx, "%zu place%s in the VIPs' sets", nr, nr == 1 ? "" : "s");
}

struct mending {
	struct lb_dataplane *dp;
	lb_mend_fn told;
	void *ctx;
};

static int mend_wild(void *ctx, const struct lb_vip_conf *vip, uint16_t idx)
{
	struct mending *m = ctx;
	char text[LB_ADDR_STRLEN];
	int ret;

	if (!idx || idx >= LB_MAX_SERVICES || lb_tries_vip_is_right(m->dp, vip, idx))
		return 0;
	ret = lb_tries_set_vip(m->dp, vip, idx);
	if (!ret)
		tell(m->told, m->ctx, "the line of VIP %s", lb_vip_format(vip, text));
	return ret;
}

static int mend_vip(struct mending *m, const struct lb_vip_line *line)
{
	const struct lb_vip_conf vip = {.vip = lb_vipset_vip(line), .plen = 128};
	struct lb_vip_line want;
	char text[LB_ADDR_STRLEN];
	int ret;

	if (!line->service || line->service >= LB_MAX_SERVICES)
		return 0;
	want = lb_vipset_line(&vip.vip, line->service, &m->dp->services[line->service]);
	if (want.table == line->table && want.flags == line->flags)
		return 0;
	ret = lb_vipset_set(m->dp->vips, &want);
	if (!ret)
		tell(m->told, m->ctx, "the line of VIP %s", lb_vip_format(&vip, text));
	return ret;
}

/* An interface that is gone is no error: its next hops will be gone in a moment, too. */
static void mend_port(struct mending *m, uint32_t ifindex)
{
	uint32_t value;

	if (bpf_map_lookup_elem(m->dp->ports_fd, &ifindex, &value) &&
	    !bpf_map_update_elem(m->dp->ports_fd, &ifindex, &ifindex, BPF_ANY))
		tell(m->told, m->ctx, "the way out by interface %u", ifindex);
}

int lb_dataplane_mend_lines(struct lb_dataplane *dp, lb_mend_fn told, void *ctx, struct lb_err *err)
{
	struct mending m = {dp, told, ctx};
	uint32_t last = 0;
	int ret = 0;

	for (uint32_t i = 0; !ret && i < LB_VIP_SETS * LB_VIP_WAYS; i++) {
		lb_pause_at(i, PAUSE_EVERY);
		ret = mend_vip(&m, &dp->vips[i / LB_VIP_WAYS].way[i % LB_VIP_WAYS]);
	}
	if (!ret)
		ret = lb_tries_each_vip(dp, mend_wild, &m);
	/* Most are behind the same one. */
	for (uint32_t i = 1; i < LB_MAX_BACKENDS; i++) {
		lb_pause_at(i, PAUSE_EVERY);
		if (dp->backends[i].oif && dp->backends[i].oif != last)
			mend_port(&m, dp->backends[i].oif);
		last = dp->backends[i].oif ? dp->backends[i].oif : last;
	}
	return ret ? lb_err_set(err, ret, NULL, "cannot put VIPs right: %s", strerror(-ret)) : 0;
}
