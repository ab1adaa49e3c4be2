// SPDX-License-Identifier: GPL-2.0-only
/*
 * VMX: a vCPU executes one instruction for page trackers.
 *
 * It runs with TF, and all exceptions are intercepted: #DB comes behind the instruction.
 * What TF changes for others is kept from them:
 *
 *  - Without IF, APICv, or L1's of a nested guest, delivers nothing that would save TF.
 *  - SYSCALL, SYSENTER and INT n, for which there is no intercept, fault: another vCPU may have
 *    put one there since the instruction was found to be none of these.
 *  - An IRET that is stepped loads TF, and IF if it may: they are the guest's then.
 *  - With TF in an interrupt shadow, the CPU wants a pending #DB, though the instruction is to
 *    come still: the shadow is taken away, and given back if it was not executed.
 *
 * All of that is set right before the entry and taken back right behind the exit.  If another
 * exit comes behind the instruction, a pending #DB says that it was executed.  Why a vCPU steps,
 * and what it has open meanwhile, is known to mmu/page_track_step.c.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kvm_host.h>

#include <asm/debugreg.h>
#include <asm/vmx.h>

#include "mmu/page_track_step.h"
#include "x86.h"
#include "vmx.h"
#include "x86_ops.h"

#define STEP_RFLAGS	(X86_EFLAGS_TF | X86_EFLAGS_IF)

bool vmx_can_step(struct kvm_vcpu *vcpu)
{
	/* A #DB that waits for the end of a shadow cannot wait without it. */
	if (vmx_get_interrupt_shadow(vcpu) && vmcs_readl(GUEST_PENDING_DBG_EXCEPTIONS))
		return false;

	/* With BTF, TF is for branches only. */
	return !to_vmx(vcpu)->rmode.vm86_active && cpu_has_load_ia32_efer() &&
	       !(vmcs_read64(GUEST_IA32_DEBUGCTL) & DEBUGCTLMSR_BTF);
}

/*
 * Have SYSCALL, SYSENTER and INT n fault.  With "load IA32_EFER", only the VMCS is written.
 * The exceptions are intercepted and need no IDT.
 */
static void forbid_syscalls(struct vcpu_vmx *vmx)
{
	vmx->step.efer = vmx->vcpu.arch.efer;
	vmx->step.sysenter_cs = vmcs_read32(GUEST_SYSENTER_CS);
	vmx->step.idt_limit = vmcs_read32(GUEST_IDTR_LIMIT);

	if (vmx->step.efer & EFER_SCE) {
		vmx->vcpu.arch.efer &= ~EFER_SCE;
		update_transition_efer(vmx);
	}
	vmcs_write32(GUEST_SYSENTER_CS, 0);
	vmcs_write32(GUEST_IDTR_LIMIT, 0);
}

static void allow_syscalls(struct vcpu_vmx *vmx)
{
	if (vmx->step.efer & EFER_SCE) {
		vmx->vcpu.arch.efer = vmx->step.efer;
		update_transition_efer(vmx);
	}
	vmcs_write32(GUEST_SYSENTER_CS, vmx->step.sysenter_cs);
	vmcs_write32(GUEST_IDTR_LIMIT, vmx->step.idt_limit);
}

static void intercept_all_exceptions(struct vmx_step *step)
{
	step->exceptions = vmcs_read32(EXCEPTION_BITMAP);
	step->pf_mask = vmcs_read32(PAGE_FAULT_ERROR_CODE_MASK);
	step->pf_match = vmcs_read32(PAGE_FAULT_ERROR_CODE_MATCH);

	vmcs_write32(EXCEPTION_BITMAP, ~0);
	vmcs_write32(PAGE_FAULT_ERROR_CODE_MASK, 0);
	vmcs_write32(PAGE_FAULT_ERROR_CODE_MATCH, 0);
}

static void intercept_own_exceptions(const struct vmx_step *step)
{
	vmcs_write32(EXCEPTION_BITMAP, step->exceptions);
	vmcs_write32(PAGE_FAULT_ERROR_CODE_MASK, step->pf_mask);
	vmcs_write32(PAGE_FAULT_ERROR_CODE_MATCH, step->pf_match);
}

void vmx_start_step(struct vcpu_vmx *vmx)
{
	struct vmx_step *step = &vmx->step;

	step->rflags = vmcs_readl(GUEST_RFLAGS);
	step->shadow = vmx_get_interrupt_shadow(&vmx->vcpu);

	vmx_set_interrupt_shadow(&vmx->vcpu, 0);
	/* Bochs has one pending after an EPT violation, too, before the instruction. */
	vmcs_writel(GUEST_PENDING_DBG_EXCEPTIONS,
		    vmcs_readl(GUEST_PENDING_DBG_EXCEPTIONS) & ~DR6_BS);
	vmcs_writel(GUEST_RFLAGS, (step->rflags & ~STEP_RFLAGS) | X86_EFLAGS_TF);
	intercept_all_exceptions(step);
	forbid_syscalls(vmx);

	/* NMIs are not injected, and a window for them may be open without the shadow. */
	step->nmi_window = exec_controls_get(vmx) & CPU_BASED_NMI_WINDOW_EXITING;
	exec_controls_clearbit(vmx, CPU_BASED_NMI_WINDOW_EXITING);
}

