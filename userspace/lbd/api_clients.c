// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What is remembered of one client, or translated for one backend. An entry of the flow cache has no addresses, but the
 * hash of its flow says where it lies: all ports that the client may have are tried, with all VIPs, aside. Entries that
 * are another flow's are taken for the client's with a likelihood of one in thousands for each VIP. Entries of
 * translated connections have addresses: all of them are looked at, aside likewise, and so those of a backend can be
 * told, whoever the client is.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "aside.h"
#include "clock.h"
#include "lb/dp/flow.h"
#include "steering.h"
#include "text.h"

#define PORTS 65536
#define ADDRESSES_MAX 16 /* of a VIP that is a prefix */
#define LISTED_MAX 10000 /* connections of a backend, where nobody says how many */

struct search {
	struct lb_control *control;
	struct lb_packet pkt; /* the client's */
	struct lb_endpoint client;
	bool any_client;
	const struct lb_endpoint *backend; /* NULL: any; without a port: whichever it has */
	size_t left; /* flows that may still be listed */
	size_t nr;
	uint8_t age;
	const struct lb_model_service *services[LB_MAX_SERVICES]; /* that are asked for, by index */
	struct lb_text found;
	struct lb_text unsearched;
};

static bool is_wanted(const struct search *f, const struct lb_endpoint *backend)
{
	return !f->backend || (!memcmp(f->backend->addr, backend->addr, sizeof(backend->addr)) &&
			       (!f->backend->port || f->backend->port == backend->port));
}

static bool has_wanted(const struct search *f, const struct lb_service_conf *s)
{
	bool has = !f->backend;

	for (size_t i = 0; !has && i < s->nr_backends; i++)
		has = is_wanted(f, &s->backends[i].address);
	return has;
}

/* Begins a flow of the backend with the index @idx; false: it is not the service's or not wanted, or enough are listed.
 */
static bool begin_flow(struct search *f, const struct lb_model_service *s, uint16_t idx, const char *vip,
		       const struct lb_endpoint *from)
{
	char text[LB_ADDR_STRLEN];
	size_t i = 0;

	while (i < s->conf.nr_backends && s->backends[i].idx != idx)
		i++;
	if (i == s->conf.nr_backends || !is_wanted(f, &s->conf.backends[i].address))
		return false;
	f->nr++;
	if (!f->left)
		return false;
	f->left--;
	lb_text_puts(&f->found, f->found.len ? ",\n" : "\n");
	lb_text_puts(&f->found, "{\"service\":");
	lb_text_json_string(&f->found, s->conf.name);
	lb_text_puts(&f->found, ",\"vip\":");
	if (vip)
		lb_text_json_string(&f->found, vip);
	else
		lb_text_puts(&f->found, "null");
	lb_text_printf(&f->found, ",\"client\":\"%s\"", lb_endpoint_format(from, text));
	lb_text_printf(&f->found, ",\"backend\":\"%s\"", lb_endpoint_format(&s->conf.backends[i].address, text));
	return true;
}

/* @state: of a translated connection, as @seen (an address and port, as text) is; each NULL where there is none. */
static void end_flow(struct search *f, bool proven, bool closed, uint64_t idle_s, const char *state, const char *seen)
{
	lb_text_printf(&f->found, ",\"proven\":%s,\"closed\":%s,\"idle_seconds\":%llu", proven ? "true" : "false",
		       closed ? "true" : "false", (unsigned long long)idle_s);
	lb_text_printf(&f->found, state ? ",\"state\":\"%s\"" : ",\"state\":null", state);
	lb_text_printf(&f->found, seen ? ",\"snat\":\"%s\"}" : ",\"snat\":null}", seen);
}

static void put_flow(struct search *f, const struct lb_model_service *s, const char *vip, uint16_t port, uint64_t e)
{
	struct lb_endpoint from = f->client;

	from.port = lb_htons(port);
	if (begin_flow(f, s, LB_FLOW_BACKEND(e), vip, &from))
		end_flow(f, LB_FLOW_PROVEN(e), vip && e & LB_FLOW_CLOSED,
			 ((uint64_t)lb_flow_idle(e, f->age) << LB_FLOW_AGE_SHIFT) / LB_NSEC_PER_SEC, NULL, NULL);
}

