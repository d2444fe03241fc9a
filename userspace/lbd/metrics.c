// SPDX-License-Identifier: GPL-2.0-or-later
/* The answer of /metrics, which is made in steps; services and backends, one function a family. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "metrics.h"
#include "metrics_priv.h"
#include "stats.h"
#include "text.h"
#include "verdicts.h"

#define LABELS_MAX (LB_NAME_MAX + LB_ADDR_STRLEN + 64)

/* ---- in steps: there may be thousands of backends ---- */

#define STEP_NS 2000000ULL
#define CLOCK_EVERY 16 /* rows, between two looks at the clock */
#define REWINDS_MAX 8  /* then changes have to wait: somebody makes them all the time */

struct service_row {
	const struct lb_model_service *service;
	char *labels; /* service="..",vip=".." */
	struct lb_backend_cpu total;
	enum lb_service_state state;
};

struct backend_row {
	char labels[LABELS_MAX]; /* service="..",backend=".." */
	const struct lb_model_service *service;
	const struct lb_model_backend *backend;
	const struct lb_target_stats *stats; /* NULL: not checked */
	struct lb_backend_cpu count;
	uint64_t active;
	const char *state;
	enum lb_way way; /* what keeps packets from it */
};

struct job {
	struct lb_control *control;
	uint64_t epoch; /* of what the rows point to */
	unsigned int rewinds;
	size_t section, at; /* where the next step begins */
	bool failed;
	FILE *f; /* writes into @text, which grows without being copied: open_memstream() would copy and clear */
	struct lb_text text;
	struct service_row *services;
	struct backend_row *backends;
	size_t nr_services, nr_backends;
	uint64_t flows;
};

/* ---- services ---- */

static char *service_labels(const struct lb_model_service *s)
{
	char vip[LB_ADDR_STRLEN], *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	fputs("service=\"", f);
	lb_metric_value(f, s->conf.name);
	fputs("\",vip=\"", f);
	for (size_t i = 0; i < s->conf.nr_vips; i++)
		fprintf(f, "%s%s", i ? "," : "", lb_vip_format(&s->conf.vips[i], vip));
	fputc('"', f);
	if (fclose(f)) {
		free(text);
		return NULL;
	}
	return text;
}

static void read_service(struct job *j, size_t i)
{
	struct service_row *r = &j->services[i];
	char reason[128];

	r->labels = service_labels(r->service);
	lb_stats_service(j->control, r->service, &r->total);
	r->state = lb_stats_state(r->service, reason, sizeof(reason));
	j->failed |= !r->labels;
}

#define SERVICE_FAMILY(name, member, help)                                                                             \
	static void head_service_##member(struct job *j)                                                               \
	{                                                                                                              \
		lb_metric_family(j->f, name, "counter", help);                                                         \
	}                                                                                                              \
	static void row_service_##member(struct job *j, size_t i)                                                      \
	{                                                                                                              \
		fprintf(j->f, name "{%s} %" PRIu64 "\n", j->services[i].labels,                                        \
			(uint64_t)j->services[i].total.member);                                                        \
	}

SERVICE_FAMILY("lb_service_packets_total", pkts, "Packets for the service.")
SERVICE_FAMILY("lb_service_bytes_total", bytes, "Bytes of IP packets for the service, as clients sent them.")
SERVICE_FAMILY("lb_service_connections_total", conns, "Connections begun.")

static void head_service_up(struct job *j)
{
	lb_metric_family(j->f, "lb_service_up", "gauge", "Does anybody take new connections?");
}

static void row_service_up(struct job *j, size_t i)
{
	fprintf(j->f, "lb_service_up{%s} %d\n", j->services[i].labels, j->services[i].state != LB_SERVICE_DOWN);
}

static void head_service_panic(struct job *j)
{
	lb_metric_family(j->f, "lb_service_panic", "gauge", "Are too few backends up, so that all are used?");
}

static void row_service_panic(struct job *j, size_t i)
{
	fprintf(j->f, "lb_service_panic{%s} %d\n", j->services[i].labels, j->services[i].state == LB_SERVICE_PANIC);
}

