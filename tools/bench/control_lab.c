// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The control plane as its users see it: a real lbd, its socket, its pinned maps and packets that go elsewhere. Runs in
 * the laboratory that lab.sh builds, on the host lb, with 10.1.0.0/16 behind 10.0.0.11 (b1).
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "control.h"
#include "control_priv.h"
#include "env.h"
#include "lab_lbd.h"

#define START_ROUNDS 5
#define CHANGE_ROUNDS 21
#define VERDICT_ROUNDS 7
#define APPLY_ROUNDS 3
#define BACKENDS 1000
#define SERVICES 10000
#define MOST_BACKENDS 10000 /* of one service */
#define VIP "192.0.2.30"
#define CHECK_INTERVAL_MS 50
#define CHECK_FALL 2
#define PACKET_EVERY_S 20e-6

/* A configuration of @services services with @backends backends each, malloc'ed. The first @checked are checked. */
static char *config_text(unsigned int services, unsigned int backends, unsigned int checked)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	fprintf(f, "{\"interfaces\":[{\"name\":\"lb0\"}],\"services\":[");
	for (unsigned int s = 0; s < services; s++) {
		fprintf(f, "%s{\"name\":\"s%05u\",\"vip\":\"198.18.%u.%u:80/tcp\",\"check\":%s,\"backends\":[",
			s ? "," : "", s, s >> 8, s & 255, s < checked ? LAB_CHECK : "{\"type\":\"none\"}");
		for (unsigned int b = 0; b < backends; b++) {
			unsigned int i = s * backends + b;

			fprintf(f, "%s{\"address\":\"10.1.%u.%u\"}", b ? "," : "", i >> 8 & 255, i & 255);
		}
		fprintf(f, "]}");
	}
	fprintf(f, "]}");
	fclose(f);
	return text;
}

double lab_put_config(unsigned int services, unsigned int backends, unsigned int checked)
{
	char *text = config_text(services, backends, checked);
	double ms = text ? lab_ask("PUT", "/v1/config", text, NULL) : -1;

	free(text);
	return ms;
}

static double put_config(unsigned int services, unsigned int backends)
{
	return lab_put_config(services, backends, 0);
}

/* ---- the pinned maps ---- */

static void each_pin(const char *name, void (*cb)(void *ctx, int fd), void *ctx)
{
	static const char *const where[] = {LAB_PIN_DIR "/%s", LAB_PIN_DIR "/*/%s"};
	char pattern[128];
	glob_t found;

	for (size_t i = 0; i < sizeof(where) / sizeof(where[0]); i++) {
		snprintf(pattern, sizeof(pattern), where[i], name);
		if (glob(pattern, 0, NULL, &found))
			continue;
		for (size_t k = 0; k < found.gl_pathc; k++) {
			int fd = bpf_obj_get(found.gl_pathv[k]);

			if (fd >= 0)
				cb(ctx, fd);
			if (fd >= 0)
				close(fd);
		}
		globfree(&found);
	}
}

static void keep_fd(void *ctx, int fd)
{
	*(int *)ctx = dup(fd);
}

const void *lab_map_pinned(const char *name, size_t bytes)
{
	int fd = -1;
	void *p;

	each_pin(name, keep_fd, &fd);
	p = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	return p == MAP_FAILED ? NULL : p;
}

static void add_bytes(void *ctx, int fd)
{
	char path[64], line[128];
	long long v;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "memlock: %lld", &v) == 1)
			*(json_int_t *)ctx += v;
	if (f)
		fclose(f);
}

/* ---- what is measured ---- */

void lab_add_row(json_t *rows, const char *name, double *ms, size_t nr, json_t *more)
{
	json_t *row = json_pack("{s:s}", "name", name);

	bench_add_spread(row, "ms", ms, nr);
	if (more)
		json_object_update(row, more);
	json_decref(more);
	json_array_append_new(rows, row);
}

static int measure_start(json_t *rows)
{
	double ms[START_ROUNDS];

	for (int i = 0; i < START_ROUNDS; i++) {
		lab_lbd_end(SIGTERM);
		ms[i] = lab_lbd_start();
		if (ms[i] < 0)
			return -1;
	}
	if (bench_wanted(BENCH_START))
		lab_add_row(rows, BENCH_START, ms, START_ROUNDS, NULL);
	return 0;
}

