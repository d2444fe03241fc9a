/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The configuration's containers: sorted arrays that own what they hold. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf.h"
#include "lb/dp/hash.h"
#include "names.h"
#include "nearest.h"
#include "pause.h"

#define S 1000000000ULL

struct lb_config *lb_config_new(void)
{
	struct lb_config *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->learning_window_ns = 900 * S;
	c->learn_rate = 100000;
	c->max_connections = 1U << 20;
	c->timeouts = (struct lb_timeouts_conf){
		.tcp_established_ns = (2 * 3600 + 4 * 60) * S,
		.tcp_transitory_ns = 4 * 60 * S,
		.tcp_half_open_ns = 30 * S,
		.udp_ns = 5 * 60 * S,
		.udp_unreplied_ns = 30 * S,
	};
	c->announce = (struct lb_announce_conf){
		.table = LB_ANNOUNCE_TABLE,
		.protocol = LB_ANNOUNCE_PROTOCOL,
		.delay_ns = 5 * S, /* first checks and the slots that they moved are settled by then */
		.drain_ns = 1 * S,
	};
	c->resolver = (struct lb_resolver_conf){
		.timeout_ns = 2 * S,
		.min_ttl_ns = 5 * S,
		.max_ttl_ns = 3600 * S,
		.max_addresses = 64,
	};
	c->defaults.quorum = 1;
	c->defaults.forward = LB_FORWARD_IPIP;
	c->defaults.gue_port = LB_GUE_PORT_DEFAULT;
	c->defaults.affinity = (struct lb_affinity_conf){.ipv4_prefix = 32, .ipv6_prefix = 128};
	c->defaults.state = LB_STATE_AUTO;
	c->defaults.tier_min = 1;
	c->defaults.check = (struct lb_check_conf){
		.type = LB_CHECK_NONE,
		.interval_ns = 2 * S,
		.timeout_ns = 1 * S,
		.rise = 2,
		.fall = 3,
		.path = "/",
		.status = {.nr = 1, .range = {{200, 399}}},
		.method = "GET",
		.verify = true,
		.flap_window_ns = 60 * S,
		.flap_hold_ns = 10 * S,
		.flap_hold_max_ns = 300 * S,
		.weight_floor = 1,
		.weight_step = 5,
	};
	return c;
}

void lb_config_hash_key(uint64_t word, uint64_t key[2])
{
	const __u64 sip_key[2] = {word, 0};
	const __u64 message = word;

	key[0] = word;
	key[1] = lb_sip_words(sip_key, &message, 1);
}

/* 0 with *@dst NULL when there is nothing to copy. */
static int array_copy(void *dst, const void *src, size_t nr, size_t size)
{
	void *copy = NULL;

	if (nr) {
		copy = malloc(nr * size);
		if (!copy)
			return -ENOMEM;
		memcpy(copy, src, nr * size);
	}
	memcpy(dst, &copy, sizeof(copy));
	return 0;
}

/* The names that are copied pointers yet become copies. */
static int names_copy(struct lb_service_conf *s)
{
	bool failed = false;

	for (size_t i = 0; i < s->nr_backends; i++) {
		char **name = &s->backends[i].name;

		if (!*name)
			continue;
		*name = strdup(*name);
		failed |= !*name;
	}
	return failed ? -ENOMEM : 0;
}

int lb_service_conf_copy(struct lb_service_conf *dst, const struct lb_service_conf *src)
{
	*dst = *src;
	dst->vips = NULL;
	dst->allow = dst->deny = NULL;
	dst->snat = NULL;
	dst->quic.configs = NULL;
	dst->backends = NULL;
	if (lb_check_conf_copy(&dst->check, &src->check) ||
	    array_copy(&dst->vips, src->vips, src->nr_vips, sizeof(*src->vips)) ||
	    array_copy(&dst->allow, src->allow, src->nr_allow, sizeof(*src->allow)) ||
	    array_copy(&dst->deny, src->deny, src->nr_deny, sizeof(*src->deny)) ||
	    array_copy(&dst->snat, src->snat, src->nr_snat, sizeof(*src->snat)) ||
	    array_copy(&dst->quic.configs, src->quic.configs, src->quic.nr_configs, sizeof(*src->quic.configs)) ||
	    array_copy(&dst->backends, src->backends, src->nr_backends, sizeof(*src->backends)) || names_copy(dst)) {
		lb_service_conf_fini(dst);
		return -ENOMEM;
	}
	return 0;
}

