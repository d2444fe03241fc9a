// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which addresses are watched, and what each event of the kernel means for them. The kernel's own look-up is asked for
 * routes, never imitated: rules, metrics and prefixes are its business. Questions are gathered for some milliseconds,
 * since changes come in bursts. What is read, reported and asked takes a few more at most at a time, however much there
 * is to do, so that the caller's loop goes on.
 */
#include <errno.h>
#include <linux/neighbour.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "route_priv.h"

#define GATHER_NS 5000000L
#define ROUND_NS 3000000ULL
#define READ_NS (ROUND_NS / 2) /* of it: what is known already is to be reported, too */
#define REFRESH_MAX 2048
#define REFRESH_CLOCK 32 /* buckets, between two looks at the clock */

#define NUD_USABLE (NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT | NUD_NOARP)

/* The kernel comes from these to NUD_FAILED only when somebody deletes the entry: else it asks first, and says so. */
#define NUD_UNASKED (NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PERMANENT | NUD_NOARP)

static const uint8_t nowhere[16];

static uint32_t bucket_of(const uint8_t addr[16], uint32_t ifindex)
{
	uint64_t h = 0xcbf29ce484222325ULL ^ ifindex;

	for (int i = 0; i < 16; i++)
		h = (h ^ addr[i]) * 0x100000001b3ULL;
	return (uint32_t)(h ^ h >> 32) % LB_ROUTE_BUCKETS;
}

static struct lb_route_neigh *find_neigh(const struct lb_route *r, uint32_t ifindex, const uint8_t addr[16])
{
	struct lb_route_neigh *n;

	LIST_FOREACH(n, &r->neighs[bucket_of(addr, ifindex)], hash)
	{
		if (n->ifindex == ifindex && !memcmp(n->addr, addr, 16))
			return n;
	}
	return NULL;
}

static struct lb_route_watch *find_watch(const struct lb_route *r, const uint8_t addr[16])
{
	struct lb_route_watch *w;

	LIST_FOREACH(w, &r->watches[bucket_of(addr, 0)], hash)
	{
		if (!memcmp(w->addr, addr, 16))
			return w;
	}
	return NULL;
}

/* ---- queues ---- */

static void arm(struct lb_route *r, long delay_ns)
{
	const struct itimerspec in = {.it_value.tv_nsec = delay_ns};

	if (!r->timer_armed)
		r->timer_armed = !timerfd_settime(r->timer_fd, 0, &in, NULL);
}

/* The caller is to come again at once. */
static void hurry(struct lb_route *r)
{
	r->timer_armed = false;
	arm(r, 1);
}

static void want_ask(struct lb_route *r, struct lb_route_watch *w)
{
	if (!w->asking) {
		TAILQ_INSERT_TAIL(&r->ask_queue, w, ask_queue);
		r->nr_asking++;
	}
	w->asking = true;
	arm(r, GATHER_NS);
}

static void stop_asking(struct lb_route *r, struct lb_route_watch *w)
{
	if (!w->asking)
		return;
	TAILQ_REMOVE(&r->ask_queue, w, ask_queue);
	w->asking = false;
	r->nr_asking--;
}

static void want_change(struct lb_route *r, struct lb_route_watch *w)
{
	if (!w->changed)
		TAILQ_INSERT_TAIL(&r->change_queue, w, change_queue);
	w->changed = true;
}

static void want_ask_all(struct lb_route *r)
{
	struct lb_route_watch *w;

	for (size_t i = 0; i < LB_ROUTE_BUCKETS; i++) {
		LIST_FOREACH(w, &r->watches[i], hash)
		want_ask(r, w);
	}
}

static void want_change_of(struct lb_route *r, const struct lb_route_neigh *n)
{
	struct lb_route_watch *w;

	LIST_FOREACH(w, &n->watches, siblings)
	want_change(r, w);
}

/* ---- next hops ---- */

/* The route leads to another neighbour now, who is being asked for: what was known serves until he answers, or fails
 * to.
 */
