/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Maps as plans see them, for tests: each operation is carried out and checked for leaving packets nothing half done.
 * Included by test_plan.c and test_model.c, after cmocka.h.
 */
#ifndef PLAN_SIM_H
#define PLAN_SIM_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "plan.h"

struct sim_service {
	struct lb_service line; /* name_id 0: unused */
	uint32_t *slots, *pending;
	unsigned int shift, pending_shift;
	struct lb_access_image *access; /* in no order */
	size_t nr_access;
};

struct sim_vip {
	struct lb_vip_conf vip;
	uint16_t service;
};

struct sim {
	uint16_t end_services; /* beyond what was ever named in an operation */
	uint32_t end_backends;
	uint32_t features;
	struct lb_conf conf;
	struct sim_service services[LB_MAX_SERVICES];
	struct lb_backend backends[LB_MAX_BACKENDS];
	struct lb_vlan vlans[LB_MAX_BACKENDS]; /* of each one's outgoing interface */
	struct sim_vip vips[1024];
	size_t nr_vips;
	struct lb_cid_image cids[1024];
	size_t nr_cids;
	struct lb_snat_image snats[1024];
	size_t nr_snats;
};

static inline struct sim_vip *sim_vip(struct sim *sim, const struct lb_vip_conf *vip)
{
	for (size_t i = 0; i < sim->nr_vips; i++) {
		if (!memcmp(&sim->vips[i].vip, vip, sizeof(*vip)))
			return &sim->vips[i];
	}
	return NULL;
}

/* Every word names backends that are there and the service's own. */
static inline void sim_check_words(const struct sim *sim, uint16_t service, const uint32_t *slots, unsigned int shift)
{
	bool right = true;

	for (uint32_t i = 0; i < 1U << shift && right; i++) {
		uint16_t cur = LB_SLOT_CUR(slots[i]), prev = LB_SLOT_PREV(slots[i]);

		right = (!cur || sim->backends[cur].service == service) &&
			(!prev || sim->backends[prev].service == service);
	}
	assert_true(right);
}

static inline void sim_check(const struct sim *sim)
{
	for (size_t i = 0; i < sim->nr_vips; i++) {
		assert_true(sim->services[sim->vips[i].service].line.name_id != 0);
		assert_non_null(sim->services[sim->vips[i].service].slots);
	}
	for (size_t i = 0; i < sim->nr_cids; i++)
		assert_int_equal(sim->backends[sim->cids[i].backend].service, sim->cids[i].cid.service);
	for (uint16_t i = 0; i < sim->end_services; i++) {
		if (sim->services[i].slots)
			sim_check_words(sim, i, sim->services[i].slots, sim->services[i].shift);
	}
}

static inline struct lb_access_image *sim_access(struct sim_service *s, const struct lb_access_image *key)
{
	for (size_t i = 0; i < s->nr_access; i++)
		if (!memcmp(&s->access[i], key, LB_ACCESS_IMAGE_KEY))
			return &s->access[i];
	return NULL;
}

static inline void sim_access_set(struct sim_service *s, const struct lb_access_image *access)
{
	struct lb_access_image *at = sim_access(s, access);

	if (!at) {
		s->access = realloc(s->access, (s->nr_access + 1) * sizeof(*s->access));
		at = &s->access[s->nr_access++];
	}
	*at = *access;
}

static inline void sim_access_del(struct sim_service *s, const struct lb_access_image *access)
{
	struct lb_access_image *at = sim_access(s, access);

	assert_non_null(at);
	*at = s->access[--s->nr_access];
}

/* What becomes of an IPv6 source: the longest prefix decides. */
static inline int sim_verdict(const struct lb_service *line, const struct lb_access_image *access, size_t nr,
			      const uint8_t addr[16])
{
	int verdict = LB_ACCESS_DENY, longest = -1;

	if (!(line->flags & LB_SERVICE_F_ACCESS))
		return LB_ACCESS_ALLOW;
	for (size_t i = 0; i < nr; i++) {
		int whole = access[i].plen / 8;
		bool in = access[i].plen > longest && !memcmp(access[i].addr, addr, (size_t)whole);

		for (int bit = 8 * whole; bit < access[i].plen && in; bit++)
			in = !((access[i].addr[bit / 8] ^ addr[bit / 8]) & (0x80 >> bit % 8));
		if (!in)
			continue;
		longest = access[i].plen;
		verdict = access[i].verdict;
	}
	return verdict;
}

