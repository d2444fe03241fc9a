// SPDX-License-Identifier: GPL-2.0-or-later
/* What the dataplane would do with packets, described or from a file, and why. The only module that includes pcap.h. */
#include <errno.h>
#include <linux/if_ether.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "lbctl.h"
#include "packet.h"

#define PACKETS_MAX 65536 /* that lbd takes at a time */
#define SNAPLEN 65535

/* Packets in, and when they were seen. */
struct packets {
	json_t *frames; /* texts */
	struct timeval *when;
	size_t room;
};

static int add(struct packets *p, const uint8_t *frame, size_t bytes, struct timeval when)
{
	static const char digits[] = "0123456789abcdef";
	char hex[2 * LB_PACKET_MAX];
	size_t nr = json_array_size(p->frames);
	struct timeval *more;

	for (size_t i = 0; i < bytes; i++) {
		hex[2 * i] = digits[frame[i] >> 4];
		hex[2 * i + 1] = digits[frame[i] & 15];
	}
	if (nr == p->room) {
		p->room = p->room ? 2 * p->room : 64;
		more = realloc(p->when, p->room * sizeof(*more));
		if (!more)
			return lb_ctl_fail(LB_EXIT_REFUSED, "out of memory");
		p->when = more;
	}
	p->when[nr] = when;
	return json_array_append_new(p->frames, json_stringn(hex, 2 * bytes))
		       ? lb_ctl_fail(LB_EXIT_REFUSED, "out of memory")
		       : LB_EXIT_DONE;
}

/* ---- files ---- */

/* The frame of a packet that was captured: with an Ethernet header where the file has none, and as long as it was,
 * though less of it may have been kept. */
static int add_captured(struct packets *p, const char *name, size_t n, int link, const struct pcap_pkthdr *head,
			const uint8_t *data)
{
	size_t front = link == DLT_RAW || link == DLT_IPV4 || link == DLT_IPV6 ? ETH_HLEN : 0;
	uint8_t frame[LB_PACKET_MAX] = {0};
	int type = head->caplen && data[0] >> 4 == 6 ? ETH_P_IPV6 : ETH_P_IP;

	if (n == PACKETS_MAX)
		return lb_ctl_fail(LB_EXIT_REFUSED,
				   "%s has more than %d packets; give it in parts, as editcap -c %d makes them", name,
				   PACKETS_MAX, PACKETS_MAX);
	if (front + head->len > sizeof(frame) || front + head->len < ETH_HLEN || head->caplen > head->len)
		return lb_ctl_fail(LB_EXIT_REFUSED, "%s: packet %zu has %u bytes; frames of %d to %d can be run", name,
				   n, head->len, ETH_HLEN, LB_PACKET_MAX);
	if (front) {
		frame[6] = 2;
		frame[12] = (uint8_t)(type >> 8);
		frame[13] = (uint8_t)type;
	}
	memcpy(frame + front, data, head->caplen);
	return add(p, frame, front + head->len, head->ts);
}

static int read_file(struct packets *p, const char *name)
{
	char why[PCAP_ERRBUF_SIZE];
	pcap_t *file = pcap_open_offline(name, why);
	struct pcap_pkthdr *head;
	const u_char *data;
	int ret = LB_EXIT_DONE, got, link;

	if (!file)
		return lb_ctl_fail(LB_EXIT_REFUSED, "cannot read packets from %s: %s", name, why);
	link = pcap_datalink(file);
	if (link != DLT_EN10MB && link != DLT_RAW && link != DLT_IPV4 && link != DLT_IPV6) {
		ret = lb_ctl_fail(
			LB_EXIT_REFUSED,
			"%s has packets of %s; Ethernet frames or IP packets can be run (tcpdump -i IFACE, not -i any)",
			name, pcap_datalink_val_to_description_or_dlt(link));
		goto out;
	}
	for (size_t n = 0; !ret && (got = pcap_next_ex(file, &head, &data)) != PCAP_ERROR_BREAK; n++)
		ret = got == 1 ? add_captured(p, name, n, link, head, data)
			       : lb_ctl_fail(LB_EXIT_REFUSED, "cannot read packets from %s: %s", name,
					     pcap_geterr(file));
out:
	pcap_close(file);
	return ret;
}

