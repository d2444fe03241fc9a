/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One backend's health from its probes' results: rise, fall and reasons. Pure. Called by lbd's prober. */
#ifndef LB_HEALTH_H
#define LB_HEALTH_H

#include "model.h"

/* A closed list: X(ID, name, help). The name is the `reason` label of lb_check_total and of events. */
#define LB_REASONS(X)                                                                                                  \
	X(OK, "ok", "the backend answered as expected")                                                                \
	X(TIMEOUT, "timeout", "no answer within the check's timeout")                                                  \
	X(REFUSED, "refused", "the connection was refused")                                                            \
	X(RESET, "reset", "the connection was reset or closed early")                                                  \
	X(UNREACHABLE, "unreachable", "no route, or the network says the backend cannot be reached")                   \
	X(STATUS, "status", "a status that is not expected: HTTP's, gRPC's or DNS's")                                  \
	X(BODY, "body", "an answer without the expected text")                                                         \
	X(PROTOCOL, "protocol", "an answer that is not the check's protocol")                                          \
	X(INTERNAL, "internal", "lbd could not run the check")                                                         \
	X(TLS, "tls", "no TLS connection, or a certificate that is not trusted or not for the name")                   \
	X(NOT_SERVING, "not_serving", "a gRPC server that says so")                                                    \
	X(EXIT, "exit", "the check's program failed")                                                               \
	X(FLAPPING, "flapping", "the backend answers, and is held down for having come and gone too often")

enum lb_reason {
#define X(id, name, help) LB_REASON_##id,
	LB_REASONS(X)
#undef X
		LB_REASON_COUNT
};
const char *lb_reason_name(enum lb_reason r);

struct lb_health_state {
	enum lb_health health;
	uint32_t ok, failed;   /* in a row */
	enum lb_reason reason; /* of the last result */
	uint64_t since_ns;     /* CLOCK_REALTIME of the last change */
};

/* lb_health_result - take one result. From UNKNOWN the first result decides at once; then @rise successes in a row
 * make UP, @fall failures in a row make DOWN. Returns true when health changed. */
bool lb_health_result(struct lb_health_state *h, enum lb_reason r, uint32_t rise, uint32_t fall, uint64_t now_ns);

/* lb_health_changing - is the next result, or one of the next, about to change it? */
bool lb_health_changing(const struct lb_health_state *h);

/* lb_health_delay - when to start a check next: @interval_ns with ±10 % of jitter from @random, so that checks spread.
 */
uint64_t lb_health_delay(uint64_t interval_ns, uint32_t random);

/* lb_health_first_delay - when to start the first check of target @i of @nr that begin together, at @random within its
 * part of a window: 2 ms for each of them, a second at most, and not more than @interval_ns. However many there are, no
 * more start in a part of the window than its share. */
uint64_t lb_health_first_delay(size_t i, size_t nr, uint64_t interval_ns, uint32_t random);

#endif