static int put_connection(void *ctx, const struct lb_connection *c)
{
	struct search *f = ctx;
	const struct lb_model_service *s = c->service < LB_MAX_SERVICES ? f->services[c->service] : NULL;
	const struct lb_vip_conf one = {.vip = c->vip, .plen = 128};
	char vip[LB_ADDR_STRLEN], seen[LB_ADDR_STRLEN];

	if (s && lb_service_conf_translates(&s->conf) &&
	    begin_flow(f, s, c->backend, lb_vip_format(&one, vip), &c->client))
		end_flow(f, c->proven, c->closed, c->idle_s, c->state,
			 c->translated ? lb_endpoint_format(&c->seen, seen) : NULL);
	return f->found.failed ? -ENOMEM : 0;
}

/* All flows from the client to one address and port. */
static void search_address(struct search *f, const struct lb_model_service *s, const struct lb_vip *vip)
{
	const struct lb_service *line = &f->control->image->services[s->idx]->line;
	const struct lb_flow_set *flows = lb_dataplane_flows(f->control->dp);
	const struct lb_vip_conf one = {.vip = *vip, .plen = 128};
	struct lb_packet p = f->pkt;
	char text[LB_ADDR_STRLEN];

	p.proto = vip->proto;
	p.dport = vip->port;
	p.daddr[0] = lb_get64(vip->addr);
	p.daddr[1] = lb_get64(vip->addr + 8);
	p.daddr4 = lb_get32(vip->addr + 12);
	lb_vip_format(&one, text);
	for (uint32_t port = 0; port < PORTS; port++) {
		uint64_t e;

		p.sport = lb_htons((uint16_t)port);
		e = lb_steering_entry(flows, lb_dataplane_backends(f->control->dp),
				      lb_steering_of(&f->control->image->conf, line, &p).hash, s->idx,
				      vip->proto != IPPROTO_UDP, f->age);
		if (e)
			put_flow(f, s, text, (uint16_t)port, e);
	}
}

static void add_one(uint8_t addr[16])
{
	for (int i = 15; i >= 0 && !++addr[i]; i--)
		;
}

/* @remembered: is there any flow of the service? */
static void search_vip(struct search *f, const struct lb_model_service *s, const struct lb_vip_conf *vip,
		       bool remembered)
{
	size_t nr = vip->plen >= 124 ? (size_t)1 << (128 - vip->plen) : 0;
	struct lb_vip at = vip->vip;
	char text[LB_ADDR_STRLEN];

	if (lb_addr_is_v4(at.addr) == f->pkt.v6)
		return;
	if (!at.port || !nr || nr > ADDRESSES_MAX) {
		lb_text_puts(&f->unsearched, f->unsearched.len ? "," : "");
		lb_text_json_string(&f->unsearched, lb_vip_format(vip, text));
		return;
	}
	for (; nr && remembered; nr--, add_one(at.addr))
		search_address(f, s, &at);
}

/* The client itself, which services with affinity for a time remember. */
static void search_client(struct search *f, const struct lb_model_service *s)
{
	const struct lb_service *line = &f->control->image->services[s->idx]->line;
	struct lb_steering at = lb_steering_of(&f->control->image->conf, line, &f->pkt);
	uint64_t e;

	if (!at.source || !line->sticky_ticks)
		return;
	e = lb_steering_entry(lb_dataplane_flows(f->control->dp), lb_dataplane_backends(f->control->dp), at.source,
			      s->idx, true, f->age);
	if (e)
		put_flow(f, s, NULL, 0, e);
}

int lb_api_limit(const struct lb_api_call *call, size_t *limit, struct lb_err *err)
{
	const char *text = lb_http_query(call->req, "limit");
	uint64_t n;
	int ret;

	*limit = SIZE_MAX;
	if (!text)
		return 0;
	ret = lb_number_parse(text, "limit", 1, 1U << 24, &n, err);
	if (!ret)
		*limit = (size_t)n;
	return ret;
}

/* Which services the flow cache remembers anything of: in a search of thousands of services most need none. */
static void find_remembered(const struct lb_control *c, bool remembered[LB_MAX_SERVICES])
{
	const struct lb_flow_set *sets = lb_dataplane_flows(c->dp);
	const struct lb_backend *backends = lb_dataplane_backends(c->dp);

	for (size_t i = 0; i < (size_t)LB_FLOW_SETS * LB_FLOW_WAYS; i++) {
		uint64_t e = __atomic_load_n(&sets[i / LB_FLOW_WAYS].entry[i % LB_FLOW_WAYS], __ATOMIC_RELAXED);

		if (e)
			remembered[backends[LB_FLOW_BACKEND(e)].service % LB_MAX_SERVICES] = true;
	}
}

