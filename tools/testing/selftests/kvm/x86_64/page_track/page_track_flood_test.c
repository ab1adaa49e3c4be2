// SPDX-License-Identifier: GPL-2.0-only
/*
 * A table that is written again and again without being used may be no table any
 * more: KVM gives up tracking it, until it is used again.
 */
#include "cases.h"
#include "guest.h"
#include "stats.h"

/* Of an address range of its own where the root allows for it. */
static uint64_t test_va(struct tiny_guest *g)
{
	return g->mode == TG_4LEVEL ? 0x7f0000000000ul : 0x40c01000ul;
}

/* Write @n entries behind the one in use, at @level. */
static void write_entries(struct tiny_guest *g, int level, int n)
{
	uint64_t pos = tg_entry_gpa(g, test_va(g), level);
	int i;

	for (i = 1; i <= n; i++)
		tg_edit(g, pos + i * tg_entry_size(g), 0);
}

static void map_and_load(struct tiny_guest *g)
{
	tg_map(g, test_va(g), tg_data(1));
	TG_ASSERT_LOAD(g, test_va(g), tg_data(1));
	tg_load(g, tg_edit_va(g->root));
	TG_ASSERT_STAT(g, "mmu_flooded", 0);
}

/* The third write drops the shadow page; the fourth is not even emulated. */
static void test_flood(struct tiny_guest *g, int level)
{
	uint64_t pages, writes, emulated;

	map_and_load(g);
	pages = tg_stat(g, "page_track_pages");
	writes = tg_stat(g, "mmu_pte_write");

	write_entries(g, level, 2);
	TG_ASSERT_STAT(g, "mmu_flooded", 0);
	TG_ASSERT_STAT(g, "page_track_pages", pages);
	write_entries(g, level, 1);
	TG_ASSERT_SHADOW_STAT(g, "mmu_flooded", 1);
	TG_ASSERT_SHADOW_STAT(g, "page_track_pages", pages - 1);
	TG_ASSERT_SHADOW_STAT(g, "mmu_pte_write", writes + 3);

	emulated = tg_vcpu_stat(g, "pf_emulate");
	write_entries(g, level, 5);
	TG_ASSERT_SHADOW_STAT(g, "mmu_pte_write", writes + 3);
	TEST_ASSERT_EQ(tg_vcpu_stat(g, "pf_emulate"), emulated);

	/* In use again, it is tracked again. */
	TG_ASSERT_LOAD(g, test_va(g), tg_data(1));
	TG_ASSERT_SHADOW_STAT(g, "page_track_pages", pages);
	tg_redirect(g, test_va(g), level, tg_data(2));
	TG_ASSERT_LOAD(g, test_va(g), tg_data(2));
	TG_ASSERT_SHADOW_STAT(g, "mmu_pte_write", writes + 4);
}

static void test_level2(struct tiny_guest *g)
{
	test_flood(g, 2);
}

static void test_level3(struct tiny_guest *g)
{
	test_flood(g, 3);
}

/*
 * A root is given up, too, and at once is there again, as the guest runs on it.
 * One that leads to the written table itself, i.e. the only one of 4-level
 * paging, is in use by the write.
 */
static void test_root(struct tiny_guest *g)
{
	uint64_t pages, flooded;
	int level = g->mode == TG_4LEVEL ? 4 : 2;

	map_and_load(g);
	pages = tg_stat(g, "page_track_pages");

	write_entries(g, level, 3);
	flooded = tg_stat(g, "mmu_flooded");
	TEST_ASSERT(!!flooded == (tg_shadowed() && g->mode != TG_4LEVEL),
		    "%lu pages flooded", flooded);

	TG_ASSERT_LOAD(g, test_va(g), tg_data(1));
	tg_load(g, tg_edit_va(g->root));
	TG_ASSERT_STAT(g, "page_track_pages", pages);
	tg_redirect(g, test_va(g), level, tg_data(2));
	TG_ASSERT_LOAD(g, test_va(g), tg_data(2));
}

/* Whoever uses the table between writes keeps it. */
static void test_used(struct tiny_guest *g)
{
	uint64_t pages;
	int i;

	map_and_load(g);
	pages = tg_stat(g, "page_track_pages");

	for (i = 1; i <= 10; i++) {
		tg_redirect(g, test_va(g), 2, tg_data(i));
		TG_ASSERT_LOAD(g, test_va(g), tg_data(i));
		TG_ASSERT_SHADOW_STAT(g, "mmu_pte_write", i);
	}

	TG_ASSERT_STAT(g, "mmu_flooded", 0);
	TG_ASSERT_STAT(g, "page_track_pages", pages);
}

int main(void)
{
	static const struct tg_case cases[] = {
		{ "level 2", test_level2, TG_4LEVEL_BIT, true },
		{ "level 3", test_level3, TG_4LEVEL_BIT, true },
		{ "root", test_root, TG_ALL_MODES, true },
		{ "used in between", test_used, TG_PAE_BIT | TG_4LEVEL_BIT, true },
	};

	tg_run_cases(cases, ARRAY_SIZE(cases));
}
