// SPDX-License-Identifier: GPL-2.0-or-later
/* What the dataplane would do with packets, and why: the program runs them, aside; see trace.h. */
#include <ctype.h>
#include <errno.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aside.h"
#include "nearest.h"
#include "text.h"
#include "trace.h"
#include "verdicts.h"

#define PACKETS_MAX 65536
#define WHY_STRLEN 320

/* ---- the request ---- */

struct request {
	json_t *doc;
	const json_t *packets; /* texts of hexadecimal digits */
	const struct lb_iface *in;
	bool frames; /* the answer is to have what comes out */
};

/* The interface by its name, or the first where packets arrive at all. */
static const struct lb_iface *find_interface(const struct lb_control *c, const char *name, struct lb_err *err)
{
	const struct lb_iface *in = name ? lb_ifaces_find(&c->ifaces, name) : NULL;

	for (size_t i = 0; !name && !in && i < c->ifaces.nr; i++)
		if (c->ifaces.list[i].attached)
			in = &c->ifaces.list[i];
	if (in && in->attached)
		return in;
	if (name)
		lb_err_set(err, -EINVAL, NULL, "interface: %s is not attached, so that its packets are the host's",
			   lb_err_text(name));
	else
		lb_err_set(err, -EINVAL, NULL,
			   "no interface is attached, so that all packets are the host's; lbctl attach IFACE");
	return NULL;
}

static int check_keys(json_t *doc, struct lb_err *err)
{
	static const char *const keys[] = {"interface", "packets", "frames", NULL};
	const char *key, *near;
	json_t *value;
	size_t i;

	json_object_foreach (doc, key, value) {
		for (i = 0; keys[i] && strcmp(keys[i], key);)
			i++;
		if (keys[i])
			continue;
		near = lb_nearest(key, keys);
		return lb_err_set(err, -EINVAL, NULL, "%s: unknown key; %s%s%s", lb_err_text(key),
				  near ? "did you mean " : "known: interface, packets, frames", near ? near : "",
				  near ? "?" : "");
	}
	return 0;
}

static int read_request(const struct lb_api_call *call, struct request *r, struct lb_err *err)
{
	const json_t *name, *frames;
	json_error_t error;

	r->doc = json_loadb(call->req->body, call->req->body_len, JSON_REJECT_DUPLICATES, &error);
	if (!r->doc)
		return lb_err_set(err, -EINVAL, NULL, "not valid JSON: %s", error.text);
	if (!json_is_object(r->doc))
		return lb_err_set(err, -EINVAL, NULL, "must be an object such as {\"packets\": [\"0200...\"]}");
	if (check_keys(r->doc, err))
		return err->code;
	name = json_object_get(r->doc, "interface");
	frames = json_object_get(r->doc, "frames");
	r->packets = json_object_get(r->doc, "packets");
	if (name && !json_is_string(name))
		return lb_err_set(err, -EINVAL, NULL, "interface: must be a text");
	if (frames && !json_is_boolean(frames))
		return lb_err_set(err, -EINVAL, NULL, "frames: must be true or false");
	if (!json_is_array(r->packets))
		return lb_err_set(err, -EINVAL, NULL, "packets: must be a list of frames in hexadecimal digits");
	if (json_array_size(r->packets) > PACKETS_MAX)
		return lb_err_set(err, -EINVAL, NULL, "packets: more than %d; send them in parts", PACKETS_MAX);
	r->frames = json_is_true(frames);
	r->in = find_interface(call->control, json_string_value(name), err);
	return r->in ? 0 : err->code;
}

static int digit(char c)
{
	return isdigit((unsigned char)c)    ? c - '0'
	       : isxdigit((unsigned char)c) ? tolower((unsigned char)c) - 'a' + 10
					    : -1;
}

static int read_frame(const json_t *packet, size_t i, uint8_t frame[LB_TRACE_FRAME_MAX], size_t *bytes,
		      struct lb_err *err)
{
	const char *text = json_string_value(packet);
	size_t len = text ? strlen(text) : 0;

	if (!text || len % 2)
		return lb_err_set(err, -EINVAL, NULL, "packets[%zu]: must be two hexadecimal digits a byte", i);
	*bytes = len / 2;
	if (*bytes < LB_TRACE_FRAME_MIN || *bytes > LB_TRACE_FRAME_MAX)
		return lb_err_set(err, -EINVAL, NULL, "packets[%zu]: a frame of %zu bytes cannot be run (%d-%d can)", i,
				  *bytes, LB_TRACE_FRAME_MIN, LB_TRACE_FRAME_MAX);
	for (size_t k = 0; k < *bytes; k++) {
		int high = digit(text[2 * k]), low = digit(text[2 * k + 1]);

		if (high < 0 || low < 0)
			return lb_err_set(err, -EINVAL, NULL, "packets[%zu]: must be two hexadecimal digits a byte", i);
		frame[k] = (uint8_t)(high << 4 | low);
	}
	return 0;
}

