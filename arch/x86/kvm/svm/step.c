// SPDX-License-Identifier: GPL-2.0-only
/*
 * SVM: a vCPU executes one instruction for page trackers.
 *
 * It runs with TF, and all exceptions are intercepted: #DB comes behind the instruction.
 * What TF changes for others is kept from them:
 *
 *  - Without IF, and with NMIs blocked, AVIC and vNMI deliver nothing that would save TF.
 *  - PUSHF, POPF, IRET, INT n and INT1 are intercepted, and SYSCALL and SYSENTER fault: another
 *    vCPU may have put one there since the instruction was found to be none of these.
 *  - An IRET that is stepped loads TF, and IF if it may: they are the guest's then.
 *
 * All of that is set right before VMRUN and taken back right behind it.  Why a vCPU steps, and
 * what it has open meanwhile, is known to mmu/page_track_step.c.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kvm_host.h>

#include <asm/debugreg.h>
#include <asm/svm.h>

#include "mmu/page_track_step.h"
#include "x86.h"
#include "svm.h"

#define STEP_RFLAGS	(X86_EFLAGS_TF | X86_EFLAGS_IF)

/* Instructions that cannot be stepped, see mmu/page_track_step_insn.c. */
#define STEP_INTERCEPTS	(BIT(INTERCEPT_PUSHF % 32) | BIT(INTERCEPT_POPF % 32) | \
			 BIT(INTERCEPT_IRET % 32) | BIT(INTERCEPT_INTn % 32))
#define STEP_INTERCEPTS2 BIT(INTERCEPT_ICEBP % 32)

bool svm_can_step(struct kvm_vcpu *vcpu)
{
	struct vcpu_svm *svm = to_svm(vcpu);

	/* With nmi_singlestep, TF is KVM's already; with BTF, it is for branches only. */
	return !svm->nmi_singlestep && !(svm->vmcb->save.dbgctl & DEBUGCTLMSR_BTF);
}

static u32 step_intercepts(struct vcpu_svm *svm)
{
	/* It is an IRET that is stepped. */
	if (kvm_page_track_step_loads(&svm->vcpu))
		return STEP_INTERCEPTS & ~BIT(INTERCEPT_IRET % 32);

	return STEP_INTERCEPTS;
}

static void mark_changed(struct vmcb *vmcb)
{
	vmcb_mark_dirty(vmcb, VMCB_INTERCEPTS);
	vmcb_mark_dirty(vmcb, VMCB_INTR);
	vmcb_mark_dirty(vmcb, VMCB_CR);
	vmcb_mark_dirty(vmcb, VMCB_DR);
}

static void save_own(struct vcpu_svm *svm)
{
	struct svm_step *step = &svm->step;
	struct vmcb *vmcb = svm->vmcb;

	step->rip = vmcb->save.rip;
	step->rflags = vmcb->save.rflags;
	step->dr6 = vmcb->save.dr6;
	step->efer = vmcb->save.efer;
	step->sysenter_cs = svm->vmcb01.ptr->save.sysenter_cs;
	step->exceptions = vmcb->control.intercepts[INTERCEPT_EXCEPTION];
	step->intercepts[0] = vmcb->control.intercepts[INTERCEPT_WORD3];
	step->intercepts[1] = vmcb->control.intercepts[INTERCEPT_WORD4];
	step->nmi_blocking = vmcb->control.int_ctl & V_NMI_BLOCKING_MASK;
}

void svm_start_step(struct vcpu_svm *svm)
{
	struct vmcb *vmcb = svm->vmcb;

	save_own(svm);

	vmcb->save.rflags = (vmcb->save.rflags & ~STEP_RFLAGS) | X86_EFLAGS_TF;
	vmcb->save.dr6 = DR6_ACTIVE_LOW;
	vmcb->save.efer &= ~EFER_SCE;
	/* The CPU has it by VMLOAD, for nested guests as well. */
	svm->vmcb01.ptr->save.sysenter_cs = 0;
	vmcb->control.intercepts[INTERCEPT_EXCEPTION] = ~0;
	vmcb->control.intercepts[INTERCEPT_WORD3] |= step_intercepts(svm);
	vmcb->control.intercepts[INTERCEPT_WORD4] |= STEP_INTERCEPTS2;
	/* Of KVM, or of L1 for a nested guest. */
	if (vmcb->control.int_ctl & V_NMI_ENABLE_MASK)
		vmcb->control.int_ctl |= V_NMI_BLOCKING_MASK;
	mark_changed(vmcb);
}

