// SPDX-License-Identifier: GPL-2.0-or-later
/* Connections that are translated, by stories of several packets each: in both modes, every pairing of families that
 * they have, TCP and UDP. What has to leave is made anew from what it means, checksums and all. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "nat_story.h"
#include "lb/dp/flow.h"

static const uint8_t mac_router[6] = {0x02, 1, 2, 3, 4, 5};

const char *snat_addr(int family)
{
	return family == 4 ? "10.9.9.9" : "2001:db8:5::9";
}

const char *addr_text(int family, int backend, char buf[INET6_ADDRSTRLEN])
{
	uint8_t addr[16];

	backend_addr(family, backend, addr);
	return family == 4 ? inet_ntop(AF_INET, addr + 12, buf, INET6_ADDRSTRLEN)
			   : inet_ntop(AF_INET6, addr, buf, INET6_ADDRSTRLEN);
}

const char *client_addr(int family)
{
	return family == 4 ? "198.51.100.7" : "2001:db8:1::7";
}

const char *vip_addr(int family)
{
	return family == 4 ? "192.0.2.10" : "2001:db8::10";
}

/* Whoever removes entries says so to those who have copied them. */
static void forget_lines(struct world *w)
{
	for (unsigned int i = 0; i < LB_NAT_EPOCHS; i++)
		w->nat_epochs->epoch[i]++;
}

static void begin(struct story *t)
{
	struct world *w = t->w;

	world_reset(w);
	w->conn_clear(w);
	forget_lines(w);
	world_setup(w, &t->setup, &(struct spec){.family = t->client, .proto = t->proto});
	w->conf->max_conns = 1024;
	w->conf->timers = (struct lb_conn_timers){30, 7440, 240, 30, 300};
	w->conf->snat_first = SNAT_FIRST;
	w->conf->snat_ports = SNAT_PORTS;
	w->links[INGRESS].mtu = 1500;
	memset(w->nat_loads, 0, LB_MAX_SERVICES * sizeof(*w->nat_loads));
	w->backends[OLD].port = w->backends[NEW].port = htons(BACKEND_PORT);
	t->mac_from = mac_client;
	if (t->setup.forward == LB_FORWARD_FULLNAT) {
		const struct lb_snat at = {.service = SERVICE, .v4 = t->backend == 4};
		uint8_t addr[16] = {[10] = 0xff, [11] = 0xff};

		inet_pton(t->backend == 4 ? AF_INET : AF_INET6, snat_addr(t->backend),
			  t->backend == 4 ? addr + 12 : addr);
		w->snat_add(w, &at, addr);
		w->services[SERVICE].snat4 = t->backend == 4;
		w->services[SERVICE].snat6 = t->backend == 6;
	}
}

void check(struct story *t, const char *what, bool bad)
{
	if (bad)
		printf("# ... when %s\n", what);
	t->failed |= bad;
}

struct spec from_client(const struct story *t, int flags)
{
	return (struct spec){.family = t->client, .proto = t->proto, .flags = flags};
}

/* IPv4 of what was IPv6: long packets must not be fragmented, and short ones have some ID. */
static void expect_id(struct spec *want, const struct frame *out)
{
	int id = out->data[18] << 8 | out->data[19];

	want->frag = frame_ip_len(want) > 1260 ? 0x4000 : 0;
	want->id = id ? id : ZERO;
}

/* What that is when @backend gets it. The port is the program's. */
static struct spec to_backend(struct story *t, const struct spec *in, int backend, const struct frame *out,
			      char buf[INET6_ADDRSTRLEN])
{
	struct spec want = *in;
	bool piece = piece_as(&want, t->backend);
	size_t l4 = 14 + (t->backend == 4 ? 20 + (size_t)in->options : want.ext[0].type ? 48 : 40);

	want.mss = in->mss > t->setup.mss ? t->setup.mss : in->mss;
	want.dst = addr_text(t->backend, backend, buf);
	want.dport = BACKEND_PORT;
	want.ttl = or_default(in->ttl, 64) - 1;
	want.src = in->src ? in->src : client_addr(t->client);
	t->snat_port = or_default(in->sport, 12345);
	if (t->setup.forward == LB_FORWARD_FULLNAT) {
		want.src = snat_addr(t->backend);
		t->snat_port = want.sport = out->data[l4] << 8 | out->data[l4 + 1];
	}
	if (t->client == 6 && t->backend == 4 && !piece)
		expect_id(&want, out);
	return want;
}

