/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The configuration's containers, its checks and its differences. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "change_log.h"
#include "conf.h"

static struct lb_endpoint endpoint(const char *text)
{
	struct lb_endpoint ep;

	assert_int_equal(lb_endpoint_parse(text, &ep, NULL), 0);
	return ep;
}

/* A service with @vips (separated by spaces) and @backends (likewise), to be finished by the caller. */
static struct lb_service_conf service(const char *name, const char *vips, const char *backends)
{
	struct lb_config *c = lb_config_new();
	struct lb_service_conf s;
	char text[256], *next;

	assert_non_null(c);
	assert_int_equal(lb_service_conf_copy(&s, &c->defaults), 0);
	lb_config_free(c);
	strcpy(s.name, name);
	s.vips = calloc(8, sizeof(*s.vips));
	assert_non_null(s.vips);
	strcpy(text, vips);
	for (char *t = strtok_r(text, " ", &next); t; t = strtok_r(NULL, " ", &next))
		assert_int_equal(lb_vip_parse(t, &s.vips[s.nr_vips++], NULL), 0);
	strcpy(text, backends);
	for (char *t = strtok_r(text, " ", &next); t; t = strtok_r(NULL, " ", &next)) {
		struct lb_backend_conf b = {.address = endpoint(t), .weight = LB_WEIGHT_DEFAULT};

		assert_int_equal(lb_service_conf_add_backend(&s, &b, NULL), 0);
	}
	return s;
}

static int add(struct lb_config *c, const char *name, const char *vips, const char *backends, struct lb_err *err)
{
	struct lb_service_conf s = service(name, vips, backends);
	int ret = lb_config_add_service(c, &s, err);

	lb_service_conf_fini(&s);
	return ret;
}

static struct lb_config *config(void)
{
	struct lb_config *c = lb_config_new();

	assert_non_null(c);
	assert_int_equal(add(c, "web", "192.0.2.10:80", "10.0.0.2 10.0.0.1", NULL), 0);
	assert_int_equal(add(c, "api", "192.0.2.11:80", "10.0.0.1", NULL), 0);
	return c;
}

static void test_defaults(void **state)
{
	struct lb_config *c = lb_config_new();
	const struct lb_check_conf *k;

	assert_non_null(c);
	k = &c->defaults.check;
	assert_false(c->has_hash_key);
	assert_true(c->learning_window_ns == 900000000000);
	assert_int_equal(c->defaults.forward, LB_FORWARD_IPIP);
	assert_int_equal(c->defaults.state, LB_STATE_AUTO);
	assert_int_equal(c->defaults.panic_threshold, 0);
	assert_int_equal(k->type, LB_CHECK_NONE);
	assert_true(k->interval_ns == 2000000000 && k->timeout_ns == 1000000000);
	assert_int_equal(k->rise, 2);
	assert_int_equal(k->fall, 3);
	assert_string_equal(k->path, "/");
	assert_int_equal(k->status.nr, 1);
	assert_int_equal(k->status.range[0].min, 200);
	assert_int_equal(k->status.range[0].max, 399);
	assert_int_equal(lb_config_check(c, NULL), 0);
	lb_config_free(c);
	lb_config_free(NULL);
}

