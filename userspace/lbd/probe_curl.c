// SPDX-License-Identifier: GPL-2.0-or-later
/* libcurl's multi interface in lbd's event loop, and what every request of a check has in common. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <openssl/ssl.h>

#include "clock.h"
#include "probe_curl.h"
#include "share.h"
#include "trust.h"

#define BODY_MAX_BYTES (64U << 10) /* more of an answer is not read */
#define BEGIN_STEP_NS 1000000ULL
#define HEADERS_MAX_BYTES (64U << 10) /* who sends more of them does not speak the check's protocol */

/* Whatever libcurl is called for, it does all that is due of a multi handle at one go, which many checks that come
 * together would make many milliseconds. So there are some of them, between which the event loop goes on. */
#define LANES 8

struct lb_transfer_lane {
	struct event_base *base;
	CURLM *multi;
	struct event *timer;
	struct event *over; /* one was over as soon as it was begun */
	int nr;		    /* transfers */
};

struct lb_probe_curl {
	struct event_base *base;
	struct lb_transfer_lane lanes[LANES];
	unsigned int next; /* lane */
	struct lb_trust *trust;
	struct lb_transfer *waiting; /* for trusted certificates */
};

static void stop_waiting(struct lb_transfer *t)
{
	*t->link = t->next;
	if (t->next)
		t->next->link = t->link;
	t->link = NULL;
}

void lb_transfer_free(struct lb_transfer *t)
{
	if (t->link)
		stop_waiting(t);
	if (t->patience)
		event_free(t->patience);
	if (t->lane) {
		curl_multi_remove_handle(t->lane->multi, t->easy);
		t->lane->nr--;
	}
	if (t->easy)
		curl_easy_cleanup(t->easy);
	curl_slist_free_all(t->headers);
	curl_slist_free_all(t->connect_to);
	X509_STORE_free(t->trusted);
	free(t->body);
	free(t);
}

static void transfer_cancel(struct lb_probe *probe)
{
	lb_transfer_free((struct lb_transfer *)probe);
}

static void finish(struct lb_transfer *t, enum lb_reason reason)
{
	struct lb_probe_request req = t->req;

	lb_transfer_free(t);
	req.done(req.ctx, reason);
}

/* ---- what comes in ---- */

static size_t on_body(char *data, size_t size, size_t nmemb, void *ctx)
{
	struct lb_transfer *t = ctx;
	size_t len = size * nmemb, taken = len;

	if (taken > BODY_MAX_BYTES - t->body_bytes)
		taken = BODY_MAX_BYTES - t->body_bytes;
	if (!t->body)
		t->body = malloc(BODY_MAX_BYTES);
	if (!t->body)
		return 0;
	memcpy(t->body + t->body_bytes, data, taken);
	t->body_bytes += taken;
	if (t->body_bytes < BODY_MAX_BYTES)
		return len;
	t->enough = true;
	return 0;
}

/* What the backend says of its weight. An answer such as 103 that comes before the one that counts does not. */
static void read_share(struct lb_transfer *t, const char *line, size_t len)
{
	const char *name = t->req.check->weight_header;
	size_t name_len = name ? strlen(name) : 0;
	char value[64];

	if (len > 5 && !strncasecmp(line, "HTTP/", 5))
		t->has_share = false;
	if (!name || len <= name_len || line[name_len] != ':' || strncasecmp(line, name, name_len))
		return;
	/* What is cut off is not looked at. */
	snprintf(value, sizeof(value), "%.*s", (int)(len - name_len - 1), line + name_len + 1);
	value[strcspn(value, "\r\n")] = '\0';
	t->has_share = !lb_share_parse(value, &t->share);
}

/* A server that went away in the middle of its headers has answered, as libcurl sees it. */
static void note_end(struct lb_transfer *t, const char *line, size_t len)
{
	if (len > 5 && !strncasecmp(line, "HTTP/", 5))
		t->whole = false;
	else if (len && (*line == '\r' || *line == '\n'))
		t->whole = true;
}

/* Trailers come here, too. */
static size_t on_header(char *line, size_t size, size_t nmemb, void *ctx)
{
	static const char status[] = "grpc-status:";
	size_t len = size * nmemb, at = sizeof(status) - 1;
	struct lb_transfer *t = ctx;

	t->header_bytes += len;
	if (t->header_bytes > HEADERS_MAX_BYTES)
		return 0;
	note_end(t, line, len);
	read_share(t, line, len);
	if (len <= at || strncasecmp(line, status, at))
		return len;
	while (at < len && line[at] == ' ')
		at++;
	t->grpc_status = at < len && line[at] >= '0' && line[at] <= '9' ? 0 : INT32_MAX;
	for (; at < len && line[at] >= '0' && line[at] <= '9' && t->grpc_status < 1000; at++)
		t->grpc_status = t->grpc_status * 10 + line[at] - '0';
	return len;
}

