/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What makes a configuration wrong although each of its fields is right. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf.h"
#include "conf_room.h"
#include "pause.h"
#include "later.h"
#include "names.h"
#include "snat.h"

static int refuse_field(struct lb_conf_where *where, const char *field)
{
	where->field = field;
	return -EINVAL;
}

static const char *mode_name(const struct lb_service_conf *s)
{
	static const char *const names[] = {"", "l2", "ipip", "gue", "nat", "fullnat"};

	return names[s->forward];
}

/* One backend's port against one VIP's. */
static int check_port(const struct lb_service_conf *s, const struct lb_backend_conf *b, const struct lb_vip_conf *vip,
		      struct lb_conf_where *where, struct lb_err *err)
{
	char text[LB_ADDR_STRLEN];

	if (!b->address.port || b->address.port == vip->vip.port)
		return 0;
	if (!vip->vip.port)
		lb_err_set(err, -EINVAL, NULL, "port %u cannot take the place of all ports of %s; leave it out",
			   ntohs(b->address.port), lb_vip_format(vip, text));
	else if (!lb_service_conf_translates(s))
		lb_err_set(err, -EINVAL, NULL,
			   "port %u differs from the VIP's, %u, and %s cannot translate it; leave it out",
			   ntohs(b->address.port), ntohs(vip->vip.port), mode_name(s));
	else
		return 0;
	return refuse_field(where, "address");
}

/* One backend against one VIP of its service. A backend inside a VIP's prefix is in order: all of a network may be
 * balanced by what is in it. */
static int check_pair(const struct lb_service_conf *s, const struct lb_backend_conf *b, const struct lb_vip_conf *vip,
		      struct lb_conf_where *where, struct lb_err *err)
{
	char addr[LB_ADDR_STRLEN], text[LB_ADDR_STRLEN];

	if (vip->plen == 128 && !memcmp(b->address.addr, vip->vip.addr, sizeof(vip->vip.addr))) {
		lb_err_set(err, -EINVAL, NULL, "%s is the service's own VIP; write the backend's address",
			   lb_addr_format(b->address.addr, addr));
		return refuse_field(where, "address");
	}
	if (s->forward == LB_FORWARD_L2 && lb_addr_is_v4(b->address.addr) != lb_addr_is_v4(vip->vip.addr)) {
		lb_err_set(err, -EINVAL, NULL, "l2 cannot bring %s to %s, of another family; use ipip",
			   lb_vip_format(vip, text), lb_addr_format(b->address.addr, addr));
		return refuse_field(where, "address");
	}
	if (s->forward == LB_FORWARD_NAT && lb_addr_is_v4(b->address.addr) != lb_addr_is_v4(vip->vip.addr)) {
		lb_err_set(err, -EINVAL, NULL,
			   "nat cannot show clients of %s to %s, of another family; use fullnat with an address of that "
			   "in snat",
			   lb_vip_format(vip, text), lb_addr_format(b->address.addr, addr));
		return refuse_field(where, "address");
	}
	return check_port(s, b, vip, where, err);
}

/* fullnat speaks to a backend from an address of its family. */
static int check_snat_family(const struct lb_service_conf *s, const struct lb_backend_conf *b,
			     struct lb_conf_where *where, struct lb_err *err)
{
	bool v4 = lb_addr_is_v4(b->address.addr);
	char addr[LB_ADDR_STRLEN];

	for (size_t i = 0; i < s->nr_snat; i++)
		if (lb_addr_is_v4(s->snat[i]) == v4)
			return 0;
	lb_err_set(err, -EINVAL, NULL, "fullnat needs an %s address to speak to %s; add one to snat",
		   v4 ? "IPv4" : "IPv6", lb_addr_format(b->address.addr, addr));
	return refuse_field(where, "address");
}

static int check_server_id(const struct lb_service_conf *s, const struct lb_backend_conf *b,
			   struct lb_conf_where *where, struct lb_err *err)
{
	for (size_t i = 0; b->server_id.len && i < s->quic.nr_configs; i++) {
		const struct lb_quic_config *c = &s->quic.configs[i];

		if (c->server_id_length == b->server_id.len)
			continue;
		lb_err_set(err, -EINVAL, NULL, "%u bytes, and QUIC configuration %u has server IDs of %u; write %u",
			   b->server_id.len, c->id, c->server_id_length, c->server_id_length);
		return refuse_field(where, "server_id");
	}
	return 0;
}

