// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Next hops against the running kernel: two networks with real neighbours, whose MACs, links and routes change. Each
 * wait is for an event, and says how long it took. Root; in network namespaces of its own.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "route_priv.h"
#include "tap.h"

#define DEADLINE_MS 30000
#define MANY 10000
#define LONGEST_MS 10 /* three are meant, and a core may be shared */
#define FAILOVERS 8

static char ns_a[32], ns_b[32];
static struct lb_err err;
static struct lb_route *route;

/* What was reported last of each address that a test looks at. */
static struct seen {
	uint8_t addr[16];
	struct lb_next_hop nh;
	unsigned int calls, losses;
} seen[16];
static size_t nr_seen;
static unsigned int calls;
static uint8_t unwatch_at_call[16];

/* The many watched addresses of the last test: when each was told of its new way. */
static uint32_t many_ifindex[MANY];

static struct seen *seen_of(const uint8_t addr[16])
{
	for (size_t i = 0; i < nr_seen; i++) {
		if (!memcmp(seen[i].addr, addr, 16))
			return &seen[i];
	}
	return NULL;
}

static void on_changed(void *ctx, const uint8_t addr[16], const struct lb_next_hop *nh)
{
	struct seen *s = seen_of(addr);

	tap_need(ctx == &route, "the callback's context");
	calls++;
	if (addr[12] == 10 && addr[13] == 77)
		many_ifindex[addr[14] * 100 + addr[15]] = nh->ifindex;
	if (!memcmp(addr, unwatch_at_call, 16))
		lb_route_unwatch(route, addr);
	if (!s)
		return;
	s->nh = *nh;
	s->calls++;
	s->losses += !nh->ifindex;
}

static const uint8_t *parse(const char *text)
{
	static uint8_t addr[16];

	memset(addr, 0, 16);
	if (strchr(text, ':')) {
		tap_need(inet_pton(AF_INET6, text, addr) == 1, "%s", text);
	} else {
		addr[10] = addr[11] = 0xff;
		tap_need(inet_pton(AF_INET, text, addr + 12) == 1, "%s", text);
	}
	return addr;
}

static struct seen *watch(const char *text)
{
	struct seen *s = &seen[nr_seen++];

	tap_need(nr_seen <= 16, "too many");
	*s = (struct seen){0};
	memcpy(s->addr, parse(text), 16);
	tap_need(!lb_route_watch(route, s->addr), "watch %s", text);
	return s;
}

static void forget_all(void)
{
	while (nr_seen)
		lb_route_unwatch(route, seen[--nr_seen].addr);
}

static void process_once(int timeout_ms)
{
	struct pollfd p = {.fd = lb_route_fd(route), .events = POLLIN};

	if (poll(&p, 1, timeout_ms) > 0)
		tap_need(!lb_route_process(route), "process");
}

static void mac_of(const char *ns, const char *ifname, uint8_t mac[6])
{
	char command_line[160], line[64] = "";
	FILE *f;

	if (ns)
		snprintf(command_line, sizeof(command_line), "ip -n %s -br link show %s | awk '{print $3}'", ns,
			 ifname);
	else
		snprintf(command_line, sizeof(command_line), "ip -br link show %s | awk '{print $3}'", ifname);
	f = popen(command_line, "r");
	tap_need(f && fgets(line, sizeof(line), f) &&
			 sscanf(line, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &mac[0], &mac[1], &mac[2], &mac[3], &mac[4],
				&mac[5]) == 6,
		 "the MAC of %s: %s", ifname, line);
	pclose(f);
}

static double waited;

/* Waits until packets to @s would leave by @ifname to @mac (NULL: any). */
static bool goes_by(const struct seen *s, const char *ifname, const uint8_t *mac)
{
	double start = now_ms();
	uint32_t ifindex = if_nametoindex(ifname);

	while (s->nh.ifindex != ifindex || (mac && memcmp(s->nh.dmac, mac, 6))) {
		process_once(50);
		waited = now_ms() - start;
		if (waited > DEADLINE_MS)
			return false;
	}
	waited = now_ms() - start;
	return true;
}

/* Waits until packets to @s would leave, wherever. */
static bool is_known(const struct seen *s)
{
	double start = now_ms();

	while (!s->nh.ifindex && now_ms() - start <= DEADLINE_MS)
		process_once(50);
	return s->nh.ifindex;
}

