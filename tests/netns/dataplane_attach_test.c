// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The dataplane's userspace half and interfaces: attached, beside others, the program replaced by another or by that of
 * another version, and pins. Root; in a network namespace and a pin directory of its own.
 */
#include <bpf/libbpf.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "dataplane_lab.h"
#include "lb/dp/conn.h"

static uint32_t prog_on(const char *ifname)
{
	uint32_t id = 0;

	bpf_xdp_query_id((int)if_nametoindex(ifname), 0, &id);
	return id;
}

/* A program that passes everything and uses the map @map_fd (-1: none). */
static int load_small(const char *name, int map_fd)
{
	const struct bpf_insn insns[] = {
		{.code = BPF_LD | BPF_DW | BPF_IMM,
		 .dst_reg = 1,
		 .src_reg = map_fd < 0 ? 0 : BPF_PSEUDO_MAP_FD,
		 .imm = map_fd < 0 ? 0 : map_fd},
		{0},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = XDP_PASS},
		{.code = BPF_JMP | BPF_EXIT},
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, name, "GPL", insns, sizeof(insns) / sizeof(insns[0]), NULL);

	tap_need(fd >= 0, "loading a small program: %s", strerror(errno));
	return fd;
}

/* Sends @nr frames that are not IP from @ifname: its peer sees them. */
static void send_frames(const char *ifname, int nr)
{
	struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(ifname), .sll_halen = 6};
	uint8_t frame[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x88, 0xb5};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	tap_need(fd >= 0, "packet socket");
	for (int i = 0; i < nr; i++)
		tap_need(sendto(fd, frame, sizeof(frame), 0, (void *)&to, sizeof(to)) == sizeof(frame), "send: %s",
			 strerror(errno));
	close(fd);
}

static bool verdict_reaches(const struct lb_dataplane *dp, enum lb_verdict v, uint64_t count)
{
	double end = now_ms() + 2000;

	while (lb_dataplane_verdict(dp, v) < count && now_ms() < end)
		sched_yield();
	return lb_dataplane_verdict(dp, v) >= count;
}

static bool collected(struct lb_dataplane *dp)
{
	double end = now_ms() + 5000;
	int ret = 0;

	while (!ret && now_ms() < end)
		ret = lb_dataplane_collect(dp, 1000000);
	return ret == 1;
}

/* Room for more connections is a map of its own, in which they are and are known to be. */
static void test_more_connections(void)
{
	const struct lb_conn_key key = {.ports = 1, .proto = IPPROTO_TCP};
	struct lb_image *one = make_image(1, 7, 0), *two = make_image(1, 7, 0);
	struct lb_conn conn = {.backend = 17, .service = 1, .gen = 8}, found;
	struct lb_dataplane *dp;
	struct timespec ts;
	bool adopted;
	uint64_t nr;

	one->features = two->features = LB_HAS_ALL;
	one->conf.max_conns = 1024;
	two->conf.max_conns = 2048;
	/* loading takes seconds where much else runs */
	one->conf.timers.tcp_half_open_s = two->conf.timers.tcp_half_open_s = 600;
	dp = open_dataplane(&adopted);
	tap_need(!bring_from_maps(dp, one), "apply: %s", err.message);
	clock_gettime(CLOCK_MONOTONIC, &ts);
	conn.word = lb_conn_step(0, LB_CONN_FORWARD, LB_TCP_SYN, lb_conn_now((uint64_t)ts.tv_sec * 1000000000));
	tap_need(!bpf_map_update_elem(dp->conns_fd, &key, &conn, BPF_ANY), "a connection: %s", strerror(errno));
	tap_ok(!lb_dataplane_nat_open(dp, 17, 0, &nr), "nobody has counted yet");
	tap_ok(collected(dp) && lb_dataplane_nat_open(dp, 17, 0, &nr) && nr == 1, "a connection is counted");
	tap_ok(!bring(dp, one, two), "room for more: %s", err.message);
	tap_ok(!bpf_map_lookup_elem(dp->conns_fd, &key, &found), "it is there");
	tap_ok(lb_dataplane_nat_open(dp, 17, 0, &nr) && nr == 1, "and what was counted is still known");
	tap_ok(collected(dp) && lb_dataplane_nat_open(dp, 17, 0, &nr) && nr == 1, "as it is when counted anew");
	two->features = LB_HAS_BASIC;
	tap_ok(!bring_from_maps(dp, two) && !lb_dataplane_nat_open(dp, 17, 0, &nr),
	       "without translation nothing is known of any");
	lb_dataplane_free(dp);
	lb_image_free(one);
	lb_image_free(two);
}

