// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the maps hold, as an image. Whatever was left half done by an lbd that was killed is in it too, so that the next
 * plan removes it: a line, VIP or backend without a named service makes a service image with name_id 0 at its index,
 * and what names no possible service is gathered under index 0, which is never used.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane_priv.h"
#include "pause.h"
#include "vipset.h"
#include "lb.skel.h"

#define PAUSE_EVERY 1024 /* lines of maps */

static uint16_t owner_of(uint32_t service)
{
	return service < LB_MAX_SERVICES ? (uint16_t)service : 0;
}

/* The service image at @idx, made when there is none. NULL: out of memory. */
static struct lb_service_image *at(const struct lb_dataplane *dp, struct lb_image *image, uint16_t idx)
{
	struct lb_service_image *s = image->services[idx];

	if (s)
		return s;
	s = lb_service_image_new();
	if (!s)
		return NULL;
	s->idx = idx;
	s->line = dp->services[idx];
	s->line.table = 0;
	image->services[idx] = s;
	return s;
}

static int read_services(const struct lb_dataplane *dp, struct lb_image *image)
{
	static const struct lb_service none;

	for (uint32_t i = 0; i < LB_MAX_SERVICES; i++) {
		struct lb_service_image *s;
		size_t bytes;

		lb_pause_at(i, PAUSE_EVERY / 8);
		if (!memcmp(&dp->services[i], &none, sizeof(none)))
			continue;
		s = at(dp, image, (uint16_t)i);
		if (!s)
			return -ENOMEM;
		if (!dp->tables[i])
			continue;
		s->shift = LB_TABLE_SHIFT(dp->tables[i]);
		bytes = sizeof(uint32_t) << s->shift;
		s->slots = malloc(bytes);
		if (!s->slots)
			return -ENOMEM;
		memcpy(s->slots, &dp->slots[LB_TABLE_BASE(dp->tables[i])], bytes);
	}
	return 0;
}

/* Of one that lacks what it needs nothing is said, so that the next plan writes both again. */
static void read_vlan(const struct lb_dataplane *dp, struct lb_backend_image *b)
{
	if (b->line.flags & LB_BACKEND_F_TAGGED)
		bpf_map_lookup_elem(dp->vlans_fd, &b->line.oif, &b->vlan);
}

static int read_backends(const struct lb_dataplane *dp, struct lb_image *image)
{
	uint32_t *count = calloc(LB_MAX_SERVICES, sizeof(*count));
	int ret = -ENOMEM;

	if (!count)
		return ret;
	for (uint32_t i = 0; i < LB_MAX_BACKENDS; i++) {
		image->gen[i] = dp->backends[i].gen;
		if (dp->backends[i].service)
			count[owner_of(dp->backends[i].service)]++;
	}
	for (uint32_t i = 0; i < LB_MAX_BACKENDS; i++) {
		struct lb_service_image *s;

		lb_pause_at(i, PAUSE_EVERY);
		if (!dp->backends[i].service)
			continue;
		s = at(dp, image, owner_of(dp->backends[i].service));
		if (!s)
			goto out;
		if (!s->backends)
			s->backends = calloc(count[s->idx], sizeof(*s->backends));
		if (!s->backends)
			goto out;
		s->backends[s->nr_backends] = (struct lb_backend_image){.idx = (uint16_t)i, .line = dp->backends[i]};
		read_vlan(dp, &s->backends[s->nr_backends++]);
	}
	ret = 0;
out:
	free(count);
	return ret;
}

static int add_vip(const struct lb_dataplane *dp, struct lb_image *image, const struct lb_vip_conf *vip,
		   uint32_t service)
{
	struct lb_service_image *s = at(dp, image, owner_of(service));
	struct lb_vip_conf *vips;

	if (!s)
		return -ENOMEM;
	/* Grown at powers of two. */
	if (!(s->nr_vips & (s->nr_vips - 1))) {
		vips = reallocarray(s->vips, s->nr_vips ? 2 * s->nr_vips : 1, sizeof(*vips));
		if (!vips)
			return -ENOMEM;
		s->vips = vips;
	}
	s->vips[s->nr_vips++] = *vip;
	return 0;
}

static int compare_vips(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct lb_vip_conf));
}

/* Sorted, since the sets' order is nobody's, and each once, though a writer that was killed may have left two. */
static void tidy_vips(struct lb_service_image *s)
{
	size_t nr = 0;

	qsort(s->vips, s->nr_vips, sizeof(*s->vips), compare_vips);
	for (size_t i = 0; i < s->nr_vips; i++)
		if (!i || compare_vips(&s->vips[i], &s->vips[i - 1]))
			s->vips[nr++] = s->vips[i];
	s->nr_vips = nr;
}

struct reading {
	const struct lb_dataplane *dp;
	struct lb_image *image;
};

static int add_wild(void *ctx, const struct lb_vip_conf *vip, uint16_t idx)
{
	const struct reading *r = ctx;

	return add_vip(r->dp, r->image, vip, idx);
}

