// SPDX-License-Identifier: GPL-2.0-only
/*
 * Any instruction that writes to a tracked page table takes effect: of 1, 2, 4, 8
 * and 16 bytes, anywhere within an entry, locked or not.
 */
#include "page_track.h"

#define VA		0x40c01000ul
#define ANY_8BYTE	(PT_PAE_BIT | PT_4LEVEL_BIT)

/*
 * The number of the leaf table is in the high nibble of an entry's second byte.
 * An operation writes @size bytes of what the entry shall become, from its byte
 * @offset on.
 */
struct write {
	const char *name;
	enum pt_op op;
	int offset;
	int size;
	unsigned int modes;
	int nr_emulated;
};

static const struct write writes[] = {
	{ "mov 1",		PT_STORE1,	1, 1, PT_ALL_MODES,	1 },
	{ "mov 2",		PT_STORE2,	0, 2, PT_ALL_MODES,	1 },
	{ "mov 2, misaligned",	PT_STORE2,	1, 2, PT_ALL_MODES,	1 },
	{ "mov 4",		PT_STORE4,	0, 4, PT_ALL_MODES,	1 },
	{ "mov 4, misaligned",	PT_STORE4,	1, 4, ANY_8BYTE,	1 },
	{ "mov 8",		PT_STORE8,	0, 8, PT_4LEVEL_BIT,	1 },
	{ "xchg 1",		PT_XCHG1,	1, 1, PT_ALL_MODES,	1 },
	{ "xchg 2",		PT_XCHG2,	0, 2, PT_ALL_MODES,	1 },
	{ "xchg 2, misaligned",	PT_XCHG2,	1, 2, PT_ALL_MODES,	1 },
	{ "xchg 4",		PT_XCHG4,	0, 4, PT_ALL_MODES,	1 },
	{ "xchg 8",		PT_XCHG8,	0, 8, PT_4LEVEL_BIT,	1 },
	{ "lock cmpxchg 4",	PT_CMPXCHG4,	0, 4, PT_ALL_MODES,	1 },
	{ "lock cmpxchg 8",	PT_CMPXCHG8,	0, 8, PT_4LEVEL_BIT,	1 },
	{ "lock cmpxchg8b",	PT_CMPXCHG8B,	0, 8, ANY_8BYTE,	1 },
};

/*
 * What kernels do not write page tables with has KVM give up tracking the page
 * and do the write natively.  If the page is part of a root, it is tracked again
 * by then, and the write is emulated after all.
 */
static const struct write odd_writes[] = {
	{ "lock xadd 4",	PT_LOCK_XADD4,	0, 4, PT_4LEVEL_BIT,	0 },
	{ "lock xadd 4",	PT_LOCK_XADD4,	0, 4, PT_PAE_BIT | PT_32_BIT, 1 },
	{ "rep stos",		PT_REP_STOS4,	0, 4, PT_4LEVEL_BIT,	0 },
	{ "rep stos",		PT_REP_STOS4,	0, 4, PT_PAE_BIT | PT_32_BIT, 1 },
	{ "movq",		PT_STORE8_MMX,	0, 8, PT_4LEVEL_BIT,	0 },
	{ "movq",		PT_STORE8_MMX,	0, 8, PT_PAE_BIT,	1 },
	{ "movq, two entries",	PT_STORE8_MMX,	0, 8, PT_32_BIT,	1 },
	{ "cmpxchg8b, two entries", PT_CMPXCHG8B, 0, 8, PT_32_BIT,	1 },
	{ "movdqu",		PT_STORE16_SSE,	0, 16, PT_4LEVEL_BIT,	0 },
	{ "movdqu",		PT_STORE16_SSE,	0, 16, PT_PAE_BIT,	1 },
	{ "lock cmpxchg16b",	PT_CMPXCHG16B,	0, 16, PT_4LEVEL_BIT,	0 },
};

/* Sixteen leaf tables in a row, with different mappings of VA. */
static uint64_t alloc_tables(struct pt_guest *g)
{
	uint64_t first;
	int i;

	while (g->next & 0xffff)
		pt_alloc(g);

	first = g->next;
	for (i = 0; i < 16; i++)
		pt_new_path(g, VA, 2, pt_data(i));

	return first;
}

/* Write @new, of which @old is there, as @w says. */
static void do_write(struct pt_guest *g, const struct write *w, uint64_t gpa,
		     uint64_t old, uint64_t new)
{
	struct kvm_regs regs = { .rdi = pt_edit_va(gpa + w->offset) };

	new >>= w->offset * 8;
	old >>= w->offset * 8;

	regs.rax = new;
	regs.rdx = new >> 32;
	regs.rcx = 1;

	switch (w->op) {
	case PT_CMPXCHG4:
	case PT_CMPXCHG8:
		regs.rax = old;
		regs.rcx = new;
		break;
	case PT_CMPXCHG8B:
		regs.rax = old & 0xffffffff;
		regs.rdx = old >> 32;
		regs.rbx = new & 0xffffffff;
		regs.rcx = new >> 32;
		break;
	case PT_CMPXCHG16B:
		regs.rax = old;
		regs.rdx = old;
		regs.rbx = new;
		regs.rcx = new;
		break;
	case PT_LOCK_XADD4:
		regs.rax = (uint32_t)(new - old);
		break;
	default:
		break;
	}

	if (g->mode != PT_4LEVEL)
		regs.rax &= 0xffffffff;

	TEST_ASSERT(pt_run(g, w->op, &regs), "%s faulted", w->name);
}