/* What the parameters ask for; @backend: where the backend is put. */
static int read_query(const struct lb_api_call *call, struct search *f, struct lb_endpoint *backend, struct lb_err *err)
{
	const char *client = lb_http_query(call->req, "client"), *of = lb_http_query(call->req, "backend");

	if (lb_api_limit(call, &f->left, err) || (client && lb_addr_parse(client, f->client.addr, err)) ||
	    (of && lb_endpoint_parse(of, backend, err)))
		return -EINVAL;
	f->any_client = !client;
	f->backend = of ? backend : NULL;
	if (f->any_client && f->left == SIZE_MAX)
		f->left = LISTED_MAX;
	f->pkt.v6 = !lb_addr_is_v4(f->client.addr);
	f->pkt.saddr[0] = lb_get64(f->client.addr);
	f->pkt.saddr[1] = lb_get64(f->client.addr + 8);
	f->pkt.saddr4 = lb_get32(f->client.addr + 12);
	return 0;
}

/* The flow cache, for a client's flows to @s. */
static void search_cache(struct search *f, const struct lb_model_service *s, bool remembered)
{
	if (remembered)
		search_client(f, s);
	/* Connections that are translated are not in it. */
	for (size_t k = 0; !lb_service_conf_translates(&s->conf) && k < s->conf.nr_vips; k++)
		search_vip(f, s, &s->conf.vips[k], remembered);
}

static int no_such_backend(const struct lb_api_call *call, bool there, struct lb_err *err)
{
	const char *of = lb_http_query(call->req, "backend"), *only = lb_http_query(call->req, "service");

	if (there)
		return lb_err_set(
			err, -EOPNOTSUPP, "backend",
			"connections to %s are not translated, so that their addresses are not remembered; name a "
			"client, too, or ask the backend itself",
			of);
	if (only)
		return lb_err_set(err, -ENOENT, NULL, "service %s has no backend %s", only, of);
	return lb_err_set(err, -ENOENT, NULL, "there is no backend %s", of);
}

static void search(struct lb_api_call *call)
{
	struct search f = {.control = call->control, .age = lb_flow_age(lb_now_ns())};
	const char *only = lb_http_query(call->req, "service");
	const struct lb_model_service *const *list;
	size_t nr = lb_model_services(call->control->model, &list);
	bool remembered[LB_MAX_SERVICES] = {false};
	bool translates = false, there = false;
	struct lb_endpoint backend;
	struct lb_text t = {0};
	struct lb_err err = {0};
	int ret = 0;

	if (read_query(call, &f, &backend, &err)) {
		lb_api_error(call, &err);
		return;
	}
	if (!f.any_client)
		find_remembered(call->control, remembered);
	for (size_t i = 0; i < nr; i++) {
		if ((only && strcmp(only, list[i]->conf.name)) || !call->control->image->services[list[i]->idx] ||
		    !has_wanted(&f, &list[i]->conf))
			continue;
		there = true;
		f.services[list[i]->idx] = list[i];
		translates |= lb_service_conf_translates(&list[i]->conf);
		if (!f.any_client)
			search_cache(&f, list[i], remembered[list[i]->idx]);
	}
	if (f.backend && (!there || (f.any_client && !translates))) {
		no_such_backend(call, there, &err);
		lb_api_error(call, &err);
		return;
	}
	if (translates)
		ret = lb_dataplane_connections(call->control->dp, f.any_client ? NULL : f.client.addr, put_connection,
					       &f);
	if (ret) {
		lb_err_set(&err, ret, NULL, "cannot look through the translated connections: %s", strerror(-ret));
		lb_api_error(call, &err);
		return;
	}
	lb_text_printf(&t, "{\"entries\":%zu,\"capacity\":%llu,\"unsearched\":[", f.nr,
		       (unsigned long long)LB_FLOW_SETS * LB_FLOW_WAYS);
	lb_text_puts(&t, f.unsearched.len ? f.unsearched.at : "");
	lb_text_puts(&t, "],\"flows\":[");
	lb_text_puts(&t, f.found.len ? f.found.at : "");
	lb_text_puts(&t, f.found.len ? "\n]}\n" : "]}\n");
	t.failed |= f.found.failed;
	lb_api_text(call, 200, &t);
}

void lb_api_flows_one_by_one(struct lb_api_call *call)
{
	lb_aside(call, search);
}
