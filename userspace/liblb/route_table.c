// SPDX-License-Identifier: GPL-2.0-or-later
/* A routing table of our own, by libnl. */
#include <errno.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "route_priv.h"
#include "route_table.h"

#define EVENTS_BUFFER_BYTES (1 << 20)
#define MESSAGE_BYTES (64 << 10)
#define PROCESS_NS 3000000ULL

struct lb_route_table {
	uint32_t table;
	uint8_t protocol;
	lb_route_table_fn changed;
	void *ctx;
	struct nl_sock *events, *requests;
};

/* An IPv4 prefix counts its bits from the mapped form's. */
static bool is_v4(const struct lb_prefix *p)
{
	return lb_addr_is_v4(p->addr) && p->plen >= 96;
}

/* The destination of a route in our table; false: it is another's, or no route of that kind. */
static bool take_route(const struct lb_route_table *t, struct nlmsghdr *h, struct lb_prefix *dst, uint8_t *protocol)
{
	const struct rtmsg *rt = nlmsg_data(h);
	struct nlattr *tb[RTA_MAX + 1];
	uint32_t table;

	if ((h->nlmsg_type != RTM_NEWROUTE && h->nlmsg_type != RTM_DELROUTE) || rt->rtm_flags & RTM_F_CLONED ||
	    (rt->rtm_family != AF_INET && rt->rtm_family != AF_INET6) ||
	    nlmsg_parse(h, sizeof(*rt), tb, RTA_MAX, NULL) < 0)
		return false;
	table = tb[RTA_TABLE] ? nla_get_u32(tb[RTA_TABLE]) : rt->rtm_table;
	if (table != t->table)
		return false;
	*dst = (struct lb_prefix){.plen = rt->rtm_dst_len};
	if (rt->rtm_family == AF_INET) {
		dst->addr[10] = dst->addr[11] = 0xff;
		dst->plen += 96;
	}
	*protocol = rt->rtm_protocol;
	return !tb[RTA_DST] || lb_route_take_attr(dst->addr, tb[RTA_DST]);
}

static int on_event(struct nl_msg *msg, void *arg)
{
	struct nlmsghdr *h = nlmsg_hdr(msg);
	struct lb_route_table *t = arg;
	struct lb_prefix dst;
	uint8_t protocol;

	/* What we did ourselves is known, and may have been undone since. */
	if (h->nlmsg_pid == nl_socket_get_local_port(t->requests) || !take_route(t, h, &dst, &protocol))
		return NL_OK;
	if (protocol == t->protocol)
		t->changed(t->ctx, &dst, h->nlmsg_type == RTM_NEWROUTE);
	else if (h->nlmsg_type == RTM_NEWROUTE && h->nlmsg_flags & NLM_F_REPLACE)
		t->changed(t->ctx, &dst, false);
	return NL_OK;
}

static int on_listed(struct nl_msg *msg, void *arg)
{
	struct lb_route_table *t = arg;
	struct lb_prefix dst;
	uint8_t protocol;

	if (take_route(t, nlmsg_hdr(msg), &dst, &protocol) && protocol == t->protocol)
		t->changed(t->ctx, &dst, true);
	return NL_OK;
}

static int open_sockets(struct lb_route_table *t)
{
	const int one = 1;
	int ret;

	t->events = nl_socket_alloc();
	t->requests = nl_socket_alloc();
	if (!t->events || !t->requests)
		return -ENOMEM;
	nl_socket_disable_seq_check(t->events);
	ret = nl_socket_modify_cb(t->events, NL_CB_VALID, NL_CB_CUSTOM, on_event, t);
	if (!ret)
		ret = nl_connect(t->events, NETLINK_ROUTE);
	if (!ret)
		ret = nl_connect(t->requests, NETLINK_ROUTE);
	if (!ret)
		ret = nl_socket_add_memberships(t->events, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, 0);
	if (!ret)
		ret = nl_socket_set_nonblocking(t->events);
	if (!ret)
		ret = nl_socket_set_msg_buf_size(t->events, MESSAGE_BYTES);
	if (!ret)
		ret = nl_socket_set_msg_buf_size(t->requests, MESSAGE_BYTES);
	if (!ret)
		ret = nl_socket_set_buffer_size(t->events, EVENTS_BUFFER_BYTES, 0);
	/* The kernel lists our table alone then: another may have a million routes. */
	if (!ret && setsockopt(nl_socket_get_fd(t->requests), SOL_NETLINK, NETLINK_GET_STRICT_CHK, &one, sizeof(one)))
		return -errno;
	return lb_route_errno(ret);
}

