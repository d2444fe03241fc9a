/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Images to play with and a dataplane of one's own, for the tests of the dataplane on real maps. */
#ifndef DATAPLANE_LAB_H
#define DATAPLANE_LAB_H

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <sched.h>
#include <string.h>

#include "dataplane_priv.h"
#include "tap.h"

static char pin_dir[64], pin_dir2[64];
static struct lb_err err;

static inline struct lb_service_image *make_service(struct lb_image *image, uint16_t idx, const char *name,
						    unsigned int shift, size_t nr_backends, unsigned int seed)
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

static inline struct lb_image *make_image(size_t nr_services, unsigned int shift, unsigned int seed)
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

static inline struct lb_image *read_image(struct lb_dataplane *dp)
{
	struct lb_image *image = NULL;

	tap_need(!lb_dataplane_read(dp, &image, &err), "read: %s", err.message);
	return image;
}

/* How many operations lie between what the maps hold and @wanted. */
static inline size_t distance(struct lb_dataplane *dp, const struct lb_image *wanted)
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

static inline int bring(struct lb_dataplane *dp, const struct lb_image *from, const struct lb_image *to)
{
	struct lb_plan plan;
	int ret;

	tap_need(!lb_plan_make(from, to, &plan), "plan");
	ret = lb_dataplane_apply(dp, &plan, &err);
	lb_plan_fini(&plan);
	return ret;
}

static inline int bring_from_maps(struct lb_dataplane *dp, const struct lb_image *to)
{
	struct lb_image *found = read_image(dp);
	int ret = bring(dp, found, to);

	lb_image_free(found);
	return ret;
}

static inline struct lb_dataplane *open_dataplane(bool *adopted)
{
	struct lb_dataplane *dp = NULL;

	tap_need(!lb_dataplane_open(pin_dir, &dp, adopted, &err), "open: %s", err.message);
	return dp;
}

static inline int pinned(const char *name)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/v%d/%s", pin_dir, LB_ABI_VERSION, name);
	fd = bpf_obj_get(path);
	tap_need(fd >= 0, "%s: %s", path, strerror(errno));
	return fd;
}

static inline void poke(const char *map, uint32_t key, const void *value)
{
	int fd = pinned(map);

	tap_need(!bpf_map_update_elem(fd, &key, value, BPF_ANY), "%s[%u]: %s", map, key, strerror(errno));
	close(fd);
}

static inline void peek(const char *map, uint32_t key, void *value)
{
	int fd = pinned(map);

	tap_need(!bpf_map_lookup_elem(fd, &key, value), "%s[%u]: %s", map, key, strerror(errno));
	close(fd);
}

static inline size_t nr_images_services(const struct lb_image *image)
{
	size_t nr = 0;

	for (size_t i = 0; i < LB_MAX_SERVICES; i++)
		nr += image->services[i] != NULL;
	return nr;
}

static inline void clean(void)
{
	try_command("rm -rf %s %s", pin_dir, pin_dir2);
}

/* In a network namespace of its own, with lbt0 and lbt1, the ends of a pair. */
static inline void set_up(void)
{
	tap_need(!unshare(CLONE_NEWNET), "a network namespace (root?): %s", strerror(errno));
	command("ip link set lo up && ip link add lbt0 type veth peer name lbt1 && ip link set lbt0 up && ip link set "
		"lbt1 up");
}

static inline int run_all(int (*tests)(void))
{
	snprintf(pin_dir, sizeof(pin_dir), "/sys/fs/bpf/lb-dataplane-test-%d", getpid());
	snprintf(pin_dir2, sizeof(pin_dir2), "/sys/fs/bpf/lb-dataplane-test-%d-2", getpid());
	return tap_run(tests, clean);
}

#endif
