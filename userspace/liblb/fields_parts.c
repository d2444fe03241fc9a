/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a service's fields are made of: checks, affinity, QUIC, lists of texts. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "fields_priv.h"

bool lb_text_only(const char *text, const char *others)
{
	for (; *text; text++)
		if (!(*text >= 'a' && *text <= 'z') && !(*text >= 'A' && *text <= 'Z') &&
		    !(*text >= '0' && *text <= '9') && !strchr(others, *text))
			return false;
	return true;
}

bool lb_text_is_visible(const char *text)
{
	for (; *text; text++)
		if (*text <= ' ' || *text > '~')
			return false;
	return true;
}

static int verify_path(const char *text, struct lb_err *err)
{
	/* Of a whole URL, which begins as the text of a check does. */
	if (text[0] == '/' && text[1] == '/')
		return lb_err_set(err, -EINVAL, NULL,
				  "%.64s begins with //; write the path alone (such as http:/health), and the host in "
				  "the check's host",
				  lb_err_text(text));
	if (*text == '/' && lb_text_is_visible(text))
		return 0;
	return lb_err_set(err, -EINVAL, NULL, "%.64s is not a path: it begins with / and has no spaces",
			  lb_err_text(text));
}

static int verify_host(const char *text, struct lb_err *err)
{
	if (lb_text_only(text, "._-:[]"))
		return 0;
	return lb_err_set(err, -EINVAL, NULL, "%.64s is not a host (such as www.example.org or example.org:8080)",
			  text);
}

static int verify_body(const char *text, struct lb_err *err)
{
	for (const char *p = text; *p; p++)
		if ((*p > 0 && *p < ' ') || *p == 0x7f)
			return lb_err_set(err, -EINVAL, NULL,
					  "a control character cannot be expected; write a part without");
	if (lb_text_is_utf8(text))
		return 0;
	return lb_err_set(err, -EINVAL, NULL, "the expected text is not UTF-8");
}

static const struct lb_word check_types[] = {WORD("none", LB_CHECK_NONE), WORD("tcp", LB_CHECK_TCP),
					     WORD("http", LB_CHECK_HTTP), WORD("https", LB_CHECK_HTTPS),
					     WORD("grpc", LB_CHECK_GRPC), WORD("ping", LB_CHECK_PING),
					     WORD("udp", LB_CHECK_UDP),	  WORD("dns", LB_CHECK_DNS),
					     WORD("exec", LB_CHECK_EXEC), {0}};

static const struct lb_word dns_records[] = {WORD("A", LB_DNS_A), WORD("AAAA", LB_DNS_AAAA), {0}};

static const struct lb_word check_ways[] = {WORD("direct", LB_CHECK_DIRECT), WORD("vip", LB_CHECK_VIA_VIP), {0}};
static const struct lb_word weight_means[] = {WORD("share", LB_WEIGHT_SHARE), WORD("load", LB_WEIGHT_LOAD), {0}};

/* ---- check ---- */
enum { /* needed below */
       CHECK_TYPE,
       CHECK_PATH,
       CHECK_PORT,
       CHECK_HOST,
       CHECK_INTERVAL,
       CHECK_TIMEOUT,
       CHECK_SERVICE,
       CHECK_NAME,
       CHECK_PROGRAM,
};

#define STRING(key, accepts)                                                                                           \
	{                                                                                                              \
		.name = #key, .kind = LB_FIELD_STRING, .max = LB_CHECK_TEXT_MAX - 1, .verify = accepts,                \
		PLACE(lb_check_conf, key)                                                                              \
	}

