// SPDX-License-Identifier: GPL-2.0-only
/*
 * A tracker of all guest physical addresses tracks the slots of userspace, not those
 * that KVM has for itself: the APIC access page, and, without unrestricted guest, a
 * TSS and an identity map.
 */
#include "cases.h"
#include "stats.h"
#include "tracker.h"

#define PAGES	(TG_CODE_PAGES + TG_ARENA_PAGES + TG_DATA_PAGES)

static void test_all(struct tiny_guest *g)
{
	struct tracker t;

	tg_load(g, TG_OP_GPA);
	tracker_create(g->vm, &t, 1024, 0, 0);
	tracker_add(&t, 0, BIT(36), TRACKER_ONCE);
	TG_ASSERT_STAT(g, "page_track_pages", PAGES);

	/* Those that come later, either. */
	vm_ioctl(g->vm, KVM_SET_TSS_ADDR, (void *)0xfffbd000ul);
	TG_ASSERT_STAT(g, "page_track_pages", PAGES);
	tracker_add(&t, 0, BIT(36), TRACKER_NOTIFY);
	TG_ASSERT_STAT(g, "page_track_pages", PAGES);
	tracker_close(&t);

	tracker_create(g->vm, &t, 1024, 0, 0);
	tracker_add(&t, 0, BIT(36), TRACKER_NOTIFY);
	TG_ASSERT_STAT(g, "page_track_pages", PAGES);
	tracker_close(&t);
}

int main(void)
{
	static const struct tg_case cases[] = {
		{ "11: all is tracked", test_all, TG_4LEVEL_BIT, true },
	};

	tracker_require();
	tg_run_cases(cases, ARRAY_SIZE(cases));
}
