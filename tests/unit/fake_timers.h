/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A clock that the test makes pass, and libevent timers that go by it, for what is included behind this. Included once
 * by a test program, which defines TIMERS_MAX, behind cmocka's, libevent's and lbd's clock.h.
 */
#ifndef TEST_FAKE_TIMERS_H
#define TEST_FAKE_TIMERS_H

#define MS 1000000ULL

struct fake_timer {
	event_callback_fn fn;
	void *ctx;
	uint64_t due_ns; /* 0: not running */
};

static uint64_t time_ns;
static struct fake_timer timers[TIMERS_MAX];
static size_t nr_timers;

static uint64_t fake_now_ns(void)
{
	return time_ns;
}

static struct event *fake_timer_new(event_callback_fn fn, void *ctx)
{
	assert_true(nr_timers < TIMERS_MAX);
	timers[nr_timers] = (struct fake_timer){fn, ctx, 0};
	return (struct event *)&timers[nr_timers++];
}

static int fake_timer_add(struct event *ev, const struct timeval *tv)
{
	/* A timer that is due at once comes with the next millisecond. */
	((struct fake_timer *)ev)->due_ns =
		time_ns + (uint64_t)tv->tv_sec * 1000 * MS + (uint64_t)tv->tv_usec * 1000 + 1;
	return 0;
}

static void fake_timer_del(struct event *ev)
{
	((struct fake_timer *)ev)->due_ns = 0;
}

/* A millisecond passes, and what is due is called. */
static void pass_ms(void)
{
	time_ns += MS;
	for (size_t t = 0; t < nr_timers; t++) {
		if (!timers[t].due_ns || timers[t].due_ns > time_ns)
			continue;
		timers[t].due_ns = 0;
		timers[t].fn(-1, EV_TIMEOUT, timers[t].ctx);
	}
}

#undef evtimer_new
#undef evtimer_add
#undef evtimer_del
#define evtimer_new(base, fn, ctx) fake_timer_new(fn, ctx)
#define evtimer_add(ev, tv) fake_timer_add(ev, tv)
#define evtimer_del(ev) fake_timer_del(ev)
#define event_free(ev) fake_timer_del(ev)
#define lb_now_ns fake_now_ns

#endif
