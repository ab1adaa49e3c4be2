// SPDX-License-Identifier: GPL-2.0-only
/*
 * An access that crosses into a second page of any kind, one of the two tracked, does
 * what it does without tracking: nothing, if one page cannot be accessed, and all of
 * it, told once, when that was mended.  Findings R2 and R3.
 */
#include <string.h>

#include "cases.h"
#include "exact.h"
#include "kselftest.h"

#define RF		0x10000ul
#define GROUP_SIZE	(EXACT_NR_GROUP_PAGES * PAGE_SIZE)

#define PLAIN_OFFSET	(EXACT_PLAIN * PAGE_SIZE + 0x340)
#define PLAIN_TOP	(EXACT_PLAIN * PAGE_SIZE + 0x800)

/* What is crossed, the page that is tracked, and which place of pick_place() is first. */
static const struct order {
	int boundary;
	enum exact_page tracked;
	int place;
} orders[] = {
	{ EXACT_OTHER * PAGE_SIZE, EXACT_BEFORE, 1 },
	{ EXACT_BEHIND * PAGE_SIZE, EXACT_BEHIND, 0 },
	{ EXACT_BEFORE * PAGE_SIZE + 0x440, EXACT_BEFORE, 0 },	/* a cache line */
};

struct cross {
	struct exact x;
	struct tracker t;
	enum exact_kind kind;
	bool tracked[EXACT_NR_GROUP_PAGES];
	const struct exact_insn *insn;
	int nr;			/* of pieces, 0 if nothing is written to these pages */
	uint64_t rip;
	int start;		/* of what crosses, in the group */
	char name[160];
	uint8_t told[1024];	/* how often, each byte from target() on */
	int nr_other;		/* of bytes elsewhere that were told */
	int nr_events;		/* of all that was emulated, and of each page's steps */
	int nr_steps[EXACT_NR_GROUP_PAGES];
	bool steps;
	bool failed;
};

static uint64_t page_gpa(struct cross *c, int page)
{
	return exact_group_gpa(c->kind) + page * PAGE_SIZE;
}

/* In real mode, segments start there. */
static uint64_t group_va(struct cross *c)
{
	return c->x.bits == 16 ? 0 : exact_group_gpa(c->kind);
}

static bool is_push(const struct exact_insn *insn)
{
	return !strncmp(insn->name, "push", 4) || !strncmp(insn->name, "call", 4);
}

static bool is_source(const struct exact_insn *insn)
{
	return insn->nr & EXACT_SOURCE;
}

/* Where the instruction writes in the group. */
static int target(struct cross *c)
{
	if (!is_source(c->insn))
		return c->start;
	return is_push(c->insn) ? PLAIN_TOP - c->insn->len : PLAIN_OFFSET;
}

static struct kvm_regs start_regs(struct cross *c)
{
	struct kvm_regs regs = exact_regs(&c->x);

	regs.rip = c->rip;
	regs.rsi = group_va(c) + (is_source(c->insn) ? c->start : PLAIN_OFFSET);
	regs.rdi = group_va(c) + target(c);
	regs.rsp = is_push(c->insn) ? group_va(c) + target(c) + c->insn->len :
		   c->x.bits == 16 ? PLAIN_TOP : EXACT_STACK_GPA + 0x800;
	return regs;
}

static void fail(struct cross *c, const char *what)
{
	pr_info("%s: %s\n", c->name, what);
	c->failed = true;
}

/* A page that is away cannot be looked at. */
static void run(struct cross *c, struct exact_outcome *o)
{
	uint8_t *hva = c->x.mem[EXACT_OTHER];

	if (c->kind == EXACT_HOST_ABSENT)
		c->x.mem[EXACT_OTHER] = NULL;
	exact_run(&c->x, o);
	c->x.mem[EXACT_OTHER] = hva;
}

/* To the first stop, and from there to the end.  Returns how many outcomes there are. */
static int run_both(struct cross *c, struct exact_outcome *o, void (*at_stop)(struct cross *c))
{
	struct kvm_regs regs = start_regs(c);
	int i;

	for (i = 0; i < EXACT_NR_GROUP_PAGES; i++)
		exact_fill(&c->x, i);
	exact_break_page(&c->x, c->kind);
	exact_reset(&c->x, &regs);
	run(c, &o[0]);
	exact_mend_page(&c->x, c->kind);

	if (exact_has_ended(&o[0]) || o[0].exit == KVM_EXIT_INTERNAL_ERROR)
		return 1;

	if (at_stop)
		at_stop(c);
	vcpu_regs_set(c->x.g->vcpu, &o[0].regs);
	exact_run(&c->x, &o[1]);
	return 2;
}

