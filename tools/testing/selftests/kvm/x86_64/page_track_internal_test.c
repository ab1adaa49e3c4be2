// SPDX-License-Identifier: GPL-2.0-only
/*
 * A tracker of all guest physical addresses tracks the slots of userspace, not those
 * that KVM has for itself: the APIC access page, and, without unrestricted guest, a
 * TSS and an identity map.
 */
#include "page_tracker.h"

#define PAGES	(PT_CODE_PAGES + PT_ARENA_PAGES + PT_DATA_PAGES)

static void test_all(struct pt_guest *g)
{
	struct tracker t;

	pt_load(g, PT_OP_GPA);
	tracker_create(g->vm, &t, 1024, 0, 0);
	tracker_add(&t, 0, BIT(36), TRACKER_ONCE);
	PT_ASSERT_STAT(g, "page_track_pages", PAGES);

	/* Those that come later, either. */
	vm_ioctl(g->vm, KVM_SET_TSS_ADDR, (void *)0xfffbd000ul);
	PT_ASSERT_STAT(g, "page_track_pages", PAGES);
	tracker_add(&t, 0, BIT(36), TRACKER_NOTIFY);
	PT_ASSERT_STAT(g, "page_track_pages", PAGES);
	tracker_close(&t);

	tracker_create(g->vm, &t, 1024, 0, 0);
	tracker_add(&t, 0, BIT(36), TRACKER_NOTIFY);
	PT_ASSERT_STAT(g, "page_track_pages", PAGES);
	tracker_close(&t);
}

int main(void)
{
	static const struct pt_case cases[] = {
		{ "11: all is tracked", test_all, PT_4LEVEL_BIT, true },
	};

	tracker_require();
	pt_run_cases(cases, ARRAY_SIZE(cases));
}
