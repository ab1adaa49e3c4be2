// SPDX-License-Identifier: GPL-2.0-only
/*
 * A slot with tracked pages is deleted, moved, created again, or has its flags
 * changed, or a change of it fails: counters go with the slot, and no table is
 * left untracked in a slot that stays.
 */
#include "cases.h"
#include "guest.h"
#include "stats.h"

#define VA		0x7f0000000000ul

/* A slot of its own for the level-2 table of VA. */
#define TABLE_SLOT	TG_NR_SLOTS
#define TABLE_PAGES	2
#define TABLE_GPA	0x10001000ul
#define MOVED_GPA	0x20003000ul

struct counts {
	uint64_t pages;
	uint64_t bytes;
};

/* What all slots but the one under test have. */
static struct counts others(struct tiny_guest *g)
{
	return (struct counts) {
		.pages = tg_count_upper(g),
		.bytes = TG_NR_SLOTS * sizeof(uint64_t) + PAGE_SIZE,
	};
}

static void assert_counts(struct tiny_guest *g, uint64_t pages, uint64_t bytes)
{
	TG_ASSERT_SHADOW_STAT(g, "page_track_pages", pages);
	TG_ASSERT_SHADOW_STAT(g, "page_track_bytes", bytes);
}

static void add_slot(struct tiny_guest *g, uint64_t gpa)
{
	vm_userspace_mem_region_add(g->vm, VM_MEM_SRC_ANONYMOUS, gpa, TABLE_SLOT,
				    TABLE_PAGES, 0);
}

/* Raw, to fail without consequences in the library. */
static int set_slot(struct tiny_guest *g, uint32_t flags, uint64_t gpa)
{
	struct userspace_mem_region *region = memslot2region(g->vm, TABLE_SLOT);

	return __vm_set_user_memory_region(g->vm, TABLE_SLOT, flags, gpa,
					   region->region.memory_size,
					   region->host_mem);
}

/* Have the level-2 table at @gpa lead VA to @data, by the host. */
static void fill_table(struct tiny_guest *g, uint64_t gpa, uint64_t data)
{
	tg_write_entry(g, gpa + (VA >> 21) % 512 * sizeof(uint64_t),
		       tg_new_path(g, VA, 2, data));
}

/* Have the guest use the level-2 table at @gpa, wherever that is. */
static void link_table(struct tiny_guest *g, uint64_t gpa)
{
	tg_edit(g, tg_entry_gpa(g, VA, 3), tg_make_entry(g, 3, gpa));
	tg_settle(g, VA);
}

/* Map it where the guest can write it, too. */
static uint64_t map_table(struct tiny_guest *g, uint64_t gpa)
{
	uint64_t va = VA + BIT(tg_shift(g, 3)) + gpa;

	tg_map(g, va, gpa);
	return va + (VA >> 21) % 512 * sizeof(uint64_t);
}

/* Writes to the table through @entry_va are seen. */
static void assert_tracked(struct tiny_guest *g, uint64_t entry_va, int data)
{
	uint64_t writes = tg_stat(g, "mmu_pte_write");

	tg_store(g, entry_va, tg_new_path(g, VA, 2, tg_data(data)), 8);
	tg_settle(g, VA);
	TG_ASSERT_LOAD(g, VA, tg_data(data));
	TG_ASSERT_STAT(g, "mmu_pte_write", writes + tg_shadowed());
}

/* Everything in use, and the table tracked. */
static uint64_t start(struct tiny_guest *g)
{
	uint64_t entry_va;

	add_slot(g, TABLE_GPA);
	entry_va = map_table(g, TABLE_GPA);
	tg_map(g, VA, tg_data(0));
	fill_table(g, TABLE_GPA, tg_data(1));
	tg_write_entry(g, tg_entry_gpa(g, VA, 3), tg_make_entry(g, 3, TABLE_GPA));
	TG_ASSERT_LOAD(g, VA, tg_data(1));
	assert_tracked(g, entry_va, 2);

	return entry_va;
}

static void test_delete_recreate(struct tiny_guest *g)
{
	uint64_t entry_va = start(g), bytes;
	int i;

	bytes = others(g).bytes;
	for (i = 0; i < 3; i++) {
		TG_ASSERT_SHADOW_STAT(g, "page_track_bytes", bytes + 8 + PAGE_SIZE);

		/* Other slots keep their blocks, with nothing in them. */
		vm_mem_region_delete(g->vm, TABLE_SLOT);
		assert_counts(g, 0, bytes);

		add_slot(g, TABLE_GPA);
		assert_counts(g, 0, bytes + 8);
		fill_table(g, TABLE_GPA, tg_data(10 + i));
		tg_settle(g, VA);
		TG_ASSERT_LOAD(g, VA, tg_data(10 + i));
		assert_tracked(g, entry_va, 20 + i);
	}
}

