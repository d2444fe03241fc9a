/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Certificates that checks trust, each file read once, and again when it has changed. Reading takes tens of
 * milliseconds, so that it is done in a thread; the event loop goes on. Called by probe_curl.c.
 */
#ifndef LB_TRUST_H
#define LB_TRUST_H

#include <event2/event.h>
#include <openssl/x509.h>

struct lb_trust;

/* @ready is called from the event loop when a file that was asked for has been read, or could not be. */
struct lb_trust *lb_trust_new(struct event_base *base, void (*ready)(void *ctx), void *ctx);
void lb_trust_free(struct lb_trust *t);

/* lb_trust_get - the certificates of @path, NULL: those that the system trusts. 0 with a reference in *@store; -EAGAIN
 * while they are read; -EIO when they could not be, which has been logged. */
int lb_trust_get(struct lb_trust *t, const char *path, X509_STORE **store);

#endif
