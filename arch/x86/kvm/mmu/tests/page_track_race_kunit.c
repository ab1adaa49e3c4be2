// SPDX-License-Identifier: GPL-2.0-only
/* KUnit tests of page tracking, layer 2, with several threads at once. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/completion.h>
#include <linux/jiffies.h>
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

static void block_in_write(struct kvm_vcpu *vcpu, gpa_t gpa, gva_t gva, const u8 *new,
			   int bytes, u8 action, struct kvm_page_track_notifier_node *node)
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

static void unregister_waits_for_callback(struct kunit *test)
{
	struct blocked_write *b = kunit_kzalloc(test, sizeof(*b), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, b);
	b->test = test;
	b->node.track_write = block_in_write;
	init_completion(&b->entered);
	init_completion(&b->unregistered);
	INIT_WORK(&b->work, tell_blocked_write);
	KUNIT_ASSERT_EQ(test, kvm_page_track_register_notifier(ptk_kvm(test), &b->node), 0);
	KUNIT_ASSERT_EQ(test, ptk_add_range(test, &b->node, PTK_BASE, 1), 0);

	queue_work(system_unbound_wq, &b->work);
	wait_for_completion(&b->entered);
	kvm_page_track_unregister_notifier(ptk_kvm(test), &b->node);
	KUNIT_EXPECT_TRUE(test, READ_ONCE(b->left));
	complete(&b->unregistered);

	flush_work(&b->work);
	KUNIT_EXPECT_FALSE(test, b->overtaken);
}

static void add_late(struct kvm_vcpu *vcpu, gpa_t gpa, gva_t gva, const u8 *new,
		     int bytes, u8 action, struct kvm_page_track_notifier_node *node)
{
	struct blocked_write *b = container_of(node, struct blocked_write, node);
	gfn_t gfn = PTK_BASE, nr;

	complete(&b->entered);

	/* Not in the list, and the lock was released: unregistering waits for us. */
	while (ptk_any_tracker(b->test))
		cond_resched();

	KUNIT_EXPECT_EQ(b->test, ptk_add_range(b->test, node, gfn, 1), -ESRCH);
	KUNIT_EXPECT_EQ(b->test, ptk_remove_range(b->test, node, gfn, 1), -ESRCH);
	KUNIT_EXPECT_EQ(b->test, ptk_next_range(b->test, node, &gfn, &nr), -ESRCH);
	b->left = true;
}

static void callback_adds_nothing_once_unregistered(struct kunit *test)
{
	struct blocked_write *b = kunit_kzalloc(test, sizeof(*b), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, b);
	b->test = test;
	b->node.track_write = add_late;
	init_completion(&b->entered);
	INIT_WORK(&b->work, tell_blocked_write);
	ptk_create_slot(test);
	KUNIT_ASSERT_EQ(test, ptk_register(test, &b->node), 0);
	KUNIT_EXPECT_EQ(test, ptk_add_range(test, &b->node, PTK_BASE, 2), 0);

	queue_work(system_unbound_wq, &b->work);
	wait_for_completion(&b->entered);
	ptk_unregister(test, &b->node);
	flush_work(&b->work);
	KUNIT_EXPECT_TRUE(test, b->left);
	KUNIT_EXPECT_EQ(test, ptk_pages(test), 0);
}

/* Users, slots and trackers, all at once */

#define NR_RACERS	3	/* with two trackers */
#define NR_ADDS		500
#define NR_RACED	7	/* gfns where ranges start */
#define NR_SLOTS	20

struct racer {
	struct kunit *test;
	struct kvm_page_track_notifier_node *tracker;
	struct work_struct work;
	int unexpected;
};

/*
 * Racers share trackers, so that another one may have removed the range, or given up
 * a page of it.
 */
static void race(struct work_struct *work)
{
	struct racer *racer = container_of(work, struct racer, work);
	gfn_t gfn;
	int i, r;

	for (i = 0; i < NR_ADDS; i++) {
		gfn = PTK_BASE + i % NR_RACED;
		r = ptk_add_range(racer->test, racer->tracker, gfn, 3);
		racer->unexpected += r != 0;

		tell_write(racer->test);

		r = ptk_untrack_page(racer->test, racer->tracker, gfn + 1, 0);
		racer->unexpected += r < 0;

		r = ptk_remove_range(racer->test, racer->tracker, gfn, 3);
		racer->unexpected += r && r != -ENOENT;
	}
}

