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
#ifndef SELFTEST_KVM_PAGE_TRACK_H
#define SELFTEST_KVM_PAGE_TRACK_H

#include "kvm_util.h"
#include "processor.h"

enum pt_mode {
	PT_32,		/* two levels of 1024 entries, 4 bytes each */
	PT_PAE,		/* three levels, the upper one with 4 entries only */
	PT_4LEVEL,
	NR_PT_MODES,
};

#define PT_32_BIT	BIT(PT_32)
#define PT_PAE_BIT	BIT(PT_PAE)
#define PT_4LEVEL_BIT	BIT(PT_4LEVEL)
#define PT_ALL_MODES	(PT_32_BIT | PT_PAE_BIT | PT_4LEVEL_BIT)

/* Slots.  A data page holds its own gpa in its first 8 bytes. */
#define PT_CODE_SLOT	0
#define PT_CODE_GPA	0x0ul
#define PT_CODE_PAGES	16
#define PT_OP_GPA	0x1000ul
#define PT_ARENA_SLOT	1
#define PT_ARENA_GPA	0x200000ul
#define PT_ARENA_PAGES	512
#define PT_DATA_SLOT	2
#define PT_DATA_GPA	0x400000ul
#define PT_DATA_PAGES	512
#define PT_NR_SLOTS	3

/* The arena, i.e. the page tables, as the guest sees it.  Code is at va = gpa. */
#define PT_EDIT_VA	0x80000000ul

/* Present, writable, accessed, dirty: KVM has nothing to set. */
#define PT_FLAGS	0x63ul
#define PT_PS		0x80ul
#define PT_PCD		0x10ul

/* No data page has this number, see pt_load(). */
#define PT_FAULT	(~0ul)

enum pt_op {
	PT_LOAD,	/* eax = *rdi */
	PT_STORE1,	/* *rdi = al, and so on */
	PT_STORE2,
	PT_STORE4,
	PT_STORE8,	/* 64-bit mode only */
	PT_STORE8_MMX,	/* *rdi = edx:eax */
	PT_STORE16_SSE,	/* *rdi = edx:eax, twice */
	PT_XCHG1,
	PT_XCHG2,
	PT_XCHG4,
	PT_XCHG8,	/* 64-bit mode only */
	PT_LOCK_OR4,
	PT_LOCK_AND4,
	PT_LOCK_XADD4,
	PT_CMPXCHG4,	/* if *rdi == eax, *rdi = ecx */
	PT_CMPXCHG8,	/* 64-bit mode only */
	PT_CMPXCHG8B,	/* if *rdi == edx:eax, *rdi = ecx:ebx */
	PT_CMPXCHG16B,	/* 64-bit mode only */
	PT_REP_STOS4,	/* ecx times eax from rdi on */
	PT_REP_MOVS1,	/* ecx bytes from rsi on to rdi on */
	PT_PUSH,	/* to the stack below rdi: rax, or eax in 32-bit code */
	PT_FXSAVE,	/* 512 bytes at rdi */
	PT_XSAVE,	/* as many as edx:eax asks for, at rdi */
	PT_STORE32_AVX,	/* 32 bytes, zero unless the host sets ymm0 */
	PT_INVLPG,
	PT_WRITE_CR3,	/* cr3 = rax */
	PT_FLUSH_CR4,	/* toggle CR4.PGE twice, ecx is a scratch register */
	PT_SPIN4,	/* *rdi = eax until *rsi is not 0, then *rdi = edx */
	PT_CALL,	/* through *rsi, with the stack below rdi; 64-bit mode only */
	PT_INS1,	/* a byte of port dx to *rdi */
	PT_PUSHA,	/* to the stack below rdi; 32-bit code only */
	NR_PT_OPS,
};

/* A vCPU with the page tables that it uses.  Copies may share a VM. */
struct pt_guest {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
	enum pt_mode mode;
	uint64_t root;		/* gpa of the root table */
	uint64_t next;		/* gpa of the first free page of the arena */
	const char *skip;	/* set by a case that cannot be tested: why */
};

struct pt_case {
	const char *name;
	void (*fn)(struct pt_guest *g);
	unsigned int modes;	/* PT_*_BIT */
	bool needs_stats;	/* skip on a kernel without page_track_* */
};

/* Run each case in each of its modes, in a VM of its own.  Print TAP, exit. */
void pt_run_cases(const struct pt_case *cases, int nr);
/* The number of rounds that option -n asks for.  Any other option ends the test. */
int pt_get_rounds(int argc, char *argv[], int by_default);

void pt_guest_init(struct pt_guest *g, enum pt_mode mode);
void pt_guest_free(struct pt_guest *g);
/* Add a vCPU on the page tables of @g, seen through @new. */
void pt_add_vcpu(const struct pt_guest *g, struct pt_guest *new, uint32_t id);
/* Start the vCPU over, with g->root. */
void pt_reset_vcpu(struct pt_guest *g);
const char *pt_mode_name(enum pt_mode mode);

/* Does KVM shadow the page tables of @g? */
static inline bool pt_shadowed(void)
{
	return !kvm_is_tdp_enabled();
}

