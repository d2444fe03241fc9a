// SPDX-License-Identifier: GPL-2.0-or-later
/* When checks are started and what becomes of their results, in a time that the test makes pass. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <event2/event.h>
#include <stdbool.h>
#include <string.h>

#include "../../userspace/lbd/clock.h"
#include "model_conf.h"

#define TIMERS_MAX 10010
#include "fake_timers.h"
#include "../../userspace/lbd/prober.c"

/* ---- probes that end at once, as the test says ---- */

static struct {
	enum lb_reason reason; /* of all probes */
	bool held;	       /* they do not end */
	uint32_t share;	       /* what they read of the weight; 0: nothing */
	size_t started, cancelled;
	struct lb_probe_request last;
} probes;

static void cancel(struct lb_probe *p)
{
	probes.cancelled++;
}

static struct lb_probe held_probe = {cancel};

struct lb_probes *lb_probes_new(struct event_base *base)
{
	return (struct lb_probes *)&probes;
}

void lb_probes_free(struct lb_probes *p)
{
}

struct lb_probe *lb_probe_start(struct lb_probes *p, const struct lb_probe_request *req, enum lb_reason *reason)
{
	probes.started++;
	probes.last = *req;
	*reason = probes.reason;
	assert_false(req->notes->has_share);
	*req->notes = (struct lb_probe_notes){.share = probes.share, .has_share = probes.share};
	return probes.held ? &held_probe : NULL;
}

void lb_log(enum lb_log_level level, const char *fmt, ...)
{
}

/* ---- the world ---- */

struct world {
	struct lb_config *conf;
	struct lb_model *model;
	struct lb_prober *prober;
	size_t changes, shares;
	enum lb_health health; /* the last change */
	uint32_t share;	       /* the last one */
	bool said;
};

static void changed(void *ctx, const char *service, const struct lb_endpoint *backend, enum lb_health from,
		    const struct lb_health_state *h)
{
	struct world *w = ctx;

	w->changes++;
	w->health = h->health;
	lb_model_set_health(w->model, service, backend, h->health, 1);
}

static void shared(void *ctx, const char *service, const struct lb_endpoint *backend, uint32_t from, uint32_t to,
		   bool said)
{
	struct world *w = ctx;

	w->shares++;
	w->share = to;
	w->said = said;
	assert_int_not_equal(from, to);
	lb_model_set_share(w->model, service, backend, to, 1);
}

static void sync_all(struct world *w)
{
	struct lb_err err;

	assert_int_equal(lb_model_apply(w->model, w->conf, 1, &err), 0);
	assert_int_equal(lb_prober_sync(w->prober, w->model), 0);
}

static struct world *begin(void)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	memset(&probes, 0, sizeof(probes));
	nr_timers = 0;
	time_ns = 1000 * MS;
	w->conf = conf_new();
	w->model = lb_model_new();
	w->prober = lb_prober_new(NULL, changed, w);
	assert_true(w->conf && w->model && w->prober);
	lb_prober_on_share(w->prober, shared);
	return w;
}

static void end(struct world *w)
{
	lb_prober_free(w->prober);
	lb_model_free(w->model);
	lb_config_free(w->conf);
	free(w);
}

static struct lb_service_conf *add_service(struct world *w, const char *name, size_t backends)
{
	struct lb_service_conf *s = conf_service(w->conf, name, LB_CHECK_TCP);

	s->check.interval_ns = 2000 * MS;
	s->check.timeout_ns = 1000 * MS;
	s->check.rise = 2;
	s->check.fall = 3;
	for (uint32_t n = 1; n <= backends; n++)
		conf_backend(w->conf, name, n);
	return lb_config_service(w->conf, name);
}

/* Lets @ms pass; returns the most checks that began within any ten milliseconds of them. */
static size_t pass(uint64_t ms)
{
	size_t window[10] = {0}, sum = 0, most = 0;

	for (uint64_t i = 0; i < ms; i++) {
		size_t before = probes.started;

		pass_ms();
		sum += probes.started - before - window[i % 10];
		window[i % 10] = probes.started - before;
		most = sum > most ? sum : most;
	}
	return most;
}

