// SPDX-License-Identifier: GPL-2.0-only
/* KUnit tests of page tracking, layer 2: collecting pages that are given up. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include "page_track_kunit.h"
#include "mmu/page_track_collect.h"
#include "mmu/page_track_untracked.h"

/* A slot and a range on both sides of the edge of two bitmaps. */
#define EDGE	((gfn_t)2 * PAGE_TRACK_MAP_GFNS)
#define FIRST	(EDGE - 6)
#define COUNT	12

/* What is told, and what the caller makes of it. */
struct told {
	struct kvm_page_track_collector collector;
	struct kunit *test;
	gfn_t gfns[COUNT];
	int nr, r;
	gfn_t given_up;		/* meanwhile, if not 0 */
};

static int tell(struct kvm_page_track_collector *collector, struct xarray *gfns)
{
	struct told *told = container_of(collector, struct told, collector);
	struct kvm_page_track_notifier_node *n = ptk_vm(told->test)->data;
	gfn_t gfn = FIRST;

	while (gfn < FIRST + COUNT &&
	       (gfn = page_track_next_untracked(gfns, gfn, FIRST + COUNT)) < FIRST + COUNT)
		told->gfns[told->nr++] = gfn++;

	if (told->given_up)
		KUNIT_EXPECT_EQ(told->test, ptk_untrack_page(told->test, n, told->given_up, 0), 1);
	return told->r;
}

static int collect(struct kunit *test, struct told *told, bool rearm)
{
	told->collector.tell = tell;
	told->test = test;
	told->nr = 0;
	return kvm_page_track_collect(ptk_kvm(test), ptk_vm(test)->data, 0, 2 * EDGE,
				      KVM_PAGE_TRACK_WRITE, rearm, &told->collector);
}

static void untrack(struct kunit *test, gfn_t gfn)
{
	KUNIT_EXPECT_EQ(test, ptk_untrack_page(test, ptk_vm(test)->data, gfn, 0), 1);
}

/* A page on each side is given up. */
static void give_up_two(struct kunit *test)
{
	s64 pages = ptk_pages(test);

	untrack(test, EDGE - 2);
	untrack(test, EDGE + 1);
	KUNIT_EXPECT_EQ(test, ptk_pages(test), pages - 2);
}

static void expect_collected(struct kunit *test, bool rearm, int nr)
{
	s64 pages = ptk_pages(test);
	struct told told = {};

	KUNIT_EXPECT_EQ(test, collect(test, &told, rearm), 0);
	KUNIT_EXPECT_EQ(test, told.nr, nr);
	KUNIT_EXPECT_TRUE(test, nr < 1 || told.gfns[0] == EDGE - 2);
	KUNIT_EXPECT_TRUE(test, nr < 2 || told.gfns[1] == EDGE + 1);
	KUNIT_EXPECT_EQ(test, ptk_pages(test), pages + (rearm ? nr : 0));
}

static void init(struct kunit *test)
{
	ptk_vm(test)->data = ptk_create_tracker(test);
	ptk_create_slot_at(test, PTK_SLOT, FIRST - 2, COUNT + 4);
	KUNIT_EXPECT_EQ(test, ptk_add_range(test, ptk_vm(test)->data, FIRST, COUNT), 0);
	give_up_two(test);
}

static void pages_are_told_once(struct kunit *test)
{
	init(test);
	expect_collected(test, false, 2);
	expect_collected(test, false, 0);
	KUNIT_EXPECT_EQ(test, ptk_pages(test), COUNT - 2);
	expect_collected(test, true, 2);
	expect_collected(test, true, 0);
	give_up_two(test);
	expect_collected(test, true, 2);
	ptk_expect_range(test, ptk_vm(test)->data, 0, FIRST, COUNT);
	ptk_unregister(test, ptk_vm(test)->data);
}

static void what_is_not_told_is_put_back(struct kunit *test)
{
	struct told told = { .r = -EFAULT };

	init(test);
	KUNIT_EXPECT_EQ(test, collect(test, &told, false), -EFAULT);
	KUNIT_EXPECT_EQ(test, told.nr, 2);
	KUNIT_EXPECT_EQ(test, collect(test, &told, true), -EFAULT);
	KUNIT_EXPECT_EQ(test, told.nr, 2);
	KUNIT_EXPECT_EQ(test, ptk_pages(test), COUNT - 2);

	/* What was told before, and what a vCPU gives up in between. */
	expect_collected(test, false, 2);
	told.given_up = EDGE - 2;
	KUNIT_EXPECT_EQ(test, collect(test, &told, true), -EFAULT);
	KUNIT_EXPECT_EQ(test, ptk_pages(test), COUNT - 2);
	expect_collected(test, false, 0);
	expect_collected(test, true, 2);
	ptk_unregister(test, ptk_vm(test)->data);
}

