/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The maps of the load balancer's program; their types are in lb/abi.h. All but lb_conns_from are pinned by name. The
 * arrays are mmapable: userspace writes words that packets read in single stores, and reads counters without system
 * calls. The rows of the *_cpu arrays are set before loading: possible CPUs (and one more for userspace's own, see
 * abi.h).
 */
#ifndef BPF_MAPS_H
#define BPF_MAPS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "lb/abi.h"
#include "lb/dp/nat.h"
#include "lb/dp/nat_line.h"

#define LB_ARRAY(map, val_type, entries)                                                                               \
	struct {                                                                                                       \
		__uint(type, BPF_MAP_TYPE_ARRAY);                                                                      \
		__uint(map_flags, BPF_F_MMAPABLE);                                                                     \
		__uint(max_entries, entries);                                                                          \
		__uint(pinning, LIBBPF_PIN_BY_NAME);                                                                   \
		__type(key, __u32);                                                                                    \
		__type(value, val_type);                                                                               \
	} map SEC(".maps")

/* Arrays of one value in sections of their own, which libbpf makes into maps: what every packet reads is reached by its
 * address, without a look-up. */
#define LB_VALUE(map) __attribute__((aligned(64))) map SEC(".data." #map)

struct lb_conf LB_VALUE(lb_conf) = {};
struct lb_links LB_VALUE(lb_links) = {};
struct lb_hits LB_VALUE(lb_hits) = {};
struct lb_nat_epochs LB_VALUE(lb_nat_epochs) = {};
LB_ARRAY(lb_vips, struct lb_vip_set, LB_VIP_SETS);
LB_ARRAY(lb_services, struct lb_service, LB_MAX_SERVICES);
LB_ARRAY(lb_slots, struct lb_slot_line, LB_SLOTS / 16);
LB_ARRAY(lb_backends, struct lb_backend, LB_MAX_BACKENDS);
LB_ARRAY(lb_flows, struct lb_flow_set, LB_FLOW_SETS);
LB_ARRAY(lb_rates, struct lb_rate_set, LB_RATE_SETS);
LB_ARRAY(lb_frags, struct lb_flow_set, LB_FRAGMENT_SETS);
LB_ARRAY(lb_verdict_cpu, struct lb_verdict_cpu, 1);
LB_ARRAY(lb_service_cpu, struct lb_service_cpu, LB_MAX_SERVICES);
LB_ARRAY(lb_backend_cpu, struct lb_backend_cpu, LB_MAX_BACKENDS);

/* Whoever writes a trie's line replaces it: a packet sees the old one or the new one. */
#define LB_TRIE(map, key_type, val_type, entries)                                                                      \
	struct {                                                                                                       \
		__uint(type, BPF_MAP_TYPE_LPM_TRIE);                                                                   \
		__uint(map_flags, BPF_F_NO_PREALLOC);                                                                  \
		__uint(max_entries, entries);                                                                          \
		__uint(pinning, LIBBPF_PIN_BY_NAME);                                                                   \
		__type(key, key_type);                                                                                 \
		__type(value, val_type);                                                                               \
	} map SEC(".maps")

LB_TRIE(lb_wild, struct lb_wild_key, struct lb_wild, LB_MAX_WILD);
LB_TRIE(lb_access, struct lb_access_key, struct lb_access, LB_MAX_ACCESS_LINES);

LB_ARRAY(lb_live, __s64, LB_MAX_BACKENDS);

/* Turns are taken under a lock: 5.10 has no atomic addition that says what it added to. */
struct lb_turn {
	struct bpf_spin_lock lock;
	__u32 next;
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, LB_MAX_SERVICES);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct lb_turn);
} lb_turns SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 2 * LB_MAX_CIDS);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct lb_cid);
	__type(value, __u32);
} lb_cids SEC(".maps");

/* Two entries a connection; sized before loading, where there are to be any. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct lb_conn_key);
	__type(value, struct lb_conn);
} lb_conns SEC(".maps");

/* While connections move to an lb_conns of another size: the one that they come from. Else no program looks at it. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, struct lb_conn_key);
	__type(value, struct lb_conn);
} lb_conns_from SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 2 * LB_MAX_SNATS);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct lb_snat);
	__type(value, __u64[2]);
} lb_snats SEC(".maps");

LB_ARRAY(lb_nat_loads, struct lb_nat_load, LB_MAX_SERVICES);

/* As many for each CPU; sized before loading, where anything is translated. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct lb_nat_set);
} lb_nat_lines SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct lb_nat_work);
} lb_nat_work SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, LB_MAX_VLANS);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct lb_vlan);
} lb_vlans SEC(".maps");

/* Keyed by interface index: where packets may leave by redirection. */
struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP_HASH);
	__uint(max_entries, LB_MAX_PORTS);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, __u32);
} lb_ports SEC(".maps");

#endif
