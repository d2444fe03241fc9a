// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Time passes in the model: one walk over the flow cache finds the slots that still have connections elsewhere than
 * with their owner, and erases what is dead. An entry is erased only as it was read, so that one which a packet has
 * just refreshed stays.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "lb/dp/flow.h"
#include "model_priv.h"
#include "pause.h"

#define PAUSE_SETS 4096U /* of the flow cache; less than a millisecond's work */

struct census {
	struct lb_model *m;
	bool **foreign; /* by service index; NULL where all is settled */
	__u8 now_age;
	unsigned int idle_proven, idle_unproven;
	bool unused[LB_MAX_BACKENDS];
};

static bool is_udp_alone(const struct lb_service_conf *conf)
{
	for (size_t i = 0; i < conf->nr_vips; i++)
		if (conf->vips[i].vip.proto != IPPROTO_UDP)
			return false;
	return true;
}

/* A connection may be silent for as long as the learning window: its entry must not be given up before that. */
static void set_limits(struct census *c)
{
	uint64_t window = (c->m->conf->learning_window_ns >> LB_FLOW_AGE_SHIFT) + 1;

	c->idle_proven = window > LB_FLOW_IDLE_TCP ? window : LB_FLOW_IDLE_TCP;
	c->idle_unproven = window > LB_FLOW_IDLE_UNPROVEN ? window : LB_FLOW_IDLE_UNPROVEN;
}

/* Does @e bind a connection to a backend, however old it is? */
static bool binds(const struct census *c, __u64 e)
{
	uint16_t b = LB_FLOW_BACKEND(e);

	return c->m->ids.alive[b] && c->m->ids.gen[b] == LB_FLOW_GEN(e);
}

/* A client's entry has the client's time; it is closed, as those of connections are that may be forgotten earlier. */
static bool is_expired(const struct census *c, __u64 e)
{
	const struct lb_service_entry *s = c->m->by_idx[c->m->ids.service_of[LB_FLOW_BACKEND(e)]];
	uint8_t sticky = s && e & LB_FLOW_CLOSED ? lb_sticky_ticks(&s->pub.conf) : 0;

	if (sticky && lb_flow_idle(e, c->now_age) <= sticky)
		return false;
	return lb_flow_idle(e, c->now_age) > (LB_FLOW_PROVEN(e) ? c->idle_proven : c->idle_unproven);
}

