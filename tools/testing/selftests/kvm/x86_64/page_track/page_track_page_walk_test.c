// SPDX-License-Identifier: GPL-2.0-only
/*
 * With two-dimensional paging, the CPU's page walk faults on a tracked page table
 * as it may have to set accessed bits.  The emulator must not take the faulting
 * entry for what the instruction accesses, though the offsets in their pages are
 * the same here.  Nor may a CALL take the return address' place for its target's.
 */
#include <string.h>

#include "cases.h"
#include "stats.h"
#include "tracker.h"

/* The offset of the entry for VA in its table is that of VA in its page. */
#define VA	(0x40000000ul + 0x20 * PAGE_SIZE + 0x100)
#define GPA	(tg_data(1) + 0x100)
#define VAL	0x600df00dul

static uint64_t init_table(struct tiny_guest *g, struct tracker *t, uint32_t action)
{
	uint64_t pos;

	tg_map(g, VA & PAGE_MASK, GPA & PAGE_MASK);
	pos = tg_entry_gpa(g, VA, 1);
	TEST_ASSERT_EQ(pos % PAGE_SIZE, VA % PAGE_SIZE);

	tracker_create(g->vm, t, 64, 0, 0);
	tracker_add(t, pos & PAGE_MASK, PAGE_SIZE, action);
	return pos;
}

static void test_notify(struct tiny_guest *g)
{
	uint64_t pos, entry;
	struct tracker t;

	pos = init_table(g, &t, TRACKER_NOTIFY);
	entry = tg_read_entry(g, pos);
	*(uint32_t *)addr_gpa2hva(g->vm, GPA) = VAL;

	TG_ASSERT_LOAD(g, VA, VAL);
	tg_store(g, VA, VAL + 1, 4);
	TG_ASSERT_LOAD(g, VA, VAL + 1);
	TEST_ASSERT_EQ(*(uint32_t *)addr_gpa2hva(g->vm, GPA), VAL + 1);
	TEST_ASSERT_EQ(tg_read_entry(g, pos), entry);

	/* The walk itself is no write of the guest's. */
	TRACKER_ASSERT_EMPTY(&t);
	tracker_close(&t);
}

static void test_once(struct tiny_guest *g)
{
	struct kvm_page_track_event event;
	struct tracker t;
	uint64_t pos;

	pos = init_table(g, &t, TRACKER_ONCE);
	tg_store(g, VA, VAL, 4);
	TEST_ASSERT_EQ(*(uint32_t *)addr_gpa2hva(g->vm, GPA), VAL);

	/* If they are shadowed, KVM walks them itself. */
	if (!tg_shadowed()) {
		TEST_ASSERT(tracker_pop(&t, &event), "The walk was not told");
		TEST_ASSERT_EQ(event.gpa, pos);
		TEST_ASSERT_EQ(event.flags, KVM_PAGE_TRACK_EVENT_UNTRACKED |
			       KVM_PAGE_TRACK_EVENT_PAGE_WALK);
	}
	TRACKER_ASSERT_EMPTY(&t);
	tracker_close(&t);
}

/* The fault is on the stack: the CALL must not take its target from there. */
static void test_call(struct tiny_guest *g)
{
	struct kvm_regs regs = { .rdi = VA + PAGE_SIZE + 8, .rsi = VA };
	struct kvm_page_track_event want;
	struct tracker t;

	tg_map(g, VA & PAGE_MASK, GPA & PAGE_MASK);
	tg_map(g, (VA & PAGE_MASK) + PAGE_SIZE, (GPA & PAGE_MASK) + PAGE_SIZE);
	memset(addr_gpa2hva(g->vm, GPA + PAGE_SIZE), 0xff, 8);
	tracker_create(g->vm, &t, 64, 0, 0);
	tracker_add(&t, (GPA & PAGE_MASK) + PAGE_SIZE, PAGE_SIZE, TRACKER_NOTIFY);

	TEST_ASSERT(tg_run(g, TG_CALL, &regs), "The CALL went astray");
	TEST_ASSERT_EQ(regs.rsp, VA + PAGE_SIZE);
	TEST_ASSERT(!memcmp(addr_gpa2hva(g->vm, GPA + PAGE_SIZE), &regs.rax, 8),
		    "No return address on the stack");

	want = tracker_write_event(g, VA + PAGE_SIZE, GPA + PAGE_SIZE, &regs.rax, 8);
	TRACKER_ASSERT_EVENT(&t, &want);
	TRACKER_ASSERT_EMPTY(&t);
	tracker_close(&t);
}

int main(void)
{
	static const struct tg_case cases[] = {
		{ "a walk through a tracked table is no access", test_notify, TG_4LEVEL_BIT },
		{ "a walk through a table tracked once is told", test_once, TG_4LEVEL_BIT },
		{ "a call finds its target while its stack is tracked", test_call, TG_4LEVEL_BIT },
	};

	tracker_require();
	tg_run_cases(cases, ARRAY_SIZE(cases));
}
