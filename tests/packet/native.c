// SPDX-License-Identifier: GPL-2.0-or-later
/* The world of arrays: the pipeline as it is loaded into the kernel, compiled for this process. Each frame lies in an
 * allocation of exactly its size, two bytes in so that the IP header is aligned as a driver aligns it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "packet.h"

/* As functions: all of it in one, with the sanitizers in it, takes the compiler a minute and a gigabyte. */
#undef __always_inline
#define __always_inline inline
#include "../../bpf/pipeline.h"

#define OFFSET 2
#define CPU 1
#define NR_ROWS (CPU + 1)

struct lb_world {
	uint8_t *mem;
	size_t len;
	bool no_headroom;
	int spare; /* bytes that were taken off */
};

static struct world arrays;
static const struct world *playing; /* the caller's */
static uint32_t ports[LB_MAX_PORTS];
static unsigned int nr_ports;
static struct {
	uint32_t oif;
	struct lb_vlan vlan;
} vlans[8];
static unsigned int nr_vlans;

static __always_inline __attribute__((unused)) bool lb_world_has(struct lb_world *w, __u32 feature)
{
	return LB_HAS_ALL & feature;
}

static __always_inline void *lb_world_data(struct lb_world *w)
{
	return w->mem + OFFSET;
}

static __always_inline void *lb_world_data_end(struct lb_world *w)
{
	return w->mem + OFFSET + w->len;
}

static __always_inline bool lb_world_grow(struct lb_world *w, int nr_bytes)
{
	size_t len = w->len + (size_t)(ssize_t)nr_bytes, kept = nr_bytes < 0 ? len : w->len;
	size_t from = nr_bytes < 0 ? (size_t)-nr_bytes : 0, to = nr_bytes < 0 ? 0 : (size_t)nr_bytes;
	uint8_t *mem;

	if (w->no_headroom && nr_bytes > w->spare)
		return false;
	w->spare -= nr_bytes;
	mem = calloc(1, OFFSET + len);
	if (!mem)
		return false;
	memcpy(mem + OFFSET + to, w->mem + OFFSET + from, kept);
	free(w->mem);
	w->mem = mem;
	w->len = len;
	return true;
}

static __always_inline bool lb_world_cut(struct lb_world *w, int nr_bytes)
{
	uint8_t *mem = calloc(1, OFFSET + (size_t)nr_bytes);

	if (!mem)
		return false;
	w->len = (size_t)nr_bytes;
	memcpy(mem + OFFSET, w->mem + OFFSET, w->len);
	free(w->mem);
	w->mem = mem;
	return true;
}

static __always_inline __u32 lb_world_send(struct lb_world *w, __u32 oif, bool redirect)
{
	if (oif == INGRESS && !redirect)
		return XDP_TX;
	for (unsigned int i = 0; i < nr_ports; i++)
		if (ports[i] == oif)
			return XDP_REDIRECT;
	return LB_UNSENT;
}

static __always_inline const struct lb_conf *lb_world_conf(struct lb_world *w)
{
	return arrays.conf;
}

static __always_inline const struct lb_vlan *lb_world_vlan(struct lb_world *w, __u32 oif)
{
	for (unsigned int i = 0; i < nr_vlans; i++)
		if (vlans[i].oif == oif)
			return &vlans[i].vlan;
	return NULL;
}

static __always_inline __u64 lb_world_vlan_pop(struct lb_world *w)
{
	return lb_vlan_pop(w);
}

static __always_inline bool lb_world_vlan_push(struct lb_world *w, __u64 tags)
{
	return lb_vlan_push(w, tags);
}

static __always_inline __u32 lb_world_ingress(struct lb_world *w)
{
	return INGRESS;
}

static __always_inline const struct lb_link *lb_world_link(struct lb_world *w, __u32 link)
{
	return link < LB_LINKS ? &arrays.links[link] : NULL;
}

static __always_inline const struct lb_vip_set *lb_world_vips(struct lb_world *w, __u32 set)
{
	return set < LB_VIP_SETS ? &arrays.vips[set] : NULL;
}

static __always_inline const struct lb_service *lb_world_service(struct lb_world *w, __u32 service)
{
	return service < LB_MAX_SERVICES ? &arrays.services[service] : NULL;
}

static __always_inline const struct lb_slot_line *lb_world_slots(struct lb_world *w, __u32 line)
{
	return line < LB_SLOTS / 16 ? &arrays.slots[line] : NULL;
}

