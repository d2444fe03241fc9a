// SPDX-License-Identifier: GPL-2.0-or-later
/* Messages to and from the kernel's routing, by libnl. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "route_priv.h"

/* For bursts of events: a link that goes down takes thousands of neighbours with it. */
#define EVENTS_BUFFER_BYTES (4 << 20)
#define MESSAGE_BYTES (64 << 10)

int lb_route_errno(int nl_code)
{
	switch (-nl_code) {
	case 0:
		return 0;
	case NLE_AGAIN:
	case NLE_DUMP_INTR:
		return -EAGAIN;
	case NLE_NOMEM:
		return -ENOBUFS;
	case NLE_OBJ_NOTFOUND:
		return -ENOENT;
	case NLE_PERM:
	case NLE_NOACCESS:
		return -EPERM;
	default:
		return -EIO;
	}
}

/* ---- addresses ---- */

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

static bool is_v4(const uint8_t addr[16])
{
	return !memcmp(addr, mapped, sizeof(mapped));
}

static bool take_addr(uint8_t addr[16], const void *raw, int len)
{
	if (len == 16) {
		memcpy(addr, raw, 16);
		return true;
	}
	if (len != 4)
		return false;
	memcpy(addr, mapped, sizeof(mapped));
	memcpy(addr + 12, raw, 4);
	return true;
}

bool lb_route_take_attr(uint8_t addr[16], const struct nlattr *a)
{
	return a && take_addr(addr, nla_data(a), nla_len(a));
}

int lb_route_put_addr(struct nl_msg *msg, int attr, const uint8_t addr[16])
{
	return is_v4(addr) ? nla_put(msg, attr, 4, addr + 12) : nla_put(msg, attr, 16, addr);
}

static unsigned char family_of(const uint8_t addr[16])
{
	return is_v4(addr) ? AF_INET : AF_INET6;
}

/* ---- what the kernel tells ---- */

static void take_vlan(struct nlattr *data, struct nlattr *lower, struct lb_route_link *link)
{
	struct nlattr *tb[IFLA_VLAN_MAX + 1];
	uint16_t words[2] = {htons(ETH_P_8021Q)};

	if (!data || !lower || nla_parse_nested(tb, IFLA_VLAN_MAX, data, NULL) < 0 || !tb[IFLA_VLAN_ID])
		return;
	if (tb[IFLA_VLAN_PROTOCOL])
		words[0] = nla_get_u16(tb[IFLA_VLAN_PROTOCOL]);
	words[1] = htons(nla_get_u16(tb[IFLA_VLAN_ID]));
	link->vlan_lower = nla_get_u32(lower);
	memcpy(&link->vlan_tag, words, sizeof(words));
}

static void take_kind(struct nlattr *tb[], struct lb_route_link *link)
{
	struct nlattr *info[IFLA_INFO_MAX + 1];

	if (!tb[IFLA_LINKINFO] || nla_parse_nested(info, IFLA_INFO_MAX, tb[IFLA_LINKINFO], NULL) < 0 ||
	    !info[IFLA_INFO_KIND])
		return;
	link->veth = !nla_strcmp(info[IFLA_INFO_KIND], "veth");
	if (nla_strcmp(info[IFLA_INFO_KIND], "vlan"))
		return;
	take_vlan(info[IFLA_INFO_DATA], tb[IFLA_LINK], link);
	/* On an interface of another network namespace, which packets cannot be sent by from here. */
	if (!link->vlan_lower || tb[IFLA_LINK_NETNSID])
		link->ethernet = false;
}

static void take_link(struct lb_route *r, struct nlmsghdr *h)
{
	const struct ifinfomsg *info = nlmsg_data(h);
	struct lb_route_link link = {0};
	struct nlattr *tb[IFLA_MAX + 1];

	/* Bridges tell about their ports in messages of their own family. */
	if (info->ifi_family != AF_UNSPEC || nlmsg_parse(h, sizeof(*info), tb, IFLA_MAX, NULL) < 0)
		return;
	link.ifindex = (uint32_t)info->ifi_index;
	link.up = (info->ifi_flags & IFF_UP) && (info->ifi_flags & IFF_RUNNING);
	if (tb[IFLA_MTU])
		link.mtu = nla_get_u32(tb[IFLA_MTU]) > UINT16_MAX ? UINT16_MAX : (uint16_t)nla_get_u32(tb[IFLA_MTU]);
	if (tb[IFLA_ADDRESS] && nla_len(tb[IFLA_ADDRESS]) == sizeof(link.mac) && info->ifi_type == ARPHRD_ETHER) {
		memcpy(link.mac, nla_data(tb[IFLA_ADDRESS]), sizeof(link.mac));
		link.ethernet = true;
	}
	take_kind(tb, &link);
	lb_route_on_link(r, &link, h->nlmsg_type == RTM_DELLINK);
}

