// SPDX-License-Identifier: GPL-2.0-or-later
/* HTTP requests to lbd over its Unix socket; see client.h. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include <curl/curl.h>

#include "client.h"

/* Far above what the largest change takes: only a stopped lbd gets there. */
#define ANSWER_TIMEOUT_MS 60000L

struct lb_client {
	CURL *curl;
	char *socket_path;
};

struct buffer {
	char *data;
	size_t len;
};

void lb_client_free(struct lb_client *c)
{
	if (!c)
		return;
	curl_easy_cleanup(c->curl);
	free(c->socket_path);
	free(c);
	curl_global_cleanup();
}

int lb_client_new(const char *socket_path, struct lb_client **out, struct lb_err *err)
{
	struct lb_client *c;

	if (strlen(socket_path) >= sizeof(((struct sockaddr_un *)0)->sun_path))
		return lb_err_set(err, -ENAMETOOLONG, "socket",
				  "%.40s... is too long for a Unix socket: at most %zu bytes", socket_path,
				  sizeof(((struct sockaddr_un *)0)->sun_path) - 1);
	c = calloc(1, sizeof(*c));
	if (!c)
		return lb_err_set(err, -ENOMEM, NULL, "out of memory");
	curl_global_init(CURL_GLOBAL_NOTHING);
	c->socket_path = strdup(socket_path);
	c->curl = curl_easy_init();
	if (!c->socket_path || !c->curl) {
		lb_client_free(c);
		return lb_err_set(err, -ENOMEM, NULL, "out of memory");
	}
	*out = c;
	return 0;
}

static size_t on_body(char *data, size_t size, size_t nmemb, void *ctx)
{
	struct buffer *b = ctx;
	size_t len = size * nmemb;
	char *bigger = realloc(b->data, b->len + len + 1);

	if (!bigger)
		return 0;
	memcpy(bigger + b->len, data, len);
	b->data = bigger;
	b->len += len;
	b->data[b->len] = '\0';
	return len;
}

/* Nobody listens, or we may not talk to who does. */
static int unreachable(const struct lb_client *c, int os_errno, struct lb_err *err)
{
	const char *path = c->socket_path;

	if (os_errno == EACCES || os_errno == EPERM)
		return lb_err_set(err, -EACCES, NULL,
				  "cannot reach lbd at %s: Permission denied; run as root or as a member of group lbd",
				  path);
	if (!strcmp(path, LB_CLIENT_SOCKET))
		return lb_err_set(err, -os_errno, NULL,
				  "cannot reach lbd at %s: %s; start it with 'systemctl start lbd' or 'lbd'", path,
				  strerror(os_errno));
	return lb_err_set(
		err, -os_errno, NULL,
		"cannot reach lbd at %s: %s; start it with 'lbd --socket %s', or correct --socket or LBD_SOCKET", path,
		strerror(os_errno), path);
}

static int curl_error(struct lb_client *c, CURLcode code, struct lb_err *err)
{
	long os_errno = 0;

	switch (code) {
	case CURLE_COULDNT_CONNECT:
		curl_easy_getinfo(c->curl, CURLINFO_OS_ERRNO, &os_errno);
		return unreachable(c, os_errno ? (int)os_errno : ECONNREFUSED, err);
	case CURLE_OPERATION_TIMEDOUT:
		return lb_err_set(err, -ETIMEDOUT, NULL,
				  "lbd at %s did not answer within %ld s; its log may say why ('journalctl -u lbd')",
				  c->socket_path, ANSWER_TIMEOUT_MS / 1000);
	case CURLE_GOT_NOTHING:
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
	case CURLE_PARTIAL_FILE:
		return lb_err_set(
			err, -ECONNRESET, NULL,
			"lbd at %s went away before it answered; 'lbctl export' shows whether the change was made",
			c->socket_path);
	case CURLE_OUT_OF_MEMORY:
	case CURLE_WRITE_ERROR: /* on_body, which fails for one reason only */
		return lb_err_set(err, -ENOMEM, NULL, "out of memory");
	case CURLE_UNSUPPORTED_PROTOCOL: /* HTTP/0.9, which is what anything else looks like */
	case CURLE_WEIRD_SERVER_REPLY:
		return lb_err_set(err, -EPROTO, NULL, "what listens on %s is not lbd: it does not speak HTTP",
				  c->socket_path);
	default:
		return lb_err_set(err, -EPROTO, NULL, "what listens on %s does not speak as lbd does: %s",
				  c->socket_path, curl_easy_strerror(code));
	}
}

