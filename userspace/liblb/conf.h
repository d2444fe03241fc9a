/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The configuration: what the operator wants, whoever said it (file, CLI or API). Plain data, no runtime state.
 * document_read.c and document_write.c read and write it, model.c takes it as its wish.
 */
#ifndef LB_CONF_H
#define LB_CONF_H

#include <sys/types.h>

#include "addr.h"
#include "lb/dp/quic.h"

#define LB_NAME_MAX 64 /* NUL included; letters, digits, '.', '_', '-'; the first a letter, digit or '_' */
#define LB_WEIGHT_DEFAULT 100
#define LB_TIERS 16
#define LB_FLAPS_MAX 16
#define LB_GUE_PORT_DEFAULT 6080 /* IANA's */
#define LB_MAX_SNAT 64		 /* addresses of a service */
#define LB_ANNOUNCE_TABLE 76	 /* small enough for FRR, whose tables end at 252 */
#define LB_ANNOUNCE_PROTOCOL 76

enum lb_attach_mode { LB_ATTACH_AUTO, LB_ATTACH_NATIVE, LB_ATTACH_GENERIC };
enum lb_state_mode { LB_STATE_AUTO, LB_STATE_ALL, LB_STATE_NONE };
enum lb_check_type {
	LB_CHECK_NONE,
	LB_CHECK_TCP,
	LB_CHECK_HTTP,
	LB_CHECK_HTTPS,
	LB_CHECK_GRPC,
	LB_CHECK_PING,
	LB_CHECK_UDP,
	LB_CHECK_DNS,
	LB_CHECK_EXEC,
};
enum lb_check_via { LB_CHECK_DIRECT, LB_CHECK_VIA_VIP };
enum lb_dns_record { LB_DNS_A, LB_DNS_AAAA };
enum lb_weight_means { LB_WEIGHT_SHARE, LB_WEIGHT_LOAD };
enum lb_policy { LB_POLICY_MAGLEV, LB_POLICY_ROUND_ROBIN, LB_POLICY_LEAST_CONN, LB_POLICY_RANDOM };
enum lb_affinity { LB_AFFINITY_NONE, LB_AFFINITY_SOURCE };
enum lb_fate { LB_FATE_TERMINATE, LB_FATE_KEEP }; /* of connections whose backend goes */
enum lb_announce_exit { LB_ANNOUNCE_LEAVE, LB_ANNOUNCE_WITHDRAW };
enum lb_announce_shared { LB_ANNOUNCE_ANY, LB_ANNOUNCE_ALL };
enum lb_admin { LB_ADMIN_ENABLED, LB_ADMIN_DRAINING, LB_ADMIN_DISABLED };

struct lb_iface_conf {
	char name[16];
	enum lb_attach_mode mode;
};

#define LB_CHECK_TEXT_MAX 256 /* of each text below, NUL included */
#define LB_MAX_CHECK_HEADERS 16
#define LB_MAX_CHECK_ARGS 16
#define LB_MAX_STATUS_RANGES 8

/* HTTP statuses: ranges in order, none of which touches the next. */
struct lb_status_set {
	uint16_t nr;
	struct {
		uint16_t min, max; /* inclusive */
	} range[LB_MAX_STATUS_RANGES];
};

/* Strings that are NULL are not set. */
struct lb_check_conf {
	enum lb_check_type type;
	uint16_t port; /* host order; 0: the backend's, else the VIP's */
	uint32_t rise, fall;
	uint64_t interval_ns, timeout_ns;
	char path[LB_CHECK_TEXT_MAX]; /* http, https */
	char host[LB_CHECK_TEXT_MAX]; /* http, https: Host header; "": the backend's address */
	struct lb_status_set status;  /* http, https: expect_status */
	char body[LB_CHECK_TEXT_MAX]; /* http, https: expect_body, a substring; "": any */
	uint64_t fast_interval_ns;    /* while health is changing; 0: interval_ns */
	char method[16];	      /* http, https */
	bool verify;		      /* https, grpc with tls: the server's certificate */
	bool tls;		      /* grpc */
	enum lb_dns_record record;    /* dns: what is asked for */
	char *server_name;	      /* https, grpc with tls: SNI, and the name that the certificate must have */
	char *ca_file;		      /* https, grpc with tls: who is trusted; NULL: whom the system trusts */
	char *service;		      /* grpc; NULL: the server as a whole */
	char *name;		      /* dns */
	char *program;		      /* exec: an absolute path */
	char *send, *expect;	      /* udp: as lb_text_unescape() reads them; NULL: nothing, anything or silence */
	char (*headers)[LB_CHECK_TEXT_MAX]; /* http, https: "Name: value", as they were given */
	size_t nr_headers;
	char (*args)[LB_CHECK_TEXT_MAX]; /* exec, without the program's name */
	size_t nr_args;
	uint32_t flaps; /* so many times down within .flap_window_ns, and it is held down; 0: never */
	uint64_t flap_window_ns, flap_hold_ns, flap_hold_max_ns;
	char *weight_header;   /* http, https: it says how much of its weight the backend can bear; NULL: none does */
	bool weight_body;      /* http, https: the body's first line does */
	enum lb_weight_means weight_means;
	uint32_t weight_floor; /* percent: no less counts */
	uint32_t weight_step;  /* percentage points: a smaller change does not count */
	enum lb_check_via via;
};

