// SPDX-License-Identifier: GPL-2.0-or-later
/* c-ares: its sockets and timer in the event loop, and its answers in our terms. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>

#include <ares.h>

#include "clock.h"
#include "log.h"
#include "resolver_ask.h"

#define TRIES 2
#define SYSTEM "/etc/resolv.conf"

/*
 * A channel of c-ares, for one question at a time: one whose answer comes in by TCP that the server does not take makes
 * c-ares give up on the server, for all that the channel has asked. Most are used again, as making one reads files.
 */
struct line {
	LIST_ENTRY(line) link;
	struct lb_asker *asker;
	ares_channel channel;
	unsigned int epoch; /* of the asker's settings */
	bool asked;
	struct sock *socks;
	struct event *timer;
};

struct sock {
	struct line *line;
	struct event *ev;
	ares_socket_t fd;
	struct sock *next;
};

struct lb_asker {
	struct event_base *base;
	struct lb_resolver_conf conf; /* .servers is the resolver's */
	LIST_HEAD(, line) idle, busy;
	unsigned int epoch;
	struct event *answers; /* there are some to be told */
	struct lb_ask *told;
	struct timespec system; /* when the system's settings were changed last */
};

/* c-ares may answer while it is asked; who asks is told from the event loop. */
struct lb_ask {
	struct line *line;
	lb_ask_fn done; /* NULL: cancelled */
	void *ctx;
	bool v6;
	enum lb_lookup result;
	uint8_t (*addrs)[16];
	size_t nr;
	uint32_t ttl_s;
	struct lb_ask *next; /* of .told */
};

static void ask_free(struct lb_ask *ask)
{
	free(ask->addrs);
	free(ask);
}

/* ---- sockets and time ---- */

static void set_timer(struct line *l)
{
	struct timeval most = {.tv_sec = 60}, tv;

	if (l->asked && ares_timeout(l->channel, &most, &tv))
		evtimer_add(l->timer, &tv);
	else
		evtimer_del(l->timer);
}

static void on_socket(evutil_socket_t fd, short what, void *ctx)
{
	struct line *l = ((struct sock *)ctx)->line;

	ares_process_fd(l->channel, what & EV_READ ? fd : ARES_SOCKET_BAD, what & EV_WRITE ? fd : ARES_SOCKET_BAD);
	set_timer(l);
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
	struct line *l = ctx;

	ares_process_fd(l->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	set_timer(l);
}

static void on_state(void *ctx, ares_socket_t fd, int readable, int writable)
{
	struct line *l = ctx;
	struct sock **at = &l->socks, *s;

	while (*at && (*at)->fd != fd)
		at = &(*at)->next;
	s = *at;
	if (s && s->ev)
		event_free(s->ev);
	if (!readable && !writable) {
		if (s)
			*at = s->next;
		free(s);
		return;
	}
	if (!s) {
		s = calloc(1, sizeof(*s));
		if (!s)
			return; /* the question times out */
		*s = (struct sock){.line = l, .fd = fd, .next = l->socks};
		l->socks = s;
	}
	s->ev = event_new(l->asker->base, fd,
			  (short)(EV_PERSIST | (readable ? EV_READ : 0) | (writable ? EV_WRITE : 0)), on_socket, s);
	if (s->ev)
		event_add(s->ev, NULL);
}

/* ---- channels ---- */

static void line_free(struct line *l)
{
	if (!l)
		return;
	if (l->channel)
		ares_destroy(l->channel); /* answers what is asked, too */
	if (l->timer)
		event_free(l->timer);
	free(l);
}

static void free_lines(struct lb_asker *a, bool all)
{
	struct line *l;

	while ((l = LIST_FIRST(&a->idle)) || (all && (l = LIST_FIRST(&a->busy)))) {
		LIST_REMOVE(l, link);
		line_free(l);
	}
}

static struct timespec system_changed(void)
{
	struct stat st;

	return stat(SYSTEM, &st) ? (struct timespec){0} : st.st_mtim;
}

static int set_servers(struct line *l)
{
	char list[LB_MAX_RESOLVERS * (LB_ADDR_STRLEN + 1)] = "", text[LB_ADDR_STRLEN];
	const struct lb_resolver_conf *conf = &l->asker->conf;
	size_t n = 0;

	for (size_t i = 0; i < conf->nr_servers; i++)
		n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%s", i ? "," : "",
				      lb_endpoint_format(&conf->servers[i], text));
	return n ? ares_set_servers_ports_csv(l->channel, list) : ARES_SUCCESS;
}

