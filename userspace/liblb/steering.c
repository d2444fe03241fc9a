// SPDX-License-Identifier: GPL-2.0-or-later
/* The flow's place; see steering.h. */
#include "lb/dp/flow.h"
#include "lb/dp/icmp.h"
#include "lb/dp/source.h"
#include "lb/dp/steer.h"
#include "lb/dp/vlan.h"
#include "steering.h"

/* A packet with all of its transport header. */
static bool parse_flow(const void *ip, const void *end, bool v6, struct lb_packet *p)
{
	enum lb_verdict v;

	if (!v6 && ip + sizeof(struct iphdr) > end)
		return false;
	v = v6 ? lb_parse_ip6(ip, end, p, false) : lb_parse_ip4(ip, p, false);
	if (v == LB_V_FORWARDED)
		v = lb_parse_l4(end, p);
	if (v != LB_V_FORWARDED)
		return false;
	lb_parse_source(p);
	return true;
}

enum lb_steering_kind lb_steering_parse(const void *frame, size_t len, struct lb_packet *p)
{
	const void *end = frame + len, *ip = frame + sizeof(struct ethhdr);
	enum lb_verdict v;
	__u64 tags;
	__be16 type;
	bool v6;

	*p = (struct lb_packet){0};
	tags = lb_vlan_tags(frame, end);
	if (tags)
		ip += LB_TAGS_INNER(tags) ? 2 * LB_VLAN_HLEN : LB_VLAN_HLEN;
	if (ip > end)
		return LB_STEERING_NONE;
	type = lb_get16(ip - sizeof(type));
	if (!lb_vlan_is_ip(type))
		return LB_STEERING_NONE;
	v6 = type == lb_htons(ETH_P_IPV6);
	if (parse_flow(ip, end, v6, p))
		return LB_STEERING_FLOW;
	*p = (struct lb_packet){0};
	v = v6 ? lb_icmp_parse6(ip, end, p) : lb_icmp_parse4(ip, end, p);
	return v == LB_V_FORWARDED ? LB_STEERING_ERROR : LB_STEERING_NONE;
}

/* As lb_source_hash of bpf/choice.h has it. */
static uint64_t source_of(const struct lb_conf *conf, const struct lb_service *s, const struct lb_packet *p)
{
	__u64 masked[2];

	if (!(s->flags & LB_SERVICE_F_AFFINITY))
		return 0;
	if (!p->v6)
		return lb_hash_flow4(&conf->hash, s->name_id, lb_source4(p->saddr4, s->source_plen4), 0);
	masked[0] = lb_source6(p->saddr[0], 0, s->source_plen6);
	masked[1] = lb_source6(p->saddr[1], 1, s->source_plen6);
	return lb_hash_flow6(&conf->hash, s->name_id, masked, 0);
}

struct lb_steering lb_steering_of(const struct lb_conf *conf, const struct lb_service *s, const struct lb_packet *p)
{
	const struct lb_vip_key key = lb_packet_vip(p);
	uint64_t table = lb_load(&s->table);
	struct lb_steering at = {.source = source_of(conf, s, p)};

	at.hash = lb_packet_hash(p, lb_vip_fold(&key), &conf->hash);
	if (s->flags & LB_SERVICE_F_AFFINITY)
		at.hash = lb_source_flow(at.source, at.hash);
	if (table) {
		at.slots = 1U << LB_TABLE_SHIFT(table);
		at.slot = LB_TABLE_SLOT(table, at.hash) - LB_TABLE_BASE(table);
	}
	return at;
}

uint64_t lb_steering_entry(const struct lb_flow_set *sets, const struct lb_backend *backends, uint64_t hash,
			   uint32_t service, bool tcp, uint8_t now_age)
{
	uint64_t e = lb_flow_entry(&sets[lb_flow_set_idx(hash)], hash);
	const struct lb_backend *b = &backends[LB_FLOW_BACKEND(e)];
	const struct lb_life life = lb_life_of(b);

	if (!e || LB_FLOW_GEN(e) != life.gen || b->service != service || !(life.flags & LB_BACKEND_F_ALIVE))
		return 0;
	return tcp || lb_flow_idle(e, now_age) <= LB_FLOW_IDLE_UDP ? e : 0;
}
