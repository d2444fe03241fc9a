// SPDX-License-Identifier: GPL-2.0-or-later
/* The routes that there are, as far as they are lbd's. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "announce_priv.h"
#include "clock.h"
#include "log.h"
#include "pause.h"

#define RETRY_NS (2 * LB_NSEC_PER_SEC)
#define PAUSE_EVERY 256		    /* routes */
#define PUT_BACK_NS LB_NSEC_PER_SEC /* against somebody who removes a route again and again */

int lb_announce_by_dst(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct lb_prefix));
}

struct lb_announce_row *lb_announce_row(const struct lb_announce *a, const struct lb_prefix *dst)
{
	return a->nr_rows ? bsearch(dst, a->rows, a->nr_rows, sizeof(*a->rows), lb_announce_by_dst) : NULL;
}

void lb_announce_work_within(struct lb_announce *a, uint64_t delay_ns)
{
	struct timeval tv = lb_timeval(delay_ns);

	evtimer_add(a->work, &tv);
}

static void on_route(void *ctx, const struct lb_prefix *dst, bool there)
{
	struct lb_announce *a = ctx;
	char text[LB_ADDR_STRLEN];
	struct lb_prefix *list;
	uint64_t now_ns;
	struct lb_announce_row *row;

	if (a->listing) {
		lb_pause_at(a->nr_found + 1, PAUSE_EVERY);
		/* Room for a power of two. */
		list = a->nr_found & (a->nr_found - 1)
			       ? a->found
			       : realloc(a->found, (a->nr_found ? 2 * a->nr_found : 1) * sizeof(*list));
		if (!list)
			return;
		a->found = list;
		a->found[a->nr_found++] = *dst;
		return;
	}
	row = lb_announce_row(a, dst);
	if (!row) {
		if (there && !a->ended && !lb_route_table_del(a->table, dst))
			lb_log(LB_LOG_WARN, "msg=\"removed a route that somebody else put there\" route=%s table=%u",
			       lb_prefix_format(dst, text), a->conf.table);
		return;
	}
	if (row->there == there)
		return;
	row->there = there;
	if (!there && row->want) {
		lb_log(LB_LOG_WARN, "msg=\"somebody else removed a route; putting it back\" route=%s table=%u",
		       lb_prefix_format(dst, text), a->conf.table);
		now_ns = lb_now_ns();
		row->due_ns = now_ns - row->put_ns < PUT_BACK_NS ? row->put_ns + PUT_BACK_NS : now_ns;
	}
	lb_announce_work_within(a, 0);
}

/* Makes @a's rows those that there are, as far as @stays says, and those of @list, which is in order, maybe with
 * repetitions. */
int lb_announce_merge(struct lb_announce *a, const struct lb_prefix *list, size_t nr,
		      bool (*stays)(const struct lb_announce_row *r))
{
	struct lb_announce_row *rows = calloc(a->nr_rows + nr + 1, sizeof(*rows));
	size_t i = 0, j = 0, n = 0;

	if (!rows)
		return -ENOMEM;
	while (i < a->nr_rows || j < nr) {
		int order = i == a->nr_rows ? 1 : j == nr ? -1 : lb_announce_by_dst(&a->rows[i].dst, &list[j]);

		if (n && j < nr && order > 0 && !lb_announce_by_dst(&rows[n - 1].dst, &list[j])) {
			j++;
			continue;
		}
		if (order > 0)
			rows[n++].dst = list[j];
		else if (order == 0 || stays(&a->rows[i]))
			rows[n++] = a->rows[i];
		i += order <= 0;
		j += order >= 0;
	}
	free(a->rows);
	a->rows = rows;
	a->nr_rows = n;
	return 0;
}

static bool always(const struct lb_announce_row *r)
{
	return true;
}

bool lb_announce_somewhere(const struct lb_announce_row *r)
{
	return r->there || r->retired;
}

static int take_found(struct lb_announce *a)
{
	int ret;

	if (a->nr_found)
		qsort(a->found, a->nr_found, sizeof(*a->found), lb_announce_by_dst);
	ret = lb_announce_merge(a, a->found, a->nr_found, always);
	for (size_t i = 0, j = 0; !ret && i < a->nr_rows; i++) {
		while (j < a->nr_found && lb_announce_by_dst(&a->found[j], &a->rows[i].dst) < 0)
			j++;
		a->rows[i].there = j < a->nr_found && !lb_announce_by_dst(&a->found[j], &a->rows[i].dst);
	}
	return ret;
}

