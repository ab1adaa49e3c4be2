// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages are collected and tracked again while vCPUs write to them.  No write is missed:
 * what is in memory before a call is in its bitmap or was in one before.  None is told
 * twice: there are as many bits as there are events of pages given up.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "cases.h"
#include "tracker.h"

#define NR_VCPUS	4
#define VA		0x40000000ul
#define GPA		tg_data(0)
#define NR_PAGES	96
#define NR_WORDS	2
#define SIZE		(NR_PAGES * PAGE_SIZE)
#define REARM		KVM_PAGE_TRACK_COLLECT_REARM

static int nr_rounds, nr_running;
static uint32_t seed;
static struct tracker t;

struct writer {
	struct tiny_guest g;
	pthread_t thread;
};

/* The numbers of a page: one of each vCPU, which counts its writes to the page. */
struct numbers {
	uint32_t nr[NR_VCPUS];
};

static struct numbers *numbers_of(struct kvm_vm *vm, int page)
{
	return addr_gpa2hva(vm, GPA + page * PAGE_SIZE + 64);
}

static void *write_numbers(void *arg)
{
	struct writer *w = arg;
	int i, page, id = w->g.vcpu->id - 1;
	uint32_t nr[NR_PAGES] = {};

	tg_seed(seed + id);
	for (i = 0; i < nr_rounds; i++) {
		/* Some are written more often than others. */
		page = tg_pick(1 + tg_pick(NR_PAGES));
		tg_store(&w->g, VA + page * PAGE_SIZE + 64 + 4 * id, ++nr[page], 4);
		/* With one processor, who collects has to have a turn. */
		if (!(i % 8))
			sched_yield();
	}
	__atomic_sub_fetch(&nr_running, 1, __ATOMIC_RELEASE);
	return NULL;
}

static void start(struct tiny_guest *g, struct writer *writers)
{
	int i;

	for (i = 0; i < NR_PAGES; i++) {
		tg_map(g, VA + i * PAGE_SIZE, GPA + i * PAGE_SIZE);
		memset(numbers_of(g->vm, i), 0, sizeof(struct numbers));
	}
	for (i = 0; i < NR_VCPUS; i++)
		tg_add_vcpu(g, &writers[i].g, i + 1);

	tracker_create(g->vm, &t, 65536, 0, 0);
	tracker_add(&t, GPA, SIZE, TRACKER_ONCE);
	nr_running = NR_VCPUS;
	for (i = 0; i < NR_VCPUS; i++)
		pthread_create(&writers[i].thread, NULL, write_numbers, &writers[i]);
}

static bool are_running(void)
{
	return __atomic_load_n(&nr_running, __ATOMIC_ACQUIRE);
}

static void join(struct writer *writers)
{
	int i;

	for (i = 0; i < NR_VCPUS; i++)
		pthread_join(writers[i].thread, NULL);
}

static int count_bits(const uint64_t *bitmap)
{
	return __builtin_popcountl(bitmap[0]) + __builtin_popcountl(bitmap[1]);
}

static void collect(uint32_t flags, uint64_t *bitmap)
{
	int r = tracker_collect(&t, GPA, SIZE, flags, bitmap);

	TEST_ASSERT(!r, "errno %d", r);
}

/* Take what events there are.  Returns how many. */
static uint64_t take_events(void)
{
	struct kvm_page_track_event event;
	uint64_t nr = 0;

	for (; tracker_pop(&t, &event); nr++)
		TEST_ASSERT(event.flags & KVM_PAGE_TRACK_EVENT_UNTRACKED, "flags are 0x%x",
			    event.flags);
	return nr;
}