/* As many interfaces as may be attached at a time are attached, and go. */
static void come_and_go(struct lb_dataplane *dp)
{
	struct lb_attachment at;
	char name[16];
	int nr = 0, fd;

	tap_need(!lb_dataplane_attach(dp, "lbt0", LB_ATTACH_AUTO, &at, &err), "attach: %s", err.message);
	fd = bpf_prog_get_fd_by_id(prog_on("lbt0"));
	tap_need(!lb_dataplane_detach(dp, "lbt0", &err), "detach: %s", err.message);
	command("for i in $(seq 32); do echo link add come$i type veth peer name go$i; done | ip -batch -");
	for (int i = 0; i < 64; i++) {
		snprintf(name, sizeof(name), "%s%d", i < 32 ? "come" : "go", i % 32 + 1);
		/* By hand, as that is quick. */
		nr += !bpf_xdp_attach((int)if_nametoindex(name), fd, XDP_FLAGS_SKB_MODE, NULL) &&
		      !lb_dataplane_attached(dp, name, &at);
	}
	close(fd);
	tap_ok(nr == 64, "64 interfaces are attached");
	command("for i in $(seq 32); do echo link del come$i; done | ip -batch -");
}

/* What the program does changes with the configuration: another one takes its place, and nothing else changes. */
static void test_variants(void)
{
	struct lb_image *plain = make_image(1, 6, 0), *rich = make_image(1, 6, 0), *found;
	struct lb_attachment at;
	struct lb_dataplane *dp;
	uint64_t before;
	bool adopted;
	uint32_t id;

	rich->features = LB_HAS_ALL;
	rich->conf.max_conns = 1024;
	dp = open_dataplane(&adopted);
	come_and_go(dp);
	tap_need(!bring_from_maps(dp, plain) && !lb_dataplane_attach(dp, "lbt0", LB_ATTACH_AUTO, &at, &err), "%s",
		 err.message);
	id = prog_on("lbt0");
	before = lb_dataplane_verdict(dp, LB_V_PASS_NOT_IP);
	tap_ok(!bring_from_maps(dp, rich) && prog_on("lbt0") && prog_on("lbt0") != id, "a program that does more: %s",
	       err.message);
	found = read_image(dp);
	tap_ok(found->features == LB_HAS_ALL && distance(dp, rich) == 0, "it does all of it");
	lb_image_free(found);
	send_frames("lbt1", 10);
	tap_ok(verdict_reaches(dp, LB_V_PASS_NOT_IP, before + 10), "and has the same maps");
	id = prog_on("lbt0");
	lb_dataplane_free(dp);

	dp = open_dataplane(&adopted);
	tap_ok(!lb_dataplane_attached(dp, "lbt0", &at) && prog_on("lbt0") == id, "a new lbd knows it as ours");
	tap_ok(!bring_from_maps(dp, rich) && !lb_dataplane_attach(dp, "lbt0", LB_ATTACH_AUTO, &at, &err) &&
		       prog_on("lbt0") == id,
	       "and leaves it where it needs it");
	tap_ok(!bring_from_maps(dp, plain) && prog_on("lbt0") != id && distance(dp, plain) == 0,
	       "a program that does no more than it has to");
	tap_ok(!lb_dataplane_detach(dp, "lbt0", &err), "detached");
	lb_dataplane_free(dp);
	lb_image_free(plain);
	lb_image_free(rich);
}