static int open_channel(struct line *l)
{
	struct ares_options options = {
		.timeout = (int)(l->asker->conf.timeout_ns / 1000000),
		.tries = TRIES,
		.sock_state_cb = on_state,
		.sock_state_cb_data = l,
	};
	int ret;

	ret = ares_init_options(&l->channel, &options, ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB);
	if (ret != ARES_SUCCESS)
		l->channel = NULL;
	return ret == ARES_SUCCESS ? set_servers(l) : ret;
}

static struct line *line_new(struct lb_asker *a)
{
	struct line *l = calloc(1, sizeof(*l));
	int ret = ARES_ENOMEM;

	if (l) {
		l->asker = a;
		l->epoch = a->epoch;
		l->timer = evtimer_new(a->base, on_timer, l);
	}
	if (l && l->timer)
		ret = open_channel(l);
	if (ret == ARES_SUCCESS)
		return l;
	lb_log(LB_LOG_ERROR, "msg=\"names cannot be looked up\" error=%s", lb_quoted(ares_strerror(ret)));
	line_free(l);
	return NULL;
}

/* One that is asked nothing, now among those that are; NULL: there is none to be had. */
static struct line *take_line(struct lb_asker *a)
{
	struct line *l;

	/* The system's servers may change while we run: a lease of DHCP, a daemon that writes the file. */
	if (!a->conf.nr_servers) {
		struct timespec now = system_changed();

		if (now.tv_sec != a->system.tv_sec || now.tv_nsec != a->system.tv_nsec) {
			a->system = now;
			a->epoch++;
			free_lines(a, false);
		}
	}
	l = LIST_FIRST(&a->idle);
	if (l)
		LIST_REMOVE(l, link);
	else
		l = line_new(a);
	if (l)
		LIST_INSERT_HEAD(&a->busy, l, link);
	return l;
}

/* Its question is answered. Not from within c-ares. */
static void give_line_back(struct line *l)
{
	struct lb_asker *a = l->asker;

	LIST_REMOVE(l, link);
	if (l->epoch == a->epoch)
		LIST_INSERT_HEAD(&a->idle, l, link);
	else
		line_free(l);
}

/* ---- answers ---- */

static void on_told(evutil_socket_t fd, short what, void *ctx)
{
	struct lb_asker *a = ctx;

	while (a->told) {
		struct lb_ask *ask = a->told;
		uint8_t(*addrs)[16] = ask->addrs;

		a->told = ask->next;
		give_line_back(ask->line);
		if (ask->done) {
			ask->addrs = NULL;
			ask->done(ask->ctx, ask->v6, ask->result, addrs, ask->nr, ask->ttl_s);
		}
		ask_free(ask);
	}
}

static enum lb_lookup result_of(int status)
{
	switch (status) {
	case ARES_SUCCESS:
		return LB_LOOKUP_OK;
	case ARES_ENODATA:
		return LB_LOOKUP_EMPTY;
	case ARES_ENOTFOUND:
		return LB_LOOKUP_NXDOMAIN;
	case ARES_ESERVFAIL:
	case ARES_ENOTIMP:
		return LB_LOOKUP_SERVFAIL;
	case ARES_EREFUSED:
	case ARES_ECONNREFUSED:
		return LB_LOOKUP_REFUSED;
	case ARES_ETIMEOUT:
		return LB_LOOKUP_TIMEOUT;
	case ARES_EFORMERR:
	case ARES_EBADRESP:
	case ARES_EBADNAME:
		return LB_LOOKUP_PROTOCOL;
	default:
		return LB_LOOKUP_INTERNAL;
	}
}

static int by_addr(const void *a, const void *b)
{
	return memcmp(a, b, 16);
}

