// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The load balancer's XDP program: the stages of pipeline.h in a world of maps and helpers. Loads on kernel 5.10 and
 * later.
 */
#include "maps.h"

#include "pipeline.h"

/* Whose program it is, and what its maps look like, also when their pins are gone: lbd knows its own on an interface by
 * it, and takes the maps from there. First of the constants: the others differ between programs of one lbd. */
const volatile struct lb_identity lb_identity = {0, LB_ABI_VERSION, 0};

/* LB_HAS_*: what the configuration needs. */
const volatile __u32 lb_features = LB_HAS_ALL;

/* A CPU's sets of lines of translated connections, less one. */
const volatile __u32 lb_nat_set_mask = 0;

/* Do connections move to lb_conns from lb_conns_from? See lb_conn_move. */
const volatile bool lb_conns_move = false;

/* Does the kernel have bpf_ktime_get_coarse_ns (5.11)? To read a clock of a few milliseconds costs a fraction. */
const volatile bool lb_coarse_clock = false;

struct lb_world {
	struct xdp_md *ctx;
	bool main; /* lb_main's, in which .ingress was read: to fetch it anew takes three loads */
	__u32 ingress;
};

static __always_inline __attribute__((unused)) bool lb_world_has(struct lb_world *w, __u32 feature)
{
	return lb_features & feature;
}

static __always_inline void *lb_world_data(struct lb_world *w)
{
	return (void *)(long)w->ctx->data;
}

static __always_inline void *lb_world_data_end(struct lb_world *w)
{
	return (void *)(long)w->ctx->data_end;
}

static __always_inline bool lb_world_grow(struct lb_world *w, int nr_bytes)
{
	return !bpf_xdp_adjust_head(w->ctx, -nr_bytes);
}

static __always_inline bool lb_world_cut(struct lb_world *w, int nr_bytes)
{
	long len = lb_world_data_end(w) - lb_world_data(w);

	asm volatile("" : "+r"(len)); /* pointers are not to be reckoned with in words of 32 bits */
	return !bpf_xdp_adjust_tail(w->ctx, nr_bytes - (int)len);
}

static __always_inline __u32 lb_world_send(struct lb_world *w, __u32 oif, bool redirect)
{
	if (lb_likely(oif == lb_world_ingress(w) && !redirect))
		return XDP_TX;
	return bpf_redirect_map(&lb_ports, oif, XDP_DROP);
}

static __always_inline const struct lb_conf *lb_world_conf(struct lb_world *w)
{
	return &lb_conf;
}

static __always_inline const struct lb_vlan *lb_world_vlan(struct lb_world *w, __u32 oif)
{
	return bpf_map_lookup_elem(&lb_vlans, &oif);
}

static __always_inline __u32 lb_world_ingress(struct lb_world *w)
{
	return w->main ? w->ingress : w->ctx->ingress_ifindex;
}

static __always_inline const struct lb_link *lb_world_link(struct lb_world *w, __u32 link)
{
	return &lb_links.at[link % LB_LINKS];
}

static __always_inline const struct lb_vip_set *lb_world_vips(struct lb_world *w, __u32 set)
{
	return bpf_map_lookup_elem(&lb_vips, &set);
}

static __always_inline const struct lb_service *lb_world_service(struct lb_world *w, __u32 service)
{
	return bpf_map_lookup_elem(&lb_services, &service);
}

static __always_inline const struct lb_slot_line *lb_world_slots(struct lb_world *w, __u32 line)
{
	return bpf_map_lookup_elem(&lb_slots, &line);
}

static __always_inline const struct lb_backend *lb_world_backend(struct lb_world *w, __u32 backend)
{
	return bpf_map_lookup_elem(&lb_backends, &backend);
}

static __always_inline const struct lb_wild *lb_world_wild(struct lb_world *w, const struct lb_wild_key *key)
{
	return bpf_map_lookup_elem(&lb_wild, key);
}

static __always_inline const struct lb_access *lb_world_access(struct lb_world *w, const struct lb_access_key *key)
{
	return bpf_map_lookup_elem(&lb_access, key);
}

static __always_inline struct lb_rate_set *lb_world_rates(struct lb_world *w, __u32 set)
{
	return bpf_map_lookup_elem(&lb_rates, &set);
}

static __always_inline __u64 lb_world_now_ns(struct lb_world *w)
{
	return lb_coarse_clock ? bpf_ktime_get_coarse_ns() : bpf_ktime_get_ns();
}

