// SPDX-License-Identifier: GPL-2.0-only
/*
 * Basics of page tracking: upper-level page tables are tracked, each write to
 * them is emulated and takes effect at once, and counters cost what they should.
 */
#include "page_track.h"

#define TEST_VA		0x7f0000000000ul

/* A slot of three blocks, which are counted from its first gfn. */
#define FAR_SLOT	PT_NR_SLOTS
#define FAR_GPA		0x10003000ul
#define FAR_PAGES	5000
#define BLOCK_GFNS	2048

static void assert_tracked(struct pt_guest *g, uint64_t pages, uint64_t bytes)
{
	PT_ASSERT_SHADOW_STAT(g, "page_track_pages", pages);
	PT_ASSERT_SHADOW_STAT(g, "page_track_bytes", bytes);
}

/* Until a shadow root is needed there are no counters, later a block of them. */
static void test_counters(struct pt_guest *g)
{
	uint64_t directories = PT_NR_SLOTS * sizeof(uint64_t);

	pt_map(g, TEST_VA, pt_data(1));
	assert_tracked(g, 0, 0);

	PT_ASSERT_LOAD(g, TEST_VA, pt_data(1));
	pt_load(g, pt_edit_va(g->root));
	assert_tracked(g, pt_count_upper(g), directories + PAGE_SIZE);
}

/* Lead TEST_VA to @data through a level-2 table at @gpa. */
static void redirect_through(struct pt_guest *g, uint64_t gpa, uint64_t data)
{
	uint64_t next = g->next;

	/* The level-1 table comes first. */
	pt_write_entry(g, gpa + (TEST_VA >> 21) % 512 * sizeof(uint64_t),
		       pt_new_path(g, TEST_VA, 2, data));
	TEST_ASSERT_EQ(g->next, next + PAGE_SIZE);

	pt_edit(g, pt_entry_gpa(g, TEST_VA, 3), pt_make_entry(g, 3, gpa));
	pt_settle(g, TEST_VA);
	PT_ASSERT_LOAD(g, TEST_VA, data);
}

static void test_blocks(struct pt_guest *g)
{
	uint64_t bytes = (PT_NR_SLOTS + 3) * sizeof(uint64_t) + PAGE_SIZE;
	uint64_t pages;

	vm_userspace_mem_region_add(g->vm, VM_MEM_SRC_ANONYMOUS, FAR_GPA,
				    FAR_SLOT, FAR_PAGES, 0);
	pt_map(g, TEST_VA, pt_data(1));
	PT_ASSERT_LOAD(g, TEST_VA, pt_data(1));
	pt_load(g, pt_edit_va(g->root));
	pages = pt_count_upper(g);
	assert_tracked(g, pages, bytes);

	/* The last gfn of the first block, and the first one of the second. */
	redirect_through(g, FAR_GPA + (BLOCK_GFNS - 1) * PAGE_SIZE, pt_data(2));
	assert_tracked(g, pages + 1, bytes + PAGE_SIZE);
	redirect_through(g, FAR_GPA + BLOCK_GFNS * PAGE_SIZE, pt_data(3));
	assert_tracked(g, pages + 2, bytes + 2 * PAGE_SIZE);
	redirect_through(g, FAR_GPA + (BLOCK_GFNS + 1) * PAGE_SIZE, pt_data(4));
	assert_tracked(g, pages + 3, bytes + 2 * PAGE_SIZE);

	/* Counters go with their slot, and its deletion zaps all shadow pages. */
	vm_mem_region_delete(g->vm, FAR_SLOT);
	assert_tracked(g, 0, bytes - 3 * sizeof(uint64_t));
}

static void test_writes(struct pt_guest *g)
{
	uint64_t writes, emulated;
	int level;

	pt_map(g, TEST_VA, pt_data(0));
	PT_ASSERT_LOAD(g, TEST_VA, pt_data(0));
	writes = pt_stat(g, "mmu_pte_write");
	emulated = pt_vcpu_stat(g, "pf_emulate");

	for (level = 2; level <= pt_levels(g); level++) {
		pt_redirect(g, TEST_VA, level, pt_data(level));
		PT_ASSERT_LOAD(g, TEST_VA, pt_data(level));
		if (pt_shadowed()) {
			writes++;
			emulated++;
		}
		PT_ASSERT_STAT(g, "mmu_pte_write", writes);
		PT_ASSERT_STAT(g, "mmu_unsync", 0);
		TEST_ASSERT_EQ(pt_vcpu_stat(g, "pf_emulate"), emulated);
	}
}

int main(void)
{
	static const struct pt_case cases[] = {
		{ "counters appear with shadow pages", test_counters, PT_4LEVEL_BIT, true },
		{ "a block has the counters of 2048 gfns", test_blocks, PT_4LEVEL_BIT, true },
		{ "writes to upper levels take effect at once", test_writes, PT_4LEVEL_BIT },
	};

	pt_run_cases(cases, ARRAY_SIZE(cases));
}