/* How long until the next check begins. */
static uint64_t next_ms(void)
{
	size_t before = probes.started;
	uint64_t ms = 0;

	while (probes.started == before && ms < 100000) {
		pass(1);
		ms++;
	}
	return ms;
}

#define assert_between(value, least, most)                                                                             \
	do {                                                                                                           \
		uint64_t v = (value);                                                                                  \
		if (v < (least) || v > (most))                                                                         \
			fail_msg("%llu, wanted %llu to %llu", (unsigned long long)v, (unsigned long long)(least),      \
				 (unsigned long long)(most));                                                          \
	} while (0)

/* ---- tests ---- */

/* 10,000 checks begin in a second, a hundred in each hundredth of it, and stay apart. */
static void test_spread(void **state)
{
	struct world *w = begin();
	char name[16];

	for (int i = 0; i < 10; i++) {
		snprintf(name, sizeof(name), "s%d", i);
		add_service(w, name, 1000);
	}
	sync_all(w);
	assert_between(pass(1000), 100, 120);
	assert_int_equal(probes.started, 10000);
	assert_true(pass(9000) < 200);
	assert_between(probes.started, 45000, 55000);
	/* What stays the same goes on as it was. */
	probes.started = 0;
	sync_all(w);
	assert_true(pass(2000) < 200);
	assert_between(probes.started, 9000, 11000);
	/* A change of all checks begins them anew, spread again. */
	for (int i = 0; i < 10; i++) {
		snprintf(name, sizeof(name), "s%d", i);
		lb_config_service(w->conf, name)->check.interval_ns = 60000 * MS;
	}
	probes.started = 0;
	sync_all(w);
	assert_between(pass(1000), 100, 120);
	assert_int_equal(probes.started, 10000);
	assert_int_equal(pass(50000), 0);
	/* One that is new begins at once. */
	lb_config_service(w->conf, "s3")->nr_backends--;
	sync_all(w);
	probes.started = 0;
	conf_backend(w->conf, "s3", 1000);
	sync_all(w);
	pass(3);
	assert_int_equal(probes.started, 1);
	end(w);
}

static void test_fast_interval(void **state)
{
	struct world *w = begin();

	add_service(w, "web", 1)->check.fast_interval_ns = 100 * MS;
	sync_all(w);
	assert_between(next_ms(), 1, 4);
	assert_int_equal(w->health, LB_HEALTH_UP);
	assert_between(next_ms(), 1800, 2200);
	/* It fails three times: fast until it is down. */
	probes.reason = LB_REASON_REFUSED;
	assert_between(next_ms(), 1800, 2200);
	assert_between(next_ms(), 90, 111);
	assert_between(next_ms(), 90, 111);
	assert_int_equal(w->health, LB_HEALTH_DOWN);
	assert_between(next_ms(), 1800, 2200);
	probes.reason = LB_REASON_OK;
	assert_between(next_ms(), 1800, 2200);
	assert_int_equal(w->health, LB_HEALTH_DOWN);
	assert_between(next_ms(), 90, 111);
	assert_int_equal(w->health, LB_HEALTH_UP);
	assert_between(next_ms(), 1800, 2200);
	/* One that fails once and is well again is not changing. */
	probes.reason = LB_REASON_REFUSED;
	assert_between(next_ms(), 1800, 2200);
	probes.reason = LB_REASON_OK;
	assert_between(next_ms(), 90, 111);
	assert_between(next_ms(), 1800, 2200);
	assert_int_equal(w->changes, 3);
	end(w);
}

/* The interval is from one check's beginning to the next one's, however long the answer takes. */
static void test_slow_answers(void **state)
{
	struct world *w = begin();
	struct lb_target *t;

	add_service(w, "web", 1);
	probes.held = true;
	sync_all(w);
	assert_between(next_ms(), 1, 4);
	t = w->prober->groups[0]->targets[0];
	pass(900);
	on_probe_done(t, LB_REASON_OK);
	assert_between(next_ms(), 900, 1300);
	assert_int_equal(t->stats.duration.count, 1);
	assert_int_equal(t->stats.duration.sum_ns, 900 * MS);
	/* One that took longer than the interval is followed by the next at once. */
	pass(2500);
	on_probe_done(t, LB_REASON_TIMEOUT);
	assert_between(next_ms(), 1, 2);
	end(w);
}

