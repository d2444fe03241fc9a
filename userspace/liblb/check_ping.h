/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Echo requests and replies of both families (RFC 792, RFC 4443). Pure. Called by lbd's probes. */
#ifndef LB_CHECK_PING_H
#define LB_CHECK_PING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LB_ECHO_LEN 32 /* header and data */

/* lb_echo_request - with @cookie in its data, and the checksum where it is the sender's to make: of IPv4. */
void lb_echo_request(bool v4, uint16_t id, uint64_t cookie, uint8_t out[LB_ECHO_LEN]);

/* lb_echo_is_reply - is it the reply to the request that had @cookie? @ip_header: an IPv4 header stands before it, as a
 * raw socket has it. The identifier does not count: the kernel chooses it for datagram sockets. */
bool lb_echo_is_reply(bool v4, bool ip_header, uint64_t cookie, const uint8_t *packet, size_t len);

#endif
