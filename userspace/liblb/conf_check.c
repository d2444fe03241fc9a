/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What makes a configuration wrong although each of its fields is right. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf.h"

static int refuse_field(struct lb_conf_where *where, const char *field)
{
	where->field = field;
	return -EINVAL;
}

/* One backend against one VIP of its service. */
static int check_pair(const struct lb_service_conf *s, const struct lb_backend_conf *b, const struct lb_vip *vip,
		      struct lb_conf_where *where, struct lb_err *err)
{
	const char *mode = s->forward == LB_FORWARD_L2 ? "l2" : "ipip";
	char addr[LB_ADDR_STRLEN], text[LB_ADDR_STRLEN];

	if (!memcmp(b->address.addr, vip->addr, sizeof(vip->addr))) {
		lb_err_set(err, -EINVAL, NULL, "%s is the service's own VIP; write the backend's address",
			   lb_addr_format(b->address.addr, addr));
		return refuse_field(where, "address");
	}
	if (b->address.port && b->address.port != vip->port) {
		lb_err_set(err, -EINVAL, NULL,
			   "port %u differs from the VIP's, %u, and %s cannot translate it; leave it out",
			   ntohs(b->address.port), ntohs(vip->port), mode);
		return refuse_field(where, "address");
	}
	if (s->forward == LB_FORWARD_L2 && lb_addr_is_v4(b->address.addr) != lb_addr_is_v4(vip->addr)) {
		lb_err_set(err, -EINVAL, NULL, "l2 cannot bring %s to %s, of another family; use ipip",
			   lb_vip_format(vip, text), lb_addr_format(b->address.addr, addr));
		return refuse_field(where, "address");
	}
	return 0;
}

static int check_backends(const struct lb_service_conf *s, struct lb_conf_where *where, struct lb_err *err)
{
	char buf[LB_ADDR_STRLEN];
	int ret = 0;

	for (size_t i = 0; !ret && i < s->nr_backends; i++) {
		const struct lb_backend_conf *b = &s->backends[i];

		where->backend = (ssize_t)i;
		for (size_t v = 0; !ret && v < s->nr_vips; v++)
			ret = check_pair(s, b, &s->vips[v], where, err);
		if (ret || !i)
			continue;
		/* Sorted, and every port is 0 or the VIP's: with and without the port are neighbours, and the same. */
		if (!memcmp(b[-1].address.addr, b->address.addr, sizeof(b->address.addr))) {
			lb_err_set(err, -EINVAL, NULL, "%s is listed twice", lb_endpoint_format(&b->address, buf));
			ret = refuse_field(where, "address");
		}
	}
	if (!ret)
		where->backend = -1;
	return ret;
}

/* Whatever the type: a check that is off may be switched on by its type alone. @field: what the timeout is called. */
static int check_timeout(const struct lb_check_conf *c, const char *field, struct lb_conf_where *where,
			 struct lb_err *err)
{
	char timeout[LB_ADDR_STRLEN], interval[LB_ADDR_STRLEN];

	if (c->timeout_ns <= c->interval_ns)
		return 0;
	lb_err_set(err, -EINVAL, NULL, "the timeout, %s, is longer than the interval, %s; shorten it",
		   lb_duration_format(c->timeout_ns, timeout), lb_duration_format(c->interval_ns, interval));
	return refuse_field(where, field);
}

static int check_service(const struct lb_service_conf *s, struct lb_conf_where *where, struct lb_err *err)
{
	int ret;

	if (!s->nr_vips) {
		lb_err_set(err, -EINVAL, NULL, "a service needs a VIP");
		return refuse_field(where, "vip");
	}
	ret = check_timeout(&s->check, "check.timeout", where, err);
	return ret ? ret : check_backends(s, where, err);
}

struct owned_vip {
	struct lb_vip vip; /* first: the order is the VIPs' */
	size_t service;
};

static int by_vip(const void *a, const void *b)
{
	const struct owned_vip *x = a, *y = b;
	int order = memcmp(&x->vip, &y->vip, sizeof(x->vip));

	return order ? order : (x->service > y->service) - (x->service < y->service);
}

