// SPDX-License-Identifier: GPL-2.0-or-later
/* What is saved is what is read again, whatever of it was kept from the time before. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../../userspace/lbd/store.c"
#include "model_conf.h"
#include "random.h"

static char dir[] = "/tmp/lb_store_XXXXXX";
static void change_backend(struct lb_backend_conf *b)
{
	b->weight = below(200);
	b->tier = below(3);
	b->admin = (enum lb_admin)below(3);
}

static void change(struct lb_config *c)
{
	char name[LB_NAME_MAX] = {(char)('a' + below(6))};
	struct lb_service_conf *s = lb_config_service(c, name);
	struct lb_iface_conf iface = {.name = "eth0"};
	uint32_t n = 1 + below(5);
	struct lb_err err;

	if (!below(15)) {
		c->defaults.check.interval_ns = (2 + below(3)) * 1000000000ULL;
	} else if (!below(15)) {
		if (lb_config_add_iface(c, &iface, &err))
			assert_int_equal(lb_config_del_iface(c, iface.name, &err), 0);
	} else if (!s) {
		s = conf_service(c, name, below(2) ? LB_CHECK_TCP : LB_CHECK_NONE);
		lb_service_conf_fini(s);
		assert_int_equal(lb_service_conf_copy(s, &c->defaults), 0);
		strcpy(s->name, name);
		s->vips = calloc(1, sizeof(*s->vips));
		s->nr_vips = 1;
		s->vips[0] = (struct lb_vip_conf){
			.vip = {.addr = {[10] = 0xff, [11] = 0xff, [12] = 192, [15] = (uint8_t)name[0]},
				.port = htons(80),
				.proto = 6},
			.plen = 128};
	} else if (!below(8)) {
		/* What a JSON text must escape. */
		snprintf(s->check.body, sizeof(s->check.body), "%s", below(2) ? "a\"b\\c" : "\xc3\xa4");
	} else if (!below(5)) {
		assert_int_equal(lb_config_del_service(c, name, &err), 0);
	} else if (conf_find(c, name, n)) {
		if (below(2))
			conf_del(c, name, n);
		else
			change_backend(conf_find(c, name, n));
	} else {
		conf_backend(c, name, n);
	}
}

/* A service's text is what the tree of the whole says of it, also where most of it is an older one's. */
static void expect_texts(const struct lb_store *store, const struct lb_config *c)
{
	json_t *root = lb_document_config(c), *list = json_object_get(root, "services");

	assert_int_equal(json_array_size(list), c->nr_services);
	for (size_t i = 0; i < c->nr_services; i++) {
		char *want = json_dumps(json_array_get(list, i), JSON_COMPACT);
		struct lb_service_text got;

		assert_int_equal(lb_document_service_text(c, &c->services[i], NULL, NULL, &got), 0);
		assert_string_equal(got.at, want);
		assert_string_equal(store->pieces[i]->text.at, want);
		lb_service_text_fini(&got);
		free(want);
	}
	json_decref(root);
}

static void expect(const struct lb_config *c, uint64_t generation)
{
	struct lb_state found = {0};
	struct lb_err err = {0};

	if (lb_store_load(dir, &found, &err))
		fail_msg("%s", lb_err_str(&err));
	assert_int_equal(lb_config_diff(c, found.config, NULL, NULL), 0);
	assert_int_equal(found.generation, generation);
	assert_string_equal(found.fingerprint, "0123456789abcdef");
	lb_config_free(found.config);
	lb_drains_fini(&found.drains);
}

static void test_random(void **state)
{
	struct lb_store *store = lb_store_new(dir);
	struct lb_config *c = conf_new();
	size_t kept = 0;

	for (uint64_t i = 0; i < 400; i++) {
		struct lb_state s = {.config = c, .generation = i, .fingerprint = "0123456789abcdef"};
		struct piece *before = store->nr ? store->pieces[0] : NULL;
		struct lb_err err;

		assert_int_equal(lb_store_save(store, &s, &err), 0);
		expect_texts(store, c);
		kept += store->nr && store->pieces[0] == before;
		expect(c, i);
		if (below(4))
			change(c);
	}
	assert_true(kept > 100);
	lb_store_free(store);
	lb_config_free(c);
}

/* What cannot be saved leaves what was. */
static void test_failure(void **state)
{
	struct lb_store *store = lb_store_new(dir);
	struct lb_config *c = conf_new();
	struct lb_state s = {.config = c, .generation = 7, .fingerprint = "0123456789abcdef"};
	char blocker[64];
	struct lb_err err;

	assert_int_equal(lb_store_save(store, &s, &err), 0);
	snprintf(blocker, sizeof(blocker), "%s/state.json.new", dir);
	assert_int_equal(mkdir(blocker, 0700), 0);
	s.generation = 8;
	assert_int_equal(lb_store_save(store, &s, &err), -EIO);
	expect(c, 7);
	assert_int_equal(rmdir(blocker), 0);
	assert_int_equal(lb_store_save(store, &s, &err), 0);
	expect(c, 8);
	lb_store_free(store);
	lb_store_free(NULL);
	lb_config_free(c);
}

