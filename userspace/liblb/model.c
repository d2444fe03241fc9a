// SPDX-License-Identifier: GPL-2.0-or-later
/* The model: facts come in, images go out. How a new configuration is taken over is in model_apply.c. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lb/dp/hash.h"
#include "model_priv.h"
#include "pause.h"
#include "share.h"

void lb_pool_put(struct lb_pool *p, uint16_t idx)
{
	p->ring[(p->head + p->nr++) % LB_MAX_BACKENDS] = idx;
}

uint16_t lb_pool_get(struct lb_pool *p)
{
	uint16_t idx;

	if (!p->nr)
		return 0;
	idx = p->ring[p->head];
	p->head = (p->head + 1) % LB_MAX_BACKENDS;
	p->nr--;
	return idx;
}

void lb_ids_kill(struct lb_ids *ids, uint16_t idx)
{
	if (ids->alive[idx])
		ids->gen[idx]++;
	ids->alive[idx] = false;
	ids->service_of[idx] = 0;
}

bool lb_ids_alive(void *ids, uint16_t idx)
{
	return ((const struct lb_ids *)ids)->alive[idx];
}

struct lb_model *lb_model_new(void)
{
	struct lb_model *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->conf = lb_config_new();
	if (!m->conf) {
		free(m);
		return NULL;
	}
	lb_model_set_snat_ports(m, LB_SNAT_FIRST, LB_SNAT_PORTS);
	for (uint32_t i = 1; i < LB_MAX_SERVICES; i++)
		lb_pool_put(&m->ids.services, (uint16_t)i);
	for (uint32_t i = 1; i < LB_MAX_BACKENDS; i++)
		lb_pool_put(&m->ids.backends, (uint16_t)i);
	return m;
}

void lb_model_free(struct lb_model *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->nr; i++)
		lb_service_entry_free(m->services[i]);
	for (size_t i = 0; i < m->nr_found; i++)
		lb_service_entry_free(m->found[i]);
	free(m->services);
	free(m->found);
	free(m->list);
	free(m->addrs);
	lb_config_free(m->conf);
	free(m);
}

static struct lb_service_entry *find_service(const struct lb_model *m, const char *name)
{
	size_t low = 0, high = m->nr;

	while (low < high) {
		size_t mid = (low + high) / 2;
		int order = strcmp(m->services[mid]->pub.conf.name, name);

		if (!order)
			return m->services[mid];
		if (order < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

/* A backend of @s, which may be NULL. NULL: there is none. */
static struct lb_model_backend *find_backend(struct lb_service_entry *s, const struct lb_endpoint *backend)
{
	const struct lb_backend_conf *conf = s ? lb_service_conf_backend(&s->pub.conf, backend) : NULL;

	return conf ? &s->pub.backends[conf - s->pub.conf.backends] : NULL;
}

int lb_model_set_health(struct lb_model *m, const char *service, const struct lb_endpoint *backend, enum lb_health h,
			uint32_t now_s)
{
	struct lb_service_entry *s = find_service(m, service);
	struct lb_model_backend *b = find_backend(s, backend);

	if (!b)
		return -ENOENT;
	if (s->pub.conf.check.type == LB_CHECK_NONE || b->conf.admin == LB_ADMIN_DISABLED || b->health == h)
		return 0;
	b->health = h;
	s->health_changed = true;
	s->stale = true;
	s->stale_s = now_s;
	return 1;
}

int lb_model_set_share(struct lb_model *m, const char *service, const struct lb_endpoint *backend, uint32_t percent,
		       uint32_t now_s)
{
	struct lb_service_entry *s = find_service(m, service);
	struct lb_model_backend *b = find_backend(s, backend);

	if (!b)
		return -ENOENT;
	if (!lb_check_conf_reads_weight(&s->pub.conf.check) || b->share_said % LB_SHARE_ALL == percent % LB_SHARE_ALL)
		return 0;
	b->share_said = (uint8_t)percent;
	s->stale = true;
	s->stale_s = now_s;
	return 1;
}

int lb_model_set_drained(struct lb_model *m, const char *service, const struct lb_endpoint *backend, uint32_t now_s)
{
	struct lb_service_entry *s = find_service(m, service);
	struct lb_model_backend *b = find_backend(s, backend);

	if (!b)
		return -ENOENT;
	if (b->conf.admin != LB_ADMIN_DRAINING || b->drained)
		return 0;
	b->drained = true;
	s->stale = true;
	s->stale_s = now_s;
	return 1;
}

