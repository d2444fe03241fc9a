/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The two messages of grpc.health.v1.Health/Check (gRPC's health/v1/health.proto), each behind gRPC's prefix of five
 * bytes. Pure. Called by lbd's probes.
 */
#ifndef LB_CHECK_GRPC_H
#define LB_CHECK_GRPC_H

#include <stddef.h>
#include <stdint.h>

#define LB_GRPC_REQUEST_MAX (5 + 3 + 255)

enum lb_grpc_serving { LB_GRPC_UNKNOWN, LB_GRPC_SERVING, LB_GRPC_NOT_SERVING, LB_GRPC_SERVICE_UNKNOWN };

/* lb_grpc_request - HealthCheckRequest{service}, at most 255 bytes of name. The number of bytes, or -EINVAL. */
int lb_grpc_request(const char *service, uint8_t out[LB_GRPC_REQUEST_MAX]);

/* lb_grpc_response - HealthCheckResponse's status, which may be a number that enum lb_grpc_serving does not have.
 * -EPROTO: @body is not exactly one such message, or is compressed. */
int lb_grpc_response(const uint8_t *body, size_t len);

#endif
