// SPDX-License-Identifier: GPL-2.0-or-later
/* The state file: written to a temporary file, synced, renamed, and the directory synced. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "document.h"
#include "pause.h"
#include "store.h"
#include "text.h"

#define STATE_FILE "state.json"
#define STATE_FORMAT 1
#define PAUSE_EVERY 256 /* pieces of what is saved */

int lb_store_lock(const char *dir, struct lb_err *err)
{
	int fd, ret;

	if (mkdir(dir, 0750) && errno != EEXIST)
		return lb_err_set(err, -errno, dir, "cannot make the state directory: %s", strerror(errno));
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return lb_err_set(err, -errno, dir, "cannot open the state directory: %s", strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		ret = errno == EWOULDBLOCK ? -EBUSY : -errno;
		close(fd);
		if (ret == -EBUSY)
			return lb_err_set(err, ret, dir, "another lbd uses this state directory; give --state-dir");
		return lb_err_set(err, ret, dir, "cannot lock the state directory: %s", strerror(-ret));
	}
	return 0; /* the descriptor stays open: it is the lock */
}

static int read_all(int fd, char **text, size_t *len)
{
	size_t cap = 0, used = 0;
	char *buf = NULL, *bigger;
	ssize_t n;

	for (;;) {
		if (used + 1 >= cap) {
			cap = cap ? cap * 2 : 16384;
			bigger = realloc(buf, cap);
			if (!bigger) {
				free(buf);
				return -ENOMEM;
			}
			buf = bigger;
		}
		n = read(fd, buf + used, cap - used - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 || used + n > LB_STORE_MAX_BYTES) {
			int ret = n < 0 ? -errno : -EFBIG;

			free(buf);
			return ret;
		}
		if (!n)
			break;
		used += n;
	}
	buf[used] = '\0';
	*text = buf;
	*len = used;
	return 0;
}

int lb_file_read(const char *path, char **text, size_t *len, struct lb_err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), ret;
	struct stat st;

	if (fd < 0)
		return lb_err_set(err, -errno, path, "%s", strerror(errno));
	if (!fstat(fd, &st) && !S_ISREG(st.st_mode))
		ret = S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	else
		ret = read_all(fd, text, len);
	close(fd);
	if (ret == -EFBIG)
		return lb_err_set(err, ret, path, "larger than %u MiB", LB_STORE_MAX_BYTES >> 20);
	if (ret)
		return lb_err_set(err, ret, path, "cannot be read: %s", ret == -EINVAL ? "not a file" : strerror(-ret));
	return 0;
}

void lb_fingerprint(const char *text, size_t len, char out[LB_FINGERPRINT_LEN])
{
	uint64_t h = 0xcbf29ce484222325ULL; /* FNV-1a: tells edits apart, needs no strength */

	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)text[i]) * 0x100000001b3ULL;
	snprintf(out, LB_FINGERPRINT_LEN, "%016" PRIx64, h);
}

/* What draining backends there are; a state of before there were any to keep has none. */
static int drains_decode(const json_t *list, struct lb_drains *out)
{
	const char *service, *address, *end;
	const json_t *item;
	json_int_t since;
	size_t i;

	if (list && !json_is_array(list))
		return -EINVAL;
	out->list = calloc(json_array_size(list) + 1, sizeof(*out->list));
	if (!out->list)
		return -ENOMEM;
	json_array_foreach (list, i, item) {
		struct lb_drain *d = &out->list[out->nr];

		if (json_unpack((json_t *)item, "{s:s, s:s, s:I, s:s}", "service", &service, "backend", &address,
				"since_ms", &since, "end", &end) ||
		    strlen(service) >= sizeof(d->service) || lb_endpoint_parse(address, &d->address, NULL) || since < 0)
			return -EINVAL;
		strcpy(d->service, service);
		d->since_ns = (uint64_t)since * 1000000U;
		for (d->end = LB_DRAIN_GOES_ON; strcmp(end, lb_drain_end_name(d->end)); d->end++)
			if (d->end == LB_DRAIN_TIMEOUT)
				return -EINVAL;
		out->nr++;
	}
	return 0;
}