static struct racer *start_racers(struct kunit *test,
				  struct kvm_page_track_notifier_node *trackers[2])
{
	struct racer *racers = kunit_kcalloc(test, NR_RACERS, sizeof(*racers), GFP_KERNEL);
	int i;

	KUNIT_ASSERT_NOT_NULL(test, racers);
	for (i = 0; i < NR_RACERS; i++) {
		racers[i].test = test;
		racers[i].tracker = trackers[i % 2];
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

static void concurrent_users_balance(struct kunit *test)
{
	struct kvm_page_track_notifier_node *n[2] = {
		ptk_create_tracker(test), ptk_create_tracker(test),
	};
	struct kvm_memory_slot *slot = ptk_create_slot(test);
	int lpages = ptk_disallow_lpages(slot, PTK_BASE);

	join_racers(test, start_racers(test, n));

	KUNIT_EXPECT_EQ(test, ptk_pages(test), 0);
	KUNIT_EXPECT_EQ(test, ptk_disallow_lpages(slot, PTK_BASE), lpages);
	KUNIT_EXPECT_EQ(test, ptk_remove(test, slot, PTK_BASE), -ENOENT);
	ptk_unregister(test, n[0]);
	ptk_unregister(test, n[1]);
}

/* Returns how many calls failed.  Leaves a slot behind that was moved. */
static int change_all(struct kunit *test, struct kvm_page_track_notifier_node *n)
{
	u32 flags = KVM_MEM_LOG_DIRTY_PAGES;
	int r;

	r = !!ptk_set_slot(test, PTK_SLOT, 0, 0, 0);
	r += !!ptk_set_slot(test, PTK_SLOT, PTK_BASE, PTK_NPAGES, 0);
	r += !!ptk_register(test, n);
	r += !!ptk_set_slot(test, PTK_SLOT, PTK_BASE, PTK_NPAGES, flags);
	r += !!ptk_add_range(test, n, PTK_BASE, PTK_NPAGES);
	r += !!ptk_set_slot(test, PTK_SLOT, PTK_BASE + 3, PTK_NPAGES, flags);
	ptk_unregister(test, n);
	return r;
}

static void slots_and_trackers_come_and_go_in_use(struct kunit *test)
{
	struct kvm_page_track_notifier_node *n[2] = {
		ptk_create_tracker(test), ptk_create_tracker(test),
	};
	struct kvm_page_track_notifier_node *other = ptk_create_tracker(test);
	struct racer *racers;
	int i, errors = 0;

	ptk_unregister(test, other);
	ptk_create_slot(test);
	ptk_count_in_pieces(test);
	racers = start_racers(test, n);
	for (i = 0; i < NR_SLOTS; i++)
		errors += change_all(test, other);
	join_racers(test, racers);

	/* The racers removed all that they have added. */
	KUNIT_EXPECT_EQ(test, errors, 0);
	KUNIT_EXPECT_EQ(test, ptk_pages(test), 0);
	for (i = 0; i < NR_RACED + 3; i++)
		KUNIT_EXPECT_FALSE(test, ptk_is_active(test, ptk_get_slot(test, PTK_SLOT),
						       PTK_BASE + 3 + i));
	ptk_unregister(test, n[0]);
	ptk_unregister(test, n[1]);
}

/* The first shadow root while a slot is moved, and counted anew */

struct first_root {
	struct kunit *test;
	struct work_struct work;
	struct completion started;
	struct task_struct *mover;
	struct kvm_page_track_notifier_node *single;
	bool fail;
	bool done;
	bool stop;
};

/* What mmu_first_shadow_root_alloc() does, if the moved slot has not counted much. */
static int allocate_rmaps(struct first_root *root)
{
	struct kvm *kvm = ptk_kvm(root->test);
	struct kvm_page_track_notifier_head *head = &kvm->arch.track_notifier_head;
	struct kvm_memory_slot *slot;
	int r;

	guard(mutex)(&kvm->slots_arch_lock);

	if (!head->new_slot || head->new_end > head->new_slot->base_gfn + PTK_BLOCK)
		return -EAGAIN;

	slot = id_to_memslot(kvm_memslots(kvm), PTK_SLOT);
	r = memslot_rmap_alloc(slot, slot->npages);
	if (r)
		return r;

	/* Pairs with kvm_shadow_root_allocated(). */
	smp_store_release(&kvm->arch.shadow_root_allocated, true);
	WRITE_ONCE(root->done, true);
	if (root->fail)
		ptk_fail_next_alloc(root->mover);
	return 0;
}

static void do_first_root(struct work_struct *work)
{
	struct first_root *root = container_of(work, struct first_root, work);
	struct kvm *kvm = ptk_kvm(root->test);
	/* Wherever the slot is. */
	gfn_t gfn = PTK_BASE + 4;
	int idx, r;

	complete(&root->started);
	do {
		idx = srcu_read_lock(&kvm->srcu);
		r = allocate_rmaps(root);
		srcu_read_unlock(&kvm->srcu, idx);
		cond_resched();
	} while (r && !READ_ONCE(root->stop));

	/* Single pages come and go in the moved slot, which has no rmaps yet. */
	while (!READ_ONCE(root->stop)) {
		r = kvm_page_track_add_page(kvm, root->single, gfn, KVM_PAGE_TRACK_WRITE, 0) ?:
		    kvm_page_track_remove_page(kvm, root->single, gfn, KVM_PAGE_TRACK_WRITE);
		KUNIT_EXPECT_EQ(root->test, r, 0);
	}
}

/* Either slot has the rmaps then. */
static void move_with_first_root(struct kunit *test, bool fail)
{
	struct first_root *root = kunit_kzalloc(test, sizeof(*root), GFP_KERNEL);
	gfn_t from = PTK_BASE + 3, to = PTK_BASE;
	unsigned long give_up = jiffies + 60 * HZ;
	struct kvm_page_track_notifier_node *n;
	struct kvm_memory_slot *slot;
	int r;

	if (kvm_memslots_have_rmaps(ptk_kvm(test)))
		kunit_skip(test, "without TDP MMU, each slot has rmaps");

	KUNIT_ASSERT_NOT_NULL(test, root);
	root->test = test;
	root->mover = current;
	root->fail = fail;
	init_completion(&root->started);
	INIT_WORK(&root->work, do_first_root);
	ptk_create_slot(test);
	n = ptk_create_tracker(test);
	root->single = ptk_create_tracker(test);
	ptk_count_in_pieces(test);
	KUNIT_EXPECT_EQ(test, ptk_add_range(test, n, PTK_BASE, PTK_NPAGES), 0);

	queue_work(system_unbound_wq, &root->work);
	wait_for_completion(&root->started);

	/* The other thread may not come in time: move until it does. */
	do {
		swap(from, to);
		r = ptk_set_slot(test, PTK_SLOT, to, PTK_NPAGES, 0);
	} while (!r && !READ_ONCE(root->done) && time_before(jiffies, give_up));
	KUNIT_EXPECT_EQ(test, r, fail ? -ENOMEM : 0);
	WRITE_ONCE(root->stop, true);
	flush_work(&root->work);

	slot = ptk_get_slot(test, PTK_SLOT);
	KUNIT_EXPECT_EQ(test, slot->base_gfn, fail ? from : to);
	KUNIT_EXPECT_TRUE(test, kvm_memslots_have_rmaps(ptk_kvm(test)));
	KUNIT_EXPECT_NOT_NULL(test, slot->arch.rmap[0]);
	ptk_unregister(test, root->single);
	ptk_unregister(test, n);
	KUNIT_EXPECT_EQ(test, ptk_pages(test), 0);
}

static void moved_slot_has_rmaps_that_came_meanwhile(struct kunit *test)
{
	move_with_first_root(test, false);
}

static void slot_that_cannot_move_has_rmaps_that_came_meanwhile(struct kunit *test)
{
	ptk_require_faults(test);
	move_with_first_root(test, true);
}

static struct kunit_case race_cases[] = {
	KUNIT_CASE(unregister_waits_for_callback),
	KUNIT_CASE(callback_adds_nothing_once_unregistered),
	KUNIT_CASE(concurrent_users_balance),
	KUNIT_CASE(slots_and_trackers_come_and_go_in_use),
	KUNIT_CASE(moved_slot_has_rmaps_that_came_meanwhile),
	KUNIT_CASE(slot_that_cannot_move_has_rmaps_that_came_meanwhile),
	{}
};

static struct kunit_suite race_suite = {
	.name = "kvm_page_track_race",
	.init = ptk_init,
	.exit = ptk_exit,
	.suite_exit = ptk_forget_skips,
	.test_cases = race_cases,
};

kunit_test_suite(race_suite);
