// SPDX-License-Identifier: GPL-2.0-or-later
/* ICMP errors about translated connections, from both sides. What they quote is made as its sender had it, and
 * what has to leave is made anew as the one who gets it had it, checksums and all. */
#include <string.h>

#include "nat_story.h"

#define DATA 1000 /* bytes of payload in what is quoted */
#define NR(a) (sizeof(a) / sizeof((a)[0]))

/* An error: type << 8 | code, and the word behind the checksum. @kind 0: there is none. */
struct error {
	unsigned int kind;
	uint32_t rest;
};

/* How one is played. */
struct play {
	const char *what;
	struct error in, out; /* out: in the other family; in its own it stays as it was */
	size_t quoted;	      /* bytes of the quoted transport header and data: 8 */
	int ttl, quoted_ttl;
	int pad, options; /* of the error: bytes behind it, and of IPv4 options or IPv6 destination options */
	enum lb_verdict verdict;
};

static bool crosses(const struct story *t)
{
	return t->client != t->backend;
}

static const char *router_addr(int family)
{
	return family == 4 ? "203.0.113.1" : "2001:db8:ffff::1";
}

static struct spec with_data(struct spec s, const struct play *p)
{
	s.payload = DATA;
	s.ttl = p->quoted_ttl;
	s.tos = 0x28;
	return s;
}

/* What the client got of @from_backend, and what the backend got of @from_client. */
static struct spec got_by_client(const struct story *t, struct spec s)
{
	s.family = t->client;
	s.src = vip_addr(t->client);
	s.sport = 80;
	s.dst = client_addr(t->client);
	s.dport = 12345;
	return s;
}

static struct spec got_by_backend(const struct story *t, struct spec s, char buf[INET6_ADDRSTRLEN])
{
	bool full = t->setup.forward == LB_FORWARD_FULLNAT;

	s.family = t->backend;
	s.src = full ? snat_addr(t->backend) : client_addr(t->client);
	s.sport = full ? t->snat_port : 12345;
	s.dst = addr_text(t->backend, OLD, buf);
	s.dport = BACKEND_PORT;
	return s;
}

static struct spec outer_of(int family, const char *dst, const struct play *p)
{
	struct spec s = {.family = family, .src = router_addr(family), .dst = dst, .ttl = p->ttl, .tos = 0xc0};

	if (family == 4)
		s.options = p->options;
	else if (p->options)
		s.ext[0] = (struct ext){.type = IPPROTO_DSTOPTS, .len = (uint8_t)(p->options / 8 - 1), .word = 0x0104};
	return s;
}

/* The error's IP header as it leaves. */
static struct spec outer_out(const struct spec *in, int family, const char *src, const char *dst,
			     const struct frame *out)
{
	struct spec s = *in;
	int id = out->data[18] << 8 | out->data[19];

	s.src = src ? src : in->src;
	s.dst = dst;
	s.ttl = or_default(in->ttl, 64) - 1;
	if (in->family != family) {
		s.family = family;
		s.options = 0;
		memset(s.ext, 0, sizeof(s.ext));
		s.id = id ? id : ZERO;
	}
	return s;
}

static size_t head_len(const struct spec *s)
{
	return s->family == 4 ? 20 : 40;
}

/* Plays the error @p from @outer about @quoted, and holds it against @wanted in it, from @src (NULL: as it was) to
 * @dst with the MAC addresses @dmac and mac_own. */
static void play_error(struct story *t, const struct play *p, bool reply, const struct spec *outer,
		       const struct spec *quoted, struct spec wanted, const char *src, const uint8_t dmac[6])
{
	const size_t bytes = p->quoted ? p->quoted : 8;
	const bool sent = p->verdict == LB_V_FORWARDED;
	const enum lb_verdict verdict = !sent ? p->verdict : reply ? LB_V_REPLIED_ICMP : LB_V_FORWARDED_ICMP;
	const struct error error = crosses(t) ? p->out : p->in;
	struct frame f, want;
	struct outcome o;
	struct spec head;

	frame_make_error(outer, p->in.kind, p->in.rest, quoted, head_len(quoted) + bytes, &f);
	if (!reply)
		memcpy(f.data + 6, t->mac_from, 6);
	frame_tag(&f, reply ? t->backend_tag : t->tag, 2);
	if (!play(t->w, &f, false, &o) || !o.played ||
	    differs(t->w, "the verdict", o.verdict, (long)(error.kind ? verdict : LB_V_DROP_NAT_IMPOSSIBLE)) ||
	    differs(t->w, "the action", o.action,
		    usual_action((int)(error.kind ? verdict : LB_V_DROP_NAT_IMPOSSIBLE)))) {
		check(t, p->what, true);
		return;
	}
	if (o.action == XDP_PASS)
		check(t, p->what, frames_differ(t->w, &o.out, &f));
	if (o.action != XDP_TX)
		return;
	untag(t, p->what, reply ? t->tag : t->backend_tag, &o.out);
	if (crosses(t) && wanted.family == 4) {
		wanted.id = ZERO;
		wanted.frag = frame_ip_len(&wanted) > 1260 ? 0x4000 : 0;
	}
	head = outer_out(outer, wanted.family, src, wanted.src, &o.out);
	frame_make_error(&head, error.kind, error.rest, &wanted, head_len(&wanted) + bytes, &want);
	set_macs(&want, dmac, mac_own);
	check(t, p->what, frames_differ(t->w, &o.out, &want));
}

