// SPDX-License-Identifier: GPL-2.0-only
/* KUnit tests of page tracking, layer 2: the actions of ranges. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include "mmu/page_track_found.h"
#include "page_track_kunit.h"

#define FIRST	(PTK_BASE + 7)
#define COUNT	12

static int add_with(struct kunit *test, struct kvm_page_track_notifier_node *n, gfn_t gfn,
		    gfn_t nr, u8 action)
{
	return kvm_page_track_add_range(ptk_kvm(test), n, gfn, nr, KVM_PAGE_TRACK_WRITE,
					action);
}

static int get_action(struct kvm_page_track_notifier_node *n, gfn_t gfn)
{
	return kvm_page_track_get_action(n, gfn, KVM_PAGE_TRACK_WRITE);
}

static void new_action_changes_nothing_else(struct kunit *test)
{
	struct kvm_page_track_notifier_node *n = ptk_create_tracker(test);

	ptk_create_slot(test);
	KUNIT_EXPECT_EQ(test, add_with(test, n, FIRST, COUNT, 255), 0);
	KUNIT_EXPECT_EQ(test, add_with(test, n, FIRST + 4, 2, 1), 0);
	KUNIT_EXPECT_EQ(test, ptk_pages(test), COUNT);
	KUNIT_EXPECT_EQ(test, get_action(n, FIRST - 1), -ENOENT);
	KUNIT_EXPECT_EQ(test, get_action(n, FIRST), 255);
	KUNIT_EXPECT_EQ(test, get_action(n, FIRST + 5), 1);
	KUNIT_EXPECT_EQ(test, get_action(n, FIRST + 6), 255);

	/* One range each, until they have the same action again. */
	ptk_expect_range(test, n, 0, FIRST, 4);
	ptk_expect_range(test, n, FIRST + 4, FIRST + 4, 2);
	ptk_expect_range(test, n, FIRST + 6, FIRST + 6, COUNT - 6);
	KUNIT_EXPECT_EQ(test, add_with(test, n, FIRST + 4, 2, 255), 0);
	ptk_expect_range(test, n, 0, FIRST, COUNT);

	KUNIT_EXPECT_EQ(test, ptk_remove_range(test, n, FIRST, COUNT), 0);
	KUNIT_EXPECT_EQ(test, ptk_pages(test), 0);
	ptk_unregister(test, n);
}

static void page_is_untracked_once_and_by_its_action(struct kunit *test)
{
	struct kvm_memory_slot *slot = ptk_create_slot(test);
	struct kvm_page_track_notifier_node *n = ptk_create_tracker(test);

	KUNIT_EXPECT_EQ(test, add_with(test, n, FIRST, COUNT, 1), 0);
	KUNIT_EXPECT_EQ(test, ptk_untrack_page(test, n, FIRST, 0), 0);
	KUNIT_EXPECT_EQ(test, ptk_untrack_page(test, n, FIRST + COUNT, 1), 0);
	KUNIT_EXPECT_EQ(test, ptk_pages(test), COUNT);

	KUNIT_EXPECT_EQ(test, ptk_untrack_page(test, n, FIRST, 1), 1);
	KUNIT_EXPECT_EQ(test, ptk_untrack_page(test, n, FIRST, 1), 0);
	KUNIT_EXPECT_EQ(test, ptk_pages(test), COUNT - 1);
	KUNIT_EXPECT_FALSE(test, ptk_is_active(test, slot, FIRST));
	ptk_expect_range(test, n, 0, FIRST + 1, COUNT - 1);
	ptk_unregister(test, n);
	KUNIT_EXPECT_EQ(test, ptk_untrack_page(test, n, FIRST + 1, 1), 0);
}

/* A tracker that changes something before it gives the page of an access up. */
struct untracker {
	struct kvm_page_track_notifier_node node;
	struct kunit *test;
	int (*change)(struct kunit *test, struct kvm_page_track_notifier_node *n);
	int result;
};

static int untrack_found(struct kvm_vcpu *vcpu, struct kvm_page_track_access *access, u8 action,
			 struct kvm_page_track_notifier_node *n)
{
	struct untracker *u = container_of(n, struct untracker, node);

	KUNIT_EXPECT_EQ(u->test, u->change(u->test, n), 0);
	guard(mutex)(&vcpu->kvm->slots_arch_lock);
	u->result = page_track_untrack_found(vcpu, n, gpa_to_gfn(access->gpa), action);
	return KVM_PAGE_TRACK_STOP;
}

static int change_nothing(struct kunit *test, struct kvm_page_track_notifier_node *n)
{
	return 0;
}

static int add_another(struct kunit *test, struct kvm_page_track_notifier_node *n)
{
	return add_with(test, n, FIRST + COUNT, 1, 1);
}

/* As another vCPU does. */
static int give_it_up(struct kunit *test, struct kvm_page_track_notifier_node *n)
{
	return ptk_untrack_page(test, n, FIRST, 1) == 1 ? 0 : -EIO;
}

static int remove_it(struct kunit *test, struct kvm_page_track_notifier_node *n)
{
	return ptk_remove_range(test, n, FIRST, 1);
}

static int change_action(struct kunit *test, struct kvm_page_track_notifier_node *n)
{
	return add_with(test, n, FIRST, 1, 2);
}

static void found_page_is_untracked_if_it_is_still_tracked(struct kunit *test)
{
	static const struct {
		int (*change)(struct kunit *test, struct kvm_page_track_notifier_node *n);
		int result, pages;
	} cases[] = {
		{ change_nothing, 1, COUNT - 1 },
		{ add_another, 1, COUNT },
		{ give_it_up, 0, COUNT - 1 },
		{ remove_it, 0, COUNT - 1 },
		{ change_action, 0, COUNT },
	};
	struct untracker *u = kunit_kzalloc(test, sizeof(*u), GFP_KERNEL);
	struct kvm_vcpu *vcpu = ptk_create_vcpu(test);
	const u8 written[8] = {};
	const void *val = written;
	int i;

	KUNIT_ASSERT_NOT_NULL(test, u);
	u->node.track_access = untrack_found;
	u->test = test;
	ptk_create_slot(test);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		KUNIT_ASSERT_EQ(test, ptk_register(test, &u->node), 0);
		KUNIT_ASSERT_EQ(test, add_with(test, &u->node, FIRST, COUNT, 1), 0);
		u->change = cases[i].change;
		u->result = -1;

		kvm_page_track_begin_insn(vcpu, false, true);
		KUNIT_EXPECT_EQ(test, ptk_before_write(vcpu, gfn_to_gpa(FIRST), &val,
						       sizeof(written)), -EAGAIN);
		kvm_page_track_end_insn(vcpu);
		KUNIT_EXPECT_EQ(test, u->result, cases[i].result);
		KUNIT_EXPECT_EQ(test, ptk_pages(test), cases[i].pages);
		ptk_unregister(test, &u->node);
		KUNIT_EXPECT_EQ(test, ptk_pages(test), 0);
	}
}

static struct kunit_case action_cases[] = {
	KUNIT_CASE(new_action_changes_nothing_else),
	KUNIT_CASE(page_is_untracked_once_and_by_its_action),
	KUNIT_CASE(found_page_is_untracked_if_it_is_still_tracked),
	{}
};

static struct kunit_suite action_suite = {
	.name = "kvm_page_track_action",
	.init = ptk_init,
	.exit = ptk_exit,
	.test_cases = action_cases,
};

kunit_test_suite(action_suite);
