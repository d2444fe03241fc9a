/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the kernel programs and userspace share: the only definition of each map's key and value.
 * Included by bpf/, include/lb/dp/ and userspace alike; includes nothing but <linux/types.h>.
 *
 * Addresses are 16 bytes in network order, IPv4 as ::ffff:a.b.c.d. Ports are __be16. A value that
 * both sides write while the other reads is one naturally aligned word.
 */
#ifndef LB_ABI_H
#define LB_ABI_H

#include <linux/types.h>

/* Raised whenever a layout or a meaning below changes; the pin folder carries it. */
#define LB_ABI_VERSION 9

#define LB_MAX_SERVICES 16384 /* service 0 is never used */
#define LB_MAX_BACKENDS 32768 /* backend 0 means "none" */
#define LB_MAX_VIPS 65536     /* half of the places there are for them, so that there is always one */
#define LB_VIP_SETS (1U << 16)
#define LB_VIP_WAYS 2
#define LB_MAX_WILD (2 * LB_MAX_VIPS) /* while some are replaced, old and new are there */
#define LB_MAX_ACCESS (1 << 18)	      /* prefixes of all allow and deny lists together */
/* With two lines for everybody else of each service, and old and new ones while some are replaced. */
#define LB_MAX_ACCESS_LINES (2 * (LB_MAX_ACCESS + 2 * LB_MAX_SERVICES))
#define LB_RATE_SETS (1U << 14) /* 2^14 sets of 8 sources: 131072, 1 MiB */
#define LB_RATE_WAYS 8
#define LB_MAX_CIDS 65536    /* server IDs of all backends and configurations together */
#define LB_MAX_PORTS 64	     /* interfaces that packets may leave by */
#define LB_MAX_VLANS 4096    /* VLAN devices that they may leave by */
#define LB_SLOTS (8U << 20)  /* the slots of all tables together */
#define LB_TABLE_SHIFT_MIN 4 /* a table has 2^shift slots; one cache line at least */
#define LB_TABLE_SHIFT_MAX 20
#define LB_FLOW_SETS (1U << 17) /* 2^17 sets of 8 entries: 1 M flows, 8 MiB */
#define LB_FLOW_WAYS 8

/* Map names, at most 15 characters. */
#define LB_MAP_CONF "lb_conf"
#define LB_MAP_VIPS "lb_vips"
#define LB_MAP_SERVICES "lb_services"
#define LB_MAP_SLOTS "lb_slots"
#define LB_MAP_BACKENDS "lb_backends"
#define LB_MAP_FLOWS "lb_flows"
#define LB_MAP_VERDICT_CPU "lb_verdict_cpu"
#define LB_MAP_SERVICE_CPU "lb_service_cpu"
#define LB_MAP_BACKEND_CPU "lb_backend_cpu"
#define LB_MAP_PORTS "lb_ports"
#define LB_MAP_LINKS "lb_links"
#define LB_MAP_HITS "lb_hits"
#define LB_MAP_WILD "lb_wild"
#define LB_MAP_ACCESS "lb_access"
#define LB_MAP_RATES "lb_rates"
#define LB_MAP_TURNS "lb_turns"
#define LB_MAP_LIVE "lb_live"
#define LB_MAP_CIDS "lb_cids"
#define LB_MAP_FRAGS "lb_frags"
#define LB_MAP_CONNS "lb_conns"
#define LB_MAP_SNATS "lb_snats"
#define LB_MAP_NAT_LOADS "lb_nat_loads"
#define LB_MAP_VLANS "lb_vlans"
#define LB_MAP_NAT_LINES "lb_nat_lines"
#define LB_MAP_NAT_EPOCHS "lb_nat_epochs"

/* What a program can do beyond forwarding by table: bits of lb_features in its .rodata. The verifier removes the code
 * of those that are not set. */
