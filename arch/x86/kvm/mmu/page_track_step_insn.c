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

/*
 * The guest must not see TF, nor that IF is clear.  What reads, saves or writes them, or is
 * not followed by its #DB, cannot be stepped.
 */
bool page_track_can_step_insn(struct kvm_vcpu *vcpu)
{
	const struct x86_emulate_ctxt *ctxt = vcpu->arch.emulate_ctxt;

	if (ctxt->opcode_len == 2) {
		switch (ctxt->b) {
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