static void head_service_tier(struct job *j)
{
	lb_metric_family(j->f, "lb_service_tier", "gauge", "The tier that serves.");
}

static void row_service_tier(struct job *j, size_t i)
{
	fprintf(j->f, "lb_service_tier{%s} %u\n", j->services[i].labels, j->services[i].service->choice.tier);
}

/* ---- backends ---- */

static void read_backend(struct job *j, size_t i)
{
	struct backend_row *r = &j->backends[i];
	char address[LB_ADDR_STRLEN];

	/* Neither a service's name nor an address has a character to escape. */
	snprintf(r->labels, sizeof(r->labels), "service=\"%s\",backend=\"%s\"", r->service->conf.name,
		 lb_endpoint_format(&r->backend->conf.address, address));
	if (r->service->conf.check.type != LB_CHECK_NONE)
		r->stats = lb_prober_stats(j->control->prober, r->service->conf.name, &r->backend->conf.address);
	if (!r->backend->next_hop.ifindex)
		r->way = lb_nexthops_way(j->control->nexthops, r->backend->conf.address.addr);
	lb_dataplane_backend(j->control->dp, r->backend->idx, &r->count);
	r->active = lb_stats_connections(j->control, r->service, r->backend, &r->count);
	r->state = lb_stats_backend_state(j->control, r->service, r->backend);
	if (r->way != LB_WAY_KNOWN && r->backend->conf.admin == LB_ADMIN_ENABLED)
		r->state = lb_way_name(r->way);
}

#define BACKEND_FAMILY(id, name, type, help, what)                                                                     \
	static void head_backend_##id(struct job *j)                                                                   \
	{                                                                                                              \
		lb_metric_family(j->f, name, type, help);                                                              \
	}                                                                                                              \
	static void row_backend_##id(struct job *j, size_t i)                                                          \
	{                                                                                                              \
		const struct backend_row *r = &j->backends[i];                                                         \
                                                                                                                       \
		fprintf(j->f, name "{%s} %" PRIu64 "\n", r->labels, (uint64_t)(what));                                 \
	}

BACKEND_FAMILY(packets, "lb_backend_packets_total", "counter", "Packets sent to the backend.", r->count.pkts)
BACKEND_FAMILY(bytes, "lb_backend_bytes_total", "counter", "Bytes of IP packets for the backend, as clients sent them.",
	       r->count.bytes)
BACKEND_FAMILY(connections, "lb_backend_connections_total", "counter", "Connections begun.", r->count.conns)
BACKEND_FAMILY(active, "lb_backend_active_connections", "gauge",
	       "Connections begun and not seen to end, an estimate; of a draining backend, what is left.", r->active)
BACKEND_FAMILY(weight, "lb_backend_weight", "gauge", "The configured weight.", r->backend->conf.weight)
BACKEND_FAMILY(up, "lb_backend_up", "gauge", "Is the backend healthy, or not checked, and can it be reached?",
	       r->backend->next_hop.ifindex &&
		       (r->backend->health == LB_HEALTH_UP || r->backend->health == LB_HEALTH_UNCHECKED))

BACKEND_FAMILY(held, "lb_backend_held", "gauge", "Is the backend held down for having come and gone too often?",
	       lb_stats_held_seconds(r->stats) > 0)

/* The only one that is not whole. */
static void head_backend_effective(struct job *j)
{
	lb_metric_family(j->f, "lb_backend_effective_weight", "gauge",
			 "What counts of the weight: less during a slow start, or where the backend says so.");
}

static void row_backend_effective(struct job *j, size_t i)
{
	fprintf(j->f, "lb_backend_effective_weight{%s} %.15g\n", j->backends[i].labels,
		lb_model_weight(j->backends[i].backend));
}

static void head_backend_percent(struct job *j)
{
	lb_metric_family(j->f, "lb_backend_weight_percent", "gauge",
			 "How much of the weight counts for what the backend's check reads of it.");
}

static bool reads_weight(const struct backend_row *r)
{
	return r->stats && lb_check_conf_reads_weight(&r->service->conf.check);
}

