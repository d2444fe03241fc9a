// SPDX-License-Identifier: GPL-2.0-or-later
/* The thread and the event loop take turns; see work.h. */
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "clock.h"
#include "loop.h"
#include "pause.h"
#include "work.h"

#define SLICE_NS (3 * LB_NSEC_PER_SEC / 1000)

enum turn { LOOPS, THREADS };

struct lb_work {
	struct event *slice, *woken;
	int wake;	     /* the thread wants to go on after it was on its own */
	struct lb_job *list; /* the first is under way where .running */
	unsigned int held;
	bool running;
	bool have_thread;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t turned;
	/* Under the lock: */
	enum turn turn;
	bool alone; /* between lb_block_begin and lb_block_end */
	bool over;  /* the job under way is done */
	bool end;
	uint64_t cpu_ns; /* of the slice */
};

/* The thread's own. */
static __thread struct lb_work *mine;
static __thread uint64_t until_ns, slice_cpu_ns;
static __thread unsigned int blocks; /* begun and not ended: it is on its own */

/* ---- the thread's side ---- */

static void begin_slice(void)
{
	until_ns = lb_now_ns() + SLICE_NS;
	slice_cpu_ns = lb_clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

static void give_turn(struct lb_work *w)
{
	w->cpu_ns = lb_clock_ns(CLOCK_THREAD_CPUTIME_ID) - slice_cpu_ns;
	w->turn = LOOPS;
	pthread_cond_broadcast(&w->turned);
}

static void await_turn(struct lb_work *w)
{
	while (w->turn != THREADS)
		pthread_cond_wait(&w->turned, &w->lock);
	begin_slice();
}

static void on_pause(void)
{
	if (!mine || blocks || lb_now_ns() < until_ns)
		return;
	pthread_mutex_lock(&mine->lock);
	give_turn(mine);
	await_turn(mine);
	pthread_mutex_unlock(&mine->lock);
}

static void on_block_begin(void)
{
	if (!mine || blocks++)
		return;
	pthread_mutex_lock(&mine->lock);
	mine->alone = true;
	give_turn(mine);
	pthread_mutex_unlock(&mine->lock);
}

static void on_block_end(void)
{
	const uint64_t one = 1;
	ssize_t n;

	if (!mine || --blocks)
		return;
	pthread_mutex_lock(&mine->lock);
	mine->alone = false;
	pthread_cond_broadcast(&mine->turned);
	n = write(mine->wake, &one, sizeof(one));
	(void)n; /* the counter cannot be full */
	await_turn(mine);
	pthread_mutex_unlock(&mine->lock);
}

static const struct lb_pause_hooks hooks = {on_pause, on_block_begin, on_block_end};

static void *work_in_thread(void *arg)
{
	struct lb_work *w = arg;

	mine = w;
	pthread_mutex_lock(&w->lock);
	for (;;) {
		await_turn(w);
		if (w->end)
			break;
		pthread_mutex_unlock(&w->lock);
		w->list->run(w->list->ctx);
		pthread_mutex_lock(&w->lock);
		w->over = true;
		give_turn(w);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

/* ---- the event loop's side ---- */

static void slice_soon(struct lb_work *w)
{
	const struct timeval now = {0}; /* after what else there is to do in this round */

	if (!evtimer_pending(w->slice, NULL))
		evtimer_add(w->slice, &now);
}

/* Waits while the thread has its turn. Returns false while it is on its own, and has none. */
static bool run_slice(struct lb_work *w)
{
	uint64_t cpu_ns;
	bool had = false;

	pthread_mutex_lock(&w->lock);
	if (!w->alone) {
		w->turn = THREADS;
		pthread_cond_broadcast(&w->turned);
		while (w->turn != LOOPS)
			pthread_cond_wait(&w->turned, &w->lock);
		had = true;
	}
	cpu_ns = w->cpu_ns;
	pthread_mutex_unlock(&w->lock);
	if (had)
		lb_loop_add_busy(cpu_ns);
	return had;
}

/* Until it is not on its own any more. */
static void await_thread(struct lb_work *w)
{
	pthread_mutex_lock(&w->lock);
	while (w->alone)
		pthread_cond_wait(&w->turned, &w->lock);
	pthread_mutex_unlock(&w->lock);
}

static bool have_thread(struct lb_work *w)
{
	sigset_t all, before;

	if (w->have_thread)
		return true;
	sigfillset(&all); /* signals are the loop's */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	w->have_thread = !pthread_create(&w->thread, NULL, work_in_thread, w);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return w->have_thread;
}

/* The first job is done. */
static void finish(struct lb_work *w)
{
	struct lb_job *job = w->list;

	w->list = job->next;
	w->running = w->over = false;
	if (job->done)
		job->done(job->ctx);
}

static void on_slice(evutil_socket_t fd, short what, void *ctx)
{
	struct lb_work *w = ctx;

	if (!w->running && (!w->list || w->held))
		return;
	if (!have_thread(w)) {
		/* Then it takes as long as it takes. */
		w->running = true;
		w->list->run(w->list->ctx);
		finish(w);
		slice_soon(w);
		return;
	}
	w->running = true;
	if (!run_slice(w))
		return; /* on_woken comes */
	if (w->over)
		finish(w);
	slice_soon(w);
}

static void on_woken(evutil_socket_t fd, short what, void *ctx)
{
	struct lb_work *w = ctx;
	uint64_t count;
	ssize_t n = read(w->wake, &count, sizeof(count));

	(void)n;
	slice_soon(w);
}

struct lb_work *lb_work_new(struct event_base *base)
{
	struct lb_work *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->turned, NULL);
	w->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	w->slice = evtimer_new(base, on_slice, w);
	w->woken = w->wake >= 0 ? event_new(base, w->wake, EV_READ | EV_PERSIST, on_woken, w) : NULL;
	if (!w->slice || !w->woken || event_add(w->woken, NULL)) {
		lb_work_free(w);
		return NULL;
	}
	lb_pause_hooks = &hooks;
	return w;
}

static void end_thread(struct lb_work *w)
{
	pthread_mutex_lock(&w->lock);
	w->end = true;
	w->turn = THREADS;
	pthread_cond_broadcast(&w->turned);
	pthread_mutex_unlock(&w->lock);
	pthread_join(w->thread, NULL);
}

void lb_work_finish(struct lb_work *w)
{
	while (w && w->list) {
		w->running = true;
		if (!have_thread(w))
			w->list->run(w->list->ctx);
		while (w->have_thread && !w->over)
			if (!run_slice(w))
				await_thread(w);
		finish(w);
	}
}

void lb_work_free(struct lb_work *w)
{
	if (!w)
		return;
	lb_work_finish(w);
	if (w->have_thread)
		end_thread(w);
	lb_pause_hooks = NULL;
	if (w->slice)
		event_free(w->slice);
	if (w->woken)
		event_free(w->woken);
	if (w->wake >= 0)
		close(w->wake);
	pthread_cond_destroy(&w->turned);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

void lb_work_add(struct lb_work *w, struct lb_job *job)
{
	struct lb_job **at = &w->list;

	job->next = NULL;
	while (*at)
		at = &(*at)->next;
	*at = job;
	if (!evtimer_pending(w->slice, NULL))
		event_active(w->slice, EV_TIMEOUT, 0);
}

bool lb_work_busy(const struct lb_work *w)
{
	return w && w->running && mine != w;
}

bool lb_work_inside(const struct lb_work *w)
{
	return w && mine == w;
}

void lb_work_hold(struct lb_work *w)
{
	w->held++;
}

void lb_work_release(struct lb_work *w)
{
	if (!--w->held)
		slice_soon(w);
}