struct spec from_backend(const struct story *t, int backend, int flags, char buf[INET6_ADDRSTRLEN])
{
	return (struct spec){.family = t->backend,
			     .proto = t->proto,
			     .flags = flags,
			     .src = addr_text(t->backend, backend, buf),
			     .sport = BACKEND_PORT,
			     .dst = t->setup.forward == LB_FORWARD_FULLNAT ? snat_addr(t->backend)
									   : client_addr(t->client),
			     .dport = t->snat_port};
}

static struct spec to_client(const struct story *t, const struct spec *in, const struct frame *out)
{
	struct spec want = *in;
	bool piece = piece_as(&want, t->client);

	want.src = vip_addr(t->client);
	want.sport = 80;
	want.dst = client_addr(t->client);
	want.dport = or_default(t->client_port, 12345);
	want.ttl = or_default(in->ttl, 64) - 1;
	if (t->backend == 6 && t->client == 4 && !piece)
		expect_id(&want, out);
	return want;
}

void set_macs(struct frame *f, const uint8_t dst[6], const uint8_t src[6])
{
	memcpy(f->data, dst, 6);
	memcpy(f->data + 6, src, 6);
}

/* Takes the tags off what is sent, when they are @tag. */
void untag(struct story *t, const char *what, const uint32_t tag[2], struct frame *f)
{
	struct frame bare = *f, again;
	unsigned int nr = !!tag[0] + !!tag[1];

	if (!nr)
		return;
	if (bare.len < 14 + 4 * nr) {
		check(t, what, true);
		return;
	}
	bare.len -= 4 * nr;
	memmove(bare.data + 12, bare.data + 12 + 4 * nr, bare.len - 12);
	again = bare;
	frame_tag(&again, tag, 2);
	check(t, what, frames_differ(t->w, f, &again));
	*f = bare;
}

/* Plays a packet and holds what becomes of it against @verdict and, where it is sent, against @want. */
static bool played(struct story *t, const char *what, const struct spec *in, bool reply, enum lb_verdict verdict,
		   struct outcome *o)
{
	struct frame f;

	frame_make(in, &f);
	if (!reply)
		memcpy(f.data + 6, t->mac_from, 6);
	frame_tag(&f, reply ? t->backend_tag : t->tag, 2);
	if (!play(t->w, &f, false, o) || !o->played) {
		check(t, what, true);
		return false;
	}
	if (differs(t->w, "the verdict", o->verdict, (long)verdict) ||
	    differs(t->w, "the action", o->action, usual_action((int)verdict))) {
		check(t, what, true);
		return false;
	}
	if (o->action == XDP_TX)
		untag(t, what, verdict == LB_V_FORWARDED ? t->backend_tag : t->tag, &o->out);
	return o->action == XDP_TX;
}

/* Where the ID of a fragment is, and its bytes; 0: it is none. */
static size_t fragment_id(const struct frame *f, size_t *bytes)
{
	const bool v4 = f->data[12] == 0x08;

	*bytes = v4 ? 2 : 4;
	if (v4)
		return (f->data[20] << 8 | f->data[21]) & 0x3fff ? 18 : 0;
	return f->data[20] == IPPROTO_FRAGMENT && (f->data[56] | (f->data[57] & 0xf9)) ? 58 : 0;
}

static uint32_t word_at(const uint8_t *p, size_t bytes)
{
	uint16_t half;
	uint32_t word;

	memcpy(&half, p, 2);
	memcpy(&word, p, bytes == 2 ? 2 : 4);
	return bytes == 2 ? half : word;
}

