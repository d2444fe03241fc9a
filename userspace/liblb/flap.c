// SPDX-License-Identifier: GPL-2.0-or-later
/* Flap damping: how often in how long, and how long then. */
#include "flap.h"

/* How often it went down in the window that ends now. */
static uint32_t count(const struct lb_flap_state *f, uint64_t window_ns, uint64_t now_ns)
{
	uint32_t nr = 0;

	for (uint32_t i = 0; i < f->nr && i < LB_FLAPS_MAX; i++)
		nr += now_ns - f->down_ns[i] < window_ns;
	return nr;
}

/* Has it been neither down nor held for a window? */
static bool is_steady(const struct lb_flap_state *f, uint64_t window_ns, uint64_t now_ns)
{
	uint64_t last_ns = f->nr ? f->down_ns[(f->nr - 1) % LB_FLAPS_MAX] : 0;

	if (last_ns < f->held_until_ns)
		last_ns = f->held_until_ns;
	return now_ns >= last_ns && now_ns - last_ns >= window_ns;
}

/* The ring's index goes on where the number wraps, for its size divides 2^32. */
_Static_assert(!(LB_FLAPS_MAX & (LB_FLAPS_MAX - 1)), "a power of two");

uint64_t lb_flap_down(struct lb_flap_state *f, const struct lb_check_conf *check, uint64_t now_ns)
{
	uint64_t hold_ns = check->flap_hold_ns;

	if (!check->flaps)
		return 0;
	if (is_steady(f, check->flap_window_ns, now_ns))
		f->level = 0;
	f->down_ns[f->nr++ % LB_FLAPS_MAX] = now_ns;
	/* Once it was held, one time is enough. */
	if (!f->level && count(f, check->flap_window_ns, now_ns) < check->flaps)
		return 0;
	for (uint32_t i = 0; i < f->level && hold_ns < check->flap_hold_max_ns; i++)
		hold_ns *= 2;
	if (hold_ns > check->flap_hold_max_ns)
		hold_ns = check->flap_hold_max_ns;
	f->level += f->level < UINT32_MAX;
	f->held_until_ns = now_ns + hold_ns;
	return hold_ns;
}

uint64_t lb_flap_held(const struct lb_flap_state *f, const struct lb_check_conf *check, uint64_t now_ns)
{
	return check->flaps && now_ns < f->held_until_ns ? f->held_until_ns - now_ns : 0;
}
