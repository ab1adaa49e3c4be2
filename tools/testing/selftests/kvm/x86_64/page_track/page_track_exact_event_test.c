// SPDX-License-Identifier: GPL-2.0-only
/*
 * Exceptions, interrupts and NMIs that the guest takes while its stack, GDT and TSS are
 * tracked: frames, registers and error codes are as without tracking, wherever the frame
 * is.  KVM gives the pages up, or has the CPU take the event in a step.
 */
#include <string.h>

#include "cases.h"
#include "exact.h"
#include "stats.h"

#define NR_EVENTS	64
#define UNMAPPED	0x7ff00000ul	/* in the tables of any guest of 32 or 64 bits */
#define INTERRUPT	0x20
#define TRAP_FLAG	0x100ul

/* The pages of an outcome. */
enum { STACK, BELOW, TABLES, NR_PAGES };

enum injection { NONE, BY_INTERRUPT, BY_NMI };

struct event {
	const char *name;
	uint8_t code[6];
	uint64_t rflags;
	enum injection injection;
	int vector;
	bool has_paging, may_be_unknown;
};

static const struct event events[] = {
	{ "int $0x21", { 0xcd, 0x21 }, 0, NONE, 0x21 },
	{ "int $0x81", { 0xcd, 0x81 }, 0, NONE, 0x81 },
	{ "int3", { 0xcc }, 0, NONE, BP_VECTOR },
	{ "icebp", { 0xf1 }, 0, NONE, DB_VECTOR, false, true },
	{ "#DE", { 0xf7, 0xf1 }, 0, NONE, DE_VECTOR },
	{ "#DB by TF", { 0x90 }, TRAP_FLAG, NONE, DB_VECTOR },
	{ "#UD", { 0x0f, 0x0b }, 0, NONE, UD_VECTOR },
	{ "#GP of a selector", { 0x8e, 0xd8 }, 0, NONE, GP_VECTOR, true },
	{ "#PF", { 0x88, 0x02 }, 0, NONE, PF_VECTOR, true },
	{ "an interrupt", { 0x90 }, 0, BY_INTERRUPT, INTERRUPT },
	{ "an NMI", { 0x90 }, 0, BY_NMI, NMI_VECTOR },
};

struct test {
	struct exact x;
	struct tracker t;
	const struct event *event;
	bool steps;
	uint64_t stack;
	struct kvm_sregs sregs;
	uint8_t before[NR_PAGES][PAGE_SIZE];
};

static uint64_t page_gpa(int i)
{
	static const uint64_t gpas[NR_PAGES] = { EXACT_GPA, EXACT_SRC_GPA, EXACT_GDT_GPA };

	return gpas[i];
}

static void inject(struct exact *x, enum injection injection)
{
	struct kvm_vcpu_events e = { 0 };

	if (injection == BY_INTERRUPT) {
		e.interrupt.injected = 1;
		e.interrupt.nr = INTERRUPT;
	} else if (injection == BY_NMI) {
		e.nmi.injected = 1;
	}
	vcpu_events_set(x->g->vcpu, &e);
}

/* In 64-bit mode, exceptions take the stack from the TSS. */
static void set_stack(struct test *test)
{
	memcpy(test->x.mem[TABLES] + (EXACT_TSS_GPA & ~PAGE_MASK) + 0x24, &test->stack, 8);
}

static void run(struct test *test, struct exact_outcome *o)
{
	struct exact *x = &test->x;
	struct kvm_regs regs = exact_regs(x);
	int i;

	for (i = 0; i < NR_PAGES; i++)
		tg_copy_page(x->mem[i], test->before[i]);

	memset(addr_gpa2hva(x->g->vm, EXACT_CODE_GPA), 0xf4, EXACT_CODE_SIZE);
	memcpy(addr_gpa2hva(x->g->vm, EXACT_CODE_GPA), test->event->code,
	       sizeof(test->event->code));
	regs.rflags |= test->event->rflags;
	regs.rsp = test->stack;
	regs.rcx = 0;
	regs.rdx = UNMAPPED;
	/* An exception there leaves SS empty. */
	if (x->bits == 64)
		vcpu_sregs_set(x->g->vcpu, &test->sregs);
	exact_reset(x, &regs);
	inject(x, test->event->injection);
	exact_run(x, o);
}

/* Each page that has changed was told, by the step or as given up. */
static bool check_events(struct test *test, const struct exact_outcome *o)
{
	uint32_t want = test->steps ? KVM_PAGE_TRACK_EVENT_STEPPED :
				      KVM_PAGE_TRACK_EVENT_UNTRACKED;
	bool told[NR_PAGES] = {}, ok = true;
	struct kvm_page_track_event e;
	int i;

	while (tracker_pop_finished(&test->t, &e)) {
		for (i = 0; i < NR_PAGES; i++)
			told[i] |= (e.gpa & PAGE_MASK) == page_gpa(i);
		/* Of real mode, KVM emulates the delivery of what an instruction leads to. */
		if (test->x.bits == 16)
			continue;
		if (!(e.flags & want)) {
			pr_info("%s: 0x%llx has flags 0x%x\n", test->event->name, e.gpa,
				e.flags);
			ok = false;
		}
	}

	for (i = 0; i < NR_PAGES; i++) {
		if (!tg_is_same_page(o->mem[i], test->before[i]) && !told[i]) {
			pr_info("%s: page %d was not told\n", test->event->name, i);
			ok = false;
		}
	}

	return ok;
}