static void test_move(struct tiny_guest *g)
{
	uint64_t entry_va, bytes, moved_va;

	start(g);
	moved_va = map_table(g, MOVED_GPA);
	bytes = others(g).bytes;

	vm_mem_region_move(g->vm, TABLE_SLOT, MOVED_GPA);
	assert_counts(g, 0, bytes + 8);

	link_table(g, MOVED_GPA);
	TG_ASSERT_LOAD(g, VA, tg_data(2));
	assert_tracked(g, moved_va, 3);
	TG_ASSERT_SHADOW_STAT(g, "page_track_bytes", bytes + 8 + PAGE_SIZE);

	/* And back. */
	vm_mem_region_move(g->vm, TABLE_SLOT, TABLE_GPA);
	assert_counts(g, 0, bytes + 8);
	entry_va = map_table(g, TABLE_GPA);
	link_table(g, TABLE_GPA);
	TG_ASSERT_LOAD(g, VA, tg_data(3));
	assert_tracked(g, entry_va, 4);
}

static void test_flags(struct tiny_guest *g)
{
	uint64_t entry_va = start(g), pages, bytes;
	int i;

	pages = tg_stat(g, "page_track_pages");
	bytes = tg_stat(g, "page_track_bytes");

	for (i = 0; i < 6; i++) {
		vm_mem_region_set_flags(g->vm, TABLE_SLOT,
					i % 2 ? 0 : KVM_MEM_LOG_DIRTY_PAGES);
		TG_ASSERT_STAT(g, "page_track_pages", pages);
		assert_tracked(g, entry_va, 10 + i);
		TG_ASSERT_STAT(g, "page_track_bytes", bytes);
	}
}

/* Refused before anything happened. */
static void test_refused(struct tiny_guest *g)
{
	uint64_t entry_va = start(g), pages, bytes;

	pages = tg_stat(g, "page_track_pages");
	bytes = tg_stat(g, "page_track_bytes");

	TEST_ASSERT(set_slot(g, KVM_MEM_READONLY, TABLE_GPA) && errno == EINVAL,
		    "A slot in use became read-only");
	TEST_ASSERT(set_slot(g, 0, TG_DATA_GPA) && errno == EEXIST,
		    "A slot moved onto another");
	TG_ASSERT_STAT(g, "page_track_pages", pages);
	TG_ASSERT_STAT(g, "page_track_bytes", bytes);
	assert_tracked(g, entry_va, 3);
	TG_ASSERT_STAT(g, "page_track_pages", pages);
}

/*
 * KVM learns only when the slot is invisible already, and all shadow pages are
 * gone, that it cannot be moved there.
 */
static void test_aborted(struct tiny_guest *g)
{
	uint64_t entry_va = start(g), bytes;
	int i;

	bytes = tg_stat(g, "page_track_bytes");

	for (i = 0; i < 3; i++) {
		TEST_ASSERT(set_slot(g, 0, BIT(52)) && errno == EINVAL,
			    "A slot moved beyond physical addresses");
		assert_counts(g, 0, bytes);
		TG_ASSERT_LOAD(g, VA, tg_data(2 + i));
		assert_tracked(g, entry_va, 3 + i);
		TG_ASSERT_STAT(g, "page_track_bytes", bytes);
	}

	tg_load(g, tg_edit_va(g->root));
	assert_counts(g, tg_count_upper(g) + 1, bytes);
}

/* A directory comes with a slot if the VM shadows, without if it does not yet. */
static void test_create(struct tiny_guest *g)
{
	add_slot(g, TABLE_GPA);
	TG_ASSERT_STAT(g, "page_track_bytes", 0);
	vm_mem_region_delete(g->vm, TABLE_SLOT);

	tg_load(g, tg_edit_va(g->root));
	assert_counts(g, others(g).pages, others(g).bytes);
	add_slot(g, TABLE_GPA);
	assert_counts(g, others(g).pages, others(g).bytes + 8);
	vm_mem_region_delete(g->vm, TABLE_SLOT);
	assert_counts(g, 0, others(g).bytes);
}

int main(void)
{
	static const struct tg_case cases[] = {
		{ "create", test_create, TG_4LEVEL_BIT, true },
		{ "delete and recreate", test_delete_recreate, TG_4LEVEL_BIT, true },
		{ "move", test_move, TG_4LEVEL_BIT, true },
		{ "flags", test_flags, TG_4LEVEL_BIT, true },
		{ "refused change", test_refused, TG_4LEVEL_BIT, true },
		{ "aborted move", test_aborted, TG_4LEVEL_BIT, true },
	};

	tg_run_cases(cases, ARRAY_SIZE(cases));
}