/* The backend of the same address, earlier in the list, that is the same as @b: of the same port or, where one of them
 * has none, the VIP's. -1: none. */
static ssize_t find_same(const struct lb_service_conf *s, size_t first, size_t i)
{
	__be16 port = s->backends[i].address.port;

	if (first == i)
		return -1;
	if (s->backends[i - 1].address.port == port)
		return (ssize_t)i - 1;
	for (size_t v = 0; !s->backends[first].address.port && v < s->nr_vips; v++)
		if (s->vips[v].vip.port == port)
			return (ssize_t)first;
	return -1;
}

bool lb_backend_conf_fits(const struct lb_service_conf *s, const struct lb_backend_conf *b)
{
	struct lb_conf_where where;
	struct lb_err err;

	if (lb_addr_unusable(b->address.addr) ||
	    (s->forward == LB_FORWARD_FULLNAT && check_snat_family(s, b, &where, &err)))
		return false;
	for (size_t v = 0; v < s->nr_vips; v++)
		if (check_pair(s, b, &s->vips[v], &where, &err))
			return false;
	return true;
}

/* What addresses will come of a name is not known; those that do not fit will be left out. */
static int check_name(const struct lb_service_conf *s, const struct lb_backend_conf *b, struct lb_conf_where *where,
		      struct lb_err *err)
{
	int ret = 0;

	if (b->server_id.len) {
		lb_err_set(err, -EINVAL, NULL, "names one backend, and %s may be many; write their addresses", b->name);
		return refuse_field(where, "server_id");
	}
	for (size_t v = 0; !ret && v < s->nr_vips; v++)
		ret = check_port(s, b, &s->vips[v], where, err);
	return ret;
}

static int check_address(const struct lb_service_conf *s, const struct lb_backend_conf *b, struct lb_conf_where *where,
			 struct lb_err *err)
{
	int ret = 0;

	for (size_t v = 0; !ret && v < s->nr_vips; v++)
		ret = check_pair(s, b, &s->vips[v], where, err);
	if (!ret && s->forward == LB_FORWARD_FULLNAT)
		ret = check_snat_family(s, b, where, err);
	if (!ret)
		ret = check_server_id(s, b, where, err);
	return ret;
}

static int check_backends(const struct lb_service_conf *s, struct lb_conf_where *where, struct lb_err *err)
{
	char buf[LB_BACKEND_STRLEN];
	size_t first = 0; /* backend of this address */
	int ret = 0;

	for (size_t i = 0; !ret && i < s->nr_backends; i++) {
		const struct lb_backend_conf *b = &s->backends[i];

		where->backend = (ssize_t)i;
		ret = lb_backend_is_name(b) ? check_name(s, b, where, err) : check_address(s, b, where, err);
		if (memcmp(s->backends[first].address.addr, b->address.addr, sizeof(b->address.addr)))
			first = i;
		if (!ret && find_same(s, first, i) >= 0) {
			lb_err_set(err, -EINVAL, NULL, "%s is listed twice", lb_backend_format(b, buf));
			ret = refuse_field(where, "address");
		}
	}
	if (!ret)
		where->backend = -1;
	return ret;
}

static int by_server_id(const void *a, const void *b)
{
	const struct lb_backend_conf *const *x = a, *const *y = b;
	int order = memcmp(&(*x)->server_id, &(*y)->server_id, sizeof((*x)->server_id));

	return order ? order : (*x > *y) - (*x < *y);
}

/* A server ID names one backend. */
static int check_server_ids(const struct lb_service_conf *s, struct lb_conf_where *where, struct lb_err *err)
{
	const struct lb_backend_conf **with;
	char buf[LB_ADDR_STRLEN];
	size_t nr = 0;
	int ret = 0;

	for (size_t i = 0; i < s->nr_backends; i++)
		nr += s->backends[i].server_id.len != 0;
	if (nr < 2)
		return 0;
	with = calloc(nr, sizeof(*with));
	if (!with)
		return lb_err_set(err, -ENOMEM, NULL, "out of memory");
	nr = 0;
	for (size_t i = 0; i < s->nr_backends; i++)
		if (s->backends[i].server_id.len)
			with[nr++] = &s->backends[i];
	qsort(with, nr, sizeof(*with), by_server_id);
	for (size_t i = 1; !ret && i < nr; i++) {
		if (memcmp(&with[i - 1]->server_id, &with[i]->server_id, sizeof(with[i]->server_id)))
			continue;
		where->backend = with[i] - s->backends;
		lb_err_set(err, -EINVAL, NULL, "%s has the same server ID; give each its own",
			   lb_endpoint_format(&with[i - 1]->address, buf));
		ret = refuse_field(where, "server_id");
	}
	free(with);
	return ret;
}

