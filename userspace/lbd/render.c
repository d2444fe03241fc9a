// SPDX-License-Identifier: GPL-2.0-or-later
/* What runs, as JSON: the configuration's keys from document.c, and what is known at run time beside them. */
#include <inttypes.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "document.h"
#include "render.h"
#include "stats.h"

/* The last interface that was asked for: one service's backends are mostly behind the same one, and each question is a
 * system call. */
struct ifname {
	uint32_t ifindex;
	char name[IF_NAMESIZE];
};

static const char *ifname_of(struct ifname *last, uint32_t ifindex)
{
	if (last->ifindex != ifindex && !if_indextoname(ifindex, last->name))
		snprintf(last->name, sizeof(last->name), "if%u", ifindex);
	last->ifindex = ifindex;
	return last->name;
}

static json_t *render_next_hop(const struct lb_next_hop *nh, struct ifname *last)
{
	char mac[18];

	if (!nh->ifindex)
		return json_null();
	snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", nh->dmac[0], nh->dmac[1], nh->dmac[2], nh->dmac[3],
		 nh->dmac[4], nh->dmac[5]);
	return json_pack("{s:s, s:s, s:i}", "interface", ifname_of(last, nh->ifindex), "mac", mac, "mtu", (int)nh->mtu);
}

static json_t *render_backend_status(const struct lb_control *c, const struct lb_model_service *s, size_t i,
				     struct ifname *last)
{
	const struct lb_model_backend *b = &s->backends[i];
	const struct lb_target_stats *t = lb_prober_stats(c->prober, s->conf.name, &b->conf.address);
	bool probed = t && (t->health.ok || t->health.failed || t->results[LB_REASON_INTERNAL]);
	double slots = s->policy_table ? (double)(1ULL << s->policy_shift) : 0;
	struct lb_backend_cpu row;
	const char *reason = probed ? lb_reason_name(t->health.reason) : "";
	char since[LB_TIME_STRLEN];

	/* Whatever its checks say: what mends it is another thing. */
	if (!b->next_hop.ifindex)
		reason = lb_way_name(lb_nexthops_way(c->nexthops, b->conf.address.addr));
	lb_dataplane_backend(c->dp, b->idx, &row);
	return json_pack("{s:s, s:s, s:s, s:b, s:f, s:I, s:I, s:I, s:I, s:o}", "health",
			 lb_health_name(t ? t->health.health : b->health), "reason", reason, "since",
			 t ? lb_time_format(t->health.since_ns, since) : "", "serving", b->chosen, "share",
			 slots > 0 ? b->nr_slots / slots : 0.0, "active_connections", (json_int_t)lb_stats_active(&row),
			 "packets", (json_int_t)row.pkts, "bytes", (json_int_t)row.bytes, "connections",
			 (json_int_t)row.conns, "next_hop", render_next_hop(&b->next_hop, last));
}

static json_t *render_backend(const struct lb_control *c, const struct lb_model_service *s, size_t i,
			      struct ifname *last)
{
	json_t *j = lb_document_backend(&s->conf.backends[i]);

	if (j && json_object_set_new(j, "status", render_backend_status(c, s, i, last))) {
		json_decref(j);
		return NULL;
	}
	return j;
}

json_t *lb_render_backend(const struct lb_control *c, const struct lb_model_service *s, size_t i)
{
	struct ifname last = {0};

	return render_backend(c, s, i, &last);
}

/* Of each destination that the service announces: is it a route now? */
static json_t *render_routes(const struct lb_control *c, const struct lb_service_conf *s)
{
	json_t *list = json_array();

	for (size_t i = 0; s->announce && i < s->nr_vips; i++) {
		struct lb_prefix dst = lb_announce_prefix(&s->vips[i]);
		struct lb_announced state;
		char text[LB_ADDR_STRLEN];

		/* VIPs are in order of address: those that differ in port alone are one route. */
		if (i && !memcmp(s->vips[i].vip.addr, s->vips[i - 1].vip.addr, sizeof(dst.addr)) &&
		    s->vips[i].plen == s->vips[i - 1].plen)
			continue;
		lb_announce_state(c->announce, &dst, &state);
		json_array_append_new(list, json_pack("{s:s, s:b, s:s}", "route", lb_prefix_format(&dst, text),
						      "announced", state.there, "reason", state.why));
	}
	return list;
}

