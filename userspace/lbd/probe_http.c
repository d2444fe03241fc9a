// SPDX-License-Identifier: GPL-2.0-or-later
/* The http check: libcurl's multi interface, its sockets and its timer in lbd's event loop. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "clock.h"
#include "probe.h"

#define BODY_MAX_BYTES (64U << 10) /* more of an answer is not read */

struct lb_probe_http {
	struct event_base *base;
	CURLM *multi;
	struct event *timer;
};

struct http_probe {
	struct lb_probe probe;
	struct lb_probe_request req;
	struct lb_probe_http *owner;
	CURL *easy;
	struct curl_slist *headers;
	char *body;
	size_t len;
	bool enough; /* we stopped reading, nothing is wrong */
};

static void http_probe_free(struct http_probe *p)
{
	if (p->easy) {
		curl_multi_remove_handle(p->owner->multi, p->easy);
		curl_easy_cleanup(p->easy);
	}
	curl_slist_free_all(p->headers);
	free(p->body);
	free(p);
}

static void http_cancel(struct lb_probe *probe)
{
	http_probe_free((struct http_probe *)probe);
}

static bool body_matches(const struct http_probe *p)
{
	size_t want = strlen(p->req.check->body);

	return !want || (p->body && memmem(p->body, p->len, p->req.check->body, want));
}

static size_t on_body(char *data, size_t size, size_t nmemb, void *ctx)
{
	struct http_probe *p = ctx;
	size_t len = size * nmemb, take = len;

	if (take > BODY_MAX_BYTES - p->len)
		take = BODY_MAX_BYTES - p->len;
	if (!p->body)
		p->body = malloc(BODY_MAX_BYTES);
	if (!p->body)
		return 0;
	memcpy(p->body + p->len, data, take);
	p->len += take;
	if (p->len < BODY_MAX_BYTES)
		return len;
	p->enough = true;
	return 0;
}

static enum lb_reason answer_reason(const struct http_probe *p)
{
	long status = 0;

	curl_easy_getinfo(p->easy, CURLINFO_RESPONSE_CODE, &status);
	if (status < p->req.check->status_min || status > p->req.check->status_max)
		return LB_REASON_STATUS;
	return body_matches(p) ? LB_REASON_OK : LB_REASON_BODY;
}

static enum lb_reason result_reason(const struct http_probe *p, CURLcode code)
{
	long error = 0;

	switch (code) {
	case CURLE_OK:
		return answer_reason(p);
	case CURLE_WRITE_ERROR:
		return p->enough ? answer_reason(p) : LB_REASON_INTERNAL;
	case CURLE_OPERATION_TIMEDOUT:
		return LB_REASON_TIMEOUT;
	case CURLE_COULDNT_CONNECT:
		curl_easy_getinfo(p->easy, CURLINFO_OS_ERRNO, &error);
		return error ? lb_probe_errno(error) : LB_REASON_UNREACHABLE;
	case CURLE_GOT_NOTHING:
	case CURLE_PARTIAL_FILE:
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
		return LB_REASON_RESET;
	case CURLE_OUT_OF_MEMORY:
	case CURLE_FAILED_INIT:
		return LB_REASON_INTERNAL;
	default:
		return LB_REASON_PROTOCOL;
	}
}

static void collect(struct lb_probe_http *h)
{
	CURLMsg *msg;
	int left;

	while ((msg = curl_multi_info_read(h->multi, &left))) {
		struct lb_probe_request req;
		enum lb_reason reason;
		struct http_probe *p;

		if (msg->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&p);
		reason = result_reason(p, msg->data.result);
		req = p->req;
		http_probe_free(p);
		req.done(req.ctx, reason);
	}
}

