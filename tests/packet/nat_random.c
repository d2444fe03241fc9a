// SPDX-License-Identifier: GPL-2.0-or-later
/* Packets of translated connections and errors about them, made at random, half of them with a few flipped bits.
 * Whatever comes of one, it is counted once, the host gets it as it came, and who it is sent to finds checksums that
 * are as right or as wrong as they were. */
#include <stdio.h>
#include <string.h>

#include "nat_story.h"

#define SEED 0x5eed14ULL
#define PACKETS 1500

static uint64_t state;

static uint32_t below(uint32_t n)
{
	state ^= state << 13; /* xorshift (Marsaglia 2003) */
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)((state >> 32) % n);
}

static bool rarely(void)
{
	return !below(8);
}

static struct spec random_packet(const struct story *t, bool reply, char buf[INET6_ADDRSTRLEN])
{
	static const int errors4[] = {0x0301, 0x0303, 0x0304, 0x0b00, 0x0c00},
			 errors6[] = {0x0100, 0x0104, 0x0200, 0x0300, 0x0401};
	const int flags = t->proto == IPPROTO_TCP ? ACK : 0;
	struct spec s = reply ? from_backend(t, OLD, flags, buf) : from_client(t, flags);

	s.payload = (int)below(rarely() ? 1500 : 200);
	s.tos = (int)below(256);
	s.ttl = rarely() ? 1 : 2 + (int)below(254);
	s.pad = rarely() ? (int)below(40) : 0;
	s.no_sum = t->proto == IPPROTO_UDP && rarely();
	if (s.family == 4) {
		s.frag = below(2) ? 0x4000 : 0;
		s.options = rarely() ? 4 * (int)below(11) : 0;
	} else if (rarely()) {
		s.ext[0] = (struct ext){.type = IPPROTO_DSTOPTS, .len = (uint8_t)below(3), .word = 0x0104};
	}
	if (below(4))
		return s;
	s.error = s.family == 4 ? errors4[below(5)] : errors6[below(5)];
	s.quoted = 4 + (int)below(60);
	return s;
}

static unsigned int sum16(unsigned int sum, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		sum += (unsigned int)p[i] << (i & 1 ? 0 : 8);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum == 0xffff ? 0 : sum;
}

/* What the IP header and the transport header of a frame add up to with all that they cover: 0 where they are right. */
struct sums {
	bool whole; /* the packet is in the frame */
	bool known; /* the transport header has a checksum */
	unsigned int head, body;
	size_t behind; /* bytes of the frame */
	size_t l4;
};

static struct sums sums_of(const struct frame *f)
{
	const uint8_t *ip = f->data + 14, *l4;
	const bool v4 = f->data[12] == 0x08;
	struct sums s = {.l4 = v4 ? (ip[0] & 15) * 4u : 40};
	size_t len = v4 ? (size_t)ip[2] << 8 | ip[3] : 40 + ((size_t)ip[4] << 8 | ip[5]), bytes;
	unsigned int proto = v4 ? ip[9] : ip[6];

	for (; !v4 && (proto == IPPROTO_HOPOPTS || proto == IPPROTO_DSTOPTS || proto == IPPROTO_ROUTING) &&
	       14 + s.l4 + 8 <= f->len;
	     s.l4 += (l4[1] + 1u) * 8) {
		l4 = ip + s.l4;
		proto = l4[0];
	}
	if (14 + len > f->len || s.l4 + 8 > len)
		return s;
	s.whole = true;
	s.behind = f->len - 14 - len;
	s.head = v4 ? sum16(0, ip, (ip[0] & 15) * 4u) : 0;
	l4 = ip + s.l4;
	bytes = proto == IPPROTO_UDP ? (size_t)l4[4] << 8 | l4[5] : len - s.l4;
	s.known = (proto != IPPROTO_UDP || l4[6] | l4[7]) && proto != IPPROTO_FRAGMENT && s.l4 + bytes <= len &&
		  (!v4 || !((ip[6] & 0x3f) | ip[7]));
	if (s.known)
		s.body = sum16(proto == IPPROTO_ICMP ? 0 : proto + (unsigned int)bytes, l4, bytes);
	if (s.known && proto != IPPROTO_ICMP)
		s.body = sum16(s.body, ip + (v4 ? 12 : 8), v4 ? 8 : 32);
	return s;
}

