// SPDX-License-Identifier: GPL-2.0-only
/* KUnit tests of page tracking, layer 2: pages that a tracker adds and removes. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include "page_track_kunit.h"

static int add(struct kunit *test, gfn_t gfn)
{
	return kvm_page_track_add_page(ptk_kvm(test), gfn, KVM_PAGE_TRACK_WRITE);
}

static int remove(struct kunit *test, gfn_t gfn)
{
	return kvm_page_track_remove_page(ptk_kvm(test), gfn, KVM_PAGE_TRACK_WRITE);
}

/* Each test starts with a tracker that is registered and does nothing. */
static int init_with_tracker(struct kunit *test)
{
	struct kvm_page_track_notifier_node *n;
	int r;

	n = kunit_kzalloc(test, sizeof(*n), GFP_KERNEL);
	if (!n)
		return -ENOMEM;

	r = ptk_init(test);
	if (r)
		return r;

	r = kvm_page_track_register_notifier(ptk_kvm(test), n);
	if (r)
		return r;

	ptk_vm(test)->data = n;
	return 0;
}

static void exit_with_tracker(struct kunit *test)
{
	struct ptk_vm *vm = ptk_vm(test);

	if (vm && vm->data)
		kvm_page_track_unregister_notifier(vm->kvm, vm->data);
	ptk_exit(test);
}

static void page_is_tracked_once_added(struct kunit *test)
{
	struct kvm_memory_slot *slot = ptk_create_slot(test);

	KUNIT_EXPECT_EQ(test, add(test, PTK_BASE), 0);
	KUNIT_EXPECT_TRUE(test, ptk_is_active(test, slot, PTK_BASE));
	KUNIT_EXPECT_EQ(test, remove(test, PTK_BASE), 0);
	KUNIT_EXPECT_FALSE(test, ptk_is_active(test, slot, PTK_BASE));
}

static void each_add_needs_a_remove(struct kunit *test)
{
	struct kvm_memory_slot *slot = ptk_create_slot(test);

	KUNIT_EXPECT_EQ(test, add(test, PTK_BASE), 0);
	KUNIT_EXPECT_EQ(test, add(test, PTK_BASE), 0);
	KUNIT_EXPECT_EQ(test, remove(test, PTK_BASE), 0);
	KUNIT_EXPECT_TRUE(test, ptk_is_active(test, slot, PTK_BASE));
	KUNIT_EXPECT_EQ(test, remove(test, PTK_BASE), 0);
	KUNIT_EXPECT_EQ(test, remove(test, PTK_BASE), -ENOENT);
}

static void page_without_slot_is_refused(struct kunit *test)
{
	ptk_create_slot(test);
	KUNIT_EXPECT_EQ(test, add(test, PTK_BASE - 1), -EINVAL);
	KUNIT_EXPECT_EQ(test, remove(test, PTK_BASE - 1), -EINVAL);
	KUNIT_EXPECT_EQ(test, add(test, PTK_BASE + PTK_NPAGES), -EINVAL);
	KUNIT_EXPECT_EQ(test, remove(test, PTK_BASE + PTK_NPAGES), -EINVAL);
}

static void page_of_smm_only_is_refused(struct kunit *test)
{
	ptk_require_smm(test);
	ptk_create_slot_at(test, PTK_SMM_SLOT, PTK_BASE, 1);

	KUNIT_EXPECT_EQ(test, add(test, PTK_BASE), -EINVAL);
}

static void unknown_mode_is_refused(struct kunit *test)
{
	struct kvm *kvm = ptk_kvm(test);

	ptk_create_slot(test);
	KUNIT_EXPECT_EQ(test, kvm_page_track_add_page(kvm, PTK_BASE, KVM_PAGE_TRACK_MAX),
			-EINVAL);
	KUNIT_EXPECT_EQ(test, kvm_page_track_remove_page(kvm, PTK_BASE, KVM_PAGE_TRACK_MAX),
			-EINVAL);
}

static void users_of_a_page_are_limited(struct kunit *test)
{
	struct kvm_memory_slot *slot = ptk_create_slot(test);
	int i, refused = 0;
	s64 bytes;

	/* Count in layer 1, which does not allocate for each page. */
	for (i = 0; i < PTK_OTHERS_MAX - 1; i++)
		refused += ptk_add(test, slot, PTK_BASE) != 0;
	KUNIT_EXPECT_EQ(test, refused, 0);
	KUNIT_EXPECT_EQ(test, add(test, PTK_BASE), 0);

	bytes = ptk_bytes(test);
	KUNIT_EXPECT_EQ(test, add(test, PTK_BASE), -EOVERFLOW);
	KUNIT_EXPECT_EQ(test, ptk_bytes(test), bytes);
	KUNIT_EXPECT_EQ(test, remove(test, PTK_BASE), 0);
	KUNIT_EXPECT_EQ(test, add(test, PTK_BASE), 0);
}

static int add_base(struct kunit *test)
{
	return add(test, PTK_BASE);
}

static void expect_not_added(struct kunit *test, int r)
{
	struct kvm_memory_slot *slot = ptk_get_slot(test, PTK_SLOT);

	if (!r) {
		KUNIT_EXPECT_EQ(test, remove(test, PTK_BASE), 0);
		return;
	}

	KUNIT_EXPECT_EQ(test, r, -ENOMEM);
	KUNIT_EXPECT_FALSE(test, ptk_is_active(test, slot, PTK_BASE));
	KUNIT_EXPECT_EQ(test, ptk_pages(test), 0);
}

static void add_page_fails_without_memory(struct kunit *test)
{
	ptk_require_faults(test);
	ptk_create_slot(test);

	/* The array of a cache, and the block in it. */
	ptk_fail_each_alloc(test, add_base, expect_not_added, 2);
	KUNIT_EXPECT_EQ(test, ptk_bytes(test), PTK_DIRECTORY + PAGE_SIZE);
}

static struct kunit_case page_cases[] = {
	KUNIT_CASE(page_is_tracked_once_added),
	KUNIT_CASE(each_add_needs_a_remove),
	KUNIT_CASE(page_without_slot_is_refused),
	KUNIT_CASE(page_of_smm_only_is_refused),
	KUNIT_CASE(unknown_mode_is_refused),
	KUNIT_CASE(users_of_a_page_are_limited),
	KUNIT_CASE(add_page_fails_without_memory),
	{}
};

static struct kunit_suite page_suite = {
	.name = "kvm_page_track_page",
	.init = init_with_tracker,
	.exit = exit_with_tracker,
	.suite_exit = ptk_forget_skips,
	.test_cases = page_cases,
};

kunit_test_suite(page_suite);