static bool is_lost(const struct seen *s)
{
	static const struct lb_next_hop none;
	double start = now_ms();

	while (memcmp(&s->nh, &none, sizeof(none))) {
		process_once(50);
		waited = now_ms() - start;
		if (waited > DEADLINE_MS)
			return false;
	}
	waited = now_ms() - start;
	return true;
}

/* Lets events come for as long as they would need, where none is expected. */
static void settle(double ms)
{
	double end = now_ms() + ms;

	while (now_ms() < end)
		process_once((int)(end - now_ms()) + 1);
}

static bool way_is(const struct seen *s, enum lb_way way)
{
	return lb_route_way(route, s->addr) == way;
}

static bool is_addr(const uint8_t addr[16], const char *text)
{
	return !memcmp(addr, parse(text), 16);
}

static void set_up(void)
{
	command("ip link set lo up");
	command("ip netns add %s && ip netns add %s", ns_a, ns_b);
	command("ip link add r0 type veth peer name eth0 netns %s", ns_a);
	command("ip link add r1 type veth peer name eth0 netns %s", ns_b);
	command("sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0 "
		"net.ipv6.conf.r0.accept_dad=0 net.ipv6.conf.r1.accept_dad=0");
	command("ip addr add 10.1.0.1/24 dev r0 && ip addr add fd01::1/64 dev r0 nodad && ip link set r0 up");
	command("ip addr add 10.2.0.1/24 dev r1 && ip addr add fd02::1/64 dev r1 nodad && ip link set r1 up");
	command("ip -n %s addr add 10.1.0.2/24 dev eth0 && ip -n %s addr add fd01::2/64 dev eth0 nodad && "
		"ip -n %s link set eth0 up",
		ns_a, ns_a, ns_a);
	command("ip -n %s addr add 10.2.0.2/24 dev eth0 && ip -n %s addr add fd02::2/64 dev eth0 nodad && "
		"ip -n %s link set eth0 up",
		ns_b, ns_b, ns_b);
	/* Quick to give up, so that a lost neighbour needs no seconds. */
	for (int i = 0; i < 2; i++)
		command("sysctl -qw net.ipv4.neigh.r%d.mcast_solicit=2 net.ipv4.neigh.r%d.ucast_solicit=1 "
			"net.ipv4.neigh.r%d.retrans_time_ms=100",
			i, i, i);
}

static void test_on_link(uint8_t mac_a[6])
{
	struct seen *v4, *v6, *own, *nowhere;
	uint64_t changes;
	uint8_t smac[6];

	mac_of(NULL, "r0", smac);
	v4 = watch("10.1.0.2");
	tap_ok(goes_by(v4, "r0", mac_a), "IPv4 on link is resolved (%.1f ms)", waited);
	tap_ok(!memcmp(v4->nh.smac, smac, 6) && v4->nh.mtu == 1500, "with the interface's MAC and MTU");
	tap_ok(v4->nh.redirect, "to be left by redirection, for it is a veth");
	tap_ok(is_addr(v4->nh.source4, "10.1.0.1") && is_addr(v4->nh.source6, "fd01::1"), "and both its addresses");
	v6 = watch("fd01::2");
	tap_ok(goes_by(v6, "r0", mac_a), "IPv6 on link is resolved (%.1f ms)", waited);
	tap_ok(is_addr(v6->nh.source6, "fd01::1") && is_addr(v6->nh.source4, "10.1.0.1"), "with both addresses");
	own = watch("10.1.0.1");
	nowhere = watch("203.0.113.1");
	settle(50);
	tap_ok(!own->calls && !nowhere->calls,
	       "neither this host's own address nor one without a route has a next hop");
	tap_ok(way_is(own, LB_WAY_NO_ROUTE) && way_is(nowhere, LB_WAY_NO_ROUTE) && way_is(v4, LB_WAY_KNOWN),
	       "and the reason is no_route");
	command("ip route add 203.0.113.0/24 dev lo");
	settle(50);
	tap_ok(way_is(nowhere, LB_WAY_NO_ETHERNET), "no_ethernet by an interface that has none");
	command("ip route del 203.0.113.0/24 dev lo");
	settle(50);
	command("ip route add 203.0.113.0/24 via 10.1.0.2");
	tap_ok(goes_by(nowhere, "r0", mac_a), "the latter has one when a route comes (%.1f ms)", waited);
	changes = lb_route_link_changes(route);
	command("ip link set r0 mtu 1400");
	while (v4->nh.mtu != 1400 && waited < DEADLINE_MS)
		process_once(50);
	tap_ok(v4->nh.mtu == 1400, "an MTU that changes is reported");
	tap_ok(lb_route_link_changes(route) > changes, "and is a change of the interface");
	command("ip link set r0 mtu 1500 && ip route replace 203.0.113.0/24 via 10.1.0.2 mtu 1300");
	while (nowhere->nh.mtu != 1300 || v4->nh.mtu != 1500)
		process_once(DEADLINE_MS);
	tap_ok(nowhere->nh.mtu == 1300 && v4->nh.mtu == 1500, "so is a route's own MTU");
	command("ip route del 203.0.113.0/24");
	tap_ok(is_lost(nowhere), "lost with its route (%.1f ms)", waited);
	forget_all();
}