/* Whatever the type: a check that is off may be switched on by its type alone. @field: what the timeout
 * is called, @fast: the fast interval. */
static int check_times(const struct lb_check_conf *c, const char *field, const char *fast, struct lb_conf_where *where,
		       struct lb_err *err)
{
	char timeout[LB_ADDR_STRLEN], interval[LB_ADDR_STRLEN];

	if (c->fast_interval_ns > c->interval_ns) {
		lb_err_set(err, -EINVAL, NULL, "%s is longer than the interval, %s; shorten it",
			   lb_duration_format(c->fast_interval_ns, timeout),
			   lb_duration_format(c->interval_ns, interval));
		return refuse_field(where, fast);
	}
	if (c->timeout_ns <= c->interval_ns)
		return 0;
	lb_err_set(err, -EINVAL, NULL, "the timeout, %s, is longer than the interval, %s; shorten it",
		   lb_duration_format(c->timeout_ns, timeout), lb_duration_format(c->interval_ns, interval));
	return refuse_field(where, field);
}

/* A port to check, where neither the check nor the VIP says one. */
static int check_checked_port(const struct lb_service_conf *s, struct lb_conf_where *where, struct lb_err *err)
{
	char text[LB_ADDR_STRLEN];

	if (s->check.type == LB_CHECK_NONE || s->check.type == LB_CHECK_PING || s->check.type == LB_CHECK_EXEC ||
	    s->check.port)
		return 0;
	for (size_t i = 0; i < s->nr_vips; i++) {
		if (s->vips[i].vip.port)
			continue;
		lb_err_set(err, -EINVAL, NULL, "%s has no one port to check; write check.port",
			   lb_vip_format(&s->vips[i], text));
		return refuse_field(where, "check.port");
	}
	return 0;
}

/* What a type of check cannot do without, or with. */
static int check_check(const struct lb_service_conf *s, struct lb_conf_where *where, struct lb_err *err)
{
	const struct lb_check_conf *c = &s->check;

	if (c->type == LB_CHECK_DNS && !c->name) {
		lb_err_set(err, -EINVAL, NULL,
			   "a dns check asks for a name; write one (such as check: dns:example.org)");
		return refuse_field(where, "check.name");
	}
	if (c->type == LB_CHECK_EXEC && !c->program) {
		lb_err_set(err, -EINVAL, NULL,
			   "an exec check runs a program; write one (such as check: exec:/usr/local/bin/check)");
		return refuse_field(where, "check.program");
	}
	if ((c->type == LB_CHECK_HTTP || c->type == LB_CHECK_HTTPS) && !strcmp(c->method, "HEAD") && *c->body) {
		lb_err_set(err, -EINVAL, NULL, "there is no body in the answer to HEAD; leave it out, or use GET");
		return refuse_field(where, "check.expect_body");
	}
	if (c->weight_header && c->weight_body) {
		lb_err_set(err, -EINVAL, NULL, "a weight is read from the header %.64s already; leave out one of them",
			   c->weight_header);
		return refuse_field(where, "check.weight_body");
	}
	if ((c->type == LB_CHECK_HTTP || c->type == LB_CHECK_HTTPS) && !strcmp(c->method, "HEAD") && c->weight_body) {
		lb_err_set(err, -EINVAL, NULL,
			   "there is no body in the answer to HEAD; use GET, or a header: weight_header");
		return refuse_field(where, "check.weight_body");
	}
	return 0;
}

