/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The control loop's inside, shared by control.c and control_*.c alone. */
#ifndef LB_CONTROL_PRIV_H
#define LB_CONTROL_PRIV_H

#include "control.h"
#include "text.h"

/* control.c */
void lb_control_commit_soon(struct lb_control *c);
/* Brings the dataplane to what the model wants, which @make_image tells. Routes to VIPs go before it changes, all of
 * them where it is an operator's @change, and come after. */
int lb_control_commit(struct lb_control *c, struct lb_image *(*make_image)(struct lb_model *m), bool change,
		      struct lb_err *err);
/* Are packets for VIPs balanced, on any interface? */
bool lb_control_is_forwarding(const struct lb_control *c);

/* control_change.c */
void lb_control_set_last_apply(struct lb_control *c, bool success, const char *error, const struct lb_origin *origin);
/* @expanded: @conf with the addresses of names. */
int lb_control_save(struct lb_control *c, struct lb_config *conf, const struct lb_config *expanded, uint64_t generation,
		    const char *fingerprint, const struct lb_drains *drains, struct lb_err *err);
/* The model, next hops, the dataplane and checks to @expanded. */
int lb_control_realize(struct lb_control *c, const struct lb_config *expanded, struct lb_err *err);
/* lb_control_forget_versions - what other versions left in the pin directory, once none of their programs can be attached. */
void lb_control_forget_versions(struct lb_control *c);
/* The checks, and the ways that they take, to what the model has. 0 or -ENOMEM: some are not made. */
int lb_control_sync_checks(struct lb_control *c);

/* An lb_config_diff_fn that logs: the first few for everybody, as a large reload is not to bury everything else. */
struct lb_change_log {
	struct lb_origin origin;
	int nr;
	struct lb_text kept; /* the lines, until lb_control_log_kept: what is refused was no change */
};
/* lb_control_log_kept - log what was kept, where it was @done, and let go of it. */
void lb_control_log_kept(struct lb_change_log *log, bool done);
void lb_control_log_change(void *ctx, const char *op, const char *path, const char *from, const char *to);

/* control.c */
void lb_control_on_health(void *ctx, const char *service, const struct lb_endpoint *backend, enum lb_health from,
			  const struct lb_health_state *h);
void lb_control_on_share(void *ctx, const char *service, const struct lb_endpoint *backend, uint32_t from, uint32_t to,
			 bool said);
void lb_control_on_next_hop(void *ctx, const uint8_t addr[16], const struct lb_next_hop *nh);

/* control_facts.c */
struct lb_facts *lb_facts_new(struct lb_control *c);
void lb_facts_free(struct lb_facts *f);
/* Is a change under way, that is not the caller's? Then @ev, a timer, comes again soon. */
bool lb_control_postpone(struct lb_control *c, struct event *ev);
/* True: the model is told later, by the functions above. */
bool lb_facts_defer_health(struct lb_control *c, const char *service, const struct lb_endpoint *backend,
			   enum lb_health from, const struct lb_health_state *h);
bool lb_facts_defer_share(struct lb_control *c, const char *service, const struct lb_endpoint *backend, uint32_t from,
			  uint32_t to, bool said);
bool lb_facts_defer_next_hop(struct lb_control *c, const uint8_t addr[16], const struct lb_next_hop *nh);

/* control_time.c */
void lb_control_on_time(evutil_socket_t fd, short what, void *ctx);
void lb_control_on_drain(evutil_socket_t fd, short what, void *ctx);
/* The model learns whose drain ended by its time, maybe before this lbd began. */
void lb_control_tell_drained(struct lb_control *c);
/* @drains, taken over, in the place of those that there were. */
void lb_control_take_drains(struct lb_control *c, const struct lb_drains *drains);

/* control_takeover.c */
/* lb_takeover_begin - is another's program on an interface of the configuration, which this lbd is to take the place of?
 * Routes stay as they are then, until lb_takeover_attach or lb_takeover_go_on. To be called before the model is told. */
bool lb_takeover_begin(struct lb_control *c);
/* lb_takeover_attach - the first configuration is in the dataplane: attach, or, where @relieves and not all backends are
 * known yet, have that wait. 0 or -errno with @err. */
int lb_takeover_attach(struct lb_control *c, bool relieves, struct lb_err *err);
/* lb_takeover_go_on - may interfaces be looked after? Where they wait no longer, they are attached. */
bool lb_takeover_go_on(struct lb_control *c);

/* control_names.c */
void lb_control_on_names(evutil_socket_t fd, short what, void *ctx);
/* What a name is has changed, or how much of it is to be drained: lb_control_on_names is to be called. */
void lb_control_names_soon(void *ctx);
/* @conf with the addresses of names; NULL: out of memory. */
struct lb_config *lb_control_expand(const struct lb_control *c, const struct lb_config *conf);

#endif