static int refuse(const char *drains)
{
	struct lb_state found = {0};
	struct lb_err err = {0};
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "%s/state.json", dir);
	f = fopen(path, "w");
	fprintf(f, "{\"format\":1,\"generation\":3,\"config_file\":\"\",%s\"config\":{}}", drains);
	fclose(f);
	if (!lb_store_load(dir, &found, &err)) {
		lb_config_free(found.config);
		lb_drains_fini(&found.drains);
		return 0;
	}
	assert_null(found.config);
	assert_null(found.drains.list);
	assert_non_null(strstr(lb_err_str(&err), "draining backends"));
	return -1;
}

/* Drains are in the state with the configuration that they belong to. */
static void test_drains(void **state)
{
	struct lb_drain list[2] = {
		{.service = "a", .address = conf_ep(1), .since_ns = 1234567000000},
		{.service = "web", .address = conf_ep(2), .since_ns = 9000000, .end = LB_DRAIN_TIMEOUT},
	};
	struct lb_store *store = lb_store_new(dir);
	struct lb_config *c = conf_new();
	struct lb_state s = {.config = c, .generation = 7, .fingerprint = "", .drains = {list, 2}}, found = {0};
	struct lb_err err;

	list[1].address.port = 0;
	assert_int_equal(lb_store_save(store, &s, &err), 0);
	assert_int_equal(lb_store_load(dir, &found, &err), 0);
	assert_int_equal(found.drains.nr, 2);
	for (size_t i = 0; i < 2; i++) {
		assert_string_equal(found.drains.list[i].service, list[i].service);
		assert_memory_equal(&found.drains.list[i].address, &list[i].address, sizeof(list[i].address));
		assert_true(found.drains.list[i].since_ns == list[i].since_ns);
		assert_int_equal(found.drains.list[i].end, list[i].end);
	}
	lb_config_free(found.config);
	lb_drains_fini(&found.drains);
	/* A state of before drains were kept. */
	assert_int_equal(refuse(""), 0);
	assert_int_equal(refuse("\"drains\":[],"), 0);
	assert_int_equal(refuse("\"drains\":{},"), -1);
	assert_int_equal(refuse("\"drains\":[1],"), -1);
	assert_int_equal(
		refuse("\"drains\":[{\"service\":\"a\",\"backend\":\"10.0.0.1\",\"since_ms\":1,\"end\":\"no\"}],"), -1);
	assert_int_equal(refuse("\"drains\":[{\"service\":\"a\",\"backend\":\"x\",\"since_ms\":1,\"end\":\"\"}],"), -1);
	assert_int_equal(
		refuse("\"drains\":[{\"service\":\"a\",\"backend\":\"10.0.0.1\",\"since_ms\":-1,\"end\":\"\"}],"), -1);
	assert_int_equal(
		refuse("\"drains\":[{\"service\":\"a\",\"backend\":\"10.0.0.1\",\"since_ms\":1,\"end\":\"\"}],"), 0);
	lb_store_free(store);
	lb_config_free(c);
}

/* So are the addresses of names, one by one. */
static void test_resolved(void **state)
{
	struct lb_backend_conf b = {.address = conf_ep(1), .weight = 7, .name = (char *)"a.example", .leaving = true};
	struct lb_config *c = conf_new(), *expanded = conf_new();
	struct lb_state s = {.config = c, .generation = 7, .fingerprint = "", .expanded = expanded}, found = {0};
	struct lb_store *store = lb_store_new(dir);
	struct lb_service_conf *web = conf_service(expanded, "web", LB_CHECK_NONE);
	struct lb_err err;

	conf_backend(expanded, "web", 2); /* written as an address */
	assert_int_equal(lb_service_conf_add_backend(web, &b, &err), 0);
	assert_int_equal(lb_store_save(store, &s, &err), 0);
	assert_int_equal(lb_store_load(dir, &found, &err), 0);
	assert_int_equal(found.nr_resolved, 1);
	assert_string_equal(found.resolved[0].service, "web");
	assert_string_equal(found.resolved[0].name, "a.example");
	assert_memory_equal(&found.resolved[0].address, &b.address, sizeof(b.address));
	assert_true(found.resolved[0].leaving);
	free(found.resolved);
	lb_config_free(found.config);
	lb_drains_fini(&found.drains);
	assert_int_equal(refuse("\"resolved\":[],"), 0);
	assert_int_equal(refuse("\"resolved\":{},"), -1);
	assert_int_equal(refuse("\"resolved\":[1],"), -1);
	assert_int_equal(refuse("\"resolved\":[{\"service\":\"a\",\"name\":\"b\",\"address\":\"10.0.0.1\"}],"), -1);
	assert_int_equal(refuse("\"resolved\":[{\"service\":\"a\",\"name\":\"b\",\"address\":\"x\",\"leaving\":true}],"), -1);
	lb_store_free(store);
	lb_config_free(c);
	lb_config_free(expanded);
}

static int make_dir(void **state)
{
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/state.json", dir);
	unlink(path);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_failure),
		cmocka_unit_test(test_drains),
		cmocka_unit_test(test_resolved),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