/* A member, with a comma before it. */
static void drains_encode(struct lb_text *t, const struct lb_drains *drains)
{
	char address[LB_ADDR_STRLEN];

	lb_text_puts(t, ",\"drains\":[");
	for (size_t i = 0; i < drains->nr; i++) {
		const struct lb_drain *d = &drains->list[i];

		lb_pause_at(i + 1, PAUSE_EVERY);
		lb_text_puts(t, i ? ",{\"service\":" : "{\"service\":");
		lb_text_json_string(t, d->service);
		lb_text_printf(t, ",\"backend\":\"%s\",\"since_ms\":%" PRIu64 ",\"end\":\"%s\"}",
			       lb_endpoint_format(&d->address, address), d->since_ns / 1000000U,
			       lb_drain_end_name(d->end));
	}
	lb_text_puts(t, "]");
}

/* The addresses of names; a state of before there were names has none. */
static int resolved_decode(const json_t *list, struct lb_state *out)
{
	const char *service, *name, *address;
	const json_t *item;
	int leaving;
	size_t i;

	if (list && !json_is_array(list))
		return -EINVAL;
	if (!json_array_size(list))
		return 0;
	out->resolved = calloc(json_array_size(list), sizeof(*out->resolved));
	if (!out->resolved)
		return -ENOMEM;
	json_array_foreach (list, i, item) {
		struct lb_resolved *r = &out->resolved[out->nr_resolved];

		if (json_unpack((json_t *)item, "{s:s, s:s, s:s, s:b}", "service", &service, "name", &name, "address",
				&address, "leaving", &leaving) ||
		    strlen(service) >= sizeof(r->service) || strlen(name) >= sizeof(r->name) ||
		    lb_endpoint_parse(address, &r->address, NULL))
			return -EINVAL;
		strcpy(r->service, service);
		strcpy(r->name, name);
		r->leaving = leaving;
		out->nr_resolved++;
	}
	return 0;
}

static void resolved_encode(struct lb_text *t, const struct lb_config *c)
{
	char address[LB_ADDR_STRLEN];
	size_t nr = 0;

	lb_text_puts(t, ",\"resolved\":[");
	for (size_t i = 0; c && i < c->nr_services; i++) {
		for (size_t j = 0; j < c->services[i].nr_backends; j++) {
			const struct lb_backend_conf *b = &c->services[i].backends[j];

			if (!b->name)
				continue;
			lb_pause_at(nr + 1, PAUSE_EVERY);
			lb_text_puts(t, nr++ ? ",{\"service\":" : "{\"service\":");
			lb_text_json_string(t, c->services[i].name);
			lb_text_puts(t, ",\"name\":");
			lb_text_json_string(t, b->name);
			lb_text_printf(t, ",\"address\":\"%s\",\"leaving\":%s}",
				       lb_endpoint_format(&b->address, address), b->leaving ? "true" : "false");
		}
	}
	lb_text_puts(t, "]");
}

static int state_decode(const char *path, const char *text, size_t len, struct lb_state *out, struct lb_err *err)
{
	const char *fingerprint = "";
	json_int_t format = 0, generation = 0;
	json_error_t jerr;
	json_t *root, *config = NULL;
	struct lb_err inner = {0};
	char *part = NULL;
	int ret;

	root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &jerr);
	if (!root)
		return lb_err_set(err, -EINVAL, path, "line %d: %s; restore it, or move it away to start afresh",
				  jerr.line, jerr.text);
	if (json_unpack_ex(root, &jerr, 0, "{s:I, s:I, s:s, s:o}", "format", &format, "generation", &generation,
			   "config_file", &fingerprint, "config", &config) ||
	    format != STATE_FORMAT || generation < 0) {
		ret = lb_err_set(err, -EINVAL, path,
				 "not a state file of this version (format %d); restore it, or move "
				 "it away to start afresh",
				 STATE_FORMAT);
		goto out;
	}
	part = json_dumps(config, JSON_COMPACT);
	if (!part) {
		ret = lb_err_set(err, -ENOMEM, path, "out of memory");
		goto out;
	}
	ret = lb_document_read(part, strlen(part), NULL, &out->config, &inner);
	if (ret) {
		lb_err_set(err, ret, path, "%s; restore it, or move it away to start afresh", lb_err_str(&inner));
		goto out;
	}
	ret = drains_decode(json_object_get(root, "drains"), &out->drains);
	if (!ret)
		ret = resolved_decode(json_object_get(root, "resolved"), out);
	if (ret) {
		lb_err_set(err, ret, path,
			   "what it says of draining backends or of names cannot be read; restore it, or move it "
			   "away to start afresh");
		lb_config_free(out->config);
		lb_drains_fini(&out->drains);
		free(out->resolved);
		out->config = NULL;
		out->resolved = NULL;
		goto out;
	}
	out->generation = generation;
	snprintf(out->fingerprint, sizeof(out->fingerprint), "%s", fingerprint);
