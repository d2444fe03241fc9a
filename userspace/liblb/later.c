/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is still to come. Removing a line makes the feature available. */
#include <stddef.h>

#include "later.h"

static const enum lb_feature later[] = {
	/* clang-format off */
	LB_FEATURE_NAT,
	LB_FEATURE_FULLNAT,
	LB_FEATURE_ROUND_ROBIN,
	LB_FEATURE_LEAST_CONN,
	LB_FEATURE_RANDOM,
	LB_FEATURE_AFFINITY,
	LB_FEATURE_AFFINITY_TIMEOUT,
	LB_FEATURE_ACCESS,
	LB_FEATURE_SOURCE_RATE,
	LB_FEATURE_QUIC,
	LB_FEATURE_ANY_PORT,
	LB_FEATURE_VIP_PREFIX,
	LB_FEATURE_SCTP,
	LB_FEATURE_SCTP_NAT,
	/* clang-format on */
};

bool lb_is_later(enum lb_feature f)
{
	for (size_t i = 0; i < sizeof(later) / sizeof(later[0]); i++)
		if (later[i] == f)
			return true;
	return false;
}
