// SPDX-License-Identifier: GPL-2.0-or-later
/* Places that VIPs take, and what answers echo requests to them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf_room.h"
#include "sort.h"

static int by_prefix(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct lb_prefix));
}

/* What answers echo requests lies where its prefix says, for its port is none. */
static void count_answers(struct lb_prefix *all, size_t nr, struct lb_vip_room *out)
{
	lb_sort(all, nr, sizeof(*all), by_prefix);
	for (size_t i = 0; i < nr; i++) {
		if (i && !by_prefix(&all[i - 1], &all[i]))
			continue;
		out->answers++;
		if (all[i].plen == 128)
			out->exact++;
		else
			out->wild++;
	}
}

int lb_conf_vip_room(const struct lb_config *c, struct lb_vip_room *out)
{
	struct lb_prefix *answered;
	size_t nr = 0;

	*out = (struct lb_vip_room){0};
	for (size_t i = 0; i < c->nr_services; i++)
		nr += c->services[i].ping ? c->services[i].nr_vips : 0;
	answered = calloc(nr + 1, sizeof(*answered));
	if (!answered)
		return -ENOMEM;
	nr = 0;
	for (size_t i = 0; i < c->nr_services; i++) {
		const struct lb_service_conf *s = &c->services[i];

		for (size_t v = 0; v < s->nr_vips; v++) {
			const struct lb_vip_conf *vip = &s->vips[v];

			if (vip->plen < 128 || !vip->vip.port)
				out->wild++;
			else
				out->exact++;
			if (!s->ping)
				continue;
			memcpy(answered[nr].addr, vip->vip.addr, sizeof(answered->addr));
			answered[nr++].plen = vip->plen;
		}
	}
	count_answers(answered, nr, out);
	free(answered);
	return 0;
}