out:
	free(part);
	json_decref(root);
	return ret;
}

int lb_store_load(const char *dir, struct lb_state *out, struct lb_err *err)
{
	char path[512], *text;
	size_t len;
	int ret;

	snprintf(path, sizeof(path), "%s/" STATE_FILE, dir);
	ret = lb_file_read(path, &text, &len, err);
	if (ret)
		return ret;
	ret = state_decode(path, text, len, out, err);
	free(text);
	return ret;
}

static int write_synced(const char *path, const char *text, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640), ret = 0;

	if (fd < 0)
		return -errno;
	for (size_t done = 0; done < len && !ret;) {
		ssize_t n = write(fd, text + done, len - done);

		if (n >= 0)
			done += n;
		else if (errno != EINTR)
			ret = -errno;
	}
	if (!ret && fsync(fd))
		ret = -errno;
	if (close(fd) && !ret)
		ret = -errno;
	return ret;
}

static int sync_dir(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), ret = 0;

	if (fd < 0)
		return -errno;
	if (fsync(fd))
		ret = -errno;
	close(fd);
	return ret;
}

/* A service as it is in the file. */
struct piece {
	struct lb_service_conf conf;
	struct lb_service_text text;
};

struct lb_store {
	const char *dir;
	struct lb_service_conf defaults; /* what the pieces leave out */
	struct piece **pieces;		 /* in order of name */
	size_t nr;
	/* The thread's, while it runs: */
	bool writing;
	pthread_t thread;
	char *text;
	size_t len;
	int result;
};

static void free_piece(struct piece *p)
{
	if (!p)
		return;
	lb_service_conf_fini(&p->conf);
	lb_service_text_fini(&p->text);
	free(p);
}

static void free_pieces(struct piece **pieces, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		lb_pause_at(i, PAUSE_EVERY);
		free_piece(pieces[i]);
	}
	free(pieces);
}

struct lb_store *lb_store_new(const char *dir)
{
	struct lb_store *s = calloc(1, sizeof(*s));

	if (s)
		s->dir = dir;
	return s;
}

static void forget(struct lb_store *s)
{
	struct piece **pieces = s->pieces;
	size_t nr = s->nr;

	s->pieces = NULL;
	s->nr = 0;
	lb_service_conf_fini(&s->defaults);
	free_pieces(pieces, nr);
}

void lb_store_free(struct lb_store *s)
{
	if (!s)
		return;
	lb_store_end(s, NULL);
	forget(s);
	free(s);
}

/* @was: an older version, or NULL. */
static struct piece *make_piece(const struct lb_config *c, const struct lb_service_conf *conf, const struct piece *was)
{
	struct piece *p = calloc(1, sizeof(*p));

	if (!p || lb_service_conf_copy(&p->conf, conf)) {
		free(p);
		return NULL;
	}
	if (!lb_document_service_text(c, conf, was ? &was->conf : NULL, was ? &was->text : NULL, &p->text))
		return p;
	free_piece(p);
	return NULL;
}

/* Brings the pieces to @c. After an error there are none. */
static int update_pieces(struct lb_store *s, const struct lb_config *c)
{
	struct piece **pieces = calloc(c->nr_services + 1, sizeof(*pieces));
	size_t made = 0, was = 0;

	if (!lb_service_conf_same(&s->defaults, &c->defaults))
		forget(s);
	for (; pieces && made < c->nr_services; made++) {
		const struct lb_service_conf *conf = &c->services[made];
		struct piece *old;

		while (was < s->nr && strcmp(s->pieces[was]->conf.name, conf->name) < 0)
			free_piece(s->pieces[was++]);
		old = was < s->nr && !strcmp(s->pieces[was]->conf.name, conf->name) ? s->pieces[was] : NULL;
		if (old && lb_service_conf_same(&old->conf, conf))
			pieces[made] = s->pieces[was++];
		else
			pieces[made] = make_piece(c, conf, old);
		if (!pieces[made])
			break;
		lb_pause();
	}
	for (; was < s->nr; lb_pause())
		free_piece(s->pieces[was++]);
	free(s->pieces);
	lb_service_conf_fini(&s->defaults);
	s->pieces = pieces;
	s->nr = made;
	if (pieces && made == c->nr_services && !lb_service_conf_copy(&s->defaults, &c->defaults))
		return 0;
	forget(s);
	return -ENOMEM;
}

