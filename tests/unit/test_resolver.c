// SPDX-License-Identifier: GPL-2.0-or-later
/* When names are looked up, and what of the answers counts, in a time that the test makes pass. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <event2/event.h>
#include <stdbool.h>
#include <string.h>

#include "../../userspace/lbd/clock.h"
#include "document.h"

#define TIMERS_MAX 1000
#include "fake_timers.h"
#include "../../userspace/lbd/resolver.c"

/* ---- questions, which the test answers ---- */

struct lb_ask {
	char name[LB_NAME_STRLEN];
	bool v6;
	lb_ask_fn done; /* NULL: answered, or cancelled */
	void *ctx;
};

static struct lb_ask asks[10000];
static size_t nr_asks, nr_set;
static bool cannot_ask;

struct lb_asker *lb_asker_new(struct event_base *base)
{
	return (struct lb_asker *)asks;
}

void lb_asker_free(struct lb_asker *a)
{
}

void lb_asker_set(struct lb_asker *a, const struct lb_resolver_conf *conf)
{
	nr_set++;
}

struct lb_ask *lb_ask(struct lb_asker *a, const char *name, bool v6, lb_ask_fn done, void *ctx)
{
	struct lb_ask *ask = &asks[nr_asks];

	if (cannot_ask)
		return NULL;
	assert_true(++nr_asks < sizeof(asks) / sizeof(*asks));
	*ask = (struct lb_ask){.v6 = v6, .done = done, .ctx = ctx};
	strcpy(ask->name, name);
	return ask;
}

void lb_ask_cancel(struct lb_ask *ask)
{
	ask->done = NULL;
}

void lb_log(enum lb_log_level level, const char *fmt, ...)
{
}

static struct {
	size_t nr;
	char from[16], to[16];
	uint64_t count;
} told;

void lb_events_add(struct lb_events *e, const struct lb_event *event)
{
	told.nr++;
	strcpy(told.from, event->from);
	strcpy(told.to, event->to);
	told.count = event->count;
	assert_int_equal(event->type, LB_EVENT_NAME);
}

/* ---- the world ---- */

static size_t nr_changed;

static void changed(void *ctx)
{
	nr_changed++;
}

static struct lb_resolver *begin(void)
{
	memset(&told, 0, sizeof(told));
	nr_timers = nr_asks = nr_changed = nr_set = 0;
	cannot_ask = false;
	time_ns = 1000 * MS;
	return lb_resolver_new(NULL, NULL, changed, NULL);
}

static void sync_to(struct lb_resolver *r, const char *text)
{
	struct lb_config *c = NULL;
	struct lb_err err = {0};

	if (lb_document_read(text, strlen(text), NULL, &c, &err))
		fail_msg("%s", lb_err_str(&err));
	assert_int_equal(lb_resolver_sync(r, c), 0);
	lb_config_free(c);
}

static void pass(uint64_t ms)
{
	for (uint64_t i = 0; i < ms; i++)
		pass_ms();
}

/* The oldest open question of the family; NULL: none. */
static struct lb_ask *open_ask(bool v6)
{
	for (size_t i = 0; i < nr_asks; i++)
		if (asks[i].done && asks[i].v6 == v6)
			return &asks[i];
	return NULL;
}

/* @last: what the addresses end with, each a digit. */
static void answer(bool v6, enum lb_lookup result, const char *last, uint32_t ttl_s)
{
	size_t nr = result == LB_LOOKUP_OK ? strlen(last) : 0;
	struct lb_ask *ask = open_ask(v6);
	uint8_t(*addrs)[16] = nr ? calloc(nr, sizeof(*addrs)) : NULL;
	lb_ask_fn done;

	assert_non_null(ask);
	for (size_t i = 0; i < nr; i++) {
		memcpy(addrs[i], v6 ? "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0" : "\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\0\0",
		       16);
		addrs[i][15] = (uint8_t)(last[i] - '0');
	}
	done = ask->done;
	ask->done = NULL;
	done(ask->ctx, v6, result, addrs, nr, ttl_s);
}

static void both(enum lb_lookup v4, const char *last4, enum lb_lookup v6, const char *last6)
{
	answer(false, v4, last4, 10);
	answer(true, v6, last6, 10);
}

/* "4.1 4.2 6.1": family and last digit, in order; NULL: never answered. */
static void assert_answer(const struct lb_resolver *r, const char *wanted)
{
	struct lb_answers answers;
	char got[256] = "";

	assert_int_equal(lb_resolver_answers(r, &answers), 0);
	assert_int_equal(answers.nr, wanted ? 1 : 0);
	for (size_t i = 0; wanted && i < answers.list[0].nr; i++)
		sprintf(got + strlen(got), "%s%d.%d", i ? " " : "", lb_addr_is_v4(answers.list[0].addrs[i]) ? 4 : 6,
			answers.list[0].addrs[i][15]);
	if (wanted)
		assert_string_equal(got, wanted);
	free(answers.list);
}