/* A tick of the age lasts 68.7 s, and to call a clock takes as long as two look-ups. So its answer is kept for a
 * moment, with the time of the question: jiffies << 32 | lb_flow_fresh. Jiffies are a word in memory that is read in
 * line. */
#define LB_AGE_JIFFIES 16

/* Seldom, so off the fast path like the flow cache below. */
__attribute__((noinline)) __u32 lb_fresh_ask(void)
{
	struct lb_world w = {0};
	__u64 jiffies = bpf_jiffies64();
	__u32 fresh = lb_flow_fresh(lb_flow_age(lb_world_now_ns(&w)));

	lb_store(&lb_conf.fresh_kept, jiffies << 32 | fresh);
	return fresh;
}

static __always_inline __u32 lb_world_fresh(struct lb_world *w)
{
	__u64 jiffies = bpf_jiffies64(),
	      kept = lb_load(&lb_conf.fresh_kept); /* in this order: a call leaves few words */

	if (lb_likely((__u32)(jiffies - (kept >> 32)) < LB_AGE_JIFFIES))
		return (__u32)kept;
	return lb_fresh_ask();
}

__attribute__((noinline)) __u32 lb_now_ask(void)
{
	struct lb_world w = {0};
	__u64 jiffies = bpf_jiffies64();
	__u32 now = lb_conn_now(lb_world_now_ns(&w));

	lb_store(&lb_conf.now_kept, jiffies << 32 | now);
	return now;
}

static __always_inline __u32 lb_world_now_s(struct lb_world *w)
{
	__u64 kept = lb_load(&lb_conf.now_kept);

	if (lb_likely(kept && (__u32)(bpf_jiffies64() - (kept >> 32)) < LB_AGE_JIFFIES))
		return (__u32)kept;
	return lb_now_ask();
}

static __always_inline struct lb_flow_set *lb_world_flows(struct lb_world *w, __u32 set)
{
	return bpf_map_lookup_elem(&lb_flows, &set);
}

static __always_inline struct lb_flow_set *lb_world_frags(struct lb_world *w, __u32 set)
{
	return bpf_map_lookup_elem(&lb_frags, &set);
}

static __always_inline struct lb_verdict_cpu *lb_world_verdict_cpu(struct lb_world *w)
{
	__u32 row = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&lb_verdict_cpu, &row);
}

static __always_inline struct lb_service_cpu *lb_world_service_cpu(struct lb_world *w, __u32 service)
{
	__u32 row = bpf_get_smp_processor_id() * LB_MAX_SERVICES + service;

	return bpf_map_lookup_elem(&lb_service_cpu, &row);
}

static __always_inline __u64 *lb_world_hits(struct lb_world *w)
{
	return &lb_hits.at[bpf_get_smp_processor_id() % LB_HITS].nr;
}

static __always_inline struct lb_backend_cpu *lb_world_backend_cpu(struct lb_world *w, __u32 backend)
{
	__u32 row = bpf_get_smp_processor_id() * LB_MAX_BACKENDS + backend;

	return bpf_map_lookup_elem(&lb_backend_cpu, &row);
}

static __always_inline __u32 lb_world_turn(struct lb_world *w, __u32 service)
{
	struct lb_turn *turn = bpf_map_lookup_elem(&lb_turns, &service);
	__u32 mine;

	if (!turn)
		return 0;
	bpf_spin_lock(&turn->lock);
	mine = turn->next++;
	bpf_spin_unlock(&turn->lock);
	return mine;
}

static __always_inline __u32 lb_world_random(struct lb_world *w)
{
	return bpf_get_prandom_u32();
}

static __always_inline __s64 *lb_world_live(struct lb_world *w, __u32 backend)
{
	return bpf_map_lookup_elem(&lb_live, &backend);
}

/* Off the fast path like the flow cache below. */
__attribute__((noinline)) __u64 lb_source_words(__u64 saddr0, __u64 saddr1, __u32 v6, __u32 service_idx)
{
	struct lb_world w = {0};

	return lb_world_has(&w, LB_HAS_AFFINITY) ? lb_source_hash(&w, saddr0, saddr1, v6, service_idx) : 0;
}

static __always_inline __u64 lb_world_source(struct lb_world *w, const struct lb_packet *p, __u32 service)
{
	return lb_source_words(p->v6 ? p->saddr[0] : p->saddr4, p->v6 ? p->saddr[1] : 0, p->v6, service);
}

