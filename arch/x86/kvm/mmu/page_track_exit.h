/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Page tracking, layer 3: KVM_RUN returns before an access, and what userspace
 * replies, see page_track_exit.c.
 *
 * Context of all: the vCPU's thread, kvm->srcu held.
 */
#ifndef __KVM_X86_PAGE_TRACK_EXIT_H
#define __KVM_X86_PAGE_TRACK_EXIT_H

#include <linux/kvm_host.h>

#include <uapi/asm/kvm_page_track.h>

/*
 * What was replied to @access for tracker @n, or KVM_PAGE_TRACK_STOP to ask; then
 * @user_data tells userspace which tracker that is.  Of a write, the data is known.  If
 * KVM cannot emulate the access, the reply has the tracker give the page up.
 */
int page_track_ask(struct kvm_vcpu *vcpu, const struct kvm_page_track_notifier_node *n,
		   u64 user_data, struct kvm_page_track_access *access);

/* Has userspace replied, for that tracker, to this write of @bytes at @gpa? */
bool page_track_was_asked(struct kvm_vcpu *vcpu, gpa_t gpa, int bytes, u64 tracker_id);

/*
 * KVM_REQ_PAGE_TRACK: Is there a question for @n?  If so, vcpu->run has it, and the
 * vCPU reads the reply when it enters KVM_RUN again.
 */
bool page_track_exit_to_ask(struct kvm_vcpu *vcpu,
			    const struct kvm_page_track_notifier_node *n);

/* Nobody is there for the question, if any: the tracker or the vCPU has gone. */
void page_track_forget_question(struct kvm_vcpu *vcpu);

#endif /* __KVM_X86_PAGE_TRACK_EXIT_H */
