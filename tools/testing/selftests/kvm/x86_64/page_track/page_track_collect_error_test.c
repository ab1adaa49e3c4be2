// SPDX-License-Identifier: GPL-2.0-only
/*
 * A call to collect pages that fails has collected none: what it took is put back, and
 * the next call tells it once.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cases.h"
#include "stats.h"
#include "tracker.h"
#include "userfault.h"

/* A range of two bitmaps of KVM's, and the pages of the guest at its start and end. */
#define NR_GFNS		65536
#define SIZE		(NR_GFNS * (uint64_t)PAGE_SIZE)
#define GPA		0x100000000ul
#define SLOT		TG_NR_SLOTS
#define VA		0x40000000ul
#define NR_PAGES	8
#define END_GPA		(GPA + SIZE - NR_PAGES * PAGE_SIZE)
#define REARM		KVM_PAGE_TRACK_COLLECT_REARM

static struct tracker t;
static uint64_t *bitmap;	/* of the range: two pages */
static uint64_t pages;		/* tracked when all are */

static void add_slot(struct tiny_guest *g, int i, uint64_t gpa)
{
	void *mem = mmap(NULL, NR_PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int page;

	TEST_ASSERT(mem != MAP_FAILED, "errno %d", errno);
	vm_set_user_memory_region(g->vm, SLOT + i, 0, gpa, NR_PAGES * PAGE_SIZE, mem);
	for (page = 0; page < NR_PAGES; page++)
		tg_map(g, VA + (i * NR_PAGES + page) * PAGE_SIZE, gpa + page * PAGE_SIZE);
}

static void touch(struct tiny_guest *g, int page)
{
	tg_store(g, VA + page * PAGE_SIZE, 1, 4);
}

static void init(struct tiny_guest *g)
{
	bitmap = mmap(NULL, 2 * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		      -1, 0);
	TEST_ASSERT(bitmap != MAP_FAILED, "errno %d", errno);
	add_slot(g, 0, GPA);
	add_slot(g, 1, END_GPA);
	tracker_create(g->vm, &t, 1024, 0, 0);
	tracker_add(&t, GPA, SIZE, TRACKER_ONCE);
	/* The shadow MMU has what it needs. */
	touch(g, 0);
	touch(g, 2 * NR_PAGES - 1);
	TEST_ASSERT_EQ(tracker_collect(&t, GPA, SIZE, REARM, bitmap), 0);
	pages = tg_stat(g, "page_track_pages");
}

static void give_up_pages(struct tiny_guest *g)
{
	touch(g, 0);
	touch(g, 1);
	touch(g, NR_PAGES + 2);
	TG_ASSERT_STAT(g, "page_track_pages", pages - 3);
}

static int count_bits(void)
{
	int i, nr = 0;

	for (i = 0; i < NR_GFNS / 64; i++)
		nr += __builtin_popcountl(bitmap[i]);
	return nr;
}

/* These pages and no other are untracked, and have not been told. */
static void assert_not_collected(struct tiny_guest *g)
{
	uint32_t events = tracker_count(&t);
	uint32_t flags;

	/* As a look says, and as what tracks them again says. */
	for (flags = 0; flags <= REARM; flags += REARM) {
		TG_ASSERT_STAT(g, "page_track_pages", pages - 3);
		TEST_ASSERT_EQ(tracker_collect(&t, GPA, SIZE, flags, bitmap), 0);
		TEST_ASSERT_EQ(bitmap[0], 3);
		TEST_ASSERT_EQ(bitmap[NR_GFNS / 64 - 1], BIT_ULL(64 - NR_PAGES + 2));
		TEST_ASSERT_EQ(count_bits(), 3);
	}
	TG_ASSERT_STAT(g, "page_track_pages", pages);
	TEST_ASSERT_EQ(tracker_count(&t), events);
}

static int collect_errno(const struct kvm_page_track_collect *collect)
{
	return ioctl(t.fd, KVM_PAGE_TRACK_COLLECT, collect) ? errno : 0;
}

static void test_bad_calls(struct tiny_guest *g)
{
	static const struct kvm_page_track_collect bad[] = {
		{ .gpa = GPA, .size = 0 },
		{ .gpa = GPA + 1, .size = PAGE_SIZE },
		{ .gpa = GPA, .size = PAGE_SIZE + 1 },
		{ .gpa = GPA, .size = PAGE_SIZE, .mode = 1 },
		{ .gpa = GPA, .size = PAGE_SIZE, .mode = ~0u },
		{ .gpa = GPA, .size = PAGE_SIZE, .flags = 2 },
		{ .gpa = GPA, .size = PAGE_SIZE, .flags = 1u << 31 },
		{ .gpa = GPA, .size = PAGE_SIZE, .reserved = { 1 } },
		{ .gpa = GPA, .size = PAGE_SIZE, .reserved = { [7] = 1u << 31 } },
		{ .gpa = 1ul << 52, .size = PAGE_SIZE },
		{ .gpa = GPA, .size = 1ul << 52 },
		{ .gpa = -PAGE_SIZE, .size = PAGE_SIZE },
		{ .gpa = -PAGE_SIZE, .size = 2 * PAGE_SIZE },
		{ .gpa = GPA, .size = -PAGE_SIZE },
	};
	struct kvm_page_track_collect collect;
	int i, flags;

	init(g);
	give_up_pages(g);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		for (flags = 0; flags <= REARM; flags += REARM) {
			collect = bad[i];
			collect.flags |= flags;
			collect.bitmap = (uintptr_t)bitmap;
			TEST_ASSERT(collect_errno(&collect) == EINVAL, "Call %d: errno %d", i,
				    errno);
		}
	}
	TEST_ASSERT_EQ(collect_errno((void *)8), EFAULT);
	assert_not_collected(g);
	tracker_close(&t);
}

