// SPDX-License-Identifier: GPL-2.0-only
/* KUnit tests of page tracking, layer 2: trackers and dispatch. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/sched/mm.h>

#include "page_track_kunit.h"

/* A tracker that takes notes of what it is told. */
struct tracker {
	struct kvm_page_track_notifier_node node;
	struct kunit *test;

	int writes;
	gpa_t gpa;
	const u8 *new;
	int bytes;
	u8 action;
	u64 shadow_writes;	/* that the shadow MMU was told by then */

	int flushes;
	int flushed_as_id;
	gfn_t flushed_gfn;
	unsigned long flushed_npages;
	bool flushed_slot_was_reachable;

	/* Which of all calls to trackers of this test the last one was. */
	int *calls;
	int call;
};

static void note_write(struct kvm_vcpu *vcpu, gpa_t gpa, gva_t gva, const u8 *new,
		       int bytes, u8 action, struct kvm_page_track_notifier_node *node)
{
	struct tracker *t = container_of(node, struct tracker, node);

	t->writes++;
	t->gpa = gpa;
	t->new = new;
	t->bytes = bytes;
	t->action = action;
	t->shadow_writes = vcpu->kvm->stat.mmu_pte_write;
	t->call = t->calls ? ++*t->calls : 0;
}

static void note_flush(struct kvm *kvm, int as_id, gfn_t gfn, unsigned long nr_pages,
		       struct kvm_page_track_notifier_node *node)
{
	struct tracker *t = container_of(node, struct tracker, node);

	t->flushes++;
	t->flushed_as_id = as_id;
	t->flushed_gfn = gfn;
	t->flushed_npages = nr_pages;
	t->flushed_slot_was_reachable = !!__gfn_to_memslot(__kvm_memslots(kvm, as_id), gfn);
}

static struct tracker *create_tracker(struct kunit *test)
{
	struct tracker *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, t);
	t->node.track_write = note_write;
	t->node.track_flush_slot = note_flush;
	t->test = test;
	return t;
}

static int register_tracker(struct kunit *test, struct tracker *t)
{
	return ptk_register(test, &t->node);
}

static void unregister_tracker(struct kunit *test, struct tracker *t)
{
	ptk_unregister(test, &t->node);
}

static struct tracker *create_registered_tracker(struct kunit *test)
{
	struct tracker *t = create_tracker(test);

	KUNIT_ASSERT_EQ(test, register_tracker(test, t), 0);
	return t;
}

/* A tracker that is told of what tell_write() tells. */
static struct tracker *create_told_tracker(struct kunit *test)
{
	struct tracker *t = create_registered_tracker(test);

	KUNIT_ASSERT_EQ(test, ptk_add_range(test, &t->node, PTK_BASE, 1), 0);
	return t;
}

static int users(struct kunit *test)
{
	return refcount_read(&ptk_kvm(test)->users_count);
}

static const u8 written[8];

static void tell_write(struct kunit *test)
{
	ptk_tell_write(test, gfn_to_gpa(PTK_BASE) + 8, written, sizeof(written));
}

/* Registering */

static void register_takes_a_reference(struct kunit *test)
{
	struct tracker *t = create_registered_tracker(test);

	KUNIT_EXPECT_EQ(test, users(test), 2);
	unregister_tracker(test, t);
	KUNIT_EXPECT_EQ(test, users(test), 1);
}

static void register_of_no_vm_is_refused(struct kunit *test)
{
	struct tracker *t = create_tracker(test);

	KUNIT_EXPECT_EQ(test, kvm_page_track_register_notifier(NULL, &t->node), -ESRCH);
}

/* It is that of trackers of userspace, whose results KVM_RUN knows. */
static int enter(struct kvm_vcpu *vcpu, struct kvm_page_track_notifier_node *node)
{
	return 0;
}

