// SPDX-License-Identifier: GPL-2.0-only
/*
 * While a range of millions of pages is added, or a slot with so many tracked pages
 * is created or moved, others go on; and who adds a range can be killed, which undoes
 * it.
 *
 * Whether others went on shows only if the long call had not ended when they had: that
 * is tried until it is so.  If they wait, it never is.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "cases.h"
#include "stats.h"
#include "tracker.h"

#define SLOT		TG_NR_SLOTS
#define GPA		BIT(32)
#define SIZE		(16 * BIT(30))
#define OTHER_GPA	(GPA + SIZE)
/* A slot that is created at GPA and moved behind that. */
#define NEW_SIZE	(2 * BIT(30))
#define MAX_TRIES	20
/* What is tracked before, in the first and in the last part of it. */
#define FIRST		(GPA + 3 * PAGE_SIZE)
#define LAST		(GPA + SIZE - 7 * PAGE_SIZE)

struct adder {
	pid_t pid;
	atomic_bool *done;
	struct tracker t;
	uint64_t pages;
};

/* Memory that is never used. */
static void *map(uint64_t size)
{
	void *mem = mmap(NULL, size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	TEST_ASSERT(mem != MAP_FAILED, "mmap() failed, errno %d", errno);
	return mem;
}

static void add_slot(struct tiny_guest *g, uint32_t slot, uint64_t gpa, uint64_t size)
{
	vm_set_user_memory_region(g->vm, slot, 0, gpa, size, map(size));
}

static void delete_slot(struct tiny_guest *g, uint32_t slot)
{
	vm_set_user_memory_region(g->vm, slot, 0, 0, 0, NULL);
}

static void *shared_bool(void)
{
	void *p = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		       -1, 0);

	TEST_ASSERT(p != MAP_FAILED, "mmap() failed, errno %d", errno);
	return p;
}

/* Have another process add all of the slot, and return when that has begun. */
static void start(struct tiny_guest *g, struct adder *a)
{
	atomic_store(a->done, false);
	a->pages = tg_stat(g, "page_track_pages");
	a->pid = fork();
	if (!a->pid) {
		if (tracker_ioctl(&a->t, KVM_PAGE_TRACK_ADD_RANGE, GPA, SIZE, TRACKER_ONCE))
			_exit(1);
		atomic_store(a->done, true);
		pause();
	}
	TEST_ASSERT(a->pid > 0, "fork() failed, errno %d", errno);

	while (tg_stat(g, "page_track_pages") == a->pages)
		TEST_ASSERT(!waitpid(a->pid, NULL, WNOHANG), "The process is gone");
}

static void init(struct tiny_guest *g, struct adder *a)
{
	add_slot(g, SLOT, GPA, SIZE);
	a->done = shared_bool();
	tracker_create(g->vm, &a->t, 1024, 0, 0);
	tracker_add(&a->t, FIRST, PAGE_SIZE, TRACKER_NOTIFY);
	tracker_add(&a->t, LAST, 2 * PAGE_SIZE, TRACKER_ONCE);
}

static void stop(struct adder *a)
{
	int status;

	kill(a->pid, SIGKILL);
	TEST_ASSERT(waitpid(a->pid, &status, 0) == a->pid && WIFSIGNALED(status),
		    "The process ended, status 0x%x", status);
}

static void finish(struct tiny_guest *g, struct adder *a)
{
	tracker_close(&a->t);
	munmap(a->done, PAGE_SIZE);
	delete_slot(g, SLOT);
}

static void assert_range(struct tracker *t, uint64_t from, uint64_t gpa, uint64_t size,
			 uint32_t action)
{
	struct kvm_page_track_range range = {};

	TEST_ASSERT(!tracker_next(t, from, &range) && range.gpa == gpa &&
		    range.size == size && range.action == action,
		    "9: range 0x%llx, 0x%llx, action %u", range.gpa, range.size, range.action);
}

/* Try until what the long call must not delay has ended before it. */
static void try_in_time(struct tiny_guest *g, bool (*in_time)(struct tiny_guest *g))
{
	int i;

	for (i = 0; i < MAX_TRIES; i++) {
		if (in_time(g))
			return;
	}
	TEST_FAIL("9: waited for all %d times", i);
}

static bool killed_in_time(struct tiny_guest *g)
{
	struct kvm_page_track_range range;
	struct adder a;
	bool in_time;

	init(g, &a);
	start(g, &a);
	stop(&a);

	in_time = !atomic_load(a.done);
	if (in_time) {
		TG_ASSERT_STAT(g, "page_track_pages", a.pages);
		assert_range(&a.t, 0, FIRST, PAGE_SIZE, TRACKER_NOTIFY);
		assert_range(&a.t, FIRST + PAGE_SIZE, LAST, 2 * PAGE_SIZE, TRACKER_ONCE);
		TEST_ASSERT_EQ(tracker_next(&a.t, LAST + 2 * PAGE_SIZE, &range), ENOENT);
	}
	finish(g, &a);
	return in_time;
}

static void test_kill(struct tiny_guest *g)
{
	try_in_time(g, killed_in_time);
}

