// SPDX-License-Identifier: GPL-2.0-or-later
/* Which backends take new connections, the table that follows from that, and its fingerprint. */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lb/dp/hash.h"
#include "maglev.h"
#include "policy.h"
#include "share.h"
#include "sort.h"

/* Could @c take new connections, were it healthy? */
static bool usable(const struct lb_candidate *c)
{
	return c->conf->admin == LB_ADMIN_ENABLED && c->conf->weight > 0;
}

/* Nobody is better than one that no packet can be sent to: panic or not, such a one is left out. */
static bool fit(const struct lb_candidate *c, bool panic)
{
	return usable(c) && (panic ? c->reachable : c->up);
}

/* The lowest tier that has @tier_min who are fit, or else the one that has most. *@most: how many it has. */
static uint32_t best_tier(const struct lb_candidate *candidates, size_t nr, bool panic, uint32_t tier_min, size_t *most)
{
	size_t nr_fit[LB_TIERS] = {0};
	uint32_t best = 0;

	for (size_t i = 0; i < nr; i++)
		nr_fit[candidates[i].conf->tier % LB_TIERS] += fit(&candidates[i], panic);
	for (uint32_t tier = 0; tier < LB_TIERS && (!nr_fit[best] || nr_fit[best] < tier_min); tier++)
		best = nr_fit[tier] > nr_fit[best] ? tier : best;
	*most = nr_fit[best];
	return best;
}

static void choose_tier(struct lb_candidate *candidates, size_t nr, uint32_t tier_min, struct lb_choice *choice)
{
	choice->tier = best_tier(candidates, nr, choice->panic, tier_min, &choice->chosen);
	for (size_t i = 0; i < nr; i++) {
		struct lb_candidate *c = &candidates[i];

		c->chosen = fit(c, choice->panic) && c->conf->tier == choice->tier;
	}
}

struct lb_choice lb_policy_choose(struct lb_candidate *candidates, size_t nr, uint32_t panic_threshold,
				  uint32_t tier_min)
{
	struct lb_choice choice = {0};
	size_t nr_usable = 0, nr_up = 0;

	for (size_t i = 0; i < nr; i++) {
		nr_usable += usable(&candidates[i]);
		nr_up += usable(&candidates[i]) && candidates[i].up;
	}
	if (nr_usable && panic_threshold)
		choice.panic = !nr_up || nr_up * 100 < (uint64_t)panic_threshold * nr_usable;
	choose_tier(candidates, nr, tier_min, &choice);
	return choice;
}

uint8_t lb_policy_warmth(uint32_t elapsed_s, uint64_t slow_start_ns)
{
	unsigned __int128 elapsed_ns = (unsigned __int128)elapsed_s * 1000000000U;

	if (elapsed_ns >= slow_start_ns)
		return LB_WARM;
	return (uint8_t)(1 + elapsed_ns * (LB_WARM - 1) / slow_start_ns);
}

/* Of those that take new connections, has one not got all of its weight yet? */
static bool is_warming(const struct lb_candidate *candidates, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		if (candidates[i].chosen && candidates[i].warmth && candidates[i].warmth < LB_WARM)
			return true;
	}
	return false;
}

static uint32_t share_of(const struct lb_candidate *c)
{
	return c->share ? c->share : LB_SHARE_ALL;
}

/* Does one of those that take new connections say that it can bear less than its weight? */
static bool is_lessened(const struct lb_candidate *candidates, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		if (candidates[i].chosen && share_of(&candidates[i]) < LB_SHARE_ALL)
			return true;
	}
	return false;
}

/* Products of weights, as far as needed in the range that a table is made from. */
static void set_weights(struct lb_maglev_member *members, const uint64_t *products, size_t nr)
{
	uint64_t most = 0;

	for (size_t i = 0; i < nr; i++)
		most = products[i] > most ? products[i] : most;
	for (size_t i = 0; i < nr; i++) {
		uint64_t weight = products[i];

		if (most > LB_MAGLEV_WEIGHT_MAX)
			weight = weight * LB_MAGLEV_WEIGHT_MAX / most;
		members[i].weight = weight ? (uint32_t)weight : 1;
	}
}