/* From a router between the client and us, about an answer. */
static void client_side(struct story *t, const struct play *p)
{
	char buf[INET6_ADDRSTRLEN];
	struct spec wanted = with_data(from_backend(t, OLD, t->proto == IPPROTO_TCP ? ACK : 0, buf), p);
	struct spec quoted = got_by_client(t, wanted), outer = outer_of(t->client, vip_addr(t->client), p);

	play_error(t, p, false, &outer, &quoted, wanted,
		   t->setup.forward == LB_FORWARD_FULLNAT ? snat_addr(t->backend) : NULL, mac_hop);
}

/* From a router between us and the backend, or from that, about what the client sent. */
static void backend_side(struct story *t, const struct play *p)
{
	char buf[INET6_ADDRSTRLEN];
	struct spec wanted = with_data(from_client(t, t->proto == IPPROTO_TCP ? ACK : 0), p), quoted, outer;

	wanted.src = client_addr(t->client);
	wanted.sport = 12345;
	wanted.dst = vip_addr(t->client);
	wanted.dport = 80;
	quoted = got_by_backend(t, wanted, buf);
	outer = outer_of(t->backend, quoted.src, p);
	play_error(t, p, true, &outer, &quoted, wanted, vip_addr(t->client), t->mac_from);
}

/* What either family says in the other one, by RFC 7915 4.2 and 5.2. */
static const struct play from4[] = {
	{"the network is unreachable", .in = {0x0300, 0}, .out = {0x0100, 0}},
	{"the host is", .in = {0x0301, 0}, .out = {0x0100, 0}},
	{"there is no such protocol", .in = {0x0302, 0}, .out = {0x0401, 6}},
	{"the port is closed", .in = {0x0303, 0}, .out = {0x0104, 0}},
	{"it has to be fragmented", .in = {0x0304, 1400}, .out = {0x0200, 1420}},
	{"it has to be fragmented, and no link of IPv6 is so small", .in = {0x0304, 800}, .out = {0x0200, 1280}},
	{"it has to be fragmented, into more than there is room for", .in = {0x0304, 9000}, .out = {0x0200, 1500}},
	{"it has to be fragmented, nobody knows how", .in = {0x0304, 0}, .out = {0x0200, 1280}},
	{"a source route fails", .in = {0x0305, 0}, .out = {0x0100, 0}},
	{"it is prohibited", .in = {0x0309, 0}, .out = {0x0101, 0}},
	{"its precedence is not what it should be", .in = {0x030e, 0}, .out = {0, 0}},
	{"its precedence is too low", .in = {0x030f, 0}, .out = {0x0101, 0}},
	{"nobody knows this code", .in = {0x0310, 0}, .out = {0, 0}},
	{"its TTL is used up", .in = {0x0b00, 0}, .out = {0x0300, 0}, .quoted_ttl = 1},
	{"a fragment is missing", .in = {0x0b01, 0}, .out = {0x0301, 0}},
	{"its TTL is wrong", .in = {0x0c00, 8U << 24}, .out = {0x0400, 7}},
	{"its checksum is wrong", .in = {0x0c00, 10U << 24}, .out = {0, 0}},
	{"an option is missing", .in = {0x0c01, 0}, .out = {0, 0}},
	{"much is quoted", .in = {0x0301, 0}, .out = {0x0100, 0}, .quoted = 500},
	{"the transport header is quoted", .in = {0x0301, 0}, .out = {0x0100, 0}, .quoted = 20},
	{"the checksum is hardly quoted", .in = {0x0301, 0}, .out = {0x0100, 0}, .quoted = 18},
	{"the checksum is not quoted", .in = {0x0301, 0}, .out = {0x0100, 0}, .quoted = 16},
	{"the ports are quoted and no more", .in = {0x0301, 0}, .out = {0x0100, 0}, .quoted = 4},
	{"there is something behind it", .in = {0x0301, 0}, .out = {0x0100, 0}, .quoted = 16, .pad = 9},
	{"it has options", .in = {0x0304, 1400}, .out = {0x0200, 1420}, .options = 40},
	{"it has gone too far", .in = {0x0301, 0}, .out = {0x0100, 0}, .ttl = 1, .verdict = LB_V_DROP_TTL_EXCEEDED},
};

