// SPDX-License-Identifier: GPL-2.0-or-later
/* The program once more, on maps of which packets write to copies only; see trace.h. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <net/if_arp.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "dataplane_priv.h"
#include "lb/dp/flow.h"
#include "lb/dp/nat.h"
#include "lb/dp/quic.h"
#include "lb/dp/source.h"
#include "lb/dp/steer.h"
#include "lb/dp/wild.h"
#include "lb.skel.h"
#include "program.h"
#include "steering.h"
#include "trace.h"
#include "vipset.h"

#define ROOM 512   /* that a packet may grow by */
#define LOOPBACK 1 /* its index in every network namespace */
#define COPY_BATCH 1024

struct lb_trace {
	struct lb_dataplane *dp;
	struct lb_bpf *skel;
	uint32_t ifindex;
	bool unnamed; /* the kernel cannot be told the interface (before 5.15): frames come in by loop-back */
	unsigned int cpu;
	char tag[17];
	struct lb_flow_set *flows;
	struct lb_verdict_cpu *verdicts; /* this CPU's */
	struct lb_service_cpu *services;
	struct lb_hits *hits;
	struct lb_backend_cpu *backends;
	uint16_t *used_services, *used_backends;
	size_t nr_services, nr_backends;
	uint8_t in[2 + LB_TRACE_FRAME_MAX] __attribute__((aligned(8)));
	uint8_t out[LB_TRACE_FRAME_MAX + ROOM];
};

/* ---- the maps ---- */

/* What packets only read: live. What is not known here is copied, to be on the safe side. */
static bool is_read_only(const struct bpf_map *map, bool unnamed)
{
	static const char *const names[] = {LB_MAP_CONF, LB_MAP_VIPS,	LB_MAP_SERVICES, LB_MAP_SLOTS, LB_MAP_WILD,
					    LB_MAP_CIDS, LB_MAP_ACCESS, LB_MAP_PORTS,	 LB_MAP_SNATS};
	static const char *const named[] = {LB_MAP_BACKENDS, LB_MAP_LINKS, LB_MAP_VLANS}; /* interfaces */
	const char *name = lb_program_map_name(map);

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(name, names[i]))
			return true;
	for (size_t i = 0; i < sizeof(named) / sizeof(named[0]); i++)
		if (!strcmp(name, named[i]))
			return !unnamed;
	return false;
}

/* What is nothing but quicker: packets do without. */
static bool is_spare(const struct bpf_map *map)
{
	return !strcmp(bpf_map__name(map), LB_MAP_NAT_LINES);
}

static bool is_counters(const struct bpf_map *map)
{
	const char *name = bpf_map__name(map);

	return !strcmp(name, LB_MAP_VERDICT_CPU) || !strcmp(name, LB_MAP_SERVICE_CPU) ||
	       !strcmp(name, LB_MAP_BACKEND_CPU);
}

/* What a packet puts down for its next stage, which 5.10 could not copy either, and what begins at 0. */
static bool is_scratch(const struct bpf_map *map)
{
	const char *name = lb_program_map_name(map);

	/* there are no lines yet to be held against an epoch */
	return bpf_map__type(map) == BPF_MAP_TYPE_PERCPU_ARRAY || !strcmp(name, LB_MAP_HITS) ||
	       !strcmp(name, LB_MAP_NAT_EPOCHS);
}

static void *map_memory(const struct bpf_map *map)
{
	void *p = mmap(NULL, lb_program_map_bytes(map), PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);

	return p == MAP_FAILED ? NULL : p;
}

static int copy_elements(const struct bpf_map *from, const struct bpf_map *to)
{
	size_t key_bytes = bpf_map__key_size(from), value_bytes = (bpf_map__value_size(from) + 7) & ~7U;
	uint8_t *keys = calloc(COPY_BATCH, key_bytes), *values = calloc(COPY_BATCH, value_bytes);
	uint8_t *at = calloc(1, key_bytes + sizeof(uint64_t));
	bool more = true, begun = false;
	uint32_t nr, written;
	int ret = keys && values && at ? 0 : -ENOMEM;

	while (!ret && more) {
		nr = COPY_BATCH;
		if (bpf_map_lookup_batch(bpf_map__fd(from), begun ? at : NULL, at, keys, values, &nr, NULL)) {
			more = false;
			if (errno != ENOENT)
				ret = -errno;
		}
		begun = true;
		written = nr;
		if (!ret && nr && bpf_map_update_batch(bpf_map__fd(to), keys, values, &written, NULL))
			ret = -errno;
	}
	free(keys);
	free(values);
	free(at);
	return ret;
}

