// SPDX-License-Identifier: GPL-2.0-only
/* KUnit tests of page tracking, layer 2: trackers that are freed later. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/completion.h>
#include <linux/preempt.h>
#include <linux/srcu.h>
#include <linux/workqueue.h>

#include "page_track_kunit.h"

struct freed_later {
	struct kvm_page_track_notifier_node node;
	struct kunit *test;
	struct work_struct work;
	struct completion entered;
	struct completion go_on;
	struct completion freed;
	bool waited;
	bool too_early;
	bool in_softirq;
};

static struct freed_later *to_freed_later(struct kvm_page_track_notifier_node *node)
{
	return container_of(node, struct freed_later, node);
}

static void note_free(struct kvm_page_track_notifier_node *node)
{
	struct freed_later *f = to_freed_later(node);

	/* True as well if only bottom halves are disabled. */
	f->in_softirq = in_softirq();
	complete(&f->freed);
}

/* Until the test says so, it is entered and not freed. */
static void wait_to_go_on(struct freed_later *f)
{
	complete(&f->entered);
	f->waited = !wait_for_completion_timeout(&f->go_on, 5 * HZ);
}

static void wait_in_write(struct kvm_vcpu *vcpu, gpa_t gpa, gva_t gva, const u8 *new,
			  int bytes, u8 action, struct kvm_page_track_notifier_node *node)
{
	struct freed_later *f = to_freed_later(node);

	wait_to_go_on(f);
	f->too_early = completion_done(&f->freed);
}

static void free_slowly(struct kvm_page_track_notifier_node *node)
{
	wait_to_go_on(to_freed_later(node));
	note_free(node);
}

static void tell_waiting_write(struct work_struct *work)
{
	static const u8 written[8];

	ptk_tell_write(container_of(work, struct freed_later, work)->test,
		       gfn_to_gpa(PTK_BASE), written, sizeof(written));
}

static struct freed_later *create_freed_later(struct kunit *test)
{
	struct freed_later *f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, f);
	f->test = test;
	f->node.track_write = wait_in_write;
	init_completion(&f->entered);
	init_completion(&f->go_on);
	init_completion(&f->freed);
	INIT_WORK(&f->work, tell_waiting_write);
	KUNIT_ASSERT_EQ(test, ptk_register(test, &f->node), 0);
	return f;
}

static void unregister_later(struct kunit *test, struct freed_later *f,
			     void (*free)(struct kvm_page_track_notifier_node *node))
{
	kvm_page_track_remove_notifier(ptk_kvm(test), &f->node);
	kvm_page_track_free_notifier(ptk_kvm(test), &f->node, free);
}

static void async_unregister_does_not_wait(struct kunit *test)
{
	struct freed_later *f = create_freed_later(test);

	ptk_create_slot(test);
	KUNIT_EXPECT_EQ(test, ptk_add_range(test, &f->node, PTK_BASE, 1), 0);

	queue_work(system_unbound_wq, &f->work);
	wait_for_completion(&f->entered);
	unregister_later(test, f, note_free);

	/* All is undone but the memory. */
	KUNIT_EXPECT_FALSE(test, ptk_any_tracker(test));
	KUNIT_EXPECT_EQ(test, ptk_pages(test), 0);
	KUNIT_EXPECT_EQ(test, refcount_read(&ptk_kvm(test)->users_count), 1);
	complete(&f->go_on);

	flush_work(&f->work);
	KUNIT_EXPECT_FALSE(test, f->waited);
	KUNIT_EXPECT_FALSE(test, f->too_early);
	kvm_page_track_cleanup(ptk_kvm(test));
	KUNIT_EXPECT_TRUE(test, completion_done(&f->freed));
	KUNIT_EXPECT_FALSE(test, f->in_softirq);
}

static void trackers_are_freed_in_turn(struct kunit *test)
{
	struct freed_later *first = create_freed_later(test);
	struct freed_later *then[] = { create_freed_later(test), create_freed_later(test) };
	int i;

	unregister_later(test, first, free_slowly);
	wait_for_completion(&first->entered);
	for (i = 0; i < ARRAY_SIZE(then); i++)
		unregister_later(test, then[i], note_free);

	/* No reader keeps them any more, but the first one is not done. */
	srcu_barrier(&ptk_kvm(test)->srcu);
	for (i = 0; i < ARRAY_SIZE(then); i++)
		KUNIT_EXPECT_FALSE(test, completion_done(&then[i]->freed));

	complete(&first->go_on);
	kvm_page_track_cleanup(ptk_kvm(test));
	KUNIT_EXPECT_FALSE(test, first->waited);
	KUNIT_EXPECT_TRUE(test, completion_done(&first->freed));
	for (i = 0; i < ARRAY_SIZE(then); i++)
		KUNIT_EXPECT_TRUE(test, completion_done(&then[i]->freed));
}

static struct kunit_case free_cases[] = {
	KUNIT_CASE(async_unregister_does_not_wait),
	KUNIT_CASE(trackers_are_freed_in_turn),
	{}
};

static struct kunit_suite free_suite = {
	.name = "kvm_page_track_free",
	.init = ptk_init,
	.exit = ptk_exit,
	.test_cases = free_cases,
};

kunit_test_suite(free_suite);
