// SPDX-License-Identifier: GPL-2.0-or-later
/* Rise, fall and reasons: one backend's health from its probes' results. */
#include "health.h"

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

uint64_t lb_health_delay(uint64_t interval_ns, uint32_t random)
{
	uint64_t span_ns = interval_ns / 5;

	return interval_ns - interval_ns / 10 + (uint64_t)(((unsigned __int128)span_ns * random) >> 32);
}
