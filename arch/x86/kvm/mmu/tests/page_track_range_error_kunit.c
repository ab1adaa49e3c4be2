// SPDX-License-Identifier: GPL-2.0-only
/* KUnit tests of page tracking, layer 2: ranges that are refused, changing nothing. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include "page_track_kunit.h"
#include "mmu/page_track_untracked.h"

/* Across the edge of two blocks, in the slot of PTK_BASE. */
#define FIRST	(PTK_BASE + PTK_BLOCK - 5)
#define COUNT	12

static void bad_ranges_are_refused(struct kunit *test)
{
	static const enum kvm_page_track_mode mode = KVM_PAGE_TRACK_WRITE;
	struct kvm *kvm = ptk_kvm(test);
	gfn_t max = kvm_mmu_max_gfn(), gfn, nr;
	struct kvm_page_track_notifier_node *n = ptk_create_tracker(test);
	const struct {
		gfn_t gfn, nr;
		enum kvm_page_track_mode mode;
	} bad[] = {
		{ 1, 0, mode },
		{ 0, max + 2, mode },
		{ max, 2, mode },
		{ max + 1, 1, mode },
		{ 1, ~(gfn_t)0, mode },
		{ ~(gfn_t)0, 2, mode },
		{ 1, 1, KVM_PAGE_TRACK_MAX },
	};
	u8 action;
	int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		KUNIT_EXPECT_EQ_MSG(test, kvm_page_track_add_range(kvm, n, bad[i].gfn, bad[i].nr,
								   bad[i].mode, 0),
				    -EINVAL, "range %d", i);
		KUNIT_EXPECT_EQ_MSG(test, kvm_page_track_remove_range(kvm, n, bad[i].gfn,
								      bad[i].nr, bad[i].mode),
				    -EINVAL, "range %d", i);
	}

	gfn = max + 1;
	KUNIT_EXPECT_EQ(test, ptk_next_range(test, n, &gfn, &nr), -ENOENT);
	gfn = 0;
	KUNIT_EXPECT_EQ(test, kvm_page_track_next_range(kvm, n, KVM_PAGE_TRACK_MAX, &gfn, &nr,
							&action), -EINVAL);
	KUNIT_EXPECT_EQ(test, ptk_remove_range(test, n, 0, max + 1), -ENOENT);
	ptk_expect_no_range(test, n, 0);
	KUNIT_EXPECT_EQ(test, kvm->arch.page_track_modes, 0);
	ptk_unregister(test, n);
}

static int add_kept(struct kunit *test)
{
	return ptk_add_range(test, ptk_vm(test)->data, FIRST, COUNT);
}

static void expect_not_added(struct kunit *test, int r)
{
	struct kvm_page_track_notifier_node *n = ptk_vm(test)->data;

	if (r) {
		KUNIT_EXPECT_EQ(test, r, -ENOMEM);
		KUNIT_EXPECT_EQ(test, ptk_pages(test), 0);
		ptk_expect_no_range(test, n, 0);
	} else {
		KUNIT_EXPECT_EQ(test, ptk_remove_range(test, n, FIRST, COUNT), 0);
	}

	/* Have the next call allocate all of it again. */
	ptk_set_slot(test, PTK_SLOT, 0, 0, 0);
	KUNIT_EXPECT_EQ(test, ptk_bytes(test), 0);
	ptk_kvm(test)->arch.page_track_modes = 0;
	ptk_create_slot(test);
}

static void add_fails_without_memory(struct kunit *test)
{
	struct kvm_page_track_notifier_node *n;

	ptk_require_faults(test);
	n = ptk_create_tracker(test);
	ptk_vm(test)->data = n;
	ptk_create_slot(test);

	/* A directory, the array of a cache, two blocks, a node of the tree. */
	ptk_fail_each_alloc(test, add_kept, expect_not_added, 5);
	ptk_unregister(test, n);
}

