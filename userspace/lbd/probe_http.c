// SPDX-License-Identifier: GPL-2.0-or-later
/* The http and https checks: one request by HTTP/1.1, whose status and body are looked at. */
#include <stdio.h>
#include <string.h>

#include "probe_curl.h"
#include "share.h"

static bool body_matches(const struct lb_transfer *t)
{
	size_t want = strlen(t->req.check->body);

	return !want || (t->body && memmem(t->body, t->body_bytes, t->req.check->body, want));
}

static void note_share(const struct lb_transfer *t)
{
	struct lb_probe_notes *notes = t->req.notes;

	notes->share = t->share;
	notes->has_share = t->has_share;
	if (t->req.check->weight_body)
		notes->has_share = t->body && !lb_share_find(t->body, t->body_bytes, &notes->share);
}

static enum lb_reason judge(const struct lb_transfer *t)
{
	long status = 0;

	curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
	if (!lb_status_expected(&t->req.check->status, (unsigned int)status))
		return LB_REASON_STATUS;
	if (!body_matches(t))
		return LB_REASON_BODY;
	note_share(t);
	return LB_REASON_OK;
}

static bool add_headers(struct lb_transfer *t)
{
	const struct lb_check_conf *check = t->req.check;
	char host[sizeof(check->host) + 8];
	bool added = true;

	snprintf(host, sizeof(host), "Host: %s", check->host);
	if (check->host[0])
		added = lb_transfer_header(t, host);
	for (size_t i = 0; added && i < check->nr_headers; i++)
		added = lb_transfer_header(t, check->headers[i]);
	/* Methods that mostly have a body: say that there is none. */
	if (added && (!strcmp(check->method, "POST") || !strcmp(check->method, "PUT")))
		added = lb_transfer_header(t, "Content-Length: 0");
	return added;
}

struct lb_probe *lb_probe_http_start(struct lb_probes *p, const struct lb_probe_request *req, enum lb_reason *reason)
{
	const struct lb_check_conf *check = req->check;
	struct lb_transfer *t = lb_transfer_new(p->curl, req, check->type == LB_CHECK_HTTPS);
	CURLcode r = CURLE_OK;

	if (!t)
		return NULL;
	t->judge = judge;
	/* The path goes out as it was written. */
	r |= curl_easy_setopt(t->easy, CURLOPT_REQUEST_TARGET, check->path[0] ? check->path : "/");
	r |= curl_easy_setopt(t->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	if (!strcmp(check->method, "HEAD"))
		r |= curl_easy_setopt(t->easy, CURLOPT_NOBODY, 1L);
	else if (strcmp(check->method, "GET"))
		r |= curl_easy_setopt(t->easy, CURLOPT_CUSTOMREQUEST, check->method);
	if (!r && add_headers(t))
		return lb_transfer_start(t, reason);
	lb_transfer_free(t);
	return NULL;
}