static const struct lb_field check_fields[] = {
	[CHECK_TYPE] = {.name = "type",
			.kind = LB_FIELD_WORD,
			.flags = LB_FIELD_ALWAYS | LB_FIELD_DECIDES,
			.what = "check type",
			.words = check_types,
			PLACE(lb_check_conf, type)},
	[CHECK_PATH] = {.name = "path", .kind = LB_FIELD_TEXT, .verify = verify_path, PLACE(lb_check_conf, path)},
	[CHECK_PORT] = {.name = "port",
			.kind = LB_FIELD_NUMBER,
			.flags = LB_FIELD_NULLABLE,
			.what = "port",
			.min = 1,
			.max = 65535,
			PLACE(lb_check_conf, port)},
	[CHECK_HOST] = {.name = "host", .kind = LB_FIELD_TEXT, .verify = verify_host, PLACE(lb_check_conf, host)},
	[CHECK_INTERVAL] = {.name = "interval",
			    .kind = LB_FIELD_DURATION,
			    .what = "check interval",
			    .min = 10 * MS,
			    .max = 24 * H,
			    PLACE(lb_check_conf, interval_ns)},
	[CHECK_TIMEOUT] = {.name = "timeout",
			   .kind = LB_FIELD_DURATION,
			   .what = "check timeout",
			   .min = 1 * MS,
			   .max = 1 * H,
			   PLACE(lb_check_conf, timeout_ns)},
	[CHECK_SERVICE] = STRING(service, lb_verify_grpc_service),
	[CHECK_NAME] = STRING(name, lb_verify_name),
	[CHECK_PROGRAM] = STRING(program, lb_verify_file),
	{.name = "rise",
	 .kind = LB_FIELD_NUMBER,
	 .what = "number of successes",
	 .min = 1,
	 .max = 1000,
	 PLACE(lb_check_conf, rise)},
	{.name = "fall",
	 .kind = LB_FIELD_NUMBER,
	 .what = "number of failures",
	 .min = 1,
	 .max = 1000,
	 PLACE(lb_check_conf, fall)},
	{.name = "expect_status", .kind = LB_FIELD_STATUS, PLACE(lb_check_conf, status)},
	{.name = "expect_body", .kind = LB_FIELD_TEXT, .verify = verify_body, PLACE(lb_check_conf, body)},
	{.name = "method", .kind = LB_FIELD_TEXT, .verify = lb_verify_method, PLACE(lb_check_conf, method)},
	{.name = "headers",
	 .kind = LB_FIELD_ITEMS,
	 .flags = LB_FIELD_NONE | LB_FIELD_ORDERED,
	 .max = LB_MAX_CHECK_HEADERS,
	 .item = &lb_item_header,
	 ARRAY(lb_check_conf, headers)},
	{.name = "verify", .kind = LB_FIELD_BOOL, PLACE(lb_check_conf, verify)},
	{.name = "tls", .kind = LB_FIELD_BOOL, PLACE(lb_check_conf, tls)},
	STRING(server_name, lb_verify_server_name),
	STRING(ca_file, lb_verify_file),
	{.name = "record",
	 .kind = LB_FIELD_WORD,
	 .what = "record type",
	 .words = dns_records,
	 PLACE(lb_check_conf, record)},
	STRING(send, lb_verify_payload),
	STRING(expect, lb_verify_payload),
	{.name = "args",
	 .kind = LB_FIELD_ITEMS,
	 .flags = LB_FIELD_NONE | LB_FIELD_ORDERED,
	 .max = LB_MAX_CHECK_ARGS,
	 .item = &lb_item_arg,
	 ARRAY(lb_check_conf, args)},
	{.name = "fast_interval",
	 .kind = LB_FIELD_DURATION,
	 .flags = LB_FIELD_NULLABLE | LB_FIELD_NONE,
	 .what = "check interval",
	 .min = 10 * MS,
	 .max = 24 * H,
	 PLACE(lb_check_conf, fast_interval_ns)},
	{.name = "flaps",
	 .kind = LB_FIELD_NUMBER,
	 .flags = LB_FIELD_NULLABLE | LB_FIELD_NONE,
	 .what = "number of times",
	 .min = 2,
	 .max = LB_FLAPS_MAX,
	 PLACE(lb_check_conf, flaps)},
	{.name = "flap_window",
	 .kind = LB_FIELD_DURATION,
	 .what = "window",
	 .min = 1 * S,
	 .max = 24 * H,
	 PLACE(lb_check_conf, flap_window_ns)},
	{.name = "flap_hold",
	 .kind = LB_FIELD_DURATION,
	 .what = "time to hold",
	 .min = 1 * S,
	 .max = 24 * H,
	 PLACE(lb_check_conf, flap_hold_ns)},
	{.name = "flap_hold_max",
	 .kind = LB_FIELD_DURATION,
	 .what = "time to hold",
	 .min = 1 * S,
	 .max = 24 * H,
	 PLACE(lb_check_conf, flap_hold_max_ns)},
	STRING(weight_header, lb_verify_header_name),
	{.name = "weight_body", .kind = LB_FIELD_BOOL, PLACE(lb_check_conf, weight_body)},
	{.name = "weight_means",
	 .kind = LB_FIELD_WORD,
	 .what = "meaning of a weight that is read",
	 .words = weight_means,
	 PLACE(lb_check_conf, weight_means)},
	{.name = "weight_floor",
	 .kind = LB_FIELD_NUMBER,
	 .what = "percentage",
	 .min = 1,
	 .max = 100,
	 PLACE(lb_check_conf, weight_floor)},
	{.name = "weight_step",
	 .kind = LB_FIELD_NUMBER,
	 .what = "number of percentage points",
	 .min = 1,
	 .max = 100,
	 PLACE(lb_check_conf, weight_step)},
	{.name = "via",
	 .kind = LB_FIELD_WORD,
	 .what = "way of a check",
	 .words = check_ways,
	 PLACE(lb_check_conf, via)},
	{0},
};
FIELDS_FIT(check_fields);

