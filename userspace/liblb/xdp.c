// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A program on interfaces, through libxdp: in its dispatcher beside other programs, or alone where the kernel refuses
 * the dispatcher. Ours is known by its name and by the maps it uses, whichever process attached it.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <xdp/libxdp.h>

#include "program.h"
#include "xdp.h"

#define MAX_CONSTANTS 1024 /* bytes of .rodata; a program with more counts as another one */
#define MAX_OURS 16
/* Drivers need an XDP frame to fit a page with headroom and tail; an MTU beyond this cannot. */
#define MTU_SUSPECT 3000

static const char note_single[] = "single program: libxdp's dispatcher is not available here";

/* What runs on an interface. @entry: where packets enter, the dispatcher or a program alone; 0: nothing. */
struct seen {
	unsigned int ifindex;
	uint32_t entry;
	char name[BPF_OBJ_NAME_LEN];
	bool generic;
	bool dispatcher;
	bool current; /* ours is the program that this lbd has loaded, and nothing older of ours is beside it */
	uint32_t ours[MAX_OURS];
	size_t nr_ours;
};

static uint32_t mode_flag(bool generic)
{
	return generic ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE;
}

static int prog_info(uint32_t id, struct bpf_prog_info *info, uint32_t maps[LB_XDP_MAPS])
{
	__u32 len = sizeof(*info);
	int fd = bpf_prog_get_fd_by_id(id), ret = 0;

	if (fd < 0)
		return -errno;
	memset(info, 0, sizeof(*info));
	info->nr_map_ids = LB_XDP_MAPS;
	info->map_ids = (uintptr_t)maps;
	if (bpf_obj_get_info_by_fd(fd, info, &len))
		ret = -errno;
	close(fd);
	if (!ret && info->nr_map_ids > LB_XDP_MAPS)
		info->nr_map_ids = LB_XDP_MAPS;
	return ret;
}

static bool has(const uint32_t *ids, size_t nr, uint32_t id)
{
	for (size_t i = 0; i < nr; i++) {
		if (ids[i] == id)
			return true;
	}
	return false;
}

static int constants(uint32_t id, void *value, size_t size)
{
	struct bpf_map_info info = {0};
	__u32 len = sizeof(info), zero = 0;
	int fd = bpf_map_get_fd_by_id(id), ret = -EINVAL;

	if (fd < 0)
		return -errno;
	if (!bpf_obj_get_info_by_fd(fd, &info, &len) && info.type == BPF_MAP_TYPE_ARRAY &&
	    info.map_flags & BPF_F_RDONLY_PROG && info.value_size <= size && !bpf_map_lookup_elem(fd, &zero, value))
		ret = (int)info.value_size;
	close(fd);
	return ret;
}

/* Is the map @id among @ids or, each program having a .rodata map of its own, one of them that holds the same in its
 * first @bytes? */
static bool has_like(const uint32_t *ids, size_t nr, uint32_t id, size_t bytes)
{
	uint8_t mine[MAX_CONSTANTS], other[MAX_CONSTANTS];
	int len;

	if (has(ids, nr, id))
		return true;
	len = constants(id, mine, sizeof(mine));
	for (size_t i = 0; i < nr && len > 0; i++) {
		if (constants(ids[i], other, sizeof(other)) == len &&
		    !memcmp(mine, other, (size_t)len < bytes ? (size_t)len : bytes))
			return true;
	}
	return false;
}

/* Is the program @id ours: 1 or 0, or what keeps that from being seen? @current: is it, instruction for instruction,
 * map for map and constant for constant, the one that is loaded now? */
static int is_ours(const struct lb_xdp_prog *prog, uint32_t id, bool *current)
{
	uint32_t maps[LB_XDP_MAPS], loaded_maps[LB_XDP_MAPS];
	struct bpf_prog_info info, loaded;
	bool kin = !prog->nr_kin;
	int ret;

	*current = false;
	ret = prog_info(id, &info, maps);
	if (ret || strcmp(info.name, prog->name))
		return ret == -ENOENT ? 0 : ret;
	for (size_t i = 0; i < prog->nr_kin; i++)
		kin |= has(maps, info.nr_map_ids, prog->kin[i]);
	ret = prog_info(prog->id, &loaded, loaded_maps);
	if (ret)
		return kin || ret == -ENOENT ? kin : ret;
	/* Its pins may be gone, and with them what it was known by. */
	for (size_t i = 0; i < info.nr_map_ids && !kin; i++)
		kin = has_like(loaded_maps, loaded.nr_map_ids, maps[i], prog->instance_bytes);
	if (!kin)
		return false;
	*current = !memcmp(info.tag, loaded.tag, sizeof(info.tag)) && info.nr_map_ids == loaded.nr_map_ids;
	for (size_t i = 0; i < info.nr_map_ids; i++)
		*current &= has_like(loaded_maps, loaded.nr_map_ids, maps[i], SIZE_MAX);
	return true;
}

