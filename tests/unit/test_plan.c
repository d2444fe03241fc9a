// SPDX-License-Identifier: GPL-2.0-or-later
/* Plans: their order, that no step leaves packets with half an update, and that they lead to the image. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "plan_sim.h"
#include "random.h"

#define SERVICES 7
#define BACKENDS 40
#define VIPS 12
#define ACCESS_MAX 7
#define SOURCE_BITS 5 /* that sources differ in */

/* What images are made from. Index 0 of each is not used. */
struct wish {
	uint32_t features;
	struct lb_conf conf;
	bool used[SERVICES], changed[SERVICES];
	uint32_t flags[SERVICES];
	uint32_t *slots[SERVICES]; /* NULL: no table */
	unsigned int shift[SERVICES];
	struct lb_backend backends[BACKENDS];
	struct lb_access_image access[SERVICES][ACCESS_MAX + 1];
	size_t nr_access[SERVICES]; /* 0: everybody may come in */
	uint16_t vip_service[VIPS]; /* 0: not published */
};

/* Some have every port, some are prefixes, of one another even. */
static struct lb_vip_conf vip_of(uint32_t n)
{
	struct lb_vip_conf v = {.vip = {.port = (__be16)(n % 4 ? n + 1 : 0), .proto = 6}, .plen = 128};

	if (n % 5)
		v.vip.addr[15] = (uint8_t)n;
	else
		v.plen = (uint8_t)(120 - n);
	return v;
}

static void remove_backend(struct wish *w, uint16_t b)
{
	uint8_t gen = w->backends[b].gen + 1;

	w->changed[w->backends[b].service] = true;
	w->backends[b] = (struct lb_backend){.gen = gen};
}

/* New slots of the backends that the service has. */
static void fill_slots(struct wish *w, uint16_t s)
{
	uint16_t own[BACKENDS], nr = 0;

	for (uint16_t b = 1; b < BACKENDS; b++) {
		if (w->backends[b].service == s)
			own[nr++] = b;
	}
	free(w->slots[s]);
	w->slots[s] = NULL;
	if (!nr && below(2))
		return;
	w->shift[s] = 4 + below(3);
	w->slots[s] = calloc(1UL << w->shift[s], sizeof(uint32_t));
	for (uint32_t i = 0; nr && i < 1U << w->shift[s]; i++)
		w->slots[s][i] = LB_SLOT(below(2), below(2) ? own[below(nr)] : 0, own[below(nr)]);
}

/* Some of the prefixes change, or all; the shortest is everybody's. */
static void change_access(struct wish *w, uint16_t s)
{
	struct lb_access_image *list = w->access[s];

	w->nr_access[s] = below(3) ? 1 + below(ACCESS_MAX) : 0;
	for (size_t i = 0; i < w->nr_access[s]; i++) {
		uint32_t bits = i ? 1 + below(SOURCE_BITS) : 0;

		if (i && below(2) && list[i].plen)
			continue;
		list[i] = (struct lb_access_image){.plen = (uint8_t)(128 - SOURCE_BITS + bits),
						   .verdict = (uint8_t)(1 + below(2))};
		list[i].addr[15] = (uint8_t)(below(1 << bits) << (SOURCE_BITS - bits));
	}
	w->changed[s] = true;
}

/* As an image has it: sorted, and each prefix once. */
static void image_access(struct lb_service_image *s, const struct lb_access_image *list, size_t nr)
{
	s->access = calloc(nr + 1, sizeof(*s->access));
	for (size_t i = 0; i < nr; i++) {
		bool twice = false;

		for (size_t k = 0; k < s->nr_access; k++)
			twice |= !memcmp(&s->access[k], &list[i], LB_ACCESS_IMAGE_KEY);
		if (!twice)
			s->access[s->nr_access++] = list[i];
	}
	qsort(s->access, s->nr_access, sizeof(*s->access), sim_compare_access);
	if (nr)
		s->line.flags |= LB_SERVICE_F_ACCESS;
}