static void register_with_track_enter_is_refused(struct kunit *test)
{
	struct tracker *t = create_tracker(test);

	t->node.track_enter = enter;
	KUNIT_EXPECT_EQ(test, register_tracker(test, t), -EINVAL);
	KUNIT_EXPECT_EQ(test, users(test), 1);

	t->node.track_enter = NULL;
	KUNIT_EXPECT_EQ(test, register_tracker(test, t), 0);
	unregister_tracker(test, t);
}

static void register_of_unreadable_vm_is_refused(struct kunit *test)
{
	struct tracker *t = create_tracker(test);
	struct kvm *kvm = ptk_kvm(test);

	kvm->arch.vm_type = KVM_X86_SW_PROTECTED_VM;
	KUNIT_EXPECT_EQ(test, register_tracker(test, t), -EOPNOTSUPP);
	kvm->arch.vm_type = KVM_X86_DEFAULT_VM;

	KUNIT_EXPECT_EQ(test, kvm_page_track_forbid_external(kvm), 0);
	KUNIT_EXPECT_EQ(test, register_tracker(test, t), -EOPNOTSUPP);
	KUNIT_EXPECT_EQ(test, users(test), 1);
	KUNIT_EXPECT_EQ(test, kvm_page_track_forbid_external(kvm), 0);
}

static void vm_with_tracker_stays_readable(struct kunit *test)
{
	struct tracker *t = create_registered_tracker(test), *other = create_tracker(test);

	KUNIT_EXPECT_EQ(test, kvm_page_track_forbid_external(ptk_kvm(test)), -EBUSY);
	KUNIT_EXPECT_EQ(test, register_tracker(test, other), 0);
	unregister_tracker(test, other);
	unregister_tracker(test, t);
	KUNIT_EXPECT_EQ(test, kvm_page_track_forbid_external(ptk_kvm(test)), 0);
}

static void register_of_foreign_vm_is_refused(struct kunit *test)
{
	struct kvm *kvm = ptk_kvm(test);
	struct tracker *t = create_tracker(test);

	kvm->mm = &init_mm;
	KUNIT_EXPECT_EQ(test, register_tracker(test, t), -ESRCH);
	kvm->mm = current->mm;

	KUNIT_EXPECT_EQ(test, users(test), 1);
	KUNIT_EXPECT_FALSE(test, ptk_any_tracker(test));
	KUNIT_EXPECT_EQ(test, kvm->arch.page_track_modes, 0);
}

static void register_costs_no_memory(struct kunit *test)
{
	struct tracker *t;

	ptk_create_slot(test);
	t = create_registered_tracker(test);
	KUNIT_EXPECT_EQ(test, ptk_bytes(test), 0);
	unregister_tracker(test, t);
}

/* Counters have room for all trackers, and 2^15 for the shadow MMU. */
static void register_ends_at_its_limit(struct kunit *test)
{
	unsigned int *nr = &ptk_kvm(test)->arch.track_notifier_head.nr_external;
	struct tracker *t = create_tracker(test);

	KUNIT_EXPECT_EQ(test, KVM_PAGE_TRACK_MAX_TRACKERS + BIT(15), USHRT_MAX);

	*nr = KVM_PAGE_TRACK_MAX_TRACKERS;
	KUNIT_EXPECT_EQ(test, register_tracker(test, t), -EOVERFLOW);
	KUNIT_EXPECT_EQ(test, users(test), 1);
	KUNIT_EXPECT_FALSE(test, ptk_any_tracker(test));

	*nr = KVM_PAGE_TRACK_MAX_TRACKERS - 1;
	KUNIT_EXPECT_EQ(test, register_tracker(test, t), 0);
	unregister_tracker(test, t);
	*nr = 0;
}

/* Telling of writes */