#define LB_HAS_GUE (1U << 0)
#define LB_HAS_QUIC (1U << 1)
#define LB_HAS_AFFINITY (1U << 2)
#define LB_HAS_CHOICE (1U << 3) /* round robin, least connections, random */
#define LB_HAS_ACCESS (1U << 4) /* allow, deny */
#define LB_HAS_SOURCE_RATE (1U << 5)
#define LB_HAS_WILDCARDS (1U << 6) /* VIPs that are prefixes, or every port of an address */
#define LB_HAS_ICMP (1U << 7)	   /* errors about flows, and refusals of what does not fit */
#define LB_HAS_FRAGMENTS (1U << 8)
#define LB_HAS_PING (1U << 9) /* answers echo requests */
#define LB_HAS_MSS (1U << 10) /* mss_clamp */
#define LB_HAS_NAT (1U << 11) /* nat, fullnat */
#define LB_HAS_VLAN (1U << 12) /* frames with tags, coming or going */
#define LB_HAS_ALL ((1U << 13) - 1)
#define LB_HAS_BASIC (LB_HAS_ICMP | LB_HAS_FRAGMENTS) /* off the fast path: whatever the services are */

/* What a program's constants begin with. Before there was one it was the instance alone, and the features behind it,
 * which are no ABI's number. */
struct lb_identity {
	__u64 instance; /* of lbd: a hash of its pin directory */
	__u32 abi;	/* LB_ABI_VERSION */
	__u32 pad;	/* 0 */
};
_Static_assert(sizeof(struct lb_identity) == 16, "two words");

/* ---- lb_conf: ARRAY of one, mmapable ---- */
#define LB_HASH_ROUNDS 4
struct lb_hash_secret {
	__u64 add[LB_HASH_ROUNDS];
	__u64 mul[LB_HASH_ROUNDS]; /* odd */
};

/* How long a translated connection may be idle, in seconds. */
struct lb_conn_timers {
	__u32 tcp_half_open_s;
	__u32 tcp_established_s;
	__u32 tcp_closing_s; /* a FIN both ways, or a RST and nothing since */
	__u32 udp_unreplied_s;
	__u32 udp_replied_s;
};

struct lb_conf {
	struct lb_hash_secret hash; /* lb_hash_secret() of hash_key */
	__u64 hash_key[2];	    /* SipHash key, the same on every load balancer of a fleet */
	__u32 learn_rate;	    /* new flow entries a service may make on a CPU in a second; 0: no limit */
	__u32 max_conns;	    /* translated connections, of which half may be half-open */
	struct lb_conn_timers timers;
	__u16 snat_first; /* host order: fullnat's source ports are this one and those behind it */
	__u16 snat_ports;
	__u64 fresh_kept; /* the packets' own: what the clock said a moment ago, see lb_world_fresh */
	__u64 now_kept; /* likewise, lb_world_now_s */
} __attribute__((aligned(64)));
_Static_assert(sizeof(struct lb_conf) == 128, "two cache lines");

/* ---- lb_links: ARRAY of one, mmapable; interface i, where the program is attached, at i % LB_LINKS ----
 * Frames to other hosts' MAC addresses are not ours, though a switch floods them to us. An entry of another interface
 * says nothing. */
#define LB_LINKS 256
#define LB_LINK_F_REDIRECT (1U << 0) /* answers leave by redirection, as LB_BACKEND_F_REDIRECT has packets do */
struct lb_link {
	__u8 pad0[2]; /* 0; with mac one word, written in one store */
	__u8 mac[6];
	__u32 ifindex;
	__u16 flags; /* LB_LINK_F_* */
	__u16 mtu;   /* bytes of IP packet */
} __attribute__((aligned(8)));
_Static_assert(sizeof(struct lb_link) == 16, "two words");

struct lb_links {
	struct lb_link at[LB_LINKS];
};

/* ---- lb_vlans: HASH, lbd writes; by a VLAN device's index what it does to frames that leave by it ----
 * A tag is four bytes as they lie in the frame in front of the type that they tag: TPID and TCI. */
#define LB_VLAN_F_REDIRECT (1U << 0) /* as LB_BACKEND_F_REDIRECT, of the interface below */
struct lb_vlan {
	__u32 oif;    /* the interface below it, which is no VLAN device */
	__u32 flags;  /* LB_VLAN_F_* */
	__u32 tag[2]; /* the outer one first; 0: none */
};
_Static_assert(sizeof(struct lb_vlan) == 16, "two words");