static void what_is_given_up_meanwhile_is_for_the_next_call(struct kunit *test)
{
	struct told told = { .given_up = EDGE - 2 };

	init(test);
	KUNIT_EXPECT_EQ(test, collect(test, &told, true), 0);
	KUNIT_EXPECT_EQ(test, told.nr, 2);
	KUNIT_EXPECT_EQ(test, ptk_pages(test), COUNT - 1);
	expect_collected(test, false, 1);
	told.given_up = 0;
	KUNIT_EXPECT_EQ(test, collect(test, &told, true), 0);
	KUNIT_EXPECT_EQ(test, told.nr, 1);

	/* Told before or not. */
	untrack(test, EDGE - 2);
	expect_collected(test, false, 1);
	told.given_up = EDGE - 2;
	KUNIT_EXPECT_EQ(test, collect(test, &told, true), 0);
	expect_collected(test, false, 1);
	ptk_unregister(test, ptk_vm(test)->data);
}

static int collect_and_rearm(struct kunit *test)
{
	struct told told = {};

	return collect(test, &told, true);
}

static void expect_all_or_nothing(struct kunit *test, int r)
{
	if (r) {
		KUNIT_EXPECT_EQ(test, r, -ENOMEM);
		KUNIT_EXPECT_EQ(test, ptk_pages(test), 0);
		expect_collected(test, true, 2);
	}

	/* The next call finds a slot without the block that it needs. */
	KUNIT_EXPECT_EQ(test, ptk_pages(test), 2);
	give_up_two(test);
	KUNIT_EXPECT_EQ(test, ptk_set_slot(test, PTK_SLOT, 0, 0, 0), 0);
	ptk_create_slot_at(test, PTK_SLOT, FIRST - 2, COUNT + 4);
}

static void collecting_fails_without_memory(struct kunit *test)
{
	struct kvm_page_track_notifier_node *n = ptk_create_tracker(test);

	ptk_require_faults(test);
	ptk_vm(test)->data = n;
	ptk_create_slot_at(test, PTK_SLOT, FIRST - 2, COUNT + 4);
	KUNIT_EXPECT_EQ(test, ptk_add_range(test, n, EDGE - 2, 1), 0);
	KUNIT_EXPECT_EQ(test, ptk_add_range(test, n, EDGE + 1, 1), 0);
	expect_all_or_nothing(test, 0);

	/* A bitmap for each side, the array of a cache, and a block. */
	ptk_fail_each_alloc(test, collect_and_rearm, expect_all_or_nothing, 4);
	ptk_unregister(test, n);
}

static void bad_calls_are_refused(struct kunit *test)
{
	struct told told = { .collector.tell = tell, .test = test };
	struct kvm_page_track_notifier_node *n = ptk_create_tracker(test);
	struct kvm *kvm = ptk_kvm(test);
	gfn_t max = kvm_mmu_max_gfn();

	KUNIT_EXPECT_EQ(test, kvm_page_track_collect(kvm, n, 0, 0, KVM_PAGE_TRACK_WRITE, true,
						     &told.collector), -EINVAL);
	KUNIT_EXPECT_EQ(test, kvm_page_track_collect(kvm, n, max, 2, KVM_PAGE_TRACK_WRITE, true,
						     &told.collector), -EINVAL);
	KUNIT_EXPECT_EQ(test, kvm_page_track_collect(kvm, n, 0, 1, KVM_PAGE_TRACK_MAX, true,
						     &told.collector), -EINVAL);
	ptk_unregister(test, n);
	KUNIT_EXPECT_EQ(test, kvm_page_track_collect(kvm, n, 0, 1, KVM_PAGE_TRACK_WRITE, true,
						     &told.collector), -ESRCH);
	KUNIT_EXPECT_EQ(test, told.nr, 0);
}

static struct kunit_case collect_cases[] = {
	KUNIT_CASE(pages_are_told_once),
	KUNIT_CASE(what_is_not_told_is_put_back),
	KUNIT_CASE(what_is_given_up_meanwhile_is_for_the_next_call),
	KUNIT_CASE(collecting_fails_without_memory),
	KUNIT_CASE(bad_calls_are_refused),
	{}
};

static struct kunit_suite collect_suite = {
	.name = "kvm_page_track_collect",
	.init = ptk_init,
	.exit = ptk_exit,
	.suite_exit = ptk_forget_skips,
	.test_cases = collect_cases,
};

kunit_test_suite(collect_suite);