static __always_inline __u32 lb_world_cid(struct lb_world *w, const struct lb_cid *cid)
{
	const __u32 *backend = bpf_map_lookup_elem(&lb_cids, cid);

	return backend ? *backend : 0;
}

__attribute__((noinline)) __u32 lb_quic_words(struct xdp_md *ctx, __u32 udp_off, __u32 room, __u32 service_idx)
{
	struct lb_world w = {.ctx = ctx};

	return lb_world_has(&w, LB_HAS_QUIC) ? lb_quic_server(&w, udp_off, room, service_idx) : 0;
}

static __always_inline __u32 lb_world_quic(struct lb_world *w, __u32 udp_off, __u32 room, __u32 service)
{
	return lb_quic_words(w->ctx, udp_off, room, service);
}

#define LB_AGAIN (1U << 31)

__attribute__((noinline)) __u32 lb_choose_words(__u64 source, __u32 service_idx, __u32 word, __u32 flags)
{
	struct lb_world w = {0};
	struct lb_flow_query q = {.source = source, .service_idx = service_idx, .word = word, .flags = flags};

	if (!lb_world_has(&w, LB_HAS_CHOICE | LB_HAS_AFFINITY))
		return 0;
	if (!(flags & LB_AGAIN))
		return lb_choose(&w, q);
	lb_choose_again(&w, q);
	return 0;
}

static __always_inline __u32 lb_world_choose(struct lb_world *w, struct lb_flow_query q)
{
	return lb_choose_words(q.source, q.service_idx, q.word, q.flags);
}

static __always_inline void lb_world_choose_again(struct lb_world *w, struct lb_flow_query q)
{
	lb_choose_words(q.source, q.service_idx, q.word, q.flags | LB_AGAIN);
}

/* The flow cache is off the fast path: a global function of words is verified once, not for each kind of packet that
 * asks. Such functions take no pointers to maps or stack on 5.10. */
__attribute__((noinline)) __u32 lb_flow_steer_words(__u64 hash, __u64 source, __u32 service_idx, __u32 word,
						    __u32 flags)
{
	struct lb_world w = {0};
	struct lb_flow_query q = {
		.hash = hash, .source = source, .service_idx = service_idx, .word = word, .flags = flags};

	return lb_flow_steer(&w, q);
}

static __always_inline __u32 lb_world_flow_steer(struct lb_world *w, struct lb_flow_query q)
{
	return lb_flow_steer_words(q.hash, q.source, q.service_idx, q.word, q.flags);
}

__attribute__((noinline)) __u32 lb_flow_look_words(__u64 hash, __u32 service_idx, __u32 word, __u32 flags)
{
	struct lb_world w = {0};
	struct lb_flow_query q = {.hash = hash, .service_idx = service_idx, .word = word, .flags = flags};

	return lb_world_has(&w, LB_HAS_ICMP) ? lb_flow_look(&w, q) : 0;
}

static __always_inline __u32 lb_world_flow_look(struct lb_world *w, struct lb_flow_query q)
{
	return lb_flow_look_words(q.hash, q.service_idx, q.word, q.flags);
}

/* So is what looks at the frame again. No global functions: on 5.10, those of extension programs, which libxdp's
 * dispatcher makes of this one, cannot be handed the context. They are verified each time that they are called, so those
 * that are long are called in one place. */
static __attribute__((noinline)) __u32 lb_icmp_ctx(struct xdp_md *ctx)
{
	struct lb_world w = {.ctx = ctx};

	return lb_icmp(&w);
}

static __attribute__((noinline)) __u32 lb_fragment_ctx(struct xdp_md *ctx)
{
	struct lb_world w = {.ctx = ctx};

	return lb_fragment(&w);
}

static __attribute__((noinline)) __u32 lb_fragment_first_ctx(struct xdp_md *ctx, bool v6)
{
	struct lb_world w = {.ctx = ctx};

	return lb_fragment_first(&w, v6);
}

__attribute__((noinline)) __u32 lb_fragment_teach_words(__u32 backend_idx)
{
	struct lb_world w = {0};

	lb_fragment_teach(&w, backend_idx);
	return 0;
}

__attribute__((noinline)) __u32 lb_fragment_teach_ports_words(__u32 ports, __u32 proto)
{
	struct lb_world w = {0};

	lb_fragment_teach_ports(&w, ports, proto);
	return 0;
}