static int look_into_dispatcher(const struct lb_xdp_prog *prog, struct seen *s)
{
	struct xdp_multiprog *mp = xdp_multiprog__get_from_ifindex((int)s->ifindex);
	struct xdp_program *p = NULL;
	bool all_current = true;
	int ours = 0;

	if (libxdp_get_error(mp))
		return 0;
	s->dispatcher = !xdp_multiprog__is_legacy(mp);
	while (ours >= 0 && s->dispatcher && (p = xdp_multiprog__next_prog(p, mp)) && s->nr_ours < MAX_OURS) {
		bool current;

		ours = is_ours(prog, xdp_program__id(p), &current);
		if (ours <= 0)
			continue;
		s->ours[s->nr_ours++] = xdp_program__id(p);
		all_current &= current;
	}
	s->current = s->nr_ours == 1 && all_current;
	xdp_multiprog__close(mp);
	return ours < 0 ? ours : 0;
}

static int look(const struct lb_xdp_prog *prog, unsigned int ifindex, struct seen *s)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, q);
	struct bpf_prog_info info;
	uint32_t maps[LB_XDP_MAPS];
	int ret;

	*s = (struct seen){.ifindex = ifindex};
	ret = bpf_xdp_query((int)ifindex, 0, &q);
	if (ret)
		return ret;
	s->entry = q.drv_prog_id ? q.drv_prog_id : q.skb_prog_id ? q.skb_prog_id : q.hw_prog_id;
	s->generic = !q.drv_prog_id && q.skb_prog_id;
	if (!s->entry)
		return 0;
	ret = prog_info(s->entry, &info, maps);
	if (ret)
		return ret;
	memcpy(s->name, info.name, sizeof(s->name));
	ret = is_ours(prog, s->entry, &s->current);
	if (!ret)
		return look_into_dispatcher(prog, s);
	if (ret > 0)
		s->ours[s->nr_ours++] = s->entry;
	return ret > 0 ? 0 : ret;
}

static unsigned int mtu_of(const char *ifname)
{
	struct ifreq req = {0};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), ret;

	if (fd < 0)
		return 0;
	snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", ifname);
	ret = ioctl(fd, SIOCGIFMTU, &req);
	close(fd);
	return ret ? 0 : (unsigned int)req.ifr_mtu;
}

/* ---- putting it there ---- */

/* A second copy of the object on the maps in use: libxdp loads it itself, as what the dispatcher needs. */
static struct bpf_object *copy_object(const struct lb_xdp_prog *prog)
{
	struct bpf_object *copy = bpf_object__open_mem(prog->elf, prog->elf_bytes, NULL);
	struct bpf_map *to, *from = NULL;
	size_t bytes;
	int ret;

	if (!copy)
		return NULL;
	bpf_object__for_each_map (to, copy) {
		from = bpf_object__next_map(prog->obj, from);
		if (from && !bpf_map__autocreate(from) && !bpf_map__set_autocreate(to, false))
			continue;
		if (from && bpf_map__is_internal(to) && !lb_program_shares(to)) {
			const void *constants = bpf_map__initial_value(from, &bytes);

			ret = constants ? bpf_map__set_initial_value(to, constants, bytes) : 0;
			if (!ret)
				continue;
		}
		if (!from || bpf_map__set_pin_path(to, NULL) || bpf_map__reuse_fd(to, bpf_map__fd(from))) {
			bpf_object__close(copy);
			return NULL;
		}
	}
	return copy;
}