static void test_services(void **state)
{
	struct lb_config *c = config();
	struct lb_service_conf s = service("mid", "192.0.2.12:80/udp 192.0.2.12:80", "10.0.0.9 10.0.0.10 2001:db8::1");
	struct lb_err err;
	char buf[LB_ADDR_STRLEN];

	assert_int_equal(lb_config_add_service(c, &s, &err), 0);
	/* A deep copy: what happens to the original is not seen. */
	s.backends[0].weight = 7;
	s.vips[0].vip.port = htons(99);
	lb_service_conf_fini(&s);
	assert_int_equal(c->nr_services, 3);
	assert_string_equal(c->services[0].name, "api");
	assert_string_equal(c->services[1].name, "mid");
	assert_string_equal(c->services[2].name, "web");
	assert_ptr_equal(lb_config_service(c, "mid"), &c->services[1]);
	assert_null(lb_config_service(c, "mi"));
	assert_null(lb_config_service(c, ""));
	assert_null(lb_config_service(c, "a-name-that-is-longer-than-any-name-can-be-and-must-not-overflow-a-thing"));
	/* VIPs are sorted: tcp (6) before udp (17). */
	assert_string_equal(lb_vip_format(&c->services[1].vips[0], buf), "192.0.2.12:80/tcp");
	/* IPv6 2001:: after IPv4 ::ffff: in memory order. */
	assert_string_equal(lb_endpoint_format(&c->services[1].backends[0].address, buf), "10.0.0.9");
	assert_string_equal(lb_endpoint_format(&c->services[1].backends[2].address, buf), "2001:db8::1");
	assert_int_equal(c->services[1].backends[0].weight, LB_WEIGHT_DEFAULT);

	assert_int_equal(add(c, "web", "192.0.2.99:80", "", &err), -EEXIST);
	assert_string_equal(lb_err_str(&err), "service web exists already; change it with `lbctl service set web`");
	assert_int_equal(add(c, "other", "192.0.2.99:80 192.0.2.10:80/tcp", "", &err), -EEXIST);
	assert_string_equal(lb_err_str(&err), "192.0.2.10:80/tcp is a VIP of service web already");
	assert_int_equal(add(c, "dns", "192.0.2.10:80/udp", "", &err), 0);
	assert_int_equal(c->nr_services, 4);

	assert_int_equal(lb_config_del_service(c, "wbe", &err), -ENOENT);
	assert_string_equal(lb_err_str(&err), "there is no service wbe; did you mean web?");
	assert_int_equal(lb_config_del_service(c, "frontend", &err), -ENOENT);
	assert_string_equal(lb_err_str(&err), "there is no service frontend");
	assert_int_equal(lb_config_del_service(c, "api", NULL), 0);
	assert_int_equal(lb_config_del_service(c, "web", NULL), 0);
	assert_int_equal(lb_config_del_service(c, "mid", NULL), 0);
	assert_string_equal(c->services[0].name, "dns");
	assert_int_equal(lb_config_del_service(c, "dns", NULL), 0);
	assert_int_equal(c->nr_services, 0);
	assert_int_equal(lb_config_del_service(c, "dns", NULL), -ENOENT);
	assert_int_equal(add(c, "again", "192.0.2.10:80", "", NULL), 0);
	lb_config_free(c);
}

static void test_backends(void **state)
{
	struct lb_service_conf s = service("web", "192.0.2.10:80", "10.0.0.3 10.0.0.1:80 10.0.0.2");
	struct lb_backend_conf b = {.address = endpoint("10.0.0.1")};
	struct lb_endpoint ep;
	struct lb_err err;

	/* The same port, or where one of the two has none, the VIP's. */
	ep = endpoint("10.0.0.1:80");
	assert_ptr_equal(lb_service_conf_backend(&s, &ep), &s.backends[0]);
	ep = endpoint("10.0.0.1");
	assert_ptr_equal(lb_service_conf_backend(&s, &ep), &s.backends[0]);
	ep = endpoint("10.0.0.2:80");
	assert_ptr_equal(lb_service_conf_backend(&s, &ep), &s.backends[1]);
	ep = endpoint("10.0.0.2");
	assert_ptr_equal(lb_service_conf_backend(&s, &ep), &s.backends[1]);
	ep = endpoint("10.0.0.2:81");
	assert_null(lb_service_conf_backend(&s, &ep));
	ep = endpoint("10.0.0.1:81");
	assert_null(lb_service_conf_backend(&s, &ep));
	ep = endpoint("10.0.0.4");
	assert_null(lb_service_conf_backend(&s, &ep));

	assert_int_equal(lb_service_conf_add_backend(&s, &b, &err), -EEXIST);
	assert_string_equal(
		lb_err_str(&err),
		"10.0.0.1 is a backend of service web already; change it with `lbctl backend set web 10.0.0.1`");
	ep = endpoint("10.0.0.9");
	assert_int_equal(lb_service_conf_del_backend(&s, &ep, &err), -ENOENT);
	assert_string_equal(lb_err_str(&err), "service web has no backend 10.0.0.9; did you mean 10.0.0.2?");
	ep = endpoint("2001:db8::1");
	assert_int_equal(lb_service_conf_del_backend(&s, &ep, &err), -ENOENT);
	assert_string_equal(lb_err_str(&err), "service web has no backend 2001:db8::1");
	ep = endpoint("10.0.0.1");
	assert_int_equal(lb_service_conf_del_backend(&s, &ep, &err), 0);
	assert_int_equal(s.nr_backends, 2);
	ep = endpoint("10.0.0.3:80");
	assert_int_equal(lb_service_conf_del_backend(&s, &ep, &err), 0);
	ep = endpoint("10.0.0.2");
	assert_ptr_equal(lb_service_conf_backend(&s, &ep), &s.backends[0]);
	assert_int_equal(lb_service_conf_del_backend(&s, &ep, &err), 0);
	assert_int_equal(s.nr_backends, 0);
	lb_service_conf_fini(&s);
}