static void on_fd(evutil_socket_t fd, short what, void *ctx)
{
	struct lb_probe_http *h = ctx;
	int running, mask = 0;

	if (what & EV_READ)
		mask |= CURL_CSELECT_IN;
	if (what & EV_WRITE)
		mask |= CURL_CSELECT_OUT;
	curl_multi_socket_action(h->multi, fd, mask, &running);
	collect(h);
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
	struct lb_probe_http *h = ctx;
	int running;

	curl_multi_socket_action(h->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	collect(h);
}

static int set_timer(CURLM *multi, long ms, void *ctx)
{
	struct lb_probe_http *h = ctx;
	struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	if (ms < 0)
		evtimer_del(h->timer);
	else
		evtimer_add(h->timer, &tv);
	return 0;
}

static int set_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *socket_ctx)
{
	struct lb_probe_http *h = ctx;
	struct event *ev = socket_ctx;
	short events = EV_PERSIST;

	if (ev)
		event_free(ev);
	if (what == CURL_POLL_REMOVE) {
		curl_multi_assign(h->multi, fd, NULL);
		return 0;
	}
	if (what & CURL_POLL_IN)
		events |= EV_READ;
	if (what & CURL_POLL_OUT)
		events |= EV_WRITE;
	ev = event_new(h->base, fd, events, on_fd, h);
	curl_multi_assign(h->multi, fd, ev);
	return ev && !event_add(ev, NULL) ? 0 : -1;
}

struct lb_probe_http *lb_probe_http_new(struct event_base *base)
{
	struct lb_probe_http *h = calloc(1, sizeof(*h));

	if (!h || curl_global_init(CURL_GLOBAL_DEFAULT)) {
		free(h);
		return NULL;
	}
	h->base = base;
	h->multi = curl_multi_init();
	h->timer = evtimer_new(base, on_timer, h);
	if (!h->multi || !h->timer) {
		lb_probe_http_free(h);
		return NULL;
	}
	curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, set_socket);
	curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h);
	curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, set_timer);
	curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, h);
	return h;
}

void lb_probe_http_free(struct lb_probe_http *h)
{
	if (!h)
		return;
	if (h->multi)
		curl_multi_cleanup(h->multi);
	if (h->timer)
		event_free(h->timer);
	free(h);
	curl_global_cleanup();
}

static int http_setup(struct http_probe *p)
{
	const struct lb_check_conf *check = p->req.check;
	char url[LB_ADDR_STRLEN + 16], to[LB_ADDR_STRLEN], host[sizeof(check->host) + 8];
	CURL *e = p->easy;
	CURLcode r = CURLE_OK;

	snprintf(url, sizeof(url), "http://%s/", lb_endpoint_format(&p->req.to, to));
	if (check->host[0]) {
		snprintf(host, sizeof(host), "Host: %s", check->host);
		p->headers = curl_slist_append(NULL, host);
		if (!p->headers)
			return -ENOMEM;
	}
	r |= curl_easy_setopt(e, CURLOPT_URL, url);
	/* The path goes out as it was written. */
	r |= curl_easy_setopt(e, CURLOPT_REQUEST_TARGET, check->path[0] ? check->path : "/");
	r |= curl_easy_setopt(e, CURLOPT_HTTPHEADER, p->headers);
	r |= curl_easy_setopt(e, CURLOPT_USERAGENT, "lbd/" LB_VERSION);
	r |= curl_easy_setopt(e, CURLOPT_PROXY, "");
	r |= curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http");
	r |= curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	r |= curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
	r |= curl_easy_setopt(e, CURLOPT_FRESH_CONNECT, 1L);
	r |= curl_easy_setopt(e, CURLOPT_FORBID_REUSE, 1L);
	r |= curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	r |= curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)((check->timeout_ns + 999999) / 1000000));
	r |= curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
	r |= curl_easy_setopt(e, CURLOPT_WRITEDATA, p);
	r |= curl_easy_setopt(e, CURLOPT_PRIVATE, p);
	return r ? -ENOMEM : 0;
}

struct lb_probe *lb_probe_http_start(struct lb_probe_http *h, const struct lb_probe_request *req,
				     enum lb_reason *reason)
{
	struct http_probe *p = calloc(1, sizeof(*p));

	*reason = LB_REASON_INTERNAL;
	if (!p)
		return NULL;
	p->probe.cancel = http_cancel;
	p->req = *req;
	p->owner = h;
	p->easy = curl_easy_init();
	if (!p->easy || http_setup(p) || curl_multi_add_handle(h->multi, p->easy)) {
		http_probe_free(p);
		return NULL;
	}
	return &p->probe;
}
