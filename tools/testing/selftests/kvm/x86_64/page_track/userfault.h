/* SPDX-License-Identifier: GPL-2.0-only */
/* A page of this process that is missing, and that whoever has a file descriptor serves. */
#ifndef SELFTEST_KVM_PAGE_TRACK_USERFAULT_H
#define SELFTEST_KVM_PAGE_TRACK_USERFAULT_H

#include <stdbool.h>

/* Is there userfaultfd()? */
bool userfault_exists(void);
/* Skip the test if not. */
void userfault_require(void);

/* Drop @page.  Returns the file descriptor, on which no read() waits. */
int userfault_open(void *page);
/* Wait until somebody waits for the page.  False after 20 s. */
bool userfault_await(int fd);
/* Serve it, with the bytes of @data, a page as well. */
void userfault_give(int fd, void *page, const void *data);

#endif /* SELFTEST_KVM_PAGE_TRACK_USERFAULT_H */
