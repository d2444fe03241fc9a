/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The messages of gRPC's health check. */
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>

#include "check_grpc.h"

#define PREFIX_LEN 5 /* a flag, "compressed", and the message's length, big endian */
#define TAG(field, wire) ((field) << 3 | (wire))
enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

int lb_grpc_request(const char *service, uint8_t out[LB_GRPC_REQUEST_MAX])
{
	size_t len = strlen(service), n = PREFIX_LEN;

	if (len > 255)
		return -EINVAL;
	if (len) {
		out[n++] = TAG(1, WIRE_BYTES);
		if (len > 127)
			out[n++] = (uint8_t)(len | 0x80);
		out[n++] = (uint8_t)(len > 127 ? len >> 7 : len);
		memcpy(out + n, service, len);
		n += len;
	}
	memset(out, 0, PREFIX_LEN);
	out[3] = (uint8_t)((n - PREFIX_LEN) >> 8);
	out[4] = (uint8_t)(n - PREFIX_LEN);
	return (int)n;
}

struct bytes {
	const uint8_t *at, *end;
};

static bool take_varint(struct bytes *b, uint64_t *value)
{
	*value = 0;
	for (unsigned int shift = 0; shift < 70 && b->at < b->end; shift += 7) {
		uint8_t byte = *b->at++;

		if (shift < 64)
			*value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return true;
	}
	return false;
}

static bool skip(struct bytes *b, uint64_t len)
{
	if (len > (uint64_t)(b->end - b->at))
		return false;
	b->at += len;
	return true;
}

/* A field that the message may get one day. */
static bool skip_field(struct bytes *b, unsigned int wire)
{
	uint64_t value;

	switch (wire) {
	case WIRE_VARINT:
		return take_varint(b, &value);
	case WIRE_64:
		return skip(b, 8);
	case WIRE_BYTES:
		return take_varint(b, &value) && skip(b, value);
	case WIRE_32:
		return skip(b, 4);
	default:
		return false;
	}
}

int lb_grpc_response(const uint8_t *body, size_t len)
{
	struct bytes b = {body + PREFIX_LEN, body + len};
	uint64_t tag, status = LB_GRPC_UNKNOWN;

	if (len < PREFIX_LEN || body[0] ||
	    ((uint64_t)body[1] << 24 | body[2] << 16 | body[3] << 8 | body[4]) != len - PREFIX_LEN)
		return -EPROTO;
	while (b.at < b.end) {
		if (!take_varint(&b, &tag) || !(tag >> 3))
			return -EPROTO;
		/* Of a field that is there twice the last one counts. */
		if (tag == TAG(1, WIRE_VARINT) ? !take_varint(&b, &status) : !skip_field(&b, tag & 7))
			return -EPROTO;
	}
	return status > INT_MAX ? INT_MAX : (int)status;
}
