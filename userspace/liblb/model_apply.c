// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A new configuration for the model, and the adoption of maps that are in use. What is wished for anew is built beside
 * what there is and takes its place at the end, so that a failure changes nothing. Indices that become free are given
 * out again from the next change on, never by the one that frees them: while it is carried out, both are in the maps.
 *
 * Another hash key gives every flow another slot; no phase can smooth that. Tables then start without a past, all
 * stable, and connections go where the new key sends them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "model_priv.h"
#include "pause.h"
#include "share.h"

#define PAUSE_EVERY 512 /* backends */

struct change {
	struct lb_model *m;
	struct lb_config *conf;
	struct lb_service_entry **services;
	const struct lb_model_service **list;
	struct lb_addr_ref *addrs;
	size_t nr, nr_addrs;
	struct lb_ids *saved_ids;
	uint64_t saved_key[2];
	uint16_t freed_backends[LB_MAX_BACKENDS], freed_services[LB_MAX_SERVICES];
	size_t nr_freed_backends, nr_freed_services;
	bool key_changed, sources_changed;
	uint32_t now_s;
	struct lb_err *err;
};

static bool same_backend(const struct lb_backend_conf *a, const struct lb_backend_conf *b)
{
	return !memcmp(&a->address, &b->address, sizeof(a->address)) && a->weight == b->weight && a->tier == b->tier &&
	       a->admin == b->admin && !memcmp(&a->server_id, &b->server_id, sizeof(a->server_id));
}

static bool same_quic(const struct lb_quic_conf *a, const struct lb_quic_conf *b)
{
	if (a->nr_configs != b->nr_configs)
		return false;
	for (size_t i = 0; i < a->nr_configs; i++) {
		const struct lb_quic_config *x = &a->configs[i], *y = &b->configs[i];

		if (x->id != y->id || x->server_id_length != y->server_id_length ||
		    x->nonce_length != y->nonce_length || x->self_length != y->self_length)
			return false;
	}
	return true;
}

static bool same_prefixes(const struct lb_prefix *a, size_t nr_a, const struct lb_prefix *b, size_t nr_b)
{
	return nr_a == nr_b && (!nr_a || !memcmp(a, b, nr_a * sizeof(*a)));
}

/* As far as the model is concerned: how a check is made is the prober's business. */
static bool same_service(const struct lb_service_conf *a, const struct lb_service_conf *b)
{
	if (a->forward != b->forward || a->gue_port != b->gue_port || a->ping != b->ping ||
	    a->mss_clamp != b->mss_clamp || lb_service_conf_state(a) != lb_service_conf_state(b) ||
	    a->on_down != b->on_down || a->on_disable != b->on_disable || a->panic_threshold != b->panic_threshold ||
	    a->policy != b->policy || memcmp(&a->affinity, &b->affinity, sizeof(a->affinity)) ||
	    !same_quic(&a->quic, &b->quic) || (a->check.type == LB_CHECK_NONE) != (b->check.type == LB_CHECK_NONE) ||
	    a->nr_vips != b->nr_vips || a->nr_backends != b->nr_backends)
		return false;
	if (lb_check_conf_reads_weight(&a->check) != lb_check_conf_reads_weight(&b->check))
		return false;
	if (a->slow_start_ns != b->slow_start_ns || a->tier_min != b->tier_min)
		return false;
	if (a->nr_vips && memcmp(a->vips, b->vips, a->nr_vips * sizeof(*a->vips)))
		return false;
	if (a->nr_snat != b->nr_snat || (a->nr_snat && memcmp(a->snat, b->snat, a->nr_snat * sizeof(*a->snat))))
		return false;
	if (a->source_rate_limit != b->source_rate_limit ||
	    !same_prefixes(a->allow, a->nr_allow, b->allow, b->nr_allow) ||
	    !same_prefixes(a->deny, a->nr_deny, b->deny, b->nr_deny))
		return false;
	for (size_t i = 0; i < a->nr_backends; i++) {
		if (!same_backend(&a->backends[i], &b->backends[i]))
			return false;
	}
	return true;
}

static void free_backend_id(struct change *c, uint16_t idx)
{
	lb_ids_kill(&c->m->ids, idx);
	c->freed_backends[c->nr_freed_backends++] = idx;
}

static void free_service_ids(struct change *c, const struct lb_service_entry *s)
{
	for (size_t i = 0; i < s->pub.conf.nr_backends; i++)
		free_backend_id(c, s->pub.backends[i].idx);
	if (s->pub.idx)
		c->freed_services[c->nr_freed_services++] = s->pub.idx;
}