/* Another tracker, a new slot, and who lists the ranges. */
static bool others_in_time(struct tiny_guest *g)
{
	struct kvm_page_track_range range;
	struct tracker other;
	struct adder a;
	bool in_time;

	init(g, &a);
	tracker_create(g->vm, &other, 64, 0, 0);
	start(g, &a);

	tracker_add(&other, GPA, PAGE_SIZE, TRACKER_NOTIFY);
	add_slot(g, SLOT + 1, OTHER_GPA, TG_HUGE_SIZE);
	TEST_ASSERT(!tracker_next(&a.t, 0, &range), "9: nothing to list");
	in_time = !atomic_load(a.done);

	stop(&a);
	if (in_time)
		TG_ASSERT_STAT(g, "page_track_pages", a.pages + 1);
	tracker_close(&other);
	delete_slot(g, SLOT + 1);
	finish(g, &a);
	return in_time;
}

static void test_others(struct tiny_guest *g)
{
	try_in_time(g, others_in_time);
}

/* All of it, with nobody in the way. */
static void test_all(struct tiny_guest *g)
{
	struct adder a;

	init(g, &a);
	a.pages = tg_stat(g, "page_track_pages");
	tracker_add(&a.t, GPA, SIZE, TRACKER_ONCE);
	TG_ASSERT_STAT(g, "page_track_pages", a.pages - 3 + SIZE / PAGE_SIZE);
	assert_range(&a.t, 0, GPA, SIZE, TRACKER_ONCE);
	tracker_remove(&a.t, 0, GPA + 2 * SIZE);
	TG_ASSERT_STAT(g, "page_track_pages", a.pages - 3);
	TEST_ASSERT_EQ(tracker_ioctl(&a.t, KVM_PAGE_TRACK_REMOVE_RANGE, 0, GPA + SIZE, 0),
		       ENOENT);
	finish(g, &a);
}

struct setter {
	struct tiny_guest *g;
	uint64_t gpa;
	void *mem;
	atomic_bool done;
};

static void *set_slot(void *arg)
{
	struct setter *s = arg;

	vm_set_user_memory_region(s->g->vm, SLOT, 0, s->gpa, NEW_SIZE, s->mem);
	atomic_store(&s->done, true);
	return NULL;
}

/*
 * Have trackers change what they track of the slot while it comes to @gpa.  Return
 * whether they changed something before it had come: twice, as a change that waits may
 * end before the other thread says that it is done.
 */
static bool change_meanwhile(struct setter *s, uint64_t gpa, struct tracker *some,
			     struct tracker *gone)
{
	uint64_t pages = tg_stat(s->g, "page_track_pages"), i, step = NEW_SIZE / 64;
	pthread_t thread;
	int nr = 0;

	s->gpa = gpa;
	atomic_store(&s->done, false);
	TEST_ASSERT(!pthread_create(&thread, NULL, set_slot, s), "pthread_create() failed");
	while (tg_stat(s->g, "page_track_pages") <= pages && !atomic_load(&s->done))
		;

	/* Keep a page of each step, by and by. */
	for (i = 0; i < 64; i++) {
		tracker_remove(some, gpa + i * step, step);
		tracker_add(some, gpa + i * step, PAGE_SIZE, TRACKER_NOTIFY);
		nr += !atomic_load(&s->done);
	}

	tracker_close(gone);
	pthread_join(thread, NULL);
	return nr > 1;
}

/* A slot counts what its trackers have in the end, whatever they do meanwhile. */
static bool set_slot_meanwhile(struct setter *s, uint64_t gpa)
{
	uint64_t pages = tg_stat(s->g, "page_track_pages");
	struct tracker half, some, gone;
	bool in_time;

	tracker_create(s->g->vm, &half, 64, 0, 0);
	tracker_create(s->g->vm, &some, 64, 0, 0);
	tracker_create(s->g->vm, &gone, 64, 0, 0);
	tracker_add(&half, gpa, NEW_SIZE / 2, TRACKER_NOTIFY);
	tracker_add(&some, gpa, NEW_SIZE, TRACKER_ONCE);
	tracker_add(&gone, gpa, NEW_SIZE, TRACKER_NOTIFY);

	in_time = change_meanwhile(s, gpa, &some, &gone);
	TG_ASSERT_STAT(s->g, "page_track_pages", pages + NEW_SIZE / 2 / PAGE_SIZE + 32);
	tracker_close(&half);
	TG_ASSERT_STAT(s->g, "page_track_pages", pages + 64);
	tracker_close(&some);
	TG_ASSERT_STAT(s->g, "page_track_pages", pages);
	return in_time;
}

static void test_new_slot(struct tiny_guest *g)
{
	struct setter s = { .g = g, .mem = map(NEW_SIZE) };
	bool created = false, moved = false;
	int i;

	for (i = 0; i < MAX_TRIES && !(created && moved); i++) {
		created |= set_slot_meanwhile(&s, GPA);
		moved |= set_slot_meanwhile(&s, GPA + NEW_SIZE);
		delete_slot(g, SLOT);
	}
	TEST_ASSERT(created && moved, "9: a change waited for all of a slot, %d times", i);
}

int main(void)
{
	static const struct tg_case cases[] = {
		{ "9: killed", test_kill, TG_4LEVEL_BIT, true },
		{ "9: others go on", test_others, TG_4LEVEL_BIT, true },
		{ "9: all", test_all, TG_4LEVEL_BIT, true },
		{ "9: a new slot", test_new_slot, TG_4LEVEL_BIT, true },
	};

	tracker_require();
	tg_run_cases(cases, ARRAY_SIZE(cases));
}