static void take(struct lb_ask *ask, const struct ares_addrinfo *info)
{
	size_t nr = 0, kept = 0;

	ask->ttl_s = INT32_MAX;
	for (const struct ares_addrinfo_cname *c = info->cnames; c; c = c->next)
		ask->ttl_s = (uint32_t)c->ttl < ask->ttl_s ? (uint32_t)c->ttl : ask->ttl_s;
	for (const struct ares_addrinfo_node *n = info->nodes; n; n = n->ai_next)
		nr++;
	ask->addrs = calloc(nr ? nr : 1, sizeof(*ask->addrs));
	if (!ask->addrs) {
		ask->result = LB_LOOKUP_INTERNAL;
		return;
	}
	nr = 0;
	for (const struct ares_addrinfo_node *n = info->nodes; n; n = n->ai_next) {
		if (n->ai_family != (ask->v6 ? AF_INET6 : AF_INET))
			continue;
		ask->ttl_s = (uint32_t)n->ai_ttl < ask->ttl_s ? (uint32_t)n->ai_ttl : ask->ttl_s;
		nr += lb_addr_of_sockaddr(n->ai_addr, ask->addrs[nr]);
	}
	qsort(ask->addrs, nr, sizeof(*ask->addrs), by_addr);
	for (size_t i = 0; i < nr; i++)
		if (!i || memcmp(ask->addrs[i], ask->addrs[kept - 1], 16))
			memmove(ask->addrs[kept++], ask->addrs[i], 16);
	ask->nr = kept;
	if (!kept)
		ask->result = LB_LOOKUP_EMPTY;
}

static void on_info(void *ctx, int status, int timeouts, struct ares_addrinfo *info)
{
	struct lb_ask *ask = ctx;
	struct lb_asker *a = ask->line->asker;

	ask->line->asked = false;
	ask->result = result_of(status);
	if (status == ARES_SUCCESS && info)
		take(ask, info);
	ares_freeaddrinfo(info);
	ask->next = a->told;
	a->told = ask;
	event_active(a->answers, EV_TIMEOUT, 0);
}

struct lb_ask *lb_ask(struct lb_asker *a, const char *name, bool v6, lb_ask_fn done, void *ctx)
{
	struct ares_addrinfo_hints hints = {.ai_flags = ARES_AI_NOSORT, .ai_family = v6 ? AF_INET6 : AF_INET};
	struct lb_ask *ask = calloc(1, sizeof(*ask));
	struct line *l = ask ? take_line(a) : NULL;
	char whole[LB_NAME_STRLEN + 1];

	if (!l) {
		free(ask);
		return NULL;
	}
	*ask = (struct lb_ask){.line = l, .done = done, .ctx = ctx, .v6 = v6};
	/* A name with a dot is whole; one without is looked for in the system's search domains. */
	snprintf(whole, sizeof(whole), "%s%s", name, strchr(name, '.') ? "." : "");
	l->asked = true;
	ares_getaddrinfo(l->channel, whole, NULL, &hints, on_info, ask);
	set_timer(l);
	return ask;
}

void lb_ask_cancel(struct lb_ask *ask)
{
	ask->done = NULL;
}

/* ---- the whole ---- */

struct lb_asker *lb_asker_new(struct event_base *base)
{
	struct lb_asker *a = calloc(1, sizeof(*a));

	if (!a || ares_library_init(ARES_LIB_INIT_ALL)) {
		free(a);
		return NULL;
	}
	LIST_INIT(&a->idle);
	LIST_INIT(&a->busy);
	a->base = base;
	a->answers = evtimer_new(base, on_told, a);
	if (a->answers)
		return a;
	lb_asker_free(a);
	return NULL;
}

void lb_asker_free(struct lb_asker *a)
{
	struct lb_ask *next;

	if (!a)
		return;
	free_lines(a, true);
	for (struct lb_ask *ask = a->told; ask; ask = next) {
		next = ask->next;
		ask_free(ask);
	}
	if (a->answers)
		event_free(a->answers);
	free(a);
	ares_library_cleanup();
}

void lb_asker_set(struct lb_asker *a, const struct lb_resolver_conf *conf)
{
	a->conf = *conf;
	a->epoch++;
	free_lines(a, false);
}
