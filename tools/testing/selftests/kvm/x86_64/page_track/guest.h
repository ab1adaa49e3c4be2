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

#include "kvm_util.h"
#include "processor.h"

enum tg_mode {
	TG_32,		/* two levels of 1024 entries, 4 bytes each */
	TG_PAE,		/* three levels, the upper one with 4 entries only */
	TG_4LEVEL,
	NR_TG_MODES,
};

#define TG_32_BIT	BIT(TG_32)
#define TG_PAE_BIT	BIT(TG_PAE)
#define TG_4LEVEL_BIT	BIT(TG_4LEVEL)
#define TG_ALL_MODES	(TG_32_BIT | TG_PAE_BIT | TG_4LEVEL_BIT)

/* Slots.  A data page holds its own gpa in its first 8 bytes. */
#define TG_CODE_SLOT	0
#define TG_CODE_GPA	0x0ul
#define TG_CODE_PAGES	16
#define TG_OP_GPA	0x1000ul
#define TG_ARENA_SLOT	1
#define TG_ARENA_GPA	0x200000ul
#define TG_ARENA_PAGES	512
#define TG_DATA_SLOT	2
#define TG_DATA_GPA	0x400000ul
#define TG_DATA_PAGES	512
#define TG_NR_SLOTS	3

/* The arena, i.e. the page tables, as the guest sees it.  Code is at va = gpa. */
#define TG_EDIT_VA	0x80000000ul

/* Present, writable, accessed, dirty: KVM has nothing to set. */
#define TG_FLAGS	0x63ul
#define TG_PS		0x80ul
#define TG_PCD		0x10ul

/* No data page has this number, see tg_load(). */
#define TG_FAULT	(~0ul)

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
	TG_INVLPG,
	TG_WRITE_CR3,	/* cr3 = rax */
	TG_FLUSH_CR4,	/* toggle CR4.PGE twice, ecx is a scratch register */
	TG_SPIN4,	/* *rdi = eax until *rsi is not 0, then *rdi = edx */
	TG_CALL,	/* through *rsi, with the stack below rdi; 64-bit mode only */
	TG_INS1,	/* a byte of port dx to *rdi */
	TG_PUSHA,	/* to the stack below rdi; 32-bit code only */
	NR_TG_OPS,
};

/* A vCPU with the page tables that it uses.  Copies may share a VM. */
struct tiny_guest {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
	enum tg_mode mode;
	uint64_t root;		/* gpa of the root table */
	uint64_t next;		/* gpa of the first free page of the arena */
	const char *skip;	/* set by a case that cannot be tested: why */
};

struct tg_case {
	const char *name;
	void (*fn)(struct tiny_guest *g);
	unsigned int modes;	/* TG_*_BIT */
	bool needs_stats;	/* skip on a kernel without page_track_* */
	void (*init)(struct tiny_guest *g);	/* run before fn, which it may skip */
};

/* Run each case in each of its modes, in a VM of its own.  Print TAP, exit. */
void tg_run_cases(const struct tg_case *cases, int nr);
/* The number of rounds that option -n asks for.  Any other option ends the test. */
int tg_get_rounds(int argc, char *argv[], int by_default);
/* The same with a seed, of option -s or of the clock.  Print how to repeat the test. */
int tg_get_random_rounds(int argc, char *argv[], int by_default, uint32_t *seed);

/* Random numbers of this thread: from 0 to @n - 1, and of 31 and of 64 bits. */
void tg_seed(uint32_t seed);
int tg_pick(int n);
uint32_t tg_random(void);
uint64_t tg_random_u64(void);

void tg_init(struct tiny_guest *g, enum tg_mode mode);
void tg_free(struct tiny_guest *g);
/* Add a vCPU on the page tables of @g, seen through @new. */
void tg_add_vcpu(const struct tiny_guest *g, struct tiny_guest *new, uint32_t id);
/* Give SMM the same memory as the normal address space, and the vCPU a real mode on VMX. */
#define TG_SMM_SLOT(slot)	((1 << 16) | (slot))
void tg_add_smm_slots(struct tiny_guest *g);
/* Start the vCPU over, with g->root. */
void tg_reset_vcpu(struct tiny_guest *g);
const char *tg_mode_name(enum tg_mode mode);