static __always_inline void lb_world_fragment_teach_ports(struct lb_world *w, __u32 ports, __u32 proto)
{
	lb_fragment_teach_ports_words(ports, proto);
}

static __attribute__((noinline)) __u32 lb_too_big_ctx(struct xdp_md *ctx, __u32 what)
{
	struct lb_world w = {.ctx = ctx};

	return lb_too_big(&w, what);
}

static __attribute__((noinline)) __u32 lb_clamp_ctx(struct xdp_md *ctx)
{
	struct lb_world w = {.ctx = ctx};

	lb_clamp(&w);
	return 0;
}

static __always_inline __u32 lb_world_icmp(struct lb_world *w)
{
	return lb_icmp_ctx(w->ctx);
}

static __always_inline __u32 lb_world_fragment(struct lb_world *w)
{
	return lb_fragment_ctx(w->ctx);
}

static __always_inline __u32 lb_world_fragment_first(struct lb_world *w, bool v6)
{
	return lb_fragment_first_ctx(w->ctx, v6);
}

static __always_inline void lb_world_fragment_teach(struct lb_world *w, __u32 backend_idx)
{
	lb_fragment_teach_words(backend_idx);
}

static __always_inline __u32 lb_world_too_big(struct lb_world *w, __u32 what)
{
	return lb_too_big_ctx(w->ctx, what);
}

static __always_inline void lb_world_clamp(struct lb_world *w)
{
	lb_clamp_ctx(w->ctx);
}

static __attribute__((noinline)) __u64 lb_vlan_pop_ctx(struct xdp_md *ctx)
{
	struct lb_world w = {.ctx = ctx};

	return lb_vlan_pop(&w);
}

static __attribute__((noinline)) bool lb_vlan_push_ctx(struct xdp_md *ctx, __u64 tags)
{
	struct lb_world w = {.ctx = ctx};

	return lb_vlan_push(&w, tags);
}

static __always_inline __u64 lb_world_vlan_pop(struct lb_world *w)
{
	return lb_vlan_pop_ctx(w->ctx);
}

static __always_inline bool lb_world_vlan_push(struct lb_world *w, __u64 tags)
{
	return lb_vlan_push_ctx(w->ctx, tags);
}

/* Its many paths all lead to the same end, which the verifier sees where a function returns. No global one: on 5.10,
 * those of extension programs, which libxdp's dispatcher makes of this one, cannot be handed the context. */
static __attribute__((noinline)) void lb_gue_checksum_ctx(struct xdp_md *ctx)
{
	void *ip6 = (void *)(long)ctx->data + sizeof(struct ethhdr);

	lb_gue_checksum6(ip6, (void *)(long)ctx->data_end, LB_GUE_WORDS);
}

static __always_inline void lb_world_gue_checksum(struct lb_world *w)
{
	lb_gue_checksum_ctx(w->ctx);
}

/* So are VIPs that are not in lb_vips. */
__attribute__((noinline)) __u64 lb_wild_find_words(__u64 hi, __u64 lo, __u32 what)
{
	struct lb_world w = {0};

	return lb_wild_find(&w, hi, lo, what);
}

static __always_inline __u64 lb_world_wild_find(struct lb_world *w, __u64 hi, __u64 lo, __u32 what)
{
	return lb_wild_find_words(hi, lo, what);
}

/* And sources that have to be asked. */
__attribute__((noinline)) __u32 lb_judge_source_words(__u64 hi, __u64 lo, __u32 service, __u32 flags)
{
	struct lb_world w = {0};

	return lb_judge_source(&w, hi, lo, service, flags);
}

static __always_inline __u32 lb_world_judge_source(struct lb_world *w, __u64 hi, __u64 lo, __u32 service, __u32 flags)
{
	return lb_judge_source_words(hi, lo, service, flags);
}

/* The interfaces change to another map one after the other, so that for a moment a connection's packets of one
 * interface look in the old map, and those of another in the new one. Between these there is a program that knows both
 * maps: it takes over an entry that only the old one has when it first sees it, and what it makes and removes is made
 * and removed in both. */
static __attribute__((noinline)) struct lb_conn *lb_conn_move(const struct lb_conn_key *key)
{
	const struct lb_conn *c = bpf_map_lookup_elem(&lb_conns_from, key);

	if (!c)
		return NULL;
	bpf_map_update_elem(&lb_conns, key, c, LB_NOEXIST);
	return bpf_map_lookup_elem(&lb_conns, key);
}