void vmx_stop_step(struct vcpu_vmx *vmx)
{
	unsigned long pending = vmcs_readl(GUEST_PENDING_DBG_EXCEPTIONS);
	struct vmx_step *step = &vmx->step;

	/* Behind the instruction, another exit may have come before the #DB. */
	step->pending = pending & DR6_BS;

	/* If it has come to its end is seen later. */
	step->rflags_behind = vmcs_readl(GUEST_RFLAGS);
	vmcs_writel(GUEST_RFLAGS, kvm_page_track_step_rflags(&vmx->vcpu, false, step->rflags,
							     step->rflags_behind));
	if (!(step->rflags & X86_EFLAGS_TF))
		vmcs_writel(GUEST_PENDING_DBG_EXCEPTIONS, pending & ~DR6_BS);

	allow_syscalls(vmx);
	intercept_own_exceptions(step);

	/* L1 may have asked for it. */
	if (step->nmi_window)
		exec_controls_setbit(vmx, CPU_BASED_NMI_WINDOW_EXITING);
}

/* The instruction was executed: the guest has what it has loaded. */
static void load_rflags(struct kvm_vcpu *vcpu)
{
	struct vmx_step *step = &to_vmx(vcpu)->step;

	if (kvm_page_track_step_loads(vcpu))
		vmx_set_rflags(vcpu, kvm_page_track_step_rflags(vcpu, true, step->rflags,
								step->rflags_behind));
}

/* The #DB behind a step.  Returns whether the exit is handled with that. */
static bool end_step(struct kvm_vcpu *vcpu)
{
	unsigned long dr6 = vmx_get_exit_qual(vcpu);
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	load_rflags(vcpu);
	kvm_page_track_end_step(vcpu, true);

	/* The guest, or whoever debugs it, may have set TF as well, or have breakpoints. */
	if (vmx->step.rflags & X86_EFLAGS_TF)
		return false;

	vmx->exit_qualification = kvm_page_track_step_dr6(dr6 & ~DR6_BS, vmcs_readl(GUEST_DR7));
	return !vmx->exit_qualification;
}

/* Does KVM want it, or L1?  If L1 wants a #PF is up to the error code, when it is queued. */
static bool intercepts_exception(struct vcpu_vmx *vmx, u8 vector)
{
	if (vector == PF_VECTOR && is_guest_mode(&vmx->vcpu))
		return vmx_need_pf_intercept(&vmx->vcpu);

	return vmx->step.exceptions & BIT(vector);
}

/*
 * What KVM intercepts for the step alone is the guest's, but for a #PF of the host.  A #UD
 * or a #GP may be due to the step.
 */
static bool is_step_exception(struct kvm_vcpu *vcpu, u32 intr_info)
{
	if (is_invalid_opcode(intr_info) || is_gp_fault(intr_info))
		return true;

	if (is_nmi(intr_info) ||
	    intercepts_exception(to_vmx(vcpu), intr_info & INTR_INFO_VECTOR_MASK))
		return false;

	return !is_page_fault(intr_info) || !vcpu->arch.apf.host_apf_flags;
}

/* The vCPU stays in the view for a fault of KVM's own: it may be that of an open page. */
static bool is_mmu_fault(struct kvm_vcpu *vcpu, u32 intr_info)
{
	u16 reason = to_vmx(vcpu)->exit_reason.basic;

	return reason == EXIT_REASON_EPT_VIOLATION || reason == EXIT_REASON_EPT_MISCONFIG ||
	       (is_page_fault(intr_info) && !enable_ept && !vcpu->arch.apf.host_apf_flags);
}

/* Any other exit than an exception of the step, or than a fault. */
static bool handle_other(struct kvm_vcpu *vcpu)
{
	bool done = kvm_page_track_steps_insn(vcpu) && to_vmx(vcpu)->step.pending;

	if (done)
		load_rflags(vcpu);
	kvm_page_track_end_step(vcpu, done);
	return false;
}

static bool handle_exception(struct kvm_vcpu *vcpu, u32 intr_info)
{
	u8 vector = intr_info & INTR_INFO_VECTOR_MASK;
	u32 error = 0;

	if (intr_info & INTR_INFO_DELIVER_CODE_MASK)
		error = vmcs_read32(VM_EXIT_INTR_ERROR_CODE);

	return kvm_page_track_step_exception(vcpu, vector,
					     intercepts_exception(to_vmx(vcpu), vector),
					     intr_info & INTR_INFO_DELIVER_CODE_MASK,
					     error, vmx_get_exit_qual(vcpu));
}

bool vmx_handle_step(struct kvm_vcpu *vcpu, fastpath_t exit_fastpath)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	bool is_exception = vmx->exit_reason.basic == EXIT_REASON_EXCEPTION_NMI;
	bool steps_insn = kvm_page_track_steps_insn(vcpu), is_fault;
	u32 intr_info = is_exception ? vmx_get_intr_info(vcpu) : 0;

	/* The guest was not entered. */
	if (vmx->fail || vmx->exit_reason.failed_vmentry) {
		kvm_page_track_end_step(vcpu, false);
		return false;
	}

	if (steps_insn && is_debug(intr_info) && vmx_get_exit_qual(vcpu) & DR6_BS)
		return end_step(vcpu);

	is_fault = is_mmu_fault(vcpu, intr_info);

	/* The instruction was not executed, whatever is pending, nor has KVM done it. */
	if (steps_insn && exit_fastpath == EXIT_FASTPATH_NONE &&
	    (is_fault || !vmx->step.pending))
		vmx_set_interrupt_shadow(vcpu, vmx->step.shadow);

	if (is_fault)
		return false;

	if (!steps_insn || !is_exception || !is_step_exception(vcpu, intr_info))
		return handle_other(vcpu);

	return handle_exception(vcpu, intr_info);
}
