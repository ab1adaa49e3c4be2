/* SPDX-License-Identifier: GPL-2.0-only */
/* VMX: a vCPU executes one instruction for page trackers, see step.c. */
#ifndef __KVM_X86_VMX_STEP_H
#define __KVM_X86_VMX_STEP_H

#include <linux/kvm_host.h>

struct vcpu_vmx;

/* While a vCPU executes one instruction. */
struct vmx_step {
	/* The guest's own, or what L1 has set for it. */
	unsigned long rflags;
	u64 efer;
	u32 sysenter_cs;
	u32 idt_limit;
	u32 shadow;
	u32 exceptions;
	u32 pf_mask;
	u32 pf_match;
	bool nmi_window;

	/* Behind it: the CPU's flags; and does the #DB come still? */
	unsigned long rflags_behind;
	bool pending;
};

/*
 * Have the CPU execute one instruction, and give the guest back what is its own.
 * Context: right around the entry, interrupts off.
 */
void vmx_start_step(struct vcpu_vmx *vmx);
void vmx_stop_step(struct vcpu_vmx *vmx);

/*
 * How a step ends, of an instruction or of an event, or goes on.  Returns whether the exit is
 * handled with that.
 * Context: before any other handler of the exit, kvm->srcu held, may sleep.
 */
bool vmx_handle_step(struct kvm_vcpu *vcpu, fastpath_t exit_fastpath);

#endif /* __KVM_X86_VMX_STEP_H */
