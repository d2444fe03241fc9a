// SPDX-License-Identifier: GPL-2.0-or-later
/* Every metric of the interface, one function a family. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "metrics.h"
#include "process.h"
#include "stats.h"

#define LABELS_MAX (LB_NAME_MAX + LB_ADDR_STRLEN + 64)

static void family(FILE *f, const char *name, const char *type, const char *help)
{
	fprintf(f, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* A label's value, escaped. */
static void value(FILE *f, const char *text)
{
	for (; *text; text++) {
		if (*text == '\n')
			fputs("\\n", f);
		else if (*text == '"' || *text == '\\')
			fprintf(f, "\\%c", *text);
		else
			fputc(*text, f);
	}
}

static void single(FILE *f, const char *name, const char *type, const char *help, double v)
{
	family(f, name, type, help);
	fprintf(f, "%s %.15g\n", name, v);
}

static void single_u64(FILE *f, const char *name, const char *type, const char *help, uint64_t v)
{
	family(f, name, type, help);
	fprintf(f, "%s %" PRIu64 "\n", name, v);
}

static void histogram(FILE *f, const char *name, const char *labels, const struct lb_histogram *h)
{
	const char *comma = labels[0] ? "," : "", *open = labels[0] ? "{" : "", *close = labels[0] ? "}" : "";
	uint64_t sum = 0;

	for (int i = 0; i < LB_HISTOGRAM_BUCKETS; i++) {
		sum += h->bucket[i];
		fprintf(f, "%s_bucket{%s%sle=\"%s\"} %" PRIu64 "\n", name, labels, comma, lb_histogram_bounds[i].le,
			sum);
	}
	fprintf(f, "%s_bucket{%s%sle=\"+Inf\"} %" PRIu64 "\n", name, labels, comma, h->count);
	fprintf(f, "%s_sum%s%s%s %.9g\n", name, open, labels, close, h->sum_ns / (double)LB_NSEC_PER_SEC);
	fprintf(f, "%s_count%s%s%s %" PRIu64 "\n", name, open, labels, close, h->count);
}

/* ---- the daemon ---- */

static void write_daemon(FILE *f, struct lb_control *c)
{
	family(f, "lb_build_info", "gauge", "Version of lbd and of the layout of its maps.");
	fprintf(f, "lb_build_info{version=\"%s\",abi=\"%d\"} 1\n", LB_VERSION, LB_ABI_VERSION);
	family(f, "lb_interface_info", "gauge", "Interfaces that the dataplane is attached to.");
	for (size_t i = 0; i < c->ifaces.nr; i++) {
		const struct lb_iface *iface = &c->ifaces.list[i];

		if (!iface->attached)
			continue;
		fputs("lb_interface_info{interface=\"", f);
		value(f, iface->conf.name);
		fprintf(f, "\",mode=\"%s\"} 1\n", lb_attach_mode_name(iface->at.mode));
	}
	single_u64(f, "lb_config_generation", "gauge", "Changes of the configuration applied, ever.", c->generation);
	single_u64(f, "lb_config_last_apply_success", "gauge", "Was the last configuration applied (1) or refused (0)?",
		   c->last_apply.success);
	single(f, "lb_config_last_apply_timestamp_seconds", "gauge", "When that was.",
	       c->last_apply.time_ns / (double)LB_NSEC_PER_SEC);
	family(f, "lb_table_build_seconds", "histogram", "Time to build the tables of one change.");
	histogram(f, "lb_table_build_seconds", "", &c->table_build);
}