/* ---- the answer ---- */

static const struct lb_model_service *find_service(const struct lb_control *c, uint16_t idx)
{
	const struct lb_model_service *const *list;
	size_t nr = lb_model_services(c->model, &list);

	for (size_t i = 0; idx && i < nr; i++)
		if (list[i]->idx == idx)
			return list[i];
	return NULL;
}

/* The backend's address; of one that was removed "a removed backend"; NULL: there is none. */
static const char *backend_name(const struct lb_model_service *s, uint32_t idx, char text[LB_ADDR_STRLEN])
{
	if (!idx)
		return NULL;
	for (size_t i = 0; s && i < s->conf.nr_backends; i++)
		if (s->backends[i].idx == idx)
			return lb_endpoint_format(&s->conf.backends[i].address, text);
	return "a removed backend";
}

static const char *phase_name(uint32_t word)
{
	static const char *const names[] = {"stable", "moving", "settling", "?"};

	return names[LB_SLOT_PHASE(word)];
}

static void say_slot(const struct lb_trace_result *r, const struct lb_model_service *s, char why[WHY_STRLEN])
{
	char from[LB_ADDR_STRLEN], to[LB_ADDR_STRLEN];
	const char *prev = backend_name(s, LB_SLOT_PREV(r->word), from),
		   *cur = backend_name(s, LB_SLOT_CUR(r->word), to);
	const char *whose = r->via == LB_TRACE_BY_SOURCE ? "its client's slot" : "slot";

	if (LB_SLOT_PHASE(r->word) == LB_PHASE_MOVING)
		snprintf(why, WHY_STRLEN,
			 "%s %u of %u is moving from %s to %s, the flow cache had no entry, and it opens %s", whose,
			 r->slot, r->slots, prev ? prev : "nobody", cur ? cur : "nobody",
			 r->opens ? "a connection, which is the new owner's"
				  : "none, so that it is the former owner's");
	else
		snprintf(why, WHY_STRLEN, "%s %u of %u is %s, and %s has it%s", whose, r->slot, r->slots,
			 phase_name(r->word), cur ? cur : "nobody",
			 r->entry == LB_TRACE_NOT_ASKED ? "" : "; the flow cache had no entry");
}

static void say_why(const struct lb_trace_result *r, const struct lb_model_service *s, char why[WHY_STRLEN])
{
	static const char *const policies[] = {[LB_POLICY_MAGLEV] = "maglev",
					       [LB_POLICY_ROUND_ROBIN] = "round_robin",
					       [LB_POLICY_LEAST_CONN] = "least_conn",
					       [LB_POLICY_RANDOM] = "random"};

	if (r->verdict != LB_V_FORWARDED && r->verdict != LB_V_FORWARDED_ICMP)
		snprintf(why, WHY_STRLEN, "%s", lb_verdict_help(r->verdict) ?: "the program failed");
	else if (r->via == LB_TRACE_BY_FLOW)
		snprintf(why, WHY_STRLEN, "the flow cache has an entry of its flow");
	else if (r->via == LB_TRACE_BY_CONN)
		snprintf(why, WHY_STRLEN, "its connection is translated, and this backend has it");
	else if (r->via == LB_TRACE_BY_CID)
		snprintf(why, WHY_STRLEN, "its QUIC connection ID names the backend");
	else if (r->remembered)
		snprintf(why, WHY_STRLEN,
			 "its client is remembered, and new connections go where the earlier ones went");
	else if (r->via == LB_TRACE_BY_NOTHING)
		snprintf(why, WHY_STRLEN, "it follows the first fragment of its datagram");
	else if (!r->decided)
		snprintf(why, WHY_STRLEN, "a new connection, and policy %s chose among those that serve",
			 s ? policies[s->conf.policy] : "");
	else
		say_slot(r, s, why);
}

static void put_string(struct lb_text *t, const char *key, const char *value)
{
	lb_text_printf(t, ",\"%s\":", key);
	if (value)
		lb_text_json_string(t, value);
	else
		lb_text_puts(t, "null");
}