static void write_is_told_as_it_was(struct kunit *test)
{
	struct tracker *t = create_registered_tracker(test);

	KUNIT_ASSERT_EQ(test, kvm_page_track_add_range(ptk_kvm(test), &t->node, PTK_BASE, 1,
						       KVM_PAGE_TRACK_WRITE, 7), 0);
	tell_write(test);
	KUNIT_EXPECT_EQ(test, t->writes, 1);
	KUNIT_EXPECT_EQ(test, t->gpa, gfn_to_gpa(PTK_BASE) + 8);
	KUNIT_EXPECT_PTR_EQ(test, t->new, (const u8 *)written);
	KUNIT_EXPECT_EQ(test, t->bytes, sizeof(written));
	KUNIT_EXPECT_EQ(test, t->action, 7);
	unregister_tracker(test, t);
}

static void write_is_told_to_those_who_track_it(struct kunit *test)
{
	struct tracker *t = create_registered_tracker(test);

	KUNIT_ASSERT_EQ(test, ptk_add_range(test, &t->node, PTK_BASE + 1, 1), 0);
	tell_write(test);
	KUNIT_EXPECT_EQ(test, t->writes, 0);
	unregister_tracker(test, t);
}

/* More than a vCPU has room for. */
static void trackers_are_told_in_order(struct kunit *test)
{
	struct tracker *t[KVM_PAGE_TRACK_MAX_FOUND + 2];
	int i, calls = 0;

	for (i = 0; i < ARRAY_SIZE(t); i++) {
		t[i] = create_told_tracker(test);
		t[i]->calls = &calls;
	}

	tell_write(test);
	for (i = 0; i < ARRAY_SIZE(t); i++) {
		KUNIT_EXPECT_EQ(test, t[i]->writes, 1);
		KUNIT_EXPECT_EQ(test, t[i]->call, i + 1);
		unregister_tracker(test, t[i]);
	}
}

/* It zaps what others must not see, and they may sleep. */
static void shadow_mmu_is_told_first(struct kunit *test)
{
	struct tracker *t = create_told_tracker(test);
	struct kvm *kvm = ptk_kvm(test);

	kvm->arch.indirect_shadow_pages = 1;
	tell_write(test);
	kvm->arch.indirect_shadow_pages = 0;
	KUNIT_EXPECT_EQ(test, t->writes, 1);
	KUNIT_EXPECT_EQ(test, t->shadow_writes, 1);
	unregister_tracker(test, t);
}

static void unregistered_tracker_is_not_told(struct kunit *test)
{
	struct tracker *t[3];
	int i;

	for (i = 0; i < ARRAY_SIZE(t); i++)
		t[i] = create_told_tracker(test);

	unregister_tracker(test, t[1]);
	tell_write(test);
	KUNIT_EXPECT_EQ(test, t[0]->writes, 1);
	KUNIT_EXPECT_EQ(test, t[1]->writes, 0);
	KUNIT_EXPECT_EQ(test, t[2]->writes, 1);

	unregister_tracker(test, t[2]);
	unregister_tracker(test, t[0]);
	tell_write(test);
	KUNIT_EXPECT_EQ(test, t[0]->writes, 1);
}

static void tracker_can_be_registered_again(struct kunit *test)
{
	struct tracker *t = create_told_tracker(test);

	unregister_tracker(test, t);
	KUNIT_ASSERT_EQ(test, register_tracker(test, t), 0);
	KUNIT_ASSERT_EQ(test, ptk_add_range(test, &t->node, PTK_BASE, 1), 0);
	tell_write(test);
	KUNIT_EXPECT_EQ(test, t->writes, 1);
	unregister_tracker(test, t);
}

static void missing_callbacks_are_passed_over(struct kunit *test)
{
	struct tracker *mute = create_tracker(test);
	struct tracker *t;

	mute->node.track_write = NULL;
	mute->node.track_flush_slot = NULL;
	KUNIT_ASSERT_EQ(test, register_tracker(test, mute), 0);
	KUNIT_ASSERT_EQ(test, ptk_add_range(test, &mute->node, PTK_BASE, 1), 0);
	t = create_told_tracker(test);
	ptk_create_slot(test);

	tell_write(test);
	KUNIT_EXPECT_EQ(test, t->writes, 1);
	KUNIT_EXPECT_EQ(test, ptk_set_slot(test, PTK_SLOT, 0, 0, 0), 0);
	KUNIT_EXPECT_EQ(test, t->flushes, 1);

	unregister_tracker(test, t);
	unregister_tracker(test, mute);
}