static int take_id(struct change *c, struct lb_pool *pool, const char *what, int limit, uint16_t *idx)
{
	*idx = lb_pool_get(pool);
	if (*idx)
		return 0;
	return lb_err_set(
		c->err, -ENOSPC, NULL,
		"no room for more than %d %s at a time, those included that this change removes: remove them first, "
		"then add the others",
		limit, what);
}

/* A check that begins finds backends that served until now: they go on until it says otherwise. A disabled backend is
 * not checked, and what was true of it need not be when it is enabled, by whichever daemon. */
static enum lb_health next_health(const struct lb_service_conf *conf, const struct lb_backend_conf *backend,
				  const struct lb_model_backend *old)
{
	if (conf->check.type == LB_CHECK_NONE)
		return LB_HEALTH_UNCHECKED;
	if (!old || backend->admin == LB_ADMIN_DISABLED)
		return LB_HEALTH_UNKNOWN;
	return old->health == LB_HEALTH_UNCHECKED ? LB_HEALTH_UP : old->health;
}

static int compare_addrs(const void *a, const void *b)
{
	return memcmp(((const struct lb_addr_ref *)a)->addr, ((const struct lb_addr_ref *)b)->addr, 16);
}

/* Another backend with the same address shares its next hop; otherwise none is known yet. */
static void known_next_hop(const struct lb_model *m, struct lb_model_backend *b)
{
	struct lb_addr_ref key;
	const struct lb_addr_ref *ref;

	memcpy(key.addr, b->conf.address.addr, sizeof(key.addr));
	ref = m->nr_addrs ? bsearch(&key, m->addrs, m->nr_addrs, sizeof(key), compare_addrs) : NULL;
	if (ref)
		b->next_hop = ref->service->pub.backends[ref->backend].next_hop;
}

/* What it said of its weight, or what the maps say that it had said; where nobody asks it, all counts. */
static void keep_share(struct lb_model_backend *b, const struct lb_service_entry *s, const struct lb_backend_conf *conf)
{
	uint32_t had = b->conf.weight;

	if (!lb_check_conf_reads_weight(&s->pub.conf.check))
		b->share_said = 0;
	else if (s->adopted && had && had < conf->weight)
		b->share_said = (uint8_t)((had * LB_SHARE_ALL + conf->weight - 1) / conf->weight);
}

static int build_backends(struct change *c, struct lb_service_entry *s, const struct lb_service_entry *old)
{
	const struct lb_service_conf *conf = &s->pub.conf;

	for (size_t i = 0; i < conf->nr_backends; i++) {
		struct lb_model_backend *b = &s->pub.backends[i];
		const struct lb_model_backend *was = old ? lb_entry_backend(old, &conf->backends[i].address, i) : NULL;
		int ret;

		lb_pause_at(i + 1, PAUSE_EVERY);
		if (was)
			*b = *was;
		keep_share(b, s, &conf->backends[i]);
		b->conf = conf->backends[i];
		b->conf.name = NULL; /* it is the configuration's, which may go before */
		b->drained &= b->conf.admin == LB_ADMIN_DRAINING;
		b->health = next_health(conf, &conf->backends[i], was);
		if (was)
			continue;
		ret = take_id(c, &c->m->ids.backends, "backends", LB_MAX_BACKENDS - 1, &b->idx);
		if (ret)
			return ret;
		b->gen = c->m->ids.gen[b->idx];
		c->m->ids.service_of[b->idx] = s->pub.idx;
		c->m->ids.born_s[b->idx] = c->now_s;
		known_next_hop(c->m, b);
	}
	for (size_t i = 0; old && i < old->pub.conf.nr_backends; i++) {
		if (!lb_entry_backend(s, &old->pub.backends[i].conf.address, i))
			free_backend_id(c, old->pub.backends[i].idx);
	}
	return 0;
}

/* The service as @conf wants it, from what it was (@old, NULL: new). @adopted: how long its slots have been as they are
 * is not known, so that their windows begin now. */