static void row_backend_percent(struct job *j, size_t i)
{
	const struct backend_row *r = &j->backends[i];

	if (reads_weight(r))
		fprintf(j->f, "lb_backend_weight_percent{%s} %u\n", r->labels,
			r->backend->share ? r->backend->share : LB_SHARE_ALL);
}

static void head_weight_unread(struct job *j)
{
	lb_metric_family(j->f, "lb_check_weight_unread_total", "counter",
			 "Good answers in which no weight could be read, of checks that read one.");
}

static void row_weight_unread(struct job *j, size_t i)
{
	const struct backend_row *r = &j->backends[i];

	if (reads_weight(r))
		fprintf(j->f, "lb_check_weight_unread_total{%s} %" PRIu64 "\n", r->labels,
			r->stats->share.unread_total);
}

static void head_backend_state(struct job *j)
{
	lb_metric_family(j->f, "lb_backend_state", "gauge",
			 "1 for the state that the backend is in, 0 for the others.");
}

static void row_backend_state(struct job *j, size_t i)
{
	static const char *const states[] = {"up",	 "down",    "unknown",	"unchecked",
					     "draining", "drained", "disabled",
#define X(id, name, help) name,
					     LB_WAYS(X)
#undef X
	};
	const char *now = j->backends[i].state;

	for (size_t k = 0; k < sizeof(states) / sizeof(states[0]); k++)
		if (*states[k])
			fprintf(j->f, "lb_backend_state{%s,state=\"%s\"} %d\n", j->backends[i].labels, states[k],
				!strcmp(states[k], now));
}

static void head_check(struct job *j)
{
	lb_metric_family(j->f, "lb_check_total", "counter", "Health checks, by result and reason.");
}

static void row_check(struct job *j, size_t i)
{
	const struct backend_row *r = &j->backends[i];

	for (int reason = 0; r->stats && reason < LB_REASON_COUNT; reason++)
		if (r->stats->results[reason] || reason == LB_REASON_OK)
			fprintf(j->f, "lb_check_total{%s,result=\"%s\",reason=\"%s\"} %" PRIu64 "\n", r->labels,
				reason == LB_REASON_OK ? "success" : "failure", lb_reason_name(reason),
				r->stats->results[reason]);
}

static void head_duration(struct job *j)
{
	lb_metric_family(j->f, "lb_check_duration_seconds", "histogram", "Duration of health checks.");
}

static void row_duration(struct job *j, size_t i)
{
	if (j->backends[i].stats)
		lb_metric_histogram(j->f, "lb_check_duration_seconds", j->backends[i].labels,
				    &j->backends[i].stats->duration);
}

/* ---- announcing ---- */

static void head_announced(struct job *j)
{
	lb_metric_family(j->f, "lb_vip_announced", "gauge", "Is the VIP a route that routing daemons export?");
}

/* One line for each VIP of a service that is to be announced. */
static void row_announced(struct job *j, size_t i)
{
	const struct lb_service_conf *s = &j->services[i].service->conf;
	char vip[LB_ADDR_STRLEN];

	for (size_t v = 0; s->announce && v < s->nr_vips; v++) {
		struct lb_prefix dst = lb_announce_prefix(&s->vips[v]);
		struct lb_announced state;

		lb_announce_state(j->control->announce, &dst, &state);
		fprintf(j->f, "lb_vip_announced{service=\"%s\",vip=\"%s\"} %d\n", s->name,
			lb_vip_format(&s->vips[v], vip), state.there);
	}
}

/* ---- in their order ---- */

static ssize_t write_text(void *cookie, const char *bytes, size_t nr)
{
	lb_text_put(cookie, bytes, nr);
	return (ssize_t)nr;
}

