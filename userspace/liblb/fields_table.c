/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Every field of the configuration: name, kind, limits and place. */
#include <errno.h>
#include <string.h>

#include "fields.h"

#define MS 1000000ULL
#define S (1000 * MS)
#define H (3600 * S)

/* .offset and .size of @member of struct @type */
#define PLACE(type, member) .offset = offsetof(struct type, member), .size = sizeof(((struct type *)0)->member)
#define LATER(key)                                                                                                     \
	{                                                                                                              \
		.name = key, .kind = LB_FIELD_LATER, .flags = LB_FIELD_UNSAID                                          \
	}
#define ELSEWHERE(key, mend)                                                                                           \
	{                                                                                                              \
		.name = key, .kind = LB_FIELD_LATER, .flags = LB_FIELD_UNSAID | LB_FIELD_OWN, .what = mend             \
	}

static bool only(const char *text, const char *others)
{
	for (; *text; text++)
		if (!(*text >= 'a' && *text <= 'z') && !(*text >= 'A' && *text <= 'Z') &&
		    !(*text >= '0' && *text <= '9') && !strchr(others, *text))
			return false;
	return true;
}

/* Printable ASCII without spaces. */
static bool is_visible(const char *text)
{
	for (; *text; text++)
		if (*text <= ' ' || *text > '~')
			return false;
	return true;
}

/* A name is a part of commands, URLs and metric labels: none of them should need quoting, nor take it for an option. */
static int verify_name(const char *text, struct lb_err *err)
{
	if (*text && only(text, "._-") && *text != '.' && *text != '-')
		return 0;
	return lb_err_set(err, -EINVAL, NULL,
			  "%.64s is not a name: letters, digits, '.', '_' and '-', the first a letter, digit or '_'",
			  lb_err_text(text));
}

/* As the kernel's dev_valid_name(), and visible. */
static int verify_iface(const char *text, struct lb_err *err)
{
	if (*text && is_visible(text) && !strpbrk(text, "/:") && strcmp(text, ".") && strcmp(text, ".."))
		return 0;
	return lb_err_set(err, -EINVAL, NULL, "%.64s is not an interface's name", lb_err_text(text));
}

static int verify_path(const char *text, struct lb_err *err)
{
	if (*text == '/' && is_visible(text))
		return 0;
	return lb_err_set(err, -EINVAL, NULL, "%.64s is not a path: it begins with / and has no spaces",
			  lb_err_text(text));
}

static int verify_host(const char *text, struct lb_err *err)
{
	if (only(text, "._-:[]"))
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

static const struct lb_word attach_modes[] = {
	{"auto", LB_ATTACH_AUTO}, {"native", LB_ATTACH_NATIVE}, {"generic", LB_ATTACH_GENERIC}, {0}};
static const struct lb_word forwards[] = {{"l2", LB_FORWARD_L2}, {"ipip", LB_FORWARD_IPIP}, {"gue", -1},
					  {"nat", -1},		 {"fullnat", -1},	    {0}};
static const struct lb_word policies[] = {{"maglev", 0}, {"round_robin", -1}, {"least_conn", -1}, {"random", -1}, {0}};
static const struct lb_word affinities[] = {{"none", 0}, {"source", -1}, {0}};
static const struct lb_word states[] = {{"auto", LB_STATE_AUTO}, {"all", LB_STATE_ALL}, {"none", LB_STATE_NONE}, {0}};
static const struct lb_word admins[] = {
	{"enabled", LB_ADMIN_ENABLED}, {"draining", LB_ADMIN_DRAINING}, {"disabled", LB_ADMIN_DISABLED}, {0}};
static const struct lb_word check_types[] = {{"none", LB_CHECK_NONE},
					     {"tcp", LB_CHECK_TCP},
					     {"http", LB_CHECK_HTTP},
					     {"https", -1},
					     {"grpc", -1},
					     {"ping", -1},
					     {"udp", -1},
					     {"dns", -1},
					     {"exec", -1},
					     {0}};

/* ---- check ---- */
enum { CHECK_TYPE, CHECK_PATH, CHECK_PORT, CHECK_HOST, CHECK_INTERVAL, CHECK_TIMEOUT }; /* needed below */

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
	{.name = "expect_status", .kind = LB_FIELD_STATUS, PLACE(lb_check_conf, status_min)},
	{.name = "expect_body", .kind = LB_FIELD_TEXT, .verify = verify_body, PLACE(lb_check_conf, body)},
	LATER("via"),
	{0},
};

