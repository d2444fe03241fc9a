/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which owner of a slot gets a packet: the packets' half of the state machine of which userspace/liblb/slots.h is the
 * other. Pure. Called by bpf/ and by the property test.
 */
#ifndef LB_DP_STEER_H
#define LB_DP_STEER_H

#include "lb/abi.h"
#include "lb/dp/base.h"
#include "lb/dp/vip.h"

/* What a backend was at one moment: read apart, its generation and flags could be those of two lives. */
struct lb_life {
	__u8 forward; /* enum lb_forward */
	__u8 gen;
	__u8 src_plen;
	__u8 flags; /* LB_BACKEND_F_* */
};

/* With the service that it belongs to and its port it is one word. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define LB_BACKEND_WORD(service, forward, src_plen, flags)                                                             \
	((__u64)(service) | (__u64)(forward) << 32 | (__u64)(src_plen) << 48 | (__u64)(flags) << 56)
#define LB_BACKEND_WORD_SERVICE(word) ((__u16)(word))
#else
#define LB_BACKEND_WORD(service, forward, src_plen, flags)                                                             \
	((__u64)(service) << 48 | (__u64)(forward) << 24 | (__u64)(src_plen) << 8 | (__u64)(flags))
#define LB_BACKEND_WORD_SERVICE(word) ((__u16)((__u64)(word) >> 48))
#endif

static __always_inline __u64 lb_backend_word(const struct lb_backend *b)
{
	return lb_load64(&b->service);
}

static __always_inline struct lb_life lb_life_in(__u64 word)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return (struct lb_life){(__u8)(word >> 32), (__u8)(word >> 40), (__u8)(word >> 48), (__u8)(word >> 56)};
#else
	return (struct lb_life){(__u8)(word >> 24), (__u8)(word >> 16), (__u8)(word >> 8), (__u8)word};
#endif
}

static __always_inline struct lb_life lb_life_of(const struct lb_backend *b)
{
	return lb_life_in(lb_backend_word(b));
}

/* lb_backend_serves - is it alive, and of the service that a VIP's word (@vip) names? */
static __always_inline bool lb_backend_serves(__u64 word, __u64 vip)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	vip >>= 32; /* with the service where it is in the backend's word; the rest is not compared */
#else
	vip <<= 32;
#endif
	return ((word ^ vip) & LB_BACKEND_WORD(0xffff, 0, 0, LB_BACKEND_F_ALIVE)) ==
	       LB_BACKEND_WORD(0, 0, 0, LB_BACKEND_F_ALIVE);
}

/* lb_backend_plain - is it alive, of the service that a VIP's word (@vip) names, and like most: reached by IPIP over
 * the packet's own family, from one source address, by a next hop that needs no redirection? One comparison tells. */
static __always_inline bool lb_backend_plain(__u64 word, __u64 vip, bool v6)
{
	const __u8 family = v6 ? 0 : LB_BACKEND_F_V4;

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	vip >>= 32; /* with the service where it is in the backend's word; the rest is not compared */
#else
	vip <<= 32;
#endif
	return ((word ^ vip) &
		LB_BACKEND_WORD(0xffff, 0xff, 0xff, LB_BACKEND_F_ALIVE | LB_BACKEND_F_V4 | LB_BACKEND_F_REDIRECT)) ==
	       LB_BACKEND_WORD(0, LB_FORWARD_IPIP, 128, LB_BACKEND_F_ALIVE | family);
}

/* lb_steer_wants_flow - must the flow cache be asked? Not while the slot is stable and its VIP (@flags: LB_VIP_F_*)
 * tracks nothing. */
static __always_inline bool lb_steer_wants_flow(__u32 word, __u32 flags)
{
	return !(flags & LB_VIP_F_NO_STATE) && (flags & LB_VIP_F_TRACK || LB_SLOT_PHASE(word) != LB_PHASE_STABLE);
}

/* lb_steer_hit_counts - does an entry found for a packet decide? @flags: its backend's, whose generation is the
 * entry's. Not when the backend is gone; nor for a new connection when it takes none (a reused port on a draining
 * backend).
 * @closed: the entry's connection has ended; a SYN then opens another one, while the SYN of an open entry is one sent
 * again.
 * @is_new: a SYN; of a protocol that does not say what is new (UDP) false, or its flows would leave a draining backend.
 * An entry that was found and does not count must be overwritten with what lb_steer_miss returns, in its place and
 * whatever the flood guard says, or the new connection's next packet would go where the old one went: pass its presence
 * to lb_steer_miss as @tracked. */
static __always_inline bool lb_steer_hit_counts(__u8 flags, bool is_new, bool closed)
{
	return (flags & LB_BACKEND_F_ALIVE) && (!is_new || ((flags & LB_BACKEND_F_TAKES_NEW) && !closed));
}

/* lb_steer_miss - the backend for a packet without an entry. @is_new: it opens a connection (a SYN; or any packet of a
 * protocol whose flows are tracked from their first packet). @tracked: also true where an entry was found that does not
 * count. @learn: make an entry for what is returned, unless that is 0, nobody. */
static __always_inline __u32 lb_steer_miss(__u32 word, bool is_new, bool tracked, bool *learn)
{
	if (LB_SLOT_PHASE(word) == LB_PHASE_MOVING) {
		*learn = true;
		return is_new ? LB_SLOT_CUR(word) : LB_SLOT_PREV(word);
	}
	*learn = tracked;
	return LB_SLOT_CUR(word);
}

/* lb_steer_unlearned - @chosen was to be learned and no entry could be made: the backend to take instead. A connection
 * opened in a moving slot would go to the slot's former owner with its next packet; so it is better opened there, and
 * learned by then. @prev_flags: the former owner's, 0 when there is none. */
static __always_inline __u32 lb_steer_unlearned(__u32 word, __u32 chosen, __u8 prev_flags)
{
	const __u8 open = LB_BACKEND_F_ALIVE | LB_BACKEND_F_TAKES_NEW;

	return LB_SLOT_PHASE(word) == LB_PHASE_MOVING && (prev_flags & open) == open ? LB_SLOT_PREV(word) : chosen;
}

#endif