static void test_ifaces(void **state)
{
	struct lb_config *c = lb_config_new();
	struct lb_iface_conf i = {.name = "eth1"};
	struct lb_err err;

	assert_non_null(c);
	assert_int_equal(lb_config_add_iface(c, &i, &err), 0);
	assert_int_equal(lb_config_add_iface(c, &i, &err), -EEXIST);
	assert_string_equal(lb_err_str(&err), "interface eth1 is attached already; detach it first to change the mode");
	strcpy(i.name, "eth0");
	assert_int_equal(lb_config_add_iface(c, &i, &err), 0);
	assert_string_equal(c->ifaces[0].name, "eth0");
	assert_int_equal(lb_config_del_iface(c, "eth3", &err), -ENOENT);
	assert_string_equal(lb_err_str(&err), "interface eth3 is not attached; did you mean eth0?");
	assert_int_equal(lb_config_del_iface(c, "eth0", &err), 0);
	for (int n = 2; c->nr_ifaces < LB_MAX_PORTS; n++) {
		snprintf(i.name, sizeof(i.name), "eth%d", n);
		assert_int_equal(lb_config_add_iface(c, &i, &err), 0);
	}
	strcpy(i.name, "one-more");
	assert_int_equal(lb_config_add_iface(c, &i, &err), -ENOSPC);
	assert_string_equal(lb_err_str(&err), "no room for more than 64 interfaces");
	assert_int_equal(lb_config_del_iface(c, "", &err), -ENOENT);
	lb_config_free(c);
}

#define INSERTED 300 /* one by one: each copies the others */

static void test_room(void **state)
{
	struct lb_service_conf s = service("full", "192.0.2.10:80", "");
	struct lb_backend_conf b = {0};
	struct lb_config *c = config();
	struct lb_err err;

	b.address = endpoint("10.0.0.0");
	s.backends = calloc(LB_MAX_BACKENDS, sizeof(*s.backends));
	assert_non_null(s.backends);
	/* From the end, so that they are sorted and that every insertion, of the last few, is at the front. */
	for (int n = LB_MAX_BACKENDS - 1; n > 0; n--) {
		b.address.addr[14] = (uint8_t)(n >> 8);
		b.address.addr[15] = (uint8_t)n;
		if (n > INSERTED)
			s.backends[s.nr_backends++] = b;
		else if (n == INSERTED)
			lb_service_conf_sort(&s);
		if (n <= INSERTED)
			assert_int_equal(lb_service_conf_add_backend(&s, &b, &err), 0);
	}
	assert_int_equal(s.nr_backends, LB_MAX_BACKENDS - 1);
	for (size_t n = 1; n < s.nr_backends; n++)
		assert_true(memcmp(&s.backends[n - 1].address, &s.backends[n].address, sizeof(b.address)) < 0);
	b.address = endpoint("10.9.9.9");
	assert_int_equal(lb_service_conf_add_backend(&s, &b, &err), -ENOSPC);
	assert_string_equal(lb_err_str(&err), "no room for more than 32767 backends");
	s.vips[0].vip.port = htons(81);
	assert_int_equal(lb_config_add_service(c, &s, &err), -ENOSPC);
	assert_string_equal(lb_err_str(&err), "no room for more than 32767 backends");
	assert_int_equal(c->nr_services, 2);
	assert_int_equal(lb_config_del_service(c, "web", NULL), 0);
	assert_int_equal(lb_config_del_service(c, "api", NULL), 0);
	assert_int_equal(lb_config_add_service(c, &s, &err), 0);
	assert_int_equal(lb_config_check(c, &err), 0);
	lb_service_conf_fini(&s);
	lb_config_free(c);
}

