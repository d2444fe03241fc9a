/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A loaded XDP program put on interfaces through libxdp, found there again and taken off. Called by whatever owns a
 * program: the dataplane of lbd, and lbnode.
 */
#ifndef LB_XDP_H
#define LB_XDP_H

#include "dataplane.h"

struct bpf_object;

/*
 * @name: the program's in its object, and in the kernel (15 characters at most).
 * @run_priority: the place in a dispatcher, smaller ones first.
 * @elf: the object file, of which libxdp loads a copy as the dispatcher needs it; the maps are those of @obj.
 * @obj, @fd, @id: the program as it is loaded.
 * @kin: ids of maps: a program of this name that uses one of them is ours, whoever loaded it. None given: the
 * name alone decides.
 * @instance_bytes: so many bytes at the beginning of its constants say whose it is, too.
 */
struct lb_xdp_prog {
	const char *name;
	unsigned int run_priority;
	const void *elf;
	size_t elf_bytes;
	struct bpf_object *obj;
	int fd;
	uint32_t id;
	const uint32_t *kin;
	size_t nr_kin;
	size_t instance_bytes;
};

/* lb_xdp_attach - see lb_dataplane_attach. */
int lb_xdp_attach(const struct lb_xdp_prog *prog, const char *ifname, enum lb_attach_mode mode,
		  struct lb_attachment *out, struct lb_err *err);
/* lb_xdp_detach - all of ours off @ifname; -ENOENT where there is none, -ENODEV. Needs .name and .kin alone. */
int lb_xdp_detach(const struct lb_xdp_prog *prog, const char *ifname, struct lb_err *err);
/* lb_xdp_attached - what of ours is on @ifname: 0, -ENOENT, or what keeps it from being seen. Needs .name and .kin
 * alone. */
int lb_xdp_attached(const struct lb_xdp_prog *prog, const char *ifname, struct lb_attachment *out);
/* lb_xdp_entry - the id of the program that packets enter @ifindex by, where ours is one of those that run there; else
 * 0. Needs .name and .kin alone. */
uint32_t lb_xdp_entry(const struct lb_xdp_prog *prog, uint32_t ifindex);
/* lb_xdp_program - the id of ours itself, be it alone or in a dispatcher; 0: none. Needs .name and .kin alone. */
uint32_t lb_xdp_program(const struct lb_xdp_prog *prog, uint32_t ifindex);
/* lb_xdp_uses - is the program @prog_id on the map @map_id? */
bool lb_xdp_uses(uint32_t prog_id, uint32_t map_id);

/* lb_xdp_maps - the maps of a program @name that is on an interface of this network namespace, and whose constants begin
 * with the @bytes at @identity: their ids in @ids, of which there is room for LB_XDP_MAPS. Returns how many they are, 0
 * where there is no such program, or -errno. */
#define LB_XDP_MAPS 32
int lb_xdp_maps(const char *name, const void *identity, size_t bytes, uint32_t ids[LB_XDP_MAPS]);

/* dataplane_log.c: the messages of libbpf and libxdp are kept instead of printed, from lb_log_capture on; hooks that
 * are global. */
void lb_log_capture(void);
/* Forget what was said so far. */
void lb_log_reset(void);
/* The most telling line since, without its prefix; "" when nothing was said. What the kernel itself says wins. */
const char *lb_log_line(void);
/* Says why a program could not be loaded, with what was said since the last lb_log_reset; returns @code. */
int lb_log_load_error(struct lb_err *err, int code);

#endif
