/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the stages know and do beyond the packet at hand. lb.bpf.c is one such world, of maps and helpers, and the
 * packet tests are another, of arrays: the one who includes this defines struct lb_world and the functions declared
 * here.
 */
#ifndef BPF_WORLD_H
#define BPF_WORLD_H

#include "lb/abi.h"
#include "lb/verdict.h"
#include "lb/dp/base.h"
#include "lb/dp/parse.h"
#include "lb/dp/steer.h"

struct lb_world;

/* Is @feature (LB_HAS_*) a thing that this program does? */
static __always_inline bool lb_world_has(struct lb_world *w, __u32 feature);

/* The frame. lb_world_grow makes @nr_bytes of room in front of it, or takes that many off it where it is negative: data
 * and data_end have to be asked for again. */
static __always_inline void *lb_world_data(struct lb_world *w);
static __always_inline void *lb_world_data_end(struct lb_world *w);
static __always_inline bool lb_world_grow(struct lb_world *w, int nr_bytes);
/* Leaves the frame's first @nr_bytes, of more; likewise. */
static __always_inline bool lb_world_cut(struct lb_world *w, int nr_bytes);
/* Sends the frame out of interface @oif, by redirection when it is another than it came in by or when @redirect is set.
 * The program's return value, or LB_UNSENT where packets may not leave by it. */
static __always_inline __u32 lb_world_send(struct lb_world *w, __u32 oif, bool redirect);
#define LB_UNSENT 1U /* XDP_DROP */

/* What the VLAN device @oif does, NULL: it is none. lb_world_vlan_pop, lb_world_vlan_push: answer with lb_vlan_pop,
 * lb_vlan_push, in a frame of their own likewise. */
static __always_inline const struct lb_vlan *lb_world_vlan(struct lb_world *w, __u32 oif);
static __always_inline __u64 lb_world_vlan_pop(struct lb_world *w);
static __always_inline bool lb_world_vlan_push(struct lb_world *w, __u64 tags);

/* The interface that the frame came in by. */
static __always_inline __u32 lb_world_ingress(struct lb_world *w);

/* What is configured. NULL where there is none. */
static __always_inline const struct lb_link *lb_world_link(struct lb_world *w, __u32 link);
static __always_inline const struct lb_conf *lb_world_conf(struct lb_world *w);
static __always_inline const struct lb_vip_set *lb_world_vips(struct lb_world *w, __u32 set);
static __always_inline const struct lb_service *lb_world_service(struct lb_world *w, __u32 service);
static __always_inline const struct lb_slot_line *lb_world_slots(struct lb_world *w, __u32 line);
static __always_inline const struct lb_backend *lb_world_backend(struct lb_world *w, __u32 backend);

/* What the flow cache is asked. */
struct lb_flow_query {
	__u64 hash;
	__u64 source; /* the client's, of services with affinity */
	__u32 service_idx;
	__u32 word;  /* the slot */
	__u32 flags; /* LB_QUERY_* */
};
#define LB_QUERY_TCP 1U
#define LB_QUERY_OPENS 2U   /* the packet opens a TCP connection */
#define LB_QUERY_TRACKED 4U /* its service remembers all such flows */
#define LB_QUERY_CLOSES 8U  /* the packet ends a TCP connection, or a direction of it */
#define LB_QUERY_CHOICE 16U /* its service's new connections are not, or not only, the table's */

/* Answers with lb_flow_steer; the world may have it do so in a frame of its own. */
static __always_inline __u32 lb_world_flow_steer(struct lb_world *w, struct lb_flow_query q);
/* lb_flow_look, lb_icmp, lb_fragment, lb_fragment_first, lb_fragment_teach, lb_fragment_teach_ports, lb_too_big, lb_clamp: likewise. */
static __always_inline __u32 lb_world_flow_look(struct lb_world *w, struct lb_flow_query q);
static __always_inline __u32 lb_world_icmp(struct lb_world *w);
static __always_inline __u32 lb_world_fragment(struct lb_world *w);
static __always_inline __u32 lb_world_fragment_first(struct lb_world *w, bool v6);
static __always_inline void lb_world_fragment_teach(struct lb_world *w, __u32 backend_idx);
static __always_inline void lb_world_fragment_teach_ports(struct lb_world *w, __u32 ports, __u32 proto);
static __always_inline __u32 lb_world_too_big(struct lb_world *w, __u32 what);
static __always_inline void lb_world_clamp(struct lb_world *w);

/* lb_gue_checksum6 of the frame, whose headers are written; the world may do it in a frame of its own, too. */
static __always_inline void lb_world_gue_checksum(struct lb_world *w);
/* VIPs that are prefixes or every port of an address. The trie's answer to @key, NULL: none. */
static __always_inline const struct lb_wild *lb_world_wild(struct lb_world *w, const struct lb_wild_key *key);
/* Answers with lb_wild_find; the world may have it do so in a frame of its own. */
static __always_inline __u64 lb_world_wild_find(struct lb_world *w, __u64 hi, __u64 lo, __u32 what);

