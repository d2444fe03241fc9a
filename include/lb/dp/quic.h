/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From a UDP datagram to the server that QUIC's destination connection ID names: draft-ietf-quic-load-balancers-21
 * ("QUIC-LB"), its algorithm without a key, on the headers that all versions of QUIC have in common (RFC 8999). Pure;
 * called by bpf/ and by tests.
 *
 *   connection ID:  config rotation:3 | length or random:5,  server ID,  nonce,  what else the server puts there
 *
 * A routable ID decides, whatever the packet's version or type, as section 4.2 of the draft has it; for one that is not
 * the flow does. An Initial's ID is the client's choice and can be routable by accident: then its server gets the
 * connection, keeps it, and gives it an ID of its own. That is as good a server as any, and as rare as server IDs are
 * in the space that they have; with one byte of server ID they are not rare.
 *
 * Of the first byte only the header's form counts. The bit that version 1 fixes is not fixed by RFC 8999, and peers
 * that have agreed to (RFC 9287) send it at random.
 */
#ifndef LB_DP_QUIC_H
#define LB_DP_QUIC_H

#include "lb/dp/base.h"

#define LB_QUIC_CONFIGS 7 /* 0..6; 7 says that the server has no configuration */

/* The draft has up to 15, of which the rest can be called nonce: section 7.1. One word has more than any fleet needs,
 * also where servers are to be rare among IDs. */
#define LB_QUIC_SERVER_ID_MAX 8
#define LB_QUIC_NONCE_MIN 4
#define LB_QUIC_BODY_MAX 19 /* server ID and nonce: version 1 has connection IDs of 20 bytes */
#define LB_QUIC_CID_MAX (1 + LB_QUIC_BODY_MAX)

/* A service's configurations are one word, so that they change in one store; 0: it has none. Byte i is configuration
 * i's: its server ID's length | (that + its nonce's - 4) << 4, in bytes; 0: there is no such configuration. Bit 56 + i:
 * all servers of configuration i write the ID's length into its first octet.
 * @server_id_bytes: 1..LB_QUIC_SERVER_ID_MAX. @nonce_bytes: LB_QUIC_NONCE_MIN and more, together with it
 * LB_QUIC_BODY_MAX at most. */
#define LB_QUIC_CONFIG(config, server_id_bytes, nonce_bytes, self_length)                                              \
	((__u64)((server_id_bytes) | ((server_id_bytes) + (nonce_bytes)-4) << 4) << 8 * (config) |                     \
	 (__u64)((self_length) ? 1 : 0) << (56 + (config)))

static __always_inline __u32 lb_quic_server_id_bytes(__u64 configs, __u32 config)
{
	return (__u32)(configs >> 8 * config) & 15;
}

/* The server ID's and the nonce's together. */
static __always_inline __u32 lb_quic_body_bytes(__u64 configs, __u32 config)
{
	return ((__u32)(configs >> 8 * config) >> 4 & 15) + 4;
}

static __always_inline bool lb_quic_self_length(__u64 configs, __u32 config)
{
	return configs >> (56 + config) & 1;
}

enum lb_quic_result {
	LB_QUIC_ROUTABLE,
	LB_QUIC_TOO_SHORT,	/* for an ID of its configuration, or for QUIC */
	LB_QUIC_UNKNOWN_CONFIG, /* among them 7: its server has none */
	LB_QUIC_WRONG_LENGTH,	/* the ID says to have another length than it has or needs */
};

struct lb_quic_id {
	__u64 server_id; /* as a number, its first byte the highest; two lengths of one number are two configurations */
	__u32 config;
};

#define LB_QUIC_LONG 0x80	/* the header's form */
#define LB_QUIC_SHORT_CID_OFF 9 /* from the UDP header */
#define LB_QUIC_LONG_CID_OFF 14

/* lb_quic_read - what @cid says, of which the datagram has @room bytes. @long_bytes: its length by a long header, 0:
 * the header is short, and nothing says where the ID ends.
 * Eight bytes are wanted behind the first octet, which is more than the shortest ID has. Any packet has more than its
 * ID: those that are protected must offer 20 bytes behind it (RFC 9001, 5.4.2), and stateless resets are 21 and longer
 * (RFC 9000, 10.3). */