static void test_gateways(const uint8_t mac_a[6], const uint8_t mac_b[6])
{
	struct seen *w, *w6;
	unsigned int losses;

	command("ip route add 10.9.0.0/16 via 10.1.0.2");
	w = watch("10.9.1.1");
	tap_ok(goes_by(w, "r0", mac_a) && is_addr(w->nh.source4, "10.1.0.1"), "behind a router: its MAC (%.1f ms)",
	       waited);
	command("ip route replace 10.9.0.0/16 via 10.2.0.2");
	tap_ok(goes_by(w, "r1", mac_b) && is_addr(w->nh.source4, "10.2.0.1"), "the route changes to another (%.1f ms)",
	       waited);
	command("ip route replace 10.9.0.0/16 via 10.1.0.2");
	tap_need(goes_by(w, "r0", mac_a), "back");
	losses = w->losses;
	command("ip neigh del 10.2.0.2 dev r1; ip route replace 10.9.0.0/16 via 10.2.0.2");
	tap_ok(goes_by(w, "r1", mac_b) && w->losses == losses,
	       "the old way serves while the new router is asked for (%.1f ms)", waited);
	command("ip route replace 10.9.0.0/16 via 10.1.0.99");
	tap_ok(is_lost(w) && way_is(w, LB_WAY_NO_NEIGHBOUR), "until it is known not to answer (%.1f ms)", waited);
	command("ip route replace 10.9.0.0/16 via 10.2.0.2");
	tap_need(goes_by(w, "r1", mac_b), "back");
	command("ip route add 10.9.1.1/32 via 10.1.0.2 src 10.1.0.1");
	tap_ok(goes_by(w, "r0", mac_a), "a longer prefix wins (%.1f ms)", waited);
	command("ip route del 10.9.1.1/32");
	tap_ok(goes_by(w, "r1", mac_b), "and gives way (%.1f ms)", waited);
	command("ip route add 10.9.0.0/16 via 10.1.0.2 metric 5 && ip route del 10.9.0.0/16 metric 0 via 10.2.0.2");
	tap_ok(goes_by(w, "r0", mac_a), "the next metric's turn (%.1f ms)", waited);
	command("ip rule add to 10.9.1.0/24 table 99 && ip route add 10.9.0.0/16 via 10.2.0.2 table 99");
	tap_ok(goes_by(w, "r1", mac_b), "rules are followed (%.1f ms)", waited);
	command("ip rule del to 10.9.1.0/24 table 99");
	tap_ok(goes_by(w, "r0", mac_a), "and when they go (%.1f ms)", waited);
	command("ip route add blackhole 10.9.1.0/24");
	tap_ok(is_lost(w), "a blackhole is no way (%.1f ms)", waited);
	command("ip route del blackhole 10.9.1.0/24");
	tap_ok(goes_by(w, "r0", mac_a), "back (%.1f ms)", waited);
	command("ip route add local 10.9.1.1 dev lo table local");
	tap_ok(is_lost(w), "nor is an address that became this host's (%.1f ms)", waited);
	command("ip route del local 10.9.1.1 dev lo table local");
	tap_ok(goes_by(w, "r0", mac_a), "back (%.1f ms)", waited);
	command("ip -6 route add default via fd02::2");
	w6 = watch("2001:db8::1");
	tap_ok(goes_by(w6, "r1", mac_b) && is_addr(w6->nh.source6, "fd02::1"), "IPv6 by the default router (%.1f ms)",
	       waited);
	command("ip -6 route add 2001:db8::/32 via fd01::2");
	tap_ok(goes_by(w6, "r0", mac_a), "and by a better one (%.1f ms)", waited);
	command("ip route add 10.8.0.0/16 via inet6 fd02::2");
	w = watch("10.8.0.1");
	tap_ok(goes_by(w, "r1", mac_b), "an IPv4 route by an IPv6 router (%.1f ms)", waited);
	command("ip route del 10.8.0.0/16 && ip route del 10.9.0.0/16 && ip -6 route del default && ip -6 route del "
		"2001:db8::/32");
	forget_all();
}