/* Where what stands behind the type's colon goes; NULL: nothing can stand there. */
static const struct lb_field *rest_of(enum lb_check_type type)
{
	switch (type) {
	case LB_CHECK_HTTP:
	case LB_CHECK_HTTPS:
		return &check_fields[CHECK_PATH];
	case LB_CHECK_GRPC:
		return &check_fields[CHECK_SERVICE];
	case LB_CHECK_DNS:
		return &check_fields[CHECK_NAME];
	case LB_CHECK_EXEC:
		return &check_fields[CHECK_PROGRAM];
	default:
		return NULL;
	}
}

/* "tcp", "http:/health". Who calls it lets go of the whole on an error. */
static int check_from_text(void *item, const char *text, struct lb_err *err)
{
	struct lb_check_conf *c = item;
	size_t len = strcspn(text, ":");
	const struct lb_field *rest;
	char type[16];
	int ret;

	if (!text[len] || len >= sizeof(type))
		return lb_field_parse(&check_fields[CHECK_TYPE], text, c, err);
	memcpy(type, text, len);
	type[len] = '\0';
	ret = lb_field_parse(&check_fields[CHECK_TYPE], type, c, err);
	if (ret)
		return ret;
	rest = rest_of(c->type);
	if (!rest)
		return lb_err_set(err, -EINVAL, NULL, "%s takes nothing behind it; write check: %s", type, type);
	return lb_field_parse(rest, text + len + 1, c, err);
}

/* Who shortens the interval alone need not say that a check is to be done before the next one. */
static void check_complete(void *item, const unsigned int *given)
{
	struct lb_check_conf *c = item;

	if (given[CHECK_INTERVAL] && !given[CHECK_TIMEOUT] && c->timeout_ns > c->interval_ns)
		c->timeout_ns = c->interval_ns;
}

const struct lb_object lb_object_check = {
	.fields = check_fields,
	.size = sizeof(struct lb_check_conf),
	.form = "a mapping such as {type: tcp}, or a text such as http:/health",
	.complete = check_complete,
	.from_text = check_from_text,
};

/* ---- affinity ---- */
static const struct lb_word affinities[] = {
	WORD("none", LB_AFFINITY_NONE), NEW_WORD("source", LB_AFFINITY_SOURCE, LB_FEATURE_AFFINITY), {0}};

enum { AFFINITY_BY, AFFINITY_TIMEOUT };