static bool is_waiting(const struct lb_route *r, const struct lb_route_watch *w)
{
	const struct lb_route_link *from = w->now.ifindex ? lb_route_link(r, w->now.ifindex) : NULL;
	const struct lb_route_link *to = w->neigh ? lb_route_link(r, w->neigh->ifindex) : NULL;

	return from && from->up && to && to->up && to->ethernet && !w->neigh->has_mac &&
	       !(w->neigh->state & NUD_FAILED);
}

/* Puts the next hop together and reports it where it is another. The callback may unwatch @w. */
static void report(struct lb_route *r, struct lb_route_watch *w)
{
	struct lb_next_hop nh;
	uint8_t addr[16];

	lb_route_next_hop(r, w, &nh);
	if (!nh.ifindex && is_waiting(r, w))
		return;
	if (!memcmp(&nh, &w->now, sizeof(nh)))
		return;
	w->now = nh;
	memcpy(addr, w->addr, 16);
	r->changed(r->ctx, addr, &nh);
}

/* As many as there is time for, and one. */
static void run_changes(struct lb_route *r, uint64_t end_ns)
{
	struct lb_route_watch *w;

	while ((w = TAILQ_FIRST(&r->change_queue))) {
		TAILQ_REMOVE(&r->change_queue, w, change_queue);
		w->changed = false;
		report(r, w);
		if (lb_route_now_ns() > end_ns)
			break;
	}
}

static void leave_neigh(struct lb_route_watch *w)
{
	struct lb_route_neigh *n = w->neigh;

	if (!n)
		return;
	LIST_REMOVE(w, siblings);
	w->neigh = NULL;
	if (!LIST_EMPTY(&n->watches))
		return;
	LIST_REMOVE(n, hash);
	free(n);
}

static int join_neigh(struct lb_route *r, struct lb_route_watch *w, uint32_t ifindex, const uint8_t addr[16])
{
	struct lb_route_neigh *n = find_neigh(r, ifindex, addr);

	if (n && n == w->neigh)
		return 0;
	if (!n) {
		n = calloc(1, sizeof(*n));
		if (!n)
			return -ENOMEM;
		n->ifindex = ifindex;
		memcpy(n->addr, addr, 16);
		LIST_INIT(&n->watches);
		LIST_INSERT_HEAD(&r->neighs[bucket_of(addr, ifindex)], n, hash);
	}
	leave_neigh(w);
	w->neigh = n;
	LIST_INSERT_HEAD(&n->watches, w, siblings);
	return 0;
}

/* Looks what the kernel knows of a neighbour, and has it resolved or confirmed where it does not know, or not for sure.
 * Looking comes first, as a neighbour that was set by hand loses that by a probe. */
static void check_neigh(struct lb_route *r, struct lb_route_neigh *n)
{
	const struct lb_route_link *l = lb_route_link(r, n->ifindex);

	n->doubtful = false;
	if (!l || !l->up || !l->ethernet)
		return;
	n->state = NUD_NONE;
	lb_route_kernel_neigh(r, n);
	if (n->state == NUD_NONE || n->state & (NUD_STALE | NUD_FAILED))
		lb_route_kernel_probe(r, n);
}

static void refill_addrs(struct lb_route *r)
{
	struct lb_route_link *l;

	if (!r->addrs_stale)
		return;
	for (size_t i = 0; i < LB_ROUTE_LINK_BUCKETS; i++) {
		LIST_FOREACH(l, &r->links[i], hash)
		{
			memset(l->addr4, 0, 16);
			memset(l->addr6, 0, 16);
		}
	}
	/* Stays stale where it fails. */
	r->addrs_stale = lb_route_kernel_dump_addrs(r) != 0;
}

/* Asks for the route of @w, and for the neighbour it leads to when that is not known. */
static int ask(struct lb_route *r, struct lb_route_watch *w)
{
	struct lb_route_answer a;
	int ret = 0;

	refill_addrs(r);
	if (lb_route_kernel_route(r, w->addr, &a)) {
		leave_neigh(w);
		return 0;
	}
	memcpy(w->source, a.source, 16);
	w->route_mtu = a.mtu;
	ret = join_neigh(r, w, a.ifindex, a.gateway);
	if (!ret && (!w->neigh->has_mac || w->neigh->doubtful))
		check_neigh(r, w->neigh);
	return ret;
}