static void add_in_write(struct kvm_vcpu *vcpu, gpa_t gpa, gva_t gva, const u8 *new,
			 int bytes, u8 action, struct kvm_page_track_notifier_node *node)
{
	struct tracker *t = container_of(node, struct tracker, node);
	gfn_t gfn = gpa_to_gfn(gpa);

	KUNIT_EXPECT_EQ(t->test, ptk_remove_range(t->test, node, gfn, 1), 0);
	KUNIT_EXPECT_EQ(t->test, ptk_add_range(t->test, node, gfn + 1, 1), 0);
	t->writes++;
}

static void callback_may_add_and_remove_ranges(struct kunit *test)
{
	struct tracker *t = create_tracker(test);
	struct kvm_memory_slot *slot = ptk_create_slot(test);

	t->node.track_write = add_in_write;
	KUNIT_ASSERT_EQ(test, register_tracker(test, t), 0);
	KUNIT_EXPECT_EQ(test, ptk_add_range(test, &t->node, PTK_BASE, 1), 0);

	tell_write(test);
	KUNIT_EXPECT_EQ(test, t->writes, 1);
	KUNIT_EXPECT_FALSE(test, ptk_is_active(test, slot, PTK_BASE));
	KUNIT_EXPECT_TRUE(test, ptk_is_active(test, slot, PTK_BASE + 1));
	unregister_tracker(test, t);
}

/* Slots that go */

static void deleted_slot_is_told(struct kunit *test)
{
	struct tracker *t = create_registered_tracker(test);

	ptk_create_slot(test);
	KUNIT_EXPECT_EQ(test, t->flushes, 0);

	KUNIT_EXPECT_EQ(test, ptk_set_slot(test, PTK_SLOT, 0, 0, 0), 0);
	KUNIT_EXPECT_EQ(test, t->flushes, 1);
	KUNIT_EXPECT_EQ(test, t->flushed_as_id, 0);
	KUNIT_EXPECT_EQ(test, t->flushed_gfn, PTK_BASE);
	KUNIT_EXPECT_EQ(test, t->flushed_npages, PTK_NPAGES);
	KUNIT_EXPECT_FALSE(test, t->flushed_slot_was_reachable);
	unregister_tracker(test, t);
}

static void deleted_smm_slot_is_told(struct kunit *test)
{
	struct tracker *t;

	ptk_require_smm(test);
	t = create_registered_tracker(test);
	ptk_create_slot(test);
	ptk_create_slot_at(test, PTK_SMM_SLOT, PTK_BASE + 1, 1);

	KUNIT_EXPECT_EQ(test, ptk_set_slot(test, PTK_SMM_SLOT, 0, 0, 0), 0);
	KUNIT_EXPECT_EQ(test, t->flushes, 1);
	KUNIT_EXPECT_EQ(test, t->flushed_as_id, 1);
	KUNIT_EXPECT_EQ(test, t->flushed_gfn, PTK_BASE + 1);
	KUNIT_EXPECT_FALSE(test, t->flushed_slot_was_reachable);
	unregister_tracker(test, t);
}

static void moved_slot_is_told(struct kunit *test)
{
	struct tracker *t = create_registered_tracker(test);

	ptk_create_slot(test);
	KUNIT_EXPECT_EQ(test, ptk_set_slot(test, PTK_SLOT, 2 * PTK_BASE, PTK_NPAGES, 0), 0);
	KUNIT_EXPECT_EQ(test, t->flushes, 1);
	KUNIT_EXPECT_EQ(test, t->flushed_gfn, PTK_BASE);
	KUNIT_EXPECT_EQ(test, t->flushed_npages, PTK_NPAGES);
	KUNIT_EXPECT_FALSE(test, t->flushed_slot_was_reachable);
	unregister_tracker(test, t);
}

