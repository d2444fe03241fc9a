// SPDX-License-Identifier: GPL-2.0-or-later
/* The grpc check: grpc.health.v1.Health/Check over HTTP/2 (gRPC's PROTOCOL-HTTP2.md and health-checking.md). */
#include <stdio.h>
#include <string.h>

#include "check_grpc.h"
#include "probe_curl.h"

#define METHOD "/grpc.health.v1.Health/Check"

static bool is_grpc(const struct lb_transfer *t)
{
	static const char grpc[] = "application/grpc";
	const char *type = NULL;
	long version = 0;

	curl_easy_getinfo(t->easy, CURLINFO_CONTENT_TYPE, &type);
	curl_easy_getinfo(t->easy, CURLINFO_HTTP_VERSION, &version);
	return version == CURL_HTTP_VERSION_2_0 && type && !strncasecmp(type, grpc, sizeof(grpc) - 1);
}

static enum lb_reason judge(const struct lb_transfer *t)
{
	long status = 0;
	int serving;

	curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
	if (status != 200)
		return LB_REASON_STATUS;
	if (!is_grpc(t) || t->grpc_status < 0)
		return LB_REASON_PROTOCOL;
	if (t->grpc_status)
		return LB_REASON_STATUS;
	serving = t->body ? lb_grpc_response(t->body, t->body_bytes) : -1;
	if (serving < 0)
		return LB_REASON_PROTOCOL;
	return serving == LB_GRPC_SERVING ? LB_REASON_OK : LB_REASON_NOT_SERVING;
}

static bool add_headers(struct lb_transfer *t)
{
	char timeout[64];

	snprintf(timeout, sizeof(timeout), "grpc-timeout: %llum",
		 (unsigned long long)(t->req.check->timeout_ns + 999999) / 1000000);
	return lb_transfer_header(t, "Content-Type: application/grpc") && lb_transfer_header(t, "TE: trailers") &&
	       lb_transfer_header(t, timeout) && lb_transfer_header(t, "Accept:") && lb_transfer_header(t, "Expect:");
}

struct lb_probe *lb_probe_grpc_start(struct lb_probes *p, const struct lb_probe_request *req, enum lb_reason *reason)
{
	const struct lb_check_conf *check = req->check;
	struct lb_transfer *t = lb_transfer_new(p->curl, req, check->tls);
	uint8_t message[LB_GRPC_REQUEST_MAX];
	CURLcode r = CURLE_OK;
	int len;

	if (!t)
		return NULL;
	t->judge = judge;
	len = lb_grpc_request(check->service ? check->service : "", message);
	r |= curl_easy_setopt(t->easy, CURLOPT_REQUEST_TARGET, METHOD);
	/* Without TLS nothing negotiates HTTP/2: it is taken for granted. */
	r |= curl_easy_setopt(t->easy, CURLOPT_HTTP_VERSION,
			      (long)(check->tls ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE));
	r |= curl_easy_setopt(t->easy, CURLOPT_POST, 1L);
	r |= curl_easy_setopt(t->easy, CURLOPT_POSTFIELDSIZE, (long)len);
	r |= curl_easy_setopt(t->easy, CURLOPT_COPYPOSTFIELDS, (const char *)message);
	if (!r && len > 0 && add_headers(t))
		return lb_transfer_start(t, reason);
	lb_transfer_free(t);
	return NULL;
}
