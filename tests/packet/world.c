// SPDX-License-Identifier: GPL-2.0-or-later
/* What both worlds have in common: how they are cleared and configured. */
#include <arpa/inet.h>
#include <assert.h>
#include <string.h>
#include <time.h>

#include "packet.h"
#include "lb/dp/flow.h"
#include "lb/dp/hash.h"
#include "lb/dp/access.h"
#include "lb/dp/wild.h"
#include "vipset.h"

#define TABLE_BASE 32
#define TABLE_SHIFT 5
#define TABLE_NEW 64 /* another table, all NEW's */
#define GEN 9

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

bool world_is_whole(const struct world *w)
{
	return w->conf && w->links && w->hits && w->vips && w->services && w->slots && w->backends && w->flows &&
	       w->verdict_cpu && w->service_cpu && w->backend_cpu && w->live && w->rates && w->frags && w->nat_loads &&
	       w->nat_epochs;
}

void world_clear_counters(struct world *w)
{
	struct lb_service_cpu *row = &w->service_cpu[w->cpu * LB_MAX_SERVICES + SERVICE];

	memset(w->verdict_cpu[w->cpu].pkts, 0, sizeof(w->verdict_cpu->pkts));
	memset(&w->backend_cpu[w->cpu * LB_MAX_BACKENDS], 0, 8 * sizeof(*w->backend_cpu));
	memset(&row->total, 0, sizeof(row->total));
	row->flow_misses = row->learn_refused = 0;
	w->hits->at[w->cpu % LB_HITS].nr = 0;
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
	assert(!w->trie_clear(w, &w->wild));
	assert(!w->trie_clear(w, &w->access));
	memset(w->rates, 0, LB_RATE_SETS * sizeof(*w->rates));
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
	b->weight = 100;
}

static void setup_flow(struct world *w, const struct setup *s, const struct spec *in)
{
	uint64_t hash = steer_hash(s, in), client = client_hash(s, in);
	struct lb_flow_set *set = &w->flows[lb_flow_set_idx(hash)];
	uint8_t age = lb_flow_age(now_ns());

	if (s->full)
		for (int i = 0; i < LB_FLOW_WAYS; i++)
			set->entry[i] = LB_FLOW((hash >> 32) + 2 + 2 * (unsigned int)i, age, GEN, true, NEW);
	if (s->entry.backend)
		set->entry[5] = LB_FLOW(hash >> 32, age - s->entry.idle, GEN + s->entry.gen, s->entry.proven,
					s->entry.backend) |
				(s->entry.closed ? LB_FLOW_CLOSED : 0);
	if (s->client.backend)
		w->flows[lb_flow_set_idx(client)].entry[3] =
			LB_FLOW(client >> 32, age - s->client.idle, GEN + s->client.gen, s->client.proven,
				s->client.backend) |
			LB_FLOW_CLOSED;
}

/* The service's VIPs, in both families and protocols, and what @ping has answered. */
static void setup_vips(struct world *w, bool ping)
{
	static const char *const text[] = {"::ffff:192.0.2.10", "2001:db8::10"};
	static const uint8_t protos[2][4] = {{IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP, IPPROTO_ICMP},
					     {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP, IPPROTO_ICMPV6}};

	for (int i = 0; i < 8; i++) {
		struct lb_vip vip = {.port = i % 4 < 3 ? htons(80) : 0, .proto = protos[i / 4][i % 4]};
		struct lb_vip_line line;

		inet_pton(AF_INET6, text[i / 4], vip.addr);
		line = lb_vipset_line(&vip, SERVICE, &w->services[SERVICE]);
		if (vip.port || ping)
			assert(!lb_vipset_set(w->vips, &line));
		else
			lb_vipset_del(w->vips, &vip);
	}
}

/*
 * Prefixes and every port, each to the backend that rows expect: the second table is NEW's alone. In both families:
 *
 *	192.0.2.20:*	     OLD	2001:db8::20
 *	198.18.0.0/16:443    OLD	2001:db8:8000::/33
 *	198.18.0.0/16:*	     NEW	2001:db8:8000::/33
 *	198.18.7.0/24:*	     OLD	2001:db8:8000:7::/64
 *	198.18.7.9:80	     NEW	2001:db8:8000:7::9		(a prefix of all 128 bits)
 */
