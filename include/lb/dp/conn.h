/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The life of a NAT connection. Each direction has an entry of its own, and in it one word: what went that way and
 * when. A packet writes the word of its own direction alone, in one store, so the directions never undo each other's
 * work; how the connection is doing follows from the pair of words. Called by bpf/, by the collector of what has
 * expired, and by tests.
 *
 * Two CPUs that work for one direction may lose one of two flags that come at once. LB_CONN_ACK and LB_CONN_OPEN are
 * back with the next packet; without a FIN or RST the entry only lives longer.
 *
 * Forward is from the client to the VIP, reply from the backend to the load balancer. A word of 0: nothing went that
 * way yet, or the entry is missing.
 */
#ifndef LB_DP_CONN_H
#define LB_DP_CONN_H

#include <linux/in.h>

#include "lb/abi.h"
#include "lb/dp/base.h"
#include "lb/dp/parse.h"

/* A word is flags:32 | stamp:32, the stamp being seconds of CLOCK_MONOTONIC. */
#define LB_CONN_SEEN (1ULL << 32) /* at all: the stamp means something */
#define LB_CONN_SYN (1ULL << 33)  /* the reply's has an ACK with it */
#define LB_CONN_ACK (1ULL << 34)  /* without SYN */
#define LB_CONN_FIN (1ULL << 35)
#define LB_CONN_RST (1ULL << 36)  /* and nothing since */
#define LB_CONN_OPEN (1ULL << 37) /* forward, TCP: the client acknowledged what the backend answered to its SYN */
#define LB_CONN_STAMP(word) ((__u32)(word))

/* A stamp is renewed when it is older than this, so hits hardly write. Lifetimes are longer by as much: never short. */
#define LB_CONN_GRAIN_S 4

/* RFC 5382 REQ-5: 2 h 4 min, and 4 min when it is not established. That is too long for what a SYN flood leaves
 * behind (RFC 7857, 2.1, lets it be shorter): a handshake that takes longer is begun again by the client's next SYN.
 * RFC 4787 REQ-5: 5 min. What nobody has answered has no claim to them. */
#define LB_CONN_TCP_HALF_OPEN_S 30
#define LB_CONN_TCP_ESTABLISHED_S (124 * 60)
#define LB_CONN_TCP_CLOSING_S (4 * 60)
#define LB_CONN_UDP_UNREPLIED_S 30
#define LB_CONN_UDP_REPLIED_S (5 * 60)

/* A client's RST may be anybody's with its address. It is believed when both sides are silent after it. */
#define LB_CONN_RST_QUIET_S 10

enum lb_conn_dir {
	LB_CONN_FORWARD,
	LB_CONN_REPLY,
};

enum lb_conn_state {
	LB_CONN_TCP_HALF_OPEN,
	LB_CONN_TCP_ESTABLISHED, /* also half-closed: RFC 6146, 3.5.2.2 */
	LB_CONN_TCP_CLOSING,
	LB_CONN_UDP_UNREPLIED,
	LB_CONN_UDP_REPLIED,
};

/* lb_conn_now - the seconds of @now_ns, without a division; off by one in ten million. */
static __always_inline __u32 lb_conn_now(__u64 now_ns)
{
	return (__u32)((now_ns >> 20) * 1125900 >> 30);
}

/* Seconds since @word was stamped. Another CPU's clock may be ahead of ours. */
static __always_inline __u32 lb_conn_age(__u64 word, __u32 now)
{
	__s32 age = (__s32)(now - LB_CONN_STAMP(word));

	return age < 0 ? 0 : (__u32)age;
}

/* lb_conn_step - a direction's word after one of its packets: @word itself where there is nothing to write.
 * @tcp_flags: LB_TCP_*, 0 for UDP. A word begins with lb_conn_step(0, ...).
 * A RST is forgotten when the side that sent it goes on: somebody else had sent it (RFC 6146, 3.5.2.2). The backend's
 * SYN+ACK begins a connection, so what is left of an earlier one's end goes; the client's name anybody can use. */
static __always_inline __u64 lb_conn_step(__u64 word, enum lb_conn_dir dir, __u8 tcp_flags, __u32 now)
{
	__u64 flags = (word & ~0xffffffffULL & ~LB_CONN_RST) | LB_CONN_SEEN;

	if (tcp_flags & LB_TCP_RST)
		flags |= LB_CONN_RST;
	else if (!(tcp_flags & LB_TCP_SYN))
		flags |= (tcp_flags & LB_TCP_ACK ? LB_CONN_ACK : 0) | (tcp_flags & LB_TCP_FIN ? LB_CONN_FIN : 0);
	else if (dir == LB_CONN_FORWARD)
		flags |= LB_CONN_SYN;
	else
		flags = LB_CONN_SEEN | LB_CONN_SYN;
	if (flags == (word & ~0xffffffffULL) && lb_conn_age(word, now) < LB_CONN_GRAIN_S)
		return word;
	return flags | now;
}

