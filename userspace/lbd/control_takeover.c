// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Taking the place of a program whose maps cannot be adopted: they are another version's, or of another shape. It
 * forwards by tables that know who is alive. Ours do not, until each backend was checked: were packets to meet them at
 * once, those of open connections would go to the few that were checked first. So the other program goes on until then.
 */
#include <errno.h>

#include "clock.h"
#include "control.h"
#include "control_priv.h"
#include "log.h"

/* Backends whose checks cannot be run are not waited for. */
#define PATIENCE_NS (10 * LB_NSEC_PER_SEC)

static const char why[] = "a former program, whose maps cannot be adopted, forwards until all backends are checked";

static bool has_unknown(const struct lb_model *m)
{
	const struct lb_model_service *const *list;
	size_t nr = lb_model_services(m, &list);

	for (size_t i = 0; i < nr; i++) {
		for (size_t j = 0; j < list[i]->conf.nr_backends; j++) {
			const struct lb_model_backend *b = &list[i]->backends[j];

			if (b->health == LB_HEALTH_UNKNOWN && b->conf.admin != LB_ADMIN_DISABLED)
				return true;
		}
	}
	return false;
}

bool lb_takeover_begin(struct lb_control *c)
{
	bool relieves = false;

	for (size_t i = 0; i < c->config->nr_ifaces; i++)
		relieves |= lb_dataplane_relieves(c->dp, c->config->ifaces[i].name);
	lb_announce_hold(c->announce, relieves);
	return relieves;
}

int lb_takeover_attach(struct lb_control *c, bool relieves, struct lb_err *err)
{
	if (relieves && has_unknown(c->model)) {
		if (lb_ifaces_wait(&c->ifaces, c->config, why))
			return lb_err_set(err, -ENOMEM, NULL, "out of memory");
		c->takeover_end_ns = lb_now_ns() + PATIENCE_NS;
		lb_log(LB_LOG_INFO, "msg=\"not attached yet\" reason=%s", lb_quoted(why));
		return 0;
	}
	lb_announce_hold(c->announce, false);
	c->ifaces_known = true;
	return lb_ifaces_change(&c->ifaces, c->dp, c->config, false, err);
}

/* Slots have to be where they will stay, too: those that move take packets without an entry to whom they had first. */
static bool is_done(const struct lb_control *c)
{
	return lb_now_ns() >= c->takeover_end_ns ||
	       (!c->uncommitted && lb_model_settled(c->model) && !has_unknown(c->model));
}

bool lb_takeover_go_on(struct lb_control *c)
{
	if (!c->takeover_end_ns)
		return true;
	if (!is_done(c))
		return false;
	c->takeover_end_ns = 0;
	lb_ifaces_retry(&c->ifaces, c->dp);
	c->ifaces_known = true;
	lb_control_forget_versions(c);
	lb_announce_hold(c->announce, false);
	lb_announce_update(c->announce, lb_control_is_forwarding(c));
	return true;
}
