// SPDX-License-Identifier: GPL-2.0-or-later
/* What runs, as JSON: the configuration's keys from document_write.c, and what is known at run time beside them. */
#include <inttypes.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "document.h"
#include "loop.h"
#include "own_vips.h"
#include "render.h"
#include "stats.h"
#include "verdicts.h"

#define NOTE_STRLEN 768

static const char *ifname_of(struct lb_render *r, uint32_t ifindex)
{
	_Static_assert(sizeof(r->ifname) >= IF_NAMESIZE, "room");
	if (r->ifindex != ifindex && !if_indextoname(ifindex, r->ifname))
		snprintf(r->ifname, sizeof(r->ifname), "if%u", ifindex);
	r->ifindex = ifindex;
	return r->ifname;
}

static void put_next_hop(struct lb_render *r, const struct lb_next_hop *nh)
{
	const uint8_t *mac = nh->dmac;

	if (!nh->ifindex) {
		lb_text_puts(&r->text, "null");
		return;
	}
	lb_text_puts(&r->text, "{\"interface\":");
	lb_text_json_string(&r->text, ifname_of(r, nh->ifindex));
	lb_text_printf(&r->text, ",\"mac\":\"%02x:%02x:%02x:%02x:%02x:%02x\",\"mtu\":%u}", mac[0], mac[1], mac[2],
		       mac[3], mac[4], mac[5], nh->mtu);
}

static void put_counts(struct lb_text *t, const struct lb_backend_cpu *row)
{
	lb_text_printf(t, ",\"packets\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"connections\":%" PRIu64,
		       (uint64_t)row->pkts, (uint64_t)row->bytes, (uint64_t)row->conns);
}

/* Since when, until when and how it ended. */
static void put_drain(struct lb_text *t, const struct lb_control *c, const struct lb_model_service *s,
		      const struct lb_model_backend *b)
{
	const struct lb_drain *d = NULL;
	char since[LB_TIME_STRLEN], ends[LB_TIME_STRLEN] = "";
	uint64_t ends_ns;

	if (b->conf.admin == LB_ADMIN_DRAINING)
		d = lb_drains_find(&c->drains, s->conf.name, &b->conf.address);
	if (!d) {
		lb_text_puts(t, "null");
		return;
	}
	ends_ns = lb_drain_ends_ns(d, s->conf.drain_timeout_ns);
	if (ends_ns != UINT64_MAX)
		lb_time_format(ends_ns, ends);
	lb_text_printf(t, "{\"since\":\"%s\",\"ends\":\"%s\",\"end\":\"%s\"}", lb_time_format(d->since_ns, since), ends,
		       lb_drain_end_name(d->end));
}

