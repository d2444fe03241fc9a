/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Telling the service manager how far we are: the protocol of sd_notify(3). Called by main.c. */
#ifndef LB_NOTIFY_H
#define LB_NOTIFY_H

/* lb_notify - send @state ("READY=1", ...) to $NOTIFY_SOCKET; nothing where there is none. */
void lb_notify(const char *state);

#endif
