// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A flood of SYNs from random sources in 198.18.0.0/15, the range for benchmarks, for flood_test.sh: raw frames out of
 * one interface of a namespace, as many as asked for and no more. Prints how many were sent, and how fast.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH 64
#define SOURCES 0xc6120000U
#define SOURCES_MASK 0x1ffffU

struct frame {
	struct ether_header eth;
	struct iphdr ip;
	struct tcphdr tcp;
} __attribute__((packed));

static uint64_t state = 0x9e3779b97f4a7c15ULL;

static uint32_t rnd(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 24);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

static void __attribute__((noreturn)) die(const char *what)
{
	fprintf(stderr, "synflood: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint16_t fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t) ~((sum & 0xffff) + (sum >> 16));
}

static uint32_t add_up(const void *data, size_t bytes, uint32_t sum)
{
	const unsigned char *p = data;

	for (size_t i = 0; i < bytes; i += 2)
		sum += (uint32_t)(p[i] | p[i + 1] << 8);
	return sum;
}

static void fill(struct frame *f, uint32_t to, uint16_t port)
{
	f->ip = (struct iphdr){.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_TCP, .daddr = to};
	f->ip.tot_len = htons(sizeof(f->ip) + sizeof(f->tcp));
	f->ip.saddr = htonl(SOURCES | (rnd() & SOURCES_MASK));
	f->ip.check = fold(add_up(&f->ip, sizeof(f->ip), 0));
	f->tcp = (struct tcphdr){.dest = port, .syn = 1, .doff = 5, .window = htons(65535)};
	f->tcp.source = htons((uint16_t)(1024 + rnd() % 64000));
	f->tcp.seq = htonl(rnd());
	f->tcp.check = fold(
		add_up(&f->tcp, sizeof(f->tcp), add_up(&f->ip.saddr, 8, htons(IPPROTO_TCP) + htons(sizeof(f->tcp)))));
}

static int open_device(const char *device)
{
	struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(device)};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	if (!to.sll_ifindex || fd < 0 || bind(fd, (struct sockaddr *)&to, sizeof(to)))
		die(device);
	return fd;
}

/* At @rate a second, in batches; a batch that is late is not made up for. */
static uint64_t flood(int fd, struct frame *frames, uint32_t to, uint16_t port, uint64_t count, uint64_t rate)
{
	struct iovec iov[BATCH];
	struct mmsghdr msgs[BATCH] = {0};
	uint64_t sent = 0, due_ns = now_ns();

	for (int i = 0; i < BATCH; i++) {
		iov[i] = (struct iovec){&frames[i], sizeof(frames[i])};
		msgs[i].msg_hdr = (struct msghdr){.msg_iov = &iov[i], .msg_iovlen = 1};
	}
	while (sent < count) {
		uint64_t now = now_ns();
		int n;

		if (now < due_ns) {
			struct timespec pause = {.tv_nsec = (long)(due_ns - now)};

			nanosleep(&pause, NULL);
		}
		due_ns = (now < due_ns ? due_ns : now) + BATCH * 1000000000ULL / rate;
		for (int i = 0; i < BATCH; i++)
			fill(&frames[i], to, port);
		n = sendmmsg(fd, msgs, BATCH, 0);
		if (n < 0 && errno != ENOBUFS)
			die("sendmmsg");
		sent += n > 0 ? (uint64_t)n : 0;
	}
	return sent;
}

int main(int argc, char **argv)
{
	static struct frame frames[BATCH];
	uint64_t start_ns = now_ns(), sent;
	uint8_t mac[6];
	struct in_addr to;

	if (argc != 7 || inet_pton(AF_INET, argv[3], &to) != 1 ||
	    sscanf(argv[2], "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &mac[0], &mac[1], &mac[2], &mac[3], &mac[4], &mac[5]) !=
		    6 ||
	    strtoull(argv[6], NULL, 10) == 0) {
		fprintf(stderr, "usage: synflood DEVICE MAC ADDR PORT COUNT RATE\n");
		return 2;
	}
	for (int i = 0; i < BATCH; i++) {
		memcpy(frames[i].eth.ether_dhost, mac, sizeof(mac));
		frames[i].eth.ether_shost[0] = 2;
		frames[i].eth.ether_type = htons(ETHERTYPE_IP);
	}
	sent = flood(open_device(argv[1]), frames, to.s_addr, htons((uint16_t)atoi(argv[4])),
		     strtoull(argv[5], NULL, 10), strtoull(argv[6], NULL, 10));
	printf("sent=%llu per_second=%llu\n", (unsigned long long)sent,
	       (unsigned long long)(sent * 1000000000ULL / (now_ns() - start_ns + 1)));
	return 0;
}
