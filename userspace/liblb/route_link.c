// SPDX-License-Identifier: GPL-2.0-or-later
/* What kind of interface one is, by libnl. */
#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <stdbool.h>
#include <string.h>

#include "link.h"

struct answer {
	bool there, ethernet;
	char kind[16];
	uint32_t lower, master; /* 0: none */
};

static int on_link(struct nl_msg *msg, void *arg)
{
	struct nlmsghdr *h = nlmsg_hdr(msg);
	struct nlattr *tb[IFLA_MAX + 1], *info[IFLA_INFO_MAX + 1];
	const struct ifinfomsg *link = nlmsg_data(h);
	struct answer *a = arg;

	if (h->nlmsg_type != RTM_NEWLINK || nlmsg_parse(h, sizeof(struct ifinfomsg), tb, IFLA_MAX, NULL) < 0)
		return NL_OK;
	a->there = true;
	a->ethernet = link->ifi_type == ARPHRD_ETHER || link->ifi_type == ARPHRD_LOOPBACK;
	if (tb[IFLA_LINKINFO] && nla_parse_nested(info, IFLA_INFO_MAX, tb[IFLA_LINKINFO], NULL) >= 0 &&
	    info[IFLA_INFO_KIND])
		nla_strlcpy(a->kind, info[IFLA_INFO_KIND], sizeof(a->kind));
	if (tb[IFLA_LINK] && !tb[IFLA_LINK_NETNSID])
		a->lower = nla_get_u32(tb[IFLA_LINK]);
	if (tb[IFLA_MASTER])
		a->master = nla_get_u32(tb[IFLA_MASTER]);
	return NL_OK;
}

static int ask(struct nl_sock *sock, uint32_t ifindex, struct answer *a)
{
	const struct ifinfomsg info = {.ifi_family = AF_UNSPEC, .ifi_index = (int)ifindex};
	int ret;

	*a = (struct answer){0};
	ret = nl_send_simple(sock, RTM_GETLINK, 0, (void *)&info, sizeof(info));
	if (ret >= 0)
		ret = nl_socket_modify_cb(sock, NL_CB_VALID, NL_CB_CUSTOM, on_link, a);
	if (ret >= 0)
		ret = nl_recvmsgs_default(sock);
	if (ret < 0)
		return ret == -NLE_NODEV || ret == -NLE_OBJ_NOTFOUND ? -ENODEV : -EIO;
	return a->there ? 0 : -ENODEV;
}

int lb_link_kind(uint32_t ifindex, struct lb_link_kind *out)
{
	struct nl_sock *sock = nl_socket_alloc();
	struct answer a, master;
	int ret;

	memset(out, 0, sizeof(*out));
	if (!sock)
		return -ENOMEM;
	nl_socket_disable_auto_ack(sock);
	ret = nl_connect(sock, NETLINK_ROUTE) < 0 ? -EIO : 0;
	if (!ret)
		ret = ask(sock, ifindex, &a);
	if (ret)
		goto out;
	out->ethernet = a.ethernet;
	memcpy(out->kind, a.kind, sizeof(out->kind));
	if (strcmp(a.kind, "veth") && a.lower && a.lower != ifindex && !if_indextoname(a.lower, out->lower))
		out->lower[0] = '\0';
	if (a.master && if_indextoname(a.master, out->master) && !ask(sock, a.master, &master))
		memcpy(out->master_kind, master.kind, sizeof(out->master_kind));
out:
	nl_socket_free(sock);
	return ret;
}
