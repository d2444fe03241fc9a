// SPDX-License-Identifier: GPL-2.0-or-later
/* Datagrams of translated connections that come in pieces, from both sides. */
#include <string.h>

#include "nat_story.h"

#define PIECE 96 /* bytes behind the transport header */

/* The piece of @s, of the datagram @id, that begins @at bytes into it. */
static struct spec piece(struct spec s, int id, int at, bool more)
{
	s.payload = PIECE;
	if (s.proto == IPPROTO_UDP)
		s.udp_len = 3000;
	else
		s.payload = PIECE + 4; /* multiples of 8 with the header */
	s.no_sum = at > 0;	       /* what lies there is data */
	if (s.family == 6) {
		s.ext[0] = (struct ext){.type = IPPROTO_FRAGMENT, .word = (uint16_t)(at | more)};
		return s;
	}
	s.id = id;
	s.frag = at / 8 | (more ? 0x2000 : 0);
	return s;
}

bool piece_as(struct spec *s, int family)
{
	const bool v6 = s->family == 6;
	const bool is = v6 ? s->ext[0].type == IPPROTO_FRAGMENT && s->ext[0].word : s->frag & 0x3fff;
	const unsigned int word = s->ext[0].word, frag = (unsigned int)s->frag;

	if (is && v6 && family == 4) {
		s->frag = (int)(word >> 3 | (word & 1 ? 0x2000 : 0));
		s->ext[0] = (struct ext){.type = 0};
	} else if (is && !v6 && family == 6) {
		s->ext[0] = (struct ext){.type = IPPROTO_FRAGMENT,
					 .word = (uint16_t)((frag & 0x1fff) << 3 | !!(frag & 0x2000))};
	}
	s->family = family;
	return is;
}

static void later(struct story *t, const char *what, struct spec in, bool reply, enum lb_verdict verdict)
{
	char buf[INET6_ADDRSTRLEN];
	struct spec s = in;
	struct frame f, want;
	struct outcome o;

	frame_make(&in, &f);
	if (!reply)
		memcpy(f.data + 6, t->mac_from, 6);
	if (!play(t->w, &f, false, &o) || !o.played || differs(t->w, "the verdict", o.verdict, (long)verdict) ||
	    differs(t->w, "the action", o.action, usual_action((int)verdict))) {
		check(t, what, true);
		return;
	}
	if (o.action == XDP_PASS)
		check(t, what, frames_differ(t->w, &o.out, &f));
	if (o.action != XDP_TX)
		return;
	piece_as(&s, reply ? t->client : t->backend);
	s.ttl = or_default(in.ttl, 64) - 1;
	s.sport = or_default(in.sport, 12345);
	s.dport = or_default(in.dport, 80);
	if (reply) {
		s.src = vip_addr(t->client);
		s.dst = client_addr(t->client);
	} else {
		s.src = t->setup.forward == LB_FORWARD_FULLNAT ? snat_addr(t->backend) : client_addr(t->client);
		s.dst = addr_text(t->backend, OLD, buf);
	}
	frame_make(&s, &want);
	set_macs(&want, reply ? t->mac_from : mac_hop, mac_own);
	expect_moved(t, reply, &f, &o.out, &want);
	check(t, what, frames_differ(t->w, &o.out, &want));
}

static struct spec large(struct spec s)
{
	s.payload += 1304;
	return s;
}

static void set_mtus(struct story *t, int mtu)
{
	t->w->links[INGRESS].mtu = t->w->backends[OLD].mtu = (uint16_t)mtu;
}

