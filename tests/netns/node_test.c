// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * lbnode on a veth, with tunnelled packets made by hand in front of real sockets that are bound to VIPs, as TAP. Its
 * program alone is node_kernel_test.c's.
 *
 * The environment's LBNODE names the program; default: ../lbnode beside this one. Everything happens in namespaces that
 * end with the process.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>

#include "../unit/decap_cases.h"
#include "tap.h"

#define DEADLINE_S 5
#define PORT_UDP 53 /* the cases' */
#define PORT_TCP 80
#define PORT_CLIENT 4711

static void __attribute__((noreturn)) bail(const char *what)
{
	tap_need(false, "%s: %s", what, strerror(errno));
	exit(1);
}

/* ---- lbnode on an interface: p0 (peer) --- h0 (host, with the VIPs) ---- */

static int peer_ns, host_ns, wire, vip4, vip6;
static char lbnode[256];

static void enter(int ns)
{
	if (setns(ns, CLONE_NEWNET))
		bail("setns");
}

/* A command, in the host's network namespace. Returns its exit status. */
__attribute__((format(printf, 1, 2))) static int sh(const char *fmt, ...)
{
	char command[1024];
	va_list args;
	int status;

	va_start(args, fmt);
	vsnprintf(command, sizeof(command), fmt, args);
	va_end(args);
	enter(host_ns);
	status = system(command);
	enter(peer_ns);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void must(int status, const char *what)
{
	if (status)
		bail(what);
}

static int server(int domain, int type, const char *addr, uint16_t port)
{
	struct timeval deadline = {.tv_sec = DEADLINE_S};
	struct sockaddr_in6 sa6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	struct sockaddr_in sa4 = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd, one = 1;

	enter(host_ns);
	fd = socket(domain, type, 0);
	enter(peer_ns);
	if (fd < 0)
		bail("socket");
	inet_pton(domain, addr, domain == AF_INET ? (void *)&sa4.sin_addr : (void *)&sa6.sin6_addr);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof(deadline));
	setsockopt(fd, IPPROTO_IP, IP_RECVTOS, &one, sizeof(one));
	if (domain == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, &one, sizeof(one));
	if (domain == AF_INET ? bind(fd, (struct sockaddr *)&sa4, sizeof(sa4))
			      : bind(fd, (struct sockaddr *)&sa6, sizeof(sa6)))
		bail("bind to a VIP");
	if (type == SOCK_STREAM && listen(fd, 8))
		bail("listen");
	return fd;
}

static void open_wire(void)
{
	struct timeval deadline = {.tv_sec = DEADLINE_S};
	struct sockaddr_ll ll = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};

	wire = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
	ll.sll_ifindex = (int)if_nametoindex("p0");
	if (wire < 0 || bind(wire, (struct sockaddr *)&ll, sizeof(ll)))
		bail("packet socket");
	setsockopt(wire, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof(deadline));
}

static void make_lab(void)
{
	/* Mounts and network namespaces of our own: nothing of it is there for others, or after us. */
	if (unshare(CLONE_NEWNS | CLONE_NEWNET) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("bpf", "/sys/fs/bpf", "bpf", 0, NULL))
		bail("namespaces (are you root?)");
	peer_ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (unshare(CLONE_NEWNET))
		bail("unshare");
	host_ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	enter(peer_ns);
	must(sh("ip link add h0 address 02:00:00:00:00:02 type veth peer name p0 address 02:00:00:00:00:01 "
		"netns /proc/%d/fd/%d",
		getpid(), peer_ns),
	     "veth");
	must(system("ip addr add 10.1.0.1/24 dev p0 && ip addr add 2001:db8:1::1/64 dev p0 nodad && ip link set p0 up"),
	     "the peer's addresses");
	must(sh("ip addr add 10.1.0.2/24 dev h0 && ip addr add 2001:db8:1::2/64 dev h0 nodad && ip link set h0 up && "
		"ip link set lo up && ip addr add " VIP4 "/32 dev lo && ip addr add " VIP6 "/128 dev lo && "
		"ip route add default via 10.1.0.1 && ip route add default via 2001:db8:1::1"),
	     "the host's addresses");
	open_wire();
	vip4 = server(AF_INET, SOCK_DGRAM, VIP4, PORT_UDP);
	vip6 = server(AF_INET6, SOCK_DGRAM, VIP6, PORT_UDP);
}

