// SPDX-License-Identifier: GPL-2.0-only
/*
 * What KVM's emulator does not know, the CPU does itself on a tracked page, each time,
 * if the tracker wants it: the page stays tracked, and each write is told.
 */
#include <string.h>

#include "cases.h"
#include "stats.h"
#include "tracker.h"

#define VA		0x40000000ul
#define GPA		tg_data(0)
#define ROUNDS		3

static void map_pages(struct tiny_guest *g)
{
	tg_map(g, VA, GPA);
	tg_map(g, VA + PAGE_SIZE, GPA + PAGE_SIZE);
}

/* The event of a step that has written at @offset, where memory has the bytes. */
static void check_event(struct tiny_guest *g, struct tracker *t, enum tg_op op, int offset)
{
	struct kvm_page_track_event e;

	TEST_ASSERT(tracker_pop_finished(t, &e), "Operation %d was not told", op);
	TEST_ASSERT(e.flags & KVM_PAGE_TRACK_EVENT_STEPPED &&
		    !(e.flags & KVM_PAGE_TRACK_EVENT_UNTRACKED), "flags are 0x%x", e.flags);
	TEST_ASSERT_EQ(e.gpa, GPA + offset);
	TEST_ASSERT_EQ(e.rip, tg_op_rip(op));
	TEST_ASSERT_EQ(e.phase, KVM_PAGE_TRACK_PHASE_AFTER);
	TEST_ASSERT_EQ(e.len, 0);
	TEST_ASSERT(!memcmp(e.data, addr_gpa2hva(g->vm, GPA + offset), sizeof(e.data)),
		    "The bytes are not those in memory");
}

static void run_steps(struct tiny_guest *g, enum tg_op op, int offset)
{
	struct kvm_regs regs = { .rdi = VA + offset, .rax = 7 };
	uint64_t steps = tg_stat(g, "page_track_steps"), byte;
	struct kvm_page_track_event e;
	struct tracker t;
	int i;

	tracker_create(g->vm, &t, 64, KVM_PAGE_TRACKER_STEP, 0);
	tracker_add(&t, GPA, 2 * PAGE_SIZE, TRACKER_NOTIFY);

	for (i = 0; i < ROUNDS; i++) {
		memset(addr_gpa2hva(g->vm, GPA), 0xee, 2 * PAGE_SIZE);
		TEST_ASSERT(tg_run(g, op, &regs), "Operation %d faulted", op);
		byte = *(uint8_t *)addr_gpa2hva(g->vm, GPA + offset);
		TEST_ASSERT(byte != 0xee, "Operation %d did not write", op);
		check_event(g, &t, op, offset);
		TRACKER_ASSERT_EMPTY(&t);
		TG_ASSERT_STAT(g, "page_track_steps", steps + i + 1);

		/* What KVM can emulate still is emulated, and told. */
		tg_store(g, VA + offset, i, 4);
		TEST_ASSERT(tracker_pop(&t, &e) && e.len == 4, "The store was not told");
	}
	tracker_close(&t);
}

/* A page that a step has opened is closed to the next one, which opens another. */
static void test_closed(struct tiny_guest *g)
{
	const uint64_t offset = PAGE_SIZE - 256;
	struct kvm_regs regs = { .rdi = VA + PAGE_SIZE };
	struct tracker t;

	map_pages(g);
	tracker_create(g->vm, &t, 64, KVM_PAGE_TRACKER_STEP, 0);
	tracker_add(&t, GPA, 2 * PAGE_SIZE, TRACKER_NOTIFY);
	TEST_ASSERT(tg_run(g, TG_FXSAVE, &regs), "A fault");
	check_event(g, &t, TG_FXSAVE, PAGE_SIZE);

	regs.rdi = VA + offset;
	TEST_ASSERT(tg_run(g, TG_FXSAVE, &regs), "A fault");
	check_event(g, &t, TG_FXSAVE, offset);
	check_event(g, &t, TG_FXSAVE, PAGE_SIZE);
	TRACKER_ASSERT_EMPTY(&t);
	tracker_close(&t);
}