/* The rest of a datagram whose pieces are all alike. */
static void story_pieces(struct story *t)
{
	const bool tcp = t->proto == IPPROTO_TCP, v4 = t->client == 4, cross = t->client != t->backend;
	const int at = 200;
	char buf[INET6_ADDRSTRLEN];
	struct spec c = from_client(t, tcp ? SYN : 0), b;

	if (tcp) {
		client_sends(t, "it begins", c, LB_V_FORWARDED, OLD);
		c = from_client(t, ACK);
		c.flags = ACK;
	}
	later(t, "nobody has seen the first one", piece(c, 7, at, true), false, LB_V_PASS_FRAGMENT);
	client_sends(t, "the first one", piece(c, 7, 0, true), LB_V_FORWARDED, OLD);
	later(t, "a later one", piece(c, 7, at, true), false, LB_V_FORWARDED);
	later(t, "the last one", piece(c, 7, 2 * at, false), false, LB_V_FORWARDED);
	if (v4)
		later(t, "one of another datagram", piece(c, 8, at, true), false, LB_V_PASS_FRAGMENT);
	if (tcp)
		later(t, "one over the header", piece(c, 7, 16, true), false, LB_V_DROP_FRAGMENT_OVERLAP);
	b = from_backend(t, OLD, tcp ? ACK : 0, buf);
	later(t, "nobody has seen the first one of the answer", piece(b, 9, at, true), true, LB_V_PASS_FRAGMENT);
	backend_sends(t, "the answer's first one", piece(b, 9, 0, true), LB_V_REPLIED);
	later(t, "the answer's later one", piece(b, 9, at, true), true, LB_V_REPLIED);
	later(t, "the answer's last one", piece(b, 9, 2 * at, false), true, LB_V_REPLIED);
	c = piece(c, 7, at, true);
	c.ttl = 1;
	later(t, "it has gone too far", c, false, LB_V_DROP_TTL_EXCEEDED);
	c.ttl = 64;
	t->w->links[INGRESS].mtu = 100;
	later(t, "it is too big for the client", piece(b, 9, at, true), true, LB_V_DROP_TOO_BIG);
	t->w->links[INGRESS].mtu = 1500;
	t->w->backends[OLD].mtu = 100;
	later(t, "it is too big for the backend", c, false, LB_V_DROP_TOO_BIG);
	t->w->backends[OLD].mtu = 1500;
	later(t, "it is not", c, false, LB_V_FORWARDED);
	if (!v4 && !cross) {
		set_mtus(t, 1300);
		told(t, "a later one may be what is too big for the backend", large(c), false, 1300);
		told(t, "and for the client", large(piece(b, 9, at, true)), true, 1300);
		set_mtus(t, 1500);
	}
	t->w->backends[OLD].gen++;
	later(t, "its backend is another one now", c, false, LB_V_DROP_NO_BACKEND);
	later(t, "its backend was another one", piece(b, 9, at, true), true, LB_V_DROP_NO_BACKEND);
	t->w->conn_clear(t->w);
	later(t, "nobody knows the connection any more", c, false, LB_V_PASS_FRAGMENT);
}

/* Two clients, and two backends, whose datagrams have the same ID: what gets them can tell them apart. */
static void story_ids(struct story *t)
{
	struct spec c = from_client(t, 0), b;
	char buf[INET6_ADDRSTRLEN];
	uint32_t by;

	client_sends(t, "one client's", piece(c, 7, 0, true), LB_V_FORWARDED, OLD);
	by = t->moved[false].by;
	backend_sends(t, "one backend's", piece(from_backend(t, OLD, 0, buf), 7, 0, true), LB_V_REPLIED);
	client_sends(t, "a whole packet's is its own", c, LB_V_FORWARDED, OLD);
	t->moved[false].known = false;
	c.src = t->client == 4 ? "198.51.100.8" : "2001:db8:1::8";
	client_sends(t, "another client's", piece(c, 7, 0, true), LB_V_FORWARDED, OLD);
	check(t, "they differ", t->moved[false].by == by);
	by = t->moved[true].by;
	t->moved[true].known = t->moved[false].known = false;
	all_slots(t, NEW);
	c = from_client(t, 0);
	c.sport = 23456;
	client_sends(t, "another backend is asked", c, LB_V_FORWARDED, NEW);
	b = piece(from_backend(t, NEW, 0, buf), 7, 0, true);
	t->client_port = 23456;
	backend_sends(t, "another backend's", b, LB_V_REPLIED);
	check(t, "they differ, too", t->moved[true].by == by);
}

/* A piece of an IPv4 datagram that may not be fragmented any more. */
static struct spec unbreakable(struct spec s)
{
	s.frag |= 0x4000;
	return s;
}

/* Pieces of one side that become the other family's, where the link takes @mtu bytes: of IPv4 they grow by 28 bytes, as
 * IPv6 has a header more for them, and of IPv6 they shrink as much. */
static void crossing_side(struct story *t, bool reply, struct spec s, int mtu)
{
	const int header = s.proto == IPPROTO_TCP ? 20 : 8;
	struct spec rest;

	s = piece(s, 11, 0, true);
	if (reply)
		backend_sends(t, "the first one is known", s, LB_V_REPLIED);
	else
		client_sends(t, "the first one is known", s, LB_V_FORWARDED, OLD);
	set_mtus(t, mtu);
	rest = piece(s, 11, 200, false);
	rest.payload = mtu + (s.family == 6 ? -20 : -48) - header;
	later(t, "it just fits", rest, reply, reply ? LB_V_REPLIED : LB_V_FORWARDED);
	rest.payload++;
	told(t, "it does not", rest, reply, s.family == 6 ? mtu + 20 : 0);
	s.payload = (rest.payload + header + 7) / 8 * 8 - header;
	told(t, "the first one does not fit", s, reply, s.family == 6 ? mtu + 20 : 0);
	if (s.family == 4)
		told(t, "its sender wants to be told", unbreakable(s), reply, mtu - 28);
	set_mtus(t, 1500);
	if (s.family == 6)
		return;
	s.payload = PIECE + (s.proto == IPPROTO_TCP ? 4 : 0);
	if (reply)
		backend_sends(t, "nobody may break it", unbreakable(s), LB_V_REPLIED);
	else
		client_sends(t, "nobody may break it", unbreakable(s), LB_V_FORWARDED, OLD);
}