static void write_process(FILE *f)
{
	struct lb_process p = {0};

	if (lb_process_read(&p))
		return;
	single(f, "process_cpu_seconds_total", "counter", "CPU time of lbd, user and system.", p.cpu_seconds);
	single_u64(f, "process_resident_memory_bytes", "gauge", "Resident memory of lbd.", p.resident_bytes);
	single_u64(f, "process_virtual_memory_bytes", "gauge", "Virtual memory of lbd.", p.virtual_bytes);
	single_u64(f, "process_open_fds", "gauge", "Open file descriptors of lbd.", p.open_fds);
	single_u64(f, "process_max_fds", "gauge", "File descriptors that lbd may open.", p.max_fds);
	single(f, "process_start_time_seconds", "gauge", "When lbd started, since the epoch.", p.start_time_seconds);
}

/* ---- the dataplane ---- */

static void write_dataplane(FILE *f, struct lb_control *c)
{
	static const char *const names[] = {
#define X(id, name, action, help) name,
		LB_VERDICTS(X)
#undef X
	};
	uint64_t hits, misses, ns, runs;

	family(f, "lb_packets_total", "counter", "Packets seen, by what became of them.");
	for (int v = 0; v < LB_V_COUNT; v++)
		fprintf(f, "lb_packets_total{verdict=\"%s\"} %" PRIu64 "\n", names[v], lb_dataplane_verdict(c->dp, v));
	lb_stats_lookups(c, &hits, &misses);
	family(f, "lb_flow_lookups_total", "counter", "Look-ups in the flow cache.");
	fprintf(f, "lb_flow_lookups_total{result=\"hit\"} %" PRIu64 "\n", hits);
	fprintf(f, "lb_flow_lookups_total{result=\"miss\"} %" PRIu64 "\n", misses);
	single_u64(f, "lb_flows", "gauge", "Entries in the flow cache.", lb_stats_flows(c));
	if (lb_dataplane_run_stats(c->dp, &ns, &runs))
		return;
	family(f, "lb_bpf_run_nanoseconds", "summary", "Time of the program's runs, while BPF statistics are on.");
	fprintf(f, "lb_bpf_run_nanoseconds_sum %" PRIu64 "\nlb_bpf_run_nanoseconds_count %" PRIu64 "\n", ns, runs);
}

/* ---- services ---- */

struct service_row {
	char *labels; /* service="..",vip=".." */
	struct lb_backend_cpu total;
};