/* A line that is too long for libcurl is out of memory to it. */
static bool has_come(const struct lb_transfer *t)
{
	curl_off_t first_us = 0;

	curl_easy_getinfo(t->easy, CURLINFO_STARTTRANSFER_TIME_T, &first_us);
	return first_us > 0;
}

static enum lb_reason result_reason(const struct lb_transfer *t, CURLcode code)
{
	long error = 0;

	switch (code) {
	case CURLE_OK:
		return t->whole ? t->judge(t) : LB_REASON_RESET;
	case CURLE_WRITE_ERROR:
		if (t->header_bytes > HEADERS_MAX_BYTES)
			return LB_REASON_PROTOCOL;
		return t->enough ? t->judge(t) : LB_REASON_INTERNAL;
	case CURLE_OPERATION_TIMEDOUT:
		return LB_REASON_TIMEOUT;
	case CURLE_COULDNT_CONNECT:
		if (t->socket_error)
			return lb_probe_errno(t->socket_error);
		curl_easy_getinfo(t->easy, CURLINFO_OS_ERRNO, &error);
		return error ? lb_probe_errno((int)error) : LB_REASON_UNREACHABLE;
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CIPHER:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_INVALIDCERTSTATUS:
	case CURLE_SSL_CLIENTCERT:
		return LB_REASON_TLS;
	case CURLE_GOT_NOTHING:
	case CURLE_PARTIAL_FILE:
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
		return LB_REASON_RESET;
	case CURLE_OUT_OF_MEMORY:
		return has_come(t) ? LB_REASON_PROTOCOL : LB_REASON_INTERNAL;
	case CURLE_FAILED_INIT:
	case CURLE_URL_MALFORMAT:
		return LB_REASON_INTERNAL;
	default:
		return LB_REASON_PROTOCOL;
	}
}

static void collect(struct lb_transfer_lane *l)
{
	struct lb_transfer *t;
	CURLMsg *msg;
	int left;

	while ((msg = curl_multi_info_read(l->multi, &left))) {
		if (msg->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&t);
		finish(t, result_reason(t, msg->data.result));
	}
}

/* ---- libcurl's sockets and timer ---- */

static void on_fd(evutil_socket_t fd, short what, void *ctx)
{
	struct lb_transfer_lane *l = ctx;
	int running, mask = 0;

	if (what & EV_READ)
		mask |= CURL_CSELECT_IN;
	if (what & EV_WRITE)
		mask |= CURL_CSELECT_OUT;
	curl_multi_socket_action(l->multi, fd, mask, &running);
	collect(l);
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
	struct lb_transfer_lane *l = ctx;
	int running;

	curl_multi_socket_action(l->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	collect(l);
}

static void on_over(evutil_socket_t fd, short what, void *ctx)
{
	collect(ctx);
}

static int set_timer(CURLM *multi, long ms, void *ctx)
{
	struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
	struct lb_transfer_lane *l = ctx;

	if (ms < 0)
		evtimer_del(l->timer);
	else
		evtimer_add(l->timer, &tv);
	return 0;
}

static int set_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *socket_ctx)
{
	struct lb_transfer_lane *l = ctx;
	struct event *ev = socket_ctx;
	short events = EV_PERSIST;

	if (ev)
		event_free(ev);
	if (what == CURL_POLL_REMOVE) {
		curl_multi_assign(l->multi, fd, NULL);
		return 0;
	}
	if (what & CURL_POLL_IN)
		events |= EV_READ;
	if (what & CURL_POLL_OUT)
		events |= EV_WRITE;
	ev = event_new(l->base, fd, events, on_fd, l);
	curl_multi_assign(l->multi, fd, ev);
	return ev && !event_add(ev, NULL) ? 0 : -1;
}

static curl_socket_t open_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *a)
{
	struct lb_transfer *t = ctx;
	int fd = lb_probe_socket(a->family, a->socktype, a->protocol, t->req.mark);

	if (fd >= 0)
		return fd;
	t->socket_error = -fd;
	return CURL_SOCKET_BAD;
}

/* ---- who is trusted ---- */

static CURLcode use_trusted(CURL *easy, void *ssl_ctx, void *ctx)
{
	const struct lb_transfer *t = ctx;

	SSL_CTX_set1_cert_store(ssl_ctx, t->trusted);
	return CURLE_OK;
}

