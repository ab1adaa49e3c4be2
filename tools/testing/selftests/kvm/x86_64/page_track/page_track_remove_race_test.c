// SPDX-License-Identifier: GPL-2.0-only
/*
 * A range is removed, or gets another action, while a vCPU writes to it: what was
 * written before has its event when the call returns, and what was told before comes
 * no later (finding R4).
 */
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "kselftest.h"
#include "tracker.h"

#define VA	0x40000000ul
#define GPA	tg_data(0)

static int nr_rounds;

struct writer {
	struct tiny_guest g;
	pthread_t thread;
	pthread_barrier_t barrier;
	uint64_t va, val;
	int len, nr;
};

static void *write_all(void *arg)
{
	struct writer *w = arg;
	int i;

	for (i = 0; i < w->nr; i++) {
		pthread_barrier_wait(&w->barrier);
		w->val++;
		tg_store(&w->g, w->va, w->val, w->len);
		pthread_barrier_wait(&w->barrier);
	}
	return NULL;
}

static void start_writer(struct writer *w, struct tiny_guest *g, uint64_t va, int len, int nr)
{
	*w = (struct writer) { .va = va, .len = len, .nr = nr };
	tg_add_vcpu(g, &w->g, 1);
	pthread_barrier_init(&w->barrier, NULL, 2);
	pthread_create(&w->thread, NULL, write_all, w);
}

static void end_writer(struct writer *w)
{
	pthread_join(w->thread, NULL);
	pthread_barrier_destroy(&w->barrier);
}

/* See the write in memory, change the range at once, and there is its event. */
static void race(struct tiny_guest *g, int new_action)
{
	struct kvm_page_track_event event;
	struct tracker t;
	struct writer w;
	uint32_t *mem, i;

	tg_map(g, VA, GPA);
	mem = addr_gpa2hva(g->vm, GPA);
	*mem = 0;
	tracker_create(g->vm, &t, 64, 0, 0);
	start_writer(&w, g, VA, 4, nr_rounds);

	for (i = 1; i <= nr_rounds; i++) {
		tracker_add(&t, GPA, PAGE_SIZE, TRACKER_NOTIFY);
		pthread_barrier_wait(&w.barrier);
		while (__atomic_load_n(mem, __ATOMIC_ACQUIRE) != i)
			sched_yield();

		if (new_action < 0)
			tracker_remove(&t, GPA, PAGE_SIZE);
		else
			tracker_add(&t, GPA, PAGE_SIZE, new_action);
		TEST_ASSERT(tracker_pop(&t, &event), "R4: no event of write %u", i);
		TEST_ASSERT_EQ(*(uint32_t *)event.data, i);
		TRACKER_ASSERT_EMPTY(&t);

		pthread_barrier_wait(&w.barrier);
		TRACKER_ASSERT_EMPTY(&t);
	}

	end_writer(&w);
	tracker_close(&t);
}

static void test_remove(struct tiny_guest *g)
{
	race(g, -1);
}

static void test_change(struct tiny_guest *g)
{
	race(g, TRACKER_EXIT);
}

static int open_userfault(void *start)
{
	struct uffdio_register reg = {
		.range = { .start = (uint64_t)start, .len = PAGE_SIZE },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	struct uffdio_api api = { .api = UFFD_API };
	int fd = syscall(__NR_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return -1;

	TEST_ASSERT(!madvise(start, PAGE_SIZE, MADV_DONTNEED), "MADV_DONTNEED failed");
	TEST_ASSERT(!ioctl(fd, UFFDIO_API, &api) && !ioctl(fd, UFFDIO_REGISTER, &reg),
		    "No userfaultfd for the guest's memory");
	return fd;
}

/*
 * The vCPU sleeps for as long as userspace likes: nobody waits for it, and the write
 * that comes later is not told.
 */
static void test_userfault(struct tiny_guest *g)
{
	struct uffdio_zeropage zero = { .range = { .len = PAGE_SIZE } };
	struct kvm_page_track_event event;
	struct tracker t;
	struct writer w;
	struct pollfd pfd = { .events = POLLIN };
	void *second;

	tg_map(g, VA, GPA);
	tg_map(g, VA + PAGE_SIZE, GPA + PAGE_SIZE);
	second = addr_gpa2hva(g->vm, GPA + PAGE_SIZE);
	pfd.fd = open_userfault(second);
	if (pfd.fd < 0) {
		g->skip = "no userfaultfd";
		return;
	}

	tracker_create(g->vm, &t, 64, 0, 0);
	tracker_add(&t, GPA, 2 * PAGE_SIZE, TRACKER_NOTIFY);
	start_writer(&w, g, VA + PAGE_SIZE - 4, 8, 1);
	w.val = ~1ul;
	pthread_barrier_wait(&w.barrier);
	TEST_ASSERT(poll(&pfd, 1, -1) == 1 && pfd.revents == POLLIN, "revents 0x%x", pfd.revents);

	tracker_remove(&t, GPA + PAGE_SIZE, PAGE_SIZE);
	zero.range.start = (uint64_t)second;
	TEST_ASSERT(!ioctl(pfd.fd, UFFDIO_ZEROPAGE, &zero), "UFFDIO_ZEROPAGE failed");
	pthread_barrier_wait(&w.barrier);
	end_writer(&w);

	TEST_ASSERT_EQ(*(uint32_t *)second, ~0u);
	while (tracker_pop(&t, &event))
		TEST_ASSERT(event.gpa < GPA + PAGE_SIZE, "An event of the page that was removed");
	tracker_close(&t);
	close(pfd.fd);
}

int main(int argc, char *argv[])
{
	static const struct tg_case cases[] = {
		{ "a write has its event when its range is removed", test_remove, TG_4LEVEL_BIT },
		{ "a write has its event when the action changes", test_change, TG_4LEVEL_BIT },
		{ "nobody waits for userfaultfd", test_userfault, TG_4LEVEL_BIT },
	};

	nr_rounds = tg_get_rounds(argc, argv, 300);
	tracker_require();
	tg_run_cases(cases, ARRAY_SIZE(cases));
}
