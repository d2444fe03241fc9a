// SPDX-License-Identifier: GPL-2.0-or-later
/* The control plane's part that needs no kernel: how long a service's table takes to build. See control_lab.c for the
 * part with a real lbd. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "control.h"
#include "env.h"
#include "policy.h"

#define TABLE_ROUNDS 11

static const char *const lab_rows[] = {BENCH_START, BENCH_CHANGE, BENCH_ADOPT_1000,  BENCH_VERDICT,
				       BENCH_APPLY, BENCH_RELOAD, BENCH_ADOPT_10000, BENCH_CHECKS,
				       BENCH_FLAP,  BENCH_LOOP,	  BENCH_MEMORY};

/* Build the table of @nr backends of equal weight; 0, or -1 when it is not what was asked for. */
static int build_once(struct lb_candidate *candidates, size_t nr, double *ms, unsigned int *shift)
{
	static const uint64_t key[2] = {0x9f86d081884c7d65, 0x736c756963652074};
	uint16_t *table = NULL;
	double start = bench_now_s();
	size_t owned = 0;

	if (lb_policy_table(candidates, nr, key, shift, &table))
		return -1;
	*ms = (bench_now_s() - start) * 1e3;
	for (size_t i = 0; i < 1UL << *shift; i++)
		owned += table[i] >= 1 && table[i] <= nr;
	free(table);
	return owned == 1UL << *shift && owned >= 100 * nr ? 0 : -1;
}

static int table_build(size_t nr, json_t *rows)
{
	struct lb_backend_conf *conf = calloc(nr, sizeof(*conf));
	struct lb_candidate *candidates = calloc(nr, sizeof(*candidates));
	double ms[TABLE_ROUNDS];
	unsigned int shift = 0;
	char name[32];
	json_t *row;
	int ret = -1;

	snprintf(name, sizeof(name), "table-build-%zu", nr);
	if (!bench_wanted(name)) {
		ret = 0;
		goto out;
	}
	if (!conf || !candidates)
		goto out;
	for (size_t i = 0; i < nr; i++) {
		const uint8_t addr[16] = {[10] = 0xff, 0xff, 10, 1, (uint8_t)(i >> 8), (uint8_t)i};

		memcpy(conf[i].address.addr, addr, sizeof(addr));
		conf[i].weight = LB_WEIGHT_DEFAULT;
		candidates[i] =
			(struct lb_candidate){.conf = &conf[i], .idx = (uint16_t)(i + 1), .up = true, .chosen = true};
	}
	for (int i = 0; i < TABLE_ROUNDS; i++) {
		if (build_once(candidates, nr, &ms[i], &shift)) {
			fprintf(stderr, "bench: %s: the table is not whole\n", name);
			goto out;
		}
	}
	row = json_pack("{s:s s:I s:I}", "name", name, "backends", (json_int_t)nr, "slots", (json_int_t)1 << shift);
	bench_add_spread(row, "ms", ms, TABLE_ROUNDS);
	json_array_append_new(rows, row);
	ret = 0;
out:
	free(conf);
	free(candidates);
	return ret;
}

int bench_control(json_t *out)
{
	static const size_t sizes[] = {10, 100, 1000, 10000};
	int ret = 0;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		if (table_build(sizes[i], json_object_get(out, "cases")))
			ret = -1;
	for (size_t i = 0; i < sizeof(lab_rows) / sizeof(lab_rows[0]); i++)
		if (bench_wanted(lab_rows[i]))
			return bench_in_lab("control", out) ? -1 : ret;
	return ret;
}