static void put_frame(struct lb_text *t, const uint8_t *frame, size_t bytes)
{
	static const char digits[] = "0123456789abcdef";
	char hex[2 * LB_TRACE_FRAME_MAX + 2048];

	if (2 * bytes > sizeof(hex))
		bytes = sizeof(hex) / 2;
	for (size_t i = 0; i < bytes; i++) {
		hex[2 * i] = digits[frame[i] >> 4];
		hex[2 * i + 1] = digits[frame[i] & 15];
	}
	lb_text_puts(t, ",\"frame\":\"");
	lb_text_put(t, hex, 2 * bytes);
	lb_text_puts(t, "\"");
}

static void put_result(struct lb_text *t, const struct lb_control *c, const struct request *rq, size_t n,
		       const struct lb_trace_result *r)
{
	static const char *const actions[] = {[XDP_ABORTED] = "aborted",
					      [XDP_DROP] = "drop",
					      [XDP_PASS] = "pass",
					      [XDP_TX] = "tx",
					      [XDP_REDIRECT] = "redirect"};
	static const char *const vias[] = {NULL, "table", "flow", "cid", "source", "connection"};
	static const char *const entries[] = {NULL, "none", "found", "made"};
	const struct lb_model_service *s = find_service(c, r->service);
	char address[LB_ADDR_STRLEN], why[WHY_STRLEN], out[IF_NAMESIZE] = "";

	say_why(r, s, why);
	if (r->out_ifindex)
		if_indextoname(r->out_ifindex, out);
	lb_text_printf(t, "%s\n{\"n\":%zu", n ? "," : "", n);
	put_string(t, "action", r->action <= XDP_REDIRECT ? actions[r->action] : "aborted");
	put_string(t, "verdict", lb_verdict_name(r->verdict));
	put_string(t, "service", s ? s->conf.name : NULL);
	put_string(t, "backend", backend_name(s, r->backend, address));
	put_string(t, "via", vias[r->via]);
	if (r->has_slot)
		lb_text_printf(t, ",\"slot\":%u", r->slot);
	else
		lb_text_puts(t, ",\"slot\":null");
	put_string(t, "out_iface", *out ? out : NULL);
	if (r->out_ifindex || r->action == XDP_PASS)
		lb_text_printf(t, ",\"out_len\":%zu", r->frame_bytes);
	else
		lb_text_puts(t, ",\"out_len\":null");
	put_string(t, "phase", r->has_slot ? phase_name(r->word) : NULL);
	put_string(t, "entry", entries[r->entry]);
	put_string(t, "in_iface", rq->in->at.ifname);
	put_string(t, "why", why);
	if (rq->frames && (r->out_ifindex || r->action == XDP_PASS))
		put_frame(t, r->frame, r->frame_bytes);
	lb_text_puts(t, "}");
}

/* ---- aside ---- */

static int run_all(const struct lb_control *c, const struct request *rq, struct lb_text *t, struct lb_err *err)
{
	uint8_t frame[LB_TRACE_FRAME_MAX];
	struct lb_trace_result result;
	struct lb_trace *trace = NULL;
	const json_t *packet;
	size_t i, bytes;
	int ret;

	/* None is run where one cannot be. */
	json_array_foreach (rq->packets, i, packet) {
		ret = read_frame(packet, i, frame, &bytes, err);
		if (ret)
			return ret;
	}
	ret = lb_trace_open(c->dp, rq->in->at.ifindex, &trace, err);
	if (ret)
		return ret;
	lb_text_puts(t, "{\"program_tag\":");
	lb_text_json_string(t, lb_trace_tag(trace));
	lb_text_puts(t, ",\"packets\":[");
	json_array_foreach (rq->packets, i, packet) {
		ret = read_frame(packet, i, frame, &bytes, err) ?: lb_trace_run(trace, frame, bytes, &result, err);
		if (ret)
			break;
		put_result(t, c, rq, i, &result);
	}
	lb_text_puts(t, "\n]}\n");
	lb_trace_free(trace);
	return ret;
}

static void trace(struct lb_api_call *call)
{
	struct request rq = {0};
	struct lb_err err = {0};
	struct lb_text t = {0};
	int ret = read_request(call, &rq, &err);

	if (!ret)
		ret = run_all(call->control, &rq, &t, &err);
	json_decref(rq.doc);
	if (ret) {
		lb_text_fini(&t);
		lb_api_error(call, &err);
		return;
	}
	lb_api_text(call, 200, &t);
}

void lb_api_trace_post(struct lb_api_call *call)
{
	lb_aside(call, trace);
}
