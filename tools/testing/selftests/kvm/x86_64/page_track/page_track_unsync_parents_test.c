// SPDX-License-Identifier: GPL-2.0-only
/*
 * One leaf table hangs under several roots.  When it goes unsync, each of them
 * has to know, as any of them may be loaded next and has to bring it in sync.
 */
#include "cases.h"
#include "guest.h"
#include "stats.h"

#define VA		0x40c01000ul
#define NR_ROOTS	3

struct roots {
	uint64_t root[NR_ROOTS];
	uint64_t leaf_table;
};

/*
 * The same leaf table for VA under roots that share nothing else.  Link it under
 * the last one by the guest itself, later.
 */
static void share_leaf(struct tiny_guest *g, struct roots *r)
{
	int i;

	tg_map(g, VA, tg_data(1));
	r->leaf_table = tg_entry_gpa(g, VA, 1) & PAGE_MASK;
	r->root[0] = g->root;

	for (i = 1; i < NR_ROOTS; i++) {
		r->root[i] = tg_new_root(g);
		g->root = r->root[i];
		tg_map(g, VA, tg_data(2));
		tg_write_entry(g, tg_entry_gpa(g, VA, 2),
			       tg_make_entry(g, 2, r->leaf_table));
		g->root = r->root[0];
	}
}

static void edit_leaf(struct tiny_guest *g, int data)
{
	tg_edit(g, tg_entry_gpa(g, VA, 1), tg_make_entry(g, 1, tg_data(data)));
	TG_ASSERT_SHADOW_STAT(g, "mmu_unsync", 1);
}

static void switch_to(struct tiny_guest *g, const struct roots *r, int i)
{
	tg_set_cr3(g, r->root[i]);
}

/* Each root in turn: what one made unsync, the next brings in sync. */
static void test_marks(struct tiny_guest *g)
{
	struct roots r;
	int i, data = 10;

	share_leaf(g, &r);
	for (i = 0; i < NR_ROOTS; i++) {
		switch_to(g, &r, i);
		TG_ASSERT_LOAD(g, VA, tg_data(1));
	}

	for (i = 0; i < 2 * NR_ROOTS; i++) {
		edit_leaf(g, ++data);
		switch_to(g, &r, i % NR_ROOTS);
		TG_ASSERT_STAT(g, "mmu_unsync", 0);
		TG_ASSERT_LOAD(g, VA, tg_data(data));
	}

	TG_ASSERT_STAT(g, "mmu_pte_write", 0);
}

/* The root under which the table went unsync loses it. */
static void test_one_parent_gone(struct tiny_guest *g)
{
	struct roots r;

	share_leaf(g, &r);
	switch_to(g, &r, 1);
	TG_ASSERT_LOAD(g, VA, tg_data(1));
	switch_to(g, &r, 0);
	TG_ASSERT_LOAD(g, VA, tg_data(1));

	edit_leaf(g, 3);
	tg_redirect(g, VA, 2, tg_data(4));
	TG_ASSERT_LOAD(g, VA, tg_data(4));
	TG_ASSERT_SHADOW_STAT(g, "mmu_unsync", 1);

	switch_to(g, &r, 1);
	TG_ASSERT_LOAD(g, VA, tg_data(3));
	TG_ASSERT_STAT(g, "mmu_unsync", 0);
}

/* A root that links the table only after it went unsync. */
static void test_late_parent(struct tiny_guest *g)
{
	struct roots r;

	share_leaf(g, &r);
	TG_ASSERT_LOAD(g, VA, tg_data(1));
	edit_leaf(g, 3);

	switch_to(g, &r, 2);
	TG_ASSERT_LOAD(g, VA, tg_data(3));

	edit_leaf(g, 4);
	switch_to(g, &r, 0);
	TG_ASSERT_LOAD(g, VA, tg_data(4));
	TG_ASSERT_STAT(g, "mmu_unsync", 0);
}

/* Two entries of one page directory lead to the table. */
static void test_two_entries(struct tiny_guest *g)
{
	const uint64_t other = VA + BIT(tg_shift(g, 2));
	uint64_t pos;

	tg_map(g, VA, tg_data(1));
	pos = tg_entry_gpa(g, VA, 2);
	tg_write_entry(g, pos + tg_entry_size(g), tg_read_entry(g, pos));
	TG_ASSERT_LOAD(g, VA, tg_data(1));
	TG_ASSERT_LOAD(g, other, tg_data(1));

	edit_leaf(g, 2);
	tg_redirect(g, VA, 2, tg_data(3));
	TG_ASSERT_LOAD(g, VA, tg_data(3));

	tg_flush(g);
	TG_ASSERT_STAT(g, "mmu_unsync", 0);
	TG_ASSERT_LOAD(g, other, tg_data(2));
	TG_ASSERT_LOAD(g, VA, tg_data(3));
}

int main(void)
{
	static const struct tg_case cases[] = {
		{ "marks reach each root", test_marks, TG_ALL_MODES },
		{ "one parent gone", test_one_parent_gone, TG_ALL_MODES },
		{ "late parent", test_late_parent, TG_ALL_MODES },
		{ "two entries", test_two_entries, TG_ALL_MODES },
	};

	tg_run_cases(cases, ARRAY_SIZE(cases));
}