static size_t inner_at(const struct decap_case *c)
{
	return ETH_HLEN + (c->outer == V4 ? 20U : 40U) + (c->limit ? 8 : 0) + gue_bytes(c);
}

/* The checksum of the transport header at @l4 up to the frame's end, with @sum_at bytes into it its field. */
static void set_sum_l4(struct frame *f, size_t ip_at, enum family family, uint8_t proto, size_t sum_at)
{
	size_t l4 = ip_at + (family == V4 ? 20 : 40), len = f->len - l4;
	const uint8_t *addrs = f->bytes + ip_at + (family == V4 ? 12 : 8);
	size_t addr_bytes = family == V4 ? 8 : 32;

	put16(f->bytes + l4 + sum_at, 0);
	put16(f->bytes + l4 + sum_at,
	      sum16(f->bytes + l4, len, (uint32_t)(uint16_t)~sum16(addrs, addr_bytes, proto + (uint32_t)len)));
}

static void send_frame(const struct frame *f)
{
	if (send(wire, f->bytes, f->len, 0) != (ssize_t)f->len)
		bail("send");
}

/* The case's packet, with a correct UDP checksum: IPv6 insists on one. */
static void send_case(const struct decap_case *c)
{
	struct frame f;

	build_in(c, &f);
	set_sum_l4(&f, inner_at(c), c->inner, IPPROTO_UDP, 6);
	send_frame(&f);
}

/* The same packet without a tunnel. It follows the other on the wire, so that its arrival says that the other one is
 * not coming any more; it has @data bytes. */
static void send_plain(enum family family, size_t data)
{
	struct decap_case c = {.inner = family, .data = data};
	struct frame f;

	put_eth(&f, family, 0);
	put_inner(&f, &c, 0);
	set_sum_l4(&f, ETH_HLEN, family, IPPROTO_UDP, 6);
	send_frame(&f);
}

/* The next datagram's length at the VIP and its TOS or traffic class; -1 when none comes from the client. */
static int receive(enum family family, int *tos)
{
	union {
		char bytes[64];
		struct cmsghdr align;
	} control;
	uint8_t data[FRAME_MAX];
	struct sockaddr_storage from;
	struct iovec iov = {data, sizeof(data)};
	struct msghdr msg = {.msg_name = &from,
			     .msg_namelen = sizeof(from),
			     .msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = &control,
			     .msg_controllen = sizeof(control)};
	char text[64];
	ssize_t len = recvmsg(family == V4 ? vip4 : vip6, &msg, 0);

	if (len < 0)
		return -1;
	for (ssize_t i = 0; i < len; i++) {
		if (data[i] != (uint8_t)(i * 7))
			return -1;
	}
	for (struct cmsghdr *h = CMSG_FIRSTHDR(&msg); h && tos; h = CMSG_NXTHDR(&msg, h))
		*tos = h->cmsg_level == IPPROTO_IP ? *(uint8_t *)CMSG_DATA(h) : *(int *)(void *)CMSG_DATA(h);
	inet_ntop(family == V4 ? AF_INET : AF_INET6,
		  family == V4 ? (void *)&((struct sockaddr_in *)&from)->sin_addr
			       : (void *)&((struct sockaddr_in6 *)&from)->sin6_addr,
		  text, sizeof(text));
	return strcmp(text, family == V4 ? CLIENT4 : CLIENT6) ? -1 : (int)len;
}

static const char *pair_name(enum family outer, enum family inner)
{
	return outer == V4 ? inner == V4 ? "v4 in v4" : "v6 in v4" : inner == V4 ? "v4 in v6" : "v6 in v6";
}

/* A counter as `lbnode status --json` prints it; -1 when h0 is not attached. */
static long counter(const char *name)
{
	json_int_t value = -1;
	char command[512];
	json_t *root;
	FILE *pipe;

	snprintf(command, sizeof(command), "%s status h0 --json 2>/dev/null", lbnode);
	enter(host_ns);
	pipe = popen(command, "r");
	enter(peer_ns);
	if (!pipe)
		bail("popen");
	root = json_loadf(pipe, 0, NULL);
	pclose(pipe);
	if (root)
		json_unpack(root, "{s:[{s:{s:I}}]}", "interfaces", "packets", name, &value);
	json_decref(root);
	return (long)value;
}

/* ---- TCP by hand ---- */

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

