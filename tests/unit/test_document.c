/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The configuration's text: golden files, the parts that the API reads, and properties over random configurations and
 * broken texts. Run from the repository's root. What the dataplane is still to get is in test_features.c.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <glob.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fields_priv.h"
#include "golden.h"

#define GOLDEN "tests/golden/document"

static void test_golden(void **state)
{
	assert_true(check_goldens(GOLDEN) >= 90);
}

static void test_examples(void **state)
{
	glob_t files;

	assert_int_equal(glob("docs/examples/*.yaml", 0, NULL, &files), 0);
	assert_true(files.gl_pathc >= 3);
	for (size_t i = 0; i < files.gl_pathc; i++) {
		struct lb_config *c;
		struct lb_err err = {0};
		size_t len;
		char *text = slurp(files.gl_pathv[i], &len);

		assert_non_null(text);
		if (read_text(text, len, files.gl_pathv[i], &c, &err))
			fail_msg("%s", lb_err_str(&err));
		assert_true(c->nr_services > 0 && c->services[0].nr_backends > 0);
		check_fixed_point(c);
		lb_config_free(c);
		free(text);
	}
	globfree(&files);
}

/* ---- what is read ---- */

static void test_values(void **state)
{
	static const char text[] =
		"hash_key: 00000000000000ff\n"
		"tunnel_source: 10.200.0.0/16\n"
		"learning_window: 1m\n"
		"services:\n"
		"  - name: web\n"
		"    vip: 192.0.2.10:80/udp\n"
		"    forward: l2\n"
		"    check: {type: http, expect_status: 200-299, port: 81, timeout: 250ms}\n"
		"    backends: [{address: 10.0.0.2, weight: 5, tier: 1, state: draining}, 10.0.0.1]\n";
	struct lb_config *c;
	const struct lb_service_conf *s;
	char buf[LB_ADDR_STRLEN];

	assert_int_equal(read_text(text, sizeof(text) - 1, NULL, &c, NULL), 0);
	assert_true(c->has_hash_key);
	assert_true(c->hash_key[0] == 0xff && c->hash_key[1]);
	assert_string_equal(lb_prefix_format(&c->tunnel_source4, buf), "10.200.0.0/16");
	assert_int_equal(c->tunnel_source6.plen, 0);
	assert_true(c->learning_window_ns == 60000000000);
	s = lb_config_service(c, "web");
	assert_non_null(s);
	assert_int_equal(s->nr_vips, 1);
	assert_int_equal(s->vips[0].vip.proto, IPPROTO_UDP);
	assert_int_equal(ntohs(s->vips[0].vip.port), 80);
	assert_int_equal(s->forward, LB_FORWARD_L2);
	assert_int_equal(s->state, LB_STATE_AUTO);
	assert_int_equal(s->check.type, LB_CHECK_HTTP);
	assert_int_equal(s->check.status.nr, 1);
	assert_int_equal(s->check.status.range[0].min, 200);
	assert_int_equal(s->check.status.range[0].max, 299);
	assert_int_equal(s->check.port, 81);
	assert_true(s->check.timeout_ns == 250000000 && s->check.interval_ns == 2000000000);
	assert_int_equal(s->check.rise, 2);
	assert_int_equal(s->check.fall, 3);
	assert_string_equal(s->check.path, "/");
	assert_int_equal(s->nr_backends, 2);
	assert_string_equal(lb_endpoint_format(&s->backends[0].address, buf), "10.0.0.1");
	assert_int_equal(s->backends[0].weight, 100);
	assert_int_equal(s->backends[1].weight, 5);
	assert_int_equal(s->backends[1].tier, 1);
	assert_int_equal(s->backends[1].admin, LB_ADMIN_DRAINING);
	lb_config_free(c);
}

/* ---- errors that are found later ---- */

