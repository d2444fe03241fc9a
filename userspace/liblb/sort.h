/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sorting what is mostly in order already, as lists of thousands are that come from such lists. Called by whoever sorts
 * them. */
#ifndef LB_SORT_H
#define LB_SORT_H

#include <stddef.h>
#include <stdlib.h>

/* lb_sort - qsort(), but for the price of one look where nothing is to be done. */
static inline void lb_sort(void *base, size_t nr, size_t size, int (*compare)(const void *a, const void *b))
{
	const char *at = base;

	for (size_t i = 1; i < nr; i++) {
		if (compare(at + (i - 1) * size, at + i * size) > 0) {
			qsort(base, nr, size, compare);
			return;
		}
	}
}

#endif
