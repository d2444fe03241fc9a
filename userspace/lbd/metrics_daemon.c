// SPDX-License-Identifier: GPL-2.0-or-later
/* The families of lbd itself and of the dataplane as a whole. */
#include <inttypes.h>

#include "clock.h"
#include "log.h"
#include "loop.h"
#include "metrics_priv.h"
#include "process.h"
#include "stats.h"
#include "verdicts.h"

/* ---- the daemon ---- */

void lb_metrics_daemon(FILE *f, struct lb_control *c)
{
	lb_metric_family(f, "lb_build_info", "gauge", "Version of lbd and of the layout of its maps.");
	fprintf(f, "lb_build_info{version=\"%s\",abi=\"%d\"} 1\n", LB_VERSION, LB_ABI_VERSION);
	lb_metric_family(f, "lb_interface_info", "gauge", "Interfaces that the dataplane is attached to.");
	for (size_t i = 0; i < c->ifaces.nr; i++) {
		const struct lb_iface *iface = &c->ifaces.list[i];

		if (!iface->attached)
			continue;
		fputs("lb_interface_info{interface=\"", f);
		lb_metric_value(f, iface->conf.name);
		fprintf(f, "\",mode=\"%s\"} 1\n", lb_attach_mode_name(iface->at.mode));
	}
	lb_metric_family(f, "lb_interface_attached", "gauge",
			 "Is the dataplane attached to this interface of the configuration?");
	for (size_t i = 0; i < c->ifaces.nr; i++) {
		fputs("lb_interface_attached{interface=\"", f);
		lb_metric_value(f, c->ifaces.list[i].conf.name);
		fprintf(f, "\"} %d\n", c->ifaces.list[i].attached);
	}
	lb_metric_u64(f, "lb_config_generation", "gauge", "Changes of the configuration applied, ever.", c->generation);
	lb_metric_u64(f, "lb_config_last_apply_success", "gauge",
		      "Was the last configuration applied (1) or refused (0)?", c->last_apply.success);
	lb_metric_single(f, "lb_config_last_apply_timestamp_seconds", "gauge", "When that was.",
			 c->last_apply.time_ns / (double)LB_NSEC_PER_SEC);
	lb_metric_family(f, "lb_table_build_seconds", "histogram", "Time to build the tables of one change.");
	lb_metric_histogram(f, "lb_table_build_seconds", "", &c->table_build);
	lb_metric_family(f, "lb_loop_hold_seconds", "histogram", "How long lbd did one thing and nothing else.");
	lb_metric_histogram(f, "lb_loop_hold_seconds", "", &lb_loop_times()->hold);
	lb_metric_family(f, "lb_loop_busy_seconds", "histogram", "CPU time of it.");
	lb_metric_histogram(f, "lb_loop_busy_seconds", "", &lb_loop_times()->busy);
	lb_metric_single(f, "lb_loop_busy_longest_seconds", "gauge", "The longest of them since lbd started.",
			 lb_loop_times()->longest_ns / (double)LB_NSEC_PER_SEC);
	lb_metric_u64(f, "lb_log_lines_lost_total", "counter", "Lines of the log that its reader left no room for.",
		      lb_log_lost());
}

void lb_metrics_process(FILE *f)
{
	struct lb_process p = {0};

	if (lb_process_read(&p))
		return;
	lb_metric_single(f, "process_cpu_seconds_total", "counter", "CPU time of lbd, user and system.", p.cpu_seconds);
	lb_metric_u64(f, "process_resident_memory_bytes", "gauge", "Resident memory of lbd.", p.resident_bytes);
	lb_metric_u64(f, "process_virtual_memory_bytes", "gauge", "Virtual memory of lbd.", p.virtual_bytes);
	lb_metric_u64(f, "process_open_fds", "gauge", "Open file descriptors of lbd.", p.open_fds);
	lb_metric_u64(f, "process_max_fds", "gauge", "File descriptors that lbd may open.", p.max_fds);
	lb_metric_single(f, "process_start_time_seconds", "gauge", "When lbd started, since the epoch.",
			 p.start_time_seconds);
}

/* ---- the dataplane ---- */

void lb_metrics_dataplane(FILE *f, struct lb_control *c)
{
	lb_metric_family(f, "lb_packets_total", "counter", "Packets seen, by what became of them.");
	for (int v = 0; v < LB_V_COUNT; v++)
		fprintf(f, "lb_packets_total{verdict=\"%s\"} %" PRIu64 "\n", lb_verdict_name(v),
			lb_dataplane_verdict(c->dp, v));
	lb_metric_u64(f, "lb_dataplane_repairs_total", "counter",
		      "What was found in the maps that was not as it should be.", c->repairs);
}

void lb_metrics_lookups(FILE *f, struct lb_control *c)
{
	uint64_t hits, misses;
	struct lb_nat_load load;

	lb_stats_lookups(c, &hits, &misses);
	lb_metric_family(f, "lb_flow_lookups_total", "counter", "Look-ups in the flow cache.");
	fprintf(f, "lb_flow_lookups_total{result=\"hit\"} %" PRIu64 "\n", hits);
	fprintf(f, "lb_flow_lookups_total{result=\"miss\"} %" PRIu64 "\n", misses);
	lb_dataplane_nat_load(c->dp, 0, &load);
	lb_metric_u64(f, "lb_nat_connections", "gauge", "Translated connections.", (uint64_t)load.conns);
	lb_metric_u64(f, "lb_nat_half_open", "gauge", "Translated connections that nobody has confirmed yet.",
		      (uint64_t)load.half_open);
	lb_metric_u64(f, "lb_nat_capacity", "gauge", "Translated connections that there is room for.",
		      c->image->conf.max_conns);
}

void lb_metrics_flows(FILE *f, struct lb_control *c, uint64_t flows)
{
	uint64_t ns, runs;

	lb_metric_u64(f, "lb_flows", "gauge", "Entries in the flow cache.", flows);
	if (lb_dataplane_run_stats(c->dp, &ns, &runs))
		return;
	lb_metric_family(f, "lb_bpf_run_nanoseconds", "summary",
			 "Time of the program's runs, while BPF statistics are on.");
	fprintf(f, "lb_bpf_run_nanoseconds_sum %" PRIu64 "\nlb_bpf_run_nanoseconds_count %" PRIu64 "\n", ns, runs);
}
