/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Backends that are DNS names: how they are written, and what becomes of them. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fields_priv.h"
#include "lb/dp/hash.h"
#include "names.h"

/* ---- texts ---- */

/* A multicast address, which no backend has: 112 bits of a hash. */
static void key_of(const char *name, uint8_t addr[16])
{
	static const __u64 keys[2][2] = {{0x6e616d6573206f66ULL, 1}, {0x6261636b656e6473ULL, 2}};
	__u64 words[(LB_NAME_STRLEN + 7) / 8] = {0}, hash[2];

	memcpy(words, name, strlen(name));
	for (int i = 0; i < 2; i++)
		hash[i] = lb_sip_words(keys[i], words, sizeof(words) / sizeof(*words));
	memcpy(addr, hash, 16);
	addr[0] = 0xff;
	addr[1] = 0;
}

/* What ends with a number is an address, or none that is right. */
static bool is_name(const char *host)
{
	const char *last = strrchr(host, '.');
	struct lb_err err;

	last = last ? last + 1 : host;
	return *last && last[strspn(last, "0123456789")] && !lb_verify_name(host, &err);
}

int lb_backend_parse(const char *text, struct lb_endpoint *ep, char **name, struct lb_err *err)
{
	const char *colon = strrchr(text, ':');
	size_t len = colon ? (size_t)(colon - text) : strlen(text);
	char host[LB_NAME_STRLEN + 1] = "";
	struct lb_endpoint e = {0};
	uint64_t port = 0;
	int ret;

	*name = NULL;
	if (len && len <= LB_NAME_STRLEN)
		memcpy(host, text, len);
	if (*host && host[strlen(host) - 1] == '.')
		host[strlen(host) - 1] = '\0';
	if (!is_name(host))
		return lb_endpoint_parse(text, ep, err);
	ret = colon ? lb_number_parse(colon + 1, "port", 1, 65535, &port, err) : 0;
	if (ret)
		return ret;
	for (char *p = host; *p; p++)
		*p = *p >= 'A' && *p <= 'Z' ? (char)(*p | 0x20) : *p;
	*name = strdup(host);
	if (!*name)
		return lb_err_set(err, -ENOMEM, NULL, "out of memory");
	e.port = htons((uint16_t)port);
	key_of(host, e.addr);
	*ep = e;
	return 0;
}

int lb_backend_key(const char *text, struct lb_endpoint *ep, struct lb_err *err)
{
	char *name;
	int ret = lb_backend_parse(text, ep, &name, err);

	free(name);
	return ret;
}

bool lb_backend_is_name(const struct lb_backend_conf *b)
{
	return b->name && b->address.addr[0] == 0xff;
}

char *lb_backend_format(const struct lb_backend_conf *b, char buf[LB_BACKEND_STRLEN])
{
	if (!lb_backend_is_name(b))
		return lb_endpoint_format(&b->address, buf);
	if (b->address.port)
		snprintf(buf, LB_BACKEND_STRLEN, "%s:%u", b->name, ntohs(b->address.port));
	else
		snprintf(buf, LB_BACKEND_STRLEN, "%s", b->name);
	return buf;
}

/* ---- what becomes of them ---- */

bool lb_config_has_names(const struct lb_config *c)
{
	for (size_t i = 0; i < c->nr_services; i++)
		/* They come last: no other address is as high. */
		if (c->services[i].nr_backends && c->services[i].backends[c->services[i].nr_backends - 1].name)
			return true;
	return false;
}

static int compare_answer(const void *name, const void *answer)
{
	return strcmp(name, ((const struct lb_answer *)answer)->name);
}

struct expansion {
	const struct lb_config *c;
	const struct lb_answers *answers;
	const struct lb_drains *drains;
	struct lb_service_conf *to; /* the service as it becomes */
	size_t room;		    /* backends that may still be added, in all services */
	size_t left_out;
	struct lb_err err;
};

/* One more address of a name. 0, also where it is left out, or -ENOMEM. */
static int add(struct expansion *x, const struct lb_backend_conf *name, const struct lb_endpoint *address, bool leaving)
{
	struct lb_backend_conf b = *name;
	int ret;

	b.address = *address;
	b.leaving = leaving;
	if (leaving)
		b.admin = LB_ADMIN_DRAINING;
	if (!x->room || !lb_backend_conf_fits(x->to, &b))
		ret = -EEXIST;
	else
		ret = lb_service_conf_add_backend(x->to, &b, &x->err);
	x->room -= !ret;
	x->left_out += ret && ret != -ENOMEM;
	return ret == -ENOMEM ? ret : 0;
}