static uint64_t pinned_lines_bytes(void)
{
	struct bpf_map_info info = {0};
	__u32 len = sizeof(info);
	int fd = pinned(LB_MAP_NAT_LINES);

	tap_need(!bpf_obj_get_info_by_fd(fd, &info, &len), "the pinned lines: %s", strerror(errno));
	close(fd);
	return (uint64_t)info.max_entries * info.value_size;
}

/* Lines of translated connections become more and fewer with these, which are where they were. */
static void test_lines(void)
{
	const struct lb_conn_key key = {.ports = 1, .proto = IPPROTO_TCP};
	struct lb_image *image = make_image(1, 7, 0);
	struct lb_conn conn = {.backend = 17, .service = 1, .gen = 8}, found;
	struct lb_attachment at;
	struct lb_dataplane *dp;
	size_t few, bytes = 0;
	bool adopted;
	uint32_t id;

	image->features = LB_HAS_BASIC | LB_HAS_NAT;
	image->conf.max_conns = 1 << 20;
	dp = open_dataplane(&adopted);
	tap_ok(!lb_dataplane_fit_lines(dp, &bytes, &err), "where nothing is translated there are none");
	tap_need(!bring_from_maps(dp, image) && !lb_dataplane_attach(dp, "lbt0", LB_ATTACH_AUTO, &at, &err), "%s",
		 err.message);
	tap_need(!bpf_map_update_elem(dp->conns_fd, &key, &conn, BPF_ANY), "a connection: %s", strerror(errno));
	id = prog_on("lbt0");
	few = pinned_lines_bytes();
	dp->nat_loads[0] = (struct lb_nat_load){.conns = 101000, .half_open = 100000};
	tap_ok(!lb_dataplane_fit_lines(dp, &bytes, &err) && prog_on("lbt0") == id,
	       "there are enough for 1000 and a flood");
	dp->nat_loads[0].half_open = 0;
	tap_ok(lb_dataplane_fit_lines(dp, &bytes, &err) == 1 && bytes >= 2 * 101000 * 128 &&
		       pinned_lines_bytes() == bytes,
	       "more for 101000: %zu bytes instead of %zu", bytes, few);
	tap_ok(prog_on("lbt0") && prog_on("lbt0") != id && !bpf_map_lookup_elem(dp->conns_fd, &key, &found),
	       "by another program, which knows the connections");
	id = prog_on("lbt0");
	dp->nat_loads[0].conns = 50000;
	tap_ok(!lb_dataplane_fit_lines(dp, &bytes, &err) && prog_on("lbt0") == id, "they are kept for 50000");
	lb_dataplane_free(dp);

	dp = open_dataplane(&adopted);
	tap_ok(!bring_from_maps(dp, image) && !lb_dataplane_attach(dp, "lbt0", LB_ATTACH_AUTO, &at, &err) &&
		       prog_on("lbt0") == id && pinned_lines_bytes() == bytes,
	       "and by another lbd");
	dp->nat_loads[0].conns = 0;
	tap_ok(lb_dataplane_fit_lines(dp, &bytes, &err) == 1 && bytes == few && pinned_lines_bytes() == few &&
		       prog_on("lbt0") != id,
	       "fewer for none");
	tap_ok(!lb_dataplane_detach(dp, "lbt0", &err), "detached");
	lb_dataplane_free(dp);
	lb_image_free(image);
}

