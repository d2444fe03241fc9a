// SPDX-License-Identifier: GPL-2.0-or-later
/* include/lb/dp/conn.h: what becomes of a NAT connection, by stories, and by random histories against a reference that
 * remembers every packet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lb/dp/conn.h"
#include "random.h"

#define S LB_TCP_SYN
#define A LB_TCP_ACK
#define F LB_TCP_FIN
#define R LB_TCP_RST
#define PSH 0x08

static const struct lb_conn_timers defaults = {
	.tcp_half_open_s = LB_CONN_TCP_HALF_OPEN_S,
	.tcp_established_s = LB_CONN_TCP_ESTABLISHED_S,
	.tcp_closing_s = LB_CONN_TCP_CLOSING_S,
	.udp_unreplied_s = LB_CONN_UDP_UNREPLIED_S,
	.udp_replied_s = LB_CONN_UDP_REPLIED_S,
};

/* A connection as the dataplane treats it: each packet writes its own direction's word. */
struct conn {
	__u8 proto;
	__u64 word[2];
	unsigned int writes, asked, half_open; /* half_open: what a counter would say */
};

static void packet(struct conn *c, enum lb_conn_dir dir, __u8 flags, __u32 now)
{
	__u64 old = c->word[dir], new;

	if (!c->word[LB_CONN_FORWARD])
		c->half_open++; /* the entries are made */
	new = lb_conn_step(old, dir, flags, now);
	if (c->proto == IPPROTO_TCP && dir == LB_CONN_FORWARD && lb_conn_asks(new)) {
		c->asked++;
		new = lb_conn_open(new, c->word[LB_CONN_REPLY]);
	}
	if (new == old)
		return;
	c->word[dir] = new;
	c->writes++;
	if (c->proto == IPPROTO_TCP ? dir == LB_CONN_FORWARD && lb_conn_leaves_tcp(old, new)
				    : dir == LB_CONN_REPLY && lb_conn_leaves_udp(old, new))
		c->half_open--;
}

static enum lb_conn_state state_of(const struct conn *c)
{
	return lb_conn_state(c->proto, c->word[LB_CONN_FORWARD], c->word[LB_CONN_REPLY]);
}

static bool expired(const struct conn *c, __u32 now)
{
	return lb_conn_expired(c->proto, c->word[LB_CONN_FORWARD], c->word[LB_CONN_REPLY], &defaults, now);
}

static bool reusable(const struct conn *c, __u32 now)
{
	return lb_conn_reusable(c->word[LB_CONN_FORWARD], c->word[LB_CONN_REPLY], &defaults, now);
}

/* ---- stories ---- */

struct story {
	const char *what;
	__u8 proto;
	const char *packets; /* "> S" the client's SYN, "< SA" the backend's answer, "+10" ten seconds pass */
	enum lb_conn_state state;
	__u32 life_s; /* from the last packet on, at least; no longer than LB_CONN_GRAIN_S more */
	bool reusable;
};

#define TCP IPPROTO_TCP
#define UDP IPPROTO_UDP
#define SHAKE ">S <SA >A "

