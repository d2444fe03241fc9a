// SPDX-License-Identifier: GPL-2.0-or-later
/* Draining backends and their ends. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "drains.h"

const char *lb_drain_end_name(enum lb_drain_end end)
{
	static const char *const names[] = {"", "empty", "timeout"};

	return names[end];
}

static int compare(const struct lb_drain *d, const char *service, const struct lb_endpoint *address)
{
	int order = strcmp(d->service, service);

	return order ? order : memcmp(&d->address, address, sizeof(*address));
}

struct lb_drain *lb_drains_find(const struct lb_drains *d, const char *service, const struct lb_endpoint *address)
{
	size_t low = 0, high = d->nr;

	while (low < high) {
		size_t mid = (low + high) / 2;
		int order = compare(&d->list[mid], service, address);

		if (!order)
			return &d->list[mid];
		if (order < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

static size_t count(const struct lb_config *c)
{
	size_t nr = 0;

	for (size_t i = 0; i < c->nr_services; i++)
		for (size_t j = 0; j < c->services[i].nr_backends; j++)
			nr += c->services[i].backends[j].admin == LB_ADMIN_DRAINING;
	return nr;
}

int lb_drains_make(const struct lb_drains *was, const struct lb_config *c, uint64_t now_ns, struct lb_drains *out)
{
	size_t nr = count(c);

	*out = (struct lb_drains){.list = calloc(nr ? nr : 1, sizeof(*out->list))};
	if (!out->list)
		return -ENOMEM;
	for (size_t i = 0; i < c->nr_services; i++) {
		const struct lb_service_conf *s = &c->services[i];

		for (size_t j = 0; j < s->nr_backends; j++) {
			struct lb_drain *d = &out->list[out->nr];
			const struct lb_drain *known = lb_drains_find(was, s->name, &s->backends[j].address);

			if (s->backends[j].admin != LB_ADMIN_DRAINING)
				continue;
			out->nr++;
			if (known) {
				*d = *known;
				continue;
			}
			*d = (struct lb_drain){.address = s->backends[j].address, .since_ns = now_ns};
			memcpy(d->service, s->name, sizeof(d->service));
		}
	}
	return 0;
}

void lb_drains_fini(struct lb_drains *d)
{
	free(d->list);
	*d = (struct lb_drains){0};
}

uint64_t lb_drain_ends_ns(const struct lb_drain *d, uint64_t timeout_ns)
{
	return timeout_ns ? d->since_ns + timeout_ns : UINT64_MAX;
}

bool lb_drain_judge(struct lb_drain *d, uint64_t timeout_ns, uint64_t now_ns, uint64_t left)
{
	if (d->end != LB_DRAIN_GOES_ON)
		return false;
	if (!left)
		d->end = LB_DRAIN_EMPTY;
	else if (now_ns >= lb_drain_ends_ns(d, timeout_ns))
		d->end = LB_DRAIN_TIMEOUT;
	return d->end != LB_DRAIN_GOES_ON;
}
