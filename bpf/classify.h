/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The stage that says whose a packet is. Included by pipeline.h. */
#ifndef BPF_CLASSIFY_H
#define BPF_CLASSIFY_H

#include "lb/dp/vip.h"
#include "wild.h"
#include "world.h"

/* Beyond the first line of its first set: the other line, and its second set's. */
static __always_inline const struct lb_vip_line *lb_find_beyond(struct lb_world *w, const struct lb_vip_set *set,
								__u32 second, const struct lb_vip_key *key)
{
	if (lb_vip_is(&set->way[1], lb_vip_word(&set->way[1]), key))
		return &set->way[1];
	set = lb_world_vips(w, second);
	if (!set)
		return NULL;
	if (lb_vip_is(&set->way[0], lb_vip_word(&set->way[0]), key))
		return &set->way[0];
	return lb_vip_is(&set->way[1], lb_vip_word(&set->way[1]), key) ? &set->way[1] : NULL;
}

/* Whose is it? */
static __always_inline enum lb_verdict lb_classify(struct lb_world *w, struct lb_job *j)
{
	const struct lb_vip_key key = lb_packet_vip(&j->pkt);
	const __u64 fold = lb_vip_fold(&key), hash = lb_vip_hash(fold);
	const struct lb_vip_set *set = lb_world_vips(w, lb_vip_first(hash));
	const struct lb_vip_line *vip;
	__u64 word;

	if (lb_unlikely(!set))
		return lb_answer(LB_V_PASS_NO_SERVICE);
	vip = &set->way[0];
	word = lb_vip_word(vip);
	if (lb_unlikely(!lb_vip_is(vip, word, &key))) {
		const __u64 again = lb_rarely(fold); /* so that nobody else keeps what it was made of */
		const struct lb_vip_key asked = key.v4 ? lb_vip_key_in4(again) : key;

		vip = LB_VIP_WORD_BEYOND(word) ? lb_find_beyond(w, set, lb_vip_second(lb_vip_hash(again)), &asked)
					       : NULL;
		if (!vip)
			return lb_classify_wild(w, j, &asked, fold);
		word = lb_vip_word(vip);
	}
	j->table = lb_load(&vip->table);
	j->vip_fold = fold;
	j->vip_word = word;
	return LB_V_FORWARDED;
}

#endif