static void take_neigh(struct lb_route *r, struct nlmsghdr *h)
{
	const struct ndmsg *nd = nlmsg_data(h);
	struct nlattr *tb[NDA_MAX + 1];
	const uint8_t *mac = NULL;
	uint8_t addr[16];

	if ((nd->ndm_family != AF_INET && nd->ndm_family != AF_INET6) || nd->ndm_flags & NTF_PROXY ||
	    nlmsg_parse(h, sizeof(*nd), tb, NDA_MAX, NULL) < 0 || !lb_route_take_attr(addr, tb[NDA_DST]))
		return;
	if (tb[NDA_LLADDR] && nla_len(tb[NDA_LLADDR]) == 6)
		mac = nla_data(tb[NDA_LLADDR]);
	lb_route_on_neigh(r, (uint32_t)nd->ndm_ifindex, addr, h->nlmsg_type == RTM_DELNEIGH ? NUD_NONE : nd->ndm_state,
			  mac);
}

static void take_route(struct lb_route *r, struct nlmsghdr *h)
{
	const struct rtmsg *rt = nlmsg_data(h);
	struct nlattr *tb[RTA_MAX + 1];
	unsigned int plen = rt->rtm_dst_len;
	uint8_t addr[16] = {0};

	if ((rt->rtm_family != AF_INET && rt->rtm_family != AF_INET6) || rt->rtm_flags & RTM_F_CLONED ||
	    nlmsg_parse(h, sizeof(*rt), tb, RTA_MAX, NULL) < 0)
		return;
	if (rt->rtm_family == AF_INET) {
		memcpy(addr, mapped, sizeof(mapped));
		plen += 96;
	}
	if (tb[RTA_DST] && !lb_route_take_attr(addr, tb[RTA_DST]))
		return;
	lb_route_on_route(r, addr, plen);
}

static int on_event(struct nl_msg *msg, void *arg)
{
	struct nlmsghdr *h = nlmsg_hdr(msg);
	struct lb_route *r = arg;

	switch (h->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		take_link(r, h);
		break;
	case RTM_NEWNEIGH:
	case RTM_DELNEIGH:
		take_neigh(r, h);
		break;
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		take_route(r, h);
		break;
	case RTM_NEWADDR:
	case RTM_DELADDR:
		lb_route_on_addrs_changed(r);
		break;
	default:
		lb_route_on_any(r);
	}
	return NL_OK;
}

int lb_route_kernel_open(struct lb_route *r)
{
	int ret;

	r->events = nl_socket_alloc();
	r->requests = nl_socket_alloc();
	if (!r->events || !r->requests)
		return -ENOMEM;
	nl_socket_disable_seq_check(r->events);
	nl_socket_disable_auto_ack(r->requests);
	ret = nl_socket_modify_cb(r->events, NL_CB_VALID, NL_CB_CUSTOM, on_event, r);
	if (!ret)
		ret = nl_connect(r->events, NETLINK_ROUTE);
	if (!ret)
		ret = nl_connect(r->requests, NETLINK_ROUTE);
	if (!ret)
		ret = nl_socket_add_memberships(r->events, RTNLGRP_LINK, RTNLGRP_NEIGH, RTNLGRP_IPV4_ROUTE,
						RTNLGRP_IPV4_RULE, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_ROUTE,
						RTNLGRP_IPV6_RULE, RTNLGRP_IPV6_IFADDR, RTNLGRP_NEXTHOP, 0);
	if (!ret)
		ret = nl_socket_set_nonblocking(r->events);
	if (!ret)
		ret = nl_socket_set_msg_buf_size(r->events, MESSAGE_BYTES);
	if (!ret)
		ret = nl_socket_set_msg_buf_size(r->requests, MESSAGE_BYTES);
	if (!ret)
		ret = nl_socket_set_buffer_size(r->events, EVENTS_BUFFER_BYTES, 0);
	if (!ret) {
		int fd = nl_socket_get_fd(r->events), bytes = EVENTS_BUFFER_BYTES;

		/* Beyond net.core.rmem_max, where that is allowed. */
		setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
	}
	return lb_route_errno(ret);
}

