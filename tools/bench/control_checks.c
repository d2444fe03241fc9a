// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * lbd as it checks: 10,000 backends, 2,000 of which are checked each other second, on addresses that are all b1's. What
 * that takes of a CPU; and how long it is from the verdict that one of 1,000 in a service is down, or up again, until
 * no slot in the pinned maps leads to it, or some do.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"
#include "control.h"
#include "control_priv.h"
#include "env.h"
#include "image.h"
#include "lab_lbd.h"

#define CHECKED_SERVICES 2
#define SERVICES 10
#define BACKENDS 1000 /* of each */
#define RATE (CHECKED_SERVICES * BACKENDS / LAB_CHECK_INTERVAL_S)
#define WINDOWS 5
#define WINDOW_S 2.0
#define FLAPS 6 /* down and up again */
#define WAIT_S 20

struct checked {
	int fd; /* where all of them listen */
	const struct lb_service *services;
	const __u32 *slots;
	__u32 *before, *now; /* slots of the service that flaps */
	size_t nr;
};

#define SERVICES_BYTES (LB_MAX_SERVICES * sizeof(struct lb_service))
#define SLOTS_BYTES (LB_SLOTS * sizeof(__u32))

/* lbd's checks are let in, and what it logs is taken from it, for @s seconds. How many checks came. */
static unsigned int serve(const struct checked *c, double s)
{
	double until = bench_now_s() + s;
	unsigned int nr = 0;

	do {
		struct pollfd p = {.fd = c->fd, .events = POLLIN};
		int fd;

		if (s > 0)
			poll(&p, 1, 1);
		while ((fd = accept4(c->fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
			close(fd);
			nr++;
		}
		lab_forget_log();
	} while (bench_now_s() < until);
	return nr;
}

static size_t nr_up(unsigned int service)
{
	json_t *answer = NULL, *backend;
	char path[64];
	size_t i, nr = 0;

	snprintf(path, sizeof(path), "/v1/services/s%05u", service);
	lab_ask("GET", path, NULL, &answer);
	json_array_foreach (json_object_get(answer, "backends"), i, backend) {
		const char *health = json_string_value(json_object_get(json_object_get(backend, "status"), "health"));

		nr += health && !strcmp(health, "up");
	}
	json_decref(answer);
	return nr;
}

static int wait_up(const struct checked *c)
{
	double until = bench_now_s() + WAIT_S;

	for (unsigned int s = 0; s < CHECKED_SERVICES; s++) {
		while (nr_up(s) < BACKENDS) {
			if (bench_now_s() > until)
				return lab_fail("backends do not come up");
			serve(c, 0.2);
		}
	}
	return 0;
}

static void measure_cpu(json_t *rows, const struct checked *c)
{
	double percent[WINDOWS], rate[WINDOWS];
	json_t *row;

	for (int i = 0; i < WINDOWS; i++) {
		double begin = bench_now_s(), cpu = lab_lbd_cpu_s(), took;
		unsigned int nr = serve(c, WINDOW_S);

		took = bench_now_s() - begin;
		percent[i] = (lab_lbd_cpu_s() - cpu) / took * 100;
		rate[i] = nr / took;
	}
	row = json_pack("{s:s}", "name", BENCH_CHECKS);
	bench_add_spread(row, "cpu_percent", percent, WINDOWS);
	bench_add_spread(row, "checks_per_s", rate, WINDOWS);
	/* Fewer would cost less. */
	json_object_set_new(row, "valid", json_boolean(bench_median(rate, WINDOWS) > RATE * 0.9));
	json_array_append_new(rows, row);
}

/* ---- a flap ---- */

/* Whether packets to @addr are answered on b1. */
static int let_answer(const char *addr, bool yes)
{
	char command[160];

	snprintf(command, sizeof(command), "ip -n b1 route %s unreachable %s/32 table local", yes ? "del" : "add",
		 addr);
	return system(command) ? lab_fail("b1's routes cannot be changed") : 0;
}

/* The owners of the first service's slots, as packets find them. How many, 0: it has no table. */
static size_t read_owners(const struct checked *c, __u32 *out)
{
	const uint64_t id = lb_name_id("s00000");

	for (size_t i = 0; i < LB_MAX_SERVICES; i++) {
		const struct lb_service *s = &c->services[i];
		size_t nr = 1UL << LB_TABLE_SHIFT(s->table);

		if (!s->table || s->name_id != id)
			continue;
		for (size_t k = 0; k < nr; k++)
			out[k] = LB_SLOT_CUR(c->slots[LB_TABLE_BASE(s->table) + k]);
		return nr;
	}
	return 0;
}

/* Does any slot have another owner than before? One plan is carried out at a time, a change of slots at its end. */
static bool has_moved(const struct checked *c)
{
	return read_owners(c, c->now) == c->nr && memcmp(c->before, c->now, c->nr * sizeof(*c->now));
}

/* Backend @addr of the first service goes, or comes back: *@ms from the line that says so to the maps. */
static int flap(struct checked *c, const char *addr, bool up, double *ms)
{
	double until = bench_now_s() + WAIT_S, verdict = 0;
	char down_line[64], want[16];

	snprintf(down_line, sizeof(down_line), "backend=%s ", addr);
	snprintf(want, sizeof(want), " to=%s", up ? "up" : "down");
	c->nr = read_owners(c, c->before);
	serve(c, 0);
	if (!c->nr || let_answer(addr, up))
		return -1;
	while (bench_now_s() < until) {
		const char *line;
		int fd;

		while ((fd = accept4(c->fd, NULL, NULL, SOCK_CLOEXEC)) >= 0)
			close(fd);
		if (!verdict && lab_read_log()) {
			line = strstr(lab_log(), down_line);
			if (line && strstr(line, want))
				verdict = bench_now_s();
		}
		if (!has_moved(c))
			continue;
		*ms = verdict ? (bench_now_s() - verdict) * 1e3 : 0; /* 0: faster than the line */
		return 0;
	}
	return lab_fail("a backend's verdict does not get into the maps");
}

static int measure_flap(json_t *rows, struct checked *c)
{
	double ms[2 * FLAPS];

	for (int i = 0; i < FLAPS; i++) {
		char addr[32];

		snprintf(addr, sizeof(addr), "10.1.1.%d", 100 + i); /* each its own: flapping is damped */
		if (flap(c, addr, false, &ms[2 * i]) || flap(c, addr, true, &ms[2 * i + 1]))
			return -1;
	}
	lab_add_row(rows, BENCH_FLAP, ms, 2 * FLAPS,
		    json_pack("{s:i s:i}", "backends", SERVICES * BACKENDS, "backends_of_service", BACKENDS));
	return 0;
}

int lab_measure_checks(json_t *rows)
{
	struct checked c = {
		.fd = lab_socket_on("b1", SOCK_STREAM, "0.0.0.0", 8000),
		.services = lab_map_pinned(LB_MAP_SERVICES, SERVICES_BYTES),
		.slots = lab_map_pinned(LB_MAP_SLOTS, SLOTS_BYTES),
		.before = malloc(SLOTS_BYTES),
		.now = malloc(SLOTS_BYTES),
	};
	int ret = -1;

	if (c.fd < 0 || !c.services || !c.slots || !c.before || !c.now) {
		lab_fail("the laboratory's hosts or maps cannot be used");
		goto out;
	}
	if (lab_put_config(0, 0, 0) < 0 || lab_put_config(SERVICES, BACKENDS, CHECKED_SERVICES) < 0 || wait_up(&c))
		goto out;
	if (bench_wanted(BENCH_CHECKS))
		measure_cpu(rows, &c);
	ret = bench_wanted(BENCH_FLAP) ? measure_flap(rows, &c) : 0;
out:
	if (c.services)
		munmap((void *)c.services, SERVICES_BYTES);
	if (c.slots)
		munmap((void *)c.slots, SLOTS_BYTES);
	free(c.before);
	free(c.now);
	if (c.fd >= 0)
		close(c.fd);
	return ret;
}
