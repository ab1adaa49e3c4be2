// SPDX-License-Identifier: GPL-2.0-only
/*
 * The pages that a tracker has given up are collected, each once, and tracked again if
 * that is wanted.  One vCPU writes, and stands still meanwhile.
 */
#include <errno.h>
#include <string.h>

#include "cases.h"
#include "smm.h"
#include "stats.h"
#include "tracker.h"

#define VA		0x40000000ul
#define GPA		tg_data(0)
#define NR_PAGES	200
#define NR_WORDS	4
#define REARM		KVM_PAGE_TRACK_COLLECT_REARM
#define CANARY		0x5555555555555555ul

static struct tracker t;
/* Of NR_PAGES pages, and a word behind them. */
static uint64_t bitmap[NR_WORDS + 1];

static void init(struct tiny_guest *g)
{
	int i;

	for (i = 0; i < NR_PAGES; i++)
		tg_map(g, VA + i * PAGE_SIZE, GPA + i * PAGE_SIZE);
	tracker_create(g->vm, &t, 1024, 0, 0);
	tracker_add(&t, GPA, NR_PAGES * PAGE_SIZE, TRACKER_ONCE);
}

static void touch(struct tiny_guest *g, int page)
{
	tg_store(g, VA + page * PAGE_SIZE + 16, page, 4);
}

/* The next event is that of @page being given up. */
static void assert_given_up(struct tiny_guest *g, int page)
{
	uint64_t pos = page * PAGE_SIZE + 16;
	struct kvm_page_track_event want = tracker_untracked_event(g, VA + pos, GPA + pos);

	TRACKER_ASSERT_EVENT(&t, &want);
}

/* Write to @page, which is tracked, or not any more. */
static void give_up(struct tiny_guest *g, int page)
{
	touch(g, page);
	assert_given_up(g, page);
}

static void write_unseen(struct tiny_guest *g, int page)
{
	touch(g, page);
	TRACKER_ASSERT_EMPTY(&t);
}

/* The bitmap of @nr pages from @first on has these pages and no other bit. */
static void assert_collected(int first, int nr, uint32_t flags, int nr_want, const int *want)
{
	uint64_t all[NR_WORDS + 1] = {};
	int i, words = (nr + 63) / 64;

	all[words] = CANARY;
	for (i = 0; i < nr_want; i++)
		all[(want[i] - first) / 64] |= BIT_ULL((want[i] - first) % 64);

	memset(bitmap, 0x55, sizeof(bitmap));
	TEST_ASSERT_EQ(tracker_collect(&t, GPA + first * PAGE_SIZE, nr * PAGE_SIZE, flags,
				       bitmap), 0);
	for (i = 0; i <= words; i++)
		TEST_ASSERT(bitmap[i] == all[i], "Word %d of %d: wanted 0x%lx, got 0x%lx", i,
			    words, all[i], bitmap[i]);
}

#define COLLECT(first, nr, flags, ...) do {					\
	const int want[] = { __VA_ARGS__ };					\
										\
	assert_collected(first, nr, flags, ARRAY_SIZE(want), want);		\
} while (0)

#define COLLECT_ALL(flags, ...) COLLECT(0, NR_PAGES, flags, __VA_ARGS__)

static void assert_all_tracked(uint32_t action)
{
	struct kvm_page_track_range range;

	TEST_ASSERT_EQ(tracker_next(&t, 0, &range), 0);
	TEST_ASSERT_EQ(range.gpa, GPA);
	TEST_ASSERT_EQ(range.size, NR_PAGES * PAGE_SIZE);
	TEST_ASSERT_EQ(range.action, action);
}

static void test_rearm(struct tiny_guest *g)
{
	uint64_t pages;
	int round;

	init(g);
	give_up(g, 0);
	COLLECT_ALL(REARM, 0);
	pages = tg_stat(g, "page_track_pages");

	for (round = 0; round < 3; round++) {
		COLLECT_ALL(REARM);
		assert_all_tracked(TRACKER_ONCE);
		TG_ASSERT_STAT(g, "page_track_pages", pages);
		give_up(g, 0);
		give_up(g, 63);
		give_up(g, 64);
		give_up(g, 199);
		write_unseen(g, 63);
		TG_ASSERT_STAT(g, "page_track_pages", pages - 4);
		COLLECT_ALL(REARM, 0, 63, 64, 199);
	}
	tracker_close(&t);
}