static void put32(uint8_t *at, uint32_t value)
{
	put16(at, (uint16_t)(value >> 16));
	put16(at + 2, (uint16_t)value);
}

static uint32_t get32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void send_tcp(enum family outer, enum family inner, uint8_t flags, uint32_t seq, uint32_t ack, const char *data)
{
	size_t bytes = 20 + strlen(data), at;
	struct frame f;

	put_eth(&f, outer, 0);
	put_ip(&f, outer, inner == V4 ? IPPROTO_IPIP : IPPROTO_IPV6, 0, outer == V4 ? OUTER_SRC4 : OUTER_SRC6,
	       outer == V4 ? OUTER_DST4 : OUTER_DST6, bytes + (inner == V4 ? 20 : 40));
	at = put_ip(&f, inner, IPPROTO_TCP, 0, inner == V4 ? CLIENT4 : CLIENT6, inner == V4 ? VIP4 : VIP6, bytes);
	memset(f.bytes + f.len, 0, 20);
	put16(f.bytes + f.len, (uint16_t)(PORT_CLIENT + outer));
	put16(f.bytes + f.len + 2, PORT_TCP);
	put32(f.bytes + f.len + 4, seq);
	put32(f.bytes + f.len + 8, ack);
	f.bytes[f.len + 12] = 5 << 4;
	f.bytes[f.len + 13] = flags;
	put16(f.bytes + f.len + 14, 65535);
	memcpy(f.bytes + f.len + 20, data, strlen(data));
	f.len += bytes;
	set_sum_l4(&f, at, inner, IPPROTO_TCP, 16);
	send_frame(&f);
}

/* The next TCP segment from the VIP to the client on the wire: its bytes from the TCP header on; false: none came. */
static bool receive_tcp(enum family outer, enum family inner, uint8_t *tcp, size_t *len)
{
	size_t at = ETH_HLEN + (inner == V4 ? 20 : 40);
	struct frame f;

	for (int i = 0; i < 100; i++) {
		ssize_t got = recv(wire, f.bytes, sizeof(f.bytes), 0);
		bool to_us;

		if (got < 0)
			return false;
		to_us = f.bytes[0] == 2 && f.bytes[5] == 1 && (size_t)got >= at + 20 &&
			f.bytes[13] == (inner == V4 ? 0x00 : 0xdd) &&
			f.bytes[ETH_HLEN + (inner == V4 ? 9 : 6)] == IPPROTO_TCP;
		if (!to_us || (f.bytes[at + 2] << 8 | f.bytes[at + 3]) != PORT_CLIENT + (int)outer)
			continue;
		*len = inner == V4 ? (size_t)(f.bytes[16] << 8 | f.bytes[17]) - 20
				   : (size_t)(f.bytes[18] << 8 | f.bytes[19]);
		memcpy(tcp, f.bytes + at, *len);
		return true;
	}
	return false;
}

/* A connection to a real socket: handshake, a request, the answer. What the host sends goes straight to the client. */
static bool talk(enum family outer, enum family inner)
{
	int domain = inner == V4 ? AF_INET : AF_INET6, conn = -1;
	int listener = server(domain, SOCK_STREAM, inner == V4 ? VIP4 : VIP6, PORT_TCP);
	uint8_t tcp[FRAME_MAX];
	char request[16] = "";
	size_t len = 0;
	uint32_t seq;
	bool ok = false;

	send_tcp(outer, inner, TCP_SYN, 1000, 0, "");
	if (!receive_tcp(outer, inner, tcp, &len) || tcp[13] != (TCP_SYN | TCP_ACK) || get32(tcp + 8) != 1001)
		goto out;
	seq = get32(tcp + 4) + 1;
	send_tcp(outer, inner, TCP_ACK, 1001, seq, "ping");
	conn = accept(listener, NULL, NULL);
	if (conn < 0 || recv(conn, request, sizeof(request), 0) != 4 || memcmp(request, "ping", 4) ||
	    send(conn, "pong", 4, 0) != 4)
		goto out;
	for (int i = 0; i < 10 && !ok && receive_tcp(outer, inner, tcp, &len); i++)
		ok = len >= 24 && get32(tcp + 8) == 1005 && !memcmp(tcp + len - 4, "pong", 4);
	send_tcp(outer, inner, TCP_RST, 1005, 0, "");
out:
	if (conn >= 0)
		close(conn);
	close(listener);
	return ok;
}

/* ---- tests on the interface ---- */