static void unblock_nmis(struct vcpu_svm *svm)
{
	svm->vmcb->control.int_ctl &= ~V_NMI_BLOCKING_MASK;

	/* See nested_sync_control_from_vmcb02(). */
	if (is_guest_mode(&svm->vcpu))
		svm->nested.ctl.int_ctl &= ~V_NMI_BLOCKING_MASK;
}

/* Is there a #DB that is not of the step alone?  DR6 says so, which was clear before. */
static void find_db(struct svm_step *step, struct vmcb *vmcb)
{
	/* The guest, or whoever debugs it, may have set TF as well, or have breakpoints. */
	if (!(step->rflags & X86_EFLAGS_TF))
		vmcb->save.dr6 = kvm_page_track_step_dr6(vmcb->save.dr6 & ~DR6_BS,
							 vmcb->save.dr7);
	step->db = vmcb->save.dr6 != DR6_ACTIVE_LOW;
	if (step->db)
		vmcb->save.dr6 |= step->dr6 & ~DR6_ACTIVE_LOW;
	else
		vmcb->save.dr6 = step->dr6;
}

void svm_stop_step(struct vcpu_svm *svm)
{
	struct svm_step *step = &svm->step;
	struct vmcb *vmcb = svm->vmcb;

	/* An SMI may come before the #DB, which is lost then. */
	step->done = vmcb->save.dr6 & DR6_BS || vmcb->save.rip != step->rip;
	find_db(step, vmcb);

	vmcb->save.rflags = kvm_page_track_step_rflags(&svm->vcpu, step->done, step->rflags,
						       vmcb->save.rflags);
	vmcb->save.efer = step->efer;
	svm->vmcb01.ptr->save.sysenter_cs = step->sysenter_cs;
	vmcb->control.intercepts[INTERCEPT_EXCEPTION] = step->exceptions;
	vmcb->control.intercepts[INTERCEPT_WORD3] = step->intercepts[0];
	vmcb->control.intercepts[INTERCEPT_WORD4] = step->intercepts[1];
	if (vmcb->control.int_ctl & V_NMI_ENABLE_MASK && !step->nmi_blocking)
		unblock_nmis(svm);
	mark_changed(vmcb);
}

/* Is it intercepted for the step alone?  Another vCPU has put it there. */
static bool is_step_intercept(struct vcpu_svm *svm, u32 exit_code)
{
	u32 nr = exit_code - SVM_EXIT_INTR;

	if (exit_code == SVM_EXIT_ICEBP)
		return STEP_INTERCEPTS2 & ~svm->step.intercepts[1];

	return nr < 32 && step_intercepts(svm) & ~svm->step.intercepts[0] & BIT(nr);
}

bool svm_handle_step(struct kvm_vcpu *vcpu)
{
	struct vcpu_svm *svm = to_svm(vcpu);
	struct vmcb_control_area *control = &svm->vmcb->control;
	u32 vector = control->exit_code - SVM_EXIT_EXCP_BASE;
	bool steps_insn = kvm_page_track_steps_insn(vcpu);

	if (control->exit_code == SVM_EXIT_NPF ||
	    (vector == PF_VECTOR && !npt_enabled && !vcpu->arch.apf.host_apf_flags))
		return false;

	if (steps_insn && vector == DB_VECTOR) {
		kvm_page_track_end_step(vcpu, svm->step.done);
		return !svm->step.db;
	}

	/* One of the instruction, but for a #PF of the host. */
	if (steps_insn && vector < 32 &&
	    !(vector == PF_VECTOR && vcpu->arch.apf.host_apf_flags))
		return kvm_page_track_step_exception(vcpu, vector,
						     svm->step.exceptions & BIT(vector),
						     x86_exception_has_error_code(vector),
						     control->exit_info_1,
						     control->exit_info_2);

	kvm_page_track_end_step(vcpu, steps_insn && svm->step.done);
	return steps_insn && is_step_intercept(svm, control->exit_code);
}
