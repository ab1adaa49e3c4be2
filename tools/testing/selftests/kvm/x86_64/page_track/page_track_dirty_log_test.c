// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tracking and the dirty log are two things: a tracked write is logged, clearing
 * the log makes no tracked page writable, and either ends without the other.
 */
#include "cases.h"
#include "guest.h"
#include "stats.h"

#define VA		0x7f0000000000ul

static unsigned long log[TG_ARENA_PAGES / 64];

static void read_log(struct tiny_guest *g)
{
	kvm_vm_get_dirty_log(g->vm, TG_ARENA_SLOT, log);
}

static bool is_dirty(uint64_t gpa)
{
	uint64_t i = (gpa - TG_ARENA_GPA) / PAGE_SIZE;

	return log[i / 64] & BIT(i % 64);
}

static void start_log(struct tiny_guest *g)
{
	vm_mem_region_set_flags(g->vm, TG_ARENA_SLOT, KVM_MEM_LOG_DIRTY_PAGES);
}

static void stop_log(struct tiny_guest *g)
{
	vm_mem_region_set_flags(g->vm, TG_ARENA_SLOT, 0);
}

static uint64_t table_of(struct tiny_guest *g, int level)
{
	return tg_entry_gpa(g, VA, level) & PAGE_MASK;
}

/* A write to the level-2 table, which is tracked. */
static void write_tracked(struct tiny_guest *g, int data)
{
	uint64_t writes = tg_stat(g, "mmu_pte_write");

	tg_redirect(g, VA, 2, tg_data(data));
	TG_ASSERT_STAT(g, "mmu_pte_write", writes + tg_shadowed());
	TG_ASSERT_LOAD(g, VA, tg_data(data));
}

static void assert_logged(struct tiny_guest *g, uint64_t gpa, bool dirty)
{
	read_log(g);
	TEST_ASSERT(is_dirty(gpa) == dirty, "Page 0x%lx is %sin the dirty log", gpa,
		    dirty ? "not " : "");
}

static void map_and_load(struct tiny_guest *g)
{
	tg_map(g, VA, tg_data(0));
	TG_ASSERT_LOAD(g, VA, tg_data(0));
}

/* Each tracked write is logged; reading the log clears it. */
static void test_tracked_writes(struct tiny_guest *g)
{
	uint64_t pages, table;
	int i;

	map_and_load(g);
	table = table_of(g, 2);
	pages = tg_stat(g, "page_track_pages");
	start_log(g);
	TG_ASSERT_STAT(g, "page_track_pages", pages);

	for (i = 1; i < 6; i++) {
		write_tracked(g, i);
		assert_logged(g, table, true);
		assert_logged(g, table, false);
	}
}

/* The log goes on and off; the page is tracked all the time. */
static void test_on_off(struct tiny_guest *g)
{
	int i;

	map_and_load(g);
	for (i = 1; i < 6; i++) {
		start_log(g);
		write_tracked(g, 2 * i);
		assert_logged(g, table_of(g, 2), true);
		stop_log(g);
		write_tracked(g, 2 * i + 1);
	}
}

/* The log is cleared by an ioctl of its own, page by page or all at once. */
static void test_manual_clear(struct tiny_guest *g)
{
	uint64_t first;
	int i;

	vm_enable_cap(g->vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
		      KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE);
	map_and_load(g);
	start_log(g);
	first = (table_of(g, 2) - TG_ARENA_GPA) / PAGE_SIZE & ~63ul;

	for (i = 1; i < 6; i++) {
		write_tracked(g, i);
		assert_logged(g, table_of(g, 2), true);
		if (i % 2)
			kvm_vm_clear_dirty_log(g->vm, TG_ARENA_SLOT, &log[first / 64],
					       first, 64);
		else
			kvm_vm_clear_dirty_log(g->vm, TG_ARENA_SLOT, log, 0,
					       TG_ARENA_PAGES);
		assert_logged(g, table_of(g, 2), false);
	}

	write_tracked(g, i);
	assert_logged(g, table_of(g, 2), true);
}

/* A leaf table is not tracked, its writes are logged as any page's. */
static void test_leaf(struct tiny_guest *g)
{
	uint64_t pos;
	int i;

	map_and_load(g);
	pos = tg_entry_gpa(g, VA, 1);
	start_log(g);

	for (i = 1; i < 6; i++) {
		tg_edit(g, pos, tg_make_entry(g, 1, tg_data(i)));
		TG_ASSERT_STAT(g, "mmu_pte_write", 0);
		assert_logged(g, pos & PAGE_MASK, true);
		assert_logged(g, pos & PAGE_MASK, false);
		tg_flush(g);
		TG_ASSERT_STAT(g, "mmu_unsync", 0);
		TG_ASSERT_LOAD(g, VA, tg_data(i));
	}
}

/* The page is written too often to be a table; it stays in the log. */
static void test_untracked(struct tiny_guest *g)
{
	uint64_t pos, pages, writes;
	int i;

	map_and_load(g);
	pos = tg_entry_gpa(g, VA, 2);
	tg_load(g, tg_edit_va(g->root));
	pages = tg_stat(g, "page_track_pages");
	start_log(g);

	for (i = 1; i <= 3; i++)
		tg_edit(g, pos + 8 * i, 0);
	TG_ASSERT_SHADOW_STAT(g, "page_track_pages", pages - 1);
	assert_logged(g, pos & PAGE_MASK, true);

	writes = tg_stat(g, "mmu_pte_write");
	for (i = 1; i <= 3; i++) {
		tg_edit(g, pos + 8 * i, 0);
		assert_logged(g, pos & PAGE_MASK, true);
	}
	TG_ASSERT_STAT(g, "mmu_pte_write", writes);

	TG_ASSERT_LOAD(g, VA, tg_data(0));
	TG_ASSERT_STAT(g, "page_track_pages", pages);
	write_tracked(g, 4);
	assert_logged(g, pos & PAGE_MASK, true);
}

int main(void)
{
	static const struct tg_case cases[] = {
		{ "tracked writes", test_tracked_writes, TG_4LEVEL_BIT, true },
		{ "on and off", test_on_off, TG_4LEVEL_BIT },
		{ "manual clear", test_manual_clear, TG_4LEVEL_BIT },
		{ "leaf table", test_leaf, TG_4LEVEL_BIT },
		{ "not tracked any more", test_untracked, TG_4LEVEL_BIT, true },
	};

	tg_run_cases(cases, ARRAY_SIZE(cases));
}