/* The live map's contents for the copy. */
static int copy_map(const struct bpf_map *from, const struct bpf_map *to)
{
	void *live, *copy;
	int ret = 0;

	if (!(bpf_map__map_flags(from) & BPF_F_MMAPABLE))
		return copy_elements(from, to);
	live = map_memory(from);
	copy = map_memory(to);
	if (live && copy)
		memcpy(copy, live, lb_program_map_bytes(to));
	else
		ret = -errno;
	if (live)
		munmap(live, lb_program_map_bytes(from));
	if (copy)
		munmap(copy, lb_program_map_bytes(to));
	return ret;
}

/* Each of the program's maps beside the live one. */
#define each_map(to, from, t)                                                                                          \
	for (struct bpf_map *to = bpf_object__next_map((t)->skel->obj, NULL),                                          \
			    *from = bpf_object__next_map((t)->dp->skel->obj, NULL);                                    \
	     to && from;                                                                                               \
	     to = bpf_object__next_map((t)->skel->obj, to), from = bpf_object__next_map((t)->dp->skel->obj, from))

static int prepare_map(const struct lb_trace *t, struct bpf_map *to, const struct bpf_map *from)
{
	uint32_t rows = t->cpu + 1, entries = bpf_map__max_entries(from);
	int ret;

	if (!lb_program_shares(to))
		return bpf_map__set_autocreate(to, bpf_map__autocreate(from));
	ret = bpf_map__set_pin_path(to, NULL);
	if (ret)
		return ret;
	if (is_read_only(to, t->unnamed))
		return bpf_map__reuse_fd(to, bpf_map__fd(from));
	if (is_counters(to))
		entries = entries / (t->dp->ncpus + 1) * rows;
	if (is_spare(to))
		entries = 1;
	return bpf_map__set_max_entries(to, entries);
}

/* VLAN devices on the interface. */
static int rename_below(const struct lb_trace *t)
{
	int fd = bpf_map__fd(t->skel->maps.lb_vlans);
	struct lb_vlan vlan;
	uint32_t oif;

	for (uint32_t *prev = NULL; !bpf_map_get_next_key(fd, prev, &oif); prev = &oif) {
		if (bpf_map_lookup_elem(fd, &oif, &vlan) || vlan.oif != t->ifindex)
			continue;
		vlan.oif = LOOPBACK;
		vlan.flags &= ~LB_VLAN_F_REDIRECT;
		if (bpf_map_update_elem(fd, &oif, &vlan, BPF_EXIST))
			return -errno;
	}
	return 0;
}

/* A kernel that cannot be told where a frame came in says by loop-back: what is the interface's is made that one's. */
static int rename_interface(const struct lb_trace *t)
{
	struct lb_links *links = map_memory(t->skel->maps.data_lb_links);
	struct lb_backend *backends = map_memory(t->skel->maps.lb_backends);
	int ret = links && backends ? 0 : -errno;

	if (!ret) {
		links->at[LOOPBACK % LB_LINKS] = t->dp->links[t->ifindex % LB_LINKS];
		links->at[LOOPBACK % LB_LINKS].ifindex = LOOPBACK;
		links->at[LOOPBACK % LB_LINKS].flags = 0;
		for (size_t i = 0; i < LB_MAX_BACKENDS; i++) {
			if (backends[i].oif != t->ifindex)
				continue;
			backends[i].oif = LOOPBACK;
			backends[i].flags &= (uint8_t)~LB_BACKEND_F_REDIRECT;
		}
	}
	if (!ret)
		ret = rename_below(t);
	if (links)
		munmap(links, lb_program_map_bytes(t->skel->maps.data_lb_links));
	if (backends)
		munmap(backends, lb_program_map_bytes(t->skel->maps.lb_backends));
	return ret;
}

