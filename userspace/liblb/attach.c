// SPDX-License-Identifier: GPL-2.0-or-later
/* The dataplane's program on interfaces: what xdp.c does for any program, and which interfaces were asked about. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/if_bonding.h> /* behind net/if.h, which has some of the same */

#include "attach.h"
#include "link.h"
#include "lb.skel.h"

#define RUN_PRIORITY 50

_Static_assert(offsetof(struct lb_bpf__rodata, lb_identity.instance) == 0, "xdp.c looks for it there");

static struct lb_xdp_prog program(const struct lb_dataplane *dp)
{
	struct lb_xdp_prog prog = {
		.name = LB_PROGRAM_NAME,
		.run_priority = RUN_PRIORITY,
		.obj = dp->skel->obj,
		.fd = bpf_program__fd(dp->skel->progs.lb_main),
		.id = dp->prog_id,
		.kin = dp->kin,
		.nr_kin = dp->nr_kin,
		.instance_bytes = sizeof(dp->skel->rodata->lb_identity.instance),
	};

	prog.elf = lb_bpf__elf_bytes(&prog.elf_bytes);
	return prog;
}

/* A veth does not wake its far end after XDP_TX unless that has an XDP program, but always after a redirect. */
static bool is_veth(int fd, struct ifreq *req)
{
	struct ethtool_drvinfo info = {.cmd = ETHTOOL_GDRVINFO};

	req->ifr_data = (void *)&info;
	return !ioctl(fd, SIOCETHTOOL, req) && !strcmp(info.driver, "veth");
}

static uint16_t mtu_of(int fd, struct ifreq *req)
{
	if (ioctl(fd, SIOCGIFMTU, req) || req->ifr_mtu > UINT16_MAX)
		return UINT16_MAX;
	return (uint16_t)req->ifr_mtu;
}

bool lb_dataplane_hides_tags(const char *ifname)
{
	struct ethtool_value flags = {.cmd = ETHTOOL_GFLAGS};
	struct ifreq req = {0};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool hides = false;

	if (fd < 0)
		return false;
	snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", ifname);
	if (!is_veth(fd, &req)) { /* as its far end sends them */
		req.ifr_data = (void *)&flags;
		hides = !ioctl(fd, SIOCETHTOOL, &req) && flags.data & ETH_FLAG_RXVLAN;
	}
	close(fd);
	return hides;
}

/* Tells the program which frames that come in by @ifindex are for this host: those to @mac; NULL: nothing is known. */
static void write_line(struct lb_dataplane *dp, uint32_t ifindex, const void *mac, int fd, struct ifreq *req)
{
	struct lb_link *link = &dp->links[ifindex % LB_LINKS];
	struct lb_link line = {0};
	uint64_t word;
	bool redirect;

	if (mac) {
		memcpy(line.mac, mac, sizeof(line.mac));
		memcpy(&word, &line, sizeof(word));
		redirect = !lb_port_ensure(dp, ifindex, NULL) && is_veth(fd, req);
		__atomic_store_n(&link->flags, redirect ? LB_LINK_F_REDIRECT : 0, __ATOMIC_RELAXED);
		__atomic_store_n(&link->mtu, mtu_of(fd, req), __ATOMIC_RELAXED);
		__atomic_store_n((uint64_t *)(void *)link, word, __ATOMIC_RELAXED);
		__atomic_store_n(&link->ifindex, ifindex, __ATOMIC_RELEASE);
	} else if (link->ifindex == ifindex) {
		__atomic_store_n(&link->ifindex, 0, __ATOMIC_RELEASE);
	}
}

/* Where @bond is a bond: the native program sees its frames come in by its members, to the bond's address. */
static void write_members(struct lb_dataplane *dp, int fd, const struct ifreq *bond, const void *mac)
{
	struct ifbond info = {0};
	struct ifreq req = *bond;

	req.ifr_data = (void *)&info;
	if (ioctl(fd, SIOCBONDINFOQUERY, &req))
		return;
	for (int i = 0; i < info.num_slaves; i++) {
		struct ifslave member = {.slave_id = i};
		struct ifreq of = {0};
		unsigned int ifindex;

		req.ifr_data = (void *)&member;
		if (ioctl(fd, SIOCBONDSLAVEINFOQUERY, &req))
			continue;
		ifindex = if_nametoindex(member.slave_name);
		snprintf(of.ifr_name, sizeof(of.ifr_name), "%s", member.slave_name);
		if (ifindex)
			write_line(dp, ifindex, mac, fd, &of);
	}
}

