// SPDX-License-Identifier: GPL-2.0-or-later
/* The ring of events: what readers get, in which pieces, and what those are told that were too slow. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <cmocka.h>

#include <jansson.h>

#include "../../userspace/lbd/events.c"

static int wakes;

static void on_wake(void *ctx)
{
	assert_ptr_equal(ctx, &wakes);
	wakes++;
}

static struct lb_events *new_events(void)
{
	struct lb_events *e = lb_events_new();

	assert_non_null(e);
	lb_events_on_add(e, on_wake, &wakes);
	wakes = 0;
	return e;
}

static struct lb_events_reader *new_reader(struct lb_events *e, uint64_t after, enum lb_events_format format)
{
	struct lb_events_reader *r = lb_events_reader_new(e, after, format);

	assert_non_null(r);
	return r;
}

static void add(struct lb_events *e, int from, int to)
{
	char reason[16];

	for (int i = from; i < to; i++) {
		snprintf(reason, sizeof(reason), "%d", i);
		lb_events_add(e, &(struct lb_event){LB_EVENT_CONFIG_REFUSED, .reason = reason});
	}
}

/* All that @r has, in pieces of at most @max, malloc'ed. */
static char *read_all(struct lb_events_reader *r, size_t max)
{
	char *text = calloc(1, 1), *piece = malloc(max);
	size_t len = 0, n;

	assert_non_null(text);
	assert_non_null(piece);
	while ((n = lb_events_reader_read(r, piece, max))) {
		assert_true(n <= max);
		text = realloc(text, len + n + 1);
		assert_non_null(text);
		memcpy(text + len, piece, n);
		len += n;
		text[len] = '\0';
	}
	free(piece);
	return text;
}

/* The next line of *@text as JSON; NULL: there is none. */
static json_t *next_line(char **text)
{
	char *end = strchr(*text, '\n');
	json_t *json;

	if (!end)
		return NULL;
	*end = '\0';
	json = json_loads(*text, 0, NULL);
	assert_non_null(json);
	*text = end + 1;
	return json;
}

static const char *member(const json_t *json, const char *key)
{
	const char *text = json_string_value(json_object_get(json, key));

	return text ? text : "";
}

static void test_members(void **state)
{
	static const uint8_t address[16] = {[10] = 0xff, 0xff, 10, 0, 0, 1};
	struct lb_events *e = new_events();
	struct lb_events_reader *r = new_reader(e, lb_events_last(e), LB_EVENTS_LINES);
	struct lb_endpoint backend = {.port = htons(80)};
	json_t *json, *by = json_pack("{s:i, s:i, s:i}", "uid", 0, "login_uid", 1000, "pid", 4711);
	char *text, *at;

	memcpy(backend.addr, address, 16);
	lb_events_add(e, &(struct lb_event){LB_EVENT_HEALTH, "web", &backend, address, "eth0", "up", "down",
					    "a \"b\" \\ \n\x01\x7f\xff caf\xc3\xa9", "api", 7, 9, "forwarded", "why",
					    "a.example", &(struct lb_caller){true, 0, 1000, 4711}});
	lb_events_add(e, &(struct lb_event){.type = LB_EVENT_CONFIG_APPLIED,
					    .by = &(struct lb_caller){true, 33, LB_CALLER_NO_LOGIN, 0}});
	lb_events_add(e, &(struct lb_event){.type = LB_EVENT_STARTED});
	assert_int_equal(wakes, 3);
	text = at = read_all(r, 4096);
	json = next_line(&at);
	assert_true(json_integer_value(json_object_get(json, "seq")) == (json_int_t)lb_events_last(e) - 2);
	assert_int_equal(strlen(member(json, "time")), strlen("2026-01-01T00:00:00.000Z"));
	assert_string_equal(member(json, "type"), "health");
	assert_string_equal(member(json, "service"), "web");
	assert_string_equal(member(json, "address"), "10.0.0.1");
	assert_string_equal(member(json, "backend"), "10.0.0.1:80");
	assert_string_equal(member(json, "interface"), "eth0");
	assert_string_equal(member(json, "from"), "up");
	assert_string_equal(member(json, "to"), "down");
	assert_string_equal(member(json, "reason"), "a \"b\" \\ \n\x01\x7f? caf\xc3\xa9");
	assert_string_equal(member(json, "origin"), "api");
	assert_string_equal(member(json, "verdict"), "forwarded");
	assert_int_equal(json_integer_value(json_object_get(json, "generation")), 7);
	assert_int_equal(json_integer_value(json_object_get(json, "count")), 9);
	assert_string_equal(member(json, "detail"), "why");
	assert_string_equal(member(json, "name"), "a.example");
	assert_true(json_equal(json_object_get(json, "by"), by));
	json_decref(json);
	json_decref(by);
	json = next_line(&at);
	by = json_pack("{s:i}", "uid", 33); /* of no session, and not seen from here */
	assert_true(json_equal(json_object_get(json, "by"), by));
	json_decref(by);
	json_decref(json);
	json = next_line(&at);
	assert_int_equal(json_object_size(json), 3); /* what is not known is not said */
	assert_string_equal(member(json, "type"), "started");
	json_decref(json);
	assert_string_equal(at, "");
	free(text);
	lb_events_reader_free(r);
	lb_events_free(e);
	lb_events_add(NULL, &(struct lb_event){.type = LB_EVENT_STARTED});
}