/* ---- lb_vips: ARRAY [LB_VIP_SETS], mmapable ----
 * Each VIP has two sets that it may lie in (lb/dp/vip.h), of two lines each. A line has all that an established
 * connection's packet needs to know of its service. What lies beyond the first line of the first set is looked at only
 * where that line says so. */
struct lb_vip {
	__u8 addr[16];
	__be16 port;
	__u8 proto; /* IPPROTO_TCP, _UDP or _SCTP; with port 0 IPPROTO_ICMP or IPPROTO_ICMPV6: answers echo requests */
	__u8 pad;   /* 0 */
};
_Static_assert(sizeof(struct lb_vip) == 20, "no hole in a key");

#define LB_VIP_V4 1
#define LB_VIP_F_TRACK (1U << 0) /* each of its flows gets a flow entry: LB_SERVICE_F_TRACK_* for its protocol */
#define LB_VIP_F_NO_STATE (1U << 1)
#define LB_VIP_F_ACCESS (1U << 6)   /* lb_access says who may come in */
#define LB_VIP_F_RATE (1U << 7)	    /* its sources' new connections are counted: source_interval_ns */
#define LB_VIP_F_AFFINITY (1U << 4) /* of its service: LB_SERVICE_F_* of the same names */
#define LB_VIP_F_CHOICE (1U << 5)
#define LB_VIP_F_QUIC (1U << 3)
#define LB_VIP_F_NAT (1U << 2) /* its connections are in lb_conns */

/* The word at port is written last, in one store: service 0 says that nobody is here. */
struct lb_vip_line {
	__u8 addr[16];
	__be16 port;
	__u8 proto;
	__u8 family; /* LB_VIP_V4 or 0 */
	__u16 service;
	__u8 flags;  /* LB_VIP_F_* */
	__u8 beyond; /* of way 0: other places to look at for VIPs whose first set this is; never too low */
	__u64 table; /* its service's */
} __attribute__((aligned(32)));
_Static_assert(sizeof(struct lb_vip_line) == 32, "two to a cache line");

struct lb_vip_set {
	struct lb_vip_line way[LB_VIP_WAYS];
};
_Static_assert(sizeof(struct lb_vip_set) == 64, "one cache line");

/* ---- lb_wild: LPM_TRIE ----
 * VIPs that are prefixes, or every port (0) of an address: looked at where no line of lb_vips is the packet's. */
struct lb_wild_key {
	__u32 plen; /* LB_WILD_KEY_BITS and the address's */
	__u32 what; /* port, protocol and family, as they lie in a line of lb_vips */
	__u8 addr[16];
};
#define LB_WILD_KEY_BITS 32
_Static_assert(sizeof(struct lb_wild_key) == 24, "no hole in a key");

struct lb_wild {
	__u64 table; /* its service's */
	__u16 service;
	__u8 flags; /* LB_VIP_F_* */
	__u8 plen;  /* the address's, of 128 */
	__u32 pad0;
};
_Static_assert(sizeof(struct lb_wild) == 16, "two words");

/* ---- lb_services: ARRAY [LB_MAX_SERVICES], mmapable ---- */
#define LB_SERVICE_F_TRACK_TCP (1U << 0) /* every TCP and SCTP flow gets a flow entry (state all) */
#define LB_SERVICE_F_TRACK_UDP (1U << 1) /* every UDP flow gets a flow entry (state auto, all) */
#define LB_SERVICE_F_NO_STATE (1U << 2)	 /* never look at the flow cache (state none) */
#define LB_SERVICE_F_ACCESS (1U << 6)	 /* has lines in lb_access */
#define LB_SERVICE_F_AFFINITY                                                                                          \
	(1U << 8)		      /* the slot is the client's, .source_plen4 or .source_plen6 bits of the address */
#define LB_SERVICE_F_CHOICE (1U << 9) /* new connections are not, or not only, the table's: .policy, .sticky_ticks */
#define LB_SERVICE_F_QUIC (1U << 10)  /* .quic is not 0 */
#define LB_SERVICE_F_NAT (1U << 11)   /* nat or fullnat */