static void test_macs(uint8_t mac_a[6])
{
	static const uint8_t by_hand[6] = {2, 0, 0, 0, 0xaa, 1}, new_mac[6] = {2, 0, 0, 0, 0xaa, 2};
	struct seen *v4 = watch("10.1.0.2"), *v6 = watch("fd01::2");
	unsigned int losses;

	tap_need(goes_by(v4, "r0", mac_a) && goes_by(v6, "r0", mac_a), "resolved");
	command("ip neigh replace 10.1.0.2 lladdr 02:00:00:00:aa:01 dev r0 nud permanent");
	tap_ok(goes_by(v4, "r0", by_hand), "a MAC set by hand (%.1f ms)", waited);
	lb_route_refresh(route);
	settle(50);
	tap_ok(!try_command("ip neigh show 10.1.0.2 dev r0 | grep -q PERMANENT"), "which refreshing leaves as it is");
	command("ip neigh replace 10.1.0.2 lladdr %02x:%02x:%02x:%02x:%02x:%02x dev r0 nud stale", mac_a[0], mac_a[1],
		mac_a[2], mac_a[3], mac_a[4], mac_a[5]);
	tap_ok(goes_by(v4, "r0", mac_a), "a stale entry's MAC counts (%.1f ms)", waited);
	losses = v4->losses + v6->losses;
	/* A neighbour that is asked and has not answered yet: the kernel cannot send for a while. */
	command("sysctl -qw net.ipv4.neigh.r0.mcast_solicit=200");
	command("ip -n %s addr del 10.1.0.2/24 dev eth0 && ip neigh flush dev r0 && ip -6 neigh flush dev r0", ns_a);
	settle(50);
	command("ip -n %s addr add 10.1.0.2/24 dev eth0", ns_a);
	for (double end = now_ms() + DEADLINE_MS; try_command("ip neigh show 10.1.0.2 dev r0 | grep -q lladdr");) {
		tap_need(now_ms() < end, "the kernel resolves 10.1.0.2 again");
		settle(20);
	}
	tap_ok(v4->losses + v6->losses == losses && v4->nh.ifindex && v6->nh.ifindex,
	       "a flushed neighbour keeps its MAC while it is asked again");
	command("sysctl -qw net.ipv4.neigh.r0.mcast_solicit=2");
	command("ip netns exec %s sysctl -qw net.ipv4.conf.eth0.arp_notify=1 net.ipv6.conf.eth0.ndisc_notify=1", ns_a);
	command("ip -n %s link set eth0 address 02:00:00:00:aa:02", ns_a);
	memcpy(mac_a, new_mac, 6);
	tap_ok(goes_by(v4, "r0", new_mac), "a neighbour that announces a new MAC (%.1f ms)", waited);
	lb_route_refresh(route);
	tap_ok(goes_by(v6, "r0", new_mac), "IPv6, too (%.1f ms)", waited);
	command("ip -n %s addr del 10.1.0.2/24 dev eth0 && ip neigh flush dev r0", ns_a);
	tap_ok(is_lost(v4), "a neighbour that answers no more is lost (%.1f ms)", waited);
	tap_ok(way_is(v4, LB_WAY_NO_NEIGHBOUR), "and the reason is no_neighbour");
	command("ip -n %s addr add 10.1.0.2/24 dev eth0 && ip neigh flush dev r0", ns_a);
	lb_route_refresh(route);
	tap_ok(goes_by(v4, "r0", new_mac), "and found when it does again (%.1f ms)", waited);
	/* Silently another machine: nobody says anything until somebody asks. */
	command("ip netns exec %s sysctl -qw net.ipv4.conf.eth0.arp_notify=0 net.ipv6.conf.eth0.ndisc_notify=0", ns_a);
	command("ip -n %s link set eth0 address 02:00:00:00:aa:03", ns_a);
	mac_a[5] = 3;
	command("ip neigh change 10.1.0.2 dev r0 lladdr 02:00:00:00:aa:02 nud probe");
	tap_ok(goes_by(v4, "r0", mac_a), "a new MAC that is not announced, when the old one fails (%.1f ms)", waited);
	forget_all();
}