/* Where a reader begins. */
static void test_after(void **state)
{
	struct lb_events *e = new_events();
	const uint64_t start = lb_events_last(e) + 1;
	const struct {
		uint64_t after;
		int first; /* that it gets */
	} cases[] = {
		{0, 0},		{start - 1000, 0}, {start - 2, 0},  {start - 1, 0},  {start, 1},
		{start + 8, 9}, {start + 9, 10},   {start + 10, 0}, {UINT64_MAX, 0},
	};

	add(e, 0, 10);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct lb_events_reader *r = new_reader(e, cases[i].after, LB_EVENTS_LINES);
		char *text = read_all(r, 100), *at = text;
		int next = cases[i].first;
		json_t *json;

		while ((json = next_line(&at))) {
			assert_int_equal(atoi(member(json, "reason")), next);
			assert_true(json_integer_value(json_object_get(json, "seq")) == (json_int_t)start + next);
			json_decref(json);
			next++;
		}
		assert_int_equal(next, 10);
		free(text);
		lb_events_reader_free(r);
	}
	lb_events_free(e);
}

/* Whatever the pieces, the text is the same. */
static void test_pieces(void **state)
{
	struct lb_events *e = new_events();
	char *want[2], *got;

	add(e, 0, 20);
	for (int f = LB_EVENTS_LINES; f <= LB_EVENTS_SSE; f++) {
		for (size_t max = 1; max < 400; max += 7) {
			struct lb_events_reader *r = new_reader(e, 0, f);

			got = read_all(r, max);
			lb_events_reader_free(r);
			if (max == 1) {
				want[f] = got;
				continue;
			}
			assert_string_equal(got, want[f]);
			free(got);
		}
	}
	assert_int_equal(strncmp(want[LB_EVENTS_SSE], "id: ", 4), 0);
	assert_non_null(strstr(want[LB_EVENTS_SSE], "\nevent: config_refused\ndata: {\"seq\":"));
	assert_non_null(strstr(want[LB_EVENTS_SSE], "\"}\n\nid: "));
	free(want[0]);
	free(want[1]);
	lb_events_free(e);
}