static void test_locate(void **state)
{
	static const char text[] = "# two\ninterfaces:\n  - {name: eth0}\n  - name: eth1\n";
	struct lb_err err;

	lb_err_set(&err, -ENODEV, "interfaces[eth1]", "there is no interface eth1");
	lb_document_locate(text, sizeof(text) - 1, "a.yaml", &err);
	assert_int_equal(err.code, -ENODEV);
	assert_string_equal(lb_err_str(&err), "a.yaml:4: interfaces[1]: there is no interface eth1");
	lb_err_set(&err, -ENODEV, "interfaces[eth0]", "is in use");
	lb_document_locate(text, sizeof(text) - 1, NULL, &err);
	assert_string_equal(lb_err_str(&err), "interfaces[0]: is in use");
	/* What the text does not have, and what is about something else, stays. */
	lb_err_set(&err, -ENODEV, "interfaces[eth2]", "is in use");
	lb_document_locate(text, sizeof(text) - 1, "a.yaml", &err);
	assert_string_equal(lb_err_str(&err), "interfaces[eth2]: is in use");
	lb_err_set(&err, -EINVAL, "services[a]", "no");
	lb_document_locate(text, sizeof(text) - 1, "a.yaml", &err);
	assert_string_equal(lb_err_str(&err), "services[a]: no");
	lb_err_set(&err, -EINVAL, "interfaces[eth0]", "no");
	lb_document_locate("{", 1, "a.yaml", &err);
	assert_string_equal(lb_err_str(&err), "interfaces[eth0]: no");
}

/* ---- the API's parts ---- */

static void expect_err(int ret, const struct lb_err *err, const char *want)
{
	assert_int_equal(ret, -EINVAL);
	assert_string_equal(lb_err_str(err), want);
}

#define TEXT(s) (s), strlen(s)

static void test_service_part(void **state)
{
	struct lb_config *c = lb_config_new();
	struct lb_service_conf s, t;
	struct lb_err err;
	char *full;
	json_t *json;
	int ret;

	assert_non_null(c);
	c->defaults.panic_threshold = 40;
	ret = lb_document_read_service(
		TEXT("{\"name\":\"web\",\"vip\":\"192.0.2.10:80\",\"check\":\"tcp\",\"backends\":"
		     "[\"10.0.0.2\",{\"address\":\"10.0.0.1\",\"weight\":3}]}"),
		&c->defaults, &s, &err);
	assert_int_equal(ret, 0);
	assert_int_equal(s.panic_threshold, 40);
	assert_int_equal(s.backends[0].weight, 3);

	/* A patch changes the keys it has... */
	ret = lb_document_patch_service(TEXT("{\"check\":{\"interval\":\"5s\"},\"forward\":\"l2\"}"), &s, &err);
	assert_int_equal(ret, 0);
	assert_int_equal(s.check.type, LB_CHECK_TCP);
	assert_true(s.check.interval_ns == 5000000000);
	assert_int_equal(s.forward, LB_FORWARD_L2);
	assert_int_equal(s.nr_backends, 2);
	/* ...replaces lists, and may say the name it has. */
	ret = lb_document_patch_service(TEXT("name: web\nbackends: [10.0.0.7]\nvip: [192.0.2.12:80, 192.0.2.11:80]"),
					&s, &err);
	assert_int_equal(ret, 0);
	assert_int_equal(s.nr_backends, 1);
	assert_int_equal(s.nr_vips, 2);
	assert_int_equal(s.vips[0].vip.addr[15], 11);

	/* A timeout that is not in it follows an interval that is shorter. */
	ret = lb_document_patch_service(TEXT("{\"check\":{\"interval\":\"500ms\"}}"), &s, &err);
	assert_int_equal(ret, 0);
	assert_true(s.check.interval_ns == 500000000 && s.check.timeout_ns == 500000000);

	/* What the encoder writes is read back as the same, whatever the defaults are. */
	json = lb_document_service(&s);
	full = json_dumps(json, 0);
	c->defaults.check.port = 99;
	strcpy(c->defaults.check.body, "something");
	assert_int_equal(lb_document_read_service(TEXT(full), &c->defaults, &t, &err), 0);
	assert_memory_equal(&s.check, &t.check, sizeof(s.check));
	assert_int_equal(s.panic_threshold, t.panic_threshold);
	assert_memory_equal(s.vips, t.vips, 2 * sizeof(*s.vips));
	lb_service_conf_fini(&t);
	json_decref(json);
	free(full);

	/* A refusal changes nothing and has neither file nor line. */
	ret = lb_document_patch_service(TEXT("{\"backends\":[],\"check\":{\"port\":70000}}"), &s, &err);
	expect_err(ret, &err, "check.port: 70000 is not a port (1-65535)");
	assert_int_equal(s.nr_backends, 1);
	ret = lb_document_patch_service(TEXT("{\"name\":\"api\"}"), &s, &err);
	expect_err(ret, &err, "name: cannot be changed from web; remove it and add another");
	ret = lb_document_patch_service(TEXT("{\"backends\":[{\"weight\":3}]}"), &s, &err);
	expect_err(
		ret, &err,
		"backends[0]: has no address; write an address, or a mapping such as {address: 10.0.0.1, weight: 100}");
	ret = lb_document_patch_service(TEXT("[]"), &s, &err);
	expect_err(ret, &err, "must be a mapping such as {name: web, vip: 192.0.2.10:80/tcp, backends: [10.0.0.1]}");
	ret = lb_document_read_service(TEXT(""), &c->defaults, &t, &err);
	expect_err(ret, &err,
		   "must be a mapping such as {name: web, vip: 192.0.2.10:80/tcp, backends: [10.0.0.1]}, and is empty");
	ret = lb_document_read_service(TEXT("{\"name\": \"x\","), &c->defaults, &t, &err);
	assert_int_equal(ret, -EINVAL);
	assert_string_equal(err.path, "");
	assert_int_equal(lb_document_read_service(TEXT("{"), &c->defaults, &t, NULL), -EINVAL);
	lb_service_conf_fini(&s);
	lb_config_free(c);
}