int lb_route_table_new(uint32_t table, uint8_t protocol, lb_route_table_fn changed, void *ctx,
		       struct lb_route_table **out, struct lb_err *err)
{
	struct lb_route_table *t = calloc(1, sizeof(*t));
	int ret;

	if (!t)
		return lb_err_set(err, -ENOMEM, NULL, "out of memory");
	t->table = table;
	t->protocol = protocol;
	t->changed = changed;
	t->ctx = ctx;
	ret = open_sockets(t);
	if (ret) {
		lb_route_table_free(t);
		return lb_err_set(err, ret, NULL, "cannot follow the routing table %u (netlink): %s", table,
				  strerror(-ret));
	}
	*out = t;
	return 0;
}

void lb_route_table_free(struct lb_route_table *t)
{
	if (!t)
		return;
	nl_socket_free(t->events);
	nl_socket_free(t->requests);
	free(t);
}

int lb_route_table_fd(const struct lb_route_table *t)
{
	return nl_socket_get_fd(t->events);
}

int lb_route_table_process(struct lb_route_table *t)
{
	return lb_route_drain(t->events, lb_route_now_ns() + PROCESS_NS);
}

static struct nl_msg *route_message(const struct lb_route_table *t, int type, int flags, const struct lb_prefix *dst)
{
	struct rtmsg rt = {
		.rtm_family = is_v4(dst) ? AF_INET : AF_INET6,
		.rtm_dst_len = is_v4(dst) ? dst->plen - 96 : dst->plen,
		.rtm_table = t->table < 256 ? (unsigned char)t->table : RT_TABLE_COMPAT,
		.rtm_protocol = t->protocol,
		.rtm_type = RTN_BLACKHOLE,
		.rtm_scope = type == RTM_DELROUTE ? RT_SCOPE_NOWHERE : RT_SCOPE_UNIVERSE,
	};
	struct nl_msg *msg = nlmsg_alloc_simple(type, flags);

	if (!msg)
		return NULL;
	if (nlmsg_append(msg, &rt, sizeof(rt), NLMSG_ALIGNTO) || nla_put_u32(msg, RTA_TABLE, t->table) ||
	    lb_route_put_addr(msg, RTA_DST, dst->addr)) {
		nlmsg_free(msg);
		return NULL;
	}
	return msg;
}

int lb_route_table_add(struct lb_route_table *t, const struct lb_prefix *dst)
{
	struct nl_msg *msg = route_message(t, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, dst);

	return msg ? lb_route_errno(nl_send_sync(t->requests, msg)) : -ENOMEM;
}

int lb_route_table_del(struct lb_route_table *t, const struct lb_prefix *dst)
{
	struct nl_msg *msg = route_message(t, RTM_DELROUTE, 0, dst);

	return msg ? lb_route_errno(nl_send_sync(t->requests, msg)) : -ENOMEM;
}

/* The routes of one family. */
static int list(struct lb_route_table *t, unsigned char family)
{
	struct rtmsg rt = {
		.rtm_family = family,
		.rtm_table = t->table < 256 ? (unsigned char)t->table : RT_TABLE_COMPAT,
		.rtm_protocol = t->protocol,
	};
	struct nl_msg *msg = nlmsg_alloc_simple(RTM_GETROUTE, NLM_F_DUMP);
	struct nl_cb *cb = nl_cb_alloc(NL_CB_DEFAULT);
	int ret = -ENOMEM;

	if (!msg || !cb || nlmsg_append(msg, &rt, sizeof(rt), NLMSG_ALIGNTO) || nla_put_u32(msg, RTA_TABLE, t->table))
		goto out;
	nl_cb_set(cb, NL_CB_VALID, NL_CB_CUSTOM, on_listed, t);
	ret = nl_send_auto(t->requests, msg);
	if (ret >= 0)
		ret = nl_recvmsgs(t->requests, cb);
	ret = lb_route_errno(ret < 0 ? ret : 0);
out:
	nlmsg_free(msg);
	nl_cb_put(cb);
	/* A table without a route is none. */
	return ret == -ENOENT ? 0 : ret;
}

int lb_route_table_list(struct lb_route_table *t)
{
	static const unsigned char families[] = {AF_INET, AF_INET6};
	int ret = 0;

	for (size_t i = 0; !ret && i < sizeof(families); i++) {
		ret = -EAGAIN;
		/* What changes while it is listed makes it start again. */
		for (int n = 0; n < 5 && ret == -EAGAIN; n++)
			ret = list(t, families[i]);
	}
	return ret;
}
