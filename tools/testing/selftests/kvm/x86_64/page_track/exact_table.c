// SPDX-License-Identifier: GPL-2.0-only
/* Run the tables of insns.S, see exact.h. */
#include <stdlib.h>
#include <string.h>

#include "exact.h"
#include "stats.h"

#define NR_EVENTS	64
#define CARRY_FLAG	0x001
#define ALL_FLAGS	0xcd5	/* of arithmetics, and DF */

/* What an instruction starts with. */
static const struct state {
	uint64_t rflags;
	uint64_t rcx;
	bool is_equal;		/* memory has what CMPXCHG compares it with */
} states[EXACT_NR_STATES] = {
	{ 0, 3, false },
	{ ALL_FLAGS, 3, false },
	{ 0, 3, true },
	{ CARRY_FLAG, 0, false },
};

struct table {
	struct exact *x;
	struct tracker t;
	const struct exact_insn *insn;
	const struct state *state;
	uint64_t rip;
	uint8_t before[PAGE_SIZE];
	bool steps;		/* the CPU does what KVM cannot emulate */
	bool failed;
};

static void fail(struct table *t, const char *what)
{
	pr_info("%s, state %td: %s\n", t->insn->name, t->state - states, what);
	t->failed = true;
}

/* Of a segment register in 32 bits, CPUs write the upper half as zero, or not at all. */
static void run(struct table *t, struct exact_outcome *o)
{
	struct kvm_regs regs = exact_regs(t->x);

	exact_fill(t->x, 0);
	if (t->state->is_equal) {
		memcpy(t->x->mem[0] + EXACT_DST - EXACT_GPA, &regs.rax, 8);
		memcpy(t->x->mem[0] + EXACT_DST - EXACT_GPA + (t->x->bits == 64 ? 8 : 4),
		       &regs.rdx, 8);
	}
	if (t->x->bits == 32 && !strncmp(t->insn->name, "push %", 6))
		memset(t->x->mem[0] + EXACT_TOP - 2 - EXACT_GPA, 0, 2);
	tg_copy_page(t->before, t->x->mem[0]);

	regs.rcx = t->state->rcx;
	regs.rflags |= t->state->rflags;
	regs.rip = t->rip;
	exact_reset(t->x, &regs);
	exact_run(t->x, o);
}

/* FXSAVE: 10 bytes of each register, and neither the last opcode nor what is reserved. */
static void mask_fxsave(struct exact_outcome *o)
{
	uint8_t *area = o->mem[0] + EXACT_DST - EXACT_GPA;
	int i;

	memset(area + 5, 0, 3);
	for (i = 0; i < 8; i++)
		memset(area + 32 + 16 * i + 10, 0, 6);
	memset(area + 288, 0, 512 - 288);
}

/* The bytes of an event are in memory, each in one event. */
static void check_event(struct table *t, const struct kvm_page_track_event *e, uint8_t *told)
{
	uint64_t offset = e->gpa - EXACT_GPA;
	int i;

	if (offset >= PAGE_SIZE || e->len > PAGE_SIZE - offset ||
	    e->phase != KVM_PAGE_TRACK_PHASE_AFTER)
		return fail(t, "an event for something else");

	if (e->rip < t->rip || e->rip >= t->rip + EXACT_CODE_SIZE)
		fail(t, "the RIP of an event is wrong");

	if (t->x->bits != 16 && e->gva != e->gpa)
		fail(t, "the address of an event is wrong");

	if (memcmp(e->data, t->x->mem[0] + offset, min_t(int, e->len, sizeof(e->data))))
		fail(t, "the bytes of an event are not those in memory");

	for (i = 0; i < e->len; i++) {
		if (told[offset + i]++)
			fail(t, "a byte was told twice");
	}
}

/* What KVM cannot emulate: was the page given up, or the instruction stepped? */
static void check_unemulated(struct table *t, const struct kvm_page_track_event *e)
{
	uint64_t offset = e->gpa - EXACT_GPA, len = sizeof(e->data);

	if (!(e->flags & KVM_PAGE_TRACK_EVENT_UNTRACKED) != t->steps)
		return fail(t, t->steps ? "was given up" : "was not given up");
	if (!t->steps)
		return;

	if (e->rip != t->rip || e->phase != KVM_PAGE_TRACK_PHASE_AFTER || e->len)
		fail(t, "a step is told as something else");
	if (offset + len > PAGE_SIZE)
		len = PAGE_SIZE - offset;
	if (offset >= PAGE_SIZE || memcmp(e->data, t->x->mem[0] + offset, len))
		fail(t, "the bytes of a step are not those in memory");
}

/* Take all events; @nr of @len bytes are wanted, or fewer for the same bytes. */
static void check_events(struct table *t, const struct exact_outcome *o)
{
	static uint8_t told[PAGE_SIZE];
	int nr = 0, len = 0, nr_given_up = 0, want = t->insn->nr, i;
	struct kvm_page_track_event e;

	memset(told, 0, sizeof(told));
	if (strstr(t->insn->name, "rep ") && !t->state->rcx)
		want = 0;

	while (tracker_pop_finished(&t->t, &e)) {
		if (e.flags & (KVM_PAGE_TRACK_EVENT_UNEMULATED |
			       KVM_PAGE_TRACK_EVENT_STEPPED)) {
			check_unemulated(t, &e);
			nr_given_up++;
			continue;
		}
		nr++;
		len += e.len;
		check_event(t, &e, told);
	}

	for (i = 0; i < sizeof(told) && !nr_given_up; i++) {
		if (o->mem[0][i] != t->before[i] && !told[i])
			return fail(t, "a byte has changed and was not told");
	}

	if (want == EXACT_ANY)
		return;

	if (nr_given_up != !t->insn->nr)
		fail(t, nr_given_up ? "was not emulated" : "was emulated");
	if (nr > want || len != want * t->insn->len) {
		pr_info("%d events of %d bytes, want %d of %d\n", nr, len, want,
			want * t->insn->len);
		fail(t, "not the events that have to be");
	}
}

