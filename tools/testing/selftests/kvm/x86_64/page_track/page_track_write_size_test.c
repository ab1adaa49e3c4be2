// SPDX-License-Identifier: GPL-2.0-only
/*
 * Any instruction that writes to a tracked page table takes effect: of 1, 2, 4, 8
 * and 16 bytes, anywhere within an entry, locked or not.
 */
#include "cases.h"
#include "guest.h"
#include "stats.h"

#define VA		0x40c01000ul
#define ANY_8BYTE	(TG_PAE_BIT | TG_4LEVEL_BIT)

/*
 * The number of the leaf table is in the high nibble of an entry's second byte.
 * An operation writes @size bytes of what the entry shall become, from its byte
 * @offset on.
 */
struct write {
	const char *name;
	enum tg_op op;
	int offset;
	int size;
	unsigned int modes;
	int nr_emulated;
};

static const struct write writes[] = {
	{ "mov 1",		TG_STORE1,	1, 1, TG_ALL_MODES,	1 },
	{ "mov 2",		TG_STORE2,	0, 2, TG_ALL_MODES,	1 },
	{ "mov 2, misaligned",	TG_STORE2,	1, 2, TG_ALL_MODES,	1 },
	{ "mov 4",		TG_STORE4,	0, 4, TG_ALL_MODES,	1 },
	{ "mov 4, misaligned",	TG_STORE4,	1, 4, ANY_8BYTE,	1 },
	{ "mov 8",		TG_STORE8,	0, 8, TG_4LEVEL_BIT,	1 },
	{ "xchg 1",		TG_XCHG1,	1, 1, TG_ALL_MODES,	1 },
	{ "xchg 2",		TG_XCHG2,	0, 2, TG_ALL_MODES,	1 },
	{ "xchg 2, misaligned",	TG_XCHG2,	1, 2, TG_ALL_MODES,	1 },
	{ "xchg 4",		TG_XCHG4,	0, 4, TG_ALL_MODES,	1 },
	{ "xchg 8",		TG_XCHG8,	0, 8, TG_4LEVEL_BIT,	1 },
	{ "lock cmpxchg 4",	TG_CMPXCHG4,	0, 4, TG_ALL_MODES,	1 },
	{ "lock cmpxchg 8",	TG_CMPXCHG8,	0, 8, TG_4LEVEL_BIT,	1 },
	{ "lock cmpxchg8b",	TG_CMPXCHG8B,	0, 8, ANY_8BYTE,	1 },
};

/*
 * What kernels do not write page tables with has KVM give up tracking the page
 * and do the write natively.  If the page is part of a root, it is tracked again
 * by then, and the write is emulated after all.
 */
static const struct write odd_writes[] = {
	{ "lock xadd 4",	TG_LOCK_XADD4,	0, 4, TG_4LEVEL_BIT,	0 },
	{ "lock xadd 4",	TG_LOCK_XADD4,	0, 4, TG_PAE_BIT | TG_32_BIT, 1 },
	{ "rep stos",		TG_REP_STOS4,	0, 4, TG_4LEVEL_BIT,	0 },
	{ "rep stos",		TG_REP_STOS4,	0, 4, TG_PAE_BIT | TG_32_BIT, 1 },
	{ "movq",		TG_STORE8_MMX,	0, 8, TG_4LEVEL_BIT,	0 },
	{ "movq",		TG_STORE8_MMX,	0, 8, TG_PAE_BIT,	1 },
	{ "movq, two entries",	TG_STORE8_MMX,	0, 8, TG_32_BIT,	1 },
	{ "cmpxchg8b, two entries", TG_CMPXCHG8B, 0, 8, TG_32_BIT,	1 },
	{ "movdqu",		TG_STORE16_SSE,	0, 16, TG_4LEVEL_BIT,	0 },
	{ "movdqu",		TG_STORE16_SSE,	0, 16, TG_PAE_BIT,	1 },
	{ "lock cmpxchg16b",	TG_CMPXCHG16B,	0, 16, TG_4LEVEL_BIT,	0 },
};

/* Sixteen leaf tables in a row, with different mappings of VA. */
static uint64_t alloc_tables(struct tiny_guest *g)
{
	uint64_t first;
	int i;

	while (g->next & 0xffff)
		tg_alloc(g);

	first = g->next;
	for (i = 0; i < 16; i++)
		tg_new_path(g, VA, 2, tg_data(i));

	return first;
}

/* Write @new, of which @old is there, as @w says. */
static void do_write(struct tiny_guest *g, const struct write *w, uint64_t gpa,
		     uint64_t old, uint64_t new)
{
	struct kvm_regs regs = { .rdi = tg_edit_va(gpa + w->offset) };

	new >>= w->offset * 8;
	old >>= w->offset * 8;

	regs.rax = new;
	regs.rdx = new >> 32;
	regs.rcx = 1;

	switch (w->op) {
	case TG_CMPXCHG4:
	case TG_CMPXCHG8:
		regs.rax = old;
		regs.rcx = new;
		break;
	case TG_CMPXCHG8B:
		regs.rax = old & 0xffffffff;
		regs.rdx = old >> 32;
		regs.rbx = new & 0xffffffff;
		regs.rcx = new >> 32;
		break;
	case TG_CMPXCHG16B:
		regs.rax = old;
		regs.rdx = old;
		regs.rbx = new;
		regs.rcx = new;
		break;
	case TG_LOCK_XADD4:
		regs.rax = (uint32_t)(new - old);
		break;
	default:
		break;
	}

	if (g->mode != TG_4LEVEL)
		regs.rax &= 0xffffffff;

	TEST_ASSERT(tg_run(g, w->op, &regs), "%s faulted", w->name);
}