/* At no time is a source treated as neither the old image says nor the new one. */
static void check_access(const struct sim *sim, const struct lb_image *old, const struct lb_image *new)
{
	for (uint16_t s = 1; s < SERVICES; s++) {
		const struct lb_service_image *was = old ? old->services[s] : NULL, *will = new->services[s];
		const struct sim_service *is = &sim->services[s];

		for (uint8_t i = 0; was && will && i < 1 << SOURCE_BITS; i++) {
			const uint8_t source[16] = {[15] = i};
			int verdict = sim_verdict(&is->line, is->access, is->nr_access, source);

			assert_true(verdict == sim_verdict(&was->line, was->access, was->nr_access, source) ||
				    verdict == sim_verdict(&will->line, will->access, will->nr_access, source));
		}
	}
}

/* Services and backends come, change and go; what goes leaves its index free only from the next time on. */
static void mutate(struct wish *w)
{
	bool service_was[SERVICES], backend_was[BACKENDS];

	memcpy(service_was, w->used, sizeof(service_was));
	memset(w->changed, 0, sizeof(w->changed));
	for (uint16_t b = 0; b < BACKENDS; b++)
		backend_was[b] = w->backends[b].service;
	if (!below(10))
		w->conf.hash_key[0]++;
	if (!below(5))
		w->features = below(LB_HAS_ALL + 1);
	for (uint16_t s = 1; s < SERVICES; s++) {
		if (w->used[s] ? !below(6) : !below(2)) {
			w->used[s] = !w->used[s];
			w->changed[s] = true;
			w->flags[s] = below(4);
		}
		if (w->used[s] && !below(8)) {
			w->flags[s] = below(4);
			w->changed[s] = true;
		}
	}
	for (uint16_t b = 1; b < BACKENDS; b++) {
		uint16_t s = (uint16_t)(1 + below(SERVICES - 1));

		if (backend_was[b] && (!w->used[w->backends[b].service] || !below(8))) {
			remove_backend(w, b);
		} else if (!backend_was[b] && w->used[s] && !below(4)) {
			w->backends[b].service = s;
			w->backends[b].addr[15] = (uint8_t)below(256);
			w->changed[s] = true;
		} else if (backend_was[b] && !below(8)) {
			w->backends[b].mtu = (uint16_t)below(9000);
			w->changed[w->backends[b].service] = true;
		}
	}
	for (uint16_t s = 1; s < SERVICES; s++) {
		if (w->used[s] && !below(4))
			change_access(w, s);
	}
	for (uint16_t s = 1; s < SERVICES; s++) {
		if (w->used[s] && (w->changed[s] || !below(8))) {
			w->changed[s] = true;
			fill_slots(w, s);
		}
	}
	for (uint16_t v = 0; v < VIPS; v++) {
		uint16_t before = w->vip_service[v], s = (uint16_t)below(SERVICES);

		if (w->used[before] && below(4))
			continue;
		w->vip_service[v] = w->used[s] ? s : 0;
		w->changed[before] = w->changed[w->vip_service[v]] = true;
	}
}

static struct lb_service_image *service_image(const struct wish *w, uint16_t idx)
{
	struct lb_service_image *s = lb_service_image_new();

	s->idx = idx;
	s->line.name_id = idx * 1000u;
	s->line.flags = w->flags[idx];
	s->shift = w->shift[idx];
	if (w->slots[idx]) {
		s->slots = malloc(sizeof(*s->slots) << s->shift);
		memcpy(s->slots, w->slots[idx], sizeof(*s->slots) << s->shift);
	}
	image_access(s, w->access[idx], w->nr_access[idx]);
	s->vips = calloc(VIPS, sizeof(*s->vips));
	s->backends = calloc(BACKENDS, sizeof(*s->backends));
	s->cids = calloc(BACKENDS, sizeof(*s->cids));
	for (uint64_t b = 1; b < BACKENDS; b++) {
		if (w->backends[b].service == idx && w->flags[idx])
			s->cids[s->nr_cids++] = (struct lb_cid_image){
				.cid = {.server_id = b ^ w->flags[idx], .service = idx}, .backend = b};
	}
	qsort(s->cids, s->nr_cids, sizeof(*s->cids), lb_cid_compare);
	for (uint32_t v = 0; v < VIPS; v++) {
		if (w->vip_service[v] == idx)
			s->vips[s->nr_vips++] = vip_of(v);
	}
	for (uint16_t b = 1; b < BACKENDS; b++) {
		if (w->backends[b].service == idx)
			s->backends[s->nr_backends++] = (struct lb_backend_image){.idx = b, .line = w->backends[b]};
	}
	return s;
}

