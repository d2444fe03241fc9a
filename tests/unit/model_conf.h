/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Configurations for the model's tests, made by hand: sorted as the model wants them. Included after cmocka.h. */
#ifndef MODEL_CONF_H
#define MODEL_CONF_H

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"

static inline struct lb_config *conf_new(void)
{
	struct lb_config *c = lb_config_new();

	c->hash_key[0] = 11;
	c->hash_key[1] = 22;
	c->has_hash_key = true;
	c->learning_window_ns = 30ULL * 1000000000;
	return c;
}

/* 10.0.x.y:80 */
static inline struct lb_endpoint conf_ep(uint32_t n)
{
	struct lb_endpoint ep = {.port = htons(80)};

	ep.addr[10] = ep.addr[11] = 0xff;
	ep.addr[12] = 10;
	ep.addr[14] = (uint8_t)(n >> 8);
	ep.addr[15] = (uint8_t)n;
	return ep;
}

static inline struct lb_service_conf *conf_service(struct lb_config *c, const char *name, enum lb_check_type check)
{
	struct lb_service_conf s = {.forward = LB_FORWARD_IPIP, .state = LB_STATE_AUTO};
	struct lb_vip_conf vip = {.vip = {.port = htons(80), .proto = 6}, .plen = 128};
	struct lb_err err;

	snprintf(s.name, sizeof(s.name), "%s", name);
	s.check.type = check;
	vip.vip.addr[10] = vip.vip.addr[11] = 0xff;
	vip.vip.addr[12] = 192;
	memcpy(&vip.vip.addr[13], name, strnlen(name, 3));
	s.vips = &vip;
	s.nr_vips = 1;
	assert_int_equal(lb_config_add_service(c, &s, &err), 0);
	return lb_config_service(c, name);
}

static inline struct lb_backend_conf *conf_backend(struct lb_config *c, const char *service, uint32_t n)
{
	struct lb_backend_conf b = {.address = conf_ep(n), .weight = 100};
	struct lb_err err;

	assert_int_equal(lb_service_conf_add_backend(lb_config_service(c, service), &b, &err), 0);
	return lb_service_conf_backend(lb_config_service(c, service), &b.address);
}

static inline struct lb_backend_conf *conf_find(struct lb_config *c, const char *service, uint32_t n)
{
	struct lb_endpoint ep = conf_ep(n);

	return lb_service_conf_backend(lb_config_service(c, service), &ep);
}

/* The backends that have no next hop get one, as they do where the network is in order. */
static inline void conf_reach(struct lb_model *m, uint32_t now_s)
{
	const struct lb_next_hop nh = {.ifindex = 3, .mtu = 1500, .dmac = {2}, .smac = {4}};
	const struct lb_model_service *const *list;
	size_t nr = lb_model_services(m, &list);

	for (size_t i = 0; i < nr; i++) {
		for (size_t j = 0; j < list[i]->conf.nr_backends; j++) {
			if (!list[i]->backends[j].next_hop.ifindex)
				lb_model_set_next_hop(m, list[i]->conf.backends[j].address.addr, &nh, now_s);
		}
	}
}

static inline void conf_del(struct lb_config *c, const char *service, uint32_t n)
{
	struct lb_endpoint ep = conf_ep(n);
	struct lb_err err;

	assert_int_equal(lb_service_conf_del_backend(lb_config_service(c, service), &ep, &err), 0);
}

#endif
