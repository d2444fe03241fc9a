// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The dataplane's userspace half against the running kernel: maps written, read, adopted, repaired and given back, and
 * the program on interfaces. Root; in a network namespace and a pin directory of its own.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/socket.h>

#include "dataplane_priv.h"
#include "lb/dp/conn.h"
#include "tap.h"
#include "vipset.h"

#define LARGEST_TABLES (LB_SLOTS >> LB_TABLE_SHIFT_MAX)

static char pin_dir[64], pin_dir2[64];
static struct lb_err err;

/* ---- images to play with ---- */

static struct lb_service_image *make_service(struct lb_image *image, uint16_t idx, const char *name, unsigned int shift,
					     size_t nr_backends, unsigned int seed)
{
	struct lb_service_image *s = lb_service_image_new();

	tap_need(s != NULL, "memory");
	s->idx = idx;
	s->line.name_id = lb_name_id(name);
	s->line.flags = LB_SERVICE_F_TRACK_UDP;
	s->shift = shift;
	s->slots = calloc(1U << shift, sizeof(*s->slots));
	s->backends = calloc(nr_backends, sizeof(*s->backends));
	s->nr_backends = nr_backends;
	s->vips = calloc(2, sizeof(*s->vips));
	s->nr_vips = 2;
	tap_need(s->slots && s->backends && s->vips, "memory");
	for (size_t i = 0; i < nr_backends; i++) {
		struct lb_backend_image *b = &s->backends[i];

		b->idx = (uint16_t)(idx * 16 + i);
		b->line = (struct lb_backend){.addr = {[10] = 0xff, 0xff, 10, 0, (uint8_t)idx, (uint8_t)i},
					      .src_plen = 128,
					      .dmac = {2, 0, 0, 0, (uint8_t)idx, (uint8_t)i},
					      .smac = {2, 1, (uint8_t)seed},
					      .mtu = 1500,
					      .service = idx,
					      .forward = LB_FORWARD_IPIP,
					      .gen = (uint8_t)(7 + i),
					      .flags = LB_BACKEND_F_ALIVE | LB_BACKEND_F_TAKES_NEW | LB_BACKEND_F_V4,
					      .oif = 1};
		image->gen[b->idx] = b->line.gen;
	}
	for (uint32_t i = 0; i < 1U << shift; i++)
		s->slots[i] = LB_SLOT(LB_PHASE_STABLE, 0, s->backends[(i + seed) % nr_backends].idx);
	for (int i = 0; i < 2; i++)
		s->vips[i] = (struct lb_vip_conf){.vip = {.addr = {[10] = 0xff, 0xff, 192, 0, (uint8_t)idx, (uint8_t)i},
							  .port = htons(i ? 0 : 80),
							  .proto = IPPROTO_TCP},
						  .plen = 128};
	image->services[idx] = s;
	return s;
}

static struct lb_image *make_image(size_t nr_services, unsigned int shift, unsigned int seed)
{
	struct lb_image *image = lb_image_new();
	char name[16];

	tap_need(image != NULL, "memory");
	image->features = LB_HAS_BASIC; /* as it is loaded */
	image->conf = (struct lb_conf){.hash_key = {1, 2}, .learn_rate = 1000};
	for (size_t i = 1; i <= nr_services; i++) {
		snprintf(name, sizeof(name), "s%zu", i);
		make_service(image, (uint16_t)i, name, shift, 3, seed);
	}
	return image;
}

static struct lb_image *read_image(struct lb_dataplane *dp)
{
	struct lb_image *image = NULL;

	tap_need(!lb_dataplane_read(dp, &image, &err), "read: %s", err.message);
	return image;
}

/* How many operations lie between what the maps hold and @wanted. */
static size_t distance(struct lb_dataplane *dp, const struct lb_image *wanted)
{
	struct lb_image *found = read_image(dp);
	struct lb_plan plan;
	size_t nr;

	tap_need(!lb_plan_make(found, wanted, &plan), "plan");
	nr = plan.nr;
	lb_plan_fini(&plan);
	lb_image_free(found);
	return nr;
}

static int bring(struct lb_dataplane *dp, const struct lb_image *from, const struct lb_image *to)
{
	struct lb_plan plan;
	int ret;

	tap_need(!lb_plan_make(from, to, &plan), "plan");
	ret = lb_dataplane_apply(dp, &plan, &err);
	lb_plan_fini(&plan);
	return ret;
}