/* Without an address, or when another interface has the place in lb_links, the program takes all frames for this
 * host's, and answers by XDP_TX. */
static void write_link(struct lb_dataplane *dp, uint32_t ifindex, bool attached)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq req = {0}, named;
	uint8_t mac[6], *known = NULL;
	bool named_so = fd >= 0 && if_indextoname(ifindex, req.ifr_name);

	named = req;
	if (attached && named_so && !ioctl(fd, SIOCGIFHWADDR, &req) && req.ifr_hwaddr.sa_family == ARPHRD_ETHER)
		known = memcpy(mac, req.ifr_hwaddr.sa_data, sizeof(mac));
	req = named;
	write_line(dp, ifindex, known, fd, &req);
	if (named_so)
		write_members(dp, fd, &named, known);
	if (fd >= 0)
		close(fd);
}

static void forget(struct lb_dataplane *dp, uint32_t ifindex)
{
	write_link(dp, ifindex, false);
	for (size_t i = 0; i < dp->nr_ifaces; i++) {
		if (dp->ifaces[i] == ifindex)
			dp->ifaces[i--] = dp->ifaces[--dp->nr_ifaces];
	}
}

/* One that is made again has another index: those that are gone must not fill the list. */
static void forget_gone(struct lb_dataplane *dp)
{
	char name[IF_NAMESIZE];

	for (size_t i = 0; i < dp->nr_ifaces; i++) {
		if (!if_indextoname(dp->ifaces[i], name))
			forget(dp, dp->ifaces[i--]);
	}
}

static void remember(struct lb_dataplane *dp, uint32_t ifindex)
{
	bool known = false;

	write_link(dp, ifindex, true);
	for (size_t i = 0; i < dp->nr_ifaces; i++)
		known |= dp->ifaces[i] == ifindex;
	if (!known)
		forget_gone(dp);
	if (!known && dp->nr_ifaces < LB_DATAPLANE_IFACES)
		dp->ifaces[dp->nr_ifaces++] = ifindex;
}

/* Where the kernel would take the program and most packets would pass it by, or it could send none: says where to
 * attach instead. */
static int check_kind(const char *ifname, const struct lb_link_kind *k, enum lb_attach_mode mode, struct lb_err *err)
{
	if (!k->ethernet)
		return lb_err_set(
			err, -EOPNOTSUPP, NULL,
			"%s has packets without an Ethernet header, of which no packet could be balanced; attach to "
			"the interface that they come in by",
			ifname);
	if (!strcmp(k->master_kind, "bond") || !strcmp(k->master_kind, "team"))
		return lb_err_set(
			err, -EINVAL, NULL,
			"%s is a member of the %s %s, whose other members' packets would be missed; attach to "
			"%s",
			ifname, k->master_kind, k->master, k->master);
	if (!strcmp(k->master_kind, "bridge"))
		return lb_err_set(err, -EINVAL, NULL,
				  "%s is a port of the bridge %s, by which no packet can be redirected; attach to %s "
				  "(generic mode), or take %s out of it",
				  ifname, k->master, k->master, ifname);
	if (!strcmp(k->kind, "vlan") && mode == LB_ATTACH_NATIVE)
		return lb_err_set(
			err, -EOPNOTSUPP, NULL,
			"%s is a VLAN device, which has no native XDP; attach to %s, whose tagged packets are "
			"served, too, or with --mode generic",
			ifname, *k->lower ? k->lower : "the interface that it is on");
	return 0;
}

static void note_kind(const struct lb_link_kind *k, struct lb_attachment *out)
{
	if (out->mode != LB_ATTACH_GENERIC || strcmp(k->kind, "vlan"))
		return;
	snprintf(out->note, sizeof(out->note),
		 "generic: a VLAN device has no native XDP; attach to %s instead, whose tagged packets are served, too",
		 *k->lower ? k->lower : "the interface that it is on");
}