static char *service_labels(const struct lb_model_service *s)
{
	char vip[LB_ADDR_STRLEN], *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	fputs("service=\"", f);
	value(f, s->conf.name);
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

/* One row of each VIP of the services that are to be announced. */
static void write_announced(FILE *f, const struct lb_control *c)
{
	const struct lb_model_service *const *list;
	size_t nr = lb_model_services(c->model, &list);
	char vip[LB_ADDR_STRLEN];

	family(f, "lb_vip_announced", "gauge", "Is the VIP a route that routing daemons export?");
	for (size_t i = 0; i < nr; i++) {
		const struct lb_service_conf *s = &list[i]->conf;

		for (size_t v = 0; s->announce && v < s->nr_vips; v++) {
			struct lb_prefix dst = lb_announce_prefix(&s->vips[v]);
			struct lb_announced state;

			lb_announce_state(c->announce, &dst, &state);
			fprintf(f, "lb_vip_announced{service=\"%s\",vip=\"%s\"} %d\n", s->name,
				lb_vip_format(&s->vips[v], vip), state.there);
		}
	}
}

static int write_services(FILE *f, const struct lb_control *c)
{
	const struct lb_model_service *const *list;
	size_t nr = lb_model_services(c->model, &list);
	struct service_row *rows = calloc(nr ? nr : 1, sizeof(*rows));
	int ret = rows ? 0 : -1;

	for (size_t i = 0; !ret && i < nr; i++) {
		rows[i].labels = service_labels(list[i]);
		lb_stats_service(c, list[i], &rows[i].total);
		if (!rows[i].labels)
			ret = -1;
	}
	if (!ret) {
		family(f, "lb_service_packets_total", "counter", "Packets for the service.");
		for (size_t i = 0; i < nr; i++)
			fprintf(f, "lb_service_packets_total{%s} %llu\n", rows[i].labels,
				(unsigned long long)rows[i].total.pkts);
		family(f, "lb_service_bytes_total", "counter",
		       "Bytes of IP packets for the service, as clients sent them.");
		for (size_t i = 0; i < nr; i++)
			fprintf(f, "lb_service_bytes_total{%s} %llu\n", rows[i].labels,
				(unsigned long long)rows[i].total.bytes);
		family(f, "lb_service_connections_total", "counter", "Connections begun.");
		for (size_t i = 0; i < nr; i++)
			fprintf(f, "lb_service_connections_total{%s} %llu\n", rows[i].labels,
				(unsigned long long)rows[i].total.conns);
	}
	for (size_t i = 0; rows && i < nr; i++)
		free(rows[i].labels);
	free(rows);
	return ret;
}

/* ---- backends ---- */

struct backend_row {
	char labels[LABELS_MAX]; /* service="..",backend=".." */
	const struct lb_model_backend *backend;
	const struct lb_target_stats *stats; /* NULL: not checked */
	struct lb_backend_cpu count;
	enum lb_way way; /* what keeps packets from it */
};

struct backend_rows {
	struct backend_row *row;
	size_t nr;
};

static int read_backends(const struct lb_control *c, struct backend_rows *out)
{
	const struct lb_model_service *const *list;
	size_t nr = lb_model_services(c->model, &list), total = 0;

	for (size_t i = 0; i < nr; i++)
		total += list[i]->conf.nr_backends;
	out->row = calloc(total ? total : 1, sizeof(*out->row));
	if (!out->row)
		return -1;
	for (size_t i = 0; i < nr; i++) {
		for (size_t j = 0; j < list[i]->conf.nr_backends; j++) {
			struct backend_row *r = &out->row[out->nr++];
			char address[LB_ADDR_STRLEN];

			r->backend = &list[i]->backends[j];
			/* Neither a service's name nor an address has a character to escape. */
			snprintf(r->labels, sizeof(r->labels), "service=\"%s\",backend=\"%s\"", list[i]->conf.name,
				 lb_endpoint_format(&r->backend->conf.address, address));
			if (list[i]->conf.check.type != LB_CHECK_NONE)
				r->stats = lb_prober_stats(c->prober, list[i]->conf.name, &r->backend->conf.address);
			if (!r->backend->next_hop.ifindex)
				r->way = lb_nexthops_way(c->nexthops, r->backend->conf.address.addr);
			lb_dataplane_backend(c->dp, r->backend->idx, &r->count);
		}
	}
	return 0;
}

static uint64_t packets_of(const struct backend_row *r)
{
	return r->count.pkts;
}

static uint64_t bytes_of(const struct backend_row *r)
{
	return r->count.bytes;
}

static uint64_t connections_of(const struct backend_row *r)
{
	return r->count.conns;
}

static uint64_t active_of(const struct backend_row *r)
{
	return lb_stats_active(&r->count);
}

static uint64_t weight_of(const struct backend_row *r)
{
	return r->backend->conf.weight;
}

static uint64_t up_of(const struct backend_row *r)
{
	const struct lb_model_backend *b = r->backend;

	return (b->health == LB_HEALTH_UP || b->health == LB_HEALTH_UNCHECKED) && b->next_hop.ifindex;
}

static void write_backends(FILE *f, const struct backend_rows *rows)
{
	static const struct {
		const char *name, *type, *help;
		uint64_t (*of)(const struct backend_row *r);
	} families[] = {
		{"lb_backend_packets_total", "counter", "Packets sent to the backend.", packets_of},
		{"lb_backend_bytes_total", "counter", "Bytes of IP packets for the backend, as clients sent them.",
		 bytes_of},
		{"lb_backend_connections_total", "counter", "Connections begun.", connections_of},
		{"lb_backend_active_connections", "gauge", "Connections begun and not seen to end, an estimate.",
		 active_of},
		{"lb_backend_weight", "gauge", "The configured weight.", weight_of},
		{"lb_backend_up", "gauge", "Is the backend healthy, or not checked, and can it be reached?", up_of},
	};

	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
		family(f, families[i].name, families[i].type, families[i].help);
		for (size_t j = 0; j < rows->nr; j++)
			fprintf(f, "%s{%s} %" PRIu64 "\n", families[i].name, rows->row[j].labels,
				families[i].of(&rows->row[j]));
	}
}

