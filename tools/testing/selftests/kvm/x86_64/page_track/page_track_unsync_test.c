// SPDX-License-Identifier: GPL-2.0-only
/*
 * Leaf page tables are not tracked: the first write makes them unsync, and they
 * come back in sync when the guest flushes its TLB.  Upper levels never do that.
 */
#include "cases.h"
#include "guest.h"
#include "stats.h"

#define VA_A	0x40c01000ul
#define VA_B	0x40c02000ul

static void edit_leaf(struct tiny_guest *g, uint64_t va, int data)
{
	tg_edit(g, tg_entry_gpa(g, va, 1), tg_make_entry(g, 1, tg_data(data)));
}

/* Map both and have them shadowed. */
static void map_both(struct tiny_guest *g)
{
	tg_map(g, VA_A, tg_data(1));
	tg_map(g, VA_B, tg_data(2));
	TG_ASSERT_LOAD(g, VA_A, tg_data(1));
	TG_ASSERT_LOAD(g, VA_B, tg_data(2));
}

/* Of an unsync table, an old entry stays in use until it is flushed. */
static void assert_unsync(struct tiny_guest *g, uint64_t va, int old)
{
	TG_ASSERT_SHADOW_STAT(g, "mmu_unsync", 1);
	TG_ASSERT_STAT(g, "mmu_pte_write", 0);
	if (tg_shadowed())
		TG_ASSERT_LOAD(g, va, tg_data(old));
}

static void test_invlpg(struct tiny_guest *g)
{
	map_both(g);
	edit_leaf(g, VA_A, 3);
	assert_unsync(g, VA_A, 1);
	edit_leaf(g, VA_B, 4);
	assert_unsync(g, VA_B, 2);

	/* One entry is in sync again, the table is not. */
	tg_invlpg(g, VA_A);
	TG_ASSERT_LOAD(g, VA_A, tg_data(3));
	assert_unsync(g, VA_B, 2);

	tg_invlpg(g, VA_B);
	TG_ASSERT_LOAD(g, VA_B, tg_data(4));
}

static void test_cr3(struct tiny_guest *g)
{
	int i;

	map_both(g);

	/* Whoever writes after a sync makes the table unsync once more. */
	for (i = 0; i < 3; i++) {
		edit_leaf(g, VA_A, 10 + i);
		assert_unsync(g, VA_A, i ? 9 + i : 1);
		tg_flush(g);
		TG_ASSERT_STAT(g, "mmu_unsync", 0);
		TG_ASSERT_LOAD(g, VA_A, tg_data(10 + i));
		TG_ASSERT_LOAD(g, VA_B, tg_data(2));
	}
}

static void test_cr4(struct tiny_guest *g)
{
	struct kvm_regs regs = {};

	/* QEMU's nested paging sets A bits there, which KVM then refuses. */
	if (g->mode == TG_PAE && !tg_shadowed()) {
		g->skip = "the emulated CPU sets reserved bits in PDPTEs";
		return;
	}

	map_both(g);
	edit_leaf(g, VA_A, 3);
	assert_unsync(g, VA_A, 1);

	TEST_ASSERT(tg_run(g, TG_FLUSH_CR4, &regs), "Fault at a write to CR4");
	TG_ASSERT_STAT(g, "mmu_unsync", 0);
	TG_ASSERT_LOAD(g, VA_A, tg_data(3));
}

/* A new entry needs no flush, even in a table that is unsync. */
static void test_new_entry(struct tiny_guest *g)
{
	const uint64_t va = VA_B + PAGE_SIZE;

	map_both(g);
	edit_leaf(g, VA_A, 3);
	edit_leaf(g, va, 4);
	TG_ASSERT_LOAD(g, va, tg_data(4));
	assert_unsync(g, VA_A, 1);
}

/* The page of an unsync table, used as an upper level, is in sync and tracked. */
static void test_becomes_upper(struct tiny_guest *g)
{
	const uint64_t va = 0xc0c01000ul;
	uint64_t pd, pt, writes;

	map_both(g);
	tg_map(g, va, tg_data(5));
	tg_flush(g);
	TG_ASSERT_LOAD(g, va, tg_data(5));

	pd = tg_entry_gpa(g, VA_A, 1) & PAGE_MASK;
	edit_leaf(g, VA_A, 3);
	assert_unsync(g, VA_A, 1);

	/* As a page directory, the table's new entry leads to another table. */
	pt = tg_alloc(g);
	tg_write_entry(g, pt + (va >> 12) % 512 * 8, tg_make_entry(g, 1, tg_data(6)));
	tg_edit(g, pd + (va >> 21) % 512 * 8, tg_make_entry(g, 2, pt));
	TG_ASSERT_SHADOW_STAT(g, "mmu_unsync", 1);

	tg_edit(g, tg_entry_gpa(g, va, 3), tg_make_entry(g, 3, pd));
	tg_settle(g, va);
	TG_ASSERT_LOAD(g, va, tg_data(6));
	TG_ASSERT_STAT(g, "mmu_unsync", 0);

	writes = tg_stat(g, "mmu_pte_write");
	edit_leaf(g, VA_B, 7);
	TG_ASSERT_STAT(g, "mmu_unsync", 0);
	TG_ASSERT_STAT(g, "mmu_pte_write", writes + tg_shadowed());
	tg_settle(g, VA_A);
	tg_settle(g, VA_B);
	TG_ASSERT_LOAD(g, VA_A, tg_data(3));
	TG_ASSERT_LOAD(g, VA_B, tg_data(7));
}

/* A read maps a page writable, too, if it may be written.  Not here. */
static void read_entry(struct tiny_guest *g, uint64_t va, int level)
{
	uint64_t pos = tg_entry_gpa(g, va, level);

	TG_ASSERT_LOAD(g, tg_edit_va(pos), tg_read_entry(g, pos) & 0xffffffff);
}

static void test_upper(struct tiny_guest *g)
{
	const uint64_t va = g->mode == TG_4LEVEL ? 0x7f0000000000ul : VA_A;
	int i, level = 1, writes = 0;

	tg_map(g, va, tg_data(0));
	TG_ASSERT_LOAD(g, va, tg_data(0));

	for (i = 1; i < 10; i++) {
		/* All levels in turn.  Nobody shadows the PDPTEs of PAE. */
		if (++level > tg_levels(g) || (g->mode == TG_PAE && level > 2))
			level = 2;

		read_entry(g, va, level);
		tg_redirect(g, va, level, tg_data(i));
		TG_ASSERT_LOAD(g, va, tg_data(i));
		TG_ASSERT_STAT(g, "mmu_unsync", 0);
		TG_ASSERT_SHADOW_STAT(g, "mmu_pte_write", ++writes);
	}
}

int main(void)
{
	static const struct tg_case cases[] = {
		{ "INVLPG", test_invlpg, TG_ALL_MODES },
		{ "CR3", test_cr3, TG_ALL_MODES },
		{ "CR4", test_cr4, TG_ALL_MODES },
		{ "new entry", test_new_entry, TG_ALL_MODES },
		{ "a leaf becomes an upper level", test_becomes_upper, TG_4LEVEL_BIT },
		{ "upper levels never", test_upper, TG_ALL_MODES },
	};

	tg_run_cases(cases, ARRAY_SIZE(cases));
}
