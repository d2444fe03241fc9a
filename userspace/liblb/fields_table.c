/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Every field of the configuration: name, kind, limits and place. */
#include <errno.h>
#include <string.h>

#include "fields_priv.h"

/* A name is a part of commands, URLs and metric labels: none of them should need quoting, nor take it for an option. */
static int verify_name(const char *text, struct lb_err *err)
{
	if (*text && lb_text_only(text, "._-") && *text != '.' && *text != '-')
		return 0;
	return lb_err_set(err, -EINVAL, NULL,
			  "%.64s is not a name: letters, digits, '.', '_' and '-', the first a letter, digit or '_'",
			  lb_err_text(text));
}

/* As the kernel's dev_valid_name(), and visible. */
static int verify_iface(const char *text, struct lb_err *err)
{
	if (*text && lb_text_is_visible(text) && !strpbrk(text, "/:") && strcmp(text, ".") && strcmp(text, ".."))
		return 0;
	return lb_err_set(err, -EINVAL, NULL, "%.64s is not an interface's name", lb_err_text(text));
}

static const struct lb_word attach_modes[] = {
	WORD("auto", LB_ATTACH_AUTO), WORD("native", LB_ATTACH_NATIVE), WORD("generic", LB_ATTACH_GENERIC), {0}};
static const struct lb_word forwards[] = {WORD("l2", LB_FORWARD_L2),
					  WORD("ipip", LB_FORWARD_IPIP),
					  NEW_WORD("gue", LB_FORWARD_GUE, LB_FEATURE_GUE),
					  NEW_WORD("nat", LB_FORWARD_NAT, LB_FEATURE_NAT),
					  NEW_WORD("fullnat", LB_FORWARD_FULLNAT, LB_FEATURE_FULLNAT),
					  {0}};
static const struct lb_word policies[] = {WORD("maglev", LB_POLICY_MAGLEV),
					  NEW_WORD("round_robin", LB_POLICY_ROUND_ROBIN, LB_FEATURE_ROUND_ROBIN),
					  NEW_WORD("least_conn", LB_POLICY_LEAST_CONN, LB_FEATURE_LEAST_CONN),
					  NEW_WORD("random", LB_POLICY_RANDOM, LB_FEATURE_RANDOM),
					  {0}};
static const struct lb_word fates[] = {
	WORD("terminate", LB_FATE_TERMINATE), NEW_WORD("keep", LB_FATE_KEEP, LB_FEATURE_KEEP), {0}};
static const struct lb_word states[] = {
	WORD("auto", LB_STATE_AUTO), WORD("all", LB_STATE_ALL), WORD("none", LB_STATE_NONE), {0}};
static const struct lb_word admins[] = {WORD("enabled", LB_ADMIN_ENABLED),
					WORD("draining", LB_ADMIN_DRAINING),
					WORD("disabled", LB_ADMIN_DISABLED),
					{0}};

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
	{.name = "tier", .kind = LB_FIELD_NUMBER, .what = "tier", .max = LB_TIERS - 1, PLACE(lb_backend_conf, tier)},
	{.name = "state",
	 .kind = LB_FIELD_WORD,
	 .what = "backend's state",
	 .words = admins,
	 PLACE(lb_backend_conf, admin)},
	{.name = "server_id",
	 .kind = LB_FIELD_HEX,
	 .flags = LB_FIELD_NULLABLE,
	 .what = "server ID",
	 .feature = LB_FEATURE_QUIC,
	 PLACE(lb_backend_conf, server_id)},
	{0},
};

