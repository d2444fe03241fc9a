/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The program before it is loaded: what depends on this machine. Called by the dataplane, the packet tests and the
 * bench. */
#ifndef LB_PROGRAM_H
#define LB_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bpf_map;
struct lb_bpf;

/* lb_program_prepare - size the maps with a row for each CPU, and choose what this kernel can do. @skel: opened, not
 * loaded. @instance: whose it is, see lb_identity. @features: LB_HAS_*, what it is to do. The number of possible CPUs,
 * or -errno. */
int lb_program_prepare(struct lb_bpf *skel, uint64_t instance, uint32_t features);

/* lb_program_nat_sets - sets of lines that each of @cpus is to have for @conns translated connections: a power of two.
 * One for each of a connection's two directions, wherever its packets come in; fewer where that would be more than
 * LB_NAT_SETS_MAX in all. */
uint32_t lb_program_nat_sets(uint32_t cpus, uint64_t conns);

/* lb_program_size_lines - what lb_program_prepare made of the lines, for another number of @sets; 0: nothing is
 * translated. 0 or -errno. */
int lb_program_size_lines(struct lb_bpf *skel, uint32_t cpus, uint32_t sets);

/* lb_program_shares - is @map one that all programs of one dataplane are on? Not so .rodata, which is each one's own,
 * and lb_conns_from. */
bool lb_program_shares(const struct bpf_map *map);

/* lb_program_map_name - the map's name in lb/abi.h. It lives as long as the map. */
const char *lb_program_map_name(const struct bpf_map *map);

/* lb_program_map_bytes - how many bytes of an array userspace maps: whole pages. */
size_t lb_program_map_bytes(const struct bpf_map *map);

#endif