/* Who may come in. The trie's answer to @key, NULL: none; a service's line; a set of sources and their rates. */
static __always_inline const struct lb_access *lb_world_access(struct lb_world *w, const struct lb_access_key *key);
static __always_inline struct lb_rate_set *lb_world_rates(struct lb_world *w, __u32 set);
/* Answers with lb_judge_source, a verdict; the world may have it do so in a frame of its own. */
static __always_inline __u32 lb_world_judge_source(struct lb_world *w, __u64 hi, __u64 lo, __u32 service, __u32 flags);

/* Answer with lb_source_hash, lb_choose and lb_choose_again, in a frame of their own likewise. */
static __always_inline __u64 lb_world_source(struct lb_world *w, const struct lb_packet *p, __u32 service);
static __always_inline __u32 lb_world_choose(struct lb_world *w, struct lb_flow_query q);
static __always_inline void lb_world_choose_again(struct lb_world *w, struct lb_flow_query q);

/* Answers with lb_quic_server; @udp_off: bytes in front of the UDP header, @room: of the packet from there on. */
static __always_inline __u32 lb_world_quic(struct lb_world *w, __u32 udp_off, __u32 room, __u32 service);
/* The backend of a connection ID; 0: nobody's. */
static __always_inline __u32 lb_world_cid(struct lb_world *w, const struct lb_cid *cid);

/* What a choice is made of. lb_world_turn: the service's turns of all CPUs, counted. */
static __always_inline __u32 lb_world_turn(struct lb_world *w, __u32 service);
static __always_inline __u32 lb_world_random(struct lb_world *w);
static __always_inline __s64 *lb_world_live(struct lb_world *w, __u32 backend);

/* Connections that are translated. Entries by key, NULL where there is none; 0 or -EEXIST ...; 0 or -ENOENT. */
struct lb_nat_work;
struct lb_nat_job;
static __always_inline struct lb_conn *lb_world_conn(struct lb_world *w, const struct lb_conn_key *key);
static __always_inline int lb_world_conn_add(struct lb_world *w, const struct lb_conn_key *key,
					     const struct lb_conn *conn, __u64 flags);
static __always_inline int lb_world_conn_del(struct lb_world *w, const struct lb_conn_key *key);
static __always_inline struct lb_nat_load *lb_world_nat_load(struct lb_world *w, __u32 service);
/* An address of fullnat, as two words. */
static __always_inline const __u64 *lb_world_snat(struct lb_world *w, const struct lb_snat *at);
static __always_inline struct lb_nat_work *lb_world_nat_work(struct lb_world *w);
/* This CPU's set at @idx, of which it has fewer, NULL: there are none; the epochs of all. */
struct lb_nat_set;
static __always_inline struct lb_nat_set *lb_world_nat_set(struct lb_world *w, __u32 idx);
static __always_inline struct lb_nat_epochs *lb_world_nat_epochs(struct lb_world *w);
/* Is what @back is sent to a VIP? Answers with lb_nat_is_vip. */
static __always_inline bool lb_world_nat_is_vip(struct lb_world *w, const struct lb_conn_key *back);
/* Answer with lb_nat_find, lb_nat, lb_nat_choose, lb_nat_account, lb_nat_attend and lb_nat_cross; in frames of their own. */
static __always_inline struct lb_conn *lb_world_nat_find(struct lb_world *w, struct lb_nat_job *n, __u32 asked);
static __always_inline __u32 lb_world_nat(struct lb_world *w, struct lb_nat_job *n, struct lb_conn *c);
static __always_inline __u32 lb_world_nat_choose(struct lb_world *w);
static __always_inline __u32 lb_world_nat_account(struct lb_world *w, __u32 fate);
static __always_inline __u32 lb_world_nat_attend(struct lb_world *w, __u32 backend_idx, __u32 service_idx,
						 __u32 tcp_flags);
static __always_inline enum lb_verdict lb_world_nat_cross(struct lb_world *w, const struct lb_conn *c, __u32 l4_off,
							  __u32 proto, bool v6);
/* Likewise lb_nat_cross_fragment, lb_nat_line6, lb_nat_salt, lb_nat_part, lb_nat_part_same and lb_nat_error_cross. */
struct lb_icmp_mtus;
static __always_inline enum lb_verdict lb_world_nat_cross_fragment(struct lb_world *w, const struct lb_conn *c,
								   bool v6);
static __always_inline __u32 lb_world_nat_line6(struct lb_world *w, __u32 service_idx, __u64 tags);
static __always_inline void lb_world_nat_salt(struct lb_world *w, const struct lb_nat_job *n);
static __always_inline __u32 lb_world_nat_part(struct lb_world *w);
static __always_inline enum lb_verdict lb_world_nat_part_same(struct lb_world *w, const struct lb_conn *c, bool keeps,
							       __u32 mtu);