/* What is in the table, as the kernel says. Of what went meanwhile nobody knows who did it. */
static int list_table(struct lb_announce *a)
{
	bool working = a->working;
	int ret;

	a->nr_found = 0;
	a->working = a->listing = true;
	ret = lb_route_table_list(a->table);
	a->listing = false;
	lb_pause();
	if (!ret)
		ret = take_found(a);
	a->working = working;
	return ret;
}

void lb_announce_close(struct lb_announce *a)
{
	if (a->readable)
		event_free(a->readable);
	a->readable = NULL;
	lb_route_table_free(a->table);
	a->table = NULL;
}

static void on_readable(evutil_socket_t fd, short what, void *ctx);

int lb_announce_open(struct lb_announce *a, const struct lb_announce_conf *conf, struct lb_err *err)
{
	int ret = lb_route_table_new(conf->table, (uint8_t)conf->protocol, on_route, a, &a->table, err);

	if (ret)
		return ret;
	a->readable = event_new(a->base, lb_route_table_fd(a->table), EV_READ | EV_PERSIST, on_readable, a);
	if (!a->readable || event_add(a->readable, NULL))
		ret = lb_err_set(err, -ENOMEM, NULL, "out of memory");
	else
		ret = list_table(a);
	if (!ret)
		return 0;
	lb_announce_close(a);
	return lb_err_set(err, ret, NULL, "cannot list the routing table %u: %s", conf->table, strerror(-ret));
}

static void lost(struct lb_announce *a, int ret)
{
	lb_log(LB_LOG_ERROR, "msg=\"lost the netlink socket of the routing table\" error=%s",
	       lb_quoted(strerror(-ret)));
	lb_announce_close(a);
}

/* A piece of work of its own: there may be thousands. */
static void run_list(void *ctx)
{
	struct lb_announce *a = ctx;
	int ret;

	if (a->ended)
		return;
	if (!a->table) {
		lb_announce_work_within(a, lb_announce_open(a, &a->conf, NULL) ? RETRY_NS : 0);
		return;
	}
	ret = list_table(a);
	if (ret)
		lost(a, ret);
	lb_announce_work_within(a, 0);
}

static void on_list_done(void *ctx)
{
	struct lb_announce *a = ctx;

	a->list_due = false;
}

void lb_announce_list_anew(struct lb_announce *a)
{
	if (a->list_due)
		return;
	a->list_due = true;
	a->list_job = (struct lb_job){run_list, on_list_done, a, NULL};
	lb_work_add(a->jobs, &a->list_job);
}

static void on_readable(evutil_socket_t fd, short what, void *ctx)
{
	struct lb_announce *a = ctx;
	int ret;

	if (a->working)
		return; /* it is told again in the next round */
	ret = lb_route_table_process(a->table);
	if (ret == -ENOBUFS)
		lb_announce_list_anew(a);
	else if (ret)
		lost(a, ret);
	lb_announce_work_within(a, 0);
}

/* Opens the table that @conf names; the one that there was loses its routes when this one has them. */
int lb_announce_change_table(struct lb_announce *a, const struct lb_announce_conf *conf, struct lb_err *err)
{
	struct lb_route_table *was = a->table;
	struct event *readable = a->readable;
	int ret;

	for (size_t i = 0; i < a->nr_rows; i++) {
		if (a->rows[i].retired && a->retired)
			lb_route_table_del(a->retired, &a->rows[i].dst);
		a->rows[i].retired = a->rows[i].there;
	}
	lb_route_table_free(a->retired);
	a->retired = NULL;
	ret = lb_announce_open(a, conf, err);
	if (ret) {
		for (size_t i = 0; i < a->nr_rows; i++) {
			a->rows[i].there = a->rows[i].retired;
			a->rows[i].retired = false;
		}
		a->table = was;
		a->readable = readable;
		return ret;
	}
	a->retired = was;
	if (readable)
		event_free(readable);
	for (size_t i = 0; i < a->nr_rows; i++)
		if (a->rows[i].retired)
			a->rows[i].due_ns = 0;
	return 0;
}