/* How new connections find a backend. */
enum lb_chooser {
	LB_CHOOSE_BY_TABLE,
	LB_CHOOSE_IN_TURN,
	LB_CHOOSE_LEAST_CONN,
	LB_CHOOSE_AT_RANDOM,
};
#define LB_STICKY_FOR_EVER 255

struct lb_service {
	__u64 table;   /* LB_TABLE(base, shift), written last in one store; 0: no table */
	__u64 name_id; /* identity across restarts of lbd: FNV-1a 64 of the name; 0: unused */
	__u32 flags;   /* LB_SERVICE_F_* */
	__u16 mss; /* bytes of a TCP segment that a SYN may announce at most; 0: any */
	__u16 pad0;
	__u64 quic;	   /* LB_QUIC_CONFIGs of lb/dp/quic.h; 0: none */
	__u8 policy;	   /* enum lb_chooser */
	__u8 turn_shift;   /* in turn: 1 << turn_shift turns are the whole table */
	__u8 sticky_ticks; /* a client that was silent for longer may get another backend; 0: nothing is remembered */
	__u8 source_plen4, source_plen6; /* bits of an address that make the client */
	__u8 snat4, snat6;		 /* fullnat: addresses of either family in lb_snats */
	__u8 pad1;
	__u32 source_interval_ns; /* between new connections of one source; 0: as they like */
	__u32 pad2;
	__u64 pad3[2];
};
_Static_assert(sizeof(struct lb_service) == 64, "one cache line");

/* base: the table's first slot, a multiple of 16; shift: log2 of its slots, >= LB_TABLE_SHIFT_MIN. A flow's slot is
 * base + (hash >> (64 - shift)), so that is what the upper half holds. */
#define LB_TABLE(base, shift) (((__u64)(64 - (shift)) << 32) | (__u32)(base))
#define LB_TABLE_BASE(table) ((__u32)(table))
#define LB_TABLE_SHIFT(table) (64 - (__u32)((table) >> 32))
#define LB_TABLE_SLOT(table, hash) (LB_TABLE_BASE(table) + (__u32)((__u64)(hash) >> ((table) >> 32)))

/* ---- lb_access: LPM_TRIE ----
 * Sources by service, of the services whose VIPs have LB_VIP_F_ACCESS. Each of those has a line for all of IPv4 and one
 * for all of IPv6. */
struct lb_access_key {
	__u32 plen; /* LB_ACCESS_KEY_BITS and the address's */
	__u16 service;
	__u8 family; /* LB_VIP_V4 or 0 */
	__u8 pad;    /* 0 */
	__u8 addr[16];
};
#define LB_ACCESS_KEY_BITS 32
_Static_assert(sizeof(struct lb_access_key) == 24, "no hole in a key");

#define LB_ACCESS_ALLOW 1
#define LB_ACCESS_DENY 2
struct lb_access {
	__u32 verdict; /* LB_ACCESS_* */
	__u32 pad0;
};

/* ---- lb_rates: ARRAY [LB_RATE_SETS], mmapable ----
 * An entry is tag:24 | time:40 of a source: lb/dp/access.h. */
struct lb_rate_set {
	__u64 entry[LB_RATE_WAYS];
};
_Static_assert(sizeof(struct lb_rate_set) == 64, "one cache line");

/* ---- lb_slots: ARRAY [LB_SLOTS / 16] of lines, mmapable ----
 * A slot word is phase:2 | prev:15 | cur:15 (backend indices). stable(o) and settling(c) have prev 0. */
struct lb_slot_line {
	__u32 slot[16];
};
_Static_assert(sizeof(struct lb_slot_line) == 64, "one cache line");