static void test_links(const uint8_t mac_a[6])
{
	struct seen *v4, *v6, *w;

	/* IPv6 has not noticed the last change of the MAC. */
	command("ip route add 10.9.0.0/16 via 10.1.0.2 && ip -6 neigh flush dev r0");
	v4 = watch("10.1.0.2");
	v6 = watch("fd01::2");
	w = watch("10.9.1.1");
	tap_need(goes_by(v4, "r0", mac_a) && goes_by(w, "r0", mac_a), "resolved");
	lb_route_refresh(route);
	tap_need(goes_by(v6, "r0", mac_a), "resolved");
	command("ip -n %s link set eth0 down", ns_a);
	tap_ok(is_lost(v4) && is_lost(v6) && is_lost(w), "no carrier: lost (%.1f ms)", waited);
	settle(50);
	tap_ok(way_is(v4, LB_WAY_LINK_DOWN) && way_is(w, LB_WAY_LINK_DOWN), "and the reason is link_down");
	command("ip -n %s link set eth0 up && ip -n %s addr replace fd01::2/64 dev eth0 nodad", ns_a, ns_a);
	tap_ok(goes_by(v4, "r0", mac_a) && goes_by(w, "r0", mac_a), "carrier: back (%.1f ms)", waited);
	lb_route_refresh(route);
	tap_ok(goes_by(v6, "r0", mac_a), "IPv6, too (%.1f ms)", waited);
	command("ip link set r0 down");
	tap_ok(is_lost(v4) && is_lost(v6) && is_lost(w), "link down: lost (%.1f ms)", waited);
	command("ip link set r0 up && ip addr replace fd01::1/64 dev r0 nodad && ip route add 10.9.0.0/16 via "
		"10.1.0.2");
	tap_ok(goes_by(v4, "r0", mac_a) && goes_by(w, "r0", mac_a), "link up: back (%.1f ms)", waited);
	tap_ok(goes_by(v6, "r0", mac_a), "IPv6, too (%.1f ms)", waited);
	command("ip addr add 10.1.0.9/24 dev r0 && ip route replace 10.9.0.0/16 via 10.1.0.2 src 10.1.0.9");
	while (!is_addr(w->nh.source4, "10.1.0.9") && waited < DEADLINE_MS)
		process_once(50);
	tap_ok(is_addr(w->nh.source4, "10.1.0.9"), "a route's preferred source is taken");
	command("ip link add r9 type veth peer name r9p && ip addr add 10.99.0.1/24 dev r9 && ip link set r9 up && "
		"ip link set r9p up && ip neigh add 10.99.0.2 lladdr 02:00:00:00:99:02 dev r9 nud permanent");
	w = watch("10.99.0.2");
	tap_ok(goes_by(w, "r9", NULL), "an interface that came later (%.1f ms)", waited);
	command("ip link del r9");
	tap_ok(is_lost(w), "deleted: lost (%.1f ms)", waited);
	command("ip route del 10.9.0.0/16");
	forget_all();
}