static void put_backend_status(struct lb_render *r, struct lb_control *c, const struct lb_model_service *s, size_t i)
{
	const struct lb_model_backend *b = &s->backends[i];
	const struct lb_target_stats *t = lb_prober_stats(c->prober, s->conf.name, &b->conf.address);
	bool probed = t && (t->health.ok || t->health.failed || t->held_until_ns || t->results[LB_REASON_INTERNAL]);
	double slots = s->policy_table ? (double)(1ULL << s->policy_shift) : 0;
	const char *reason = probed ? lb_reason_name(t->health.reason) : "";
	struct lb_backend_cpu row;
	char since[LB_TIME_STRLEN];

	/* Whatever its checks say: what mends it is another thing. */
	if (!b->next_hop.ifindex)
		reason = lb_way_name(lb_nexthops_way(c->nexthops, b->conf.address.addr));
	lb_dataplane_backend(c->dp, b->idx, &row);
	lb_text_printf(&r->text, ",\"status\":{\"health\":\"%s\",\"reason\":\"%s\",\"since\":\"%s\"",
		       lb_health_name(t ? t->health.health : b->health), reason,
		       t ? lb_time_format(t->health.since_ns, since) : "");
	lb_text_printf(&r->text, ",\"serving\":%s,\"share\":%.6f,\"active_connections\":%" PRIu64,
		       b->chosen ? "true" : "false", slots > 0 ? b->nr_slots / slots : 0.0,
		       lb_stats_connections(c, s, b, &row));
	put_counts(&r->text, &row);
	lb_text_puts(&r->text, ",\"next_hop\":");
	put_next_hop(r, &b->next_hop);
	lb_text_printf(&r->text, ",\"effective_weight\":%.15g,\"state\":\"%s\",\"held_seconds\":%.1f,\"drain\":",
		       lb_model_weight(b), lb_stats_backend_state(c, s, b), lb_stats_held_seconds(t));
	put_drain(&r->text, c, s, b);
	if (lb_check_conf_reads_weight(&s->conf.check))
		lb_text_printf(&r->text, ",\"weight_percent\":%u", b->share ? b->share : LB_SHARE_ALL);
	else
		lb_text_puts(&r->text, ",\"weight_percent\":null");
	lb_text_puts(&r->text, ",\"detail\":");
	lb_text_json_string(&r->text, probed && t->detail ? t->detail : "");
	lb_text_puts(&r->text, ",\"name\":");
	if (s->conf.backends[i].name)
		lb_text_json_string(&r->text, s->conf.backends[i].name);
	else
		lb_text_puts(&r->text, "null");
	lb_text_puts(&r->text, "}");
}

/* How looking it up goes. */
static void put_name_status(struct lb_text *t, const struct lb_control *c, const char *name)
{
	const struct lb_name_stats *n = lb_resolver_find(c->resolver, name);
	uint64_t now_ns = lb_now_ns();
	char since[LB_TIME_STRLEN] = "";

	if (n && n->good_ns)
		lb_time_format(n->good_ns, since);
	lb_text_printf(t,
		       "\"lookup\":\"%s\",\"addresses\":%zu,\"answered\":\"%s\",\"ttl_seconds\":%.1f,"
		       "\"next_seconds\":%.1f",
		       lb_lookup_name(n ? n->last : LB_LOOKUP_NONE), n ? n->addresses : 0, since,
		       n ? (double)n->ttl_ns / LB_NSEC_PER_SEC : 0.0,
		       n && n->next_ns > now_ns ? (double)(n->next_ns - now_ns) / LB_NSEC_PER_SEC : 0.0);
}

void lb_render_name(struct lb_render *r, const struct lb_control *c, const struct lb_backend_conf *b)
{
	lb_document_put_backend(&r->text, b);
	lb_text_puts(&r->text, ",\"status\":{");
	put_name_status(&r->text, c, b->name);
	lb_text_puts(&r->text, "}}");
}

/* Its names, as they are configured. */
static void put_names(struct lb_render *r, const struct lb_control *c, const char *service)
{
	const struct lb_service_conf *s = lb_config_service(c->config, service);
	const char *separator = "";

	lb_text_puts(&r->text, ",\"names\":[");
	for (size_t i = 0; s && i < s->nr_backends; i++) {
		const struct lb_backend_conf *b = &s->backends[i];

		if (!lb_backend_is_name(b))
			continue;
		lb_text_puts(&r->text, separator);
		lb_render_name(r, c, b);
		separator = ",";
	}
	lb_text_puts(&r->text, "]");
}

void lb_render_backend(struct lb_render *r, struct lb_control *c, const struct lb_model_service *s, size_t i)
{
	lb_document_put_backend(&r->text, &s->conf.backends[i]);
	put_backend_status(r, c, s, i);
	lb_text_puts(&r->text, "}");
}

void lb_render_service_begin(struct lb_render *r, const struct lb_model_service *s)
{
	lb_document_put_service(&r->text, &s->conf);
	lb_text_puts(&r->text, ",\"backends\":[");
}

void lb_render_service_backend(struct lb_render *r, struct lb_control *c, const struct lb_model_service *s, size_t i)
{
	lb_text_puts(&r->text, i ? ",\n" : "\n");
	lb_render_backend(r, c, s, i);
}

