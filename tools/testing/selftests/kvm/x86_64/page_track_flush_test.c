// SPDX-License-Identifier: GPL-2.0-only
/*
 * A page becomes a page table while another vCPU writes to it all the time: that
 * vCPU's TLB has to lose the writable translation before the table is used.
 */
#include <pthread.h>

#include "page_track.h"

#define VA		0x40c01000ul
#define STOP_VA		0x40c02000ul
#define OTHER_SLOT	PT_NR_SLOTS
#define OTHER_GPA	0x10000000ul

static int nr_rounds;

struct writer {
	struct pt_guest g;
	pthread_t thread;
	uint64_t pos;		/* gpa of the entry that is written */
	uint64_t entry[2];	/* written all the time, written last */
};

static uint32_t *stop_word(struct pt_guest *g)
{
	return addr_gpa2hva(g->vm, pt_data(100));
}

static void *spin(void *arg)
{
	struct writer *w = arg;
	struct kvm_regs regs = {
		.rdi = pt_edit_va(w->pos),
		.rsi = STOP_VA,
		.rax = w->entry[0],
		.rdx = w->entry[1],
	};

	TEST_ASSERT(pt_run(&w->g, PT_SPIN4, &regs), "The writer faulted");
	return NULL;
}

static uint32_t written(struct writer *w)
{
	return __atomic_load_n((uint32_t *)addr_gpa2hva(w->g.vm, w->pos),
			       __ATOMIC_SEQ_CST);
}

/* The writer has a root of its own: to it, the table is nothing but data. */
static void init_writer(struct pt_guest *g, struct writer *w)
{
	pt_map(g, VA, pt_data(0));
	w->pos = pt_entry_gpa(g, VA, 2);
	w->entry[0] = pt_new_path(g, VA, 2, pt_data(1));
	w->entry[1] = pt_new_path(g, VA, 2, pt_data(2));

	w->g = *g;
	w->g.root = pt_new_root(&w->g);
	pt_map(&w->g, STOP_VA, pt_data(100));
	pt_add_vcpu(&w->g, &w->g, 1);
}

/* All shadow pages go with any slot: no page is a page table any more. */
static void untrack(struct pt_guest *g)
{
	vm_userspace_mem_region_add(g->vm, VM_MEM_SRC_ANONYMOUS, OTHER_GPA,
				    OTHER_SLOT, 1, 0);
	vm_mem_region_delete(g->vm, OTHER_SLOT);
}

static void test_flush(struct pt_guest *g)
{
	uint64_t writes;
	struct writer w;
	int i;

	init_writer(g, &w);

	for (i = 0; i < nr_rounds; i++) {
		untrack(g);
		pt_write_entry(g, w.pos, 0);
		__atomic_store_n(stop_word(g), 0, __ATOMIC_SEQ_CST);
		writes = pt_stat(g, "mmu_pte_write");

		pthread_create(&w.thread, NULL, spin, &w);
		while (written(&w) != (uint32_t)w.entry[0])
			sched_yield();

		PT_ASSERT_LOAD(g, VA, pt_data(1));
		__atomic_store_n(stop_word(g), 1, __ATOMIC_SEQ_CST);
		pthread_join(w.thread, NULL);

		pt_flush(g);
		PT_ASSERT_LOAD(g, VA, pt_data(2));
		TEST_ASSERT(pt_stat(g, "mmu_pte_write") > writes || !pt_shadowed(),
			    "No write was emulated in round %d", i);
	}
}

int main(int argc, char *argv[])
{
	static const struct pt_case cases[] = {
		{ "a writer loses its translation", test_flush, PT_ALL_MODES },
	};

	nr_rounds = pt_get_rounds(argc, argv, 20);
	pt_run_cases(cases, ARRAY_SIZE(cases));
}