static int load(struct lb_trace *t, struct lb_err *err)
{
	struct bpf_prog_info info = {0};
	__u32 bytes = sizeof(info);
	int ret = 0;

	lb_log_reset();
	t->skel = lb_bpf__open();
	if (!t->skel)
		return lb_log_load_error(err, errno ? -errno : -ENOMEM);
	memcpy(t->skel->rodata, t->dp->skel->rodata, sizeof(*t->skel->rodata));
	each_map(to, from, t) ret = ret ?: prepare_map(t, to, from);
	if (!ret)
		ret = lb_bpf__load(t->skel);
	if (ret)
		return lb_log_load_error(err, ret);
	each_map(copy, live, t) if (!ret && lb_program_shares(copy) && !is_read_only(copy, t->unnamed) &&
				    !is_counters(copy) && !is_scratch(copy) && !is_spare(copy)) ret = copy_map(live, copy);
	if (!ret && t->unnamed)
		ret = rename_interface(t);
	if (!ret && bpf_obj_get_info_by_fd(bpf_program__fd(t->skel->progs.lb_main), &info, &bytes))
		ret = -errno;
	if (ret)
		return lb_err_set(err, ret, NULL, "cannot copy the dataplane's maps: %s", strerror(-ret));
	for (size_t i = 0; i < sizeof(info.tag); i++)
		snprintf(t->tag + 2 * i, 3, "%02x", info.tag[i]);
	return 0;
}

static int map_rows(struct lb_trace *t, struct lb_err *err)
{
	struct lb_verdict_cpu *verdicts = map_memory(t->skel->maps.lb_verdict_cpu);
	struct lb_service_cpu *services = map_memory(t->skel->maps.lb_service_cpu);
	struct lb_backend_cpu *backends = map_memory(t->skel->maps.lb_backend_cpu);

	t->flows = map_memory(t->skel->maps.lb_flows);
	t->hits = map_memory(t->skel->maps.data_lb_hits);
	if (!verdicts || !services || !backends || !t->flows || !t->hits)
		return lb_err_set(err, -ENOMEM, NULL, "cannot map the copies of the dataplane's maps: %s",
				  strerror(errno));
	t->verdicts = verdicts + t->cpu;
	t->services = services + (size_t)t->cpu * LB_MAX_SERVICES;
	t->backends = backends + (size_t)t->cpu * LB_MAX_BACKENDS;
	return 0;
}

/* What has rows that may count. */
static int list_used(struct lb_trace *t)
{
	t->used_services = calloc(LB_MAX_SERVICES, sizeof(*t->used_services));
	t->used_backends = calloc(LB_MAX_BACKENDS, sizeof(*t->used_backends));
	if (!t->used_services || !t->used_backends)
		return -ENOMEM;
	for (uint32_t i = 1; i < LB_MAX_SERVICES; i++)
		if (t->dp->services[i].name_id)
			t->used_services[t->nr_services++] = (uint16_t)i;
	for (uint32_t i = 1; i < LB_MAX_BACKENDS; i++)
		if (t->dp->backends[i].service)
			t->used_backends[t->nr_backends++] = (uint16_t)i;
	return 0;
}

/* Can the kernel be told that a frame comes in by @ifindex? */
static bool can_name(uint32_t ifindex)
{
	const struct bpf_insn pass[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_PASS},
		{.code = BPF_JMP | BPF_EXIT},
	};
	uint8_t frame[64] = {0};
	struct xdp_md ctx = {.data_end = sizeof(frame), .ingress_ifindex = ifindex};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = sizeof(frame), .ctx_in = &ctx,
		    .ctx_size_in = sizeof(ctx), .repeat = 1);
	int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "lb_probe", "GPL", pass, sizeof(pass) / sizeof(pass[0]), NULL);
	bool can = fd >= 0 && !bpf_prog_test_run_opts(fd, &opts);

	if (fd >= 0)
		close(fd);
	return can;
}

/* Rows of counters are the CPU's: stay on one, the first that there is. */
static unsigned int stay(void)
{
	unsigned int cpu = 0;
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set))
		return (unsigned int)sched_getcpu();
	while (cpu < CPU_SETSIZE - 1 && !CPU_ISSET(cpu, &set))
		cpu++;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
	return cpu;
}