static inline void sim_service_set(struct sim *sim, const struct lb_op *op)
{
	struct sim_service *s = &sim->services[op->idx];

	assert_int_equal(op->service->table, 0);
	s->line = *op->service;
	if (s->pending) {
		free(s->slots);
		s->slots = s->pending;
		s->shift = s->pending_shift;
		s->pending = NULL;
	}
	assert_non_null(s->slots);
	sim_check_words(sim, op->idx, s->slots, s->shift);
}

static inline void sim_service_del(struct sim *sim, const struct lb_op *op)
{
	struct sim_service *s = &sim->services[op->idx];

	assert_true(s->line.name_id != 0);
	for (size_t i = 0; i < sim->nr_vips; i++)
		assert_int_not_equal(sim->vips[i].service, op->idx);
	assert_int_equal(s->nr_access, 0);
	free(s->access);
	free(s->slots);
	memset(s, 0, sizeof(*s));
}

static inline void sim_backend_del(struct sim *sim, const struct lb_op *op)
{
	struct lb_backend *b = &sim->backends[op->idx];
	uint16_t service = b->service;

	assert_int_not_equal(service, 0);
	assert_int_equal(op->owner, sim->services[service].line.name_id ? service : 0);
	memset(b, 0, sizeof(*b));
	b->gen = op->gen;
	if (sim->services[service].slots)
		sim_check_words(sim, service, sim->services[service].slots, sim->services[service].shift);
}

static inline struct lb_cid_image *sim_cid(struct sim *sim, const struct lb_cid_image *cid)
{
	for (size_t i = 0; i < sim->nr_cids; i++)
		if (!lb_cid_compare(&sim->cids[i], cid))
			return &sim->cids[i];
	return NULL;
}

static inline struct lb_snat_image *sim_snat(struct sim *sim, const struct lb_snat_image *snat)
{
	for (size_t i = 0; i < sim->nr_snats; i++)
		if (!lb_snat_compare(&sim->snats[i], snat))
			return &sim->snats[i];
	return NULL;
}

static inline void sim_snat_set(struct sim *sim, const struct lb_snat_image *snat)
{
	struct lb_snat_image *at = sim_snat(sim, snat);

	assert_true(at || sim->nr_snats < sizeof(sim->snats) / sizeof(*sim->snats));
	*(at ? at : &sim->snats[sim->nr_snats++]) = *snat;
}

static inline void sim_snat_del(struct sim *sim, const struct lb_snat_image *snat)
{
	struct lb_snat_image *at = sim_snat(sim, snat);

	assert_non_null(at);
	*at = sim->snats[--sim->nr_snats];
}

static inline void sim_cid_set(struct sim *sim, const struct lb_cid_image *cid)
{
	struct lb_cid_image *at = sim_cid(sim, cid);

	assert_true(at || sim->nr_cids < sizeof(sim->cids) / sizeof(*sim->cids));
	*(at ? at : &sim->cids[sim->nr_cids++]) = *cid;
}

static inline void sim_cid_del(struct sim *sim, const struct lb_cid_image *cid)
{
	struct lb_cid_image *at = sim_cid(sim, cid);

	assert_non_null(at);
	*at = sim->cids[--sim->nr_cids];
}

static inline void sim_name(struct sim *sim, const struct lb_op *op)
{
	if (op->kind == LB_OP_BACKEND_SET || op->kind == LB_OP_BACKEND_DEL) {
		if (op->idx >= sim->end_backends)
			sim->end_backends = op->idx + 1;
	} else if (op->idx >= sim->end_services) {
		sim->end_services = (uint16_t)(op->idx + 1);
	}
}

