/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What route.c (who watches what, and what follows from an event), route_hop.c (next hops), route_kernel.c (messages to
 * and from the kernel) and route_table.c (a table of our own) share, and nobody else. Addresses are 16 bytes, IPv4
 * mapped.
 */
#ifndef LB_ROUTE_PRIV_H
#define LB_ROUTE_PRIV_H

#include <stdbool.h>
#include <string.h>
#include <sys/queue.h>

#include "route.h"

#define LB_ROUTE_BUCKETS 16384
#define LB_ROUTE_LINK_BUCKETS 256

struct nl_sock;

struct lb_route_link {
	LIST_ENTRY(lb_route_link) hash;
	uint32_t ifindex;
	bool up;       /* administratively, and with a carrier */
	bool ethernet; /* has the kind of header that we write */
	bool veth;     /* wakes its far end after XDP_TX only if that has an XDP program, but always after a redirect */
	uint16_t mtu;
	uint32_t vlan_lower; /* of a VLAN device: the interface that it is on; 0: it is none */
	uint32_t vlan_tag;   /* as struct lb_vlan has it */
	uint8_t mac[6];
	uint8_t addr4[16], addr6[16]; /* one of its addresses each; zero: none */
};

/* A neighbour that watched addresses are reached by: themselves, or a router. */
struct lb_route_neigh {
	LIST_ENTRY(lb_route_neigh) hash;
	LIST_HEAD(, lb_route_watch) watches;
	uint32_t ifindex;
	uint8_t addr[16];
	uint16_t state; /* NUD_*, as far as the kernel told; 0: it has none */
	bool has_mac;
	bool doubtful; /* events were lost: to be asked for before it is believed */
	uint8_t mac[6];
};

/* @asking: its route is to be asked for. @changed: its next hop is to be put together again. */
struct lb_route_watch {
	LIST_ENTRY(lb_route_watch) hash;
	LIST_ENTRY(lb_route_watch) siblings;
	TAILQ_ENTRY(lb_route_watch) ask_queue, change_queue;
	bool asking, changed;
	unsigned int refs;
	uint8_t addr[16];
	struct lb_route_neigh *neigh; /* NULL: no route, or one that leads nowhere */
	uint8_t source[16];	      /* what the kernel would send from; zero: it did not say */
	uint32_t route_mtu;	      /* 0: the link's */
	struct lb_next_hop now;	      /* what was reported last */
};

struct lb_route {
	lb_route_fn changed;
	void *ctx;
	struct nl_sock *events, *requests;
	int epoll_fd, timer_fd;
	bool timer_armed;
	bool addrs_stale;
	LIST_HEAD(, lb_route_watch) watches[LB_ROUTE_BUCKETS];
	LIST_HEAD(, lb_route_neigh) neighs[LB_ROUTE_BUCKETS];
	LIST_HEAD(, lb_route_link) links[LB_ROUTE_LINK_BUCKETS];
	TAILQ_HEAD(, lb_route_watch) ask_queue, change_queue;
	size_t nr_watches, nr_asking;	       /* all, and those in .ask_queue */
	unsigned int refresh_at;	       /* bucket where the refresh goes on */
	unsigned int refresh_left, refresh_nr; /* buckets that it has not come to; neighbours that it has asked for */
	uint64_t link_changes;
};

static inline bool lb_route_is_v4(const uint8_t addr[16])
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	return !memcmp(addr, mapped, sizeof(mapped));
}

/* ---- route_hop.c ---- */

/* NULL: not known. */
struct lb_route_link *lb_route_link(const struct lb_route *r, uint32_t ifindex);
/* lb_route_stands_on - is @ifindex the interface @lower, or a VLAN device on it? */
bool lb_route_stands_on(const struct lb_route *r, uint32_t ifindex, uint32_t lower);
/* lb_route_next_hop - how packets to @w leave; zero: they cannot. */
void lb_route_next_hop(const struct lb_route *r, const struct lb_route_watch *w, struct lb_next_hop *nh);

/* ---- route_kernel.c ---- */

struct nlattr;
struct nl_msg;

/* libnl's codes as -errno. */
int lb_route_errno(int nl_code);
/* An attribute that is an address. take: false where there is none, or something else. */
bool lb_route_take_attr(uint8_t addr[16], const struct nlattr *a);
int lb_route_put_addr(struct nl_msg *msg, int attr, const uint8_t addr[16]);

struct lb_route_answer {
	uint32_t ifindex;
	uint8_t gateway[16]; /* the address asked for, where it is on link */
	uint8_t source[16];
	uint32_t mtu;
};

/* Opens both sockets and subscribes to events. -errno. */
int lb_route_kernel_open(struct lb_route *r);
void lb_route_kernel_close(struct lb_route *r);
int lb_route_kernel_fd(const struct lb_route *r); /* of the events */
/* lb_route_now_ns - CLOCK_MONOTONIC. */
uint64_t lb_route_now_ns(void);
/* lb_route_drain - reads the events of @events, until @end_ns at most. 0: there are no more, or they are told of again;
 * -ENOBUFS: some were lost; -errno: the socket is. */
int lb_route_drain(struct nl_sock *events, uint64_t end_ns);
/* The same of the kernel's routing. */
int lb_route_kernel_read(struct lb_route *r, uint64_t end_ns);
/* Each asks and waits for the answer, which the kernel gives within the call. */
/* How would the kernel reach @addr? 0; -ENETUNREACH: not at all, or it is this host's own. */
int lb_route_kernel_route(struct lb_route *r, const uint8_t addr[16], struct lb_route_answer *out);
/* What does it know of the neighbour? Tells lb_route_on_neigh. -ENOENT: nothing. */
int lb_route_kernel_neigh(struct lb_route *r, const struct lb_route_neigh *n);
/* Have it resolved, or confirmed when stale, as if a packet were sent. */
int lb_route_kernel_probe(struct lb_route *r, const struct lb_route_neigh *n);
/* All links or addresses: tells lb_route_on_link or lb_route_on_addr. */
int lb_route_kernel_dump_links(struct lb_route *r);
int lb_route_kernel_dump_addrs(struct lb_route *r);

/* ---- route.c: what route_kernel.c reports ---- */

void lb_route_on_link(struct lb_route *r, const struct lb_route_link *link, bool gone);
void lb_route_on_neigh(struct lb_route *r, uint32_t ifindex, const uint8_t addr[16], uint16_t state,
		       const uint8_t *mac);
/* A route to @addr with @plen of 128 bits came or went. */
void lb_route_on_route(struct lb_route *r, const uint8_t addr[16], unsigned int plen);
/* From a dump. */
void lb_route_on_addr(struct lb_route *r, uint32_t ifindex, const uint8_t addr[16]);
/* An address came or went. */
void lb_route_on_addrs_changed(struct lb_route *r);
/* Something changed that any route may depend on: rules, next hop objects. */
void lb_route_on_any(struct lb_route *r);

#endif