int lb_trace_open(struct lb_dataplane *dp, uint32_t ifindex, struct lb_trace **out, struct lb_err *err)
{
	struct lb_trace *t = calloc(1, sizeof(*t));
	int ret;

	if (!t)
		return lb_err_set(err, -ENOMEM, NULL, "out of memory");
	t->dp = dp;
	t->ifindex = ifindex;
	t->cpu = stay();
	t->unnamed = !can_name(ifindex);
	ret = list_used(t) ? lb_err_set(err, -ENOMEM, NULL, "out of memory") : 0;
	if (!ret)
		ret = load(t, err);
	if (!ret)
		ret = map_rows(t, err);
	if (ret) {
		lb_trace_free(t);
		return ret;
	}
	*out = t;
	return 0;
}

void lb_trace_free(struct lb_trace *t)
{
	if (!t)
		return;
	if (t->flows)
		munmap(t->flows, lb_program_map_bytes(t->skel->maps.lb_flows));
	if (t->hits)
		munmap(t->hits, lb_program_map_bytes(t->skel->maps.data_lb_hits));
	if (t->verdicts) {
		munmap(t->verdicts - t->cpu, lb_program_map_bytes(t->skel->maps.lb_verdict_cpu));
		munmap(t->services - (size_t)t->cpu * LB_MAX_SERVICES, lb_program_map_bytes(t->skel->maps.lb_service_cpu));
		munmap(t->backends - (size_t)t->cpu * LB_MAX_BACKENDS, lb_program_map_bytes(t->skel->maps.lb_backend_cpu));
	}
	lb_bpf__destroy(t->skel);
	free(t->used_services);
	free(t->used_backends);
	free(t);
}

const char *lb_trace_tag(const struct lb_trace *t)
{
	return t->tag;
}

/* ---- why ---- */

/* The flow, as far as the frame shows one, and what the cache knows of it before the packet comes. */
struct before {
	enum lb_steering_kind kind;
	struct lb_packet pkt;
	uint16_t service; /* 0: none's */
	struct lb_steering at;
	uint32_t word;
	uint64_t entry, client;
	bool is_known; /* .conn: the entry of its translated connection, or of the one that an error is about */
	struct lb_conn conn;
};