static inline void sim_do(struct sim *sim, const struct lb_op *op)
{
	struct sim_service *s = &sim->services[op->idx < LB_MAX_SERVICES ? op->idx : 0];
	struct sim_vip *vip;

	sim_name(sim, op);
	switch (op->kind) {
	case LB_OP_FEATURES_ADD:
		assert_int_equal(sim->features & ~op->features, 0);
		sim->features = op->features;
		break;
	case LB_OP_FEATURES_SET:
		assert_int_equal(op->features & ~sim->features, 0);
		sim->features = op->features;
		break;
	case LB_OP_CID_SET:
		sim_cid_set(sim, op->cid);
		break;
	case LB_OP_CID_DEL:
		sim_cid_del(sim, op->cid);
		break;
	case LB_OP_SNAT_SET:
		sim_snat_set(sim, op->snat);
		break;
	case LB_OP_SNAT_DEL:
		sim_snat_del(sim, op->snat);
		break;
	case LB_OP_CONF:
		sim->conf = *op->conf;
		break;
	case LB_OP_BACKEND_SET:
		assert_int_not_equal(op->idx, 0);
		assert_true(!sim->backends[op->idx].service || sim->backends[op->idx].service == op->backend->service);
		sim->backends[op->idx] = *op->backend;
		sim->vlans[op->idx] = *op->vlan;
		break;
	case LB_OP_TABLE_SET:
		assert_null(s->pending);
		assert_int_not_equal(op->idx, 0);
		s->pending = malloc(sizeof(*s->pending) << op->shift);
		memcpy(s->pending, op->slots, sizeof(*s->pending) << op->shift);
		s->pending_shift = op->shift;
		break;
	case LB_OP_SERVICE_SET:
		sim_service_set(sim, op);
		break;
	case LB_OP_VIP_SET:
		assert_non_null(s->slots);
		vip = sim_vip(sim, &op->vip);
		if (!vip) {
			assert_true(sim->nr_vips < sizeof(sim->vips) / sizeof(*sim->vips));
			vip = &sim->vips[sim->nr_vips++];
		}
		*vip = (struct sim_vip){op->vip, op->idx};
		break;
	case LB_OP_VIP_DEL:
		vip = sim_vip(sim, &op->vip);
		assert_non_null(vip);
		*vip = sim->vips[--sim->nr_vips];
		break;
	case LB_OP_ACCESS_SET:
		sim_access_set(s, &op->access);
		break;
	case LB_OP_ACCESS_DEL:
		sim_access_del(s, &op->access);
		break;
	case LB_OP_SERVICE_DEL:
		sim_service_del(sim, op);
		break;
	case LB_OP_BACKEND_DEL:
		sim_backend_del(sim, op);
		break;
	}
}

static inline void sim_expect(const struct sim *sim, const struct lb_image *image)
{
	static const uint8_t never[2 * LB_MAX_BACKENDS];
	static uint16_t backends_of[LB_MAX_BACKENDS];
	static const uint32_t none[1 << LB_TABLE_SHIFT_MIN];
	size_t nr_vips = 0, nr_cids = 0, nr_snats = 0;
	uint32_t b;

	memset(backends_of, 0, sizeof(backends_of));
	assert_int_equal(sim->features, image->features);
	assert_memory_equal(&sim->conf, &image->conf, sizeof(image->conf));
	for (uint16_t i = 0; i < LB_MAX_SERVICES; i++) {
		const struct lb_service_image *want = image->services[i];
		const struct sim_service *got = &sim->services[i];

		if (!want && (i >= sim->end_services || (!got->pending && !got->line.name_id)))
			continue;
		assert_null(got->pending);
		assert_non_null(want);
		assert_memory_equal(&got->line, &want->line, sizeof(want->line));
		assert_int_equal(got->shift, want->slots ? want->shift : LB_TABLE_SHIFT_MIN);
		assert_memory_equal(got->slots, want->slots ? want->slots : none, sizeof(*got->slots) << got->shift);
		for (size_t v = 0; v < want->nr_vips; v++, nr_vips++) {
			const struct sim_vip *vip = sim_vip((struct sim *)sim, &want->vips[v]);

			assert_non_null(vip);
			assert_int_equal(vip->service, i);
		}
		assert_int_equal(got->nr_access, want->nr_access);
		for (size_t a = 0; a < want->nr_access; a++) {
			const struct lb_access_image *access = sim_access((struct sim_service *)got, &want->access[a]);

			assert_non_null(access);
			assert_int_equal(access->verdict, want->access[a].verdict);
		}
		for (size_t n = 0; n < want->nr_snats; n++, nr_snats++) {
			const struct lb_snat_image *snat = sim_snat((struct sim *)sim, &want->snats[n]);

			assert_non_null(snat);
			assert_memory_equal(snat, &want->snats[n], sizeof(*snat));
		}
		for (size_t n = 0; n < want->nr_cids; n++, nr_cids++) {
			const struct lb_cid_image *cid = sim_cid((struct sim *)sim, &want->cids[n]);

			assert_non_null(cid);
			assert_int_equal(cid->backend, want->cids[n].backend);
		}
		for (size_t n = 0; n < want->nr_backends; n++) {
			const struct lb_backend_image *to = &want->backends[n];

			backends_of[to->idx] = i;
			assert_memory_equal(&sim->backends[to->idx], &to->line, sizeof(to->line));
			assert_memory_equal(&sim->vlans[to->idx], &to->vlan, sizeof(to->vlan));
		}
	}
	assert_int_equal(nr_vips, sim->nr_vips);
	assert_int_equal(nr_cids, sim->nr_cids);
	assert_int_equal(nr_snats, sim->nr_snats);
	for (b = 0; b < sim->end_backends; b++) {
		if (sim->backends[b].service != backends_of[b] || sim->backends[b].gen != image->gen[b])
			fail_msg("backend %u is not as it should be", b);
	}
	b = sim->end_backends;
	assert_memory_equal(&backends_of[b], never, sizeof(backends_of[0]) * (LB_MAX_BACKENDS - b));
	assert_memory_equal(&image->gen[b], never, sizeof(image->gen[0]) * (LB_MAX_BACKENDS - b));
}

