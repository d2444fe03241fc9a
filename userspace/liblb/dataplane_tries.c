// SPDX-License-Identifier: GPL-2.0-or-later
/* What lies in tries: VIPs that are prefixes or every port of an address, and
 * sources that services let in or do not. A line is replaced whole by one update. */
#include <bpf/bpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "dataplane_priv.h"
#include "lb/dp/access.h"
#include "lb/dp/wild.h"
#include "vipset.h"

bool lb_tries_has_vip(const struct lb_vip_conf *vip)
{
	return vip->plen < 128 || (!vip->vip.port && vip->vip.proto != IPPROTO_ICMP && vip->vip.proto != IPPROTO_ICMPV6);
}

static struct lb_wild_key wild_key(const struct lb_vip_conf *vip)
{
	return lb_wild_key(lb_get64(vip->vip.addr), lb_get64(vip->vip.addr + 8),
			   lb_vip_what(vip->vip.port, vip->vip.proto, lb_addr_is_v4(vip->vip.addr)), vip->plen);
}

static struct lb_wild wild_of(const struct lb_dataplane *dp, const struct lb_vip_conf *vip, uint16_t idx)
{
	const struct lb_vip_line line = lb_vipset_line(&vip->vip, idx, &dp->services[idx]);

	return (struct lb_wild){.table = line.table, .service = line.service, .flags = line.flags, .plen = vip->plen};
}

bool lb_tries_vip_is_right(const struct lb_dataplane *dp, const struct lb_vip_conf *vip, uint16_t idx)
{
	const struct lb_wild want = wild_of(dp, vip, idx);
	const struct lb_wild_key key = wild_key(vip);
	struct lb_wild is;

	return !bpf_map_lookup_elem(dp->wild_fd, &key, &is) && is.table == want.table && is.service == want.service &&
	       is.flags == want.flags && is.plen == want.plen;
}

int lb_tries_set_vip(struct lb_dataplane *dp, const struct lb_vip_conf *vip, uint16_t idx)
{
	const struct lb_wild wild = wild_of(dp, vip, idx);
	const struct lb_wild_key key = wild_key(vip);

	return bpf_map_update_elem(dp->wild_fd, &key, &wild, BPF_ANY) ? -errno : 0;
}

int lb_tries_del_vip(struct lb_dataplane *dp, const struct lb_vip_conf *vip)
{
	const struct lb_wild_key key = wild_key(vip);

	return bpf_map_delete_elem(dp->wild_fd, &key) && errno != ENOENT ? -errno : 0;
}

int lb_tries_each_vip(const struct lb_dataplane *dp, lb_tries_vip_fn each, void *ctx)
{
	struct lb_wild_key key;
	struct lb_wild wild;
	int ret = 0;

	for (void *prev = NULL; !ret && !bpf_map_get_next_key(dp->wild_fd, prev, &key); prev = &key) {
		struct lb_vip_line line = {0};
		struct lb_vip_conf vip;

		if (bpf_map_lookup_elem(dp->wild_fd, &key, &wild))
			return -errno;
		memcpy(line.addr, key.addr, sizeof(line.addr));
		memcpy(&line.port, &key.what, sizeof(key.what));
		vip = (struct lb_vip_conf){.vip = lb_vipset_vip(&line), .plen = wild.plen};
		ret = each(ctx, &vip, wild.service);
	}
	return ret;
}

static struct lb_access_key access_key(const struct lb_access_image *a, uint16_t idx)
{
	return lb_access_key(lb_get64(a->addr), lb_get64(a->addr + 8), idx, a->family == LB_VIP_V4, a->plen);
}

int lb_tries_set_access(struct lb_dataplane *dp, const struct lb_access_image *access, uint16_t idx)
{
	const struct lb_access_key key = access_key(access, idx);
	const struct lb_access value = {.verdict = access->verdict};

	return bpf_map_update_elem(dp->access_fd, &key, &value, BPF_ANY) ? -errno : 0;
}

int lb_tries_del_access(struct lb_dataplane *dp, const struct lb_access_image *access, uint16_t idx)
{
	const struct lb_access_key key = access_key(access, idx);

	return bpf_map_delete_elem(dp->access_fd, &key) && errno != ENOENT ? -errno : 0;
}

int lb_tries_each_access(const struct lb_dataplane *dp, lb_tries_access_fn each, void *ctx)
{
	struct lb_access_key key;
	struct lb_access value;
	int ret = 0;

	for (void *prev = NULL; !ret && !bpf_map_get_next_key(dp->access_fd, prev, &key); prev = &key) {
		struct lb_access_image access = {.plen = (uint8_t)(key.plen - LB_ACCESS_KEY_BITS),
						 .family = key.family};

		if (bpf_map_lookup_elem(dp->access_fd, &key, &value))
			return -errno;
		access.verdict = (uint8_t)value.verdict;
		memcpy(access.addr, key.addr, sizeof(access.addr));
		ret = each(ctx, &access, key.service);
	}
	return ret;
}