static const struct story stories[] = {
	{"a SYN alone", TCP, ">S", LB_CONN_TCP_HALF_OPEN, 30, false},
	{"a SYN sent again", TCP, ">S +3 >S +6 >S", LB_CONN_TCP_HALF_OPEN, 30, false},
	{"an answer that never arrives", TCP, ">S <SA +1 <SA +2 <SA", LB_CONN_TCP_HALF_OPEN, 30, false},
	{"a handshake", TCP, SHAKE, LB_CONN_TCP_ESTABLISHED, 7440, false},
	{"data in the first packet after it", TCP, ">S <SA >AP <A <AP", LB_CONN_TCP_ESTABLISHED, 7440, false},
	{"data on a SYN", TCP, ">SP <SA <AP >A", LB_CONN_TCP_ESTABLISHED, 7440, false},
	{"an ACK to nothing", TCP, ">S >A", LB_CONN_TCP_HALF_OPEN, 30, false},
	{"ACKs to nothing, then a late answer", TCP, ">S >A <SA +9 >A", LB_CONN_TCP_ESTABLISHED, 7440, false},
	{"refused", TCP, ">S <RA", LB_CONN_TCP_HALF_OPEN, 30, true},
	{"an ACK to a refusal", TCP, ">S <RA >A", LB_CONN_TCP_HALF_OPEN, 30, true},
	{"the client wants no more", TCP, ">S <SA >R", LB_CONN_TCP_HALF_OPEN, 30, false},
	{"the client closes its side", TCP, SHAKE ">FA <A", LB_CONN_TCP_ESTABLISHED, 7440, false},
	{"the backend closes its side", TCP, SHAKE "<FA >A +900 >AP", LB_CONN_TCP_ESTABLISHED, 7440, false},
	{"both close", TCP, SHAKE ">FA <FA >A", LB_CONN_TCP_CLOSING, 240, true},
	{"both close, and a last FIN again", TCP, SHAKE "<FA >FA <A +1 >FA", LB_CONN_TCP_CLOSING, 240, true},
	{"the backend resets", TCP, SHAKE "<R", LB_CONN_TCP_CLOSING, 240, true},
	{"the client resets", TCP, SHAKE ">RA", LB_CONN_TCP_CLOSING, 240, false},
	{"somebody resets in the client's name", TCP, SHAKE ">R >A", LB_CONN_TCP_ESTABLISHED, 7440, false},
	{"an old RST of the backend's", TCP, SHAKE "<R <A", LB_CONN_TCP_ESTABLISHED, 7440, false},
	{"a RST with a FIN is a RST", TCP, SHAKE "<FA >RF >A", LB_CONN_TCP_ESTABLISHED, 7440, false},
	{"a SYN with a FIN is a SYN", TCP, SHAKE "<FA >SF", LB_CONN_TCP_ESTABLISHED, 7440, false},
	{"a SYN in the midst", TCP, SHAKE ">S <A", LB_CONN_TCP_ESTABLISHED, 7440, false},
	{"the client's SYN+ACK undoes nothing", TCP, SHAKE "<FA >SA >FA", LB_CONN_TCP_CLOSING, 240, true},
	{"the same ports again, same backend", TCP, SHAKE ">R >S <SA >A", LB_CONN_TCP_ESTABLISHED, 7440, false},
	{"a backend that begins again", TCP, SHAKE "<FA >A <SA >FA", LB_CONN_TCP_ESTABLISHED, 7440, false},
	{"idle for long", TCP, SHAKE "+7439 >A", LB_CONN_TCP_ESTABLISHED, 7440, false},
	{"a question", UDP, ">", LB_CONN_UDP_UNREPLIED, 30, false},
	{"questions", UDP, "> +20 > +20 >", LB_CONN_UDP_UNREPLIED, 30, false},
	{"an answer", UDP, "> <", LB_CONN_UDP_REPLIED, 300, false},
	{"answers alone", UDP, "> < +290 < +290 <", LB_CONN_UDP_REPLIED, 300, false},
};

static __u32 number(const char **p)
{
	__u32 n = 0;

	while (**p >= '0' && **p <= '9')
		n = n * 10 + (__u32)(*(*p)++ - '0');
	return n;
}

static __u8 flags_of(const char **p)
{
	static const char name[] = "FSRPA";
	static const __u8 flag[] = {F, S, R, PSH, A};
	__u8 flags = 0;

	while (**p && **p != ' ')
		flags |= flag[strchr(name, *(*p)++) - name];
	return flags;
}

/* Plays @packets from @now on; the time of the last one. @c->half_open is held to be what the state says. */
static __u32 play(struct conn *c, const char *packets, __u32 now)
{
	while (*packets) {
		char what = *packets++;

		if (what == '+') {
			now += number(&packets);
			assert_false(expired(c, now));
		} else if (what == '>' || what == '<') {
			packet(c, what == '>' ? LB_CONN_FORWARD : LB_CONN_REPLY, flags_of(&packets), now);
			assert_int_equal(c->half_open,
					 lb_conn_half_open(c->proto, c->word[LB_CONN_FORWARD], c->word[LB_CONN_REPLY]));
		}
	}
	return now;
}

