/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whose is a packet of which no single VIP is the address? Included by classify.h. */
#ifndef BPF_WILD_H
#define BPF_WILD_H

#include "lb/dp/wild.h"
#include "world.h"

/* The VIP of the longest prefix and, of those, the one that names the port: LB_WILD(), 0 when there is none. Two
 * look-ups whatever there is, as each trie path has the prefixes of one port. */
static __always_inline __u64 lb_wild_find(struct lb_world *w, __u64 hi, __u64 lo, __u32 what)
{
	struct lb_wild_key key = lb_wild_key(hi, lo, what, 128);
	const struct lb_wild *one, *every, *best;

	if (!lb_world_has(w, LB_HAS_WILDCARDS))
		return 0;
	one = lb_world_wild(w, &key);
	key.what = lb_wild_every_port(what);
	every = lb_world_wild(w, &key);
	if (!every)
		best = one;
	else
		best = one && one->plen >= every->plen ? one : every;
	return best ? LB_WILD(best->service, best->flags, best->table) : 0;
}

/* What lb_classify answers for a packet whose address and port are no VIP by themselves. */
static __always_inline enum lb_verdict lb_classify_wild(struct lb_world *w, struct lb_job *j,
							const struct lb_vip_key *key, __u64 fold)
{
	__u64 word;

	if (!lb_world_has(w, LB_HAS_WILDCARDS))
		return lb_answer(LB_V_PASS_NO_SERVICE);
	word = lb_world_wild_find(w, lb_vip_key_addr(key, 0), lb_vip_key_addr(key, 1), key->what);
	if (!word)
		return lb_answer(LB_V_PASS_NO_SERVICE);
	j->table = LB_WILD_TABLE(word);
	j->vip_fold = fold;
	j->vip_word = LB_VIP_WORD(LB_WILD_SERVICE(word), LB_WILD_FLAGS(word));
	return LB_V_FORWARDED;
}

#endif
