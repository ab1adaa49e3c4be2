// SPDX-License-Identifier: GPL-2.0-only
/*
 * With a recursive mapping, a page is a table of several levels at once: the
 * guest's page tables appear in its own address space.
 */
#include "page_track.h"

/* In PAE paging, a page directory is the top of what it maps. */
#define PAE_BASE	0x40000000ul
#define SLOT_32		100
#define SLOT_64		200

static uint64_t test_va(struct pt_guest *g)
{
	return g->mode == PT_4LEVEL ? 0x7f0000000000ul : PAE_BASE + 0xc01000;
}

static int top_level(struct pt_guest *g)
{
	return g->mode == PT_4LEVEL ? 4 : 2;
}

static int rec_slot(struct pt_guest *g)
{
	return g->mode == PT_4LEVEL ? SLOT_64 : SLOT_32;
}

/* The first table of the recursion, and the address range that it maps. */
static uint64_t top_table(struct pt_guest *g)
{
	return pt_entry_gpa(g, test_va(g), top_level(g)) & PAGE_MASK;
}

static uint64_t base_va(struct pt_guest *g)
{
	return g->mode == PT_PAE ? PAE_BASE : 0;
}

/* Where the guest sees its entry for @va of @level. */
static uint64_t entry_va(struct pt_guest *g, uint64_t va, int level)
{
	int bits = pt_shift(g, 2) - pt_shift(g, 1), top = pt_shift(g, top_level(g));

	va -= base_va(g);
	while (level--) {
		va = (va >> bits) & (BIT(top) - 1);
		va |= (uint64_t)rec_slot(g) << top;
	}

	return base_va(g) + (va & -pt_entry_size(g));
}

static void recurse(struct pt_guest *g)
{
	uint64_t top;

	pt_map(g, test_va(g), pt_data(1));
	top = top_table(g);
	pt_write_entry(g, top + rec_slot(g) * pt_entry_size(g),
		       pt_make_entry(g, top_level(g), top));
	PT_ASSERT_LOAD(g, test_va(g), pt_data(1));
}

/* Each level is found where it should be, and there is no table twice. */
static void test_addresses(struct pt_guest *g)
{
	uint64_t va, gpa;
	int level;

	recurse(g);
	for (level = 1; level <= top_level(g); level++) {
		va = entry_va(g, test_va(g), level);
		gpa = pt_entry_gpa(g, test_va(g), level);
		TEST_ASSERT_EQ(pt_translate(g, va), gpa);
		PT_ASSERT_LOAD(g, va, pt_read_entry(g, gpa) & 0xffffffff);
	}

	/* One gfn, counted once, whatever the number of levels. */
	if (g->mode == PT_4LEVEL)
		pt_load(g, pt_edit_va(g->root));
	PT_ASSERT_SHADOW_STAT(g, "page_track_pages", pt_count_upper(g));
}

static void test_upper_writes(struct pt_guest *g)
{
	uint64_t writes, entry;
	int level, i;

	recurse(g);
	writes = pt_stat(g, "mmu_pte_write");

	for (i = 2; i < 8; i++) {
		level = 2 + i % (top_level(g) - 1);
		entry = pt_new_path(g, test_va(g), level, pt_data(i));
		pt_store(g, entry_va(g, test_va(g), level), entry, pt_entry_size(g));
		pt_flush(g);
		PT_ASSERT_LOAD(g, test_va(g), pt_data(i));
		/* As leaf of one mapping and upper level of another. */
		PT_ASSERT_STAT(g, "mmu_unsync", 0);
	}

	TEST_ASSERT(!!(pt_stat(g, "mmu_pte_write") - writes) == pt_shadowed(),
		    "%lu writes emulated", pt_stat(g, "mmu_pte_write") - writes);
}

/* A table that is a leaf everywhere goes unsync as any other. */
static void test_leaf_writes(struct pt_guest *g)
{
	uint64_t writes;
	int i;

	recurse(g);
	writes = pt_stat(g, "mmu_pte_write");

	for (i = 2; i < 5; i++) {
		pt_store(g, entry_va(g, test_va(g), 1), pt_make_entry(g, 1, pt_data(i)),
			 pt_entry_size(g));
		PT_ASSERT_SHADOW_STAT(g, "mmu_unsync", 1);
		pt_flush(g);
		PT_ASSERT_STAT(g, "mmu_unsync", 0);
		PT_ASSERT_LOAD(g, test_va(g), pt_data(i));
	}

	PT_ASSERT_STAT(g, "mmu_pte_write", writes);
}

int main(void)
{
	static const struct pt_case cases[] = {
		{ "addresses", test_addresses, PT_PAE_BIT | PT_4LEVEL_BIT, true },
		{ "upper levels", test_upper_writes, PT_ALL_MODES },
		{ "leaf", test_leaf_writes, PT_ALL_MODES },
	};

	pt_run_cases(cases, ARRAY_SIZE(cases));
}