/* As many as there is time for. */
static void run_asks(struct lb_route *r, uint64_t end_ns)
{
	struct lb_route_watch *w;

	while ((w = TAILQ_FIRST(&r->ask_queue)) && lb_route_now_ns() < end_ns) {
		stop_asking(r, w);
		/* Out of memory: the next refresh asks again. */
		ask(r, w);
		want_change(r, w);
	}
}

/* Goes on with what lb_route_refresh asked for. */
static void run_refresh(struct lb_route *r, uint64_t end_ns)
{
	struct lb_route_watch *w;
	struct lb_route_neigh *n;

	/* As many as do not hold up the caller; the next refresh goes on from there. */
	for (; r->refresh_left && r->refresh_nr < REFRESH_MAX; r->refresh_left--) {
		unsigned int at = r->refresh_at++ % LB_ROUTE_BUCKETS;

		LIST_FOREACH(n, &r->neighs[at], hash)
		{
			if (n->has_mac && !(n->state & NUD_STALE) && n->state != NUD_NONE)
				continue;
			check_neigh(r, n);
			r->refresh_nr++;
		}
		LIST_FOREACH(w, &r->watches[at], hash)
		{
			if (!w->now.ifindex)
				want_ask(r, w);
		}
		if (!(at % REFRESH_CLOCK) && lb_route_now_ns() > end_ns)
			return;
	}
	r->refresh_left = 0;
}

/* ---- events ---- */

void lb_route_on_link(struct lb_route *r, const struct lb_route_link *link, bool gone)
{
	struct lb_route_link *l = lb_route_link(r, link->ifindex);
	bool was_up = l && l->up, is_up = link->up && !gone;
	struct lb_route_neigh *n;

	if (gone && !l)
		return;
	if (!l) {
		l = calloc(1, sizeof(*l));
		if (!l)
			return;
		l->ifindex = link->ifindex;
		LIST_INSERT_HEAD(&r->links[l->ifindex % LB_ROUTE_LINK_BUCKETS], l, hash);
		r->addrs_stale = true;
	} else if (!gone && l->up == link->up && l->mtu == link->mtu && l->vlan_tag == link->vlan_tag &&
		   l->vlan_lower == link->vlan_lower && !memcmp(l->mac, link->mac, 6)) {
		return;
	}
	l->up = link->up;
	l->ethernet = link->ethernet;
	l->veth = link->veth;
	l->mtu = link->mtu;
	l->vlan_lower = link->vlan_lower;
	l->vlan_tag = link->vlan_tag;
	memcpy(l->mac, link->mac, 6);
	for (size_t i = 0; i < LB_ROUTE_BUCKETS; i++) {
		LIST_FOREACH(n, &r->neighs[i], hash)
		{
			if (!lb_route_stands_on(r, n->ifindex, l->ifindex))
				continue;
			/* With the link the kernel forgets its neighbours. */
			if (!is_up && n->ifindex == l->ifindex) {
				n->has_mac = false;
				n->state = NUD_NONE;
			}
			want_change_of(r, n);
		}
	}
	/* IPv4 routes go with their link without a word, and dead paths come back with it. */
	if (was_up != is_up)
		want_ask_all(r);
	r->link_changes++;
	if (gone) {
		LIST_REMOVE(l, hash);
		free(l);
	}
}

/* To be looked at soon. Not at once: this event may be older than what the kernel knows by now. */
static void doubt(struct lb_route *r, struct lb_route_neigh *n)
{
	n->doubtful = true;
	want_ask(r, LIST_FIRST(&n->watches));
}

/* A router that does not answer: the kernel may have another, of several in one route or, in IPv6, in several. */
static void ask_around(struct lb_route *r, const struct lb_route_neigh *n)
{
	struct lb_route_watch *w;

	LIST_FOREACH(w, &n->watches, siblings)
	{
		if (memcmp(w->addr, n->addr, 16))
			want_ask(r, w);
	}
}