static __always_inline struct lb_conn *lb_world_conn(struct lb_world *w, const struct lb_conn_key *key)
{
	struct lb_conn *c = bpf_map_lookup_elem(&lb_conns, key);

	return c || !lb_conns_move ? c : lb_conn_move(key);
}

static __always_inline int lb_world_conn_add(struct lb_world *w, const struct lb_conn_key *key,
					     const struct lb_conn *conn, __u64 flags)
{
	int ret = (int)bpf_map_update_elem(&lb_conns, key, conn, flags);

	if (lb_conns_move && !ret)
		bpf_map_update_elem(&lb_conns_from, key, conn, 0);
	return ret;
}

static __always_inline int lb_world_conn_del(struct lb_world *w, const struct lb_conn_key *key)
{
	int ret = (int)bpf_map_delete_elem(&lb_conns, key);

	return lb_conns_move && !bpf_map_delete_elem(&lb_conns_from, key) ? 0 : ret;
}

static __always_inline struct lb_nat_load *lb_world_nat_load(struct lb_world *w, __u32 service)
{
	return bpf_map_lookup_elem(&lb_nat_loads, &service);
}

static __always_inline const __u64 *lb_world_snat(struct lb_world *w, const struct lb_snat *at)
{
	return bpf_map_lookup_elem(&lb_snats, at);
}

static __always_inline struct lb_nat_work *lb_world_nat_work(struct lb_world *w)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&lb_nat_work, &zero);
}

static __always_inline struct lb_nat_set *lb_world_nat_set(struct lb_world *w, __u32 idx)
{
	const __u32 mask = lb_nat_set_mask;
	__u32 at = bpf_get_smp_processor_id() * (mask + 1) + (idx & mask);

	return bpf_map_lookup_elem(&lb_nat_lines, &at);
}

static __always_inline struct lb_nat_epochs *lb_world_nat_epochs(struct lb_world *w)
{
	return &lb_nat_epochs;
}

__attribute__((noinline)) __u32 lb_nat_is_vip_words(__u64 hi, __u64 lo, __u32 port, __u32 proto)
{
	struct lb_world w = {0};

	return lb_nat_is_vip(&w, hi, lo, (__be16)port, (__u8)proto);
}

static __always_inline bool lb_world_nat_is_vip(struct lb_world *w, const struct lb_conn_key *back)
{
	return lb_nat_is_vip_words(back->daddr[0], back->daddr[1], lb_ports_dest(back->ports), back->proto);
}

/* What makes and ends translated connections. */
__attribute__((noinline)) __u32 lb_nat_attend_words(__u32 backend_idx, __u32 service_idx, __u32 tcp_flags)
{
	struct lb_world w = {0};

	return lb_nat_attend(&w, backend_idx, service_idx, tcp_flags);
}

static __always_inline __u32 lb_world_nat_attend(struct lb_world *w, __u32 backend_idx, __u32 service_idx,
						 __u32 tcp_flags)
{
	return lb_nat_attend_words(backend_idx, service_idx, tcp_flags);
}

/* These need the frame: see lb_gue_checksum_ctx. */
static __attribute__((noinline)) __u32 lb_nat_cross_ctx(struct xdp_md *ctx, const struct lb_conn *c, __u32 l4_off,
							__u32 proto, __u32 v6)
{
	struct lb_world w = {.ctx = ctx};

	return v6 ? lb_nat_cross(&w, c, l4_off, (__u8)proto, true) : lb_nat_cross(&w, c, l4_off, (__u8)proto, false);
}

static __always_inline enum lb_verdict lb_world_nat_cross(struct lb_world *w, const struct lb_conn *c, __u32 l4_off,
							  __u32 proto, bool v6)
{
	return (enum lb_verdict)lb_nat_cross_ctx(w->ctx, c, l4_off, proto, v6);
}

static __attribute__((noinline)) __u32 lb_nat_cross_fragment_ctx(struct xdp_md *ctx, const struct lb_conn *c, __u32 v6)
{
	struct lb_world w = {.ctx = ctx};

	return v6 ? lb_nat_cross_fragment(&w, c, true) : lb_nat_cross_fragment(&w, c, false);
}

static __always_inline enum lb_verdict lb_world_nat_cross_fragment(struct lb_world *w, const struct lb_conn *c, bool v6)
{
	return (enum lb_verdict)lb_nat_cross_fragment_ctx(w->ctx, c, v6);
}