/* Whoever wrote tables that no service has yet is gone, and they with it. */
static inline void sim_forget(struct sim *sim)
{
	for (uint32_t i = 0; i < sim->end_services; i++) {
		free(sim->services[i].pending);
		sim->services[i].pending = NULL;
	}
}

static inline void sim_free(struct sim *sim)
{
	for (uint32_t i = 0; i < sim->end_services; i++) {
		free(sim->services[i].slots);
		free(sim->services[i].pending);
		free(sim->services[i].access);
	}
	free(sim);
}

static inline int sim_compare_access(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct lb_access_image));
}

/* What the maps hold, as an image that shares nothing with the one they were made from. */
static inline struct lb_image *sim_read(const struct sim *sim)
{
	struct lb_image *image = lb_image_new();

	image->features = sim->features;
	image->conf = sim->conf;
	for (uint16_t i = 0; i < sim->end_services; i++) {
		const struct sim_service *from = &sim->services[i];
		struct lb_service_image *s;

		if (!from->line.name_id)
			continue;
		s = image->services[i] = lb_service_image_new();
		s->idx = i;
		s->line = from->line;
		s->shift = from->shift;
		s->slots = malloc(sizeof(*s->slots) << s->shift);
		memcpy(s->slots, from->slots, sizeof(*s->slots) << s->shift);
		s->vips = calloc(sim->nr_vips + 1, sizeof(*s->vips));
		for (size_t v = sim->nr_vips; v--;) {
			if (sim->vips[v].service == i)
				s->vips[s->nr_vips++] = sim->vips[v].vip;
		}
		s->snats = calloc(sim->nr_snats + 1, sizeof(*s->snats));
		for (size_t n = 0; n < sim->nr_snats; n++) {
			if (sim->snats[n].at.service == i)
				s->snats[s->nr_snats++] = sim->snats[n];
		}
		qsort(s->snats, s->nr_snats, sizeof(*s->snats), lb_snat_compare);
		s->cids = calloc(sim->nr_cids + 1, sizeof(*s->cids));
		for (size_t n = 0; n < sim->nr_cids; n++) {
			if (sim->cids[n].cid.service == i)
				s->cids[s->nr_cids++] = sim->cids[n];
		}
		qsort(s->cids, s->nr_cids, sizeof(*s->cids), lb_cid_compare);
	}
	for (uint16_t i = 0; i < sim->end_services; i++) {
		const struct sim_service *from = &sim->services[i];
		struct lb_service_image *s = image->services[i];

		if (!s || !from->nr_access)
			continue;
		s->access = malloc(from->nr_access * sizeof(*s->access));
		s->nr_access = from->nr_access;
		memcpy(s->access, from->access, from->nr_access * sizeof(*s->access));
		qsort(s->access, s->nr_access, sizeof(*s->access), sim_compare_access);
	}
	for (uint32_t b = 0; b < sim->end_backends; b++) {
		struct lb_service_image *s = image->services[sim->backends[b].service];

		image->gen[b] = sim->backends[b].gen;
		if (!s)
			continue;
		s->backends = realloc(s->backends, (s->nr_backends + 1) * sizeof(*s->backends));
		s->backends[s->nr_backends++] = (struct lb_backend_image){(uint16_t)b, sim->backends[b], sim->vlans[b]};
	}
	return image;
}

#endif
