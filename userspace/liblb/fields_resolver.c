/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The fields of `resolver`: how the names of backends are looked up. */
#include <errno.h>
#include <string.h>

#include "fields_priv.h"

static int parse_server(const char *text, void *out, struct lb_err *err)
{
	return lb_endpoint_parse(text, out, err);
}

static void format_server(const void *in, char buf[LB_FIELD_STRLEN])
{
	lb_endpoint_format(in, buf);
}

static const struct lb_item item_server = {sizeof(struct lb_endpoint), parse_server, format_server};

static const struct lb_field resolver_fields[] = {
	{.name = "servers",
	 .kind = LB_FIELD_ITEMS,
	 .flags = LB_FIELD_NONE | LB_FIELD_ORDERED,
	 .max = LB_MAX_RESOLVERS,
	 .item = &item_server,
	 ARRAY(lb_resolver_conf, servers)},
	{.name = "timeout",
	 .kind = LB_FIELD_DURATION,
	 .what = "timeout",
	 .min = 100 * MS,
	 .max = 1 * M,
	 PLACE(lb_resolver_conf, timeout_ns)},
	{.name = "min_ttl",
	 .kind = LB_FIELD_DURATION,
	 .what = "time to live",
	 .min = 1 * S,
	 .max = 1 * H,
	 PLACE(lb_resolver_conf, min_ttl_ns)},
	{.name = "max_ttl",
	 .kind = LB_FIELD_DURATION,
	 .what = "time to live",
	 .min = 1 * S,
	 .max = 24 * H,
	 PLACE(lb_resolver_conf, max_ttl_ns)},
	{.name = "max_addresses",
	 .kind = LB_FIELD_NUMBER,
	 .what = "number of addresses",
	 .min = 1,
	 .max = 1024,
	 PLACE(lb_resolver_conf, max_addresses)},
	{0},
};

const struct lb_object lb_object_resolver = {
	.fields = resolver_fields,
	.size = sizeof(struct lb_resolver_conf),
	.form = "a mapping such as {servers: [10.0.0.53], min_ttl: 5s}",
};