static __always_inline const struct lb_backend *lb_world_backend(struct lb_world *w, __u32 backend)
{
	return backend < LB_MAX_BACKENDS ? &arrays.backends[backend] : NULL;
}

/* The longest key of @t that @key begins with, bit by bit; NULL: none. */
static const void *trie_find(const struct trie *t, const void *key)
{
	const uint8_t *best = NULL;
	uint32_t best_bits = 0, bits;

	for (unsigned int i = 0; i < t->nr; i++) {
		const uint8_t *line = t->line[i], *k = key;
		bool same = true;

		memcpy(&bits, line, sizeof(bits));
		for (uint32_t b = 0; b < bits && same; b++)
			same = !((line[4 + b / 8] ^ k[4 + b / 8]) & (0x80 >> b % 8));
		if (same && (!best || bits > best_bits)) {
			best = line;
			best_bits = bits;
		}
	}
	return best ? best + t->key_len : NULL;
}

static int native_trie_add(struct world *w, struct trie *t, const void *key, const void *value)
{
	if (t->nr == TRIE_MAX)
		return -ENOSPC;
	memcpy(t->line[t->nr], key, t->key_len);
	memcpy(t->line[t->nr++] + t->key_len, value, t->value_len);
	return 0;
}

static int native_trie_clear(struct world *w, struct trie *t)
{
	t->nr = 0;
	return 0;
}

static __always_inline const struct lb_wild *lb_world_wild(struct lb_world *w, const struct lb_wild_key *key)
{
	return trie_find(&playing->wild, key);
}

static __always_inline __u64 lb_world_wild_find(struct lb_world *w, __u64 hi, __u64 lo, __u32 what)
{
	return lb_wild_find(w, hi, lo, what);
}

static __always_inline const struct lb_access *lb_world_access(struct lb_world *w, const struct lb_access_key *key)
{
	return trie_find(&playing->access, key);
}

static __always_inline struct lb_rate_set *lb_world_rates(struct lb_world *w, __u32 set)
{
	return set < LB_RATE_SETS ? &arrays.rates[set] : NULL;
}

static __always_inline __u32 lb_world_judge_source(struct lb_world *w, __u64 hi, __u64 lo, __u32 service, __u32 flags)
{
	return lb_judge_source(w, hi, lo, service, flags);
}

static __always_inline __u64 lb_world_now_ns(struct lb_world *w)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (__u64)ts.tv_sec * 1000000000ULL + (__u64)ts.tv_nsec;
}

static __always_inline __u32 lb_world_fresh(struct lb_world *w)
{
	return lb_flow_fresh(lb_flow_age(lb_world_now_ns(w)));
}

static __always_inline __u32 lb_world_now_s(struct lb_world *w)
{
	return lb_conn_now(lb_world_now_ns(w));
}

static __always_inline struct lb_flow_set *lb_world_flows(struct lb_world *w, __u32 set)
{
	return set < LB_FLOW_SETS ? &arrays.flows[set] : NULL;
}

static __always_inline struct lb_flow_set *lb_world_frags(struct lb_world *w, __u32 set)
{
	return set < LB_FRAGMENT_SETS ? &arrays.frags[set] : NULL;
}

static __always_inline struct lb_verdict_cpu *lb_world_verdict_cpu(struct lb_world *w)
{
	return &arrays.verdict_cpu[CPU];
}

static __always_inline struct lb_service_cpu *lb_world_service_cpu(struct lb_world *w, __u32 service)
{
	return service < LB_MAX_SERVICES ? &arrays.service_cpu[CPU * LB_MAX_SERVICES + service] : NULL;
}

static __always_inline __u64 *lb_world_hits(struct lb_world *w)
{
	return &arrays.hits->at[CPU % LB_HITS].nr;
}

static __always_inline struct lb_backend_cpu *lb_world_backend_cpu(struct lb_world *w, __u32 backend)
{
	return backend < LB_MAX_BACKENDS ? &arrays.backend_cpu[CPU * LB_MAX_BACKENDS + backend] : NULL;
}

static __u32 turns[LB_MAX_SERVICES];

static __always_inline __u32 lb_world_turn(struct lb_world *w, __u32 service)
{
	return turns[service]++;
}

static __always_inline __u32 lb_world_random(struct lb_world *w)
{
	static __u32 state = 1;

	return state = state * 1664525 + 1013904223;
}

