// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Translated connections: which are over, and how many there are. The packets make entries and note in them what went
 * by; removing them is done here, a part of the map at a time.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dataplane_priv.h"
#include "lb/dp/conn.h"
#include "lb/dp/nat.h"
#include "lb/dp/nat_line.h"
#include "lb/dp/steer.h"

#define BATCH 256
#define BATCH_MAX 65536 /* the kernel gives whole buckets; no bucket is that long */

/* Connections as they were counted, of one service. */
struct tally {
	int64_t conns, half_open;
};

/* Where it is in the map, and what it has counted. */
struct lb_conns_round {
	uint32_t at;
	bool begun;
	bool orphans; /* replies have to be held against the entries that they belong to: there were more of them */
	int64_t forwards, replies;
	uint32_t room; /* entries of a batch */
	struct lb_conn_key *keys;
	struct lb_conn *conns;
	struct tally seen[LB_MAX_SERVICES];
	struct tally before[LB_MAX_SERVICES]; /* what the counters said when it began */
	uint64_t begun_ns;
	uint32_t open[LB_MAX_BACKENDS]; /* connections that are not over and not about to be */
	uint64_t told_ns;		/* when the last round that is over began; 0: there is none */
	uint32_t told[LB_MAX_BACKENDS]; /* what it found */
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

static int64_t read_count(const __s64 *count)
{
	return __atomic_load_n(count, __ATOMIC_RELAXED);
}

static void add_load(struct lb_dataplane *dp, uint16_t service, int64_t conns, int64_t half_open)
{
	const uint16_t rows[] = {0, service};

	for (int i = 0; i < 2; i++) {
		__atomic_fetch_add(&dp->nat_loads[rows[i]].conns, conns, __ATOMIC_RELAXED);
		__atomic_fetch_add(&dp->nat_loads[rows[i]].half_open, half_open, __ATOMIC_RELAXED);
	}
}

void lb_dataplane_nat_load(const struct lb_dataplane *dp, uint16_t idx, struct lb_nat_load *out)
{
	int64_t conns = read_count(&dp->nat_loads[idx].conns), half_open = read_count(&dp->nat_loads[idx].half_open);

	*out = (struct lb_nat_load){.conns = conns > 0 ? conns : 0, .half_open = half_open > 0 ? half_open : 0};
}

void lb_conns_forget_round(struct lb_dataplane *dp)
{
	if (dp->round) {
		free(dp->round->keys);
		free(dp->round->conns);
	}
	free(dp->round);
	dp->round = NULL;
}

void lb_conns_restart_round(struct lb_dataplane *dp)
{
	if (dp->round)
		dp->round->begun = false;
}

/* A round whose batches have @room entries. */
static int make_room(struct lb_conns_round *r, uint32_t room)
{
	struct lb_conn_key *keys = reallocarray(r->keys, room, sizeof(*keys));
	struct lb_conn *conns;

	if (!keys)
		return -ENOMEM;
	r->keys = keys;
	conns = reallocarray(r->conns, room, sizeof(*conns));
	if (!conns)
		return -ENOMEM;
	r->conns = conns;
	r->room = room;
	return 0;
}

/* The next batch of the map @fd: how many entries, 0 with *@end where there are no more. */
static int next_batch(int fd, struct lb_conns_round *r, bool *end)
{
	__u32 nr, at;
	int ret;

	*end = false;
	for (;;) {
		nr = r->room;
		ret = bpf_map_lookup_batch(fd, r->begun ? &r->at : NULL, &at, r->keys, r->conns, &nr, NULL);
		if (!ret || errno != ENOSPC || r->room >= BATCH_MAX)
			break;
		ret = make_room(r, 2 * r->room);
		if (ret)
			return ret;
	}
	if (ret && errno != ENOENT)
		return -errno;
	*end = ret;
	r->at = at;
	r->begun = true;
	return (int)nr;
}

typedef int (*conn_fn)(void *ctx, const struct lb_conn_key *key, const struct lb_conn *c);

/* Calls @each for the entries of the map @fd until one of them is answered with an error. */
static int each_conn(int fd, conn_fn each, void *ctx)
{
	struct lb_conns_round *r = calloc(1, sizeof(*r));
	bool end = false;
	int nr, ret = r ? make_room(r, BATCH) : -ENOMEM;

	while (!ret && !end) {
		nr = next_batch(fd, r, &end);
		ret = nr < 0 ? nr : 0;
		for (int i = 0; i < nr && !ret; i++)
			ret = each(ctx, &r->keys[i], &r->conns[i]);
	}
	if (r) {
		free(r->keys);
		free(r->conns);
	}
	free(r);
	return ret;
}

/* ---- which are over ---- */

static bool has_backend(const struct lb_dataplane *dp, const struct lb_conn *c)
{
	const struct lb_backend *b = &dp->backends[c->backend % LB_MAX_BACKENDS];
	struct lb_life life = lb_life_of(b);

	return life.gen == c->gen && life.flags & LB_BACKEND_F_ALIVE && b->service == c->service;
}

/* The shortest time that a connection may have after a packet like the last one of the client. */
static uint32_t least_s(const struct lb_conn_timers *t, uint8_t proto, uint64_t word)
{
	uint32_t a = t->udp_unreplied_s, b = t->udp_replied_s;

	if (proto == IPPROTO_TCP) {
		a = word & LB_CONN_OPEN ? t->tcp_closing_s : t->tcp_half_open_s;
		b = word & LB_CONN_OPEN ? t->tcp_established_s : a;
	}
	return a < b ? a : b;
}

/* 1: it is over, 0: it is not. *@reply: what its other direction says, where that had to be asked. */
static bool is_over(const struct lb_dataplane *dp, const struct lb_conn_key *key, const struct lb_conn *c, uint32_t now,
		    uint64_t *reply)
{
	const struct lb_conn_timers *t = &dp->conf->timers;
	struct lb_conn_key back;
	struct lb_conn other;

	*reply = 0;
	if (has_backend(dp, c) && lb_conn_age(c->word, now) <= least_s(t, (uint8_t)key->proto, c->word))
		return false;
	lb_nat_other(&c->xlate, key->proto, &back);
	if (!bpf_map_lookup_elem(dp->conns_fd, &back, &other))
		*reply = other.word;
	return !has_backend(dp, c) || lb_conn_expired((uint8_t)key->proto, c->word, *reply, t, now);
}

/* What the packets' lines have of it is not true any more. 0 or -1 with errno. */
static int remove_entry(struct lb_dataplane *dp, const struct lb_conn_key *key)
{
	const uint32_t idx = lb_nat_epoch_idx(lb_nat_line_key_hash(&dp->conf->hash, key));
	int ret = bpf_map_delete_elem(dp->conns_fd, key);

	__atomic_fetch_add(lb_nat_epoch_word(dp->nat_epochs, idx), lb_nat_epoch_one(idx), __ATOMIC_SEQ_CST);
	return ret;
}

static void remove_conn(struct lb_dataplane *dp, const struct lb_conn_key *key, const struct lb_conn *c, uint64_t reply)
{
	struct lb_conn_key back;

	if (remove_entry(dp, key))
		return; /* a packet was faster, and has counted */
	lb_nat_other(&c->xlate, key->proto, &back);
	remove_entry(dp, &back);
	add_load(dp, c->service % LB_MAX_SERVICES, -1, lb_conn_half_open((uint8_t)key->proto, c->word, reply) ? -1 : 0);
	if (c->flags & LB_CONN_F_LIVE)
		__atomic_fetch_add(&dp->live[c->backend % LB_MAX_BACKENDS], -1, __ATOMIC_RELAXED);
}

/* Is it more than what is left of one? The other direction is asked where this one ends, or where it matters: of a
 * backend that is to be left. */
static bool is_open(const struct lb_dataplane *dp, const struct lb_conn_key *key, const struct lb_conn *c)
{
	const struct lb_backend *b = &dp->backends[c->backend % LB_MAX_BACKENDS];
	struct lb_conn_key back;
	struct lb_conn other;
	uint64_t reply = 0;

	if (key->proto != IPPROTO_TCP)
		return true;
	if (!(c->word & (LB_CONN_FIN | LB_CONN_RST)) && lb_life_of(b).flags & LB_BACKEND_F_TAKES_NEW)
		return true;
	lb_nat_other(&c->xlate, key->proto, &back);
	if (!bpf_map_lookup_elem(dp->conns_fd, &back, &other))
		reply = other.word;
	return !((c->word | reply) & LB_CONN_RST || c->word & reply & LB_CONN_FIN);
}

/* The way back of a connection that is not there any more. */
static bool is_orphan(const struct lb_dataplane *dp, const struct lb_conn_key *key, const struct lb_conn *c)
{
	struct lb_conn_key forward;
	struct lb_conn other;

	lb_nat_other(&c->xlate, key->proto, &forward);
	return bpf_map_lookup_elem(dp->conns_fd, &forward, &other) && errno == ENOENT;
}

static void look_at(struct lb_dataplane *dp, struct lb_conns_round *r, const struct lb_conn_key *key,
		    const struct lb_conn *c, uint32_t now)
{
	struct tally *seen = &r->seen[c->service % LB_MAX_SERVICES];
	uint64_t reply;

	if (c->flags & LB_CONN_F_REPLY) {
		if (r->orphans && is_orphan(dp, key, c)) {
			remove_entry(dp, key);
			return;
		}
		r->replies++;
		/* of UDP, those that were answered are told by their replies */
		seen->half_open -= key->proto != IPPROTO_TCP && c->word & LB_CONN_SEEN;
		return;
	}
	if (is_over(dp, key, c, now, &reply)) {
		remove_conn(dp, key, c, reply);
		return;
	}
	r->forwards++;
	r->open[c->backend % LB_MAX_BACKENDS] += is_open(dp, key, c);
	seen->conns++;
	seen->half_open += key->proto != IPPROTO_TCP || !(c->word & LB_CONN_OPEN);
}

/* ---- counting ---- */

/* Two packets of one connection that two CPUs work for at once may be counted once or twice. What the counters say is
 * put right where nothing has happened meanwhile that would explain the difference, or not nearly as much. */
static int64_t drift(int64_t before, int64_t now, int64_t seen)
{
	int64_t moved = now > before ? now - before : before - now, off = seen - now;

	if (!moved)
		return off;
	return (off > 0 ? off : -off) > 4 * moved + now / 4 + 1024 ? off : 0;
}

static void end_round(struct lb_dataplane *dp, struct lb_conns_round *r)
{
	for (uint32_t i = 1; i < LB_MAX_SERVICES; i++) {
		const struct lb_nat_load *load = &dp->nat_loads[i];
		int64_t conns = drift(r->before[i].conns, read_count(&load->conns), r->seen[i].conns);
		int64_t half = drift(r->before[i].half_open, read_count(&load->half_open), r->seen[i].half_open);

		if (conns || half)
			add_load(dp, (uint16_t)i, conns, half);
	}
	r->orphans = r->replies > r->forwards;
	r->begun = false;
	memcpy(r->told, r->open, sizeof(r->told));
	r->told_ns = r->begun_ns;
}

static void begin_round(const struct lb_dataplane *dp, struct lb_conns_round *r)
{
	r->forwards = r->replies = 0;
	r->begun_ns = now_ns();
	memset(r->open, 0, sizeof(r->open));
	memset(r->seen, 0, sizeof(r->seen));
	for (uint32_t i = 0; i < LB_MAX_SERVICES; i++)
		r->before[i] =
			(struct tally){read_count(&dp->nat_loads[i].conns), read_count(&dp->nat_loads[i].half_open)};
}

int lb_dataplane_collect(struct lb_dataplane *dp, uint64_t budget_ns)
{
	uint64_t start_ns = now_ns(), now = start_ns;
	bool end = false;
	int nr;

	if (!dp->round) {
		dp->round = calloc(1, sizeof(*dp->round));
		if (!dp->round || make_room(dp->round, BATCH))
			return -ENOMEM;
	}
	if (!dp->round->begun)
		begin_round(dp, dp->round);
	while (!end && now - start_ns < budget_ns) {
		nr = next_batch(dp->conns_fd, dp->round, &end);
		if (nr < 0) {
			dp->round->begun = false;
			return nr;
		}
		for (int i = 0; i < nr; i++)
			look_at(dp, dp->round, &dp->round->keys[i], &dp->round->conns[i], lb_conn_now(now));
		now = now_ns();
	}
	if (end)
		end_round(dp, dp->round);
	return end;
}

bool lb_dataplane_nat_open(const struct lb_dataplane *dp, uint16_t idx, uint64_t since_ns, uint64_t *open)
{
	const struct lb_conns_round *r = dp->round;

	if (!r || !r->told_ns || r->told_ns < since_ns)
		return false;
	*open = r->told[idx % LB_MAX_BACKENDS];
	return true;
}

/* ---- one client's ---- */

/* The client's entry @key, @c, unless it is over. */
static int show_conn(const struct lb_dataplane *dp, const struct lb_conn_key *key, const struct lb_conn *c,
		     lb_connection_fn each, void *ctx)
{
	struct lb_conn_key back;
	struct lb_conn other = {0};
	struct lb_connection told;
	uint32_t now = lb_conn_now(now_ns());

	lb_nat_other(&c->xlate, key->proto, &back);
	if (bpf_map_lookup_elem(dp->conns_fd, &back, &other))
		other.word = 0;
	if (!has_backend(dp, c) || lb_conn_expired((uint8_t)key->proto, c->word, other.word, &dp->conf->timers, now))
		return 0;
	told = lb_connection_of(key, c, other.word, now);
	return each(ctx, &told);
}

/* A walk over the whole map, for one client's. */
struct listing {
	const struct lb_dataplane *dp;
	const uint8_t *client; /* NULL: all */
	lb_connection_fn each;
	void *ctx;
};

static int list_conn(void *ctx, const struct lb_conn_key *key, const struct lb_conn *c)
{
	const struct listing *l = ctx;

	if (c->flags & LB_CONN_F_REPLY || (l->client && memcmp(key->saddr, l->client, 16)))
		return 0;
	return show_conn(l->dp, key, c, l->each, l->ctx);
}

int lb_dataplane_connections(const struct lb_dataplane *dp, const uint8_t *client, lb_connection_fn each, void *ctx)
{
	struct listing l = {dp, client, each, ctx};

	return each_conn(dp->conns_fd, list_conn, &l);
}

/* ---- another map ---- */

/* Is an entry with the word @a made later than another one of the same key, whose word is @b, as far as that is known?
 */
static bool is_later(uint64_t a, uint64_t b)
{
	if (!(a & b & LB_CONN_SEEN))
		return !(a & LB_CONN_SEEN);
	return (int32_t)(LB_CONN_STAMP(a) - LB_CONN_STAMP(b)) > 0;
}

/* Makes of @there what @c says of it: another connection on the same ports, or the same, which has gone on. False: it
 * says nothing that is new. */
static bool catch_up(struct lb_conn *there, const struct lb_conn *c)
{
	const uint64_t flags = ~(uint64_t)UINT32_MAX;
	const uint8_t ended = there->flags & (uint8_t)~c->flags & LB_CONN_F_LIVE;

	if (there->backend != c->backend || there->gen != c->gen ||
	    memcmp(&there->xlate, &c->xlate, sizeof(c->xlate))) {
		if (!is_later(c->word, there->word))
			return false;
		*there = *c;
		return true;
	}
	if (!(c->word & ~there->word & flags) && !ended)
		return false;
	if (c->word & LB_CONN_SEEN && is_later(c->word, there->word | LB_CONN_SEEN))
		there->word = (there->word & flags) | LB_CONN_STAMP(c->word);
	there->word |= c->word & flags;
	there->flags &= (uint8_t)~ended;
	return true;
}

/* 0 or -errno. What @to has already packets have moved or made; only where some of them came by an interface whose
 * program did not know @to yet there is more to say of it. */
static int copy_conn(int to, const struct lb_conn_key *key, const struct lb_conn *c)
{
	struct lb_conn there;

	if (!bpf_map_update_elem(to, key, c, BPF_NOEXIST))
		return 0;
	if (errno != EEXIST)
		return -errno;
	if (bpf_map_lookup_elem(to, key, &there) || !catch_up(&there, c))
		return 0;
	return bpf_map_update_elem(to, key, &there, BPF_EXIST) && errno != ENOENT ? -errno : 0;
}

struct moving {
	int to;
	uint32_t nr;
};

static int count_one(void *ctx, const struct lb_conn_key *key, const struct lb_conn *c)
{
	((struct moving *)ctx)->nr++;
	return 0;
}

static int copy_one(void *ctx, const struct lb_conn_key *key, const struct lb_conn *c)
{
	return copy_conn(((struct moving *)ctx)->to, key, c);
}

int lb_conns_count(int fd, uint32_t *nr)
{
	struct moving m = {0};
	int ret = each_conn(fd, count_one, &m);

	*nr = m.nr;
	return ret;
}

int lb_conns_copy(int from, int to)
{
	struct moving m = {.to = to};

	return each_conn(from, copy_one, &m);
}