static int build_service(struct change *c, const struct lb_service_conf *conf, const struct lb_service_entry *old,
			 bool adopted, struct lb_service_entry **out)
{
	struct lb_service_entry *s = lb_service_entry_new(conf->nr_backends);
	int ret = s ? 0 : -ENOMEM;

	*out = s;
	if (ret)
		return ret;
	s->pub.conf = *conf;
	s->adopted = adopted;
	if (old) {
		s->pub.idx = old->pub.idx;
		s->pub.choice = old->pub.choice;
		s->past = lb_maglev_past_get(old->past);
		s->serving_s = old->serving_s;
	} else {
		ret = take_id(c, &c->m->ids.services, "services", LB_MAX_SERVICES - 1, &s->pub.idx);
	}
	if (!ret)
		ret = build_backends(c, s, old);
	if (!ret && old && old->pub.slots && !c->key_changed) {
		lb_pause();
		s->pub.slots = lb_slots_copy(old->pub.slots);
		lb_pause();
		ret = s->pub.slots ? 0 : -ENOMEM;
	}
	for (size_t i = 0; !ret && adopted && s->pub.slots && i < 1UL << s->pub.slots->shift; i++)
		s->pub.slots->since_s[i] = c->now_s;
	if (!ret)
		ret = lb_entry_compute(c->m, s, true, c->key_changed, c->now_s);
	return ret < 0 ? ret : 0;
}

static struct lb_service_entry *find_found(const struct lb_model *m, const char *name)
{
	uint64_t name_id = lb_name_id(name);
	size_t low = 0, high = m->nr_found;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (m->found[mid]->pub.name_id < name_id)
			low = mid + 1;
		else
			high = mid;
	}
	return low < m->nr_found && m->found[low]->pub.name_id == name_id ? m->found[low] : NULL;
}

/* Both lists are in order of name. */
static int build_services(struct change *c)
{
	struct lb_model *m = c->m;
	size_t was = 0;
	int ret = 0;

	for (size_t i = 0; !ret && i < c->conf->nr_services; i++) {
		const struct lb_service_conf *conf = &c->conf->services[i];
		struct lb_service_entry *old = NULL, *found = NULL;

		while (was < m->nr && strcmp(m->services[was]->pub.conf.name, conf->name) < 0)
			free_service_ids(c, m->services[was++]);
		if (was < m->nr && !strcmp(m->services[was]->pub.conf.name, conf->name))
			old = m->services[was++];
		else
			found = find_found(m, conf->name);
		c->nr = i + 1;
		if (old && !c->key_changed && same_service(&old->pub.conf, conf))
			c->services[i] = old;
		else
			ret = build_service(c, conf, old ? old : found, found, &c->services[i]);
		if (found)
			found->settled = true; /* has a place in the new world */
		lb_pause();
	}
	while (!ret && was < m->nr)
		free_service_ids(c, m->services[was++]);
	for (size_t i = 0; !ret && i < m->nr_found; i++) {
		if (!m->found[i]->settled)
			free_service_ids(c, m->found[i]);
	}
	return ret;
}

static int check_room(const struct change *c)
{
	unsigned long long slots = 0;

	for (size_t i = 0; i < c->nr; i++)
		slots += 1ULL << c->services[i]->pub.slots->shift;
	if (slots <= LB_SLOTS)
		return 0;
	return lb_err_set(
		c->err, -ENOSPC, NULL,
		"the tables of all services need %llu slots and there is room for %u: use fewer backends, or weights "
		"that are closer together",
		slots, LB_SLOTS);
}

static int index_addrs(struct change *c)
{
	bool unsorted = false; /* one service's backends are in order already */
	size_t nr = 0;

	for (size_t i = 0; i < c->nr; i++)
		nr += c->conf->services[i].nr_backends;
	c->addrs = calloc(nr ? nr : 1, sizeof(*c->addrs));
	if (!c->addrs)
		return -ENOMEM;
	for (size_t i = 0; i < c->nr; i++) {
		for (size_t j = 0; j < c->conf->services[i].nr_backends; j++) {
			struct lb_addr_ref *ref = &c->addrs[c->nr_addrs++];

			memcpy(ref->addr, c->conf->services[i].backends[j].address.addr, sizeof(ref->addr));
			ref->backend = (uint32_t)j;
			ref->service = c->services[i];
		}
	}
	for (size_t i = 1; i < c->nr_addrs && !unsorted; i++)
		unsorted = compare_addrs(&c->addrs[i - 1], &c->addrs[i]) > 0;
	if (unsorted)
		qsort(c->addrs, c->nr_addrs, sizeof(*c->addrs), compare_addrs);
	return 0;
}