/* So many that the tree has to grow. */
static int cut_holes(struct kunit *test)
{
	struct kvm_page_track_notifier_node *n = ptk_vm(test)->data;
	gfn_t gfn;
	int r;

	for (gfn = FIRST + 1; gfn < FIRST + 40; gfn += 2) {
		r = ptk_remove_range(test, n, gfn, 1);
		if (r) {
			ptk_expect_range(test, n, gfn, gfn, FIRST + 40 - gfn);
			return r;
		}
	}
	return 0;
}

static void expect_holes(struct kunit *test, int r)
{
	struct kvm_page_track_notifier_node *n = ptk_vm(test)->data;

	if (r)
		KUNIT_EXPECT_EQ(test, r, -ENOMEM);
	else
		KUNIT_EXPECT_EQ(test, ptk_pages(test), 20);

	KUNIT_EXPECT_EQ(test, ptk_add_range(test, n, FIRST, 40), 0);
	KUNIT_EXPECT_EQ(test, ptk_pages(test), 40);
	ptk_expect_range(test, n, 0, FIRST, 40);
}

static void remove_fails_without_memory(struct kunit *test)
{
	struct kvm_page_track_notifier_node *n;

	ptk_require_faults(test);
	ptk_create_slot(test);
	n = ptk_create_tracker(test);
	ptk_vm(test)->data = n;
	KUNIT_EXPECT_EQ(test, ptk_add_range(test, n, FIRST, 40), 0);

	ptk_fail_each_alloc(test, cut_holes, expect_holes, 1);
	ptk_unregister(test, n);
}

/*
 * A range that is added in several steps, as it has slots far apart.  There is a range
 * with another action, and a page given up, in the first step and the last.
 */
#define FAR	((gfn_t)100000)

static int add_long(struct kunit *test)
{
	return kvm_page_track_add_range(ptk_kvm(test), ptk_vm(test)->data, 0, 4 * FAR,
					KVM_PAGE_TRACK_WRITE, 1);
}

static void set_parts(struct kunit *test)
{
	struct kvm_page_track_notifier_node *n = ptk_vm(test)->data;

	KUNIT_EXPECT_EQ(test, ptk_add_range(test, n, 2, 5), 0);
	KUNIT_EXPECT_EQ(test, ptk_add_range(test, n, 3 * FAR + 2, 5), 0);
	KUNIT_EXPECT_EQ(test, ptk_untrack_page(test, n, 3, 0), 1);
	KUNIT_EXPECT_EQ(test, ptk_untrack_page(test, n, 3 * FAR + 3, 0), 1);
}

static void expect_parts(struct kunit *test, int r)
{
	struct kvm_page_track_notifier_node *n = ptk_vm(test)->data;
	struct xarray *untracked = &n->untracked[KVM_PAGE_TRACK_WRITE];
	gfn_t gfn = 0, nr = 0;
	u8 action;

	if (r) {
		KUNIT_EXPECT_EQ(test, r, -ENOMEM);
		KUNIT_EXPECT_EQ(test, ptk_pages(test), 8);
		ptk_expect_range(test, n, 0, 2, 1);
		ptk_expect_range(test, n, 3, 4, 3);
		ptk_expect_range(test, n, 7, 3 * FAR + 2, 1);
		ptk_expect_range(test, n, 3 * FAR + 3, 3 * FAR + 4, 3);
		ptk_expect_no_range(test, n, 3 * FAR + 7);
		KUNIT_EXPECT_TRUE(test, page_track_is_untracked(untracked, 3));
		KUNIT_EXPECT_TRUE(test, page_track_is_untracked(untracked, 3 * FAR + 3));
		KUNIT_EXPECT_EQ(test, kvm_page_track_next_range(ptk_kvm(test), n,
								KVM_PAGE_TRACK_WRITE, &gfn,
								&nr, &action), 0);
		KUNIT_EXPECT_EQ(test, action, 0);
	} else {
		KUNIT_EXPECT_EQ(test, ptk_pages(test), 40);
		ptk_expect_range(test, n, 0, 0, 4 * FAR);
	}

	/* Have the next call allocate all of it again. */
	KUNIT_EXPECT_EQ(test, ptk_remove_range(test, n, 0, 4 * FAR), 0);
	KUNIT_EXPECT_EQ(test, ptk_pages(test), 0);
	set_parts(test);
}

