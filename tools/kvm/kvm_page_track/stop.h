/* SPDX-License-Identifier: GPL-2.0-only */
/* SIGINT, SIGTERM and SIGHUP end what runs as its own end would. */
#ifndef KVM_PAGE_TRACK_STOP_H
#define KVM_PAGE_TRACK_STOP_H

#include <poll.h>
#include <stdbool.h>

void heed_signals(void);
bool stopped(void);

/* poll(), which such a signal ends, whenever it comes. */
int poll_until_stopped(struct pollfd *fds, int nr, int milliseconds);

#endif
