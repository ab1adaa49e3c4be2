// SPDX-License-Identifier: GPL-2.0-only
/* KUnit tests of page tracking, layer 2: what KVM writes to tracked pages. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include "page_track_kunit.h"
#include "mmu/page_track_by_kvm.h"
#include "mmu/page_track_untracked.h"
#include "mmu/page_track_written.h"

/* Around the edge of two bitmaps; not aligned, as few slots are. */
#define EDGE	((gfn_t)2 * PAGE_TRACK_MAP_GFNS)
#define FIRST	(EDGE - 50)
#define COUNT	100

/* The set alone */

static void destroy_set(void *w)
{
	page_track_written_destroy(w);
}

static struct page_track_written *create_empty_set(struct kunit *test)
{
	struct page_track_written *w = page_track_written_create();

	KUNIT_ASSERT_NOT_NULL(test, w);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, destroy_set, w), 0);
	return w;
}

/* Allocations are under a lock of the VM's outside of tests. */
static struct page_track_written *create_set(struct kunit *test)
{
	struct page_track_written *w = create_empty_set(test);
	int i;

	for (i = 0; i < KVM_MAX_NR_ADDRESS_SPACES; i++)
		KUNIT_ASSERT_EQ(test, page_track_written_prepare(w, i, FIRST, FIRST + COUNT), 0);
	return w;
}

static void mark(struct page_track_written *w, int as_id, gfn_t gfn, u32 vcpu_id)
{
	struct page_track_write write = { .gfn = gfn, .vcpu_id = vcpu_id, .as_id = as_id };

	raw_spin_lock_irq(&w->lock);
	page_track_written_mark(w, &write);
	raw_spin_unlock_irq(&w->lock);
}

/* Take one of those that wait now. */
static bool take(struct page_track_written *w, struct page_track_write *write)
{
	page_track_written_start(w);
	return page_track_written_take(w, write);
}

static void expect_next(struct kunit *test, struct page_track_written *w, int as_id, gfn_t gfn,
			u32 vcpu_id)
{
	struct page_track_write write = {};

	KUNIT_EXPECT_TRUE(test, take(w, &write));
	KUNIT_EXPECT_EQ(test, write.gfn, gfn);
	KUNIT_EXPECT_EQ(test, write.vcpu_id, vcpu_id);
	KUNIT_EXPECT_EQ(test, write.as_id, as_id);
}

static void expect_told(struct kunit *test, struct page_track_written *w, int as_id, gfn_t gfn,
			u32 vcpu_id)
{
	expect_next(test, w, as_id, gfn, vcpu_id);
	page_track_written_told(w);
}

static void expect_put_back(struct kunit *test, struct page_track_written *w, gfn_t gfn,
			    u32 vcpu_id)
{
	struct page_track_write write = {};

	KUNIT_EXPECT_TRUE(test, take(w, &write));
	KUNIT_EXPECT_EQ(test, write.gfn, gfn);
	KUNIT_EXPECT_EQ(test, write.vcpu_id, vcpu_id);
	page_track_written_put_back(w, &write);
}

static void expect_none(struct kunit *test, struct page_track_written *w)
{
	struct page_track_write write;

	KUNIT_EXPECT_FALSE(test, take(w, &write));
}

static void gfns_are_told_once_in_order(struct kunit *test)
{
	struct page_track_written *w;

	ptk_require_smm(test);
	w = create_set(test);
	guard(mutex)(&w->tell_lock);
	expect_none(test, w);
	mark(w, 0, EDGE, 3);
	mark(w, 0, EDGE - 1, 2);
	mark(w, 0, EDGE, 1);
	mark(w, 1, EDGE, U32_MAX);
	expect_told(test, w, 0, EDGE, 3);
	expect_told(test, w, 0, EDGE - 1, 2);
	expect_told(test, w, 1, EDGE, U32_MAX);
	expect_none(test, w);

	mark(w, 0, EDGE, 1);
	expect_told(test, w, 0, EDGE, 1);
	expect_none(test, w);
}