static int attach_by_libxdp(const struct lb_xdp_prog *prog, unsigned int ifindex, bool generic)
{
	DECLARE_LIBXDP_OPTS(xdp_program_opts, opts);
	struct bpf_object *copy = copy_object(prog);
	struct xdp_program *xdp;
	int ret;

	if (!copy)
		return -ENOMEM;
	opts.obj = copy;
	opts.prog_name = prog->name;
	xdp = xdp_program__create(&opts);
	ret = (int)libxdp_get_error(xdp);
	if (ret)
		goto out;
	/* What we pass is for the programs behind us. */
	ret = xdp_program__set_run_prio(xdp, prog->run_priority);
	if (!ret)
		ret = xdp_program__set_chain_call_enabled(xdp, XDP_PASS, true);
	if (!ret)
		ret = xdp_program__attach(xdp, (int)ifindex, generic ? XDP_MODE_SKB : XDP_MODE_NATIVE, 0);
	xdp_program__close(xdp);
out:
	bpf_object__close(copy);
	return ret;
}

/* Puts the loaded program in the place of the program @old, which is alone on the interface, in one step. */
static int replace_single(const struct lb_xdp_prog *prog, const struct seen *s)
{
	LIBBPF_OPTS(bpf_xdp_attach_opts, opts);
	int ret;

	opts.old_prog_fd = bpf_prog_get_fd_by_id(s->entry);
	if (opts.old_prog_fd < 0)
		return -errno;
	ret = bpf_xdp_attach((int)s->ifindex, prog->fd, mode_flag(s->generic) | XDP_FLAGS_REPLACE, &opts);
	close(opts.old_prog_fd);
	return ret;
}

/* Attaches where nothing of ours is. */
static int attach_new(const struct lb_xdp_prog *prog, const struct seen *before, bool generic)
{
	struct seen after;
	int ret = attach_by_libxdp(prog, before->ifindex, generic);

	if (!ret) {
		/* libxdp fell back to a program of its own: one program on all interfaces has one set of statistics. */
		ret = look(prog, before->ifindex, &after);
		if (!ret && after.nr_ours && !after.dispatcher && after.entry != prog->id)
			ret = replace_single(prog, &after);
		return ret;
	}
	if (before->dispatcher)
		return ret;
	/* Whatever libxdp lacked, the program alone does without; and where the driver refuses, this is its own answer.
	 */
	lb_log_reset();
	return bpf_xdp_attach((int)before->ifindex, prog->fd, mode_flag(generic) | XDP_FLAGS_UPDATE_IF_NOEXIST, NULL);
}

/* ---- taking it away ---- */

static int detach_one(const struct seen *s, uint32_t id)
{
	LIBBPF_OPTS(bpf_xdp_attach_opts, opts);
	struct xdp_program *xdp;
	int ret;

	if (s->dispatcher) {
		xdp = xdp_program__from_id(id);
		ret = (int)libxdp_get_error(xdp);
		if (ret)
			return ret;
		ret = xdp_program__detach(xdp, (int)s->ifindex, s->generic ? XDP_MODE_SKB : XDP_MODE_NATIVE, 0);
		xdp_program__close(xdp);
		return ret;
	}
	/* Only while it is still this one: nobody else's program is taken off by mistake. */
	opts.old_prog_fd = bpf_prog_get_fd_by_id(id);
	if (opts.old_prog_fd < 0)
		return -errno;
	ret = bpf_xdp_detach((int)s->ifindex, mode_flag(s->generic) | XDP_FLAGS_REPLACE, &opts);
	close(opts.old_prog_fd);
	return ret;
}

static int detach_ours(const struct seen *s)
{
	for (size_t i = 0; i < s->nr_ours; i++) {
		int ret = detach_one(s, s->ours[i]);

		if (ret)
			return ret;
	}
	return 0;
}

/* An older program of ours, replaced without a gap. */
static int upgrade(const struct lb_xdp_prog *prog, const struct seen *s)
{
	int ret;

	if (!s->dispatcher)
		return replace_single(prog, s);
	ret = attach_by_libxdp(prog, s->ifindex, s->generic);
	return ret ? ret : detach_ours(s);
}

/* ---- what is said about it ---- */

static void add_note(struct lb_attachment *out, const char *fmt, const char *a)
{
	size_t len = strlen(out->note);

	if (len && len + 2 < sizeof(out->note))
		len += (size_t)snprintf(out->note + len, sizeof(out->note) - len, "; ");
	if (len < sizeof(out->note))
		snprintf(out->note + len, sizeof(out->note) - len, fmt, a);
}