/* Of the lowest, so that every load balancer that knows as many takes the same. */
static int add_answer(struct expansion *x, const struct lb_backend_conf *name, const struct lb_answer *answer)
{
	struct lb_endpoint at = {.port = name->address.port};
	size_t most = x->to->nr_backends + x->c->resolver.max_addresses;
	int ret = 0;

	for (size_t i = 0; !ret && i < answer->nr; i++) {
		if (x->to->nr_backends == most) {
			x->left_out += answer->nr - i;
			break;
		}
		memcpy(at.addr, answer->addrs[i], sizeof(at.addr));
		ret = add(x, name, &at, false);
	}
	return ret;
}

static bool is_of(const struct lb_backend_conf *b, const struct lb_backend_conf *name)
{
	return b->name && b->address.port == name->address.port && !strcmp(b->name, name->name);
}

/* Nobody has answered since we began: it has what it had. */
static int add_kept(struct expansion *x, const struct lb_backend_conf *name, const struct lb_service_conf *before)
{
	int ret = 0;

	for (size_t i = 0; !ret && before && i < before->nr_backends; i++)
		if (is_of(&before->backends[i], name) && !before->backends[i].leaving)
			ret = add(x, name, &before->backends[i].address, false);
	return ret;
}

/* What it had and has no longer, until that is drained. */
static int add_leaving(struct expansion *x, const struct lb_backend_conf *name, const struct lb_service_conf *before)
{
	int ret = 0;

	for (size_t i = 0; !ret && before && i < before->nr_backends; i++) {
		const struct lb_backend_conf *b = &before->backends[i];
		const struct lb_drain *d;

		if (!is_of(b, name) || lb_service_conf_backend(x->to, &b->address))
			continue;
		d = lb_drains_find(x->drains, before->name, &b->address);
		if (!d || d->end == LB_DRAIN_GOES_ON)
			ret = add(x, name, &b->address, true);
	}
	return ret;
}

static const struct lb_answer *find_answer(const struct lb_answers *answers, const char *name)
{
	if (!answers->nr)
		return NULL;
	return bsearch(name, answers->list, answers->nr, sizeof(*answers->list), compare_answer);
}

/* What names have comes first, then what leaves one: an address that another name still has stays. */
static int expand_service(struct expansion *x, const struct lb_service_conf *from, const struct lb_service_conf *before)
{
	int ret = 0;

	for (size_t i = 0; !ret && i < from->nr_backends; i++) {
		const struct lb_backend_conf *b = &from->backends[i];
		const struct lb_answer *answer;

		if (!lb_backend_is_name(b))
			continue;
		answer = find_answer(x->answers, b->name);
		ret = answer ? add_answer(x, b, answer) : add_kept(x, b, before);
	}
	for (size_t i = 0; !ret && i < from->nr_backends; i++)
		if (lb_backend_is_name(&from->backends[i]))
			ret = add_leaving(x, &from->backends[i], before);
	return ret;
}

/* Takes the names out; returns whether there were any. */
static bool take_out(struct lb_service_conf *s)
{
	size_t kept = 0;

	for (size_t i = 0; i < s->nr_backends; i++) {
		if (lb_backend_is_name(&s->backends[i]))
			free(s->backends[i].name);
		else
			s->backends[kept++] = s->backends[i];
	}
	if (kept == s->nr_backends)
		return false;
	s->nr_backends = kept;
	return true;
}

int lb_names_expand(struct lb_config *to, const struct lb_config *c, const struct lb_config *before,
		    const struct lb_answers *answers, const struct lb_drains *drains, size_t *left_out)
{
	struct expansion x = {.c = c, .answers = answers, .drains = drains, .room = LB_MAX_BACKENDS - 1};
	bool *names = calloc(c->nr_services + 1, sizeof(*names));
	int ret = names ? 0 : -ENOMEM;

	for (size_t i = 0; !ret && i < to->nr_services; i++) {
		names[i] = take_out(&to->services[i]);
		x.room -= to->services[i].nr_backends;
	}
	for (size_t i = 0; !ret && i < to->nr_services; i++) {
		x.to = &to->services[i];
		if (names[i])
			ret = expand_service(&x, &c->services[i],
					     before ? lb_config_service(before, x.to->name) : NULL);
	}
	free(names);
	if (left_out)
		*left_out = x.left_out;
	return ret;
}

struct lb_config *lb_names_restore(const struct lb_config *c, const struct lb_resolved *list, size_t nr)
{
	struct lb_config *to = lb_config_copy(c);
	struct lb_err err;

	for (size_t i = 0; to && i < to->nr_services; i++) {
		struct lb_service_conf *s = &to->services[i];

		for (size_t j = 0; j < s->nr_backends; j++)
			free(s->backends[j].name);
		s->nr_backends = 0;
	}
	for (size_t i = 0; to && i < nr; i++) {
		struct lb_service_conf *s = lb_config_service(to, list[i].service);
		struct lb_backend_conf b = {
			.address = list[i].address, .name = (char *)list[i].name, .leaving = list[i].leaving};

		if (s && lb_service_conf_add_backend(s, &b, &err) == -ENOMEM) {
			lb_config_free(to);
			to = NULL;
		}
	}
	return to;
}