/* A reader that the ring has overtaken is told of as many as it has missed, and goes on with the oldest. */
static void test_lost(void **state)
{
	struct lb_events *e = new_events();
	struct lb_events_reader *r = new_reader(e, lb_events_last(e), LB_EVENTS_LINES);
	const int more = 100, first = 3;
	char piece[20], *text, *at;
	json_t *json;
	int next;

	add(e, 0, first);
	text = read_all(r, 4096);
	free(text);
	add(e, first, first + 1);
	/* One is begun and must be ended, though it is gone by then. */
	assert_int_equal(lb_events_reader_read(r, piece, sizeof(piece)), sizeof(piece));
	add(e, first + 1, first + 1 + LB_EVENTS_RING + more);
	text = at = read_all(r, 1000);
	at = strchr(at, '\n');
	assert_non_null(at);
	assert_non_null(strstr(text, "\"reason\":\"3\"}\n"));
	at++;
	json = next_line(&at);
	assert_string_equal(member(json, "type"), "lost");
	assert_int_equal(json_integer_value(json_object_get(json, "count")), more);
	next = first + 1 + more;
	/* Its number is that of the last that was lost: who goes on from there misses nothing. */
	assert_true(json_integer_value(json_object_get(json, "seq")) == (json_int_t)lb_events_last(e) - LB_EVENTS_RING);
	json_decref(json);
	while ((json = next_line(&at))) {
		assert_int_equal(atoi(member(json, "reason")), next++);
		json_decref(json);
	}
	assert_int_equal(next, first + 1 + LB_EVENTS_RING + more);
	free(text);
	lb_events_reader_free(r);
	lb_events_free(e);
}

/* The types of what @r has, in its order, separated by blanks. */
static void check_types(struct lb_events_reader *r, const char *want)
{
	char *text = read_all(r, 7), *at = text, got[256] = "";
	json_t *json;

	while ((json = next_line(&at))) {
		snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%s ", member(json, "type"),
			 json_object_get(json, "seq") ? "" : "!");
		json_decref(json);
	}
	assert_string_equal(got, want);
	free(text);
}

static void test_beside(void **state)
{
	struct lb_events *e = new_events(), *beside = lb_events_new_unnumbered();
	struct lb_events_reader *both = new_reader(e, lb_events_last(e), LB_EVENTS_LINES);
	struct lb_events_reader *one = new_reader(e, lb_events_last(e), LB_EVENTS_LINES);
	struct lb_events_reader *sse = new_reader(e, lb_events_last(e), LB_EVENTS_SSE);
	char *text;

	assert_non_null(beside);
	lb_events_add(beside, &(struct lb_event){.type = LB_EVENT_VERDICT}); /* before anybody reads */
	lb_events_reader_beside(both, beside);
	lb_events_reader_beside(one, beside);
	lb_events_reader_only(one, 1U << LB_EVENT_VERDICT | 1U << LB_EVENT_HEALTH);
	lb_events_reader_beside(sse, beside);
	lb_events_reader_only(sse, 1U << LB_EVENT_VERDICT);
	lb_events_add(e, &(struct lb_event){.type = LB_EVENT_STARTED});
	lb_events_add(beside, &(struct lb_event){.type = LB_EVENT_CONNECTIONS});
	lb_events_add(beside, &(struct lb_event){.type = LB_EVENT_VERDICT, .verdict = "forwarded"});
	lb_events_add(e, &(struct lb_event){.type = LB_EVENT_HEALTH});
	check_types(both, "started health connections! verdict! ");
	check_types(one, "health verdict! ");
	text = read_all(sse, 4096);
	assert_null(strstr(text, "id:"));
	assert_ptr_equal(strstr(text, "event: verdict\ndata: {\"time\":"), text);
	free(text);
	add(e, 0, LB_EVENTS_RING + 5);
	for (int i = 0; i < LB_EVENTS_RING + 5; i++)
		lb_events_add(beside, &(struct lb_event){.type = LB_EVENT_CONNECTIONS});
	check_types(one, "lost lost! "); /* what is gone may have been for it */
	lb_events_reader_free(both);
	lb_events_reader_free(one);
	lb_events_reader_free(sse);
	lb_events_free(beside);
	lb_events_free(e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_members),
		cmocka_unit_test(test_after),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_lost),
		cmocka_unit_test(test_beside),
	};

	return cmocka_run_group_tests_name("events", tests, NULL, NULL);
}