static void test_stories(void **state)
{
	/* also where the clock wraps */
	static const __u32 start[] = {0, 1000000, 0xffffffff, 0xffffff00};

	for (size_t i = 0; i < sizeof(stories) / sizeof(stories[0]); i++) {
		const struct story *s = &stories[i];

		for (size_t k = 0; k < sizeof(start) / sizeof(start[0]); k++) {
			struct conn c = {.proto = s->proto};
			__u32 now = play(&c, s->packets, start[k]), left;

			if (state_of(&c) != s->state || (s->proto == TCP && reusable(&c, now) != s->reusable))
				fail_msg("%s: state %d, reusable %d", s->what, state_of(&c), reusable(&c, now));
			left = lb_conn_left_s(c.proto, c.word[0], c.word[1], &defaults, now);
			if (left <= s->life_s || left > s->life_s + LB_CONN_GRAIN_S)
				fail_msg("%s: %u s left", s->what, left);
			if (expired(&c, now + s->life_s) || !expired(&c, now + s->life_s + LB_CONN_GRAIN_S))
				fail_msg("%s: expires at another time", s->what);
			if (s->proto == TCP && !reusable(&c, now + s->life_s + LB_CONN_GRAIN_S))
				fail_msg("%s: not reusable when expired", s->what);
		}
	}
}

/* A RST in the client's name is believed when nobody has spoken since. */
static void test_client_reset(void **state)
{
	struct conn c = {.proto = TCP};
	__u32 now = play(&c, SHAKE ">R", 500);

	assert_false(reusable(&c, now + LB_CONN_RST_QUIET_S - 1));
	assert_true(reusable(&c, now + LB_CONN_RST_QUIET_S));
	packet(&c, LB_CONN_REPLY, A, now + 8);
	assert_false(reusable(&c, now + LB_CONN_RST_QUIET_S));
	assert_true(reusable(&c, now + 8 + LB_CONN_RST_QUIET_S));
}

/* Two million packets in 1000 seconds. */
static void test_hits_hardly_write(void **state)
{
	struct conn c = {.proto = TCP};
	__u32 now = play(&c, SHAKE "<A >A", 77);

	c.writes = 0;
	assert_int_equal(c.asked, 1);
	for (__u32 i = 0; i < 1000; i++)
		for (int k = 0; k < 1000; k++) {
			packet(&c, LB_CONN_FORWARD, A, now + i);
			packet(&c, LB_CONN_REPLY, A | PSH, now + i);
		}
	assert_in_range(c.writes, 2 * (1000 / LB_CONN_GRAIN_S) - 2, 2 * (1000 / LB_CONN_GRAIN_S));
	assert_int_equal(c.asked, 1);
}

/* A client that sends without an answer opens nothing, and the first that it sends after it is answered does, however
 * soon that is. */
static void test_opens_when_answered(void **state)
{
	struct conn c = {.proto = TCP};

	play(&c, ">S", 0);
	for (__u32 i = 0; i < 20; i++)
		packet(&c, LB_CONN_FORWARD, A, i);
	assert_int_equal(c.half_open, 1);
	assert_int_equal(state_of(&c), LB_CONN_TCP_HALF_OPEN);
	packet(&c, LB_CONN_REPLY, S | A, 19);
	packet(&c, LB_CONN_FORWARD, A, 19);
	assert_int_equal(c.half_open, 0);
	assert_int_equal(state_of(&c), LB_CONN_TCP_ESTABLISHED);
	c.asked = 0;
	packet(&c, LB_CONN_FORWARD, A, 19);
	assert_int_equal(c.asked, 0);
}