/* What is erased for its age alone still counts this time: a packet may just have found it, and put it back. */
static void look_at(const struct census *c, __u64 *entry)
{
	__u64 e = __atomic_load_n(entry, __ATOMIC_RELAXED);
	const struct lb_slots *slots;
	uint32_t slot, service;
	uint16_t b;

	if (!e)
		return;
	if (!binds(c, e) || is_expired(c, e))
		__atomic_compare_exchange_n(entry, &e, 0, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
	if (!binds(c, e)) /* as it was, or as it became meanwhile */
		return;
	b = LB_FLOW_BACKEND(e);
	service = c->m->ids.service_of[b];
	if (!c->foreign[service])
		return;
	slots = c->m->by_idx[service]->pub.slots;
	slot = lb_flow_slot(LB_FLOW_TAG(e), slots->shift);
	if (LB_SLOT_CUR(slots->word[slot]) != b)
		c->foreign[service][slot] = true;
}

static void free_census(struct census *c)
{
	for (size_t i = 0; c->foreign && i < LB_MAX_SERVICES; i++)
		free(c->foreign[i]);
	free(c->foreign);
}

/* Counting is worth while only where a slot settles. 1: it was done, 0: no need, -ENOMEM. */
static int take_census(struct census *c, struct lb_flow_set *entries)
{
	bool needed = false;

	c->foreign = calloc(LB_MAX_SERVICES, sizeof(*c->foreign));
	if (!c->foreign)
		return -ENOMEM;
	for (size_t i = 0; i < c->m->nr; i++) {
		const struct lb_model_service *s = &c->m->services[i]->pub;
		size_t count[3];

		lb_pause();
		if (c->m->services[i]->settled)
			continue;
		lb_slots_count(s->slots, count);
		if (!count[LB_PHASE_SETTLING])
			continue;
		c->foreign[s->idx] = calloc(1UL << s->slots->shift, sizeof(bool));
		if (!c->foreign[s->idx])
			return -ENOMEM;
		needed = true;
	}
	if (!needed || !entries)
		return 0;
	for (size_t set = 0; set < LB_FLOW_SETS; set++) {
		lb_pause_at(set, PAUSE_SETS);
		for (int way = 0; way < LB_FLOW_WAYS; way++)
			look_at(c, &entries[set].entry[way]);
	}
	return 1;
}

static void find_unused(struct census *c, lb_model_packets_fn packets, void *ctx, uint32_t now_s, uint32_t window_s)
{
	const struct lb_ids *ids = &c->m->ids;

	for (size_t i = 0; i < c->m->nr; i++) {
		const struct lb_model_service *s = &c->m->services[i]->pub;

		lb_pause();
		for (size_t j = 0; !c->m->services[i]->settled && j < s->conf.nr_backends; j++) {
			uint16_t idx = s->backends[j].idx;

			c->unused[idx] = ids->born_s[idx] && now_s - ids->born_s[idx] <= window_s && !packets(ctx, idx);
		}
	}
}

static int tick_services(struct census *c, bool counted, uint32_t now_s, uint32_t window_s)
{
	struct lb_model *m = c->m;
	int ret = 0;

	for (size_t i = 0; i < m->nr; i++) {
		struct lb_service_entry *s = m->services[i];
		const bool *foreign = counted ? c->foreign[s->pub.idx] : NULL;

		lb_pause();
		if (s->settled || !lb_slots_tick(s->pub.slots, s->pub.policy_shift, foreign, c->unused, lb_ids_alive,
						 &m->ids, now_s, window_s))
			continue;
		lb_entry_settled(s);
		lb_entry_dirty(s);
		ret = 1;
	}
	return ret;
}

int lb_model_tick(struct lb_model *m, struct lb_flow_set *entries, lb_model_packets_fn packets, void *ctx,
		  uint32_t now_s, uint8_t now_age)
{
	struct census c = {.m = m, .now_age = now_age};
	uint32_t window_s = (m->conf->learning_window_ns + 999999999) / 1000000000;
	int ret;

	if (lb_model_settled(m))
		return 0;
	set_limits(&c);
	if (packets)
		find_unused(&c, packets, ctx, now_s, window_s);
	ret = take_census(&c, entries);
	if (ret >= 0)
		ret = tick_services(&c, ret, now_s, window_s);
	free_census(&c);
	return ret;
}

static bool needs_live(const struct lb_model *m)
{
	for (size_t i = 0; i < m->nr; i++) {
		const struct lb_service_conf *conf = &m->services[i]->pub.conf;

		if (conf->policy == LB_POLICY_LEAST_CONN || lb_sticky_ticks(conf))
			return true;
	}
	return false;
}

bool lb_model_remembers(const struct lb_model *m, uint16_t idx)
{
	const struct lb_service_entry *s = m->by_idx[m->ids.service_of[idx]];

	return !s || !lb_service_conf_translates(&s->pub.conf);
}

/* Which services have UDP alone, and limits. */
static void prepare_open(struct census *c, bool udp[LB_MAX_SERVICES])
{
	set_limits(c);
	for (size_t i = 0; i < c->m->nr; i++)
		udp[c->m->services[i]->pub.idx] = is_udp_alone(&c->m->services[i]->pub.conf);
}

/* Of an entry that binds. */
static bool is_open(const struct census *c, const bool udp[LB_MAX_SERVICES], __u64 e)
{
	return !(e & LB_FLOW_CLOSED) &&
	       (!udp[c->m->ids.service_of[LB_FLOW_BACKEND(e)]] || lb_flow_idle(e, c->now_age) <= LB_FLOW_IDLE_UDP);
}

void lb_model_open(const struct lb_model *m, const struct lb_flow_set *entries, uint32_t *open, uint8_t now_age)
{
	struct census c = {.m = (struct lb_model *)m, .now_age = now_age};
	bool udp[LB_MAX_SERVICES] = {0};

	prepare_open(&c, udp);
	memset(open, 0, LB_MAX_BACKENDS * sizeof(*open));
	for (size_t i = 0; i < (size_t)LB_FLOW_SETS * LB_FLOW_WAYS; i++) {
		__u64 e = __atomic_load_n(&entries[i / LB_FLOW_WAYS].entry[i % LB_FLOW_WAYS], __ATOMIC_RELAXED);

		lb_pause_at(i, PAUSE_SETS * LB_FLOW_WAYS);
		if (e && binds(&c, e) && !is_expired(&c, e) && is_open(&c, udp, e))
			open[LB_FLOW_BACKEND(e)]++;
	}
}

bool lb_model_live(const struct lb_model *m, struct lb_flow_set *entries, int64_t *live, uint8_t now_age)
{
	struct census c = {.m = (struct lb_model *)m, .now_age = now_age};
	bool udp[LB_MAX_SERVICES] = {0};

	if (!needs_live(m))
		return false;
	prepare_open(&c, udp);
	memset(live, 0, LB_MAX_BACKENDS * sizeof(*live));
	for (size_t i = 0; i < (size_t)LB_FLOW_SETS * LB_FLOW_WAYS; i++) {
		__u64 *entry = &entries[i / LB_FLOW_WAYS].entry[i % LB_FLOW_WAYS];
		__u64 e = __atomic_load_n(entry, __ATOMIC_RELAXED);
		uint16_t b = LB_FLOW_BACKEND(e);

		lb_pause_at(i, PAUSE_SETS * LB_FLOW_WAYS);
		if (!e)
			continue;
		/* While slots settle an entry that is old still counts once: see look_at. */
		if (!binds(&c, e) || (is_expired(&c, e) && m->by_idx[m->ids.service_of[b]]->settled))
			__atomic_compare_exchange_n(entry, &e, 0, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
		else if (is_open(&c, udp, e))
			live[b]++;
	}
	return true;
}
