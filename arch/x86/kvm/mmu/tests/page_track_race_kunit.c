// SPDX-License-Identifier: GPL-2.0-only
/* KUnit tests of page tracking, layer 2, with several threads at once. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/completion.h>
#include <linux/workqueue.h>

#include "page_track_kunit.h"

static const u8 written[8];

static void tell_write(struct kunit *test)
{
	ptk_tell_write(test, gfn_to_gpa(PTK_BASE), written, sizeof(written));
}

/* Unregistering while a vCPU is in the callback */

struct blocked_write {
	struct kvm_page_track_notifier_node node;
	struct kunit *test;
	struct work_struct work;
	struct completion entered;
	struct completion unregistered;
	bool overtaken;
	bool left;
};

static void block_in_write(struct kvm_vcpu *vcpu, gpa_t gpa, const u8 *new, int bytes,
			   struct kvm_page_track_notifier_node *node)
{
	struct blocked_write *b = container_of(node, struct blocked_write, node);

	complete(&b->entered);

	while (ptk_any_tracker(b->test) && !completion_done(&b->unregistered))
		cond_resched();

	/* Nothing but this callback keeps the other thread from going on. */
	b->overtaken = wait_for_completion_timeout(&b->unregistered, HZ / 5);
	b->left = true;
}

static void tell_blocked_write(struct work_struct *work)
{
	tell_write(container_of(work, struct blocked_write, work)->test);
}

void unregister_waits_for_callback(struct kunit *test)
{
	struct blocked_write *b = kunit_kzalloc(test, sizeof(*b), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, b);
	b->test = test;
	b->node.track_write = block_in_write;
	init_completion(&b->entered);
	init_completion(&b->unregistered);
	INIT_WORK(&b->work, tell_blocked_write);
	KUNIT_ASSERT_EQ(test, kvm_page_track_register_notifier(ptk_kvm(test), &b->node), 0);

	queue_work(system_unbound_wq, &b->work);
	wait_for_completion(&b->entered);
	kvm_page_track_unregister_notifier(ptk_kvm(test), &b->node);
	KUNIT_EXPECT_TRUE(test, READ_ONCE(b->left));
	complete(&b->unregistered);

	flush_work(&b->work);
	KUNIT_EXPECT_FALSE(test, b->overtaken);
}

/* Users, slots and trackers, all at once */

#define NR_RACERS	3
#define NR_ADDS		500
#define NR_SLOTS	20

struct racer {
	struct kunit *test;
	struct work_struct work;
	int unexpected;
};

/* The slot may have gone at any time, and its counts with it. */
static bool is_expected(int r)
{
	return !r || r == -EINVAL || r == -ENOENT;
}

static void race(struct work_struct *work)
{
	struct racer *racer = container_of(work, struct racer, work);
	struct kvm *kvm = ptk_kvm(racer->test);
	gfn_t gfn;
	int i, r;

	for (i = 0; i < NR_ADDS; i++) {
		gfn = PTK_BASE + i % 7;
		r = kvm_page_track_add_page(kvm, gfn, KVM_PAGE_TRACK_WRITE);
		racer->unexpected += !is_expected(r);

		tell_write(racer->test);

		r = kvm_page_track_remove_page(kvm, gfn, KVM_PAGE_TRACK_WRITE);
		racer->unexpected += !is_expected(r);
	}
}

static struct racer *start_racers(struct kunit *test)
{
	struct racer *racers = kunit_kcalloc(test, NR_RACERS, sizeof(*racers), GFP_KERNEL);
	int i;

	KUNIT_ASSERT_NOT_NULL(test, racers);
	for (i = 0; i < NR_RACERS; i++) {
		racers[i].test = test;
		INIT_WORK(&racers[i].work, race);
		queue_work(system_unbound_wq, &racers[i].work);
	}
	return racers;
}

static void join_racers(struct kunit *test, struct racer *racers)
{
	int i;

	for (i = 0; i < NR_RACERS; i++) {
		flush_work(&racers[i].work);
		KUNIT_EXPECT_EQ(test, racers[i].unexpected, 0);
	}
}

static void ignore_write(struct kvm_vcpu *vcpu, gpa_t gpa, const u8 *new, int bytes,
			 struct kvm_page_track_notifier_node *node)
{
}

static struct kvm_page_track_notifier_node *create_tracker(struct kunit *test)
{
	struct kvm_page_track_notifier_node *n;

	n = kunit_kzalloc(test, sizeof(*n), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, n);
	n->track_write = ignore_write;
	return n;
}

void concurrent_users_balance(struct kunit *test)
{
	struct kvm_page_track_notifier_node *n = create_tracker(test);
	struct kvm_memory_slot *slot = ptk_create_slot(test);
	int lpages = ptk_disallow_lpages(slot, PTK_BASE);
	struct kvm *kvm = ptk_kvm(test);

	KUNIT_ASSERT_EQ(test, kvm_page_track_register_notifier(kvm, n), 0);
	join_racers(test, start_racers(test));

	KUNIT_EXPECT_EQ(test, ptk_pages(test), 0);
	KUNIT_EXPECT_EQ(test, ptk_disallow_lpages(slot, PTK_BASE), lpages);
	KUNIT_EXPECT_EQ(test, ptk_remove(test, slot, PTK_BASE), -ENOENT);
	kvm_page_track_unregister_notifier(kvm, n);
}

static int change_all(struct kunit *test, struct kvm_page_track_notifier_node *n)
{
	struct kvm *kvm = ptk_kvm(test);

	if (ptk_set_slot(test, PTK_SLOT, PTK_BASE, PTK_NPAGES, 0) ||
	    kvm_page_track_register_notifier(kvm, n))
		return 1;

	ptk_set_slot(test, PTK_SLOT, PTK_BASE, PTK_NPAGES, KVM_MEM_LOG_DIRTY_PAGES);

	/* A move is refused because of the trackers, but not before it began. */
	ptk_set_slot(test, PTK_SLOT, 2 * PTK_BASE, PTK_NPAGES, KVM_MEM_LOG_DIRTY_PAGES);
	kvm_page_track_unregister_notifier(kvm, n);
	return ptk_set_slot(test, PTK_SLOT, 0, 0, 0) != 0;
}

void slots_and_trackers_come_and_go_in_use(struct kunit *test)
{
	struct kvm_page_track_notifier_node *n = create_tracker(test);
	struct kvm_page_track_notifier_node *other = create_tracker(test);
	struct kvm *kvm = ptk_kvm(test);
	struct racer *racers;
	int i, errors = 0;

	KUNIT_ASSERT_EQ(test, kvm_page_track_register_notifier(kvm, n), 0);
	racers = start_racers(test);
	for (i = 0; i < NR_SLOTS; i++)
		errors += change_all(test, other);
	join_racers(test, racers);

	KUNIT_EXPECT_EQ(test, errors, 0);
	KUNIT_EXPECT_EQ(test, ptk_pages(test), 0);
	KUNIT_EXPECT_EQ(test, ptk_bytes(test), 0);
	kvm_page_track_unregister_notifier(kvm, n);
}