static void long_add_is_undone_without_memory(struct kunit *test)
{
	ptk_require_faults(test);
	ptk_create_slot_at(test, 0, 0, 10);
	ptk_create_slot_at(test, 1, FAR, 10);
	ptk_create_slot_at(test, 2, 2 * FAR, 10);
	ptk_create_slot_at(test, 3, 3 * FAR, 10);
	ptk_vm(test)->data = ptk_create_tracker(test);
	set_parts(test);

	/* The page of saved parts; once, two blocks; nodes of the tree. */
	ptk_fail_each_alloc(test, add_long, expect_parts, 3);
	ptk_unregister(test, ptk_vm(test)->data);
}

static void calls_without_registration_are_refused(struct kunit *test)
{
	struct kvm_page_track_notifier_node *n;
	gfn_t gfn = 0, nr;

	n = kunit_kzalloc(test, sizeof(*n), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, n);
	KUNIT_EXPECT_EQ(test, ptk_add_range(test, n, FIRST, COUNT), -ESRCH);
	KUNIT_EXPECT_EQ(test, ptk_remove_range(test, n, FIRST, COUNT), -ESRCH);
	KUNIT_EXPECT_EQ(test, ptk_next_range(test, n, &gfn, &nr), -ESRCH);
}

/* What page tracking does for a slot that is created. */
static int create_counters(struct kunit *test)
{
	struct kvm_memory_slot *slot = ptk_get_slot(test, PTK_SLOT);
	struct kvm *kvm = ptk_kvm(test);

	guard(mutex)(&kvm->slots_lock);
	guard(mutex)(&kvm->slots_arch_lock);

	return kvm_page_track_apply_ranges(kvm, slot) ?:
	       kvm_page_track_create_memslot(kvm, slot);
}

static void expect_no_counters(struct kunit *test, int r)
{
	if (r) {
		KUNIT_EXPECT_EQ(test, r, -ENOMEM);
	} else {
		KUNIT_EXPECT_EQ(test, ptk_pages(test), 1 + COUNT);
		kvm_page_track_free_memslot(ptk_kvm(test), ptk_get_slot(test, PTK_SLOT));
	}

	KUNIT_EXPECT_EQ(test, ptk_pages(test), 0);
	KUNIT_EXPECT_EQ(test, ptk_bytes(test), 0);
	ptk_expect_range(test, ptk_vm(test)->data, 0, PTK_BASE, 1);
	ptk_expect_range(test, ptk_vm(test)->data, FIRST, FIRST, COUNT);
}

static void slot_creation_fails_without_memory(struct kunit *test)
{
	struct kvm_page_track_notifier_node *n;

	ptk_require_faults(test);
	n = ptk_create_tracker(test);
	ptk_vm(test)->data = n;
	KUNIT_EXPECT_EQ(test, ptk_add_range(test, n, PTK_BASE, 1), 0);
	KUNIT_EXPECT_EQ(test, ptk_add_range(test, n, FIRST, COUNT), 0);
	ptk_count_in_pieces(test);
	kvm_page_track_free_memslot(ptk_kvm(test), ptk_create_slot(test));

	/* A directory, the array of a cache, and two blocks. */
	ptk_fail_each_alloc(test, create_counters, expect_no_counters, 4);
	KUNIT_EXPECT_EQ(test, create_counters(test), 0);
	ptk_unregister(test, n);
}

static struct kunit_case range_error_cases[] = {
	KUNIT_CASE(bad_ranges_are_refused),
	KUNIT_CASE(calls_without_registration_are_refused),
	KUNIT_CASE(add_fails_without_memory),
	KUNIT_CASE(remove_fails_without_memory),
	KUNIT_CASE(long_add_is_undone_without_memory),
	KUNIT_CASE(slot_creation_fails_without_memory),
	{}
};

static struct kunit_suite range_error_suite = {
	.name = "kvm_page_track_range_error",
	.init = ptk_init,
	.exit = ptk_exit,
	.suite_exit = ptk_forget_skips,
	.test_cases = range_error_cases,
};

kunit_test_suite(range_error_suite);
