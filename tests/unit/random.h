/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Numbers that look random and are the same in each run, for unit tests. Included once by a test program. */
#ifndef TEST_RANDOM_H
#define TEST_RANDOM_H

#include <stdint.h>

static uint64_t random_state;

static uint64_t random64(void) /* xorshift (Marsaglia 2003): the same numbers in each run */
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static inline unsigned int below(unsigned int n)
{
	return (unsigned int)(random64() >> 33) % n;
}

/* A test's setup: from the beginning. */
static int seed(void **state)
{
	random_state = 88172645463325252ULL;
	return 0;
}

#endif