/* "tcp", "http:/health" */
static int check_from_text(void *item, const char *text, struct lb_err *err)
{
	struct lb_check_conf c = *(struct lb_check_conf *)item;
	size_t len = strcspn(text, ":");
	char type[16];
	int ret;

	if (!text[len] || len >= sizeof(type)) {
		ret = lb_field_parse(&check_fields[CHECK_TYPE], text, &c, err);
	} else {
		memcpy(type, text, len);
		type[len] = '\0';
		ret = lb_field_parse(&check_fields[CHECK_TYPE], type, &c, err);
		if (!ret && c.type != LB_CHECK_HTTP)
			ret = lb_err_set(err, -EINVAL, NULL, "%s takes nothing behind it; write check: %s", type, type);
		if (!ret)
			ret = lb_field_parse(&check_fields[CHECK_PATH], text + len + 1, &c, err);
	}
	if (!ret)
		*(struct lb_check_conf *)item = c;
	return ret;
}

/* Who shortens the interval alone need not say that a check is to be done before the next one. */
static void check_complete(void *item, const unsigned int *given)
{
	struct lb_check_conf *c = item;

	if (given[CHECK_INTERVAL] && !given[CHECK_TIMEOUT] && c->timeout_ns > c->interval_ns)
		c->timeout_ns = c->interval_ns;
}

static const struct lb_object object_check = {
	.fields = check_fields,
	.size = sizeof(struct lb_check_conf),
	.form = "a mapping such as {type: tcp}, or a text such as http:/health",
	.complete = check_complete,
	.from_text = check_from_text,
};

/* ---- backend ---- */
enum { BACKEND_ADDRESS };

static const struct lb_field backend_fields[] = {
	[BACKEND_ADDRESS] = {.name = "address",
			     .kind = LB_FIELD_ADDRESS,
			     .flags = LB_FIELD_REQUIRED | LB_FIELD_ALWAYS | LB_FIELD_IDENTITY,
			     PLACE(lb_backend_conf, address)},
	{.name = "weight",
	 .kind = LB_FIELD_NUMBER,
	 .flags = LB_FIELD_ALWAYS,
	 .what = "weight",
	 .max = 65535,
	 PLACE(lb_backend_conf, weight)},
	{.name = "tier", .kind = LB_FIELD_NUMBER, .what = "tier", .max = 15, PLACE(lb_backend_conf, tier)},
	{.name = "state",
	 .kind = LB_FIELD_WORD,
	 .what = "backend's state",
	 .words = admins,
	 PLACE(lb_backend_conf, admin)},
	{0},
};

static void backend_init(void *item, const void *parent)
{
	struct lb_backend_conf *b = item;

	b->weight = LB_WEIGHT_DEFAULT;
}

static int backend_from_text(void *item, const char *text, struct lb_err *err)
{
	return lb_field_parse(&backend_fields[BACKEND_ADDRESS], text, item, err);
}

const struct lb_object lb_object_backend = {
	.fields = backend_fields,
	.size = sizeof(struct lb_backend_conf),
	.form = "an address, or a mapping such as {address: 10.0.0.1, weight: 100}",
	.init = backend_init,
	.from_text = backend_from_text,
};

