// SPDX-License-Identifier: GPL-2.0-or-later
/* What is new in a list of addresses is watched, and what has left it no more. */
#include <stdlib.h>
#include <string.h>

#include "follow.h"
#include "log.h"
#include "pause.h"
#include "sort.h"

static int compare(const void *a, const void *b)
{
	return memcmp(a, b, 16);
}

struct lb_followed *lb_follow_find(const struct lb_follow *f, const uint8_t addr[16])
{
	return f->nr ? bsearch(addr, f->list, f->nr, sizeof(*f->list), compare) : NULL;
}

static int watch(struct lb_follow *f, const uint8_t addr[16])
{
	char text[LB_ADDR_STRLEN];
	int ret = lb_route_watch(f->route, addr);

	if (ret)
		lb_log(LB_LOG_ERROR, "msg=\"cannot follow a route\" address=%s error=%s", lb_addr_format(addr, text),
		       lb_quoted(strerror(-ret)));
	return ret;
}

int lb_follow_start(struct lb_follow *f, struct lb_route *route)
{
	int ret = 0;

	f->route = route;
	f->starts++;
	for (size_t i = 0; i < f->nr; i++)
		ret = watch(f, f->list[i].addr) ?: ret;
	return ret;
}

static size_t sort(struct lb_followed *list, size_t nr)
{
	size_t unique = 0;

	lb_pause();
	lb_sort(list, nr, sizeof(*list), compare);
	lb_pause();
	for (size_t i = 0; i < nr; i++)
		if (!unique || compare(&list[i], &list[unique - 1]))
			list[unique++] = list[i];
	return unique;
}

void lb_follow_change(struct lb_follow *f, struct lb_followed *list, size_t nr)
{
	struct lb_followed *old;
	size_t nr_old, i, j;
	unsigned int starts;

	nr = sort(list, nr);
	old = f->list;
	nr_old = f->nr;
	for (i = 0, j = 0; i < nr; i++) {
		while (j < nr_old && compare(&old[j], &list[i]) < 0)
			j++;
		if (j < nr_old && !compare(&old[j], &list[i]))
			list[i] = old[j];
	}
	f->list = list;
	f->nr = nr;
	starts = f->starts;
	/* Another route, which may come in a pause, follows all of the new list. */
	for (i = 0, j = 0; f->route && f->starts == starts && (i < nr || j < nr_old);) {
		int d = i == nr ? 1 : j == nr_old ? -1 : compare(&list[i], &old[j]);

		if (d < 0)
			watch(f, list[i].addr);
		else if (d > 0)
			lb_route_unwatch(f->route, old[j].addr);
		lb_pause();
		i += d <= 0;
		j += d >= 0;
	}
	free(old);
}
