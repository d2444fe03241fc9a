// SPDX-License-Identifier: GPL-2.0-or-later
/* `lbnode status`, for people and as JSON. */
#include <errno.h>
#include <jansson.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "lbnode.h"

static const struct {
	const char *name, *help;
} results[LB_NODE_RESULT_COUNT] = {
#define X(id, name, help) [LB_NODE_##id] = {name, help},
	LB_NODE_RESULTS(X)
#undef X
};

static const char *mode_name(enum lb_attach_mode mode)
{
	return mode == LB_ATTACH_GENERIC ? "generic" : "native";
}

static void print_list(const char *label, const struct lb_node_list *list)
{
	char text[LB_ADDR_STRLEN];

	printf("  %-8s", label);
	for (size_t i = 0; i < list->nr; i++)
		printf(" %s", lb_prefix_format(&list->items[i], text));
	printf("%s\n", list->nr ? "" : " any");
}

static void print_gue_ports(const struct lb_node_rules *rules)
{
	printf("  %-8s", "gue");
	for (int i = 0; i < LB_NODE_MAX_GUE && rules->gue_port[i]; i++)
		printf(" %u", rules->gue_port[i]);
	printf("%s\n", rules->gue_port[0] ? "" : " none");
}

static void print_state(const struct lb_node_state *s)
{
	printf("%s: %s, %s\n", s->at.ifname, mode_name(s->at.mode),
	       s->at.shared ? "beside other programs in libxdp's dispatcher" : s->at.note);
	print_list("local", &s->rules.local);
	print_list("from", &s->rules.from);
	print_list("vips", &s->rules.vips);
	print_gue_ports(&s->rules);
	for (int i = 0; i < LB_NODE_RESULT_COUNT; i++)
		printf("  %-16s %12llu  %s\n", results[i].name, (unsigned long long)s->pkts[i], results[i].help);
}

static json_t *json_list(const struct lb_node_list *list)
{
	json_t *array = json_array();
	char text[LB_ADDR_STRLEN];

	for (size_t i = 0; array && i < list->nr; i++)
		json_array_append_new(array, json_string(lb_prefix_format(&list->items[i], text)));
	return array;
}

static json_t *json_gue_ports(const struct lb_node_rules *rules)
{
	json_t *array = json_array();

	for (int i = 0; array && i < LB_NODE_MAX_GUE && rules->gue_port[i]; i++)
		json_array_append_new(array, json_integer(rules->gue_port[i]));
	return array;
}

static json_t *json_state(const struct lb_node_state *s)
{
	json_t *packets = json_object();

	for (int i = 0; i < LB_NODE_RESULT_COUNT; i++)
		json_object_set_new(packets, results[i].name, json_integer((json_int_t)s->pkts[i]));
	return json_pack("{s:s, s:i, s:s, s:b, s:s, s:o, s:o, s:o, s:o, s:o}", "name", s->at.ifname, "ifindex",
			 (int)s->at.ifindex, "mode", mode_name(s->at.mode), "shared", s->at.shared, "note", s->at.note,
			 "local", json_list(&s->rules.local), "from", json_list(&s->rules.from), "vips",
			 json_list(&s->rules.vips), "gue_ports", json_gue_ports(&s->rules), "packets", packets);
}

/* @array NULL: print. */
static int show_one(const char *ifname, json_t *array, struct lb_err *err)
{
	struct lb_node_state state;
	int ret = lb_node_read(ifname, &state, err);

	if (ret)
		return ret;
	if (!array)
		print_state(&state);
	else if (json_array_append_new(array, json_state(&state)))
		ret = lb_err_set(err, -ENOMEM, NULL, "out of memory");
	lb_node_state_fini(&state);
	return ret;
}

/* Every interface that has our program. */
static int show_all(json_t *array, struct lb_err *err)
{
	struct if_nameindex *all = if_nameindex();
	int ret = 0, shown = 0;

	if (!all)
		return lb_err_set(err, -errno, NULL, "cannot list the interfaces: %s", strerror(errno));
	for (struct if_nameindex *i = all; i->if_index && !ret; i++) {
		ret = show_one(i->if_name, array, err);
		shown += !ret;
		if (ret == -ENOENT || ret == -ENODEV)
			ret = 0;
	}
	if_freenameindex(all);
	if (!ret && !array && !shown)
		printf("attached to no interface; `lbnode attach IFACE` attaches\n");
	return ret;
}

int lb_node_status(const char *ifname, bool json, struct lb_err *err)
{
	json_t *array = json ? json_array() : NULL, *root;
	int ret;

	if (json && !array)
		return lb_err_set(err, -ENOMEM, NULL, "out of memory");
	ret = ifname ? show_one(ifname, array, err) : show_all(array, err);
	if (!ret && json) {
		root = json_pack("{s:s, s:O}", "version", LB_VERSION, "interfaces", array);
		if (!root || json_dumpf(root, stdout, JSON_INDENT(2)))
			ret = lb_err_set(err, -ENOMEM, NULL, "out of memory");
		else
			putchar('\n');
		json_decref(root);
	}
	json_decref(array);
	return ret;
}
