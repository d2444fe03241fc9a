// SPDX-License-Identifier: GPL-2.0-or-later
/* Images: counted references and copies. */
#include <stdlib.h>
#include <string.h>

#include "image.h"
#include "pause.h"

#define PAUSE_EVERY 64 /* services */

struct lb_service_image *lb_service_image_new(void)
{
	struct lb_service_image *s = calloc(1, sizeof(*s));

	if (s)
		s->refs = 1;
	return s;
}

struct lb_service_image *lb_service_image_get(struct lb_service_image *s)
{
	s->refs++;
	return s;
}

void lb_service_image_put(struct lb_service_image *s)
{
	if (!s || --s->refs)
		return;
	free(s->slots);
	free(s->vips);
	free(s->access);
	free(s->backends);
	free(s->cids);
	free(s->snats);
	free(s);
}

struct lb_image *lb_image_new(void)
{
	return calloc(1, sizeof(struct lb_image));
}

struct lb_image *lb_image_copy(const struct lb_image *i)
{
	struct lb_image *copy = malloc(sizeof(*copy));

	if (!copy)
		return NULL;
	*copy = *i;
	for (size_t s = 0; s < LB_MAX_SERVICES; s++) {
		if (copy->services[s])
			lb_service_image_get(copy->services[s]);
	}
	return copy;
}

void lb_image_free(struct lb_image *i)
{
	if (!i)
		return;
	for (size_t s = 0; s < LB_MAX_SERVICES; s++) {
		lb_pause_at(s, PAUSE_EVERY);
		lb_service_image_put(i->services[s]);
	}
	free(i);
}

int lb_cid_compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct lb_cid));
}

int lb_snat_compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct lb_snat));
}

uint64_t lb_name_id(const char *name)
{
	uint64_t h = 0xcbf29ce484222325ULL;

	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * 0x100000001b3ULL;
	return h;
}
