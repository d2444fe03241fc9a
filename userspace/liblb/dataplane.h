/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel side, owned: programs and maps loaded or adopted, plans carried out, counters read, interfaces attached.
 * The dataplane*.c, attach.c and xdp.c (which has xdp/libxdp.h) alone include bpf/libbpf.h. Called by lbd.
 */
#ifndef LB_DATAPLANE_H
#define LB_DATAPLANE_H

#include "conf.h"
#include "connection.h"
#include "plan.h"
#include "lb/verdict.h"

struct lb_dataplane;

/* lb_dataplane_open - adopt the maps pinned in @pin_dir (made if missing; must be on a bpffs, mounted where the host
 * has none on /sys/fs/bpf), or those of our program that is on an interface, where pins are gone (lb_dataplane_mend_pins
 * pins them), or make and pin new ones, and load the program. Pins are under @pin_dir/v<ABI>.
 * @adopted: were maps found? -EPERM, -ENOSYS, -EINVAL ... with @err saying what is missing and the mend. */
int lb_dataplane_open(const char *pin_dir, struct lb_dataplane **out, bool *adopted, struct lb_err *err);
/* Closes; maps, program and attachments stay. */
void lb_dataplane_free(struct lb_dataplane *dp);
/* Detaches from all interfaces and removes the pins. */
int lb_dataplane_destroy(struct lb_dataplane *dp, struct lb_err *err);

/* lb_dataplane_read - what the maps hold. *@out is the caller's. */
int lb_dataplane_read(struct lb_dataplane *dp, struct lb_image **out, struct lb_err *err);
/* lb_dataplane_apply - carry out a plan, in order. An error leaves what was done so far in place: read and plan again.
 * Table room that was given back is used again one second later, when no packet can be reading it. */
int lb_dataplane_apply(struct lb_dataplane *dp, const struct lb_plan *plan, struct lb_err *err);

/* What a comparison of images does not show. Each thing that was not as it should be is put right and told.
 * lb_dataplane_mend_places - where tables lie and VIPs are: to be called before lb_dataplane_read.
 * lb_dataplane_mend_lines - what VIPs' lines repeat of their services, and the ways out: when these are right.
 * lb_dataplane_mend_pins - what is pinned, for the next lbd to adopt. */
typedef void (*lb_mend_fn)(void *ctx, const char *what);
void lb_dataplane_mend_places(struct lb_dataplane *dp, lb_mend_fn told, void *ctx);
int lb_dataplane_mend_lines(struct lb_dataplane *dp, lb_mend_fn told, void *ctx, struct lb_err *err);
int lb_dataplane_mend_pins(struct lb_dataplane *dp, lb_mend_fn told, void *ctx, struct lb_err *err);

/* lb_dataplane_forget_versions - remove what programs with other layouts of the maps left in the pin directory, which is
 * this one's alone. To be called when none of their programs is attached any more: it would not be known as ours. @told
 * for each folder. */
void lb_dataplane_forget_versions(struct lb_dataplane *dp, lb_mend_fn told, void *ctx);

struct lb_attachment {
	char ifname[16];
	uint32_t ifindex;
	enum lb_attach_mode mode; /* native or generic, as it really is */
	bool shared;		  /* lives in a libxdp dispatcher, beside other programs */
	char note[160];		  /* why not native, or why not shared; "" */
};
/* lb_dataplane_attach - through libxdp; already attached with this program: nothing is done; with an older program of
 * ours: replaced without a gap. AUTO takes native, else generic with a note. -ENODEV (no such interface), -EBUSY
 * (another program that cannot share), -ERANGE (MTU too large for the driver's XDP), with @err. */
int lb_dataplane_attach(struct lb_dataplane *dp, const char *ifname, enum lb_attach_mode mode,
			struct lb_attachment *out, struct lb_err *err);