static bool run_event(struct test *test)
{
	uint64_t steps = tg_stat(test->x.g, "page_track_steps");
	static struct exact_outcome want, got;
	bool ok;
	int i;

	run(test, &want);
	/* In virtual-8086 mode, the base fails to emulate what goes through Bochs' IDT first. */
	if ((test->event->may_be_unknown && want.vector == UD_VECTOR) ||
	    (exact_is_vm86(&test->x) && want.exit == KVM_EXIT_INTERNAL_ERROR)) {
		pr_info("The CPU, or KVM, has no %s\n", test->event->name);
		return true;
	}
	TEST_ASSERT(want.vector == test->event->vector, "%s: vector %d, exit %u, errno %d",
		    test->event->name, want.vector, want.exit, want.err);
	TEST_ASSERT(!tg_is_same_page(want.mem[STACK], test->before[STACK]) ||
		    !tg_is_same_page(want.mem[BELOW], test->before[BELOW]),
		    "%s: nothing is on the stack", test->event->name);

	for (i = 0; i < NR_PAGES; i++)
		tracker_add(&test->t, page_gpa(i), PAGE_SIZE, TRACKER_NOTIFY);
	run(test, &got);
	for (i = 0; i < NR_PAGES; i++)
		exact_untrack(&test->t, page_gpa(i));

	ok = check_events(test, &got);
	ok &= exact_is_same(&test->x, test->event->name, &want, &got, 0);
	steps = tg_stat(test->x.g, "page_track_steps") - steps;
	if (test->steps ? !steps && test->x.bits != 16 : steps) {
		pr_info("%s: %lu steps\n", test->event->name, steps);
		ok = false;
	}
	return ok;
}

/* @rsp: where frames are to be. */
static int run_events(struct test *test, uint64_t rsp)
{
	int nr_failed = 0, i;

	test->stack = rsp;
	set_stack(test);
	for (i = 0; i < NR_PAGES; i++)
		tg_copy_page(test->before[i], test->x.mem[i]);

	for (i = 0; i < ARRAY_SIZE(events); i++) {
		test->event = &events[i];
		if (test->x.bits != 16 || !test->event->has_paging)
			nr_failed += !run_event(test);
	}

	return nr_failed;
}

static void test_events(struct tiny_guest *g, int bits, uint32_t flags)
{
	static struct test test;
	uint64_t steps;
	int nr_failed, i;

	exact_init(&test.x, g, bits);
	for (i = 0; i < NR_PAGES; i++)
		test.x.mem[i] = addr_gpa2hva(g->vm, page_gpa(i));
	vcpu_sregs_get(g->vcpu, &test.sregs);
	test.steps = flags && !exact_is_vm86(&test.x);
	tracker_create(g->vm, &test.t, NR_EVENTS, flags, 0);

	/* In one page, and in two; 64-bit frames are aligned to 16 bytes. */
	steps = tg_stat(g, "page_track_steps");
	nr_failed = run_events(&test, EXACT_TOP);
	nr_failed += run_events(&test, EXACT_GPA + (bits == 64 ? 16 : 4));
	tracker_close(&test.t);

	TEST_ASSERT(!nr_failed, "%d of %zu events are not as without tracking", nr_failed,
		    2 * ARRAY_SIZE(events));
	TEST_ASSERT(!test.steps == (tg_stat(g, "page_track_steps") == steps),
		    "%lu steps", tg_stat(g, "page_track_steps") - steps);
}

static void test_64(struct tiny_guest *g)
{
	test_events(g, 64, 0);
}

static void test_64_steps(struct tiny_guest *g)
{
	test_events(g, 64, KVM_PAGE_TRACKER_STEP);
}

static void test_32(struct tiny_guest *g)
{
	test_events(g, 32, 0);
}

static void test_32_steps(struct tiny_guest *g)
{
	test_events(g, 32, KVM_PAGE_TRACKER_STEP);
}

static void test_16(struct tiny_guest *g)
{
	test_events(g, 16, 0);
}

static void test_16_steps(struct tiny_guest *g)
{
	test_events(g, 16, KVM_PAGE_TRACKER_STEP);
}

int main(void)
{
	static const struct tg_case cases[] = {
		{ "events", test_64, TG_4LEVEL_BIT, true },
		{ "events, stepped", test_64_steps, TG_4LEVEL_BIT, true },
		{ "events", test_32, TG_32_BIT | TG_PAE_BIT, true },
		{ "events, stepped", test_32_steps, TG_32_BIT | TG_PAE_BIT, true },
		{ "events in real mode", test_16, TG_32_BIT, true },
		{ "events in real mode, stepped", test_16_steps, TG_32_BIT, true },
	};

	tracker_require();
	tg_run_cases(cases, ARRAY_SIZE(cases));
}