static const struct play from6[] = {
	{"there is no route", .in = {0x0100, 0}, .out = {0x0301, 0}},
	{"it is prohibited", .in = {0x0101, 0}, .out = {0x030a, 0}},
	{"it is beyond its scope", .in = {0x0102, 0}, .out = {0x0301, 0}},
	{"the host is unreachable", .in = {0x0103, 0}, .out = {0x0301, 0}},
	{"the port is closed", .in = {0x0104, 0}, .out = {0x0303, 0}},
	{"a policy forbids its source", .in = {0x0105, 0}, .out = {0, 0}},
	{"it is too big", .in = {0x0200, 1400}, .out = {0x0304, 1380}},
	{"it is too big for the smallest link", .in = {0x0200, 1280}, .out = {0x0304, 1260}},
	{"it is bigger than there is room for", .in = {0x0200, 9000}, .out = {0x0304, 1480}},
	{"its hop limit is used up", .in = {0x0300, 0}, .out = {0x0b00, 0}, .quoted_ttl = 1},
	{"its hop limit is wrong", .in = {0x0400, 7}, .out = {0x0c00, 8U << 24}},
	{"a field is wrong that IPv4 does not have", .in = {0x0400, 2}, .out = {0, 0}},
	{"nobody knows the next header", .in = {0x0401, 40}, .out = {0x0302, 0}},
	{"nobody knows an option", .in = {0x0402, 40}, .out = {0, 0}},
	{"much is quoted", .in = {0x0103, 0}, .out = {0x0301, 0}, .quoted = 500},
	{"the transport header is quoted", .in = {0x0103, 0}, .out = {0x0301, 0}, .quoted = 20},
	{"the checksum is hardly quoted", .in = {0x0103, 0}, .out = {0x0301, 0}, .quoted = 18},
	{"the checksum is not quoted", .in = {0x0103, 0}, .out = {0x0301, 0}, .quoted = 16},
	{"the ports are quoted and no more", .in = {0x0103, 0}, .out = {0x0301, 0}, .quoted = 4},
	{"there is something behind it", .in = {0x0103, 0}, .out = {0x0301, 0}, .quoted = 16, .pad = 9},
	{"it has an extension header", .in = {0x0200, 1400}, .out = {0x0304, 1380}, .options = 16},
	{"it has gone too far", .in = {0x0103, 0}, .out = {0x0301, 0}, .ttl = 1, .verdict = LB_V_DROP_TTL_EXCEEDED},
};

static void all_errors(struct story *t, int family, void (*side)(struct story *, const struct play *))
{
	const struct play *plays = family == 4 ? from4 : from6;

	for (size_t i = 0; i < (family == 4 ? NR(from4) : NR(from6)); i++)
		side(t, &plays[i]);
}

static void begin_flow(struct story *t)
{
	char buf[INET6_ADDRSTRLEN];
	bool tcp = t->proto == IPPROTO_TCP;

	client_sends(t, "it begins", from_client(t, tcp ? SYN : 0), LB_V_FORWARDED, OLD);
	backend_sends(t, "it is answered", from_backend(t, OLD, tcp ? SYNACK : 0, buf), LB_V_REPLIED);
}

static void story_errors(struct story *t)
{
	char buf[INET6_ADDRSTRLEN];

	begin_flow(t);
	all_errors(t, t->client, client_side);
	all_errors(t, t->backend, backend_side);
	counted(t, "errors change nothing", 1, t->proto == IPPROTO_TCP);
	client_sends(t, "it goes on", from_client(t, t->proto == IPPROTO_TCP ? ACK : 0), LB_V_FORWARDED, OLD);
	backend_sends(t, "it is answered again", from_backend(t, OLD, t->proto == IPPROTO_TCP ? ACK : 0, buf),
		      LB_V_REPLIED);
	counted(t, "it has opened", 1, 0);
}

/* The host is unreachable, in @family. */
static struct play unreachable(const char *what, int family, enum lb_verdict verdict)
{
	const struct play p = {.what = what, .in = {family == 4 ? 0x0301 : 0x0103, 0}, .verdict = verdict};
	struct play q = p;

	q.out.kind = family == 4 ? 0x0100 : 0x0301;
	return q;
}

static struct play too_big(const char *what, int family)
{
	if (family == 4)
		return (struct play){.what = what, .in = {0x0304, 1400}, .out = {0x0200, 1420}};
	return (struct play){.what = what, .in = {0x0200, 1400}, .out = {0x0304, 1380}};
}