/* How long until the next question. */
static uint64_t next_ms(void)
{
	size_t before = nr_asks;
	uint64_t ms = 0;

	for (; nr_asks == before && ms < 10000000; ms++)
		pass(1);
	return ms;
}

#define ONE "services: [{name: web, vip: 192.0.2.10:80, backends: [a.example]}]"

/* ---- tests ---- */

static void test_answers(void **state)
{
	struct lb_resolver *r = begin();
	const struct lb_name_stats *n;

	sync_to(r, ONE);
	assert_int_equal(nr_asks, 0); /* from the event loop */
	pass(1);
	assert_int_equal(nr_asks, 2);
	assert_string_equal(asks[0].name, "a.example");
	answer(true, LB_LOOKUP_OK, "1", 10);
	assert_answer(r, NULL);
	answer(false, LB_LOOKUP_OK, "12", 7);
	assert_answer(r, "4.1 4.2 6.1");
	assert_int_equal(nr_changed, 1);
	assert_true(told.nr == 1 && !strcmp(told.from, "none") && !strcmp(told.to, "ok") && told.count == 3);
	/* Again when the shorter of both is over, and not before. */
	assert_in_range(next_ms(), 7000, 7440);
	both(LB_LOOKUP_OK, "12", LB_LOOKUP_OK, "1");
	assert_int_equal(nr_changed, 1);
	assert_int_equal(told.nr, 1);
	next_ms();
	both(LB_LOOKUP_OK, "23", LB_LOOKUP_OK, "1");
	assert_answer(r, "4.2 4.3 6.1");
	assert_int_equal(nr_changed, 2);
	assert_int_equal(told.nr, 2);
	n = lb_resolver_find(r, "a.example");
	assert_int_equal(n->results[LB_LOOKUP_OK], 3);
	assert_int_equal(n->addresses, 3);
	assert_null(lb_resolver_find(r, "b.example"));
	lb_resolver_free(r);
}

/* Whatever goes wrong takes nothing away. */
static void test_failures(void **state)
{
	static const enum lb_lookup failures[] = {LB_LOOKUP_NXDOMAIN, LB_LOOKUP_EMPTY,	 LB_LOOKUP_SERVFAIL,
						  LB_LOOKUP_REFUSED,  LB_LOOKUP_TIMEOUT, LB_LOOKUP_PROTOCOL,
						  LB_LOOKUP_INTERNAL};
	struct lb_resolver *r = begin();

	sync_to(r, ONE);
	pass(1);
	both(LB_LOOKUP_OK, "1", LB_LOOKUP_OK, "2");
	for (size_t i = 0; i < sizeof(failures) / sizeof(*failures); i++) {
		next_ms();
		both(failures[i], "", failures[i], "");
		assert_answer(r, "4.1 6.2");
		assert_string_equal(told.to, lb_lookup_name(failures[i]));
		assert_int_equal(told.nr, 2 + 2 * i);
		next_ms();
		both(LB_LOOKUP_OK, "1", LB_LOOKUP_OK, "2");
		assert_string_equal(told.to, "ok");
	}
	assert_int_equal(nr_changed, 1);
	lb_resolver_free(r);
}

/* One family fails: the other one counts. One has nothing: that counts where the other one has something. */
static void test_families(void **state)
{
	struct lb_resolver *r = begin();

	sync_to(r, ONE);
	pass(1);
	both(LB_LOOKUP_OK, "1", LB_LOOKUP_OK, "2");
	next_ms();
	both(LB_LOOKUP_OK, "13", LB_LOOKUP_TIMEOUT, "");
	assert_answer(r, "4.1 4.3 6.2");
	assert_string_equal(told.to, "timeout");
	assert_in_range(next_ms(), 900, 1100);
	both(LB_LOOKUP_OK, "13", LB_LOOKUP_EMPTY, "");
	assert_answer(r, "4.1 4.3");
	assert_string_equal(told.to, "ok");
	next_ms();
	both(LB_LOOKUP_EMPTY, "", LB_LOOKUP_OK, "2");
	assert_answer(r, "6.2");
	assert_string_equal(told.to, "ok");
	next_ms();
	both(LB_LOOKUP_NXDOMAIN, "", LB_LOOKUP_TIMEOUT, "");
	assert_answer(r, "6.2");
	assert_string_equal(told.to, "nxdomain");
	/* Services that can use one family alone: nobody asks for the other. */
	sync_to(r, "services: [{name: web, vip: 192.0.2.10:80, forward: l2, backends: [a.example]}]");
	pass(1);
	assert_null(open_ask(true));
	answer(false, LB_LOOKUP_OK, "5", 10);
	assert_answer(r, "4.5");
	lb_resolver_free(r);
}