/* Services that did not change are shared with @old. */
static struct lb_image *image_of(const struct wish *w, const struct lb_image *old)
{
	struct lb_image *image = lb_image_new();

	image->features = w->features;
	image->conf = w->conf;
	for (uint16_t s = 1; s < SERVICES; s++) {
		if (w->used[s] && old && !w->changed[s])
			image->services[s] = lb_service_image_get(old->services[s]);
		else if (w->used[s])
			image->services[s] = service_image(w, s);
	}
	for (uint16_t b = 0; b < BACKENDS; b++)
		image->gen[b] = w->backends[b].gen;
	return image;
}

static const struct lb_service_image *service_with(const struct lb_image *image, const struct lb_vip_conf *vip)
{
	for (uint16_t s = 1; image && s < SERVICES; s++) {
		for (size_t v = 0; image->services[s] && v < image->services[s]->nr_vips; v++) {
			if (!memcmp(&image->services[s]->vips[v], vip, sizeof(*vip)))
				return image->services[s];
		}
	}
	return NULL;
}

/* A VIP that is in both images is published all the time. */
static void check_vips(struct sim *sim, const struct lb_image *old, const struct lb_image *new)
{
	for (uint32_t v = 0; v < VIPS; v++) {
		struct lb_vip_conf vip = vip_of(v);

		if (service_with(old, &vip) && service_with(new, &vip))
			assert_non_null(sim_vip(sim, &vip));
	}
}

static void expect_empty(const struct lb_image *a, const struct lb_image *b)
{
	struct lb_plan plan;

	assert_int_equal(lb_plan_make(a, b, &plan), 0);
	assert_int_equal(plan.nr, 0);
	lb_plan_fini(&plan);
}

/* Kinds come in order, but for tables and the VIPs that a service has already: a table is directly before its service,
 * those VIPs are directly behind it. */
static void check_order(const struct lb_plan *plan, size_t i)
{
	const struct lb_op *op = &plan->ops[i], *owner = op;
	bool services = op->kind == LB_OP_TABLE_SET || op->kind == LB_OP_SERVICE_SET;

	if (op->kind == LB_OP_TABLE_SET)
		assert_true(i + 1 < plan->nr && op[1].kind == LB_OP_SERVICE_SET && op[1].idx == op->idx);
	if (!i)
		return;
	if (!services || op[-1].kind != LB_OP_VIP_SET) {
		assert_true(op[-1].kind <= op->kind || (services && op[-1].kind == LB_OP_SERVICE_SET));
		return;
	}
	for (owner = op - 1; owner->kind == LB_OP_VIP_SET; owner--)
		assert_int_equal(owner->idx, op[-1].idx);
	assert_true(owner->kind == LB_OP_SERVICE_SET && owner->idx == op[-1].idx);
}

/* After an operation on @idx's table, and the VIPs behind it, no line of a VIP repeats what the service was. */
static void check_repeats(const struct lb_plan *plan, size_t i, const struct lb_image *old)
{
	const struct lb_op *op = &plan->ops[i];
	const struct lb_service_image *s = old ? old->services[op->idx] : NULL;

	if (op->kind != LB_OP_SERVICE_SET || !s)
		return;
	for (size_t nr = 1; nr <= s->nr_vips; nr++)
		assert_true(i + nr < plan->nr && op[nr].kind == LB_OP_VIP_SET && op[nr].idx == op->idx &&
			    !memcmp(&op[nr].vip, &s->vips[nr - 1], sizeof(op->vip)));
}