static __attribute__((noinline)) __u32 lb_nat_line6_ctx(struct xdp_md *ctx, __u32 service_idx, __u64 tags)
{
	struct lb_world w = {.ctx = ctx};

	return lb_nat_line6(&w, service_idx, tags);
}

static __always_inline __u32 lb_world_nat_line6(struct lb_world *w, __u32 service_idx, __u64 tags)
{
	return lb_nat_line6_ctx(w->ctx, service_idx, tags);
}

static __attribute__((noinline)) void lb_nat_salt_ctx(struct xdp_md *ctx, const struct lb_nat_job *n)
{
	struct lb_world w = {.ctx = ctx};

	lb_nat_salt(&w, n);
}

static __always_inline void lb_world_nat_salt(struct lb_world *w, const struct lb_nat_job *n)
{
	lb_nat_salt_ctx(w->ctx, n);
}

static __attribute__((noinline)) __u32 lb_nat_error_cross_ctx(struct xdp_md *ctx, const struct lb_conn *c, __u32 here,
							      __u32 there)
{
	struct lb_world w = {.ctx = ctx};

	return lb_nat_error_cross(&w, c, (struct lb_icmp_mtus){.here = here, .there = there});
}

static __always_inline enum lb_verdict lb_world_nat_error_cross(struct lb_world *w, const struct lb_conn *c,
								struct lb_icmp_mtus mtus)
{
	return (enum lb_verdict)lb_nat_error_cross_ctx(w->ctx, c, mtus.here, mtus.there);
}

static __attribute__((noinline)) __u32 lb_nat_part_same_ctx(struct xdp_md *ctx, const struct lb_conn *c, __u32 keeps,
							     __u32 mtu)
{
	struct lb_world w = {.ctx = ctx};

	return lb_nat_part_same(&w, c, keeps, mtu);
}

static __always_inline enum lb_verdict lb_world_nat_part_same(struct lb_world *w, const struct lb_conn *c, bool keeps,
							       __u32 mtu)
{
	return (enum lb_verdict)lb_nat_part_same_ctx(w->ctx, c, keeps, mtu);
}

static __attribute__((noinline)) __u32 lb_nat_part_ctx(struct xdp_md *ctx)
{
	struct lb_world w = {.ctx = ctx};

	return lb_nat_part(&w);
}

static __always_inline __u32 lb_world_nat_part(struct lb_world *w)
{
	return lb_nat_part_ctx(w->ctx);
}

static __attribute__((noinline)) struct lb_conn *lb_nat_find_ctx(struct xdp_md *ctx, struct lb_nat_job *n, __u32 asked)
{
	struct lb_world w = {.ctx = ctx};

	return lb_nat_find(&w, n, asked);
}

static __always_inline struct lb_conn *lb_world_nat_find(struct lb_world *w, struct lb_nat_job *n, __u32 asked)
{
	return lb_nat_find_ctx(w->ctx, n, asked);
}

static __attribute__((noinline)) __u32 lb_nat_ctx(struct xdp_md *ctx, struct lb_nat_job *n, struct lb_conn *c)
{
	struct lb_world w = {.ctx = ctx};

	return lb_nat(&w, n, c);
}

static __always_inline __u32 lb_world_nat(struct lb_world *w, struct lb_nat_job *n, struct lb_conn *c)
{
	return lb_nat_ctx(w->ctx, n, c);
}

static __attribute__((noinline)) __u32 lb_nat_choose_ctx(struct xdp_md *ctx)
{
	struct lb_world w = {.ctx = ctx};

	return lb_nat_choose(&w);
}

static __always_inline __u32 lb_world_nat_choose(struct lb_world *w)
{
	return lb_nat_choose_ctx(w->ctx);
}

__attribute__((noinline)) __u32 lb_nat_account_words(__u32 fate)
{
	struct lb_world w = {0};

	return lb_nat_account(&w, fate);
}

static __always_inline __u32 lb_world_nat_account(struct lb_world *w, __u32 fate)
{
	return lb_nat_account_words(fate);
}

SEC("xdp")
int lb_main(struct xdp_md *ctx)
{
	struct lb_world w = {.ctx = ctx, .main = true, .ingress = ctx->ingress_ifindex};
	__u32 sent = 0;
	enum lb_verdict v = lb_pipeline(&w, &sent);

	if (lb_likely(v == LB_V_FORWARDED) || sent)
		return sent;
	return lb_verdict_passes(v) ? XDP_PASS : XDP_DROP;
}

char _license[] SEC("license") = "GPL";