void lb_route_on_neigh(struct lb_route *r, uint32_t ifindex, const uint8_t addr[16], uint16_t state, const uint8_t *mac)
{
	struct lb_route_neigh *n = find_neigh(r, ifindex, addr);
	uint16_t before;
	bool had;

	if (!n)
		return;
	before = n->state;
	had = n->has_mac;
	n->state = state;
	if (state & NUD_USABLE && mac) {
		if (had && !memcmp(n->mac, mac, 6))
			return;
		memcpy(n->mac, mac, 6);
		n->has_mac = true;
		want_change_of(r, n);
	} else if (state & NUD_FAILED && !(before & NUD_UNASKED)) {
		n->has_mac = false;
		want_change_of(r, n);
		ask_around(r, n);
		/* It may have a new MAC: then asking everybody finds it. Later attempts are lb_route_refresh's. */
		if (had)
			doubt(r, n);
	} else if (had && (state & NUD_FAILED || state == NUD_NONE)) {
		/* Flushed by hand, or collected as unused: what was known serves until nobody answers for it. */
		doubt(r, n);
	}
}

static bool covers(const uint8_t prefix[16], unsigned int plen, const uint8_t addr[16])
{
	unsigned int bytes = plen / 8, bits = plen % 8;

	return !memcmp(prefix, addr, bytes) && (!bits || !((prefix[bytes] ^ addr[bytes]) >> (8 - bits)));
}

void lb_route_on_route(struct lb_route *r, const uint8_t addr[16], unsigned int plen)
{
	bool v4 = lb_route_is_v4(addr) && plen >= 96;
	struct lb_route_watch *w;

	/* Routes may come by thousands, and each would be compared with all. */
	if (plen > 128 || r->nr_asking == r->nr_watches)
		return;
	if (plen == 128) {
		w = find_watch(r, addr);
		if (w)
			want_ask(r, w);
		return;
	}
	for (size_t i = 0; i < LB_ROUTE_BUCKETS; i++) {
		LIST_FOREACH(w, &r->watches[i], hash)
		{
			if (v4 == lb_route_is_v4(w->addr) && covers(addr, plen, w->addr))
				want_ask(r, w);
		}
	}
}

void lb_route_on_addr(struct lb_route *r, uint32_t ifindex, const uint8_t addr[16])
{
	struct lb_route_link *l = lb_route_link(r, ifindex);
	uint8_t *own;

	if (!l)
		return;
	own = lb_route_is_v4(addr) ? l->addr4 : l->addr6;
	/* The first one, as the kernel lists primary addresses first. */
	if (!memcmp(own, nowhere, 16))
		memcpy(own, addr, 16);
}

void lb_route_on_addrs_changed(struct lb_route *r)
{
	r->addrs_stale = true;
	want_ask_all(r);
}

void lb_route_on_any(struct lb_route *r)
{
	want_ask_all(r);
}

/* Events were lost: everything is asked for again. What is gone without a word is found by the asking. */
static int resync(struct lb_route *r)
{
	struct lb_route_neigh *n;

	for (size_t i = 0; i < LB_ROUTE_BUCKETS; i++) {
		LIST_FOREACH(n, &r->neighs[i], hash)
		n->doubtful = true;
	}
	r->addrs_stale = true;
	want_ask_all(r);
	return lb_route_kernel_dump_links(r);
}

/* ---- the interface ---- */

static int add_to_epoll(const struct lb_route *r, int fd)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.fd = fd};

	return epoll_ctl(r->epoll_fd, EPOLL_CTL_ADD, fd, &ev) ? -errno : 0;
}

int lb_route_new(lb_route_fn changed, void *ctx, struct lb_route **out, struct lb_err *err)
{
	struct lb_route *r = calloc(1, sizeof(*r));
	int ret;

	if (!r)
		return lb_err_set(err, -ENOMEM, NULL, "out of memory");
	r->changed = changed;
	r->ctx = ctx;
	TAILQ_INIT(&r->ask_queue);
	TAILQ_INIT(&r->change_queue);
	r->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	r->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	ret = r->timer_fd < 0 || r->epoll_fd < 0 ? -errno : lb_route_kernel_open(r);
	if (!ret)
		ret = add_to_epoll(r, r->timer_fd);
	if (!ret)
		ret = add_to_epoll(r, lb_route_kernel_fd(r));
	if (!ret)
		ret = lb_route_kernel_dump_links(r);
	if (!ret)
		ret = lb_route_kernel_dump_addrs(r);
	if (ret) {
		lb_route_free(r);
		return lb_err_set(err, ret, NULL, "cannot follow the kernel's routes and neighbours (netlink): %s",
				  strerror(-ret));
	}
	r->addrs_stale = false;
	*out = r;
	return 0;
}