/* Whoever tells it may look at the page too early. */
static void gfn_that_is_written_while_it_is_told_is_told_again(struct kunit *test)
{
	struct page_track_written *w = create_set(test);

	guard(mutex)(&w->tell_lock);
	mark(w, 0, FIRST, 1);
	expect_next(test, w, 0, FIRST, 1);
	mark(w, 0, FIRST, 2);
	page_track_written_told(w);
	expect_told(test, w, 0, FIRST, 2);
	expect_none(test, w);
}

/* From the last gfn of the slot down to the first. */
static void mark_all(struct page_track_written *w)
{
	gfn_t gfn = FIRST + COUNT;

	while (gfn-- > FIRST)
		mark(w, 0, gfn, gfn - FIRST);
}

static void expect_queued(struct kunit *test, struct page_track_written *w)
{
	int i;

	for (i = 1; i <= PAGE_TRACK_MAX_QUEUED; i++)
		expect_told(test, w, 0, FIRST + COUNT - i, COUNT - i);
}

static void full_queue_loses_no_gfn(struct kunit *test)
{
	struct page_track_written *w;
	gfn_t gfn;

	ptk_require_smm(test);
	w = create_set(test);
	guard(mutex)(&w->tell_lock);
	mark_all(w);
	mark(w, 1, FIRST, 7);
	expect_queued(test, w);
	for (gfn = FIRST; gfn < FIRST + COUNT - PAGE_TRACK_MAX_QUEUED; gfn++)
		expect_told(test, w, 0, gfn, U32_MAX);
	expect_told(test, w, 1, FIRST, U32_MAX);
	expect_none(test, w);

	/* It has room again. */
	mark(w, 0, FIRST, 7);
	expect_told(test, w, 0, FIRST, 7);
	expect_none(test, w);
}

/* Whoever tells has an end, even if each gfn is written again whenever it is told. */
static void gfns_that_are_written_meanwhile_are_for_the_next_time(struct kunit *test)
{
	struct page_track_written *w = create_set(test);
	struct page_track_write write;
	int i, nr = 0;

	guard(mutex)(&w->tell_lock);
	mark_all(w);

	/* Once from the queue, and once by its bit. */
	page_track_written_start(w);
	while (nr < 4 * COUNT && page_track_written_take(w, &write)) {
		mark(w, 0, write.gfn, 0);
		page_track_written_told(w);
		nr++;
	}
	KUNIT_EXPECT_GE(test, nr, COUNT);
	KUNIT_EXPECT_LE(test, nr, 2 * COUNT);

	for (i = 0; i < COUNT; i++) {
		KUNIT_EXPECT_TRUE(test, take(w, &write));
		page_track_written_told(w);
	}
	expect_none(test, w);
}

/* The queue is filled again while those beside it are told, behind and ahead. */
static void queue_that_fills_again_loses_no_gfn(struct kunit *test)
{
	struct page_track_written *w = create_set(test);
	gfn_t gfn, last = FIRST + COUNT - PAGE_TRACK_MAX_QUEUED - 1;

	guard(mutex)(&w->tell_lock);
	mark_all(w);
	expect_queued(test, w);
	expect_told(test, w, 0, FIRST, U32_MAX);
	expect_told(test, w, 0, FIRST + 1, U32_MAX);

	for (gfn = FIRST + COUNT; gfn-- > last + 1;)
		mark(w, 0, gfn, gfn - FIRST);
	mark(w, 0, FIRST, 7);
	expect_queued(test, w);
	for (gfn = FIRST + 2; gfn <= last; gfn++)
		expect_told(test, w, 0, gfn, U32_MAX);
	expect_told(test, w, 0, FIRST, U32_MAX);
	expect_none(test, w);
}

static void gfn_that_is_put_back_is_next(struct kunit *test)
{
	struct page_track_written *w = create_set(test);
	gfn_t gfn;

	guard(mutex)(&w->tell_lock);
	mark_all(w);
	expect_put_back(test, w, FIRST + COUNT - 1, COUNT - 1);
	mark(w, 0, FIRST + COUNT - 1, 7);
	expect_queued(test, w);

	/* Of those beside the queue as well. */
	expect_put_back(test, w, FIRST, U32_MAX);
	for (gfn = FIRST; gfn < FIRST + COUNT - PAGE_TRACK_MAX_QUEUED; gfn++)
		expect_told(test, w, 0, gfn, U32_MAX);
	expect_none(test, w);
}