void expect_moved(struct story *t, bool reply, const struct frame *in, const struct frame *out, struct frame *want)
{
	size_t old_bytes, bytes, old_at = fragment_id(in, &old_bytes), at = fragment_id(out, &bytes);
	uint32_t by, sum = 0, was, now;

	if (!old_at)
		return;
	if (!at) {
		check(t, "it is a fragment no more", true);
		return;
	}
	was = word_at(in->data + old_at, old_bytes);
	now = word_at(out->data + at, bytes);
	if (old_bytes != bytes) { /* numbers of 16 bits and of 32 */
		was = old_bytes == 2 ? ntohs((uint16_t)was) : ntohl(was);
		now = bytes == 2 ? ntohs((uint16_t)now) : ntohl(now);
	}
	by = now - was;
	if (bytes == 2)
		by &= 0xffff;
	check(t, "its datagram has another ID", t->moved[reply].known && t->moved[reply].by != by);
	t->moved[reply].known = true;
	t->moved[reply].by = by;
	memcpy(want->data + at, out->data + at, bytes);
	if (bytes == 4)
		return;
	want->data[24] = want->data[25] = 0;
	for (size_t i = 14; i < 34; i += 2)
		sum += (uint32_t)(want->data[i] << 8 | want->data[i + 1]);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = ~((sum & 0xffff) + (sum >> 16));
	want->data[24] = (uint8_t)(sum >> 8);
	want->data[25] = (uint8_t)sum;
}

void client_sends(struct story *t, const char *what, struct spec in, enum lb_verdict verdict, int backend)
{
	char buf[INET6_ADDRSTRLEN];
	struct frame sent, want;
	struct outcome o;
	struct spec s;

	if (!played(t, what, &in, false, verdict, &o) || verdict != LB_V_FORWARDED)
		return;
	s = to_backend(t, &in, backend, &o.out, buf);
	if (t->client == 4 && t->backend == 6)
		s.no_sum = false;
	frame_make(&s, &want);
	set_macs(&want, mac_hop, mac_own);
	frame_make(&in, &sent);
	expect_moved(t, false, &sent, &o.out, &want);
	check(t, what, frames_differ(t->w, &o.out, &want));
	if (t->setup.forward == LB_FORWARD_FULLNAT)
		check(t, "its port is one of ours",
		      t->snat_port < t->w->conf->snat_first ||
			      t->snat_port >= t->w->conf->snat_first + t->w->conf->snat_ports);
}

void backend_sends(struct story *t, const char *what, struct spec in, enum lb_verdict verdict)
{
	struct frame sent, want;
	struct outcome o;
	struct spec s;

	if (!played(t, what, &in, true, verdict, &o))
		return;
	s = to_client(t, &in, &o.out);
	if (t->backend == 4 && t->client == 6)
		s.no_sum = false;
	frame_make(&s, &want);
	set_macs(&want, t->mac_from, mac_own);
	frame_make(&in, &sent);
	expect_moved(t, true, &sent, &o.out, &want);
	check(t, what, frames_differ(t->w, &o.out, &want));
}

void counted(struct story *t, const char *what, int conns, int half_open)
{
	const struct lb_nat_load *all = &t->w->nat_loads[0], *mine = &t->w->nat_loads[SERVICE];

	check(t, what, differs(t->w, "the number of connections", all->conns, conns));
	check(t, what, differs(t->w, "that of half-open ones", all->half_open, half_open));
	check(t, what, differs(t->w, "its service's", mine->conns, conns));
	check(t, what, differs(t->w, "its service's half-open ones", mine->half_open, half_open));
}

void all_slots(struct story *t, int backend)
{
	for (int i = 0; i < 8; i++)
		for (int k = 0; k < 16; k++)
			t->w->slots[i].slot[k] = LB_SLOT(LB_PHASE_STABLE, 0, (uint32_t)backend);
}

