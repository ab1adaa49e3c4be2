/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Page tracking, layer 3: what the rest of KVM calls for trackers of userspace, see
 * page_track_fd.c.
 */
#ifndef __KVM_X86_PAGE_TRACK_FD_H
#define __KVM_X86_PAGE_TRACK_FD_H

#include <linux/kvm_host.h>

#include <uapi/asm/kvm_page_track.h>

#ifdef CONFIG_KVM_EXTERNAL_WRITE_TRACKING
/*
 * KVM_CREATE_PAGE_TRACKER.  Returns the file descriptor or an error.
 * Context: an ioctl on the VM, may sleep.
 */
int kvm_vm_ioctl_create_page_tracker(struct kvm *kvm, const void __user *argp);

/*
 * The value of KVM_CAP_X86_PAGE_TRACK for @kvm, or for any VM if it is NULL.
 * Context: any.
 */
int kvm_page_track_capability(struct kvm *kvm);

/*
 * KVM_REQ_PAGE_TRACK: Must @vcpu leave KVM_RUN, with a question or since a ring is
 * full?  If so, vcpu->run says why.  The request stays as long as a ring is full.
 *
 * Context: the vCPU's thread, kvm->srcu held.
 */
bool kvm_page_track_must_exit(struct kvm_vcpu *vcpu);

/* Free what questions have allocated.  Context: @vcpu will not run any more. */
void kvm_page_track_free_question(struct kvm_vcpu *vcpu);

/*
 * Make the file in @kvm's directory in debugfs that lists what trackers track.
 * Context: the creation of @kvm, may sleep.
 */
void kvm_page_track_create_debugfs(struct kvm *kvm);
#else
static inline int kvm_vm_ioctl_create_page_tracker(struct kvm *kvm,
						   const void __user *argp)
{
	return -ENOTTY;
}

static inline int kvm_page_track_capability(struct kvm *kvm)
{
	return 0;
}

static inline bool kvm_page_track_must_exit(struct kvm_vcpu *vcpu)
{
	return false;
}

static inline void kvm_page_track_free_question(struct kvm_vcpu *vcpu) {}
static inline void kvm_page_track_create_debugfs(struct kvm *kvm) {}
#endif

#endif /* __KVM_X86_PAGE_TRACK_FD_H */
