// SPDX-License-Identifier: GPL-2.0-or-later
/* Do the maps hold what they should? What they do not is written anew, and told. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "control.h"
#include "control_priv.h"
#include "log.h"

#define ROUNDS 3 /* a line that names another service's index takes two: it is that one's to remove first */

static void found(struct lb_control *c, struct lb_verification *v, const char *what)
{
	lb_log(LB_LOG_WARN, "msg=\"the dataplane was not as it should be; repaired\" what=%s", lb_quoted(what));
	if (v->differences < LB_VERIFY_TOLD)
		snprintf(v->what[v->differences], sizeof(v->what[0]), "%s", what);
	v->differences++;
	c->repairs++;
}

struct finding {
	struct lb_control *c;
	struct lb_verification *v;
};

static void on_mended(void *ctx, const char *what)
{
	struct finding *f = ctx;

	found(f->c, f->v, what);
}

static const char *service_name(const struct lb_control *c, uint16_t idx)
{
	const struct lb_model_service *const *list;
	size_t nr = lb_model_services(c->model, &list);

	for (size_t i = 0; i < nr; i++)
		if (list[i]->idx == idx)
			return list[i]->conf.name;
	return "?";
}

static bool has_vip(const struct lb_service_image *s, const struct lb_vip_conf *vip)
{
	for (size_t i = 0; s && i < s->nr_vips; i++)
		if (!memcmp(&s->vips[i], vip, sizeof(*vip)))
			return true;
	return false;
}

static void describe_backend(const struct lb_control *c, const struct lb_backend *line, char *what, size_t size)
{
	struct lb_endpoint ep = {.port = line->port};
	char text[LB_ADDR_STRLEN];

	memcpy(ep.addr, line->addr, sizeof(ep.addr));
	snprintf(what, size, "backend %s of service %s", lb_endpoint_format(&ep, text), service_name(c, line->service));
}

/* What operation @i of @plan puts right; false: it only follows from another one. */
static bool describe(const struct lb_control *c, const struct lb_image *old, const struct lb_plan *plan, size_t i,
		     char *what, size_t size)
{
	const struct lb_op *op = &plan->ops[i];
	char text[LB_ADDR_STRLEN];

	switch (op->kind) {
	case LB_OP_FEATURES_ADD:
	case LB_OP_FEATURES_SET:
		snprintf(what, size, "what the program does");
		return true;
	case LB_OP_CONF:
		snprintf(what, size, "the hash key and limits");
		return true;
	case LB_OP_BACKEND_SET:
		describe_backend(c, op->backend, what, size);
		return true;
	case LB_OP_CID_SET:
	case LB_OP_CID_DEL:
		snprintf(what, size, "a server ID of service %s", service_name(c, op->idx));
		return true;
	case LB_OP_ACCESS_SET:
	case LB_OP_ACCESS_DEL:
		snprintf(what, size, "who may come in to service %s", service_name(c, op->idx));
		return true;
	case LB_OP_SNAT_SET:
	case LB_OP_SNAT_DEL:
		snprintf(what, size, "a source address of service %s", service_name(c, op->idx));
		return true;
	case LB_OP_TABLE_SET:
		snprintf(what, size, "the table of service %s", service_name(c, op->idx));
		return true;
	case LB_OP_SERVICE_SET:
		snprintf(what, size, "service %s", service_name(c, op->idx));
		return !i || plan->ops[i - 1].kind != LB_OP_TABLE_SET;
	case LB_OP_VIP_SET:
		snprintf(what, size, "VIP %s of service %s", lb_vip_format(&op->vip, text), service_name(c, op->idx));
		return !has_vip(old->services[op->idx], &op->vip);
	case LB_OP_VIP_DEL:
		snprintf(what, size, "VIP %s, which is nobody's", lb_vip_format(&op->vip, text));
		return true;
	case LB_OP_SERVICE_DEL:
		snprintf(what, size, "service index %u, which is nobody's", op->idx);
		return true;
	case LB_OP_BACKEND_DEL:
		snprintf(what, size, "backend index %u, which is nobody's", op->idx);
		return true;
	}
	return false;
}

/* One round: *@nr operations were needed to bring the maps to the image. */
static int verify_round(struct lb_control *c, struct lb_verification *v, size_t *nr, struct lb_err *err)
{
	struct finding f = {c, v};
	struct lb_image *old = NULL;
	struct lb_plan plan = {0};
	char what[LB_VERIFY_STRLEN];
	int ret;

	lb_dataplane_mend_places(c->dp, on_mended, &f);
	ret = lb_dataplane_read(c->dp, &old, err);
	if (ret)
		return ret;
	ret = lb_plan_make(old, c->image, &plan);
	if (ret)
		lb_err_set(err, ret, NULL, "cannot compare: %s", strerror(-ret));
	for (size_t i = 0; !ret && i < plan.nr; i++)
		if (describe(c, old, &plan, i, what, sizeof(what)))
			found(c, v, what);
	*nr = plan.nr;
	if (!ret && plan.nr)
		ret = lb_dataplane_apply(c->dp, &plan, err);
	if (!ret)
		ret = lb_dataplane_mend_lines(c->dp, on_mended, &f, err);
	lb_plan_fini(&plan);
	lb_image_free(old);
	return ret;
}

static void count(const struct lb_control *c, struct lb_verification *v)
{
	for (size_t i = 0; i < LB_MAX_SERVICES; i++) {
		const struct lb_service_image *s = c->image->services[i];

		if (!s)
			continue;
		v->services++;
		v->backends += s->nr_backends;
		v->vips += s->nr_vips;
		v->slots += s->slots ? 1UL << s->shift : 0;
	}
}

int lb_control_verify(struct lb_control *c, struct lb_verification *v, struct lb_err *err)
{
	struct finding f = {c, v};
	size_t nr = 1;
	int ret;

	*v = (struct lb_verification){0};
	count(c, v);
	ret = lb_dataplane_mend_pins(c->dp, on_mended, &f, err);
	for (int round = 0; !ret && nr && round < ROUNDS; round++)
		ret = verify_round(c, v, &nr, err);
	if (!ret && nr)
		ret = lb_err_set(err, -EIO, NULL,
				 "the dataplane's maps are not as they were written: something else writes them, too");
	return ret;
}

static void tell_forgotten(void *ctx, const char *what)
{
	lb_log(LB_LOG_INFO, "msg=\"removed the maps of another version\" folder=%s", lb_quoted(what));
}

void lb_control_forget_versions(struct lb_control *c)
{
	if (lb_ifaces_settled(&c->ifaces))
		lb_dataplane_forget_versions(c->dp, tell_forgotten, c);
}
