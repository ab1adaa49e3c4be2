/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Page tracking, layer 3: what who holds a tracker may ask, see page_track_info.c.
 *
 * Context of all: process, may sleep.
 */
#ifndef __KVM_X86_PAGE_TRACK_INFO_H
#define __KVM_X86_PAGE_TRACK_INFO_H

#include "page_track_event.h"

/* KVM_PAGE_TRACK_GET_INFO.  Returns 0 or -EFAULT. */
int page_track_get_info(const struct page_tracker *tracker, void __user *argp);

/*
 * KVM_PAGE_TRACK_NEXT_SLOT.  Returns 0, -EFAULT, -EINVAL if there is no such address
 * space or what has to be zero is not, or -ENOENT behind the last slot.
 */
int page_track_next_slot(struct kvm *kvm, void __user *argp);

#endif /* __KVM_X86_PAGE_TRACK_INFO_H */
