// SPDX-License-Identifier: GPL-2.0-or-later
/* Which VIPs are routes: what is wanted against what the kernel has. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "announce_priv.h"
#include "clock.h"
#include "log.h"
#include "pause.h"

#define SLICE_NS (3 * LB_NSEC_PER_SEC / 1000)
#define RESUME_NS (2 * LB_NSEC_PER_SEC / 1000)
#define LOGGED_MAX 16 /* lines for what is done at a time */
#define RETRY_NS (2 * LB_NSEC_PER_SEC)
#define PAUSE_EVERY 256 /* services, or rows */

static int by_claim(const void *a, const void *b)
{
	const struct lb_announce_claim *x = a, *y = b;
	int order = lb_announce_by_dst(&x->dst, &y->dst);

	return order ? order : (x->service > y->service) - (x->service < y->service);
}

/* ---- what is wanted ---- */

size_t lb_announce_healthy(const struct lb_model_service *s)
{
	size_t nr = 0;

	for (size_t i = 0; i < s->conf.nr_backends; i++) {
		const struct lb_model_backend *b = &s->backends[i];

		nr += b->chosen && b->next_hop.ifindex &&
		      (b->health == LB_HEALTH_UP || b->health == LB_HEALTH_UNCHECKED);
	}
	return nr;
}

