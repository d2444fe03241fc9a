/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Numbers that look random and are the same in each run, for unit tests. Included once by a test program. */
#ifndef TEST_RANDOM_H
#define TEST_RANDOM_H

#include <stddef.h>
#include <stdint.h>

#define RANDOM_SEED 88172645463325252ULL

static uint64_t random_state = RANDOM_SEED;

static inline uint64_t random64(void) /* xorshift (Marsaglia 2003): the same numbers in each run */
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

static inline void random_bytes(uint8_t *to, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		to[i] = (uint8_t)random64();
}

/* A test's setup: from the beginning. */
static inline int seed(void **state)
{
	random_state = RANDOM_SEED;
	return 0;
}

#endif
