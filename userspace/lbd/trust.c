// SPDX-License-Identifier: GPL-2.0-or-later
/* Certificates that checks trust, read in threads. */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/err.h>

#include "clock.h"
#include "log.h"
#include "trust.h"

#define AGAIN_NS (10 * LB_NSEC_PER_SEC) /* a file that could not be read is tried again after that */

/* What says that a file is the same one. */
struct version {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec modified;
};

struct source {
	struct source *next;
	char *path; /* NULL: the system's */
	struct version version;
	X509_STORE *store;
	uint64_t failed_ns; /* when it could not be read; 0: it could, or was not tried */
	/* The thread's, while it runs: */
	bool reading;
	pthread_t thread;
	int wake;
	X509_STORE *read;
	char error[160];
	int done; /* written last, with release order */
};

struct lb_trust {
	struct source *sources;
	struct event *woken;
	int wake;
	void (*ready)(void *ctx);
	void *ctx;
};

static void *read_source(void *arg)
{
	struct source *s = arg;
	uint64_t one = 1;
	ssize_t n;

	s->read = X509_STORE_new();
	if (s->read && !(s->path ? X509_STORE_load_file(s->read, s->path) : X509_STORE_set_default_paths(s->read))) {
		X509_STORE_free(s->read);
		s->read = NULL;
	}
	if (!s->read)
		ERR_error_string_n(ERR_get_error(), s->error, sizeof(s->error));
	ERR_clear_error();
	__atomic_store_n(&s->done, 1, __ATOMIC_RELEASE);
	n = write(s->wake, &one, sizeof(one));
	(void)n; /* the counter cannot be full */
	return NULL;
}

static void take(struct source *s)
{
	pthread_join(s->thread, NULL);
	s->reading = false;
	if (s->read) {
		X509_STORE_free(s->store);
		s->store = s->read;
		s->failed_ns = 0;
	} else {
		/* What was trusted before stays so. */
		s->failed_ns = lb_now_ns();
		lb_log(LB_LOG_ERROR, "msg=\"cannot read the certificates that checks trust\" ca_file=%s error=%s",
		       lb_quoted(s->path ? s->path : "the system's"), lb_quoted(s->error));
	}
	s->read = NULL;
}

static void on_woken(evutil_socket_t fd, short what, void *ctx)
{
	struct lb_trust *t = ctx;
	uint64_t count;
	ssize_t n = read(fd, &count, sizeof(count));

	(void)n;
	for (struct source *s = t->sources; s; s = s->next)
		if (s->reading && __atomic_load_n(&s->done, __ATOMIC_ACQUIRE))
			take(s);
	t->ready(t->ctx);
}

struct lb_trust *lb_trust_new(struct event_base *base, void (*ready)(void *ctx), void *ctx)
{
	struct lb_trust *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->ready = ready;
	t->ctx = ctx;
	t->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	t->woken = t->wake >= 0 ? event_new(base, t->wake, EV_READ | EV_PERSIST, on_woken, t) : NULL;
	if (t->woken && !event_add(t->woken, NULL))
		return t;
	lb_trust_free(t);
	return NULL;
}

void lb_trust_free(struct lb_trust *t)
{
	struct source *s;

	if (!t)
		return;
	while ((s = t->sources)) {
		t->sources = s->next;
		if (s->reading)
			pthread_join(s->thread, NULL);
		X509_STORE_free(s->read);
		X509_STORE_free(s->store);
		free(s->path);
		free(s);
	}
	if (t->woken)
		event_free(t->woken);
	if (t->wake >= 0)
		close(t->wake);
	free(t);
}

static struct source *find(struct lb_trust *t, const char *path)
{
	struct source *s;

	for (s = t->sources; s; s = s->next)
		if (path ? s->path && !strcmp(s->path, path) : !s->path)
			return s;
	s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->path = path ? strdup(path) : NULL;
	if (path && !s->path) {
		free(s);
		return NULL;
	}
	s->next = t->sources;
	t->sources = s;
	return s;
}

static struct version version_of(const char *path)
{
	struct version v = {0};
	struct stat st;

	if (path && !stat(path, &st)) {
		v.dev = st.st_dev;
		v.ino = st.st_ino;
		v.size = st.st_size;
		v.modified = st.st_mtim;
	}
	return v;
}

static bool same_version(const struct version *a, const struct version *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size && a->modified.tv_sec == b->modified.tv_sec &&
	       a->modified.tv_nsec == b->modified.tv_nsec;
}

static int begin(struct lb_trust *t, struct source *s, const struct version *version)
{
	int ret;

	s->version = *version;
	s->done = 0;
	s->wake = t->wake;
	ret = pthread_create(&s->thread, NULL, read_source, s);
	s->reading = !ret;
	if (ret) {
		s->failed_ns = lb_now_ns();
		lb_log(LB_LOG_ERROR, "msg=\"cannot start a thread to read certificates\" error=%s",
		       lb_quoted(strerror(ret)));
	}
	return -ret;
}

int lb_trust_get(struct lb_trust *t, const char *path, X509_STORE **store)
{
	struct source *s = find(t, path);
	struct version now;
	bool wanted;

	if (!s)
		return -EIO;
	if (!s->reading) {
		now = version_of(path);
		wanted = !same_version(&now, &s->version) || (!s->store && !s->failed_ns) ||
			 (s->failed_ns && lb_now_ns() - s->failed_ns > AGAIN_NS);
		if (wanted && begin(t, s, &now))
			return -EIO;
	}
	if (s->store && X509_STORE_up_ref(s->store)) {
		*store = s->store;
		return 0;
	}
	return s->reading ? -EAGAIN : -EIO;
}
