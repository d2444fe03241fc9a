/* SPDX-License-Identifier: GPL-2.0-or-later */
/* GET /metrics in Prometheus' text format, /healthz and /readyz: what the metrics address answers. Called by main.c. */
#ifndef LB_METRICS_H
#define LB_METRICS_H

#include "control.h"
#include "http.h"

/* An lb_http_handler_fn; @ctx is the struct lb_control. */
void lb_metrics_handle(void *ctx, const struct lb_http_request *req, struct lb_http_response *resp);

#endif