/* The @nr VIPs with the port @port, 0: every one, of as many addresses from 198.18.0.0 on. */
static void many_vips(struct lb_service_conf *s, size_t nr, uint16_t port)
{
	struct lb_vip_conf *vips = realloc(s->vips, (nr + 2) * sizeof(*vips));

	assert_non_null(vips);
	s->vips = vips;
	s->nr_vips = nr;
	for (size_t i = 0; i < nr; i++) {
		assert_int_equal(lb_vip_parse("198.18.0.0:80", &vips[i], NULL), 0);
		vips[i].vip.addr[13] = (uint8_t)(18 + (i >> 16));
		vips[i].vip.addr[14] = (uint8_t)(i >> 8);
		vips[i].vip.addr[15] = (uint8_t)i;
		vips[i].vip.port = htons(port);
	}
}

static void checks_room(const struct lb_service_conf *s, bool other, const char *want)
{
	struct lb_config *c = config();
	struct lb_err err = {0};

	assert_int_equal(lb_config_del_service(c, "web", NULL), 0);
	assert_int_equal(lb_config_del_service(c, "api", NULL), 0);
	assert_int_equal(lb_config_add_service(c, s, NULL), 0);
	if (other)
		assert_int_equal(add(c, "other", "198.18.0.0:443", "", NULL), 0);
	if (other)
		lb_config_service(c, "other")->ping = true;
	assert_int_equal(lb_config_check(c, &err), want ? -ENOSPC : 0);
	if (want)
		assert_string_equal(lb_err_str(&err), want);
	lb_config_free(c);
}

/* What answers echo requests takes a place for each address. */
static void test_ping_room(void **state)
{
	struct lb_service_conf s = service("full", "", "");
	const size_t half = LB_MAX_VIPS / 2;

	s.ping = true;
	many_vips(&s, half, 80);
	checks_room(&s, false, NULL);
	/* A second VIP of an address, in this service or another one, takes a place, but adds no second answer. */
	checks_room(
		&s, true,
		"no room for what `ping: true` adds, one for each of 32768 addresses and prefixes: with the VIPs that "
		"are of one address and port that makes 65537; at most 65536");
	many_vips(&s, half - 1, 80);
	s.vips[half - 1] = s.vips[half - 2];
	s.vips[half - 1].vip.proto = IPPROTO_UDP;
	s.nr_vips = half;
	checks_room(&s, true, NULL);
	many_vips(&s, half + 1, 80);
	checks_room(
		&s, false,
		"no room for what `ping: true` adds, one for each of 32769 addresses and prefixes: with the VIPs that "
		"are of one address and port that makes 65538; at most 65536");
	s.ping = false;
	checks_room(&s, false, NULL);
	/* VIPs with every port lie elsewhere than what answers for their addresses does. */
	s.ping = true;
	many_vips(&s, 2 * half, 0);
	checks_room(&s, false, NULL);
	/* Prefixes and what answers for them lie together. */
	many_vips(&s, half + 1, 80);
	for (size_t i = 0; i <= half; i++) {
		s.vips[i].plen = 124;
		s.vips[i].vip.addr[13] = (uint8_t)(18 + (i >> 12));
		s.vips[i].vip.addr[14] = (uint8_t)(i >> 4);
		s.vips[i].vip.addr[15] = (uint8_t)(i << 4);
	}
	checks_room(
		&s, false,
		"no room for what `ping: true` adds, one for each of 32769 addresses and prefixes: with the VIPs that "
		"are prefixes or have every port that makes 65538; at most 65536");
	lb_service_conf_fini(&s);
}

