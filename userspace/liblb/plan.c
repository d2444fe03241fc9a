// SPDX-License-Identifier: GPL-2.0-or-later
/* The difference of two images as ordered operations. */
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "pause.h"
#include "plan.h"

#define PAUSE_EVERY 1024 /* services */

/* A service without a table gets the smallest one, all of whose slots are nobody's. */
static const uint32_t nobodys_slots[1U << LB_TABLE_SHIFT_MIN];

struct table {
	const uint32_t *slots;
	unsigned int shift;
};

struct published {
	struct lb_vip_conf vip;
	uint16_t idx;
};

struct published_list {
	struct published *at;
	size_t nr, room;
};

/* What differs: the services to look at, each once, by index. Of a side that lacks the service the pointer is NULL. */
struct pair {
	const struct lb_service_image *old, *new;
};

struct work {
	const struct lb_image *old, *new;
	struct lb_plan *plan;
	size_t room;
	struct pair *pairs;
	size_t nr_pairs;
	struct published_list echoes; /* who answers echo requests in @old, once it is known */
	bool echoes_known;
};

static void *grow(void *array, size_t nr, size_t *room, size_t size)
{
	size_t more = *room ? 2 * *room : 16;

	if (nr < *room)
		return array;
	array = realloc(array, more * size);
	if (array)
		*room = more;
	return array;
}

/* The next operation of the plan, NULL when out of memory. */
static struct lb_op *add_op(struct work *w, enum lb_op_kind kind, uint16_t idx)
{
	struct lb_op *ops = grow(w->plan->ops, w->plan->nr, &w->room, sizeof(*ops)), *op;

	if (!ops)
		return NULL;
	w->plan->ops = ops;
	op = &ops[w->plan->nr++];
	*op = (struct lb_op){.kind = kind, .idx = idx};
	return op;
}

static struct table table_of(const struct lb_service_image *s)
{
	if (s->slots)
		return (struct table){s->slots, s->shift};
	return (struct table){nobodys_slots, LB_TABLE_SHIFT_MIN};
}

static bool same_table(const struct pair *p)
{
	struct table a, b;

	if (!p->old)
		return false;
	a = table_of(p->old);
	b = table_of(p->new);
	return a.shift == b.shift && !memcmp(a.slots, b.slots, sizeof(*a.slots) << a.shift);
}

/* .table of the lines says where a table lies, which is not the plan's business. */
static bool same_line(const struct pair *p)
{
	struct lb_service line;

	if (!p->old)
		return false;
	line = p->old->line;
	line.table = p->new->line.table;
	return !memcmp(&line, &p->new->line, sizeof(line));
}

