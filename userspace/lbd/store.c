// SPDX-License-Identifier: GPL-2.0-or-later
/* The state file: written to a temporary file, synced, renamed, and the directory synced. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "document.h"
#include "store.h"

#define STATE_FILE "state.json"
#define STATE_FORMAT 1

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

int lb_store_save(const char *dir, const struct lb_state *state, struct lb_err *err)
{
	char path[512], tmp[520], *text = NULL;
	json_t *root, *config;
	int ret = -ENOMEM;

	snprintf(path, sizeof(path), "%s/" STATE_FILE, dir);
	snprintf(tmp, sizeof(tmp), "%s.new", path);
	config = lb_document_config(state->config);
	if (!config)
		goto out;
	root = json_pack("{s:i, s:I, s:s, s:o}", "format", STATE_FORMAT, "generation", (json_int_t)state->generation,
			 "config_file", state->fingerprint, "config", config);
	if (!root)
		goto out;
	text = json_dumps(root, JSON_INDENT(1));
	json_decref(root);
	if (!text)
		goto out;
	ret = write_synced(tmp, text, strlen(text));
	if (!ret && rename(tmp, path))
		ret = -errno;
	if (!ret)
		ret = sync_dir(dir);
	if (ret)
		unlink(tmp);
out:
	free(text);
	if (ret)
		/* -EIO keeps a full disk apart from full tables. */
		return lb_err_set(err, -EIO, path, "cannot save the state: %s", strerror(-ret));
	return 0;
}