static void test_times(void **state)
{
	struct lb_resolver *r = begin();
	uint64_t ms, last = 0;

	sync_to(r, "resolver: {min_ttl: 5s, max_ttl: 60s}\n" ONE);
	pass(1);
	answer(false, LB_LOOKUP_OK, "1", 0);
	answer(true, LB_LOOKUP_EMPTY, "", 0);
	assert_in_range(next_ms(), 5000, 5320);
	answer(false, LB_LOOKUP_OK, "1", 86400);
	answer(true, LB_LOOKUP_OK, "1", 86400);
	assert_in_range(next_ms(), 60000, 63800);
	/* After failures sooner, and then less and less often, but not never. */
	for (int i = 0; i < 10; i++) {
		both(LB_LOOKUP_SERVFAIL, "", LB_LOOKUP_SERVFAIL, "");
		ms = next_ms();
		assert_true(ms >= last && ms <= 30001);
		assert_true(i || ms <= 1001);
		last = ms;
	}
	assert_true(last >= 30000);
	both(LB_LOOKUP_OK, "1", LB_LOOKUP_OK, "1");
	next_ms();
	both(LB_LOOKUP_SERVFAIL, "", LB_LOOKUP_SERVFAIL, "");
	assert_true(next_ms() <= 1001);
	lb_resolver_free(r);
}

/* A thousand questions do not go out at once. */
static void test_many(void **state)
{
	struct lb_resolver *r = begin();
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	fputs("services: [{name: web, vip: 192.0.2.10:80, backends: [", f);
	for (int i = 0; i < 500; i++)
		fprintf(f, "n%d.example,", i);
	fputs("last.example]}]", f);
	fclose(f);
	sync_to(r, text);
	pass(1);
	assert_in_range(nr_asks, 64, 65);
	for (size_t i = 0; i < 501; i++) {
		both(LB_LOOKUP_OK, "1", LB_LOOKUP_OK, "1");
		assert_in_range(r->asked, i < 460 ? 62 : 0, 65);
	}
	assert_int_equal(nr_asks, 1002);
	assert_null(open_ask(false));
	/* Those that are asked are gone: the next ones have their turn. */
	next_ms();
	pass(2000);
	assert_in_range(r->asked, 64, 65);
	sync_to(r, ONE);
	pass(1);
	assert_string_equal(open_ask(false)->name, "a.example");
	assert_int_equal(r->asked, 2);
	free(text);
	lb_resolver_free(r);
}

static void test_sync(void **state)
{
	struct lb_resolver *r = begin();

	sync_to(r, ONE);
	assert_int_equal(nr_set, 1);
	pass(1);
	both(LB_LOOKUP_OK, "1", LB_LOOKUP_EMPTY, "");
	/* What has nothing to do with names asks nobody. */
	sync_to(r, ONE);
	pass(100);
	assert_int_equal(nr_asks, 2);
	assert_int_equal(nr_set, 1);
	/* Other servers are asked at once, and until they answer the name has what it has. */
	sync_to(r, "resolver: {servers: [10.0.0.53]}\n" ONE);
	assert_int_equal(nr_set, 2);
	pass(1);
	assert_int_equal(nr_asks, 4);
	assert_answer(r, "4.1");
	sync_to(r, "services: []");
	assert_null(open_ask(false));
	assert_answer(r, NULL);
	pass(100000);
	assert_int_equal(nr_asks, 4);
	/* It begins anew. */
	sync_to(r, ONE);
	pass(1);
	assert_answer(r, NULL);
	assert_int_equal(nr_asks, 6);
	lb_resolver_free(r);
}

static void test_cannot_ask(void **state)
{
	struct lb_resolver *r = begin();

	cannot_ask = true;
	sync_to(r, ONE);
	pass(5000);
	assert_int_equal(r->asked, 0);
	assert_string_equal(told.to, "internal");
	assert_int_equal(told.nr, 1);
	cannot_ask = false;
	next_ms();
	both(LB_LOOKUP_OK, "1", LB_LOOKUP_EMPTY, "");
	assert_answer(r, "4.1");
	lb_resolver_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),	   cmocka_unit_test(test_failures), cmocka_unit_test(test_families),
		cmocka_unit_test(test_times),	   cmocka_unit_test(test_many),	    cmocka_unit_test(test_sync),
		cmocka_unit_test(test_cannot_ask),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
