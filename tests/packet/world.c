// SPDX-License-Identifier: GPL-2.0-or-later
/* What both worlds have in common: how they are cleared and configured. */
#include <arpa/inet.h>
#include <assert.h>
#include <string.h>
#include <time.h>

#include "packet.h"
#include "lb/dp/flow.h"
#include "lb/dp/hash.h"
#include "vipset.h"

#define TABLE_BASE 32
#define TABLE_SHIFT 5
#define GEN 9

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

void world_clear_counters(struct world *w)
{
	struct lb_service_cpu *row = &w->service_cpu[w->cpu * LB_MAX_SERVICES + SERVICE];

	memset(w->verdict_cpu[w->cpu].pkts, 0, sizeof(w->verdict_cpu->pkts));
	memset(&w->backend_cpu[w->cpu * LB_MAX_BACKENDS], 0, 8 * sizeof(*w->backend_cpu));
	memset(&row->total, 0, sizeof(row->total));
	row->flow_hits = row->flow_misses = row->learn_refused = 0;
}

void world_reset(struct world *w)
{
	memset(w->conf, 0, sizeof(*w->conf));
	memset(w->services, 0, 8 * sizeof(*w->services));
	memset(w->backends, 0, 8 * sizeof(*w->backends));
	memset(w->slots, 0, 8 * sizeof(*w->slots));
	memset(w->flows, 0, LB_FLOW_SETS * sizeof(*w->flows));
	memset(w->frags, 0, LB_FRAGMENT_SETS * sizeof(*w->frags));
	memset(&w->service_cpu[w->cpu * LB_MAX_SERVICES], 0, 8 * sizeof(*w->service_cpu));
	world_clear_counters(w);
}

static void setup_backend(struct world *w, const struct setup *s, int backend, int flags)
{
	int family = or_default(s->outer, 4);
	struct lb_backend *b = &w->backends[backend];

	backend_addr(family, backend, b->addr);
	outer_src(family, b->src);
	memcpy(b->dmac, mac_hop, 6);
	memcpy(b->smac, mac_own, 6);
	b->mtu = (__u16)or_default(s->mtu, 1500);
	b->gue_port = htons(GUE_PORT);
	b->service = s->foreign ? SERVICE + 1 : SERVICE;
	b->forward = (__u8)or_default(s->forward, LB_FORWARD_IPIP);
	b->gen = GEN;
	b->src_plen = (__u8)or_default(s->plen, 128);
	b->flags = (__u8)(or_default(flags, OPEN) | (family == 4 ? LB_BACKEND_F_V4 : 0));
	b->oif = (__u32)or_default(s->oif, INGRESS);
}

static void setup_flow(struct world *w, const struct setup *s, const struct spec *in)
{
	uint64_t hash = flow_hash(in);
	struct lb_flow_set *set = &w->flows[lb_flow_set_idx(hash)];
	uint8_t age = lb_flow_age(now_ns());

	if (s->full)
		for (int i = 0; i < LB_FLOW_WAYS; i++)
			set->entry[i] = LB_FLOW((hash >> 32) + 2 + 2 * (unsigned int)i, age, GEN, true, NEW);
	if (s->entry.backend)
		set->entry[5] = LB_FLOW(hash >> 32, age - s->entry.idle, GEN + s->entry.gen, s->entry.proven,
					s->entry.backend) |
				(s->entry.closed ? LB_FLOW_CLOSED : 0);
}

/* The service's VIPs, in both families and protocols, and what @ping has answered. */
static void setup_vips(struct world *w, bool ping)
{
	static const char *const text[] = {"::ffff:192.0.2.10", "2001:db8::10"};
	static const uint8_t protos[2][3] = {{IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP},
					     {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMPV6}};

	for (int i = 0; i < 6; i++) {
		struct lb_vip vip = {.port = i % 3 < 2 ? htons(80) : 0, .proto = protos[i / 3][i % 3]};
		struct lb_vip_line line;

		inet_pton(AF_INET6, text[i / 3], vip.addr);
		line = lb_vipset_line(&vip, SERVICE, &w->services[SERVICE]);
		if (vip.port || ping)
			assert(!lb_vipset_set(w->vips, &line));
		else
			lb_vipset_del(w->vips, &vip);
	}
}

void world_setup(struct world *w, const struct setup *s, const struct spec *in)
{
	struct lb_service_cpu *row = &w->service_cpu[w->cpu * LB_MAX_SERVICES + SERVICE];

	w->conf->hash = lb_hash_secret((const __u64 *)hash_key);
	memcpy(w->conf->hash_key, hash_key, sizeof(w->conf->hash_key));
	w->conf->learn_rate = (__u32)s->rate;
	w->links[INGRESS].ifindex = s->unlinked ? INGRESS + LB_LINKS : INGRESS;
	memcpy(w->links[INGRESS].mac, mac_own, sizeof(mac_own));
	w->links[INGRESS].flags = s->veth ? LB_LINK_F_REDIRECT : 0;
	w->verdict_cpu[w->cpu].answer_start_ns = now_ns();
	w->verdict_cpu[w->cpu].answer_count = s->silent ? UINT32_MAX : 0;
	setup_backend(w, s, OLD, s->old);
	setup_backend(w, s, NEW, s->new);
	setup_backend(w, s, FOREIGN, OPEN);
	w->backends[FOREIGN].service = SERVICE + 1;
	for (int i = 0; i < 1 << TABLE_SHIFT; i++)
		w->slots[(TABLE_BASE + i) / 16].slot[i % 16] = s->word ? s->word : LB_SLOT(LB_PHASE_STABLE, 0, OLD);
	setup_flow(w, s, in);
	if (s->flooded) {
		row->learn_start_ns = now_ns();
		row->learn_count = w->conf->learn_rate;
	}
	w->services[SERVICE].flags = s->flags;
	w->services[SERVICE].table = s->no_table ? 0 : LB_TABLE(TABLE_BASE, TABLE_SHIFT);
	w->services[SERVICE].mss = (__u16)s->mss;
	setup_vips(w, s->ping);
}
