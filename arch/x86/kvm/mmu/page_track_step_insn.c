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
#include "page_track_step.h"
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
 * not followed by its #DB, cannot be stepped.
 */
bool page_track_can_step_insn(struct kvm_vcpu *vcpu)
{
	const struct x86_emulate_ctxt *ctxt = vcpu->arch.emulate_ctxt;

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
		case 0xcc ... 0xcf:	/* INT3, INT n, INTO, IRET */
		case 0xf1:		/* INT1 */
		case 0xfa:		/* CLI */
		case 0xfb:		/* STI */
			return false;
		}
	}

	return kvm_x86_call(can_step)(vcpu);
}

/*
 * Is it an exception of an instruction that can be stepped?  Else it comes from what vendor
 * code forbids in a step, as the guest's code was changed under it.
 */
static bool can_step_raise(struct kvm_vcpu *vcpu, u8 vector)
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

bool kvm_page_track_step_exception(struct kvm_vcpu *vcpu, u8 vector, bool intercepted,
				   bool has_error, u32 error, gva_t address)
{
	struct x86_exception fault = {
		.vector = vector,
		.error_code_valid = true,
		.error_code = error,
		.address = address,
	};

	kvm_page_track_end_step(vcpu, false);

	/* The guest takes it, or executes what it has made of the instruction. */
	if (!can_step_raise(vcpu, vector) ||
	    (vector == UD_VECTOR && !page_track_is_undefined(vcpu)))
		return true;

	if (intercepted)
		return false;

	if (vector == PF_VECTOR)
		kvm_inject_page_fault(vcpu, &fault, true);
	else if (has_error)
		kvm_queue_exception_e(vcpu, vector, error);
	else
		kvm_queue_exception(vcpu, vector);

	return true;
}
EXPORT_SYMBOL_GPL(kvm_page_track_step_exception);