enum lb_phase {
	LB_PHASE_STABLE = 0,
	LB_PHASE_MOVING = 1,
	LB_PHASE_SETTLING = 2,
};
#define LB_SLOT(phase, prev, cur) (((__u32)(phase) << 30) | ((__u32)(prev) << 15) | (__u32)(cur))
#define LB_SLOT_PHASE(word) ((__u32)(word) >> 30)
#define LB_SLOT_PREV(word) (((__u32)(word) >> 15) & 0x7fff)
#define LB_SLOT_CUR(word) ((__u32)(word)&0x7fff)

/* ---- lb_backends: ARRAY [LB_MAX_BACKENDS], mmapable ---- */
#define LB_BACKEND_F_ALIVE (1U << 0)	 /* serves the connections it has */
#define LB_BACKEND_F_TAKES_NEW (1U << 1) /* takes new connections */
#define LB_BACKEND_F_V4 (1U << 2)	 /* addr is an IPv4 address: the outer header is IPv4 */
#define LB_BACKEND_F_REDIRECT (1U << 3)	 /* leaves by redirection also where it came in: XDP_TX does not do there */
/* What the checks found, for who adopts the maps; nothing to packets. 0: not checked, or not said. */
#define LB_BACKEND_F_HEALTH (3U << 4)
#define LB_BACKEND_F_UP (1U << 4)
#define LB_BACKEND_F_DOWN (2U << 4)
#define LB_BACKEND_F_UNKNOWN (3U << 4) /* to be checked, and was not yet */
#define LB_BACKEND_F_TAGGED (1U << 6)	 /* oif is a VLAN device, in lb_vlans; F_REDIRECT is set, too: not sent plainly */

enum lb_forward {
	LB_FORWARD_L2 = 1,
	LB_FORWARD_IPIP = 2,
	LB_FORWARD_GUE = 3,
	LB_FORWARD_NAT = 4,
	LB_FORWARD_FULLNAT = 5,
};

/* A next hop is three words, each written in one store, oif last; oif 0: not resolved. */
struct lb_backend {
	__u8 addr[16];
	__u8 src[16]; /* outer source: an address, or a prefix whose host bits come from the hash */
	__u8 dmac[6]; /* word 0 of the next hop */
	__u16 mtu;    /* bytes of IP packet that the outgoing interface takes */
	__u8 smac[6]; /* word 1 of the next hop */
	__be16 gue_port;
	__u16 service; /* the service it belongs to; 0: unused */
	__be16 port;   /* 0: the client's port is kept */
	__u8 forward;  /* enum lb_forward; gen and flags are to be read in one word with it: lb/dp/steer.h */
	__u8 gen;      /* flow entries of another generation do not exist */
	__u8 src_plen; /* bits of src that are fixed, of 128; 128: src as it is */
	__u8 flags;    /* LB_BACKEND_F_* */
	__u32 oif;     /* word 2 of the next hop: outgoing interface index */
	__u16 weight;
	__u16 pad1;
} __attribute__((aligned(64)));
_Static_assert(sizeof(struct lb_backend) == 64, "one cache line");

/* ---- lb_flows: ARRAY [LB_FLOW_SETS], mmapable ----
 * An entry is tag:31 | closed:1 | age:8 | gen:8 | proven:1 | backend:15; 0 is empty. The tag is the upper half of the
 * flow's hash without its last bit, so (tag >> (32 - shift)) is its slot; the set is made of its other bits, too
 * (lb/dp/flow.h). closed: a FIN or RST was seen, so that a SYN that finds it opens another connection on the same
 * ports; the entry of a client (lb/dp/source.h), which is no connection, always has it. */
struct lb_flow_set {
	__u64 entry[LB_FLOW_WAYS];
};
_Static_assert(sizeof(struct lb_flow_set) == 64, "one cache line");

#define LB_FLOW(tag, age, gen, proven, backend)                                                                        \
	(((__u64)((__u32)(tag) & ~1U) << 32) | ((__u64)(__u8)(age) << 24) | ((__u64)(__u8)(gen) << 16) |               \
	 ((__u64)((proven) ? 1 : 0) << 15) | ((__u64)(backend)&0x7fff))
