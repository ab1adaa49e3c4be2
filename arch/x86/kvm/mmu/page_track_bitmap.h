/* SPDX-License-Identifier: GPL-2.0-only */
/* Page tracking, layer 3: untracked pages for userspace, see page_track_bitmap.c. */
#ifndef __KVM_X86_PAGE_TRACK_BITMAP_H
#define __KVM_X86_PAGE_TRACK_BITMAP_H

#include "page_track_event.h"

/*
 * KVM_PAGE_TRACK_COLLECT.  Returns 0, or with nothing collected -EINVAL for a range, mode
 * or flag that there is not, -EAGAIN if the ring has no room for what KVM itself has
 * written, -EFAULT, -EINTR if the caller is killed, -ENOMEM, or -EIO for a bug of KVM.
 * Context: process, may sleep.
 */
int page_track_collect(struct page_tracker *tracker, const void __user *argp);

#endif /* __KVM_X86_PAGE_TRACK_BITMAP_H */