/* An entry that is not there, or that has just been made. */
static void test_missing(void **state)
{
	__u64 f = lb_conn_step(0, LB_CONN_FORWARD, S, 9), r = lb_conn_step(0, LB_CONN_REPLY, S | A, 9);

	assert_true(lb_conn_expired(TCP, 0, 0, &defaults, 9));
	assert_true(lb_conn_expired(UDP, 0, 0, &defaults, 0));
	assert_int_equal(lb_conn_left_s(TCP, f, 0, &defaults, 9), LB_CONN_TCP_HALF_OPEN_S + LB_CONN_GRAIN_S);
	assert_int_equal(lb_conn_left_s(TCP, 0, r, &defaults, 9), LB_CONN_TCP_HALF_OPEN_S + LB_CONN_GRAIN_S);
	assert_true(f != 0);
	assert_true(lb_conn_step(0, LB_CONN_FORWARD, 0, 0) != 0);
}

/* Another CPU's clock is a little ahead: no age of 136 years. */
static void test_clock_ahead(void **state)
{
	struct conn c = {.proto = UDP};

	play(&c, "> <", 1000);
	assert_false(expired(&c, 998));
	assert_int_equal(lb_conn_left_s(UDP, c.word[0], c.word[1], &defaults, 998), 300 + LB_CONN_GRAIN_S);
	assert_true(lb_conn_step(c.word[0], LB_CONN_FORWARD, 0, 998) == c.word[0]);
}

static void test_timers(void **state)
{
	static const struct lb_conn_timers t = {1, 2, 3, 4, 5}, forever = {~0U, ~0U, ~0U, ~0U, ~0U};
	struct conn c = {.proto = TCP};

	assert_int_equal(lb_conn_timeout(LB_CONN_TCP_HALF_OPEN, &t), 1);
	assert_int_equal(lb_conn_timeout(LB_CONN_TCP_ESTABLISHED, &t), 2);
	assert_int_equal(lb_conn_timeout(LB_CONN_TCP_CLOSING, &t), 3);
	assert_int_equal(lb_conn_timeout(LB_CONN_UDP_UNREPLIED, &t), 4);
	assert_int_equal(lb_conn_timeout(LB_CONN_UDP_REPLIED, &t), 5);
	play(&c, SHAKE, 0);
	assert_int_equal(lb_conn_left_s(TCP, c.word[0], c.word[1], &forever, 1), ~0U);
	assert_int_equal(lb_conn_left_s(TCP, c.word[0], c.word[1], &forever, 5), ~0U - 1);
}

static void test_now(void **state)
{
	assert_int_equal(lb_conn_now(0), 0);
	for (__u64 s = 1; s < 1ULL << 33; s = s * 5 / 3 + 1) {
		__u64 at = s * 1000000000ULL, off = s / 10000000 + 1; /* its error, and a tick of a millisecond */

		assert_in_range((__u32)(lb_conn_now(at) - (__u32)(s - off)), 0, 2 * off);
		assert_in_range((__u32)(lb_conn_now(at + 2000000) - (__u32)s), 0, off);
	}
}

/* ---- random histories ---- */

#define HISTORY 40

struct event {
	enum lb_conn_dir dir;
	__u8 flags;
	__u32 at;
};

static bool is_answer(const struct event *e)
{
	return e->dir == LB_CONN_REPLY && (e->flags & (S | A)) == (S | A) && !(e->flags & R);
}

static bool is_ack(const struct event *e)
{
	return e->dir == LB_CONN_FORWARD && (e->flags & (S | A | R)) == A;
}

/* Did @dir close its side, by what it sent after @from? */
static bool closed(const struct event *e, int n, int from, enum lb_conn_dir dir)
{
	for (int i = from; i < n; i++)
		if (e[i].dir == dir && (e[i].flags & (F | S | R)) == F)
			return true;
	return false;
}

/* Was the last that @dir sent a RST? */
static bool was_reset(const struct event *e, int n, enum lb_conn_dir dir)
{
	while (n--)
		if (e[n].dir == dir)
			return e[n].flags & R;
	return false;
}

