// SPDX-License-Identifier: GPL-2.0-only
/*
 * A write that crosses from one entry of a tracked page table into the next, or
 * from one page into the next, takes effect in both.
 */
#include "cases.h"
#include "guest.h"
#include "stats.h"

#define VA		0x40c01000ul
#define NR_TABLES	16

/*
 * Leaf tables whose number is in the high nibble of an entry's second byte, so
 * that any mix of the bytes of two entries leads to one of them.
 */
static uint64_t alloc_tables(struct tiny_guest *g, uint64_t va)
{
	uint64_t first;
	int i;

	while (g->next & (NR_TABLES * PAGE_SIZE - 1))
		tg_alloc(g);

	first = g->next;
	for (i = 0; i < NR_TABLES; i++)
		tg_new_path(g, va, 2, tg_data(i));

	return first;
}

/* Have the guest write @size bytes, at @gpa on, of what @bytes has from there. */
static void store_part(struct tiny_guest *g, uint64_t gpa, const uint8_t *bytes,
		       int size)
{
	uint64_t val = 0;

	memcpy(&val, bytes, size);
	tg_store(g, tg_edit_va(gpa), val, size);
}

static void assert_both(struct tiny_guest *g, uint64_t va, uint64_t next_va)
{
	tg_settle(g, va);
	tg_settle(g, next_va);
	TG_ASSERT_LOAD(g, va, tg_translate(g, va));
	TG_ASSERT_LOAD(g, next_va, tg_translate(g, next_va));
}

/* Two neighbours in a level-2 table, written by each size at each place. */
static void cross_entries(struct tiny_guest *g, bool flush)
{
	const uint64_t next_va = VA + BIT(tg_shift(g, 2));
	int esize = tg_entry_size(g), size, offset, nr = 0;
	uint64_t tables, pos, entries[2];
	uint8_t *bytes = (void *)entries;

	tg_map(g, VA, tg_data(20));
	tables = alloc_tables(g, VA);
	pos = tg_entry_gpa(g, VA, 2);
	tg_write_entry(g, pos, tg_make_entry(g, 2, tables));
	tg_write_entry(g, pos + esize, tg_make_entry(g, 2, tables));

	for (size = 2; size <= 8; size *= 2) {
		for (offset = esize - size + 1; offset < esize; offset++) {
			if (offset < 0)
				continue;

			/* Have both shadowed, then change both tables. */
			assert_both(g, VA, next_va);
			nr = (nr + 1) % NR_TABLES;
			entries[0] = tg_make_entry(g, 2, tables + nr * PAGE_SIZE);
			entries[1] = entries[0];
			if (esize == 4)
				entries[0] |= entries[0] << 32;

			store_part(g, pos + offset, bytes + offset, size);
			if (flush)
				tg_flush(g);
			assert_both(g, VA, next_va);
		}
	}
}

static void test_entries(struct tiny_guest *g)
{
	uint64_t writes = 0;

	cross_entries(g, false);
	writes = tg_stat(g, "mmu_pte_write");
	TEST_ASSERT(!!writes == tg_shadowed(), "%lu writes emulated", writes);
	TG_ASSERT_STAT(g, "mmu_unsync", 0);
}

/* As architecture has it, i.e. the guest flushes. */
static void test_entries_flush(struct tiny_guest *g)
{
	cross_entries(g, true);
}

/*
 * The last level-2 entry of one page and the first of the next one.  Both pages
 * are tracked, or the one that has no table with @first or @second false is not.
 */
static void cross_pages(struct tiny_guest *g, bool first, bool second)
{
	uint64_t table_span = BIT(tg_shift(g, 3));
	uint64_t va = 0x7f0000000000ul + table_span - PAGE_SIZE;
	uint64_t next_va = va + PAGE_SIZE, tables, next_tables, pd, e[2];
	uint8_t *bytes = (void *)e;
	int offset;

	tables = alloc_tables(g, va);
	next_tables = alloc_tables(g, next_va);
	pd = tg_alloc(g);
	tg_alloc(g);

	tg_map(g, va, tg_data(20));
	tg_map(g, next_va, tg_data(20));
	if (first)
		tg_write_entry(g, tg_entry_gpa(g, va, 3), tg_make_entry(g, 3, pd));
	if (second)
		tg_write_entry(g, tg_entry_gpa(g, next_va, 3),
			       tg_make_entry(g, 3, pd + PAGE_SIZE));
	tg_write_entry(g, pd + PAGE_SIZE - 8, tg_make_entry(g, 2, tables));
	tg_write_entry(g, pd + PAGE_SIZE, tg_make_entry(g, 2, next_tables));

	for (offset = 1; offset < 8; offset++) {
		uint64_t writes;

		assert_both(g, va, next_va);
		e[0] = tg_make_entry(g, 2, tables + offset * PAGE_SIZE);
		e[1] = tg_make_entry(g, 2, next_tables + offset * PAGE_SIZE);
		writes = tg_stat(g, "mmu_pte_write");
		store_part(g, pd + PAGE_SIZE - 8 + offset, bytes + offset, 8);

		/* One for each page: KVM asks for both what is tracked there. */
		TG_ASSERT_STAT(g, "mmu_pte_write", writes + 2 * tg_shadowed());
		assert_both(g, va, next_va);
	}
}

static void test_tracked_tracked(struct tiny_guest *g)
{
	cross_pages(g, true, true);
}

static void test_tracked_plain(struct tiny_guest *g)
{
	cross_pages(g, true, false);
}

static void test_plain_tracked(struct tiny_guest *g)
{
	cross_pages(g, false, true);
}

/* The root of 32-bit paging: its last entry, and a page that is no table. */
static void test_root_plain(struct tiny_guest *g)
{
	const uint64_t va = 0xffc01000ul;
	uint64_t new, plain, old = g->root, tables, pos;
	int i;

	/* A root with a plain page behind it. */
	new = tg_alloc(g);
	plain = tg_alloc(g);
	tg_copy_page(addr_gpa2hva(g->vm, new), addr_gpa2hva(g->vm, old));
	g->root = new;
	tg_map(g, va, tg_data(20));
	tables = alloc_tables(g, va);
	pos = tg_entry_gpa(g, va, 2);
	TEST_ASSERT_EQ(pos + 4, plain);
	tg_write_entry(g, pos, tg_make_entry(g, 2, tables));
	tg_set_cr3(g, new);

	for (i = 1; i < 4; i++) {
		uint64_t entry = tg_make_entry(g, 2, tables + i * PAGE_SIZE);

		TG_ASSERT_LOAD(g, va, tg_translate(g, va));
		entry |= (uint64_t)i << 32;
		store_part(g, pos + 1, (uint8_t *)&entry + 1, 4);
		tg_settle(g, va);
		TG_ASSERT_LOAD(g, va, tg_data(i));
		TEST_ASSERT_EQ(*(uint8_t *)addr_gpa2hva(g->vm, plain), i);
		TG_ASSERT_SHADOW_STAT(g, "mmu_pte_write", 2 * i);
	}
}

int main(void)
{
	static const struct tg_case cases[] = {
		{ "two entries, flushed", test_entries_flush, TG_ALL_MODES },
		{ "two entries", test_entries, TG_ALL_MODES },
		{ "two tracked pages", test_tracked_tracked, TG_4LEVEL_BIT },
		{ "into a plain page", test_tracked_plain, TG_4LEVEL_BIT },
		{ "from a plain page", test_plain_tracked, TG_4LEVEL_BIT },
		{ "from a 32-bit root into a plain page", test_root_plain, TG_32_BIT },
	};

	tg_run_cases(cases, ARRAY_SIZE(cases));
}