static __always_inline __s64 *lb_world_live(struct lb_world *w, __u32 backend)
{
	return backend < LB_MAX_BACKENDS ? (__s64 *)&arrays.live[backend] : NULL;
}

static __always_inline __u64 lb_world_source(struct lb_world *w, const struct lb_packet *p, __u32 service)
{
	return lb_source_hash(w, p->v6 ? p->saddr[0] : p->saddr4, p->v6 ? p->saddr[1] : 0, p->v6, service);
}

static __always_inline __u32 lb_world_choose(struct lb_world *w, struct lb_flow_query q)
{
	return lb_choose(w, q);
}

static __always_inline void lb_world_choose_again(struct lb_world *w, struct lb_flow_query q)
{
	lb_choose_again(w, q);
}

static struct {
	struct lb_cid cid;
	uint32_t backend;
} cids[8];
static unsigned int nr_cids;

static __always_inline __u32 lb_world_cid(struct lb_world *w, const struct lb_cid *cid)
{
	for (unsigned int i = 0; i < nr_cids; i++)
		if (!memcmp(&cids[i].cid, cid, sizeof(*cid)))
			return cids[i].backend;
	return 0;
}

static __always_inline __u32 lb_world_quic(struct lb_world *w, __u32 udp_off, __u32 room, __u32 service)
{
	return lb_quic_server(w, udp_off, room, service);
}

static int native_cid_add(struct world *w, const struct lb_cid *cid, uint32_t backend)
{
	struct lb_world any = {0};

	if (lb_world_cid(&any, cid))
		return 0;
	if (nr_cids == sizeof(cids) / sizeof(cids[0]))
		return -ENOSPC;
	cids[nr_cids].cid = *cid;
	cids[nr_cids++].backend = backend;
	return 0;
}

static int native_turn_reset(struct world *w, uint32_t service)
{
	turns[service] = 0;
	return 0;
}

/* ---- translated connections: an exact map ---- */
#define NR_CONNS 64

static struct {
	bool used;
	struct lb_conn_key key;
	struct lb_conn conn;
} conns[NR_CONNS];
static struct {
	struct lb_snat at;
	__u64 addr[2];
} snats[8];
static unsigned int nr_snats;
static struct lb_nat_work nat_work;
static struct lb_nat_set nat_sets[1 << 12];

static __always_inline struct lb_conn *lb_world_conn(struct lb_world *w, const struct lb_conn_key *key)
{
	for (int i = 0; i < NR_CONNS; i++)
		if (conns[i].used && !memcmp(&conns[i].key, key, sizeof(*key)))
			return &conns[i].conn;
	return NULL;
}

static __always_inline int lb_world_conn_add(struct lb_world *w, const struct lb_conn_key *key,
					     const struct lb_conn *conn, __u64 flags)
{
	struct lb_conn *at = lb_world_conn(w, key);

	if (at && flags & BPF_NOEXIST)
		return -EEXIST;
	for (int i = 0; i < NR_CONNS && !at; i++) {
		if (conns[i].used)
			continue;
		conns[i].used = true;
		conns[i].key = *key;
		at = &conns[i].conn;
	}
	if (!at)
		return -E2BIG;
	*at = *conn;
	return 0;
}

static __always_inline int lb_world_conn_del(struct lb_world *w, const struct lb_conn_key *key)
{
	for (int i = 0; i < NR_CONNS; i++) {
		if (!conns[i].used || memcmp(&conns[i].key, key, sizeof(*key)))
			continue;
		conns[i].used = false;
		return 0;
	}
	return -ENOENT;
}

static __always_inline struct lb_nat_load *lb_world_nat_load(struct lb_world *w, __u32 service)
{
	return service < LB_MAX_SERVICES ? &arrays.nat_loads[service] : NULL;
}

static __always_inline const __u64 *lb_world_snat(struct lb_world *w, const struct lb_snat *at)
{
	for (unsigned int i = 0; i < nr_snats; i++)
		if (!memcmp(&snats[i].at, at, sizeof(*at)))
			return snats[i].addr;
	return NULL;
}

static __always_inline struct lb_nat_work *lb_world_nat_work(struct lb_world *w)
{
	return &nat_work;
}

static __always_inline struct lb_nat_set *lb_world_nat_set(struct lb_world *w, __u32 idx)
{
	return &nat_sets[idx % (sizeof(nat_sets) / sizeof(nat_sets[0]))];
}