static void test_random_images(void **state)
{
	struct sim *sim = calloc(1, sizeof(*sim));
	struct wish w = {0};
	struct lb_image *old = NULL;
	size_t seen[LB_OP_FEATURES_SET + 1] = {0};

	for (int round = 0; round < 500; round++) {
		struct lb_image *new, *read;
		struct lb_plan plan;

		mutate(&w);
		new = image_of(&w, old);
		assert_int_equal(lb_plan_make(old, new, &plan), 0);
		for (size_t i = 0; i < plan.nr; i++) {
			check_order(&plan, i);
			check_repeats(&plan, i, old);
			seen[plan.ops[i].kind]++;
			sim_do(sim, &plan.ops[i]);
			sim_check(sim);
			check_vips(sim, old, new);
			check_access(sim, old, new);
		}
		lb_plan_fini(&plan);
		sim_expect(sim, new);
		expect_empty(new, new);
		/* What is read back shares nothing and has its VIPs in another order: still nothing to do. */
		read = sim_read(sim);
		expect_empty(read, new);
		lb_image_free(read);
		lb_image_free(old);
		old = new;
	}
	for (int kind = 0; kind <= LB_OP_FEATURES_SET; kind++)
		assert_true(seen[kind] > 20);
	lb_image_free(old);
	for (int s = 0; s < SERVICES; s++)
		free(w.slots[s]);
	sim_free(sim);
}

/* One backend changes a field: one operation, and a table only where slots differ. */
static void test_least(void **state)
{
	struct wish w = {.used[1] = true, .used[2] = true, .vip_service[0] = 1};
	struct lb_image *old, *new;
	struct lb_plan plan;

	w.backends[1].service = w.backends[2].service = 1;
	w.slots[1] = calloc(16, sizeof(uint32_t));
	w.slots[1][3] = LB_SLOT(LB_PHASE_STABLE, 0, 2);
	w.shift[1] = 4;
	old = image_of(&w, NULL);
	w.backends[2].mtu = 1500;
	new = image_of(&w, NULL);
	assert_int_equal(lb_plan_make(old, new, &plan), 0);
	assert_int_equal(plan.nr, 1);
	assert_int_equal(plan.ops[0].kind, LB_OP_BACKEND_SET);
	assert_int_equal(plan.ops[0].idx, 2);
	assert_int_equal(plan.ops[0].backend->mtu, 1500);
	lb_plan_fini(&plan);
	lb_image_free(old);
	old = new;
	w.slots[1][3] = LB_SLOT(LB_PHASE_MOVING, 2, 1);
	new = image_of(&w, NULL);
	assert_int_equal(lb_plan_make(old, new, &plan), 0);
	assert_int_equal(plan.nr, 3);
	assert_int_equal(plan.ops[0].kind, LB_OP_TABLE_SET);
	assert_int_equal(plan.ops[0].slots[3], LB_SLOT(LB_PHASE_MOVING, 2, 1));
	assert_int_equal(plan.ops[1].kind, LB_OP_SERVICE_SET);
	assert_int_equal(plan.ops[2].kind, LB_OP_VIP_SET);
	lb_plan_fini(&plan);
	lb_image_free(old);
	lb_image_free(new);
	free(w.slots[1]);
}