static bool unsound(const struct story *t, const struct frame *in, const struct outcome *o)
{
	const struct sums was = sums_of(in), is = sums_of(&o->out);
	bool bad;

	bad = !was.whole || !is.whole || differs(t->w, "what is behind the packet", (long)is.behind, (long)was.behind);
	bad |= differs(t->w, "the IP header's sum", is.head, in->data[12] == o->out.data[12] ? was.head : 0);
	return bad || (was.known && is.known && differs(t->w, "the transport header's sum", is.body, was.body));
}

/* Plays one; which verdicts there were is counted. */
static void random_one(struct story *t, unsigned int nr[LB_V_COUNT])
{
	const bool reply = below(2), flip = below(2);
	char buf[INET6_ADDRSTRLEN];
	struct outcome o;
	struct frame f;
	struct spec s = random_packet(t, reply, buf);
	bool bad;

	frame_make(&s, &f);
	for (uint32_t n = flip ? 1 + below(3) : 0; n; n--)
		f.data[14 + below((uint32_t)f.len - 14)] ^= (uint8_t)(1 << below(8));
	bad = !play(t->w, &f, false, &o) || !o.played || o.verdict < 0;
	bad = bad || differs(t->w, "the action", o.action, usual_action(o.verdict));
	if (!bad && o.action == XDP_PASS)
		bad = frames_differ(t->w, &o.out, &f);
	else if (!bad && o.action == XDP_TX && o.verdict != LB_V_ANSWERED_TOO_BIG)
		bad = unsound(t, &f, &o);
	check(t, "a packet was made at random", bad);
	if (bad)
		return;
	nr[o.verdict]++;
	if (o.verdict == LB_V_FORWARDED && !flip) {
		const uint8_t *l4 = o.out.data + 14 + sums_of(&o.out).l4;

		t->snat_port = l4[0] << 8 | l4[1]; /* it may have begun anew, by a flag that was flipped */
	}
}

static void story_random(struct story *t)
{
	unsigned int nr[LB_V_COUNT] = {0};
	char buf[INET6_ADDRSTRLEN];

	state = SEED + (uint64_t)t->client * 1000 + (uint64_t)t->backend * 100 + (uint64_t)t->proto;
	client_sends(t, "it begins", from_client(t, SYN), LB_V_FORWARDED, OLD);
	backend_sends(t, "it is answered", from_backend(t, OLD, SYNACK, buf), LB_V_REPLIED);
	for (int i = 0; i < PACKETS && !t->failed; i++)
		random_one(t, nr);
	check(t, "there was something of each kind",
	      !nr[LB_V_FORWARDED] || !nr[LB_V_REPLIED] || !nr[LB_V_FORWARDED_ICMP] || !nr[LB_V_REPLIED_ICMP] ||
		      !nr[LB_V_DROP_TTL_EXCEEDED] || !nr[LB_V_DROP_MALFORMED]);
	printf("# %d packets: %u forwarded, %u replied, errors %u and %u\n", PACKETS, nr[LB_V_FORWARDED],
	       nr[LB_V_REPLIED], nr[LB_V_FORWARDED_ICMP], nr[LB_V_REPLIED_ICMP]);
}

void test_nat_random(struct world *w, int forward, int client, int backend)
{
	tell(w, "random packets of TCP", story_random, forward, client, backend, IPPROTO_TCP, false);
	tell(w, "random packets of UDP", story_random, forward, client, backend, IPPROTO_UDP, false);
}