static int refused(const char *ifname, bool generic, int code, struct lb_err *err)
{
	const char *why = *lb_log_line() ? lb_log_line() : strerror(-code);
	unsigned int mtu = mtu_of(ifname);

	if (code == -EBUSY || code == -EEXIST)
		return lb_err_set(err, -EBUSY, NULL,
				  "%s: another XDP program holds the interface (%s); detach it first", ifname, why);
	if (code == -EPERM)
		return lb_err_set(err, code, NULL, "%s: not permitted to attach XDP; CAP_NET_ADMIN is needed", ifname);
	if (!generic && (code == -ERANGE || strcasestr(why, "mtu")))
		return lb_err_set(
			err, -ERANGE, NULL,
			"%s: MTU %u (or its peer's) is too large for the driver's XDP (%s); lower it: ip link set "
			"dev %s mtu 1500, or attach with --mode generic",
			ifname, mtu, why, ifname);
	if (!generic && mtu > MTU_SUSPECT && (code == -EINVAL || code == -EOPNOTSUPP || code == -EIO))
		return lb_err_set(
			err, -ERANGE, NULL,
			"%s: the driver refuses XDP (%s), perhaps because MTU %u is too large; lower it: ip link set "
			"dev %s mtu 1500, or attach with --mode generic",
			ifname, why, mtu, ifname);
	return lb_err_set(err, code, NULL, "%s: the %s refuses XDP: %s%s", ifname, generic ? "kernel" : "driver", why,
			  generic ? "" : "; try --mode generic");
}

static int describe(const struct lb_xdp_prog *prog, const char *ifname, unsigned int ifindex, struct lb_attachment *out)
{
	struct seen s;
	int ret = look(prog, ifindex, &s);

	if (ret)
		return ret;
	if (!s.nr_ours) {
		return -ENOENT;
	}
	snprintf(out->ifname, sizeof(out->ifname), "%s", ifname);
	out->ifindex = ifindex;
	out->mode = s.generic ? LB_ATTACH_GENERIC : LB_ATTACH_NATIVE;
	out->shared = s.dispatcher;
	if (!out->shared)
		add_note(out, "%s", note_single);
	return 0;
}

static int find_iface(const char *ifname, unsigned int *ifindex, struct lb_err *err)
{
	*ifindex = if_nametoindex(ifname);
	if (*ifindex)
		return 0;
	return lb_err_set(err, -ENODEV, NULL, "there is no interface %s; `ip link` lists those there are", ifname);
}

/* Attaches to an interface that has nothing of ours: @mode, or AUTO's choice with a note about it. */
static int attach_fresh(const struct lb_xdp_prog *prog, const char *ifname, const struct seen *s,
			enum lb_attach_mode mode, struct lb_attachment *out, struct lb_err *err)
{
	bool generic = mode == LB_ATTACH_GENERIC;
	int ret;

	if (s->entry && !s->dispatcher)
		return lb_err_set(
			err, -EBUSY, NULL,
			"%s has another XDP program that cannot share (%s, id %u); detach it first: ip link set dev "
			"%s xdp%s off",
			ifname, *s->name ? s->name : "unnamed", s->entry, ifname, s->generic ? "generic" : "");
	/* Beside others in a dispatcher: in the mode that it runs in. */
	if (s->entry && mode != LB_ATTACH_AUTO && generic != s->generic)
		return lb_err_set(err, -EBUSY, NULL,
				  "%s runs other XDP programs in %s mode; attach in that mode, or with "
				  "--mode auto",
				  ifname, s->generic ? "generic" : "native");
	if (s->entry)
		generic = s->generic;
	ret = attach_new(prog, s, generic);
	if (ret && mode == LB_ATTACH_AUTO && !generic && !s->entry) {
		add_note(out, "generic: the driver refuses native XDP (%s)",
			 *lb_log_line() ? lb_log_line() : strerror(-ret));
		generic = true;
		lb_log_reset();
		ret = attach_new(prog, s, generic);
	}
	return ret ? refused(ifname, generic, ret, err) : 0;
}

int lb_xdp_attach(const struct lb_xdp_prog *prog, const char *ifname, enum lb_attach_mode mode,
		  struct lb_attachment *out, struct lb_err *err)
{
	unsigned int ifindex;
	struct seen s, none;
	int ret;

