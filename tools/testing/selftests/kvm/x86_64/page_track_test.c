// SPDX-License-Identifier: GPL-2.0-only
/*
 * Basics of page tracking: upper-level page tables are tracked, each write to
 * them is emulated and takes effect at once, and counters cost what they should.
 */
#include "page_track/cases.h"
#include "page_track/guest.h"
#include "page_track/stats.h"

#define TEST_VA		0x7f0000000000ul

/* A slot of three blocks, which are counted from its first gfn. */
#define FAR_SLOT	TG_NR_SLOTS
#define FAR_GPA		0x10003000ul
#define FAR_PAGES	5000
#define BLOCK_GFNS	2048

static void assert_tracked(struct tiny_guest *g, uint64_t pages, uint64_t bytes)
{
	TG_ASSERT_SHADOW_STAT(g, "page_track_pages", pages);
	TG_ASSERT_SHADOW_STAT(g, "page_track_bytes", bytes);
}

/* Until a shadow root is needed there are no counters, later a block of them. */
static void test_counters(struct tiny_guest *g)
{
	uint64_t directories = TG_NR_SLOTS * sizeof(uint64_t);

	tg_map(g, TEST_VA, tg_data(1));
	assert_tracked(g, 0, 0);

	TG_ASSERT_LOAD(g, TEST_VA, tg_data(1));
	tg_load(g, tg_edit_va(g->root));
	assert_tracked(g, tg_count_upper(g), directories + PAGE_SIZE);
}

/* Lead TEST_VA to @data through a level-2 table at @gpa. */
static void redirect_through(struct tiny_guest *g, uint64_t gpa, uint64_t data)
{
	uint64_t next = g->next;

	/* The level-1 table comes first. */
	tg_write_entry(g, gpa + (TEST_VA >> 21) % 512 * sizeof(uint64_t),
		       tg_new_path(g, TEST_VA, 2, data));
	TEST_ASSERT_EQ(g->next, next + PAGE_SIZE);

	tg_edit(g, tg_entry_gpa(g, TEST_VA, 3), tg_make_entry(g, 3, gpa));
	tg_settle(g, TEST_VA);
	TG_ASSERT_LOAD(g, TEST_VA, data);
}

static void test_blocks(struct tiny_guest *g)
{
	uint64_t bytes = (TG_NR_SLOTS + 3) * sizeof(uint64_t) + PAGE_SIZE;
	uint64_t pages;

	vm_userspace_mem_region_add(g->vm, VM_MEM_SRC_ANONYMOUS, FAR_GPA,
				    FAR_SLOT, FAR_PAGES, 0);
	tg_map(g, TEST_VA, tg_data(1));
	TG_ASSERT_LOAD(g, TEST_VA, tg_data(1));
	tg_load(g, tg_edit_va(g->root));
	pages = tg_count_upper(g);
	assert_tracked(g, pages, bytes);

	/* The last gfn of the first block, and the first one of the second. */
	redirect_through(g, FAR_GPA + (BLOCK_GFNS - 1) * PAGE_SIZE, tg_data(2));
	assert_tracked(g, pages + 1, bytes + PAGE_SIZE);
	redirect_through(g, FAR_GPA + BLOCK_GFNS * PAGE_SIZE, tg_data(3));
	assert_tracked(g, pages + 2, bytes + 2 * PAGE_SIZE);
	redirect_through(g, FAR_GPA + (BLOCK_GFNS + 1) * PAGE_SIZE, tg_data(4));
	assert_tracked(g, pages + 3, bytes + 2 * PAGE_SIZE);

	/* Counters go with their slot, and its deletion zaps all shadow pages. */
	vm_mem_region_delete(g->vm, FAR_SLOT);
	assert_tracked(g, 0, bytes - 3 * sizeof(uint64_t));
}

static void test_writes(struct tiny_guest *g)
{
	uint64_t writes, emulated;
	int level;

	tg_map(g, TEST_VA, tg_data(0));
	TG_ASSERT_LOAD(g, TEST_VA, tg_data(0));
	writes = tg_stat(g, "mmu_pte_write");
	emulated = tg_vcpu_stat(g, "pf_emulate");

	for (level = 2; level <= tg_levels(g); level++) {
		tg_redirect(g, TEST_VA, level, tg_data(level));
		TG_ASSERT_LOAD(g, TEST_VA, tg_data(level));
		if (tg_shadowed()) {
			writes++;
			emulated++;
		}
		TG_ASSERT_STAT(g, "mmu_pte_write", writes);
		TG_ASSERT_STAT(g, "mmu_unsync", 0);
		TEST_ASSERT_EQ(tg_vcpu_stat(g, "pf_emulate"), emulated);
	}
}

int main(void)
{
	static const struct tg_case cases[] = {
		{ "counters appear with shadow pages", test_counters, TG_4LEVEL_BIT, true },
		{ "a block has the counters of 2048 gfns", test_blocks, TG_4LEVEL_BIT, true },
		{ "writes to upper levels take effect at once", test_writes, TG_4LEVEL_BIT },
	};

	tg_run_cases(cases, ARRAY_SIZE(cases));
}