/* Does KVM shadow the page tables of @g? */
bool tg_shadowed(void);

/* Page tables as the host lays them out.  Level 1 is the one of 4K pages. */
int tg_levels(const struct tiny_guest *g);
int tg_entry_size(const struct tiny_guest *g);
int tg_shift(const struct tiny_guest *g, int level);
uint64_t tg_alloc(struct tiny_guest *g);
uint64_t tg_read_entry(const struct tiny_guest *g, uint64_t gpa);
void tg_write_entry(const struct tiny_guest *g, uint64_t gpa, uint64_t entry);
/* The entry that points to @gpa in a table of @level. */
uint64_t tg_make_entry(const struct tiny_guest *g, int level, uint64_t gpa);
/* The gpa of the entry for @va at @level; all levels above are present. */
uint64_t tg_entry_gpa(const struct tiny_guest *g, uint64_t va, int level);
/* Map a 4K page, with new tables where there are none. */
void tg_map(struct tiny_guest *g, uint64_t va, uint64_t gpa);

#define TG_HUGE_SIZE	0x200000ul

/* Map 2M with one entry of level 2, in 64-bit mode. */
void tg_map_huge(struct tiny_guest *g, uint64_t va, uint64_t gpa);
/*
 * Add a slot at @gpa of @nr huge pages of the host, mapped as such at @va, and have the
 * guest use each.  Returns how many huge pages KVM has mapped now, or 0, with g->skip
 * set, if there is one too few.
 */
uint64_t tg_add_huge(struct tiny_guest *g, uint64_t va, uint64_t gpa, uint32_t slot, int nr);

/* The entry for a table of @level, through new tables, that leads @va to @gpa. */
uint64_t tg_new_path(struct tiny_guest *g, uint64_t va, int level, uint64_t gpa);
/* How many upper-level tables of the arena, with the root, can the guest reach? */
int tg_count_upper(const struct tiny_guest *g);
/* A new root with the guest's code and the arena mapped through new tables. */
uint64_t tg_new_root(struct tiny_guest *g);
/* Where does @va lead?  TG_FAULT if nowhere. */
uint64_t tg_translate(const struct tiny_guest *g, uint64_t va);

static inline uint64_t tg_data(int i)
{
	return TG_DATA_GPA + i * PAGE_SIZE;
}

/* The address at which the guest itself reaches a page of the arena. */
static inline uint64_t tg_edit_va(uint64_t gpa)
{
	return TG_EDIT_VA + gpa - TG_ARENA_GPA;
}

/* A whole page at once: libkvm's memcpy() and memcmp() go byte by byte. */
static inline void tg_copy_page(void *to, const void *from)
{
	unsigned long nr = PAGE_SIZE / 8;

	asm volatile("rep movsq" : "+D" (to), "+S" (from), "+c" (nr) : : "memory");
}

static inline bool tg_is_same_page(const void *one, const void *other)
{
	const uint64_t *a = one, *b = other;
	int i;

	for (i = 0; i < PAGE_SIZE / 8; i++) {
		if (a[i] != b[i])
			return false;
	}
	return true;
}

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

/* Statistics.  Of the VM, or of the vCPU for those that vCPUs have. */
bool tg_has_page_track_stats(struct kvm_vm *vm);
uint64_t tg_stat(struct tiny_guest *g, const char *name);
uint64_t tg_vcpu_stat(struct tiny_guest *g, const char *name);

#define TG_ASSERT_STAT(g, name, want) \
	tg_assert_stat(g, name, want, __FILE__, __LINE__)

/* A statistic that counts what only shadow paging does. */
#define TG_ASSERT_SHADOW_STAT(g, name, want) \
	tg_assert_stat(g, name, tg_shadowed() ? (want) : 0, __FILE__, __LINE__)

#define TG_ASSERT_LOAD(g, va, want) \
	tg_assert_load(g, va, want, __FILE__, __LINE__)

void tg_assert_stat(struct tiny_guest *g, const char *name, uint64_t want,
		    const char *file, unsigned int line);
void tg_assert_load(struct tiny_guest *g, uint64_t va, uint64_t want,
		    const char *file, unsigned int line);

#endif /* SELFTEST_KVM_PAGE_TRACK_GUEST_H */
