// SPDX-License-Identifier: GPL-2.0-only
/*
 * Instructions that KVM's emulator does not know: their first write to a tracked
 * page leads to an event that says so, then the page is the CPU's own.
 */
#include <string.h>

#include "cases.h"
#include "tracker.h"

#define VA		0x40000000ul
#define GPA		tg_data(0)

/* Do @op at @offset, with one of two trackers reporting once only. */
static void run_unemulated(struct tiny_guest *g, enum tg_op op, int offset)
{
	struct kvm_regs regs = { .rdi = VA + offset, .rax = 7 };
	struct kvm_page_track_event want;
	struct tracker notify, once;
	uint64_t byte;

	tracker_create(g->vm, &notify, 64, 0, 0);
	tracker_create(g->vm, &once, 64, 0, 0);
	tracker_add(&notify, GPA, 2 * PAGE_SIZE, TRACKER_NOTIFY);
	tracker_add(&once, GPA + PAGE_SIZE, PAGE_SIZE, TRACKER_ONCE);
	memset(addr_gpa2hva(g->vm, GPA), 0xee, 2 * PAGE_SIZE);

	TEST_ASSERT(tg_run(g, op, &regs), "Operation %d faulted", op);
	byte = *(uint8_t *)addr_gpa2hva(g->vm, GPA + offset);
	TEST_ASSERT(byte != 0xee, "Operation %d did not write", op);

	want = tracker_untracked_event(g, VA + offset, GPA + offset);
	want.flags |= KVM_PAGE_TRACK_EVENT_UNEMULATED;
	want.rip = tg_op_rip(op);
	TRACKER_ASSERT_EVENT(&notify, &want);
	TRACKER_ASSERT_EMPTY(&notify);
	TRACKER_ASSERT_EMPTY(&once);

	/* The other page is as it was. */
	tg_store(g, VA + PAGE_SIZE, 1, 4);
	TEST_ASSERT_EQ(tracker_count(&notify), 1);
	TEST_ASSERT_EQ(tracker_count(&once), 1);
	tracker_close(&once);
	tracker_close(&notify);
}

static void map_pages(struct tiny_guest *g)
{
	tg_map(g, VA, GPA);
	tg_map(g, VA + PAGE_SIZE, GPA + PAGE_SIZE);
}

static void test_avx(struct tiny_guest *g)
{
	map_pages(g);
	if (tg_enable_avx(g))
		run_unemulated(g, TG_STORE32_AVX, 0x40);
}

static void test_xsave(struct tiny_guest *g)
{
	map_pages(g);
	if (tg_enable_avx(g))
		run_unemulated(g, TG_XSAVE, 0x40);
}

static void test_fxsave(struct tiny_guest *g)
{
	map_pages(g);
	run_unemulated(g, TG_FXSAVE, 0x40);
}

/* Both pages of one instruction are tracked: two events, one after the other. */
static void test_crossing(struct tiny_guest *g)
{
	struct kvm_regs regs = { .rdi = VA + PAGE_SIZE - 8 };
	struct kvm_page_track_event event;
	struct tracker t;
	uint64_t gpas = 0;
	int i;

	map_pages(g);
	if (!tg_enable_avx(g))
		return;

	tracker_create(g->vm, &t, 64, 0, 0);
	tracker_add(&t, GPA, 2 * PAGE_SIZE, TRACKER_NOTIFY);
	TEST_ASSERT(tg_run(g, TG_STORE32_AVX, &regs), "The store faulted");
	for (i = 0; i < 2; i++) {
		TEST_ASSERT(tracker_pop(&t, &event), "%d events only", i);
		TEST_ASSERT(event.flags & KVM_PAGE_TRACK_EVENT_UNEMULATED, "flags are 0x%x",
			    event.flags);
		gpas += event.gpa & PAGE_MASK;
	}
	TEST_ASSERT_EQ(gpas, 2 * GPA + PAGE_SIZE);
	TRACKER_ASSERT_EMPTY(&t);
	tracker_close(&t);
}

int main(void)
{
	static const struct tg_case cases[] = {
		{ "a store by AVX", test_avx, TG_ALL_MODES },
		{ "xsave", test_xsave, TG_ALL_MODES },
		{ "fxsave in 64-bit mode", test_fxsave, TG_4LEVEL_BIT },
		{ "a store by AVX that crosses pages", test_crossing, TG_4LEVEL_BIT },
	};

	tracker_require();
	tg_run_cases(cases, ARRAY_SIZE(cases));
}
