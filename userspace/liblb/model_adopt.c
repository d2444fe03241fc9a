// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Maps that are in use become services that the first configuration is compared with, as if they had been configured.
 * They may be what a daemon left half done: what names another service's backend is nobody's.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "model_priv.h"

static int by_address(const void *a, const void *b)
{
	return memcmp(&((const struct lb_model_backend *)a)->conf.address,
		      &((const struct lb_model_backend *)b)->conf.address, sizeof(struct lb_endpoint));
}

static int by_name_id(const void *a, const void *b)
{
	const struct lb_service_entry *x = *(struct lb_service_entry *const *)a;
	const struct lb_service_entry *y = *(struct lb_service_entry *const *)b;

	if (x->pub.name_id != y->pub.name_id)
		return x->pub.name_id < y->pub.name_id ? -1 : 1;
	return 0;
}

/* The next hop as it is in the line; its other source addresses are not there to be read. */
static struct lb_next_hop next_hop_of(const struct lb_backend_image *image)
{
	const struct lb_backend *line = &image->line;
	struct lb_next_hop nh = {
		.mtu = line->mtu, .ifindex = line->oif, .redirect = line->flags & LB_BACKEND_F_REDIRECT};

	if (line->flags & LB_BACKEND_F_TAGGED) {
		nh.vlan = image->vlan;
		nh.redirect = image->vlan.flags & LB_VLAN_F_REDIRECT;
	}
	memcpy(nh.dmac, line->dmac, sizeof(nh.dmac));
	memcpy(nh.smac, line->smac, sizeof(nh.smac));
	if (line->src_plen == 128)
		memcpy(line->flags & LB_BACKEND_F_V4 ? nh.source4 : nh.source6, line->src, sizeof(line->src));
	return nh;
}

/* Not what is alive: one that is down may be, where connections are kept or in a panic, and one that was never checked
 * is. */
static enum lb_health adopt_health(uint8_t flags)
{
	switch (flags & LB_BACKEND_F_HEALTH) {
	case LB_BACKEND_F_UP:
		return LB_HEALTH_UP;
	case LB_BACKEND_F_DOWN:
		return LB_HEALTH_DOWN;
	case LB_BACKEND_F_UNKNOWN:
		return LB_HEALTH_UNKNOWN;
	default:
		return flags & LB_BACKEND_F_ALIVE ? LB_HEALTH_UP : LB_HEALTH_UNKNOWN;
	}
}

static uint32_t adopt_word(const struct lb_ids *ids, uint16_t service, uint32_t word)
{
	uint16_t prev = LB_SLOT_PREV(word), cur = LB_SLOT_CUR(word);

	if (ids->service_of[cur] != service)
		cur = 0;
	if (LB_SLOT_PHASE(word) == LB_PHASE_STABLE)
		return LB_SLOT(LB_PHASE_STABLE, 0, cur);
	if (LB_SLOT_PHASE(word) == LB_PHASE_MOVING && ids->service_of[prev] == service)
		return LB_SLOT(LB_PHASE_MOVING, prev, cur);
	return LB_SLOT(LB_PHASE_SETTLING, 0, cur);
}

static int adopt_slots(const struct lb_ids *ids, const struct lb_service_image *from, struct lb_service_entry *s)
{
	if (!from->slots || !from->idx || from->shift < LB_TABLE_SHIFT_MIN || from->shift > LB_TABLE_SHIFT_MAX)
		return 0;
	s->pub.slots = lb_slots_new(from->shift);
	if (!s->pub.slots)
		return -ENOMEM;
	for (size_t i = 0; i < 1UL << from->shift; i++)
		s->pub.slots->word[i] = adopt_word(ids, from->idx, from->slots[i]);
	return 0;
}

static int adopt_service(struct lb_ids *ids, const struct lb_service_image *from, struct lb_service_entry **out)
{
	struct lb_service_entry *s = lb_service_entry_new(from->nr_backends);

	*out = s;
	if (!s)
		return -ENOMEM;
	s->pub.idx = from->idx;
	s->pub.name_id = from->line.name_id;
	s->pub.conf.nr_backends = from->nr_backends;
	for (size_t i = 0; i < from->nr_backends; i++) {
		const struct lb_backend *line = &from->backends[i].line;
		struct lb_model_backend *b = &s->pub.backends[i];

		b->idx = from->backends[i].idx;
		b->gen = line->gen;
		memcpy(b->conf.address.addr, line->addr, sizeof(line->addr));
		b->conf.address.port = line->port;
		b->conf.weight = line->weight; /* as it counted */
		b->health = adopt_health(line->flags);
		b->next_hop = next_hop_of(&from->backends[i]);
		ids->alive[b->idx] = line->flags & LB_BACKEND_F_ALIVE;
		ids->service_of[b->idx] = s->pub.idx;
	}
	qsort(s->pub.backends, from->nr_backends, sizeof(*s->pub.backends), by_address);
	return adopt_slots(ids, from, s);
}

static void take_out(struct lb_pool *p, const bool *used)
{
	for (uint32_t nr = p->nr; nr; nr--) {
		uint16_t idx = lb_pool_get(p);

		if (!used[idx])
			lb_pool_put(p, idx);
	}
}

static void reserve_ids(struct lb_model *m, const struct lb_image *found, bool *used)
{
	memset(used, 0, LB_MAX_BACKENDS * sizeof(*used));
	for (uint32_t i = 0; i < LB_MAX_SERVICES; i++)
		used[i] = found->services[i];
	take_out(&m->ids.services, used);
	memset(used, 0, LB_MAX_BACKENDS * sizeof(*used));
	for (uint32_t i = 0; i < LB_MAX_SERVICES; i++) {
		for (size_t j = 0; found->services[i] && j < found->services[i]->nr_backends; j++)
			used[found->services[i]->backends[j].idx] = true;
	}
	take_out(&m->ids.backends, used);
}

int lb_model_adopt(struct lb_model *m, const struct lb_image *found)
{
	bool *used = malloc(LB_MAX_BACKENDS * sizeof(*used));
	struct lb_service_entry **list = calloc(LB_MAX_SERVICES, sizeof(*list));
	size_t nr = 0;
	int ret = 0;

	if (!used || !list)
		ret = -ENOMEM;
	for (uint32_t i = 0; !ret && i < LB_MAX_SERVICES; i++) {
		if (found->services[i])
			ret = adopt_service(&m->ids, found->services[i], &list[nr++]);
	}
	if (ret) {
		for (size_t i = 0; i < nr; i++)
			lb_service_entry_free(list[i]);
		free(list);
		free(used);
		memset(m->ids.alive, 0, sizeof(m->ids.alive));
		memset(m->ids.service_of, 0, sizeof(m->ids.service_of));
		return ret;
	}
	reserve_ids(m, found, used);
	memcpy(m->ids.gen, found->gen, sizeof(m->ids.gen));
	memcpy(m->hash_key, found->conf.hash_key, sizeof(m->hash_key));
	qsort(list, nr, sizeof(*list), by_name_id);
	m->found = list;
	m->nr_found = nr;
	free(used);
	return 0;
}