static struct curl_slist *headers(const struct lb_request *rq)
{
	struct curl_slist *list = NULL, *more;
	char line[4][128];
	int nr = 2;

	snprintf(line[0], sizeof(line[0]), "Accept: %s", rq->accept ? rq->accept : "application/json");
	snprintf(line[1], sizeof(line[1]),
		 "Expect:"); /* no 100-continue: it would cost a second where it is not answered */
	if (rq->body)
		snprintf(line[nr++], sizeof(line[0]), "Content-Type: %s",
			 rq->content_type ? rq->content_type : "application/json");
	if (rq->if_match)
		snprintf(line[nr++], sizeof(line[0]), "If-Match: %s", rq->if_match);
	for (int i = 0; i < nr; i++) {
		more = curl_slist_append(list, line[i]);
		if (!more) {
			curl_slist_free_all(list);
			return NULL;
		}
		list = more;
	}
	return list;
}

typedef size_t (*write_fn)(char *data, size_t size, size_t nmemb, void *ctx);

/* Send @rq and have @on_data called with the answer's body. @on_second: called about once a second; NULL: ends in time.
 */
static int perform(struct lb_client *c, const struct lb_request *rq, write_fn on_data, curl_xferinfo_callback on_second,
		   void *ctx, int *status, struct lb_err *err)
{
	struct curl_slist *head = headers(rq);
	char *url = NULL;
	CURLcode code;
	long answered = 0;
	int ret = 0;

	if (!head || asprintf(&url, "http://lbd%s", rq->path) < 0) {
		curl_slist_free_all(head);
		return lb_err_set(err, -ENOMEM, NULL, "out of memory");
	}
	curl_easy_reset(c->curl);
	curl_easy_setopt(c->curl, CURLOPT_UNIX_SOCKET_PATH, c->socket_path);
	curl_easy_setopt(c->curl, CURLOPT_URL, url);
	curl_easy_setopt(c->curl, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(c->curl, CURLOPT_PROXY, ""); /* not even where the environment names one */
	curl_easy_setopt(c->curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c->curl, CURLOPT_TIMEOUT_MS, on_second ? 0 : ANSWER_TIMEOUT_MS);
	curl_easy_setopt(c->curl, CURLOPT_NOPROGRESS, on_second ? 0L : 1L);
	curl_easy_setopt(c->curl, CURLOPT_XFERINFOFUNCTION, on_second);
	curl_easy_setopt(c->curl, CURLOPT_XFERINFODATA, ctx);
	curl_easy_setopt(c->curl, CURLOPT_USERAGENT, "lbctl/" LB_VERSION);
	curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, head);
	curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, ctx);
	if (rq->body) {
		curl_easy_setopt(c->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)rq->body_bytes);
		curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, rq->body);
	}
	curl_easy_setopt(c->curl, CURLOPT_CUSTOMREQUEST, rq->method);
	code = curl_easy_perform(c->curl);
	curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &answered);
	*status = (int)answered;
	if (code != CURLE_OK)
		ret = curl_error(c, code, err);
	curl_slist_free_all(head);
	free(url);
	return ret;
}