/* A route by two routers: when the one that is used is gone, the kernel takes the other, and says so to nobody. */
static void test_failover(const uint8_t mac_a[6], const uint8_t mac_b[6])
{
	struct seen *w = NULL, *w6;
	char text[16];
	bool by_a, all;
	int same = 0;

	command("sysctl -qw net.ipv4.fib_multipath_use_neigh=1");
	command("ip neigh flush dev r0; ip neigh flush dev r1; ip -6 neigh flush dev r0; ip -6 neigh flush dev r1; "
		"ip netns exec %s ping -q -c 1 10.1.0.1 >/dev/null; ip netns exec %s ping -q -c 1 10.2.0.1 >/dev/null; "
		"ip netns exec %s ping -q -c 1 fd01::1 >/dev/null; ip netns exec %s ping -q -c 1 fd02::1 >/dev/null",
		ns_a, ns_b, ns_a, ns_b);
	command("ip route add 10.9.0.0/16 nexthop via 10.1.0.2 nexthop via 10.2.0.2");
	command("ip -6 route add 2001:db8::/32 nexthop via fd01::2 nexthop via fd02::2");
	for (int i = 1; i <= FAILOVERS; i++) {
		snprintf(text, sizeof(text), "10.9.1.%d", i);
		w = watch(text);
		tap_need(is_known(w), "resolved");
	}
	for (size_t i = 0; i < nr_seen; i++)
		same += seen[i].nh.ifindex == if_nametoindex("r0");
	by_a = same >= FAILOVERS / 2;
	tap_note("%d of %d addresses go by the first of two routers", same, FAILOVERS);
	command("ip -n %s addr del 10.%d.0.2/24 dev eth0", by_a ? ns_a : ns_b, by_a ? 1 : 2);
	command("ip neigh change 10.%d.0.2 dev r%d nud probe", by_a ? 1 : 2, !by_a);
	all = true;
	for (size_t i = 0; i < nr_seen; i++)
		all &= by_a ? goes_by(&seen[i], "r1", mac_b) : goes_by(&seen[i], "r0", mac_a);
	tap_ok(all, "a router of two that answers no more: the other, for %d addresses", FAILOVERS);
	command("ip -n %s addr add 10.%d.0.2/24 dev eth0", by_a ? ns_a : ns_b, by_a ? 1 : 2);
	w6 = watch("2001:db8::1");
	tap_need(is_known(w6), "resolved");
	by_a = w6->nh.ifindex == if_nametoindex("r0");
	tap_need(by_a ? goes_by(w6, "r0", mac_a) : goes_by(w6, "r1", mac_b), "by one of two");
	command("sysctl -qw net.ipv6.neigh.r0.ucast_solicit=1 net.ipv6.neigh.r1.ucast_solicit=1 "
		"net.ipv6.neigh.r0.retrans_time_ms=100 net.ipv6.neigh.r1.retrans_time_ms=100");
	command("ip -n %s addr del fd0%d::2/64 dev eth0", by_a ? ns_a : ns_b, by_a ? 1 : 2);
	command("ip neigh change fd0%d::2 dev r%d nud probe", by_a ? 1 : 2, !by_a);
	tap_ok(by_a ? goes_by(w6, "r1", mac_b) : goes_by(w6, "r0", mac_a), "IPv6, too (%.1f ms)", waited);
	command("ip -n %s addr add fd0%d::2/64 dev eth0 nodad", by_a ? ns_a : ns_b, by_a ? 1 : 2);
	command("ip route del 10.9.0.0/16 && ip -6 route del 2001:db8::/32");
	forget_all();
}

static void tell_link(const struct lb_route_link *link)
{
	lb_route_on_link(route, link, false);
	lb_route_process(route);
}

static bool has_tags(const struct seen *s, const char *oif, uint32_t outer, uint32_t inner)
{
	return s->nh.vlan.oif == if_nametoindex(oif) && s->nh.vlan.tag[0] == outer && s->nh.vlan.tag[1] == inner;
}