/* ---- service ---- */
static const struct lb_field service_fields[] = {
	{.name = "name",
	 .kind = LB_FIELD_TEXT,
	 .flags = LB_FIELD_REQUIRED | LB_FIELD_ALWAYS | LB_FIELD_IDENTITY | LB_FIELD_OWN,
	 .verify = verify_name,
	 PLACE(lb_service_conf, name)},
	{.name = "vip", .kind = LB_FIELD_VIPS, .flags = LB_FIELD_REQUIRED | LB_FIELD_ALWAYS | LB_FIELD_OWN},
	{.name = "forward",
	 .kind = LB_FIELD_WORD,
	 .flags = LB_FIELD_ALWAYS,
	 .what = "forwarding mode",
	 .words = forwards,
	 PLACE(lb_service_conf, forward)},
	{.name = "policy", .kind = LB_FIELD_WORD, .flags = LB_FIELD_ALWAYS, .what = "policy", .words = policies},
	{.name = "affinity", .kind = LB_FIELD_WORD, .flags = LB_FIELD_UNSAID, .what = "affinity", .words = affinities},
	{.name = "state",
	 .kind = LB_FIELD_WORD,
	 .flags = LB_FIELD_ALWAYS,
	 .what = "state mode",
	 .words = states,
	 PLACE(lb_service_conf, state)},
	{.name = "check",
	 .kind = LB_FIELD_OBJECT,
	 .flags = LB_FIELD_ALWAYS,
	 .object = &object_check,
	 PLACE(lb_service_conf, check)},
	{.name = "panic_threshold",
	 .kind = LB_FIELD_NUMBER,
	 .what = "percentage",
	 .max = 100,
	 PLACE(lb_service_conf, panic_threshold)},
	{.name = "backends",
	 .kind = LB_FIELD_LIST,
	 .flags = LB_FIELD_ALWAYS | LB_FIELD_OWN,
	 .max = LB_MAX_BACKENDS - 1,
	 .object = &lb_object_backend,
	 .nr_offset = offsetof(struct lb_service_conf, nr_backends),
	 PLACE(lb_service_conf, backends)},
	ELSEWHERE("port", "is no key of its own; write it in vip: ADDR:PORT/PROTO"),
	ELSEWHERE("protocol", "is no key of its own; write it in vip: ADDR:PORT/PROTO"),
	LATER("slow_start"),
	LATER("drain_timeout"),
	LATER("allow"),
	LATER("deny"),
	LATER("snat"),
	{0},
};

static void service_init(void *item, const void *parent)
{
	const struct lb_config *c = parent;

	/* The defaults own no arrays. */
	*(struct lb_service_conf *)item = c->defaults;
}

const struct lb_object lb_object_service = {
	.fields = service_fields,
	.size = sizeof(struct lb_service_conf),
	.form = "a mapping such as {name: web, vip: 192.0.2.10:80/tcp, backends: [10.0.0.1]}",
	.init = service_init,
};

/* ---- interface ---- */
static const struct lb_field iface_fields[] = {
	{.name = "name",
	 .kind = LB_FIELD_TEXT,
	 .flags = LB_FIELD_REQUIRED | LB_FIELD_ALWAYS | LB_FIELD_IDENTITY,
	 .verify = verify_iface,
	 PLACE(lb_iface_conf, name)},
	{.name = "mode",
	 .kind = LB_FIELD_WORD,
	 .flags = LB_FIELD_ALWAYS,
	 .what = "mode",
	 .words = attach_modes,
	 PLACE(lb_iface_conf, mode)},
	{0},
};

const struct lb_object lb_object_iface = {
	.fields = iface_fields,
	.size = sizeof(struct lb_iface_conf),
	.form = "a mapping such as {name: eth0, mode: auto}",
};

/* ---- the whole ---- */
static const struct lb_object object_defaults = {
	.fields = service_fields,
	.size = sizeof(struct lb_service_conf),
	.form = "a mapping such as {check: {interval: 2s}}",
};

static const struct lb_field config_fields[] = {
	{.name = "interfaces",
	 .kind = LB_FIELD_LIST,
	 .flags = LB_FIELD_ALWAYS,
	 .max = LB_MAX_PORTS,
	 .object = &lb_object_iface,
	 .nr_offset = offsetof(struct lb_config, nr_ifaces),
	 PLACE(lb_config, ifaces)},
	{.name = "hash_key", .kind = LB_FIELD_HASH_KEY},
	{.name = "tunnel_source", .kind = LB_FIELD_SOURCES},
	{.name = "learning_window",
	 .kind = LB_FIELD_DURATION,
	 .what = "learning window",
	 .min = 1 * S,
	 .max = 4 * H, /* ages of flow entries wrap in 4.9 h */
	 PLACE(lb_config, learning_window_ns)},
	{.name = "defaults", .kind = LB_FIELD_OBJECT, .object = &object_defaults, PLACE(lb_config, defaults)},
	{.name = "services",
	 .kind = LB_FIELD_LIST,
	 .flags = LB_FIELD_ALWAYS,
	 .max = LB_MAX_SERVICES - 1,
	 .object = &lb_object_service,
	 .nr_offset = offsetof(struct lb_config, nr_services),
	 PLACE(lb_config, services)},
	{0},
};

const struct lb_object lb_object_config = {
	.fields = config_fields,
	.size = sizeof(struct lb_config),
	.form = "a mapping with interfaces and services",
};