static int measure_adopt(json_t *rows, const char *name, json_int_t services)
{
	double ms[START_ROUNDS];

	for (int i = 0; i < START_ROUNDS; i++) {
		lab_lbd_end(SIGKILL);
		ms[i] = lab_lbd_start();
		if (ms[i] < 0)
			return -1;
		if (!lab_adopted() || lab_services() != services)
			return lab_fail("lbd did not adopt what was there");
	}
	lab_add_row(rows, name, ms, START_ROUNDS, NULL);
	return 0;
}

/* The slots of the one service as packets find them, by way of its table. Returns how many, 0: it has no table. */
static size_t read_table(const struct lb_service *services, const __u32 *slots, __u32 *out)
{
	for (size_t i = 0; i < LB_MAX_SERVICES; i++) {
		size_t nr = 1UL << LB_TABLE_SHIFT(services[i].table);

		if (!services[i].table)
			continue;
		for (size_t k = 0; k < nr; k++)
			out[k] = LB_SLOT_CUR(slots[LB_TABLE_BASE(services[i].table) + k]);
		return nr;
	}
	return 0;
}

/* A backend's weight to half and back, until lbd answers; by then some slots must have another owner in the pinned
 * maps, and as many go back. */
static int measure_change(json_t *rows)
{
	const size_t services_bytes = LB_MAX_SERVICES * sizeof(struct lb_service),
		     slots_bytes = LB_SLOTS * sizeof(__u32);
	const char *path = "/v1/services/s00000/backends/10.1.1.100";
	const struct lb_service *services = lab_map_pinned(LB_MAP_SERVICES, services_bytes);
	const __u32 *slots = lab_map_pinned(LB_MAP_SLOTS, slots_bytes);
	__u32 *before = malloc(slots_bytes), *after = malloc(slots_bytes);
	double ms[CHANGE_ROUNDS], moved[CHANGE_ROUNDS] = {0};
	int ret = -1;

	if (!services || !slots || !before || !after) {
		lab_fail("the maps are not pinned where they should be");
		goto out;
	}
	for (int i = 0; i < CHANGE_ROUNDS; i++) {
		size_t nr = read_table(services, slots, before);

		ms[i] = lab_ask("PATCH", path, i % 2 ? "{\"weight\":100}" : "{\"weight\":50}", NULL);
		if (ms[i] < 0)
			goto out;
		if (read_table(services, slots, after) != nr)
			nr = 0;
		for (size_t k = 0; k < nr; k++)
			moved[i] += before[k] != after[k];
		if (!moved[i]) {
			lab_fail("a change is answered before the dataplane has it");
			goto out;
		}
	}
	lab_add_row(rows, BENCH_CHANGE, ms, CHANGE_ROUNDS,
		    json_pack("{s:f}", "slots_moved", bench_median(moved, CHANGE_ROUNDS)));
	ret = 0;
out:
	if (services)
		munmap((void *)services, services_bytes);
	if (slots)
		munmap((void *)slots, slots_bytes);
	free(before);
	free(after);
	return ret;
}

static int measure_apply(json_t *rows)
{
	double ms[APPLY_ROUNDS], unchanged[APPLY_ROUNDS];

	for (int i = 0; i < APPLY_ROUNDS; i++) {
		if (put_config(0, 0) < 0)
			return -1;
		ms[i] = put_config(SERVICES, 1);
		if (ms[i] < 0 || lab_services() != SERVICES)
			return lab_fail("10,000 services are not applied");
		unchanged[i] = put_config(SERVICES, 1);
		if (unchanged[i] < 0)
			return -1;
	}
	if (bench_wanted(BENCH_APPLY))
		lab_add_row(rows, BENCH_APPLY, ms, APPLY_ROUNDS, NULL);
	if (bench_wanted(BENCH_RELOAD))
		lab_add_row(rows, BENCH_RELOAD, unchanged, APPLY_ROUNDS, NULL);
	return 0;
}

/* ---- from a verdict to the first packet elsewhere ---- */

int lab_socket_on(const char *name, int type, const char *addr, uint16_t port)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(port)};
	int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), there, fd = -1, one = 1;
	char path[64];

	snprintf(path, sizeof(path), "/run/netns/%s", name);
	there = open(path, O_RDONLY | O_CLOEXEC);
	if (here >= 0 && there >= 0 && !setns(there, CLONE_NEWNET)) {
		fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (setns(here, CLONE_NEWNET))
			abort(); /* everything else would happen on the wrong host */
	}
	if (here >= 0)
		close(here);
	if (there >= 0)
		close(there);
	if (fd < 0 || !addr)
		return fd;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (inet_pton(AF_INET, addr, &sin.sin_addr) != 1 || bind(fd, (struct sockaddr *)&sin, sizeof(sin)) ||
	    (type == SOCK_STREAM && listen(fd, 4096))) {
		close(fd);
		return -1;
	}
	return fd;
}