static void story_tcp(struct story *t)
{
	struct spec s = from_client(t, SYN);
	char buf[INET6_ADDRSTRLEN];
	int port;

	client_sends(t, "nobody knows the connection", from_client(t, ACK), LB_V_DROP_NAT_NO_ENTRY, 0);
	backend_sends(t, "nobody has asked it", from_backend(t, OLD, SYNACK, buf), LB_V_PASS_NO_SERVICE);
	client_sends(t, "it begins", s, LB_V_FORWARDED, OLD);
	counted(t, "it has begun", 1, 1);
	port = t->snat_port;
	all_slots(t, NEW);
	client_sends(t, "it begins once more", s, LB_V_FORWARDED, OLD);
	check(t, "it keeps its port", differs(t->w, "the port", t->snat_port, port));
	counted(t, "it was the same", 1, 1);
	client_sends(t, "it has word of an earlier one", from_client(t, ACK), LB_V_FORWARDED, OLD);
	counted(t, "that opened nothing", 1, 1);
	backend_sends(t, "it is answered", from_backend(t, OLD, SYNACK, buf), LB_V_REPLIED);
	client_sends(t, "it is open", from_client(t, ACK), LB_V_FORWARDED, OLD);
	counted(t, "it has opened", 1, 0);
	s = from_client(t, ACK);
	s.payload = 1001;
	client_sends(t, "it has data", s, LB_V_FORWARDED, OLD);
	s = from_backend(t, OLD, ACK, buf);
	s.payload = 1300;
	s.tos = 0xb8;
	backend_sends(t, "it gets data", s, LB_V_REPLIED);
	s = from_client(t, ACK);
	s.ttl = 1;
	client_sends(t, "it has gone too far", s, LB_V_DROP_TTL_EXCEEDED, OLD);
	s = from_backend(t, OLD, ACK, buf);
	s.ttl = 1;
	backend_sends(t, "its answer has gone too far", s, LB_V_DROP_TTL_EXCEEDED);
	t->mac_from = mac_router;
	client_sends(t, "it comes another way", from_client(t, ACK), LB_V_FORWARDED, OLD);
	backend_sends(t, "it goes back that way", from_backend(t, OLD, ACK, buf), LB_V_REPLIED);
	t->mac_from = mac_client;
	client_sends(t, "the client ends it", from_client(t, FIN), LB_V_FORWARDED, OLD);
	backend_sends(t, "the backend ends it", from_backend(t, OLD, FIN, buf), LB_V_REPLIED);
	client_sends(t, "the last word", from_client(t, ACK), LB_V_FORWARDED, OLD);
	counted(t, "it is over, and still known", 1, 0);
	client_sends(t, "another one on the same ports goes where new ones go", from_client(t, SYN), LB_V_FORWARDED,
		     NEW);
	counted(t, "the other one took its place", 1, 1);
	backend_sends(t, "it is refused", from_backend(t, NEW, RST, buf), LB_V_REPLIED);
	all_slots(t, OLD);
	client_sends(t, "it tries again after that", from_client(t, SYN), LB_V_FORWARDED, OLD);
	t->w->backends[OLD].flags &= (uint8_t)~LB_BACKEND_F_TAKES_NEW;
	all_slots(t, NEW);
	client_sends(t, "its backend drains, and it goes on", from_client(t, ACK), LB_V_FORWARDED, OLD);
	client_sends(t, "its backend drains, and it begins anew", from_client(t, SYN), LB_V_FORWARDED, NEW);
	t->w->backends[NEW].gen++;
	client_sends(t, "its backend is another one now", from_client(t, ACK), LB_V_DROP_NAT_NO_ENTRY, 0);
	backend_sends(t, "its backend is another one now and answers", from_backend(t, NEW, ACK, buf),
		      LB_V_DROP_NO_BACKEND);
	client_sends(t, "it begins with that one", from_client(t, SYN), LB_V_FORWARDED, NEW);
	counted(t, "there was always one", 1, 1);
	client_sends(t, "flags that nobody sets", from_client(t, SYN | 0x01), LB_V_DROP_TCP_FLAGS, 0);
}

static void story_udp(struct story *t)
{
	struct spec s = from_client(t, 0);
	char buf[INET6_ADDRSTRLEN];

	s.payload = 11;
	client_sends(t, "it begins", s, LB_V_FORWARDED, OLD);
	counted(t, "nobody has answered", 1, 1);
	s.payload = 0;
	client_sends(t, "it says nothing", s, LB_V_FORWARDED, OLD);
	all_slots(t, NEW);
	for (int bytes = 0; bytes < 132; bytes++) {
		s.payload = bytes;
		s.no_sum = t->client == 4;
		client_sends(t, "it has no checksum", s, LB_V_FORWARDED, OLD);
	}
	s = from_backend(t, OLD, 0, buf);
	s.payload = 77;
	s.no_sum = t->backend == 4;
	backend_sends(t, "it is answered", s, LB_V_REPLIED);
	counted(t, "it was answered", 1, 0);
	t->w->backends[OLD].flags = 0;
	client_sends(t, "its backend is gone", from_client(t, 0), LB_V_FORWARDED, NEW);
	counted(t, "it has another one", 1, 1);
	backend_sends(t, "the one that is gone answers", from_backend(t, OLD, 0, buf), LB_V_PASS_NO_SERVICE);
}

