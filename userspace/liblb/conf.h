/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The configuration: what the operator wants, whoever said it (file, CLI or API). Plain data, no runtime state.
 * document.c reads and writes it, model.c takes it as its wish.
 */
#ifndef LB_CONF_H
#define LB_CONF_H

#include <sys/types.h>

#include "addr.h"

#define LB_NAME_MAX 64 /* NUL included; letters, digits, '.', '_', '-'; the first a letter, digit or '_' */
#define LB_WEIGHT_DEFAULT 100

enum lb_attach_mode { LB_ATTACH_AUTO, LB_ATTACH_NATIVE, LB_ATTACH_GENERIC };
enum lb_state_mode { LB_STATE_AUTO, LB_STATE_ALL, LB_STATE_NONE };
enum lb_check_type { LB_CHECK_NONE, LB_CHECK_TCP, LB_CHECK_HTTP };
enum lb_admin { LB_ADMIN_ENABLED, LB_ADMIN_DRAINING, LB_ADMIN_DISABLED };

struct lb_iface_conf {
	char name[16];
	enum lb_attach_mode mode;
};

struct lb_check_conf {
	enum lb_check_type type;
	uint16_t port; /* host order; 0: the backend's, else the VIP's */
	uint32_t rise, fall;
	uint64_t interval_ns, timeout_ns;
	char path[256];			 /* http */
	char host[256];			 /* http: Host header; "": the backend's address */
	uint16_t status_min, status_max; /* http: expect_status, inclusive */
	char body[256];			 /* http: expect_body, a substring; "": any */
};

struct lb_backend_conf {
	struct lb_endpoint address; /* port 0: the client's port is kept */
	uint32_t weight;	    /* 0..65535; 0 takes no new connections */
	uint32_t tier;		    /* 0..15; the lowest tier with a usable backend serves */
	enum lb_admin admin;
};

/* Backends and VIPs are sorted by address, then port: the order in which they came means nothing. */
struct lb_service_conf {
	char name[LB_NAME_MAX];
	struct lb_vip *vips;
	size_t nr_vips;
	enum lb_forward forward;
	enum lb_state_mode state;
	struct lb_check_conf check;
	uint32_t panic_threshold; /* percent; 0: off */
	struct lb_backend_conf *backends;
	size_t nr_backends;
};

/* Services are sorted by name, interfaces by name. A hash key given as one word of 16 hex digits is completed by
 * lb_config_hash_key. */
struct lb_config {
	uint64_t hash_key[2];
	bool has_hash_key;		 /* false: lbd makes one and keeps it in its state */
	struct lb_prefix tunnel_source4; /* unset: the outgoing interface's own address */
	struct lb_prefix tunnel_source6;
	uint64_t learning_window_ns;
	struct lb_service_conf defaults; /* what a service starts from: no name, VIPs or backends */
	struct lb_iface_conf *ifaces;
	size_t nr_ifaces;
	struct lb_service_conf *services;
	size_t nr_services;
};

/* All of these own what they point to. Constructors return NULL only when out of memory. */
struct lb_config *lb_config_new(void); /* with the documented defaults */
/* lb_config_hash_key - key[1] = SipHash-1-3 of the 8-byte word @word, in host order, under the key {@word, 0}. */
void lb_config_hash_key(uint64_t word, uint64_t key[2]);
struct lb_config *lb_config_copy(const struct lb_config *c);
void lb_config_free(struct lb_config *c);
/* lb_service_conf_copy - a deep copy into uninitialised @dst. 0 or -ENOMEM with @dst empty. */
int lb_service_conf_copy(struct lb_service_conf *dst, const struct lb_service_conf *src);
void lb_service_conf_fini(struct lb_service_conf *s);
/* Does lb_config_diff find nothing between them? */
bool lb_service_conf_same(const struct lb_service_conf *a, const struct lb_service_conf *b);
/* Put what was filled in any order into the order promised above. */
void lb_service_conf_sort(struct lb_service_conf *s);
void lb_config_sort(struct lb_config *c);

struct lb_service_conf *lb_config_service(const struct lb_config *c, const char *name); /* NULL: none */
/* The backend that @ep names: the same port, or, where one of the two has none, the VIP's. NULL: none. */
struct lb_backend_conf *lb_service_conf_backend(const struct lb_service_conf *s, const struct lb_endpoint *ep);

/* Additions keep the order and take a deep copy; -EEXIST with @err when the name, VIP or address is taken,
 * -ENOMEM, -ENOSPC past LB_MAX_*. Removals: 0 or -ENOENT with @err naming the nearest known name. */
int lb_config_add_service(struct lb_config *c, const struct lb_service_conf *s, struct lb_err *err);
int lb_config_del_service(struct lb_config *c, const char *name, struct lb_err *err);
int lb_service_conf_add_backend(struct lb_service_conf *s, const struct lb_backend_conf *b, struct lb_err *err);
int lb_service_conf_del_backend(struct lb_service_conf *s, const struct lb_endpoint *ep, struct lb_err *err);
int lb_config_add_iface(struct lb_config *c, const struct lb_iface_conf *i, struct lb_err *err);
int lb_config_del_iface(struct lb_config *c, const char *name, struct lb_err *err);

/* lb_config_check - what no single field shows: two services with one VIP, a backend port that l2 and ipip cannot
 * translate (it differs from the VIP's), l2 across families, a timeout longer than the interval, anything twice.
 * -EINVAL with @err; -ENOSPC past LB_MAX_*. */
int lb_config_check(const struct lb_config *c, struct lb_err *err);

/* Where a check failed: positions in the configuration, -1: none, and a key below the innermost of them or NULL. */
struct lb_conf_where {
	ssize_t iface, service, backend;
	const char *field;
};
/* lb_config_check_at - the same, but @err has no path and @where says it, for those who know a better name for it. */
int lb_config_check_at(const struct lb_config *c, struct lb_conf_where *where, struct lb_err *err);

/* lb_config_diff - call @cb for each difference, in a fixed order: services and backends by name.
 * @op: "add", "remove" or "change"; @path: "services[web].backends[10.0.0.1:80].weight"; @from/@to may be NULL.
 * Returns the number of differences. */
typedef void (*lb_config_diff_fn)(void *ctx, const char *op, const char *path, const char *from, const char *to);
int lb_config_diff(const struct lb_config *old, const struct lb_config *new, lb_config_diff_fn cb, void *ctx);

#endif