int lb_dataplane_detach(struct lb_dataplane *dp, const char *ifname, struct lb_err *err);
/* What is attached to @ifname now: 0, or -ENOENT where it is not ours. */
int lb_dataplane_attached(struct lb_dataplane *dp, const char *ifname, struct lb_attachment *out);

/* lb_dataplane_relieves - would attaching to @ifname take the place of a program of ours that has other maps: another
 * version's, or of another shape? */
bool lb_dataplane_relieves(const struct lb_dataplane *dp, const char *ifname);

/* lb_dataplane_hides_tags - does the driver of @ifname take VLAN tags off frames before XDP sees these? */
bool lb_dataplane_hides_tags(const char *ifname);

/* Sums over CPUs. */
uint64_t lb_dataplane_hits(const struct lb_dataplane *dp); /* look-ups in the flow cache that found an entry */
uint64_t lb_dataplane_verdict(const struct lb_dataplane *dp, enum lb_verdict v);
void lb_dataplane_backend(const struct lb_dataplane *dp, uint16_t idx, struct lb_backend_cpu *out);
/* Without its backends' rows; the learn_* fields: learn_refused is summed, the others are 0. */
void lb_dataplane_service(const struct lb_dataplane *dp, uint16_t idx, struct lb_service_cpu *out);
/* The live flow cache, LB_FLOW_SETS sets, mapped for reading and writing: lb_model_tick erases dead entries in it. */
struct lb_flow_set *lb_dataplane_flows(const struct lb_dataplane *dp);
/* The live backends, LB_MAX_BACKENDS of them, for reading. */
const struct lb_backend *lb_dataplane_backends(const struct lb_dataplane *dp);
/* Open connections by backend, LB_MAX_BACKENDS of them, mapped likewise. */
int64_t *lb_dataplane_live(const struct lb_dataplane *dp);
/* lb_dataplane_collect - remove translated connections that are over, or whose backend is gone. Goes on where the last
 * call ended, for about @budget_ns. 1: it went round once, 0: there is more, -errno. */
int lb_dataplane_collect(struct lb_dataplane *dp, uint64_t budget_ns);
/* Translated connections: of the service @idx or, 0, of all. Never below 0, though packets count while they are read. */
void lb_dataplane_nat_load(const struct lb_dataplane *dp, uint16_t idx, struct lb_nat_load *out);
/* lb_dataplane_nat_open - open connections of backend @idx among them, as lb_dataplane_collect last counted. False: it
 * has not gone round since @since_ns (CLOCK_MONOTONIC). */
bool lb_dataplane_nat_open(const struct lb_dataplane *dp, uint16_t idx, uint64_t since_ns, uint64_t *open);
/* lb_dataplane_fit_lines - as many lines of translated connections as those that there are need: where these have become
 * many more or far fewer, a program with lines of another number takes the place of the present one. Loads it, so not
 * for the event loop. 1: *@bytes are theirs now, 0: they are as many as before, or -errno; then, too, and that number is
 * not tried again before another one is wanted. */
int lb_dataplane_fit_lines(struct lb_dataplane *dp, size_t *bytes, struct lb_err *err);
/* lb_dataplane_connections - calls @each for each translated connection from the address @client (16 bytes; NULL: from
 * anybody) that is not over, until it does not return 0. Reads all of the map, which takes a second for a few million
 * entries: not for the event loop. 0, what @each returned, or -errno. */
typedef int (*lb_connection_fn)(void *ctx, const struct lb_connection *c);
int lb_dataplane_connections(const struct lb_dataplane *dp, const uint8_t *client, lb_connection_fn each, void *ctx);
/* Hex tag of the loaded program, as bpftool shows it. */
const char *lb_dataplane_tag(const struct lb_dataplane *dp);
/* BPF statistics (sysctl kernel.bpf_stats_enabled): 0 and run time and count, or -ENODATA when off. */
int lb_dataplane_run_stats(const struct lb_dataplane *dp, uint64_t *ns, uint64_t *runs);

#endif
