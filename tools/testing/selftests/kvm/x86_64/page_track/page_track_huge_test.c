// SPDX-License-Identifier: GPL-2.0-only
/*
 * A tracked page keeps the huge page around it from being written as one, and no
 * other.  When the last tracked page of it is given up, however that happens, the huge
 * page comes back, wherever in it the guest goes next.
 */
#include <errno.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cases.h"
#include "stats.h"
#include "tracker.h"

#define VA		0x40000000ul
#define SLOT		TG_NR_SLOTS
#define GPA		0x10000000ul
#define ELSEWHERE	(GPA + 4 * TG_HUGE_SIZE)
#define NR_HUGE		2
/* In the first huge page: tracked pages, and one beside them. */
#define TRACKED		(5 * PAGE_SIZE)
#define NR_TRACKED	8
#define BESIDE		(16 * PAGE_SIZE)

static void touch(struct tiny_guest *g, uint64_t offset)
{
	tg_store(g, VA + offset, 0x77, 4);
}

/* Of the case: its tracker, and how many huge pages there are without one. */
static struct tracker t;
static uint64_t huge;

static void init(struct tiny_guest *g)
{
	huge = tg_add_huge(g, VA, GPA, SLOT, NR_HUGE);
	if (huge)
		tracker_create(g->vm, &t, 1024, 0, 0);
}

/* Track pages of the first huge page, which then is none for writes. */
static void track(struct tiny_guest *g, struct tracker *by, int nr, uint32_t action)
{
	tracker_add(by, GPA + TRACKED, nr * PAGE_SIZE, action);
	touch(g, BESIDE);
	touch(g, TG_HUGE_SIZE + TRACKED);
	TG_ASSERT_STAT(g, "pages_2m", huge - 1);
	TEST_ASSERT(tg_stat(g, "page_track_pages") >= nr, "All %d are counted", nr);
}

/* Nothing of it is tracked any more. */
static void assert_huge_again(struct tiny_guest *g)
{
	uint64_t emulated = tg_vcpu_stat(g, "pf_emulate");

	touch(g, BESIDE);
	TG_ASSERT_STAT(g, "pages_2m", huge);
	touch(g, TRACKED);
	TG_ASSERT_STAT(g, "pages_2m", huge);
	TEST_ASSERT_EQ(tg_vcpu_stat(g, "pf_emulate"), emulated);
}

static void test_remove(struct tiny_guest *g)
{
	track(g, &t, 1, TRACKER_NOTIFY);
	touch(g, TRACKED);
	TG_ASSERT_STAT(g, "pages_2m", huge - 1);
	tracker_remove(&t, GPA + TRACKED, PAGE_SIZE);
	assert_huge_again(g);
	tracker_close(&t);
}

/* By a process that does not have the memory. */
static void test_remove_by_other(struct tiny_guest *g)
{
	int status;
	pid_t pid;

	/* What fork() shares it would have KVM unmap. */
	TEST_ASSERT(!madvise(addr_gpa2hva(g->vm, GPA), NR_HUGE * TG_HUGE_SIZE, MADV_DONTFORK),
		    "errno %d", errno);
	track(g, &t, 1, TRACKER_NOTIFY);
	pid = fork();
	TEST_ASSERT(pid >= 0, "errno %d", errno);
	if (!pid) {
		tracker_remove(&t, GPA + TRACKED, PAGE_SIZE);
		_exit(0);
	}
	TEST_ASSERT(waitpid(pid, &status, 0) == pid && !status, "The other process: 0x%x",
		    status);
	assert_huge_again(g);
	tracker_close(&t);
}

/* The last page to be removed counts, not the range. */
static void test_remove_in_parts(struct tiny_guest *g)
{
	track(g, &t, NR_TRACKED, TRACKER_NOTIFY);
	tracker_remove(&t, GPA + TRACKED, PAGE_SIZE);
	tracker_remove(&t, GPA + TRACKED + 2 * PAGE_SIZE, (NR_TRACKED - 2) * PAGE_SIZE);
	touch(g, BESIDE);
	touch(g, TRACKED);
	TG_ASSERT_STAT(g, "pages_2m", huge - 1);
	tracker_remove(&t, GPA + TRACKED, NR_TRACKED * PAGE_SIZE);
	assert_huge_again(g);
	tracker_close(&t);
}

static void test_close(struct tiny_guest *g)
{
	track(g, &t, 1, TRACKER_NOTIFY);
	tracker_close(&t);
	assert_huge_again(g);
}