struct lb_affinity_conf {
	enum lb_affinity by;
	uint32_t ipv4_prefix, ipv6_prefix; /* clients that share so many bits are one, 1..32 and 1..128 */
	uint64_t timeout_ns; /* a client that was silent for it may get another backend; 0: the table decides */
};

/* What servers of one configuration make connection IDs of: see lb/dp/quic.h. */
struct lb_quic_config {
	uint32_t id;		   /* 0..LB_QUIC_CONFIGS - 1 */
	uint32_t server_id_length; /* bytes, 1..LB_QUIC_SERVER_ID_MAX */
	uint32_t nonce_length;	   /* bytes, LB_QUIC_NONCE_MIN and more; together at most LB_QUIC_BODY_MAX */
	bool self_length;	   /* all of them write the ID's length into its first byte */
};

/* Sorted by id. */
struct lb_quic_conf {
	struct lb_quic_config *configs;
	size_t nr_configs; /* 0: off */
};

struct lb_server_id {
	uint8_t len; /* 0: none */
	uint8_t bytes[LB_QUIC_SERVER_ID_MAX];
};

struct lb_backend_conf {
	struct lb_endpoint address; /* port 0: the client's port is kept */
	uint32_t weight;	    /* 0..65535; 0 takes no new connections */
	uint32_t tier;		    /* 0..15; the lowest tier with a usable backend serves */
	enum lb_admin admin;
	struct lb_server_id server_id; /* for connection-ID routing */
	/* NULL: .address is all there is. Else a DNS name, owned, whose addresses are meant, .address.addr being its key
	 * (names.h); or, after lb_names_expand, the name that .address came from. */
	char *name;
	bool leaving; /* the name had it, and has it no longer; never in a configuration as it is written */
};

/* Backends and VIPs are sorted by address, then port, allow, deny and snat by address, then length: the order in which
 * they came means nothing. */
struct lb_service_conf {
	char name[LB_NAME_MAX];
	struct lb_vip_conf *vips;
	size_t nr_vips;
	enum lb_forward forward;
	uint16_t gue_port; /* host order */
	enum lb_policy policy;
	struct lb_affinity_conf affinity;
	enum lb_state_mode state; /* as asked for; lb_service_conf_state says what follows */
	enum lb_fate on_down;	  /* the backend's check fails */
	enum lb_fate on_disable;  /* the backend is disabled */
	struct lb_prefix *allow;  /* of both families; none: everybody */
	size_t nr_allow;
	struct lb_prefix *deny;
	size_t nr_deny;
	uint8_t (*snat)[16]; /* fullnat: what backends see as the client */
	size_t nr_snat;
	uint32_t source_rate_limit; /* new connections of one source address a second; 0: no limit */
	bool ping;		    /* answer echo requests to the VIPs' addresses */
	uint16_t mss_clamp;	    /* bytes, the most that a SYN may offer; 0: as it is */
	struct lb_quic_conf quic;
	struct lb_check_conf check;
	uint32_t panic_threshold; /* percent; 0: off */
	uint32_t tier_min;	  /* a tier with fewer that are fit leaves service to the next one */
	uint64_t slow_start_ns;	  /* how long a backend that comes up takes to get all of its weight; 0: no time */
	uint64_t drain_timeout_ns; /* then the connections that a draining backend has left are ended; 0: never */
	struct lb_backend_conf *backends;
	size_t nr_backends;
	bool announce;	 /* the VIPs are routes while the service is healthy */
	uint32_t quorum; /* healthy backends that it takes for that; 0: always */
};

/* Where VIPs are announced: as routes that routing daemons export. */
struct lb_announce_conf {
	uint32_t table;		 /* of lbd's own, looked up by nobody */
	uint32_t protocol;	 /* 5..255, of lbd's own: routes in the table that have it are lbd's */
	uint64_t delay_ns;	 /* a service has been healthy for so long before its VIPs are announced */
	uint64_t drain_ns;	 /* between withdrawing and removing the dataplane at exit */
	enum lb_announce_exit on_exit;	/* what becomes of the routes where the dataplane stays */
	enum lb_announce_shared shared; /* how many of the services that share an address have to be healthy */
};

#define LB_MAX_RESOLVERS 8

/* How the names of backends are looked up. */
struct lb_resolver_conf {
	struct lb_endpoint *servers; /* in the order in which they are asked; port 0: 53 */
	size_t nr_servers;	     /* 0: the system's */
	uint64_t timeout_ns;	     /* of one question to one server */
	uint64_t min_ttl_ns, max_ttl_ns;
	uint32_t max_addresses; /* of one name that become backends of one service */
};

