/* SPDX-License-Identifier: GPL-2.0-only */
/* SIGINT, SIGTERM and SIGHUP end what runs as its own end would. */
#ifndef KVM_PAGE_TRACK_STOP_H
#define KVM_PAGE_TRACK_STOP_H

#include <poll.h>
#include <stdbool.h>

/* The second one of a kind is deadly.  SIGHUP stays ignored, as nohup has it. */
void heed_signals(void);

/* What to do first if one is, or SIGQUIT; it is called by the handler. */
void undo_if_killed(void (*fn)(void));

bool stopped(void);

/* For what has not begun yet, or cannot go on: end the program if one has come. */
void end_if_stopped(void);

/* poll(), which such a signal ends, whenever it comes. */
int poll_until_stopped(struct pollfd *fds, int nr, int milliseconds);

#endif
