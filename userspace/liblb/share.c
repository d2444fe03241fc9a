/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A backend's own word on its weight: what it says, and when that counts. */
#include <errno.h>
#include <string.h>

#include "share.h"

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* A number in [@p, @end), rounded to the nearest whole one; *@p becomes what is behind it. False: there is none. */
static bool number(const char **p, const char *end, uint32_t *out)
{
	const char *at = *p;
	uint32_t n = 0;
	bool up = false;

	if (at == end || !is_digit(*at))
		return false;
	for (; at < end && is_digit(*at); at++)
		n = n > LB_SHARE_ALL ? n : n * 10 + (uint32_t)(*at - '0');
	if (end - at > 1 && *at == '.' && is_digit(at[1])) {
		up = at[1] >= '5';
		for (at++; at < end && is_digit(*at);)
			at++;
	}
	n += up;
	*out = n > LB_SHARE_ALL ? LB_SHARE_ALL : n;
	*p = at;
	return true;
}

int lb_share_parse(const char *text, uint32_t *percent)
{
	const char *end = text + strlen(text), *p = text + strspn(text, " \t");
	uint32_t n;

	if (!number(&p, end, &n))
		return -EINVAL;
	p += strspn(p, " \t");
	/* "75" and "75%", and what comes after a separator; "75ms" is something else. */
	if (*p && !strchr("%,;", *p) && p[-1] != ' ' && p[-1] != '\t')
		return -EINVAL;
	*percent = n;
	return 0;
}

static bool is_between(char c)
{
	return c == ' ' || c == '\t' || c == ',' || c == '\r';
}

int lb_share_find(const uint8_t *body, size_t len, uint32_t *percent)
{
	const char *p = (const char *)body, *end = p + len, *word;
	uint32_t n;

	for (; p < end && *p != '\n'; p++) {
		if (is_between(*p))
			continue;
		word = p;
		while (p < end && *p != '\n' && !is_between(*p))
			p++;
		if (number(&word, p, &n) && p - word == 1 && *word == '%') {
			*percent = n;
			return 0;
		}
		if (p == end || *p == '\n')
			break;
	}
	return -EINVAL;
}

static uint32_t counts(const struct lb_share_state *s)
{
	return s->percent ? s->percent : LB_SHARE_ALL;
}

uint32_t lb_share_read(struct lb_share_state *s, const struct lb_check_conf *check, uint32_t percent)
{
	uint32_t now = counts(s), apart;

	s->unread = 0;
	if (check->weight_means == LB_WEIGHT_LOAD)
		percent = LB_SHARE_ALL - percent;
	if (percent < check->weight_floor)
		percent = check->weight_floor;
	apart = percent > now ? percent - now : now - percent;
	/* The ends are told exactly: a backend that is well again gets all that it had. */
	if (apart >= check->weight_step || percent == LB_SHARE_ALL || percent == check->weight_floor)
		now = percent;
	s->percent = now;
	return now;
}

uint32_t lb_share_unread(struct lb_share_state *s, const struct lb_check_conf *check)
{
	s->unread += s->unread < UINT32_MAX;
	s->unread_total++;
	if (s->unread >= check->fall)
		s->percent = LB_SHARE_ALL;
	return counts(s);
}