static int bring_from_maps(struct lb_dataplane *dp, const struct lb_image *to)
{
	struct lb_image *found = read_image(dp);
	int ret = bring(dp, found, to);

	lb_image_free(found);
	return ret;
}

static struct lb_dataplane *open_dataplane(bool *adopted)
{
	struct lb_dataplane *dp = NULL;

	tap_need(!lb_dataplane_open(pin_dir, &dp, adopted, &err), "open: %s", err.message);
	return dp;
}

static int pinned(const char *name)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/v%d/%s", pin_dir, LB_ABI_VERSION, name);
	fd = bpf_obj_get(path);
	tap_need(fd >= 0, "%s: %s", path, strerror(errno));
	return fd;
}

static void poke(const char *map, uint32_t key, const void *value)
{
	int fd = pinned(map);

	tap_need(!bpf_map_update_elem(fd, &key, value, BPF_ANY), "%s[%u]: %s", map, key, strerror(errno));
	close(fd);
}

static void peek(const char *map, uint32_t key, void *value)
{
	int fd = pinned(map);

	tap_need(!bpf_map_lookup_elem(fd, &key, value), "%s[%u]: %s", map, key, strerror(errno));
	close(fd);
}

static size_t nr_images_services(const struct lb_image *image)
{
	size_t nr = 0;

	for (size_t i = 0; i < LB_MAX_SERVICES; i++)
		nr += image->services[i] != NULL;
	return nr;
}

/* ---- maps ---- */

static void test_open(void)
{
	struct lb_dataplane *dp, *second = NULL;
	struct lb_image *image;
	bool adopted = true;
	double start = now_ms();

	dp = open_dataplane(&adopted);
	tap_note("open: %.0f ms, tag %s", now_ms() - start, lb_dataplane_tag(dp));
	tap_ok(!adopted, "first open makes new maps");
	tap_ok(strlen(lb_dataplane_tag(dp)) == 16, "the program has a tag");
	image = read_image(dp);
	tap_ok(nr_images_services(image) == 0, "new maps are empty");
	lb_image_free(image);
	tap_ok(lb_dataplane_open(pin_dir, &second, &adopted, &err) == -EBUSY && strstr(err.message, pin_dir),
	       "a second owner is refused: %s", err.message);
	lb_dataplane_free(dp);
	tap_ok(lb_dataplane_open("/tmp/lb-not-bpffs", &second, &adopted, &err) == -EINVAL &&
		       access("/tmp/lb-not-bpffs", F_OK),
	       "a pin directory that is not on a bpffs is refused and not made: %s", err.message);
	lb_dataplane_free(NULL);
}

static void test_round_trip(void)
{
	struct lb_image *a = make_image(5, 8, 0), *b = make_image(3, 9, 1), *none = make_image(0, 4, 0), *again;
	bool adopted = false;
	struct lb_dataplane *dp = open_dataplane(&adopted);
	uint32_t lo = if_nametoindex("lo"), value = 0;

	tap_ok(adopted, "the second open adopts the maps");
	tap_ok(!bring_from_maps(dp, a) && distance(dp, a) == 0, "what was applied is what is read");
	tap_ok(distance(dp, b) > 0, "and not something else");
	tap_ok(!bpf_map_lookup_elem(dp->ports_fd, &lo, &value) && value == lo,
	       "packets may leave by the next hops' interface");
	a->services[1]->backends[0].line.oif = 424242;
	tap_ok(!bring_from_maps(dp, a) && distance(dp, a) == 0, "an interface that has gone is no error");
	tap_ok(!bring(dp, a, b) && distance(dp, b) == 0, "change: five services to three, other tables and lines");
	lb_dataplane_free(dp);
	dp = open_dataplane(&adopted);
	again = read_image(dp);
	tap_ok(adopted && distance(dp, b) == 0, "an lbd that takes over reads the same");
	tap_ok(!memcmp(again->gen, b->gen, sizeof(b->gen)), "generations are kept");
	tap_ok(lb_regions_free_slots(dp->regions) == LB_SLOTS - 3 * (1U << 9), "adopted tables are not free");
	lb_image_free(again);
	/* Tables of after the adoption must not lie on the adopted ones. */
	again = lb_image_copy(b);
	make_service(again, 9, "s9", 12, 3, 5);
	tap_ok(!bring(dp, b, again) && distance(dp, again) == 0, "a service added after the take-over disturbs none");
	tap_ok(!bring(dp, again, none) && distance(dp, none) == 0, "removed down to nothing");
	lb_regions_flush(dp->regions);
	tap_ok(lb_regions_free_slots(dp->regions) == LB_SLOTS, "all slots are free again");
	lb_dataplane_free(dp);
	lb_image_free(a);
	lb_image_free(b);
	lb_image_free(none);
	lb_image_free(again);
}

