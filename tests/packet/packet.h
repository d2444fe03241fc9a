/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The packet tests: one table of rows that say what a packet is, what is configured, and what has to become of it. Each
 * row is played in two worlds, in this process under the sanitizers and in the kernel with BPF_PROG_TEST_RUN.
 */
#ifndef TESTS_PACKET_H
#define TESTS_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/bpf.h>
#include <netinet/in.h>

#include "lb/abi.h"
#include "lb/verdict.h"

#define FRAME_MAX 2048
#define NR_EXT 12
#define ZERO (-1) /* in fields where 0 stands for the usual value */

struct frame {
	size_t len;
	uint8_t data[FRAME_MAX];
};

/* An IPv6 extension header: @len is its length field, @word its bytes 2 and 3. */
struct ext {
	uint8_t type;
	uint8_t len;
	uint16_t word;
};

enum { MAC_OWN, MAC_OTHER, MAC_GROUP, MAC_BROADCAST };

/* A packet to make. What is 0 is as in a plain packet of an established connection to the service. */
struct spec {
	int family; /* 4 or 6; 0 is 4 */
	int proto;  /* IPPROTO_TCP */
	int flags;  /* ACK; of SCTP the type of the first chunk: DATA */
	const char *src, *dst;
	int sport, dport;
	int tos;	  /* DSCP and ECN */
	int ttl;	  /* 64 */
	int id;		  /* 0x1234 */
	int frag;	  /* IPv4: flags and offset */
	int payload;	  /* bytes behind the transport header */
	const char *quic; /* the first eighteen of them */
	int options;	  /* IPv4: bytes of options */
	struct ext ext[NR_EXT];
	int mac; /* the frame's destination: MAC_OWN */
	/* lies */
	int ethertype, version, ihl, ip_len, doff, udp_len, chunk_len;
	/* an ICMP packet instead: type << 8 | code */
	int error;  /* from a router, about a packet that answers the one described */
	int quoted; /* bytes of that one's transport header in it: 8 */
	int echo;
	int mss;     /* the segment size that a TCP header of 24 bytes announces */
	int pad;     /* bytes behind the packet */
	int cut;     /* bytes missing at the end */
	bool no_sum; /* UDP without a checksum */
	uint32_t tag[3]; /* VLAN tags that the frame has, outer first: TPID << 16 | TCI */
	int vtag; /* of SCTP, its verification tag: what goes with the chunk; ZERO: 0 */
};

/* A flow entry, for the row's packet. */
struct entry {
	int backend; /* 0: none */
	int gen;     /* added to the backend's: 1 makes it one of another generation */
	int idle;    /* ticks */
	bool proven, closed;
};

#define OLD 2 /* backend indices; every row has both */
#define NEW 3
#define FOREIGN 4 /* another service's */
#define SERVICE 1
#define ALIVE LB_BACKEND_F_ALIVE
#define OPEN (LB_BACKEND_F_ALIVE | LB_BACKEND_F_TAKES_NEW)
#define INGRESS 1 /* the interface that packets come in by */
#define OTHER 77  /* one they may leave by */
#define CLOSED 78 /* one they may not */
#define GUE_PORT 6081
/* VLAN devices: one over INGRESS, one over another one over INGRESS, one over OTHER, one over CLOSED; one over INGRESS
 * that packets leave by redirection */
#define VLAN_ONE 81
#define VLAN_TWO 82
#define VLAN_OTHER 83
#define VLAN_CLOSED 84
#define VLAN_VETH 85
#define VLAN_NONE 86 /* the program was not told */
#define TAG_ONE (0x8100U << 16 | 100)
#define TAG_TWO (0x88a8U << 16 | 200)
#define TAGGED (LB_BACKEND_F_TAGGED | LB_BACKEND_F_REDIRECT)

/* What is configured. */
struct setup {
	int forward;	/* IPIP */
	int outer;	/* family of the backends: 4 */
	int plen;	/* fixed bits of the outer source: 128 */
	int mtu;	/* 1500 */
	int oif;	/* INGRESS; ZERO: not resolved */
	uint32_t flags; /* of the service */
	uint32_t word;	/* all slots: stable(OLD) */
	int old, new;	/* flags: OPEN; ZERO: none */
	bool no_table;
	bool foreign; /* the backends are another service's */
	struct entry entry;
	bool full;    /* the packet's set is full of other flows' proven entries */
	int rate;     /* learn_rate */
	bool flooded; /* the rate is used up for this second */
	bool no_headroom;
	bool wild; /* VIPs that are prefixes or have every port are there, too: see setup_wild() */
	struct {
		const char *addr;
		int plen; /* of the 16 bytes */
		int verdict;
	} access[4];
	int source_rate; /* new connections a second */
	bool unlinked;	 /* nobody told the program the interface's MAC address */
	uint32_t odd;	 /* the words of odd slots: as .word */
	int policy, sticky;
	int plen4, plen6;    /* bits of a client: 32 and 128 */
	struct entry client; /* the client's entry */
	int live_old, live_new;
	uint64_t quic; /* configurations; NEW has the server ID 0xa1b2 in configuration 1, SERVICE + 1 has 0xc3 */
	bool ping;     /* the VIPs answer */
	bool silent;   /* as many refusals were made in this second as may be */
	int mss;       /* of the service */
	bool veth;     /* answers leave by redirection */
};

