// SPDX-License-Identifier: GPL-2.0-or-later
/* The fields of `announce`: where VIPs are put as routes, and when. */
#include "fields_priv.h"

static const struct lb_word exits[] = {WORD("leave", LB_ANNOUNCE_LEAVE), WORD("withdraw", LB_ANNOUNCE_WITHDRAW), {0}};
static const struct lb_word shares[] = {WORD("any", LB_ANNOUNCE_ANY), WORD("all", LB_ANNOUNCE_ALL), {0}};

static const struct lb_field announce_fields[] = {
	{.name = "table",
	 .kind = LB_FIELD_NUMBER,
	 .what = "routing table",
	 .min = 1,
	 .max = UINT32_MAX,
	 PLACE(lb_announce_conf, table)},
	{.name = "protocol",
	 .kind = LB_FIELD_NUMBER,
	 .what = "routing protocol",
	 .min = 5, /* those below are the kernel's and the administrator's */
	 .max = 255,
	 PLACE(lb_announce_conf, protocol)},
	{.name = "on_exit",
	 .kind = LB_FIELD_WORD,
	 .what = "fate of routes",
	 .words = exits,
	 PLACE(lb_announce_conf, on_exit)},
	{.name = "shared", .kind = LB_FIELD_WORD, .what = "rule", .words = shares, PLACE(lb_announce_conf, shared)},
	{.name = "delay", .kind = LB_FIELD_DURATION, .what = "delay", .max = 1 * H, PLACE(lb_announce_conf, delay_ns)},
	{.name = "drain",
	 .kind = LB_FIELD_DURATION,
	 .what = "drain time",
	 .max = 10 * M,
	 PLACE(lb_announce_conf, drain_ns)},
	{0},
};

const struct lb_object lb_object_announce = {
	.fields = announce_fields,
	.size = sizeof(struct lb_announce_conf),
	.form = "a mapping such as {table: 76, protocol: 76}",
};