static int backend_init(void *item, const void *parent)
{
	struct lb_backend_conf *b = item;

	b->weight = LB_WEIGHT_DEFAULT;
	return 0;
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
	{.name = "vip",
	 .kind = LB_FIELD_ITEMS,
	 .flags = LB_FIELD_REQUIRED | LB_FIELD_ALWAYS | LB_FIELD_OWN,
	 .item = &lb_item_vip,
	 ARRAY(lb_service_conf, vips)},
	{.name = "forward",
	 .kind = LB_FIELD_WORD,
	 .flags = LB_FIELD_ALWAYS,
	 .what = "forwarding mode",
	 .words = forwards,
	 PLACE(lb_service_conf, forward)},
	{.name = "gue_port",
	 .kind = LB_FIELD_NUMBER,
	 .what = "port",
	 .min = 1,
	 .max = 65535,
	 .feature = LB_FEATURE_GUE,
	 PLACE(lb_service_conf, gue_port)},
	{.name = "policy",
	 .kind = LB_FIELD_WORD,
	 .flags = LB_FIELD_ALWAYS,
	 .what = "policy",
	 .words = policies,
	 PLACE(lb_service_conf, policy)},
	{.name = "affinity", .kind = LB_FIELD_OBJECT, .object = &lb_object_affinity, PLACE(lb_service_conf, affinity)},
	{.name = "state",
	 .kind = LB_FIELD_WORD,
	 .flags = LB_FIELD_ALWAYS,
	 .what = "state mode",
	 .words = states,
	 PLACE(lb_service_conf, state)},
	{.name = "on_down",
	 .kind = LB_FIELD_WORD,
	 .what = "fate of connections",
	 .words = fates,
	 PLACE(lb_service_conf, on_down)},
	{.name = "on_disable",
	 .kind = LB_FIELD_WORD,
	 .what = "fate of connections",
	 .words = fates,
	 PLACE(lb_service_conf, on_disable)},
	{.name = "allow",
	 .kind = LB_FIELD_ITEMS,
	 .flags = LB_FIELD_OWN | LB_FIELD_NONE,
	 .max = LB_MAX_ACCESS,
	 .item = &lb_item_prefix,
	 .feature = LB_FEATURE_ACCESS,
	 ARRAY(lb_service_conf, allow)},
	{.name = "deny",
	 .kind = LB_FIELD_ITEMS,
	 .flags = LB_FIELD_OWN | LB_FIELD_NONE,
	 .max = LB_MAX_ACCESS,
	 .item = &lb_item_prefix,
	 .feature = LB_FEATURE_ACCESS,
	 ARRAY(lb_service_conf, deny)},
	{.name = "snat",
	 .kind = LB_FIELD_ITEMS,
	 .flags = LB_FIELD_OWN | LB_FIELD_NONE,
	 .max = LB_MAX_SNAT,
	 .item = &lb_item_snat,
	 .feature = LB_FEATURE_FULLNAT,
	 ARRAY(lb_service_conf, snat)},
	{.name = "source_rate_limit",
	 .kind = LB_FIELD_NUMBER,
	 .what = "number of connections a second",
	 .max = 1000000,
	 .feature = LB_FEATURE_SOURCE_RATE,
	 PLACE(lb_service_conf, source_rate_limit)},
	{.name = "ping", .kind = LB_FIELD_BOOL, .feature = LB_FEATURE_PING, PLACE(lb_service_conf, ping)},
	{.name = "mss_clamp",
	 .kind = LB_FIELD_NUMBER,
	 .flags = LB_FIELD_NULLABLE | LB_FIELD_NONE,
	 .what = "maximum segment size",
	 .min = 536, /* what RFC 9293 takes for granted */
	 .max = 65495,
	 .feature = LB_FEATURE_MSS_CLAMP,
	 PLACE(lb_service_conf, mss_clamp)},
	{.name = "quic",
	 .kind = LB_FIELD_OBJECT,
	 .flags = LB_FIELD_OWN,
	 .object = &lb_object_quic,
	 .feature = LB_FEATURE_QUIC,
	 PLACE(lb_service_conf, quic)},
	{.name = "check",
	 .kind = LB_FIELD_OBJECT,
	 .flags = LB_FIELD_ALWAYS,
	 .object = &lb_object_check,
	 PLACE(lb_service_conf, check)},
	{.name = "panic_threshold",
	 .kind = LB_FIELD_NUMBER,
	 .what = "percentage",
	 .max = 100,
	 PLACE(lb_service_conf, panic_threshold)},
	{.name = "tier_min",
	 .kind = LB_FIELD_NUMBER,
	 .what = "number of backends",
	 .min = 1,
	 .max = LB_MAX_BACKENDS - 1,
	 PLACE(lb_service_conf, tier_min)},
	{.name = "slow_start",
	 .kind = LB_FIELD_DURATION,
	 .flags = LB_FIELD_NULLABLE | LB_FIELD_NONE,
	 .what = "slow start",
	 .min = 1 * S,
	 .max = 24 * H,
	 PLACE(lb_service_conf, slow_start_ns)},
	{.name = "drain_timeout",
	 .kind = LB_FIELD_DURATION,
	 .flags = LB_FIELD_NULLABLE | LB_FIELD_NONE,
	 .what = "drain timeout",
	 .min = 1 * S,
	 .max = 30 * 24 * H,
	 PLACE(lb_service_conf, drain_timeout_ns)},
	{.name = "backends",
	 .kind = LB_FIELD_LIST,
	 .flags = LB_FIELD_ALWAYS | LB_FIELD_OWN,
	 .max = LB_MAX_BACKENDS - 1,
	 .object = &lb_object_backend,
	 .nr_offset = offsetof(struct lb_service_conf, nr_backends),
	 PLACE(lb_service_conf, backends)},
	ELSEWHERE("port", "is no key of its own; write it in vip: ADDR:PORT/PROTO"),
	ELSEWHERE("protocol", "is no key of its own; write it in vip: ADDR:PORT/PROTO"),
	{.name = "announce", .kind = LB_FIELD_BOOL, PLACE(lb_service_conf, announce)},
	{.name = "quorum",
	 .kind = LB_FIELD_NUMBER,
	 .what = "number of backends",
	 .max = LB_MAX_BACKENDS - 1,
	 PLACE(lb_service_conf, quorum)},
	{0},
};
FIELDS_FIT(service_fields);

