// SPDX-License-Identifier: GPL-2.0-only
/*
 * One leaf table hangs under several roots.  When it goes unsync, each of them
 * has to know, as any of them may be loaded next and has to bring it in sync.
 */
#include "page_track.h"

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
static void share_leaf(struct pt_guest *g, struct roots *r)
{
	int i;

	pt_map(g, VA, pt_data(1));
	r->leaf_table = pt_entry_gpa(g, VA, 1) & PAGE_MASK;
	r->root[0] = g->root;

	for (i = 1; i < NR_ROOTS; i++) {
		r->root[i] = pt_new_root(g);
		g->root = r->root[i];
		pt_map(g, VA, pt_data(2));
		pt_write_entry(g, pt_entry_gpa(g, VA, 2),
			       pt_make_entry(g, 2, r->leaf_table));
		g->root = r->root[0];
	}
}

static void edit_leaf(struct pt_guest *g, int data)
{
	pt_edit(g, pt_entry_gpa(g, VA, 1), pt_make_entry(g, 1, pt_data(data)));
	PT_ASSERT_SHADOW_STAT(g, "mmu_unsync", 1);
}

static void switch_to(struct pt_guest *g, const struct roots *r, int i)
{
	pt_set_cr3(g, r->root[i]);
}

/* Each root in turn: what one made unsync, the next brings in sync. */
static void test_marks(struct pt_guest *g)
{
	struct roots r;
	int i, data = 10;

	share_leaf(g, &r);
	for (i = 0; i < NR_ROOTS; i++) {
		switch_to(g, &r, i);
		PT_ASSERT_LOAD(g, VA, pt_data(1));
	}

	for (i = 0; i < 2 * NR_ROOTS; i++) {
		edit_leaf(g, ++data);
		switch_to(g, &r, i % NR_ROOTS);
		PT_ASSERT_STAT(g, "mmu_unsync", 0);
		PT_ASSERT_LOAD(g, VA, pt_data(data));
	}

	PT_ASSERT_STAT(g, "mmu_pte_write", 0);
}

/* The root under which the table went unsync loses it. */
static void test_one_parent_gone(struct pt_guest *g)
{
	struct roots r;

	share_leaf(g, &r);
	switch_to(g, &r, 1);
	PT_ASSERT_LOAD(g, VA, pt_data(1));
	switch_to(g, &r, 0);
	PT_ASSERT_LOAD(g, VA, pt_data(1));

	edit_leaf(g, 3);
	pt_redirect(g, VA, 2, pt_data(4));
	PT_ASSERT_LOAD(g, VA, pt_data(4));
	PT_ASSERT_SHADOW_STAT(g, "mmu_unsync", 1);

	switch_to(g, &r, 1);
	PT_ASSERT_LOAD(g, VA, pt_data(3));
	PT_ASSERT_STAT(g, "mmu_unsync", 0);
}

/* A root that links the table only after it went unsync. */
static void test_late_parent(struct pt_guest *g)
{
	struct roots r;

	share_leaf(g, &r);
	PT_ASSERT_LOAD(g, VA, pt_data(1));
	edit_leaf(g, 3);

	switch_to(g, &r, 2);
	PT_ASSERT_LOAD(g, VA, pt_data(3));

	edit_leaf(g, 4);
	switch_to(g, &r, 0);
	PT_ASSERT_LOAD(g, VA, pt_data(4));
	PT_ASSERT_STAT(g, "mmu_unsync", 0);
}

/* Two entries of one page directory lead to the table. */
static void test_two_entries(struct pt_guest *g)
{
	const uint64_t other = VA + BIT(pt_shift(g, 2));
	uint64_t pos;

	pt_map(g, VA, pt_data(1));
	pos = pt_entry_gpa(g, VA, 2);
	pt_write_entry(g, pos + pt_entry_size(g), pt_read_entry(g, pos));
	PT_ASSERT_LOAD(g, VA, pt_data(1));
	PT_ASSERT_LOAD(g, other, pt_data(1));

	edit_leaf(g, 2);
	pt_redirect(g, VA, 2, pt_data(3));
	PT_ASSERT_LOAD(g, VA, pt_data(3));

	pt_flush(g);
	PT_ASSERT_STAT(g, "mmu_unsync", 0);
	PT_ASSERT_LOAD(g, other, pt_data(2));
	PT_ASSERT_LOAD(g, VA, pt_data(3));
}

int main(void)
{
	static const struct pt_case cases[] = {
		{ "marks reach each root", test_marks, PT_ALL_MODES },
		{ "one parent gone", test_one_parent_gone, PT_ALL_MODES },
		{ "late parent", test_late_parent, PT_ALL_MODES },
		{ "two entries", test_two_entries, PT_ALL_MODES },
	};

	pt_run_cases(cases, ARRAY_SIZE(cases));
}