/* What is refused, and why. */
static void story_limits(struct story *t)
{
	struct spec s = from_client(t, SYN);
	char buf[INET6_ADDRSTRLEN];

	t->w->conf->max_conns = 8;
	for (int i = 0; i < 2; i++) {
		s.sport = 30000 + i;
		client_sends(t, "there is room", s, LB_V_FORWARDED, OLD);
	}
	s.sport = 30002;
	client_sends(t, "a service leaves others as much of the share as it takes", s, LB_V_DROP_NAT_FULL, 0);
	s.sport = 30000;
	client_sends(t, "it is known already", s, LB_V_FORWARDED, OLD);
	t->w->conf->max_conns = 2;
	s.sport = 30003;
	client_sends(t, "all is full", s, LB_V_DROP_NAT_FULL, 0);
	counted(t, "there are two", 2, 2);
	t->w->conf->max_conns = 1024;
	s.payload = 1460;
	t->w->backends[OLD].mtu = 1400;
	client_sends(t, "it is too big for its backend", s, t->client == 6 ? LB_V_ANSWERED_TOO_BIG : LB_V_DROP_TOO_BIG,
		     0);
	t->w->backends[OLD].mtu = 1500;
	s = from_client(t, SYN);
	client_sends(t, "another one", s, LB_V_FORWARDED, OLD);
	s = from_backend(t, OLD, SYNACK, buf);
	s.payload = 100;
	t->w->links[INGRESS].mtu = 90;
	backend_sends(t, "it is too big for its client", s, LB_V_DROP_TOO_BIG);
	t->w->links[INGRESS].mtu = 1500;
	backend_sends(t, "it is not", s, LB_V_REPLIED);
	t->w->backends[OLD].oif = 0;
	client_sends(t, "there is no way to the backend", from_client(t, ACK), LB_V_DROP_NO_NEXT_HOP, 0);
	t->w->backends[OLD].oif = INGRESS;
	if (t->client == 4) {
		s = from_client(t, ACK);
		s.options = 8;
		if (t->backend == 6)
			client_sends(t, "IPv6 has no such options", s, LB_V_DROP_NAT_IMPOSSIBLE, 0);
		else
			client_sends(t, "it has options", s, LB_V_FORWARDED, OLD);
	}
	if (t->setup.forward != LB_FORWARD_FULLNAT)
		return;
	t->w->conf->snat_ports = 1;
	t->w->conf->snat_first = 25000;
	s = from_client(t, SYN);
	s.sport = 31000;
	client_sends(t, "there is one port", s, LB_V_FORWARDED, OLD);
	check(t, "it is that one", differs(t->w, "the port", t->snat_port, 25000));
	s.sport = 31001;
	client_sends(t, "there are no more", s, LB_V_DROP_SNAT_FULL, 0);
	all_slots(t, NEW);
	client_sends(t, "to another backend there are", s, LB_V_FORWARDED, NEW);
}

/* Two VIPs and one backend: its answers have to tell them apart. */
static void story_two_vips(struct story *t)
{
	struct spec s = from_client(t, SYN);
	char buf[INET6_ADDRSTRLEN];
	struct outcome o;
	struct frame want;

	client_sends(t, "the first", s, LB_V_FORWARDED, OLD);
	s.dst = t->client == 4 ? "192.0.2.20" : "2001:db8::20"; /* a wildcard */
	if (!played(t, "the second", &s, false, LB_V_FORWARDED, &o))
		return;
	t->snat_port = o.out.data[14 + (t->backend == 4 ? 20 : 40)] << 8 | o.out.data[15 + (t->backend == 4 ? 20 : 40)];
	check(t, "it has another port", t->snat_port == 12345);
	s = from_backend(t, OLD, SYNACK, buf);
	if (!played(t, "the second is answered", &s, true, LB_V_REPLIED, &o))
		return;
	s = to_client(t, &s, &o.out);
	s.src = t->client == 4 ? "192.0.2.20" : "2001:db8::20";
	frame_make(&s, &want);
	set_macs(&want, t->mac_from, mac_own);
	check(t, "the second is answered", frames_differ(t->w, &o.out, &want));
	counted(t, "there are two", 2, 2);
	t->snat_port = 12345;
	backend_sends(t, "the first is answered", from_backend(t, OLD, SYNACK, buf), LB_V_REPLIED);
}