static void test_backend_part(void **state)
{
	struct lb_backend_conf b;
	struct lb_err err;
	char *text;
	json_t *json;

	assert_int_equal(lb_document_read_backend(TEXT("\"10.0.0.1:80\""), &b, &err), 0);
	assert_int_equal(b.weight, LB_WEIGHT_DEFAULT);
	assert_int_equal(lb_document_read_backend(TEXT("{\"address\":\"10.0.0.1\",\"tier\":2}"), &b, &err), 0);
	assert_int_equal(b.address.port, 0);
	assert_int_equal(b.tier, 2);
	assert_int_equal(lb_document_patch_backend(TEXT("{\"weight\":7,\"address\":\"10.0.0.1\"}"), &b, &err), 0);
	assert_int_equal(b.weight, 7);
	assert_int_equal(b.tier, 2);
	json = lb_document_backend(&b);
	text = json_dumps(json, 0);
	assert_string_equal(text, "{\"address\": \"10.0.0.1\", \"weight\": 7, \"tier\": 2, \"state\": \"enabled\", "
				  "\"server_id\": null}");
	json_decref(json);
	free(text);
	expect_err(lb_document_patch_backend(TEXT("{\"weigth\":7}"), &b, &err), &err,
		   "weigth: unknown key; did you mean weight?");
	expect_err(lb_document_patch_backend(TEXT("{\"address\":\"10.0.0.2\"}"), &b, &err), &err,
		   "address: cannot be changed from 10.0.0.1; remove it and add another");
	assert_int_equal(lb_document_patch_backend(TEXT("10.0.0.2"), &b, &err), -EINVAL);
	expect_err(lb_document_read_backend(TEXT("{\"weight\":1.5,\"address\":\"10.0.0.2\"}"), &b, &err), &err,
		   "weight: 1.5 is not a weight (0-65535)");
	assert_int_equal(b.weight, 7);
	assert_int_equal(b.address.addr[15], 1);
}

