// SPDX-License-Identifier: GPL-2.0-or-later
/* Rise, fall and reasons: one backend's health from its probes' results. */
#include "health.h"

#define FIRST_SPREAD_MAX_NS 1000000000ULL
#define FIRST_SPREAD_STEP_NS 2000000ULL /* for each new backend: 50 of them start within 100 ms */

static const char *const reason_names[] = {
#define X(id, name, help) [LB_REASON_##id] = name,
	LB_REASONS(X)
#undef X
};

const char *lb_reason_name(enum lb_reason r)
{
	return (unsigned int)r < LB_REASON_COUNT ? reason_names[r] : "unknown";
}

static uint32_t count_up(uint32_t n)
{
	return n == UINT32_MAX ? n : n + 1;
}

bool lb_health_result(struct lb_health_state *h, enum lb_reason r, uint32_t rise, uint32_t fall, uint64_t now_ns)
{
	enum lb_health next = h->health;
	bool ok = r == LB_REASON_OK;

	h->ok = ok ? count_up(h->ok) : 0;
	h->failed = ok ? 0 : count_up(h->failed);
	h->reason = r;
	if (h->health == LB_HEALTH_UP) {
		if (h->failed && h->failed >= fall)
			next = LB_HEALTH_DOWN;
	} else if (h->health == LB_HEALTH_DOWN) {
		if (h->ok && h->ok >= rise)
			next = LB_HEALTH_UP;
	} else {
		next = ok ? LB_HEALTH_UP : LB_HEALTH_DOWN;
	}
	if (next == h->health)
		return false;
	h->health = next;
	h->since_ns = now_ns;
	return true;
}

bool lb_health_changing(const struct lb_health_state *h)
{
	if (h->health == LB_HEALTH_UP)
		return h->failed;
	return h->health == LB_HEALTH_UNKNOWN || (h->health == LB_HEALTH_DOWN && h->ok);
}

static uint64_t part(uint64_t span_ns, uint32_t random)
{
	return (uint64_t)(((unsigned __int128)span_ns * random) >> 32);
}

uint64_t lb_health_delay(uint64_t interval_ns, uint32_t random)
{
	uint64_t span_ns = interval_ns / 5;

	return interval_ns - interval_ns / 10 + part(span_ns, random);
}

uint64_t lb_health_first_delay(size_t i, size_t nr, uint64_t interval_ns, uint32_t random)
{
	uint64_t window_ns = nr * FIRST_SPREAD_STEP_NS, share_ns;

	if (window_ns > FIRST_SPREAD_MAX_NS)
		window_ns = FIRST_SPREAD_MAX_NS;
	if (window_ns > interval_ns)
		window_ns = interval_ns;
	share_ns = window_ns / (nr ? nr : 1);
	return i * share_ns + part(share_ns, random);
}