static __always_inline struct lb_nat_epochs *lb_world_nat_epochs(struct lb_world *w)
{
	return arrays.nat_epochs;
}

static __always_inline bool lb_world_nat_is_vip(struct lb_world *w, const struct lb_conn_key *back)
{
	return lb_nat_is_vip(w, back->daddr[0], back->daddr[1], lb_ports_dest(back->ports), (__u8)back->proto);
}

static __always_inline __u32 lb_world_nat_attend(struct lb_world *w, __u32 backend_idx, __u32 service_idx,
						 __u32 tcp_flags)
{
	return lb_nat_attend(w, backend_idx, service_idx, tcp_flags);
}

static __always_inline __u32 lb_world_nat_line6(struct lb_world *w, __u32 service_idx, __u64 tags)
{
	return lb_nat_line6(w, service_idx, tags);
}

static __always_inline enum lb_verdict lb_world_nat_cross_fragment(struct lb_world *w, const struct lb_conn *c, bool v6)
{
	return lb_nat_cross_fragment(w, c, v6);
}

static __always_inline void lb_world_nat_salt(struct lb_world *w, const struct lb_nat_job *n)
{
	lb_nat_salt(w, n);
}

static __always_inline enum lb_verdict lb_world_nat_cross(struct lb_world *w, const struct lb_conn *c, __u32 l4_off,
							  __u32 proto, bool v6)
{
	return lb_nat_cross(w, c, l4_off, (__u8)proto, v6);
}

static __always_inline enum lb_verdict lb_world_nat_error_cross(struct lb_world *w, const struct lb_conn *c,
								struct lb_icmp_mtus mtus)
{
	return lb_nat_error_cross(w, c, mtus);
}

static __always_inline enum lb_verdict lb_world_nat_part_same(struct lb_world *w, const struct lb_conn *c, bool keeps,
							       __u32 mtu)
{
	return lb_nat_part_same(w, c, keeps, mtu);
}

static __always_inline __u32 lb_world_nat_part(struct lb_world *w)
{
	return lb_nat_part(w);
}

static __always_inline struct lb_conn *lb_world_nat_find(struct lb_world *w, struct lb_nat_job *n, __u32 asked)
{
	return lb_nat_find(w, n, asked);
}

static __always_inline __u32 lb_world_nat(struct lb_world *w, struct lb_nat_job *n, struct lb_conn *c)
{
	return lb_nat(w, n, c);
}

static __always_inline __u32 lb_world_nat_choose(struct lb_world *w)
{
	return lb_nat_choose(w);
}

static __always_inline __u32 lb_world_nat_account(struct lb_world *w, __u32 fate)
{
	return lb_nat_account(w, fate);
}

static int native_conn_clear(struct world *w)
{
	memset(conns, 0, sizeof(conns));
	nr_snats = 0;
	return 0;
}

static int native_snat_add(struct world *w, const struct lb_snat *at, const uint8_t addr[16])
{
	if (nr_snats == sizeof(snats) / sizeof(snats[0]))
		return -ENOSPC;
	snats[nr_snats].at = *at;
	memcpy(snats[nr_snats++].addr, addr, 16);
	return 0;
}

static __always_inline __u32 lb_world_flow_steer(struct lb_world *w, struct lb_flow_query q)
{
	return lb_flow_steer(w, q);
}

static __always_inline __u32 lb_world_icmp(struct lb_world *w)
{
	return lb_icmp(w);
}

static __always_inline __u32 lb_world_fragment(struct lb_world *w)
{
	return lb_fragment(w);
}

static __always_inline __u32 lb_world_fragment_first(struct lb_world *w, bool v6)
{
	return lb_fragment_first(w, v6);
}

static __always_inline void lb_world_fragment_teach(struct lb_world *w, __u32 backend_idx)
{
	lb_fragment_teach(w, backend_idx);
}

static __always_inline void lb_world_fragment_teach_ports(struct lb_world *w, __u32 pair, __u32 proto)
{
	lb_fragment_teach_ports(w, pair, proto);
}

static __always_inline __u32 lb_world_flow_look(struct lb_world *w, struct lb_flow_query q)
{
	return lb_flow_look(w, q);
}

static __always_inline __u32 lb_world_too_big(struct lb_world *w, __u32 what)
{
	return lb_too_big(w, what);
}

static __always_inline void lb_world_clamp(struct lb_world *w)
{
	lb_clamp(w);
}

