/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The API of docs/api.md: routes and answers. api.c has the routes and what they share, api_*.c the handlers. */
#ifndef LB_API_H
#define LB_API_H

#include <jansson.h>

#include "control.h"
#include "http.h"
#include "text.h"

#define LB_API_ARGS_MAX 2

/* One request on its way: @arg are the variable segments of its path. */
struct lb_api_call {
	struct lb_control *control;
	const struct lb_http_request *req;
	struct lb_http_response *resp;
	char *arg[LB_API_ARGS_MAX];
};

typedef void (*lb_api_fn)(struct lb_api_call *call);

/* lb_api_handle - an lb_http_handler_fn; @ctx is the struct lb_control. */
void lb_api_handle(void *ctx, const struct lb_http_request *req, struct lb_http_response *resp);

/* lb_api_answer - the answer, made at once or as a job. lb_api_work - the same, beside the event loop. */
void lb_api_answer(struct lb_control *c, const struct lb_http_request *req, struct lb_http_response *resp);
void lb_api_work(struct lb_control *c, const struct lb_http_request *req, struct lb_http_response *resp);

/* Answers. lb_api_json takes @j over; NULL: out of memory. */
void lb_api_json(struct lb_api_call *call, unsigned int status, json_t *j);
/* The JSON in @t, which is taken. */
void lb_api_text(struct lb_api_call *call, unsigned int status, struct lb_text *t);
void lb_api_problem(struct lb_api_call *call, unsigned int status, const char *detail);
/* The problem that @err is: its code chooses the status. */
void lb_api_error(struct lb_api_call *call, const struct lb_err *err);
void lb_api_no_memory(struct lb_api_call *call);
/* There is no service @name: 404, with the name that may have been meant. (api_services.c) */
void lb_api_no_service(struct lb_api_call *call, const char *name);
/* api_jobs.c: those that may be long. A service that is gone by then is a 404. */
void lb_api_answer_services(struct lb_api_call *call);
void lb_api_answer_service(struct lb_api_call *call, unsigned int status, const char *name);
void lb_api_answer_backend(struct lb_api_call *call, unsigned int status, const struct lb_model_service *s, size_t i);
/* One that is a name. */
void lb_api_answer_name(struct lb_api_call *call, unsigned int status, const struct lb_backend_conf *b);
void lb_api_answer_config(struct lb_api_call *call, bool yaml);
/* lb_api_apply - have @conf (taken over) run; answers and returns false when that is refused. */
bool lb_api_apply(struct lb_api_call *call, struct lb_config *conf, bool whole);

/* api_rules.c: each answers and returns false where the request ends here. */
enum lb_api_tag { LB_API_TAG_NONE, LB_API_TAG_CONFIG, LB_API_TAG_SERVICE };
bool lb_api_acceptable(struct lb_api_call *call);
/* lb_api_prefers_yaml - does a header Accept (NULL: there is none) ask for YAML, and not for JSON rather (RFC 9110,
 * 12.5.1)? */
bool lb_api_prefers_yaml(const char *accept);
void lb_api_busy(struct lb_api_call *call);
/* @tag: what the route's entity tag is of; @safe: the request changes nothing. */
bool lb_api_conditions(struct lb_api_call *call, enum lb_api_tag tag, bool safe);
/* The entity tag of @service, or of the configuration where that is NULL; "": there is no such service. */
void lb_api_etag(const struct lb_control *c, const char *service, char etag[LB_HTTP_ETAG_STRLEN]);

/* api_config.c */
void lb_api_status_get(struct lb_api_call *call);
void lb_api_config_get(struct lb_api_call *call);
void lb_api_config_put(struct lb_api_call *call);
void lb_api_config_check(struct lb_api_call *call);
void lb_api_iface_post(struct lb_api_call *call);
void lb_api_iface_delete(struct lb_api_call *call);
/* api_services.c */
void lb_api_services_get(struct lb_api_call *call);
void lb_api_services_post(struct lb_api_call *call);
void lb_api_service_get(struct lb_api_call *call);
void lb_api_service_patch(struct lb_api_call *call);
void lb_api_service_delete(struct lb_api_call *call);
void lb_api_backends_post(struct lb_api_call *call);
void lb_api_backend_patch(struct lb_api_call *call);
void lb_api_backend_delete(struct lb_api_call *call);
/* api_events.c */
void lb_api_events_get(struct lb_api_call *call);
/* api_flows.c */
void lb_api_flows_get(struct lb_api_call *call);
void lb_api_flows_delete(struct lb_api_call *call);
/* api_clients.c: with ?client=ADDR or ?backend=ADDR */
void lb_api_flows_one_by_one(struct lb_api_call *call);
/* ?limit=N: -EINVAL with @err where that is no number; SIZE_MAX where there is none. */
int lb_api_limit(const struct lb_api_call *call, size_t *limit, struct lb_err *err);
/* api_trace.c */
void lb_api_trace_post(struct lb_api_call *call);

#endif
