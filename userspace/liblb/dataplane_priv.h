/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the dataplane share with each other and with nobody else: dataplane*.c and attach.c. */
#ifndef LB_DATAPLANE_PRIV_H
#define LB_DATAPLANE_PRIV_H

#include <limits.h>

#include "dataplane.h"
#include "regions.h"
#include "xdp.h"

#define LB_PROGRAM_NAME "lb_main"
#define LB_DATAPLANE_IFACES 64

struct lb_bpf;

/*
 * @tables: by service, its region in @regions, as LB_TABLE(); 0: none.
 * @pending: by service, a table that is written but that no packet has been told of yet.
 * @kin: ids of the lb_vips maps of ours, of this ABI and of others under the same pin directory: a program that uses
 * one of them is ours, whichever lbd loaded it.
 * @ifaces: where it is attached, as far as was asked; for statistics.
 */
struct lb_dataplane {
	struct lb_bpf *skel;
	char pin_dir[PATH_MAX - 64];
	char version_dir[PATH_MAX - 32];
	int lock_fd;
	unsigned int ncpus;
	uint32_t sets_refused; /* of lines for each CPU: so many could not be made; 0: nothing was refused */

	struct lb_conf *conf;
	struct lb_link *links;
	struct lb_vip_set *vips;
	struct lb_service *services;
	uint32_t *slots;
	struct lb_backend *backends;
	struct lb_flow_set *flows;
	struct lb_verdict_cpu *verdict_cpu;
	struct lb_service_cpu *service_cpu;
	struct lb_hits *hits;
	struct lb_backend_cpu *backend_cpu;
	int64_t *live;
	int ports_fd, vlans_fd, wild_fd, access_fd, cids_fd, conns_fd, snats_fd;
	struct lb_nat_load *nat_loads;
	struct lb_nat_epochs *nat_epochs;
	struct lb_conns_round *round;

	struct lb_regions *regions;
	uint64_t tables[LB_MAX_SERVICES];
	uint64_t pending[LB_MAX_SERVICES];

	uint32_t kin[16];
	size_t nr_kin;
	uint32_t prog_id;
	char tag[17];
	uint32_t ifaces[LB_DATAPLANE_IFACES];
	size_t nr_ifaces;
};

/* dataplane.c: loads a program that does @features on the maps in use, with room for @max_conns translated connections
 * (if it translates; those that there are move to a larger or smaller map), and puts it in the place of the present one, on
 * each interface in one step. An error leaves the present one loaded, though the new one may be on some interfaces. */
int lb_dataplane_change_program(struct lb_dataplane *dp, uint32_t features, uint32_t max_conns, struct lb_err *err);

/* dataplane_pins.c: the pin directory. */
/* Makes @dp->pin_dir and @dp->version_dir on a bpffs and takes the lock; fills @dp->kin. */
int lb_pins_open(struct lb_dataplane *dp, struct lb_err *err);
/* Gives @dp->skel, not loaded yet, the maps that are pinned or, where not all are, those of the program that is attached,
 * which lb_dataplane_mend_pins pins. @adopted: they were found. Where some are pinned and no more are found, these are
 * unpinned. */
int lb_pins_adopt(struct lb_dataplane *dp, bool *adopted, struct lb_err *err);
/* Pins the maps of @dp->skel, all or none. */
int lb_pins_create(struct lb_dataplane *dp, struct lb_err *err);
/* Removes the pins, and the directories where nothing else is in them. */
int lb_pins_remove(struct lb_dataplane *dp, struct lb_err *err);
/* Adds the id of the map @fd to @dp->kin. */
void lb_pins_add_kin(struct lb_dataplane *dp, int fd);

/* dataplane_pins.c: the map @fd takes the place of the one that is pinned as @name. */
int lb_pins_replace(struct lb_dataplane *dp, const char *name, int fd, struct lb_err *err);

/* dataplane_conns.c: how many entries the map @fd has, in *@nr. 0 or -errno. */
int lb_conns_count(int fd, uint32_t *nr);
/* Copies what is in the map @from to @to, which packets see, and in which they may have made the same entries. 0 or
 * -errno, -E2BIG where it does not fit. */
int lb_conns_copy(int from, int to);
/* Nothing that was counted is true any more. */
void lb_conns_forget_round(struct lb_dataplane *dp);
/* The map is another one, with the same connections: what was counted stays true, the round begins anew. */
void lb_conns_restart_round(struct lb_dataplane *dp);

/* dataplane_tries.c: what lies in tries. */
/* Is it one that lies in lb_wild? */
bool lb_tries_has_vip(const struct lb_vip_conf *vip);
int lb_tries_set_vip(struct lb_dataplane *dp, const struct lb_vip_conf *vip, uint16_t idx);
int lb_tries_del_vip(struct lb_dataplane *dp, const struct lb_vip_conf *vip);
/* Calls @each for each of them, until it does not return 0. */
typedef int (*lb_tries_vip_fn)(void *ctx, const struct lb_vip_conf *vip, uint16_t idx);
int lb_tries_each_vip(const struct lb_dataplane *dp, lb_tries_vip_fn each, void *ctx);

/* Does its line say what a packet needs to know of service @idx? */
bool lb_tries_vip_is_right(const struct lb_dataplane *dp, const struct lb_vip_conf *vip, uint16_t idx);

int lb_tries_set_access(struct lb_dataplane *dp, const struct lb_access_image *access, uint16_t idx);
int lb_tries_del_access(struct lb_dataplane *dp, const struct lb_access_image *access, uint16_t idx);
typedef int (*lb_tries_access_fn)(void *ctx, const struct lb_access_image *access, uint16_t idx);
int lb_tries_each_access(const struct lb_dataplane *dp, lb_tries_access_fn each, void *ctx);

/* dataplane_apply.c: takes the tables that are in use out of @dp->regions; words that name no possible table are
 * cleared. */
int lb_tables_adopt(struct lb_dataplane *dp, struct lb_err *err);
/* Packets may leave by redirection through @ifindex from here on. */
int lb_port_ensure(struct lb_dataplane *dp, uint32_t ifindex, struct lb_err *err);

#endif