/* VLAN devices, as the kernel would tell of them: it may lack them, so r0 is said to be one. */
static void test_vlans(const uint8_t mac_a[6])
{
	struct lb_route_link link = {.ifindex = if_nametoindex("r0"), .up = true, .ethernet = true, .mtu = 1500};
	struct lb_route_link middle = {.ifindex = 100001, .up = true, .ethernet = true, .mtu = 1500};
	const uint32_t outer = htonl(0x88a80064), inner = htonl(0x81000007), top = htonl(0x81000009);
	const uint32_t r0 = if_nametoindex("r0"), r1 = if_nametoindex("r1");
	struct seen *w;

	mac_of(NULL, "r0", link.mac);
	w = watch("10.1.0.2");
	tap_need(goes_by(w, "r0", mac_a), "the neighbour is resolved");
	tap_ok(!w->nh.vlan.oif && !lb_route_has_vlans(route, r1), "no VLAN device, no tags");
	link.vlan_lower = r1;
	link.vlan_tag = inner;
	tell_link(&link);
	tap_ok(goes_by(w, "r0", mac_a) && has_tags(w, "r1", inner, 0), "a VLAN device: its tag and what is below it");
	tap_ok(w->nh.vlan.flags == LB_VLAN_F_REDIRECT && w->nh.mtu == 1500, "which is a veth; the MTU is its own");
	tap_ok(lb_route_has_vlans(route, r1) && !lb_route_has_vlans(route, r0), "there is a VLAN device on r1");
	link.vlan_lower = middle.ifindex;
	tell_link(&link);
	tap_ok(!w->nh.ifindex, "on a device that nobody knows: lost");
	middle.vlan_lower = r1;
	middle.vlan_tag = outer;
	tell_link(&middle);
	tap_ok(goes_by(w, "r0", mac_a) && has_tags(w, "r1", outer, inner), "on another one: both tags, its own inside");
	tap_ok(w->nh.mtu == 1496, "and so much less MTU as the kernel would not redirect");
	tap_ok(lb_route_has_vlans(route, r1) && lb_route_has_vlans(route, middle.ifindex), "there are two on r1");
	middle.ifindex = 100002;
	middle.vlan_tag = top;
	tell_link(&middle);
	middle.ifindex = 100001;
	middle.vlan_lower = 100002;
	tell_link(&middle);
	tap_ok(!w->nh.ifindex, "three tags are too many");
	middle.vlan_lower = r1;
	tell_link(&middle);
	tap_ok(has_tags(w, "r1", top, inner), "two are not");
	lb_route_on_link(route, &middle, true);
	middle.ifindex = 100002;
	lb_route_on_link(route, &middle, true);
	lb_route_process(route);
	tap_ok(!w->nh.ifindex, "the one in the middle goes: lost");
	link.vlan_lower = link.vlan_tag = 0;
	link.veth = true;
	tell_link(&link);
	tap_ok(goes_by(w, "r0", mac_a) && !w->nh.vlan.oif, "no VLAN device any more");
	forget_all();
}

static void test_counting(const uint8_t mac_a[6])
{
	struct seen *w = watch("10.1.0.2");
	unsigned int before;

	tap_need(goes_by(w, "r0", mac_a), "resolved");
	before = w->calls;
	tap_need(!lb_route_watch(route, w->addr), "watch");
	tap_ok(w->calls == before, "watched twice: reported once");
	lb_route_unwatch(route, w->addr);
	command("ip neigh replace 10.1.0.2 lladdr 02:00:00:00:bb:01 dev r0 nud permanent");
	tap_ok(goes_by(w, "r0", (const uint8_t[6]){2, 0, 0, 0, 0xbb, 1}), "still watched after one of two unwatches");
	memcpy(unwatch_at_call, w->addr, 16);
	command("ip neigh replace 10.1.0.2 lladdr 02:00:00:00:bb:02 dev r0 nud permanent");
	tap_ok(goes_by(w, "r0", (const uint8_t[6]){2, 0, 0, 0, 0xbb, 2}), "unwatched from inside the callback");
	memset(unwatch_at_call, 0, 16);
	before = w->calls;
	command("ip neigh replace 10.1.0.2 lladdr 02:00:00:00:bb:03 dev r0 nud permanent");
	settle(50);
	tap_ok(w->calls == before, "then nothing is reported any more");
	command("ip neigh del 10.1.0.2 dev r0");
	nr_seen = 0;
}