/* Page tables as the host lays them out.  Level 1 is the one of 4K pages. */
int pt_levels(const struct pt_guest *g);
int pt_entry_size(const struct pt_guest *g);
int pt_shift(const struct pt_guest *g, int level);
uint64_t pt_alloc(struct pt_guest *g);
uint64_t pt_read_entry(const struct pt_guest *g, uint64_t gpa);
void pt_write_entry(const struct pt_guest *g, uint64_t gpa, uint64_t entry);
/* The entry that points to @gpa in a table of @level. */
uint64_t pt_make_entry(const struct pt_guest *g, int level, uint64_t gpa);
/* The gpa of the entry for @va at @level; all levels above are present. */
uint64_t pt_entry_gpa(const struct pt_guest *g, uint64_t va, int level);
/* Map a 4K page, with new tables where there are none. */
void pt_map(struct pt_guest *g, uint64_t va, uint64_t gpa);

#define PT_HUGE_SIZE	0x200000ul

/* Map 2M with one entry of level 2, in 64-bit mode. */
void pt_map_huge(struct pt_guest *g, uint64_t va, uint64_t gpa);
/*
 * Add a slot at @gpa of @nr huge pages of the host, mapped as such at @va, and have the
 * guest use each.  Returns how many huge pages KVM has mapped now, or 0, with g->skip
 * set, if there is one too few.
 */
uint64_t pt_add_huge(struct pt_guest *g, uint64_t va, uint64_t gpa, uint32_t slot, int nr);

/* The entry for a table of @level, through new tables, that leads @va to @gpa. */
uint64_t pt_new_path(struct pt_guest *g, uint64_t va, int level, uint64_t gpa);
/* How many upper-level tables of the arena, with the root, can the guest reach? */
int pt_count_upper(const struct pt_guest *g);
/* A new root with the guest's code and the arena mapped through new tables. */
uint64_t pt_new_root(struct pt_guest *g);
/* Where does @va lead?  PT_FAULT if nowhere. */
uint64_t pt_translate(const struct pt_guest *g, uint64_t va);

static inline uint64_t pt_data(int i)
{
	return PT_DATA_GPA + i * PAGE_SIZE;
}

/* The address at which the guest itself reaches a page of the arena. */
static inline uint64_t pt_edit_va(uint64_t gpa)
{
	return PT_EDIT_VA + gpa - PT_ARENA_GPA;
}

/* The code of the operations. */
extern const char pt_ops[];
extern const char pt_ops_end[];

/* What pt_run() does, in three steps: start @op, run the vCPU, see if @op has ended. */
void pt_start(struct pt_guest *g, enum pt_op op, const struct kvm_regs *regs);
bool pt_has_ended(struct pt_guest *g);
void pt_assert_ended(struct pt_guest *g);
/* Where the code of @op is. */
uint64_t pt_op_rip(enum pt_op op);
/* Have the guest do one @op.  False if it faulted, which resets the vCPU. */
bool pt_run(struct pt_guest *g, enum pt_op op, struct kvm_regs *regs);
/* Four bytes at @va, or PT_FAULT. */
uint64_t pt_load(struct pt_guest *g, uint64_t va);
void pt_store(struct pt_guest *g, uint64_t va, uint64_t val, int size);
/* Store a whole entry to the table entry at @gpa. */
void pt_edit(struct pt_guest *g, uint64_t gpa, uint64_t entry);
/*
 * Point the entry for @va at @level to new tables that lead to @gpa.  Flush only
 * what no shadow MMU can know of: the CPU's own TLB, and the PDPTEs of PAE.
 */
void pt_redirect(struct pt_guest *g, uint64_t va, int level, uint64_t gpa);
/* After an edit of an upper level, drop what the CPU alone caches for @va. */
void pt_settle(struct pt_guest *g, uint64_t va);
void pt_invlpg(struct pt_guest *g, uint64_t va);
void pt_set_cr3(struct pt_guest *g, uint64_t root);
void pt_flush(struct pt_guest *g);

/* Statistics.  Of the VM, or of the vCPU for those that vCPUs have. */
bool pt_has_page_track_stats(struct kvm_vm *vm);
uint64_t pt_stat(struct pt_guest *g, const char *name);
uint64_t pt_vcpu_stat(struct pt_guest *g, const char *name);

#define PT_ASSERT_STAT(g, name, want) \
	pt_assert_stat(g, name, want, __FILE__, __LINE__)

/* A statistic that counts what only shadow paging does. */
#define PT_ASSERT_SHADOW_STAT(g, name, want) \
	pt_assert_stat(g, name, pt_shadowed() ? (want) : 0, __FILE__, __LINE__)

#define PT_ASSERT_LOAD(g, va, want) \
	pt_assert_load(g, va, want, __FILE__, __LINE__)

void pt_assert_stat(struct pt_guest *g, const char *name, uint64_t want,
		    const char *file, unsigned int line);
void pt_assert_load(struct pt_guest *g, uint64_t va, uint64_t want,
		    const char *file, unsigned int line);

#endif /* SELFTEST_KVM_PAGE_TRACK_H */
