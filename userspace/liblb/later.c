/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is still to come. Removing a line makes the feature available. */
#include <stddef.h>

#include "later.h"

static const enum lb_feature later[] = {
	/* clang-format off */
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