/* Events that do not fit the socket's buffer are lost; the state is found again. */
static void test_overrun(void)
{
	struct seen *w;

	command("ip neigh replace 10.1.0.2 lladdr 02:00:00:00:cc:01 dev r0 nud permanent");
	w = watch("10.1.0.2");
	tap_need(goes_by(w, "r0", (const uint8_t[6]){2, 0, 0, 0, 0xcc, 1}), "resolved");
	tap_need(!nl_socket_set_buffer_size(route->events, 2048, 0), "a small buffer");
	command("(for i in $(seq 1 250); do echo neigh replace 10.1.0.$i lladdr 02:00:00:00:cc:02 dev r0 nud "
		"permanent; done) "
		"| ip -b -");
	tap_ok(goes_by(w, "r0", (const uint8_t[6]){2, 0, 0, 0, 0xcc, 2}),
	       "events were lost, the state was not (%.1f ms)", waited);
	tap_need(!nl_socket_set_buffer_size(route->events, 4 << 20, 0), "buffer");
	command("ip neigh flush dev r0 nud permanent");
	forget_all();
}

static double cpu_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return ts.tv_sec * 1e3 + ts.tv_nsec / 1e6;
}

static double longest; /* call of lb_route_process, CPU time */

static void process(void)
{
	double t = cpu_ms();

	tap_need(!lb_route_process(route), "process");
	t = cpu_ms() - t;
	longest = t > longest ? t : longest;
}

static bool all_by(uint32_t ifindex)
{
	double start = now_ms();
	int left = MANY;

	while (left && now_ms() - start < DEADLINE_MS) {
		struct pollfd p = {.fd = lb_route_fd(route), .events = POLLIN};

		if (poll(&p, 1, 50) <= 0)
			continue;
		process();
		left = 0;
		for (int i = 0; i < MANY; i++)
			left += many_ifindex[i] != ifindex;
	}
	waited = now_ms() - start;
	return !left;
}

static void test_many(void)
{
	uint8_t addr[16] = {[10] = 0xff, 0xff, 10, 77};
	double start;

	command("ip route add 10.77.0.0/16 via 10.1.0.2");
	start = now_ms();
	for (int i = 0; i < MANY; i++) {
		addr[14] = (uint8_t)(i / 100);
		addr[15] = (uint8_t)(i % 100);
		tap_need(!lb_route_watch(route, addr), "watch");
	}
	tap_note("%d addresses watched in %.0f ms", MANY, now_ms() - start);
	tap_ok(all_by(if_nametoindex("r0")), "10000 addresses behind a router resolve (%.0f ms)", waited);
	command("ip route replace 10.77.0.0/16 via 10.2.0.2");
	tap_ok(all_by(if_nametoindex("r1")), "and change with its route (%.0f ms)", waited);
	command("ip link set r1 down");
	tap_ok(all_by(0), "and are lost with their link (%.0f ms)", waited);
	lb_route_refresh(route);
	do {
		process();
	} while (route->refresh_left);
	tap_ok(longest < LONGEST_MS, "the longest call of lb_route_process took %.1f ms of CPU", longest);
	for (int i = 0; i < MANY; i++) {
		addr[14] = (uint8_t)(i / 100);
		addr[15] = (uint8_t)(i % 100);
		lb_route_unwatch(route, addr);
	}
	command("ip link set r1 up");
	calls = 0;
	settle(50);
	tap_ok(calls == 0, "unwatched: silence");
}

static int run_tests(void)
{
	uint8_t mac_a[6], mac_b[6];

	tap_need(!unshare(CLONE_NEWNET), "a network namespace (root?): %s", strerror(errno));
	set_up();
	mac_of(ns_a, "eth0", mac_a);
	mac_of(ns_b, "eth0", mac_b);
	tap_need(!lb_route_new(on_changed, &route, &route, &err), "route: %s", err.message);
	test_on_link(mac_a);
	test_gateways(mac_a, mac_b);
	test_macs(mac_a);
	test_links(mac_a);
	test_failover(mac_a, mac_b);
	test_vlans(mac_a);
	test_counting(mac_a);
	test_overrun();
	test_many();
	lb_route_free(route);
	lb_route_free(NULL);
	return tap_done();
}

static void clean(void)
{
	try_command("ip netns del %s 2>/dev/null; ip netns del %s 2>/dev/null", ns_a, ns_b);
}

int main(void)
{
	snprintf(ns_a, sizeof(ns_a), "lb-route-test-a-%d", getpid());
	snprintf(ns_b, sizeof(ns_b), "lb-route-test-b-%d", getpid());
	return tap_run(run_tests, clean);
}