static void test_pairs(const char *mode)
{
	for (int n = 0; n < 4; n++) {
		struct decap_case c = decap_cases[n];

		c.data = 21;
		send_case(&c);
		tap_ok(receive(c.inner, NULL) == 21, "%s: UDP to a VIP, %s", mode, pair_name(c.outer, c.inner));
		tap_ok(talk(c.outer, c.inner), "%s: TCP to a VIP and straight back, %s", mode,
		       pair_name(c.outer, c.inner));
	}
}

/* Sends @c, and what follows it must be the first thing to arrive; then the counter must have moved by one. */
static void check_kept_out(const char *mode, const char *what, const struct decap_case *c, const char *result)
{
	long before = counter(result);

	send_case(c);
	send_plain(c->inner, 7);
	tap_ok(receive(c->inner, NULL) == 7, "%s: %s does not reach the VIP's socket", mode, what);
	tap_ok(counter(result) == before + 1 && before >= 0, "%s: %s is counted as %s", mode, what, result);
}

/* As above, of what is no tunnel to lbnode: it is counted like any packet. */
static void check_left_alone(const char *mode, const char *what, const struct decap_case *c)
{
	long before = counter("decapsulated");

	send_case(c);
	send_plain(c->inner, 7);
	tap_ok(receive(c->inner, NULL) == 7 && counter("decapsulated") == before, "%s: %s is left alone", mode, what);
}

static void test_rules(const char *mode)
{
	struct decap_case c = {.data = 21, .dst = "10.1.0.9"};
	int tos = -1;

	check_kept_out(mode, "a tunnel to another host's address", &c, "pass_not_local");
	c = (struct decap_case){.data = 21, .outer_tos = 3};
	check_kept_out(mode, "CE over Not-ECT", &c, "drop_ecn");
	c = (struct decap_case){.data = 21, .patch = {{6, 0x20}}};
	check_kept_out(mode, "a fragment", &c, "pass_fragment");
	c = (struct decap_case){.data = 21, .outer_tos = 3, .inner_tos = 2};
	send_case(&c);
	tap_ok(receive(V4, &tos) == 21 && tos == 3, "%s: CE over ECT(0) arrives as CE", mode);
	c = (struct decap_case){.outer = V6, .inner = V6, .data = 21, .outer_tos = 3, .inner_tos = 2};
	tos = -1;
	send_case(&c);
	tap_ok(receive(V6, &tos) == 21 && tos == 3, "%s: CE over ECT(0) arrives as CE, IPv6", mode);

	tap_ok(sh("%s attach h0 --from 10.1.0.0/30 --vip " VIP4 " 2>/dev/null", lbnode) == 0,
	       "%s: attach with --from and --vip", mode);
	c = (struct decap_case){.data = 21};
	send_case(&c);
	tap_ok(receive(V4, NULL) == 21, "%s: an allowed source reaches a VIP", mode);
	c.src = "10.1.0.5";
	check_kept_out(mode, "a source outside --from", &c, "pass_source");
	c = (struct decap_case){.outer = V4, .inner = V6, .data = 21};
	check_kept_out(mode, "a destination that is no --vip", &c, "pass_not_vip");
	tap_ok(sh("%s attach h0 2>/dev/null", lbnode) == 0, "%s: attach without rules", mode);
	send_case(&c);
	tap_ok(receive(V6, NULL) == 21, "%s: the rules are gone", mode);
	tap_ok(counter("pass_source") == 1 && counter("drop_ecn") == 1, "%s: the counters have stayed", mode);

	c = (struct decap_case){.data = 21, .gue = true};
	check_left_alone(mode, "GUE to a port that lbnode was not told", &c);
	tap_ok(sh("%s attach h0 --gue-port 6080 --gue-port %d 2>/dev/null", lbnode, GUE_PORT) == 0,
	       "%s: attach with --gue-port", mode);
	tap_ok(sh("%s status h0 | grep -qx '  gue      6080 %d'", lbnode, GUE_PORT) == 0, "%s: status has both", mode);
	for (int n = 0; n < 4; n++) {
		c = plain_case(4 + n);
		c.data = 21;
		send_case(&c);
		tap_ok(receive(c.inner, NULL) == 21, "%s: UDP to a VIP, GUE, %s", mode, pair_name(c.outer, c.inner));
	}
	c = (struct decap_case){.data = 21, .gue = true, .words = 3};
	send_case(&c);
	tap_ok(receive(V4, NULL) == 21, "%s: private data in GUE's header goes with it", mode);
	tap_ok(sh("%s attach h0 --gue-port none 2>/dev/null", lbnode) == 0, "%s: attach with --gue-port none", mode);
	check_left_alone(mode, "GUE where it is the stack's", &c);

	tap_ok(sh("ip addr add 10.1.0.9/32 dev lo && %s attach h0 --local 10.1.0.9 2>/dev/null", lbnode) == 0,
	       "%s: attach with --local", mode);
	c = (struct decap_case){.data = 21, .dst = "10.1.0.9"};
	send_case(&c);
	tap_ok(receive(V4, NULL) == 21, "%s: a tunnel to --local is taken apart", mode);
	must(sh("ip addr del 10.1.0.9/32 dev lo"), "address");
}

