// SPDX-License-Identifier: GPL-2.0-or-later
/* What became of services: each change of a service's state, or of the tier that serves, is logged once. */
#include <stdlib.h>
#include <string.h>

#include "control.h"
#include "control_priv.h"
#include "log.h"
#include "stats.h"

static void tell(const struct lb_model_service *s, const struct lb_watched *from, const struct lb_watched *to,
		 const char *reason)
{
	bool better = to->state < from->state;

	lb_log(to->state == LB_SERVICE_UP || better ? LB_LOG_INFO : LB_LOG_WARN,
	       "msg=\"service\" service=%s from=%s to=%s tier=%u reason=%s", s->conf.name,
	       lb_service_state_name(from->state), lb_service_state_name(to->state), to->tier, lb_quoted(reason));
}

/* A new service says nothing until it has served: that it is down at first is no news. */
void lb_control_watch(struct lb_control *c)
{
	const struct lb_model_service *const *list;
	size_t nr = lb_model_services(c->model, &list), was = 0;
	struct lb_watched *now = calloc(nr ? nr : 1, sizeof(*now));
	char reason[128];

	if (!now)
		return;
	for (size_t i = 0; i < nr; i++) {
		const struct lb_watched *known;
		struct lb_watched *w = &now[i];

		while (was < c->nr_watched && strcmp(c->watched[was].service, list[i]->conf.name) < 0)
			was++;
		known = was < c->nr_watched && !strcmp(c->watched[was].service, list[i]->conf.name) ? &c->watched[was]
												    : NULL;
		memcpy(w->service, list[i]->conf.name, sizeof(w->service));
		w->state = lb_stats_state(list[i], reason, sizeof(reason));
		w->tier = list[i]->choice.tier;
		w->served = w->state != LB_SERVICE_DOWN || (known && known->served);
		if (known && w->served && (known->state != w->state || known->tier != w->tier))
			tell(list[i], known, w, reason);
	}
	free(c->watched);
	c->watched = now;
	c->nr_watched = nr;
}