/* lbd's own trouble is nobody's health, and is no reason to try faster. */
static void test_not_run(void **state)
{
	struct world *w = begin();
	struct lb_endpoint ep = conf_ep(1);
	const struct lb_target_stats *t;

	add_service(w, "web", 1);
	sync_all(w);
	next_ms();
	probes.reason = LB_REASON_INTERNAL;
	for (int i = 0; i < 5; i++)
		assert_between(next_ms(), 1800, 2200);
	t = lb_prober_stats(w->prober, "web", &ep);
	assert_int_equal(t->health.health, LB_HEALTH_UP);
	assert_int_equal(t->health.reason, LB_REASON_INTERNAL);
	assert_int_equal(t->results[LB_REASON_INTERNAL], 5);
	assert_int_equal(w->changes, 1);
	end(w);
}

/* What the model found in the maps stands until checks have said otherwise as often as they have to. */
static void test_starts_from_what_was(void **state)
{
	struct world *w = begin();
	struct lb_endpoint up = conf_ep(1), down = conf_ep(2);
	struct lb_err err;

	add_service(w, "web", 2);
	assert_int_equal(lb_model_apply(w->model, w->conf, 0, &err), 0);
	lb_model_set_health(w->model, "web", &up, LB_HEALTH_UP, 0);
	lb_model_set_health(w->model, "web", &down, LB_HEALTH_DOWN, 0);
	probes.held = true;
	assert_int_equal(lb_prober_sync(w->prober, w->model), 0);
	pass(100);
	assert_int_equal(probes.started, 2);
	assert_int_equal(lb_prober_stats(w->prober, "web", &up)->health.health, LB_HEALTH_UP);
	assert_int_equal(lb_prober_stats(w->prober, "web", &down)->health.health, LB_HEALTH_DOWN);
	/* An apply while they are under way, with another check: begun anew, with the same health. */
	lb_config_service(w->conf, "web")->check.fall = 2;
	sync_all(w);
	assert_int_equal(probes.cancelled, 2);
	probes.held = false;
	probes.reason = LB_REASON_REFUSED;
	pass(100);
	assert_int_equal(probes.started, 4);
	assert_int_equal(w->changes, 0);
	pass(2300);
	assert_int_equal(w->changes, 1);
	assert_int_equal(lb_prober_stats(w->prober, "web", &up)->health.health, LB_HEALTH_DOWN);
	end(w);
}

static void test_request(void **state)
{
	struct world *w = begin();
	struct lb_service_conf *s = add_service(w, "web", 1);
	struct lb_check_conf *check = &s->check;

	/* The check's port, else the backend's, else the VIP's. */
	sync_all(w);
	next_ms();
	assert_int_equal(ntohs(probes.last.to.port), 80);
	assert_string_equal(probes.last.service, "web");
	assert_int_equal(ntohs(probes.last.vip->vip.port), 80);
	s->backends[0].address.port = 0;
	s->vips[0].vip.port = htons(81);
	sync_all(w);
	next_ms();
	assert_int_equal(ntohs(probes.last.to.port), 81);
	check->port = 82;
	check->type = LB_CHECK_EXEC;
	check->program = strdup("/bin/true");
	sync_all(w);
	/* The prober has its own copy, which lasts. */
	free(check->program);
	check->program = strdup("/bin/false");
	next_ms();
	assert_int_equal(ntohs(probes.last.to.port), 82);
	assert_string_equal(probes.last.check->program, "/bin/true");
	sync_all(w);
	next_ms();
	assert_string_equal(probes.last.check->program, "/bin/false");
	end(w);
}

struct path {
	bool ready;
	uint8_t asked[16];
};

static bool is_ready(void *ctx, const uint8_t vip[16])
{
	struct path *p = ctx;

	memcpy(p->asked, vip, sizeof(p->asked));
	return p->ready;
}