/* Those that waited begin one after the other, a millisecond apart: all together they would keep the loop. */
static void on_trust(void *ctx)
{
	struct lb_probe_curl *c = ctx;
	struct lb_transfer *t, *next;
	uint64_t delay_ns = 0;
	struct timeval delay;
	int ret;

	for (t = c->waiting; t; t = next) {
		next = t->next;
		ret = lb_trust_get(c->trust, t->req.check->ca_file, &t->trusted);
		if (ret == -EAGAIN)
			continue;
		stop_waiting(t);
		delay = lb_timeval(delay_ns);
		delay_ns += BEGIN_STEP_NS;
		evtimer_add(t->patience, &delay);
	}
}

/* It is begun now, rather than by the timer, which would begin all that came in this round together. */
static bool begin(struct lb_transfer *t)
{
	struct lb_probe_curl *c = t->owner;
	struct lb_transfer_lane *l = &c->lanes[c->next++ % LANES];
	int running;

	if (curl_multi_add_handle(l->multi, t->easy))
		return false;
	t->lane = l;
	l->nr++;
	curl_multi_socket_action(l->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	if (running < l->nr)
		event_active(l->over, EV_TIMEOUT, 0);
	return true;
}

/* The certificates are there, or it has waited for too long. */
static void on_patience(evutil_socket_t fd, short what, void *ctx)
{
	struct lb_transfer *t = ctx;

	if (!t->trusted || !begin(t))
		finish(t, LB_REASON_INTERNAL);
}

static bool wait_for_trust(struct lb_transfer *t)
{
	struct timeval timeout = lb_timeval(t->req.check->timeout_ns);

	t->patience = evtimer_new(t->owner->base, on_patience, t);
	if (!t->patience || evtimer_add(t->patience, &timeout))
		return false;
	t->next = t->owner->waiting;
	if (t->next)
		t->next->link = &t->next;
	t->link = &t->owner->waiting;
	t->owner->waiting = t;
	return true;
}

/* ---- the whole ---- */

static bool lane_init(struct lb_transfer_lane *l, struct event_base *base)
{
	l->base = base;
	l->multi = curl_multi_init();
	l->timer = evtimer_new(base, on_timer, l);
	l->over = evtimer_new(base, on_over, l);
	if (!l->multi || !l->timer || !l->over)
		return false;
	curl_multi_setopt(l->multi, CURLMOPT_SOCKETFUNCTION, set_socket);
	curl_multi_setopt(l->multi, CURLMOPT_SOCKETDATA, l);
	curl_multi_setopt(l->multi, CURLMOPT_TIMERFUNCTION, set_timer);
	curl_multi_setopt(l->multi, CURLMOPT_TIMERDATA, l);
	/* Each check finds out for itself whether a connection can be made. */
	curl_multi_setopt(l->multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
	return true;
}

struct lb_probe_curl *lb_probe_curl_new(struct event_base *base)
{
	struct lb_probe_curl *c = calloc(1, sizeof(*c));
	bool ok;

	if (!c || curl_global_init(CURL_GLOBAL_DEFAULT)) {
		free(c);
		return NULL;
	}
	c->base = base;
	c->trust = lb_trust_new(base, on_trust, c);
	ok = c->trust;
	for (int i = 0; i < LANES; i++)
		ok &= lane_init(&c->lanes[i], base);
	if (ok)
		return c;
	lb_probe_curl_free(c);
	return NULL;
}

void lb_probe_curl_free(struct lb_probe_curl *c)
{
	if (!c)
		return;
	for (int i = 0; i < LANES; i++) {
		if (c->lanes[i].multi)
			curl_multi_cleanup(c->lanes[i].multi);
		if (c->lanes[i].timer)
			event_free(c->lanes[i].timer);
		if (c->lanes[i].over)
			event_free(c->lanes[i].over);
	}
	lb_trust_free(c->trust);
	free(c);
	curl_global_cleanup();
}

bool lb_transfer_header(struct lb_transfer *t, const char *line)
{
	struct curl_slist *list = curl_slist_append(t->headers, line);

	if (list)
		t->headers = list;
	return list;
}

/* The name that the certificate must have: as it is given, else the Host header's; "": neither names one. */
static void server_name(const struct lb_check_conf *check, char name[LB_CHECK_TEXT_MAX + 2])
{
	const char *from = check->server_name ? check->server_name : check->host;
	size_t len = strcspn(from, ":");

	/* An address: bare as a server name, in brackets as a host. */
	if (check->server_name && from[len])
		snprintf(name, LB_CHECK_TEXT_MAX + 2, "[%s]", from);
	else if (*from == '[')
		snprintf(name, LB_CHECK_TEXT_MAX + 2, "%.*s", (int)strcspn(from, "]") + 1, from);
	else
		snprintf(name, LB_CHECK_TEXT_MAX + 2, "%.*s", (int)len, from);
}

static CURLcode set_tls(struct lb_transfer *t)
{
	bool verify = t->req.check->verify;
	CURL *e = t->easy;
	CURLcode r = CURLE_OK;

	/* What is trusted comes by use_trusted() alone. */
	r |= curl_easy_setopt(e, CURLOPT_CAINFO, NULL);
	r |= curl_easy_setopt(e, CURLOPT_CAPATH, NULL);
	r |= curl_easy_setopt(e, CURLOPT_CA_CACHE_TIMEOUT, 0L);
	r |= curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, (long)verify);
	r |= curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, verify ? 2L : 0L);
	/* A session that is taken up again shows no certificate. */
	r |= curl_easy_setopt(e, CURLOPT_SSL_SESSIONID_CACHE, 0L);
	if (verify) {
		r |= curl_easy_setopt(e, CURLOPT_SSL_CTX_FUNCTION, use_trusted);
		r |= curl_easy_setopt(e, CURLOPT_SSL_CTX_DATA, t);
	}
	return r;
}

