// SPDX-License-Identifier: GPL-2.0-or-later
/* Packets of translated connections that do not fit the link behind: who sent them is told what would, of the packet as
 * it was sent, from where it was sent to. */
#include <string.h>

#include "nat_story.h"

#define DF 0x4000
#define TOLD_A_SECOND 1000 /* by a CPU, as lbd(8) says of drop_too_big */

void told(struct story *t, const char *what, struct spec in, bool reply, int mtu)
{
	const uint32_t *tag = reply ? t->backend_tag : t->tag;
	const long length = (long)frame_ip_len(&in);
	struct frame f, want;
	struct outcome o;

	frame_make(&in, &f);
	frame_tag(&f, tag, 2);
	if (!play(t->w, &f, false, &o) || !o.played ||
	    differs(t->w, "the verdict", o.verdict, mtu ? LB_V_ANSWERED_TOO_BIG : LB_V_DROP_TOO_BIG) ||
	    differs(t->w, "the action", o.action, mtu ? XDP_TX : XDP_DROP)) {
		check(t, what, true);
		return;
	}
	check(t, "the service has it",
	      differs(t->w, "its service's packets",
		      (long)t->w->service_cpu[t->w->cpu * LB_MAX_SERVICES + SERVICE].total.pkts, 1));
	if (!mtu)
		return;
	frame_expect_too_big(&in, mtu, &want);
	frame_tag(&want, tag, 2);
	check(t, what, frames_differ(t->w, &o.out, &want));
	check(t, "it is told of more than it sent", mtu >= length);
}

static void begin_flow(struct story *t)
{
	char buf[INET6_ADDRSTRLEN];

	client_sends(t, "it begins", from_client(t, SYN), LB_V_FORWARDED, OLD);
	backend_sends(t, "it is answered", from_backend(t, OLD, SYNACK, buf), LB_V_REPLIED);
	client_sends(t, "it is open", from_client(t, ACK), LB_V_FORWARDED, OLD);
}

/* A packet of @bytes, which may not be fragmented. */
static struct spec of(struct spec s, int bytes)
{
	s.payload = bytes - (s.family == 4 ? 40 : 60);
	if (s.family == 4)
		s.frag = DF;
	return s;
}

/* What is written out of these for the one who gets it. */
static struct spec from_client_whole(const struct story *t)
{
	struct spec s = from_client(t, ACK);

	s.src = client_addr(t->client);
	s.sport = 12345;
	s.dst = vip_addr(t->client);
	s.dport = 80;
	return s;
}

static void set_mtu(struct story *t, bool reply, int mtu)
{
	if (reply)
		t->w->links[INGRESS].mtu = (uint16_t)mtu;
	else
		t->w->backends[OLD].mtu = (uint16_t)mtu;
}

/* Packets of one side, of which those fit that have @fits bytes at most when the link takes @mtu. */
static void one_side(struct story *t, bool reply, int mtu, int fits)
{
	const char *who = reply ? "the backend's" : "the client's";
	char buf[INET6_ADDRSTRLEN];
	struct spec s = reply ? from_backend(t, OLD, ACK, buf) : from_client_whole(t);

	set_mtu(t, reply, mtu);
	told(t, who, of(s, fits + 1), reply, fits);
	told(t, who, of(s, 1700), reply, fits);
	if (s.family == 4) {
		s.payload = 1700;
		told(t, "it might be fragmented", s, reply, 0);
		s.payload = 0;
	}
	if (reply)
		backend_sends(t, "what it was told fits", of(s, fits), LB_V_REPLIED);
	else
		client_sends(t, "what it was told fits", of(s, fits), LB_V_FORWARDED, OLD);
	set_mtu(t, reply, 1500);
}

/* Bytes of a packet of the family @from that are @mtu bytes of the family @to. */
static int sent_as(int from, int to, int mtu)
{
	return from == to ? mtu : from == 6 ? mtu + 20 : mtu - 20;
}

static void story_told(struct story *t)
{
	static const int mtus[] = {1500, 1400, 1301};

	begin_flow(t);
	for (size_t i = 0; i < sizeof(mtus) / sizeof(mtus[0]); i++) {
		one_side(t, false, mtus[i], sent_as(t->client, t->backend, mtus[i]));
		one_side(t, true, mtus[i], sent_as(t->backend, t->client, mtus[i]));
	}
	if (t->client == 4 && t->backend == 4) {
		one_side(t, false, 300, 300);
		one_side(t, true, 300, 300);
	}
	counted(t, "it is one connection", 1, 0);
}

/* The tags that it came with are the answer's. */
static void story_tagged(struct story *t)
{
	t->tag[0] = TAG_ONE;
	t->backend_tag[0] = TAG_TWO;
	t->backend_tag[1] = TAG_ONE;
	t->w->backends[OLD].oif = VLAN_TWO;
	t->w->backends[OLD].flags |= TAGGED;
	begin_flow(t);
	one_side(t, false, 1400, sent_as(t->client, t->backend, 1400));
	one_side(t, true, 1400, sent_as(t->backend, t->client, 1400));
}

/* Behind two of them the link takes a tag's bytes less. */
static void story_tagged_twice(struct story *t)
{
	t->tag[0] = TAG_ONE;
	t->tag[1] = TAG_TWO;
	begin_flow(t);
	one_side(t, false, 1400, sent_as(t->client, t->backend, 1400));
	one_side(t, true, 1400, sent_as(t->backend, t->client, 1396));
}

static void story_untold(struct story *t)
{
	char buf[INET6_ADDRSTRLEN];
	struct spec s;

	begin_flow(t);
	set_mtu(t, true, 1300);
	s = of(from_backend(t, OLD, ACK, buf), 1500);
	t->w->verdict_cpu[t->w->cpu].answer_count = TOLD_A_SECOND;
	told(t, "as many were told in this second as may be", s, true, 0);
	t->w->verdict_cpu[t->w->cpu].answer_count = TOLD_A_SECOND - 1;
	told(t, "there is room for one more", s, true, sent_as(t->backend, t->client, 1300));
	t->w->verdict_cpu[t->w->cpu].answer_count = 0;
	if (t->backend == 4)
		return;
	set_mtu(t, true, 1200);
	told(t, "no IPv6 link takes less than 1280", s, true, 1280);
	told(t, "it may not send less", of(s, 1280), true, 0);
}

void test_nat_mtu(struct world *w, int forward, int client, int backend)
{
	tell(w, "packets that are too big", story_told, forward, client, backend, IPPROTO_TCP, false);
	tell(w, "packets that are too big, in VLANs", story_tagged, forward, client, backend, IPPROTO_TCP, false);
	tell(w, "packets that are too big, behind two tags", story_tagged_twice, forward, client, backend, IPPROTO_TCP,
	     false);
	tell(w, "packets that are too big, and nobody told", story_untold, forward, client, backend, IPPROTO_TCP,
	     false);
}
