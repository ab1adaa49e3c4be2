/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A tiny guest for tests of shadowed page tables.
 *
 * The host lays out the guest's page tables, has the guest execute one
 * instruction at a time on any virtual address, e.g. a store to one of these
 * tables, and knows from a walk of its own what each load has to return.  The
 * instructions are the same bytes in 32-bit and 64-bit mode, so that any paging
 * mode can be tested.  The guest has no IDT: each fault ends in a shutdown,
 * which the host takes as the result.
 */
#ifndef SELFTEST_KVM_PAGE_TRACK_GUEST_H
#define SELFTEST_KVM_PAGE_TRACK_GUEST_H

#include "tables.h"

enum tg_op {
	TG_LOAD,	/* eax = *rdi */
	TG_STORE1,	/* *rdi = al, and so on */
	TG_STORE2,
	TG_STORE4,
	TG_STORE8,	/* 64-bit mode only */
	TG_STORE8_MMX,	/* *rdi = edx:eax */
	TG_STORE16_SSE,	/* *rdi = edx:eax, twice */
	TG_XCHG1,
	TG_XCHG2,
	TG_XCHG4,
	TG_XCHG8,	/* 64-bit mode only */
	TG_LOCK_OR4,
	TG_LOCK_AND4,
	TG_LOCK_XADD4,
	TG_CMPXCHG4,	/* if *rdi == eax, *rdi = ecx */
	TG_CMPXCHG8,	/* 64-bit mode only */
	TG_CMPXCHG8B,	/* if *rdi == edx:eax, *rdi = ecx:ebx */
	TG_CMPXCHG16B,	/* 64-bit mode only */
	TG_REP_STOS4,	/* ecx times eax from rdi on */
	TG_REP_MOVS1,	/* ecx bytes from rsi on to rdi on */
	TG_PUSH,	/* to the stack below rdi: rax, or eax in 32-bit code */
	TG_FXSAVE,	/* 512 bytes at rdi */
	TG_XSAVE,	/* as many as edx:eax asks for, at rdi */
	TG_STORE32_AVX,	/* 32 bytes, zero unless the host sets ymm0 */
	TG_STORE4_SSE,	/* *rdi = xmm0 */
	TG_STORE4_MOVD,	/* *rdi = eax, which KVM cannot emulate */
	TG_SPIN_FXSAVE,	/* fxsave for ever */
	TG_INVLPG,
	TG_WRITE_CR3,	/* cr3 = rax */
	TG_FLUSH_CR4,	/* toggle CR4.PGE twice, ecx is a scratch register */
	TG_SPIN4,	/* *rdi = eax until *rsi is not 0, then *rdi = edx */
	TG_CALL,	/* through *rsi, with the stack below rdi; 64-bit mode only */
	TG_INS1,	/* a byte of port dx to *rdi */
	TG_PUSHA,	/* to the stack below rdi; 32-bit code only */
	NR_TG_OPS,
};

void tg_init(struct tiny_guest *g, enum tg_mode mode);
void tg_free(struct tiny_guest *g);
/* Add a vCPU on the page tables of @g, seen through @new. */
void tg_add_vcpu(const struct tiny_guest *g, struct tiny_guest *new, uint32_t id);
/* Start the vCPU over, with g->root. */
void tg_reset_vcpu(struct tiny_guest *g);

/* Have the guest's AVX and XSAVE work.  False if the CPU has none: skip the case. */
bool tg_enable_avx(struct tiny_guest *g);

/* Does KVM shadow the page tables of @g? */
bool tg_shadowed(void);

/* The code of the operations. */
extern const char tg_ops[];
extern const char tg_ops_end[];

/* What tg_run() does, in three steps: start @op, run the vCPU, see if @op has ended. */
void tg_start(struct tiny_guest *g, enum tg_op op, const struct kvm_regs *regs);
bool tg_has_ended(struct tiny_guest *g);
void tg_assert_ended(struct tiny_guest *g);
/* Where the code of @op is. */
uint64_t tg_op_rip(enum tg_op op);
/* Have the guest do one @op.  False if it faulted, which resets the vCPU. */
bool tg_run(struct tiny_guest *g, enum tg_op op, struct kvm_regs *regs);
/* Four bytes at @va, or TG_FAULT. */
uint64_t tg_load(struct tiny_guest *g, uint64_t va);
void tg_store(struct tiny_guest *g, uint64_t va, uint64_t val, int size);
/* Store a whole entry to the table entry at @gpa. */
void tg_edit(struct tiny_guest *g, uint64_t gpa, uint64_t entry);
/*
 * Point the entry for @va at @level to new tables that lead to @gpa.  Flush only
 * what no shadow MMU can know of: the CPU's own TLB, and the PDPTEs of PAE.
 */
void tg_redirect(struct tiny_guest *g, uint64_t va, int level, uint64_t gpa);
/* After an edit of an upper level, drop what the CPU alone caches for @va. */
void tg_settle(struct tiny_guest *g, uint64_t va);
void tg_invlpg(struct tiny_guest *g, uint64_t va);
void tg_set_cr3(struct tiny_guest *g, uint64_t root);
void tg_flush(struct tiny_guest *g);

#endif /* SELFTEST_KVM_PAGE_TRACK_GUEST_H */