static int last_answer(const struct event *e, int n)
{
	while (n-- && !is_answer(&e[n]))
		;
	return n < 0 ? 0 : n;
}

/* What the whole history says. It opens with an ACK after an answer. Where an ACK came before the answer, it is the
 * next write that finds the answer, whatever that is for: *@unsure says that this is not to be compared. */
static enum lb_conn_state remembered(const struct event *e, int n, bool *unsure)
{
	bool answered = false, opened = false, early = false;

	for (int i = 0; i < n; i++) {
		early |= is_ack(&e[i]) && !answered;
		answered |= is_answer(&e[i]);
		opened |= is_ack(&e[i]) && answered;
	}
	*unsure = answered && early;
	if (!opened)
		return LB_CONN_TCP_HALF_OPEN;
	if (was_reset(e, n, LB_CONN_FORWARD) || was_reset(e, n, LB_CONN_REPLY))
		return LB_CONN_TCP_CLOSING;
	if (closed(e, n, 0, LB_CONN_FORWARD) && closed(e, n, last_answer(e, n), LB_CONN_REPLY))
		return LB_CONN_TCP_CLOSING;
	return LB_CONN_TCP_ESTABLISHED;
}

static void test_histories(void **state)
{
	static const __u8 usual[] = {A, A, A, A | PSH, S, S | A, F | A, R, R | A};
	unsigned int compared = 0, seen[5] = {0};

	for (int round = 0; round < 100000; round++) {
		struct conn c = {.proto = TCP};
		struct event e[HISTORY];
		__u32 now = (__u32)random64();
		int n = 0;

		for (int k = 1 + (int)below(HISTORY); n < k; n++) {
			bool unsure;
			enum lb_conn_state want;

			e[n].dir = n ? below(2) : LB_CONN_FORWARD;
			e[n].flags = below(20) ? usual[below(9)] : (__u8)(random64() & 0x3f);
			if (e[n].dir == LB_CONN_REPLY && (e[n].flags & (S | A)) == S)
				e[n].flags |= A; /* a backend's SYN without ACK opens nothing, and is not sent */
			if (n < 3 && below(2)) { /* or nothing would ever open */
				static const __u8 shake[] = {S, S | A, A};

				e[n].dir = n == 1 ? LB_CONN_REPLY : LB_CONN_FORWARD;
				e[n].flags = shake[n];
			}
			now += below(3) ? 0 : below(20);
			e[n].at = now;
			packet(&c, e[n].dir, e[n].flags, now);
			want = remembered(e, n + 1, &unsure);
			if (unsure)
				continue;
			compared++;
			seen[want]++;
			assert_int_equal(state_of(&c), want);
			assert_int_equal(c.half_open, want == LB_CONN_TCP_HALF_OPEN);
			assert_false(expired(&c, now + lb_conn_timeout(want, &defaults)));
			assert_true(expired(&c, now + lb_conn_timeout(want, &defaults) + LB_CONN_GRAIN_S));
			assert_int_equal(reusable(&c, now),
					 was_reset(e, n + 1, LB_CONN_REPLY) ||
						 (closed(e, n + 1, 0, LB_CONN_FORWARD) &&
						  closed(e, n + 1, last_answer(e, n + 1), LB_CONN_REPLY)));
		}
	}
	assert_true(compared > 500000);
	for (int s = LB_CONN_TCP_HALF_OPEN; s <= LB_CONN_TCP_CLOSING; s++)
		assert_true(seen[s] > 50000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_stories, seed),
		cmocka_unit_test_setup(test_client_reset, seed),
		cmocka_unit_test_setup(test_hits_hardly_write, seed),
		cmocka_unit_test_setup(test_opens_when_answered, seed),
		cmocka_unit_test_setup(test_missing, seed),
		cmocka_unit_test_setup(test_clock_ahead, seed),
		cmocka_unit_test_setup(test_timers, seed),
		cmocka_unit_test_setup(test_now, seed),
		cmocka_unit_test_setup(test_histories, seed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