/* What KVM cannot emulate: nothing is known of how much was written. */
static void take_step(struct cross *c, const struct kvm_page_track_event *e)
{
	uint64_t page = (e->gpa - exact_group_gpa(c->kind)) / PAGE_SIZE;

	if (c->steps == !!(e->flags & KVM_PAGE_TRACK_EVENT_UNTRACKED) ||
	    c->steps != !!(e->flags & KVM_PAGE_TRACK_EVENT_STEPPED))
		fail(c, c->steps ? "was not stepped" : "was not given up");
	if (page >= EXACT_NR_GROUP_PAGES || !c->tracked[page])
		return fail(c, "a step on something else");
	if (!(e->flags & KVM_PAGE_TRACK_EVENT_UNFINISHED))
		c->nr_steps[page]++;
}

static void take_events(struct cross *c)
{
	struct kvm_page_track_event e;
	uint64_t offset, pos;

	while (tracker_pop(&c->t, &e)) {
		if (!c->insn->len) {
			take_step(c, &e);
			continue;
		}

		c->nr_events++;
		offset = e.gpa - exact_group_gpa(c->kind);
		if (e.rip != c->rip || e.phase != KVM_PAGE_TRACK_PHASE_AFTER ||
		    e.flags & (KVM_PAGE_TRACK_EVENT_UNTRACKED | KVM_PAGE_TRACK_EVENT_STEPPED) ||
		    offset >= GROUP_SIZE || e.len > GROUP_SIZE - offset) {
			fail(c, "an event for something else");
			continue;
		}

		if (memcmp(e.data, addr_gpa2hva(c->x.g->vm, e.gpa),
			   min_t(int, e.len, sizeof(e.data))))
			fail(c, "the bytes of an event are not those in memory");
		for (pos = offset - target(c); e.len--; pos++) {
			if (pos < sizeof(c->told))
				c->told[pos]++;
			else
				c->nr_other++;
		}
	}
}

/* What has not ended has told nothing, but for whole elements of a string. */
static void check_stop(struct cross *c)
{
	int i;

	take_events(c);
	if (c->insn->len && c->nr <= 1 && c->nr_events)
		fail(c, "was told, and not done");
	for (i = 0; i < EXACT_NR_GROUP_PAGES; i++) {
		if (c->steps && c->nr_steps[i])
			fail(c, "a step was told, and not done");
	}
}

/* A tracked page that was written is told once. */
static void check_steps(struct cross *c, const struct exact_outcome *o)
{
	int i;

	for (i = 0; i < EXACT_NR_GROUP_PAGES; i++) {
		if (!c->tracked[i])
			continue;
		if (c->nr_steps[i] != !tg_is_same_page(o->mem[i], exact_filled(i))) {
			pr_info("Page %d: %d steps\n", i, c->nr_steps[i]);
			fail(c, "not the steps that have to be");
		}
	}
}

/* Each byte of a tracked page that was written is told once, and no other. */
static void check_events(struct cross *c)
{
	int i, start = target(c);
	bool want;

	for (i = 0; i < sizeof(c->told); i++) {
		want = i < c->nr * c->insn->len && c->tracked[(start + i) / PAGE_SIZE];
		if (c->told[i] == want)
			continue;

		pr_info("Byte 0x%x of the pages was told %d times\n", start + i, c->told[i]);
		return fail(c, "not the events that have to be");
	}

	if (c->nr_other)
		fail(c, "events for bytes that were not written");
}

static void track(struct cross *c, bool on)
{
	int i;

	for (i = 0; i < EXACT_NR_GROUP_PAGES; i++) {
		if (c->tracked[i] && on)
			tracker_add(&c->t, page_gpa(c, i), PAGE_SIZE, TRACKER_NOTIFY);
		else if (c->tracked[i])
			exact_untrack(&c->t, page_gpa(c, i));
	}
}

static void test_one(struct cross *c)
{
	static struct exact_outcome want[2], got[2];
	int nr_want, nr_got;

	c->failed = false;
	nr_want = run_both(c, want, NULL);
	memset(c->told, 0, sizeof(c->told));
	memset(c->nr_steps, 0, sizeof(c->nr_steps));
	c->nr_other = 0;
	c->nr_events = 0;
	track(c, true);
	nr_got = run_both(c, got, check_stop);
	take_events(c);
	if (exact_has_ended(&got[nr_got - 1]))
		c->insn->len ? check_events(c) : check_steps(c, &got[nr_got - 1]);
	track(c, false);

	/* To read an MMX register, the emulator takes all for valid, before the fault. */
	if (strstr(c->insn->name, "%mm") && nr_want > 1)
		got[0].fpu.ftwx = want[0].fpu.ftwx;

	/* QEMU's own faults do not set RF in their frame. */
	if (!exact_is_same(&c->x, c->name, &want[0], &got[0], RF) || nr_got != nr_want)
		fail(c, "the first stop is not as without tracking");
	if (nr_got > 1 && !exact_is_same(&c->x, c->name, &want[1], &got[1], RF))
		fail(c, "the end is not as without tracking");
}