/* What @seen has not of each page is to be told.  Store what is there after that. */
static int collect_and_compare(struct kvm_vm *vm, struct numbers *seen)
{
	bool changed[NR_PAGES];
	uint64_t bitmap[NR_WORDS];
	int i;

	for (i = 0; i < NR_PAGES; i++)
		changed[i] = memcmp(&seen[i], numbers_of(vm, i), sizeof(*seen));

	/* Loads before the call are of what was there before it. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	collect(REARM, bitmap);

	for (i = 0; i < NR_PAGES; i++) {
		if (bitmap[i / 64] & BIT_ULL(i % 64))
			seen[i] = *numbers_of(vm, i);
		else
			TEST_ASSERT(!changed[i], "A write to page %d was not told", i);
	}
	return count_bits(bitmap);
}

static void test_rearm(struct tiny_guest *g)
{
	struct numbers seen[NR_PAGES] = {};
	struct writer writers[NR_VCPUS];
	uint64_t told = 0, events = 0;
	int i, n, calls = 0;

	start(g, writers);
	while (are_running()) {
		n = collect_and_compare(g->vm, seen);
		told += n;
		calls += !!n;
		events += take_events();
		/* With one processor, the vCPUs have to have their turn. */
		if (!n)
			sched_yield();
	}
	join(writers);

	told += collect_and_compare(g->vm, seen);
	events += take_events();
	for (i = 0; i < NR_PAGES; i++)
		TEST_ASSERT(!memcmp(&seen[i], numbers_of(g->vm, i), sizeof(*seen)),
			    "The last write to page %d was not told", i);
	TEST_ASSERT(told == events, "%lu pages told, %lu events", told, events);
	TEST_ASSERT_EQ(collect_and_compare(g->vm, seen), 0);
	TEST_ASSERT(calls > 1 && told > NR_PAGES, "%lu pages in %d calls: no race", told, calls);
	pr_info("%lu pages told by %d calls\n", told, calls);
	tracker_close(&t);
}

static void *collect_all(void *arg)
{
	uint64_t bitmap[NR_WORDS], *told = arg;
	int i;

	for (i = 0; are_running(); i++) {
		collect(REARM, bitmap);
		*told += count_bits(bitmap);
		if (!(i % 8))
			sched_yield();
	}
	return NULL;
}

/* Several callers share what there is: each page is told to one of them. */
static void test_two_callers(struct tiny_guest *g)
{
	uint64_t bitmap[NR_WORDS], told[2] = {}, events = 0;
	struct writer writers[NR_VCPUS];
	pthread_t other;

	start(g, writers);
	pthread_create(&other, NULL, collect_all, &told[1]);
	while (are_running()) {
		collect(REARM, bitmap);
		told[0] += count_bits(bitmap);
		events += take_events();
		sched_yield();
	}
	join(writers);
	pthread_join(other, NULL);

	collect(REARM, bitmap);
	told[0] += count_bits(bitmap);
	events += take_events();
	TEST_ASSERT(told[0] + told[1] == events, "%lu and %lu pages told, %lu events", told[0],
		    told[1], events);
	pr_info("%lu and %lu pages told\n", told[0], told[1]);
	tracker_close(&t);
}

/* A call without REARM tells each page once, whoever tracks them again meanwhile. */
static void test_without_rearm(struct tiny_guest *g)
{
	uint64_t bitmap[NR_WORDS], told = 0, events = 0;
	struct writer writers[NR_VCPUS];

	start(g, writers);
	while (are_running()) {
		collect(0, bitmap);
		told += count_bits(bitmap);
		events += take_events();
		TEST_ASSERT(told <= NR_PAGES, "%lu pages told", told);
		sched_yield();
	}
	join(writers);

	collect(0, bitmap);
	told += count_bits(bitmap);
	events += take_events();
	TEST_ASSERT(told == events, "%lu pages told, %lu events", told, events);
	collect(0, bitmap);
	TEST_ASSERT_EQ(count_bits(bitmap), 0);
	collect(REARM, bitmap);
	TEST_ASSERT_EQ(count_bits(bitmap), told);
	tracker_close(&t);
}

int main(int argc, char *argv[])
{
	static const struct tg_case cases[] = {
		{ "no write is missed or told twice", test_rearm, TG_4LEVEL_BIT },
		{ "nor with two callers", test_two_callers, TG_4LEVEL_BIT },
		{ "nor without rearming", test_without_rearm, TG_4LEVEL_BIT },
	};

	tracker_require();
	nr_rounds = tg_get_random_rounds(argc, argv, 3000, &seed);
	tg_run_cases(cases, ARRAY_SIZE(cases));
}
