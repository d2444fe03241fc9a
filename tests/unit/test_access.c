// SPDX-License-Identifier: GPL-2.0-or-later
/* Who is let in to a service: what no honest sender sends, lists of sources, and how fast they may open connections. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <netinet/in.h>

#include "lb/dp/access.h"
#include "lb/dp/sanity.h"
#include "lb/dp/wild.h"
#include "model_conf.h"

#define SECOND_NS 1000000000ULL

/* All 256 sets of flags, against the words of the manual page. */
static void test_flags(void **state)
{
	for (unsigned int flags = 0; flags < 256; flags++) {
		bool fin = flags & 1, syn = flags & 2, rst = flags & 4, psh = flags & 8, ack = flags & 16;
		bool urg = flags & 32, none = !(fin || syn || rst || psh || ack || urg);
		bool odd = (syn && (fin || rst)) || none || (fin && urg && psh && !ack);
		struct lb_packet p = {.proto = IPPROTO_TCP, .tcp_flags = (uint8_t)flags, .saddr4 = 0x01010101};
		assert_int_equal(lb_packet_sane(&p) == LB_V_DROP_TCP_FLAGS, odd);
		/* What is not asked is not odd. */
		assert_true(!lb_packet_goes_on(&p) || !odd);
	}
}

/* All first octets of IPv4. */
static void test_martians(void **state)
{
	for (unsigned int octet = 0; octet < 256; octet++) {
		const uint8_t addr[4] = {(uint8_t)octet, 255, 0, 255};
		struct lb_packet p = {.saddr4 = lb_get32(addr)};

		assert_int_equal(lb_packet_martian(&p), octet == 0 || octet == 127 || octet >= 224);
	}
}

/* What a look-up among wild VIPs answers is one word. */
static void test_wild_word(void **state)
{
	const uint32_t bases[] = {0, 16, 4096, LB_SLOTS - 16};
	const uint16_t services[] = {1, 77, LB_MAX_SERVICES - 1};

	for (size_t i = 0; i < 4 * 3; i++) {
		for (unsigned int shift = LB_TABLE_SHIFT_MIN; shift <= LB_TABLE_SHIFT_MAX; shift++) {
			uint64_t table = LB_TABLE(bases[i / 3], shift), word;

			for (unsigned int flags = 0; flags < 256; flags += 51) {
				word = LB_WILD(services[i % 3], flags, table);
				assert_int_equal(LB_WILD_SERVICE(word), services[i % 3]);
				assert_int_equal(LB_WILD_FLAGS(word), flags);
				assert_true(LB_WILD_TABLE(word) == table);
			}
		}
	}
	assert_true(LB_WILD_TABLE(LB_WILD(1, 0, 0)) == 0);
}

/* How many of @tries at @now_ns are let through. */
static unsigned int tries(struct lb_rate_set *set, uint64_t hash, uint32_t limit, unsigned int nr, uint64_t now_ns)
{
	unsigned int good = 0;

	for (unsigned int i = 0; i < nr; i++)
		good += lb_rate_admit(set, hash, 1000000000U / limit, now_ns);
	return good;
}

/* A second's worth at once, then as many as the limit says; at any time of the clock, around its end too. */
static void test_rate(void **state)
{
	static const uint32_t limits[] = {1, 2, 3, 7, 10, 100, 999, 10000, 100000};
	const uint64_t wrap_ns = 1ULL << (40 + LB_RATE_UNIT_SHIFT);
	const uint64_t starts_ns[] = {0, 123456789, wrap_ns - SECOND_NS / 2, 7 * wrap_ns - 1};

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		for (size_t k = 0; k < 4; k++) {
			const uint32_t limit = limits[i];
			/* an interval is rounded down to units of 256 ns */
			const unsigned int slack = limit / 250 + 1;
			struct lb_rate_set set = {0};
			unsigned int good = tries(&set, 77ULL << 40, limit, 3 * limit, starts_ns[k]);

			assert_in_range(good, limit, limit + (limit < 1000 ? 0 : 8 * slack));
			good = 0;
			for (unsigned int ms = 100; ms <= 10000; ms += 100)
				good += tries(&set, 77ULL << 40, limit, limit, starts_ns[k] + ms * (SECOND_NS / 1000));
			assert_in_range(good, 10 * limit - 1, 10 * limit + 10 * slack * (limit < 1000 ? 1 : 8));
		}
	}
}