/* How long a translated connection that is silent is remembered: RFC 5382 REQ-5, RFC 4787 REQ-5. */
struct lb_timeouts_conf {
	uint64_t tcp_established_ns;
	uint64_t tcp_transitory_ns; /* FINs or a RST were seen */
	uint64_t tcp_half_open_ns;  /* SYN only */
	uint64_t udp_ns;
	uint64_t udp_unreplied_ns;
};

/* Services are sorted by name, interfaces by name. A hash key given as one word of 16 hex digits is completed by
 * lb_config_hash_key. */
struct lb_config {
	uint64_t hash_key[2];
	bool has_hash_key;		 /* false: lbd makes one and keeps it in its state */
	struct lb_prefix tunnel_source4; /* unset: the outgoing interface's own address */
	struct lb_prefix tunnel_source6;
	uint64_t learning_window_ns;
	uint32_t learn_rate;	  /* new flow entries that a service may make on a CPU in a second; 0: no limit */
	uint32_t max_connections; /* that nat and fullnat remember */
	struct lb_timeouts_conf timeouts;
	struct lb_service_conf defaults; /* what a service starts from: no name, VIPs or backends */
	struct lb_iface_conf *ifaces;
	size_t nr_ifaces;
	struct lb_service_conf *services;
	size_t nr_services;
	struct lb_announce_conf announce;
	struct lb_resolver_conf resolver;
};

/* All of these own what they point to. Constructors return NULL only when out of memory. */
struct lb_config *lb_config_new(void); /* with the documented defaults */
/* lb_config_hash_key - key[1] = SipHash-1-3 of the 8-byte word @word, in host order, under the key {@word, 0}. */
void lb_config_hash_key(uint64_t word, uint64_t key[2]);
struct lb_config *lb_config_copy(const struct lb_config *c);
void lb_config_free(struct lb_config *c);
/* lb_check_conf_copy - a deep copy into uninitialised @dst. 0 or -ENOMEM with @dst empty. */
int lb_check_conf_copy(struct lb_check_conf *dst, const struct lb_check_conf *src);
void lb_check_conf_fini(struct lb_check_conf *c);
bool lb_check_conf_same(const struct lb_check_conf *a, const struct lb_check_conf *b);
/* lb_check_conf_reads_weight - does the check ask the backend how much of its weight it can bear? */
bool lb_check_conf_reads_weight(const struct lb_check_conf *c);
/* lb_service_conf_check_vip - where probes that go by way of the VIP go: the first VIP of a single address and of the
 * check's protocol, else of any. NULL: they do not, or there is none. */
const struct lb_vip_conf *lb_service_conf_check_vip(const struct lb_service_conf *s);
bool lb_status_expected(const struct lb_status_set *s, unsigned int status);
/* lb_text_unescape - @text with \xHH, \n, \r, \t and \\ as the bytes that they mean, into @out with room for
 * LB_CHECK_TEXT_MAX. The number of bytes; -EINVAL: another escape. */
int lb_text_unescape(const char *text, uint8_t *out);
/* lb_service_conf_copy - a deep copy into uninitialised @dst. 0 or -ENOMEM with @dst empty. */
int lb_service_conf_copy(struct lb_service_conf *dst, const struct lb_service_conf *src);
void lb_service_conf_fini(struct lb_service_conf *s);
/* Does lb_config_diff find nothing between them? */
bool lb_service_conf_same(const struct lb_service_conf *a, const struct lb_service_conf *b);
/* lb_service_conf_hash - equal for what is the same, and mostly different for what is not. Of one build of lbd. */
uint64_t lb_service_conf_hash(const struct lb_service_conf *s);
/* lb_service_conf_features - LB_HAS_*: what a program has to do for the service. */
uint32_t lb_service_conf_features(const struct lb_service_conf *s);
/* lb_service_conf_translates - nat or fullnat? */
bool lb_service_conf_translates(const struct lb_service_conf *s);
/* lb_service_conf_state - what the service has to remember: all flows where a choice cannot be derived again. */
enum lb_state_mode lb_service_conf_state(const struct lb_service_conf *s);
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

/* lb_config_check - what no single field shows: two services with one VIP, a backend port that only nat and fullnat
 * could translate (it differs from the VIP's), l2 across families, fullnat without an address of the backends' family,
 * a timeout longer than the interval, anything twice. -EINVAL with @err; -ENOSPC past LB_MAX_*. */
int lb_config_check(const struct lb_config *c, struct lb_err *err);

/* lb_backend_conf_fits - can @b, an address, be a backend of @s: usable, none of its VIPs, of a family that it is
 * forwarded to? Whether it is one already is not looked at. */
bool lb_backend_conf_fits(const struct lb_service_conf *s, const struct lb_backend_conf *b);

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
