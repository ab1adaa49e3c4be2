// SPDX-License-Identifier: GPL-2.0-only
/*
 * Single steps, by the guest's TF and by the VMM: each iteration of a string instruction
 * on a tracked page is one, as without tracking.
 */
#include <string.h>

#include "exact.h"
#include "kselftest.h"

#define MAX_STEPS	20
#define TRAP_FLAG	0x100ul
#define RF		0x10000ul

struct step {
	uint64_t rip;
	uint64_t rcx;
	uint64_t rsi;
	uint64_t rdi;
	uint64_t rflags;
	uint64_t dr6;
};

struct trace {
	int nr;
	struct step steps[MAX_STEPS];
	struct exact_outcome end;
};

static void set_dr6(struct exact *x)
{
	struct kvm_debugregs regs;

	vcpu_ioctl(x->g->vcpu, KVM_GET_DEBUGREGS, &regs);
	regs.dr6 = EXACT_DR6;
	vcpu_ioctl(x->g->vcpu, KVM_SET_DEBUGREGS, &regs);
}

/* In the middle of a string, CPUs have RF set, and QEMU has not. */
static struct step get_step(struct exact *x, const struct kvm_regs *regs)
{
	struct kvm_debugregs debugregs;

	vcpu_ioctl(x->g->vcpu, KVM_GET_DEBUGREGS, &debugregs);
	return (struct step) {
		.rip = regs->rip,
		.rcx = regs->rcx,
		.rsi = regs->rsi,
		.rdi = regs->rdi,
		.rflags = regs->rflags & ~RF,
		.dr6 = debugregs.dr6,
	};
}

/*
 * Bochs has one #DB more, before the instruction does anything, when a VM exit was in
 * between.
 */
static bool has_moved(const struct kvm_regs *from, const struct kvm_regs *to)
{
	return from->rip != to->rip || from->rcx != to->rcx || from->rsi != to->rsi ||
	       from->rdi != to->rdi;
}

/* The OUT behind the instruction needs no step. */
static bool is_behind(struct exact *x, uint64_t rip)
{
	static const uint8_t out[] = { 0xe6, EXACT_END_PORT };

	return !memcmp(addr_gpa2hva(x->g->vm, rip), out, sizeof(out));
}

/* The guest steps by TF, and the host is the handler of its #DB. */
static void go_on(struct exact *x, struct kvm_regs *regs)
{
	if (is_behind(x, regs->rip))
		regs->rflags &= ~TRAP_FLAG;
	vcpu_regs_set(x->g->vcpu, regs);
	set_dr6(x);
}

static void run(struct exact *x, uint64_t rip, uint64_t rcx, bool by_guest, struct trace *trace)
{
	struct kvm_guest_debug debug = {
		.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP,
	};
	struct kvm_regs regs = exact_regs(x);
	struct exact_outcome *o = &trace->end;

	exact_fill(x, 0);
	regs.rip = rip;
	regs.rcx = rcx;
	if (by_guest)
		regs.rflags |= TRAP_FLAG;
	exact_reset(x, &regs);
	set_dr6(x);
	if (!by_guest)
		vcpu_guest_debug_set(x->g->vcpu, &debug);

	trace->nr = 0;
	for (;;) {
		exact_run(x, o);
		if (o->exit != KVM_EXIT_DEBUG && o->vector != DB_VECTOR)
			break;

		if (has_moved(&regs, &o->regs)) {
			TEST_ASSERT(trace->nr < MAX_STEPS, "Too many steps");
			trace->steps[trace->nr++] = get_step(x, &o->regs);
		}
		regs = o->regs;
		if (by_guest)
			go_on(x, &regs);
	}

	debug.control = 0;
	vcpu_guest_debug_set(x->g->vcpu, &debug);
}

static bool is_same_step(const char *name, int i, const struct step *want, const struct step *got)
{
	if (!memcmp(want, got, sizeof(*want)))
		return true;

	pr_info("%s: step %d is rip 0x%lx rcx %ld rsi 0x%lx rdi 0x%lx rflags 0x%lx dr6 0x%lx\n",
		name, i, got->rip, got->rcx, got->rsi, got->rdi, got->rflags, got->dr6);
	pr_info("%s: without tracking rip 0x%lx rcx %ld rsi 0x%lx rdi 0x%lx rflags 0x%lx dr6 0x%lx\n",
		name, want->rip, want->rcx, want->rsi, want->rdi, want->rflags, want->dr6);
	return false;
}

static bool test_one(struct exact *x, struct tracker *t, const struct exact_insn *insn,
		     uint64_t rip, uint64_t rcx, bool by_guest)
{
	int len = insn->len * (strstr(insn->name, "rep ") ? rcx : 1);
	static struct trace want, got;
	struct kvm_page_track_event e;
	bool same = true;
	char name[100];
	int i;

	snprintf(name, sizeof(name), "%s, RCX %ld, by %s", insn->name, rcx,
		 by_guest ? "TF" : "the VMM");
	run(x, rip, rcx, by_guest, &want);
	tracker_add(t, EXACT_GPA, PAGE_SIZE, TRACKER_NOTIFY);
	run(x, rip, rcx, by_guest, &got);
	tracker_remove(t, EXACT_GPA, PAGE_SIZE);

	if (want.nr != got.nr) {
		pr_info("%s: %d steps, without tracking %d\n", name, got.nr, want.nr);
		same = false;
	}
	for (i = 0; i < min(want.nr, got.nr); i++)
		same &= is_same_step(name, i, &want.steps[i], &got.steps[i]);
	same &= exact_is_same(x, name, &want.end, &got.end, 0);

	/* A step of KVM's own does not know how many bytes were written. */
	while (tracker_pop_finished(t, &e))
		len -= e.flags & KVM_PAGE_TRACK_EVENT_STEPPED ? insn->len : e.len;
	if (len)
		pr_info("%s: %d bytes were not told\n", name, len);

	return same && !len;
}

static int test_table(struct exact *x, struct tracker *t, bool by_guest)
{
	static const uint64_t counts[] = { 8, 1, 0 };
	int nr_failed = 0, n = exact_step_end - exact_step, i, j;

	for (i = 0; i < n; i++) {
		for (j = 0; j < ARRAY_SIZE(counts); j++)
			nr_failed += !test_one(x, t, &exact_step[i],
					       EXACT_CODE_GPA + i * EXACT_CODE_SIZE,
					       counts[j], by_guest);
	}

	return nr_failed;
}

int main(void)
{
	struct tiny_guest g;
	struct tracker t;
	struct exact x;
	int nr_failed;

	tracker_require();
	ksft_print_header();
	ksft_set_plan(2);

	tg_init(&g, TG_4LEVEL);
	exact_init(&x, &g, 64);
	memcpy(addr_gpa2hva(g.vm, EXACT_CODE_GPA), exact_step_code,
	       (exact_step_end - exact_step) * EXACT_CODE_SIZE);
	tracker_create(g.vm, &t, 64, KVM_PAGE_TRACKER_STEP, 0);

	nr_failed = test_table(&x, &t, true);
	ksft_test_result(!nr_failed, "steps by TF: %d differ\n", nr_failed);
	nr_failed = test_table(&x, &t, false);
	ksft_test_result(!nr_failed, "steps by the VMM: %d differ\n", nr_failed);

	tracker_close(&t);
	tg_free(&g);
	ksft_finished();
}