static int read_vips(const struct lb_dataplane *dp, struct lb_image *image)
{
	struct reading r = {dp, image};
	int ret;

	for (uint32_t i = 0; i < LB_VIP_SETS * LB_VIP_WAYS; i++) {
		const struct lb_vip_line *line = &dp->vips[i / LB_VIP_WAYS].way[i % LB_VIP_WAYS];
		const struct lb_vip_conf vip = {.vip = lb_vipset_vip(line), .plen = 128};

		lb_pause_at(i, PAUSE_EVERY);
		ret = line->service ? add_vip(dp, image, &vip, line->service) : 0;
		if (ret)
			return ret;
	}
	ret = lb_tries_each_vip(dp, add_wild, &r);
	if (ret)
		return ret;
	for (uint32_t i = 0; i < LB_MAX_SERVICES; i++) {
		lb_pause_at(i, PAUSE_EVERY);
		if (image->services[i] && image->services[i]->nr_vips)
			tidy_vips(image->services[i]);
	}
	return 0;
}

static int add_access(void *ctx, const struct lb_access_image *access, uint16_t idx)
{
	const struct reading *r = ctx;
	struct lb_service_image *s = at(r->dp, r->image, owner_of(idx));
	struct lb_access_image *all;

	lb_pause();
	if (!s)
		return -ENOMEM;
	if (!(s->nr_access & (s->nr_access - 1))) {
		all = reallocarray(s->access, s->nr_access ? 2 * s->nr_access : 1, sizeof(*all));
		if (!all)
			return -ENOMEM;
		s->access = all;
	}
	s->access[s->nr_access++] = *access;
	return 0;
}

static int compare_access(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct lb_access_image));
}

static int read_access(const struct lb_dataplane *dp, struct lb_image *image)
{
	struct reading r = {dp, image};
	int ret = lb_tries_each_access(dp, add_access, &r);

	for (uint32_t i = 0; !ret && i < LB_MAX_SERVICES; i++) {
		struct lb_service_image *s = image->services[i];

		if (s && s->nr_access)
			qsort(s->access, s->nr_access, sizeof(*s->access), compare_access);
	}
	return ret;
}

static int read_cids(const struct lb_dataplane *dp, struct lb_image *image)
{
	struct lb_cid key, *prev = NULL;

	for (; !bpf_map_get_next_key(dp->cids_fd, prev, &key); prev = &key) {
		struct lb_service_image *s = at(dp, image, owner_of(key.service));
		uint32_t backend;

		lb_pause();
		if (!s)
			return -ENOMEM;
		if (bpf_map_lookup_elem(dp->cids_fd, &key, &backend))
			continue;
		/* Grown at powers of two. */
		if (!(s->nr_cids & (s->nr_cids - 1))) {
			void *cids = reallocarray(s->cids, s->nr_cids ? 2 * s->nr_cids : 1, sizeof(*s->cids));

			if (!cids)
				return -ENOMEM;
			s->cids = cids;
		}
		s->cids[s->nr_cids++] = (struct lb_cid_image){.cid = key, .backend = backend};
	}
	for (uint32_t i = 0; i < LB_MAX_SERVICES; i++)
		if (image->services[i] && image->services[i]->nr_cids)
			qsort(image->services[i]->cids, image->services[i]->nr_cids, sizeof(struct lb_cid_image),
			      lb_cid_compare);
	return 0;
}

static int read_snats(const struct lb_dataplane *dp, struct lb_image *image)
{
	struct lb_snat_image snat;
	struct lb_snat *prev = NULL, key;

	for (; !bpf_map_get_next_key(dp->snats_fd, prev, &key); prev = &key) {
		struct lb_service_image *s = at(dp, image, owner_of(key.service));

		lb_pause();
		if (!s)
			return -ENOMEM;
		snat.at = key;
		if (bpf_map_lookup_elem(dp->snats_fd, &key, snat.addr))
			continue;
		/* Grown at powers of two. */
		if (!(s->nr_snats & (s->nr_snats - 1))) {
			void *snats = reallocarray(s->snats, s->nr_snats ? 2 * s->nr_snats : 1, sizeof(*s->snats));

			if (!snats)
				return -ENOMEM;
			s->snats = snats;
		}
		s->snats[s->nr_snats++] = snat;
	}
	for (uint32_t i = 0; i < LB_MAX_SERVICES; i++)
		if (image->services[i] && image->services[i]->nr_snats)
			qsort(image->services[i]->snats, image->services[i]->nr_snats, sizeof(struct lb_snat_image),
			      lb_snat_compare);
	return 0;
}

int lb_dataplane_read(struct lb_dataplane *dp, struct lb_image **out, struct lb_err *err)
{
	struct lb_image *image = lb_image_new();
	int ret = image ? 0 : -ENOMEM;

	if (!ret) {
		image->features = dp->skel->rodata->lb_features;
		image->conf = *dp->conf;
		image->conf.fresh_kept = image->conf.now_kept = 0;
		ret = read_services(dp, image);
	}
	if (!ret)
		ret = read_backends(dp, image);
	if (!ret)
		ret = read_vips(dp, image);
	if (!ret)
		ret = read_access(dp, image);
	if (!ret)
		ret = read_cids(dp, image);
	if (!ret)
		ret = read_snats(dp, image);
	if (ret) {
		lb_image_free(image);
		return lb_err_set(err, ret, NULL, "cannot read the dataplane's maps: %s", strerror(-ret));
	}
	*out = image;
	return 0;
}