static const struct lb_field affinity_fields[] = {
	[AFFINITY_BY] = {.name = "by",
			 .kind = LB_FIELD_WORD,
			 .flags = LB_FIELD_ALWAYS | LB_FIELD_DECIDES,
			 .what = "affinity",
			 .words = affinities,
			 PLACE(lb_affinity_conf, by)},
	[AFFINITY_TIMEOUT] = {.name = "timeout",
			      .kind = LB_FIELD_DURATION,
			      .flags = LB_FIELD_NULLABLE | LB_FIELD_NONE,
			      .what = "affinity timeout",
			      .min = 1 * S,
			      .max = 4 * H, /* as ages of flow entries wrap */
			      .feature = LB_FEATURE_AFFINITY_TIMEOUT,
			      PLACE(lb_affinity_conf, timeout_ns)},
	{.name = "ipv4_prefix",
	 .kind = LB_FIELD_NUMBER,
	 .what = "length of an IPv4 prefix",
	 .min = 1,
	 .max = 32,
	 PLACE(lb_affinity_conf, ipv4_prefix)},
	{.name = "ipv6_prefix",
	 .kind = LB_FIELD_NUMBER,
	 .what = "length of an IPv6 prefix",
	 .min = 1,
	 .max = 128,
	 PLACE(lb_affinity_conf, ipv6_prefix)},
	{0},
};

/* "none", "source", "source:10m"; what is not said there is as it was. */
static int affinity_from_text(void *item, const char *text, struct lb_err *err)
{
	struct lb_affinity_conf a = *(struct lb_affinity_conf *)item;
	const struct lb_field *timeout = &affinity_fields[AFFINITY_TIMEOUT];
	size_t len = strcspn(text, ":");
	char by[16];
	int ret;

	a.timeout_ns = 0;
	if (!text[len] || len >= sizeof(by)) {
		ret = lb_field_parse(&affinity_fields[AFFINITY_BY], text, &a, err);
	} else {
		memcpy(by, text, len);
		by[len] = '\0';
		ret = lb_field_parse(&affinity_fields[AFFINITY_BY], by, &a, err);
		if (!ret && a.by == LB_AFFINITY_NONE)
			ret = lb_err_set(err, -EINVAL, NULL, "none takes nothing behind it; write affinity: none");
		if (!ret && lb_is_later(timeout->feature))
			ret = lb_err_set(err, -EINVAL, NULL,
					 "an affinity timeout is not available in this version; write %s", by);
		if (!ret)
			ret = lb_field_parse(timeout, text + len + 1, &a, err);
	}
	if (!ret)
		*(struct lb_affinity_conf *)item = a;
	return ret;
}

const struct lb_object lb_object_affinity = {
	.fields = affinity_fields,
	.size = sizeof(struct lb_affinity_conf),
	.form = "a mapping such as {by: source, timeout: 10m}, or a text such as source:10m",
	.from_text = affinity_from_text,
};

/* ---- QUIC ---- */
enum { QUIC_ID, QUIC_SERVER_ID_LENGTH, QUIC_NONCE_LENGTH, QUIC_NUMBERS };

static const struct lb_field quic_config_fields[] = {
	[QUIC_ID] = {.name = "id",
		     .kind = LB_FIELD_NUMBER,
		     .flags = LB_FIELD_REQUIRED | LB_FIELD_ALWAYS | LB_FIELD_IDENTITY,
		     .what = "configuration's id",
		     .max = LB_QUIC_CONFIGS - 1,
		     PLACE(lb_quic_config, id)},
	[QUIC_SERVER_ID_LENGTH] = {.name = "server_id_length",
				   .kind = LB_FIELD_NUMBER,
				   .flags = LB_FIELD_REQUIRED | LB_FIELD_ALWAYS,
				   .what = "number of bytes",
				   .min = 1,
				   .max = LB_QUIC_SERVER_ID_MAX,
				   PLACE(lb_quic_config, server_id_length)},
	[QUIC_NONCE_LENGTH] = {.name = "nonce_length",
			       .kind = LB_FIELD_NUMBER,
			       .flags = LB_FIELD_REQUIRED | LB_FIELD_ALWAYS,
			       .what = "number of bytes",
			       .min = LB_QUIC_NONCE_MIN,
			       .max = LB_QUIC_BODY_MAX - 1,
			       PLACE(lb_quic_config, nonce_length)},
	[QUIC_NUMBERS] = {.name = "self_length", .kind = LB_FIELD_BOOL, PLACE(lb_quic_config, self_length)},
	{0},
};