/* Who is to be checked by way of the VIP. */
static int check_via(const struct lb_service_conf *s, struct lb_conf_where *where, struct lb_err *err)
{
	const struct lb_check_conf *c = &s->check;

	if (c->type == LB_CHECK_NONE || c->via != LB_CHECK_VIA_VIP)
		return 0;
	if (c->type == LB_CHECK_EXEC)
		lb_err_set(err, -EINVAL, NULL, "an exec check's program finds its own way; write direct");
	else if (lb_service_conf_translates(s))
		lb_err_set(err, -EINVAL, NULL,
			   "with %s the way of clients' packets is the backend's address; write direct", mode_name(s));
	else if (s->nr_vips && !lb_service_conf_check_vip(s))
		lb_err_set(err, -EINVAL, NULL, "none of the VIPs is a single address; write direct");
	else
		return 0;
	return refuse_field(where, "check.via");
}

static int check_state(const struct lb_service_conf *s, struct lb_conf_where *where, struct lb_err *err)
{
	static const char *const policies[] = {"maglev", "round_robin", "least_conn", "random"};

	if (s->state != LB_STATE_NONE)
		return 0;
	if (s->policy != LB_POLICY_MAGLEV)
		lb_err_set(err, -EINVAL, NULL, "%s has to remember its choices; write auto", policies[s->policy]);
	else if (s->affinity.by != LB_AFFINITY_NONE && s->affinity.timeout_ns)
		lb_err_set(err, -EINVAL, NULL, "an affinity with a timeout has to remember clients; write auto");
	else if (lb_service_conf_translates(s))
		lb_err_set(err, -EINVAL, NULL, "%s has to remember connections; write auto", mode_name(s));
	else
		return 0;
	return refuse_field(where, "state");
}

static int check_snat(const struct lb_service_conf *s, struct lb_conf_where *where, struct lb_err *err)
{
	char addr[LB_ADDR_STRLEN];

	if (s->forward == LB_FORWARD_FULLNAT && !s->nr_snat) {
		lb_err_set(err, -EINVAL, NULL,
			   "fullnat needs addresses to speak to backends from; write some of this host");
		return refuse_field(where, "snat");
	}
	if (s->forward != LB_FORWARD_FULLNAT && s->nr_snat) {
		lb_err_set(err, -EINVAL, NULL, "%s does not translate sources, fullnat does; write none", mode_name(s));
		return refuse_field(where, "snat");
	}
	for (size_t i = 1; i < s->nr_snat; i++) {
		if (memcmp(s->snat[i - 1], s->snat[i], sizeof(s->snat[i])))
			continue;
		lb_err_set(err, -EINVAL, NULL, "%s is listed twice", lb_addr_format(s->snat[i], addr));
		return refuse_field(where, "snat");
	}
	return 0;
}

static int check_listed_twice(const struct lb_prefix *p, size_t nr, const char *field, struct lb_conf_where *where,
			      struct lb_err *err)
{
	char text[LB_ADDR_STRLEN];

	for (size_t i = 1; i < nr; i++) {
		if (memcmp(&p[i - 1], &p[i], sizeof(*p)))
			continue;
		lb_err_set(err, -EINVAL, NULL, "%s is listed twice", lb_prefix_format(&p[i], text));
		return refuse_field(where, field);
	}
	return 0;
}

/* The longest prefix decides: the same one cannot say both. Both lists are sorted. */
static int check_access(const struct lb_service_conf *s, struct lb_conf_where *where, struct lb_err *err)
{
	char text[LB_ADDR_STRLEN];
	int ret, order;

	ret = check_listed_twice(s->allow, s->nr_allow, "allow", where, err);
	if (!ret)
		ret = check_listed_twice(s->deny, s->nr_deny, "deny", where, err);
	for (size_t i = 0, j = 0; !ret && i < s->nr_allow && j < s->nr_deny; i += order<0, j += order> 0) {
		order = memcmp(&s->allow[i], &s->deny[j], sizeof(*s->deny));
		if (order)
			continue;
		lb_err_set(err, -EINVAL, NULL, "%s is in allow, too; take it out of one of them",
			   lb_prefix_format(&s->deny[j], text));
		ret = refuse_field(where, "deny");
	}
	return ret;
}

