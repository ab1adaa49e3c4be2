/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Page tracking, layer 3: what the rest of KVM calls for trackers of userspace.  Each file
 * of the layer has some of it.
 */
#ifndef __KVM_X86_PAGE_TRACK_USER_H
#define __KVM_X86_PAGE_TRACK_USER_H

#include <linux/kvm_host.h>

#include <uapi/asm/kvm_page_track.h>

#ifdef CONFIG_KVM_EXTERNAL_WRITE_TRACKING
/*
 * KVM_CREATE_PAGE_TRACKER.  Returns the file descriptor or an error.
 * Context: an ioctl on the VM, may sleep.
 */
int kvm_vm_ioctl_create_page_tracker(struct kvm *kvm, const void __user *argp);

/*
 * KVM_ATTACH_PAGE_TRACKER.  Returns the file descriptor or an error.
 * Context: an ioctl on /dev/kvm in any process, may sleep.
 */
int kvm_dev_ioctl_attach_page_tracker(const void __user *argp);

/*
 * The value of KVM_CAP_X86_PAGE_TRACK for @kvm, or for any VM if it is NULL.
 * Context: any.
 */
int kvm_page_track_capability(struct kvm *kvm);

/*
 * KVM_REQ_PAGE_TRACK: @vcpu may have a question, or a ring no room for its events.  Leave
 * KVM_RUN then, and vcpu->run says why, or sleep here, or do what was replied.  The
 * request stays as long as a ring is full or a reply does not come.
 *
 * Returns as an exit handler does: the vCPU has to serve all requests again.
 * Context: the vCPU's thread, kvm->srcu held, which is let go to sleep.
 */
int kvm_page_track_serve_request(struct kvm_vcpu *vcpu);

/*
 * The memory of the process that made @kvm is going: tell who sleeps in poll() for a
 * tracker's events that none will come.
 *
 * Context: may sleep.
 */
void kvm_page_track_memory_gone(struct kvm *kvm);

void __kvm_page_track_lead_elsewhere(struct kvm_vcpu *vcpu);
void __kvm_page_track_forget_allowed(struct kvm_vcpu *vcpu);
void __kvm_page_track_end_run(struct kvm_vcpu *vcpu);

/*
 * More of @vcpu's state has been set than its registers: it is not where it asked.
 * Context: an ioctl on @vcpu.
 */
static inline void kvm_page_track_lead_elsewhere(struct kvm_vcpu *vcpu)
{
	if (vcpu->arch.page_track_question)
		__kvm_page_track_lead_elsewhere(vcpu);
}

/*
 * What was allowed and is not done is asked again: userspace sets registers, or the vCPU is
 * led elsewhere, or it is done.
 * Context: the vCPU's thread, or an ioctl on it.
 */
static inline void kvm_page_track_forget_allowed(struct kvm_vcpu *vcpu)
{
	if (vcpu->arch.page_track_question)
		__kvm_page_track_forget_allowed(vcpu);
}

/*
 * KVM_RUN ends: the same if the vCPU is there, unless a question is open.
 * Context: the vCPU's thread.
 */
static inline void kvm_page_track_end_run(struct kvm_vcpu *vcpu)
{
	if (vcpu->arch.page_track_question)
		__kvm_page_track_end_run(vcpu);
}

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

/* As for any other call that /dev/kvm does not have. */
static inline int kvm_dev_ioctl_attach_page_tracker(const void __user *argp)
{
	return -EINVAL;
}

static inline int kvm_page_track_capability(struct kvm *kvm)
{
	return 0;
}

static inline int kvm_page_track_serve_request(struct kvm_vcpu *vcpu)
{
	return 1;
}

static inline void kvm_page_track_lead_elsewhere(struct kvm_vcpu *vcpu) {}
static inline void kvm_page_track_forget_allowed(struct kvm_vcpu *vcpu) {}
static inline void kvm_page_track_end_run(struct kvm_vcpu *vcpu) {}
static inline void kvm_page_track_memory_gone(struct kvm *kvm) {}
static inline void kvm_page_track_free_question(struct kvm_vcpu *vcpu) {}
static inline void kvm_page_track_create_debugfs(struct kvm *kvm) {}
#endif

#endif /* __KVM_X86_PAGE_TRACK_USER_H */
