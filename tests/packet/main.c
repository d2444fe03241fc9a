// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * packet [--native | --kernel] - plays the tables of rows_*.c, then packets cut at every length and packets with flipped
 * bits. Without an option both worlds are played, and have to agree. TAP on stdout; ends non-zero when something
 * failed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "packet.h"
#include "lb/dp/flow.h"

#define MUTATIONS 20000
#define KERNEL_STRIDE 8 /* some kernels wait for a grace period in each BPF_PROG_TEST_RUN */
#define ATTEMPTS 5

static struct world worlds[2];
static unsigned int nr_worlds, nr_tests, nr_failed;

/* The verdicts' names, whose prefix says what becomes of the packet: read off the words, not the code. */
static const char *const verdict_name[] = {
#define X(id, name, action, help) name,
	LB_VERDICTS(X)
#undef X
};

void report(bool good, const char *fmt, ...)
{
	va_list args;

	nr_tests++;
	nr_failed += !good;
	printf("%sok %u - ", good ? "" : "not ", nr_tests);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\n");
}

bool differs(const struct world *w, const char *what, long got, long want)
{
	if (got == want)
		return false;
	printf("# %s: %s is %ld, should be %ld\n", w->name, what, got, want);
	return true;
}

bool frames_differ(const struct world *w, const struct frame *got, const struct frame *want)
{
	size_t i = 0;

	if (differs(w, "the frame's length", (long)got->len, (long)want->len))
		return true;
	while (i < got->len && got->data[i] == want->data[i])
		i++;
	if (i == got->len)
		return false;
	printf("# %s: byte %zu of the frame is %02x, should be %02x\n", w->name, i, got->data[i], want->data[i]);
	return true;
}

int usual_action(int verdict)
{
	if (verdict < 0)
		return -1;
	if (!strncmp(verdict_name[verdict], "pass_", 5))
		return XDP_PASS;
	return strncmp(verdict_name[verdict], "drop_", 5) ? XDP_TX : XDP_DROP;
}

/* The one verdict that was counted since the counters were cleared: forwarded is what a backend counted. */
static int counted_verdict(const struct world *w)
{
	uint64_t n[LB_VERDICTS_MAX];
	int found = -1;

	memcpy(n, w->verdict_cpu[w->cpu].pkts, sizeof(n));
	for (int b = 0; b < 8; b++)
		n[LB_V_FORWARDED] += w->backend_cpu[w->cpu * LB_MAX_BACKENDS + (unsigned int)b].pkts;
	for (int i = 0; i < LB_VERDICTS_MAX; i++) {
		if (n[i] > 1 || (n[i] && found >= 0) || (n[i] && i >= LB_V_COUNT))
			return -1;
		if (n[i])
			found = i;
	}
	return found;
}

bool play(struct world *w, const struct frame *in, bool no_headroom, struct outcome *o)
{
	int rc;

	world_clear_counters(w);
	rc = w->run(w, in, no_headroom, &o->out, &o->action);
	o->played = !rc;
	if (rc == -ENOTSUP)
		return true;
	if (rc) {
		printf("# %s: the packet could not be run: %s\n", w->name, strerror(-rc));
		return false;
	}
	o->verdict = counted_verdict(w);
	return true;
}

static bool disagree(const struct outcome *o)
{
	const struct outcome *a = &o[0], *b = &o[1];

	if (nr_worlds < 2 || !a->played || !b->played)
		return false;
	/* A dropped one may be half written, over whatever was there before. */
	if (a->verdict == b->verdict && a->action == b->action && a->out.len == b->out.len &&
	    (a->action == XDP_DROP || !memcmp(a->out.data, b->out.data, a->out.len)))
		return false;
	printf("# %s and %s disagree: verdict %d and %d, action %d and %d, %zu and %zu bytes\n", worlds[0].name,
	       worlds[1].name, a->verdict, b->verdict, a->action, b->action, a->out.len, b->out.len);
	return true;
}

/* The entry of @hash, as far as rows speak of it. */
static struct entry entry_of(const struct world *w, uint64_t hash, uint8_t age)
{
	for (int i = 0; i < LB_FLOW_WAYS; i++) {
		uint64_t e = w->flows[lb_flow_set_idx(hash)].entry[i];

		if (e && LB_FLOW_TAG(e) == lb_flow_tag(hash))
			return (struct entry){.backend = (int)LB_FLOW_BACKEND(e),
					      .gen = LB_FLOW_GEN(e) - w->backends[LB_FLOW_BACKEND(e)].gen,
					      .idle = (uint8_t)(age - LB_FLOW_AGE(e)),
					      .proven = LB_FLOW_PROVEN(e),
					      .closed = e & LB_FLOW_CLOSED};
	}
	return (struct entry){0};
}