/* Of each destination that the service announces: is it a route now? */
static void put_routes(struct lb_text *t, const struct lb_control *c, const struct lb_service_conf *s)
{
	const char *separator = "";

	lb_text_puts(t, ",\"routes\":[");
	for (size_t i = 0; s->announce && i < s->nr_vips; i++) {
		struct lb_prefix dst = lb_announce_prefix(&s->vips[i]);
		struct lb_announced state;
		char text[LB_ADDR_STRLEN];

		/* VIPs are in order of address: those that differ in port alone are one route. */
		if (i && !memcmp(s->vips[i].vip.addr, s->vips[i - 1].vip.addr, sizeof(dst.addr)) &&
		    s->vips[i].plen == s->vips[i - 1].plen)
			continue;
		lb_announce_state(c->announce, &dst, &state);
		lb_text_printf(t, "%s{\"route\":\"%s\",\"announced\":%s,\"reason\":", separator,
			       lb_prefix_format(&dst, text), state.there ? "true" : "false");
		lb_text_json_string(t, state.why);
		lb_text_puts(t, "}");
		separator = ",";
	}
	lb_text_puts(t, "]");
}

void lb_render_service_end(struct lb_render *r, const struct lb_control *c, const struct lb_model_service *s,
			   uint64_t digest)
{
	struct lb_text *t = &r->text;
	enum lb_service_state state;
	struct lb_backend_cpu total;
	char reason[128], note[LB_OWN_VIPS_NOTE];
	size_t phases[3] = {0};

	state = lb_stats_state(s, reason, sizeof(reason));
	lb_stats_service(c, s, &total);
	if (s->slots)
		lb_slots_count(s->slots, phases);
	lb_text_printf(t, "%s],\"status\":{\"state\":\"%s\",\"reason\":", s->conf.nr_backends ? "\n" : "",
		       lb_service_state_name(state));
	lb_text_json_string(t, reason);
	lb_text_printf(t, ",\"tier\":%u,\"table_slots\":%llu,\"table_digest\":\"%016" PRIx64 "\"", s->choice.tier,
		       s->slots ? 1ULL << s->slots->shift : 0, digest);
	lb_text_printf(t, ",\"slots\":{\"stable\":%zu,\"moving\":%zu,\"settling\":%zu}", phases[LB_PHASE_STABLE],
		       phases[LB_PHASE_MOVING], phases[LB_PHASE_SETTLING]);
	put_counts(t, &total);
	lb_text_printf(t, ",\"healthy\":%zu", lb_announce_healthy(s));
	put_routes(t, c, &s->conf);
	put_names(r, c, s->conf.name);
	lb_text_puts(t, ",\"note\":");
	lb_text_json_string(t, lb_own_vips_note(&s->conf, note));
	lb_text_puts(t, "}}");
}

/* Why @i is not as was asked for, and what else there is to say of it. */
static void describe_iface(const struct lb_iface *i, char text[NOTE_STRLEN])
{
	const char *name = *i->called ? i->called : i->conf.name;
	size_t len;

	snprintf(text, NOTE_STRLEN, "%s", i->attached ? i->at.note : i->note);
	len = strlen(text);
	if (i->attached && *i->called)
		snprintf(text + len, NOTE_STRLEN - len,
			 "%sit is called %s now: name it %s again, or attach %s and detach %s", len ? "; " : "", name,
			 i->conf.name, name, i->conf.name);
	len = strlen(text);
	if (i->attached && i->hides_tags)
		snprintf(text + len, NOTE_STRLEN - len,
			 "%sits driver takes VLAN tags off before XDP sees them: ethtool -K %s rxvlan off",
			 len ? "; " : "", name);
}