/* The second page is not there: what may be in the first one is told, and told again later. */
static void test_unfinished(struct tiny_guest *g)
{
	const uint64_t offset = PAGE_SIZE - 256;
	struct kvm_regs regs = { .rdi = VA + offset };
	struct kvm_page_track_event e;
	struct tracker t;

	tg_map(g, VA, GPA);
	tracker_create(g->vm, &t, 64, KVM_PAGE_TRACKER_STEP, 0);
	tracker_add(&t, GPA, PAGE_SIZE, TRACKER_NOTIFY);
	TEST_ASSERT(!tg_run(g, TG_FXSAVE, &regs), "No fault");
	do {
		TEST_ASSERT(tracker_pop(&t, &e), "Nothing was told");
		TEST_ASSERT_EQ(e.flags & ~KVM_PAGE_TRACK_EVENT_GVA,
			       KVM_PAGE_TRACK_EVENT_STEPPED | KVM_PAGE_TRACK_EVENT_UNFINISHED);
		TEST_ASSERT_EQ(e.gpa, GPA + offset);
	} while (tracker_count(&t));

	tg_map(g, VA + PAGE_SIZE, GPA + PAGE_SIZE);
	tg_flush(g);
	TEST_ASSERT(tg_run(g, TG_FXSAVE, &regs), "A fault");
	check_event(g, &t, TG_FXSAVE, offset);
	TRACKER_ASSERT_EMPTY(&t);
	tracker_close(&t);
}

/* Its shadow pages go with the last tracker, but not before. */
static void test_view(struct tiny_guest *g)
{
	struct kvm_regs regs = { .rdi = VA, .rax = 7 };
	uint64_t before, with_view, tries = 0;
	struct tracker t, other;

	map_pages(g);
	tg_store(g, VA, 1, 4);
	TEST_ASSERT(tg_run(g, TG_FXSAVE, &regs), "A fault");
	before = tg_stat(g, "pages_4k");

	tracker_create(g->vm, &t, 64, KVM_PAGE_TRACKER_STEP, 0);
	tracker_create(g->vm, &other, 64, 0, 0);
	tracker_add(&t, GPA, PAGE_SIZE, TRACKER_NOTIFY);
	TEST_ASSERT(tg_run(g, TG_FXSAVE, &regs), "A fault");
	tracker_close(&t);
	with_view = tg_stat(g, "pages_4k");
	TEST_ASSERT(with_view > before, "%lu SPTEs, and %lu before", with_view, before);

	/* A work item does it. */
	tracker_close(&other);
	while (tg_stat(g, "pages_4k") != before) {
		TEST_ASSERT(tries++ < 20000, "%lu SPTEs with the view, %lu without, %lu before",
			    with_view, tg_stat(g, "pages_4k"), before);
		usleep(1000);
	}
	pr_info("The view had %lu SPTEs\n", with_view - before);

	/* It comes again. */
	run_steps(g, TG_FXSAVE, 0x40);
}

static void test_sse(struct tiny_guest *g)
{
	map_pages(g);
	run_steps(g, TG_STORE4_SSE, 0x40);
}

static void test_avx(struct tiny_guest *g)
{
	map_pages(g);
	if (tg_enable_avx(g))
		run_steps(g, TG_STORE32_AVX, 0x40);
}

static void test_xsave(struct tiny_guest *g)
{
	map_pages(g);
	if (tg_enable_avx(g))
		run_steps(g, TG_XSAVE, 0x40);
}

static void test_fxsave(struct tiny_guest *g)
{
	map_pages(g);
	run_steps(g, TG_FXSAVE, 0x40);
}

int main(void)
{
	static const struct tg_case cases[] = {
		{ "a store by AVX", test_avx, TG_ALL_MODES, true },
		{ "xsave", test_xsave, TG_ALL_MODES, true },
		{ "fxsave in 64-bit mode", test_fxsave, TG_4LEVEL_BIT, true },
		{ "what is open is closed behind a step", test_closed, TG_4LEVEL_BIT, true },
		{ "fxsave that comes half way", test_unfinished, TG_4LEVEL_BIT, true },
		{ "the view goes with the last tracker", test_view, TG_4LEVEL_BIT, true },
		{ "a store by SSE", test_sse, TG_ALL_MODES, true },
	};

	tracker_require();
	tg_run_cases(cases, ARRAY_SIZE(cases));
}