static void test_attach(void)
{
	struct lb_attachment at;
	struct lb_dataplane *dp;
	uint64_t before;
	uint32_t id;
	bool adopted;

	dp = open_dataplane(&adopted);
	tap_ok(lb_dataplane_attach(dp, "nosuch0", LB_ATTACH_AUTO, &at, &err) == -ENODEV, "no such interface: %s",
	       err.message);
	tap_ok(lb_dataplane_attached(dp, "lbt0", &at) == -ENOENT, "not attached before");
	tap_ok(!lb_dataplane_attach(dp, "lbt0", LB_ATTACH_AUTO, &at, &err) && at.mode == LB_ATTACH_NATIVE &&
		       at.ifindex == if_nametoindex("lbt0") && !strcmp(at.ifname, "lbt0"),
	       "auto attaches natively (%s)", at.note);
	tap_ok(at.shared == !*at.note, "alone on the interface only with a note that says why");
	id = prog_on("lbt0");
	tap_ok(id && !lb_dataplane_attach(dp, "lbt0", LB_ATTACH_NATIVE, &at, &err) && prog_on("lbt0") == id,
	       "attached again: nothing is done");
	tap_ok(!lb_dataplane_attached(dp, "lbt0", &at) && at.mode == LB_ATTACH_NATIVE, "attached, says the query");
	before = lb_dataplane_verdict(dp, LB_V_PASS_NOT_IP);
	send_frames("lbt1", 10);
	tap_ok(verdict_reaches(dp, LB_V_PASS_NOT_IP, before + 10), "packets are counted");
	before = lb_dataplane_verdict(dp, LB_V_PASS_NOT_IP);
	lb_dataplane_free(dp);

	tap_ok(prog_on("lbt0") == id, "it stays when lbd goes");
	send_frames("lbt1", 10);
	dp = open_dataplane(&adopted);
	tap_ok(adopted && verdict_reaches(dp, LB_V_PASS_NOT_IP, before + 10), "and works without lbd");
	tap_ok(!lb_dataplane_attached(dp, "lbt0", &at), "a new lbd knows it as ours");
	tap_ok(!lb_dataplane_attach(dp, "lbt0", LB_ATTACH_AUTO, &at, &err) && prog_on("lbt0") == id,
	       "and leaves it, being the same program");

	tap_ok(!lb_dataplane_attach(dp, "lbt0", LB_ATTACH_GENERIC, &at, &err) && at.mode == LB_ATTACH_GENERIC,
	       "native to generic when told to");
	tap_ok(!lb_dataplane_attach(dp, "lbt0", LB_ATTACH_NATIVE, &at, &err) && at.mode == LB_ATTACH_NATIVE,
	       "and back");
	tap_ok(!lb_dataplane_detach(dp, "lbt0", &err) && !prog_on("lbt0"), "detached");
	tap_ok(lb_dataplane_detach(dp, "lbt0", &err) == -ENOENT, "detached again: %s", err.message);
	tap_ok(lb_dataplane_attached(dp, "lbt0", &at) == -ENOENT, "not attached, says the query");
	lb_dataplane_free(dp);
}