static __always_inline enum lb_quic_result lb_quic_read(const void *cid, const void *data_end, __u32 room,
							__u32 long_bytes, __u64 configs, struct lb_quic_id *id)
{
	__u32 config, body, described;
	__u8 first;

	if (cid + 9 > data_end || room < 9)
		return LB_QUIC_TOO_SHORT;
	first = *(const __u8 *)cid;
	config = first >> 5;
	if (config >= LB_QUIC_CONFIGS || !lb_quic_server_id_bytes(configs, config))
		return LB_QUIC_UNKNOWN_CONFIG;
	body = lb_quic_body_bytes(configs, config);
	if (room < 1 + body || (long_bytes && (long_bytes < 1 + body || room < long_bytes)))
		return LB_QUIC_TOO_SHORT;
	if (lb_quic_self_length(configs, config)) {
		described = first & 31;
		if (long_bytes ? described + 1 != long_bytes : described < body || room < described + 1)
			return LB_QUIC_WRONG_LENGTH;
	}
	id->config = config;
	/* the mask is for who writes a length that there is not: no shift is undefined */
	id->server_id = lb_htonll(lb_get64(cid + 1)) >> ((64 - 8 * lb_quic_server_id_bytes(configs, config)) & 56);
	return LB_QUIC_ROUTABLE;
}

/* lb_quic_route - what the destination connection ID of the datagram at @udp, its UDP header, says of its server.
 * @room: bytes that the packet has from there on; a first fragment has fewer than its datagram. @configs: the service's
 * LB_QUIC_CONFIGs, together. Fills @id when it returns LB_QUIC_ROUTABLE; whether there is such a server is another
 * question. Bytes behind the datagram's or the packet's end, a frame's padding, do not count. */
static __always_inline enum lb_quic_result lb_quic_route(const void *udp, const void *data_end, __u32 room,
							 __u64 configs, struct lb_quic_id *id)
{
	__u32 len;

	if (udp + LB_QUIC_SHORT_CID_OFF > data_end)
		return LB_QUIC_TOO_SHORT;
	len = lb_ntohs(lb_get16(udp + 4));
	if (len > room)
		len = room;
	if (len < LB_QUIC_LONG_CID_OFF)
		return LB_QUIC_TOO_SHORT;
	if (!(*(const __u8 *)(udp + LB_QUIC_SHORT_CID_OFF - 1) & LB_QUIC_LONG))
		return lb_quic_read(udp + LB_QUIC_SHORT_CID_OFF, data_end, len - LB_QUIC_SHORT_CID_OFF, 0, configs, id);
	if (udp + LB_QUIC_LONG_CID_OFF > data_end || !*(const __u8 *)(udp + LB_QUIC_LONG_CID_OFF - 1))
		return LB_QUIC_TOO_SHORT;
	return lb_quic_read(udp + LB_QUIC_LONG_CID_OFF, data_end, len - LB_QUIC_LONG_CID_OFF,
			    *(const __u8 *)(udp + LB_QUIC_LONG_CID_OFF - 1), configs, id);
}

#ifndef __bpf__
/* lb_quic_cid - a connection ID as a server makes it: its length in bytes, 0 where @configs have no @id->config.
 * @nonce: as many bytes as the configuration's nonce has. @random: fills the first octet where the length does not. */
static inline __u32 lb_quic_cid(__u64 configs, const struct lb_quic_id *id, const __u8 *nonce, __u8 random,
				__u8 cid[LB_QUIC_CID_MAX])
{
	__u32 nr, body;

	if (id->config >= LB_QUIC_CONFIGS || !lb_quic_server_id_bytes(configs, id->config))
		return 0;
	nr = lb_quic_server_id_bytes(configs, id->config);
	body = lb_quic_body_bytes(configs, id->config);
	cid[0] = (__u8)(id->config << 5 | ((lb_quic_self_length(configs, id->config) ? body : random) & 31));
	for (__u32 i = 0; i < body; i++)
		cid[1 + i] = i < nr ? (__u8)(id->server_id >> 8 * (nr - 1 - i)) : nonce[i - nr];
	return 1 + body;
}
#endif

#endif
