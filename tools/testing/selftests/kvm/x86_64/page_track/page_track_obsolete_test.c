// SPDX-License-Identifier: GPL-2.0-only
/*
 * Deleting a slot makes all shadow pages obsolete, roots in use included.  None
 * of them is tracked from then on, and vCPUs go on with new ones.
 */
#include "cases.h"
#include "guest.h"
#include "stats.h"

#define VA		0x40c01000ul
#define OTHER_SLOT	TG_NR_SLOTS
#define OTHER_GPA	0x10000000ul
#define NR_ROOTS	3

/* What has nothing to do with the guest. */
static void make_obsolete(struct tiny_guest *g)
{
	uint64_t zapped = tg_stat(g, "mmu_shadow_zapped");

	vm_userspace_mem_region_add(g->vm, VM_MEM_SRC_ANONYMOUS, OTHER_GPA,
				    OTHER_SLOT, 1, 0);
	vm_mem_region_delete(g->vm, OTHER_SLOT);
	TG_ASSERT_STAT(g, "page_track_pages", 0);
	TEST_ASSERT(!tg_shadowed() || tg_stat(g, "mmu_shadow_zapped") > zapped,
		    "No shadow page was zapped");
}

static int level_of_test(struct tiny_guest *g)
{
	return g->mode == TG_4LEVEL ? 3 : 2;
}

static void test_root_in_use(struct tiny_guest *g)
{
	uint64_t pages;
	int i;

	tg_map(g, VA, tg_data(0));
	TG_ASSERT_LOAD(g, VA, tg_data(0));
	tg_load(g, tg_edit_va(g->root));
	pages = tg_stat(g, "page_track_pages");
	TEST_ASSERT(!!pages == tg_shadowed(), "%lu pages are tracked", pages);

	for (i = 1; i < 5; i++) {
		make_obsolete(g);
		/* The first instruction on new shadow pages is such a write. */
		tg_redirect(g, VA, level_of_test(g), tg_data(i));
		TG_ASSERT_LOAD(g, VA, tg_data(i));
	}

	/* Tables that were in use before are not now. */
	TG_ASSERT_SHADOW_STAT(g, "page_track_pages", tg_count_upper(g));
}

/* Roots that the vCPU keeps for later, and that are obsolete when it comes back. */
static void test_previous_roots(struct tiny_guest *g)
{
	uint64_t root[NR_ROOTS];
	int i, round, data = 0;

	for (i = 0; i < NR_ROOTS; i++) {
		root[i] = i ? tg_new_root(g) : g->root;
		g->root = root[i];
		tg_map(g, VA, tg_data(++data));
		g->root = root[0];
	}

	for (round = 0; round < 2; round++) {
		for (i = 0; i < NR_ROOTS; i++) {
			tg_set_cr3(g, root[i]);
			TG_ASSERT_LOAD(g, VA, tg_translate(g, VA));
		}

		make_obsolete(g);

		/* From one root, change what another one leads to. */
		for (i = 0; i < NR_ROOTS; i++) {
			uint64_t pos, entry;

			g->root = root[i];
			pos = tg_entry_gpa(g, VA, 2);
			entry = tg_new_path(g, VA, 2, tg_data(++data));
			g->root = root[NR_ROOTS - 1];
			tg_edit(g, pos, entry);
		}

		for (i = 0; i < NR_ROOTS; i++) {
			tg_set_cr3(g, root[i]);
			TG_ASSERT_LOAD(g, VA, tg_data(data - NR_ROOTS + 1 + i));
		}
	}
}

/* One vCPU changes tables of another, which still has an obsolete root. */
static void test_two_vcpus(struct tiny_guest *g)
{
	struct tiny_guest other;
	int i;

	tg_map(g, VA, tg_data(0));
	tg_add_vcpu(g, &other, 1);
	TG_ASSERT_LOAD(g, VA, tg_data(0));

	for (i = 1; i < 5; i++) {
		TG_ASSERT_LOAD(&other, VA, tg_data(i - 1));
		make_obsolete(g);
		tg_redirect(g, VA, 2, tg_data(i));
		TG_ASSERT_LOAD(g, VA, tg_data(i));

		if (!tg_shadowed())
			tg_flush(&other);
		TG_ASSERT_LOAD(&other, VA, tg_data(i));
	}
}

/* A leaf table that is unsync when it becomes obsolete. */
static void test_unsync(struct tiny_guest *g)
{
	tg_map(g, VA, tg_data(1));
	TG_ASSERT_LOAD(g, VA, tg_data(1));
	tg_edit(g, tg_entry_gpa(g, VA, 1), tg_make_entry(g, 1, tg_data(2)));
	TG_ASSERT_SHADOW_STAT(g, "mmu_unsync", 1);

	make_obsolete(g);
	TG_ASSERT_STAT(g, "mmu_unsync", 0);
	tg_settle(g, VA);
	TG_ASSERT_LOAD(g, VA, tg_data(2));
}

int main(void)
{
	static const struct tg_case cases[] = {
		{ "root in use", test_root_in_use, TG_ALL_MODES, true },
		{ "previous roots", test_previous_roots, TG_ALL_MODES, true },
		{ "two vCPUs", test_two_vcpus, TG_ALL_MODES, true },
		{ "unsync", test_unsync, TG_ALL_MODES, true },
	};

	tg_run_cases(cases, ARRAY_SIZE(cases));
}
