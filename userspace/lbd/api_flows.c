// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The API's view of the flow cache. An entry has a tag of the flow's hash, no addresses: so it can be counted by
 * backend, and forgotten, but whose flow it is can only be told of a client that is known (api_clients.c). Beside them
 * stands how many translated connections each backend has, as the collector counts them.
 */
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "log.h"
#include "stats.h"
#include "text.h"

struct count {
	uint32_t entries, proven;
	uint64_t translated; /* connections */
	bool wanted;	     /* the backend is of the service that was asked for */
};

/* For each backend id whether it counts; NULL: answered. */
static struct count *wanted_of(struct lb_api_call *call)
{
	const char *only = lb_http_query(call->req, "service");
	const struct lb_model_service *const *list;
	size_t nr = lb_model_services(call->control->model, &list);
	struct count *counts;

	if (only && !lb_model_service(call->control->model, only)) {
		lb_api_no_service(call, only);
		return NULL;
	}
	counts = calloc(LB_MAX_BACKENDS, sizeof(*counts));
	if (!counts) {
		lb_api_no_memory(call);
		return NULL;
	}
	for (size_t i = 0; i < nr; i++)
		for (size_t j = 0; j < list[i]->conf.nr_backends && (!only || !strcmp(only, list[i]->conf.name)); j++)
			counts[list[i]->backends[j].idx].wanted = true;
	return counts;
}

/* Counts, or with @forget erases, the entries of those that are wanted; returns how many there were. */
static uint64_t walk(struct lb_control *c, struct count *counts, bool forget)
{
	struct lb_flow_set *sets = lb_dataplane_flows(c->dp);
	uint64_t nr = 0;

	for (size_t i = 0; i < (size_t)LB_FLOW_SETS * LB_FLOW_WAYS; i++) {
		uint64_t *at = (uint64_t *)&sets[i / LB_FLOW_WAYS].entry[i % LB_FLOW_WAYS];
		uint64_t e = __atomic_load_n(at, __ATOMIC_RELAXED);
		struct count *n = &counts[LB_FLOW_BACKEND(e)];

		/* An entry of another generation than its backend's does not exist. */
		if (!e || !n->wanted || LB_FLOW_GEN(e) != c->image->gen[LB_FLOW_BACKEND(e)])
			continue;
		/* One that a packet has just changed is not what was to be forgotten. */
		if (forget && !__atomic_compare_exchange_n(at, &e, 0, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
			continue;
		n->entries++;
		n->proven += LB_FLOW_PROVEN(e);
		nr++;
	}
	return nr;
}

/* Of those that are wanted. Returns how many there are. */
static uint64_t count_translated(struct lb_control *c, struct count *counts)
{
	const struct lb_model_service *const *list;
	size_t nr = lb_model_services(c->model, &list);
	uint64_t total = 0;

	for (size_t i = 0; i < nr; i++) {
		for (size_t j = 0; lb_service_conf_translates(&list[i]->conf) && j < list[i]->conf.nr_backends; j++) {
			const struct lb_model_backend *b = &list[i]->backends[j];
			struct lb_backend_cpu row;

			if (!counts[b->idx].wanted)
				continue;
			lb_dataplane_backend(c->dp, b->idx, &row);
			counts[b->idx].translated = lb_stats_connections(c, list[i], b, &row);
			total += counts[b->idx].translated;
		}
	}
	return total;
}

static void put_backend(struct lb_text *t, const struct lb_model_service *s, size_t i, const struct count *n,
			bool first)
{
	char address[LB_ADDR_STRLEN];

	lb_text_puts(t, first ? "\n" : ",\n");
	lb_text_puts(t, "{\"service\":");
	lb_text_json_string(t, s->conf.name);
	lb_text_printf(t, ",\"backend\":\"%s\",\"entries\":%u,\"proven\":%u,\"translated\":%llu}",
		       lb_endpoint_format(&s->conf.backends[i].address, address), n->entries, n->proven,
		       (unsigned long long)n->translated);
}

void lb_api_flows_get(struct lb_api_call *call)
{
	const struct lb_model_service *const *list;
	size_t nr = lb_model_services(call->control->model, &list);
	struct count *counts = wanted_of(call), *n;
	struct lb_text t = {0};
	struct lb_err err = {0};
	bool first = true;
	uint64_t total, translated;
	size_t left;

	if (!counts)
		return;
	if (lb_http_query(call->req, "client") || lb_http_query(call->req, "backend")) {
		free(counts);
		lb_api_flows_one_by_one(call);
		return;
	}
	if (lb_api_limit(call, &left, &err)) {
		free(counts);
		lb_api_error(call, &err);
		return;
	}
	total = walk(call->control, counts, false);
	translated = count_translated(call->control, counts);
	lb_text_printf(&t, "{\"entries\":%llu,\"capacity\":%llu,\"translated\":%llu,\"flows\":[",
		       (unsigned long long)total, (unsigned long long)LB_FLOW_SETS * LB_FLOW_WAYS,
		       (unsigned long long)translated);
	for (size_t i = 0; i < nr; i++) {
		for (size_t j = 0; left && j < list[i]->conf.nr_backends; j++) {
			n = &counts[list[i]->backends[j].idx];
			if (!n->entries && !n->translated)
				continue;
			left--;
			put_backend(&t, list[i], j, n, first);
			first = false;
		}
	}
	lb_text_puts(&t, first ? "]}\n" : "\n]}\n");
	free(counts);
	lb_api_text(call, 200, &t);
}

void lb_api_flows_delete(struct lb_api_call *call)
{
	struct lb_caller caller = lb_http_caller(call->req);
	struct count *counts = wanted_of(call);
	const char *service = lb_http_query(call->req, "service");
	char by[LB_CALLER_STRLEN];
	size_t nr;

	if (!counts)
		return;
	nr = walk(call->control, counts, true);
	/* No change of the configuration, but connections may break by it. */
	lb_log(LB_LOG_INFO, "msg=\"flows were forgotten\" origin=api%s service=%s flows=%zu",
	       lb_caller_log(&caller, by), service ? service : "*", nr);
	lb_api_json(call, 200, json_pack("{s:I}", "flushed", (json_int_t)nr));
	free(counts);
}