static int check_quic(const struct lb_service_conf *s, struct lb_conf_where *where, struct lb_err *err)
{
	bool udp = false;

	for (size_t i = 0; i < s->nr_vips; i++)
		udp |= s->vips[i].vip.proto == IPPROTO_UDP;
	if (s->quic.nr_configs && !udp) {
		lb_err_set(err, -EINVAL, NULL,
			   "QUIC needs a VIP of udp, such as 192.0.2.10:443/udp; add one, or leave it out");
		return refuse_field(where, "quic");
	}
	for (size_t i = 0; i < s->quic.nr_configs; i++) {
		const struct lb_quic_config *c = &s->quic.configs[i];

		if (i && c[-1].id == c->id) {
			lb_err_set(err, -EINVAL, NULL, "there are two configurations %u; give one another id", c->id);
			return refuse_field(where, "quic.configs");
		}
		if (c->server_id_length + c->nonce_length <= LB_QUIC_BODY_MAX)
			continue;
		lb_err_set(err, -EINVAL, NULL,
			   "configuration %u: server ID and nonce have %u bytes, and a connection ID has room for %u; "
			   "shorten one",
			   c->id, c->server_id_length + c->nonce_length, LB_QUIC_BODY_MAX);
		return refuse_field(where, "quic.configs");
	}
	return 0;
}

static int check_sctp(const struct lb_service_conf *s, struct lb_conf_where *where, struct lb_err *err)
{
	char text[LB_ADDR_STRLEN];

	if (!lb_service_conf_translates(s) || !lb_is_later(LB_FEATURE_SCTP_NAT))
		return 0;
	for (size_t i = 0; i < s->nr_vips; i++) {
		if (s->vips[i].vip.proto != IPPROTO_SCTP)
			continue;
		lb_err_set(err, -EINVAL, NULL, "%s cannot translate %s; use ipip", mode_name(s),
			   lb_vip_format(&s->vips[i], text));
		return refuse_field(where, "forward");
	}
	return 0;
}

static int check_service(const struct lb_service_conf *s, struct lb_conf_where *where, struct lb_err *err)
{
	static int (*const checks[])(const struct lb_service_conf *, struct lb_conf_where *, struct lb_err *) = {
		check_state,	  check_sctp,	      check_snat,  check_access,   check_quic,
		check_server_ids, check_checked_port, check_check, check_via, check_backends,
	};
	int ret;

	if (!s->nr_vips) {
		lb_err_set(err, -EINVAL, NULL, "a service needs a VIP");
		return refuse_field(where, "vip");
	}
	ret = check_times(&s->check, "check.timeout", "check.fast_interval", where, err);
	for (size_t i = 0; !ret && i < sizeof(checks) / sizeof(checks[0]); i++)
		ret = checks[i](s, where, err);
	return ret;
}

