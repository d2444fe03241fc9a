/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What would become of a packet, and why: the program that is loaded, once more, runs it on the maps that packets read
 * and on copies of those that they write, so that neither live flows nor counters nor limits notice. Called by lbd in a
 * process of its own, which loading may hold up for some tenths of a second.
 */
#ifndef LB_TRACE_H
#define LB_TRACE_H

#include "dataplane.h"

#define LB_TRACE_FRAME_MIN 14
#define LB_TRACE_FRAME_MAX 3500 /* the kernel runs what fits into a page, with room around it */

enum lb_trace_via {
	LB_TRACE_BY_NOTHING,
	LB_TRACE_BY_TABLE,  /* the slot's owner, or what the policy chose */
	LB_TRACE_BY_FLOW,   /* the flow cache remembers the flow */
	LB_TRACE_BY_CID,    /* its QUIC connection ID names the backend */
	LB_TRACE_BY_SOURCE, /* its client's slot, or what is remembered of its client */
	LB_TRACE_BY_CONN,   /* its connection is translated, and known */
};

enum lb_trace_entry {
	LB_TRACE_NOT_ASKED, /* the flow cache was not asked */
	LB_TRACE_NO_ENTRY,  /* it has none, and none was made */
	LB_TRACE_FOUND,
	LB_TRACE_MADE,
};

/* @verdict: LB_V_COUNT where the program counted none. Indices are 0 where there is none. */
struct lb_trace_result {
	uint32_t action; /* XDP_* */
	enum lb_verdict verdict;
	uint16_t service, backend;
	enum lb_trace_via via;
	enum lb_trace_entry entry;
	bool has_slot;	      /* the following are known */
	bool decided;	      /* by the slot's word, not by a policy that chooses anew */
	bool remembered;      /* the client is: what it had before decides */
	bool opens;	      /* the packet opens a connection */
	uint32_t slot;	      /* of the table, 0 and up */
	uint32_t slots;	      /* the table's size */
	uint32_t word;	      /* LB_SLOT() */
	uint32_t out_ifindex; /* 0: it is not sent */
	const uint8_t *frame; /* as it leaves the program; until the next run */
	size_t frame_bytes;
};

struct lb_trace;

/* lb_trace_open - get ready for packets that come in by @ifindex, where the program is attached. The process is bound
 * to one CPU. Errors of loading, with @err. */
int lb_trace_open(struct lb_dataplane *dp, uint32_t ifindex, struct lb_trace **out, struct lb_err *err);
void lb_trace_free(struct lb_trace *t);

/* lb_trace_run - @frame is an Ethernet frame; its destination of zeros stands for the interface's own address. What a
 * packet leaves behind is there for the next one, as it would be. -ERANGE with @err: too short or too long. */
int lb_trace_run(struct lb_trace *t, const uint8_t *frame, size_t bytes, struct lb_trace_result *out,
		 struct lb_err *err);

/* The tag of the program that runs, as lb_dataplane_tag has that of the live one: they are the same program. */
const char *lb_trace_tag(const struct lb_trace *t);

#endif