struct race {
	int checked[2]; /* listeners on b1 and b2 that the checks find, port 8000 */
	int served[2];	/* the service's sockets there, UDP */
};

static bool arrived(int fd)
{
	char data[64];
	bool any = false;

	while (recv(fd, data, sizeof(data), 0) >= 0)
		any = true;
	return any;
}

/* A flow whose packets come to @backend: a socket, or -1. */
static int flow_to(const struct race *r, int backend)
{
	struct sockaddr_in vip = {.sin_family = AF_INET, .sin_port = htons(9000)};
	const struct timespec pause = {.tv_nsec = 2000000};

	inet_pton(AF_INET, VIP, &vip.sin_addr);
	for (int i = 0; i < 100; i++) {
		int fd = lab_socket_on("client", SOCK_DGRAM, NULL, 0);
		bool here;

		if (fd < 0 || connect(fd, (struct sockaddr *)&vip, sizeof(vip)) || send(fd, "?", 1, 0) != 1)
			return -1;
		nanosleep(&pause, NULL);
		arrived(r->served[!backend]);
		here = arrived(r->served[backend]);
		if (here)
			return fd;
		close(fd);
	}
	return -1;
}

/* Wait for lbd's line that @backend is @health. */
static int wait_verdict(const char *backend, const char *health)
{
	double deadline = bench_now_s() + 10;
	char want[64];

	snprintf(want, sizeof(want), " to=%s", health);
	while (bench_now_s() < deadline) {
		const char *line = strstr(lab_log(), backend);

		if (line && strstr(line, want))
			return 0;
		lab_wait_log(100);
	}
	return lab_fail("a verdict does not come");
}

/* Close b1's checked port while a flow to it goes on; when was the verdict, when the first packet on b2? */
static int race_once(struct race *r, double *verdict_ms, double *failure_ms)
{
	int flow = flow_to(r, 0), ret = -1;
	double failed, verdict = 0, elsewhere = 0, now, next;

	if (flow < 0)
		return lab_fail("no flow comes to b1");
	lab_forget_log();
	close(r->checked[0]);
	failed = next = now = bench_now_s();
	while (!elsewhere && now < failed + 10) {
		if (!verdict && lab_read_log() && strstr(lab_log(), " to=down"))
			verdict = bench_now_s();
		if (arrived(r->served[1]))
			elsewhere = bench_now_s();
		arrived(r->served[0]);
		now = bench_now_s();
		if (now >= next) {
			send(flow, "?", 1, 0);
			next = now + PACKET_EVERY_S;
		}
	}
	if (!verdict)
		wait_verdict("10.0.0.11", "down"); /* the packet was faster than the log */
	if (elsewhere) {
		*verdict_ms = verdict ? (elsewhere - verdict) * 1e3 : 0;
		*failure_ms = (elsewhere - failed) * 1e3;
		ret = 0;
	}
	close(flow);
	lab_forget_log();
	r->checked[0] = lab_socket_on("b1", SOCK_STREAM, "10.0.0.11", 8000);
	return ret || r->checked[0] < 0 ? lab_fail("no packet goes elsewhere") : wait_verdict("10.0.0.11", "up");
}

static int measure_verdict(json_t *rows)
{
	struct race r = {
		.checked = {lab_socket_on("b1", SOCK_STREAM, "10.0.0.11", 8000),
			    lab_socket_on("b2", SOCK_STREAM, "10.0.0.12", 8000)},
		.served = {lab_socket_on("b1", SOCK_DGRAM, VIP, 9000), lab_socket_on("b2", SOCK_DGRAM, VIP, 9000)}};
	double verdict_ms[VERDICT_ROUNDS], failure_ms[VERDICT_ROUNDS];
	char text[1024];
	json_t *more;
	int ret = -1;

	snprintf(text, sizeof(text),
		 "{\"interfaces\":[{\"name\":\"lb0\"}],\"services\":[{\"name\":\"race\",\"vip\":\"" VIP ":9000/udp\","
		 "\"forward\":\"l2\",\"check\":{\"type\":\"tcp\",\"port\":8000,\"interval\":\"%dms\","
		 "\"timeout\":\"%dms\",\"rise\":1,\"fall\":%d},"
		 "\"backends\":[{\"address\":\"10.0.0.11\"},{\"address\":\"10.0.0.12\"}]}]}",
		 CHECK_INTERVAL_MS, CHECK_INTERVAL_MS, CHECK_FALL);
	if (r.checked[0] < 0 || r.checked[1] < 0 || r.served[0] < 0 || r.served[1] < 0) {
		lab_fail("the laboratory's hosts cannot be reached");
		goto out;
	}
	lab_forget_log();
	if (lab_ask("PUT", "/v1/config", text, NULL) < 0 || wait_verdict("10.0.0.11", "up"))
		goto out;
	for (int i = 0; i < VERDICT_ROUNDS; i++)
		if (race_once(&r, &verdict_ms[i], &failure_ms[i]))
			goto out;
	more = json_pack("{s:i s:i}", "check_interval_ms", CHECK_INTERVAL_MS, "fall", CHECK_FALL);
	bench_add_spread(more, "failure_to_packet_ms", failure_ms, VERDICT_ROUNDS);
	lab_add_row(rows, BENCH_VERDICT, verdict_ms, VERDICT_ROUNDS, more);
	ret = 0;
out:
	for (int i = 0; i < 2; i++) {
		close(r.checked[i]);
		close(r.served[i]);
	}
	return ret;
}

