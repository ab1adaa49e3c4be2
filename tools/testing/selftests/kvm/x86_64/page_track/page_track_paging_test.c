// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest's write to any level of its page tables takes effect at once, in each
 * paging mode.  The tables of 32-bit paging have more entries than a shadow page:
 * a page directory is shadowed by four of them, a page table by two.
 */
#include "cases.h"
#include "guest.h"
#include "stats.h"

/* One in each quarter of a 32-bit page directory, and of PAE's four. */
static const uint64_t vas[] = { 0x00c01000, 0x40c01000, 0x90c01000, 0xc0c01000 };

#define HALF_OF_PT	(512 * PAGE_SIZE)

/* Writes to upper levels so far have been emulated, and left nothing unsync. */
static void assert_emulated(struct tiny_guest *g, uint64_t writes)
{
	TG_ASSERT_SHADOW_STAT(g, "mmu_pte_write", writes);
	TG_ASSERT_STAT(g, "mmu_unsync", 0);
}

/* Each level of an address range that shares the root only. */
static void test_levels(struct tiny_guest *g)
{
	const uint64_t high = 0xffff900000000000ul;
	int level;

	tg_map(g, high, tg_data(0));
	TG_ASSERT_LOAD(g, high, tg_data(0));

	for (level = tg_levels(g); level >= 2; level--) {
		tg_redirect(g, high, level, tg_data(level));
		TG_ASSERT_LOAD(g, high, tg_data(level));
	}

	assert_emulated(g, tg_levels(g) - 1);
}

/* A PDPTE of PAE paging is read at the next write to CR3, not before. */
static void test_pdpte(struct tiny_guest *g)
{
	const uint64_t va = vas[1];

	tg_map(g, va, tg_data(0));
	tg_flush(g);
	TG_ASSERT_LOAD(g, va, tg_data(0));

	tg_redirect(g, va, 3, tg_data(1));
	TG_ASSERT_LOAD(g, va, tg_data(1));
	assert_emulated(g, 0);

	tg_redirect(g, va, 2, tg_data(2));
	TG_ASSERT_LOAD(g, va, tg_data(2));
	assert_emulated(g, 1);
}

/* A write to one quarter of a page directory leaves the others as they are. */
static void test_quadrants(struct tiny_guest *g)
{
	int i, j, data[ARRAY_SIZE(vas)] = {};

	for (i = 0; i < ARRAY_SIZE(vas); i++) {
		tg_map(g, vas[i], tg_data(0));
		TG_ASSERT_LOAD(g, vas[i], tg_data(0));
	}

	for (i = 0; i < ARRAY_SIZE(vas); i++) {
		data[i] = i + 1;
		tg_redirect(g, vas[i], 2, tg_data(data[i]));
		for (j = 0; j < ARRAY_SIZE(vas); j++)
			TG_ASSERT_LOAD(g, vas[j], tg_data(data[j]));
	}

	assert_emulated(g, ARRAY_SIZE(vas));
}

/* One entry of a 32-bit page directory is two SPTEs.  Both have to go. */
static void test_both_halves(struct tiny_guest *g)
{
	const uint64_t va = vas[1] & ~(2 * HALF_OF_PT - 1);
	uint64_t old = tg_alloc(g), new = tg_alloc(g);
	int i;

	for (i = 0; i < 2; i++) {
		tg_write_entry(g, old + i * 512 * 4, tg_make_entry(g, 1, tg_data(i)));
		tg_write_entry(g, new + i * 512 * 4, tg_make_entry(g, 1, tg_data(2 + i)));
	}

	tg_write_entry(g, tg_entry_gpa(g, va, 2), tg_make_entry(g, 2, old));
	TG_ASSERT_LOAD(g, va, tg_data(0));
	TG_ASSERT_LOAD(g, va + HALF_OF_PT, tg_data(1));

	tg_edit(g, tg_entry_gpa(g, va, 2), tg_make_entry(g, 2, new));
	tg_settle(g, va);
	tg_settle(g, va + HALF_OF_PT);
	TG_ASSERT_LOAD(g, va, tg_data(2));
	TG_ASSERT_LOAD(g, va + HALF_OF_PT, tg_data(3));
	assert_emulated(g, 1);
}

/* A leaf table goes unsync with all of its shadow pages. */
static void test_leaf_halves(struct tiny_guest *g)
{
	const uint64_t va = vas[1] & ~(2 * HALF_OF_PT - 1);
	uint64_t half[] = { va, va + HALF_OF_PT };
	int i;

	for (i = 0; i < 2; i++) {
		tg_map(g, half[i], tg_data(i));
		TG_ASSERT_LOAD(g, half[i], tg_data(i));
	}

	for (i = 0; i < 2; i++) {
		tg_edit(g, tg_entry_gpa(g, half[i], 1), tg_make_entry(g, 1, tg_data(2 + i)));
		TG_ASSERT_SHADOW_STAT(g, "mmu_unsync", 2);
	}

	tg_invlpg(g, half[0]);
	tg_invlpg(g, half[1]);
	TG_ASSERT_LOAD(g, half[0], tg_data(2));
	TG_ASSERT_LOAD(g, half[1], tg_data(3));
	TG_ASSERT_SHADOW_STAT(g, "mmu_unsync", 2);

	tg_flush(g);
	assert_emulated(g, 0);
}

/* A level-2 entry becomes a large page and a table again. */
static void test_large_page(struct tiny_guest *g)
{
	const uint64_t va = vas[1] & ~(2 * HALF_OF_PT - 1);
	uint64_t pos;

	tg_map(g, va + PAGE_SIZE, tg_data(7));
	pos = tg_entry_gpa(g, va, 2);
	TG_ASSERT_LOAD(g, va + PAGE_SIZE, tg_data(7));

	tg_edit(g, pos, tg_make_entry(g, 2, TG_DATA_GPA) | TG_PS);
	tg_settle(g, va + PAGE_SIZE);
	TG_ASSERT_LOAD(g, va + PAGE_SIZE, tg_data(1));
	TG_ASSERT_LOAD(g, va + 300 * PAGE_SIZE, tg_data(300));

	tg_redirect(g, va + PAGE_SIZE, 2, tg_data(8));
	TG_ASSERT_LOAD(g, va + PAGE_SIZE, tg_data(8));
	assert_emulated(g, 2);
}

/* Entries that appear and disappear.  Each fault costs the vCPU's state. */
static void test_present(struct tiny_guest *g)
{
	const uint64_t va = vas[2];
	uint64_t pos, entry;

	tg_map(g, va, tg_data(1));
	pos = tg_entry_gpa(g, va, 2);
	entry = tg_read_entry(g, pos);
	TG_ASSERT_LOAD(g, va, tg_data(1));

	tg_edit(g, pos, entry & ~1);
	tg_settle(g, va);
	TG_ASSERT_LOAD(g, va, TG_FAULT);
	tg_edit(g, pos, entry);
	TG_ASSERT_LOAD(g, va, tg_data(1));
	assert_emulated(g, 2);
}

int main(void)
{
	static const struct tg_case cases[] = {
		{ "each level", test_levels, TG_4LEVEL_BIT },
		{ "PDPTE", test_pdpte, TG_PAE_BIT },
		{ "quarters of a page directory", test_quadrants, TG_ALL_MODES },
		{ "both halves under an entry", test_both_halves, TG_32_BIT },
		{ "both halves of a leaf table", test_leaf_halves, TG_32_BIT },
		{ "large page", test_large_page, TG_ALL_MODES },
		{ "not present and back", test_present, TG_ALL_MODES },
	};

	tg_run_cases(cases, ARRAY_SIZE(cases));
}