static void test_iface_part(void **state)
{
	struct lb_iface_conf i;
	struct lb_err err;
	char *text;
	json_t *json;

	assert_int_equal(lb_document_read_iface(TEXT("{\"name\":\"eth0\",\"mode\":\"native\"}"), &i, &err), 0);
	json = lb_document_iface(&i);
	text = json_dumps(json, 0);
	assert_string_equal(text, "{\"name\": \"eth0\", \"mode\": \"native\"}");
	json_decref(json);
	free(text);
	assert_int_equal(lb_document_read_iface(TEXT("{\"name\":\"eth0\"}"), &i, &err), 0);
	assert_int_equal(i.mode, LB_ATTACH_AUTO);
	expect_err(lb_document_read_iface(TEXT("{\"name\":\"eth0\",\"mode\":\"nativ\"}"), &i, &err), &err,
		   "mode: nativ is not a mode (auto, native, generic); did you mean native?");
}

static void test_nearest(void **state)
{
	static const char *const keys[] = {"name", "vip", "forward", "backends", "panic_threshold", "status", NULL};

	assert_string_equal(lb_nearest("backend", keys), "backends");
	assert_string_equal(lb_nearest("Panic-Threshold", keys), "panic_threshold");
	assert_string_equal(lb_nearest("panic", keys), "panic_threshold");
	assert_string_equal(lb_nearest("froward", keys), "forward");
	assert_string_equal(lb_nearest("stat", keys), "status");
	assert_string_equal(lb_nearest("vips", keys), "vip");
	assert_null(lb_nearest("colour", keys));
	assert_null(lb_nearest("", keys));
	assert_null(lb_nearest("x", keys));
	assert_null(lb_nearest("panic_threshold_panic_threshold_panic_threshold_panic_threshold_", keys));
}

/* ---- properties ---- */

static unsigned int seed;

static unsigned int upto(unsigned int n)
{
	return (unsigned int)rand_r(&seed) % n;
}

static void random_text(char *out, size_t max)
{
	static const char *const bits[] = {"a",
					   "Z",
					   "0",
					   "1",
					   ": ",
					   "#",
					   " ",
					   "-",
					   "\"",
					   "\\",
					   "'",
					   "{",
					   "]",
					   ",",
					   "&",
					   "*",
					   "!",
					   "%",
					   "@",
					   "`",
					   "null",
					   "yes",
					   "1e3",
					   "~",
					   "|",
					   ">",
					   "?",
					   "\xc3\xbc",
					   "\xe2\x80\xa8",
					   "\xc2\x85",
					   "\xef\xbb\xbf",
					   "\xf0\x9f\x98\x80",
					   "=",
					   "<<"};
	size_t len = 0, want = upto((unsigned int)max);

	for (;;) {
		const char *bit = bits[upto(sizeof(bits) / sizeof(bits[0]))];

		if (len + strlen(bit) > want || len + strlen(bit) >= max)
			break;
		memcpy(out + len, bit, strlen(bit));
		len += strlen(bit);
	}
	out[len] = '\0';
}

static void random_string(char **out, const char *const texts[3])
{
	if (upto(3))
		return;
	free(*out);
	*out = strdup(texts[upto(3)]);
	assert_non_null(*out);
}

/* As many of @texts as there happen to be. */
static void random_list(char (**list)[LB_CHECK_TEXT_MAX], size_t *nr, const char *const texts[3])
{
	if (upto(3))
		return;
	free(*list);
	*list = NULL;
	*nr = upto(4);
	if (!*nr)
		return;
	*list = calloc(*nr, LB_CHECK_TEXT_MAX);
	assert_non_null(*list);
	for (size_t i = 0; i < *nr; i++)
		strcpy((*list)[i], texts[upto(3)]);
}

#define TEXTS(...) ((const char *const[3]){__VA_ARGS__})