int lb_client_do(struct lb_client *c, const struct lb_request *rq, struct lb_response *out, struct lb_err *err)
{
	struct buffer body = {strdup(""), 0};
	int ret, status;

	if (!body.data)
		return lb_err_set(err, -ENOMEM, NULL, "out of memory");
	ret = perform(c, rq, on_body, NULL, &body, &status, err);
	if (ret) {
		free(body.data);
		return ret;
	}
	*out = (struct lb_response){.status = status, .body = body.data, .body_bytes = body.len};
	return 0;
}

/* ---- streams ---- */

struct stream {
	struct lb_client *client;
	lb_client_line_fn cb;
	void *ctx;
	struct buffer rest; /* of a line that has not ended; of an answer that is no success, all */
	bool over;	    /* @cb has had enough */
};

static size_t on_lines(char *data, size_t size, size_t nmemb, void *ctx)
{
	struct stream *s = ctx;
	char *line, *end;
	long status = 0;

	if (on_body(data, size, nmemb, &s->rest) != size * nmemb)
		return 0;
	curl_easy_getinfo(s->client->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status < 200 || status > 299)
		return size * nmemb;
	for (line = s->rest.data; !s->over && (end = strchr(line, '\n')); line = end + 1) {
		*end = '\0';
		s->over = !s->cb(s->ctx, line);
	}
	s->rest.len -= (size_t)(line - s->rest.data);
	memmove(s->rest.data, line, s->rest.len + 1);
	return s->over ? 0 : size * nmemb;
}

static int on_second(void *ctx, curl_off_t to_come, curl_off_t came, curl_off_t to_go, curl_off_t went)
{
	struct stream *s = ctx;
	long status = 0;

	curl_easy_getinfo(s->client->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status >= 200 && status <= 299)
		s->over |= !s->cb(s->ctx, NULL);
	return s->over;
}

int lb_client_stream(struct lb_client *c, const struct lb_request *rq, lb_client_line_fn cb, void *ctx,
		     struct lb_response *out, struct lb_err *err)
{
	struct stream s = {.client = c, .cb = cb, .ctx = ctx, .rest = {strdup(""), 0}};
	int ret, status;

	if (!s.rest.data)
		return lb_err_set(err, -ENOMEM, NULL, "out of memory");
	ret = perform(c, rq, on_lines, on_second, &s, &status, err);
	if (ret && !s.over) {
		free(s.rest.data);
		return ret;
	}
	*out = (struct lb_response){.status = status, .body = s.rest.data, .body_bytes = s.rest.len};
	return 0;
}

void lb_response_fini(struct lb_response *r)
{
	free(r->body);
	*r = (struct lb_response){0};
}

/* What RFC 3986 calls unreserved stays as it is. */
static char *escape(const char *text)
{
	static const char hex[] = "0123456789ABCDEF";
	char *out = malloc(3 * strlen(text) + 1), *p = out;

	if (!out)
		return NULL;
	for (; *text; text++) {
		unsigned char ch = (unsigned char)*text;
		bool plain = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9') ||
			     strchr("-._~", ch);

		if (plain) {
			*p++ = (char)ch;
			continue;
		}
		*p++ = '%';
		*p++ = hex[ch >> 4];
		*p++ = hex[ch & 15];
	}
	*p = '\0';
	return out;
}

char *lb_client_path(const char *const *segments)
{
	char *path = strdup("/v1"), *longer, *text;

	for (; path && *segments; segments++) {
		text = escape(*segments);
		if (!text || asprintf(&longer, "%s/%s", path, text) < 0)
			longer = NULL;
		free(text);
		free(path);
		path = longer;
	}
	return path;
}

char *lb_client_query(char *path, const char *key, const char *value)
{
	char *text = escape(value), *longer = NULL;

	if (path && text && asprintf(&longer, "%s%c%s=%s", path, strchr(path, '?') ? '&' : '?', key, text) < 0)
		longer = NULL;
	free(text);
	free(path);
	return longer;
}