void lb_service_conf_fini(struct lb_service_conf *s)
{
	free(s->vips);
	free(s->allow);
	free(s->deny);
	free(s->snat);
	free(s->quic.configs);
	for (size_t i = 0; s->backends && i < s->nr_backends; i++)
		free(s->backends[i].name);
	free(s->backends);
	lb_check_conf_fini(&s->check);
	memset(s, 0, sizeof(*s));
}

struct lb_config *lb_config_copy(const struct lb_config *c)
{
	struct lb_config *copy = malloc(sizeof(*copy));

	if (!copy)
		return NULL;
	*copy = *c;
	copy->ifaces = NULL;
	copy->resolver.servers = NULL;
	copy->services = NULL;
	copy->nr_services = 0;
	if (lb_service_conf_copy(&copy->defaults, &c->defaults) ||
	    array_copy(&copy->resolver.servers, c->resolver.servers, c->resolver.nr_servers,
		       sizeof(*c->resolver.servers)) ||
	    array_copy(&copy->ifaces, c->ifaces, c->nr_ifaces, sizeof(*c->ifaces)))
		goto fail;
	if (c->nr_services) {
		copy->services = calloc(c->nr_services, sizeof(*c->services));
		if (!copy->services)
			goto fail;
	}
	for (; copy->nr_services < c->nr_services; copy->nr_services++) {
		if (lb_service_conf_copy(&copy->services[copy->nr_services], &c->services[copy->nr_services]))
			goto fail;
		lb_pause();
	}
	return copy;
fail:
	lb_config_free(copy);
	return NULL;
}

void lb_config_free(struct lb_config *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->nr_services; i++) {
		lb_service_conf_fini(&c->services[i]);
		lb_pause();
	}
	lb_service_conf_fini(&c->defaults);
	free(c->services);
	free(c->ifaces);
	free(c->resolver.servers);
	free(c);
}

/* ---- order ---- */

/* All are free of padding, and ports and addresses are in network order: memory order is the order wanted. */
_Static_assert(sizeof(struct lb_endpoint) == 18, "no hole");
_Static_assert(sizeof(struct lb_prefix) == 17, "no hole");

static int by_vip(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct lb_vip_conf));
}

static int by_prefix(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct lb_prefix));
}

static int by_snat(const void *a, const void *b)
{
	return memcmp(a, b, 16);
}