static json_t *render_service_status(const struct lb_control *c, const struct lb_model_service *s)
{
	enum lb_service_state state;
	struct lb_backend_cpu total;
	size_t phases[3] = {0};
	char reason[128], digest[17];
	json_t *j;

	state = lb_stats_state(s, reason, sizeof(reason));
	lb_stats_service(c, s, &total);
	if (s->slots)
		lb_slots_count(s->slots, phases);
	snprintf(digest, sizeof(digest), "%016" PRIx64, s->digest);
	j = json_pack("{s:s, s:s, s:i, s:I, s:s, s:{s:I, s:I, s:I}, s:I, s:I, s:I}", "state",
			 lb_service_state_name(state), "reason", reason, "tier", (int)s->choice.tier, "table_slots",
			 (json_int_t)(s->slots ? 1LL << s->slots->shift : 0), "table_digest", digest, "slots", "stable",
			 (json_int_t)phases[LB_PHASE_STABLE], "moving", (json_int_t)phases[LB_PHASE_MOVING], "settling",
			 (json_int_t)phases[LB_PHASE_SETTLING], "packets", (json_int_t)total.pkts, "bytes",
			 (json_int_t)total.bytes, "connections", (json_int_t)total.conns);
	json_object_set_new(j, "healthy", json_integer((json_int_t)lb_announce_healthy(s)));
	json_object_set_new(j, "routes", render_routes(c, &s->conf));
	return j;
}

json_t *lb_render_service(const struct lb_control *c, const struct lb_model_service *s)
{
	json_t *j = lb_document_service(&s->conf), *backends = json_array();
	struct ifname last = {0};

	if (!j || !backends)
		goto fail;
	for (size_t i = 0; i < s->conf.nr_backends; i++)
		if (json_array_append_new(backends, render_backend(c, s, i, &last)))
			goto fail;
	if (json_object_set(j, "backends", backends) || json_object_set_new(j, "status", render_service_status(c, s)))
		goto fail;
	json_decref(backends);
	return j;
fail:
	json_decref(backends);
	json_decref(j);
	return NULL;
}

json_t *lb_render_iface(const struct lb_iface *i)
{
	return json_pack("{s:s, s:I, s:s, s:s, s:b, s:b, s:s}", "name", i->conf.name, "ifindex",
			 (json_int_t)(i->attached ? i->at.ifindex : 0), "mode",
			 i->attached ? lb_attach_mode_name(i->at.mode) : "", "configured_mode",
			 lb_attach_mode_name(i->conf.mode), "shared", i->attached && i->at.shared, "attached",
			 i->attached, "note", i->attached ? i->at.note : i->note);
}

static json_t *render_ifaces(const struct lb_control *c)
{
	json_t *list = json_array();

	for (size_t i = 0; i < c->ifaces.nr; i++)
		json_array_append_new(list, lb_render_iface(&c->ifaces.list[i]));
	return list;
}

static json_t *render_verdicts(const struct lb_control *c)
{
	static const char *const names[] = {
#define X(id, name, action, help) name,
		LB_VERDICTS(X)
#undef X
	};
	json_t *j = json_object();

	for (int v = 0; v < LB_V_COUNT; v++)
		json_object_set_new(j, names[v], json_integer(lb_dataplane_verdict(c->dp, v)));
	return j;
}

static json_t *render_announce(const struct lb_control *c)
{
	const struct lb_announce_conf *conf = &c->config->announce;
	size_t wanted, nr = lb_announce_count(c->announce, &wanted);

	return json_pack("{s:I, s:I, s:I, s:I}", "table", (json_int_t)conf->table, "protocol",
			 (json_int_t)conf->protocol, "routes", (json_int_t)nr, "wanted", (json_int_t)wanted);
}

json_t *lb_render_status(struct lb_control *c)
{
	const struct lb_model_service *const *list;
	size_t nr = lb_model_services(c->model, &list), up = 0, backends = 0, serving = 0;
	char time[LB_TIME_STRLEN], why[512];
	json_t *j;

	for (size_t i = 0; i < nr; i++) {
		up += lb_stats_state(list[i], why, sizeof(why)) != LB_SERVICE_DOWN;
		backends += list[i]->conf.nr_backends;
		serving += list[i]->choice.chosen;
	}
	j = json_pack("{s:s, s:i, s:i, s:f, s:b, s:b, s:s, s:I, s:{s:b, s:s, s:s}, s:o, s:{s:I, s:I}, s:{s:I, s:I}, "
			 "s:{s:I, s:I}, s:o}",
			 "version", LB_VERSION, "abi", LB_ABI_VERSION, "pid", (int)getpid(), "uptime_seconds",
			 (double)((lb_now_ns() - c->start_ns) / 1000000) / 1e3, "ready",
			 lb_control_ready(c, why, sizeof(why)), "adopted", c->adopted, "program_tag",
			 lb_dataplane_tag(c->dp), "generation", (json_int_t)c->generation, "last_apply", "success",
			 c->last_apply.success, "time", lb_time_format(c->last_apply.time_ns, time), "error",
			 c->last_apply.error, "interfaces", render_ifaces(c), "services", "total", (json_int_t)nr, "up",
			 (json_int_t)up, "backends", "total", (json_int_t)backends, "serving", (json_int_t)serving,
			 "flows", "entries", (json_int_t)lb_stats_flows(c), "capacity",
			 (json_int_t)LB_FLOW_SETS * LB_FLOW_WAYS, "verdicts", render_verdicts(c));
	json_object_set_new(j, "announce", render_announce(c));
	return j;
}
