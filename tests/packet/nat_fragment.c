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
	const bool tcp = t->proto == IPPROTO_TCP, v4 = t->client == 4;
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
	if (!v4) {
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

/* The two families are not the same in what they do with fragments. */
static void story_refused(struct story *t)
{
	char buf[INET6_ADDRSTRLEN];
	struct spec c = from_client(t, 0);

	client_sends(t, "it is whole", c, LB_V_FORWARDED, OLD);
	client_sends(t, "it comes in pieces", piece(c, 7, 0, true), LB_V_DROP_NAT_IMPOSSIBLE, OLD);
	later(t, "nobody wanted the first one", piece(c, 7, 200, false), false, LB_V_PASS_FRAGMENT);
	backend_sends(t, "the answer does", piece(from_backend(t, OLD, 0, buf), 9, 0, true), LB_V_DROP_NAT_IMPOSSIBLE);
}

void test_nat_fragment(struct world *w, int forward, int client, int backend)
{
	if (client != backend) {
		tell(w, "pieces are refused", story_refused, forward, client, backend, IPPROTO_UDP, false);
		return;
	}
	tell(w, "a UDP flow in pieces", story_pieces, forward, client, backend, IPPROTO_UDP, false);
	tell(w, "IDs of pieces", story_ids, forward, client, backend, IPPROTO_UDP, false);
	tell(w, "a TCP connection in pieces", story_pieces, forward, client, backend, IPPROTO_TCP, false);
}