static void setup_wild(struct world *w)
{
	static const struct {
		const char *addr;
		uint8_t plen;
		uint16_t port;
		bool new;
	} lines[] = {
		{"::ffff:192.0.2.20", 128, 0, false},	{"2001:db8::20", 128, 0, false},
		{"::ffff:198.18.0.0", 112, 443, false}, {"2001:db8:8000::", 33, 443, false},
		{"::ffff:198.18.0.0", 112, 0, true},	{"2001:db8:8000::", 33, 0, true},
		{"::ffff:198.18.7.0", 120, 0, false},	{"2001:db8:8000:7::", 64, 0, false},
		{"::ffff:198.18.7.9", 128, 80, true},	{"2001:db8:8000:7::9", 128, 80, true},
	};

	static const uint8_t protos[3] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP};

	for (size_t i = 0; i < 3 * sizeof(lines) / sizeof(lines[0]); i++) {
		struct lb_wild wild = {.service = SERVICE, .plen = lines[i / 3].plen};
		struct lb_wild_key key;
		uint8_t addr[16];

		inet_pton(AF_INET6, lines[i / 3].addr, addr);
		wild.flags = w->services[SERVICE].flags & LB_SERVICE_F_NAT ? LB_VIP_F_NAT : 0;
		wild.table = LB_TABLE(lines[i / 3].new ? TABLE_NEW : TABLE_BASE, TABLE_SHIFT);
		key = lb_wild_key(lb_get64(addr), lb_get64(addr + 8),
				  lb_vip_what(htons(lines[i / 3].port), protos[i % 3], i / 3 % 2 == 0), wild.plen);
		assert(!w->trie_add(w, &w->wild, &key, &wild));
	}
}

static void setup_access(struct world *w, const struct setup *s)
{
	for (size_t i = 0; i < 4 && s->access[i].addr; i++) {
		const struct lb_access access = {.verdict = (__u32)s->access[i].verdict};
		struct lb_access_key key;
		uint8_t addr[16];

		inet_pton(AF_INET6, s->access[i].addr, addr);
		key = lb_access_key(lb_get64(addr), lb_get64(addr + 8), SERVICE,
				    !memcmp(addr, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12), (__u32)s->access[i].plen);
		assert(!w->trie_add(w, &w->access, &key, &access));
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
	for (int i = 0; i < 1 << TABLE_SHIFT; i++)
		w->slots[(TABLE_NEW + i) / 16].slot[i % 16] = LB_SLOT(LB_PHASE_STABLE, 0, NEW);
	for (int i = 1; s->odd && i < 1 << TABLE_SHIFT; i += 2)
		w->slots[(TABLE_BASE + i) / 16].slot[i % 16] = s->odd;
	setup_flow(w, s, in);
	if (s->flooded) {
		row->learn_start_ns = now_ns();
		row->learn_count = w->conf->learn_rate;
	}
	w->services[SERVICE] = (struct lb_service){
		.flags = s->flags,
		.name_id = NAME_ID,
		.quic = s->quic,
		.policy = (__u8)s->policy,
		.turn_shift = TABLE_SHIFT,
		.sticky_ticks = (__u8)s->sticky,
		.source_plen4 = (__u8)or_default(s->plen4, 32),
		.source_plen6 = (__u8)or_default(s->plen6, 128),
	};
	assert(!w->turn_reset(w, SERVICE));
	if (s->quic) {
		const struct lb_cid mine = {.server_id = 0xa1b2, .service = SERVICE, .config = 1};
		const struct lb_cid others = {.server_id = 0xc3c3, .service = SERVICE + 1, .config = 1};
		const struct lb_cid wrong = {.server_id = 0xd4d4, .service = SERVICE, .config = 1};

		assert(!w->cid_add(w, &mine, NEW) && !w->cid_add(w, &others, NEW) && !w->cid_add(w, &wrong, FOREIGN));
	}
	w->live[OLD] = s->live_old;
	w->live[NEW] = s->live_new;
	w->services[SERVICE].table = s->no_table ? 0 : LB_TABLE(TABLE_BASE, TABLE_SHIFT);
	w->services[SERVICE].mss = (__u16)s->mss;
	if (s->source_rate)
		w->services[SERVICE].source_interval_ns = 1000000000U / (__u32)s->source_rate;
	setup_access(w, s);
	setup_vips(w, s->ping);
	if (s->wild)
		setup_wild(w);
}
