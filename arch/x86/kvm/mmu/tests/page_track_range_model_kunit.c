// SPDX-License-Identifier: GPL-2.0-only
/* A KUnit test of page tracking, layer 2: random ranges and slots against sets. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bitmap.h>

#include "page_track_kunit.h"
#include "mmu/page_track_untracked.h"

#define STEPS		1000
#define NR_TRACKERS	3
#define NR_SLOTS	3

/* All that happens is in these gfns, around the edge of a bitmap of untracked ones. */
#define BASE		((gfn_t)2 * PAGE_TRACK_MAP_GFNS - EDGE)
#define NR_GFNS		96
#define EDGE		40

struct set {
	struct kvm_page_track_notifier_node *tracker;
	bool registered;
	DECLARE_BITMAP(gfns, NR_GFNS);
	DECLARE_BITMAP(ranges, NR_GFNS);	/* with untracked ones */

	/* Of each bitmap: has it a range beyond these gfns, is all of it in one? */
	bool beyond[2], whole[2];
};

struct world {
	struct rnd_state rnd;
	struct set sets[NR_TRACKERS];
	int nr_slots;
};

static const u32 slot_ids[NR_SLOTS] = { PTK_SLOT, PTK_SLOT2, PTK_SMM_SLOT };

static unsigned int any_below(struct world *w, unsigned int n)
{
	return prandom_u32_state(&w->rnd) % n;
}

/* Choose at least one of the gfns. */
static void any_range(struct world *w, gfn_t *gfn, gfn_t *nr)
{
	unsigned int i = any_below(w, NR_GFNS);

	*gfn = BASE + i;
	*nr = 1 + any_below(w, min(NR_GFNS - i, 40));
}

static void untrack_page(struct kunit *test, struct set *set, gfn_t gfn)
{
	bool tracked = __test_and_clear_bit(gfn - BASE, set->gfns);

	KUNIT_ASSERT_EQ(test, ptk_untrack_page(test, set->tracker, gfn, 0), tracked);
}

/* Is there a range from bit @first on, before @end? */
static bool any_in_range(struct set *set, unsigned int first, unsigned int end)
{
	return find_next_bit(set->ranges, end, first) < end;
}

static bool has_slot(struct kunit *test, struct world *w, gfn_t gfn)
{
	struct kvm_memory_slot *slot;
	int i;

	for (i = 0; i < w->nr_slots; i++) {
		slot = ptk_get_slot(test, slot_ids[i]);
		if (slot && gfn >= slot->base_gfn && gfn - slot->base_gfn < slot->npages)
			return true;
	}
	return false;
}

static void add_page(struct kunit *test, struct world *w, struct set *set, unsigned int i)
{
	int map = i >= EDGE;
	unsigned int first = map ? EDGE : 0, end = map ? NR_GFNS : EDGE;
	bool slot = has_slot(test, w, BASE + i);

	KUNIT_ASSERT_EQ(test, kvm_page_track_add_page(ptk_kvm(test), set->tracker, BASE + i,
						      KVM_PAGE_TRACK_WRITE, 0),
			slot ? 0 : -ENOENT);
	if (!slot)
		return;

	if (!set->beyond[map] && !any_in_range(set, first, end)) {
		set->beyond[map] = true;
		bitmap_set(set->ranges, first, end - first);
	}
	if (set->beyond[map] && find_next_zero_bit(set->ranges, end, first) == end)
		set->whole[map] = true;
	__set_bit(i, set->gfns);
	__set_bit(i, set->ranges);
}

static void remove_page(struct kunit *test, struct set *set, unsigned int i)
{
	bool tracked = __test_and_clear_bit(i, set->gfns);

	KUNIT_ASSERT_EQ(test, kvm_page_track_remove_page(ptk_kvm(test), set->tracker, BASE + i,
							 KVM_PAGE_TRACK_WRITE),
			tracked ? 0 : -ENOENT);
	if (tracked && !set->whole[i >= EDGE])
		__clear_bit(i, set->ranges);
}

/* Ranges of [@gfn, @gfn + @nr) change. */
static void change_maps(struct set *set, gfn_t gfn, gfn_t nr)
{
	if (gfn < BASE + EDGE)
		set->whole[0] = false;
	if (gfn + nr > BASE + EDGE)
		set->whole[1] = false;
}

static void change_page(struct kunit *test, struct world *w, struct set *set, gfn_t gfn)
{
	if (any_below(w, 3))
		untrack_page(test, set, gfn);
	else if (any_below(w, 2))
		add_page(test, w, set, gfn - BASE);
	else
		remove_page(test, set, gfn - BASE);
}

static void change_range(struct kunit *test, struct world *w, struct set *set)
{
	gfn_t gfn, nr;
	int r, want;

	any_range(w, &gfn, &nr);

	if (any_below(w, 8)) {
		change_page(test, w, set, gfn);
		return;
	}

	change_maps(set, gfn, nr);
	if (any_below(w, 2)) {
		r = ptk_add_range(test, set->tracker, gfn, nr);
		bitmap_set(set->gfns, gfn - BASE, nr);
		bitmap_set(set->ranges, gfn - BASE, nr);
		want = 0;
	} else {
		r = ptk_remove_range(test, set->tracker, gfn, nr);
		want = any_in_range(set, gfn - BASE, gfn - BASE + nr) ? 0 : -ENOENT;
		bitmap_clear(set->gfns, gfn - BASE, nr);
		bitmap_clear(set->ranges, gfn - BASE, nr);
	}
	KUNIT_ASSERT_EQ(test, r, want);
}