/* Each side is in a VLAN, or in another one, or in none. */
static void story_vlan(struct story *t)
{
	static const struct {
		const char *what;
		uint32_t tag[2], backend_tag[2], oif;
	} sides[] = {
		{"the client is in one", {TAG_ONE}, {0}, INGRESS},
		{"both are", {TAG_ONE}, {TAG_TWO, TAG_ONE}, VLAN_TWO},
		{"the client is in another one", {TAG_TWO, TAG_ONE}, {TAG_ONE}, VLAN_ONE},
		{"the backend is", {0}, {TAG_ONE}, VLAN_ONE},
		{"nobody is", {0}, {0}, INGRESS},
	};
	char buf[INET6_ADDRSTRLEN];

	for (size_t i = 0; i < sizeof(sides) / sizeof(sides[0]); i++) {
		memcpy(t->tag, sides[i].tag, sizeof(t->tag));
		memcpy(t->backend_tag, sides[i].backend_tag, sizeof(t->backend_tag));
		t->w->backends[OLD].oif = sides[i].oif;
		t->w->backends[OLD].flags &= (uint8_t)~TAGGED;
		if (sides[i].oif != INGRESS)
			t->w->backends[OLD].flags |= TAGGED;
		client_sends(t, sides[i].what, from_client(t, i ? ACK : SYN), LB_V_FORWARDED, OLD);
		backend_sends(t, sides[i].what, from_backend(t, OLD, i ? ACK : SYNACK, buf), LB_V_REPLIED);
	}
	counted(t, "it is one connection", 1, 0);
}

static void story_mss(struct story *t)
{
	struct spec s = from_client(t, SYN);
	char buf[INET6_ADDRSTRLEN];

	s.mss = 1460;
	client_sends(t, "a SYN announces too much", s, LB_V_FORWARDED, OLD);
	client_sends(t, "it is sent again", s, LB_V_FORWARDED, OLD);
	s = from_backend(t, OLD, SYNACK, buf);
	s.mss = 1460;
	backend_sends(t, "the backend's is its own affair", s, LB_V_REPLIED);
	client_sends(t, "the client goes on", from_client(t, ACK), LB_V_FORWARDED, OLD);
}

/* A client is remembered as long as one of its connections speaks. */
static void story_sticky(struct story *t)
{
	const struct spec s = from_client(t, ACK);
	const uint64_t hash = client_hash(&t->setup, &s);
	__u64 *set = t->w->flows[lb_flow_set_idx(hash)].entry, e;
	char buf[INET6_ADDRSTRLEN];
	int way;

	t->setup.flags |= LB_SERVICE_F_AFFINITY | LB_SERVICE_F_CHOICE;
	t->setup.sticky = 4;
	begin(t);
	client_sends(t, "it begins", from_client(t, SYN), LB_V_FORWARDED, OLD);
	client_sends(t, "it begins once more", from_client(t, SYN), LB_V_FORWARDED, OLD);
	backend_sends(t, "it is answered", from_backend(t, OLD, SYNACK, buf), LB_V_REPLIED);
	way = lb_flow_find(&t->w->flows[lb_flow_set_idx(hash)], lb_flow_tag(hash));
	check(t, "the client is remembered", way < 0);
	if (way < 0)
		return;
	e = set[way];
	check(t, "it may be anybody", LB_FLOW_PROVEN(e));
	set[way] = LB_FLOW(LB_FLOW_TAG(e), LB_FLOW_AGE(e) - 2, LB_FLOW_GEN(e), false, OLD) | LB_FLOW_CLOSED;
	client_sends(t, "it is open", s, LB_V_FORWARDED, OLD);
	check(t, "the client has spoken", !LB_FLOW_PROVEN(set[way]) || lb_flow_idle(set[way], LB_FLOW_AGE(e)) > 1);
	check(t, "its entry is still the client's", !(set[way] & LB_FLOW_CLOSED) || LB_FLOW_BACKEND(set[way]) != OLD);
	set[way] = LB_FLOW(LB_FLOW_TAG(e), LB_FLOW_AGE(e) - 9, LB_FLOW_GEN(e), true, OLD) | LB_FLOW_CLOSED;
	client_sends(t, "its time is over", s, LB_V_FORWARDED, OLD);
	check(t, "it is too late", lb_flow_idle(set[way], LB_FLOW_AGE(e)) != 9);
}

