/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Edit distance with transpositions (optimal string alignment), blind to case and to '-' against '_'. */
#include <string.h>

#include "nearest.h"

#define WORD_MAX 64

static char fold(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (char)(c - 'A' + 'a');
	return c == '-' ? '_' : c;
}

static unsigned int min2(unsigned int a, unsigned int b)
{
	return a < b ? a : b;
}

static unsigned int distance(const char *a, size_t na, const char *b, size_t nb)
{
	unsigned int rows[3][WORD_MAX + 1];
	unsigned int *before = rows[0], *last = rows[1], *row = rows[2], *spare;

	for (size_t j = 0; j <= nb; j++)
		last[j] = (unsigned int)j;
	for (size_t i = 1; i <= na; i++) {
		row[0] = (unsigned int)i;
		for (size_t j = 1; j <= nb; j++) {
			unsigned int d = last[j - 1] + (fold(a[i - 1]) != fold(b[j - 1]));

			d = min2(d, min2(last[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && fold(a[i - 1]) == fold(b[j - 2]) && fold(a[i - 2]) == fold(b[j - 1]))
				d = min2(d, before[j - 2] + 1);
			row[j] = d;
		}
		spare = before;
		before = last;
		last = row;
		row = spare;
	}
	return last[nb];
}

const char *lb_nearest(const char *word, const char *const *candidates)
{
	size_t nw = strnlen(word, WORD_MAX + 1);
	const char *best = NULL;
	unsigned int best_d = 0;

	if (!nw || nw > WORD_MAX)
		return NULL;
	for (; *candidates; candidates++) {
		size_t nc = strnlen(*candidates, WORD_MAX + 1);
		unsigned int d, limit = (unsigned int)(nw > nc ? nw : nc) / 3;

		if (!nc || nc > WORD_MAX)
			continue;
		d = distance(word, nw, *candidates, nc);
		/* A beginning of three letters or more is an abbreviation: as near as one slip. */
		if (d > 1 && nw >= 3 && nc > nw && !strncmp(word, *candidates, nw))
			d = 1;
		if (d <= (limit ? limit : 1) && d < nw && (!best || d < best_d)) {
			best = *candidates;
			best_d = d;
		}
	}
	return best;
}