static void random_check_texts(struct lb_check_conf *k)
{
	random_string(&k->server_name, TEXTS("www.example.org", "2001:db8::1", "null"));
	random_string(&k->ca_file, TEXTS("/etc/ca.pem", "/a b: c", "/~"));
	random_string(&k->service, TEXTS("example.v1.Users", "{}", "no"));
	random_string(&k->name, TEXTS("example.org.", "_x.1", "."));
	random_string(&k->program, TEXTS("/bin/true", "/- x", "/#"));
	random_string(&k->send, TEXTS("\\x00\\x01", "a \\\\ \\r\\n", " "));
	random_string(&k->expect, TEXTS("pong", "#", "\xc3\xbc"));
	random_list(&k->headers, &k->nr_headers, TEXTS("A: b", "X-Y:z", "Accept: \"a, b\""));
	random_list(&k->args, &k->nr_args, TEXTS("", "none", "-x"));
	if (upto(3) == 0)
		strcpy(k->method, upto(2) ? "HEAD" : "OPTIONS");
	if (upto(3) == 0)
		assert_int_equal(lb_status_parse(upto(2) ? "204" : "301,200-299,500", &k->status, NULL), 0);
	k->verify ^= !upto(4);
	k->tls ^= !upto(4);
	k->record = (enum lb_dns_record)upto(2);
}

static void random_check(struct lb_check_conf *k)
{
	if (upto(2)) {
		k->type = (enum lb_check_type)upto(LB_CHECK_EXEC + 1);
		k->interval_ns = 1000000ULL * (1000 + upto(100000));
	}
	if (upto(2))
		k->timeout_ns = 1000000ULL * (1 + upto(1000));
	if (upto(3) == 0)
		k->port = (uint16_t)upto(65536);
	if (upto(3) == 0)
		k->rise = 1 + upto(10);
	if (upto(3) == 0) {
		k->flaps = upto(2) ? 0 : 2 + upto(15);
		k->flap_window_ns = (1 + upto(1000)) * 1000000000ULL;
		k->flap_hold_ns = (1 + upto(1000)) * 1000000000ULL;
		k->flap_hold_max_ns = (1 + upto(1000)) * 1000000000ULL;
	}
	if (upto(3) == 0)
		strcpy(k->path, upto(2) ? "/" : "/a?b=c#d:e%20");
	if (upto(3) == 0)
		strcpy(k->host, upto(2) ? "" : "[2001:db8::1]:80");
	if (upto(3) == 0)
		k->fast_interval_ns = upto(2) ? 0 : 1000000ULL * (10 + upto(1000));
	random_check_texts(k);
	if (upto(3) == 0)
		random_text(k->body, sizeof(k->body));
}

static void random_service(const struct lb_config *c, unsigned int n, struct lb_service_conf *s)
{
	static const char *const names[] = {"null", "yes", "1e5", "0x1f",    "1.5",
					    "web",  "_",   "12s", "1.2.3.4", "2001-01-01"};
	bool v6 = upto(2);

	assert_int_equal(lb_service_conf_copy(s, &c->defaults), 0);
	if (n < 10)
		strcpy(s->name, names[n]);
	else
		snprintf(s->name, sizeof(s->name), "svc-%u", n);
	s->nr_vips = 1 + upto(3);
	s->vips = calloc(s->nr_vips, sizeof(*s->vips));
	assert_non_null(s->vips);
	for (size_t i = 0; i < s->nr_vips; i++) {
		char text[LB_ADDR_STRLEN];

		snprintf(text, sizeof(text), v6 ? "[2001:db8::%x:%zx]:80/%s" : "192.0.%u.%zu:80/%s", n + 1, i + 1,
			 upto(2) ? "tcp" : "udp");
		assert_int_equal(lb_vip_parse(text, &s->vips[i], NULL), 0);
	}
	if (upto(2)) {
		s->forward = upto(2) ? LB_FORWARD_L2 : LB_FORWARD_IPIP;
		s->state = (enum lb_state_mode)upto(3);
		s->panic_threshold = upto(101);
		s->drain_timeout_ns = upto(2) ? 0 : (1 + upto(3600)) * 1000000000ULL;
		s->tier_min = 1 + upto(5);
		s->slow_start_ns = upto(2) ? 0 : (1 + upto(3600)) * 1000000000ULL;
	}
	random_check(&s->check);
	for (unsigned int i = upto(5); i > 0; i--) {
		struct lb_backend_conf b = {.weight = upto(2) ? 100 : upto(65536), .tier = upto(3) ? 0 : upto(16)};
		char text[LB_ADDR_STRLEN];

		/* l2 needs one family. */
		snprintf(text, sizeof(text), v6 ? "2001:db8:1::%x" : "10.0.0.%u", 1 + upto(250));
		assert_int_equal(lb_endpoint_parse(text, &b.address, NULL), 0);
		b.address.port = upto(2) ? htons(80) : 0;
		b.admin = (enum lb_admin)upto(3);
		lb_service_conf_add_backend(s, &b, NULL);
	}
}

