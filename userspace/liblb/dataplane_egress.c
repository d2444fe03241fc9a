// SPDX-License-Identifier: GPL-2.0-or-later
/* The program of health checks by way of the VIP: see egress.h. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.skel.h"
#include "dataplane_priv.h"
#include "egress.h"
#include "lb.skel.h"

#define PROGRAM_NAME "lb_check"
/* In front of others, which may take packets for good. They see all but those of checks. */
#define PRIORITY 1
#define HANDLE 0x51ce

struct lb_egress {
	struct check_bpf *skel;
	uint32_t prog_id;
};

static int load(struct lb_egress *e, struct lb_dataplane *dp, struct lb_err *err)
{
	struct bpf_prog_info info = {0};
	__u32 len = sizeof(info);
	int ret;

	lb_log_reset();
	e->skel = check_bpf__open();
	if (!e->skel)
		return lb_log_load_error(err, errno ? -errno : -ENOMEM);
	ret = bpf_map__reuse_fd(e->skel->maps.lb_backends, bpf_map__fd(dp->skel->maps.lb_backends));
	if (!ret)
		ret = check_bpf__load(e->skel);
	if (ret)
		return lb_log_load_error(err, ret);
	if (bpf_obj_get_info_by_fd(bpf_program__fd(e->skel->progs.lb_check), &info, &len))
		return lb_err_set(err, -errno, NULL, "cannot read the loaded program's id: %s", strerror(errno));
	e->prog_id = info.id;
	return 0;
}

int lb_egress_new(struct lb_dataplane *dp, struct lb_egress **out, struct lb_err *err)
{
	struct lb_egress *e = calloc(1, sizeof(*e));
	int ret;

	if (!e)
		return lb_err_set(err, -ENOMEM, NULL, "out of memory");
	ret = load(e, dp, err);
	if (ret) {
		lb_egress_free(e);
		return ret;
	}
	*out = e;
	return 0;
}

void lb_egress_free(struct lb_egress *e)
{
	if (!e)
		return;
	check_bpf__destroy(e->skel);
	free(e);
}

static bool is_ours(uint32_t prog_id)
{
	struct bpf_prog_info info = {0};
	__u32 len = sizeof(info);
	int fd = bpf_prog_get_fd_by_id(prog_id);
	bool ours;

	if (fd < 0)
		return false;
	ours = !bpf_obj_get_info_by_fd(fd, &info, &len) && !strcmp(info.name, PROGRAM_NAME);
	close(fd);
	return ours;
}

/* The id of the program in our place; 0: none. */
static uint32_t in_place(uint32_t ifindex)
{
	DECLARE_LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = BPF_TC_EGRESS);
	DECLARE_LIBBPF_OPTS(bpf_tc_opts, opts, .handle = HANDLE, .priority = PRIORITY);

	return bpf_tc_query(&hook, &opts) ? 0 : opts.prog_id;
}

int lb_egress_attach(struct lb_egress *e, uint32_t ifindex, struct lb_err *err)
{
	DECLARE_LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = BPF_TC_EGRESS);
	DECLARE_LIBBPF_OPTS(bpf_tc_opts, opts, .handle = HANDLE, .priority = PRIORITY,
			    .prog_fd = bpf_program__fd(e->skel->progs.lb_check));
	uint32_t there;
	int ret;

	lb_log_reset();
	there = in_place(ifindex);
	if (there == e->prog_id)
		return 0;
	if (there && !is_ours(there))
		return lb_err_set(err, -EBUSY, NULL, "another program has the tc filter of priority %d and handle %#x",
				  PRIORITY, HANDLE);
	if (there)
		opts.flags = BPF_TC_F_REPLACE;
	ret = bpf_tc_hook_create(&hook);
	if (!ret || ret == -EEXIST)
		ret = bpf_tc_attach(&hook, &opts);
	if (ret)
		return lb_err_set(err, ret, NULL, "cannot add a tc filter: %s",
				  *lb_log_line() ? lb_log_line() : strerror(-ret));
	return 0;
}

void lb_egress_detach(uint32_t ifindex)
{
	DECLARE_LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = BPF_TC_EGRESS);
	DECLARE_LIBBPF_OPTS(bpf_tc_opts, opts, .handle = HANDLE, .priority = PRIORITY);
	uint32_t there = in_place(ifindex);

	if (there && is_ours(there))
		bpf_tc_detach(&hook, &opts);
}

void lb_egress_detach_all(void)
{
	struct if_nameindex *all = if_nameindex();

	for (struct if_nameindex *i = all; i && i->if_index; i++)
		lb_egress_detach(i->if_index);
	if (all)
		if_freenameindex(all);
}