/* Another load balancer's program is a stranger: it shares the dispatcher, or there is no room for it. */
static void test_two(void)
{
	struct lb_dataplane *dp, *other = NULL;
	struct lb_attachment at, at2;
	uint64_t before, before2;
	bool adopted;
	int ret;

	dp = open_dataplane(&adopted);
	tap_need(!lb_dataplane_open(pin_dir2, &other, &adopted, &err), "open: %s", err.message);
	tap_need(!lb_dataplane_attach(dp, "lbt0", LB_ATTACH_AUTO, &at, &err), "attach: %s", err.message);
	ret = lb_dataplane_attach(other, "lbt0", LB_ATTACH_AUTO, &at2, &err);
	if (!at.shared) {
		tap_ok(ret == -EBUSY && lb_dataplane_attached(other, "lbt0", &at2) == -ENOENT,
		       "another lbd's program alone on the interface is left alone: %s", err.message);
		tap_ok(lb_dataplane_detach(other, "lbt0", &err) == -ENOENT && !lb_dataplane_attached(dp, "lbt0", &at),
		       "also by detach");
	} else {
		tap_ok(!ret && at2.shared && at2.mode == LB_ATTACH_NATIVE,
		       "another lbd's program shares the dispatcher");
		before = lb_dataplane_verdict(dp, LB_V_PASS_NOT_IP);
		before2 = lb_dataplane_verdict(other, LB_V_PASS_NOT_IP);
		send_frames("lbt1", 10);
		tap_ok(verdict_reaches(dp, LB_V_PASS_NOT_IP, before + 10) &&
			       verdict_reaches(other, LB_V_PASS_NOT_IP, before2 + 10),
		       "what the first passes the second sees");
		tap_ok(lb_dataplane_attach(other, "lbt0", LB_ATTACH_GENERIC, &at2, &err) == -EBUSY &&
			       !lb_dataplane_attached(other, "lbt0", &at2) && at2.mode == LB_ATTACH_NATIVE,
		       "the other mode is refused while others are there: %s", err.message);
		lb_dataplane_free(dp);
		command("rm %s/v%d/%s", pin_dir, LB_ABI_VERSION, LB_MAP_SLOTS);
		dp = open_dataplane(&adopted);
		tap_ok(!adopted && !lb_dataplane_attach(dp, "lbt0", LB_ATTACH_AUTO, &at, &err) && at.shared,
		       "an older program of ours in the dispatcher is replaced");
		before = lb_dataplane_verdict(dp, LB_V_PASS_NOT_IP);
		before2 = lb_dataplane_verdict(other, LB_V_PASS_NOT_IP);
		send_frames("lbt1", 10);
		tap_ok(verdict_reaches(dp, LB_V_PASS_NOT_IP, before + 10) &&
			       verdict_reaches(other, LB_V_PASS_NOT_IP, before2 + 10) &&
			       lb_dataplane_verdict(dp, LB_V_PASS_NOT_IP) < before + 20,
		       "each is there once");
		tap_ok(!lb_dataplane_detach(dp, "lbt0", &err) && lb_dataplane_attached(dp, "lbt0", &at) == -ENOENT &&
			       !lb_dataplane_attached(other, "lbt0", &at2),
		       "detaching one leaves the other");
	}
	tap_ok(!lb_dataplane_destroy(other, &err) && access(pin_dir2, F_OK),
	       "destroying the other removes its own only");
	lb_dataplane_detach(dp, "lbt0", NULL);
	tap_ok(!prog_on("lbt0"), "nothing is left on the interface");
	lb_dataplane_free(other);
	lb_dataplane_free(dp);
}

static void count_pin(void *ctx, const char *what)
{
	++*(int *)ctx;
}

static void test_pins_gone(void)
{
	struct lb_attachment at;
	struct lb_dataplane *dp;
	bool adopted;
	int pins = 0;
	uint32_t id;

	dp = open_dataplane(&adopted);
	tap_need(!lb_dataplane_attach(dp, "lbt0", LB_ATTACH_AUTO, &at, &err), "attach: %s", err.message);
	id = prog_on("lbt0");
	lb_dataplane_free(dp);
	command("rm -r %s/v%d", pin_dir, LB_ABI_VERSION);
	dp = open_dataplane(&adopted);
	tap_ok(adopted && !lb_dataplane_attach(dp, "lbt0", LB_ATTACH_AUTO, &at, &err) && prog_on("lbt0") == id,
	       "the maps of a program of ours whose pins are gone are found: %s", err.message);
	tap_ok(!lb_dataplane_mend_pins(dp, count_pin, &pins, &err) && pins > 20, "and pinned, %d of them", pins);
	lb_dataplane_free(dp);
	dp = open_dataplane(&adopted);
	tap_ok(adopted && !lb_dataplane_detach(dp, "lbt0", &err) && !prog_on("lbt0"), "and found by their pins again");
	lb_dataplane_free(dp);
	command("rm -r %s/v%d", pin_dir, LB_ABI_VERSION);
	dp = open_dataplane(&adopted);
	tap_ok(!adopted, "with neither pins nor a program there are none");
	lb_dataplane_free(dp);
}