/* The second half of the bitmap cannot be written. */
static void test_bad_bitmaps(struct tiny_guest *g)
{
	static const int prots[] = { PROT_NONE, PROT_READ };
	int i, flags;
	void *last;

	init(g);
	last = (void *)bitmap + PAGE_SIZE;
	for (i = 0; i < ARRAY_SIZE(prots); i++) {
		for (flags = 0; flags <= REARM; flags += REARM) {
			give_up_pages(g);
			TEST_ASSERT(!mprotect(last, PAGE_SIZE, prots[i]), "errno %d", errno);
			TEST_ASSERT_EQ(tracker_collect(&t, GPA, SIZE, flags, bitmap), EFAULT);
			TEST_ASSERT(!mprotect(last, PAGE_SIZE, PROT_READ | PROT_WRITE),
				    "errno %d", errno);
			/* Untracked they are, so that no event comes of it. */
			touch(g, 0);
			touch(g, NR_PAGES + 2);
			assert_not_collected(g);
		}
	}

	give_up_pages(g);
	TEST_ASSERT_EQ(tracker_collect(&t, GPA, SIZE, REARM, NULL), EFAULT);
	TEST_ASSERT_EQ(tracker_collect(&t, GPA, SIZE, REARM, (void *)-PAGE_SIZE), EFAULT);
	TEST_ASSERT_EQ(tracker_collect(&t, GPA, SIZE, REARM, (void *)BIT_ULL(63)), EFAULT);
	assert_not_collected(g);
	tracker_close(&t);
}

/* What was told by a call before that has not failed is not told again. */
static void test_told(struct tiny_guest *g)
{
	init(g);
	give_up_pages(g);
	TEST_ASSERT_EQ(tracker_collect(&t, GPA, SIZE, 0, bitmap), 0);
	touch(g, 5);
	TEST_ASSERT_EQ(tracker_collect(&t, GPA, SIZE, REARM, NULL), EFAULT);
	TEST_ASSERT_EQ(tracker_collect(&t, GPA, SIZE, 0, bitmap), 0);
	TEST_ASSERT_EQ(bitmap[0], BIT_ULL(5));
	TEST_ASSERT_EQ(count_bits(), 1);
	TEST_ASSERT_EQ(tracker_collect(&t, GPA, SIZE, REARM, bitmap), 0);
	TEST_ASSERT_EQ(count_bits(), 4);
	TG_ASSERT_STAT(g, "page_track_pages", pages);
	tracker_close(&t);
}

/* A caller is killed while it waits for half of the bitmap.  @g writes in the meantime. */
static void test_killed(struct tiny_guest *g)
{
	int socks[2], status, uffd;
	pid_t pid;

	init(g);
	give_up_pages(g);
	TEST_ASSERT(!socketpair(AF_UNIX, SOCK_STREAM, 0, socks), "no sockets");
	pid = fork();
	if (!pid) {
		tracker_send_fd(socks[1], userfault_open((void *)bitmap + PAGE_SIZE));
		tracker_collect(&t, GPA, SIZE, REARM, bitmap);
		_exit(1);
	}

	uffd = tracker_receive_fd(socks[0]);
	TEST_ASSERT(userfault_await(uffd), "The caller does not wait");

	/* All is tracked; one page is written, and given up for the second time. */
	TG_ASSERT_STAT(g, "page_track_pages", pages);
	status = tracker_count(&t);
	touch(g, 1);
	TEST_ASSERT_EQ(tracker_count(&t), status + 1);
	TG_ASSERT_STAT(g, "page_track_pages", pages - 1);

	kill(pid, SIGKILL);
	TEST_ASSERT_EQ(waitpid(pid, &status, 0), pid);
	TEST_ASSERT(WIFSIGNALED(status), "status 0x%x", status);
	assert_not_collected(g);

	close(uffd);
	close(socks[0]);
	close(socks[1]);
	tracker_close(&t);
}

int main(void)
{
	static const struct tg_case cases[] = {
		{ "bad calls collect nothing", test_bad_calls, TG_4LEVEL_BIT, true },
		{ "nor do calls with a bad bitmap", test_bad_bitmaps, TG_4LEVEL_BIT, true },
		{ "nor do they forget what was told", test_told, TG_4LEVEL_BIT, true },
		{ "a caller that is killed collects nothing", test_killed, TG_4LEVEL_BIT, true },
	};

	tracker_require();
	tg_run_cases(cases, ARRAY_SIZE(cases));
}
