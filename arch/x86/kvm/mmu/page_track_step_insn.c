// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page tracking, layer 2: which instructions the CPU can step, and which exceptions are
 * theirs, see page_track_step.c.
 *
 * How it steps, and what for, is not known here.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kvm_host.h>

#include "kvm_emulate.h"
#include "page_track_step_insn.h"
#include "x86.h"

static bool has_operand_size_prefix(const struct x86_emulate_ctxt *ctxt)
{
	const u8 *byte;

	for (byte = ctxt->fetch.data; byte < ctxt->fetch.ptr && *byte != 0x0f; byte++) {
		if (*byte == 0x66)
			return true;
	}

	return false;
}

/*
 * The guest must not see TF, nor that IF is clear.  What reads, saves or writes them, or is
 * not followed by its #DB, cannot be stepped.  But IRET loads both, and all that INT n and
 * INT3 do is to lead to an event.
 */
bool page_track_can_step_insn(struct kvm_vcpu *vcpu)
{
	const struct x86_emulate_ctxt *ctxt = vcpu->arch.emulate_ctxt;

	/* KVM could not read it. */
	if (!ctxt->opcode_len)
		return false;

	if (ctxt->opcode_len == 2) {
		switch (ctxt->b) {
		case 0x01:		/* ENCLU; VMRUN to INVLPGA: VMSAVE saves SYSENTER_CS */
			if (ctxt->modrm >= 0xd7 && ctxt->modrm <= 0xdf)
				return false;
			break;
		case 0x05:		/* SYSCALL */
		case 0x07:		/* SYSRET */
		case 0x34:		/* SYSENTER */
		case 0x35:		/* SYSEXIT */
		case 0xb2:		/* LSS */
			return false;
		case 0xae:		/* TPAUSE, as long as it likes; not MFENCE */
			if (ctxt->modrm >= 0xf0 && ctxt->modrm <= 0xf7 &&
			    has_operand_size_prefix(ctxt))
				return false;
			break;
		}
	}

	if (ctxt->opcode_len == 1) {
		switch (ctxt->b) {
		case 0x17:		/* POP SS */
		case 0x8e:		/* MOV to a segment register */
		case 0x9c:		/* PUSHF */
		case 0x9d:		/* POPF */
			return false;
		case 0xc7:		/* XBEGIN */
			if (ctxt->modrm == 0xf8)
				return false;
			break;
		case 0xcc ... 0xce:	/* INT3, INT n, INTO */
		case 0xf1:		/* INT1 */
		case 0xfa:		/* CLI */
		case 0xfb:		/* STI */
			return false;
		}
	}

	return kvm_x86_call(can_step)(vcpu);
}

/* IRET loads TF, and IF if it may change that. */
enum kvm_page_track_step_kind page_track_insn_kind(struct kvm_vcpu *vcpu)
{
	const struct x86_emulate_ctxt *ctxt = vcpu->arch.emulate_ctxt;
	int iopl = (kvm_get_rflags(vcpu) & X86_EFLAGS_IOPL) >> X86_EFLAGS_IOPL_BIT;

	if (ctxt->opcode_len != 1 || ctxt->b != 0xcf)
		return KVM_PAGE_TRACK_STEP_INSN;

	return kvm_x86_call(get_cpl)(vcpu) > iopl ? KVM_PAGE_TRACK_STEP_LOADS_TF :
						    KVM_PAGE_TRACK_STEP_LOADS_TF_IF;
}

/* What INT n and INT3 lead to can be injected, with the length of the instruction. */
bool page_track_is_soft_int(struct kvm_vcpu *vcpu)
{
	const struct x86_emulate_ctxt *ctxt = vcpu->arch.emulate_ctxt;

	if (ctxt->opcode_len != 1 || !is_protmode(vcpu) ||
	    kvm_get_rflags(vcpu) & X86_EFLAGS_VM)
		return false;

	/* A breakpoint may be the VMM's, or L1's. */
	return ctxt->b == 0xcd ||
	       (ctxt->b == 0xcc && !is_guest_mode(vcpu) &&
		!(vcpu->guest_debug & KVM_GUESTDBG_USE_SW_BP));
}

void page_track_inject_soft_int(struct kvm_vcpu *vcpu)
{
	const struct x86_emulate_ctxt *ctxt = vcpu->arch.emulate_ctxt;

	vcpu->arch.event_exit_inst_len = ctxt->_eip - ctxt->eip;
	if (ctxt->b == 0xcc)
		kvm_requeue_exception(vcpu, BP_VECTOR);
	else
		kvm_queue_interrupt(vcpu, ctxt->src.val, true);
	kvm_make_request(KVM_REQ_EVENT, vcpu);
}

/*
 * Is it an exception of an instruction that can be stepped?  Else it comes from what vendor
 * code forbids in a step, as the guest's code was changed under it.
 */
bool page_track_can_step_raise(struct kvm_vcpu *vcpu, u8 vector)
{
	switch (vector) {
	case BP_VECTOR:
	case OF_VECTOR:
		/* Those of INT3 and INTO. */
		return false;
	case UD_VECTOR:
	case GP_VECTOR:
		/* The code may be gone; that the emulator does not know it says nothing. */
		x86_decode_emulated_instruction(vcpu, 0, NULL, 0);
		return !vcpu->arch.emulate_ctxt->have_exception &&
		       page_track_can_step_insn(vcpu);
	}

	return true;
}
