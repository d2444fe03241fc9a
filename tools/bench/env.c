// SPDX-License-Identifier: GPL-2.0-or-later
/* The bench's own load balancer: see env.h. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/icmp.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

#include "env.h"
#include "program.h"
#include "vipset.h"
#include "lb/dp/hash.h"

static void *map_values(const struct bpf_map *map)
{
	void *p = mmap(NULL, lb_program_map_bytes(map), PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);

	return p == MAP_FAILED ? NULL : p;
}

double bench_now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

#define MAX_CONNS (1U << 21) /* of all cases together */

uint64_t bench_map_bytes(const struct bpf_map *map)
{
	char path[64], line[128];
	uint64_t bytes = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", bpf_map__fd(map));
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "memlock: %lu", &bytes) == 1)
			break;
	if (f)
		fclose(f);
	return bytes;
}

/* The program once more, to do @features, with connections of its own, and lines for @conns of them. */
static int load_more(struct bench_env *e, uint32_t features, uint32_t conns, struct lb_bpf **out, double *seconds)
{
	struct bpf_map *map, *same = NULL;
	double start;

	*out = lb_bpf__open();
	if (!*out || lb_program_prepare(*out, 0, features) < 0 ||
	    lb_program_size_lines(*out, (uint32_t)e->nr_cpus, lb_program_nat_sets((uint32_t)e->nr_cpus, conns)))
		return -EINVAL;
	bpf_object__for_each_map (map, (*out)->obj) {
		same = bpf_object__next_map(e->lb->obj, same);
		if (map == (*out)->maps.lb_conns) {
			if (bpf_map__set_pin_path(map, NULL) || bpf_map__set_max_entries(map, 2 * MAX_CONNS))
				return -EINVAL;
			continue;
		}
		if (map == (*out)->maps.lb_nat_lines) {
			if (bpf_map__set_pin_path(map, NULL))
				return -EINVAL;
			continue;
		}
		if (lb_program_shares(map) &&
		    (bpf_map__set_pin_path(map, NULL) || bpf_map__reuse_fd(map, bpf_map__fd(same))))
			return -EINVAL;
	}
	start = bench_now_s();
	if (lb_bpf__load(*out))
		return -EINVAL;
	*seconds = bench_now_s() - start;
	return 0;
}

int bench_env_open(struct bench_env *e)
{
	struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
	struct bpf_map *map;
	double start;

	setrlimit(RLIMIT_MEMLOCK, &unlimited);
	e->lb = lb_bpf__open();
	e->driver = bench_bpf__open_and_load();
	if (!e->lb || !e->driver)
		return -EINVAL;
	bpf_object__for_each_map (map, e->lb->obj)
		bpf_map__set_pin_path(map, NULL);
	e->nr_cpus = lb_program_prepare(e->lb, 0, LB_HAS_ICMP | LB_HAS_FRAGMENTS);
	if (e->nr_cpus < 0)
		return e->nr_cpus;
	start = bench_now_s();
	if (lb_bpf__load(e->lb))
		return -EINVAL;
	e->load_s = bench_now_s() - start;
	if (load_more(e, LB_HAS_ALL, 0, &e->rich, &e->rich_load_s) ||
	    load_more(e, LB_HAS_NAT, BENCH_CONNS, &e->nat, &e->nat_load_s) ||
	    load_more(e, LB_HAS_NAT, BENCH_MANY_CONNS, &e->many, &e->many_load_s))
		return -EINVAL;
	e->nat_loads = map_values(e->lb->maps.lb_nat_loads);
	e->links = map_values(e->lb->maps.data_lb_links);
	e->vips = map_values(e->lb->maps.lb_vips);
	e->services = map_values(e->lb->maps.lb_services);
	e->backends = map_values(e->lb->maps.lb_backends);
	e->slots = map_values(e->lb->maps.lb_slots);
	e->flows = map_values(e->lb->maps.lb_flows);
	e->verdicts = map_values(e->lb->maps.lb_verdict_cpu);
	e->backend_counts = map_values(e->lb->maps.lb_backend_cpu);
	e->conf = map_values(e->lb->maps.data_lb_conf);
	return e->links && e->vips && e->services && e->backends && e->slots && e->flows && e->verdicts &&
			       e->backend_counts && e->conf && e->nat_loads
		       ? 0
		       : -ENOMEM;
}

