/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A nested guest that does one operation at a time, as the host says.  What came of it, in
 * L2 or in L1, can be compared with what comes of it on other pages.
 */
#ifndef PAGE_TRACK_NESTED_OP_H
#define PAGE_TRACK_NESTED_OP_H

#include "kvm_util.h"

/*
 * What L2 stores to: four pages.  The second one is not in its page tables, and the last one
 * not in the NPT or EPT that L1 has for it, if it has one.
 */
#define NESTED_OP_VA	0x40000000ul
#define NESTED_OP_PAGES	4

enum nested_op_nr {
	NESTED_OP_NOTHING,
	NESTED_OP_SSE,		/* a store of four bytes */
	NESTED_OP_SSE_MOV,	/* the same, and a store by MOV one page further */
	NESTED_OP_SSE_IRET,	/* the same, and an IRET */
	NESTED_OP_X87,
	NESTED_OP_FXSAVE,
	NESTED_OP_TF_FXSAVE,	/* with TF set */
	NESTED_OP_DIVIDE,	/* by zero */
	NESTED_OP_CALL,		/* of fn */
};

/* The vector of interrupts that L1 takes, as it does NMIs. */
#define NESTED_OP_VECTOR	0x30

struct nested_op {
	enum nested_op_nr nr;
	uint64_t va;
	/* If there are interrupts meanwhile, no register of L2 stays what it is but RSP. */
	void (*fn)(void);
	uint32_t exceptions;	/* that L1 intercepts, a bit each */
	uint32_t pf_mask;	/* and, on Intel, #PF only if none of this is in the error code */
	bool inject;		/* L1 injects #DE, and then L2 does it */
	bool nmi_window;	/* on Intel, NMIs are blocked, and L1 wants to know for how long */
};

struct nested_op_outcome {
	/* Where the instruction is, and what follows it. */
	uint64_t rip;
	uint64_t behind;
	/* The exception that L2 took. */
	uint64_t nr_exceptions;
	uint64_t vector;
	uint64_t error_code;
	uint64_t exception_rip;
	uint64_t exception_rflags;
	uint64_t dr6;
	/* Behind it, in L2. */
	uint64_t rflags;
	uint64_t cr2;
	/* The exit that L1 had instead of L2's end. */
	uint64_t exit;
	uint64_t info[7];
	uint64_t exit_rip;
	uint64_t exit_rflags;
	/* Those of L1. */
	uint64_t nr_interrupts;
	uint64_t nr_nmis;
};

struct nested_vm {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
	uint64_t gpa;		/* of the pages */
	uint64_t stack_gpa;	/* of L2's stack, a page */
};

/* With @tdp, L1 has an NPT or EPT.  Skips without SVM and VMX. */
void nested_op_create(struct nested_vm *n, bool tdp);

/* What nested_op_run() does, in steps, with KVM_RUN between the two. */
void nested_op_start(struct nested_vm *n, const struct nested_op *op);
void nested_op_end(struct nested_vm *n, struct nested_op_outcome *outcome);
void nested_op_run(struct nested_vm *n, const struct nested_op *op,
		   struct nested_op_outcome *outcome);

#endif /* PAGE_TRACK_NESTED_OP_H */