static int check_vips(const struct lb_config *c, size_t nr, struct lb_conf_where *where, struct lb_err *err)
{
	struct owned_vip *all = calloc(nr + 1, sizeof(*all));
	char buf[LB_ADDR_STRLEN];
	size_t n = 0;
	int ret = 0;

	if (!all)
		return lb_err_set(err, -ENOMEM, NULL, "out of memory");
	for (size_t i = 0; i < c->nr_services; i++)
		for (size_t v = 0; v < c->services[i].nr_vips; v++)
			all[n++] = (struct owned_vip){.vip = c->services[i].vips[v], .service = i};
	qsort(all, n, sizeof(*all), by_vip);
	for (size_t i = 1; !ret && i < n; i++) {
		if (memcmp(&all[i - 1].vip, &all[i].vip, sizeof(all[i].vip)))
			continue;
		where->service = (ssize_t)all[i].service;
		lb_vip_format(&all[i].vip, buf);
		if (all[i - 1].service == all[i].service)
			lb_err_set(err, -EINVAL, NULL, "%s is listed twice", buf);
		else
			lb_err_set(err, -EINVAL, NULL, "%s is a VIP of service %s already", buf,
				   c->services[all[i - 1].service].name);
		ret = refuse_field(where, "vip");
	}
	free(all);
	return ret;
}

static int check_room(size_t nr, size_t max, const char *what, struct lb_err *err)
{
	if (nr <= max)
		return 0;
	return lb_err_set(err, -ENOSPC, NULL, "no room for %zu %s; at most %zu", nr, what, max);
}

static int check_interfaces(const struct lb_config *c, struct lb_conf_where *where, struct lb_err *err)
{
	for (size_t i = 1; i < c->nr_ifaces; i++) {
		if (strcmp(c->ifaces[i - 1].name, c->ifaces[i].name))
			continue;
		where->iface = (ssize_t)i;
		lb_err_set(err, -EINVAL, NULL, "%s is listed twice", c->ifaces[i].name);
		return refuse_field(where, "name");
	}
	return check_room(c->nr_ifaces, LB_MAX_PORTS, "interfaces", err);
}

int lb_config_check_at(const struct lb_config *c, struct lb_conf_where *where, struct lb_err *err)
{
	size_t nr_vips = 0, nr_backends = 0;
	int ret;

	*where = (struct lb_conf_where){.iface = -1, .service = -1, .backend = -1};
	ret = check_interfaces(c, where, err);
	if (!ret)
		ret = check_timeout(&c->defaults.check, "defaults.check.timeout", where, err);
	for (size_t i = 0; !ret && i < c->nr_services; i++) {
		const struct lb_service_conf *s = &c->services[i];

		where->service = (ssize_t)i;
		nr_vips += s->nr_vips;
		nr_backends += s->nr_backends;
		if (i && !strcmp(s[-1].name, s->name)) {
			lb_err_set(err, -EINVAL, NULL, "there are two services %s; give one another name", s->name);
			return refuse_field(where, "name");
		}
		ret = check_service(s, where, err);
	}
	if (ret)
		return ret;
	where->service = -1;
	ret = check_room(c->nr_services, LB_MAX_SERVICES - 1, "services", err);
	if (!ret)
		ret = check_room(nr_backends, LB_MAX_BACKENDS - 1, "backends", err);
	if (!ret)
		ret = check_room(nr_vips, LB_MAX_VIPS, "VIPs", err);
	if (!ret)
		ret = check_vips(c, nr_vips, where, err);
	return ret;
}

int lb_config_check(const struct lb_config *c, struct lb_err *err)
{
	char path[sizeof(err->path)] = "", addr[LB_ADDR_STRLEN];
	struct lb_conf_where w;
	struct lb_err e = {0};
	size_t n = 0;
	int ret;

	ret = lb_config_check_at(c, &w, &e);
	if (!ret)
		return 0;
	if (w.iface >= 0)
		n = (size_t)snprintf(path, sizeof(path), "interfaces[%s]", c->ifaces[w.iface].name);
	if (w.service >= 0)
		n = (size_t)snprintf(path, sizeof(path), "services[%s]", c->services[w.service].name);
	if (w.backend >= 0)
		n += (size_t)snprintf(path + n, sizeof(path) - n, ".backends[%s]",
				      lb_endpoint_format(&c->services[w.service].backends[w.backend].address, addr));
	if (w.field)
		snprintf(path + n, sizeof(path) - n, "%s%s", n ? "." : "", w.field);
	return lb_err_set(err, ret, path, "%s", e.message);
}