/* The first of .claims that is not before @dst. */
static size_t first_claim(const struct lb_announce *a, const struct lb_prefix *dst)
{
	size_t low = 0, high = a->nr_claims;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (lb_announce_by_dst(&a->claims[mid].dst, dst) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* Works out .want of each row. */
static void evaluate(struct lb_announce *a, bool forwarding)
{
	const struct lb_model_service *const *list;
	size_t nr = lb_model_services(a->model, &list), c = 0;
	uint64_t now_ns = lb_now_ns();

	a->working = true;
	a->forwarding = forwarding;
	for (size_t i = 0; i < nr; i++) {
		lb_pause_at(i + 1, PAUSE_EVERY);
		a->enough[i] = list[i]->conf.announce && lb_announce_healthy(list[i]) >= list[i]->conf.quorum;
	}
	for (size_t i = 0; i < a->nr_rows; i++) {
		struct lb_announce_row *row = &a->rows[i];
		size_t claims = 0, enough = 0;
		bool was = row->want;

		lb_pause_at(i + 1, PAUSE_EVERY);
		for (; c < a->nr_claims && !lb_announce_by_dst(&a->claims[c].dst, &row->dst); c++) {
			claims++;
			enough += a->enough[a->claims[c].service];
		}
		row->named = claims;
		row->want = forwarding && enough && (a->conf.shared == LB_ANNOUNCE_ANY || enough == claims);
		if (row->want && !was)
			row->due_ns = now_ns + (row->retired ? 0 : a->conf.delay_ns);
	}
	a->working = false;
}

/* Which service decides about @row, and what it has. @buf: " service=web healthy=1 quorum=2"; "": there is none. */
static void explain(const struct lb_announce *a, const struct lb_announce_row *row, char *buf, size_t size)
{
	const struct lb_model_service *const *list;

	*buf = '\0';
	lb_model_services(a->model, &list);
	for (size_t i = first_claim(a, &row->dst);
	     i < a->nr_claims && !lb_announce_by_dst(&a->claims[i].dst, &row->dst); i++) {
		const struct lb_model_service *s = list[a->claims[i].service];
		size_t healthy = lb_announce_healthy(s);

		/* The first that decides; where the interfaces do, any. */
		snprintf(buf, size, " service=%s healthy=%zu quorum=%u", s->conf.name, healthy, s->conf.quorum);
		if ((healthy >= s->conf.quorum) == row->want)
			break;
	}
}

/* ---- work ---- */

/* The first few for everybody: a backend that many services share takes all their VIPs along. */
static void log_route(struct lb_announce *a, const struct lb_announce_row *row, const char *what, const char *why)
{
	enum lb_log_level level = a->changed++ < LOGGED_MAX ? LB_LOG_INFO : LB_LOG_DEBUG;
	char text[LB_ADDR_STRLEN], who[LB_NAME_MAX + 64];

	explain(a, row, who, sizeof(who));
	lb_log(level, "msg=\"%s\" route=%s table=%u%s%s%s", what, lb_prefix_format(&row->dst, text), a->conf.table, who,
	       *why ? " reason=" : "", *why ? lb_quoted(why) : "");
}

/* Nothing is left to do for now. */
static void log_rest(struct lb_announce *a)
{
	size_t nr = 0;

	for (size_t i = 0; a->changed > LOGGED_MAX && i < a->nr_rows; i++)
		nr += a->rows[i].there;
	if (a->changed > LOGGED_MAX)
		lb_log(LB_LOG_INFO, "msg=\"more routes changed\" changes=%zu routes=%zu table=%u",
		       a->changed - LOGGED_MAX, nr, a->conf.table);
	a->changed = 0;
}

/* Says what failed when it is news, and when to try again. */
static void failed(const struct lb_announce *a, struct lb_announce_row *row, const char *what, int ret)
{
	char text[LB_ADDR_STRLEN];

	if (row->error != ret)
		lb_log(LB_LOG_ERROR, "msg=\"cannot %s a route; trying again\" route=%s table=%u error=%s", what,
		       lb_prefix_format(&row->dst, text), a->conf.table, lb_quoted(strerror(-ret)));
	row->error = ret;
	row->due_ns = lb_now_ns() + RETRY_NS;
}

static void withdraw(struct lb_announce *a, struct lb_announce_row *row, const char *why)
{
	int ret = 0;

	if (row->retired && a->retired)
		lb_route_table_del(a->retired, &row->dst);
	row->retired = false;
	if (!row->there)
		return;
	ret = lb_route_table_del(a->table, &row->dst);
	if (ret && ret != -ENOENT) {
		failed(a, row, "withdraw", ret);
		return;
	}
	row->there = false;
	row->error = 0;
	log_route(a, row, "withdrawn", why);
}

static void announce(struct lb_announce *a, struct lb_announce_row *row)
{
	int ret = lb_route_table_add(a->table, &row->dst);

	if (ret) {
		failed(a, row, "announce", ret);
		return;
	}
	row->there = true;
	row->error = 0;
	row->put_ns = lb_now_ns();
	log_route(a, row, "announced", "");
}

static const char *why_not(const struct lb_announce *a, const struct lb_announce_row *row)
{
	if (!row->named)
		return "no service announces it";
	return a->forwarding ? "too few backends are healthy" : "no interface is attached";
}

/* 0: never. */
static bool is_over(uint64_t end_ns)
{
	return end_ns && lb_now_ns() > end_ns;
}

/* The table that was configured before loses what the new one has got, all of it, until @end_ns. False: there is more.
 */
static bool retire(struct lb_announce *a, uint64_t end_ns)
{
	if (!a->retired)
		return true;
	for (size_t i = 0; i < a->nr_rows; i++)
		if (a->rows[i].retired && a->rows[i].want && !a->rows[i].there)
			return true; /* not yet */
	for (size_t i = 0; i < a->nr_rows; i++) {
		struct lb_announce_row *row = &a->rows[i];

		if (!row->retired)
			continue;
		lb_pause();
		if (is_over(end_ns))
			return false;
		lb_route_table_del(a->retired, &row->dst);
		row->retired = false;
	}
	lb_route_table_free(a->retired);
	a->retired = NULL;
	return true;
}

/* Does what is due, until @end_ns (0: all of it). Withdrawing goes first. */
static void work(struct lb_announce *a, bool add, uint64_t end_ns)
{
	uint64_t now_ns = lb_now_ns(), next_ns = UINT64_MAX;

	a->working = true;
	for (size_t i = 0; i < a->nr_rows; i++) {
		struct lb_announce_row *row = &a->rows[i];

		if (row->want || !lb_announce_somewhere(row))
			continue;
		lb_pause();
		if (is_over(end_ns))
			goto later;
		if (!row->error || now_ns >= row->due_ns)
			withdraw(a, row, why_not(a, row));
		if (row->there && row->due_ns < next_ns)
			next_ns = row->due_ns;
	}
	for (size_t i = 0; add && i < a->nr_rows; i++) {
		struct lb_announce_row *row = &a->rows[i];

		if (!row->want || row->there)
			continue;
		lb_pause();
		if (is_over(end_ns))
			goto later;
		if (now_ns >= row->due_ns)
			announce(a, row);
		if (!row->there && row->due_ns < next_ns)
			next_ns = row->due_ns;
	}
	if (add && !retire(a, end_ns))
		goto later;
	a->working = false;
	log_rest(a);
	now_ns = lb_now_ns();
	if (next_ns != UINT64_MAX)
		lb_announce_work_within(a, next_ns > now_ns ? next_ns - now_ns : 0);
	return;
later:
	a->working = false;
	lb_announce_work_within(a, 0);
}

static bool may_work(const struct lb_announce *a)
{
	return a->configured && a->table && !a->ended && !a->held;
}

static void on_work(evutil_socket_t fd, short what, void *ctx)
{
	struct lb_announce *a = ctx;

	if (a->working) {
		lb_announce_work_within(a, RESUME_NS);
		return;
	}
	if (!a->table && !a->ended)
		lb_announce_list_anew(a);
	if (may_work(a))
		work(a, a->started, lb_now_ns() + SLICE_NS);
}

void lb_announce_withdraw(struct lb_announce *a, bool forwarding, bool whole)
{
	if (!may_work(a))
		return;
	evaluate(a, forwarding);
	work(a, false, whole ? 0 : lb_now_ns() + SLICE_NS);
}

void lb_announce_update(struct lb_announce *a, bool forwarding)
{
	if (!a->configured || a->ended || a->held)
		return;
	a->started = true;
	evaluate(a, forwarding);
	if (a->table)
		work(a, true, lb_now_ns() + SLICE_NS);
}

size_t lb_announce_end(struct lb_announce *a)
{
	size_t nr = 0;

	a->ended = true;
	for (size_t i = 0; a->table && i < a->nr_rows; i++) {
		a->rows[i].want = false;
		nr += a->rows[i].there;
		withdraw(a, &a->rows[i], "lbd ends");
	}
	log_rest(a);
	return nr;
}

/* ---- configuration ---- */

struct lb_prefix lb_announce_prefix(const struct lb_vip_conf *vip)
{
	struct lb_prefix p = {.plen = vip->plen};

	memcpy(p.addr, vip->vip.addr, sizeof(p.addr));
	return p;
}

/* Who has which destination, in order. */
static int make_claims(const struct lb_model *m, struct lb_announce_claim **claims, size_t *nr_claims)
{
	const struct lb_model_service *const *list;
	size_t nr = lb_model_services(m, &list), total = 0, n = 0;

	for (size_t i = 0; i < nr; i++)
		total += list[i]->conf.announce ? list[i]->conf.nr_vips : 0;
	*claims = calloc(total + 1, sizeof(**claims));
	if (!*claims)
		return -ENOMEM;
	for (size_t i = 0; i < nr; i++)
		for (size_t v = 0; list[i]->conf.announce && v < list[i]->conf.nr_vips; v++)
			(*claims)[n++] = (struct lb_announce_claim){.dst = lb_announce_prefix(&list[i]->conf.vips[v]),
								    .service = i};
	lb_pause();
	qsort(*claims, n, sizeof(**claims), by_claim);
	lb_pause();
	*nr_claims = n;
	return 0;
}

static int take_claims(struct lb_announce *a, const struct lb_model *m)
{
	const struct lb_model_service *const *list;
	size_t nr = lb_model_services(m, &list), nr_claims;
	bool *enough = calloc(nr + 1, sizeof(*enough));
	struct lb_prefix *dsts = NULL;
	struct lb_announce_claim *claims = NULL;
	int ret = -ENOMEM;

	if (!enough || make_claims(m, &claims, &nr_claims))
		goto fail;
	dsts = calloc(nr_claims + 1, sizeof(*dsts));
	if (!dsts)
		goto fail;
	for (size_t i = 0; i < nr_claims; i++)
		dsts[i] = claims[i].dst;
	ret = lb_announce_merge(a, dsts, nr_claims, lb_announce_somewhere);
	if (ret)
		goto fail;
	free(dsts);
	free(a->claims);
	free(a->enough);
	a->claims = claims;
	a->nr_claims = nr_claims;
	a->enough = enough;
	return 0;
fail:
	free(dsts);
	free(claims);
	free(enough);
	return ret;
}

void lb_announce_hold(struct lb_announce *a, bool hold)
{
	a->held = hold;
}

void lb_announce_suspend(struct lb_announce *a)
{
	a->configured = false;
}

int lb_announce_configure(struct lb_announce *a, const struct lb_model *m, struct lb_err *err)
{
	const struct lb_announce_conf *conf = &lb_model_config(m)->announce;
	int ret = 0;

	a->configured = false;
	if (conf->table != a->conf.table || conf->protocol != a->conf.protocol)
		ret = lb_announce_change_table(a, conf, err);
	if (ret)
		return ret;
	a->conf = *conf;
	a->model = m;
	if (take_claims(a, m))
		return lb_err_set(err, -ENOMEM, NULL, "out of memory");
	a->configured = true;
	return 0;
}

int lb_announce_new(struct event_base *base, struct lb_work *jobs, const struct lb_announce_conf *conf,
		    struct lb_announce **out, struct lb_err *err)
{
	struct lb_announce *a = calloc(1, sizeof(*a));
	int ret;

	if (!a)
		return lb_err_set(err, -ENOMEM, NULL, "out of memory");
	a->base = base;
	a->jobs = jobs;
	a->conf = *conf;
	a->work = evtimer_new(base, on_work, a);
	ret = a->work ? lb_announce_open(a, conf, err) : lb_err_set(err, -ENOMEM, NULL, "out of memory");
	if (ret) {
		lb_announce_free(a);
		return ret;
	}
	if (a->nr_rows)
		lb_log(LB_LOG_INFO, "msg=\"routes adopted\" routes=%zu table=%u protocol=%u", a->nr_rows, conf->table,
		       conf->protocol);
	*out = a;
	return 0;
}

void lb_announce_free(struct lb_announce *a)
{
	if (!a)
		return;
	lb_announce_close(a);
	lb_route_table_free(a->retired);
	if (a->work)
		event_free(a->work);
	free(a->rows);
	free(a->claims);
	free(a->enough);
	free(a->found);
	free(a);
}

/* ---- what others show ---- */

void lb_announce_state(const struct lb_announce *a, const struct lb_prefix *dst, struct lb_announced *out)
{
	const struct lb_announce_row *row = lb_announce_row(a, dst);
	uint64_t now_ns = lb_now_ns();
	char wait[LB_ADDR_STRLEN];

	*out = (struct lb_announced){.there = row && row->there};
	if (out->there)
		return;
	if (!row || !a->table)
		snprintf(out->why, sizeof(out->why), "the routing table cannot be followed");
	else if (row->error)
		snprintf(out->why, sizeof(out->why), "%s", strerror(-row->error));
	else if (!row->want)
		snprintf(out->why, sizeof(out->why), "%s", why_not(a, row));
	else if (row->due_ns > now_ns)
		snprintf(out->why, sizeof(out->why), "healthy, announced in %s",
			 lb_duration_format((row->due_ns - now_ns) / 1000000 * 1000000, wait));
	else
		snprintf(out->why, sizeof(out->why), "about to be");
}

size_t lb_announce_count(const struct lb_announce *a, size_t *wanted)
{
	size_t nr = 0;

	*wanted = 0;
	for (size_t i = 0; i < a->nr_rows; i++) {
		nr += a->rows[i].there;
		*wanted += a->rows[i].named;
	}
	return nr;
}