static void refused_by_check(struct lb_config *c, int code, const char *want)
{
	struct lb_err err;

	assert_int_equal(lb_config_check(c, &err), code);
	assert_int_equal(err.code, code);
	assert_string_equal(lb_err_str(&err), want);
	assert_int_equal(lb_config_check(c, NULL), code);
	lb_config_free(c);
}

/* Which VIP a check by way of the VIP is for, and where there can be none. */
static void test_check_via(void **state)
{
	struct lb_service_conf s = service("web", "192.0.2.0/28:80/tcp 192.0.2.20:53/udp 192.0.2.21:81/tcp", "10.0.0.1");
	struct lb_config *c = config();

	s.check.type = LB_CHECK_HTTP;
	assert_null(lb_service_conf_check_vip(&s));
	s.check.via = LB_CHECK_VIA_VIP;
	assert_int_equal(ntohs(lb_service_conf_check_vip(&s)->vip.port), 81);
	s.check.type = LB_CHECK_DNS;
	assert_int_equal(ntohs(lb_service_conf_check_vip(&s)->vip.port), 53);
	s.nr_vips = 2;
	s.check.type = LB_CHECK_TCP;
	assert_int_equal(ntohs(lb_service_conf_check_vip(&s)->vip.port), 53);
	s.nr_vips = 1;
	assert_null(lb_service_conf_check_vip(&s));
	s.check.type = LB_CHECK_NONE;
	assert_null(lb_service_conf_check_vip(&s));
	lb_service_conf_fini(&s);

	c->services[1].check.via = LB_CHECK_VIA_VIP;
	c->services[1].check.type = LB_CHECK_TCP;
	assert_int_equal(lb_config_check(c, NULL), 0);
	c->services[1].forward = LB_FORWARD_NAT;
	refused_by_check(c, -EINVAL,
			 "services[web].check.via: with nat the way of clients' packets is the backend's address; write "
			 "direct");
}

static void test_check(void **state)
{
	struct lb_config *c;

	c = config();
	assert_int_equal(lb_config_check(c, NULL), 0);
	c->services[0].vips[0] = c->services[1].vips[0];
	refused_by_check(c, -EINVAL, "services[web].vip: 192.0.2.10:80/tcp is a VIP of service api already");

	c = config();
	c->services[1].backends[1].address.port = htons(81);
	refused_by_check(
		c, -EINVAL,
		"services[web].backends[10.0.0.2:81].address: port 81 differs from the VIP's, 80, and ipip cannot "
		"translate it; leave it out");
	c = config();
	c->services[1].backends[1].address.port = htons(80);
	assert_int_equal(lb_config_check(c, NULL), 0);
	c->services[1].backends[0].address = endpoint("2001:db8::2");
	lb_config_sort(c);
	/* Across families: ipip can, l2 cannot. */
	assert_int_equal(lb_config_check(c, NULL), 0);
	c->services[1].forward = LB_FORWARD_L2;
	refused_by_check(
		c, -EINVAL,
		"services[web].backends[2001:db8::2].address: l2 cannot bring 192.0.2.10:80/tcp to 2001:db8::2, of "
		"another family; use ipip");

	c = config();
	assert_int_equal(c->services[1].check.type,
			 LB_CHECK_NONE); /* switched on by its type alone, it must be right */
	c->services[1].check.timeout_ns = 3000000000;
	refused_by_check(c, -EINVAL,
			 "services[web].check.timeout: the timeout, 3s, is longer than the interval, 2s; shorten it");

	c = config();
	c->defaults.check.timeout_ns = 3000000000;
	refused_by_check(c, -EINVAL,
			 "defaults.check.timeout: the timeout, 3s, is longer than the interval, 2s; shorten it");

	c = config();
	c->services[1].backends[1] = c->services[1].backends[0];
	c->services[1].backends[1].address.port = htons(80);
	refused_by_check(c, -EINVAL, "services[web].backends[10.0.0.1:80].address: 10.0.0.1:80 is listed twice");

	c = config();
	c->services[1].nr_vips = 0;
	refused_by_check(c, -EINVAL, "services[web].vip: a service needs a VIP");

	c = config();
	strcpy(c->services[1].name, "api");
	refused_by_check(c, -EINVAL, "services[api].name: there are two services api; give one another name");
}

