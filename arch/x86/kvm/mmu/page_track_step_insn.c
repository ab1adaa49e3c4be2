// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page tracking, layer 2: which instructions the CPU can step, see page_track_step.c.
 *
 * How it steps, and what for, is not known here.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kvm_host.h>

#include "kvm_emulate.h"
#include "page_track_step.h"
#include "x86.h"

/*
 * The guest must not see TF, nor that IF is clear.  What reads, saves or writes them, or is
 * not followed by its #DB, cannot be stepped.
 */
bool page_track_can_step_insn(struct kvm_vcpu *vcpu)
{
	const struct x86_emulate_ctxt *ctxt = vcpu->arch.emulate_ctxt;

	if (ctxt->opcode_len == 2) {
		switch (ctxt->b) {
		case 0x01:		/* VMRUN to INVLPGA: VMSAVE saves SYSENTER_CS */
			if (ctxt->modrm >= 0xd8 && ctxt->modrm <= 0xdf)
				return false;
			break;
		case 0x05:		/* SYSCALL */
		case 0x07:		/* SYSRET */
		case 0x34:		/* SYSENTER */
		case 0x35:		/* SYSEXIT */
		case 0xb2:		/* LSS */
			return false;
		}
	}

	if (ctxt->opcode_len == 1) {
		switch (ctxt->b) {
		case 0x17:		/* POP SS */
		case 0x8e:		/* MOV to a segment register */
		case 0x9c:		/* PUSHF */
		case 0x9d:		/* POPF */
		case 0xcc ... 0xcf:	/* INT3, INT n, INTO, IRET */
		case 0xf1:		/* INT1 */
		case 0xfa:		/* CLI */
		case 0xfb:		/* STI */
			return false;
		}
	}

	return kvm_x86_call(can_step)(vcpu);
}

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
