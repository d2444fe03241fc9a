// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What holds for every request before its handler sees it: how large it may be, what its body may be declared as, and
 * RFC 9110's conditions. The tag of the configuration is its generation; a service's is a hash of its configuration.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "api.h"

void lb_api_etag(const struct lb_control *c, const char *service, char etag[LB_HTTP_ETAG_STRLEN])
{
	const struct lb_service_conf *s = service ? lb_config_service(c->config, service) : NULL;

	etag[0] = '\0';
	if (!service)
		snprintf(etag, LB_HTTP_ETAG_STRLEN, "\"%llu\"", (unsigned long long)c->generation);
	else if (s)
		snprintf(etag, LB_HTTP_ETAG_STRLEN, "\"s%016llx\"", (unsigned long long)lb_service_conf_hash(s));
}

/* ---- conditions ---- */

/* Is @etag in the list of a condition's header? @weak: as If-None-Match compares, which W/ does not matter to. */
static bool has_tag(const char *list, const char *etag, bool weak)
{
	size_t len = strlen(etag);

	while (*list) {
		list += strspn(list, " \t,");
		if (weak && !strncmp(list, "W/", 2))
			list += 2;
		if (len && !strncmp(list, etag, len) && (!list[len] || strchr(" \t,", list[len])))
			return true;
		list += strcspn(list, ",");
	}
	return false;
}

static bool is_any(const char *list)
{
	return !strcmp(list + strspn(list, " \t"), "*");
}

static void refuse_stale(struct lb_api_call *call, const char *what, const char *etag)
{
	char detail[256];

	snprintf(detail, sizeof(detail),
		 "%.64s is not what If-Match says, it is %s now; read it again, and repeat the change", what, etag);
	lb_api_problem(call, 412, detail);
	snprintf(call->resp->etag, sizeof(call->resp->etag), "%s", etag);
}

bool lb_api_conditions(struct lb_api_call *call, enum lb_api_tag tag, bool safe)
{
	const char *match = lb_http_header(call->req, "If-Match"), *none = lb_http_header(call->req, "If-None-Match");
	const char *name = tag == LB_API_TAG_SERVICE ? call->arg[0] : NULL;
	char etag[LB_HTTP_ETAG_STRLEN], whole[LB_HTTP_ETAG_STRLEN];

	if (tag == LB_API_TAG_NONE || (!match && !none))
		return true;
	lb_api_etag(call->control, NULL, whole);
	lb_api_etag(call->control, name, etag);
	if (!etag[0])
		return true; /* there is no such service, as its handler says better */
	/* Who has read the whole configuration knows the service, too. */
	if (match && !is_any(match) && !has_tag(match, etag, false) && !has_tag(match, whole, false)) {
		refuse_stale(call, name ? name : "the configuration", etag);
		return false;
	}
	if (!none || !(is_any(none) || has_tag(none, etag, true)))
		return true;
	if (!safe) {
		lb_api_problem(call, 412, "If-None-Match names what there is now");
		return false;
	}
	call->resp->status = 304;
	snprintf(call->resp->etag, sizeof(call->resp->etag), "%s", etag);
	return false;
}

/* ---- the body ---- */

/* JSON and YAML by their names, and what clients say that were not told: curl's -d and --data-binary, a browser's text.
 */
static bool is_readable(const char *type, size_t len)
{
	static const char *const types[] = {
		"application/json",
		"application/yaml",
		"application/x-yaml",
		"text/json",
		"text/yaml",
		"text/x-yaml",
		"text/plain",
		"application/octet-stream",
		"application/x-www-form-urlencoded",
	};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (strlen(types[i]) == len && !strncasecmp(type, types[i], len))
			return true;
	return len > 5 && (!strncasecmp(type + len - 5, "+json", 5) || !strncasecmp(type + len - 5, "+yaml", 5));
}

static bool is_utf8(const char *parameters)
{
	const char *charset = strcasestr(parameters, "charset=");
	size_t quote;

	if (!charset)
		return true;
	charset += strlen("charset=");
	quote = *charset == '"';
	return !strncasecmp(charset + quote, "utf-8", 5) || !strncasecmp(charset + quote, "us-ascii", 8);
}

static bool check_type(struct lb_api_call *call)
{
	const char *type = lb_http_header(call->req, "Content-Type");
	const char *coding = lb_http_header(call->req, "Content-Encoding");
	char detail[192];
	size_t len;

	if (!call->req->body_len)
		return true;
	if (coding && strcasecmp(coding, "identity")) {
		snprintf(detail, sizeof(detail), "Content-Encoding: %.32s is not understood; send the body as it is",
			 coding);
		lb_api_problem(call, 415, detail);
		return false;
	}
	if (!type)
		return true;
	type += strspn(type, " \t");
	len = strcspn(type, "; \t");
	if (is_readable(type, len) && is_utf8(type + len))
		return true;
	snprintf(detail, sizeof(detail),
		 "a body of Content-Type %.80s is not understood; send application/json or "
		 "application/yaml, in UTF-8",
		 lb_err_text(type));
	lb_api_problem(call, 415, detail);
	return false;
}

void lb_api_busy(struct lb_api_call *call)
{
	lb_api_problem(call, 503, "too many large requests and answers are under way; try again");
	call->resp->retry_after_s = 1;
}

bool lb_api_acceptable(struct lb_api_call *call)
{
	const struct lb_http_request *req = call->req;

	if (req->ambiguous) {
		lb_api_problem(call, 400, "there is more than one Content-Length, or one beside a Transfer-Encoding");
	} else if (req->coding) {
		lb_api_problem(
			call, req->coding,
			req->coding == 501
				? "a Transfer-Encoding other than chunked is not understood; send the body as it is"
				: "the Transfer-Encoding is not chunked, or not at last: where the body ends is not to "
				  "be known");
	} else if (req->headers_too_large) {
		lb_api_problem(call, 431, "the headers are larger than 16 KiB");
	} else if (req->too_large) {
		lb_api_problem(call, 413, "the body is larger than 16 MiB");
	} else if (req->busy) {
		lb_api_busy(call);
	} else {
		return check_type(call);
	}
	return false;
}

/* q of one of Accept's media ranges, in thousandths. What is no number counts as none was given. */
static unsigned int quality(const char *range, size_t len)
{
	const char *end = range + len, *at = range;
	double q;
	char *rest;

	while ((at = memchr(at, ';', (size_t)(end - at)))) {
		at += 1 + strspn(at + 1, " \t");
		if (at + 2 >= end || (*at != 'q' && *at != 'Q') || at[1] != '=')
			continue;
		q = strtod(at + 2, &rest);
		return rest == at + 2 || !(q >= 0 && q <= 1) ? 1000 : (unsigned int)(q * 1000);
	}
	return 1000;
}

bool lb_api_prefers_yaml(const char *accept)
{
	unsigned int yaml = 0, json = 0, q;

	while (accept && *accept) {
		size_t len = strcspn(accept, ","), type = strcspn(accept, ",;");

		q = quality(accept, len);
		if (memmem(accept, type, "yaml", 4))
			yaml = q > yaml ? q : yaml;
		else if (memmem(accept, type, "json", 4))
			json = q > json ? q : json;
		accept += len + (accept[len] == ',');
	}
	return yaml && yaml >= json;
}