static void test_mode(const char *mode)
{
	struct decap_case c = {.data = 21};

	tap_ok(sh("%s attach h0 --mode %s 2>/dev/null", lbnode, mode) == 0, "%s: attach", mode);
	tap_ok(sh("%s status | grep -q '^h0: %s, '", lbnode, mode) == 0, "%s: status says so", mode);
	test_pairs(mode);
	test_rules(mode);
	/* To the host itself, past the program: a real ping from the peer. */
	tap_ok(system("ping -q -c 1 -W 5 10.1.0.2 >/dev/null && ping -q -c 1 -W 5 2001:db8:1::2 >/dev/null") == 0,
	       "%s: other traffic passes", mode);
	tap_ok(sh("%s detach h0", lbnode) == 0, "%s: detach", mode);
	tap_ok(sh("ip -details link show h0 | grep -q xdp") != 0, "%s: nothing is left on the interface", mode);
	send_case(&c);
	send_plain(V4, 9);
	tap_ok(receive(V4, NULL) == 9, "%s: detached: tunnelled packets are the stack's", mode);
}

static void test_refusals(void)
{
	static const struct {
		const char *args, *says;
		int status;
	} rows[] = {
		{"attach nosuch0", "no interface nosuch0", 1},
		{"attach h0 --from 10.1.0.1/24", "--from: 10.1.0.1/24", 1},
		{"attach h0 --vip 192.0.2.300", "--vip: ", 1},
		{"attach h0 --local 224.0.0.1", "--local: 224.0.0.1", 1},
		{"attach h0 --mode fast", "--mode: 'fast'", 1},
		{"attach lo2", "no interface lo2", 1},
		{"attach h0 --gue-port 65536", "--gue-port: 65536 is not a port", 1},
		{"attach h0 --gue-port 1 --gue-port 2 --gue-port 3 --gue-port 4 --gue-port 5", "--gue-port: 5 is one",
		 1},
		{"detach h0", "not attached to h0", 1},
		{"status h0", "not attached to h0", 1},
		{"attach", "needs the name of an interface", 2},
		{"attach h0 --vip", "--vip needs a value", 2},
		{"attach h0 --vips 192.0.2.1", "--vips is no option", 2},
		{"attach h0 h1", "h1 is one word too many", 2},
		{"atach h0", "'atach' is no command", 2},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		/* One line on stderr, and nothing attached. */
		int status = sh("out=$(%s %s 2>&1 >/dev/null); s=$?; case \"$out\" in *\"%s\"*) ;; *) exit 99;; esac; "
				"[ $(echo \"$out\" | wc -l) = 1 ] || exit 98; exit $s",
				lbnode, rows[i].args, rows[i].says);

		tap_ok(status == rows[i].status, "refused: lbnode %s (%d)", rows[i].args, status);
	}
	tap_ok(sh("ip -details link show h0 | grep -q xdp") != 0, "refused: nothing was attached");
}

static void find_lbnode(const char *self)
{
	const char *given = getenv("LBNODE");
	char *path = realpath(self, NULL), *slash = path ? strrchr(path, '/') : NULL;

	if (slash)
		*slash = '\0';
	snprintf(lbnode, sizeof(lbnode), "%s%s", given ? given : path ? path : ".", given ? "" : "/../lbnode");
	free(path);
	if (access(lbnode, X_OK))
		bail(lbnode);
}

int main(void)
{
	find_lbnode("/proc/self/exe");
	make_lab();
	test_refusals();
	test_mode("native");
	test_mode("generic");
	return tap_done();
}
