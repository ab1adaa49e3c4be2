/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Page tracking, layer 3: KVM_RUN returns before an access, and what userspace
 * replies.
 *
 * An instruction that has to ask stops with nothing changed and is tried again after
 * the reply, which holds for what was asked: another tracker may have to be asked,
 * or the instruction may want to write something else by then.
 *
 * Context of all: the vCPU's thread, kvm->srcu held.
 */
#ifndef __KVM_X86_PAGE_TRACK_EXIT_H
#define __KVM_X86_PAGE_TRACK_EXIT_H

#include <linux/kvm_host.h>

#include <uapi/asm/kvm_page_track.h>

/*
 * What was replied to the write @access, whose data is known, for tracker @n, or
 * KVM_PAGE_TRACK_STOP to ask; then @user_data tells userspace which tracker that is.
 */
int page_track_ask(struct kvm_vcpu *vcpu, const struct kvm_page_track_notifier_node *n,
		   u64 user_data, struct kvm_page_track_access *access);

/* Is KVM_RUN about to return with a question, or with what was told? */
static inline bool page_track_is_asking(struct kvm_vcpu *vcpu)
{
	return vcpu->arch.page_track_insn.asking;
}

/* Have KVM_RUN return with @event, whose page the guest has now.  Not if asking. */
void page_track_tell(struct kvm_vcpu *vcpu, const struct kvm_page_track_notifier_node *n,
		     u64 user_data, const struct kvm_page_track_event *event);

/* Was userspace asked for that tracker before this write of @bytes @data at @gpa? */
bool page_track_was_asked(struct kvm_vcpu *vcpu, gpa_t gpa, const u8 *data, int bytes,
			  u64 tracker_id);

/*
 * KVM_REQ_PAGE_TRACK: Is there a question for @n?  If so, vcpu->run has it, and the
 * vCPU reads the reply when it enters KVM_RUN again.
 */
bool page_track_exit_to_ask(struct kvm_vcpu *vcpu,
			    const struct kvm_page_track_notifier_node *n);

/* Nobody is there for the question, if any: the tracker or the vCPU has gone. */
static inline void page_track_forget_question(struct kvm_vcpu *vcpu)
{
	vcpu->arch.page_track_insn.asking = false;
}

#endif /* __KVM_X86_PAGE_TRACK_EXIT_H */
