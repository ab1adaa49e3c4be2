// SPDX-License-Identifier: GPL-2.0-only
/*
 * An aligned access of 2, 4 or 8 bytes to a tracked page is one access: no other vCPU
 * sees, or is seen in, the middle of it.  A locked one is atomic.
 *
 * A breakpoint of the host counts its loads and stores: certain, where another vCPU
 * would have to look at the right time.  Then others look, in case they see more.
 *
 * One that crosses pages is not, even if it is locked: that is a limit.
 */
#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cases.h"
#include "exact.h"
#include "kselftest.h"

#define CODE_GPA	0x8000ul
#define CELL_SIZE	64
#define TRACKED_VA	0x40000000ul
#define PLAIN_VA	(TRACKED_VA + PAGE_SIZE)
#define OFFSET		0x100
#define NR_EVENTS	64
#define PIECE		50	/* stores until a look at who watches */

/* The pieces of torn.S. */
enum cell {
	TOGGLE2, TOGGLE4, TOGGLE8,
	WATCH2, WATCH4, WATCH8,
	MOVS2, MOVS4, MOVS8, PUSH8, POP8,
	COUNT,
	NR_CELLS,
};

/* A vCPU that does the same again until it is told to stop, or has seen a torn value. */
struct other {
	struct tiny_guest g;
	enum cell what;
	uint64_t va;
	int size;
	int times;		/* of a cell */
	pthread_t thread;
	bool stop;
	uint64_t torn;		/* 0 if none */
};

/* What the vCPU has in RBX in the end: 0, or all ones, but for a torn value. */
static uint64_t run_cell(struct tiny_guest *g, enum cell what, uint64_t from, uint64_t to,
			 int times)
{
	struct kvm_regs regs = {
		.rip = CODE_GPA + what * CELL_SIZE,
		.rflags = X86_EFLAGS_FIXED,
		.rcx = times,
		.rdx = ~0ul,
		.r8 = from,
		.r9 = to,
	};

	vcpu_regs_set(g->vcpu, &regs);
	vcpu_run(g->vcpu);
	tg_assert_ended(g);
	vcpu_regs_get(g->vcpu, &regs);
	return regs.rbx;
}

static uint64_t get_torn(uint64_t val, int size)
{
	uint64_t ones = GENMASK_ULL(8 * size - 1, 0);

	val &= ones;
	return val == ones ? 0 : val;
}

static const struct {
	enum cell cell;
	const char *name;
	int size;
} copies[] = {
	{ MOVS2, "movsw", 2 },
	{ MOVS4, "movsl", 4 },
	{ MOVS8, "movsq", 8 },
	{ PUSH8, "push", 8 },
	{ POP8, "pop", 8 },
};

static void clear(struct tiny_guest *g)
{
	memset(addr_gpa2hva(g->vm, tg_data(0)), 0, 2 * PAGE_SIZE);
}

/* Accesses of this thread, in the kernel as well, to the 8 bytes at @hva.  -1 if not. */
static int open_counter(void *hva, int type)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_BREAKPOINT,
		.size = sizeof(attr),
		.bp_type = type,
		.bp_addr = (uint64_t)hva,
		.bp_len = HW_BREAKPOINT_LEN_8,
	};

	return syscall(__NR_perf_event_open, &attr, 0, -1, -1, 0);
}

static uint64_t close_counter(int fd)
{
	uint64_t n;

	TEST_ASSERT(read(fd, &n, sizeof(n)) == sizeof(n), "No count of a breakpoint");
	close(fd);
	return n;
}

/* Three stores and two loads.  QEMU's breakpoints count right if they do not overlap. */
static int count_own(void *hva, int type)
{
	int fd = open_counter(hva, type);
	uint32_t *half = hva;
	uint64_t *word = hva;

	if (fd < 0)
		return -1;

	WRITE_ONCE(*word, 1);
	WRITE_ONCE(half[0], 2);
	WRITE_ONCE(half[1], 3);
	(void)READ_ONCE(*word);
	(void)READ_ONCE(half[1]);
	return close_counter(fd);
}

static void count_stores(struct tiny_guest *g, int i)
{
	uint64_t n;
	int fd;

	clear(g);
	fd = open_counter(addr_gpa2hva(g->vm, tg_data(0) + OFFSET), HW_BREAKPOINT_W);
	run_cell(g, TOGGLE2 + i, 0, TRACKED_VA + OFFSET, 1);
	n = close_counter(fd);
	ksft_test_result(n == 2, "two stores of %d bytes are two: %lu\n", 2 << i, n);
}

static void count_copy(struct tiny_guest *g, int i)
{
	uint64_t loads, stores;
	int from, to;

	clear(g);
	from = open_counter(addr_gpa2hva(g->vm, tg_data(1) + OFFSET), HW_BREAKPOINT_RW);
	to = open_counter(addr_gpa2hva(g->vm, tg_data(0) + OFFSET), HW_BREAKPOINT_W);
	run_cell(g, copies[i].cell, PLAIN_VA + OFFSET, TRACKED_VA + OFFSET, 1);
	loads = close_counter(from);
	stores = close_counter(to);
	ksft_test_result(loads == 1 && stores == 1,
			 "%s is a load of %d bytes and a store: %lu and %lu\n",
			 copies[i].name, copies[i].size, loads, stores);
}