struct owned_vip {
	struct lb_vip_conf vip; /* first: the order is the VIPs' */
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

/* What backends answer to a VIP is the VIP's. */
static int check_snat_ports(const struct lb_config *c, struct lb_conf_where *where, struct lb_err *err)
{
	char addr[LB_ADDR_STRLEN], vip[LB_ADDR_STRLEN];
	struct lb_snat_clash clash;
	int ret = lb_snat_find_clash(c, &clash);

	if (ret < 0)
		return lb_err_set(err, ret, NULL, "out of memory");
	if (!ret)
		return 0;
	where->service = (ssize_t)clash.service;
	lb_err_set(err, -EINVAL, NULL, "every port of %s is that of %s, a VIP of service %s; take another address",
		   lb_addr_format(c->services[clash.service].snat[clash.snat], addr), lb_vip_format(&clash.vip, vip),
		   c->services[clash.owner].name);
	return refuse_field(where, "snat");
}

static int check_room(size_t nr, size_t max, const char *what, struct lb_err *err)
{
	if (nr <= max)
		return 0;
	return lb_err_set(err, -ENOSPC, NULL, "no room for %zu %s; at most %zu", nr, what, max);
}

/* What answers echo requests lies beside the VIPs. */
static int check_vip_room(const struct lb_config *c, size_t nr_vips, struct lb_err *err)
{
	struct lb_vip_room room;
	bool many;
	int ret = check_room(nr_vips, LB_MAX_VIPS, "VIPs", err);

	if (!ret && lb_conf_vip_room(c, &room))
		return lb_err_set(err, -ENOMEM, NULL, "out of memory");
	if (ret || (room.exact <= LB_MAX_VIPS && room.wild <= LB_MAX_VIPS))
		return ret;
	many = room.exact > LB_MAX_VIPS;
	return lb_err_set(
		err, -ENOSPC, NULL,
		"no room for what `ping: true` adds, one for each of %zu addresses and prefixes: with the VIPs "
		"that are %s that makes %zu; at most %d",
		room.answers, many ? "of one address and port" : "prefixes or have every port",
		many ? room.exact : room.wild, LB_MAX_VIPS);
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

static int check_resolver(const struct lb_resolver_conf *r, struct lb_conf_where *where, struct lb_err *err)
{
	char least[LB_ADDR_STRLEN], most[LB_ADDR_STRLEN];

	if (r->min_ttl_ns <= r->max_ttl_ns)
		return 0;
	lb_err_set(err, -EINVAL, NULL, "%s is more than max_ttl, %s; write less",
		   lb_duration_format(r->min_ttl_ns, least), lb_duration_format(r->max_ttl_ns, most));
	return refuse_field(where, "resolver.min_ttl");
}

static size_t nr_connection_ids(const struct lb_service_conf *s)
{
	size_t nr = 0;

	for (size_t i = 0; s->quic.nr_configs && i < s->nr_backends; i++)
		nr += s->backends[i].server_id.len != 0;
	return nr * s->quic.nr_configs;
}

/* The kernel's own tables are looked up: a route there would be taken for a way. */
static int check_announce(const struct lb_announce_conf *a, struct lb_conf_where *where, struct lb_err *err)
{
	if (a->table < 253 || a->table > 255)
		return 0;
	lb_err_set(err, -EINVAL, NULL,
		   "%u is a table that the kernel looks up (253 default, 254 main, 255 local); write another", a->table);
	return refuse_field(where, "announce.table");
}

int lb_config_check_at(const struct lb_config *c, struct lb_conf_where *where, struct lb_err *err)
{
	size_t nr_vips = 0, nr_backends = 0, nr_access = 0, nr_cids = 0, nr_snats = 0;
	int ret;

	*where = (struct lb_conf_where){.iface = -1, .service = -1, .backend = -1};
	ret = check_interfaces(c, where, err);
	if (!ret)
		ret = check_times(&c->defaults.check, "defaults.check.timeout", "defaults.check.fast_interval", where,
				  err);
	if (!ret)
		ret = check_announce(&c->announce, where, err);
	if (!ret)
		ret = check_resolver(&c->resolver, where, err);
	for (size_t i = 0; !ret && i < c->nr_services; i++) {
		const struct lb_service_conf *s = &c->services[i];

		where->service = (ssize_t)i;
		nr_vips += s->nr_vips;
		nr_backends += s->nr_backends;
		nr_access += s->nr_allow + s->nr_deny;
		nr_cids += nr_connection_ids(s);
		nr_snats += s->nr_snat;
		if (i && !strcmp(s[-1].name, s->name)) {
			lb_err_set(err, -EINVAL, NULL, "there are two services %s; give one another name", s->name);
			return refuse_field(where, "name");
		}
		lb_pause();
		ret = check_service(s, where, err);
	}
	if (ret)
		return ret;
	where->service = -1;
	ret = check_room(c->nr_services, LB_MAX_SERVICES - 1, "services", err);
	if (!ret)
		ret = check_room(nr_backends, LB_MAX_BACKENDS - 1, "backends", err);
	if (!ret)
		ret = check_vip_room(c, nr_vips, err);
	if (!ret)
		ret = check_room(nr_access, LB_MAX_ACCESS, "allowed and denied prefixes", err);
	if (!ret)
		ret = check_room(nr_cids, LB_MAX_CIDS, "server IDs, each in each of its service's configurations", err);
	if (!ret)
		ret = check_room(nr_snats, LB_MAX_SNATS, "addresses of snat", err);
	if (!ret)
		ret = check_vips(c, nr_vips, where, err);
	if (!ret)
		ret = check_snat_ports(c, where, err);
	return ret;
}

int lb_config_check(const struct lb_config *c, struct lb_err *err)
{
	char path[sizeof(err->path)] = "", addr[LB_BACKEND_STRLEN];
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
				      lb_backend_format(&c->services[w.service].backends[w.backend], addr));
	if (w.field)
		snprintf(path + n, sizeof(path) - n, "%s%s", n ? "." : "", w.field);
	return lb_err_set(err, ret, path, "%s", e.message);
}