static void assert_emulated(struct pt_guest *g, const struct write *w,
			    uint64_t writes, uint64_t emulated)
{
	writes = pt_stat(g, "mmu_pte_write") - writes;
	emulated = pt_vcpu_stat(g, "pf_emulate") - emulated;

	TEST_ASSERT(writes == (pt_shadowed() ? w->nr_emulated : 0) &&
		    !!emulated == pt_shadowed(),
		    "%s: %lu writes seen, %lu faults emulated", w->name, writes,
		    emulated);
}

static void test_one(struct pt_guest *g, const struct write *w, uint64_t pos,
		     uint64_t tables, int nr)
{
	uint64_t old = pt_read_entry(g, pos), writes, emulated;
	uint64_t new = pt_make_entry(g, 2, tables + nr * PAGE_SIZE);

	if (w->size > pt_entry_size(g) && pt_entry_size(g) == 4) {
		old |= old << 32;
		new |= new << 32;
	}

	writes = pt_stat(g, "mmu_pte_write");
	emulated = pt_vcpu_stat(g, "pf_emulate");
	do_write(g, w, pos, old, new);
	TEST_ASSERT(pt_read_entry(g, pos) == pt_make_entry(g, 2, tables + nr * PAGE_SIZE),
		    "%s: the entry is 0x%lx, wanted 0x%lx", w->name,
		    pt_read_entry(g, pos), new);
	pt_settle(g, VA);
	PT_ASSERT_LOAD(g, VA, pt_data(nr));
	assert_emulated(g, w, writes, emulated);

	if (w->size <= pt_entry_size(g))
		return;

	pt_settle(g, VA + BIT(pt_shift(g, 2)));
	PT_ASSERT_LOAD(g, VA + BIT(pt_shift(g, 2)), pt_data(nr));
}

static void test_writes(struct pt_guest *g, const struct write *w, int n)
{
	uint64_t tables, pos;
	int i;

	pt_map(g, VA, pt_data(100));
	tables = alloc_tables(g);
	pos = pt_entry_gpa(g, VA, 2);
	pt_write_entry(g, pos, pt_make_entry(g, 2, tables));
	pt_write_entry(g, pos + pt_entry_size(g), pt_make_entry(g, 2, tables));
	PT_ASSERT_LOAD(g, VA, pt_data(0));

	for (i = 0; i < n; i++) {
		if (!(w[i].modes & BIT(g->mode)))
			continue;

		/* Have both shadowed. */
		pt_load(g, VA);
		pt_load(g, VA + BIT(pt_shift(g, 2)));
		test_one(g, &w[i], pos, tables, 1 + i % 15);
	}
}

static void test_usual(struct pt_guest *g)
{
	test_writes(g, writes, ARRAY_SIZE(writes));
}

static void test_odd(struct pt_guest *g)
{
	test_writes(g, odd_writes, ARRAY_SIZE(odd_writes));
}

/* The table has number 5; set bits of it to get 7, clear others to get 2. */
static void test_locked_bits(struct pt_guest *g)
{
	struct kvm_regs regs = {};
	uint64_t tables, pos;

	pt_map(g, VA, pt_data(100));
	tables = alloc_tables(g);
	pos = pt_entry_gpa(g, VA, 2);
	pt_write_entry(g, pos, pt_make_entry(g, 2, tables + 5 * PAGE_SIZE));
	PT_ASSERT_LOAD(g, VA, pt_data(5));

	regs.rdi = pt_edit_va(pos);
	regs.rax = 7 * PAGE_SIZE;
	TEST_ASSERT(pt_run(g, PT_LOCK_OR4, &regs), "lock or faulted");
	pt_settle(g, VA);
	PT_ASSERT_LOAD(g, VA, pt_data(7));

	regs.rdi = pt_edit_va(pos);
	regs.rax = (uint32_t)~(5 * PAGE_SIZE);
	TEST_ASSERT(pt_run(g, PT_LOCK_AND4, &regs), "lock and faulted");
	pt_settle(g, VA);
	PT_ASSERT_LOAD(g, VA, pt_data(2));
	PT_ASSERT_SHADOW_STAT(g, "mmu_pte_write", 2);
}

/* A compare that fails writes nothing that matters. */
static void test_failed_cmpxchg(struct pt_guest *g)
{
	struct kvm_regs regs = {};
	uint64_t pos;

	pt_map(g, VA, pt_data(1));
	pos = pt_entry_gpa(g, VA, 2);
	PT_ASSERT_LOAD(g, VA, pt_data(1));

	regs.rdi = pt_edit_va(pos);
	regs.rax = 1;
	regs.rcx = 0;
	TEST_ASSERT(pt_run(g, PT_CMPXCHG4, &regs), "lock cmpxchg faulted");
	TEST_ASSERT_EQ(regs.rax, pt_read_entry(g, pos) & 0xffffffff);
	pt_settle(g, VA);
	PT_ASSERT_LOAD(g, VA, pt_data(1));
}

int main(void)
{
	static const struct pt_case cases[] = {
		{ "usual instructions", test_usual, PT_ALL_MODES },
		{ "rare instructions", test_odd, PT_ALL_MODES },
		{ "locked bit operations", test_locked_bits, PT_ALL_MODES },
		{ "failed compare", test_failed_cmpxchg, PT_ALL_MODES },
	};

	pt_run_cases(cases, ARRAY_SIZE(cases));
}
