// SPDX-License-Identifier: GPL-2.0-only
/*
 * Leaf page tables are not tracked: the first write makes them unsync, and they
 * come back in sync when the guest flushes its TLB.  Upper levels never do that.
 */
#include "page_track.h"

#define VA_A	0x40c01000ul
#define VA_B	0x40c02000ul

static void edit_leaf(struct pt_guest *g, uint64_t va, int data)
{
	pt_edit(g, pt_entry_gpa(g, va, 1), pt_make_entry(g, 1, pt_data(data)));
}

/* Map both and have them shadowed. */
static void map_both(struct pt_guest *g)
{
	pt_map(g, VA_A, pt_data(1));
	pt_map(g, VA_B, pt_data(2));
	PT_ASSERT_LOAD(g, VA_A, pt_data(1));
	PT_ASSERT_LOAD(g, VA_B, pt_data(2));
}

/* Of an unsync table, an old entry stays in use until it is flushed. */
static void assert_unsync(struct pt_guest *g, uint64_t va, int old)
{
	PT_ASSERT_SHADOW_STAT(g, "mmu_unsync", 1);
	PT_ASSERT_STAT(g, "mmu_pte_write", 0);
	if (pt_shadowed())
		PT_ASSERT_LOAD(g, va, pt_data(old));
}

static void test_invlpg(struct pt_guest *g)
{
	map_both(g);
	edit_leaf(g, VA_A, 3);
	assert_unsync(g, VA_A, 1);
	edit_leaf(g, VA_B, 4);
	assert_unsync(g, VA_B, 2);

	/* One entry is in sync again, the table is not. */
	pt_invlpg(g, VA_A);
	PT_ASSERT_LOAD(g, VA_A, pt_data(3));
	assert_unsync(g, VA_B, 2);

	pt_invlpg(g, VA_B);
	PT_ASSERT_LOAD(g, VA_B, pt_data(4));
}

static void test_cr3(struct pt_guest *g)
{
	int i;

	map_both(g);

	/* Whoever writes after a sync makes the table unsync once more. */
	for (i = 0; i < 3; i++) {
		edit_leaf(g, VA_A, 10 + i);
		assert_unsync(g, VA_A, i ? 9 + i : 1);
		pt_flush(g);
		PT_ASSERT_STAT(g, "mmu_unsync", 0);
		PT_ASSERT_LOAD(g, VA_A, pt_data(10 + i));
		PT_ASSERT_LOAD(g, VA_B, pt_data(2));
	}
}

static void test_cr4(struct pt_guest *g)
{
	struct kvm_regs regs = {};

	/* QEMU's nested paging sets A bits there, which KVM then refuses. */
	if (g->mode == PT_PAE && !pt_shadowed()) {
		g->skip = "the emulated CPU sets reserved bits in PDPTEs";
		return;
	}

	map_both(g);
	edit_leaf(g, VA_A, 3);
	assert_unsync(g, VA_A, 1);

	TEST_ASSERT(pt_run(g, PT_FLUSH_CR4, &regs), "Fault at a write to CR4");
	PT_ASSERT_STAT(g, "mmu_unsync", 0);
	PT_ASSERT_LOAD(g, VA_A, pt_data(3));
}

/* A new entry needs no flush, even in a table that is unsync. */
static void test_new_entry(struct pt_guest *g)
{
	const uint64_t va = VA_B + PAGE_SIZE;

	map_both(g);
	edit_leaf(g, VA_A, 3);
	edit_leaf(g, va, 4);
	PT_ASSERT_LOAD(g, va, pt_data(4));
	assert_unsync(g, VA_A, 1);
}

/* The page of an unsync table, used as an upper level, is in sync and tracked. */
static void test_becomes_upper(struct pt_guest *g)
{
	const uint64_t va = 0xc0c01000ul;
	uint64_t pd, pt, writes;

	map_both(g);
	pt_map(g, va, pt_data(5));
	pt_flush(g);
	PT_ASSERT_LOAD(g, va, pt_data(5));

	pd = pt_entry_gpa(g, VA_A, 1) & PAGE_MASK;
	edit_leaf(g, VA_A, 3);
	assert_unsync(g, VA_A, 1);

	/* As a page directory, the table's new entry leads to another table. */
	pt = pt_alloc(g);
	pt_write_entry(g, pt + (va >> 12) % 512 * 8, pt_make_entry(g, 1, pt_data(6)));
	pt_edit(g, pd + (va >> 21) % 512 * 8, pt_make_entry(g, 2, pt));
	PT_ASSERT_SHADOW_STAT(g, "mmu_unsync", 1);

	pt_edit(g, pt_entry_gpa(g, va, 3), pt_make_entry(g, 3, pd));
	pt_settle(g, va);
	PT_ASSERT_LOAD(g, va, pt_data(6));
	PT_ASSERT_STAT(g, "mmu_unsync", 0);

	writes = pt_stat(g, "mmu_pte_write");
	edit_leaf(g, VA_B, 7);
	PT_ASSERT_STAT(g, "mmu_unsync", 0);
	PT_ASSERT_STAT(g, "mmu_pte_write", writes + pt_shadowed());
	pt_settle(g, VA_A);
	pt_settle(g, VA_B);
	PT_ASSERT_LOAD(g, VA_A, pt_data(3));
	PT_ASSERT_LOAD(g, VA_B, pt_data(7));
}

/* A read maps a page writable, too, if it may be written.  Not here. */
static void read_entry(struct pt_guest *g, uint64_t va, int level)
{
	uint64_t pos = pt_entry_gpa(g, va, level);

	PT_ASSERT_LOAD(g, pt_edit_va(pos), pt_read_entry(g, pos) & 0xffffffff);
}

static void test_upper(struct pt_guest *g)
{
	const uint64_t va = g->mode == PT_4LEVEL ? 0x7f0000000000ul : VA_A;
	int i, level = 1, writes = 0;

	pt_map(g, va, pt_data(0));
	PT_ASSERT_LOAD(g, va, pt_data(0));

	for (i = 1; i < 10; i++) {
		/* All levels in turn.  Nobody shadows the PDPTEs of PAE. */
		if (++level > pt_levels(g) || (g->mode == PT_PAE && level > 2))
			level = 2;

		read_entry(g, va, level);
		pt_redirect(g, va, level, pt_data(i));
		PT_ASSERT_LOAD(g, va, pt_data(i));
		PT_ASSERT_STAT(g, "mmu_unsync", 0);
		PT_ASSERT_SHADOW_STAT(g, "mmu_pte_write", ++writes);
	}
}

int main(void)
{
	static const struct pt_case cases[] = {
		{ "INVLPG", test_invlpg, PT_ALL_MODES },
		{ "CR3", test_cr3, PT_ALL_MODES },
		{ "CR4", test_cr4, PT_ALL_MODES },
		{ "new entry", test_new_entry, PT_ALL_MODES },
		{ "a leaf becomes an upper level", test_becomes_upper, PT_4LEVEL_BIT },
		{ "upper levels never", test_upper, PT_ALL_MODES },
	};

	pt_run_cases(cases, ARRAY_SIZE(cases));
}
