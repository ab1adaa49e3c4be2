// SPDX-License-Identifier: GPL-2.0-only
/*
 * Several vCPUs rewrite entries of the same page tables at once while slots come,
 * go and change: each has to see its own writes, and counters have to balance.
 */
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>

#include "cases.h"
#include "guest.h"
#include "stats.h"

#define NR_VCPUS	3
#define UPPER_VA	0x40000000ul	/* one level-2 entry for each vCPU */
#define LEAF_VA		0xc0000000ul	/* one level-1 entry for each vCPU */

#define OTHER_SLOT	TG_NR_SLOTS
#define OTHER_GPA	0x10000000ul
#define MOVED_GPA	0x20000000ul

static int nr_rounds;

struct worker {
	struct tiny_guest g;
	pthread_t thread;
	uint64_t upper_va;
	uint64_t leaf_va;
	uint64_t path[2];	/* level-2 entries for upper_va */
	uint64_t data[2];	/* what they lead to, and those for leaf_va, too */
};

static int nr_running;
static int nr_done;	/* rounds of all workers */

static void init_worker(struct tiny_guest *g, struct worker *w, int id)
{
	int i;

	w->upper_va = UPPER_VA + ((uint64_t)id << tg_shift(g, 2));
	w->leaf_va = LEAF_VA + id * PAGE_SIZE;

	for (i = 0; i < 2; i++) {
		w->data[i] = tg_data(1 + 2 * id + i);
		w->path[i] = tg_new_path(g, w->upper_va, 2, w->data[i]);
	}

	tg_map(g, w->leaf_va, w->data[0]);
	tg_map(g, w->upper_va, w->data[0]);
	tg_write_entry(g, tg_entry_gpa(g, w->upper_va, 2), w->path[0]);
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct tiny_guest *g = &w->g;
	uint64_t upper = tg_entry_gpa(g, w->upper_va, 2);
	uint64_t leaf = tg_entry_gpa(g, w->leaf_va, 1);
	int i, n;

	for (i = 1; i <= nr_rounds; i++) {
		n = i % 2;
		tg_edit(g, upper, w->path[n]);
		tg_settle(g, w->upper_va);
		TG_ASSERT_LOAD(g, w->upper_va, w->data[n]);

		tg_edit(g, leaf, tg_make_entry(g, 1, w->data[n]));
		if (i % 3)
			tg_invlpg(g, w->leaf_va);
		else
			tg_flush(g);
		TG_ASSERT_LOAD(g, w->leaf_va, w->data[n]);
		__atomic_add_fetch(&nr_done, 1, __ATOMIC_SEQ_CST);
	}

	__atomic_sub_fetch(&nr_running, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static void set_slot(struct tiny_guest *g, uint64_t gpa, uint64_t size, void *mem)
{
	vm_set_user_memory_region(g->vm, OTHER_SLOT, 0, gpa, size, mem);
}

/* One change of each kind. */
static void change_slots(struct tiny_guest *g, void *mem)
{
	static unsigned long log[TG_ARENA_PAGES / 64];
	struct userspace_mem_region *arena = memslot2region(g->vm, TG_ARENA_SLOT);
	int i, r;

	set_slot(g, OTHER_GPA, PAGE_SIZE, mem);
	set_slot(g, MOVED_GPA, PAGE_SIZE, mem);
	r = __vm_set_user_memory_region(g->vm, OTHER_SLOT, 0, BIT(52), PAGE_SIZE, mem);
	TEST_ASSERT(r && errno == EINVAL, "A slot moved beyond physical addresses");

	for (i = 1; i >= 0; i--) {
		vm_set_user_memory_region(g->vm, TG_ARENA_SLOT,
					  i ? KVM_MEM_LOG_DIRTY_PAGES : 0, TG_ARENA_GPA,
					  TG_ARENA_PAGES * PAGE_SIZE, arena->host_mem);
		if (i)
			kvm_vm_get_dirty_log(g->vm, TG_ARENA_SLOT, log);
	}

	set_slot(g, MOVED_GPA, 0, NULL);
}

static void test_race(struct tiny_guest *g)
{
	struct worker workers[NR_VCPUS];
	int i, seen, changes = 0;
	void *mem;

	mem = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(mem != MAP_FAILED, "mmap() failed");

	/* The tables first: a vCPU sees no later change by the host. */
	for (i = 0; i < NR_VCPUS; i++)
		init_worker(g, &workers[i], i);
	for (i = 0; i < NR_VCPUS; i++)
		tg_add_vcpu(g, &workers[i].g, 1 + i);

	TG_ASSERT_STAT(g, "mmu_pte_write", 0);
	nr_running = NR_VCPUS;
	for (i = 0; i < NR_VCPUS; i++)
		pthread_create(&workers[i].thread, NULL, work, &workers[i]);

	/*
	 * A change takes all mappings away.  Wait for a round in between, or the
	 * vCPUs may do nothing but fault for ever.
	 */
	while (__atomic_load_n(&nr_running, __ATOMIC_SEQ_CST)) {
		seen = __atomic_load_n(&nr_done, __ATOMIC_SEQ_CST);
		change_slots(g, mem);
		changes++;
		while (__atomic_load_n(&nr_running, __ATOMIC_SEQ_CST) &&
		       __atomic_load_n(&nr_done, __ATOMIC_SEQ_CST) == seen)
			sched_yield();
	}

	for (i = 0; i < NR_VCPUS; i++)
		pthread_join(workers[i].thread, NULL);

	TEST_ASSERT(changes, "No slot was changed meanwhile");
	TEST_ASSERT(!!tg_stat(g, "mmu_pte_write") == tg_shadowed(),
		    "%lu writes emulated", tg_stat(g, "mmu_pte_write"));

	/* With the last shadow pages gone, nothing is tracked. */
	change_slots(g, mem);
	TG_ASSERT_STAT(g, "mmu_unsync", 0);
	if (tg_has_page_track_stats(g->vm))
		TG_ASSERT_STAT(g, "page_track_pages", 0);
	munmap(mem, PAGE_SIZE);
}

int main(int argc, char *argv[])
{
	static const struct tg_case cases[] = {
		{ "vCPUs and slots", test_race, TG_ALL_MODES },
	};

	nr_rounds = tg_get_rounds(argc, argv, 40);
	tg_run_cases(cases, ARRAY_SIZE(cases));
}