void bench_env_close(struct bench_env *e)
{
	lb_bpf__destroy(e->many);
	lb_bpf__destroy(e->nat);
	lb_bpf__destroy(e->rich);
	lb_bpf__destroy(e->lb);
	bench_bpf__destroy(e->driver);
}

/* The address of service @i (0 ..), as the driver writes it: its low two bytes in host order. */
static void service_addr(bool v6, uint16_t i, uint8_t addr[16])
{
	static const uint8_t net6[16] = {0x20, 0x01, 0x0d, 0xb8};
	static const uint8_t net4[16] = {[10] = 0xff, 0xff, 198, 18};

	memcpy(addr, v6 ? net6 : net4, 16);
	memcpy(addr + 14, &i, 2);
}

/* The backends' family. */
static bool backends_v6(const struct bench_setup *s)
{
	return s->v6 != s->crosses;
}

/* Service v, counted from 0, has the backends 1 + v * @each .. */
static void set_backends(struct bench_env *e, const struct bench_setup *s, unsigned int services, unsigned int each)
{
	const bool v6 = backends_v6(s);

	for (unsigned int i = 1; i <= services * each; i++) {
		struct lb_backend *b = &e->backends[i];

		*b = (struct lb_backend){.dmac = {2, 0, 0, 0, (uint8_t)(i >> 8), (uint8_t)i},
					 .mtu = 1500,
					 .smac = {2, 0, 0, 1},
					 .oif = s->oif,
					 .service = (uint16_t)(1 + (i - 1) / each),
					 .forward = s->forward,
					 .src_plen = 128,
					 .flags = LB_BACKEND_F_ALIVE | LB_BACKEND_F_TAKES_NEW |
						  (v6 ? 0 : LB_BACKEND_F_V4)};
		service_addr(v6, (uint16_t)i, b->addr);
		service_addr(v6, 0, b->src);
		b->addr[v6 ? 2 : 12] = b->src[v6 ? 2 : 12] = 10;
	}
}

/* One table of its own for each service, each slot another backend; a moving slot's two owners differ. */
static int set_services(struct bench_env *e, const struct bench_setup *s, unsigned int nr, unsigned int each)
{
	unsigned int shift = LB_TABLE_SHIFT_MIN, wanted = each * 100;
	struct lb_vip vip = {.port = htons(80), .proto = s->proto};
	struct lb_vip_line line;
	__u32 idx;

	while ((1U << shift) < wanted && (uint64_t)(2U << shift) * nr <= LB_SLOTS)
		shift++;
	for (unsigned int v = 0; v < nr; v++) {
		for (unsigned int i = 0; i < 1U << shift; i++) {
			unsigned int at = (v << shift) + i, first = 1 + v * each;

			e->slots[at / 16].slot[at % 16] = LB_SLOT(
				s->phase, s->phase == LB_PHASE_MOVING ? first + (i + 1) % each : 0, first + i % each);
		}
		idx = v + 1;
		e->services[idx] = (struct lb_service){
			.table = LB_TABLE(v << shift, shift),
			.name_id = idx,
			.flags = bench_translates(s) ? LB_SERVICE_F_NAT : LB_SERVICE_F_TRACK_UDP,
			.snat4 = s->forward == LB_FORWARD_FULLNAT && !backends_v6(s),
			.snat6 = s->forward == LB_FORWARD_FULLNAT && backends_v6(s),
		};
		service_addr(s->v6, (uint16_t)v, vip.addr);
		line = lb_vipset_line(&vip, (uint16_t)idx, &e->services[idx]);
		if (lb_vipset_set(e->vips, &line))
			return -ENOSPC;
	}
	return 0;
}

bool bench_translates(const struct bench_setup *s)
{
	return s->forward == LB_FORWARD_NAT || s->forward == LB_FORWARD_FULLNAT;
}

/* Room for many connections, half-open ones too, and an address for fullnat. */
static int set_translation(struct bench_env *e, bool v6)
{
	const struct lb_snat at = {.service = 1, .v4 = !v6};
	uint8_t addr[16];

	service_addr(v6, 0xffff, addr);
	memset(e->nat_loads, 0, LB_MAX_SERVICES * sizeof(*e->nat_loads));
	e->conf->max_conns = 16 * MAX_CONNS;
	e->conf->snat_first = 1024;
	e->conf->snat_ports = 60000;
	e->conf->timers = (struct lb_conn_timers){30, 7440, 240, 30, 300};
	return bpf_map_update_elem(bpf_map__fd(e->lb->maps.lb_snats), &at, addr, BPF_ANY) ? -errno : 0;
}

