// SPDX-License-Identifier: GPL-2.0-or-later
/* Derived numbers and words, made in one place so that API and metrics agree. */
#include <netinet/in.h>
#include <stdio.h>
#include <time.h>

#include "clock.h"
#include "lb/dp/flow.h"
#include "pause.h"
#include "stats.h"

#define OPEN_MAX_AGE_NS (5 * LB_NSEC_PER_SEC)
#define FLIGHT_NS (LB_NSEC_PER_SEC / 10)

static bool is_healthy(const struct lb_model_backend *b)
{
	return b->health == LB_HEALTH_UP || b->health == LB_HEALTH_UNCHECKED;
}

/* A backend that cannot be reached is told apart from one that is not healthy: what mends them is not the same. */
enum lb_service_state lb_stats_state(const struct lb_model_service *s, char *reason, size_t size)
{
	size_t wanted = 0, sick = 0, lost = 0;
	int used = 0;

	reason[0] = '\0';
	for (size_t i = 0; i < s->conf.nr_backends; i++) {
		const struct lb_model_backend *b = &s->backends[i];

		if (b->conf.admin != LB_ADMIN_ENABLED || !b->conf.weight)
			continue;
		if (s->choice.chosen && b->conf.tier > s->choice.tier)
			continue; /* a standby that nobody needs now */
		wanted++;
		sick += !is_healthy(b);
		lost += !b->next_hop.ifindex;
	}
	if (!s->choice.chosen) {
		if (!s->conf.nr_backends)
			snprintf(reason, size, "it has no backends");
		else if (!wanted)
			snprintf(reason, size, "no backend is enabled with a weight above 0");
		else
			snprintf(reason, size, "none of %zu backends %s", wanted,
				 !lost		  ? "is healthy"
				 : lost == wanted ? "has a next hop"
						  : "is healthy and has a next hop");
		return LB_SERVICE_DOWN;
	}
	if (s->choice.panic) {
		if (lost)
			snprintf(reason, size,
				 "%zu of %zu backends have no next hop and too few are healthy: all others are used",
				 lost, wanted);
		else
			snprintf(reason, size, "%zu of %zu backends are not healthy: all are used", sick, wanted);
		return LB_SERVICE_PANIC;
	}
	if (sick)
		used = snprintf(reason, size, "%zu of %zu backends are not healthy", sick, wanted);
	if (lost)
		snprintf(reason + used, size - (size_t)used, "%s%zu backend%s no next hop", used ? "; " : "", lost,
			 lost == 1 ? " has" : "s have");
	return sick || lost ? LB_SERVICE_DEGRADED : LB_SERVICE_UP;
}

const char *lb_service_state_name(enum lb_service_state state)
{
	static const char *const names[] = {"up", "degraded", "panic", "down"};

	return names[state];
}

void lb_stats_service(const struct lb_control *c, const struct lb_model_service *s, struct lb_backend_cpu *out)
{
	struct lb_service_cpu own;

	lb_dataplane_service(c->dp, s->idx, &own);
	*out = own.total;
	for (size_t i = 0; i < s->conf.nr_backends; i++) {
		struct lb_backend_cpu row;

		lb_dataplane_backend(c->dp, s->backends[i].idx, &row);
		out->pkts += row.pkts;
		out->bytes += row.bytes;
		out->conns += row.conns;
		out->closes += row.closes;
	}
}

uint64_t lb_stats_active(const struct lb_backend_cpu *row)
{
	return row->conns > row->closes ? row->conns - row->closes : 0;
}

/* Does the flow cache have all that @s has, from each flow's first packet? */
static bool remembers_all(const struct lb_service_conf *s)
{
	enum lb_state_mode state = lb_service_conf_state(s);

	for (size_t i = 0; state == LB_STATE_AUTO && i < s->nr_vips; i++)
		if (s->vips[i].vip.proto != IPPROTO_UDP)
			return false;
	return state != LB_STATE_NONE;
}

void lb_stats_count_open(struct lb_control *c)
{
	uint64_t now_ns = lb_now_ns();

	lb_model_open(c->model, lb_dataplane_flows(c->dp), c->open, lb_flow_age(now_ns));
	c->open_ns = now_ns;
}

/* While anybody drains they are counted each second, beside the loop. */
static void know_open(struct lb_control *c)
{
	if (!c->open_ns || lb_now_ns() - c->open_ns > OPEN_MAX_AGE_NS)
		lb_stats_count_open(c);
}

/* Those that packets opened that were on their way when the drain began have to be counted, too. */
static bool translated_left(const struct lb_control *c, uint16_t idx, uint64_t *left)
{
	struct lb_backend_cpu row;

	if (lb_dataplane_nat_open(c->dp, idx, c->drain_begun_ns + FLIGHT_NS, left))
		return true;
	lb_dataplane_backend(c->dp, idx, &row);
	*left = lb_stats_active(&row);
	return false;
}