static int service_init(void *item, const void *parent)
{
	const struct lb_config *c = parent;

	return lb_service_conf_copy(item, &c->defaults);
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

#define TIMEOUT(key, least, most)                                                                                      \
	{                                                                                                              \
		.name = #key, .kind = LB_FIELD_DURATION, .what = "timeout", .min = (least), .max = (most),             \
		PLACE(lb_timeouts_conf, key##_ns)                                                                      \
	}

static const struct lb_field timeout_fields[] = {
	TIMEOUT(tcp_established, 10 * S, 30 * 24 * H), TIMEOUT(tcp_transitory, 1 * S, 1 * H),
	TIMEOUT(tcp_half_open, 1 * S, 10 * M),	       TIMEOUT(udp, 1 * S, 24 * H),
	TIMEOUT(udp_unreplied, 1 * S, 1 * H),	       {0},
};

static const struct lb_object object_timeouts = {
	.fields = timeout_fields,
	.size = sizeof(struct lb_timeouts_conf),
	.form = "a mapping such as {tcp_established: 2h4m, udp: 5m}",
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
	{.name = "learn_rate",
	 .kind = LB_FIELD_NUMBER,
	 .what = "number of flows a second",
	 .max = 1000000000,
	 PLACE(lb_config, learn_rate)},
	{.name = "max_connections",
	 .kind = LB_FIELD_NUMBER,
	 .what = "number of connections",
	 .min = 1024,
	 .max = 1U << 24,
	 .feature = LB_FEATURE_NAT,
	 PLACE(lb_config, max_connections)},
	{.name = "timeouts",
	 .kind = LB_FIELD_OBJECT,
	 .object = &object_timeouts,
	 .feature = LB_FEATURE_NAT,
	 PLACE(lb_config, timeouts)},
	{.name = "defaults", .kind = LB_FIELD_OBJECT, .object = &object_defaults, PLACE(lb_config, defaults)},
	{.name = "services",
	 .kind = LB_FIELD_LIST,
	 .flags = LB_FIELD_ALWAYS,
	 .max = LB_MAX_SERVICES - 1,
	 .object = &lb_object_service,
	 .nr_offset = offsetof(struct lb_config, nr_services),
	 PLACE(lb_config, services)},
	{.name = "announce", .kind = LB_FIELD_OBJECT, .object = &lb_object_announce, PLACE(lb_config, announce)},
	{.name = "resolver", .kind = LB_FIELD_OBJECT, .object = &lb_object_resolver, PLACE(lb_config, resolver)},
	{0},
};
FIELDS_FIT(config_fields);

const struct lb_object lb_object_config = {
	.fields = config_fields,
	.size = sizeof(struct lb_config),
	.form = "a mapping with interfaces and services",
};