/* "0:4:8", "0:4:8:self_length" */
static int quic_config_from_text(void *item, const char *text, struct lb_err *err)
{
	char copy[32] = "", *p = copy, *number;
	struct lb_quic_config c = {0};
	int ret = 0;

	if (strlen(text) < sizeof(copy))
		strcpy(copy, text);
	for (size_t i = 0; !ret && i < QUIC_NUMBERS; i++) {
		number = strsep(&p, ":");
		if (!number || !*number)
			goto bad;
		ret = lb_field_parse(&quic_config_fields[i], number, &c, err);
	}
	if (ret)
		return ret;
	c.self_length = p;
	if (p && strcmp(p, "self_length"))
		goto bad;
	*(struct lb_quic_config *)item = c;
	return 0;
bad:
	return lb_err_set(err, -EINVAL, NULL,
			  "%.64s is not of the form ID:SERVER_ID_LENGTH:NONCE_LENGTH (such as 0:4:8)",
			  lb_err_text(text));
}

static const struct lb_object object_quic_config = {
	.fields = quic_config_fields,
	.size = sizeof(struct lb_quic_config),
	.form = "a mapping such as {id: 0, server_id_length: 4, nonce_length: 8}, or a text such as 0:4:8",
	.from_text = quic_config_from_text,
};

static const struct lb_field quic_fields[] = {
	{.name = "configs",
	 .kind = LB_FIELD_LIST,
	 .max = LB_QUIC_CONFIGS,
	 .object = &object_quic_config,
	 .nr_offset = offsetof(struct lb_quic_conf, nr_configs),
	 PLACE(lb_quic_conf, configs)},
	{0},
};

const struct lb_object lb_object_quic = {
	.fields = quic_fields,
	.size = sizeof(struct lb_quic_conf),
	.form = "a mapping such as {configs: [{id: 0, server_id_length: 4, nonce_length: 8}]}",
};

/* ---- lists of texts ---- */

static int parse_vip(const char *text, void *out, struct lb_err *err)
{
	struct lb_vip_conf *vip = out;
	int ret = lb_vip_parse(text, vip, err);

	if (ret)
		return ret;
	if (vip->vip.proto == IPPROTO_SCTP && lb_is_later(LB_FEATURE_SCTP))
		return lb_err_set(err, -EINVAL, NULL, "%.64s: sctp is not available in this version; write tcp or udp",
				  text);
	if (!vip->vip.port && lb_is_later(LB_FEATURE_ANY_PORT))
		return lb_err_set(err, -EINVAL, NULL,
				  "%.64s: port * is not available in this version; write one port (1-65535)", text);
	if (vip->plen < 128 && lb_is_later(LB_FEATURE_VIP_PREFIX))
		return lb_err_set(err, -EINVAL, NULL,
				  "%.64s: prefixes are not available in this version; write single addresses", text);
	return 0;
}

static void format_vip(const void *in, char buf[LB_ADDR_STRLEN])
{
	lb_vip_format(in, buf);
}

const struct lb_item lb_item_vip = {sizeof(struct lb_vip_conf), parse_vip, format_vip};

static int parse_prefix(const char *text, void *out, struct lb_err *err)
{
	return lb_prefix_parse(text, out, err);
}

static void format_prefix(const void *in, char buf[LB_ADDR_STRLEN])
{
	lb_prefix_format(in, buf);
}

const struct lb_item lb_item_prefix = {sizeof(struct lb_prefix), parse_prefix, format_prefix};

static int parse_snat(const char *text, void *out, struct lb_err *err)
{
	char buf[LB_ADDR_STRLEN];
	uint8_t addr[16];
	const char *why;
	int ret = lb_addr_parse(text, addr, err);

	if (ret)
		return ret;
	why = lb_addr_unusable(addr);
	if (why)
		return lb_err_set(err, -EINVAL, NULL, "%s is %s; backends answer to a unicast address",
				  lb_addr_format(addr, buf), why);
	memcpy(out, addr, sizeof(addr));
	return 0;
}

static void format_snat(const void *in, char buf[LB_ADDR_STRLEN])
{
	lb_addr_format(in, buf);
}

const struct lb_item lb_item_snat = {16, parse_snat, format_snat};