json_t *lb_render_iface(const struct lb_iface *i)
{
	char note[NOTE_STRLEN];

	describe_iface(i, note);
	return json_pack("{s:s, s:I, s:s, s:s, s:b, s:b, s:s}", "name", i->conf.name, "ifindex",
			 (json_int_t)(i->attached ? i->at.ifindex : 0), "mode",
			 i->attached ? lb_attach_mode_name(i->at.mode) : "", "configured_mode",
			 lb_attach_mode_name(i->conf.mode), "shared", i->attached && i->at.shared, "attached",
			 i->attached, "note", note);
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
	json_t *j = json_object();

	for (int v = 0; v < LB_V_COUNT; v++)
		json_object_set_new(j, lb_verdict_name(v), json_integer(lb_dataplane_verdict(c->dp, v)));
	return j;
}

static json_t *render_announce(const struct lb_control *c)
{
	const struct lb_announce_conf *conf = &c->config->announce;
	size_t wanted, nr = lb_announce_count(c->announce, &wanted);

	return json_pack("{s:I, s:I, s:I, s:I}", "table", (json_int_t)conf->table, "protocol",
			 (json_int_t)conf->protocol, "routes", (json_int_t)nr, "wanted", (json_int_t)wanted);
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

static json_t *render_caller(const struct lb_caller *by)
{
	json_t *j = by->known ? json_pack("{s:I}", "uid", (json_int_t)by->uid) : json_null();

	if (by->known && by->login != LB_CALLER_NO_LOGIN)
		json_object_set_new(j, "login_uid", json_integer(by->login));
	if (by->known && by->pid)
		json_object_set_new(j, "pid", json_integer(by->pid));
	return j;
}

static json_t *render_last_apply(const struct lb_apply_result *r)
{
	char time[LB_TIME_STRLEN];

	return json_pack("{s:b, s:s, s:s, s:s, s:o}", "success", r->success, "time", lb_time_format(r->time_ns, time),
			 "error", r->error, "origin", r->origin.what, "by", render_caller(&r->origin.by));
}

json_t *lb_render_status(struct lb_control *c)
{
	const struct lb_model_service *const *list;
	size_t nr = lb_model_services(c->model, &list), up = 0, backends = 0, serving = 0;
	const struct lb_loop_times *loop = lb_loop_times();
	struct lb_nat_load load;
	char why[512];

	lb_dataplane_nat_load(c->dp, 0, &load);
	for (size_t i = 0; i < nr; i++) {
		up += lb_stats_state(list[i], why, sizeof(why)) != LB_SERVICE_DOWN;
		backends += list[i]->conf.nr_backends;
		serving += list[i]->choice.chosen;
	}
	return json_pack(
		"{s:s, s:i, s:i, s:f, s:b, s:b, s:s, s:I, s:o, s:o, s:{s:I, s:I}, s:{s:I, s:I}, "
		"s:{s:I, s:I}, s:{s:I, s:I, s:I}, s:o, s:o, s:{s:I, s:I, s:f}}",
		"version", LB_VERSION, "abi", LB_ABI_VERSION, "pid", (int)getpid(), "uptime_seconds",
		(double)((lb_now_ns() - c->start_ns) / 1000000) / 1e3, "ready", lb_control_ready(c, why, sizeof(why)),
		"adopted", c->adopted, "program_tag", lb_dataplane_tag(c->dp), "generation", (json_int_t)c->generation,
		"last_apply", render_last_apply(&c->last_apply), "interfaces", render_ifaces(c), "services", "total",
		(json_int_t)nr, "up", (json_int_t)up, "backends", "total", (json_int_t)backends, "serving",
		(json_int_t)serving, "flows", "entries", (json_int_t)lb_stats_flows(c), "capacity",
		(json_int_t)LB_FLOW_SETS * LB_FLOW_WAYS, "translated", "connections", (json_int_t)load.conns,
		"half_open", (json_int_t)load.half_open, "capacity", (json_int_t)c->image->conf.max_conns, "verdicts",
		render_verdicts(c), "announce", render_announce(c), "loop", "turns", (json_int_t)loop->busy.count,
		"long", (json_int_t)lb_loop_long(), "longest_seconds", (double)(loop->longest_ns / 1000) / 1e6);
}
