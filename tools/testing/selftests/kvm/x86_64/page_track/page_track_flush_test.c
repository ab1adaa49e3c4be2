// SPDX-License-Identifier: GPL-2.0-only
/*
 * A page becomes a page table while another vCPU writes to it all the time: that
 * vCPU's TLB has to lose the writable translation before the table is used.
 */
#include <pthread.h>

#include "cases.h"
#include "guest.h"
#include "stats.h"

#define VA		0x40c01000ul
#define STOP_VA		0x40c02000ul
#define OTHER_SLOT	TG_NR_SLOTS
#define OTHER_GPA	0x10000000ul

static int nr_rounds;

struct writer {
	struct tiny_guest g;
	pthread_t thread;
	uint64_t pos;		/* gpa of the entry that is written */
	uint64_t entry[2];	/* written all the time, written last */
};

static uint32_t *stop_word(struct tiny_guest *g)
{
	return addr_gpa2hva(g->vm, tg_data(100));
}

static void *spin(void *arg)
{
	struct writer *w = arg;
	struct kvm_regs regs = {
		.rdi = tg_edit_va(w->pos),
		.rsi = STOP_VA,
		.rax = w->entry[0],
		.rdx = w->entry[1],
	};

	TEST_ASSERT(tg_run(&w->g, TG_SPIN4, &regs), "The writer faulted");
	return NULL;
}

static uint32_t written(struct writer *w)
{
	return __atomic_load_n((uint32_t *)addr_gpa2hva(w->g.vm, w->pos),
			       __ATOMIC_SEQ_CST);
}

/* The writer has a root of its own: to it, the table is nothing but data. */
static void init_writer(struct tiny_guest *g, struct writer *w)
{
	tg_map(g, VA, tg_data(0));
	w->pos = tg_entry_gpa(g, VA, 2);
	w->entry[0] = tg_new_path(g, VA, 2, tg_data(1));
	w->entry[1] = tg_new_path(g, VA, 2, tg_data(2));

	w->g = *g;
	w->g.root = tg_new_root(&w->g);
	tg_map(&w->g, STOP_VA, tg_data(100));
	tg_add_vcpu(&w->g, &w->g, 1);
}

/* All shadow pages go with any slot: no page is a page table any more. */
static void untrack(struct tiny_guest *g)
{
	vm_userspace_mem_region_add(g->vm, VM_MEM_SRC_ANONYMOUS, OTHER_GPA,
				    OTHER_SLOT, 1, 0);
	vm_mem_region_delete(g->vm, OTHER_SLOT);
}

static void test_flush(struct tiny_guest *g)
{
	uint64_t writes;
	struct writer w;
	int i;

	init_writer(g, &w);

	for (i = 0; i < nr_rounds; i++) {
		untrack(g);
		tg_write_entry(g, w.pos, 0);
		__atomic_store_n(stop_word(g), 0, __ATOMIC_SEQ_CST);
		writes = tg_stat(g, "mmu_pte_write");

		pthread_create(&w.thread, NULL, spin, &w);
		while (written(&w) != (uint32_t)w.entry[0])
			sched_yield();

		TG_ASSERT_LOAD(g, VA, tg_data(1));
		__atomic_store_n(stop_word(g), 1, __ATOMIC_SEQ_CST);
		pthread_join(w.thread, NULL);

		tg_flush(g);
		TG_ASSERT_LOAD(g, VA, tg_data(2));
		TEST_ASSERT(tg_stat(g, "mmu_pte_write") > writes || !tg_shadowed(),
			    "No write was emulated in round %d", i);
	}
}

int main(int argc, char *argv[])
{
	static const struct tg_case cases[] = {
		{ "a writer loses its translation", test_flush, TG_ALL_MODES },
	};

	nr_rounds = tg_get_rounds(argc, argv, 20);
	tg_run_cases(cases, ARRAY_SIZE(cases));
}