/* Rows for all services and backends, with nothing read yet. */
static void list_rows(struct job *j)
{
	const struct lb_model_service *const *list;
	size_t nr = lb_model_services(j->control->model, &list), total = 0;

	for (size_t i = 0; i < nr; i++)
		total += list[i]->conf.nr_backends;
	j->services = calloc(nr ? nr : 1, sizeof(*j->services));
	j->backends = calloc(total ? total : 1, sizeof(*j->backends));
	j->f = fopencookie(&j->text, "w", (cookie_io_functions_t){.write = write_text});
	j->failed = !j->services || !j->backends || !j->f;
	if (j->failed)
		return;
	for (size_t i = 0; i < nr; i++) {
		j->services[j->nr_services++].service = list[i];
		for (size_t k = 0; k < list[i]->conf.nr_backends; k++) {
			struct backend_row *r = &j->backends[j->nr_backends++];

			r->service = list[i];
			r->backend = &list[i]->backends[k];
		}
	}
}

static void head_daemon(struct job *j)
{
	lb_metrics_daemon(j->f, j->control);
}

static void head_dataplane(struct job *j)
{
	lb_metrics_dataplane(j->f, j->control);
}

static void head_lookups(struct job *j)
{
	lb_metrics_lookups(j->f, j->control);
}

static void count_flows(struct job *j, size_t i)
{
	j->flows = (i ? j->flows : 0) + lb_stats_flows_part(j->control, i);
}

static void head_flows(struct job *j)
{
	lb_metrics_flows(j->f, j->control, j->flows);
}

static void head_names(struct job *j)
{
	lb_metrics_names(j->f, j->control->resolver);
}

static void head_process(struct job *j)
{
	lb_metrics_process(j->f);
}

enum rows_of { NOTHING, SERVICES, BACKENDS, FLOWS };

static const struct section {
	void (*head)(struct job *j); /* NULL: none */
	void (*row)(struct job *j, size_t i);
	enum rows_of of;
} sections[] = {
	{list_rows, NULL, NOTHING},
	{NULL, read_service, SERVICES},
	{NULL, read_backend, BACKENDS},
	{head_daemon, NULL, NOTHING},
	{head_dataplane, NULL, NOTHING},
	{head_lookups, NULL, NOTHING},
	{NULL, count_flows, FLOWS},
	{head_flows, NULL, NOTHING},
	{head_backend_packets, row_backend_packets, BACKENDS},
	{head_backend_bytes, row_backend_bytes, BACKENDS},
	{head_backend_connections, row_backend_connections, BACKENDS},
	{head_backend_active, row_backend_active, BACKENDS},
	{head_backend_weight, row_backend_weight, BACKENDS},
	{head_backend_up, row_backend_up, BACKENDS},
	{head_backend_held, row_backend_held, BACKENDS},
	{head_backend_effective, row_backend_effective, BACKENDS},
	{head_backend_state, row_backend_state, BACKENDS},
	{head_check, row_check, BACKENDS},
	{head_duration, row_duration, BACKENDS},
	{head_announced, row_announced, SERVICES},
	{head_process, NULL, NOTHING},
	{head_service_pkts, row_service_pkts, SERVICES},
	{head_service_bytes, row_service_bytes, SERVICES},
	{head_service_conns, row_service_conns, SERVICES},
	{head_service_up, row_service_up, SERVICES},
	{head_service_panic, row_service_panic, SERVICES},
	{head_service_tier, row_service_tier, SERVICES},
	{head_backend_percent, row_backend_percent, BACKENDS},
	{head_weight_unread, row_weight_unread, BACKENDS},
	{head_names, NULL, NOTHING},
};
#define NR_SECTIONS (sizeof(sections) / sizeof(sections[0]))

static void forget_rows(struct job *j)
{
	if (j->f)
		fclose(j->f);
	lb_text_fini(&j->text);
	for (size_t i = 0; i < j->nr_services; i++)
		free(j->services[i].labels);
	free(j->services);
	free(j->backends);
	j->f = NULL;
	j->services = NULL;
	j->backends = NULL;
	j->nr_services = j->nr_backends = 0;
}

static void job_free(void *ctx)
{
	struct job *j = ctx;

	if (j->rewinds >= REWINDS_MAX)
		lb_work_release(j->control->work);
	forget_rows(j);
	free(ctx);
}

static bool is_late(uint64_t until_ns)
{
	return lb_now_ns() > until_ns;
}

static size_t rows_of(const struct job *j, enum rows_of of)
{
	switch (of) {
	case SERVICES:
		return j->nr_services;
	case BACKENDS:
		return j->nr_backends;
	case FLOWS:
		return LB_FLOW_PARTS;
	default:
		return 0;
	}
}