static bool counters_wrong(const struct world *w, const struct row *r, size_t len)
{
	const struct lb_service_cpu *svc = &w->service_cpu[w->cpu * LB_MAX_SERVICES + SERVICE];
	bool forwarded = r->verdict == LB_V_FORWARDED, bad = false;
	bool dropped = usual_action((int)r->verdict) == XDP_DROP || r->verdict == LB_V_FORWARDED_ICMP ||
		       r->verdict == LB_V_ANSWERED_TOO_BIG; /* or sent, but by no backend's counters */
	int winner = forwarded ? or_default(r->backend, OLD) : 0;

	for (int b = 0; b < 8; b++) {
		const struct lb_backend_cpu *row = &w->backend_cpu[w->cpu * LB_MAX_BACKENDS + (unsigned int)b];
		bool won = forwarded && b == winner;

		bad |= differs(w, "a backend's packets", (long)row->pkts, won);
		bad |= differs(w, "a backend's bytes", (long)row->bytes, won ? (long)len : 0);
		bad |= differs(w, "a backend's connections", (long)row->conns, won ? r->conns : 0);
		bad |= differs(w, "a backend's closes", (long)row->closes, won ? r->closes : 0);
	}
	bad |= differs(w, "the service's packets", (long)svc->total.pkts, dropped);
	bad |= differs(w, "the service's bytes", (long)svc->total.bytes, dropped ? (long)len : 0);
	bad |= differs(w, "the service's connections", (long)svc->total.conns, 0);
	bad |= differs(w, "flow hits", (long)w->hits->at[w->cpu % LB_HITS].nr, r->hits);
	bad |= differs(w, "flow misses", (long)svc->flow_misses, r->misses);
	bad |= differs(w, "refused entries", (long)svc->learn_refused, r->refused);
	return bad;
}

/* Bytes of IP packet that should be counted: what it says, as far as the frame has it. */
static size_t counted_len(const struct spec *s, const struct frame *in)
{
	const size_t tags = 4 * ((size_t)!!s->tag[0] + !!s->tag[1]);
	const uint8_t *field = &in->data[tags + (s->family == 6 ? 18 : 16)];
	size_t said = (s->family == 6 ? 40u : 0u) + (field[0] << 8 | field[1]);

	return said < in->len - 14 - tags ? said : in->len - 14 - tags;
}

static bool choice_wrong(const struct world *w, const struct row *r, uint8_t age)
{
	struct entry e = entry_of(w, client_hash(&r->setup, &r->in), age);
	bool bad = false;

	bad |= differs(w, "the client's backend", e.backend, r->client.backend);
	bad |= differs(w, "the client's generation", e.gen, r->client.gen);
	bad |= differs(w, "the client's idle time", e.idle, r->client.idle);
	bad |= differs(w, "the client's proof", e.proven, r->client.proven);
	bad |= differs(w, "the client's mark", e.closed, r->client.backend != 0);
	bad |= differs(w, "open connections of the old one", w->live[OLD] - r->setup.live_old, r->live_old);
	bad |= differs(w, "open connections of the new one", w->live[NEW] - r->setup.live_new, r->live_new);
	return bad;
}

