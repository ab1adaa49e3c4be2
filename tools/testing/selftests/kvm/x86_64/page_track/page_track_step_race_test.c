// SPDX-License-Identifier: GPL-2.0-only
/*
 * Several vCPUs write to the same tracked pages at once, some of them in steps: each write
 * is told once and in order, since no vCPU can use what is open to another one.  Signals
 * end KVM_RUN meanwhile, vCPUs wait for room in the ring, and another tracker comes and
 * goes: it is told what is written while it is there, and nothing behind its removal.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>

#include "cases.h"
#include "stats.h"
#include "tracker.h"

#define NR_WORKERS	4
#define VA		0x40000000ul
#define GPA		tg_data(0)
#define NR_PAGES	2
#define SLOT_SIZE	64

static int nr_rounds;

struct worker {
	struct tiny_guest g;
	pthread_t thread;
	int nr;			/* the vCPU is the next one */
	uint64_t val;		/* of its last write */
	uint64_t told, other_told;
};

struct race {
	struct worker workers[NR_WORKERS];
	struct tracker t;	/* of the main test, which its own thread reads */
	pthread_t reader;
	int nr_running;
	bool stop;
	uint64_t nr_stepped;
};

/* All but the last one write what KVM cannot emulate, and the one before to two pages. */
static bool is_stepped(const struct worker *w)
{
	return w->nr < NR_WORKERS - 1;
}

static int offset_of(const struct worker *w, uint64_t val)
{
	int page = w->nr == NR_WORKERS - 2 ? val % NR_PAGES : 0;

	return page * PAGE_SIZE + w->nr * SLOT_SIZE;
}

static uint64_t *slot_of(struct worker *w, uint64_t val)
{
	return addr_gpa2hva(w->g.vm, GPA + offset_of(w, val));
}