int lb_dataplane_attach(struct lb_dataplane *dp, const char *ifname, enum lb_attach_mode mode,
			struct lb_attachment *out, struct lb_err *err)
{
	struct lb_xdp_prog prog = program(dp);
	struct lb_link_kind kind = {0};
	int ret = 0;

	if (lb_xdp_attached(&prog, ifname, out) && !lb_link_kind(if_nametoindex(ifname), &kind))
		ret = check_kind(ifname, &kind, mode, err);
	if (!ret)
		ret = lb_xdp_attach(&prog, ifname, mode, out, err);
	if (ret)
		return ret;
	note_kind(&kind, out);
	remember(dp, out->ifindex);
	return 0;
}

int lb_attach_again(struct lb_dataplane *dp, struct lb_err *err)
{
	char ifname[IF_NAMESIZE];
	struct lb_attachment at;
	int ret = 0;

	for (size_t i = 0; i < dp->nr_ifaces && !ret; i++) {
		ret = if_indextoname(dp->ifaces[i], ifname) ? lb_dataplane_attached(dp, ifname, &at) : -ENOENT;
		if (!ret)
			ret = lb_dataplane_attach(dp, ifname, at.mode, &at, err);
		else if (ret != -ENOENT)
			lb_err_set(err, ret, NULL, "cannot see what XDP runs on %s: %s", ifname, strerror(-ret));
		else
			ret = 0; /* gone meanwhile, or taken off by somebody: there is nothing to replace */
	}
	return ret;
}

int lb_dataplane_detach(struct lb_dataplane *dp, const char *ifname, struct lb_err *err)
{
	struct lb_xdp_prog prog = program(dp);
	unsigned int ifindex = if_nametoindex(ifname);
	int ret = lb_xdp_detach(&prog, ifname, err);

	if (!ret)
		forget(dp, ifindex);
	return ret;
}

int lb_dataplane_attached(struct lb_dataplane *dp, const char *ifname, struct lb_attachment *out)
{
	struct lb_xdp_prog prog = program(dp);
	int ret = lb_xdp_attached(&prog, ifname, out);

	if (!ret)
		remember(dp, out->ifindex);
	else if (ret == -ENOENT)
		forget(dp, if_nametoindex(ifname));
	return ret;
}

bool lb_dataplane_relieves(const struct lb_dataplane *dp, const char *ifname)
{
	struct lb_xdp_prog prog = program(dp);
	uint32_t id = lb_xdp_program(&prog, if_nametoindex(ifname));
	struct bpf_map_info info = {0};
	__u32 len = sizeof(info);

	return id && !bpf_obj_get_info_by_fd(bpf_map__fd(dp->skel->maps.lb_vips), &info, &len) &&
	       !lb_xdp_uses(id, info.id);
}

size_t lb_attach_entries(const struct lb_dataplane *dp, uint32_t ids[LB_DATAPLANE_IFACES])
{
	struct lb_xdp_prog prog = program(dp);
	size_t nr = 0;

	for (size_t i = 0; i < dp->nr_ifaces; i++) {
		uint32_t id = lb_xdp_entry(&prog, dp->ifaces[i]);
		size_t k = 0;

		while (k < nr && ids[k] != id)
			k++;
		if (id && k == nr)
			ids[nr++] = id;
	}
	return nr;
}

int lb_attach_detach_all(struct lb_dataplane *dp, struct lb_err *err)
{
	struct if_nameindex *all = if_nameindex();
	int ret = 0;

	if (!all)
		return lb_err_set(err, -errno, NULL, "cannot list the interfaces: %s", strerror(errno));
	for (struct if_nameindex *i = all; i->if_index && !ret; i++) {
		ret = lb_dataplane_detach(dp, i->if_name, err);
		/* Not ours, or gone meanwhile. */
		if (ret == -ENOENT || ret == -ENODEV)
			ret = 0;
	}
	if_freenameindex(all);
	return ret;
}