static void test_counters(void)
{
	struct lb_image *image = make_image(2, 6, 0), *less, *none = make_image(0, 4, 0);
	uint32_t ncpus = (uint32_t)libbpf_num_possible_cpus();
	struct lb_service_cpu s = {
		.total = {.pkts = 1, .bytes = 100}, .flow_hits = 4, .learn_count = 9, .learn_refused = 2};
	struct lb_backend_cpu c;
	bool adopted;
	struct lb_dataplane *dp = open_dataplane(&adopted);

	tap_need(!bring_from_maps(dp, image), "apply: %s", err.message);
	for (uint32_t cpu = 0; cpu < ncpus; cpu++) {
		c = (struct lb_backend_cpu){.pkts = 10 + cpu, .bytes = 1000, .conns = 3, .closes = 1};
		poke(LB_MAP_BACKEND_CPU, cpu * LB_MAX_BACKENDS + 16, &c);
		poke(LB_MAP_SERVICE_CPU, cpu * LB_MAX_SERVICES + 1, &s);
	}
	lb_dataplane_backend(dp, 16, &c);
	tap_ok(c.pkts == 10 * ncpus + ncpus * (ncpus - 1) / 2 && c.bytes == 1000 * ncpus && c.conns == 3 * ncpus,
	       "a backend's counters are the sum over CPUs");
	lb_dataplane_service(dp, 1, &s);
	tap_ok(s.total.bytes == 100 * ncpus && s.flow_hits == 4 * ncpus && s.learn_refused == 2 * ncpus &&
		       !s.learn_count,
	       "a service's, too");
	lb_dataplane_free(dp);
	dp = open_dataplane(&adopted);
	lb_dataplane_backend(dp, 16, &c);
	tap_ok(c.bytes == 1000 * ncpus, "they outlive lbd");

	less = lb_image_copy(image);
	lb_service_image_put(less->services[1]);
	make_service(less, 1, "s1", 6, 3, 0);
	memmove(&less->services[1]->backends[0], &less->services[1]->backends[1], 2 * sizeof(struct lb_backend_image));
	less->services[1]->nr_backends = 2;
	for (int i = 0; i < 64; i++)
		less->services[1]->slots[i] = LB_SLOT(0, 0, 17);
	less->gen[16]++;
	tap_need(!bring(dp, image, less), "apply: %s", err.message);
	lb_dataplane_service(dp, 1, &s);
	tap_ok(s.total.bytes == 1100 * ncpus && s.total.conns == 3 * ncpus, "a deleted backend's go to its service");
	lb_dataplane_backend(dp, 16, &c);
	tap_ok(!c.pkts && !c.bytes, "and not to the next backend of its index");
	tap_ok(dp->backends[16].gen == less->gen[16] && !dp->backends[16].service, "whose generation is kept");
	/* What a CPU wrote late, after the line was freed. */
	c = (struct lb_backend_cpu){.pkts = 77};
	poke(LB_MAP_BACKEND_CPU, 16, &c);
	tap_need(!bring(dp, less, image), "apply: %s", err.message);
	lb_dataplane_backend(dp, 16, &c);
	tap_ok(!c.pkts, "a late count on a free index is not the new backend's");
	tap_need(!bring(dp, image, none), "apply: %s", err.message);
	lb_dataplane_service(dp, 1, &s);
	tap_ok(!s.total.bytes && !s.flow_hits && !s.learn_refused, "a deleted service's counters are gone");
	lb_dataplane_free(dp);
	lb_image_free(image);
	lb_image_free(less);
	lb_image_free(none);
}