struct row {
	const char *what;
	struct setup setup;
	struct spec before; /* a packet that came before, when it has a family */
	struct spec in;
	enum lb_verdict verdict;
	int action;  /* XDP_*; 0 is what the verdict's name says, and XDP_TX */
	int backend; /* that gets it: OLD */
	int conns, closes, hits, misses, refused;
	int mtu;	    /* that the sender was told */
	struct entry after;	/* the flow's entry; its backend 0: none */
	struct entry client;	/* the client's, after it */
	int live_old, live_new; /* what it adds to the open connections */
};

/* One for each rows_*.c. */
extern const struct row_list {
	const struct row *rows;
	size_t nr;
} rows_forward, rows_state, rows_icmp, rows_sctp, rows_wrong;

/* A trie: in this process @nr lines of key and value, the key's first word being its length in bits; or a map. */
#define TRIE_MAX 64
#define TRIE_LINE 64
struct trie {
	size_t key_len, value_len;
	int fd;
	unsigned int nr;
	uint8_t line[TRIE_MAX][TRIE_LINE] __attribute__((aligned(8)));
};

/* One of the two worlds. The arrays are where the program under test reads and writes them. */
struct world {
	const char *name;
	unsigned int cpu;
	bool slow;
	struct lb_conf *conf;
	struct lb_link *links;
	struct lb_hits *hits;
	struct lb_vip_set *vips;
	struct lb_service *services;
	struct lb_slot_line *slots;
	struct lb_backend *backends;
	struct lb_flow_set *flows;
	struct lb_flow_set *frags;
	struct lb_verdict_cpu *verdict_cpu;
	struct lb_service_cpu *service_cpu;
	struct lb_backend_cpu *backend_cpu;
	struct lb_rate_set *rates;
	struct trie wild, access;
	/* keys and values as in the maps */
	int (*trie_add)(struct world *w, struct trie *t, const void *key, const void *value);
	int (*trie_clear)(struct world *w, struct trie *t);
	int64_t *live;
	struct lb_nat_load *nat_loads;
	struct lb_nat_epochs *nat_epochs;
	int (*conn_clear)(struct world *w);
	int (*snat_add)(struct world *w, const struct lb_snat *at, const uint8_t addr[16]);
	int (*turn_reset)(struct world *w, uint32_t service);
	int (*cid_add)(struct world *w, const struct lb_cid *cid, uint32_t backend);
	int (*port_add)(struct world *w, uint32_t ifindex);
	int (*vlan_add)(struct world *w, uint32_t ifindex, const struct lb_vlan *vlan);
	/* 0 with *@action and @out, or -ENOTSUP where the world cannot be given such a packet */
	int (*run)(struct world *w, const struct frame *in, bool no_headroom, struct frame *out, int *action);
};

struct outcome {
	bool played; /* false: the world cannot be given this packet */
	int verdict; /* -1: not exactly one was counted */
	int action;
	struct frame out;
};

/* main.c. Differences are printed. */
bool play(struct world *w, const struct frame *in, bool no_headroom, struct outcome *o);
bool differs(const struct world *w, const char *what, long got, long want);
bool frames_differ(const struct world *w, const struct frame *got, const struct frame *want);
void report(bool good, const char *fmt, ...) __attribute__((__format__(__printf__, 2, 3)));

int usual_action(int verdict); /* XDP_*, by the verdict's name */

void test_nat(struct world *w);

/* 0 or -errno, with a line on stderr */
int world_native_open(struct world *w);
int world_kernel_open(struct world *w);
void world_native_close(void);
void world_kernel_close(void);
/* Instructions that the verifier looked at, of the program with every feature. */
unsigned int world_kernel_verified(void);

void world_reset(struct world *w);
bool world_is_whole(const struct world *w); /* all of its memory is there */
void world_clear_counters(struct world *w);
void world_setup(struct world *w, const struct setup *s, const struct spec *in);

/* What @s describes. @hdr_len: bytes up to and with the transport header, options left out. */
void frame_make(const struct spec *s, struct frame *f);
size_t frame_hdr_len(const struct spec *s);
size_t frame_ip_len(const struct spec *s);
/* What has to leave when @in, made from @s, is sent to @backend as configured. Written without the code under test. */
void frame_expect(const struct setup *setup, const struct spec *s, int backend, struct frame *out);
/* The reply to an echo request, and what says that @s should have had @mtu bytes at most. */
void frame_expect_echo(const struct spec *s, struct frame *out);
void frame_expect_too_big(const struct spec *s, int mtu, struct frame *out);
/* What @outer describes as an ICMP error of type << 8 | code @kind and the word @rest, which quotes the first
 * @quoted_bytes of the IP packet @quoted. */
void frame_make_error(const struct spec *outer, unsigned int kind, uint32_t rest, const struct spec *quoted,
		      size_t quoted_bytes, struct frame *out);
/* Puts @nr tags into a frame. */
void frame_tag(struct frame *f, const uint32_t *tag, size_t nr);

uint64_t flow_hash(const struct spec *s);
uint64_t client_hash(const struct setup *setup, const struct spec *s);
uint64_t steer_hash(const struct setup *setup, const struct spec *s); /* the flow's, where entries are */
#define NAME_ID 0x5eed0fa5e41ce000ULL
void backend_addr(int family, int backend, uint8_t out[16]);
void outer_src(int family, uint8_t out[16]);
extern const uint8_t mac_hop[6], mac_own[6], mac_client[6];
extern const uint64_t hash_key[2];

static inline int or_default(int value, int usual)
{
	return value == ZERO ? 0 : value ? value : usual;
}

#endif