bool lb_stats_left(struct lb_control *c, const struct lb_drain *d, uint64_t *left)
{
	const struct lb_model_service *s = lb_model_service(c->model, d->service);
	const struct lb_backend_conf *conf = s ? lb_service_conf_backend(&s->conf, &d->address) : NULL;
	uint64_t now_ns = lb_clock_ns(CLOCK_REALTIME), active;
	struct lb_backend_cpu row;
	uint16_t idx;

	*left = 0;
	if (!conf)
		return true;
	idx = s->backends[conf - s->conf.backends].idx;
	if (!lb_model_alive(c->model, idx))
		return true;
	if (lb_service_conf_translates(&s->conf))
		return translated_left(c, idx, left);
	/* Without any memory a slot's next owner gets all there is, at once. */
	if (lb_service_conf_state(&s->conf) == LB_STATE_NONE)
		return true;
	know_open(c);
	*left = c->open[idx];
	if (remembers_all(&s->conf) || now_ns > d->since_ns + c->config->learning_window_ns)
		return true;
	lb_dataplane_backend(c->dp, idx, &row);
	active = lb_stats_active(&row);
	if (active > *left)
		*left = active;
	return true;
}

uint64_t lb_stats_connections(struct lb_control *c, const struct lb_model_service *s, const struct lb_model_backend *b,
			      const struct lb_backend_cpu *row)
{
	const struct lb_drain *d = NULL;
	uint64_t nr;

	if (b->conf.admin == LB_ADMIN_DRAINING)
		d = lb_drains_find(&c->drains, s->conf.name, &b->conf.address);
	if (d)
		lb_stats_left(c, d, &nr);
	else if (!lb_service_conf_translates(&s->conf) || !lb_dataplane_nat_open(c->dp, b->idx, 0, &nr))
		nr = lb_stats_active(row);
	return nr;
}

const char *lb_stats_backend_state(const struct lb_control *c, const struct lb_model_service *s,
				   const struct lb_model_backend *b)
{
	const struct lb_drain *d;

	if (b->conf.admin == LB_ADMIN_DISABLED)
		return "disabled";
	if (b->conf.admin != LB_ADMIN_DRAINING)
		return lb_health_name(b->health);
	d = lb_drains_find(&c->drains, s->conf.name, &b->conf.address);
	return d && d->end != LB_DRAIN_GOES_ON ? "drained" : "draining";
}

double lb_stats_held_seconds(const struct lb_target_stats *t)
{
	uint64_t now_ns = lb_now_ns();

	if (!t || t->held_until_ns <= now_ns)
		return 0;
	return (double)((t->held_until_ns - now_ns) / (LB_NSEC_PER_SEC / 10)) / 10;
}

uint64_t lb_stats_flows_part(const struct lb_control *c, size_t part)
{
	const struct lb_flow_set *sets = lb_dataplane_flows(c->dp);
	const size_t first = part * (LB_FLOW_SETS / LB_FLOW_PARTS);
	uint64_t nr = 0;

	for (size_t i = first; i < first + LB_FLOW_SETS / LB_FLOW_PARTS; i++) {
		for (size_t j = 0; j < LB_FLOW_WAYS; j++) {
			uint64_t e = __atomic_load_n(&sets[i].entry[j], __ATOMIC_RELAXED);

			/* An entry of another generation than its backend's does not exist. */
			nr += e && LB_FLOW_GEN(e) == c->image->gen[LB_FLOW_BACKEND(e)];
		}
	}
	return nr;
}

uint64_t lb_stats_flows(struct lb_control *c)
{
	uint64_t now_ns = lb_now_ns(), nr = 0;

	if (c->census_ns && now_ns - c->census_ns < LB_CENSUS_MAX_AGE_NS)
		return c->flow_entries;
	for (size_t i = 0; i < LB_FLOW_PARTS; i++) {
		nr += lb_stats_flows_part(c, i);
		lb_pause();
	}
	c->census_ns = now_ns;
	c->flow_entries = nr;
	return nr;
}

static uint64_t misses_of(const struct lb_control *c, uint16_t idx)
{
	struct lb_service_cpu row;

	lb_dataplane_service(c->dp, idx, &row);
	return row.flow_misses;
}

void lb_stats_lookups(const struct lb_control *c, uint64_t *hits, uint64_t *misses)
{
	const struct lb_model_service *const *list;
	size_t nr = lb_model_services(c->model, &list);

	*hits = lb_dataplane_hits(c->dp);
	*misses = misses_of(c, 0); /* where deleted services leave theirs */
	for (size_t i = 0; i < nr; i++)
		*misses += misses_of(c, list[i]->idx);
	lb_pause();
}

const char *lb_health_name(enum lb_health h)
{
	static const char *const names[] = {"unchecked", "unknown", "up", "down"};

	return names[h];
}

const char *lb_attach_mode_name(enum lb_attach_mode mode)
{
	static const char *const names[] = {"auto", "native", "generic"};

	return names[mode];
}

char *lb_time_format(uint64_t ns, char buf[LB_TIME_STRLEN])
{
	time_t s = ns / LB_NSEC_PER_SEC;
	struct tm tm;

	gmtime_r(&s, &tm);
	strftime(buf, LB_TIME_STRLEN, "%Y-%m-%dT%H:%M:%SZ", &tm);
	return buf;
}
