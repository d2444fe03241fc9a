/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A model with one service, "web", for the model's tests. Included after cmocka.h. */
#ifndef MODEL_WEB_H
#define MODEL_WEB_H

#include "lb/dp/flow.h"
#include "model_conf.h"
#include "plan.h"

#define WEB "web"

static struct lb_err err __attribute__((unused));

/* A service "web" of @nr backends, 10.0.0.1 and on. */
static inline struct lb_config *web(size_t nr, enum lb_check_type check)
{
	struct lb_config *c = conf_new();

	conf_service(c, WEB, check);
	for (uint32_t i = 1; i <= nr; i++)
		conf_backend(c, WEB, i);
	return c;
}

/* With a network that reaches all. */
static inline void apply(struct lb_model *m, const struct lb_config *c, uint32_t now_s)
{
	assert_int_equal(lb_model_apply(m, c, now_s, &err), 0);
	conf_reach(m, now_s);
	lb_image_free(lb_model_image(m)); /* what follows is worked out here */
}

static inline const struct lb_model_backend *backend(const struct lb_model *m, const char *service, uint32_t n)
{
	const struct lb_model_service *s = lb_model_service(m, service);
	struct lb_endpoint ep = conf_ep(n);

	return &s->backends[lb_service_conf_backend(&s->conf, &ep) - s->conf.backends];
}

static inline int health(struct lb_model *m, uint32_t n, enum lb_health h, uint32_t now_s)
{
	struct lb_endpoint ep = conf_ep(n);
	int ret = lb_model_set_health(m, WEB, &ep, h, now_s);

	lb_image_free(lb_model_image(m)); /* what follows is worked out here */
	return ret;
}

/* The line of backend @n of "web" in an image of now. */
static inline struct lb_backend line(struct lb_model *m, uint32_t n)
{
	const struct lb_model_service *s = lb_model_service(m, WEB);
	uint16_t idx = backend(m, WEB, n)->idx;
	struct lb_image *image = lb_model_image(m);
	struct lb_backend found = {0};

	for (size_t i = 0; i < image->services[s->idx]->nr_backends; i++) {
		if (image->services[s->idx]->backends[i].idx == idx)
			found = image->services[s->idx]->backends[i].line;
	}
	assert_int_equal(found.gen, image->gen[idx]);
	lb_image_free(image);
	/* What the checks found changes nothing for packets; test_adopt_health.c looks at it. */
	found.flags &= (uint8_t)~LB_BACKEND_F_HEALTH;
	return found;
}

static inline size_t in_phase(const struct lb_model *m, enum lb_phase phase)
{
	size_t count[3];

	lb_slots_count(lb_model_service(m, WEB)->slots, count);
	return count[phase];
}

static inline size_t plan_size(const struct lb_image *a, const struct lb_image *b)
{
	struct lb_plan plan;
	size_t nr;

	assert_int_equal(lb_plan_make(a, b, &plan), 0);
	nr = plan.nr;
	lb_plan_fini(&plan);
	return nr;
}

#endif