static void free_watch(struct lb_route *r, struct lb_route_watch *w)
{
	stop_asking(r, w);
	if (w->changed)
		TAILQ_REMOVE(&r->change_queue, w, change_queue);
	leave_neigh(w);
	LIST_REMOVE(w, hash);
	r->nr_watches--;
	free(w);
}

void lb_route_free(struct lb_route *r)
{
	struct lb_route_watch *w;
	struct lb_route_link *l;

	if (!r)
		return;
	for (size_t i = 0; i < LB_ROUTE_BUCKETS; i++) {
		while ((w = LIST_FIRST(&r->watches[i])))
			free_watch(r, w);
	}
	for (size_t i = 0; i < LB_ROUTE_LINK_BUCKETS; i++) {
		while ((l = LIST_FIRST(&r->links[i]))) {
			LIST_REMOVE(l, hash);
			free(l);
		}
	}
	lb_route_kernel_close(r);
	if (r->timer_fd >= 0)
		close(r->timer_fd);
	if (r->epoll_fd >= 0)
		close(r->epoll_fd);
	free(r);
}

int lb_route_fd(const struct lb_route *r)
{
	return r->epoll_fd;
}

int lb_route_process(struct lb_route *r)
{
	uint64_t expirations, start_ns = lb_route_now_ns(), end_ns = start_ns + ROUND_NS;
	int ret = lb_route_kernel_read(r, start_ns + READ_NS);

	if (ret == -ENOBUFS)
		ret = resync(r);
	/* What needs no question first: a link that is down must not wait. */
	run_changes(r, end_ns);
	if (read(r->timer_fd, &expirations, sizeof(expirations)) == sizeof(expirations)) {
		r->timer_armed = false;
		run_asks(r, end_ns);
		run_changes(r, end_ns);
		run_refresh(r, end_ns);
		if (!TAILQ_EMPTY(&r->ask_queue))
			hurry(r);
	}
	if (r->refresh_left || !TAILQ_EMPTY(&r->change_queue))
		hurry(r);
	return ret;
}

int lb_route_watch(struct lb_route *r, const uint8_t addr[16])
{
	struct lb_route_watch *w = find_watch(r, addr);
	int ret;

	if (w) {
		w->refs++;
		return 0;
	}
	w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	w->refs = 1;
	memcpy(w->addr, addr, 16);
	LIST_INSERT_HEAD(&r->watches[bucket_of(addr, 0)], w, hash);
	r->nr_watches++;
	ret = ask(r, w);
	if (ret)
		free_watch(r, w);
	else
		report(r, w);
	return ret;
}

void lb_route_unwatch(struct lb_route *r, const uint8_t addr[16])
{
	struct lb_route_watch *w = find_watch(r, addr);

	if (w && !--w->refs)
		free_watch(r, w);
}

const char *lb_way_name(enum lb_way way)
{
	static const char *const names[] = {
#define X(id, name, help) [LB_WAY_##id] = name,
		LB_WAYS(X)
#undef X
	};

	return names[way];
}

enum lb_way lb_route_way(const struct lb_route *r, const uint8_t addr[16])
{
	const struct lb_route_watch *w = find_watch(r, addr);
	const struct lb_route_link *l;

	if (w && w->now.ifindex)
		return LB_WAY_KNOWN;
	if (!w || !w->neigh)
		return LB_WAY_NO_ROUTE;
	l = lb_route_link(r, w->neigh->ifindex);
	if (!l || !l->up)
		return LB_WAY_LINK_DOWN;
	return l->ethernet ? LB_WAY_NO_NEIGHBOUR : LB_WAY_NO_ETHERNET;
}

uint64_t lb_route_link_changes(const struct lb_route *r)
{
	return r->link_changes;
}

void lb_route_refresh(struct lb_route *r)
{
	r->refresh_left = LB_ROUTE_BUCKETS;
	r->refresh_nr = 0;
	hurry(r);
}