void lb_route_kernel_close(struct lb_route *r)
{
	nl_socket_free(r->events);
	nl_socket_free(r->requests);
}

int lb_route_kernel_fd(const struct lb_route *r)
{
	return nl_socket_get_fd(r->events);
}

uint64_t lb_route_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

int lb_route_drain(struct nl_sock *events, uint64_t end_ns)
{
	int ret;

	do {
		ret = nl_recvmsgs_default(events);
	} while (ret >= 0 && lb_route_now_ns() < end_ns);
	return ret >= 0 || ret == -NLE_AGAIN ? 0 : lb_route_errno(ret);
}

int lb_route_kernel_read(struct lb_route *r, uint64_t end_ns)
{
	return lb_route_drain(r->events, end_ns);
}

/* ---- requests ---- */

/* Sends @msg and hands what comes back to @take. Consumes @msg. */
static int transact(struct lb_route *r, struct nl_msg *msg, nl_recvmsg_msg_cb_t take, void *arg)
{
	struct nl_cb *cb;
	int ret;

	cb = nl_cb_alloc(NL_CB_DEFAULT);
	if (!cb) {
		nlmsg_free(msg);
		return -ENOMEM;
	}
	if (take)
		nl_cb_set(cb, NL_CB_VALID, NL_CB_CUSTOM, take, arg);
	ret = nl_send_auto(r->requests, msg);
	nlmsg_free(msg);
	if (ret >= 0)
		ret = nl_recvmsgs(r->requests, cb);
	nl_cb_put(cb);
	return ret < 0 ? lb_route_errno(ret) : 0;
}

static int on_answer(struct nl_msg *msg, void *arg)
{
	struct nlmsghdr *h = nlmsg_hdr(msg);
	const struct rtmsg *rt = nlmsg_data(h);
	struct nlattr *tb[RTA_MAX + 1], *metrics[RTAX_MAX + 1];
	struct lb_route_answer *a = arg;

	/* Local, broadcast and the like, or one that needs a header of its own: no way for us. */
	if (h->nlmsg_type != RTM_NEWROUTE || nlmsg_parse(h, sizeof(*rt), tb, RTA_MAX, NULL) < 0 ||
	    rt->rtm_type != RTN_UNICAST || !tb[RTA_OIF] || tb[RTA_ENCAP])
		return NL_OK;
	if (tb[RTA_VIA]) {
		const struct rtvia *via = nla_data(tb[RTA_VIA]);

		if (!take_addr(a->gateway, via->rtvia_addr, nla_len(tb[RTA_VIA]) - (int)sizeof(*via)))
			return NL_OK;
	} else if (tb[RTA_GATEWAY] && !lb_route_take_attr(a->gateway, tb[RTA_GATEWAY])) {
		return NL_OK;
	}
	lb_route_take_attr(a->source, tb[RTA_PREFSRC]);
	if (tb[RTA_METRICS] && !nla_parse_nested(metrics, RTAX_MAX, tb[RTA_METRICS], NULL) && metrics[RTAX_MTU]) {
		const struct rta_cacheinfo *info = tb[RTA_CACHEINFO] ? nla_data(tb[RTA_CACHEINFO]) : NULL;

		/* One that expires was learned for this path and would be gone without a word. */
		if (!info || !info->rta_expires)
			a->mtu = nla_get_u32(metrics[RTAX_MTU]);
	}
	a->ifindex = nla_get_u32(tb[RTA_OIF]);
	return NL_OK;
}

int lb_route_kernel_route(struct lb_route *r, const uint8_t addr[16], struct lb_route_answer *out)
{
	struct rtmsg rt = {.rtm_family = family_of(addr), .rtm_dst_len = is_v4(addr) ? 32 : 128};
	struct nl_msg *msg = nlmsg_alloc_simple(RTM_GETROUTE, NLM_F_REQUEST);

	*out = (struct lb_route_answer){0};
	memcpy(out->gateway, addr, 16);
	if (!msg)
		return -ENOMEM;
	if (nlmsg_append(msg, &rt, sizeof(rt), NLMSG_ALIGNTO) || lb_route_put_addr(msg, RTA_DST, addr)) {
		nlmsg_free(msg);
		return -ENOMEM;
	}
	if (transact(r, msg, on_answer, out) || !out->ifindex)
		return -ENETUNREACH;
	return 0;
}