/* Mapped, but not written since: there is nothing in pieces. */
static void test_close_unused(struct tiny_guest *g)
{
	tracker_add(&t, GPA + TRACKED, PAGE_SIZE, TRACKER_NOTIFY);
	tracker_close(&t);
	assert_huge_again(g);
}

static void test_once(struct tiny_guest *g)
{
	int i;

	track(g, &t, NR_TRACKED, TRACKER_ONCE);
	for (i = 0; i < NR_TRACKED; i++) {
		touch(g, BESIDE);
		TG_ASSERT_STAT(g, "pages_2m", huge - 1);
		touch(g, TRACKED + i * PAGE_SIZE);
	}
	assert_huge_again(g);
	tracker_close(&t);
}

static void test_once_closed(struct tiny_guest *g)
{
	int i;

	track(g, &t, NR_TRACKED, TRACKER_ONCE);
	for (i = 1; i < NR_TRACKED; i++)
		touch(g, TRACKED + i * PAGE_SIZE);
	TG_ASSERT_STAT(g, "pages_2m", huge - 1);
	tracker_close(&t);
	assert_huge_again(g);
}

/* Whoever is the last of two trackers brings the huge page back. */
static void test_two(struct tiny_guest *g)
{
	struct tracker other;

	tracker_create(g->vm, &other, 1024, 0, 0);
	track(g, &other, 1, TRACKER_NOTIFY);
	track(g, &t, 1, TRACKER_NOTIFY);
	tracker_remove(&other, GPA + TRACKED, PAGE_SIZE);
	touch(g, TRACKED);
	touch(g, BESIDE);
	TG_ASSERT_STAT(g, "pages_2m", huge - 1);
	tracker_close(&t);
	assert_huge_again(g);
	tracker_close(&other);
}

static void test_once_and_another(struct tiny_guest *g)
{
	struct tracker other;

	tracker_create(g->vm, &other, 1024, 0, 0);
	track(g, &other, 1, TRACKER_NOTIFY);
	track(g, &t, 1, TRACKER_ONCE);
	touch(g, TRACKED);
	touch(g, BESIDE);
	TG_ASSERT_STAT(g, "pages_2m", huge - 1);
	tracker_close(&other);
	assert_huge_again(g);
	tracker_close(&t);
}

static void move(struct tiny_guest *g, uint64_t gpa)
{
	int i;

	vm_mem_region_move(g->vm, SLOT, gpa);
	for (i = 0; i < NR_HUGE; i++)
		tg_map_huge(g, VA + i * TG_HUGE_SIZE, gpa + i * TG_HUGE_SIZE);
	tg_flush(g);
	touch(g, BESIDE);
	touch(g, TG_HUGE_SIZE + BESIDE);
}

/* A slot that is moved away from what is tracked is huge, one moved there is not. */
static void test_move(struct tiny_guest *g)
{
	/* What else is huge is what the guest needs to get here. */
	move(g, ELSEWHERE);
	huge = tg_stat(g, "pages_2m");
	TEST_ASSERT(huge >= NR_HUGE, "Huge after a move: %lu", huge);

	tracker_add(&t, GPA + TRACKED, PAGE_SIZE, TRACKER_NOTIFY);
	move(g, GPA);
	TG_ASSERT_STAT(g, "pages_2m", huge - 1);
	move(g, ELSEWHERE);
	TG_ASSERT_STAT(g, "pages_2m", huge);
	move(g, GPA);
	TG_ASSERT_STAT(g, "pages_2m", huge - 1);
	tracker_remove(&t, GPA + TRACKED, PAGE_SIZE);
	assert_huge_again(g);
	tracker_close(&t);
}

int main(void)
{
	static const struct tg_case cases[] = {
		{ "6: removed", test_remove, TG_4LEVEL_BIT, true, init },
		{ "6: removed by another process", test_remove_by_other, TG_4LEVEL_BIT, true,
		  init },
		{ "6: removed in parts", test_remove_in_parts, TG_4LEVEL_BIT, true, init },
		{ "6: closed", test_close, TG_4LEVEL_BIT, true, init },
		{ "6: closed, unused", test_close_unused, TG_4LEVEL_BIT, true, init },
		{ "6: once, all", test_once, TG_4LEVEL_BIT, true, init },
		{ "6: once, the last closed", test_once_closed, TG_4LEVEL_BIT, true, init },
		{ "6: two trackers", test_two, TG_4LEVEL_BIT, true, init },
		{ "6: once and another", test_once_and_another, TG_4LEVEL_BIT, true, init },
		{ "6: slot moved", test_move, TG_4LEVEL_BIT, true, init },
	};

	tracker_require();
	tg_run_cases(cases, ARRAY_SIZE(cases));
}
