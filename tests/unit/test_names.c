/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Backends that are DNS names: how they are written, and what becomes of them as answers come. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>

#include "document.h"
#include "model_conf.h"
#include "names.h"

#define S 1000000000ULL

/* ---- texts ---- */

static void test_texts(void **state)
{
	static const struct {
		const char *text, *is; /* NULL: refused */
		bool name;
	} cases[] = {
		{"db.example.org:5432", "db.example.org:5432", true},
		{"DB.Example.ORG.", "db.example.org", true},
		{"DB.example.org.:80", "db.example.org:80", true},
		{"issuer1", "issuer1", true},
		{"_http._tcp.example:80", "_http._tcp.example:80", true},
		{"1.2.3.example", "1.2.3.example", true},
		{"10.0.0.1:80", "10.0.0.1:80", false},
		{"[2001:db8::1]:80", "[2001:db8::1]:80", false},
		{"2001:db8::1", "2001:db8::1", false},
		{"fd00::abc", "fd00::abc", false},
		{"10.0.0.300", NULL, false},
		{"10.0.0", NULL, false},
		{"80", NULL, false},
		{"", NULL, false},
		{".", NULL, false},
		{"db..example", NULL, false},
		{"db example", NULL, false},
		{"db.example:0", NULL, true},
		{"db.example:65536", NULL, true},
		{"db.example:", NULL, true},
		{"db.example:http", NULL, true},
		{"http://db.example", NULL, false},
		{"fe80::1%eth0", NULL, false},
		{"ff02::1", "ff02::1", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct lb_backend_conf b = {0};
		struct lb_err err = {0};
		char buf[LB_BACKEND_STRLEN];
		int ret = lb_backend_parse(cases[i].text, &b.address, &b.name, &err);

		if (!ret != !!cases[i].is || (!ret && lb_backend_is_name(&b) != cases[i].name))
			fail_msg("%s: %d", cases[i].text, ret);
		if (!ret)
			assert_string_equal(lb_backend_format(&b, buf), cases[i].is);
		free(b.name);
	}
}

/* 253 bytes are a name, with or without the dot at the end; one more is none. */
static void test_long(void **state)
{
	char text[300] = "", buf[LB_BACKEND_STRLEN];
	struct lb_backend_conf b = {0};
	struct lb_endpoint key;
	struct lb_err err;

	for (int i = 0; i < 4; i++)
		for (int k = 0; k < 64; k++)
			strcat(text, k == 63 ? "." : "a");
	text[253] = '\0';
	assert_int_equal(lb_backend_parse(text, &b.address, &b.name, &err), 0);
	assert_string_equal(lb_backend_format(&b, buf), text);
	free(b.name);
	strcat(text, ".");
	assert_int_equal(lb_backend_key(text, &key, &err), 0);
	assert_memory_equal(&key, &b.address, sizeof(key));
	strcat(text, ":65535");
	assert_int_equal(lb_backend_key(text, &key, &err), 0);
	memset(text + 254, 0, sizeof(text) - 254);
	text[253] = 'a';
	assert_int_equal(lb_backend_key(text, &key, &err), -EINVAL);
}

/* ---- what becomes of them ---- */

struct world {
	struct lb_config *c, *now; /* as it is written; as it has become */
	struct lb_answers answers;
	struct lb_answer list[4];
	struct lb_drains drains;
	size_t left_out;
};

static struct lb_config *read_config(const char *text)
{
	struct lb_config *c = NULL;
	struct lb_err err = {0};

	if (lb_document_read(text, strlen(text), NULL, &c, &err))
		fail_msg("%s", lb_err_str(&err));
	return c;
}

static void begin(struct world *w, const char *text)
{
	memset(w, 0, sizeof(*w));
	w->answers.list = w->list;
	w->c = read_config(text);
}

static int by_addr(const void *a, const void *b)
{
	return memcmp(a, b, 16);
}

/* @addrs: separated by blanks. Names in order. */
static void answer(struct world *w, size_t i, const char *name, const char *addrs)
{
	char copy[512], *rest = copy, *one;
	struct lb_answer *a = &w->list[i];
	struct lb_err err;

	if (w->answers.nr <= i)
		w->answers.nr = i + 1;
	strcpy(a->name, name);
	free(a->addrs);
	a->addrs = calloc(64, sizeof(*a->addrs));
	a->nr = 0;
	strcpy(copy, addrs);
	while ((one = strsep(&rest, " ")))
		if (*one)
			assert_int_equal(lb_addr_parse(one, a->addrs[a->nr++], &err), 0);
	qsort(a->addrs, a->nr, sizeof(*a->addrs), by_addr);
}

static void expand(struct world *w)
{
	struct lb_config *was = w->now;
	struct lb_drains drains;

	w->now = lb_config_copy(w->c);
	assert_non_null(w->now);
	assert_int_equal(lb_names_expand(w->now, w->c, was, &w->answers, &w->drains, &w->left_out), 0);
	assert_int_equal(lb_drains_make(&w->drains, w->now, 5 * S, &drains), 0);
	lb_drains_fini(&w->drains);
	w->drains = drains;
	lb_config_free(was);
}

/* "10.0.0.1:80 10.0.0.2:80-" of the service: those that leave have a dash. */
static void assert_backends(const struct world *w, const char *service, const char *wanted)
{
	const struct lb_service_conf *s = lb_config_service(w->now, service);
	char got[1024] = "", text[LB_BACKEND_STRLEN];

	for (size_t i = 0; i < s->nr_backends; i++) {
		const struct lb_backend_conf *b = &s->backends[i];

		sprintf(got + strlen(got), "%s%s%s", i ? " " : "", lb_backend_format(b, text), b->leaving ? "-" : "");
		assert_true(!b->leaving || b->admin == LB_ADMIN_DRAINING);
	}
	assert_string_equal(got, wanted);
}

static void end(struct world *w)
{
	for (size_t i = 0; i < w->answers.nr; i++)
		free(w->list[i].addrs);
	lb_drains_fini(&w->drains);
	lb_config_free(w->now);
	lb_config_free(w->c);
}

static void ended(struct world *w, const char *address)
{
	struct lb_endpoint ep;
	struct lb_drain *d;
	struct lb_err err;

	assert_int_equal(lb_endpoint_parse(address, &ep, &err), 0);
	d = lb_drains_find(&w->drains, "web", &ep);
	assert_non_null(d);
	d->end = LB_DRAIN_EMPTY;
}

#define WEB(backends) "services: [{name: web, vip: 192.0.2.10:80, backends: [" backends "]}]"

static void test_coming_and_leaving(void **state)
{
	const struct lb_backend_conf *b;
	struct world w;

	begin(&w, WEB("10.0.0.9:80, {address: 'app.example:80', weight: 7, tier: 2}"));
	expand(&w);
	assert_backends(&w, "web", "10.0.0.9:80");
	answer(&w, 0, "app.example", "10.0.0.2 10.0.0.1 2001:db8::1");
	expand(&w);
	assert_backends(&w, "web", "10.0.0.1:80 10.0.0.2:80 10.0.0.9:80 [2001:db8::1]:80");
	b = &lb_config_service(w.now, "web")->backends[0];
	assert_true(b->weight == 7 && b->tier == 2 && b->admin == LB_ADMIN_ENABLED);
	assert_string_equal(b->name, "app.example");
	assert_null(lb_config_service(w.now, "web")->backends[2].name);
	/* The same again changes nothing. */
	answer(&w, 0, "app.example", "2001:db8::1 10.0.0.1 10.0.0.2");
	expand(&w);
	assert_backends(&w, "web", "10.0.0.1:80 10.0.0.2:80 10.0.0.9:80 [2001:db8::1]:80");
	answer(&w, 0, "app.example", "10.0.0.2 10.0.0.3");
	expand(&w);
	assert_backends(&w, "web", "10.0.0.1:80- 10.0.0.2:80 10.0.0.3:80 10.0.0.9:80 [2001:db8::1]:80-");
	expand(&w);
	assert_backends(&w, "web", "10.0.0.1:80- 10.0.0.2:80 10.0.0.3:80 10.0.0.9:80 [2001:db8::1]:80-");
	ended(&w, "[2001:db8::1]:80");
	expand(&w);
	assert_backends(&w, "web", "10.0.0.1:80- 10.0.0.2:80 10.0.0.3:80 10.0.0.9:80");
	/* It is back before its drain is over. */
	answer(&w, 0, "app.example", "10.0.0.1 10.0.0.2");
	expand(&w);
	assert_backends(&w, "web", "10.0.0.1:80 10.0.0.2:80 10.0.0.3:80- 10.0.0.9:80");
	/* Gone for good with the name. */
	lb_config_free(w.c);
	w.c = read_config(WEB("10.0.0.9:80"));
	expand(&w);
	assert_backends(&w, "web", "10.0.0.9:80");
	end(&w);
}

/* What no service can use is left out, each by its own measure. */
static void test_fitting(void **state)
{
	struct lb_service_conf *full;
	struct world w;

	begin(&w, "services:\n"
		  "  - {name: any, vip: 192.0.2.10:80, backends: [10.0.0.3, app.example]}\n"
		  "  - {name: l2, vip: 192.0.2.11:80, forward: l2, backends: [app.example]}\n"
		  "  - {name: l6, vip: '[2001:db8::10]:80', forward: l2, backends: [app.example]}\n"
		  "  - {name: full, vip: 192.0.2.12:80, backends: [app.example]}\n");
	full = lb_config_service(w.c, "full");
	full->forward = LB_FORWARD_FULLNAT;
	full->snat = calloc(1, sizeof(*full->snat));
	full->snat[0][0] = 0xfd;
	full->nr_snat = 1;
	answer(&w, 0, "app.example",
	       "10.0.0.1 10.0.0.3 192.0.2.11 127.0.0.1 0.0.0.0 224.0.0.1 ff02::1 ::1 fe80::1 2001:db8::1");
	expand(&w);
	assert_backends(&w, "any", "10.0.0.1 10.0.0.3 192.0.2.11 2001:db8::1");
	assert_backends(&w, "l2", "10.0.0.1 10.0.0.3");
	assert_backends(&w, "l6", "2001:db8::1");
	assert_backends(&w, "full", "2001:db8::1");
	assert_int_equal(w.left_out, 7 + 8 + 9 + 9);
	end(&w);
}

static void test_limit(void **state)
{
	struct world w;

	begin(&w, "resolver: {max_addresses: 2}\n" WEB("10.0.0.9, a.example, b.example"));
	answer(&w, 0, "a.example", "10.0.0.5 10.0.0.4 10.0.0.6 10.0.0.3");
	answer(&w, 1, "b.example", "10.0.0.4 10.0.0.7");
	expand(&w);
	assert_backends(&w, "web", "10.0.0.3 10.0.0.4 10.0.0.7 10.0.0.9");
	assert_int_equal(w.left_out, 3);
	/* One that is lower takes the place of the highest, which is drained. */
	answer(&w, 0, "a.example", "10.0.0.5 10.0.0.4 10.0.0.6 10.0.0.3 10.0.0.1");
	expand(&w);
	assert_backends(&w, "web", "10.0.0.1 10.0.0.3 10.0.0.4 10.0.0.7 10.0.0.9");
	end(&w);
}

/* An address of two names is the first one's; when that lets go of it, it is the other one's, and never leaves. */
static void test_two_names(void **state)
{
	const struct lb_service_conf *s;
	struct world w;

	begin(&w, WEB("a.example, {address: b.example, weight: 3}"));
	answer(&w, 0, "a.example", "10.0.0.1 10.0.0.2");
	answer(&w, 1, "b.example", "10.0.0.1 10.0.0.2");
	expand(&w);
	assert_backends(&w, "web", "10.0.0.1 10.0.0.2");
	for (int i = 0; i < 2; i++) {
		answer(&w, (size_t)i, i ? "b.example" : "a.example", "10.0.0.2");
		answer(&w, (size_t)!i, i ? "a.example" : "b.example", "10.0.0.1");
		expand(&w);
		assert_backends(&w, "web", "10.0.0.1 10.0.0.2");
		s = lb_config_service(w.now, "web");
		assert_string_equal(s->backends[1].name, i ? "b.example" : "a.example");
		assert_int_equal(s->backends[0].weight, i ? 100 : 3);
	}
	end(&w);
}

/* One name with two ports is two backends, also while nobody answers. */
static void test_two_ports(void **state)
{
	const struct lb_service_conf *s;
	struct world w;

	begin(&w, "services: [{name: web, vip: 192.0.2.10:80, forward: nat, backends: "
		  "[{address: 'a.example:80', weight: 10}, {address: 'a.example:81', weight: 20}]}]");
	answer(&w, 0, "a.example", "10.0.0.1 10.0.0.2");
	for (int i = 0; i < 2; i++) {
		expand(&w);
		assert_backends(&w, "web", "10.0.0.1:80 10.0.0.1:81 10.0.0.2:80 10.0.0.2:81");
		s = lb_config_service(w.now, "web");
		for (size_t k = 0; k < 4; k++)
			assert_int_equal(s->backends[k].weight, k % 2 ? 20 : 10);
		free(w.list[0].addrs);
		w.list[0].addrs = NULL;
		w.answers.nr = 0; /* nobody has answered since we began */
	}
	end(&w);
}

/* A name that is drained or disabled is so with all of its addresses. */
static void test_state(void **state)
{
	struct world w;

	begin(&w, WEB("{address: a.example, state: disabled}"));
	answer(&w, 0, "a.example", "10.0.0.1 10.0.0.2");
	expand(&w);
	assert_int_equal(lb_config_service(w.now, "web")->backends[1].admin, LB_ADMIN_DISABLED);
	lb_config_service(w.c, "web")->backends[0].admin = LB_ADMIN_DRAINING;
	expand(&w);
	assert_int_equal(lb_config_service(w.now, "web")->backends[1].admin, LB_ADMIN_DRAINING);
	assert_backends(&w, "web", "10.0.0.1 10.0.0.2");
	answer(&w, 0, "a.example", "10.0.0.2");
	expand(&w);
	assert_backends(&w, "web", "10.0.0.1- 10.0.0.2");
	lb_config_service(w.c, "web")->backends[0].admin = LB_ADMIN_ENABLED;
	expand(&w);
	assert_backends(&w, "web", "10.0.0.1- 10.0.0.2");
	assert_int_equal(lb_config_service(w.now, "web")->backends[1].admin, LB_ADMIN_ENABLED);
	end(&w);
}

/* Another daemon begins with what was kept, until somebody answers. */
static void test_restart(void **state)
{
	static const struct lb_resolved kept[] = {
		{"web", "a.example", {.addr = {[10] = 0xff, 0xff, 10, 0, 0, 1}}, false},
		{"web", "a.example", {.addr = {[10] = 0xff, 0xff, 10, 0, 0, 2}}, true},
		{"web", "gone.example", {.addr = {[10] = 0xff, 0xff, 10, 0, 0, 3}}, false},
		{"nil", "a.example", {.addr = {[10] = 0xff, 0xff, 10, 0, 0, 4}}, false},
		{"web", "a.example", {.addr = {[10] = 0xff, 0xff, 127, 0, 0, 1}}, false},
	};
	struct world w;

	begin(&w, WEB("10.0.0.9, a.example"));
	w.now = lb_names_restore(w.c, kept, sizeof(kept) / sizeof(*kept));
	assert_non_null(w.now);
	expand(&w);
	assert_backends(&w, "web", "10.0.0.1 10.0.0.2- 10.0.0.9");
	expand(&w);
	assert_backends(&w, "web", "10.0.0.1 10.0.0.2- 10.0.0.9");
	answer(&w, 0, "a.example", "10.0.0.2 10.0.0.5");
	expand(&w);
	assert_backends(&w, "web", "10.0.0.1- 10.0.0.2 10.0.0.5 10.0.0.9");
	end(&w);
}

/* The tables are full: those that there is no room for are left out, and nothing is refused. */
static void test_room(void **state)
{
	const uint32_t nr = LB_MAX_BACKENDS - 1 - 2;
	struct lb_service_conf *s;
	struct world w;

	begin(&w, "services: [{name: big, vip: 192.0.2.11:80, backends: []}, {name: web, vip: 192.0.2.10:80, backends: "
		  "[a.example]}]");
	s = lb_config_service(w.c, "big");
	s->backends = calloc(nr, sizeof(*s->backends));
	s->nr_backends = nr;
	for (uint32_t i = 0; i < nr; i++) {
		s->backends[i].address = conf_ep(1);
		s->backends[i].address.addr[13] = (uint8_t)(1 + (i >> 16));
		s->backends[i].address.addr[14] = (uint8_t)(i >> 8);
		s->backends[i].address.addr[15] = (uint8_t)i;
	}
	answer(&w, 0, "a.example", "10.0.0.1 10.0.0.2 10.0.0.3");
	expand(&w);
	assert_backends(&w, "web", "10.0.0.1 10.0.0.2");
	assert_int_equal(w.left_out, 1);
	end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_coming_and_leaving),
		cmocka_unit_test(test_fitting),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_two_names),
		cmocka_unit_test(test_two_ports),
		cmocka_unit_test(test_state),
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
