// SPDX-License-Identifier: GPL-2.0-or-later
/* Lists of addresses and prefixes, and the addresses that interfaces have. */
#include <errno.h>
#include <ifaddrs.h>
#include <stdlib.h>
#include <string.h>

#include "lbnode.h"

bool lb_node_list_has(const struct lb_node_list *list, const struct lb_prefix *item)
{
	for (size_t i = 0; i < list->nr; i++) {
		if (list->items[i].plen == item->plen && !memcmp(list->items[i].addr, item->addr, sizeof(item->addr)))
			return true;
	}
	return false;
}

int lb_node_list_add(struct lb_node_list *list, const struct lb_prefix *item)
{
	struct lb_prefix *items;

	if (lb_node_list_has(list, item))
		return 0;
	items = reallocarray(list->items, list->nr + 1, sizeof(*items));
	if (!items)
		return -ENOMEM;
	list->items = items;
	items[list->nr++] = *item;
	return 0;
}

void lb_node_list_fini(struct lb_node_list *list)
{
	free(list->items);
	*list = (struct lb_node_list){0};
}

void lb_node_rules_fini(struct lb_node_rules *rules)
{
	lb_node_list_fini(&rules->local);
	lb_node_list_fini(&rules->from);
	lb_node_list_fini(&rules->vips);
}

int lb_node_addresses(const char *ifname, struct lb_node_list *out, struct lb_err *err)
{
	struct ifaddrs *all;
	int ret = 0;

	if (getifaddrs(&all))
		return lb_err_set(err, -errno, NULL, "cannot list the host's addresses: %s", strerror(errno));
	for (struct ifaddrs *i = all; i && !ret; i = i->ifa_next) {
		struct lb_prefix item = {.plen = 128};

		if ((!ifname || !strcmp(i->ifa_name, ifname)) && lb_addr_of_sockaddr(i->ifa_addr, item.addr) &&
		    (!ifname || !lb_addr_unusable(item.addr)))
			ret = lb_node_list_add(out, &item);
	}
	freeifaddrs(all);
	return ret ? lb_err_set(err, ret, NULL, "out of memory") : 0;
}