/* Sources are counted each for itself; one more than there is room for pushes out who is the least ahead. */
static void test_rate_places(void **state)
{
	struct lb_rate_set set = {0};
	const uint64_t now_ns = 5 * SECOND_NS;

	for (uint64_t s = 1; s <= LB_RATE_WAYS; s++)
		assert_int_equal(tries(&set, s << 40, 100, (unsigned int)s, now_ns), s);
	for (uint64_t s = 1; s <= LB_RATE_WAYS; s++)
		assert_int_equal(tries(&set, s << 40, 100, 200, now_ns), 100 - s);
	set = (struct lb_rate_set){0};
	for (uint64_t s = 1; s <= LB_RATE_WAYS; s++)
		tries(&set, s << 40, 100, (unsigned int)(10 * s), now_ns);
	assert_int_equal(tries(&set, 9ULL << 40, 100, 200, now_ns), 100); /* in 1's place */
	assert_int_equal(tries(&set, 8ULL << 40, 100, 200, now_ns), 20);
	assert_int_equal(tries(&set, 1ULL << 40, 100, 200, now_ns), 100); /* in 2's */
	/* long after, nothing is left of it */
	assert_int_equal(tries(&set, 8ULL << 40, 100, 200, now_ns + 30 * SECOND_NS), 100);
}

/* ---- lists ---- */

static struct lb_prefix prefix(const char *text)
{
	struct lb_prefix p;

	assert_int_equal(lb_prefix_parse(text, &p, NULL), 0);
	return p;
}

/* The lists of the only service of an image, as text: "-0.0.0.0/0 +10.0.0.0/8". */
static char *lists_of(struct lb_model *m, char *out, uint32_t *flags)
{
	struct lb_image *image = lb_model_image(m);
	char *at = out, text[LB_ADDR_STRLEN];

	*at = '\0';
	for (size_t i = 0; i < LB_MAX_SERVICES; i++) {
		const struct lb_service_image *s = image->services[i];

		for (size_t a = 0; s && a < s->nr_access; a++) {
			struct lb_prefix p = {.plen = s->access[a].plen};

			memcpy(p.addr, s->access[a].addr, sizeof(p.addr));
			assert_int_equal(s->access[a].family, lb_addr_is_v4(p.addr) ? LB_VIP_V4 : 0);
			at += sprintf(at, "%s%c%s", a ? " " : "", s->access[a].verdict == LB_ACCESS_ALLOW ? '+' : '-',
				      lb_prefix_format(&p, text));
		}
		if (s)
			*flags = s->line.flags & LB_SERVICE_F_ACCESS;
	}
	lb_image_free(image);
	return out;
}

static void test_lists(void **state)
{
	const struct {
		const char *allow, *deny, *lines;
	} rows[] = {
		{NULL, NULL, ""},
		{NULL, "10.0.0.0/8", "+::/0 +0.0.0.0/0 -10.0.0.0/8"},
		{"10.0.0.0/8", NULL, "-::/0 -0.0.0.0/0 +10.0.0.0/8"},
		{"2001:db8::/32", "2001:db8:1::/48", "-::/0 +2001:db8::/32 -2001:db8:1::/48 -0.0.0.0/0"},
		{NULL, "0.0.0.0/0", "+::/0 -0.0.0.0/0"},
		{"::/0", "10.0.0.1", "+::/0 -0.0.0.0/0 -10.0.0.1"},
	};
	struct lb_model *m = lb_model_new();
	struct lb_err err;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct lb_config *c = conf_new();
		struct lb_service_conf *s = conf_service(c, "web", LB_CHECK_NONE);
		struct lb_prefix allow, deny;
		uint32_t flags = 0;
		char lines[512];

		if (rows[i].allow) {
			allow = prefix(rows[i].allow);
			s->allow = &allow;
			s->nr_allow = 1;
		}
		if (rows[i].deny) {
			deny = prefix(rows[i].deny);
			s->deny = &deny;
			s->nr_deny = 1;
		}
		assert_int_equal(lb_model_apply(m, c, 1, &err), 0);
		assert_string_equal(lists_of(m, lines, &flags), rows[i].lines);
		assert_int_equal(flags, *rows[i].lines ? LB_SERVICE_F_ACCESS : 0);
		s->allow = s->deny = NULL;
		s->nr_allow = s->nr_deny = 0;
		lb_config_free(c);
	}
	lb_model_free(m);
}

/* A limit is an interval; one that changes is another image. */
static void test_limit(void **state)
{
	static const uint32_t limits[] = {0, 1, 1000, 1000000}, intervals[] = {0, 1000000000, 1000000, 1000};
	struct lb_model *m = lb_model_new();
	struct lb_err err;

	for (size_t i = 0; i < 4; i++) {
		struct lb_config *c = conf_new();
		struct lb_image *image;

		conf_service(c, "web", LB_CHECK_NONE)->source_rate_limit = limits[i];
		assert_int_equal(lb_model_apply(m, c, 1, &err), 0);
		image = lb_model_image(m);
		for (size_t s = 0; s < LB_MAX_SERVICES; s++)
			if (image->services[s])
				assert_int_equal(image->services[s]->line.source_interval_ns, intervals[i]);
		lb_image_free(image);
		lb_config_free(c);
	}
	lb_model_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flags), cmocka_unit_test(test_martians),	  cmocka_unit_test(test_wild_word),
		cmocka_unit_test(test_rate),  cmocka_unit_test(test_rate_places), cmocka_unit_test(test_lists),
		cmocka_unit_test(test_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