static uint8_t now_age(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return lb_flow_age((uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec);
}

static uint16_t find_service(const struct lb_dataplane *dp, const struct lb_packet *p)
{
	const struct lb_vip_key k = lb_packet_vip(p);
	struct lb_vip vip = {.port = p->dport, .proto = p->proto};
	const struct lb_vip_line *line;
	struct lb_wild_key key;
	struct lb_wild one = {0}, every = {0};

	lb_put64(vip.addr, lb_packet_dest(p, 0));
	lb_put64(vip.addr + 8, lb_packet_dest(p, 1));
	line = lb_vipset_get(dp->vips, &vip);
	if (line)
		return line->service;
	key = lb_wild_key(lb_packet_dest(p, 0), lb_packet_dest(p, 1), k.what, 128);
	if (bpf_map_lookup_elem(dp->wild_fd, &key, &one))
		one = (struct lb_wild){0};
	key.what = lb_wild_every_port(key.what);
	if (bpf_map_lookup_elem(dp->wild_fd, &key, &every))
		every = (struct lb_wild){0};
	if (!every.service)
		return one.service;
	return one.service && one.plen >= every.plen ? one.service : every.service;
}

static void look_before(const struct lb_trace *t, const uint8_t *frame, size_t bytes, struct before *b)
{
	const struct lb_dataplane *dp = t->dp;
	const struct lb_service *s;
	struct lb_conn_key key;
	uint8_t age = now_age();
	bool tcp;

	*b = (struct before){.kind = lb_steering_parse(frame, bytes, &b->pkt), .pkt = b->pkt};
	if (b->kind == LB_STEERING_NONE)
		return;
	lb_nat_key(&b->pkt, &key);
	b->is_known = !bpf_map_lookup_elem(bpf_map__fd(t->skel->maps.lb_conns), &key, &b->conn);
	b->service = find_service(dp, &b->pkt);
	if (!b->service || b->service >= LB_MAX_SERVICES)
		return;
	s = &dp->services[b->service];
	tcp = b->pkt.proto != IPPROTO_UDP;
	b->at = lb_steering_of(dp->conf, s, &b->pkt);
	if (b->at.slots)
		b->word = dp->slots[LB_TABLE_BASE(s->table) + b->at.slot];
	if (s->flags & LB_SERVICE_F_NO_STATE)
		return;
	b->entry = lb_steering_entry(t->flows, dp->backends, b->at.hash, b->service, tcp, age);
	if (s->sticky_ticks && b->at.source)
		b->client = lb_steering_entry(t->flows, dp->backends, b->at.source, b->service, true, age);
}

/* Does the packet's connection ID name @backend? */
static bool names(const struct lb_dataplane *dp, const struct before *b, const void *end, uint16_t backend)
{
	const struct lb_service *s = &dp->services[b->service];
	struct lb_cid cid = {.service = b->service};
	struct lb_quic_id id;
	uint32_t named;

	if (!(s->flags & LB_SERVICE_F_QUIC) || b->pkt.proto != IPPROTO_UDP ||
	    lb_quic_route(b->pkt.ip + b->pkt.l4_off, end, b->pkt.len - b->pkt.l4_off, s->quic, &id) != LB_QUIC_ROUTABLE)
		return false;
	cid.server_id = id.server_id;
	cid.config = (uint8_t)id.config;
	return !bpf_map_lookup_elem(dp->cids_fd, &cid, &named) && named == backend;
}

/* An error is counted for its service alone: whose it became is worked out as the program does. */
static uint16_t backend_of_error(const struct before *b)
{
	bool learn;

	if (b->entry)
		return LB_FLOW_BACKEND(b->entry);
	return (uint16_t)lb_steer_miss(b->word, b->pkt.proto == IPPROTO_UDP, false, &learn);
}

static void explain(const struct lb_trace *t, const struct before *b, uint64_t hits, uint64_t misses,
		    struct lb_trace_result *r)
{
	const struct lb_service *s = &t->dp->services[b->service];
	bool tcp = b->pkt.proto != IPPROTO_UDP, chosen; /* SCTP says as much of what is new */

	if (b->kind == LB_STEERING_NONE || !b->service || r->service != b->service)
		return;
	r->opens = b->kind == LB_STEERING_FLOW && (!tcp || lb_packet_opens(&b->pkt));
	if (r->verdict == LB_V_FORWARDED_ICMP) {
		r->backend = backend_of_error(b);
		hits = !!b->entry;
	}
	if (hits)
		r->entry = LB_TRACE_FOUND;
	else if (misses)
		r->entry = lb_steering_entry(t->flows, t->dp->backends, b->at.hash, b->service, tcp, now_age())
				   ? LB_TRACE_MADE
				   : LB_TRACE_NO_ENTRY;
	if (!r->backend)
		return;
	r->has_slot = b->at.slots;
	r->slot = b->at.slot;
	r->slots = b->at.slots;
	r->word = b->word;
	chosen = misses && r->opens && s->policy != LB_CHOOSE_BY_TABLE;
	r->remembered = misses && r->opens && b->client && LB_FLOW_BACKEND(b->client) == r->backend;
	r->decided = !hits && !chosen && !r->remembered;
	if (hits)
		r->via = LB_TRACE_BY_FLOW;
	else if (b->kind == LB_STEERING_FLOW && names(t->dp, b, b->pkt.ip + b->pkt.room, r->backend))
		r->via = LB_TRACE_BY_CID;
	else if (r->remembered || (!chosen && s->flags & LB_SERVICE_F_AFFINITY))
		r->via = LB_TRACE_BY_SOURCE;
	else
		r->via = LB_TRACE_BY_TABLE;
	if (r->via == LB_TRACE_BY_CID || chosen)
		r->has_slot = r->decided = false;
}

/* What a translated connection's entry says, which asks neither table nor flow cache. */
static void explain_known(const struct before *b, struct lb_trace_result *r)
{
	const struct lb_conn *c = &b->conn;

	if (!b->is_known)
		return;
	if (r->verdict == LB_V_REPLIED || r->verdict == LB_V_REPLIED_ICMP)
		r->service = c->service;
	if ((r->verdict != LB_V_FORWARDED && r->verdict != LB_V_FORWARDED_ICMP) || r->service != c->service ||
	    (r->verdict == LB_V_FORWARDED && r->backend != c->backend))
		return;
	r->backend = c->backend;
	r->via = LB_TRACE_BY_CONN;
	r->has_slot = r->decided = r->remembered = r->opens = false;
}

/* ---- one packet ---- */

/* What the run counted; the rows are as before then, but for what limits are reckoned with. */
static void read_counters(struct lb_trace *t, struct lb_trace_result *r, uint64_t *hits, uint64_t *misses)
{
	r->verdict = LB_V_COUNT;
	for (unsigned int v = 0; v < LB_V_COUNT; v++) {
		if (t->verdicts->pkts[v])
			r->verdict = (enum lb_verdict)v;
		t->verdicts->pkts[v] = 0;
	}
	*hits = t->hits->at[t->cpu % LB_HITS].nr;
	t->hits->at[t->cpu % LB_HITS].nr = 0;
	for (size_t i = 0; i < t->nr_services; i++) {
		struct lb_service_cpu *row = &t->services[t->used_services[i]];

		if (!row->total.pkts && !row->flow_misses)
			continue;
		r->service = t->used_services[i];
		*misses = row->flow_misses;
		row->flow_misses = 0;
		row->total = (struct lb_backend_cpu){0};
	}
	for (size_t i = 0; i < t->nr_backends; i++) {
		struct lb_backend_cpu *row = &t->backends[t->used_backends[i]];

		if (row->pkts) {
			r->backend = t->used_backends[i];
			r->service = t->dp->backends[r->backend].service;
			r->verdict = LB_V_FORWARDED;
		}
		if (row->pkts || row->conns || row->closes)
			*row = (struct lb_backend_cpu){0};
	}
}

/* Where it leaves, and, on a kernel that was not told the interface, how. */
static void find_way_out(const struct lb_trace *t, const struct before *before, struct lb_trace_result *r)
{
	bool replied = r->verdict == LB_V_REPLIED || r->verdict == LB_V_REPLIED_ICMP;
	const struct lb_backend *b = &t->dp->backends[r->backend];
	uint32_t back = replied && before->is_known ? before->conn.hop.ifindex : t->ifindex;
	struct lb_vlan vlan;
	bool redirect;

	if (r->action != XDP_TX && r->action != XDP_REDIRECT)
		return;
	r->out_ifindex = r->backend ? b->oif : back;
	redirect = r->backend ? b->flags & LB_BACKEND_F_REDIRECT
			      : t->dp->links[back % LB_LINKS].flags & LB_LINK_F_REDIRECT;
	if (r->backend && b->flags & LB_BACKEND_F_TAGGED &&
	    !bpf_map_lookup_elem(bpf_map__fd(t->dp->skel->maps.lb_vlans), &b->oif, &vlan)) {
		r->out_ifindex = vlan.oif;
		redirect = vlan.flags & LB_VLAN_F_REDIRECT;
	}
	if (t->unnamed && r->out_ifindex == t->ifindex)
		r->action = redirect ? XDP_REDIRECT : XDP_TX;
}

int lb_trace_run(struct lb_trace *t, const uint8_t *frame, size_t bytes, struct lb_trace_result *out,
		 struct lb_err *err)
{
	static const uint8_t zeros[6];
	struct xdp_md ctx = {.data_end = (uint32_t)bytes, .ingress_ifindex = t->ifindex};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = t->in + 2, .data_size_in = (uint32_t)bytes, .data_out = t->out,
		    .data_size_out = sizeof(t->out), .repeat = 1);
	uint64_t hits = 0, misses = 0;
	struct before before;

	if (bytes < LB_TRACE_FRAME_MIN || bytes > LB_TRACE_FRAME_MAX)
		return lb_err_set(err, -ERANGE, NULL, "%zu bytes are no frame that can be run (%d-%d)", bytes,
				  LB_TRACE_FRAME_MIN, LB_TRACE_FRAME_MAX);
	memcpy(t->in + 2, frame, bytes);
	if (!memcmp(frame, zeros, sizeof(zeros)))
		memcpy(t->in + 2, t->dp->links[t->ifindex % LB_LINKS].mac, sizeof(zeros));
	look_before(t, t->in + 2, bytes, &before);
	if (!t->unnamed) {
		opts.ctx_in = &ctx;
		opts.ctx_size_in = sizeof(ctx);
	}
	if (bpf_prog_test_run_opts(bpf_program__fd(t->skel->progs.lb_main), &opts))
		return lb_err_set(err, -errno, NULL, "the kernel does not run it: %s", strerror(errno));
	*out = (struct lb_trace_result){.action = opts.retval, .frame = t->out, .frame_bytes = opts.data_size_out};
	read_counters(t, out, &hits, &misses);
	explain(t, &before, hits, misses, out);
	explain_known(&before, out);
	find_way_out(t, &before, out);
	return 0;
}