static void run_tracked(struct table *t, struct exact_outcome *want)
{
	static struct exact_outcome got;

	t->failed = false;
	run(t, &got);
	check_events(t, &got);

	if (strstr(t->insn->name, "fxsave")) {
		mask_fxsave(want);
		mask_fxsave(&got);
	}
	if (!exact_is_same(t->x, t->insn->name, want, &got, t->insn->undefined))
		fail(t, "not what it does without tracking");

	/* If the page was given up, track it again. */
	if (t->failed || !t->insn->nr || t->insn->nr == EXACT_ANY) {
		exact_untrack(&t->t, EXACT_GPA);
		tracker_add(&t->t, EXACT_GPA, PAGE_SIZE, TRACKER_NOTIFY);
	}
}

/* QEMU's RCL and RCR to memory change the flags before they fault: what follows is wrong. */
static bool is_spoiled_by_tcg(const struct exact_insn *insn)
{
	static const char * const tcg = "TCGTCGTCGTCG";
	uint32_t eax, regs[3];

	if (strncmp(insn->name, "rcl", 3) && strncmp(insn->name, "rcr", 3))
		return false;

	cpuid(0x40000000, &eax, &regs[0], &regs[1], &regs[2]);
	return !memcmp(regs, tcg, sizeof(regs));
}

/* Can the CPU, or the emulator that is one, do without tracking what it should? */
static bool has_reference(struct table *t)
{
	/* PUSHF shows the IOPL of that. */
	if (exact_is_vm86(t->x) && !strncmp(t->insn->name, "pushf", 5))
		return false;

	return !is_spoiled_by_tcg(t->insn);
}

/* How many were not as they have to be? */
static int run_state(struct table *t, const struct exact_insn *insns, int nr,
		     struct exact_outcome *want)
{
	uint64_t emulated = tg_vcpu_stat(t->x->g, "pf_emulate");
	int nr_failed = 0, i;

	for (i = 0; i < nr; i++) {
		t->insn = &insns[i];
		t->rip = EXACT_CODE_GPA + i * EXACT_CODE_SIZE;
		run(t, &want[i]);
	}
	TEST_ASSERT_EQ(tg_vcpu_stat(t->x->g, "pf_emulate"), emulated);

	tracker_add(&t->t, EXACT_GPA, PAGE_SIZE, TRACKER_NOTIFY);
	for (i = 0; i < nr; i++) {
		t->insn = &insns[i];
		t->rip = EXACT_CODE_GPA + i * EXACT_CODE_SIZE;
		if (want[i].vector == UD_VECTOR) {
			if (t->state == states)
				pr_info("The CPU has no %s\n", t->insn->name);
			continue;
		}
		if (!has_reference(t))
			continue;

		run_tracked(t, &want[i]);
		nr_failed += t->failed;
	}
	exact_untrack(&t->t, EXACT_GPA);
	return nr_failed;
}

static void run_table(struct exact *x, const struct exact_insn *insns,
		      const struct exact_insn *end, const char *code, int nr_states,
		      uint32_t tracker_flags)
{
	static struct table t;
	struct exact_outcome *want;
	int nr = end - insns, nr_failed = 0, i;

	TEST_ASSERT(EXACT_CODE_GPA + nr * EXACT_CODE_SIZE <= EXACT_CODE_END,
		    "%d instructions are too many", nr);
	memcpy(addr_gpa2hva(x->g->vm, EXACT_CODE_GPA), code, nr * EXACT_CODE_SIZE);
	want = calloc(nr, sizeof(*want));
	TEST_ASSERT(want, "No memory for %d outcomes", nr);

	t.x = x;
	t.steps = tracker_flags && !exact_is_vm86(x);
	tracker_create(x->g->vm, &t.t, NR_EVENTS, tracker_flags, 0);
	for (i = 0; i < nr_states && i < EXACT_NR_STATES; i++) {
		t.state = &states[i];
		nr_failed += run_state(&t, insns, nr, want);
	}
	tracker_close(&t.t);
	free(want);

	TEST_ASSERT(!nr_failed, "%d of %d instructions, in %d states, are not as without tracking",
		    nr_failed, nr, nr_states);
	pr_info("%d instructions of %d-bit code in %d states are as without tracking\n", nr,
		x->bits, nr_states);
}

void exact_run_table(struct exact *x, const struct exact_insn *insns,
		     const struct exact_insn *end, const char *code, int nr_states)
{
	run_table(x, insns, end, code, nr_states, 0);
}

void exact_step_table(struct exact *x, const struct exact_insn *insns,
		      const struct exact_insn *end, const char *code, int nr_states)
{
	run_table(x, insns, end, code, nr_states, KVM_PAGE_TRACKER_STEP);
}
