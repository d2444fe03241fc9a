// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The dataplane's userspace half on the running kernel's maps: written, read, adopted, repaired and given back,
 * counters, and the room for tables. Root; in a network namespace and a pin directory of its own.
 */
#include <bpf/libbpf.h>
#include <net/if.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "dataplane_lab.h"
#include "lb/dp/conn.h"
#include "vipset.h"

#define LARGEST_TABLES (LB_SLOTS >> LB_TABLE_SHIFT_MAX)

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

/* ---- connections, from one map to another ---- */

static int conns_map(void)
{
	return bpf_map_create(BPF_MAP_TYPE_HASH, "conns", sizeof(struct lb_conn_key), sizeof(struct lb_conn), 64, NULL);
}

static struct lb_conn_key conn_key(uint32_t ports)
{
	return (struct lb_conn_key){.saddr = {1, 2}, .daddr = {3, 4}, .ports = ports, .proto = IPPROTO_TCP};
}

static void put_conn(int map, uint32_t ports, uint64_t word, uint16_t backend, uint8_t flags)
{
	const struct lb_conn_key key = conn_key(ports);
	const struct lb_conn c = {
		.word = word, .xlate = {.ports = backend}, .backend = backend, .service = 1, .flags = flags};

	bpf_map_update_elem(map, &key, &c, BPF_ANY);
}

static struct lb_conn get_conn(int map, uint32_t ports)
{
	const struct lb_conn_key key = conn_key(ports);
	struct lb_conn c = {0};

	bpf_map_lookup_elem(map, &key, &c);
	return c;
}

/* They are copied twice, and packets go on meanwhile: first in the old map, then in the new one. */
static void test_conns_copy(void)
{
	const uint64_t syn = LB_CONN_SEEN | LB_CONN_SYN, open = syn | LB_CONN_ACK | LB_CONN_OPEN;
	int from = conns_map(), to = conns_map();

	put_conn(from, 1, syn | 5, 3, LB_CONN_F_LIVE);
	put_conn(from, 2, 0, 3, LB_CONN_F_REPLY);
	put_conn(from, 3, open | LB_CONN_FIN | 5, 3, 0);
	put_conn(from, 4, open | 5, 3, 0);
	tap_ok(!lb_conns_copy(from, to) && get_conn(to, 4).word == (open | 5), "connections are copied");
	put_conn(from, 1, open | LB_CONN_FIN | 6, 3, 0);
	put_conn(from, 2, syn | 6, 3, LB_CONN_F_REPLY);
	put_conn(from, 3, syn | 6, 4, 0);
	put_conn(from, 5, syn | 6, 3, 0);
	put_conn(to, 4, open | LB_CONN_FIN | 7, 3, 0);
	tap_ok(!lb_conns_copy(from, to), "and once more");
	tap_ok(get_conn(to, 1).word == (open | LB_CONN_FIN | 6) && get_conn(to, 2).word == (syn | 6) &&
		       get_conn(to, 2).flags == LB_CONN_F_REPLY,
	       "one that was answered meanwhile is open there, too");
	tap_ok(!(get_conn(to, 1).flags & LB_CONN_F_LIVE), "it is not counted twice when it ends");
	tap_ok(get_conn(to, 3).backend == 4 && get_conn(to, 3).word == (syn | 6),
	       "another one on the same ports took its place");
	tap_ok(get_conn(to, 4).word == (open | LB_CONN_FIN | 7), "what the new map knows of one stays");
	tap_ok(get_conn(to, 5).word == (syn | 6), "one that was opened meanwhile is there");
	close(from);
	close(to);
}

static void test_counters(void)
{
	struct lb_image *image = make_image(2, 6, 0), *less, *none = make_image(0, 4, 0);
	uint32_t ncpus = (uint32_t)libbpf_num_possible_cpus();
	struct lb_service_cpu s = {
		.total = {.pkts = 1, .bytes = 100}, .flow_misses = 4, .learn_count = 9, .learn_refused = 2};
	struct lb_backend_cpu c;
	bool adopted;
	struct lb_dataplane *dp = open_dataplane(&adopted);

	tap_need(!bring_from_maps(dp, image), "apply: %s", err.message);
	for (uint32_t cpu = 0; cpu < ncpus; cpu++) {
		c = (struct lb_backend_cpu){.pkts = 10 + cpu, .bytes = 1000, .conns = 3, .closes = 1};
		poke(LB_MAP_BACKEND_CPU, cpu * LB_MAX_BACKENDS + 16, &c);
		poke(LB_MAP_SERVICE_CPU, cpu * LB_MAX_SERVICES + 1, &s);
		dp->hits->at[cpu % LB_HITS].nr = 5;
	}
	lb_dataplane_backend(dp, 16, &c);
	tap_ok(c.pkts == 10 * ncpus + ncpus * (ncpus - 1) / 2 && c.bytes == 1000 * ncpus && c.conns == 3 * ncpus,
	       "a backend's counters are the sum over CPUs");
	lb_dataplane_service(dp, 1, &s);
	tap_ok(s.total.bytes == 100 * ncpus && s.flow_misses == 4 * ncpus && s.learn_refused == 2 * ncpus &&
		       !s.learn_count,
	       "a service's, too");
	tap_ok(lb_dataplane_hits(dp) == 5 * ncpus, "and the flow cache's hits");
	lb_dataplane_free(dp);
	dp = open_dataplane(&adopted);
	lb_dataplane_backend(dp, 16, &c);
	tap_ok(c.bytes == 1000 * ncpus && lb_dataplane_hits(dp) == 5 * ncpus, "they outlive lbd");

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
	tap_ok(!s.total.bytes && !s.flow_misses && !s.learn_refused, "a deleted service's counters are gone");
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

static int run_tests(void)
{
	set_up();
	test_open();
	test_round_trip();
	test_conns_copy();
	test_counters();
	test_ghosts();
	test_kill();
	test_regions();
	test_pool();
	return tap_done();
}

int main(void)
{
	return run_all(run_tests);
}
