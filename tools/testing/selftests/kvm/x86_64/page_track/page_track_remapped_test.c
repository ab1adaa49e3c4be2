// SPDX-License-Identifier: GPL-2.0-only
/*
 * While a vCPU's fault on a tracked page waits for userfaultfd to bring that page, the guest's
 * page table changes: the same store, tried again, is to another page.  What was told of the
 * first one is not what the second one is told of.
 */
#include <pthread.h>

#include "cases.h"
#include "tracker.h"
#include "userfault.h"

#define VA	0x40000000ul
#define MISSING	tg_data(16)	/* where VA leads at first */
#define OTHER	tg_data(32)	/* and then */
#define OFFSET	0x18
#define DATA	0x12345678u

static const uint8_t zeros[PAGE_SIZE] __aligned(PAGE_SIZE);

/* Whoever serves the missing page, and makes VA lead elsewhere before. */
struct server {
	struct tiny_guest *g;
	pthread_t thread;
	int uffd;
};

static void *serve(void *arg)
{
	struct server *s = arg;
	struct tiny_guest *g = s->g;

	TEST_ASSERT(userfault_await(s->uffd), "The vCPU does not wait for its page");
	tg_write_entry(g, tg_entry_gpa(g, VA, 1), tg_make_entry(g, 1, OTHER));
	userfault_give(s->uffd, addr_gpa2hva(g->vm, MISSING), zeros);
	return NULL;
}

static void start(struct server *s, struct tiny_guest *g)
{
	s->g = g;
	s->uffd = userfault_open(addr_gpa2hva(g->vm, MISSING));
	pthread_create(&s->thread, NULL, serve, s);
}

static void finish(struct server *s)
{
	pthread_join(s->thread, NULL);
	close(s->uffd);
}

static uint32_t peek(struct tiny_guest *g, uint64_t gpa)
{
	return *(uint32_t *)(addr_gpa2hva(g->vm, gpa) + OFFSET);
}

/*
 * Store to the missing page, and end up at the other one.  Each has a tracker of its own, but
 * the other one none if @action is negative.
 */
static void store(struct tiny_guest *g, struct tracker *missing, struct tracker *other,
		  uint32_t missing_action, int action)
{
	struct server s;

	tg_map(g, VA, MISSING);
	tracker_create(g->vm, missing, 64, 0, 0);
	tracker_add(missing, MISSING, PAGE_SIZE, missing_action);
	tracker_create(g->vm, other, 64, 0, 0);
	if (action >= 0)
		tracker_add(other, OTHER, PAGE_SIZE, action);
	start(&s, g);
	tg_store(g, VA + OFFSET, DATA, 4);
	finish(&s);

	TEST_ASSERT_EQ(peek(g, MISSING) + peek(g, OTHER), DATA);
}

/* That has written to @gpa, and its tracker @t is told. */
static void assert_written(struct tiny_guest *g, struct tracker *t, uint64_t gpa)
{
	uint32_t data = DATA;
	struct kvm_page_track_event event =
		tracker_write_event(g, VA + OFFSET, gpa + OFFSET, &data, sizeof(data));

	TEST_ASSERT_EQ(peek(g, gpa), DATA);
	TRACKER_ASSERT_EVENT(t, &event);
}

static void close_both(struct tracker *missing, struct tracker *other)
{
	TRACKER_ASSERT_EMPTY(missing);
	TRACKER_ASSERT_EMPTY(other);
	tracker_close(missing);
	tracker_close(other);
}

/* The missing page is given up when it is there: that has been told. */
static void store_once(struct tiny_guest *g, struct tracker *missing, struct tracker *other,
		       int action)
{
	struct kvm_page_track_event event;

	store(g, missing, other, TRACKER_ONCE, action);
	TEST_ASSERT_EQ(peek(g, OTHER), DATA);
	event = tracker_untracked_event(g, VA + OFFSET, MISSING + OFFSET);
	TRACKER_ASSERT_EVENT(missing, &event);
}

static void assert_untracked(struct tiny_guest *g, struct tracker *other)
{
	struct kvm_page_track_event event =
		tracker_untracked_event(g, VA + OFFSET, OTHER + OFFSET);
	struct kvm_page_track_range range;

	TEST_ASSERT_EQ(peek(g, OTHER), DATA);
	TRACKER_ASSERT_EVENT(other, &event);
	TEST_ASSERT_EQ(tracker_next(other, 0, &range), ENOENT);
}

/*
 * The missing page stays tracked.  In two dimensions, KVM emulates the store where the CPU was
 * led at first: the guest has not flushed anything.  Returns whether that is so.
 */
static bool store_notify(struct tiny_guest *g, struct tracker *missing, struct tracker *other,
			 int action)
{
	store(g, missing, other, TRACKER_NOTIFY, action);
	if (tg_shadowed())
		return false;

	assert_written(g, missing, MISSING);
	return true;
}

static void test_once(struct tiny_guest *g)
{
	struct tracker missing, other;

	store_once(g, &missing, &other, -1);
	close_both(&missing, &other);
}

static void test_once_once(struct tiny_guest *g)
{
	struct tracker missing, other;

	store_once(g, &missing, &other, TRACKER_ONCE);
	assert_untracked(g, &other);
	close_both(&missing, &other);
}

static void test_once_notify(struct tiny_guest *g)
{
	struct tracker missing, other;

	store_once(g, &missing, &other, TRACKER_NOTIFY);
	assert_written(g, &other, OTHER);
	close_both(&missing, &other);
}

static void test_notify(struct tiny_guest *g)
{
	struct tracker missing, other;

	store_notify(g, &missing, &other, -1);
	close_both(&missing, &other);
}

static void test_notify_once(struct tiny_guest *g)
{
	struct tracker missing, other;

	if (!store_notify(g, &missing, &other, TRACKER_ONCE))
		assert_untracked(g, &other);
	close_both(&missing, &other);
}

static void test_notify_notify(struct tiny_guest *g)
{
	struct tracker missing, other;

	if (!store_notify(g, &missing, &other, TRACKER_NOTIFY))
		assert_written(g, &other, OTHER);
	close_both(&missing, &other);
}

int main(void)
{
	static const struct tg_case cases[] = {
		{ "once, then an untracked page", test_once, TG_ALL_MODES },
		{ "once, then once", test_once_once, TG_ALL_MODES },
		{ "once, then notify", test_once_notify, TG_ALL_MODES },
		{ "notify, then an untracked page", test_notify, TG_ALL_MODES },
		{ "notify, then once", test_notify_once, TG_ALL_MODES },
		{ "notify, then notify", test_notify_notify, TG_ALL_MODES },
	};

	tracker_require();
	userfault_require();
	tg_run_cases(cases, ARRAY_SIZE(cases));
}