static struct lb_config *random_config(void)
{
	struct lb_config *c = lb_config_new();
	struct lb_err err;

	assert_non_null(c);
	if (upto(2)) {
		c->has_hash_key = true;
		c->hash_key[0] = (uint64_t)rand_r(&seed) << 33 ^ (uint64_t)rand_r(&seed);
		c->hash_key[1] = (uint64_t)rand_r(&seed);
		if (upto(2))
			lb_config_hash_key(c->hash_key[0], c->hash_key);
	}
	if (upto(2))
		assert_int_equal(lb_prefix_parse("10.200.0.0/16", &c->tunnel_source4, NULL), 0);
	if (upto(2))
		assert_int_equal(lb_prefix_parse("fd00::1", &c->tunnel_source6, NULL), 0);
	if (upto(2))
		c->learning_window_ns = 1000000000ULL * (1 + upto(10000));
	if (upto(2))
		random_check(&c->defaults.check);
	if (upto(2))
		c->defaults.forward = LB_FORWARD_L2;
	for (unsigned int i = upto(4); i > 0; i--) {
		struct lb_iface_conf iface = {.mode = (enum lb_attach_mode)upto(3)};

		snprintf(iface.name, sizeof(iface.name), upto(2) ? "eth%u" : "br@%u!", i);
		assert_int_equal(lb_config_add_iface(c, &iface, &err), 0);
	}
	for (unsigned int n = upto(14); n > 0; n--) {
		struct lb_service_conf s;
		int ret;

		random_service(c, n, &s);
		ret = lb_config_add_service(c, &s, &err);
		lb_service_conf_fini(&s);
		if (ret)
			fail_msg("%s", lb_err_str(&err));
	}
	return c;
}

static void test_fixed_point(void **state)
{
	int valid = 0;

	for (seed = 1; seed != 0 && valid < 300;) {
		struct lb_config *c = random_config();

		/* The same VIP twice in a service, a timeout beyond the interval: not all of them are valid. */
		if (!lb_config_check(c, NULL)) {
			check_fixed_point(c);
			valid++;
		}
		lb_config_free(c);
	}
	assert_int_equal(valid, 300);
}

static void test_truncated(void **state)
{
	check_truncated("docs/examples/ipip.yaml");
	check_truncated(GOLDEN "/json-all.yaml");
	check_truncated(GOLDEN "/aliases.yaml");
	check_truncated(GOLDEN "/defaults-unset.yaml");
}

static void test_flipped(void **state)
{
	seed = 3;
	check_flipped("docs/examples/ipip.yaml", &seed);
	check_flipped(GOLDEN "/json-all.yaml", &seed);
	check_flipped(GOLDEN "/aliases.yaml", &seed);
}

static void expect_refused(const char *text, size_t len, const char *want)
{
	struct lb_config *c = NULL;
	struct lb_err err = {0};

	expect_err(lb_document_read(text, len, "big.yaml", &c, &err), &err, want);
	assert_null(c);
}