/* A child applies changes without end and is killed in the middle of one. */
static void test_kill(void)
{
	struct lb_image *image[2] = {make_image(40, 10, 0), make_image(20, 9, 1)}, *none = make_image(0, 4, 0);
	int good = 0, half = 0;
	struct lb_dataplane *dp;
	bool adopted;

	for (int round = 0; round < 20; round++) {
		int ready[2];
		pid_t pid;
		char c;

		tap_need(!pipe(ready), "pipe");
		pid = fork();
		if (!pid) {
			dp = open_dataplane(&adopted);
			bring_from_maps(dp, image[0]);
			tap_need(write(ready[1], "x", 1) == 1, "pipe");
			for (unsigned int i = 0;; i++)
				bring(dp, image[i % 2], image[(i + 1) % 2]);
		}
		tap_need(read(ready[0], &c, 1) == 1, "pipe");
		/* A different moment in each round: this is the one place where time is what is tested. */
		usleep(1000 + (unsigned int)round * 317);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		close(ready[0]);
		close(ready[1]);
		dp = open_dataplane(&adopted);
		half += distance(dp, image[0]) && distance(dp, image[1]);
		good += adopted && !bring_from_maps(dp, image[round % 2]) && distance(dp, image[round % 2]) == 0;
		lb_dataplane_free(dp);
	}
	tap_ok(good == 20, "killed while applying, 20 times: adopted and repaired by one plan (%d)", good);
	tap_ok(half > 0, "some of them in the middle of a plan (%d)", half);
	dp = open_dataplane(&adopted);
	tap_ok(!bring_from_maps(dp, none), "removed");
	lb_regions_flush(dp->regions);
	tap_ok(lb_regions_free_slots(dp->regions) == LB_SLOTS, "and no table room is lost");
	lb_dataplane_free(dp);
	lb_image_free(image[0]);
	lb_image_free(image[1]);
	lb_image_free(none);
}