static __always_inline void lb_world_gue_checksum(struct lb_world *w)
{
	lb_gue_checksum6(lb_world_data(w) + sizeof(struct ethhdr), lb_world_data_end(w), LB_GUE_WORDS);
}

static int native_run(struct world *w, const struct frame *in, bool no_headroom, struct frame *out, int *action)
{
	struct lb_world lw = {.mem = malloc(OFFSET + in->len), .len = in->len, .no_headroom = no_headroom};
	enum lb_verdict v;
	__u32 sent = 0;

	if (!lw.mem)
		return -ENOMEM;
	memcpy(lw.mem + OFFSET, in->data, in->len);
	playing = w;
	v = lb_pipeline(&lw, &sent);
	if (v == LB_V_FORWARDED || sent)
		*action = (int)sent;
	else
		*action = lb_verdict_passes(v) ? XDP_PASS : XDP_DROP;
	out->len = lw.len;
	memcpy(out->data, lw.mem + OFFSET, lw.len);
	free(lw.mem);
	return 0;
}

static int native_port_add(struct world *w, uint32_t ifindex)
{
	if (nr_ports == LB_MAX_PORTS)
		return -ENOSPC;
	ports[nr_ports++] = ifindex;
	return 0;
}

static int native_vlan_add(struct world *w, uint32_t ifindex, const struct lb_vlan *vlan)
{
	if (nr_vlans == sizeof(vlans) / sizeof(vlans[0]))
		return -ENOSPC;
	vlans[nr_vlans].oif = ifindex;
	vlans[nr_vlans++].vlan = *vlan;
	return 0;
}

int world_native_open(struct world *w)
{
	arrays = (struct world){
		.name = "native",
		.cpu = CPU,
		.conf = calloc(1, sizeof(struct lb_conf)),
		.links = calloc(LB_LINKS, sizeof(struct lb_link)),
		.hits = calloc(1, sizeof(struct lb_hits)),
		.vips = calloc(LB_VIP_SETS, sizeof(struct lb_vip_set)),
		.services = calloc(LB_MAX_SERVICES, sizeof(struct lb_service)),
		.slots = calloc(LB_SLOTS / 16, sizeof(struct lb_slot_line)),
		.backends = calloc(LB_MAX_BACKENDS, sizeof(struct lb_backend)),
		.flows = calloc(LB_FLOW_SETS, sizeof(struct lb_flow_set)),
		.frags = calloc(LB_FRAGMENT_SETS, sizeof(struct lb_flow_set)),
		.verdict_cpu = calloc(NR_ROWS, sizeof(struct lb_verdict_cpu)),
		.service_cpu = calloc(NR_ROWS * LB_MAX_SERVICES, sizeof(struct lb_service_cpu)),
		.backend_cpu = calloc(NR_ROWS * LB_MAX_BACKENDS, sizeof(struct lb_backend_cpu)),
		.wild = {.key_len = sizeof(struct lb_wild_key), .value_len = sizeof(struct lb_wild)},
		.access = {.key_len = sizeof(struct lb_access_key), .value_len = sizeof(struct lb_access)},
		.rates = calloc(LB_RATE_SETS, sizeof(struct lb_rate_set)),
		.trie_add = native_trie_add,
		.trie_clear = native_trie_clear,
		.live = calloc(LB_MAX_BACKENDS, sizeof(int64_t)),
		.nat_loads = calloc(LB_MAX_SERVICES, sizeof(struct lb_nat_load)),
		.nat_epochs = calloc(1, sizeof(struct lb_nat_epochs)),
		.conn_clear = native_conn_clear,
		.snat_add = native_snat_add,
		.turn_reset = native_turn_reset,
		.cid_add = native_cid_add,
		.port_add = native_port_add,
		.vlan_add = native_vlan_add,
		.run = native_run,
	};
	*w = arrays;
	if (!world_is_whole(w)) {
		fprintf(stderr, "native: out of memory\n");
		return -ENOMEM;
	}
	return 0;
}

void world_native_close(void)
{
	free(arrays.conf);
	free(arrays.links);
	free(arrays.vips);
	free(arrays.services);
	free(arrays.slots);
	free(arrays.backends);
	free(arrays.flows);
	free(arrays.rates);
	free(arrays.frags);
	free(arrays.verdict_cpu);
	free(arrays.service_cpu);
	free(arrays.backend_cpu);
	free(arrays.live);
	free(arrays.nat_loads);
	free(arrays.nat_epochs);
}
