// SPDX-License-Identifier: GPL-2.0-only
/*
 * A slot of SMM that is not aligned, or small, costs the normal address space no huge
 * page.  What is tracked there does.
 */
#include <sys/mman.h>

#include "cases.h"
#include "stats.h"
#include "tracker.h"

#define VA		0x40000000ul
#define SLOT		TG_NR_SLOTS
#define SMM_SLOT	((1 << 16) | SLOT)
#define GPA		0x10000000ul
#define NR_HUGE		4
#define SIZE		(NR_HUGE * TG_HUGE_SIZE)

/* Have a page tracked, else KVM does not look at SMM where nothing is shadowed. */
static void track_elsewhere(struct tiny_guest *g, struct tracker *t)
{
	tracker_create(g->vm, t, 64, 0, 0);
	tracker_add(t, tg_data(5), PAGE_SIZE, TRACKER_NOTIFY);
}

/* All huge pages can be mapped still after SMM was given @size bytes at @offset. */
static void test_smm_slot(struct tiny_guest *g, uint64_t offset, uint64_t size,
			  uint64_t misaligned, bool with_tracker)
{
	uint64_t huge = tg_add_huge(g, VA, GPA, SLOT, NR_HUGE);
	struct tracker t;
	char *mem;
	int i;

	if (!huge)
		return;

	if (with_tracker)
		track_elsewhere(g, &t);

	mem = mmap(NULL, SIZE + 2 * TG_HUGE_SIZE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	TEST_ASSERT(mem != MAP_FAILED, "mmap() failed, errno %d", errno);
	vm_set_user_memory_region(g->vm, SMM_SLOT, 0, GPA + offset, size,
				  (void *)align_ptr_up(mem, TG_HUGE_SIZE) + offset + misaligned);

	/* Map it anew. */
	vm_mem_region_move(g->vm, SLOT, GPA + 2 * SIZE);
	vm_mem_region_move(g->vm, SLOT, GPA);
	for (i = 0; i < NR_HUGE; i++)
		tg_store(g, VA + i * TG_HUGE_SIZE, 0x78, 4);
	TEST_ASSERT(tg_stat(g, "pages_2m") >= NR_HUGE, "12: %lu huge pages are left",
		    tg_stat(g, "pages_2m"));

	if (with_tracker) {
		huge = tg_stat(g, "pages_2m");
		tracker_add(&t, GPA + offset, PAGE_SIZE, TRACKER_NOTIFY);
		tg_store(g, VA + offset + PAGE_SIZE, 0x79, 4);
		TG_ASSERT_STAT(g, "pages_2m", huge - 1);
		tracker_close(&t);
		tg_store(g, VA + offset + PAGE_SIZE, 0x7a, 4);
		TG_ASSERT_STAT(g, "pages_2m", huge);
	}

	vm_set_user_memory_region(g->vm, SMM_SLOT, 0, GPA + offset, 0, NULL);
	munmap(mem, SIZE + 2 * TG_HUGE_SIZE);
}

static void test_misaligned(struct tiny_guest *g)
{
	test_smm_slot(g, 0, SIZE, PAGE_SIZE, false);
}

static void test_misaligned_tracked(struct tiny_guest *g)
{
	test_smm_slot(g, 0, SIZE, PAGE_SIZE, true);
}

static void test_small(struct tiny_guest *g)
{
	test_smm_slot(g, 5 * PAGE_SIZE, PAGE_SIZE, 0, false);
}

static void test_small_tracked(struct tiny_guest *g)
{
	test_smm_slot(g, 5 * PAGE_SIZE, PAGE_SIZE, 0, true);
}

int main(void)
{
	static const struct tg_case cases[] = {
		{ "12: misaligned", test_misaligned, TG_4LEVEL_BIT },
		{ "12: one page", test_small, TG_4LEVEL_BIT },
		{ "12: misaligned, tracker", test_misaligned_tracked, TG_4LEVEL_BIT, true },
		{ "12: one page, tracker", test_small_tracked, TG_4LEVEL_BIT, true },
	};

	tracker_require();
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_X86_SMM));
	tg_run_cases(cases, ARRAY_SIZE(cases));
}