/* All but the services, open at the end. */
static char *encode_head(const struct lb_state *state)
{
	struct lb_config part = *state->config;
	json_t *config, *root;
	char *text;

	part.services = NULL;
	part.nr_services = 0;
	config = lb_document_config(&part);
	if (!config)
		return NULL;
	json_object_del(config, "services");
	root = json_pack("{s:i, s:I, s:s, s:o}", "format", STATE_FORMAT, "generation", (json_int_t)state->generation,
			 "config_file", state->fingerprint, "config", config);
	text = root ? json_dumps(root, JSON_COMPACT) : NULL;
	json_decref(root);
	if (text)
		text[strlen(text) - 2] = '\0'; /* of "}}" */
	return text;
}

/* The state as JSON, a line a service. */
static int encode(const struct lb_store *s, const struct lb_state *state, char **text, size_t *len)
{
	char *head = encode_head(state);
	struct lb_text t = {0};

	if (!head)
		return -ENOMEM;
	lb_text_puts(&t, head);
	lb_text_puts(&t, head[strlen(head) - 1] == '{' ? "\"services\":[" : ",\"services\":[");
	free(head);
	for (size_t i = 0; i < s->nr; i++) {
		lb_pause_at(i + 1, PAUSE_EVERY);
		lb_text_puts(&t, i ? ",\n" : "\n");
		lb_text_put(&t, s->pieces[i]->text.at, s->pieces[i]->text.len);
	}
	lb_text_puts(&t, "\n]}");
	drains_encode(&t, &state->drains);
	resolved_encode(&t, state->expanded);
	lb_text_puts(&t, "}\n");
	*text = lb_text_take(&t, len);
	return *text ? 0 : -ENOMEM;
}

static int write_state(const char *dir, const char *text, size_t len)
{
	char path[512], tmp[520];
	int ret;

	snprintf(path, sizeof(path), "%s/" STATE_FILE, dir);
	snprintf(tmp, sizeof(tmp), "%s.new", path);
	ret = write_synced(tmp, text, len);
	if (!ret && rename(tmp, path))
		ret = -errno;
	if (!ret)
		ret = sync_dir(dir);
	if (ret)
		unlink(tmp);
	return ret;
}

static void *write_in_thread(void *arg)
{
	struct lb_store *s = arg;

	s->result = write_state(s->dir, s->text, s->len);
	return NULL;
}

static int failed(const struct lb_store *s, int ret, struct lb_err *err)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/" STATE_FILE, s->dir);
	/* -EIO keeps a full disk apart from full tables. */
	return lb_err_set(err, -EIO, path, "cannot save the state: %s", strerror(-ret));
}

int lb_store_begin(struct lb_store *s, const struct lb_state *state, struct lb_err *err)
{
	int ret;

	lb_store_end(s, NULL);
	ret = update_pieces(s, state->config);
	if (!ret)
		ret = encode(s, state, &s->text, &s->len);
	if (ret)
		return failed(s, ret, err);
	s->writing = true;
	if (!pthread_create(&s->thread, NULL, write_in_thread, s))
		return 0;
	/* Then it takes longer. */
	s->writing = false;
	s->result = write_state(s->dir, s->text, s->len);
	return lb_store_end(s, err);
}

int lb_store_end(struct lb_store *s, struct lb_err *err)
{
	int ret;

	/* Mostly it is done by now, and to let others go on and come back costs more than it takes. */
	if (s->writing && pthread_tryjoin_np(s->thread, NULL)) {
		lb_block_begin();
		pthread_join(s->thread, NULL);
		lb_block_end();
	}
	ret = s->result;
	free(s->text);
	s->text = NULL;
	s->writing = false;
	s->result = 0;
	return ret ? failed(s, ret, err) : 0;
}

int lb_store_save(struct lb_store *s, const struct lb_state *state, struct lb_err *err)
{
	int ret = lb_store_begin(s, state, err);

	return ret ? ret : lb_store_end(s, err);
}
