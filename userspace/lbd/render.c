// SPDX-License-Identifier: GPL-2.0-or-later
/* What runs, as JSON: the configuration's keys from document.c, and what is known at run time beside them. */
#include <inttypes.h>
#include <net/if.h>
#include <stdio.h>
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

/* Since when, until when and how it ended. */
static json_t *render_drain(const struct lb_control *c, const struct lb_model_service *s,
			    const struct lb_model_backend *b)
{
	const struct lb_drain *d = NULL;
	char since[LB_TIME_STRLEN], ends[LB_TIME_STRLEN] = "";
	uint64_t ends_ns;

	if (b->conf.admin == LB_ADMIN_DRAINING)
		d = lb_drains_find(&c->drains, s->conf.name, &b->conf.address);
	if (!d)
		return json_null();
	ends_ns = lb_drain_ends_ns(d, s->conf.drain_timeout_ns);
	if (ends_ns != UINT64_MAX)
		lb_time_format(ends_ns, ends);
	return json_pack("{s:s, s:s, s:s}", "since", lb_time_format(d->since_ns, since), "ends", ends, "end",
			 lb_drain_end_name(d->end));
}

static json_t *render_backend_status(struct lb_control *c, const struct lb_model_service *s, size_t i,
				     struct ifname *last)
{
	const struct lb_model_backend *b = &s->backends[i];
	const struct lb_target_stats *t = lb_prober_stats(c->prober, s->conf.name, &b->conf.address);
	bool probed = t && (t->health.ok || t->health.failed || t->held_until_ns || t->results[LB_REASON_INTERNAL]);
	double slots = s->policy_table ? (double)(1ULL << s->policy_shift) : 0;
	struct lb_backend_cpu row;
	char since[LB_TIME_STRLEN];

	lb_dataplane_backend(c->dp, b->idx, &row);
	return json_pack("{s:s, s:s, s:s, s:b, s:f, s:I, s:I, s:I, s:I, s:o, s:f, s:s, s:o, s:f}", "health",
			 lb_health_name(t ? t->health.health : b->health), "reason",
			 probed ? lb_reason_name(t->health.reason) : "", "since",
			 t ? lb_time_format(t->health.since_ns, since) : "", "serving", b->chosen, "share",
			 slots > 0 ? b->nr_slots / slots : 0.0, "active_connections",
			 (json_int_t)lb_stats_connections(c, s, b, &row), "packets", (json_int_t)row.pkts, "bytes",
			 (json_int_t)row.bytes, "connections", (json_int_t)row.conns, "next_hop",
			 render_next_hop(&b->next_hop, last), "effective_weight", lb_model_weight(b), "state",
			 lb_stats_backend_state(c, s, b), "drain", render_drain(c, s, b), "held_seconds",
			 lb_stats_held_seconds(t));
}

static json_t *render_backend(struct lb_control *c, const struct lb_model_service *s, size_t i, struct ifname *last)
{
	json_t *j = lb_document_backend(&s->conf.backends[i]);

	if (j && json_object_set_new(j, "status", render_backend_status(c, s, i, last))) {
		json_decref(j);
		return NULL;
	}
	return j;
}

json_t *lb_render_backend(struct lb_control *c, const struct lb_model_service *s, size_t i)
{
	struct ifname last = {0};

	return render_backend(c, s, i, &last);
}

static json_t *render_service_status(const struct lb_control *c, const struct lb_model_service *s)
{
	enum lb_service_state state;
	struct lb_backend_cpu total;
	size_t phases[3] = {0};
	char reason[128], digest[17];

	state = lb_stats_state(s, reason, sizeof(reason));
	lb_stats_service(c, s, &total);
	if (s->slots)
		lb_slots_count(s->slots, phases);
	snprintf(digest, sizeof(digest), "%016" PRIx64, s->digest);
	return json_pack("{s:s, s:s, s:i, s:I, s:s, s:{s:I, s:I, s:I}, s:I, s:I, s:I}", "state",
			 lb_service_state_name(state), "reason", reason, "tier", (int)s->choice.tier, "table_slots",
			 (json_int_t)(s->slots ? 1LL << s->slots->shift : 0), "table_digest", digest, "slots", "stable",
			 (json_int_t)phases[LB_PHASE_STABLE], "moving", (json_int_t)phases[LB_PHASE_MOVING], "settling",
			 (json_int_t)phases[LB_PHASE_SETTLING], "packets", (json_int_t)total.pkts, "bytes",
			 (json_int_t)total.bytes, "connections", (json_int_t)total.conns);
}

json_t *lb_render_service(struct lb_control *c, const struct lb_model_service *s)
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

json_t *lb_render_verification(const struct lb_verification *v)
{
	json_t *what = json_array();

	for (size_t i = 0; i < v->differences && i < LB_VERIFY_TOLD; i++)
		json_array_append_new(what, json_string(v->what[i]));
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:o}", "services", (json_int_t)v->services, "backends",
			 (json_int_t)v->backends, "vips", (json_int_t)v->vips, "slots", (json_int_t)v->slots,
			 "repaired", (json_int_t)v->differences, "what", what);
}

json_t *lb_render_status(struct lb_control *c)
{
	const struct lb_model_service *const *list;
	size_t nr = lb_model_services(c->model, &list), up = 0, backends = 0, serving = 0;
	char time[LB_TIME_STRLEN], why[512];

	for (size_t i = 0; i < nr; i++) {
		up += lb_stats_state(list[i], why, sizeof(why)) != LB_SERVICE_DOWN;
		backends += list[i]->conf.nr_backends;
		serving += list[i]->choice.chosen;
	}
	return json_pack("{s:s, s:i, s:i, s:f, s:b, s:b, s:s, s:I, s:{s:b, s:s, s:s}, s:o, s:{s:I, s:I}, s:{s:I, s:I}, "
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
}