int bench_env_set(struct bench_env *e, const struct bench_setup *s)
{
	unsigned int services = s->services ?: 1, each = s->backends ?: 16;

	if (services * each >= LB_MAX_BACKENDS)
		each = (LB_MAX_BACKENDS - 1) / services;
	memset(e->vips, 0, sizeof(*e->vips) * LB_VIP_SETS);
	memset(e->flows, 0, sizeof(*e->flows) * LB_FLOW_SETS);
	e->conf->hash = lb_hash_secret(e->conf->hash_key);
	e->links[LOOPBACK] = (struct lb_link){.mac = {2, 0, 0, 0, 0, 1}, .ifindex = LOOPBACK};
	set_backends(e, s, services, each);
	if (bench_translates(s) && set_translation(e, backends_v6(s)))
		return -EINVAL;
	return set_services(e, s, services, each);
}

/* An option of four bytes is where the driver writes the source port. */
static void make_error(const struct bench_setup *s, uint8_t *l3)
{
	struct iphdr ip, quoted;

	memcpy(&ip, l3, sizeof(ip));
	quoted = ip;
	quoted.saddr = ip.daddr;
	quoted.daddr = ip.saddr;
	ip.ihl = 6;
	ip.protocol = IPPROTO_ICMP;
	memset(l3, 0, LB_BENCH_FRAME_BYTES - 14);
	memcpy(l3, &ip, sizeof(ip));
	l3[24] = ICMP_DEST_UNREACH;
	memcpy(l3 + 32, &quoted, sizeof(quoted));
	l3[53] = 80; /* the quoted packet's source port */
}

void bench_env_template(const struct bench_setup *s, uint8_t frame[LB_BENCH_FRAME_BYTES])
{
	struct ethhdr *eth = (struct ethhdr *)frame;
	uint8_t *l4 = frame + 14 + (s->v6 ? 40 : 20), addr[16];
	uint16_t l4_len = (uint16_t)(LB_BENCH_FRAME_BYTES - (l4 - frame));

	memset(frame, 0, LB_BENCH_FRAME_BYTES);
	memcpy(eth->h_dest, "\x02\0\0\0\0\1", 6);
	memcpy(eth->h_source, "\x02\0\0\0\0\3", 6);
	eth->h_proto = htons(s->v6 ? ETH_P_IPV6 : ETH_P_IP);
	service_addr(s->v6, 0, addr);
	if (s->pass)
		addr[13]++;
	if (s->v6) {
		struct ipv6hdr ip = {.version = 6, .payload_len = htons(l4_len), .nexthdr = s->proto, .hop_limit = 64};

		memcpy(&ip.daddr, addr, 16);
		memcpy(&ip.saddr, "\x20\x01\x0d\xb8\xff", 5);
		memcpy((uint8_t *)&ip.saddr + 6, &s->net, sizeof(s->net));
		memcpy(frame + 14, &ip, sizeof(ip));
	} else {
		struct iphdr ip = {.version = 4,
				   .ihl = 5,
				   .tot_len = htons(LB_BENCH_FRAME_BYTES - 14),
				   .ttl = 64,
				   .protocol = s->proto,
				   .saddr = htonl(0x0a630000 + ((uint32_t)s->net << 16)),
				   .frag_off = htons(0x4000)};

		memcpy(&ip.daddr, addr + 12, 4);
		memcpy(frame + 14, &ip, sizeof(ip));
	}
	if (s->error) {
		make_error(s, frame + 14);
	} else if (s->proto == IPPROTO_TCP) {
		struct tcphdr tcp = {
			.dest = htons(80), .doff = 5, .syn = s->syn, .ack = !s->syn, .window = htons(1024)};

		memcpy(l4, &tcp, sizeof(tcp));
	} else {
		struct udphdr udp = {.dest = htons(80), .len = htons(l4_len)};

		memcpy(l4, &udp, sizeof(udp));
	}
}

uint64_t bench_env_verdict(const struct bench_env *e, enum lb_verdict v)
{
	uint64_t sum = 0;

	for (int cpu = 0; cpu < e->nr_cpus; cpu++)
		sum += e->verdicts[cpu].pkts[v];
	/* What was forwarded is counted by the backends. */
	for (int i = 0; v == LB_V_FORWARDED && i < e->nr_cpus * LB_MAX_BACKENDS; i++)
		sum += e->backend_counts[i].pkts;
	return sum;
}