static void change_tracker(struct kunit *test, struct world *w)
{
	struct set *set = &w->sets[any_below(w, NR_TRACKERS)];

	if (set->registered && any_below(w, 20)) {
		change_range(test, w, set);
		return;
	}

	if (set->registered)
		ptk_unregister(test, set->tracker);
	else
		KUNIT_ASSERT_EQ(test, ptk_register(test, set->tracker), 0);
	set->registered = !set->registered;
	bitmap_zero(set->gfns, NR_GFNS);
	bitmap_zero(set->ranges, NR_GFNS);
	memset(set->beyond, 0, sizeof(set->beyond));
	memset(set->whole, 0, sizeof(set->whole));
}

static void change_slot(struct kunit *test, struct world *w)
{
	u32 id = slot_ids[any_below(w, w->nr_slots)];
	struct kvm_memory_slot *slot = ptk_get_slot(test, id);
	gfn_t gfn, nr;

	any_range(w, &gfn, &nr);

	/* A slot that overlaps another one is refused, and nothing happens. */
	if (!slot) {
		ptk_set_slot(test, id, gfn, nr, 0);
	} else if (any_below(w, 3)) {
		gfn = BASE + any_below(w, NR_GFNS - slot->npages + 1);
		ptk_set_slot(test, id, gfn, slot->npages, slot->flags);
	} else {
		ptk_set_slot(test, id, 0, 0, 0);
	}
}

static int counter(struct kvm_memory_slot *slot, gfn_t gfn)
{
	unsigned short **directory = slot->arch.gfn_track[KVM_PAGE_TRACK_WRITE];
	gfn_t i = gfn - slot->base_gfn;

	if (!directory || !directory[i / PTK_BLOCK])
		return 0;
	return directory[i / PTK_BLOCK][i % PTK_BLOCK];
}

static int wanted(struct world *w, gfn_t gfn)
{
	int i, n = 0;

	for (i = 0; i < NR_TRACKERS; i++)
		n += test_bit(gfn - BASE, w->sets[i].gfns);
	return n;
}

static void compare(struct kunit *test, struct world *w, int step)
{
	struct kvm_memory_slot *slot;
	s64 pages = 0;
	gfn_t gfn;
	int i;

	for (i = 0; i < w->nr_slots; i++) {
		slot = ptk_get_slot(test, slot_ids[i]);
		for (gfn = 0; slot && gfn < slot->npages; gfn++) {
			KUNIT_ASSERT_EQ_MSG(test, counter(slot, slot->base_gfn + gfn),
					    wanted(w, slot->base_gfn + gfn),
					    "slot %d, step %d", i, step);
			pages += !!wanted(w, slot->base_gfn + gfn);
		}
	}
	KUNIT_ASSERT_EQ(test, ptk_pages(test), pages);
}

static void compare_ranges(struct kunit *test, struct set *set)
{
	DECLARE_BITMAP(gfns, NR_GFNS) = {};
	gfn_t nr, gfn = BASE;

	while (!ptk_next_range(test, set->tracker, &gfn, &nr)) {
		KUNIT_ASSERT_LE(test, gfn + nr, BASE + NR_GFNS);
		bitmap_set(gfns, gfn - BASE, nr);
		gfn += nr;
	}
	KUNIT_EXPECT_TRUE(test, bitmap_equal(gfns, set->gfns, NR_GFNS));
}

static void random_ranges_agree_with_sets(struct kunit *test)
{
	struct world *w = kunit_kzalloc(test, sizeof(*w), GFP_KERNEL);
	int i;

	KUNIT_ASSERT_NOT_NULL(test, w);
	ptk_seed(test, &w->rnd);
	w->nr_slots = kvm_arch_nr_memslot_as_ids(ptk_kvm(test)) > 1 ? NR_SLOTS : NR_SLOTS - 1;

	for (i = 0; i < NR_TRACKERS; i++) {
		w->sets[i].tracker = ptk_create_tracker(test);
		w->sets[i].registered = true;
	}

	for (i = 0; i < STEPS; i++) {
		if (any_below(w, 4))
			change_tracker(test, w);
		else
			change_slot(test, w);
		compare(test, w, i);
	}

	for (i = 0; i < NR_TRACKERS; i++) {
		if (!w->sets[i].registered)
			continue;
		compare_ranges(test, &w->sets[i]);
		ptk_unregister(test, w->sets[i].tracker);
	}
}

static struct kunit_case range_model_cases[] = {
	KUNIT_CASE(random_ranges_agree_with_sets),
	{}
};

static struct kunit_suite range_model_suite = {
	.name = "kvm_page_track_range_model",
	.init = ptk_init,
	.exit = ptk_exit,
	.suite_exit = ptk_forget_skips,
	.test_cases = range_model_cases,
};

kunit_test_suite(range_model_suite);
