// SPDX-License-Identifier: GPL-2.0-only
/*
 * Deleting a slot makes all shadow pages obsolete, roots in use included.  None
 * of them is tracked from then on, and vCPUs go on with new ones.
 */
#include "page_track.h"

#define VA		0x40c01000ul
#define OTHER_SLOT	PT_NR_SLOTS
#define OTHER_GPA	0x10000000ul
#define NR_ROOTS	3

/* What has nothing to do with the guest. */
static void make_obsolete(struct pt_guest *g)
{
	uint64_t zapped = pt_stat(g, "mmu_shadow_zapped");

	vm_userspace_mem_region_add(g->vm, VM_MEM_SRC_ANONYMOUS, OTHER_GPA,
				    OTHER_SLOT, 1, 0);
	vm_mem_region_delete(g->vm, OTHER_SLOT);
	PT_ASSERT_STAT(g, "page_track_pages", 0);
	TEST_ASSERT(!pt_shadowed() || pt_stat(g, "mmu_shadow_zapped") > zapped,
		    "No shadow page was zapped");
}

static int level_of_test(struct pt_guest *g)
{
	return g->mode == PT_4LEVEL ? 3 : 2;
}

static void test_root_in_use(struct pt_guest *g)
{
	uint64_t pages;
	int i;

	pt_map(g, VA, pt_data(0));
	PT_ASSERT_LOAD(g, VA, pt_data(0));
	pt_load(g, pt_edit_va(g->root));
	pages = pt_stat(g, "page_track_pages");
	TEST_ASSERT(!!pages == pt_shadowed(), "%lu pages are tracked", pages);

	for (i = 1; i < 5; i++) {
		make_obsolete(g);
		/* The first instruction on new shadow pages is such a write. */
		pt_redirect(g, VA, level_of_test(g), pt_data(i));
		PT_ASSERT_LOAD(g, VA, pt_data(i));
	}

	/* Tables that were in use before are not now. */
	PT_ASSERT_SHADOW_STAT(g, "page_track_pages", pt_count_upper(g));
}

/* Roots that the vCPU keeps for later, and that are obsolete when it comes back. */
static void test_previous_roots(struct pt_guest *g)
{
	uint64_t root[NR_ROOTS];
	int i, round, data = 0;

	for (i = 0; i < NR_ROOTS; i++) {
		root[i] = i ? pt_new_root(g) : g->root;
		g->root = root[i];
		pt_map(g, VA, pt_data(++data));
		g->root = root[0];
	}

	for (round = 0; round < 2; round++) {
		for (i = 0; i < NR_ROOTS; i++) {
			pt_set_cr3(g, root[i]);
			PT_ASSERT_LOAD(g, VA, pt_translate(g, VA));
		}

		make_obsolete(g);

		/* From one root, change what another one leads to. */
		for (i = 0; i < NR_ROOTS; i++) {
			uint64_t pos, entry;

			g->root = root[i];
			pos = pt_entry_gpa(g, VA, 2);
			entry = pt_new_path(g, VA, 2, pt_data(++data));
			g->root = root[NR_ROOTS - 1];
			pt_edit(g, pos, entry);
		}

		for (i = 0; i < NR_ROOTS; i++) {
			pt_set_cr3(g, root[i]);
			PT_ASSERT_LOAD(g, VA, pt_data(data - NR_ROOTS + 1 + i));
		}
	}
}

/* One vCPU changes tables of another, which still has an obsolete root. */
static void test_two_vcpus(struct pt_guest *g)
{
	struct pt_guest other;
	int i;

	pt_map(g, VA, pt_data(0));
	pt_add_vcpu(g, &other, 1);
	PT_ASSERT_LOAD(g, VA, pt_data(0));

	for (i = 1; i < 5; i++) {
		PT_ASSERT_LOAD(&other, VA, pt_data(i - 1));
		make_obsolete(g);
		pt_redirect(g, VA, 2, pt_data(i));
		PT_ASSERT_LOAD(g, VA, pt_data(i));

		if (!pt_shadowed())
			pt_flush(&other);
		PT_ASSERT_LOAD(&other, VA, pt_data(i));
	}
}

/* A leaf table that is unsync when it becomes obsolete. */
static void test_unsync(struct pt_guest *g)
{
	pt_map(g, VA, pt_data(1));
	PT_ASSERT_LOAD(g, VA, pt_data(1));
	pt_edit(g, pt_entry_gpa(g, VA, 1), pt_make_entry(g, 1, pt_data(2)));
	PT_ASSERT_SHADOW_STAT(g, "mmu_unsync", 1);

	make_obsolete(g);
	PT_ASSERT_STAT(g, "mmu_unsync", 0);
	pt_settle(g, VA);
	PT_ASSERT_LOAD(g, VA, pt_data(2));
}

int main(void)
{
	static const struct pt_case cases[] = {
		{ "root in use", test_root_in_use, PT_ALL_MODES, true },
		{ "previous roots", test_previous_roots, PT_ALL_MODES, true },
		{ "two vCPUs", test_two_vcpus, PT_ALL_MODES, true },
		{ "unsync", test_unsync, PT_ALL_MODES, true },
	};

	pt_run_cases(cases, ARRAY_SIZE(cases));
}