static int by_quic_id(const void *a, const void *b)
{
	const struct lb_quic_config *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

static int by_address(const void *a, const void *b)
{
	const struct lb_backend_conf *x = a, *y = b;

	return memcmp(&x->address, &y->address, sizeof(x->address));
}

static int by_service_name(const void *a, const void *b)
{
	const struct lb_service_conf *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static int by_iface_name(const void *a, const void *b)
{
	const struct lb_iface_conf *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static void sort(void *array, size_t nr, size_t size, int (*cmp)(const void *, const void *))
{
	if (nr)
		qsort(array, nr, size, cmp);
}

void lb_service_conf_sort(struct lb_service_conf *s)
{
	sort(s->vips, s->nr_vips, sizeof(*s->vips), by_vip);
	sort(s->allow, s->nr_allow, sizeof(*s->allow), by_prefix);
	sort(s->deny, s->nr_deny, sizeof(*s->deny), by_prefix);
	sort(s->snat, s->nr_snat, sizeof(*s->snat), by_snat);
	sort(s->quic.configs, s->quic.nr_configs, sizeof(*s->quic.configs), by_quic_id);
	sort(s->backends, s->nr_backends, sizeof(*s->backends), by_address);
}

void lb_config_sort(struct lb_config *c)
{
	for (size_t i = 0; i < c->nr_services; i++)
		lb_service_conf_sort(&c->services[i]);
	sort(c->services, c->nr_services, sizeof(*c->services), by_service_name);
	sort(c->ifaces, c->nr_ifaces, sizeof(*c->ifaces), by_iface_name);
}

/* The first position whose element is not before @key; *@found: it is equal. */
static size_t find(const void *array, size_t nr, size_t size, const void *key, int (*cmp)(const void *, const void *),
		   bool *found)
{
	const char *base = array;
	size_t low = 0, high = nr;

	*found = false;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int order = cmp(base + mid * size, key);

		if (!order)
			*found = true;
		if (order < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* Opens a gap of one element at @pos of *@array; the caller fills it and counts it. */
static int open_gap(void *array, size_t nr, size_t size, size_t pos)
{
	char *a;

	memcpy(&a, array, sizeof(a));
	a = realloc(a, (nr + 1) * size);
	if (!a)
		return -ENOMEM;
	memmove(a + (pos + 1) * size, a + pos * size, (nr - pos) * size);
	memcpy(array, &a, sizeof(a));
	return 0;
}

static void close_gap(void *array, size_t nr, size_t size, size_t pos)
{
	char *a = array;

	memmove(a + pos * size, a + (pos + 1) * size, (nr - pos - 1) * size);
}

static int no_memory(struct lb_err *err)
{
	return lb_err_set(err, -ENOMEM, NULL, "out of memory");
}

/* ---- services ---- */

static bool is_wildcard(const struct lb_vip_conf *v)
{
	return v->plen < 128 || !v->vip.port;
}

uint32_t lb_service_conf_features(const struct lb_service_conf *s)
{
	uint32_t features = LB_HAS_BASIC;

	if (s->forward == LB_FORWARD_GUE)
		features |= LB_HAS_GUE;
	if (s->quic.nr_configs)
		features |= LB_HAS_QUIC;
	if (s->ping)
		features |= LB_HAS_PING;
	if (s->mss_clamp)
		features |= LB_HAS_MSS;
	if (s->affinity.by == LB_AFFINITY_SOURCE)
		features |= LB_HAS_AFFINITY;
	if (s->policy != LB_POLICY_MAGLEV)
		features |= LB_HAS_CHOICE;
	if (s->nr_allow || s->nr_deny)
		features |= LB_HAS_ACCESS;
	if (s->source_rate_limit)
		features |= LB_HAS_SOURCE_RATE;
	if (lb_service_conf_translates(s))
		features |= LB_HAS_NAT;
	for (size_t i = 0; i < s->nr_vips; i++)
		features |= is_wildcard(&s->vips[i]) ? LB_HAS_WILDCARDS : 0;
	return features;
}

bool lb_service_conf_translates(const struct lb_service_conf *s)
{
	return s->forward == LB_FORWARD_NAT || s->forward == LB_FORWARD_FULLNAT;
}

enum lb_state_mode lb_service_conf_state(const struct lb_service_conf *s)
{
	if (lb_service_conf_translates(s))
		return LB_STATE_NONE; /* its connections are remembered elsewhere */
	if (s->policy != LB_POLICY_MAGLEV || (s->affinity.by != LB_AFFINITY_NONE && s->affinity.timeout_ns))
		return LB_STATE_ALL;
	return s->state;
}

struct lb_service_conf *lb_config_service(const struct lb_config *c, const char *name)
{
	struct lb_service_conf key = {0};
	bool found;
	size_t pos;

	if (strlen(name) >= sizeof(key.name))
		return NULL;
	strcpy(key.name, name);
	pos = find(c->services, c->nr_services, sizeof(key), &key, by_service_name, &found);
	return found ? &c->services[pos] : NULL;
}

static int vips_free(const struct lb_config *c, const struct lb_service_conf *s, struct lb_err *err)
{
	size_t total = s->nr_vips;
	char buf[LB_ADDR_STRLEN];
	bool found;

	for (size_t i = 0; i < c->nr_services; i++) {
		const struct lb_service_conf *other = &c->services[i];

		total += other->nr_vips;
		for (size_t v = 0; v < s->nr_vips; v++) {
			find(other->vips, other->nr_vips, sizeof(*s->vips), &s->vips[v], by_vip, &found);
			if (found)
				return lb_err_set(err, -EEXIST, NULL, "%s is a VIP of service %s already",
						  lb_vip_format(&s->vips[v], buf), other->name);
		}
	}
	if (total > LB_MAX_VIPS)
		return lb_err_set(err, -ENOSPC, NULL, "no room for more than %d VIPs", LB_MAX_VIPS);
	return 0;
}

static size_t count_backends(const struct lb_config *c)
{
	size_t nr = 0;

	for (size_t i = 0; i < c->nr_services; i++)
		nr += c->services[i].nr_backends;
	return nr;
}

int lb_config_add_service(struct lb_config *c, const struct lb_service_conf *s, struct lb_err *err)
{
	struct lb_service_conf copy;
	bool found;
	size_t pos;
	int ret;

	pos = find(c->services, c->nr_services, sizeof(*s), s, by_service_name, &found);
	if (found)
		return lb_err_set(err, -EEXIST, NULL,
				  "service %s exists already; change it with `lbctl service set %s`", s->name, s->name);
	ret = vips_free(c, s, err);
	if (ret)
		return ret;
	if (c->nr_services >= LB_MAX_SERVICES - 1)
		return lb_err_set(err, -ENOSPC, NULL, "no room for more than %d services", LB_MAX_SERVICES - 1);
	if (count_backends(c) + s->nr_backends > LB_MAX_BACKENDS - 1)
		return lb_err_set(err, -ENOSPC, NULL, "no room for more than %d backends", LB_MAX_BACKENDS - 1);
	if (lb_service_conf_copy(&copy, s))
		return no_memory(err);
	if (open_gap(&c->services, c->nr_services, sizeof(*s), pos)) {
		lb_service_conf_fini(&copy);
		return no_memory(err);
	}
	lb_service_conf_sort(&copy);
	c->services[pos] = copy;
	c->nr_services++;
	return 0;
}

int lb_config_del_service(struct lb_config *c, const char *name, struct lb_err *err)
{
	struct lb_service_conf *s = lb_config_service(c, name);
	const char **names, *near = NULL;

	if (s) {
		lb_service_conf_fini(s);
		close_gap(c->services, c->nr_services--, sizeof(*s), (size_t)(s - c->services));
		return 0;
	}
	names = calloc(c->nr_services + 1, sizeof(*names));
	for (size_t i = 0; names && i < c->nr_services; i++)
		names[i] = c->services[i].name;
	if (names)
		near = lb_nearest(name, names);
	lb_err_set(err, -ENOENT, NULL, "there is no service %.64s%s%s%s", lb_err_text(name),
		   near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
	free(names);
	return -ENOENT;
}

/* ---- backends ---- */

static bool is_vip_port(const struct lb_service_conf *s, __be16 port)
{
	for (size_t i = 0; i < s->nr_vips; i++)
		if (s->vips[i].vip.port == port)
			return true;
	return false;
}

struct lb_backend_conf *lb_service_conf_backend(const struct lb_service_conf *s, const struct lb_endpoint *ep)
{
	struct lb_backend_conf key = {.address = *ep};
	bool found;
	size_t pos;

	pos = find(s->backends, s->nr_backends, sizeof(key), &key, by_address, &found);
	if (found)
		return &s->backends[pos];
	key.address.port = 0;
	pos = find(s->backends, s->nr_backends, sizeof(key), &key, by_address, &found);
	if (ep->port)
		return found && is_vip_port(s, ep->port) ? &s->backends[pos] : NULL;
	for (; pos < s->nr_backends && !memcmp(s->backends[pos].address.addr, ep->addr, sizeof(ep->addr)); pos++)
		if (is_vip_port(s, s->backends[pos].address.port))
			return &s->backends[pos];
	return NULL;
}

int lb_service_conf_add_backend(struct lb_service_conf *s, const struct lb_backend_conf *b, struct lb_err *err)
{
	char buf[LB_BACKEND_STRLEN], *name = NULL;
	bool found;
	size_t pos;

	if (lb_service_conf_backend(s, &b->address)) {
		lb_backend_format(b, buf);
		return lb_err_set(err, -EEXIST, NULL,
				  "%s is a backend of service %s already; change it with `lbctl backend set %s %s`",
				  buf, s->name, s->name, buf);
	}
	if (s->nr_backends >= LB_MAX_BACKENDS - 1)
		return lb_err_set(err, -ENOSPC, NULL, "no room for more than %d backends", LB_MAX_BACKENDS - 1);
	pos = find(s->backends, s->nr_backends, sizeof(*b), b, by_address, &found);
	if (b->name)
		name = strdup(b->name);
	if ((b->name && !name) || open_gap(&s->backends, s->nr_backends, sizeof(*b), pos)) {
		free(name);
		return no_memory(err);
	}
	s->backends[pos] = *b;
	s->backends[pos].name = name;
	s->nr_backends++;
	return 0;
}

int lb_service_conf_del_backend(struct lb_service_conf *s, const struct lb_endpoint *ep, struct lb_err *err)
{
	struct lb_backend_conf *b = lb_service_conf_backend(s, ep);
	char(*texts)[LB_BACKEND_STRLEN], buf[LB_ADDR_STRLEN];
	const char **names, *near = NULL;

	if (b) {
		free(b->name);
		close_gap(s->backends, s->nr_backends--, sizeof(*b), (size_t)(b - s->backends));
		return 0;
	}
	texts = calloc(s->nr_backends + 1, sizeof(*texts));
	names = calloc(s->nr_backends + 1, sizeof(*names));
	for (size_t i = 0; texts && names && i < s->nr_backends; i++)
		names[i] = lb_backend_format(&s->backends[i], texts[i]);
	lb_endpoint_format(ep, buf);
	if (names)
		near = lb_nearest(buf, names);
	lb_err_set(err, -ENOENT, NULL, "service %s has no backend %s%s%s%s", s->name, buf,
		   near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
	free(names);
	free(texts);
	return -ENOENT;
}

/* ---- interfaces ---- */

int lb_config_add_iface(struct lb_config *c, const struct lb_iface_conf *i, struct lb_err *err)
{
	bool found;
	size_t pos;

	pos = find(c->ifaces, c->nr_ifaces, sizeof(*i), i, by_iface_name, &found);
	if (found)
		return lb_err_set(err, -EEXIST, NULL,
				  "interface %s is attached already; detach it first to change the mode", i->name);
	if (c->nr_ifaces >= LB_MAX_PORTS)
		return lb_err_set(err, -ENOSPC, NULL, "no room for more than %d interfaces", LB_MAX_PORTS);
	if (open_gap(&c->ifaces, c->nr_ifaces, sizeof(*i), pos))
		return no_memory(err);
	c->ifaces[pos] = *i;
	c->nr_ifaces++;
	return 0;
}

int lb_config_del_iface(struct lb_config *c, const char *name, struct lb_err *err)
{
	const char *names[LB_MAX_PORTS + 1] = {NULL}, *near;

	for (size_t i = 0; i < c->nr_ifaces; i++) {
		if (!strcmp(c->ifaces[i].name, name)) {
			close_gap(c->ifaces, c->nr_ifaces--, sizeof(*c->ifaces), i);
			return 0;
		}
		names[i] = c->ifaces[i].name;
	}
	near = lb_nearest(name, names);
	return lb_err_set(err, -ENOENT, NULL, "interface %.64s is not attached%s%s%s", lb_err_text(name),
			  near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}