/* The first of .addrs that is not before @addr. */
static size_t find_addr(const struct lb_model *m, const uint8_t addr[16])
{
	size_t low = 0, high = m->nr_addrs;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (memcmp(m->addrs[mid].addr, addr, 16) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

int lb_model_set_next_hop(struct lb_model *m, const uint8_t addr[16], const struct lb_next_hop *nh, uint32_t now_s)
{
	size_t i = find_addr(m, addr);
	int ret = -ENOENT;

	for (; i < m->nr_addrs && !memcmp(m->addrs[i].addr, addr, 16); i++) {
		struct lb_service_entry *s = m->addrs[i].service;
		struct lb_model_backend *b = &s->pub.backends[m->addrs[i].backend];
		struct lb_backend before, after;
		struct lb_vlan vlan;

		lb_entry_line(m->conf, s, b, &m->ids, &before);
		vlan = b->next_hop.vlan;
		b->next_hop = *nh;
		lb_entry_line(m->conf, s, b, &m->ids, &after);
		if (ret < 0)
			ret = 0;
		if (!memcmp(&before, &after, sizeof(before)) && !memcmp(&vlan, &nh->vlan, sizeof(vlan)))
			continue;
		lb_entry_dirty(s);
		if (!before.oif != !after.oif && b->conf.admin != LB_ADMIN_DISABLED) {
			s->stale = true;
			s->stale_s = now_s;
		}
		ret = 1;
	}
	return ret;
}

int lb_model_time(struct lb_model *m, uint32_t now_s, bool *more)
{
	int ret = 0;

	*more = false;
	for (size_t i = 0; i < m->nr; i++) {
		struct lb_service_entry *s = m->services[i];

		if (!s->pub.conf.slow_start_ns || !lb_entry_warm(s, now_s, more))
			continue;
		s->stale = true;
		s->stale_s = now_s;
		ret = 1;
	}
	return ret;
}

bool lb_model_alive(const struct lb_model *m, uint16_t idx)
{
	return m->ids.alive[idx];
}

bool lb_model_settled(const struct lb_model *m)
{
	for (size_t i = 0; i < m->nr; i++) {
		if (!m->services[i]->settled)
			return false;
	}
	return true;
}

static bool is_stale(const struct lb_service_entry *s)
{
	return s->stale || s->coming;
}

/* What the facts that came in mean. False: out of memory; what was not worked out yet is still to be. */
static bool compute_stale(struct lb_model *m)
{
	for (size_t i = 0; i < m->nr; i++) {
		struct lb_service_entry *s = m->services[i];

		if (is_stale(s) && lb_entry_compute(m, s, false, false, s->stale_s) < 0)
			return false;
		s->stale = false;
	}
	m->prepared = 0;
	return true;
}

int lb_model_prepare(struct lb_model *m, uint32_t slots)
{
	for (; m->prepared < m->nr; m->prepared++) {
		struct lb_service_entry *s = m->services[m->prepared];
		int ret = 0;

		if (!is_stale(s))
			continue;
		ret = slots ? lb_entry_advance(m, s, &slots) : 1;
		if (ret)
			return ret;
	}
	if (!slots) /* what was finished last is work enough before an image of it is made */
		return 1;
	m->prepared = 0;
	return 0;
}

bool lb_model_stale(const struct lb_model *m)
{
	for (size_t i = 0; i < m->nr; i++) {
		if (is_stale(m->services[i]))
			return true;
	}
	return false;
}

struct lb_image *lb_model_image(struct lb_model *m)
{
	return compute_stale(m) ? lb_model_image_prepared(m) : NULL;
}

static uint32_t seconds(uint64_t ns)
{
	return (uint32_t)((ns + 999999999) / 1000000000);
}

static void translating(const struct lb_model *m, struct lb_conf *conf)
{
	const struct lb_timeouts_conf *t = &m->conf->timeouts;

	conf->timers = (struct lb_conn_timers){
		.tcp_half_open_s = seconds(t->tcp_half_open_ns),
		.tcp_established_s = seconds(t->tcp_established_ns),
		.tcp_closing_s = seconds(t->tcp_transitory_ns),
		.udp_unreplied_s = seconds(t->udp_unreplied_ns),
		.udp_replied_s = seconds(t->udp_ns),
	};
	conf->snat_first = m->snat_first;
	conf->snat_ports = m->snat_ports;
}

void lb_model_set_snat_ports(struct lb_model *m, uint16_t first, uint16_t nr)
{
	m->snat_first = first;
	m->snat_ports = nr;
}

bool lb_model_set_vlans(struct lb_model *m, bool vlans)
{
	bool news = m->vlans != vlans;

	m->vlans = vlans;
	return news;
}

struct lb_image *lb_model_image_prepared(struct lb_model *m)
{
	struct lb_image *image = lb_image_new();

	if (!image)
		return NULL;
	/* as it is loaded: the first service is no reason to load it again */
	image->features = LB_HAS_BASIC | (m->vlans ? LB_HAS_VLAN : 0);
	image->conf.hash_key[0] = m->conf->hash_key[0];
	image->conf.hash_key[1] = m->conf->hash_key[1];
	image->conf.hash = lb_hash_secret(image->conf.hash_key);
	image->conf.learn_rate = m->conf->learn_rate;
	translating(m, &image->conf);
	memcpy(image->gen, m->ids.gen, sizeof(image->gen));
	for (size_t i = 0; i < m->nr; i++) {
		struct lb_service_entry *s = m->services[i];

		if (!s->image)
			s->image = lb_entry_image(m->conf, s, &m->ids);
		if (!s->image) {
			lb_image_free(image);
			return NULL;
		}
		image->services[s->pub.idx] = lb_service_image_get(s->image);
		image->features |= lb_service_conf_features(&s->pub.conf) | (s->image->tagged ? LB_HAS_VLAN : 0);
		lb_pause();
	}
	if (image->features & LB_HAS_NAT)
		image->conf.max_conns = m->conf->max_connections;
	return image;
}

const struct lb_config *lb_model_config(const struct lb_model *m)
{
	return m->conf;
}

const struct lb_model_service *lb_model_service(const struct lb_model *m, const char *name)
{
	const struct lb_service_entry *s = find_service(m, name);

	return s ? &s->pub : NULL;
}

size_t lb_model_services(const struct lb_model *m, const struct lb_model_service *const **list)
{
	*list = m->list;
	return m->nr;
}