/* As many rows as there is time for; false: there are more. */
static bool write_rows(struct job *j, uint64_t until_ns)
{
	unsigned int rows = 0;

	while (j->section < NR_SECTIONS && !j->failed) {
		const struct section *s = &sections[j->section];
		size_t nr;

		if (!j->at && s->head)
			s->head(j);
		nr = rows_of(j, s->of);
		while (j->at < nr && !j->failed) {
			s->row(j, j->at++);
			if (!(++rows % CLOCK_EVERY) && is_late(until_ns))
				return false;
		}
		j->at = 0;
		j->section++;
		if (is_late(until_ns))
			return j->section == NR_SECTIONS;
	}
	return true;
}

static bool metrics_step(void *ctx, struct lb_http_response *resp)
{
	struct job *j = ctx;

	if (!j->control->started || lb_work_busy(j->control->work)) {
		resp->job.rests = true;
		return false;
	}
	if (j->epoch != j->control->epoch) {
		forget_rows(j);
		j->epoch = j->control->epoch;
		j->section = j->at = 0;
		if (++j->rewinds == REWINDS_MAX)
			lb_work_hold(j->control->work);
	}
	if (!write_rows(j, lb_now_ns() + STEP_NS))
		return false;
	if (j->f)
		fclose(j->f);
	j->f = NULL;
	resp->status = 500;
	resp->body = j->failed ? NULL : lb_text_take(&j->text, &resp->body_len);
	if (!resp->body)
		return true;
	resp->status = 200;
	resp->content_type = "text/plain; version=0.0.4; charset=utf-8";
	return true;
}

/* ---- answers ---- */

static void answer_line(struct lb_http_response *resp, unsigned int status, const char *line)
{
	int len = asprintf(&resp->body, "%s\n", line);

	if (len < 0)
		resp->body = NULL;
	resp->status = len < 0 ? 500 : status;
	resp->body_len = len < 0 ? 0 : len;
	resp->content_type = "text/plain; charset=utf-8";
}

static void answer_metrics(struct lb_control *c, bool full, struct lb_http_response *resp)
{
	struct job *j = calloc(1, sizeof(*j));

	resp->status = 500;
	if (!j)
		return;
	j->control = c;
	j->epoch = c->epoch;
	if (metrics_step(j, resp)) {
		job_free(j);
	} else if (full) {
		job_free(j);
		answer_line(resp, 503, "too many large answers are under way");
	} else {
		resp->job = (struct lb_http_job){.step = metrics_step, .free = job_free, .ctx = j};
	}
}

void lb_metrics_handle(void *ctx, const struct lb_http_request *req, struct lb_http_response *resp)
{
	bool known = !strcmp(req->path, "/metrics") || !strcmp(req->path, "/healthz") || !strcmp(req->path, "/readyz");
	struct lb_control *c = ctx;
	char why[512];

	if (!known) {
		answer_line(resp, 404, "there are /metrics, /healthz and /readyz");
	} else if (strcmp(req->method, "GET") && strcmp(req->method, "HEAD")) {
		answer_line(resp, 405, "only GET");
		resp->allow = "GET, HEAD";
	} else if (req->ambiguous) {
		answer_line(resp, 400, "where the request ends can be read in two ways");
	} else if (req->coding) {
		answer_line(resp, req->coding, "this Transfer-Encoding is not understood");
	} else if (req->busy || req->too_large || req->headers_too_large) {
		answer_line(resp, req->busy ? 503 : req->too_large ? 413 : 431, "too much at once");
	} else if (!strcmp(req->path, "/metrics")) {
		answer_metrics(c, req->full, resp);
	} else if (!strcmp(req->path, "/healthz")) {
		answer_line(resp, 200, "ok");
	} else if (!c->started) {
		answer_line(resp, 503, "lbd is starting");
	} else if (lb_control_ready(c, why, sizeof(why))) {
		answer_line(resp, 200, "ok");
	} else {
		answer_line(resp, 503, why);
	}
}