/* The backend's address is where it goes, whatever name it asks for. */
static CURLcode set_url(struct lb_transfer *t, bool tls)
{
	char name[LB_CHECK_TEXT_MAX + 2] = "", to[LB_ADDR_STRLEN], text[LB_CHECK_TEXT_MAX + 64];
	CURLcode r;

	lb_endpoint_format(&t->req.to, to);
	if (tls)
		server_name(t->req.check, name);
	if (*name) {
		snprintf(text, sizeof(text), "::%s", to);
		t->connect_to = curl_slist_append(NULL, text);
		snprintf(text, sizeof(text), "https://%s:%u/", name, ntohs(t->req.to.port));
	} else {
		snprintf(text, sizeof(text), "%s://%s/", tls ? "https" : "http", to);
	}
	if (*name && !t->connect_to)
		return CURLE_OUT_OF_MEMORY;
	r = curl_easy_setopt(t->easy, CURLOPT_URL, text);
	return r | curl_easy_setopt(t->easy, CURLOPT_CONNECT_TO, t->connect_to);
}

static CURLcode set_common(struct lb_transfer *t, bool tls)
{
	CURL *e = t->easy;
	CURLcode r = set_url(t, tls);

	r |= curl_easy_setopt(e, CURLOPT_USERAGENT, "lbd/" LB_VERSION);
	r |= curl_easy_setopt(e, CURLOPT_PROXY, "");
	r |= curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
	r |= curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
	r |= curl_easy_setopt(e, CURLOPT_FRESH_CONNECT, 1L);
	r |= curl_easy_setopt(e, CURLOPT_FORBID_REUSE, 1L);
	r |= curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	r |= curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)((t->req.check->timeout_ns + 999999) / 1000000));
	r |= curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	r |= curl_easy_setopt(e, CURLOPT_OPENSOCKETDATA, t);
	r |= curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
	r |= curl_easy_setopt(e, CURLOPT_WRITEDATA, t);
	r |= curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
	r |= curl_easy_setopt(e, CURLOPT_HEADERDATA, t);
	r |= curl_easy_setopt(e, CURLOPT_PRIVATE, t);
	return tls ? r | set_tls(t) : r;
}

struct lb_transfer *lb_transfer_new(struct lb_probe_curl *c, const struct lb_probe_request *req, bool tls)
{
	struct lb_transfer *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->probe.cancel = transfer_cancel;
	t->req = *req;
	t->owner = c;
	t->grpc_status = -1;
	t->easy = curl_easy_init();
	if (t->easy && !set_common(t, tls))
		return t;
	lb_transfer_free(t);
	return NULL;
}

struct lb_probe *lb_transfer_start(struct lb_transfer *t, enum lb_reason *reason)
{
	const struct lb_check_conf *check = t->req.check;
	bool tls = check->type == LB_CHECK_HTTPS || check->tls;
	int ret = 0;

	*reason = LB_REASON_INTERNAL;
	curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->headers);
	if (tls && check->verify)
		ret = lb_trust_get(t->owner->trust, check->ca_file, &t->trusted);
	if (ret == -EAGAIN && wait_for_trust(t))
		return &t->probe;
	if (!ret && begin(t))
		return &t->probe;
	lb_transfer_free(t);
	return NULL;
}
