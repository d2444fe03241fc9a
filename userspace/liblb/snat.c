// SPDX-License-Identifier: GPL-2.0-or-later
/* Addresses of snat that are VIPs with every port. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "snat.h"

struct every_port {
	struct lb_vip_conf vip; /* first: the order is the VIPs' */
	size_t service;
};

struct every_ports {
	struct every_port *at;
	size_t nr;
	bool has_plen[129];
};

static int by_vip(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct lb_vip_conf));
}

static int collect(const struct lb_config *c, struct every_ports *all)
{
	size_t nr = 0;

	for (size_t i = 0; i < c->nr_services; i++)
		for (size_t v = 0; v < c->services[i].nr_vips; v++)
			nr += !c->services[i].vips[v].vip.port;
	all->at = calloc(nr + 1, sizeof(*all->at));
	if (!all->at)
		return -ENOMEM;
	for (size_t i = 0; i < c->nr_services; i++)
		for (size_t v = 0; v < c->services[i].nr_vips; v++) {
			const struct lb_vip_conf *vip = &c->services[i].vips[v];

			if (vip->vip.port)
				continue;
			all->at[all->nr++] = (struct every_port){.vip = *vip, .service = i};
			all->has_plen[vip->plen] = true;
		}
	qsort(all->at, all->nr, sizeof(*all->at), by_vip);
	return 0;
}

/* Which of them is the one of @plen bits that has @addr and @proto? NULL: none. */
static const struct every_port *find(const struct every_ports *all, const uint8_t addr[16], uint8_t proto,
				     unsigned int plen)
{
	struct every_port key = {.vip = {.vip = {.proto = proto}, .plen = (uint8_t)plen}};

	memcpy(key.vip.vip.addr, addr, sizeof(key.vip.vip.addr));
	for (unsigned int bit = plen; bit < 128; bit++)
		key.vip.vip.addr[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
	return bsearch(&key, all->at, all->nr, sizeof(*all->at), by_vip);
}

static const struct every_port *find_any(const struct every_ports *all, const struct lb_service_conf *s,
					 const uint8_t addr[16])
{
	const struct every_port *found = NULL;
	bool asked[256] = {false};

	for (size_t v = 0; v < s->nr_vips && !found; v++) {
		const uint8_t proto = s->vips[v].vip.proto;

		for (unsigned int plen = 0; plen <= 128 && !found && !asked[proto]; plen++)
			if (all->has_plen[plen])
				found = find(all, addr, proto, plen);
		asked[proto] = true;
	}
	return found;
}

int lb_snat_find_clash(const struct lb_config *c, struct lb_snat_clash *clash)
{
	struct every_ports all = {0};
	int ret = collect(c, &all);

	for (size_t i = 0; !ret && all.nr && i < c->nr_services; i++) {
		const struct lb_service_conf *s = &c->services[i];

		for (size_t k = 0; !ret && s->forward == LB_FORWARD_FULLNAT && k < s->nr_snat; k++) {
			const struct every_port *taken = find_any(&all, s, s->snat[k]);

			if (!taken)
				continue;
			*clash = (struct lb_snat_clash){
				.service = i, .snat = k, .owner = taken->service, .vip = taken->vip};
			ret = 1;
		}
	}
	free(all.at);
	return ret;
}