static const char *state_of(const struct backend_row *r)
{
	const struct lb_model_backend *b = r->backend;

	if (b->conf.admin == LB_ADMIN_DISABLED)
		return "disabled";
	if (b->conf.admin == LB_ADMIN_DRAINING)
		return "draining";
	if (r->way != LB_WAY_KNOWN)
		return lb_way_name(r->way);
	return lb_health_name(b->health);
}

static void write_backend_states(FILE *f, const struct backend_rows *rows)
{
	static const char *const states[] = {"up", "down", "unknown", "unchecked", "draining", "disabled",
#define X(id, name, help) name,
				       LB_WAYS(X)
#undef X
	};

	family(f, "lb_backend_state", "gauge", "1 for the state that the backend is in, 0 for the others.");
	for (size_t i = 0; i < rows->nr; i++) {
		const char *now = state_of(&rows->row[i]);

		for (size_t j = 0; j < sizeof(states) / sizeof(states[0]); j++)
			if (*states[j])
				fprintf(f, "lb_backend_state{%s,state=\"%s\"} %d\n", rows->row[i].labels, states[j],
					!strcmp(states[j], now));
	}
}

static void write_checks(FILE *f, const struct backend_rows *rows)
{
	family(f, "lb_check_total", "counter", "Health checks, by result and reason.");
	for (size_t i = 0; i < rows->nr; i++) {
		const struct backend_row *r = &rows->row[i];

		for (int reason = 0; r->stats && reason < LB_REASON_COUNT; reason++)
			if (r->stats->results[reason] || reason == LB_REASON_OK)
				fprintf(f, "lb_check_total{%s,result=\"%s\",reason=\"%s\"} %" PRIu64 "\n", r->labels,
					reason == LB_REASON_OK ? "success" : "failure", lb_reason_name(reason),
					r->stats->results[reason]);
	}
	family(f, "lb_check_duration_seconds", "histogram", "Duration of health checks.");
	for (size_t i = 0; i < rows->nr; i++)
		if (rows->row[i].stats)
			histogram(f, "lb_check_duration_seconds", rows->row[i].labels, &rows->row[i].stats->duration);
}

static int write_all(FILE *f, struct lb_control *c)
{
	struct backend_rows rows = {0};

	if (read_backends(c, &rows))
		return -1;
	write_daemon(f, c);
	write_dataplane(f, c);
	write_backends(f, &rows);
	write_backend_states(f, &rows);
	write_checks(f, &rows);
	free(rows.row);
	write_announced(f, c);
	write_process(f);
	return write_services(f, c);
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

static void answer_metrics(struct lb_control *c, struct lb_http_response *resp)
{
	FILE *f = open_memstream(&resp->body, &resp->body_len);
	int ret;

	resp->status = 500;
	if (!f)
		return;
	ret = write_all(f, c);
	if (fclose(f) || ret) {
		free(resp->body);
		resp->body = NULL;
		resp->body_len = 0;
		return;
	}
	resp->status = 200;
	resp->content_type = "text/plain; version=0.0.4; charset=utf-8";
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
	} else if (!strcmp(req->path, "/metrics")) {
		answer_metrics(c, resp);
	} else if (!strcmp(req->path, "/healthz") || lb_control_ready(c, why, sizeof(why))) {
		answer_line(resp, 200, "ok");
	} else {
		answer_line(resp, 503, why);
	}
}