static void test_backend_del(void **state)
{
	struct wish w = {.used[1] = true, .used[2] = true};
	struct lb_image *old, *new;
	struct lb_plan plan;

	w.backends[5].service = 1;
	w.backends[6].service = 2;
	old = image_of(&w, NULL);
	remove_backend(&w, 5);
	remove_backend(&w, 6);
	w.used[2] = false;
	new = image_of(&w, NULL);
	assert_int_equal(lb_plan_make(old, new, &plan), 0);
	assert_int_equal(plan.nr, 3);
	assert_int_equal(plan.ops[0].kind, LB_OP_SERVICE_DEL);
	assert_int_equal(plan.ops[0].idx, 2);
	assert_int_equal(plan.ops[1].idx, 5);
	assert_int_equal(plan.ops[1].owner, 1);
	assert_int_equal(plan.ops[1].gen, 1);
	assert_int_equal(plan.ops[2].idx, 6);
	assert_int_equal(plan.ops[2].owner, 0);
	lb_plan_fini(&plan);
	lb_image_free(old);
	lb_image_free(new);
}

/* Copies share services, which live as long as the last of them. */
static void test_references(void **state)
{
	struct wish w = {.used[1] = true};
	struct lb_image *a = image_of(&w, NULL), *b = lb_image_copy(a);

	assert_ptr_equal(a->services[1], b->services[1]);
	assert_int_equal(a->services[1]->refs, 2);
	expect_empty(a, b);
	lb_image_free(a);
	assert_int_equal(b->services[1]->refs, 1);
	lb_image_free(b);
	lb_image_free(NULL);
	lb_service_image_put(NULL);
}

/* What answers echo requests to an address is published by several services, and is there while one of them is: the
 * first one's, as whoever reads the maps and compares finds it, too. */
static void test_shared(void **state)
{
	struct sim *sim = calloc(1, sizeof(*sim));
	struct wish w = {.used[1] = true, .used[2] = true, .used[3] = true};
	struct lb_image *old = NULL;
	struct lb_vip_conf vip = {.vip = {.addr[15] = 7, .proto = 1}, .plen = 128};
	/* who wants it */
	static const unsigned int want[] = {
		0,	1 << 1,		 1 << 1 | 1 << 2,	   1 << 2, 1 << 2 | 1 << 3, 1 << 2 | 1 << 3 | 1 << 1,
		1 << 3, 1 << 3 | 1 << 1, 1 << 1 | 1 << 2 | 1 << 3, 1 << 2, 1 << 2 | 1 << 1, 0};

	for (size_t round = 0; round < sizeof(want) / sizeof(want[0]); round++) {
		struct lb_image *new = lb_image_new();
		const struct sim_vip *got;
		struct lb_plan plan;

		for (uint16_t s = 1; s <= 3; s++) {
			bool was = round && want[round - 1] >> s & 1, is = want[round] >> s & 1;

			bool stays = old && was == is && s != 2; /* that one's line changes all the time */

			new->services[s] = stays ? lb_service_image_get(old->services[s]) : service_image(&w, s);
			if (s == 2)
				new->services[s]->line.mss = (uint16_t)(1000 + round);
			if (is && !stays)
				new->services[s]->vips[new->services[s]->nr_vips++] = vip;
		}
		assert_int_equal(lb_plan_make(old, new, &plan), 0);
		for (size_t i = 0; i < plan.nr; i++) {
			sim_do(sim, &plan.ops[i]);
			if (round && want[round - 1] && want[round])
				assert_non_null(sim_vip(sim, &vip));
		}
		lb_plan_fini(&plan);
		got = sim_vip(sim, &vip);
		assert_int_equal(!!got, !!want[round]);
		assert_true(!got || got->service == __builtin_ctz(want[round]));
		expect_empty(new, new);
		lb_image_free(old);
		old = new;
	}
	lb_image_free(old);
	sim_free(sim);
}

static void test_name_id(void **state)
{
	/* From the FNV reference's test vectors. */
	assert_true(lb_name_id("") == 0xcbf29ce484222325);
	assert_true(lb_name_id("a") == 0xaf63dc4c8601ec8c);
	assert_true(lb_name_id("foobar") == 0x85944171f73967e8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_images), cmocka_unit_test(test_least),
		cmocka_unit_test(test_backend_del),   cmocka_unit_test(test_references),
		cmocka_unit_test(test_name_id),	      cmocka_unit_test(test_shared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
