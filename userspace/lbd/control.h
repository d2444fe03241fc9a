/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control loop: source -> document -> model -> image -> plan -> dataplane. Owns all of lbd's state; whoever changes
 * something goes through lb_control_apply. The struct is open for reading to api, metrics and stats, for writing to
 * control.c alone.
 */
#ifndef LB_CONTROL_H
#define LB_CONTROL_H

#include <event2/event.h>

#include "announce.h"
#include "caller.h"
#include "check_path.h"
#include "collector.h"
#include "dataplane.h"
#include "events.h"
#include "histogram.h"
#include "ifaces.h"
#include "nexthops.h"
#include "prober.h"
#include "resolver.h"
#include "returns.h"
#include "snats.h"
#include "store.h"
#include "watch.h"
#include "work.h"

#define LB_CENSUS_MAX_AGE_NS 1000000000ULL

struct lb_control_options {
	const char *config_path;
	bool config_explicit; /* --config was given: the file has to be there */
	const char *state_dir;
	const char *pin_dir;
};

#define LB_VERIFY_TOLD 32 /* differences that are told one by one */
#define LB_VERIFY_STRLEN 192

struct lb_verification {
	size_t services, backends, vips, slots; /* looked at */
	size_t differences;			/* found, and repaired */
	char what[LB_VERIFY_TOLD][LB_VERIFY_STRLEN];
};

/* Who asked for a change: "api", "reload" or "start", and of the API whose connection it was. */
struct lb_origin {
	const char *what;
	struct lb_caller by;
};

struct lb_apply_result {
	bool success;
	uint64_t time_ns; /* CLOCK_REALTIME */
	char error[640];
	struct lb_origin origin;
};

struct lb_control {
	struct event_base *base;
	struct lb_control_options options;
	struct lb_config *config; /* as last applied; the model's has addresses in the place of names */
	struct lb_model *model;
	struct lb_image *image; /* what the dataplane has */
	struct lb_dataplane *dp;
	struct lb_nexthops *nexthops;
	struct lb_prober *prober;
	struct lb_collector *collector;
	struct lb_check_path *check_path;
	bool snat_untold; /* the host leaves few ports to fullnat, and that was not said yet */
	struct lb_resolver *resolver;
	struct lb_store *store;
	struct lb_ifaces ifaces;
	struct lb_returns returns;
	struct lb_snats snats;
	uint64_t takeover_end_ns; /* by then ours is to be in another program's place; 0: it is, or there is none */
	bool ifaces_known;	  /* what is attached was looked at: before, an lbd before us may have attached it */
	struct lb_announce *announce;
	uint64_t generation; /* changes applied, ever */
	char fingerprint[LB_FINGERPRINT_LEN];
	bool adopted; /* the dataplane was there before us */
	bool started;
	struct lb_apply_result last_apply;
	uint64_t start_ns; /* CLOCK_MONOTONIC */
	uint64_t build_ns; /* spent on the model since the last commit */
	struct lb_histogram table_build;
	struct event *commit_event, *tick_event, *upkeep_event, *links_event, *time_event;
	bool uncommitted;	/* the model has changes that the dataplane has not */
	uint64_t committed_ns;	/* when the dataplane last changed */
	uint64_t rest_until_ns; /* facts that come in earlier wait: see lb_control_commit_soon */
	uint64_t next_tick_ns;
	unsigned int ticks, upkeeps;
	struct lb_drains drains;
	struct event *drain_event;
	uint64_t drain_begun_ns; /* when packets were told of the last one that began */
	uint32_t *open;		 /* connections by backend, as counted at .open_ns: see lb_stats_left */
	uint64_t open_ns;
	uint64_t census_ns; /* when flow entries were last counted */
	uint64_t flow_entries;
	struct lb_events *events;
	struct lb_traffic *traffic;
	struct lb_watch *watch;
	bool failing;	/* the dataplane could not be updated last time */
	uint64_t epoch; /* rises whenever pointers into the model, the configuration or the checks may have died */
	struct lb_work *work; /* changes are made in it, one after the other */
	struct lb_facts *facts;
	struct lb_job commit_job; /* while .committing: in .work */
	bool committing;
	struct lb_job tick_job, drain_job; /* likewise */
	bool ticking, looking_at_drains;
	uint64_t repairs;	   /* of what lb_control_verify found, ever */
	struct event *names_event; /* names have other addresses: soon they are looked at */
	bool names_failing;	   /* and could not be taken last time */
	bool names_taken;	   /* .names_job is not under way */
	struct lb_job names_job;
};

/* lb_control_new - nothing but what lb_control_start needs. *@out is to be freed after an error, too. */
int lb_control_new(struct event_base *base, const struct lb_control_options *options, struct lb_control **out,
		   struct lb_err *err);
/* lb_control_start - read file and state, adopt or make the dataplane, apply; in .work, for it takes as long as there
 * are services, and the verifier its time. Errors leave the dataplane alone, except when it is the dataplane that
 * refuses. Until .started, @c can do nothing but be freed. */
int lb_control_start(struct lb_control *c, struct lb_err *err);
/* Stops checking and following; the dataplane goes on forwarding. */
void lb_control_free(struct lb_control *c);

/* lb_control_apply - make @conf (taken over, also on error) what runs: checked, saved, in the dataplane, or nothing has
 * changed. @origin: who asked, for the log and whoever asks later. @whole: it replaces the whole configuration, so that
 * a refusal shows as last_apply. @changes: how many differences there were; may be NULL. */
int lb_control_apply(struct lb_control *c, struct lb_config *conf, const struct lb_origin *origin, bool whole,
		     size_t *changes, struct lb_err *err);

/* lb_control_reload - what SIGHUP asks for: read the file again and apply it. */
void lb_control_reload(struct lb_control *c);

/* lb_control_leave - lbd is about to end. @detach: and the dataplane with it: routes go first, and packets are
 * forwarded for as long as the configuration says; this runs the event loop. Else the configuration says whether they
 * go. */
void lb_control_leave(struct lb_control *c, bool detach);

/* lb_control_inherit - give @conf what it leaves to lbd: the hash key in use. */
void lb_control_inherit(const struct lb_control *c, struct lb_config *conf);

/* lb_control_verify - compare what the maps hold with what they should, and repair what differs. Costs a reading of all
 * maps. -EIO and others with @err when that was not possible. */
int lb_control_verify(struct lb_control *c, struct lb_verification *v, struct lb_err *err);

/* lb_control_ready - is traffic balanced? If not, @why says what is missing. */
bool lb_control_ready(const struct lb_control *c, char *why, size_t size);

#endif