/* ---- differences ---- */

static void test_diff(void **state)
{
	struct lb_config *old = config(), *new = lb_config_copy(old);
	struct lb_iface_conf i = {.name = "eth0"};
	struct lb_service_conf *web;
	struct lb_backend_conf b = {.address = endpoint("10.0.0.3:80")};
	struct lb_endpoint ep = endpoint("10.0.0.2");
	struct change_log l = {0};

	assert_non_null(new);
	assert_int_equal(lb_config_diff(old, new, change_log_add, &l), 0);
	assert_string_equal(l.text, "");
	assert_int_equal(lb_config_add_iface(old, &i, NULL), 0);
	i.mode = LB_ATTACH_NATIVE;
	assert_int_equal(lb_config_add_iface(new, &i, NULL), 0);
	strcpy(i.name, "eth1");
	assert_int_equal(lb_config_add_iface(new, &i, NULL), 0);
	new->has_hash_key = true;
	new->hash_key[0] = 0xfeed;
	assert_int_equal(lb_prefix_parse("10.200.0.0/16", &old->tunnel_source4, NULL), 0);
	assert_int_equal(lb_prefix_parse("10.201.0.0/16", &new->tunnel_source4, NULL), 0);
	assert_int_equal(lb_prefix_parse("fd00::/64", &new->tunnel_source6, NULL), 0);
	new->defaults.check.rise = 9;
	assert_int_equal(lb_config_del_service(new, "api", NULL), 0);
	assert_int_equal(add(new, "zoo", "192.0.2.30:80", "", NULL), 0);
	web = lb_config_service(new, "web");
	assert_int_equal(lb_vip_parse("192.0.2.20:80", &web->vips[0], NULL), 0);
	web->forward = LB_FORWARD_L2;
	web->check.type = LB_CHECK_HTTP;
	web->check.port = 8080;
	web->backends[0].weight = 50;
	web->backends[0].admin = LB_ADMIN_DRAINING;
	assert_int_equal(lb_service_conf_add_backend(web, &b, NULL), 0);
	assert_int_equal(lb_service_conf_del_backend(web, &ep, NULL), 0);
	assert_int_equal(lb_config_diff(old, new, change_log_add, &l), 18);
	assert_string_equal(l.text, "change interfaces[eth0].mode auto -> native\n"
				    "add interfaces[eth1] - -> -\n"
				    "change hash_key - -> -\n"
				    "remove tunnel_source[10.200.0.0/16] 10.200.0.0/16 -> -\n"
				    "add tunnel_source[10.201.0.0/16] - -> 10.201.0.0/16\n"
				    "add tunnel_source[fd00::/64] - -> fd00::/64\n"
				    "change defaults.check.rise 2 -> 9\n"
				    "remove services[api] - -> -\n"
				    "remove services[web].vip[192.0.2.10:80/tcp] 192.0.2.10:80/tcp -> -\n"
				    "add services[web].vip[192.0.2.20:80/tcp] - -> 192.0.2.20:80/tcp\n"
				    "change services[web].forward ipip -> l2\n"
				    "change services[web].check.type none -> http\n"
				    "change services[web].check.port - -> 8080\n"
				    "change services[web].backends[10.0.0.1].weight 100 -> 50\n"
				    "change services[web].backends[10.0.0.1].state enabled -> draining\n"
				    "remove services[web].backends[10.0.0.2] - -> -\n"
				    "add services[web].backends[10.0.0.3:80] - -> -\n"
				    "add services[zoo] - -> -\n");
	/* The other way round there are as many. */
	assert_int_equal(lb_config_diff(new, old, NULL, NULL), 18);
	lb_config_free(old);
	lb_config_free(new);
}