static void aborted_move_is_not_told(struct kunit *test)
{
	struct tracker *t = create_registered_tracker(test);

	ptk_create_slot(test);
	KUNIT_EXPECT_EQ(test, ptk_set_slot(test, PTK_SLOT, kvm_mmu_max_gfn() + 1,
					   PTK_NPAGES, 0), -EINVAL);
	KUNIT_EXPECT_EQ(test, t->flushes, 0);
	unregister_tracker(test, t);
}

static void remove_in_flush(struct kvm *kvm, int as_id, gfn_t gfn, unsigned long nr_pages,
			    struct kvm_page_track_notifier_node *node)
{
	struct tracker *t = container_of(node, struct tracker, node);

	t->flushes++;
	KUNIT_EXPECT_EQ(t->test, ptk_remove_range(t->test, node, gfn, nr_pages), 0);
}

static void flush_may_remove_ranges(struct kunit *test)
{
	struct tracker *t = create_registered_tracker(test);
	struct kvm_memory_slot *slot;

	t->node.track_flush_slot = remove_in_flush;
	ptk_create_slot(test);
	KUNIT_EXPECT_EQ(test, ptk_add_range(test, &t->node, PTK_BASE, 1), 0);
	KUNIT_EXPECT_EQ(test, ptk_set_slot(test, PTK_SLOT, 0, 0, 0), 0);
	KUNIT_EXPECT_EQ(test, t->flushes, 1);

	slot = ptk_create_slot(test);
	KUNIT_EXPECT_FALSE(test, ptk_is_active(test, slot, PTK_BASE));
	unregister_tracker(test, t);
}

static void flag_change_is_not_told(struct kunit *test)
{
	struct tracker *t = create_registered_tracker(test);

	ptk_create_slot(test);
	KUNIT_EXPECT_EQ(test, ptk_set_slot(test, PTK_SLOT, PTK_BASE, PTK_NPAGES,
					   KVM_MEM_LOG_DIRTY_PAGES), 0);
	KUNIT_EXPECT_EQ(test, t->flushes, 0);
	unregister_tracker(test, t);
}

static struct kunit_case notifier_cases[] = {
	KUNIT_CASE(register_takes_a_reference),
	KUNIT_CASE(register_of_no_vm_is_refused),
	KUNIT_CASE(register_with_track_enter_is_refused),
	KUNIT_CASE(register_of_unreadable_vm_is_refused),
	KUNIT_CASE(vm_with_tracker_stays_readable),
	KUNIT_CASE(register_of_foreign_vm_is_refused),
	KUNIT_CASE(register_costs_no_memory),
	KUNIT_CASE(register_ends_at_its_limit),
	KUNIT_CASE(write_is_told_as_it_was),
	KUNIT_CASE(write_is_told_to_those_who_track_it),
	KUNIT_CASE(trackers_are_told_in_order),
	KUNIT_CASE(shadow_mmu_is_told_first),
	KUNIT_CASE(unregistered_tracker_is_not_told),
	KUNIT_CASE(tracker_can_be_registered_again),
	KUNIT_CASE(missing_callbacks_are_passed_over),
	KUNIT_CASE(callback_may_add_and_remove_ranges),
	KUNIT_CASE(deleted_slot_is_told),
	KUNIT_CASE(deleted_smm_slot_is_told),
	KUNIT_CASE(moved_slot_is_told),
	KUNIT_CASE(aborted_move_is_not_told),
	KUNIT_CASE(flush_may_remove_ranges),
	KUNIT_CASE(flag_change_is_not_told),
	{}
};

static struct kunit_suite notifier_suite = {
	.name = "kvm_page_track_notifier",
	.init = ptk_init,
	.exit = ptk_exit,
	.suite_exit = ptk_forget_skips,
	.test_cases = notifier_cases,
};

kunit_test_suite(notifier_suite);
