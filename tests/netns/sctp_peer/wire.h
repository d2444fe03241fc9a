/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The userspace SCTP library in one thread: packets come from raw sockets of this process and go out by them, timers
 * run between packets. The library's own threads race with those who accept and close sockets, which no lock of a
 * caller can mend. For programs of one thread; a failure of what a test needs ends the process.
 */
#ifndef TESTS_WIRE_H
#define TESTS_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include <usrsctp.h>

/* A socket and what is to be done when it has something to read, can be written for the first time, or has failed;
 * called from wire_step alone, never from within the library. @ready may close the socket and free what @watch lies
 * in. */
struct wire_watch {
	struct socket *socket;
	void (*ready)(struct wire_watch *watch);
	struct wire_watch *next;
	bool is_queued;
};

/* The library begins to work. Only packets to the ports @first_port to @last_port, host byte order, are taken: those
 * of others on this host are not for this process to answer. */
void wire_open(uint16_t first_port, uint16_t last_port);

/* The library ends, as soon as no association is open any more or after @limit_ms. */
void wire_finish(int limit_ms);

/* Milliseconds of a clock that is never set. */
int64_t wire_now_ms(void);

/* A socket on @port, network byte order, for @watch; its calls do not block. Of the addresses @local and @remote, 16
 * bytes each, IPv4 mapped; both NULL: of whichever packets come with. */
void wire_socket(struct wire_watch *watch, const uint8_t *local, const uint8_t *remote, uint16_t port);

/* Begins to connect it to @port of @remote; it was made with the same addresses. 0 or -1 and errno. */
int wire_connect(struct wire_watch *watch, const uint8_t *local, const uint8_t *remote, uint16_t port);

/* Takes the socket of an association that was accepted. */
void wire_take(struct wire_watch *watch, struct socket *socket);

/* Closes in order, or what the socket's SO_LINGER says. */
void wire_close(struct wire_watch *watch);

/* Waits for packets, a timer or input on @fd (-1: none) and does what is due; true: @fd has input. */
bool wire_step(int fd);

#endif