#define LB_FLOW_CLOSED (1ULL << 32)
#define LB_FLOW_TAG(e) ((__u32)((__u64)(e) >> 32) & ~1U)
#define LB_FLOW_AGE(e) ((__u8)((__u64)(e) >> 24))
#define LB_FLOW_GEN(e) ((__u8)((__u64)(e) >> 16))
#define LB_FLOW_PROVEN(e) ((__u32)((__u64)(e) >> 15) & 1)
#define LB_FLOW_BACKEND(e) ((__u32)(e)&0x7fff)
#define LB_FLOW_AGE_SHIFT 36 /* age is CLOCK_MONOTONIC ns >> 36: ticks of 68.7 s, wraps in 4.9 h */

/* ---- lb_turns: ARRAY [LB_MAX_SERVICES], whose turn it is; only programs know its values ----
 * ---- lb_live: ARRAY [LB_MAX_BACKENDS] of __s64, mmapable: open connections of each backend of a service with
 * LB_CHOOSE_LEAST_CONN. Packets of all CPUs add to it and take away, lbd counts anew now and then. ---- */

/* ---- lb_cids: HASH, lbd writes; whose a QUIC connection ID is. Twice LB_MAX_CIDS: old and new beside each other ----
 */
struct lb_cid {
	__u64 server_id; /* as lb_quic_route has it */
	__u32 service;
	__u8 config;
	__u8 pad[3]; /* 0 */
};
_Static_assert(sizeof(struct lb_cid) == 16, "no hole in a key");

/* ---- lb_frags: ARRAY [LB_FRAGMENT_SETS], mmapable: where datagrams' first fragments went (lb/dp/fragment.h) ---- */
#define LB_FRAGMENT_SETS 4096 /* 32768 datagrams, 256 KiB */

/* ---- lb_conns: HASH; 2 * max_conns entries, 1 where nothing is translated ----
 * Two entries a connection: its packets from the client and those from the backend, by what they have on the wire. The
 * packets make them, lbd removes those that are over. */
struct lb_conn_key {
	__u64 saddr[2]; /* 16 bytes as they lie in memory */
	__u64 daddr[2];
	__u32 ports; /* source | destination << 16, as they lie in the packet */
	__u32 proto;
};
_Static_assert(sizeof(struct lb_conn_key) == 40, "no hole in a key");

/* What a direction of a connection turns its packets into. */
struct lb_xlate {
	__u64 saddr[2]; /* 16 bytes as they lie in memory, IPv4 as ::ffff:a.b.c.d */
	__u64 daddr[2]; /* the same */
	__u32 ports;	/* source | destination << 16, as they lie in the packet */
	__u16 l3_delta; /* to an IPv4 header's checksum when both sides are IPv4, with the TTL's decrement */
	__u16 l4_delta; /* to the TCP or UDP checksum */
};

/* A link's header, as it lies in a frame, without the type. */
struct lb_conn_hop {
	__u64 mac0; /* the destination and two bytes of the source */
	__u32 mac1; /* the rest of it */
	__u32 ifindex;
	__u64 tags; /* LB_TAGS of lb/dp/vlan.h; 0: none */
};

#define LB_CONN_F_REPLY (1U << 0) /* from the backend */
#define LB_CONN_F_CROSS (1U << 1) /* becomes a packet of the other family */
#define LB_CONN_F_LIVE (1U << 2)  /* counted in lb_live; the client's entry has it, until it says FIN */

struct lb_conn {
	__u64 word;	       /* what went this way and when: lb/dp/conn.h */
	struct lb_xlate xlate;
	struct lb_conn_hop hop; /* client's: what its frames have; reply's: what is written to frames to it */
	__u16 backend;
	__u16 service;
	__u8 gen; /* the backend's */
	__u8 flags; /* LB_CONN_F_* */
	__u16 pad0;
};
_Static_assert(sizeof(struct lb_conn) == 80, "no hole");

/* ---- lb_nat_epochs: ARRAY of one, mmapable: whoever removes an entry of lb_conns or changes where its packets go adds to
 * its key's (lb/dp/nat_line.h).
 * ---- lb_nat_lines: ARRAY of sets of two lines each, as many for each CPU, 1 where nothing is translated; only programs
 * know its values. There are more of them the more connections there are: userspace/liblb/program.h ---- */