static void start_write(struct worker *w, uint64_t val)
{
	struct kvm_regs regs = { .rdi = VA + offset_of(w, val), .rax = val };

	if (is_stepped(w)) {
		regs.rax = slot_of(w, val)[0];
		regs.rbx = val;
	}
	tg_start(&w->g, is_stepped(w) ? TG_CMPXCHG16B : TG_STORE4, &regs);
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct race *race = container_of(w - w->nr, struct race, workers[0]);
	int r;

	while (!__atomic_load_n(&race->stop, __ATOMIC_ACQUIRE)) {
		start_write(w, w->val + 1);
		do {
			r = __vcpu_run(w->g.vcpu);
		} while (r == -1 && errno == EINTR);
		TEST_ASSERT(!r, "KVM_RUN failed, errno %d", errno);
		tg_assert_ended(&w->g);

		TEST_ASSERT_EQ(slot_of(w, w->val + 1)[0], w->val + 1);
		__atomic_store_n(&w->val, w->val + 1, __ATOMIC_RELEASE);
	}

	__atomic_sub_fetch(&race->nr_running, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static uint64_t get_val(const struct worker *w, const struct kvm_page_track_event *e)
{
	return is_stepped(w) ? *(uint64_t *)e->data : *(uint32_t *)e->data;
}

/* Which worker has written, and what?  NULL if it was interrupted, and starts again. */
static struct worker *check_event(struct race *race, const struct kvm_page_track_event *e)
{
	struct worker *w;

	TEST_ASSERT(e->vcpu_id && e->vcpu_id <= NR_WORKERS, "vCPU %u", e->vcpu_id);
	w = &race->workers[e->vcpu_id - 1];
	TEST_ASSERT_EQ(e->flags & KVM_PAGE_TRACK_EVENT_UNTRACKED, 0);
	TEST_ASSERT_EQ(!!(e->flags & KVM_PAGE_TRACK_EVENT_STEPPED), is_stepped(w));
	if (e->flags & KVM_PAGE_TRACK_EVENT_UNFINISHED)
		return NULL;

	TEST_ASSERT_EQ(e->gpa, GPA + offset_of(w, get_val(w, e)));
	return w;
}

static void *read_events(void *arg)
{
	struct race *race = arg;
	struct kvm_page_track_event e;
	struct worker *w;
	bool running;

	do {
		running = __atomic_load_n(&race->nr_running, __ATOMIC_SEQ_CST);
		if (running)
			tracker_poll(&race->t, 10);

		while (tracker_pop(&race->t, &e)) {
			w = check_event(race, &e);
			if (!w)
				continue;
			TEST_ASSERT_EQ(get_val(w, &e), w->told + 1);
			w->told++;
			race->nr_stepped += is_stepped(w);
		}
	} while (running);

	return NULL;
}

static void ignore(int signal)
{
}

static uint64_t last_val(struct worker *w)
{
	uint64_t val = __atomic_load_n(&w->val, __ATOMIC_ACQUIRE);

	/* The one under way may be in memory. */
	return __atomic_load_n(slot_of(w, val + 1), __ATOMIC_ACQUIRE) == val + 1 ? val + 1 : val;
}

/* A tracker comes and goes, with all workers at it. */
static void visit(struct race *race, struct tracker *t)
{
	uint64_t from[NR_WORKERS], to[NR_WORKERS] = {};
	struct kvm_page_track_event e;
	struct worker *w;
	int i;

	TRACKER_ASSERT_EMPTY(t);
	tracker_add(t, GPA, NR_PAGES * PAGE_SIZE, TRACKER_NOTIFY);
	for (i = 0; i < NR_WORKERS; i++) {
		from[i] = last_val(&race->workers[i]);
		race->workers[i].other_told = 0;
	}

	for (i = 0; i < NR_WORKERS; i++) {
		pthread_kill(race->workers[i].thread, SIGUSR1);
		while (last_val(&race->workers[i]) < from[i] + 2)
			sched_yield();
	}

	for (i = 0; i < NR_WORKERS; i++)
		to[i] = last_val(&race->workers[i]);
	tracker_remove(t, GPA, NR_PAGES * PAGE_SIZE);

	while (tracker_pop(t, &e)) {
		w = check_event(race, &e);
		if (!w)
			continue;
		if (w->other_told)
			TEST_ASSERT_EQ(get_val(w, &e), w->other_told + 1);
		else
			TEST_ASSERT(get_val(w, &e) <= from[w->nr] + 1,
				    "vCPU %u: %lu was not told, but %lu", e.vcpu_id,
				    from[w->nr] + 1, get_val(w, &e));
		w->other_told = get_val(w, &e);
	}
	for (i = 0; i < NR_WORKERS; i++)
		TEST_ASSERT(race->workers[i].other_told >= to[i], "vCPU %u: %lu was not told",
			    i + 1, to[i]);
}

static void start_race(struct race *race, struct tiny_guest *g)
{
	int i;

	for (i = 0; i < NR_PAGES; i++)
		tg_map(g, VA + i * PAGE_SIZE, GPA + i * PAGE_SIZE);
	memset(addr_gpa2hva(g->vm, GPA), 0, NR_PAGES * PAGE_SIZE);
	tracker_create(g->vm, &race->t, 64, KVM_PAGE_TRACKER_STEP | KVM_PAGE_TRACKER_WAIT, 0);
	tracker_add(&race->t, GPA, NR_PAGES * PAGE_SIZE, TRACKER_NOTIFY);

	race->nr_running = NR_WORKERS;
	for (i = 0; i < NR_WORKERS; i++) {
		race->workers[i].nr = i;
		tg_add_vcpu(g, &race->workers[i].g, i + 1);
	}
	for (i = 0; i < NR_WORKERS; i++)
		pthread_create(&race->workers[i].thread, NULL, work, &race->workers[i]);
	pthread_create(&race->reader, NULL, read_events, race);
}

static void test_race(struct tiny_guest *g)
{
	struct sigaction sa = { .sa_handler = ignore };
	uint64_t steps = tg_stat(g, "page_track_steps");
	static struct race race;
	struct tracker other;
	int i;

	memset(&race, 0, sizeof(race));
	sigaction(SIGUSR1, &sa, NULL);
	start_race(&race, g);
	tracker_create(g->vm, &other, 4096, KVM_PAGE_TRACKER_STEP | KVM_PAGE_TRACKER_WAIT, 0);

	for (i = 0; i < nr_rounds; i++)
		visit(&race, &other);

	__atomic_store_n(&race.stop, true, __ATOMIC_RELEASE);
	for (i = 0; i < NR_WORKERS; i++)
		pthread_join(race.workers[i].thread, NULL);
	pthread_join(race.reader, NULL);

	for (i = 0; i < NR_WORKERS; i++)
		TEST_ASSERT_EQ(race.workers[i].told, race.workers[i].val);
	TG_ASSERT_STAT(g, "page_track_steps", steps + race.nr_stepped);
	TRACKER_ASSERT_EMPTY(&other);
	tracker_close(&other);
	tracker_close(&race.t);
}

#define CROSSING	(PAGE_SIZE - 256)
#define NR_CROSSING	200

static void *step_second_page(void *arg)
{
	struct kvm_regs regs = { .rdi = VA + PAGE_SIZE };
	struct worker *w = arg;

	while (!__atomic_load_n(&w->val, __ATOMIC_ACQUIRE))
		TEST_ASSERT(tg_run(&w->g, TG_FXSAVE, &regs), "A fault");
	return NULL;
}

/* A page that another vCPU has open is not open to this one. */
static void test_other_pages(struct tiny_guest *g)
{
	struct kvm_regs regs = { .rdi = VA + CROSSING };
	struct kvm_page_track_event e;
	struct worker w = {};
	struct tracker t;
	int i, told;

	tg_map(g, VA, GPA);
	tg_map(g, VA + PAGE_SIZE, GPA + PAGE_SIZE);
	tg_add_vcpu(g, &w.g, 1);
	tracker_create(g->vm, &t, 4096, KVM_PAGE_TRACKER_STEP | KVM_PAGE_TRACKER_WAIT, 0);
	tracker_add(&t, GPA, NR_PAGES * PAGE_SIZE, TRACKER_NOTIFY);
	pthread_create(&w.thread, NULL, step_second_page, &w);

	for (i = 0; i < NR_CROSSING; i++) {
		TEST_ASSERT(tg_run(g, TG_FXSAVE, &regs), "A fault");
		for (told = 0; tracker_pop_finished(&t, &e);)
			told += e.vcpu_id == g->vcpu->id;
		TEST_ASSERT(told == NR_PAGES, "Of %d pages, %d were told", NR_PAGES, told);
	}

	__atomic_store_n(&w.val, 1, __ATOMIC_RELEASE);
	pthread_join(w.thread, NULL);
	tracker_close(&t);
}

int main(int argc, char *argv[])
{
	static const struct tg_case cases[] = {
		{ "steps of several vCPUs at once", test_race, TG_4LEVEL_BIT, true },
		{ "what one has open, others have not", test_other_pages, TG_4LEVEL_BIT, true },
	};

	nr_rounds = tg_get_rounds(argc, argv, 20);
	tracker_require();
	tg_run_cases(cases, ARRAY_SIZE(cases));
}
