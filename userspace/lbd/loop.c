// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libevent tells nobody when it begins to wait and when it has done so (its 2.2 will: evwatch). But it waits in
 * epoll_wait(), and the one that a program defines is taken for libc's by all of its libraries: that one looks at the
 * clock. Other users of it within lbd have other descriptors and do not wait.
 */
#include <pthread.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "clock.h"
#include "loop.h"

#define ROUND_NS (4 * LB_NSEC_PER_SEC / 1000)
#define LONG_NS (10 * LB_NSEC_PER_SEC / 1000)

static struct {
	bool on;
	pthread_t thread;
	int epfd; /* the loop's; -1: it has not waited yet */
	uint64_t woke_ns, woke_cpu_ns, added_ns;
	struct lb_loop_times times;
} watch = {.epfd = -1};

static void note_hold(void)
{
	uint64_t busy_ns = lb_clock_ns(CLOCK_THREAD_CPUTIME_ID) - watch.woke_cpu_ns + watch.added_ns;

	if (!watch.woke_ns)
		return;
	lb_histogram_add(&watch.times.hold, lb_now_ns() - watch.woke_ns);
	lb_histogram_add(&watch.times.busy, busy_ns);
	if (busy_ns > watch.times.longest_ns)
		watch.times.longest_ns = busy_ns;
}

static void note_wake(void)
{
	watch.woke_ns = lb_now_ns();
	watch.woke_cpu_ns = lb_clock_ns(CLOCK_THREAD_CPUTIME_ID);
	watch.added_ns = 0;
}

int epoll_wait(int epfd, struct epoll_event *events, int max, int timeout)
{
	bool loops = watch.on && pthread_equal(watch.thread, pthread_self());
	int nr;

	if (loops && timeout)
		watch.epfd = epfd;
	loops = loops && epfd == watch.epfd;
	if (loops)
		note_hold();
	nr = (int)syscall(SYS_epoll_pwait, epfd, events, max, timeout, NULL, 0);
	if (loops)
		note_wake();
	return nr;
}

struct event_base *lb_loop_new(void)
{
	const struct timeval round = lb_timeval(ROUND_NS);
	struct event_config *conf = event_config_new();
	struct event_base *base = NULL;

	if (conf && !event_config_set_max_dispatch_interval(conf, &round, -1, 0))
		base = event_base_new_with_config(conf);
	if (conf)
		event_config_free(conf);
	return base;
}

void lb_loop_watch(void)
{
	watch.thread = pthread_self();
	watch.on = true;
}

const struct lb_loop_times *lb_loop_times(void)
{
	return &watch.times;
}

uint64_t lb_loop_long(void)
{
	uint64_t nr = watch.times.busy.bucket[LB_HISTOGRAM_BUCKETS];

	for (size_t i = LB_HISTOGRAM_BUCKETS; i-- && lb_histogram_bounds[i].ns > LONG_NS;)
		nr += watch.times.busy.bucket[i];
	return nr;
}

void lb_loop_add_busy(uint64_t ns)
{
	watch.added_ns += ns;
}