static void only_what_is_prepared_is_marked(struct kunit *test)
{
	struct page_track_written *w;

	ptk_require_smm(test);
	w = create_empty_set(test);
	guard(mutex)(&w->tell_lock);
	mark(w, 0, FIRST, 1);
	expect_none(test, w);

	/* A bitmap is for more than that, in its address space. */
	KUNIT_EXPECT_EQ(test, page_track_written_prepare(w, 1, FIRST, FIRST + 1), 0);
	mark(w, 0, FIRST, 1);
	mark(w, 1, EDGE, 1);
	expect_none(test, w);
	mark(w, 1, EDGE - 1, 1);
	expect_told(test, w, 1, EDGE - 1, 1);

	/* Up to the last gfn, and what is there stays. */
	mark(w, 1, FIRST, 1);
	KUNIT_EXPECT_EQ(test, page_track_written_prepare(w, 1, FIRST, EDGE + 1), 0);
	mark(w, 1, EDGE, 1);
	expect_told(test, w, 1, FIRST, 1);
	expect_told(test, w, 1, EDGE, 1);
	expect_none(test, w);
}

/* Returns what preparing a new set does. */
static int prepare(struct kunit *test)
{
	struct page_track_written *w = page_track_written_create();
	int r;

	if (!w)
		return -ENOMEM;

	r = page_track_written_prepare(w, 0, FIRST, FIRST + COUNT);
	page_track_written_destroy(w);
	return r;
}

static void expect_prepared(struct kunit *test, int r)
{
	if (r)
		KUNIT_EXPECT_EQ(test, r, -ENOMEM);
}

static void set_fails_without_memory(struct kunit *test)
{
	ptk_require_faults(test);

	/* The set, and a bitmap for each side. */
	ptk_fail_each_alloc(test, prepare, expect_prepared, 3);
}

/* With a tracker */

struct told {
	struct kvm_page_track_notifier_node node;
	bool refuse;
	int nr;
	gfn_t gfns[COUNT];
	int as_ids[COUNT], actions[COUNT];
};

static bool track_by_kvm(struct kvm *kvm, gfn_t gfn, int as_id, u32 vcpu_id, int action,
			 struct kvm_page_track_notifier_node *node)
{
	struct told *told = container_of(node, struct told, node);

	if (READ_ONCE(told->refuse) || told->nr == COUNT)
		return false;

	told->gfns[told->nr] = gfn;
	told->as_ids[told->nr] = as_id;
	told->actions[told->nr++] = action;
	return true;
}

/* Until it is asked for all, it refuses, so that the VM's work item tells nothing. */
static struct told *track(struct kunit *test)
{
	struct told *told = kunit_kzalloc(test, sizeof(*told), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, told);
	told->node.track_by_kvm = track_by_kvm;
	told->refuse = true;
	ptk_create_slot_at(test, PTK_SLOT, FIRST, COUNT);
	KUNIT_ASSERT_EQ(test, ptk_register(test, &told->node), 0);
	KUNIT_EXPECT_EQ(test, kvm_page_track_add_range(ptk_kvm(test), &told->node, FIRST + 1,
						       COUNT - 2, KVM_PAGE_TRACK_WRITE, 5), 0);
	return told;
}

static void write_by_kvm(struct kunit *test, u32 slot, gfn_t gfn)
{
	struct kvm_memory_slot *s = ptk_get_slot(test, slot);
	struct kvm *kvm = ptk_kvm(test);
	int idx;

	idx = srcu_read_lock(&kvm->srcu);
	kvm_arch_guest_page_written(kvm, s, gfn);
	srcu_read_unlock(&kvm->srcu, idx);
}