/* ---- all of it ---- */

/* A process that has never had a service: what memory was used for once stays with it, and what was saved comes back.
 */
static int start_afresh(void)
{
	if (put_config(0, 0) < 0)
		return -1;
	lab_lbd_end(SIGTERM);
	return lab_lbd_start() < 0 ? -1 : 0;
}

/* Anonymous memory: the pages of the maps are counted as the maps'. */
static int measure_memory(json_t *rows)
{
	json_int_t maps = 0, start, with_backends, with_services, with_most;

	if (start_afresh())
		return -1;
	start = lab_lbd_bytes("RssAnon");
	each_pin("lb_*", add_bytes, &maps);
	if (put_config(1, BACKENDS) < 0)
		return -1;
	with_backends = lab_lbd_bytes("RssAnon");
	if (start_afresh() || put_config(SERVICES, 1) < 0)
		return -1;
	with_services = lab_lbd_bytes("RssAnon");
	if (start_afresh() || put_config(1, MOST_BACKENDS) < 0)
		return -1;
	with_most = lab_lbd_bytes("RssAnon");
	json_array_append_new(
		rows, json_pack("{s:s s:I s:I s:I s:I s:I s:I s:I}", "name", BENCH_MEMORY, "maps_bytes", maps,
				"lbd_start_bytes", start, "lbd_per_backend_bytes", (with_backends - start) / BACKENDS,
				"lbd_per_service_bytes", (with_services - start) / SERVICES, "lbd_10000_services_bytes",
				with_services, "lbd_10000_backends_bytes", with_most, "per_million_flows_bytes",
				(json_int_t)(sizeof(struct lb_flow_set) * 1000000 / LB_FLOW_WAYS)));
	return 0;
}

static int measure_all(json_t *rows)
{
	if (measure_start(rows))
		return -1;
	if (bench_wanted(BENCH_VERDICT) && measure_verdict(rows))
		return -1;
	if (bench_wanted(BENCH_CHANGE) || bench_wanted(BENCH_ADOPT_1000)) {
		if (put_config(1, BACKENDS) < 0 || (bench_wanted(BENCH_CHANGE) && measure_change(rows)) ||
		    (bench_wanted(BENCH_ADOPT_1000) && measure_adopt(rows, BENCH_ADOPT_1000, 1)))
			return -1;
	}
	if (bench_wanted(BENCH_APPLY) || bench_wanted(BENCH_RELOAD) || bench_wanted(BENCH_ADOPT_10000)) {
		if (measure_apply(rows) ||
		    (bench_wanted(BENCH_ADOPT_10000) && measure_adopt(rows, BENCH_ADOPT_10000, SERVICES)))
			return -1;
	}
	if ((bench_wanted(BENCH_CHECKS) || bench_wanted(BENCH_FLAP)) && lab_measure_checks(rows))
		return -1;
	if (bench_wanted(BENCH_LOOP) && lab_measure_loop(rows))
		return -1;
	return bench_wanted(BENCH_MEMORY) ? measure_memory(rows) : 0;
}

int bench_lab_control(int argc, char **argv)
{
	json_t *rows = json_array();
	int ret = -1;

	if (argc == 2 && !lab_lbd_open(argv[0], argv[1]))
		ret = measure_all(rows);
	lab_lbd_close();
	if (!ret)
		ret = json_dumpf(rows, stdout, JSON_COMPACT) ? -1 : 0;
	json_decref(rows);
	return ret;
}