/* @near: where one would think that it is. */
static const struct lb_backend_image *find_backend(const struct lb_service_image *s, uint16_t idx, size_t near)
{
	size_t low = 0, high = s ? s->nr_backends : 0;

	if (near < high && s->backends[near].idx == idx)
		return &s->backends[near];
	while (low < high) {
		size_t mid = (low + high) / 2;

		if (s->backends[mid].idx == idx)
			return &s->backends[mid];
		if (s->backends[mid].idx < idx)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

static int find_pairs(struct work *w)
{
	w->pairs = malloc(LB_MAX_SERVICES * sizeof(*w->pairs));
	if (!w->pairs)
		return -ENOMEM;
	for (size_t i = 0; i < LB_MAX_SERVICES; i++) {
		const struct lb_service_image *old = w->old ? w->old->services[i] : NULL;
		const struct lb_service_image *new = w->new->services[i];

		if (old != new)
			w->pairs[w->nr_pairs++] = (struct pair){old, new};
	}
	lb_pause();
	return 0;
}

static int plan_conf(struct work *w)
{
	struct lb_op *op;

	if (w->old && !memcmp(&w->old->conf, &w->new->conf, sizeof(w->new->conf)))
		return 0;
	op = add_op(w, LB_OP_CONF, 0);
	if (!op)
		return -ENOMEM;
	op->conf = &w->new->conf;
	return 0;
}

/* @features: what the program is to do from then on. */
static int plan_features(struct work *w, enum lb_op_kind kind, uint32_t features, uint32_t max_conns)
{
	struct lb_op *op = add_op(w, kind, 0);

	if (!op)
		return -ENOMEM;
	op->features = features;
	op->max_conns = max_conns;
	return 0;
}

static int plan_backends_set(struct work *w, const struct pair *p)
{
	for (size_t i = 0; p->new &&i < p->new->nr_backends; i++) {
		const struct lb_backend_image *b = &p->new->backends[i];
		const struct lb_backend_image *before = find_backend(p->old, b->idx, i);
		struct lb_op *op;

		if (before && !memcmp(&before->line, &b->line, sizeof(b->line)) &&
		    !memcmp(&before->vlan, &b->vlan, sizeof(b->vlan)))
			continue;
		op = add_op(w, LB_OP_BACKEND_SET, b->idx);
		if (!op)
			return -ENOMEM;
		op->backend = &b->line;
		op->vlan = &b->vlan;
	}
	return 0;
}

static int add_access(struct work *w, enum lb_op_kind kind, uint16_t idx, const struct lb_access_image *access)
{
	struct lb_op *op = add_op(w, kind, idx);

	if (!op)
		return -ENOMEM;
	op->access = *access;
	return 0;
}

/* Both are sorted, and gone through from the longest prefix to the shortest. */
static int plan_access_set(struct work *w, const struct pair *p)
{
	size_t j = p->old ? p->old->nr_access : 0;
	int ret = 0, order;

	for (size_t i = p->new ? p->new->nr_access : 0; !ret &&i; i--) {
		const struct lb_access_image *a = &p->new->access[i - 1];

		while (j && memcmp(&p->old->access[j - 1], a, LB_ACCESS_IMAGE_KEY) > 0)
			j--;
		order = j ? memcmp(&p->old->access[j - 1], a, sizeof(*a)) : -1;
		if (order)
			ret = add_access(w, LB_OP_ACCESS_SET, p->new->idx, a);
	}
	return ret;
}

static int plan_access_del(struct work *w, const struct pair *p)
{
	size_t nr = p->new ? p->new->nr_access : 0;
	int ret = 0;

	for (size_t i = 0, j = 0; p->old && !ret && i < p->old->nr_access; i++) {
		const struct lb_access_image *a = &p->old->access[i];

		while (j < nr && memcmp(&p->new->access[j], a, LB_ACCESS_IMAGE_KEY) < 0)
			j++;
		if (j == nr || memcmp(&p->new->access[j], a, LB_ACCESS_IMAGE_KEY))
			ret = add_access(w, LB_OP_ACCESS_DEL, p->old->idx, a);
	}
	return ret;
}

static int plan_table_set(struct work *w, const struct pair *p)
{
	struct table t = table_of(p->new);
	struct lb_op *op = add_op(w, LB_OP_TABLE_SET, p->new->idx);

	if (!op)
		return -ENOMEM;
	op->slots = t.slots;
	op->shift = t.shift;
	return 0;
}

static bool answers_echoes(const struct lb_vip_conf *vip)
{
	return vip->vip.proto == IPPROTO_ICMP || vip->vip.proto == IPPROTO_ICMPV6;
}

/* Those of @s that answer echo requests, or the others. */
static int publish(struct published_list *list, const struct lb_service_image *s, bool echoes)
{
	for (size_t i = 0; s && i < s->nr_vips; i++) {
		struct published *at;

		if (answers_echoes(&s->vips[i]) != echoes)
			continue;
		at = grow(list->at, list->nr, &list->room, sizeof(*at));
		if (!at)
			return -ENOMEM;
		list->at = at;
		at[list->nr++] = (struct published){s->vips[i], s->idx};
	}
	return 0;
}

static int compare_published(const void *a, const void *b)
{
	return memcmp(&((const struct published *)a)->vip, &((const struct published *)b)->vip,
		      sizeof(struct lb_vip_conf));
}

static int compare_owned(const void *a, const void *b)
{
	int ret = compare_published(a, b);

	return ret ? ret : ((const struct published *)a)->idx - ((const struct published *)b)->idx;
}

/* Sorted, and each VIP once: what answers echo requests to an address is published by all services that have it, and
 * belongs to the first one. */
static void tidy(struct published_list *list)
{
	size_t nr = 0;

	if (list->nr)
		qsort(list->at, list->nr, sizeof(*list->at), compare_owned);
	for (size_t i = 0; i < list->nr; i++)
		if (!nr || compare_published(&list->at[i], &list->at[nr - 1]))
			list->at[nr++] = list->at[i];
	list->nr = nr;
}

/* Whose it is that answers echo requests depends on services that stay as they are, too. */
static int publish_echoes(const struct lb_image *image, struct published_list *list)
{
	int ret = 0;

	for (uint32_t i = 1; !ret && image && i < LB_MAX_SERVICES; i++) {
		lb_pause_at(i, PAUSE_EVERY);
		ret = publish(list, image->services[i], true);
	}
	return ret;
}

/* Is it @idx that answers echo requests to @vip now? 1 or 0, or -ENOMEM. */
static int owns_echoes(struct work *w, const struct lb_vip_conf *vip, uint16_t idx)
{
	const struct published key = {*vip, idx}, *at;
	int ret = w->echoes_known ? 0 : publish_echoes(w->old, &w->echoes);

	if (ret)
		return ret;
	if (!w->echoes_known)
		tidy(&w->echoes);
	w->echoes_known = true;
	at = w->echoes.nr ? bsearch(&key, w->echoes.at, w->echoes.nr, sizeof(key), compare_published) : NULL;
	return at && at->idx == idx;
}

static int plan_service_set(struct work *w, const struct pair *p)
{
	bool table = p->new && !same_table(p);
	struct lb_op *op;

	if (!p->new || (!table && same_line(p)))
		return 0;
	if (table && plan_table_set(w, p))
		return -ENOMEM;
	op = add_op(w, LB_OP_SERVICE_SET, p->new->idx);
	if (!op)
		return -ENOMEM;
	op->service = &p->new->line;
	/* Its VIPs' lines repeat what it says; those that it is about to lose are its own until then. */
	for (size_t i = 0; p->old && i < p->old->nr_vips; i++) {
		const struct lb_vip_conf *vip = &p->old->vips[i];
		int owns = answers_echoes(vip) ? owns_echoes(w, vip, p->old->idx) : 1;

		op = owns > 0 ? add_op(w, LB_OP_VIP_SET, p->new->idx) : NULL;
		if (owns && !op)
			return -ENOMEM;
		if (op)
			op->vip = *vip;
	}
	return 0;
}

static int plan_service_del(struct work *w, const struct pair *p)
{
	return p->new || add_op(w, LB_OP_SERVICE_DEL, p->old->idx) ? 0 : -ENOMEM;
}

static int plan_backends_del(struct work *w, const struct pair *p)
{
	for (size_t i = 0; p->old && i < p->old->nr_backends; i++) {
		uint16_t idx = p->old->backends[i].idx;
		struct lb_op *op;

		if (find_backend(p->new, idx, i))
			continue;
		op = add_op(w, LB_OP_BACKEND_DEL, idx);
		if (!op)
			return -ENOMEM;
		op->gen = w->new->gen[idx];
		op->owner = p->new ? p->new->idx : 0;
	}
	return 0;
}

/* Of the server IDs of @s those that @other lacks or, where @changed, has with another backend. Both are sorted. */
static int plan_cids(struct work *w, enum lb_op_kind kind, const struct lb_service_image *s,
		     const struct lb_service_image *other, bool changed)
{
	for (size_t i = 0, j = 0; s && i < s->nr_cids; i++) {
		struct lb_op *op;

		while (other && j < other->nr_cids && lb_cid_compare(&other->cids[j], &s->cids[i]) < 0)
			j++;
		if (other && j < other->nr_cids && !lb_cid_compare(&other->cids[j], &s->cids[i]) &&
		    (!changed || other->cids[j].backend == s->cids[i].backend))
			continue;
		op = add_op(w, kind, s->idx);
		if (!op)
			return -ENOMEM;
		op->cid = &s->cids[i];
	}
	return 0;
}

static int plan_cids_set(struct work *w, const struct pair *p)
{
	return plan_cids(w, LB_OP_CID_SET, p->new, p->old, true);
}

static int plan_cids_del(struct work *w, const struct pair *p)
{
	return plan_cids(w, LB_OP_CID_DEL, p->old, p->new, false);
}

/* The same for the addresses of fullnat. */
static int plan_snats(struct work *w, enum lb_op_kind kind, const struct lb_service_image *s,
		      const struct lb_service_image *other, bool changed)
{
	for (size_t i = 0, j = 0; s && i < s->nr_snats; i++) {
		struct lb_op *op;

		while (other && j < other->nr_snats && lb_snat_compare(&other->snats[j], &s->snats[i]) < 0)
			j++;
		if (other && j < other->nr_snats && !lb_snat_compare(&other->snats[j], &s->snats[i]) &&
		    (!changed || !memcmp(&other->snats[j], &s->snats[i], sizeof(s->snats[i]))))
			continue;
		op = add_op(w, kind, s->idx);
		if (!op)
			return -ENOMEM;
		op->snat = &s->snats[i];
	}
	return 0;
}

static int plan_snats_set(struct work *w, const struct pair *p)
{
	return plan_snats(w, LB_OP_SNAT_SET, p->new, p->old, true);
}

static int plan_snats_del(struct work *w, const struct pair *p)
{
	return plan_snats(w, LB_OP_SNAT_DEL, p->old, p->new, false);
}

static int plan_each(struct work *w, int (*step)(struct work *w, const struct pair *p))
{
	for (size_t i = 0; i < w->nr_pairs; i++) {
		int ret = step(w, &w->pairs[i]);

		lb_pause();
		if (ret)
			return ret;
	}
	return 0;
}

static int add_vip(struct work *w, enum lb_op_kind kind, const struct published *p)
{
	struct lb_op *op = add_op(w, kind, p->idx);

	if (!op)
		return -ENOMEM;
	op->vip = p->vip;
	return 0;
}

/* Those of @a that @b lacks or, where @moved, has with another service. Both are sorted. */
static int plan_vips(struct work *w, enum lb_op_kind kind, const struct published_list *a,
		     const struct published_list *b, bool moved)
{
	for (size_t i = 0, j = 0; i < a->nr; i++) {
		int ret;

		while (j < b->nr && compare_published(&b->at[j], &a->at[i]) < 0)
			j++;
		if (j < b->nr && !compare_published(&b->at[j], &a->at[i]) && (!moved || b->at[j].idx == a->at[i].idx))
			continue;
		ret = add_vip(w, kind, &a->at[i]);
		if (ret)
			return ret;
	}
	return 0;
}

static bool has_echoes(const struct lb_service_image *s)
{
	for (size_t i = s ? s->nr_vips : 0; i; i--) /* they are behind the others */
		if (answers_echoes(&s->vips[i - 1]))
			return true;
	return false;
}

/* May it change which addresses' echo requests are answered, or who does? */
static bool changes_echoes(const struct pair *p)
{
	const struct lb_service_image *a = p->old, *b = p->new;

	if (a && b && a->nr_vips == b->nr_vips && !memcmp(a->vips, b->vips, a->nr_vips * sizeof(*a->vips)))
		return false;
	return has_echoes(a) || has_echoes(b);
}

/* A VIP that goes from one service to another is set once and never missing. */
static int plan_all_vips(struct work *w)
{
	struct published_list old = {0}, new = {0};
	bool echoes = false;
	int ret = 0;

	for (size_t i = 0; !ret && i < w->nr_pairs; i++) {
		lb_pause();
		echoes |= changes_echoes(&w->pairs[i]);
		ret = publish(&old, w->pairs[i].old, false);
		if (!ret)
			ret = publish(&new, w->pairs[i].new, false);
	}
	if (!ret && echoes)
		ret = publish_echoes(w->old, &old) ?: publish_echoes(w->new, &new);
	if (!ret) {
		tidy(&old);
		lb_pause();
		tidy(&new);
		lb_pause();
		ret = plan_vips(w, LB_OP_VIP_SET, &new, &old, true);
	}
	if (!ret)
		ret = plan_vips(w, LB_OP_VIP_DEL, &old, &new, false);
	free(old.at);
	free(new.at);
	return ret;
}

int lb_plan_make(const struct lb_image *old, const struct lb_image *new, struct lb_plan *plan)
{
	struct work w = {.old = old, .new = new, .plan = plan};
	uint32_t before = old ? old->features : 0, both = before | new->features;
	uint32_t conns = old ? old->conf.max_conns : 0;
	bool resized = new->features & LB_HAS_NAT && conns != new->conf.max_conns;
	int ret;

	*plan = (struct lb_plan){0};
	ret = find_pairs(&w);
	if (!ret && (both != before || resized))
		ret = plan_features(&w, LB_OP_FEATURES_ADD, both, resized ? new->conf.max_conns : conns);
	if (!ret)
		ret = plan_conf(&w);
	if (!ret)
		ret = plan_each(&w, plan_backends_set);
	if (!ret)
		ret = plan_each(&w, plan_cids_set);
	if (!ret)
		ret = plan_each(&w, plan_snats_set);
	if (!ret)
		ret = plan_each(&w, plan_access_set);
	if (!ret)
		ret = plan_each(&w, plan_service_set);
	if (!ret)
		ret = plan_all_vips(&w);
	if (!ret)
		ret = plan_each(&w, plan_access_del);
	if (!ret)
		ret = plan_each(&w, plan_service_del);
	if (!ret)
		ret = plan_each(&w, plan_cids_del);
	if (!ret)
		ret = plan_each(&w, plan_snats_del);
	if (!ret)
		ret = plan_each(&w, plan_backends_del);
	if (!ret && both != new->features)
		ret = plan_features(&w, LB_OP_FEATURES_SET, new->features, new->conf.max_conns);
	free(w.pairs);
	free(w.echoes.at);
	if (ret)
		lb_plan_fini(plan);
	return ret;
}

void lb_plan_fini(struct lb_plan *plan)
{
	free(plan->ops);
	*plan = (struct lb_plan){0};
}