/* By way of the VIP: its address and port, and the mark of the backend; nothing where packets would not get there. */
static void test_via(void **state)
{
	struct world *w = begin();
	struct lb_endpoint ep = conf_ep(2);
	struct lb_service_conf *s;
	const struct lb_model_service *m;
	struct path path = {false};

	add_service(w, "other", 3);
	s = add_service(w, "web", 2);
	s->check.via = LB_CHECK_VIA_VIP;
	lb_config_service(w->conf, "other")->check.type = LB_CHECK_NONE;
	s->vips[0].vip.port = htons(81);
	sync_all(w);
	pass(1000);
	assert_int_equal(probes.started, 0);
	assert_int_equal(lb_prober_stats(w->prober, "web", &ep)->health.reason, LB_REASON_INTERNAL);
	assert_int_equal(lb_prober_stats(w->prober, "web", &ep)->health.health, LB_HEALTH_UNKNOWN);
	lb_prober_use_path(w->prober, is_ready, &path);
	pass(3000);
	assert_int_equal(probes.started, 0);
	assert_memory_equal(path.asked, s->vips[0].vip.addr, 16);
	path.ready = true;
	pass(3000);
	assert_true(probes.started >= 2);
	assert_memory_equal(probes.last.to.addr, s->vips[0].vip.addr, 16);
	assert_int_equal(ntohs(probes.last.to.port), 81);
	m = lb_model_service(w->model, "web");
	assert_non_null(m);
	assert_true(probes.last.mark == LB_CHECK_MARK_OF(m->idx, m->backends[0].idx) ||
		    probes.last.mark == LB_CHECK_MARK_OF(m->idx, m->backends[1].idx));
	assert_int_equal(LB_CHECK_MARK_SERVICE(probes.last.mark), m->idx);
	s->check.port = 82;
	sync_all(w);
	next_ms();
	assert_int_equal(ntohs(probes.last.to.port), 82);
	/* Without a VIP there is no such way, and no other is taken in its place. */
	s->nr_vips = 0;
	sync_all(w);
	probes.started = 0;
	pass(5000);
	assert_int_equal(probes.started, 0);
	s->nr_vips = 1;
	s->check.via = LB_CHECK_DIRECT;
	sync_all(w);
	next_ms();
	assert_int_equal(probes.last.mark, 0);
	assert_int_equal(probes.last.to.addr[12], 10);
	end(w);
}

/* What a good answer says of the weight counts, also after checks that failed and another check. */
static void test_share(void **state)
{
	struct world *w = begin();
	struct lb_service_conf *s = add_service(w, "web", 1);
	struct lb_endpoint ep = conf_ep(1);

	s->check.type = LB_CHECK_HTTP;
	s->check.weight_floor = s->check.weight_step = 1;
	probes.share = 40;
	sync_all(w);
	pass(100);
	assert_int_equal(w->shares, 0); /* nobody asked for it */
	s->check.weight_body = true;
	sync_all(w);
	pass(100);
	assert_int_equal(w->shares, 1);
	assert_true(w->share == 40 && w->said);
	probes.reason = LB_REASON_STATUS;
	probes.share = 0;
	pass(20000);
	assert_int_equal(w->health, LB_HEALTH_DOWN);
	assert_int_equal(w->shares, 1);
	/* It is down, and says something else already. */
	probes.reason = LB_REASON_OK;
	probes.share = 60;
	next_ms();
	assert_int_equal(w->health, LB_HEALTH_DOWN);
	assert_int_equal(w->share, 60);
	s->check.timeout_ns = 900 * MS;
	sync_all(w);
	probes.share = 0;
	next_ms();
	next_ms();
	assert_int_equal(w->share, 60);
	next_ms();
	assert_int_equal(w->shares, 3);
	assert_true(w->share == 100 && !w->said);
	assert_true(lb_prober_stats(w->prober, "web", &ep)->share.unread_total >= 3);
	end(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_spread),
		cmocka_unit_test(test_slow_answers),
		cmocka_unit_test(test_fast_interval),
		cmocka_unit_test(test_not_run),
		cmocka_unit_test(test_starts_from_what_was),
		cmocka_unit_test(test_request),
		cmocka_unit_test(test_via),
		cmocka_unit_test(test_share),
	};

	return cmocka_run_group_tests_name("prober", tests, NULL, NULL);
}