/* Without REARM, what was told is not told again, and stays untracked. */
static void test_once_told(struct tiny_guest *g)
{
	init(g);
	give_up(g, 5);
	COLLECT_ALL(0, 5);
	COLLECT_ALL(0);
	give_up(g, 6);
	write_unseen(g, 5);
	COLLECT_ALL(0, 6);

	/* It may have been written since: REARM tells all that it tracks again. */
	give_up(g, 7);
	COLLECT_ALL(REARM, 5, 6, 7);
	assert_all_tracked(TRACKER_ONCE);
	COLLECT_ALL(0);
	give_up(g, 5);
	COLLECT_ALL(0, 5);
	COLLECT_ALL(REARM, 5);

	/* As does who adds it again. */
	give_up(g, 5);
	COLLECT_ALL(0, 5);
	tracker_add(&t, GPA + 5 * PAGE_SIZE, PAGE_SIZE, TRACKER_ONCE);
	COLLECT_ALL(0);
	give_up(g, 5);
	COLLECT_ALL(0, 5);
	tracker_close(&t);
}

/* Bits are those of the range, wherever it starts and ends. */
static void test_parts(struct tiny_guest *g)
{
	init(g);
	give_up(g, 9);
	give_up(g, 10);
	give_up(g, 75);
	give_up(g, 76);
	COLLECT(10, 66, 0, 10, 75);
	COLLECT(10, 66, 0);
	COLLECT(10, 1, REARM, 10);
	COLLECT(10, 1, REARM);
	give_up(g, 10);
	COLLECT(0, 10, REARM, 9);
	COLLECT(0, 128, 0, 10, 76);
	COLLECT(76, 124, REARM, 76);
	COLLECT_ALL(REARM, 10, 75);
	assert_all_tracked(TRACKER_ONCE);
	tracker_close(&t);
}

/* What has no range is never collected, nor what was removed while untracked. */
static void test_removed(struct tiny_guest *g)
{
	struct kvm_page_track_range range;

	init(g);
	give_up(g, 3);
	give_up(g, 4);
	give_up(g, 8);
	tracker_remove(&t, GPA + 4 * PAGE_SIZE, PAGE_SIZE);
	TEST_ASSERT_EQ(tracker_ioctl(&t, KVM_PAGE_TRACK_REMOVE_RANGE, GPA + 4 * PAGE_SIZE,
				     PAGE_SIZE, 0), ENOENT);
	tracker_remove(&t, GPA + 8 * PAGE_SIZE, (NR_PAGES - 8) * PAGE_SIZE);
	write_unseen(g, 9);
	COLLECT_ALL(REARM, 3);
	write_unseen(g, 4);
	write_unseen(g, 8);
	give_up(g, 3);

	/* Back again, it has no past. */
	tracker_add(&t, GPA, NR_PAGES * PAGE_SIZE, TRACKER_ONCE);
	COLLECT_ALL(REARM);
	give_up(g, 4);
	tracker_remove(&t, GPA, NR_PAGES * PAGE_SIZE);
	COLLECT_ALL(REARM);
	TEST_ASSERT_EQ(tracker_next(&t, 0, &range), ENOENT);
	write_unseen(g, 4);
	tracker_close(&t);
}

/* Whatever the action, a page may be given up for an instruction that KVM cannot do. */
static void test_unemulated(struct tiny_guest *g)
{
	struct kvm_regs regs = { .rdi = VA + 7 * PAGE_SIZE };
	struct kvm_page_track_event want;
	uint32_t val = 7;
	int i;

	init(g);
	tracker_add(&t, GPA, NR_PAGES * PAGE_SIZE, TRACKER_NOTIFY);
	for (i = 0; i < 2; i++) {
		TEST_ASSERT(tg_run(g, TG_FXSAVE, &regs), "The store faulted");
		want = tracker_untracked_event(g, regs.rdi, GPA + 7 * PAGE_SIZE);
		want.flags |= KVM_PAGE_TRACK_EVENT_UNEMULATED;
		TRACKER_ASSERT_EVENT(&t, &want);
		write_unseen(g, 7);
		COLLECT_ALL(0, 7);
		write_unseen(g, 7);
		COLLECT_ALL(REARM, 7);
		assert_all_tracked(TRACKER_NOTIFY);
		touch(g, 7);
		want = tracker_write_event(g, VA + 7 * PAGE_SIZE + 16,
					   GPA + 7 * PAGE_SIZE + 16, &val, 4);
		TRACKER_ASSERT_EVENT(&t, &want);
		COLLECT_ALL(REARM);
	}
	tracker_close(&t);
}

