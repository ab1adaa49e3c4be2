/* SPDX-License-Identifier: GPL-2.0-only */
/* How the program ends, what it says on stderr, and where else it writes. */
#ifndef KVM_PAGE_TRACK_FAIL_H
#define KVM_PAGE_TRACK_FAIL_H

#include <stdbool.h>
#include <stdio.h>
#include <stdnoreturn.h>

#define __printf(format, first) \
	__attribute__((__format__ \
		       (__printf__, format, first)))

/* The manual has this list as well. */
enum exit_status {
	STATUS_DONE,
	STATUS_OTHER,
	STATUS_USAGE,
	STATUS_NO_KVM,		/* KVM is not loaded */
	STATUS_NO_TRACKING,	/* it is, without page tracking */
	STATUS_PERMISSION,
	STATUS_NO_PROCESS,
	STATUS_NO_VM,		/* the process has none */
	STATUS_WHICH_VM,	/* it has several, or not the one that was named */
	STATUS_VM_GONE,		/* while it was watched */
	STATUS_NOT_MEMORY,	/* a range where the guest has no memory */
	STATUS_MEMLOCK,		/* the ring exceeds RLIMIT_MEMLOCK */
};

noreturn void fail(enum exit_status status, const char *format, ...) __printf(2, 3);
void note(const char *format, ...) __printf(1, 2);

/* A line that the next one, of progress or not, replaces; only on a terminal. */
void progress(const char *format, ...) __printf(1, 2);

/* Allocate, or fail. */
void *resize(void *old, unsigned long number, unsigned long size);

/*
 * Open a file, or fail; a FIFO, when somebody reads it.  What the file has had is lost only by
 * empty_output(), for when there is something instead.
 */
FILE *open_output(const char *path);
void empty_output(FILE *file, const char *path);

/*
 * End, without a word, if nobody reads @file any more.  Returns false if a signal came while
 * that had no room: the rest is dropped, and what comes next does not fit behind it.
 *
 * What stdio had to write before may have failed.  As errno is of that, whoever prints asks
 * ferror(), and comes here if it says so, before there is another errno.
 */
bool flush_output(FILE *file, const char *name);
bool flush_stdout(void);

#endif
