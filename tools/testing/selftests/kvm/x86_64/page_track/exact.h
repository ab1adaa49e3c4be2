/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One instruction on a page that is not tracked, and on the same page when it is:
 * what the guest can see of both has to be the same.
 *
 * The first 16 pages of the tiny guest, each at va = gpa in any mode, have what the
 * instruction needs.  Its exceptions and its end are an OUT, at which KVM_RUN returns.
 */
#ifndef SELFTEST_KVM_PAGE_TRACK_EXACT_H
#define SELFTEST_KVM_PAGE_TRACK_EXACT_H

#define EXACT_IDT_GPA		0x2000
#define EXACT_GDT_GPA		0x3000
#define EXACT_TSS_GPA		0x3800
#define EXACT_HANDLER_GPA	0x4000
#define EXACT_LANDING		0x4f00	/* where a call leads to */
#define EXACT_STACK_GPA		0x5000	/* of exceptions in 64-bit mode */
#define EXACT_CODE_GPA		0x6000
#define EXACT_CODE_END		0xc000
#define EXACT_SRC_GPA		0xc000
#define EXACT_GPA		0xd000
#define EXACT_DST		(EXACT_GPA + 0x340)
#define EXACT_TOP		(EXACT_GPA + 0x800)	/* of the stack */

#define EXACT_END_PORT		0x70
#define EXACT_FAULT_PORT	0x71
#define EXACT_CODE_SIZE		32
#define EXACT_ANY		255	/* as many events as there are */
#define EXACT_IF	0x200ul
#define EXACT_DR6	0xffff0ff0ul	/* as nothing has happened */
#define EXACT_SOURCE		256	/* the crossing operand is the source */

#ifndef __ASSEMBLER__

#include "tracker.h"

/* Of insns.S. */
struct exact_insn {
	uint16_t nr;
	uint16_t len;
	uint16_t undefined;
	char name[58];
};

extern const struct exact_insn exact_64[], exact_64_end[];
extern const struct exact_insn exact_32[], exact_32_end[];
extern const struct exact_insn exact_16[], exact_16_end[];
extern const struct exact_insn exact_cross_64[], exact_cross_64_end[];
extern const struct exact_insn exact_cross_32[], exact_cross_32_end[];
extern const struct exact_insn exact_cross_16[], exact_cross_16_end[];
extern const struct exact_insn exact_step[], exact_step_end[];
extern const char exact_64_code[], exact_32_code[], exact_16_code[];
extern const char exact_cross_64_code[], exact_cross_32_code[], exact_cross_16_code[];
extern const char exact_step_code[];

/* Of torn.S. */
extern const char exact_torn_code[], exact_torn_code_end[];

#define EXACT_MAX_PAGES	4
#define EXACT_MAX_MMIO	16

/* What the guest can see, and the VMM. */
struct exact_outcome {
	int err;		/* of KVM_RUN, EINTR if it did not return */
	uint32_t exit;
	int vector;		/* -1 if the instruction has ended */
	uint32_t error_code;
	uint64_t cr2;
	struct kvm_regs regs;	/* of the instruction's end, or of its fault */
	struct kvm_fpu fpu;
	uint64_t dr6;
	uint8_t shadow;		/* of STI or of a load of SS */
	uint8_t nmi_masked;
	int nr_mmio;
	struct {
		uint64_t gpa;
		uint32_t len;
		uint32_t is_write;
		uint64_t data;
	} mmio[EXACT_MAX_MMIO];
	uint32_t pages;		/* a bit for each that follows */
	uint8_t mem[EXACT_MAX_PAGES][PAGE_SIZE];
};

/* A guest with handlers and tables, and the pages that an outcome has. */
struct exact {
	struct tiny_guest *g;
	int bits;		/* 64, 32, or 16 in real mode */
	uint8_t *mem[EXACT_MAX_PAGES];
};

/* Prepare @g, of any mode, to run instructions.  The page is that at EXACT_GPA. */
void exact_init(struct exact *x, struct tiny_guest *g, int bits);
/* Is real mode virtual-8086 mode there, where the CPU can step nothing? */
bool exact_is_vm86(struct exact *x);
/* Fill page @i with bytes that all differ from their neighbours. */
void exact_fill(struct exact *x, int i);
/* What is in it then. */
const uint8_t *exact_filled(int i);
/* Registers and FPU that all instructions start with. */
struct kvm_regs exact_regs(struct exact *x);
void exact_reset(struct exact *x, const struct kvm_regs *regs);
/* Run from where the vCPU is to the end, to an exception, or until KVM_RUN fails. */
void exact_run(struct exact *x, struct exact_outcome *o);
bool exact_has_ended(const struct exact_outcome *o);
/* Stop tracking a page, which may be given up. */
void exact_untrack(struct tracker *t, uint64_t gpa);
/* Print what differs.  False if anything does. */
bool exact_is_same(struct exact *x, const char *name, const struct exact_outcome *want,
		   const struct exact_outcome *got, uint64_t undefined);

/* Run a table of instructions in @nr_states states of registers and memory each. */
#define EXACT_NR_STATES	4
void exact_run_table(struct exact *x, const struct exact_insn *insns,
		     const struct exact_insn *end, const char *code, int nr_states);
/* The same, but the CPU steps what KVM cannot emulate. */
void exact_step_table(struct exact *x, const struct exact_insn *insns,
		      const struct exact_insn *end, const char *code, int nr_states);

/*
 * A group of pages, at va = gpa: one of a kind of its own between two that are RAM, and
 * another one for what does not cross.  In real mode, DS, ES and SS start at the group.
 */
enum exact_kind {
	EXACT_PRESENT,
	EXACT_TRACKED,		/* by the test, as its neighbour */
	EXACT_HOST_RO,		/* PROT_READ in the VMM */
	EXACT_HOST_ABSENT,	/* unmapped there */
	EXACT_ABSENT,		/* in the guest's tables */
	EXACT_GUEST_RO,
	EXACT_READONLY_SLOT,
	EXACT_NO_SLOT,
	EXACT_NR_KINDS,
};

enum exact_page {
	EXACT_BEFORE,
	EXACT_OTHER,
	EXACT_BEHIND,
	EXACT_PLAIN,
	EXACT_NR_GROUP_PAGES,
};

const char *exact_kind_name(enum exact_kind kind);
uint64_t exact_group_gpa(enum exact_kind kind);
/* Have the group's pages as those of an outcome. */
void exact_init_group(struct exact *x, enum exact_kind kind);
/* Make the page what its kind says, and RAM again.  The guest's tables take a run each. */
void exact_break_page(struct exact *x, enum exact_kind kind);
void exact_mend_page(struct exact *x, enum exact_kind kind);

#endif /* __ASSEMBLER__ */
#endif /* SELFTEST_KVM_PAGE_TRACK_EXACT_H */