static struct lb_vip_set *map_vips(void)
{
	int fd = pinned(LB_MAP_VIPS);
	void *p = mmap(NULL, LB_VIP_SETS * sizeof(struct lb_vip_set), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	tap_need(p != MAP_FAILED, "%s: %s", LB_MAP_VIPS, strerror(errno));
	close(fd);
	return p;
}

static void test_ghosts(void)
{
	const struct lb_vip vip1 = {.addr = {1}, .port = 1, .proto = IPPROTO_TCP},
			    vip2 = {.addr = {2}, .proto = IPPROTO_UDP};
	const uint16_t unused = 77, impossible = 20000;
	struct lb_service line = {.name_id = 0, .table = LB_TABLE(0, 6)};
	struct lb_backend b = {.service = 20000, .gen = 3}, b2 = {.service = 78, .gen = 5};
	struct lb_image *image = make_image(3, 6, 0), *found;
	struct lb_dataplane *dp;
	struct lb_vip_line vip_line;
	struct lb_vip_set *vips;
	uint32_t value;
	bool adopted;

	dp = open_dataplane(&adopted);
	tap_need(!bring_from_maps(dp, image), "apply: %s", err.message);
	lb_dataplane_free(dp);
	vips = map_vips();
	vip_line = lb_vipset_line(&vip1, unused, &line);
	tap_need(!lb_vipset_set(vips, &vip_line), "a VIP");
	vip_line = lb_vipset_line(&vip2, impossible, &line);
	tap_need(!lb_vipset_set(vips, &vip_line), "another VIP");
	poke(LB_MAP_SERVICES, 79, &line); /* a table of somebody else, no name */
	line.table = LB_TABLE(0x7ffffff3, 31);
	poke(LB_MAP_SERVICES, 80, &line); /* no table at all */
	line = (struct lb_service){.name_id = 5};
	poke(LB_MAP_SERVICES, 81, &line); /* a name and nothing else */
	poke(LB_MAP_BACKENDS, 9000, &b);  /* of a service that cannot be */
	poke(LB_MAP_BACKENDS, 9001, &b2); /* of one that is not */
	peek(LB_MAP_SERVICES, 1, &line);
	value = LB_SLOT(LB_PHASE_MOVING, 12345, 23456);
	{
		struct lb_slot_line slots;

		peek(LB_MAP_SLOTS, LB_TABLE_BASE(line.table) / 16, &slots);
		slots.slot[3] = value; /* owners that are not */
		poke(LB_MAP_SLOTS, LB_TABLE_BASE(line.table) / 16, &slots);
	}

	dp = open_dataplane(&adopted);
	found = read_image(dp);
	tap_ok(adopted && found->services[77] && found->services[77]->line.name_id == 0 &&
		       found->services[77]->nr_vips == 1,
	       "a VIP of an unused service is seen as a nameless service's");
	tap_ok(found->services[0] && found->services[0]->nr_vips == 1 && found->services[0]->nr_backends == 1,
	       "what names no possible service is seen as service 0's");
	tap_ok(found->services[78] && found->services[78]->nr_backends == 1, "a backend of an unused service is seen");
	tap_ok(found->services[81] && !found->services[81]->slots, "a service without a table is seen");
	tap_ok(found->services[1]->slots[3] == value, "a slot of unused backends is seen");
	peek(LB_MAP_SERVICES, 79, &line);
	tap_ok(line.table == 0, "a table word that is another's is cleared");
	lb_image_free(found);
	tap_ok(!bring_from_maps(dp, image) && distance(dp, image) == 0, "one plan repairs all of it");
	tap_ok(!lb_vipset_get(vips, &vip1) && !lb_vipset_get(vips, &vip2), "the VIPs are gone");
	peek(LB_MAP_BACKENDS, 9000, &b);
	peek(LB_MAP_BACKENDS, 9001, &b2);
	tap_ok(!b.service && !b2.service, "the backends are gone");
	tap_ok(lb_regions_free_slots(dp->regions) + lb_regions_retired_slots(dp->regions) == LB_SLOTS - 3 * (1U << 6),
	       "nobody's table room was given back twice");
	munmap(vips, LB_VIP_SETS * sizeof(*vips));
	lb_dataplane_free(dp);
	lb_image_free(image);
}

/* ---- table room ---- */

static void test_regions(void)
{
	enum { MAX = 512 };
	struct lb_regions *r = lb_regions_new();
	static uint8_t taken[LB_SLOTS >> LB_TABLE_SHIFT_MIN];
	struct {
		uint32_t base;
		unsigned int shift;
	} live[MAX];
	uint32_t nr = 0, overlaps = 0, misplaced = 0, base;
	unsigned int seed = 1;

	tap_need(r != NULL, "memory");
	for (int i = 0; i < 100000; i++) {
		bool add = nr < MAX && (!nr || rand_r(&seed) % 5 < 3);
		uint32_t pick = nr ? (uint32_t)rand_r(&seed) % nr : 0;
		unsigned int shift = LB_TABLE_SHIFT_MIN + (unsigned int)rand_r(&seed) % 12;

		if (add) {
			if (lb_regions_alloc(r, shift, 0, &base))
				continue;
			misplaced += base & ((1U << shift) - 1) || base + (1U << shift) > LB_SLOTS;
			for (uint32_t u = base >> 4; u < (base + (1U << shift)) >> 4; u++)
				overlaps += taken[u]++;
			live[nr].base = base;
			live[nr++].shift = shift;
			continue;
		}
		for (uint32_t u = live[pick].base >> 4; u < (live[pick].base + (1U << live[pick].shift)) >> 4; u++)
			taken[u]--;
		lb_regions_release(r, live[pick].base, live[pick].shift);
		live[pick] = live[--nr];
	}
	tap_ok(!overlaps && !misplaced, "100000 random takings and givings back: none overlaps");
	tap_ok(nr && lb_regions_reserve(r, live[0].base, live[0].shift) == -EEXIST &&
		       lb_regions_reserve(r, live[0].base & ~0xfffffU, 20) == -EEXIST,
	       "what is taken cannot be reserved, nor what contains it");
	while (nr--)
		lb_regions_release(r, live[nr].base, live[nr].shift);
	for (unsigned int i = 0; i < LARGEST_TABLES; i++)
		tap_need(!lb_regions_alloc(r, LB_TABLE_SHIFT_MAX, 0, &base), "the largest table");
	tap_ok(lb_regions_alloc(r, LB_TABLE_SHIFT_MIN, 0, &base) == -ENOSPC && lb_regions_free_slots(r) == 0,
	       "whole again: %u of the largest tables fill it", LARGEST_TABLES);
	tap_ok(lb_regions_reserve(r, 64, 5) == -EEXIST, "a part of a table cannot be reserved");
	lb_regions_retire(r, 0, LB_TABLE_SHIFT_MAX, 1000);
	tap_ok(lb_regions_alloc(r, 4, 1000 + LB_REGIONS_QUARANTINE_NS - 1, &base) == -ENOSPC &&
		       !lb_regions_alloc(r, 4, 1000 + LB_REGIONS_QUARANTINE_NS, &base),
	       "a retired table is used again after a second, not before");
	tap_ok(lb_regions_reserve(r, 8, 4) == -EINVAL && lb_regions_reserve(r, LB_SLOTS, 4) == -EINVAL &&
		       lb_regions_reserve(r, 0, 3) == -EINVAL && lb_regions_reserve(r, 0, 31) == -EINVAL,
	       "what is no region is refused");
	lb_regions_free(r);
}

static void test_pool(void)
{
	struct lb_image *image[2] = {make_image(1, 14, 0), make_image(1, 14, 1)}, *none = make_image(0, 4, 0), *big;
	double start, worst = 0;
	struct lb_dataplane *dp;
	bool adopted;
	unsigned int fit = 0;
	int ret = 0;

	dp = open_dataplane(&adopted);
	tap_need(!bring_from_maps(dp, image[0]), "apply: %s", err.message);
	start = now_ms();
	for (int i = 0; i < 10000 && !ret; i++) {
		double t = now_ms();

		ret = bring(dp, image[i % 2], image[(i + 1) % 2]);
		worst = now_ms() - t > worst ? now_ms() - t : worst;
	}
	tap_ok(!ret, "10000 changes of a table of 16384 slots, faster than the quarantine: %s",
	       ret ? err.message : "all fit");
	tap_note("%.1f us a change, the slowest (which waits for packets under way) %.1f ms", (now_ms() - start) / 10,
		 worst);
	tap_ok(lb_regions_free_slots(dp->regions) + lb_regions_retired_slots(dp->regions) == LB_SLOTS - (1U << 14),
	       "none is lost");
	tap_ok(distance(dp, image[0]) == 0, "the last one is what is there");
	tap_need(!bring(dp, image[0], none), "apply");
	big = lb_image_copy(none);
	for (uint16_t i = 1; i <= LARGEST_TABLES + 1; i++) {
		struct lb_image *more = lb_image_copy(big);

		make_service(more, i, "big", LB_TABLE_SHIFT_MAX, 1, 0);
		ret = bring(dp, big, more);
		if (ret) {
			lb_image_free(more);
			break;
		}
		fit++;
		lb_image_free(big);
		big = more;
	}
	tap_ok(fit == LARGEST_TABLES && ret == -ENOSPC, "one more of the largest tables does not fit: %s", err.message);
	tap_ok(distance(dp, big) > 0 && !bring_from_maps(dp, big) && distance(dp, big) == 0,
	       "what was begun is undone by the next plan");
	tap_ok(!bring(dp, big, none), "removed");
	lb_regions_flush(dp->regions);
	tap_ok(lb_regions_free_slots(dp->regions) == LB_SLOTS, "all slots are free again");
	lb_dataplane_free(dp);
	lb_image_free(image[0]);
	lb_image_free(image[1]);
	lb_image_free(none);
	lb_image_free(big);
}

/* ---- interfaces ---- */

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

static void test_pins_gone(void)
{
	struct lb_attachment at;
	struct lb_dataplane *dp;
	bool adopted;
	uint32_t id;

	dp = open_dataplane(&adopted);
	tap_need(!lb_dataplane_attach(dp, "lbt0", LB_ATTACH_AUTO, &at, &err), "attach: %s", err.message);
	id = prog_on("lbt0");
	lb_dataplane_free(dp);
	command("rm -r %s/v%d", pin_dir, LB_ABI_VERSION);
	dp = open_dataplane(&adopted);
	tap_ok(!adopted && !lb_dataplane_attach(dp, "lbt0", LB_ATTACH_AUTO, &at, &err) && prog_on("lbt0") != id,
	       "a program of ours whose pins are gone is replaced: %s", err.message);
	tap_ok(!lb_dataplane_detach(dp, "lbt0", &err) && !prog_on("lbt0"), "and is not in the way afterwards");
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
	tap_ok(!adopted, "pins of which one is missing are made new");
	tap_ok(!lb_dataplane_attach(dp, "lbt0", LB_ATTACH_AUTO, &at, &err) && prog_on("lbt0") != id,
	       "and the program on the old maps is replaced");
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
	tap_need(!unshare(CLONE_NEWNET), "a network namespace (root?): %s", strerror(errno));
	command("ip link set lo up && ip link add lbt0 type veth peer name lbt1 && ip link set lbt0 up && ip link set "
		"lbt1 up");
	test_open();
	test_round_trip();
	test_counters();
	test_ghosts();
	test_kill();
	test_regions();
	test_pool();
	test_attach();
	test_variants();
	test_more_connections();
	test_two();
	test_pins_gone();
	test_older();
	test_mtu();
	test_run_stats();
	test_pins();
	return tap_done();
}

static void clean(void)
{
	try_command("rm -rf %s %s", pin_dir, pin_dir2);
}

int main(void)
{
	snprintf(pin_dir, sizeof(pin_dir), "/sys/fs/bpf/lb-dataplane-test-%d", getpid());
	snprintf(pin_dir2, sizeof(pin_dir2), "/sys/fs/bpf/lb-dataplane-test-%d-2", getpid());
	return tap_run(run_tests, clean);
}