static void assert_emulated(struct tiny_guest *g, const struct write *w,
			    uint64_t writes, uint64_t emulated)
{
	writes = tg_stat(g, "mmu_pte_write") - writes;
	emulated = tg_vcpu_stat(g, "pf_emulate") - emulated;

	TEST_ASSERT(writes == (tg_shadowed() ? w->nr_emulated : 0) &&
		    !!emulated == tg_shadowed(),
		    "%s: %lu writes seen, %lu faults emulated", w->name, writes,
		    emulated);
}

static void test_one(struct tiny_guest *g, const struct write *w, uint64_t pos,
		     uint64_t tables, int nr)
{
	uint64_t old = tg_read_entry(g, pos), writes, emulated;
	uint64_t new = tg_make_entry(g, 2, tables + nr * PAGE_SIZE);

	if (w->size > tg_entry_size(g) && tg_entry_size(g) == 4) {
		old |= old << 32;
		new |= new << 32;
	}

	writes = tg_stat(g, "mmu_pte_write");
	emulated = tg_vcpu_stat(g, "pf_emulate");
	do_write(g, w, pos, old, new);
	TEST_ASSERT(tg_read_entry(g, pos) == tg_make_entry(g, 2, tables + nr * PAGE_SIZE),
		    "%s: the entry is 0x%lx, wanted 0x%lx", w->name,
		    tg_read_entry(g, pos), new);
	tg_settle(g, VA);
	TG_ASSERT_LOAD(g, VA, tg_data(nr));
	assert_emulated(g, w, writes, emulated);

	if (w->size <= tg_entry_size(g))
		return;

	tg_settle(g, VA + BIT(tg_shift(g, 2)));
	TG_ASSERT_LOAD(g, VA + BIT(tg_shift(g, 2)), tg_data(nr));
}

static void test_writes(struct tiny_guest *g, const struct write *w, int n)
{
	uint64_t tables, pos;
	int i;

	tg_map(g, VA, tg_data(100));
	tables = alloc_tables(g);
	pos = tg_entry_gpa(g, VA, 2);
	tg_write_entry(g, pos, tg_make_entry(g, 2, tables));
	tg_write_entry(g, pos + tg_entry_size(g), tg_make_entry(g, 2, tables));
	TG_ASSERT_LOAD(g, VA, tg_data(0));

	for (i = 0; i < n; i++) {
		if (!(w[i].modes & BIT(g->mode)))
			continue;

		/* Have both shadowed. */
		tg_load(g, VA);
		tg_load(g, VA + BIT(tg_shift(g, 2)));
		test_one(g, &w[i], pos, tables, 1 + i % 15);
	}
}

static void test_usual(struct tiny_guest *g)
{
	test_writes(g, writes, ARRAY_SIZE(writes));
}

static void test_odd(struct tiny_guest *g)
{
	test_writes(g, odd_writes, ARRAY_SIZE(odd_writes));
}

/* The table has number 5; set bits of it to get 7, clear others to get 2. */
static void test_locked_bits(struct tiny_guest *g)
{
	struct kvm_regs regs = {};
	uint64_t tables, pos;

	tg_map(g, VA, tg_data(100));
	tables = alloc_tables(g);
	pos = tg_entry_gpa(g, VA, 2);
	tg_write_entry(g, pos, tg_make_entry(g, 2, tables + 5 * PAGE_SIZE));
	TG_ASSERT_LOAD(g, VA, tg_data(5));

	regs.rdi = tg_edit_va(pos);
	regs.rax = 7 * PAGE_SIZE;
	TEST_ASSERT(tg_run(g, TG_LOCK_OR4, &regs), "lock or faulted");
	tg_settle(g, VA);
	TG_ASSERT_LOAD(g, VA, tg_data(7));

	regs.rdi = tg_edit_va(pos);
	regs.rax = (uint32_t)~(5 * PAGE_SIZE);
	TEST_ASSERT(tg_run(g, TG_LOCK_AND4, &regs), "lock and faulted");
	tg_settle(g, VA);
	TG_ASSERT_LOAD(g, VA, tg_data(2));
	TG_ASSERT_SHADOW_STAT(g, "mmu_pte_write", 2);
}

/* A compare that fails writes nothing that matters. */
static void test_failed_cmpxchg(struct tiny_guest *g)
{
	struct kvm_regs regs = {};
	uint64_t pos;

	tg_map(g, VA, tg_data(1));
	pos = tg_entry_gpa(g, VA, 2);
	TG_ASSERT_LOAD(g, VA, tg_data(1));

	regs.rdi = tg_edit_va(pos);
	regs.rax = 1;
	regs.rcx = 0;
	TEST_ASSERT(tg_run(g, TG_CMPXCHG4, &regs), "lock cmpxchg faulted");
	TEST_ASSERT_EQ(regs.rax, tg_read_entry(g, pos) & 0xffffffff);
	tg_settle(g, VA);
	TG_ASSERT_LOAD(g, VA, tg_data(1));
}

int main(void)
{
	static const struct tg_case cases[] = {
		{ "usual instructions", test_usual, TG_ALL_MODES },
		{ "rare instructions", test_odd, TG_ALL_MODES },
		{ "locked bit operations", test_locked_bits, TG_ALL_MODES },
		{ "failed compare", test_failed_cmpxchg, TG_ALL_MODES },
	};

	tg_run_cases(cases, ARRAY_SIZE(cases));
}