static void test_copy(void **state)
{
	struct lb_config *c = config(), *copy = lb_config_copy(c);

	assert_non_null(copy);
	assert_ptr_not_equal(c->services[0].vips, copy->services[0].vips);
	assert_ptr_not_equal(c->services[0].backends, copy->services[0].backends);
	copy->services[0].backends[0].weight = 1;
	assert_int_equal(lb_config_diff(c, copy, NULL, NULL), 1);
	lb_config_free(c);
	assert_string_equal(copy->services[1].name, "web");
	lb_config_free(copy);
}

static void test_hash_key(void **state)
{
	uint64_t a[2], b[2];

	/* Part of the configuration's meaning: another value would move every connection of a fleet being upgraded. */
	lb_config_hash_key(0x9f86d081884c7d65ULL, a);
	assert_true(a[0] == 0x9f86d081884c7d65ULL);
	assert_true(a[1] == 0xf57cf1396bee99c2ULL);
	lb_config_hash_key(0, b);
	assert_true(b[0] == 0 && b[1] != 0 && b[1] != a[1]);
}

/* Of what means the same it is the same; of each kind of difference it is another one. */
static void test_hash(void **state)
{
	struct lb_service_conf a = service("web", "192.0.2.1:80", "10.0.0.1 10.0.0.2 10.0.0.3"), b;
	const uint64_t hash = lb_service_conf_hash(&a);

	assert_int_equal(lb_service_conf_copy(&b, &a), 0);
	assert_true(lb_service_conf_hash(&b) == hash);
	b.check.status.range[1].min = 7; /* there is only one range */
	b.backends[0].server_id.bytes[0] = 7;
	assert_true(lb_service_conf_hash(&b) == hash);
	b.backends[2].weight++;
	assert_true(lb_service_conf_hash(&b) != hash);
	b.backends[2].weight--;
	b.backends[1].admin = LB_ADMIN_DRAINING;
	assert_true(lb_service_conf_hash(&b) != hash);
	b.backends[1].admin = LB_ADMIN_ENABLED;
	b.nr_backends--;
	assert_true(lb_service_conf_hash(&b) != hash);
	b.nr_backends++;
	b.vips[0].vip.port++;
	assert_true(lb_service_conf_hash(&b) != hash);
	b.vips[0].vip.port--;
	b.check.interval_ns++;
	assert_true(lb_service_conf_hash(&b) != hash);
	b.check.interval_ns--;
	b.backends[0].server_id.len = 1;
	assert_true(lb_service_conf_hash(&b) != hash);
	b.backends[0].server_id.len = 0;
	assert_true(lb_service_conf_hash(&b) == hash);
	lb_service_conf_fini(&a);
	lb_service_conf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),  cmocka_unit_test(test_services),  cmocka_unit_test(test_backends),
		cmocka_unit_test(test_ifaces),	  cmocka_unit_test(test_room),	    cmocka_unit_test(test_check),
		cmocka_unit_test(test_check_via), cmocka_unit_test(test_ping_room), cmocka_unit_test(test_diff),
		cmocka_unit_test(test_copy),	  cmocka_unit_test(test_hash_key),  cmocka_unit_test(test_hash),
	};

	return cmocka_run_group_tests_name("conf", tests, NULL, NULL);
}