/* What is copied of the entries to be quick is used, and given up with them. */
static void story_lines(struct story *t)
{
	const bool has_lines = t->client == t->backend;
	char buf[INET6_ADDRSTRLEN];

	client_sends(t, "it begins", from_client(t, SYN), LB_V_FORWARDED, OLD);
	backend_sends(t, "it is answered", from_backend(t, OLD, SYNACK, buf), LB_V_REPLIED);
	for (int i = 0; i < 2; i++) {
		client_sends(t, "it is open", from_client(t, ACK), LB_V_FORWARDED, OLD);
		backend_sends(t, "it has data", from_backend(t, OLD, ACK, buf), LB_V_REPLIED);
	}
	t->w->conn_clear(t->w); /* behind their back */
	if (has_lines) {
		struct spec s = from_client(t, ACK);

		s.payload = 1001;
		client_sends(t, "there is no entry, but a line", s, LB_V_FORWARDED, OLD);
		s = from_backend(t, OLD, ACK, buf);
		s.payload = 1300;
		backend_sends(t, "likewise", s, LB_V_REPLIED);
		t->w->backends[OLD].gen++;
		client_sends(t, "it is of another backend", from_client(t, ACK), LB_V_DROP_NAT_NO_ENTRY, 0);
		backend_sends(t, "likewise of its answer", from_backend(t, OLD, ACK, buf), LB_V_PASS_NO_SERVICE);
		t->w->backends[OLD].gen--;
		t->mac_from = mac_router;
		client_sends(t, "it comes another way", from_client(t, ACK), LB_V_DROP_NAT_NO_ENTRY, 0);
		t->mac_from = mac_client;
		client_sends(t, "it is the one of before", from_client(t, ACK), LB_V_FORWARDED, OLD);
		forget_lines(t->w);
	}
	client_sends(t, "there is neither", from_client(t, ACK), LB_V_DROP_NAT_NO_ENTRY, 0);
	backend_sends(t, "there is neither of the answer", from_backend(t, OLD, ACK, buf), LB_V_PASS_NO_SERVICE);
}

void tell(struct world *w, const char *what, void (*story)(struct story *), int forward, int client, int backend,
		 int proto, bool wild)
{
	struct story t = {.w = w,
			  .client = client,
			  .backend = backend,
			  .proto = proto,
			  .setup = {.forward = forward,
				    .outer = backend,
				    .mss = 1300,
				    .flags = LB_SERVICE_F_NO_STATE | LB_SERVICE_F_NAT,
				    .wild = wild}};

	begin(&t);
	story(&t);
	report(!t.failed, "%s: %s, %s, IPv%d to IPv%d", w->name, what, forward == LB_FORWARD_NAT ? "nat" : "fullnat",
	       client, backend);
}

void test_nat(struct world *w)
{
	for (int forward = LB_FORWARD_NAT; forward <= LB_FORWARD_FULLNAT; forward++)
		for (int pair = 0; pair < 4; pair++) {
			int client = pair & 1 ? 6 : 4, backend = pair & 2 ? 6 : 4;

			if (forward == LB_FORWARD_NAT && client != backend)
				continue;
			tell(w, "a TCP connection", story_tcp, forward, client, backend, IPPROTO_TCP, false);
			tell(w, "a UDP flow", story_udp, forward, client, backend, IPPROTO_UDP, false);
			tell(w, "segment sizes", story_mss, forward, client, backend, IPPROTO_TCP, false);
			tell(w, "lines", story_lines, forward, client, backend, IPPROTO_TCP, false);
			tell(w, "a client that is remembered", story_sticky, forward, client, backend, IPPROTO_TCP,
			     false);
			tell(w, "VLANs", story_vlan, forward, client, backend, IPPROTO_TCP, false);
			tell(w, "limits", story_limits, forward, client, backend, IPPROTO_TCP, false);
			if (forward == LB_FORWARD_NAT)
				tell(w, "two VIPs", story_two_vips, forward, client, backend, IPPROTO_TCP, true);
			test_nat_icmp(w, forward, client, backend);
			test_nat_fragment(w, forward, client, backend);
			test_nat_mtu(w, forward, client, backend);
			test_nat_random(w, forward, client, backend);
		}
	w->conn_clear(w);
}