	memset(out, 0, sizeof(*out));
	lb_log_reset();
	ret = find_iface(ifname, &ifindex, err);
	if (ret)
		return ret;
	ret = look(prog, ifindex, &s);
	if (ret)
		return lb_err_set(err, ret, NULL, "cannot see what XDP runs on %s: %s", ifname, strerror(-ret));
	if (!s.nr_ours) {
		ret = attach_fresh(prog, ifname, &s, mode, out, err);
	} else if (mode != LB_ATTACH_AUTO && (mode == LB_ATTACH_GENERIC) != s.generic) {
		/* The kernel does not run both modes at once, so here is a gap; when the new mode fails the old one
		 * returns. */
		ret = detach_ours(&s);
		if (!ret)
			ret = look(prog, ifindex, &none);
		if (ret)
			return refused(ifname, s.generic, ret, err);
		ret = attach_fresh(prog, ifname, &none, mode, out, err);
		if (ret)
			attach_new(prog, &none, s.generic);
	} else if (!s.current) {
		ret = upgrade(prog, &s);
		if (ret)
			refused(ifname, s.generic, ret, err);
	}
	if (ret)
		return ret;
	ret = describe(prog, ifname, ifindex, out);
	if (ret)
		return lb_err_set(err, ret, NULL,
				  "%s: the program is not there after attaching it: another tool removed it", ifname);
	return 0;
}

int lb_xdp_detach(const struct lb_xdp_prog *prog, const char *ifname, struct lb_err *err)
{
	unsigned int ifindex;
	struct seen s;
	int ret;

	lb_log_reset();
	ret = find_iface(ifname, &ifindex, err);
	if (ret)
		return ret;
	ret = look(prog, ifindex, &s);
	if (!ret && !s.nr_ours)
		return lb_err_set(err, -ENOENT, NULL, "%s's program is not attached to %s",
				  program_invocation_short_name, ifname);
	if (!ret)
		ret = detach_ours(&s);
	if (ret)
		return lb_err_set(err, ret, NULL, "cannot detach from %s: %s", ifname,
				  *lb_log_line() ? lb_log_line() : strerror(-ret));
	return 0;
}

int lb_xdp_attached(const struct lb_xdp_prog *prog, const char *ifname, struct lb_attachment *out)
{
	unsigned int ifindex = if_nametoindex(ifname);

	memset(out, 0, sizeof(*out));
	return ifindex ? describe(prog, ifname, ifindex, out) : -ENOENT;
}

uint32_t lb_xdp_entry(const struct lb_xdp_prog *prog, uint32_t ifindex)
{
	struct seen s;

	return !look(prog, ifindex, &s) && s.nr_ours ? s.entry : 0;
}

uint32_t lb_xdp_program(const struct lb_xdp_prog *prog, uint32_t ifindex)
{
	struct seen s;

	return !look(prog, ifindex, &s) && s.nr_ours ? s.ours[0] : 0;
}

bool lb_xdp_uses(uint32_t prog_id, uint32_t map_id)
{
	uint32_t maps[LB_XDP_MAPS];
	struct bpf_prog_info info;

	return !prog_info(prog_id, &info, maps) && has(maps, info.nr_map_ids, map_id);
}

static bool has_constants(const uint32_t *ids, size_t nr, const void *first, size_t bytes)
{
	uint8_t value[MAX_CONSTANTS];

	for (size_t i = 0; i < nr; i++) {
		int len = constants(ids[i], value, sizeof(value));

		if (len >= 0 && (size_t)len >= bytes && !memcmp(value, first, bytes))
			return true;
	}
	return false;
}

int lb_xdp_maps(const char *name, const void *identity, size_t bytes, uint32_t ids[LB_XDP_MAPS])
{
	const struct lb_xdp_prog prog = {.name = name}; /* of any instance */
	struct if_nameindex *all = if_nameindex();
	int nr = 0;

	if (!all)
		return -errno;
	for (const struct if_nameindex *i = all; i->if_index && !nr; i++) {
		struct bpf_prog_info info;
		struct seen s;

		if (look(&prog, i->if_index, &s))
			continue;
		for (size_t k = 0; k < s.nr_ours && !nr; k++)
			if (!prog_info(s.ours[k], &info, ids) && has_constants(ids, info.nr_map_ids, identity, bytes))
				nr = (int)info.nr_map_ids;
	}
	if_freenameindex(all);
	return nr;
}