static __always_inline enum lb_verdict lb_world_nat_error_cross(struct lb_world *w, const struct lb_conn *c,
								struct lb_icmp_mtus mtus);

/* What the packets write: the flow cache, and this CPU's rows of counters. */
static __always_inline __u64 lb_world_now_ns(struct lb_world *w);
static __always_inline __u32 lb_world_fresh(struct lb_world *w); /* lb_flow_fresh, a little late at most */
static __always_inline __u32 lb_world_now_s(struct lb_world *w); /* lb_conn_now, likewise */
static __always_inline struct lb_flow_set *lb_world_flows(struct lb_world *w, __u32 set);
static __always_inline struct lb_flow_set *lb_world_frags(struct lb_world *w, __u32 set);
static __always_inline struct lb_verdict_cpu *lb_world_verdict_cpu(struct lb_world *w);
static __always_inline struct lb_service_cpu *lb_world_service_cpu(struct lb_world *w, __u32 service);
static __always_inline __u64 *lb_world_hits(struct lb_world *w);
static __always_inline struct lb_backend_cpu *lb_world_backend_cpu(struct lb_world *w, __u32 backend);

/* A packet on its way. */
struct lb_job {
	struct lb_packet pkt;
	__u64 table; /* its service's */
	const struct lb_backend *backend;
	struct lb_life life; /* the backend's */
	bool plain;	     /* lb_backend_plain */
	bool common;	     /* the packet has no options and is no fragment */
	__u64 vip_word;	     /* its VIP's line's: lb_job_service, lb_job_flags */
	__u64 vip_fold;
	__u32 backend_idx;
	__u64 hash;
	__u64 tags;	     /* that the frame came with, 0: none; of IPv4 only */
	bool look_only; /* it is none of its flow's: nothing is to be learned from it */
	bool translated; /* it opens a connection that gets entries of its own */
};

/* Its service. */
static __always_inline __u32 lb_job_service(const struct lb_job *j)
{
	return LB_VIP_WORD_SERVICE(j->vip_word);
}

/* LB_VIP_F_* of its VIP. */
static __always_inline __u32 lb_job_flags(const struct lb_job *j)
{
	return LB_VIP_WORD_FLAGS(j->vip_word);
}

#define X(id, name, action, help) | (__u64)(LB_ACTION_##action == LB_ACTION_PASS) << LB_V_##id
#define LB_VERDICTS_PASSING (0 LB_VERDICTS(X))

/* lb_verdict_passes - does the packet go to the host's stack with this verdict? */
static __always_inline bool lb_verdict_passes(enum lb_verdict v)
{
	return LB_VERDICTS_PASSING >> v & 1;
}
#undef X

/* What became of a packet, off the fast path: its verdict and, 0 where that sends nothing, how it was sent. */
#define LB_FATE(verdict, sent) ((sent) << 8 | (verdict))
#define LB_FATE_VERDICT(fate) ((enum lb_verdict)((fate)&0xff))
#define LB_FATE_SENT(fate) ((fate) >> 8)
/* No verdicts, but what is left for lb_look_closer to do: serve the packet, which is no common one; lb_serve_nat, which
 * it was put aside for; lb_clamp, before it leaves. */
#define LB_ODD_ASKED ((enum lb_verdict)LB_V_COUNT)
#define LB_CLAMP_ASKED ((enum lb_verdict)(LB_V_COUNT + 1))
#define LB_NAT_ASKED ((enum lb_verdict)(LB_V_COUNT + 2))
/* The same as LB_NAT_ASKED of a common packet, which is not put aside yet: it says whose service's it is where it would
 * say how it was sent, 0: to none. */
#define LB_NAT_COMMON_ASKED ((enum lb_verdict)(LB_V_COUNT + 3))
/* Until lb_look_closer has seen it, one that was too big says for what, where it would say how it was sent: for its
 * backend, or for the MTU that its sender is to know of, 16 bits. 0: nobody is to be told. */
#define LB_TOO_BIG_MTU (1U << 16)
#define LB_FATE_TOO_BIG_FOR(mtu) LB_FATE(LB_V_DROP_TOO_BIG, LB_TOO_BIG_MTU | (mtu))

/* Sends the frame back where it came from. */
static __always_inline __u32 lb_answer_with(struct lb_world *w, enum lb_verdict v)
{
	__u32 ifindex = lb_world_ingress(w), sent;
	const struct lb_link *link = lb_world_link(w, ifindex % LB_LINKS);

	sent = lb_world_send(w, ifindex,
			     link && lb_load(&link->ifindex) == ifindex && lb_load(&link->flags) & LB_LINK_F_REDIRECT);
	return sent == LB_UNSENT ? LB_V_DROP_NO_NEXT_HOP : LB_FATE(v, sent);
}

#endif
