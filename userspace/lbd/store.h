/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The state directory: the configuration as last applied, kept so that neither kill -9 nor a power cut leaves half of
 * it. Called by lbd's control loop.
 */
#ifndef LB_STORE_H
#define LB_STORE_H

#include "drains.h"
#include "names.h"

#define LB_STORE_MAX_BYTES (16U << 20) /* a larger configuration is refused everywhere */
#define LB_FINGERPRINT_LEN 17	       /* 16 hex digits, NUL */

struct lb_state {
	struct lb_config *config;
	uint64_t generation;
	char fingerprint[LB_FINGERPRINT_LEN]; /* of the config file that was last read; "": none was */
	struct lb_drains drains;
	/* What names were found to be. To save: the configuration that has them, NULL: none; loaded: a list of its own. */
	const struct lb_config *expanded;
	struct lb_resolved *resolved;
	size_t nr_resolved;
};

/* lb_store_lock - make @dir if it is missing and hold it as ours until the process ends. -EBUSY: another lbd has it. */
int lb_store_lock(const char *dir, struct lb_err *err);
/* 0; -ENOENT: there is none yet; else with @err. *@out's config, drains and resolved are the caller's. */
int lb_store_load(const char *dir, struct lb_state *out, struct lb_err *err);
/* What was last saved, service by service, so that saving costs what has changed and not what there is. */
struct lb_store;

struct lb_store *lb_store_new(const char *dir); /* @dir must outlive it; NULL: out of memory */
void lb_store_free(struct lb_store *s);
/* lb_store_begin, _end - save @state: it is on disk when lb_store_end returns 0; on error the old one is still there.
 * Between the two a thread writes, and the caller may do what else it has to do. Where nothing was begun, or it has been
 * ended, lb_store_end returns 0. */
int lb_store_begin(struct lb_store *s, const struct lb_state *state, struct lb_err *err);
int lb_store_end(struct lb_store *s, struct lb_err *err);
/* Both. */
int lb_store_save(struct lb_store *s, const struct lb_state *state, struct lb_err *err);

/* lb_file_read - all of @path, NUL-terminated, malloc'ed. -ENOENT and others with @err. */
int lb_file_read(const char *path, char **text, size_t *len, struct lb_err *err);
void lb_fingerprint(const char *text, size_t len, char out[LB_FINGERPRINT_LEN]);

#endif