/* A backend's identity on every load balancer, whatever its byte order: address and port. */
static void identity(const struct lb_endpoint *ep, uint64_t id[3])
{
	uint64_t words[2];

	memcpy(words, ep->addr, sizeof(words));
	id[0] = be64toh(words[0]);
	id[1] = be64toh(words[1]);
	id[2] = be16toh(ep->port);
}

static int compare_members(const void *a, const void *b)
{
	const struct lb_maglev_member *x = a, *y = b;

	for (int i = 0; i < 3; i++) {
		if (x->id[i] != y->id[i])
			return x->id[i] < y->id[i] ? -1 : 1;
	}
	return 0;
}

struct lb_maglev *lb_policy_begin(const struct lb_candidate *candidates, size_t nr, const uint64_t key[2],
				  enum lb_policy policy, unsigned int *shift)
{
	struct lb_maglev_member *members = calloc(nr ? nr : 1, sizeof(*members));
	uint32_t *weights = calloc(nr ? nr : 1, sizeof(*weights));
	uint64_t *products = calloc(nr ? nr : 1, sizeof(*products));
	struct lb_maglev *build = NULL;
	bool warming = is_warming(candidates, nr), lessened = is_lessened(candidates, nr);
	size_t nr_members = 0;

	if (!members || !weights || !products)
		goto out;
	for (size_t i = 0; i < nr; i++) {
		const struct lb_candidate *c = &candidates[i];

		weights[i] = c->conf->weight;
		if (!c->chosen)
			continue;
		identity(&c->conf->address, members[nr_members].id);
		/* Ratios alone count, so that all may be multiplied for the sake of parts that are not whole. */
		products[nr_members] = c->conf->weight;
		if (warming)
			products[nr_members] *= c->warmth ? c->warmth : LB_WARM;
		if (lessened)
			products[nr_members] *= share_of(c);
		members[nr_members++].value = c->idx;
	}
	set_weights(members, products, nr_members);
	lb_sort(members, nr_members, sizeof(*members), compare_members);
	*shift = lb_maglev_shift(weights, nr);
	build = policy == LB_POLICY_ROUND_ROBIN ? lb_maglev_in_turn(members, nr_members, *shift)
						: lb_maglev_new(members, nr_members, key, *shift);
out:
	free(products);
	free(weights);
	free(members);
	return build;
}

int lb_policy_table(const struct lb_candidate *candidates, size_t nr, const uint64_t key[2], unsigned int *shift,
		    uint16_t **table)
{
	struct lb_maglev *build = lb_policy_begin(candidates, nr, key, LB_POLICY_MAGLEV, shift);

	if (!build)
		return -ENOMEM;
	lb_maglev_fill(build, UINT32_MAX);
	*table = lb_maglev_take(build);
	lb_maglev_free(build);
	return 0;
}

uint64_t lb_policy_digest(const struct lb_candidate *candidates, size_t nr, const uint16_t *table, unsigned int shift)
{
	static const __u64 key[2] = {0x736c756963652074ULL, 0x61626c6520312e30ULL}; /* any constant, equal everywhere */
	uint64_t by_idx[LB_MAX_BACKENDS];					    /* filled where @table leads only */
	uint64_t digest = lb_sip_words(key, (const __u64[]){shift}, 1);

	by_idx[0] = 0;
	for (size_t i = 0; i < nr; i++) {
		uint64_t id[3];

		identity(&candidates[i].conf->address, id);
		by_idx[candidates[i].idx] = lb_sip_words(key, (const __u64[]){id[0], id[1], id[2]}, 3);
	}
	for (uint32_t slot = 0; slot < 1U << shift; slot++)
		digest = lb_rotl64((digest ^ by_idx[table[slot]]) * 0x9e3779b97f4a7c15ULL, 29);
	return digest;
}