static bool row_fails(const struct world *w, const struct row *r, const struct frame *in, const struct outcome *o,
		      uint8_t age)
{
	int action = r->action ? r->action : usual_action((int)r->verdict);
	struct entry e = entry_of(w, steer_hash(&r->setup, &r->in), age);
	bool bad = false;
	struct frame want;

	bad |= differs(w, "the verdict", o->verdict, r->verdict);
	bad |= differs(w, "the action", o->action, action);
	if (bad)
		return true;
	if (r->verdict == LB_V_ANSWERED_ECHO) {
		frame_expect_echo(&r->in, &want);
		frame_tag(&want, r->in.tag, 2);
		bad |= frames_differ(w, &o->out, &want);
	} else if (r->verdict == LB_V_ANSWERED_TOO_BIG) {
		frame_expect_too_big(&r->in, r->mtu, &want);
		frame_tag(&want, r->in.tag, 2);
		bad |= frames_differ(w, &o->out, &want);
	} else if (r->verdict == LB_V_FORWARDED || r->verdict == LB_V_FORWARDED_ICMP) {
		frame_expect(&r->setup, &r->in, or_default(r->backend, OLD), &want);
		if (r->setup.oif == VLAN_TWO)
			frame_tag(&want, (const uint32_t[]){TAG_TWO, TAG_ONE}, 2);
		else if (r->setup.oif > CLOSED)
			frame_tag(&want, (const uint32_t[]){TAG_ONE}, 1);
		bad |= frames_differ(w, &o->out, &want);
	} else if (action == XDP_PASS) {
		bad |= frames_differ(w, &o->out, in);
	}
	bad |= differs(w, "the entry's backend", e.backend, r->after.backend);
	bad |= differs(w, "the entry's generation", e.gen, r->after.gen);
	bad |= differs(w, "the entry's idle time", e.idle, r->after.idle);
	bad |= differs(w, "the entry's proof", e.proven, r->after.proven);
	bad |= differs(w, "the entry's end", e.closed, r->after.closed);
	bad |= choice_wrong(w, r, age);
	bad |= counters_wrong(w, r, counted_len(&r->in, in));
	return bad;
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

/* Plays a row in one world; false: it failed. A row that time overtook, a tick of the entries' age or half a second of
 * the flood guard's, is played again. */
static bool play_row(struct world *w, const struct row *r, struct outcome *o)
{
	struct frame in, before;
	uint64_t start_ns;

	frame_make(&r->in, &in);
	frame_make(&r->before, &before);
	for (int i = 0; i < ATTEMPTS; i++) {
		world_reset(w);
		start_ns = now_ns();
		world_setup(w, &r->setup, &r->in);
		if (r->before.family && !play(w, &before, false, o))
			return false;
		if (!play(w, &in, r->setup.no_headroom, o))
			return false;
		if (lb_flow_age(now_ns()) == lb_flow_age(start_ns) && now_ns() - start_ns < 500000000)
			return !o->played || !row_fails(w, r, &in, o, lb_flow_age(start_ns));
	}
	printf("# %s: too slow to be tested\n", w->name);
	return false;
}

static void test_row(const struct row *r)
{
	static struct outcome o[2];
	unsigned int nr_played = 0;
	bool good = true;

	for (unsigned int k = 0; k < nr_worlds; k++) {
		good &= play_row(&worlds[k], r, &o[k]);
		nr_played += o[k].played;
	}
	good &= !disagree(o);
	report(good, "%s%s", r->what, nr_played ? "" : " # SKIP this kernel cannot be given the packet");
}

static void test_rows(void)
{
	static const struct row_list *const lists[] = {&rows_forward, &rows_state, &rows_icmp, &rows_sctp, &rows_wrong};

	for (size_t l = 0; l < sizeof(lists) / sizeof(lists[0]); l++)
		for (size_t i = 0; i < lists[l]->nr; i++)
			test_row(&lists[l]->rows[i]);
}

/* Every beginning of a packet: passed as it is while a header is missing, refused while something else is. */
static bool prefixes_fail(const struct spec *s, bool ours)
{
	static struct frame whole, part;
	static struct outcome o[2];
	struct setup setup = {0};
	bool bad = false;

	frame_make(s, &whole);
	for (unsigned int k = 0; k < nr_worlds; k++) {
		world_reset(&worlds[k]);
		world_setup(&worlds[k], &setup, s);
	}
	for (part = whole, part.len = 0; part.len <= whole.len && !bad; part.len++) {
		int want = part.len < frame_hdr_len(s)	     ? LB_V_PASS_TRUNCATED
			   : !ours			     ? LB_V_PASS_NO_SERVICE
			   : part.len < 14 + frame_ip_len(s) ? LB_V_DROP_MALFORMED
							     : LB_V_FORWARDED;

		for (unsigned int k = 0; k < nr_worlds; k++) {
			if (!play(&worlds[k], &part, false, &o[k]))
				return true;
			if (!o[k].played)
				continue;
			bad |= differs(&worlds[k], "the verdict", o[k].verdict, want);
			bad |= differs(&worlds[k], "the action", o[k].action, usual_action(want));
			bad |= o[k].action == XDP_PASS && frames_differ(&worlds[k], &o[k].out, &part);
		}
		bad |= disagree(o);
		if (bad)
			printf("# at %zu of %zu bytes\n", part.len, whole.len);
	}
	return bad;
}

static const struct spec whole_packets[] = {
	{.payload = 30},
	{.proto = IPPROTO_UDP, .payload = 30},
	{.options = 40, .payload = 30},
	{.options = 4, .proto = IPPROTO_UDP, .payload = 30},
	{.payload = 1, .pad = 5},
	{.family = 6, .payload = 30},
	{.family = 6, .proto = IPPROTO_UDP, .payload = 30},
	{.family = 6, .payload = 30, .ext = {{.type = IPPROTO_HOPOPTS, .word = 0x0104}}},
	{.family = 6, .payload = 30, .ext = {{.type = IPPROTO_FRAGMENT}, {.type = IPPROTO_AH, .len = 4}}},
	{.proto = IPPROTO_SCTP, .payload = 30},
	{.family = 6, .proto = IPPROTO_SCTP, .payload = 30, .ext = {{.type = IPPROTO_HOPOPTS, .word = 0x0104}}},
	{.family = 6,
	 .proto = IPPROTO_UDP,
	 .payload = 30,
	 .ext = {{.type = IPPROTO_HOPOPTS, .word = 0x0104},
		 {.type = IPPROTO_ROUTING, .len = 2, .word = 0x0400},
		 {.type = IPPROTO_DSTOPTS, .len = 3}}},
};
#define NR_WHOLE (sizeof(whole_packets) / sizeof(whole_packets[0]))

static void test_prefixes(void)
{
	for (size_t i = 0; i < NR_WHOLE; i++) {
		struct spec s = whole_packets[i];

		report(!prefixes_fail(&s, true), "every beginning of packet %zu to a service", i);
		s.dport = 9;
		report(!prefixes_fail(&s, false), "every beginning of packet %zu to the host", i);
	}
}

static uint64_t random_state = 88172645463325252ULL;

static uint64_t random64(void) /* xorshift (Marsaglia 2003): the same packets in each run */
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

/* What holds for any packet whatsoever. */
static bool mutant_fails(const struct world *w, const struct frame *in, const struct outcome *o, size_t grows)
{
	bool bad = o->verdict < 0 || differs(w, "the action", o->action, usual_action(o->verdict));

	if (o->action == XDP_PASS)
		bad |= frames_differ(w, &o->out, in);
	if (o->verdict == LB_V_FORWARDED || o->verdict == LB_V_FORWARDED_ICMP)
		bad |= differs(w, "the length", (long)o->out.len, (long)(in->len + grows));
	return bad;
}

static size_t tags_len(const struct frame *f)
{
	size_t n = 0;

	for (const uint8_t *p = f->data + 12; (p[0] << 8 | p[1]) == 0x8100 || (p[0] << 8 | p[1]) == 0x88a8; p += 4)
		n += 4;
	return n;
}

/* @tagged: frames have one or two VLAN tags. */
static void test_mutants(int forward, int outer, bool tagged)
{
	/* the cache is asked and learns nothing: the worlds stay alike though one plays fewer packets */
	const struct setup setup = {.forward = forward, .outer = outer, .word = LB_SLOT(LB_PHASE_SETTLING, 0, NEW)};
	const size_t grows =
		forward == LB_FORWARD_L2 ? 0 : (outer == 4 ? 20 : 40) + (forward == LB_FORWARD_GUE ? 12u : 0u);
	static const char *const names[] = {
		[LB_FORWARD_L2] = "l2", [LB_FORWARD_IPIP] = "ipip", [LB_FORWARD_GUE] = "gue"};
	/* where the kernel is alone, no packets are made that it does not play */
	const int step = nr_worlds == 1 && worlds[0].slow ? KERNEL_STRIDE : 1;
	unsigned long forwarded = 0, passed = 0, dropped = 0;
	static struct outcome o[2];
	static struct frame in;
	bool bad = false;

	for (unsigned int k = 0; k < nr_worlds; k++) {
		world_reset(&worlds[k]);
		world_setup(&worlds[k], &setup, &whole_packets[0]);
	}
	for (int i = 0; i < MUTATIONS && !bad; i += step) {
		frame_make(&whole_packets[random64() % NR_WHOLE], &in);
		if (tagged)
			frame_tag(&in, (const uint32_t[]){TAG_TWO, TAG_ONE}, 1 + random64() % 2);
		for (uint64_t n = 1 + random64() % 3; n; n--)
			in.data[12 + random64() % (in.len - 12)] ^= (uint8_t)(1 << random64() % 8);
		if (!(random64() % 4))
			in.len -= random64() % (in.len - 14);
		for (unsigned int k = 0; k < nr_worlds; k++) {
			o[k].played = false;
			if (!(i % KERNEL_STRIDE)) /* nor do they remember the same fragments */
				memset(worlds[k].frags, 0, LB_FRAGMENT_SETS * sizeof(*worlds[k].frags));
			if (worlds[k].slow && i % KERNEL_STRIDE)
				continue;
			bad |= !play(&worlds[k], &in, false, &o[k]);
			bad |= mutant_fails(&worlds[k], &in, &o[k], grows - tags_len(&in));
		}
		bad |= disagree(o);
		if (!o[0].played)
			continue;
		forwarded += o[0].action == XDP_TX;
		passed += o[0].action == XDP_PASS;
		dropped += o[0].action == XDP_DROP;
	}
	printf("# %lu forwarded, %lu passed, %lu dropped\n", forwarded, passed, dropped);
	report(!bad && forwarded && passed && dropped, "%d %spackets with flipped bits, %s %d", MUTATIONS / step,
	       tagged ? "tagged " : "", names[forward], outer);
}

static int add_vlan(struct world *w, uint32_t ifindex, uint32_t lower, uint32_t flags, uint32_t outer, uint32_t inner)
{
	const struct lb_vlan vlan = {.oif = lower, .flags = flags, .tag = {htonl(outer), htonl(inner)}};

	return w->vlan_add(w, ifindex, &vlan);
}

static int add_ports(struct world *w)
{
	int rc = w->port_add(w, OTHER) ?: w->port_add(w, INGRESS);

	rc = rc ?: add_vlan(w, VLAN_ONE, INGRESS, 0, TAG_ONE, 0);
	rc = rc ?: add_vlan(w, VLAN_TWO, INGRESS, 0, TAG_TWO, TAG_ONE);
	rc = rc ?: add_vlan(w, VLAN_OTHER, OTHER, 0, TAG_ONE, 0);
	rc = rc ?: add_vlan(w, VLAN_CLOSED, CLOSED, 0, TAG_ONE, 0);
	rc = rc ?: add_vlan(w, VLAN_VETH, INGRESS, LB_VLAN_F_REDIRECT, TAG_ONE, 0);

	if (rc)
		fprintf(stderr, "%s: the ports could not be added: %s\n", w->name, strerror(-rc));
	return rc;
}

/* Kernels take a million instructions, which old ones count otherwise than new ones. Far below that a program of every
 * feature leaves room for more, and loads fast. */
#define VERIFIED_MAX 200000

static void test_verified(void)
{
	const unsigned int insns = world_kernel_verified();

	report(insns <= VERIFIED_MAX, "the verifier looks at %u instructions of the program with every feature, of %u",
	       insns, VERIFIED_MAX);
}

int main(int argc, char **argv)
{
	bool native = argc < 2 || !strcmp(argv[1], "--native"), kernel = argc < 2 || !strcmp(argv[1], "--kernel");

	if (argc > 2 || (!native && !kernel)) {
		fprintf(stderr, "usage: packet [--native | --kernel]\n");
		return 2;
	}
	if ((native && world_native_open(&worlds[nr_worlds++])) ||
	    (kernel && world_kernel_open(&worlds[nr_worlds++]))) {
		printf("Bail out! a world could not be made\n");
		return 1;
	}
	for (unsigned int k = 0; k < nr_worlds; k++)
		if (add_ports(&worlds[k]))
			return 1;

	if (kernel)
		test_verified();
	test_rows();
	test_prefixes();
	for (unsigned int k = 0; k < nr_worlds; k++)
		test_nat(&worlds[k]);
	test_mutants(LB_FORWARD_IPIP, 4, false);
	test_mutants(LB_FORWARD_IPIP, 6, false);
	test_mutants(LB_FORWARD_L2, 4, false);
	test_mutants(LB_FORWARD_GUE, 4, false);
	test_mutants(LB_FORWARD_GUE, 6, false);
	test_mutants(LB_FORWARD_L2, 4, true);
	test_mutants(LB_FORWARD_IPIP, 6, true);

	printf("1..%u\n# %u of %u passed\n", nr_tests, nr_tests - nr_failed, nr_tests);
	if (native)
		world_native_close();
	if (kernel)
		world_kernel_close();
	return nr_failed ? 1 : 0;
}