static void test_huge(void **state)
{
	size_t len = 16 << 20;
	char *text = malloc(len + 1), *p;
	struct lb_config *c = NULL;
	struct lb_err err = {0};

	assert_non_null(text);
	memset(text, '[', len + 1);
	expect_refused(text, len + 1, "big.yaml: larger than 16 MiB; make it smaller");
	expect_refused(text, len, "big.yaml:1: nested deeper than 32 levels");
	/* Nested without brackets. */
	for (size_t i = 0; i + 1 < 4096; i += 2)
		memcpy(text + i, "- ", 2);
	expect_refused(text, 4096, "big.yaml:1: nested deeper than 32 levels");
	/* Few bytes that are many backends. */
	p = text + sprintf(text, "services:\n- {name: a, vip: 192.0.2.1:80, backends: &all [10.0.0.1");
	for (int i = 1; i < 20000; i++)
		p += sprintf(p, ", 10.0.%d.%d", i / 250, i % 250 + 1);
	p += sprintf(p, "]}\n");
	for (int i = 0; i < 2000; i++)
		p += sprintf(p, "- {name: b%d, vip: 192.0.2.2:%d, backends: *all}\n", i, i + 1);
	assert_int_equal(lb_document_read(text, (size_t)(p - text), "big.yaml", &c, &err), -EINVAL);
	assert_null(c);
	assert_string_equal(err.message, "too many values behind aliases; make it smaller");
	free(text);
}

/* The largest configuration there is room for, and one service more. */
static void test_full(void **state)
{
	size_t len;
	struct lb_config *c = NULL;
	struct lb_err err = {0};
	char *text = NULL;
	FILE *f = open_memstream(&text, &len);
	int n = LB_MAX_SERVICES - 1;

	assert_non_null(f);
	fprintf(f, "services:\n");
	for (int i = n; i > 0; i--)
		fprintf(f, "- name: s%d\n  vip: 192.0.2.1:%d\n  backends: [10.0.%d.%d, 10.1.%d.%d]\n", i, i, i / 250,
			1 + i % 250, i / 250, 1 + i % 250);
	fflush(f);
	if (lb_document_read(text, len, "full.yaml", &c, &err))
		fail_msg("%s", lb_err_str(&err));
	assert_int_equal(c->nr_services, n);
	assert_non_null(lb_config_service(c, "s16383"));
	check_round_trip(c);
	lb_config_free(c);
	c = NULL;
	fprintf(f, "- {name: more, vip: 192.0.2.2:80}\n");
	fflush(f);
	assert_int_equal(lb_document_read(text, len, "full.yaml", &c, &err), -ENOSPC);
	assert_string_equal(lb_err_str(&err), "full.yaml:2: services: no room for 16384; at most 16383");
	fclose(f);
	free(text);
}

/* libfyaml likes to print what it finds; a daemon's stderr is its log. */
static void test_silent(void **state)
{
	int saved = dup(STDERR_FILENO), pipe_fds[2];
	char byte;

	assert_int_equal(pipe(pipe_fds), 0);
	assert_true(dup2(pipe_fds[1], STDERR_FILENO) >= 0);
	close(pipe_fds[1]);
	check_any(TEXT("services: [\n"));
	check_any(TEXT("a: \"b\nc: d"));
	check_any(TEXT("a: b: c\n\t- d\n"));
	check_any(TEXT("%YAML 9.9\n---\na: b\n"));
	check_any(TEXT("a: \xff\xfe\n"));
	assert_true(dup2(saved, STDERR_FILENO) >= 0);
	close(saved);
	/* The last writer is gone: what was printed would be here, before the end. */
	assert_int_equal(read(pipe_fds[0], &byte, 1), 0);
	close(pipe_fds[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),	     cmocka_unit_test(test_examples),
		cmocka_unit_test(test_values),	     cmocka_unit_test(test_locate),
		cmocka_unit_test(test_service_part), cmocka_unit_test(test_backend_part),
		cmocka_unit_test(test_iface_part),   cmocka_unit_test(test_nearest),
		cmocka_unit_test(test_fixed_point),  cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_flipped),	     cmocka_unit_test(test_huge),
		cmocka_unit_test(test_full),	     cmocka_unit_test(test_silent),
	};

	return cmocka_run_group_tests_name("document", tests, NULL, NULL);
}