static void test_counts(struct tiny_guest *g)
{
	void *hva = addr_gpa2hva(g->vm, tg_data(0) + OFFSET);
	int stores = count_own(hva, HW_BREAKPOINT_W), all = count_own(hva, HW_BREAKPOINT_RW), i;

	if (stores != 3 || all != 5) {
		for (i = 0; i < 3 + ARRAY_SIZE(copies); i++)
			ksft_test_result_skip("of 3 stores and 5 accesses, %d and %d are counted\n",
					      stores, all);
		return;
	}

	for (i = 0; i < 3; i++)
		count_stores(g, i);
	for (i = 0; i < ARRAY_SIZE(copies); i++)
		count_copy(g, i);
}

/* A few at a time: the vCPUs may have one processor. */
static void *run_other(void *arg)
{
	struct other *o = arg;

	while (!__atomic_load_n(&o->stop, __ATOMIC_ACQUIRE) && !o->torn)
		o->torn = get_torn(run_cell(&o->g, o->what, o->va, o->va, o->times),
				   o->size);

	return NULL;
}

static void start_other(struct other *o, enum cell what, uint64_t va, int size)
{
	o->what = what;
	o->va = va;
	o->size = size;
	o->times = 20000;
	o->stop = false;
	o->torn = 0;
	TEST_ASSERT(!pthread_create(&o->thread, NULL, run_other, o),
		    "pthread_create() failed");
}

static void stop_other(struct other *o)
{
	__atomic_store_n(&o->stop, true, __ATOMIC_RELEASE);
	pthread_join(o->thread, NULL);
}

/* Finding R1: another vCPU reads while one writes to a tracked page. */
static void test_store(struct tiny_guest *g, struct other *o, int i, int times)
{
	int size = 2 << i;

	clear(g);
	start_other(o, WATCH2 + i, TRACKED_VA + OFFSET, size);
	for (; times > 0 && !__atomic_load_n(&o->torn, __ATOMIC_RELAXED); times -= PIECE)
		run_cell(g, TOGGLE2 + i, 0, TRACKED_VA + OFFSET, PIECE);
	stop_other(o);
	ksft_test_result(!o->torn, "a store of %d bytes is one: 0x%lx was seen\n", size,
			 o->torn);
}

/* One vCPU copies to a tracked page what another one writes to a plain page. */
static void test_copy(struct tiny_guest *g, struct other *o, int i, int times)
{
	int size = copies[i].size;
	uint64_t torn;

	clear(g);
	start_other(o, TOGGLE2 + ffs(size) - 2, PLAIN_VA + OFFSET, 8);
	torn = get_torn(run_cell(g, copies[i].cell, PLAIN_VA + OFFSET, TRACKED_VA + OFFSET, times),
			size);
	stop_other(o);
	ksft_test_result(!torn, "a load of %d bytes by %s is one: 0x%lx was read\n", size,
			 copies[i].name, torn);
}

static void *count(void *arg)
{
	struct other *o = arg;

	run_cell(&o->g, COUNT, 0, o->va, o->times);
	return NULL;
}

/* Two vCPUs add to one number. */
static void test_locked(struct tiny_guest *g, struct other *o, int times)
{
	uint64_t sum;

	clear(g);
	o->va = TRACKED_VA + OFFSET;
	o->times = times;
	TEST_ASSERT(!pthread_create(&o->thread, NULL, count, o), "pthread_create() failed");
	run_cell(g, COUNT, 0, o->va, times);
	pthread_join(o->thread, NULL);
	memcpy(&sum, addr_gpa2hva(g->vm, tg_data(0) + OFFSET), sizeof(sum));
	ksft_test_result(sum == 2 * times, "a locked increment is atomic: %lu of %d\n", sum,
			 2 * times);
}

int main(int argc, char *argv[])
{
	int size = exact_torn_code_end - exact_torn_code, i;
	int times = tg_get_rounds(argc, argv, 1000);
	struct kvm_page_track_event event;
	struct other o = {};
	struct tiny_guest g;
	struct tracker t;

	tracker_require();
	TEST_ASSERT(size == NR_CELLS * CELL_SIZE, "Have a cell for each");
	ksft_print_header();
	ksft_set_plan(2 * (3 + ARRAY_SIZE(copies)) + 1);

	tg_init(&g, TG_4LEVEL);
	tg_map(&g, CODE_GPA, CODE_GPA);
	tg_map(&g, TRACKED_VA, tg_data(0));
	tg_map(&g, PLAIN_VA, tg_data(1));
	memcpy(addr_gpa2hva(g.vm, CODE_GPA), exact_torn_code, size);
	tg_add_vcpu(&g, &o.g, 1);
	tracker_create(g.vm, &t, NR_EVENTS, KVM_PAGE_TRACKER_LOSSY, 0);
	tracker_add(&t, tg_data(0), PAGE_SIZE, TRACKER_NOTIFY);

	test_counts(&g);
	for (i = 0; i < 3; i++)
		test_store(&g, &o, i, times);
	for (i = 0; i < ARRAY_SIZE(copies); i++)
		test_copy(&g, &o, i, times);
	test_locked(&g, &o, times);

	TEST_ASSERT(tracker_pop(&t, &event), "Nothing was emulated");
	tracker_close(&t);
	tg_free(&g);
	ksft_finished();
}