static bool can_test(struct cross *c)
{
	bool guest_faults = c->kind == EXACT_ABSENT || c->kind == EXACT_GUEST_RO;

	/* Linux's emulator never ends a store of a descriptor table's address to a device. */
	if (strstr(c->insn->name, "sgdt"))
		return c->kind < EXACT_READONLY_SLOT;

	/* There has to be a stack for the frame of the exception. */
	return c->x.bits == 64 || !guest_faults || !is_push(c->insn);
}

/* How many bytes are in the first page. */
static int pick_place(const struct exact_insn *insn, int i)
{
	if (strstr(insn->name, "fxsave"))
		return i ? 256 : 16;
	if ((insn->nr & ~EXACT_SOURCE) > 1)
		return insn->len + (i ? 0 : insn->len / 2);
	return i ? 1 : insn->len ? insn->len / 2 : 2;
}

/* Each instruction once: where it crosses, and what is tracked, depends on the round. */
static int test_round(struct cross *c, const struct exact_insn *insns,
		      const struct exact_insn *end, int round)
{
	const struct order *order = &orders[round % ARRAY_SIZE(orders)];
	int i, before, nr_failed = 0, place = round / ARRAY_SIZE(orders) + order->place;

	/* Of a page alone, the kind of the next one does not matter. */
	if (order->boundary % PAGE_SIZE && c->kind != EXACT_PRESENT)
		return 0;

	c->tracked[EXACT_BEFORE] = order->tracked != EXACT_BEHIND;
	c->tracked[EXACT_OTHER] = c->kind == EXACT_TRACKED;
	c->tracked[EXACT_BEHIND] = order->tracked == EXACT_BEHIND;
	for (i = 0; &insns[i] < end; i++) {
		c->insn = &insns[i];
		if (!can_test(c))
			continue;

		c->nr = c->insn->nr & ~EXACT_SOURCE;
		c->rip = EXACT_CODE_GPA + i * EXACT_CODE_SIZE;
		c->tracked[EXACT_PLAIN] = is_source(c->insn);
		before = pick_place(c->insn, place % 2);
		c->start = order->boundary - before;
		snprintf(c->name, sizeof(c->name), "%s, %s %d bytes before 0x%x", c->insn->name,
			 is_source(c->insn) ? "from" : "to", before, order->boundary);
		test_one(c);
		nr_failed += c->failed;
	}

	return nr_failed;
}

static int test_kind(struct tiny_guest *g, int bits, enum exact_kind kind, int nr_rounds)
{
	const struct exact_insn *insns = bits == 64 ? exact_cross_64 :
					 bits == 32 ? exact_cross_32 : exact_cross_16;
	const struct exact_insn *end = bits == 64 ? exact_cross_64_end :
				       bits == 32 ? exact_cross_32_end : exact_cross_16_end;
	const char *code = bits == 64 ? exact_cross_64_code :
			   bits == 32 ? exact_cross_32_code : exact_cross_16_code;
	static struct cross c;
	int nr_failed = 0, round;

	exact_init(&c.x, g, bits);
	memcpy(addr_gpa2hva(g->vm, EXACT_CODE_GPA), code, (end - insns) * EXACT_CODE_SIZE);
	c.kind = kind;
	c.steps = !exact_is_vm86(&c.x);
	exact_init_group(&c.x, kind);
	tracker_create(g->vm, &c.t, 64, KVM_PAGE_TRACKER_STEP, 0);

	for (round = 0; round < nr_rounds; round++)
		nr_failed += test_round(&c, insns, end, round);

	tracker_close(&c.t);
	return nr_failed;
}

static void test_bits(int bits, int nr_rounds)
{
	int nr_failed;
	struct tiny_guest g;
	enum exact_kind kind;

	for (kind = 0; kind < EXACT_NR_KINDS; kind++) {
		if (bits == 16 && (kind == EXACT_ABSENT || kind == EXACT_GUEST_RO))
			continue;

		tg_init(&g, bits == 64 ? TG_4LEVEL : TG_PAE);
		nr_failed = test_kind(&g, bits, kind, nr_rounds);
		ksft_test_result(!nr_failed, "%d-bit code, %s: %d accesses differ\n", bits,
				 exact_kind_name(kind), nr_failed);
		tg_free(&g);
	}
}

int main(int argc, char *argv[])
{
	int nr_rounds = tg_get_rounds(argc, argv, ARRAY_SIZE(orders));
	struct kvm_vm *idle;

	tracker_require();
	ksft_print_header();
	ksft_set_plan(3 * EXACT_NR_KINDS - 2);
	/* See tg_run_cases(). */
	idle = vm_create_barebones();

	test_bits(64, nr_rounds);
	test_bits(32, nr_rounds);
	test_bits(16, nr_rounds);

	kvm_vm_free(idle);
	ksft_finished();
}