/* Each has its own; what one tracks again, the other has given up still. */
static void test_two_trackers(struct tiny_guest *g)
{
	struct tracker first;

	init(g);
	first = t;
	init(g);
	touch(g, 20);
	assert_given_up(g, 20);
	COLLECT_ALL(REARM, 20);
	touch(g, 20);
	assert_given_up(g, 20);
	write_unseen(g, 20);
	TEST_ASSERT_EQ(tracker_count(&first), 1);
	tracker_close(&t);

	t = first;
	assert_given_up(g, 20);
	COLLECT_ALL(REARM, 20);
	give_up(g, 20);
	tracker_close(&t);
}

/* A slot that goes takes no page with it, and one that comes is tracked as it is. */
static void test_slots(struct tiny_guest *g)
{
	uint64_t pages;

	init(g);
	give_up(g, 0);
	give_up(g, 30);
	vm_mem_region_move(g->vm, TG_DATA_SLOT, 1ul << 32);
	COLLECT_ALL(0, 0, 30);
	vm_mem_region_move(g->vm, TG_DATA_SLOT, TG_DATA_GPA);
	write_unseen(g, 30);
	pages = tg_stat(g, "page_track_pages");
	COLLECT_ALL(REARM, 0, 30);
	TG_ASSERT_STAT(g, "page_track_pages", pages + 2);
	give_up(g, 30);

	/* Tracked again while there is no slot. */
	vm_mem_region_move(g->vm, TG_DATA_SLOT, 1ul << 32);
	COLLECT_ALL(REARM, 30);
	COLLECT_ALL(REARM);
	vm_mem_region_move(g->vm, TG_DATA_SLOT, TG_DATA_GPA);
	give_up(g, 30);
	TG_ASSERT_STAT(g, "page_track_pages", pages + 1);
	COLLECT_ALL(REARM, 30);
	TG_ASSERT_STAT(g, "page_track_pages", pages + 2);
	tracker_close(&t);
}

/* A page is tracked again in both address spaces, whichever it was written in. */
static void test_smm(struct tiny_guest *g)
{
	struct kvm_page_track_event event;
	int i;

	if (!kvm_has_cap(KVM_CAP_X86_SMM)) {
		g->skip = "KVM has no SMM";
		return;
	}

	tg_add_smm_slots(g);
	init(g);
	for (i = 0; i < 4; i++) {
		/* Mapped writable in both, then written in the one or the other. */
		touch(g, 40);
		TEST_ASSERT(tracker_pop(&t, &event), "No event in round %d", i);
		TEST_ASSERT_EQ(!!(event.flags & KVM_PAGE_TRACK_EVENT_SMM), i % 2);
		tg_set_smm(g, !(i % 2));
		write_unseen(g, 40);
		COLLECT_ALL(REARM, 40);
		COLLECT_ALL(REARM);
	}
	tg_set_smm(g, false);
	tracker_close(&t);
}

int main(void)
{
	static const struct tg_case cases[] = {
		{ "pages are collected and tracked again", test_rearm, TG_ALL_MODES, true },
		{ "without rearming, a page is told once", test_once_told, TG_4LEVEL_BIT },
		{ "ranges that are no whole words", test_parts, TG_4LEVEL_BIT },
		{ "pages that were removed are not collected", test_removed, TG_4LEVEL_BIT },
		{ "pages that KVM could not write to", test_unemulated, TG_4LEVEL_BIT },
		{ "two trackers", test_two_trackers, TG_4LEVEL_BIT },
		{ "slots that move", test_slots, TG_4LEVEL_BIT, true },
		{ "both address spaces", test_smm, TG_4LEVEL_BIT },
	};

	tracker_require();
	tg_run_cases(cases, ARRAY_SIZE(cases));
}