static void test_older(void)
{
	int ifindex = (int)if_nametoindex("lbt0"), vips, older, other;
	struct lb_attachment at;
	struct lb_dataplane *dp;
	bool adopted;
	uint32_t id;

	dp = open_dataplane(&adopted);
	vips = pinned(LB_MAP_VIPS);
	older = load_small("lb_main", vips);
	tap_need(!bpf_xdp_attach(ifindex, older, XDP_FLAGS_DRV_MODE, NULL), "attach");
	id = prog_on("lbt0");
	tap_ok(!lb_dataplane_attach(dp, "lbt0", LB_ATTACH_AUTO, &at, &err) && prog_on("lbt0") != id,
	       "an older program of ours is replaced");
	tap_ok(!lb_dataplane_detach(dp, "lbt0", &err) && !prog_on("lbt0"), "and can be detached");

	other = load_small("other_prog", -1);
	tap_need(!bpf_xdp_attach(ifindex, other, XDP_FLAGS_DRV_MODE, NULL), "attach");
	id = prog_on("lbt0");
	tap_ok(lb_dataplane_attach(dp, "lbt0", LB_ATTACH_AUTO, &at, &err) == -EBUSY &&
		       strstr(err.message, "other_prog"),
	       "another's program is left alone: %s", err.message);
	tap_ok(lb_dataplane_detach(dp, "lbt0", &err) == -ENOENT && prog_on("lbt0") == id, "also by detach: %s",
	       err.message);
	tap_need(!bpf_xdp_detach(ifindex, XDP_FLAGS_DRV_MODE, NULL), "detach");
	close(other);
	other = load_small("lb_main", -1);
	tap_need(!bpf_xdp_attach(ifindex, other, XDP_FLAGS_SKB_MODE, NULL), "attach");
	tap_ok(lb_dataplane_attach(dp, "lbt0", LB_ATTACH_AUTO, &at, &err) == -EBUSY,
	       "also one of our name that does not use our maps: %s", err.message);
	tap_need(!bpf_xdp_detach(ifindex, XDP_FLAGS_SKB_MODE, NULL), "detach");
	close(other);
	close(older);
	close(vips);
	lb_dataplane_free(dp);
}

static void test_mtu(void)
{
	struct lb_attachment at;
	struct lb_dataplane *dp;
	bool adopted;

	dp = open_dataplane(&adopted);
	command("ip link set lbt0 mtu 9000 && ip link set lbt1 mtu 9000");
	tap_ok(lb_dataplane_attach(dp, "lbt0", LB_ATTACH_NATIVE, &at, &err) == -ERANGE && strstr(err.message, "9000"),
	       "MTU too large for native XDP: %s", err.message);
	tap_ok(!prog_on("lbt0"), "nothing is attached then");
	tap_ok(!lb_dataplane_attach(dp, "lbt0", LB_ATTACH_AUTO, &at, &err) && at.mode == LB_ATTACH_GENERIC &&
		       strstr(at.note, "native"),
	       "auto takes generic and says why: %s", at.note);
	tap_ok(lb_dataplane_attach(dp, "lbt0", LB_ATTACH_NATIVE, &at, &err) == -ERANGE && prog_on("lbt0"),
	       "generic to native that is refused: generic is back");
	command("ip link set lbt0 mtu 1500 && ip link set lbt1 mtu 1500");
	tap_ok(!lb_dataplane_attach(dp, "lbt0", LB_ATTACH_NATIVE, &at, &err) && at.mode == LB_ATTACH_NATIVE,
	       "native once the MTU fits: %s", at.note);
	tap_ok(!lb_dataplane_detach(dp, "lbt0", &err), "detached");
	lb_dataplane_free(dp);
}