/* lb_conn_asks - may a forward TCP word that lb_conn_step made be open now? Then the reply's word decides. That is
 * asked once in a connection's life; where the client sends before it is answered, with each packet until it is. */
static __always_inline bool lb_conn_asks(__u64 forward)
{
	return (forward & (LB_CONN_ACK | LB_CONN_OPEN)) == LB_CONN_ACK;
}

/* lb_conn_open - the forward word, after lb_conn_asks, given the reply's. */
static __always_inline __u64 lb_conn_open(__u64 forward, __u64 reply)
{
	return reply & LB_CONN_SYN ? forward | LB_CONN_OPEN : forward;
}

/* lb_conn_leaves_tcp, lb_conn_leaves_udp - does the connection leave the share of the half-open ones by this write of
 * its forward (TCP) or its reply (UDP) word? Each has one direction that says so, so that it is counted once. */
static __always_inline bool lb_conn_leaves_tcp(__u64 forward_old, __u64 forward_new)
{
	return (forward_new & ~forward_old) & LB_CONN_OPEN;
}

static __always_inline bool lb_conn_leaves_udp(__u64 reply_old, __u64 reply_new)
{
	return (reply_new & ~reply_old) & LB_CONN_SEEN;
}

/* lb_conn_state - how the connection is doing. What was refused before it opened remains half-open: it has no claim to
 * the longer time, and no flood is to leave its share by being refused. */
static __always_inline enum lb_conn_state lb_conn_state(__u8 proto, __u64 forward, __u64 reply)
{
	if (proto != IPPROTO_TCP)
		return reply & LB_CONN_SEEN ? LB_CONN_UDP_REPLIED : LB_CONN_UDP_UNREPLIED;
	if (!(forward & LB_CONN_OPEN))
		return LB_CONN_TCP_HALF_OPEN;
	if ((forward | reply) & LB_CONN_RST || forward & reply & LB_CONN_FIN)
		return LB_CONN_TCP_CLOSING;
	return LB_CONN_TCP_ESTABLISHED;
}

/* lb_conn_half_open - does it count in the share of connections that nobody is known to want? */
static __always_inline bool lb_conn_half_open(__u8 proto, __u64 forward, __u64 reply)
{
	enum lb_conn_state s = lb_conn_state(proto, forward, reply);

	return s == LB_CONN_TCP_HALF_OPEN || s == LB_CONN_UDP_UNREPLIED;
}

static __always_inline __u32 lb_conn_timeout(enum lb_conn_state s, const struct lb_conn_timers *t)
{
	if (s == LB_CONN_TCP_HALF_OPEN)
		return t->tcp_half_open_s;
	if (s == LB_CONN_TCP_ESTABLISHED)
		return t->tcp_established_s;
	if (s == LB_CONN_TCP_CLOSING)
		return t->tcp_closing_s;
	return s == LB_CONN_UDP_REPLIED ? t->udp_replied_s : t->udp_unreplied_s;
}

/* Seconds since anything went either way, as far as the stamps know; the greatest number where nothing did. */
static __always_inline __u32 lb_conn_idle(__u64 forward, __u64 reply, __u32 now)
{
	__u32 f = forward & LB_CONN_SEEN ? lb_conn_age(forward, now) : ~0U;
	__u32 r = reply & LB_CONN_SEEN ? lb_conn_age(reply, now) : ~0U;

	return f < r ? f : r;
}

/* lb_conn_left_s - the seconds it has left if nothing more comes; 0: it has expired. */
static __always_inline __u32 lb_conn_left_s(__u8 proto, __u64 forward, __u64 reply, const struct lb_conn_timers *t,
					    __u32 now)
{
	__u64 life = (__u64)lb_conn_timeout(lb_conn_state(proto, forward, reply), t) + LB_CONN_GRAIN_S;
	__u32 idle = lb_conn_idle(forward, reply, now);

	if (idle >= life)
		return 0;
	return life - idle < ~0U ? (__u32)(life - idle) : ~0U;
}

static __always_inline bool lb_conn_expired(__u8 proto, __u64 forward, __u64 reply, const struct lb_conn_timers *t,
					    __u32 now)
{
	return !lb_conn_left_s(proto, forward, reply, t, now);
}

/* lb_conn_reusable - may a SYN from the client on these ports begin another connection, perhaps to another backend?
 * Yes when the old one is over: expired, closed both ways (the backend takes such a SYN in TIME-WAIT: RFC 9293,
 * 3.10.7.4, RFC 6191), reset by the backend, or reset by the client and silent since. Else it is the same SYN again, or
 * the backend's to answer. Both words begin anew then. */
static __always_inline bool lb_conn_reusable(__u64 forward, __u64 reply, const struct lb_conn_timers *t, __u32 now)
{
	if (forward & reply & LB_CONN_FIN || reply & LB_CONN_RST)
		return true;
	if (forward & LB_CONN_RST && lb_conn_idle(forward, reply, now) >= LB_CONN_RST_QUIET_S)
		return true;
	return lb_conn_expired(IPPROTO_TCP, forward, reply, t, now);
}

#endif