static int on_neigh(struct nl_msg *msg, void *arg)
{
	if (nlmsg_hdr(msg)->nlmsg_type == RTM_NEWNEIGH)
		take_neigh(arg, nlmsg_hdr(msg));
	return NL_OK;
}

static struct nl_msg *neigh_message(int type, int flags, const struct lb_route_neigh *n, uint8_t ntf)
{
	struct ndmsg nd = {.ndm_family = family_of(n->addr), .ndm_ifindex = (int)n->ifindex, .ndm_flags = ntf};
	struct nl_msg *msg = nlmsg_alloc_simple(type, flags);

	if (!msg)
		return NULL;
	if (nlmsg_append(msg, &nd, sizeof(nd), NLMSG_ALIGNTO) || lb_route_put_addr(msg, NDA_DST, n->addr)) {
		nlmsg_free(msg);
		return NULL;
	}
	return msg;
}

int lb_route_kernel_neigh(struct lb_route *r, const struct lb_route_neigh *n)
{
	struct nl_msg *msg = neigh_message(RTM_GETNEIGH, NLM_F_REQUEST, n, 0);

	return msg ? transact(r, msg, on_neigh, r) : -ENOMEM;
}

int lb_route_kernel_probe(struct lb_route *r, const struct lb_route_neigh *n)
{
	struct nl_msg *msg = neigh_message(RTM_NEWNEIGH, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_ACK, n, NTF_USE);

	return msg ? transact(r, msg, NULL, NULL) : -ENOMEM;
}

static int on_link(struct nl_msg *msg, void *arg)
{
	if (nlmsg_hdr(msg)->nlmsg_type == RTM_NEWLINK)
		take_link(arg, nlmsg_hdr(msg));
	return NL_OK;
}

static int on_addr(struct nl_msg *msg, void *arg)
{
	struct nlmsghdr *h = nlmsg_hdr(msg);
	const struct ifaddrmsg *ifa = nlmsg_data(h);
	struct nlattr *tb[IFA_MAX + 1];
	uint32_t flags = ifa->ifa_flags;
	uint8_t addr[16];

	if (h->nlmsg_type != RTM_NEWADDR || nlmsg_parse(h, sizeof(*ifa), tb, IFA_MAX, NULL) < 0)
		return NL_OK;
	if (tb[IFA_FLAGS])
		flags = nla_get_u32(tb[IFA_FLAGS]);
	/* Those that nothing outside can be sent from, or not yet. */
	if (ifa->ifa_scope >= RT_SCOPE_LINK || flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED | IFA_F_DEPRECATED))
		return NL_OK;
	/* IFA_LOCAL differs from IFA_ADDRESS on point-to-point links, and IPv6 often has the latter alone. */
	if (lb_route_take_attr(addr, tb[IFA_LOCAL]) || lb_route_take_attr(addr, tb[IFA_ADDRESS]))
		lb_route_on_addr(arg, ifa->ifa_index, addr);
	return NL_OK;
}

static int dump(struct lb_route *r, int type, const void *header, size_t len, nl_recvmsg_msg_cb_t take)
{
	int ret = -EAGAIN;

	/* What changes while it is listed makes it start again. */
	for (int i = 0; i < 5 && ret == -EAGAIN; i++) {
		struct nl_msg *msg = nlmsg_alloc_simple(type, NLM_F_REQUEST | NLM_F_DUMP);

		if (!msg)
			return -ENOMEM;
		if (nlmsg_append(msg, (void *)header, len, NLMSG_ALIGNTO)) {
			nlmsg_free(msg);
			return -ENOMEM;
		}
		ret = transact(r, msg, take, r);
	}
	return ret;
}

int lb_route_kernel_dump_links(struct lb_route *r)
{
	const struct ifinfomsg info = {.ifi_family = AF_UNSPEC};

	return dump(r, RTM_GETLINK, &info, sizeof(info), on_link);
}

int lb_route_kernel_dump_addrs(struct lb_route *r)
{
	const struct ifaddrmsg ifa = {.ifa_family = AF_UNSPEC};

	return dump(r, RTM_GETADDR, &ifa, sizeof(ifa), on_addr);
}