static void expect_asked(struct kunit *test, struct told *told, int nr)
{
	KUNIT_EXPECT_FALSE(test, kvm_page_track_tell_by_kvm(ptk_kvm(test), &told->node));
	KUNIT_EXPECT_EQ(test, told->nr, 0);
	WRITE_ONCE(told->refuse, false);
	KUNIT_EXPECT_TRUE(test, kvm_page_track_tell_by_kvm(ptk_kvm(test), &told->node));
	KUNIT_EXPECT_EQ(test, told->nr, nr);
}

static void expect_write(struct kunit *test, const struct told *told, int i, int as_id,
			 gfn_t gfn, int action)
{
	KUNIT_EXPECT_EQ(test, told->gfns[i], gfn);
	KUNIT_EXPECT_EQ(test, told->as_ids[i], as_id);
	KUNIT_EXPECT_EQ(test, told->actions[i], action);
}

static void writes_to_tracked_gfns_are_told(struct kunit *test)
{
	struct told *told = track(test);

	write_by_kvm(test, PTK_SLOT, FIRST);
	write_by_kvm(test, PTK_SLOT, EDGE);
	write_by_kvm(test, PTK_SLOT, FIRST + 1);
	write_by_kvm(test, PTK_SLOT, FIRST + COUNT - 1);
	write_by_kvm(test, PTK_SLOT, EDGE);
	expect_asked(test, told, 2);
	expect_write(test, told, 0, 0, EDGE, 5);
	expect_write(test, told, 1, 0, FIRST + 1, 5);
	ptk_unregister(test, &told->node);
}

static void removed_range_keeps_what_was_written(struct kunit *test)
{
	struct told *told = track(test);

	write_by_kvm(test, PTK_SLOT, EDGE);
	KUNIT_EXPECT_EQ(test, ptk_remove_range(test, &told->node, EDGE, 2), 0);
	write_by_kvm(test, PTK_SLOT, EDGE + 1);
	write_by_kvm(test, PTK_SLOT, EDGE + 2);

	/* The slot may go, too. */
	KUNIT_EXPECT_EQ(test, ptk_set_slot(test, PTK_SLOT, 0, 0, 0), 0);
	expect_asked(test, told, 2);
	expect_write(test, told, 0, 0, EDGE, -ENOENT);
	expect_write(test, told, 1, 0, EDGE + 2, 5);
	ptk_unregister(test, &told->node);
}

static void writes_in_smm_are_told_apart(struct kunit *test)
{
	struct told *told;

	ptk_require_smm(test);
	told = track(test);

	/* After the range. */
	ptk_create_slot_at(test, PTK_SMM_SLOT, EDGE, 2);
	write_by_kvm(test, PTK_SMM_SLOT, EDGE + 1);
	write_by_kvm(test, PTK_SLOT, EDGE + 1);
	expect_asked(test, told, 2);
	expect_write(test, told, 0, 1, EDGE + 1, 5);
	expect_write(test, told, 1, 0, EDGE + 1, 5);
	ptk_unregister(test, &told->node);
}

static struct kunit_case written_cases[] = {
	KUNIT_CASE(gfns_are_told_once_in_order),
	KUNIT_CASE(gfn_that_is_written_while_it_is_told_is_told_again),
	KUNIT_CASE(full_queue_loses_no_gfn),
	KUNIT_CASE(gfns_that_are_written_meanwhile_are_for_the_next_time),
	KUNIT_CASE(queue_that_fills_again_loses_no_gfn),
	KUNIT_CASE(gfn_that_is_put_back_is_next),
	KUNIT_CASE(only_what_is_prepared_is_marked),
	KUNIT_CASE(set_fails_without_memory),
	KUNIT_CASE(writes_to_tracked_gfns_are_told),
	KUNIT_CASE(removed_range_keeps_what_was_written),
	KUNIT_CASE(writes_in_smm_are_told_apart),
	{}
};

static struct kunit_suite written_suite = {
	.name = "kvm_page_track_written",
	.init = ptk_init,
	.exit = ptk_exit,
	.suite_exit = ptk_forget_skips,
	.test_cases = written_cases,
};

kunit_test_suite(written_suite);
