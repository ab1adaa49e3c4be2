/* SPDX-License-Identifier: GPL-2.0-only */
/* SVM: a vCPU executes one instruction for page trackers, see step.c. */
#ifndef __KVM_X86_SVM_STEP_H
#define __KVM_X86_SVM_STEP_H

#include <linux/kvm_host.h>

struct vcpu_svm;

/* While a vCPU executes one instruction. */
struct svm_step {
	/* The guest's own, or what L1 has set for it. */
	u64 rip;
	u64 rflags;
	u64 dr6;
	u64 efer;
	u64 sysenter_cs;
	u32 exceptions;
	u32 intercepts[2];
	bool nmi_blocking;

	/* Behind it: was it executed, and has the guest, or its debugger, a #DB? */
	bool done;
	bool db;
};

/* kvm_x86_ops.can_step.  Context: the vCPU's thread, the VMCB is what the guest has. */
bool svm_can_step(struct kvm_vcpu *vcpu);

/*
 * Have VMRUN execute one instruction, and give the guest back what is its own.
 * Context: right around VMRUN, interrupts off.
 */
void svm_start_step(struct vcpu_svm *svm);
void svm_stop_step(struct vcpu_svm *svm);

/*
 * How a step ends, of an instruction or of an event, or goes on.  Returns whether the exit is
 * handled with that.
 * Context: before any other handler of the exit, kvm->srcu held, may sleep.
 */
bool svm_handle_step(struct kvm_vcpu *vcpu);

#endif /* __KVM_X86_SVM_STEP_H */