static int begin(struct change *c, struct lb_model *m, const struct lb_config *conf)
{
	c->m = m;
	c->conf = lb_config_copy(conf);
	c->services = calloc(conf->nr_services ? conf->nr_services : 1, sizeof(*c->services));
	c->list = calloc(conf->nr_services ? conf->nr_services : 1, sizeof(*c->list));
	c->saved_ids = malloc(sizeof(*c->saved_ids));
	if (!c->conf || !c->services || !c->list || !c->saved_ids)
		return -ENOMEM;
	*c->saved_ids = m->ids;
	memcpy(c->saved_key, m->hash_key, sizeof(c->saved_key));
	c->key_changed = memcmp(m->hash_key, conf->hash_key, sizeof(m->hash_key));
	memcpy(m->hash_key, conf->hash_key, sizeof(m->hash_key));
	c->sources_changed = memcmp(&m->conf->tunnel_source4, &conf->tunnel_source4, sizeof(conf->tunnel_source4)) ||
			     memcmp(&m->conf->tunnel_source6, &conf->tunnel_source6, sizeof(conf->tunnel_source6));
	return 0;
}

/* A service that stayed as it was is in both lists, at its own index. */
static bool is_kept(const struct change *c, const struct lb_service_entry *s)
{
	return c->m->by_idx[s->pub.idx] == s;
}

static void commit(struct change *c)
{
	struct lb_model *m = c->m;
	struct lb_service_entry **was = m->services, **found = m->found;
	size_t nr_was = m->nr, nr_found = m->nr_found;
	struct lb_config *conf = m->conf;

	for (size_t i = 0; i < m->nr; i++) {
		lb_pause_at(i, PAUSE_EVERY);
		m->by_idx[m->services[i]->pub.idx] = NULL;
	}
	for (size_t i = 0; i < c->nr; i++) {
		lb_pause_at(i, PAUSE_EVERY); /* what is in both lists has the same configuration in another place */
		c->services[i]->pub.conf = c->conf->services[i];
		m->by_idx[c->services[i]->pub.idx] = c->services[i];
		c->list[i] = &c->services[i]->pub;
		if (c->sources_changed)
			lb_entry_dirty(c->services[i]);
	}
	for (size_t i = 0; i < c->nr_freed_backends; i++)
		lb_pool_put(&m->ids.backends, c->freed_backends[i]);
	for (size_t i = 0; i < c->nr_freed_services; i++)
		lb_pool_put(&m->ids.services, c->freed_services[i]);
	m->found = NULL;
	m->nr_found = 0;
	free(m->list);
	free(m->addrs);
	m->services = c->services;
	m->list = c->list;
	m->nr = c->nr;
	m->prepared = 0;
	m->addrs = c->addrs;
	m->nr_addrs = c->nr_addrs;
	m->conf = c->conf;
	/* From here on the new ones are what there is. */
	for (size_t i = 0; i < nr_was; i++) {
		lb_pause();
		if (!is_kept(c, was[i]))
			lb_service_entry_free(was[i]);
	}
	for (size_t i = 0; i < nr_found; i++) {
		lb_pause();
		lb_service_entry_free(found[i]);
	}
	free(was);
	free(found);
	lb_config_free(conf);
	lb_pause();
}

static void undo(struct change *c)
{
	struct lb_model *m = c->m;

	if (c->saved_ids && c->conf && c->services && c->list) {
		m->ids = *c->saved_ids;
		memcpy(m->hash_key, c->saved_key, sizeof(m->hash_key));
	}
	for (size_t i = 0; i < m->nr_found; i++)
		m->found[i]->settled = false;
	for (size_t i = 0; i < c->nr; i++) {
		if (c->services[i] && !is_kept(c, c->services[i]))
			lb_service_entry_free(c->services[i]);
	}
	free(c->services);
	free(c->list);
	free(c->addrs);
	lb_config_free(c->conf);
}

int lb_model_apply(struct lb_model *m, const struct lb_config *conf, uint32_t now_s, struct lb_err *err)
{
	struct change *c = calloc(1, sizeof(*c));
	int ret;

	if (!c)
		return lb_err_set(err, -ENOMEM, NULL, "out of memory");
	c->now_s = now_s;
	c->err = err;
	ret = begin(c, m, conf);
	if (!ret)
		ret = build_services(c);
	if (!ret)
		ret = check_room(c);
	if (!ret)
		ret = index_addrs(c);
	lb_pause();
	if (!ret)
		commit(c);
	else
		undo(c);
	if (ret == -ENOMEM)
		lb_err_set(err, ret, NULL, "out of memory");
	free(c->saved_ids);
	free(c);
	return ret;
}
