// SPDX-License-Identifier: GPL-2.0-only
/*
 * With a recursive mapping, a page is a table of several levels at once: the
 * guest's page tables appear in its own address space.
 */
#include "cases.h"
#include "guest.h"
#include "stats.h"

/* In PAE paging, a page directory is the top of what it maps. */
#define PAE_BASE	0x40000000ul
#define SLOT_32		100
#define SLOT_64		200

static uint64_t test_va(struct tiny_guest *g)
{
	return g->mode == TG_4LEVEL ? 0x7f0000000000ul : PAE_BASE + 0xc01000;
}

static int top_level(struct tiny_guest *g)
{
	return g->mode == TG_4LEVEL ? 4 : 2;
}

static int rec_slot(struct tiny_guest *g)
{
	return g->mode == TG_4LEVEL ? SLOT_64 : SLOT_32;
}

/* The first table of the recursion, and the address range that it maps. */
static uint64_t top_table(struct tiny_guest *g)
{
	return tg_entry_gpa(g, test_va(g), top_level(g)) & PAGE_MASK;
}

static uint64_t base_va(struct tiny_guest *g)
{
	return g->mode == TG_PAE ? PAE_BASE : 0;
}

/* Where the guest sees its entry for @va of @level. */
static uint64_t entry_va(struct tiny_guest *g, uint64_t va, int level)
{
	int bits = tg_shift(g, 2) - tg_shift(g, 1), top = tg_shift(g, top_level(g));

	va -= base_va(g);
	while (level--) {
		va = (va >> bits) & (BIT(top) - 1);
		va |= (uint64_t)rec_slot(g) << top;
	}

	return base_va(g) + (va & -tg_entry_size(g));
}

static void recurse(struct tiny_guest *g)
{
	uint64_t top;

	tg_map(g, test_va(g), tg_data(1));
	top = top_table(g);
	tg_write_entry(g, top + rec_slot(g) * tg_entry_size(g),
		       tg_make_entry(g, top_level(g), top));
	TG_ASSERT_LOAD(g, test_va(g), tg_data(1));
}

/* Each level is found where it should be, and there is no table twice. */
static void test_addresses(struct tiny_guest *g)
{
	uint64_t va, gpa;
	int level;

	recurse(g);
	for (level = 1; level <= top_level(g); level++) {
		va = entry_va(g, test_va(g), level);
		gpa = tg_entry_gpa(g, test_va(g), level);
		TEST_ASSERT_EQ(tg_translate(g, va), gpa);
		TG_ASSERT_LOAD(g, va, tg_read_entry(g, gpa) & 0xffffffff);
	}

	/* One gfn, counted once, whatever the number of levels. */
	if (g->mode == TG_4LEVEL)
		tg_load(g, tg_edit_va(g->root));
	TG_ASSERT_SHADOW_STAT(g, "page_track_pages", tg_count_upper(g));
}

static void test_upper_writes(struct tiny_guest *g)
{
	uint64_t writes, entry;
	int level, i;

	recurse(g);
	writes = tg_stat(g, "mmu_pte_write");

	for (i = 2; i < 8; i++) {
		level = 2 + i % (top_level(g) - 1);
		entry = tg_new_path(g, test_va(g), level, tg_data(i));
		tg_store(g, entry_va(g, test_va(g), level), entry, tg_entry_size(g));
		tg_flush(g);
		TG_ASSERT_LOAD(g, test_va(g), tg_data(i));
		/* As leaf of one mapping and upper level of another. */
		TG_ASSERT_STAT(g, "mmu_unsync", 0);
	}

	TEST_ASSERT(!!(tg_stat(g, "mmu_pte_write") - writes) == tg_shadowed(),
		    "%lu writes emulated", tg_stat(g, "mmu_pte_write") - writes);
}

/* A table that is a leaf everywhere goes unsync as any other. */
static void test_leaf_writes(struct tiny_guest *g)
{
	uint64_t writes;
	int i;

	recurse(g);
	writes = tg_stat(g, "mmu_pte_write");

	for (i = 2; i < 5; i++) {
		tg_store(g, entry_va(g, test_va(g), 1), tg_make_entry(g, 1, tg_data(i)),
			 tg_entry_size(g));
		TG_ASSERT_SHADOW_STAT(g, "mmu_unsync", 1);
		tg_flush(g);
		TG_ASSERT_STAT(g, "mmu_unsync", 0);
		TG_ASSERT_LOAD(g, test_va(g), tg_data(i));
	}

	TG_ASSERT_STAT(g, "mmu_pte_write", writes);
}

int main(void)
{
	static const struct tg_case cases[] = {
		{ "addresses", test_addresses, TG_PAE_BIT | TG_4LEVEL_BIT, true },
		{ "upper levels", test_upper_writes, TG_ALL_MODES },
		{ "leaf", test_leaf_writes, TG_ALL_MODES },
	};

	tg_run_cases(cases, ARRAY_SIZE(cases));
}