static void story_refused(struct story *t)
{
	struct play p = unreachable("nobody knows the connection", t->client, LB_V_DROP_NAT_NO_ENTRY);
	struct play q = unreachable("nobody knows it there, either", t->backend, LB_V_PASS_NO_SERVICE);

	t->snat_port = 12345;
	client_side(t, &p);
	backend_side(t, &q);
	begin_flow(t);
	p = unreachable("it is too big for its backend", t->client, LB_V_DROP_TOO_BIG);
	p.quoted = 900;
	t->w->backends[OLD].mtu = 900;
	client_side(t, &p);
	t->w->backends[OLD].mtu = 1500;
	q = unreachable("it is too big for its client", t->backend, LB_V_DROP_TOO_BIG);
	q.quoted = 900;
	t->w->links[INGRESS].mtu = 900;
	backend_side(t, &q);
	t->w->links[INGRESS].mtu = 1500;
	t->w->backends[OLD].oif = 0;
	p = unreachable("there is no way to the backend", t->client, LB_V_DROP_NO_NEXT_HOP);
	client_side(t, &p);
	q = unreachable("the client is told all the same", t->backend, LB_V_FORWARDED);
	backend_side(t, &q);
	q = too_big("the client is told what was too big, though nobody knows that way's MTU now", t->backend);
	t->w->backends[OLD].mtu = 0;
	backend_side(t, &q);
	t->w->backends[OLD].mtu = 1500;
	t->w->backends[OLD].oif = INGRESS;
	p.verdict = LB_V_FORWARDED;
	p.what = "there is a way again";
	client_side(t, &p);
	t->w->links[INGRESS].ifindex = INGRESS + LB_LINKS;
	q = unreachable("the client's interface is gone", t->backend, LB_V_DROP_NO_NEXT_HOP);
	backend_side(t, &q);
	t->w->links[INGRESS].ifindex = INGRESS;
	t->w->backends[OLD].gen++;
	p = unreachable("its backend is another one now", t->client, LB_V_DROP_NO_BACKEND);
	client_side(t, &p);
	q = unreachable("its backend was another one", t->backend, LB_V_DROP_NO_BACKEND);
	backend_side(t, &q);
}

/* Each side is in a VLAN, or in another one. */
static void story_vlans(struct story *t)
{
	const struct play p = unreachable("the client's side says so", t->client, LB_V_FORWARDED);
	const struct play q = unreachable("the backend's side says so", t->backend, LB_V_FORWARDED);

	t->tag[0] = TAG_ONE;
	begin_flow(t);
	client_side(t, &p);
	backend_side(t, &q);
	t->backend_tag[0] = TAG_TWO;
	t->backend_tag[1] = TAG_ONE;
	t->w->backends[OLD].oif = VLAN_TWO;
	t->w->backends[OLD].flags |= TAGGED;
	client_side(t, &p);
	backend_side(t, &q);
}

/* Every beginning of an error leaves nobody with half of one, and bytes behind its end change nothing. */
static void story_cut(struct story *t)
{
	char buf[INET6_ADDRSTRLEN];
	const struct play p = unreachable("it is cut", t->client, LB_V_FORWARDED);
	struct spec wanted, quoted, outer;
	struct frame whole, part;
	struct outcome o;

	begin_flow(t);
	wanted = with_data(from_backend(t, OLD, ACK, buf), &p);
	quoted = got_by_client(t, wanted);
	outer = outer_of(t->client, vip_addr(t->client), &p);
	frame_make_error(&outer, p.in.kind, 0, &quoted, head_len(&quoted) + 20, &whole);
	for (part = whole, part.len = 14; part.len < whole.len && !t->failed; part.len++) {
		if (!play(t->w, &part, false, &o) || !o.played) {
			check(t, "it is cut", true);
			return;
		}
		check(t, "it is cut",
		      o.verdict != LB_V_PASS_TRUNCATED && differs(t->w, "the verdict", o.verdict, LB_V_DROP_MALFORMED));
		if (o.action == XDP_PASS)
			check(t, "it is cut and passes", frames_differ(t->w, &o.out, &part));
	}
}

void test_nat_icmp(struct world *w, int forward, int client, int backend)
{
	tell(w, "errors about TCP", story_errors, forward, client, backend, IPPROTO_TCP, false);
	tell(w, "errors about UDP", story_errors, forward, client, backend, IPPROTO_UDP, false);
	tell(w, "errors that nobody gets", story_refused, forward, client, backend, IPPROTO_TCP, false);
	tell(w, "errors in VLANs", story_vlans, forward, client, backend, IPPROTO_UDP, false);
	tell(w, "errors that are cut", story_cut, forward, client, backend, IPPROTO_TCP, false);
}
