/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Features that the configuration can express and the dataplane does not have yet. Whoever decodes a text asks, refuses
 * them by name and leaves them out of what it writes; everything behind that door knows them already.
 */
#ifndef LB_LATER_H
#define LB_LATER_H

#include <stdbool.h>

enum lb_feature {
	LB_FEATURE_BASE, /* what was always there */
	LB_FEATURE_GUE,
	LB_FEATURE_NAT,	    /* with timeouts and max_connections */
	LB_FEATURE_FULLNAT, /* with snat */
	LB_FEATURE_ROUND_ROBIN,
	LB_FEATURE_LEAST_CONN,
	LB_FEATURE_RANDOM,
	LB_FEATURE_AFFINITY,	     /* by source, for ever */
	LB_FEATURE_AFFINITY_TIMEOUT, /* until it has been silent for a time */
	LB_FEATURE_KEEP,	     /* on_down and on_disable: keep */
	LB_FEATURE_ACCESS,	     /* allow and deny */
	LB_FEATURE_SOURCE_RATE,
	LB_FEATURE_PING,
	LB_FEATURE_MSS_CLAMP,
	LB_FEATURE_QUIC, /* with server_id */
	LB_FEATURE_ANY_PORT,
	LB_FEATURE_VIP_PREFIX,
	LB_FEATURE_SCTP,
	LB_FEATURE_SCTP_NAT, /* sctp in nat and fullnat */
	LB_FEATURE_COUNT,
};

/* lb_is_later - is @f still to come? In a source file of its own, so that a test program can link another answer. */
bool lb_is_later(enum lb_feature f);

#endif
