// SPDX-License-Identifier: GPL-2.0-only
/*
 * Collecting with REARM is a dirty log: after random writes, it has the pages that KVM's
 * own log has, which is read and cleared at the same time; and neither disturbs the
 * other.  Huge pages, where there are some, come back when nothing is tracked any more.
 */
#include <errno.h>
#include <string.h>

#include "cases.h"
#include "stats.h"
#include "tracker.h"

#define VA		0x40000000ul
#define NR_PAGES	TG_DATA_PAGES
#define NR_WORDS	(NR_PAGES / 64)
#define SIZE		(NR_PAGES * PAGE_SIZE)
#define REARM		KVM_PAGE_TRACK_COLLECT_REARM
#define HUGE_GPA	0x10000000ul
#define HUGE_SLOT	TG_NR_SLOTS
#define NR_HUGE		2

static int nr_rounds;
static uint32_t seed;

static void write_randomly(struct tiny_guest *g, int nr)
{
	static const enum tg_op ops[] = {
		TG_STORE4, TG_LOCK_OR4, TG_XCHG8, TG_STORE16_SSE, TG_REP_STOS4, TG_FXSAVE,
	};
	enum tg_op op;

	while (nr--) {
		op = ops[tg_pick(ARRAY_SIZE(ops))];
		struct kvm_regs regs = {
			.rdi = VA + tg_pick(SIZE - 512) / 16 * 16,
			.rax = tg_random_u64(),
			.rcx = tg_pick(100),
		};

		TEST_ASSERT(tg_run(g, op, &regs), "Operation %d at 0x%llx faulted", op,
			    regs.rdi);
	}
}

static void get_log(struct kvm_vm *vm, uint64_t *log)
{
	kvm_vm_get_dirty_log(vm, TG_DATA_SLOT, log);
	kvm_vm_clear_dirty_log(vm, TG_DATA_SLOT, log, 0, NR_PAGES);
}

static void compare(const uint64_t *log, const uint64_t *bitmap, int round)
{
	int i;

	for (i = 0; i < NR_WORDS; i++)
		TEST_ASSERT(log[i] == bitmap[i],
			    "Round %d, page %d and on: the dirty log has 0x%lx, collected 0x%lx",
			    round, 64 * i, log[i], bitmap[i]);
}

static void test_log(struct tiny_guest *g)
{
	uint64_t log[NR_WORDS], bitmap[NR_WORDS], pages = 0;
	struct tracker t;
	int i, j, nr;

	tg_seed(seed);
	for (i = 0; i < NR_PAGES; i++)
		tg_map(g, VA + i * PAGE_SIZE, tg_data(i));
	vm_enable_cap(g->vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
		      KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE);
	vm_mem_region_set_flags(g->vm, TG_DATA_SLOT, KVM_MEM_LOG_DIRTY_PAGES);
	tracker_create(g->vm, &t, 32, KVM_PAGE_TRACKER_LOSSY, 0);
	tracker_add(&t, TG_DATA_GPA, SIZE, TRACKER_ONCE);
	get_log(g->vm, log);

	for (i = 0; i < nr_rounds; i++) {
		nr = tg_pick(4) ? tg_pick(20) : tg_pick(300);
		write_randomly(g, nr);
		/* The one or the other comes first. */
		if (i % 2)
			get_log(g->vm, log);
		TEST_ASSERT_EQ(tracker_collect(&t, TG_DATA_GPA, SIZE, REARM, bitmap), 0);
		if (!(i % 2))
			get_log(g->vm, log);
		compare(log, bitmap, i);
		for (j = 0; j < NR_WORDS; j++)
			pages += __builtin_popcountl(log[j]);
	}
	TEST_ASSERT(pages > nr_rounds, "%lu pages only", pages);
	pr_info("%lu pages in %d rounds\n", pages, nr_rounds);

	/* Without the log, collecting goes on. */
	vm_mem_region_set_flags(g->vm, TG_DATA_SLOT, 0);
	tg_store(g, VA + 70 * PAGE_SIZE, 1, 4);
	TEST_ASSERT_EQ(tracker_collect(&t, TG_DATA_GPA, SIZE, REARM, bitmap), 0);
	TEST_ASSERT_EQ(bitmap[1], BIT_ULL(6));
	tracker_close(&t);
}

/* All of a huge page that is written is huge, until one page of it is tracked again. */
static void test_huge(struct tiny_guest *g)
{
	uint64_t bitmap[NR_HUGE * TG_HUGE_SIZE / PAGE_SIZE / 64];
	uint64_t huge = tg_add_huge(g, VA, HUGE_GPA, HUGE_SLOT, NR_HUGE);
	struct tracker t;
	int i;

	if (!huge)
		return;

	tracker_create(g->vm, &t, 32, KVM_PAGE_TRACKER_LOSSY, 0);
	tracker_add(&t, HUGE_GPA, 4 * PAGE_SIZE, TRACKER_ONCE);
	for (i = 0; i < 2; i++) {
		tg_store(g, VA + 8 * PAGE_SIZE, 1, 4);
		TG_ASSERT_STAT(g, "pages_2m", huge - 1);
		tg_store(g, VA, 1, 4);
		tg_store(g, VA + PAGE_SIZE, 1, 4);
		tg_store(g, VA + 2 * PAGE_SIZE, 1, 4);
		TG_ASSERT_STAT(g, "pages_2m", huge - 1);
		tg_store(g, VA + 3 * PAGE_SIZE, 1, 4);
		tg_store(g, VA + 8 * PAGE_SIZE, 1, 4);
		TG_ASSERT_STAT(g, "pages_2m", huge);
		TEST_ASSERT_EQ(tracker_collect(&t, HUGE_GPA, sizeof(bitmap) * 8 * PAGE_SIZE,
					       REARM, bitmap), 0);
		TEST_ASSERT_EQ(bitmap[0], 15);
	}

	/* However they go. */
	tg_store(g, VA, 1, 4);
	TEST_ASSERT_EQ(tracker_collect(&t, HUGE_GPA, PAGE_SIZE, REARM, bitmap), 0);
	TG_ASSERT_STAT(g, "pages_2m", huge - 1);
	tracker_remove(&t, HUGE_GPA, 4 * PAGE_SIZE);
	tg_store(g, VA + PAGE_SIZE, 1, 4);
	TG_ASSERT_STAT(g, "pages_2m", huge);
	TEST_ASSERT_EQ(tracker_collect(&t, HUGE_GPA, PAGE_SIZE, REARM, bitmap), 0);
	TEST_ASSERT_EQ(bitmap[0], 0);
	TG_ASSERT_STAT(g, "pages_2m", huge);
	tracker_close(&t);
}

int main(int argc, char *argv[])
{
	static const struct tg_case cases[] = {
		{ "the pages are those of the dirty log", test_log, TG_4LEVEL_BIT },
		{ "huge pages come back", test_huge, TG_4LEVEL_BIT, true },
	};

	tracker_require();
	nr_rounds = tg_get_random_rounds(argc, argv, 60, &seed);
	tg_run_cases(cases, ARRAY_SIZE(cases));
}