#define LB_NAT_EPOCHS (1U << 15)
struct lb_nat_epochs {
	__u16 epoch[LB_NAT_EPOCHS];
} __attribute__((aligned(64)));

#define LB_NAT_SETS_MAX (1U << 21) /* of all CPUs: 256 MiB */
#define LB_NAT_SETS_MIN (1U << 15) /* 4 MiB, but not less than this for each: */
#define LB_NAT_SETS_CPU_MIN (1U << 11)

/* ---- lb_nat_loads: ARRAY [LB_MAX_SERVICES], mmapable: a service's connections in lb_conns, at 0 those of all. Packets
 * of all CPUs add to it, lbd takes away. ---- */
struct lb_nat_load {
	__s64 conns;
	__s64 half_open; /* of them; see lb_conn_half_open of lb/dp/conn.h */
};

/* ---- lb_snats: HASH, lbd writes; the addresses that fullnat speaks to backends from, 16 bytes each. Twice
 * LB_MAX_SNATS: old and new beside each other. ---- */
#define LB_MAX_SNATS 4096
struct lb_snat {
	__u16 service;
	__u8 v4; /* 0 or 1 */
	__u8 nr; /* from 0 */
};
_Static_assert(sizeof(struct lb_snat) == 4, "no hole in a key");

/* ---- counters: plain ARRAYs, mmapable, one row a possible CPU ----
 * lb_verdict_cpu [cpu]; lb_service_cpu [cpu * LB_MAX_SERVICES + service];
 * lb_backend_cpu [cpu * LB_MAX_BACKENDS + backend]. Only CPU n writes row n. Each has one row more
 * than there are CPUs: lbd's. Row ncpus of lb_service_cpu carries the totals of
 * backends that were deleted. A service's total is its rows plus its backends' rows. What was forwarded is counted by
 * the backends alone; row ncpus of lb_verdict_cpu carries what those that were deleted had of it. */
#define LB_VERDICTS_MAX 64
struct lb_verdict_cpu {
	__u64 pkts[LB_VERDICTS_MAX];
	__u64 answer_start_ns; /* refusals of what is too big: start of the running second */
	__u32 answer_count;    /* made in it */
	__u32 pad0;
	__u64 fragment; /* the datagram of the last first fragment: lb_fragment_hash */
	__u32 syn_service; /* of the last SYN that may be clamped: its service, */
	__u32 syn_bytes;   /* and from its TCP header to the end of its frame */
	__u64 pad1[4];
};
_Static_assert(sizeof(struct lb_verdict_cpu) % 64 == 0, "whole cache lines");

struct lb_backend_cpu {
	__u64 pkts;   /* of verdict "forwarded", which has no other counter */
	__u64 bytes;  /* of IP packet as the client sent it */
	__u64 conns;  /* TCP, SCTP: SYNs, INITs forwarded; UDP: flow entries made */
	__u64 closes; /* TCP: FINs and RSTs from clients, SCTP likewise; estimates what is left together with conns */
};
_Static_assert(sizeof(struct lb_backend_cpu) == 32, "two to a cache line");

struct lb_service_cpu {
	struct lb_backend_cpu total; /* packets for the service that no backend's row has */
	__u64 pad0;
	__u64 flow_misses;    /* look-ups in the flow cache that found no entry; the others: lb_hits */
	__u64 learn_start_ns; /* flood guard: start of the running second */
	__u32 learn_count;    /* entries made in it */
	__u32 learn_refused;  /* entries not made because of it, ever */
};
_Static_assert(sizeof(struct lb_service_cpu) == 64, "one cache line");

/* ---- lb_hits: ARRAY of one, mmapable; look-ups in the flow cache that found an entry, of CPU n at n % LB_HITS ----
 * Reached by address, so that a packet whose flow is known touches no line of its service's. CPUs that share a line may
 * each lose one of the other's counts. */
#define LB_HITS 1024
struct lb_hits {
	struct {
		__u64 nr;
		__u64 pad0[7];
	} at[LB_HITS];
};

#endif
