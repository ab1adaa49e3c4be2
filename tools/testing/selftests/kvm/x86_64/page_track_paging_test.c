// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest's write to any level of its page tables takes effect at once, in each
 * paging mode.  The tables of 32-bit paging have more entries than a shadow page:
 * a page directory is shadowed by four of them, a page table by two.
 */
#include "page_track.h"

/* One in each quarter of a 32-bit page directory, and of PAE's four. */
static const uint64_t vas[] = { 0x00c01000, 0x40c01000, 0x90c01000, 0xc0c01000 };

#define HALF_OF_PT	(512 * PAGE_SIZE)

/* Writes to upper levels so far have been emulated, and left nothing unsync. */
static void assert_emulated(struct pt_guest *g, uint64_t writes)
{
	PT_ASSERT_SHADOW_STAT(g, "mmu_pte_write", writes);
	PT_ASSERT_STAT(g, "mmu_unsync", 0);
}

/* Each level of an address range that shares the root only. */
static void test_levels(struct pt_guest *g)
{
	const uint64_t high = 0xffff900000000000ul;
	int level;

	pt_map(g, high, pt_data(0));
	PT_ASSERT_LOAD(g, high, pt_data(0));

	for (level = pt_levels(g); level >= 2; level--) {
		pt_redirect(g, high, level, pt_data(level));
		PT_ASSERT_LOAD(g, high, pt_data(level));
	}

	assert_emulated(g, pt_levels(g) - 1);
}

/* A PDPTE of PAE paging is read at the next write to CR3, not before. */
static void test_pdpte(struct pt_guest *g)
{
	const uint64_t va = vas[1];

	pt_map(g, va, pt_data(0));
	pt_flush(g);
	PT_ASSERT_LOAD(g, va, pt_data(0));

	pt_redirect(g, va, 3, pt_data(1));
	PT_ASSERT_LOAD(g, va, pt_data(1));
	assert_emulated(g, 0);

	pt_redirect(g, va, 2, pt_data(2));
	PT_ASSERT_LOAD(g, va, pt_data(2));
	assert_emulated(g, 1);
}

/* A write to one quarter of a page directory leaves the others as they are. */
static void test_quadrants(struct pt_guest *g)
{
	int i, j, data[ARRAY_SIZE(vas)] = {};

	for (i = 0; i < ARRAY_SIZE(vas); i++) {
		pt_map(g, vas[i], pt_data(0));
		PT_ASSERT_LOAD(g, vas[i], pt_data(0));
	}

	for (i = 0; i < ARRAY_SIZE(vas); i++) {
		data[i] = i + 1;
		pt_redirect(g, vas[i], 2, pt_data(data[i]));
		for (j = 0; j < ARRAY_SIZE(vas); j++)
			PT_ASSERT_LOAD(g, vas[j], pt_data(data[j]));
	}

	assert_emulated(g, ARRAY_SIZE(vas));
}

/* One entry of a 32-bit page directory is two SPTEs.  Both have to go. */
static void test_both_halves(struct pt_guest *g)
{
	const uint64_t va = vas[1] & ~(2 * HALF_OF_PT - 1);
	uint64_t old = pt_alloc(g), new = pt_alloc(g);
	int i;

	for (i = 0; i < 2; i++) {
		pt_write_entry(g, old + i * 512 * 4, pt_make_entry(g, 1, pt_data(i)));
		pt_write_entry(g, new + i * 512 * 4, pt_make_entry(g, 1, pt_data(2 + i)));
	}

	pt_write_entry(g, pt_entry_gpa(g, va, 2), pt_make_entry(g, 2, old));
	PT_ASSERT_LOAD(g, va, pt_data(0));
	PT_ASSERT_LOAD(g, va + HALF_OF_PT, pt_data(1));

	pt_edit(g, pt_entry_gpa(g, va, 2), pt_make_entry(g, 2, new));
	pt_settle(g, va);
	pt_settle(g, va + HALF_OF_PT);
	PT_ASSERT_LOAD(g, va, pt_data(2));
	PT_ASSERT_LOAD(g, va + HALF_OF_PT, pt_data(3));
	assert_emulated(g, 1);
}

/* A leaf table goes unsync with all of its shadow pages. */
static void test_leaf_halves(struct pt_guest *g)
{
	const uint64_t va = vas[1] & ~(2 * HALF_OF_PT - 1);
	uint64_t half[] = { va, va + HALF_OF_PT };
	int i;

	for (i = 0; i < 2; i++) {
		pt_map(g, half[i], pt_data(i));
		PT_ASSERT_LOAD(g, half[i], pt_data(i));
	}

	for (i = 0; i < 2; i++) {
		pt_edit(g, pt_entry_gpa(g, half[i], 1), pt_make_entry(g, 1, pt_data(2 + i)));
		PT_ASSERT_SHADOW_STAT(g, "mmu_unsync", 2);
	}

	pt_invlpg(g, half[0]);
	pt_invlpg(g, half[1]);
	PT_ASSERT_LOAD(g, half[0], pt_data(2));
	PT_ASSERT_LOAD(g, half[1], pt_data(3));
	PT_ASSERT_SHADOW_STAT(g, "mmu_unsync", 2);

	pt_flush(g);
	assert_emulated(g, 0);
}

/* A level-2 entry becomes a large page and a table again. */
static void test_large_page(struct pt_guest *g)
{
	const uint64_t va = vas[1] & ~(2 * HALF_OF_PT - 1);
	uint64_t pos;

	pt_map(g, va + PAGE_SIZE, pt_data(7));
	pos = pt_entry_gpa(g, va, 2);
	PT_ASSERT_LOAD(g, va + PAGE_SIZE, pt_data(7));

	pt_edit(g, pos, pt_make_entry(g, 2, PT_DATA_GPA) | PT_PS);
	pt_settle(g, va + PAGE_SIZE);
	PT_ASSERT_LOAD(g, va + PAGE_SIZE, pt_data(1));
	PT_ASSERT_LOAD(g, va + 300 * PAGE_SIZE, pt_data(300));

	pt_redirect(g, va + PAGE_SIZE, 2, pt_data(8));
	PT_ASSERT_LOAD(g, va + PAGE_SIZE, pt_data(8));
	assert_emulated(g, 2);
}

/* Entries that appear and disappear.  Each fault costs the vCPU's state. */
static void test_present(struct pt_guest *g)
{
	const uint64_t va = vas[2];
	uint64_t pos, entry;

	pt_map(g, va, pt_data(1));
	pos = pt_entry_gpa(g, va, 2);
	entry = pt_read_entry(g, pos);
	PT_ASSERT_LOAD(g, va, pt_data(1));

	pt_edit(g, pos, entry & ~1);
	pt_settle(g, va);
	PT_ASSERT_LOAD(g, va, PT_FAULT);
	pt_edit(g, pos, entry);
	PT_ASSERT_LOAD(g, va, pt_data(1));
	assert_emulated(g, 2);
}

int main(void)
{
	static const struct pt_case cases[] = {
		{ "each level", test_levels, PT_4LEVEL_BIT },
		{ "PDPTE", test_pdpte, PT_PAE_BIT },
		{ "quarters of a page directory", test_quadrants, PT_ALL_MODES },
		{ "both halves under an entry", test_both_halves, PT_32_BIT },
		{ "both halves of a leaf table", test_leaf_halves, PT_32_BIT },
		{ "large page", test_large_page, PT_ALL_MODES },
		{ "not present and back", test_present, PT_ALL_MODES },
	};

	pt_run_cases(cases, ARRAY_SIZE(cases));
}
