/* SPDX-License-Identifier: GPL-2.0-only */
/* Page tracking, layer 3: file descriptors of trackers, see page_track_fd.c. */
#ifndef __KVM_X86_PAGE_TRACK_FD_H
#define __KVM_X86_PAGE_TRACK_FD_H

#include <linux/kvm_host.h>

#include <uapi/asm/kvm_page_track.h>

/*
 * A file descriptor for a new tracker of @kvm, or an error.  All but vm_fd of @create
 * is checked.  If @attach, the process that runs @kvm must not notice.
 * Context: @kvm is not going, may sleep.
 */
int page_track_create_fd(struct kvm *kvm, const struct kvm_create_page_tracker *create,
			 bool attach);

#endif /* __KVM_X86_PAGE_TRACK_FD_H */
