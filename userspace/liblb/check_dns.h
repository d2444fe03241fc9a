/* SPDX-License-Identifier: GPL-2.0-or-later */
/* DNS messages of the dns check: one question out, is this an answer to it? Pure. Called by lbd's probes. */
#ifndef LB_CHECK_DNS_H
#define LB_CHECK_DNS_H

#include <stddef.h>
#include <stdint.h>

#include "conf.h"

#define LB_DNS_QUERY_MAX (12 + 255 + 4)

/* lb_dns_query - a query for @name, recursion desired, into @out. The number of bytes, or -EINVAL: no domain name.
 * RFC 1035, 4.1. */
int lb_dns_query(uint16_t id, const char *name, enum lb_dns_record record, uint8_t out[LB_DNS_QUERY_MAX]);

/* lb_dns_answer - the response code of @answer (0: NOERROR), which need not be whole, to the query of @query_len bytes
 * at @query. -EAGAIN: it belongs to another question (another id, or it is no response); -EPROTO: it is malformed, or
 * says another question than it was asked. */
int lb_dns_answer(const uint8_t *query, size_t query_len, const uint8_t *answer, size_t len);

#endif