static void test_run_stats(void)
{
	static const char knob[] = "/proc/sys/kernel/bpf_stats_enabled";
	struct lb_attachment at;
	struct lb_dataplane *dp;
	uint64_t ns, runs, before;
	bool adopted;
	char was = '0';
	FILE *f = fopen(knob, "r");

	tap_need(f && fread(&was, 1, 1, f) == 1, "%s", knob);
	fclose(f);
	dp = open_dataplane(&adopted);
	tap_need(!lb_dataplane_attach(dp, "lbt0", LB_ATTACH_AUTO, &at, &err), "attach: %s", err.message);
	command("echo 0 > %s", knob);
	tap_ok(lb_dataplane_run_stats(dp, &ns, &runs) == -ENODATA, "no run statistics while they are off");
	command("echo 1 > %s", knob);
	before = lb_dataplane_verdict(dp, LB_V_PASS_NOT_IP);
	send_frames("lbt1", 50);
	verdict_reaches(dp, LB_V_PASS_NOT_IP, before + 50);
	tap_need(!lb_dataplane_run_stats(dp, &ns, &runs), "run statistics");
	tap_ok(runs >= 50 && ns > 0, "run statistics: %llu runs, %llu ns", (unsigned long long)runs,
	       (unsigned long long)ns);
	command("echo %c > %s", was, knob);
	tap_ok(!lb_dataplane_detach(dp, "lbt0", &err), "detached");
	lb_dataplane_free(dp);
}

/* ---- pins ---- */

static void test_pins(void)
{
	struct lb_dataplane *dp, *second = NULL;
	struct lb_attachment at;
	char path[128], version[96];
	bool adopted = true;
	uint32_t id;
	int fd;

	snprintf(version, sizeof(version), "%s/v%d", pin_dir, LB_ABI_VERSION);
	dp = open_dataplane(&adopted);
	tap_need(!lb_dataplane_attach(dp, "lbt0", LB_ATTACH_AUTO, &at, &err), "attach: %s", err.message);
	lb_dataplane_free(dp);
	id = prog_on("lbt0");
	command("rm %s/%s", version, LB_MAP_SLOTS);
	dp = open_dataplane(&adopted);
	tap_ok(adopted && !lb_dataplane_attach(dp, "lbt0", LB_ATTACH_AUTO, &at, &err) && prog_on("lbt0") == id,
	       "of pins one is missing: the program that is attached has the maps");
	tap_ok(!lb_dataplane_detach(dp, "lbt0", &err), "detached: %s", err.message);
	lb_dataplane_free(dp);
	dp = open_dataplane(&adopted);
	tap_ok(!adopted, "nobody has: all are made new");
	lb_dataplane_free(dp);

	command("rm %s/%s", version, LB_MAP_CONF);
	snprintf(path, sizeof(path), "%s/%s", version, LB_MAP_CONF);
	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "wrong", 4, 8, 1, NULL);
	tap_need(fd >= 0 && !bpf_obj_pin(fd, path), "pin");
	close(fd);
	tap_ok(lb_dataplane_open(pin_dir, &second, &adopted, &err) == -EINVAL && strstr(err.message, path),
	       "a pinned map of another shape is refused: %s", err.message);
	command("rm %s", path);

	dp = open_dataplane(&adopted);
	tap_need(!lb_dataplane_attach(dp, "lbt0", LB_ATTACH_AUTO, &at, &err), "attach: %s", err.message);
	tap_ok(!lb_dataplane_destroy(dp, &err) && !prog_on("lbt0") && access(pin_dir, F_OK),
	       "destroyed: no program, no pins");
	lb_dataplane_free(dp);
}

static int run_tests(void)
{
	set_up();
	test_attach();
	test_variants();
	test_more_connections();
	test_lines();
	test_two();
	test_pins_gone();
	test_older();
	test_mtu();
	test_run_stats();
	test_pins();
	return tap_done();
}

int main(void)
{
	return run_all(run_tests);
}
