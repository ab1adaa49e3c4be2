/* SPDX-License-Identifier: GPL-2.0-only */
/* Page tracking, layer 2: what can be stepped, see page_track_step_insn.c. */
#ifndef __KVM_X86_PAGE_TRACK_STEP_INSN_H
#define __KVM_X86_PAGE_TRACK_STEP_INSN_H

#include <linux/kvm_host.h>

/* vcpu->arch.page_track_step_kind: what the vCPU does in the view, if it is there. */
enum kvm_page_track_step_kind {
	KVM_PAGE_TRACK_NO_STEP,
	/* One instruction; one that loads TF, if it comes to its end; or TF and IF. */
	KVM_PAGE_TRACK_STEP_INSN,
	KVM_PAGE_TRACK_STEP_LOADS_TF,
	KVM_PAGE_TRACK_STEP_LOADS_TF_IF,
	/* It takes the event that KVM injects. */
	KVM_PAGE_TRACK_STEP_EVENT,
};

/*
 * Of the instruction that KVM's emulator has failed to do: can @vcpu step it, with TF and
 * without IF, and what kind of step is it then?  Or does it lead to an event and no more,
 * and can that be injected in its stead?
 *
 * Context: @vcpu's thread, behind that failure.
 */
bool page_track_can_step_insn(struct kvm_vcpu *vcpu);
enum kvm_page_track_step_kind page_track_insn_kind(struct kvm_vcpu *vcpu);
bool page_track_is_soft_int(struct kvm_vcpu *vcpu);
void page_track_inject_soft_int(struct kvm_vcpu *vcpu);

/*
 * Of an instruction in a step: may the exception @vector be its own, and not that of what
 * another vCPU has made of it?
 *
 * Context: @vcpu's thread.
 */
bool page_track_can_step_raise(struct kvm_vcpu *vcpu, u8 vector);

#endif /* __KVM_X86_PAGE_TRACK_STEP_INSN_H */