/* Those that go on, as they leave the program. */
static int write_file(const char *name, const struct packets *p, const json_t *results)
{
	pcap_t *format = pcap_open_dead(DLT_EN10MB, SNAPLEN);
	pcap_dumper_t *file = format ? pcap_dump_open(format, name) : NULL;
	const json_t *result;
	int ret = LB_EXIT_DONE;
	size_t i;

	if (!file)
		ret = lb_ctl_fail(LB_EXIT_REFUSED, "cannot write packets to %s: %s", name,
				  format ? pcap_geterr(format) : "out of memory");
	json_array_foreach (results, i, result) {
		const char *hex = json_string_value(json_object_get(result, "frame"));
		struct pcap_pkthdr head = {.ts = p->when[i]};
		uint8_t frame[2 * LB_PACKET_MAX];
		unsigned int byte;

		if (!file || !hex)
			continue;
		while (head.len < sizeof(frame) && sscanf(hex + 2 * (size_t)head.len, "%2x", &byte) == 1)
			frame[head.len++] = (uint8_t)byte;
		head.caplen = head.len;
		pcap_dump((u_char *)file, &head, frame);
	}
	/* Each of the two may be the one that knows. */
	if (file && (pcap_dump_flush(file) || ferror(pcap_dump_file(file))))
		ret = lb_ctl_fail(LB_EXIT_REFUSED, "cannot write packets to %s: %s", name, strerror(errno));
	if (file)
		pcap_dump_close(file);
	if (format)
		pcap_close(format);
	return ret;
}

/* ---- the command ---- */

static int read_packets(const struct lb_ctl *c, struct packets *p)
{
	const char *name = lb_args_value(c->args, "pcap-in"), *spec = lb_args_value(c->args, "packet");
	uint8_t frame[LB_PACKET_MAX];
	struct lb_err err = {0};
	size_t bytes;

	if (!name == !spec)
		return lb_ctl_misused(c, name ? "give --pcap-in or --packet, not both"
					      : "say which packets, with --packet SPEC or --pcap-in FILE");
	if (name)
		return read_file(p, name);
	for (size_t i = 0; i < c->args->nr_given; i++) {
		if (strcmp(c->args->given[i].option->name, "packet"))
			continue;
		if (lb_packet_make(c->args->given[i].value, frame, &bytes, &err))
			return lb_ctl_misused(c, "--packet: %s", lb_err_str(&err));
		if (add(p, frame, bytes, (struct timeval){0}))
			return LB_EXIT_REFUSED;
	}
	return LB_EXIT_DONE;
}

static void show(const struct lb_ctl *c, json_t *results)
{
	json_t *result;
	size_t i;

	json_array_foreach (results, i, result) {
		json_object_del(result, "frame");
		if (c->json) {
			json_dumpf(result, stdout, JSON_COMPACT);
			putchar('\n');
		} else {
			lb_show_trace(result);
		}
	}
}

int lb_ctl_trace(struct lb_ctl *c)
{
	const char *out = lb_args_value(c->args, "pcap-out"), *in = lb_args_value(c->args, "iface");
	struct packets p = {.frames = json_array()};
	json_t *doc = NULL, *body, *results;
	int ret = p.frames ? read_packets(c, &p) : lb_ctl_fail(LB_EXIT_REFUSED, "out of memory");

	if (!ret && json_array_size(p.frames)) {
		body = json_pack("{s:O, s:b, s:s*}", "packets", p.frames, "frames", !!out, "interface", in);
		ret = body ? lb_ctl_call(c, "POST", lb_client_path((const char *const[]){"trace", NULL}), body, &doc)
			   : lb_ctl_fail(LB_EXIT_REFUSED, "out of memory");
	}
	results = json_object_get(doc, "packets");
	if (!ret && out)
		ret = write_file(out, &p, results);
	if (!ret)
		show(c, results);
	json_decref(doc);
	json_decref(p.frames);
	free(p.when);
	return ret;
}