static void story_crossing(struct story *t)
{
	const int flags = t->proto == IPPROTO_TCP ? ACK : 0;
	char buf[INET6_ADDRSTRLEN];
	struct spec c = from_client(t, flags);

	client_sends(t, "it begins", from_client(t, t->proto == IPPROTO_TCP ? SYN : 0), LB_V_FORWARDED, OLD);
	c.src = client_addr(t->client);
	c.dst = vip_addr(t->client);
	c.sport = 12345;
	c.dport = 80;
	for (int mtu = 1300; mtu <= 1308; mtu += 4) {
		crossing_side(t, false, c, mtu);
		crossing_side(t, true, from_backend(t, OLD, flags, buf), mtu);
	}
}

/* What the other family has no place for. */
static void refused_of(struct story *t, bool reply, struct spec s)
{
	struct spec bad = piece(s, 7, 0, true);

	if (s.family == 4) {
		bad.no_sum = true;
		if (reply)
			backend_sends(t, "nobody knows what it adds up to", bad, LB_V_DROP_NAT_IMPOSSIBLE);
		else
			client_sends(t, "nobody knows what it adds up to", bad, LB_V_DROP_NAT_IMPOSSIBLE, OLD);
		later(t, "nobody wanted the first one", piece(s, 7, 200, false), reply, LB_V_PASS_FRAGMENT);
		bad.no_sum = false;
		bad.options = 4;
	} else {
		bad.ext[1] = bad.ext[0];
		bad.ext[0] = (struct ext){.type = IPPROTO_DSTOPTS};
	}
	if (reply)
		backend_sends(t, "it has options", bad, LB_V_DROP_NAT_IMPOSSIBLE);
	else
		client_sends(t, "it has options", bad, LB_V_DROP_NAT_IMPOSSIBLE, OLD);
	if (s.family == 6) {
		bad.ext[0] = bad.ext[1];
		bad.ext[1] = (struct ext){.type = IPPROTO_DSTOPTS};
		if (reply)
			backend_sends(t, "they are a part of what is in pieces", bad, LB_V_DROP_NAT_IMPOSSIBLE);
		else
			client_sends(t, "they are a part of what is in pieces", bad, LB_V_DROP_NAT_IMPOSSIBLE, OLD);
	}
	bad = piece(s, 7, 0, true);
	if (reply)
		backend_sends(t, "it has none", bad, LB_V_REPLIED);
	else
		client_sends(t, "it has none", bad, LB_V_FORWARDED, OLD);
	bad = piece(s, 7, 65512 - 96, false);
	bad.payload = 91; /* behind 8 bytes more: the last one that IPv4 can have */
	later(t, "it ends where IPv4 does", bad, reply, reply ? LB_V_REPLIED : LB_V_FORWARDED);
	bad.payload++;
	later(t, "it ends behind", bad, reply, s.family == 6 ? LB_V_DROP_NAT_IMPOSSIBLE : LB_V_DROP_MALFORMED);
}

static void story_refused(struct story *t)
{
	char buf[INET6_ADDRSTRLEN];
	struct spec c = from_client(t, 0);

	client_sends(t, "it is whole", c, LB_V_FORWARDED, OLD);
	refused_of(t, false, c);
	refused_of(t, true, from_backend(t, OLD, 0, buf));
	if (t->client == 4)
		return;
	c.ext[0] = (struct ext){.type = IPPROTO_FRAGMENT};
	client_sends(t, "it is the only piece", c, LB_V_FORWARDED, OLD);
}

void test_nat_fragment(struct world *w, int forward, int client, int backend)
{
	if (client != backend) {
		tell(w, "pieces of a UDP flow that change family", story_crossing, forward, client, backend,
		     IPPROTO_UDP, false);
		tell(w, "pieces of a TCP connection that change family", story_crossing, forward, client, backend,
		     IPPROTO_TCP, false);
		tell(w, "pieces that cannot", story_refused, forward, client, backend, IPPROTO_UDP, false);
	}
	tell(w, "a UDP flow in pieces", story_pieces, forward, client, backend, IPPROTO_UDP, false);
	tell(w, "IDs of pieces", story_ids, forward, client, backend, IPPROTO_UDP, false);
	tell(w, "a TCP connection in pieces", story_pieces, forward, client, backend, IPPROTO_TCP, false);
}
